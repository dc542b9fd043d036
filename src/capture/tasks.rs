//! The threads of watched processes, as `/proc` tells of them: when each was started, and whether it waits for a word.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::LazyLock,
};

use rustix::time::{ClockId, clock_gettime};

use crate::{
    event::{self, Nanos, ThreadStart},
    files,
};

/// More of one file in `/proc` is not looked at.
const LONGEST: u64 = 4096;
/// More threads than this are not looked at: the kernel waits for it.
const MOST: usize = 256;
/// `futex(2)`: to wait, plainly and with a set of bits.
const FUTEX_WAITS: [u64; 2] = [libc::FUTEX_WAIT as u64, libc::FUTEX_WAIT_BITSET as u64];
const FUTEX_FLAGS: u64 = (libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME) as u64;

/// When this machine was started, once for this process: the same thread must have the same time whenever it is asked for.
static BOOT: LazyLock<Nanos> = LazyLock::new(|| {
    let since = clock_gettime(ClockId::Boottime);
    event::now() - (since.tv_sec * 1_000_000_000 + since.tv_nsec)
});

fn read(path: &str) -> Option<Vec<u8>> {
    files::read_bounded(Path::new(path), LONGEST).ok()
}

/// When thread `tid` was started: at this time or within the next hundredth of a second. `None`: it has gone.
pub(super) fn started(tid: u32) -> Option<Nanos> {
    let stat = read(&format!("/proc/{tid}/stat"))?;
    let ticks = start_ticks(&stat)?;
    let tick = 1_000_000_000 / i64::try_from(rustix::param::clock_ticks_per_second()).ok()?.max(1);
    BOOT.checked_add(ticks.checked_mul(tick)?)
}

/// The start time of `/proc/TID/stat` (`proc_pid_stat(5)`, field 22). The name before it may hold anything.
fn start_ticks(stat: &[u8]) -> Option<i64> {
    let end = memchr::memmem::rfind(stat, b") ")?;
    let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
    rest.split(' ').nth(19)?.parse().ok()
}

/// What a look at the threads found.
#[derive(Debug, Default)]
pub struct Looked {
    /// They wait, without a limit in time, until another thread or process says something.
    pub waiting: Vec<u32>,
    /// They are met for the first time, and were there now.
    pub new: Vec<ThreadStart>,
}

/// The threads of some processes.
#[derive(Debug, Default)]
pub struct Tasks {
    started: HashMap<u32, Nanos>,
}

impl Tasks {
    /// Looks at the threads of these processes that were started after `since`. For a word they wait through memory
    /// (`futex`), or through a pipe. Processes that have gone leave `pids`.
    pub fn look(&mut self, pids: &mut BTreeSet<u32>, since: Nanos) -> Looked {
        let before = std::mem::take(&mut self.started);
        let mut looked = Looked::default();
        pids.retain(|pid| {
            let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
            for tid in tasks.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
                if self.started.len() >= MOST {
                    break;
                }
                let known = before.get(&tid).copied();
                let Some(started) = known.or_else(|| started(tid)) else { continue };
                self.started.insert(tid, started);
                if started <= since {
                    continue;
                }
                if known.is_none() {
                    looked.new.push(ThreadStart { at: event::now(), pid: *pid, tid, started });
                }
                if waits(*pid, tid) {
                    looked.waiting.push(tid);
                }
            }
            true
        });
        looked
    }
}

/// What is in `/proc/PID/task/TID/syscall` while the thread waits: the call's number and its arguments.
fn waits(pid: u32, tid: u32) -> bool {
    let Some(text) = read(&format!("/proc/{pid}/task/{tid}/syscall")) else { return false };
    let Some((number, arguments)) = std::str::from_utf8(&text).ok().and_then(call) else { return false };
    match (number, arguments) {
        (libc::SYS_futex, [_, operation, _, limit]) => FUTEX_WAITS.contains(&(operation & !FUTEX_FLAGS)) && limit == 0,
        (libc::SYS_read, [descriptor, ..]) => {
            let link = rustix::fs::readlink(format!("/proc/{pid}/fd/{descriptor}"), Vec::new());
            link.is_ok_and(|target| target.as_bytes().starts_with(b"pipe:"))
        }
        _ => false,
    }
}

/// `NUMBER 0xARG 0xARG …`; `running`, or a thread that was stopped outside a call, is none.
fn call(text: &str) -> Option<(i64, [u64; 4])> {
    let mut words = text.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    let mut arguments = [0; 4];
    for argument in &mut arguments {
        *argument = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    }
    Some((number, arguments))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_linux_says_of_a_thread_is_read() {
        assert_eq!(call("202 0x7f 0x189 0x0 0x0 0x0 0xffffffff 0x7ffc 0x7f21\n"), Some((202, [0x7f, 0x189, 0, 0])));
        assert_eq!(call("running\n"), None);
        assert_eq!(call("-1 0x7ffc 0x7f21\n"), None);
        let fields: Vec<String> = (4..=30).map(|field| field.to_string()).collect();
        assert_eq!(start_ticks(format!("7 (a) b) S {}", fields.join(" ")).as_bytes()), Some(22));
    }

    #[test]
    fn a_thread_that_waits_for_a_word_is_told_from_one_that_waits_for_a_time() {
        let before = event::now();
        let (word, waiting) = std::sync::mpsc::channel::<()>();
        let (ids, id) = std::sync::mpsc::channel();
        let own = || rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
        let told = ids.clone();
        let for_word = std::thread::spawn(move || {
            told.send((true, own())).unwrap();
            waiting.recv().unwrap_err();
        });
        let for_time = std::thread::spawn(move || {
            ids.send((false, own())).unwrap();
            std::thread::park_timeout(Duration::from_secs(2));
        });
        let found: Vec<(bool, u32)> = (0..2).map(|_| id.recv().unwrap()).collect();
        let tid = |word: bool| found.iter().find(|(is, _)| *is == word).unwrap().1;
        let mut pids = BTreeSet::from([std::process::id(), 0x3fff_ffff]);
        let mut tasks = Tasks::default();
        let deadline = std::time::Instant::now() + Duration::from_secs(1);
        let (mut waiting, mut new) = (Vec::new(), Vec::new());
        while !waiting.contains(&tid(true)) && std::time::Instant::now() < deadline {
            let looked = tasks.look(&mut pids, before - 20_000_000);
            new.extend(looked.new.into_iter().map(|thread| thread.tid));
            waiting = looked.waiting;
        }
        assert!(waiting.contains(&tid(true)) && !waiting.contains(&tid(false)), "{waiting:?} of {found:?}");
        assert_eq!(pids, BTreeSet::from([std::process::id()]));
        assert!(new.contains(&tid(true)) && new.contains(&tid(false)), "{new:?} of {found:?}");
        let again = tasks.look(&mut pids, event::now() + 1_000_000_000);
        assert!(!again.waiting.contains(&tid(true)) && !again.new.iter().any(|thread| thread.tid == tid(true)));
        let started = started(tid(true)).unwrap();
        assert!((started - before).abs() < 100_000_000, "{started} {before}");
        for_time.thread().unpark();
        drop(word);
        for_word.join().unwrap();
        for_time.join().unwrap();
    }
}
