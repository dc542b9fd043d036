//! `nbpack app`.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use super::{
    Context,
    engine::{self, EngineArgs, Image},
    failure::Failure,
    inside,
    restored::{self, Given},
    run::GivenArgs,
};
use crate::{
    container::{self, spec::Bind},
    kernel, restore,
    socket_dir::SocketDir,
};

const SOCKET: &str = "app.sock";
/// Where this program is shown inside, to carry connections.
const RELAY: &str = "/run/nbpack-relay";

/// Where an app listens that does not say.
pub(super) const PORT: u16 = 8050;

/// Run an app of a bundle (Dash, Streamlit, Voilà …) and reach it on a port of this machine
///
/// The app must listen on PORT of 127.0.0.1 (or all addresses) inside. It sees no network unless you give it.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// A bundle's file, or the name of a restored one
    bundle: Option<String>,
    /// The app's port, inside and on this machine's 127.0.0.1 [default: as its own words `--port` or `--server.port`
    /// say, else 8050]
    #[arg(long)]
    port: Option<u16>,
    #[command(flatten)]
    given: GivenArgs,
    #[command(flatten)]
    engine: EngineArgs,
    /// The app's command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut given = args.given.resolve(context)?;
    let port = args.port.or_else(|| port_in(&args.command)).unwrap_or(PORT);
    let Some(bundle) = &args.bundle else {
        let beside = inside::Beside { publish: Some(port), ..inside::Beside::default() };
        return inside::run(args.command, given, beside, context);
    };
    let url = format!("http://127.0.0.1:{port}/");
    if let Some(engine) = args.engine.engine {
        return in_engine(&Image::of(engine, bundle, context)?, port, args.command, given, &url, context);
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
    let dir = SocketDir::new(&context.runtime_dir)?;
    given.binds.push(Bind { host: dir.path().to_owned(), target: PathBuf::from(restore::INNER_DIR), read_only: false });
    given.binds.push(Bind { host: program.clone(), target: PathBuf::from(RELAY), read_only: true });
    let place = format!("{}/{SOCKET}={port}", restore::INNER_DIR);
    let mut command = [RELAY, "container-init", "--relay", &place, "--"].map(str::to_owned).to_vec();
    command.extend(args.command);
    let spec = restore::spec(&found, &store, command, given.into_options(context))?;
    let forwarder = restored::forwarder(Some(port), port)
        .map_err(|error| error.context(Failure::unable("the app cannot be reached")))?;
    writeln!(std::io::stdout().lock(), "app: {url}")?;
    let socket = dir.path().join(SOCKET);
    let status = container::run_with(&spec, &program, || forwarder.serve(socket))?;
    drop(dir);
    container::init::unblock_signals();
    Ok(ExitCode::from(kernel::die_as(std::os::unix::process::ExitStatusExt::into_raw(status))))
}

/// The port that an app's own words name.
pub(super) fn port_in(words: &[String]) -> Option<u16> {
    words.iter().enumerate().find_map(|(at, word)| match word.split_once('=') {
        Some(("--port" | "--server.port", value)) => value.parse().ok(),
        None if matches!(word.as_str(), "--port" | "--server.port") => words.get(at + 1)?.parse().ok(),
        _ => None,
    })
}

/// The image's default command for an app: `app`, its options, `--`, the app's words. The `--` need not be given.
pub(super) fn default_command(words: &[String]) -> anyhow::Result<Vec<String>> {
    let has_end = words.iter().any(|word| word == "--");
    if !has_end && words.first().is_some_and(|word| word.starts_with('-')) {
        return Err(Failure::unable("`--app` takes all words that follow it, and they begin with no program")
            .hint("put it last: nbpack export … --app -- python app.py")
            .into());
    }
    let end = (!has_end).then(|| "--".to_owned());
    Ok(std::iter::once("app".to_owned()).chain(end).chain(words.iter().cloned()).collect())
}

/// Without a network a socket leads to the app; with one, the engine publishes its port.
fn in_engine(
    image: &Image,
    port: u16,
    command: Vec<String>,
    mut given: Given,
    url: &str,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    restored::say_machine_of(&image.run, context);
    let program = restored::program()?;
    if given.network {
        let mut arguments = ["app", "--port", &port.to_string(), "--"].map(str::to_owned).to_vec();
        arguments.extend(command);
        let mut request = image.request(given, arguments, context);
        request.ports.push(port);
        // The image's own may be older, and leave an app alone that listens on 127.0.0.1 only.
        request.program = Some(program);
        writeln!(std::io::stdout().lock(), "app: {url}")?;
        return Err(image.exec(request));
    }
    let dir = SocketDir::new(&context.runtime_dir)?;
    given.binds.push(Bind { host: dir.path().to_owned(), target: PathBuf::from(engine::SHARED), read_only: false });
    let mut arguments = vec!["run".to_owned(), format!("--relay={}/{SOCKET}={port}", engine::SHARED), "--".to_owned()];
    arguments.extend(command);
    let mut request = image.request(given, arguments, context);
    request.program = Some(program);
    let forwarder = restored::forwarder(Some(port), port)
        .map_err(|error| error.context(Failure::unable("the app cannot be reached")))?;
    writeln!(std::io::stdout().lock(), "app: {url}")?;
    image.run_with(request, || forwarder.serve(dir.path().join(SOCKET)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_default_command_is_one_that_the_image_takes() {
        let command = |text: &str| default_command(&words(text)).map(|command| command.join(" "));
        assert_eq!(command("python app.py 8050").unwrap(), "app -- python app.py 8050");
        assert_eq!(command("-- python app.py").unwrap(), "app -- python app.py");
        assert_eq!(command("--port 8501 -- streamlit run a.py").unwrap(), "app --port 8501 -- streamlit run a.py");
        assert!(command("--compose python app.py").is_err());
    }

    #[test]
    fn the_port_is_the_one_that_the_app_is_told() {
        assert_eq!(port_in(&words("voila nb.ipynb --port=8866")), Some(8866));
        assert_eq!(port_in(&words("app -- streamlit run a.py --server.port 8501")), Some(8501));
        assert_eq!(port_in(&words("python app.py 8050")), None);
    }
}
