//! Starts the wrapped kernel as a plain child process: nothing but its messages is seen.

use std::{
    io,
    process::{Child, Command},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::sys;
use crate::event::{KernelProcess, Launch};

struct Bare {
    pid: u32,
    child: Mutex<Option<Child>>,
    /// Its process id may belong to another process by now.
    ended: AtomicBool,
}

/// Starts the kernel in this process group, standard streams inherited. It ends when the calling thread ends.
pub fn bare(launch: Launch) -> io::Result<Arc<dyn KernelProcess>> {
    let mut args = launch.argv.into_iter();
    let program = args.next().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program to start"))?;
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(launch.env).current_dir(launch.cwd);
    sys::end_with_parent(&mut command);
    let child = command.spawn()?;
    Ok(Arc::new(Bare { pid: child.id(), child: Mutex::new(Some(child)), ended: AtomicBool::new(false) }))
}

impl KernelProcess for Bare {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn wait(&self) -> io::Result<i32> {
        use std::os::unix::process::ExitStatusExt as _;
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut child = child.ok_or_else(|| io::Error::other("the kernel was waited for already"))?;
        let status = child.wait()?.into_raw();
        self.ended.store(true, Ordering::Release);
        Ok(status)
    }

    fn signal(&self, signal: i32) -> io::Result<()> {
        if self.ended.load(Ordering::Acquire) {
            return Ok(());
        }
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        let signal = rustix::process::Signal::from_named_raw(signal);
        let (Some(pid), Some(signal)) = (pid, signal) else { return Err(io::ErrorKind::InvalidInput.into()) };
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    fn settle(&self) {}
}
