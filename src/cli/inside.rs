//! Running *in* the image (the entrypoint of a container engine): no container of ours, the command directly.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::Read as _,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context as _;

use super::{Context, container_init, failure::Failure, restored::Given};
use crate::{
    bundle::config::{RUN_CONFIG, RunConfig},
    container::{init, publish},
    files, kernel,
    restore::machine::{self, Machine},
};

/// How to run this image, when we are in one.
pub(super) fn config() -> anyhow::Result<RunConfig> {
    let path = Path::new(RUN_CONFIG);
    if !path.exists() {
        return Err(Failure::unable("no bundle was named")
            .hint("give a .nbpack file or a restored name (`nbpack ls`); without one this works only inside an image")
            .into());
    }
    Ok(serde_json::from_slice(&files::read_bounded(path, 16 << 20)?)?)
}

/// Why `--network` and `--volume` are refused here.
pub(super) fn engine_gives() -> Failure {
    Failure::unable("inside an image, network and volumes are given by the engine")
        .hint("use the engine's own -v and --network")
}

/// What goes on beside a command in an image.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Connections on a socket are carried to a port: `SOCKET=PORT`.
    pub(super) relay: Option<String>,
    /// All ends when whoever listens on this socket does.
    pub(super) follow: Option<PathBuf>,
    /// The app's port is reached from outside of the container, also where the app listens on 127.0.0.1 only.
    pub(super) publish: Option<u16>,
}

impl Beside {
    /// Prepares it; what is given starts it, once the command runs.
    fn prepare(self) -> anyhow::Result<impl FnOnce()> {
        let relay = self.relay.as_deref().map(container_init::relay_at).transpose()?;
        let follow = self.follow.as_deref().map(UnixStream::connect).transpose();
        let follow = follow.with_context(|| Failure::unable("nobody wants what this container runs"))?;
        let addresses = self.publish.map(|port| (publish::addresses(), port));
        Ok(move || {
            if let Some(relay) = relay {
                relay.serve();
            }
            if let Some(mut life) = follow {
                std::thread::spawn(move || {
                    // Nothing is ever sent.
                    life.read(&mut [0]).map(drop).unwrap_or_default();
                    // The first process of a container takes all others with it.
                    std::process::exit(128 + libc::SIGKILL);
                });
            }
            if let Some((addresses, port)) = addresses.filter(|(addresses, _)| !addresses.is_empty()) {
                publish::publish(addresses, port);
            }
        })
    }
}

/// Runs `command` with the recorded environment below the one the engine set.
pub(super) fn run(command: Vec<String>, given: Given, beside: Beside, context: &Context) -> anyhow::Result<ExitCode> {
    let run = config()?;
    if given.network || !given.binds.is_empty() {
        return Err(engine_gives().into());
    }
    let mut env = environment(&run, context);
    env.insert("PATH".into(), search_path(&run, &env));
    env.extend(given.env.into_iter().map(|(name, value)| (name.into(), value.into())));
    let cwd = given.cwd.unwrap_or_else(|| work_dir(&run, context));
    let mut words = command.into_iter();
    let program = words.next().unwrap_or_else(|| "/bin/sh".to_owned());
    let mut process = Command::new(find(&program, &env));
    process.args(words).env_clear().envs(env).current_dir(cwd);
    run_to_end(&mut process, &program, beside.prepare()?)
}

fn run_to_end(process: &mut Command, program: &str, started: impl FnOnce()) -> anyhow::Result<ExitCode> {
    let ended = init::run_as_first(process, started).map_err(|error| {
        anyhow::Error::from(error).context(Failure::unable(format!("cannot run `{program}` in this image")))
    })?;
    init::unblock_signals();
    Ok(ExitCode::from(kernel::die_as(ended.status)))
}

/// The first process of a container gets no signal that it did not ask for, and every orphan: then this program runs
/// once more as its child. `None` elsewhere.
pub(super) fn below_first() -> anyhow::Result<Option<ExitCode>> {
    if std::process::id() != 1 {
        return Ok(None);
    }
    let program = super::restored::program()?;
    let mut process = Command::new(&program);
    process.args(std::env::args_os().skip(1));
    run_to_end(&mut process, &program.to_string_lossy(), || {}).map(Some)
}

/// The recorded environment below the one that the engine and its user set, which wins.
pub(super) fn environment(run: &RunConfig, context: &Context) -> BTreeMap<OsString, OsString> {
    let mut env: BTreeMap<OsString, OsString> =
        run.env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    for (name, value) in machine::pins(&Machine::recorded(run), &Machine::here()) {
        env.entry(name.into()).or_insert_with(|| value.into());
    }
    env.extend(context.env.clone());
    env.insert("HOME".into(), usable_home(&run.home, context).into());
    env
}

/// Where the engine put us, else where the recorded session worked.
pub(super) fn work_dir(run: &RunConfig, context: &Context) -> PathBuf {
    if context.cwd == Path::new("/") { run.cwd.clone() } else { context.cwd.clone() }
}

/// A directory for what this process keeps while it runs, removed with it: an image may run as a user without a home.
///
/// Where programs look for a temporary directory, and nowhere else: without one the kernel would not start either.
pub(super) fn scratch(context: &Context) -> anyhow::Result<tempfile::TempDir> {
    let places = [context.runtime_dir.as_path(), Path::new("/tmp"), Path::new("/var/tmp")];
    let made = places.iter().find_map(|place| tempfile::Builder::new().prefix("nbpack-").tempdir_in(place).ok());
    made.ok_or_else(|| {
        Failure::unable("no directory can be written here")
            .hint("give the container a writable /tmp (docker run --tmpfs /tmp)")
            .into()
    })
}

fn search_path(run: &RunConfig, env: &BTreeMap<OsString, OsString>) -> OsString {
    let mut path = OsString::new();
    let own = run.argv.first().map(Path::new).filter(|program| program.is_absolute()).and_then(Path::parent);
    if let Some(bin) = own {
        path.push(bin);
        path.push(":");
    }
    path.push(env.get(std::ffi::OsStr::new("PATH")).map_or("/usr/local/bin:/usr/bin:/bin".into(), OsString::clone));
    path
}

/// The program's place in `PATH`: `Command` would look in ours.
fn find(program: &str, env: &BTreeMap<OsString, OsString>) -> PathBuf {
    let path = env.get(std::ffi::OsStr::new("PATH")).and_then(|path| path.to_str()).unwrap_or_default();
    let mut places = path.split(':').map(|dir| Path::new(dir).join(program));
    places.find(|place| !program.contains('/') && place.is_file()).unwrap_or_else(|| PathBuf::from(program))
}

/// An engine may run the image as any user: the recorded home, the one it has, or `/tmp`.
fn usable_home(recorded: &Path, context: &Context) -> PathBuf {
    let writable = |dir: &&Path| dir.is_dir() && rustix::fs::access(*dir, rustix::fs::Access::WRITE_OK).is_ok();
    [recorded, context.home.as_path()]
        .into_iter()
        .filter(|dir| *dir != Path::new("/"))
        .find(writable)
        .map_or_else(|| PathBuf::from("/tmp"), Path::to_owned)
}
