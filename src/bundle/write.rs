//! A plan to a bundle: layers from the store, documents, one file.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use super::{
    Progress,
    atomic::Pending,
    compress::Compression,
    config::RunConfig,
    image::{self, LayerFacts, Member, Platform},
    layers,
    plan::Plan,
    read::{Bundle, refuse_run},
    signatures, tar,
};
use crate::digest::{DiffId, Digest};
use crate::files::{self, FileError, display_bytes};
use crate::store::Store;

/// How to write.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteOptions {
    /// The layers' compression.
    pub compression: Compression,
    /// Threads that compress; 0 is one for each processor. The bytes do not depend on it.
    pub threads: usize,
}

/// Where the bundle goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// One file, replaced in one step.
    File(PathBuf),
    /// An OCI layout directory of hard links into the store, replaced in one step.
    Dir(PathBuf),
    /// Standard output.
    Stdout,
    /// Nowhere: its layers are in the store, and a registry gets it from there ([`Written::documents`]).
    Store,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The manifest's digest: the bundle's name.
    pub manifest: Digest,
    /// The layers, bottom first.
    pub layers: Vec<WrittenLayer>,
    /// Compressed bytes that were not in the store before.
    pub new_bytes: u64,
    /// Layers that were.
    pub reused: usize,
    /// Bytes of the whole bundle.
    pub bytes: u64,
    /// Bytecode files that are not in, because they were not understood with certainty.
    pub bytecode_left_out: u64,
    /// Manifest and config, byte for byte.
    pub documents: (Vec<u8>, Vec<u8>),
}

/// One layer of a written bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrittenLayer {
    /// Its title.
    pub title: String,
    /// Digest of its tar.
    pub diff_id: DiffId,
    /// Digest of its blob.
    pub digest: Digest,
    /// Bytes of its tar.
    pub size: u64,
    /// Bytes of its blob.
    pub compressed: u64,
    /// It lay in the store already.
    pub reused: bool,
}

/// The bundle was not written; nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is not the one that was planned.
    #[error("`{}` changed while it was being packed", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A blob of the store is damaged.
    #[error("blob `{}` is damaged: expected {expected}, its bytes hash to {found}", path.display())]
    DamagedBlob {
        /// Where it lies.
        path: PathBuf,
        /// Its name.
        expected: Digest,
        /// What it holds.
        found: Digest,
    },
    /// A layer that lies unpacked in the store is not what was restored any more.
    #[error("layer `{title}` was altered after it was unpacked: expected {expected}, its files give {found}")]
    Altered {
        /// The layer.
        title: String,
        /// As it was restored.
        expected: Digest,
        /// As it is.
        found: Digest,
    },
    /// A name that the plan should have left out.
    #[error("`{}` is too long a name for tar", display_bytes(path))]
    Name {
        /// The entry.
        path: Vec<u8>,
    },
    /// No reader would take it.
    #[error("the run configuration has {what}")]
    Run {
        /// What is wrong.
        what: String,
    },
    /// A path in it is not UTF-8.
    #[error("the run configuration cannot be written as JSON")]
    RunConfig(#[source] serde_json::Error),
    /// The compressor failed.
    #[error("cannot compress a layer")]
    Compress(#[source] io::Error),
    /// The store cannot take more.
    #[error("cannot write a layer to the store")]
    Store(#[source] io::Error),
    /// The output cannot take more.
    #[error("cannot write the bundle to standard output")]
    Stdout(#[source] io::Error),
    /// The directory holds something else.
    #[error("`{}` exists and is no OCI image layout", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// The person asked to stop.
    #[error("stopped")]
    Cancelled,
}

/// Makes what the store does not have, then puts the bundle together.
///
/// The bytes are a function of `plan` (the content of its files included), `run` and the compression. A failure
/// leaves the output as it was; layers that were complete stay in the store.
pub fn write(
    plan: &Plan,
    run: &RunConfig,
    store: &Store,
    options: WriteOptions,
    out: &mut Output,
    progress: &dyn Progress,
) -> Result<Written, WriteError> {
    if let Some(what) = refuse_run(run) {
        return Err(WriteError::Run { what });
    }
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        threads => threads,
    };
    let made = layers::ensure(plan, store, options.compression, threads, progress)?;
    let facts: Vec<LayerFacts> = plan
        .layers
        .iter()
        .zip(&made)
        .map(|(layer, made)| LayerFacts {
            title: layer.title.clone(),
            diff_id: made.known.diff_id,
            size: made.known.size,
            entries: made.known.entries,
            blob: made.known.blob,
            blob_size: made.known.blob_size,
        })
        .collect();
    let image = Image::new(run, &facts, options.compression)?;
    let bytes = image.write(out, store)?;
    let layers: Vec<WrittenLayer> = facts
        .into_iter()
        .zip(&made)
        .map(|(facts, made)| WrittenLayer {
            title: facts.title,
            diff_id: facts.diff_id,
            digest: facts.blob,
            size: facts.size,
            compressed: facts.blob_size,
            reused: made.reused,
        })
        .collect();
    Ok(Written {
        manifest: Digest::of(&image.manifest),
        new_bytes: layers.iter().filter(|layer| !layer.reused).map(|layer| layer.compressed).sum(),
        reused: layers.iter().filter(|layer| layer.reused).count(),
        layers,
        bytes,
        bytecode_left_out: made.iter().map(|made| made.known.left_out).sum(),
        documents: (image.manifest, image.config),
    })
}

/// Writes a bundle whose blobs all lie in the store, as [`write()`] would have written it, with the signatures that it has.
/// Returns its length.
pub fn copy(bundle: &Bundle, store: &Store, out: &mut Output) -> Result<u64, WriteError> {
    let mut members = image::members(&bundle.manifest, &bundle.manifest_bytes, &bundle.platform);
    members.extend(signatures::member(&bundle.signatures));
    let image = Image { config: bundle.config_bytes.clone(), manifest: bundle.manifest_bytes.clone(), members };
    image.write(out, store)
}

/// Makes the layers of a plan and keeps them in the store, for an export to come. Returns how many were new.
pub fn prepare(
    plan: &Plan,
    store: &Store,
    options: WriteOptions,
    progress: &dyn Progress,
) -> Result<usize, WriteError> {
    let made = layers::ensure(plan, store, options.compression, options.threads.max(1), progress)?;
    Ok(made.iter().filter(|made| !made.reused).count())
}

/// For each layer of the plan, whether an export would find it in the store: for showing a plan without making it.
pub fn reusable(plan: &Plan, store: &Store, compression: Compression) -> Vec<bool> {
    plan.layers.iter().map(|layer| super::cache::Key::of(layer, compression).find(store).is_some()).collect()
}

/// The documents of one image.
struct Image {
    config: Vec<u8>,
    manifest: Vec<u8>,
    members: Vec<Member>,
}

/// A part of the outer archive.
enum Piece<'a> {
    Bytes(&'a [u8]),
    Blob(&'a Digest, u64),
}

impl Image {
    fn new(run: &RunConfig, facts: &[LayerFacts], compression: Compression) -> Result<Self, WriteError> {
        let config = image::config(run, facts).map_err(WriteError::RunConfig)?;
        let manifest = image::manifest(run, &config, facts, compression);
        let platform = Platform { architecture: run.architecture.clone(), os: "linux".to_owned() };
        let parsed = serde_json::from_slice(&manifest).map_err(WriteError::RunConfig)?;
        let members = image::members(&parsed, &manifest, &platform);
        Ok(Self { config, manifest, members })
    }

    /// Puts it where it is wanted and returns its length.
    fn write(&self, out: &Output, store: &Store) -> Result<u64, WriteError> {
        match out {
            Output::File(path) => write_file(path, self, store),
            Output::Dir(path) => write_dir(path, self, store),
            Output::Store => Ok(self.members.iter().map(Member::size).sum()),
            Output::Stdout => {
                let mut stdout = io::stdout().lock();
                let bytes = self.assemble(&mut |piece| match piece {
                    Piece::Bytes(bytes) => stdout.write_all(bytes).map_err(WriteError::Stdout),
                    Piece::Blob(digest, size) => {
                        let blob = files::open(&store.blob_path(digest))?;
                        copy_exactly(blob, size, &store.blob_path(digest), &mut stdout, &WriteError::Stdout)
                    }
                })?;
                stdout.flush().map_err(WriteError::Stdout)?;
                Ok(bytes)
            }
        }
    }

    /// The bytes of a blob that is made here and does not lie in the store.
    fn document(&self, digest: &Digest) -> Option<&[u8]> {
        [&self.config, &self.manifest].into_iter().map(Vec::as_slice).find(|bytes| Digest::of(bytes) == *digest)
    }

    /// Gives the outer archive piece by piece and returns its length.
    fn assemble(&self, put: &mut dyn FnMut(Piece<'_>) -> Result<(), WriteError>) -> Result<u64, WriteError> {
        let mut total = tar::END.len() as u64;
        for member in &self.members {
            let header = member.header();
            let pad = tar::END.get(..tar::padding(member.size())).unwrap_or_default();
            put(Piece::Bytes(&header))?;
            match member {
                Member::Directory(_) => {}
                Member::Inline(_, bytes) => put(Piece::Bytes(bytes))?,
                Member::Blob(digest, size) => match self.document(digest) {
                    Some(bytes) => put(Piece::Bytes(bytes))?,
                    None => put(Piece::Blob(digest, *size))?,
                },
            }
            put(Piece::Bytes(pad))?;
            total += (header.len() + pad.len()) as u64 + member.size();
        }
        put(Piece::Bytes(&tar::END))?;
        Ok(total)
    }
}

fn write_file(path: &Path, image: &Image, store: &Store) -> Result<u64, WriteError> {
    let mut pending = Pending::new_in(files::parent(path))?;
    let wrong = |source| WriteError::from(FileError { action: "write", path: path.to_owned(), source });
    let out = pending.file();
    let bytes = image.assemble(&mut |piece| match piece {
        Piece::Bytes(bytes) => out.write_all(bytes).map_err(wrong),
        Piece::Blob(digest, size) => {
            let blob = store.blob_path(digest);
            // From file to file: copied inside Linux (copy_file_range).
            copy_exactly(files::open(&blob)?, size, &blob, out, &wrong)
        }
    })?;
    drop(pending.publish_copy(path, 0o644 & !umask())?);
    Ok(bytes)
}

/// Copies a blob whose size was promised in a header already.
fn copy_exactly<W: Write>(
    blob: File,
    size: u64,
    path: &Path,
    out: &mut W,
    wrong: &dyn Fn(io::Error) -> WriteError,
) -> Result<(), WriteError> {
    let copied = io::copy(&mut blob.take(size), out).map_err(wrong)?;
    if copied == size { Ok(()) } else { Err(WriteError::Changed { path: path.to_owned() }) }
}

/// The umask, which only decides who may read the finished file, never a byte in it.
fn umask() -> u32 {
    let text = files::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    let field = text.lines().find_map(|line| line.strip_prefix("Umask:"));
    field.and_then(|value| u32::from_str_radix(value.trim(), 8).ok()).unwrap_or(0o022)
}

fn write_dir(path: &Path, image: &Image, store: &Store) -> Result<u64, WriteError> {
    let parent = files::parent(path);
    let occupied = path.exists() && fs::read_dir(path).map_or(true, |mut names| names.next().is_some());
    if occupied && !path.join("oci-layout").is_file() {
        return Err(WriteError::Occupied { path: path.to_owned() });
    }
    let temporary = tempfile::Builder::new()
        .prefix(".nbpack-")
        .suffix(".tmp")
        .tempdir_in(parent)
        .map_err(FileError::new("create a directory in", parent))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755 & !umask());
    fs::set_permissions(temporary.path(), mode).map_err(FileError::new("write", temporary.path()))?;
    let mut total = 0;
    for member in &image.members {
        total += member.size();
        match member {
            Member::Directory(name) => files::create_dir(&temporary.path().join(name))?,
            Member::Inline(name, bytes) => write_new(&temporary.path().join(name), bytes)?,
            Member::Blob(digest, _) => {
                let to = temporary.path().join(image::blob_name(digest));
                match image.document(digest) {
                    Some(bytes) => write_new(&to, bytes)?,
                    None => link_or_copy(&store.blob_path(digest), &to)?,
                }
            }
        }
    }
    let done = temporary.keep();
    let placed = if occupied {
        use rustix::fs::{CWD, RenameFlags};
        rustix::fs::renameat_with(CWD, &done, CWD, path, RenameFlags::EXCHANGE).map_err(io::Error::from)
    } else {
        fs::rename(&done, path)
    };
    let result = placed.map_err(FileError::new("write", path));
    if occupied || result.is_err() {
        // The old layout, or the one that found no place.
        fs::remove_dir_all(&done).map_err(FileError::new("remove", &done))?;
    }
    result?;
    files::sync_dir(parent)?;
    Ok(total)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = File::create_new(path).map_err(FileError::new("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(FileError::new("write", path))
}

/// Another file system, or too many links: a copy then.
fn link_or_copy(from: &Path, to: &Path) -> Result<(), FileError> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to).map(|_| ()).map_err(FileError::new("write", to))
}
