//! `nbpack export`: a session becomes one file.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;

use super::{
    Context, child,
    failure::Failure,
    findings, planned,
    progress::{Progress, bytes},
    push, recipes, remote, terminal,
};
use crate::{
    bundle::{self, Compression, config, plan::SessionFile, write},
    inventory, record,
    report::standards::{self, Facts, Format},
    secrets,
    session::{self, model::Recording},
    store::Store,
};

/// Pack a session as one content-addressed file
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  nbpack export                              the latest session
  nbpack export analysis.ipynb               the last session of this notebook
  nbpack export analysis.ipynb -o out.nbpack
  nbpack export --dry-run analysis.ipynb     show the layers and what is new
  nbpack export --trim --rest all.nbpack analysis.ipynb    what a replay needs, and beside it a bundle to go on with
  nbpack export analysis.ipynb -o registry.example/ann/analysis:v1
  nbpack export analysis.ipynb -o - | ssh colleague 'cat > analysis.nbpack'

Exit code: 0 written, 1 secrets were found and nothing was written, 2 it could not be done.")]
pub(super) struct Args {
    /// A session id (or its beginning), or a notebook; the latest session if left out.
    what: Option<String>,
    /// Where to write: a file, a directory, `dir:PATH` for an OCI layout, `-` for stdout, `REGISTRY/REPOSITORY:TAG` for
    /// a registry [default: NOTEBOOK.nbpack].
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    /// Take this session of the notebook instead of the last.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Compression of the layers; gzip for engines that know no zstd (Docker 20.10, umoci 0.4).
    #[arg(long, value_enum, default_value_t = Codec::Zstd)]
    compression: Codec,
    /// Show the layers, their sizes and what is new; write nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Replace the secrets that were found in the record by a mark.
    #[arg(long)]
    redact: bool,
    /// Let a finding pass: `RULE:WHERE` as the list shows it. May be repeated.
    #[arg(long, value_name = "RULE:WHERE")]
    allow: Vec<String>,
    /// Keep only what the session touched of libraries and system packages: enough to replay, less to go on with.
    #[arg(long)]
    trim: bool,
    /// With --trim: write a second bundle here, of the same layers and one more that holds the rest.
    #[arg(long, value_name = "FILE", requires = "trim")]
    rest: Option<PathBuf>,
    /// Leave files out that match this glob. May be repeated.
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Put the files that the session wrote in as well.
    #[arg(long)]
    with_results: bool,
    /// Put the Jupyter in that the user worked in, also where it lives in another environment.
    #[arg(long)]
    with_jupyter: bool,
    /// Put all distributions of system-wide environments in, not only what was loaded and its dependencies.
    #[arg(long)]
    all_installed: bool,
    /// Make this app the image's default command; takes all words that follow: `--app -- python app.py`
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    app: Vec<String>,
    /// Plain HTTP may be used with a registry (it may with this machine without being asked).
    #[arg(long)]
    insecure: bool,
    /// Threads that compress [default: all].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Replace the output when it is there and is something else.
    #[arg(short, long)]
    force: bool,
    /// Say what was written as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    recipes: recipes::RecipeArgs,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Codec {
    Zstd,
    Gzip,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::Zstd => Self::Zstd,
            Codec::Gzip => Self::Gzip,
        }
    }
}

/// More gaps of a record are not said at an export; `nbpack show` says them.
const MOST_GAPS: usize = 8;
/// How often a file may change under an export before it gives up.
const ATTEMPTS: usize = 3;

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    args.recipes.check(args.force, context)?;
    // What is packed must be of one moment. A package manager rewrites files while it works, and an installer that links
    // its cache into another environment changes the status of ours; so all of it is looked at again, data too.
    for _ in 1..ATTEMPTS {
        let result = export(&args, context);
        let Some(write::WriteError::Changed { path }) = result.as_ref().err().and_then(|error| error.downcast_ref())
        else {
            return result;
        };
        if !context.quiet {
            let path = path.display();
            terminal::tell(&format!("note: `{path}` changed while it was packed; starting again"))?;
        }
    }
    export(&args, context)
}

/// What a session needs, and what of it must not leave.
struct Survey {
    recording: Recording,
    inventory: inventory::model::Inventory,
    /// Of a restored kernel's session.
    origin: Option<child::Origin>,
    findings: Vec<secrets::Finding>,
}

fn survey(args: &Args, context: &Context, store: &Store, progress: &Progress) -> anyhow::Result<Survey> {
    let mut recording = find(args, context, store)?;
    say_what_is_not_known(&recording, context)?;
    progress.stage("looking for what the session needs");
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let options = options(args, context, &recording, program)?;
    let origin = child::origin(&recording, store)?;
    let inventory = match &origin {
        None => inventory::take(&recording, store, &options, &mut |text| progress.stage(text))?,
        Some(origin) => origin.inventory(&recording, store, &options)?,
    };
    progress.stage("looking for secrets");
    let findings = secrets::not_allowed(secrets::scan(&recording, &inventory, store), &args.allow);
    // Nobody typed the arguments of processes (a debugger's access token), and nothing is lost without them.
    let (of_processes, findings): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|finding| finding.place.starts_with("argv:"));
    if !of_processes.is_empty() {
        secrets::redact(&mut recording, &of_processes);
    }
    Ok(Survey { recording, inventory, origin, findings })
}

/// The image's configuration and layers.
fn plan(args: &Args, survey: &Survey, store: &Store) -> anyhow::Result<(config::RunConfig, bundle::plan::Plan)> {
    let Survey { recording, inventory, origin, .. } = survey;
    let mut run_config = match origin {
        None => inventory::run_config(recording, inventory),
        Some(origin) => inventory::child_run_config(recording, &origin.restored.run),
    };
    if !args.app.is_empty() {
        run_config.command = super::app::default_command(&args.app)?;
    }
    let datasets = match origin {
        None => inventory::datasets(recording, inventory),
        Some(origin) => origin.datasets(recording, inventory),
    };
    let session_files = session_files(recording, inventory, &run_config, &datasets)?;
    let plan = bundle::plan::plan(inventory, &run_config, session_files)?;
    let plan = match origin {
        None => plan,
        Some(origin) => origin.plan(inventory, plan, store)?,
    };
    Ok((run_config, plan))
}

/// The layers that an export would write, and what its scan found: for somebody who decides before it is written.
pub(super) fn preview(args: &Args, context: &Context) -> anyhow::Result<serde_json::Value> {
    let store = context.store()?;
    let mut survey = survey(args, context, &store, &Progress::of(context))?;
    let findings: Vec<_> = survey
        .findings
        .iter()
        .map(|finding| {
            serde_json::json!({
                "label": findings::label(finding), "rule": finding.rule, "place": finding.place, "masked": finding.masked,
                "in_file": finding.is_in_file(),
            })
        })
        .collect();
    secrets::redact(&mut survey.recording, &survey.findings);
    let (_, plan) = plan(args, &survey, &store)?;
    let left_out: Vec<_> = plan
        .left_out
        .iter()
        .map(|(path, why)| serde_json::json!({"path": crate::files::display_bytes(path).to_string(), "why": why}))
        .collect();
    Ok(serde_json::json!({
        "layers": planned::rows(&plan, &store, args.compression.into()),
        "findings": findings,
        "warnings": survey.inventory.warnings,
        "left_out": left_out,
    }))
}

fn export(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let store = context.store()?;
    let progress = Progress::of(context);
    let mut found = survey(args, context, &store, &progress)?;
    if !found.findings.is_empty() {
        if !args.redact {
            progress.clear();
            return Err(findings::refuse(&found.findings));
        }
        findings::redact(&mut found.recording, &mut found.inventory, &store, &found.findings, context)?;
    }
    let whole = if args.trim { Some(trim(&mut found)?) } else { None };
    let (run_config, plan) = plan(args, &found, &store)?;
    if args.dry_run {
        let inventory = found.inventory;
        progress.clear();
        if !args.json {
            say_warnings(&inventory, context)?;
        }
        return planned::show(&plan, &store, args.compression.into(), args.json);
    }
    // The plan has them, and there may be many.
    found.inventory.entries.clear();
    let Survey { recording, inventory, .. } = &found;
    let image = args.output.as_deref().map_or(Ok(None), |word| remote::named_output(word, context))?;
    let mut output = if image.is_some() { write::Output::Store } else { output(args, context, recording)? };
    let options =
        write::WriteOptions { compression: args.compression.into(), threads: args.threads.unwrap_or_default() };
    let total = plan.layers.iter().map(|layer| layer.bytes).sum();
    let written = write::write(&plan, &run_config, &store, options, &mut output, &progress.packing(total))?;
    if let (Some(whole), Some(path)) = (whole, &args.rest) {
        let whole = Survey { recording: recording.clone(), inventory: whole, origin: None, findings: Vec::new() };
        write_rest(args, context, &whole, path, &store, options, &progress)?;
    }
    progress.clear();
    if let Some(reference) = &image {
        let (manifest, config) = written.documents.clone();
        let bundle = bundle::read::Bundle::in_store(manifest, config, &store)?;
        let pushed = push::push(&bundle, reference, args.insecure, &store, context)?;
        say_warnings(inventory, context)?;
        push::say(reference, &pushed, args.json, context)?;
        return Ok(ExitCode::SUCCESS);
    }
    let shown = match &output {
        write::Output::File(path) | write::Output::Dir(path) => path.display().to_string(),
        write::Output::Stdout | write::Output::Store => "-".to_owned(),
    };
    for path in args.recipes.write(&run_config, &shown, context)? {
        if !context.quiet {
            writeln!(std::io::stderr().lock(), "wrote {}", path.display())?;
        }
    }
    say_what_was_written(args, context, inventory, &plan, &written, &output)
}

/// Leaves what the session did not touch out of the inventory, and returns it with that marked.
fn trim(found: &mut Survey) -> anyhow::Result<inventory::model::Inventory> {
    if found.origin.is_some() {
        return Err(Failure::unable(
            "a session of a restored kernel lies on its parent's layers, which are taken whole",
        )
        .hint("export it without --trim")
        .into());
    }
    let mut whole = std::mem::take(&mut found.inventory);
    inventory::mark_untouched(&mut whole);
    found.inventory = inventory::without_apart(&whole);
    Ok(whole)
}

/// Writes the bundle that has the rest too: its other layers are in the store already.
fn write_rest(
    args: &Args,
    context: &Context,
    whole: &Survey,
    path: &Path,
    store: &Store,
    options: write::WriteOptions,
    progress: &Progress,
) -> anyhow::Result<()> {
    let path = context.cwd.join(path);
    if path.exists() && !args.force && bundle::read::Bundle::open_any(&path).is_err() {
        return Err(Failure::unable(format!("`{}` is there already and is no bundle", path.display()))
            .hint("choose another name with --rest, or use --force")
            .into());
    }
    let (run_config, plan) = plan(args, whole, store)?;
    let total = plan.layers.iter().map(|layer| layer.bytes).sum();
    let mut output = write::Output::File(path.clone());
    let written = write::write(&plan, &run_config, store, options, &mut output, &progress.packing(total))?;
    progress.clear();
    if !context.quiet {
        let new: u64 = written.layers.iter().filter(|layer| !layer.reused).map(|layer| layer.compressed).sum();
        let line = format!("{}: the same with the rest, {} more", path.display(), bytes(new));
        terminal::tell(&line)?;
    }
    Ok(())
}

fn find(args: &Args, context: &Context, store: &Store) -> anyhow::Result<Recording> {
    if let Err(error) = record::recover(store) {
        writeln!(std::io::stderr().lock(), "warning: an unfinished session could not be completed: {error}")?;
    }
    let what = args.session.as_deref().or(args.what.as_deref());
    let selector = match what {
        None => session::Selector::Latest,
        Some(word) => {
            let path = context.cwd.join(word);
            let notebook = path.extension().is_some_and(|extension| extension == "ipynb") || path.is_file();
            if notebook { session::Selector::Notebook(path) } else { session::Selector::Id(word.to_owned()) }
        }
    };
    let found = session::find_telling(store, &selector).map_err(|error| {
        let failure = match &error {
            session::FindError::NothingRun(_) => {
                Failure::unable("there is nothing to export").hint("run its cells, then export again")
            }
            session::FindError::NoSession(_) => Failure::unable("there is no such session").hint(
                "choose the kernel with `(nbpack)` in its name and run the notebook; `nbpack sessions` lists what was recorded",
            ),
            _ => Failure::unable("there is no such session").hint("`nbpack sessions` lists what was recorded"),
        };
        anyhow::Error::new(error).context(failure)
    })?;
    if !found.others.is_empty() && matches!(selector, session::Selector::Notebook(_)) && !context.quiet {
        let others: Vec<String> = found.others.iter().take(5).map(ToString::to_string).collect();
        terminal::tell(&format!(
            "note: this notebook has {} sessions; taking the last, {} (others: {}{}; choose with --session)",
            found.others.len() + 1,
            found.id,
            others.join(", "),
            if found.others.len() > 5 { ", …" } else { "" }
        ))?;
    }
    let mut recording = session::read_id(store, &found.id)?;
    if matches!(selector, session::Selector::Latest) && !context.quiet {
        let of = recording.info.notebook.as_deref().map(|path| format!(" of `{}`", path.display())).unwrap_or_default();
        terminal::tell(&format!("note: taking the latest session, {}{of}", found.id))?;
    }
    record::complete(store, &mut recording);
    // A frontend that names no notebook: it is the one that the user names, whose code this is.
    if let session::Selector::Notebook(path) = &selector
        && recording.info.notebook.is_none()
        && path.is_file()
    {
        recording.info.notebook = std::fs::canonicalize(path).ok();
        recording.info.notebook_source = Some(found.by.to_owned());
    }
    let found = found.id;
    if recording.executions.iter().all(|execution| execution.silent) {
        return Err(Failure::unable(format!("session {found} executed nothing"))
            .hint("`nbpack sessions` lists the others")
            .into());
    }
    Ok(recording)
}

fn say_what_is_not_known(recording: &Recording, context: &Context) -> anyhow::Result<()> {
    if context.quiet {
        return Ok(());
    }
    if let Some(running) =
        recording.executions.iter().find(|execution| execution.idle.is_none() && recording.info.running)
    {
        let line = running.code.lines().next().unwrap_or_default();
        terminal::tell(&format!("note: the session still runs; the execution under way is left out: {line}"))?;
    }
    if recording.info.coverage != "full" {
        terminal::tell(&format!(
            "note: the recording saw only a part (coverage: {}); files it did not see are not in the bundle",
            recording.info.coverage
        ))?;
        for gap in recording.gaps.iter().take(MOST_GAPS) {
            let detail = crate::files::display_bytes(gap.detail.as_bytes());
            terminal::tell(&format!("      {}: {detail}", gap.reason))?;
        }
    }
    Ok(())
}

fn options(
    args: &Args,
    context: &Context,
    recording: &Recording,
    program: PathBuf,
) -> anyhow::Result<inventory::Options> {
    let mut options = inventory::Options {
        with_results: args.with_results,
        all_installed: args.all_installed,
        program: Some(program),
        ..inventory::Options::default()
    };
    if args.with_jupyter {
        let path = context.var("PATH").unwrap_or_default();
        let found = std::env::split_paths(path).map(|dir| dir.join("jupyter-lab")).find(|program| program.is_file());
        options.with_jupyter = Some(found.ok_or_else(|| {
            Failure::unable("there is no `jupyter-lab` on PATH to put in").hint("activate the environment it lives in")
        })?);
    }
    options.exclude(&args.exclude)?;
    add_project(&mut options, context, recording)?;
    Ok(options)
}

/// Adds what the project's `nbpack.toml` says: beside the notebook, else in the working directory.
pub(super) fn add_project(
    options: &mut inventory::Options,
    context: &Context,
    recording: &Recording,
) -> anyhow::Result<()> {
    let beside = recording.info.notebook.as_deref().and_then(Path::parent).unwrap_or(&recording.info.cwd);
    for dir in [beside, &context.cwd] {
        let path = dir.join("nbpack.toml");
        if path.is_file() {
            let text = crate::files::read_to_string(&path)?;
            options.override_with(&text).with_context(|| format!("`{}` is not understood", path.display()))?;
            break;
        }
    }
    Ok(())
}

/// The files of the last layer, by path in the image.
fn session_files(
    recording: &Recording,
    inventory: &inventory::model::Inventory,
    run_config: &config::RunConfig,
    datasets: &[inventory::Dataset],
) -> anyhow::Result<BTreeMap<Vec<u8>, SessionFile>> {
    let dir = tempfile::tempdir().context("cannot make a temporary directory")?;
    let database = dir.path().join("session.sqlite");
    let blobs = session::export(recording, &database)?;
    let mut files = BTreeMap::new();
    let mut put = |path: &str, bytes: Vec<u8>| {
        files.insert(path.trim_start_matches('/').as_bytes().to_vec(), SessionFile::Bytes(bytes.into()));
    };
    put(config::SESSION_DB, crate::files::read(&database)?);
    for (digest, bytes) in blobs {
        put(&format!("{}/{}", config::SESSION_BLOBS, digest.hex()), bytes);
    }
    let as_run = session::notebook(recording, session::Form::AsRun);
    put(config::SESSION_NOTEBOOK, pretty(&as_run)?);
    put(config::COMPONENTS, pretty(&inventory.components)?);
    put(config::DATASETS, pretty(&datasets)?);
    put(config::FILES, serde_json::to_vec(&inventory::Listing::of(inventory))?);
    put(config::RUN_CONFIG, pretty(run_config)?);
    let facts = Facts { name: &run_config.name, recording, components: &inventory.components };
    for format in Format::ALL {
        let path = format!("{}/{}", config::STANDARDS, format.file_name());
        put(&path, standards::render(format, &facts).into_bytes());
    }
    Ok(files)
}

fn pretty<T: serde::Serialize>(value: &T) -> anyhow::Result<Vec<u8>> {
    // Through `Value`, whose maps are sorted.
    let mut bytes = serde_json::to_vec_pretty(&serde_json::to_value(value)?)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn output(args: &Args, context: &Context, recording: &Recording) -> anyhow::Result<write::Output> {
    let own_name = || {
        // As the person calls it: papermill's copy was recorded under the name of what it was made from.
        let named = args.what.as_deref().map(Path::new).filter(|path| path.extension() == Some("ipynb".as_ref()));
        let stem = named.or(recording.info.notebook.as_deref()).and_then(Path::file_stem);
        let name = stem.map_or_else(|| recording.info.id.to_string(), |stem| stem.to_string_lossy().into_owned());
        format!("{name}.nbpack")
    };
    let text = match args.output.as_deref() {
        Some("-") => return Ok(write::Output::Stdout),
        Some(text) if context.cwd.join(text).is_dir() => format!("{}/{}", text.trim_end_matches('/'), own_name()),
        Some(text) => text.to_owned(),
        None => own_name(),
    };
    if let Some(dir) = text.strip_prefix("dir:") {
        return Ok(write::Output::Dir(context.cwd.join(dir)));
    }
    let path = context.cwd.join(&text);
    let dir = path.parent().unwrap_or(Path::new("/"));
    if let Err(error) = rustix::fs::access(dir, rustix::fs::Access::WRITE_OK)
        && error != rustix::io::Errno::NOENT
    {
        return Err(Failure::unable(format!("cannot write into `{}`: {error}", dir.display()))
            .hint("name a place of yours with -o FILE")
            .into());
    }
    if path.exists() && !args.force && bundle::read::Bundle::open_any(&path).is_err() {
        return Err(Failure::unable(format!("`{}` is there already and is no bundle", path.display()))
            .hint("choose another name with -o, or use --force")
            .into());
    }
    if !crate::files::parent(&path).is_dir() {
        return Err(Failure::unable(format!("there is no directory `{}`", crate::files::parent(&path).display()))
            .hint("make it with `mkdir -p`, or name another place with -o")
            .into());
    }
    Ok(write::Output::File(path))
}

/// What a person should know about the files that go in.
fn say_warnings(inventory: &inventory::model::Inventory, context: &Context) -> std::io::Result<()> {
    for warning in inventory.warnings.iter().filter(|_| !context.quiet) {
        terminal::tell(&format!("warning: {warning}"))?;
    }
    Ok(())
}

fn say_what_was_written(
    args: &Args,
    context: &Context,
    inventory: &inventory::model::Inventory,
    plan: &bundle::plan::Plan,
    written: &write::Written,
    output: &write::Output,
) -> anyhow::Result<ExitCode> {
    let shown = match output {
        write::Output::File(path) | write::Output::Dir(path) => path.display().to_string(),
        write::Output::Stdout | write::Output::Store => "-".to_owned(),
    };
    if args.json && !matches!(output, write::Output::Stdout) {
        let left_out: Vec<_> = inventory
            .left_out
            .iter()
            .map(|file| serde_json::json!({"path": String::from_utf8_lossy(&file.path), "class": file.class, "rule": file.rule, "why": file.why}))
            .collect();
        let value = serde_json::json!({
            "output": shown, "manifest": written.manifest, "layers": written.layers.len(), "bytes": written.bytes,
            "new_bytes": written.new_bytes, "reused_layers": written.reused, "warnings": inventory.warnings,
            "left_out": left_out,
        });
        writeln!(std::io::stdout().lock(), "{value:#}")?;
    }
    if !context.quiet {
        say_warnings(inventory, context)?;
        for (path, why) in &plan.left_out {
            let path = crate::files::display_bytes(path);
            terminal::tell(&format!("warning: `{path}` is not in the bundle: {why}"))?;
        }
        writeln!(
            std::io::stderr().lock(),
            "{shown}: {} in {} layers ({} were in the store), manifest {}",
            bytes(written.bytes),
            written.layers.len(),
            written.reused,
            written.manifest.short()
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
