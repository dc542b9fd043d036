//! Takes records off the ring and makes events of them. May touch files, so it runs in a thread that nobody waits for,
//! save the callers whose calls are parked.

use std::{
    collections::{HashMap, HashSet},
    fs::Metadata,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    address::address,
    audit,
    hold::Hold,
    interpreter,
    own_names::through_self,
    preload::{Opening, Openings},
    ring::{self, Shared},
    seen::{Seen, What},
    supervisor::{is_pseudo, monotonic},
    sys, target,
};
use crate::event::{
    self, BeforeChange, Connection, Event, EventSink, FileAccess, FileOp, Gap, Nanos, ProcessStart, ThreadStart,
};
use crate::files::{self, Signature, as_path};

/// Beyond this many known processes the ones that have gone are forgotten.
const MANY: usize = 4096;
/// At most so many events are handed over together.
const TOGETHER: usize = 256;
/// At most one gap of a counted kind in this time (ns).
const GAP_INTERVAL: u64 = 1_000_000_000;
/// The counters of the shared memory, as gaps.
const COUNTED: [(&str, &str); 3] = [
    ("ring_full", "calls came faster than they could be kept"),
    ("eintr_hazard", "a signal struck while a call waited to be seen; without SA_RESTART that call failed with EINTR"),
    ("preserve", "a change went on before the old content was put aside"),
];

/// What runs in a process.
#[derive(Clone, Debug, Default)]
struct Program {
    exe: Vec<u8>,
    argv: Vec<Vec<u8>>,
}

/// The signals that make a process's calls fail.
#[derive(Debug, Default)]
struct Hazard {
    handlers: HashSet<i32>,
    timers: HashSet<i32>,
    told: bool,
}

/// The reader of the ring.
pub(super) struct Drain {
    shared: Arc<Shared>,
    openings: Option<Arc<Openings>>,
    /// The name by which the kernel's loader opens our object, until it did.
    object: Option<Vec<u8>>,
    sink: Arc<dyn EventSink>,
    before: Arc<dyn BeforeChange>,
    answer: Answer,
    hold: Arc<Hold>,
    no_new_privs: bool,
    kernel: u32,
    words: Vec<u64>,
    /// Events that the sink has not yet.
    out: Vec<Event>,
    processes: HashMap<u32, Program>,
    hazards: HashMap<u32, Hazard>,
    /// When the threads were started that were told of.
    threads: HashMap<u32, Nanos>,
    /// When this began, with the kernel.
    began: Nanos,
    interpreters: HashMap<(Vec<u8>, Signature), Vec<Vec<u8>>>,
    /// The kernel's root, where it lives in another one.
    root: Option<OwnedFd>,
    /// Calls whose paths could not be read, by process.
    unreadable: HashMap<u32, u64>,
    /// Files of file systems that did not answer.
    unanswered: u64,
    /// What was told of the counters, and when.
    told: [(u64, u64); 3],
}

/// How a call that waited goes on.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// By an answer to its notification.
    Notification(Arc<OwnedFd>),
    /// Its tracer hears the bell and looks.
    Bell(Arc<OwnedFd>),
    /// By a word into the pipe in this directory where it waits.
    Pipe(PathBuf),
}

/// What a drain is made with.
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    pub(super) openings: Option<Arc<Openings>>,
    pub(super) object: Option<Vec<u8>>,
    pub(super) sink: Arc<dyn EventSink>,
    pub(super) before: Arc<dyn BeforeChange>,
    pub(super) answer: Answer,
    pub(super) hold: Arc<Hold>,
    pub(super) no_new_privs: bool,
    pub(super) kernel: u32,
}

impl Drain {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { shared, openings, object, sink, before, answer, hold, no_new_privs, kernel } = parts;
        Self {
            shared,
            openings,
            object,
            sink,
            before,
            answer,
            hold,
            no_new_privs,
            kernel,
            words: Vec::new(),
            out: Vec::new(),
            processes: HashMap::new(),
            hazards: HashMap::new(),
            threads: HashMap::new(),
            began: event::now(),
            interpreters: HashMap::new(),
            root: None,
            unreadable: HashMap::new(),
            unanswered: 0,
            told: [(0, 0); 3],
        }
    }

    /// Handles all records that are there; says how many. `done` is called after each.
    pub(super) fn run(&mut self, done: &AtomicU64) -> usize {
        let mut handled = 0;
        let mut words = std::mem::take(&mut self.words);
        while self.shared.peek(&mut words) {
            if let Some(seen) = Seen::decode(&words) {
                handled += self.take_openings(seen.at);
                self.handle(seen);
            }
            self.shared.release(&words);
            handled += 1;
            if self.out.len() >= TOGETHER {
                self.hand_over();
                done.store(self.shared.tail(), Ordering::Release);
            }
        }
        self.words = words;
        handled += self.take_openings(Nanos::MAX);
        self.tell_counts(GAP_INTERVAL);
        self.hand_over();
        self.openings.iter().for_each(|openings| openings.set_done());
        // Only now: who waits for a record waits until the sink has it.
        done.store(self.shared.tail(), Ordering::Release);
        handled
    }

    /// Takes what the kernel wrote down itself and what is not younger than `until`; says how many.
    fn take_openings(&mut self, until: Nanos) -> usize {
        let Some(openings) = self.openings.clone() else { return 0 };
        let mut taken = 0;
        while let Some(Opening { at, flags, path, signature }) = openings.next(until) {
            let (pid, op) = (self.kernel, FileOp::Open { flags });
            self.out.push(Event::File(FileAccess { at, pid, tid: pid, op, path, other: None, signature, times: 1 }));
            taken += 1;
        }
        taken
    }

    /// Gives the sink what it has not yet: many events together cost a third of each alone.
    fn hand_over(&mut self) {
        if !self.out.is_empty() {
            self.sink.record_all(std::mem::take(&mut self.out));
        }
    }

    /// Tells what was counted since the last time and is not told yet.
    pub(super) fn finish(&mut self) {
        self.tell_counts(0);
        self.hand_over();
    }

    fn tell_counts(&mut self, interval: u64) {
        for ((count, told), (reason, detail)) in self.shared.counts().into_iter().zip(&mut self.told).zip(COUNTED) {
            if count <= told.0 {
                continue;
            }
            let now = monotonic();
            if told.1 == 0 || now.saturating_sub(told.1) >= interval {
                let gap = Gap { at: event::now(), reason: reason.into(), detail: detail.into(), count: count - told.0 };
                *told = (count, now);
                self.out.push(Event::Gap(gap));
            }
        }
    }

    fn gap(&mut self, seen: &Seen, reason: &str, detail: String) {
        self.out.push(Event::Gap(Gap { at: seen.at, reason: reason.into(), detail, count: 1 }));
    }

    fn handle(&mut self, seen: Seen) {
        self.meet_thread(&seen);
        if seen.what == What::Exec {
            self.exec(&seen);
            return;
        }
        self.meet(&seen);
        if seen.what == What::Spawn {
            self.program(&seen);
            return;
        }
        let op = match seen.what {
            What::Rename { .. } | What::Unlink { .. } if self.finds_nothing(&seen) => FileOp::Missing,
            What::Open { flags } => FileOp::Open { flags },
            What::Rename { exchange } => FileOp::Rename { exchange },
            What::Unlink { dir } => FileOp::Unlink { dir },
            What::Truncate => FileOp::Truncate,
            What::Link => FileOp::Link,
            What::Symlink => FileOp::Symlink,
            What::Exec | What::Spawn => FileOp::Exec,
            What::Reach => return self.connection(&seen, files::display_bytes(&seen.path).to_string()),
            What::Connect => return self.connect(&seen),
            What::IoUring => {
                let detail = format!("{} uses io_uring: files that it opens there are not seen", self.name(seen.pid));
                return self.gap(&seen, "io_uring", detail);
            }
            What::Handler { .. } | What::Timer { .. } => return self.hazard(&seen),
            What::Unreadable { errno } => return self.unreadable(&seen, errno),
        };
        // By its name: the descriptor behind it may be another file's by now.
        if seen.pid == self.kernel && self.object.take_if(|object| *object == seen.path).is_some() {
            return;
        }
        let mut access = FileAccess {
            at: seen.at,
            pid: seen.pid,
            tid: seen.tid,
            op,
            path: through_self(&seen, seen.path.clone()),
            other: None,
            signature: None,
            times: 1,
        };
        if !seen.other.is_empty() {
            access.other = Some(seen.other.clone());
        }
        if seen.parked != 0 {
            access.signature = self.old_directory(&seen, &access.path);
            self.tell_before(&seen, &access);
        } else if let What::Open { flags } = seen.what
            && only_reads(flags)
            && !is_pseudo(&access.path)
        {
            let (host, found) = self.look(&seen, &access.path);
            let timed_out = |error: &std::io::Error| error.kind() == std::io::ErrorKind::TimedOut;
            if found.as_ref().is_some_and(|found| found.as_ref().is_err_and(timed_out)) {
                self.unanswered(&seen, &host);
            }
            // Whoever looks again later may find what the session has put there since. A link to nothing is there.
            if found.as_ref().is_some_and(|found| found.as_ref().is_err_and(is_not_found))
                && flags & libc::O_CREAT == 0
                && files::symlink_metadata(&self.reach(&seen, &access.path, false)).is_err()
            {
                access.op = FileOp::Missing;
            }
            let file = found.and_then(Result::ok).filter(Metadata::is_file);
            access.signature = file.map(|metadata| Signature::of(&metadata));
        }
        self.out.push(Event::File(access));
    }

    /// The file's server does not answer. It is told of its first file, and of the 10th, 100th ….
    fn unanswered(&mut self, seen: &Seen, host: &Path) {
        self.unanswered += 1;
        let tens = std::iter::successors(Some(1u64), |tens| tens.checked_mul(10));
        if tens.take_while(|tens| *tens <= self.unanswered).any(|tens| tens == self.unanswered) {
            let detail = format!("the file system of {} does not answer: it was not looked at", host.display());
            let count = self.unanswered - self.unanswered / 10;
            self.out.push(Event::Gap(Gap { at: seen.at, reason: "unanswered".into(), detail, count }));
        }
    }

    /// Whether a call that waits would remove or rename what is not there. It fails, and must not count as a removal:
    /// the replay would find a file that never was.
    fn finds_nothing(&self, seen: &Seen) -> bool {
        seen.parked != 0
            && files::symlink_metadata(&self.reach(seen, &through_self(seen, seen.path.clone()), false))
                .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    }

    /// The directory that a waiting call is about to remove or rename, if it is older than the kernel.
    fn old_directory(&self, seen: &Seen, path: &[u8]) -> Option<Signature> {
        if !matches!(seen.what, What::Rename { exchange: false } | What::Unlink { dir: true }) {
            return None;
        }
        let found = files::symlink_metadata(&self.reach(seen, path, false)).ok().filter(Metadata::is_dir)?;
        // One whose age is not known is not taken for old: a replay that finds it there cannot make it.
        let born = found.created().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        let old = Nanos::try_from(born.as_nanos()).is_ok_and(|born| born < self.began);
        old.then(|| Signature::of(&found))
    }

    /// A call waits: lets the recording look at what it is about to change, then answers it.
    fn tell_before(&mut self, seen: &Seen, access: &FileAccess) {
        self.hand_over();
        let mut victims = Vec::new();
        match (seen.what, &access.other) {
            // The target's content goes; the source only changes its name, but under the old one it is gone too.
            (What::Rename { .. }, Some(target)) => {
                victims.push(self.reach(seen, target, false));
                victims.push(self.reach(seen, &access.path, false));
            }
            (What::Unlink { .. }, _) => victims.push(self.reach(seen, &access.path, false)),
            _ => victims.push(self.reach(seen, &access.path, true)),
        }
        let moves = matches!(seen.what, What::Rename { .. });
        for victim in victims {
            let concerns = |found: Metadata| found.is_file() || found.is_symlink() || (moves && found.is_dir());
            if files::symlink_metadata(&victim).is_ok_and(concerns) {
                self.hold.begin();
                self.before.before_change(access, &victim);
                self.hold.end();
            }
        }
        match &self.answer {
            Answer::Notification(listener) => {
                // An error means that the watchdog was quicker, or that the caller is gone.
                sys::let_through(listener.as_fd(), seen.parked).unwrap_or_default();
                self.shared.unpark(seen.parked);
            }
            Answer::Bell(bell) => {
                self.shared.unpark(seen.parked);
                ring::wake(&**bell);
            }
            Answer::Pipe(dir) => audit::answer(dir, seen.pid, seen.tid),
        }
    }

    /// The path by which we can open what the caller calls `path`; for links themselves, not `follow`.
    fn reach(&self, seen: &Seen, path: &[u8], follow: bool) -> PathBuf {
        if !seen.elsewhere {
            return as_path(path).to_owned();
        }
        target::below_root(self.witness(seen).unwrap_or(seen.pid), path, follow)
    }

    /// A living process that sees what the caller saw: it may have gone itself; its parent or the kernel most likely live
    /// where it did.
    fn witness(&self, seen: &Seen) -> Option<u32> {
        [seen.tid, seen.pid, seen.ppid, self.kernel].into_iter().find(|pid| is_alive(*pid))
    }

    /// What lies behind a path that the caller opened, and how we reach it. `None` when that could not be looked at: a caller
    /// that went meanwhile took its root along, and that nothing is found there says nothing.
    fn look(&mut self, seen: &Seen, path: &[u8]) -> (PathBuf, Option<std::io::Result<Metadata>>) {
        if seen.elsewhere && self.root.is_none() {
            self.root = target::hold_root(self.kernel);
        }
        let host = self.reach(seen, path, true);
        let found = files::metadata(&host);
        if !seen.elsewhere || found.as_ref().err().is_none_or(|error| !is_not_found(error)) || is_alive(seen.tid) {
            return (host, Some(found));
        }
        let held = self.root.as_ref().map(|root| target::in_root(&target::held_path(root), as_path(path), true));
        let again = held.as_deref().map(files::metadata);
        (held.unwrap_or(host), again)
    }

    fn name(&self, pid: u32) -> String {
        let exe = self.processes.get(&pid).map(|program| program.exe.as_slice()).unwrap_or_default();
        format!("process {pid} ({})", files::display_bytes(exe))
    }

    /// Says once when a thread was started.
    fn meet_thread(&mut self, seen: &Seen) {
        let Seen { at, pid, tid, started, .. } = *seen;
        if started == 0 || self.threads.get(&tid) == Some(&started) {
            return;
        }
        if self.threads.len() > MANY {
            self.threads.clear();
        }
        self.threads.insert(tid, started);
        self.out.push(Event::Thread(ThreadStart { at, pid, tid, started }));
    }

    /// Says once that a process exists. It runs what its parent runs, until it calls exec.
    fn meet(&mut self, seen: &Seen) {
        if self.processes.contains_key(&seen.pid) {
            return;
        }
        let program = self.processes.get(&seen.ppid).cloned().unwrap_or_else(|| Program {
            exe: rustix::fs::readlink(format!("/proc/{}/exe", seen.pid), Vec::new())
                .map(|exe| exe.into_bytes())
                .unwrap_or_default(),
            argv: files::read(Path::new(&format!("/proc/{}/cmdline", seen.pid)))
                .map(|bytes| split_arguments(&bytes))
                .unwrap_or_default(),
        });
        self.start(seen, program, false);
    }

    fn start(&mut self, seen: &Seen, program: Program, exec: bool) {
        if self.processes.len() > MANY {
            let alive = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
            self.processes.retain(|pid, _| alive(pid));
            self.hazards.retain(|pid, _| alive(pid));
            self.unreadable.retain(|pid, _| alive(pid));
        }
        self.processes.insert(seen.pid, program.clone());
        let Program { exe, argv } = program;
        self.out.push(Event::Process(ProcessStart { at: seen.at, pid: seen.pid, ppid: seen.ppid, exe, argv, exec }));
    }

    /// An exec: its files, and the new program.
    fn exec(&mut self, seen: &Seen) {
        let Some(exe) = self.program(seen) else { return };
        self.hazards.remove(&seen.pid);
        self.start(seen, Program { exe, argv: split_arguments(&seen.other) }, true);
    }

    /// A program's file, and if it is there, the interpreters that Linux opens with it; gives its true path.
    fn program(&mut self, seen: &Seen) -> Option<Vec<u8>> {
        let path = through_self(seen, seen.path.clone());
        let host = self.reach(seen, &path, true);
        let found = files::metadata(&host).ok().filter(Metadata::is_file);
        let signature = found.as_ref().map(Signature::of);
        let access = |path: &[u8], signature| {
            Event::File(FileAccess {
                at: seen.at,
                pid: seen.pid,
                tid: seen.tid,
                op: FileOp::Exec,
                path: path.to_owned(),
                other: None,
                signature,
                times: 1,
            })
        };
        self.out.push(access(&path, signature));
        // A search along PATH tries names that are not there; nothing starts then.
        let (metadata, signature) = (found?, signature?);
        if metadata.mode() & 0o111 == 0 {
            return None;
        }
        let key = (path.clone(), signature);
        let interpreters = self.interpreters.get(&key).cloned().unwrap_or_else(|| {
            if self.interpreters.len() > MANY {
                self.interpreters.clear();
            }
            let found = interpreter::interpreters(&path, |path| self.reach(seen, path, true));
            self.interpreters.insert(key, found.clone());
            found
        });
        for interpreter in &interpreters {
            let signature =
                files::metadata(&self.reach(seen, interpreter, true)).ok().map(|found| Signature::of(&found));
            self.out.push(access(interpreter, signature));
        }
        if self.no_new_privs && gains_privileges(&host, &metadata) {
            let detail = format!(
                "{} cannot gain privileges while an ordinary user records; start the kernel with capture `none` for that",
                files::display_bytes(&path)
            );
            self.gap(seen, "setuid", detail);
        }
        let exe = std::fs::canonicalize(&host).ok().filter(|_| !seen.elsewhere);
        Some(exe.map_or(path, |exe| exe.into_os_string().into_vec()))
    }

    /// A process that may not be looked at. It is told of at its 1st, 10th, 100th … call.
    fn unreadable(&mut self, seen: &Seen, errno: i32) {
        let count = self.unreadable.entry(seen.pid).or_insert(0);
        *count += 1;
        let tens = std::iter::successors(Some(1u64), |tens| tens.checked_mul(10));
        if !tens.take_while(|tens| tens <= count).any(|tens| tens == *count) {
            return;
        }
        // The kernel's own exec is the first call of all: unreadable, everything will be.
        if seen.pid == self.kernel && *count == 1 {
            let mechanism = if matches!(self.answer, Answer::Bell(_)) { "ptrace" } else { "notify" };
            let (coverage, mechanism) = ("none".into(), mechanism.into());
            self.out.push(Event::Coverage { at: seen.at, coverage, mechanism });
        }
        let count = *count;
        let error = std::io::Error::from_raw_os_error(errno);
        let detail = format!("the paths of {} cannot be read: {error}", self.name(seen.pid));
        self.out.push(Event::Gap(Gap { at: seen.at, reason: "unreadable".into(), detail, count: count - count / 10 }));
    }

    fn connect(&mut self, seen: &Seen) {
        if let Some(address) = address(&seen.path) {
            self.connection(seen, address);
        }
    }

    fn connection(&mut self, seen: &Seen, address: String) {
        let (at, pid, tid) = (seen.at, seen.pid, seen.tid);
        self.out.push(Event::Connection(Connection { at, pid, tid, address }));
    }

    /// Notes handlers and timers; a repeated timer with a handler that does not restart calls is worth a word.
    fn hazard(&mut self, seen: &Seen) {
        let hazard = self.hazards.entry(seen.pid).or_default();
        match seen.what {
            What::Handler { signal, restarts: true } => {
                hazard.handlers.remove(&signal);
            }
            What::Handler { signal, restarts: false } => {
                hazard.handlers.insert(signal);
            }
            What::Timer { signal } => {
                hazard.timers.insert(signal);
            }
            _ => {}
        }
        if hazard.told || hazard.handlers.is_disjoint(&hazard.timers) {
            return;
        }
        hazard.told = true;
        let detail = format!(
            "{} has a repeated timer whose handler lacks SA_RESTART: files may fail to open with `Interrupted system \
             call` while it is recorded",
            self.name(seen.pid)
        );
        self.gap(seen, "eintr_hazard", detail);
    }
}

/// Whether the process or thread has a root that can be entered: one that ends gives it up first.
fn is_alive(pid: u32) -> bool {
    pid != 0 && Path::new(&format!("/proc/{pid}/root")).exists()
}

fn is_not_found(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
}

fn only_reads(flags: i32) -> bool {
    flags & libc::O_ACCMODE == libc::O_RDONLY && flags & (libc::O_TRUNC | libc::O_DIRECTORY | libc::O_PATH) == 0
}

/// Whether an exec of the file should have raised privileges.
fn gains_privileges(host: &Path, metadata: &Metadata) -> bool {
    metadata.mode() & 0o6000 != 0
        || rustix::fs::getxattr(host, c"security.capability", &mut [0u8; 0][..]).is_ok_and(|length| length > 0)
}

fn split_arguments(bytes: &[u8]) -> Vec<Vec<u8>> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() { Vec::new() } else { bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_keep_empty_ones() {
        assert_eq!(split_arguments(b"a\0\0b\0"), [b"a".to_vec(), Vec::new(), b"b".to_vec()]);
        assert!(split_arguments(b"").is_empty());
    }
}
