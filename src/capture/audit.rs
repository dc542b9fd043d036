//! The last way to see something: a hook in every Python process that says what Python code opens.
//!
//! It stands in a directory at the head of `PYTHONPATH` and speaks through a named pipe there. What native code opens it
//! does not see; the files that are mapped or still open when a cell ends are added from `/proc`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::{
    event::{PollFlags, poll},
    fs::{FileType, Mode, OFlags},
};

use super::{
    inherited,
    ring::{self, Shared},
    seen::{Seen, What},
    supervisor::is_pseudo,
    tap::source,
};
use crate::{
    event::{self, Event, EventSink, FileOp},
    files,
};

/// The variable that leads Python to the hook.
pub(super) const VARIABLE: &str = "PYTHONPATH";
/// The hook.
const HOOK: &str = include_str!("audit.py");
/// What the pipe holds while nobody reads, in bytes; the most that Linux gives to everybody.
const ROOM: usize = 1 << 20;
/// Files that are found at a cell's end were opened so long (ns) before it, at least.
const BEFORE_THE_END: event::Nanos = 2_000_000;
/// More lines of `/proc/PID/maps` are not looked at.
const MAPS: u64 = 16 << 20;

/// The hook's other end.
pub(super) struct Audit {
    dir: PathBuf,
    pipe: OwnedFd,
    shared: Arc<Shared>,
    wake: Arc<OwnedFd>,
    sink: Arc<dyn EventSink>,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// What was read and is no whole word yet.
    bytes: Vec<u8>,
    words: Vec<u64>,
    /// The Python processes that have the hook.
    pids: BTreeSet<u32>,
    /// What each of them had mapped or open at the last look, and how.
    known: BTreeMap<u32, BTreeMap<Vec<u8>, i32>>,
}

/// Puts the hook into its directory and opens the pipe.
pub(super) fn prepare(dir: &Path) -> io::Result<OwnedFd> {
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("sitecustomize.py"), HOOK)?;
    let pipe = dir.join("said");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    // With a writer of our own there is never an end.
    let pipe = rustix::fs::open(&pipe, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    // A small one makes writers wait more often, no more.
    rustix::pipe::fcntl_setpipe_size(&pipe, ROOM).map(drop).unwrap_or_default();
    Ok(pipe)
}

/// Lets the caller go on who waits for an answer under this name.
pub(super) fn answer(dir: &Path, pid: u32, tid: u32) {
    let to = dir.join(format!("{pid}-{tid}"));
    // Who does not wait any more needs no answer.
    std::fs::OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(to)
        .and_then(|mut pipe| pipe.write_all(b"x"))
        .unwrap_or_default();
}

impl Audit {
    pub(super) fn new(
        dir: PathBuf,
        pipe: OwnedFd,
        shared: Arc<Shared>,
        wake: Arc<OwnedFd>,
        sink: Arc<dyn EventSink>,
    ) -> Self {
        Self { dir, pipe, shared, wake, sink, heard: Mutex::default() }
    }

    /// Hears until `stop` becomes readable.
    pub(super) fn hear_all(&self, stop: &OwnedFd) {
        loop {
            let mut sources = [source(Some(self.pipe.as_fd()), stop.as_fd()), source(Some(stop.as_fd()), stop.as_fd())];
            if poll(&mut sources, None).is_err() {
                continue;
            }
            let [_, stopped] = sources.map(|source| source.revents());
            self.hear();
            if stopped.contains(PollFlags::IN) {
                return;
            }
        }
    }

    /// Puts all that was said up to now on the ring.
    fn hear(&self) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = rustix::io::read(&self.pipe, &mut *buffer) {
            heard.bytes.extend(buffer.iter().take(length));
            let mut bytes = std::mem::take(&mut heard.bytes);
            let mut rest = bytes.as_slice();
            while let Some((word, after)) = frame(rest) {
                rest = after;
                match word.and_then(said) {
                    Some(Said::Hello(pid)) => {
                        if heard.pids.is_empty() {
                            let (coverage, mechanism) = ("python-only".into(), "audit".into());
                            self.sink.record(Event::Coverage { at: event::now(), coverage, mechanism });
                        }
                        heard.pids.insert(pid);
                    }
                    Some(Said::Seen(seen)) => self.push(&seen, &mut heard.words),
                    None => {}
                }
            }
            let left = rest.len();
            bytes.drain(..bytes.len() - left);
            heard.bytes = bytes;
        }
    }

    fn push(&self, seen: &Seen, words: &mut Vec<u64>) {
        seen.encode(words);
        if !self.shared.push(words) && seen.parked != 0 {
            self.shared.count_overdue();
            answer(&self.dir, seen.pid, seen.tid);
        }
        if self.shared.must_wake() || seen.parked != 0 {
            self.shared.cancel_sleep();
            ring::wake(&*self.wake);
        }
    }

    /// Hears what is there, and looks which files the processes have mapped or open.
    pub(super) fn settle(&self) {
        // In the cell that ends now, whose end may have been stamped already.
        let at = event::now() - BEFORE_THE_END;
        self.hear();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut words = std::mem::take(&mut heard.words);
        heard.pids.retain(|pid| Path::new(&format!("/proc/{pid}")).exists());
        let found: BTreeMap<u32, BTreeMap<Vec<u8>, i32>> =
            heard.pids.iter().map(|pid| (*pid, self.files_of(*pid))).collect();
        for (pid, files) in &found {
            for (path, flags) in files {
                // A child has what its parent had; what was closed in between is open anew.
                if heard.known.values().any(|known| known.contains_key(path)) {
                    continue;
                }
                let what = What::Open { flags: flags & (libc::O_ACCMODE | libc::O_DIRECTORY) };
                let (elsewhere, parked, other, path) = (false, 0, Vec::new(), path.clone());
                self.push(
                    &Seen { at, pid: *pid, tid: *pid, ppid: 0, started: 0, elsewhere, parked, what, path, other },
                    &mut words,
                );
            }
        }
        heard.known = found;
        heard.words = words;
    }

    /// What a process has mapped or open, and how; not where its standard streams go, which is its starter's business.
    fn files_of(&self, pid: u32) -> BTreeMap<Vec<u8>, i32> {
        let mut found: BTreeMap<Vec<u8>, i32> =
            mapped_files(pid).into_iter().map(|path| (path, libc::O_RDONLY)).collect();
        for file in inherited::open_files(pid, 0).unwrap_or_default() {
            if let FileOp::Open { flags } = file.op {
                found.insert(file.path, flags);
            }
        }
        for stream in 0..3 {
            if let Ok(path) = rustix::fs::readlink(format!("/proc/{pid}/fd/{stream}"), Vec::new()) {
                found.remove(path.as_bytes());
            }
        }
        found.retain(|path, _| !is_pseudo(path) && !path.starts_with(self.dir.as_os_str().as_bytes()));
        found
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        // What outlives the session finds no pipe and says nothing more.
        std::fs::remove_dir_all(&self.dir).unwrap_or_default();
    }
}

/// The files that process `pid` has mapped: libraries, above all.
fn mapped_files(pid: u32) -> BTreeSet<Vec<u8>> {
    let maps = files::read_bounded(Path::new(&format!("/proc/{pid}/maps")), MAPS).unwrap_or_default();
    let path = |line: &[u8]| {
        let start = memchr::memchr(b'/', line)?;
        let path = line.get(start..)?;
        (!path.ends_with(b" (deleted)")).then(|| path.to_vec())
    };
    maps.split(|byte| *byte == b'\n').filter_map(path).collect()
}

/// The first word of a stream: its bytes, if its length was one, and what comes after; `None` while it is not whole.
fn frame(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = bytes.split_at_checked(4)?;
    let length = std::str::from_utf8(length).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
    // Somebody else wrote: what is there cannot be told apart any more.
    let Some(length) = length else { return Some((None, &[])) };
    let (word, rest) = rest.split_at_checked(length)?;
    Some((Some(word), rest))
}

/// What a word says.
enum Said {
    /// A process has the hook.
    Hello(u32),
    /// It does something.
    Seen(Seen),
}

fn said(word: &[u8]) -> Option<Said> {
    let mut fields = word.splitn(9, |byte| *byte == 0);
    let mut next = || fields.next();
    let kind = next()?;
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse::<i64>().ok();
    let (at, pid, tid, ppid, value) = (number()?, number()?, number()?, number()?, number()?);
    let (reply, path, other) = (fields.next()?, fields.next()?.to_vec(), fields.next()?.to_vec());
    let [pid, tid, ppid] = [pid, tid, ppid].map(|number| u32::try_from(number).unwrap_or(0));
    let what = match kind {
        b"h" => return Some(Said::Hello(pid)),
        b"o" => What::Open { flags: i32::try_from(value).ok()? },
        b"r" => What::Rename { exchange: false },
        b"u" => What::Unlink { dir: value != 0 },
        b"t" => What::Truncate,
        b"l" => What::Link,
        b"s" => What::Symlink,
        b"x" => What::Spawn,
        b"c" => What::Reach,
        _ => return None,
    };
    let parked = u64::from(!reply.is_empty());
    Some(Said::Seen(Seen { at, pid, tid, ppid, started: 0, elsewhere: false, parked, what, path, other }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word(text: &str) -> Vec<u8> {
        format!("{:04x}{text}", text.len()).into_bytes()
    }

    #[test]
    fn words_are_cut_out_of_the_stream_where_they_end() {
        let stream = [word("o\x005\x0011\x0012\x001\x00577\x0011-12\x00/a\nb\x00"), b"00".to_vec()].concat();
        let (first, rest) = frame(&stream).unwrap();
        let Some(Said::Seen(seen)) = said(first.unwrap()) else { panic!("nothing was said") };
        assert_eq!((seen.at, seen.pid, seen.tid, seen.ppid, seen.parked), (5, 11, 12, 1, 1));
        assert_eq!((seen.what, seen.path), (What::Open { flags: 577 }, b"/a\nb".to_vec()));
        assert!(frame(rest).is_none());
        assert!(frame(b"zzzz").unwrap().0.is_none());
    }

    #[test]
    fn arguments_keep_their_ends() {
        let (first, _) = frame(&word("x\x005\x001\x001\x001\x000\x00\x00/bin/sh\x00sh\x00-c\x00true\x00"))
            .map(|(word, rest)| (word.unwrap().to_vec(), rest.len()))
            .unwrap();
        let Some(Said::Seen(seen)) = said(&first) else { panic!("nothing was said") };
        assert_eq!((seen.what, seen.other), (What::Spawn, b"sh\0-c\0true\0".to_vec()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_hearer_panic(bytes: Vec<u8>) {
            if let Some((Some(word), _)) = frame(&bytes) {
                said(word);
            }
            said(&bytes);
        }
    }
}
