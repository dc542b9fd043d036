//! The proxy kernel: what frontend and kernel said, byte for byte.
//!
//! [`proxy::run`] stands between a frontend and the wrapped kernel; [`client`] is a frontend of our own, for replays;
//! [`launch::bare`] starts a kernel without any capture.

mod arrivals;
pub mod client;
pub mod launch;
mod magics;
mod panel;
pub mod proxy;
mod publisher;
mod relay;
#[expect(unsafe_code, reason = "signal dispositions, the allocator's limits, and a call between fork and exec")]
mod sys;
mod transport;
mod zmtp;

pub use magics::{MagicAnswer, Magics};
pub use panel::{Panel, TARGET};
pub use proxy::{BeforeEnd, Config, ProxyError, SignalMode};

/// Ends this process as the kernel ended, so that the manager sees the same: by the same signal, without a core dump.
///
/// `status` is a wait status. When the kernel exited by itself, its exit code comes back, for the caller to exit with.
pub fn die_as(status: i32) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;

    use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
    let status = std::process::ExitStatus::from_raw(status);
    if let Some(signal) = status.signal().and_then(Signal::from_named_raw) {
        // A limit that cannot be lowered costs a core file, nothing else.
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).unwrap_or_default();
        sys::default_action(signal.as_raw());
        kill_process(getpid(), signal).unwrap_or_default();
        // The signal may come to another thread of this process, a moment later.
        std::thread::park_timeout(std::time::Duration::from_secs(1));
    }
    // A signal that did not end us is told as shells tell it.
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(u8::MAX)
}
