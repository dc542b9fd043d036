//! `nbpack` without arguments: what to do next, from the state it finds.

use std::process::ExitCode;

use super::Context;

pub(super) fn run(_context: &Context) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
