//! A change that waits while the content that it would end is put aside.

use std::{
    io,
    os::fd::OwnedFd,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::{
    event::Timespec,
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime},
};

use super::{ring::Shared, supervisor::monotonic};

/// How often (ns) a held call is renewed; the watchdog's patience is several of these.
const RENEWAL: i64 = 500_000_000;

/// Says that the proxy is alive while it puts content aside, up to a limit.
pub(super) struct Hold {
    pub(super) timer: OwnedFd,
    /// Since when (monotonic, ns) a change is held; 0: none.
    since: AtomicU64,
    longest: u64,
}

impl Hold {
    pub(super) fn new(longest: Duration) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        let longest = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        Ok(Self { timer, since: AtomicU64::new(0), longest })
    }

    fn arm(&self, nanoseconds: i64) {
        let interval = Timespec { tv_sec: 0, tv_nsec: nanoseconds };
        let times = Itimerspec { it_interval: interval, it_value: interval };
        // Without the timer the watchdog ends the hold earlier, which it may.
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &times).map(drop).unwrap_or_default();
    }

    /// A change is held from now on.
    pub(super) fn begin(&self) {
        self.since.store(monotonic(), Ordering::Relaxed);
        self.arm(RENEWAL);
    }

    /// It goes on.
    pub(super) fn end(&self) {
        self.arm(0);
        self.since.store(0, Ordering::Relaxed);
    }

    /// The timer rang.
    pub(super) fn renew(&self, shared: &Shared) {
        let mut count = [0; 8];
        rustix::io::read(&self.timer, &mut count).map(drop).unwrap_or_default();
        let (since, now) = (self.since.load(Ordering::Relaxed), monotonic());
        if since != 0 && now.saturating_sub(since) < self.longest {
            shared.renew_parked(now);
        }
    }
}
