//! `nbpack container-init`: not for people; `container` starts it.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use super::Context;
use crate::{
    container::{RunError, Step, init},
    kernel,
};

/// The outer process of a container.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The specification.
    spec: PathBuf,
    /// A person's own command: the terminal stays usable.
    #[arg(long)]
    foreground: bool,
}

pub(super) fn run(args: Args, _context: &Context) -> anyhow::Result<ExitCode> {
    let manner = if args.foreground { init::Manner::Foreground } else { init::Manner::Child };
    // Nobody can be told when stderr is closed.
    let mut say = |line: &str| writeln!(std::io::stderr(), "nbpack: {line}").unwrap_or_default();
    match init::outer(&args.spec, manner, &mut say) {
        Ok(ended) => {
            init::unblock_signals();
            Ok(ExitCode::from(kernel::die_as(ended.status)))
        }
        Err(RunError::Failed { failed, remedy }) => {
            writeln!(std::io::stderr(), "error: {}\nhint: {remedy}", failed.describe()).unwrap_or_default();
            // As shells say it: the command was not found, or could not be run.
            let code = match (failed.step, failed.errno) {
                (Step::Exec, libc::ENOENT) => 127,
                (Step::Exec, _) => 126,
                _ => 2,
            };
            Ok(ExitCode::from(code))
        }
        Err(error) => Err(error.into()),
    }
}
