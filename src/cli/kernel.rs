//! `nbpack kernel`: what Jupyter starts.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io::Write as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::Context as _;

use super::{
    Context, child,
    engine::{EngineArgs, Image},
    failure::Failure,
    restored,
    run::GivenArgs,
};
use crate::{
    capture, event,
    files::{self, FileError},
    jupyter::{
        connection::{self, Connection},
        kernelspec::{self, InterruptMode, Kernelspec, SearchPath},
    },
    kernel::{self, SignalMode},
    record::{Limits, SessionSeed, facts, kernel::Setup},
    restore::{self, SpecOptions},
    socket_dir::SocketDir,
    store::Store,
};

/// Nobody types for so long who only thinks.
const PREPARE_AFTER: Duration = Duration::from_secs(60);

/// Run a kernel for Jupyter and record it (Jupyter starts this; `nbpack install` tells it how)
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Jupyter's connection file
    #[arg(short = 'f', value_name = "FILE")]
    connection_file: PathBuf,
    /// The kernelspec to run and record
    #[arg(long, value_name = "NAME", required_unless_present = "restored")]
    wrap: Option<String>,
    /// The directory of that kernelspec
    #[arg(long, value_name = "DIR", requires = "wrap")]
    wrap_dir: Option<PathBuf>,
    /// The interpreter that a bare `python` in that kernelspec means
    #[arg(long, value_name = "PATH", requires = "wrap")]
    python: Option<PathBuf>,
    /// A restored bundle whose kernel is to be run, in its container
    #[arg(long, value_name = "NAME", conflicts_with = "wrap")]
    restored: Option<String>,
    /// How file accesses are watched: `auto`, `notify`, `ptrace`, `audit` or `none` [default: $NBPACK_CAPTURE, else auto]
    #[arg(long, value_name = "MODE")]
    capture: Option<String>,
    /// Make no layers for an export to come while the kernel idles [default: $NBPACK_PREPARE: `on` (after 60
    /// idle seconds), the seconds, or `off`, else on]
    #[arg(long)]
    no_prepare: bool,
    #[command(flatten)]
    given: GivenArgs,
    #[command(flatten)]
    engine: EngineArgs,
    /// Handed to the kernel
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARG")]
    rest: Vec<OsString>,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let front = connection::read(&args.connection_file)
        .with_context(|| Failure::unable("Jupyter's connection file cannot be used"))?;
    let program = std::env::current_exe().map_err(FileError::new("find", Path::new("/proc/self/exe")))?;
    let inner = SocketDir::new(&context.runtime_dir)?;
    let capture = capture_options(&args, context, &program);
    let setup = match &args.restored {
        Some(name) => restored_setup(name, &args, context, front, inner.path(), capture)?,
        None => wrapped(&args, context, front, inner.path(), capture)?,
    };
    let ended = crate::record::kernel::run(setup);
    // Before we may end by a signal: nothing of this kernel stays behind.
    drop(inner);
    let status = ended.map_err(|error| {
        let hint = "run `nbpack install` again if the environment has moved, or choose the bare kernel";
        anyhow::Error::from(error).context(Failure::unable("the kernel could not be run").hint(hint))
    })?;
    Ok(ExitCode::from(kernel::die_as(status)))
}

fn capture_options(args: &Args, context: &Context, program: &Path) -> capture::Options {
    let word = args.capture.as_deref().or_else(|| context.var("NBPACK_CAPTURE")).unwrap_or("auto");
    let mode = capture::Mode::from_word(word).unwrap_or_else(|| {
        say(&format!("capture `{word}` is not known here; using `auto`"));
        capture::Mode::Auto
    });
    capture::Options { mode, ..capture::Options::new(program.to_owned()) }
}

/// How long the kernel must be idle before layers are made; `None`: they are not.
fn prepare_after(args: &Args, context: &Context) -> Option<Duration> {
    let word = context.var("NBPACK_PREPARE").filter(|word| !word.is_empty());
    match word {
        _ if args.no_prepare => None,
        Some("off") => None,
        None | Some("on") => Some(PREPARE_AFTER),
        Some(word) => {
            let seconds = word.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            if seconds.is_none() {
                say(&format!(
                    "NBPACK_PREPARE is `{word}`, which is neither `on`, `off` nor a number of seconds; it is off"
                ));
            }
            seconds
        }
    }
}

/// One line on stderr, which Jupyter shows in its log.
fn say(text: &str) {
    // Nobody can be told when stderr is closed.
    writeln!(std::io::stderr().lock(), "nbpack: {text}").unwrap_or_default();
}

/// The store, or none: then the kernel runs unrecorded, and that is said.
fn store(context: &Context) -> Option<Store> {
    if let Some(line) = context.said_elsewhere() {
        say(&line);
    }
    Store::open(&context.store_root)
        .inspect_err(|error| say(&format!("this session is not recorded: {error}: {}", error.source)))
        .ok()
}

fn wrapped(
    args: &Args,
    context: &Context,
    front: Connection,
    inner: &Path,
    capture: capture::Options,
) -> anyhow::Result<Setup> {
    let spec = find_spec(args, context)?;
    let prefix = spec.prefix().and_then(Path::to_str);
    let python = args.python.clone().or_else(|| neighbour(&spec));
    let mut argv = spec.command(python.as_deref().and_then(Path::to_str), prefix);
    if let Some(program) = argv.first_mut() {
        *program = resolve(program, context);
    }
    let mut env = context.env.clone();
    for (name, value) in &spec.env {
        env.entry(name.into()).or_insert_with(|| expand(value, &context.env));
    }
    let mut capture = capture;
    if spec.language.eq_ignore_ascii_case("python") {
        capture.audit = Some(inner.join("audit"));
        // The order of sets of strings would differ in each run and could not be replayed.
        env.entry("PYTHONHASHSEED".into()).or_insert_with(|| "0".into());
    }
    let seed = seed(&spec, &argv, &env, &front, context);
    let mut command: Vec<OsString> = argv.into_iter().map(OsString::from).collect();
    command.extend(args.rest.iter().cloned());
    Ok(Setup {
        store: store(context),
        front,
        seed,
        argv: command,
        env: env.into_iter().collect(),
        cwd: context.cwd.clone(),
        inner_dir: inner.to_owned(),
        inner_dir_inside: inner.to_owned(),
        signal_mode: SignalMode::Host,
        interrupt_mode: spec.interrupt_mode,
        capture,
        unseen: None,
        contain: None,
        prepare_after: prepare_after(args, context),
        on_session: Box::new(|_| {}),
        on_kernel: Box::new(|_| {}),
        warn: warn_once_each(),
    })
}

/// The kernel of a restored bundle: in its container, without the user's home, environment or network.
fn restored_setup(
    name: &str,
    args: &Args,
    context: &Context,
    front: Connection,
    inner: &Path,
    mut capture: capture::Options,
) -> anyhow::Result<Setup> {
    let given = args.given.resolve(context)?;
    let restored = restored::resolve(name, context)?;
    let image = args.engine.engine.map(|engine| Image::of_restored(engine, &restored)).transpose()?;
    // The engine's daemon starts the kernel, which is no descendant of this process.
    let unseen = image.as_ref().map(|_| {
        capture.mode = capture::Mode::None;
        "the kernel runs in a container engine: files that it reads and writes are not seen".to_owned()
    });
    if let Some(line) = &unseen {
        say(line);
    }
    restored::say_machine(&restored, context);
    let store = context.store()?;
    let volumes: Vec<_> = given.binds.iter().map(|bind| (bind.host.clone(), bind.target.clone())).collect();
    let options = SpecOptions {
        binds: given.binds.clone(),
        network: given.network,
        env: given.env.clone(),
        cwd: given.cwd.clone(),
        inexact: given.inexact,
        ..SpecOptions::default()
    };
    let inside = restore::kernel_setup(&restored, &store, options)?;
    let run = &restored.run;
    let (notebook, notebook_source) = notebook(&front, context);
    let seed = SessionSeed {
        started: event::now(),
        kernel: run.kernel.clone(),
        display_name: run.display_name.clone(),
        language: run.language.clone(),
        argv: run.argv.clone(),
        interrupt_mode: run.interrupt_mode.clone(),
        kernel_env: BTreeMap::new(),
        cwd: inside.cwd.clone(),
        notebook,
        notebook_source,
        user: run.user.clone(),
        uid: run.uid,
        gid: run.gid,
        home: run.home.clone(),
        host: run.host.clone(),
        parent: Some(restored.manifest),
        environment: inside.env.iter().cloned().collect(),
        facts: facts_with(&volumes),
        own_dirs: Vec::new(),
        foreign_root: true,
        limits: Limits::default(),
    };
    let mut argv = inside.argv.clone();
    argv.extend(args.rest.iter().cloned());
    // The proxy watches the manager, which it knows by this variable; inside it means nothing.
    let parent = context.env.get_key_value(OsStr::new("JPY_PARENT_PID"));
    let env = inside.env.iter().cloned().chain(parent.map(|(name, value)| (name.clone(), value.clone()))).collect();
    let (cwd, inner_dir_inside) = (inside.cwd.clone(), inside.inner_dir_inside.clone());
    let (program, inner_dir, context) = (capture.program.clone(), inner.to_owned(), context.clone());
    let contain = move |launch: event::Launch| {
        if let Some(image) = image {
            return image
                .contain(launch, given, inner_dir, &context)
                .map_err(|error| std::io::Error::other(format!("{error:#}")));
        }
        let (launch, cleanup) = inside.contain(launch, &inner_dir, &program).map_err(std::io::Error::other)?;
        Ok((launch, Box::new(cleanup) as Box<dyn Send>))
    };
    Ok(Setup {
        store: Some(store),
        front,
        seed,
        argv,
        env,
        cwd,
        inner_dir: inner.to_owned(),
        inner_dir_inside,
        signal_mode: SignalMode::Container,
        interrupt_mode: match run.interrupt_mode.as_str() {
            "message" => InterruptMode::Message,
            _ => InterruptMode::Signal,
        },
        capture,
        unseen,
        contain: Some(Box::new(contain)),
        prepare_after: None,
        on_session: Box::new(|_| {}),
        on_kernel: Box::new(|_| {}),
        warn: warn_once_each(),
    })
}

/// The machine's facts, and what of it is shown to the kernel.
fn facts_with(volumes: &[(PathBuf, PathBuf)]) -> BTreeMap<String, serde_json::Value> {
    let mut facts = facts::collect(None);
    if !volumes.is_empty() {
        facts.insert(child::VOLUMES.to_owned(), serde_json::json!(volumes));
    }
    facts
}

fn find_spec(args: &Args, context: &Context) -> anyhow::Result<Kernelspec> {
    let name = args.wrap.as_deref().unwrap_or_default();
    let missing = || {
        Failure::unable(format!("the kernel `{name}` that is to be recorded is not there"))
            .hint("run `nbpack install` again in the environment that has it")
    };
    let spec = match &args.wrap_dir {
        Some(dir) if dir.join("kernel.json").is_file() => kernelspec::read(dir).with_context(missing)?,
        _ => {
            let env = |name: &str| match name {
                "HOME" => Some(context.home.clone().into()),
                _ => context.env.get(OsStr::new(name)).cloned(),
            };
            let own = own_prefix();
            let prefix = own.clone().or_else(|| kernelspec::guess_prefix(&env));
            let path = SearchPath::from_env(&env, prefix.as_deref());
            // The wheel's kernelspec names no directory: it means the kernel beside itself.
            let path = own.into_iter().fold(path, |path, own| path.preferring(&own));
            kernelspec::find(&path, name).with_context(missing)?
        }
    };
    spec.check_wrappable()?;
    Ok(Kernelspec { name: name.to_owned(), ..spec })
}

/// The environment that this program was installed into by `pip`: it has kernels.
fn own_prefix() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let bin = program.parent().filter(|dir| dir.ends_with("bin"))?;
    bin.parent().filter(|prefix| prefix.join("share/jupyter/kernels").is_dir()).map(Path::to_owned)
}

/// The interpreter beside the kernelspec, or beside us, that a bare `python` in it means.
fn neighbour(spec: &Kernelspec) -> Option<PathBuf> {
    if !spec.has_bare_python() {
        return None;
    }
    let names = [spec.argv.first()?.as_str(), "python3", "python"];
    let prefixes = [spec.prefix().map(Path::to_owned), own_prefix()];
    let of_prefix = |prefix: PathBuf| names.map(|name| prefix.join("bin").join(name));
    prefixes.into_iter().flatten().flat_map(of_prefix).find(|file| file.is_file())
}

/// The program as an absolute path, where PATH has it.
fn resolve(program: &str, context: &Context) -> String {
    if program.contains('/') {
        return context.cwd.join(program).to_string_lossy().into_owned();
    }
    let dirs = context.env.get(OsStr::new("PATH")).map(std::env::split_paths);
    let found = dirs.into_iter().flatten().map(|dir| dir.join(program)).find(|file| file.is_file());
    found.map_or_else(|| program.to_owned(), |file| file.to_string_lossy().into_owned())
}

/// `${NAME}` in a kernelspec's env means the variable of the server.
fn expand(value: &str, env: &BTreeMap<OsString, OsString>) -> OsString {
    let mut expanded = OsString::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}') else { break };
        expanded.push(before);
        expanded.push(env.get(OsStr::new(name)).map(OsString::as_os_str).unwrap_or_default());
        rest = tail;
    }
    expanded.push(rest);
    expanded
}

fn seed(
    spec: &Kernelspec,
    argv: &[String],
    env: &BTreeMap<OsString, OsString>,
    front: &Connection,
    context: &Context,
) -> SessionSeed {
    let (notebook, notebook_source) = notebook(front, context);
    let prefix = argv.first().and_then(|program| Path::new(program).parent()?.parent().map(Path::to_owned));
    let mut facts = facts::collect(prefix.as_deref());
    facts.insert("kernelspec.metadata".to_owned(), spec.metadata.clone());
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    SessionSeed {
        started: event::now(),
        kernel: spec.name.clone(),
        display_name: spec.display_name.clone(),
        language: spec.language.clone(),
        argv: argv.to_vec(),
        interrupt_mode: match spec.interrupt_mode {
            InterruptMode::Signal => "signal".to_owned(),
            InterruptMode::Message => "message".to_owned(),
        },
        kernel_env: spec.env.clone(),
        cwd: context.cwd.clone(),
        notebook,
        notebook_source,
        user: user_name(uid).unwrap_or_else(|| uid.to_string()),
        uid,
        gid,
        home: context.home.clone(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        parent: None,
        environment: env.clone(),
        facts,
        own_dirs: Vec::new(),
        foreign_root: false,
        limits: Limits::default(),
    }
}

/// The notebook as jupyter_server tells it. Without a name it tells only a directory.
fn notebook(front: &Connection, context: &Context) -> (Option<PathBuf>, Option<String>) {
    let told = context.var("JPY_SESSION_NAME").map(|path| (path.to_owned(), "JPY_SESSION_NAME"));
    let in_file = front.extra.get("jupyter_session").and_then(|value| value.as_str());
    let candidates = told.into_iter().chain(in_file.map(|path| (path.to_owned(), "connection file")));
    for (path, source) in candidates {
        let path = context.cwd.join(path);
        if path.extension().is_some_and(|extension| extension == "ipynb") {
            return (Some(path), Some(source.to_owned()));
        }
    }
    notebook_of_runner(context).map_or((None, None), |(path, source)| (Some(path), Some(source)))
}

/// The notebook that papermill or nbconvert was called with: they tell the kernel nothing, but it is in their command line.
fn notebook_of_runner(context: &Context) -> Option<(PathBuf, String)> {
    let manager = Path::new("/proc").join(context.var("JPY_PARENT_PID")?);
    let line = files::read_bounded(&manager.join("cmdline"), 1 << 20).ok()?;
    let args: Vec<&Path> = line.split(|byte| *byte == 0).map(|arg| Path::new(OsStr::from_bytes(arg))).collect();
    let runner = ["papermill", "nbconvert", "jupyter-nbconvert", "jupyter-execute", "execute"]
        .into_iter()
        .find(|name| args.iter().take(4).any(|arg| arg.file_name() == Some(OsStr::new(name))))?;
    let cwd = std::fs::read_link(manager.join("cwd")).ok()?;
    let is_notebook = |arg: &&&Path| arg.extension().is_some_and(|extension| extension == "ipynb");
    let mut notebooks = args.iter().filter(is_notebook).map(|arg| cwd.join(arg)).filter(|path| path.is_file());
    let first = notebooks.next()?;
    // papermill names its result second; with several notebooks for the others it is unknown which of them runs.
    let sure = runner == "papermill" || notebooks.next().is_none();
    sure.then(|| (first, runner.trim_start_matches("jupyter-").to_owned()))
}

fn user_name(uid: u32) -> Option<String> {
    let passwd = files::read_to_string(Path::new("/etc/passwd")).ok()?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    })
}

/// Warnings go to stderr: the first of each minute of trouble is enough, so at most ten in all.
fn warn_once_each() -> crate::record::Warn {
    let said = std::sync::atomic::AtomicUsize::new(0);
    let silent = AtomicBool::new(false);
    Box::new(move |text| {
        if said.fetch_add(1, Ordering::Relaxed) < 10 {
            say(text);
        } else if !silent.swap(true, Ordering::Relaxed) {
            say("further warnings are in the record only");
        }
    })
}
