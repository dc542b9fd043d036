//! What an image says about how to run it: `/opt/nbpack/session/run.json`, from which the OCI config is derived too.

pub use crate::inventory::RunConfig;

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
/// Which rule put each file in, and what was left out: an `inventory::Listing`.
pub const FILES: &str = "/opt/nbpack/session/files.json";
/// The record in formats of other tools: software lists, provenance, recipes.
pub const STANDARDS: &str = "/opt/nbpack/session/standards";
