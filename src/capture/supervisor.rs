//! Answers notifications: takes one, reads what it asks for, puts that on the ring, lets it through.
//!
//! Every call that waits behind this one waits for all that is done here, and a signal can hit it meanwhile: so nothing
//! here touches a file outside `/proc`. Runs in the tap, and in the proxy when the tap is gone.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    time::{
        ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
        timerfd_settime,
    },
};

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

/// How often parked calls are looked after while there are any.
const PARKED_TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// What whoever answers the notifications shares with whoever looks after him.
#[derive(Debug)]
pub(super) struct Post {
    /// The notifications' source; a tracer has none.
    pub(super) listener: Option<Arc<OwnedFd>>,
    /// Tells a tracer that a held call may go on.
    bell: Arc<OwnedFd>,
    pub(super) shared: Arc<Shared>,
    wake: Arc<OwnedFd>,
    /// Rings while calls are parked.
    timer: OwnedFd,
    timer_runs: AtomicBool,
    recording: AtomicBool,
    /// Becomes readable when nobody answers any more.
    left: OwnedFd,
}

impl Post {
    pub(super) fn new(
        listener: Option<Arc<OwnedFd>>,
        shared: Arc<Shared>,
        wake: Arc<OwnedFd>,
        bell: Arc<OwnedFd>,
    ) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            listener,
            bell,
            shared,
            wake,
            timer: timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?,
            timer_runs: AtomicBool::new(false),
            recording: AtomicBool::new(true),
            left: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        }))
    }

    /// Starts to answer, in a thread of its own that blocks in the receiving call.
    ///
    /// Not by `poll`: only a thread that waits there is woken on its caller's processor, which halves the time that
    /// the caller loses (11 instead of 25 µs for an open on a busy machine).
    pub(super) fn answer(self: &Arc<Self>) -> io::Result<()> {
        let mut supervisor = Supervisor { post: Arc::clone(self), observer: Observer::new(Arc::clone(self)) };
        std::thread::Builder::new().name("nbpack-answer".into()).spawn(move || {
            supervisor.answer_all();
            ring::wake(&supervisor.post.left);
        })?;
        Ok(())
    }

    /// To be polled: nobody answers any more, or the tracer has something to say.
    pub(super) fn left(&self) -> BorrowedFd<'_> {
        self.left.as_fd()
    }

    /// Makes [`Post::left`] readable.
    pub(super) fn call(&self) {
        ring::wake(&self.left);
    }

    /// Makes it quiet again.
    pub(super) fn heard(&self) {
        let mut count = [0; 8];
        rustix::io::read(&self.left, &mut count).map(drop).unwrap_or_default();
    }

    /// To be polled by a tracer: a held call may go on.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// To be polled: time for [`Post::watch_parked`].
    pub(super) fn timer(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    /// Whether every process under the filter is gone.
    pub(super) fn is_over(&self) -> bool {
        let Some(listener) = &self.listener else { return false };
        let mut sources = [PollFd::new(&**listener, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut sources, Some(&now)).is_ok()
            && sources.iter().any(|source| source.revents().intersects(PollFlags::HUP | PollFlags::ERR))
    }

    /// Answers a notification. One whose caller has gone needs no answer.
    fn let_through(&self, id: u64) {
        if let Some(listener) = &self.listener {
            sys::let_through(listener.as_fd(), id).unwrap_or_default();
        }
    }

    /// Answers what a predecessor left in the slot when it died, and looks after what it parked.
    pub(super) fn take_over(&self) {
        let id = self.shared.slot_id();
        if id != 0 && !self.shared.parked().any(|(parked, _)| parked == id) {
            self.let_through(id);
        }
        self.start_timer();
    }

    fn start_timer(&self) {
        if !self.timer_runs.swap(true, Ordering::AcqRel) {
            self.set_timer(PARKED_TICK);
        }
    }

    fn set_timer(&self, interval: Timespec) {
        let times = Itimerspec { it_interval: interval, it_value: interval };
        // The descriptor and the times are valid, so this cannot fail.
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &times).map(drop).unwrap_or_default();
    }

    /// Lets parked calls go on for which nobody showed a sign of life.
    pub(super) fn watch_parked(&self) {
        let mut count = [0; 8];
        rustix::io::read(&self.timer, &mut count).map(drop).unwrap_or_default();
        let now = monotonic();
        for (id, renewed) in self.shared.parked() {
            if now.saturating_sub(renewed) > PATIENCE {
                self.let_through(id);
                self.shared.unpark(id);
                self.shared.count_overdue();
                self.wake_if_asleep();
                ring::wake(&*self.bell);
            }
        }
        if self.shared.parked().next().is_none() {
            self.set_timer(Timespec { tv_sec: 0, tv_nsec: 0 });
            self.timer_runs.store(false, Ordering::Release);
            // One may have come in between that found the timer running.
            if self.shared.parked().next().is_some() {
                self.start_timer();
            }
        }
    }

    /// The proxy is gone: nothing is recorded or parked any more, and what waits goes on.
    pub(super) fn stop_recording(&self) {
        self.recording.store(false, Ordering::Release);
        for (id, _) in self.shared.parked() {
            self.let_through(id);
            self.shared.unpark(id);
        }
        ring::wake(&*self.bell);
    }

    fn wake_if_asleep(&self) {
        if self.shared.must_wake() {
            ring::wake(&*self.wake);
        }
    }
}

/// Whoever answers the notifications now.
#[derive(Debug)]
struct Supervisor {
    post: Arc<Post>,
    observer: Observer,
}

impl Supervisor {
    /// Answers until every process under the filter is gone.
    fn answer_all(&mut self) {
        let post = Arc::clone(&self.post);
        let Some(listener) = &post.listener else { return };
        loop {
            post.shared.clear_slot();
            match sys::receive(listener.as_fd(), post.shared.slot()) {
                Ok(()) => self.answer_one(&post, listener),
                Err(error) => match error.raw_os_error() {
                    // Every caller is gone; or this one was woken by a signal before we had its call, and without
                    // SA_RESTART it got EINTR.
                    Some(libc::ENOENT) if !post.is_over() => {
                        post.shared.count_interrupted();
                        post.wake_if_asleep();
                    }
                    Some(libc::EINTR | libc::EAGAIN) => {}
                    _ => return,
                },
            }
        }
    }

    fn answer_one(&mut self, post: &Post, listener: &OwnedFd) {
        let [id, tid, number, _, args @ ..] = post.shared.slot().each_ref().map(|word| word.load(Ordering::Relaxed));
        let valid = || sys::is_waiting(listener.as_fd(), id);
        if self.observer.observe(tid as u32, (number >> 32) as u32, number as u32, args, id, valid) {
            // From here the parked table holds the id; the slot must not, or a successor would answer it at once.
            post.shared.clear_slot();
        } else {
            post.let_through(id);
        }
    }
}

/// Turns calls into records on the ring.
#[derive(Debug)]
pub(super) struct Observer {
    post: Arc<Post>,
    callers: Callers,
    words: Vec<u64>,
}

/// What a call asks for, with its paths made absolute.
struct Request {
    what: What,
    path: Vec<u8>,
    other: Vec<u8>,
}

impl Observer {
    pub(super) fn new(post: Arc<Post>) -> Self {
        Self { post, callers: Callers::new(), words: Vec::new() }
    }

    /// Records one call, notification `id`. Says whether it was parked: then the proxy answers it. `valid` tells, after
    /// the reading, whether the caller was still the one that asked.
    pub(super) fn observe(
        &mut self,
        tid: u32,
        arch: u32,
        number: u32,
        args: [u64; 6],
        id: u64,
        valid: impl FnOnce() -> bool,
    ) -> bool {
        if !self.post.recording.load(Ordering::Relaxed) {
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
        let parked = needs_time(&request) && self.post.shared.park(id, now);
        let seen = Seen {
            at: event::now(),
            pid: thread.pid,
            tid,
            ppid: thread.ppid,
            started: thread.started,
            elsewhere: thread.elsewhere,
            parked: if parked { id } else { 0 },
            what: request.what,
            path: request.path,
            other: request.other,
        };
        seen.encode(&mut self.words);
        let post = &self.post;
        if !post.shared.push(&self.words) && parked {
            post.shared.unpark(id);
            post.shared.count_overdue();
            return false;
        }
        if parked {
            // Somebody stands still: also a reader that only gathers must come now.
            post.shared.cancel_sleep();
            ring::wake(&*post.wake);
            post.start_timer();
        } else {
            post.wake_if_asleep();
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
    [first, second, third, fourth, fifth, _]: [u64; 6],
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
        Call::Open => one(What::Open { flags: second as i32 }, HERE, first),
        Call::Creat => one(What::Open { flags: libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC }, HERE, first),
        Call::Openat => one(What::Open { flags: third as i32 }, first, second),
        Call::Openat2 => {
            let flags = caller::read_number(tid, third, 8).unwrap_or(0);
            one(What::Open { flags: flags as i32 }, first, second)
        }
        Call::Execve => exec(HERE, first, second),
        Call::Execveat => exec(first, second, third),
        Call::Rename => two(What::Rename { exchange: false }, (HERE, first), (HERE, second)),
        Call::Renameat => two(What::Rename { exchange: false }, (first, second), (third, fourth)),
        Call::Renameat2 => {
            two(What::Rename { exchange: fifth as u32 & libc::RENAME_EXCHANGE != 0 }, (first, second), (third, fourth))
        }
        Call::Unlink => one(What::Unlink { dir: false }, HERE, first),
        Call::Unlinkat => one(What::Unlink { dir: third as i32 & libc::AT_REMOVEDIR != 0 }, first, second),
        Call::Rmdir => one(What::Unlink { dir: true }, HERE, first),
        Call::Truncate => one(What::Truncate, HERE, first),
        Call::Link => two(What::Link, (HERE, first), (HERE, second)),
        Call::Linkat => two(What::Link, (first, second), (third, fourth)),
        Call::Symlink => symlink(first, HERE, second),
        Call::Symlinkat => symlink(first, second, third),
        Call::Connect => connect(tid, second, third),
        Call::Socketcall => {
            let argument = |index: u64| caller::read_number(tid, second + 4 * index, 4);
            match (argument(1), argument(2)) {
                (Some(address), Some(length)) => connect(tid, address, length),
                _ => Ok(None),
            }
        }
        Call::IoUringSetup => Ok(Some(Request { what: What::IoUring, path: Vec::new(), other: Vec::new() })),
        Call::RtSigaction => Ok(handler(tid, first, second)),
        Call::Setitimer => Ok(interval_timer(tid, first, second)),
        Call::TimerCreate => Ok(posix_timer(tid, second)),
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
        What::Rename { .. } | What::Unlink { .. } | What::Truncate => !is_pseudo(&request.path),
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
        // Not for its content: whether it is older than the session cannot be seen afterwards.
        assert!(needs_time(&removed(true)));
    }
}
