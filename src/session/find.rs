//! Finding sessions: by name, by notebook, the last one.

use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    DbError, db,
    model::{Execution, Recording, SessionId, SessionInfo},
    read,
};
use crate::{
    files::{self, FileError},
    store::Store,
};

/// How a session is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selector {
    /// The beginning of its name.
    Id(String),
    /// The notebook that was run in it.
    Notebook(PathBuf),
    /// The last one that executed something.
    Latest,
}

/// A session, and what else would have fitted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The one that is meant: the last that executed something.
    pub id: SessionId,
    /// How it was recognised: `name`, `path`, `cells`, `code`, `latest`.
    pub by: &'static str,
    /// Others that fit as well, newest first.
    pub others: Vec<SessionId>,
}

/// No session, or more than one, is what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing with that name.
    #[error("no session's name begins with `{0}`")]
    NoSuchId(String),
    /// More than one.
    #[error("`{prefix}` is the beginning of {} sessions' names: {}", matches.len(), list_ids(matches))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// What fits.
        matches: Vec<SessionId>,
    },
    /// No session ran this notebook.
    #[error("no recorded session ran `{}`", .0.display())]
    NoSession(PathBuf),
    /// The notebook was opened with the recording kernel, but no cell was run.
    #[error("no cell of `{}` has been run with the recording kernel yet", .0.display())]
    NothingRun(PathBuf),
    /// Nothing was recorded.
    #[error("no session that executed something is recorded in `{}`", .0.display())]
    Nothing(PathBuf),
    /// The store or the notebook cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A session cannot be read.
    #[error(transparent)]
    Db(#[from] DbError),
}

fn list_ids(ids: &[SessionId]) -> String {
    ids.iter().map(|id| id.0.as_str()).collect::<Vec<_>>().join(", ")
}

/// The directory of a session.
pub fn dir(store: &Store, id: &SessionId) -> PathBuf {
    store.sessions().join(&id.0)
}

/// The database of a session of the store; its copy, when the session is on a disk that is not there.
pub fn db_path(store: &Store, id: &SessionId) -> PathBuf {
    let own = dir(store, id).join(db::FILE_NAME);
    let copy = super::place::copy_path(store, id);
    if !own.exists() && copy.exists() { copy } else { own }
}

/// Takes the session's lock, which its recorder holds while it lives; `None` when somebody has it.
pub fn lock(session_dir: &Path) -> Result<Option<File>, FileError> {
    let path = session_dir.join("lock");
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(FileError::new("open", &path))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(FileError::new("lock", &path)(error.into())),
    }
}

/// Whether the recorder of the session in this directory is alive.
fn is_running(session_dir: &Path) -> bool {
    files::open(&session_dir.join("lock")).is_ok_and(|file| {
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared)
            == Err(rustix::io::Errno::WOULDBLOCK)
    })
}

/// All sessions, newest first. Directories that hold no readable session are left to [`list_telling`].
pub fn list(store: &Store) -> Result<Vec<SessionInfo>, FindError> {
    list_telling(store, &mut |_, _| {})
}

/// All sessions, newest first; tells of those that cannot be read.
pub fn list_telling(store: &Store, broken: &mut dyn FnMut(&str, &DbError)) -> Result<Vec<SessionInfo>, FindError> {
    let mut all = Vec::new();
    for id in ids(store)? {
        let path = db_path(store, &id);
        if !path.exists() {
            continue;
        }
        match read::read_info(&path) {
            Ok(info) => all.push(SessionInfo { running: is_running(&dir(store, &id)), ..info }),
            Err(error) => broken(&id.0, &error),
        }
    }
    Ok(all)
}

/// The names of all session directories, newest first.
pub fn ids(store: &Store) -> Result<Vec<SessionId>, FileError> {
    let sessions = store.sessions();
    let entries = match std::fs::read_dir(&sessions) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::new("read", &sessions)(error)),
    };
    let mut ids: Vec<SessionId> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        .map(SessionId)
        .collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    Ok(ids)
}

/// Reads a session of the store.
pub fn read_id(store: &Store, id: &SessionId) -> Result<Recording, DbError> {
    let mut recording = read::read(&db_path(store, id))?;
    recording.info.running = is_running(&dir(store, id));
    Ok(recording)
}

/// The session that is meant.
pub fn find(store: &Store, selector: &Selector) -> Result<SessionId, FindError> {
    find_telling(store, selector).map(|found| found.id)
}

/// The session that is meant, how it was recognised, and the others that fit.
pub fn find_telling(store: &Store, selector: &Selector) -> Result<Found, FindError> {
    match selector {
        Selector::Id(prefix) => {
            let mut matches: Vec<SessionId> = ids(store)?.into_iter().filter(|id| id.0.starts_with(prefix)).collect();
            match matches.as_slice() {
                [_] => Ok(Found { id: matches.remove(0), by: "name", others: Vec::new() }),
                [] => Err(FindError::NoSuchId(prefix.clone())),
                _ => Err(FindError::Ambiguous { prefix: prefix.clone(), matches }),
            }
        }
        Selector::Latest => {
            let found = list(store)?.into_iter().filter(|info| info.executions > 0).map(|info| info.id);
            first(found, "latest").ok_or_else(|| FindError::Nothing(store.root().to_owned()))
        }
        Selector::Notebook(path) => by_notebook(store, path),
    }
}

fn first(mut ids: impl Iterator<Item = SessionId>, by: &'static str) -> Option<Found> {
    ids.next().map(|id| Found { id, by, others: ids.collect() })
}

fn by_notebook(store: &Store, notebook: &Path) -> Result<Found, FindError> {
    let (sessions, unused): (Vec<SessionInfo>, Vec<SessionInfo>) =
        list(store)?.into_iter().partition(|info| info.executions > 0);
    let canonical = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let wanted = canonical(notebook);
    let same_path = |info: &&SessionInfo| info.notebook.as_deref().is_some_and(|path| canonical(path) == wanted);
    if let Some(found) = first(sessions.iter().filter(same_path).map(|info| info.id.clone()), "path") {
        return Ok(found);
    }
    let opened = unused.iter().any(|info| same_path(&info));
    let not_found = || {
        let notebook = notebook.to_owned();
        if opened { FindError::NothingRun(notebook) } else { FindError::NoSession(notebook) }
    };
    let file = files::read_to_string(notebook)?;
    let cells = cells_of(&file).ok_or_else(not_found)?;
    let mut by_cells = Vec::new();
    let mut by_code = Vec::new();
    for info in &sessions {
        let executions = read::read_code(&db_path(store, &info.id))?;
        if executions.iter().any(|execution| execution.cell_id.as_ref().is_some_and(|id| cells.ids.contains(id))) {
            by_cells.push(info.id.clone());
        } else if mostly_in(&executions, &cells.code) {
            by_code.push(info.id.clone());
        }
    }
    first(by_cells.into_iter(), "cells").or_else(|| first(by_code.into_iter(), "code")).ok_or_else(not_found)
}

/// At least half of what was executed stands in the notebook: one common `import pandas` proves nothing.
fn mostly_in(executions: &[Execution], code: &BTreeSet<String>) -> bool {
    let run: BTreeSet<&str> = executions
        .iter()
        .filter(|execution| !execution.silent && !execution.is_magic)
        .map(|execution| execution.code.trim())
        .filter(|text| !text.is_empty())
        .collect();
    let known = run.iter().filter(|text| code.contains(**text)).count();
    known > 0 && known * 2 >= run.len()
}

struct Cells {
    ids: BTreeSet<String>,
    code: BTreeSet<String>,
}

fn cells_of(notebook: &str) -> Option<Cells> {
    let json: Value = serde_json::from_str(notebook).ok()?;
    let mut cells = Cells { ids: BTreeSet::new(), code: BTreeSet::new() };
    for cell in json.get("cells")?.as_array()? {
        cells.ids.extend(cell.get("id").and_then(Value::as_str).map(str::to_owned));
        if cell.get("cell_type").and_then(Value::as_str) == Some("code") {
            let source = match cell.get("source") {
                Some(Value::Array(lines)) => lines.iter().filter_map(Value::as_str).collect(),
                Some(Value::String(text)) => text.clone(),
                _ => String::new(),
            };
            cells.code.insert(source.trim().to_owned());
        }
    }
    Some(cells)
}
