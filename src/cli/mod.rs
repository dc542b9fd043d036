//! Flags, environment, clock, stdout, exit code: one file for each verb.

mod app;
mod batch;
mod bisect;
mod child;
mod completions;
mod container_init;
mod context;
mod demo;
mod diff;
mod doctor;
mod du;
mod engine;
mod export;
mod failure;
mod findings;
mod gc;
mod inside;
mod install;
mod kernel;
mod lab;
mod labextension;
mod ls;
mod man;
mod panel;
mod planned;
mod prepare;
mod progress;
mod pull;
mod push;
mod recipes;
mod reference;
mod remote;
mod replay;
mod report;
mod restore;
mod restored;
mod rm;
mod run;
mod sessions;
mod settle;
mod show;
mod sign;
mod subject;
mod tap;
mod terminal;
mod uninstall;
mod verify;
mod welcome;
mod why;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

pub use context::Context;

/// Record a Jupyter session, pack it as one file, restore and prove it on another machine.
#[derive(Parser, Debug)]
#[command(
    name = "nbpack",
    version,
    about,
    max_term_width = 100,
    after_help = "Examples:
  nbpack install                        add \"Python 3 (nbpack)\" to Jupyter's launcher
  nbpack export analysis.ipynb          pack its last session as analysis.nbpack
  nbpack restore analysis.nbpack        on a colleague's machine
  nbpack replay analysis.nbpack         run it again and judge every cell"
)]
struct Cli {
    /// Say only what went wrong.
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Install(install::Args),
    Uninstall(uninstall::Args),
    #[command(hide = true)]
    Kernel(kernel::Args),
    #[command(hide = true)]
    Tap(tap::Args),
    #[command(hide = true)]
    Prepare(prepare::Args),
    #[command(hide = true)]
    Panel(panel::Args),
    #[command(hide = true)]
    ContainerInit(container_init::Args),
    #[command(hide = true)]
    Settle(settle::Args),
    Sessions(sessions::Args),
    Show(show::Args),
    Export(export::Args),
    Sign(sign::Args),
    Push(push::Args),
    Pull(pull::Args),
    Verify(verify::Args),
    Restore(restore::Args),
    Run(run::Args),
    Lab(lab::Args),
    App(app::Args),
    Batch(batch::Args),
    Ls(ls::Args),
    Rm(rm::Args),
    Gc(gc::Args),
    Du(du::Args),
    Doctor(doctor::Args),
    Replay(replay::Args),
    Diff(diff::Args),
    Bisect(bisect::Args),
    Why(why::Args),
    Report(report::Args),
    Demo(demo::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Man(man::Args),
}

/// Runs the program and gives its exit code: 0 yes, 1 it ran and the answer is no, 2 it could not tell.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let verb = args.iter().skip(1).filter_map(|arg| arg.to_str()).find(|arg| !arg.starts_with('-')).map(str::to_owned);
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    let result = Context::from_process(cli.quiet).and_then(|context| match cli.verb {
        None => welcome::run(&context),
        Some(Verb::Install(args)) => install::run(args, &context),
        Some(Verb::Uninstall(args)) => uninstall::run(args, &context),
        Some(Verb::Kernel(args)) => kernel::run(args, &context),
        Some(Verb::Tap(args)) => tap::run(args, &context),
        Some(Verb::Prepare(args)) => prepare::run(args, &context),
        Some(Verb::Panel(args)) => panel::run(&args, &context),
        Some(Verb::ContainerInit(args)) => container_init::run(args, &context),
        Some(Verb::Settle(args)) => settle::run(args, &context),
        Some(Verb::Sessions(args)) => sessions::run(args, &context),
        Some(Verb::Show(args)) => show::run(args, &context),
        Some(Verb::Export(args)) => export::run(args, &context),
        Some(Verb::Sign(args)) => sign::run(args, &context),
        Some(Verb::Push(args)) => push::run(args, &context),
        Some(Verb::Pull(args)) => pull::run(args, &context),
        Some(Verb::Verify(args)) => verify::run(args, &context),
        Some(Verb::Restore(args)) => restore::run(args, &context),
        Some(Verb::Run(args)) => run::run(args, &context),
        Some(Verb::Lab(args)) => lab::run(args, &context),
        Some(Verb::App(args)) => app::run(args, &context),
        Some(Verb::Batch(args)) => batch::run(args, &context),
        Some(Verb::Ls(args)) => ls::run(args, &context),
        Some(Verb::Rm(args)) => rm::run(args, &context),
        Some(Verb::Gc(args)) => gc::run(args, &context),
        Some(Verb::Du(args)) => du::run(args, &context),
        Some(Verb::Doctor(args)) => doctor::run(args, &context),
        Some(Verb::Replay(args)) => replay::run(args, &context),
        Some(Verb::Diff(args)) => diff::run(args, &context),
        Some(Verb::Bisect(args)) => bisect::run(args, &context),
        Some(Verb::Why(args)) => why::run(args, &context),
        Some(Verb::Report(args)) => report::run(args, &context),
        Some(Verb::Demo(args)) => demo::run(args, &context),
        Some(Verb::Completions(args)) => completions::run(args, &context),
        Some(Verb::Man(args)) => man::run(args, &context),
    });
    result.unwrap_or_else(|error| failure::explain(&error, verb.as_deref()))
}
