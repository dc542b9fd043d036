//! What differs between two restored bundles, in units that can be swapped one by one: a distribution, a dataset, a
//! file of the user's own code, a variable, the cells.
//!
//! Only layers that the two do not share are looked at. A swap is a directory that is laid over the first bundle's
//! layers: the second's files, and whiteouts where it has none (overlayfs, "whiteouts and opaque directories").

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fmt,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{cause, compare::Subject, inputs, why::library_of};
use crate::{
    bundle::config::SESSION_DIR,
    digest::{DiffId, Digest, HashingReader},
    files::{self, FileError, display_bytes},
    restore::model::Restored,
    session::model::Recording,
    store::Store,
};

/// What a unit is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitKind {
    /// An input.
    Data,
    /// A file of the user's own.
    Code,
    /// The code of the cells.
    Cells,
    /// A variable of the kernel's environment.
    Variable,
    /// A distribution or R package.
    Library,
    /// What installers wrote and no distribution owns.
    Environment,
    /// The system: interpreter, native libraries, packages.
    System,
}

impl fmt::Display for UnitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "data",
            Self::Code => "code",
            Self::Cells => "cells",
            Self::Variable => "variable",
            Self::Library => "library",
            Self::Environment => "environment",
            Self::System => "system",
        })
    }
}

/// Something that differs and is swapped as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Unit {
    /// What it is.
    pub kind: UnitKind,
    /// A distribution's name, a path, a variable's name.
    pub name: String,
    /// What the first bundle has: a version, a digest, a value.
    pub first: Option<String>,
    /// What the second has.
    pub second: Option<String>,
    /// Its files as paths in the image, without the leading slash.
    #[serde(skip)]
    pub paths: BTreeSet<Vec<u8>>,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)?;
        if self.first.is_some() || self.second.is_some() {
            let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
            write!(f, ": {} -> {}", word(&self.first), word(&self.second))?;
        }
        Ok(())
    }
}

/// One of the two bundles.
#[derive(Debug)]
pub struct Side<'a> {
    /// Its layers.
    pub restored: &'a Restored,
    /// Its record and lists.
    pub subject: &'a Subject,
}

/// Where the differing files of the two bundles lie, and the units they make.
#[derive(Debug)]
pub struct Differences {
    /// In order of kind and name.
    pub units: Vec<Unit>,
    second: BTreeMap<Vec<u8>, PathBuf>,
}

/// Finds what differs. Reads every file that has the same size and lies in a layer which the two do not share.
pub fn differences(store: &Store, first: &Side, second: &Side) -> Result<Differences, FileError> {
    let layers = |side: &Side| -> BTreeSet<DiffId> {
        let last = side.restored.layers.len().saturating_sub(1);
        side.restored.layers.iter().take(last).copied().collect()
    };
    let (x, y) = (layers(first), layers(second));
    let tree = |these: &BTreeSet<DiffId>, those: &BTreeSet<DiffId>| -> Result<BTreeMap<Vec<u8>, PathBuf>, FileError> {
        let mut found = BTreeMap::new();
        for layer in these.difference(those) {
            let root = store.layer_path(layer).join("root");
            walk(&root, &mut Vec::new(), &mut found)?;
        }
        Ok(found)
    };
    let (a, b) = (tree(&x, &y)?, moved(tree(&y, &x)?, second, first));
    let owners = [owners(&a), owners(&b)];
    let mut units: BTreeMap<(UnitKind, String), BTreeSet<Vec<u8>>> = BTreeMap::new();
    for path in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
        if let (Some(one), Some(other)) = (a.get(path), b.get(path))
            && equal(one, other)?
        {
            continue;
        }
        let sides = [a.get(path), b.get(path)];
        let listed = sides.iter().flatten().all(|file| is_placeholder(file));
        let unit = if listed {
            Some((UnitKind::Data, "names in directories that were listed".to_owned()))
        } else {
            unit_of(path, &owners, first, second)
        };
        if let Some(unit) = unit {
            units.entry(unit).or_default().insert(path.clone());
        }
    }
    let mut units: Vec<Unit> = units
        .into_iter()
        .map(|((kind, name), paths)| {
            let [before, after] = [(&first.subject, &a), (&second.subject, &b)]
                .map(|(subject, files)| said(kind, &name, subject, &paths, files));
            Unit { kind, name, first: before, second: after, paths }
        })
        .collect();
    units.extend(variables(first, second));
    units.extend(cells(&first.subject.recording, &second.subject.recording));
    units.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    Ok(Differences { units, second: b })
}

/// Lays the second bundle's files of these units into `target`, a new directory to be put over the first's layers.
pub fn lay(differences: &Differences, units: &BTreeSet<usize>, target: &Path) -> Result<(), FileError> {
    files::create_private_dir(target)?;
    std::fs::set_permissions(target, std::fs::Permissions::from_mode(0o755)).map_err(FileError::new("set", target))?;
    for path in units.iter().filter_map(|unit| differences.units.get(*unit)).flat_map(|unit| &unit.paths) {
        let to = target.join(OsStr::from_bytes(path));
        let source = differences.second.get(path);
        parents(path, source.map(PathBuf::as_path), target)?;
        match source {
            Some(from) => put(from, &to)?,
            None => {
                let nothing = rustix::fs::mknodat(
                    rustix::fs::CWD,
                    &to,
                    rustix::fs::FileType::CharacterDevice,
                    rustix::fs::Mode::empty(),
                    0,
                );
                nothing.map_err(|error| FileError::new("make a whiteout at", &to)(error.into()))?;
            }
        }
    }
    Ok(())
}

/// Every file and link below a layer's root, by its path in the image.
fn walk(dir: &Path, path: &mut Vec<u8>, found: &mut BTreeMap<Vec<u8>, PathBuf>) -> Result<(), FileError> {
    let entries = std::fs::read_dir(dir).map_err(FileError::new("list", dir))?;
    for entry in entries {
        let entry = entry.map_err(FileError::new("list", dir))?;
        let length = path.len();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(entry.file_name().as_bytes());
        let kind = entry.file_type().map_err(FileError::new("read", dir))?;
        if kind.is_dir() {
            walk(&entry.path(), path, found)?;
        } else {
            found.insert(path.clone(), entry.path());
        }
        path.truncate(length);
    }
    Ok(())
}

/// The files of the second session's directory at the place of the first's.
fn moved(files: BTreeMap<Vec<u8>, PathBuf>, from: &Side, to: &Side) -> BTreeMap<Vec<u8>, PathBuf> {
    let place = |side: &Side| {
        let cwd = side.subject.recording.info.cwd.as_os_str().as_bytes();
        cwd.strip_prefix(b"/").unwrap_or(cwd).to_vec()
    };
    let (from, to) = (place(from), place(to));
    if from == to || from.is_empty() || to.is_empty() {
        return files;
    }
    let below = |path: Vec<u8>| match path.strip_prefix(from.as_slice()) {
        Some(rest) if rest.starts_with(b"/") => [to.as_slice(), rest].concat(),
        _ => path,
    };
    files.into_iter().map(|(path, file)| (below(path), file)).collect()
}

fn equal(a: &Path, b: &Path) -> Result<bool, FileError> {
    let metadata = |path: &Path| std::fs::symlink_metadata(path).map_err(FileError::new("read", path));
    let (x, y) = (metadata(a)?, metadata(b)?);
    if x.file_type() != y.file_type() {
        return Ok(false);
    }
    if x.is_symlink() {
        let target = |path: &Path| std::fs::read_link(path).map_err(FileError::new("read", path));
        return Ok(target(a)? == target(b)?);
    }
    if x.len() != y.len() || x.mode() & 0o111 != y.mode() & 0o111 {
        return Ok(false);
    }
    if is_placeholder(a) || is_placeholder(b) {
        return Ok(x.mode() == y.mode());
    }
    Ok(digest(a)? == digest(b)?)
}

/// Whether it stands for a file that was listed and never read.
fn is_placeholder(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o444 == 0)
}

fn digest(path: &Path) -> Result<Digest, FileError> {
    let mut reader = HashingReader::new(files::open(path)?);
    std::io::copy(&mut reader, &mut std::io::sink()).map_err(FileError::new("read", path))?;
    Ok(reader.finish().1)
}

/// The distribution of each file that a `RECORD` among these files lists.
fn owners(files: &BTreeMap<Vec<u8>, PathBuf>) -> BTreeMap<Vec<u8>, String> {
    let mut owners = BTreeMap::new();
    for (path, file) in files.iter().filter(|(path, _)| path.ends_with(b".dist-info/RECORD")) {
        let Some(dir) = path.strip_suffix(b"/RECORD") else { continue };
        let Some(at) = dir.iter().rposition(|byte| *byte == b'/') else { continue };
        let (site, info) = dir.split_at(at);
        let Some(name) = distribution(info.get(1..).unwrap_or_default()) else { continue };
        let Ok(text) = files::read_to_string(file) else { continue };
        for line in text.lines() {
            let listed = line.rsplitn(3, ',').last().unwrap_or_default().trim_matches('"');
            let mut whole: Vec<&[u8]> = site.split(|byte| *byte == b'/').collect();
            for part in listed.as_bytes().split(|byte| *byte == b'/') {
                if part == b".." {
                    whole.pop();
                } else {
                    whole.push(part);
                }
            }
            owners.insert(whole.join(&b'/'), name.clone());
        }
    }
    owners
}

/// `scikit-learn` for `scikit_learn-1.7.0.dist-info`.
fn distribution(info: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(info).ok()?;
    let name = name.strip_suffix(".dist-info").or_else(|| name.strip_suffix(".egg-info"))?;
    Some(name.split('-').next()?.to_ascii_lowercase().replace(['_', '.'], "-"))
}

/// The unit that a file belongs to; `None` for what no kernel reads: the notebook, the record, the program.
fn unit_of(
    path: &[u8],
    owners: &[BTreeMap<Vec<u8>, String>; 2],
    first: &Side,
    second: &Side,
) -> Option<(UnitKind, String)> {
    let absolute = [b"/", path].concat();
    let sides = [first, second];
    let is_notebook = sides.iter().any(|side| {
        let notebook = side.subject.recording.info.notebook.as_ref();
        notebook.is_some_and(|notebook| notebook.as_os_str().as_bytes() == absolute)
    });
    if path.starts_with(SESSION_DIR.trim_start_matches('/').as_bytes()) || path.starts_with(b"opt/nbpack/bin/") {
        return None;
    }
    let cwd = first.subject.recording.info.cwd.as_os_str().as_bytes();
    let shown = || display_bytes(&inputs::relative(&first.subject.recording, &absolute)).to_string();
    let is_dataset = |side: &&Side| {
        let relative = |path: &[u8]| inputs::relative(&side.subject.recording, path);
        let wanted = inputs::relative(&first.subject.recording, &absolute);
        side.subject.datasets.keys().any(|dataset| relative(dataset) == wanted)
    };
    if sides.iter().any(is_dataset) {
        return Some((UnitKind::Data, shown()));
    }
    if is_notebook {
        return None;
    }
    if let Some(owner) = owners.iter().find_map(|owners| owners.get(path)) {
        return Some((UnitKind::Library, owner.clone()));
    }
    let info = path.split(|byte| *byte == b'/').find_map(distribution);
    if let Some(name) = info.or_else(|| library_of(&absolute)).or_else(|| cached_module(path)) {
        return Some((UnitKind::Library, name));
    }
    if path.starts_with(b"opt/nbpack/env/") {
        return Some((UnitKind::Environment, "files of the environment".to_owned()));
    }
    let system: [&[u8]; 8] = [b"usr/", b"etc/", b"lib/", b"lib64/", b"bin/", b"sbin/", b"opt/", b"var/"];
    if absolute.starts_with(cwd) || !system.iter().any(|place| path.starts_with(place)) {
        return Some((UnitKind::Code, shown()));
    }
    Some((UnitKind::System, "files of the system".to_owned()))
}

/// `six` for `…/site-packages/__pycache__/six.cpython-311.pyc`.
fn cached_module(path: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(path).ok()?;
    let (_, file) = text.split_once("-packages/__pycache__/")?;
    file.split('.').next().map(str::to_owned)
}

/// What one side has of a unit, in a word.
fn said(
    kind: UnitKind,
    name: &str,
    subject: &Subject,
    paths: &BTreeSet<Vec<u8>>,
    files: &BTreeMap<Vec<u8>, PathBuf>,
) -> Option<String> {
    match kind {
        UnitKind::Library => {
            let component = subject.components.iter().find(|component| component.name == name)?;
            Some(component.version.clone())
        }
        UnitKind::Data | UnitKind::Code => {
            let file = files.get(paths.first()?).filter(|file| !is_placeholder(file))?;
            digest(file).ok().map(|digest| digest.short())
        }
        _ => None,
    }
}

fn variables(first: &Side, second: &Side) -> Vec<Unit> {
    let (a, b) = (&first.restored.run.env, &second.restored.run.env);
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names
        .into_iter()
        .filter(|name| a.get(*name) != b.get(*name) && !cause::is_idle(name))
        .map(|name| Unit {
            kind: UnitKind::Variable,
            name: name.clone(),
            first: a.get(name).cloned(),
            second: b.get(name).cloned(),
            paths: BTreeSet::new(),
        })
        .collect()
}

fn cells(first: &Recording, second: &Recording) -> Option<Unit> {
    let code = |recording: &Recording| -> Vec<String> {
        super::judge::judged_of(recording).iter().map(|execution| execution.code.clone()).collect()
    };
    let (a, b) = (code(first), code(second));
    let differing = a.iter().zip(&b).filter(|(a, b)| a != b).count() + a.len().abs_diff(b.len());
    (differing > 0).then(|| Unit {
        kind: UnitKind::Cells,
        name: format!("({differing} of {} differ)", a.len().max(b.len())),
        first: None,
        second: None,
        paths: BTreeSet::new(),
    })
}

/// Makes the directories above `path`, with the modes that the layer of `source` gives them.
fn parents(path: &[u8], source: Option<&Path>, target: &Path) -> Result<(), FileError> {
    let whole = Path::new(OsStr::from_bytes(path));
    let depth = whole.components().count();
    let root = source.and_then(|source| source.ancestors().nth(depth));
    let mut at = PathBuf::new();
    for part in whole.parent().into_iter().flat_map(Path::components) {
        at.push(part);
        let dir = target.join(&at);
        if dir.is_dir() {
            continue;
        }
        std::fs::create_dir(&dir).map_err(FileError::new("create", &dir))?;
        let mode = root.and_then(|root| std::fs::symlink_metadata(root.join(&at)).ok()).map_or(0o775, |m| m.mode());
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(mode & 0o777))
            .map_err(FileError::new("set", &dir))?;
    }
    Ok(())
}

/// The same file at another place. A link where the file system can: an overlay never writes to its lower layers.
fn put(from: &Path, to: &Path) -> Result<(), FileError> {
    let metadata = std::fs::symlink_metadata(from).map_err(FileError::new("read", from))?;
    if metadata.is_symlink() {
        let target = std::fs::read_link(from).map_err(FileError::new("read", from))?;
        return std::os::unix::fs::symlink(target, to).map_err(FileError::new("create", to));
    }
    if std::fs::hard_link(from, to).is_err() {
        std::fs::copy(from, to).map_err(FileError::new("copy to", to))?;
        let times = std::fs::FileTimes::new();
        let times = metadata.modified().map_or(times, |modified| times.set_modified(modified));
        let file = std::fs::OpenOptions::new().append(true).open(to).map_err(FileError::new("open", to))?;
        file.set_times(times).map_err(FileError::new("set the time of", to))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_given_to_the_distribution_whose_record_lists_them() {
        let dir = tempfile::tempdir().unwrap();
        let record = dir.path().join("RECORD");
        std::fs::write(&record, "pkg/a.py,sha256=x,1\n\"odd,name.py\",,\n../../../bin/tool,,\n").unwrap();
        let files = BTreeMap::from([(b"e/lib/python3/site-packages/My_Pkg-1.0.dist-info/RECORD".to_vec(), record)]);
        let owners = owners(&files);
        let of = |path: &str| owners.get(path.as_bytes()).map(String::as_str);
        assert_eq!(of("e/lib/python3/site-packages/pkg/a.py"), Some("my-pkg"));
        assert_eq!(of("e/lib/python3/site-packages/odd,name.py"), Some("my-pkg"));
        assert_eq!(of("e/bin/tool"), Some("my-pkg"));
        assert_eq!(cached_module(b"x/site-packages/__pycache__/six.cpython-311.pyc").as_deref(), Some("six"));
    }

    #[test]
    fn a_swap_holds_the_second_files_and_whiteouts() {
        use std::os::unix::fs::FileTypeExt as _;
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("layer/root/d/new.txt");
        std::fs::create_dir_all(source.parent().unwrap()).unwrap();
        std::fs::write(&source, "b").unwrap();
        let unit = |name: &str, path: &[u8]| Unit {
            kind: UnitKind::Data,
            name: name.to_owned(),
            first: None,
            second: None,
            paths: BTreeSet::from([path.to_vec()]),
        };
        let differences = Differences {
            units: vec![unit("new", b"d/new.txt"), unit("gone", b"d/e/gone.txt"), unit("other", b"d/other")],
            second: BTreeMap::from([(b"d/new.txt".to_vec(), source)]),
        };
        let target = dir.path().join("over");
        lay(&differences, &BTreeSet::from([0, 1]), &target).unwrap();
        assert_eq!(std::fs::read_to_string(target.join("d/new.txt")).unwrap(), "b");
        let gone = std::fs::symlink_metadata(target.join("d/e/gone.txt")).unwrap();
        assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
        assert!(!target.join("d/other").exists());
    }
}
