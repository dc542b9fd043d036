//! What this machine allows, found out by doing it in a throw-away child.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::thread::CapabilitySet;

use super::{CaptureError, Options, launch};
use crate::event::{BeforeChange, Event, EventSink, FileAccess, Launch};

/// What one question to this machine gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProbeResult {
    /// What was tried, in a few words.
    pub name: &'static str,
    /// Whether it works.
    pub works: bool,
    /// What was found, for a person.
    pub detail: String,
    /// What to do about it; empty when it works.
    pub remedy: String,
}

/// A program that is not there: its exec is seen, and then fails, so that the child does nothing at all.
const NOTHING: &str = "/proc/self/nbpack-probe";

#[derive(Default)]
struct Kept(Mutex<Vec<Event>>);

impl EventSink for Kept {
    fn record(&self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

struct Indifferent;

impl BeforeChange for Indifferent {
    fn before_change(&self, _access: &FileAccess, _host_path: &Path) {}
}

/// Tries the capture; `program` is this executable.
pub fn probe(program: &Path) -> Vec<ProbeResult> {
    vec![notification(program), privileges()]
}

fn notification(program: &Path) -> ProbeResult {
    const NAME: &str = "recording of file access";
    let kept = Arc::new(Kept::default());
    let nothing = Launch { argv: vec![NOTHING.into()], env: Vec::new(), cwd: "/".into() };
    let result = launch(nothing, Options::new(program.to_owned()), Arc::clone(&kept) as _, Arc::new(Indifferent));
    let no = |detail: String, remedy: &str| ProbeResult { name: NAME, works: false, detail, remedy: remedy.into() };
    match result {
        Err(CaptureError::Kernel { .. }) => {}
        Err(error) => {
            return no(
                format!("the capture does not start: {}", chain(&error)),
                "check that memory and processes are to be had",
            );
        }
        Ok(_) => return no(format!("`{NOTHING}` exists"), "report this"),
    }
    let events = std::mem::take(&mut *kept.0.lock().unwrap_or_else(PoisonError::into_inner));
    let traced = events.iter().any(|event| matches!(event, Event::Coverage { mechanism, .. } if mechanism == "ptrace"));
    if events.iter().any(|event| matches!(event, Event::File(file) if file.path.ends_with(b"/nbpack-probe"))) {
        let (detail, remedy) = if traced {
            (
                "ptrace sees a child's files; seccomp user notification does not work here",
                "each opening of a file takes longer, and debuggers cannot attach to a recorded kernel; \
                 Linux 5.9 or newer in a container that allows `seccomp`, outside of other recorders, has neither fault",
            )
        } else {
            ("seccomp user notification sees a child's files", "")
        };
        return ProbeResult { name: NAME, works: true, detail: detail.into(), remedy: remedy.into() };
    }
    let gap = |reason: &str| {
        events.iter().find_map(|event| match event {
            Event::Gap(gap) if gap.reason == reason => Some(gap.detail.clone()),
            _ => None,
        })
    };
    if let Some(detail) = gap("unavailable") {
        return no(
            format!(
                "{detail}; of Python notebooks, what Python code opens and the loaded libraries are seen all the same"
            ),
            "Linux 5.9 or newer is needed, and a container that allows `seccomp` or `ptrace`; start Jupyter outside of \
             other recorders",
        );
    }
    let detail = gap("unreadable").unwrap_or_else(|| "a call of a child was not seen".into());
    no(detail, "set /proc/sys/kernel/yama/ptrace_scope to 0 or 1")
}

fn privileges() -> ProbeResult {
    let may = rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
    ProbeResult {
        name: "setuid programs in a recorded notebook",
        // An ordinary user's recording cannot have it (seccomp needs `no_new_privs`): nothing is broken.
        works: true,
        detail: if may {
            "programs keep their privileges".into()
        } else {
            "`sudo`, `su`, `ping` and rootless containers cannot gain privileges while an ordinary user records".into()
        },
        remedy: if may {
            String::new()
        } else {
            "for notebooks that need them: `nbpack install --capture none`".into()
        },
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
