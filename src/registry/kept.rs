//! Compressed layers that pulls leave in the store, so that the next pull of a similar image moves less.
//!
//! Each has an empty file of its name in `pulled/`, whose time says when it was last wanted. A blob without one belongs to
//! somebody else (an export, a recording) and is never touched here.

use std::{path::PathBuf, time::Duration};

use crate::{
    bundle::{self, Unused},
    digest::Digest,
    files::{self, FileError},
    store::Store,
};

fn mark(store: &Store, digest: &Digest) -> PathBuf {
    store.pulled().join(digest.hex())
}

/// Says that a blob is a pull's. Before it gets its name: a mark without a blob harms nobody.
pub(super) fn keep(store: &Store, digest: &Digest) -> Result<(), FileError> {
    files::create_private_dir(&store.pulled())?;
    let path = mark(store, digest);
    std::fs::write(&path, []).map_err(FileError::new("write", &path))
}

/// Says that a blob was wanted again, if it is a pull's.
pub(super) fn touch(store: &Store, digest: &Digest) -> Result<(), FileError> {
    let path = mark(store, digest);
    if path.exists() { std::fs::write(&path, []).map_err(FileError::new("write", &path)) } else { Ok(()) }
}

/// Removes pulled blobs that are not needed any more: their content lies unpacked in the store.
pub fn forget(store: &Store, digests: &[Digest]) {
    for digest in digests {
        // One that stays is found by the next pull, or goes with `gc`.
        std::fs::remove_file(store.blob_path(digest)).unwrap_or_default();
        std::fs::remove_file(mark(store, digest)).unwrap_or_default();
    }
}

/// Removes the pulled blobs that nobody wanted for so long (`apply`), or only says which they are.
///
/// # Errors
/// When the store cannot be listed, or something cannot be removed.
pub fn collect(store: &Store, unused: Duration, apply: bool) -> Result<Unused, FileError> {
    let dir = store.pulled();
    let listing = match std::fs::read_dir(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Unused::default()),
        result => result.map_err(FileError::new("list", &dir))?,
    };
    let packed = bundle::packed(store)?;
    let mut collected = Unused::default();
    for entry in listing.flatten() {
        let name = entry.file_name();
        let digest = name.to_str().and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
        let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
        let Some(digest) = digest.filter(|_| age.is_some_and(|age| age >= unused)) else { continue };
        let path = store.blob_path(&digest);
        // An export made the same layer since: then it is the export's.
        if !packed.contains(&digest)
            && let Ok(metadata) = std::fs::symlink_metadata(&path)
        {
            collected.bytes += metadata.len();
            if apply {
                std::fs::remove_file(&path).map_err(FileError::new("remove", &path))?;
            }
            collected.blobs.push(path);
        }
        if apply {
            std::fs::remove_file(entry.path()).map_err(FileError::new("remove", &entry.path()))?;
        }
    }
    collected.blobs.sort();
    Ok(collected)
}
