//! `nbpack du`.

use std::{io::Write as _, process::ExitCode};

use super::{
    Context,
    progress::{Progress, bytes},
};
use crate::restore;

/// Show what takes how much disk space
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// As a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let store = context.store()?;
    let progress = Progress::new(context.fancy);
    progress.stage("counting");
    let rows = restore::usage(&store)?;
    let in_engines: Vec<_> = restore::list(&store)?
        .iter()
        .flat_map(|found| {
            let row = |(engine, bytes)| (format!("{} in {engine}", found.name), bytes);
            super::engine::sizes(found).into_iter().map(row).collect::<Vec<_>>()
        })
        .collect();
    progress.clear();
    let mut out = std::io::stdout().lock();
    if args.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| serde_json::json!({ "what": row.what, "bytes": row.bytes, "own": row.own }))
            .chain(
                in_engines.iter().map(|(what, bytes)| serde_json::json!({ "what": what, "bytes": bytes, "own": null })),
            )
            .collect();
        writeln!(out, "{:#}", serde_json::Value::from(rows))?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{}", store.root().display())?;
    for row in rows {
        let own = row.own.map(|own| format!("  ({} of it its own)", bytes(own))).unwrap_or_default();
        writeln!(out, "{:>10}  {}{own}", bytes(row.bytes), row.what)?;
    }
    for (what, size) in in_engines {
        writeln!(out, "{:>10}  {what}", bytes(size))?;
    }
    Ok(ExitCode::SUCCESS)
}
