//! A restored bundle, as the store remembers it (`refs/<name>.json`).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    bundle::config::RunConfig,
    digest::{DiffId, Digest},
    event::Nanos,
};

/// A bundle whose layers all lie unpacked in the store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Restored {
    /// The name under which it is known here (`run.name`, with `-2`… when taken by another digest).
    pub name: String,
    /// The manifest's digest.
    pub manifest: Digest,
    /// Layers, bottom first.
    pub layers: Vec<DiffId>,
    /// How to run it.
    pub run: RunConfig,
    /// When it was restored.
    pub restored: Nanos,
    /// Registered kernelspec directories.
    pub kernelspecs: Vec<PathBuf>,
    /// Where the notebook was written.
    pub notebook: Option<PathBuf>,
    /// Container engines that were given its image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<String>,
}
