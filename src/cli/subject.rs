//! Finds what `diff`, `why`, `report` and `replay` are about: a session, a notebook, a bundle, a restored name.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{Context, failure::Failure};
use crate::{
    files,
    replay::{Rules, compare::Subject, file},
    session,
};

/// Reads the recording that a word on the command line names.
///
/// In this order: a bundle (file or OCI layout directory), a notebook (its last session, else the file's own outputs), the
/// name of a restored bundle, the beginning of a session's name, `latest`.
pub(super) fn load(context: &Context, word: &str) -> anyhow::Result<Subject> {
    let path = context.cwd.join(word);
    if path.extension().is_some_and(|extension| extension == "ipynb") && path.is_file() {
        return notebook(context, word, &path);
    }
    let store = context.store()?;
    let selector = match word {
        "latest" => session::Selector::Latest,
        prefix => session::Selector::Id(prefix.to_owned()),
    };
    let id = session::find(&store, &selector).map_err(|error| {
        anyhow::Error::from(error).context(
            Failure::unable(format!("`{word}` is no bundle, notebook, restored name or session"))
                .hint("`nbpack sessions` lists what was recorded, `nbpack ls` what was restored"),
        )
    })?;
    let recording = session::read_id(&store, &id)?;
    Ok(Subject { name: word.to_owned(), recording, components: Vec::new(), datasets: BTreeMap::new() })
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
