//! `nbpack run`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{
    Context,
    engine::{EngineArgs, Image},
    failure::Failure,
    inside,
    restored::{self, Given},
};
use crate::{
    container::{self, spec::Bind},
    restore,
};

/// Run a command in a bundle: its files, its Python, nothing of yours that you do not give it
///
/// Without a command: a shell. The exit code is the command's.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// A bundle's file, or the name of a restored one
    bundle: Option<String>,
    #[command(flatten)]
    given: GivenArgs,
    #[command(flatten)]
    engine: EngineArgs,
    /// In an image: carry connections on the socket to a port, beside the command
    #[arg(long, value_name = "SOCKET=PORT", hide = true, conflicts_with = "bundle")]
    relay: Option<String>,
    /// In an image: end when whoever listens on this socket does
    #[arg(long, value_name = "SOCKET", hide = true, conflicts_with = "bundle")]
    follow: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// What a person gives to the code of a bundle.
#[derive(clap::Args, Debug, Clone, Default)]
pub(super) struct GivenArgs {
    /// Give it this machine's network (and loopback)
    #[arg(long)]
    network: bool,
    /// Show a directory or file inside; `:ro` at the end: read-only
    #[arg(long = "volume", short = 'v', value_name = "HOST:TARGET[:ro]")]
    volumes: Vec<String>,
    /// Set a variable; without `=`, to the value it has here
    #[arg(long = "env", short = 'e', value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Work in this directory inside
    #[arg(long, short = 'w', value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// Where nothing else is allowed here: run it below another path, NOT isolated
    #[arg(long, conflicts_with = "engine")]
    inexact: bool,
}

impl GivenArgs {
    /// Volumes, variables, whether it may run inexactly, and nothing else.
    pub(super) fn of(volumes: Vec<String>, env: Vec<String>, inexact: bool) -> Self {
        Self { volumes, env, inexact, ..Self::default() }
    }

    /// As words for a registered kernel, with paths of this machine made absolute.
    pub(super) fn kernel_words(&self, context: &Context) -> anyhow::Result<Vec<String>> {
        let given = self.resolve(context)?;
        let mut words = Vec::new();
        if given.network {
            words.push("--network".to_owned());
        }
        if given.inexact {
            words.push("--inexact".to_owned());
        }
        for bind in given.binds {
            let text = |path: &Path| {
                let unusable = || Failure::unable(format!("`{}` is not UTF-8", path.display()));
                path.to_str().map(str::to_owned).ok_or_else(unusable)
            };
            let end = if bind.read_only { ":ro" } else { "" };
            words.push(format!("--volume={}:{}{end}", text(&bind.host)?, text(&bind.target)?));
        }
        words.extend(given.env.into_iter().map(|(name, value)| format!("--env={name}={value}")));
        words.extend(given.cwd.map(|dir| format!("--workdir={}", dir.display())));
        Ok(words)
    }

    /// Checked, with paths of this machine made absolute.
    pub(super) fn resolve(&self, context: &Context) -> anyhow::Result<Given> {
        let (cwd, inexact) = (self.workdir.clone(), self.inexact);
        let mut given = Given { network: self.network, cwd, inexact, ..Given::default() };
        if let Some(dir) = self.workdir.as_deref().filter(|dir| !dir.is_absolute()) {
            return Err(Failure::unable(format!("`{}` is no absolute path inside", dir.display())).into());
        }
        for text in &self.volumes {
            given.binds.push(parse_volume(text, &context.cwd)?);
        }
        for text in &self.env {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => match context.var(text) {
                    Some(value) => (text.as_str(), value.to_owned()),
                    None => {
                        return Err(Failure::unable(format!("`{text}` is not set here"))
                            .hint(format!("give a value: -e {text}=…"))
                            .into());
                    }
                },
            };
            if name.is_empty() {
                return Err(Failure::unable(format!("`{text}` names no variable")).into());
            }
            given.env.insert(name.to_owned(), value);
        }
        Ok(given)
    }
}

/// `HOST:TARGET` or `HOST:TARGET:ro`; the host path may hold colons.
fn parse_volume(text: &str, cwd: &Path) -> anyhow::Result<Bind> {
    let (rest, read_only) = match text.strip_suffix(":ro") {
        Some(rest) => (rest, true),
        None => (text.strip_suffix(":rw").unwrap_or(text), false),
    };
    let wrong = || {
        Failure::unable(format!("`{text}` is not HOST:TARGET[:ro] with an absolute TARGET"))
            .hint("for example -v $PWD/data:/data:ro")
    };
    let (host, target) = rest.rsplit_once(':').ok_or_else(wrong)?;
    let target = PathBuf::from(target);
    let climbs = target.components().any(|part| part == std::path::Component::ParentDir);
    if host.is_empty() || !target.is_absolute() || target == Path::new("/") || climbs {
        return Err(wrong().into());
    }
    if target.starts_with(restore::INNER_DIR) {
        return Err(Failure::unable(format!("`{}` inside is nbpack's own directory", target.display())).into());
    }
    let host = cwd.join(host);
    if !host.exists() {
        return Err(Failure::unable(format!("`{}` does not exist", host.display()))
            .hint("a volume is HOST:TARGET, and HOST is a file or directory of this machine")
            .into());
    }
    Ok(Bind { host, target, read_only })
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let given = args.given.resolve(context)?;
    let shell = || vec!["/bin/sh".to_owned()];
    let command = if args.command.is_empty() { shell() } else { args.command };
    let Some(bundle) = args.bundle else {
        let beside = inside::Beside { relay: args.relay, follow: args.follow, ..inside::Beside::default() };
        return inside::run(command, given, beside, context);
    };
    if let Some(engine) = args.engine.engine {
        let image = Image::of(engine, &bundle, context)?;
        restored::say_machine_of(&image.run, context);
        let arguments = ["run".to_owned(), "--".to_owned()].into_iter().chain(command).collect();
        return Err(image.exec(image.request(given, arguments, context)));
    }
    let store = context.store()?;
    let found = restored::resolve(&bundle, context)?;
    restored::say_machine(&found, context);
    let spec = restore::spec(&found, &store, command, given.into_options(context))?;
    Err(container::exec(&spec, &restored::program()?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_a_host_path_and_an_absolute_target() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a:b")).unwrap();
        let parse = |text: &str| parse_volume(text, dir.path());
        let bind = parse("a:b:/data:ro").unwrap();
        assert_eq!((bind.host, bind.target, bind.read_only), (dir.path().join("a:b"), "/data".into(), true));
        assert!(!parse(".:/x").unwrap().read_only);
        for bad in ["data", ":/x", ".:x", ".:/", ".:/a/../b", "missing:/x", ".:/run/nbpack", ".:/run/./nbpack/x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
