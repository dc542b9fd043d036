//! Opens a bundle and trusts nothing in it.
//!
//! [`Bundle::open`] reads the documents only: bounded, digests checked, every blob's presence and size compared with
//! what the manifest says. The layers' bytes are proved where they are used ([`super::unpack`], [`super::verify`]).

use std::path::{Path, PathBuf};

use super::{
    Compression, FORMAT,
    access::{Access, Archive},
    config::RunConfig,
    image::{self, Descriptor, ImageConfig, Index, Manifest, Platform},
    json::{self, JsonError},
    signatures,
};
use crate::digest::{DiffId, Digest};
use crate::files::{FileError, display_bytes};
use crate::signature::Signature;
use crate::store::Store;

pub use super::access::Section;

/// More layers than Linux can stack in one overlay.
const MAX_LAYERS: usize = 500;
/// Entries of a layer at most.
const MAX_ENTRIES: u64 = 2_000_000;

/// A bundle cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file or directory could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is something else.
    #[error("`{}` is no bundle: {why}", path.display())]
    NotABundle {
        /// The file.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// The outer archive is damaged.
    #[error("the archive is damaged at byte {offset}: {what}")]
    Archive {
        /// Where.
        offset: u64,
        /// What was found.
        what: String,
    },
    /// A document is damaged or hostile.
    #[error("cannot take {document}")]
    Document {
        /// `index.json`, `the manifest sha256:…`.
        document: String,
        /// Why.
        source: JsonError,
    },
    /// A document says something that we do not accept.
    #[error("{document} {what}")]
    Refused {
        /// `index.json`, `the manifest`.
        document: &'static str,
        /// What it says.
        what: String,
    },
    /// A blob's bytes are not the ones it is named after.
    #[error("blob {expected} ({what}) is damaged: its bytes hash to {found}")]
    Damaged {
        /// `the manifest`, `the config`.
        what: &'static str,
        /// Its name.
        expected: Digest,
        /// Its bytes.
        found: Digest,
    },
    /// A blob is not there, or cut short.
    #[error("blob {digest} ({what}) is {found}")]
    Blob {
        /// What it should be.
        what: String,
        /// Its name.
        digest: Digest,
        /// `missing`, `12 bytes long instead of 13`.
        found: String,
    },
    /// For another processor.
    #[error("the bundle is for {bundle}, this machine is {machine}")]
    Architecture {
        /// As the config says.
        bundle: String,
        /// As this program was built.
        machine: &'static str,
    },
    /// Written by a newer nbpack.
    #[error("the bundle has format {found}; this nbpack reads up to {FORMAT}")]
    Newer {
        /// The bundle's.
        found: String,
    },
    /// The wanted file is not in the session layer.
    #[error("the session layer has no `{}`", display_bytes(path))]
    NoSuchFile {
        /// Path in the image.
        path: Vec<u8>,
    },
    /// The session layer is damaged.
    #[error("cannot read the session layer")]
    Layer(#[from] super::unpack::LayerError),
}

impl ReadError {
    /// Whether the bytes are at fault (`false`: it could not be told, or the bundle is not for this program).
    pub fn is_damage(&self) -> bool {
        match self {
            Self::File(_) | Self::NotABundle { .. } | Self::Architecture { .. } | Self::Newer { .. } => false,
            Self::Layer(error) => error.is_damage(),
            Self::Archive { .. }
            | Self::Document { .. }
            | Self::Refused { .. }
            | Self::Damaged { .. }
            | Self::Blob { .. }
            | Self::NoSuchFile { .. } => true,
        }
    }
}

/// A layer as the documents describe it.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Media type, digest and size of the blob.
    pub descriptor: Descriptor,
    /// Digest of the tar.
    pub diff_id: DiffId,
    /// For a person.
    pub title: String,
    /// Bytes of the tar.
    pub size: u64,
    /// Entries of the tar.
    pub entries: u64,
    pub(super) compression: Compression,
}

/// An open bundle: a file of ours, an OCI archive that another tool made of it, or an OCI layout directory.
#[derive(Debug)]
pub struct Bundle {
    pub(super) access: Access,
    pub(super) manifest: Manifest,
    pub(super) manifest_bytes: Vec<u8>,
    manifest_digest: Digest,
    pub(super) platform: Platform,
    pub(super) config_bytes: Vec<u8>,
    config: ImageConfig,
    run: RunConfig,
    layers: Vec<Layer>,
    pub(super) signatures: Vec<Signature>,
}

impl Bundle {
    /// Opens a bundle that is to run here: one for another architecture is refused.
    ///
    /// Cheap: only the documents are read and proved.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let bundle = Self::open_any(path)?;
        bundle.for_this_machine()
    }

    /// Refuses a bundle for another architecture.
    pub fn for_this_machine(self) -> Result<Self, ReadError> {
        let machine = this_architecture();
        if self.platform.architecture == machine {
            Ok(self)
        } else {
            Err(ReadError::Architecture { bundle: self.platform.architecture, machine })
        }
    }

    /// Opens a bundle for looking at: it may be for another architecture.
    pub fn open_any(path: &Path) -> Result<Self, ReadError> {
        let metadata = std::fs::metadata(path).map_err(FileError::new("read", path))?;
        let access =
            if metadata.is_dir() { Access::Directory(path.to_owned()) } else { Access::Archive(Archive::scan(path)?) };
        let descriptor = read_index(&access, path)?;
        let manifest_bytes = access.document(&descriptor, "the manifest")?;
        let config = parse_manifest(&manifest_bytes)?.config;
        let config_bytes = access.document(&config, "the config")?;
        let bundle = Self::of_documents(access, manifest_bytes, config_bytes)?;
        for layer in &bundle.layers {
            bundle.access.check_blob(&layer.descriptor, &layer.title)?;
        }
        Ok(bundle)
    }

    /// A bundle whose documents are at hand and whose blobs lie in the store, or will when they are asked for.
    pub fn in_store(manifest: Vec<u8>, config: Vec<u8>, store: &Store) -> Result<Self, ReadError> {
        Self::of_documents(Access::Store(store.clone()), manifest, config)
    }

    /// Takes documents apart, and proves that they belong together.
    fn of_documents(access: Access, manifest_bytes: Vec<u8>, config_bytes: Vec<u8>) -> Result<Self, ReadError> {
        let manifest = parse_manifest(&manifest_bytes)?;
        let found = Digest::of(&config_bytes);
        if found != manifest.config.digest {
            return Err(ReadError::Damaged { what: "the config", expected: manifest.config.digest, found });
        }
        let config: ImageConfig = json::parse(&config_bytes).map_err(|source| ReadError::Document {
            document: format!("the config {}", manifest.config.digest),
            source,
        })?;
        let run = read_run(&config)?;
        let layers = read_layers(&manifest, &config)?;
        let platform = Platform { architecture: config.architecture.clone(), os: config.os.clone() };
        let manifest_digest = Digest::of(&manifest_bytes);
        let signatures = signatures::read(&access)?;
        Ok(Self {
            access,
            manifest,
            manifest_bytes,
            manifest_digest,
            platform,
            config_bytes,
            config,
            run,
            layers,
            signatures,
        })
    }

    /// The manifest's digest: what the bundle is called by.
    pub fn manifest_digest(&self) -> Digest {
        self.manifest_digest
    }

    /// The layers, bottom first; the session is the last.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What engines read.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// How to run the kernel, from the config's label: no layer is read.
    pub fn run_config(&self) -> &RunConfig {
        &self.run
    }

    /// The manifest, byte for byte.
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.manifest_bytes
    }

    /// The config, byte for byte.
    pub fn config_bytes(&self) -> &[u8] {
        &self.config_bytes
    }

    /// The config's descriptor in the manifest.
    pub fn config_descriptor(&self) -> &Descriptor {
        &self.manifest.config
    }

    /// The compressed bytes of one layer. They are not proved yet.
    pub fn blob(&self, layer: &Layer) -> Result<Section, ReadError> {
        self.access.blob(&layer.descriptor, &layer.title)
    }
}

/// As OCI spells the architecture this program was built for.
pub fn this_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The config's descriptor in a manifest that nbpack wrote; any other manifest is refused.
pub fn config_of(manifest: &[u8]) -> Result<Descriptor, ReadError> {
    parse_manifest(manifest).map(|manifest| manifest.config)
}

fn parse_manifest(bytes: &[u8]) -> Result<Manifest, ReadError> {
    let manifest: Manifest = json::parse(bytes)
        .map_err(|source| ReadError::Document { document: format!("the manifest {}", Digest::of(bytes)), source })?;
    check_manifest(&manifest)?;
    Ok(manifest)
}

fn read_index(access: &Access, path: &Path) -> Result<Descriptor, ReadError> {
    let missing = |why: &str| ReadError::NotABundle { path: path.to_owned(), why: why.to_owned() };
    let layout = access.named("oci-layout")?.ok_or_else(|| missing("it has no `oci-layout`"))?;
    let in_document = |document: &str| {
        let document = document.to_owned();
        |source| ReadError::Document { document, source }
    };
    let layout: serde_json::Value = json::parse(&layout).map_err(in_document("oci-layout"))?;
    if layout.get("imageLayoutVersion").and_then(serde_json::Value::as_str) != Some("1.0.0") {
        return Err(ReadError::Refused { document: "oci-layout", what: "has another version than 1.0.0".to_owned() });
    }
    let index = access.named("index.json")?.ok_or_else(|| missing("it has no `index.json`"))?;
    let index: Index = json::parse(&index).map_err(in_document("index.json"))?;
    let refuse = |what: String| Err(ReadError::Refused { document: "index.json", what });
    if index.schema_version != 2 {
        return refuse(format!("has schema version {}", index.schema_version));
    }
    let count = index.manifests.len();
    let Ok([descriptor]) = <[Descriptor; 1]>::try_from(index.manifests) else {
        return refuse(format!("names {count} manifests instead of one"));
    };
    if descriptor.media_type != image::MANIFEST_TYPE {
        return refuse(format!("names a {:?} instead of an image manifest", descriptor.media_type));
    }
    check_descriptor("index.json", &descriptor)?;
    Ok(descriptor)
}

/// Applies the rules that hold for every descriptor.
fn check_descriptor(document: &'static str, descriptor: &Descriptor) -> Result<(), ReadError> {
    let refuse = |what: String| Err(ReadError::Refused { document, what });
    if !descriptor.urls.is_empty() {
        return refuse(format!("wants blob {} fetched from elsewhere", descriptor.digest));
    }
    // 2^53: beyond it, JSON numbers are not the same for everybody.
    if descriptor.size == 0 || descriptor.size > 1 << 53 {
        return refuse(format!("gives blob {} a size of {} bytes", descriptor.digest, descriptor.size));
    }
    Ok(())
}

fn check_manifest(manifest: &Manifest) -> Result<(), ReadError> {
    let refuse = |what: String| Err(ReadError::Refused { document: "the manifest", what });
    if manifest.schema_version != 2 {
        return refuse(format!("has schema version {}", manifest.schema_version));
    }
    if manifest.media_type.as_deref().is_some_and(|media_type| media_type != image::MANIFEST_TYPE) {
        return refuse(format!("says it is {:?}", manifest.media_type.as_deref().unwrap_or_default()));
    }
    match manifest.annotations.get(image::FORMAT_KEY).map(String::as_str) {
        Some(FORMAT) => {}
        Some(found) => return Err(ReadError::Newer { found: found.chars().take(20).collect() }),
        None => return refuse("has no `dev.nbpack.format`: this image was not written by nbpack".to_owned()),
    }
    check_descriptor("the manifest", &manifest.config)?;
    if manifest.config.media_type != image::CONFIG_TYPE {
        return refuse(format!("has a config of type {:?}", manifest.config.media_type));
    }
    if manifest.layers.is_empty() || manifest.layers.len() > MAX_LAYERS {
        return refuse(format!("has {} layers; 1 to {MAX_LAYERS} can be stacked", manifest.layers.len()));
    }
    manifest.layers.iter().try_for_each(|layer| check_descriptor("the manifest", layer))
}

fn read_layers(manifest: &Manifest, config: &ImageConfig) -> Result<Vec<Layer>, ReadError> {
    let diff_ids = &config.rootfs.diff_ids;
    if config.rootfs.kind != "layers" || diff_ids.len() != manifest.layers.len() {
        let what = format!("has {} diff_ids for {} layers", diff_ids.len(), manifest.layers.len());
        return Err(ReadError::Refused { document: "the config", what });
    }
    let mut layers = Vec::new();
    for (descriptor, diff_id) in manifest.layers.iter().zip(diff_ids) {
        let refuse = |what: String| ReadError::Refused { document: "the manifest", what };
        let compression = Compression::of_media_type(&descriptor.media_type)
            .ok_or_else(|| refuse(format!("has a layer of type {:?}", descriptor.media_type)))?;
        let number = |key: &str| {
            let text = descriptor.annotations.get(key);
            text.and_then(|text| text.parse::<u64>().ok())
                .ok_or_else(|| refuse(format!("does not say `{key}` of layer {}", descriptor.digest)))
        };
        let (size, entries) = (number(image::LAYER_SIZE)?, number(image::LAYER_ENTRIES)?);
        if entries > MAX_ENTRIES || size > 1 << 53 {
            let what = format!("gives layer {} {entries} entries and {size} bytes", descriptor.digest);
            return Err(refuse(what));
        }
        let title = descriptor.annotations.get(image::LAYER_TITLE).cloned().unwrap_or_default();
        let title = if title.is_empty() { descriptor.digest.to_string() } else { title };
        if title.chars().any(char::is_control) {
            return Err(refuse(format!("has a control character in the title of layer {}", descriptor.digest)));
        }
        layers.push(Layer { descriptor: descriptor.clone(), diff_id: *diff_id, title, size, entries, compression });
    }
    Ok(layers)
}

/// Takes the run configuration from its label.
fn read_run(config: &ImageConfig) -> Result<RunConfig, ReadError> {
    let refuse = |what: String| Err(ReadError::Refused { document: "the config", what });
    let labels = &config.config.labels;
    let Some(text) = labels.get(image::RUN_LABEL) else {
        return refuse(format!("has no label `{}`", image::RUN_LABEL));
    };
    let digest = Digest::of(text.as_bytes());
    if labels.get(image::RUN_DIGEST_LABEL) != Some(&digest.to_string()) {
        return refuse(format!("has a label `{}` that hashes to {digest}, not as it says", image::RUN_LABEL));
    }
    let run: RunConfig = json::parse(text.as_bytes())
        .map_err(|source| ReadError::Document { document: "the run configuration".to_owned(), source })?;
    if config.os != "linux" || config.architecture != run.architecture {
        return refuse(format!(
            "is for {}/{}, its run configuration for {}",
            config.os, config.architecture, run.architecture
        ));
    }
    match refuse_run(&run) {
        Some(what) => refuse(format!("has a run configuration with {what}")),
        None => Ok(run),
    }
}

/// What in a run configuration must not reach a shell, a path or a terminal: no bundle is written or read with it.
pub(super) fn refuse_run(run: &RunConfig) -> Option<String> {
    let shown = |text: &str| display_bytes(text.as_bytes()).to_string();
    let word = |text: &str, more: &str| {
        text.len() <= 255
            && !text.starts_with(['.', '-'])
            && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-') || more.contains(c))
    };
    let line = |text: &str| text.len() <= 4096 && !text.chars().any(char::is_control);
    let place = |path: &Path| {
        path.is_absolute()
            && line(&path.to_string_lossy())
            && !path.components().any(|part| part == std::path::Component::ParentDir)
    };
    // Users of directory services are called `DOMAIN\\ann` or `ann@example.org`.
    let names = [
        ("name", &run.name, word(&run.name, "") && !run.name.is_empty()),
        ("user", &run.user, word(&run.user, "@+$\\ ")),
    ];
    let lines =
        [&run.kernel, &run.display_name, &run.language, &run.host, &run.interrupt_mode, &run.coverage, &run.session];
    if let Some((what, value, _)) = names.into_iter().find(|(.., good)| !good) {
        return Some(format!("the {what} `{}`", shown(value)));
    }
    if let Some(value) = lines.into_iter().find(|value| !line(value)) {
        return Some(format!("a control character in `{}`", shown(value)));
    }
    if run.kernel.contains('/') || run.host.contains('/') {
        return Some(format!("a slash in `{}` or `{}`", shown(&run.kernel), shown(&run.host)));
    }
    let mut places = vec![run.cwd.as_path(), run.home.as_path()];
    places.extend(run.notebook.as_deref());
    places.extend(run.renamed.iter().map(std::path::PathBuf::as_path));
    for root in &run.roots {
        places.extend([root.prefix.as_path(), root.canonical.as_path()]);
        if !root.canonical.starts_with("/opt/nbpack/env") {
            return Some(format!("an environment at `{}`", root.canonical.display()));
        }
    }
    if let Some(path) = places.into_iter().find(|path| !place(path)) {
        return Some(format!("the path `{}`", shown(&path.to_string_lossy())));
    }
    if let Some(key) = run.env.keys().find(|key| key.is_empty() || key.contains(['=', '\0'])) {
        return Some(format!("the variable `{}`", shown(key)));
    }
    let texts = run.env.values().chain(&run.argv).chain(&run.command);
    texts.into_iter().find(|text| text.contains('\0')).map(|text| format!("a NUL byte in `{}`", shown(text)))
}
