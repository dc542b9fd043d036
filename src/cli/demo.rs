//! `nbpack demo`: the whole way on real data, in a scratch environment of its own.

use std::{
    ffi::OsStr,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::Context as _;

use super::{Context, failure::Failure};
use crate::{container, files};

/// What the demonstration installs into its scratch environment.
const DISTRIBUTIONS: [&str; 6] = ["ipykernel", "nbclient", "pandas", "pyarrow", "scikit-learn", "matplotlib"];

/// The demonstration's files, by name.
const FILES: [(&str, &str); 4] = [
    ("analysis.ipynb", include_str!("../../fixtures/demo/analysis.ipynb")),
    ("features.py", include_str!("../../fixtures/demo/features.py")),
    ("make_data.py", include_str!("../../fixtures/demo/make_data.py")),
    ("drive.py", include_str!("../../fixtures/demo/drive.py")),
];

/// Show the whole way: record a notebook, export, restore in a bare root, replay, judge
#[derive(clap::Args, Debug)]
#[command(after_help = "Makes a virtual environment (pandas, pyarrow, scikit-learn, matplotlib), records a notebook
through a real Jupyter client, exports the session, and replays it in a root that holds nothing
but this program and the bundle, as an unprivileged user without network.

Examples:
  nbpack demo
  nbpack demo --dir /tmp/look --fresh

Exit code: that of `nbpack replay`: 0 when every cell agrees.")]
pub(super) struct Args {
    /// Where everything is made [default: ~/.cache/nbpack/demo; for root /var/tmp/nbpack-demo].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The Python that makes the environment; needs `venv`.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: PathBuf,
    /// Remove what an earlier demonstration left first.
    #[arg(long)]
    fresh: bool,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let demo = Demo::new(&args, context)?;
    check_python(&args.python)?;
    demo.step("making a Python environment with pandas, pyarrow, scikit-learn, matplotlib", || {
        demo.environment(&args.python)
    })?;
    demo.step("writing the notebook and its data", || demo.data())?;
    demo.step("nbpack install", || {
        Demo::quietly(demo.nbpack().args(["install", "--kernel", "python3", "--prefix"]).arg(demo.path("venv")))
    })?;
    demo.step("recording: a Jupyter client runs the notebook with the nbpack kernel", || {
        Demo::quietly(demo.python().arg("drive.py").arg("analysis.ipynb").arg("python3-nbpack"))
    })?;
    demo.step("nbpack export analysis.ipynb", || {
        Demo::quietly(demo.nbpack().args(["export", "--force", "analysis.ipynb", "-o"]).arg(demo.bundle()))
    })?;
    demo.say("nbpack replay, in a root with nothing but nbpack and the bundle, as another user, no network:\n");
    let code = demo.colleague()?;
    demo.say(&format!(
        "\nThe bundle:    {}\nThe notebook:  {}\nLook further:  XDG_DATA_HOME={} nbpack show {}\n",
        demo.bundle().display(),
        demo.path("work/analysis.ipynb").display(),
        demo.path("data").display(),
        demo.bundle().display()
    ));
    Ok(ExitCode::from(code))
}

struct Demo {
    dir: PathBuf,
    program: PathBuf,
    context: Context,
    started: Instant,
}

impl Demo {
    fn new(args: &Args, context: &Context) -> anyhow::Result<Self> {
        let root = rustix::process::geteuid().is_root();
        let dir = match &args.dir {
            Some(dir) => context.cwd.join(dir),
            // The stand-in for another user must be able to look into it, which root's home forbids.
            None if root => PathBuf::from("/var/tmp/nbpack-demo"),
            None => context
                .var("XDG_CACHE_HOME")
                .map_or_else(|| context.home.join(".cache"), PathBuf::from)
                .join("nbpack/demo"),
        };
        let demo = Self {
            program: std::env::current_exe().context("cannot find this program's own file")?,
            started: Instant::now(),
            context: context.clone(),
            dir,
        };
        let parts: &[&str] = if args.fresh { &["venv", "work", "data", "colleague"] } else { &["work", "colleague"] };
        for part in parts {
            let path = demo.path(part);
            if path.exists() {
                std::fs::remove_dir_all(&path).map_err(files::FileError::new("remove", &path))?;
            }
        }
        files::create_dir(&demo.path("work"))?;
        Ok(demo)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn bundle(&self) -> PathBuf {
        self.path("work/analysis.nbpack")
    }

    fn command(&self, program: &OsStr) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path("work")).env("XDG_DATA_HOME", self.path("data")).stdin(Stdio::null());
        command
    }

    fn nbpack(&self) -> Command {
        self.command(self.program.as_os_str())
    }

    fn python(&self) -> Command {
        self.command(self.path("venv/bin/python").as_os_str())
    }

    fn say(&self, text: &str) {
        if !self.context.quiet {
            // A closed stdout is noticed by the last line of `run`.
            std::io::stdout().lock().write_all(format!("{text}\n").as_bytes()).unwrap_or_default();
        }
    }

    fn step(&self, what: &str, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.say(&format!("[{:>4} s] {what}", self.started.elapsed().as_secs()));
        work().with_context(|| format!("the demonstration stopped at: {what}"))
    }

    /// Runs a command to its end; its output is shown only when it fails.
    fn quietly(command: &mut Command) -> anyhow::Result<()> {
        let output = command.output().with_context(|| format!("cannot start `{}`", command.get_program().display()))?;
        if output.status.success() {
            return Ok(());
        }
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        let tail: Vec<&str> = text.lines().rev().take(25).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        Err(Failure::unable(format!(
            "`{}` ended with {}:\n{}",
            command.get_program().display(),
            output.status,
            tail.join("\n")
        ))
        .into())
    }

    fn environment(&self, python: &Path) -> anyhow::Result<()> {
        let done = self.path("venv/.nbpack-demo-complete");
        if done.exists() {
            return Ok(());
        }
        Self::quietly(self.command(python.as_os_str()).args(["-m", "venv", "--clear"]).arg(self.path("venv")))?;
        Self::quietly(
            self.python().args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(DISTRIBUTIONS),
        )?;
        Ok(files::publish_bytes(&done, 0o644, b"")?)
    }

    fn data(&self) -> anyhow::Result<()> {
        for (name, text) in FILES {
            files::publish_bytes(&self.path("work").join(name), 0o644, text.as_bytes())?;
        }
        Self::quietly(self.python().args(["make_data.py", "data"]))
    }

    /// Another machine: a root with the program and the bundle in it and nothing else.
    fn colleague(&self) -> anyhow::Result<u8> {
        let root = self.path("colleague");
        let home = root.join("home/colleague");
        files::create_dir(&home)?;
        for (from, to) in [(self.program.clone(), "nbpack"), (self.bundle(), "analysis.nbpack")] {
            let to = root.join(to);
            std::fs::copy(&from, &to).map_err(files::FileError::new("copy", &from))?;
        }
        let run_dir = self.path("colleague-run");
        files::create_dir(&run_dir)?;
        let unprivileged = rustix::process::geteuid().is_root().then_some(65534_u32);
        if let Some(id) = unprivileged {
            for path in [&root, &root.join("home"), &home, &run_dir] {
                std::os::unix::fs::chown(path, Some(id), Some(id)).map_err(files::FileError::new("give away", path))?;
            }
        }
        let spec = container::spec::Spec::machine(
            root.clone(),
            run_dir,
            1000,
            [("HOME", "/home/colleague"), ("PATH", "/"), ("LANG", "C.UTF-8")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ["/nbpack", "replay", "/analysis.nbpack"].map(str::to_owned).to_vec(),
        );
        let prepared = container::prepare(&spec, &root.join("nbpack"))?;
        let (program, arguments) = prepared.argv.split_first().context("the container has no command")?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(prepared.env.iter().cloned()).current_dir("/").stdin(Stdio::null());
        if let Some(id) = unprivileged {
            // It is to be read by that user, and nobody else.
            let spec = self.path("colleague-run").join(container::SPEC_FILE);
            std::os::unix::fs::chown(&spec, Some(id), Some(id)).map_err(files::FileError::new("give away", &spec))?;
            command.uid(id).gid(id);
        }
        let status = command.status().context("cannot start the other machine's root")?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2))
    }
}

fn check_python(python: &Path) -> anyhow::Result<()> {
    let output = Command::new(python).args(["-c", "import venv, ensurepip"]).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(_) => Err(Failure::unable(format!("`{}` has no `venv`: python3-venv is missing", python.display()))
            .hint("on Debian and Ubuntu: apt-get install python3-venv")
            .into()),
        Err(_) => Err(Failure::unable(format!("`{}` is not there: Python 3 is missing", python.display()))
            .hint("on Debian and Ubuntu: apt-get install python3-venv; or name another one with --python")
            .into()),
    }
}
