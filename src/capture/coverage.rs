//! Says how much will be seen, and why not more.

use std::io;

use super::{Mode, Way};
use crate::event::{self, Event, EventSink, Gap};

/// How the kernel is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Watched {
    /// By notifications.
    Notify,
    /// By a tracer.
    Trace,
    /// By a hook in Python, which has yet to say that it is there.
    Audit,
    /// Not at all.
    No,
}

/// Tells the recording; `failed` are the better ways and their error numbers.
pub(super) fn tell(wanted: Mode, watched: Watched, failed: &[(Way, i32)], sink: &dyn EventSink) {
    let (coverage, mechanism) = match watched {
        Watched::Notify => ("full", "notify"),
        Watched::Trace => ("full", "ptrace"),
        // Until the hook has spoken, nothing is known to be seen.
        Watched::Audit => ("none", "audit"),
        Watched::No => ("none", "none"),
    };
    let at = event::now();
    sink.record(Event::Coverage { at, coverage: coverage.into(), mechanism: mechanism.into() });
    let why: Vec<String> = failed.iter().map(|(way, errno)| reason(*way, *errno)).collect();
    let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
    let gap = |reason: &str, detail: String| {
        sink.record(Event::Gap(Gap { at, reason: reason.into(), detail, count: 0 }));
    };
    match watched {
        Watched::Audit => gap(
            "python_only",
            format!(
                "only what Python code opens and what is loaded or open when a cell ends is seen, not what native \
                 readers (pyarrow, polars, duckdb, HDF5) and other programs open{why}"
            ),
        ),
        Watched::No if wanted != Mode::None => gap("unavailable", format!("no file access is seen{why}")),
        _ => {}
    }
}

fn reason(way: Way, errno: i32) -> String {
    let name = match way {
        Way::Notify => "seccomp user notification",
        Way::Trace => "ptrace",
        Way::Audit => "the hook in Python",
    };
    match errno {
        libc::EBUSY => {
            format!("{name}: another program watches this process already (nbpack in nbpack, a container manager)")
        }
        errno => format!("{name}: {}", io::Error::from_raw_os_error(errno)),
    }
}
