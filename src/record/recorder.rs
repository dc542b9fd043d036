//! The recorder of a live session: journal in front, importer and worker behind.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    PRESERVED, RESERVE,
    gate::{self, Gate},
    head,
    importer::{Importer, Parts},
    keep::{self, Job},
    paths::{self, Known},
    preserve::{Limits, Preserver, Standings},
    recover,
    repeats::Repeats,
    touched::born_since,
};
use crate::{
    capture::target::host_path,
    digest::Digest,
    event::{BeforeChange, Event, EventSink, FileAccess, FileOp, Gap, Nanos, Preserved, now},
    files::{self, FileError},
    session::{
        self, DbError,
        db::Db,
        journal,
        model::{FileVersion, SessionId, SessionInfo},
    },
    store::Store,
};

/// Events wait until no other came for this long, to share a transaction: they are safe in the journal, and each
/// transaction costs the kernel's next answer a tenth where it shares two processors with us.
const BATCH_TIME: Duration = Duration::from_millis(50);
/// Where events come without a pause they are imported after this long all the same, for who looks meanwhile …
const LONGEST_BATCH: Duration = Duration::from_secs(5);
/// … or when the journal has grown by so many bytes.
const LARGEST_BATCH: u64 = 16 << 20;
/// A session that lies on this machine's disk, for its home is on a network, is copied there this often.
const COPY_HOME: Duration = Duration::from_secs(300);
/// How long somebody who asks for the record as it is now waits for it.
const CATCH_UP: Duration = Duration::from_secs(2);
/// What nobody waits for gives way to kernel and frontend (`nice`).
const BEHIND: i32 = 5;
/// Without a new event the importer looks this often at what waits.
const WAITING: Duration = Duration::from_millis(500);
/// A power loss costs at most this.
const SYNC: Duration = Duration::from_secs(1);
/// A database that failed is tried again after this.
const RETRY: Duration = Duration::from_secs(5);
/// At the end the worker has this long for what is not hashed yet.
const LAST_HASHES: Duration = Duration::from_millis(1800);
/// Kept free for the moment when the disk is full.
const RESERVE_BYTES: usize = 1 << 20;

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

struct Front {
    journal: journal::Writer,
    gate: Gate,
    pending: bool,
    /// Somebody waits for the database.
    urgent: bool,
    /// The database holds everything before this.
    imported: journal::Position,
    stop: Option<(Nanos, i32)>,
    lost: u64,
}

struct Shared {
    front: Mutex<Front>,
    wake: Condvar,
    warned: AtomicBool,
    warn: Warn,
    dir: PathBuf,
    open_jobs: AtomicUsize,
}

/// Records one session. See [`crate::record`].
pub struct Recorder {
    id: SessionId,
    store: Store,
    shared: Arc<Shared>,
    known: Known,
    standings: Standings,
    preserver: Preserver,
    repeats: Mutex<Repeats>,
    started: Nanos,
    foreign_root: bool,
    threads: Mutex<Option<Threads>>,
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
        let preserver =
            Preserver::new(dir.join(PRESERVED), known.clone(), standings.clone(), seed.started, seed.limits);
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
        let threads = start_threads(&shared, id.clone(), parts, importer)?;
        let threads = Mutex::new(Some(Threads { importer: threads.0, worker: threads.1, lock }));
        Ok(Arc::new(Self {
            id,
            store: store.clone(),
            shared,
            known,
            standings,
            preserver,
            repeats: Mutex::default(),
            started: seed.started,
            foreign_root: seed.foreign_root,
            threads,
        }))
    }

    /// The session's name.
    pub fn id(&self) -> &SessionId {
        &self.id
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
            _ => return,
        };
        let path = paths::fold(path, paths::is_real_dir);
        if !self.known.is_data(&path) || self.standings.of(&path).is_some() {
            return;
        }
        let host = || {
            let host = if self.foreign_root { host_path(access.pid, &path) } else { paths::as_path(&path).to_owned() };
            std::fs::metadata(host)
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

    /// Writes how often the files were opened again that were opened since the kernel's state changed last.
    fn write_repeats(&self) {
        for access in self.repeats.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.append(&Event::File(access));
        }
    }

    fn append(&self, event: &Event) {
        self.append_locked(self.shared.lock(), event);
    }

    fn append_locked(&self, mut front: MutexGuard<'_, Front>, event: &Event) {
        append(&self.shared, &mut front, event);
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
                let mut front = self.shared.lock();
                if let Some(message) = front.gate.admit(message, &kind) {
                    self.append_locked(front, &Event::Message(message));
                }
            }
            Event::File(access) => {
                if self.known.is_own(&access.path) {
                    return;
                }
                let (is_one, before) = self.repeats.lock().unwrap_or_else(PoisonError::into_inner).is_one(&access);
                if let Some(before) = before {
                    self.append(&Event::File(before));
                }
                if is_one {
                    return;
                }
                self.note_standing(&access);
                self.append(&Event::File(access));
            }
            other => self.append(&other),
        }
    }
}

impl BeforeChange for Recorder {
    fn before_change(&self, access: &FileAccess, host_path: &Path) {
        if let Some(event) = self.preserver.before_change(access, host_path) {
            if let Event::Preserved(Preserved { at, outcome: Err(why), .. }) = &event {
                (self.shared.warn)(why);
                let (reason, detail) = ("preserve".to_owned(), why.clone());
                self.append(&Event::Gap(Gap { at: *at, reason, detail, count: 1 }));
            }
            self.append(&event);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn warn_once(&self, text: &str) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            (self.warn)(text);
        }
    }

    fn notify(&self) {
        self.lock().pending = true;
        self.wake.notify_all();
    }

    /// Frees the last megabyte of a full disk for what must still be said.
    fn release_reserve(&self) {
        std::fs::remove_file(self.dir.join(RESERVE)).unwrap_or_default();
    }
}

/// Writes to the journal; what is lost is counted and said, in the record too as soon as that works again.
fn append(shared: &Shared, front: &mut Front, event: &Event) {
    if front.lost > 0 {
        let gap = Event::Gap(Gap {
            at: now(),
            reason: "disk_full".to_owned(),
            detail: "events could not be written to the journal".to_owned(),
            count: front.lost,
        });
        if front.journal.append(&gap).is_ok() {
            front.lost = 0;
        }
    }
    if let Err(error) = front.journal.append(event) {
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
    let made = std::fs::File::create(dir.join(RESERVE)).and_then(|mut file| file.write_all(&vec![0; RESERVE_BYTES]));
    made.unwrap_or_default();
}

fn start_threads(
    shared: &Arc<Shared>,
    id: SessionId,
    parts: Parts,
    importer: Importer,
) -> Result<(JoinHandle<()>, JoinHandle<()>), FileError> {
    let (jobs, for_worker) = mpsc::channel::<Job>();
    let (done, versions) = mpsc::channel::<FileVersion>();
    let stop = Arc::new(AtomicBool::new(false));
    let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // On Linux this is the calling thread alone. Where it is refused, the notebook is a little slower.
                rustix::process::setpriority_process(None, BEHIND).unwrap_or_default();
                body();
            })
            .map_err(FileError::new("start a thread for", &shared.dir))
    };
    let worker = {
        let (shared, parts, stop) = (Arc::clone(shared), parts.clone(), Arc::clone(&stop));
        let body = move || {
            let open = &shared.open_jobs;
            keep::work(&parts.store, &parts.standings, &for_worker, &done, open, &stop, || shared.notify());
        };
        spawn("nbpack-hash", Box::new(body))?
    };
    let back = Back { shared: Arc::clone(shared), id, parts, jobs, versions, stop };
    Ok((spawn("nbpack-import", Box::new(move || back.run(importer)))?, worker))
}

/// The importer's thread.
struct Back {
    shared: Arc<Shared>,
    id: SessionId,
    parts: Parts,
    jobs: mpsc::Sender<Job>,
    versions: mpsc::Receiver<FileVersion>,
    stop: Arc<AtomicBool>,
}

/// How much of the journal a power loss would leave, and since when.
struct Synced {
    at: Instant,
    until: journal::Position,
}

/// What the importer's thread woke up for.
struct Work {
    until: journal::Position,
    stop: Option<(Nanos, i32)>,
}

impl Back {
    fn run(self, mut importer: Importer) {
        // The directory's own entries and its name, which nothing else brings to the disk.
        for dir in [&self.shared.dir, &self.parts.store.sessions()] {
            files::sync_dir(dir).unwrap_or_default();
        }
        let is_away = session::place::away(&self.parts.store, &self.id).is_some();
        let mut copied = Instant::now();
        let began = Instant::now();
        let mut synced = Synced { at: began, until: journal::Position::default() };
        // The database was made without a sync, and its head is in no journal.
        let mut is_on_disk = false;
        loop {
            let work = self.wait(importer.is_waiting() || !is_on_disk, &mut synced);
            for version in self.versions.try_iter() {
                importer.version(version);
            }
            let sync = !is_on_disk && began.elapsed() >= SYNC;
            match importer.import(Some(work.until), sync) {
                Ok(()) => {
                    is_on_disk |= sync;
                    self.shared.lock().imported = work.until;
                    self.shared.wake.notify_all();
                    if is_away && copied.elapsed() >= COPY_HOME {
                        // A home that is full or away for now: the next copy may do.
                        session::place::copy_home(&self.parts.store, &self.id, importer.db()).unwrap_or_default();
                        copied = Instant::now();
                    }
                    self.give(importer.take_jobs());
                }
                Err(error) => match self.again(importer, &error, work.stop.is_some()) {
                    Some(new) => importer = new,
                    None => return,
                },
            }
            if let Some(end) = work.stop {
                return self.finish(importer, end);
            }
        }
    }

    /// Waits for events, and then for a moment without any. Meanwhile the journal is brought to the disk: all that is
    /// in it can be imported after a power loss as after a kill.
    fn wait(&self, soon: bool, synced: &mut Synced) -> Work {
        let mut front = self.shared.lock();
        let is_synced = |front: &Front| front.journal.end() == synced.until;
        let limit = if soon || !is_synced(&front) { WAITING } else { Duration::from_secs(3600) };
        let wait = |front, limit, until: fn(&Front) -> bool| {
            let result = self.shared.wake.wait_timeout_while(front, limit, |front| !until(front));
            result.unwrap_or_else(PoisonError::into_inner).0
        };
        front = wait(front, limit, |front| front.pending);
        let began = Instant::now();
        loop {
            let end = front.journal.end();
            front = wait(front, BATCH_TIME, |front| front.urgent || front.stop.is_some());
            let comes_more = front.journal.end() != end && !front.urgent && front.stop.is_none();
            if synced.at.elapsed() >= SYNC && front.journal.end() != synced.until {
                let until = front.journal.end();
                drop(front);
                // A disk that cannot be written says so when something is appended.
                journal::sync(&self.shared.dir, synced.until, until).unwrap_or_default();
                *synced = Synced { at: Instant::now(), until };
                front = self.shared.lock();
            }
            let grown = journal::distance(front.imported, front.journal.end());
            if !comes_more || began.elapsed() >= LONGEST_BATCH || grown >= LARGEST_BATCH {
                break;
            }
        }
        front.pending = false;
        front.urgent = false;
        Work { until: front.journal.end(), stop: front.stop }
    }

    fn give(&self, jobs: Vec<Job>) {
        for job in jobs {
            self.shared.open_jobs.fetch_add(1, Ordering::AcqRel);
            if self.jobs.send(job).is_err() {
                self.shared.open_jobs.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    /// The database did not take it (a full disk, mostly): the journal keeps everything; another try later.
    fn again(&self, importer: Importer, error: &super::ImportError, ending: bool) -> Option<Importer> {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        self.shared.warn_once(&format!("this session waits in its journal: {error}{cause}"));
        self.shared.release_reserve();
        let mut damaged = error.is_damage();
        let mut unwritten = importer.into_unwritten();
        loop {
            if ending {
                return None;
            }
            let front = self.shared.lock();
            let waited = self.shared.wake.wait_timeout_while(front, RETRY, |front| front.stop.is_none());
            let stopped = waited.unwrap_or_else(PoisonError::into_inner).0.stop.is_some();
            unwritten.extend(self.versions.try_iter());
            let open = || Ok(Db::open(&self.shared.dir.join(session::db::FILE_NAME))?);
            let opened = if damaged { head::rebuild(&self.shared.dir) } else { open() };
            match opened.and_then(|db| Importer::load(self.parts.clone(), db)) {
                Ok(mut new) => {
                    for version in unwritten {
                        new.version(version);
                    }
                    if damaged {
                        (self.shared.warn)("this session's database was damaged or removed; it is made again");
                    }
                    return Some(new);
                }
                Err(error) => damaged |= error.is_damage(),
            }
            if stopped {
                return None;
            }
        }
    }

    fn finish(self, mut importer: Importer, end: (Nanos, i32)) {
        let closed = importer.close(Some(end)).is_ok();
        self.give(importer.take_jobs());
        drop(self.jobs);
        let deadline = Instant::now() + LAST_HASHES;
        let mut front = self.shared.lock();
        while self.shared.open_jobs.load(Ordering::Acquire) > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            front = self.shared.wake.wait_timeout(front, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(front);
        self.stop.store(true, Ordering::Relaxed);
        for version in self.versions.try_iter() {
            importer.version(version);
        }
        // A journal that is not imported stays, for the next process.
        if closed && importer.close(Some(end)).is_ok() && importer.db().settle().is_ok() {
            recover::remove_traces(&self.shared.dir);
            drop(importer);
            // Where it is it can be read as well, and the next process brings it home.
            session::place::bring_home(&self.parts.store, &self.id).unwrap_or_default();
        }
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
