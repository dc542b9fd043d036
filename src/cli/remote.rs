//! What the verbs that meet a registry have in common.

use std::path::PathBuf;

use super::{Context, failure::Failure, progress::Progress};
use crate::{
    bundle::read::{Bundle, Layer},
    event, files,
    registry::{self, Client, Places, Pulled, Reference, RegistryError, Settings},
    restore::{self, model::Restored},
    signature::Signature,
    store::Store,
};

/// The image that a word names, if it is none of this machine's files: `oci://…`, or a host and a repository.
pub(super) fn named(word: &str, context: &Context) -> anyhow::Result<Option<Reference>> {
    let has_scheme = word.contains("://");
    if !Reference::is_meant_by(word) || (!has_scheme && context.cwd.join(word).exists()) {
        return Ok(None);
    }
    Ok(Some(word.parse()?))
}

/// A name in a registry, where nothing else can be meant.
pub(super) fn parse(word: &str) -> anyhow::Result<Reference> {
    if !word.contains('/') {
        return Err(Failure::unable(format!("`{word}` names no registry"))
            .hint("REGISTRY/REPOSITORY:TAG, for example registry.example/ann/analysis:v1")
            .into());
    }
    Ok(word.parse()?)
}

/// What a verb that *writes* means: a file whose directory exists is a file.
pub(super) fn named_output(word: &str, context: &Context) -> anyhow::Result<Option<Reference>> {
    if !word.contains("://") && files::parent(&context.cwd.join(word)).is_dir() {
        return Ok(None);
    }
    named(word, context)
}

/// What the environment says about registries.
pub(super) fn settings(reference: &Reference, insecure: bool, context: &Context) -> Settings {
    let allowed = context.var("NBPACK_INSECURE_REGISTRIES").unwrap_or_default();
    let mut places = Vec::new();
    let var = |name: &str| context.var(name).filter(|value| !value.is_empty());
    if let Some(file) = var("REGISTRY_AUTH_FILE") {
        places.push(PathBuf::from(file));
    } else {
        places.extend(var("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("containers/auth.json")));
        places.push(config_home(context).join("containers/auth.json"));
        let docker = var("DOCKER_CONFIG").map_or_else(|| context.home.join(".docker"), PathBuf::from);
        places.push(docker.join("config.json"));
    }
    Settings {
        places: Places { files: places },
        certificate_dirs: vec![
            PathBuf::from("/etc/docker/certs.d"),
            PathBuf::from("/etc/containers/certs.d"),
            config_home(context).join("containers/certs.d"),
        ],
        insecure: insecure || allowed.split(',').any(|host| host.trim() == reference.host),
        ..web_settings(context)
    }
}

fn config_home(context: &Context) -> PathBuf {
    let set = context.var("XDG_CONFIG_HOME").filter(|value| !value.is_empty());
    set.map_or_else(|| context.home.join(".config"), PathBuf::from)
}

/// The user's proxies and certificates, for servers that are no registries too.
pub(super) fn web_settings(context: &Context) -> Settings {
    let var = |name: &str| context.var(name).filter(|value| !value.is_empty());
    let either = |upper: &str, lower: &str| var(lower).or_else(|| var(upper)).map(str::to_owned);
    let all_proxy = either("ALL_PROXY", "all_proxy");
    Settings {
        certificates: var("SSL_CERT_FILE").into_iter().chain(var("SSL_CERT_DIR")).map(PathBuf::from).collect(),
        https_proxy: either("HTTPS_PROXY", "https_proxy").or_else(|| all_proxy.clone()),
        http_proxy: either("HTTP_PROXY", "http_proxy").or(all_proxy),
        no_proxy: either("NO_PROXY", "no_proxy"),
        ..Settings::default()
    }
}

pub(super) fn connect(reference: &Reference, insecure: bool, context: &Context) -> anyhow::Result<Client> {
    Client::connect(reference, &settings(reference, insecure, context)).map_err(explain)
}

/// An image of a registry whose documents are here.
pub(super) struct Remote {
    pub(super) reference: Reference,
    client: Client,
    pub(super) bundle: Bundle,
    progress: Progress,
}

impl Remote {
    /// Fetches the documents.
    pub(super) fn open(reference: Reference, insecure: bool, store: &Store, context: &Context) -> anyhow::Result<Self> {
        let progress = Progress::new(context.fancy);
        progress.stage(&format!("asking {}", reference.host));
        let client = connect(&reference, insecure, context)?;
        let bundle = registry::open(&reference, &client, store, &()).map_err(explain)?;
        Ok(Self { reference, client, bundle, progress })
    }

    /// Fetches the blobs of some layers.
    pub(super) fn fetch(&self, store: &Store, wanted: &dyn Fn(&Layer) -> bool) -> anyhow::Result<Pulled> {
        let total = self.bundle.layers().iter().filter(|layer| wanted(layer)).map(|layer| layer.descriptor.size).sum();
        let bar = self.progress.packing(total);
        let pulled = registry::fetch(&self.bundle, wanted, &self.reference, &self.client, store, &bar);
        self.progress.clear();
        pulled.map_err(explain)
    }

    /// Fetches the signatures that stand beside the image: from now on the bundle has them.
    pub(super) fn fetch_signatures(&mut self) -> anyhow::Result<()> {
        let found = registry::signatures(&self.bundle, &self.reference, &self.client, &()).map_err(explain)?;
        self.bundle.set_signatures(found);
        Ok(())
    }

    /// Puts a signature beside the image.
    pub(super) fn put_signature(&self, signature: &Signature) -> anyhow::Result<()> {
        let one = std::slice::from_ref(signature);
        registry::put_signatures(&self.bundle, one, &self.reference, &self.client, &()).map_err(explain)
    }

    /// Fetches the session layer only.
    pub(super) fn fetch_record(&self, store: &Store) -> anyhow::Result<Pulled> {
        let last = self.bundle.layers().last().map(|layer| layer.diff_id);
        self.fetch(store, &|layer| Some(layer.diff_id) == last)
    }
}

/// Restores an image: only layers that are not unpacked here yet move.
pub(super) fn restore(
    reference: Reference,
    name: Option<&str>,
    insecure: bool,
    context: &Context,
) -> anyhow::Result<Restored> {
    let store = context.store()?;
    unpack(Remote::open(reference, insecure, &store, context)?, name, &store, context)
}

/// Restores an image whose documents are here.
pub(super) fn unpack(
    mut remote: Remote,
    name: Option<&str>,
    store: &Store,
    context: &Context,
) -> anyhow::Result<Restored> {
    let word = remote.reference.to_string();
    let image = |source| RegistryError::Image { name: word.clone(), source: Box::new(source) };
    remote.bundle = remote.bundle.for_this_machine().map_err(image).map_err(explain)?;
    let pulled = remote.fetch(store, &|layer| !restore::has_layer(store, &layer.diff_id))?;
    let bar = super::restored::Bar::new(context);
    let found = restore::ensure(&remote.bundle, store, name, event::now(), &bar);
    bar.clear();
    registry::forget(store, &pulled.blobs);
    found.map_err(|error| super::restored::explain(error, &word))
}

/// A registry's error with its hint.
pub(super) fn explain(error: RegistryError) -> anyhow::Error {
    let (message, hint) = match &error {
        RegistryError::Denied { host, .. } => {
            ("the registry refused", format!("log in first: `podman login {host}` or `docker login {host}`"))
        }
        RegistryError::Insecure { host } => (
            "the registry cannot be used safely",
            format!("if you trust the network, use --insecure or NBPACK_INSECURE_REGISTRIES={host}"),
        ),
        RegistryError::NotFound { .. } => (
            "there is no such image",
            "look at its name and tag: REGISTRY/REPOSITORY:TAG, as `nbpack push` took it".to_owned(),
        ),
        RegistryError::Unreachable { .. } | RegistryError::Busy { .. } | RegistryError::Later { .. } => (
            "the registry cannot be reached now",
            "try again later: what moved already is kept where the registry or the store can keep it".to_owned(),
        ),
        RegistryError::Image { source, .. } if !source.is_damage() => ("this image cannot be used", String::new()),
        RegistryError::Image { .. } => ("this image is no bundle", "`nbpack push` makes one".to_owned()),
        _ => ("the registry could not be used", String::new()),
    };
    let failure = Failure::unable(message);
    let failure = if hint.is_empty() { failure } else { failure.hint(hint) };
    anyhow::Error::from(error).context(failure)
}
