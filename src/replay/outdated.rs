//! Which cells show what would not come out any more: a file they read has changed, a library has, a cell they build on
//! was run again, edited or deleted.
//!
//! The recording says what an execution read and which executions it builds on ([`Lineage`], which looks at names and
//! may name one too many). What is on disk now is looked up through a function, so that this module opens nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    compare::belongs_to_system,
    lineage::{Lineage, is_kernels_own},
    why::{distribution_of, library_of},
};
use crate::{
    digest::Digest,
    files::{Signature, display_bytes},
    session::model::{Execution, FileUse, Recording, Role, Status, Use},
};

/// The notebook as the person has it before them: cell id and code, in order.
pub type Cells = Vec<(String, String)>;

/// What is at a path now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Now {
    /// A file with this signature.
    File(Signature),
    /// Nothing, or no file.
    Gone,
}

/// Looks at the disk.
pub trait Disk {
    /// What is at this path.
    fn look(&self, path: &[u8]) -> Now;
    /// The digest of its content; `None` where that takes too long.
    fn digest(&self, path: &[u8]) -> Option<Digest>;
}

/// What is said of a cell.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Standing {
    /// The cell.
    pub cell: String,
    /// Its last execution, by row number of the recording.
    pub execution: i64,
    /// The number that stands in its brackets.
    pub count: Option<i64>,
    /// It still runs, or its kernel died in it.
    pub running: bool,
    /// Why its output is out of date; empty when it is not, as far as is known.
    pub reasons: Vec<Reason>,
}

/// One reason why an output is out of date.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Reason {
    /// What kind.
    pub kind: Kind,
    /// For a person.
    pub text: String,
    /// The cell that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
}

/// See [`Reason::kind`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file it read has other content, or is gone.
    File,
    /// A library it loaded has changed.
    Library,
    /// A cell it builds on was run again.
    Rerun,
    /// A cell it builds on has other code now.
    Edited,
    /// A cell it builds on is gone.
    Deleted,
    /// A cell it builds on is out of date itself.
    Upstream,
}

/// How many files of one kind are named before the rest is only counted.
const NAMED: usize = 5;

/// What is to be said of each cell that ran, and is there still. `cells` is the notebook as it is now; `None` where nobody
/// knows.
/// `disk` is `None` where the recorded paths are not this machine's (a kernel in a container).
pub fn standings(recording: &Recording, cells: Option<&Cells>, disk: Option<&dyn Disk>) -> Vec<Standing> {
    let ran: Vec<&Execution> = recording
        .executions
        .iter()
        .filter(|execution| !execution.silent && !execution.is_magic && execution.status != Some(Status::Aborted))
        .collect();
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, execution) in ran.iter().enumerate() {
        if let Some(cell) = execution.cell_id.as_deref() {
            last.insert(cell, at);
        }
    }
    let looked = Look {
        place: ran.iter().enumerate().map(|(at, execution)| (execution.id, at)).collect(),
        shown: cells.map(|cells| cells.iter().map(|(id, code)| (id.as_str(), code.as_str())).collect()),
        lineage: Lineage::of(recording),
        files: changed_files(recording, disk),
        ran: &ran,
        last: &last,
    };
    // Links go back in time, so what an execution builds on is judged before it is.
    let mut outdated: BTreeMap<i64, Vec<Reason>> = BTreeMap::new();
    for execution in &ran {
        let reasons = looked.reasons(execution, &outdated);
        outdated.insert(execution.id, reasons);
    }
    let mut all: Vec<Standing> = last
        .iter()
        .filter_map(|(cell, at)| {
            let execution = ran.get(*at)?;
            Some(Standing {
                cell: (*cell).to_owned(),
                execution: execution.id,
                count: execution.execution_count,
                running: execution.idle.is_none(),
                reasons: if execution.idle.is_none() { Vec::new() } else { outdated.remove(&execution.id)? },
            })
        })
        .collect();
    // An output that nobody sees any more cannot be out of date.
    all.retain(|standing| cells.is_none_or(|cells| cells.iter().any(|(id, _)| *id == standing.cell)));
    all.sort_by_key(|standing| standing.execution);
    all
}

struct Look<'a> {
    ran: &'a [&'a Execution],
    /// Of each execution its place in `ran`.
    place: BTreeMap<i64, usize>,
    /// Of each cell the place of its last execution.
    last: &'a BTreeMap<&'a str, usize>,
    shown: Option<BTreeMap<&'a str, &'a str>>,
    lineage: Lineage,
    files: BTreeMap<i64, Vec<Reason>>,
}

impl Look<'_> {
    fn reasons(&self, execution: &Execution, outdated: &BTreeMap<i64, Vec<Reason>>) -> Vec<Reason> {
        let mut reasons: BTreeSet<Reason> = self.files.get(&execution.id).into_iter().flatten().cloned().collect();
        let own = self.place.get(&execution.id).copied().unwrap_or_default();
        for link in self.lineage.links.get(&execution.id).into_iter().flatten() {
            let Some(from) = self.place.get(&link.from).and_then(|at| self.ran.get(*at)) else { continue };
            let Some(cell) = from.cell_id.as_deref().filter(|cell| execution.cell_id.as_deref() != Some(*cell)) else {
                continue;
            };
            let through = link.through.iter().map(|name| short_name(name)).collect::<Vec<_>>().join(", ");
            let count = from.execution_count.map_or_else(|| "?".to_owned(), |count| count.to_string());
            let reason = |kind, text| Reason { kind, text, cell: Some(cell.to_owned()) };
            let again = self.last.get(cell).filter(|at| **at > own).and_then(|at| self.ran.get(*at));
            let shown = self.shown.as_ref().map(|shown| shown.get(cell));
            let told = match (again, shown) {
                (Some(again), _) => {
                    let now = again.execution_count.map_or_else(String::new, |count| format!(", as [{count}]"));
                    reason(Kind::Rerun, format!("the cell that made {through} was run again since{now}"))
                }
                (None, Some(None)) => {
                    reason(Kind::Deleted, format!("the cell that made {through} is not in the notebook any more"))
                }
                (None, Some(Some(code))) if self.is_last(from) && **code != from.code => {
                    let text = format!("the cell that made {through}, [{count}], was edited and not run since");
                    reason(Kind::Edited, text)
                }
                _ if outdated.get(&from.id).is_some_and(|reasons| !reasons.is_empty()) => {
                    reason(Kind::Upstream, format!("the cell that made {through}, [{count}], is out of date"))
                }
                _ => continue,
            };
            reasons.insert(told);
        }
        reasons.into_iter().collect()
    }

    fn is_last(&self, execution: &Execution) -> bool {
        let last = execution.cell_id.as_deref().and_then(|cell| self.last.get(cell));
        last.is_some() && last == self.place.get(&execution.id)
    }
}

/// A file by its last part, a name as it is.
fn short_name(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    format!("`{name}`")
}

/// For each execution what it read and what is not so any more.
fn changed_files(recording: &Recording, disk: Option<&dyn Disk>) -> BTreeMap<i64, Vec<Reason>> {
    let mut of_path: BTreeMap<&[u8], Vec<&FileUse>> = BTreeMap::new();
    for file in recording.files.iter().filter(|file| !is_kernels_own(&file.path) || is_bytecode(&file.path)) {
        of_path.entry(&file.path).or_default().push(file);
    }
    let count = |id: i64| {
        let execution = recording.executions.iter().find(|execution| execution.id == id);
        execution
            .and_then(|execution| execution.execution_count)
            .map_or_else(String::new, |count| format!(" by [{count}]"))
    };
    let mut files: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    let mut libraries: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for (path, uses) in of_path {
        let library = library_of(path).map(|module| distribution_of(&module));
        if library.is_none() && belongs_to_system(path) {
            continue;
        }
        let mut now = None;
        for read in uses.iter().filter(|file| matches!(file.usage, Use::Read | Use::Exec)) {
            let Some(id) = read.execution else { continue };
            let own = |file: &&&FileUse| file.execution == Some(id);
            let writes = || uses.iter().filter(|file| is_change(file.usage));
            let later = writes().filter(|file| !own(file) && file.first > read.last).max_by_key(|file| file.first);
            let changed = match later {
                // An import compiles what it finds without bytecode: that is no change.
                Some(_) if is_bytecode(path) => None,
                Some(write) => {
                    let by = write.execution.map(count).unwrap_or_default();
                    Some(if write.usage == Use::Remove { format!("removed{by}") } else { format!("written{by}") })
                }
                None if writes().any(|file| own(&file)) => None,
                None => disk.and_then(|disk| on_disk(path, read, recording, disk, &mut now)),
            };
            let Some(changed) = changed else { continue };
            match &library {
                Some(name) => drop(libraries.entry(id).or_default().insert(name.clone())),
                None => files.entry(id).or_default().push(format!("{} was {changed} since", named(path))),
            }
        }
    }
    let mut reasons: BTreeMap<i64, Vec<Reason>> = BTreeMap::new();
    for (id, texts) in files {
        reasons.entry(id).or_default().extend(bounded(Kind::File, texts, "more files were changed since"));
    }
    for (id, names) in libraries {
        let texts = names.into_iter().map(|name| format!("the library `{name}` has changed since it was loaded"));
        reasons.entry(id).or_default().extend(bounded(
            Kind::Library,
            texts.collect(),
            "more libraries have changed since",
        ));
    }
    reasons
}

fn bounded(kind: Kind, texts: Vec<String>, more: &str) -> Vec<Reason> {
    let rest = texts.len().saturating_sub(NAMED);
    let rest = (rest > 0).then(|| format!("{rest} {more}"));
    texts.into_iter().take(NAMED).chain(rest).map(|text| Reason { kind, text, cell: None }).collect()
}

fn named(path: &[u8]) -> String {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    format!("`{}`", display_bytes(name))
}

fn is_change(usage: Use) -> bool {
    matches!(usage, Use::Write | Use::Update | Use::RenameTo | Use::Remove | Use::RenameFrom)
}

fn is_bytecode(path: &[u8]) -> bool {
    path.ends_with(b".pyc")
}

/// How what is on disk differs from what was read.
fn on_disk(
    path: &[u8],
    read: &FileUse,
    recording: &Recording,
    disk: &dyn Disk,
    now: &mut Option<Now>,
) -> Option<String> {
    let then = read.signature?;
    let found = *now.get_or_insert_with(|| disk.look(path));
    let Now::File(found) = found else { return Some("removed".to_owned()) };
    // A link made elsewhere changes the ctime of a file that is the same.
    let same = |a: &Signature, b: &Signature| (a.dev, a.ino, a.size, a.mtime_ns) == (b.dev, b.ino, b.size, b.mtime_ns);
    if same(&then, &found) {
        return None;
    }
    let changed = Some("changed".to_owned());
    if then.size != found.size {
        return changed;
    }
    // Written again with the same bytes, it is what it was.
    let version = recording
        .versions
        .iter()
        .filter(|version| version.path == path && version.role == Role::Read && same(&version.signature, &then))
        .find_map(|version| version.digest);
    match version {
        Some(version) if disk.digest(path) == Some(version) => None,
        _ => changed,
    }
}

#[cfg(test)]
mod tests;
