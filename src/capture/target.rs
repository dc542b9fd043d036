//! How this process reaches a file that another process names: directly, or through `/proc/PID/root` when that
//! process lives in another root or other mounts (a container).

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Component, Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};

/// As many symbolic links as Linux follows in one path.
const MOST_LINKS: usize = 40;

/// The path by which this process can open what process `pid` calls `path` (absolute).
///
/// A process that has gone, or that we may not look at, is taken to see what we see. Symbolic links are resolved where
/// the process has another root, for an absolute one would otherwise lead to a file of ours.
pub fn host_path(pid: u32, path: &[u8]) -> PathBuf {
    if is_elsewhere(pid) { below_root(pid, path, true) } else { PathBuf::from(OsStr::from_bytes(path)) }
}

/// Whether process `pid` has another root directory or other mounts than this process.
pub(super) fn is_elsewhere(pid: u32) -> bool {
    let link = |path: String| rustix::fs::readlink(path, Vec::new()).ok();
    let mounts = |who: &str| link(format!("/proc/{who}/ns/mnt"));
    link(format!("/proc/{pid}/root")).is_some_and(|root| root.as_bytes() != b"/")
        || matches!((mounts(&pid.to_string()), mounts("self")), (Some(theirs), Some(ours)) if theirs != ours)
}

/// `path` below the root of process `pid`, with links resolved there; the last one only if `follow`.
pub(super) fn below_root(pid: u32, path: &[u8], follow: bool) -> PathBuf {
    in_root(&PathBuf::from(format!("/proc/{pid}/root")), Path::new(OsStr::from_bytes(path)), follow)
}

/// The root directory of process `pid`, where it is another than ours, held so that its files can be reached when the last
/// process that lives there is gone.
pub fn hold_root(pid: u32) -> Option<OwnedFd> {
    let root = host_path(pid, b"/");
    // Ours, where the process has gone or the target's container was not entered yet.
    root.parent()?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(&root, flags, Mode::empty()).ok()
}

/// The path by which this process reaches a directory that it holds.
pub fn held_path(root: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd()))
}

/// A step that is left to walk: `None` is "one up".
type Step = Option<OsString>;

fn steps(path: &Path) -> impl DoubleEndedIterator<Item = Step> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(Some(name.to_owned())),
        Component::ParentDir => Some(None),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// `path` as a process whose root directory is `root` means it: no link leads out. The last one is followed only if
/// `follow`.
pub fn in_root(root: &Path, path: &Path, follow: bool) -> PathBuf {
    let mut left: VecDeque<Step> = steps(path).collect();
    let mut found = PathBuf::new();
    let mut links = 0;
    while let Some(step) = left.pop_front() {
        let Some(name) = step else {
            found.pop();
            continue;
        };
        let here = root.join(&found).join(&name);
        let text = (follow || !left.is_empty()).then(|| rustix::fs::readlink(&here, Vec::new()).ok()).flatten();
        match text {
            Some(text) if links < MOST_LINKS => {
                links += 1;
                let text = PathBuf::from(OsString::from_vec(text.into_bytes()));
                if text.is_absolute() {
                    found = PathBuf::new();
                }
                for step in steps(&text).rev() {
                    left.push_front(step);
                }
            }
            _ => found.push(name),
        }
    }
    root.join(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_below_the_root_and_never_out_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join("usr/lib")).unwrap();
        symlink("usr/lib", root.join("lib")).unwrap();
        symlink("/lib/b", root.join("usr/lib/a")).unwrap();
        symlink("../../../../etc/passwd", root.join("up")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let follow = |path: &str| in_root(root, Path::new(path), true);
        assert_eq!(follow("/lib/a"), root.join("usr/lib/b"));
        assert_eq!(follow("/up"), root.join("etc/passwd"));
        assert_eq!(follow("/../lib/./x/../y"), root.join("usr/lib/y"));
        assert_eq!(follow("/loop"), root.join("loop"));
        assert_eq!(in_root(root, Path::new("/lib/a"), false), root.join("usr/lib/a"));
    }

    #[test]
    fn our_own_paths_stay_as_they_are() {
        assert_eq!(host_path(std::process::id(), b"/etc/../etc/hosts"), Path::new("/etc/../etc/hosts"));
    }
}
