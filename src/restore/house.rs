//! Keeping house: what takes how much, and what nobody needs any more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::FlockOperation;

use super::{RestoreError, ensure, names};
use crate::{
    container,
    files::{self, FileError},
    store::Store,
};

/// What a collection removed, or would.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Collected {
    /// Layers that no restored bundle has and no container uses.
    pub layers: Vec<PathBuf>,
    /// Directories of containers that ended without removing them.
    pub runs: Vec<PathBuf>,
    /// Unfinished restores.
    pub unfinished: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Removes what no name and no running container needs (`apply`), or only says what that is.
pub fn collect(store: &Store, apply: bool) -> Result<Collected, RestoreError> {
    let _alone = ensure::lock(store, FlockOperation::LockExclusive)?;
    let mut needed: BTreeSet<PathBuf> = BTreeSet::new();
    for restored in names::list(store)? {
        needed.extend(restored.layers.iter().map(|layer| store.layer_path(layer)));
    }
    let mut collected = Collected::default();
    let mut ended = Vec::new();
    for run in directories(&store.run())? {
        // A run's directory is locked while it lives; what ended is locked by us until it is removed.
        if let Some(lock) = files::lock_dir(&run, FlockOperation::NonBlockingLockExclusive)? {
            ended.push(lock);
            collected.runs.push(run);
        } else if let Ok(spec) = container::read_spec(&run.join(container::SPEC_FILE)) {
            // A container that outlives its name keeps its layers.
            needed.extend(spec.layers.iter().filter_map(|root| root.parent()).map(Path::to_owned));
        }
    }
    collected.layers = directories(&store.layers())?.into_iter().filter(|layer| !needed.contains(layer)).collect();
    let mut seen = BTreeSet::new();
    for path in collected.layers.iter().chain(&collected.runs) {
        collected.bytes += size(path, &mut seen);
        if apply {
            container::remove_tree(path)?;
        }
    }
    if apply {
        collected.unfinished = ensure::remove_abandoned(store);
    }
    Ok(collected)
}

fn directories(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.map_err(FileError::new("list", path))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FileError::new("list", path))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Bytes on disk of one part of the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Usage {
    /// `layers`, `sessions`, `blobs`, `index`, `run`, `tmp`, or a restored name.
    pub what: String,
    /// All of it.
    pub bytes: u64,
    /// Of a restored bundle: what no other one has.
    pub own: Option<u64>,
}

/// What takes how much: the parts of the store, then each restored bundle.
pub fn usage(store: &Store) -> Result<Vec<Usage>, RestoreError> {
    let parts = [
        ("layers", store.root().join("layers")),
        ("sessions", store.sessions()),
        ("blobs", store.root().join("blobs")),
        ("index", store.layer_index()),
        ("run", store.run()),
        ("tmp", store.tmp()),
    ];
    let mut seen = BTreeSet::new();
    let mut rows: Vec<Usage> = parts
        .into_iter()
        .map(|(what, path)| Usage { what: what.to_owned(), bytes: size(&path, &mut seen), own: None })
        .collect();
    let restored = names::list(store)?;
    let mut users: BTreeMap<PathBuf, u32> = BTreeMap::new();
    let layers_of = |restored: &super::model::Restored| -> BTreeSet<PathBuf> {
        restored.layers.iter().map(|layer| store.layer_path(layer)).collect()
    };
    for layer in restored.iter().flat_map(layers_of) {
        *users.entry(layer).or_default() += 1;
    }
    let sizes: BTreeMap<&PathBuf, u64> = users.keys().map(|layer| (layer, size(layer, &mut BTreeSet::new()))).collect();
    for one in &restored {
        let layers = layers_of(one);
        let sum = |of: &dyn Fn(&PathBuf) -> bool| {
            layers.iter().filter(|layer| of(layer)).filter_map(|layer| sizes.get(layer)).sum()
        };
        rows.push(Usage {
            what: one.name.clone(),
            bytes: sum(&|_| true),
            own: Some(sum(&|layer| users.get(layer) == Some(&1))),
        });
    }
    Ok(rows)
}

/// Bytes on disk below `path`; a hard-linked file counts once. What cannot be read counts nothing.
fn size(path: &Path, seen: &mut BTreeSet<(u64, u64)>) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    if metadata.nlink() > 1 && !metadata.is_dir() && !seen.insert((metadata.dev(), metadata.ino())) {
        return 0;
    }
    let own = metadata.blocks() * 512;
    if !metadata.is_dir() {
        return own;
    }
    let Ok(entries) = fs::read_dir(path) else { return own };
    own + entries.flatten().map(|entry| size(&entry.path(), seen)).sum::<u64>()
}
