//! The system calls of `kernel` that need `unsafe`: one for each function, no logic.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    process::Command,
};

use tokio::io::{Interest, unix::AsyncFd};

/// Gives a signal its default action again.
pub(super) fn default_action(signal: i32) {
    // SAFETY: SIG_DFL is a valid disposition, and no Rust state hangs on the handler that is replaced.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Gives large pieces of memory back to the operating system as soon as they are freed.
pub(super) fn return_large_memory() {
    // SAFETY: mallopt changes two numbers of the allocator, at any time.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20) };
    // SAFETY: as above.
    unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, 4 << 20) };
}

/// Gives back what is free among memory that is in use: large messages in many small pieces leave such holes.
pub(super) fn return_free_memory() {
    // SAFETY: malloc_trim looks at the allocator's own lists, under their locks, at any time.
    unsafe { libc::malloc_trim(0) };
}

/// Makes the command's process end when the thread that starts it ends.
pub(super) fn end_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let before_exec = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The parent may have gone before the call.
        if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
    };
    // SAFETY: the closure makes two system calls and allocates nothing, which is all that is allowed after fork.
    unsafe { command.pre_exec(before_exec) };
}

/// Lets the runtime, which must run, hear when a descriptor becomes readable.
pub(super) fn hear(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names the same open descriptor until it is dropped, and `AsyncFd` lets go of it before that.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}
