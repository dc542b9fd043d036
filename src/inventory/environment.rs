//! Finds the environments that a session's interpreters ran in: virtual environments and their bases, conda
//! environments, interpreters outside the system's packages, and single `site-packages` directories.
//!
//! Looks only at files: the kernel's argv, what was run, `pyvenv.cfg` and `conda-meta`.

use std::{collections::BTreeSet, fs};

use super::{
    paths,
    rules::Context,
    tree::{Node, Tree},
};
use crate::{
    files,
    session::model::{Recording, Use},
};

/// Sorts of environments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Made by `venv` or `virtualenv`: has `pyvenv.cfg`.
    Venv,
    /// Has `conda-meta`.
    Conda,
    /// A prefix with an interpreter and its standard library, owned by no package manager.
    Interpreter,
    /// The same in `/usr/local`: stays where it is.
    InPlace,
    /// A `site-packages` directory that no known interpreter's prefix holds (`~/.local`, a `.pth` target).
    Site,
    /// A directory of R packages that no system package owns.
    RLibrary,
}

/// One environment.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its prefix, resolved; for [`Kind::Site`] the directory itself.
    pub(crate) prefix: Vec<u8>,
    /// The prefix holds files of the user: only its `site-packages` can be moved.
    pub(crate) shared: bool,
    /// All its distributions go in, not only those that were loaded.
    pub(crate) everything: bool,
    /// Its `site-packages` directories, resolved.
    pub(crate) sites: Vec<Vec<u8>>,
    /// Its `lib/pythonX.Y` directories that hold a standard library, resolved.
    pub(crate) standard: Vec<Vec<u8>>,
    /// What of this machine must be there for it to start: the interpreter's path with its links.
    pub(crate) needs: Vec<Vec<u8>>,
}

impl Environment {
    /// A `site-packages` directory by itself.
    fn of_directory(directory: Vec<u8>) -> Self {
        Self {
            kind: Kind::Site,
            prefix: directory.clone(),
            shared: false,
            everything: false,
            sites: vec![directory],
            standard: Vec::new(),
            needs: Vec::new(),
        }
    }

    /// The word in the bundle.
    pub(crate) fn word(&self) -> &'static str {
        match self.kind {
            _ if self.shared => "site-packages",
            Kind::Venv => "venv",
            Kind::Conda => "conda",
            Kind::Interpreter | Kind::InPlace => "interpreter",
            Kind::Site => "site-packages",
            Kind::RLibrary => "r-library",
        }
    }

    /// The directories that move to the canonical root, each with its place below it.
    pub(crate) fn moved(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        match self.kind {
            Kind::InPlace => Vec::new(),
            // Nothing in `/usr` moves.
            Kind::RLibrary if paths::below(&self.prefix, b"/usr") => Vec::new(),
            Kind::RLibrary => vec![(self.prefix.clone(), b"library".to_vec())],
            Kind::Site => {
                let lib = paths::name(paths::parent(&self.prefix));
                vec![(self.prefix.clone(), [b"lib/", lib, b"/", paths::name(&self.prefix)].concat())]
            }
            _ if self.shared => self
                .sites
                .iter()
                .filter_map(|site| Some((site.clone(), paths::relative(site, &self.prefix)?.to_vec())))
                .collect(),
            _ => vec![(self.prefix.clone(), Vec::new())],
        }
    }
}

/// All environments of a session; the kernel's own first, then its base, then others as they were first run.
pub(crate) fn find(recording: &Recording, context: &Context, tree: &mut Tree) -> Vec<Environment> {
    let mut found = Vec::new();
    for program in candidates(recording) {
        // A kernel may be started through a script (pyenv's shims): the first interpreter is its own then.
        let kernel = found.is_empty();
        add_python(&program, kernel, &mut found, tree);
    }
    for library in r_libraries(recording, tree) {
        found.push(Environment { kind: Kind::RLibrary, sites: Vec::new(), ..Environment::of_directory(library) });
    }
    for site in loose_sites(recording, &found, tree) {
        found.push(Environment::of_directory(site));
    }
    let held: Vec<Vec<u8>> = held_paths(recording, context, tree);
    let prefixes: Vec<Vec<u8>> = found.iter().map(|environment| environment.prefix.clone()).collect();
    for environment in &mut found {
        let own = |path: &Vec<u8>| {
            let nearest = prefixes.iter().filter(|prefix| paths::below(path, prefix)).max_by_key(|prefix| prefix.len());
            nearest == Some(&environment.prefix) && is_foreign(path, &environment.prefix)
        };
        environment.shared = !matches!(environment.kind, Kind::Site | Kind::RLibrary) && held.iter().any(own);
    }
    found
}

/// Programs that may be interpreters: the kernel's own first.
fn candidates(recording: &Recording) -> Vec<Vec<u8>> {
    let mut programs: Vec<Vec<u8>> = Vec::new();
    let path = recording.environment.get("PATH").cloned().flatten().unwrap_or_default();
    if let Some(program) = recording.info.argv.first() {
        programs.extend(find_program(program.as_bytes(), &path));
    }
    let ran = recording.processes.iter().flat_map(|process| process.argv.first().into_iter().chain([&process.exe]));
    let named = recording.files.iter().filter(|file| file.usage == Use::Exec).map(|file| &file.path);
    for program in ran.chain(named) {
        if program.starts_with(b"/") && !programs.contains(program) {
            programs.push(program.clone());
        }
    }
    programs
}

/// A program as the shell would find it.
pub(crate) fn find_program(program: &[u8], path: &str) -> Option<Vec<u8>> {
    if program.contains(&b'/') {
        return program.starts_with(b"/").then(|| program.to_vec());
    }
    path.split(':')
        .filter(|dir| dir.starts_with('/'))
        .map(|dir| paths::join(dir.as_bytes(), program))
        .find(|candidate| paths::as_path(candidate).is_file())
}

/// Adds the environment of a program that the session itself did not run, with all its distributions.
pub(crate) fn add_program(program: &[u8], found: &mut Vec<Environment>, tree: &mut Tree) {
    add_python(program, true, found, tree);
}

fn add_python(program: &[u8], kernel: bool, found: &mut Vec<Environment>, tree: &mut Tree) {
    let Some(environment) = look(program, tree) else { return };
    if let Some(known) = found.iter_mut().find(|known| known.prefix == environment.prefix) {
        known.needs.extend(environment.needs);
        return;
    }
    let (kind, prefix) = (environment.kind, environment.prefix.clone());
    let everything = kernel || matches!(kind, Kind::Venv | Kind::Conda);
    found.push(Environment { everything, ..environment });
    if kind == Kind::Venv {
        let config = parse_config(&paths::join(&prefix, b"pyvenv.cfg"));
        let get = |key: &str| config.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone().into_bytes());
        let home = get("home").unwrap_or_default();
        let base = [get("executable"), Some(paths::join(&home, b"python3")), Some(paths::join(&home, b"python"))]
            .into_iter()
            .flatten()
            .find(|path| path.starts_with(b"/") && paths::as_path(path).is_file());
        if let Some(base) = base {
            // The interpreter starts from `home`, whatever `executable` says: both must be there.
            if let Some(venv) = found.iter_mut().find(|known| known.prefix == prefix) {
                venv.needs.push(base.clone());
            }
            add_python(&base, false, found, tree);
        }
    }
}

/// The environment that a program belongs to; `None` for programs of the system and for everything that is no Python.
fn look(program: &[u8], tree: &mut Tree) -> Option<Environment> {
    let file = tree.resolve(program)?;
    let bin = tree.resolve(paths::parent(program))?;
    let near = paths::parent(&bin.path).to_vec();
    let far = paths::parent(paths::parent(&file.path)).to_vec();
    let is_file = |dir: &[u8], name: &[u8]| paths::as_path(&paths::join(dir, name)).is_file();
    let is_dir = |dir: &[u8], name: &[u8]| paths::as_path(&paths::join(dir, name)).is_dir();
    let (kind, prefix) = if is_file(&near, b"pyvenv.cfg") {
        (Kind::Venv, near)
    } else if is_dir(&near, b"conda-meta") {
        (Kind::Conda, near)
    } else if is_file(&far, b"pyvenv.cfg") {
        (Kind::Venv, far)
    } else if is_dir(&far, b"conda-meta") {
        (Kind::Conda, far)
    } else if paths::name(&file.path).starts_with(b"python") && far != b"/usr" && far != b"/" {
        (if far == b"/usr/local" { Kind::InPlace } else { Kind::Interpreter }, far)
    } else {
        return None;
    };
    let (sites, standard) = libraries(&prefix, tree);
    if standard.is_empty() && matches!(kind, Kind::Interpreter | Kind::InPlace) {
        return None;
    }
    Some(Environment { kind, prefix, shared: false, everything: false, sites, standard, needs: vec![program.to_vec()] })
}

/// `lib/pythonX.Y/site-packages`, and those `lib/pythonX.Y` that hold a standard library.
fn libraries(prefix: &[u8], tree: &mut Tree) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut sites, mut standard) = (BTreeSet::new(), BTreeSet::new());
    for lib in [&b"lib"[..], b"lib64"] {
        let lib = paths::join(prefix, lib);
        for entry in fs::read_dir(paths::as_path(&lib)).into_iter().flatten().filter_map(Result::ok) {
            let name = entry.file_name().into_encoded_bytes();
            if !(name.starts_with(b"python") || name.starts_with(b"pypy")) {
                continue;
            }
            let Some(dir) = tree.resolve(&paths::join(&lib, &name)).filter(|dir| dir.node == Node::Directory) else {
                continue;
            };
            if paths::as_path(&paths::join(&dir.path, b"os.py")).is_file() {
                standard.insert(dir.path.clone());
            }
            for site in [&b"site-packages"[..], b"dist-packages"] {
                let site = tree.resolve(&paths::join(&dir.path, site));
                sites.extend(site.filter(|site| site.node == Node::Directory).map(|site| site.path));
            }
        }
    }
    (sites.into_iter().collect(), standard.into_iter().collect())
}

/// `key = value` lines of pyvenv.cfg (module `site`).
fn parse_config(path: &[u8]) -> Vec<(String, String)> {
    let text = files::read_bounded(paths::as_path(path), 1 << 20).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_lowercase(), value.trim().to_owned()))
        .collect()
}

/// `site-packages` directories that something was read from and that lie in no known environment and not in `/usr`.
fn loose_sites(recording: &Recording, found: &[Environment], tree: &mut Tree) -> Vec<Vec<u8>> {
    let mut sites = BTreeSet::new();
    for file in recording.files.iter().filter(|file| matches!(file.usage, Use::Read | Use::Exec)) {
        let Some(at) = ["/site-packages/", "/dist-packages/"]
            .iter()
            .find_map(|part| Some(memchr::memmem::find(&file.path, part.as_bytes())? + part.len() - 1))
        else {
            continue;
        };
        let Some(site) = file.path.get(..at) else { continue };
        let Some(site) = tree.resolve(site).filter(|site| site.node == Node::Directory) else { continue };
        let known = found.iter().any(|environment| environment.sites.contains(&site.path));
        if !known && !paths::below(&site.path, b"/usr") {
            sites.insert(site.path);
        }
    }
    sites.into_iter().collect()
}

/// Directories above an R package that something was read from, outside the system's packages.
fn r_libraries(recording: &Recording, tree: &mut Tree) -> BTreeSet<Vec<u8>> {
    let mut libraries = BTreeSet::new();
    for file in recording.files.iter().filter(|file| file.usage == Use::Read) {
        // Every R package that is loaded has its DESCRIPTION or Meta/package.rds read.
        let package = match paths::name(&file.path) {
            b"DESCRIPTION" => paths::parent(&file.path),
            b"package.rds" if paths::name(paths::parent(&file.path)) == b"Meta" => {
                paths::parent(paths::parent(&file.path))
            }
            _ => continue,
        };
        let Some(library) = tree.resolve(paths::parent(package)) else { continue };
        let is_package = paths::as_path(&paths::join(package, b"Meta")).is_dir();
        if is_package && !paths::below(&library.path, b"/usr/lib") && !paths::below(&library.path, b"/usr/share") {
            libraries.insert(library.path);
        }
    }
    libraries
}

/// Paths of the user that an environment's prefix must not take with it.
fn held_paths(recording: &Recording, context: &Context, tree: &mut Tree) -> Vec<Vec<u8>> {
    let mut held: Vec<Vec<u8>> = [&context.home, &context.cwd]
        .into_iter()
        .chain(context.notebook.as_ref())
        .filter(|path| path.as_slice() != b"/")
        .cloned()
        .collect();
    held.extend(
        recording
            .files
            .iter()
            .filter(|file| !matches!(file.usage, Use::Absent | Use::List | Use::Exec))
            .map(|file| file.path.clone()),
    );
    held.iter().map(|path| tree.resolve(path).map_or_else(|| path.clone(), |found| found.path)).collect()
}

/// Whether a path below a prefix is not a place where installers put things.
fn is_foreign(path: &[u8], prefix: &[u8]) -> bool {
    let Some(rest) = paths::relative(path, prefix) else { return path == prefix };
    let top = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
    let installed: &[&[u8]] = &[
        b"bin",
        b"lib",
        b"lib64",
        b"include",
        b"share",
        b"etc",
        b"man",
        b"ssl",
        b"conda-meta",
        b"pyvenv.cfg",
        b"Scripts",
        b"libexec",
        b"sbin",
        b"var",
        b"compiler_compat",
        b"condabin",
        b"shell",
        b"mkspecs",
        b"plugins",
        b"qml",
        b"doc",
        b"phrasebooks",
        b"resources",
        b"translations",
        b"fonts",
        b"x86_64-conda-linux-gnu",
        b"aarch64-conda-linux-gnu",
        b"envs",
        b"pkgs",
        b".lock",
        b".gitignore",
        b"__pycache__",
        b"jre",
        b"targets",
        b"nvvm",
    ];
    !installed.contains(&top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_installers_make_is_told_from_what_the_user_put_there() {
        assert!(!is_foreign(b"/v/lib/python3.11/site-packages/x.py", b"/v"));
        assert!(!is_foreign(b"/v/share/jupyter", b"/v"));
        assert!(is_foreign(b"/v/data.csv", b"/v"));
        assert!(is_foreign(b"/v", b"/v"));
        assert!(!is_foreign(b"/w/x", b"/v"));
    }

    #[test]
    fn a_program_is_found_along_the_recorded_path() {
        assert_eq!(find_program(b"sh", "relative:/nonexistent:/bin").unwrap(), b"/bin/sh");
        assert_eq!(find_program(b"/any/where", ""), Some(b"/any/where".to_vec()));
        assert_eq!(find_program(b"./here", "/bin"), None);
    }
}
