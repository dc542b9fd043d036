//! The process between proxy and kernel: starts the kernel under the filter and answers its notifications.
//!
//! It has one thread until it has forked, and a place of its own in the process tree, so that the kernel outlives the
//! death of either neighbour in a known way: without the tap the proxy goes on, without the proxy the tap ends the
//! kernel. It leaves the process group (a terminal's or a frontend's signals are for the kernel) and lets go of the
//! standard streams, and stays until the last process under the filter is gone.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd, RawFd},
        unix::process::CommandExt as _,
    },
    process::Command,
    sync::Arc,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions},
};

use super::{
    IoUring,
    control::{self, Message},
    filter,
    ring::Shared,
    supervisor::{Post, monotonic},
    sys,
};

/// The signals of a process group that are meant for the kernel, not for us.
pub(super) const GROUP_SIGNALS: &[libc::c_int] = &[
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGCHLD,
];
/// After the proxy's death the kernel has this long (ns) between SIGTERM and SIGKILL.
const GRACE: u64 = 1_000_000_000;
/// How often it is looked whether that time is over.
const KILL_TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// What `nbpack tap` is told: descriptors that it inherits, by number, and what to start.
#[derive(Debug)]
pub struct Tap {
    /// The shared memory.
    pub memory: RawFd,
    /// The socket to the proxy.
    pub control: RawFd,
    /// The event that wakes the reader of the ring.
    pub wake: RawFd,
    /// Whether to install the filter at all.
    pub watch: bool,
    /// What happens to `io_uring_setup`.
    pub io_uring: IoUring,
    /// Program and arguments of the kernel; environment and working directory are this process's own.
    pub argv: Vec<OsString>,
}

/// Starts the kernel and serves it until everything that it started is gone.
pub fn run(tap: &Tap) -> io::Result<()> {
    let shared = Arc::new(Shared::map(sys::inherited(tap.memory)?.as_fd())?);
    let control = sys::inherited(tap.control)?;
    let wake = Arc::new(sys::inherited(tap.wake)?);
    sys::block_signals(GROUP_SIGNALS)?;
    let children = sys::signal_fd(libc::SIGCHLD)?;
    // Daemons of the notebook come to us, not to init: an ancestor may read their memory also where Yama restricts it.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let proxy =
        rustix::process::getppid().and_then(|parent| rustix::process::pidfd_open(parent, PidfdFlags::empty()).ok());
    let (near, far) = control::pair()?;
    let Some(pid) = sys::fork()? else {
        drop((near, control, children, wake));
        let error = become_kernel(tap, &far);
        let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
        // The proxy tells the user; a word of ours on the kernel's stderr would be a second one.
        control::send(&far, &Message::NotStarted { errno }).unwrap_or_default();
        return Ok(());
    };
    drop(far);
    let kernel = Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidData)?;
    let pidfd = rustix::process::pidfd_open(kernel, PidfdFlags::empty())?;
    control::send(&control, &Message::Forked { pid, pidfd: pidfd.try_clone()? })?;
    step_aside()?;
    let mut service = Service {
        post: None,
        shared,
        control: Some(control),
        proxy,
        child: Some(near),
        children,
        kernel: Some((kernel, pidfd)),
        kill_at: None,
        wake,
    };
    service.hear_child()?;
    service.serve()
}

/// The child: installs the filter, hands the listener over, becomes the kernel. Comes back only with an error.
fn become_kernel(tap: &Tap, far: &OwnedFd) -> io::Error {
    let Some((program, arguments)) = tap.argv.split_first() else { return io::ErrorKind::InvalidInput.into() };
    let mut command = Command::new(program);
    command.args(arguments);
    let message = match tap.watch.then(|| watch_self(tap.io_uring)) {
        None => Message::Unwatched { errno: 0 },
        Some(Ok((listener, no_new_privs))) => Message::Watched { no_new_privs, listener },
        Some(Err(error)) => Message::Unwatched { errno: error.raw_os_error().unwrap_or(libc::EINVAL) },
    };
    if let Err(error) = control::send(far, &message) {
        return error;
    }
    // What the proxy and the tap blocked for themselves must reach the kernel: an interrupt above all.
    if let Err(error) = sys::unblock_all_signals() {
        return error;
    }
    // `exec` also gives SIGPIPE its default, as a bare kernel has it.
    command.exec()
}

/// Installs the filter on this thread, with what this Linux offers; gives up privileges only where it must.
fn watch_self(io_uring: IoUring) -> io::Result<(OwnedFd, bool)> {
    let program = filter::program(io_uring, libc::SECCOMP_RET_USER_NOTIF);
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let spec_allow = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    let killable = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let install = || {
        let mut result = Err(io::ErrorKind::Unsupported.into());
        for flags in [listener | spec_allow | killable, listener | spec_allow, listener] {
            result = sys::install_filter(&program, flags);
            if !result.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL)) {
                break;
            }
        }
        result
    };
    match install() {
        // Without CAP_SYS_ADMIN a filter needs the promise that no setuid program gains anything.
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            rustix::thread::set_no_new_privs(true)?;
            Ok((install()?, true))
        }
        result => Ok((result?, rustix::thread::no_new_privs().unwrap_or(false))),
    }
}

/// Leaves the process group and lets go of what others may wait for: streams and working directory.
fn step_aside() -> io::Result<()> {
    // This can only fail for the leader of a group; the proxy starts us as a member of its own.
    rustix::process::setsid().map(drop).unwrap_or_default();
    rustix::process::chdir("/")?;
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// The loop's state; what is `None` is gone.
struct Service {
    post: Option<Arc<Post>>,
    shared: Arc<Shared>,
    control: Option<OwnedFd>,
    proxy: Option<OwnedFd>,
    child: Option<OwnedFd>,
    children: OwnedFd,
    kernel: Option<(Pid, OwnedFd)>,
    /// When the kernel gets SIGKILL, on the monotonic clock.
    kill_at: Option<u64>,
    wake: Arc<OwnedFd>,
}

impl Service {
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let timeout = self.kill_at.is_some().then_some(KILL_TICK);
            let nobody = self.children.as_fd();
            let mut sources = [
                source(self.post.as_ref().map(|post| post.left()), nobody),
                source(self.post.as_ref().map(|post| post.timer()), nobody),
                source(self.child.as_ref().map(|fd| fd.as_fd()), nobody),
                source(self.control.as_ref().map(|fd| fd.as_fd()), nobody),
                source(self.proxy.as_ref().map(|fd| fd.as_fd()), nobody),
                source(Some(nobody), nobody),
                // Linux before 6.11 may leave the answering thread waiting when all its callers are gone.
                self.post.as_ref().map_or(PollFd::from_borrowed_fd(nobody, PollFlags::empty()), |post| {
                    PollFd::from_borrowed_fd(post.listener.as_fd(), PollFlags::empty())
                }),
            ];
            match poll(&mut sources, timeout.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                result => result?,
            };
            let [left, timer, child, control, proxy, children, over] = sources.map(|source| source.revents());
            if self.post.is_some() && !timer.is_empty() {
                self.post.iter().for_each(|post| post.watch_parked());
            }
            if self.post.is_some() && !(left.is_empty() && over.is_empty()) {
                if self.post.as_ref().is_some_and(|post| !post.is_over()) {
                    return Err(io::Error::other("the notifications cannot be received any more"));
                }
                self.post = None;
            }
            if self.child.is_some() && !child.is_empty() {
                self.hear_child()?;
            }
            if (self.control.is_some() && !control.is_empty()) || (self.proxy.is_some() && !proxy.is_empty()) {
                self.lose_proxy();
            }
            if children.contains(PollFlags::IN) {
                self.reap()?;
            }
            self.kill_when_due();
            if self.post.is_none() && self.kernel.is_none() {
                return Ok(());
            }
        }
    }

    /// Hears what the kernel-to-be says: first about its filter; then nothing more, or why it could not start.
    fn hear_child(&mut self) -> io::Result<()> {
        let heard = self.child.as_ref().map_or(Ok(None), control::receive);
        let message = match heard {
            Ok(Some(Message::Watched { no_new_privs, listener })) => {
                // Linux before 6.6 cannot; then it costs a little more.
                sys::wake_synchronously(listener.as_fd()).unwrap_or_default();
                let post = self.answer(&listener);
                self.tell(&Message::Watched { no_new_privs, listener });
                self.post = Some(post?);
                return Ok(());
            }
            Ok(Some(Message::Unwatched { errno })) => Message::Unwatched { errno },
            Ok(Some(other)) => {
                self.child = None;
                other
            }
            Ok(None) | Err(_) => {
                self.child = None;
                Message::Running
            }
        };
        self.tell(&message);
        Ok(())
    }

    /// Begins to answer. If this fails we end, and the proxy does it.
    fn answer(&self, listener: &OwnedFd) -> io::Result<Arc<Post>> {
        let listener = Arc::new(listener.try_clone()?);
        let post = Post::new(listener, Arc::clone(&self.shared), Arc::clone(&self.wake))?;
        post.answer()?;
        Ok(post)
    }

    fn tell(&mut self, message: &Message) {
        if let Some(control) = &self.control
            && control::send(control, message).is_err()
        {
            self.lose_proxy();
        }
    }

    /// The proxy died or let go: the kernel ends with it, as a frontend expects of a kernel it killed.
    fn lose_proxy(&mut self) {
        self.control = None;
        self.proxy = None;
        if let Some(post) = &self.post {
            post.stop_recording();
        }
        if let Some((_, pidfd)) = &self.kernel
            && self.kill_at.is_none()
        {
            signal(pidfd, Signal::TERM);
            // A stopped kernel cannot die of SIGTERM.
            signal(pidfd, Signal::CONT);
            self.kill_at = Some(monotonic() + GRACE);
        }
    }

    fn kill_when_due(&mut self) {
        if self.kill_at.is_some_and(|at| monotonic() >= at) {
            self.kill_at = None;
            if let Some((_, pidfd)) = &self.kernel {
                signal(pidfd, Signal::KILL);
            }
        }
    }

    /// Takes the statuses of children: the kernel's is published before its entry goes, so that it cannot get lost.
    fn reap(&mut self) -> io::Result<()> {
        let mut buffer = [0; 128];
        // It only says that there is something; many signals may be one.
        rustix::io::read(&self.children, &mut buffer).map(drop).unwrap_or_default();
        if let Some((kernel, _)) = &self.kernel {
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if let Ok(Some(state)) = rustix::process::waitid(WaitId::Pid(*kernel), look) {
                self.kernel_ended(match (state.exit_status(), state.terminating_signal()) {
                    (Some(code), _) => (code & 0xff) << 8,
                    (None, Some(signal)) => signal | if state.dumped() { 0x80 } else { 0 },
                    (None, None) => 0,
                })?;
            }
        }
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((ended, status))) => {
                    // It may have ended after the look above.
                    if self.kernel.as_ref().is_some_and(|(kernel, _)| *kernel == ended) {
                        self.kernel_ended(status.as_raw())?;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Ok(None) | Err(_) => return Ok(()),
            }
        }
    }

    fn kernel_ended(&mut self, status: i32) -> io::Result<()> {
        // `poll` looks at one source after the other: its last words may have come after the look at them.
        while self.child.is_some() {
            self.hear_child()?;
        }
        self.shared.set_status(status);
        self.tell(&Message::Ended { status });
        self.kernel = None;
        self.kill_at = None;
        Ok(())
    }
}

/// One entry for `poll`; a source that is gone stays in its place, as `nobody` without events, and never reports.
pub(super) fn source<'a>(fd: Option<BorrowedFd<'a>>, nobody: BorrowedFd<'a>) -> PollFd<'a> {
    match fd {
        Some(fd) => PollFd::from_borrowed_fd(fd, PollFlags::IN),
        None => PollFd::from_borrowed_fd(nobody, PollFlags::empty()),
    }
}

/// Sends a signal; a process that has ended needs none.
fn signal(pidfd: &OwnedFd, signal: Signal) {
    rustix::process::pidfd_send_signal(pidfd, signal).unwrap_or_default();
}
