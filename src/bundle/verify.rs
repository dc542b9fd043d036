//! Reads every byte of a bundle and proves it.
//!
//! Blobs are proved by their digests, and layers read with the strict reader too, so that what verifies also unpacks.
//! Everything else in the file (`index.json`, `manifest.json`, `oci-layout`, headers, padding) follows from manifest
//! and config, so it is derived again and compared: no byte of a file that nbpack wrote is unproved.

use std::{
    collections::{BTreeMap, btree_map},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    Progress,
    access::{Access, Archive},
    image::{self, Member},
    read::{Bundle, Layer, ReadError},
    signatures,
    tar::{self, Body},
    unpack::{self, LayerError},
};
use crate::digest::Digest;
use crate::files::{FileError, display_bytes};
use crate::signature::{PublicKey, SignatureError};

/// What was found out about a bundle.
#[derive(Debug)]
pub struct Report {
    /// The manifest's digest.
    pub manifest: Digest,
    /// Blobs whose bytes were all read.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Another program wrote the archive around the blobs (`skopeo copy`): that could not be derived, only the blobs
    /// and documents were proved.
    pub repacked: bool,
    /// The keys whose signatures came with it and hold. Anybody can make a key: whom to believe is not said here.
    pub signed_by: Vec<PublicKey>,
    /// What is wrong, layers first, bottom first.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A layer's bytes.
    #[error("layer {index} (`{title}`)")]
    Layer {
        /// Counted from 0.
        index: usize,
        /// Its title.
        title: String,
        /// The blob.
        digest: Digest,
        /// Why.
        source: LayerError,
    },
    /// Two layers that do not go together.
    #[error("`{}` of layer {index} (`{title}`) {what}", display_bytes(path))]
    Across {
        /// The upper layer, counted from 0.
        index: usize,
        /// Its title.
        title: String,
        /// The path.
        path: Vec<u8>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A byte between the blobs.
    #[error("byte {offset} of the file, in {within}, is not what the manifest makes it")]
    Derived {
        /// Where (in the file named by `within`, for a directory).
        offset: u64,
        /// `index.json`, `the header of blob …`.
        within: String,
    },
    /// A signature that came with it.
    #[error("signature {index}")]
    Signature {
        /// Counted from 0.
        index: usize,
        /// Why it does not hold.
        source: SignatureError,
    },
    /// The file could not be read to its end.
    #[error("cannot read on")]
    Read(#[source] FileError),
}

impl Report {
    /// Everything was read and is as it should be.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// Whether some byte is at fault (`false` also when reading failed and nobody can tell).
    pub fn is_damaged(&self) -> bool {
        self.problems.iter().any(|problem| match problem {
            Problem::Layer { source, .. } => source.is_damage(),
            Problem::Signature { source, .. } => !matches!(source, SignatureError::Unknown { .. }),
            Problem::Across { .. } | Problem::Derived { .. } => true,
            Problem::Read(_) => false,
        })
    }
}

/// Opens and verifies a bundle of any architecture. An error: it could not even be opened.
pub fn file(path: &Path, progress: &dyn Progress) -> Result<Report, ReadError> {
    Bundle::open_any(path).map(|bundle| bundle.verify(progress))
}

impl Bundle {
    /// Reads and proves everything, on as many threads as there are processors.
    pub fn verify(&self, progress: &dyn Progress) -> Report {
        let layers = self.layers();
        let next = AtomicUsize::new(0);
        let found = Mutex::new(BTreeMap::new());
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(layers.len());
        // Largest first, so that no thread is left alone with it at the end.
        let mut order: Vec<(usize, &Layer)> = layers.iter().enumerate().collect();
        order.sort_by_key(|(index, layer)| (std::cmp::Reverse(layer.size), *index));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some((index, layer)) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                        progress.layer(*index, layers.len(), &layer.title, false);
                        let outline = outline(self, layer);
                        progress.bytes(layer.descriptor.size);
                        found.lock().unwrap_or_else(PoisonError::into_inner).insert(*index, outline);
                    }
                });
            }
        });
        let mut problems = Vec::new();
        let mut across = Across::default();
        let outlines = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        for ((index, outline), layer) in outlines.into_iter().zip(layers) {
            match outline {
                Ok(outline) => problems.extend(across.add(index, layer, outline)),
                Err(source) => problems.push(Problem::Layer {
                    index,
                    title: layer.title.clone(),
                    digest: layer.descriptor.digest,
                    source,
                }),
            }
        }
        let mut signed_by = Vec::new();
        for (index, signature) in self.signatures.iter().enumerate() {
            match signature.check(&self.manifest_digest()) {
                Ok(key) => signed_by.push(key),
                Err(source) => problems.push(Problem::Signature { index, source }),
            }
        }
        let mut members = image::members(&self.manifest, &self.manifest_bytes, &self.platform);
        members.extend(signatures::member(&self.signatures));
        let derived = match &self.access {
            Access::Archive(archive) => compare_archive(archive, &members),
            Access::Directory(_) => self.compare_directory(&members),
            // Nothing lies around these blobs.
            Access::Store(_) => Ok(Derived::Equal),
        };
        let repacked = match derived {
            Ok(Derived::Equal) => false,
            Ok(Derived::Repacked) => true,
            Ok(Derived::Differs(problem)) => {
                problems.push(problem);
                false
            }
            Err(ReadError::File(error)) => {
                problems.push(Problem::Read(error));
                false
            }
            Err(_) => true,
        };
        Report {
            manifest: self.manifest_digest(),
            blobs: layers.len() + 2,
            bytes: layers.iter().map(|layer| layer.descriptor.size).sum::<u64>()
                + self.manifest.config.size
                + self.manifest_bytes.len() as u64,
            repacked,
            signed_by,
            problems,
        }
    }

    /// A layout directory of ours has `manifest.json`, which no other tool writes.
    fn compare_directory(&self, members: &[Member]) -> Result<Derived, ReadError> {
        if self.access.named("manifest.json")?.is_none() {
            return Ok(Derived::Repacked);
        }
        for member in members {
            let Member::Inline(name, expected) = member else { continue };
            let found = self.access.named(name)?.unwrap_or_default();
            if found != *expected {
                let offset = first_difference(&found, expected);
                return Ok(Derived::Differs(Problem::Derived { offset, within: (*name).to_owned() }));
            }
        }
        Ok(Derived::Equal)
    }
}

enum Derived {
    Equal,
    Repacked,
    Differs(Problem),
}

fn first_difference(a: &[u8], b: &[u8]) -> u64 {
    let equal = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    equal as u64
}

/// Compares everything in the outer archive that no digest covers.
fn compare_archive(archive: &Archive, members: &[Member]) -> Result<Derived, ReadError> {
    let end = tar::END.len() as u64;
    let length_of = |member: &Member| member.header().len() as u64 + member.size() + tar::padding(member.size()) as u64;
    let expected_length = members.iter().map(length_of).sum::<u64>() + end;
    if !archive.claims_to_be_ours(expected_length) {
        return Ok(Derived::Repacked);
    }
    let mut at = 0;
    let differs = |offset, within: String| Ok(Derived::Differs(Problem::Derived { offset, within }));
    let compare = |offset: u64, expected: &[u8]| -> Result<Option<u64>, ReadError> {
        let length = (expected.len() as u64).min(archive.length.saturating_sub(offset));
        let found = archive.bytes(offset, length)?;
        Ok((found != expected).then(|| offset + first_difference(&found, expected)))
    };
    for member in members {
        let name = match member {
            Member::Directory(name) | Member::Inline(name, _) => (*name).to_owned(),
            Member::Blob(digest, _) => image::blob_name(digest),
        };
        let header = member.header();
        if let Some(offset) = compare(at, &header)? {
            return differs(offset, format!("the header of `{name}`"));
        }
        at += header.len() as u64;
        if let Member::Inline(_, bytes) = member
            && let Some(offset) = compare(at, bytes)?
        {
            return differs(offset, format!("`{name}`"));
        }
        at += member.size();
        let pad = tar::END.get(..tar::padding(member.size())).unwrap_or_default();
        if let Some(offset) = compare(at, pad)? {
            return differs(offset, format!("the padding after `{name}`"));
        }
        at += pad.len() as u64;
    }
    if let Some(offset) = compare(at, &tar::END)? {
        return differs(offset, "the end of the archive".to_owned());
    }
    if archive.length != expected_length {
        return differs(expected_length, "what follows the end of the archive".to_owned());
    }
    Ok(Derived::Equal)
}

/// The names of one layer.
type Outline = Vec<(Vec<u8>, bool)>;

fn outline(bundle: &Bundle, layer: &Layer) -> Result<Outline, LayerError> {
    let mut outline = Vec::new();
    unpack::read_layer(bundle, layer, |entry, _| {
        outline.push((entry.path.clone(), entry.body == Body::Directory));
        Ok(())
    })?;
    Ok(outline)
}

/// All layers together: one non-directory lies in one layer only, and nothing below it in any.
#[derive(Default)]
struct Across {
    directories: BTreeMap<Vec<u8>, bool>,
}

impl Across {
    fn add(&mut self, index: usize, layer: &Layer, outline: Outline) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (path, is_directory) in outline {
            match self.directories.entry(path) {
                btree_map::Entry::Vacant(slot) => {
                    slot.insert(is_directory);
                }
                // Parents lie in the same layer, so a link of another layer shows here as a clash with them.
                btree_map::Entry::Occupied(slot) => {
                    let what = match (*slot.get(), is_directory) {
                        (true, true) => continue,
                        (true, false) => "replaces a directory of a lower layer",
                        (false, true) => "is a directory, and something else in a lower layer",
                        (false, false) => "is in a lower layer too",
                    };
                    let path = slot.key().clone();
                    problems.push(Problem::Across { index, title: layer.title.clone(), path, what });
                }
            }
        }
        problems
    }
}
