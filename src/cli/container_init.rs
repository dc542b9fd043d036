//! `nbpack container-init`: not for people; `container` starts it.

use std::{
    ffi::OsString,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use super::{Context, failure::Failure};
use crate::{
    container::{RunError, Step, forward::Relay, init},
    kernel,
};

/// The outer process of a container.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The specification.
    #[arg(required_unless_present_any = ["relay", "apart"])]
    spec: Option<PathBuf>,
    /// A person's own command: the terminal stays usable.
    #[arg(long)]
    foreground: bool,
    /// Inside: carry connections on the socket to a port, beside the command
    #[arg(long, value_name = "SOCKET=PORT")]
    relay: Option<String>,
    /// Become the command, in a session of its own: signals to our group do not reach it
    #[arg(long)]
    apart: bool,
    #[arg(last = true)]
    command: Vec<OsString>,
}

/// The process inside that stands between an app's port and the socket that this machine sees.
fn relay(place: &str, command: &[OsString]) -> anyhow::Result<ExitCode> {
    let (program, arguments) = command.split_first().ok_or_else(|| Failure::unable("no command"))?;
    let relay = relay_at(place)?;
    let mut child = Command::new(program);
    child.args(arguments);
    let ended = init::run_as_first(&mut child, || relay.serve())?;
    init::unblock_signals();
    Ok(ExitCode::from(kernel::die_as(ended.status)))
}

/// A relay of `SOCKET=PORT`.
pub(super) fn relay_at(place: &str) -> anyhow::Result<Relay> {
    let wrong = || Failure::unable(format!("`{place}` is not SOCKET=PORT"));
    let (socket, port) = place.split_once('=').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    Ok(Relay::bind(Path::new(socket), port)?)
}

pub(super) fn run(args: Args, _context: &Context) -> anyhow::Result<ExitCode> {
    let manner = if args.foreground { init::Manner::Foreground } else { init::Manner::Child };
    // Nobody can be told when stderr is closed.
    let mut say = |line: &str| writeln!(std::io::stderr(), "nbpack: {line}").unwrap_or_default();
    if let Some(place) = &args.relay {
        return relay(place, &args.command);
    }
    if args.apart {
        let (program, arguments) = args.command.split_first().ok_or_else(|| Failure::unable("no command"))?;
        // Already the leader of a group: then signals to another's do not reach it either.
        rustix::process::setsid().map(drop).unwrap_or_default();
        let error = Command::new(program).args(arguments).exec();
        return Err(anyhow::Error::from(error).context(Failure::unable(format!("cannot run `{}`", program.display()))));
    }
    let spec = args.spec.unwrap_or_default();
    match init::outer(&spec, manner, &mut say) {
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
