//! Puts an input aside before the session changes or removes it, while the process that wants to stands still.
//!
//! A hard link where the name goes away (rename over it, unlink), a reflink where the file system can, else a copy
//! up to a limit in bytes and in time. What the session made itself is never kept: running it again makes it.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io,
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    links::Links,
    paths::{self, Known, SharedPath},
    touched::born_since,
};
use crate::{
    event::{Event, FileAccess, FileOp, Nanos, Preserved},
    files::{FileError, Signature},
};

/// A file that grows only (opened with `O_APPEND`) is copied at once up to this size; a larger one keeps its
/// beginning where it is, and that is hashed later.
const APPEND_COPY: u64 = 16 << 20;
/// Bytes between two looks at the clock.
const STEP: u64 = 16 << 20;

/// What a path is to this session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// It was there and was read; `kept` is size and mtime of the content that lies in the store.
    Input { kept: Option<(u64, i64)> },
    /// It was there, and the session has changed it.
    Overwritten,
    /// The session made it.
    Created,
}

/// The standing of every path that could be an input, shared by recorder, importer and worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Standings(Arc<Mutex<Table>>, Arc<Mutex<Moves>>);

type Table = HashMap<SharedPath, Standing, foldhash::fast::RandomState>;

/// Directories that were renamed, in order: what was read below the old name has another name now, and what is read
/// below the new one was there under the old.
#[derive(Debug, Default)]
struct Moves(VecDeque<(Vec<u8>, Vec<u8>)>);

/// More renamed directories are not followed.
const MOST_MOVES: usize = 256;

/// `path` with `to` in the place of `from`, if that is above it.
fn moved(path: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(from)?;
    rest.starts_with(b"/").then(|| [to, rest].concat())
}

impl Standings {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moves(&self) -> MutexGuard<'_, Moves> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A directory is renamed.
    pub(super) fn rename_directory(&self, from: &[u8], to: &[u8]) {
        let mut moves = self.moves();
        let now = (from.to_vec(), to.to_vec());
        if moves.0.contains(&now) {
            return;
        }
        if moves.0.len() >= MOST_MOVES {
            moves.0.pop_front();
        }
        moves.0.push_back(now);
    }

    /// Whether a directory was renamed so.
    pub(super) fn has_renamed(&self, from: &[u8], to: &[u8]) -> bool {
        self.moves().0.iter().any(|(old, new)| old == from && new == to)
    }

    /// The name that a file had when the session began, as far as directories above it were renamed.
    pub(super) fn origin(&self, path: &[u8]) -> Vec<u8> {
        let moves = self.moves();
        let back = |path: Vec<u8>, (from, to): &(Vec<u8>, Vec<u8>)| moved(&path, to, from).unwrap_or(path);
        moves.0.iter().rev().fold(path.to_vec(), back)
    }

    /// The same, of a name that is not needed any more.
    pub(super) fn first_name(&self, path: Vec<u8>) -> Vec<u8> {
        if self.moves().0.is_empty() { path } else { self.origin(&path) }
    }

    /// The name that such a file has now.
    pub(super) fn present(&self, path: &[u8]) -> Vec<u8> {
        let moves = self.moves();
        let on = |path: Vec<u8>, (from, to): &(Vec<u8>, Vec<u8>)| moved(&path, from, to).unwrap_or(path);
        moves.0.iter().fold(path.to_vec(), on)
    }

    /// The inputs below a directory whose content is not in the store, as far as is known.
    fn inputs_below(&self, dir: &[u8]) -> Vec<(SharedPath, Standing)> {
        let below = |path: &[u8]| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"));
        let input = |(path, standing): (&SharedPath, &Standing)| match standing {
            Standing::Input { .. } if below(path) => Some((Arc::clone(path), *standing)),
            _ => None,
        };
        self.lock().iter().filter_map(input).collect()
    }

    pub(super) fn of(&self, path: &[u8]) -> Option<Standing> {
        self.lock().get(path).copied()
    }

    /// The path as this table has it; else one of its own.
    pub(super) fn shared(&self, path: &[u8]) -> SharedPath {
        self.lock().get_key_value(path).map_or_else(|| path.into(), |(shared, _)| Arc::clone(shared))
    }

    /// The path is being read.
    pub(super) fn read(&self, path: &[u8]) {
        let mut map = self.lock();
        if !map.contains_key(path) {
            map.insert(path.into(), Standing::Input { kept: None });
        }
    }

    /// The store has the content with this size and mtime.
    pub(super) fn kept(&self, path: &[u8], signature: Signature) {
        if let Some(Standing::Input { kept }) = self.lock().get_mut(path) {
            *kept = Some((signature.size, signature.mtime_ns));
        }
    }

    /// The path, which had no standing, was changed; `old` when something was there before.
    pub(super) fn changed(&self, path: &[u8], old: bool) {
        self.lock().entry(path.into()).or_insert(if old { Standing::Overwritten } else { Standing::Created });
    }

    fn set(&self, path: &[u8], standing: Standing) {
        self.lock().insert(path.into(), standing);
    }
}

/// How much may be copied while the notebook waits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one file.
    pub bytes: u64,
    /// Time for one file.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1 << 30, time: Duration::from_secs(3) }
    }
}

/// Puts content aside into a directory of the session.
#[derive(Debug)]
pub(super) struct Preserver {
    dir: PathBuf,
    known: Known,
    standings: Standings,
    links: Arc<Links>,
    started: Nanos,
    limits: Limits,
    next: AtomicU64,
}

/// What is going to happen to the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Its name goes away, its bytes do not change.
    Unnamed,
    /// Its bytes change in any way.
    Rewritten,
    /// Bytes are added at its end.
    Appended,
}

impl Preserver {
    pub(super) fn new(
        dir: PathBuf,
        known: Known,
        standings: Standings,
        links: Arc<Links>,
        started: Nanos,
        limits: Limits,
    ) -> Self {
        Self { dir, known, standings, links, started, limits, next: AtomicU64::new(1) }
    }

    /// Looks at a change that is about to happen; gives what is to be recorded.
    pub(super) fn before_change(&self, access: &FileAccess, host: &Path) -> Vec<Event> {
        let path = victim(access, host);
        let path = paths::fold(path, paths::is_real_dir);
        if self.known.is_own(&path) {
            return Vec::new();
        }
        let is_data = self.known.is_data(&path);
        let (path, mut events) = if is_data {
            let walked = self.links.walk(access.pid, &path, follows(access.op));
            (walked.path, walked.facts)
        } else {
            (path.into_owned(), Vec::new())
        };
        if is_data && let Some(told) = self.links.before_change(access.pid, &path) {
            // What it leads to stays as it is.
            let new = self.links.is_new(&path);
            self.standings.set(&path, if new { Standing::Created } else { Standing::Overwritten });
            events.extend(told);
            return events;
        }
        events.extend(self.before_change_of(access, host, path, is_data));
        events
    }

    fn before_change_of(&self, access: &FileAccess, host: &Path, path: Vec<u8>, is_data: bool) -> Vec<Event> {
        match (access.op, &access.other) {
            // Of an environment too: installers rename directories to remove them.
            (FileOp::Rename { .. }, Some(other)) if host.is_dir() => {
                let other = if victim(access, host) == *other { &access.path } else { other };
                let other = self.links.walk(access.pid, &paths::fold(other, paths::is_real_dir), false).path;
                let events = if is_data { self.before_move(access, &path, host) } else { Vec::new() };
                self.standings.rename_directory(&path, &other);
                events
            }
            _ if is_data => self.before_one(access, path, host).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// A directory's name goes away: so do the names of what was read below it.
    fn before_move(&self, access: &FileAccess, dir: &[u8], host: &Path) -> Vec<Event> {
        let mut events = Vec::new();
        // Under the name that the inputs had at first.
        let first = self.standings.origin(dir);
        for (path, standing) in self.standings.inputs_below(&first) {
            let Some(rest) = path.get(first.len() + 1..) else { continue };
            let file = host.join(paths::as_path(rest));
            let Ok(metadata) = crate::files::metadata(&file) else { continue };
            let kept = Standing::Input { kept: Some((metadata.len(), Signature::of(&metadata).mtime_ns)) };
            if metadata.is_file() && standing != kept {
                events.push(self.keep(access, &path, &file, &metadata, Change::Unnamed));
            }
        }
        events
    }

    fn before_one(&self, access: &FileAccess, path: Vec<u8>, host: &Path) -> Option<Event> {
        let path = match self.standings.of(&path) {
            Some(_) => path,
            None => self.standings.origin(&path),
        };
        let standing = self.standings.of(&path);
        let metadata = crate::files::metadata(host);
        if metadata.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return None;
        }
        let Ok(metadata) = metadata else {
            // Nothing is there: whatever comes is the session's own. (A read that found nothing does not make it an input.)
            self.standings.set(
                &path,
                if standing == Some(Standing::Overwritten) { Standing::Overwritten } else { Standing::Created },
            );
            return None;
        };
        let change = change_of(access);
        let is_moved = matches!(access.op, FileOp::Rename { .. }) && access.path == victim(access, host);
        let unread_but_needed = is_moved
            || matches!(access.op, FileOp::Open { flags }
                if flags & libc::O_ACCMODE == libc::O_RDWR && flags & libc::O_TRUNC == 0);
        let worth = match standing {
            Some(Standing::Input { kept }) => kept != Some((metadata.len(), Signature::of(&metadata).mtime_ns)),
            Some(Standing::Overwritten | Standing::Created) => return None,
            None if born_since(&metadata, self.started) => {
                self.standings.set(&path, Standing::Created);
                return None;
            }
            None => unread_but_needed,
        };
        self.standings.set(&path, Standing::Overwritten);
        if !worth || !metadata.is_file() {
            return None;
        }
        Some(self.keep(access, &path, host, &metadata, change))
    }

    fn keep(
        &self,
        access: &FileAccess,
        path: &[u8],
        host: &Path,
        metadata: &std::fs::Metadata,
        change: Change,
    ) -> Event {
        let signature = Signature::of(metadata);
        let outcome = match change {
            Change::Appended if metadata.len() > APPEND_COPY => Ok(host.to_owned()),
            Change::Unnamed => self.link(host).or_else(|_| self.copy(host, metadata.len())),
            Change::Appended | Change::Rewritten => self.copy(host, metadata.len()),
        };
        let outcome = outcome.map_err(|error| {
            let why = error.source;
            let path = crate::files::display_bytes(path);
            format!("{path}: its content before this session changed it could not be kept: {why}")
        });
        let (pid, tid) = (access.pid, access.tid);
        Event::Preserved(Preserved { at: access.at, path: path.to_vec(), signature, outcome, pid, tid })
    }

    fn place(&self) -> Result<PathBuf, FileError> {
        crate::files::create_private_dir(&self.dir)?;
        Ok(self.dir.join(format!("{:06}", self.next.fetch_add(1, Ordering::Relaxed))))
    }

    fn link(&self, host: &Path) -> Result<PathBuf, FileError> {
        let place = self.place()?;
        // Through a symlink to the file itself: the name that goes away may be one.
        let error = |error: rustix::io::Errno| FileError::new("link", host)(error.into());
        let cwd = rustix::fs::CWD;
        rustix::fs::linkat(cwd, host, cwd, &place, rustix::fs::AtFlags::empty()).map_err(error)?;
        if std::fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(place);
        }
        // A link to a symlink keeps the name, not the bytes; those stay where they are.
        std::fs::remove_file(&place).map_err(FileError::new("remove", &place))?;
        self.copy(host, std::fs::metadata(host).map_err(FileError::new("read", host))?.len())
    }

    fn copy(&self, host: &Path, bytes: u64) -> Result<PathBuf, FileError> {
        let place = self.place()?;
        let source = crate::files::open(host)?;
        let target = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&place)
            .map_err(FileError::new("create", &place))?;
        let copied = clone_or_copy(&source, &target, bytes, self.limits);
        if let Err(error) = copied {
            drop(target);
            std::fs::remove_file(&place).unwrap_or_default();
            return Err(FileError::new("copy", host)(error));
        }
        Ok(place)
    }
}

fn clone_or_copy(source: &File, target: &File, bytes: u64, limits: Limits) -> io::Result<()> {
    if rustix::fs::ioctl_ficlone(target, source).is_ok() {
        return Ok(());
    }
    if bytes > limits.bytes {
        let text =
            format!("{bytes} bytes are more than the limit of {} and this file system cannot share them", limits.bytes);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    let start = Instant::now();
    let mut plain = false;
    loop {
        if start.elapsed() > limits.time {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "copying it took too long"));
        }
        let n = if plain {
            io::copy(&mut io::Read::take(source, STEP), &mut &*target)?
        } else {
            match rustix::fs::copy_file_range(source, None, target, None, STEP as usize) {
                Ok(n) => n as u64,
                Err(_) => {
                    plain = true;
                    continue;
                }
            }
        };
        if n == 0 {
            return Ok(());
        }
    }
}

/// Whether a call follows a link that is the last name of its path.
pub(super) fn follows(op: FileOp) -> bool {
    match op {
        FileOp::Open { flags } => {
            let exclusive = libc::O_CREAT | libc::O_EXCL;
            flags & libc::O_NOFOLLOW == 0 && flags & exclusive != exclusive
        }
        FileOp::Exec | FileOp::Truncate => true,
        FileOp::Rename { .. } | FileOp::Unlink { .. } | FileOp::Link | FileOp::Symlink | FileOp::Missing => false,
    }
}

/// The path, as the target wrote it, of the file at `host`: for a rename that is the new name or the old one.
fn victim<'a>(access: &'a FileAccess, host: &Path) -> &'a [u8] {
    match &access.other {
        Some(other) if matches!(access.op, FileOp::Rename { .. } | FileOp::Link) => {
            let host = host.as_os_str().as_bytes();
            if host.ends_with(&access.path) && !host.ends_with(other) { &access.path } else { other }
        }
        _ => &access.path,
    }
}

fn change_of(access: &FileAccess) -> Change {
    match access.op {
        FileOp::Rename { .. } | FileOp::Unlink { .. } | FileOp::Link | FileOp::Symlink => Change::Unnamed,
        FileOp::Open { flags } if flags & libc::O_TRUNC == 0 && flags & libc::O_APPEND != 0 => Change::Appended,
        FileOp::Open { .. } | FileOp::Truncate | FileOp::Exec | FileOp::Missing => Change::Rewritten,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        dir: tempfile::TempDir,
        preserver: Preserver,
        standings: Standings,
    }

    fn fixture(limits: Limits) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let standings = Standings::default();
        let kept = dir.path().join("kept");
        // As if the session began in the future: nothing on the disk was born in it.
        let links = Arc::new(Links::new(false, Nanos::MAX));
        let preserver = Preserver::new(kept, Known::default(), standings.clone(), links, Nanos::MAX, limits);
        Fixture { dir, preserver, standings }
    }

    impl Fixture {
        fn file(&self, name: &str, content: &[u8]) -> PathBuf {
            let path = self.dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        }

        fn change(&self, path: &Path, op: FileOp, other: Option<&Path>) -> Option<Event> {
            let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
            let access = FileAccess {
                at: 1,
                pid: 1,
                tid: 1,
                op,
                path: bytes(path),
                other: other.map(bytes),
                signature: None,
                times: 1,
            };
            self.preserver.before_change(&access, other.unwrap_or(path)).pop()
        }
    }

    fn kept(event: Option<Event>) -> Vec<u8> {
        match event {
            Some(Event::Preserved(Preserved { outcome: Ok(path), .. })) => std::fs::read(path).unwrap(),
            other => panic!("nothing was kept: {other:?}"),
        }
    }

    const TRUNCATE: FileOp = FileOp::Open { flags: libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC };

    #[test]
    fn an_input_is_kept_before_each_way_to_lose_it() {
        let f = fixture(Limits::default());
        let ways = [
            ("truncated", TRUNCATE),
            ("updated", FileOp::Open { flags: libc::O_RDWR }),
            ("appended", FileOp::Open { flags: libc::O_WRONLY | libc::O_APPEND }),
            ("shortened", FileOp::Truncate),
            ("removed", FileOp::Unlink { dir: false }),
        ];
        for (name, op) in ways {
            let path = f.file(name, name.as_bytes());
            f.standings.read(path.as_os_str().as_bytes());
            assert_eq!(kept(f.change(&path, op, None)), name.as_bytes());
            assert!(f.change(&path, op, None).is_none(), "{name} a second time");
        }
        let (new, old) = (f.file("new", b"new"), f.file("old", b"old"));
        f.standings.read(old.as_os_str().as_bytes());
        assert_eq!(kept(f.change(&new, FileOp::Rename { exchange: false }, Some(&old))), b"old");
    }

    #[test]
    fn what_was_not_read_or_is_the_sessions_own_is_not_kept() {
        let f = fixture(Limits::default());
        assert!(f.change(&f.file("result", b"old result"), TRUNCATE, None).is_none());
        let made = f.dir.path().join("made");
        assert!(f.change(&made, TRUNCATE, None).is_none());
        std::fs::write(&made, b"by the session").unwrap();
        f.standings.read(made.as_os_str().as_bytes());
        assert!(f.change(&made, FileOp::Unlink { dir: false }, None).is_none());
        assert_eq!(f.standings.of(made.as_os_str().as_bytes()), Some(Standing::Created));
    }

    #[test]
    fn a_file_opened_to_read_and_write_is_an_input_though_nobody_read_it_before() {
        let f = fixture(Limits::default());
        let path = f.file("db.sqlite", b"rows");
        assert_eq!(kept(f.change(&path, FileOp::Open { flags: libc::O_RDWR }, None)), b"rows");
    }

    #[test]
    fn what_the_store_has_already_is_not_copied_again() {
        let f = fixture(Limits::default());
        let path = f.file("a", b"content");
        let bytes = path.as_os_str().as_bytes();
        f.standings.read(bytes);
        f.standings.kept(bytes, Signature::of(&std::fs::metadata(&path).unwrap()));
        assert!(f.change(&path, TRUNCATE, None).is_none());
    }

    #[test]
    fn a_session_on_another_file_system_gets_a_copy() {
        let here = tempfile::tempdir().unwrap();
        let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
        let device = |path: &Path| std::os::unix::fs::MetadataExt::dev(&std::fs::metadata(path).unwrap());
        assert_ne!(device(here.path()), device(elsewhere.path()), "the test needs two file systems");
        let (known, standings) = (Known::default(), Standings::default());
        let kept_in = elsewhere.path().join("kept");
        let links = Arc::new(Links::new(false, Nanos::MAX));
        let preserver = Preserver::new(kept_in, known, standings.clone(), links, Nanos::MAX, Limits::default());
        let f = Fixture { dir: here, preserver, standings };
        let path = f.file("input", b"content");
        f.standings.read(path.as_os_str().as_bytes());
        assert_eq!(kept(f.change(&path, FileOp::Unlink { dir: false }, None)), b"content");
    }

    #[test]
    fn what_was_read_in_a_directory_is_kept_when_that_is_renamed_and_found_again_by_its_first_name() {
        let f = fixture(Limits::default());
        let (old, new, newer) = (f.dir.path().join("old"), f.dir.path().join("new"), f.dir.path().join("newer"));
        std::fs::create_dir(&old).unwrap();
        let (read, unread) = (f.file("old/read", b"content"), f.file("old/unread", b"other"));
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        f.standings.read(&bytes(&read));
        let rename = |from: &Path, to: &Path| {
            let access = FileAccess {
                at: 1,
                pid: 1,
                tid: 1,
                op: FileOp::Rename { exchange: false },
                path: bytes(from),
                other: Some(bytes(to)),
                signature: None,
                times: 1,
            };
            let events = f.preserver.before_change(&access, from);
            std::fs::rename(from, to).unwrap();
            events
        };
        let mut events = rename(&old, &new);
        let Some(Event::Preserved(first)) = events.first() else { panic!("nothing was kept") };
        assert_eq!(first.path, bytes(&read));
        assert_eq!((events.len(), kept(events.pop())), (1, b"content".to_vec()));
        rename(&new, &newer);
        assert_eq!(f.standings.origin(&bytes(&newer.join("unread"))), bytes(&unread));
        assert_eq!(f.standings.present(&bytes(&unread)), bytes(&newer.join("unread")));
        assert_eq!(f.standings.origin(&bytes(&f.dir.path().join("newest/x"))), bytes(&f.dir.path().join("newest/x")));
    }

    #[test]
    fn what_is_over_the_limit_is_a_gap_and_no_error() {
        let f = fixture(Limits { bytes: 3, time: Duration::from_secs(3) });
        let path = f.file("big", b"four");
        f.standings.read(path.as_os_str().as_bytes());
        match f.change(&path, TRUNCATE, None) {
            Some(Event::Preserved(Preserved { outcome: Err(why), .. })) => assert!(why.contains("big"), "{why}"),
            // A file system that shares bytes has no limit.
            other => assert_eq!(kept(other), b"four"),
        }
    }
}
