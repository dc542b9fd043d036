//! What a session's database holds from its first moment on, kept beside it as well while the session lives.
//!
//! With it and the journal the database can be made again: it is created without waiting for the disk, so a power loss in
//! its first second can leave it torn, and people remove or damage files.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{environment, importer::ImportError, recorder::SessionSeed};
use crate::{
    event::{Gap, now},
    files::{self, FileError},
    session::{
        DbError,
        db::{self, Db},
        journal,
        model::SessionInfo,
    },
};

/// In the session directory, while the session is not over.
const FILE_NAME: &str = "head.json";
/// No head is longer: an environment has 2 MiB at most.
const LONGEST: u64 = 16 << 20;
/// The gap of a database that was made again from a whole journal: what is known of it is in the record.
pub(super) const REBUILT: &str = "database";
/// The gap of one whose journal was not whole any more.
const PARTLY_LOST: &str = "database_lost";

/// The first rows of a session.
#[derive(Serialize, Deserialize)]
struct Head {
    info: SessionInfo,
    environment: BTreeMap<String, Option<String>>,
    facts: BTreeMap<String, serde_json::Value>,
}

/// Writes the first rows into a new database and beside it.
pub(super) fn write(db: &Db, dir: &Path, info: &SessionInfo, seed: &SessionSeed) -> Result<(), DbError> {
    let head = Head {
        info: info.clone(),
        environment: environment::allowed(&seed.environment, &seed.kernel_env, seed.foreign_root),
        facts: seed.facts.clone(),
    };
    head.put(db)?;
    // Paths that are no text have no JSON: such a session has its database only.
    if let Ok(text) = serde_json::to_vec(&head) {
        use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
        let path = dir.join(FILE_NAME);
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(&text)).map_err(FileError::new("write", &path))?;
    }
    Ok(())
}

impl Head {
    fn put(&self, db: &Db) -> Result<(), DbError> {
        db.begin()?;
        db.put_info(&self.info)?;
        for (name, value) in &self.environment {
            db.put_variable(name, value.as_deref())?;
        }
        for (key, value) in &self.facts {
            db.put_fact(key, value)?;
        }
        db.commit(false)
    }
}

/// Whether the session in this directory was begun and not ended.
pub(super) fn exists(dir: &Path) -> bool {
    dir.join(FILE_NAME).exists()
}

/// The session is over: its database is all there is to know.
pub(super) fn remove(dir: &Path) {
    std::fs::remove_file(dir.join(FILE_NAME)).unwrap_or_default();
}

/// Makes the database again, to be filled from the journal; what is left of the old one stays as `damaged.db`.
///
/// The caller holds the session's lock, and has closed the old database.
pub(super) fn rebuild(dir: &Path) -> Result<Db, ImportError> {
    let path = dir.join(FILE_NAME);
    let text = files::read_bounded(&path, LONGEST)?;
    let no_head = |source: serde_json::Error| FileError::new("read", &path)(source.into());
    let head: Head = serde_json::from_slice(&text).map_err(no_head)?;
    set_aside(dir)?;
    let db = Db::create(&dir.join(db::FILE_NAME))?;
    head.put(&db)?;
    // Segments are removed when the database holds them: of those the database was the only copy.
    let first = journal::segments(dir).first().copied();
    let gap = match first {
        Some(1) => Gap {
            at: now(),
            reason: REBUILT.to_owned(),
            detail:
                "the session's database was damaged or removed; it was made again from the journal, and inputs that \
                     had been hashed were hashed as they were then"
                    .to_owned(),
            count: 0,
        },
        _ => Gap {
            at: now(),
            reason: PARTLY_LOST.to_owned(),
            detail:
                "the session's database was damaged or removed, and the journal of its beginning was no longer there: \
                     what ran first is not in this record"
                    .to_owned(),
            count: 0,
        },
    };
    db.begin()?;
    db.put_gap(&gap)?;
    db.commit(true)?;
    Ok(db)
}

fn set_aside(dir: &Path) -> Result<(), FileError> {
    for (name, aside) in [("", "damaged.db"), ("-wal", "damaged.db-wal"), ("-shm", "damaged.db-shm")] {
        let (from, to) = (dir.join(format!("{}{name}", db::FILE_NAME)), dir.join(aside));
        // A second try: what was damaged first is what a person may want to look at.
        let done = if to.exists() { std::fs::remove_file(&from) } else { std::fs::rename(&from, &to) };
        match done {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(FileError::new("set aside", &from)(error));
            }
            _ => {}
        }
    }
    Ok(())
}
