//! Says what went wrong to a person, once, with a hint that names a command, and picks the exit code.

use std::{io::Write as _, process::ExitCode};

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

/// Prints the chain of causes and the hint; the exit code is the failure's own, else 2.
pub(super) fn explain(error: &anyhow::Error) -> ExitCode {
    // `nbpack … | head`: who read has seen enough.
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(broken_pipe) {
        return ExitCode::from(128 + 13); // as if SIGPIPE had ended us
    }
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        text.push_str(&format!("  caused by: {cause}\n"));
    }
    let failure = failure(error);
    if let Some(hint) = failure.and_then(|failure| failure.hint.as_deref()) {
        text.push_str(&format!("hint: {hint}\n"));
    }
    // Nothing is left to tell anybody when stderr is closed.
    std::io::stderr().write_all(text.as_bytes()).unwrap_or_default();
    ExitCode::from(failure.map_or(2, |failure| failure.code))
}

/// What is shown of an error elsewhere than on a terminal: message and causes, and the hint.
pub(super) fn parts(error: &anyhow::Error) -> (String, Option<String>) {
    let lines: Vec<String> = error.chain().map(ToString::to_string).collect();
    (lines.join(": "), failure(error).and_then(|failure| failure.hint.clone()))
}

/// As a context it can only be had from the whole error, as a cause only from the chain.
fn failure(error: &anyhow::Error) -> Option<&Failure> {
    error.downcast_ref::<Failure>().or_else(|| error.chain().find_map(|cause| cause.downcast_ref::<Failure>()))
}

/// Prints what clap has to say: help and version on stdout with code 0, a wrong usage on stderr with code 2.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    error.print().unwrap_or_default();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
