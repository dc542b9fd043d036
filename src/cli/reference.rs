//! A notebook that names its bundle: the digest of the manifest in its metadata, which the panel writes where it is asked to.

use std::{borrow::Cow, path::Path};

use serde_json::Value;

use super::{Context, failure::Failure};
use crate::{bundle::read::Bundle, digest::Digest, files, restore};

/// A longer notebook is not read for its metadata, in bytes.
const LONGEST: u64 = 256 << 20;
/// At most this many bundles beside a notebook are opened to look for one.
const MOST_BESIDE: usize = 1000;

/// What `word` stands for: where it is a notebook that names its bundle, that bundle, restored already or a file beside
/// the notebook; else `word` itself.
///
/// # Errors
/// A notebook that names no bundle, or one that is neither here nor beside it.
pub(super) fn followed<'a>(word: &'a str, context: &Context) -> anyhow::Result<Cow<'a, str>> {
    let path = context.cwd.join(word);
    if path.extension().is_none_or(|extension| extension != "ipynb") || !path.is_file() {
        return Ok(Cow::Borrowed(word));
    }
    let manifest = manifest(&path)?.ok_or_else(|| {
        Failure::unable(format!("`{word}` is a notebook and names no bundle"))
            .hint("give the bundle's file; `nbpack export` makes one of a recorded notebook")
    })?;
    if let Some(known) = restore::list(&context.store()?)?.into_iter().find(|known| known.manifest == manifest) {
        return Ok(Cow::Owned(known.name));
    }
    let beside = path.parent().unwrap_or(Path::new("."));
    let mut bundles: Vec<_> = std::fs::read_dir(beside)
        .map_err(files::FileError::new("list", beside))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "nbpack"))
        .collect();
    bundles.sort();
    let is_it =
        |path: &&std::path::PathBuf| Bundle::open(path).is_ok_and(|bundle| bundle.manifest_digest() == manifest);
    let found = bundles.iter().take(MOST_BESIDE).find(is_it).and_then(|path| path.to_str());
    let found = found.ok_or_else(|| {
        Failure::unable(format!("the bundle that `{word}` names is not here: {manifest}")).hint(
            "put its .nbpack file beside the notebook, or give its name in a registry: REGISTRY/REPOSITORY@DIGEST",
        )
    })?;
    Ok(Cow::Owned(found.to_owned()))
}

/// The digest in the notebook's metadata: `nbpack.manifest`.
fn manifest(path: &Path) -> anyhow::Result<Option<Digest>> {
    let bytes = files::read_bounded(path, LONGEST)?;
    let Ok(notebook) = serde_json::from_slice::<Value>(&bytes) else { return Ok(None) };
    Ok(notebook.pointer("/metadata/nbpack/manifest").and_then(Value::as_str).and_then(|text| text.parse().ok()))
}
