//! The image while it is put together: host paths in, entries out.
//!
//! Keeps two promises: every entry lies at a path without a symlink in it (each walked link is an entry of its own),
//! and whatever lies below an environment's original prefix comes to lie below its canonical root.

use std::{
    collections::{BTreeMap, HashMap, btree_map},
    fs, io,
    os::unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    rc::Rc,
};

use super::{
    model::{Class, Entry, EntryKind, Source},
    paths,
};
use crate::files::Signature;

/// Longer chains are loops (`path_resolution(7)`).
const LINK_LIMIT: u32 = 40;

/// What `lstat` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Node {
    /// A directory.
    Directory,
    /// A symlink with its text.
    Link(Vec<u8>),
    /// A regular file.
    File(Meta),
    /// Socket, pipe, device.
    Other,
}

/// What is needed of a regular file's `stat`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Meta {
    /// Size, times, inode.
    pub(crate) signature: Signature,
    /// The owner may execute it.
    pub(crate) executable: bool,
}

impl Meta {
    /// From a `stat` that was made.
    pub(crate) fn of(metadata: &fs::Metadata) -> Self {
        Self { signature: Signature::of(metadata), executable: metadata.mode() & 0o100 != 0 }
    }

    /// Modification time in whole seconds.
    pub(crate) fn seconds(&self) -> i64 {
        self.signature.mtime_ns.div_euclid(1_000_000_000)
    }
}

/// A path with every link followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Resolved {
    /// Without a symlink in it.
    pub(crate) path: Vec<u8>,
    /// What is there.
    pub(crate) node: Node,
    /// Links that were walked: where they lie, and their text.
    pub(crate) links: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry is to the session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    /// Its class.
    pub(crate) class: Class,
    /// The rule.
    pub(crate) rule: &'static str,
    /// Its owner.
    pub(crate) component: Option<usize>,
    /// The session asked for it by name.
    pub(crate) touched: bool,
}

impl Tag {
    /// A class and its rule, untouched, owned by nobody.
    pub(crate) fn new(class: Class, rule: &'static str) -> Self {
        Self { class, rule, component: None, touched: false }
    }
}

/// The entries, and what is known of this machine's tree.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    entries: BTreeMap<Vec<u8>, Entry>,
    /// Original prefix → canonical root, longest prefix first.
    roots: Vec<(Vec<u8>, Vec<u8>)>,
    directories: HashMap<Vec<u8>, Option<Rc<Resolved>>>,
}

impl Tree {
    /// Moves everything below `prefix` (resolved) to `canonical`, and puts the link there. Call it before any entry
    /// below `prefix` is added.
    pub(crate) fn add_root(&mut self, prefix: &[u8], canonical: &[u8], class: Class) {
        // The link itself lies where an outer environment's files lie, if there is one.
        let at = self.image_path(prefix);
        let target = canonical.to_vec();
        self.roots.push((prefix.to_vec(), canonical.to_vec()));
        self.roots.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        self.insert(at, prefix, EntryKind::Symlink { target }, Tag::new(class, "prefix-link"));
    }

    /// The environment prefix that `path` lies below.
    fn root_of(&self, path: &[u8]) -> Option<&(Vec<u8>, Vec<u8>)> {
        self.roots.iter().find(|(prefix, _)| paths::below(path, prefix))
    }

    /// Where a resolved host path lies in the image, without the leading slash.
    pub(crate) fn image_path(&self, path: &[u8]) -> Vec<u8> {
        let mapped = match self.root_of(path) {
            Some((prefix, canonical)) => [canonical.as_slice(), path.get(prefix.len()..).unwrap_or_default()].concat(),
            None => path.to_vec(),
        };
        mapped.strip_prefix(b"/").map(<[u8]>::to_vec).unwrap_or(mapped)
    }

    /// Follows every link of an absolute path. `None` when something on the way is missing.
    pub(crate) fn resolve(&mut self, path: &[u8]) -> Option<Resolved> {
        self.follow(path, 0)
    }

    fn follow(&mut self, path: &[u8], depth: u32) -> Option<Resolved> {
        if depth > LINK_LIMIT || !path.starts_with(b"/") {
            return None;
        }
        let trimmed = trim(path);
        if trimmed == b"/" {
            return Some(Resolved { path: b"/".to_vec(), node: Node::Directory, links: Vec::new() });
        }
        let dir = self.directory(paths::parent(trimmed), depth)?;
        let name = paths::name(trimmed);
        let here = |path: Vec<u8>| Resolved { path, node: Node::Directory, links: dir.links.clone() };
        match name {
            b"." => return Some(here(dir.path.clone())),
            b".." => return Some(here(paths::parent(&dir.path).to_vec())),
            _ => {}
        }
        let at = paths::join(&dir.path, name);
        match lstat(&at)? {
            Node::Link(text) => {
                let target = if text.starts_with(b"/") { text.clone() } else { paths::join(&dir.path, &text) };
                let rest = self.follow(&target, depth + 1)?;
                let mut links = dir.links.clone();
                links.push((at, text));
                for link in rest.links {
                    if !links.contains(&link) {
                        links.push(link);
                    }
                }
                Some(Resolved { path: rest.path, node: rest.node, links })
            }
            node => Some(Resolved { path: at, node, links: dir.links.clone() }),
        }
    }

    /// The same for a directory, remembered.
    fn directory(&mut self, path: &[u8], depth: u32) -> Option<Rc<Resolved>> {
        if let Some(known) = self.directories.get(path) {
            return known.clone();
        }
        let found = self.follow(path, depth + 1).filter(|found| found.node == Node::Directory).map(Rc::new);
        self.directories.insert(path.to_vec(), found.clone());
        found
    }

    /// Adds the links that were walked.
    pub(crate) fn add_links(&mut self, links: &[(Vec<u8>, Vec<u8>)]) {
        for (at, text) in links {
            self.add_link(at, text, Tag::new(Class::SystemState, "symlink"));
        }
    }

    /// Adds one link that lies at `at` (its directory resolved).
    pub(crate) fn add_link(&mut self, at: &[u8], text: &[u8], tag: Tag) {
        let class = match self.root_of(at) {
            Some(_) if tag.rule == "symlink" => Class::Environment,
            _ => tag.class,
        };
        let target = self.link_text(at, text);
        self.insert(self.image_path(at), at, EntryKind::Symlink { target }, Tag { class, ..tag });
    }

    /// A relative text that leaves its environment would count its `..` from the canonical root: name the original.
    fn link_text(&self, at: &[u8], text: &[u8]) -> Vec<u8> {
        if text.starts_with(b"/") {
            return text.to_vec();
        }
        let target = paths::fold(&paths::join(paths::parent(at), text));
        if self.root_of(at) == self.root_of(&target) { text.to_vec() } else { target }
    }

    /// Adds a regular file of this machine at its resolved path. `mtime` as in [`EntryKind::File`].
    pub(crate) fn add_file(&mut self, path: &[u8], meta: Meta, source: Source, mtime: Option<i64>, tag: Tag) {
        let size = match &source {
            Source::Bytes(bytes) => bytes.len() as u64,
            _ => meta.signature.size,
        };
        let kind = EntryKind::File { source, size, executable: meta.executable, mtime };
        self.insert(self.image_path(path), path, kind, tag);
    }

    /// The host file itself as a source.
    pub(crate) fn host(path: &[u8], meta: &Meta) -> Source {
        Source::Host { path: paths::to_path(path), signature: meta.signature }
    }

    /// Adds a directory at its resolved path.
    pub(crate) fn add_directory(&mut self, path: &[u8], tag: Tag) {
        if path != b"/" {
            self.insert(self.image_path(path), path, EntryKind::Directory, tag);
        }
    }

    /// Adds a name without content at its resolved path.
    pub(crate) fn add_placeholder(&mut self, path: &[u8], tag: Tag) {
        self.insert(self.image_path(path), path, EntryKind::Placeholder, tag);
    }

    /// Adds a file made by us, by its path in the image.
    pub(crate) fn add_generated(&mut self, path: &[u8], bytes: Vec<u8>, tag: Tag) {
        let size = bytes.len() as u64;
        let kind = EntryKind::File { source: Source::Bytes(bytes.into()), size, executable: false, mtime: None };
        self.insert(path.strip_prefix(b"/").unwrap_or(path).to_vec(), path, kind, tag);
    }

    /// The first one to name a path decides what it is; later ones can only say that it was touched.
    fn insert(&mut self, at: Vec<u8>, host: &[u8], kind: EntryKind, tag: Tag) {
        match self.entries.entry(at) {
            btree_map::Entry::Vacant(vacant) => {
                let moved = host.strip_prefix(b"/") != Some(vacant.key().as_slice());
                vacant.insert(Entry {
                    kind,
                    class: tag.class,
                    rule: tag.rule,
                    component: tag.component,
                    original: moved.then(|| host.to_vec()),
                    touched: tag.touched,
                    apart: false,
                });
            }
            btree_map::Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.touched |= tag.touched;
                // A name gives way to what is really there, and a link that was only walked to its owner's.
                let was_name = matches!(known.kind, EntryKind::Directory | EntryKind::Placeholder)
                    && matches!(kind, EntryKind::File { .. } | EntryKind::Symlink { .. });
                let was_walked = known.rule == "symlink" && matches!(kind, EntryKind::Symlink { .. });
                if was_name || was_walked {
                    known.kind = kind;
                    known.class = tag.class;
                    known.rule = tag.rule;
                    known.component = tag.component;
                }
            }
        }
    }

    /// Names and stats of the host files that went in directly below a resolved host directory.
    pub(crate) fn files_in(&self, dir: &[u8]) -> impl Iterator<Item = (Vec<u8>, Meta)> {
        let start = [self.image_path(dir).as_slice(), b"/"].concat();
        let end = [self.image_path(dir).as_slice(), b"0"].concat();
        let skip = start.len();
        self.entries.range(start..end).filter_map(move |(path, entry)| {
            let name = path.get(skip..).filter(|name| !name.contains(&b'/'))?;
            match &entry.kind {
                EntryKind::File { source: Source::Host { signature, .. }, executable, .. } => {
                    Some((name.to_vec(), Meta { signature: *signature, executable: *executable }))
                }
                _ => None,
            }
        })
    }

    /// The entry of a resolved host path.
    pub(crate) fn entry(&self, path: &[u8]) -> Option<&Entry> {
        self.entries.get(&self.image_path(path))
    }

    /// Marks the entry of a resolved host path as touched, if there is one, and gives it.
    pub(crate) fn touch(&mut self, path: &[u8]) -> Option<&Entry> {
        let at = self.image_path(path);
        let entry = self.entries.get_mut(&at)?;
        entry.touched = true;
        Some(entry)
    }

    /// All entries, after the last check: what lies below a file or a link is dropped, and named.
    pub(crate) fn finish(mut self) -> (BTreeMap<Vec<u8>, Entry>, Vec<Vec<u8>>) {
        let mut dropped = Vec::new();
        let mut last_good: Vec<u8> = Vec::new();
        for path in self.entries.keys() {
            let dir = path.iter().rposition(|&byte| byte == b'/').and_then(|at| path.get(..at)).unwrap_or_default();
            if dir == last_good {
                continue;
            }
            let blocked = ancestors(dir).any(|ancestor| {
                self.entries.get(ancestor).is_some_and(|entry| {
                    matches!(entry.kind, EntryKind::File { .. } | EntryKind::Symlink { .. } | EntryKind::Placeholder)
                })
            });
            if blocked {
                dropped.push(path.clone());
            } else {
                last_good = dir.to_vec();
            }
        }
        for path in &dropped {
            self.entries.remove(path);
        }
        (self.entries, dropped)
    }
}

/// `a/b/c`, `a/b`, `a`.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(path).filter(|path| !path.is_empty()), |path| {
        path.iter().rposition(|&byte| byte == b'/').and_then(|at| path.get(..at))
    })
}

fn trim(mut path: &[u8]) -> &[u8] {
    while let [rest @ .., b'/'] = path {
        if rest.is_empty() {
            break;
        }
        path = rest;
    }
    path
}

/// What lies at a path whose directory is resolved; `None` when nothing does or it cannot be told.
pub(crate) fn lstat(path: &[u8]) -> Option<Node> {
    let path = paths::as_path(path);
    let metadata = crate::files::symlink_metadata(path).ok()?;
    let kind = metadata.file_type();
    if kind.is_symlink() {
        let text: io::Result<_> = fs::read_link(path);
        Some(Node::Link(text.ok()?.into_os_string().into_vec()))
    } else if kind.is_dir() {
        Some(Node::Directory)
    } else if kind.is_file() {
        Some(Node::File(Meta::of(&metadata)))
    } else {
        Some(Node::Other)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn host() -> (tempfile::TempDir, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let base = paths::bytes(&fs::canonicalize(dir.path()).unwrap()).to_vec();
        (dir, base)
    }

    #[test]
    fn each_link_on_the_way_is_an_entry_and_the_file_lies_behind_them() {
        let (dir, base) = host();
        fs::create_dir_all(dir.path().join("big/data")).unwrap();
        fs::write(dir.path().join("big/data/x.csv"), "1").unwrap();
        symlink("big", dir.path().join("alias")).unwrap();
        symlink("data/x.csv", dir.path().join("big/latest")).unwrap();
        let mut tree = Tree::default();
        let found = tree.resolve(&paths::join(&base, b"alias/latest")).unwrap();
        assert_eq!(found.path, paths::join(&base, b"big/data/x.csv"));
        tree.add_links(&found.links);
        let Node::File(meta) = found.node else { panic!("{found:?}") };
        tree.add_file(&found.path, meta, Tree::host(&found.path, &meta), None, Tag::new(Class::Dataset, "dataset"));
        let (entries, dropped) = tree.finish();
        assert_eq!((entries.len(), dropped.len()), (3, 0));
    }

    #[test]
    fn a_loop_of_links_is_nothing() {
        let (dir, base) = host();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        assert_eq!(Tree::default().resolve(&paths::join(&base, b"a")), None);
    }

    #[test]
    fn what_lies_below_a_prefix_comes_to_lie_below_its_root_and_nested_ones_below_theirs() {
        let mut tree = Tree::default();
        tree.add_root(b"/opt/conda", b"/opt/nbpack/env/1", Class::Environment);
        tree.add_root(b"/opt/conda/envs/a", b"/opt/nbpack/env/0", Class::Environment);
        assert_eq!(tree.image_path(b"/opt/conda/lib/x"), b"opt/nbpack/env/1/lib/x");
        assert_eq!(tree.image_path(b"/opt/conda/envs/a/lib"), b"opt/nbpack/env/0/lib");
        assert_eq!(tree.image_path(b"/opt/condax"), b"opt/condax");
        let (entries, _) = tree.finish();
        let links: Vec<_> = entries.keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        assert_eq!(links, ["opt/conda", "opt/nbpack/env/1/envs/a"]);
    }

    #[test]
    fn a_relative_link_out_of_an_environment_is_written_out() {
        let mut tree = Tree::default();
        tree.add_root(b"/v", b"/opt/nbpack/env/0", Class::Environment);
        assert_eq!(tree.link_text(b"/v/lib64", b"lib"), b"lib");
        assert_eq!(tree.link_text(b"/v/bin/python", b"../../usr/bin/python3"), b"/usr/bin/python3");
        assert_eq!(tree.link_text(b"/v/bin/python", b"/usr/bin/python3"), b"/usr/bin/python3");
        assert_eq!(tree.link_text(b"/x", b"v/bin/python"), b"/v/bin/python");
    }

    #[test]
    fn nothing_is_left_below_a_link() {
        let mut tree = Tree::default();
        tree.add_directory(b"/a/b/c", Tag::new(Class::SystemState, "empty-directory"));
        tree.add_link(b"/a", b"z", Tag::new(Class::SystemState, "symlink"));
        let (entries, dropped) = tree.finish();
        assert_eq!(entries.len(), 1);
        assert_eq!(dropped, [b"a/b/c".to_vec()]);
    }
}
