//! The bytes of planned files, with proof that they are the ones that were planned.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use super::{
    plan::{Content, Planned},
    pyc,
    tar::Body,
    write::WriteError,
};
use crate::digest::{Digest, HashingReader};
use crate::files::{self, FileError, Signature};
use crate::inventory::model::Source;
use crate::store::Store;

/// A file's bytes, ready to be packed.
pub(super) enum Data {
    /// In memory.
    Bytes(Vec<u8>),
    /// Made by us, shared.
    Shared(std::sync::Arc<[u8]>),
    /// To be read from an open file of exactly this size.
    Stream(Stream),
    /// Not packed: bytecode that we are not sure of.
    LeftOut,
}

/// An open file that is checked again once it was read.
pub(super) struct Stream {
    file: HashOrNot,
    size: u64,
    path: std::path::PathBuf,
    expected: Expected,
    /// Its names when it was opened.
    links: u64,
}

enum HashOrNot {
    Plain(File),
    Hashing(HashingReader<File>),
}

#[derive(Clone, Copy)]
enum Expected {
    Signature(Signature),
    Digest(Digest),
}

/// Opens what a planned entry is to hold. `None` for directories and links.
pub(super) fn open(planned: &Planned, store: &Store) -> Result<Option<Data>, WriteError> {
    let Body::File { size } = planned.entry.body else { return Ok(None) };
    let data = match &planned.source {
        None => Data::Bytes(Vec::new()),
        Some(Content::Plain(Source::Bytes(bytes))) => Data::Shared(bytes.clone()),
        Some(Content::Plain(Source::Host { path, signature } | Source::Bytecode { path, signature, .. })) => {
            Data::Stream(Stream::host(path, *signature)?)
        }
        Some(Content::Plain(Source::Blob(digest))) => {
            let path = store.blob_path(digest);
            let file = HashOrNot::Hashing(HashingReader::new(files::open(&path)?));
            Data::Stream(Stream { file, size, path, expected: Expected::Digest(*digest), links: 0 })
        }
        Some(Content::Bytecode { path, signature, filename, image_mtime, source }) => {
            let mut stream = Stream::host(path, *signature)?;
            let mut bytes = vec![0; usize::try_from(stream.size).unwrap_or(usize::MAX).min(64 << 20)];
            stream.fill(&mut bytes)?;
            if stream.size > bytes.len() as u64 {
                return Ok(Some(Data::LeftOut));
            }
            stream.finish()?;
            match pyc::normalise(&bytes, filename, *image_mtime, *source) {
                Ok(bytes) => Data::Bytes(bytes),
                Err(_unsure) => Data::LeftOut,
            }
        }
    };
    Ok(Some(data))
}

impl Stream {
    /// Opens a file of this machine that is still the one that was planned.
    ///
    /// A name more or less changes a file's ctime and nothing else of it: an installer links its cache into another
    /// environment while we pack this one. So the ctime is only compared from here on, and then only while the file
    /// has as many names as it had.
    fn host(path: &Path, planned: Signature) -> Result<Self, WriteError> {
        let file = files::open(path)?;
        let metadata = file.metadata().map_err(FileError::new("read", path))?;
        let now = Signature::of(&metadata);
        if now != (Signature { ctime_ns: now.ctime_ns, ..planned }) {
            return Err(WriteError::Changed { path: path.to_owned() });
        }
        Ok(Self {
            size: now.size,
            path: path.to_owned(),
            expected: Expected::Signature(now),
            file: HashOrNot::Plain(file),
            links: metadata.nlink(),
        })
    }

    /// Bytes that [`Stream::fill`] gives in all.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Reads exactly as many bytes as `buffer` has.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<(), WriteError> {
        let result = match &mut self.file {
            HashOrNot::Plain(file) => file.read_exact(buffer),
            HashOrNot::Hashing(file) => file.read_exact(buffer),
        };
        result.map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => WriteError::Changed { path: self.path.clone() },
            _ => FileError { action: "read", path: self.path.clone(), source }.into(),
        })
    }

    /// Checks that the file ended where it should and is still the one that was planned.
    pub(super) fn finish(mut self) -> Result<(), WriteError> {
        // A file of this machine that grew has another size, and so another signature.
        if let HashOrNot::Hashing(file) = &mut self.file
            && file.read(&mut [0]).map_err(FileError::new("read", &self.path))? != 0
        {
            return Err(WriteError::Changed { path: self.path });
        }
        self.compare()?;
        if let (HashOrNot::Hashing(reader), Expected::Digest(expected)) = (self.file, self.expected) {
            let found = reader.finish().1;
            if found != expected {
                return Err(WriteError::DamagedBlob { path: self.path, expected, found });
            }
        }
        Ok(())
    }

    fn compare(&self) -> Result<(), WriteError> {
        let (Expected::Signature(expected), HashOrNot::Plain(file)) = (self.expected, &self.file) else {
            return Ok(());
        };
        let metadata = file.metadata().map_err(FileError::new("read", &self.path))?;
        let mut now = Signature::of(&metadata);
        if metadata.nlink() != self.links {
            now.ctime_ns = expected.ctime_ns;
        }
        if now == expected { Ok(()) } else { Err(WriteError::Changed { path: self.path.clone() }) }
    }
}
