//! Files with errors that name the path, and publishing in one step.
//!
//! Everything that other processes may see is written beside its final name, synced, and renamed.

mod served;

use std::{
    fmt,
    fs::{self, File, Metadata},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

pub use served::{answers, metadata, symlink_metadata};

/// A file operation that did not work: what was tried, on which path, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub struct FileError {
    /// A verb in the infinitive: `read`, `write`, `create`.
    pub action: &'static str,
    /// The path it was tried on.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

impl FileError {
    /// An error for `action` on `path`; for use with `map_err`.
    pub fn new(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }

    /// Whether the path does not exist.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// Opens a file for reading.
pub fn open(path: &Path) -> Result<File, FileError> {
    #[expect(clippy::disallowed_methods, reason = "this is the place that names the path")]
    File::open(path).map_err(FileError::new("read", path))
}

/// Reads a whole file. For files of our own: a foreign one is read with a bound, [`read_bounded`].
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(FileError::new("read", path))
}

/// Reads a whole file of at most `limit` bytes; a longer one is an error and is not read.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    open(path)?.take(limit + 1).read_to_end(&mut bytes).map_err(FileError::new("read", path))?;
    if bytes.len() as u64 > limit {
        let source = io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {limit} bytes"));
        return Err(FileError { action: "read", path: path.to_owned(), source });
    }
    Ok(bytes)
}

/// Reads a whole UTF-8 file of at most 64 MiB.
pub fn read_to_string(path: &Path) -> Result<String, FileError> {
    let bytes = read_bounded(path, 64 << 20)?;
    String::from_utf8(bytes)
        .map_err(|source| FileError::new("read", path)(io::Error::new(io::ErrorKind::InvalidData, source)))
}

/// Makes a directory and its parents; new ones get mode 0700.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(FileError::new("create directory", path))
}

/// Makes a private directory that is locked for as long as the file is held, so that a collector knows it to be in use.
///
/// A collector may find the directory before it is locked, and remove it: then it is made again.
pub fn create_locked_dir(path: &Path, how: FlockOperation) -> Result<File, FileError> {
    loop {
        create_private_dir(path)?;
        if let Some(lock) = lock_dir(path, how)? {
            return Ok(lock);
        }
    }
}

/// Locks a directory; `None` when it is gone (also: when it went while this waited for the lock), or when somebody has
/// a lock that does not go with this one and `how` says not to wait.
pub fn lock_dir(path: &Path, how: FlockOperation) -> Result<Option<File>, FileError> {
    let wrong = || FileError::new("lock", path);
    let dir = match open(path) {
        Err(error) if error.is_not_found() => return Ok(None),
        result => result?,
    };
    loop {
        match rustix::fs::flock(&dir, how) {
            Ok(()) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(wrong()(errno.into())),
        }
    }
    // Who had it before may have removed it: then this lock protects nothing.
    let here = dir.metadata().map_err(wrong())?;
    let is_there = fs::symlink_metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (here.dev(), here.ino()));
    Ok(is_there.then_some(dir))
}

/// Makes a directory and its parents with the modes of the umask.
pub fn create_dir(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(FileError::new("create directory", path))
}

/// Makes `path` visible in one step with what `write` wrote: a temporary file beside it, synced, then renamed over it.
///
/// Either the old content or all of the new is seen, also after a crash. `mode` is the final permission.
pub fn publish<E: From<FileError>>(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut io::BufWriter<&File>) -> Result<(), E>,
) -> Result<(), E> {
    let dir = parent(path);
    let mut temporary = tempfile::Builder::new()
        .prefix(".nbpack-")
        .suffix(".tmp")
        .tempfile_in(dir)
        .map_err(FileError::new("create a file in", dir))?;
    {
        let mut buffered = io::BufWriter::with_capacity(1 << 16, temporary.as_file());
        write(&mut buffered)?;
        buffered.flush().map_err(FileError::new("write", path))?;
    }
    let file = temporary.as_file_mut();
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(FileError::new("write", path))?;
    file.sync_all().map_err(FileError::new("write", path))?;
    temporary.persist(path).map_err(|error| FileError::new("write", path)(error.error))?;
    Ok(sync_dir(dir)?)
}

/// [`publish`] of bytes that are in memory already.
pub fn publish_bytes(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), FileError> {
    publish(path, mode, |file| file.write_all(bytes).map_err(FileError::new("write", path)))
}

/// Makes the renames and new names in a directory durable.
pub fn sync_dir(dir: &Path) -> Result<(), FileError> {
    open(dir)?.sync_all().map_err(FileError::new("write", dir))
}

/// `f_type` of statfs(2) for file systems whose files lie on another machine (linux/magic.h and the drivers' own).
///
/// FUSE is among them: whether a program serves it from this disk or from another continent cannot be told.
const ELSEWHERE: &[u32] = &[
    0x6969,      // NFS
    0xFF53_4D42, // CIFS
    0xFE53_4D42, // SMB 2
    0x517B,      // SMB
    0x0BD0_0BD0, // Lustre
    0x4750_4653, // GPFS
    0x00C3_6400, // Ceph
    0x5346_414F, // AFS
    0x6B41_4653, // AFS of Linux
    0x7375_7245, // Coda
    0x0102_1997, // 9p
    0x1980_0124, // BeeGFS
    0x6573_5546, // FUSE
];

/// Whether the files of this directory lie on a network file system.
pub fn is_elsewhere(dir: &Path) -> bool {
    // The word is signed on some machines and its upper half means nothing.
    rustix::fs::statfs(dir).is_ok_and(|stat| ELSEWHERE.contains(&(stat.f_type as u32)))
}

/// The directory a path lies in; `.` for a bare name.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// What tells cheaply whether a file may have changed: equal signatures mean "no reason to read it again".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Signature {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Bytes.
    pub size: u64,
    /// Modification time, nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Status change time, nanoseconds since the epoch.
    pub ctime_ns: i64,
}

impl Signature {
    /// The signature in a `stat` that was made already.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            mtime_ns: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
            ctime_ns: metadata.ctime().saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec()),
        }
    }
}

/// Bytes, as Linux has them, as a path.
pub fn as_path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// Shows a path that came from outside on one line: control characters and bytes that are not UTF-8 are escaped.
pub fn display_bytes(path: &[u8]) -> impl fmt::Display + '_ {
    struct Escaped<'a>(&'a [u8]);
    impl fmt::Display for Escaped<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for chunk in self.0.utf8_chunks() {
                for c in chunk.valid().chars() {
                    if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
                }
                for byte in chunk.invalid() {
                    write!(f, "\\x{byte:02x}")?;
                }
            }
            Ok(())
        }
    }
    Escaped(path)
}

/// The source that a file of bytecode was compiled from, by its place (PEP 3147): `d/x.py` for
/// `d/__pycache__/x.cpython-311.pyc`. Python opens the bytecode alone where it is valid; the source it only looks at.
pub fn source_of_bytecode(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts = path.rsplitn(3, |&byte| byte == b'/');
    let (name, cache, dir) = (parts.next()?, parts.next()?, parts.next()?);
    let stem = compiled_stem(name)?;
    (cache == b"__pycache__").then(|| [dir, b"/", stem, b".py"].concat())
}

/// `x` of `x.cpython-311.pyc` and `x.cpython-311.opt-1.pyc`.
pub fn compiled_stem(name: &[u8]) -> Option<&[u8]> {
    let rest = name.strip_suffix(b".pyc")?;
    let at = memchr::memmem::rfind(rest, b".cpython-").or_else(|| memchr::memmem::rfind(rest, b".pypy"))?;
    rest.get(..at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytecode_names_its_source_by_its_place() {
        assert_eq!(source_of_bytecode(b"/a/__pycache__/x.cpython-311.pyc").as_deref(), Some(&b"/a/x.py"[..]));
        assert_eq!(source_of_bytecode(b"/a/__pycache__/x.y.cpython-311.opt-1.pyc").as_deref(), Some(&b"/a/x.y.py"[..]));
        assert_eq!(source_of_bytecode(b"/a/x.cpython-311.pyc"), None);
        assert_eq!(source_of_bytecode(b"/a/__pycache__/x.py"), None);
    }

    #[test]
    fn a_failed_publish_leaves_the_old_content_and_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        publish_bytes(&path, 0o644, b"old").unwrap();
        let result = publish(&path, 0o644, |file| {
            file.write_all(b"half").unwrap();
            Err(FileError::new("write", Path::new("x"))(io::Error::other("disk full")))
        });
        assert!(result.is_err());
        assert_eq!(read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_name_from_outside_cannot_act_on_the_terminal() {
        assert_eq!(display_bytes(b"a\x1b[31m\xff\n").to_string(), "a\\u{1b}[31m\\xff\\n");
    }
}
