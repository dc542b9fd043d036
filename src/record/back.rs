//! What follows the journal: the thread that imports it into the session's database, and the one that hashes files.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    head,
    importer::{Importer, Parts},
    keep::{self, Course, Job},
    recorder::{Front, Shared},
    recover,
};
use crate::{
    event::Nanos,
    files::{self, FileError},
    session::{
        self,
        db::Db,
        journal,
        model::{FileVersion, SessionId},
    },
};

/// Events wait until no other came for this long, to share a transaction: they are safe in the journal, and each
/// transaction costs the kernel's next answer a tenth where it shares two processors with us. Longer than what was seen
/// of files is gathered (`capture`): while libraries are imported there is one transaction, not one for each gathering.
const BATCH_TIME: Duration = Duration::from_millis(150);
/// Where events come without a pause they are imported after this long all the same, for who looks meanwhile …
const LONGEST_BATCH: Duration = Duration::from_secs(5);
/// … or when the journal has grown by so many bytes.
const LARGEST_BATCH: u64 = 16 << 20;
/// A session that lies on this machine's disk, for its home is on a network, is copied there this often.
const COPY_HOME: Duration = Duration::from_secs(300);
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

/// Starts the importer's and the worker's threads.
pub(super) fn start(
    shared: &Arc<Shared>,
    id: SessionId,
    parts: Parts,
    importer: Importer,
) -> Result<(JoinHandle<()>, JoinHandle<()>), FileError> {
    let (jobs, for_worker) = mpsc::channel::<Vec<Job>>();
    let (done, versions) = mpsc::channel::<FileVersion>();
    let course = Arc::new(Course::default());
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
        let (shared, parts, course) = (Arc::clone(shared), parts.clone(), Arc::clone(&course));
        let body = move || {
            let open = &shared.open_jobs;
            keep::work(&parts.store, &parts.standings, &for_worker, &done, open, &course, || shared.notify());
        };
        spawn("nbpack-hash", Box::new(body))?
    };
    let back = Back { shared: Arc::clone(shared), id, parts, jobs, versions, course };
    Ok((spawn("nbpack-import", Box::new(move || back.run(importer)))?, worker))
}

/// The importer's thread.
struct Back {
    shared: Arc<Shared>,
    id: SessionId,
    parts: Parts,
    jobs: mpsc::Sender<Vec<Job>>,
    versions: mpsc::Receiver<FileVersion>,
    course: Arc<Course>,
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
                    // Before anybody hears that all is imported: who waits for the hashes must see them under way.
                    self.give(importer.take_jobs());
                    self.shared.lock().imported = work.until;
                    self.shared.wake.notify_all();
                    if is_away && copied.elapsed() >= COPY_HOME {
                        // A home that is full or away for now: the next copy may do.
                        session::place::copy_home(&self.parts.store, &self.id, importer.db()).unwrap_or_default();
                        copied = Instant::now();
                    }
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
        let count = jobs.len();
        self.shared.open_jobs.fetch_add(count, Ordering::AcqRel);
        if count > 0 && self.jobs.send(jobs).is_err() {
            self.shared.open_jobs.fetch_sub(count, Ordering::AcqRel);
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
                        self.shared.warn("this session's database was damaged or removed; it is made again");
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
        self.course.gone.store(self.parts.foreign_root, Ordering::Relaxed);
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
        self.course.stop.store(true, Ordering::Relaxed);
        // Those still open were not even looked at; on this machine they are hashed when they are wanted.
        let open = if self.parts.foreign_root { self.shared.open_jobs.load(Ordering::Acquire) as u64 } else { 0 };
        for version in self.versions.try_iter() {
            importer.version(version);
        }
        importer.lost(open + self.course.lost.load(Ordering::Relaxed));
        // A journal that is not imported stays, for the next process.
        if closed && importer.close(Some(end)).is_ok() && importer.db().settle().is_ok() {
            recover::remove_traces(&self.shared.dir);
            drop(importer);
            // Where it is it can be read as well, and the next process brings it home.
            session::place::bring_home(&self.parts.store, &self.id).unwrap_or_default();
        }
    }
}
