//! What is to be hashed: inputs as they were first read, results as they are when their execution is over.

use std::sync::Arc;

use super::{
    super::{
        keep::{Content, Job},
        paths::as_path,
    },
    ReadIn, Touched,
};
use crate::{
    event::{Nanos, Preserved},
    files::{self, Signature},
    session::{
        DbError,
        db::Db,
        model::{FileUse, FileVersion, Role, Use},
    },
};

impl Touched {
    /// Who has a file open since an earlier execution is asked whether it changed in this one.
    pub(super) fn look_at_open(&mut self, execution: i64, at: Nanos) {
        let mut open = std::mem::take(&mut self.open);
        for (path, pid) in open.changed(|path| as_path(&self.host(path)).to_owned()) {
            let host = as_path(&self.host(&path)).to_owned();
            let Some(state) = self.paths.get_mut(path.as_slice()) else { continue };
            state.written = true;
            let (id, created_here) = (state.id, state.created_here);
            let job = Job::new(path.as_slice().into(), &host, Some(execution), Content::Result);
            self.writes.insert((execution, path.clone()), job);
            let (usage, first, last, count, signature) = (Use::Update, at, at, 1, None);
            let file =
                FileUse { path, execution: Some(execution), pid, usage, first, last, count, signature, created_here };
            self.uses.entry((id, execution, usage)).or_insert(file);
        }
        self.open = open;
    }

    /// What was hashed as the work of one execution, though it was written in the time of a later one, through a
    /// descriptor that stayed open, is the work of that one.
    pub(in crate::record) fn who_wrote(&mut self, db: &Db, version: &mut FileVersion) -> Result<(), DbError> {
        let later = version.execution.and_then(|than| self.attribution.later(version.signature.mtime_ns, than));
        let Some(execution) = later else { return Ok(()) };
        version.execution = Some(execution);
        let id = self.path_id(db, &version.path)?;
        let created_here = self.paths.get(version.path.as_slice()).is_some_and(|state| state.created_here);
        let (at, path, usage) = (version.signature.mtime_ns, version.path.clone(), Use::Update);
        let (execution, pid, first, last, count, signature) = (version.execution, 0, at, at, 1, None);
        db.put_file_use(id, &FileUse { path, execution, pid, usage, first, last, count, signature, created_here })
    }

    /// An execution had opened the file to read and write it, and only read it.
    pub(in crate::record) fn only_read(&mut self, path: &[u8], found: Signature) {
        if let Some(state) = self.paths.get_mut(path) {
            state.written = false;
            state.asked = Some((found.size, found.mtime_ns));
        }
    }

    /// Hash jobs of executions that are over (all of them, where nothing runs).
    pub(in crate::record) fn take_jobs(&mut self) -> Vec<Job> {
        let open = self.attribution.open();
        let over = |job: &Job| job.execution.is_none_or(|execution| !open.contains(&execution));
        let reads = std::mem::take(&mut self.reads);
        // Mostly all of them, and they may be many.
        let (mut jobs, later) =
            if reads.iter().all(over) { (reads, Vec::new()) } else { reads.into_iter().partition(over) };
        self.reads = later;
        let (ready, later) = std::mem::take(&mut self.writes).into_iter().partition::<Vec<_>, _>(|(_, job)| over(job));
        self.writes = later.into_iter().collect();
        jobs.extend(ready.into_iter().map(|(_, job)| job));
        jobs
    }

    /// Gives the worker something to do where an input was read or a result written.
    pub(super) fn ask(
        &mut self,
        execution: Option<i64>,
        at: Nanos,
        path: &[u8],
        usage: Use,
        signature: Option<Signature>,
    ) {
        let mut host = self.host(path);
        if !as_path(&host).exists() {
            host = self.host(&self.standings.present(path));
        }
        let is_link = usage == Use::RenameTo
            && files::symlink_metadata(as_path(&self.host_of(path, false))).is_ok_and(|found| found.is_symlink());
        let Some(shared) = self.paths.get_key_value(path).map(|(shared, _)| Arc::clone(shared)) else { return };
        let Some(state) = self.paths.get_mut(path) else { return };
        let job = |content: Content| Job::new(Arc::clone(&shared), as_path(&host), execution, content);
        match usage {
            Use::Read | Use::Exec | Use::Update => {
                if !state.created_here && !state.written {
                    let content = signature.map(|signature| (signature.size, signature.mtime_ns));
                    let known = state.asked.is_some() && (content.is_none() || state.asked == content);
                    if !known && (content.is_some() || usage == Use::Update) {
                        state.asked = content.or(Some((0, at)));
                        state.read_in = ReadIn::Execution(execution);
                        if usage != Use::Update || signature.is_some() {
                            self.reads.push(job(Content::Input(signature)));
                        }
                    }
                }
                if usage == Use::Update {
                    state.written = true;
                    self.writes.insert((execution.unwrap_or(0), path.to_vec()), job(Content::Result));
                }
            }
            // What a link leads to is no work of the session's.
            Use::RenameTo if is_link => state.written = true,
            Use::Write | Use::RenameTo => {
                state.written = true;
                self.writes.insert((execution.unwrap_or(0), path.to_vec()), job(Content::Result));
            }
            Use::Remove | Use::RenameFrom => {
                state.written = true;
                self.writes.remove(&(execution.unwrap_or(0), path.to_vec()));
            }
            Use::List | Use::Absent | Use::RemoveDirectory | Use::RenameDirectory => {}
        }
    }

    /// Content that was put aside before a change: it is the input, whatever lies at the path now.
    pub(super) fn preserved(&mut self, db: &Db, execution: Option<i64>, preserved: Preserved) -> Result<(), DbError> {
        let path = self.fold(&preserved.path);
        self.path_id(db, &path)?;
        let Some(state) = self.paths.get_mut(path.as_slice()) else { return Ok(()) };
        let execution = match state.read_in {
            ReadIn::Execution(first) => first,
            ReadIn::Nowhere => execution,
        };
        state.read_in = ReadIn::Execution(execution);
        state.asked = Some((preserved.signature.size, preserved.signature.mtime_ns));
        self.reads.retain(|job| *job.path != *path);
        let host = match preserved.outcome {
            Ok(host) => host,
            Err(note) => {
                // What lies there now is not what was read: an export must not take it for that.
                let version = FileVersion {
                    path,
                    execution,
                    role: Role::Read,
                    digest: None,
                    signature: preserved.signature,
                    mode: 0,
                    kept: false,
                    unstable: false,
                    seen: preserved.at,
                    note: Some(note),
                };
                return db.put_version_if_unknown(state.id, &version);
            }
        };
        let in_place = host == as_path(&self.host(&preserved.path));
        let content = if in_place { Content::Beginning } else { Content::Aside };
        self.reads.push(Job::new(path.into(), &host, execution, content(preserved.signature)));
        Ok(())
    }
}
