//! The files that a kernel has open when it starts, which no later call shows: a redirected standard input, above all.

use std::{
    io,
    os::{fd::RawFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use crate::{
    event::{FileAccess, FileOp, Nanos},
    files::{self, Signature},
};

/// More of one descriptor's `/proc/PID/fdinfo` is not looked at.
const INFO_BYTES: u64 = 4096;

/// The regular files that process `pid` can read through descriptors that stay open over its exec.
///
/// Descriptors that only write are left out: they are logs of whoever started us, not results of the session.
pub(super) fn files(pid: u32, at: Nanos) -> io::Result<Vec<FileAccess>> {
    let mut files = open_files(pid, at)?;
    files.retain(|file| matches!(file.op, FileOp::Open { flags } if stays_and_reads(flags)));
    Ok(files)
}

/// The regular files that process `pid` has open.
pub(super) fn open_files(pid: u32, at: Nanos) -> io::Result<Vec<FileAccess>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        if let Some((flags, path)) = named_file(pid, number)
            && let Ok(metadata) = std::fs::metadata(entry.path())
            && metadata.is_file()
        {
            found.push(FileAccess {
                at,
                pid,
                tid: pid,
                op: FileOp::Open { flags },
                path: path.as_os_str().as_bytes().to_vec(),
                other: None,
                signature: Some(Signature::of(&metadata)),
                times: 1,
            });
        }
    }
    Ok(found)
}

/// Whether process `pid` has the regular file with this device and inode open for writing.
///
/// A process that has gone, or that we may not look at, has not.
pub fn writes(pid: u32, file: (u64, u64)) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().any(|entry| {
        std::fs::metadata(entry.path()).is_ok_and(|found| found.is_file() && (found.dev(), found.ino()) == file)
            && entry
                .file_name()
                .to_str()
                .and_then(|name| info_flags(pid, name))
                .is_some_and(|flags| flags & libc::O_ACCMODE != libc::O_RDONLY && flags & libc::O_PATH == 0)
    })
}

/// The flags of a descriptor.
fn info_flags(pid: u32, number: &str) -> Option<i32> {
    let info = files::read_bounded(Path::new(&format!("/proc/{pid}/fdinfo/{number}")), INFO_BYTES).ok()?;
    flags(std::str::from_utf8(&info).ok()?)
}

/// Flags and path of a descriptor; `None` for what has no name (any more).
fn named_file(pid: u32, number: RawFd) -> Option<(i32, PathBuf)> {
    let flags = info_flags(pid, &number.to_string())?;
    let path = std::fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()?;
    (path.is_absolute() && path.exists()).then_some((flags, path))
}

/// Whether a descriptor reads and is not closed at exec.
fn stays_and_reads(flags: i32) -> bool {
    flags & (libc::O_CLOEXEC | libc::O_PATH) == 0 && flags & libc::O_ACCMODE != libc::O_WRONLY
}

/// The `flags:` line of `/proc/PID/fdinfo/N` (`proc_pid_fdinfo(5)`), which is octal.
fn flags(info: &str) -> Option<i32> {
    let text = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    i32::from_str_radix(text.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_linux_writes_them() {
        assert_eq!(flags("pos:\t0\nflags:\t0100002\nmnt_id:\t1\n"), Some(0o100_002));
        assert_eq!(flags("pos:\t0\n"), None);
    }
}
