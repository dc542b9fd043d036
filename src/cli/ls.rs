//! `nbpack ls`.

use std::{io::Write as _, process::ExitCode};

use super::{Context, restored};
use crate::restore;

/// List the bundles that are restored here
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// As a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let found = restore::list(&context.store()?)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", serde_json::to_value(&found)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() {
        writeln!(out, "nothing is restored here: `nbpack restore FILE.nbpack` does it")?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = found.iter().map(|one| one.name.len()).max().unwrap_or(0).max(4);
    writeln!(out, "{:width$}  {:12}  {:16}  KERNEL", "NAME", "DIGEST", "RESTORED")?;
    for one in found {
        let when = restored::date(one.restored);
        writeln!(out, "{:width$}  {:12}  {when:16}  {}", one.name, one.manifest.short(), one.run.display_name)?;
    }
    Ok(ExitCode::SUCCESS)
}
