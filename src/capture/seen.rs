//! One intercepted call as the supervisor saw it, and its form in the ring.

use crate::event::Nanos;

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// With the flags as given.
    Open { flags: i32 },
    /// `other` holds the arguments, each ended by a NUL.
    Exec,
    /// `exchange`: `RENAME_EXCHANGE`.
    Rename { exchange: bool },
    /// `dir`: a directory.
    Unlink { dir: bool },
    /// By path.
    Truncate,
    /// A second name.
    Link,
    /// `path` is the new link, `other` its text.
    Symlink,
    /// `path` is the socket address as the caller gave it (`sockaddr`).
    Connect,
    /// `path` is an address in words.
    Reach,
    /// A program was started by a process that goes on; `other` as for `Exec`.
    Spawn,
    /// `io_uring_setup`: what goes through the ring is not seen.
    IoUring,
    /// A handler for the signal of a timer; `restarts`: the default, ignored, or with `SA_RESTART`.
    Handler { signal: i32, restarts: bool },
    /// A timer that fires again and again; `signal` is the one it sends.
    Timer { signal: i32 },
    /// The call's path could not be read, with this error number.
    Unreadable { errno: i32 },
}

/// An intercepted call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    pub(super) at: Nanos,
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) ppid: u32,
    /// When the thread was started; 0: not known.
    pub(super) started: Nanos,
    /// The caller has another root directory or other mounts than the supervisor.
    pub(super) elsewhere: bool,
    /// The notification that waits until the proxy answers it; 0 when the call went on already.
    pub(super) parked: u64,
    pub(super) what: What,
    pub(super) path: Vec<u8>,
    pub(super) other: Vec<u8>,
}

/// Words before the bytes of the paths.
const FIXED: usize = 7;

impl Seen {
    /// Writes the words of the ring's record into `words`.
    pub(super) fn encode(&self, words: &mut Vec<u64>) {
        let (kind, value) = match self.what {
            What::Open { flags } => (0u8, flags),
            What::Exec => (1, 0),
            What::Rename { exchange } => (2, exchange.into()),
            What::Unlink { dir } => (3, dir.into()),
            What::Truncate => (4, 0),
            What::Link => (5, 0),
            What::Symlink => (6, 0),
            What::Connect => (7, 0),
            What::IoUring => (8, 0),
            What::Handler { signal, restarts } => (9, signal << 1 | i32::from(restarts)),
            What::Timer { signal } => (10, signal),
            What::Unreadable { errno } => (11, errno),
            What::Reach => (12, 0),
            What::Spawn => (13, 0),
        };
        words.clear();
        words.push(u64::from(kind) | u64::from(self.elsewhere) << 8 | u64::from(value.cast_unsigned()) << 32);
        words.push(self.at.cast_unsigned());
        words.push(u64::from(self.pid) | u64::from(self.tid) << 32);
        words.push(u64::from(self.ppid));
        words.push(self.parked);
        words.push(self.started.cast_unsigned());
        words.push(self.path.len() as u64 | (self.other.len() as u64) << 32);
        push_bytes(words, &self.path);
        push_bytes(words, &self.other);
    }

    /// Reads a record; `None` when it is none of ours (the memory is shared, so nothing is taken for granted).
    pub(super) fn decode(words: &[u64]) -> Option<Self> {
        let ([first, at, ids, ppid, parked, started, lengths], bytes) = words.split_first_chunk::<FIXED>()?;
        let value = ((first >> 32) as u32).cast_signed();
        let what = match *first as u8 {
            0 => What::Open { flags: value },
            1 => What::Exec,
            2 => What::Rename { exchange: value != 0 },
            3 => What::Unlink { dir: value != 0 },
            4 => What::Truncate,
            5 => What::Link,
            6 => What::Symlink,
            7 => What::Connect,
            8 => What::IoUring,
            9 => What::Handler { signal: value >> 1, restarts: value & 1 != 0 },
            10 => What::Timer { signal: value },
            11 => What::Unreadable { errno: value },
            12 => What::Reach,
            13 => What::Spawn,
            _ => return None,
        };
        let (path, bytes) = take_bytes(bytes, *lengths as u32)?;
        let (other, _) = take_bytes(bytes, (*lengths >> 32) as u32)?;
        Some(Self {
            at: at.cast_signed(),
            pid: *ids as u32,
            tid: (*ids >> 32) as u32,
            ppid: *ppid as u32,
            started: started.cast_signed(),
            elsewhere: first & 0x100 != 0,
            parked: *parked,
            what,
            path,
            other,
        })
    }
}

fn push_bytes(words: &mut Vec<u64>, bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    words.extend(whole.iter().map(|chunk| u64::from_le_bytes(*chunk)));
    if !rest.is_empty() {
        words.push(rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    }
}

fn take_bytes(words: &[u64], length: u32) -> Option<(Vec<u8>, &[u64])> {
    let length = length as usize;
    let (mine, rest) = words.split_at_checked(length.div_ceil(8))?;
    let mut bytes: Vec<u8> = mine.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.truncate(length);
    Some((bytes, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn what() -> impl Strategy<Value = What> {
        prop_oneof![
            any::<i32>().prop_map(|flags| What::Open { flags }),
            Just(What::Exec),
            any::<bool>().prop_map(|exchange| What::Rename { exchange }),
            any::<bool>().prop_map(|dir| What::Unlink { dir }),
            Just(What::Connect),
            (1..65, any::<bool>()).prop_map(|(signal, restarts)| What::Handler { signal, restarts }),
            (1..200).prop_map(|errno| What::Unreadable { errno }),
        ]
    }

    proptest! {
        #[test]
        fn what_went_into_the_ring_comes_out(
            what in what(),
            at: i64,
            ids: (u32, u32, u32),
            started: i64,
            elsewhere: bool,
            parked: u64,
            path: Vec<u8>,
            other: Vec<u8>,
        ) {
            let (pid, tid, ppid) = ids;
            let seen = Seen { at, pid, tid, ppid, started, elsewhere, parked, what, path, other };
            let mut words = Vec::new();
            seen.encode(&mut words);
            prop_assert_eq!(Seen::decode(&words), Some(seen));
        }

        #[test]
        fn no_words_make_it_panic(words: Vec<u64>) {
            Seen::decode(&words);
        }
    }
}
