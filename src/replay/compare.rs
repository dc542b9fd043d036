//! Two sessions side by side: code, libraries, environment, data, outputs, timing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Rules,
    align::align,
    cause::{Known, environment, machine, observed_libraries},
    inputs::relative,
    judge::{judge_knowing, judged_of, seconds},
    text::clip,
    verdict::{Cause, Verdicts},
};
use crate::{
    digest::Digest,
    files::display_bytes,
    inventory::model::Component,
    session::model::{Execution, Recording, Role},
};

/// One of the two things that are compared.
#[derive(Clone, Debug)]
pub struct Subject {
    /// As the user named it.
    pub name: String,
    /// Its recording.
    pub recording: Recording,
    /// Its software, where a bundle says it; else what the recording shows is used.
    pub components: Vec<Component>,
    /// Its datasets (absolute path, digest), where a bundle says it; else the inputs that were hashed.
    pub datasets: BTreeMap<Vec<u8>, Digest>,
}

/// A cell whose code differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CodeChange {
    /// Its number in the first.
    pub first: Option<usize>,
    /// Its number in the second.
    pub second: Option<usize>,
    /// Lines that only the first has, shortened.
    pub removed: Vec<String>,
    /// Lines that only the second has, shortened.
    pub added: Vec<String>,
}

/// A dataset that differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DataChange {
    /// Path, relative to the working directory where it lies below it.
    pub path: String,
    /// Digest in the first; `None` when it is not there.
    pub first: Option<Digest>,
    /// Digest in the second.
    pub second: Option<Digest>,
}

/// All that differs between two sessions.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Comparison {
    /// Cells.
    pub code: Vec<CodeChange>,
    /// Libraries and packages.
    pub libraries: Vec<Cause>,
    /// Environment variables.
    pub environment: Vec<Cause>,
    /// The machine; for information, it does not make two sessions different.
    pub machine: Vec<Cause>,
    /// Datasets.
    pub data: Vec<DataChange>,
    /// Outputs, judged as a replay would be.
    pub outputs: Verdicts,
    /// Seconds of kernel time of all judged executions.
    pub seconds: (f64, f64),
}

impl Comparison {
    /// 0 the same, 1 different, 2 nothing to compare.
    pub fn exit_code(&self) -> u8 {
        let differs = !self.code.is_empty()
            || !self.libraries.is_empty()
            || !self.environment.is_empty()
            || !self.data.is_empty();
        if differs { 1 } else { self.outputs.exit_code() }
    }
}

/// Compares two sessions.
pub fn compare(first: &Subject, second: &Subject, rules: &Rules) -> Comparison {
    let time = |subject: &Subject| {
        let judged = judged_of(&subject.recording);
        judged.iter().filter_map(|execution| seconds(execution)).fold(0.0, |sum, seconds| sum + seconds)
    };
    let libraries = libraries(first, second);
    let known = Known { libraries: libraries.clone(), ..Known::default() };
    Comparison {
        code: code(&judged_of(&first.recording), &judged_of(&second.recording)),
        libraries,
        environment: environment(&first.recording, &second.recording),
        machine: machine(&first.recording, &second.recording),
        data: data(first, second),
        outputs: judge_knowing(&first.recording, &second.recording, &[], rules, &known),
        seconds: (time(first), time(second)),
    }
}

fn code(first: &[&Execution], second: &[&Execution]) -> Vec<CodeChange> {
    let pairs = align(first, second);
    let used: BTreeSet<usize> = pairs.iter().flatten().copied().collect();
    let lines = |execution: Option<&&Execution>| -> Vec<String> {
        execution.map(|execution| execution.code.lines().map(clip).collect()).unwrap_or_default()
    };
    let mut changes = Vec::new();
    let mut last = 0;
    for (i, (a, pair)) in first.iter().zip(&pairs).enumerate() {
        let b = pair.and_then(|j| second.get(j));
        let moved = pair.is_some_and(|j| j < last);
        last = last.max(pair.unwrap_or(last));
        if b.is_some_and(|b| b.code == a.code) && !moved {
            continue;
        }
        let (x, y) = (lines(Some(a)), lines(b));
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|line| !those.contains(line)).cloned().collect()
        };
        changes.push(CodeChange {
            first: Some(i + 1),
            second: pair.map(|j| j + 1),
            removed: only(&x, &y),
            added: only(&y, &x),
        });
    }
    for (j, b) in second.iter().enumerate().filter(|(j, _)| !used.contains(j)) {
        changes.push(CodeChange { first: None, second: Some(j + 1), removed: Vec::new(), added: lines(Some(b)) });
    }
    changes
}

fn libraries(first: &Subject, second: &Subject) -> Vec<Cause> {
    let declared = |subject: &Subject| -> BTreeMap<String, String> {
        let components = subject.components.iter();
        components.map(|c| (format!("{}:{}", c.kind, c.name), c.version.clone())).collect()
    };
    // Both sides have a list: everything counts. One side or none: only what both sessions are seen to have loaded.
    let listed = !first.components.is_empty() && !second.components.is_empty();
    let (a, b) = if listed {
        (declared(first), declared(second))
    } else {
        let loaded = |subject: &Subject| {
            let mut found: BTreeMap<String, String> = subject
                .components
                .iter()
                .filter(|component| component.kind == "pypi" || component.kind == "conda")
                .map(|component| (component.name.clone(), component.version.clone()))
                .collect();
            if found.is_empty() {
                found = observed_libraries(&subject.recording);
            }
            found
        };
        let (mut a, mut b) = (loaded(first), loaded(second));
        a.retain(|name, _| b.contains_key(name));
        b.retain(|name, _| a.contains_key(name));
        (a, b)
    };
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names
        .into_iter()
        .filter(|name| a.get(*name) != b.get(*name))
        .map(|name| Cause::Library {
            name: name.strip_prefix("pypi:").unwrap_or(name).to_owned(),
            recorded: a.get(name).cloned(),
            replayed: b.get(name).cloned(),
        })
        .collect()
}

fn data(first: &Subject, second: &Subject) -> Vec<DataChange> {
    let (a, b) = (inputs(first), inputs(second));
    let names: BTreeSet<&Vec<u8>> = a.keys().chain(b.keys()).collect();
    names
        .into_iter()
        .filter(|path| a.get(*path) != b.get(*path))
        .map(|path| DataChange {
            path: display_bytes(path).to_string(),
            first: a.get(path).copied(),
            second: b.get(path).copied(),
        })
        .collect()
}

/// Datasets of one side: its list, else what was hashed when it was read and does not belong to the system.
fn inputs(subject: &Subject) -> BTreeMap<Vec<u8>, Digest> {
    let recording = &subject.recording;
    if !subject.datasets.is_empty() {
        return subject.datasets.iter().map(|(path, digest)| (relative(recording, path), *digest)).collect();
    }
    let mut inputs = BTreeMap::new();
    for version in recording.versions.iter().filter(|version| version.role == Role::Read) {
        if let Some(digest) = version.digest.filter(|_| !belongs_to_system(&version.path)) {
            inputs.entry(relative(recording, &version.path)).or_insert(digest);
        }
    }
    inputs
}

pub(crate) fn belongs_to_system(path: &[u8]) -> bool {
    let places: [&[u8]; 7] = [b"/usr/", b"/etc/", b"/proc/", b"/sys/", b"/dev/", b"/run/", b"/opt/nbpack/"];
    let within = |part: &[u8]| path.windows(part.len()).any(|window| window == part);
    places.iter().any(|place| path.starts_with(place))
        || within(b"/site-packages/")
        || within(b"/__pycache__/")
        || within(b"/.cache/")
        || within(b"/.ipython/")
        || within(b"/.config/")
}
