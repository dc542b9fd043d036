//! Directories of the image that may be renamed.
//!
//! An overlay answers `EXDEV` to the renaming of a directory that lies in its lower layers, and Linux allows the option that
//! would change this to nobody but the machine's root. A directory that was copied into the upper layer and made anew there
//! has nothing below it: it may be renamed. That is done only to directories that the recorded session renamed.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use super::setup::by_text;

/// A directory with more bytes in it stays as it is …
const MOST_BYTES: u64 = 256 << 20;
/// … and one with more entries.
const MOST_ENTRIES: u64 = 20_000;

/// Makes the directory, where there is one, of the upper layer alone. Its path is one of the image.
pub(super) fn make_movable(dir: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else { return Ok(()) };
    let Ok(parent) = by_text(parent) else { return Ok(()) };
    let (dir, parent) = (&parent.join(name), &*parent);
    let Ok(metadata) = fs::symlink_metadata(dir) else { return Ok(()) };
    if !metadata.is_dir() {
        return Ok(());
    }
    let (mut bytes, mut entries) = (0, 0);
    measure(dir, &mut bytes, &mut entries)?;
    if bytes > MOST_BYTES || entries > MOST_ENTRIES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large to be copied"));
    }
    let above = fs::symlink_metadata(parent)?;
    let copy = free_name(dir)?;
    copy_directory(dir, &copy, &metadata)?;
    fs::remove_dir_all(dir)?;
    fs::rename(&copy, dir)?;
    keep_times(parent, &above)
}

fn measure(dir: &Path, bytes: &mut u64, entries: &mut u64) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let metadata = entry.as_ref().map_or_else(|_| fs::symlink_metadata(dir), fs::DirEntry::metadata)?;
        *bytes += metadata.len();
        *entries += 1;
        if metadata.is_dir() && *entries <= MOST_ENTRIES {
            measure(&entry?.path(), bytes, entries)?;
        }
    }
    Ok(())
}

/// A name beside `dir` that is not taken.
fn free_name(dir: &Path) -> io::Result<PathBuf> {
    for number in 0..100 {
        let name = dir.with_file_name(format!(".nbpack-{number}"));
        match fs::create_dir(&name) {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Copies what is in `from` into the directory `to`, with modes and times.
fn copy_directory(from: &Path, to: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target, found) = (entry.path(), to.join(entry.file_name()), entry.metadata()?);
        if found.is_dir() {
            fs::create_dir(&target)?;
            copy_directory(&source, &target, &found)?;
        } else if found.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
            keep_times(&target, &found)?;
        } else if found.is_file() {
            fs::copy(&source, &target)?;
            keep_times(&target, &found)?;
        }
    }
    fs::set_permissions(to, metadata.permissions())?;
    keep_times(to, metadata)
}

fn keep_times(path: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(metadata.atime(), metadata.atime_nsec()),
        last_modification: time(metadata.mtime(), metadata.mtime_nsec()),
    };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
