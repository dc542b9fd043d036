//! Python distributions of a `site-packages`, and the files they own, read from their own records (never by running
//! Python): dist-info RECORD, egg-info `installed-files.txt`, conda-meta.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use super::{model::Component, paths, record};
use crate::files;

/// No metadata file is longer.
const LIMIT: u64 = 64 << 20;
/// No software list that a wheel brings is longer.
const SBOM_LIMIT: u64 = 4 << 20;

/// One distribution as installed.
#[derive(Clone, Debug)]
pub(crate) struct Distribution {
    /// What the software list says of it.
    pub(crate) component: Component,
    /// Normalised names of the distributions it needs, without markers and extras.
    pub(crate) requires: Vec<String>,
    /// Absolute paths of its files.
    pub(crate) files: Vec<Vec<u8>>,
    /// The source directory of an editable installation.
    pub(crate) editable: Option<Vec<u8>>,
}

/// PEP 503: lower case, runs of `-_.` are one `-`.
pub(crate) fn normalise(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '-' | '_' | '.') {
            if !normal.ends_with('-') {
                normal.push('-');
            }
        } else {
            normal.extend(c.to_lowercase());
        }
    }
    normal
}

/// All distributions of one `site-packages` directory (resolved path), in order of name.
pub(crate) fn read_site(site: &[u8]) -> Vec<Distribution> {
    let Ok(listing) = fs::read_dir(paths::as_path(site)) else { return Vec::new() };
    let mut names: Vec<Vec<u8>> =
        listing.filter_map(Result::ok).map(|entry| entry.file_name().into_encoded_bytes()).collect();
    names.sort_unstable();
    let read = |(at, name): (usize, &Vec<u8>)| {
        let dir = paths::join(site, name);
        let found = if name.ends_with(b".dist-info") {
            read_dist_info(site, &dir)
        } else if name.ends_with(b".egg-info") {
            read_egg_info(site, &dir)
        } else {
            None
        };
        found.map(|found| (at, found))
    };
    // A `stat` for each file of each distribution: worth all processors.
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    let mut found: Vec<(usize, Distribution)> = std::thread::scope(|scope| {
        let (names, read) = (&names, &read);
        let workers: Vec<_> = (0..threads)
            .map(|first| {
                scope.spawn(move || names.iter().enumerate().skip(first).step_by(threads).filter_map(read).collect())
            })
            .collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<_>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(join).collect()
    });
    found.sort_by(|(a_at, a), (b_at, b)| (&a.component.name, a_at).cmp(&(&b.component.name, b_at)));
    found.into_iter().map(|(_, found)| found).collect()
}

fn text(dir: &[u8], name: &str) -> Option<String> {
    let bytes = files::read_bounded(&paths::as_path(dir).join(name), LIMIT).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// When the installer wrote RECORD, in seconds since the epoch: its ctime.
fn installed(dir: &[u8]) -> i64 {
    std::fs::metadata(paths::as_path(dir).join("RECORD")).map_or(0, |metadata| metadata.ctime())
}

fn read_dist_info(site: &[u8], dir: &[u8]) -> Option<Distribution> {
    let metadata = text(dir, "METADATA")?;
    let direct_url: Option<serde_json::Value> =
        text(dir, "direct_url.json").and_then(|text| serde_json::from_str(&text).ok());
    let mut distribution = from_metadata(&metadata)?;
    distribution.component.installer = text(dir, "INSTALLER").map(|text| text.trim().to_owned());
    distribution.editable = direct_url.as_ref().and_then(editable_source);
    distribution.component.direct_url = direct_url;
    distribution.component.requested = Some(paths::as_path(dir).join("REQUESTED").exists());
    distribution.component.checkout = distribution.editable.as_deref().and_then(super::checkout::of);
    distribution.component.sboms = brought_sboms(dir);
    distribution.files = match text(dir, "RECORD") {
        Some(record) => {
            let lines = record::parse(&record);
            distribution.component.record = record::digest(&lines);
            distribution.component.modified = record::modified(&lines, site, installed(dir));
            lines.iter().filter(|line| !line.is_bytecode()).map(|line| line.absolute(site)).collect()
        }
        None => own_directory(dir),
    };
    distribution.component.requires.clone_from(&distribution.requires);
    Some(distribution)
}

fn read_egg_info(site: &[u8], path: &[u8]) -> Option<Distribution> {
    if !paths::as_path(path).is_dir() {
        // distutils wrote a single metadata file.
        let metadata = String::from_utf8_lossy(&files::read_bounded(paths::as_path(path), LIMIT).ok()?).into_owned();
        let mut distribution = from_metadata(&metadata)?;
        distribution.files.push(path.to_vec());
        return Some(distribution);
    }
    let mut distribution = from_metadata(&text(path, "PKG-INFO")?)?;
    distribution.files = own_directory(path);
    if let Some(installed) = text(path, "installed-files.txt") {
        distribution.files.extend(installed.lines().map(|line| paths::fold(&paths::join(path, line.as_bytes()))));
    } else {
        for top in text(path, "top_level.txt").unwrap_or_default().lines().filter(|line| !line.is_empty()) {
            let module = paths::join(site, top.as_bytes());
            distribution.files.push([&module, &b".py"[..]].concat());
            distribution.files.extend(own_directory(&module));
        }
    }
    Some(distribution)
}

/// The distribution or R package whose metadata is this file: `METADATA`, `PKG-INFO`, an `.egg-info` file, `DESCRIPTION`.
pub(crate) fn at(metadata: &[u8]) -> Option<Distribution> {
    let dir = paths::parent(metadata);
    match paths::name(metadata) {
        b"METADATA" => read_dist_info(paths::parent(dir), dir),
        b"PKG-INFO" => read_egg_info(paths::parent(dir), dir),
        b"DESCRIPTION" => read_r_package(dir),
        _ => read_egg_info(dir, metadata),
    }
}

/// All regular files below a directory, bytecode excepted.
fn own_directory(dir: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_vec()];
    while let Some(dir) = waiting.pop() {
        let Ok(listing) = fs::read_dir(paths::as_path(&dir)) else { continue };
        for entry in listing.filter_map(Result::ok) {
            let path = paths::join(&dir, entry.file_name().as_encoded_bytes());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.push(path),
                Ok(kind) if kind.is_file() && !path.ends_with(b".pyc") => found.push(path),
                _ => {}
            }
        }
    }
    found
}

/// The head of METADATA (core metadata specification): everything before the first empty line.
fn from_metadata(metadata: &str) -> Option<Distribution> {
    let head = metadata.split("\n\n").next()?;
    let fields = |name: &'static str| {
        head.lines().filter_map(move |line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let licence = fields("License-Expression").next().or_else(|| fields("License").next());
    let classifier = fields("Classifier").filter_map(|value| value.strip_prefix("License ::")).next_back();
    let short = licence.filter(|text| !text.is_empty() && *text != "UNKNOWN" && text.len() <= 100);
    let requires = fields("Requires-Dist")
        // An extra that nobody asked for is no dependency; other markers are cheap to take as true.
        .filter(|value| !value.contains("extra =="))
        .map(|value| normalise(value.split([' ', '(', '<', '>', '=', '!', '~', ';', '[']).next().unwrap_or_default()))
        .filter(|name| !name.is_empty())
        .collect();
    Some(Distribution {
        component: Component {
            kind: "pypi".to_owned(),
            name: normalise(fields("Name").next()?),
            version: fields("Version").next()?.to_owned(),
            licence: short.or_else(|| classifier?.rsplit("::").next().map(str::trim)).map(str::to_owned),
            installer: None,
            direct_url: None,
            loaded: false,
            dependency: false,
            modified: Vec::new(),
            arch: None,
            ..Component::default()
        },
        requires,
        files: Vec::new(),
        editable: None,
    })
}

/// The `file://` path of an editable installation (direct URL specification).
fn editable_source(direct_url: &serde_json::Value) -> Option<Vec<u8>> {
    let editable = direct_url.get("dir_info")?.get("editable")?.as_bool()?;
    let path = direct_url.get("url")?.as_str()?.strip_prefix("file://")?;
    editable.then(|| percent_decoded(path))
}

/// RFC 3986 §2.1; what is no escape stays.
pub(crate) fn percent_decoded(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |byte: u8| char::from(byte).to_digit(16);
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                decoded.push((hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0)) as u8);
                rest = after;
            }
            _ => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    decoded
}

/// Software lists that a wheel brings (PEP 770), in order of their names.
fn brought_sboms(dir: &[u8]) -> Vec<serde_json::Value> {
    let listing = fs::read_dir(paths::as_path(dir).join("sboms")).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<_> = listing.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    names.sort_unstable();
    names.iter().filter_map(|path| serde_json::from_slice(&files::read_bounded(path, SBOM_LIMIT).ok()?).ok()).collect()
}

/// Packages of a conda prefix: `conda-meta/*.json`, with the paths that conda wrote the prefix into.
pub(crate) fn read_conda(prefix: &[u8]) -> (Vec<Distribution>, Vec<Vec<u8>>) {
    let mut found = Vec::new();
    let mut prefixed = Vec::new();
    let meta = paths::join(prefix, b"conda-meta");
    let mut names: Vec<_> = fs::read_dir(paths::as_path(&meta))
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    names.sort_unstable();
    for path in names {
        if let Some(distribution) = read_conda_package(prefix, &path, &mut prefixed) {
            found.push(distribution);
        }
    }
    (found, prefixed)
}

fn read_conda_package(prefix: &[u8], path: &Path, prefixed: &mut Vec<Vec<u8>>) -> Option<Distribution> {
    let meta: serde_json::Value = serde_json::from_slice(&files::read_bounded(path, LIMIT).ok()?).ok()?;
    let word = |key: &str| meta.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let list = |key: &str| meta.get(key).and_then(|value| value.as_array()).cloned().unwrap_or_default();
    let in_prefix = |path: &str| paths::join(prefix, path.as_bytes());
    let mut lines = Vec::new();
    for entry in meta.pointer("/paths_data/paths").and_then(|paths| paths.as_array()).into_iter().flatten() {
        let Some(path) = entry.get("_path").and_then(|path| path.as_str()) else { continue };
        let has_prefix = entry.get("prefix_placeholder").is_some();
        if has_prefix {
            prefixed.push(in_prefix(path));
        }
        if entry.get("path_type").is_some_and(|kind| kind == "hardlink") {
            // With the prefix in it a file has other bytes, and a text another length.
            let digest = entry.get(if has_prefix { "sha256_in_prefix" } else { "sha256" });
            let size = entry.get("size_in_bytes").and_then(serde_json::Value::as_u64);
            lines.push(record::Line {
                path: path.to_owned(),
                digest: digest.and_then(|hex| format!("sha256:{}", hex.as_str()?).parse().ok()),
                size: size.filter(|_| !has_prefix),
            });
        }
    }
    let written = fs::metadata(path).map_or(0, |metadata| metadata.ctime());
    Some(Distribution {
        component: Component {
            kind: "conda".to_owned(),
            name: word("name")?,
            version: word("version")?,
            licence: word("license"),
            installer: Some("conda".to_owned()),
            direct_url: None,
            loaded: false,
            dependency: false,
            modified: record::modified(&lines, prefix, written),
            arch: word("subdir"),
            ..Component::default()
        },
        requires: list("depends")
            .iter()
            .filter_map(|item| item.as_str()?.split(' ').next().map(str::to_owned))
            .collect(),
        files: list("files").iter().filter_map(|item| Some(in_prefix(item.as_str()?))).collect(),
        editable: None,
    })
}

/// The packages of an R library directory, in order of name.
pub(crate) fn read_r_library(library: &[u8]) -> Vec<Distribution> {
    let listing = fs::read_dir(paths::as_path(library)).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<Distribution> = listing
        .filter_map(|entry| read_r_package(&paths::join(library, entry.file_name().as_encoded_bytes())))
        .collect();
    found.sort_by(|a, b| a.component.name.cmp(&b.component.name));
    found
}

/// An R package: the directory has DESCRIPTION and `Meta/`.
fn read_r_package(dir: &[u8]) -> Option<Distribution> {
    if !paths::as_path(dir).join("Meta").is_dir() {
        return None;
    }
    let description = text(dir, "DESCRIPTION")?;
    let field = |name: &str| {
        let start = description.lines().position(|line| line.starts_with(name))?;
        let mut value = description.lines().nth(start)?.split_once(':')?.1.to_owned();
        for line in description.lines().skip(start + 1).take_while(|line| line.starts_with([' ', '\t'])) {
            value.push_str(line);
        }
        Some(value.trim().to_owned())
    };
    let requires = [field("Depends:"), field("Imports:"), field("LinkingTo:")]
        .into_iter()
        .flatten()
        .flat_map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|item| item.split(['(', ' ']).find(|word| !word.is_empty()).map(str::to_owned))
        .filter(|name| name != "R")
        .collect::<Vec<String>>();
    Some(Distribution {
        component: Component {
            kind: "cran".to_owned(),
            name: field("Package:")?,
            version: field("Version:")?,
            licence: field("License:"),
            installer: field("Repository:"),
            direct_url: None,
            loaded: false,
            dependency: false,
            modified: Vec::new(),
            arch: None,
            requires: requires.clone(),
            ..Component::default()
        },
        requires,
        files: own_directory(dir),
        editable: None,
    })
}

/// Marks what `wanted` needs, directly or through others, as needed too: indices into `all`.
pub(crate) fn closure(all: &[Distribution], wanted: &[usize]) -> Vec<usize> {
    let by_name: HashMap<&str, usize> =
        all.iter().enumerate().map(|(index, distribution)| (distribution.component.name.as_str(), index)).collect();
    let mut taken = BTreeSet::new();
    let mut waiting: Vec<usize> = wanted.to_vec();
    while let Some(index) = waiting.pop() {
        if taken.insert(index)
            && let Some(distribution) = all.get(index)
        {
            waiting.extend(distribution.requires.iter().filter_map(|name| by_name.get(name.as_str()).copied()));
        }
    }
    taken.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_gives_name_licence_and_requirements_without_extras() {
        let found = from_metadata(
            "Metadata-Version: 2.1\nName: Foo.Bar_baz\nVersion: 1.0\nClassifier: License :: OSI Approved :: MIT License\n\
             Requires-Dist: numpy>=1.2\nRequires-Dist: py_test ; extra == 'test'\nRequires-Dist: six (>=1)\n\nbody\nName: x",
        )
        .unwrap();
        assert_eq!(found.component.name, "foo-bar-baz");
        assert_eq!(found.component.licence.as_deref(), Some("MIT License"));
        assert_eq!(found.requires, ["numpy", "six"]);
    }

    #[test]
    fn an_editable_installation_names_its_source() {
        let value = serde_json::json!({"url": "file:///home/u/my%20lib", "dir_info": {"editable": true}});
        assert_eq!(editable_source(&value).unwrap(), b"/home/u/my lib");
        let value = serde_json::json!({"url": "file:///home/u/x.whl", "archive_info": {}});
        assert_eq!(editable_source(&value), None);
    }

    #[test]
    fn an_r_library_is_read_by_its_descriptions() {
        let library = tempfile::tempdir().unwrap();
        let package = library.path().join("dplyr");
        fs::create_dir_all(package.join("Meta")).unwrap();
        fs::create_dir_all(library.path().join("file-backed")).unwrap();
        let description = "Package: dplyr\nVersion: 1.1.4\nLicense: MIT + file LICENSE\nDepends: R (>= 3.5)\nImports: cli (>= 3.4), glue,\n    rlang\n";
        fs::write(package.join("DESCRIPTION"), description).unwrap();
        let found = read_r_library(paths::bytes(library.path()));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].requires, ["cli", "glue", "rlang"]);
        assert_eq!(found[0].component.purl(), "pkg:cran/dplyr@1.1.4");
        assert_eq!(found[0].files.len(), 1);
    }

    #[test]
    fn a_conda_prefix_says_which_files_hold_it() {
        let prefix = tempfile::tempdir().unwrap();
        fs::create_dir(prefix.path().join("conda-meta")).unwrap();
        let meta = serde_json::json!({
            "name": "zlib", "version": "1.3", "license": "Zlib", "depends": ["libgcc >=13"], "files": ["lib/libz.so", "bin/z-config"],
            "paths_data": {"paths": [{"_path": "lib/libz.so"}, {"_path": "bin/z-config", "prefix_placeholder": "/opt/x"}]},
        });
        fs::write(prefix.path().join("conda-meta/zlib-1.3-0.json"), meta.to_string()).unwrap();
        fs::write(prefix.path().join("conda-meta/broken.json"), "{").unwrap();
        let (found, prefixed) = read_conda(paths::bytes(prefix.path()));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].requires, ["libgcc"]);
        assert_eq!(prefixed, [paths::join(paths::bytes(prefix.path()), b"bin/z-config")]);
    }

    #[test]
    fn dependencies_of_dependencies_are_needed() {
        let make = |name: &str, requires: &[&str]| {
            let mut lines = vec![format!("Name: {name}"), "Version: 1".to_owned()];
            lines.extend(requires.iter().map(|need| format!("Requires-Dist: {need}")));
            from_metadata(&lines.join("\n")).unwrap()
        };
        let all = [make("a", &["b"]), make("b", &["c", "missing"]), make("c", &["a"]), make("d", &[])];
        assert_eq!(closure(&all, &[0]), [0, 1, 2]);
    }
}
