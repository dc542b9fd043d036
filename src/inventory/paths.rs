//! Paths as bytes: absolute, `/` separated, not necessarily UTF-8.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

pub(crate) use crate::files::as_path;

/// The same path, owned, for `std::fs`.
pub(crate) fn to_path(bytes: &[u8]) -> PathBuf {
    as_path(bytes).to_owned()
}

/// The bytes of a path.
pub(crate) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// `dir/name` without a doubled slash.
pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(dir.len() + 1 + name.len());
    path.extend_from_slice(dir);
    if !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The directory a path lies in: `/` for a name in the root and for the root itself.
pub(crate) fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) if at > 0 => path.get(..at).unwrap_or_default(),
        _ => b"/",
    }
}

/// The last component.
pub(crate) fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

/// `path` is `dir` or lies below it.
pub(crate) fn below(path: &[u8], dir: &[u8]) -> bool {
    if dir == b"/" {
        return true;
    }
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// The part of `path` after `dir/`; `None` when it does not lie below `dir` or is `dir` itself.
pub(crate) fn relative<'a>(path: &'a [u8], dir: &[u8]) -> Option<&'a [u8]> {
    path.strip_prefix(dir)?.strip_prefix(b"/").filter(|rest| !rest.is_empty())
}

/// Folds `.`, `..` and doubled slashes as text. Right only where no component before a `..` is a symlink.
pub(crate) fn fold(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    let mut folded = Vec::with_capacity(path.len());
    for part in kept {
        folded.push(b'/');
        folded.extend_from_slice(part);
    }
    if folded.is_empty() {
        folded.push(b'/');
    }
    folded
}

/// A component of `path` is exactly `name`.
pub(crate) fn has_component(path: &[u8], name: &[u8]) -> bool {
    path.split(|&byte| byte == b'/').any(|part| part == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sibling_with_the_same_beginning_is_not_below() {
        assert!(below(b"/a/b", b"/a"));
        assert!(below(b"/a", b"/a"));
        assert!(!below(b"/ab", b"/a"));
        assert_eq!(relative(b"/a/b/c", b"/a"), Some(&b"b/c"[..]));
        assert_eq!(relative(b"/a", b"/a"), None);
    }

    #[test]
    fn dots_fold_as_text() {
        assert_eq!(fold(b"/a//b/./../c/"), b"/a/c");
        assert_eq!(fold(b"/../.."), b"/");
        assert_eq!(parent(b"/a"), b"/");
        assert_eq!(parent(b"/a/b"), b"/a");
    }
}
