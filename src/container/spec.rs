//! What a container is to be, as data: it travels to the re-executed program as JSON.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// A process in a root made of layers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Unpacked layers on this machine, bottom first (the order of the manifest).
    pub layers: Vec<PathBuf>,
    /// A fresh directory of this run (`store.run()/<id>`); upper and work directories are made in it.
    pub run_dir: PathBuf,
    /// Keep what the run wrote (the upper directory) when it ends.
    pub keep_upper: bool,
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Host name inside.
    pub hostname: String,
    /// The whole environment inside: nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Working directory inside; made if it is missing.
    pub cwd: PathBuf,
    /// Program (looked up in `env.PATH`) and arguments.
    pub argv: Vec<String>,
    /// Host directories and files shown inside.
    pub binds: Vec<Bind>,
    /// `true`: the host's network. `false`: a network of its own with nothing but `lo`.
    pub network: bool,
    /// (original prefix, canonical root): the link is replaced by a real directory so that `realpath` is exact too.
    pub exact_roots: Vec<(PathBuf, PathBuf)>,
    /// Directories that may be renamed inside, as far as they are small: an overlay refuses that for others.
    #[serde(default)]
    pub movable: Vec<PathBuf>,
    /// The command's process id, where Linux lets it be chosen (`ns_last_pid` in `pid_namespaces(7)`); refused, it is another.
    #[serde(default)]
    pub first_pid: Option<u32>,
    /// A person lets it run below another path and without isolation where there is no other way.
    #[serde(default)]
    pub inexact: bool,
    /// A stand-in for another machine: the one layer is the root itself, writable, and what runs there may make
    /// namespaces of its own. Only for roots that we made ourselves; never for an image.
    #[serde(default)]
    pub machine: bool,
}

impl Spec {
    /// A stand-in for another machine whose file system is the directory `root`, without network.
    pub fn machine(
        root: PathBuf,
        run_dir: PathBuf,
        uid: u32,
        env: BTreeMap<String, String>,
        argv: Vec<String>,
    ) -> Self {
        Self {
            layers: vec![root],
            run_dir,
            keep_upper: false,
            uid,
            gid: uid,
            hostname: "colleague".to_owned(),
            env,
            cwd: PathBuf::from("/"),
            argv,
            binds: Vec::new(),
            network: false,
            exact_roots: Vec::new(),
            movable: Vec::new(),
            first_pid: None,
            inexact: false,
            machine: true,
        }
    }
}

/// Where a run's own directory (connection file, sockets) is seen inside.
pub const OWN_DIR: &str = "/run/nbpack";

/// One bind mount.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bind {
    /// On this machine.
    pub host: PathBuf,
    /// Inside, absolute.
    pub target: PathBuf,
    /// May not be written.
    pub read_only: bool,
}

impl Bind {
    /// It shows the run's own directory, of which nobody else knows: where nothing can be mounted, that may move.
    pub(super) fn is_own(&self) -> bool {
        !self.read_only && self.target == Path::new(OWN_DIR)
    }
}
