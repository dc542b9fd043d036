//! Bytes to entries, strictly.

use std::io::{self, Read};

use super::{BLOCK, Body, Entry, MAX_PATH, encode, padding, refuse_path};
use crate::files::display_bytes;

/// Longest pax header that is read; what is longer is refused before a byte of it is kept.
const MAX_PAX: u64 = 64 << 10;

/// What an archive may amount to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries.
    pub entries: u64,
    /// Bytes of the whole archive.
    pub bytes: u64,
}

/// A layer's tar cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes themselves could not be had.
    #[error("cannot read the layer's archive")]
    Io(#[source] io::Error),
    /// It ends too early.
    #[error("the layer's archive ends at byte {offset}, in the middle of {within}")]
    Truncated {
        /// Where.
        offset: u64,
        /// `a header`, `the data of …`.
        within: String,
    },
    /// A header is not one.
    #[error("the header at byte {offset} of the layer's archive has {what}")]
    Header {
        /// Where.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An entry that we do not accept.
    #[error("entry `{}` {refusal}", display_bytes(path))]
    Entry {
        /// Its name as found (shortened to 200 bytes).
        path: Vec<u8>,
        /// Why.
        refusal: Refusal,
    },
    /// More than the manifest says, or than anybody needs.
    #[error("the layer's archive has more than {limit} {unit}")]
    TooMuch {
        /// What is allowed.
        limit: u64,
        /// `entries` or `bytes`.
        unit: &'static str,
    },
    /// Something follows the end.
    #[error("the layer's archive goes on after its end at byte {offset}")]
    AfterEnd {
        /// Where the end was.
        offset: u64,
    },
}

/// Why an entry is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("has an empty name")]
    EmptyName,
    #[error("has an absolute path")]
    Absolute,
    #[error("has `..` in its path")]
    DotDot,
    #[error("has an empty component or `.` in its path")]
    EmptyComponent,
    #[error("has a NUL byte in its path or link text")]
    Nul,
    #[error("has a component of more than 255 bytes")]
    LongComponent,
    #[error("has a path or link text of more than 4096 bytes")]
    LongPath,
    #[error("has more than 128 components")]
    Deep,
    #[error("is a whiteout marker: this image was not written by nbpack")]
    Whiteout,
    #[error("is a hard link, which no layer of nbpack has")]
    HardLink,
    #[error("is a device")]
    Device,
    #[error("is a fifo")]
    Fifo,
    #[error("is a sparse file, which no layer of nbpack has")]
    Sparse,
    #[error("has a GNU long-name header, which no layer of nbpack has")]
    GnuLong,
    #[error("is a global pax header, which no layer of nbpack has")]
    GlobalPax,
    #[error("has an unknown type")]
    UnknownType,
    #[error("has the set-user-id, set-group-id or sticky bit")]
    Setuid,
    #[error("has a mode that nbpack does not write")]
    Mode,
    #[error("has a size but is no file")]
    SizeOnNonFile,
    #[error("is a symlink without a text")]
    EmptyLink,
    #[error("has a link text but is no link")]
    LinkOnNonLink,
    #[error("has a pax header of more than 64 KiB")]
    LongPax,
    #[error("has a malformed pax header")]
    MalformedPax,
    #[error("has a pax key twice")]
    RepeatedPax,
    #[error("has a pax key other than path, linkpath, size and mtime")]
    UnknownPax,
    #[error("has two sizes that differ")]
    TwoSizes,
    #[error("has two pax headers")]
    TwoPax,
    #[error("comes before its directory, or below something that is no directory")]
    NoParent,
    #[error("is there twice")]
    Duplicate,
    #[error("is out of order")]
    Order,
    #[error("has a header that nbpack would not have written")]
    NotCanonical,
}

/// Reads a layer's tar and refuses everything that [`encode`] would not have written: another order, other types,
/// other spellings. Every cap holds before anything is read or kept.
pub struct Reader<R> {
    inner: R,
    offset: u64,
    /// Bytes of the present entry's data that are still to come, then of its padding.
    data: u64,
    padding: usize,
    previous: Vec<u8>,
    path: Vec<u8>,
    /// The directories that the present entry lies in, outermost first, each with the files in it that a directory
    /// of the same name could still follow.
    open: Vec<Level>,
    entries: u64,
    limits: Limits,
    ended: bool,
}

struct Level {
    path: Vec<u8>,
    prefixes: Vec<Vec<u8>>,
}

/// A header block taken apart, nothing decided yet.
#[derive(Debug)]
pub(crate) struct RawHeader {
    pub(crate) name: Vec<u8>,
    pub(crate) mode: u64,
    pub(crate) size: u64,
    pub(crate) mtime: u64,
    pub(crate) kind: u8,
    pub(crate) link: Vec<u8>,
}

impl RawHeader {
    /// Checks the checksum and decodes the fields; prefix and name are joined.
    pub(crate) fn parse(block: &[u8; BLOCK]) -> Result<Self, &'static str> {
        let part = |at: usize, length: usize| block.get(at..at + length).unwrap_or_default();
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
            .sum();
        if octal(part(148, 8)) != Some(sum) {
            return Err("a wrong checksum");
        }
        if part(257, 5) != b"ustar" {
            return Err("no ustar magic");
        }
        let number = |at, length, what| octal(part(at, length)).ok_or(what);
        let mut name = until_nul(part(345, 155)).to_vec();
        if !name.is_empty() {
            name.push(b'/');
        }
        name.extend_from_slice(until_nul(part(0, 100)));
        Ok(Self {
            name,
            mode: number(100, 8, "a mode that is no octal number")?,
            size: number(124, 12, "a size that is no octal number")?,
            mtime: number(136, 12, "a time that is no octal number")?,
            kind: part(156, 1).first().copied().unwrap_or_default(),
            link: until_nul(part(157, 100)).to_vec(),
        })
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits, ended by NUL, blank or the field.
fn octal(field: &[u8]) -> Option<u64> {
    let digits: Vec<u8> = field.iter().copied().take_while(|byte| !matches!(byte, 0 | b' ')).collect();
    if digits.is_empty() || field.iter().skip(digits.len()).any(|byte| !matches!(byte, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// The records of a pax header, in order. `None`: not of the form `LENGTH KEY=VALUE\n`.
pub(crate) fn parse_pax(mut bytes: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let blank = bytes.iter().take(8).position(|byte| *byte == b' ')?;
        let digits = std::str::from_utf8(bytes.get(..blank)?).ok()?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let length: usize = digits.parse().ok()?;
        let record = bytes.get(blank + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
        records.push((record.get(..equals)?.to_vec(), record.get(equals + 1..)?.to_vec()));
        bytes = bytes.get(length..)?;
    }
    Some(records)
}

/// What a pax header overrides.
#[derive(Default)]
struct Pax {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    mtime: Option<i64>,
}

impl Pax {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut pax = Self::default();
        fn number<T: std::str::FromStr>(value: &[u8]) -> Result<T, Refusal> {
            std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(Refusal::MalformedPax)
        }
        for (key, value) in parse_pax(bytes).ok_or(Refusal::MalformedPax)? {
            let repeated = match key.as_slice() {
                b"path" => pax.path.replace(value).is_some(),
                b"linkpath" => pax.link.replace(value).is_some(),
                b"size" => pax.size.replace(number(&value)?).is_some(),
                b"mtime" => pax.mtime.replace(number(&value)?).is_some(),
                _ if key.starts_with(b"GNU.sparse") => return Err(Refusal::Sparse),
                _ => return Err(Refusal::UnknownPax),
            };
            if repeated {
                return Err(Refusal::RepeatedPax);
            }
        }
        Ok(pax)
    }
}

impl<R: Read> Reader<R> {
    /// Starts at the archive's first byte.
    pub fn new(inner: R, limits: Limits) -> Self {
        Self {
            inner,
            offset: 0,
            data: 0,
            padding: 0,
            previous: Vec::new(),
            path: Vec::new(),
            open: Vec::new(),
            entries: 0,
            limits,
            ended: false,
        }
    }

    /// Entries so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The next entry, or `None` after the end, behind which nothing is. Data of the last one that was not read is
    /// skipped.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ReadError> {
        if self.ended {
            return Ok(None);
        }
        self.skip_data()?;
        let start = self.offset;
        let mut raw = self.block("a header")?;
        if raw == [0; BLOCK] {
            return self.end(start).map(|()| None);
        }
        let mut seen = raw.to_vec();
        let mut header = RawHeader::parse(&raw).map_err(|what| ReadError::Header { offset: start, what })?;
        let mut pax = Pax::default();
        if header.kind == b'x' {
            let refuse = |refusal| refused(&header.name, refusal);
            if header.size > MAX_PAX {
                return Err(refuse(Refusal::LongPax));
            }
            let mut bytes = vec![0; header.size as usize + padding(header.size)];
            self.fill(&mut bytes, "a pax header")?;
            seen.extend_from_slice(&bytes);
            let text = bytes.get(..header.size as usize).unwrap_or_default();
            pax = Pax::parse(text).map_err(|refusal| refused(&header.name, refusal))?;
            let at = self.offset;
            raw = self.block("a header")?;
            seen.extend_from_slice(&raw);
            header = RawHeader::parse(&raw).map_err(|what| ReadError::Header { offset: at, what })?;
            if header.kind == b'x' {
                return Err(refused(&header.name, Refusal::TwoPax));
            }
        }
        let entry = self.entry(header, pax)?;
        if encode(&entry).is_none_or(|canonical| canonical != seen) {
            return Err(refused(&entry.path, Refusal::NotCanonical));
        }
        self.place(&entry)?;
        if let Body::File { size } = entry.body {
            if size > self.limits.bytes.saturating_sub(self.offset) {
                return Err(ReadError::TooMuch { limit: self.limits.bytes, unit: "bytes" });
            }
            self.data = size;
            self.padding = padding(size);
        }
        Ok(Some(entry))
    }

    /// Decodes one entry and applies the rules that need nothing but itself.
    fn entry(&mut self, header: RawHeader, pax: Pax) -> Result<Entry, ReadError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(ReadError::TooMuch { limit: self.limits.entries, unit: "entries" });
        }
        let mut path = pax.path.unwrap_or(header.name);
        let refuse = |refusal| Err(refused(&path, refusal));
        let is_directory = match header.kind {
            b'0' | b'2' => false,
            b'5' => true,
            b'1' => return refuse(Refusal::HardLink),
            b'3' | b'4' => return refuse(Refusal::Device),
            b'6' => return refuse(Refusal::Fifo),
            b'S' => return refuse(Refusal::Sparse),
            b'L' | b'K' => return refuse(Refusal::GnuLong),
            b'g' => return refuse(Refusal::GlobalPax),
            _ => return refuse(Refusal::UnknownType),
        };
        let bare = if is_directory { path.strip_suffix(b"/").unwrap_or(&path) } else { &path };
        if let Some(refusal) = refuse_path(bare) {
            return refuse(refusal);
        }
        if header.mode & 0o7000 != 0 {
            return refuse(Refusal::Setuid);
        }
        let size = match pax.size {
            Some(size) if header.size != 0 && header.size != size => return refuse(Refusal::TwoSizes),
            Some(size) => size,
            None => header.size,
        };
        let link = pax.link.unwrap_or(header.link);
        if header.kind != b'0' && size != 0 {
            return refuse(Refusal::SizeOnNonFile);
        }
        if header.kind != b'2' && !link.is_empty() {
            return refuse(Refusal::LinkOnNonLink);
        }
        let (body, modes): (_, &[u64]) = match header.kind {
            b'0' => (Body::File { size }, &[0o644, 0o755, 0o664, 0o775, 0]),
            b'5' => (Body::Directory, &[0o755, 0o775, 0o777]),
            _ if link.is_empty() => return refuse(Refusal::EmptyLink),
            _ if link.contains(&0) => return refuse(Refusal::Nul),
            _ if link.len() > MAX_PATH => return refuse(Refusal::LongPath),
            _ => (Body::Symlink { target: link }, &[0o777]),
        };
        if !modes.contains(&header.mode) {
            return refuse(Refusal::Mode);
        }
        if is_directory && path.last() == Some(&b'/') {
            path.truncate(path.len() - 1);
        }
        let mtime = pax.mtime.unwrap_or(header.mtime.cast_signed());
        Ok(Entry { path, body, mode: header.mode as u32, mtime })
    }

    /// Applies the rules about its neighbours: order, no second of the name, its directory before it.
    fn place(&mut self, entry: &Entry) -> Result<(), ReadError> {
        let name = entry.name();
        let refuse = |refusal| Err(refused(&entry.path, refusal));
        match name.cmp(&self.previous) {
            std::cmp::Ordering::Equal => return refuse(Refusal::Duplicate),
            std::cmp::Ordering::Less => return refuse(Refusal::Order),
            std::cmp::Ordering::Greater => {}
        }
        let slash = entry.path.iter().rposition(|byte| *byte == b'/');
        let parent = slash.and_then(|at| entry.path.get(..at)).unwrap_or_default();
        let base = entry.path.get(slash.map_or(0, |at| at + 1)..).unwrap_or_default();
        if self.open.is_empty() {
            self.open.push(Level { path: Vec::new(), prefixes: Vec::new() });
        }
        while self.open.last().is_some_and(|level| level.path != parent && !level.path.is_empty()) {
            self.open.pop();
        }
        let Some(level) = self.open.last_mut().filter(|level| level.path == parent) else {
            return refuse(Refusal::NoParent);
        };
        level.prefixes.retain(|earlier| base.starts_with(earlier));
        if level.prefixes.iter().any(|earlier| earlier == base) {
            return refuse(Refusal::Duplicate);
        }
        if entry.body == Body::Directory {
            self.open.push(Level { path: entry.path.clone(), prefixes: Vec::new() });
        } else {
            level.prefixes.push(base.to_vec());
        }
        self.path.clone_from(&entry.path);
        self.previous = name;
        Ok(())
    }

    /// Reads some of the present entry's data; 0 at its end.
    pub fn read_data(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let wanted = usize::try_from(self.data).unwrap_or(usize::MAX).min(buffer.len());
        let Some(space) = buffer.get_mut(..wanted).filter(|space| !space.is_empty()) else { return Ok(0) };
        let n = loop {
            match self.inner.read(space) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(ReadError::Io)?,
            }
        };
        if n == 0 {
            let within = format!("the data of `{}`", display_bytes(&self.path));
            return Err(ReadError::Truncated { offset: self.offset, within });
        }
        self.data -= n as u64;
        self.offset += n as u64;
        Ok(n)
    }

    fn skip_data(&mut self) -> Result<(), ReadError> {
        let mut scratch = [0; 1 << 14];
        while self.data > 0 {
            self.read_data(&mut scratch)?;
        }
        let mut pad = [0; BLOCK];
        let length = std::mem::take(&mut self.padding);
        let Some(pad) = pad.get_mut(..length).filter(|pad| !pad.is_empty()) else { return Ok(()) };
        self.fill(pad, "padding")?;
        if pad.iter().any(|byte| *byte != 0) {
            return Err(refused(&self.path, Refusal::NotCanonical));
        }
        Ok(())
    }

    fn end(&mut self, start: u64) -> Result<(), ReadError> {
        self.ended = true;
        if self.block("its end")? != [0; BLOCK] {
            return Err(ReadError::AfterEnd { offset: start });
        }
        let mut more = [0; 1];
        let n = self.inner.read(&mut more).map_err(ReadError::Io)?;
        if n == 0 { Ok(()) } else { Err(ReadError::AfterEnd { offset: self.offset }) }
    }

    fn block(&mut self, within: &str) -> Result<[u8; BLOCK], ReadError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block, within)?;
        Ok(block)
    }

    fn fill(&mut self, mut buffer: &mut [u8], within: &str) -> Result<(), ReadError> {
        if buffer.len() as u64 > self.limits.bytes.saturating_sub(self.offset) {
            return Err(ReadError::TooMuch { limit: self.limits.bytes, unit: "bytes" });
        }
        while !buffer.is_empty() {
            match self.inner.read(buffer) {
                Ok(0) => return Err(ReadError::Truncated { offset: self.offset, within: within.to_owned() }),
                Ok(n) => {
                    self.offset += n as u64;
                    buffer = buffer.get_mut(n..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError::Io(error)),
            }
        }
        Ok(())
    }
}

fn refused(path: &[u8], refusal: Refusal) -> ReadError {
    ReadError::Entry { path: path.get(..200).unwrap_or(path).to_vec(), refusal }
}

impl<R> std::fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("offset", &self.offset).field("entries", &self.entries).finish_non_exhaustive()
    }
}
