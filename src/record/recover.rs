//! Brings sessions to their end whose recorder was killed.

use std::path::Path;

use super::{
    PRESERVED, head,
    importer::{self, ImportError, Importer, Parts},
    keep::{self, Digests},
    paths::Known,
    preserve::Standings,
};
use crate::{
    files::FileError,
    session::{
        self,
        db::Db,
        journal,
        model::{Recording, SessionId},
    },
    store::Store,
};

/// Bytes of inputs that are hashed for one killed session; the rest is left to the export.
const HASH_BUDGET: u64 = 2 << 30;

/// What a killed session left could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The list of sessions cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// One session's rest cannot be imported; it stays for the next try.
    #[error("cannot import what session {id} had not written when its recorder was killed")]
    Import {
        /// The session.
        id: SessionId,
        /// Why.
        source: Box<ImportError>,
    },
}

/// Imports the journals that killed recorders left; gives the sessions that it finished.
///
/// Every verb that reads sessions calls this first. Sessions that still run, or that another process is recovering,
/// are left alone.
pub fn recover(store: &Store) -> Result<Vec<SessionId>, RecoverError> {
    let mut recovered = Vec::new();
    for id in session::ids(store)? {
        let dir = session::dir(store, &id);
        let is_imported = || journal::segments(&dir).is_empty() && !head::exists(&dir);
        let is_session = head::exists(&dir) || dir.join(session::db::FILE_NAME).exists();
        if (is_imported() && session::place::away(store, &id).is_none()) || !is_session {
            continue;
        }
        let Some(lock) = session::lock(&dir)? else { continue };
        // Its recorder may have finished while we waited.
        if !is_imported() {
            recover_one(store, &dir)
                .map_err(|source| RecoverError::Import { id: id.clone(), source: Box::new(source) })?;
            recovered.push(id.clone());
        }
        // Where it is it can be read as well; the next time may find more room at home.
        session::place::bring_home(store, &id).unwrap_or_default();
        drop(lock);
    }
    Ok(recovered)
}

fn recover_one(store: &Store, dir: &Path) -> Result<(), ImportError> {
    let finish = |db: Db| import_into(store, dir, db);
    let opened = Db::open(&dir.join(session::db::FILE_NAME)).and_then(|db| db.check_whole().map(|()| db));
    match opened.map_err(ImportError::from).and_then(finish) {
        Err(error) if error.is_damage() && head::exists(dir) => finish(head::rebuild(dir)?),
        done => done,
    }
}

fn import_into(store: &Store, dir: &Path, db: Db) -> Result<(), ImportError> {
    let known = known_of(&db.info()?, store);
    let parts = Parts {
        store: store.clone(),
        dir: dir.to_owned(),
        known: known.clone(),
        standings: Standings::default(),
        env: std::collections::BTreeMap::new(),
        foreign_root: false,
    };
    let mut importer = Importer::load(parts, db)?;
    importer.import(None, false)?;
    importer.close(None)?;
    let versions = importer.db().versions()?;
    let mut jobs = importer::left_aside(dir, importer.db(), &versions)?;
    let aside = jobs.len();
    // A kernel in a container is gone with its root: its files are those of the bundle.
    if importer.db().state("foreign_root")?.is_none() {
        jobs.extend(keep::missing(&importer.db().files()?, &versions, |path| known.is_data(path)));
        jobs.extend(importer.take_jobs().into_iter().filter(|job| job.role() == session::model::Role::Written));
    }
    let mut digests = Digests::default();
    let mut spent = 0;
    for (index, job) in jobs.iter().enumerate() {
        spent += job.expected().map_or(0, |signature| signature.size);
        if (index < aside || spent <= HASH_BUDGET)
            && let Some(version) = digests.version(store, job)
        {
            importer.version(version);
        }
    }
    importer.close(None)?;
    importer.db().settle()?;
    remove_traces(dir);
    Ok(())
}

/// Removes what only a live session needs. A file that cannot be removed is imported again to no effect.
pub(super) fn remove_traces(dir: &Path) {
    for segment in journal::segments(dir) {
        std::fs::remove_file(journal::segment_path(dir, segment)).unwrap_or_default();
    }
    std::fs::remove_file(dir.join(super::RESERVE)).unwrap_or_default();
    head::remove(dir);
    // Only when it is empty: what could not be taken into the store stays.
    std::fs::remove_dir(dir.join(PRESERVED)).unwrap_or_default();
}

fn known_of(info: &session::model::SessionInfo, store: &Store) -> Known {
    Known::new(info.argv.first().map(Path::new), vec![store.root().to_owned()])
}

/// Hashes inputs of a recording that nobody has hashed (it still runs, or was killed), into the recording only.
pub fn complete(store: &Store, recording: &mut Recording) {
    let known = known_of(&recording.info, store);
    let mut digests = Digests::default();
    for job in keep::missing(&recording.files, &recording.versions, |path| known.is_data(path)) {
        recording.versions.extend(digests.version(store, &job));
    }
    recording.versions.sort_by(|a, b| (&a.path, a.execution, a.role).cmp(&(&b.path, b.execution, b.role)));
}
