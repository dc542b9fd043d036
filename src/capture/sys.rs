//! The system calls of the capture that `rustix` does not have, one for each function.

use std::{
    io,
    ops::{Deref, Range},
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
        unix::process::CommandExt as _,
    },
    process::Command,
    ptr::NonNull,
    sync::atomic::AtomicU64,
};

/// Words of `struct seccomp_notif` (`seccomp_unotify(2)`), which has 80 bytes.
pub(super) const NOTIFICATION_WORDS: usize = 10;

/// Memory that this process shares with another: seen only as atomic words, for the other side may write at any time.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: all access goes through `AtomicU64`, and the mapping lives as long as the value.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `words` words of a memory file, shared.
    pub(super) fn new(memory: BorrowedFd<'_>, words: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of Linux's choice overlaps nothing.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                words * 8,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                memory.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<AtomicU64>()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { start, words })
    }

    /// Gives these words' memory back to Linux; they read as zeros afterwards, for everybody who has them mapped.
    /// Pages that lie only partly in the range stay.
    pub(super) fn give_back(&self, range: Range<usize>) -> io::Result<()> {
        let page = rustix::param::page_size();
        let (from, to) = ((range.start * 8).next_multiple_of(page), range.end.min(self.words) * 8 / page * page);
        if from >= to {
            return Ok(());
        }
        // SAFETY: the pages lie within the mapping, and zeros are valid for the atomics in them.
        check(unsafe { libc::madvise(self.start.as_ptr().byte_add(from).cast(), to - from, libc::MADV_REMOVE) }.into())
            .map(drop)
    }
}

/// Whether code in a memory file may be run: some machines forbid it.
pub(super) fn may_run(memory: BorrowedFd<'_>) -> bool {
    let (length, protection) = (rustix::param::page_size(), libc::PROT_READ | libc::PROT_EXEC);
    // SAFETY: a new mapping at an address of Linux's choice overlaps nothing, and nobody jumps there.
    unsafe {
        let start = libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_PRIVATE, memory.as_raw_fd(), 0);
        start != libc::MAP_FAILED && libc::munmap(start, length) == 0
    }
}

impl Deref for Mapping {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: mmap gave `words` words, aligned to a page, which stay mapped until drop; any bits are an `AtomicU64`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: start and length are those of the mapping, and no reference outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.words * 8) };
    }
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// `seccomp(2)` with a filter for this thread.
fn set_filter(program: &[libc::sock_filter], flags: libc::c_ulong) -> io::Result<libc::c_long> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: `program` and the instructions outlive the call, which copies them and writes nothing.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) })
}

/// Installs a filter on this thread and gives its listener; `flags` besides `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
pub(super) fn install_filter(program: &[libc::sock_filter], flags: libc::c_ulong) -> io::Result<OwnedFd> {
    let fd = set_filter(program, flags | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?;
    // SAFETY: with this flag the result is a new file descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Installs a filter on this thread that stops it for its tracer.
pub(super) fn install_traced_filter(program: &[libc::sock_filter], flags: libc::c_ulong) -> io::Result<()> {
    set_filter(program, flags).map(drop)
}

/// Takes the next notification; the kernel writes it straight into `slot`, which must hold zeros.
pub(super) fn receive(listener: BorrowedFd<'_>, slot: &[AtomicU64; NOTIFICATION_WORDS]) -> io::Result<()> {
    // SAFETY: Linux writes at most the 80 bytes of `slot`, which are atomics and so may change under a shared reference.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV as _, slot.as_ptr()) }.into())
        .map(drop)
}

/// Lets the call of notification `id` run as if nobody had looked. `ENOENT`: it is not waiting any more.
pub(super) fn let_through(listener: BorrowedFd<'_>, id: u64) -> io::Result<()> {
    const CONTINUE: u32 = 1;
    let mut response = libc::seccomp_notif_resp { id, val: 0, error: 0, flags: CONTINUE };
    // SAFETY: `response` has the size that is part of the request number, and outlives the call.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND as _, &raw mut response) }.into())
        .map(drop)
}

/// Whether the call of notification `id` still waits, so that what was read of its caller was its caller's.
pub(super) fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: Linux reads the 8 bytes of `id`.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _, &raw const id) == 0 }
}

/// Asks Linux (6.6 or newer) to run caller and supervisor on one processor in turn.
pub(super) fn wake_synchronously(listener: BorrowedFd<'_>) -> io::Result<()> {
    const SET_FLAGS: libc::c_ulong = 0x4008_2104;
    const SYNC_WAKE_UP: libc::c_ulong = 1;
    // SAFETY: the argument is a number, not an address.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS as _, SYNC_WAKE_UP) }.into()).map(drop)
}

/// Copies memory of another process; less than asked for at the end of what is mapped.
pub(super) fn read_memory(tid: u32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: address as usize as *mut libc::c_void, iov_len: buffer.len() };
    // SAFETY: Linux writes at most `buffer.len()` bytes there; the remote address is checked by it, not used by us.
    let read = unsafe { libc::process_vm_readv(tid as libc::pid_t, &raw const local, 1, &raw const remote, 1, 0) };
    check(read as libc::c_long).map(|read| read as usize)
}

/// Forks this process, which must have one thread. `None` in the child.
pub(super) fn fork() -> io::Result<Option<u32>> {
    // SAFETY: there is one thread, so that the child has no lock held by a thread that is not there.
    let pid = check(unsafe { libc::fork() }.into())?;
    Ok((pid != 0).then_some(pid as u32))
}

/// Blocks the signals for this thread.
pub(super) fn block_signals(signals: &[libc::c_int]) -> io::Result<()> {
    // SAFETY: an all-zero set is a valid start for sigemptyset, and every pointer is to that local.
    let error = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())
    };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// Blocks no signal any more in this thread.
pub(super) fn unblock_all_signals() -> io::Result<()> {
    // SAFETY: as in `block_signals`.
    let error = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut())
    };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// A descriptor that becomes readable when `signal` (which must be blocked) is pending.
pub(super) fn signal_fd(signal: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: as in `block_signals`.
    let fd = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    let fd = check(fd.into())?;
    // SAFETY: the result is a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Lets the child of `command` inherit the descriptors, under their numbers, with the signals of a group blocked.
pub(super) fn inherit(command: &mut Command, fds: Vec<OwnedFd>, blocked: &'static [libc::c_int]) {
    // SAFETY: the closure calls only fcntl and sigprocmask, which may be called between fork and exec.
    unsafe {
        command.pre_exec(move || {
            for fd in &fds {
                rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
            }
            block_signals(blocked)
        });
    }
}

/// Takes over a descriptor that was inherited under a number; it is closed at the next exec.
pub(super) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the number came with the command line, from whoever left it open for us; if nothing is open, fcntl says
    // so below and the value is forgotten.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    match rustix::io::fcntl_setfd(fd.as_fd(), rustix::io::FdFlags::CLOEXEC) {
        Ok(()) => Ok(fd),
        Err(error) => {
            std::mem::forget(fd);
            Err(error.into())
        }
    }
}

/// Becomes the tracer of thread `tid`, and of all that it will start, without stopping it (`ptrace(2)`, `PTRACE_SEIZE`).
/// They end with us: without a tracer every watched call of theirs would fail.
pub(super) fn seize(tid: u32) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACESECCOMP
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_EXITKILL;
    // SAFETY: the request takes two numbers and writes nothing.
    check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid as libc::pid_t, 0usize, options as usize) }).map(drop)
}

/// Lets a stopped thread run on, with a signal or 0.
pub(super) fn run_on(tid: u32, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: the request takes two numbers and writes nothing.
    check(unsafe { libc::ptrace(libc::PTRACE_CONT, tid as libc::pid_t, 0usize, signal as usize) }).map(drop)
}

/// Leaves a thread stopped whose process was stopped by a signal, until it is continued by one.
pub(super) fn stay_stopped(tid: u32) -> io::Result<()> {
    // SAFETY: the request takes two numbers and writes nothing.
    check(unsafe { libc::ptrace(libc::PTRACE_LISTEN, tid as libc::pid_t, 0usize, 0usize) }).map(drop)
}

/// The watched call before which thread `tid` is stopped: interface, number, arguments.
pub(super) fn stopped_call(tid: u32) -> io::Result<(u32, u32, [u64; 6])> {
    const GET_SYSCALL_INFO: libc::c_uint = 0x420e;
    const OF_SECCOMP: u64 = 3;
    // `struct ptrace_syscall_info`: kind and interface, two addresses, number, arguments, the filter's data.
    let mut info = [0u64; 11];
    // SAFETY: Linux writes at most as many bytes as the third argument says, which `info` has.
    check(unsafe { libc::ptrace(GET_SYSCALL_INFO, tid as libc::pid_t, size_of_val(&info), info.as_mut_ptr()) })?;
    let [first, _, _, number, args @ .., _] = info;
    if first & 0xff != OF_SECCOMP {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(((first >> 32) as u32, number as u32, args))
}

/// Waits for any child or traced thread of this very thread, also one that was cloned: number and wait status. `None`
/// if nothing is there and `wait` is not set.
pub(super) fn wait_any(wait: bool) -> io::Result<Option<(u32, libc::c_int)>> {
    let flags = libc::__WALL | libc::__WNOTHREAD | if wait { 0 } else { libc::WNOHANG };
    let mut status = 0;
    // SAFETY: Linux writes one `c_int`.
    let tid = check(unsafe { libc::waitpid(-1, &raw mut status, flags) }.into())?;
    Ok((tid > 0).then_some((tid as u32, status)))
}

/// Ends this process at once, without anything that its parent's copy would do too.
pub(super) fn exit_now() -> ! {
    // SAFETY: it takes a number and does not come back.
    unsafe { libc::_exit(0) }
}
