//! `nbpack why`.

use std::{io::Write as _, process::ExitCode};

use super::{Context, failure::Failure, subject};
use crate::{
    replay::why,
    report::text,
    session::model::{Execution, Output},
};

/// Say which cells, files, libraries and hosts an output came from
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// A bundle, a notebook, a restored name, or the beginning of a session's name.
    subject: String,
    /// A cell's number in the order of execution, and perhaps one of its outputs: `3` or `3:1`.
    #[arg(value_name = "CELL[:OUTPUT]")]
    place: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (cell, output) = match args.place.split_once(':') {
        Some((cell, output)) => (cell, Some(output)),
        None => (args.place.as_str(), None),
    };
    let number = |text: &str| {
        let wrong = || Failure::unable(format!("`{}` is not CELL or CELL:OUTPUT", args.place)).hint("count from 1");
        text.parse::<usize>().ok().filter(|number| *number > 0).ok_or_else(wrong)
    };
    let cell = number(cell)?;
    let output = output.map(number).transpose()?;
    let subject = subject::load(context, &args.subject)?;
    let Some(origin) = why::why(&subject.recording, &subject.components, cell) else {
        let count = why::cells(&subject.recording).len();
        return Err(Failure::unable(format!("there is no cell {cell}: the session ran {count}"))
            .hint(format!("`nbpack show {} --cells` numbers them", args.subject))
            .into());
    };
    let execution = why::cells(&subject.recording).get(cell - 1).copied();
    let shown = output.map(|number| describe(execution, number)).transpose()?;
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &origin)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", text::origin(&origin, shown.as_deref()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An output of a cell by its number, in words.
fn describe(execution: Option<&Execution>, number: usize) -> anyhow::Result<String> {
    let outputs = execution.map_or(&[][..], |execution| execution.outputs.as_slice());
    let output = outputs
        .get(number - 1)
        .ok_or_else(|| Failure::unable(format!("the cell has {} outputs, not {number}", outputs.len())))?;
    let kind = match output {
        Output::Stream { name, .. } => name.clone(),
        Output::Error { ename, .. } => ename.clone(),
        Output::DisplayData { data, .. } | Output::ExecuteResult { data, .. } => {
            data.keys().cloned().collect::<Vec<_>>().join(", ")
        }
    };
    Ok(format!("output {number} ({kind})"))
}
