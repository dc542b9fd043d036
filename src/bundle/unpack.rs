//! A layer's blob to files, both digests proved on the way.
//!
//! Files are made below directories that were made here a moment before and are held open: a single new component at
//! a time, `O_EXCL`, `O_NOFOLLOW`. So nothing in an archive, and no link in the target, can lead outside of it.

use std::{
    fs::File,
    io::{self, BufReader, Read, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::PermissionsExt as _,
    },
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, Sender, SyncSender},
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps};
use sha2::{Digest as _, Sha256};

use super::{
    CHUNK,
    access::Section,
    frames::{FrameError, Frames},
    read::{Bundle, Layer, ReadError},
    tar::{self, Body, Limits},
};
use crate::digest::{DiffId, Digest, HashingReader};
use crate::files::{FileError, display_bytes};

/// A layer's bytes are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The blob could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The decompressor could not be made.
    #[error("cannot start decompressing")]
    Decompressor(#[source] io::Error),
    /// Its bytes are not the ones it is named after.
    #[error("blob {expected} is damaged: its bytes hash to {found}")]
    Damaged {
        /// Its name.
        expected: Digest,
        /// Its bytes.
        found: Digest,
    },
    /// Its compression is not ours.
    #[error("blob {digest} cannot be decompressed")]
    Frame {
        /// The blob.
        digest: Digest,
        /// Why.
        source: FrameError,
    },
    /// Its tar is another than the config says.
    #[error("blob {digest} holds a tar that hashes to {found}; the config says {expected}")]
    DiffId {
        /// The blob.
        digest: Digest,
        /// In the config.
        expected: DiffId,
        /// Found.
        found: DiffId,
    },
    /// More or fewer bytes or entries than the manifest says.
    #[error("blob {digest} holds {found} {unit}; the manifest says {expected}")]
    Amount {
        /// The blob.
        digest: Digest,
        /// In the manifest.
        expected: u64,
        /// Found; reading stopped there.
        found: u64,
        /// `bytes`, `entries`.
        unit: &'static str,
    },
    /// Its tar is not one of ours.
    #[error("blob {digest} is refused")]
    Tar {
        /// The blob.
        digest: Digest,
        /// Why.
        source: tar::ReadError,
    },
    /// The bundle's file could not be read any more.
    #[error("cannot read the blob of layer `{title}`")]
    Blob {
        /// The layer.
        title: String,
        /// Why.
        source: Box<ReadError>,
    },
}

impl LayerError {
    /// Whether the bytes are at fault.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::File(_) | Self::Decompressor(_) => false,
            Self::Frame { source, .. } => !matches!(source, FrameError::Io(_)),
            Self::Tar { source, .. } => !matches!(source, tar::ReadError::Io(_)),
            Self::Blob { source, .. } => source.is_damage(),
            Self::Damaged { .. } | Self::DiffId { .. } | Self::Amount { .. } => true,
        }
    }
}

/// A layer was not unpacked; what lies in the target is to be removed.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// There is no such layer.
    #[error("the bundle has no layer {index}")]
    NoSuchLayer {
        /// Counted from 0.
        index: usize,
    },
    /// Its bytes are at fault.
    #[error("cannot unpack layer {index} (`{title}`)")]
    Layer {
        /// Counted from 0.
        index: usize,
        /// Its title.
        title: String,
        /// Why.
        source: Box<LayerError>,
    },
    /// An entry could not be made.
    #[error("cannot create `{}` of layer {index} in `{}`", display_bytes(path), target.display())]
    Create {
        /// Counted from 0.
        index: usize,
        /// The entry.
        path: Vec<u8>,
        /// Where.
        target: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The target could not be made or opened.
    #[error(transparent)]
    Target(#[from] FileError),
}

/// What was unpacked, all of it proved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LayerReport {
    /// Digest of the tar.
    pub diff_id: DiffId,
    /// Entries made.
    pub entries: u64,
    /// Bytes of files.
    pub bytes: u64,
}

/// Unpacks layer `index` (counted from 0, bottom first) into `target`, which is made or must be empty.
///
/// Blob digest, diff_id, size and number of entries are those of the documents when this returns; before, nothing in
/// `target` may be trusted, and after an error it is to be removed. Modes and times are the recorded ones, owner and
/// group those of the caller. Nothing is synced. Reads and decompresses in a second thread.
pub fn layer(bundle: &Bundle, index: usize, target: &Path) -> Result<LayerReport, UnpackError> {
    let layer = bundle.layers().get(index).ok_or(UnpackError::NoSuchLayer { index })?;
    let wrong = |source| UnpackError::Layer { index, title: layer.title.clone(), source: Box::new(source) };
    let mut builder = Builder::new(index, target)?;
    let stream = Stream::open(bundle, layer).map_err(wrong)?;
    let (chunks, chunk_queue) = mpsc::sync_channel(2);
    let (empty, empty_queue) = mpsc::channel();
    let (decoded, built) = std::thread::scope(|scope| {
        let decoding = scope.spawn(move || decode(stream, &chunks, &empty_queue));
        let incoming = Incoming { queue: chunk_queue, empty, chunk: Vec::new(), at: 0 };
        let built = builder.build(tar::Reader::new(incoming, limits(layer)), layer);
        (decoding.join(), built)
    });
    // A damaged blob explains whatever the reader of its tar complained about.
    match decoded {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(wrong(error)),
        Err(panic) => std::panic::resume_unwind(panic),
    }
    built?;
    Ok(LayerReport { diff_id: layer.diff_id, entries: layer.entries, bytes: builder.bytes })
}

impl Bundle {
    /// [`layer`] as a method.
    pub fn unpack_layer(&self, index: usize, target: &Path) -> Result<LayerReport, UnpackError> {
        layer(self, index, target)
    }

    /// Reads one file of the session layer (`path` as in [`super::config`], with or without the leading slash),
    /// proving the whole layer. Nothing is unpacked.
    pub fn read_session_file(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let wanted = path.trim_start_matches('/').as_bytes();
        let missing = || ReadError::NoSuchFile { path: wanted.to_vec() };
        let layer = self.layers().last().ok_or_else(missing)?;
        let mut found = None;
        read_layer(self, layer, |entry, reader| {
            if entry.path == wanted && matches!(entry.body, Body::File { .. }) {
                let mut bytes = Vec::new();
                let mut buffer = vec![0; 1 << 16];
                loop {
                    let n = reader.read_data(&mut buffer)?;
                    if n == 0 {
                        break;
                    }
                    bytes.extend_from_slice(buffer.get(..n).unwrap_or_default());
                }
                found = Some(bytes);
            }
            Ok(())
        })?;
        found.ok_or_else(missing)
    }
}

/// Reads a whole layer in this thread, proving everything; `each` sees every entry.
pub(super) fn read_layer(
    bundle: &Bundle,
    layer: &Layer,
    mut each: impl FnMut(&tar::Entry, &mut tar::Reader<&mut Stream>) -> Result<(), tar::ReadError>,
) -> Result<(), LayerError> {
    let digest = layer.descriptor.digest;
    let mut stream = Stream::open(bundle, layer)?;
    let mut reader = tar::Reader::new(&mut stream, limits(layer));
    let mut walk = || {
        while let Some(entry) = reader.next_entry()? {
            each(&entry, &mut reader)?;
        }
        Ok(reader.entries())
    };
    let walked = walk();
    // A damaged blob explains whatever the reader of its tar complained about.
    stream.finish()?;
    let entries = walked.map_err(|source| LayerError::Tar { digest, source })?;
    check_entries(layer, entries)
}

fn check_entries(layer: &Layer, found: u64) -> Result<(), LayerError> {
    if found == layer.entries {
        return Ok(());
    }
    Err(LayerError::Amount { digest: layer.descriptor.digest, expected: layer.entries, found, unit: "entries" })
}

fn limits(layer: &Layer) -> Limits {
    Limits { entries: layer.entries, bytes: layer.size }
}

/// A layer's tar, hashed on both sides of the decompression.
pub(super) struct Stream {
    layer: Layer,
    frames: Option<Frames<BufReader<HashingReader<Section>>>>,
    hash: Sha256,
    size: u64,
    chunk: Vec<u8>,
    at: usize,
    error: Option<LayerError>,
}

impl Stream {
    pub(super) fn open(bundle: &Bundle, layer: &Layer) -> Result<Self, LayerError> {
        let section = bundle
            .blob(layer)
            .map_err(|source| LayerError::Blob { title: layer.title.clone(), source: Box::new(source) })?;
        let buffered = BufReader::with_capacity(1 << 16, HashingReader::new(section));
        let frames = Frames::new(buffered, layer.compression).map_err(LayerError::Decompressor)?;
        Ok(Self {
            layer: layer.clone(),
            frames: Some(frames),
            hash: Sha256::new(),
            size: 0,
            chunk: Vec::new(),
            at: 0,
            error: None,
        })
    }

    /// Replaces `chunk` by the next one; `false` at the end and after an error, which [`Stream::finish`] gives.
    fn next_chunk(&mut self, chunk: &mut Vec<u8>) -> bool {
        let digest = self.layer.descriptor.digest;
        let Some(frames) = self.frames.as_mut().filter(|_| self.error.is_none()) else { return false };
        match frames.next_chunk(chunk) {
            Ok(true) => {
                self.size += chunk.len() as u64;
                if self.size > self.layer.size {
                    let (expected, found) = (self.layer.size, self.size);
                    self.error = Some(LayerError::Amount { digest, expected, found, unit: "bytes" });
                    return false;
                }
                self.hash.update(&*chunk);
                true
            }
            Ok(false) => false,
            Err(source) => {
                self.error = Some(LayerError::Frame { digest, source });
                false
            }
        }
    }

    /// Reads what is left of the blob and proves it: the blob's digest first, for it explains all else.
    pub(super) fn finish(mut self) -> Result<(), LayerError> {
        let digest = self.layer.descriptor.digest;
        let mut chunk = std::mem::take(&mut self.chunk);
        while self.next_chunk(&mut chunk) {}
        if let Some(frames) = self.frames.take() {
            let mut rest = frames.into_inner();
            let drained = io::copy(&mut rest, &mut io::sink());
            drained.map_err(|source| LayerError::Frame { digest, source: FrameError::Io(source) })?;
            let (_, found, _) = rest.into_inner().finish();
            if found != digest {
                return Err(LayerError::Damaged { expected: digest, found });
            }
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.size != self.layer.size {
            let (expected, found) = (self.layer.size, self.size);
            return Err(LayerError::Amount { digest, expected, found, unit: "bytes" });
        }
        let found = DiffId(Digest::from_bytes(self.hash.finalize().into()));
        if found != self.layer.diff_id {
            return Err(LayerError::DiffId { digest, expected: self.layer.diff_id, found });
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            let mut chunk = std::mem::take(&mut self.chunk);
            self.at = 0;
            if !self.next_chunk(&mut chunk) {
                return Ok(0);
            }
            self.chunk = chunk;
        }
        Ok(copy_from(&self.chunk, &mut self.at, buffer))
    }
}

fn copy_from(chunk: &[u8], at: &mut usize, buffer: &mut [u8]) -> usize {
    let rest = chunk.get(*at..).unwrap_or_default();
    let n = rest.len().min(buffer.len());
    if let (Some(to), Some(from)) = (buffer.get_mut(..n), rest.get(..n)) {
        to.copy_from_slice(from);
    }
    *at += n;
    n
}

/// The second thread: reads, decompresses, hashes.
fn decode(mut stream: Stream, chunks: &SyncSender<Vec<u8>>, empty: &Receiver<Vec<u8>>) -> Result<(), LayerError> {
    loop {
        let mut chunk = empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK));
        // When nobody takes chunks any more, the rest is still hashed: damage is the better explanation.
        if !stream.next_chunk(&mut chunk) || chunks.send(chunk).is_err() {
            return stream.finish();
        }
    }
}

/// Chunks from the second thread, as a reader.
struct Incoming {
    queue: Receiver<Vec<u8>>,
    empty: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            let Ok(next) = self.queue.recv() else { return Ok(0) };
            let old = std::mem::replace(&mut self.chunk, next);
            self.at = 0;
            // At the very end the other thread is gone, and so is the need.
            self.empty.send(old).unwrap_or_default();
        }
        Ok(copy_from(&self.chunk, &mut self.at, buffer))
    }
}

/// Makes entries below a directory.
struct Builder<'a> {
    index: usize,
    target: &'a Path,
    /// The directories that the next entry may lie in, outermost first; the target itself has an empty path.
    open: Vec<Directory>,
    bytes: u64,
    /// What Linux takes away from the mode of a new file; all of it where that is not known.
    umask: u32,
}

struct Directory {
    path: Vec<u8>,
    fd: OwnedFd,
    mtime: i64,
}

impl<'a> Builder<'a> {
    fn new(index: usize, target: &'a Path) -> Result<Self, FileError> {
        let mut umask = 0o777;
        match std::fs::create_dir(target) {
            Ok(()) => {
                // What was taken from its mode, by the umask or by a default access list, is taken from all modes here.
                let made = std::fs::metadata(target).map_err(FileError::new("read", target))?;
                umask = !made.permissions().mode() & 0o777;
                let mode = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(target, mode).map_err(FileError::new("create", target))?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mut names = std::fs::read_dir(target).map_err(FileError::new("read", target))?;
                if names.next().is_some() {
                    let source = io::Error::from(io::ErrorKind::DirectoryNotEmpty);
                    return Err(FileError { action: "unpack into", path: target.to_owned(), source });
                }
            }
            Err(error) => return Err(FileError::new("create", target)(error)),
        }
        let fd = rustix::fs::openat(CWD, target, directory_flags(), Mode::empty())
            .map_err(|errno| FileError::new("open", target)(errno.into()))?;
        let root = Directory { path: Vec::new(), fd, mtime: super::CLAMP };
        Ok(Self { index, target, open: vec![root], bytes: 0, umask })
    }

    fn build(&mut self, mut reader: tar::Reader<Incoming>, layer: &Layer) -> Result<(), UnpackError> {
        let wrong =
            |source| UnpackError::Layer { index: self.index, title: layer.title.clone(), source: Box::new(source) };
        let refused = |source| wrong(LayerError::Tar { digest: layer.descriptor.digest, source });
        let mut buffer = vec![0; 1 << 18];
        while let Some(entry) = reader.next_entry().map_err(refused)? {
            let failed = |source: io::Error| UnpackError::Create {
                index: self.index,
                path: entry.path.clone(),
                target: self.target.to_owned(),
                source,
            };
            let name = enter(&mut self.open, &entry.path).map_err(failed)?;
            let Some(parent) = self.open.last() else { continue };
            match &entry.body {
                Body::File { .. } => {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
                    // Most files need no second call for their mode.
                    let at_once = entry.mode & 0o600 == 0o600 && entry.mode & self.umask == 0;
                    let first = if at_once { entry.mode } else { 0o600 };
                    let fd = rustix::fs::openat(&parent.fd, name, flags, Mode::from_raw_mode(first));
                    let mut file = File::from(fd.map_err(|errno| failed(errno.into()))?);
                    loop {
                        let n = reader.read_data(&mut buffer).map_err(refused)?;
                        if n == 0 {
                            break;
                        }
                        file.write_all(buffer.get(..n).unwrap_or_default()).map_err(failed)?;
                        self.bytes += n as u64;
                    }
                    if !at_once {
                        let mode = Mode::from_raw_mode(entry.mode);
                        rustix::fs::fchmod(&file, mode).map_err(|errno| failed(errno.into()))?;
                    }
                    rustix::fs::futimens(&file, &times(entry.mtime)).map_err(|errno| failed(errno.into()))?;
                }
                Body::Symlink { target } => {
                    rustix::fs::symlinkat(target.as_slice(), &parent.fd, name)
                        .and_then(|()| {
                            rustix::fs::utimensat(&parent.fd, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
                        })
                        .map_err(|errno| failed(errno.into()))?;
                }
                Body::Directory => {
                    let directory = make_directory(parent, name, &entry, self.umask).map_err(failed)?;
                    self.open.push(directory);
                }
            }
        }
        let entries = reader.entries();
        check_entries(layer, entries).map_err(wrong)?;
        while let Some(directory) = self.open.pop() {
            close(directory).map_err(FileError::new("write", self.target))?;
        }
        Ok(())
    }
}

fn make_directory(parent: &Directory, name: &[u8], entry: &tar::Entry, umask: u32) -> io::Result<Directory> {
    let at_once = entry.mode & 0o700 == 0o700 && entry.mode & umask == 0;
    let first = if at_once { entry.mode } else { 0o700 };
    rustix::fs::mkdirat(&parent.fd, name, Mode::from_raw_mode(first))?;
    let fd = rustix::fs::openat(&parent.fd, name, directory_flags(), Mode::empty())?;
    if !at_once {
        rustix::fs::fchmod(fd.as_fd(), Mode::from_raw_mode(entry.mode))?;
    }
    Ok(Directory { path: entry.path.clone(), fd, mtime: entry.mtime })
}

fn directory_flags() -> OFlags {
    OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC
}

/// Closes the directories that `path` does not lie in, and returns its last component.
///
/// The reader gives a directory's content right after it, so what is closed here is complete.
fn enter<'a>(open: &mut Vec<Directory>, path: &'a [u8]) -> io::Result<&'a [u8]> {
    let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (&[][..], path),
    };
    while open.last().is_some_and(|directory| directory.path != parent) {
        if let Some(directory) = open.pop() {
            close(directory)?;
        }
    }
    if open.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(name) }
}

/// A directory's time is set when nothing more comes into it.
fn close(directory: Directory) -> io::Result<()> {
    Ok(rustix::fs::futimens(&directory.fd, &times(directory.mtime))?)
}

fn times(mtime: i64) -> Timestamps {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
