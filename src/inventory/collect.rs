//! Walks an environment and adds what belongs to it.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::{ffi::OsStringExt as _, fs::FileExt as _},
};

use super::{
    builder::Builder,
    distributions::{self, Distribution},
    environment::{Environment, Kind},
    model::{Class, Source},
    paths, record,
    rules::{self, Facts, Place, Usage},
    tree::{Meta, Tag, Tree},
};
use crate::files;

/// Larger files are not searched for the prefix.
const SEARCH_LIMIT: u64 = 64 << 20;

/// An environment with its owners, ready to be walked.
#[derive(Debug)]
pub(crate) struct Collection<'a> {
    environment: &'a Environment,
    /// Path → component.
    owners: HashMap<Vec<u8>, usize>,
    /// Files that an installer wrote the prefix into (conda says which).
    prefixed: HashSet<Vec<u8>>,
    /// Prefixes of all environments: nested ones are not entered.
    nested: Vec<Vec<u8>>,
}

/// Adds everything of one environment that goes in. `touched` says whether the session used a path.
pub(crate) fn collect(
    builder: &mut Builder<'_>,
    environment: &Environment,
    all: &[Environment],
    touched: &dyn Fn(&[u8]) -> bool,
) {
    let (mut found, prefixed) = match environment.kind {
        Kind::Conda => distributions::read_conda(&environment.prefix),
        Kind::RLibrary => (distributions::read_r_library(&environment.prefix), Vec::new()),
        _ => (Vec::new(), Vec::new()),
    };
    let by_conda = found.len();
    // A conda package of a Python distribution brings its dist-info: it is one thing, by the name that conda knows.
    let of_conda: HashSet<Vec<u8>> = found.iter().flat_map(|one| one.files.iter().cloned()).collect();
    for site in &environment.sites {
        let says = |file: &&Vec<u8>| matches!(paths::name(file), b"METADATA" | b"PKG-INFO");
        let is_condas = |one: &Distribution| one.files.iter().filter(says).any(|file| of_conda.contains(file));
        found.extend(distributions::read_site(site).into_iter().filter(|one| !is_condas(one)));
    }
    let loaded: Vec<usize> = (0..found.len())
        .filter(|&index| found.get(index).is_some_and(|one| one.files.iter().any(|file| touched(file))))
        .collect();
    let all_of_it = environment.everything || builder.options.all_installed;
    let wanted: Vec<usize> =
        if all_of_it { (0..found.len()).collect() } else { distributions::closure(&found, &loaded) };
    let mut owners = HashMap::new();
    let mut extra = Vec::new();
    for &index in &wanted {
        let Some(distribution) = found.get(index) else { continue };
        let mut component = distribution.component.clone();
        component.loaded = loaded.binary_search(&index).is_ok();
        component.dependency = !all_of_it && !component.loaded;
        let at = builder.add_component(component);
        for file in &distribution.files {
            // Inside a conda prefix conda's own list wins over what was installed over it.
            if index < by_conda || !owners.contains_key(file) {
                owners.insert(file.clone(), at);
            }
            extra.push(file.clone());
        }
        if let Some(source) = &distribution.editable {
            builder.editable.push(source.clone());
        }
    }
    let collection = Collection {
        environment,
        owners,
        prefixed: prefixed.into_iter().collect(),
        nested: all
            .iter()
            .map(|other| other.prefix.clone())
            .filter(|prefix| paths::relative(prefix, &environment.prefix).is_some())
            .collect(),
    };
    for start in collection.starts() {
        collection.walk(builder, &start);
    }
    // What the walk did not pass: a shared prefix's share/ and etc/, distributions of a base that were loaded.
    let mut by_directory: Vec<Vec<u8>> = Vec::new();
    for file in extra {
        collection.add_owned(builder, &file, &mut by_directory);
    }
    for dir in by_directory {
        collection.add_bytecode(builder, &dir);
    }
    if environment.kind == Kind::Venv && environment.shared {
        for name in [&b"pyvenv.cfg"[..], b"lib64"] {
            collection.add_owned(builder, &paths::join(&environment.prefix, name), &mut Vec::new());
        }
    }
}

impl Collection<'_> {
    /// The directories that are walked.
    fn starts(&self) -> Vec<Vec<u8>> {
        let environment = self.environment;
        let below = |names: &[&[u8]]| names.iter().map(|name| paths::join(&environment.prefix, name)).collect();
        match environment.kind {
            Kind::Site | Kind::RLibrary => Vec::new(),
            Kind::InPlace => {
                let mut starts: Vec<Vec<u8>> = below(&[b"bin", b"lib"]);
                starts.extend(environment.standard.clone());
                starts
            }
            _ if environment.shared => {
                let mut starts: Vec<Vec<u8>> = below(&[b"bin"]);
                starts.extend(environment.standard.clone());
                starts.extend(environment.sites.iter().filter(|_| environment.everything).cloned());
                starts
            }
            _ => vec![environment.prefix.clone()],
        }
    }

    /// Whether a directory is entered.
    fn enters(&self, dir: &[u8]) -> bool {
        let environment = self.environment;
        if self.nested.iter().any(|nested| nested == dir) || paths::name(dir) == b"__pycache__" {
            return false;
        }
        let bare = matches!(environment.kind, Kind::Interpreter | Kind::InPlace);
        if environment.sites.iter().any(|site| site == dir) {
            return environment.everything;
        }
        let Some(rest) = paths::relative(dir, &environment.prefix) else { return true };
        if environment.kind == Kind::Conda && [&b"pkgs"[..], b"envs", b"conda-bld"].contains(&rest) {
            return false;
        }
        if environment.kind == Kind::InPlace && rest.starts_with(b"lib/") {
            return environment.standard.iter().any(|standard| paths::below(dir, standard)) && !is_test_suite(dir);
        }
        let manual = bare && [&b"share/man"[..], b"share/doc", b"man"].contains(&rest);
        let tests = self.in_standard(dir) && is_test_suite(dir);
        !manual && !tests
    }

    fn in_standard(&self, path: &[u8]) -> bool {
        self.environment.standard.iter().any(|dir| paths::below(path, dir))
            && !self.environment.sites.iter().any(|site| paths::below(path, site))
    }

    /// Whether a file goes in that nobody asked for.
    fn takes(&self, path: &[u8]) -> bool {
        let environment = self.environment;
        let name = paths::name(path);
        // A static library is for building Python itself; only development packages have it.
        if name.starts_with(b"libpython") && name.ends_with(b".a") {
            return false;
        }
        let dir = paths::parent(path);
        if paths::name(dir) == b"test" && environment.standard.iter().any(|lib| paths::parent(dir) == lib.as_slice()) {
            return name == b"__init__.py";
        }
        let Some(rest) = paths::relative(path, &environment.prefix) else { return true };
        let in_bin = rest.starts_with(b"bin/");
        let of_python = [&b"python"[..], b"pydoc", b"2to3", b"idle", b"activate", b"Activate", b"pip", b"pypy"]
            .iter()
            .any(|begin| name.starts_with(begin));
        match environment.kind {
            Kind::InPlace if rest.starts_with(b"lib/") => {
                self.in_standard(path) || name.starts_with(b"libpython") || environment.everything && self.in_site(path)
            }
            _ if environment.shared && in_bin => of_python || self.owners.contains_key(path),
            Kind::InPlace => in_bin && (of_python && !name.starts_with(b"pip") || self.owners.contains_key(path)),
            Kind::Interpreter if !environment.everything && in_bin => {
                of_python && !name.starts_with(b"pip") || self.owners.contains_key(path)
            }
            _ => true,
        }
    }

    fn in_site(&self, path: &[u8]) -> bool {
        self.environment.sites.iter().any(|site| paths::below(path, site))
    }

    /// Adds the files below a directory (resolved).
    fn walk(&self, builder: &mut Builder<'_>, start: &[u8]) {
        let mut waiting = vec![start.to_vec()];
        while let Some(dir) = waiting.pop() {
            let Ok(listing) = fs::read_dir(paths::as_path(&dir)) else { continue };
            let mut sources: HashMap<Vec<u8>, Meta> = HashMap::new();
            let (mut compiled, mut empty) = (false, true);
            // Sorted: what a file is must not depend on the order in which the disk lists it.
            let mut listing: Vec<_> =
                listing.filter_map(Result::ok).map(|entry| (entry.file_name().into_vec(), entry)).collect();
            listing.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            for (name, entry) in listing {
                let Ok(kind) = entry.file_type() else { continue };
                let path = paths::join(&dir, &name);
                empty = false;
                if kind.is_dir() {
                    compiled |= name == b"__pycache__";
                    if self.enters(&path) {
                        waiting.push(path);
                    }
                } else if kind.is_symlink() {
                    self.add_symlink(builder, &path);
                } else if kind.is_file()
                    && self.takes(&path)
                    && let Ok(metadata) = entry.metadata()
                {
                    let meta = Meta::of(&metadata);
                    if name.ends_with(b".py") {
                        sources.insert(name, meta);
                    }
                    self.add(builder, &path, meta);
                }
            }
            if compiled {
                self.add_compiled(builder, &dir, &sources);
            }
            if empty {
                builder.tree.add_directory(&dir, Tag::new(Class::Environment, "environment"));
            }
        }
    }

    fn add_symlink(&self, builder: &mut Builder<'_>, path: &[u8]) {
        if !self.takes(path) {
            return;
        }
        let Some(found) = builder.tree.resolve(path) else { return };
        let class = builder.classify(&FactsSeed::untouched(path, self.place(path, None)));
        if let Some((at, text)) = found.links.iter().find(|(at, _)| at == path) {
            let component = self.owners.get(path).copied();
            builder.tree.add_link(at, text, Tag { class: class.class, rule: class.rule, component, touched: false });
        }
        builder.tree.add_links(&found.links);
        if paths::relative(&found.path, &self.environment.prefix).is_none() {
            builder.needs.push(found.path);
        }
    }

    /// Where a file of this environment lies. `meta` is given for regular files: only those are searched.
    fn place(&self, path: &[u8], meta: Option<&Meta>) -> Place {
        let name = paths::name(path);
        let owned = self.owners.contains_key(path);
        let in_dist_info = paths::name(paths::parent(path)).ends_with(b".dist-info");
        if in_dist_info && record::BY_INSTALLERS.iter().any(|written| written.as_bytes() == name) {
            return Place::InstallerRecord;
        }
        if name == b"pyvenv.cfg" || (self.environment.kind == Kind::Conda && paths::has_component(path, b"conda-meta"))
        {
            return Place::Environment;
        }
        if self.prefixed.contains(path) || meta.is_some_and(|meta| self.holds_prefix(path, meta)) {
            return Place::Prefixed;
        }
        let standard = self.in_standard(path);
        if self.environment.kind == Kind::Conda && owned && !standard {
            return Place::Distribution;
        }
        let rest = paths::relative(path, &self.environment.prefix).unwrap_or_default();
        if standard {
            Place::StandardLibrary
        } else if owned {
            Place::Distribution
        } else if self.environment.kind != Kind::Venv && !self.in_site(path)
            || (rest.starts_with(b"bin/python") && self.environment.kind == Kind::Venv)
        {
            Place::Interpreter
        } else {
            Place::Environment
        }
    }

    /// Searches the few files that installers and builds write the prefix into. Wheels cannot hold it.
    fn holds_prefix(&self, path: &[u8], meta: &Meta) -> bool {
        let environment = self.environment;
        if environment.kind == Kind::Conda || meta.signature.size > SEARCH_LIMIT {
            return false;
        }
        let Some(rest) = paths::relative(path, &environment.prefix) else { return false };
        let name = paths::name(path);
        let loose = |site: &Vec<u8>| paths::parent(path) == site.as_slice();
        let candidate = if self.in_site(path) {
            environment.sites.iter().any(loose)
                && (name.ends_with(b".pth") || name.ends_with(b".egg-link") || name.starts_with(b"__editable__"))
        } else if self.in_standard(path) {
            name.starts_with(b"_sysconfigdata") || memchr::memmem::find(rest, b"/config-").is_some()
        } else {
            rest.starts_with(b"bin/") || !rest.starts_with(b"include/")
        };
        candidate
            && files::read_bounded(paths::as_path(path), SEARCH_LIMIT)
                .is_ok_and(|bytes| memchr::memmem::find(&bytes, &environment.prefix).is_some())
    }

    fn add(&self, builder: &mut Builder<'_>, path: &[u8], meta: Meta) {
        let facts = FactsSeed::untouched(path, self.place(path, Some(&meta)));
        let verdict = builder.classify(&facts);
        if !verdict.goes_in || builder.is_excluded(path) {
            if verdict.class == Class::Private {
                builder.leave_out(path, &verdict);
            }
            return;
        }
        let component = self.owners.get(path).copied();
        let tag = Tag { class: verdict.class, rule: verdict.rule, component, touched: false };
        builder.tree.add_file(path, meta, Tree::host(path, &meta), None, tag);
        if rules::is_shared_library(path) || (meta.executable && paths::has_component(path, b"bin")) {
            builder.natives.push(path.to_vec());
        }
    }

    /// A file that a distribution owns, wherever it lies.
    fn add_owned(&self, builder: &mut Builder<'_>, path: &[u8], directories: &mut Vec<Vec<u8>>) {
        if builder.tree.entry(path).is_some() {
            return;
        }
        let Some(found) = builder.tree.resolve(path) else { return };
        builder.tree.add_links(&found.links);
        let super::tree::Node::File(meta) = found.node else { return };
        if builder.tree.entry(&found.path).is_some() {
            return;
        }
        let verdict = builder.classify(&FactsSeed::untouched(&found.path, self.place(path, Some(&meta))));
        if !verdict.goes_in || builder.is_excluded(&found.path) {
            return;
        }
        let component = self.owners.get(path).copied();
        let tag = Tag { class: verdict.class, rule: verdict.rule, component, touched: false };
        builder.tree.add_file(&found.path, meta, Tree::host(&found.path, &meta), None, tag);
        if rules::is_shared_library(path) {
            builder.natives.push(found.path.clone());
        }
        let dir = paths::parent(&found.path);
        if found.path.ends_with(b".py") && directories.last().is_none_or(|last| last != dir) {
            directories.push(dir.to_vec());
        }
    }

    /// Bytecode of the sources in `dir` that went in.
    fn add_bytecode(&self, builder: &mut Builder<'_>, dir: &[u8]) {
        let sources = builder.sources_in(dir);
        self.add_compiled(builder, dir, &sources);
    }

    fn add_compiled(&self, builder: &mut Builder<'_>, dir: &[u8], sources: &HashMap<Vec<u8>, Meta>) {
        let owner = |source: &[u8]| self.owners.get(source).copied();
        let place = |source: &[u8]| self.place(source, None);
        add_compiled(builder, dir, sources, &owner, &|builder, source| {
            builder.classify(&FactsSeed::untouched(source, place(source))).class
        });
    }
}

/// What `classify` needs of a file but the context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FactsSeed<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) place: Place,
    pub(crate) usage: Usage,
}

impl<'a> FactsSeed<'a> {
    /// A file that goes in with its owner.
    pub(crate) fn untouched(path: &'a [u8], place: Place) -> Self {
        Self { path, place, usage: Usage { ordinary: true, ..Usage::default() } }
    }

    /// With the context.
    pub(crate) fn facts(&self, context: &'a rules::Context) -> Facts<'a> {
        Facts { path: self.path, place: self.place, usage: self.usage, context }
    }
}

/// A test suite inside the standard library: Debian leaves it out too, `test/support` excepted.
fn is_test_suite(dir: &[u8]) -> bool {
    let parent = paths::parent(dir);
    let name = paths::name(dir);
    (paths::name(parent) == b"test" && name != b"support")
        || ([&b"tests"[..], b"idle_test"].contains(&name) && !paths::has_component(dir, b"site-packages"))
}

/// Adds the valid `.pyc` files of `dir/__pycache__`: those whose source is in `sources` with the time and size that
/// their header names (PEP 552), outside test directories.
pub(crate) fn add_compiled(
    builder: &mut Builder<'_>,
    dir: &[u8],
    sources: &HashMap<Vec<u8>, Meta>,
    owner: &dyn Fn(&[u8]) -> Option<usize>,
    class: &dyn Fn(&Builder<'_>, &[u8]) -> Class,
) {
    if paths::has_component(dir, b"tests") || paths::has_component(dir, b"test") {
        return;
    }
    let cache = paths::join(dir, b"__pycache__");
    let Ok(listing) = fs::read_dir(paths::as_path(&cache)) else { return };
    for entry in listing.filter_map(Result::ok) {
        let name = entry.file_name().into_vec();
        let Some(stem) = files::compiled_stem(&name).filter(|_| builder.keeps(&name)) else { continue };
        let source_name = [stem, b".py"].concat();
        let Some(source) = sources.get(&source_name) else { continue };
        let path = paths::join(&cache, &name);
        let Ok(metadata) = entry.metadata() else { continue };
        if !metadata.is_file() || !is_current(&path, source) {
            continue;
        }
        let source_path = paths::join(dir, &source_name);
        let class = class(builder, &source_path);
        let filename = [b"/", builder.tree.image_path(&source_path).as_slice()].concat();
        let meta = Meta { executable: false, ..Meta::of(&metadata) };
        let bytecode = Source::Bytecode { path: paths::to_path(&path), signature: meta.signature, filename };
        let tag = Tag { class, rule: "bytecode", component: owner(&source_path), touched: false };
        builder.tree.add_file(&path, meta, bytecode, None, tag);
    }
}

impl Builder<'_> {
    /// `-O` bytecode is used only by an interpreter that was started so.
    fn keeps(&self, name: &[u8]) -> bool {
        let optimised = memchr::memmem::find(name, b".opt-").is_some();
        let asked = self.recording.environment.get("PYTHONOPTIMIZE").is_some_and(Option::is_some)
            || self.recording.info.argv.iter().any(|word| word == "-O" || word == "-OO");
        optimised == asked
    }
}

/// The header's flags are 0 and time and size are the source's, or it is checked by hash and not by time.
fn is_current(path: &[u8], source: &Meta) -> bool {
    let Ok(file) = files::open(paths::as_path(path)) else { return false };
    let mut header = [0_u8; 16];
    if file.read_exact_at(&mut header, 0).is_err() {
        return false;
    }
    let word = |at: usize| header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    match word(4) {
        0 => {
            // Both are kept modulo 2^32.
            i64::from(word(8)) == source.seconds() & 0xffff_ffff
                && u64::from(word(12)) == source.signature.size & 0xffff_ffff
        }
        flags => flags & 1 == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_bytecode_is_found_by_name() {
        assert_eq!(files::compiled_stem(b"a.b.cpython-311.opt-1.pyc"), Some(&b"a.b"[..]));
        assert_eq!(files::compiled_stem(b"x.cpython-312.pyc"), Some(&b"x"[..]));
        assert_eq!(files::compiled_stem(b"x.py"), None);
        assert_eq!(files::compiled_stem(b"x.cpython-312.pyc.1234"), None);
    }

    #[test]
    fn bytecode_of_another_time_or_size_is_stale() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.cpython-311.pyc");
        let signature = files::Signature { dev: 0, ino: 0, size: 7, mtime_ns: 5_900_000_000, ctime_ns: 0 };
        let source = Meta { signature, executable: false };
        let write = |flags: u32, time: u32, size: u32| {
            let header: Vec<u8> = [0_u32, flags, time, size].iter().flat_map(|word| word.to_le_bytes()).collect();
            fs::write(&path, header).unwrap();
            is_current(paths::bytes(&path), &source)
        };
        assert!(write(0, 5, 7));
        assert!(!write(0, 6, 7));
        assert!(!write(0, 5, 8));
        assert!(write(1, 0, 0));
        fs::write(&path, b"short").unwrap();
        assert!(!is_current(paths::bytes(&path), &source));
    }

    #[test]
    fn only_the_support_code_of_the_test_suite_stays() {
        assert!(is_test_suite(b"/p/lib/python3.11/test/data"));
        assert!(!is_test_suite(b"/p/lib/python3.11/test/support"));
        assert!(!is_test_suite(b"/p/lib/python3.11/unittest"));
        assert!(is_test_suite(b"/p/lib/python3.11/sqlite3/tests"));
    }
}
