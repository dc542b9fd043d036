//! Which system package owns a file: dpkg and apk lists, read once.
//!
//! dpkg's lists say `/lib/…` or `/usr/lib/…` as the package was built; under usrmerge both are one file, so every path
//! is brought to the `/usr` spelling. Diversions are respected: the diverted file belongs to whom it is diverted for.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use super::paths;
use crate::files;

/// One installed package.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    /// `deb` or `apk`.
    pub(crate) kind: &'static str,
    /// Its name without the architecture.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its architecture.
    pub(crate) arch: Option<String>,
    /// Licence, where the package database says it.
    pub(crate) licence: Option<String>,
    /// Names of the packages it depends on, first alternatives only.
    pub(crate) depends: Vec<String>,
    /// Its files and directories, in the `/usr` spelling.
    pub(crate) files: Vec<Vec<u8>>,
}

/// All installed packages and who owns what.
#[derive(Debug, Default)]
pub(crate) struct Packages {
    all: Vec<Package>,
    owners: HashMap<Vec<u8>, usize>,
    by_name: BTreeMap<String, usize>,
    /// `bin`, `lib`, … that are symlinks to their namesakes in `/usr`.
    merged: Vec<&'static [u8]>,
}

impl Packages {
    /// Reads the databases of the machine whose root is `root` (`/`).
    pub(crate) fn read(root: &Path) -> Self {
        let merged = [&b"bin"[..], b"sbin", b"lib", b"lib32", b"lib64", b"libx32"]
            .into_iter()
            .filter(|name| root.join(paths::as_path(name)).is_symlink())
            .collect();
        let mut packages = Self { merged, ..Self::default() };
        packages.read_dpkg(root);
        packages.read_apk(root);
        packages
    }

    /// The package at an index.
    pub(crate) fn get(&self, index: usize) -> Option<&Package> {
        self.all.get(index)
    }

    /// The package with this name.
    pub(crate) fn named(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Who owns the file at `path`, in any spelling.
    pub(crate) fn owner(&self, path: &[u8]) -> Option<usize> {
        self.owners.get(&self.normal(path)).copied()
    }

    /// Packages that own a file directly or deeper below `dir`, in order of name.
    pub(crate) fn below(&self, dir: &[u8]) -> Vec<usize> {
        let dir = self.normal(dir);
        let owns = |index: &usize| {
            self.get(*index)
                .is_some_and(|package| package.files.iter().any(|file| paths::relative(file, &dir).is_some()))
        };
        self.by_name.values().copied().filter(owns).collect()
    }

    /// The `/usr` spelling.
    fn normal(&self, path: &[u8]) -> Vec<u8> {
        let rest = path.strip_prefix(b"/").unwrap_or(path);
        let first = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
        if self.merged.contains(&first) { [b"/usr/", rest].concat() } else { path.to_vec() }
    }

    fn push(&mut self, mut package: Package) {
        let index = self.all.len();
        package.files = package.files.iter().map(|path| self.normal(path)).collect();
        for path in &package.files {
            self.owners.insert(path.clone(), index);
        }
        self.by_name.entry(package.name.clone()).or_insert(index);
        self.all.push(package);
    }

    fn read_dpkg(&mut self, root: &Path) {
        let dir = root.join("var/lib/dpkg");
        let status = files::read_bounded(&dir.join("status"), 256 << 20).unwrap_or_default();
        let diversions = parse_diversions(&files::read_bounded(&dir.join("diversions"), 16 << 20).unwrap_or_default());
        for mut package in parse_status(&String::from_utf8_lossy(&status)) {
            let info = dir.join("info");
            let plain = info.join(format!("{}.list", package.name));
            let with_arch = info.join(format!("{}:{}.list", package.name, package.arch.as_deref().unwrap_or_default()));
            let Ok(list) = fs::read(&with_arch).or_else(|_| fs::read(&plain)) else { continue };
            package.files = list
                .split(|&byte| byte == b'\n')
                .filter(|line| line.starts_with(b"/") && *line != b"/.")
                .map(|line| match diversions.get(line) {
                    Some((to, by)) if *by != package.name => to.clone(),
                    _ => line.to_vec(),
                })
                .collect();
            self.push(package);
        }
    }

    fn read_apk(&mut self, root: &Path) {
        let installed = files::read_bounded(&root.join("lib/apk/db/installed"), 256 << 20).unwrap_or_default();
        for package in parse_apk(&installed) {
            self.push(package);
        }
    }
}

/// Diverted path → (where it lies now, the package it is diverted for); `dpkg-divert(1)`: three lines each.
fn parse_diversions(text: &[u8]) -> HashMap<Vec<u8>, (Vec<u8>, String)> {
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    lines
        .chunks_exact(3)
        .filter_map(|chunk| match chunk {
            [from, to, by] => Some((from.to_vec(), (to.to_vec(), String::from_utf8_lossy(by).into_owned()))),
            _ => None,
        })
        .collect()
}

/// Installed packages of `/var/lib/dpkg/status` (deb-control(5) paragraphs), without their files.
fn parse_status(text: &str) -> Vec<Package> {
    let mut found = Vec::new();
    for paragraph in text.split("\n\n") {
        let field = |name: &str| {
            paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim()))
        };
        let installed = field("Status").is_some_and(|status| status.ends_with(" installed"));
        let (Some(name), Some(version), true) = (field("Package"), field("Version"), installed) else { continue };
        let depends = [field("Pre-Depends"), field("Depends")]
            .into_iter()
            .flatten()
            .flat_map(|list| list.split(','))
            .filter_map(|item| item.split(['|', '(', ':']).next())
            .map(|item| item.trim().to_owned())
            .filter(|item| !item.is_empty())
            .collect();
        found.push(Package {
            kind: "deb",
            name: name.to_owned(),
            version: version.to_owned(),
            arch: field("Architecture").map(str::to_owned),
            licence: None,
            depends,
            files: Vec::new(),
        });
    }
    found
}

/// Packages of apk's `installed` database: one letter and a colon before each value, files by directory.
fn parse_apk(text: &[u8]) -> Vec<Package> {
    let mut found = Vec::new();
    let mut package = Package { kind: "apk", ..Package::default() };
    let mut dir: Vec<u8> = b"/".to_vec();
    for line in text.split(|&byte| byte == b'\n') {
        let value = || String::from_utf8_lossy(line.get(2..).unwrap_or_default()).into_owned();
        match line {
            [] => {
                let done = std::mem::replace(&mut package, Package { kind: "apk", ..Package::default() });
                if !done.name.is_empty() {
                    found.push(done);
                }
            }
            [b'P', b':', ..] => package.name = value(),
            [b'V', b':', ..] => package.version = value(),
            [b'A', b':', ..] => package.arch = Some(value()),
            [b'L', b':', ..] => package.licence = Some(value()),
            [b'F', b':', rest @ ..] => dir = [b"/", rest].concat(),
            [b'R', b':', rest @ ..] => package.files.push(paths::join(&dir, rest)),
            _ => {}
        }
    }
    found
}

/// A package's file that a running notebook does not miss: documentation, manual pages, translations.
///
/// Copyright files stay.
pub(crate) fn is_documentation(path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(b"/usr/share/") else { return false };
    let begins = |dirs: &[&[u8]]| dirs.iter().any(|dir| rest.starts_with(dir));
    if rest.starts_with(b"doc/") {
        return !rest.ends_with(b"/copyright");
    }
    begins(&[
        b"man/",
        b"info/",
        b"doc-base/",
        b"lintian/",
        b"bug/",
        b"gtk-doc/",
        b"bash-completion/",
        b"zsh/",
        b"fish/",
    ]) || (rest.starts_with(b"locale/") && memchr::memmem::find(rest, b"/LC_").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36\nDepends: libgcc-s1, libx (>= 1) | liby\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n";

    fn machine() -> (tempfile::TempDir, Packages) {
        let root = tempfile::tempdir().unwrap();
        let dpkg = root.path().join("var/lib/dpkg");
        fs::create_dir_all(dpkg.join("info")).unwrap();
        fs::create_dir_all(root.path().join("usr/lib")).unwrap();
        std::os::unix::fs::symlink("usr/lib", root.path().join("lib")).unwrap();
        fs::write(dpkg.join("status"), format!("{STATUS}\nPackage: dash\nStatus: install ok installed\nVersion: 3\n"))
            .unwrap();
        fs::write(dpkg.join("info/libc6:amd64.list"), "/.\n/lib\n/lib/libc.so.6\n/usr/bin/tool\n").unwrap();
        fs::write(dpkg.join("info/dash.list"), "/usr/bin/tool\n").unwrap();
        fs::write(dpkg.join("diversions"), "/usr/bin/tool\n/usr/bin/tool.real\ndash\n").unwrap();
        let packages = Packages::read(root.path());
        (root, packages)
    }

    #[test]
    fn both_spellings_of_a_merged_directory_name_one_owner() {
        let (_root, packages) = machine();
        let owner =
            |path: &[u8]| packages.owner(path).and_then(|index| packages.get(index)).map(|found| found.name.as_str());
        assert_eq!(owner(b"/lib/libc.so.6"), Some("libc6"));
        assert_eq!(owner(b"/usr/lib/libc.so.6"), Some("libc6"));
        assert_eq!(owner(b"/usr/lib/other"), None);
    }

    #[test]
    fn a_diverted_file_belongs_to_the_one_it_is_diverted_for() {
        let (_root, packages) = machine();
        let owner =
            |path: &[u8]| packages.owner(path).and_then(|index| packages.get(index)).map(|found| found.name.as_str());
        assert_eq!(owner(b"/usr/bin/tool"), Some("dash"));
        assert_eq!(owner(b"/usr/bin/tool.real"), Some("libc6"));
    }

    #[test]
    fn removed_packages_own_nothing_and_dependencies_lose_their_versions() {
        let found = parse_status(STATUS);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].depends, ["libgcc-s1", "libx"]);
    }

    #[test]
    fn an_apk_database_is_read() {
        let found = parse_apk(b"P:musl\nV:1.2\nA:x86_64\nL:MIT\nF:lib\nR:ld-musl.so.1\nF:usr\nR:x\n\n");
        assert_eq!(found[0].files, [b"/lib/ld-musl.so.1".to_vec(), b"/usr/x".to_vec()]);
        assert_eq!(found[0].licence.as_deref(), Some("MIT"));
    }

    #[test]
    fn copyright_stays_and_manuals_go() {
        assert!(!is_documentation(b"/usr/share/doc/bash/copyright"));
        assert!(is_documentation(b"/usr/share/doc/bash/README"));
        assert!(is_documentation(b"/usr/share/locale/de/LC_MESSAGES/bash.mo"));
        assert!(!is_documentation(b"/usr/share/locale/locale.alias"));
        assert!(!is_documentation(b"/usr/share/zoneinfo/UTC"));
    }
}
