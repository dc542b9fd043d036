//! Where an output comes from: the cells, files, libraries and hosts behind it, in one recording.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    cause::{is_local, observed_libraries},
    judge::judged_of,
    lineage::Lineage,
    text::clip,
};
use crate::{
    digest::Digest,
    files::display_bytes,
    inventory::model::Component,
    session::model::{Execution, Recording, Role, Use},
};

/// Modules that are named otherwise than the distribution they come from.
const ALIASES: &[(&str, &str)] = &[
    ("sklearn", "scikit-learn"),
    ("skimage", "scikit-image"),
    ("PIL", "pillow"),
    ("cv2", "opencv-python"),
    ("yaml", "pyyaml"),
    ("bs4", "beautifulsoup4"),
    ("dateutil", "python-dateutil"),
    ("mpl_toolkits", "matplotlib"),
];

/// A cell behind an output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CellOrigin {
    /// Its number among the judged executions.
    pub number: usize,
    /// Its first line.
    pub code: String,
    /// The names and files that lead from it to the cells after it.
    pub gives: Vec<String>,
}

/// A file behind an output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FileOrigin {
    /// Its path.
    pub path: String,
    /// The content as it was read.
    pub digest: Option<Digest>,
    /// Bytes.
    pub size: Option<u64>,
    /// The cell that read it.
    pub read_in: usize,
    /// It was made by the session itself.
    pub made_here: bool,
}

/// All that is behind an output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Default)]
pub struct Origin {
    /// The number of the cell itself.
    pub cell: usize,
    /// Its code.
    pub code: String,
    /// Cells it depends on, in order.
    pub cells: Vec<CellOrigin>,
    /// Data and local code.
    pub files: Vec<FileOrigin>,
    /// `name version` of libraries whose files these cells loaded.
    pub libraries: Vec<String>,
    /// Network addresses these cells asked for.
    pub hosts: Vec<String>,
    /// Programs these cells started.
    pub programs: Vec<String>,
}

/// The executions that are cells: what a cell's number counts.
pub fn cells(recording: &Recording) -> Vec<&Execution> {
    judged_of(recording)
}

/// Looks up where the outputs of a cell come from; `None` when there is no cell with this number.
pub fn why(recording: &Recording, components: &[Component], cell: usize) -> Option<Origin> {
    let judged = judged_of(recording);
    let execution = judged.get(cell.checked_sub(1)?)?;
    let numbers: BTreeMap<i64, usize> = judged.iter().enumerate().map(|(i, e)| (e.id, i + 1)).collect();
    let lineage = Lineage::of(recording);
    let ancestors = lineage.ancestors(execution.id);
    let all: BTreeSet<i64> = ancestors.iter().copied().chain([execution.id]).collect();
    let gives = |id: i64| -> Vec<String> {
        let links = all.iter().filter_map(|to| lineage.links.get(to)).flatten();
        let names: BTreeSet<String> =
            links.filter(|link| link.from == id).flat_map(|link| link.through.iter().cloned()).collect();
        names.into_iter().collect()
    };
    let find = |id: i64| judged.iter().find(|e: &&&Execution| e.id == id);
    let cells = ancestors
        .iter()
        .filter_map(|id| {
            let first = find(*id)?.code.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            Some(CellOrigin { number: *numbers.get(id)?, code: clip(first), gives: gives(*id) })
        })
        .collect();
    Some(Origin {
        cell,
        code: execution.code.clone(),
        cells,
        files: files(recording, &all, &numbers),
        libraries: libraries(recording, components, &all),
        hosts: unique(recording.connections.iter().filter_map(|connection| {
            let asked = connection.execution.is_some_and(|id| all.contains(&id)) && !is_local(&connection.address);
            asked.then(|| connection.address.clone())
        })),
        programs: unique(recording.processes.iter().filter_map(|process| {
            let started = process.execution.is_some_and(|id| all.contains(&id)) && !process.exe.is_empty();
            started.then(|| display_bytes(&process.exe).to_string())
        })),
    })
}

fn unique(names: impl Iterator<Item = String>) -> Vec<String> {
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Hashed inputs of these executions that belong to no library.
fn files(recording: &Recording, of: &BTreeSet<i64>, numbers: &BTreeMap<i64, usize>) -> Vec<FileOrigin> {
    let made: BTreeSet<&[u8]> =
        recording.files.iter().filter(|file| file.created_here).map(|file| file.path.as_slice()).collect();
    let mut found: BTreeMap<&[u8], FileOrigin> = BTreeMap::new();
    for version in recording.versions.iter().filter(|version| version.role == Role::Read) {
        let Some(id) = version.execution.filter(|id| of.contains(id)) else { continue };
        if library_of(&version.path).is_some() || super::compare::belongs_to_system(&version.path) {
            continue;
        }
        found.entry(&version.path).or_insert_with(|| FileOrigin {
            path: display_bytes(&version.path).to_string(),
            digest: version.digest,
            size: Some(version.signature.size),
            read_in: numbers.get(&id).copied().unwrap_or_default(),
            made_here: made.contains(version.path.as_slice()),
        });
    }
    found.into_values().collect()
}

/// The top directory or module below `site-packages` (or R's library) that a path lies in.
pub(super) fn library_of(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    let places = ["/site-packages/", "/dist-packages/", "/R/library/", "/R/site-library/"];
    let below = places.iter().find_map(|place| path.split_once(place))?.1;
    let top = below.split('/').next()?;
    let name = top.split('.').next().filter(|name| !name.is_empty() && !name.starts_with("__"))?;
    (!top.ends_with("-info")).then(|| name.to_owned())
}

/// The distribution that a module comes from, as far as its name tells.
pub(super) fn distribution_of(module: &str) -> String {
    let alias = ALIASES.iter().find(|(name, _)| *name == module).map(|(_, name)| (*name).to_owned());
    alias.unwrap_or_else(|| module.to_ascii_lowercase().replace('_', "-"))
}

/// `name version` of the libraries that these executions opened files of.
fn libraries(recording: &Recording, components: &[Component], of: &BTreeSet<i64>) -> Vec<String> {
    let mut versions = observed_libraries(recording);
    versions.extend(components.iter().filter(|c| c.kind != "deb").map(|c| (c.name.clone(), c.version.clone())));
    let opened = recording.files.iter().filter(|file| {
        matches!(file.usage, Use::Read | Use::Exec) && file.execution.is_some_and(|id| of.contains(&id))
    });
    unique(opened.filter_map(|file| library_of(&file.path)).filter_map(|module| {
        let name = distribution_of(&module);
        match versions.get(&name) {
            Some(version) => Some(format!("{name} {version}")),
            // A module of a distribution of another name, or a private one (`_cffi_backend`).
            None if name.starts_with('-') => None,
            None => Some(name),
        }
    }))
}
