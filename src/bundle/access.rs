//! Where a bundle's blobs are: members of an archive, found by their headers, or files of a layout directory.

use std::{
    collections::{BTreeMap, btree_map},
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    image::{self, Descriptor},
    json::{self, JsonError},
    read::ReadError,
    tar::{BLOCK, RawHeader, padding, parse_pax},
};
use crate::digest::Digest;
use crate::files::{self, FileError, display_bytes};
use crate::store::Store;

/// Members of the outer archive at most.
const MAX_MEMBERS: usize = 2000;

/// Where the blobs are.
#[derive(Debug)]
pub(super) enum Access {
    Archive(Archive),
    Directory(PathBuf),
    /// Blobs of the store; the documents are not among them.
    Store(Store),
}

/// The outer tar, its members found by their headers.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    pub(super) length: u64,
    /// Where the two zero blocks at the end begin.
    end: u64,
    /// Place and size of each member's data, by name.
    members: BTreeMap<Vec<u8>, (u64, u64)>,
    first: Vec<u8>,
}

/// The bytes of a blob, wherever it lies.
#[derive(Debug)]
pub struct Section {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Section {
    /// Passes over the next `count` bytes.
    pub fn skip(&mut self, count: u64) {
        let count = count.min(self.left);
        self.at += count;
        self.left -= count;
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

impl Access {
    /// A small file beside the blobs; `None` when it is not there.
    pub(super) fn named(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        match self {
            Self::Store(_) => Ok(None),
            Self::Directory(dir) => match files::read_bounded(&dir.join(name), json::MAX_SIZE) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error.into()),
            },
            Self::Archive(archive) => match archive.members.get(name.as_bytes()) {
                None => Ok(None),
                Some((_, size)) if *size > json::MAX_SIZE => {
                    Err(ReadError::Document { document: name.to_owned(), source: JsonError::TooLong { size: *size } })
                }
                Some((at, size)) => Ok(Some(archive.bytes(*at, *size)?)),
            },
        }
    }

    /// Checks that a blob is there and as long as its descriptor says.
    pub(super) fn check_blob(&self, descriptor: &Descriptor, what: &str) -> Result<(), ReadError> {
        self.blob(descriptor, what).map(|_| ())
    }

    pub(super) fn blob(&self, descriptor: &Descriptor, what: &str) -> Result<Section, ReadError> {
        let wrong = |found: String| ReadError::Blob { what: what.to_owned(), digest: descriptor.digest, found };
        let name = image::blob_name(&descriptor.digest);
        let (file, at, size) = match self {
            Self::Archive(archive) => {
                let (at, size) = *archive.members.get(name.as_bytes()).ok_or_else(|| wrong("missing".to_owned()))?;
                (archive.file.clone(), at, size)
            }
            Self::Directory(_) | Self::Store(_) => {
                let path = match self {
                    Self::Store(store) => store.blob_path(&descriptor.digest),
                    _ => self.path().join(name),
                };
                let file = match files::open(&path) {
                    Ok(file) => file,
                    Err(error) if error.is_not_found() => return Err(wrong("missing".to_owned())),
                    Err(error) => return Err(error.into()),
                };
                let metadata = file.metadata().map_err(FileError::new("read", &path))?;
                if !metadata.is_file() {
                    return Err(wrong("no regular file".to_owned()));
                }
                (Arc::new(file), 0, metadata.len())
            }
        };
        if size != descriptor.size {
            return Err(wrong(format!("{size} bytes long instead of {}", descriptor.size)));
        }
        Ok(Section { file, at, left: size })
    }

    /// Reads a document whole and proves its digest.
    pub(super) fn document(&self, descriptor: &Descriptor, what: &'static str) -> Result<Vec<u8>, ReadError> {
        if descriptor.size > json::MAX_SIZE {
            let source = JsonError::TooLong { size: descriptor.size };
            return Err(ReadError::Document { document: format!("{what} {}", descriptor.digest), source });
        }
        let mut bytes = Vec::new();
        let mut section = self.blob(descriptor, what)?;
        section.read_to_end(&mut bytes).map_err(FileError::new("read", self.path()))?;
        let found = Digest::of(&bytes);
        if found != descriptor.digest {
            return Err(ReadError::Damaged { what, expected: descriptor.digest, found });
        }
        Ok(bytes)
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Archive(archive) => &archive.path,
            Self::Directory(dir) => dir,
            Self::Store(store) => store.root(),
        }
    }
}

impl Archive {
    /// Finds the members by their headers. Lenient about what other tools write differently (modes, times, pax
    /// headers), strict about what could be read in two ways.
    pub(super) fn scan(path: &Path) -> Result<Self, ReadError> {
        let file = Arc::new(files::open(path)?);
        let length = file.metadata().map_err(FileError::new("read", path))?.len();
        let mut archive =
            Self { file, path: path.to_owned(), length, end: 0, members: BTreeMap::new(), first: Vec::new() };
        let mut at = 0;
        let mut pax: Option<(Option<Vec<u8>>, Option<u64>)> = None;
        loop {
            let damaged = |what: String| ReadError::Archive { offset: at, what };
            if length - at < BLOCK as u64 {
                if at == 0 {
                    let why = format!("it has only {length} bytes");
                    return Err(ReadError::NotABundle { path: path.to_owned(), why });
                }
                return Err(damaged("the file ends before the archive does".to_owned()));
            }
            let block = archive.bytes(at, BLOCK as u64)?;
            let block: &[u8; BLOCK] = block.first_chunk().ok_or_else(|| damaged("the file shrank".to_owned()))?;
            if *block == [0; BLOCK] {
                archive.end = at;
                return Ok(archive);
            }
            let header = match RawHeader::parse(block) {
                Ok(header) => header,
                Err(what)
                    if at == 0 && block.get(257..262) != Some(b"ustar") && !block.starts_with(b"oci-layout\0") =>
                {
                    let why = format!("it is no tar archive (its first header has {what})");
                    return Err(ReadError::NotABundle { path: path.to_owned(), why });
                }
                Err(what) => return Err(damaged(format!("a header has {what}"))),
            };
            let (pax_path, pax_size) = pax.take().unwrap_or_default();
            let size = pax_size.unwrap_or(header.size);
            let data = at + BLOCK as u64;
            let mut name = pax_path.unwrap_or(header.name);
            if size.saturating_add(padding(size) as u64) > length - data {
                let what = format!("the file ends inside `{}` ({size} bytes)", display_bytes(&name));
                return Err(damaged(what));
            }
            match header.kind {
                b'0' | 0 => {
                    if let Some(rest) = name.strip_prefix(b"./") {
                        name = rest.to_vec();
                    }
                    if archive.first.is_empty() {
                        archive.first.clone_from(&name);
                    }
                    if archive.members.len() >= MAX_MEMBERS {
                        return Err(damaged(format!("more than {MAX_MEMBERS} members")));
                    }
                    match archive.members.entry(name) {
                        btree_map::Entry::Vacant(slot) => slot.insert((data, size)),
                        btree_map::Entry::Occupied(slot) => {
                            return Err(damaged(format!("`{}` is there twice", display_bytes(slot.key()))));
                        }
                    };
                }
                b'5' => {}
                b'x' if size <= 64 << 10 => pax = Some(outer_pax(&archive.bytes(data, size)?).map_err(damaged)?),
                kind => {
                    let kind = char::from(kind).escape_default();
                    return Err(damaged(format!("member `{}` has type {kind}", display_bytes(&name))));
                }
            }
            at = data + size + padding(size) as u64;
        }
    }

    pub(super) fn bytes(&self, at: u64, size: u64) -> Result<Vec<u8>, FileError> {
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, at).map_err(FileError::new("read", &self.path))?;
        Ok(bytes)
    }

    /// Where the members end when one named `name` is left out; it must be the last of them.
    pub(super) fn end_without(&self, name: &[u8]) -> Result<u64, ReadError> {
        let Some((at, size)) = self.members.get(name) else { return Ok(self.end) };
        if at + size + padding(*size) as u64 != self.end {
            let what = format!("`{}` is not its last member", display_bytes(name));
            return Err(ReadError::Archive { offset: *at, what });
        }
        Ok(at - BLOCK as u64)
    }

    /// Whether this archive claims to be as nbpack writes it, so that every byte must follow from the documents.
    ///
    /// Other tools put the blobs first and drop `manifest.json`; one damaged byte cannot undo both marks and the size.
    pub(super) fn claims_to_be_ours(&self, expected_length: u64) -> bool {
        self.first == b"oci-layout"
            || self.members.contains_key(&b"manifest.json"[..])
            || self.length == expected_length
    }
}

fn outer_pax(bytes: &[u8]) -> Result<(Option<Vec<u8>>, Option<u64>), String> {
    let mut found = (None, None);
    for (key, value) in parse_pax(bytes).ok_or("a malformed pax header")? {
        match key.as_slice() {
            b"path" => found.0 = Some(value),
            b"size" => {
                let size = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                found.1 = Some(size.ok_or("a pax header with a malformed size")?);
            }
            _ => {}
        }
    }
    Ok(found)
}
