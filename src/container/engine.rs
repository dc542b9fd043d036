//! The command line for a container engine, where the user asks for one: the image runs there as it is.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
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
    /// Its name in the engine.
    pub image: String,
    /// The engine's default network; else none but `lo`.
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
    /// Who the code is.
    pub identity: Identity,
    /// Bytes that `/dev/shm` may take: engines give 64 MB, which is too little for `multiprocessing`.
    pub shared_memory: Option<u64>,
    /// This program, shown inside and run in the place of the image's own.
    pub program: Option<PathBuf>,
    /// For the nbpack inside.
    pub arguments: Vec<String>,
}

/// Who the code of a bundle is in the engine's container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Identity {
    /// The recorded user.
    Recorded,
    /// This machine's user, because it is to write into what was given: user and group id.
    Own(u32, u32),
    /// The recorded user inside, this machine's user outside (rootless podman): user and group id inside.
    Mapped(u32, u32),
}

impl Identity {
    /// Who it is to be: the recorded user where nothing of this machine is written (`writes`), or where the engine can
    /// make it the same as ours.
    pub fn choose(engine: Engine, recorded: (u32, u32), own: (u32, u32), writes: bool) -> Self {
        match engine {
            // Without root podman makes this machine's user the root inside, unless told otherwise.
            Engine::Podman if own.0 != 0 && recorded.0 == 0 => Self::Recorded,
            Engine::Podman if own.0 != 0 => Self::Mapped(recorded.0, recorded.1),
            _ if writes && own.0 != recorded.0 => Self::Own(own.0, own.1),
            _ => Self::Recorded,
        }
    }
}

/// Where this program is shown inside.
pub const PROGRAM: &str = "/run/nbpack-program";

/// Arguments that make the engine load an image from its standard input.
pub const LOAD: [&str; 1] = ["load"];

/// Arguments that say whether the engine has an image.
pub fn has_arguments(image: &str) -> [&str; 5] {
    ["image", "inspect", "--format", "{{.Id}}", image]
}

/// Variables that the engine's client reads itself: they must not reach it with the values for the inside.
const CLIENT_READS: [&str; 10] =
    ["PATH", "HOME", "USER", "TMPDIR", "LD_", "DOCKER_", "CONTAINER", "XDG_", "GO", "REGISTRY_"];

/// Whether the value is handed over in the client's environment, where nobody else can see it.
fn by_environment(name: &str) -> bool {
    !CLIENT_READS.iter().any(|prefix| name.starts_with(prefix))
}

/// The variables of `request` that belong into the environment of the engine's client.
pub fn client_environment(request: &Request) -> impl Iterator<Item = (&String, &String)> {
    request.env.iter().filter(|(name, _)| by_environment(name))
}

/// Arguments that make the engine run `request`.
pub fn run_arguments(request: &Request) -> Vec<OsString> {
    let words = ["run", "--rm", "-i", "--cap-drop=ALL", "--security-opt=no-new-privileges"];
    let mut arguments: Vec<OsString> = words.map(OsString::from).to_vec();
    if request.terminal {
        arguments.push("-t".into());
    }
    if !request.network {
        arguments.push("--network=none".into());
    }
    for port in request.ports.iter().filter(|_| request.network) {
        arguments.extend(["-p".into(), format!("127.0.0.1:{port}:{port}").into()]);
    }
    match request.identity {
        Identity::Recorded => {}
        Identity::Own(uid, gid) => {
            // What the recorded user may write in the image belongs to group 0.
            arguments.extend([format!("--user={uid}:{gid}").into(), "--group-add=0".into()]);
        }
        Identity::Mapped(uid, gid) => {
            arguments.push(format!("--userns=keep-id:uid={uid},gid={gid}").into());
            arguments.extend([format!("--user={uid}:{gid}").into(), "--group-add=0".into()]);
        }
    }
    arguments.extend(request.shared_memory.map(|bytes| format!("--shm-size={bytes}").into()));
    let own = request.program.as_ref();
    let own = own.map(|program| Bind { host: program.clone(), target: PathBuf::from(PROGRAM), read_only: true });
    for bind in request.binds.iter().chain(&own) {
        arguments.extend(["--mount".into(), mount(bind)]);
    }
    for (name, value) in &request.env {
        let word = if by_environment(name) { name.clone() } else { format!("{name}={value}") };
        arguments.extend(["-e".into(), word.into()]);
    }
    if let Some(dir) = &request.cwd {
        arguments.extend(["-w".into(), dir.into()]);
    }
    arguments.extend(own.iter().map(|_| OsString::from(format!("--entrypoint={PROGRAM}"))));
    arguments.push(request.image.clone().into());
    arguments.extend(request.arguments.iter().map(OsString::from));
    arguments
}

/// A bind as a line of comma-separated values: paths may hold colons, which `-v` does not take.
fn mount(bind: &Bind) -> OsString {
    let mut text = OsString::from("type=bind,");
    text.push(field("source", &bind.host));
    text.push(",");
    text.push(field("target", &bind.target));
    if bind.read_only {
        text.push(",readonly");
    }
    text
}

/// One of the values. Only what needs quotes has them: podman before version 5 knows none.
fn field(name: &str, path: &Path) -> OsString {
    let value = [name.as_bytes(), b"=", path.as_os_str().as_bytes()].concat();
    if !value.iter().any(|byte| b"\",\n".contains(byte)) {
        return OsString::from_vec(value);
    }
    let doubled = value.iter().flat_map(|byte| std::iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 }));
    OsString::from_vec(std::iter::once(b'"').chain(doubled).chain(*b"\"").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            image: "nb:1".into(),
            network: false,
            binds: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            ports: Vec::new(),
            terminal: false,
            identity: Identity::Recorded,
            shared_memory: None,
            program: None,
            arguments: ["run", "--", "python"].map(String::from).to_vec(),
        }
    }

    fn has(arguments: &[OsString], words: &[&str]) -> bool {
        arguments.windows(words.len()).any(|window| window == words)
    }

    #[test]
    fn the_engine_gets_no_network_and_no_volumes_unless_given() {
        let mut request = request();
        let least =
            ["run", "--rm", "-i", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none", "nb:1"];
        assert_eq!(run_arguments(&request)[..7], least);
        request.ports.push(8050);
        assert!(!run_arguments(&request).iter().any(|word| word == "-p"), "a port needs the network");
        request.network = true;
        request.binds.push(Bind { host: "/d:,\"e".into(), target: "/data".into(), read_only: true });
        let arguments = run_arguments(&request);
        assert!(has(&arguments, &["--mount", "type=bind,\"source=/d:,\"\"e\",target=/data,readonly"]));
        assert!(has(&arguments, &["-p", "127.0.0.1:8050:8050"]));
        assert!(!arguments.iter().any(|argument| argument == "--network=none"));
    }

    #[test]
    fn a_value_is_not_in_the_command_line_that_everybody_sees() {
        let mut request = request();
        let env = [("JUPYTER_TOKEN", "secret"), ("LD_PRELOAD", "/x.so")];
        request.env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let arguments = run_arguments(&request);
        assert!(has(&arguments, &["-e", "JUPYTER_TOKEN", "-e", "LD_PRELOAD=/x.so"]), "{arguments:?}");
        let handed: Vec<_> =
            client_environment(&request).map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(handed, [("JUPYTER_TOKEN", "secret")]);
    }

    #[test]
    fn the_code_is_the_recorded_user_unless_it_could_not_write_what_it_was_given() {
        let choose = |engine, own: u32, writes| Identity::choose(engine, (1000, 1000), (own, own), writes);
        assert_eq!(choose(Engine::Docker, 1234, false), Identity::Recorded);
        assert_eq!(choose(Engine::Docker, 1000, true), Identity::Recorded);
        assert_eq!(choose(Engine::Docker, 1234, true), Identity::Own(1234, 1234));
        assert_eq!(choose(Engine::Podman, 1234, true), Identity::Mapped(1000, 1000));
        assert_eq!(choose(Engine::Podman, 0, true), Identity::Own(0, 0));
        assert_eq!(Identity::choose(Engine::Podman, (0, 0), (1234, 1234), true), Identity::Recorded);
    }
}
