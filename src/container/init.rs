//! `nbpack container-init`: the outer process of a container, and what it starts inside.
//!
//! ```text
//! outer (on the host)  forwards signals, says what is not isolated, removes the run's directory, ends as the command did
//!   └─ inner (process 1)  builds the root, drops every right, reaps, passes signals to the command only
//!        └─ command
//! ```
//!
//! The two talk over a socket pair of whole messages. When the outer process ends, however it ends, Linux kills the
//! inner one, and with it everything in the container.

use std::{
    cell::RefCell,
    ffi::OsString,
    fs,
    io::{self, IsTerminal as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair},
    process::{DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions, WaitStatus},
};
use serde::{Deserialize, Serialize};

use super::{
    Failed, RunError, Step, lock_shared, probe,
    process::{self, Signals},
    read_spec, relocated, remove_tree, setup,
    spec::Spec,
    sys,
    ways::Way,
};

/// How the outer process was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// In the place of a command that a person typed: the terminal is the command's, if there is one.
    Foreground,
    /// By a program that sends it signals of its own choice: never those of a terminal, and it ends with its parent.
    Child,
}

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// As `waitpid(2)` gives it.
    pub status: i32,
}

/// What the inner process says.
#[derive(Serialize, Deserialize, Debug)]
enum Message {
    /// Something is not as it should be.
    Note(String),
    /// It does not go on.
    Failed(Failed),
    /// The command ended: a wait status.
    Ended(i32),
}

/// Runs the container of the specification at `path` to its end. `say` prints a line for the person.
///
/// Must be called before this process has a second thread.
pub fn outer(path: &Path, manner: Manner, say: &mut dyn FnMut(&str)) -> Result<Ended, RunError> {
    let spec = read_spec(path)?;
    let follow = match manner {
        Manner::Foreground => None,
        Manner::Child => {
            // Out of the parent's process group: a signal to the group reaches the parent, who forwards it once.
            rustix::process::setsid().map(drop).unwrap_or_default();
            Follow::parent()
        }
    };
    // Descriptors that somebody forgot to close must not reach the code of a bundle. Linux before 5.9 cannot do it in
    // one step; what this program opened itself is closed anyway.
    sys::close_on_exec_from(3).unwrap_or_default();
    let lock = lock_shared(&spec.run_dir)?;
    let terminal = manner == Manner::Foreground && owns_terminal();
    let signals = Signals::take()?;
    let outer = Outer { spec: &spec, signals: &signals, follow: follow.into(), terminal };
    let result = outer.run(say);
    drop(lock);
    clean_up(&spec);
    result
}

/// Runs a command where this process may be the first of a container that an engine made: forwards signals, reaps
/// orphans, and ends when the command does. `started` may start threads: signals are taken before.
pub fn run_as_first(command: &mut Command, started: impl FnOnce()) -> Result<Ended, RunError> {
    let program = PathBuf::from(command.get_program());
    let signals = Signals::take()?;
    let child = process::spawn_unblocked(command).map_err(|source| RunError::Start { program, source })?;
    started();
    let failed = |source| RunError::System { what: "wait for the command", source };
    let pid = i32::try_from(child).ok().and_then(Pid::from_raw).ok_or(RunError::Lost { status: 0 })?;
    loop {
        process::wait_readable([signals.as_fd()]).map_err(failed)?;
        while let Some(arrived) = signals.next().map_err(failed)? {
            // The command is in this group: what the terminal sends reaches it by itself.
            if arrived.signal != libc::SIGCHLD && !arrived.from_terminal {
                process::send(pid, arrived.signal);
            }
        }
        if let Some(status) = reap(pid) {
            return Ok(Ended { status: status.as_raw() });
        }
    }
}

/// Lets signals act again: [`outer`] took them over.
pub fn unblock_signals() {
    sys::block_only(&[]).unwrap_or_default();
}

/// Whether standard input is a terminal that this process may read.
fn owns_terminal() -> bool {
    let stdin = io::stdin();
    stdin.is_terminal() && rustix::termios::tcgetpgrp(&stdin).is_ok_and(|group| group == rustix::process::getpgrp())
}

fn clean_up(spec: &Spec) {
    // What cannot be removed now is removed by `gc`; the command's own result matters more.
    if spec.keep_upper {
        for name in ["work", "stage", "root", setup::COPY] {
            remove_tree(&spec.run_dir.join(name)).unwrap_or_default();
        }
    } else {
        remove_tree(&spec.run_dir).unwrap_or_default();
    }
}

struct Outer<'a> {
    spec: &'a Spec,
    signals: &'a Signals,
    follow: RefCell<Option<Follow>>,
    terminal: bool,
}

/// Whose end is ours.
struct Follow {
    process: OwnedFd,
    /// Adopts us when `process` ends: a watcher between us and the one that counts may die alone.
    heir: Option<Pid>,
}

impl Follow {
    fn parent() -> Option<Self> {
        let parent = rustix::process::getppid()?;
        let process = rustix::process::pidfd_open(parent, PidfdFlags::empty()).ok()?;
        Some(Self { process, heir: parent_of(parent) })
    }

    /// Whom to follow now that `process` has ended: `None` when nobody is left.
    fn next(&self) -> Option<Self> {
        let parent = rustix::process::getppid().filter(|parent| self.heir == Some(*parent))?;
        let process = rustix::process::pidfd_open(parent, PidfdFlags::empty()).ok()?;
        Some(Self { process, heir: None })
    }
}

/// The parent of another process; never process 1, which adopts everybody.
fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name in parentheses may hold anything; the state and the parent come after it.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok().filter(|parent| *parent > 1).and_then(Pid::from_raw)
}

impl Outer<'_> {
    /// Tries one way after the other: what to try next depends on the step that failed.
    fn run(&self, say: &mut dyn FnMut(&str)) -> Result<Ended, RunError> {
        let mut way = Way::FIRST;
        loop {
            let failed = match self.attempt(&way, say)? {
                Ok(ended) => return Ok(ended),
                Err(failed) => failed,
            };
            let next = way.next(&failed, self.spec);
            let remedy = probe::remedy(&failed);
            let Some(next) = next else { return Err(RunError::Failed { failed, remedy }) };
            say(&format!("note: {}. {}", failed.describe(), next.caveat()));
            say(&format!("hint: {remedy}"));
            if next.needs_copy() {
                setup::prepare_copy(self.spec)
                    .map_err(|failed| RunError::Failed { remedy: probe::remedy(&failed), failed })?;
            }
            way = next;
        }
    }

    /// Runs it in one way. The inner result is the failure of a step; the outer one that of this process.
    fn attempt(&self, way: &Way, say: &mut dyn FnMut(&str)) -> Result<Result<Ended, Failed>, RunError> {
        let system = |what| move |source: rustix::io::Errno| RunError::System { what, source: source.into() };
        for name in ["upper", "work"] {
            remove_tree(&self.spec.run_dir.join(name))?;
        }
        let flags = SocketFlags::CLOEXEC;
        let (mine, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(system("make a socket pair"))?;
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let pid = match sys::clone_process(way.namespaces(self.spec.network)) {
            Ok(Some(pid)) => pid,
            Ok(None) => {
                drop(mine);
                let inner =
                    Inner { spec: self.spec, way, signals: self.signals, outer: theirs, terminal: self.terminal };
                inner.run(uid, gid)
            }
            Err(error) => return Ok(Err(Failed::at(Step::Namespaces, "make namespaces")(error))),
        };
        drop(theirs);
        // Go on: this process is alive and will notice.
        send(&mine, &[0], SendFlags::NOSIGNAL).map_err(system("start the container"))?;
        let outcome = self.supervise(pid, &mine, say);
        if outcome.is_err() {
            process::send(pid, libc::SIGKILL);
        }
        drop(mine);
        let status = wait_for(pid).map_err(|source| RunError::System { what: "wait for the container", source })?;
        Ok(match outcome? {
            Some(Message::Ended(status)) => Ok(Ended { status }),
            Some(Message::Failed(failed)) => Err(failed),
            _ => return Err(RunError::Lost { status }),
        })
    }

    /// Forwards signals until the inner process has said its last word, `None` when it ended without.
    fn supervise(&self, pid: Pid, inner: &OwnedFd, say: &mut dyn FnMut(&str)) -> Result<Option<Message>, RunError> {
        let failed = |source: io::Error| RunError::System { what: "wait for the container", source };
        let mut buffer = vec![0; 1 << 16];
        loop {
            let follow = self.follow.borrow();
            let parent = follow.as_ref().map_or(inner.as_fd(), |follow| follow.process.as_fd());
            let [signal, word, orphaned] =
                process::wait_readable([self.signals.as_fd(), inner.as_fd(), parent]).map_err(failed)?;
            while signal && let Some(arrived) = self.signals.next().map_err(failed)? {
                // The terminal told the command already.
                if arrived.signal != libc::SIGCHLD && !(self.terminal && arrived.from_terminal) {
                    send(inner, &[arrived.signal as u8], SendFlags::NOSIGNAL).unwrap_or_default();
                }
            }
            if word {
                let (read, _) =
                    recv(inner, &mut buffer[..], RecvFlags::empty()).map_err(|error| failed(error.into()))?;
                match serde_json::from_slice(buffer.get(..read).unwrap_or_default()) {
                    Ok(Message::Note(text)) => say(&format!("note: {text}")),
                    Ok(last) => return Ok(Some(last)),
                    Err(_) => return Ok(None),
                }
            } else if let (true, Some(gone)) = (orphaned, follow.as_ref()) {
                let Some(next) = gone.next() else {
                    process::send(pid, libc::SIGKILL);
                    return Ok(Some(Message::Ended(libc::SIGKILL)));
                };
                drop(follow);
                self.follow.replace(Some(next));
            }
        }
    }
}

fn wait_for(pid: Pid) -> io::Result<i32> {
    loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status.as_raw()),
            Ok(None) => {}
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Process 1 of the container. Nothing of it returns: it is a copy of the outer process.
struct Inner<'a> {
    spec: &'a Spec,
    way: &'a Way,
    signals: &'a Signals,
    outer: OwnedFd,
    terminal: bool,
}

impl Inner<'_> {
    fn run(self, uid: u32, gid: u32) -> ! {
        let result = catch_unwind(AssertUnwindSafe(|| self.build_and_wait(uid, gid)));
        match result {
            Ok(Ok(status)) => self.tell(&Message::Ended(status)),
            Ok(Err(failed)) => self.tell(&Message::Failed(failed)),
            Err(_) => {}
        }
        sys::exit_now(0)
    }

    fn tell(&self, message: &Message) {
        let text = serde_json::to_vec(message).unwrap_or_default();
        // Without an outer process nobody wants to know.
        send(&self.outer, &text, SendFlags::NOSIGNAL).map(drop).unwrap_or_default();
    }

    fn build_and_wait(&self, uid: u32, gid: u32) -> Result<i32, Failed> {
        let system = |what: &str| {
            let what = what.to_owned();
            move |error: rustix::io::Errno| Failed { step: Step::System, what, errno: error.raw_os_error() }
        };
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(system("follow the outer process"))?;
        // Nothing comes when the outer process ended before the line above took effect.
        let mut go = [0];
        if recv(&self.outer, &mut go[..], RecvFlags::empty()).map_or(0, |(read, _)| read) == 0 {
            sys::exit_now(1);
        }
        if !self.terminal {
            rustix::process::setsid().map_err(system("make a session"))?;
        }
        let umask = rustix::process::umask(rustix::fs::Mode::empty());
        let mut note = |text: &str| self.tell(&Message::Note(text.to_owned()));
        match self.way {
            Way::Namespaces { user, own_processes, root } => {
                if *user {
                    setup::map_ids(self.spec, uid, gid)?;
                } else if sys::clear_groups().is_err() {
                    note("the groups of this user stay; they cannot be left here.");
                }
                setup::enter_namespaces(self.spec, *root, *own_processes, &mut note)?;
            }
            Way::Chroot => {
                if sys::clear_groups().is_err() {
                    note("the groups of this user stay; they cannot be left here.");
                }
                setup::enter_chroot(self.spec, &mut note)?;
            }
            Way::Relocated => relocated::prepare(self.spec)?,
            Way::Proot(_) | Way::Bubblewrap(_) => {}
        }
        rustix::process::umask(umask);
        let scoped = match self.way {
            // A set-user-id program would not get its rights.
            Way::Proot(_) | Way::Bubblewrap(_) | Way::Relocated => true,
            Way::Chroot => setup::drop_rights(true, false)?,
            Way::Namespaces { .. } => setup::drop_rights(self.spec.uid == 0, self.spec.machine)?,
        };
        if let Some(line) = self.way.open_without_scope(self.spec).filter(|_| !scoped) {
            note(line);
        }
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(system("adopt orphans"))?;
        let (ready, wait) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(system("make a pipe"))?;
        match sys::clone_process(0).map_err(Failed::at(Step::System, "start a process"))? {
            None => {
                drop(wait);
                self.become_command(&ready)
            }
            Some(command) => {
                drop(ready);
                // Nobody inside may look into this process: it has the host's memory and descriptors.
                rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
                    .map_err(system("hide process 1"))?;
                drop(wait);
                self.wait_for_command(command)
            }
        }
    }

    /// The command's process, until `execve`.
    fn become_command(&self, ready: &OwnedFd) -> ! {
        let result = catch_unwind(AssertUnwindSafe(|| {
            // Ends with process 1, also where that is not the first of a namespace.
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).unwrap_or_default();
            let mut end = [0];
            rustix::io::read(ready, &mut end).map(drop).unwrap_or_default();
            if !self.terminal && rustix::process::setsid().is_err() {
                return Failed { step: Step::System, what: "make a session".to_owned(), errno: 0 };
            }
            self.exec().err().unwrap_or(Failed { step: Step::Exec, what: "start the command".to_owned(), errno: 0 })
        }));
        if let Ok(failed) = result {
            self.tell(&Message::Failed(failed));
        }
        sys::exit_now(127)
    }

    fn exec(&self) -> Result<std::convert::Infallible, Failed> {
        let spec = self.spec;
        if *self.way == Way::Relocated {
            let started = relocated::command(spec)?;
            let mut command = Command::new(&started.program);
            command.args(started.arguments).env_clear().envs(started.env).current_dir(started.cwd);
            return Err(Self::become_program(command));
        }
        let wrapper = self.way.wrapper(spec);
        let direct = wrapper.is_none();
        let (program, arguments): (OsString, Vec<OsString>) = match wrapper {
            Some(wrapper) => wrapper,
            None => {
                setup::make_dir(&spec.cwd, 0o755)?;
                let enter = format!("enter the working directory `{}`", spec.cwd.display());
                std::env::set_current_dir(&spec.cwd).map_err(Failed::at(Step::Exec, enter))?;
                let name = spec.argv.first().map_or("", String::as_str);
                let program = find_program(name, spec.env.get("PATH").map_or(DEFAULT_PATH, String::as_str))?;
                (program.into(), spec.argv.iter().skip(1).map(OsString::from).collect())
            }
        };
        let mut command = Command::new(&program);
        if let (Some(name), true) = (spec.argv.first(), direct) {
            command.arg0(name);
        }
        command.args(arguments).env_clear().envs(&spec.env);
        Err(Self::become_program(command))
    }

    /// Returns only when that did not work.
    fn become_program(mut command: Command) -> Failed {
        // Blocked signals would stay blocked in the command.
        if let Err(error) = sys::block_only(&[]) {
            return Failed::at(Step::Exec, "unblock signals")(error);
        }
        let error = command.exec();
        Failed::at(Step::Exec, format!("run `{}`", Path::new(command.get_program()).display()))(error)
    }

    /// Reaps everything, passes signals on, and gives the command's wait status.
    fn wait_for_command(&self, command: Pid) -> Result<i32, Failed> {
        let failed = || Failed::at(Step::System, "wait for the command");
        let mut byte = [0];
        loop {
            let [_, word] = process::wait_readable([self.signals.as_fd(), self.outer.as_fd()]).map_err(failed())?;
            // Only what comes over the socket counts: anybody may send a signal to process 1.
            while self.signals.next().map_err(failed())?.is_some() {}
            if let Some(status) = reap(command) {
                self.end_others(command);
                return Ok(status.as_raw());
            }
            if word {
                match recv(&self.outer, &mut byte[..], RecvFlags::empty()).map_or(0, |(read, _)| read) {
                    0 => sys::exit_now(1),
                    _ => process::send(process::descendant(command, self.way.between()), i32::from(byte[0])),
                }
            }
        }
    }

    /// Where process 1 is not the first of a namespace, its end does not take the others with it.
    fn end_others(&self, command: Pid) {
        if !matches!(self.way, Way::Namespaces { own_processes: true, .. }) && !self.terminal {
            rustix::process::kill_process_group(command, Signal::KILL).unwrap_or_default();
        }
    }
}

/// Collects every child that ended; the command's status once it is among them.
fn reap(command: Pid) -> Option<WaitStatus> {
    let mut found = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == command {
            found = Some(status);
        }
    }
    found
}

/// Where a program is looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn find_program(name: &str, path: &str) -> Result<PathBuf, Failed> {
    let missing = |errno| Failed { step: Step::Exec, what: format!("find the program `{name}` inside"), errno };
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let runs = |file: &PathBuf| {
        fs::metadata(file).is_ok_and(|metadata| metadata.is_file())
            && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
    };
    let mut places = path.split(':').filter(|dir| !dir.is_empty()).map(|dir| Path::new(dir).join(name));
    places.find(runs).filter(|_| !name.is_empty()).ok_or_else(|| missing(libc::ENOENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_path_order_and_must_be_executable() {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in [("a/tool", 0o644), ("b/tool", 0o755)] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
        let path = format!("{0}/a:{0}/b", dir.path().display());
        assert_eq!(find_program("tool", &path).unwrap(), dir.path().join("b/tool"));
        assert_eq!(find_program("none", &path).unwrap_err().step, Step::Exec);
        assert_eq!(find_program("", &path).unwrap_err().step, Step::Exec);
        assert_eq!(find_program("./x", "").unwrap(), Path::new("./x"));
    }
}
