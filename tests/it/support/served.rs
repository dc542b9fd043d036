//! A file system that a program serves, and that stops to answer when it is told to: what a dead network mount is like.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};

use super::{TestEnv, skipped};

/// `front` shows what lies in `behind`, where one file `data` is.
pub(crate) struct Served {
    server: Child,
    front: PathBuf,
}

impl Served {
    pub(crate) fn mount(env: &TestEnv) -> Option<Self> {
        if !Path::new("/usr/bin/bindfs").exists() || !Path::new("/dev/fuse").exists() {
            skipped("no bindfs, or no /dev/fuse");
            return None;
        }
        let work = std::fs::canonicalize(env.work()).unwrap();
        let (behind, front) = (work.join("behind"), work.join("front"));
        for dir in [&behind, &front] {
            std::fs::create_dir(dir).unwrap();
        }
        std::fs::write(behind.join("data"), "served").unwrap();
        let server = Command::new("/usr/bin/bindfs").arg("-f").args([&behind, &front]).spawn().unwrap();
        let served = Self { server, front };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !served.front.join("data").exists() {
            assert!(Instant::now() < deadline, "bindfs does not serve");
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Some(served)
    }

    /// Where it is mounted.
    pub(crate) fn front(&self) -> &Path {
        &self.front
    }

    /// From now on nobody is answered.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// From now on everybody is answered again.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.server), signal).unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.go_on();
        Command::new("umount").arg(&self.front).status().unwrap();
        self.server.wait().unwrap();
    }
}
