//! SHA-256 digests as OCI writes them, and readers and writers that hash what passes through.

pub mod lanes;
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "the processor's own instructions for two streams at once")
)]
mod sys;

use std::{
    fmt,
    io::{self, Read, Write},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of some bytes, written `sha256:<64 lower-case hex digits>` (OCI image-spec, "Digests").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// The digest of a layer's *uncompressed* tar (OCI image-spec, "Layer `DiffID`").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

/// The text is not `sha256:` and 64 lower-case hex digits.
#[derive(Debug, thiserror::Error)]
#[error("`{found}` is not a digest of the form sha256:<64 lower-case hex digits>")]
pub struct ParseDigestError {
    found: String,
}

impl Digest {
    /// Hashes `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest whose raw bytes these are.
    pub fn from_bytes(raw: [u8; 32]) -> Self {
        Self(raw)
    }

    /// The raw 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hex digits without the algorithm.
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            write!(text, "{byte:02x}").unwrap_or_default();
            text
        })
    }

    /// The first twelve hex digits: enough for a person, as `docker images` shows it.
    pub fn short(&self) -> String {
        let mut hex = self.hex();
        hex.truncate(12);
        hex
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let hex = text.strip_prefix("sha256:")?.as_bytes();
            if hex.len() != 64 {
                return None;
            }
            let mut raw = [0_u8; 32];
            for (byte, pair) in raw.iter_mut().zip(hex.chunks_exact(2)) {
                for &digit in pair {
                    let value = match digit {
                        b'0'..=b'9' => digit - b'0',
                        b'a'..=b'f' => digit - b'a' + 10,
                        _ => return None,
                    };
                    *byte = *byte << 4 | value;
                }
            }
            Some(Self(raw))
        };
        parse().ok_or_else(|| ParseDigestError { found: text.chars().take(100).collect() })
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Passes bytes on from `inner` and hashes and counts them.
pub struct HashingReader<R> {
    inner: R,
    state: Sha256,
    count: u64,
}

/// Passes bytes on to `inner` and hashes and counts them.
pub struct HashingWriter<W> {
    inner: W,
    state: Sha256,
    count: u64,
}

impl<R: Read> HashingReader<R> {
    /// Starts hashing at the reader's present position.
    pub fn new(inner: R) -> Self {
        Self { inner, state: Sha256::new(), count: 0 }
    }

    /// The number of bytes read so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The reader, the digest of all bytes read through it, and their number.
    pub fn finish(self) -> (R, Digest, u64) {
        (self.inner, Digest(self.state.finalize().into()), self.count)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.state.update(buffer.get(..n).unwrap_or_default());
        self.count += n as u64;
        Ok(n)
    }
}

impl<W: Write> HashingWriter<W> {
    /// Starts hashing with nothing written.
    pub fn new(inner: W) -> Self {
        Self { inner, state: Sha256::new(), count: 0 }
    }

    /// The number of bytes written so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The writer (not flushed), the digest of all bytes written through it, and their number.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest(self.state.finalize().into()), self.count)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buffer)?;
        self.state.update(buffer.get(..n).unwrap_or_default());
        self.count += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R> fmt::Debug for HashingReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashingReader").field("count", &self.count).finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for HashingWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashingWriter").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_is_written_and_parsed_as_oci_does() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::of(b""));
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "sha256:",
            "sha512:00",
            &EMPTY.to_uppercase(),
            EMPTY.trim_end_matches('5'),
            "sha256:../../../etc/passwd",
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_passes_through_is_what_is_hashed() {
        let mut reader = HashingReader::new(&b"some bytes"[..]);
        let mut writer = HashingWriter::new(Vec::new());
        io::copy(&mut reader, &mut writer).unwrap();
        let (_, read, n) = reader.finish();
        let (bytes, written, m) = writer.finish();
        assert_eq!((read, n), (written, m));
        assert_eq!(read, Digest::of(&bytes));
    }
}
