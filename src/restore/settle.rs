//! When a layer is on the disk: whoever waits for a first result does not wait for that.
//!
//! A layer is visible as soon as it is whole and proved. Until the file system was synced ([`settle`]) it holds a file
//! with the id of this boot. After a power failure that is another one, and the layer is read again before it is used:
//! what did not reach the disk is removed, and unpacked anew.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::FlockOperation;

use super::{RestoreError, ensure, fresh_id, model::Restored};
use crate::{
    bundle::derive,
    container,
    digest::DiffId,
    files::{self, FileError},
    store::Store,
};

/// The name of that file in a layer's directory.
const UNSETTLED: &str = "unsettled";

/// Which start of this machine it is. Without it (no `/proc`) a layer that is not settled is always read again.
fn boot() -> String {
    let id = files::read_to_string(Path::new("/proc/sys/kernel/random/boot_id")).unwrap_or_default();
    id.trim().to_owned()
}

/// Says of a layer that is about to become visible that it may not be on the disk.
pub(super) fn mark(dir: &Path) -> Result<(), FileError> {
    let path = dir.join(UNSETTLED);
    fs::write(&path, boot()).map_err(FileError::new("write", &path))
}

/// Whether the store has a layer, whole.
pub fn has_layer(store: &Store, layer: &DiffId) -> bool {
    let dir = store.layer_path(layer);
    let mark = dir.join(UNSETTLED);
    match files::read_to_string(&mark) {
        Err(error) if error.is_not_found() => dir.is_dir(),
        Ok(id) if !id.is_empty() && id == boot() => true,
        Ok(_) | Err(_) => survived(store, layer, &dir, &mark),
    }
}

/// Reads a layer that was not on the disk when this machine ended, or may not have been.
fn survived(store: &Store, layer: &DiffId, dir: &Path, mark: &Path) -> bool {
    if derive::diff_id(&dir.join("root")).is_ok_and(|found| found == *layer) {
        // Where it cannot be removed it is read again the next time.
        fs::remove_file(mark).unwrap_or_default();
        return true;
    }
    // Out of the way in one step; what cannot be removed there goes with the next restore.
    let aside = fresh_id().map(|id| store.tmp().join(format!("{}{id}", ensure::TMP_PREFIX)));
    if let Ok(aside) = aside {
        files::create_private_dir(&store.tmp()).unwrap_or_default();
        if fs::rename(dir, &aside).is_ok() {
            container::remove_tree(&aside).unwrap_or_default();
        }
    }
    false
}

/// Whether a layer of `restored` may not be on the disk yet.
pub fn is_unsettled(store: &Store, restored: &Restored) -> bool {
    restored.layers.iter().any(|layer| store.layer_path(layer).join(UNSETTLED).exists())
}

/// Waits until every layer that is visible now is on the disk.
pub fn settle(store: &Store) -> Result<(), RestoreError> {
    let _in_use = ensure::lock(store, FlockOperation::LockShared)?;
    let layers = store.layers();
    let entries = match fs::read_dir(&layers) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(FileError::new("list", &layers))?,
    };
    let boot = boot();
    let of_this_boot = |mark: &PathBuf| files::read_to_string(mark).is_ok_and(|id| id == boot);
    let marks: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path().join(UNSETTLED)).filter(of_this_boot).collect();
    if marks.is_empty() {
        return Ok(());
    }
    let synced = rustix::fs::syncfs(files::open(&layers)?);
    for mark in &marks {
        match &synced {
            // Another one was faster, or `gc` came between.
            Ok(()) => fs::remove_file(mark).unwrap_or_default(),
            // What is in memory may be gone when it is wanted: it is read again before that.
            Err(_) => fs::write(mark, "").unwrap_or_default(),
        }
    }
    Ok(synced.map_err(|error| FileError::new("write", &layers)(error.into()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn layer(store: &Store, text: &str) -> DiffId {
        let made = store.root().join("made/root");
        fs::create_dir_all(&made).unwrap();
        fs::write(made.join("file"), text).unwrap();
        fs::set_permissions(made.join("file"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let layer = derive::diff_id(&made).unwrap();
        fs::create_dir_all(store.layers()).unwrap();
        fs::rename(store.root().join("made"), store.layer_path(&layer)).unwrap();
        layer
    }

    #[test]
    fn what_did_not_reach_the_disk_before_a_power_failure_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert!(!has_layer(&store, &DiffId(Digest::of(b""))));
        let [whole, cut] = ["whole", "cut"].map(|text| layer(&store, text));
        for layer in [whole, cut] {
            mark(&store.layer_path(&layer)).unwrap();
            assert!(has_layer(&store, &layer), "nothing failed");
        }
        fs::write(store.layer_path(&cut).join("root/file"), "").unwrap();
        assert!(has_layer(&store, &cut), "it is not read again without a reason");
        for layer in [whole, cut] {
            fs::write(store.layer_path(&layer).join(UNSETTLED), "another boot").unwrap();
        }
        assert!(has_layer(&store, &whole));
        assert!(!store.layer_path(&whole).join(UNSETTLED).exists());
        assert!(!has_layer(&store, &cut));
        assert!(!store.layer_path(&cut).exists());
        assert_eq!(fs::read_dir(store.tmp()).unwrap().count(), 0);
    }

    #[test]
    fn a_synced_layer_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        settle(&store).unwrap();
        let one = layer(&store, "one");
        mark(&store.layer_path(&one)).unwrap();
        settle(&store).unwrap();
        assert!(!store.layer_path(&one).join(UNSETTLED).exists());
        assert!(has_layer(&store, &one));
    }
}
