//! What `%nbpack …` in a cell does: it talks to the recorder of its own session.

use std::{path::PathBuf, process::Command, sync::Arc};

use serde_json::Value;

use super::recorder::Recorder;
use crate::{
    event::{Event, EventSink as _},
    kernel::{MagicAnswer, Magics},
    session::{self, db::Db},
};

const HELP: &str = "%nbpack status            what is being recorded
%nbpack note TEXT         keep a note in the record
%nbpack tag NAME          keep a tag in the record
%nbpack exclude PATTERN   leave files out when this session is packed
%nbpack export [FILE]     pack what has run so far";

/// Answers for one session.
pub(super) struct RecorderMagics {
    recorder: Arc<Recorder>,
    program: PathBuf,
}

impl RecorderMagics {
    pub(super) fn new(recorder: &Arc<Recorder>, program: PathBuf) -> Self {
        Self { recorder: Arc::clone(recorder), program }
    }

    fn line(&self, line: &str) -> String {
        let words = line.trim().strip_prefix("%nbpack").unwrap_or_default().trim();
        let (verb, rest) =
            words.split_once(char::is_whitespace).map_or((words, ""), |(verb, rest)| (verb, rest.trim()));
        match (verb, rest) {
            ("" | "status", "") => self.status(),
            ("note" | "tag" | "exclude", "") => format!("%nbpack {verb} needs a word\n{HELP}"),
            ("note" | "tag" | "exclude", text) => {
                self.recorder.record(Event::Fact { key: verb.to_owned(), value: Value::from(text) });
                format!("{verb}: {text}")
            }
            ("export", file) => self.export(file),
            ("help", _) => HELP.to_owned(),
            _ => format!("nbpack does not know `{words}`\n{HELP}"),
        }
    }

    fn status(&self) -> String {
        self.recorder.catch_up();
        let (store, id) = (self.recorder.store(), self.recorder.id());
        match self.lines() {
            Ok(lines) => {
                let lines: Vec<String> = lines.iter().map(|(name, value)| format!("\n  {name:<11}{value}")).collect();
                format!("recording session {id}{}", lines.concat())
            }
            Err(error) => {
                let warnings: Vec<String> =
                    self.recorder.warnings().into_iter().map(|one| format!("\n  attention  {one}")).collect();
                format!("session {id} in {} cannot be read: {error}{}", store.root().display(), warnings.concat())
            }
        }
    }

    fn lines(&self) -> Result<Vec<(&'static str, String)>, session::DbError> {
        let (store, id) = (self.recorder.store(), self.recorder.id());
        let db = Db::open_read(&session::db_path(store, id))?;
        let info = db.info()?;
        let notebook = info.notebook.map_or_else(|| "not known".to_owned(), |path| path.display().to_string());
        let mut lines = vec![
            ("notebook", notebook),
            ("executions", info.executions.to_string()),
            ("files seen", session::files_seen(&info.coverage, db.fact("capture.mechanism")?.as_ref())),
            ("store", store.root().display().to_string()),
        ];
        for (name, key) in [("note", "notes"), ("tag", "tags"), ("excluded", "excludes")] {
            let said = db.fact(key)?.and_then(|said| said.as_array().cloned()).unwrap_or_default();
            lines.extend(said.iter().filter_map(Value::as_str).map(|value| (name, value.to_owned())));
        }
        lines.extend(self.recorder.warnings().into_iter().map(|warning| ("attention", warning)));
        lines.extend(db.gaps()?.into_iter().map(|gap| ("missing", format!("{}: {}", gap.reason, gap.detail))));
        Ok(lines)
    }

    /// Runs `nbpack export` on this session; this very magic is no execution of it.
    fn export(&self, file: &str) -> String {
        self.recorder.catch_up();
        let mut command = Command::new(&self.program);
        command.args(["export", &self.recorder.id().0]);
        if !file.is_empty() {
            command.args(["-o", file]);
        }
        match command.stdin(std::process::Stdio::null()).output() {
            Ok(output) => {
                let text = [output.stdout, output.stderr].concat();
                String::from_utf8_lossy(&text).trim_end().to_owned()
            }
            Err(error) => format!("nbpack export did not start: {error}"),
        }
    }
}

impl Magics for RecorderMagics {
    fn answer(&self, lines: &str) -> MagicAnswer {
        let answers: Vec<String> =
            lines.lines().filter(|line| !line.trim().is_empty()).map(|line| self.line(line)).collect();
        MagicAnswer { text: answers.join("\n") }
    }
}
