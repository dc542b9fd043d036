//! What an image says about how to run it: `/opt/nbpack/session/run.json`, from which the OCI config is derived too.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, inventory::model::EnvironmentRoot};

/// Where the session layer's files lie in the image.
pub const SESSION_DIR: &str = "/opt/nbpack/session";
/// The static program in the image.
pub const PROGRAM: &str = "/opt/nbpack/bin/nbpack";
/// The run configuration in the image.
pub const RUN_CONFIG: &str = "/opt/nbpack/session/run.json";
/// The deterministic session database in the image.
pub const SESSION_DB: &str = "/opt/nbpack/session/session.sqlite";
/// Large outputs that the database names by digest: `<dir>/<64 hex digits>`.
pub const SESSION_BLOBS: &str = "/opt/nbpack/session/blobs";
/// The session as a notebook, as it really ran.
pub const SESSION_NOTEBOOK: &str = "/opt/nbpack/session/session.ipynb";
/// Software list: an array of `inventory::model::Component`.
pub const COMPONENTS: &str = "/opt/nbpack/session/components.json";
/// Datasets: an array of `{path, digest, size, execution}`.
pub const DATASETS: &str = "/opt/nbpack/session/datasets.json";

/// How to run the recorded kernel in the image. Everything here is a path *in the image*.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunConfig {
    /// The bundle's name: the notebook's file name without suffix, in `[a-z0-9._-]+`.
    pub name: String,
    /// `amd64`, `arm64` as OCI spells them.
    pub architecture: String,
    /// The kernel's argv, `{connection_file}` in it.
    pub argv: Vec<String>,
    /// The wrapped kernelspec's name, display name, language, interrupt mode and debugger flag.
    pub kernel: String,
    /// Display name.
    pub display_name: String,
    /// Language.
    pub language: String,
    /// `signal` or `message`.
    pub interrupt_mode: String,
    /// `metadata.debugger` of the kernelspec.
    pub debugger: bool,
    /// Environment of the kernel: the recorded values that may leave.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: PathBuf,
    /// User name in the image.
    pub user: String,
    /// Recorded user id.
    pub uid: u32,
    /// Recorded group id.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
    /// Recorded host name.
    pub host: String,
    /// The notebook's path, where there is one.
    pub notebook: Option<PathBuf>,
    /// Environments with canonical roots.
    pub roots: Vec<EnvironmentRoot>,
    /// `full`, … as recorded.
    pub coverage: String,
    /// CPU flags and the like that are compared before the first cell (`record::facts` names).
    pub machine: BTreeMap<String, serde_json::Value>,
    /// The session's id.
    pub session: String,
    /// The bundle this session's kernel was restored from.
    pub parent: Option<Digest>,
    /// The image's default command after `nbpack`: `lab`, or what `export --app` set.
    pub command: Vec<String>,
    /// `nbpack lab` has a Jupyter to start.
    pub has_jupyter: bool,
}
