//! Short-lived private directories for sockets and connection files, in places that programs share.
//!
//! A program that is killed leaves its own behind: each is locked while it is in use, so that a collector can tell.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::FlockOperation;

use crate::files::{self, FileError};

/// A socket's path has 107 bytes at most: longer directories are no use.
const LONGEST: usize = 60;
/// Where else one can be made.
const SHARED: [&str; 2] = ["/tmp", "/var/tmp"];

/// A directory of this process, mode 0700, with a short path; removed with it.
#[derive(Debug)]
pub struct SocketDir {
    dir: tempfile::TempDir,
    /// Held for as long as the directory is in use; `None` on a file system without locks.
    _lock: Option<fs::File>,
}

impl SocketDir {
    /// Makes one in `preferred` where that is short and can be written, else in `/tmp` or `/var/tmp`.
    pub fn new(preferred: &Path) -> Result<Self, FileError> {
        let short = preferred.as_os_str().len() <= LONGEST;
        let places = short.then_some(preferred).into_iter().chain(SHARED.map(Path::new));
        let mut first = None;
        for place in places {
            match tempfile::Builder::new().prefix(&prefix()).tempdir_in(place) {
                Ok(dir) => {
                    let lock = files::lock_dir(dir.path(), FlockOperation::NonBlockingLockShared).ok().flatten();
                    return Ok(Self { dir, _lock: lock });
                }
                Err(error) => drop(first.get_or_insert((place, error))),
            }
        }
        let (place, error) = first.unwrap_or_else(|| (preferred, io::ErrorKind::NotFound.into()));
        Err(FileError::new("create a directory in", place)(error))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn prefix() -> String {
    format!("nbpack-{}-", rustix::process::getuid().as_raw())
}

/// The directories that programs left which were killed, in `preferred` and in the shared places. With `remove` they are
/// removed; what cannot be is not named.
pub fn abandoned(preferred: &Path, remove: bool) -> Vec<PathBuf> {
    let (own, prefix) = (rustix::process::getuid().as_raw(), prefix());
    let mut places = vec![preferred.to_owned()];
    places.extend(SHARED.map(PathBuf::from));
    places.dedup();
    let mut found = Vec::new();
    for entry in places.iter().flat_map(fs::read_dir).flatten().flatten() {
        let path = entry.path();
        let named = entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix));
        let ours = |metadata: fs::Metadata| metadata.uid() == own;
        if !named || !fs::symlink_metadata(&path).is_ok_and(ours) {
            continue;
        }
        // A link stands where a directory has moved into a root that is gone; one that leads somewhere is in use.
        let free = match entry.file_type() {
            Ok(kind) if kind.is_symlink() => !path.exists(),
            Ok(kind) if kind.is_dir() => {
                matches!(files::lock_dir(&path, FlockOperation::NonBlockingLockExclusive), Ok(Some(_)))
            }
            _ => false,
        };
        if free && (!remove || fs::remove_dir_all(&path).is_ok()) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_locked_is_abandoned_and_what_is_in_use_is_not() {
        let place = tempfile::Builder::new().prefix("nbs").tempdir_in("/tmp").unwrap();
        let used = SocketDir::new(place.path()).unwrap();
        assert_eq!(used.path().parent(), Some(place.path()));
        let left = place.path().join(format!("{}left", prefix()));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("connection.json"), "{}").unwrap();
        let link = place.path().join(format!("{}link", prefix()));
        std::os::unix::fs::symlink(place.path().join("gone"), &link).unwrap();
        fs::create_dir(place.path().join("nbpack-other")).unwrap();
        let mine = |remove| -> Vec<PathBuf> {
            abandoned(place.path(), remove).into_iter().filter(|path| path.starts_with(place.path())).collect()
        };
        let expected = vec![left.clone(), link];
        assert_eq!(mine(false), expected);
        assert!(left.exists(), "it was only looked");
        assert_eq!(mine(true), expected);
        assert!(mine(true).is_empty());
        assert!(used.path().exists());
    }
}
