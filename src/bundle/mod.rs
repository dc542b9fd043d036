//! A bundle: deterministic, content-addressed zstd layers in an OCI image layout, in one tar file (`NAME.nbpack`).
//!
//! Equal inventories give equal bytes: nothing here reads a clock, a locale, the umask, a user or the order of a hash.
//! `docs/FORMAT.md` says what every byte is; [`read`] refuses what this writer would not have written.

pub mod archive;
pub mod child;
pub mod config;
pub mod derive;
pub mod plan;
pub mod pyc;
pub mod read;
pub mod signatures;
pub mod tar;
pub mod unpack;
pub mod verify;
pub mod write;

mod access;
mod atomic;
mod cache;
mod compress;
mod content;
mod frames;
mod image;
mod json;
mod layers;
mod stream;
#[expect(unsafe_code, reason = "the fenced place for it")]
mod sys;
#[cfg(test)]
pub(crate) mod tests;

pub use cache::{Unused, collect_unused, packed};
pub use compress::Compression;
pub use image::{CONFIG_TYPE, Descriptor, INDEX_TYPE, MANIFEST_TYPE, image_name};
pub use plan::plan;
pub use write::write;

/// The modification time of everything that carries none of its own: 1980-01-02 00:00 UTC, in seconds.
///
/// Not 0: writers of zip files (wheels) refuse years before 1980.
pub const CLAMP: i64 = 315_619_200;

/// Bytes of a layer's tar in one compressed frame. Part of the format: it decides the digests.
pub const CHUNK: usize = 8 << 20;

/// The version of the format that this program writes, and the newest that it reads.
pub const FORMAT: &str = "1";

/// Is told how far the work is. May be called from several threads.
pub trait Progress: Sync {
    /// Layer `index` (of `total`) is at hand: `reused` when nothing had to be made.
    #[expect(unused_variables, reason = "whoever wants it overrides it")]
    fn layer(&self, index: usize, total: usize, title: &str, reused: bool) {}

    /// So many more bytes went through.
    #[expect(unused_variables, reason = "whoever wants it overrides it")]
    fn bytes(&self, count: u64) {}

    /// Whether the person asked to stop: the work ends with an error and leaves nothing.
    fn cancelled(&self) -> bool {
        false
    }
}

impl Progress for () {}
