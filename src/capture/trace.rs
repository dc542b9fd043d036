//! Watches by `ptrace`, where seccomp user notification cannot be had or a program cannot bear it.
//!
//! The same filter chooses the calls, and the same observer records them; only the way in which a caller waits is
//! another. One thread traces, for Linux takes a thread's orders from its tracer alone: it waits for stops, and while
//! calls are held for the proxy also for the bell that says that one may go on.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::event::poll;

use super::{
    IoUring, caller, filter,
    supervisor::{Observer, Post},
    sys,
    tap::source,
};

/// The event in a stop's wait status (`PTRACE_EVENT_…`).
const EVENT_OF: u32 = 16;
/// The probe opens this; it need not exist.
const PROBE: &[u8] = b"/proc/self/nbpack-probe";

/// Whoever traces.
pub(super) struct Tracer<'a> {
    post: Arc<Post>,
    observer: Observer,
    /// Becomes readable when a child has something to say.
    children: BorrowedFd<'a>,
    /// The calls that wait for the proxy: under which number, and whose.
    held: Vec<(u64, u32)>,
    last: u64,
}

impl<'a> Tracer<'a> {
    pub(super) fn new(post: Arc<Post>, children: BorrowedFd<'a>) -> Self {
        Self { observer: Observer::new(Arc::clone(&post)), post, children, held: Vec::new(), last: 0 }
    }

    /// Serves until everything that was traced is gone; `ended` hears of each process's end.
    pub(super) fn run(&mut self, mut ended: impl FnMut(u32, i32)) {
        loop {
            match sys::wait_any(self.held.is_empty()) {
                Ok(Some((tid, status))) if libc::WIFSTOPPED(status) => self.stopped(tid, status),
                Ok(Some((tid, status))) => ended(tid, status),
                Ok(None) => self.wait_for_anything(),
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(_) => return,
            }
            self.let_go_on();
        }
    }

    fn stopped(&mut self, tid: u32, status: i32) {
        let signal = libc::WSTOPSIG(status);
        let stops = matches!(signal, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU);
        // A thread that was killed meanwhile takes no orders, and needs none.
        let result = match status >> EVENT_OF {
            0 => sys::run_on(tid, signal),
            libc::PTRACE_EVENT_SECCOMP if self.holds(tid) => Ok(()),
            libc::PTRACE_EVENT_STOP if stops => sys::stay_stopped(tid),
            _ => sys::run_on(tid, 0),
        };
        result.unwrap_or_default();
    }

    /// Records the call before which the thread is stopped; whether it must wait for the proxy.
    fn holds(&mut self, tid: u32) -> bool {
        let Ok((arch, number, args)) = sys::stopped_call(tid) else { return false };
        self.last += 1;
        let id = self.last;
        // A stopped thread is the one that asked.
        let held = self.observer.observe(tid, arch, number, args, id, || true);
        if held {
            self.held.push((id, tid));
        }
        held
    }

    /// Lets those go on which the proxy, or the watchdog in its place, has answered.
    fn let_go_on(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let parked: Vec<u64> = self.post.shared.parked().map(|(id, _)| id).collect();
        self.held.retain(|(id, tid)| {
            let waits = parked.contains(id);
            if !waits {
                sys::run_on(*tid, 0).unwrap_or_default();
            }
            waits
        });
    }

    fn wait_for_anything(&self) {
        let nobody = self.post.bell();
        let mut sources = [source(Some(self.post.bell()), nobody), source(Some(self.children), nobody)];
        if poll(&mut sources, None).is_err() {
            return;
        }
        let mut buffer = [0; 128];
        for fd in [self.post.bell(), self.children] {
            rustix::io::read(fd, &mut buffer).map(drop).unwrap_or_default();
        }
    }
}

/// Installs the filter on this thread, which is traced already.
pub(super) fn install(io_uring: IoUring) -> io::Result<()> {
    let program = filter::program(io_uring, libc::SECCOMP_RET_TRACE, false);
    match sys::install_traced_filter(&program, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => sys::install_traced_filter(&program, 0),
        result => result,
    }
}

/// Whether a child's call is seen: found out with one that does nothing else.
///
/// A filter of somebody else's with a higher claim (another recorder's) would have it, and a container may forbid to
/// trace. This process must have one thread.
pub(super) fn try_it(io_uring: IoUring) -> io::Result<()> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let Some(child) = sys::fork()? else {
        drop(writer);
        probed_child(io_uring, &reader);
        sys::exit_now();
    };
    drop(reader);
    let traced = sys::seize(child);
    if traced.is_ok() {
        rustix::io::write(&writer, b"x").map(drop).unwrap_or_default();
    }
    // Without the word the child ends.
    drop(writer);
    let mut seen = false;
    loop {
        match sys::wait_any(true) {
            Ok(Some((tid, status))) if libc::WIFSTOPPED(status) => {
                seen |= status >> EVENT_OF == libc::PTRACE_EVENT_SECCOMP && is_probe(tid);
                sys::run_on(tid, if status >> EVENT_OF == 0 { libc::WSTOPSIG(status) } else { 0 }).unwrap_or_default();
            }
            Ok(Some((tid, _))) if tid == child => break,
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    traced?;
    if seen { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EBUSY)) }
}

fn probed_child(io_uring: IoUring, word: &OwnedFd) {
    let told = rustix::io::read(word.as_fd(), &mut [0; 1]).is_ok_and(|length| length == 1);
    // What cannot be installed is not seen, which is what the parent wants to know.
    if told && with_few_privileges(|| install(io_uring)).is_ok() {
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
        rustix::fs::open(PROBE, flags, rustix::fs::Mode::empty()).map(drop).unwrap_or_default();
    }
}

fn is_probe(tid: u32) -> bool {
    let Ok((_, _, args)) = sys::stopped_call(tid) else { return false };
    args.iter().any(|address| {
        let mut path = Vec::new();
        caller::read_path(tid, *address, &mut path).is_ok() && path == PROBE
    })
}

/// Does it, and where Linux wants it gives up the gaining of privileges first; whether they are given up.
pub(super) fn with_few_privileges<T>(install: impl Fn() -> io::Result<T>) -> io::Result<(T, bool)> {
    match install() {
        // Without CAP_SYS_ADMIN a filter needs the promise that no setuid program gains anything.
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            rustix::thread::set_no_new_privs(true)?;
            Ok((install()?, true))
        }
        result => Ok((result?, rustix::thread::no_new_privs().unwrap_or(false))),
    }
}
