//! Reads a restored bundle's files again and names what is not as it was unpacked.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{RestoreError, inherit::title, model::Restored};
use crate::{
    bundle::{Progress, derive},
    digest::DiffId,
    files::FileError,
    store::Store,
};

/// A layer in the store that is not what it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Altered {
    /// Counted from 0.
    pub index: usize,
    /// Its digest as it should be.
    pub layer: DiffId,
    /// Its title.
    pub title: String,
    /// Where it lies.
    pub root: PathBuf,
    /// What changed after it was unpacked, as paths in the image: files, and directories that names came to or left.
    /// Empty when no change went through the file system (a fault of the disk).
    pub changed: Vec<PathBuf>,
}

/// Derives the digest of every layer of `restored` again from its files; gives those that differ, bottom first.
pub fn prove(restored: &Restored, store: &Store, progress: &dyn Progress) -> Result<Vec<Altered>, RestoreError> {
    let mut altered = Vec::new();
    for (index, layer) in restored.layers.iter().enumerate() {
        let dir = store.layer_path(layer);
        let root = dir.join("root");
        let title = title(&dir).unwrap_or_default();
        progress.layer(index, restored.layers.len(), &title, false);
        if derive::diff_id(&root)? == *layer {
            continue;
        }
        let mut changed = Vec::new();
        if let Ok(metadata) = fs::symlink_metadata(dir.join("meta.json")) {
            // Written when the last file of the layer was there. Linux sets the change time itself, nobody else can.
            let unpacked = (metadata.ctime(), metadata.ctime_nsec());
            add_changed(&root, Path::new("/"), unpacked, &mut changed)?;
        }
        altered.push(Altered { index, layer: *layer, title, root, changed });
    }
    Ok(altered)
}

fn add_changed(
    host: &Path,
    in_image: &Path,
    unpacked: (i64, i64),
    changed: &mut Vec<PathBuf>,
) -> Result<(), FileError> {
    let metadata = fs::symlink_metadata(host).map_err(FileError::new("read", host))?;
    if (metadata.ctime(), metadata.ctime_nsec()) > unpacked {
        changed.push(in_image.to_owned());
    }
    if metadata.is_dir() {
        let entries = fs::read_dir(host).map_err(FileError::new("read", host))?;
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            add_changed(&host.join(&name), &in_image.join(&name), unpacked, changed)?;
        }
    }
    Ok(())
}
