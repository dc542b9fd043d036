//! How a bundle becomes a kernel on this machine.
//!
//! [`ensure()`] proves and unpacks what the store does not have yet; [`resolve`] finds a restored bundle by the name or
//! file that a person gives; [`spec`] and [`KernelSetup`] say how to run something in it. Nothing is written outside
//! the store.

mod ensure;
mod house;
mod inherit;
mod look;
pub mod machine;
pub mod model;
mod names;
mod prove;
mod run;
mod settle;

use std::path::PathBuf;

use crate::{
    bundle::{read::ReadError, unpack::UnpackError},
    digest::Digest,
    files::{self, FileError},
};

pub use ensure::ensure;
pub use house::{Collected, Usage, collect, usage};
pub use inherit::{Merged, by_manifest, components, datasets, inherited, shown};
pub use look::{file_path, notebook_path};
pub use names::{find, list, remove, resolve, save, valid_name};
pub use prove::{Altered, prove};
pub use run::{INNER_DIR, KernelSetup, SpecOptions, environment_bin, kernel_setup, spec};
pub use settle::{has_layer, is_unsettled, settle};

/// A bundle could not be restored, or was not found.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The store.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bundle.
    #[error("cannot read the bundle `{}`", path.display())]
    Bundle {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: Box<ReadError>,
    },
    /// One of its layers.
    #[error("cannot restore the bundle {manifest}")]
    Layer {
        /// Its manifest.
        manifest: Digest,
        /// Why.
        source: Box<UnpackError>,
    },
    /// More layers than an overlay takes.
    #[error("the bundle has {found} layers; an overlay takes {MAX_LAYERS}")]
    TooManyLayers {
        /// In the manifest.
        found: usize,
    },
    /// Neither a file nor a restored name.
    #[error("`{name}` is neither a bundle's file nor the name of a restored one")]
    NotFound {
        /// As it was given.
        name: String,
        /// What is restored.
        known: Vec<String>,
    },
    /// The name belongs to another bundle, or is none.
    #[error("the name `{name}` {why}")]
    Name {
        /// As it was given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Its entry in the store is damaged.
    #[error("the store's entry `{}` is not valid", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// It was restored, but a layer is gone.
    #[error("layer {layer} of `{name}` is not in the store any more")]
    Incomplete {
        /// The restored bundle.
        name: String,
        /// Its diff_id.
        layer: Digest,
    },
    /// The person asked to stop.
    #[error("stopped; the layers that were finished stay in the store")]
    Stopped,
}

/// Layers that fit into one overlay (a limit of Linux: 500), less one to spare.
pub const MAX_LAYERS: usize = 499;

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

/// A random name of 16 hex digits.
fn fresh_id() -> Result<String, FileError> {
    use std::io::Read as _;
    let source = std::path::Path::new("/dev/urandom");
    let mut bytes = [0; 8];
    files::open(source)?.read_exact(&mut bytes).map_err(FileError::new("read", source))?;
    Ok(hex(&bytes))
}
