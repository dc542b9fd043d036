//! The recorder of a live session: journal in front, importer and worker behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    PRESERVED, RESERVE, back,
    gate::{self, Gate},
    head,
    importer::{Importer, Parts},
    links::Links,
    paths::{self, Known},
    preserve::{Limits, Preserver, Standings, follows},
    repeats::Repeats,
    touched::born_since,
};
use crate::{
    capture::{Tasks, target::host_path},
    digest::Digest,
    event::{BeforeChange, Event, EventSink, FileAccess, FileOp, Gap, Nanos, Preserved, now},
    files::{self, FileError},
    session::{
        self, DbError,
        db::Db,
        journal,
        model::{SessionId, SessionInfo},
    },
    store::Store,
};

/// How long somebody who asks for the record as it is now waits for it.
const CATCH_UP: Duration = Duration::from_secs(2);
/// Kept free for the moment when the disk is full.
const RESERVE_BYTES: usize = 1 << 20;
/// More different warnings than this are not kept for who asks later.
const MOST_WARNINGS: usize = 20;

/// Says something to the person at the terminal, once.
pub type Warn = Box<dyn Fn(&str) + Send + Sync>;

/// What is known of a session when it starts.
#[derive(Clone, Debug)]
pub struct SessionSeed {
    /// When the proxy started.
    pub started: Nanos,
    /// The kernelspec that is wrapped.
    pub kernel: String,
    /// Its `display_name`.
    pub display_name: String,
    /// Its `language`.
    pub language: String,
    /// Its argv with `{connection_file}` in it, executables as resolved.
    pub argv: Vec<String>,
    /// Its `interrupt_mode`.
    pub interrupt_mode: String,
    /// Its own `env`.
    pub kernel_env: BTreeMap<String, String>,
    /// The working directory.
    pub cwd: PathBuf,
    /// The notebook file, where it is known.
    pub notebook: Option<PathBuf>,
    /// How it is known.
    pub notebook_source: Option<String>,
    /// The user's name.
    pub user: String,
    /// Numeric user id.
    pub uid: u32,
    /// Numeric group id.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
    /// Host name.
    pub host: String,
    /// The bundle that the kernel was restored from.
    pub parent: Option<Digest>,
    /// The kernel's whole environment; what of it may be written down is decided here.
    pub environment: BTreeMap<OsString, OsString>,
    /// Facts by name.
    pub facts: BTreeMap<String, serde_json::Value>,
    /// Directories of nbpack itself, in which nothing is recorded.
    pub own_dirs: Vec<PathBuf>,
    /// The kernel runs in a container: its paths are reached through `/proc/PID/root`.
    pub foreign_root: bool,
    /// How much may be copied before a change, while the notebook waits.
    pub limits: Limits,
}

/// A session could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its directory or files.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Its first rows.
    #[error(transparent)]
    Import(#[from] super::ImportError),
}

pub(super) struct Front {
    pub(super) journal: journal::Writer,
    pub(super) gate: Gate,
    pub(super) pending: bool,
    /// Somebody waits for the database.
    pub(super) urgent: bool,
    /// The database holds everything before this.
    pub(super) imported: journal::Position,
    pub(super) stop: Option<(Nanos, i32)>,
    pub(super) lost: u64,
}

pub(super) struct Shared {
    pub(super) front: Mutex<Front>,
    pub(super) wake: Condvar,
    pub(super) warned: AtomicBool,
    pub(super) warn: Warn,
    /// What the user was told.
    pub(super) warnings: Mutex<Vec<String>>,
    pub(super) dir: PathBuf,
    pub(super) open_jobs: AtomicUsize,
}

/// Records one session. See [`crate::record`].
pub struct Recorder {
    id: SessionId,
    store: Store,
    shared: Arc<Shared>,
    known: Known,
    standings: Standings,
    preserver: Preserver,
    links: Arc<Links>,
    repeats: Mutex<Repeats>,
    workers: Mutex<Workers>,
    started: Nanos,
    foreign_root: bool,
    threads: Mutex<Option<Threads>>,
}

/// Who may work for an execution that did not start it.
#[derive(Default)]
struct Workers {
    tasks: Tasks,
    pids: BTreeSet<u32>,
    /// When the frontend first asked for an execution.
    since: Option<Nanos>,
}

struct Threads {
    importer: JoinHandle<()>,
    worker: JoinHandle<()>,
    lock: File,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Begins a session. `warn` is told, once, when something cannot be recorded.
    pub fn start(store: &Store, seed: SessionSeed, warn: Warn) -> Result<Arc<Self>, StartError> {
        let (id, dir, lock) = new_session_dir(store, seed.started)?;
        let db = Db::create(&dir.join(session::db::FILE_NAME))?;
        let info = info_of(&seed, &id);
        head::write(&db, &dir, &info, &seed)?;
        reserve(&dir);
        let mut own = seed.own_dirs.clone();
        own.push(store.root().to_owned());
        own.push(dir.clone());
        let known = Known::new(seed.argv.first().map(Path::new), own);
        let standings = Standings::default();
        let links = Arc::new(Links::new(seed.foreign_root, seed.started));
        let kept = dir.join(PRESERVED);
        let preserver =
            Preserver::new(kept, known.clone(), standings.clone(), Arc::clone(&links), seed.started, seed.limits);
        let front = Front {
            journal: journal::Writer::create(&dir)?,
            gate: Gate::default(),
            pending: false,
            urgent: false,
            imported: journal::Position::default(),
            stop: None,
            lost: 0,
        };
        let shared = Arc::new(Shared {
            front: Mutex::new(front),
            wake: Condvar::new(),
            warned: AtomicBool::new(false),
            warn,
            warnings: Mutex::default(),
            dir: dir.clone(),
            open_jobs: AtomicUsize::new(0),
        });
        let parts = Parts {
            store: store.clone(),
            dir,
            known: known.clone(),
            standings: standings.clone(),
            env: seed.environment,
            foreign_root: seed.foreign_root,
        };
        let importer = Importer::load(parts.clone(), db)?;
        let threads = back::start(&shared, id.clone(), parts, importer)?;
        let threads = Mutex::new(Some(Threads { importer: threads.0, worker: threads.1, lock }));
        Ok(Arc::new(Self {
            id,
            store: store.clone(),
            shared,
            known,
            standings,
            preserver,
            links,
            repeats: Mutex::default(),
            workers: Mutex::default(),
            started: seed.started,
            foreign_root: seed.foreign_root,
            threads,
        }))
    }

    /// The session's name.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// What the user was warned of, each thing once: what the record lacks or may come to lack.
    pub fn warnings(&self) -> Vec<String> {
        self.shared.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The store it is in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Ends the session with the kernel's wait status: imports everything, hashes what is left as far as time allows.
    ///
    /// Takes at most about two seconds. Called again it does nothing.
    pub fn finish(&self, status: i32) {
        let Some(threads) = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        self.write_repeats();
        {
            let mut front = self.shared.lock();
            front.stop = Some((now(), status));
            front.pending = true;
            self.shared.wake.notify_all();
        }
        // A panic there was said already; the journal is left for the next process then.
        if threads.importer.join().is_ok() {
            threads.worker.join().unwrap_or_default();
        }
        drop(threads.lock);
    }

    /// Notes at once, for the next `before_change`, what a path is to this session.
    ///
    /// A change of a file that was there came through `before_change` first. So a change of a path without standing
    /// makes something new; but where nobody tells us before a change, the birth time decides.
    fn note_standing(&self, access: &FileAccess) {
        let path = match (access.op, &access.other) {
            (FileOp::Open { flags }, _) if flags & (libc::O_DIRECTORY | libc::O_PATH) == 0 => &access.path,
            (FileOp::Rename { .. } | FileOp::Link, Some(other)) => other,
            (FileOp::Symlink, _) => &access.path,
            _ => return,
        };
        let written = paths::fold(path, paths::is_real_dir);
        if !self.known.is_data(&written) || self.standings.of(&written).is_some() {
            return;
        }
        // Below a renamed directory it is what it was under the first name.
        let path = self.standings.origin(&written);
        if self.standings.of(&path).is_some() {
            return;
        }
        let host = || {
            let path = &written;
            let host = if self.foreign_root { host_path(access.pid, path) } else { paths::as_path(path).to_owned() };
            files::metadata(&host)
        };
        match access.op {
            FileOp::Open { flags } if flags & (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC) == libc::O_RDONLY => {
                if access.signature.is_some() || host().is_ok_and(|metadata| metadata.is_file()) {
                    self.standings.read(&path);
                }
            }
            FileOp::Open { .. } => {
                let old = host().is_ok_and(|metadata| !born_since(&metadata, self.started));
                self.standings.changed(&path, old);
            }
            _ => self.standings.changed(&path, false),
        }
    }

    /// Returns when everything that was recorded before is in the database, for somebody who reads it now.
    ///
    /// After two seconds it returns all the same: the database may be out of order.
    pub(super) fn catch_up(&self) {
        self.write_repeats();
        let mut front = self.shared.lock();
        let end = front.journal.end();
        front.pending = true;
        front.urgent = true;
        self.shared.wake.notify_all();
        let behind = |front: &mut Front| front.imported < end && front.stop.is_none();
        drop(self.shared.wake.wait_timeout_while(front, CATCH_UP, behind));
    }

    /// Waits until what was seen so far is in the database and the files of it are hashed, at most so long.
    ///
    /// A kernel in a container takes its files with it: what is not hashed when it ends never is.
    pub fn settle(&self, limit: Duration) {
        self.catch_up();
        let front = self.shared.lock();
        let under_way = |_: &mut Front| self.shared.open_jobs.load(Ordering::Acquire) > 0;
        drop(self.shared.wake.wait_timeout_while(front, limit, under_way));
    }

    /// Writes how often the files were opened again that were opened since the kernel's state changed last.
    fn write_repeats(&self) {
        for access in self.repeats.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.append(&Event::File(access));
        }
    }

    /// Says which threads are there, and which wait for a word, now that an execution begins or has ended: see
    /// `attribution`.
    fn tell_threads(&self) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let Workers { tasks, pids, since } = &mut *workers;
        let Some(since) = *since else { return };
        let looked = tasks.look(pids, since);
        drop(workers);
        let mut events: Vec<Event> = looked.new.into_iter().map(Event::Thread).collect();
        if !looked.waiting.is_empty() {
            events.push(Event::Waiting { tids: looked.waiting });
        }
        self.append_all(&events);
    }

    /// What is to be written because of an event that is no message.
    fn see(&self, event: Event, written: &mut Vec<Event>) {
        match event {
            Event::Process(process) => {
                self.workers.lock().unwrap_or_else(PoisonError::into_inner).pids.insert(process.pid);
                written.push(Event::Process(process));
            }
            Event::File(mut access) => {
                if self.known.is_own(&access.path) {
                    return;
                }
                let is_data = self.follow_links(&mut access, written);
                if is_data && self.known.is_own(&access.path) {
                    return;
                }
                let (is_one, before) = self.repeats.lock().unwrap_or_else(PoisonError::into_inner).is_one(&access);
                written.extend(before.map(Event::File));
                if !is_one {
                    if is_data || access.other.is_some() {
                        self.note_standing(&access);
                    }
                    written.push(Event::File(access));
                }
            }
            other => written.push(other),
        }
    }

    /// Names data by where it lies; says whether the path is of data.
    fn follow_links(&self, access: &mut FileAccess, written: &mut Vec<Event>) -> bool {
        let pid = access.pid;
        let real = |path: &[u8], follow: bool, written: &mut Vec<Event>| {
            let path = paths::fold(path, paths::is_real_dir);
            if !path.starts_with(b"/") || !self.known.is_data(&path) {
                return None;
            }
            let walked = self.links.walk(pid, &path, follow);
            written.extend(walked.facts);
            Some((walked.path, walked.made))
        };
        let named = real(&access.path, follows(access.op), written);
        if let (FileOp::Rename { .. } | FileOp::Link, Some(other)) = (access.op, &mut access.other)
            && let Some((path, _)) = real(other, false, written)
        {
            *other = path;
        }
        let Some((path, made)) = named else { return false };
        access.path = path;
        match (access.op, &access.other) {
            (FileOp::Symlink, Some(text)) if self.links.says(pid, &access.path, text) => self.links.made(&access.path),
            (FileOp::Rename { .. }, Some(other)) => self.links.renamed(pid, &access.path, other),
            (FileOp::Unlink { .. }, _) => self.links.removed(&access.path),
            _ => {}
        }
        // Who reads through a link depends on who made it.
        for path in made {
            let op = FileOp::Open { flags: libc::O_RDONLY };
            written.push(Event::File(FileAccess { op, path, other: None, signature: None, ..access.clone() }));
        }
        true
    }

    fn append(&self, event: &Event) {
        self.append_all(std::slice::from_ref(event));
    }

    fn append_all(&self, events: &[Event]) {
        if !events.is_empty() {
            self.append_locked(self.shared.lock(), events);
        }
    }

    fn append_locked(&self, mut front: MutexGuard<'_, Front>, events: &[Event]) {
        append(&self.shared, &mut front, events);
        if !std::mem::replace(&mut front.pending, true) {
            drop(front);
            self.shared.wake.notify_all();
        }
    }
}

impl EventSink for Recorder {
    fn record(&self, event: Event) {
        match event {
            Event::Message(message) => {
                let Some(kind) = gate::msg_type(&message) else { return };
                if kind == "status" {
                    self.write_repeats();
                }
                if kind == "execute_request" {
                    let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
                    workers.since.get_or_insert_with(now);
                }
                let mut front = self.shared.lock();
                if let Some(message) = front.gate.admit(message, &kind) {
                    self.append_locked(front, &[Event::Message(message)]);
                    if kind == "status" {
                        self.tell_threads();
                    }
                }
            }
            other => {
                let mut written = Vec::new();
                self.see(other, &mut written);
                self.append_all(&written);
            }
        }
    }

    fn record_all(&self, events: Vec<Event>) {
        let mut written = Vec::with_capacity(events.len());
        for event in events {
            match event {
                Event::Message(_) => {
                    self.append_all(&std::mem::take(&mut written));
                    self.record(event);
                }
                other => self.see(other, &mut written),
            }
        }
        self.append_all(&written);
    }
}

impl BeforeChange for Recorder {
    fn before_change(&self, access: &FileAccess, host_path: &Path) {
        for event in self.preserver.before_change(access, host_path) {
            if let Event::Preserved(Preserved { at, outcome: Err(why), .. }) = &event {
                self.shared.warn(why);
                let (reason, detail) = ("preserve".to_owned(), why.clone());
                self.append(&Event::Gap(Gap { at: *at, reason, detail, count: 1 }));
            }
            self.append(&event);
        }
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn warn_once(&self, text: &str) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            self.warn(text);
        }
    }

    pub(super) fn warn(&self, text: &str) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() < MOST_WARNINGS && !warnings.iter().any(|known| known == text) {
            warnings.push(text.to_owned());
        }
        drop(warnings);
        (self.warn)(text);
    }

    pub(super) fn notify(&self) {
        self.lock().pending = true;
        self.wake.notify_all();
    }

    /// Frees the last megabyte of a full disk for what must still be said.
    pub(super) fn release_reserve(&self) {
        std::fs::remove_file(self.dir.join(RESERVE)).unwrap_or_default();
    }
}

/// Writes to the journal; what is lost is counted and said, in the record too as soon as that works again.
fn append(shared: &Shared, front: &mut Front, events: &[Event]) {
    if front.lost > 0 {
        let gap = Event::Gap(Gap {
            at: now(),
            reason: "disk_full".to_owned(),
            detail: "events could not be written to the journal".to_owned(),
            count: front.lost,
        });
        if front.journal.append(&[gap]).is_ok() {
            front.lost = 0;
        }
    }
    let failed = match (front.journal.append(events), events) {
        (Ok(()), _) => return,
        (Err(error), [_]) => vec![error],
        // There may be room for some.
        (Err(_), _) => events.iter().filter_map(|one| front.journal.append(std::slice::from_ref(one)).err()).collect(),
    };
    for error in failed {
        if front.lost == 0 {
            shared.release_reserve();
        }
        front.lost += 1;
        shared.warn_once(&format!("this session is not recorded completely: {error}: {}", error.source));
    }
}

fn new_session_dir(store: &Store, started: Nanos) -> Result<(SessionId, PathBuf, File), FileError> {
    let sessions = store.sessions();
    files::create_private_dir(&sessions)?;
    let time = jiff::Timestamp::from_nanosecond(i128::from(started)).unwrap_or_default();
    let mut salt = 0_u32;
    loop {
        let unique = Digest::of(format!("{} {started} {salt}", std::process::id()).as_bytes()).short();
        let id = SessionId(format!("{}-{}", time.strftime("%Y%m%d-%H%M%S"), unique.get(..8).unwrap_or_default()));
        match session::place::create_dir(store, &id) {
            Ok(dir) => {
                let lock = session::lock(&dir)?.ok_or_else(|| {
                    FileError::new("lock", &dir)(std::io::Error::other("another process has it already"))
                })?;
                return Ok((id, dir, lock));
            }
            Err(error) if error.source.kind() == std::io::ErrorKind::AlreadyExists && salt < 1000 => salt += 1,
            Err(error) => return Err(error),
        }
    }
}

fn info_of(seed: &SessionSeed, id: &SessionId) -> SessionInfo {
    SessionInfo {
        id: id.clone(),
        started: seed.started,
        ended: None,
        kernel: seed.kernel.clone(),
        display_name: seed.display_name.clone(),
        language: seed.language.clone(),
        argv: seed.argv.clone(),
        interrupt_mode: seed.interrupt_mode.clone(),
        kernel_env: seed.kernel_env.clone(),
        cwd: seed.cwd.clone(),
        notebook: seed.notebook.clone(),
        notebook_source: seed.notebook_source.clone(),
        user: seed.user.clone(),
        uid: seed.uid,
        gid: seed.gid,
        home: seed.home.clone(),
        host: seed.host.clone(),
        nbpack_version: env!("CARGO_PKG_VERSION").to_owned(),
        coverage: "none".to_owned(),
        exit_status: None,
        parent: seed.parent,
        executions: 0,
        running: true,
    }
}

fn reserve(dir: &Path) {
    // Without a reserve a full disk costs the last rows; that is no reason not to begin.
    let made = std::fs::File::create(dir.join(RESERVE)).and_then(|mut file| {
        let allocated = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE_BYTES as u64);
        if allocated.is_ok() { Ok(()) } else { file.write_all(&vec![0; RESERVE_BYTES]) }
    });
    made.unwrap_or_default();
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
