//! Makes the layers of a plan that the store does not have yet.
//!
//! One producer (this thread) reads files, writes tar and hashes it; workers compress chunks of [`CHUNK`] bytes; one
//! collector puts the frames in order, hashes and writes them; one publisher syncs finished blobs and names them. The
//! bytes in flight are bounded by one budget, and the result does not depend on the number of threads.

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
    content::{self, Data},
    plan::{LayerPlan, Plan},
    sys,
    tar::{self, Body},
    write::WriteError,
};
use crate::digest::{DiffId, Digest};
use crate::files::{self, FileError, Signature};
use crate::store::Store;

/// Bytes that are hashed at once: few enough to be in the processor's cache still when they were just read.
const HOT: usize = 256 << 10;
/// Bytes of chunks and frames in flight.
const BUDGET: usize = 96 << 20;

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
    let shared = Shared::new(compression, plan.layers.len());
    let (jobs, job_queue) = mpsc::channel::<Job>();
    let (items, item_queue) = mpsc::channel::<(u64, Item)>();
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
    chunk: Vec<u8>,
    length: usize,
}

/// What the collector gets, in the order of the numbers beside it.
enum Item {
    Begin { index: usize, file: Pending, lock: Lock, key: Key },
    Frame(Vec<u8>),
    End { diff_id: DiffId, size: u64, entries: u64, left_out: u64, racy: bool },
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
    fn new(compression: Compression, layers: usize) -> Self {
        let state = State {
            free: BUDGET,
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

    /// What a full chunk and its frame may take.
    fn full_cost(&self) -> usize {
        CHUNK + self.compression.bound()
    }

    /// A chunk of zeros or of old bytes, once the budget has room for it and its frame.
    fn chunk(&self) -> Result<Vec<u8>, WriteError> {
        let cost = self.full_cost();
        let mut state = self.wait(|state| state.free >= cost)?;
        state.free -= cost;
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
fn work(shared: &Shared, jobs: &Mutex<Receiver<Job>>, items: &Sender<(u64, Item)>) -> Result<(), WriteError> {
    let mut encoder = Encoder::new(shared.compression).map_err(WriteError::Compress)?;
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { sequence, chunk, length }) = job else { return Ok(()) };
        if shared.state().stopped {
            return Ok(());
        }
        let mut frame = shared.state().frames.pop().unwrap_or_default();
        encoder.frame(chunk.get(..length).unwrap_or_default(), &mut frame).map_err(WriteError::Compress)?;
        shared.give_back(CHUNK, |state| state.chunks.push(chunk));
        // Only when the collector failed does nobody listen; it has said why.
        if items.send((sequence, Item::Frame(frame))).is_err() {
            return Ok(());
        }
    }
}

/// Writes the frames of each layer in order.
fn collect(shared: &Shared, items: Receiver<(u64, Item)>, finished: Sender<Finished>) -> Result<(), WriteError> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    let mut current = None;
    let mut hash = Sha256::new();
    let mut blob_size = 0;
    for (sequence, item) in items {
        waiting.insert(sequence, item);
        while let Some(item) = waiting.remove(&next) {
            next += 1;
            match item {
                Item::Begin { index, file, lock, key } => {
                    current = Some((index, file, lock, key));
                    hash = Sha256::new();
                    blob_size = 0;
                }
                Item::Frame(frame) => {
                    hash.update(&frame);
                    blob_size += frame.len() as u64;
                    if let Some((_, file, _, _)) = &mut current {
                        file.file().write_all(&frame).map_err(WriteError::Store)?;
                    }
                    shared.give_back(shared.compression.bound(), |state| state.frames.push(frame));
                }
                Item::End { diff_id, size, entries, left_out, racy } => {
                    let Some((index, file, lock, key)) = current.take() else { continue };
                    let blob = Digest::from_bytes(std::mem::take(&mut hash).finalize().into());
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
    items: Sender<(u64, Item)>,
    sequence: u64,
    store: &'a Store,
    progress: &'a dyn Progress,
}

impl Producer<'_> {
    fn run(&mut self, plan: &Plan) -> Result<(), WriteError> {
        let total = plan.layers.len();
        for (index, layer) in plan.layers.iter().enumerate() {
            let key = Key::of(layer, self.shared.compression);
            let mut found = key.find(self.store);
            if found.is_none() {
                let lock = self.lock(key)?;
                // Who had the lock before us may have made it.
                found = key.find(self.store);
                if found.is_none() {
                    self.progress.layer(index, total, &layer.title, false);
                    self.make(index, layer, key, lock)?;
                }
            }
            if let Some(known) = found {
                as_expected(layer, known.diff_id)?;
                self.progress.layer(index, total, &layer.title, true);
                self.progress.bytes(layer.bytes);
                if let Some(slot) = self.shared.state().made.get_mut(index) {
                    *slot = Some(Made { known, reused: true });
                }
            }
        }
        Ok(())
    }

    /// Nobody waits for a lock while holding one, so two exports cannot wait for each other.
    fn lock(&self, key: Key) -> Result<Lock, WriteError> {
        if let Some(lock) = key.lock(self.store, false)? {
            return Ok(lock);
        }
        drop(self.shared.wait(|state| state.under_way == 0)?);
        key.lock(self.store, true)?.ok_or(WriteError::Cancelled)
    }

    fn send(&mut self, item: Item) -> Result<(), WriteError> {
        let sent = self.items.send((self.sequence, item));
        self.sequence += 1;
        sent.map_err(|_| WriteError::Cancelled)
    }

    fn make(&mut self, index: usize, layer: &LayerPlan, key: Key, lock: Lock) -> Result<(), WriteError> {
        let tmp = self.store.tmp();
        let mut file = Pending::new_in(&tmp)?;
        let started = Signature::of(&file.file().metadata().map_err(FileError::new("write", &tmp))?).mtime_ns;
        file.file().rewind().map_err(FileError::new("write", &tmp))?;
        self.shared.state().under_way += 1;
        self.send(Item::Begin { index, file, lock, key })?;
        let mut tar = Chunks { producer: self, chunk: None, filled: 0, hash: Sha256::new(), size: 0 };
        let (mut entries, mut left_out) = (0, 0);
        for planned in &layer.entries {
            let mut entry = planned.entry.clone();
            let data = content::open(planned, tar.producer.store)?;
            match &data {
                Some(Data::LeftOut) => {
                    left_out += 1;
                    continue;
                }
                Some(Data::Bytes(bytes)) => entry.body = Body::File { size: bytes.len() as u64 },
                Some(Data::Shared(bytes)) => entry.body = Body::File { size: bytes.len() as u64 },
                Some(Data::Stream(stream)) => entry.body = Body::File { size: stream.size() },
                None => {}
            }
            entries += 1;
            let header = tar::encode(&entry).ok_or_else(|| WriteError::Name { path: entry.path.clone() })?;
            tar.write(&header)?;
            let size = match data {
                Some(Data::Bytes(bytes)) => tar.write(&bytes).map(|()| bytes.len() as u64)?,
                Some(Data::Shared(bytes)) => tar.write(&bytes).map(|()| bytes.len() as u64)?,
                Some(Data::Stream(stream)) => tar.copy(stream)?,
                Some(Data::LeftOut) | None => 0,
            };
            tar.write(tar::END.get(..tar::padding(size)).unwrap_or_default())?;
        }
        tar.write(&tar::END)?;
        let (diff_id, size) = tar.finish()?;
        as_expected(layer, diff_id)?;
        self.send(Item::End { diff_id, size, entries, left_out, racy: is_racy(layer, started) })
    }
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

/// Cuts a layer's tar into chunks, counted from its start.
struct Chunks<'a, 'b> {
    producer: &'a mut Producer<'b>,
    chunk: Option<Vec<u8>>,
    filled: usize,
    hash: Sha256,
    size: u64,
}

impl Chunks<'_, '_> {
    /// Hands at most `wanted` bytes of free space to `fill`.
    fn space(
        &mut self,
        wanted: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), WriteError>,
    ) -> Result<usize, WriteError> {
        if self.filled == CHUNK {
            self.seal()?;
        }
        if self.chunk.is_none() {
            self.chunk = Some(self.producer.shared.chunk()?);
        }
        let end = CHUNK.min(self.filled.saturating_add(wanted.min(HOT)));
        let space = self.chunk.as_mut().and_then(|chunk| chunk.get_mut(self.filled..end)).unwrap_or_default();
        let count = space.len();
        fill(space)?;
        self.hash.update(&*space);
        self.filled += count;
        Ok(count)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            let count = self.space(bytes.len(), |space| {
                space.copy_from_slice(bytes.get(..space.len()).unwrap_or_default());
                Ok(())
            })?;
            bytes = bytes.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    fn copy(&mut self, mut stream: content::Stream) -> Result<u64, WriteError> {
        let size = stream.size();
        let mut left = size;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX);
            left -= self.space(wanted, |space| stream.fill(space))? as u64;
        }
        stream.finish()?;
        Ok(size)
    }

    fn seal(&mut self) -> Result<(), WriteError> {
        let Some(chunk) = self.chunk.take() else { return Ok(()) };
        let length = std::mem::take(&mut self.filled);
        self.size += length as u64;
        let producer = &mut *self.producer;
        producer.progress.bytes(length as u64);
        if producer.progress.cancelled() {
            return Err(WriteError::Cancelled);
        }
        let sequence = producer.sequence;
        producer.sequence += 1;
        producer.jobs.send(Job { sequence, chunk, length }).map_err(|_| WriteError::Cancelled)
    }

    fn finish(mut self) -> Result<(DiffId, u64), WriteError> {
        self.seal()?;
        Ok((DiffId(Digest::from_bytes(self.hash.finalize().into())), self.size))
    }
}
