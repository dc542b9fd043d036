//! A process in a root made of layers, without root rights.
//!
//! [`prepare`] writes what is wanted into the run's directory and names the command that does it: this program again,
//! as `container-init` ([`init`]). That process has one thread, so it may create a user namespace; it stays outside,
//! forwards signals, removes what the run left and ends as the command ended. Its child builds the root ([`setup`]),
//! gives up every right and becomes process 1 of the container; the command is that one's child.
//!
//! Nothing of an image is trusted: every path in it is resolved below the new root, after `pivot_root`, while host
//! paths are held as detached mounts.

pub mod engine;
pub mod forward;
pub mod init;
mod merge;
mod movable;
pub mod probe;
mod process;
pub mod publish;
mod relocated;
mod seccomp;
mod setup;
pub mod spec;
#[expect(unsafe_code, reason = "system calls without a safe wrapper, one for each function")]
mod sys;
mod ways;

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use serde::{Deserialize, Serialize};

use crate::files::{self, FileError};
pub use merge::remove_tree;
pub use probe::{ProbeResult, probe};
use spec::Spec;

/// The name of the specification in the run's directory. While the run lives, its directory is locked (`flock`,
/// shared), and this file says which layers it needs.
pub const SPEC_FILE: &str = "spec.json";

/// A container could not be prepared or started.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The run's directory could not be made or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The specification holds something that JSON cannot (a path that is not UTF-8), or is not one.
    #[error("the specification `{}` is not valid", path.display())]
    Spec {
        /// Where it lies.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The program could not be started.
    #[error("cannot start `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something that the outer process needs of the system.
    #[error("cannot {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// No way to run it worked; the first failure of each is in the text.
    #[error("{}", failed.describe())]
    Failed {
        /// The step that did not work.
        failed: Failed,
        /// What to do about it.
        remedy: String,
    },
    /// The inner process ended without a word.
    #[error("the container's first process ended unexpectedly (wait status {status})")]
    Lost {
        /// As `waitpid(2)` gives it.
        status: i32,
    },
}

/// A step of building the container, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// `clone(2)` with the namespaces.
    Namespaces,
    /// Writing the user and group map.
    Map,
    /// The first mounts in the new namespace.
    Mount,
    /// The overlay of the layers.
    Overlay,
    /// Showing a host path inside.
    Bind,
    /// `pivot_root(2)` or `chroot(2)`.
    Root,
    /// `/proc`.
    Proc,
    /// `/dev`.
    Dev,
    /// Files and directories made inside.
    Files,
    /// Host name, loopback, keyring.
    System,
    /// Capabilities and system call filter.
    Rights,
    /// The command itself.
    Exec,
}

/// What failed, as the inner process tells it to the outer one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failed {
    /// Which step.
    pub step: Step,
    /// What was tried, to be read after "cannot".
    pub what: String,
    /// The error number; 0 where there is none.
    pub errno: i32,
}

impl Failed {
    /// For `map_err`: what was tried in which step.
    fn at(step: Step, what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self { step, what, errno: error.raw_os_error().unwrap_or(0) }
    }

    /// One line for a person.
    pub fn describe(&self) -> String {
        match self.errno {
            0 => format!("cannot {}", self.what),
            number => format!("cannot {}: {}", self.what, io::Error::from_raw_os_error(number)),
        }
    }
}

/// A container that only needs to be started: run `argv` with the environment `env`.
#[derive(Debug)]
pub struct Prepared {
    /// This program, `container-init`, the specification.
    pub argv: Vec<OsString>,
    /// The environment for it: empty, because a process inside may see the one of process 1.
    pub env: Vec<(OsString, OsString)>,
    /// Removes the run's directory when it was never started.
    pub cleanup: Cleanup,
}

/// Holds the run's directory until the container took it over.
#[derive(Debug)]
pub struct Cleanup {
    run_dir: PathBuf,
    lock: File,
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        // Somebody else holds the lock: it runs, and removes its directory itself.
        if rustix::fs::flock(&self.lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok() {
            // What stays is removed by `gc`.
            remove_tree(&self.run_dir).unwrap_or_default();
        }
    }
}

/// Makes the run's directory and writes the specification there.
pub fn prepare(spec: &Spec, program: &Path) -> Result<Prepared, RunError> {
    let (path, cleanup) = write_spec(spec)?;
    let argv = vec![program.into(), "container-init".into(), path.into()];
    Ok(Prepared { argv, env: Vec::new(), cleanup })
}

fn write_spec(spec: &Spec) -> Result<(PathBuf, Cleanup), RunError> {
    let lock = files::create_locked_dir(&spec.run_dir, rustix::fs::FlockOperation::LockShared)?;
    let cleanup = Cleanup { run_dir: spec.run_dir.clone(), lock };
    let path = spec.run_dir.join(SPEC_FILE);
    let text = serde_json::to_vec(spec).map_err(|source| RunError::Spec { path: path.clone(), source })?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let write = |mut file: File| io::Write::write_all(&mut file, &text);
    options.open(&path).and_then(write).map_err(FileError::new("write", &path))?;
    Ok((path, cleanup))
}

/// Marks a run's directory as in use for as long as the file is held.
fn lock_shared(run_dir: &Path) -> Result<File, FileError> {
    let dir = files::open(run_dir)?;
    rustix::fs::flock(&dir, rustix::fs::FlockOperation::LockShared)
        .map_err(|error| FileError::new("lock", run_dir)(error.into()))?;
    Ok(dir)
}

/// Reads a run's specification.
pub fn read_spec(path: &Path) -> Result<Spec, RunError> {
    let bytes = files::read_bounded(path, 16 << 20)?;
    serde_json::from_slice(&bytes).map_err(|source| RunError::Spec { path: path.to_owned(), source })
}

/// Runs a container to its end: standard streams are inherited, signals that reach this process are forwarded.
pub fn run(spec: &Spec, program: &Path) -> Result<ExitStatus, RunError> {
    run_with(spec, program, || {})
}

/// [`run`], calling `started` once the container's outer process exists (for forwarders of ports).
pub fn run_with(spec: &Spec, program: &Path, started: impl FnOnce()) -> Result<ExitStatus, RunError> {
    let prepared = prepare(spec, program)?;
    let signals = process::Signals::take()?;
    let mut argv = prepared.argv.iter();
    let mut command = Command::new(argv.next().map_or(program.as_os_str(), OsString::as_os_str));
    command.args(argv).env_clear();
    let mut child = command.spawn().map_err(|source| RunError::Start { program: program.to_owned(), source })?;
    started();
    process::forward_until_exit(&signals, child.id())?;
    child.wait().map_err(|source| RunError::System { what: "wait for the container", source })
}

/// Becomes the container's outer process: this process's terminal, parent and process id stay what they were.
///
/// Returns only when that did not work.
pub fn exec(spec: &Spec, program: &Path) -> RunError {
    let (path, cleanup) = match write_spec(spec) {
        Ok(done) => done,
        Err(error) => return error,
    };
    let source = Command::new(program).args(["container-init", "--foreground"]).arg(path).env_clear().exec();
    drop(cleanup);
    RunError::Start { program: program.to_owned(), source }
}
