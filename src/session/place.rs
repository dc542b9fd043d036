//! Where a live session lies: in the store, or on this machine's own disk when the store is on a network.
//!
//! A live database has a write-ahead log with shared memory, which network file systems do not have; and each message
//! would wait for the network. So the session's directory is then `/var/tmp/nbpack-<uid>/sessions/<id>`, and
//! `sessions/<id>` in the store is a link to it, so that everything that reads sessions finds it. When the session has
//! ended the directory takes the link's place. Meanwhile a copy of the database, a few minutes old at most, lies beside
//! the link for the day on which the machine is lost: `sessions/<id>.db`.

use std::{
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use super::{DbError, db::Db, model::SessionId};
use crate::{
    files::{self, FileError},
    store::Store,
};

/// Makes the directory of a new session; an error of the kind `AlreadyExists` means that the name is taken.
pub fn create_dir(store: &Store, id: &SessionId) -> Result<PathBuf, FileError> {
    let home = super::dir(store, id);
    if files::is_elsewhere(&store.sessions())
        && let Some(local) = local_dir()
    {
        let live = local.join(&id.0);
        make_private(&live)?;
        match std::os::unix::fs::symlink(&live, &home) {
            Ok(()) => return Ok(live),
            Err(error) => {
                std::fs::remove_dir(&live).unwrap_or_default();
                if error.kind() == std::io::ErrorKind::AlreadyExists {
                    return Err(FileError::new("create", &home)(error));
                }
                // No links there (SMB): then the session lies in the store, as on a disk.
            }
        }
    }
    make_private(&home)?;
    Ok(home)
}

fn make_private(dir: &Path) -> Result<(), FileError> {
    std::fs::DirBuilder::new().mode(0o700).create(dir).map_err(FileError::new("create directory", dir))
}

/// A directory of this user alone on a disk of this machine that survives a logout and a restart; none if somebody else
/// has that name, or the disk is a network's too.
fn local_dir() -> Option<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let own = PathBuf::from(format!("/var/tmp/nbpack-{uid}"));
    let dir = own.join("sessions");
    files::create_private_dir(&dir).ok()?;
    let is_ours = |dir: &Path| {
        std::fs::symlink_metadata(dir)
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == uid && metadata.mode() & 0o777 == 0o700)
    };
    (is_ours(&own) && is_ours(&dir) && !files::is_elsewhere(&dir)).then_some(dir)
}

/// The session's directory on this machine's disk, where the store has only a link to it.
pub fn away(store: &Store, id: &SessionId) -> Option<PathBuf> {
    std::fs::read_link(super::dir(store, id)).ok()
}

/// Where the copy of a session lies that is away.
pub(super) fn copy_path(store: &Store, id: &SessionId) -> PathBuf {
    store.sessions().join(format!("{}.db", id.0))
}

/// Copies the database of a session that is away into the store.
pub fn copy_home(store: &Store, id: &SessionId, db: &Db) -> Result<(), DbError> {
    let target = copy_path(store, id);
    let unfinished = target.with_extension("db-new");
    // Of a copy that was broken off.
    std::fs::remove_file(&unfinished).unwrap_or_default();
    db.copy_to(&unfinished)?;
    Ok(std::fs::rename(&unfinished, &target).map_err(FileError::new("rename", &unfinished))?)
}

/// Brings a session home that was away and has ended; nothing to do for the others. Its lock must be held.
pub fn bring_home(store: &Store, id: &SessionId) -> Result<(), FileError> {
    let home = super::dir(store, id);
    let Some(live) = away(store, id) else { return Ok(()) };
    let temporary = tempfile::Builder::new()
        .prefix(".session-")
        .tempdir_in(store.sessions())
        .map_err(FileError::new("create a directory in", &store.sessions()))?;
    copy_tree(&live, temporary.path())?;
    files::sync_dir(temporary.path())?;
    // A directory cannot replace a link in one step. A reader in between takes the copy; a crash in between leaves it.
    std::fs::remove_file(&home).map_err(FileError::new("remove", &home))?;
    std::fs::rename(temporary.path(), &home).map_err(FileError::new("rename", temporary.path()))?;
    // It has another name now, and nothing is to be removed.
    drop(temporary.keep());
    std::fs::remove_file(copy_path(store, id)).unwrap_or_default();
    // What stays there is nobody's any more and costs room only.
    std::fs::remove_dir_all(&live).unwrap_or_default();
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), FileError> {
    for entry in std::fs::read_dir(from).map_err(FileError::new("read", from))? {
        let entry = entry.map_err(FileError::new("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_private(&target)?;
            copy_tree(&source, &target)?;
        } else {
            std::fs::copy(&source, &target).map_err(FileError::new("copy", &source))?;
            files::open(&target)?.sync_all().map_err(FileError::new("write", &target))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_was_away_comes_home_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let id = SessionId("20260101-000000-00000000".to_owned());
        let live = dir.path().join("disk");
        make_private(&live).unwrap();
        std::fs::create_dir(live.join("preserved")).unwrap();
        std::fs::write(live.join("preserved/1"), "old").unwrap();
        files::create_private_dir(&store.sessions()).unwrap();
        std::os::unix::fs::symlink(&live, super::super::dir(&store, &id)).unwrap();
        let db = Db::create(&live.join(super::super::db::FILE_NAME)).unwrap();
        db.put_fact("note", &serde_json::json!("kept")).unwrap();
        copy_home(&store, &id, &db).unwrap();
        drop(db);
        assert_eq!(super::super::db_path(&store, &id), super::super::dir(&store, &id).join("session.db"));

        // The machine is lost: the copy is what there is.
        std::fs::rename(&live, dir.path().join("lost")).unwrap();
        let copy = Db::open_read(&super::super::db_path(&store, &id)).unwrap();
        assert_eq!(copy.fact("note").unwrap(), Some(serde_json::json!("kept")));
        std::fs::rename(dir.path().join("lost"), &live).unwrap();

        bring_home(&store, &id).unwrap();
        assert!(away(&store, &id).is_none() && !live.exists() && !copy_path(&store, &id).exists());
        let db = Db::open_read(&super::super::db_path(&store, &id)).unwrap();
        assert_eq!(db.fact("note").unwrap(), Some(serde_json::json!("kept")));
        assert_eq!(files::read(&super::super::dir(&store, &id).join("preserved/1")).unwrap(), b"old");
        bring_home(&store, &id).unwrap();
    }

    #[test]
    fn a_disk_of_this_machine_is_not_elsewhere() {
        assert!(!files::is_elsewhere(Path::new("/proc")) && !files::is_elsewhere(Path::new("/not/there")));
    }
}
