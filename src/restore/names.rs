//! Restored bundles by name: `refs/<name>.json`.

use std::{fs, path::Path};

use super::{RestoreError, ensure, model::Restored, settle};
use crate::{
    bundle::{Progress, read::Bundle},
    event::Nanos,
    files::{self, FileError},
    store::Store,
};

/// Whether `name` may be a file's name in the store: letters, digits and `._-`, not beginning with a dot or dash.
pub fn valid_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && name.len() <= 128 && name.chars().all(allowed) && !name.starts_with(['.', '-'])
}

/// The restored bundle of this name, `None` when there is none.
pub fn find(store: &Store, name: &str) -> Result<Option<Restored>, RestoreError> {
    if !valid_name(name) {
        return Ok(None);
    }
    let path = store.refs().join(format!("{name}.json"));
    match files::read_bounded(&path, 16 << 20) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|source| RestoreError::Entry { path, source }),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// All restored bundles, by name.
pub fn list(store: &Store) -> Result<Vec<Restored>, RestoreError> {
    let dir = store.refs();
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.map_err(FileError::new("list", &dir))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FileError::new("list", &dir))?;
        names.extend(entry.file_name().to_str().and_then(|name| name.strip_suffix(".json")).map(str::to_owned));
    }
    names.sort();
    names.iter().filter_map(|name| find(store, name).transpose()).collect()
}

/// Writes the entry of a restored bundle.
pub fn save(store: &Store, restored: &Restored) -> Result<(), RestoreError> {
    files::create_private_dir(&store.refs())?;
    let path = store.refs().join(format!("{}.json", restored.name));
    let text =
        serde_json::to_vec_pretty(restored).map_err(|source| RestoreError::Entry { path: path.clone(), source })?;
    Ok(files::publish_bytes(&path, 0o600, &text)?)
}

/// Forgets a name. Its layers stay until they are collected.
pub fn remove(store: &Store, name: &str) -> Result<(), RestoreError> {
    let path = store.refs().join(format!("{name}.json"));
    Ok(fs::remove_file(&path).map_err(FileError::new("remove", &path))?)
}

/// Gives a bundle whose layers are all in the store its entry: the one it has already, else a new name.
pub(super) fn remember(
    bundle: &Bundle,
    store: &Store,
    wanted: Option<&str>,
    now: Nanos,
) -> Result<Restored, RestoreError> {
    let manifest = bundle.manifest_digest();
    let run = bundle.run_config();
    let fresh = |name: String| Restored {
        name,
        manifest,
        layers: bundle.layers().iter().map(|layer| layer.diff_id).collect(),
        run: run.clone(),
        restored: now,
        kernelspecs: Vec::new(),
        notebook: None,
        engines: Vec::new(),
    };
    if let Some(name) = wanted {
        let refuse = |why| RestoreError::Name { name: name.to_owned(), why };
        if !valid_name(name) {
            return Err(refuse("is not made of letters, digits, `.`, `_` and `-`"));
        }
        if let Some(known) = find(store, name)? {
            return if known.manifest == manifest { Ok(known) } else { Err(refuse("belongs to another bundle")) };
        }
        let restored = fresh(name.to_owned());
        save(store, &restored)?;
        return Ok(restored);
    }
    if let Some(known) = list(store)?.into_iter().find(|known| known.manifest == manifest) {
        return Ok(known);
    }
    // A hostile name is none.
    let base = if valid_name(&run.name) { run.name.as_str() } else { "bundle" };
    let mut name = base.to_owned();
    let mut number = 1;
    while find(store, &name)?.is_some() {
        number += 1;
        name = format!("{base}-{number}");
    }
    let restored = fresh(name);
    save(store, &restored)?;
    Ok(restored)
}

/// Finds what a person named: a bundle's file or OCI layout (restored now if it is not yet), else a restored name.
///
/// When all layers are there, no blob of the file is read again. `name` is as given, relative to `cwd`.
pub fn resolve(
    store: &Store,
    name: &str,
    cwd: &Path,
    now: Nanos,
    progress: &dyn Progress,
) -> Result<Restored, RestoreError> {
    let path = cwd.join(name.strip_prefix("oci:").unwrap_or(name));
    if path.is_file() || path.join("index.json").is_file() {
        let bundle = Bundle::open(&path).map_err(|source| RestoreError::Bundle { path, source: Box::new(source) })?;
        return ensure(&bundle, store, None, now, progress);
    }
    let Some(restored) = find(store, name)? else {
        // What may not be looked at may be there.
        if let Err(error) = fs::symlink_metadata(&path)
            && error.kind() == std::io::ErrorKind::PermissionDenied
        {
            return Err(FileError::new("look at", &path)(error).into());
        }
        let known = list(store)?.into_iter().map(|known| known.name).collect();
        return Err(RestoreError::NotFound { name: name.to_owned(), known });
    };
    match restored.layers.iter().find(|layer| !settle::has_layer(store, layer)) {
        None => Ok(restored),
        Some(layer) => Err(RestoreError::Incomplete { name: restored.name.clone(), layer: layer.0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_store() {
        for bad in ["", ".", "..", "../x", "a/b", ".hidden", "-rf", "a\nb", "ü", &"x".repeat(200)] {
            assert!(!valid_name(bad), "{bad:?}");
        }
        assert!(valid_name("analysis-2.1_x"));
    }

    #[test]
    fn a_damaged_entry_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        fs::create_dir(store.refs()).unwrap();
        fs::write(store.refs().join("x.json"), "{").unwrap();
        assert!(matches!(find(&store, "x"), Err(RestoreError::Entry { .. })));
        assert!(find(&store, "y").unwrap().is_none());
        assert!(find(&store, "../x").unwrap().is_none());
    }

    #[test]
    fn what_is_neither_file_nor_name_is_said_with_the_known_names() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let error = resolve(&store, "nothing", dir.path(), 0, &()).unwrap_err();
        assert!(matches!(error, RestoreError::NotFound { .. }), "{error}");
    }
}
