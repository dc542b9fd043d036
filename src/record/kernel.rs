//! Puts proxy, capture and recorder together: one recorded kernel, from its start to its end.

use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use super::{
    idle::Idle,
    magics::RecorderMagics,
    panel::RecorderPanel,
    recorder::{Recorder, SessionSeed, Warn},
};
use crate::{
    capture::{self, CaptureError},
    event::{self, BeforeChange, Event, EventSink, FileAccess, Gap, KernelProcess, Launch, Launcher},
    jupyter::{connection::Connection, kernelspec::InterruptMode},
    kernel::{self, BeforeEnd, Config, ProxyError, SignalMode},
    session::model::SessionId,
    store::Store,
};

/// Turns the kernel's command into the one that is really started (a container around it), and gives what must live
/// as long as the kernel.
pub type Contain = Box<dyn FnOnce(Launch) -> io::Result<(Launch, Box<dyn Send>)> + Send>;

/// Takes the recorder of a session that has just begun.
pub type OnSession = Box<dyn FnOnce(&Arc<Recorder>) + Send>;

/// Takes the kernel that was started.
pub type OnKernel = Box<dyn FnOnce(Arc<dyn KernelProcess>) + Send>;

/// A kernel to be run and recorded.
#[expect(missing_debug_implementations, reason = "it holds closures, and an environment that may hold secrets")]
pub struct Setup {
    /// Where the session goes; `None` when there is no place: the kernel runs unrecorded.
    pub store: Option<Store>,
    /// The connection file that the frontend made.
    pub front: Connection,
    /// What is known of the session.
    pub seed: SessionSeed,
    /// The kernel's program and arguments, `{connection_file}` in them.
    pub argv: Vec<OsString>,
    /// The kernel's environment.
    pub env: Vec<(OsString, OsString)>,
    /// The kernel's working directory.
    pub cwd: PathBuf,
    /// A directory of this kernel alone, mode 0700.
    pub inner_dir: PathBuf,
    /// The same directory as the kernel sees it.
    pub inner_dir_inside: PathBuf,
    /// Who delivers interrupts.
    pub signal_mode: SignalMode,
    /// How the kernel is interrupted.
    pub interrupt_mode: InterruptMode,
    /// How file accesses are watched.
    pub capture: capture::Options,
    /// Why no file access can be seen, where that is known before; it is a gap in the record.
    pub unseen: Option<String>,
    /// Puts a container around the kernel.
    pub contain: Option<Contain>,
    /// After so long without a request, the layers of what is loaded are made for an export to come; `None`: never.
    pub prepare_after: Option<Duration>,
    /// Is given the recorder of the session as soon as there is one.
    pub on_session: OnSession,
    /// Is given the kernel as soon as it runs.
    pub on_kernel: OnKernel,
    /// Is told, once, when something cannot be recorded.
    pub warn: Warn,
}

/// Runs the kernel until it ends and records it; its wait status as `waitpid(2)` gives it.
///
/// Only what keeps the *kernel* from running is an error. What keeps it from being recorded is said by `warn`.
pub fn run(setup: Setup) -> Result<i32, ProxyError> {
    let Setup { store, mut seed, warn, on_session, on_kernel, contain, capture, .. } = setup;
    let kernel_name = seed.kernel.clone();
    seed.own_dirs.push(setup.inner_dir.clone());
    seed.own_dirs.push(setup.inner_dir_inside.clone());
    // A container's first process is this program.
    seed.own_dirs.push(capture.program.clone());
    let warn: Arc<Warn> = Arc::new(warn);
    let recorder = store.and_then(|store| {
        let told = Arc::clone(&warn);
        Recorder::start(&store, seed, Box::new(move |text| told(text)))
            .inspect_err(|error| warn(&format!("this session is not recorded: {}", chain(error))))
            .ok()
    });
    if let Some(recorder) = &recorder {
        on_session(recorder);
    }
    let (sink, before): (Arc<dyn EventSink>, Arc<dyn BeforeChange>) = match &recorder {
        Some(recorder) => (Arc::clone(recorder) as _, Arc::clone(recorder) as _),
        None => (Arc::new(Nowhere), Arc::new(Nowhere)),
    };
    let program = capture.program.clone();
    // Without it only the first export takes longer.
    let idle = match (&recorder, setup.prepare_after) {
        (Some(recorder), Some(after)) => Idle::start(preparation(&program, recorder.id()), after).ok(),
        _ => None,
    };
    let sink = idle.as_ref().map_or_else(|| Arc::clone(&sink), |idle| idle.watch(Arc::clone(&sink)));
    if let Some(detail) = setup.unseen {
        sink.record(Event::Gap(Gap { at: event::now(), reason: "unavailable".into(), detail, count: 0 }));
    }
    let contained = setup.signal_mode == SignalMode::Container;
    let panel = RecorderPanel::new(recorder.as_ref(), program.clone(), contained);
    let config = Config {
        front: setup.front,
        kernel_name,
        argv: setup.argv,
        env: setup.env,
        cwd: setup.cwd,
        inner_dir: setup.inner_dir,
        inner_dir_inside: setup.inner_dir_inside,
        inner_transport: None,
        signal_mode: setup.signal_mode,
        interrupt_mode: setup.interrupt_mode,
        magics: recorder.as_ref().map(|recorder| Arc::new(RecorderMagics::new(recorder, program)) as _),
        before_end: recorder.as_ref().filter(|_| contained).map(settles),
        panel: Some(Arc::new(panel)),
    };
    let (guard, guarded) = std::sync::mpsc::channel();
    let launcher = launcher(contain, guard, capture, &sink, before);
    let launcher: Launcher = Box::new(move |launch| launcher(launch).inspect(|kernel| on_kernel(Arc::clone(kernel))));
    let result = kernel::proxy::run(config, launcher, sink);
    drop(idle);
    if let Some(recorder) = &recorder {
        // A kernel that never ran has the status of a program that was not found.
        recorder.finish(*result.as_ref().unwrap_or(&(127 << 8)));
    }
    drop(guarded);
    result
}

/// How long the end of a kernel in a container waits for the digests of the files that go with it, from the first word
/// of its end on. Jupyter sends SIGTERM after half of five seconds, and kills after all of them.
const HASHED: Duration = Duration::from_secs(3);

/// What lets the recorder read the files of a container before it ends.
fn settles(recorder: &Arc<Recorder>) -> BeforeEnd {
    let (recorder, first) = (Arc::downgrade(recorder), OnceLock::new());
    Arc::new(move || {
        if let Some(recorder) = recorder.upgrade() {
            recorder.settle(HASHED.saturating_sub(first.get_or_init(Instant::now).elapsed()));
        }
    })
}

/// The command that makes layers of a session (`nbpack prepare`).
fn preparation(program: &std::path::Path, session: &SessionId) -> Vec<OsString> {
    let own = std::process::id().to_string();
    let mut command = vec![program.into()];
    command.extend(["prepare".to_owned(), session.to_string(), "--parent".to_owned(), own].map(OsString::from));
    command
}

fn launcher(
    contain: Option<Contain>,
    guard: std::sync::mpsc::Sender<Box<dyn Send>>,
    options: capture::Options,
    sink: &Arc<dyn EventSink>,
    before: Arc<dyn BeforeChange>,
) -> Launcher {
    let sink = Arc::clone(sink);
    Box::new(move |launch| {
        let launch = match contain {
            Some(contain) => {
                let (launch, kept) = contain(launch)?;
                // It is dropped with the channel, after the kernel's end.
                guard.send(kept).unwrap_or_default();
                launch
            }
            None => launch,
        };
        match capture::launch(launch.clone(), options, Arc::clone(&sink), before) {
            Err(CaptureError::Prepare { source, .. } | CaptureError::Tap { source, .. }) => {
                let at = event::now();
                let detail = format!("no file access is seen: the capture could not be started: {source}");
                sink.record(Event::Coverage { at, coverage: "none".into(), mechanism: "none".into() });
                sink.record(Event::Gap(Gap { at, reason: "unavailable".into(), detail, count: 0 }));
                kernel::launch::bare(launch)
            }
            result => result.map_err(io::Error::from),
        }
    })
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Takes events when nothing can be recorded.
struct Nowhere;

impl EventSink for Nowhere {
    fn record(&self, _: Event) {}
}

impl BeforeChange for Nowhere {
    fn before_change(&self, _: &FileAccess, _: &std::path::Path) {}
}
