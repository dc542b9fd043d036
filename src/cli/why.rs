//! `nbpack why`.

use std::process::ExitCode;

use super::Context;

/// TO BE WRITTEN
#[derive(clap::Args, Debug)]
pub(super) struct Args {}

pub(super) fn run(_args: Args, _context: &Context) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built")
}
