//! A bundle to a registry: blobs first, manifest last, then signatures and the record as its referrers.

use std::{
    collections::BTreeMap,
    io::Read,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::{
    RegistryError,
    client::Client,
    reference::{Reference, Version},
    referrers,
    upload::{self, Sent, Source},
};
use crate::{
    bundle::{
        Descriptor, MANIFEST_TYPE, Progress,
        read::{Bundle, Layer},
    },
    digest::Digest,
    files,
    store::Store,
};

/// Blobs that move at the same time.
const AT_ONCE: usize = 4;

/// What was pushed.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The manifest's digest.
    pub manifest: Digest,
    /// Blobs that were sent.
    pub uploaded: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that another repository of this registry had.
    pub mounted: usize,
    /// Blobs that the repository had.
    pub there: usize,
    /// Signatures that went with it.
    pub signatures: usize,
    /// The record could not be made a referrer; the image is whole all the same.
    pub without_referrer: Option<String>,
}

/// Pushes a bundle: only what the repository does not have is sent.
///
/// The tag is set when all blobs are there, so whoever pulls it gets all of it or what was there before.
pub fn push(
    bundle: &Bundle,
    reference: &Reference,
    client: &Client,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Pushed, RegistryError> {
    let repository = reference.repository.as_str();
    if let Version::Digest(expected) = reference.version
        && expected != bundle.manifest_digest()
    {
        let found = bundle.manifest_digest();
        return Err(RegistryError::Damaged { host: client.host.clone(), expected, found });
    }
    let known = Known::read(store, &client.host);
    let mut work = Work {
        bundle,
        repository,
        client,
        progress,
        known: &known,
        queue: blobs(bundle),
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        sent: Mutex::default(),
    };
    work.queue.sort_by_key(|blob| (std::cmp::Reverse(blob.0.size), blob.0.digest));
    work.run()?;
    referrers::put_manifest(
        client,
        repository,
        &reference.version_text(),
        MANIFEST_TYPE,
        bundle.manifest_bytes(),
        progress,
    )?;
    referrers::put_signatures(bundle, bundle.signatures(), reference, client, progress)?;
    let sent = work.sent.into_inner().unwrap_or_else(PoisonError::into_inner);
    let count = |what| sent.iter().filter(|(_, sent)| *sent == what).count();
    let pushed = Pushed {
        manifest: bundle.manifest_digest(),
        uploaded: count(Sent::Uploaded),
        bytes: sent.iter().filter(|(_, sent)| *sent == Sent::Uploaded).map(|(blob, _)| blob.size).sum(),
        mounted: count(Sent::Mounted),
        there: count(Sent::There),
        signatures: bundle.signatures().len(),
        without_referrer: referrers::put_record(bundle, repository, client, progress)
            .err()
            .map(|error| error.to_string()),
    };
    known.remember(store, &client.host, repository, sent.iter().map(|(blob, _)| blob.digest));
    Ok(pushed)
}

type Blob<'a> = (&'a Descriptor, Option<&'a Layer>);

/// Config and layers, each blob once.
fn blobs(bundle: &Bundle) -> Vec<Blob<'_>> {
    let mut all: BTreeMap<Digest, Blob<'_>> = BTreeMap::new();
    all.insert(bundle.config_descriptor().digest, (bundle.config_descriptor(), None));
    for layer in bundle.layers() {
        all.entry(layer.descriptor.digest).or_insert((&layer.descriptor, Some(layer)));
    }
    all.into_values().collect()
}

struct Work<'a> {
    bundle: &'a Bundle,
    repository: &'a str,
    client: &'a Client,
    progress: &'a dyn Progress,
    known: &'a Known,
    queue: Vec<Blob<'a>>,
    next: AtomicUsize,
    stop: AtomicBool,
    sent: Mutex<Vec<(Descriptor, Sent)>>,
}

impl Work<'_> {
    fn run(&self) -> Result<(), RegistryError> {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE.min(self.queue.len())).map(|_| scope.spawn(|| self.work())).collect();
            let mut first = Ok(());
            for worker in workers {
                let result = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                first = first.and(result);
            }
            first
        })
    }

    fn work(&self) -> Result<(), RegistryError> {
        while let Some((descriptor, layer)) = self.queue.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            // Another one failed, and says why.
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let result = self.send(descriptor, *layer);
            match result {
                Ok(sent) => {
                    let title = layer.map_or("config", |layer| layer.title.as_str());
                    self.progress.layer(0, self.queue.len(), title, sent != Sent::Uploaded);
                    let mut all = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
                    all.push(((*descriptor).clone(), sent));
                }
                Err(error) => {
                    self.stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn send(&self, descriptor: &Descriptor, layer: Option<&Layer>) -> Result<Sent, RegistryError> {
        let open = |from: u64| -> Result<Box<dyn Read + '_>, RegistryError> {
            let Some(layer) = layer else {
                let rest = self.bundle.config_bytes().get(usize::try_from(from).unwrap_or(usize::MAX)..);
                return Ok(Box::new(rest.unwrap_or_default()));
            };
            let mut blob = self
                .bundle
                .blob(layer)
                .map_err(|source| RegistryError::Image { name: layer.title.clone(), source: Box::new(source) })?;
            blob.skip(from);
            Ok(Box::new(blob))
        };
        let source = Source { digest: descriptor.digest, size: descriptor.size, open: &open };
        let from = self.known.0.get(&descriptor.digest).map(String::as_str);
        upload::blob(self.client, self.repository, &source, from, self.progress)
    }
}

/// Which repository of a registry had a blob when we last pushed it: where to mount it from.
struct Known(BTreeMap<Digest, String>);

impl Known {
    fn path(store: &Store, host: &str) -> PathBuf {
        store.root().join("registry").join(format!("{}.json", Digest::of(host.as_bytes()).hex()))
    }

    /// Losing it costs uploads only.
    fn read(store: &Store, host: &str) -> Self {
        let bytes = files::read_bounded(&Self::path(store, host), 64 << 20).unwrap_or_default();
        Self(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    fn remember(mut self, store: &Store, host: &str, repository: &str, digests: impl Iterator<Item = Digest>) {
        for digest in digests {
            self.0.entry(digest).or_insert_with(|| repository.to_owned());
        }
        let path = Self::path(store, host);
        let bytes = serde_json::to_vec(&self.0).unwrap_or_default();
        files::create_private_dir(files::parent(&path))
            .and_then(|()| files::publish_bytes(&path, 0o600, &bytes))
            .unwrap_or_default();
    }
}
