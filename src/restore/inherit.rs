//! A restored bundle as the ground of another one: its layers as they are, and what they hold.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use super::{RestoreError, look::file_path, model::Restored};
use crate::{
    bundle::{child::Inherited, config},
    files::{self, FileError},
    inventory::{Dataset, InParent, ParentNode, model::Component},
    store::Store,
};

/// Links that one path may lead over.
const MAX_LINKS: usize = 40;

/// What lies at a path in the merged layers.
#[derive(Clone, Debug)]
enum Node {
    File(PathBuf),
    Directory,
    Link(Vec<u8>),
}

/// All layers of a restored bundle, laid over each other.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// By path in the image, without a leading slash.
    nodes: HashMap<Vec<u8>, Node>,
}

impl Merged {
    /// Lists every layer once; the uppermost entry of a name counts.
    pub fn read(restored: &Restored, store: &Store) -> Result<Self, RestoreError> {
        let mut merged = Self::default();
        for layer in &restored.layers {
            merged.add(&store.layer_path(layer).join("root"), &[])?;
        }
        Ok(merged)
    }

    fn add(&mut self, dir: &Path, name: &[u8]) -> Result<(), FileError> {
        for entry in fs::read_dir(dir).map_err(FileError::new("list", dir))? {
            let entry = entry.map_err(FileError::new("list", dir))?;
            let path = entry.path();
            let file_name = entry.file_name().into_vec();
            let inner = if name.is_empty() { file_name } else { [name, b"/", &file_name].concat() };
            let kind = entry.file_type().map_err(FileError::new("read", &path))?;
            let node = if kind.is_dir() {
                self.add(&path, &inner)?;
                Node::Directory
            } else if kind.is_symlink() {
                Node::Link(fs::read_link(&path).map_err(FileError::new("read", &path))?.into_os_string().into_vec())
            } else {
                Node::File(path)
            };
            self.nodes.insert(inner, node);
        }
        Ok(())
    }

    /// Follows an absolute path of the image, never out of it.
    pub fn look(&self, path: &[u8]) -> InParent {
        let split = |path: &[u8]| -> Vec<Vec<u8>> { path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect() };
        let mut ahead: Vec<Vec<u8>> = split(path);
        ahead.reverse();
        let mut at: Vec<u8> = Vec::new();
        let mut links = 0;
        let mut node = ParentNode::Directory;
        while let Some(part) = ahead.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at.truncate(at.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
                    node = ParentNode::Directory;
                    continue;
                }
                _ => {}
            }
            let next = if at.is_empty() { part } else { [at.as_slice(), b"/", &part].concat() };
            match self.nodes.get(&next) {
                Some(Node::Link(target)) if links < MAX_LINKS => {
                    links += 1;
                    if target.first() == Some(&b'/') {
                        at.clear();
                    }
                    ahead.extend(split(target).into_iter().rev());
                    continue;
                }
                Some(Node::File(host)) => node = ParentNode::File(host.clone()),
                Some(Node::Directory) => node = ParentNode::Directory,
                Some(Node::Link(_)) | None => node = ParentNode::Nothing,
            }
            at = next;
        }
        InParent { path: [b"/", at.as_slice()].concat(), node }
    }
}

/// The layers that a session of the restored kernel shares with its parent: all but the record and, when
/// `other_program`, nbpack itself.
pub fn inherited(restored: &Restored, store: &Store, other_program: bool) -> Vec<Inherited> {
    let holds = |root: &Path, path: &str| fs::symlink_metadata(root.join(path.trim_start_matches('/'))).is_ok();
    let mut layers = Vec::new();
    for diff_id in &restored.layers {
        let dir = store.layer_path(diff_id);
        let root = dir.join("root");
        if holds(&root, config::RUN_CONFIG) || (other_program && holds(&root, config::PROGRAM)) {
            continue;
        }
        let title = title(&dir).unwrap_or_else(|| diff_id.0.to_string());
        layers.push(Inherited { root, title, diff_id: *diff_id });
    }
    layers
}

/// What a layer in the store is called.
pub(super) fn title(dir: &Path) -> Option<String> {
    let meta = files::read_to_string(&dir.join("meta.json")).ok()?;
    let meta: serde_json::Value = serde_json::from_str(&meta).ok()?;
    Some(meta.get("title")?.as_str()?.to_owned())
}

/// The software list of a restored bundle.
pub fn components(restored: &Restored, store: &Store) -> Result<Vec<Component>, RestoreError> {
    document(restored, store, config::COMPONENTS)
}

/// The inputs of a restored bundle.
pub fn datasets(restored: &Restored, store: &Store) -> Result<Vec<Dataset>, RestoreError> {
    document(restored, store, config::DATASETS)
}

fn document<T: serde::de::DeserializeOwned + Default>(
    restored: &Restored,
    store: &Store,
    name: &str,
) -> Result<T, RestoreError> {
    let Some(path) = file_path(restored, store, Path::new(name)) else { return Ok(T::default()) };
    let bytes = files::read_bounded(&path, 256 << 20)?;
    serde_json::from_slice(&bytes).map_err(|source| RestoreError::Entry { path, source })
}

/// The restored bundle with this manifest, its layers all there.
pub fn by_manifest(store: &Store, manifest: &crate::digest::Digest) -> Result<Option<Restored>, RestoreError> {
    let found = super::list(store)?.into_iter().find(|restored| restored.manifest == *manifest);
    let whole = |restored: &Restored| restored.layers.iter().all(|layer| super::has_layer(store, layer));
    Ok(found.filter(whole))
}

/// Where a path of the inside lies on this machine, given what was shown inside as (host, target).
pub fn shown(volumes: &[(PathBuf, PathBuf)], path: &[u8]) -> Option<PathBuf> {
    let path = Path::new(OsStr::from_bytes(path));
    let (host, rest) = volumes
        .iter()
        .filter_map(|(host, target)| Some((host, target, path.strip_prefix(target).ok()?)))
        .max_by_key(|(_, target, _)| target.as_os_str().len())
        .map(|(host, _, rest)| (host, rest))?;
    Some(if rest.as_os_str().is_empty() { host.clone() } else { host.join(rest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_and_never_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("opt/env/lib")).unwrap();
        fs::create_dir_all(root.join("home")).unwrap();
        fs::write(root.join("opt/env/lib/a.py"), "x").unwrap();
        std::os::unix::fs::symlink("/opt/env", root.join("home/venv")).unwrap();
        std::os::unix::fs::symlink("../../..", root.join("home/up")).unwrap();
        std::os::unix::fs::symlink("loop", root.join("home/loop")).unwrap();
        let mut merged = Merged::default();
        merged.add(&root, &[]).unwrap();
        let found = merged.look(b"/home/venv/lib/a.py");
        assert_eq!(found.path, b"/opt/env/lib/a.py");
        assert_eq!(found.node, ParentNode::File(root.join("opt/env/lib/a.py")));
        assert_eq!(merged.look(b"/home/up/opt/env").node, ParentNode::Directory);
        let new = merged.look(b"/home/venv/new/b.csv");
        assert_eq!((new.path.as_slice(), new.node), (&b"/opt/env/new/b.csv"[..], ParentNode::Nothing));
        assert_eq!(merged.look(b"/home/loop").node, ParentNode::Nothing);
    }

    #[test]
    fn the_deepest_volume_says_where_a_path_lies() {
        let volumes = [("/h/a".into(), "/data".into()), ("/h/b.csv".into(), "/data/in/b.csv".into())];
        assert_eq!(shown(&volumes, b"/data/x"), Some("/h/a/x".into()));
        assert_eq!(shown(&volumes, b"/data/in/b.csv"), Some("/h/b.csv".into()));
        assert_eq!(shown(&volumes, b"/other"), None);
    }
}
