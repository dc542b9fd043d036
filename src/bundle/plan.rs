//! Which entry goes into which layer, with which mode and time: a pure function of the inventory.
//!
//! The plan is made so that two environments share as many layers as they share distributions, and never has more
//! than [`MAX_LAYERS`] (engines end at 122 to 127).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    CLAMP,
    config::{PROGRAM, RunConfig, SESSION_DIR},
    tar::{self, Body, Refusal},
};
use crate::digest::{DiffId, Digest};
use crate::files::{self, FileError, Signature, display_bytes};
use crate::inventory::model::{Class, Entry, EntryKind, Inventory, Source};

/// Layers in one image at most; past it, fewer distributions own one.
pub const MAX_LAYERS: usize = 110;
/// Bytes of tar from which a distribution (and its bytecode, a system package, a dataset) owns a layer.
const OWN: u64 = 4 << 20;
/// Buckets for what is smaller.
const CODE_BUCKETS: u64 = 32;
const BYTECODE_BUCKETS: u64 = 16;
const BASE_BUCKETS: u64 = 4;
const DATASET_BUCKETS: u64 = 8;
/// Datasets that own a layer at most, the largest first.
const OWN_DATASETS: usize = 24;

/// The layers of an image, bottom first; the session is the last.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Never empty.
    pub layers: Vec<LayerPlan>,
    /// Entries that no tar can hold or no engine would keep: (path, why).
    pub left_out: Vec<(Vec<u8>, String)>,
}

/// What one layer is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LayerKind {
    /// A layer of the bundle that the session's kernel was restored from, as it is.
    Inherited,
    /// System packages, the loader, native libraries.
    Base,
    /// The interpreter where no package owns it.
    Interpreter,
    /// The standard library's source.
    StandardLibrary,
    /// Distributions' files.
    Code,
    /// Bytecode of distributions and the standard library, normalised.
    Bytecode,
    /// The nbpack program.
    Program,
    /// What installers write: scripts, records, the links from the original prefixes.
    Environment,
    /// passwd, hosts, empty directories.
    State,
    /// Inputs.
    Dataset,
    /// The user's own modules, the notebook, configuration.
    Local,
    /// Caches that were read.
    Cache,
    /// Results, when asked for.
    Result,
    /// What was not touched, when it was asked to be apart.
    Rest,
    /// The session record.
    Session,
}

/// One layer to be.
#[derive(Debug, Clone)]
pub struct LayerPlan {
    /// For a person: `numpy 2.1.0`, `libraries 07`, `session`.
    pub title: String,
    /// What it is for.
    pub kind: LayerKind,
    /// In the order of the archive, parents included.
    pub entries: Vec<Planned>,
    /// Bytes of its tar (an estimate where bytecode is rewritten).
    pub bytes: u64,
    /// The digest of its tar, where it is known before it is made.
    pub expected: Option<DiffId>,
}

/// One entry of a layer.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Header, with the size as known now.
    pub entry: tar::Entry,
    /// The data, for files.
    pub source: Option<Content>,
}

/// Where a file's bytes come from.
#[derive(Debug, Clone)]
pub enum Content {
    /// As the inventory has it.
    Plain(Source),
    /// Bytecode to be normalised.
    Bytecode {
        /// Its path here.
        path: PathBuf,
        /// As when the inventory was made.
        signature: Signature,
        /// For `co_filename`.
        filename: Vec<u8>,
        /// The source's time in the image.
        image_mtime: i64,
        /// The source's time and size here, where the inventory has it.
        source: Option<(i64, u64)>,
    },
}

/// A file of the session layer.
#[derive(Debug, Clone)]
pub enum SessionFile {
    /// Made in memory.
    Bytes(Arc<[u8]>),
    /// Lies on this machine.
    File(PathBuf),
}

/// The inventory cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// An entry below something that is no directory: engines would replace the link by a directory.
    #[error("`{}` lies below `{}`, which is no directory in the image", display_bytes(path), display_bytes(ancestor))]
    BelowNonDirectory {
        /// The entry.
        path: Vec<u8>,
        /// The link or file.
        ancestor: Vec<u8>,
    },
    /// A path that is not one in an image.
    #[error("`{}` cannot be a path in the image: it {refusal}", display_bytes(path))]
    Path {
        /// As the inventory has it.
        path: Vec<u8>,
        /// Why.
        refusal: Refusal,
    },
    /// Something that must never be in a bundle.
    #[error("`{}` is {class:?} and may not be in a bundle", display_bytes(path))]
    Forbidden {
        /// The entry.
        path: Vec<u8>,
        /// Its class.
        class: Class,
    },
    /// A session file that clashes with an entry, or lies outside its directory.
    #[error("session file `{}` clashes with an entry, or is not below {SESSION_DIR}", display_bytes(path))]
    SessionFile {
        /// Its path.
        path: Vec<u8>,
    },
    /// A session file that is not there.
    #[error("cannot pack the session record")]
    File(#[from] FileError),
}

/// Assigns every entry of the inventory, and the session's files, to a layer.
///
/// `run` gives the places that the kernel may write to (home, working directory): modes depend on them.
pub fn plan(
    inventory: &Inventory,
    run: &RunConfig,
    session_files: BTreeMap<Vec<u8>, SessionFile>,
) -> Result<Plan, PlanError> {
    let modes = Modes::new(inventory, run);
    let mut left_out = Vec::new();
    let mut all: BTreeMap<&[u8], &Entry> = BTreeMap::new();
    for (path, entry) in &inventory.entries {
        if matches!(entry.class, Class::PseudoFile | Class::Private | Class::Temporary) {
            return Err(PlanError::Forbidden { path: path.clone(), class: entry.class });
        }
        match tar::refuse_path(path) {
            None => {}
            Some(refusal @ (Refusal::LongComponent | Refusal::LongPath | Refusal::Deep | Refusal::Whiteout)) => {
                left_out.push((path.clone(), refusal.to_string()));
                continue;
            }
            Some(refusal) => return Err(PlanError::Path { path: path.clone(), refusal }),
        }
        all.insert(path, entry);
    }
    refuse_below_non_directories(&all)?;

    let mut groups: BTreeMap<Group, Vec<Planned>> = BTreeMap::new();
    for (path, entry) in &all {
        let planned = planned(path, entry, inventory, &modes);
        if tar::encode(&planned.entry).is_none() {
            left_out.push((path.to_vec(), "has a long name that is not UTF-8".to_owned()));
            continue;
        }
        groups.entry(Group::of(path, entry)).or_default().push(planned);
    }
    let session = session_layer(session_files, &all, &modes)?;
    let mut layers = arrange(groups, inventory, &modes);
    layers.push(session);
    Ok(Plan { layers, left_out })
}

fn refuse_below_non_directories(all: &BTreeMap<&[u8], &Entry>) -> Result<(), PlanError> {
    for path in all.keys() {
        for ancestor in ancestors(path) {
            if all.get(ancestor).is_some_and(|entry| !matches!(entry.kind, EntryKind::Directory)) {
                return Err(PlanError::BelowNonDirectory { path: path.to_vec(), ancestor: ancestor.to_vec() });
            }
        }
    }
    Ok(())
}

/// The directories that a path lies in, nearest first, the root excluded.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    fn up(path: &[u8]) -> Option<&[u8]> {
        path.iter().rposition(|byte| *byte == b'/').and_then(|at| path.get(..at))
    }
    std::iter::successors(up(path), |dir| up(dir))
}

/// Where the kernel may write: modes there let group 0 write, so that the image runs under any user id.
struct Modes {
    writable: BTreeSet<Vec<u8>>,
}

impl Modes {
    fn new(inventory: &Inventory, run: &RunConfig) -> Self {
        let mut writable = BTreeSet::new();
        let mut add = |path: &[u8]| {
            let path = path.strip_prefix(b"/").unwrap_or(path);
            let path = path.strip_suffix(b"/").unwrap_or(path);
            let first = path.split(|byte| *byte == b'/').next().unwrap_or_default();
            let system: &[&[u8]] = &[b"", b"usr", b"etc", b"bin", b"sbin", b"lib", b"lib64", b"proc", b"sys", b"dev"];
            if !system.contains(&first) {
                writable.insert(path.to_vec());
            }
        };
        let bytes = |path: &Path| std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec();
        add(&bytes(&run.home));
        add(&bytes(&run.cwd));
        for root in inventory.roots.iter().chain(&run.roots) {
            add(&bytes(&root.canonical));
            add(&bytes(&root.prefix));
        }
        for (path, entry) in &inventory.entries {
            if matches!(entry.class, Class::Dataset | Class::LocalModule | Class::Notebook | Class::Result)
                && let Some(dir) = ancestors(path).next()
            {
                add(dir);
            }
        }
        Self { writable }
    }

    fn directory(&self, path: &[u8]) -> u32 {
        match path {
            // The usual 1777 without the sticky bit, which no layer may carry.
            b"tmp" | b"var/tmp" => 0o777,
            _ if self.is_writable(path) => 0o775,
            _ => 0o755,
        }
    }

    fn file(&self, path: &[u8], executable: bool) -> u32 {
        match (self.is_writable(path), executable) {
            (true, true) => 0o775,
            (true, false) => 0o664,
            (false, true) => 0o755,
            (false, false) => 0o644,
        }
    }

    fn is_writable(&self, path: &[u8]) -> bool {
        self.writable.contains(path) || ancestors(path).any(|dir| self.writable.contains(dir))
    }

    fn parent(&self, path: &[u8]) -> Planned {
        let entry = tar::Entry { path: path.to_vec(), body: Body::Directory, mode: self.directory(path), mtime: CLAMP };
        Planned { entry, source: None }
    }
}

/// One entry with its mode, time and content.
fn planned(path: &[u8], entry: &Entry, inventory: &Inventory, modes: &Modes) -> Planned {
    let make =
        |body, mode, mtime, source| Planned { entry: tar::Entry { path: path.to_vec(), body, mode, mtime }, source };
    match &entry.kind {
        EntryKind::Directory => modes.parent(path),
        EntryKind::Placeholder => {
            let content = Content::Plain(Source::Bytes(Arc::from(&[][..])));
            make(Body::File { size: 0 }, 0, CLAMP, Some(content))
        }
        EntryKind::Symlink { target } => make(Body::Symlink { target: target.clone() }, 0o777, CLAMP, None),
        EntryKind::File { source, size, executable, mtime } => {
            let content = match source {
                Source::Bytecode { path, signature, filename } => bytecode(path, *signature, filename, inventory),
                other => Content::Plain(other.clone()),
            };
            let mode = modes.file(path, *executable);
            make(Body::File { size: *size }, mode, mtime.unwrap_or(CLAMP), Some(content))
        }
    }
}

fn bytecode(path: &Path, signature: Signature, filename: &[u8], inventory: &Inventory) -> Content {
    let in_image = filename.strip_prefix(b"/").unwrap_or(filename);
    let source = inventory.entries.get(in_image).map(|entry| &entry.kind);
    let (image_mtime, source) = match source {
        Some(EntryKind::File { mtime, source: Source::Host { signature, .. }, .. }) => {
            (*mtime, Some((signature.mtime_ns.div_euclid(1_000_000_000), signature.size)))
        }
        Some(EntryKind::File { mtime, .. }) => (*mtime, None),
        _ => (None, None),
    };
    Content::Bytecode {
        path: path.to_owned(),
        signature,
        filename: filename.to_vec(),
        image_mtime: image_mtime.unwrap_or(CLAMP),
        source,
    }
}

/// What may share a layer, before sizes are looked at.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Group {
    kind: LayerKind,
    /// The component or dataset that could own a layer.
    owner: Owner,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Owner {
    Nobody,
    Component(usize),
    Path(Vec<u8>),
}

impl Group {
    fn of(path: &[u8], entry: &Entry) -> Self {
        let component = entry.component.map_or(Owner::Nobody, Owner::Component);
        let is_bytecode = matches!(&entry.kind, EntryKind::File { source: Source::Bytecode { .. }, .. })
            || matches!(entry.kind, EntryKind::File { .. }) && path.ends_with(b".pyc");
        let program = PROGRAM.trim_start_matches('/').as_bytes();
        let (kind, owner) = match entry.class {
            _ if entry.apart => (LayerKind::Rest, Owner::Nobody),
            _ if path == program => (LayerKind::Program, Owner::Nobody),
            Class::Distribution | Class::StandardLibrary if is_bytecode => (LayerKind::Bytecode, component),
            Class::SystemPackage | Class::NativeLibrary => (LayerKind::Base, component),
            Class::Interpreter => (LayerKind::Interpreter, Owner::Nobody),
            Class::StandardLibrary => (LayerKind::StandardLibrary, Owner::Nobody),
            Class::Distribution if component != Owner::Nobody => (LayerKind::Code, component),
            // A library that holds its own prefix (libpython) is as large as it is lasting; what installers write is neither.
            Class::Distribution | Class::Environment => match entry.kind {
                EntryKind::File { size, .. } if size >= OWN => (LayerKind::Environment, Owner::Path(path.to_vec())),
                _ => (LayerKind::Environment, Owner::Nobody),
            },
            Class::SystemState => (LayerKind::State, Owner::Nobody),
            Class::Dataset => (LayerKind::Dataset, Owner::Path(path.to_vec())),
            Class::LocalModule | Class::Configuration | Class::Notebook | Class::Listing => {
                (LayerKind::Local, Owner::Nobody)
            }
            Class::Cache => (LayerKind::Cache, Owner::Nobody),
            Class::Result | Class::Intermediate => (LayerKind::Result, Owner::Nobody),
            // Refused before.
            Class::Temporary | Class::PseudoFile | Class::Private => (LayerKind::Local, Owner::Nobody),
        };
        Self { kind, owner }
    }
}

/// A layer's place and name: sorted, it is the order of the layers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    kind: LayerKind,
    /// Own layers before buckets.
    bucket: Option<u64>,
    title: String,
    path: Vec<u8>,
}

/// Thresholds of one attempt at the plan.
#[derive(Clone, Copy)]
struct Limits {
    own: u64,
    code: u64,
    bytecode: u64,
    base: u64,
}

fn arrange(groups: BTreeMap<Group, Vec<Planned>>, inventory: &Inventory, modes: &Modes) -> Vec<LayerPlan> {
    let sizes: BTreeMap<Group, u64> =
        groups.iter().map(|(group, entries)| (group.clone(), entries.iter().map(tar_bytes).sum())).collect();
    let own_datasets = largest_datasets(&sizes);
    let mut limits = Limits { own: OWN, code: CODE_BUCKETS, bytecode: BYTECODE_BUCKETS, base: BASE_BUCKETS };
    let slots = loop {
        let slots: BTreeMap<&Group, Slot> =
            sizes.iter().map(|(group, size)| (group, slot(group, *size, limits, &own_datasets, inventory))).collect();
        let count = slots.values().collect::<BTreeSet<_>>().len();
        // The session layer is one more.
        if count < MAX_LAYERS {
            break slots;
        }
        // First fewer own layers, then fewer buckets; with one bucket each there are at most some forty layers.
        if limits.own < 1 << 40 {
            limits.own *= 2;
        } else {
            limits = Limits {
                code: (limits.code / 2).max(1),
                bytecode: (limits.bytecode / 2).max(1),
                base: (limits.base / 2).max(1),
                ..limits
            };
        }
    };
    let mut layers: BTreeMap<Slot, Vec<Planned>> = BTreeMap::new();
    for (group, entries) in &groups {
        if let Some(slot) = slots.get(group) {
            layers.entry(slot.clone()).or_default().extend(entries.iter().cloned());
        }
    }
    layers.into_iter().map(|(slot, entries)| layer(slot.title, slot.kind, entries, modes)).collect()
}

fn largest_datasets(sizes: &BTreeMap<Group, u64>) -> BTreeSet<Group> {
    let mut large: Vec<(&Group, u64)> = sizes
        .iter()
        .filter(|(group, size)| group.kind == LayerKind::Dataset && **size >= OWN)
        .map(|(group, size)| (group, *size))
        .collect();
    large.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    large.into_iter().take(OWN_DATASETS).map(|(group, _)| group.clone()).collect()
}

fn slot(group: &Group, size: u64, limits: Limits, own_datasets: &BTreeSet<Group>, inventory: &Inventory) -> Slot {
    let component = match group.owner {
        Owner::Component(index) => inventory.components.get(index),
        Owner::Nobody | Owner::Path(_) => None,
    };
    let name = component.map_or("", |component| component.name.as_str());
    let own = |suffix: &str| {
        let version = component.map_or("", |component| component.version.as_str());
        Slot { kind: group.kind, bucket: None, title: format!("{name} {version}{suffix}"), path: Vec::new() }
    };
    let bucket = |title: &str, key: &[u8], count: u64| {
        let number = bucket_of(key, count);
        Slot { kind: group.kind, bucket: Some(number), title: format!("{title} {number:02}"), path: Vec::new() }
    };
    let single = |title: &str| Slot { kind: group.kind, bucket: None, title: title.to_owned(), path: Vec::new() };
    match (group.kind, &group.owner) {
        (LayerKind::Base | LayerKind::Code, Owner::Component(_)) if size >= limits.own => own(""),
        (LayerKind::Bytecode, Owner::Component(_)) if size >= limits.own => own(" bytecode"),
        (LayerKind::Bytecode, Owner::Nobody) => single("standard library bytecode"),
        (LayerKind::Base, _) => bucket("base system", name.as_bytes(), limits.base),
        (LayerKind::Code, _) => bucket("libraries", name.as_bytes(), limits.code),
        (LayerKind::Bytecode, _) => bucket("bytecode", name.as_bytes(), limits.bytecode),
        (LayerKind::Dataset, Owner::Path(path)) if own_datasets.contains(group) => {
            let base = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let title = format!("dataset {}", display_bytes(base));
            Slot { kind: group.kind, bucket: None, title, path: path.clone() }
        }
        (LayerKind::Environment, Owner::Path(path)) if size >= limits.own => {
            let base = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let title = format!("environment {}", display_bytes(base));
            Slot { kind: group.kind, bucket: None, title, path: path.clone() }
        }
        (LayerKind::Dataset, Owner::Path(path)) => bucket("datasets", path, DATASET_BUCKETS),
        (LayerKind::Interpreter, _) => single("interpreter"),
        (LayerKind::StandardLibrary, _) => single("standard library"),
        (LayerKind::Program, _) => single("nbpack"),
        (LayerKind::Environment, _) => single("environment"),
        (LayerKind::State, _) => single("system state"),
        (LayerKind::Local | LayerKind::Dataset, _) => single("local code"),
        (LayerKind::Cache, _) => single("caches"),
        (LayerKind::Result, _) => single("results"),
        (LayerKind::Rest, _) => single("rest"),
        (LayerKind::Session | LayerKind::Inherited, _) => single("session"),
    }
}

/// SHA-256 of the key modulo the number of buckets.
fn bucket_of(key: &[u8], count: u64) -> u64 {
    let digest = Digest::of(key);
    let number =
        digest.as_bytes().iter().fold(0_u128, |value, byte| (value << 8 | u128::from(*byte)) % u128::from(count));
    number as u64
}

/// Adds the parents and puts everything in the archive's order.
fn layer(title: String, kind: LayerKind, entries: Vec<Planned>, modes: &Modes) -> LayerPlan {
    let mut sorted: BTreeMap<Vec<u8>, Planned> = BTreeMap::new();
    for planned in entries {
        for dir in ancestors(&planned.entry.path) {
            let parent = modes.parent(dir);
            sorted.entry(parent.entry.name()).or_insert(parent);
        }
        sorted.insert(planned.entry.name(), planned);
    }
    let entries: Vec<Planned> = sorted.into_values().collect();
    let bytes = entries.iter().map(tar_bytes).sum::<u64>() + tar::END.len() as u64;
    LayerPlan { title, kind, entries, bytes, expected: None }
}

/// What an entry takes in the archive, pax headers left aside.
fn tar_bytes(planned: &Planned) -> u64 {
    let size = if let Body::File { size } = planned.entry.body { size } else { 0 };
    tar::BLOCK as u64 + size + tar::padding(size) as u64
}

fn session_layer(
    files: BTreeMap<Vec<u8>, SessionFile>,
    all: &BTreeMap<&[u8], &Entry>,
    modes: &Modes,
) -> Result<LayerPlan, PlanError> {
    let mut entries = vec![modes.parent(SESSION_DIR.trim_start_matches('/').as_bytes())];
    for (path, file) in files {
        let path = path.strip_prefix(b"/").unwrap_or(&path).to_vec();
        let below = path.strip_prefix(SESSION_DIR.trim_start_matches('/').as_bytes());
        let clashes = all.contains_key(path.as_slice())
            || ancestors(&path).any(|dir| all.get(dir).is_some_and(|e| !matches!(e.kind, EntryKind::Directory)));
        if clashes || below.is_none_or(|rest| rest.first() != Some(&b'/')) || tar::refuse_path(&path).is_some() {
            return Err(PlanError::SessionFile { path });
        }
        let (source, size) = match file {
            SessionFile::Bytes(bytes) => {
                let size = bytes.len() as u64;
                (Source::Bytes(bytes), size)
            }
            SessionFile::File(host) => {
                let metadata = files::open(&host)?.metadata().map_err(FileError::new("read", &host))?;
                (Source::Host { path: host, signature: Signature::of(&metadata) }, metadata.len())
            }
        };
        let mode = modes.file(&path, false);
        let entry = tar::Entry { path, body: Body::File { size }, mode, mtime: CLAMP };
        entries.push(Planned { entry, source: Some(Content::Plain(source)) });
    }
    Ok(layer("session".to_owned(), LayerKind::Session, entries, modes))
}
