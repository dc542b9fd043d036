//! Opens a bundle and trusts nothing in it.
//!
//! [`Bundle::open`] reads the documents only: bounded, digests checked, every blob's presence and size compared with
//! what the manifest says. The layers' bytes are proved where they are used ([`super::unpack`], [`super::verify`]).

use std::{
    collections::{BTreeMap, btree_map},
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Compression, FORMAT,
    config::RunConfig,
    image::{self, Descriptor, ImageConfig, Index, Manifest, Platform},
    json::{self, JsonError},
    tar::{BLOCK, RawHeader, padding, parse_pax},
};
use crate::{
    digest::{DiffId, Digest},
    files::{self, FileError, display_bytes},
};

/// More layers than Linux can stack in one overlay.
const MAX_LAYERS: usize = 500;
/// Members of the outer archive at most.
const MAX_MEMBERS: usize = 2000;
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
    config: ImageConfig,
    run: RunConfig,
    layers: Vec<Layer>,
}

/// Where the blobs are.
#[derive(Debug)]
pub(super) enum Access {
    Archive(Archive),
    Directory(PathBuf),
}

/// The outer tar, its members found by their headers.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    pub(super) length: u64,
    /// Place and size of each member's data, by name.
    members: BTreeMap<Vec<u8>, (u64, u64)>,
    first: Vec<u8>,
}

/// Some bytes of a shared file.
#[derive(Debug)]
pub(super) struct Section {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

impl Bundle {
    /// Opens a bundle that is to run here: one for another architecture is refused.
    ///
    /// Cheap: only the documents are read and proved.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let bundle = Self::open_any(path)?;
        let machine = this_architecture();
        if bundle.platform.architecture != machine {
            return Err(ReadError::Architecture { bundle: bundle.platform.architecture, machine });
        }
        Ok(bundle)
    }

    /// Opens a bundle for looking at: it may be for another architecture.
    pub fn open_any(path: &Path) -> Result<Self, ReadError> {
        let metadata = std::fs::metadata(path).map_err(FileError::new("read", path))?;
        let access =
            if metadata.is_dir() { Access::Directory(path.to_owned()) } else { Access::Archive(Archive::scan(path)?) };
        let manifest_descriptor = read_index(&access, path)?;
        let manifest_bytes = access.document(&manifest_descriptor, "the manifest")?;
        let manifest: Manifest = json::parse(&manifest_bytes).map_err(|source| ReadError::Document {
            document: format!("the manifest {}", manifest_descriptor.digest),
            source,
        })?;
        check_manifest(&manifest)?;
        let config_bytes = access.document(&manifest.config, "the config")?;
        let config: ImageConfig = json::parse(&config_bytes).map_err(|source| ReadError::Document {
            document: format!("the config {}", manifest.config.digest),
            source,
        })?;
        let run = read_run(&config)?;
        let layers = read_layers(&manifest, &config)?;
        for layer in &layers {
            access.check_blob(&layer.descriptor, &layer.title)?;
        }
        let platform = Platform { architecture: config.architecture.clone(), os: config.os.clone() };
        let manifest_digest = manifest_descriptor.digest;
        Ok(Self { access, manifest, manifest_bytes, manifest_digest, platform, config, run, layers })
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

    /// The compressed bytes of one layer.
    pub(super) fn blob(&self, layer: &Layer) -> Result<Section, ReadError> {
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

/// Takes the run configuration from its label and refuses what must not reach a shell, a path or a terminal.
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

fn refuse_run(run: &RunConfig) -> Option<String> {
    let shown = |text: &str| display_bytes(text.as_bytes()).to_string();
    let word = |text: &str| {
        !text.is_empty()
            && text.len() <= 255
            && !text.starts_with(['.', '-'])
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let line = |text: &str| text.len() <= 4096 && !text.chars().any(char::is_control);
    let place = |path: &Path| {
        path.is_absolute()
            && line(&path.to_string_lossy())
            && !path.components().any(|part| part == std::path::Component::ParentDir)
    };
    let names = [("name", &run.name, word(&run.name)), ("user", &run.user, word(&run.user))];
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

impl Access {
    /// A small file beside the blobs; `None` when it is not there.
    pub(super) fn named(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        match self {
            Self::Directory(dir) => match files::read_bounded(&dir.join(name), json::MAX_SIZE) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error.into()),
            },
            Self::Archive(archive) => match archive.members.get(name.as_bytes()) {
                None => Ok(None),
                Some((_, size)) if *size > json::MAX_SIZE => {
                    Err(ReadError::Document { document: name.to_owned(), source: JsonError::TooLong { size: *size } })
                }
                Some((at, size)) => Ok(Some(archive.bytes(*at, *size)?)),
            },
        }
    }

    /// Checks that a blob is there and as long as its descriptor says.
    fn check_blob(&self, descriptor: &Descriptor, what: &str) -> Result<(), ReadError> {
        self.blob(descriptor, what).map(|_| ())
    }

    fn blob(&self, descriptor: &Descriptor, what: &str) -> Result<Section, ReadError> {
        let wrong = |found: String| ReadError::Blob { what: what.to_owned(), digest: descriptor.digest, found };
        let name = image::blob_name(&descriptor.digest);
        let (file, at, size) = match self {
            Self::Archive(archive) => {
                let (at, size) = *archive.members.get(name.as_bytes()).ok_or_else(|| wrong("missing".to_owned()))?;
                (archive.file.clone(), at, size)
            }
            Self::Directory(dir) => {
                let path = dir.join(name);
                let file = match files::open(&path) {
                    Ok(file) => file,
                    Err(error) if error.is_not_found() => return Err(wrong("missing".to_owned())),
                    Err(error) => return Err(error.into()),
                };
                let metadata = file.metadata().map_err(FileError::new("read", &path))?;
                if !metadata.is_file() {
                    return Err(wrong("no regular file".to_owned()));
                }
                (Arc::new(file), 0, metadata.len())
            }
        };
        if size != descriptor.size {
            return Err(wrong(format!("{size} bytes long instead of {}", descriptor.size)));
        }
        Ok(Section { file, at, left: size })
    }

    /// Reads a document whole and proves its digest.
    fn document(&self, descriptor: &Descriptor, what: &'static str) -> Result<Vec<u8>, ReadError> {
        if descriptor.size > json::MAX_SIZE {
            let source = JsonError::TooLong { size: descriptor.size };
            return Err(ReadError::Document { document: format!("{what} {}", descriptor.digest), source });
        }
        let mut bytes = Vec::new();
        let mut section = self.blob(descriptor, what)?;
        section.read_to_end(&mut bytes).map_err(FileError::new("read", self.path()))?;
        let found = Digest::of(&bytes);
        if found != descriptor.digest {
            return Err(ReadError::Damaged { what, expected: descriptor.digest, found });
        }
        Ok(bytes)
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Archive(archive) => &archive.path,
            Self::Directory(dir) => dir,
        }
    }
}

impl Archive {
    /// Finds the members by their headers. Lenient about what other tools write differently (modes, times, pax
    /// headers), strict about what could be read in two ways.
    fn scan(path: &Path) -> Result<Self, ReadError> {
        let file = Arc::new(files::open(path)?);
        let length = file.metadata().map_err(FileError::new("read", path))?.len();
        let mut archive = Self { file, path: path.to_owned(), length, members: BTreeMap::new(), first: Vec::new() };
        let mut at = 0;
        let mut pax: Option<(Option<Vec<u8>>, Option<u64>)> = None;
        loop {
            let damaged = |what: String| ReadError::Archive { offset: at, what };
            if length - at < BLOCK as u64 {
                if at == 0 {
                    let why = format!("it has only {length} bytes");
                    return Err(ReadError::NotABundle { path: path.to_owned(), why });
                }
                return Err(damaged("the file ends before the archive does".to_owned()));
            }
            let block = archive.bytes(at, BLOCK as u64)?;
            let block: &[u8; BLOCK] = block.first_chunk().ok_or_else(|| damaged("the file shrank".to_owned()))?;
            if *block == [0; BLOCK] {
                return Ok(archive);
            }
            let header = match RawHeader::parse(block) {
                Ok(header) => header,
                Err(what) if at == 0 && block.get(257..262) != Some(b"ustar") => {
                    let why = format!("it is no tar archive (its first header has {what})");
                    return Err(ReadError::NotABundle { path: path.to_owned(), why });
                }
                Err(what) => return Err(damaged(format!("a header has {what}"))),
            };
            let (pax_path, pax_size) = pax.take().unwrap_or_default();
            let size = pax_size.unwrap_or(header.size);
            let data = at + BLOCK as u64;
            let mut name = pax_path.unwrap_or(header.name);
            if size.saturating_add(padding(size) as u64) > length - data {
                let what = format!("the file ends inside `{}` ({size} bytes)", display_bytes(&name));
                return Err(damaged(what));
            }
            match header.kind {
                b'0' | 0 => {
                    if let Some(rest) = name.strip_prefix(b"./") {
                        name = rest.to_vec();
                    }
                    if archive.first.is_empty() {
                        archive.first.clone_from(&name);
                    }
                    if archive.members.len() >= MAX_MEMBERS {
                        return Err(damaged(format!("more than {MAX_MEMBERS} members")));
                    }
                    match archive.members.entry(name) {
                        btree_map::Entry::Vacant(slot) => slot.insert((data, size)),
                        btree_map::Entry::Occupied(slot) => {
                            return Err(damaged(format!("`{}` is there twice", display_bytes(slot.key()))));
                        }
                    };
                }
                b'5' => {}
                b'x' if size <= 64 << 10 => pax = Some(outer_pax(&archive.bytes(data, size)?).map_err(damaged)?),
                kind => {
                    let kind = char::from(kind).escape_default();
                    return Err(damaged(format!("member `{}` has type {kind}", display_bytes(&name))));
                }
            }
            at = data + size + padding(size) as u64;
        }
    }

    pub(super) fn bytes(&self, at: u64, size: u64) -> Result<Vec<u8>, FileError> {
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, at).map_err(FileError::new("read", &self.path))?;
        Ok(bytes)
    }

    /// Whether this archive claims to be as nbpack writes it, so that every byte must follow from the documents.
    ///
    /// Other tools put the blobs first and drop `manifest.json`; one damaged byte cannot undo both marks and the size.
    pub(super) fn claims_to_be_ours(&self, expected_length: u64) -> bool {
        self.first == b"oci-layout"
            || self.members.contains_key(&b"manifest.json"[..])
            || self.length == expected_length
    }
}

fn outer_pax(bytes: &[u8]) -> Result<(Option<Vec<u8>>, Option<u64>), String> {
    let mut found = (None, None);
    for (key, value) in parse_pax(bytes).ok_or("a malformed pax header")? {
        match key.as_slice() {
            b"path" => found.0 = Some(value),
            b"size" => {
                let size = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
                found.1 = Some(size.ok_or("a pax header with a malformed size")?);
            }
            _ => {}
        }
    }
    Ok(found)
}
