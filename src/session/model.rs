//! A recording as values: what every later step (inventory, bundle, replay, report) reads.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, event::Nanos};

/// Names one session: `20261122-175040-<8 hex digits>`, UTC; sorts by start. Letters, digits and `-` only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub String);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of a session without reading its executions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SessionInfo {
    /// Its name.
    pub id: SessionId,
    /// When the proxy started.
    pub started: Nanos,
    /// When the kernel ended; `None` while it runs and after a crash of the recorder.
    pub ended: Option<Nanos>,
    /// The kernelspec that was wrapped (`python3`).
    pub kernel: String,
    /// The wrapped kernelspec's `display_name`.
    pub display_name: String,
    /// The wrapped kernelspec's `language`.
    pub language: String,
    /// The wrapped kernel's argv with `{connection_file}` still in it, executables as resolved.
    pub argv: Vec<String>,
    /// The wrapped kernelspec's `interrupt_mode`: `signal` or `message`.
    pub interrupt_mode: String,
    /// The wrapped kernelspec's own `env`.
    pub kernel_env: BTreeMap<String, String>,
    /// The working directory at start.
    pub cwd: PathBuf,
    /// The notebook file, where it is known.
    pub notebook: Option<PathBuf>,
    /// How it is known: `JPY_SESSION_NAME`, `vscode`, `papermill`, `cells`, …
    pub notebook_source: Option<String>,
    /// The user's name, numeric ids and home.
    pub user: String,
    /// Numeric user id.
    pub uid: u32,
    /// Numeric group id.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
    /// Host name.
    pub host: String,
    /// The recorder's version.
    pub nbpack_version: String,
    /// `full`, `full-with-gaps: …`, `none`.
    pub coverage: String,
    /// The kernel's wait status.
    pub exit_status: Option<i32>,
    /// The manifest digest of the bundle that this kernel was restored from.
    pub parent: Option<Digest>,
    /// The number of executions that are not silent.
    pub executions: u64,
    /// A process of this session still runs.
    pub running: bool,
}

/// A whole recording, in memory. Outputs over 64 KiB are in it too: read it where that is wanted.
#[derive(Clone, PartialEq, Debug)]
pub struct Recording {
    /// The session's head.
    pub info: SessionInfo,
    /// In the order in which the kernel ran them. Silent ones included.
    pub executions: Vec<Execution>,
    /// Each (path, execution, operation class) once.
    pub files: Vec<FileUse>,
    /// Content that files had, at certain executions.
    pub versions: Vec<FileVersion>,
    /// Processes.
    pub processes: Vec<Process>,
    /// Connections asked for.
    pub connections: Vec<ConnectionUse>,
    /// Environment of the kernel at start: every name; the value where it may be kept.
    pub environment: BTreeMap<String, Option<String>>,
    /// Facts about machine and interpreter by name (`cpu.flags`, `os.release`, `limits`, `python` …), JSON.
    pub facts: BTreeMap<String, serde_json::Value>,
    /// What is missing.
    pub gaps: Vec<crate::event::Gap>,
    /// Frontend comm messages between executions that change the kernel's state, in order.
    pub comms: Vec<CommMessage>,
}

/// The fact that holds [`Recording::interruptions`].
pub const INTERRUPTIONS: &str = "interruptions";
/// The fact that holds [`Recording::deleted_cells`].
pub const DELETED_CELLS: &str = "deleted_cells";
/// The facts that hold [`Recording::links`] begin so; a number of six digits follows.
pub const LINK: &str = "link:";
/// The facts that hold [`Recording::widgets`] begin so; a number of six digits follows.
pub const WIDGET: &str = "widget:";

/// Somebody ended an execution before it ended itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Interruption {
    /// What was done.
    pub how: Stop,
    /// How long after the kernel had begun with it.
    pub after: Nanos,
    /// How long nothing had been shown then.
    pub quiet: Nanos,
    /// What had been shown then.
    pub shown: crate::event::Shown,
}

/// See [`Interruption::how`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The execution was interrupted, by message or signal.
    Interrupt,
    /// The kernel was told to end or to restart.
    End,
}

/// The model of a widget, as it was at the end of the session.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Widget {
    /// Its id, made anew in each session.
    pub comm_id: String,
    /// The execution that made it.
    pub execution: Option<i64>,
    /// Its state; buffers and long values stand in it by digest and length.
    pub state: serde_json::Value,
    /// It was closed.
    pub closed: bool,
}

/// A symbolic link as it was when the session began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Where it lies: absolute, no link above it.
    pub path: Vec<u8>,
    /// Its text, as `readlink(2)` gives it.
    pub target: Vec<u8>,
}

impl Link {
    /// As a fact.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "path": super::db::latin(&self.path), "target": super::db::latin(&self.target) })
    }

    /// From a fact; `None` when it is none of a link.
    pub fn from_json(value: &serde_json::Value) -> Option<Self> {
        let bytes = |name: &str| value.get(name)?.as_str().map(super::db::from_latin);
        Some(Self { path: bytes("path")?, target: bytes("target")? })
    }
}

impl Recording {
    /// Symbolic links that the session walked or changed, as they were when it began.
    pub fn links(&self) -> Vec<Link> {
        let from = self.facts.range(LINK.to_owned()..).take_while(|(key, _)| key.starts_with(LINK));
        from.filter_map(|(_, value)| Link::from_json(value)).collect()
    }

    /// When and how this execution was interrupted, or the kernel told to end while it ran.
    pub fn interruptions(&self, execution: i64) -> Vec<Interruption> {
        let all = self.facts.get(INTERRUPTIONS).and_then(|all| all.get(execution.to_string()));
        all.and_then(|all| serde_json::from_value(all.clone()).ok()).unwrap_or_default()
    }

    /// By cell id the first execution before which the frontend said that the cell was deleted.
    pub fn deleted_cells(&self) -> BTreeMap<String, i64> {
        let all = self.facts.get(DELETED_CELLS);
        all.and_then(|all| serde_json::from_value(all.clone()).ok()).unwrap_or_default()
    }

    /// The models of widgets, in the order in which they were made.
    pub fn widgets(&self) -> Vec<Widget> {
        let from = self.facts.range(WIDGET.to_owned()..).take_while(|(key, _)| key.starts_with(WIDGET));
        from.filter_map(|(_, value)| serde_json::from_value(value.clone()).ok()).collect()
    }
}

/// One `execute_request` and what came of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Execution {
    /// Row number, from 1, in the order of `t_sent`.
    pub id: i64,
    /// `header.msg_id` of the request.
    pub msg_id: String,
    /// `metadata.cellId` (or `cell_id`) where the frontend says it.
    pub cell_id: Option<String>,
    /// The code as sent.
    pub code: String,
    /// The request's content as sent, without `code`: `silent`, `store_history`, `user_expressions`, `allow_stdin`, `stop_on_error`.
    pub request: serde_json::Value,
    /// `content.silent`.
    pub silent: bool,
    /// It was only `%nbpack …` lines and never ran as code.
    pub is_magic: bool,
    /// `execution_count` that the kernel gave it.
    pub execution_count: Option<i64>,
    /// When the proxy forwarded the request.
    pub sent: Nanos,
    /// When the kernel said `busy` (its own clock, from the header).
    pub busy: Option<Nanos>,
    /// When the reply passed.
    pub reply: Option<Nanos>,
    /// When the kernel said `idle` (its own clock).
    pub idle: Option<Nanos>,
    /// `None` while it runs, or when the kernel died in it.
    pub status: Option<Status>,
    /// Exception name, where it ended in an error.
    pub ename: Option<String>,
    /// Exception text.
    pub evalue: Option<String>,
    /// An interrupt (signal or `interrupt_request`) was seen while it ran.
    pub interrupted: bool,
    /// `header.session` of the request: which client asked.
    pub client: String,
    /// `header.username` of the request.
    pub username: String,
    /// The reply's `user_expressions`.
    pub user_expressions: serde_json::Value,
    /// What a frontend shows at the end: streams joined, `clear_output` and `update_display_data` applied.
    pub outputs: Vec<Output>,
    /// Questions asked over stdin.
    pub stdin: Vec<StdinExchange>,
}

/// How an execution ended (messaging specification, "Execution results").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Without an exception.
    Ok,
    /// With an exception.
    Error,
    /// It never ran: an earlier execution failed.
    Aborted,
}

/// One output as a frontend keeps it (nbformat 4, "Code cell outputs").
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "output_type", rename_all = "snake_case")]
pub enum Output {
    /// Text written to stdout or stderr; all of one name between other outputs is one.
    Stream {
        /// `stdout` or `stderr`.
        name: String,
        /// The text with carriage returns as sent.
        text: String,
    },
    /// A display.
    DisplayData {
        /// Mime type → value as sent (text, base64 text, or JSON).
        data: BTreeMap<String, serde_json::Value>,
        /// As sent.
        metadata: serde_json::Value,
        /// `transient.display_id`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        display_id: Option<String>,
    },
    /// The value of the cell.
    ExecuteResult {
        /// Mime type → value as sent.
        data: BTreeMap<String, serde_json::Value>,
        /// As sent.
        metadata: serde_json::Value,
        /// As sent.
        execution_count: Option<i64>,
    },
    /// An exception.
    Error {
        /// Its name.
        ename: String,
        /// Its text.
        evalue: String,
        /// Lines, with ANSI colours as sent.
        traceback: Vec<String>,
    },
}

/// One `input_request` and its answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StdinExchange {
    /// The prompt.
    pub prompt: String,
    /// It was asked as a password (or looked like one): no value is kept, not even its length.
    pub masked: bool,
    /// The answer; `None` when masked or never given.
    pub value: Option<String>,
    /// When it was asked.
    pub asked: Nanos,
}

/// A `comm_open`, `comm_msg` or `comm_close` that a frontend sent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CommMessage {
    /// When.
    pub at: Nanos,
    /// `comm_open`, `comm_msg`, `comm_close`.
    pub msg_type: String,
    /// The comm.
    pub comm_id: String,
    /// Content as sent.
    pub content: serde_json::Value,
    /// The same, letter by letter, where that is known: Python keeps the order of an object's keys, and shows it.
    #[serde(skip)]
    pub text: Option<String>,
    /// Buffers as sent.
    #[serde(skip)]
    pub buffers: Vec<Vec<u8>>,
    /// The last execution that had been sent before it.
    pub after: Option<i64>,
}

/// What was done with a file, roughly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// Opened for reading only, a regular file.
    Read,
    /// Opened for writing in some way (created, truncated, appended, read and written).
    Write,
    /// Opened for reading and writing without truncation: both an input and a result.
    Update,
    /// A directory was opened: it was probably listed.
    List,
    /// Run by `execve`, or named by `#!` or `PT_INTERP` of what was run.
    Exec,
    /// Looked for and not there.
    Absent,
    /// Removed.
    Remove,
    /// The old name of a rename.
    RenameFrom,
    /// The new name of a rename, link or symlink.
    RenameTo,
    /// A directory was removed that is older than the session.
    RemoveDirectory,
    /// The old name of such a directory that was renamed.
    RenameDirectory,
}

/// One (path, execution, use).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileUse {
    /// Absolute path, `.` and `..` and `//` folded textually where no symlink can make a difference; bytes, not UTF-8.
    pub path: Vec<u8>,
    /// The execution in which it happened; `None` is outside any cell.
    pub execution: Option<i64>,
    /// The process.
    pub pid: u32,
    /// What.
    #[serde(rename = "use")]
    pub usage: Use,
    /// First time.
    pub first: Nanos,
    /// Last time.
    pub last: Nanos,
    /// How often.
    pub count: u64,
    /// Signature at first use, for regular files.
    pub signature: Option<crate::files::Signature>,
    /// It was created by this session (so it is no input).
    pub created_here: bool,
}

/// Content of a file at a time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileVersion {
    /// The path as in [`FileUse`].
    pub path: Vec<u8>,
    /// The execution in which it was read or written.
    pub execution: Option<i64>,
    /// `read` (an input as it was first read) or `written`.
    pub role: Role,
    /// SHA-256; `None` when it could not be read (see `note`).
    pub digest: Option<Digest>,
    /// Signature when hashed.
    pub signature: crate::files::Signature,
    /// Permission bits.
    pub mode: u32,
    /// The bytes lie in the blob store (else only the file itself has them).
    pub kept: bool,
    /// It changed while it was read.
    pub unstable: bool,
    /// When it was hashed.
    pub seen: Nanos,
    /// What a person should know: `larger than the limit`, `changed since`, …
    pub note: Option<String>,
}

/// See [`FileVersion::role`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// An input as it was when the session first read it (or before the session changed it).
    Read,
    /// A result as it was at the end of the execution that wrote it.
    Written,
}

/// A process of the session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Process {
    /// Process id then.
    pub pid: u32,
    /// Parent then.
    pub ppid: u32,
    /// First seen.
    pub started: Nanos,
    /// Executable.
    pub exe: Vec<u8>,
    /// Arguments.
    pub argv: Vec<Vec<u8>>,
    /// The execution in which it started.
    pub execution: Option<i64>,
}

/// A connection that an execution asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConnectionUse {
    /// `tcp:ADDRESS:PORT`, …
    pub address: String,
    /// The execution.
    pub execution: Option<i64>,
    /// First time.
    pub first: Nanos,
    /// How often.
    pub count: u64,
}
