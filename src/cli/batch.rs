//! `nbpack batch`.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use serde_json::Value;

use super::{
    Context,
    engine::{self, EngineArgs, Image},
    failure::Failure,
    inside, replay as replaying,
    restored::{self, Given},
    run::GivenArgs,
};
use crate::{
    bundle::config::{self, RunConfig},
    container::spec::Bind,
    files,
    replay::{self, Place, Replay, batch, compare::Subject},
    restore::{self, SpecOptions},
    socket_dir::SocketDir,
    store::Store,
};

/// Longer than any job: nothing is stopped unless it was asked for.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86400);
const LONGEST_NOTEBOOK: u64 = 1 << 30;
/// What an engine's container calls its result.
const NOTEBOOK: &str = "executed.ipynb";

/// Run a bundle's notebook as a job, with other parameters, and write the executed notebook
///
/// Parameters go into a cell after the one tagged `parameters`, as papermill does it; without such a cell, before all
/// others. The job ends at the first cell that fails. Exit code: 0 all cells ran, 1 one failed, 2 it could not be run.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  nbpack batch analysis.nbpack -p year=2026 -p region=north -o north.ipynb
  nbpack batch analysis -v $PWD/data:/app/data -o today.ipynb")]
pub(super) struct Args {
    /// A bundle's file, or the name of a restored one. In an image that an engine runs: none
    #[arg(value_name = "FILE|NAME")]
    bundle: Option<String>,
    /// Give a parameter; a number, True, False and None are that, all else is text
    #[arg(short = 'p', long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Where the executed notebook goes [default: NAME-executed.ipynb]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Seconds that one cell may take [default: no limit]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    #[command(flatten)]
    given: GivenArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

/// The notebook to run, and where it lies in the image.
struct Job {
    run: RunConfig,
    notebook: Value,
    subject: Subject,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let given = args.given.resolve(context)?;
    let parameters = parameters(&args.parameters)?;
    if let (Some(engine), Some(word)) = (args.engine.engine, &args.bundle) {
        return in_engine(&Image::of(engine, word, context)?, &args, given, context);
    }
    let timeout = args.timeout.map_or(NEVER, Duration::from_secs);
    let (mut job, ran, scratch) = match &args.bundle {
        Some(name) => {
            let store = context.store()?;
            let found = restored::resolve(name, context)?;
            restored::say_machine(&found, context);
            let path = restore::notebook_path(&found, &store);
            let job = job(&found.run, path.as_deref(), &parameters)?;
            let options = SpecOptions {
                binds: given.binds,
                network: given.network,
                env: given.env,
                cwd: given.cwd,
                inexact: given.inexact,
                ..SpecOptions::default()
            };
            let place = Place::Container { restored: &found, given: options };
            let ran = drive(&place, &job, timeout, &store, context)?;
            (job, ran, None)
        }
        None => {
            let config = inside::config()?;
            if given.network || !given.binds.is_empty() {
                return Err(inside::engine_gives().into());
            }
            if let Some(ended) = inside::below_first()? {
                return Ok(ended);
            }
            let own = config.notebook.clone().filter(|path| path.is_file());
            let path = own.unwrap_or_else(|| PathBuf::from(config::SESSION_NOTEBOOK));
            let job = job(&config, Some(&path), &parameters)?;
            let scratch = inside::scratch(context)?;
            let store = Store::open(&scratch.path().join("v1"))?;
            let context = Context { runtime_dir: scratch.path().to_owned(), ..context.clone() };
            let mut env = inside::environment(&job.run, &context);
            env.extend(given.env.into_iter().map(|(name, value)| (name.into(), value.into())));
            let cwd = given.cwd.unwrap_or_else(|| inside::work_dir(&job.run, &context));
            let place = Place::Here { run: &job.run, env: env.into_iter().collect(), cwd };
            let ran = drive(&place, &job, timeout, &store, &context)?;
            (job, ran, Some(scratch))
        }
    };
    drop(scratch);
    let outcome = batch::fill(&mut job.notebook, &job.subject.recording, &ran.recording);
    let output = args.output.unwrap_or_else(|| default_output(&job.run));
    let mut bytes = serde_json::to_vec_pretty(&job.notebook)?;
    bytes.push(b'\n');
    files::publish_bytes(&context.cwd.join(&output), 0o644, &bytes)?;
    if let Some((cell, why)) = outcome.failed {
        let said: Vec<&str> = std::iter::once(why.as_str()).chain(ran.notes.iter().map(String::as_str)).collect();
        let message = format!("cell {cell} of {} failed: {}", outcome.of, said.join("; "));
        return Err(Failure::no(message).hint(format!("what ran is in `{}`", output.display())).into());
    }
    if !context.quiet {
        writeln!(std::io::stdout().lock(), "{} cells ran; {}", outcome.ok, output.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The nbpack in the image does it; what it writes is then fetched from a directory that both sides see.
fn in_engine(image: &Image, args: &Args, mut given: Given, context: &Context) -> anyhow::Result<ExitCode> {
    restored::say_machine_of(&image.run, context);
    let dir = SocketDir::new(&context.runtime_dir)?;
    given.binds.push(Bind { host: dir.path().to_owned(), target: PathBuf::from(engine::SHARED), read_only: false });
    let mut arguments = vec!["batch".to_owned(), format!("--output={}/{NOTEBOOK}", engine::SHARED)];
    arguments.extend(args.parameters.iter().map(|parameter| format!("--parameter={parameter}")));
    arguments.extend(args.timeout.map(|seconds| format!("--timeout={seconds}")));
    arguments.push("--quiet".to_owned());
    let request = image.request(given, arguments, context);
    let ended = image.run_with(request, || {})?;
    let output = args.output.clone().unwrap_or_else(|| default_output(&image.run));
    match files::read_bounded(&dir.path().join(NOTEBOOK), LONGEST_NOTEBOOK) {
        Ok(bytes) => files::publish_bytes(&context.cwd.join(&output), 0o644, &bytes)?,
        // It says itself why there is none.
        Err(error) if error.is_not_found() => return Ok(ended),
        Err(error) => return Err(error.into()),
    }
    if !context.quiet {
        writeln!(std::io::stdout().lock(), "{}", output.display())?;
    }
    Ok(ended)
}

fn default_output(run: &RunConfig) -> PathBuf {
    PathBuf::from(format!("{}-executed.ipynb", run.name))
}

/// `NAME=VALUE` each; the last one of a name counts.
fn parameters(given: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let pair = |text: &String| {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::unable(format!("`{text}` is not NAME=VALUE")).hint("for example -p year=2026"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    given.iter().map(pair).collect()
}

fn job(run: &RunConfig, path: Option<&Path>, parameters: &BTreeMap<String, String>) -> anyhow::Result<Job> {
    let path = path.ok_or_else(|| Failure::unable(format!("`{}` holds no notebook", run.name)))?;
    let unusable = || Failure::unable(format!("cannot run the notebook of `{}`", run.name));
    let bytes = files::read_bounded(path, LONGEST_NOTEBOOK).with_context(unusable)?;
    let mut notebook: Value = serde_json::from_slice(&bytes).with_context(unusable)?;
    batch::inject(&mut notebook, &run.language, parameters).with_context(unusable)?;
    let inside = run.notebook.as_deref().unwrap_or(Path::new(config::SESSION_NOTEBOOK));
    let recording = batch::plan(inside, &notebook).with_context(unusable)?;
    let subject = Subject { name: run.name.clone(), recording, components: Vec::new(), datasets: BTreeMap::new() };
    Ok(Job { run: run.clone(), notebook, subject })
}

fn drive(place: &Place<'_>, job: &Job, timeout: Duration, store: &Store, context: &Context) -> anyhow::Result<Replay> {
    let program = restored::program()?;
    let options = replay::Options {
        stop_at_error: true,
        timeout: Some(timeout),
        program: &program,
        store,
        runtime_dir: &context.runtime_dir,
    };
    replaying::drive(place, &job.subject, &options, context)
}
