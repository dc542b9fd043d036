//! Stands before the wrapped kernel from its start to its end.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    arrivals::Arrivals,
    magics::{Magics, Substitution},
    panel::{Comms, Panel},
    publisher::Publisher,
    relay::{self, Shared},
    sys,
    transport::Listener,
};
use crate::event::{self, Event, EventSink, KernelProcess, Launch, Launcher};
use crate::jupyter::{
    connection::{Connection, ConnectionError, Endpoint, Socket, Transport},
    kernelspec::InterruptMode,
};

/// The inner connection file's name in [`Config::inner_dir`].
pub const CONNECTION_FILE: &str = "connection.json";

/// How long what the kernel said last may take to reach the frontends after its end.
const FLUSH: Duration = Duration::from_secs(1);
/// How long a kernel whose manager has gone may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// Who delivers an interrupt to the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignalMode {
    /// The frontend: it signals the process group, in which the kernel is.
    Host,
    /// We: the kernel is in a session of its own.
    Container,
}

/// What is to be proxied.
#[expect(missing_debug_implementations, reason = "it holds a trait object, and an environment that may hold secrets")]
pub struct Config {
    /// The connection file that the frontend made.
    pub front: Connection,
    /// The wrapped kernel's name, for messages.
    pub kernel_name: String,
    /// Program and arguments, `{connection_file}` in them.
    pub argv: Vec<OsString>,
    /// The kernel's environment. `JPY_PARENT_PID` is taken as the manager to watch; the kernel gets 1 in its place.
    pub env: Vec<(OsString, OsString)>,
    /// The kernel's working directory.
    pub cwd: PathBuf,
    /// A directory of this proxy alone, mode 0700: the inner connection file and the sockets go there.
    pub inner_dir: PathBuf,
    /// The same directory as the kernel sees it.
    pub inner_dir_inside: PathBuf,
    /// How the kernel's sockets are reached; `None`: by Unix sockets where the kernel is known to have them.
    pub inner_transport: Option<Transport>,
    /// Who delivers interrupts.
    pub signal_mode: SignalMode,
    /// How the wrapped kernel is interrupted.
    pub interrupt_mode: InterruptMode,
    /// Answers `%nbpack` cells; `None` leaves them to the kernel.
    pub magics: Option<Arc<dyn Magics>>,
    /// Is called, and waited for, before the kernel is told to end; blocks.
    pub before_end: Option<BeforeEnd>,
    /// Answers what frontends ask over the comm target `nbpack`; `None` leaves it to the kernel.
    pub panel: Option<Arc<dyn Panel>>,
}

/// What must be done while the kernel's files are still there: its end takes its container with it.
pub type BeforeEnd = Arc<dyn Fn() + Send + Sync>;

/// Why a kernel could not be proxied.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The asynchronous runtime or a signal handler could not be set up.
    #[error("cannot {action}")]
    Setup {
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The front's address is not one that can be listened on.
    #[error("cannot listen on `{ip}`: not an IP address")]
    Address {
        /// `ip` of the connection file.
        ip: String,
    },
    /// A socket of the front could not be bound.
    #[error("cannot listen on {endpoint}")]
    Bind {
        /// Where.
        endpoint: Endpoint,
        /// What the operating system said.
        source: io::Error,
    },
    /// The inner connection file could not be written.
    #[error("cannot make the wrapped kernel's connection file")]
    Connection(#[from] ConnectionError),
    /// The kernel could not be started.
    #[error("cannot start kernel `{name}`: {program}")]
    Launch {
        /// The kernel's name.
        name: String,
        /// Its program.
        program: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The kernel's end could not be waited for.
    #[error("lost the kernel `{name}`")]
    Lost {
        /// The kernel's name.
        name: String,
        /// What the operating system said.
        source: io::Error,
    },
}

fn setup(action: &'static str) -> impl FnOnce(io::Error) -> ProxyError {
    move |source| ProxyError::Setup { action, source }
}

/// Runs the kernel behind the front's sockets until it ends; its wait status.
///
/// Blocks. The front is bound before the kernel is started. Each message goes to the sink before it is forwarded.
pub fn run(config: Config, launcher: Launcher, sink: Arc<dyn EventSink>) -> Result<i32, ProxyError> {
    sys::return_large_memory();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(setup("start the asynchronous runtime"))?;
    let result = runtime.block_on(serve(config, launcher, sink));
    // A magic that is still being answered is not waited for.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config, launcher: Launcher, sink: Arc<dyn EventSink>) -> Result<i32, ProxyError> {
    // Caught, not ignored: what is ignored stays so over exec, and the kernel could not be interrupted.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(setup("catch SIGINT"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(setup("catch SIGTERM"))?;
    let listeners = bind(&config.front).await?;
    let mut manager = watch_manager(&config.env);
    let inner = write_inner(&config)?;
    let (ended, ended_watch) = watch::channel(false);
    let (topics, topics_asked) = mpsc::unbounded_channel();
    let key = config.front.key.clone();
    let shared = Arc::new(Shared {
        sink: Arc::clone(&sink),
        kernel: OnceLock::new(),
        inner,
        arrivals: Arrivals::watch(&config.inner_dir, ended_watch.clone()),
        ended: ended_watch,
        met: AtomicBool::new(false),
        publisher: Publisher::new(topics, key.clone()),
        substitution: config.magics.clone().map(|magics| Substitution::new(magics, key.clone())),
        before_end: config.before_end.clone(),
        comms: config.panel.clone().map(|panel| Comms::new(panel, key)),
        anonymous: AtomicU32::new(1),
    });
    // Each connection holds a clone: when the last is dropped, all have ended.
    let (open, mut all_closed) = mpsc::channel::<()>(1);
    for (socket, listener) in listeners {
        tokio::spawn(accept(Arc::clone(&shared), socket, listener, open.clone()));
    }
    let listening = {
        let (shared, open) = (Arc::clone(&shared), open.clone());
        tokio::spawn(async move {
            // How it ended does not matter: it ends with the kernel.
            relay::listen(&shared, topics_asked).await.unwrap_or_default();
            drop(open);
        })
    };
    drop(open);

    let kernel = launch(&config, launcher, sink.as_ref())?;
    // It was not set before: this is the only place.
    shared.kernel.set(Arc::clone(&kernel)).unwrap_or_default();
    let mut exit = wait_for(Arc::clone(&kernel));
    let mut doomed: Option<Instant> = None;
    let status = loop {
        let deadline = doomed.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            status = &mut exit => {
                let lost = |source| ProxyError::Lost { name: config.kernel_name.clone(), source };
                break status.map_err(|_| lost(io::Error::other("the waiting thread ended")))?.map_err(lost)?;
            }
            _ = interrupt.recv() => {
                sink.record(Event::Fact { key: "interrupt".to_owned(), value: event::now().into() });
                if config.signal_mode == SignalMode::Container && config.interrupt_mode == InterruptMode::Signal {
                    deliver(kernel.as_ref(), libc::SIGINT);
                }
            }
            _ = terminate.recv() => {
                sink.record(Event::Fact { key: "end".to_owned(), value: event::now().into() });
                shared.before_end().await;
                deliver(kernel.as_ref(), libc::SIGTERM);
            }
            () = gone(&mut manager), if doomed.is_none() => {
                sink.record(Event::Fact { key: "end".to_owned(), value: event::now().into() });
                shared.before_end().await;
                deliver(kernel.as_ref(), libc::SIGTERM);
                doomed = Some(Instant::now() + GRACE);
            }
            () = tokio::time::sleep_until(deadline), if doomed.is_some() => {
                deliver(kernel.as_ref(), libc::SIGKILL);
                doomed = Some(Instant::now() + GRACE);
            }
        }
    };
    ended.send_replace(true);
    kernel.settle();
    sink.record(Event::KernelEnded { at: event::now(), status });
    if shared.met.load(Ordering::Acquire) {
        flush(&shared, &mut all_closed, listening).await;
    } else {
        say_dead_at_start(&config, status);
    }
    clean(&shared.inner, &config);
    Ok(status)
}

/// Binds the five sockets, so that frontends that wait for them see them before the kernel is up.
async fn bind(front: &Connection) -> Result<Vec<(Socket, Listener)>, ProxyError> {
    let mut listeners = Vec::new();
    for socket in Socket::ALL {
        let endpoint = front.endpoint(socket).ok_or_else(|| ProxyError::Address { ip: front.ip.clone() })?;
        let listener = Listener::bind(&endpoint).await;
        listeners.push((socket, listener.map_err(|source| ProxyError::Bind { endpoint, source })?));
    }
    Ok(listeners)
}

/// Serves the connections of one socket of the front until the kernel ends.
async fn accept(shared: Arc<Shared>, socket: Socket, listener: Listener, open: mpsc::Sender<()>) {
    let mut ended = shared.ended.clone();
    loop {
        let accepted = tokio::select! {
            _ = ended.wait_for(|ended| *ended) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(halves) => {
                let (shared, open) = (Arc::clone(&shared), open.clone());
                tokio::spawn(async move {
                    // A peer that breaks off or speaks something else ends its own connection and nothing more.
                    if socket == Socket::Iopub {
                        shared.publisher.serve(halves.0, halves.1).await.unwrap_or_default();
                    } else {
                        relay::relay(&shared, socket, halves).await.unwrap_or_default();
                        drop(open);
                    }
                });
            }
            // Too many open files, or a connection that went before we came: both pass.
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Decides where the kernel's sockets are, writes its connection file, and gives the same as this process sees it.
fn write_inner(config: &Config) -> Result<Connection, ProxyError> {
    let front = &config.front;
    let transport = config.inner_transport.unwrap_or_else(|| {
        // A container mostly has a network of its own, with other ports than ours.
        let inside = config.signal_mode == SignalMode::Container;
        let ipc = knows_ipc(&config.argv, &config.inner_dir_inside).unwrap_or(inside);
        if ipc { Transport::Ipc } else { Transport::Tcp }
    });
    let scheme = &front.signature_scheme;
    let mut inside = Connection::ipc(&config.inner_dir_inside, "k", front.key.clone(), scheme);
    inside.kernel_name.clone_from(&front.kernel_name);
    inside.extra.clone_from(&front.extra);
    let mut here = Connection::ipc(&config.inner_dir, "k", front.key.clone(), scheme);
    if transport == Transport::Tcp {
        use_free_ports(&mut inside).map_err(setup("find free ports"))?;
        here = inside.clone();
    }
    let path = config.inner_dir.join(CONNECTION_FILE);
    // A file from a predecessor that was killed is in nobody's use: the directory is ours alone.
    std::fs::remove_file(&path).unwrap_or_default();
    here.check_paths()?;
    inside.write(&path)?;
    Ok(here)
}

/// Whether a kernel uses libzmq, and so knows `ipc` with the path that a connection file means.
///
/// Others have ZeroMQ libraries of their own: JeroMQ's `ipc` is TCP under another name, Deno's and evcxr's kernels read
/// `ip` as an address and end at once. TCP on loopback every kernel knows. Those built on xeus know `ipc` but read their
/// endpoints back into 32 bytes, and end with "Invalid argument" when one is longer (seen with xeus-python 0.19).
/// `None` for a program that says nothing about its kernel.
fn knows_ipc(argv: &[OsString], dir: &Path) -> Option<bool> {
    const XEUS: [&str; 6] = ["xpython", "xeus", "xcpp", "xr", "xsqlite", "xlua"];
    const OTHERS: [&str; 7] = ["java", "kotlin", "scala", "groovy", "clojure", "deno", "evcxr"];
    let endpoint = "ipc://".len() + dir.as_os_str().len() + "/k-1".len();
    // Only what is run counts: the program, and the module behind `python -m`.
    let names: Vec<String> = argv.iter().take(3).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let names = || names.iter().filter_map(|arg| arg.rsplit('/').next());
    let is_xeus = names().any(|name| {
        XEUS.iter()
            .any(|xeus| name == *xeus || name.starts_with(&format!("{xeus}_")) || name.starts_with(&format!("{xeus}-")))
    });
    let is_other = names().any(|name| OTHERS.iter().any(|other| name.to_lowercase().contains(other)))
        || argv.iter().any(|arg| arg.to_string_lossy().ends_with(".jar"));
    let uses_libzmq = names().next().is_some_and(|name| name == "R" || name.starts_with("python"));
    match (is_other, is_xeus) {
        (true, _) => Some(false),
        (false, true) => Some(endpoint <= 31),
        (false, false) => uses_libzmq.then_some(true),
    }
}

fn use_free_ports(connection: &mut Connection) -> io::Result<()> {
    // All five are bound at once, or the same port could come twice.
    let held: Vec<std::net::TcpListener> =
        (0..5).map(|_| std::net::TcpListener::bind(("127.0.0.1", 0))).collect::<io::Result<_>>()?;
    let mut ports = Vec::new();
    for listener in &held {
        ports.push(listener.local_addr()?.port());
    }
    connection.transport = Transport::Tcp;
    "127.0.0.1".clone_into(&mut connection.ip);
    if let [shell, iopub, stdin, control, heartbeat] = ports[..] {
        connection.shell_port = shell;
        connection.iopub_port = iopub;
        connection.stdin_port = stdin;
        connection.control_port = control;
        connection.hb_port = heartbeat;
    }
    Ok(())
}

fn launch(config: &Config, launcher: Launcher, sink: &dyn EventSink) -> Result<Arc<dyn KernelProcess>, ProxyError> {
    let file = config.inner_dir_inside.join(CONNECTION_FILE).to_string_lossy().into_owned();
    let argv: Vec<OsString> = config
        .argv
        .iter()
        .map(|arg| match arg.to_str() {
            Some(text) => text.replace("{connection_file}", &file).into(),
            None => arg.clone(),
        })
        .collect();
    // The manager is not the kernel's parent: with its number ipykernel would end within a second. Without any number
    // it takes itself for started by hand and says so in the notebook, and code that asks for the variable finds none.
    // With 1 it does neither, and does not look after its parent, which we do.
    let parent = |(name, value): &(OsString, OsString)| match name.to_str() {
        Some("JPY_PARENT_PID") => (name.clone(), OsString::from("1")),
        _ => (name.clone(), value.clone()),
    };
    let env = config.env.iter().map(parent).collect();
    let shown: Vec<String> = argv.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let kernel = launcher(Launch { argv, env, cwd: config.cwd.clone() }).map_err(|source| ProxyError::Launch {
        name: config.kernel_name.clone(),
        program: shown.first().cloned().unwrap_or_default(),
        source,
    })?;
    sink.record(Event::KernelStarted { at: event::now(), pid: kernel.pid(), argv: shown });
    Ok(kernel)
}

/// Waits on a thread of its own.
fn wait_for(kernel: Arc<dyn KernelProcess>) -> oneshot::Receiver<io::Result<i32>> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        // Nobody listens any more when the proxy gave up: then nothing is to be told.
        sender.send(kernel.wait()).unwrap_or_default();
    });
    receiver
}

/// A kernel that has just ended cannot be signalled, and need not be.
fn deliver(kernel: &dyn KernelProcess, signal: i32) {
    kernel.signal(signal).unwrap_or_default();
}

/// The process that started us, when it says that it is the manager: a signal that comes when it has ended.
fn watch_manager(env: &[(OsString, OsString)]) -> Option<oneshot::Receiver<()>> {
    let named = env.iter().find(|(name, _)| name == "JPY_PARENT_PID").and_then(|(_, value)| value.to_str())?;
    let pid = rustix::process::Pid::from_raw(named.parse().ok()?)?;
    let process = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()?;
    // Asked after the process was opened, so that the number cannot have a new owner.
    if rustix::process::getppid() != Some(pid) {
        return None;
    }
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut wanted = [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)];
        while rustix::event::poll(&mut wanted, None) == Err(rustix::io::Errno::INTR) {}
        // Nobody listens any more when the kernel has ended before.
        sender.send(()).unwrap_or_default();
    });
    Some(receiver)
}

/// Returns when the manager has ended; never, when none is watched.
async fn gone(manager: &mut Option<oneshot::Receiver<()>>) {
    match manager {
        Some(receiver) => drop(receiver.await),
        None => std::future::pending().await,
    }
}

/// Lets the frontends have what the kernel said last.
async fn flush(shared: &Shared, all_closed: &mut mpsc::Receiver<()>, listening: tokio::task::JoinHandle<()>) {
    let give_up = Instant::now() + FLUSH;
    // The kernel's sockets closed with it, so the relays end when they have passed everything on; a process that the
    // kernel left behind may hold them open, and a client may not read: both are waited for so long and no longer.
    timeout(FLUSH, all_closed.recv()).await.unwrap_or_default();
    while shared.publisher.is_busy() && Instant::now() < give_up {
        sleep(Duration::from_millis(2)).await;
    }
    listening.abort();
}

fn say_dead_at_start(config: &Config, status: i32) {
    let argv: Vec<_> = config.argv.iter().map(|arg| arg.to_string_lossy()).collect();
    let status = std::process::ExitStatus::from_raw(status);
    let line = format!("nbpack: kernel `{}` ended at its start ({status}): {}\n", config.kernel_name, argv.join(" "));
    std::io::stderr().write_all(line.as_bytes()).unwrap_or_default();
}

/// Removes the inner connection file and sockets; what is left goes with the directory.
fn clean(inner: &Connection, config: &Config) {
    std::fs::remove_file(config.inner_dir.join(CONNECTION_FILE)).unwrap_or_default();
    for socket in Socket::ALL {
        if let Some(Endpoint::Ipc(path)) = inner.endpoint(socket) {
            std::fs::remove_file(path).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_that_cannot_use_long_ipc_paths_get_ports() {
        let knows = |argv: &[&str], dir: &str| {
            let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
            knows_ipc(&argv, Path::new(dir))
        };
        let (short, long) = ("/run/nbpack", "/run/user/1000/nbpack-1000-abcdef");
        assert_eq!(knows(&["/env/bin/python", "-m", "ipykernel_launcher"], long), Some(true));
        assert_eq!(knows(&["/usr/bin/R", "--slave", "-e", "IRkernel::main()"], long), Some(true));
        assert_eq!(knows(&["/bin/sh", "-c", "exec something"], short), None);
        for argv in [
            &["/usr/bin/java", "-jar", "kernel.jar"][..],
            &["/env/bin/python", "-m", "run_kotlin_kernel"],
            &["/env/bin/deno", "jupyter", "--kernel"],
        ] {
            assert_eq!(knows(argv, short), Some(false), "{argv:?}");
        }
        for argv in [&["python", "-m", "xpython_launcher"][..], &["/env/bin/xr"], &["/env/bin/xeus-octave"]] {
            assert_eq!((knows(argv, short), knows(argv, long)), (Some(true), Some(false)), "{argv:?}");
        }
    }
}
