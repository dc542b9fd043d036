//! The same file opened again and again: written down once with a count, until the kernel's state changes.
//!
//! A repetition is the same open of the same thread of a file that did not change meanwhile (its signature says so).
//! Uses belong to executions, whose bounds are `status` messages: with each of them the counts are written, so none
//! is carried from one execution into the next.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::{
    event::{FileAccess, FileOp, Nanos},
    files::Signature,
};

/// More files than this are not remembered at once.
const MANY: usize = 4096;

/// What was opened since the kernel's state changed last, by path.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    seen: HashMap<Vec<u8>, Seen, RandomState>,
}

/// An open, and how often it was repeated.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Nanos,
    pid: u32,
    tid: u32,
    op: FileOp,
    signature: Option<Signature>,
    times: u32,
}

impl Seen {
    fn of(access: &FileAccess) -> Self {
        let FileAccess { at, pid, tid, op, signature, .. } = *access;
        Self { at, pid, tid, op, signature, times: 0 }
    }

    fn access(self, path: Vec<u8>) -> FileAccess {
        let Self { at, pid, tid, op, signature, times } = self;
        FileAccess { at, pid, tid, op, path, other: None, signature, times }
    }
}

impl Repeats {
    /// Whether this only repeats what was seen: then it is counted, and not to be written down by itself.
    ///
    /// The second value is what must be written because of it: the repetitions of another open of the same path.
    pub(super) fn is_one(&mut self, access: &FileAccess) -> (bool, Option<FileAccess>) {
        let FileOp::Open { flags } = access.op else { return (false, None) };
        if access.signature.is_none() || flags & (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC) != libc::O_RDONLY {
            return (false, None);
        }
        if let Some(seen) = self.seen.get_mut(&access.path) {
            if (seen.pid, seen.tid, seen.op, seen.signature) == (access.pid, access.tid, access.op, access.signature) {
                seen.times = seen.times.saturating_add(access.times);
                seen.at = access.at;
                return (true, None);
            }
            let before = std::mem::replace(seen, Seen::of(access));
            return (false, (before.times > 0).then(|| before.access(access.path.clone())));
        }
        if self.seen.len() < MANY {
            self.seen.insert(access.path.clone(), Seen::of(access));
        }
        (false, None)
    }

    /// Forgets everything; gives what was counted and is to be written, oldest first.
    pub(super) fn take(&mut self) -> Vec<FileAccess> {
        let counted = self.seen.drain().filter(|(_, seen)| seen.times > 0);
        let mut counted: Vec<FileAccess> = counted.map(|(path, seen)| seen.access(path)).collect();
        counted.sort_by_key(|access| access.at);
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Signature;

    fn open(at: i64, path: &str, size: u64) -> FileAccess {
        let signature = Some(Signature { dev: 1, ino: 2, size, mtime_ns: 3, ctime_ns: 4 });
        let op = FileOp::Open { flags: libc::O_RDONLY | libc::O_CLOEXEC };
        FileAccess { at, pid: 7, tid: 7, op, path: path.into(), other: None, signature, times: 1 }
    }

    #[test]
    fn a_repetition_is_counted_and_a_changed_file_is_none() {
        let mut repeats = Repeats::default();
        assert_eq!(repeats.is_one(&open(1, "/a", 5)), (false, None));
        assert_eq!(repeats.is_one(&open(2, "/a", 5)), (true, None));
        assert_eq!(repeats.is_one(&open(3, "/a", 5)), (true, None));
        assert_eq!(repeats.is_one(&open(4, "/b", 5)), (false, None));
        let (is_one, before) = repeats.is_one(&open(5, "/a", 6));
        let before = before.unwrap();
        assert_eq!((is_one, before.times, before.at, before.signature.unwrap().size), (false, 2, 3, 5));
        assert_eq!(repeats.is_one(&open(6, "/a", 6)), (true, None));
        assert_eq!(repeats.is_one(&FileAccess { pid: 8, ..open(7, "/b", 5) }), (false, None));
        let written: Vec<_> = repeats.take().into_iter().map(|access| (access.path, access.times)).collect();
        assert_eq!(written, [(b"/a".to_vec(), 1)]);
        assert_eq!(repeats.is_one(&open(8, "/a", 6)), (false, None));
    }

    #[test]
    fn what_writes_or_was_not_looked_at_is_never_a_repetition() {
        let mut repeats = Repeats::default();
        for access in [
            FileAccess { signature: None, ..open(1, "/a", 5) },
            FileAccess { op: FileOp::Open { flags: libc::O_RDWR }, ..open(1, "/a", 5) },
            FileAccess { op: FileOp::Exec, ..open(1, "/a", 5) },
        ] {
            for _ in 0..2 {
                assert_eq!(repeats.is_one(&access), (false, None));
            }
        }
        assert!(repeats.take().is_empty());
    }
}
