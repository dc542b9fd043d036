//! Compressed frames back to chunks, as strictly as they were made: each of [`CHUNK`] bytes except the last, and
//! nothing between, before or after them. So memory is bounded by one chunk whatever a blob claims.

use std::io::{self, BufRead, Read};

use super::{CHUNK, Compression};

/// A blob is not a sequence of our frames.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("cannot read the blob")]
    Io(#[source] io::Error),
    #[error("the blob ends in the middle of a frame")]
    Truncated,
    #[error("the blob has something at byte {offset} that is no {expected} frame")]
    Magic { offset: u64, expected: &'static str },
    #[error("the blob has a skippable frame at byte {offset}")]
    Skippable { offset: u64 },
    #[error("the frame at byte {offset} of the blob {what}")]
    Header { offset: u64, what: &'static str },
    #[error("the blob goes on at byte {offset}, after a frame of less than 8 MiB")]
    AfterLast { offset: u64 },
    #[error("the frame at byte {offset} of the blob cannot be decompressed")]
    Broken { offset: u64, source: io::Error },
}

/// Reads frame after frame.
pub(super) struct Frames<R> {
    inner: R,
    offset: u64,
    ended: bool,
    kind: Kind,
}

enum Kind {
    Zstd { decoder: zstd::bulk::Decompressor<'static>, frame: Vec<u8> },
    Gzip,
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(inner: R, compression: Compression) -> io::Result<Self> {
        let kind = match compression {
            Compression::Zstd => Kind::Zstd { decoder: zstd::bulk::Decompressor::new()?, frame: Vec::new() },
            Compression::Gzip => Kind::Gzip,
        };
        Ok(Self { inner, offset: 0, ended: false, kind })
    }

    /// What is below, for the digest.
    pub(super) fn into_inner(self) -> R {
        self.inner
    }

    /// Replaces `out` by the next chunk; `false` at the end.
    pub(super) fn next_chunk(&mut self, out: &mut Vec<u8>) -> Result<bool, FrameError> {
        out.clear();
        let start = self.offset;
        if self.inner.fill_buf().map_err(FrameError::Io)?.is_empty() {
            // A layer has at least one frame; an empty blob is none.
            return if start == 0 { Err(FrameError::Truncated) } else { Ok(false) };
        }
        if self.ended {
            return Err(FrameError::AfterLast { offset: start });
        }
        match &mut self.kind {
            Kind::Zstd { decoder, frame } => {
                let content = read_zstd_frame(&mut self.inner, start, frame)?;
                self.offset += frame.len() as u64;
                out.reserve(content);
                let broken = |source| FrameError::Broken { offset: start, source };
                decoder.decompress_to_buffer(frame, out).map_err(broken)?;
                if out.len() != content {
                    return Err(broken(io::Error::new(io::ErrorKind::InvalidData, "another size than it declares")));
                }
            }
            Kind::Gzip => {
                let mut counted = Counted { inner: &mut self.inner, count: 0 };
                read_gzip_member(&mut counted, start, out)?;
                self.offset += counted.count;
            }
        }
        self.ended = out.len() < CHUNK;
        Ok(true)
    }
}

/// Reads one frame whole (RFC 8878, 3.1.1) and returns the size of its content.
fn read_zstd_frame(inner: &mut impl Read, offset: u64, frame: &mut Vec<u8>) -> Result<usize, FrameError> {
    let refuse = |what| FrameError::Header { offset, what };
    frame.clear();
    let magic = u32::from_le_bytes(take(inner, frame)?);
    if magic & 0xffff_fff0 == 0x184d_2a50 {
        return Err(FrameError::Skippable { offset });
    }
    if magic != 0xfd2f_b528 {
        return Err(FrameError::Magic { offset, expected: "zstd" });
    }
    let [descriptor] = take(inner, frame)?;
    if descriptor & 0b11 != 0 {
        return Err(refuse("needs a dictionary"));
    }
    if descriptor & 0b100 != 0 {
        return Err(refuse("has a checksum"));
    }
    if descriptor & 0b1_1000 != 0 {
        return Err(refuse("has a reserved bit set"));
    }
    let single = descriptor & 0b10_0000 != 0;
    if !single {
        let [window] = take(inner, frame)?;
        if 10 + (window >> 3) > 27 {
            return Err(refuse("needs a window of more than 128 MiB"));
        }
    }
    let content = match (descriptor >> 6, single) {
        (0, false) => return Err(refuse("does not say its size")),
        (0, true) => u64::from(u8::from_le_bytes(take(inner, frame)?)),
        (1, _) => u64::from(u16::from_le_bytes(take(inner, frame)?)) + 256,
        (2, _) => u64::from(u32::from_le_bytes(take(inner, frame)?)),
        _ => u64::from_le_bytes(take(inner, frame)?),
    };
    if content == 0 {
        return Err(refuse("is empty"));
    }
    if content > CHUNK as u64 {
        return Err(refuse("holds more than 8 MiB"));
    }
    let bound = Compression::Zstd.bound();
    loop {
        let [a, b, c] = take(inner, frame)?;
        let header = u32::from_le_bytes([a, b, c, 0]);
        let length = match header >> 1 & 0b11 {
            0 | 2 => header as usize >> 3,
            1 => 1,
            _ => return Err(refuse("has a block of a reserved type")),
        };
        if frame.len() + length > bound {
            return Err(refuse("is longer than its content can need"));
        }
        let start = frame.len();
        frame.resize(start + length, 0);
        fill(inner, frame.get_mut(start..).unwrap_or_default())?;
        if header & 1 != 0 {
            return Ok(content as usize);
        }
    }
}

fn take<const N: usize>(inner: &mut impl Read, frame: &mut Vec<u8>) -> Result<[u8; N], FrameError> {
    let mut bytes = [0; N];
    fill(inner, &mut bytes)?;
    frame.extend_from_slice(&bytes);
    Ok(bytes)
}

fn fill(inner: &mut impl Read, buffer: &mut [u8]) -> Result<(), FrameError> {
    inner.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Truncated,
        _ => FrameError::Io(error),
    })
}

/// Reads one member (RFC 1952) of at most a chunk.
fn read_gzip_member(inner: &mut impl BufRead, offset: u64, out: &mut Vec<u8>) -> Result<(), FrameError> {
    if inner.fill_buf().map_err(FrameError::Io)?.first() != Some(&0x1f) {
        return Err(FrameError::Magic { offset, expected: "gzip" });
    }
    let mut member = flate2::bufread::GzDecoder::new(inner);
    let limit = CHUNK as u64 + 1;
    let read = (&mut member).take(limit).read_to_end(out);
    read.map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Truncated,
        _ => FrameError::Broken { offset, source },
    })?;
    let refuse = |what| Err(FrameError::Header { offset, what });
    let plain = member.header().is_some_and(|header| {
        header.mtime() == 0
            && header.operating_system() == 255
            && header.extra().is_none()
            && header.filename().is_none()
            && header.comment().is_none()
    });
    match out.len() {
        0 => refuse("is empty"),
        length if length > CHUNK => refuse("holds more than 8 MiB"),
        _ if !plain => refuse("has a gzip header that nbpack does not write"),
        _ => Ok(()),
    }
}

/// Counts what is consumed.
struct Counted<'a, R> {
    inner: &'a mut R,
    count: u64,
}

impl<R: BufRead> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.count += n as u64;
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Counted<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.count += amount as u64;
        self.inner.consume(amount);
    }
}
