//! `nbpack diff`.

use std::{io::Write as _, process::ExitCode};

use super::{Context, subject};
use crate::{
    replay::compare,
    report::{json, text},
};

/// Say what differs between two sessions, notebooks, bundles or restored names
///
/// Code, libraries, environment, data, outputs (compared as a replay compares them) and time. Exit code: 0 the same,
/// 1 different, 2 could not tell.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// A bundle, a notebook, a restored name, or the beginning of a session's name.
    first: String,
    /// Another one.
    second: String,
    /// Everything, as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let rules = subject::rules(context)?;
    let mut first = subject::load(context, &args.first)?;
    let mut second = subject::load(context, &args.second)?;
    if first.datasets.is_empty() != second.datasets.is_empty() {
        // Only a bundle has a list of all that went in; beside a session without one, each of its files would be new.
        first.datasets.clear();
        second.datasets.clear();
    }
    let found = compare::compare(&first, &second, &rules);
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &json::comparison(&first.name, &second.name, &found))?;
        writeln!(out)?;
    } else {
        write!(out, "{}", text::comparison(&first.name, &second.name, &found))?;
    }
    Ok(ExitCode::from(found.exit_code()))
}
