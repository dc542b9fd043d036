//! Finds compressed layers again without reading the files they were made of.
//!
//! `index/<signature>.json` says which blob a layer with this signature became. The signature covers path, mode, time,
//! inode, size, mtime and ctime of every file in it, and the encoder. A ctime cannot be set back, so a file that was
//! changed has another one, unless the change came within the clock's granule of our reading: a layer with a file
//! whose ctime is younger than [`RACY`] is not entered (git calls such files racy).

use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    compress::Compression,
    plan::{Content, LayerPlan, Planned},
    tar,
};
use crate::digest::{DiffId, Digest};
use crate::files::{self, FileError, Signature};
use crate::inventory::model::Source;
use crate::store::Store;

/// The modification time of an entry says when it was last used, to this precision.
const TOUCH: Duration = Duration::from_secs(24 * 3600);
/// Two seconds, the coarsest clock of a file system in use (FAT).
const RACY: i64 = 2_000_000_000;

/// A layer whose blob lies in the store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) diff_id: DiffId,
    /// Bytes of its tar.
    pub(super) size: u64,
    pub(super) entries: u64,
    pub(super) blob: Digest,
    pub(super) blob_size: u64,
    /// Files of bytecode that were left out.
    pub(super) left_out: u64,
    /// The blob's inode and mtime when it was published: another means that somebody else wrote there.
    stamp: (u64, i64),
}

/// What a layer is known by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key(Digest);

impl Key {
    /// Hashes everything that decides a layer's bytes, without reading a file.
    pub(super) fn of(layer: &LayerPlan, compression: Compression) -> Self {
        let mut state = Sha256::new();
        let mut put = |bytes: &[u8]| {
            state.update((bytes.len() as u64).to_le_bytes());
            state.update(bytes);
        };
        put(b"nbpack layer 1");
        put(compression.encoder_id().as_bytes());
        for planned in &layer.entries {
            // The header holds path, kind, mode, time, size and link text.
            put(&tar::encode(&planned.entry).unwrap_or_default());
            match &planned.source {
                None => {}
                Some(Content::Plain(Source::Bytes(bytes))) => put(Digest::of(bytes).as_bytes()),
                Some(Content::Plain(Source::Blob(digest))) => put(digest.as_bytes()),
                Some(Content::Plain(Source::Host { signature, .. } | Source::Bytecode { signature, .. })) => {
                    put(&numbers(signature));
                }
                Some(Content::Bytecode { signature, filename, image_mtime, source, .. }) => {
                    put(&numbers(signature));
                    put(filename);
                    put(&image_mtime.to_le_bytes());
                    if let Some((mtime, size)) = source {
                        put(&mtime.to_le_bytes());
                        put(&size.to_le_bytes());
                    }
                }
            }
        }
        Self(Digest::from_bytes(state.finalize().into()))
    }

    fn path(self, store: &Store, suffix: &str) -> PathBuf {
        store.layer_index().join(format!("{}.{suffix}", self.0.hex()))
    }

    /// The layer made earlier, if its blob is still as it was published.
    pub(super) fn find(self, store: &Store) -> Option<Known> {
        let path = self.path(store, "json");
        let known = Known::read(&path)?;
        let metadata = std::fs::symlink_metadata(store.blob_path(&known.blob)).ok()?;
        let is_whole = metadata.len() == known.blob_size && stamp(&Signature::of(&metadata)) == known.stamp;
        if is_whole && unused_for(&path).is_some_and(|time| time >= TOUCH) {
            // A store that cannot be written is only read.
            let since_epoch = Duration::from_nanos(crate::event::now().max(0).cast_unsigned());
            let now = std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + since_epoch);
            File::options().append(true).open(&path).and_then(|file| file.set_times(now)).unwrap_or_default();
        }
        is_whole.then_some(known)
    }

    /// Remembers a published blob. Losing this to a crash costs only time, so nothing is synced.
    pub(super) fn remember(self, store: &Store, known: &Known) -> Result<(), FileError> {
        let path = self.path(store, "json");
        let temporary = self.path(store, "tmp");
        let text = serde_json::to_vec(known).unwrap_or_default();
        std::fs::write(&temporary, text).map_err(FileError::new("write", &temporary))?;
        std::fs::rename(&temporary, &path).map_err(FileError::new("write", &path))
    }

    /// Takes the lock under which this layer is made; `None` when another process has it and `wait` is not set.
    pub(super) fn lock(self, store: &Store, wait: bool) -> Result<Option<Lock>, FileError> {
        use rustix::fs::{FlockOperation, Mode, OFlags};
        let path = self.path(store, "lock");
        loop {
            let file =
                rustix::fs::open(&path, OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)
                    .map(File::from)
                    .map_err(|errno| FileError::new("lock", &path)(errno.into()))?;
            let operation = if wait { FlockOperation::LockExclusive } else { FlockOperation::NonBlockingLockExclusive };
            match rustix::fs::flock(&file, operation) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(FileError::new("lock", &path)(errno.into())),
            }
            // Who had it before may have removed the name: then it protects nothing any more.
            let here = file.metadata().map_err(FileError::new("lock", &path))?;
            if std::fs::symlink_metadata(&path).is_ok_and(|there| same_file(&here, &there)) {
                return Ok(Some(Lock { path, _file: file }));
            }
        }
    }
}

fn same_file(a: &std::fs::Metadata, b: &std::fs::Metadata) -> bool {
    let (a, b) = (Signature::of(a), Signature::of(b));
    (a.dev, a.ino) == (b.dev, b.ino)
}

/// Held while a layer is made; its file is removed with it.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A name that stays is only an empty file.
        std::fs::remove_file(&self.path).unwrap_or_default();
    }
}

impl Known {
    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&files::read_bounded(path, 1 << 16).ok()?).ok()
    }

    /// For a blob that was published just now.
    pub(super) fn published(
        path: &Path,
        diff_id: DiffId,
        size: u64,
        entries: u64,
        blob: Digest,
        blob_size: u64,
        left_out: u64,
    ) -> Result<Self, FileError> {
        let metadata = std::fs::symlink_metadata(path).map_err(FileError::new("read", path))?;
        Ok(Self { diff_id, size, entries, blob, blob_size, left_out, stamp: stamp(&Signature::of(&metadata)) })
    }
}

/// Compressed layers that a collection removed, or would.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Unused {
    /// Their blobs.
    pub blobs: Vec<PathBuf>,
    /// Bytes in them.
    pub bytes: u64,
}

/// Removes the compressed layers that no export has used for so long (`apply`), or only says which they are. Each can be
/// made again from the files it was made of.
///
/// # Errors
/// When the store cannot be listed, or something cannot be removed.
pub fn collect_unused(store: &Store, unused: Duration, apply: bool) -> Result<Unused, FileError> {
    let (old, used): (Vec<_>, Vec<_>) =
        entries(store)?.into_iter().partition(|path| unused_for(path).is_some_and(|time| time >= unused));
    // Two layers of other names may be the same bytes.
    let needed: BTreeSet<Digest> = used.iter().filter_map(|path| Some(Known::read(path)?.blob)).collect();
    let mut blobs = BTreeSet::new();
    for path in &old {
        blobs.extend(Known::read(path).map(|known| known.blob).filter(|blob| !needed.contains(blob)));
        if apply {
            remove(path)?;
        }
    }
    let mut collected = Unused::default();
    for blob in blobs {
        let path = store.blob_path(&blob);
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
        collected.bytes += metadata.len();
        if apply {
            remove(&path)?;
        }
        collected.blobs.push(path);
    }
    Ok(collected)
}

/// The blobs that an export would find again: they are not a pull's alone.
///
/// # Errors
/// When the store cannot be listed.
pub fn packed(store: &Store) -> Result<BTreeSet<Digest>, FileError> {
    Ok(entries(store)?.iter().filter_map(|path| Some(Known::read(path)?.blob)).collect())
}

/// The files of the index.
fn entries(store: &Store) -> Result<Vec<PathBuf>, FileError> {
    let index = store.layer_index();
    let listing = match std::fs::read_dir(&index) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.map_err(FileError::new("list", &index))?,
    };
    let mut entries: Vec<PathBuf> = listing.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    Ok(entries)
}

/// How long ago an entry was used.
fn unused_for(path: &Path) -> Option<Duration> {
    std::fs::symlink_metadata(path).ok()?.modified().ok()?.elapsed().ok()
}

fn remove(path: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(FileError::new("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Whether a file changed so shortly before `started` (by the file system's clock) that a later change could hide.
pub(super) fn is_racy(layer: &LayerPlan, started_ns: i64) -> bool {
    layer.entries.iter().any(|planned: &Planned| match &planned.source {
        Some(
            Content::Plain(Source::Host { signature, .. } | Source::Bytecode { signature, .. })
            | Content::Bytecode { signature, .. },
        ) => signature.ctime_ns.saturating_add(RACY) > started_ns,
        _ => false,
    })
}

/// Hard links to a blob change its ctime, so that is no part of it.
fn stamp(signature: &Signature) -> (u64, i64) {
    (signature.ino, signature.mtime_ns)
}

/// No device number: it may change when the machine starts again.
fn numbers(signature: &Signature) -> [u8; 32] {
    let mut bytes = [0; 32];
    let numbers =
        [signature.ino, signature.size, signature.mtime_ns.cast_unsigned(), signature.ctime_ns.cast_unsigned()];
    for (to, from) in bytes.chunks_exact_mut(8).zip(numbers) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    bytes
}
