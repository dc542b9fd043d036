//! `nbpack completions`: what a shell needs to complete commands and flags.

use std::process::ExitCode;

use clap::CommandFactory as _;

use super::{Cli, Context};

/// Print a shell's completion script
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  nbpack completions bash > ~/.local/share/bash-completion/completions/nbpack
  nbpack completions zsh > \"${fpath[1]}/_nbpack\"")]
pub(super) struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

pub(super) fn run(args: Args, _context: &Context) -> anyhow::Result<ExitCode> {
    clap_complete::generate(args.shell, &mut Cli::command(), "nbpack", &mut std::io::stdout().lock());
    Ok(ExitCode::SUCCESS)
}
