//! Turns the journal into rows. The journal position is in the same transaction: every event is imported once.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    head,
    keep::{Content, Job},
    paths::Known,
    preserve::Standings,
    said::{Moment, Said, SaidError},
    touched::Touched,
};
use crate::{
    capture::target::{held_path, hold_root},
    event::{Event, Gap, now},
    files::FileError,
    session::{
        DbError,
        db::Db,
        journal::{self, Position, Reader},
        model::{FileVersion, Role, SessionInfo, Stop},
    },
    store::Store,
};

/// Events in one transaction at most.
const BATCH: usize = 5_000;
/// Gaps that do not mean that something was not seen.
const NOT_ABOUT_SEEING: &[&str] = &["preserve", "overlap", "disk_full", "messages", "unhashed", head::REBUILT];

/// The journal or the database stopped working.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl ImportError {
    /// Whether the database itself is broken or gone: no other try helps.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Db(error) if error.is_damage())
    }
}

impl From<SaidError> for ImportError {
    fn from(error: SaidError) -> Self {
        match error {
            SaidError::Db(error) => Self::Db(error),
            SaidError::File(error) => Self::File(error),
        }
    }
}

/// What an importer is made of, so that it can be made again after the disk was full.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) store: Store,
    pub(super) dir: PathBuf,
    pub(super) known: Known,
    pub(super) standings: Standings,
    pub(super) env: BTreeMap<OsString, OsString>,
    /// The target has another root: its paths are reached through `/proc/PID/root`.
    pub(super) foreign_root: bool,
}

/// One session's importer; who holds it holds the session's lock.
pub(super) struct Importer {
    parts: Parts,
    db: Db,
    reader: Reader,
    /// Messages before this are in the database already (after a crash the reader starts earlier, for files).
    said_until: Position,
    said: Said,
    touched: Touched,
    info: SessionInfo,
    info_changed: bool,
    gaps: BTreeSet<String>,
    coverage: String,
    /// The target's root, where that is not ours.
    root: Option<std::os::fd::OwnedFd>,
    /// Versions of a transaction that did not commit yet.
    unwritten: Vec<FileVersion>,
    /// Files that were gone before they were hashed.
    lost: u64,
    /// Segments before this one are removed.
    first_segment: u64,
}

impl Importer {
    /// Goes on where the database ends.
    pub(super) fn load(parts: Parts, db: Db) -> Result<Self, ImportError> {
        let cursor = |key| -> Result<Position, DbError> {
            Ok(db.state(key)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
        };
        let (said_until, touched_until) = (cursor("said")?, cursor("touched")?);
        let info = db.info()?;
        let said = Said::load(&db, parts.env.clone())?;
        let touched = Touched::load(&db, parts.known.clone(), parts.standings.clone(), info.started)?;
        let coverage = db.state("coverage")?.unwrap_or_else(|| info.coverage.clone());
        Ok(Self {
            reader: Reader::new(&parts.dir, touched_until),
            gaps: db.gap_reasons()?.into_iter().collect(),
            parts,
            db,
            said_until,
            said,
            touched,
            info,
            info_changed: false,
            coverage,
            root: None,
            unwritten: Vec::new(),
            lost: 0,
            first_segment: 0,
        })
    }

    /// Imports up to `until` (all there is, for a dead journal), in transactions; then what time has passed by.
    pub(super) fn import(&mut self, until: Option<Position>, sync: bool) -> Result<(), ImportError> {
        self.db.check_in_place()?;
        loop {
            self.db.begin()?;
            let mut count = 0;
            let mut at_end = false;
            while count < BATCH {
                let before = self.reader.position();
                if until.is_some_and(|until| before >= until) {
                    at_end = true;
                    break;
                }
                let Some(event) = self.reader.next_event()? else {
                    at_end = true;
                    break;
                };
                self.apply(before, event)?;
                count += 1;
            }
            self.touched.settle(&self.db, if at_end { now() } else { 0 })?;
            self.write_pending()?;
            let needed = self.first_needed();
            // What is removed from the journal must be on the disk.
            let removes = needed > self.first_segment.max(1);
            self.db.commit((sync && at_end) || removes)?;
            self.unwritten.clear();
            if removes {
                self.remove_before(needed);
            }
            if at_end {
                return Ok(());
            }
        }
    }

    /// Takes a version that the worker found; it is written with the next import.
    pub(super) fn version(&mut self, version: FileVersion) {
        self.unwritten.push(version);
    }

    /// Versions that are not committed: to be given to the importer that is made after this one failed.
    pub(super) fn into_unwritten(self) -> Vec<FileVersion> {
        self.db.rollback();
        self.unwritten
    }

    /// Hash jobs that are due. Content that lies in the session directory is noted first, so that a crash keeps it.
    pub(super) fn take_jobs(&mut self) -> Vec<Job> {
        self.touched.take_jobs()
    }

    /// Something may still change without a new event.
    pub(super) fn is_waiting(&self) -> bool {
        self.touched.is_waiting() || !self.unwritten.is_empty()
    }

    /// The session is over: everything that waits is attributed; with an end it is written into the head.
    pub(super) fn close(&mut self, end: Option<(i64, i32)>) -> Result<(), ImportError> {
        self.db.check_in_place()?;
        self.db.begin()?;
        self.touched.end();
        self.touched.settle(&self.db, i64::MAX)?;
        let count = self.touched.take_ambiguous();
        if count > 0 {
            self.gap(&Gap {
                at: now(),
                reason: "overlap".to_owned(),
                detail: "file events while more than one execution ran belong to none of them".to_owned(),
                count,
            })?;
        }
        if self.lost > 0 {
            self.gap(&Gap {
                at: now(),
                reason: "unhashed".to_owned(),
                detail: "files went with their container before they were hashed: their digests are not known"
                    .to_owned(),
                count: self.lost,
            })?;
            self.lost = 0;
        }
        if let Some((at, status)) = end {
            self.info.ended = self.info.ended.or(Some(at));
            self.info.exit_status = self.info.exit_status.or(Some(status));
        }
        self.info_changed = true;
        self.write_pending()?;
        self.db.commit(true)?;
        self.unwritten.clear();
        Ok(())
    }

    /// The importer's database, when nothing is to be imported any more.
    pub(super) fn db(&self) -> &Db {
        &self.db
    }

    /// The first segment that is still needed.
    fn first_needed(&self) -> u64 {
        self.touched.oldest_held().unwrap_or_else(|| self.reader.position()).segment
    }

    fn remove_before(&mut self, needed: u64) {
        self.first_segment = needed;
        for segment in journal::segments(&self.parts.dir) {
            if segment < needed {
                // It is looked for again with the next segment.
                std::fs::remove_file(journal::segment_path(&self.parts.dir, segment)).unwrap_or_default();
            }
        }
    }

    fn write_pending(&mut self) -> Result<(), ImportError> {
        self.said.flush(&self.db)?;
        self.touched.flush(&self.db)?;
        for version in &mut self.unwritten {
            let path = self.touched.path_id(&self.db, &version.path)?;
            if version.role == Role::Written {
                self.touched.who_wrote(&self.db, version)?;
            }
            if version.role == Role::Written && self.db.only_read(path, version)? {
                self.touched.only_read(&version.path, version.signature);
                continue;
            }
            self.db.put_version(path, version)?;
        }
        if let Some((path, source)) = self.said.notebook.take()
            && self.info.notebook_source.as_deref() != Some(source)
        {
            self.info.notebook = Some(path);
            self.info.notebook_source = Some(source.to_owned());
            self.info_changed = true;
        }
        if self.info_changed {
            self.info.coverage = self.coverage_with_gaps();
            self.db.put_info(&self.info)?;
            self.info_changed = false;
        }
        let at = self.reader.position();
        let position = |position: Position| serde_json::to_string(&position).unwrap_or_default();
        self.db.put_state("said", &position(at.max(self.said_until)))?;
        self.db.put_state("touched", &position(self.touched.oldest_held().unwrap_or(at)))?;
        Ok(())
    }

    fn coverage_with_gaps(&self) -> String {
        let gaps: Vec<&str> =
            self.gaps.iter().map(String::as_str).filter(|reason| !NOT_ABOUT_SEEING.contains(reason)).collect();
        if self.coverage == "full" && !gaps.is_empty() {
            format!("full-with-gaps: {}", gaps.join(", "))
        } else {
            self.coverage.clone()
        }
    }

    fn apply(&mut self, before: Position, event: Event) -> Result<(), ImportError> {
        if matches!(
            event,
            Event::File(_) | Event::Preserved(_) | Event::Process(_) | Event::Thread(_) | Event::Connection(_)
        ) {
            if let Event::Preserved(preserved) = &event {
                self.note_preserved(preserved)?;
            }
            self.touched.hold(before, event);
            return Ok(());
        }
        if before < self.said_until {
            return Ok(());
        }
        match event {
            Event::Message(message) => match self.said.message(&self.db, &self.parts.store, &message)? {
                Some(Moment::Busy { execution, at, subshell }) => {
                    self.touched.busy(execution, at, subshell);
                    if self.parts.foreign_root && self.root.is_none() {
                        self.find_root()?;
                    }
                }
                Some(Moment::Idle { execution, at }) => self.touched.idle(execution, at),
                Some(Moment::Reply) | None => {}
            },
            Event::KernelStarted { at, argv, .. } => {
                self.db.put_fact("kernel.started", &serde_json::json!({"at": at, "argv": argv}))?;
            }
            Event::KernelEnded { at, status } => {
                self.info.ended = Some(at);
                self.info.exit_status = Some(status);
                self.info_changed = true;
            }
            Event::Gap(gap) => self.gap(&gap)?,
            Event::Coverage { coverage, mechanism, .. } => {
                self.db.put_fact("capture.mechanism", &serde_json::Value::from(mechanism))?;
                self.db.put_state("coverage", &coverage)?;
                self.coverage = coverage;
                self.info_changed = true;
            }
            Event::Fact { key, value } => self.fact(&key, &value)?,
            Event::Waiting { tids } => self.touched.waiting(tids),
            Event::File(_) | Event::Preserved(_) | Event::Process(_) | Event::Thread(_) | Event::Connection(_) => {}
        }
        Ok(())
    }

    /// Holds on to the target's root, so that its files can be read even when its last process is gone.
    fn find_root(&mut self) -> Result<(), DbError> {
        use std::os::unix::ffi::OsStringExt as _;
        // Without it files inside are not hashed: each is a version without a digest, which says so.
        let Some(root) = self.touched.pids().into_iter().find_map(hold_root) else { return Ok(()) };
        self.touched.set_root(held_path(&root).into_os_string().into_vec());
        self.root = Some(root);
        self.db.put_state("foreign_root", "true")
    }

    /// So many files were gone before they were hashed; said when the session is closed.
    pub(super) fn lost(&mut self, count: u64) {
        self.lost = count;
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), DbError> {
        self.info_changed |= self.gaps.insert(gap.reason.clone());
        self.db.put_gap(gap)
    }

    fn fact(&mut self, key: &str, value: &serde_json::Value) -> Result<(), DbError> {
        match key {
            "" => Ok(()),
            "interrupt" => {
                self.said.stopped(Stop::Interrupt, value.as_i64().unwrap_or_default());
                Ok(())
            }
            "end" => {
                self.said.stopped(Stop::End, value.as_i64().unwrap_or_default());
                Ok(())
            }
            // These add up: one word or line for each time.
            "note" | "tag" | "exclude" => {
                let plural = format!("{key}s");
                let mut list = self.db.fact(&plural)?.and_then(|list| list.as_array().cloned()).unwrap_or_default();
                list.push(value.clone());
                self.db.put_fact(&plural, &serde_json::Value::from(list))
            }
            _ => self.db.put_fact(key, value),
        }
    }

    /// Until it is hashed, a row says where the content lies: should we be killed, the next process finds it.
    fn note_preserved(&mut self, preserved: &crate::event::Preserved) -> Result<(), DbError> {
        let Ok(place) = &preserved.outcome else { return Ok(()) };
        if place.starts_with(&self.parts.dir) {
            let waiting = serde_json::json!({"path": preserved.path, "signature": preserved.signature});
            let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            self.db.put_state(&format!("preserved {name}"), &waiting.to_string())?;
        }
        Ok(())
    }
}

/// A job for each file that was put aside and not taken into the store before the recorder was killed.
pub(super) fn left_aside(dir: &Path, db: &Db, versions: &[FileVersion]) -> Result<Vec<Job>, DbError> {
    #[derive(serde::Deserialize)]
    struct Waiting {
        path: Vec<u8>,
        signature: crate::files::Signature,
    }
    let mut jobs = Vec::new();
    for entry in std::fs::read_dir(dir.join(super::PRESERVED)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(waiting) = db.state(&format!("preserved {name}"))? else { continue };
        let Ok(Waiting { path, signature }) = serde_json::from_str(&waiting) else { continue };
        // The execution is that of the row that the first, unfinished, look at the file left; else of its first use.
        let row = versions.iter().find(|version| version.path == path && version.role == Role::Read);
        let first = || {
            let files = db.files().unwrap_or_default();
            files
                .into_iter()
                .filter(|file| file.path == path)
                .min_by_key(|file| file.first)
                .and_then(|file| file.execution)
        };
        let execution = row.map_or_else(first, |row| row.execution);
        let host = entry.path();
        jobs.push(Job::new(path.into(), &host, execution, Content::Aside(signature)));
    }
    jobs.sort_by(|a, b| a.elsewhere.cmp(&b.elsewhere));
    Ok(jobs)
}
