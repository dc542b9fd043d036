//! `nbpack lab`.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

use super::{
    Context,
    engine::{self, EngineArgs, Image},
    failure::Failure,
    inside,
    restored::{self, Given},
    run::GivenArgs,
};
use crate::{
    bundle::config::RunConfig,
    container::{self, spec::Bind},
    kernel, restore,
    socket_dir::SocketDir,
};

/// Where Jupyter listens inside, and the image's exposed port.
const PORT: u16 = 8888;
const SOCKET: &str = "lab.sock";

/// Serve JupyterLab out of a bundle that has it
///
/// It listens on a port of this machine only; the code sees no network unless you give it. In an image, it listens on
/// all addresses.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// A bundle's file, or the name of a restored one
    bundle: Option<String>,
    /// Port of 127.0.0.1 [default: 8888, else a free one]
    #[arg(long)]
    port: Option<u16>,
    /// Open no browser
    #[arg(long)]
    no_browser: bool,
    #[command(flatten)]
    given: GivenArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut given = args.given.resolve(context)?;
    let token = match context.var("JUPYTER_TOKEN").filter(|token| !token.is_empty()) {
        Some(token) => token.to_owned(),
        None => restored::token()?,
    };
    given.env.insert("JUPYTER_TOKEN".to_owned(), token.clone());
    let Some(bundle) = &args.bundle else {
        let run = inside::config()?;
        let port = args.port.unwrap_or(PORT);
        let mut command = jupyter(&run)?;
        command.extend(["--ServerApp.ip=0.0.0.0".to_owned(), format!("--ServerApp.port={port}")]);
        say(&format!("http://127.0.0.1:{port}/lab?token={token}"))?;
        return inside::run(command, given, inside::Beside::default(), context);
    };
    if let Some(engine) = args.engine.engine {
        return in_engine(&Image::of(engine, bundle, context)?, &args, given, &token, context);
    }
    let store = context.store()?;
    let found = restored::resolve(bundle, context)?;
    let mut command = jupyter(&found.run)?;
    command.push(format!("--ServerApp.sock={}/{SOCKET}", restore::INNER_DIR));
    let dir = SocketDir::new(&context.runtime_dir)?;
    given.binds.push(Bind { host: dir.path().to_owned(), target: PathBuf::from(restore::INNER_DIR), read_only: false });
    restored::say_machine(&found, context);
    let spec = restore::spec(&found, &store, command, given.into_options(context))?;
    let forwarder = restored::forwarder(args.port, PORT)?;
    let url = format!("http://127.0.0.1:{}/lab?token={token}", forwarder.port());
    say(&url)?;
    let socket = dir.path().join(SOCKET);
    let status = container::run_with(&spec, &restored::program()?, || {
        forwarder.serve(socket);
        if !args.no_browser {
            open_browser(&url, context);
        }
    })?;
    drop(dir);
    container::init::unblock_signals();
    Ok(ExitCode::from(kernel::die_as(std::os::unix::process::ExitStatusExt::into_raw(status))))
}

/// Without a network a socket leads to Jupyter; with one, the engine publishes its port.
fn in_engine(image: &Image, args: &Args, mut given: Given, token: &str, context: &Context) -> anyhow::Result<ExitCode> {
    restored::say_machine_of(&image.run, context);
    let mut command = jupyter(&image.run)?;
    let dir = SocketDir::new(&context.runtime_dir)?;
    let forwarder = restored::forwarder(args.port, PORT)?;
    let port = forwarder.port();
    let url = format!("http://127.0.0.1:{port}/lab?token={token}");
    let network = given.network;
    if network {
        command.extend(["--ServerApp.ip=0.0.0.0".to_owned(), format!("--ServerApp.port={port}")]);
    } else {
        command.push(format!("--ServerApp.sock={}/{SOCKET}", engine::SHARED));
        given.binds.push(Bind { host: dir.path().to_owned(), target: PathBuf::from(engine::SHARED), read_only: false });
    }
    let arguments = ["run".to_owned(), "--".to_owned()].into_iter().chain(command).collect();
    let mut request = image.request(given, arguments, context);
    request.ports.push(port);
    say(&url)?;
    // The engine takes the port itself when it publishes it.
    let forwarder = Some(forwarder).filter(|_| !network);
    image.run_with(request, || {
        if let Some(forwarder) = forwarder {
            forwarder.serve(dir.path().join(SOCKET));
        }
        if !args.no_browser {
            open_browser(&url, context);
        }
    })
}

/// The command that starts the environment's own JupyterLab.
fn jupyter(run: &RunConfig) -> anyhow::Result<Vec<String>> {
    if !run.has_jupyter {
        return Err(Failure::unable(format!("the bundle `{}` has no Jupyter", run.name))
            .hint("use the restored kernel in your own Jupyter, or export with --with-jupyter")
            .into());
    }
    let python = if run.language.eq_ignore_ascii_case("python") { run.argv.first().cloned() } else { None };
    let mut command = match python {
        Some(python) => vec![python, "-m".to_owned(), "jupyterlab".to_owned()],
        None => vec!["jupyter-lab".to_owned()],
    };
    command.push("--no-browser".to_owned());
    command.push(format!("--ServerApp.root_dir={}", run.cwd.display()));
    if run.uid == 0 {
        command.push("--allow-root".to_owned());
    }
    Ok(command)
}

fn say(url: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "JupyterLab: {url}")
}

/// Where there is a desktop. That no browser comes up costs nothing: the address was printed.
fn open_browser(url: &str, context: &Context) {
    if context.var("DISPLAY").is_none() && context.var("WAYLAND_DISPLAY").is_none() {
        return;
    }
    let mut command = Command::new("xdg-open");
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop).unwrap_or_default();
}
