//! The object that the dynamic loader puts before the C library in a recorded kernel (`ld.so(8)`, `LD_PRELOAD`). It is
//! compiled by `build.rs`, and is no module of this crate.
//!
//! Python opens a file of bytecode for each module that it imports, and lists a directory for each place where it looks.
//! That their thread is stopped and another process woken for each costs more than the import of many of them. So the
//! kernel's first thread writes these openings down itself: it makes the call from a page of code at an address that the
//! filter knows, and lets go on. All others (other names, other flags, other threads, processes that it forks, a call
//! that failed, a ring that is full) are made from here, where the filter does not know the address, and are seen by
//! the supervisor as ever.
#![no_std]

#[path = "layout.rs"]
mod layout;

use core::{
    arch::asm,
    ffi::{CStr, c_char, c_int, c_long, c_void},
    mem::MaybeUninit,
    ptr::null_mut,
    sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU64, Ordering},
};

use layout::{ADDRESS, CODE_AT, FIXED, HEAD, LONGEST, PAGE, READS, RING, RING_AT, SLOT_WORDS, SLOTS, TAIL};

const CLOSE: i64 = 3;
const FSTAT: i64 = 5;
const MMAP: i64 = 9;
const MUNMAP: i64 = 11;
const GETTID: i64 = 186;
const OPENAT: i64 = 257;
const NEWFSTATAT: i64 = 262;

const AT_FDCWD: i64 = -100;
const PROT_READ: i64 = 1;
const PROT_WRITE: i64 = 2;
const PROT_EXEC: i64 = 4;
const MAP_SHARED: i64 = 1;
const MAP_PRIVATE: i64 = 2;
const MAP_FIXED_NOREPLACE: i64 = 0x10_0000;
const FORMAT: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o40_000;
const CREATES: c_int = 0o100 | 0o20_200_000;
/// `O_DIRECTORY`.
const DIRECTORY: u32 = 0o200_000;
/// What `opendir(3)` asks for.
const LISTS: c_int = READS as c_int;

/// `struct stat` of x86-64.
#[repr(C)]
struct Stat {
    dev: u64,
    ino: u64,
    nlink: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    padding: u32,
    rdev: u64,
    size: i64,
    blksize: i64,
    blocks: i64,
    atime: [i64; 2],
    mtime: [i64; 2],
    ctime: [i64; 2],
    unused: [i64; 3],
}

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
    fn __errno_location() -> *mut c_int;
    fn clock_gettime(clock: c_int, time: *mut [i64; 2]) -> c_int;
    fn fdopendir(fd: c_int) -> *mut c_void;
}

/// The ring, once it is mapped.
static SHARED: AtomicPtr<AtomicU64> = AtomicPtr::new(null_mut());
/// The thread that writes it: the first one of the process that mapped it.
static WRITER: AtomicI64 = AtomicI64::new(0);
/// It is being written: a signal's handler that opens files must not write between.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Makes a system call from here.
///
/// # Safety
/// As the call has it.
#[inline]
unsafe fn call(number: i64, a: i64, b: i64, c: i64, d: i64, e: i64, f: i64) -> i64 {
    let result;
    // SAFETY: the registers are those of the x86-64 calling convention for system calls.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            in("r9") f, lateout("rcx") _, lateout("r11") _);
    }
    result
}

/// `openat(2)` from the page that the filter knows.
///
/// # Safety
/// The page is mapped, and `path` ends with a NUL.
#[inline]
unsafe fn open_known(path: *const c_char, flags: c_int) -> i64 {
    let result;
    // SAFETY: `syscall; ret` at the address changes rax, rcx and r11 only. The stack may be used (no `nostack`).
    unsafe {
        asm!("call {page}", page = in(reg) ADDRESS, inlateout("rax") OPENAT => result, in("rdi") AT_FDCWD, in("rsi") path,
            in("rdx") i64::from(flags), in("r10") 0, lateout("rcx") _, lateout("r11") _);
    }
    result
}

/// Whether an opening is one of those that are written here: bytecode or a directory, by an absolute path that means
/// the same to everybody.
fn is_known(path: &[u8], flags: c_int) -> bool {
    path.first() == Some(&b'/')
        && path.len() <= LONGEST
        && (flags as u32 & DIRECTORY != 0 || path.ends_with(b".pyc"))
        && !path.starts_with(b"/proc/")
        && !path.starts_with(b"/dev/")
}

/// Opens and writes it down; `None` when the usual way is to be taken.
///
/// # Safety
/// As of `openat(2)`, which takes any address.
unsafe fn open_and_tell(path: *const c_char, flags: c_int) -> Option<c_int> {
    let shared = SHARED.load(Ordering::Acquire);
    if shared.is_null() || flags as u32 & !READS != 0 {
        return None;
    }
    // SAFETY: it takes nothing. A process that was forked, by whatever call, has another number.
    if unsafe { call(GETTID, 0, 0, 0, 0, 0, 0) } != WRITER.load(Ordering::Relaxed) {
        return None;
    }
    let mut stat = MaybeUninit::<Stat>::uninit();
    // An address that is none must end as the C library has it, and only Linux can tell; a pipe must not be opened twice.
    // SAFETY: Linux writes a `struct stat`, and reads `path` only as far as it may be read.
    if unsafe { call(NEWFSTATAT, AT_FDCWD, path as i64, stat.as_mut_ptr() as i64, 0, 0, 0) } < 0 {
        return None;
    }
    // SAFETY: the call wrote it.
    let format = unsafe { stat.assume_init_ref() }.mode & FORMAT;
    // SAFETY: Linux has just read it up to its NUL.
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    if !matches!(format, REGULAR | FOLDER) || !is_known(bytes, flags) || BUSY.swap(true, Ordering::Acquire) {
        return None;
    }
    // SAFETY: the ring is mapped, this is the one thread that writes it, and `path` ends with a NUL.
    let fd = unsafe { open_in_turn(shared, path, bytes, flags) };
    BUSY.store(false, Ordering::Release);
    fd
}

/// # Safety
/// `shared` is the mapped ring, nobody else writes it now, and `bytes` is what is at `path`, ended by a NUL.
unsafe fn open_in_turn(shared: *mut AtomicU64, path: *const c_char, bytes: &[u8], flags: c_int) -> Option<c_int> {
    // SAFETY: all places that are asked for lie within the `RING` bytes that are mapped.
    let word = |index: usize| unsafe { &*shared.add(index) };
    let head = word(HEAD).load(Ordering::Relaxed);
    if head.wrapping_sub(word(TAIL).load(Ordering::Acquire)) >= SLOTS as u64 {
        return None;
    }
    let mut now = [0; 2];
    // SAFETY: two words are written.
    unsafe { clock_gettime(0, &raw mut now) };
    // SAFETY: the page was mapped before the ring was.
    let fd = unsafe { open_known(path, flags) };
    // What is not there is told by the supervisor, who sees it being looked for.
    if fd < 0 {
        return None;
    }
    let mut stat = MaybeUninit::<Stat>::uninit();
    // SAFETY: Linux writes a `struct stat`.
    let failed = unsafe { call(FSTAT, fd, stat.as_mut_ptr() as i64, 0, 0, 0, 0) } < 0;
    // SAFETY: where the call succeeded it wrote everything, and zeros would be valid as well.
    let regular = !failed && unsafe { (*stat.as_ptr()).mode } & FORMAT == REGULAR;
    if !regular && flags as u32 & DIRECTORY == 0 {
        // SAFETY: nobody else has the descriptor yet.
        unsafe { call(CLOSE, fd, 0, 0, 0, 0, 0) };
        return None;
    }
    let start = PAGE / 8 + (head as usize % SLOTS) * SLOT_WORDS;
    let put = |index: usize, value: u64| word(start + index).store(value, Ordering::Relaxed);
    let nanoseconds = |time: [i64; 2]| time[0].wrapping_mul(1_000_000_000).wrapping_add(time[1]) as u64;
    put(0, nanoseconds(now));
    put(1, flags as u32 as u64 | (bytes.len() as u64) << 32);
    if regular {
        // SAFETY: as above.
        let stat = unsafe { stat.assume_init_ref() };
        put(2, stat.dev);
        put(3, stat.ino);
        put(4, stat.size as u64);
        put(5, nanoseconds(stat.mtime));
        put(6, nanoseconds(stat.ctime));
    }
    let mut index = FIXED;
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut eight = [0; 8];
        let (now, later) = rest.split_at(if rest.len() < 8 { rest.len() } else { 8 });
        for (to, from) in eight.iter_mut().zip(now) {
            *to = *from;
        }
        put(index, u64::from_le_bytes(eight));
        index += 1;
        rest = later;
    }
    word(HEAD).store(head.wrapping_add(1), Ordering::Release);
    Some(fd as c_int)
}

/// `open(3)`, as the C library has it.
///
/// # Safety
/// As of the call.
unsafe fn open_any(path: *const c_char, flags: c_int, mode: u32) -> c_int {
    // SAFETY: the caller's word.
    if let Some(fd) = unsafe { open_and_tell(path, flags) } {
        return fd;
    }
    let mode = if flags & CREATES != 0 { i64::from(mode) } else { 0 };
    // SAFETY: the caller's arguments, for Linux to check.
    let result = unsafe { call(OPENAT, AT_FDCWD, path as i64, i64::from(flags), mode, 0, 0) };
    if result < 0 {
        // SAFETY: the C library's own place for this thread.
        unsafe { *__errno_location() = -result as c_int };
        return -1;
    }
    result as c_int
}

/// `open(3)`. The mode is there only where a file may be made; the register is there always.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: u32) -> c_int {
    // SAFETY: the caller's word.
    unsafe { open_any(path, flags, mode) }
}

/// `open64(3)`: the same on this architecture.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: u32) -> c_int {
    // SAFETY: the caller's word.
    unsafe { open_any(path, flags, mode) }
}

/// `opendir(3)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendir(path: *const c_char) -> *mut c_void {
    // SAFETY: the caller's word.
    let fd = unsafe { open_any(path, LISTS, 0) };
    if fd < 0 {
        return null_mut();
    }
    // SAFETY: the descriptor is ours to give away.
    let listing = unsafe { fdopendir(fd) };
    if listing.is_null() {
        // SAFETY: it was not taken.
        unsafe { call(CLOSE, i64::from(fd), 0, 0, 0, 0, 0) };
    }
    listing
}

/// The number in the word of the environment that brought us here, which is taken out: what the kernel starts is
/// watched by the supervisor alone.
///
/// # Safety
/// Nobody else uses the environment yet.
unsafe fn take_number() -> Option<i64> {
    // SAFETY: the C library was initialised before us, and its environment ends with a null.
    unsafe {
        let mut at = environ;
        if at.is_null() {
            return None;
        }
        while !(*at).is_null() {
            if let Some(digits) = CStr::from_ptr(*at).to_bytes().strip_prefix(b"LD_PRELOAD=/proc/self/fd/") {
                while !(*at).is_null() {
                    *at = *at.add(1);
                    at = at.add(1);
                }
                let known = !digits.is_empty() && digits.len() < 10 && digits.iter().all(u8::is_ascii_digit);
                return known.then(|| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')));
            }
            at = at.add(1);
        }
    }
    None
}

/// Maps what is shared. Where that does not go, everything is opened the usual way.
extern "C" fn begin() {
    // SAFETY: the loader calls this before the program begins, in its one thread; new mappings overlap nothing.
    unsafe {
        let Some(fd) = take_number() else { return };
        let (page, ring, code_at, ring_at) = (PAGE as i64, RING as i64, CODE_AT as i64, RING_AT as i64);
        let code =
            call(MMAP, ADDRESS as i64, page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, code_at);
        if code == ADDRESS as i64 {
            let shared = call(MMAP, 0, ring, PROT_READ | PROT_WRITE, MAP_SHARED, fd, ring_at);
            if shared > 0 {
                WRITER.store(call(GETTID, 0, 0, 0, 0, 0, 0), Ordering::Relaxed);
                SHARED.store(shared as *mut AtomicU64, Ordering::Release);
            }
        } else if code > 0 {
            // Linux before 4.17 takes the address for a wish.
            call(MUNMAP, code, page, 0, 0, 0, 0);
        }
        call(CLOSE, fd, 0, 0, 0, 0, 0);
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

const _: () = assert!(size_of::<Stat>() == 144 && size_of::<c_long>() == 8);
