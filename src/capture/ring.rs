//! The memory that tap and proxy share: the call in hand, the parked calls, and a ring of what was seen.
//!
//! It is built for a reader that may find the writer dead at any instruction: a notification is in the shared slot
//! before anybody knows of it, and a record becomes visible with one store after all of its words.
//! One process writes the ring at a time: the tap, and after its death the proxy.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicU64, Ordering, fence},
};

use super::sys::{Mapping, NOTIFICATION_WORDS};

/// Words before the ring.
const HEADER: usize = 512;
/// Words of the ring: 4 MiB, some 25,000 opens, which is more than 100 ms of the fastest loop. A power of two.
const RING: usize = 1 << 19;
/// Memory behind the reader is given back in pieces of so many words (256 KiB), so that what lies in memory is what is
/// under way and not all that ever was.
const PIECE: usize = RING / 16;
/// What the writer uses of the ring: it never comes near the piece behind the reader that is being given back.
const USED: usize = RING - 2 * PIECE;
/// How many calls may wait for a [`BeforeChange`](crate::event::BeforeChange) at once.
const PARKED: usize = 64;

// Places in the header; those that different processes write often lie in cache lines of their own.
const HEAD: usize = 0;
const TAIL: usize = 8;
const SLEEPING: usize = 16;
const DROPPED: usize = 24;
const INTERRUPTED: usize = 25;
const STATUS: usize = 26;
const OVERDUE: usize = 27;
const SLOT: usize = 32;
const PARKED_AT: usize = 64;

/// Marks a wait status as present.
const STATUS_KNOWN: u64 = 1 << 32;

/// The shared memory, mapped.
#[derive(Debug)]
pub(super) struct Shared {
    words: Mapping,
}

/// Where a record ends in the ring, counted from the first word ever written.
pub(super) type Position = u64;

impl Shared {
    /// Makes the memory file.
    pub(super) fn create() -> io::Result<OwnedFd> {
        let memory = rustix::fs::memfd_create("nbpack-capture", rustix::fs::MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&memory, ((HEADER + RING) * 8) as u64)?;
        Ok(memory)
    }

    /// Maps it.
    pub(super) fn map(memory: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { words: Mapping::new(memory, HEADER + RING)? })
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        #[expect(clippy::indexing_slicing, reason = "the header's places are constants below its length")]
        &self.words[index]
    }

    fn ring(&self, position: Position) -> &AtomicU64 {
        self.word(HEADER + (position as usize & (RING - 1)))
    }

    /// The notification in hand, `struct seccomp_notif`.
    pub(super) fn slot(&self) -> &[AtomicU64; NOTIFICATION_WORDS] {
        #[expect(clippy::indexing_slicing, reason = "constant places in the header")]
        let words = &self.words[SLOT..SLOT + NOTIFICATION_WORDS];
        #[expect(clippy::expect_used, reason = "the length is the constant of the line above")]
        words.try_into().expect("as long as a notification")
    }

    /// Empties the slot, as receiving wants it.
    pub(super) fn clear_slot(&self) {
        for word in self.slot() {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// The id of the notification in the slot: maybe answered already, maybe 0.
    pub(super) fn slot_id(&self) -> u64 {
        self.word(SLOT).load(Ordering::Acquire)
    }

    /// Appends one record; `false` (and counted) when the reader is too far behind.
    pub(super) fn push(&self, record: &[u64]) -> bool {
        let head = self.word(HEAD).load(Ordering::Relaxed);
        let tail = self.word(TAIL).load(Ordering::Acquire);
        let length = record.len() as u64;
        if head - tail + length + 1 > USED as u64 {
            self.word(DROPPED).fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.ring(head).store(length, Ordering::Relaxed);
        for (offset, word) in (1..).zip(record) {
            self.ring(head + offset).store(*word, Ordering::Relaxed);
        }
        self.word(HEAD).store(head + length + 1, Ordering::Release);
        true
    }

    /// Takes the oldest record into `record`; `false` when there is none. Its place is free after [`Shared::release`].
    pub(super) fn peek(&self, record: &mut Vec<u64>) -> bool {
        let tail = self.word(TAIL).load(Ordering::Relaxed);
        if tail == self.word(HEAD).load(Ordering::Acquire) {
            return false;
        }
        let length = self.ring(tail).load(Ordering::Relaxed).min(RING as u64);
        record.clear();
        record.extend((1..=length).map(|offset| self.ring(tail + offset).load(Ordering::Relaxed)));
        true
    }

    /// Frees the place of the record that was taken last.
    pub(super) fn release(&self, record: &[u64]) {
        let tail = self.word(TAIL).load(Ordering::Relaxed);
        let next = tail + record.len() as u64 + 1;
        let piece = |position: Position| position / PIECE as u64;
        for passed in piece(tail)..piece(next) {
            // The writer is at most `USED` words ahead of `tail`, which lies in this piece or before it. Memory that
            // cannot be given back is used again all the same.
            let start = HEADER + (passed * PIECE as u64) as usize % RING;
            self.words.give_back(start..start + PIECE).unwrap_or_default();
        }
        self.word(TAIL).store(next, Ordering::Release);
    }

    /// The end of what is written.
    pub(super) fn head(&self) -> Position {
        self.word(HEAD).load(Ordering::Acquire)
    }

    /// The end of what is handed on.
    pub(super) fn tail(&self) -> Position {
        self.word(TAIL).load(Ordering::Acquire)
    }

    /// The reader is about to sleep; it must look at the ring once more after this.
    pub(super) fn announce_sleep(&self) {
        self.word(SLEEPING).store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The reader does not sleep.
    pub(super) fn cancel_sleep(&self) {
        self.word(SLEEPING).store(0, Ordering::Relaxed);
    }

    /// Whether the reader sleeps and this caller is the one to wake it. To be asked after a push.
    pub(super) fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.word(SLEEPING).load(Ordering::Relaxed) == 1 && self.word(SLEEPING).swap(0, Ordering::Relaxed) == 1
    }

    /// Counts a notification whose caller a signal took away before we had it.
    pub(super) fn count_interrupted(&self) {
        self.word(INTERRUPTED).fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a parked call that went on without waiting for the proxy.
    pub(super) fn count_overdue(&self) {
        self.word(OVERDUE).fetch_add(1, Ordering::Relaxed);
    }

    /// How many records were dropped, calls interrupted, parked calls given up, since the start.
    pub(super) fn counts(&self) -> [u64; 3] {
        [DROPPED, INTERRUPTED, OVERDUE].map(|index| self.word(index).load(Ordering::Relaxed))
    }

    /// Leaves the kernel's wait status for whoever asks, before its process entry goes.
    pub(super) fn set_status(&self, status: i32) {
        self.word(STATUS).store(STATUS_KNOWN | u64::from(status.cast_unsigned()), Ordering::Release);
    }

    /// The kernel's wait status, if the tap saw it.
    pub(super) fn status(&self) -> Option<i32> {
        let word = self.word(STATUS).load(Ordering::Acquire);
        (word & STATUS_KNOWN != 0).then_some((word as u32).cast_signed())
    }

    /// Notes that notification `id` waits for the proxy since `now` (monotonic, ns); `false` when the table is full.
    pub(super) fn park(&self, id: u64, now: u64) -> bool {
        for place in 0..PARKED {
            let word = self.word(PARKED_AT + 2 * place);
            if word.load(Ordering::Relaxed) == 0 {
                self.word(PARKED_AT + 2 * place + 1).store(now, Ordering::Relaxed);
                word.store(id, Ordering::Release);
                return true;
            }
        }
        false
    }

    /// Forgets notification `id`, after it was answered.
    pub(super) fn unpark(&self, id: u64) {
        for place in 0..PARKED {
            let word = self.word(PARKED_AT + 2 * place);
            // Whoever answered late must not clear the place of a younger call.
            if word.compare_exchange(id, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return;
            }
        }
    }

    /// The proxy is alive and at work: all parked calls may wait on.
    pub(super) fn renew_parked(&self, now: u64) {
        for place in 0..PARKED {
            self.word(PARKED_AT + 2 * place + 1).store(now, Ordering::Relaxed);
        }
    }

    /// The parked notifications, with the time (monotonic, ns) of the last sign of life.
    pub(super) fn parked(&self) -> impl Iterator<Item = (u64, u64)> {
        (0..PARKED).filter_map(|place| {
            let id = self.word(PARKED_AT + 2 * place).load(Ordering::Acquire);
            let renewed = self.word(PARKED_AT + 2 * place + 1).load(Ordering::Relaxed);
            (id != 0).then_some((id, renewed))
        })
    }
}

/// Wakes the reader of the ring.
pub(super) fn wake(event: &impl AsFd) {
    // A full counter means that it is awake already.
    rustix::io::write(event, &1u64.to_le_bytes()).map(drop).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Shared {
        Shared::map(Shared::create().unwrap().as_fd()).unwrap()
    }

    #[test]
    fn records_come_out_as_they_went_in_also_around_the_end() {
        let shared = shared();
        let mut found = Vec::new();
        for round in 0..2000u64 {
            let record: Vec<u64> = (0..(round % 700)).map(|word| word ^ round).collect();
            assert!(shared.push(&record));
            assert!(shared.peek(&mut found));
            assert_eq!(found, record);
            shared.release(&found);
        }
        assert!(!shared.peek(&mut found));
        assert_eq!(shared.head(), shared.tail());
    }

    #[test]
    fn memory_behind_the_reader_is_given_back_and_nothing_that_is_unread() {
        let memory = Shared::create().unwrap();
        let shared = Shared::map(memory.as_fd()).unwrap();
        let resident = || rustix::fs::fstat(&memory).unwrap().st_blocks as usize * 512;
        let mut found = Vec::new();
        let (mut pushed, mut read) = (0_u64, 0_u64);
        let mut most = 0;
        // Three times round, with the writer as far ahead as it may be.
        while read * 1000 < 3 * RING as u64 {
            while shared.push(&[pushed; 999]) {
                pushed += 1;
            }
            for _ in 0..100 {
                assert!(shared.peek(&mut found));
                assert!(found.iter().all(|word| *word == read), "record {read}");
                shared.release(&found);
                read += 1;
            }
        }
        while shared.peek(&mut found) {
            assert!(found.iter().all(|word| *word == read), "record {read}");
            shared.release(&found);
            read += 1;
        }
        for _ in 0..10_000 {
            assert!(shared.push(&[1; 99]) && shared.peek(&mut found));
            shared.release(&found);
            most = most.max(resident());
        }
        assert_eq!(read, pushed);
        assert!(most <= (HEADER + 2 * PIECE) * 8, "{most} bytes");
    }

    #[test]
    fn a_full_ring_drops_and_counts_and_keeps_what_it_has() {
        let shared = shared();
        let record = vec![7u64; 1023];
        let fitting = USED / 1024;
        for _ in 0..fitting {
            assert!(shared.push(&record));
        }
        assert!(!shared.push(&record));
        assert_eq!(shared.counts()[0], 1);
        let mut found = Vec::new();
        assert!(shared.peek(&mut found));
        shared.release(&found);
        assert!(shared.push(&record));
    }

    #[test]
    fn only_one_writer_wakes_a_sleeping_reader() {
        let shared = shared();
        assert!(!shared.must_wake());
        shared.announce_sleep();
        assert!(shared.must_wake());
        assert!(!shared.must_wake());
    }

    #[test]
    fn a_late_answer_does_not_free_the_place_of_a_younger_call() {
        let shared = shared();
        assert!(shared.park(11, 1));
        shared.unpark(11);
        assert!(shared.park(12, 2));
        shared.unpark(11);
        assert_eq!(shared.parked().collect::<Vec<_>>(), [(12, 2)]);
        for id in 100..163 {
            assert!(shared.park(id, 3));
        }
        assert!(!shared.park(999, 3));
    }

    #[test]
    fn a_status_of_zero_is_told_from_none() {
        let shared = shared();
        assert_eq!(shared.status(), None);
        shared.set_status(0);
        assert_eq!(shared.status(), Some(0));
        shared.set_status(-1);
        assert_eq!(shared.status(), Some(-1));
    }
}
