//! The session database: opening it, and one function for each kind of row.
//!
//! A database from a bundle is foreign: its schema must be ours word for word before anything is read.

use std::{os::unix::ffi::OsStrExt as _, path::Path};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::{
    DbError,
    model::{
        CommMessage, ConnectionUse, Execution, FileUse, FileVersion, Process, Role, SessionInfo, Status, StdinExchange,
        Use,
    },
};
use crate::{digest::Digest, event::Gap, files::Signature};

/// The file's name in the session directory.
pub const FILE_NAME: &str = "session.db";
/// `application_id` of a session database: "nbpk".
const APPLICATION_ID: i32 = 0x6e62_706b;
/// `user_version`: raised when a reader of the old one could misread the new one.
pub(super) const USER_VERSION: i32 = 1;
const SCHEMA: &str = include_str!("schema.sql");
const PAGE_BYTES: u32 = 4096;

/// Where an output's text lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// In the row.
    Inline(String),
    /// In a blob of so many bytes.
    Blob(Digest, u64),
}

/// One row of `output`. Consecutive stream rows of one name are one output in parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutputRow {
    /// The execution.
    pub execution: i64,
    /// Order in it.
    pub ord: i64,
    /// `stream`, `display_data`, `execute_result`, `error`.
    pub kind: String,
    /// The stream's name.
    pub name: Option<String>,
    /// `transient.display_id`.
    pub display_id: Option<String>,
    /// A stream's text; of the others the JSON of [`super::model::Output`].
    pub body: Body,
}

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

    /// A value of the importer's own.
    pub fn state(&self, key: &str) -> Row<Option<String>> {
        self.connection
            .query_row("SELECT value FROM state WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .map_err(|source| self.error("read", source))
    }

    /// A fact.
    pub fn fact(&self, key: &str) -> Row<Option<serde_json::Value>> {
        let text: Option<String> = self
            .connection
            .query_row("SELECT value FROM fact WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .map_err(|source| self.error("read", source))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Sets a value of the importer's own.
    pub fn put_state(&self, key: &str, value: &str) -> Row<()> {
        self.put("INSERT OR REPLACE INTO state VALUES (?1, ?2)", [key, value])
    }

    /// Writes the session's head.
    pub fn put_info(&self, info: &SessionInfo) -> Row<()> {
        self.put(
            "INSERT OR REPLACE INTO session VALUES
             (1,?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21)",
            params![
                info.id.0,
                info.started,
                info.ended,
                info.kernel,
                info.display_name,
                info.language,
                json(&info.argv),
                info.interrupt_mode,
                json(&info.kernel_env),
                info.cwd.as_os_str().as_bytes(),
                info.notebook.as_ref().map(|path| path.as_os_str().as_bytes()),
                info.notebook_source,
                info.user,
                info.uid,
                info.gid,
                info.home.as_os_str().as_bytes(),
                info.host,
                info.nbpack_version,
                info.coverage,
                info.exit_status,
                info.parent.map(|digest| digest.to_string()),
            ],
        )
    }

    /// Writes an execution (its outputs and questions are rows of their own).
    pub fn put_execution(&self, e: &Execution, clear_pending: bool) -> Row<()> {
        self.put(
            "INSERT OR REPLACE INTO execution VALUES
             (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20)",
            params![
                e.id,
                e.msg_id,
                e.cell_id,
                e.code,
                e.request.to_string(),
                e.silent,
                e.is_magic,
                e.execution_count,
                e.sent,
                e.busy,
                e.reply,
                e.idle,
                e.status.map(status_word),
                e.ename,
                e.evalue,
                e.interrupted,
                e.client,
                e.username,
                e.user_expressions.to_string(),
                clear_pending,
            ],
        )
    }

    /// Writes one output.
    pub fn put_output(&self, row: &OutputRow) -> Row<()> {
        let (body, digest, bytes) = match &row.body {
            Body::Inline(text) => (Some(text.as_str()), None, text.len() as u64),
            Body::Blob(digest, bytes) => (None, Some(digest.to_string()), *bytes),
        };
        self.put(
            "INSERT OR REPLACE INTO output VALUES (?1,?2,?3,?4,?5,?6,?7,?8)",
            params![row.execution, row.ord, row.kind, row.name, row.display_id, body, digest, bytes as i64],
        )
    }

    /// Removes an execution's outputs (`clear_output`).
    pub fn clear_outputs(&self, execution: i64) -> Row<()> {
        self.put("DELETE FROM output WHERE execution = ?1", [execution])
    }

    /// The (execution, ord, kind) of every output with this display id.
    pub fn displays(&self, display_id: &str) -> Row<Vec<(i64, i64, String)>> {
        let read = || {
            self.connection
                .prepare_cached("SELECT execution, ord, kind FROM output WHERE display_id = ?1 ORDER BY 1, 2")?
                .query_map([display_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|source| self.error("read", source))
    }

    /// The highest numbers of executions, questions and comm messages.
    pub fn last_ids(&self) -> Row<[i64; 3]> {
        let last = |table: &str| {
            self.connection
                .query_row(&format!("SELECT ifnull(max(id), 0) FROM {table}"), [], |row| row.get::<_, i64>(0))
        };
        let read = || Ok([last("execution")?, last("stdin")?, last("comm")?]);
        read().map_err(|source| self.error("read", source))
    }

    /// The reasons of all gaps.
    pub fn gap_reasons(&self) -> Row<Vec<String>> {
        let read = || {
            self.connection
                .prepare("SELECT DISTINCT reason FROM gap ORDER BY 1")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|source| self.error("read", source))
    }

    /// Executions that the kernel has not finished.
    pub fn open_executions(&self) -> Row<Vec<i64>> {
        let read = || {
            self.connection
                .prepare("SELECT id FROM execution WHERE idle IS NULL ORDER BY id")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|source| self.error("read", source))
    }

    /// Questions without an answer: (id, execution, question).
    pub fn open_questions(&self) -> Row<Vec<(i64, i64, StdinExchange)>> {
        let read = || {
            self.connection
                .prepare("SELECT id, execution, prompt, masked, asked FROM stdin WHERE NOT answered ORDER BY id")?
                .query_map([], |row| {
                    let exchange =
                        StdinExchange { prompt: row.get(2)?, masked: row.get(3)?, value: None, asked: row.get(4)? };
                    Ok((row.get(0)?, row.get(1)?, exchange))
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|source| self.error("read", source))
    }

    /// The execution with this request.
    pub fn execution_of(&self, msg_id: &str) -> Row<Option<i64>> {
        let read = || {
            self.connection
                .prepare_cached("SELECT id FROM execution WHERE msg_id = ?1")?
                .query_row([msg_id], |row| row.get(0))
                .optional()
        };
        read().map_err(|source| self.error("read", source))
    }

    /// The order number of the next output of an execution.
    pub fn next_ord(&self, execution: i64) -> Row<i64> {
        self.connection
            .query_row("SELECT ifnull(max(ord), 0) + 1 FROM output WHERE execution = ?1", [execution], |row| row.get(0))
            .map_err(|source| self.error("read", source))
    }

    /// (row, process id, parent) of every process, oldest first.
    pub fn process_ids(&self) -> Row<Vec<(i64, u32, u32)>> {
        let read = || {
            self.connection
                .prepare("SELECT id, pid, ppid FROM process ORDER BY id")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|source| self.error("read", source))
    }

    /// When each execution began and ended: (id, busy, idle).
    pub fn spans(&self) -> Row<Vec<(i64, i64, Option<i64>)>> {
        let read = || {
            self.connection
                .prepare("SELECT id, busy, idle FROM execution WHERE busy IS NOT NULL ORDER BY id")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|source| self.error("read", source))
    }

    /// Writes a question; `answered` closes it.
    pub fn put_stdin(&self, id: i64, execution: i64, exchange: &StdinExchange, answered: bool) -> Row<()> {
        self.put(
            "INSERT OR REPLACE INTO stdin VALUES (?1,?2,?3,?4,?5,?6,?7)",
            params![id, execution, exchange.prompt, exchange.masked, exchange.value, exchange.asked, answered],
        )
    }

    /// Writes a comm message; buffers in blobs are named by `large`.
    pub fn put_comm(&self, id: i64, comm: &CommMessage, large: &[Option<Digest>]) -> Row<()> {
        self.put(
            "INSERT INTO comm VALUES (?1,?2,?3,?4,?5,?6)",
            params![id, comm.at, comm.msg_type, comm.comm_id, comm.content.to_string(), comm.after],
        )?;
        for (ord, buffer) in comm.buffers.iter().enumerate() {
            let digest = large.get(ord).copied().flatten();
            let body = digest.is_none().then_some(buffer.as_slice());
            self.put(
                "INSERT INTO comm_buffer VALUES (?1,?2,?3,?4)",
                params![id, ord as i64, body, digest.map(|digest| digest.to_string())],
            )?;
        }
        Ok(())
    }

    /// Writes a process.
    pub fn put_process(&self, id: i64, process: &Process) -> Row<()> {
        let argv: Vec<String> = process.argv.iter().map(|arg| latin(arg)).collect();
        self.put(
            "INSERT OR REPLACE INTO process VALUES (?1,?2,?3,?4,?5,?6,?7)",
            params![
                id,
                process.pid,
                process.ppid,
                process.started,
                process.exe,
                json(&argv),
                process.execution.unwrap_or(0)
            ],
        )
    }

    /// Gives a path its number.
    pub fn put_path(&self, id: i64, path: &[u8]) -> Row<()> {
        self.put("INSERT OR IGNORE INTO path VALUES (?1, ?2)", params![id, path])
    }

    /// Writes what was done with a path in an execution; what is there already is added to.
    pub fn put_file_use(&self, path: i64, file: &FileUse) -> Row<()> {
        let s = file.signature;
        self.put(
            "INSERT INTO file_use VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)
             ON CONFLICT DO UPDATE SET last = max(last, excluded.last), count = count + excluded.count",
            params![
                path,
                file.execution.unwrap_or(0),
                use_word(file.usage),
                file.pid,
                file.first,
                file.last,
                file.count as i64,
                file.created_here,
                s.map(|s| s.dev.cast_signed()),
                s.map(|s| s.ino.cast_signed()),
                s.map(|s| s.size.cast_signed()),
                s.map(|s| s.mtime_ns),
                s.map(|s| s.ctime_ns),
            ],
        )
    }

    /// Writes what content a path had.
    pub fn put_version(&self, path: i64, version: &FileVersion) -> Row<()> {
        self.version(
            "INSERT OR REPLACE INTO file_version VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)",
            path,
            version,
        )
    }

    /// The same, unless something is known already.
    pub fn put_version_if_unknown(&self, path: i64, version: &FileVersion) -> Row<()> {
        self.version(
            "INSERT OR IGNORE INTO file_version VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)",
            path,
            version,
        )
    }

    fn version(&self, statement: &str, path: i64, version: &FileVersion) -> Row<()> {
        let Signature { dev, ino, size, mtime_ns, ctime_ns } = version.signature;
        self.put(
            statement,
            params![
                path,
                version.execution.unwrap_or(0),
                role_word(version.role),
                version.digest.map(|digest| digest.to_string()),
                dev.cast_signed(),
                ino.cast_signed(),
                size.cast_signed(),
                mtime_ns,
                ctime_ns,
                version.mode,
                version.kept,
                version.unstable,
                version.seen,
                version.note,
            ],
        )
    }

    /// Writes a connection; what is there already is added to.
    pub fn put_connection(&self, connection: &ConnectionUse) -> Row<()> {
        self.put(
            "INSERT INTO connection VALUES (?1,?2,?3,?4) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            params![connection.address, connection.execution.unwrap_or(0), connection.first, connection.count as i64],
        )
    }

    /// Writes a variable.
    pub fn put_variable(&self, name: &str, value: Option<&str>) -> Row<()> {
        self.put("INSERT OR REPLACE INTO environment VALUES (?1, ?2)", params![name, value])
    }

    /// Writes a fact.
    pub fn put_fact(&self, key: &str, value: &serde_json::Value) -> Row<()> {
        self.put("INSERT OR REPLACE INTO fact VALUES (?1, ?2)", params![key, value.to_string()])
    }

    /// Writes a gap.
    pub fn put_gap(&self, gap: &Gap) -> Row<()> {
        self.put(
            "INSERT INTO gap (at, reason, detail, count) VALUES (?1,?2,?3,?4)",
            params![gap.at, gap.reason, gap.detail, gap.count as i64],
        )
    }
}

/// (type, name, sql) of everything in the schema.
fn schema_of(connection: &Connection) -> rusqlite::Result<Vec<(String, String, Option<String>)>> {
    connection
        .prepare("SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect()
}

fn json(value: &impl serde::Serialize) -> String {
    // Maps and lists of strings always serialise.
    serde_json::to_string(value).unwrap_or_default()
}

/// Bytes as text, one character for each byte above ASCII that is not UTF-8, so that JSON can hold it.
pub(super) fn latin(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
            text.push_str(chunk.valid());
            // As Python's surrogateescape would, but in the private use area, which JSON can carry.
            text.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(0xF700 + u32::from(*byte))));
            text
        }),
    }
}

/// The bytes behind [`latin`].
pub(super) fn from_latin(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c).checked_sub(0xF700).and_then(|byte| u8::try_from(byte).ok()).filter(|byte| *byte >= 0x80) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

pub(super) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Error => "error",
        Status::Aborted => "aborted",
    }
}

pub(super) fn parse_status(word: &str) -> Option<Status> {
    [Status::Ok, Status::Error, Status::Aborted].into_iter().find(|status| status_word(*status) == word)
}

pub(super) fn use_word(usage: Use) -> &'static str {
    match usage {
        Use::Read => "read",
        Use::Write => "write",
        Use::Update => "update",
        Use::List => "list",
        Use::Exec => "exec",
        Use::Absent => "absent",
        Use::Remove => "remove",
        Use::RenameFrom => "rename_from",
        Use::RenameTo => "rename_to",
    }
}

const USES: [Use; 9] = [
    Use::Read,
    Use::Write,
    Use::Update,
    Use::List,
    Use::Exec,
    Use::Absent,
    Use::Remove,
    Use::RenameFrom,
    Use::RenameTo,
];

pub(super) fn parse_use(word: &str) -> Option<Use> {
    USES.into_iter().find(|usage| use_word(*usage) == word)
}

pub(super) fn role_word(role: Role) -> &'static str {
    match role {
        Role::Read => "read",
        Role::Written => "written",
    }
}

pub(super) fn parse_role(word: &str) -> Option<Role> {
    [Role::Read, Role::Written].into_iter().find(|role| role_word(*role) == word)
}
