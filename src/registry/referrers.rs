//! What stands beside an image and names it as its subject: the session record and signatures (distribution-spec,
//! "Listing Referrers" and "Pushing Manifests with Subject"; where a registry has no such API, the index under the tag
//! `sha256-<hex>`). Signatures of a key pair stand a second time where cosign and registries' policies look for them:
//! in the manifest tagged `sha256-<hex>.sig` (cosign's signature specification).

use std::io::Read;

use serde_json::{Value, json};

use super::{
    RegistryError,
    client::{Client, Request, Scope, read},
    pull::document,
    reference::Reference,
    upload::{self, Source},
};
use crate::{
    bundle::{CONFIG_TYPE, INDEX_TYPE, MANIFEST_TYPE, Progress, read::Bundle},
    digest::Digest,
    signature::Signature,
};

/// What the record is called among the referrers of an image.
const RECORD_TYPE: &str = "application/vnd.nbpack.session.v1";
/// What a signature is called; its one layer is the JSON of [`Signature`].
const SIGNATURE_TYPE: &str = "application/vnd.nbpack.signature.v1+json";
const SIMPLE_SIGNING_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Where cosign keeps the signature of a payload: an annotation of its layer, in base64.
const COSIGN_SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";
/// Signatures of one image that are looked at.
const MOST: usize = 64;
/// A longer signature is none, in bytes.
const LONGEST: u64 = 64 << 10;

/// Puts a manifest; gives the answer's `OCI-Subject`.
pub(super) fn put_manifest(
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

/// Makes the session record findable beside the image.
pub(super) fn put_record(
    bundle: &Bundle,
    repository: &str,
    client: &Client,
    progress: &dyn Progress,
) -> Result<(), RegistryError> {
    let Some(record) = bundle.layers().last() else { return Ok(()) };
    attach(bundle, RECORD_TYPE, &json!(record.descriptor), repository, client, progress)
}

/// Puts signatures beside an image that is there; how many are new there is not known, each is put once.
///
/// # Errors
/// The registry takes one of them not, or cannot be reached.
pub fn put_signatures(
    bundle: &Bundle,
    signatures: &[Signature],
    reference: &Reference,
    client: &Client,
    progress: &dyn Progress,
) -> Result<(), RegistryError> {
    let repository = reference.repository.as_str();
    for signature in signatures {
        let bytes = serde_json::to_vec(signature).unwrap_or_default();
        let layer = put_blob(client, repository, SIGNATURE_TYPE, &bytes)?;
        attach(bundle, SIGNATURE_TYPE, &layer, repository, client, progress)?;
    }
    put_for_cosign(bundle, signatures, repository, client, progress)
}

/// The signatures that stand beside an image, none of them checked.
///
/// # Errors
/// The registry cannot be reached, or gives something else than what was put there.
pub fn signatures(
    bundle: &Bundle,
    reference: &Reference,
    client: &Client,
    progress: &dyn Progress,
) -> Result<Vec<Signature>, RegistryError> {
    let repository = reference.repository.as_str();
    let subject = bundle.manifest_digest();
    let scope = Scope::pull(repository);
    let url = format!("/v2/{repository}/referrers/{subject}?artifactType={}", super::auth::escape(SIGNATURE_TYPE));
    let listed = match index(client, &scope, url, progress)? {
        Some(listed) => listed,
        None => index(client, &scope, fallback(repository, &subject), progress)?.unwrap_or_default(),
    };
    let is_signature = |entry: &&Value| entry.get("artifactType").and_then(Value::as_str) == Some(SIGNATURE_TYPE);
    let mut found = Vec::new();
    for entry in listed.iter().filter(is_signature).take(MOST) {
        let Some(digest) = digest_of(entry) else { continue };
        let bytes = proved(client, &scope, &format!("/v2/{repository}/manifests/{digest}"), &digest, progress)?;
        let artifact: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        // An index may list what is no referrer of this image at all.
        if artifact.get("subject").and_then(digest_of) != Some(subject) {
            continue;
        }
        let layer = artifact.pointer("/layers/0").unwrap_or(&Value::Null);
        let size = layer.get("size").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let Some(digest) = digest_of(layer).filter(|_| size <= LONGEST) else { continue };
        let bytes = proved(client, &scope, &format!("/v2/{repository}/blobs/{digest}"), &digest, progress)?;
        let signature = serde_json::from_slice(&bytes).map_err(|error| RegistryError::Unexpected {
            host: client.host.clone(),
            request: format!("GET /v2/{repository}/blobs/{digest}"),
            found: format!("a signature that cannot be read ({error})"),
            message: String::new(),
        })?;
        found.push(signature);
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn digest_of(descriptor: &Value) -> Option<Digest> {
    descriptor.get("digest").and_then(Value::as_str).and_then(|text| text.parse().ok())
}

/// A small thing whose digest is known.
fn proved(
    client: &Client,
    scope: &Scope,
    url: &str,
    expected: &Digest,
    progress: &dyn Progress,
) -> Result<Vec<u8>, RegistryError> {
    let headers = vec![("accept", format!("{MANIFEST_TYPE}, */*"))];
    let request = Request { method: "GET", url: url.to_owned(), scope, headers };
    let (_, bytes) = document(&request, &expected.to_string(), client, progress)?;
    let found = Digest::of(&bytes);
    if found != *expected {
        return Err(RegistryError::Damaged { host: client.host.clone(), expected: *expected, found });
    }
    Ok(bytes)
}

/// Where referrers are listed by a registry without the API.
fn fallback(repository: &str, subject: &Digest) -> String {
    format!("/v2/{repository}/manifests/{}", subject.to_string().replace(':', "-"))
}

/// The manifests of an index; `None` where there is none.
fn index(
    client: &Client,
    scope: &Scope,
    url: String,
    progress: &dyn Progress,
) -> Result<Option<Vec<Value>>, RegistryError> {
    Ok(value(client, scope, url, INDEX_TYPE, progress)?
        .and_then(|value| value.get("manifests").and_then(Value::as_array).cloned()))
}

/// A JSON document; `None` where there is none.
fn value(
    client: &Client,
    scope: &Scope,
    url: String,
    media_type: &str,
    progress: &dyn Progress,
) -> Result<Option<Value>, RegistryError> {
    let request = Request { method: "GET", url, scope, headers: vec![("accept", media_type.to_owned())] };
    let mut answer = client.send(&request, &[], progress)?;
    match answer.status().as_u16() {
        // Registries without the referrers API have several ways to say so.
        400 | 403..=428 | 501 => Ok(None),
        200 => {
            let bytes = read(&mut answer, 4 << 20).map_err(|source| client.unreachable(Box::new(source)))?;
            Ok(Some(serde_json::from_slice(&bytes).unwrap_or_default()))
        }
        _ => Err(client.refused(&request, &mut answer)),
    }
}

/// Sends a small blob and gives its descriptor.
fn put_blob(client: &Client, repository: &str, media_type: &str, bytes: &[u8]) -> Result<Value, RegistryError> {
    let digest = Digest::of(bytes);
    let open = |from: u64| -> Result<Box<dyn Read + '_>, RegistryError> {
        Ok(Box::new(bytes.get(usize::try_from(from).unwrap_or(usize::MAX)..).unwrap_or_default()))
    };
    let source = Source { digest, size: bytes.len() as u64, open: &open };
    upload::blob(client, repository, &source, None, &())?;
    Ok(json!({"digest": digest, "mediaType": media_type, "size": bytes.len()}))
}

/// Puts an artifact of one layer, which the repository has, beside the image.
fn attach(
    bundle: &Bundle,
    artifact_type: &str,
    layer: &Value,
    repository: &str,
    client: &Client,
    progress: &dyn Progress,
) -> Result<(), RegistryError> {
    let config = put_blob(client, repository, EMPTY_TYPE, EMPTY)?;
    let subject = json!({
        "digest": bundle.manifest_digest(), "mediaType": MANIFEST_TYPE, "size": bundle.manifest_bytes().len(),
    });
    let annotations = json!({"org.opencontainers.image.title": bundle.run_config().name});
    let artifact = json!({
        "annotations": annotations,
        "artifactType": artifact_type,
        "config": config,
        "layers": [layer],
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
    let entry = json!({
        "annotations": annotations, "artifactType": artifact_type, "digest": digest, "mediaType": MANIFEST_TYPE,
        "size": bytes.len(),
    });
    let scope = Scope::push(repository);
    let url = fallback(repository, &bundle.manifest_digest());
    let mut manifests = index(client, &scope, url, progress)?.unwrap_or_default();
    if manifests.iter().any(|known| known.get("digest") == entry.get("digest")) {
        return Ok(());
    }
    manifests.push(entry);
    let index = json!({"manifests": manifests, "mediaType": INDEX_TYPE, "schemaVersion": 2}).to_string();
    let tag = bundle.manifest_digest().to_string().replace(':', "-");
    put_manifest(client, repository, &tag, INDEX_TYPE, index.as_bytes(), progress).map(|_| ())
}

/// Adds the signatures of key pairs to those that cosign's tag names already.
fn put_for_cosign(
    bundle: &Bundle,
    signatures: &[Signature],
    repository: &str,
    client: &Client,
    progress: &dyn Progress,
) -> Result<(), RegistryError> {
    let scope = Scope::push(repository);
    let tag = format!("{}.sig", bundle.manifest_digest().to_string().replace(':', "-"));
    let mut layers: Option<Vec<Value>> = None;
    for signature in signatures {
        let Signature::Cosign { payload, signature, .. } = signature else { continue };
        let there = match layers.take() {
            Some(there) => there,
            None => value(client, &scope, format!("/v2/{repository}/manifests/{tag}"), MANIFEST_TYPE, progress)?
                .and_then(|manifest| manifest.get("layers").and_then(Value::as_array).cloned())
                .unwrap_or_default(),
        };
        let blob = put_blob(client, repository, SIMPLE_SIGNING_TYPE, payload.as_bytes())?;
        let mut layer = blob.as_object().cloned().unwrap_or_default();
        layer.insert("annotations".to_owned(), json!({ COSIGN_SIGNATURE: signature }));
        let layer = Value::from(layer);
        let same = |known: &Value| {
            known.get("digest") == layer.get("digest")
                && known.get("annotations").and_then(|a| a.get(COSIGN_SIGNATURE)) == Some(&json!(signature))
        };
        let has_it = there.iter().any(same);
        layers = Some(there.into_iter().chain((!has_it).then_some(layer)).collect());
    }
    let Some(layers) = layers else { return Ok(()) };
    let config = json!({
        "architecture": "", "config": {}, "created": "0001-01-01T00:00:00Z", "os": "",
        "rootfs": {"diff_ids": layers.iter().filter_map(|layer| layer.get("digest").cloned()).collect::<Vec<_>>(), "type": "layers"},
    });
    let config = put_blob(client, repository, CONFIG_TYPE, config.to_string().as_bytes())?;
    let manifest = json!({"config": config, "layers": layers, "mediaType": MANIFEST_TYPE, "schemaVersion": 2});
    put_manifest(client, repository, &tag, MANIFEST_TYPE, manifest.to_string().as_bytes(), progress).map(|_| ())
}
