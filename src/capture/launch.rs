//! The proxy's side: starts the tap, reads the ring, watches over the tap and takes its place when it dies.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::PathBuf,
    process::{Child, Command},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    process::{Pid, PidfdFlags, Signal, WaitOptions},
};

use super::{
    CaptureError, IoUring, Options, Way,
    audit::{self, Audit},
    control::{self, Message},
    coverage::{self, Watched},
    drain::{Answer, Drain, Parts},
    hold::Hold,
    inherited,
    preload::{self, Openings},
    ring::{self, Shared},
    supervisor::Post,
    sys,
    tap::{GROUP_SIGNALS, source},
};
use crate::event::{self, BeforeChange, Event, EventSink, Gap, KernelProcess, Launch};

/// After a burst began the reader gathers this long before it looks again.
const GATHER: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// How often it is looked whether the tap answers.
const LOOK: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };
/// After so many looks at a tap that does not answer it is replaced.
const PATIENT_LOOKS: u32 = 4;
/// The longest that `settle` takes.
const SETTLE: Duration = Duration::from_millis(20);
/// The longest that the last records may take to reach the sink after the kernel's end.
const LAST_RECORDS: Duration = Duration::from_secs(5);

/// What the threads and the handle share.
struct Inner {
    pid: u32,
    pidfd: OwnedFd,
    shared: Arc<Shared>,
    wake: Arc<OwnedFd>,
    stop: OwnedFd,
    stopping: AtomicBool,
    hold: Arc<Hold>,
    /// The wait status, once it is known.
    status: Mutex<Option<i32>>,
    ended: Condvar,
    /// What the kernel writes down itself.
    openings: Option<Arc<Openings>>,
    /// Up to where the sink has everything.
    done: AtomicU64,
    /// Held while somebody goes to sleep for `settled`.
    settling: Mutex<()>,
    settled: Condvar,
    /// A thread reads the ring.
    reading: bool,
    /// The hook's other end, where a hook is all there is.
    audit: Option<Audit>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn set_status(&self, status: i32) {
        lock(&self.status).get_or_insert(status);
        self.ended.notify_all();
    }

    fn has_ended(&self) -> bool {
        lock(&self.status).is_some()
    }

    /// Waits until the sink has all that is on the ring now, at most until `patience` is over.
    fn settle(&self, patience: Duration) {
        if let Some(audit) = &self.audit {
            audit.settle();
        }
        let target = self.shared.head();
        let own = self.openings.as_ref().map(|openings| (openings, openings.head()));
        let is_done = || {
            let has_own = || own.is_none_or(|(openings, count)| openings.has_done(count));
            !self.reading || (self.done.load(Ordering::Acquire) >= target && has_own())
        };
        if is_done() {
            return;
        }
        let deadline = Instant::now() + patience;
        self.shared.cancel_sleep();
        ring::wake(&*self.wake);
        let mut guard = lock(&self.settling);
        while !is_done() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            guard = self.settled.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Reads the ring until told to stop.
    fn read(&self, mut drain: Drain) {
        let wait = |timeout: Option<&Timespec>| {
            let mut sources = [source(Some(self.wake.as_fd()), self.wake.as_fd())];
            let woken = poll(&mut sources, timeout).unwrap_or(0) > 0;
            if woken {
                let mut count = [0; 8];
                rustix::io::read(&*self.wake, &mut count).map(drop).unwrap_or_default();
            }
        };
        loop {
            let stopping = self.stopping.load(Ordering::Acquire);
            let handled = drain.run(&self.done);
            drop(lock(&self.settling));
            self.settled.notify_all();
            if stopping {
                return drain.finish();
            }
            if handled > 0 {
                // More will come: it is cheaper to gather than to be woken for each.
                wait(Some(&GATHER));
                continue;
            }
            // What the kernel writes down itself wakes nobody: it is asked for when an execution ends, and comes with what
            // the supervisor saw before.
            self.shared.announce_sleep();
            if self.shared.head() == self.shared.tail() && !self.stopping.load(Ordering::Acquire) {
                wait(None);
            }
            self.shared.cancel_sleep();
        }
    }
}

/// The kernel under capture.
struct Kernel {
    inner: Arc<Inner>,
    threads: Vec<JoinHandle<()>>,
}

impl KernelProcess for Kernel {
    fn pid(&self) -> u32 {
        self.inner.pid
    }

    fn wait(&self) -> io::Result<i32> {
        let mut status = lock(&self.inner.status);
        let status = loop {
            match *status {
                Some(status) => break status,
                None => status = self.inner.ended.wait(status).unwrap_or_else(PoisonError::into_inner),
            }
        };
        self.inner.settle(LAST_RECORDS);
        Ok(status)
    }

    fn signal(&self, signal: i32) -> io::Result<()> {
        let signal = Signal::from_named_raw(signal).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(rustix::process::pidfd_send_signal(&self.inner.pidfd, signal)?)
    }

    fn settle(&self) {
        self.inner.settle(SETTLE);
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.inner.stopping.store(true, Ordering::Release);
        ring::wake(&self.inner.stop);
        ring::wake(&*self.inner.wake);
        for thread in self.threads.drain(..) {
            // A panic of a thread was reported when it happened.
            thread.join().unwrap_or_default();
        }
    }
}

fn prepared<T>(what: &'static str, result: io::Result<T>) -> Result<T, CaptureError> {
    result.map_err(|source| CaptureError::Prepare { what, source })
}

/// Starts a kernel and watches it and all that it starts, as well as this machine allows; what it cannot see it says.
///
/// The kernel stays in this process's group and has its standard streams. When this process dies, or drops the result,
/// the kernel is ended.
pub fn launch(
    launch: Launch,
    mut options: Options,
    sink: Arc<dyn EventSink>,
    before: Arc<dyn BeforeChange>,
) -> Result<Arc<dyn KernelProcess>, CaptureError> {
    // The kernel becomes our child when the tap dies, so that its status reaches us then too.
    let own = rustix::process::getpid();
    prepared("adoption of orphans", rustix::process::set_child_subreaper(Some(own)).map_err(io::Error::from))?;
    let memory = prepared("shared memory", Shared::create())?;
    let shared = Arc::new(prepared("shared memory", Shared::map(memory.as_fd()))?);
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    let wake = Arc::new(prepared("event", eventfd(0, flags).map_err(io::Error::from))?);
    let stop = prepared("event", eventfd(0, flags).map_err(io::Error::from))?;
    let hold = Arc::new(prepared("timer", Hold::new(options.longest_hold))?);
    let bell = Arc::new(prepared("event", eventfd(0, flags).map_err(io::Error::from))?);
    let (control, far) = prepared("socket", control::pair())?;
    // Before it is known whether it is needed: the kernel does not wait for it. Where it cannot be, the better ways still may.
    let hook = options.audit.take().and_then(|dir| audit::prepare(&dir).ok().map(|pipe| (dir, pipe)));
    options.audit = hook.as_ref().map(|(dir, _)| dir.clone());

    let (preload, openings) = options.preload.then(preload::prepare).flatten().unzip();
    let openings = openings.map(Arc::new);
    // The descriptor has the same number there.
    let object = preload.as_ref().map(|memory| preload::variable(memory.as_raw_fd()).1.into_encoded_bytes());
    let mut passed_on = vec![
        ("--memory", memory),
        ("--control", far),
        ("--wake", prepared("event", wake.try_clone())?),
        ("--bell", prepared("event", bell.try_clone())?),
    ];
    passed_on.extend(preload.map(|memory| ("--preload", memory)));
    let mut command = tap_command(&launch, &options, &passed_on);
    let passed_on = passed_on.into_iter().map(|(_, fd)| fd).collect();
    sys::inherit(&mut command, passed_on, GROUP_SIGNALS);
    let spawned = command.spawn();
    // Its copies of the tap's ends must go, or we would not see the tap's end.
    drop(command);
    let mut tap = spawned.map_err(|source| CaptureError::Tap { program: options.program.clone(), source })?;

    let started = start(&control, &mut tap, &options)?;
    let Started { pid, pidfd, watched, listener, no_new_privs, failed } = started;
    coverage::tell(options.mode, watched, &failed, &*sink);
    let listener = listener.map(Arc::new);
    let answer = match (watched, &listener, &hook) {
        (Watched::Notify, Some(listener), _) => Some(Answer::Notification(Arc::clone(listener))),
        (Watched::Trace, ..) => Some(Answer::Bell(Arc::clone(&bell))),
        (Watched::Audit, _, Some((dir, _))) => Some(Answer::Pipe(dir.clone())),
        _ => None,
    };
    if answer.is_some() {
        tell_inherited(pid, &*sink);
    }
    let audit =
        hook.map(|(dir, pipe)| Audit::new(dir, pipe, Arc::clone(&shared), Arc::clone(&wake), Arc::clone(&sink)));
    let inner = Arc::new(Inner {
        pid,
        pidfd,
        shared: Arc::clone(&shared),
        wake,
        stop,
        stopping: AtomicBool::new(false),
        hold: Arc::clone(&hold),
        status: Mutex::new(None),
        ended: Condvar::new(),
        openings: openings.clone(),
        done: AtomicU64::new(0),
        settling: Mutex::new(()),
        settled: Condvar::new(),
        reading: answer.is_some(),
        // What is not needed is removed at once.
        audit: audit.filter(|_| watched == Watched::Audit),
    });
    let mut kernel = Kernel { inner: Arc::clone(&inner), threads: Vec::new() };
    if let Some(answer) = answer {
        let sink = Arc::clone(&sink);
        let drain =
            Drain::new(Parts { shared, openings, object, sink, before, answer, hold, no_new_privs, kernel: pid });
        let reader = Arc::clone(&inner);
        kernel.threads.push(thread("nbpack-capture", move || reader.read(drain))?);
    }
    if inner.audit.is_some() {
        let hearer = Arc::clone(&inner);
        let hear = move || hearer.audit.iter().for_each(|audit| audit.hear_all(&hearer.stop));
        kernel.threads.push(thread("nbpack-hear", hear)?);
    }
    expect_running(&control, &mut tap, &launch)?;
    let watch = Watch { inner, control: Some(control), tap, listener, bell, sink };
    kernel.threads.push(thread("nbpack-watch", move || watch.run())?);
    Ok(Arc::new(kernel))
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, CaptureError> {
    prepared("thread", std::thread::Builder::new().name(name.into()).spawn(body))
}

/// `nbpack tap …`, with the kernel's environment and working directory as its own.
fn tap_command(launch: &Launch, options: &Options, inherited: &[(&str, OwnedFd)]) -> Command {
    let mut command = Command::new(&options.program);
    command.arg("tap");
    for (name, fd) in inherited {
        command.arg(name).arg(fd.as_raw_fd().to_string());
    }
    command.args(["--mode", options.mode.word()]);
    if let Some(dir) = &options.audit {
        command.arg("--audit").arg(dir);
    }
    if options.io_uring == IoUring::Refuse {
        command.arg("--refuse-io-uring");
    }
    command.arg("--").args(&launch.argv);
    command.env_clear().envs(launch.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(&launch.cwd);
    command
}

/// The kernel-to-be, before its exec.
struct Started {
    pid: u32,
    pidfd: OwnedFd,
    watched: Watched,
    listener: Option<OwnedFd>,
    no_new_privs: bool,
    /// The better ways that do not work here, and their error numbers.
    failed: Vec<(Way, i32)>,
}

/// Hears of the kernel-to-be.
fn start(control: &OwnedFd, tap: &mut Child, options: &Options) -> Result<Started, CaptureError> {
    let failed = |source| CaptureError::Tap { program: options.program.clone(), source };
    let (mut forked, mut ways) = (None, Vec::new());
    let (watched, listener, no_new_privs) = loop {
        match control::receive(control) {
            Ok(Some(Message::Forked { pid, pidfd })) => forked = Some((pid, pidfd)),
            Ok(Some(Message::Failed { way, errno })) => ways.push((way, errno)),
            Ok(Some(Message::Watched { no_new_privs, listener })) => {
                break (Watched::Notify, Some(listener), no_new_privs);
            }
            Ok(Some(Message::Traced { no_new_privs })) => break (Watched::Trace, None, no_new_privs),
            Ok(Some(Message::Audited)) => break (Watched::Audit, None, false),
            Ok(Some(Message::Unwatched)) => break (Watched::No, None, false),
            Ok(other) => {
                let found = format!("the tap ended early ({:?}, {other:?})", tap.wait());
                return Err(failed(io::Error::other(found)));
            }
            Err(error) => return Err(failed(error)),
        }
    };
    let (pid, pidfd) = forked.ok_or_else(|| failed(io::Error::other("the tap started nothing")))?;
    Ok(Started { pid, pidfd, watched, listener, no_new_privs, failed: ways })
}

/// Waits until the exec succeeded.
fn expect_running(control: &OwnedFd, tap: &mut Child, launch: &Launch) -> Result<(), CaptureError> {
    match control::receive(control) {
        Ok(Some(Message::NotStarted { errno })) => Err(not_started(tap, launch, errno)),
        // A tap that died meanwhile is the watch's business.
        _ => Ok(()),
    }
}

fn not_started(tap: &mut Child, launch: &Launch, errno: i32) -> CaptureError {
    // It has nothing to serve and ends; its status adds nothing to what it said.
    tap.wait().map(drop).unwrap_or_default();
    let program = launch.argv.first().map(PathBuf::from).unwrap_or_default();
    CaptureError::Kernel { program, source: io::Error::from_raw_os_error(errno) }
}

/// What the kernel has open already is used by it, though nobody will see it being opened.
fn tell_inherited(pid: u32, sink: &dyn EventSink) {
    let at = event::now();
    match inherited::files(pid, at) {
        Ok(files) => files.into_iter().for_each(|file| sink.record(Event::File(file))),
        Err(error) => {
            let detail = format!("the descriptors that the kernel inherited cannot be listed: {error}");
            sink.record(Event::Gap(Gap { at, reason: "unreadable".into(), detail, count: 1 }));
        }
    }
}

/// Watches over the tap.
struct Watch {
    inner: Arc<Inner>,
    control: Option<OwnedFd>,
    tap: Child,
    listener: Option<Arc<OwnedFd>>,
    bell: Arc<OwnedFd>,
    sink: Arc<dyn EventSink>,
}

impl Watch {
    fn run(mut self) {
        let pid = i32::try_from(self.tap.id()).ok().and_then(Pid::from_raw);
        let tap = pid.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        let Some(tap) = tap else { return self.stand_in() };
        let mut stuck = Stuck::default();
        loop {
            let (inner, nobody) = (&self.inner, self.inner.stop.as_fd());
            let mut sources = [
                source(self.control.as_ref().map(|control| control.as_fd()), nobody),
                source(Some(tap.as_fd()), nobody),
                source(Some(inner.hold.timer.as_fd()), nobody),
                source(Some(nobody), nobody),
            ];
            match poll(&mut sources, Some(&LOOK)) {
                Ok(0) => self.wake_tap(&mut stuck, &tap),
                Ok(_) => {}
                Err(_) => continue,
            }
            let [control, tap, timer, stop] = sources.map(|source| !source.revents().is_empty());
            if self.control.is_some() && control {
                self.hear();
            } else if tap {
                return self.lost();
            }
            if timer {
                self.inner.hold.renew(&self.inner.shared);
            }
            if stop && self.inner.stopping.load(Ordering::Acquire) {
                return self.leave();
            }
        }
    }

    /// Continues a tap that somebody stopped, and replaces one that does not answer all the same: every call of the kernel
    /// would wait for ever.
    fn wake_tap(&self, stuck: &mut Stuck, tap: &OwnedFd) {
        let shared = &self.inner.shared;
        let found = match &self.listener {
            Some(listener) => {
                let mut sources = [PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
                let waiting =
                    poll(&mut sources, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0);
                // A tap that waits for calls has none in its hand.
                (waiting || shared.slot_id() != 0).then(|| (shared.slot_id(), shared.head()))
            }
            None => is_stopped(self.tap.id()).then(|| (0, shared.head())),
        };
        stuck.looks = if found.is_some() && found == stuck.found { stuck.looks + 1 } else { 0 };
        stuck.found = found;
        let signal = match stuck.looks {
            0 => return,
            // With `ptrace` nobody could take its place.
            looks if looks > PATIENT_LOOKS && self.listener.is_some() => Signal::KILL,
            _ => Signal::CONT,
        };
        rustix::process::pidfd_send_signal(tap, signal).unwrap_or_default();
    }

    fn hear(&mut self) {
        match self.control.as_ref().map(control::receive) {
            Some(Ok(Some(Message::Ended { status }))) => self.inner.set_status(status),
            Some(Ok(Some(_))) => {}
            _ => self.control = None,
        }
    }

    /// The handle was dropped: the tap hears it from the closed socket and ends the kernel; it stays for daemons.
    fn leave(mut self) {
        self.control = None;
        if !self.inner.has_ended() {
            self.inner.set_status(libc::SIGKILL);
        }
        // Gone already, or it is adopted by init after us.
        self.tap.try_wait().map(drop).unwrap_or_default();
    }

    /// The tap ended: as it should, after everything it served; or before.
    fn lost(mut self) {
        while self.control.is_some() {
            self.hear();
        }
        let ended = self.tap.wait();
        if let Some(status) = self.inner.shared.status() {
            self.inner.set_status(status);
        }
        if ended.is_ok_and(|status| status.success()) && self.inner.has_ended() {
            return;
        }
        self.sink.record(Event::Gap(Gap {
            at: event::now(),
            reason: "tap_lost".into(),
            detail: match &self.listener {
                Some(_) => "the process between nbpack and the kernel was killed; nbpack answers in its place".into(),
                None => "the process between nbpack and the kernel was killed, and a traced kernel ends with it".into(),
            },
            count: 1,
        }));
        self.stand_in();
    }

    /// Does the tap's work from here on.
    fn stand_in(self) {
        let inner = &self.inner;
        let post = self.listener.and_then(|listener| {
            let (shared, wake) = (Arc::clone(&inner.shared), Arc::clone(&inner.wake));
            let post = Post::new(Some(listener), shared, wake, self.bell).ok()?;
            post.take_over();
            post.answer().is_ok().then_some(post)
        });
        let pid = i32::try_from(inner.pid).ok().and_then(Pid::from_raw);
        loop {
            let nobody = inner.stop.as_fd();
            let mut sources = [
                source(post.as_ref().map(|post| post.timer()), nobody),
                source((!inner.has_ended()).then_some(inner.pidfd.as_fd()), nobody),
                source(Some(inner.hold.timer.as_fd()), nobody),
                source(Some(nobody), nobody),
            ];
            if poll(&mut sources, None).is_err() {
                continue;
            }
            let [parked, kernel, timer, stop] = sources.map(|source| source.revents());
            if let Some(post) = &post
                && parked.contains(PollFlags::IN)
            {
                post.watch_parked();
            }
            if kernel.contains(PollFlags::IN) && !inner.has_ended() {
                inner.set_status(inner.shared.status().unwrap_or_else(|| reap(pid)));
            }
            if timer.contains(PollFlags::IN) {
                inner.hold.renew(&inner.shared);
            }
            if stop.contains(PollFlags::IN) && inner.stopping.load(Ordering::Acquire) {
                return end(inner, pid);
            }
        }
    }
}

/// What was found when it was looked whether the tap answers.
#[derive(Default)]
struct Stuck {
    /// The call in its hand and how much it has recorded, while other calls wait.
    found: Option<(u64, u64)>,
    /// How often that was so without anything having moved.
    looks: u32,
}

/// Whether a process was stopped by a signal.
fn is_stopped(pid: u32) -> bool {
    let stat = crate::files::read_bounded(std::path::Path::new(&format!("/proc/{pid}/stat")), 4096).unwrap_or_default();
    memchr::memmem::rfind(&stat, b") ").is_some_and(|end| stat.get(end + 2) == Some(&b'T'))
}

/// Takes the status of a kernel that has become our child.
fn reap(pid: Option<Pid>) -> i32 {
    let status = pid.and_then(|pid| rustix::process::waitpid(Some(pid), WaitOptions::empty()).ok().flatten());
    // Somebody else took it: nothing better is known than that it is gone.
    status.map_or(libc::SIGKILL, |(_, status)| status.as_raw())
}

/// The handle was dropped while the kernel lives and no tap is there to end it.
fn end(inner: &Inner, pid: Option<Pid>) {
    if !inner.has_ended() {
        rustix::process::pidfd_send_signal(&inner.pidfd, Signal::KILL).unwrap_or_default();
        inner.set_status(reap(pid));
    }
}
