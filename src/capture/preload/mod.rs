//! What the kernel writes down itself: its openings of bytecode and directories.
//!
//! Three of four openings of a session that imports the usual libraries are these, and the supervisor's way of seeing
//! them, with two changes of process for each, cost several hundredths of such a session. The dynamic loader puts a small
//! object (`object.rs`) before the C library in the kernel's process; its first thread opens such files from a page of
//! code that the filter lets pass, and writes each into a ring of its own. Whatever the object does not do goes the
//! usual way.
//!
//! The kernel can write this memory: what stands in it is a claim, like the paths in its memory are.

use std::{
    ffi::OsString,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    interpreter,
    sys::{self, Mapping},
};
use crate::event::Nanos;
use crate::files::Signature;

#[expect(unreachable_pub, reason = "the object compiles this file too")]
pub(super) mod layout;

use layout::{CODE, CODE_AT, FILE, FIXED, HEAD, LONGEST, OBJECT, PAGE, RING_AT, SLOT_WORDS, SLOTS, TAIL};

/// The object; empty where this architecture has none.
const BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/preload.so"));
/// The dynamic loader that takes it.
const LOADER: &[u8] = b"/ld-linux-x86-64.so.2";
/// The variables by which the user has the loader do the same; then ours stays away.
const TAKEN: [&str; 2] = [VARIABLE, "LD_AUDIT"];
/// `ld.so(8)`.
const VARIABLE: &str = "LD_PRELOAD";
/// The memory file's name.
const NAME: &str = "nbpack-preload";

/// An opening that the kernel wrote down.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) at: Nanos,
    pub(super) flags: i32,
    pub(super) path: Vec<u8>,
    /// Of what it opened; not of a directory.
    pub(super) signature: Option<Signature>,
}

/// The ring that the kernel writes, and how far it was read.
#[derive(Debug)]
pub(super) struct Openings {
    words: Mapping,
    /// Openings that the sink has.
    done: AtomicU64,
}

/// The memory file for a kernel, and what it will write there. `None` where that cannot be had: everything is seen
/// without it as well.
pub(super) fn prepare() -> Option<(OwnedFd, Openings)> {
    let memory = Openings::create().ok()?;
    let openings = Openings::map(memory.as_fd()).ok()?;
    Some((memory, openings))
}

impl Openings {
    /// Makes the memory file, with the object in it.
    fn create() -> io::Result<OwnedFd> {
        if BYTES.is_empty() || BYTES.len() > OBJECT || rustix::param::page_size() != PAGE {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let memory = rustix::fs::memfd_create(NAME, rustix::fs::MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&memory, FILE as u64)?;
        for (bytes, at) in [(BYTES, 0), (&CODE, CODE_AT)] {
            if rustix::io::pwrite(&memory, bytes, at as u64)? != bytes.len() {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        // The loader would complain to the user, in each program that the notebook starts.
        if sys::may_run(memory.as_fd()) { Ok(memory) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    /// Maps it.
    fn map(memory: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { words: Mapping::new(memory, FILE / 8)?, done: AtomicU64::new(0) })
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        #[expect(clippy::indexing_slicing, reason = "the places are constants and slots below the length")]
        &self.words[RING_AT / 8 + index]
    }

    /// How many were written.
    pub(super) fn head(&self) -> u64 {
        self.word(HEAD).load(Ordering::Acquire)
    }

    /// The sink has everything that was read.
    pub(super) fn set_done(&self) {
        self.done.store(self.word(TAIL).load(Ordering::Relaxed), Ordering::Release);
    }

    /// Whether the sink has the first `count`.
    pub(super) fn has_done(&self, count: u64) -> bool {
        self.done.load(Ordering::Acquire) >= count
    }

    /// Takes the oldest, if it is not younger than `until`.
    pub(super) fn next(&self, until: Nanos) -> Option<Opening> {
        loop {
            let (head, tail) = (self.head(), self.word(TAIL).load(Ordering::Relaxed));
            if tail == head {
                return None;
            }
            // A head that no writer of ours makes: what the slots hold cannot be told.
            if head.wrapping_sub(tail) > SLOTS as u64 {
                self.word(TAIL).store(head, Ordering::Release);
                return None;
            }
            let start = PAGE / 8 + (tail as usize % SLOTS) * SLOT_WORDS;
            let words: [u64; SLOT_WORDS] =
                std::array::from_fn(|index| self.word(start + index).load(Ordering::Relaxed));
            if words.first().is_some_and(|at| at.cast_signed() > until) {
                return None;
            }
            self.word(TAIL).store(tail.wrapping_add(1), Ordering::Release);
            if let Some(opening) = decode(&words) {
                return Some(opening);
            }
        }
    }
}

/// Reads a slot; `None` when no writer of ours wrote it.
fn decode(words: &[u64; SLOT_WORDS]) -> Option<Opening> {
    let ([at, second, dev, ino, size, mtime, ctime, _], path) = words.split_first_chunk::<FIXED>()?;
    let length = Some((second >> 32) as usize).filter(|length| *length <= LONGEST)?;
    let mut bytes: Vec<u8> = path.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.truncate(length);
    if bytes.first() != Some(&b'/') || bytes.contains(&0) {
        return None;
    }
    let flags = (*second as u32).cast_signed();
    let signature =
        Signature { dev: *dev, ino: *ino, size: *size, mtime_ns: mtime.cast_signed(), ctime_ns: ctime.cast_signed() };
    let signature = (flags & libc::O_DIRECTORY == 0).then_some(signature);
    Some(Opening { at: at.cast_signed(), flags, path: bytes, signature })
}

/// Whether the object can be given to `program`, which will have this process's environment.
pub(super) fn suits(program: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    if TAKEN.iter().any(|name| std::env::var_os(name).is_some()) {
        return false;
    }
    let found: Option<PathBuf> = match program.components().count() {
        1 if !program.has_root() => std::env::var_os("PATH").and_then(|path| {
            std::env::split_paths(&path).map(|dir| dir.join(program)).find(|candidate| candidate.is_file())
        }),
        _ => Some(program.to_owned()),
    };
    let Some(found) = found else { return false };
    let interpreters =
        interpreter::interpreters(found.as_os_str().as_bytes(), |path| crate::files::as_path(path).to_owned());
    interpreters.last().is_some_and(|loader| loader.ends_with(LOADER))
}

/// What the kernel's environment must hold for the loader to take the object from descriptor `number`. The object takes
/// the variable out again, and closes the descriptor.
pub(super) fn variable(number: i32) -> (&'static str, OsString) {
    (VARIABLE, format!("/proc/self/fd/{number}").into())
}

#[cfg(target_arch = "x86_64")]
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn openings() -> Openings {
        prepare().unwrap().1
    }

    /// Writes as the object does.
    fn write(openings: &Openings, at: u64, path: &[u8]) {
        let head = openings.head();
        let start = PAGE / 8 + (head as usize % SLOTS) * SLOT_WORDS;
        let put = |index: usize, value: u64| openings.word(start + index).store(value, Ordering::Relaxed);
        put(0, at);
        put(1, (path.len() as u64) << 32);
        for (index, chunk) in path.chunks(8).enumerate() {
            let mut eight = [0; 8];
            eight[..chunk.len()].copy_from_slice(chunk);
            put(FIXED + index, u64::from_le_bytes(eight));
        }
        openings.word(HEAD).store(head + 1, Ordering::Release);
    }

    #[test]
    fn openings_come_out_in_turn_and_not_before_their_time() {
        let openings = openings();
        for round in 0..2000u64 {
            write(&openings, round, format!("/a/{round}.pyc").as_bytes());
            assert!(openings.next(round.cast_signed() - 1).is_none());
            let opening = openings.next(round.cast_signed()).unwrap();
            assert_eq!((opening.at, opening.path), (round.cast_signed(), format!("/a/{round}.pyc").into_bytes()));
        }
        assert!(openings.next(Nanos::MAX).is_none() && !openings.has_done(2000));
        openings.set_done();
        assert!(openings.has_done(2000));
    }

    #[test]
    fn a_head_that_no_writer_makes_loses_what_is_there_and_no_more() {
        let openings = openings();
        openings.word(HEAD).store(u64::MAX / 2, Ordering::Release);
        assert!(openings.next(Nanos::MAX).is_none());
        write(&openings, 1, b"/later.pyc");
        assert_eq!(openings.next(Nanos::MAX).unwrap().path, b"/later.pyc");
    }

    proptest! {
        #[test]
        fn no_words_make_it_panic(words in proptest::array::uniform32(any::<u64>())) {
            let mut slot = [0; SLOT_WORDS];
            slot[..32].copy_from_slice(&words);
            decode(&slot);
        }
    }
}
