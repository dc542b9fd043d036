//! Names that mean something else for every process: `/proc/self`, `/dev/fd`.

use super::seen::Seen;

/// Rewrites names that mean something else for every process; a descriptor is replaced by the file behind it.
pub(super) fn through_self(seen: &Seen, path: Vec<u8>) -> Vec<u8> {
    if !path.starts_with(b"/proc/") && !path.starts_with(b"/dev/") {
        return path;
    }
    let own = |prefix: &[u8], target: String| {
        let rest = path.strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with(b"/")).then(|| [target.as_bytes(), rest].concat())
    };
    let Seen { pid, tid, .. } = seen;
    let rewritten = own(b"/proc/self", format!("/proc/{pid}"))
        .or_else(|| own(b"/proc/thread-self", format!("/proc/{pid}/task/{tid}")))
        .or_else(|| own(b"/dev/fd", format!("/proc/{pid}/fd")))
        .or_else(|| own(b"/dev/stdin", format!("/proc/{pid}/fd/0")))
        .or_else(|| own(b"/dev/stdout", format!("/proc/{pid}/fd/1")))
        .or_else(|| own(b"/dev/stderr", format!("/proc/{pid}/fd/2")));
    let Some(rewritten) = rewritten else { return path };
    let proc = format!("/proc/{pid}/");
    let is_link =
        rewritten.strip_prefix(proc.as_bytes()).is_some_and(|rest| rest == b"exe" || rest.starts_with(b"fd/"));
    let behind = is_link.then(|| rustix::fs::readlink(rewritten.as_slice(), Vec::new()).ok()).flatten();
    match behind {
        Some(file) if file.as_bytes().starts_with(b"/") => file.into_bytes(),
        _ => rewritten,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::seen::What;

    #[test]
    fn names_that_depend_on_the_caller_are_rewritten() {
        let pid = std::process::id();
        let rewritten = |path: &str| {
            let seen = Seen {
                at: 0,
                pid,
                tid: pid,
                ppid: 1,
                started: 0,
                elsewhere: false,
                parked: 0,
                what: What::Exec,
                path: Vec::new(),
                other: Vec::new(),
            };
            String::from_utf8(through_self(&seen, path.into())).unwrap()
        };
        assert_eq!(rewritten("/proc/self/status"), format!("/proc/{pid}/status"));
        assert_eq!(rewritten("/proc/selfish"), "/proc/selfish");
        assert_eq!(rewritten("/proc/thread-self/comm"), format!("/proc/{pid}/task/{pid}/comm"));
        let file = tempfile::NamedTempFile::new().unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(file.as_file());
        assert_eq!(rewritten(&format!("/dev/fd/{number}")), file.path().to_str().unwrap());
    }
}
