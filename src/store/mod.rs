//! Where nbpack keeps things, and the blobs there: a file under `blobs/` always hashes to its name.

mod blobs;

use std::path::{Path, PathBuf};

use crate::{
    digest::{DiffId, Digest},
    files::{self, FileError},
};

pub use blobs::{BlobError, Ingested, hash_file};

/// The directory `$XDG_DATA_HOME/nbpack/v1` and the names in it. Created on demand, mode 0700.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens (and makes) the store at `root`.
    pub fn open(root: &Path) -> Result<Self, FileError> {
        files::create_private_dir(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// The store's own directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// One directory for each session.
    pub fn sessions(&self) -> PathBuf {
        self.root.join("sessions")
    }

    /// Blobs: `blobs/sha256/<ab>/<64 hex digits>`.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    /// Where the blob with this digest lies, if it is there.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.blobs().join(hex.get(..2).unwrap_or_default()).join(hex)
    }

    /// Unpacked layers: `layers/sha256/<hex of diff_id>/{root/,meta.json}`; complete when the directory exists, on the
    /// disk when it has no file `unsettled`.
    pub fn layers(&self) -> PathBuf {
        self.root.join("layers/sha256")
    }

    /// The directory of one unpacked layer (its content is in `root/`).
    pub fn layer_path(&self, diff_id: &DiffId) -> PathBuf {
        self.layers().join(diff_id.0.hex())
    }

    /// Index files of compressed layers, for exports that find them again.
    pub fn layer_index(&self) -> PathBuf {
        self.root.join("index")
    }

    /// Empty files named after blobs that came from a registry and that nothing but the next pull needs.
    pub fn pulled(&self) -> PathBuf {
        self.root.join("pulled")
    }

    /// Things under way; anything here whose process is gone may be removed.
    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Upper and work directories of running containers.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Restored names: `refs/<name>.json`.
    pub fn refs(&self) -> PathBuf {
        self.root.join("refs")
    }
}
