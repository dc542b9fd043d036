//! Single files of a restored bundle, without running it.

use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::model::Restored;
use crate::{bundle::config, store::Store};

/// Where on this machine the file lies that has this path in the image; `None` when no layer has it as a regular file.
///
/// Links are not followed: what a bundle calls a file cannot be a file of this machine.
pub fn file_path(restored: &Restored, store: &Store, path_in_image: &Path) -> Option<PathBuf> {
    let relative = path_in_image.strip_prefix("/").unwrap_or(path_in_image);
    restored.layers.iter().rev().map(|layer| store.layer_path(layer).join("root")).find_map(|root| {
        let dir = rustix::fs::open(&root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        is_file_below(&dir, relative).then(|| root.join(relative))
    })
}

fn is_file_below(dir: &rustix::fd::OwnedFd, relative: &Path) -> bool {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let file = match rustix::fs::openat2(dir, relative, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), how) {
        Ok(file) => file,
        // Not allowed, or older than Linux 5.6: one component after the other.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => match walk(dir, relative) {
            Some(file) => file,
            None => return false,
        },
        Err(_) => return false,
    };
    rustix::fs::fstat(&file).is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file())
}

fn walk(dir: &rustix::fd::OwnedFd, relative: &Path) -> Option<rustix::fd::OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut here = dir.try_clone().ok()?;
    for component in relative.components() {
        let std::path::Component::Normal(name) = component else { return None };
        here = rustix::fs::openat(&here, name, flags, Mode::empty()).ok()?;
    }
    Some(here)
}

/// Where the notebook lies: as it was in its file, else the session as it ran.
pub fn notebook_path(restored: &Restored, store: &Store) -> Option<PathBuf> {
    let own = restored.run.notebook.as_deref().and_then(|path| file_path(restored, store, path));
    own.or_else(|| file_path(restored, store, Path::new(config::SESSION_NOTEBOOK)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::CWD;

    use super::*;

    #[test]
    fn a_link_in_a_layer_does_not_lead_out_of_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/a")).unwrap();
        fs::write(dir.path().join("root/a/f"), "x").unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("root/up")).unwrap();
        std::os::unix::fs::symlink("../secret", dir.path().join("root/s")).unwrap();
        let root = rustix::fs::openat(CWD, dir.path().join("root"), OFlags::PATH, Mode::empty()).unwrap();
        for (path, there) in [("a/f", true), ("a", false), ("up/secret", false), ("s", false), ("../secret", false)] {
            assert_eq!(is_file_below(&root, Path::new(path)), there, "{path}");
            let walked = walk(&root, Path::new(path)).is_some_and(|file| {
                rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&file).unwrap().st_mode).is_file()
            });
            assert_eq!(walked, there, "{path}");
        }
    }
}
