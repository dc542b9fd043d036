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

impl Docker {
    /// Starts `dockerd` in a mount namespace; `root` is another distribution's root, or `None` for this machine's own.
    pub(crate) fn start(env: &TestEnv, root: Option<&Path>) -> Option<Self> {
        let share = env.path().join(if root.is_some() { "docker-current" } else { "docker-here" });
        std::fs::create_dir_all(&share).unwrap();
        let enter = r#"mkdir -p "$1/.old" "$1/share"
            mount --rbind "$1" "$1"; mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"; mount --rbind /sys "$1/sys"
            mount -t tmpfs tmpfs "$1/run"; mount --bind "$2" "$1/share"
            cd "$1"; pivot_root . .old; cd /; umount -l /.old"#;
        let here = r"mkdir -p /share 2>/dev/null || true; mount -t tmpfs tmpfs /run";
        let daemon = "exec dockerd --iptables=false --ip6tables=false --bridge=none --data-root \"$3/data\" \
                      --exec-root /run/docker-exec --pidfile /run/docker.pid -H \"unix://$3/docker.sock\"";
        let (script, inside) = match root {
            Some(_) => (format!("set -e\n{enter}\n{daemon}"), PathBuf::from("/share")),
            None => (format!("set -e\n{here}\n{daemon}"), share.clone()),
        };
        let log = std::fs::File::create(share.join("log")).unwrap();
        let mut daemon = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "bash", "-c", &script, "-"])
            .arg(root.unwrap_or(Path::new("/")))
            .arg(&share)
            .arg(inside)
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
