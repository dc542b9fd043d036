//! Signals as events, and waiting for a process while forwarding them.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::Command,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

use super::{RunError, sys};

/// The signals that are passed on to the command, and `SIGCHLD`.
const SIGNALS: [i32; 7] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2, libc::SIGCHLD];

/// `si_code` of a signal that Linux itself sent, as the terminal does for Ctrl-C.
const SI_KERNEL: i32 = 0x80;

/// A signal that arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Arrived {
    /// Its number.
    pub(super) signal: i32,
    /// The terminal sent it, to the whole foreground group.
    pub(super) from_terminal: bool,
}

/// The signals of this thread, taken as events from now on. Processes that are started from it have them blocked too.
#[derive(Debug)]
pub(super) struct Signals {
    fd: OwnedFd,
}

impl Signals {
    pub(super) fn take() -> Result<Self, RunError> {
        let failed = |source| RunError::System { what: "take over signals", source };
        sys::block_only(&SIGNALS).map_err(failed)?;
        Ok(Self { fd: sys::signal_fd(&SIGNALS).map_err(failed)? })
    }

    /// The next signal that is pending, `None` when there is none.
    pub(super) fn next(&self) -> io::Result<Option<Arrived>> {
        let arrived = sys::read_signal(self.fd.as_fd())?;
        Ok(arrived.map(|(signal, code)| Arrived { signal, from_terminal: code == SI_KERNEL }))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Waits until at least one of `fds` can be read or was closed; says which.
pub(super) fn wait_readable<const N: usize>(fds: [BorrowedFd<'_>; N]) -> io::Result<[bool; N]> {
    let mut polled = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    loop {
        match poll(&mut polled, None) {
            Ok(_) => return Ok(polled.map(|fd| !fd.revents().is_empty())),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Forwards signals to a child of this process until it is gone; the caller reaps it.
pub(super) fn forward_until_exit(signals: &Signals, child: u32) -> Result<(), RunError> {
    let failed = |source| RunError::System { what: "wait for the container", source };
    let Some(pid) = i32::try_from(child).ok().and_then(Pid::from_raw) else { return Ok(()) };
    let gone = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| failed(error.into()))?;
    loop {
        let [signal, exited] = wait_readable([signals.as_fd(), gone.as_fd()]).map_err(failed)?;
        while signal && let Some(arrived) = signals.next().map_err(failed)? {
            if arrived.signal != libc::SIGCHLD {
                send(pid, arrived.signal);
            }
        }
        if exited {
            return Ok(());
        }
    }
}

/// Starts a command that has no signal blocked although this thread has; gives its process id. The caller reaps it.
pub(super) fn spawn_unblocked(command: &mut Command) -> io::Result<u32> {
    sys::unblock_in_child(command);
    command.spawn().map(|child| child.id())
}

/// The process so many generations below `pid`, as far down as there is exactly one child.
pub(super) fn descendant(pid: Pid, generations: usize) -> Pid {
    let mut found = pid;
    for _ in 0..generations {
        let number = found.as_raw_nonzero();
        let path = format!("/proc/{number}/task/{number}/children");
        let children = std::fs::read_to_string(path).unwrap_or_default();
        let mut numbers = children.split_whitespace().filter_map(|word| Pid::from_raw(word.parse().ok()?));
        match (numbers.next(), numbers.next()) {
            (Some(child), None) => found = child,
            _ => break,
        }
    }
    found
}

/// Sends a signal; that the process is gone already is no error.
pub(super) fn send(pid: Pid, signal: i32) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        kill_process(pid, signal).unwrap_or_default();
    }
}
