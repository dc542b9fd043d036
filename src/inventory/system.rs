//! The system below the environments: packages of what was touched, the libraries that everything needs, and the
//! commands without which nobody can go on working.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    io::Read as _,
};

use super::{
    builder::Builder,
    collect::{self, FactsSeed},
    elf,
    environment::find_program,
    libraries::{self, Linker},
    model::{Class, Component},
    packages, paths,
    rules::{self, Place, Usage},
    tree::{Meta, Node, Tag, Tree},
};
use crate::files;

/// Commands that a notebook's `!` or a shell expects (research on roots made of bundles only: without them, `!cmd`
/// ends with 127).
const COMMANDS: &[&str] = &[
    "sh", "bash", "env", "ls", "cat", "cp", "mv", "rm", "mkdir", "head", "tail", "sort", "uniq", "wc", "date", "sleep",
    "grep", "sed", "awk", "find", "xargs", "which", "tar", "gzip", "bzip2", "xz", "less", "ps", "tput", "clear",
    "getconf", "hostname", "ldconfig", "diff", "locale", "true", "id", "mktemp", "uname", "whoami", "df", "realpath",
];

/// Packages that go in wherever they are installed, for their data.
const PACKAGES: &[&str] = &[
    "base-files",
    "ca-certificates",
    "openssl",
    "tzdata",
    "netbase",
    "ncurses-base",
    "libc-bin",
    "media-types",
    "libgcc-s1",
    "libstdc++6",
    "mailcap",
    "terminfo",
    "ncurses-terminfo-base",
    "ca-certificates-bundle",
    "alpine-baselayout-data",
];

/// Takes packages and libraries into the tree, each once.
#[derive(Debug)]
pub(crate) struct System {
    linker: Linker,
    taken: BTreeSet<usize>,
    seen: BTreeSet<Vec<u8>>,
    /// Host paths still to be looked at.
    waiting: Vec<Vec<u8>>,
    /// Libraries that no file was found for → a file that needs them.
    pub(crate) missing: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl System {
    /// Nothing taken yet.
    pub(crate) fn new(library_path: Option<&str>) -> Self {
        Self {
            linker: Linker::new(library_path, &libraries::read_cache()),
            taken: BTreeSet::new(),
            seen: BTreeSet::new(),
            waiting: Vec::new(),
            missing: BTreeMap::new(),
        }
    }

    /// Takes what is always there: the merged directories' links, commands, packages with data.
    pub(crate) fn take_base(&mut self, builder: &mut Builder<'_>) {
        for name in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"] {
            if let Some(found) = builder.tree.resolve(name.as_bytes()) {
                builder.tree.add_links(&found.links);
            }
        }
        for command in COMMANDS {
            let found =
                find_program(command.as_bytes(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
            self.waiting.extend(found);
        }
        for package in PACKAGES {
            if let Some(index) = builder.packages.named(package) {
                self.take_package(builder, index);
            }
        }
        self.settle(builder);
    }

    /// The whole packages of a standard library below `/usr/lib/pythonX.Y`, when the system's Python runs.
    pub(crate) fn take_python(&mut self, builder: &mut Builder<'_>, program: &[u8]) {
        let Some(found) = builder.tree.resolve(program) else { return };
        let name = String::from_utf8_lossy(paths::name(&found.path)).into_owned();
        if paths::parent(&found.path) != b"/usr/bin" || !name.starts_with("python") {
            return;
        }
        let standard = format!("/usr/lib/{name}").into_bytes();
        for index in builder.packages.below(&standard) {
            let unwanted = builder.packages.get(index).is_some_and(|package| {
                ["-dev", "-testsuite", "-examples", "-doc", "-tk", "-dbg"].iter().any(|end| package.name.ends_with(end))
                    || package.name.starts_with("idle")
                    || !package.files.iter().any(|file| {
                        paths::relative(file, &standard).is_some_and(|rest| !rest.starts_with(b"dist-packages"))
                    })
            });
            if !unwanted {
                self.take_package(builder, index);
            }
        }
        self.settle(builder);
    }

    /// Takes a host path that must be there, with its links, its whole package and the libraries it needs.
    pub(crate) fn require(&mut self, builder: &mut Builder<'_>, path: &[u8]) {
        self.waiting.push(path.to_vec());
        self.settle(builder);
    }

    /// Takes what the ELF files that went in need.
    pub(crate) fn settle(&mut self, builder: &mut Builder<'_>) {
        loop {
            self.waiting.append(&mut builder.needs);
            if let Some(path) = self.waiting.pop() {
                self.look(builder, &path);
            } else if let Some(native) = builder.natives.pop() {
                self.scan(builder, &native);
            } else {
                break;
            }
        }
    }

    fn look(&mut self, builder: &mut Builder<'_>, path: &[u8]) {
        if !self.seen.insert(path.to_vec()) {
            return;
        }
        let Some(found) = builder.tree.resolve(path) else { return };
        builder.tree.add_links(&found.links);
        let mut spellings = vec![path.to_vec()];
        spellings.extend(found.links.iter().map(|(at, _)| at.clone()));
        // The package of a link (python3-minimal's /usr/bin/python3) has files that belong with it.
        for spelling in &spellings {
            if let Some(owner) = builder.packages.owner(spelling) {
                self.take_package(builder, owner);
            }
        }
        let Node::File(meta) = found.node else { return };
        if builder.tree.entry(&found.path).is_some() {
            return;
        }
        match builder.packages.owner(&found.path) {
            Some(owner) => {
                self.take_package(builder, owner);
                if builder.tree.entry(&found.path).is_none() {
                    Self::add_packaged(builder, owner, &found.path, meta);
                }
            }
            None => self.add_unowned(builder, &found.path, meta),
        }
    }

    /// A program or library that no package owns.
    fn add_unowned(&mut self, builder: &mut Builder<'_>, path: &[u8], meta: Meta) {
        let place = if builder.in_environment(path) { Place::Environment } else { Place::Elsewhere };
        let runs = meta.executable || rules::is_shared_library(path);
        let usage = Usage { ordinary: true, read: true, executed: runs, ..Usage::default() };
        let verdict = builder.classify(&FactsSeed { path, place, usage });
        if !verdict.goes_in {
            builder.leave_out(path, &verdict);
            return;
        }
        let code = matches!(verdict.class, Class::LocalModule | Class::Configuration | Class::Dataset);
        let tag = Tag::new(verdict.class, verdict.rule);
        builder.tree.add_file(path, meta, Tree::host(path, &meta), code.then(|| meta.seconds()), tag);
        self.scan(builder, path);
    }

    /// The interpreter of a script.
    pub(crate) fn script_interpreters(path: &[u8], search: &str) -> Vec<Vec<u8>> {
        let Ok(file) = files::open(paths::as_path(path)) else { return Vec::new() };
        let mut head = Vec::new();
        // Linux itself reads no more than 256 bytes of the line.
        if file.take(256).read_to_end(&mut head).is_err() || !head.starts_with(b"#!") {
            return Vec::new();
        }
        let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let mut words =
            line.get(2..).unwrap_or_default().split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let Some(first) = words.next() else { return Vec::new() };
        let mut found = vec![first.to_vec()];
        if paths::name(first) == b"env" {
            let named = words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='));
            found.extend(named.and_then(|name| find_program(name, search)));
        }
        found
    }

    /// Adds a package whole, without what [`packages::is_documentation`] names.
    pub(crate) fn take_package(&mut self, builder: &mut Builder<'_>, index: usize) {
        if !self.taken.insert(index) {
            return;
        }
        let Some(package) = builder.packages.get(index).cloned() else { return };
        let component = builder.add_component(Component {
            kind: package.kind.to_owned(),
            name: package.name.clone(),
            version: package.version.clone(),
            licence: package.licence.clone().or_else(|| debian_licence(&package.name)),
            installer: None,
            direct_url: None,
            loaded: false,
            dependency: false,
            modified: Vec::new(),
            arch: package.arch.clone(),
            ..Component::default()
        });
        builder.package_components.insert(index, component);
        let mut directories = BTreeSet::new();
        for path in package.files.iter().filter(|path| !packages::is_documentation(path)) {
            let Some(found) = builder.tree.resolve(path) else { continue };
            match found.node {
                Node::File(meta) if found.links.iter().any(|(at, _)| at == path) => {
                    let own = Tag { component: Some(component), ..Tag::new(Class::SystemPackage, "system-package") };
                    for (at, text) in found.links.iter().filter(|(at, _)| at == path) {
                        builder.tree.add_link(at, text, own);
                    }
                    builder.tree.add_links(&found.links);
                    if builder.packages.owner(&found.path) == Some(index) {
                        Self::add_packaged(builder, index, &found.path, meta);
                    } else {
                        self.waiting.push(found.path);
                    }
                }
                Node::File(meta) => {
                    builder.tree.add_links(&found.links);
                    Self::add_packaged(builder, index, &found.path, meta);
                    if path.ends_with(b".py") {
                        directories.insert(paths::parent(&found.path).to_vec());
                    }
                }
                Node::Directory => {
                    // A link to a directory (/usr/share/doc/x, terminfo) is a name of its own.
                    if !found.links.is_empty() {
                        builder.tree.add_links(&found.links);
                    }
                }
                Node::Link(_) | Node::Other => {}
            }
        }
        for dir in directories {
            let sources: HashMap<_, _> = builder.sources_in(&dir);
            collect::add_compiled(builder, &dir, &sources, &|_| Some(component), &|_, _| Class::SystemPackage);
        }
        for name in &package.depends {
            if belongs_with(&package.name, name)
                && let Some(other) = builder.packages.named(name)
            {
                self.take_package(builder, other);
            }
        }
    }

    /// One file of a package, even one that is documentation: the session asked for it.
    fn add_packaged(builder: &mut Builder<'_>, index: usize, path: &[u8], meta: Meta) {
        let usage = Usage { ordinary: true, ..Usage::default() };
        let verdict = builder.classify(&FactsSeed { path, place: Place::Package, usage });
        if !verdict.goes_in || builder.is_excluded(path) {
            return;
        }
        let component = builder.package_components.get(&index).copied();
        let tag = Tag { class: verdict.class, rule: verdict.rule, component, touched: false };
        builder.tree.add_file(path, meta, Tree::host(path, &meta), None, tag);
        if rules::is_shared_library(path) || meta.executable {
            builder.natives.push(path.to_vec());
        }
    }

    /// Reads what an ELF file needs and asks for it.
    fn scan(&mut self, builder: &mut Builder<'_>, path: &[u8]) {
        let Ok(file) = files::open(paths::as_path(path)) else { return };
        let Ok(Some(elf)) = elf::read(&file) else { return };
        if let Some(interpreter) = &elf.interpreter {
            self.waiting.push(interpreter.clone());
        }
        for name in &elf.needed {
            // `$ORIGIN` is where the file was found by name, which alternatives (BLAS) make another place than where it
            // lies: then what the cache says is what is loaded.
            if elf.runpath.iter().chain(&elf.rpath).any(|dir| dir.starts_with(b"$")) && !builder.in_environment(path) {
                let by_name = self.linker.find(name, &elf::Elf::default(), path, &[]);
                self.waiting.extend(by_name.filter(|found| !self.seen.contains(found)));
            }
            match self.linker.find(name, &elf, path, &[]) {
                Some(found) => {
                    if !self.seen.contains(&found) {
                        self.waiting.push(found);
                    }
                }
                None => {
                    if !builder.in_environment(path) {
                        self.missing.entry(name.clone()).or_insert_with(|| path.to_vec());
                    }
                }
            }
        }
    }
}

/// A dependency that is data or code of the same thing, which no shared library names.
fn belongs_with(package: &str, dependency: &str) -> bool {
    let pairs = [
        ("python3", "python3"),
        ("libpython3", "libpython3"),
        ("python3", "libpython3"),
        ("perl", "perl"),
        ("r-", "r-"),
    ];
    pairs.iter().any(|(one, other)| package.starts_with(one) && dependency.starts_with(other))
        || ["-common", "-config", "-data", "-mgc"].iter().any(|end| dependency.ends_with(end))
}

/// The licences that a machine-readable Debian copyright file names.
fn debian_licence(package: &str) -> Option<String> {
    let path = format!("/usr/share/doc/{package}/copyright");
    let bytes = files::read_bounded(std::path::Path::new(&path), 1 << 20).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let names: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("License:"))
        .map(str::trim)
        .filter(|name| !name.is_empty() && name.len() < 60)
        .collect();
    (!names.is_empty()).then(|| names.into_iter().take(12).collect::<Vec<_>>().join(" AND "))
}

/// Adds the system's state that packages do not own: certificates, the linker's cache, alternatives, locale, zone.
pub(crate) fn add_state(builder: &mut Builder<'_>, system: &mut System) {
    let fixed = [
        "/etc/ld.so.cache",
        "/etc/ld.so.conf",
        "/etc/timezone",
        "/etc/os-release",
        "/etc/localtime",
        "/etc/ssl/cert.pem",
        "/etc/ssl/openssl.cnf",
        "/etc/pki/tls/cert.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    ];
    for path in fixed {
        add_state_path(builder, system, path.as_bytes());
    }
    // Where the recorded environment says its certificates are.
    for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
        if let Some(path) = builder.recording.environment.get(name).cloned().flatten() {
            add_state_path(builder, system, path.as_bytes());
        }
    }
    for dir in ["/etc/ld.so.conf.d", "/etc/ssl/certs"] {
        for entry in fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
            let path = paths::join(dir.as_bytes(), entry.file_name().as_encoded_bytes());
            // A package's own file comes with the package, and is no reason to take it.
            if builder.packages.owner(&path).is_none() {
                add_state_path(builder, system, &path);
            }
        }
    }
    let value = |name: &str| builder.recording.environment.get(name).cloned().flatten();
    let locales: BTreeSet<String> = ["LC_ALL", "LC_CTYPE", "LANG", "LC_NUMERIC", "LC_TIME", "LC_COLLATE"]
        .iter()
        .filter_map(|name| value(name))
        .collect();
    if let Some(zone) = value("TZ") {
        let zone = zone.trim_start_matches(':');
        let path = if zone.starts_with('/') { zone.to_owned() } else { format!("/usr/share/zoneinfo/{zone}") };
        add_state_path(builder, system, path.as_bytes());
    }
    for locale in locales {
        add_locale(builder, system, &locale);
    }
}

/// A locale's own directory, or the archive of all of them.
fn add_locale(builder: &mut Builder<'_>, system: &mut System, locale: &str) {
    if ["C", "POSIX", ""].contains(&locale) || locale.contains('/') {
        return;
    }
    let (language, codeset) = locale.split_once('.').unwrap_or((locale, ""));
    let normal: String = codeset.chars().filter(char::is_ascii_alphanumeric).flat_map(char::to_lowercase).collect();
    let candidates = [format!("{language}.{normal}"), locale.to_owned(), language.to_owned()];
    let own =
        candidates.iter().map(|name| format!("/usr/lib/locale/{name}")).find(|dir| std::path::Path::new(dir).is_dir());
    let Some(dir) = own else {
        add_state_path(builder, system, b"/usr/lib/locale/locale-archive");
        return;
    };
    let mut waiting = vec![dir.into_bytes()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(paths::as_path(&dir)).into_iter().flatten().filter_map(Result::ok) {
            let path = paths::join(&dir, entry.file_name().as_encoded_bytes());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(path);
            } else {
                add_state_path(builder, system, &path);
            }
        }
    }
}

fn add_state_path(builder: &mut Builder<'_>, system: &mut System, path: &[u8]) {
    let Some(found) = builder.tree.resolve(path) else { return };
    builder.tree.add_links(&found.links);
    let Node::File(meta) = found.node else { return };
    if builder.tree.entry(&found.path).is_some() {
        return;
    }
    if let Some(owner) = builder.packages.owner(&found.path) {
        system.take_package(builder, owner);
        return;
    }
    // Java's key store and the like: read by nothing here, and large.
    let usage = Usage { ordinary: true, read: true, ..Usage::default() };
    let verdict = builder.classify(&FactsSeed { path: &found.path, place: Place::Elsewhere, usage });
    if verdict.goes_in && !paths::has_component(&found.path, b"java") {
        let tag = Tag::new(Class::SystemState, "system-state");
        builder.tree.add_file(&found.path, meta, Tree::host(&found.path, &meta), None, tag);
    }
}

/// Directories that programs expect, empty.
const DIRECTORIES: &[&str] = &[
    "/tmp",
    "/var/tmp",
    "/run",
    "/proc",
    "/sys",
    "/dev",
    "/root",
    "/mnt",
    "/home",
    "/var/lib",
    "/var/cache",
    "/var/log",
    "/opt",
];

/// Ids below are given by the distribution and the same on all its machines (Debian policy 9.2.2); those above tell what is
/// installed here and who works here.
const FIRST_DYNAMIC_ID: u32 = 100;

/// The lines of a `passwd(5)` or `group(5)` file (`fields` each) about the distribution's own accounts but root's
/// and the session's, without members.
fn of_the_distribution(table: &[u8], fields: usize, but: u32) -> String {
    let text = String::from_utf8_lossy(table);
    let mut found = String::new();
    for line in text.lines() {
        let mut parts: Vec<&str> = line.split(':').collect();
        let id = parts.get(2).and_then(|id| id.parse::<u32>().ok());
        let own = id.is_some_and(|id| (1..FIRST_DYNAMIC_ID).contains(&id) && id != but);
        if parts.len() != fields || !own || line.contains(char::is_control) {
            continue;
        }
        if let Some(secret) = parts.get_mut(1) {
            *secret = "x";
        }
        if let Some(members) = parts.last_mut().filter(|_| fields == 4) {
            *members = "";
        }
        found.push_str(&parts.join(":"));
        found.push('\n');
    }
    found
}

/// Adds what is made for the image: user table, host table, empty directories, the program.
pub(crate) fn add_generated(builder: &mut Builder<'_>) {
    let info = &builder.recording.info;
    let clean = |text: &str| text.chars().filter(|c| !c.is_control() && *c != ':').collect::<String>();
    let (user, home) = (clean(&info.user), clean(&info.home.to_string_lossy()));
    let mut passwd = String::from("root:x:0:0:root:/root:/bin/bash\n");
    let mut group = String::from("root:x:0:\n");
    let table = |path: &str| files::read_bounded(std::path::Path::new(path), 1 << 20).unwrap_or_default();
    passwd.push_str(&of_the_distribution(&table("/etc/passwd"), 7, info.uid));
    group.push_str(&of_the_distribution(&table("/etc/group"), 4, info.gid));
    if info.uid != 0 {
        passwd.push_str(&format!("{user}:x:{}:{}::{home}:/bin/bash\n", info.uid, info.gid));
    }
    if info.gid != 0 {
        group.push_str(&format!("{user}:x:{}:\n", info.gid));
    }
    if info.uid != 65534 {
        passwd.push_str("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
        group.push_str("nogroup:x:65534:\n");
    }
    if !group.contains("\ntty:") {
        group.push_str("tty:x:5:\n");
    }
    let host = clean(&info.host);
    let hosts = format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\t{host}\n");
    let services = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n";
    let tag = Tag::new(Class::SystemState, "generated");
    for (path, text) in [
        ("/etc/passwd", passwd),
        ("/etc/group", group),
        ("/etc/hosts", hosts),
        ("/etc/nsswitch.conf", services.to_owned()),
        ("/etc/host.conf", "multi on\n".to_owned()),
    ] {
        builder.tree.add_generated(path.as_bytes(), text.into_bytes(), tag);
    }
    let (home, cwd) = (builder.context.home.clone(), builder.context.cwd.clone());
    for dir in DIRECTORIES.iter().map(|dir| dir.as_bytes()).chain([home.as_slice(), &cwd]) {
        match builder.tree.resolve(dir) {
            Some(found) => {
                builder.tree.add_links(&found.links);
                builder.tree.add_directory(&found.path, Tag::new(Class::SystemState, "empty-directory"));
            }
            None => builder.tree.add_directory(dir, Tag::new(Class::SystemState, "empty-directory")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_the_distribution_go_along_and_those_of_the_machine_stay() {
        let passwd = b"root:x:0:0:root:/root:/bin/bash\ndaemon:secret:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
            man:x:6:12:man:/var/cache/man:/usr/sbin/nologin\ngitlab:x:998:998::/srv:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n\
            broken:x:7\n";
        let found = of_the_distribution(passwd, 7, 6);
        assert_eq!(found, "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n", "6 is the session's own");
        let group = of_the_distribution(b"tty:x:5:ann\nsudo:x:27:ann,bob\ndocker:x:998:ann\n", 4, 0);
        assert_eq!(group, "tty:x:5:\nsudo:x:27:\n");
    }
}
