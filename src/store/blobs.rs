//! Taking bytes in under their digest.
//!
//! A blob appears by rename, so it is never seen half. Files are synced before; bytes from memory are not (a power
//! loss may leave such a blob short), so whoever reads a blob hashes it, and a blob of another size is written anew.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use super::Store;
use crate::{
    digest::{Digest, HashingReader, HashingWriter},
    files::{self, FileError, Signature},
};

/// A blob that is not there, or is not what its name says.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It cannot be read.
    #[error("cannot read blob {digest}")]
    Read {
        /// Its name.
        digest: Digest,
        /// Why.
        source: FileError,
    },
    /// Its bytes changed.
    #[error("blob {expected} is damaged: its bytes hash to {found}")]
    Damaged {
        /// Its name.
        expected: Digest,
        /// What they hash to.
        found: Digest,
    },
}

/// A file's content at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ingested {
    /// Of the bytes that were read.
    pub digest: Digest,
    /// The file's signature when it was opened.
    pub signature: Signature,
    /// Permission bits.
    pub mode: u32,
    /// It changed while it was read, twice.
    pub unstable: bool,
}

const BUFFER: usize = 256 << 10;

/// Hashes a file without keeping it; read again once when it changed meanwhile.
pub fn hash_file(path: &Path) -> Result<Ingested, FileError> {
    stable(path, |file| {
        let mut reader = HashingReader::new(file);
        let mut buffer = vec![0; BUFFER];
        while reader.read(&mut buffer)? > 0 {}
        Ok(reader.finish().1)
    })
}

/// Does `read` between two stats, again once when they differ.
fn stable(path: &Path, mut read: impl FnMut(&File) -> io::Result<Digest>) -> Result<Ingested, FileError> {
    let mut again = true;
    loop {
        let file = open_regular(path)?;
        let error = || FileError::new("read", path);
        let before = file.metadata().map_err(error())?;
        let digest = read(&file).map_err(error())?;
        let after = file.metadata().map_err(error())?;
        // A link made to preserve the file changes its ctime and nothing else.
        let same = |a: &Signature, b: &Signature| (a.size, a.mtime_ns) == (b.size, b.mtime_ns);
        let unstable = !same(&Signature::of(&before), &Signature::of(&after));
        if unstable && again {
            again = false;
            continue;
        }
        let mode = before.permissions().mode() & 0o7777;
        return Ok(Ingested { digest, signature: Signature::of(&before), mode, unstable });
    }
}

/// Opens without waiting for the other end of a pipe, and refuses everything that is no regular file.
fn open_regular(path: &Path) -> Result<File, FileError> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|error| FileError::new("read", path)(error.into()))
        .map(File::from)?;
    let metadata = file.metadata().map_err(FileError::new("read", path))?;
    if !metadata.is_file() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        return Err(FileError { action: "read", path: path.to_owned(), source });
    }
    Ok(file)
}

impl Store {
    /// Keeps bytes; gives their digest.
    pub fn ingest_bytes(&self, bytes: &[u8]) -> Result<Digest, FileError> {
        let digest = Digest::of(bytes);
        if self.has(&digest, bytes.len() as u64) {
            return Ok(digest);
        }
        let mut temporary = self.temporary()?;
        temporary.write_all(bytes).map_err(FileError::new("write", temporary.path()))?;
        self.name(temporary, &digest)?;
        Ok(digest)
    }

    /// Copies a file into the store while hashing it; read again once when it changed meanwhile.
    pub fn ingest_file(&self, path: &Path) -> Result<Ingested, FileError> {
        let mut last = None;
        let ingested = stable(path, |file| {
            let temporary = self.temporary().map_err(io::Error::other)?;
            let mut writer = HashingWriter::new(temporary);
            copy(file, &mut writer)?;
            let (temporary, digest, _) = writer.finish();
            last = Some(temporary);
            Ok(digest)
        })?;
        if let Some(temporary) = last
            && !self.has(&ingested.digest, ingested.signature.size)
        {
            temporary.as_file().sync_data().map_err(FileError::new("write", temporary.path()))?;
            self.name(temporary, &ingested.digest)?;
        }
        Ok(ingested)
    }

    /// Makes a file of our own (on the store's file system, with no other name) the blob of this digest.
    pub fn adopt(&self, path: &Path, digest: &Digest) -> Result<(), FileError> {
        let target = self.blob_path(digest);
        files::create_private_dir(files::parent(&target))?;
        std::fs::rename(path, &target).map_err(FileError::new("move into the store", path))
    }

    /// Reads a blob of at most `limit` bytes and proves that its bytes are the ones named.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, BlobError> {
        let bytes = files::read_bounded(&self.blob_path(digest), limit)
            .map_err(|source| BlobError::Read { digest: *digest, source })?;
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(BlobError::Damaged { expected: *digest, found }) }
    }

    /// Whether a blob of this name and size is there (its bytes are not read).
    pub fn has(&self, digest: &Digest, size: u64) -> bool {
        std::fs::metadata(self.blob_path(digest)).is_ok_and(|metadata| metadata.is_file() && metadata.size() == size)
    }

    fn temporary(&self) -> Result<tempfile::NamedTempFile, FileError> {
        let dir = self.tmp();
        files::create_private_dir(&dir)?;
        tempfile::Builder::new().prefix("blob-").tempfile_in(&dir).map_err(FileError::new("create a file in", &dir))
    }

    fn name(&self, temporary: tempfile::NamedTempFile, digest: &Digest) -> Result<(), FileError> {
        let target = self.blob_path(digest);
        files::create_private_dir(files::parent(&target))?;
        temporary.persist(&target).map_err(|error| FileError::new("write", &target)(error.error)).map(|_| ())
    }
}

fn copy(mut file: &File, writer: &mut impl io::Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        writer.write_all(buffer.get(..n).unwrap_or_default())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_has_the_bytes_that_its_name_says_or_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let digest = store.ingest_bytes(b"some bytes").unwrap();
        assert_eq!(store.read_blob(&digest, 100).unwrap(), b"some bytes");
        std::fs::write(store.blob_path(&digest), b"some bytez").unwrap();
        assert!(matches!(store.read_blob(&digest, 100), Err(BlobError::Damaged { .. })));
        std::fs::write(store.blob_path(&digest), b"some").unwrap();
        store.ingest_bytes(b"some bytes").unwrap();
        assert_eq!(store.read_blob(&digest, 100).unwrap(), b"some bytes", "a short blob is written anew");
    }

    #[test]
    fn a_file_is_copied_while_it_is_hashed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(&path, vec![7; 600_000]).unwrap();
        let ingested = store.ingest_file(&path).unwrap();
        assert_eq!(hash_file(&path).unwrap(), ingested);
        assert_eq!(store.read_blob(&ingested.digest, 1 << 20).unwrap(), vec![7; 600_000]);
        assert_eq!(std::fs::read_dir(store.tmp()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert!(hash_file(&pipe).is_err());
        assert!(hash_file(dir.path()).is_err());
    }
}
