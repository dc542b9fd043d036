//! From rows to a [`Recording`].

use std::{
    collections::BTreeMap,
    ffi::OsString,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use rusqlite::Row;
use serde_json::Value;

use super::{
    DbError,
    db::{self, Db},
    model::{
        CommMessage, ConnectionUse, Execution, FileUse, FileVersion, Output, Process, Recording, SessionId,
        SessionInfo, StdinExchange,
    },
};
use crate::{digest::Digest, event::Gap, files, files::Signature};

/// No output or comm buffer is longer.
const LONGEST_BLOB: u64 = 4 << 30;

/// Reads a whole recording: a session of the store, or one that was exported.
///
/// Blobs are looked for in `blobs/` beside the database (exported), then in the store that the session lies in.
/// One read transaction: a session that still runs is read as it was at one moment.
pub fn read(db_path: &Path) -> Result<Recording, DbError> {
    read_with(db_path, true)
}

/// The same without outputs, which can be most of it: what ran, and what it touched.
pub fn read_without_outputs(db_path: &Path) -> Result<Recording, DbError> {
    read_with(db_path, false)
}

fn read_with(db_path: &Path, outputs: bool) -> Result<Recording, DbError> {
    let db = Db::open_read(db_path)?;
    let reader = Reader { db: &db, dir: files::parent(db_path) };
    let transaction = db.connection().unchecked_transaction().map_err(|source| db.error("read", source))?;
    let recording = reader.recording(outputs);
    drop(transaction);
    recording
}

/// Reads only the session's head.
pub fn read_info(db_path: &Path) -> Result<SessionInfo, DbError> {
    let db = Db::open_read(db_path)?;
    Reader { db: &db, dir: files::parent(db_path) }.info()
}

/// The executions without outputs, files or anything else: what finding a session by its notebook needs.
pub fn read_code(db_path: &Path) -> Result<Vec<Execution>, DbError> {
    let db = Db::open_read(db_path)?;
    Reader { db: &db, dir: files::parent(db_path) }.executions()
}

impl Db {
    /// One execution without outputs and questions, and whether `clear_output(wait=True)` is pending.
    pub fn execution(&self, id: i64) -> Result<Option<(Execution, bool)>, DbError> {
        let reader = Reader { db: self, dir: Path::new("") };
        Ok(reader.executions_where(&format!("id = {id}"))?.pop())
    }

    /// The session's head.
    pub fn info(&self) -> Result<SessionInfo, DbError> {
        Reader { db: self, dir: Path::new("") }.info()
    }

    /// Paths with their numbers, and whether the session created or wrote them.
    pub fn paths(&self) -> Result<Vec<PathRow>, DbError> {
        let sql = "SELECT p.id, p.path, ifnull(max(f.created_here), 0),
                   ifnull(max(f.usage IN ('write', 'update', 'rename_to')), 0)
                   FROM path p LEFT JOIN file_use f ON f.path = p.id GROUP BY p.id ORDER BY p.id";
        Reader { db: self, dir: Path::new("") }.rows(sql, |row| {
            Ok(Ok(PathRow { id: row.get(0)?, path: row.get(1)?, created_here: row.get(2)?, written: row.get(3)? }))
        })
    }

    /// The facts whose names begin so, with their values.
    pub fn facts_below(&self, prefix: &str) -> Result<Vec<(String, Value)>, DbError> {
        let all = Reader { db: self, dir: Path::new("") }.facts()?;
        Ok(all.into_iter().filter(|(key, _)| key.starts_with(prefix)).collect())
    }

    /// What is missing.
    pub fn gaps(&self) -> Result<Vec<Gap>, DbError> {
        Reader { db: self, dir: Path::new("") }.gaps()
    }

    /// Everything that is known of content.
    pub fn versions(&self) -> Result<Vec<FileVersion>, DbError> {
        Reader { db: self, dir: Path::new("") }.versions()
    }

    /// Everything that was done with files.
    pub fn files(&self) -> Result<Vec<FileUse>, DbError> {
        Reader { db: self, dir: Path::new("") }.files()
    }
}

/// A path of the session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathRow {
    /// Its number.
    pub id: i64,
    /// The path.
    pub path: Vec<u8>,
    /// The session created it.
    pub created_here: bool,
    /// The session wrote it.
    pub written: bool,
}

struct Reader<'a> {
    db: &'a Db,
    dir: &'a Path,
}

/// A row whose column types are right; what it says may still be wrong.
type Parsed<T> = Result<T, DbError>;

impl Reader<'_> {
    fn rows<T>(
        &self,
        sql: &str,
        mut parse: impl FnMut(&Row<'_>) -> Result<Parsed<T>, rusqlite::Error>,
    ) -> Parsed<Vec<T>> {
        let error = |source| self.db.error("read", source);
        let mut statement = self.db.connection().prepare(sql).map_err(error)?;
        let mut rows = statement.query([]).map_err(error)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(error)? {
            all.push(parse(row).map_err(error)??);
        }
        Ok(all)
    }

    fn recording(&self, with_outputs: bool) -> Parsed<Recording> {
        let mut executions = self.executions()?;
        let mut outputs = if with_outputs { self.outputs()? } else { BTreeMap::new() };
        let mut questions: BTreeMap<i64, Vec<StdinExchange>> = BTreeMap::new();
        for (execution, exchange) in self.questions()? {
            questions.entry(execution).or_default().push(exchange);
        }
        for execution in &mut executions {
            execution.outputs = outputs.remove(&execution.id).unwrap_or_default();
            execution.stdin = questions.remove(&execution.id).unwrap_or_default();
        }
        executions.sort_by_key(|execution| (execution.busy.unwrap_or(execution.sent), execution.id));
        Ok(Recording {
            info: self.info()?,
            executions,
            files: self.files()?,
            versions: self.versions()?,
            processes: self.processes()?,
            connections: self.connections()?,
            environment: self
                .rows("SELECT name, value FROM environment ORDER BY 1", |row| Ok(Ok((row.get(0)?, row.get(1)?))))?
                .into_iter()
                .collect(),
            facts: self.facts()?.into_iter().collect(),
            gaps: self.gaps()?,
            comms: self.comms()?,
        })
    }

    fn gaps(&self) -> Parsed<Vec<Gap>> {
        self.rows("SELECT at, reason, detail, count FROM gap ORDER BY id", |row| {
            let count: i64 = row.get(3)?;
            Ok(Ok(Gap { at: row.get(0)?, reason: row.get(1)?, detail: row.get(2)?, count: count.cast_unsigned() }))
        })
    }

    fn facts(&self) -> Parsed<Vec<(String, Value)>> {
        self.rows("SELECT key, value FROM fact ORDER BY 1", |row| {
            let (key, value): (String, String) = (row.get(0)?, row.get(1)?);
            Ok(parse_json("a fact", &value).map(|value| (key, value)))
        })
    }

    fn info(&self) -> Parsed<SessionInfo> {
        let sql = "SELECT id, started, ended, kernel, display_name, language, argv, interrupt_mode, kernel_env, cwd,
                   notebook, notebook_source, user, uid, gid, home, host, nbpack_version, coverage, exit_status, parent,
                   (SELECT count(*) FROM execution WHERE NOT silent) FROM session";
        let rows = self.rows(sql, |row| {
            let (argv, env): (String, String) = (row.get(6)?, row.get(8)?);
            let parent: Option<String> = row.get(20)?;
            let executions: i64 = row.get(21)?;
            let info = SessionInfo {
                id: SessionId(row.get(0)?),
                started: row.get(1)?,
                ended: row.get(2)?,
                kernel: row.get(3)?,
                display_name: row.get(4)?,
                language: row.get(5)?,
                argv: Vec::new(),
                interrupt_mode: row.get(7)?,
                kernel_env: BTreeMap::new(),
                cwd: path(row.get(9)?),
                notebook: row.get::<_, Option<Vec<u8>>>(10)?.map(path),
                notebook_source: row.get(11)?,
                user: row.get(12)?,
                uid: row.get(13)?,
                gid: row.get(14)?,
                home: path(row.get(15)?),
                host: row.get(16)?,
                nbpack_version: row.get(17)?,
                coverage: row.get(18)?,
                exit_status: row.get(19)?,
                parent: None,
                executions: executions.cast_unsigned(),
                running: false,
            };
            let parse = || {
                Ok(SessionInfo {
                    argv: parse_json("the kernel's argv", &argv)?,
                    kernel_env: parse_json("the kernel's env", &env)?,
                    parent: parent.as_deref().map(digest).transpose()?,
                    ..info
                })
            };
            Ok(parse())
        })?;
        rows.into_iter().next().ok_or_else(|| DbError::Row { what: "no session", found: String::new() })
    }

    fn executions(&self) -> Parsed<Vec<Execution>> {
        Ok(self.executions_where("1")?.into_iter().map(|(execution, _)| execution).collect())
    }

    fn executions_where(&self, condition: &str) -> Parsed<Vec<(Execution, bool)>> {
        let sql = format!(
            "SELECT id, msg_id, cell_id, code, request, silent, is_magic, execution_count, sent, busy, reply, idle, status,
             ename, evalue, interrupted, client, username, user_expressions, clear_pending
             FROM execution WHERE {condition} ORDER BY id"
        );
        self.rows(&sql, |row| {
            let clear_pending: bool = row.get(19)?;
            let (request, expressions): (String, String) = (row.get(4)?, row.get(18)?);
            let status: Option<String> = row.get(12)?;
            let execution = Execution {
                id: row.get(0)?,
                msg_id: row.get(1)?,
                cell_id: row.get(2)?,
                code: row.get(3)?,
                request: Value::Null,
                silent: row.get(5)?,
                is_magic: row.get(6)?,
                execution_count: row.get(7)?,
                sent: row.get(8)?,
                busy: row.get(9)?,
                reply: row.get(10)?,
                idle: row.get(11)?,
                status: None,
                ename: row.get(13)?,
                evalue: row.get(14)?,
                interrupted: row.get(15)?,
                client: row.get(16)?,
                username: row.get(17)?,
                user_expressions: Value::Null,
                outputs: Vec::new(),
                stdin: Vec::new(),
            };
            let parse = || {
                let execution = Execution {
                    request: parse_json("a request", &request)?,
                    user_expressions: parse_json("user expressions", &expressions)?,
                    status: word(status.as_deref(), "a status", db::parse_status)?,
                    ..execution
                };
                Ok((execution, clear_pending))
            };
            Ok(parse())
        })
    }

    fn outputs(&self) -> Parsed<BTreeMap<i64, Vec<Output>>> {
        let sql = "SELECT execution, kind, name, body, digest FROM output ORDER BY execution, ord";
        let mut all: BTreeMap<i64, Vec<Output>> = BTreeMap::new();
        let rows = self.rows(sql, |row| {
            let (execution, kind, name): (i64, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (body, blob): (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
            let parse = || {
                let text = match (body, blob) {
                    (Some(text), _) => text,
                    (None, Some(name)) => self.blob_text(&name)?,
                    (None, None) => return Err(DbError::Row { what: "an output without a body", found: kind.clone() }),
                };
                let output = if kind == "stream" {
                    Output::Stream { name: name.unwrap_or_default(), text }
                } else {
                    parse_json("an output", &text)?
                };
                Ok((execution, output))
            };
            Ok(parse())
        })?;
        for (execution, output) in rows {
            let list = all.entry(execution).or_default();
            match (list.last_mut(), output) {
                (Some(Output::Stream { name, text }), Output::Stream { name: next, text: more }) if *name == next => {
                    text.push_str(&more);
                }
                (_, output) => list.push(output),
            }
        }
        Ok(all)
    }

    fn questions(&self) -> Parsed<Vec<(i64, StdinExchange)>> {
        self.rows("SELECT execution, prompt, masked, value, asked FROM stdin ORDER BY id", |row| {
            let exchange =
                StdinExchange { prompt: row.get(1)?, masked: row.get(2)?, value: row.get(3)?, asked: row.get(4)? };
            Ok(Ok((row.get(0)?, exchange)))
        })
    }

    fn files(&self) -> Parsed<Vec<FileUse>> {
        let sql =
            "SELECT p.path, execution, usage, pid, first, last, count, created_here, dev, ino, size, mtime_ns, ctime_ns
                   FROM file_use f JOIN path p ON p.id = f.path";
        let mut all = self.rows(sql, |row| {
            let usage: String = row.get(2)?;
            let count: i64 = row.get(6)?;
            let dev: Option<i64> = row.get(8)?;
            let signature = dev.map(|_| signature(row, 8)).transpose()?;
            let file = (row.get(0)?, outside(row.get(1)?), row.get(3)?, row.get(4)?, row.get(5)?, row.get(7)?);
            let parse = || {
                let (path, execution, pid, first, last, created_here) = file;
                let usage = word(Some(&usage), "a file's use", db::parse_use)?
                    .ok_or_else(|| DbError::Row { what: "a file's use", found: usage.clone() })?;
                let count = count.cast_unsigned();
                Ok(FileUse { path, execution, pid, usage, first, last, count, signature, created_here })
            };
            Ok(parse())
        })?;
        all.sort_by(|a, b| (&a.path, a.execution, a.usage).cmp(&(&b.path, b.execution, b.usage)));
        Ok(all)
    }

    fn versions(&self) -> Parsed<Vec<FileVersion>> {
        let sql = "SELECT p.path, execution, role, digest, dev, ino, size, mtime_ns, ctime_ns, mode, kept, unstable, seen, note
                   FROM file_version v JOIN path p ON p.id = v.path";
        let mut all = self.rows(sql, |row| {
            let (role, name): (String, Option<String>) = (row.get(2)?, row.get(3)?);
            let version = FileVersion {
                path: row.get(0)?,
                execution: outside(row.get(1)?),
                role: super::model::Role::Read,
                digest: None,
                signature: signature(row, 4)?,
                mode: row.get(9)?,
                kept: row.get(10)?,
                unstable: row.get(11)?,
                seen: row.get(12)?,
                note: row.get(13)?,
            };
            let parse = || {
                let role = db::parse_role(&role).ok_or_else(|| DbError::Row { what: "a role", found: role.clone() })?;
                Ok(FileVersion { role, digest: name.as_deref().map(digest).transpose()?, ..version })
            };
            Ok(parse())
        })?;
        all.sort_by(|a, b| (&a.path, a.execution, a.role).cmp(&(&b.path, b.execution, b.role)));
        Ok(all)
    }

    fn processes(&self) -> Parsed<Vec<Process>> {
        self.rows("SELECT pid, ppid, started, exe, argv, execution FROM process ORDER BY id", |row| {
            let argv: String = row.get(4)?;
            let process = Process {
                pid: row.get(0)?,
                ppid: row.get(1)?,
                started: row.get(2)?,
                exe: row.get(3)?,
                argv: Vec::new(),
                execution: outside(row.get(5)?),
            };
            Ok(parse_json("a process", &argv).map(|argv: Vec<String>| Process {
                argv: argv.iter().map(|arg| db::from_latin(arg)).collect(),
                ..process
            }))
        })
    }

    fn connections(&self) -> Parsed<Vec<ConnectionUse>> {
        self.rows("SELECT address, execution, first, count FROM connection ORDER BY 1, 2", |row| {
            let count: i64 = row.get(3)?;
            let execution = outside(row.get(1)?);
            Ok(Ok(ConnectionUse { address: row.get(0)?, execution, first: row.get(2)?, count: count.cast_unsigned() }))
        })
    }

    fn comms(&self) -> Parsed<Vec<CommMessage>> {
        let mut buffers: BTreeMap<i64, Vec<Vec<u8>>> = BTreeMap::new();
        let rows = self.rows("SELECT comm, body, digest FROM comm_buffer ORDER BY comm, ord", |row| {
            let (comm, body, name): (i64, Option<Vec<u8>>, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(match (body, name) {
                (Some(body), _) => Ok((comm, body)),
                (None, Some(name)) => self.blob(&name).map(|body| (comm, body)),
                (None, None) => Err(DbError::Row { what: "a comm buffer without a body", found: comm.to_string() }),
            })
        })?;
        for (comm, body) in rows {
            buffers.entry(comm).or_default().push(body);
        }
        self.rows("SELECT id, at, msg_type, comm_id, content, after FROM comm ORDER BY id", |row| {
            let id: i64 = row.get(0)?;
            let content: String = row.get(4)?;
            let comm = CommMessage {
                at: row.get(1)?,
                msg_type: row.get(2)?,
                comm_id: row.get(3)?,
                content: Value::Null,
                text: None,
                buffers: buffers.remove(&id).unwrap_or_default(),
                after: row.get(5)?,
            };
            Ok(parse_json("a comm message", &content).map(|value| CommMessage {
                content: value,
                text: Some(content),
                ..comm
            }))
        })
    }

    fn blob_text(&self, name: &str) -> Parsed<String> {
        let bytes = self.blob(name)?;
        String::from_utf8(bytes).map_err(|_| DbError::Row { what: "an output that is not text", found: name.into() })
    }

    fn blob(&self, name: &str) -> Parsed<Vec<u8>> {
        let digest = digest(name)?;
        let hex = digest.hex();
        let beside = self.dir.join("blobs").join(&hex);
        let in_store = self.dir.join("../../blobs/sha256").join(hex.get(..2).unwrap_or_default()).join(&hex);
        let path = if beside.exists() { beside } else { in_store };
        let bytes = files::read_bounded(&path, LONGEST_BLOB).map_err(|source| DbError::Blob { digest, source })?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(DbError::Row {
                what: "a blob with other bytes",
                found: format!("{found} under the name {digest}"),
            });
        }
        Ok(bytes)
    }
}

fn parse_json<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Parsed<T> {
    serde_json::from_str(text).map_err(|_| DbError::Row { what, found: text.chars().take(80).collect() })
}

fn digest(text: &str) -> Parsed<Digest> {
    text.parse().map_err(|_| DbError::Row { what: "a digest", found: text.chars().take(80).collect() })
}

fn word<T>(text: Option<&str>, what: &'static str, parse: impl Fn(&str) -> Option<T>) -> Parsed<Option<T>> {
    text.map(|text| parse(text).ok_or_else(|| DbError::Row { what, found: text.chars().take(80).collect() }))
        .transpose()
}

fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

fn outside(execution: i64) -> Option<i64> {
    (execution != 0).then_some(execution)
}

fn signature(row: &Row<'_>, first: usize) -> rusqlite::Result<Signature> {
    let number = |column: usize| row.get::<_, i64>(column);
    Ok(Signature {
        dev: number(first)?.cast_unsigned(),
        ino: number(first + 1)?.cast_unsigned(),
        size: number(first + 2)?.cast_unsigned(),
        mtime_ns: number(first + 3)?,
        ctime_ns: number(first + 4)?,
    })
}
