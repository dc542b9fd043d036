//! The command line for a container engine, where the user asks for one: the image runs there as it is.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::spec::Bind;

/// An engine with Docker's command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// nerdctl (containerd).
    Nerdctl,
}

/// No engine is called that.
#[derive(Debug, thiserror::Error)]
#[error("`{found}` is not one of docker, podman, nerdctl")]
pub struct UnknownEngine {
    found: String,
}

impl Engine {
    /// Its program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Nerdctl => "nerdctl",
        }
    }
}

impl FromStr for Engine {
    type Err = UnknownEngine;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Docker, Self::Podman, Self::Nerdctl];
        all.into_iter().find(|engine| engine.program() == text).ok_or_else(|| UnknownEngine { found: text.to_owned() })
    }
}

/// What the engine is to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// As `load` named it.
    pub image: String,
    /// The engine's default network; else none.
    pub network: bool,
    /// Host files and directories shown inside.
    pub binds: Vec<Bind>,
    /// Over the image's environment.
    pub env: BTreeMap<String, String>,
    /// Instead of the image's working directory.
    pub cwd: Option<PathBuf>,
    /// Ports of 127.0.0.1 that lead to the same ones inside (this needs the network).
    pub ports: Vec<u16>,
    /// A terminal is there.
    pub terminal: bool,
    /// Run by the image's own nbpack.
    pub command: Vec<String>,
}

/// Arguments that make the engine load a bundle's file.
pub fn load_arguments(file: &Path) -> Vec<OsString> {
    vec!["load".into(), "-i".into(), file.into()]
}

/// The image in what `load` printed (`Loaded image: NAME`, `Loaded image ID: sha256:…`).
pub fn loaded_image(said: &str) -> Option<String> {
    let names = said.lines().filter_map(|line| line.trim().strip_prefix("Loaded image"));
    names.filter_map(|rest| Some(rest.split_once(": ")?.1.trim().to_owned())).find(|name| !name.is_empty())
}

/// Arguments that make the engine run `request`.
pub fn run_arguments(request: &Request) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["run", "--rm", "-i"].map(OsString::from).to_vec();
    if request.terminal {
        arguments.push("-t".into());
    }
    if !request.network && request.ports.is_empty() {
        arguments.push("--network=none".into());
    }
    for port in &request.ports {
        arguments.extend(["-p".into(), format!("127.0.0.1:{port}:{port}").into()]);
    }
    for bind in &request.binds {
        let mut text = bind.host.clone().into_os_string();
        text.push(":");
        text.push(&bind.target);
        if bind.read_only {
            text.push(":ro");
        }
        arguments.extend(["-v".into(), text]);
    }
    for (name, value) in &request.env {
        arguments.extend(["-e".into(), format!("{name}={value}").into()]);
    }
    if let Some(dir) = &request.cwd {
        arguments.extend(["-w".into(), dir.into()]);
    }
    arguments.push(request.image.clone().into());
    arguments.extend(["run".into(), "--".into()]);
    arguments.extend(request.command.iter().map(OsString::from));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_gets_no_network_and_no_volumes_unless_given() {
        let mut request = Request {
            image: "nb:1".into(),
            network: false,
            binds: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            ports: Vec::new(),
            terminal: false,
            command: vec!["python".into()],
        };
        assert_eq!(run_arguments(&request), ["run", "--rm", "-i", "--network=none", "nb:1", "run", "--", "python"]);
        request.binds.push(Bind { host: "/d".into(), target: "/data".into(), read_only: true });
        request.ports.push(8050);
        let arguments = run_arguments(&request);
        assert!(arguments.windows(2).any(|pair| pair == ["-v", "/d:/data:ro"]));
        assert!(arguments.windows(2).any(|pair| pair == ["-p", "127.0.0.1:8050:8050"]));
        assert!(!arguments.iter().any(|argument| argument == "--network=none"));
    }

    #[test]
    fn the_loaded_image_is_read_from_both_forms() {
        assert_eq!(loaded_image("Loaded image: nbpack/a:1\n").as_deref(), Some("nbpack/a:1"));
        assert_eq!(loaded_image("x\nLoaded image ID: sha256:00\n").as_deref(), Some("sha256:00"));
        assert_eq!(loaded_image("no"), None);
    }
}
