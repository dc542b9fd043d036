//! `nbpack gc`.

use std::{io::Write as _, process::ExitCode};

use super::{Context, progress::bytes};
use crate::restore;

/// Remove what no restored bundle and no running container needs
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let collected = restore::collect(&context.store()?, !args.dry_run)?;
    let mut out = std::io::stdout().lock();
    if args.dry_run {
        for path in collected.layers.iter().chain(&collected.runs) {
            writeln!(out, "would remove {}", path.display())?;
        }
    }
    let verb = if args.dry_run { "would free" } else { "freed" };
    let (layers, runs) = (collected.layers.len(), collected.runs.len());
    writeln!(
        out,
        "{verb} {}: {layers} layers, {runs} ended containers, {} unfinished restores",
        bytes(collected.bytes),
        collected.unfinished
    )?;
    Ok(ExitCode::SUCCESS)
}
