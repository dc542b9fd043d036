//! `nbpack app`.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use super::{
    Context,
    failure::Failure,
    inside, restored,
    run::GivenArgs,
};
use crate::{
    container::{self, engine::Engine, spec::Bind},
    kernel, restore,
};

const SOCKET: &str = "app.sock";
/// Where this program is shown inside, to carry connections.
const RELAY: &str = "/run/nbpack-relay";

/// Run an app of a bundle (Dash, Streamlit, Voilà …) and reach it on a port of this machine
///
/// The app must listen on PORT of 127.0.0.1 (or all addresses) inside. It sees no network unless you give it.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// A bundle's file, or the name of a restored one
    bundle: Option<String>,
    /// The app's port, inside and on this machine's 127.0.0.1
    #[arg(long, default_value_t = 8050)]
    port: u16,
    #[command(flatten)]
    given: GivenArgs,
    /// Let a container engine run it (`docker`, `podman`, `nerdctl`): needs the bundle's file
    #[arg(long, value_name = "ENGINE")]
    engine: Option<Engine>,
    /// The app's command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut given = args.given.resolve(context)?;
    let Some(bundle) = &args.bundle else {
        return inside::run(args.command, given, context);
    };
    let url = format!("http://127.0.0.1:{}/", args.port);
    if let Some(engine) = args.engine {
        writeln!(std::io::stdout().lock(), "app: {url}")?;
        return restored::run_in_engine(engine, bundle, given, args.command, &[args.port], context);
    }
    let store = context.store()?;
    let found = restored::resolve(bundle, context)?;
    restored::say_machine(&found, context);
    let program = restored::program()?;
    if given.network {
        // The app takes the port of this machine itself.
        writeln!(std::io::stdout().lock(), "app: {url}")?;
        let spec = restore::spec(&found, &store, args.command, given.into_options(context))?;
        return Err(container::exec(&spec, &program).into());
    }
    let dir = restored::socket_dir(context)?;
    given.binds.push(Bind { host: dir.path().to_owned(), target: PathBuf::from(restore::INNER_DIR), read_only: false });
    given.binds.push(Bind { host: program.clone(), target: PathBuf::from(RELAY), read_only: true });
    let place = format!("{}/{SOCKET}={}", restore::INNER_DIR, args.port);
    let mut command = [RELAY, "container-init", "--relay", &place, "--"].map(str::to_owned).to_vec();
    command.extend(args.command);
    let spec = restore::spec(&found, &store, command, given.into_options(context))?;
    let forwarder = restored::forwarder(Some(args.port), args.port)
        .map_err(|error| error.context(Failure::unable("the app cannot be reached")))?;
    writeln!(std::io::stdout().lock(), "app: {url}")?;
    let socket = dir.path().join(SOCKET);
    let status = container::run_with(&spec, &program, || forwarder.serve(socket))?;
    drop(dir);
    container::init::unblock_signals();
    Ok(ExitCode::from(kernel::die_as(std::os::unix::process::ExitStatusExt::into_raw(status))))
}
