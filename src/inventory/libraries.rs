//! Finds the file that the dynamic linker would load for a library name (`ld.so(8)`, "DESCRIPTION").

use std::collections::HashMap;

use super::{elf::Elf, paths};
use crate::files;

/// The linker's search path on this machine.
#[derive(Debug, Default)]
pub(crate) struct Linker {
    /// `LD_LIBRARY_PATH` of the recorded kernel.
    library_path: Vec<Vec<u8>>,
    /// Library name → paths, as `/etc/ld.so.cache` lists them.
    cache: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    /// Directories that are always searched.
    standard: Vec<Vec<u8>>,
}

/// Magic of the cache file since glibc 2.2 (`dl-cache.h`).
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;

impl Linker {
    /// Reads this machine's cache.
    pub(crate) fn new(library_path: Option<&str>, cache: &[u8]) -> Self {
        let mut standard: Vec<Vec<u8>> = ["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"]
            .iter()
            .map(|dir| dir.as_bytes().to_vec())
            .collect();
        for arch in ["x86_64-linux-gnu", "aarch64-linux-gnu"] {
            standard.push(format!("/usr/lib/{arch}").into_bytes());
            standard.push(format!("/lib/{arch}").into_bytes());
        }
        let library_path = library_path
            .unwrap_or_default()
            .split(':')
            .filter(|dir| dir.starts_with('/'))
            .map(|dir| dir.as_bytes().to_vec())
            .collect();
        Self { library_path, cache: parse_cache(cache).unwrap_or_default(), standard }
    }

    /// The path of `name` as needed by the ELF file at `origin` (`$ORIGIN` is its directory). `inherited` are the
    /// `DT_RPATH` directories of the programs that load it.
    pub(crate) fn find(&self, name: &[u8], elf: &Elf, origin: &[u8], inherited: &[Vec<u8>]) -> Option<Vec<u8>> {
        let exists = |path: &[u8]| paths::as_path(path).exists();
        if name.contains(&b'/') {
            return Some(name.to_vec()).filter(|path| path.starts_with(b"/") && exists(path));
        }
        let expand = |dir: &Vec<u8>| expand(dir, paths::parent(origin));
        let in_dirs = |dirs: &mut dyn Iterator<Item = Vec<u8>>| {
            dirs.filter(|dir| dir.starts_with(b"/")).map(|dir| paths::join(&dir, name)).find(|path| exists(path))
        };
        let rpath = || {
            let own = if elf.runpath.is_empty() { elf.rpath.as_slice() } else { &[] };
            in_dirs(&mut own.iter().map(expand).chain(inherited.iter().cloned()))
        };
        rpath()
            .or_else(|| in_dirs(&mut self.library_path.iter().cloned()))
            .or_else(|| in_dirs(&mut elf.runpath.iter().map(expand)))
            .or_else(|| self.cache.get(name)?.iter().find(|path| exists(path)).cloned())
            .or_else(|| in_dirs(&mut self.standard.iter().cloned()))
    }
}

/// Replaces `$ORIGIN` (`ld.so(8)`, "Dynamic string tokens") and folds.
pub(crate) fn expand(dir: &[u8], origin: &[u8]) -> Vec<u8> {
    for token in [&b"$ORIGIN"[..], b"${ORIGIN}"] {
        if let Some(rest) = dir.strip_prefix(token) {
            return paths::fold(&[origin, b"/", rest].concat());
        }
    }
    dir.to_vec()
}

/// Reads the bytes of the machine's cache; none on systems without glibc.
pub(crate) fn read_cache() -> Vec<u8> {
    files::read_bounded(std::path::Path::new("/etc/ld.so.cache"), 64 << 20).unwrap_or_default()
}

fn parse_cache(bytes: &[u8]) -> Option<HashMap<Vec<u8>, Vec<Vec<u8>>>> {
    let start = if bytes.starts_with(MAGIC) { 0 } else { memchr::memmem::find(bytes, MAGIC)? };
    let cache = bytes.get(start..)?;
    let number = |at: usize| Some(u32::from_le_bytes(cache.get(at..at + 4)?.try_into().ok()?) as usize);
    let count = number(MAGIC.len())?;
    let mut found: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
    let text = |at: usize| cache.get(at..)?.split(|&byte| byte == 0).next();
    for entry in cache.get(HEADER..)?.chunks_exact(ENTRY).take(count) {
        let offset = |at: usize| Some(u32::from_le_bytes(entry.get(at..at + 4)?.try_into().ok()?) as usize);
        let (Some(name), Some(path)) = (text(offset(4)?), text(offset(8)?)) else { continue };
        if path.starts_with(b"/") {
            found.entry(name.to_vec()).or_default().push(path.to_vec());
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_the_directory_of_the_loading_file() {
        assert_eq!(expand(b"$ORIGIN/../../numpy.libs", b"/s/numpy/core"), b"/s/numpy.libs");
        assert_eq!(expand(b"${ORIGIN}", b"/s"), b"/s");
        assert_eq!(expand(b"/opt/lib", b"/s"), b"/opt/lib");
    }

    #[test]
    fn a_cut_cache_is_read_as_far_as_it_goes() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&2_u32.to_le_bytes());
        bytes.resize(HEADER, 0);
        for (name, path) in [(96_u32, 101_u32), (9999, 9999)] {
            bytes.extend_from_slice(&0_u32.to_le_bytes());
            bytes.extend_from_slice(&name.to_le_bytes());
            bytes.extend_from_slice(&path.to_le_bytes());
            bytes.resize(bytes.len() + 12, 0);
        }
        bytes.extend_from_slice(b"liba\0/l/liba\0");
        let cache = parse_cache(&bytes).unwrap();
        assert_eq!(cache.get(&b"liba"[..]).unwrap(), &[b"/l/liba".to_vec()]);
        assert!(parse_cache(b"something else").is_none());
    }
}
