//! A root as one ordinary tree, where no overlay can be had; and removing what a run left.
//!
//! Copies (sharing blocks where the file system can): hard links would let the code change the layer of every other
//! restore.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::files::{self, FileError};

/// Copies `layers`, bottom first, over each other into `target`, a new directory.
pub(super) fn merge_layers(layers: &[PathBuf], target: &Path) -> Result<(), FileError> {
    files::create_private_dir(target)?;
    for layer in layers {
        merge(layer, target)?;
    }
    Ok(())
}

fn merge(from: &Path, to: &Path) -> Result<(), FileError> {
    for entry in fs::read_dir(from).map_err(FileError::new("list", from))? {
        let entry = entry.map_err(FileError::new("list", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let metadata = entry.metadata().map_err(FileError::new("read", &source))?;
        let there = fs::symlink_metadata(&target).ok();
        if there.as_ref().is_some_and(|there| !(there.is_dir() && metadata.is_dir())) {
            remove_tree(&target)?;
        }
        let fail = FileError::new("copy to", &target);
        if metadata.is_dir() {
            // Files are put into it before it gets its own mode.
            if there.is_none_or(|there| !there.is_dir()) {
                fs::DirBuilder::new().mode(0o700).create(&target).map_err(fail)?;
            }
            merge(&source, &target)?;
        } else if metadata.is_symlink() {
            let text = fs::read_link(&source).map_err(FileError::new("read", &source))?;
            std::os::unix::fs::symlink(text, &target).map_err(fail)?;
        } else {
            copy_file(&source, &metadata, &target).map_err(fail)?;
        }
        finish(&metadata, &target).map_err(FileError::new("set the times of", &target))?;
    }
    Ok(())
}

fn copy_file(source: &Path, metadata: &fs::Metadata, target: &Path) -> io::Result<()> {
    let mut output = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(target)?;
    let mut input = match files::open(source) {
        Ok(input) => input,
        // What stands for a file that was listed and never read has mode 000: nobody reads the copy either.
        Err(error) if error.source.kind() == io::ErrorKind::PermissionDenied => return output.set_len(metadata.len()),
        Err(error) => return Err(error.source),
    };
    if rustix::fs::ioctl_ficlone(&output, &input).is_err() {
        io::copy(&mut input, &mut output)?;
    }
    Ok(())
}

/// Mode and modification time as in the layer.
fn finish(metadata: &fs::Metadata, target: &Path) -> io::Result<()> {
    if !metadata.is_symlink() {
        fs::set_permissions(target, fs::Permissions::from_mode(metadata.mode() & 0o777))?;
    }
    let time = Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, target, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Removes a tree that this user owns, also where its code took away the permission to (an overlay's work directory
/// has mode 000). Symbolic links are removed, not followed. Missing is fine.
pub fn remove_tree(path: &Path) -> Result<(), FileError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(FileError::new("remove", path)(error)),
    };
    if !metadata.is_dir() {
        return fs::remove_file(path).map_err(FileError::new("remove", path));
    }
    if metadata.mode() & 0o700 != 0o700 {
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(path, mode).map_err(FileError::new("remove", path))?;
    }
    for entry in fs::read_dir(path).map_err(FileError::new("remove", path))? {
        remove_tree(&entry.map_err(FileError::new("remove", path))?.path())?;
    }
    fs::remove_dir(path).map_err(FileError::new("remove", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_layers_win_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for (file, text) in [("1/etc/a", "one"), ("1/etc/b", "one"), ("2/etc/b", "two"), ("2/link/c", "two")] {
            fs::create_dir_all(path(file).parent().unwrap()).unwrap();
            fs::write(path(file), text).unwrap();
        }
        fs::create_dir(path("outside")).unwrap();
        std::os::unix::fs::symlink(path("outside"), path("1/link")).unwrap();
        merge_layers(&[path("1"), path("2")], &path("root")).unwrap();
        assert_eq!(fs::read(path("root/etc/a")).unwrap(), b"one");
        assert_eq!(fs::read(path("root/etc/b")).unwrap(), b"two");
        assert_eq!(fs::read(path("root/link/c")).unwrap(), b"two");
        assert_eq!(fs::read_dir(path("outside")).unwrap().count(), 0);
    }

    #[test]
    fn a_tree_without_permissions_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("w/work");
        fs::create_dir_all(work.join("x")).unwrap();
        fs::set_permissions(&work, fs::Permissions::from_mode(0o000)).unwrap();
        remove_tree(&dir.path().join("w")).unwrap();
        assert!(!dir.path().join("w").exists());
        remove_tree(&dir.path().join("w")).unwrap();
    }
}
