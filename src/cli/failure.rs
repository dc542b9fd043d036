//! Says what went wrong to a person, once, with a hint that names a command, and picks the exit code.

use std::{
    io::{ErrorKind, Write as _},
    process::ExitCode,
};

use super::terminal;
use crate::{bundle::read::ReadError, session::FindError};

/// An error with a hint for the person who reads it and an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// "It ran and the answer is no": exit code 1.
    pub(super) fn no(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: 1 }
    }

    /// "It could not be done or told": exit code 2.
    pub(super) fn unable(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: 2 }
    }

    /// Adds what to do next.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Prints the chain of causes and the hint; the exit code is the failure's own, else 2. `verb` is what was to be done.
pub(super) fn explain(error: &anyhow::Error, verb: Option<&str>) -> ExitCode {
    // `nbpack … | head`: who read has seen enough.
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        let of_system = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let kind = of_system.or_else(|| cause.downcast_ref::<serde_json::Error>()?.io_error_kind());
        kind == Some(ErrorKind::BrokenPipe)
    };
    if error.chain().any(broken_pipe) {
        return ExitCode::from(128 + 13); // as if SIGPIPE had ended us
    }
    let mut lines = vec![format!("error: {error}")];
    lines.extend(error.chain().skip(1).map(|cause| format!("  caused by: {cause}")));
    let hint = hint(error).or_else(|| by_verb(verb, error.downcast_ref::<Failure>().is_some()));
    lines.extend(hint.map(|hint| format!("hint: {hint}")));
    let width = terminal::width(rustix::stdio::stderr());
    let text: String = lines.iter().map(|line| terminal::folded(line, width) + "\n").collect();
    // Nothing is left to tell anybody when stderr is closed.
    std::io::stderr().write_all(text.as_bytes()).unwrap_or_default();
    ExitCode::from(failure(error).map_or(2, |failure| failure.code))
}

/// What is shown of an error elsewhere than on a terminal: message and causes, and the hint.
pub(super) fn parts(error: &anyhow::Error) -> (String, Option<String>) {
    let lines: Vec<String> = error.chain().map(ToString::to_string).collect();
    (lines.join(": "), hint(error))
}

/// As a context it can only be had from the whole error, as a cause only from the chain.
fn failure(error: &anyhow::Error) -> Option<&Failure> {
    error.downcast_ref::<Failure>().or_else(|| error.chain().find_map(|cause| cause.downcast_ref::<Failure>()))
}

/// The best of what is known to help.
fn hint(error: &anyhow::Error) -> Option<String> {
    by_cause(error).or_else(|| failure(error)?.hint.clone()).or_else(|| by_system(error))
}

/// What helps against a cause that says more than the verb which met it.
fn by_cause(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let read =
            cause.downcast_ref::<ReadError>().or_else(|| cause.downcast_ref::<Box<ReadError>>().map(AsRef::as_ref));
        if let Some(ReadError::NotABundle { .. }) = read {
            return Some(
                "a bundle is what `nbpack export` or `nbpack pull` wrote; was it cut short on its way?".into(),
            );
        }
        if let Some(FindError::Nothing(_)) = cause.downcast_ref() {
            return Some(
                "choose a kernel named \"(nbpack)\" in Jupyter and run a cell; `nbpack install` puts it there".into(),
            );
        }
        None
    })
}

/// What helps where the operating system refused.
fn by_system(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let hint = match cause.downcast_ref::<std::io::Error>()?.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                "no space is left: `nbpack du` shows what nbpack keeps, `nbpack gc` and `nbpack rm` free some"
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                "`ls -ld` shows who may: have it given to you, or name a place of yours; XDG_DATA_HOME moves nbpack's own files"
            }
            ErrorKind::IsADirectory | ErrorKind::NotADirectory => {
                "a file is wanted there and not a directory: name one"
            }
            ErrorKind::NotFound => {
                "look at the path; `nbpack sessions` lists what was recorded, `nbpack ls` what was restored"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    })
}

/// Where nothing better is known: how the verb is used if it was used wrongly, else what this machine allows.
fn by_verb(verb: Option<&str>, is_usage: bool) -> Option<String> {
    // They talk to programs, whose users have no use for such a word.
    let verb = verb.filter(|verb| !matches!(*verb, "tap" | "container-init" | "prepare" | "panel"))?;
    Some(if is_usage && verb != "kernel" {
        format!("`nbpack {verb} --help` shows how it is used")
    } else {
        "`nbpack doctor` tries what nbpack needs on this machine".to_owned()
    })
}

/// Prints what clap has to say: help and version on stdout with code 0, a wrong usage on stderr with code 2.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    error.print().unwrap_or_default();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_knows_better_than_the_verb_and_the_verb_better_than_the_system() {
        let nothing = anyhow::Error::new(FindError::Nothing("/x".into())).context(Failure::unable("a").hint("b"));
        assert!(by_cause(&nothing).unwrap().contains("nbpack install"));
        let full = anyhow::Error::new(std::io::Error::from(ErrorKind::StorageFull)).context(Failure::unable("a"));
        assert!(by_cause(&full).is_none() && by_system(&full).unwrap().contains("nbpack gc"));
        assert!(
            by_verb(Some("why"), true).unwrap().contains("nbpack why --help") && by_verb(Some("tap"), true).is_none()
        );
    }
}
