//! From messages to executions, outputs, questions and comm messages.
//!
//! An execution is in memory while it runs and for a little while after; later messages for it read it back.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    cell_uri::notebook_of_cell_uri,
    cells::DeletedCells,
    environment,
    questions::Questions,
    widgets::{Widgets, by_digest},
};
use crate::{
    event::{Channel, Direction, MessageRecord, Nanos, Shown},
    files::FileError,
    session::{
        self, DbError, LARGEST_INLINE,
        db::{Body, Db, OutputRow},
        model::{CommMessage, Execution, INTERRUPTIONS, Interruption, Output, Status, Stop},
    },
    store::Store,
};

/// Finished executions that stay in memory: their last outputs often come after `idle`.
const KEPT_IN_MEMORY: usize = 8;
/// A message's own date is believed when it is not further than this from when we had it in hand.
const BELIEVABLE: Nanos = 60_000_000_000;

/// A message that changed what is known of an execution's time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moment {
    /// The kernel began with it.
    Busy { execution: i64, at: Nanos, subshell: bool },
    /// The kernel is done with it; `complete` when the reply has passed too.
    Idle { execution: i64, at: Nanos },
    /// The reply passed; `complete` when `idle` has passed too.
    Reply,
}

/// A row or a blob could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SaidError {
    /// A row.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A blob.
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Deserialize, Default)]
struct Header {
    #[serde(default)]
    msg_id: String,
    #[serde(default)]
    msg_type: String,
    #[serde(default)]
    session: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    date: Option<String>,
    /// JEP 91: the thread that executes it.
    #[serde(default)]
    subshell_id: Option<Value>,
}

struct Live {
    execution: Execution,
    clear_pending: bool,
    next_ord: i64,
    tail: Option<Tail>,
    dirty: bool,
    /// The status that iopub's `error` gave: it outweighs the reply's.
    failed: bool,
    /// What it has shown so far, and when it last showed something.
    shown: Shown,
    last_shown: Option<Nanos>,
}

/// A stream's last part, which more text may join.
struct Tail {
    ord: i64,
    name: String,
    text: String,
    dirty: bool,
}

/// The executions of a session as messages tell of them.
pub(super) struct Said {
    live: BTreeMap<i64, Live>,
    next_execution: i64,
    next_comm: i64,
    questions: Questions,
    deleted: DeletedCells,
    widgets: Widgets,
    /// By execution.
    interruptions: BTreeMap<String, Vec<Interruption>>,
    interruptions_changed: bool,
    /// The kernel was told to end. What it prints from then on, when it stops its own children, no frontend shows.
    is_ending: bool,
    /// The kernel's environment, for variables that code names; empty when another process imports.
    env: BTreeMap<OsString, OsString>,
    /// A notebook path that a message told of, until the importer takes it.
    pub(super) notebook: Option<(PathBuf, &'static str)>,
}

impl Said {
    /// Goes on where the database ends.
    pub(super) fn load(db: &Db, env: BTreeMap<OsString, OsString>) -> Result<Self, DbError> {
        let [execution, question, comm] = db.last_ids()?;
        let mut said = Self {
            live: BTreeMap::new(),
            next_execution: execution + 1,
            next_comm: comm + 1,
            questions: Questions::load(db, question + 1)?,
            deleted: DeletedCells::load(db)?,
            widgets: Widgets::load(db)?,
            interruptions: db.fact(INTERRUPTIONS)?.and_then(|all| serde_json::from_value(all).ok()).unwrap_or_default(),
            interruptions_changed: false,
            is_ending: false,
            env,
            notebook: None,
        };
        for id in db.open_executions()? {
            said.fetch(db, id)?;
        }
        Ok(said)
    }

    /// Takes one message that `gate` let through.
    pub(super) fn message(
        &mut self,
        db: &Db,
        store: &Store,
        message: &MessageRecord,
    ) -> Result<Option<Moment>, SaidError> {
        let part = |index: usize| message.frames.get(index).map(|frame| &frame[..]).unwrap_or_default();
        let header: Header = serde_json::from_slice(part(0)).unwrap_or_default();
        let parent: Header = serde_json::from_slice(part(1)).unwrap_or_default();
        let content: Value = serde_json::from_slice(part(3)).unwrap_or(Value::Null);
        let at = stamp(header.date.as_deref(), message.at);
        if message.direction == Direction::ToKernel {
            let metadata: Value = serde_json::from_slice(part(2)).unwrap_or(Value::Null);
            return self.take_from_frontend(db, store, message, &header, &metadata, content).map(|()| None);
        }
        if message.channel == Channel::Stdin {
            let Some(execution) = self.of_request(db, &parent.msg_id)? else { return Ok(None) };
            self.counts(execution, "input_request", &content, message.at);
            self.questions.ask(db, message, execution, &content)?;
            return Ok(None);
        }
        let execution = self.of_request(db, &parent.msg_id)?;
        let buffers: Vec<String> =
            message.frames.iter().skip(4).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        match header.msg_type.as_str() {
            "comm_open" => self.widgets.open(execution, &content, &buffers),
            "comm_msg" => self.widgets.update(&content, &buffers),
            "comm_close" => self.widgets.close(&content),
            _ => {}
        }
        let Some(id) = execution else { return Ok(None) };
        self.counts(id, &header.msg_type, &content, at);
        match header.msg_type.as_str() {
            "status" => {
                let subshell = parent.subshell_id.is_some();
                Ok(self.status(id, text(&content, "execution_state"), at, subshell))
            }
            "execute_reply" => {
                self.reply(id, &content, message.at);
                Ok(Some(Moment::Reply))
            }
            "execute_input" => {
                let count = content.get("execution_count").and_then(Value::as_i64);
                self.change(id, |execution| execution.execution_count = count);
                Ok(None)
            }
            _ if self.is_ending && self.live.get(&id).is_some_and(|live| live.execution.idle.is_some()) => Ok(None),
            _ => self.output(db, store, id, &header.msg_type, content).map(|()| None),
        }
    }

    /// An interrupt was seen, or the kernel was told to end: by message or by signal.
    pub(super) fn stopped(&mut self, how: Stop, at: Nanos) {
        self.is_ending |= how == Stop::End;
        for live in self.live.values_mut().filter(|live| live.execution.idle.is_none()) {
            if how == Stop::Interrupt {
                live.execution.interrupted = true;
                live.dirty = true;
            }
            if let Some(busy) = live.execution.busy {
                let quiet = (at - live.last_shown.unwrap_or(busy)).max(0);
                let interruption = Interruption { how, after: (at - busy).max(0), quiet, shown: live.shown };
                self.interruptions.entry(live.execution.id.to_string()).or_default().push(interruption);
                self.interruptions_changed = true;
            }
        }
    }

    fn counts(&mut self, id: i64, msg_type: &str, content: &Value, at: Nanos) {
        if let Some(live) = self.live.get_mut(&id)
            && live.shown.count(msg_type, content)
        {
            live.last_shown = Some(at);
        }
    }

    /// Writes what changed, and forgets executions that are over.
    pub(super) fn flush(&mut self, db: &Db) -> Result<(), DbError> {
        self.widgets.flush(db)?;
        self.deleted.flush(db)?;
        if std::mem::take(&mut self.interruptions_changed) {
            db.put_fact(INTERRUPTIONS, &json!(self.interruptions))?;
        }
        for live in self.live.values_mut() {
            if live.dirty {
                db.put_execution(&live.execution, live.clear_pending)?;
                live.dirty = false;
            }
            if let Some(tail) = &mut live.tail
                && tail.dirty
            {
                db.put_output(&tail.row(live.execution.id))?;
                tail.dirty = false;
            }
        }
        let over: Vec<i64> =
            self.live.values().filter(|live| live.execution.idle.is_some()).map(|live| live.execution.id).collect();
        let surplus = over.len().saturating_sub(KEPT_IN_MEMORY);
        for id in over.iter().take(surplus) {
            self.live.remove(id);
        }
        Ok(())
    }

    fn take_from_frontend(
        &mut self,
        db: &Db,
        store: &Store,
        message: &MessageRecord,
        header: &Header,
        metadata: &Value,
        content: Value,
    ) -> Result<(), SaidError> {
        match header.msg_type.as_str() {
            "execute_request" => Ok(self.request(db, message.at, header, metadata, content)?),
            "input_reply" => Ok(self.questions.answer(db, message, &content)?),
            "interrupt_request" => {
                self.stopped(Stop::Interrupt, message.at);
                Ok(())
            }
            "shutdown_request" => {
                self.stopped(Stop::End, message.at);
                Ok(())
            }
            "comm_open" | "comm_msg" | "comm_close" => {
                if header.msg_type == "comm_msg" {
                    let named = message.frames.iter().skip(4).map(|buffer| by_digest(buffer)).collect::<Vec<_>>();
                    self.widgets.update(&content, &named);
                }
                let sent = message.frames.get(3).and_then(|frame| std::str::from_utf8(frame).ok()).map(str::to_owned);
                let comm = CommMessage {
                    text: sent.filter(|_| content.is_object()),
                    at: message.at,
                    msg_type: header.msg_type.clone(),
                    comm_id: text(&content, "comm_id").to_owned(),
                    content,
                    buffers: message.frames.iter().skip(4).map(|frame| frame.to_vec()).collect(),
                    after: (self.next_execution > 1).then_some(self.next_execution - 1),
                };
                let large = comm
                    .buffers
                    .iter()
                    .map(|buffer| (buffer.len() > LARGEST_INLINE).then(|| store.ingest_bytes(buffer)).transpose());
                let large = large.collect::<Result<Vec<_>, _>>()?;
                db.put_comm(self.next_comm, &comm, &large)?;
                self.next_comm += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn request(
        &mut self,
        db: &Db,
        at: Nanos,
        header: &Header,
        metadata: &Value,
        mut content: Value,
    ) -> Result<(), DbError> {
        // The same request twice (a client that sends again): the first one counts.
        if self.of_request(db, &header.msg_id)?.is_some() {
            return Ok(());
        }
        let code = content.as_object_mut().and_then(|content| content.remove("code"));
        let code = code.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        for (name, value) in environment::named_in(&code, &self.env) {
            db.put_variable(name, Some(value))?;
        }
        let cell_id = ["cellId", "cell_id"].iter().find_map(|name| metadata.get(name)?.as_str()).map(str::to_owned);
        if let Some(path) = cell_id.as_deref().and_then(notebook_of_cell_uri) {
            self.notebook = Some((path, "vscode"));
        }
        let id = self.next_execution;
        self.next_execution += 1;
        self.deleted.take(metadata, id);
        let mut lines = code.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
        let is_magic = lines.peek().is_some() && lines.all(|line| line == "%nbpack" || line.starts_with("%nbpack "));
        let execution = Execution {
            id,
            msg_id: header.msg_id.clone(),
            cell_id,
            silent: flag(&content, "silent"),
            is_magic,
            code,
            request: if content.is_object() { content } else { json!({}) },
            execution_count: None,
            sent: at,
            busy: None,
            reply: None,
            idle: None,
            status: None,
            ename: None,
            evalue: None,
            interrupted: false,
            client: header.session.clone(),
            username: header.username.clone(),
            user_expressions: json!({}),
            outputs: Vec::new(),
            stdin: Vec::new(),
        };
        db.put_execution(&execution, false)?;
        let live = Live {
            execution,
            clear_pending: false,
            next_ord: 1,
            tail: None,
            dirty: false,
            failed: false,
            shown: Shown::default(),
            last_shown: None,
        };
        self.live.insert(id, live);
        Ok(())
    }

    /// The execution that a message is a child of.
    fn of_request(&mut self, db: &Db, msg_id: &str) -> Result<Option<i64>, DbError> {
        if msg_id.is_empty() {
            return Ok(None);
        }
        if let Some(live) = self.live.values().rev().find(|live| live.execution.msg_id == msg_id) {
            return Ok(Some(live.execution.id));
        }
        let Some(id) = db.execution_of(msg_id)? else { return Ok(None) };
        self.fetch(db, id)?;
        Ok(Some(id))
    }

    /// Reads an execution back into memory.
    fn fetch(&mut self, db: &Db, id: i64) -> Result<(), DbError> {
        if let Some((execution, clear_pending)) = db.execution(id)? {
            let next_ord = db.next_ord(id)?;
            let failed = execution.status == Some(Status::Error);
            let (shown, last_shown) = (Shown::default(), None);
            let live = Live { execution, clear_pending, next_ord, tail: None, dirty: false, failed, shown, last_shown };
            self.live.insert(id, live);
        }
        Ok(())
    }

    fn change(&mut self, id: i64, change: impl FnOnce(&mut Execution)) {
        if let Some(live) = self.live.get_mut(&id) {
            change(&mut live.execution);
            live.dirty = true;
        }
    }

    fn status(&mut self, id: i64, state: &str, at: Nanos, subshell: bool) -> Option<Moment> {
        match state {
            "busy" => {
                self.change(id, |execution| execution.busy = execution.busy.or(Some(at)));
                Some(Moment::Busy { execution: id, at, subshell })
            }
            "idle" => {
                self.change(id, |execution| execution.idle = Some(at));
                Some(Moment::Idle { execution: id, at })
            }
            _ => None,
        }
    }

    fn reply(&mut self, id: i64, content: &Value, at: Nanos) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let execution = &mut live.execution;
        execution.reply = Some(at);
        let status = match text(content, "status") {
            "ok" => Some(Status::Ok),
            "error" => Some(Status::Error),
            "aborted" | "abort" => Some(Status::Aborted),
            _ => None,
        };
        if !live.failed {
            execution.status = status;
        }
        if let Some(count) = content.get("execution_count").and_then(Value::as_i64) {
            execution.execution_count = execution.execution_count.or(Some(count));
        }
        if status == Some(Status::Aborted) {
            // The count in the reply of what never ran belongs to another execution.
            execution.execution_count = None;
        }
        if status == Some(Status::Error) {
            execution.ename =
                execution.ename.take().or_else(|| content.get("ename").and_then(Value::as_str).map(str::to_owned));
            execution.evalue =
                execution.evalue.take().or_else(|| content.get("evalue").and_then(Value::as_str).map(str::to_owned));
            execution.interrupted |= execution.ename.as_deref() == Some("KeyboardInterrupt");
        }
        if let Some(expressions) = content.get("user_expressions").filter(|value| value.is_object()) {
            execution.user_expressions = expressions.clone();
        }
        live.dirty = true;
    }

    fn output(&mut self, db: &Db, store: &Store, id: i64, kind: &str, content: Value) -> Result<(), SaidError> {
        match kind {
            "clear_output" => {
                if flag(&content, "wait") {
                    self.live.entry(id).and_modify(|live| {
                        live.clear_pending = true;
                        live.dirty = true;
                    });
                    return Ok(());
                }
                return Ok(self.clear(db, id)?);
            }
            "update_display_data" => return update_displays(db, store, &content),
            _ => {}
        }
        let Some(output) = parse_output(kind, content) else { return Ok(()) };
        if self.live.get(&id).is_some_and(|live| live.clear_pending) {
            self.clear(db, id)?;
        }
        let Some(live) = self.live.get_mut(&id) else { return Ok(()) };
        if let Output::Stream { name, text } = &output {
            return Ok(live.stream(db, name, text)?);
        }
        if let Output::Error { ename, evalue, .. } = &output {
            live.failed = true;
            live.dirty = true;
            live.execution.status = Some(Status::Error);
            live.execution.interrupted |= ename == "KeyboardInterrupt";
            live.execution.ename = Some(ename.clone());
            live.execution.evalue = Some(evalue.clone());
        }
        live.end_stream(db)?;
        let ord = live.next_ord;
        live.next_ord += 1;
        Ok(db.put_output(&row_of(store, id, ord, &output)?)?)
    }

    fn clear(&mut self, db: &Db, id: i64) -> Result<(), DbError> {
        if let Some(live) = self.live.get_mut(&id) {
            live.tail = None;
            live.clear_pending = false;
            live.dirty = true;
        }
        db.clear_outputs(id)
    }
}

impl Live {
    /// Text joins the last part; a part that has grown to [`LARGEST_INLINE`] is followed by a new one.
    fn stream(&mut self, db: &Db, name: &str, text: &str) -> Result<(), DbError> {
        if let Some(tail) = &mut self.tail
            && tail.name == name
            && tail.text.len() + text.len() <= LARGEST_INLINE
        {
            tail.text.push_str(text);
            tail.dirty = true;
            return Ok(());
        }
        self.end_stream(db)?;
        self.tail = Some(Tail { ord: self.next_ord, name: name.to_owned(), text: text.to_owned(), dirty: true });
        self.next_ord += 1;
        Ok(())
    }

    fn end_stream(&mut self, db: &Db) -> Result<(), DbError> {
        match self.tail.take() {
            Some(tail) if tail.dirty => db.put_output(&tail.row(self.execution.id)),
            _ => Ok(()),
        }
    }
}

impl Tail {
    fn row(&self, execution: i64) -> OutputRow {
        OutputRow {
            execution,
            ord: self.ord,
            kind: "stream".to_owned(),
            name: Some(self.name.clone()),
            display_id: None,
            body: Body::Inline(self.text.clone()),
        }
    }
}

fn row_of(store: &Store, execution: i64, ord: i64, output: &Output) -> Result<OutputRow, FileError> {
    let mut failed = None;
    let row = session::output_row(execution, ord, output, |bytes| match store.ingest_bytes(&bytes) {
        Ok(digest) => digest,
        Err(error) => {
            failed = Some(error);
            crate::digest::Digest::of(&bytes)
        }
    });
    failed.map_or(Ok(row), Err)
}

/// Every output with this display id, in whatever execution, shows the new data.
fn update_displays(db: &Db, store: &Store, content: &Value) -> Result<(), SaidError> {
    let Some(display_id) = content.pointer("/transient/display_id").and_then(Value::as_str) else { return Ok(()) };
    for (execution, ord, _) in db.displays(display_id)? {
        if let Some(output) = parse_output("display_data", content.clone()) {
            db.put_output(&row_of(store, execution, ord, &output)?)?;
        }
    }
    Ok(())
}

fn parse_output(kind: &str, mut content: Value) -> Option<Output> {
    let mut take = |name: &str| content.get_mut(name).map(Value::take).unwrap_or_default();
    let owned = |value: Value| value.as_str().unwrap_or_default().to_owned();
    let data = |value: Value| match value {
        Value::Object(map) => map.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    let object = |value: Value| if value.is_object() { value } else { json!({}) };
    Some(match kind {
        "stream" => Output::Stream { name: owned(take("name")), text: owned(take("text")) },
        "display_data" => {
            let display_id = take("transient").get("display_id").and_then(Value::as_str).map(str::to_owned);
            Output::DisplayData { data: data(take("data")), metadata: object(take("metadata")), display_id }
        }
        "execute_result" => Output::ExecuteResult {
            data: data(take("data")),
            metadata: object(take("metadata")),
            execution_count: take("execution_count").as_i64(),
        },
        "error" => {
            let traceback = take("traceback");
            let lines = traceback.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            Output::Error { ename: owned(take("ename")), evalue: owned(take("evalue")), traceback: lines.collect() }
        }
        _ => return None,
    })
}

pub(super) fn flag(content: &Value, name: &str) -> bool {
    content.get(name).and_then(Value::as_bool).unwrap_or(false)
}

pub(super) fn text<'a>(content: &'a Value, name: &str) -> &'a str {
    content.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The time a header gives, where it is believable; else when we had the message in hand.
fn stamp(date: Option<&str>, received: Nanos) -> Nanos {
    let parsed = date.and_then(|date| date.parse::<jiff::Timestamp>().ok());
    let nanos = parsed.and_then(|time| Nanos::try_from(time.as_nanosecond()).ok());
    // A date in the future, or without fractions (whole seconds), would put file events on the wrong side.
    match nanos {
        Some(nanos) if nanos <= received && received - nanos < BELIEVABLE && nanos % 1_000_000_000 != 0 => nanos,
        _ => received,
    }
}
