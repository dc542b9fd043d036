//! Tries what a container needs, in a child, and says what to do where it is refused.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Failed, Step, prepare, spec::Spec};

/// One thing that was tried.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ProbeResult {
    /// What was tried.
    pub name: String,
    /// It works here.
    pub works: bool,
    /// What was found.
    pub detail: String,
    /// What to do, where it does not.
    pub remedy: Option<String>,
}

/// `proot` in the usual places: a program of its own, used when it is there.
pub fn find_proot() -> Option<PathBuf> {
    ["/usr/local/bin/proot", "/usr/bin/proot", "/bin/proot"].into_iter().map(PathBuf::from).find(|path| path.is_file())
}

/// `bwrap` in the usual places.
pub(super) fn find_bubblewrap() -> Option<PathBuf> {
    ["/usr/local/bin/bwrap", "/usr/bin/bwrap", "/bin/bwrap"].into_iter().map(PathBuf::from).find(|path| path.is_file())
}

/// What a person can do about a step that failed.
pub fn remedy(failed: &Failed) -> String {
    let userns = "ask an administrator to run `nbpack doctor --admin` here, choose `--engine docker`, install `proot`, or try `--inexact`";
    let in_container = "start the container with `--security-opt seccomp=unconfined --security-opt systempaths=unconfined`, install `proot` in it, or try `--inexact`";
    match (failed.step, failed.errno) {
        (Step::Namespaces, libc::ENOSPC) => match setting("user/max_user_namespaces").as_deref() {
            Some("0") => format!("user namespaces are turned off (user.max_user_namespaces is 0): {userns}"),
            _ => format!("no more user namespaces may be made (user.max_user_namespaces): {userns}"),
        },
        (Step::Namespaces, libc::EPERM | libc::EACCES | libc::ENOSYS) => {
            if setting("kernel/unprivileged_userns_clone").as_deref() == Some("0") {
                format!("user namespaces are turned off (kernel.unprivileged_userns_clone is 0): {userns}")
            } else if setting("kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
                format!("user namespaces are refused (Ubuntu's AppArmor rule): {userns}")
            } else if is_filtered() {
                format!("user namespaces are refused by a system call filter, as containers have: {in_container}")
            } else {
                format!("user namespaces are refused, as in a chroot: run it outside of the chroot, or {userns}")
            }
        }
        (Step::Map, libc::EPERM) if rustix::process::geteuid().is_root() => {
            "this root may not be mapped (it lacks CAP_SETFCAP, as in a container): run it as another user".to_owned()
        }
        (Step::Map | Step::Mount, _) => {
            format!("user namespaces have no rights here (Ubuntu's AppArmor rule does this): {userns}")
        }
        (Step::Overlay, _) => {
            "an overlay needs Linux 5.11 and layers on a local file system: set XDG_DATA_HOME to a directory on one"
                .to_owned()
        }
        (Step::Files, libc::ENOSPC | libc::EDQUOT) => {
            "free some space (`nbpack gc`, `nbpack du`) and try again".to_owned()
        }
        (Step::Proc, _) => {
            "parts of /proc are hidden, as in a container: start it with `--security-opt systempaths=unconfined`"
                .to_owned()
        }
        (Step::Bind, libc::ENOENT) => "check the path given to --volume".to_owned(),
        (Step::Exec, libc::ENOENT) => "the bundle holds only what the session used; see `nbpack show`".to_owned(),
        (Step::Exec, libc::ENOEXEC) => "the program is for another kind of machine".to_owned(),
        _ => "run `nbpack doctor` to see what works here".to_owned(),
    }
}

/// A setting of Linux, as text.
fn setting(name: &str) -> Option<String> {
    fs::read_to_string(Path::new("/proc/sys").join(name)).ok().map(|value| value.trim().to_owned())
}

/// Whether whoever started this program gave it a system call filter. Our own, that of a recording, is none of theirs: so the
/// first of our processes is asked.
fn is_filtered() -> bool {
    let field = |process: &str, name: &str| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    };
    let program = |process: &str| fs::read_link(format!("/proc/{process}/exe")).ok();
    let (own, mut first) = (program("self"), "self".to_owned());
    while let Some(parent) = field(&first, "PPid:").filter(|parent| own.is_some() && program(parent) == own) {
        first = parent;
    }
    field(&first, "Seccomp:").as_deref() == Some("2")
}

/// Tries a real container below `scratch`, a directory of this user's: only doing it says whether it works.
pub fn probe(scratch: &Path, program: &Path) -> Vec<ProbeResult> {
    let mut results = vec![try_container(scratch, program)];
    for (file, meaning) in SETTINGS {
        // A kernel without the setting does not forbid it.
        if let Ok(value) = fs::read_to_string(file) {
            let value = value.trim();
            let works = meaning.forbids != value;
            results.push(ProbeResult {
                name: meaning.name.to_owned(),
                works,
                detail: value.to_owned(),
                remedy: (!works).then(|| meaning.remedy.to_owned()),
            });
        }
    }
    let proot = find_proot();
    results.push(ProbeResult {
        name: "proot".to_owned(),
        works: true,
        detail: proot.map_or("not installed (only wanted where there is no container)".to_owned(), |path| {
            path.display().to_string()
        }),
        remedy: None,
    });
    results
}

struct Setting {
    name: &'static str,
    forbids: &'static str,
    remedy: &'static str,
}

/// Settings of Linux and of distributions that forbid user namespaces.
const SETTINGS: [(&str, Setting); 3] = [
    (
        "/proc/sys/user/max_user_namespaces",
        Setting {
            name: "user.max_user_namespaces",
            forbids: "0",
            remedy: "an administrator sets it to 15000 in /etc/sysctl.d",
        },
    ),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        Setting {
            name: "kernel.unprivileged_userns_clone",
            forbids: "0",
            remedy: "an administrator sets it to 1 in /etc/sysctl.d",
        },
    ),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        Setting {
            name: "kernel.apparmor_restrict_unprivileged_userns",
            forbids: "1",
            remedy: "an administrator installs a profile: `nbpack doctor --admin` prints it",
        },
    ),
];

/// Runs this program's `--version` in a container that holds nothing else: in a layer where the store's layers lie.
fn try_container(scratch: &Path, program: &Path) -> ProbeResult {
    let result = |works, detail: String, remedy| ProbeResult { name: "container".to_owned(), works, detail, remedy };
    let inside = PathBuf::from("/nbpack");
    let layer = scratch.join("layer");
    let put = fs::create_dir(&layer).and_then(|()| fs::copy(program, layer.join("nbpack")).map(drop));
    if let Err(error) = put {
        return result(false, format!("cannot make a layer in `{}`: {error}", scratch.display()), None);
    }
    let spec = Spec {
        layers: vec![layer],
        run_dir: scratch.join("run"),
        keep_upper: false,
        uid: 1000,
        gid: 1000,
        hostname: "probe".to_owned(),
        env: BTreeMap::new(),
        cwd: PathBuf::from("/"),
        argv: vec![inside.to_string_lossy().into_owned(), "--version".to_owned()],
        binds: Vec::new(),
        network: false,
        exact_roots: Vec::new(),
        movable: Vec::new(),
        first_pid: None,
        inexact: false,
        machine: false,
    };
    let prepared = match prepare(&spec, program) {
        Ok(prepared) => prepared,
        Err(error) => return result(false, error.to_string(), None),
    };
    let mut command = Command::new(program);
    command.args(prepared.argv.iter().skip(1)).env_clear().stdin(Stdio::null());
    match command.output() {
        Err(error) => result(false, format!("cannot start it: {error}"), None),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let plain = |line: &str| line.strip_prefix("nbpack: ").unwrap_or(line).to_owned();
            let lines: Vec<String> = said.lines().map(plain).collect();
            let remedy = lines.iter().find_map(|line| line.strip_prefix("hint: ")).map(str::to_owned);
            let first = lines.first().map(|line| line.strip_prefix("note: ").unwrap_or(line).to_owned());
            let first = first.unwrap_or_default();
            match (output.status.success(), first.is_empty()) {
                (true, true) => result(true, "isolated: files, processes, network".to_owned(), None),
                // It may run, but not as it should: the note says what is missing.
                (_, _) => result(false, first, remedy),
            }
        }
    }
}

/// What an administrator can do once so that every user may make containers.
pub const ADMINISTRATOR: &str = "\
# Ubuntu 23.10 and later (AppArmor). Only for a program that users cannot replace: install it in /usr/bin first.
cat >/etc/apparmor.d/nbpack <<'END'
abi <abi/4.0>,
include <tunables/global>
profile nbpack /usr/{,local/}bin/nbpack flags=(unconfined) {
  userns,
  include if exists <local/nbpack>
}
END
apparmor_parser -r /etc/apparmor.d/nbpack

# Red Hat and others, where user.max_user_namespaces is 0
echo user.max_user_namespaces=15000 >/etc/sysctl.d/60-nbpack.conf

# Debian 10 and earlier, where kernel.unprivileged_userns_clone is 0
echo kernel.unprivileged_userns_clone=1 >>/etc/sysctl.d/60-nbpack.conf

sysctl --system
";
