//! Unpacks the layers that the store does not have, two at a time, and publishes each when it is whole and proved.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use rustix::fs::FlockOperation;

use super::{RestoreError, fresh_id, model::Restored, names, settle};
use crate::{
    bundle::{
        Progress,
        read::{Bundle, Layer},
        unpack,
    },
    container,
    event::Nanos,
    files::{self, FileError},
    store::Store,
};

/// Layers that are unpacked at the same time.
const AT_ONCE: usize = 2;
/// Directories of ours in the store's `tmp/` begin with this.
pub(super) const TMP_PREFIX: &str = "restore-";

/// Makes sure that every layer of `bundle` lies in the store, and that the bundle has a name there: `name`, or its own.
///
/// All that is new was proved (both digests, sizes, entries) when this returns; that it is on the disk is [`settle`]'s
/// to say. Concurrent restores of the same layers do the work twice and keep one result. After an error nothing but
/// whole layers is left.
///
/// [`settle`]: super::settle
pub fn ensure(
    bundle: &Bundle,
    store: &Store,
    name: Option<&str>,
    now: Nanos,
    progress: &dyn Progress,
) -> Result<Restored, RestoreError> {
    if bundle.layers().len() > super::MAX_LAYERS {
        return Err(RestoreError::TooManyLayers { found: bundle.layers().len() });
    }
    // `gc` waits: a layer is published before a name needs it.
    let _in_use = lock(store, FlockOperation::LockShared)?;
    let missing = missing_layers(bundle, store);
    let total = bundle.layers().len();
    for (index, layer) in bundle.layers().iter().enumerate() {
        if !missing.contains(&index) {
            progress.layer(index, total, &layer.title, true);
        }
    }
    if !missing.is_empty() {
        unpack_all(bundle, store, missing, progress)?;
    }
    names::remember(bundle, store, name, now)
}

/// The lock that `gc` takes alone and every restore takes shared.
pub(super) fn lock(store: &Store, how: FlockOperation) -> Result<File, FileError> {
    let path = store.root().join("lock");
    let file = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(FileError::new("open", &path))?;
    rustix::fs::flock(&file, how).map_err(|error| FileError::new("lock", &path)(error.into()))?;
    Ok(file)
}

/// Indices of the layers that are not in the store, largest blob first; the same content twice counts once.
fn missing_layers(bundle: &Bundle, store: &Store) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let mut missing: Vec<(usize, &Layer)> = bundle
        .layers()
        .iter()
        .enumerate()
        .filter(|(_, layer)| !settle::has_layer(store, &layer.diff_id) && seen.insert(layer.diff_id))
        .collect();
    missing.sort_by_key(|(index, layer)| (std::cmp::Reverse(layer.size), *index));
    missing.into_iter().map(|(index, _)| index).collect()
}

/// A directory for unfinished layers, locked while this process works in it.
struct Workshop {
    dir: PathBuf,
    _lock: File,
}

impl Workshop {
    fn open(store: &Store) -> Result<Self, FileError> {
        files::create_private_dir(&store.tmp())?;
        remove_abandoned(store);
        let dir = store.tmp().join(format!("{TMP_PREFIX}{}", fresh_id()?));
        let lock = files::create_locked_dir(&dir, FlockOperation::LockExclusive)?;
        Ok(Self { dir, _lock: lock })
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What stays has no lock and is removed by the next restore.
        container::remove_tree(&self.dir).unwrap_or_default();
    }
}

/// Removes what restores left that were killed. Their locks went with them. What others left goes after a day.
pub(super) fn remove_abandoned(store: &Store) -> u64 {
    let Ok(entries) = fs::read_dir(store.tmp()) else { return 0 };
    let mut removed = 0;
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(TMP_PREFIX));
        let old = || entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(is_old);
        let Some(dir) = Some(entry.path()).filter(|_| ours || old()) else { continue };
        let Ok(Some(_lock)) = files::lock_dir(&dir, FlockOperation::NonBlockingLockExclusive) else { continue };
        removed += u64::from(container::remove_tree(&dir).is_ok());
    }
    removed
}

/// Nothing that is under way takes so long without touching its directory.
fn is_old(modified: std::time::SystemTime) -> bool {
    modified.elapsed().is_ok_and(|age| age > std::time::Duration::from_secs(24 * 3600))
}

struct Work<'a> {
    bundle: &'a Bundle,
    store: &'a Store,
    progress: &'a dyn Progress,
    workshop: &'a Path,
    queue: Vec<usize>,
    next: AtomicUsize,
    stop: AtomicBool,
}

fn unpack_all(bundle: &Bundle, store: &Store, queue: Vec<usize>, progress: &dyn Progress) -> Result<(), RestoreError> {
    files::create_private_dir(&store.layers())?;
    let workshop = Workshop::open(store)?;
    let work = Work {
        bundle,
        store,
        progress,
        workshop: &workshop.dir,
        queue,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..AT_ONCE).map(|_| scope.spawn(|| work.stop_on_error(work.unpack_until_done()))).collect();
        let mut first = Ok(());
        for thread in threads {
            let result = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            first = first.and(result);
        }
        first
    })
}

impl Work<'_> {
    fn stop_on_error(&self, result: Result<(), RestoreError>) -> Result<(), RestoreError> {
        if result.is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
        result
    }

    fn unpack_until_done(&self) -> Result<(), RestoreError> {
        while let Some(&index) = self.queue.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if self.progress.cancelled() {
                return Err(RestoreError::Stopped);
            }
            // Another worker failed, and says why.
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.unpack(index)?;
        }
        Ok(())
    }

    /// Makes a layer, and makes it visible once it is whole: an interrupted restore goes on from there.
    fn unpack(&self, index: usize) -> Result<(), RestoreError> {
        let Some(layer) = self.bundle.layers().get(index) else { return Ok(()) };
        let dir = self.workshop.join(layer.diff_id.0.hex());
        files::create_private_dir(&dir)?;
        let report = unpack::layer(self.bundle, index, &dir.join("root")).map_err(|source| RestoreError::Layer {
            manifest: self.bundle.manifest_digest(),
            source: Box::new(source),
        })?;
        let meta = serde_json::json!({
            "diff_id": layer.diff_id, "title": layer.title, "entries": report.entries, "bytes": report.bytes,
        });
        let path = dir.join("meta.json");
        fs::write(&path, meta.to_string()).map_err(FileError::new("write", &path))?;
        settle::mark(&dir)?;
        let to = self.store.layer_path(&layer.diff_id);
        match fs::rename(&dir, &to) {
            Ok(()) => {}
            // Another restore was faster, with the same bytes; ours goes with the workshop.
            Err(error) if [Some(libc::ENOTEMPTY), Some(libc::EEXIST)].contains(&error.raw_os_error()) => {}
            Err(error) => return Err(FileError::new("publish", &to)(error).into()),
        }
        self.progress.layer(index, self.bundle.layers().len(), &layer.title, false);
        self.progress.bytes(report.bytes);
        Ok(())
    }
}

/// Whether an error of a restore is that the disk is full.
pub(super) fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && matches!(io.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
        {
            return true;
        }
        cause = error.source();
    }
    false
}

impl RestoreError {
    /// Whether it is that the disk is full.
    pub fn is_full(&self) -> bool {
        is_full(self)
    }
}
