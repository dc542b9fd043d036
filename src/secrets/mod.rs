//! Finds what must not leave: keys, tokens and passwords in everything that a bundle would hold.
//!
//! Text is searched as it is and decoded (terminal colours removed, JSON, URL and HTML escapes undone, base64 opened),
//! with named rules first and guarded guesses after. A finding carries the secret only for [`redact()`]; it is in no
//! `Debug`, no message, no serialised form.

mod decode;
mod redact;
mod rules;
mod scan;

use serde::Serialize;

pub use redact::{MARK, Redaction, redact, redact_files, remaining};
pub use scan::scan;

/// Something that looks like a secret.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule, by name.
    pub rule: &'static str,
    /// Where: `cell:3`, `output:3`, `stdin:3`, `env:NAME`, `argv:PID`, `kernel`, `comm:2`, `fact:NAME`, `component:NAME`,
    /// `file:/path`. The number is the execution's id.
    pub place: String,
    /// Enough to recognise it: the beginning of a long one, nothing of a short one.
    pub masked: String,
    /// As it stands there, possibly encoded.
    #[serde(skip)]
    raw: String,
    /// As it stands where one of two encodings is undone: in a text of a JSON document.
    #[serde(skip)]
    between: Option<String>,
    /// Decoded.
    #[serde(skip)]
    plain: String,
}

impl std::fmt::Debug for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Finding({} in {}: {})", self.rule, self.place, self.masked)
    }
}

impl Finding {
    fn new(rule: &'static str, place: &str, raw: &str, plain: &str) -> Self {
        let shown: String = if plain.chars().count() >= 16 { plain.chars().take(4).collect() } else { String::new() };
        let masked = format!("{shown}…({} characters)", plain.chars().count());
        Self { rule, place: place.to_owned(), masked, raw: raw.to_owned(), between: None, plain: plain.to_owned() }
    }

    /// It lies in a file, which [`redact()`] does not reach.
    pub fn is_in_file(&self) -> bool {
        self.place.starts_with("file:")
    }

    /// An entry `RULE:WHERE` of the allow list means this finding: both parts, or `*` for either.
    pub fn is_allowed_by(&self, allowed: &str) -> bool {
        allowed
            .split_once(':')
            .is_some_and(|(rule, place)| (rule == "*" || rule == self.rule) && (place == "*" || place == self.place))
    }
}

/// The findings that no entry of the allow list means.
pub fn not_allowed(findings: Vec<Finding>, allowed: &[String]) -> Vec<Finding> {
    findings.into_iter().filter(|finding| !allowed.iter().any(|entry| finding.is_allowed_by(entry))).collect()
}

#[cfg(test)]
mod tests;
