//! The user's files: inputs, local code, configuration, what was listed, what must exist.

use std::{collections::BTreeMap, fs, os::unix::ffi::OsStringExt as _};

use super::{
    builder::{Builder, matches_any},
    collect::FactsSeed,
    model::{Class, Source},
    named, paths,
    rules::{Place, Usage, Verdict},
    system::System,
    tree::{Meta, Node, Tag, Tree},
};
use crate::{
    files::{Signature, answers, display_bytes},
    session::model::{FileVersion, Recording, Role, Use},
    store::Store,
};

/// A directory with more names than this is not listed for the image.
const LISTING_LIMIT: usize = 10_000;

/// Everything the session did with one path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touched {
    pub(crate) usage: Usage,
    /// Its signature when it was first used.
    signature: Option<Signature>,
    /// It was removed or renamed away.
    removed: bool,
    renamed: bool,
    /// It was a directory older than the session that was removed or renamed.
    directory: bool,
    /// It was looked for and not there, and never anything else.
    absent: bool,
    /// Execution of the first use, for messages.
    execution: Option<i64>,
}

/// All uses of each path.
pub(crate) fn summarise(recording: &Recording) -> BTreeMap<Vec<u8>, Touched> {
    let mut all: BTreeMap<Vec<u8>, Touched> = BTreeMap::new();
    for file in &recording.files {
        let touched = all.entry(file.path.clone()).or_insert_with(|| Touched {
            usage: Usage { ordinary: true, ..Usage::default() },
            absent: true,
            execution: file.execution,
            ..Touched::default()
        });
        touched.absent &= file.usage == Use::Absent;
        touched.usage.created |= file.created_here;
        touched.signature = touched.signature.or(file.signature);
        match file.usage {
            Use::Read => touched.usage.read = true,
            Use::Write | Use::RenameTo => touched.usage.written = true,
            Use::Update => {
                touched.usage.read |= !file.created_here;
                touched.usage.written = true;
            }
            Use::List => touched.usage.listed = true,
            Use::Exec => touched.usage.executed = true,
            Use::Remove => touched.removed = true,
            Use::RenameFrom => touched.renamed = true,
            Use::RemoveDirectory | Use::RenameDirectory => touched.directory = true,
            Use::Absent => {}
        }
    }
    all
}

/// What was done with each path that was ever there.
pub(crate) fn usages(recording: &Recording) -> BTreeMap<Vec<u8>, Usage> {
    let present = summarise(recording).into_iter().filter(|(_, touched)| !touched.absent);
    present.map(|(path, touched)| (path, touched.usage)).collect()
}

/// Adds the user's files. `touched` as from [`summarise`]; system packages and environments are in already.
pub(crate) fn add(builder: &mut Builder<'_>, system: &mut System, store: &Store, touched: &BTreeMap<Vec<u8>, Touched>) {
    let mut inputs: BTreeMap<&[u8], &FileVersion> = BTreeMap::new();
    let mut results: BTreeMap<&[u8], &FileVersion> = BTreeMap::new();
    for version in &builder.recording.versions {
        match version.role {
            // The first content read is the input; the last content written is the result.
            Role::Read => {
                inputs.entry(&version.path).or_insert(version);
            }
            Role::Written => {
                results.insert(&version.path, version);
            }
        }
    }
    let path = builder.recording.environment.get("PATH").cloned().flatten().unwrap_or_default();
    let links: BTreeMap<Vec<u8>, Vec<u8>> =
        builder.recording.links().into_iter().map(|link| (link.path, link.target)).collect();
    for (at, text) in &links {
        if !is_pseudo(at) && !builder.in_environment(at) && !builder.is_excluded(at) {
            let tag = Tag { touched: true, ..Tag::new(Class::SystemState, "recorded-symlink") };
            builder.tree.add_link(at, text, tag);
        }
    }
    for (name, what) in touched {
        if what.absent || links.contains_key(name) {
            continue;
        }
        if what.directory {
            add_gone_directory(builder, name);
            continue;
        }
        let input = inputs.get(name.as_slice()).copied();
        add_one(builder, system, store, name, what, input, results.get(name.as_slice()).copied());
        if what.usage.executed {
            for interpreter in System::script_interpreters(name, &path) {
                system.require(builder, &interpreter);
            }
        }
        if what.usage.written || what.usage.created {
            add_parents(builder, name);
        }
    }
}

/// A directory that was there and that the session removed or renamed: a replay must be able to do that too.
fn add_gone_directory(builder: &mut Builder<'_>, name: &[u8]) {
    let at = builder.tree.resolve(name).map_or_else(|| resolve_missing(builder, name), |found| found.path);
    if is_pseudo(&at) || builder.in_environment(&at) || builder.is_excluded(&at) {
        return;
    }
    let usage = Usage { ordinary: true, listed: true, ..Usage::default() };
    if builder.classify(&FactsSeed { path: &at, place: Place::Elsewhere, usage }).goes_in {
        builder.tree.add_directory(&at, Tag { touched: true, ..Tag::new(Class::Listing, "gone-directory") });
    }
}

/// Below `/proc`, `/sys`, `/dev`: not even looked at, for looking at `/proc/self` is looking at ourselves.
pub(crate) fn is_pseudo(path: &[u8]) -> bool {
    [&b"/proc"[..], b"/sys", b"/dev"].iter().any(|dir| paths::below(path, dir))
}

fn add_one(
    builder: &mut Builder<'_>,
    system: &mut System,
    store: &Store,
    name: &[u8],
    what: &Touched,
    input: Option<&FileVersion>,
    result: Option<&FileVersion>,
) {
    if is_pseudo(name) {
        return;
    }
    let found = builder.tree.resolve(name);
    let (at, node) = match &found {
        Some(found) => (found.path.clone(), Some(found.node.clone())),
        None => (resolve_missing(builder, name), None),
    };
    if let Some(found) = &found {
        // A link that the session made itself: a replay makes it again.
        if what.usage.created && found.links.iter().any(|(at, _)| at == name) {
            return;
        }
        let known = builder.tree.touch(&found.path).map(|entry| entry.component);
        if node == Some(Node::Directory) {
            add_listed(builder, name, &found.path, what);
            return;
        }
        if let Some(component) = known {
            builder.tree.add_links(&found.links);
            mark_loaded(builder, component);
            return;
        }
    } else if what.usage.listed && !what.usage.read && !what.usage.executed {
        // A directory that was not there, or that the session made and removed.
        return;
    }
    // A directory that was asked for and is not there: it was not there then either, or the session removed it.
    if found.is_none() && what.usage.listed && !what.usage.read && input.is_none() {
        return;
    }
    let in_environment = builder.in_environment(&at);
    if in_environment && (at.ends_with(b".pyc") || what.usage.created) {
        return;
    }
    let ordinary = matches!(node, Some(Node::File(_)) | None);
    let place = if in_environment { Place::Environment } else { Place::Elsewhere };
    let usage = Usage { ordinary, read: what.usage.read || (what.renamed && input.is_some()), ..what.usage };
    let verdict = builder.classify(&FactsSeed { path: &at, place, usage });
    let included = matches_any(&builder.options.includes, &at, &builder.context);
    if builder.is_excluded(&at) {
        let verdict = Verdict { rule: "exclude", goes_in: false, ..verdict };
        builder.leave_out_because(&at, &verdict, "Left out by a pattern of yours.".to_owned());
        return;
    }
    let with_results = builder.options.with_results && matches!(verdict.class, Class::Result | Class::Intermediate);
    let never = matches!(verdict.class, Class::Private | Class::PseudoFile);
    if never || !(verdict.goes_in || included || with_results) {
        builder.leave_out(&at, &verdict);
        return;
    }
    if let Some(found) = &found {
        builder.tree.add_links(&found.links);
    }
    let current = match node {
        Some(Node::File(meta)) => Some(meta),
        _ => None,
    };
    if verdict.goes_in && usage == (Usage { ordinary, ..Usage::default() }) && what.removed {
        let tag = Tag { touched: true, ..Tag::new(Class::Listing, "removed-unread") };
        builder.tree.add_placeholder(&at, tag);
        return;
    }
    let wanted = if verdict.goes_in { input } else { result };
    add_content(builder, system, store, &Content { at: &at, verdict: &verdict, current, wanted, what });
    if matches!(verdict.class, Class::NativeLibrary) || what.usage.executed {
        builder.natives.push(at);
        system.settle(builder);
    }
}

/// What is needed to choose where a user's file's bytes come from.
struct Content<'a> {
    at: &'a [u8],
    verdict: &'a Verdict,
    current: Option<Meta>,
    wanted: Option<&'a FileVersion>,
    what: &'a Touched,
}

/// Adds the content that the session read: from the store, else from the file if it still is the same.
fn add_content(builder: &mut Builder<'_>, system: &mut System, store: &Store, content: &Content<'_>) {
    let Content { at, verdict, current, wanted, what } = *content;
    let tag = Tag { touched: true, ..Tag::new(verdict.class, verdict.rule) };
    let recorded = wanted.map(|version| version.signature).or(what.signature);
    let size = recorded.or(current.map(|meta| meta.signature)).map_or(0, |signature| signature.size);
    if builder.options.size_limit.is_some_and(|limit| size > limit) {
        let verdict = Verdict { rule: "size-limit", ..verdict.clone() };
        builder.leave_out_because(at, &verdict, format!("{size} bytes, above the size limit: kept by digest only."));
        return;
    }
    if wanted.is_some_and(|version| version.unstable) {
        builder.warnings.push(format!("{} changed while it was read", display_bytes(at)));
    }
    let kept = wanted.and_then(|version| {
        let digest = version.digest?;
        (version.kept || store.blob_path(&digest).is_file()).then_some((version, digest))
    });
    // A file of an environment has the constant time of all its neighbours.
    let timed = |seconds: i64| (verdict.class != Class::Environment).then_some(seconds);
    if let Some((version, digest)) = kept {
        let meta = Meta { signature: version.signature, executable: version.mode & 0o100 != 0 };
        builder.tree.add_file(at, meta, Source::Blob(digest), timed(meta.seconds()), tag);
        return;
    }
    let same = |meta: &Meta| recorded.is_none_or(|signature| signature == meta.signature);
    match current {
        Some(meta) if same(&meta) => {
            builder.tree.add_file(at, meta, Tree::host(at, &meta), timed(meta.seconds()), tag);
            if recorded.is_none() && verdict.class == Class::Dataset {
                builder.warnings.push(format!(
                    "{} goes in as it is now: the recording does not say what it was when it was read",
                    display_bytes(at)
                ));
            }
        }
        // Executables and libraries are looked at by their file; that they are not the same is rare and said.
        other => {
            let cell = what.execution.map_or_else(String::new, |id| format!(" in execution {id}"));
            let why = match other {
                Some(_) => format!("Changed since it was read{cell}, and no copy was kept."),
                None if !answers(paths::as_path(at)) => {
                    format!("Its file system does not answer, and no copy of what was read{cell} was kept.")
                }
                None => format!("Gone since it was read{cell}, and no copy was kept."),
            };
            builder.warnings.push(format!("{} is not in: {}", display_bytes(at), why.to_lowercase()));
            let verdict = Verdict { rule: "changed", ..verdict.clone() };
            builder.leave_out_because(at, &verdict, why);
            if verdict.class == Class::NativeLibrary {
                system.require(builder, at);
            }
        }
    }
}

/// The component of a touched file was loaded.
fn mark_loaded(builder: &mut Builder<'_>, component: Option<usize>) {
    if let Some(component) = component.and_then(|index| builder.components.get_mut(index)) {
        component.loaded = true;
        component.dependency = false;
    }
}

/// Where a path that is gone would lie: its nearest directory that exists, resolved, and the rest.
fn resolve_missing(builder: &mut Builder<'_>, path: &[u8]) -> Vec<u8> {
    let folded = paths::fold(path);
    let mut dir = paths::parent(&folded);
    loop {
        if let Some(found) = builder.tree.resolve(dir) {
            let rest = folded.get(dir.len()..).unwrap_or_default();
            return paths::join(&found.path, rest.strip_prefix(b"/").unwrap_or(rest));
        }
        if dir == b"/" {
            return folded;
        }
        dir = paths::parent(dir);
    }
}

/// A directory that was opened: it exists, and below the notebook's directory its names go in.
fn add_listed(builder: &mut Builder<'_>, name: &[u8], dir: &[u8], what: &Touched) {
    if paths::below(dir, b"/etc") {
        add_switches(builder, dir);
    }
    if builder.in_environment(dir) || builder.packages.owner(dir).is_some() || paths::below(dir, b"/usr") || dir == b"/"
    {
        return;
    }
    let usage = Usage { listed: true, ..what.usage };
    let verdict = builder.classify(&FactsSeed { path: dir, place: Place::Elsewhere, usage });
    if !verdict.goes_in || what.usage.created {
        return;
    }
    if let Some(found) = builder.tree.resolve(name) {
        builder.tree.add_links(&found.links);
    }
    let tag = Tag { touched: true, ..Tag::new(Class::Listing, "listing") };
    builder.tree.add_directory(dir, tag);
    let base = notebook_directory(builder);
    if !paths::below(dir, &base) || dir == builder.context.home {
        return;
    }
    let mut names: Vec<Vec<u8>> = fs::read_dir(paths::as_path(dir))
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().into_vec())
        .collect();
    if names.len() > LISTING_LIMIT {
        builder.warnings.push(format!(
            "{} has {} names: listing it again will find only those that were read",
            display_bytes(dir),
            names.len()
        ));
        return;
    }
    names.sort_unstable();
    let started = builder.recording.info.started;
    for name in names {
        let path = paths::join(dir, &name);
        let is_new = fs::symlink_metadata(paths::as_path(&path))
            .and_then(|metadata| metadata.created())
            .is_ok_and(|born| nanos(born) >= started);
        let Some(found) = builder.tree.resolve(&path) else { continue };
        let tag = Tag::new(Class::Listing, "listing");
        let usage = Usage { ordinary: true, listed: true, ..Usage::default() };
        let verdict = builder.classify(&FactsSeed { path: &found.path, place: Place::Elsewhere, usage });
        if is_new || !verdict.goes_in || builder.is_excluded(&path) || builder.in_environment(&found.path) {
            continue;
        }
        match found.node {
            Node::Directory if found.path == path => builder.tree.add_directory(&path, tag),
            Node::File(_) if found.path == path => builder.pending_names.push((path, tag)),
            _ => {}
        }
    }
}

/// Links in a listed directory of `/etc` to files that are in. Package scripts switch configuration on by such links
/// (`/etc/fonts/conf.d`), no package lists them, and who reads through one may have resolved it first.
fn add_switches(builder: &mut Builder<'_>, dir: &[u8]) {
    for entry in fs::read_dir(paths::as_path(dir)).into_iter().flatten().filter_map(Result::ok) {
        if !entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
            continue;
        }
        let path = paths::join(dir, &entry.file_name().into_vec());
        if let Some(found) = builder.tree.resolve(&path)
            && builder.tree.entry(&found.path).is_some()
            && !builder.is_excluded(&path)
        {
            builder.tree.add_links(&found.links);
        }
    }
}

/// Adds the names that nothing else brought in: content always wins over a name.
pub(crate) fn add_pending_names(builder: &mut Builder<'_>) {
    for (path, tag) in std::mem::take(&mut builder.pending_names) {
        if builder.tree.entry(&path).is_none() {
            builder.tree.add_placeholder(&path, tag);
        }
    }
}

fn nanos(time: std::time::SystemTime) -> i64 {
    time.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

fn notebook_directory(builder: &Builder<'_>) -> Vec<u8> {
    builder.context.notebook.as_deref().map_or_else(|| builder.context.cwd.clone(), |path| paths::parent(path).to_vec())
}

/// Directories above a written path that existed before the session: `open('results/x.csv', 'w')` needs `results/`.
fn add_parents(builder: &mut Builder<'_>, name: &[u8]) {
    let Some(found) = builder.tree.resolve(paths::parent(name)) else { return };
    if builder.in_environment(&found.path) || is_pseudo(&found.path) {
        return;
    }
    let born = fs::metadata(paths::as_path(&found.path)).and_then(|metadata| metadata.created());
    // A file system without birth times: the directory is taken for old, as almost all are.
    if born.is_ok_and(|born| nanos(born) >= builder.recording.info.started) {
        add_parents(builder, &found.path);
        return;
    }
    builder.tree.add_links(&found.links);
    builder.tree.add_directory(&found.path, Tag::new(Class::SystemState, "empty-directory"));
}

/// Born after the session began.
pub(crate) fn is_made_here(builder: &Builder<'_>, path: &[u8]) -> bool {
    fs::symlink_metadata(paths::as_path(path))
        .and_then(|metadata| metadata.created())
        .is_ok_and(|born| nanos(born) >= builder.recording.info.started)
}

/// Adds what `[export] include` names: files below the working directory that match, or absolute paths.
pub(crate) fn add_included(builder: &mut Builder<'_>) {
    if builder.options.includes.is_empty() {
        return;
    }
    let mut waiting = vec![builder.context.cwd.clone()];
    waiting.extend(
        builder
            .options
            .includes
            .iter()
            .filter(|glob| glob.text().starts_with('/') && !glob.text().contains(['*', '?']))
            .map(|glob| glob.text().as_bytes().to_vec()),
    );
    let mut seen = 0_usize;
    while let Some(path) = waiting.pop() {
        seen += 1;
        if seen > 200_000 {
            builder
                .warnings
                .push("more than 200,000 files below the working directory: includes may be incomplete".into());
            break;
        }
        let Some(found) = builder.tree.resolve(&path) else { continue };
        match found.node {
            Node::Directory if found.path == path && !builder.in_environment(&path) => {
                let names = fs::read_dir(paths::as_path(&path)).into_iter().flatten().filter_map(Result::ok);
                waiting.extend(names.map(|entry| paths::join(&path, &entry.file_name().into_vec())));
            }
            Node::File(meta) if matches_any(&builder.options.includes, &path, &builder.context) => {
                let usage = Usage { ordinary: true, read: true, ..Usage::default() };
                let verdict = builder.classify(&FactsSeed { path: &found.path, place: Place::Elsewhere, usage });
                if matches!(verdict.class, Class::Private | Class::PseudoFile) {
                    builder.leave_out(&found.path, &verdict);
                    continue;
                }
                builder.tree.add_links(&found.links);
                let (source, tag) = (Tree::host(&found.path, &meta), Tag::new(verdict.class, "include"));
                builder.tree.add_file(&found.path, meta, source, Some(meta.seconds()), tag);
            }
            _ => {}
        }
    }
}

/// Adds the source trees of editable installations: local modules, without what version control and builds keep.
pub(crate) fn add_editable(builder: &mut Builder<'_>) {
    for source in std::mem::take(&mut builder.editable) {
        let Some(root) = builder.tree.resolve(&source) else { continue };
        builder.tree.add_links(&root.links);
        let mut waiting = vec![root.path];
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(paths::as_path(&dir)).into_iter().flatten().filter_map(Result::ok) {
                let name = entry.file_name().into_vec();
                let path = paths::join(&dir, &name);
                let skipped: &[&[u8]] = &[b"__pycache__", b"node_modules", b"build", b"dist", b"target"];
                let Ok(kind) = entry.file_type() else { continue };
                let entered = !name.starts_with(b".") && !skipped.contains(&name.as_slice());
                if kind.is_dir() && entered && !builder.in_environment(&path) {
                    waiting.push(path);
                } else if kind.is_file() {
                    add_editable_file(builder, &path);
                }
            }
        }
    }
}

fn add_editable_file(builder: &mut Builder<'_>, path: &[u8]) {
    let Some(Node::File(meta)) = super::tree::lstat(path) else { return };
    let usage = Usage { ordinary: true, read: true, ..Usage::default() };
    let verdict = builder.classify(&FactsSeed { path, place: Place::Elsewhere, usage });
    // Data beside the code belongs to the package too, up to the size of a module.
    let small = meta.signature.size <= named::LIMIT;
    if verdict.goes_in && small && !builder.is_excluded(path) {
        let tag = Tag::new(Class::LocalModule, "local-module");
        builder.tree.add_file(path, meta, Tree::host(path, &meta), Some(meta.seconds()), tag);
    }
}
