//! The JSON documents of an image and the tar around them, as functions of what they say.
//!
//! `index.json`, `manifest.json`, `oci-layout` and the outer headers follow from manifest and config, so a reader can
//! derive them again and compare every byte that no digest covers.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Compression, FORMAT,
    config::{PROGRAM, RunConfig},
    json,
    tar::{self, Body},
};
use crate::digest::{DiffId, Digest};

/// The time that every document carries: the clamp constant.
const CREATED: &str = "1980-01-02T00:00:00Z";

/// Media type of an image manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an image's configuration.
pub const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of an image index.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// The run configuration as JSON, in a label of the config.
pub(super) const RUN_LABEL: &str = "dev.nbpack.run";
/// Its digest, in a label of the config.
pub(super) const RUN_DIGEST_LABEL: &str = "dev.nbpack.run.digest";
/// The session layer's diff_id, in a label of the config and an annotation of the manifest.
pub(super) const RECORD: &str = "dev.nbpack.record";
/// The format's version, in both.
pub(super) const FORMAT_KEY: &str = "dev.nbpack.format";
/// What made the blobs, in an annotation of the manifest.
pub(super) const ENCODER: &str = "dev.nbpack.encoder";
/// A layer's title, bytes of tar and number of entries, in annotations of its descriptor.
pub(super) const LAYER_TITLE: &str = "dev.nbpack.layer.title";
pub(super) const LAYER_SIZE: &str = "dev.nbpack.layer.size";
pub(super) const LAYER_ENTRIES: &str = "dev.nbpack.layer.entries";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// OCI descriptor (image-spec, "Descriptor").
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the content.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Never followed: a descriptor that has any is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// In an index: what it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// What an image runs on (image-spec, "Image Index").
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
}

/// OCI image manifest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) schema_version: u32,
    #[serde(default)]
    pub(super) media_type: Option<String>,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
}

/// OCI image index.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    pub(super) schema_version: u32,
    pub(super) manifests: Vec<Descriptor>,
}

/// The parts of an OCI image config that are read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// How an engine runs it.
    pub config: ExecutionConfig,
    /// The layers.
    pub rootfs: RootFs,
}

/// How an engine runs the image (image-spec, "Image Configuration").
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecutionConfig {
    /// `<uid>:0`.
    #[serde(default)]
    pub user: String,
    /// `KEY=VALUE`.
    #[serde(default)]
    pub env: Vec<String>,
    /// The program.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Its default arguments.
    #[serde(default)]
    pub cmd: Vec<String>,
    /// The working directory.
    #[serde(default)]
    pub working_dir: String,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// The layers' uncompressed digests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bottom first.
    pub diff_ids: Vec<DiffId>,
}

/// A layer as the documents mention it.
#[derive(Clone, Debug)]
pub(super) struct LayerFacts {
    pub(super) title: String,
    pub(super) diff_id: DiffId,
    pub(super) size: u64,
    pub(super) entries: u64,
    pub(super) blob: Digest,
    pub(super) blob_size: u64,
}

/// The config's bytes. They do not depend on the compression.
pub(super) fn config(run: &RunConfig, layers: &[LayerFacts]) -> Result<Vec<u8>, serde_json::Error> {
    let run_json = json::encode(&serde_json::to_value(run)?);
    let command = if run.command.is_empty() { vec!["lab".to_owned()] } else { run.command.clone() };
    let record = layers.last().map(|layer| layer.diff_id.to_string()).unwrap_or_default();
    let history: Vec<Value> = layers
        .iter()
        .map(|layer| json!({"created": CREATED, "created_by": format!("nbpack: {}", layer.title)}))
        .collect();
    Ok(json::encode(&json!({
        "architecture": run.architecture,
        "config": {
            "Cmd": command,
            "Entrypoint": [PROGRAM],
            "Env": run.env.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(),
            "ExposedPorts": {"8050/tcp": {}, "8888/tcp": {}},
            "Labels": {
                FORMAT_KEY: FORMAT,
                RECORD: record,
                RUN_LABEL: String::from_utf8_lossy(&run_json),
                RUN_DIGEST_LABEL: Digest::of(&run_json),
                "org.opencontainers.image.title": run.name,
            },
            "User": format!("{}:0", run.uid),
            "WorkingDir": run.cwd.to_string_lossy(),
        },
        "created": CREATED,
        "history": history,
        "os": "linux",
        "rootfs": {"diff_ids": layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>(), "type": "layers"},
    })))
}

/// The manifest's bytes.
pub(super) fn manifest(run: &RunConfig, config: &[u8], layers: &[LayerFacts], compression: Compression) -> Vec<u8> {
    let image = image_name(&run.name);
    let record = layers.last().map(|layer| layer.diff_id.to_string()).unwrap_or_default();
    let descriptors: Vec<Value> = layers
        .iter()
        .map(|layer| {
            json!({
                "annotations": {
                    LAYER_ENTRIES: layer.entries.to_string(),
                    LAYER_SIZE: layer.size.to_string(),
                    LAYER_TITLE: layer.title,
                },
                "digest": layer.blob,
                "mediaType": compression.media_type(),
                "size": layer.blob_size,
            })
        })
        .collect();
    json::encode(&json!({
        "annotations": {
            ENCODER: compression.encoder_id(),
            FORMAT_KEY: FORMAT,
            RECORD: record,
            CONTAINERD_NAME: format!("docker.io/library/{image}:latest"),
            REF_NAME: "latest",
            "org.opencontainers.image.created": CREATED,
            "org.opencontainers.image.title": run.name,
        },
        "config": {"digest": Digest::of(config), "mediaType": CONFIG_TYPE, "size": config.len()},
        "layers": descriptors,
        "mediaType": MANIFEST_TYPE,
        "schemaVersion": 2,
    }))
}

/// A repository name that Docker takes: lower-case words with single separators between them.
pub fn image_name(name: &str) -> String {
    let words: Vec<String> = name
        .to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    if words.is_empty() { "notebook".to_owned() } else { words.join("-") }
}

/// A member of the outer archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Member {
    Directory(&'static str),
    Inline(&'static str, Vec<u8>),
    Blob(Digest, u64),
}

impl Member {
    /// Its header in the outer archive.
    pub(super) fn header(&self) -> Vec<u8> {
        let (path, body, mode) = match self {
            Self::Directory(path) => ((*path).to_owned(), Body::Directory, 0o755),
            Self::Inline(path, bytes) => ((*path).to_owned(), Body::File { size: bytes.len() as u64 }, 0o644),
            Self::Blob(digest, size) => (blob_name(digest), Body::File { size: *size }, 0o644),
        };
        let entry = tar::Entry { path: path.into_bytes(), body, mode, mtime: super::CLAMP };
        // ASCII and short: always encodable.
        tar::encode(&entry).unwrap_or_default()
    }

    /// Bytes of data.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Directory(_) => 0,
            Self::Inline(_, bytes) => bytes.len() as u64,
            Self::Blob(_, size) => *size,
        }
    }
}

/// The blob's name in a layout.
pub(super) fn blob_name(digest: &Digest) -> String {
    let mut name = String::from("blobs/sha256/");
    write!(name, "{}", digest.hex()).unwrap_or_default();
    name
}

/// Everything in the outer archive, in order; only the blobs' bytes come from elsewhere.
pub(super) fn members(manifest: &Manifest, manifest_bytes: &[u8], platform: &Platform) -> Vec<Member> {
    let annotation = |key: &str| manifest.annotations.get(key).cloned().unwrap_or_default();
    let manifest_digest = Digest::of(manifest_bytes);
    let index = json::encode(&json!({
        "manifests": [{
            "annotations": {CONTAINERD_NAME: annotation(CONTAINERD_NAME), REF_NAME: annotation(REF_NAME)},
            "digest": manifest_digest,
            "mediaType": MANIFEST_TYPE,
            "platform": platform,
            "size": manifest_bytes.len(),
        }],
        "mediaType": INDEX_TYPE,
        "schemaVersion": 2,
    }));
    let tag = annotation(CONTAINERD_NAME);
    let docker = json::encode(&json!([{
        "Config": blob_name(&manifest.config.digest),
        "Layers": manifest.layers.iter().map(|layer| blob_name(&layer.digest)).collect::<Vec<_>>(),
        "RepoTags": [tag.strip_prefix("docker.io/library/").unwrap_or(&tag)],
    }]));
    let mut members = vec![
        Member::Inline("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        Member::Inline("index.json", index),
        Member::Inline("manifest.json", docker),
        Member::Directory("blobs"),
        Member::Directory("blobs/sha256"),
        Member::Blob(manifest.config.digest, manifest.config.size),
        Member::Blob(manifest_digest, manifest_bytes.len() as u64),
    ];
    for layer in &manifest.layers {
        let blob = Member::Blob(layer.digest, layer.size);
        // Equal layers are one blob.
        if !members.contains(&blob) {
            members.push(blob);
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notebook_gets_a_name_that_docker_takes() {
        for (name, expected) in [
            ("analysis", "analysis"),
            ("2024_06-sales.v2", "2024-06-sales-v2"),
            ("--x__", "x"),
            ("...", "notebook"),
            ("Ünïcode", "n-code"),
        ] {
            assert_eq!(image_name(name), expected);
        }
    }
}
