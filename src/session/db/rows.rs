//! One function for each kind of row of a session database, and the words that stand in the columns.

use std::os::unix::ffi::OsStrExt as _;

use rusqlite::{OptionalExtension as _, params};

use super::{Db, Row};
use crate::{
    digest::Digest,
    event::Gap,
    files::Signature,
    session::model::{
        CommMessage, ConnectionUse, Execution, FileUse, FileVersion, Process, Role, SessionInfo, Status, StdinExchange,
        Use,
    },
};

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
    /// A stream's text; of the others the JSON of [`crate::session::model::Output`].
    pub body: Body,
}

/// (row, process id, parent, execution) of a process.
pub type ProcessId = (i64, u32, u32, Option<i64>);

impl Db {
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

    /// Every process, oldest first.
    pub fn process_ids(&self) -> Row<Vec<ProcessId>> {
        let read = || {
            self.connection
                .prepare("SELECT id, pid, ppid, nullif(execution, 0) FROM process ORDER BY id")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
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
        let text = comm.text.clone().unwrap_or_else(|| comm.content.to_string());
        self.put(
            "INSERT INTO comm VALUES (?1,?2,?3,?4,?5,?6)",
            params![id, comm.at, comm.msg_type, comm.comm_id, text, comm.after],
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

    /// Takes back that an execution changed a file which it opened to read and write: where `version`, what it left there,
    /// is what was known before, it only read it. Says whether that is so.
    pub fn only_read(&self, path: i64, version: &FileVersion) -> Row<bool> {
        let execution = version.execution.unwrap_or(0);
        let read = || -> rusqlite::Result<bool> {
            let writes: i64 = self
                .connection
                .prepare_cached(
                    "SELECT count(*) FROM file_use WHERE path = ?1 AND execution = ?2
                     AND usage IN ('write', 'rename_to')",
                )?
                .query_row([path, execution], |row| row.get(0))?;
            let before: Option<(Option<String>, i64, i64)> = self
                .connection
                .prepare_cached(
                    "SELECT digest, size, mtime_ns FROM file_version WHERE path = ?1 AND NOT (execution = ?2
                     AND role = 'written') ORDER BY seen DESC LIMIT 1",
                )?
                .query_row([path, execution], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()?;
            let Signature { size, mtime_ns, .. } = version.signature;
            let same = before.is_some_and(|(digest, before, time)| match (digest, version.digest) {
                (Some(before), Some(now)) => before == now.to_string(),
                _ => (before, time) == (size.cast_signed(), mtime_ns),
            });
            Ok(same && writes == 0)
        };
        if !read().map_err(|source| self.error("read", source))? {
            return Ok(false);
        }
        let s = version.signature;
        self.put(
            "INSERT INTO file_use SELECT path, execution, 'read', pid, first, last, count, created_here, ?3, ?4, ?5, ?6, ?7
             FROM file_use WHERE path = ?1 AND execution = ?2 AND usage = 'update'
             ON CONFLICT DO UPDATE SET last = max(last, excluded.last), count = count + excluded.count",
            params![path, execution, s.dev.cast_signed(), s.ino.cast_signed(), s.size.cast_signed(), s.mtime_ns, s.ctime_ns],
        )?;
        self.put("DELETE FROM file_use WHERE path = ?1 AND execution = ?2 AND usage = 'update'", [path, execution])?;
        Ok(true)
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

fn json(value: &impl serde::Serialize) -> String {
    // Maps and lists of strings always serialise.
    serde_json::to_string(value).unwrap_or_default()
}

/// Bytes as text, one character for each byte above ASCII that is not UTF-8, so that JSON can hold it.
pub(in crate::session) fn latin(bytes: &[u8]) -> String {
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
pub(in crate::session) fn from_latin(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c).checked_sub(0xF700).and_then(|byte| u8::try_from(byte).ok()).filter(|byte| *byte >= 0x80) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Error => "error",
        Status::Aborted => "aborted",
    }
}

pub(in crate::session) fn parse_status(word: &str) -> Option<Status> {
    [Status::Ok, Status::Error, Status::Aborted].into_iter().find(|status| status_word(*status) == word)
}

fn use_word(usage: Use) -> &'static str {
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
        Use::RemoveDirectory => "remove_directory",
        Use::RenameDirectory => "rename_directory",
    }
}

const USES: [Use; 11] = [
    Use::Read,
    Use::Write,
    Use::Update,
    Use::List,
    Use::Exec,
    Use::Absent,
    Use::Remove,
    Use::RenameFrom,
    Use::RenameTo,
    Use::RemoveDirectory,
    Use::RenameDirectory,
];

pub(in crate::session) fn parse_use(word: &str) -> Option<Use> {
    USES.into_iter().find(|usage| use_word(*usage) == word)
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Read => "read",
        Role::Written => "written",
    }
}

pub(in crate::session) fn parse_role(word: &str) -> Option<Role> {
    [Role::Read, Role::Written].into_iter().find(|role| role_word(*role) == word)
}
