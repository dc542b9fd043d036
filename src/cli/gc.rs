//! `nbpack gc`.

use std::{io::Write as _, process::ExitCode, time::Duration};

use super::{
    Context,
    progress::{Progress, bytes},
};
use crate::{bundle, registry, restore, socket_dir};

/// Remove what no restored bundle, no running container, no recent export and no recent pull needs
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Packed layers that no export, and pulled ones that no pull used for so many days go; they can be had again
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    unused_for: u64,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let store = context.store()?;
    let progress = Progress::new(context.fancy);
    progress.stage("looking for what nothing needs");
    let collected = restore::collect(&store, !args.dry_run)?;
    let unused = Duration::from_secs(args.unused_for.saturating_mul(24 * 3600));
    let packed = bundle::collect_unused(&store, unused, !args.dry_run)?;
    let pulled = registry::collect(&store, unused, !args.dry_run)?;
    let sockets = socket_dir::abandoned(&context.runtime_dir, !args.dry_run);
    progress.clear();
    let mut out = std::io::stdout().lock();
    if args.dry_run {
        for path in
            collected.layers.iter().chain(&collected.runs).chain(&packed.blobs).chain(&pulled.blobs).chain(&sockets)
        {
            writeln!(out, "would remove {}", path.display())?;
        }
    }
    let verb = if args.dry_run { "would free" } else { "freed" };
    let (layers, runs) = (collected.layers.len(), collected.runs.len());
    writeln!(
        out,
        "{verb} {}: {layers} layers, {} packed layers, {} pulled layers, {runs} ended containers, {} unfinished restores, {} sockets' directories of killed programs",
        bytes(collected.bytes + packed.bytes + pulled.bytes),
        packed.blobs.len(),
        pulled.blobs.len(),
        collected.unfinished,
        sockets.len()
    )?;
    Ok(ExitCode::SUCCESS)
}
