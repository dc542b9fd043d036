//! What an ELF file needs at run time: its loader, its libraries, and where it looks for them.
//!
//! A small bounded reader (System V ABI, chapters 4 and 5): 64-bit little-endian only, which is what the interpreters
//! we pack are; anything else is `None`. Foreign bytes: every offset and count is checked, nothing is trusted.

use std::{fs::File, io, os::unix::fs::FileExt as _};

/// The dynamic section's strings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Elf {
    /// `PT_INTERP`.
    pub(crate) interpreter: Option<Vec<u8>>,
    /// `DT_NEEDED`, in order.
    pub(crate) needed: Vec<Vec<u8>>,
    /// `DT_RPATH` split at colons.
    pub(crate) rpath: Vec<Vec<u8>>,
    /// `DT_RUNPATH` split at colons.
    pub(crate) runpath: Vec<Vec<u8>>,
}

/// No file has more program headers or a larger dynamic section than this, or it is not read.
const LIMIT: u64 = 1 << 20;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// Reads the dynamic section; `None` when this is no 64-bit little-endian ELF file, or one we do not understand.
pub(crate) fn read(file: &File) -> io::Result<Option<Elf>> {
    let mut head = [0_u8; 64];
    match file.read_exact_at(&mut head, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return Ok(None);
    }
    parse(&head, &|offset, length| {
        if length > LIMIT {
            return None;
        }
        let mut bytes = vec![0_u8; usize::try_from(length).ok()?];
        file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    })
    .map_or(Ok(None), |elf| Ok(Some(elf)))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// A segment: type, file offset, address, bytes in the file.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

fn parse(head: &[u8; 64], bytes_at: &dyn Fn(u64, u64) -> Option<Vec<u8>>) -> Option<Elf> {
    let (table, entry_size, count) = (u64_at(head, 32)?, u16_at(head, 54)?, u16_at(head, 56)?);
    if entry_size < 56 {
        return None;
    }
    let headers = bytes_at(table, u64::from(entry_size) * u64::from(count))?;
    let segments: Vec<Segment> = headers
        .chunks_exact(usize::from(entry_size))
        .map_while(|header| {
            Some(Segment {
                kind: u32_at(header, 0)?,
                offset: u64_at(header, 8)?,
                address: u64_at(header, 16)?,
                size: u64_at(header, 32)?,
            })
        })
        .collect();
    let mut elf = Elf::default();
    if let Some(segment) = segments.iter().find(|segment| segment.kind == PT_INTERP) {
        let text = bytes_at(segment.offset, segment.size.min(4096))?;
        elf.interpreter = text.split(|&byte| byte == 0).next().map(<[u8]>::to_vec).filter(|path| !path.is_empty());
    }
    if let Some(segment) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) {
        dynamic(&mut elf, &bytes_at(segment.offset, segment.size)?, &segments, bytes_at);
    }
    Some(elf)
}

/// Fills in the strings; whatever does not add up stays empty.
fn dynamic(elf: &mut Elf, section: &[u8], segments: &[Segment], bytes_at: &dyn Fn(u64, u64) -> Option<Vec<u8>>) {
    let entries: Vec<(u64, u64)> = section
        .chunks_exact(16)
        .map_while(|entry| Some((u64_at(entry, 0)?, u64_at(entry, 8)?)))
        .take_while(|&(tag, _)| tag != DT_NULL)
        .collect();
    let value = |wanted| entries.iter().find(|&&(tag, _)| tag == wanted).map(|&(_, value)| value);
    let strings = || {
        let (address, size) = (value(DT_STRTAB)?, value(DT_STRSZ)?);
        let segment = segments.iter().find(|segment| {
            segment.kind == PT_LOAD && address >= segment.address && address - segment.address < segment.size
        })?;
        bytes_at(segment.offset.checked_add(address - segment.address)?, size.min(LIMIT))
    };
    let Some(strings) = strings() else { return };
    let text = |at: u64| {
        let rest = strings.get(usize::try_from(at).ok()?..)?;
        rest.split(|&byte| byte == 0).next().filter(|text| !text.is_empty())
    };
    for &(tag, at) in &entries {
        let Some(text) = text(at) else { continue };
        let directories = || text.split(|&byte| byte == b':').map(<[u8]>::to_vec).collect();
        match tag {
            DT_NEEDED => elf.needed.push(text.to_vec()),
            DT_RPATH => elf.rpath = directories(),
            DT_RUNPATH => elf.runpath = directories(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_names_its_loader_and_libraries_or_is_static() {
        let file = crate::files::open(&std::path::PathBuf::from("/bin/sh")).unwrap();
        let elf = read(&file).unwrap().unwrap();
        assert!(elf.interpreter.is_some_and(|path| path.starts_with(b"/lib")));
        assert!(elf.needed.iter().any(|name| name.starts_with(b"libc.")));
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_an_answer_and_not_a_panic() {
        let whole = std::fs::read("/bin/sh").unwrap();
        let whole = &whole[..whole.len().min(4096)];
        let at = |bytes: Vec<u8>| {
            let mut head = [0_u8; 64];
            head.copy_from_slice(&bytes[..64]);
            parse(&head, &|offset, length| {
                if length > LIMIT {
                    return None;
                }
                let start = usize::try_from(offset).ok()?;
                bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?).map(<[u8]>::to_vec)
            })
        };
        for length in (64..whole.len()).step_by(7) {
            at(whole[..length].to_vec());
        }
        for flipped in 0..1024 {
            let mut bytes = whole.to_vec();
            bytes[flipped] ^= 0xff;
            at(bytes);
        }
        assert!(at(whole.to_vec()).is_none_or(|elf| elf.needed.len() < 100));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 200, ..Default::default() })]

        /// Whatever stands where offsets and counts should: an answer, of strings that are in the file.
        #[test]
        fn no_bytes_in_an_elf_file_make_the_reader_panic(
            changes in proptest::collection::vec((0_usize..1024, proptest::prelude::any::<u64>()), 0..6),
            cut in proptest::option::of(0_usize..16_384),
        ) {
            use std::io::Write as _;
            static WHOLE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| std::fs::read("/bin/sh").unwrap());
            let mut bytes = WHOLE.clone();
            for (at, value) in changes {
                bytes[at * 4..at * 4 + 8].copy_from_slice(&value.to_le_bytes());
            }
            bytes.truncate(cut.unwrap_or(bytes.len()));
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            if let Some(elf) = read(&file).unwrap() {
                for text in elf.needed.iter().chain(&elf.interpreter) {
                    proptest::prop_assert!(memchr::memmem::find(&bytes, text).is_some());
                }
            }
        }
    }
}
