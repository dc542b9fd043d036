//! `nbpack settle`: not for people; a verb that restored something and has other things to do starts it.

use std::process::ExitCode;

use super::Context;
use crate::restore;

/// Waits until what was restored is on the disk.
#[derive(clap::Args, Debug)]
pub(super) struct Args {}

pub(super) fn run(_args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    restore::settle(&context.store()?)?;
    Ok(ExitCode::SUCCESS)
}
