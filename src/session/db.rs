//! The session database: making, opening and checking it, and its transactions. What is in it: [`rows`].
//!
//! A database from a bundle is foreign: its schema must be ours word for word before anything is read.

mod rows;

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::DbError;

pub use rows::{Body, OutputRow, ProcessId};
pub(super) use rows::{from_latin, latin, parse_role, parse_status, parse_use};

/// The file's name in the session directory.
pub const FILE_NAME: &str = "session.db";
/// `application_id` of a session database: "nbpk".
const APPLICATION_ID: i32 = 0x6e62_706b;
/// `user_version`: raised when a reader of the old one could misread the new one.
pub(super) const USER_VERSION: i32 = 1;
const SCHEMA: &str = include_str!("schema.sql");
const PAGE_BYTES: u32 = 4096;

/// An open session database.
#[derive(Debug)]
pub struct Db {
    connection: Connection,
    path: std::path::PathBuf,
    /// Device and inode of the file when it was opened to be written.
    file: Option<(u64, u64)>,
}

type Row<T> = Result<T, DbError>;

fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Db {
    /// Makes the database of a live session: WAL, one writer.
    pub fn create(path: &Path) -> Row<Self> {
        let db = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        // A kernel's start waits for this, and a disk may take 20 ms for each of the syncs that it would be. The first
        // commit with a sync has this on the disk too; a kill before is rolled back without any.
        db.batch("create", "PRAGMA synchronous = OFF;")?;
        db.prepare_file()?;
        db.batch(
            "create",
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 4000;",
        )?;
        Ok(db)
    }

    /// Makes a database that will not change after it was written: no WAL, no free pages.
    pub(super) fn create_still(path: &Path) -> Row<Self> {
        let db = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        db.batch("create", "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
        db.prepare_file()?;
        Ok(db)
    }

    fn prepare_file(&self) -> Row<()> {
        self.batch(
            "create",
            &format!(
                "PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = NONE; PRAGMA encoding = 'UTF-8';
                 PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {USER_VERSION};"
            ),
        )?;
        self.batch("create", &format!("BEGIN; {SCHEMA} COMMIT;"))
    }

    /// Opens a dead session's database for the importer.
    pub fn open(path: &Path) -> Row<Self> {
        let db = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.check()?;
        Ok(db)
    }

    /// Opens a database to read it; it may be written by another process meanwhile, or be foreign.
    pub fn open_read(path: &Path) -> Row<Self> {
        let db = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.batch("read", "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA query_only = ON;")?;
        db.check()?;
        Ok(db)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Row<Self> {
        let error = |source| DbError::Sqlite { action: "open", path: path.to_owned(), source };
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(error)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(error)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Self { connection, path: path.to_owned(), file: identity(path) })
    }

    /// Refuses when the file is not the one that was opened: what is written then is nobody's.
    pub fn check_in_place(&self) -> Row<()> {
        if identity(&self.path) == self.file { Ok(()) } else { Err(DbError::Removed { path: self.path.clone() }) }
    }

    /// Looks at every page, which takes as long as reading the file does.
    pub fn check_whole(&self) -> Row<()> {
        let found: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|source| self.error("check", source))?;
        if found == "ok" { Ok(()) } else { Err(DbError::NotOurs { path: self.path.clone(), found }) }
    }

    fn check(&self) -> Row<()> {
        let number = |name: &str| self.connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        let found = number("application_id").map_err(|source| self.error("read", source))?;
        if found != APPLICATION_ID {
            return Err(DbError::NotOurs { path: self.path.clone(), found: format!("application id {found:#x}") });
        }
        let version = number("user_version").map_err(|source| self.error("read", source))?;
        if version > USER_VERSION {
            return Err(DbError::Newer { path: self.path.clone(), found: version });
        }
        let ours = schema_of(&Self::in_memory()?.connection);
        if schema_of(&self.connection).ok() != ours.ok() {
            return Err(DbError::NotOurs { path: self.path.clone(), found: "other tables than ours".into() });
        }
        Ok(())
    }

    fn in_memory() -> Row<Self> {
        let path = Path::new(":memory:");
        let db = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_MEMORY)?;
        db.batch("create", SCHEMA)?;
        Ok(db)
    }

    /// The connection, for reading.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn error(&self, action: &'static str, source: rusqlite::Error) -> DbError {
        DbError::Sqlite { action, path: self.path.clone(), source }
    }

    fn batch(&self, action: &'static str, sql: &str) -> Row<()> {
        self.connection.execute_batch(sql).map_err(|source| self.error(action, source))
    }

    fn put(&self, sql: &str, values: impl rusqlite::Params) -> Row<()> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|source| self.error("write", source))?;
        statement.execute(values).map(|_| ()).map_err(|source| self.error("write", source))
    }

    /// Begins a transaction unless one is open.
    pub fn begin(&self) -> Row<()> {
        if self.connection.is_autocommit() { self.batch("write", "BEGIN IMMEDIATE") } else { Ok(()) }
    }

    /// Commits; with `sync` the commit survives a power loss.
    pub fn commit(&self, sync: bool) -> Row<()> {
        self.batch("write", "COMMIT")?;
        if sync {
            // A checkpoint syncs the log before it copies: everything committed so far is on the disk then.
            self.batch("write", "PRAGMA wal_checkpoint(PASSIVE)")?;
        }
        Ok(())
    }

    /// Gives up what was written since [`Db::begin`].
    pub fn rollback(&self) {
        // When the disk is full SQLite has rolled back by itself, and says so.
        self.batch("roll back", "ROLLBACK").unwrap_or_default();
    }

    /// Makes the live database one file without a log: the session is over.
    pub fn settle(&self) -> Row<()> {
        self.batch("close", "PRAGMA wal_checkpoint(TRUNCATE)")?;
        // While somebody reads it stays in WAL mode, which is as good.
        self.batch("close", "PRAGMA journal_mode = DELETE").unwrap_or_default();
        Ok(())
    }

    /// Writes everything that is committed as a database of its own.
    pub(super) fn copy_to(&self, path: &Path) -> Row<()> {
        let mut statement = self.connection.prepare("VACUUM INTO ?1").map_err(|source| self.error("copy", source))?;
        let done = statement.execute([path.to_string_lossy()]);
        done.map(|_| ()).map_err(|source| self.error("copy", source))
    }
}

/// (type, name, sql) of everything in the schema.
fn schema_of(connection: &Connection) -> rusqlite::Result<Vec<(String, String, Option<String>)>> {
    connection
        .prepare("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect()
}
