//! A private home for every test, the program under test, and the Python environment with Jupyter in it.

pub(crate) mod console;
pub(crate) mod docker;
pub(crate) mod forward;
pub(crate) mod place;
pub(crate) mod registry;
mod served;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

pub(crate) use served::Served;

/// The built program.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_nbpack"))
}

/// The Python of the test environment: `$NBPACK_TEST_PYTHON`, prepared by README's test command.
///
/// Without it a test prints `SKIPPED: …` and CI fails.
pub(crate) fn python() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests read their one variable here")]
    let python = std::env::var("NBPACK_TEST_PYTHON").ok().map(PathBuf::from).filter(|path| path.exists());
    if python.is_none() {
        skipped("no Python with Jupyter (set NBPACK_TEST_PYTHON, or run the test command of README)");
    }
    python
}

/// Says that a test did not run. `NBPACK_TEST_NO_SKIP` turns it into a failure.
pub(crate) fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
    assert!(std::env::var_os("NBPACK_TEST_NO_SKIP").is_none(), "skipped where nothing may be: {why}");
}

/// A directory with a home, a data home and a runtime directory of its own, removed at the end.
pub(crate) struct TestEnv {
    dir: tempfile::TempDir,
}

impl TestEnv {
    /// A fresh one.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("nbp").tempdir_in("/tmp").unwrap();
        for name in ["home", "data", "run", "work"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where notebooks and data of the test lie.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// A command with a cleared environment and the private directories.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", self.path().join("home"))
            .env("XDG_DATA_HOME", self.path().join("data"))
            .env("XDG_RUNTIME_DIR", self.path().join("run"))
            .env("LANG", "C.UTF-8")
            // Before a recording kernel that somebody has installed into the test environment itself.
            .env("JUPYTER_PREFER_ENV_PATH", "0")
            .current_dir(self.work());
        command
    }

    /// Runs the program under test to its end.
    pub(crate) fn nbpack(&self, args: &[&str]) -> Output {
        self.command(program()).args(args).output().unwrap()
    }
}

/// The kernelspec that `nbpack install` writes for `python3`.
pub(crate) const KERNEL: &str = "python3-nbpack";

impl TestEnv {
    /// Puts the nbpack kernel into this environment's own Jupyter directory.
    pub(crate) fn install_kernel(&self, python: &Path) {
        let bin = python.parent().unwrap();
        let output = self
            .command(program())
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()))
            .env("VIRTUAL_ENV", bin.parent().unwrap())
            .args(["install", "--kernel", "python3", "--user"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs `cells` as `work/NAME` through a real Jupyter client with the nbpack kernel; gives the notebook.
    pub(crate) fn record(&self, python: &Path, name: &str, cells: &[&str]) -> PathBuf {
        self.record_with(python, name, KERNEL, cells)
    }

    /// The same with another kernel.
    pub(crate) fn record_with(&self, python: &Path, name: &str, kernel: &str, cells: &[&str]) -> PathBuf {
        let notebook = self.work().join(name);
        let output = self
            .command(python)
            // A kernel of the same name that somebody installed into that environment is not meant.
            .env("JUPYTER_PREFER_ENV_PATH", "0")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/record.py"))
            .arg(&notebook)
            .arg(kernel)
            .args(cells)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        notebook
    }

    /// An environment of the notebook's own in `work/venv`, with some of the test environment's distributions, and the
    /// recording kernel for it: one that can be taken away after the export.
    pub(crate) fn small_environment(&self, python: &Path, distributions: &[&str]) -> PathBuf {
        let venv = self.work().join("venv");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/small_venv.py");
        let made = self.command(python).arg(script).arg(&venv).args(distributions).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        self.install_kernel(&venv.join("bin/python"));
        venv
    }

    /// Runs the program under test and expects success; gives what it printed on stdout.
    pub(crate) fn nbpack_ok(&self, args: &[&str]) -> String {
        let output = self.nbpack(args);
        assert!(
            output.status.success(),
            "nbpack {args:?} ended with {}:\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A root of another distribution with its essential packages and nothing else, prepared by README's test command.
pub(crate) fn small_root(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-roots").join(name);
    if !root.join("bin/sh").exists() {
        skipped(&format!("no small root of {name} (target/test-roots/{name}; README's test command makes it)"));
        return None;
    }
    Some(root)
}

/// The root of another distribution (Debian trixie with Docker), prepared by README's test command; needs root.
pub(crate) fn other_root() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-roots/trixie");
    if !rustix::process::geteuid().is_root() {
        skipped("not root: another distribution's root cannot be entered");
        return None;
    }
    if !root.join("usr/sbin/dockerd").exists() {
        skipped("no root of another distribution (target/test-roots/trixie; README's test command makes it)");
        return None;
    }
    Some(root)
}
