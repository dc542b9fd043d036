//! What a session of a restored kernel adds to the bundle it was restored from.
//!
//! Its environment lies in the parent's layers, and those go into the new bundle as they are. Only what the session
//! read and the parent does not hold (or holds with other bytes) is taken here.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    Options, PROGRAM,
    datasets::{Dataset, is_dataset, list},
    model::{Class, Component, Entry, EntryKind, Inventory, LeftOut, Source},
    paths,
    rules::{Context, Facts, Place, Rules, Usage, Verdict},
    run::RunConfig,
    user,
};
use crate::{
    files::{self, FileError, Signature, display_bytes},
    session::model::{FileVersion, Recording, Role},
    store::{self, Store},
};

/// What the parent's layers have at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InParent {
    /// The path with every link in it resolved, as far as it exists; absolute.
    pub path: Vec<u8>,
    /// What is there.
    pub node: ParentNode,
}

/// See [`InParent::node`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ParentNode {
    /// A regular file, with its place on this machine.
    File(PathBuf),
    /// A directory.
    Directory,
    /// Nothing, or nothing that could be followed.
    Nothing,
}

/// The bundle that a kernel was restored from, as an inventory needs it.
pub struct Parent<'a> {
    /// How it runs.
    pub run: &'a RunConfig,
    /// Its software list.
    pub components: Vec<Component>,
    /// Its inputs.
    pub datasets: Vec<Dataset>,
    /// Looks a path up in its layers.
    pub look: &'a dyn Fn(&[u8]) -> InParent,
    /// Where a path lies on this machine that was shown inside (`--volume`).
    pub shown: &'a dyn Fn(&[u8]) -> Option<PathBuf>,
}

impl std::fmt::Debug for Parent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parent").field("name", &self.run.name).finish_non_exhaustive()
    }
}

/// Makes the inventory of what a recording adds to its parent.
pub fn take_child(
    recording: &Recording,
    store: &Store,
    options: &Options,
    parent: &Parent<'_>,
) -> Result<Inventory, FileError> {
    let mut child = Child {
        store,
        options,
        parent,
        rules: Rules::new(options.classes.clone()),
        context: context(recording, store, parent),
        inventory: Inventory {
            roots: parent.run.roots.clone(),
            components: parent.components.clone(),
            ..Inventory::default()
        },
    };
    child.add_program()?;
    let versions = |role: Role| {
        let mut found: BTreeMap<&[u8], &FileVersion> = BTreeMap::new();
        for version in recording.versions.iter().filter(|version| version.role == role) {
            match role {
                Role::Read => found.entry(&version.path).or_insert(version),
                Role::Written => found.entry(&version.path).and_modify(|last| *last = version).or_insert(version),
            };
        }
        found
    };
    let (inputs, results) = (versions(Role::Read), versions(Role::Written));
    for (path, usage) in user::usages(recording) {
        let (input, result) = (inputs.get(path.as_slice()).copied(), results.get(path.as_slice()).copied());
        child.add(&path, usage, input, result)?;
    }
    child.add_links(recording);
    child.add_notebook(recording)?;
    child.inventory.left_out.sort_by(|a, b| (&a.path, &a.rule).cmp(&(&b.path, &b.rule)));
    child.inventory.left_out.dedup();
    child.inventory.warnings.sort();
    Ok(child.inventory)
}

/// The inputs of a restored kernel's session: what it added, and those of its parent that it read again.
pub fn child_datasets(recording: &Recording, inventory: &Inventory, parent: &[Dataset]) -> Vec<Dataset> {
    list(recording, |path| is_dataset(inventory, path) || parent.iter().any(|dataset| dataset.path.as_bytes() == path))
}

/// The notebook's path in the image: beside the recorded work, for its own directory is this user's business.
pub(super) fn notebook_path(recording: &Recording, parent: &RunConfig) -> Option<PathBuf> {
    let name = recording.info.notebook.as_deref()?.file_name()?;
    let beside = parent.notebook.as_deref().and_then(Path::parent).unwrap_or(&parent.cwd);
    Some(beside.join(name))
}

fn context(recording: &Recording, store: &Store, parent: &Parent<'_>) -> Context {
    let bytes = |path: &Path| paths::bytes(path).to_vec();
    Context {
        home: bytes(&parent.run.home),
        cwd: bytes(&recording.info.cwd),
        notebook: notebook_path(recording, parent.run).as_deref().map(bytes),
        temporary: vec![b"/tmp".to_vec(), b"/var/tmp".to_vec(), b"/dev/shm".to_vec()],
        caches: Vec::new(),
        runtime: Vec::new(),
        store: bytes(store.root()),
    }
}

struct Child<'a> {
    store: &'a Store,
    options: &'a Options,
    parent: &'a Parent<'a>,
    rules: Rules,
    context: Context,
    inventory: Inventory,
}

impl Child<'_> {
    fn add(
        &mut self,
        path: &[u8],
        usage: Usage,
        input: Option<&FileVersion>,
        result: Option<&FileVersion>,
    ) -> Result<(), FileError> {
        if user::is_pseudo(path) {
            return Ok(());
        }
        let found = (self.parent.look)(path);
        if let ParentNode::File(there) = &found.node
            && !Self::differs(there, input)?
        {
            return Ok(());
        }
        if found.node == ParentNode::Directory || !(usage.read || usage.executed || usage.written) {
            return Ok(());
        }
        let at = found.path;
        let in_environment = self.in_environment(&at);
        let place = if in_environment { Place::Environment } else { Place::Elsewhere };
        let verdict = self.rules.classify(&Facts { path: &at, place, usage, context: &self.context });
        let with_results = self.options.with_results && matches!(verdict.class, Class::Result | Class::Intermediate);
        if in_environment && at.ends_with(b".pyc") {
            return Ok(());
        }
        if self.options.excludes.iter().any(|glob| glob.matches(&at, &self.context)) {
            self.leave_out(&at, &verdict, "exclude", "Left out by a pattern of yours.".to_owned());
        } else if !(verdict.goes_in || with_results) {
            self.leave_out(&at, &verdict, verdict.rule, verdict.text.to_string());
        } else {
            self.add_content(path, at, &verdict, if verdict.goes_in { input } else { result });
        }
        Ok(())
    }

    /// The links that were there before the session, where the parent has nothing: those of what was shown inside.
    fn add_links(&mut self, recording: &Recording) {
        for link in recording.links() {
            let slash = link.path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            let (dir, name) = link.path.split_at(slash);
            let mut at = (self.parent.look)(dir).path;
            if at == b"/" {
                at.clear();
            }
            at.extend_from_slice(name);
            // A link of the parent's leads to another path, whether or not something is there.
            let there = (self.parent.look)(&link.path);
            let is_new = there.node == ParentNode::Nothing && there.path == at;
            let excluded = self.options.excludes.iter().any(|glob| glob.matches(&at, &self.context));
            if is_new && !excluded && !user::is_pseudo(&at) && !self.in_environment(&at) {
                self.put(&at, EntryKind::Symlink { target: link.target }, Class::SystemState, "recorded-symlink");
            }
        }
    }

    fn in_environment(&self, at: &[u8]) -> bool {
        self.parent.run.roots.iter().any(|root| paths::below(at, paths::bytes(&root.canonical)))
    }

    /// Whether the session read other bytes than the parent has there.
    fn differs(there: &Path, input: Option<&FileVersion>) -> Result<bool, FileError> {
        let Some((version, digest)) = input.and_then(|version| Some((version, version.digest?))) else {
            return Ok(false);
        };
        let size = std::fs::symlink_metadata(there).map_err(FileError::new("read", there))?.len();
        Ok(size != version.signature.size || store::hash_file(there)?.digest != digest)
    }

    fn add_content(&mut self, path: &[u8], at: Vec<u8>, verdict: &Verdict, wanted: Option<&FileVersion>) {
        let Some((version, digest)) = wanted.and_then(|version| Some((version, version.digest?))) else {
            let text = format!("{} is not in: its content is not known", display_bytes(&at));
            self.inventory.warnings.push(text);
            self.leave_out(&at, verdict, "changed", "Its content was not read for the record.".to_owned());
            return;
        };
        let size = version.signature.size;
        if self.options.size_limit.is_some_and(|limit| size > limit) {
            let why = format!("{size} bytes, above the size limit: kept by digest only.");
            self.leave_out(&at, verdict, "size-limit", why);
            return;
        }
        let source = if version.kept || self.store.blob_path(&digest).is_file() {
            Source::Blob(digest)
        } else {
            let unchanged = |host: &PathBuf| {
                std::fs::metadata(host).is_ok_and(|metadata| Signature::of(&metadata) == version.signature)
            };
            match (self.parent.shown)(path).filter(unchanged) {
                Some(path) => Source::Host { path, signature: version.signature },
                None => {
                    let why = "Changed or gone since it was read, and no copy was kept.";
                    self.inventory.warnings.push(format!("{} is not in: {}", display_bytes(&at), why.to_lowercase()));
                    self.leave_out(&at, verdict, "changed", why.to_owned());
                    return;
                }
            }
        };
        let mtime = Some(version.signature.mtime_ns.div_euclid(1_000_000_000));
        let executable = version.mode & 0o100 != 0;
        self.put(&at, EntryKind::File { source, size, executable, mtime }, verdict.class, verdict.rule);
    }

    /// The program of this export, where the parent has another one.
    fn add_program(&mut self) -> Result<(), FileError> {
        let Some(program) = &self.options.program else { return Ok(()) };
        let there = (self.parent.look)(PROGRAM);
        if let ParentNode::File(there) = &there.node
            && store::hash_file(there)?.digest == store::hash_file(program)?.digest
        {
            return Ok(());
        }
        let metadata = std::fs::metadata(program).map_err(FileError::new("read", program))?;
        let source = Source::Host { path: program.clone(), signature: Signature::of(&metadata) };
        let kind = EntryKind::File { source, size: metadata.len(), executable: true, mtime: None };
        self.put(PROGRAM, kind, Class::SystemState, "program");
        Ok(())
    }

    /// The notebook as this user has it.
    fn add_notebook(&mut self, recording: &Recording) -> Result<(), FileError> {
        let (Some(host), Some(at)) = (&recording.info.notebook, notebook_path(recording, self.parent.run)) else {
            return Ok(());
        };
        let bytes = match files::read_bounded(host, 1 << 30) {
            Ok(bytes) => bytes,
            // The session as it ran is in the record.
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        let found = (self.parent.look)(paths::bytes(&at));
        if let ParentNode::File(there) = &found.node
            && files::read_bounded(there, 1 << 30).is_ok_and(|same| same == bytes)
        {
            return Ok(());
        }
        let metadata = std::fs::metadata(host).map_err(FileError::new("read", host))?;
        let mtime = Some(Signature::of(&metadata).mtime_ns.div_euclid(1_000_000_000));
        let size = bytes.len() as u64;
        let kind = EntryKind::File { source: Source::Bytes(bytes.into()), size, executable: false, mtime };
        self.put(&found.path, kind, Class::Notebook, "notebook");
        Ok(())
    }

    fn put(&mut self, at: &[u8], kind: EntryKind, class: Class, rule: &'static str) {
        let path = at.strip_prefix(b"/").unwrap_or(at).to_vec();
        let entry = Entry { kind, class, rule, component: None, original: None, touched: true, apart: false };
        self.inventory.entries.insert(path, entry);
    }

    fn leave_out(&mut self, at: &[u8], verdict: &Verdict, rule: &str, why: String) {
        let out = LeftOut { path: at.to_vec(), class: verdict.class, rule: rule.to_owned(), why };
        self.inventory.left_out.push(out);
    }
}
