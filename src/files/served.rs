//! File systems that a program or another machine serves, and whether they answer: a call into one that does not may never
//! come back, so nothing that others wait for may make it.

use std::{
    ffi::OsStr,
    fs::{File, Metadata},
    io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// One that takes longer for its own size has gone.
const PATIENCE: Duration = Duration::from_secs(1);
/// The list of mounts is no longer.
const LONGEST: u64 = 16 << 20;
/// Types that lie on other machines; those of FUSE begin with `fuse`.
const REMOTE: &[&str] =
    &["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre", "afs", "beegfs", "gpfs", "orangefs", "davfs"];

/// `stat`, where the file system answers; else the error is [`io::ErrorKind::TimedOut`].
pub fn metadata(path: &Path) -> io::Result<Metadata> {
    if answers(path) { std::fs::metadata(path) } else { Err(io::ErrorKind::TimedOut.into()) }
}

/// `lstat`, where the file system answers; else the error is [`io::ErrorKind::TimedOut`].
pub fn symlink_metadata(path: &Path) -> io::Result<Metadata> {
    if answers(path) { std::fs::symlink_metadata(path) } else { Err(io::ErrorKind::TimedOut.into()) }
}

/// Whether the file system of an absolute path answers. For one of this machine's disks that is taken for granted, at
/// no cost; another one is asked, and given a second. A link on the way into another file system is not looked through.
pub fn answers(path: &Path) -> bool {
    let mount = lock(&TABLE).of(path);
    mount.is_none_or(|mount| mount.asked())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(|| Mutex::new(Table::default()));

/// The mounts of this process, as far as one of them is served.
#[derive(Default)]
struct Table {
    list: Option<File>,
    /// Mount points, and how they are served. Empty when none is.
    mounts: Vec<(PathBuf, Option<Arc<Served>>)>,
}

impl Table {
    fn of(&mut self, path: &Path) -> Option<Arc<Served>> {
        if self.has_changed() {
            self.read();
        }
        let mounts = self.mounts.iter().filter(|(point, _)| path.starts_with(point));
        // Of two on one point the later one counts.
        mounts.max_by_key(|(point, _)| point.as_os_str().len())?.1.clone()
    }

    /// Linux reports each change once (`proc_pid_mountinfo(5)`).
    fn has_changed(&mut self) -> bool {
        let Some(list) = &self.list else {
            // Without `/proc` every path is taken for one of this machine.
            self.list = super::open(Path::new("/proc/self/mountinfo")).ok();
            return self.list.is_some();
        };
        let mut source = [PollFd::new(list, PollFlags::PRI)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut source, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    fn read(&mut self) {
        let text = super::read_bounded(Path::new("/proc/self/mountinfo"), LONGEST).unwrap_or_default();
        let before = std::mem::take(&mut self.mounts);
        let known = |point: &Path| before.iter().find(|(old, _)| old == point).and_then(|(_, served)| served.clone());
        self.mounts = text
            .split(|byte| *byte == b'\n')
            .filter_map(mount)
            .map(|(point, served)| {
                let served = served.then(|| known(&point).unwrap_or_else(|| Arc::new(Served::new(point.clone()))));
                (point, served)
            })
            .collect();
        if self.mounts.iter().all(|(_, served)| served.is_none()) {
            self.mounts.clear();
        }
    }
}

/// Mount point of a line, and whether it is served.
fn mount(line: &[u8]) -> Option<(PathBuf, bool)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let point = unescape(fields.nth(4)?);
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    let kind = std::str::from_utf8(kind).ok()?;
    Some((PathBuf::from(std::ffi::OsString::from_vec(point)), kind.starts_with("fuse") || REMOTE.contains(&kind)))
}

/// Blanks and backslashes are three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.first_chunk::<3>().filter(|_| *first == b'\\');
        match digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

/// One served file system.
struct Served {
    point: PathBuf,
    /// Since when it has not answered, while it is asked.
    waits: Mutex<Option<Instant>>,
    answered: Condvar,
}

impl Served {
    fn new(point: PathBuf) -> Self {
        Self { point, waits: Mutex::new(None), answered: Condvar::new() }
    }

    /// Asks, unless somebody has and waits for the answer still; whether it came in time.
    fn asked(self: Arc<Self>) -> bool {
        let mut waits = lock(&self.waits);
        let since = match *waits {
            Some(since) => since,
            None => {
                let since = Instant::now();
                let asker = Arc::clone(&self);
                let ask = move || {
                    // Whatever it says, it speaks.
                    rustix::fs::statfs(OsStr::from_bytes(asker.point.as_os_str().as_bytes()))
                        .map(drop)
                        .unwrap_or_default();
                    *lock(&asker.waits) = None;
                    asker.answered.notify_all();
                };
                // Without a thread there is nobody to find it out.
                if std::thread::Builder::new().name("nbpack-ask".into()).spawn(ask).is_err() {
                    return true;
                }
                *waits.insert(since)
            }
        };
        while waits.is_some() {
            let left = PATIENCE.saturating_sub(since.elapsed());
            if left.is_zero() {
                return false;
            }
            waits = self.answered.wait_timeout(waits, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_list_are_read() {
        let line = b"36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 - fuse.sshfs me@there rw";
        assert_eq!(mount(line), Some((PathBuf::from("/mnt/a b"), true)));
        let line = b"36 35 98:0 / /home rw,noatime - ext4 /dev/root rw,errors=continue";
        assert_eq!(mount(line), Some((PathBuf::from("/home"), false)));
        assert_eq!(mount(b""), None);
    }

    #[test]
    fn a_path_belongs_to_the_innermost_mount() {
        let served = |point: &str| (PathBuf::from(point), Some(Arc::new(Served::new(point.into()))));
        let list = Some(super::super::open(Path::new("/proc/self/mountinfo")).unwrap());
        let own = |point: &str| (PathBuf::from(point), None);
        let mut table =
            Table { list, mounts: vec![own("/"), served("/mnt"), own("/mnt/disk"), served("/mnt/disk/far")] };
        let mut of = |path: &str| table.of(Path::new(path)).map(|served| served.point.to_str().unwrap().to_owned());
        assert_eq!(of("/home/x"), None);
        assert_eq!(of("/mntx"), None);
        assert_eq!(of("/mnt/x").as_deref(), Some("/mnt"));
        assert_eq!(of("/mnt/disk/x"), None);
        assert_eq!(of("/mnt/disk/far").as_deref(), Some("/mnt/disk/far"));
        assert!(answers(Path::new("/")));
    }
}
