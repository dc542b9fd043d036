//! The ways to run a container, from exact and isolated to less, and which one comes after which failure.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    Failed, Step, probe,
    setup::{self, RootKind},
    spec::{Bind, Spec},
};

/// One way to run it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Namespaces of our own. Without one for users where this process is an administrator and that one is refused.
    Namespaces { user: bool, own_processes: bool, root: RootKind },
    /// `bwrap`, which may make namespaces where we may not: it is set-user-id, or a profile allows it.
    Bubblewrap(PathBuf),
    /// `chroot(2)` into a copy.
    Chroot,
    /// `proot`, which translates paths by `ptrace(2)`.
    Proot(PathBuf),
    /// In a copy, below this machine's root.
    Relocated,
}

impl Way {
    /// The best one.
    pub(super) const FIRST: Self = Self::Namespaces { user: true, own_processes: true, root: RootKind::Overlay };

    /// What to try after this one failed; `None` when nothing else can help.
    pub(super) fn next(&self, failed: &Failed, spec: &Spec) -> Option<Self> {
        match (self, failed.step) {
            (Self::Namespaces { user, own_processes: true, root }, Step::Proc) => {
                Some(Self::Namespaces { user: *user, own_processes: false, root: *root })
            }
            (Self::Namespaces { user, own_processes, root: RootKind::Overlay }, Step::Overlay) => {
                Some(Self::Namespaces { user: *user, own_processes: *own_processes, root: RootKind::Copy })
            }
            (
                Self::Namespaces { user, .. },
                Step::Namespaces | Step::Map | Step::Mount | Step::Proc | Step::Root | Step::Dev,
            ) => {
                let administrator = *user && setup::may_mount();
                if administrator {
                    return Some(Self::Namespaces { user: false, own_processes: true, root: RootKind::Overlay });
                }
                bubblewrap(spec).map(Self::Bubblewrap).or_else(|| Self::without_namespaces(spec))
            }
            (Self::Chroot, Step::Root) => Self::without_root(spec),
            // It could not start here, for want of `ptrace(2)` for example.
            (Self::Proot(_), Step::Exec) => spec.inexact.then_some(Self::Relocated),
            _ => None,
        }
    }

    fn without_namespaces(spec: &Spec) -> Option<Self> {
        // Nothing of this machine can be shown in a chroot; the run's own directory moves into it.
        if setup::may_chroot() && spec.binds.iter().all(Bind::is_own) {
            return Some(Self::Chroot);
        }
        Self::without_root(spec)
    }

    fn without_root(spec: &Spec) -> Option<Self> {
        probe::find_proot().map(Self::Proot).or_else(|| spec.inexact.then_some(Self::Relocated))
    }

    /// It runs in a merged copy of the layers.
    pub(super) fn needs_copy(&self) -> bool {
        !matches!(self, Self::Namespaces { root: RootKind::Overlay, .. })
    }

    /// Programs between us and the command that keep signals to themselves.
    pub(super) fn between(&self) -> usize {
        match self {
            Self::Namespaces { .. } | Self::Chroot | Self::Relocated => 0,
            Self::Proot(_) => 1,
            Self::Bubblewrap(_) => 2,
        }
    }

    /// For `clone(2)`.
    pub(super) fn namespaces(&self, network: bool) -> i32 {
        match self {
            Self::Namespaces { user, own_processes, .. } => {
                let always = libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWCGROUP;
                let users = if *user { libc::CLONE_NEWUSER } else { 0 };
                let processes = if *own_processes { libc::CLONE_NEWPID } else { 0 };
                let net = if network { 0 } else { libc::CLONE_NEWNET };
                always | users | processes | net
            }
            Self::Bubblewrap(_) | Self::Chroot | Self::Proot(_) | Self::Relocated => 0,
        }
    }

    /// What stays open in this way where Linux cannot confine signals and sockets without a file.
    pub(super) fn open_without_scope(&self, spec: &Spec) -> Option<&'static str> {
        let (processes, sockets) = match self {
            Self::Namespaces { own_processes, .. } => (!own_processes, spec.network),
            Self::Chroot => (true, true),
            Self::Bubblewrap(_) | Self::Proot(_) | Self::Relocated => (false, false),
        };
        match (processes, sockets) {
            (false, false) => None,
            (true, false) => Some("signals reach this machine's processes of the same user (Linux before 6.12)."),
            (false, true) => {
                Some("sockets without a file reach this machine's, as of X11 and D-Bus (Linux before 6.12).")
            }
            (true, true) => Some(
                "signals and sockets without a file reach this machine's programs of the same user (Linux before 6.12).",
            ),
        }
    }

    /// What is not isolated or not exact, in one line.
    pub(super) fn caveat(&self) -> String {
        let what = match self {
            Self::Namespaces { user: false, own_processes: true, root: RootKind::Overlay } => {
                "as user root, without rights: same files and paths, as isolated as always."
            }
            Self::Namespaces { user: false, .. } => {
                "as user root, without rights: same files and paths; this machine's processes may be visible."
            }
            Self::Namespaces { own_processes: false, root: RootKind::Overlay, .. } => {
                "with the processes of this machine visible: same files and paths, home and network isolated."
            }
            Self::Namespaces { own_processes: false, root: RootKind::Copy, .. } => {
                "in a copy of the layers, with the processes of this machine visible."
            }
            Self::Namespaces { .. } => "in a copy of the layers: as isolated as always, but slower to start.",
            Self::Bubblewrap(_) => {
                "with bwrap, in a copy of the layers: isolated, but with your own user id, and slower to start."
            }
            Self::Chroot => {
                "in a chroot: same files and paths, but NOT isolated from the network and processes, as user root, without /proc."
            }
            Self::Proot(_) => {
                "with proot: same files and paths, but NOT isolated from your home, network and processes."
            }
            Self::Relocated => {
                "inexactly: below another path, with this machine's files where the code names one by its path, and NOT isolated from your home, network and processes."
            }
        };
        format!("Running {what}")
    }

    /// The program that runs the command, with its arguments, where it is not the command itself.
    pub(super) fn wrapper(&self, spec: &Spec) -> Option<(OsString, Vec<OsString>)> {
        match self {
            Self::Bubblewrap(program) => Some((program.into(), bubblewrap_arguments(spec))),
            Self::Proot(program) => Some((program.into(), proot_arguments(spec))),
            Self::Namespaces { .. } | Self::Chroot | Self::Relocated => None,
        }
    }
}

/// `bwrap`, where it can do here what the container of `spec` needs: only trying says whether.
fn bubblewrap(spec: &Spec) -> Option<PathBuf> {
    if spec.machine {
        return None;
    }
    let program = probe::find_bubblewrap()?;
    let mut command = Command::new(&program);
    command.args(["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--ro-bind", "/", "/", "--proc", "/proc"]);
    if !spec.network {
        command.arg("--unshare-net");
    }
    command.args(["--dev", "/dev", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success()).then_some(program)
}

fn bubblewrap_arguments(spec: &Spec) -> Vec<OsString> {
    let mut arguments: Vec<OsString> =
        ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent"].map(OsString::from).to_vec();
    if !spec.network {
        arguments.push("--unshare-net".into());
    }
    let mut option = |words: &[&std::ffi::OsStr]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    let copy = spec.run_dir.join(setup::COPY);
    option(&["--hostname".as_ref(), spec.hostname.as_ref()]);
    option(&["--bind".as_ref(), copy.as_ref(), "/".as_ref()]);
    option(&["--proc".as_ref(), "/proc".as_ref(), "--dev".as_ref(), "/dev".as_ref()]);
    for path in setup::SYS_SHOWN {
        option(&["--ro-bind-try".as_ref(), path.as_ref(), path.as_ref()]);
    }
    for dir in [Path::new("/tmp"), &spec.cwd] {
        option(&["--dir".as_ref(), dir.as_ref()]);
    }
    if spec.network {
        option(&["--ro-bind-try".as_ref(), "/etc/resolv.conf".as_ref(), "/etc/resolv.conf".as_ref()]);
    }
    for bind in &spec.binds {
        let how = if bind.read_only { "--ro-bind" } else { "--bind" };
        option(&[how.as_ref(), bind.host.as_ref(), bind.target.as_ref()]);
    }
    option(&["--chdir".as_ref(), spec.cwd.as_ref(), "--".as_ref()]);
    arguments.extend(spec.argv.iter().map(OsString::from));
    arguments
}

fn proot_arguments(spec: &Spec) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut option = |name: &str, value: OsString| arguments.extend([OsString::from(name), value]);
    option("-r", spec.run_dir.join(setup::COPY).into());
    let machine = setup::SYS_SHOWN.into_iter().filter(|path| Path::new(path).exists());
    for shared in ["/proc", "/dev"].into_iter().chain(machine) {
        option("-b", shared.into());
    }
    if spec.network {
        option("-b", "/etc/resolv.conf".into());
    }
    for bind in &spec.binds {
        let mut text = bind.host.as_os_str().as_bytes().to_vec();
        text.push(b':');
        text.extend_from_slice(bind.target.as_os_str().as_bytes());
        option("-b", OsString::from_vec(text));
    }
    option("-i", format!("{}:{}", spec.uid, spec.gid).into());
    option("-w", spec.cwd.clone().into());
    arguments.extend(spec.argv.iter().map(OsString::from));
    arguments
}
