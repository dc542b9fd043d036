//! What a verb may know of the world: read once from the environment, handed down as values.

use std::{
    ffi::OsString,
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use super::progress;
use crate::store::Store;

/// The world as `main` found it.
#[derive(Debug, Clone)]
pub struct Context {
    /// The whole environment, sorted.
    pub env: std::collections::BTreeMap<OsString, OsString>,
    /// The working directory.
    pub cwd: PathBuf,
    /// `$HOME`, else the one of the passwd entry, else `/`.
    pub home: PathBuf,
    /// `$XDG_DATA_HOME/nbpack/v1`, or `/var/tmp/nbpack-<uid>/v1` when that cannot be written.
    pub store_root: PathBuf,
    /// `$XDG_RUNTIME_DIR`, else `/tmp`: where short-lived sockets may lie.
    pub runtime_dir: PathBuf,
    /// Colours and progress bars are wanted on stderr.
    pub fancy: bool,
    /// Progress goes to stderr as lines of JSON, for the program that started us (`NBPACK_PROGRESS=lines`).
    pub lines: bool,
    /// No progress, no hints: `--quiet`.
    pub quiet: bool,
}

impl Context {
    /// Reads the environment of this process.
    pub fn from_process(quiet: bool) -> anyhow::Result<Self> {
        let env: std::collections::BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        #[expect(clippy::disallowed_methods, reason = "this is `cli`, where the environment is read")]
        let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let path_of = |name: &str| {
            env.get(std::ffi::OsStr::new(name)).filter(|value| Path::new(value).is_absolute()).map(PathBuf::from)
        };
        let uid = rustix::process::getuid().as_raw();
        let home = path_of("HOME").or_else(|| home_of(uid)).unwrap_or_else(|| PathBuf::from("/"));
        let data = path_of("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share"));
        let wanted = data.join("nbpack/v1");
        let store_root = if writable(&wanted) { wanted } else { PathBuf::from(format!("/var/tmp/nbpack-{uid}/v1")) };
        let runtime_dir =
            path_of("XDG_RUNTIME_DIR").filter(|dir| writable(dir)).unwrap_or_else(|| PathBuf::from("/tmp"));
        let plain = env.get(std::ffi::OsStr::new("NO_COLOR")).is_some_and(|value| !value.is_empty())
            || env.get(std::ffi::OsStr::new("TERM")).is_some_and(|value| value == "dumb");
        let fancy = !plain && !quiet && std::io::stderr().is_terminal();
        let lines = env.get(std::ffi::OsStr::new(progress::VARIABLE)).is_some_and(|value| value == progress::LINES);
        let fancy = fancy && !lines;
        Ok(Self { env, cwd, home, store_root, runtime_dir, fancy, lines, quiet })
    }

    /// A variable as text; `None` when it is missing or not UTF-8.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.get(std::ffi::OsStr::new(name)).and_then(|value| value.to_str())
    }

    /// What to say where the store is not in the usual place because that cannot be written.
    pub(super) fn said_elsewhere(&self) -> Option<String> {
        let usual = self.var("XDG_DATA_HOME").map_or_else(|| self.home.join(".local/share"), PathBuf::from);
        (!self.store_root.starts_with(&usual)).then(|| {
            let (usual, root) = (usual.display(), self.store_root.display());
            format!("`{usual}` cannot be written; `{root}` is used (XDG_DATA_HOME=DIR chooses another place)")
        })
    }

    /// The store of this user.
    pub fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::open(&self.store_root)?)
    }
}

/// Whether files can be made in `dir`, or in the nearest ancestor that exists.
fn writable(dir: &Path) -> bool {
    dir.ancestors()
        .find(|ancestor| ancestor.exists())
        .is_some_and(|ancestor| ancestor.is_dir() && rustix::fs::access(ancestor, rustix::fs::Access::WRITE_OK).is_ok())
}

/// The home directory in `/etc/passwd` (read as a file: a static program has no NSS).
fn home_of(uid: u32) -> Option<PathBuf> {
    let passwd = crate::files::read_to_string(Path::new("/etc/passwd")).ok()?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let id = fields.nth(2)?;
        (id == uid.to_string()).then(|| fields.nth(2).map(PathBuf::from))?
    })
}
