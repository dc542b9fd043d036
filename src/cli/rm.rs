//! `nbpack rm`.

use std::{io::Write as _, process::ExitCode};

use super::{
    Context,
    failure::Failure,
    progress::{Progress, bytes},
};
use crate::{jupyter::kernelspec, restore};

/// Forget restored bundles: their kernels, and the layers that nothing else needs
///
/// Notebooks that were written stay: they are yours.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Names, as `nbpack ls` shows them
    #[arg(required = true)]
    names: Vec<String>,
    /// Keep the layers (`nbpack gc` removes them)
    #[arg(long)]
    keep_layers: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let store = context.store()?;
    let mut out = std::io::stdout().lock();
    for name in &args.names {
        let Some(found) = restore::find(&store, name)? else {
            return Err(Failure::unable(format!("nothing is restored under the name `{name}`"))
                .hint("`nbpack ls` shows the names")
                .into());
        };
        for dir in &found.kernelspecs {
            // Somebody may have put another kernel there since.
            if kernelspec::read(dir).is_ok_and(|spec| spec.is_ours()) {
                crate::container::remove_tree(dir)?;
            }
        }
        super::engine::forget(&found);
        restore::remove(&store, name)?;
        writeln!(out, "removed {name}")?;
    }
    if !args.keep_layers {
        let progress = Progress::new(context.fancy);
        progress.stage("removing layers that nothing needs");
        let collected = restore::collect(&store, true)?;
        progress.clear();
        writeln!(out, "freed {} ({} layers)", bytes(collected.bytes), collected.layers.len())?;
    }
    Ok(ExitCode::SUCCESS)
}
