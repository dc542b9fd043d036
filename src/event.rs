//! What was seen, as data: the vocabulary between the watchers (`kernel`, `capture`) and the recording.
//!
//! A watcher hands each event to an [`EventSink`] and knows nothing of how it is kept.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Nanoseconds since the epoch, `CLOCK_REALTIME`: comparable with the `date` in Jupyter headers of this machine.
pub type Nanos = i64;

/// A Jupyter channel (messaging specification 5.5, "Introduction").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Requests that are queued behind each other, and their replies.
    Shell,
    /// Requests that overtake the queue: interrupt, shutdown, debug.
    Control,
    /// Questions of the kernel to one frontend.
    Stdin,
    /// What the kernel tells everybody.
    Iopub,
}

/// Which way a message went.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From a frontend to the kernel.
    ToKernel,
    /// From the kernel to one or all frontends.
    ToFrontend,
}

/// One message as it was forwarded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageRecord {
    /// When the proxy had it in hand.
    pub at: Nanos,
    /// The channel it came over.
    pub channel: Channel,
    /// Which way it went.
    pub direction: Direction,
    /// The frontend's routing identity; empty on iopub.
    pub client: Bytes,
    /// The frames after `<IDS|MSG>`, without the signature: header, parent header, metadata, content, buffers.
    ///
    /// Not checked: foreign bytes, of any number and length. The signature and the key never come here.
    pub frames: Vec<Bytes>,
}

/// One intercepted system call that names a file. *Seen* before it ran: whether it succeeded is not known here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileAccess {
    /// When it was seen.
    pub at: Nanos,
    /// Thread group (process) id, as the supervisor sees it.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// What was asked for.
    pub op: FileOp,
    /// Absolute path as the target sees it (relative ones were joined with its working directory), not normalised.
    pub path: Vec<u8>,
    /// The second path of `rename` and `link`; the target text of `symlink`.
    pub other: Option<Vec<u8>>,
    /// What `stat` said right after the call was let through, for opens that only read; for a directory that is removed or
    /// renamed what it said before, if the directory is older than the kernel. `None` where nobody looked.
    pub signature: Option<crate::files::Signature>,
    /// How many such calls this stands for, the last of them at `at`.
    pub times: u32,
}

/// The system calls that are watched, by what they do to a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileOp {
    /// `open`, `openat`, `openat2`, `creat` with the flags as given (`O_ACCMODE`, `O_CREAT`, `O_TRUNC`, `O_DIRECTORY` …).
    Open {
        /// `open(2)` flags of this architecture.
        flags: i32,
    },
    /// `execve`, `execveat`.
    Exec,
    /// `rename`, `renameat`, `renameat2`; `exchange` is `RENAME_EXCHANGE`.
    Rename {
        /// Both names change places.
        exchange: bool,
    },
    /// `unlink`, `unlinkat`; `dir` is `AT_REMOVEDIR`.
    Unlink {
        /// A directory is removed.
        dir: bool,
    },
    /// `truncate`.
    Truncate,
    /// `link`, `linkat`.
    Link,
    /// `symlink`, `symlinkat`.
    Symlink,
    /// An opening, a removal or a renaming of what is not there: it changes nothing.
    Missing,
}

/// The content that a file had before the session changed it was put aside, or could not be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Preserved {
    /// When.
    pub at: Nanos,
    /// The path as in the [`FileAccess`] that was about to change it.
    pub path: Vec<u8>,
    /// The content's signature before the change.
    pub signature: crate::files::Signature,
    /// Where the bytes lie now (a file of the session directory), or why they could not be kept.
    pub outcome: Result<std::path::PathBuf, String>,
    /// The process that was about to change it.
    #[serde(default)]
    pub pid: u32,
    /// Its thread.
    #[serde(default)]
    pub tid: u32,
}

/// A network connection that was asked for. Loopback is included; who reads filters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Connection {
    /// When it was seen.
    pub at: Nanos,
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// `tcp:ADDRESS:PORT`, `unix:PATH`, or the family's number.
    pub address: String,
}

/// A process that was seen for the first time, or that called `execve`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProcessStart {
    /// When it was seen.
    pub at: Nanos,
    /// Process id as the supervisor sees it.
    pub pid: u32,
    /// Its parent then.
    pub ppid: u32,
    /// The executable (`/proc/PID/exe`), empty when it could not be read.
    pub exe: Vec<u8>,
    /// The arguments, empty when they could not be read. Secrets are masked when the record is exported.
    pub argv: Vec<Vec<u8>>,
    /// It was seen when it called `execve`.
    #[serde(default)]
    pub exec: bool,
}

/// A thread that was seen for the first time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ThreadStart {
    /// When it was seen.
    pub at: Nanos,
    /// Its process.
    pub pid: u32,
    /// Its number; a process's first thread has the process's.
    pub tid: u32,
    /// When it was started, as Linux counts: in steps of 10 ms, never later than it was.
    pub started: Nanos,
}

/// Something that the recording does not hold, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Gap {
    /// When it was noticed.
    pub at: Nanos,
    /// A word from a fixed list: `io_uring`, `eintr_hazard`, `unreadable`, `foreign_arch`, `ring_full`, `preserve`,
    /// `disk_full`, `tap_lost`, `setuid`, `messages`, `unavailable` (the capture itself),
    /// `unanswered` (a file system that did not answer),
    /// `python_only` (native code's files), `database` and `database_lost` (it was
    /// damaged, and made again from the whole journal or from what was left of it).
    pub reason: String,
    /// For a person: what, where, how many.
    pub detail: String,
    /// How many things are missing, when that is known.
    pub count: u64,
}

/// Everything a recording is made of, in the order it was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The wrapped kernel was started.
    KernelStarted {
        /// When.
        at: Nanos,
        /// Its process id.
        pid: u32,
        /// Its arguments.
        argv: Vec<String>,
    },
    /// The wrapped kernel ended.
    KernelEnded {
        /// When.
        at: Nanos,
        /// A wait status as `waitpid(2)` gives it.
        status: i32,
    },
    /// A message was (or is about to be) forwarded.
    Message(MessageRecord),
    /// A file was asked for.
    File(FileAccess),
    /// A file's content was put aside before a change.
    Preserved(Preserved),
    /// A connection was asked for.
    Connection(Connection),
    /// A process was seen.
    Process(ProcessStart),
    /// A thread was seen.
    Thread(ThreadStart),
    /// At this moment between two executions these threads, all started in an execution, waited without a limit in time for
    /// the word of another thread or process.
    Waiting {
        /// Their numbers.
        tids: Vec<u32>,
    },
    /// Something is missing.
    Gap(Gap),
    /// How much the capture sees: `full`, `python-only` or `none`.
    Coverage {
        /// When this began to hold.
        at: Nanos,
        /// The word.
        coverage: String,
        /// The mechanism: `notify`, `ptrace`, `audit` or `none`.
        mechanism: String,
    },
    /// A fact about the machine or the session, by name (see `record::facts`).
    Fact {
        /// The name.
        key: String,
        /// JSON.
        value: serde_json::Value,
    },
}

/// How much an execution had shown and asked at a moment, as messages count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Shown {
    /// Bytes written to stdout and stderr.
    pub text: u64,
    /// Line feeds among them.
    pub lines: u64,
    /// Displays, results, errors and updates of displays.
    pub displays: u64,
    /// Questions over stdin.
    pub questions: u64,
}

impl Shown {
    /// Counts one message of the execution; whether it was one that shows or asks something.
    pub fn count(&mut self, msg_type: &str, content: &serde_json::Value) -> bool {
        match msg_type {
            "stream" => {
                let text = content.get("text").and_then(serde_json::Value::as_str).unwrap_or_default();
                self.text += text.len() as u64;
                self.lines += text.bytes().filter(|byte| *byte == b'\n').count() as u64;
            }
            "display_data" | "execute_result" | "error" | "update_display_data" => self.displays += 1,
            "input_request" => self.questions += 1,
            _ => return false,
        }
        true
    }

    /// Whether as much has been shown as then. Texts that are not the same every time are counted by lines.
    pub fn reaches(&self, then: &Self) -> bool {
        let text = self.text >= then.text || (then.lines > 0 && self.lines >= then.lines);
        text && self.displays >= then.displays && self.questions >= then.questions
    }
}

/// Takes events. Never blocks for long, never fails: what cannot be kept becomes a [`Gap`] in the record.
pub trait EventSink: Send + Sync {
    /// Keeps one event. When this returns, the event survives `kill -9` of this process; of a file that is opened again
    /// and again only how often may be lost.
    fn record(&self, event: Event);

    /// Keeps several, as if one after the other was given to [`EventSink::record`].
    fn record_all(&self, events: Vec<Event>) {
        for event in events {
            self.record(event);
        }
    }
}

/// Is told of a change before it happens, while the process that asked for it waits.
pub trait BeforeChange: Send + Sync {
    /// `access` is about to change or remove the file, or rename the directory, at `host_path` (its path as this process can open it, through
    /// `/proc/PID/root` where the target has another root). May copy the file; must return within the given time,
    /// for the notebook stands still. Called in the order of the system calls, after all earlier events went to the
    /// [`EventSink`].
    fn before_change(&self, access: &FileAccess, host_path: &std::path::Path);
}

/// What is to be started as the kernel.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Program (absolute path) and arguments, nothing left to replace.
    pub argv: Vec<std::ffi::OsString>,
    /// The whole environment.
    pub env: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    /// The working directory.
    pub cwd: std::path::PathBuf,
}

/// The wrapped kernel, started somehow (bare, under capture, in a container).
pub trait KernelProcess: Send + Sync {
    /// The process that signals go to: the kernel itself (in a container: as this machine numbers it).
    fn pid(&self) -> u32;
    /// Waits for the end; a wait status as `waitpid(2)` gives it. May be called from any thread, once.
    fn wait(&self) -> std::io::Result<i32>;
    /// Sends a signal to the kernel alone.
    fn signal(&self, signal: i32) -> std::io::Result<()>;
    /// Hands every event that was seen up to now to the sink. Called before a reply or `idle` is forwarded; takes
    /// at most a few milliseconds.
    fn settle(&self);
}

/// Starts the kernel once its sockets' places are known.
pub type Launcher = Box<dyn FnOnce(Launch) -> std::io::Result<std::sync::Arc<dyn KernelProcess>> + Send>;

/// The wall clock as [`Nanos`].
pub fn now() -> Nanos {
    #[expect(clippy::disallowed_methods, reason = "events are stamped when they are seen; bundles do not come here")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX))
}
