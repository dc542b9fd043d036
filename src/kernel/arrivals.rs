//! The directory in which the kernel's sockets appear: who waits for one is told of each new name in it.

use std::{os::fd::OwnedFd, path::Path, sync::Arc, time::Duration};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::{
    io::unix::AsyncFd,
    sync::{Notify, watch},
};

use super::sys;

/// Without word from Linux it is looked so often: a kernel is there after a second or so.
const LOOK: Duration = Duration::from_millis(3);
/// With it, for the directory may be one of a file system that says nothing.
const RARELY: Duration = Duration::from_millis(250);

/// Tells of new names, where Linux tells us.
pub(super) struct Arrivals {
    notify: Arc<Notify>,
    tells: bool,
}

impl Arrivals {
    /// Watches a directory until `ended` becomes true. Needs the runtime.
    pub(super) fn watch(dir: &Path, ended: watch::Receiver<bool>) -> Self {
        let notify = Arc::new(Notify::new());
        let watching = open(dir).and_then(|fd| sys::hear(fd).ok());
        let tells = watching.is_some();
        if let Some(fd) = watching {
            tokio::spawn(tell(fd, Arc::clone(&notify), ended));
        }
        Self { notify, tells }
    }

    /// Becomes ready with the next name; to be made before it is looked.
    pub(super) fn next(&self) -> tokio::sync::futures::Notified<'_> {
        self.notify.notified()
    }

    /// How long to wait for a name that is not there before it is looked all the same.
    pub(super) fn pause(&self) -> Duration {
        if self.tells { RARELY } else { LOOK }
    }
}

/// An account has 128 of these; without one it is looked.
fn open(dir: &Path) -> Option<OwnedFd> {
    let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
    inotify::add_watch(&fd, dir, WatchFlags::CREATE | WatchFlags::MOVED_TO).ok()?;
    Some(fd)
}

async fn tell(fd: AsyncFd<OwnedFd>, notify: Arc<Notify>, mut ended: watch::Receiver<bool>) {
    let mut buffer = [0; 4096];
    loop {
        let ready = tokio::select! {
            _ = ended.wait_for(|ended| *ended) => return,
            ready = fd.readable() => ready,
        };
        let Ok(mut ready) = ready else { return };
        // What it says does not matter: who waits looks.
        rustix::io::read(fd.get_ref(), &mut buffer).map(drop).unwrap_or_default();
        ready.clear_ready();
        notify.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_name_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (_ended, watch) = watch::channel(false);
        let arrivals = Arrivals::watch(dir.path(), watch);
        assert!(arrivals.tells && arrivals.pause() == RARELY);
        for name in ["one", "two"] {
            let next = arrivals.next();
            std::fs::write(dir.path().join(name), "").unwrap();
            tokio::time::timeout(Duration::from_secs(10), next).await.unwrap();
        }
        let (_ended, watch) = watch::channel(false);
        assert_eq!(Arrivals::watch(&dir.path().join("nowhere"), watch).pause(), LOOK);
    }
}
