//! Makes the layers of a plan that the store does not have yet.
//!
//! One producer (this thread) reads files, writes the tars of two layers side by side and hashes them together; workers
//! compress chunks of [`CHUNK`] bytes; one collector puts the frames in order, hashes and writes them; one publisher
//! syncs finished blobs and names them. The bytes in flight are bounded by one budget, and the result does not depend on
//! the number of threads.

use std::{
    collections::BTreeMap,
    io::{Seek as _, Write as _},
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
};

use sha2::{Digest as _, Sha256};

use super::{
    CHUNK, Compression, Progress,
    atomic::Pending,
    cache::{Key, Known, Lock, is_racy},
    compress::Encoder,
    plan::{LayerPlan, Plan},
    stream::Tar,
    sys,
    write::WriteError,
};
use crate::digest::{
    DiffId, Digest,
    lanes::{Lane, update_both},
};
use crate::files::{self, FileError, Signature};
use crate::store::Store;

/// Layers that are read side by side: two digests that advance together cost little more than one.
const LANES: usize = 2;
/// Bytes of a layer that are hashed at once: few enough to be in the processor's cache still when they were just read.
const HOT: usize = 128 << 10;
/// Threads that are given room to compress at once, each a chunk and its frame: memory stays flat on many processors.
const ABREAST: usize = 4;

/// A layer that lies compressed in the store.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) known: Known,
    /// It was there before.
    pub(super) reused: bool,
}

/// Ensures that every layer of the plan lies in the store, and says under which digests.
pub(super) fn ensure(
    plan: &Plan,
    store: &Store,
    compression: Compression,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Vec<Made>, WriteError> {
    for dir in [store.tmp(), store.layer_index(), store.blobs()] {
        files::create_private_dir(&dir)?;
    }
    let shared = Shared::new(compression, plan.layers.len(), threads);
    let (jobs, job_queue) = mpsc::channel::<Job>();
    let (items, item_queue) = mpsc::channel::<Sent>();
    let (finished, finished_queue) = mpsc::channel::<Finished>();
    let job_queue = Mutex::new(job_queue);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let items = items.clone();
            let (shared, job_queue) = (&shared, &job_queue);
            scope.spawn(move || shared.stop_on_error(work(shared, job_queue, &items)));
        }
        scope.spawn(|| shared.stop_on_error(collect(&shared, item_queue, finished)));
        scope.spawn(|| shared.stop_on_error(publish_all(&shared, store, finished_queue)));
        let mut producer = Producer { shared: &shared, jobs, items, sequence: 0, store, progress };
        shared.stop_on_error(producer.run(plan));
        // Dropping its ends of the channels lets the others finish, in order.
        drop(producer);
    });
    let state = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.error {
        Some(error) => Err(error),
        None => state.made.into_iter().collect::<Option<Vec<_>>>().ok_or(WriteError::Cancelled),
    }
}

/// A chunk to be compressed.
struct Job {
    sequence: u64,
    lane: usize,
    chunk: Vec<u8>,
    length: usize,
}

/// An item, its number, and the lane it is for.
type Sent = (u64, usize, Item);

/// What the collector gets for each lane, in the order of the numbers beside it.
enum Item {
    Begin(Writing),
    Frame(Vec<u8>),
    End { diff_id: DiffId, size: u64, entries: u64, left_out: u64, racy: bool },
}

/// A layer whose frames are being written.
struct Writing {
    index: usize,
    file: Pending,
    lock: Lock,
    key: Key,
    hash: Sha256,
    size: u64,
}

/// A layer whose frames are all written.
struct Finished {
    index: usize,
    file: Pending,
    lock: Lock,
    key: Key,
    diff_id: DiffId,
    size: u64,
    entries: u64,
    left_out: u64,
    racy: bool,
    blob: Digest,
    blob_size: u64,
}

struct State {
    free: usize,
    chunks: Vec<Vec<u8>>,
    frames: Vec<Vec<u8>>,
    /// Layers given to the pipeline and not published yet.
    under_way: usize,
    made: Vec<Option<Made>>,
    error: Option<WriteError>,
    stopped: bool,
}

struct Shared {
    compression: Compression,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn new(compression: Compression, layers: usize, threads: usize) -> Self {
        // A chunk for each lane that is read, what is being compressed, and a frame that waits to be written.
        let room = LANES * CHUNK + threads.clamp(1, ABREAST) * (CHUNK + compression.bound()) + compression.bound();
        let state = State {
            free: room,
            chunks: Vec::new(),
            frames: Vec::new(),
            under_way: 0,
            made: vec![None; layers],
            error: None,
            stopped: false,
        };
        Self { compression, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready` or until another thread failed.
    fn wait(&self, ready: impl Fn(&State) -> bool) -> Result<MutexGuard<'_, State>, WriteError> {
        let state = self
            .changed
            .wait_while(self.state(), |state| !state.stopped && !ready(state))
            .unwrap_or_else(PoisonError::into_inner);
        if state.stopped { Err(WriteError::Cancelled) } else { Ok(state) }
    }

    /// Keeps the first error and makes everybody stop.
    fn stop_on_error(&self, result: Result<(), WriteError>) {
        if let Err(error) = result {
            let mut state = self.state();
            state.stopped = true;
            // "Stopped" is what the others see of a failure, sometimes before it is told here.
            if matches!(state.error, None | Some(WriteError::Cancelled)) {
                state.error = Some(error);
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Waits until so many bytes may be in flight more.
    fn reserve(&self, bytes: usize) -> Result<MutexGuard<'_, State>, WriteError> {
        let mut state = self.wait(|state| state.free >= bytes)?;
        state.free -= bytes;
        Ok(state)
    }

    /// A chunk of zeros or of old bytes, once there is room for it.
    fn chunk(&self) -> Result<Vec<u8>, WriteError> {
        let mut state = self.reserve(CHUNK)?;
        let used = state.chunks.pop();
        drop(state);
        Ok(used.unwrap_or_else(|| {
            let mut chunk = vec![0; CHUNK];
            sys::advise_large_pages(&mut chunk);
            chunk
        }))
    }

    fn give_back(&self, cost: usize, keep: impl FnOnce(&mut State)) {
        let mut state = self.state();
        state.free += cost;
        keep(&mut state);
        drop(state);
        self.changed.notify_all();
    }
}

/// Compresses chunks until there are no more.
fn work(shared: &Shared, jobs: &Mutex<Receiver<Job>>, items: &Sender<Sent>) -> Result<(), WriteError> {
    let mut encoder = Encoder::new(shared.compression).map_err(WriteError::Compress)?;
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { sequence, lane, chunk, length }) = job else { return Ok(()) };
        if shared.state().stopped {
            return Ok(());
        }
        let mut frame = shared.state().frames.pop().unwrap_or_default();
        encoder.frame(chunk.get(..length).unwrap_or_default(), &mut frame).map_err(WriteError::Compress)?;
        shared.give_back(CHUNK, |state| state.chunks.push(chunk));
        // Only when the collector failed does nobody listen; it has said why.
        if items.send((sequence, lane, Item::Frame(frame))).is_err() {
            return Ok(());
        }
    }
}

/// Writes the frames of each layer in order.
fn collect(shared: &Shared, items: Receiver<Sent>, finished: Sender<Finished>) -> Result<(), WriteError> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    let mut lanes: [Option<Writing>; LANES] = [const { None }; LANES];
    for (sequence, lane, item) in items {
        waiting.insert(sequence, (lane, item));
        while let Some((lane, item)) = waiting.remove(&next) {
            next += 1;
            let Some(current) = lanes.get_mut(lane) else { continue };
            match item {
                Item::Begin(writing) => *current = Some(writing),
                Item::Frame(frame) => {
                    if let Some(writing) = current {
                        writing.hash.update(&frame);
                        writing.size += frame.len() as u64;
                        writing.file.file().write_all(&frame).map_err(WriteError::Store)?;
                    }
                    shared.give_back(shared.compression.bound(), |state| state.frames.push(frame));
                }
                Item::End { diff_id, size, entries, left_out, racy } => {
                    let Some(Writing { index, file, lock, key, hash, size: blob_size }) = current.take() else {
                        continue;
                    };
                    let blob = Digest::from_bytes(hash.finalize().into());
                    let done =
                        Finished { index, file, lock, key, diff_id, size, entries, left_out, racy, blob, blob_size };
                    if finished.send(done).is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

/// Makes finished blobs durable and findable.
fn publish_all(shared: &Shared, store: &Store, queue: Receiver<Finished>) -> Result<(), WriteError> {
    for done in queue {
        let path = store.blob_path(&done.blob);
        files::create_private_dir(files::parent(&path))?;
        drop(done.file.publish(&path, 0o444)?);
        let known =
            Known::published(&path, done.diff_id, done.size, done.entries, done.blob, done.blob_size, done.left_out)?;
        if !done.racy {
            done.key.remember(store, &known)?;
        }
        drop(done.lock);
        let mut state = shared.state();
        if let Some(slot) = state.made.get_mut(done.index) {
            *slot = Some(Made { known, reused: false });
        }
        state.under_way -= 1;
        drop(state);
        shared.changed.notify_all();
    }
    Ok(())
}

struct Producer<'a> {
    shared: &'a Shared,
    jobs: Sender<Job>,
    items: Sender<Sent>,
    sequence: u64,
    store: &'a Store,
    progress: &'a dyn Progress,
}

/// A layer that is being read.
struct Making<'a> {
    lane: usize,
    layer: &'a LayerPlan,
    tar: Tar<'a>,
    /// By the clock of the store's file system, in nanoseconds.
    started: i64,
    chunk: Option<Vec<u8>>,
    /// Bytes of the chunk that were read, and those of them that were hashed.
    filled: usize,
    hashed: usize,
    hash: Lane,
    size: u64,
    ended: bool,
}

/// The layers that nobody has looked at yet, and the one that another process makes just now.
struct Waiting<'a> {
    layers: std::iter::Enumerate<std::slice::Iter<'a, LayerPlan>>,
    busy: Option<(usize, &'a LayerPlan, Key)>,
}

impl<'a> Producer<'a> {
    fn run(&mut self, plan: &'a Plan) -> Result<(), WriteError> {
        let total = plan.layers.len();
        let mut waiting = Waiting { layers: plan.layers.iter().enumerate(), busy: None };
        let mut lanes: [Option<Making<'a>>; LANES] = [const { None }; LANES];
        loop {
            for lane in 0..LANES {
                // What another process makes is asked for again when there is nothing else to do.
                let alone = lanes.iter().all(Option::is_none);
                if let Some(free @ None) = lanes.get_mut(lane)
                    && (alone || waiting.busy.is_none())
                {
                    *free = self.next(&mut waiting, lane, alone, total)?;
                }
            }
            for making in lanes.iter_mut().flatten() {
                self.read(making)?;
            }
            match &mut lanes {
                [None, None] => return Ok(()),
                [Some(one), None] | [None, Some(one)] => {
                    one.hash.update(slice(one.chunk.as_ref(), one.hashed, one.filled));
                }
                [Some(one), Some(two)] => update_both(
                    &mut one.hash,
                    slice(one.chunk.as_ref(), one.hashed, one.filled),
                    &mut two.hash,
                    slice(two.chunk.as_ref(), two.hashed, two.filled),
                ),
            }
            for place in &mut lanes {
                let Some(making) = place else { continue };
                making.hashed = making.filled;
                if making.filled == CHUNK || making.ended {
                    self.seal(making)?;
                }
                if let Some(making) = place.take_if(|making| making.ended) {
                    self.finish(making)?;
                }
            }
        }
    }

    /// The next layer that has to be made; those that the store has are noted on the way.
    fn next(
        &mut self,
        waiting: &mut Waiting<'a>,
        lane: usize,
        alone: bool,
        total: usize,
    ) -> Result<Option<Making<'a>>, WriteError> {
        loop {
            let busy = waiting.busy.take();
            let unseen =
                || waiting.layers.next().map(|(index, layer)| (index, layer, Key::of(layer, self.shared.compression)));
            let Some((index, layer, key)) = busy.or_else(unseen) else { return Ok(None) };
            if self.note(index, layer, total, key)? {
                continue;
            }
            let Some(lock) = self.lock(key, alone)? else {
                waiting.busy = Some((index, layer, key));
                return Ok(None);
            };
            // Who had the lock before us may have made it.
            if self.note(index, layer, total, key)? {
                continue;
            }
            self.progress.layer(index, total, &layer.title, false);
            return self.begin(index, layer, lane, key, lock).map(Some);
        }
    }

    /// Takes a layer from the store, if it is there.
    fn note(&self, index: usize, layer: &LayerPlan, total: usize, key: Key) -> Result<bool, WriteError> {
        let Some(known) = key.find(self.store) else { return Ok(false) };
        as_expected(layer, known.diff_id)?;
        self.progress.layer(index, total, &layer.title, true);
        self.progress.bytes(layer.bytes);
        if let Some(slot) = self.shared.state().made.get_mut(index) {
            *slot = Some(Made { known, reused: true });
        }
        Ok(true)
    }

    /// `None`: another process makes this layer, and we make another one meanwhile. Nobody waits for a lock while holding
    /// one, so two exports cannot wait for each other.
    fn lock(&self, key: Key, alone: bool) -> Result<Option<Lock>, WriteError> {
        let lock = key.lock(self.store, false)?;
        if lock.is_some() || !alone {
            return Ok(lock);
        }
        drop(self.shared.wait(|state| state.under_way == 0)?);
        Ok(key.lock(self.store, true)?)
    }

    fn send(&mut self, lane: usize, item: Item) -> Result<(), WriteError> {
        let sent = self.items.send((self.sequence, lane, item));
        self.sequence += 1;
        sent.map_err(|_| WriteError::Cancelled)
    }

    fn begin(
        &mut self,
        index: usize,
        layer: &'a LayerPlan,
        lane: usize,
        key: Key,
        lock: Lock,
    ) -> Result<Making<'a>, WriteError> {
        let tmp = self.store.tmp();
        let mut file = Pending::new_in(&tmp)?;
        let started = Signature::of(&file.file().metadata().map_err(FileError::new("write", &tmp))?).mtime_ns;
        file.file().rewind().map_err(FileError::new("write", &tmp))?;
        self.shared.state().under_way += 1;
        self.send(lane, Item::Begin(Writing { index, file, lock, key, hash: Sha256::new(), size: 0 }))?;
        Ok(Making {
            lane,
            layer,
            tar: Tar::new(&layer.entries, self.store),
            started,
            chunk: None,
            filled: 0,
            hashed: 0,
            hash: Lane::default(),
            size: 0,
            ended: false,
        })
    }

    /// Reads until there is enough to hash, or no more.
    fn read(&self, making: &mut Making<'_>) -> Result<(), WriteError> {
        let end = CHUNK.min(making.hashed + HOT);
        let chunk = match &mut making.chunk {
            Some(chunk) => chunk,
            none => none.insert(self.shared.chunk()?),
        };
        while making.filled < end && !making.ended {
            let count = making.tar.fill(chunk.get_mut(making.filled..end).unwrap_or_default())?;
            making.filled += count;
            making.ended = count == 0;
        }
        Ok(())
    }

    /// Gives a chunk to be compressed.
    fn seal(&mut self, making: &mut Making<'_>) -> Result<(), WriteError> {
        let Some(chunk) = making.chunk.take() else { return Ok(()) };
        making.hashed = 0;
        let length = std::mem::take(&mut making.filled);
        if length == 0 {
            // The layer ended with the chunk before.
            self.shared.give_back(CHUNK, |state| state.chunks.push(chunk));
            return Ok(());
        }
        making.size += length as u64;
        self.progress.bytes(length as u64);
        if self.progress.cancelled() {
            return Err(WriteError::Cancelled);
        }
        // The frame's room too: whatever was given to be compressed can be finished without waiting for us.
        drop(self.shared.reserve(self.shared.compression.bound())?);
        let sequence = self.sequence;
        self.sequence += 1;
        self.jobs.send(Job { sequence, lane: making.lane, chunk, length }).map_err(|_| WriteError::Cancelled)
    }

    fn finish(&mut self, making: Making<'_>) -> Result<(), WriteError> {
        let Making { lane, layer, tar, started, hash, size, .. } = making;
        let diff_id = DiffId(hash.finish());
        as_expected(layer, diff_id)?;
        let (entries, left_out) = (tar.entries, tar.left_out);
        self.send(lane, Item::End { diff_id, size, entries, left_out, racy: is_racy(layer, started) })
    }
}

/// The bytes of a chunk that are to be hashed.
fn slice(chunk: Option<&Vec<u8>>, from: usize, to: usize) -> &[u8] {
    chunk.and_then(|chunk| chunk.get(from..to)).unwrap_or_default()
}

/// Refuses a layer that was to be packed as it is and is not the same any more.
fn as_expected(layer: &LayerPlan, found: DiffId) -> Result<(), WriteError> {
    match layer.expected {
        Some(expected) if expected != found => {
            Err(WriteError::Altered { title: layer.title.clone(), expected: expected.0, found: found.0 })
        }
        _ => Ok(()),
    }
}
