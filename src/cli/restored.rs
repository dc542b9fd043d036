//! What the verbs that run something in a bundle have in common.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use super::{Context, failure::Failure, progress, reference, terminal};
use crate::{
    bundle::{self, config::RunConfig},
    container::{forward::Forwarder, spec::Bind},
    event,
    files::{self, FileError},
    restore::{
        self, RestoreError, SpecOptions,
        machine::{Machine, differences},
        model::Restored,
    },
};

/// What a person gives to the code of a bundle, checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) network: bool,
    pub(super) binds: Vec<Bind>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) inexact: bool,
}

impl Given {
    /// With the environment's programs first, and the kind of terminal where there is one.
    pub(super) fn into_options(self, context: &Context) -> SpecOptions {
        use std::io::IsTerminal as _;
        let mut env = self.env;
        if let Some(term) = context.var("TERM").filter(|_| std::io::stdout().is_terminal()) {
            env.entry("TERM".to_owned()).or_insert_with(|| term.to_owned());
        }
        SpecOptions {
            binds: self.binds,
            over: Vec::new(),
            network: self.network,
            env,
            cwd: self.cwd,
            environment_first: true,
            keep_upper: false,
            inexact: self.inexact,
            first_pid: None,
        }
    }
}

/// This program's file.
pub(super) fn program() -> Result<PathBuf, FileError> {
    std::env::current_exe().map_err(FileError::new("find", Path::new("/proc/self/exe")))
}

/// Progress of a restore, on stderr.
pub(super) struct Bar {
    line: progress::Progress,
    done: AtomicU64,
}

impl Bar {
    pub(super) fn new(context: &Context) -> Self {
        Self { line: progress::Progress::of(context), done: AtomicU64::new(0) }
    }

    pub(super) fn clear(&self) {
        self.line.clear();
    }
}

impl bundle::Progress for Bar {
    fn layer(&self, _index: usize, total: usize, title: &str, _reused: bool) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        self.line.stage(&format!("layer {done} of {total}: {title}"));
    }
}

/// Finds a bundle by file, name or the notebook that names it; restores what the store does not have.
pub(super) fn resolve(name: &str, context: &Context) -> anyhow::Result<Restored> {
    let name = &*reference::followed(name, context)?;
    let store = context.store()?;
    let found = match super::remote::named(name, context)? {
        Some(reference) => super::remote::restore(reference, None, false, context)?,
        None => {
            let bar = Bar::new(context);
            let found = restore::resolve(&store, name, &context.cwd, event::now(), &bar);
            bar.clear();
            found.map_err(|error| explain(error, name))?
        }
    };
    if restore::is_unsettled(&store, &found) {
        settle_beside(context);
    }
    say_elsewhere(context);
    Ok(found)
}

/// Lets another process wait for the disk: what is to run has all it needs in memory. It ends by itself, and where it
/// cannot be started the layers stay unsettled, which costs a look at them after the next start of this machine.
fn settle_beside(context: &Context) {
    use std::os::unix::process::CommandExt as _;
    let Ok(program) = program() else { return };
    let mut settle = Command::new(program);
    settle.arg("settle").env_clear().envs(&context.env).current_dir("/").process_group(0);
    settle.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    settle.spawn().map(drop).unwrap_or_default();
}

/// A restore's error with its hint and exit code.
pub(super) fn explain(error: RestoreError, name: &str) -> anyhow::Error {
    let hint = match &error {
        RestoreError::NotFound { known, .. } if known.is_empty() => {
            "give the path of a .nbpack file; nothing is restored here yet".to_owned()
        }
        RestoreError::NotFound { known, .. } => format!("restored here: {}", known.join(", ")),
        RestoreError::Incomplete { .. } => "restore it again from its file".to_owned(),
        RestoreError::Name { .. } => "choose another with --name".to_owned(),
        RestoreError::Bundle { source, .. } if source.is_damage() => damaged_hint(name),
        RestoreError::Layer { source, .. } => match &**source {
            bundle::unpack::UnpackError::Layer { source, .. } if source.is_damage() => damaged_hint(name),
            _ if error.is_full() => {
                "free some space (`nbpack gc`, `nbpack du`), then restore again: it goes on from the layers that are there".to_owned()
            }
            _ => String::new(),
        },
        _ => String::new(),
    };
    let hint = Some(hint).filter(|hint| !hint.is_empty());
    let message = format!("cannot use `{name}`");
    let failure = match hint {
        Some(hint) => Failure::unable(message).hint(hint),
        None => Failure::unable(message),
    };
    anyhow::Error::from(error).context(failure)
}

fn damaged_hint(name: &str) -> String {
    format!("the file was probably cut short or altered on its way; copy it again, then run `nbpack verify {name}`")
}

/// Says where the store is, where it is not in the user's own place.
pub(super) fn say_elsewhere(context: &Context) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    if let Some(line) = context.said_elsewhere().filter(|_| !context.quiet) {
        // Nobody can be told when stderr is closed.
        ONCE.call_once(|| terminal::tell(&format!("nbpack: note: {line}")).unwrap_or_default());
    }
}

/// Says before anything runs what of the recorded machine this one does not have.
pub(super) fn say_machine(restored: &Restored, context: &Context) {
    say_machine_of(&restored.run, context);
}

/// The same for the image that this process runs in.
pub(super) fn say_machine_of(run: &RunConfig, context: &Context) {
    if context.quiet {
        return;
    }
    for line in differences(&Machine::recorded(run), &Machine::here()) {
        // Nobody can be told when stderr is closed.
        terminal::tell(&format!("nbpack: note: {line}")).unwrap_or_default();
    }
}

/// A point in time as a person reads it, to the minute, UTC.
pub(super) fn date(at: event::Nanos) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at))
        .map(|time| time.strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

/// A secret of 48 hex digits.
pub(super) fn token() -> Result<String, FileError> {
    use std::io::Read as _;
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 24];
    files::open(source)?.read_exact(&mut bytes).map_err(FileError::new("read", source))?;
    Ok(hex(&bytes))
}

/// Takes the port that was asked for; without one, `usual` or any that is free.
pub(super) fn forwarder(asked: Option<u16>, usual: u16) -> anyhow::Result<Forwarder> {
    let taken = |error| {
        let failure = Failure::unable(format!("port {} of 127.0.0.1 cannot be taken", asked.unwrap_or(usual)))
            .hint("choose another with --port");
        anyhow::Error::from(error).context(failure)
    };
    match asked {
        Some(port) => Forwarder::bind(port).map_err(taken),
        None => Forwarder::bind(usual).or_else(|_| Forwarder::bind(0)).map_err(taken),
    }
}
