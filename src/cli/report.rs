//! `nbpack report`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{Context, replay as replaying, restored::resolve, subject};
use crate::{
    files,
    replay::compare::Subject,
    report::html::{Page, page},
    restore::SpecOptions,
};

/// Write one self-contained page about a session: cells, outputs, data, software, lineage
///
/// The page loads nothing, runs nothing, and opens on a phone.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// A bundle, a notebook, a restored name, or the beginning of a session's name.
    subject: String,
    /// The page's file; without it `NAME.html` in the working directory.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replay the bundle first and show then and now side by side.
    #[arg(long)]
    replay: bool,
    /// With --replay: replay twice, to tell what varies by itself.
    #[arg(long, requires = "replay")]
    twice: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let named = args.output.map_or_else(|| context.cwd.clone(), |path| context.cwd.join(path));
    let output = if named.is_dir() { named.join(file_name(&args.subject)) } else { named };
    if args.replay {
        write_replayed(context, &args.subject, args.twice, &output)?;
    } else {
        write(&subject::load(context, &args.subject)?, &output)?;
    }
    writeln!(std::io::stdout().lock(), "{}", output.display())?;
    Ok(ExitCode::SUCCESS)
}

fn write(subject: &Subject, output: &Path) -> anyhow::Result<()> {
    let name = title(subject);
    let html =
        page(&Page { name: &name, recording: &subject.recording, replay: None, components: &subject.components });
    Ok(files::publish_bytes(output, 0o644, html.as_bytes())?)
}

fn write_replayed(context: &Context, name: &str, twice: bool, output: &Path) -> anyhow::Result<()> {
    let rules = subject::rules(context)?;
    let restored = resolve(name, context)?;
    let recorded = subject::of_restored(&context.store()?, &restored)?;
    let given = SpecOptions::default();
    let known = replaying::of_components(&recorded);
    let mut replay = replaying::contained(&restored, &recorded, &given, None, context)?;
    let (first, verdicts) = replaying::judged(&mut replay, twice, &recorded, &rules, &known)?;
    replaying::write_page(&recorded, &first, &verdicts, output)
}

/// What a page about this is called: the notebook's file name, else as the user named it.
pub(super) fn title(subject: &Subject) -> String {
    let notebook = subject.recording.info.notebook.as_deref().and_then(Path::file_stem);
    notebook.map_or_else(|| subject.name.clone(), |stem| stem.to_string_lossy().into_owned())
}

/// `analysis.html` for `dir/analysis.nbpack`.
fn file_name(subject: &str) -> String {
    let stem = Path::new(subject).file_stem().map_or_else(|| "session".into(), |stem| stem.to_string_lossy());
    format!("{stem}.html")
}
