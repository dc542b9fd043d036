//! A file without a name until it is complete: whatever ends the process, nothing half-written is left behind.

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::files::{self, FileError};

/// A new file in a directory, invisible where the file system can do that (`O_TMPFILE`).
#[derive(Debug)]
pub(super) struct Pending {
    file: File,
    dir: PathBuf,
    /// Its temporary name, where it needs one.
    named: Option<tempfile::TempPath>,
}

impl Pending {
    /// Makes one that will be published in `dir`.
    pub(super) fn new_in(dir: &Path) -> Result<Self, FileError> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(dir, flags, Mode::from_raw_mode(0o600)) {
            Ok(fd) => Ok(Self { file: File::from(fd), dir: dir.to_owned(), named: None }),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
                let (file, path) = tempfile::Builder::new()
                    .prefix(".nbpack-")
                    .suffix(".tmp")
                    .tempfile_in(dir)
                    .map_err(FileError::new("create a file in", dir))?
                    .into_parts();
                Ok(Self { file, dir: dir.to_owned(), named: Some(path) })
            }
            Err(errno) => Err(FileError::new("create a file in", dir)(errno.into())),
        }
    }

    /// To write to, and to read what was written.
    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Writes everything to the disk, then gives the file its name in one step, over whatever has it now.
    pub(super) fn publish(self, name: &Path, mode: u32) -> Result<File, FileError> {
        self.file.sync_all().map_err(FileError::new("write", name))?;
        let file = self.give_name(name, mode)?;
        files::sync_dir(files::parent(name))?;
        Ok(file)
    }

    /// The same for what can be made again and is verified before it is used: the disk is waited for only where the file
    /// takes the place of another, which a power loss must not cost, and where a network tells late that it is full.
    pub(super) fn publish_copy(self, name: &Path, mode: u32) -> Result<File, FileError> {
        if name.symlink_metadata().is_ok() || files::is_elsewhere(&self.dir) {
            return self.publish(name, mode);
        }
        self.give_name(name, mode)
    }

    fn give_name(self, name: &Path, mode: u32) -> Result<File, FileError> {
        let written = || FileError::new("write", name);
        self.file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(written())?;
        let temporary = match self.named {
            Some(path) => path,
            None => link_beside(&self.file, &self.dir).map_err(written())?,
        };
        temporary.persist(name).map_err(|error| written()(error.error))?;
        Ok(self.file)
    }
}

/// Gives an unnamed file a temporary name, to be renamed at once: a link cannot replace what is there.
fn link_beside(file: &File, dir: &Path) -> io::Result<tempfile::TempPath> {
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    tempfile::Builder::new()
        .prefix(".nbpack-")
        .suffix(".tmp")
        .make_in(dir, |path| Ok(rustix::fs::linkat(CWD, &*from, CWD, path, AtFlags::SYMLINK_FOLLOW)?))
        .map(|linked| linked.into_temp_path())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn nothing_is_seen_before_publish_and_the_old_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("out");
        std::fs::write(&name, "old").unwrap();
        let mut pending = Pending::new_in(dir.path()).unwrap();
        pending.file().write_all(b"new").unwrap();
        assert_eq!(std::fs::read(&name).unwrap(), b"old");
        pending.publish(&name, 0o644).unwrap();
        assert_eq!(std::fs::read(&name).unwrap(), b"new");
        let mut pending = Pending::new_in(dir.path()).unwrap();
        pending.file().write_all(b"newer").unwrap();
        pending.publish_copy(&name, 0o600).unwrap();
        assert_eq!(std::fs::read(&name).unwrap(), b"newer");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
