//! Tar as a layer holds it: plain ustar, and a pax header only where ustar cannot say it (POSIX.1-2017, `pax`).
//!
//! [`encode`] is the only way an entry is written, and [`Reader`] takes only what `encode` would have written.

mod read;
#[cfg(test)]
pub(in crate::bundle) mod tests;
mod write;

pub use read::{Limits, ReadError, Reader, Refusal};
pub use write::{END, encode, padding};

pub(super) use read::{RawHeader, parse_pax};

/// Bytes of a tar block.
pub const BLOCK: usize = 512;

/// One entry of a layer: owner and group are 0 and have no names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Path without leading or trailing slash.
    pub path: Vec<u8>,
    /// What it is.
    pub body: Body,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since the epoch.
    pub mtime: i64,
}

/// What kind of entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// A regular file of so many bytes.
    File {
        /// Bytes.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Its text: data, never followed here.
        target: Vec<u8>,
    },
}

impl Entry {
    /// The name as it stands in the archive: a directory ends in a slash. Entries are in the bytewise order of it,
    /// so that all of a directory's content follows it without a gap.
    pub fn name(&self) -> Vec<u8> {
        let mut name = self.path.clone();
        if self.body == Body::Directory {
            name.push(b'/');
        }
        name
    }
}

/// Longest path in bytes.
pub const MAX_PATH: usize = 4096;
/// Longest component in bytes.
pub const MAX_COMPONENT: usize = 255;
/// Most components in a path.
pub const MAX_DEPTH: usize = 128;

/// Why a path may not be in a layer, if it may not.
pub fn refuse_path(path: &[u8]) -> Option<Refusal> {
    if path.is_empty() {
        return Some(Refusal::EmptyName);
    }
    if path.first() == Some(&b'/') {
        return Some(Refusal::Absolute);
    }
    if path.contains(&0) {
        return Some(Refusal::Nul);
    }
    if path.len() > MAX_PATH {
        return Some(Refusal::LongPath);
    }
    for (index, component) in path.split(|byte| *byte == b'/').enumerate() {
        match component {
            b"" | b"." => return Some(Refusal::EmptyComponent),
            b".." => return Some(Refusal::DotDot),
            _ if component.len() > MAX_COMPONENT => return Some(Refusal::LongComponent),
            _ if component.starts_with(b".wh.") => return Some(Refusal::Whiteout),
            _ if index >= MAX_DEPTH => return Some(Refusal::Deep),
            _ => {}
        }
    }
    None
}
