//! Finds what `diff`, `why`, `report` and `replay` are about: a session, a notebook, a bundle, a restored name.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{
    Context,
    failure::Failure,
    progress::Progress,
    remote::{self, Remote},
};
use crate::{
    bundle::{config, read::Bundle},
    digest::Digest,
    files,
    inventory::model::Component,
    replay::{Rules, compare::Subject, file},
    restore::model::Restored,
    session,
    store::Store,
};

/// A list in the session layer is at most this long.
const LONGEST_LIST: u64 = 256 << 20;

/// Reads the recording that a word on the command line names.
///
/// In this order: a bundle (file, OCI layout directory, name in a registry), a notebook (its last session, else the file's own outputs), the
/// name of a restored bundle, the beginning of a session's name, `latest`.
pub(super) fn load(context: &Context, word: &str) -> anyhow::Result<Subject> {
    let progress = Progress::new(context.fancy);
    progress.stage(&format!("reading {word}"));
    let subject = read(context, word);
    progress.clear();
    subject
}

fn read(context: &Context, word: &str) -> anyhow::Result<Subject> {
    let path = context.cwd.join(word);
    if path.extension().is_some_and(|extension| extension == "ipynb") && path.is_file() {
        return notebook(context, word, &path);
    }
    let store = context.store()?;
    if path.is_file() || path.join("oci-layout").is_file() {
        let unusable = || {
            Failure::unable(format!("cannot use the bundle `{word}`")).hint(format!("`nbpack verify {word}` says more"))
        };
        return bundle(&store, word, &Bundle::open_any(&path).with_context(unusable)?);
    }
    if let Some(reference) = remote::named(word, context)? {
        let remote = Remote::open(reference, false, &store, context)?;
        remote.fetch_record(&store)?;
        return bundle(&store, word, &remote.bundle);
    }
    if let Some(restored) = restored(&store, word)? {
        return of_restored(&store, &restored);
    }
    let selector = match word {
        "latest" => session::Selector::Latest,
        prefix => session::Selector::Id(prefix.to_owned()),
    };
    let id = session::find(&store, &selector).map_err(|error| {
        anyhow::Error::from(error).context(
            Failure::unable(format!("`{word}` is no file, restored name or session"))
                .hint("`nbpack sessions` lists what was recorded, `nbpack ls` what was restored"),
        )
    })?;
    let recording = session::read_id(&store, &id)?;
    Ok(Subject { name: word.to_owned(), recording, components: Vec::new(), datasets: BTreeMap::new() })
}

/// The session layer of a bundle, proved and unpacked into a temporary directory.
fn bundle(store: &Store, word: &str, bundle: &Bundle) -> anyhow::Result<Subject> {
    let unusable =
        || Failure::unable(format!("cannot use the bundle `{word}`")).hint(format!("`nbpack verify {word}` says more"));
    files::create_private_dir(&store.tmp())?;
    let scratch = tempfile::tempdir_in(store.tmp()).context("cannot make a temporary directory")?;
    let target = scratch.path().join("session");
    let last = bundle.layers().len().saturating_sub(1);
    bundle.unpack_layer(last, &target).with_context(unusable)?;
    session_layer(word, &target)
}

/// What the store knows by this name, if anything.
fn restored(store: &Store, name: &str) -> anyhow::Result<Option<Restored>> {
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
    let path = store.refs().join(format!("{name}.json"));
    if !plain || !path.is_file() {
        return Ok(None);
    }
    let text = files::read_to_string(&path)?;
    Ok(Some(serde_json::from_str(&text).with_context(|| format!("`{}` is damaged", path.display()))?))
}

/// The recording of a bundle whose layers lie unpacked in the store.
pub(super) fn of_restored(store: &Store, restored: &Restored) -> anyhow::Result<Subject> {
    let layer = restored.layers.last().context("a restored bundle without layers")?;
    session_layer(&restored.name, &store.layer_path(layer).join("root"))
}

/// The recording of the image that this process runs in.
pub(super) fn of_image(name: &str) -> anyhow::Result<Subject> {
    session_layer(name, Path::new("/"))
}

/// Reads the session layer that lies unpacked below `root`.
fn session_layer(name: &str, root: &Path) -> anyhow::Result<Subject> {
    #[derive(serde::Deserialize)]
    struct Dataset {
        path: String,
        digest: Option<Digest>,
    }
    let inside = |path: &str| root.join(path.trim_start_matches('/'));
    let list = |path: &str| -> anyhow::Result<Option<Vec<u8>>> {
        let path = inside(path);
        if is_plain_file(&path) { Ok(Some(files::read_bounded(&path, LONGEST_LIST)?)) } else { Ok(None) }
    };
    anyhow::ensure!(is_plain_file(&inside(config::SESSION_DB)), "the bundle holds no session record");
    let recording = session::read(&inside(config::SESSION_DB))?;
    let components: Vec<Component> = match list(config::COMPONENTS)? {
        Some(bytes) => serde_json::from_slice(&bytes).context("the software list is damaged")?,
        None => Vec::new(),
    };
    let datasets: Vec<Dataset> = match list(config::DATASETS)? {
        Some(bytes) => serde_json::from_slice(&bytes).context("the list of datasets is damaged")?,
        None => Vec::new(),
    };
    let datasets: BTreeMap<Vec<u8>, Digest> =
        datasets.into_iter().filter_map(|dataset| Some((dataset.path.into_bytes(), dataset.digest?))).collect();
    Ok(Subject { name: name.to_owned(), recording, components, datasets })
}

/// A bundle may hold a symbolic link in the place of any file; ours are none.
fn is_plain_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// The last session of a notebook; where none was recorded, the outputs that the file itself holds.
fn notebook(context: &Context, word: &str, path: &Path) -> anyhow::Result<Subject> {
    let subject =
        |recording| Subject { name: word.to_owned(), recording, components: Vec::new(), datasets: BTreeMap::new() };
    let store = context.store()?;
    match session::find(&store, &session::Selector::Notebook(path.to_owned())) {
        Ok(id) => Ok(subject(session::read_id(&store, &id)?)),
        Err(_) => {
            let text = files::read_to_string(path)?;
            let recording = file::recording_of(path, &text).with_context(|| format!("cannot use `{word}`"))?;
            Ok(subject(recording))
        }
    }
}

/// The rules of the nearest `nbpack.toml` at or above the working directory, else the default ones.
pub(super) fn rules(context: &Context) -> anyhow::Result<Rules> {
    let found: Option<PathBuf> = context.cwd.ancestors().map(|dir| dir.join("nbpack.toml")).find(|path| path.is_file());
    let Some(path) = found else { return Ok(Rules::default()) };
    let text = files::read_to_string(&path)?;
    Rules::parse(&text).with_context(|| format!("cannot use `{}`", path.display()))
}
