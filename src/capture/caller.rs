//! Reads what a waiting caller asked for: strings in its memory, and where its relative paths begin.
//!
//! Only `/proc` and memory are touched, never another file system: the caller may be the daemon that serves it.

use std::{collections::HashMap, io};

use rustix::{fs::Mode, fs::OFlags, io::Errno};

use super::{sys, tasks};
use crate::event::Nanos;

/// The longest path Linux takes, with its NUL.
const PATH_MAX: usize = 4096;
/// How much of an argument vector is kept.
const ARGV_BYTES: usize = 16 << 10;
/// How many arguments are looked at.
const ARGV_COUNT: usize = 512;
/// No read crosses a multiple of this, the smallest page, for the next page may not be mapped.
const PAGE: u64 = 4096;
/// What is known of a thread is looked up again after this long (ns), for its number may have a new owner.
const FRESH: u64 = 2_000_000_000;
/// Beyond this many threads the ones that have gone are forgotten.
const MANY: usize = 4096;

/// What is known of a calling thread.
#[derive(Clone, Debug)]
pub(super) struct Thread {
    /// The process (thread group).
    pub(super) pid: u32,
    /// Its parent.
    pub(super) ppid: u32,
    /// When the thread was started; 0: not known.
    pub(super) started: Nanos,
    /// It has another root directory or other mounts than we.
    pub(super) elsewhere: bool,
    /// Its root directory as `/proc` shows it to us, if that is not `/`.
    root: Option<Vec<u8>>,
    looked_up: u64,
}

/// The calling threads that were seen.
#[derive(Debug)]
pub(super) struct Callers {
    threads: HashMap<u32, Thread>,
    own_mounts: Vec<u8>,
}

/// Text of a link in `/proc`.
fn link(path: &str) -> io::Result<Vec<u8>> {
    Ok(rustix::fs::readlink(path, Vec::new())?.into_bytes())
}

impl Callers {
    pub(super) fn new() -> Self {
        Self { threads: HashMap::new(), own_mounts: link("/proc/self/ns/mnt").unwrap_or_default() }
    }

    /// What is known of thread `tid`; `now` is the monotonic clock, in ns.
    pub(super) fn thread(&mut self, tid: u32, now: u64) -> &Thread {
        if self.threads.len() > MANY {
            self.threads.retain(|_, thread| now.saturating_sub(thread.looked_up) < FRESH);
        }
        let own_mounts = &self.own_mounts;
        let thread = self.threads.entry(tid).or_insert_with(|| look_up(tid, now, own_mounts));
        if now.saturating_sub(thread.looked_up) > FRESH {
            *thread = look_up(tid, now, own_mounts);
        }
        thread
    }

    /// Thread `tid` is about to become another program: everything about it may change.
    pub(super) fn forget(&mut self, tid: u32) {
        self.threads.remove(&tid);
    }
}

fn look_up(tid: u32, now: u64, own_mounts: &[u8]) -> Thread {
    let status = read_status(tid).unwrap_or_default();
    let field = |name: &[u8]| -> Option<u32> {
        status
            .split(|byte| *byte == b'\n')
            .find_map(|line| std::str::from_utf8(line.strip_prefix(name)?.trim_ascii()).ok()?.parse().ok())
    };
    let root = link(&format!("/proc/{tid}/root")).ok().filter(|root| root != b"/");
    // A process whose mounts we may not look at (another user's) is taken to see what we see.
    let elsewhere = root.is_some() || link(&format!("/proc/{tid}/ns/mnt")).is_ok_and(|mounts| mounts != own_mounts);
    Thread {
        pid: field(b"Tgid:").unwrap_or(tid),
        ppid: field(b"PPid:").unwrap_or(0),
        started: tasks::started(tid).unwrap_or(0),
        elsewhere,
        root,
        looked_up: now,
    }
}

/// The first lines of `/proc/TID/status`.
fn read_status(tid: u32) -> Result<Vec<u8>, Errno> {
    let file = rustix::fs::open(format!("/proc/{tid}/status"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = vec![0; 1024];
    let length = rustix::io::read(&file, &mut text)?;
    text.truncate(length);
    Ok(text)
}

/// Copies from the caller's memory, by `process_vm_readv` or, where that is forbidden, by `/proc/TID/mem`.
pub(super) fn read(tid: u32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    match sys::read_memory(tid, address, buffer) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => {
            read_by_file(tid, address, buffer)
        }
        result => result,
    }
}

fn read_by_file(tid: u32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let memory = rustix::fs::open(format!("/proc/{tid}/mem"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    match rustix::io::pread(&memory, buffer, address) {
        Err(Errno::IO) => Err(Errno::FAULT.into()),
        result => Ok(result?),
    }
}

/// Appends the string at `address`, without its NUL; one that is longer than `limit` bytes is cut.
pub(super) fn read_string(tid: u32, address: u64, limit: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let (start, mut address) = (out.len(), address);
    let mut step = 256;
    while out.len() - start < limit {
        let end = out.len();
        let room = (PAGE - address % PAGE) as usize;
        out.resize(end + step.min(room).min(limit - (end - start)), 0);
        let read = match out.get_mut(end..).map(|buffer| read(tid, address, buffer)) {
            Some(Ok(read)) if read > 0 => read,
            other => {
                out.truncate(end);
                return Err(other.and_then(Result::err).unwrap_or_else(|| Errno::FAULT.into()));
            }
        };
        out.truncate(end + read);
        if let Some(length) = out.get(end..).and_then(|new| memchr::memchr(0, new)) {
            out.truncate(end + length);
            return Ok(());
        }
        address = address.wrapping_add(read as u64);
        step = PAGE as usize;
    }
    Ok(())
}

/// A path argument.
pub(super) fn read_path(tid: u32, address: u64, out: &mut Vec<u8>) -> io::Result<()> {
    out.clear();
    read_string(tid, address, PATH_MAX, out)
}

/// The arguments of an exec, each ended by a NUL; what cannot be read or is too much is left out.
pub(super) fn read_argv(tid: u32, address: u64, pointer: usize, out: &mut Vec<u8>) {
    for index in 0..ARGV_COUNT {
        let Some(argument) = read_number(tid, address + (index * pointer) as u64, pointer) else { return };
        let room = ARGV_BYTES.saturating_sub(out.len());
        if argument == 0 || room == 0 || read_string(tid, argument, room, out).is_err() {
            return;
        }
        out.push(0);
    }
}

/// A little-endian number of at most 8 bytes.
pub(super) fn read_number(tid: u32, address: u64, size: usize) -> Option<u64> {
    let mut bytes = [0; 8];
    let wanted = bytes.get_mut(..size)?;
    (read(tid, address, wanted).ok()? == size).then(|| u64::from_le_bytes(bytes))
}

/// Makes `path` absolute as the caller sees it: relative ones begin at its working directory or at descriptor `dir`.
pub(super) fn make_absolute(tid: u32, thread: &Thread, dir: i32, path: &mut Vec<u8>) -> io::Result<()> {
    if path.first() == Some(&b'/') {
        // Now, while the caller waits: it may be gone when its event is looked at.
        if let Some(file) = behind_descriptor(tid, path) {
            *path = thread.root.as_deref().and_then(|root| file.strip_prefix(root)).unwrap_or(&file).to_vec();
        }
        return Ok(());
    }
    let mut base = if dir == libc::AT_FDCWD {
        link(&format!("/proc/{tid}/cwd"))?
    } else {
        link(&format!("/proc/{tid}/fd/{dir}"))?
    };
    if let Some(rest) = thread.root.as_deref().and_then(|root| base.strip_prefix(root)) {
        base = if rest.is_empty() { b"/".to_vec() } else { rest.to_vec() };
    }
    if !path.is_empty() {
        if base.last() != Some(&b'/') {
            base.push(b'/');
        }
        base.append(path);
    }
    *path = base;
    Ok(())
}

/// The file behind `/proc/self/fd/N` or `/dev/fd/N`, where it is one with a name.
fn behind_descriptor(tid: u32, path: &[u8]) -> Option<Vec<u8>> {
    let prefixes = [&b"/proc/self/fd/"[..], b"/proc/thread-self/fd/", b"/dev/fd/"];
    let number = prefixes.iter().find_map(|prefix| path.strip_prefix(*prefix))?;
    let number = std::str::from_utf8(number).ok()?.parse::<u32>().ok()?;
    link(&format!("/proc/{tid}/fd/{number}")).ok().filter(|file| file.first() == Some(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_tid() -> u32 {
        rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned()
    }

    #[test]
    fn both_ways_into_memory_read_the_same() {
        let text = b"/some/path\xff\0after";
        let address = text.as_ptr() as u64;
        let mut path = Vec::new();
        read_path(own_tid(), address, &mut path).unwrap();
        assert_eq!(path, b"/some/path\xff");
        let (mut first, mut second) = ([0; 8], [0; 8]);
        assert_eq!(read(own_tid(), address, &mut first).unwrap(), 8);
        assert_eq!(read_by_file(own_tid(), address, &mut second).unwrap(), 8);
        assert_eq!(first, second);
    }

    #[test]
    fn a_path_across_pages_is_whole_and_an_endless_one_is_cut() {
        let mut text = vec![b'a'; 3 * 4096];
        text.push(0);
        for start in [0, 4000, 4095] {
            let mut path = Vec::new();
            read_path(own_tid(), text[start..].as_ptr() as u64, &mut path).unwrap();
            assert_eq!(path.len(), 4096);
        }
        for start in [8192, 8192 + 3000] {
            let mut path = Vec::new();
            read_path(own_tid(), text[start..].as_ptr() as u64, &mut path).unwrap();
            assert_eq!(path.len(), 3 * 4096 - start);
        }
    }

    #[test]
    fn an_invalid_address_is_an_error_and_no_path() {
        let mut path = Vec::new();
        assert_eq!(read_path(own_tid(), 0, &mut path).unwrap_err().raw_os_error(), Some(libc::EFAULT));
        assert!(read_by_file(own_tid(), 16, &mut [0; 4]).is_err());
        assert!(path.is_empty());
    }

    #[test]
    fn relative_paths_begin_where_the_caller_stands() {
        let mut callers = Callers::new();
        let thread = callers.thread(own_tid(), 0).clone();
        assert_eq!(thread.pid, std::process::id());
        assert!(!thread.elsewhere);
        let dir = tempfile::tempdir().unwrap();
        let fd = rustix::fs::open(dir.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let mut path = b"x/../y".to_vec();
        make_absolute(own_tid(), &thread, std::os::fd::AsRawFd::as_raw_fd(&fd), &mut path).unwrap();
        assert_eq!(path, [dir.path().as_os_str().as_encoded_bytes(), b"/x/../y"].concat());
        let inside = Thread { root: Some(dir.path().as_os_str().as_encoded_bytes().to_vec()), ..thread };
        let mut path = Vec::new();
        make_absolute(own_tid(), &inside, std::os::fd::AsRawFd::as_raw_fd(&fd), &mut path).unwrap();
        assert_eq!(path, b"/");
    }
}
