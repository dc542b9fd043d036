//! The files that Linux itself opens in `execve`, which no open shows: `#!` interpreters and the ELF interpreter.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// As deep as Linux follows `#!`.
const DEEPEST: usize = 5;
/// Linux looks for a `#!` line in this many bytes (`BINPRM_BUF_SIZE`).
const LINE: usize = 256;
/// More program headers than any real program has.
const MOST_HEADERS: u16 = 128;
/// `PT_INTERP`.
const INTERPRETER: u32 = 3;

/// What Linux opens besides `program` to run it, in order. `reach` says where a path of the target is for us.
pub(super) fn interpreters(program: &[u8], reach: impl Fn(&[u8]) -> PathBuf) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for _ in 0..DEEPEST {
        let current = found.last().map_or(program, Vec::as_slice);
        let Some(file) = open(&reach(current)) else { break };
        let Some(next) = interpreter(&file) else { break };
        found.push(next);
    }
    found
}

/// Opens a regular file without waiting for anything (a FIFO, a device).
fn open(path: &Path) -> Option<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

fn interpreter(file: &File) -> Option<Vec<u8>> {
    let mut start = [0; LINE];
    let length = file.read_at(&mut start, 0).ok()?;
    let start = start.get(..length)?;
    match start.strip_prefix(b"#!") {
        Some(line) => from_script(line),
        None => from_elf(start, |offset, buffer| file.read_exact_at(buffer, offset).ok()),
    }
}

/// The first word of a `#!` line.
fn from_script(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.split(|byte| *byte == b'\n').next()?;
    let word = line.trim_ascii().split(|byte| byte.is_ascii_whitespace() || *byte == 0).next()?;
    (!word.is_empty()).then(|| word.to_vec())
}

/// The `PT_INTERP` of a little-endian ELF file; `read` fills a buffer from an offset.
fn from_elf(start: &[u8], read: impl Fn(u64, &mut [u8]) -> Option<()>) -> Option<Vec<u8>> {
    let wide = match start.get(..6)? {
        [0x7f, b'E', b'L', b'F', 2, 1] => true,
        [0x7f, b'E', b'L', b'F', 1, 1] => false,
        _ => return None,
    };
    let half = |bytes: &[u8], at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let word = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let long = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    // Offsets in Elf64_Ehdr and Elf32_Ehdr: e_phoff, e_phentsize, e_phnum.
    let (table, size, count) = if wide {
        (long(start, 32)?, half(start, 54)?, half(start, 56)?)
    } else {
        (u64::from(word(start, 28)?), half(start, 42)?, half(start, 44)?)
    };
    for index in 0..count.min(MOST_HEADERS) {
        let mut header = [0; 56];
        let header = header.get_mut(..if wide { 56 } else { 32 })?;
        read(table.checked_add(u64::from(index) * u64::from(size))?, header)?;
        if word(header, 0)? != INTERPRETER {
            continue;
        }
        // p_offset and p_filesz.
        let (offset, length) = if wide {
            (long(header, 8)?, long(header, 32)?)
        } else {
            (u64::from(word(header, 4)?), u64::from(word(header, 16)?))
        };
        let mut path = vec![0; usize::try_from(length).ok().filter(|length| *length <= 4096)?];
        read(offset, &mut path)?;
        path.truncate(path.iter().position(|byte| *byte == 0).unwrap_or(path.len()));
        return (!path.is_empty()).then_some(path);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nested_scripts_end_at_the_elf_interpreter() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("outer"), "#! /inner -x y\necho").unwrap();
        std::fs::write(dir.path().join("inner"), "#!/bin/sh").unwrap();
        let reach = |path: &[u8]| match path {
            b"/outer" => dir.path().join("outer"),
            b"/inner" => dir.path().join("inner"),
            other => PathBuf::from(std::str::from_utf8(other).unwrap()),
        };
        let found = interpreters(b"/outer", reach);
        assert_eq!(found[..2], [b"/inner".to_vec(), b"/bin/sh".to_vec()]);
        assert!(found[2].starts_with(b"/lib"), "{found:?}");
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn a_script_that_names_itself_ends() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "#!/a\n").unwrap();
        assert_eq!(interpreters(b"/a", |_| dir.path().join("a")).len(), DEEPEST);
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(mut bytes: Vec<u8>, wide: bool) {
            let magic = [0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1];
            bytes.splice(..6.min(bytes.len()), magic);
            let read = |offset: u64, buffer: &mut [u8]| {
                let from = usize::try_from(offset).ok()?;
                buffer.copy_from_slice(bytes.get(from..)?.get(..buffer.len())?);
                Some(())
            };
            from_elf(&bytes, read);
        }
    }
}
