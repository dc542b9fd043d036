//! A real Docker daemon of this test.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::{Duration, Instant},
};

use super::TestEnv;

/// A Docker daemon of this test, ended with it.
pub(crate) struct Docker {
    daemon: Child,
    /// Where it listens.
    pub(crate) socket: PathBuf,
}

/// Becomes another distribution's root, with the test's own directory at its place.
const ENTER: &str = r#"mkdir -p "$1/.old" "$1/share"
    mount --rbind "$1" "$1"; mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"; mount --rbind /sys "$1/sys"
    mount -t tmpfs tmpfs "$1/run"; mount --bind "$2" "$1/share"
    mount -t tmpfs tmpfs "$1/tmp"; mkdir -p "$1$4"; mount --bind "$4" "$1$4"
    cd "$1"; pivot_root . .old; cd /; umount -l /.old"#;

impl Docker {
    /// Starts `dockerd` in a mount namespace; `root` is another distribution's root, or `None` for this machine's own.
    /// Its containers have no network, or the machine's.
    pub(crate) fn start(env: &TestEnv, root: Option<&Path>) -> Option<Self> {
        Self::start_in(env, root, &["--mount"], "--iptables=false --ip6tables=false --bridge=none")
    }

    /// The same in a network of its own, with bridges and published ports, which are reached by [`Docker::within`].
    pub(crate) fn start_with_network(env: &TestEnv, root: Option<&Path>) -> Option<Self> {
        Self::start_in(env, root, &["--mount", "--net"], "")
    }

    fn start_in(env: &TestEnv, root: Option<&Path>, namespaces: &[&str], options: &str) -> Option<Self> {
        let share = env.path().join(if root.is_some() { "docker-current" } else { "docker-here" });
        std::fs::create_dir_all(&share).unwrap();
        let here = r"mkdir -p /share 2>/dev/null || true; mount -t tmpfs tmpfs /run";
        let daemon = format!(
            "exec dockerd {options} --data-root \"$3/data\" --exec-root /run/docker-exec --pidfile /run/docker.pid \
             -H \"unix://$3/docker.sock\""
        );
        let (enter, inside) = match root {
            Some(_) => (ENTER, PathBuf::from("/share")),
            None => (here, share.clone()),
        };
        let network = if namespaces.contains(&"--net") { "ip link set lo up" } else { "" };
        let script = format!("set -e\n{network}\n{enter}\n{daemon}");
        let log = std::fs::File::create(share.join("log")).unwrap();
        let mut daemon = Command::new("unshare")
            .args(namespaces)
            .args(["--propagation", "private", "bash", "-c", &script, "-"])
            .arg(root.unwrap_or(Path::new("/")))
            .arg(&share)
            .arg(inside)
            .arg(env.path())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let socket = share.join("docker.sock");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let info =
                Command::new("docker").arg("-H").arg(format!("unix://{}", socket.display())).arg("info").output();
            if info.is_ok_and(|output| output.status.success()) {
                return Some(Self { daemon, socket });
            }
            if daemon.try_wait().unwrap().is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(share.join("log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(3).collect();
                daemon.kill().unwrap_or_default();
                daemon.wait().unwrap();
                super::skipped(&format!("the Docker daemon does not start: {tail:?}"));
                return None;
            }
            std::thread::yield_now();
        }
    }

    /// Puts a `docker` that asks this daemon into `dir`.
    pub(crate) fn put_client(&self, dir: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::create_dir_all(dir).unwrap();
        let script = format!("#!/bin/sh\nexec /usr/bin/docker -H unix://{} \"$@\"\n", self.socket.display());
        std::fs::write(dir.join("docker"), script).unwrap();
        std::fs::set_permissions(dir.join("docker"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Does something in the daemon's network: on a thread of its own, which stays there.
    pub(crate) fn within<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
        use std::os::fd::AsFd as _;
        let network = nbpack::files::open(Path::new(&format!("/proc/{}/ns/net", self.daemon.id()))).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                action()
            });
            thread.join().unwrap()
        })
    }

    /// A command in the daemon's own root and network.
    pub(crate) fn beside(&self, script: &str) -> Output {
        Command::new("nsenter")
            .args(["--mount", "--net", "--target", &self.daemon.id().to_string(), "bash", "-ec", script])
            .env("DOCKER_HOST", "unix:///share/docker.sock")
            .output()
            .unwrap()
    }

    /// Runs the client against it.
    pub(crate) fn docker(&self, args: &[&str]) -> Output {
        Command::new("docker").arg("-H").arg(format!("unix://{}", self.socket.display())).args(args).output().unwrap()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        Command::new("kill").arg(self.daemon.id().to_string()).status().unwrap();
        self.daemon.wait().unwrap();
    }
}
