//! Hashes inputs and results while nobody waits: one thread of the lowest priority.

use std::{
    collections::{BTreeMap, HashMap},
    io::Read as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, Sender},
    },
};

use super::{
    paths::{SharedPath, as_path},
    preserve::Standings,
};
use crate::{
    digest::Digest,
    event::now,
    files::{self, FileError, Signature},
    session::model::{FileVersion, Role},
    store::{Ingested, Store, hash_file},
};

/// Inputs up to this size are copied into the store while they are hashed.
const COPY_LIMIT: u64 = 16 << 20;
/// Results above this size keep their size only.
const RESULT_LIMIT: u64 = 1 << 30;
/// The beginning of an input that was appended to is copied up to this size.
const PREFIX_LIMIT: u64 = 1 << 30;

/// More digests than this are not remembered, but for those of larger files.
const MANY: usize = 16_384;

/// What is to be hashed at a job's place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    /// An input, with its signature when it was opened, where that is known.
    Input(Option<Signature>),
    /// An input that had this signature and lies in the session directory now, to become a blob.
    Aside(Signature),
    /// An input that was appended to: only as many bytes from its beginning as this says.
    Beginning(Signature),
    /// A result.
    Result,
}

/// A file to be hashed. A hundred thousand may wait for the end of a cell.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// The path in the record.
    pub(super) path: SharedPath,
    /// Where its bytes lie, if that is elsewhere.
    pub(super) elsewhere: Option<Box<Path>>,
    /// The execution that read or wrote it.
    pub(super) execution: Option<i64>,
    /// What is there.
    pub(super) content: Content,
}

impl Job {
    /// A job for a file that lies where the record says, if `host` is that place too.
    pub(super) fn new(path: SharedPath, host: &Path, execution: Option<i64>, content: Content) -> Self {
        let elsewhere = (host != as_path(&path)).then(|| host.into());
        Self { path, elsewhere, execution, content }
    }

    /// Where its bytes lie.
    pub(super) fn host(&self) -> &Path {
        self.elsewhere.as_deref().unwrap_or_else(|| as_path(&self.path))
    }

    /// An input or a result.
    pub(super) fn role(&self) -> Role {
        match self.content {
            Content::Input(_) | Content::Aside(_) | Content::Beginning(_) => Role::Read,
            Content::Result => Role::Written,
        }
    }

    /// The signature when it was opened, where that is known.
    pub(super) fn expected(&self) -> Option<Signature> {
        match self.content {
            Content::Input(signature) => signature,
            Content::Aside(signature) | Content::Beginning(signature) => Some(signature),
            Content::Result => None,
        }
    }
}

/// How a session ends, for the worker.
#[derive(Default)]
pub(super) struct Course {
    /// There is no more time: what is open now is not hashed.
    pub(super) stop: AtomicBool,
    /// The kernel has ended, and took the files of its container with it.
    pub(super) gone: AtomicBool,
    /// So many files went before they were hashed.
    pub(super) lost: AtomicU64,
}

/// Does jobs until the channel closes or `course` stops; gives each outcome to `done` and counts down `open`.
pub(super) fn work(
    store: &Store,
    standings: &Standings,
    jobs: &Receiver<Vec<Job>>,
    done: &Sender<FileVersion>,
    open: &AtomicUsize,
    course: &Arc<Course>,
    wake: impl Fn(),
) {
    // Where priorities may not be changed, the work is done at the ordinary one.
    rustix::process::setpriority_process(None, 19).unwrap_or_default();
    let mut digests = Digests::default();
    for job in jobs.iter().flatten() {
        let version = if course.stop.load(Ordering::Relaxed) { None } else { digests.version(store, &job) };
        let lost = course.gone.load(Ordering::Relaxed) && version.as_ref().is_none_or(is_lost);
        if lost {
            course.lost.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(version) = version.or_else(|| lost.then(|| nothing(&job, GONE))) {
            if version.kept {
                standings.kept(&job.path, job.expected().unwrap_or(version.signature));
            }
            // The importer is gone only when the session ends.
            done.send(version).unwrap_or_default();
        }
        open.fetch_sub(1, Ordering::AcqRel);
        wake();
    }
}

/// Whether it says that the file was gone.
fn is_lost(version: &FileVersion) -> bool {
    version.digest.is_none() && version.note.as_deref() == Some(GONE)
}

/// What was hashed already in this session, by signature.
#[derive(Default)]
pub(super) struct Digests(HashMap<Signature, (Digest, u32, bool)>);

impl Digests {
    /// The content of the job's file; `None` when there is nothing to say (a result that is gone again).
    pub(super) fn version(&mut self, store: &Store, job: &Job) -> Option<FileVersion> {
        let result = match job.content {
            Content::Input(_) => self.input(store, job),
            Content::Aside(expected) => adopt(store, job, expected),
            Content::Beginning(expected) => beginning(store, job, expected),
            Content::Result => return self.result(job),
        };
        Some(result.unwrap_or_else(|error| unreadable(job, &error)))
    }

    /// A small file that is met again under another name is hashed again sooner than a hundred thousand are remembered.
    fn remember(&mut self, ingested: &Ingested, kept: bool) {
        if self.0.len() >= MANY {
            self.0.retain(|signature, _| signature.size > COPY_LIMIT);
        }
        self.0.insert(ingested.signature, (ingested.digest, ingested.mode, kept));
    }

    fn input(&mut self, store: &Store, job: &Job) -> Result<FileVersion, FileError> {
        let metadata = files::metadata(job.host()).map_err(FileError::new("read", job.host()))?;
        let found = Signature::of(&metadata);
        if let Some((digest, mode, kept)) = self.0.get(&found).copied() {
            let ingested = Ingested { digest, signature: found, mode, unstable: false };
            return Ok(checked(job, version(job, ingested, kept)));
        }
        let small = metadata.len() <= COPY_LIMIT;
        // A store that is full or gone does not keep us from knowing the digest.
        let (ingested, kept) = match small.then(|| store.ingest_file(job.host())) {
            Some(Ok(ingested)) => (ingested, !ingested.unstable),
            _ => (hash_file(job.host())?, false),
        };
        if !ingested.unstable {
            self.remember(&ingested, kept);
        }
        Ok(checked(job, version(job, ingested, kept)))
    }

    fn result(&mut self, job: &Job) -> Option<FileVersion> {
        let metadata = files::metadata(job.host()).ok().filter(|metadata| metadata.is_file())?;
        let signature = Signature::of(&metadata);
        if metadata.len() > RESULT_LIMIT {
            let empty = Ingested { digest: Digest::of(b""), signature, mode: mode_of(&metadata), unstable: false };
            let note = Some("larger than the limit: size only".to_owned());
            return Some(FileVersion { digest: None, note, ..version(job, empty, false) });
        }
        if let Some((digest, mode, kept)) = self.0.get(&signature).copied() {
            return Some(version(job, Ingested { digest, signature, mode, unstable: false }, kept));
        }
        let ingested = hash_file(job.host()).ok()?;
        if !ingested.unstable {
            self.remember(&ingested, false);
        }
        Some(version(job, ingested, false))
    }
}

/// Marks a version whose file is not what it was when it was opened.
///
/// Who writes as many bytes and sets the time back changes only `ctime`; inodes may be others at each look on file
/// systems that programs serve. A new mode or owner changes `ctime` too: then the word is too strong, which is the better fault.
fn checked(job: &Job, version: FileVersion) -> FileVersion {
    match job.expected() {
        Some(expected)
            if (expected.size, expected.mtime_ns, expected.ctime_ns)
                != (version.signature.size, version.signature.mtime_ns, version.signature.ctime_ns) =>
        {
            FileVersion { unstable: true, note: Some("changed since it was read".to_owned()), ..version }
        }
        _ => version,
    }
}

/// Makes what was put aside a blob: moved when it has no other name any more, else copied.
fn adopt(store: &Store, job: &Job, expected: Signature) -> Result<FileVersion, FileError> {
    use std::os::unix::fs::MetadataExt as _;
    let alone = std::fs::metadata(job.host()).map_err(FileError::new("read", job.host()))?.nlink() == 1;
    let moved = if alone {
        let ingested = hash_file(job.host())?;
        match store.adopt(job.host(), &ingested.digest) {
            Ok(()) => Some(ingested),
            // The session lies on a disk of this machine, the store on a network.
            Err(error) if error.source.kind() == std::io::ErrorKind::CrossesDevices => None,
            Err(error) => return Err(error),
        }
    } else {
        None
    };
    let ingested = match moved {
        Some(ingested) => ingested,
        None => {
            let ingested = store.ingest_file(job.host())?;
            std::fs::remove_file(job.host()).map_err(FileError::new("remove", job.host()))?;
            ingested
        }
    };
    let found = version(job, ingested, true);
    // The copy has a time of its own; a link that somebody wrote through has another size or time.
    let changed = expected.size != ingested.signature.size;
    let note = changed.then(|| "changed while it was put aside".to_owned());
    Ok(FileVersion { signature: expected, unstable: changed, note, ..found })
}

fn beginning(store: &Store, job: &Job, expected: Signature) -> Result<FileVersion, FileError> {
    let bytes = expected.size;
    let error = || FileError::new("read", job.host());
    let file = files::open(job.host())?;
    let metadata = file.metadata().map_err(error())?;
    let dir = store.tmp();
    files::create_private_dir(&dir)?;
    let mut copy = tempfile::NamedTempFile::new_in(&dir).map_err(FileError::new("create a file in", &dir))?;
    let mut reader = crate::digest::HashingReader::new(file.take(bytes));
    let keep = bytes <= PREFIX_LIMIT;
    if keep {
        std::io::copy(&mut reader, &mut copy).map_err(error())?;
    } else {
        std::io::copy(&mut reader, &mut std::io::sink()).map_err(error())?;
    }
    let (_, digest, read) = reader.finish();
    if keep {
        let (_, path) = copy.keep().map_err(|error| FileError::new("write", &dir)(error.error))?;
        store.adopt(&path, &digest)?;
    }
    let ingested = Ingested { digest, signature: expected, mode: mode_of(&metadata), unstable: read < bytes };
    let note = Some("the session appended to it; this is its beginning as it was read".to_owned());
    Ok(FileVersion { note, ..version(job, ingested, keep) })
}

fn mode_of(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o7777
}

fn version(job: &Job, ingested: Ingested, kept: bool) -> FileVersion {
    FileVersion {
        path: job.path.to_vec(),
        execution: job.execution,
        role: job.role(),
        digest: Some(ingested.digest),
        signature: ingested.signature,
        mode: ingested.mode,
        kept,
        unstable: ingested.unstable,
        seen: now(),
        note: ingested.unstable.then(|| "changed while it was read".to_owned()),
    }
}

/// What is said of a file that is not there any more.
const GONE: &str = "gone before it could be hashed";

fn unreadable(job: &Job, error: &FileError) -> FileVersion {
    match error.source.kind() {
        std::io::ErrorKind::NotFound => nothing(job, GONE),
        std::io::ErrorKind::TimedOut => nothing(job, "not readable: its file system does not answer"),
        _ => nothing(job, &format!("not readable: {}", error.source)),
    }
}

/// A version of which only `note` is known.
fn nothing(job: &Job, note: &str) -> FileVersion {
    let nothing = Signature { dev: 0, ino: 0, size: 0, mtime_ns: 0, ctime_ns: 0 };
    FileVersion {
        path: job.path.to_vec(),
        execution: job.execution,
        role: job.role(),
        digest: None,
        signature: job.expected().unwrap_or(nothing),
        mode: 0,
        kept: false,
        unstable: false,
        seen: now(),
        note: Some(note.to_owned()),
    }
}

/// Jobs for inputs that a session read and nobody hashed: it was killed before.
pub(super) fn missing(
    recording: &[crate::session::model::FileUse],
    versions: &[FileVersion],
    is_data: impl Fn(&[u8]) -> bool,
) -> Vec<Job> {
    use crate::session::model::Use;
    let known: std::collections::BTreeSet<&[u8]> = versions.iter().map(|version| version.path.as_slice()).collect();
    let mut first: BTreeMap<&[u8], &crate::session::model::FileUse> = BTreeMap::new();
    for file in
        recording.iter().filter(|file| matches!(file.usage, Use::Read | Use::Write | Use::Update | Use::RenameTo))
    {
        let earliest = first.entry(&file.path).or_insert(file);
        if file.first < earliest.first {
            *earliest = file;
        }
    }
    first
        .into_iter()
        .filter(|(path, file)| {
            file.usage == Use::Read
                && file.signature.is_some()
                && !file.created_here
                && !known.contains(path)
                && is_data(path)
        })
        .map(|(path, file)| Job::new(path.into(), as_path(path), file.execution, Content::Input(file.signature)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_with_a_container_before_it_was_hashed_is_counted_and_what_was_removed_before_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let there = dir.path().join("there");
        std::fs::write(&there, b"x").unwrap();
        let job = |host: &Path, content: Content| Job::new(SharedPath::from(&b"/made"[..]), host, Some(1), content);
        let gone = dir.path().join("gone");
        let jobs = || [job(&there, Content::Result), job(&gone, Content::Result), job(&gone, Content::Input(None))];
        // (the kernel lives, has ended, has ended and there is no time): (lost, versions, digests)
        for (ended, stopped, expected) in [(false, false, (0, 2, 1)), (true, false, (2, 3, 1)), (true, true, (3, 3, 0))]
        {
            let (jobs_in, receiver) = std::sync::mpsc::channel();
            let (done, versions) = std::sync::mpsc::channel();
            jobs_in.send(jobs().into()).unwrap();
            drop(jobs_in);
            let course = Arc::new(Course::default());
            course.gone.store(ended, Ordering::Relaxed);
            course.stop.store(stopped, Ordering::Relaxed);
            let open = AtomicUsize::new(3);
            work(&store, &Standings::default(), &receiver, &done, &open, &course, || {});
            let versions: Vec<FileVersion> = versions.try_iter().collect();
            let digests = versions.iter().filter(|version| version.digest.is_some()).count();
            assert_eq!((course.lost.load(Ordering::Relaxed), versions.len(), digests), expected);
            assert_eq!(open.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn a_file_that_was_rewritten_with_its_old_size_and_time_is_marked() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let path = dir.path().join("input");
        std::fs::write(&path, b"one").unwrap();
        let before = std::fs::metadata(&path).unwrap();
        let content = |expected| Content::Input(Some(Signature::of(expected)));
        let job = |expected| Job::new(SharedPath::from(&b"/input"[..]), &path, None, content(expected));
        let found = Digests::default().version(&store, &job(&before)).unwrap();
        assert!(!found.unstable && found.digest == Some(Digest::of(b"one")));
        // Linux counts time in steps of some milliseconds.
        std::thread::park_timeout(std::time::Duration::from_millis(20));
        std::fs::write(&path, b"two").unwrap();
        files::open(&path).unwrap().set_modified(before.modified().unwrap()).unwrap();
        let after = std::fs::metadata(&path).unwrap();
        assert_eq!((before.len(), before.modified().unwrap()), (after.len(), after.modified().unwrap()));
        let found = Digests::default().version(&store, &job(&before)).unwrap();
        assert!(found.unstable, "{found:?}");
    }

    #[test]
    fn a_file_that_grows_while_it_is_hashed_is_marked() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, vec![b'x'; 40 << 20]).unwrap();
        let content = Content::Input(Some(Signature::of(&std::fs::metadata(&path).unwrap())));
        let job = Job::new(SharedPath::from(&b"/log"[..]), &path, None, content);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                use std::io::Write as _;
                let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    file.write_all(b"more").unwrap();
                    std::thread::park_timeout(std::time::Duration::from_millis(1));
                }
            });
            let found = Digests::default().version(&store, &job);
            stop.store(true, Ordering::Relaxed);
            assert!(found.unwrap().unstable);
        });
    }
}
