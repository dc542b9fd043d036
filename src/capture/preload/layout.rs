//! How the memory file looks that the recorder and the object in the kernel's memory share.
//!
//! Both compile this file. In the file lie, one after the other: the object as the dynamic loader wants it, one page of
//! code, one page with the counters, the slots.

/// Bytes of a page on the one architecture that has the object.
pub const PAGE: usize = 4096;
/// The object has so much room.
pub const OBJECT: usize = 64 * 1024;
/// Where the page of code lies in the file.
pub const CODE_AT: usize = OBJECT;
/// Where the counters lie in the file.
pub const RING_AT: usize = CODE_AT + PAGE;
/// How many openings the ring holds.
pub const SLOTS: usize = 512;
/// Words of a slot: [`FIXED`], then the bytes of the path.
pub const SLOT_WORDS: usize = 64;
/// Words before the path: time (ns since the epoch), flags and length of the path, device, inode, size, change of the
/// content and of the inode (ns since the epoch), one that stays free.
pub const FIXED: usize = 8;
/// A longer path has no room in a slot.
pub const LONGEST: usize = (SLOT_WORDS - FIXED) * 8;
/// Bytes of counters and slots.
pub const RING: usize = PAGE + SLOTS * SLOT_WORDS * 8;
/// Bytes of the file.
pub const FILE: usize = RING_AT + RING;

/// Words of the first page of the ring: how many openings were written, and how many were read.
pub const HEAD: usize = 0;
/// In a cache line of its own, for the other side writes it.
pub const TAIL: usize = 8;

/// Where the page of code is mapped: in the middle of the addresses, where nothing else is put.
pub const ADDRESS: u64 = 0x3f00_0000_0000;
/// `syscall; ret`.
pub const CODE: [u8; 3] = [0x0f, 0x05, 0xc3];
/// What a seccomp filter sees as the instruction pointer of a call that is made there.
pub const AFTER_CALL: u64 = ADDRESS + 2;

/// What an opening may ask for that only reads: `O_CLOEXEC`, `O_DIRECTORY`, `O_NONBLOCK`.
pub const READS: u32 = 0o2_000_000 | 0o200_000 | 0o4000;
