//! Bytecode made equal for everybody: the source's time in the header and `co_filename` replaced, nothing else.
//!
//! A `.pyc` holds when and where its source lay, so the same distribution installed twice gives different ones. The
//! marshal stream is walked (CPython's `Python/marshal.c`, versions 4 and 5) to find the one string that every code
//! object names as its file; references are by index, so a string of another length harms nothing. What is not
//! understood with certainty is not touched and not packed: Python compiles the source again.

use std::collections::BTreeSet;

/// Files larger than this are left out.
const MAX_SIZE: usize = 64 << 20;
/// Nesting of objects; CPython stops at 2000.
const MAX_DEPTH: u32 = 500;

/// Final magic numbers (`Lib/importlib/_bootstrap_external.py`) and whether code objects have 3.11's shape.
const MAGIC: &[(u16, Shape)] = &[
    (3413, Shape::UpTo310),
    (3425, Shape::UpTo310),
    (3439, Shape::UpTo310),
    (3495, Shape::From311),
    (3531, Shape::From311),
    (3571, Shape::From311),
    (3627, Shape::From311),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    UpTo310,
    From311,
}

/// What the header says about the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Validity {
    /// Valid while the source has this time and size (both modulo 2^32).
    Source {
        /// Seconds since the epoch.
        mtime: u32,
        /// Bytes.
        size: u32,
    },
    /// Valid by a hash of the source, or always.
    Hash,
}

/// Why a file is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unsure {
    /// Too short or too long to be bytecode.
    #[error("it has no header, or more than 64 MiB")]
    Size,
    /// A version of Python that we do not know.
    #[error("its magic number is of no known Python")]
    Magic,
    /// Made from another source than the one that is packed.
    #[error("it is stale: its source changed since")]
    Stale,
    /// The stream is not as we know it.
    #[error("its code could not be walked")]
    Marshal,
    /// The file's name is not one string, or is used as something else too.
    #[error("its source's name does not occur exactly once")]
    Name,
}

/// The header's statement about the source.
pub fn validity(bytes: &[u8]) -> Result<Validity, Unsure> {
    let [a, b, b'\r', b'\n', f0, f1, f2, f3, m0, m1, m2, m3, s0, s1, s2, s3, ..] = *bytes else {
        return Err(if bytes.len() < 16 { Unsure::Size } else { Unsure::Magic });
    };
    let magic = u16::from_le_bytes([a, b]);
    if !MAGIC.iter().any(|(known, _)| *known == magic) {
        return Err(Unsure::Magic);
    }
    match u32::from_le_bytes([f0, f1, f2, f3]) {
        0 => Ok(Validity::Source {
            mtime: u32::from_le_bytes([m0, m1, m2, m3]),
            size: u32::from_le_bytes([s0, s1, s2, s3]),
        }),
        1 | 3 => Ok(Validity::Hash),
        _ => Err(Unsure::Magic),
    }
}

/// The same bytecode with `mtime` as its source's time and `filename` as `co_filename` everywhere.
///
/// `source` is the time and size of the source as it lies beside the file now; a file made from another is stale.
pub fn normalise(bytes: &[u8], filename: &[u8], mtime: i64, source: Option<(i64, u64)>) -> Result<Vec<u8>, Unsure> {
    if bytes.len() > MAX_SIZE {
        return Err(Unsure::Size);
    }
    let validity = validity(bytes)?;
    if let (Validity::Source { mtime, size }, Some((now, length))) = (validity, source)
        && (mtime != now as u32 || size != length as u32)
    {
        return Err(Unsure::Stale);
    }
    let magic = bytes.first_chunk().map(|magic| u16::from_le_bytes(*magic));
    let shape = MAGIC.iter().find(|(known, _)| Some(*known) == magic).ok_or(Unsure::Magic)?.1;
    let mut walk = Walk { bytes, at: 16, shape, refs: Vec::new(), names: BTreeSet::new(), elsewhere: BTreeSet::new() };
    walk.object(Place::Elsewhere, 0).ok_or(Unsure::Marshal)?;
    if walk.at != bytes.len() {
        return Err(Unsure::Marshal);
    }
    let mut names = walk.names.iter();
    let (Some(name), None) = (names.next(), names.next()) else { return Err(Unsure::Name) };
    if walk.elsewhere.contains(name) {
        return Err(Unsure::Name);
    }
    let kind = bytes.get(name.start).copied().ok_or(Unsure::Marshal)?;
    let mut out = Vec::with_capacity(bytes.len() + filename.len());
    out.extend_from_slice(bytes.get(..8).unwrap_or_default());
    match validity {
        Validity::Source { .. } => {
            out.extend_from_slice(&(mtime as u32).to_le_bytes());
            out.extend_from_slice(bytes.get(12..16).unwrap_or_default());
        }
        Validity::Hash => out.extend_from_slice(bytes.get(8..16).unwrap_or_default()),
    }
    out.extend_from_slice(bytes.get(16..name.start).ok_or(Unsure::Marshal)?);
    text(&mut out, kind, filename)?;
    out.extend_from_slice(bytes.get(name.end..).ok_or(Unsure::Marshal)?);
    Ok(out)
}

/// Writes a string as CPython would, with the reference flag and internedness of the one it replaces.
fn text(out: &mut Vec<u8>, kind: u8, value: &[u8]) -> Result<(), Unsure> {
    let interned = matches!(kind & 0x7f, b't' | b'A' | b'Z');
    std::str::from_utf8(value).map_err(|_| Unsure::Name)?;
    let short = u8::try_from(value.len());
    let new = match (value.is_ascii(), short.is_ok(), interned) {
        (true, true, true) => b'Z',
        (true, true, false) => b'z',
        (true, false, true) => b'A',
        (true, false, false) => b'a',
        (false, _, true) => b't',
        (false, _, false) => b'u',
    };
    out.push(new | kind & 0x80);
    match short {
        Ok(length) if value.is_ascii() => out.push(length),
        _ => out.extend_from_slice(&u32::try_from(value.len()).map_err(|_| Unsure::Name)?.to_le_bytes()),
    }
    out.extend_from_slice(value);
    Ok(())
}

/// Where in its parent an object stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Filename,
    Elsewhere,
}

/// The bytes of one string object, its type byte included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    start: usize,
    end: usize,
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    shape: Shape,
    /// By reference index: the string it is, if it is one.
    refs: Vec<Option<Span>>,
    names: BTreeSet<Span>,
    elsewhere: BTreeSet<Span>,
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn long(&mut self) -> Option<i32> {
        let raw = self.bytes.get(self.at..)?.first_chunk::<4>()?;
        self.at += 4;
        Some(i32::from_le_bytes(*raw))
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.long()?).ok()
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    fn objects(&mut self, count: usize, depth: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.object(Place::Elsewhere, depth + 1)?.then_some(()))
    }

    /// Walks one object; `false` for the NULL that ends a dictionary.
    fn object(&mut self, place: Place, depth: u32) -> Option<bool> {
        if depth > MAX_DEPTH {
            return None;
        }
        let start = self.at;
        let kind = self.byte()?;
        // References are numbered in the order of the flagged type bytes: containers reserve theirs before content.
        let slot = (kind & 0x80 != 0).then(|| {
            self.refs.push(None);
            self.refs.len() - 1
        });
        let mut string = None;
        match kind & 0x7f {
            b'0' => return Some(false),
            b'N' | b'F' | b'T' | b'S' | b'.' => {}
            b'i' => self.skip(4)?,
            b'I' | b'g' => self.skip(8)?,
            b'y' => self.skip(16)?,
            b'f' => self.short_text()?,
            b'x' => {
                self.short_text()?;
                self.short_text()?;
            }
            b'l' => {
                let digits = self.long()?.unsigned_abs() as usize;
                self.skip(digits.checked_mul(2)?)?;
            }
            b's' => {
                let count = self.count()?;
                self.skip(count)?;
            }
            b't' | b'u' | b'a' | b'A' => {
                let count = self.count()?;
                self.skip(count)?;
                string = Some(Span { start, end: self.at });
            }
            b'z' | b'Z' => {
                self.short_text()?;
                string = Some(Span { start, end: self.at });
            }
            b')' => {
                let count = usize::from(self.byte()?);
                self.objects(count, depth)?;
            }
            b'(' | b'[' | b'<' | b'>' => {
                let count = self.count()?;
                self.objects(count, depth)?;
            }
            b'{' => {
                while self.object(Place::Elsewhere, depth + 1)? {
                    self.object(Place::Elsewhere, depth + 1)?.then_some(())?;
                }
            }
            b':' => self.objects(3, depth)?,
            b'c' => self.code(depth)?,
            b'r' => {
                let index = self.count()?;
                string = *self.refs.get(index)?;
            }
            _ => return None,
        }
        if let (Some(slot), Some(span)) = (slot, string)
            && let Some(slot) = self.refs.get_mut(slot)
        {
            *slot = Some(span);
        }
        match (place, string) {
            (Place::Filename, Some(span)) => {
                self.names.insert(span);
            }
            (Place::Filename, None) => return None,
            (Place::Elsewhere, Some(span)) => {
                self.elsewhere.insert(span);
            }
            (Place::Elsewhere, None) => {}
        }
        Some(true)
    }

    fn short_text(&mut self) -> Option<()> {
        let count = usize::from(self.byte()?);
        self.skip(count)
    }

    fn code(&mut self, depth: u32) -> Option<()> {
        // Five numbers since 3.11 (nlocals went), six before; then code, consts, names and the names of variables.
        let (numbers, before, after) = match self.shape {
            Shape::UpTo310 => (6, 6, 1),
            Shape::From311 => (5, 5, 2),
        };
        self.skip(numbers * 4)?;
        self.objects(before, depth)?;
        self.object(Place::Filename, depth + 1)?.then_some(())?;
        self.objects(after, depth)?;
        self.skip(4)?;
        // The line table, and the exception table since 3.11.
        self.objects(if self.shape == Shape::From311 { 2 } else { 1 }, depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `compile("", NAME, "exec")` of Python 3.11, put together by hand.
    fn module(name: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xa7, 0x0d, b'\r', b'\n', 0, 0, 0, 0, 1, 2, 3, 4, 9, 0, 0, 0];
        bytes.push(0xe3);
        bytes.extend_from_slice(&[0; 20]);
        bytes.extend_from_slice(b"s\x02\x00\x00\x00ab"); // code
        bytes.extend_from_slice(b")\x02N\xda\x01k"); // consts: None, "k" (reference 1)
        bytes.extend_from_slice(b")\x01r\x01\x00\x00\x00"); // names
        bytes.extend_from_slice(b")\x00s\x00\x00\x00\x00"); // localsplusnames, kinds
        bytes.push(0xfa);
        bytes.push(u8::try_from(name.len()).unwrap());
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(b"\xda\x08<module>r\x03\x00\x00\x00"); // name, qualname
        bytes.extend_from_slice(&[1, 0, 0, 0]);
        bytes.extend_from_slice(b"s\x00\x00\x00\x00s\x00\x00\x00\x00");
        bytes
    }

    #[test]
    fn two_installations_give_equal_bytecode() {
        let a = normalise(&module(b"/home/a/m.py"), b"/opt/m.py", 7, None).unwrap();
        let mut other = module(b"/srv/somewhere/else/m.py");
        other[8] = 77;
        let b = normalise(&other, b"/opt/m.py", 7, None).unwrap();
        assert_eq!(a, b);
        assert_eq!(a, {
            let mut expected = module(b"/opt/m.py");
            expected[8..12].copy_from_slice(&[7, 0, 0, 0]);
            expected
        });
    }

    #[test]
    fn a_long_or_foreign_name_changes_the_type_of_the_string() {
        let long = vec![b'x'; 300];
        let out = normalise(&module(b"m"), &long, 0, None).unwrap();
        let at = out.windows(300).position(|window| window == long).unwrap();
        assert_eq!(out[at - 5], b'a' | 0x80);
        let out = normalise(&module(b"m"), "é.py".as_bytes(), 0, None).unwrap();
        assert!(out.windows(10).any(|window| window == b"\xf5\x05\x00\x00\x00\xc3\xa9.py"));
    }

    #[test]
    fn stale_and_strange_files_are_left_out() {
        let good = module(b"m");
        assert!(normalise(&good, b"n", 0, Some((0x0403_0201, 9))).is_ok());
        assert_eq!(normalise(&good, b"n", 0, Some((0x0403_0202, 9))), Err(Unsure::Stale));
        assert_eq!(normalise(&good, b"n", 0, Some((0x0403_0201, 8))), Err(Unsure::Stale));
        assert_eq!(normalise(&good[..10], b"n", 0, None), Err(Unsure::Size));
        let mut magic = good.clone();
        magic[0] = 1;
        assert_eq!(normalise(&magic, b"n", 0, None), Err(Unsure::Magic));
        // The name is also a constant's reference.
        let shared = good.clone();
        let at = shared.windows(5).position(|window| window == b"r\x03\x00\x00\x00").unwrap();
        let mut shared = shared;
        shared[at + 1] = 2;
        assert_eq!(normalise(&shared, b"n", 0, None), Err(Unsure::Name));
    }

    #[test]
    fn no_cut_and_no_flip_makes_the_walk_panic() {
        let good = module(b"name");
        for end in 0..good.len() {
            assert!(normalise(&good[..end], b"n", 0, None).is_err());
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                drop(normalise(&bytes, b"n", 0, None));
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 300, ..Default::default() })]

        /// Not packed, or bytecode that says the new name and is normal for good.
        #[test]
        fn no_bytes_of_a_pyc_make_the_walker_panic(
            changes in proptest::collection::vec((16_usize..200, proptest::prelude::any::<u8>()), 0..6),
            cut in proptest::option::of(0_usize..200),
            more: Vec<u8>,
        ) {
            let mut bytes = module(b"/home/a/m.py");
            let end = bytes.len() - 16;
            for (at, value) in changes {
                bytes[16 + at % end] = value;
            }
            bytes.truncate(cut.unwrap_or(bytes.len()));
            bytes.extend(more);
            if let Ok(once) = normalise(&bytes, b"/opt/m.py", 7, None) {
                proptest::prop_assert!(memchr::memmem::find(&once, b"/opt/m.py").is_some());
                proptest::prop_assert_eq!(normalise(&once, b"/opt/m.py", 7, None), Ok(once));
            }
        }
    }
}
