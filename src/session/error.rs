//! What can be wrong with a session database.

use super::db::USER_VERSION;

/// A session database that cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// `SQLite` refused.
    #[error("cannot {action} the session database `{}`", path.display())]
    Sqlite {
        /// A verb in the infinitive.
        action: &'static str,
        /// The database.
        path: std::path::PathBuf,
        /// What `SQLite` said.
        source: rusqlite::Error,
    },
    /// It is something else.
    #[error("`{}` is not a session database: {found}", path.display())]
    NotOurs {
        /// The file.
        path: std::path::PathBuf,
        /// What it is instead.
        found: String,
    },
    /// It was written by a newer nbpack.
    #[error("`{}` was written by a newer nbpack (session format {found}, this one reads {USER_VERSION})", path.display())]
    Newer {
        /// The file.
        path: std::path::PathBuf,
        /// Its version.
        found: i32,
    },
    /// A row that no nbpack writes.
    #[error("the session database holds {what} that cannot be read: {found}")]
    Row {
        /// Which kind of row or column.
        what: &'static str,
        /// Its content, shortened.
        found: String,
    },
    /// A blob that a row names.
    #[error("an output of the session is missing: blob {digest}")]
    Blob {
        /// Its name.
        digest: crate::digest::Digest,
        /// Why.
        source: crate::files::FileError,
    },
    /// The file was removed, or another one took its place, while it was open.
    #[error("the session database `{}` was removed while it was written", path.display())]
    Removed {
        /// Where it was.
        path: std::path::PathBuf,
    },
    /// A file beside the database.
    #[error(transparent)]
    File(#[from] crate::files::FileError),
}

impl DbError {
    /// Whether the database is broken or gone, so that no other try helps. A full disk or a lock is none of this.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::NotOurs { .. } | Self::Row { .. } | Self::Removed { .. } => true,
            Self::Sqlite { path, source, .. } => match source {
                rusqlite::Error::SqliteFailure(error, _) => match error.code {
                    rusqlite::ErrorCode::DatabaseCorrupt
                    | rusqlite::ErrorCode::NotADatabase
                    // "no such table": its schema is gone.
                    | rusqlite::ErrorCode::Unknown => true,
                    // One that is there may only be forbidden, or this process has no descriptors left.
                    rusqlite::ErrorCode::CannotOpen => !path.is_file(),
                    _ => false,
                },
                rusqlite::Error::QueryReturnedNoRows | rusqlite::Error::InvalidColumnType(..) => true,
                _ => false,
            },
            Self::Newer { .. } | Self::Blob { .. } | Self::File(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &std::path::Path) -> DbError {
        let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
        let source = rusqlite::Error::SqliteFailure(error, None);
        DbError::Sqlite { action: "open", path: path.to_owned(), source }
    }

    #[test]
    fn a_database_that_cannot_be_opened_is_damaged_only_when_it_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.db");
        assert!(refused(&path).is_damage());
        std::fs::write(&path, "").unwrap();
        assert!(!refused(&path).is_damage());
    }
}
