//! The process between proxy and kernel: starts the kernel under the filter and answers its notifications.
//!
//! It has one thread until it has forked, and a place of its own in the process tree, so that the kernel outlives the
//! death of either neighbour in a known way: without the tap the proxy goes on, without the proxy the tap ends the
//! kernel. It leaves the process group (a terminal's or a frontend's signals are for the kernel) and lets go of the
//! standard streams, and stays until the last process under the filter is gone.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd},
        unix::process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions},
};

use super::{
    IoUring, Mode, Way, audit,
    control::{self, Message},
    filter, preload,
    ring::Shared,
    supervisor::{Post, monotonic},
    sys,
    trace::{self, Tracer},
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
    /// The event by which the proxy lets a held call of a traced program go on.
    pub bell: RawFd,
    /// The memory with the object for the kernel's dynamic loader.
    pub preload: Option<RawFd>,
    /// The way to watch that is tried first.
    pub mode: Mode,
    /// The directory with the hook for Python.
    pub audit: Option<PathBuf>,
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
    let bell = Arc::new(sys::inherited(tap.bell)?);
    let preload = tap.preload.map(sys::inherited).transpose()?;
    sys::block_signals(GROUP_SIGNALS)?;
    let children = sys::signal_fd(libc::SIGCHLD)?;
    // Daemons of the notebook come to us, not to init: an ancestor may read their memory also where Yama restricts it.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let proxy =
        rustix::process::getppid().and_then(|parent| rustix::process::pidfd_open(parent, PidfdFlags::empty()).ok());
    let (near, far) = control::pair()?;
    let Some(pid) = sys::fork()? else {
        drop((near, control, children, wake, bell));
        let error = become_kernel(tap, preload.as_ref(), &far);
        let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
        // The proxy tells the user; a word of ours on the kernel's stderr would be a second one.
        control::send(&far, &Message::NotStarted { errno }).unwrap_or_default();
        return Ok(());
    };
    drop((far, preload));
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
        children: Some(children),
        kernel: Some((kernel, pidfd)),
        kill_at: None,
        wake,
        bell,
        is_over: Arc::new(AtomicBool::new(false)),
    };
    let mut traced = false;
    loop {
        match service.hear_child()? {
            Heard::WantsTracer => traced = service.seize(pid, tap.io_uring)?,
            Heard::Decided => break,
            Heard::Another => {}
        }
    }
    if traced { service.trace(pid) } else { service.serve() }
}

/// The child: installs the filter, hands the listener over, becomes the kernel. Comes back only with an error.
fn become_kernel(tap: &Tap, preload: Option<&OwnedFd>, far: &OwnedFd) -> io::Error {
    let Some((program, arguments)) = tap.argv.split_first() else { return io::ErrorKind::InvalidInput.into() };
    let mut command = Command::new(program);
    command.args(arguments);
    let preload = preload.filter(|_| preload::suits(Path::new(program)));
    let told = watch_self(tap, preload, far, &mut command).and_then(|message| control::send(far, &message));
    if let Err(error) = told {
        return error;
    }
    // What the proxy and the tap blocked for themselves must reach the kernel: an interrupt above all.
    if let Err(error) = sys::unblock_all_signals() {
        return error;
    }
    // `exec` also gives SIGPIPE its default, as a bare kernel has it.
    command.exec()
}

/// Finds the best way that works here, beginning with the one that was asked for.
fn watch_self(tap: &Tap, preload: Option<&OwnedFd>, far: &OwnedFd, command: &mut Command) -> io::Result<Message> {
    let failed = |way, error: &io::Error| {
        let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
        control::send(far, &Message::Failed { way, errno })
    };
    if tap.mode == Mode::None {
        return Ok(Message::Unwatched);
    }
    if matches!(tap.mode, Mode::Auto | Mode::Notify) {
        match trace::with_few_privileges(|| notifying(tap.io_uring, preload.is_some())) {
            Ok((listener, no_new_privs)) => {
                if let Some(object) = preload {
                    rustix::io::fcntl_setfd(object, rustix::io::FdFlags::empty())?;
                    let (name, value) = preload::variable(object.as_raw_fd());
                    command.env(name, value);
                }
                return Ok(Message::Watched { no_new_privs, listener });
            }
            Err(error) => failed(Way::Notify, &error)?,
        }
    }
    if tap.mode != Mode::Audit {
        control::send(far, &Message::WantsTracer)?;
        let traced = match control::receive(far)? {
            Some(Message::Tracer { errno: 0 }) => trace::with_few_privileges(|| trace::install(tap.io_uring)),
            Some(Message::Tracer { errno }) => Err(io::Error::from_raw_os_error(errno)),
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        match traced {
            Ok(((), no_new_privs)) => return Ok(Message::Traced { no_new_privs }),
            Err(error) => failed(Way::Trace, &error)?,
        }
    }
    let Some(dir) = &tap.audit else { return Ok(Message::Unwatched) };
    hook_python(dir, command);
    Ok(Message::Audited)
}

/// Gives the kernel, and the Python programs that it starts, the hook.
fn hook_python(dir: &Path, command: &mut Command) {
    // This process has the kernel's environment.
    let before = std::env::var_os(audit::VARIABLE).filter(|before| !before.is_empty());
    let mut value = dir.as_os_str().to_owned();
    if let Some(before) = before {
        value.push(OsStr::new(":"));
        value.push(before);
    }
    command.env(audit::VARIABLE, value);
}

/// Installs the filter on this thread, with what this Linux offers, and gives its listener.
fn notifying(io_uring: IoUring, preloaded: bool) -> io::Result<OwnedFd> {
    let program = filter::program(io_uring, libc::SECCOMP_RET_USER_NOTIF, preloaded);
    let spec_allow = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    let killable = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let mut result = Err(io::ErrorKind::Unsupported.into());
    for flags in [spec_allow | killable, spec_allow, 0] {
        result = sys::install_filter(&program, flags);
        if !result.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL)) {
            break;
        }
    }
    result
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
    /// Speaks of children that ended; a tracer hears of them itself.
    children: Option<OwnedFd>,
    kernel: Option<(Pid, OwnedFd)>,
    /// When the kernel gets SIGKILL, on the monotonic clock.
    kill_at: Option<u64>,
    wake: Arc<OwnedFd>,
    bell: Arc<OwnedFd>,
    /// The tracer has nothing left to trace.
    is_over: Arc<AtomicBool>,
}

/// What the kernel-to-be said.
enum Heard {
    /// Whether it is traced decides over its next step.
    WantsTracer,
    /// It knows how it is watched, or that it is not.
    Decided,
    /// Anything else.
    Another,
}

impl Service {
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let timeout = self.kill_at.is_some().then_some(KILL_TICK);
            let nobody = self.wake.as_fd();
            let mut sources = [
                source(self.post.as_ref().map(|post| post.left()), nobody),
                source(self.post.as_ref().map(|post| post.timer()), nobody),
                source(self.child.as_ref().map(|fd| fd.as_fd()), nobody),
                source(self.control.as_ref().map(|fd| fd.as_fd()), nobody),
                source(self.proxy.as_ref().map(|fd| fd.as_fd()), nobody),
                source(self.children.as_ref().map(|fd| fd.as_fd()), nobody),
                // Linux before 6.11 may leave the answering thread waiting when all its callers are gone.
                PollFd::from_borrowed_fd(
                    self.post.as_ref().and_then(|post| post.listener.as_ref()).map_or(nobody, |fd| fd.as_fd()),
                    PollFlags::empty(),
                ),
            ];
            match poll(&mut sources, timeout.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                result => result?,
            };
            let [left, timer, child, control, proxy, children, over] = sources.map(|source| source.revents());
            if self.post.is_some() && !timer.is_empty() {
                self.post.iter().for_each(|post| post.watch_parked());
            }
            if self.is_traced() && !left.is_empty() {
                self.hear_tracer()?;
            } else if self.post.is_some() && !(left.is_empty() && over.is_empty()) {
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

    /// Whether a tracer serves the kernel, and this only looks after it.
    fn is_traced(&self) -> bool {
        self.post.as_ref().is_some_and(|post| post.listener.is_none())
    }

    /// Attaches to the kernel-to-be and tells it so. To be called by the thread that will trace.
    fn seize(&self, pid: u32, io_uring: IoUring) -> io::Result<bool> {
        let result = trace::try_it(io_uring).and_then(|()| sys::seize(pid));
        let errno = result.as_ref().map_or_else(|error| error.raw_os_error().unwrap_or(libc::EINVAL), |()| 0);
        if let Some(child) = &self.child {
            control::send(child, &Message::Tracer { errno })?;
        }
        Ok(result.is_ok())
    }

    /// Traces in this thread, and looks after everything else in another.
    fn trace(mut self, kernel: u32) -> io::Result<()> {
        let children = self.children.take().ok_or(io::ErrorKind::InvalidInput)?;
        let (shared, is_over) = (Arc::clone(&self.shared), Arc::clone(&self.is_over));
        let post = Post::new(None, Arc::clone(&shared), Arc::clone(&self.wake), Arc::clone(&self.bell))?;
        self.post = Some(Arc::clone(&post));
        let aside = std::thread::Builder::new().name("nbpack-aside".into()).spawn(move || self.serve())?;
        Tracer::new(Arc::clone(&post), children.as_fd()).run(|pid, status| {
            if pid == kernel {
                shared.set_status(status);
                post.call();
            }
        });
        is_over.store(true, Ordering::Release);
        post.call();
        aside.join().unwrap_or_else(|_| Err(io::Error::other("the thread beside the tracer panicked")))
    }

    /// The tracer saw the kernel's end, or its own.
    fn hear_tracer(&mut self) -> io::Result<()> {
        self.post.iter().for_each(|post| post.heard());
        if self.kernel.is_some()
            && let Some(status) = self.shared.status()
        {
            self.kernel_ended(status)?;
        }
        if self.is_over.load(Ordering::Acquire) {
            self.post = None;
            // Nothing is left, whoever took the kernel's status.
            self.kernel = None;
        }
        Ok(())
    }

    /// Hears what the kernel-to-be says: first about its filter; then nothing more, or why it could not start.
    fn hear_child(&mut self) -> io::Result<Heard> {
        let heard = self.child.as_ref().map_or(Ok(None), control::receive);
        let message = match heard {
            Ok(Some(Message::Watched { no_new_privs, listener })) => {
                // Linux before 6.6 cannot; then it costs a little more.
                sys::wake_synchronously(listener.as_fd()).unwrap_or_default();
                let post = self.answer(&listener);
                self.tell(&Message::Watched { no_new_privs, listener });
                self.post = Some(post?);
                return Ok(Heard::Decided);
            }
            Ok(Some(Message::WantsTracer)) => return Ok(Heard::WantsTracer),
            Ok(Some(message @ (Message::Traced { .. } | Message::Audited | Message::Unwatched))) => {
                self.tell(&message);
                return Ok(Heard::Decided);
            }
            Ok(Some(message @ Message::Failed { .. })) => message,
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
        Ok(if self.child.is_some() { Heard::Another } else { Heard::Decided })
    }

    /// Begins to answer. If this fails we end, and the proxy does it.
    fn answer(&self, listener: &OwnedFd) -> io::Result<Arc<Post>> {
        let listener = Arc::new(listener.try_clone()?);
        let post = Post::new(Some(listener), Arc::clone(&self.shared), Arc::clone(&self.wake), Arc::clone(&self.bell))?;
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
        if let Some(children) = &self.children {
            rustix::io::read(children, &mut buffer).map(drop).unwrap_or_default();
        }
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
