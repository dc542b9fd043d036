//! `nbpack show`.

mod formats;
mod online;
mod text;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::{Context, failure::Failure, progress::Progress, remote, sessions};
use crate::{
    bundle::{
        config,
        read::{Bundle, ReadError},
    },
    files,
    inventory::{self, model::Class},
    record,
    session::{
        self, DbError, Selector,
        model::{Execution, FileVersion, Recording, Role},
    },
    store::Store,
};

/// Show what a session, a notebook's last session, or a bundle holds
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  nbpack show analysis.ipynb                       the last session of this notebook, on one screen
  nbpack show analysis.nbpack --libraries --json
  nbpack show analysis.ipynb --why data/a.csv      which rule put the file in, or left it out
  nbpack show analysis.nbpack --why /data/a.csv    the same of a bundle, by the path on the recording machine
  nbpack show analysis.nbpack --format cyclonedx > sbom.cdx.json
  nbpack show analysis.nbpack --format pylock --to env && cd env && uv pip install -r pylock.toml
  nbpack show analysis.nbpack --format pylock --to env --online    wheels of your own index, where it has them
  nbpack show analysis.nbpack --format repo2docker --to binder")]
pub(super) struct Args {
    /// A session's name or its beginning, a notebook, or a bundle [default: the last session]
    #[arg(value_name = "SESSION|NOTEBOOK|BUNDLE")]
    subject: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// The executions in their true order, with code and outputs
    #[arg(long)]
    cells: bool,
    /// The inputs as they were first read, and the results
    #[arg(long)]
    datasets: bool,
    /// Distributions and packages
    #[arg(long)]
    libraries: bool,
    /// Which cell read and wrote which file
    #[arg(long)]
    lineage: bool,
    /// The session as it really ran, as a notebook
    #[arg(long, conflicts_with_all = ["json", "cells", "datasets", "libraries", "lineage", "why"])]
    notebook: bool,
    /// What a file is to the session, and which rule says so
    #[arg(long, value_name = "PATH")]
    why: Option<PathBuf>,
    /// As a document that other tools read
    #[arg(long, value_enum, value_name = "NAME", conflicts_with_all = ["json", "cells", "datasets", "libraries", "lineage", "why", "notebook"])]
    format: Option<formats::Name>,
    /// Write the documents of --format into this directory; pylock and repo2docker need one
    #[arg(long, value_name = "DIR", requires = "format")]
    to: Option<PathBuf>,
    /// With --format pylock: name the wheels of this package index instead of rebuilding them, where it has the ones
    /// that are installed [default index: what pip or uv is set to]
    #[arg(long, value_name = "INDEX", num_args = 0..=1, require_equals = true, default_missing_value = "", requires = "to")]
    online: Option<String>,
}

impl Args {
    fn is_whole(&self) -> bool {
        !(self.cells || self.datasets || self.libraries || self.lineage || self.why.is_some())
    }
}

/// What is shown.
struct Subject {
    recording: Recording,
    /// Other sessions that fit as well.
    others: Vec<String>,
    /// How it was recognised, where that is worth a word.
    by: Option<&'static str>,
    /// From a bundle: its software list.
    components: Option<Value>,
    /// The bundle's manifest digest.
    manifest: Option<String>,
    /// The bundle's file or directory.
    bundle: Option<PathBuf>,
    /// From a bundle: which rule put each file in, and its environments.
    listing: Option<(inventory::Listing, Vec<inventory::model::EnvironmentRoot>)>,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let store = context.store()?;
    sessions::recover(&store);
    let mut subject = load(args.subject.as_deref(), args.why.is_some(), context, &store)?;
    if subject.manifest.is_none() && subject.recording.info.running {
        record::complete(&store, &mut subject.recording);
    }
    let mut out = std::io::stdout().lock();
    if args.notebook {
        writeln!(out, "{:#}", session::notebook(&subject.recording, session::Form::AsRun))?;
        return Ok(ExitCode::SUCCESS);
    }
    let needs_inventory =
        args.why.is_some() || args.format.is_some() || (args.libraries && subject.components.is_none());
    let inventory = if needs_inventory && subject.manifest.is_none() {
        Some(take(&subject.recording, &store, context)?)
    } else {
        None
    };
    if let Some(format) = args.format {
        let software = formats::Software { components: components(&subject, inventory.as_ref()), inventory };
        drop(out);
        return formats::write(format, args.to.as_deref(), args.online.as_deref(), &subject, software, context);
    }
    let why = args.why.as_ref().map(|path| why(&context.cwd.join(path), &subject, inventory.as_ref())).transpose()?;
    if args.json {
        writeln!(out, "{:#}", json_of(&args, &subject, &store, inventory.as_ref(), why))?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.is_whole() {
        write!(out, "{}", text::summary(&subject, &store))?;
    }
    if args.cells {
        write!(out, "{}", text::cells(&subject.recording))?;
    }
    if args.datasets {
        write!(out, "{}", text::datasets(&subject.recording, &store))?;
    }
    if args.libraries {
        write!(out, "{}", text::libraries(&components(&subject, inventory.as_ref())))?;
    }
    if args.lineage {
        write!(out, "{}", text::lineage(&subject.recording))?;
    }
    if let Some(why) = why {
        write!(out, "{}", text::why(&why))?;
    }
    drop(out);
    if !context.quiet && !subject.others.is_empty() {
        let line = format!("other sessions of it: {}", subject.others.join(", "));
        writeln!(std::io::stderr().lock(), "{line}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn load(subject: Option<&str>, with_listing: bool, context: &Context, store: &Store) -> anyhow::Result<Subject> {
    let path = subject.map(|word| context.cwd.join(word)).filter(|path| path.exists());
    if let (Some(word), None) = (subject, &path)
        && let Some(reference) = remote::named(word, context)?
    {
        let remote = remote::Remote::open(reference, false, store, context)?;
        remote.fetch_record(store)?;
        return of_bundle(word, &remote.bundle, None, with_listing);
    }
    let selector = match (subject, path) {
        (None | Some("latest"), None) => Selector::Latest,
        (Some(_), Some(path)) if is_notebook(&path) => Selector::Notebook(path),
        (Some(word), Some(path)) => {
            let cannot = || Failure::unable(format!("cannot show `{word}`"));
            return of_bundle(word, &Bundle::open_any(&path).with_context(cannot)?, Some(&path), with_listing);
        }
        (Some(word), None) if is_notebook(Path::new(word)) => Selector::Notebook(context.cwd.join(word)),
        (Some(word), None) => Selector::Id(word.to_owned()),
        (None, Some(_)) => Selector::Latest,
    };
    let found = session::find_telling(store, &selector).with_context(|| {
        let what = subject.unwrap_or("the last session");
        Failure::unable(format!("cannot show `{what}`")).hint("`nbpack sessions` lists what was recorded")
    })?;
    let others = found.others.iter().map(|id| id.0.clone()).collect();
    let recording = session::read_id(store, &found.id)?;
    let by = matches!(selector, Selector::Notebook(_)).then_some(found.by);
    Ok(Subject { recording, others, by, components: None, manifest: None, bundle: None, listing: None })
}

fn is_notebook(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "ipynb")
}

/// Reads the record of a bundle into a directory that is gone afterwards.
fn of_bundle(word: &str, bundle: &Bundle, path: Option<&Path>, with_listing: bool) -> anyhow::Result<Subject> {
    let cannot = || Failure::unable(format!("cannot show `{word}`"));
    let dir = tempfile::tempdir().map_err(files::FileError::new("create a directory in", Path::new("/tmp")))?;
    let db = dir.path().join("session.db");
    files::publish_bytes(&db, 0o600, &bundle.read_session_file(config::SESSION_DB).with_context(cannot)?)?;
    files::create_private_dir(&dir.path().join("blobs"))?;
    let recording = loop {
        match session::read(&db) {
            // Large outputs are fetched as they are asked for: each time there is one more.
            Err(DbError::Blob { digest, .. }) => {
                let name = digest.hex();
                let bytes =
                    bundle.read_session_file(&format!("{}/{name}", config::SESSION_BLOBS)).with_context(cannot)?;
                files::publish_bytes(&dir.path().join("blobs").join(name), 0o600, &bytes)?;
            }
            other => break other.with_context(cannot)?,
        }
    };
    let components = bundle.read_session_file(config::COMPONENTS).with_context(cannot)?;
    let components = serde_json::from_slice(&components).with_context(cannot)?;
    let manifest = Some(bundle.manifest_digest().to_string());
    let listing = if with_listing {
        match bundle.read_session_file(config::FILES) {
            // Written by an earlier nbpack.
            Err(ReadError::NoSuchFile { .. }) => None,
            read => {
                let listing = serde_json::from_slice(&read.with_context(cannot)?).with_context(cannot)?;
                Some((listing, bundle.run_config().roots.clone()))
            }
        }
    } else {
        None
    };
    Ok(Subject {
        recording,
        others: Vec::new(),
        by: None,
        components: Some(components),
        manifest,
        bundle: path.map(Path::to_owned),
        listing,
    })
}

fn take(recording: &Recording, store: &Store, context: &Context) -> anyhow::Result<inventory::model::Inventory> {
    let progress = Progress::new(context.fancy);
    let taken = inventory::take(recording, store, &inventory::Options::default(), &mut |text| progress.stage(text));
    progress.clear();
    taken.with_context(|| Failure::unable("the session's software cannot be listed"))
}

fn components(subject: &Subject, inventory: Option<&inventory::model::Inventory>) -> Value {
    match (&subject.components, inventory) {
        (Some(components), _) => components.clone(),
        (None, Some(inventory)) => json!(inventory.components),
        (None, None) => json!([]),
    }
}

fn why(path: &Path, subject: &Subject, inventory: Option<&inventory::model::Inventory>) -> anyhow::Result<Value> {
    use std::os::unix::ffi::OsStrExt as _;
    let recording = &subject.recording;
    let bytes = path.as_os_str().as_bytes();
    let resolved = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let explained = match (inventory, &subject.listing) {
        (Some(inventory), _) => inventory::explain(inventory, bytes)
            .or_else(|| inventory::explain(inventory, resolved.as_os_str().as_bytes())),
        // What lies at that path on this machine says nothing about the recorded one.
        (None, Some((listing, roots))) => listing.explain(bytes, roots),
        (None, None) => {
            let failure =
                Failure::unable("this bundle was written by an nbpack that did not note which rule put a file in");
            return Err(failure.hint("ask where the session was recorded: `nbpack show SESSION --why PATH`").into());
        }
    };
    let explained = explained.ok_or_else(|| {
        Failure::no(format!("`{}` is no part of this session", path.display()))
            .hint("`nbpack show --lineage` lists the files that cells read and wrote")
    })?;
    let uses: Vec<Value> = recording
        .files
        .iter()
        .filter(|file| file.path == bytes || file.path == resolved.as_os_str().as_bytes())
        .map(|file| json!({"execution": file.execution, "use": file.usage, "count": file.count}))
        .collect();
    Ok(json!({
        "path": shown(bytes),
        "class": explained.class,
        "rule": explained.rule,
        "text": explained.text,
        "image_path": explained.image_path.as_deref().map(shown),
        "uses": uses,
    }))
}

/// A path as text for a person or JSON; bytes that are no text are escaped.
fn shown(path: &[u8]) -> String {
    files::display_bytes(path).to_string()
}

fn json_of(
    args: &Args,
    subject: &Subject,
    store: &Store,
    inventory: Option<&inventory::model::Inventory>,
    why: Option<Value>,
) -> Value {
    let recording = &subject.recording;
    let whole = args.is_whole();
    let mut object = Map::new();
    object.insert("session".to_owned(), sessions::describe(&recording.info));
    object.insert("bundle".to_owned(), json!(subject.manifest));
    object.insert("recognised_by".to_owned(), json!(subject.by));
    object.insert("other_sessions".to_owned(), json!(subject.others));
    if whole || args.cells {
        let cells: Vec<Value> =
            recording.executions.iter().map(|execution| execution_json(execution, args.cells)).collect();
        object.insert("executions".to_owned(), cells.into());
        object.insert("comms".to_owned(), json!(recording.comms));
        object.insert("deleted_cells".to_owned(), json!(recording.deleted_cells()));
    }
    if whole || args.datasets {
        let Inputs { datasets, others } = Inputs::of(recording, store);
        object.insert("datasets".to_owned(), datasets.into_iter().map(version_json).collect());
        let others = others.into_iter().map(|(version, class)| {
            let mut value = version_json(version);
            if let Some(object) = value.as_object_mut() {
                object.insert("class".to_owned(), json!(class));
            }
            value
        });
        object.insert("other_inputs".to_owned(), others.collect());
        let results = versions(recording, Role::Written).into_iter().map(version_json);
        object.insert("results".to_owned(), results.collect());
    }
    if args.libraries {
        object.insert("libraries".to_owned(), components(subject, inventory));
    }
    if args.lineage {
        object.insert("lineage".to_owned(), lineage_json(recording));
    }
    if let Some(why) = why {
        object.insert("why".to_owned(), why);
    }
    if whole {
        let info = &recording.info;
        object.insert("argv".to_owned(), json!(info.argv));
        object.insert("cwd".to_owned(), json!(info.cwd));
        object.insert("gaps".to_owned(), json!(recording.gaps));
        object.insert("connections".to_owned(), json!(recording.connections));
        object.insert("environment".to_owned(), json!(recording.environment));
        object.insert("facts".to_owned(), json!(recording.facts));
        let processes = recording.processes.iter().map(|process| {
            let argv: Vec<String> = process.argv.iter().map(|arg| shown(arg)).collect();
            json!({"pid": process.pid, "ppid": process.ppid, "exe": shown(&process.exe), "argv": argv, "execution": process.execution})
        });
        object.insert("processes".to_owned(), processes.collect());
    }
    Value::Object(object)
}

/// An execution as JSON; without `outputs` only how many there are.
fn execution_json(execution: &Execution, outputs: bool) -> Value {
    let mut value = json!(execution);
    let times = [
        ("sent", Some(execution.sent)),
        ("busy", execution.busy),
        ("reply", execution.reply),
        ("idle", execution.idle),
    ];
    if let Some(object) = value.as_object_mut() {
        for (name, time) in times {
            object.insert(name.to_owned(), json!(time.map(sessions::rfc3339)));
        }
        let list: Value = if outputs {
            execution.outputs.iter().map(session::notebook_output).collect()
        } else {
            json!(execution.outputs.len())
        };
        object.insert("outputs".to_owned(), list);
    }
    value
}

/// Of each path the content in this role, first read first.
fn versions(recording: &Recording, role: Role) -> Vec<&FileVersion> {
    recording.versions.iter().filter(|version| version.role == role).collect()
}

/// What the session read: the user's data, and all else (local modules, configuration) with its class.
struct Inputs<'a> {
    datasets: Vec<&'a FileVersion>,
    others: Vec<(&'a FileVersion, Class)>,
}

impl<'a> Inputs<'a> {
    fn of(recording: &'a Recording, store: &Store) -> Self {
        let class_of = inventory::input_class(recording, store);
        let mut inputs = Self { datasets: Vec::new(), others: Vec::new() };
        for version in versions(recording, Role::Read) {
            match class_of(&version.path) {
                class if inventory::is_data(class) => inputs.datasets.push(version),
                class => inputs.others.push((version, class)),
            }
        }
        inputs
    }
}

fn version_json(version: &FileVersion) -> Value {
    json!({
        "path": shown(&version.path),
        "digest": version.digest,
        "size": version.signature.size,
        "execution": version.execution,
        "kept": version.kept,
        "unstable": version.unstable,
        "note": version.note,
    })
}

/// For each execution the files it used and generated (PROV's words), as far as their content is known.
fn lineage_json(recording: &Recording) -> Value {
    let entry = |version: &FileVersion| json!({"path": shown(&version.path), "digest": version.digest});
    let of = |execution: Option<i64>, role: Role| -> Value {
        versions(recording, role).into_iter().filter(|version| version.execution == execution).map(entry).collect()
    };
    let executions = recording.executions.iter().map(|execution| Some(execution.id));
    std::iter::once(None)
        .chain(executions)
        .map(|execution| {
            // What is read again unchanged has no new version: the uses say it.
            let again: Vec<String> = recording
                .files
                .iter()
                .filter(|file| {
                    file.execution == execution
                        && matches!(file.usage, session::model::Use::Read | session::model::Use::Update)
                })
                .filter(|file| recording.versions.iter().any(|version| version.path == file.path))
                .map(|file| shown(&file.path))
                .collect();
            json!({
                "execution": execution,
                "used": of(execution, Role::Read),
                "read": again,
                "generated": of(execution, Role::Written),
            })
        })
        .filter(|entry| {
            ["used", "read", "generated"].iter().any(|name| entry[name].as_array().is_some_and(|list| !list.is_empty()))
        })
        .collect()
}
