//! The system calls of `record` that need `unsafe`: one for each function, no logic.

use std::io;

/// Lets this thread, and what it starts from now on, run only when nobody else wants the processor (`SCHED_IDLE`).
pub(super) fn schedule_when_idle() -> io::Result<()> {
    // SAFETY: all zeros is a valid `sched_param`, a plain number (and reserved ones in some C libraries).
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is valid for the call; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Gives this thread, and what it starts from now on, the disk only when nobody else wants it (`IOPRIO_CLASS_IDLE`).
pub(super) fn read_and_write_when_idle() -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    const CLASS_IDLE: libc::c_int = 3 << 13;
    // SAFETY: `ioprio_set` takes three numbers; 0 is the calling thread.
    match unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
