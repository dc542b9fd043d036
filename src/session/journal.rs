//! The session's journal: queue, spill and crash log in one.
//!
//! Append-only files `journal-000001`, `journal-000002` … in the session directory. A record is
//! `length: u32 LE, crc32(payload): u32 LE, payload`, written with one positioned `writev`: what was handed to Linux
//! survives `kill -9` of this process. Whoever imports reads it from the page cache. A tail that does not fit its
//! checksum (a crash in the middle of a write, or a power loss) is the journal's end.

use std::{
    fs::File,
    io::{self, IoSlice},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    event::{Channel, Direction, Event, FileAccess, FileOp, MessageRecord},
    files::{self, FileError, Signature},
};

/// A segment that has grown to this many bytes is followed by a new one.
pub const SEGMENT_BYTES: u64 = 32 << 20;
/// A record longer than this is not one of ours.
const LONGEST_RECORD: usize = 1 << 31;
const HEAD: usize = 8;
/// As many pieces as Linux takes in one call (`IOV_MAX`).
const MOST_PARTS: usize = 1024;
/// Read at once: records are small, and a call for each is dearer than they are.
const CHUNK: usize = 128 << 10;

/// A place in the journal: before the record that begins there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    /// Number of the segment, from 1; 0 is "before everything".
    pub segment: u64,
    /// Bytes into it.
    pub offset: u64,
}

/// The path of a segment.
pub fn segment_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("journal-{segment:06}"))
}

/// The numbers of the segments in `dir`, ascending.
pub fn segments(dir: &Path) -> Vec<u64> {
    let mut numbers: Vec<u64> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("journal-")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Appends to the journal. One writer per session; who holds it holds the session's lock.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    file: File,
    end: Position,
}

impl Writer {
    /// Begins the journal of a new session in `dir`.
    pub fn create(dir: &Path) -> Result<Self, FileError> {
        let end = Position { segment: 1, offset: 0 };
        Ok(Self { dir: dir.to_owned(), file: create_segment(dir, 1)?, end })
    }

    /// Where the next record will begin: everything before it is written.
    pub fn end(&self) -> Position {
        self.end
    }

    /// Writes events with one call. After an error nothing of them is in the journal, and the next one may be tried.
    pub fn append(&mut self, events: &[Event]) -> Result<(), FileError> {
        if self.end.offset >= SEGMENT_BYTES {
            let next = self.end.segment + 1;
            self.file = create_segment(&self.dir, next)?;
            self.end = Position { segment: next, offset: 0 };
        }
        let mut records = Records::default();
        for event in events {
            records.add(event).map_err(FileError::new("write", &segment_path(&self.dir, self.end.segment)))?;
        }
        let mut parts = records.parts();
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut offset = self.end.offset;
        for parts in parts.chunks_mut(MOST_PARTS) {
            let length: usize = parts.iter().map(|part| part.len()).sum();
            write_all_at(&self.file, parts, offset)
                .map_err(FileError::new("write", &segment_path(&self.dir, self.end.segment)))?;
            offset += length as u64;
        }
        self.end.offset += length as u64;
        Ok(())
    }
}

/// Brings to the disk what was written from `from` up to `to`: it survives a power loss then.
pub fn sync(dir: &Path, from: Position, to: Position) -> Result<(), FileError> {
    for segment in from.segment.max(1)..=to.segment {
        let path = segment_path(dir, segment);
        match files::open(&path) {
            Ok(file) => file.sync_data().map_err(FileError::new("write", &path))?,
            // Imported and removed meanwhile.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    if to.segment > from.segment { files::sync_dir(dir) } else { Ok(()) }
}

/// How many bytes lie between two places, at least.
pub fn distance(from: Position, to: Position) -> u64 {
    (to.segment.saturating_sub(from.segment) * SEGMENT_BYTES + to.offset).saturating_sub(from.offset)
}

fn create_segment(dir: &Path, segment: u64) -> Result<File, FileError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = segment_path(dir, segment);
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(FileError::new("create", &path))
}

fn write_all_at(file: &File, mut parts: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        match rustix::io::pwritev(file, parts, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                offset += n as u64;
                IoSlice::advance_slices(&mut parts, n);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Reads the journal from a position on.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    file: Option<File>,
    at: Position,
    /// What was read from `at` on, and how much of it has been used.
    chunk: Vec<u8>,
    used: usize,
}

impl Reader {
    /// Starts at `from`; at the first segment there is, where that is later.
    pub fn new(dir: &Path, from: Position) -> Self {
        let mut at = from;
        if let Some(first) = segments(dir).first().copied()
            && at.segment < first
        {
            at = Position { segment: first, offset: 0 };
        }
        Self { dir: dir.to_owned(), file: None, at, chunk: Vec::new(), used: 0 }
    }

    /// Where the next record begins.
    pub fn position(&self) -> Position {
        self.at
    }

    /// The next record, or `None` at the end: a live journal may have more later, a dead one has not.
    pub fn next_event(&mut self) -> Result<Option<Event>, FileError> {
        loop {
            if self.file.is_none() {
                let path = segment_path(&self.dir, self.at.segment);
                match files::open(&path) {
                    Ok(file) => self.file = Some(file),
                    Err(error) if error.is_not_found() => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
            match self.read_record().map_err(FileError::new("read", &segment_path(&self.dir, self.at.segment)))? {
                Some((length, event)) => {
                    self.at.offset += (HEAD + length) as u64;
                    // A record whose checksum fits but that we cannot decode is of a newer nbpack: skip it.
                    if event.is_some() {
                        return Ok(event);
                    }
                }
                None if segment_path(&self.dir, self.at.segment + 1).exists() => {
                    self.at = Position { segment: self.at.segment + 1, offset: 0 };
                    self.file = None;
                    self.forget();
                }
                None => return Ok(None),
            }
        }
    }

    /// The record at the position: the length of its payload, and what that says. `None` where none is whole.
    fn read_record(&mut self) -> io::Result<Option<(usize, Option<Event>)>> {
        let Some(file) = &self.file else { return Ok(None) };
        let rest = self.chunk.get(self.used..).unwrap_or_default();
        if let Some(payload) = cut(rest) {
            self.used += HEAD + payload.len();
            return Ok(Some((payload.len(), decode_copied(payload))));
        }
        // Its end, or the middle of a write when it was read: the file knows better by now.
        self.chunk.resize(CHUNK, 0);
        let read = read_full_at(file, &mut self.chunk, self.at.offset)?;
        self.chunk.truncate(read);
        if let Some(payload) = cut(&self.chunk) {
            self.used = HEAD + payload.len();
            return Ok(Some((payload.len(), decode_copied(payload))));
        }
        let found = match front(&self.chunk) {
            Some((length, sum)) if HEAD + length > CHUNK => read_long(file, self.at.offset + HEAD as u64, length, sum)?,
            _ => None,
        };
        self.forget();
        Ok(found.map(|payload| (payload.len(), decode(&payload, || payload.clone()))))
    }

    fn forget(&mut self) {
        self.chunk.clear();
        self.used = 0;
    }
}

/// Length and checksum of the payload.
fn front(record: &[u8]) -> Option<(usize, u32)> {
    let front = u64::from_le_bytes(*record.first_chunk::<HEAD>()?);
    let (length, sum) = ((front & u64::from(u32::MAX)) as usize, (front >> 32) as u32);
    (length > 0 && length < LONGEST_RECORD).then_some((length, sum))
}

/// The payload of the first record, when it is whole.
fn cut(records: &[u8]) -> Option<&[u8]> {
    let (length, sum) = front(records)?;
    let payload = records.get(HEAD..HEAD + length)?;
    (crc32fast::hash(payload) == sum).then_some(payload)
}

/// A payload that is longer than a chunk.
fn read_long(file: &File, offset: u64, length: usize, sum: u32) -> io::Result<Option<Bytes>> {
    if length as u64 > file.metadata()?.len().saturating_sub(offset) {
        return Ok(None);
    }
    let mut payload = vec![0_u8; length];
    let whole = read_full_at(file, &mut payload, offset)? == length && crc32fast::hash(&payload) == sum;
    Ok(whole.then(|| Bytes::from(payload)))
}

fn read_full_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..)
        && !rest.is_empty()
    {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

// The two frequent events have a compact form; the others are JSON. The first byte tells.
const MESSAGE: u8 = b'm';
const FILE: u8 = b'f';
const OTHER: u8 = b'j';

/// Frames up to this size are copied beside what stands before them: many small pieces cost Linux more.
const SMALL: usize = 4096;

/// Encoded records. Large frames stay where they are.
#[derive(Default)]
struct Records<'a> {
    bytes: Vec<u8>,
    /// Before which of the bytes a large frame comes.
    large: Vec<(usize, &'a Bytes)>,
}

impl<'a> Records<'a> {
    fn add(&mut self, event: &'a Event) -> io::Result<()> {
        let (at, large) = (self.bytes.len(), self.large.len());
        self.bytes.extend([0_u8; HEAD]);
        self.encode(event);
        let mut crc = crc32fast::Hasher::new();
        let (mut length, mut done) = (self.bytes.len() - at - HEAD, at + HEAD);
        for (until, frame) in self.large.get(large..).unwrap_or_default() {
            crc.update(self.bytes.get(done..*until).unwrap_or_default());
            crc.update(frame);
            length += frame.len();
            done = *until;
        }
        crc.update(self.bytes.get(done..).unwrap_or_default());
        if length >= LONGEST_RECORD {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("an event of {length} bytes")));
        }
        let front = u64::from(u32::try_from(length).unwrap_or(u32::MAX)) | u64::from(crc.finalize()) << 32;
        if let Some(place) = self.bytes.get_mut(at..at + HEAD) {
            place.copy_from_slice(&front.to_le_bytes());
        }
        Ok(())
    }

    fn encode(&mut self, event: &'a Event) {
        let bytes = &mut self.bytes;
        match event {
            Event::Message(message) => {
                bytes.push(MESSAGE);
                bytes.extend(message.at.to_le_bytes());
                bytes.push(match message.channel {
                    Channel::Shell => 0,
                    Channel::Control => 1,
                    Channel::Stdin => 2,
                    Channel::Iopub => 3,
                });
                bytes.push(u8::from(message.direction == Direction::ToFrontend));
                put_bytes(bytes, &message.client);
                put_u32(bytes, message.frames.len());
                message.frames.iter().for_each(|frame| put_u32(bytes, frame.len()));
                for frame in &message.frames {
                    if frame.len() <= SMALL {
                        bytes.extend_from_slice(frame);
                    } else {
                        self.large.push((bytes.len(), frame));
                    }
                }
            }
            Event::File(access) => {
                bytes.push(FILE);
                put_access(bytes, access);
            }
            other => {
                bytes.push(OTHER);
                // Values of these types always serialise; should one not, the record is empty and skipped.
                bytes.extend(serde_json::to_vec(&Other::of(other)).unwrap_or_default());
            }
        }
    }

    /// What is to be written, in order.
    fn parts(&self) -> Vec<IoSlice<'_>> {
        let mut parts = Vec::with_capacity(2 * self.large.len() + 1);
        let mut done = 0;
        for (until, frame) in &self.large {
            parts.push(IoSlice::new(self.bytes.get(done..*until).unwrap_or_default()));
            parts.push(IoSlice::new(frame));
            done = *until;
        }
        parts.push(IoSlice::new(self.bytes.get(done..).unwrap_or_default()));
        parts
    }
}

fn put_u32(out: &mut Vec<u8>, value: usize) {
    out.extend(u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len());
    out.extend(bytes);
}

fn put_access(out: &mut Vec<u8>, access: &FileAccess) {
    out.extend(access.at.to_le_bytes());
    out.extend(access.pid.to_le_bytes());
    out.extend(access.tid.to_le_bytes());
    let (kind, argument) = match access.op {
        FileOp::Open { flags } => (0_u8, flags),
        FileOp::Exec => (1, 0),
        FileOp::Rename { exchange } => (2, i32::from(exchange)),
        FileOp::Unlink { dir } => (3, i32::from(dir)),
        FileOp::Truncate => (4, 0),
        FileOp::Link => (5, 0),
        FileOp::Symlink => (6, 0),
        FileOp::Missing => (7, 0),
    };
    out.push(kind);
    out.extend(argument.to_le_bytes());
    put_bytes(out, &access.path);
    out.push(u8::from(access.other.is_some()));
    put_bytes(out, access.other.as_deref().unwrap_or_default());
    out.push(u8::from(access.signature.is_some()));
    if let Some(signature) = &access.signature {
        for number in [signature.dev, signature.ino, signature.size] {
            out.extend(number.to_le_bytes());
        }
        for time in [signature.mtime_ns, signature.ctime_ns] {
            out.extend(time.to_le_bytes());
        }
    }
    out.extend(access.times.to_le_bytes());
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let n = self.u32()? as usize;
        self.take(n)
    }
}

/// What a payload says that lies in a buffer which is used again.
fn decode_copied(payload: &[u8]) -> Option<Event> {
    decode(payload, || Bytes::copy_from_slice(payload))
}

/// What a payload says. `own` gives the payload itself, for the frames of a message.
fn decode(payload: &[u8], own: impl FnOnce() -> Bytes) -> Option<Event> {
    let mut cursor = Cursor(payload);
    match cursor.byte()? {
        MESSAGE => decode_message(&own()).map(Event::Message),
        FILE => decode_access(&mut cursor).map(Event::File),
        OTHER => serde_json::from_slice::<Other>(cursor.0).ok().map(Other::event),
        _ => None,
    }
}

fn decode_message(payload: &Bytes) -> Option<MessageRecord> {
    let mut cursor = Cursor(payload.get(1..)?);
    let at = cursor.i64()?;
    let channel = match cursor.byte()? {
        0 => Channel::Shell,
        1 => Channel::Control,
        2 => Channel::Stdin,
        3 => Channel::Iopub,
        _ => return None,
    };
    let direction = if cursor.byte()? == 0 { Direction::ToKernel } else { Direction::ToFrontend };
    let client = payload.slice_ref(cursor.bytes()?);
    let count = cursor.u32()?;
    let mut lengths = Vec::new();
    for _ in 0..count {
        lengths.push(cursor.u32()? as usize);
    }
    let frame = |length| cursor.take(length).map(|frame| payload.slice_ref(frame));
    let frames = lengths.into_iter().map(frame).collect::<Option<Vec<_>>>()?;
    Some(MessageRecord { at, channel, direction, client, frames })
}

fn decode_access(cursor: &mut Cursor<'_>) -> Option<FileAccess> {
    let (at, pid, tid) = (cursor.i64()?, cursor.u32()?, cursor.u32()?);
    let (kind, argument) = (cursor.byte()?, i32::from_le_bytes(cursor.array()?));
    let op = match kind {
        0 => FileOp::Open { flags: argument },
        1 => FileOp::Exec,
        2 => FileOp::Rename { exchange: argument != 0 },
        3 => FileOp::Unlink { dir: argument != 0 },
        4 => FileOp::Truncate,
        5 => FileOp::Link,
        6 => FileOp::Symlink,
        7 => FileOp::Missing,
        _ => return None,
    };
    let path = cursor.bytes()?.to_vec();
    let has_other = cursor.byte()? != 0;
    let other = cursor.bytes()?;
    let signature = if cursor.byte()? != 0 {
        let (dev, ino, size) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
        Some(Signature { dev, ino, size, mtime_ns: cursor.i64()?, ctime_ns: cursor.i64()? })
    } else {
        None
    };
    // A journal of an earlier version ends here.
    let times = cursor.u32().unwrap_or(1);
    Some(FileAccess { at, pid, tid, op, path, other: has_other.then(|| other.to_vec()), signature, times })
}

/// The events that are rare enough for JSON.
#[derive(Serialize, Deserialize)]
enum Other {
    Started(i64, u32, Vec<String>),
    Ended(i64, i32),
    Preserved(crate::event::Preserved),
    Connection(crate::event::Connection),
    Process(crate::event::ProcessStart),
    Thread(crate::event::ThreadStart),
    Waiting(Vec<u32>),
    Gap(crate::event::Gap),
    Coverage(i64, String, String),
    Fact(String, serde_json::Value),
    /// An event with a compact form never comes here.
    Nothing,
}

impl Other {
    fn of(event: &Event) -> Self {
        match event.clone() {
            Event::KernelStarted { at, pid, argv } => Self::Started(at, pid, argv),
            Event::KernelEnded { at, status } => Self::Ended(at, status),
            Event::Preserved(preserved) => Self::Preserved(preserved),
            Event::Connection(connection) => Self::Connection(connection),
            Event::Process(process) => Self::Process(process),
            Event::Thread(thread) => Self::Thread(thread),
            Event::Waiting { tids } => Self::Waiting(tids),
            Event::Gap(gap) => Self::Gap(gap),
            Event::Coverage { at, coverage, mechanism } => Self::Coverage(at, coverage, mechanism),
            Event::Fact { key, value } => Self::Fact(key, value),
            Event::Message(_) | Event::File(_) => Self::Nothing,
        }
    }

    fn event(self) -> Event {
        match self {
            Self::Started(at, pid, argv) => Event::KernelStarted { at, pid, argv },
            Self::Ended(at, status) => Event::KernelEnded { at, status },
            Self::Preserved(preserved) => Event::Preserved(preserved),
            Self::Connection(connection) => Event::Connection(connection),
            Self::Process(process) => Event::Process(process),
            Self::Thread(thread) => Event::Thread(thread),
            Self::Waiting(tids) => Event::Waiting { tids },
            Self::Gap(gap) => Event::Gap(gap),
            Self::Coverage(at, coverage, mechanism) => Event::Coverage { at, coverage, mechanism },
            Self::Fact(key, value) => Event::Fact { key, value },
            Self::Nothing => Event::Fact { key: String::new(), value: serde_json::Value::Null },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(n: usize) -> Event {
        Event::Message(MessageRecord {
            at: n as i64,
            channel: Channel::Iopub,
            direction: Direction::ToFrontend,
            client: Bytes::from_static(b"id"),
            frames: vec![Bytes::from(vec![b'x'; n]), Bytes::new(), Bytes::from_static(b"\xff\0")],
        })
    }

    fn access() -> Event {
        Event::File(FileAccess {
            at: 5,
            pid: 1,
            tid: 2,
            op: FileOp::Open { flags: -3 },
            path: b"/a/\xff".to_vec(),
            other: Some(Vec::new()),
            signature: Some(Signature { dev: 1, ino: 2, size: 3, mtime_ns: -4, ctime_ns: 5 }),
            times: 6,
        })
    }

    #[test]
    fn what_was_appended_is_read_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path()).unwrap();
        let coverage = Event::Coverage { at: 1, coverage: "full".into(), mechanism: "notify".into() };
        let events = vec![message(0), access(), coverage, message(100_000)];
        writer.append(&events[..3]).unwrap();
        writer.append(&events[3..]).unwrap();
        writer.append(&vec![access(); 1000]).unwrap();
        let mut reader = Reader::new(dir.path(), Position::default());
        let read: Vec<Event> = std::iter::from_fn(|| reader.next_event().unwrap()).collect();
        let events: Vec<Event> = events.into_iter().chain(vec![access(); 1000]).collect();
        assert_eq!(read, events);
        assert_eq!(reader.position(), writer.end());
    }

    #[test]
    fn a_torn_tail_is_the_end_and_a_live_journal_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path()).unwrap();
        writer.append(std::slice::from_ref(&message(1))).unwrap();
        let good = writer.end().offset;
        writer.append(std::slice::from_ref(&message(50))).unwrap();
        let path = segment_path(dir.path(), 1);
        let whole = files::read(&path).unwrap();
        for cut in (good as usize)..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut reader = Reader::new(dir.path(), Position::default());
            assert_eq!(reader.next_event().unwrap(), Some(message(1)));
            assert_eq!(reader.next_event().unwrap(), None, "cut at {cut}");
            std::fs::write(&path, &whole).unwrap();
            assert_eq!(reader.next_event().unwrap(), Some(message(50)));
        }
    }

    #[test]
    fn a_flipped_byte_ends_the_journal_without_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path()).unwrap();
        writer.append(std::slice::from_ref(&access())).unwrap();
        let path = segment_path(dir.path(), 1);
        let whole = files::read(&path).unwrap();
        for index in 0..whole.len() {
            let mut bad = whole.clone();
            bad[index] ^= 0x41;
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(Reader::new(dir.path(), Position::default()).next_event().unwrap(), None, "byte {index}");
        }
    }

    #[test]
    fn segments_rotate_and_are_read_through() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path()).unwrap();
        for _ in 0..3 {
            writer.append(std::slice::from_ref(&message(SEGMENT_BYTES as usize))).unwrap();
        }
        assert_eq!(segments(dir.path()), [1, 2, 3]);
        let mut reader = Reader::new(dir.path(), Position::default());
        assert_eq!(std::iter::from_fn(|| reader.next_event().unwrap()).count(), 3);
    }
}
