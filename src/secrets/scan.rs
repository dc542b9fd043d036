//! Goes through everything that a bundle would hold.

use std::{collections::BTreeSet, io::Read as _, ops::Range};

use serde_json::Value;

use super::{Finding, decode, rules};
use crate::{
    files,
    inventory::model::{Class, Entry, EntryKind, Inventory, Source},
    session::model::{Output, Recording},
    store::Store,
};

/// Of a file of data, no more than its beginning is read.
const FILE_LIMIT: u64 = 1 << 20;
/// Of what a person wrote, a notebook with its pictures above all.
const WHOLE_LIMIT: u64 = 64 << 20;
/// Of all files together.
const TOTAL_LIMIT: u64 = 256 << 20;
/// Rows of a table that are looked at.
const ROWS: usize = 2000;

/// Everything in the recording and in the user's files that looks like a secret, in the order of the places.
pub fn scan(recording: &Recording, inventory: &Inventory, store: &Store) -> Vec<Finding> {
    let mut scanner = Scanner::default();
    scanner.recording(recording);
    for component in &inventory.components {
        // An installer may keep the token of the index or repository that it fetched from.
        if let Some(origin) = &component.direct_url {
            scanner.value(&format!("component:{}", component.name), origin);
        }
    }
    let mut read = 0;
    for (path, entry) in &inventory.entries {
        if read < TOTAL_LIMIT
            && let Some(text) = file_text(entry, store)
        {
            read += text.len() as u64;
            let original = entry.original.clone().unwrap_or_else(|| [b"/", path.as_slice()].concat());
            scanner.text(&format!("file:{}", files::display_bytes(&original)), &text);
            scanner.table(&format!("file:{}", files::display_bytes(&original)), &text);
        }
    }
    scanner.found
}

/// What of a file of the user is searched, if it is text: code, notebooks and settings to their end, data at their beginning.
pub(super) fn file_text(entry: &Entry, store: &Store) -> Option<String> {
    let limit = match entry.class {
        Class::Notebook | Class::Configuration | Class::LocalModule => WHOLE_LIMIT,
        _ => FILE_LIMIT,
    };
    text_up_to(searched(entry)?, store, limit)
}

/// The same file to its end, for what is found in it to be replaced.
pub(super) fn whole_text(entry: &Entry, store: &Store) -> Option<String> {
    text_up_to(searched(entry)?, store, WHOLE_LIMIT)
}

/// Where the content of a file lies that is searched.
fn searched(entry: &Entry) -> Option<&Source> {
    let EntryKind::File { source, .. } = &entry.kind else { return None };
    // Where a distribution was fetched from, with the token that it took.
    let says_origin =
        matches!(source, Source::Host { path, .. } if path.file_name() == Some("direct_url.json".as_ref()));
    let wanted = matches!(
        entry.class,
        Class::Notebook | Class::Dataset | Class::Configuration | Class::LocalModule | Class::Cache | Class::Result
    ) || (entry.class == Class::Environment && (entry.component.is_none() || says_origin));
    wanted.then_some(source)
}

fn text_up_to(source: &Source, store: &Store, limit: u64) -> Option<String> {
    let path = match source {
        Source::Host { path, .. } => path.clone(),
        Source::Blob(digest) => store.blob_path(digest),
        Source::Bytes(bytes) => return text_of(bytes.to_vec()),
        Source::Bytecode { .. } => return None,
    };
    let mut bytes = Vec::new();
    files::open(&path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    text_of(bytes)
}

fn text_of(bytes: Vec<u8>) -> Option<String> {
    let head = bytes.get(..bytes.len().min(8192)).unwrap_or_default();
    if head.contains(&0) {
        return None;
    }
    Some(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// A mime type whose value is text that a person or program reads.
pub(super) fn is_text_mime(mime: &str) -> bool {
    let binary = ["image/", "audio/", "video/", "application/pdf", "application/octet-stream", "application/zip"];
    mime == "image/svg+xml" || !binary.iter().any(|begin| mime.starts_with(begin))
}

#[derive(Default)]
struct Scanner {
    found: Vec<Finding>,
    seen: BTreeSet<(String, String)>,
}

impl Scanner {
    fn recording(&mut self, recording: &Recording) {
        for execution in &recording.executions {
            let id = execution.id;
            self.text(&format!("cell:{id}"), &execution.code);
            self.value(&format!("cell:{id}"), &execution.request);
            for output in &execution.outputs {
                self.output(&format!("output:{id}"), output);
            }
            self.value(&format!("output:{id}"), &execution.user_expressions);
            if let Some(text) = &execution.evalue {
                self.text(&format!("output:{id}"), text);
            }
            for exchange in &execution.stdin {
                let answer = exchange.value.as_deref().unwrap_or_default();
                // The prompt says what the answer is.
                self.text(&format!("stdin:{id}"), &format!("{} {answer}", exchange.prompt));
                self.text(&format!("stdin:{id}"), &prompted(&exchange.prompt, answer));
            }
        }
        for (name, value) in &recording.environment {
            // Directories, which a shell happens to call like a password.
            if let (false, Some(value)) = (matches!(name.as_str(), "PWD" | "OLDPWD"), value) {
                self.text(&format!("env:{name}"), &format!("{name}={value}"));
            }
        }
        for (name, value) in &recording.info.kernel_env {
            self.text(&format!("env:{name}"), &format!("{name}={value}"));
        }
        self.text("kernel", &recording.info.argv.join(" "));
        for process in &recording.processes {
            let argv: Vec<_> = process.argv.iter().map(|word| String::from_utf8_lossy(word)).collect();
            self.text(&format!("argv:{}", process.pid), &argv.join(" "));
        }
        for (at, comm) in recording.comms.iter().enumerate() {
            self.value(&format!("comm:{at}"), &comm.content);
            // As it was written, a key may stand there twice, of which the value has one.
            self.text(&format!("comm:{at}"), comm.text.as_deref().unwrap_or_default());
        }
        for (name, value) in &recording.facts {
            self.value(&format!("fact:{name}"), value);
        }
    }

    fn output(&mut self, place: &str, output: &Output) {
        match output {
            Output::Stream { text, .. } => self.text(place, text),
            Output::DisplayData { data, .. } | Output::ExecuteResult { data, .. } => {
                for (mime, value) in data.iter().filter(|(mime, _)| is_text_mime(mime)) {
                    match value {
                        Value::String(text) => self.text(place, text),
                        Value::Array(lines) if !mime.ends_with("json") => {
                            let text: String = lines.iter().filter_map(Value::as_str).collect();
                            self.text(place, &text);
                        }
                        other => self.value(place, other),
                    }
                }
            }
            Output::Error { evalue, traceback, .. } => {
                self.text(place, evalue);
                self.text(place, &traceback.join("\n"));
            }
        }
    }

    fn value(&mut self, place: &str, value: &Value) {
        let empty = match value {
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => true,
        };
        if !empty {
            self.text(place, &value.to_string());
        }
    }

    /// Looks at a text as it is, unescaped, and at what base64 in it says.
    fn text(&mut self, place: &str, text: &str) {
        self.matches(place, text, &|range| text.get(range), &|_| None);
        if let Some(decoded) = decode::unescape(text) {
            self.matches(place, &decoded.text, &|range| decoded.original(text, range), &|_| None);
            // JSON in JSON: once more, named by what stands in the first.
            if let Some(twice) = decode::unescape(&decoded.text) {
                let whole = |range| decoded.original(text, twice.span(range)?);
                self.matches(place, &twice.text, &whole, &|range| twice.original(&decoded.text, range));
            }
        }
        for (piece, says) in decode::base64_pieces(text) {
            self.matches(place, &says, &|_| Some(piece), &|_| None);
            for (_, inner) in decode::base64_pieces(&says) {
                self.matches(place, &inner, &|_| Some(piece), &|_| None);
            }
        }
    }

    /// `raw` and `between` give what stands for a range of `text` in the original, and in one that is decoded once.
    fn matches<'a>(
        &mut self,
        place: &str,
        text: &str,
        raw: &dyn Fn(Range<usize>) -> Option<&'a str>,
        between: &dyn Fn(Range<usize>) -> Option<&'a str>,
    ) {
        let lower = text.to_ascii_lowercase();
        let holds = |needle: &str| memchr::memmem::find(lower.as_bytes(), needle.as_bytes()).is_some();
        for rule in
            rules::RULES.iter().filter(|rule| rule.needles.is_empty() || rule.needles.iter().any(|one| holds(one)))
        {
            for captures in rule.pattern.captures_iter(text) {
                let Some(value) = captures.get(1).or_else(|| captures.get(0)) else { continue };
                if !rule.guard.passes(value.as_str()) || decode::is_amid_base64(text, value.start()) {
                    continue;
                }
                let raw = raw(value.range()).unwrap_or_else(|| value.as_str());
                let mut finding = Finding::new(rule.name, place, raw, value.as_str());
                finding.between = between(value.range()).map(str::to_owned);
                self.push(finding);
            }
        }
    }

    /// One secret is reported once for each place, by the first rule that names it or something around it.
    fn push(&mut self, new: Finding) {
        let known = self.found.iter().any(|one| {
            one.place == new.place
                && (one.plain.contains(new.plain.as_str())
                    || one.raw.contains(new.raw.as_str())
                    || new.plain.contains(one.plain.as_str()))
        });
        if !known && self.seen.insert((new.place.clone(), new.plain.clone())) {
            self.found.push(new);
        }
    }

    /// Columns of a table whose names say that they hold secrets.
    fn table(&mut self, place: &str, text: &str) {
        let mut lines = text.lines();
        let Some(head) = lines.next() else { return };
        let Some(delimiter) = [',', ';', '\t', '|'].into_iter().find(|&c| head.contains(c)) else { return };
        let columns: Vec<usize> = head
            .split(delimiter)
            .enumerate()
            .filter(|(_, name)| rules::is_secret_column(name))
            .map(|(at, _)| at)
            .collect();
        if columns.is_empty() {
            return;
        }
        for line in lines.take(ROWS) {
            let cells: Vec<&str> = line.split(delimiter).collect();
            for cell in columns.iter().filter_map(|&at| cells.get(at)) {
                let value = cell.trim().trim_matches('"');
                if value.len() >= 6 && rules::Guard::Mixed.passes(value) {
                    self.push(Finding::new("secret-column", place, value, value));
                }
            }
        }
    }
}

/// `API key: ` and an answer as an assignment, so that the rules for names and values see it.
fn prompted(prompt: &str, answer: &str) -> String {
    let name = prompt.trim().trim_end_matches([':', '?', '>', ' ']).replace([' ', '-'], "_");
    format!("{name} = \"{answer}\"")
}
