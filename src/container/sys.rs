//! System calls without a safe wrapper: one for each function, owned or borrowed descriptors in and out, no logic.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    ptr,
};

use rustix::process::Pid;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// `clone(2)` without a new stack: a fork into new namespaces. `None` in the child.
///
/// The caller must have one thread: the child goes on with memory as it was, locks included.
pub(super) fn clone_process(namespaces: libc::c_int) -> io::Result<Option<Pid>> {
    let flags = libc::c_long::from(namespaces | libc::SIGCHLD);
    // SAFETY: no CLONE_VM and no pointers are passed, so this is `fork` with other flags.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) })?;
    Ok(Pid::from_raw(pid as i32))
}

/// `_exit(2)`: no destructors, no buffers written (they belong to the process that was cloned).
pub(super) fn exit_now(code: i32) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(code) }
}

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: `sigset_t` is plain data for which all zero bytes are a valid value, the empty set.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    for &signal in signals {
        // SAFETY: `set` is a live, initialised set; an invalid number is refused with an error and changes nothing.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}

/// Blocks exactly these signals in this thread.
pub(super) fn block_only(signals: &[i32]) -> io::Result<()> {
    let set = signal_set(signals);
    // SAFETY: `set` outlives the call; no old set is asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut()) } {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number)),
    }
}

/// Unblocks all signals in the command's process.
pub(super) fn unblock_in_child(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    // SAFETY: the closure makes one system call and allocates nothing, which is all that is allowed after fork.
    unsafe { command.pre_exec(|| block_only(&[])) };
}

/// `signalfd(2)`, non-blocking.
pub(super) fn signal_fd(signals: &[i32]) -> io::Result<OwnedFd> {
    let set = signal_set(signals);
    // SAFETY: `set` outlives the call; -1 asks for a new descriptor.
    let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    check(fd.into())?;
    // SAFETY: the call succeeded, so `fd` is open and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Reads one signal: its number and `si_code`; `None` when there is none now.
pub(super) fn read_signal(fd: BorrowedFd<'_>) -> io::Result<Option<(i32, i32)>> {
    // SAFETY: `signalfd_siginfo` is plain data for which all zero bytes are valid.
    let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: `info` outlives the call and `size` is its length.
    let read = unsafe { libc::read(fd.as_raw_fd(), (&raw mut info).cast(), size) };
    match check(read as libc::c_long) {
        Ok(_) => Ok(Some((info.ssi_signo as i32, info.ssi_code))),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// A new, empty session keyring: the keys of the user are not reachable any more.
pub(super) fn join_new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is passed.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, ptr::null::<libc::c_char>()) })?;
    Ok(())
}

/// `struct landlock_ruleset_attr` of `linux/landlock.h`.
#[repr(C)]
struct LandlockRuleset {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// From here on neither signals nor sockets without a file reach a process that is not below this one
/// (`landlock_restrict_self(2)`, Linux 6.12). Needs `no_new_privs`.
pub(super) fn scope_signals_and_abstract_sockets() -> io::Result<()> {
    const ABSTRACT_UNIX_SOCKET: u64 = 1;
    const SIGNAL: u64 = 2;
    let ruleset =
        LandlockRuleset { handled_access_fs: 0, handled_access_net: 0, scoped: ABSTRACT_UNIX_SOCKET | SIGNAL };
    // SAFETY: `ruleset` outlives the call and the size is its own; a Linux that does not know its last field refuses it.
    let fd = check(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const ruleset, size_of::<LandlockRuleset>(), 0)
    })?;
    // SAFETY: the call succeeded, so `fd` is open and nobody else owns it.
    let ruleset = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: takes a descriptor and a number.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) })?;
    Ok(())
}

/// `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// `fcntl.h`: the whole tree of mounts.
const AT_RECURSIVE: libc::c_int = 0x8000;

/// `mount_setattr(2)` on a detached tree: read only and without set-user-id, all mounts in it.
pub(super) fn set_mount_attributes(tree: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let attr = MountAttr { set: attributes, clear: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | AT_RECURSIVE;
    // SAFETY: the empty path and `attr` outlive the call and the size is that of `attr`.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    })?;
    Ok(())
}

/// Sets the interface `lo` up: `ioctl(SIOCSIFFLAGS)` on `socket`.
pub(super) fn loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: `ifreq` is plain data for which all zero bytes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(*b"lo") {
        *slot = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: `request` outlives the call and is what SIOCSIFFLAGS reads.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) }.into())?;
    Ok(())
}

/// `close_range(2)` with `CLOSE_RANGE_CLOEXEC`: descriptors from `first` on end at the next `execve`.
pub(super) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: marks descriptors; none is closed while somebody uses it.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })?;
    Ok(())
}

/// Clears the supplementary groups.
pub(super) fn clear_groups() -> io::Result<()> {
    // SAFETY: a length of zero reads no memory.
    check(unsafe { libc::setgroups(0, ptr::null()) }.into())?;
    Ok(())
}
