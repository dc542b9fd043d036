//! The list of inputs in the session layer: which file, which bytes, first read by which execution.

use serde::{Deserialize, Serialize};

use super::{
    model::{Class, Inventory},
    rules::{Facts, Place, Rules, Usage},
};
use crate::{
    digest::Digest,
    session::model::{Recording, Role},
    store::Store,
};

/// One input of the session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Dataset {
    /// Its path on the recording machine; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// SHA-256 as first read; `None` when it could not be read.
    pub digest: Option<Digest>,
    /// Bytes.
    pub size: u64,
    /// The execution that read it first; `None` is outside any cell.
    pub execution: Option<i64>,
    /// What a person should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The inputs in order of their paths. Local modules, configuration and results are none.
pub fn datasets(recording: &Recording, inventory: &Inventory) -> Vec<Dataset> {
    list(recording, |path| is_dataset(inventory, path))
}

/// The first version of each path that the session read and that `is_input` names, in order of the paths.
pub(super) fn list(recording: &Recording, is_input: impl Fn(&[u8]) -> bool) -> Vec<Dataset> {
    let mut versions: Vec<_> =
        recording.versions.iter().filter(|version| version.role == Role::Read && is_input(&version.path)).collect();
    // The first version is the input; what the session read later it had changed itself.
    versions.sort_by_key(|version| (&version.path, version.seen));
    versions.dedup_by_key(|version| &version.path);
    let dataset = |version: &&crate::session::model::FileVersion| Dataset {
        path: String::from_utf8_lossy(&version.path).into_owned(),
        digest: version.digest,
        size: version.signature.size,
        execution: version.execution,
        note: version.note.clone(),
    };
    versions.iter().map(dataset).collect()
}

/// The class of each file outside environments and packages that the session read, by the table alone: where nothing is to
/// be packed nobody needs to look at the disk.
pub fn input_class(recording: &Recording, store: &Store) -> impl Fn(&[u8]) -> Class + use<> {
    let (rules, context) = (Rules::default(), super::context(recording, store));
    let usage = Usage { ordinary: true, read: true, ..Usage::default() };
    move |path| rules.classify(&Facts { path, place: Place::Elsewhere, usage, context: &context }).class
}

/// Whether a class holds data that the user gave the notebook.
pub fn is_data(class: Class) -> bool {
    matches!(class, Class::Dataset | Class::Cache)
}

pub(super) fn is_dataset(inventory: &Inventory, path: &[u8]) -> bool {
    super::explain(inventory, path).is_some_and(|explained| is_data(explained.class))
}
