//! Runs a recorded session once more in its restored container, recorded by the same recorder.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use rustix::fs::FlockOperation;
use tokio::sync::oneshot;

use super::{
    drive::{Ask, Driven, How, Progress, Settle, drive, models},
    plan::plan,
};
use crate::{
    bundle::config::RunConfig,
    capture,
    event::{self, KernelProcess},
    files::{self, FileError},
    jupyter::{
        connection::{Connection, Endpoint, Socket},
        kernelspec::InterruptMode,
        wire::{self, SigningKey},
    },
    kernel::{
        ProxyError, SignalMode,
        client::{Client, ClientError},
    },
    record::{self, Limits, Recorder, SessionSeed, kernel::Contain},
    restore::{self, RestoreError, SpecOptions, model::Restored},
    session::{
        self, DbError,
        model::{Recording, SessionId},
    },
    socket_dir::SocketDir,
    store::Store,
};

/// How long hashing what was read may take after the last cell.
const HASHED: Duration = Duration::from_secs(300);
const SCHEME: &str = "hmac-sha256";
/// How long the proxy may take until it listens.
const LISTEN: Duration = Duration::from_secs(20);
/// How long a kernel that was asked to end may take before it is signalled, as `jupyter_client` has it.
const OBEY: Duration = Duration::from_secs(5);
/// How long kernel and recorder may take to end.
const FINISH: Duration = Duration::from_secs(20);
/// What a kernel said last may still be on its way when it has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Where the kernel of a replay runs.
#[derive(Debug)]
pub enum Place<'a> {
    /// In a container of a restored bundle.
    Container {
        /// The bundle.
        restored: &'a Restored,
        /// What a person gives to it or changes.
        given: SpecOptions,
    },
    /// Where this process runs: in the image itself, which an engine started.
    Here {
        /// How the image is run.
        run: &'a RunConfig,
        /// The kernel's whole environment.
        env: Vec<(OsString, OsString)>,
        /// Its working directory.
        cwd: PathBuf,
    },
}

impl Place<'_> {
    fn run_config(&self) -> &RunConfig {
        match self {
            Self::Container { restored, .. } => &restored.run,
            Self::Here { run, .. } => run,
        }
    }
}

/// How to replay.
#[derive(Debug)]
pub struct Options<'a> {
    /// Send nothing more after an execution that ended in an error.
    pub stop_at_error: bool,
    /// For each execution, instead of ten times what it took in the recording (at least a minute).
    pub timeout: Option<Duration>,
    /// This program, for the container and the capture.
    pub program: &'a Path,
    /// Where the restored layers lie. The replay itself is kept in a private place that is removed.
    pub store: &'a Store,
    /// Where sockets may lie: a short path.
    pub runtime_dir: &'a Path,
}

/// What came of a replay.
#[derive(Debug)]
pub struct Replay {
    /// The replay as a recording.
    pub recording: Recording,
    /// Why not everything ran, for a person.
    pub notes: Vec<String>,
}

/// A session could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A directory or socket.
    #[error(transparent)]
    File(#[from] FileError),
    /// The container.
    #[error("cannot prepare the restored kernel")]
    Restore(#[from] RestoreError),
    /// The asynchronous runtime.
    #[error("cannot start the asynchronous runtime")]
    Runtime(#[source] io::Error),
    /// The kernel did not start.
    #[error("the restored kernel did not start")]
    Kernel(#[source] ProxyError),
    /// It started and could not be talked to.
    #[error("cannot talk to the restored kernel")]
    Client(#[source] ClientError),
    /// It ended while it was talked to.
    #[error("the restored kernel ended by itself (wait status {status})")]
    Died {
        /// As `waitpid(2)` gives it.
        status: i32,
    },
    /// The replay was not recorded.
    #[error("the replay was not recorded{}", why.as_deref().map(|why| format!(": {why}")).unwrap_or_default())]
    Unrecorded {
        /// What the recorder said.
        why: Option<String>,
    },
    /// Its record cannot be read.
    #[error("cannot read the record of the replay")]
    Record(#[from] DbError),
    /// Ctrl-C.
    #[error("the replay was interrupted")]
    Interrupted,
    /// A thread of ours stopped short.
    #[error("the recorder did not end in time")]
    Stuck,
}

/// Replays `recording` at `place` and gives the replay as a recording.
///
/// Blocks until the kernel has ended. What could not be sent is in the notes; an error means that there is nothing to
/// judge.
pub fn run(
    place: &Place<'_>,
    recording: &Recording,
    options: &Options<'_>,
    ask: &mut Ask<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Replay, RunError> {
    let sockets = SocketDir::new(options.runtime_dir)?;
    let tmp = options.store.tmp();
    files::create_private_dir(&tmp)?;
    let private = tempfile::Builder::new().prefix("replay-").tempdir_in(&tmp);
    let private = private.map_err(FileError::new("create a directory in", &tmp))?;
    // A collector leaves alone what is locked.
    let _in_use = files::lock_dir(private.path(), FlockOperation::LockShared)?;
    let store = Store::open(&private.path().join("v1"))?;
    let key = SigningKey::new(&wire::fresh_id(), SCHEME).ok_or(RunError::Stuck)?;
    let front = Connection::ipc(sockets.path(), "f", key, SCHEME);
    let inner_dir = sockets.path().join("k");
    files::create_private_dir(&inner_dir)?;
    let told = Told::default();
    let setup = setup(place, recording, options, &store, front.clone(), inner_dir, &told)?;
    let (sender, ended) = oneshot::channel();
    // Not waited for without a limit: its end is told over the channel.
    std::thread::spawn(move || drop(sender.send(record::kernel::run(setup))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Runtime)?;
    let models_of = |msg_id: &str| told.models(&store, msg_id);
    let interrupt = || told.signal(libc::SIGINT);
    let by_signal = place.run_config().interrupt_mode != "message";
    let steps = plan(recording, options.timeout);
    let driven = runtime.block_on(async {
        listening(&front).await;
        let interrupt = by_signal.then_some(&interrupt as &dyn Fn());
        let settling = told.clone();
        let settle: Settle = Arc::new(move || settling.settle());
        let how = How { stop_at_error: options.stop_at_error, models_of: &models_of, interrupt, settle };
        let driving = drive(&front, recording, &steps, &how, ask, progress);
        tokio::select! {
            driven = beside(ended, &told, driving) => driven,
            _ = tokio::signal::ctrl_c() => {
                // The kernel is in a session of its own: Ctrl-C does not reach it.
                tokio::time::timeout(LAST_WORDS, stop(&front)).await.unwrap_or_default();
                Err(RunError::Interrupted)
            }
        }
    })?;
    let id = told.lock().session.clone();
    let id = id.ok_or_else(|| RunError::Unrecorded { why: told.lock().warning.clone() })?;
    let recording = session::read_id(&store, &id)?;
    Ok(Replay { recording, notes: driven.notes })
}

/// Asks the kernel to end; a kernel that does not is ended with this process.
async fn stop(front: &Connection) {
    if let Ok(mut client) = Client::connect(front).await {
        client.shutdown(false).await.unwrap_or_default();
    }
}

/// Waits until the proxy has bound its sockets; if it never does, connecting says why.
async fn listening(front: &Connection) {
    let Some(Endpoint::Ipc(path)) = front.endpoint(Socket::Heartbeat) else { return };
    let bound = async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LISTEN, bound).await.unwrap_or_default();
}

/// Drives until all is said, or until the kernel has ended; then waits for the record to be complete.
async fn beside(
    mut ended: oneshot::Receiver<Result<i32, ProxyError>>,
    told: &Told,
    driving: impl Future<Output = Result<Driven, ClientError>>,
) -> Result<Driven, RunError> {
    let mut driving = std::pin::pin!(driving);
    tokio::select! {
        driven = &mut driving => {
            let mut driven = driven.map_err(RunError::Client)?;
            // A kernel may forget that it was asked to end; frontends signal it then, and so do we.
            let politely = [None, Some(libc::SIGTERM), Some(libc::SIGKILL)];
            // One that is in the middle of something hears nothing.
            let how = if driven.stopped { politely.get(2..) } else { politely.get(..) };
            for signal in how.unwrap_or_default().iter().copied() {
                if let Some(signal) = signal {
                    told.signal(signal);
                }
                let patience = if signal == Some(libc::SIGKILL) { FINISH } else { OBEY };
                if let Ok(end) = tokio::time::timeout(patience, &mut ended).await {
                    end.map_err(|_| RunError::Stuck)?.map_err(RunError::Kernel)?;
                    return Ok(driven);
                }
            }
            // All was said, and finished executions are in the record at once. The kernel ends with this process.
            driven.notes.push("the kernel did not end when it was killed; its answers are judged".to_owned());
            Ok(driven)
        }
        status = &mut ended => {
            let status = status.map_err(|_| RunError::Stuck)?.map_err(RunError::Kernel)?;
            match tokio::time::timeout(LAST_WORDS, driving).await {
                Ok(Ok(driven)) => Ok(driven),
                Ok(Err(_)) | Err(_) => Err(RunError::Died { status }),
            }
        }
    }
}

/// What the recorder says while it runs.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Words>>);

#[derive(Default)]
struct Words {
    session: Option<SessionId>,
    /// Not kept alive either: what it holds is removed with the replay.
    recorder: Weak<Recorder>,
    /// Not kept alive: its capture ends when its owner drops it.
    kernel: Option<Weak<dyn KernelProcess>>,
    warning: Option<String>,
}

impl Told {
    fn lock(&self) -> MutexGuard<'_, Words> {
        // Two independent values: a panic between them spoils neither.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signals the kernel; one that has ended meanwhile needs it no more.
    fn signal(&self, signal: i32) {
        let kernel = self.lock().kernel.as_ref().and_then(Weak::upgrade);
        if let Some(kernel) = kernel {
            kernel.signal(signal).unwrap_or_default();
        }
    }

    /// Waits until all files that were read so far are hashed.
    fn settle(&self) {
        let recorder = self.lock().recorder.upgrade();
        if let Some(recorder) = recorder {
            recorder.settle(HASHED);
        }
    }

    /// The models that the request made so far, in order; none when that cannot be read now.
    fn models(&self, store: &Store, msg_id: &str) -> Vec<String> {
        let Some(id) = self.lock().session.clone() else { return Vec::new() };
        let Ok(recording) = session::read_id(store, &id) else { return Vec::new() };
        let found = recording.executions.iter().find(|execution| execution.msg_id == msg_id);
        found.map(|execution| models(&recording.widgets(), execution.id)).unwrap_or_default()
    }
}

/// How the kernel is started.
struct Start {
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: PathBuf,
    inner_dir_inside: PathBuf,
    signal_mode: SignalMode,
    contain: Option<Contain>,
}

/// The kernel's process id as its code saw it; a restored kernel's was that of its container.
fn kernel_pid(recording: &Recording) -> Option<u32> {
    let kernel = recording.processes.iter().min_by_key(|process| process.started)?;
    recording.info.parent.is_none().then_some(kernel.pid)
}

/// A process id for another replay, so that what depends on it differs between the two.
pub fn other_pid(recording: &Recording) -> u32 {
    let first = kernel_pid(recording).unwrap_or(2);
    // Below the smallest limit that Linux is set to (32,768), and not so many tens or hundreds away.
    let base = if (10_000..20_000).contains(&first) { 20_000 } else { 10_000 };
    base + first.wrapping_add(7_919) % 10_000
}

fn start(place: &Place<'_>, recording: &Recording, options: &Options<'_>, inner_dir: &Path) -> Result<Start, RunError> {
    match place {
        Place::Container { restored, given } => {
            let first_pid = given.first_pid.or_else(|| kernel_pid(recording));
            let given = SpecOptions { first_pid, ..given.clone() };
            let kernel = restore::kernel_setup(restored, options.store, given)?;
            let (inner, program) = (inner_dir.to_owned(), options.program.to_owned());
            Ok(Start {
                argv: kernel.argv.clone(),
                env: kernel.env.clone(),
                cwd: kernel.cwd.clone(),
                inner_dir_inside: kernel.inner_dir_inside.clone(),
                signal_mode: SignalMode::Container,
                contain: Some(Box::new(move |launch| {
                    let (launch, guard) = kernel.contain(launch, &inner, &program).map_err(io::Error::other)?;
                    Ok((launch, Box::new(guard)))
                })),
            })
        }
        Place::Here { run, env, cwd } => Ok(Start {
            argv: run.argv.iter().map(OsString::from).collect(),
            env: env.clone(),
            cwd: cwd.clone(),
            inner_dir_inside: inner_dir.to_owned(),
            signal_mode: SignalMode::Host,
            contain: None,
        }),
    }
}

/// What the recorder needs to run the restored kernel under the recorded conditions.
fn setup(
    place: &Place<'_>,
    recording: &Recording,
    options: &Options<'_>,
    store: &Store,
    front: Connection,
    inner_dir: PathBuf,
    told: &Told,
) -> Result<record::kernel::Setup, RunError> {
    let start = start(place, recording, options, &inner_dir)?;
    let run = place.run_config();
    let (parent, foreign_root) = match place {
        Place::Container { restored, .. } => (Some(restored.manifest), true),
        // The image does not know its own name.
        Place::Here { .. } => (None, false),
    };
    let seed = SessionSeed {
        started: event::now(),
        kernel: run.kernel.clone(),
        display_name: run.display_name.clone(),
        language: run.language.clone(),
        argv: run.argv.clone(),
        interrupt_mode: run.interrupt_mode.clone(),
        kernel_env: std::collections::BTreeMap::new(),
        cwd: start.cwd.clone(),
        notebook: run.notebook.clone(),
        notebook_source: None,
        user: run.user.clone(),
        uid: run.uid,
        gid: run.gid,
        home: run.home.clone(),
        host: run.host.clone(),
        parent,
        environment: start.env.iter().cloned().collect(),
        facts: record::facts::collect(None),
        own_dirs: vec![options.store.root().to_owned(), store.root().to_owned()],
        foreign_root,
        limits: Limits::default(),
    };
    let (session, started, warning) = (told.clone(), told.clone(), told.clone());
    Ok(record::kernel::Setup {
        store: Some(store.clone()),
        front,
        seed,
        argv: start.argv,
        env: start.env,
        cwd: start.cwd,
        inner_dir,
        inner_dir_inside: start.inner_dir_inside,
        signal_mode: start.signal_mode,
        interrupt_mode: if run.interrupt_mode == "message" { InterruptMode::Message } else { InterruptMode::Signal },
        capture: capture::Options::new(options.program.to_owned()),
        unseen: None,
        contain: start.contain,
        on_session: Box::new(move |recorder| {
            let mut words = session.lock();
            words.session = Some(recorder.id().clone());
            words.recorder = Arc::downgrade(recorder);
        }),
        prepare_after: None,
        on_kernel: Box::new(move |kernel| started.lock().kernel = Some(Arc::downgrade(&kernel))),
        warn: Box::new(move |text| warning.lock().warning = Some(text.to_owned())),
    })
}
