//! Running a bundle in a container engine, where the user prefers one: it gets the image once.

use std::{
    fs::File,
    io::{IsTerminal as _, Read as _, Seek as _, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

use super::{
    Context,
    failure::Failure,
    reference,
    remote::{self, Remote},
    restored::{self, Bar, Given},
};
use crate::{
    bundle::{self, archive, read::Bundle},
    container::{
        engine::{self, Engine, Identity, Request},
        init,
        spec::Bind,
    },
    digest::Digest,
    event::Launch,
    files::{self, FileError},
    inventory::RunConfig,
    kernel, registry,
    restore::{self, RestoreError, model::Restored},
};

/// Where a directory that both sides see is shown inside.
pub(super) const SHARED: &str = restore::INNER_DIR;
/// The socket whose end is the container's end.
const LIFE: &str = "life";

/// Which engine runs it.
#[derive(clap::Args, Debug, Clone, Copy, Default)]
pub(super) struct EngineArgs {
    /// Let a container engine run it (`docker`, `podman`, `nerdctl`) instead of nbpack's own container
    #[arg(long, value_name = "ENGINE")]
    pub(super) engine: Option<Engine>,
}

/// A bundle's image in an engine.
#[derive(Clone, Debug)]
pub(super) struct Image {
    engine: Engine,
    reference: String,
    pub(super) run: RunConfig,
}

impl Image {
    /// The image of what a person named, given to the engine now where it has it not yet.
    pub(super) fn of(engine: Engine, word: &str, context: &Context) -> anyhow::Result<Self> {
        let word = &*reference::followed(word, context)?;
        if let Some(reference) = remote::named(word, context)? {
            let store = context.store()?;
            let remote = Remote::open(reference, false, &store, context)?;
            let image = Self::new(engine, &remote.bundle.manifest_digest(), remote.bundle.run_config());
            if !image.is_there()? {
                let pulled = remote.fetch(&store, &|_| true)?;
                let loaded = image.load(&remote.bundle, context);
                registry::forget(&store, &pulled.blobs);
                loaded?;
            }
            return Ok(image);
        }
        let path = context.cwd.join(word.strip_prefix("oci:").unwrap_or(word));
        if path.exists() {
            let bundle = Bundle::open(&path)
                .map_err(|source| restored::explain(RestoreError::Bundle { path, source: Box::new(source) }, word))?;
            return Self::of_bundle(engine, &bundle, context);
        }
        Self::of_restored(engine, &restored::resolve(word, context)?)
    }

    /// The image of an open bundle.
    pub(super) fn of_bundle(engine: Engine, bundle: &Bundle, context: &Context) -> anyhow::Result<Self> {
        let image = Self::new(engine, &bundle.manifest_digest(), bundle.run_config());
        if !image.is_there()? {
            image.load(bundle, context)?;
        }
        Ok(image)
    }

    /// The image of a restored bundle, which the engine must have: the store keeps no blobs.
    pub(super) fn of_restored(engine: Engine, found: &Restored) -> anyhow::Result<Self> {
        let image = Self::new(engine, &found.manifest, &found.run);
        if image.is_there()? {
            return Ok(image);
        }
        Err(Failure::unable(format!("{} does not have the image of `{}`", engine.program(), found.name))
            .hint(format!("give it the bundle's file once: nbpack restore FILE --engine {}", engine.program()))
            .into())
    }

    fn new(engine: Engine, manifest: &Digest, run: &RunConfig) -> Self {
        // With a host that is none: nobody fetches it, and every engine leaves it as it is.
        let reference = format!("localhost/nbpack/{}:{}", bundle::image_name(&run.name), manifest.short());
        Self { engine, reference, run: run.clone() }
    }

    fn missing(&self) -> impl Fn(std::io::Error) -> anyhow::Error {
        let program = self.engine.program();
        move |error| {
            let failure = Failure::unable(format!("cannot run `{program}`")).hint("is it installed and on PATH?");
            anyhow::Error::from(error).context(failure)
        }
    }

    fn is_there(&self) -> anyhow::Result<bool> {
        let mut ask = Command::new(self.engine.program());
        ask.args(engine::has_arguments(&self.reference)).stdin(Stdio::null()).stdout(Stdio::null());
        Ok(ask.stderr(Stdio::null()).status().map_err(self.missing())?.success())
    }

    /// Hands the layers over, each of them proved.
    fn load(&self, bundle: &Bundle, context: &Context) -> anyhow::Result<()> {
        let program = self.engine.program();
        let log = tempfile::tempfile().map_err(FileError::new("create a file in", &std::env::temp_dir()))?;
        let both = || log.try_clone().map(Stdio::from).map_err(self.missing());
        let mut load = Command::new(program);
        load.args(engine::LOAD).stdin(Stdio::piped()).stdout(both()?).stderr(both()?);
        let mut child = load.spawn().map_err(self.missing())?;
        let bar = Bar::new(context);
        let written = match child.stdin.take() {
            Some(mut pipe) => archive::write(bundle, &self.reference, &mut pipe, &bar),
            None => Ok(()),
        };
        let status = child.wait().map_err(self.missing())?;
        bar.clear();
        match written {
            // It closed its end and says why.
            Err(archive::ArchiveError::Write(_)) | Ok(()) if !status.success() => {
                let failure = Failure::unable(format!("{program} does not take the image: {}", last_words(log)));
                Err(failure
                    .hint(format!("`{program} info` says whether it works here, and how much room it has"))
                    .into())
            }
            result => Ok(result?),
        }
    }

    /// What to run with `arguments` by the nbpack inside, and what of this machine it gets.
    pub(super) fn request(&self, given: Given, arguments: Vec<String>, context: &Context) -> Request {
        let recorded = (self.run.uid, self.run.gid);
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let writes = given.binds.iter().any(|bind| !bind.read_only);
        let identity = Identity::choose(self.engine, recorded, own, writes);
        if let (Identity::Own(uid, _), false) = (&identity, context.quiet) {
            let line =
                format!("the code runs as user {uid} instead of {}, so that it can write to the volume", recorded.0);
            // Nobody can be told when stderr is closed.
            writeln!(std::io::stderr(), "nbpack: note: {line}").unwrap_or_default();
        }
        Request {
            image: self.reference.clone(),
            network: given.network,
            binds: given.binds,
            env: given.env,
            cwd: given.cwd,
            ports: Vec::new(),
            terminal: false,
            identity,
            shared_memory: half_of_memory(),
            program: None,
            arguments,
        }
    }

    /// The engine's client with `request`.
    pub(super) fn command(&self, request: &Request) -> Command {
        let mut run = Command::new(self.engine.program());
        run.args(engine::run_arguments(request)).envs(engine::client_environment(request));
        run
    }

    /// Becomes the engine's client.
    pub(super) fn exec(&self, mut request: Request) -> anyhow::Error {
        request.terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        self.missing()(self.command(&request).exec())
    }

    /// Runs the engine's client to its end, with `started` beside it.
    pub(super) fn run_with(&self, mut request: Request, started: impl FnOnce()) -> anyhow::Result<ExitCode> {
        request.terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        let ended = init::run_as_first(&mut self.command(&request), started);
        init::unblock_signals();
        let ended = ended.map_err(|error| {
            let failure = Failure::unable(format!("cannot run `{}`", self.engine.program()));
            anyhow::Error::from(error).context(failure.hint("is it installed and on PATH?"))
        })?;
        Ok(ExitCode::from(kernel::die_as(ended.status)))
    }

    /// Turns a kernel's launch in the terms of the inside into one of this machine. What comes with it must live as
    /// long as the kernel: when it goes, however it goes, the container ends.
    pub(super) fn contain(
        &self,
        launch: Launch,
        mut given: Given,
        inner_dir: PathBuf,
        context: &Context,
    ) -> anyhow::Result<(Launch, Box<dyn Send>)> {
        let text = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
        let program = restored::program()?;
        let life = inner_dir.join(LIFE);
        let guard = std::os::unix::net::UnixListener::bind(&life).map_err(FileError::new("listen on", &life))?;
        given.binds.push(Bind { host: inner_dir, target: PathBuf::from(SHARED), read_only: false });
        let mut arguments = vec!["run".to_owned(), format!("--follow={SHARED}/{LIFE}")];
        // The image sets the recorded environment; where a home cannot be written, the nbpack inside finds another.
        let set = |name: &str, value: &str| {
            name == "HOME" || (name != "PATH" && self.run.env.get(name).is_some_and(|recorded| recorded == value))
        };
        for (name, value) in launch.env.iter().map(|(name, value)| (text(name), text(value))) {
            if !set(&name, &value) {
                arguments.push(format!("--env={name}={value}"));
            }
        }
        given.env.clear();
        arguments.push("--".to_owned());
        arguments.extend(launch.argv.iter().map(|word| text(word)));
        given.cwd = Some(launch.cwd);
        let mut request = self.request(given, arguments, context);
        request.program = Some(program.clone());
        let mut argv = vec![program.into_os_string(), "container-init".into(), "--apart".into(), "--".into()];
        argv.push(self.engine.program().into());
        argv.extend(engine::run_arguments(&request));
        let env = context.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok((Launch { argv, env, cwd: PathBuf::from("/") }, Box::new(guard)))
    }

    /// How a registered kernel is told.
    pub(super) fn word(engine: Engine) -> String {
        format!("--engine={}", engine.program())
    }
}

/// What the images of restored bundles take in the engines that were given them: (engine, bytes). An engine that does
/// not answer, or has lost the image, is left out.
pub(super) fn sizes(found: &Restored) -> Vec<(String, u64)> {
    let size = |name: &String| {
        let engine: Engine = name.parse().ok()?;
        let image = Image::new(engine, &found.manifest, &found.run);
        let mut ask = Command::new(engine.program());
        ask.args(["image", "inspect", "--format", "{{.Size}}", &image.reference]);
        let output = ask.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        Some((name.clone(), String::from_utf8(output.stdout).ok()?.trim().parse().ok()?))
    };
    found.engines.iter().filter_map(size).collect()
}

/// Takes the images of a restored bundle away from the engines that were given them.
pub(super) fn forget(found: &Restored) {
    for name in &found.engines {
        let Ok(engine) = name.parse::<Engine>() else { continue };
        let image = Image::new(engine, &found.manifest, &found.run);
        let mut remove = Command::new(engine.program());
        remove.args(["image", "rm", &image.reference]);
        remove.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // An engine that is gone, or an image that was removed by hand, is no reason to keep the name.
        remove.status().map(drop).unwrap_or_default();
    }
}

/// The last line that the engine wrote.
fn last_words(mut log: File) -> String {
    let mut text = Vec::new();
    log.rewind().and_then(|()| log.read_to_end(&mut text)).map(drop).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing").to_owned()
}

/// As much shared memory as this machine itself gives.
fn half_of_memory() -> Option<u64> {
    let text = files::read_to_string(std::path::Path::new("/proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024 / 2)
}
