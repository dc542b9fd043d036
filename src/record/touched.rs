//! From file events to uses of paths, each attributed to an execution.
//!
//! An event can be in the journal before the message that says when its execution began or ended. So events wait,
//! in order, until time has passed them by: until the `idle` of the execution they fell into, or for
//! [`PATIENCE`]. How far the queue has been emptied is stored with the rows, so a crash loses none of it.

mod jobs;

use std::collections::{BTreeMap, HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::{
    attribution::{Attribution, PATIENCE},
    keep::Job,
    open_files::OpenFiles,
    paths::{self, Known, SharedPath, as_path},
    preserve::{Standing, Standings},
};
use crate::{
    capture::target::in_root,
    event::{Connection, Event, FileAccess, FileOp, Nanos, ProcessStart},
    files::{self, Signature, source_of_bytecode},
    session::{
        DbError,
        db::Db,
        journal::Position,
        model::{ConnectionUse, FileUse, Process, Use},
    },
};

/// More waiting events than this are not kept in memory: the oldest are attributed with what is known.
const LONGEST_QUEUE: usize = 8_000;
/// What is read from a journal this long after it happened says nothing of the files as they are now.
const RECENT: Nanos = 10_000_000_000;

/// Where something was first read.
#[derive(Clone, Copy, Debug, Default)]
enum ReadIn {
    /// Nowhere yet.
    #[default]
    Nowhere,
    /// In this execution, or outside any.
    Execution(Option<i64>),
}

#[derive(Debug)]
struct PathState {
    id: i64,
    created_here: bool,
    /// The session has written it: what is read from now on is its own work.
    written: bool,
    /// Size and mtime of the content for which a job was given.
    asked: Option<(u64, i64)>,
    /// Where the content that the session found there was first read.
    read_in: ReadIn,
}

/// The files, processes and connections of a session as events tell of them.
pub(super) struct Touched {
    known: Known,
    standings: Standings,
    /// Host prefix for the target's paths: empty, or `/proc/PID/root`.
    root: Vec<u8>,
    started: Nanos,
    paths: HashMap<SharedPath, PathState, RandomState>,
    next_path: i64,
    processes: HashMap<u32, (i64, u32)>,
    next_process: i64,
    attribution: Attribution,
    held: VecDeque<(Position, Event)>,
    newest: Nanos,
    /// Uses since the last flush.
    uses: BTreeMap<(i64, i64, Use), FileUse>,
    connections: BTreeMap<(String, i64), ConnectionUse>,
    reads: Vec<Job>,
    writes: BTreeMap<(i64, Vec<u8>), Job>,
    open: OpenFiles,
}

impl Touched {
    /// Goes on where the database ends.
    pub(super) fn load(db: &Db, known: Known, standings: Standings, started: Nanos) -> Result<Self, DbError> {
        let mut touched = Self {
            known,
            standings,
            root: Vec::new(),
            started,
            paths: HashMap::default(),
            next_path: 1,
            processes: HashMap::new(),
            next_process: 1,
            attribution: Attribution::default(),
            held: VecDeque::new(),
            newest: 0,
            uses: BTreeMap::new(),
            connections: BTreeMap::new(),
            reads: Vec::new(),
            writes: BTreeMap::new(),
            open: OpenFiles::default(),
        };
        for row in db.paths()? {
            touched.next_path = touched.next_path.max(row.id + 1);
            let state = PathState {
                id: row.id,
                created_here: row.created_here,
                written: row.written,
                asked: None,
                read_in: ReadIn::Nowhere,
            };
            touched.paths.insert(row.path.into(), state);
        }
        for (execution, busy, idle) in db.spans()? {
            touched.attribution.known_execution(execution, busy, idle);
        }
        for (id, pid, ppid, execution) in db.process_ids()? {
            touched.attribution.known_process(pid, execution);
            touched.processes.insert(pid, (id, ppid));
            touched.next_process = touched.next_process.max(id + 1);
        }
        Ok(touched)
    }

    /// The target's root as this process reaches it.
    pub(super) fn set_root(&mut self, root: Vec<u8>) {
        self.root = root;
    }

    /// The processes that were seen, also those whose events still wait.
    pub(super) fn pids(&self) -> Vec<u32> {
        let held = self.held.iter().filter_map(|(_, event)| match event {
            Event::Process(process) => Some(process.pid),
            _ => None,
        });
        let mut pids: Vec<u32> = self.processes.keys().copied().chain(held).collect();
        pids.sort_unstable();
        pids
    }

    /// An execution began; `subshell`: in a thread of its own.
    pub(super) fn busy(&mut self, execution: i64, at: Nanos, subshell: bool) {
        self.attribution.busy(execution, at, subshell, self.held.is_empty());
    }

    /// An execution ended.
    pub(super) fn idle(&mut self, execution: i64, at: Nanos) {
        self.attribution.idle(execution, at);
        if crate::event::now() - at < RECENT {
            self.look_at_open(execution, at);
        }
    }

    /// These threads wait for a word at this moment.
    pub(super) fn waiting(&mut self, tids: Vec<u32>) {
        self.attribution.waiting(tids);
    }

    /// Nothing runs any more.
    pub(super) fn end(&mut self) {
        self.attribution.end();
    }

    /// How many events fell into more than one execution, since this was asked last.
    pub(super) fn take_ambiguous(&mut self) -> u64 {
        std::mem::take(&mut self.attribution.ambiguous)
    }

    /// Takes an event that lies in the journal before `next`; it waits for its attribution.
    pub(super) fn hold(&mut self, at: Position, event: Event) {
        self.newest = self.newest.max(time_of(&event));
        self.held.push_back((at, event));
    }

    /// Where the journal must be read again after a crash, for events that still wait.
    pub(super) fn oldest_held(&self) -> Option<Position> {
        self.held.front().map(|(at, _)| *at)
    }

    /// Attributes what time has passed by. `now` is the time up to which everything is in the journal.
    pub(super) fn settle(&mut self, db: &Db, now: Nanos) -> Result<(), DbError> {
        let done = if self.attribution.is_open() { 0 } else { self.attribution.last_idle() };
        let passed = done.max(now.max(self.newest).saturating_sub(PATIENCE));
        while let Some((_, event)) = self.held.front()
            && (time_of(event) <= passed || self.held.len() > LONGEST_QUEUE)
        {
            let Some((_, event)) = self.held.pop_front() else { break };
            self.attribute(db, event)?;
        }
        Ok(())
    }

    /// Whether events wait.
    pub(super) fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// Writes what changed.
    pub(super) fn flush(&mut self, db: &Db) -> Result<(), DbError> {
        for ((path, _, _), file) in std::mem::take(&mut self.uses) {
            db.put_file_use(path, &file)?;
        }
        for (_, connection) in std::mem::take(&mut self.connections) {
            db.put_connection(&connection)?;
        }
        Ok(())
    }

    /// The number of a path; a new one is written.
    pub(super) fn path_id(&mut self, db: &Db, path: &[u8]) -> Result<i64, DbError> {
        if let Some(state) = self.paths.get(path) {
            return Ok(state.id);
        }
        let id = self.next_path;
        self.next_path += 1;
        db.put_path(id, path)?;
        let state = PathState { id, created_here: false, written: false, asked: None, read_in: ReadIn::Nowhere };
        self.paths.insert(self.standings.shared(path), state);
        Ok(id)
    }

    fn attribute(&mut self, db: &Db, event: Event) -> Result<(), DbError> {
        let mut of = |at, pid, tid| self.attribution.execution_of(at, pid, tid);
        match event {
            Event::File(access) => {
                let execution = of(access.at, access.pid, access.tid);
                self.access(db, execution, &access)
            }
            Event::Preserved(preserved) => {
                let execution = of(preserved.at, preserved.pid, preserved.tid);
                self.preserved(db, execution, preserved)
            }
            Event::Process(process) => self.process(db, process),
            Event::Thread(thread) => {
                self.attribution.thread(&thread);
                Ok(())
            }
            Event::Connection(connection) => {
                let execution = of(connection.at, connection.pid, connection.tid);
                self.connection(execution, connection);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// How this process reaches what the target calls `path`. An absolute link in another root leads there, not here.
    fn host(&self, path: &[u8]) -> Vec<u8> {
        self.host_of(path, true)
    }

    fn host_of(&self, path: &[u8], follow: bool) -> Vec<u8> {
        use std::os::unix::ffi::OsStringExt as _;
        if self.root.is_empty() {
            return path.to_vec();
        }
        in_root(as_path(&self.root), as_path(path), follow).into_os_string().into_vec()
    }

    fn fold(&self, path: &[u8]) -> Vec<u8> {
        let folded = paths::fold(path, |dir| {
            use std::os::unix::ffi::OsStrExt as _;
            paths::is_real_dir(as_path(&self.host_of(dir.as_os_str().as_bytes(), false)))
        });
        folded.into_owned()
    }

    fn access(&mut self, db: &Db, execution: Option<i64>, access: &FileAccess) -> Result<(), DbError> {
        let path = self.fold(&access.path);
        if self.known.is_own(&path) || !path.starts_with(b"/") {
            return Ok(());
        }
        let other = access.other.as_deref().filter(|other| other.starts_with(b"/")).map(|other| self.fold(other));
        match access.op {
            FileOp::Open { flags } => self.open(db, execution, access, path, flags),
            // The interpreters that Linux opens with it come as events of their own.
            FileOp::Exec => {
                let there = access.signature.is_some() || self.host_exists(&path);
                self.count(db, execution, access, path, if there { Use::Exec } else { Use::Absent })
            }
            FileOp::Rename { exchange } => {
                let Some(other) = other else { return Ok(()) };
                // Known already, but for a recording that is read after its end. A directory has no content to be missed.
                if access.signature.is_some() {
                    // Below it is what had this name at first.
                    let mut first = self.standings.origin(&[&path, &b"/"[..]].concat());
                    first.pop();
                    self.count(db, execution, access, first, Use::RenameDirectory)?;
                }
                let host = || self.host_of(&other, false);
                let is_dir = || files::symlink_metadata(as_path(&host())).is_ok_and(|found| found.is_dir());
                if self.standings.has_renamed(&path, &other) || is_dir() {
                    self.standings.rename_directory(&path, &other);
                    return Ok(());
                }
                let (first, second) =
                    if exchange { (Use::RenameTo, Use::RenameTo) } else { (Use::RenameFrom, Use::RenameTo) };
                let path = if exchange { path } else { self.first_name(path) };
                self.count(db, execution, access, path, first)?;
                self.count(db, execution, access, other, second)
            }
            // What lay in it went before, by name. A directory that the session made itself must not be taken for one that
            // was there: a replay could not make it again.
            FileOp::Unlink { dir: true } if access.signature.is_some() => {
                let path = self.first_name(path);
                self.count(db, execution, access, path, Use::RemoveDirectory)
            }
            FileOp::Unlink { dir: true } => self.count(db, execution, access, path, Use::List),
            FileOp::Unlink { dir: false } => {
                let path = self.first_name(path);
                self.count(db, execution, access, path, Use::Remove)
            }
            FileOp::Missing => self.count(db, execution, access, path, Use::Absent),
            FileOp::Truncate => self.count(db, execution, access, path, Use::Write),
            FileOp::Link => match other {
                Some(other) => self.count(db, execution, access, other, Use::RenameTo),
                None => Ok(()),
            },
            FileOp::Symlink => self.count(db, execution, access, path, Use::RenameTo),
        }
    }

    fn open(
        &mut self,
        db: &Db,
        execution: Option<i64>,
        access: &FileAccess,
        path: Vec<u8>,
        flags: i32,
    ) -> Result<(), DbError> {
        let usage = match flags & libc::O_ACCMODE {
            _ if flags & libc::O_PATH != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE => return Ok(()),
            libc::O_RDONLY if flags & (libc::O_CREAT | libc::O_TRUNC) == 0 => {
                let path = self.first_name(path);
                return self.open_to_read(db, execution, access, path, flags);
            }
            libc::O_RDWR if flags & libc::O_TRUNC == 0 => Use::Update,
            _ => Use::Write,
        };
        // Read and write what was not there before is just writing.
        let standing = self.standings.of(&path);
        let existed = match standing {
            Some(Standing::Input { .. } | Standing::Overwritten) => true,
            Some(Standing::Created) => false,
            None => self.paths.contains_key(path.as_slice()) || !self.born_here(&path),
        };
        let usage = if usage == Use::Update && !existed { Use::Write } else { usage };
        if self.known.is_data(&path) {
            self.open.add(&path, as_path(&self.host(&path)), access.pid);
        }
        self.count(db, execution, access, path, usage)
    }

    /// What was there under another name, before a directory above it was renamed, has that name in the record: a replay
    /// renames the directory too.
    fn first_name(&self, path: Vec<u8>) -> Vec<u8> {
        if self.paths.get(path.as_slice()).is_some_and(|state| state.written || state.created_here) {
            return path;
        }
        self.standings.first_name(path)
    }

    fn host_exists(&self, path: &[u8]) -> bool {
        files::metadata(as_path(&self.host(path))).is_ok()
    }

    /// The file was made after the session began, or is gone already.
    fn born_here(&self, path: &[u8]) -> bool {
        files::metadata(as_path(&self.host(path))).map_or(true, |metadata| born_since(&metadata, self.started))
    }

    fn open_to_read(
        &mut self,
        db: &Db,
        execution: Option<i64>,
        access: &FileAccess,
        path: Vec<u8>,
        flags: i32,
    ) -> Result<(), DbError> {
        if flags & libc::O_DIRECTORY != 0 {
            return self.count(db, execution, access, path, Use::List);
        }
        self.source_of_bytecode(db, execution, access, &path)?;
        // Only a regular file has one, and it was taken at the open: nothing that lies there by now says more.
        if access.signature.is_some() {
            return self.count(db, execution, access, path, Use::Read);
        }
        match files::metadata(as_path(&self.host(&path))) {
            Ok(metadata) if metadata.is_dir() => self.count(db, execution, access, path, Use::List),
            Ok(metadata) => {
                let signature = metadata.is_file().then(|| Signature::of(&metadata));
                let access = FileAccess { signature, ..access.clone() };
                self.count(db, execution, &access, path, Use::Read)
            }
            // Nobody knows whether it is there.
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                self.count(db, execution, access, path, Use::Read)
            }
            // It was there when it was opened and is gone now.
            Err(_) if self.paths.get(path.as_slice()).is_some_and(|state| state.created_here) => {
                self.count(db, execution, access, path, Use::Read)
            }
            Err(_) => self.count(db, execution, access, path, Use::Absent),
        }
    }

    /// The source of local bytecode counts as read: a module that was compiled in an earlier session is only looked
    /// at, and its bytecode opened. Without its source, which replaces it everywhere else, the module is lost.
    fn source_of_bytecode(
        &mut self,
        db: &Db,
        execution: Option<i64>,
        access: &FileAccess,
        path: &[u8],
    ) -> Result<(), DbError> {
        let Some(source) = source_of_bytecode(path).filter(|source| self.known.is_data(source)) else { return Ok(()) };
        let Ok(metadata) = files::metadata(as_path(&self.host(&source))) else { return Ok(()) };
        if !metadata.is_file() {
            return Ok(());
        }
        let access = FileAccess { path: source.clone(), signature: Some(Signature::of(&metadata)), ..access.clone() };
        self.count(db, execution, &access, source, Use::Read)
    }

    /// Counts one use and asks for hashes where that is due.
    fn count(
        &mut self,
        db: &Db,
        execution: Option<i64>,
        access: &FileAccess,
        path: Vec<u8>,
        usage: Use,
    ) -> Result<(), DbError> {
        let is_new = !self.paths.contains_key(path.as_slice());
        let creating = matches!(usage, Use::Write | Use::RenameTo);
        let created = is_new
            && creating
            && match self.standings.of(&path) {
                Some(Standing::Created) => true,
                Some(_) => false,
                None => self.born_here(&path),
            };
        let id = self.path_id(db, &path)?;
        let is_data = self.known.is_data(&path);
        let signature = access.signature;
        let Some(state) = self.paths.get_mut(path.as_slice()) else { return Ok(()) };
        state.created_here |= created;
        let signature = if matches!(usage, Use::Read | Use::Exec | Use::Update) { signature } else { None };
        let created_here = state.created_here;
        if is_data {
            self.ask(execution, access.at, &path, usage, signature);
        }
        let key = (id, execution.unwrap_or(0), usage);
        let entry = self.uses.entry(key).or_insert_with(|| FileUse {
            path,
            execution,
            pid: access.pid,
            usage,
            first: access.at,
            last: access.at,
            count: 0,
            signature,
            created_here,
        });
        entry.last = entry.last.max(access.at);
        entry.count += u64::from(access.times);
        Ok(())
    }

    fn process(&mut self, db: &Db, start: ProcessStart) -> Result<(), DbError> {
        let (id, execution) = match self.processes.get(&start.pid) {
            // The same process has called execve; another parent means that the number was used again.
            Some((id, parent)) if *parent == start.ppid => {
                (*id, self.attribution.execution_of(start.at, start.pid, start.pid))
            }
            _ => {
                self.next_process += 1;
                (self.next_process - 1, self.attribution.process(&start))
            }
        };
        self.processes.insert(start.pid, (id, start.ppid));
        let ProcessStart { at, pid, ppid, exe, argv, exec: _ } = start;
        db.put_process(id, &Process { pid, ppid, started: at, exe, argv, execution })
    }

    fn connection(&mut self, execution: Option<i64>, connection: Connection) {
        let key = (connection.address, execution.unwrap_or(0));
        let address = key.0.clone();
        let entry =
            self.connections.entry(key).or_insert(ConnectionUse { address, execution, first: connection.at, count: 0 });
        entry.count += 1;
    }
}

/// The file's birth time lies in the session; where no birth time is known, it does not count as new.
pub(super) fn born_since(metadata: &std::fs::Metadata, started: Nanos) -> bool {
    metadata
        .created()
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .is_some_and(|since| Nanos::try_from(since.as_nanos()).is_ok_and(|born| born >= started))
}

fn time_of(event: &Event) -> Nanos {
    match event {
        Event::File(access) => access.at,
        Event::Preserved(preserved) => preserved.at,
        Event::Process(process) => process.at,
        Event::Thread(thread) => thread.at,
        Event::Connection(connection) => connection.at,
        _ => 0,
    }
}
