//! `nbpack panel`: what a recording kernel starts to answer a panel in the frontend.
//!
//! One request as JSON on stdin, lines of JSON on stdout: `{"progress": …}` as often as there is some, then one
//! `{"result": …}` or `{"error": {"message": …, "hint": …}}`.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::Context as _;
use clap::Parser as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Cli, Context, Verb, export, failure::Failure, progress};
use crate::{
    digest::Digest,
    files::{self, FileError, Signature},
    inventory, record,
    replay::outdated::{self, Disk, Now},
    report, secrets,
    session::{
        self,
        model::{Recording, SessionId},
    },
};

/// Answer a panel beside the notebook (a recording kernel starts this)
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The session
    session: Option<String>,
}

/// No request is longer: it may hold the code of a whole notebook.
const LONGEST_REQUEST: u64 = 64 << 20;
/// Gives way to kernel and frontend, but is waited for (`nice`).
const BEHIND: i32 = 5;
/// The same, where it takes longer.
const FAR_BEHIND: i32 = 10;
/// Larger files are not hashed to see whether they are what they were: another time or place is enough.
const LARGEST_HASHED: u64 = 64 << 20;

#[derive(Deserialize, Debug)]
#[serde(tag = "ask", rename_all = "lowercase")]
enum Request {
    Inputs,
    Cells {
        /// Cell ids and code as they are now.
        #[serde(default)]
        cells: Option<outdated::Cells>,
        /// Look through code and outputs for secrets too.
        #[serde(default)]
        secrets: bool,
    },
    Plan {
        #[serde(default)]
        exclude: Vec<String>,
    },
    Export {
        #[serde(default)]
        output: Option<String>,
        #[serde(default)]
        redact: bool,
        #[serde(default)]
        allow: Vec<String>,
        #[serde(default)]
        exclude: Vec<String>,
    },
    Open {
        path: String,
        #[serde(default)]
        notebook: Option<String>,
    },
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    std::io::stdin().take(LONGEST_REQUEST).read_to_string(&mut text).context("cannot read the request")?;
    let answer = serde_json::from_str(&text)
        .map_err(|_| Failure::unable("this nbpack does not understand what is asked").into())
        .and_then(|request| answer(args, request, context));
    let (line, code) = match answer {
        Ok(result) => (json!({"result": result}), ExitCode::SUCCESS),
        Err(error) => (json!({"error": explained(&error)}), ExitCode::from(1)),
    };
    say(&line)?;
    Ok(code)
}

fn say(line: &Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// An error as the frontend shows it.
fn explained(error: &anyhow::Error) -> Value {
    let (message, hint) = super::failure::parts(error);
    json!({"message": message, "hint": hint})
}

fn answer(args: &Args, request: Request, context: &Context) -> anyhow::Result<Value> {
    let slow = matches!(request, Request::Plan { .. } | Request::Export { .. } | Request::Open { .. });
    rustix::process::setpriority_process(None, if slow { FAR_BEHIND } else { BEHIND })
        .context("cannot step back behind the kernel")?;
    let session = || args.session.clone().context("no session is named");
    let with = |lists: &[(&str, Vec<String>)]| -> Vec<String> {
        lists
            .iter()
            .flat_map(|(flag, values)| values.iter().flat_map(|value| [(*flag).to_owned(), value.clone()]))
            .collect()
    };
    match request {
        Request::Inputs => inputs(&session()?, context),
        Request::Cells { cells, secrets } => standings(&session()?, cells.as_ref(), secrets, context),
        Request::Plan { exclude } => {
            let words = [
                vec!["export".to_owned(), exported(&session()?, context)?, "--dry-run".to_owned()],
                with(&[("--exclude", exclude)]),
            ];
            let quiet = Context { quiet: true, lines: false, ..context.clone() };
            let words = std::iter::once("nbpack".to_owned()).chain(words.concat());
            let Some(Verb::Export(args)) = Cli::try_parse_from(words)?.verb else { anyhow::bail!("no export") };
            export::preview(&args, &quiet)
        }
        Request::Export { output, redact, allow, exclude } => {
            let mut words = vec!["export".to_owned(), exported(&session()?, context)?, "--json".to_owned()];
            words.extend(redact.then(|| "--redact".to_owned()));
            words.extend(with(&[("--allow", allow), ("--exclude", exclude)]));
            words.extend(output.into_iter().flat_map(|output| ["--output".to_owned(), expand(&output, context)]));
            let mut done = child(&words)?;
            let path = word(&done, "output").unwrap_or_default().to_owned();
            add(&mut done, "shown", relative(Path::new(&path), context));
            Ok(done)
        }
        Request::Open { path, notebook } => {
            let path = expand(&path, context);
            let mut words = vec!["restore".to_owned(), path, "--json".to_owned(), "--kernel".to_owned()];
            words.extend(notebook.into_iter().flat_map(|path| ["--notebook".to_owned(), expand(&path, context)]));
            let mut done = child(&words).map_err(in_the_dialog)?;
            let name = |key: &str| word(&done, key).map(PathBuf::from);
            let kernel = name("kernelspec").and_then(|dir| Some(dir.file_name()?.to_string_lossy().into_owned()));
            let beside = name("notebook").map(|path| relative(&path, context));
            add(&mut done, "kernel_name", json!(kernel));
            add(&mut done, "beside", json!(beside));
            Ok(done)
        }
    }
}

/// What is exported: after a restart the notebook's last session that ran something, as by the command.
fn exported(session: &str, context: &Context) -> anyhow::Result<String> {
    let store = context.store()?;
    let info = session::read_info(&session::db_path(&store, &SessionId(session.to_owned())))?;
    let notebook = info.notebook.filter(|_| info.executions == 0);
    Ok(notebook.map_or_else(|| session.to_owned(), |path| path.to_string_lossy().into_owned()))
}

/// The dialog has a field for what is a flag of the command.
fn in_the_dialog(error: anyhow::Error) -> anyhow::Error {
    let (message, hint) = super::failure::parts(&error);
    if !hint.is_some_and(|hint| hint.contains("--notebook")) {
        return error;
    }
    Failure::unable(message).hint("give another name for its notebook").into()
}

fn word<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

fn add(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value.into());
    }
}

/// `~` is the home directory, as in a shell.
fn expand(path: &str, context: &Context) -> String {
    match path.strip_prefix("~/") {
        Some(rest) => context.home.join(rest).to_string_lossy().into_owned(),
        None => path.to_owned(),
    }
}

/// As seen from the notebook's directory, where it is below it.
fn relative(path: &Path, context: &Context) -> String {
    path.strip_prefix(&context.cwd).unwrap_or(path).to_string_lossy().into_owned()
}

/// Runs a verb of this program, passes its progress on, and gives the JSON that it prints.
fn child(words: &[String]) -> anyhow::Result<Value> {
    let program = std::env::current_exe().map_err(FileError::new("find", Path::new("/proc/self/exe")))?;
    let mut child = Command::new(&program)
        .args(words)
        .env(progress::VARIABLE, progress::LINES)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("nbpack could not be started")?;
    let out = child.stdout.take();
    // It prints a few lines at its end.
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        out.map_or(Ok(0), |mut out| out.read_to_string(&mut text)).map(|_| text)
    });
    let mut said = Vec::new();
    for line in child.stderr.take().into_iter().flat_map(|err| BufReader::new(err).lines()) {
        let line = line.context("nbpack says what is no text")?;
        match line.starts_with("{\"progress\":").then(|| serde_json::from_str::<Value>(&line)) {
            Some(Ok(progress)) => say(&progress).inspect_err(|_| {
                // Who asked is gone.
                child.kill().unwrap_or_default();
            })?,
            _ => said.push(line),
        }
    }
    let status = child.wait().context("nbpack could not be waited for")?;
    let printed = reader.join().map_err(|_| anyhow::anyhow!("nbpack's answer could not be read"))??;
    if !status.success() {
        return Err(told(&said).into());
    }
    let mut value: Value = serde_json::from_str(&printed).context("nbpack's answer is no JSON")?;
    add(&mut value, "said", said);
    Ok(value)
}

/// The failure that a child has told on stderr.
fn told(said: &[String]) -> Failure {
    let hint = said.iter().find_map(|line| line.strip_prefix("hint: "));
    let from = said.iter().position(|line| line.starts_with("error: ")).unwrap_or_default();
    let lines = said.iter().skip(from).filter(|line| !line.starts_with("hint: "));
    let lines: Vec<&str> = lines.map(|line| line.strip_prefix("error: ").unwrap_or(line)).collect();
    let failure = Failure::unable(if lines.is_empty() { "it did not succeed".to_owned() } else { lines.join("\n") });
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn read(session: &str, context: &Context) -> anyhow::Result<(crate::store::Store, Recording)> {
    let store = context.store()?;
    let recording = session::read_id(&store, &SessionId(session.to_owned()))?;
    Ok((store, recording))
}

fn inputs(session: &str, context: &Context) -> anyhow::Result<Value> {
    let (store, mut recording) = read(session, context)?;
    record::complete(&store, &mut recording);
    // A restored kernel's libraries are in its bundle's list.
    let taken = match recording.info.parent {
        Some(_) => super::child::origin(&recording, &store)?
            .map(|origin| origin.inventory(&recording, &store, &inventory::Options::default()))
            .transpose()?,
        None => {
            let mut options = inventory::Options::default();
            export::add_project(&mut options, context, &recording)?;
            Some(inventory::take(&recording, &store, &options, &mut |_| {})?)
        }
    };
    Ok(report::inputs(&recording, taken.as_ref()))
}

fn standings(
    session: &str,
    cells: Option<&outdated::Cells>,
    secrets: bool,
    context: &Context,
) -> anyhow::Result<Value> {
    let store = context.store()?;
    let id = SessionId(session.to_owned());
    let recording = if secrets {
        session::read_id(&store, &id)?
    } else {
        session::read_without_outputs(&session::db_path(&store, &id))?
    };
    let here: Option<&dyn Disk> = if recording.info.parent.is_none() { Some(&ThisMachine) } else { None };
    let standings = outdated::standings(&recording, cells, here);
    if !secrets {
        return Ok(json!({"cells": standings, "files_compared": here.is_some()}));
    }
    // Files are looked through when it is exported.
    let found = secrets::scan(&recording, &inventory::model::Inventory::default(), &store);
    let found: Vec<_> = found.into_iter().filter(|finding| !finding.place.starts_with("argv:")).collect();
    Ok(json!({"cells": standings, "secrets": found, "files_compared": here.is_some()}))
}

/// The files that the session saw, as they are now.
struct ThisMachine;

impl Disk for ThisMachine {
    fn look(&self, path: &[u8]) -> Now {
        use std::os::unix::ffi::OsStrExt as _;
        match std::fs::metadata(std::ffi::OsStr::from_bytes(path)) {
            Ok(metadata) if metadata.is_file() => Now::File(Signature::of(&metadata)),
            _ => Now::Gone,
        }
    }

    fn digest(&self, path: &[u8]) -> Option<Digest> {
        use std::os::unix::ffi::OsStrExt as _;
        let bytes = files::read_bounded(Path::new(std::ffi::OsStr::from_bytes(path)), LARGEST_HASHED).ok()?;
        Some(Digest::of(&bytes))
    }
}
