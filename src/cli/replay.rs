//! `nbpack replay`.

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;

use super::{
    Context,
    failure::Failure,
    inside,
    progress::Progress,
    restored::{program, resolve, say_machine, say_machine_of},
    run::GivenArgs,
    subject, terminal,
};
use crate::{
    files,
    replay::{self, Known, Place, Replay, Rules, Verdicts, compare::Subject},
    report::{html, json, junit, text},
    restore::{SpecOptions, model::Restored},
    session::{self, model::Recording},
    store::Store,
};

/// Run a recorded session again in its container and judge every cell
///
/// The recorded requests are sent in their true order, without network. Exit code: 0 the recorded results came out
/// again, 1 something changed, 2 something was not run or could not be told.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  nbpack replay analysis.nbpack
  nbpack replay --twice analysis.nbpack            learn what varies by itself
  nbpack replay -v new.csv:/data/in.csv:ro a.nbpack   with other data in the place of the recorded
  nbpack replay -e OMP_NUM_THREADS=1 a.nbpack      under another condition
  nbpack replay analysis --report analysis.html    then and now, side by side")]
pub(super) struct Args {
    /// A bundle's file, or the name of a restored one. In an image that an engine runs: none, it is the image's own.
    #[arg(value_name = "FILE|NAME")]
    bundle: Option<String>,
    /// Show a directory or file inside, such as newer data in the place of the recorded; `:ro` at the end: read-only.
    #[arg(long = "volume", short = 'v', value_name = "HOST:TARGET[:ro]", requires = "bundle")]
    volumes: Vec<String>,
    /// Set a variable that the recording has otherwise; without `=`, to the value it has here.
    #[arg(long = "env", short = 'e', value_name = "NAME[=VALUE]", requires = "bundle")]
    env: Vec<String>,
    /// Where nothing else is allowed here: run it below another path, NOT isolated.
    #[arg(long, requires = "bundle")]
    inexact: bool,
    /// Replay twice: what differs between the two replays is not held against the first. A third time where cells that draw
    /// random numbers came out alike twice.
    #[arg(long)]
    twice: bool,
    /// The verdicts as JSON.
    #[arg(long)]
    json: bool,
    /// Also write JUnit XML, as CI servers read it.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Also write the replayed session as a notebook.
    #[arg(long, value_name = "FILE")]
    notebook: Option<PathBuf>,
    /// Also write a page that shows then and now.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Seconds that one cell may take [default: ten times what it took, at least 60].
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let rules = subject::rules(context)?;
    let given = GivenArgs::of(args.volumes, args.env, args.inexact).resolve(context)?;
    let timeout = args.timeout.map(Duration::from_secs);
    let replaced: Vec<PathBuf> = given.binds.iter().map(|bind| bind.target.clone()).collect();
    let (recorded, first, verdicts) = match &args.bundle {
        Some(bundle) => {
            let restored = resolve(bundle, context)?;
            say_machine(&restored, context);
            let recorded = subject::of_restored(&context.store()?, &restored)?;
            // The recorded conditions: what is given is laid over them, and nothing else changes.
            let given =
                SpecOptions { binds: given.binds, env: given.env, inexact: given.inexact, ..SpecOptions::default() };
            let known = Known { replaced, ..of_components(&recorded) };
            let mut replay = contained(&restored, &recorded, &given, timeout, context)?;
            let (first, verdicts) = judged(&mut replay, args.twice, &recorded, &rules, &known)?;
            drop(replay);
            (recorded, first, verdicts)
        }
        None => {
            let run = inside::config()?;
            if let Some(ended) = inside::below_first()? {
                return Ok(ended);
            }
            say_machine_of(&run, context);
            let recorded = subject::of_image(&run.name)?;
            let scratch = inside::scratch(context)?;
            let store = Store::open(&scratch.path().join("v1"))?;
            let context = Context { runtime_dir: scratch.path().to_owned(), ..context.clone() };
            let env = inside::environment(&run, &context).into_iter().collect();
            let place = Place::Here { run: &run, env, cwd: inside::work_dir(&run, &context) };
            let known = Known { replaced, ..of_components(&recorded) };
            let mut replay = |_| once(&place, &recorded, timeout, &store, &context);
            let (first, verdicts) = judged(&mut replay, args.twice, &recorded, &rules, &known)?;
            (recorded, first, verdicts)
        }
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &json::verdicts(&recorded.name, &verdicts))?;
        writeln!(out)?;
    } else if context.quiet {
        writeln!(out, "{}", text::summary(&verdicts))?;
    } else {
        write!(out, "{}", text::verdicts(&verdicts))?;
    }
    drop(out);
    if let Some(path) = args.junit {
        let xml = junit::junit(&recorded.name, &verdicts);
        files::publish_bytes(&context.cwd.join(path), 0o644, xml.as_bytes())?;
    }
    if let Some(path) = args.notebook {
        let notebook = session::notebook(&first, session::Form::AsRun);
        files::publish_bytes(&context.cwd.join(path), 0o644, &serde_json::to_vec_pretty(&notebook)?)?;
    }
    if let Some(path) = args.report {
        write_page(&recorded, &first, &verdicts, &context.cwd.join(path))?;
    }
    Ok(ExitCode::from(verdicts.exit_code()))
}

/// What the bundle's software list says.
pub(super) fn of_components(recorded: &Subject) -> Known {
    let versions = recorded.components.iter().filter(|component| component.kind != "deb");
    let versions = versions.map(|component| (component.name.clone(), component.version.clone())).collect();
    Known { versions, ..Known::default() }
}

/// Writes the page about a recording and a replay of it.
pub(super) fn write_page(
    recorded: &Subject,
    replayed: &Recording,
    verdicts: &Verdicts,
    path: &std::path::Path,
) -> anyhow::Result<()> {
    let page = html::page(&html::Page {
        name: &super::report::title(recorded),
        recording: &recorded.recording,
        replay: Some((replayed, verdicts)),
        components: &recorded.components,
    });
    Ok(files::publish_bytes(path, 0o644, page.as_bytes())?)
}

/// Replays in containers of a bundle. The kernel of the first one has the recorded process id, that of each further one
/// another, so that what hangs on it is seen to vary.
pub(super) fn contained<'a>(
    restored: &'a Restored,
    recorded: &'a Subject,
    given: &'a SpecOptions,
    timeout: Option<Duration>,
    context: &'a Context,
) -> anyhow::Result<impl FnMut(Turn) -> anyhow::Result<Replay> + 'a> {
    let store = context.store()?;
    Ok(move |turn| {
        let first_pid = match turn {
            Turn::First => given.first_pid,
            Turn::Further => Some(replay::other_pid(&recorded.recording)),
        };
        let given = SpecOptions { first_pid, ..given.clone() };
        once(&Place::Container { restored, given }, recorded, timeout, &store, context)
    })
}

/// Which replay of a session it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// The one that is judged.
    First,
    /// One to learn from what varies.
    Further,
}

/// Replays once, or with `twice` as often as it takes to tell what varies by itself, at most three times; gives the first
/// replay and the verdicts.
pub(super) fn judged(
    replay: &mut dyn FnMut(Turn) -> anyhow::Result<Replay>,
    twice: bool,
    recorded: &Subject,
    rules: &Rules,
    known: &Known,
) -> anyhow::Result<(Recording, Verdicts)> {
    let first = replay(Turn::First)?;
    let mut again = Vec::new();
    if twice {
        again.push(replay(Turn::Further)?.recording);
    }
    let judge = |again: &[Recording]| {
        let again: Vec<&Recording> = again.iter().collect();
        replay::judge_knowing(&recorded.recording, &first.recording, &again, rules, known)
    };
    let mut verdicts = judge(&again);
    let mut notes = first.notes;
    if twice && verdicts.left_to_chance > 0 {
        let (count, plural) = (verdicts.left_to_chance, if verdicts.left_to_chance == 1 { "" } else { "s" });
        notes.push(format!("replayed a third time: {count} cell{plural} drew alike twice, perhaps by chance"));
        again.push(replay(Turn::Further)?.recording);
        verdicts = judge(&again);
    }
    verdicts.notes = notes;
    Ok((first.recording, verdicts))
}

/// One replay, with a progress line.
pub(super) fn once(
    place: &Place<'_>,
    recorded: &Subject,
    timeout: Option<Duration>,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Replay> {
    let program = program()?;
    let options =
        replay::Options { stop_at_error: false, timeout, program: &program, store, runtime_dir: &context.runtime_dir };
    drive(place, recorded, &options, context)
}

/// Runs the executions of `recorded`, with a progress line.
pub(super) fn drive(
    place: &Place<'_>,
    recorded: &Subject,
    options: &replay::Options<'_>,
    context: &Context,
) -> anyhow::Result<Replay> {
    let line = Progress::new(context.fancy);
    let mut progress = |step: replay::Progress<'_>| match step {
        replay::Progress::Starting => line.stage("starting the kernel"),
        replay::Progress::Cell { number, of, code } => {
            let code = files::display_bytes(code.as_bytes()).to_string();
            line.stage(&format!("cell {number} of {of}: {}", code.chars().take(50).collect::<String>()));
        }
        replay::Progress::Ending => line.stage("ending"),
    };
    let mut ask = |prompt: &str| terminal::ask_hidden(prompt).ok().flatten();
    let quiet = Quiet::new().context("cannot put the kernel's own words aside")?;
    let result = replay::run(place, &recorded.recording, options, &mut ask, &mut progress);
    drop(quiet);
    line.clear();
    result.map_err(|error| {
        let failure = Failure::unable(format!("cannot run the cells of `{}`", recorded.name))
            .hint("`nbpack doctor` says what this machine allows; `nbpack verify` whether the bundle is whole");
        anyhow::Error::from(error).context(failure)
    })
}

/// While it lives, stdout goes nowhere: a kernel that starts greets the terminal, and `--json` must stay JSON.
struct Quiet(std::os::fd::OwnedFd);

impl Quiet {
    fn new() -> std::io::Result<Self> {
        let kept = rustix::io::fcntl_dupfd_cloexec(std::io::stdout(), 3)?;
        let nowhere = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(&nowhere)?;
        Ok(Self(kept))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // The descriptor was valid a moment ago and is ours.
        rustix::stdio::dup2_stdout(&self.0).unwrap_or_default();
    }
}
