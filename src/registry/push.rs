//! A bundle to a registry: blobs first, manifest last, then the record as a referrer.

use std::{
    collections::BTreeMap,
    io::Read,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

use super::{
    RegistryError,
    client::{Client, Request, Scope, read},
    reference::{Reference, Version},
    upload::{self, Sent, Source},
};
use crate::{
    bundle::{
        Descriptor, INDEX_TYPE, MANIFEST_TYPE, Progress,
        read::{Bundle, Layer},
    },
    digest::Digest,
    files,
    store::Store,
};

/// Blobs that move at the same time.
const AT_ONCE: usize = 4;
/// What the record is called among the referrers of an image.
const RECORD_TYPE: &str = "application/vnd.nbpack.session.v1";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";

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
    put_manifest(client, repository, &reference.version_text(), MANIFEST_TYPE, bundle.manifest_bytes(), progress)?;
    let sent = work.sent.into_inner().unwrap_or_else(PoisonError::into_inner);
    let count = |what| sent.iter().filter(|(_, sent)| *sent == what).count();
    let pushed = Pushed {
        manifest: bundle.manifest_digest(),
        uploaded: count(Sent::Uploaded),
        bytes: sent.iter().filter(|(_, sent)| *sent == Sent::Uploaded).map(|(blob, _)| blob.size).sum(),
        mounted: count(Sent::Mounted),
        there: count(Sent::There),
        without_referrer: refer(bundle, repository, client, progress).err().map(|error| error.to_string()),
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

/// Puts a manifest; gives the answer's `OCI-Subject`.
fn put_manifest(
    client: &Client,
    repository: &str,
    version: &str,
    media_type: &'static str,
    bytes: &[u8],
    progress: &dyn Progress,
) -> Result<Option<String>, RegistryError> {
    let scope = Scope::push(repository);
    let request = Request {
        method: "PUT",
        url: format!("/v2/{repository}/manifests/{version}"),
        scope: &scope,
        headers: vec![("content-type", media_type.to_owned())],
    };
    let mut answer = client.send(&request, bytes, progress)?;
    if answer.status().as_u16() != 201 {
        return Err(client.refused(&request, &mut answer));
    }
    let text = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    // A registry that stores other bytes than it got would break every digest above them.
    if let Some(found) = text("docker-content-digest").and_then(|digest| digest.parse::<Digest>().ok())
        && found != Digest::of(bytes)
    {
        return Err(RegistryError::Damaged { host: client.host.clone(), expected: Digest::of(bytes), found });
    }
    Ok(text("oci-subject"))
}

/// Makes the session record findable beside the image (distribution-spec, "Pushing Manifests with Subject").
fn refer(bundle: &Bundle, repository: &str, client: &Client, progress: &dyn Progress) -> Result<(), RegistryError> {
    let Some(record) = bundle.layers().last() else { return Ok(()) };
    let empty = |_: u64| -> Result<Box<dyn Read>, RegistryError> { Ok(Box::new(EMPTY)) };
    let source = Source { digest: Digest::of(EMPTY), size: EMPTY.len() as u64, open: &empty };
    upload::blob(client, repository, &source, None, &())?;
    let subject = json!({
        "digest": bundle.manifest_digest(), "mediaType": MANIFEST_TYPE, "size": bundle.manifest_bytes().len(),
    });
    let annotations = json!({"org.opencontainers.image.title": bundle.run_config().name});
    let artifact = json!({
        "annotations": annotations,
        "artifactType": RECORD_TYPE,
        "config": {"digest": Digest::of(EMPTY), "mediaType": EMPTY_TYPE, "size": EMPTY.len()},
        "layers": [record.descriptor],
        "mediaType": MANIFEST_TYPE,
        "schemaVersion": 2,
        "subject": subject,
    });
    // Maps of `Value` are sorted: the same bundle gives the same bytes.
    let bytes = artifact.to_string().into_bytes();
    let digest = Digest::of(&bytes);
    let done = put_manifest(client, repository, &digest.to_string(), MANIFEST_TYPE, &bytes, progress)?;
    if done.is_some() {
        return Ok(());
    }
    // No referrers API: the index under a tag made of the subject's digest is ours to keep.
    let tag = bundle.manifest_digest().to_string().replace(':', "-");
    let entry = json!({
        "annotations": annotations, "artifactType": RECORD_TYPE, "digest": digest, "mediaType": MANIFEST_TYPE,
        "size": bytes.len(),
    });
    let mut manifests = referrers(client, repository, &tag, progress)?;
    if manifests.iter().any(|known| known.get("digest") == entry.get("digest")) {
        return Ok(());
    }
    manifests.push(entry);
    let index = json!({"manifests": manifests, "mediaType": INDEX_TYPE, "schemaVersion": 2}).to_string();
    put_manifest(client, repository, &tag, INDEX_TYPE, index.as_bytes(), progress).map(|_| ())
}

fn referrers(
    client: &Client,
    repository: &str,
    tag: &str,
    progress: &dyn Progress,
) -> Result<Vec<Value>, RegistryError> {
    let scope = Scope::push(repository);
    let request = Request {
        method: "GET",
        url: format!("/v2/{repository}/manifests/{tag}"),
        scope: &scope,
        headers: vec![("accept", INDEX_TYPE.to_owned())],
    };
    let mut answer = client.send(&request, &[], progress)?;
    match answer.status().as_u16() {
        404 => Ok(Vec::new()),
        200 => {
            let bytes = read(&mut answer, 4 << 20)
                .map_err(|source| RegistryError::Unreachable { host: client.host.clone(), source: Box::new(source) })?;
            let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            Ok(value.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default())
        }
        _ => Err(client.refused(&request, &mut answer)),
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
