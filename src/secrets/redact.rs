//! Takes found secrets out of a recording, and out of the text files that would go with it.

use serde_json::Value;

use super::{Finding, scan};
use crate::{
    inventory::model::{EntryKind, Inventory, Source},
    session::model::{Output, Recording},
    store::Store,
};

/// What stands where a secret was.
pub const MARK: &str = "[redacted]";

/// What was done in files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Redaction {
    /// Texts that were changed.
    pub changed: u64,
    /// Findings in files that could not be changed: binary, bytecode, or longer than what is searched.
    pub remaining: Vec<Finding>,
}

/// Replaces every found value everywhere in the recording, also where it was not found, and says so in a gap. Gives how
/// many texts were changed.
///
/// What was found in a file is replaced in the recording too; the file itself is for [`redact_files`].
pub fn redact(recording: &mut Recording, findings: &[Finding]) -> u64 {
    let mut redactor = Redactor::new(findings);
    for execution in &mut recording.executions {
        redactor.text(&mut execution.code);
        redactor.value(&mut execution.request);
        redactor.value(&mut execution.user_expressions);
        redactor.optional(&mut execution.ename);
        redactor.optional(&mut execution.evalue);
        for output in &mut execution.outputs {
            redactor.output(output);
        }
        for exchange in &mut execution.stdin {
            redactor.text(&mut exchange.prompt);
            redactor.optional(&mut exchange.value);
        }
    }
    for value in recording.environment.values_mut() {
        redactor.optional(value);
    }
    for value in recording.info.kernel_env.values_mut() {
        redactor.text(value);
    }
    for word in &mut recording.info.argv {
        redactor.text(word);
    }
    for process in &mut recording.processes {
        for word in &mut process.argv {
            let mut text = String::from_utf8_lossy(word).into_owned();
            if redactor.text(&mut text) {
                *word = text.into_bytes();
            }
        }
    }
    for comm in &mut recording.comms {
        let before = comm.content.clone();
        redactor.value(&mut comm.content);
        let mut text = comm.text.take();
        let found = text.as_mut().is_some_and(|text| redactor.text(text));
        comm.text = text.filter(|_| !found && comm.content == before);
    }
    for value in recording.facts.values_mut() {
        redactor.value(value);
    }
    for connection in &mut recording.connections {
        redactor.text(&mut connection.address);
    }
    if redactor.changed > 0 {
        recording.gaps.push(crate::event::Gap {
            at: recording.info.started,
            reason: "redacted".to_owned(),
            detail: format!("secrets were replaced by {MARK}"),
            count: redactor.changed,
        });
    }
    redactor.changed
}

/// Replaces found values in the notebook, configuration, code, text data and software list of an inventory: their entries hold the
/// changed text from then on. Files longer than what [`super::scan()`] reads keep their finding.
pub fn redact_files(inventory: &mut Inventory, store: &Store, findings: &[Finding]) -> Redaction {
    let mut redactor = Redactor::new(findings);
    for origin in inventory.components.iter_mut().filter_map(|component| component.direct_url.as_mut()) {
        redactor.value(origin);
    }
    for entry in inventory.entries.values_mut() {
        let Some(mut text) = scan::whole_text(entry, store) else { continue };
        let EntryKind::File { source, size, .. } = &mut entry.kind else { continue };
        if *size == text.len() as u64 && redactor.text(&mut text) {
            *size = text.len() as u64;
            *source = Source::Bytes(text.into_bytes().into());
        }
    }
    let remaining = scan_again(inventory, store, findings);
    Redaction { changed: redactor.changed, remaining }
}

/// The findings in files whose value is still there.
fn scan_again(inventory: &Inventory, store: &Store, findings: &[Finding]) -> Vec<Finding> {
    let texts: Vec<String> = inventory.entries.values().filter_map(|entry| scan::file_text(entry, store)).collect();
    let is_there = |one: &&Finding| texts.iter().any(|text| text.contains(one.raw.as_str()));
    findings.iter().filter(|one| one.is_in_file()).filter(is_there).cloned().collect()
}

/// The findings whose value is still found somewhere after it was to be replaced everywhere.
pub fn remaining(recording: &Recording, inventory: &Inventory, store: &Store, findings: &[Finding]) -> Vec<Finding> {
    let mut left = scan::scan(recording, inventory, store);
    left.retain(|one| findings.iter().any(|before| before.plain == one.plain));
    left
}

struct Redactor {
    /// Longest first: one may be part of another.
    secrets: Vec<String>,
    changed: u64,
}

impl Redactor {
    fn new(findings: &[Finding]) -> Self {
        let mut secrets: Vec<String> = findings
            .iter()
            .flat_map(|one| [Some(one.raw.clone()), one.between.clone(), Some(one.plain.clone())])
            .flatten()
            // Too short to be replaced wherever it occurs.
            .filter(|secret| secret.len() >= 3)
            .collect();
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self { secrets, changed: 0 }
    }

    fn text(&mut self, text: &mut String) -> bool {
        let mut hit = false;
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), MARK);
                hit = true;
            }
        }
        self.changed += u64::from(hit);
        hit
    }

    fn optional(&mut self, text: &mut Option<String>) {
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn value(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => {
                self.text(text);
            }
            Value::Array(list) => list.iter_mut().for_each(|value| self.value(value)),
            Value::Object(map) => {
                map.values_mut().for_each(|value| self.value(value));
                let hits: Vec<String> = map
                    .keys()
                    .filter(|key| self.secrets.iter().any(|secret| key.contains(secret.as_str())))
                    .cloned()
                    .collect();
                for key in hits {
                    if let Some(value) = map.remove(&key) {
                        let mut key = key;
                        self.text(&mut key);
                        map.insert(key, value);
                    }
                }
            }
            _ => {}
        }
    }

    fn output(&mut self, output: &mut Output) {
        match output {
            Output::Stream { text, .. } => {
                self.text(text);
            }
            Output::DisplayData { data, metadata, .. } | Output::ExecuteResult { data, metadata, .. } => {
                for (_, value) in data.iter_mut().filter(|(mime, _)| scan::is_text_mime(mime)) {
                    self.value(value);
                }
                self.value(metadata);
            }
            Output::Error { ename, evalue, traceback } => {
                self.text(ename);
                self.text(evalue);
                // Colours cut a value in two only within one line: each line is its own text.
                for line in traceback {
                    self.text(line);
                }
            }
        }
    }
}
