//! The models of widgets as a frontend knows them: made by `comm_open`, changed by updates from both sides.
//!
//! Each is a fact of the session, numbered in the order in which they were made: their ids are random, their order is
//! not. Long values are kept by digest: they are there to be compared, not to be shown.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::{
    digest::Digest,
    session::{
        DbError,
        db::Db,
        model::{WIDGET, Widget},
    },
};

/// A string of a state that is longer is kept by digest.
const LONGEST_TEXT: usize = 4096;
/// A list of a state that is longer is kept by digest.
const LONGEST_LIST: usize = 1000;
/// More models than this are not followed.
const MOST_MODELS: usize = 5000;

/// The models of one session.
#[derive(Debug, Default)]
pub(super) struct Widgets {
    models: BTreeMap<String, (usize, Widget)>,
    dirty: BTreeSet<String>,
    made: usize,
}

impl Widgets {
    /// Goes on where the database ends.
    pub(super) fn load(db: &Db) -> Result<Self, DbError> {
        let mut widgets = Self::default();
        for (key, value) in db.facts_below(WIDGET)? {
            let number = key.strip_prefix(WIDGET).and_then(|number| number.parse().ok()).unwrap_or(0);
            if let Ok(widget) = serde_json::from_value::<Widget>(value) {
                widgets.made = widgets.made.max(number);
                widgets.models.insert(widget.comm_id.clone(), (number, widget));
            }
        }
        Ok(widgets)
    }

    /// A model is made, in this execution.
    pub(super) fn open(&mut self, execution: Option<i64>, content: &Value, buffers: &[String]) {
        let Some(comm_id) = content.get("comm_id").and_then(Value::as_str) else { return };
        let is_widget = content.get("target_name").and_then(Value::as_str) == Some("jupyter.widget");
        if !is_widget || self.made >= MOST_MODELS || self.models.contains_key(comm_id) {
            return;
        }
        self.made += 1;
        let widget = Widget { comm_id: comm_id.to_owned(), execution, state: Value::Object(Map::new()), closed: false };
        self.models.insert(comm_id.to_owned(), (self.made, widget));
        self.merge(comm_id, content, buffers);
    }

    /// A model's state changes, as the kernel or a frontend says.
    pub(super) fn update(&mut self, content: &Value, buffers: &[String]) {
        let Some(comm_id) = content.get("comm_id").and_then(Value::as_str) else { return };
        if content.pointer("/data/method").and_then(Value::as_str) == Some("update") {
            self.merge(comm_id, content, buffers);
        }
    }

    /// A model is closed. Its last state is what was shown of it.
    pub(super) fn close(&mut self, content: &Value) {
        let Some(comm_id) = content.get("comm_id").and_then(Value::as_str) else { return };
        if let Some((_, widget)) = self.models.get_mut(comm_id) {
            widget.closed = true;
            self.dirty.insert(comm_id.to_owned());
        }
    }

    fn merge(&mut self, comm_id: &str, content: &Value, buffers: &[String]) {
        let Some((_, widget)) = self.models.get_mut(comm_id) else { return };
        let Some(Value::Object(mut change)) = content.pointer("/data/state").cloned() else { return };
        let paths = content.pointer("/data/buffer_paths").and_then(Value::as_array);
        for (path, buffer) in paths.into_iter().flatten().zip(buffers) {
            put_at(&mut change, path.as_array().map(Vec::as_slice).unwrap_or_default(), buffer);
        }
        if let Value::Object(state) = &mut widget.state {
            state.extend(change.into_iter().map(|(name, value)| (name, bounded(value))));
        }
        self.dirty.insert(comm_id.to_owned());
    }

    /// Writes what changed.
    pub(super) fn flush(&mut self, db: &Db) -> Result<(), DbError> {
        for comm_id in std::mem::take(&mut self.dirty) {
            if let Some((number, widget)) = self.models.get(&comm_id) {
                db.put_fact(&format!("{WIDGET}{number:06}"), &json!(widget))?;
            }
        }
        Ok(())
    }
}

/// Puts a buffer's name where the widget protocol says that the buffer belongs.
fn put_at(state: &mut Map<String, Value>, path: &[Value], buffer: &str) {
    let [first, rest @ ..] = path else { return };
    let Some(mut place) = first.as_str().map(|name| state.entry(name).or_insert(Value::Null)) else { return };
    for step in rest {
        let next = match step {
            Value::String(name) => {
                if !place.is_object() {
                    *place = json!({});
                }
                place.as_object_mut().map(|object| object.entry(name.as_str()).or_insert(Value::Null))
            }
            Value::Number(at) => at.as_u64().and_then(|at| place.get_mut(usize::try_from(at).ok()?)),
            _ => None,
        };
        let Some(next) = next else { return };
        place = next;
    }
    *place = buffer.into();
}

/// A value with what is long in it by digest.
fn bounded(value: Value) -> Value {
    match value {
        Value::String(text) if text.len() > LONGEST_TEXT => by_digest(text.as_bytes()).into(),
        Value::Array(items) if items.len() > LONGEST_LIST => {
            by_digest(Value::Array(items).to_string().as_bytes()).into()
        }
        Value::Array(items) => items.into_iter().map(bounded).collect(),
        Value::Object(map) => Value::Object(map.into_iter().map(|(name, value)| (name, bounded(value))).collect()),
        other => other,
    }
}

/// How a long value or a buffer stands in a state.
pub(super) fn by_digest(bytes: &[u8]) -> String {
    format!("{} ({} bytes)", Digest::of(bytes), bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_stand_at_their_paths_and_long_values_by_digest() {
        let mut widgets = Widgets::default();
        let state = json!({"_model_name": "M", "data": {"x": [1, null]}, "long": "y".repeat(5000)});
        let open = json!({"comm_id": "c", "target_name": "jupyter.widget",
            "data": {"state": state, "buffer_paths": [["value"], ["data", "x", 1]]}});
        widgets.open(Some(3), &open, &["one".into(), "two".into()]);
        widgets.update(&json!({"comm_id": "c", "data": {"method": "update", "state": {"n": 2}}}), &[]);
        widgets.update(&json!({"comm_id": "c", "data": {"method": "echo_update", "state": {"n": 3}}}), &[]);
        let (number, widget) = &widgets.models["c"];
        assert_eq!((*number, widget.execution), (1, Some(3)));
        assert_eq!(widget.state["value"], "one");
        assert_eq!(widget.state["data"]["x"], json!([1, "two"]));
        assert_eq!(widget.state["n"], 2);
        assert!(widget.state["long"].as_str().is_some_and(|text| text.ends_with("(5000 bytes)")));
    }
}
