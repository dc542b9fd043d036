//! Answers notifications: takes one, reads what it asks for, puts that on the ring, lets it through.
//!
//! Every call that waits behind this one waits for all that is done here, and a signal can hit it meanwhile: so nothing
//! here touches a file outside `/proc`. Runs in the tap, and in the proxy when the tap is gone.

use std::{io, os::fd::OwnedFd, sync::Arc, sync::atomic::Ordering};

use rustix::time::{ClockId, clock_gettime};

use super::{
    caller::{self, Callers},
    calls::{self, Call},
    filter::TIMER_SIGNALS,
    ring::{self, Shared},
    seen::{Seen, What},
    sys,
};
use crate::event;

/// A parked call goes on after this long (ns) without a sign of life of the proxy.
const PATIENCE: u64 = 2_000_000_000;

/// The monotonic clock in nanoseconds.
pub(super) fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// Whoever answers the notifications now.
#[derive(Debug)]
pub(super) struct Supervisor {
    listener: Arc<OwnedFd>,
    observer: Observer,
}

impl Supervisor {
    pub(super) fn new(listener: Arc<OwnedFd>, shared: Arc<Shared>, wake: Arc<OwnedFd>) -> Self {
        Self { listener, observer: Observer::new(shared, wake) }
    }

    /// Where the notifications come from, to be polled.
    pub(super) fn listener(&self) -> &OwnedFd {
        &self.listener
    }

    /// Takes and answers one notification. Blocks when there is none.
    pub(super) fn answer(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.observer.shared);
        shared.clear_slot();
        if let Err(error) = sys::receive(rustix::fd::AsFd::as_fd(&*self.listener), shared.slot()) {
            return match error.raw_os_error() {
                // The caller was woken by a signal before we had its call; without SA_RESTART it got EINTR.
                Some(libc::ENOENT) => {
                    shared.count_interrupted();
                    self.observer.wake_if_asleep();
                    Ok(())
                }
                Some(libc::EINTR | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            };
        }
        let [id, tid, number, _, args @ ..] = shared.slot().each_ref().map(|word| word.load(Ordering::Relaxed));
        let listener = Arc::clone(&self.listener);
        let waits = self.observer.observe(tid as u32, (number >> 32) as u32, number as u32, args, id, || {
            sys::is_waiting(rustix::fd::AsFd::as_fd(&*listener), id)
        });
        if waits {
            // From here the parked table holds the id; the slot must not, or a successor would answer it at once.
            shared.clear_slot();
        } else {
            self.let_through(id);
        }
        Ok(())
    }

    /// Answers a notification. One whose caller has gone needs no answer.
    fn let_through(&self, id: u64) {
        sys::let_through(rustix::fd::AsFd::as_fd(&*self.listener), id).unwrap_or_default();
    }

    /// Answers what a predecessor left in the slot when it died.
    pub(super) fn take_over(&self) {
        let id = self.observer.shared.slot_id();
        if id != 0 && !self.observer.shared.parked().any(|(parked, _)| parked == id) {
            self.let_through(id);
        }
    }

    /// Lets parked calls go on for which nobody showed a sign of life; says whether others still wait.
    pub(super) fn watch_parked(&self) -> bool {
        let now = monotonic();
        let mut waiting = false;
        for (id, renewed) in self.observer.shared.parked() {
            if now.saturating_sub(renewed) > PATIENCE {
                self.let_through(id);
                self.observer.shared.unpark(id);
                self.observer.shared.count_overdue();
                self.observer.wake_if_asleep();
            } else {
                waiting = true;
            }
        }
        waiting
    }

    /// The proxy is gone: nothing is recorded or parked any more, and what waits goes on.
    pub(super) fn stop_recording(&mut self) {
        self.observer.recording = false;
        for (id, _) in self.observer.shared.parked() {
            self.let_through(id);
            self.observer.shared.unpark(id);
        }
    }
}

/// Turns calls into records on the ring.
#[derive(Debug)]
pub(super) struct Observer {
    shared: Arc<Shared>,
    wake: Arc<OwnedFd>,
    callers: Callers,
    words: Vec<u64>,
    recording: bool,
}

/// What a call asks for, with its paths made absolute.
struct Request {
    what: What,
    path: Vec<u8>,
    other: Vec<u8>,
}

impl Observer {
    pub(super) fn new(shared: Arc<Shared>, wake: Arc<OwnedFd>) -> Self {
        Self { shared, wake, callers: Callers::new(), words: Vec::new(), recording: true }
    }

    fn wake_if_asleep(&self) {
        if self.shared.must_wake() {
            ring::wake(&*self.wake);
        }
    }

    /// Records one call. `id` is a notification that can be parked, or 0. Says whether it was parked: then the proxy
    /// answers it. `valid` tells, after the reading, whether the caller was still the one that asked.
    pub(super) fn observe(
        &mut self,
        tid: u32,
        arch: u32,
        number: u32,
        args: [u64; 6],
        id: u64,
        valid: impl FnOnce() -> bool,
    ) -> bool {
        if !self.recording {
            return false;
        }
        let Some((call, pointer)) = calls::meaning(arch, number) else { return false };
        let now = monotonic();
        let thread = self.callers.thread(tid, now).clone();
        let request = match request(tid, &thread, call, pointer, args) {
            Ok(Some(request)) => request,
            Ok(None) => return false,
            Err(error) => match error.raw_os_error() {
                // The call will fail with EFAULT itself; or the caller is gone.
                Some(libc::EFAULT | libc::ESRCH | libc::ENOENT) => return false,
                errno => Request {
                    what: What::Unreadable { errno: errno.unwrap_or(0) },
                    path: Vec::new(),
                    other: Vec::new(),
                },
            },
        };
        if !valid() {
            return false;
        }
        if request.what == What::Exec {
            self.callers.forget(tid);
        }
        let parked = id != 0 && needs_time(&request) && self.shared.park(id, now);
        let seen = Seen {
            at: event::now(),
            pid: thread.pid,
            tid,
            ppid: thread.ppid,
            elsewhere: thread.elsewhere,
            parked: if parked { id } else { 0 },
            what: request.what,
            path: request.path,
            other: request.other,
        };
        seen.encode(&mut self.words);
        if !self.shared.push(&self.words) && parked {
            self.shared.unpark(id);
            self.shared.count_overdue();
            return false;
        }
        if parked {
            // Somebody stands still: also a reader that only gathers must come now.
            self.shared.cancel_sleep();
            ring::wake(&*self.wake);
        } else {
            self.wake_if_asleep();
        }
        parked
    }
}

/// Reads the arguments. `None`: nothing worth a record.
fn request(
    tid: u32,
    thread: &caller::Thread,
    call: Call,
    pointer: usize,
    [a, b, c, d, e, _]: [u64; 6],
) -> io::Result<Option<Request>> {
    const HERE: u64 = libc::AT_FDCWD as u32 as u64;
    let path_at = |dir: u64, address: u64| -> io::Result<Vec<u8>> {
        let mut path = Vec::with_capacity(256);
        caller::read_path(tid, address, &mut path)?;
        caller::make_absolute(tid, thread, dir as u32 as i32, &mut path)?;
        Ok(path)
    };
    let one = |what: What, dir: u64, address: u64| -> io::Result<Option<Request>> {
        Ok(Some(Request { what, path: path_at(dir, address)?, other: Vec::new() }))
    };
    let two = |what: What, from: (u64, u64), to: (u64, u64)| -> io::Result<Option<Request>> {
        Ok(Some(Request { what, path: path_at(from.0, from.1)?, other: path_at(to.0, to.1)? }))
    };
    let exec = |dir: u64, address: u64, argv: u64| -> io::Result<Option<Request>> {
        let mut other = Vec::new();
        caller::read_argv(tid, argv, pointer, &mut other);
        Ok(Some(Request { what: What::Exec, path: path_at(dir, address)?, other }))
    };
    let symlink = |text: u64, dir: u64, address: u64| -> io::Result<Option<Request>> {
        let mut other = Vec::new();
        caller::read_path(tid, text, &mut other)?;
        Ok(Some(Request { what: What::Symlink, path: path_at(dir, address)?, other }))
    };
    match call {
        Call::Open => one(What::Open { flags: b as i32 }, HERE, a),
        Call::Creat => one(What::Open { flags: libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC }, HERE, a),
        Call::Openat => one(What::Open { flags: c as i32 }, a, b),
        Call::Openat2 => {
            let flags = caller::read_number(tid, c, 8).unwrap_or(0);
            one(What::Open { flags: flags as i32 }, a, b)
        }
        Call::Execve => exec(HERE, a, b),
        Call::Execveat => exec(a, b, c),
        Call::Rename => two(What::Rename { exchange: false }, (HERE, a), (HERE, b)),
        Call::Renameat => two(What::Rename { exchange: false }, (a, b), (c, d)),
        Call::Renameat2 => two(What::Rename { exchange: e as u32 & libc::RENAME_EXCHANGE != 0 }, (a, b), (c, d)),
        Call::Unlink => one(What::Unlink { dir: false }, HERE, a),
        Call::Unlinkat => one(What::Unlink { dir: c as i32 & libc::AT_REMOVEDIR != 0 }, a, b),
        Call::Rmdir => one(What::Unlink { dir: true }, HERE, a),
        Call::Truncate => one(What::Truncate, HERE, a),
        Call::Link => two(What::Link, (HERE, a), (HERE, b)),
        Call::Linkat => two(What::Link, (a, b), (c, d)),
        Call::Symlink => symlink(a, HERE, b),
        Call::Symlinkat => symlink(a, b, c),
        Call::Connect => connect(tid, b, c),
        Call::Socketcall => {
            let argument = |index: u64| caller::read_number(tid, b + 4 * index, 4);
            match (argument(1), argument(2)) {
                (Some(address), Some(length)) => connect(tid, address, length),
                _ => Ok(None),
            }
        }
        Call::IoUringSetup => Ok(Some(Request { what: What::IoUring, path: Vec::new(), other: Vec::new() })),
        Call::RtSigaction => Ok(handler(tid, a, b)),
        Call::Setitimer => Ok(interval_timer(tid, a, b)),
        Call::TimerCreate => Ok(posix_timer(tid, b)),
    }
}

/// The address of a `connect`.
fn connect(tid: u32, address: u64, length: u64) -> io::Result<Option<Request>> {
    // `struct sockaddr_un`, the longest that means anything to us.
    let mut path = vec![0; (length as usize).min(110)];
    let read = caller::read(tid, address, &mut path)?;
    path.truncate(read);
    Ok(Some(Request { what: What::Connect, path, other: Vec::new() }))
}

/// Linux's `struct sigaction` begins with the handler and the flags.
fn handler(tid: u32, signal: u64, action: u64) -> Option<Request> {
    let handler = caller::read_number(tid, action, 8)?;
    let flags = caller::read_number(tid, action + 8, 8)?;
    let restarts = handler <= libc::SIG_IGN as u64 || flags & libc::SA_RESTART as u64 != 0;
    Some(Request { what: What::Handler { signal: signal as i32, restarts }, path: Vec::new(), other: Vec::new() })
}

/// `setitimer`: only timers that fire again and again.
fn interval_timer(tid: u32, which: u64, value: u64) -> Option<Request> {
    let repeats = caller::read_number(tid, value, 8)? != 0 || caller::read_number(tid, value + 8, 8)? != 0;
    let signal = *TIMER_SIGNALS.get(which as usize)?;
    repeats.then(|| Request { what: What::Timer { signal }, path: Vec::new(), other: Vec::new() })
}

/// `timer_create`: `struct sigevent` has the signal after 8 bytes; without one it is `SIGALRM`.
fn posix_timer(tid: u32, event: u64) -> Option<Request> {
    let signal = if event == 0 { libc::SIGALRM } else { caller::read_number(tid, event + 8, 4)? as i32 };
    Some(Request { what: What::Timer { signal }, path: Vec::new(), other: Vec::new() })
}

/// Whether the call may change or remove content that should be looked at first.
fn needs_time(request: &Request) -> bool {
    match request.what {
        What::Open { flags } => changes(flags) && !is_pseudo(&request.path),
        What::Rename { .. } | What::Unlink { dir: false } | What::Truncate => !is_pseudo(&request.path),
        _ => false,
    }
}

/// Whether an open with these flags can change a file that exists.
fn changes(flags: i32) -> bool {
    let creates_only = flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL;
    let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0;
    writes && !creates_only && flags & libc::O_PATH == 0 && flags & libc::O_TMPFILE != libc::O_TMPFILE
}

/// Whether a path names a device or Linux's own state, of which no content is kept.
pub(super) fn is_pseudo(path: &[u8]) -> bool {
    (path.starts_with(b"/dev/") && !path.starts_with(b"/dev/shm/"))
        || path.starts_with(b"/proc/")
        || path.starts_with(b"/sys/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_destroy_content_is_given_time() {
        let open = |flags, path: &[u8]| {
            needs_time(&Request { what: What::Open { flags }, path: path.to_vec(), other: Vec::new() })
        };
        assert!(open(libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, b"/data/x"));
        assert!(open(libc::O_RDWR, b"/dev/shm/x"));
        assert!(open(libc::O_RDONLY | libc::O_TRUNC, b"/data/x"));
        assert!(!open(libc::O_RDONLY | libc::O_CLOEXEC, b"/data/x"));
        assert!(!open(libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, b"/data/x"));
        assert!(!open(libc::O_RDWR | libc::O_TMPFILE, b"/data"));
        assert!(!open(libc::O_PATH | libc::O_RDWR, b"/data/x"));
        assert!(!open(libc::O_RDWR, b"/dev/null"));
        assert!(!open(libc::O_WRONLY, b"/proc/self/oom_score_adj"));
        let removed = |dir| Request { what: What::Unlink { dir }, path: b"/x".to_vec(), other: Vec::new() };
        assert!(needs_time(&removed(false)));
        assert!(!needs_time(&removed(true)));
    }
}
