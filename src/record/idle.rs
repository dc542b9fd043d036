//! Work for the quiet minutes: while the kernel is idle, a process of its own makes the layers of what is loaded, so
//! that the first export finds them.
//!
//! It runs only when nobody else wants processor or disk, and is killed the moment the frontend asks the kernel for
//! anything: whole layers stay in the store, what was under way vanishes. That it fails, or cannot be had, nobody
//! notices but the first export.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    hash::BuildHasher as _,
    io,
    os::fd::OwnedFd,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal};

use super::{gate, sys};
use crate::event::{Channel, Direction, Event, EventSink, MessageRecord};

/// Preparations of one session that end with an error before there are no more.
const MAX_FAILURES: u32 = 3;
/// Where Linux tells of mains and batteries.
const POWER: &str = "/sys/class/power_supply";

/// Starts the preparation when the kernel has been idle for a while and has loaded something since the last one.
#[derive(Debug)]
pub(super) struct Idle {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Requests to execute that have no reply yet.
    executing: u32,
    /// When the frontend last asked for something, or the kernel last answered.
    last: Instant,
    /// Counts what the frontend asked for.
    asked: u64,
    /// Hashes of the libraries that were loaded.
    loaded: HashSet<u64, foldhash::fast::RandomState>,
    /// One was loaded since the last preparation that ended well.
    fresh: bool,
    /// The preparation that runs.
    running: Option<OwnedFd>,
    ended: bool,
}

impl Idle {
    /// `command` makes the layers; it is started after the kernel was idle for `after`.
    pub(super) fn start(command: Vec<OsString>, after: Duration) -> io::Result<Self> {
        let state = State {
            executing: 0,
            last: Instant::now(),
            asked: 0,
            loaded: HashSet::default(),
            fresh: false,
            running: None,
            ended: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let of_thread = Arc::clone(&shared);
        let run = move || of_thread.run(&command, after);
        let thread = std::thread::Builder::new().name("idle".to_owned()).spawn(run)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A sink that sees every event before `inner` does.
    pub(super) fn watch(&self, inner: Arc<dyn EventSink>) -> Arc<dyn EventSink> {
        Arc::new(Watch { shared: Arc::clone(&self.shared), inner })
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        kill(&mut state);
        drop(state);
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in it is no matter of the notebook's.
            thread.join().unwrap_or_default();
        }
    }
}

struct Watch {
    shared: Arc<Shared>,
    inner: Arc<dyn EventSink>,
}

impl Watch {
    fn see(&self, event: &Event) {
        match event {
            Event::Message(message) => self.shared.see_message(message),
            Event::File(access) if is_library(&access.path) => {
                let mut state = self.shared.lock();
                let hash = state.loaded.hasher().hash_one(&access.path);
                state.fresh |= state.loaded.insert(hash);
            }
            _ => {}
        }
    }
}

impl EventSink for Watch {
    fn record(&self, event: Event) {
        self.see(&event);
        self.inner.record(event);
    }

    fn record_all(&self, events: Vec<Event>) {
        for event in &events {
            self.see(event);
        }
        self.inner.record_all(events);
    }
}

/// Code that an environment brings: what layers of distributions are made of.
fn is_library(path: &[u8]) -> bool {
    path.ends_with(b".pyc") || path.ends_with(b".so") || path.ends_with(b".rdb") || path.ends_with(b".py")
}

fn kill(state: &mut State) {
    if let Some(process) = state.running.take() {
        // It may have ended by itself.
        rustix::process::pidfd_send_signal(process, Signal::KILL).unwrap_or_default();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see_message(&self, message: &MessageRecord) {
        let to_kernel = message.direction == Direction::ToKernel;
        // Of what the kernel says only replies matter here: a flood of output costs nothing.
        if message.channel == Channel::Iopub || !to_kernel && message.channel != Channel::Shell {
            return;
        }
        let kind = gate::msg_type(message).unwrap_or_default();
        let mut state = self.lock();
        state.last = Instant::now();
        match (to_kernel, kind.as_str()) {
            (true, "execute_request") => state.executing += 1,
            (false, "execute_reply") => state.executing = state.executing.saturating_sub(1),
            _ => {}
        }
        if to_kernel {
            state.asked += 1;
            kill(&mut state);
        }
        drop(state);
        self.changed.notify_all();
    }

    fn run(&self, command: &[OsString], after: Duration) {
        let mut failures = 0;
        while failures < MAX_FAILURES {
            let Some(asked) = self.wait_until_idle(after) else { return };
            if on_battery(Path::new(POWER)) {
                self.lock().last = Instant::now();
                continue;
            }
            match self.prepare(command, asked) {
                Ok(Outcome::Done) => {}
                Ok(Outcome::Interrupted) => self.lock().fresh = true,
                Ok(Outcome::Failed) | Err(_) => {
                    failures += 1;
                    let mut state = self.lock();
                    (state.fresh, state.last) = (true, Instant::now());
                }
            }
        }
    }

    /// Waits until the frontend has been quiet for `after`, and says how much it had asked for; `None` at the end.
    fn wait_until_idle(&self, after: Duration) -> Option<u64> {
        let mut state = self.lock();
        loop {
            if state.ended {
                return None;
            }
            let idle = state.last.elapsed();
            let ready = state.fresh && state.executing == 0;
            if ready && idle >= after {
                state.fresh = false;
                return Some(state.asked);
            }
            // What is loaded without being asked for (a thread of the notebook's) wakes nobody: look again then.
            let left = after.saturating_sub(idle).max(Duration::from_millis(50));
            let left = if ready { left } else { after };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn prepare(&self, command: &[OsString], asked: u64) -> io::Result<Outcome> {
        use std::os::unix::process::CommandExt as _;
        let Some((program, args)) = command.split_first() else { return Ok(Outcome::Failed) };
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt of the notebook is not meant for it.
            .process_group(0)
            .spawn()?;
        let process = Pid::from_child(&child);
        let Ok(handle) = rustix::process::pidfd_open(process, PidfdFlags::empty()) else {
            // Without a handle it could not be stopped in time.
            child.kill()?;
            child.wait()?;
            return Ok(Outcome::Failed);
        };
        let mut state = self.lock();
        state.running = Some(handle);
        if state.ended || state.asked != asked {
            kill(&mut state);
        }
        drop(state);
        let status = child.wait()?;
        let interrupted = self.lock().running.take().is_none();
        Ok(match status.success() {
            true => Outcome::Done,
            false if interrupted => Outcome::Interrupted,
            false => Outcome::Failed,
        })
    }
}

enum Outcome {
    Done,
    Interrupted,
    Failed,
}

/// Makes this process the last in every queue, and lets it end with the process that started it.
pub fn step_back(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before the call.
    if rustix::process::getppid().is_none_or(|now| now.as_raw_nonzero().get().cast_unsigned() != parent) {
        return Err(io::ErrorKind::NotFound.into());
    }
    rustix::process::setpriority_process(None, 19)?;
    sys::schedule_when_idle()?;
    sys::read_and_write_when_idle()
}

/// Whether this machine runs from a battery: none of its mains is on, and a battery is being emptied or there are mains.
fn on_battery(supplies: &Path) -> bool {
    let Ok(listing) = fs::read_dir(supplies) else { return false };
    let (mut mains, mut online, mut discharging) = (false, false, false);
    for supply in listing.flatten() {
        let text = |name: &str| {
            let text = crate::files::read_to_string(&supply.path().join(name)).unwrap_or_default();
            text.trim().to_owned()
        };
        // A mouse's battery is none of the machine's.
        if text("scope") == "Device" {
            continue;
        }
        match text("type").as_str() {
            "Battery" => discharging |= text("status") == "Discharging",
            "Mains" | "USB" => {
                mains = true;
                online |= text("online") == "1";
            }
            _ => {}
        }
    }
    discharging && !(mains && online)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_on_battery_when_one_empties_and_no_mains_is_on() {
        let dir = tempfile::tempdir().unwrap();
        let supply = |name: &str, files: &[(&str, &str)]| {
            fs::create_dir_all(dir.path().join(name)).unwrap();
            for (file, text) in files {
                fs::write(dir.path().join(name).join(file), format!("{text}\n")).unwrap();
            }
        };
        assert!(!on_battery(&dir.path().join("nowhere")));
        supply("hidpp_battery_0", &[("type", "Battery"), ("scope", "Device"), ("status", "Discharging")]);
        assert!(!on_battery(dir.path()), "a mouse");
        supply("BAT0", &[("type", "Battery"), ("status", "Discharging")]);
        assert!(on_battery(dir.path()));
        supply("AC", &[("type", "Mains"), ("online", "1")]);
        assert!(!on_battery(dir.path()));
        supply("AC", &[("online", "0")]);
        assert!(on_battery(dir.path()));
    }

    struct Nothing;

    impl EventSink for Nothing {
        fn record(&self, _: Event) {}
    }

    fn message(direction: Direction, kind: &str) -> Event {
        let header = format!(r#"{{"msg_type":"{kind}"}}"#);
        let (client, frames) = (bytes::Bytes::new(), vec![header.into()]);
        Event::Message(MessageRecord { at: 0, channel: Channel::Shell, direction, client, frames })
    }

    fn loaded(path: &str) -> Event {
        let op = crate::event::FileOp::Open { flags: 0 };
        let path = path.as_bytes().to_vec();
        Event::File(crate::event::FileAccess {
            at: 0,
            pid: 1,
            tid: 1,
            op,
            path,
            other: None,
            signature: None,
            times: Default::default(),
        })
    }

    #[expect(clippy::disallowed_methods, reason = "it is looked for until the deadline, or shown not to happen")]
    fn pause(milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(milliseconds));
    }

    fn wait_for(what: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !what() {
            assert!(Instant::now() < deadline, "it did not happen");
            pause(5);
        }
    }

    #[test]
    fn it_runs_when_idle_is_stopped_by_a_request_and_starts_again() {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("echo x >> {0}/started; exec sleep 100", dir.path().display());
        let command = ["sh", "-c", &script].map(OsString::from).to_vec();
        let idle = Idle::start(command, Duration::from_millis(50)).unwrap();
        let sink = idle.watch(Arc::new(Nothing));
        let starts = || fs::read_to_string(dir.path().join("started")).unwrap_or_default().len() / 2;
        let runs = || idle.shared.lock().running.is_some();
        pause(150);
        assert_eq!(starts(), 0, "nothing was loaded");
        sink.record(message(Direction::ToKernel, "execute_request"));
        sink.record(loaded("/v/a.so"));
        pause(150);
        assert_eq!(starts(), 0, "a cell runs");
        sink.record(message(Direction::ToFrontend, "execute_reply"));
        wait_for(|| starts() == 1 && runs());
        sink.record(message(Direction::ToKernel, "execute_request"));
        assert!(!runs(), "the request went on before it was stopped");
        pause(150);
        assert_eq!(starts(), 1);
        sink.record(message(Direction::ToFrontend, "execute_reply"));
        wait_for(|| starts() == 2 && runs());
        let began = Instant::now();
        drop(idle);
        assert!(began.elapsed() < Duration::from_secs(10), "the end waited for it");
    }
}
