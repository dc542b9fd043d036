//! What a session has taken in and given out so far, for a panel beside the notebook: libraries, files with the cells
//! that touched them, and what is seen in part only.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::{Value, json};

use crate::{
    files::display_bytes,
    inventory::model::{Class, Component, EntryKind, Inventory},
    session::model::{FileVersion, Recording, Role, Use},
};

/// More files are counted, not listed.
const MOST_FILES: usize = 500;
/// More remarks of one kind are counted, not listed.
const MOST_REMARKS: usize = 50;

/// The whole answer. Without an inventory libraries and classes are not known.
pub fn inputs(recording: &Recording, inventory: Option<&Inventory>) -> Value {
    let cells = Cells::of(recording);
    let classes = inventory.map(Classes::of).unwrap_or_default();
    let (files, more_files) = files(recording, &cells, &classes);
    json!({
        "libraries": inventory.map_or_else(|| json!([]), |inventory| libraries(recording, &cells, inventory)),
        "installed": inventory.map_or(0, |inventory| inventory.components.len()),
        "files": files,
        "more_files": more_files,
        "partly": partly(recording, &cells, inventory),
    })
}

/// The cells that executions belong to.
struct Cells<'a>(BTreeMap<i64, (Option<&'a str>, Option<i64>)>);

impl<'a> Cells<'a> {
    fn of(recording: &'a Recording) -> Self {
        let cell = |execution: &'a crate::session::model::Execution| {
            (execution.id, (execution.cell_id.as_deref(), execution.execution_count))
        };
        Self(recording.executions.iter().filter(|execution| !execution.silent).map(cell).collect())
    }

    /// Each cell once, with the number of its last execution among these.
    fn list(&self, executions: impl IntoIterator<Item = i64>) -> Value {
        let mut found: BTreeMap<(Option<&str>, i64), Option<i64>> = BTreeMap::new();
        for id in executions {
            let Some((cell, count)) = self.0.get(&id) else { continue };
            // What no cell stands for is told by its execution.
            found.insert((*cell, if cell.is_some() { 0 } else { id }), *count);
        }
        let mut list: Vec<_> = found.into_iter().map(|((cell, _), count)| (count, cell)).collect();
        list.sort_unstable();
        list.into_iter().map(|(count, cell)| json!({"cell": cell, "count": count})).collect()
    }
}

#[derive(Default)]
struct Classes<'a>(BTreeMap<&'a [u8], Class>);

impl<'a> Classes<'a> {
    fn of(inventory: &'a Inventory) -> Self {
        let inside = inventory.entries.iter().filter(|(_, entry)| matches!(entry.kind, EntryKind::File { .. }));
        let inside = inside.map(|(at, entry)| (bare(entry.original.as_deref().unwrap_or(at)), entry.class));
        let outside = inventory.left_out.iter().map(|out| (bare(&out.path), out.class));
        Self(inside.chain(outside).collect())
    }

    fn get(&self, path: &[u8]) -> Option<Class> {
        self.0.get(bare(path)).copied()
    }
}

/// Paths in the image have no leading slash.
fn bare(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"/").unwrap_or(path)
}

fn libraries(recording: &Recording, cells: &Cells<'_>, inventory: &Inventory) -> Value {
    let mut owner: BTreeMap<&[u8], usize> = BTreeMap::new();
    for (at, entry) in &inventory.entries {
        if let Some(component) = entry.component.filter(|_| entry.touched) {
            owner.insert(bare(entry.original.as_deref().unwrap_or(at)), component);
        }
    }
    let mut touched: BTreeMap<usize, BTreeSet<i64>> = BTreeMap::new();
    for file in &recording.files {
        if let (Some(id), Some(component)) = (file.execution, owner.get(bare(&file.path))) {
            touched.entry(*component).or_default().insert(id);
        }
    }
    let loaded = inventory.components.iter().enumerate().filter(|(_, component)| component.loaded);
    let row = |(index, component): (usize, &Component)| {
        // The first execution loaded it; the others found it in memory or looked again.
        let by = touched.get(&index).into_iter().flatten().copied();
        json!({
            "name": component.name, "version": component.version, "kind": component.kind,
            "declared": component.declared, "licence": component.licence, "modified": component.modified.len(),
            "cells": cells.list(by),
        })
    };
    loaded.map(row).collect()
}

fn files(recording: &Recording, cells: &Cells<'_>, classes: &Classes<'_>) -> (Vec<Value>, usize) {
    let mut versions: BTreeMap<&[u8], Vec<&FileVersion>> = BTreeMap::new();
    for version in &recording.versions {
        versions.entry(&version.path).or_default().push(version);
    }
    let mut uses: BTreeMap<&[u8], Vec<(Use, i64)>> = BTreeMap::new();
    for file in &recording.files {
        if let Some(id) = file.execution.filter(|_| versions.contains_key(file.path.as_slice())) {
            uses.entry(&file.path).or_default().push((file.usage, id));
        }
    }
    let mut rows = Vec::new();
    for (path, versions) in versions {
        let class = classes.get(path);
        if matches!(class, Some(Class::Private | Class::PseudoFile)) {
            continue;
        }
        let uses = uses.get(path).map(Vec::as_slice).unwrap_or_default();
        let by = |wanted: &[Use]| {
            let ids: Vec<i64> = uses.iter().filter(|(usage, _)| wanted.contains(usage)).map(|(_, id)| *id).collect();
            cells.list(ids)
        };
        let read = versions.iter().find(|version| version.role == Role::Read);
        let written = versions.iter().rfind(|version| version.role == Role::Written);
        let Some(shown) = written.or(read) else { continue };
        let role = match (read, written) {
            (Some(_), Some(_)) => "both",
            (None, Some(_)) => "written",
            _ => "read",
        };
        rows.push(json!({
            "path": display_bytes(path).to_string(),
            "shown": shown_path(path, recording),
            "role": role,
            "class": class,
            "size": shown.signature.size,
            "digest": shown.digest,
            "note": versions.iter().find_map(|version| version.note.as_deref()),
            "read_by": by(&[Use::Read, Use::Exec, Use::Update, Use::RenameFrom]),
            "written_by": by(&[Use::Write, Use::Update, Use::RenameTo]),
        }));
    }
    let more = rows.len().saturating_sub(MOST_FILES);
    rows.truncate(MOST_FILES);
    (rows, more)
}

/// As the person would write it: relative to the notebook's directory, or with `~`.
fn shown_path(path: &[u8], recording: &Recording) -> String {
    let relative = |dir: &Path| {
        let dir = std::os::unix::ffi::OsStrExt::as_bytes(dir.as_os_str());
        path.strip_prefix(dir)?.strip_prefix(b"/").filter(|rest| dir.len() > 1 && !rest.is_empty())
    };
    if let Some(rest) = relative(&recording.info.cwd) {
        return display_bytes(rest).to_string();
    }
    relative(&recording.info.home)
        .map_or_else(|| display_bytes(path).to_string(), |rest| format!("~/{}", display_bytes(rest)))
}

/// What the recording cannot vouch for.
fn partly(recording: &Recording, cells: &Cells<'_>, inventory: Option<&Inventory>) -> Vec<Value> {
    let mut remarks: Vec<Value> = Vec::new();
    if recording.info.coverage == "none" {
        remarks.push(json!({"kind": "coverage", "text": "no file access is seen: libraries and files are not known"}));
    }
    let mut list = |kind: &str, all: Vec<(String, Value)>| {
        let more = all.len().saturating_sub(MOST_REMARKS);
        for (text, cells) in all.into_iter().take(MOST_REMARKS) {
            remarks.push(json!({"kind": kind, "text": text, "cells": cells}));
        }
        if more > 0 {
            remarks.push(json!({"kind": kind, "text": format!("{more} more")}));
        }
    };
    list("gap", recording.gaps.iter().map(|gap| (gap.detail.clone(), json!([]))).collect());
    let doubtful = recording.versions.iter().filter(|version| version.unstable || version.digest.is_none());
    let doubtful = doubtful.map(|version| {
        let note = version.note.as_deref().unwrap_or("changed while it was read");
        (format!("{}: {note}", shown_path(&version.path, recording)), cells.list(version.execution))
    });
    list("file", doubtful.collect());
    let mut remote: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for connection in recording.connections.iter().filter(|connection| is_remote(&connection.address)) {
        remote.entry(&connection.address).or_default().extend(connection.execution);
    }
    let remote = remote.into_iter().map(|(address, ids)| {
        let place = address.strip_prefix("tcp:").unwrap_or(address);
        (format!("what came from {place} over the network is not kept"), cells.list(ids))
    });
    list("network", remote.collect());
    if let Some(inventory) = inventory {
        list("export", inventory.warnings.iter().map(|warning| (warning.clone(), json!([]))).collect());
    }
    remarks
}

/// Whether a connection left this machine.
fn is_remote(address: &str) -> bool {
    address.starts_with("tcp:") && !address.starts_with("tcp:127.") && !address.starts_with("tcp:[::1]")
}
