//! A place to run bare containers from, as root and as a plain user.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    os::unix::{
        fs::{PermissionsExt as _, chown, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use nbpack::container::spec::{Bind, Spec};

use super::{TestEnv, program, skipped};

/// The account that plays the plain user where the tests run as root.
pub(crate) const NOBODY: u32 = 65534;

/// A place to run containers from, as this user or as `nobody`.
pub(crate) struct Place {
    pub(crate) env: TestEnv,
    pub(crate) user: Option<u32>,
}

/// As this user, and where that is root as a plain one too. Empty, and said so, where there are no user namespaces.
pub(crate) fn places() -> Vec<Place> {
    let works = Command::new("unshare").args(["-U", "true"]).output().is_ok_and(|output| output.status.success());
    if !works {
        skipped("no user namespaces");
        return Vec::new();
    }
    let mut users = vec![None];
    if rustix::process::geteuid().is_root() {
        users.push(Some(NOBODY));
    }
    users.into_iter().map(Place::new).collect()
}

impl Place {
    fn new(user: Option<u32>) -> Self {
        let place = Self { env: TestEnv::new(), user };
        std::fs::set_permissions(place.env.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::copy(program(), place.path("nbpack")).unwrap();
        for name in ["home", "data", "run", "work"] {
            place.own(&place.path(name));
        }
        // A root of links into the host's /usr, which is shown read-only.
        let layer = place.directory("layer");
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), layer.join(name)).unwrap();
        }
        for name in ["usr", "etc", "tmp", "home/ann"] {
            place.directory(&format!("layer/{name}"));
        }
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.env.path().join(name)
    }

    pub(crate) fn own(&self, path: &Path) {
        if let Some(user) = self.user {
            chown(path, Some(user), Some(user)).unwrap();
        }
    }

    /// A directory of the user's, its parents too.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let mut path = self.env.path().to_owned();
        for part in Path::new(name) {
            path.push(part);
            if !path.exists() {
                std::fs::create_dir(&path).unwrap();
                self.own(&path);
            }
        }
        path
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        self.directory(Path::new(name).parent().unwrap().to_str().unwrap());
        std::fs::write(&path, text).unwrap();
        self.own(&path);
        path
    }

    pub(crate) fn spec(&self, script: &str) -> Spec {
        Spec {
            layers: vec![self.path("layer")],
            run_dir: self.path("data/run-1"),
            keep_upper: false,
            uid: 1000,
            gid: 1000,
            hostname: "box".into(),
            env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
            cwd: "/home/ann/work".into(),
            argv: ["/bin/sh", "-c", script].map(String::from).to_vec(),
            binds: vec![Bind { host: "/usr".into(), target: "/usr".into(), read_only: true }],
            network: false,
            exact_roots: vec![],
            movable: vec![],
            first_pid: None,
            inexact: false,
            machine: false,
        }
    }

    /// `program args…` as the place's user, with an empty environment.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env_clear().current_dir("/").stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// The words that run `spec`.
    pub(crate) fn container_words(&self, spec: &Spec) -> [String; 3] {
        let dir = self.directory(spec.run_dir.strip_prefix(self.env.path()).unwrap().to_str().unwrap());
        let file = dir.join("spec.json");
        std::fs::write(&file, serde_json::to_vec(spec).unwrap()).unwrap();
        self.own(&file);
        [self.path("nbpack"), "container-init".into(), file].map(|word| word.to_str().unwrap().to_owned())
    }

    /// The command that runs `spec`, below `wrapper` when that is not empty.
    pub(crate) fn container(&self, spec: &Spec, wrapper: &[&str]) -> Command {
        let words = self.container_words(spec);
        let words: Vec<&str> = wrapper.iter().copied().chain(words.iter().map(String::as_str)).collect();
        self.command(words[0], &words[1..])
    }

    /// A named pipe of the user's.
    pub(crate) fn fifo(&self, name: &str) {
        let path = self.path(name);
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        self.own(&path);
    }

    pub(crate) fn run(&self, spec: &Spec) -> Output {
        self.run_below(spec, &[])
    }

    pub(crate) fn run_below(&self, spec: &Spec, wrapper: &[&str]) -> Output {
        let output = self.container(spec, wrapper).output().unwrap();
        assert!(spec.keep_upper || !spec.run_dir.exists(), "the run's directory stayed");
        output
    }

    pub(crate) fn start(&self, spec: &Spec) -> (Child, BufReader<std::process::ChildStdout>) {
        let mut child = self.container(spec, &[]).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        (child, out)
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
    text(&output.stdout)
}
