//! Which files did the processes touch? Watches, never decides.
//!
//! The process tree is proxy → tap → kernel. The tap installs a seccomp filter on the kernel and answers its
//! notifications (`seccomp_unotify(2)`), always with "go on"; what it saw it puts on a ring in shared memory, from
//! which a thread of the proxy makes events. Both hold the listener, and a notification is received straight into the
//! shared memory: whoever of the two dies, the other answers what is left.
//!
//! A recorder, not a sandbox: another thread of the target can rewrite the path between our read and Linux's.

mod address;
mod audit;
mod caller;
mod calls;
mod control;
mod coverage;
mod drain;
mod filter;
mod hold;
mod inherited;
mod interpreter;
mod launch;
mod own_names;
mod preload;
mod probe;
mod ring;
mod seen;
mod supervisor;
#[expect(unsafe_code, reason = "seccomp, shared memory and fork have no safe interface; one call for each function")]
mod sys;
mod tap;
pub mod target;
mod tasks;
mod trace;

use std::{io, path::PathBuf, time::Duration};

pub use inherited::writes;
pub use launch::launch;
pub use probe::{ProbeResult, probe};
pub use tap::{Tap, run as run_tap};
pub use tasks::Tasks;

/// How the kernel is to be watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The best that works here.
    Auto,
    /// Seccomp user notification, or what comes after it.
    Notify,
    /// `ptrace`, or what comes after it: dearer, not to be had together with a debugger, and without the calls that
    /// fail with `EINTR`.
    Trace,
    /// An audit hook in Python processes: what Python code opens, and what is loaded.
    Audit,
    /// Not at all.
    None,
}

impl Mode {
    /// By its name on the command line.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "auto" => Self::Auto,
            "notify" => Self::Notify,
            "ptrace" => Self::Trace,
            "audit" => Self::Audit,
            "none" => Self::None,
            _ => return None,
        })
    }

    /// Its name on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Notify => "notify",
            Self::Trace => "ptrace",
            Self::Audit => "audit",
            Self::None => "none",
        }
    }
}

/// A way to watch, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Way {
    /// Seccomp user notification.
    Notify,
    /// `ptrace`.
    Trace,
    /// A hook in Python.
    Audit,
}

impl Way {
    fn number(self) -> i32 {
        match self {
            Self::Notify => 0,
            Self::Trace => 1,
            Self::Audit => 2,
        }
    }

    fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Notify,
            1 => Self::Trace,
            _ => Self::Audit,
        }
    }
}

/// What happens to programs that use io_uring, whose requests pass by every filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IoUring {
    /// They run, and the record has a gap.
    Detect,
    /// They are told that it is not permitted, and use other calls.
    Refuse,
}

/// How to capture.
#[derive(Clone, Debug)]
pub struct Options {
    /// This program, which is started again as `nbpack tap …`.
    pub program: PathBuf,
    /// The mechanism.
    pub mode: Mode,
    /// io_uring.
    pub io_uring: IoUring,
    /// Where the hook for Python may lie, a directory that is removed after the session; `None`: the kernel is no
    /// Python, or lives where it cannot see this directory.
    pub audit: Option<PathBuf>,
    /// The kernel may get an object from us that writes down its commonest openings.
    pub preload: bool,
    /// How long a call may be held while the content that it would change is put aside.
    pub longest_hold: Duration,
}

impl Options {
    /// The usual: the best mechanism, io_uring allowed, a change held for at most a minute.
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            mode: Mode::Auto,
            io_uring: IoUring::Detect,
            audit: None,
            preload: true,
            longest_hold: Duration::from_secs(60),
        }
    }
}

/// Why the kernel could not be started.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Memory, sockets or threads for the capture.
    #[error("cannot prepare the capture: no {what}")]
    Prepare {
        /// What could not be had.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The tap.
    #[error("cannot start `{}` as the kernel's parent", program.display())]
    Tap {
        /// This program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel itself.
    #[error("cannot start the kernel `{}`", program.display())]
    Kernel {
        /// The first word of its command.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<CaptureError> for io::Error {
    fn from(error: CaptureError) -> Self {
        let (CaptureError::Prepare { source, .. }
        | CaptureError::Tap { source, .. }
        | CaptureError::Kernel { source, .. }) = &error;
        Self::new(source.kind(), error)
    }
}
