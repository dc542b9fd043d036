//! A bundle from a registry: documents first, then the blobs that are wanted, each proved before it gets its name.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use ureq::http::header;

use super::{
    RegistryError,
    client::{Attempts, Client, Request, Scope, Trouble, read},
    kept,
    reference::{Reference, Version},
};
use crate::{
    bundle::{
        Descriptor, INDEX_TYPE, MANIFEST_TYPE, Progress,
        read::{Bundle, Layer, config_of, this_architecture},
    },
    digest::Digest,
    files::{self, FileError},
    store::Store,
};

/// Blobs that move at the same time.
const AT_ONCE: usize = 4;
/// Bytes of a manifest, index or config at most.
const MAX_DOCUMENT: u64 = 4 << 20;
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// A part of a blob that nobody went on with for so long is not worth keeping.
const STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// What was fetched.
#[derive(Clone, Default, Debug)]
pub struct Pulled {
    /// Blobs that came, and are in the store now.
    pub blobs: Vec<Digest>,
    /// Their bytes, without those of an earlier, interrupted pull.
    pub bytes: u64,
    /// Wanted blobs that the store had.
    pub there: usize,
}

/// Reads manifest and config of an image and proves them. No layer moves.
pub fn open(
    reference: &Reference,
    client: &Client,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Bundle, RegistryError> {
    let expected = match reference.version {
        Version::Digest(digest) => Some(digest),
        Version::Tag(_) => None,
    };
    let (media_type, mut manifest) = manifest(reference, &reference.version_text(), expected, client, progress)?;
    if media_type == INDEX_TYPE || media_type == DOCKER_LIST || manifest_list(&manifest) {
        let digest = choose(&manifest, reference, client)?;
        manifest = self::manifest(reference, &digest.to_string(), Some(digest), client, progress)?.1;
    }
    let image = |source| RegistryError::Image { name: reference.to_string(), source: Box::new(source) };
    let config = config_of(&manifest).map_err(image)?;
    let scope = Scope::pull(&reference.repository);
    let request = Request {
        method: "GET",
        url: format!("/v2/{}/blobs/{}", reference.repository, config.digest),
        scope: &scope,
        headers: Vec::new(),
    };
    let (_, config) = document(&request, &config.digest.to_string(), client, progress)?;
    Bundle::in_store(manifest, config, store).map_err(image)
}

fn manifest(
    reference: &Reference,
    version: &str,
    expected: Option<Digest>,
    client: &Client,
    progress: &dyn Progress,
) -> Result<(String, Vec<u8>), RegistryError> {
    let scope = Scope::pull(&reference.repository);
    let request = Request {
        method: "GET",
        url: format!("/v2/{}/manifests/{version}", reference.repository),
        scope: &scope,
        headers: vec![("accept", format!("{MANIFEST_TYPE}, {INDEX_TYPE}, {DOCKER_LIST}"))],
    };
    let (media_type, bytes) = document(&request, &reference.to_string(), client, progress)?;
    let found = Digest::of(&bytes);
    match expected {
        Some(expected) if expected != found => {
            Err(RegistryError::Damaged { host: client.host.clone(), expected, found })
        }
        _ => Ok((media_type, bytes)),
    }
}

/// Fetches a small thing whole; gives its media type.
pub(super) fn document(
    request: &Request<'_>,
    what: &str,
    client: &Client,
    progress: &dyn Progress,
) -> Result<(String, Vec<u8>), RegistryError> {
    let mut attempts = Attempts::default();
    loop {
        let mut answer = client.send(request, &[], progress)?;
        match answer.status().as_u16() {
            200 => {}
            404 => return Err(RegistryError::NotFound { host: client.host.clone(), what: what.to_owned() }),
            _ => return Err(client.refused(request, &mut answer)),
        }
        let media_type = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.and_then(|text| text.split(';').next()).unwrap_or_default().trim().to_owned();
        match read(&mut answer, MAX_DOCUMENT) {
            Ok(bytes) => return Ok((media_type, bytes)),
            Err(ureq::Error::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Err(client.unexpected(request, &format!("a document that cannot be taken ({error})"), None));
            }
            Err(error) => attempts.after(Trouble::Lost(Box::new(error)), client, progress)?,
        }
    }
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

fn manifest_list(bytes: &[u8]) -> bool {
    let value: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    value.get("manifests").is_some()
}

/// The manifest for this machine, else the only one there is.
fn choose(index: &[u8], reference: &Reference, client: &Client) -> Result<Digest, RegistryError> {
    let index: Index = serde_json::from_slice(index).unwrap_or(Index { manifests: Vec::new() });
    let images: Vec<&Descriptor> =
        index.manifests.iter().filter(|descriptor| descriptor.media_type == MANIFEST_TYPE).collect();
    let ours = images.iter().find(|descriptor| {
        descriptor.platform.as_ref().is_some_and(|platform| platform.architecture == this_architecture())
    });
    let only = || if let [only] = images.as_slice() { Some(only) } else { None };
    ours.or_else(only).map(|descriptor| descriptor.digest).ok_or_else(|| RegistryError::NotFound {
        host: client.host.clone(),
        what: format!("{reference} for {}", this_architecture()),
    })
}

/// Fetches the blobs of the wanted layers into the store, where they are not there yet.
///
/// What an interrupted pull had is gone on with.
pub fn fetch(
    bundle: &Bundle,
    wanted: &dyn Fn(&Layer) -> bool,
    reference: &Reference,
    client: &Client,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Pulled, RegistryError> {
    files::create_private_dir(&store.tmp())?;
    remove_stale(store);
    let mut queue: Vec<&Layer> = Vec::new();
    let mut there = 0;
    for layer in bundle.layers().iter().filter(|layer| wanted(layer)) {
        if store.has(&layer.descriptor.digest, layer.descriptor.size) {
            there += 1;
            kept::touch(store, &layer.descriptor.digest)?;
            progress.bytes(layer.descriptor.size);
        } else if !queue.iter().any(|other| other.descriptor.digest == layer.descriptor.digest) {
            queue.push(layer);
        }
    }
    queue.sort_by_key(|layer| (std::cmp::Reverse(layer.descriptor.size), layer.descriptor.digest));
    let work = Work {
        reference,
        client,
        store,
        progress,
        queue,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        pulled: Mutex::new(Pulled { there, ..Pulled::default() }),
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE.min(work.queue.len())).map(|_| scope.spawn(|| work.run())).collect();
        let mut first = Ok(());
        for worker in workers {
            let result = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            first = first.and(result);
        }
        first
    })?;
    Ok(work.pulled.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Parts that a pull left which was never tried again.
fn remove_stale(store: &Store) {
    for entry in std::fs::read_dir(store.tmp()).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PART));
        let age = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
        if ours && age.is_some_and(|age| age > STALE) {
            // It may have gone meanwhile.
            std::fs::remove_file(entry.path()).unwrap_or_default();
        }
    }
}

const PART: &str = "pull-";

struct Work<'a> {
    reference: &'a Reference,
    client: &'a Client,
    store: &'a Store,
    progress: &'a dyn Progress,
    queue: Vec<&'a Layer>,
    next: AtomicUsize,
    stop: AtomicBool,
    pulled: Mutex<Pulled>,
}

impl Work<'_> {
    fn run(&self) -> Result<(), RegistryError> {
        while let Some(layer) = self.queue.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            // Another one failed, and says why.
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            match self.fetch(&layer.descriptor) {
                Ok(bytes) => {
                    self.progress.layer(0, self.queue.len(), &layer.title, false);
                    let mut pulled = self.pulled.lock().unwrap_or_else(PoisonError::into_inner);
                    pulled.blobs.push(layer.descriptor.digest);
                    pulled.bytes += bytes;
                }
                Err(error) => {
                    self.stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Fetches one blob; the bytes that moved.
    fn fetch(&self, descriptor: &Descriptor) -> Result<u64, RegistryError> {
        let path = self.store.tmp().join(format!("{PART}{}", descriptor.digest.hex()));
        let mut part = Part::open(path, descriptor.size)?;
        self.progress.bytes(part.length);
        // Who had the lock before us may have finished it.
        if self.store.has(&descriptor.digest, descriptor.size) {
            self.progress.bytes(descriptor.size - part.length);
            return Ok(0);
        }
        let mut attempts = Attempts::default();
        let mut damaged = false;
        let mut moved = 0;
        loop {
            let before = part.length;
            let result = if part.length < descriptor.size { self.go_on(descriptor, &mut part) } else { Ok(()) };
            moved += part.length.saturating_sub(before);
            if part.length > before {
                attempts.progress();
            }
            match result {
                Ok(()) if part.length < descriptor.size => {
                    let cut = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                    attempts.after(Trouble::Lost(Box::new(ureq::Error::Io(cut))), self.client, self.progress)?;
                }
                Ok(()) => {
                    let found = part.digest();
                    if found == descriptor.digest {
                        kept::keep(self.store, &descriptor.digest)?;
                        part.publish(self.store, &descriptor.digest)?;
                        return Ok(moved);
                    }
                    part.restart()?;
                    // An earlier, interrupted pull may be at fault; twice it is the registry.
                    if damaged {
                        let host = self.client.host.clone();
                        return Err(RegistryError::Damaged { host, expected: descriptor.digest, found });
                    }
                    damaged = true;
                }
                Err(trouble) => attempts.after(trouble, self.client, self.progress)?,
            }
        }
    }

    /// Asks for what is missing and takes what comes.
    fn go_on(&self, descriptor: &Descriptor, part: &mut Part) -> Result<(), Trouble> {
        let scope = Scope::pull(&self.reference.repository);
        let mut request = Request {
            method: "GET",
            url: format!("/v2/{}/blobs/{}", self.reference.repository, descriptor.digest),
            scope: &scope,
            headers: Vec::new(),
        };
        if part.length > 0 {
            request.headers.push(("range", format!("bytes={}-", part.length)));
        }
        let mut answer = self.client.exchange(&request, None)?;
        match answer.status().as_u16() {
            206 if starts_at(answer.headers(), part.length) => {}
            // It cannot go on in the middle.
            200 => part.restart()?,
            404 => {
                let (host, what) = (self.client.host.clone(), descriptor.digest.to_string());
                return Err(RegistryError::NotFound { host, what }.into());
            }
            206 | 416 => {
                part.restart()?;
                return Ok(());
            }
            _ => return Err(self.client.refused(&request, &mut answer).into()),
        }
        let mut buffer = vec![0; 256 << 10];
        let mut body = answer.body_mut().as_reader();
        while part.length < descriptor.size {
            if self.progress.cancelled() {
                return Err(RegistryError::Cancelled.into());
            }
            let count = match body.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count as u64,
                Err(error) => return Err(Trouble::Lost(Box::new(ureq::Error::Io(error)))),
            };
            // More than the manifest says is not kept: the digest decides about what is.
            let count = count.min(descriptor.size - part.length);
            part.add(buffer.get(..count as usize).unwrap_or_default())?;
            self.progress.bytes(count);
        }
        Ok(())
    }
}

fn starts_at(headers: &ureq::http::HeaderMap, offset: u64) -> bool {
    let range = headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.and_then(|text| text.trim_start_matches("bytes").trim().split('-').next()?.parse().ok()) == Some(offset)
}

/// The first bytes of a blob, in a file that an interrupted pull leaves behind to be gone on with.
struct Part {
    file: File,
    path: PathBuf,
    length: u64,
    hash: Sha256,
}

impl Part {
    /// Opens and locks it, and hashes what is there. Waits for another process that has it.
    fn open(path: PathBuf, limit: u64) -> Result<Self, RegistryError> {
        let wrong = |action| FileError::new(action, &path);
        loop {
            let file = std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(wrong("open"))?;
            rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
                .map_err(|error| wrong("lock")(error.into()))?;
            // The other one may have renamed it meanwhile: then this is its blob.
            let here = files::Signature::of(&file.metadata().map_err(wrong("read"))?);
            let there = std::fs::symlink_metadata(&path).map(|metadata| files::Signature::of(&metadata));
            if !there.is_ok_and(|there| (there.dev, there.ino) == (here.dev, here.ino)) {
                continue;
            }
            let mut part = Self { file, path: path.clone(), length: 0, hash: Sha256::new() };
            let mut buffer = vec![0; 256 << 10];
            loop {
                let count = part.file.read(&mut buffer).map_err(FileError::new("read", &path))?;
                if count == 0 {
                    break;
                }
                part.hash.update(buffer.get(..count).unwrap_or_default());
                part.length += count as u64;
            }
            if part.length > limit {
                part.restart()?;
            }
            return Ok(part);
        }
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        self.file.write_all(bytes).map_err(FileError::new("write", &self.path))?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), RegistryError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(FileError::new("write", &self.path))?;
        self.length = 0;
        self.hash = Sha256::new();
        Ok(())
    }

    fn digest(&self) -> Digest {
        Digest::from_bytes(self.hash.clone().finalize().into())
    }

    fn publish(self, store: &Store, digest: &Digest) -> Result<(), RegistryError> {
        let wrong = || FileError::new("write", &self.path);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
        self.file.set_permissions(mode).and_then(|()| self.file.sync_all()).map_err(wrong())?;
        Ok(store.adopt(&self.path, digest)?)
    }
}
