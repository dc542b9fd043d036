//! Compares widgets by the state of the models that a frontend shows, not by their ids.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    noise::Pair,
    outputs::Tally,
    value,
    verdict::{Difference, Place},
};
use crate::session::model::Widget;

/// How a state names another model.
const MODEL: &str = "IPY_MODEL_";
/// Parts of a state that say which frontend looks on, not what it sees.
const OF_THE_VIEW: &[&str] = &["_view_count", "_dom_classes_cid", "msg_id"];
/// Models in one view at most; what lies beyond is not compared.
const MOST: usize = 5000;

/// A session's models by id.
struct Models<'a>(BTreeMap<&'a str, &'a Widget>);

/// Compares what two views show.
pub(super) fn compare(pair: &Pair, part: &str, recorded: &Value, replayed: &Value, tally: &mut Tally) {
    let id = |view: &Value| view.get("model_id").and_then(Value::as_str).map(str::to_owned);
    let (Some(then), Some(now)) = (id(recorded), id(replayed)) else {
        return value::compare(pair, part, recorded, replayed, tally);
    };
    let without_id = |view: &Value| {
        let mut view = view.clone();
        if let Some(id) = view.get_mut("model_id") {
            *id = Value::Null;
        }
        view
    };
    if then != now {
        if !pair.rules.on("widget_id") {
            return value::compare(pair, part, recorded, replayed, tally);
        }
        tally.count("widget_id");
    }
    value::compare(pair, part, &without_id(recorded), &without_id(replayed), tally);
    let Some((recording, replay)) = pair.recordings else { return };
    let (a, b) = (recording.widgets(), replay.widgets());
    match (seen(&a, &then), seen(&b, &now)) {
        (Some(a), Some(b)) => value::compare(pair, &format!("{part} state"), &a, &b, tally),
        // Records of older versions hold no states, and a frontend may show what no kernel made.
        (None, None) => {}
        (a, b) => {
            let say = |state: Option<Value>| if state.is_some() { "a widget" } else { "a widget without a model" };
            let place = Place { part: part.to_owned(), at: None };
            tally.differ(Difference { place, recorded: say(a).to_owned(), replayed: say(b).to_owned() });
        }
    }
}

/// The state of a model with the states of the models it names in their places.
fn seen(widgets: &[Widget], id: &str) -> Option<Value> {
    let models = Models(widgets.iter().map(|widget| (widget.comm_id.as_str(), widget)).collect());
    models.expand(id, &mut BTreeSet::new(), &mut 0)
}

impl Models<'_> {
    fn expand(&self, id: &str, above: &mut BTreeSet<String>, count: &mut usize) -> Option<Value> {
        let widget = self.0.get(id)?;
        *count += 1;
        if *count > MOST || !above.insert(id.to_owned()) {
            return Some(Value::from("(shown above)"));
        }
        let state: Map<String, Value> = widget
            .state
            .as_object()?
            .iter()
            .filter(|(name, _)| !OF_THE_VIEW.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), self.value(value, above, count)))
            .collect();
        above.remove(id);
        Some(Value::Object(state))
    }

    fn value(&self, value: &Value, above: &mut BTreeSet<String>, count: &mut usize) -> Value {
        match value {
            Value::String(text) => match text.strip_prefix(MODEL) {
                Some(id) => self.expand(id, above, count).unwrap_or_else(|| "(a model that was not recorded)".into()),
                None => value.clone(),
            },
            Value::Array(items) => items.iter().map(|item| self.value(item, above, count)).collect(),
            Value::Object(map) => {
                Value::Object(map.iter().map(|(name, item)| (name.clone(), self.value(item, above, count))).collect())
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_models_state_holds_the_states_of_those_it_names() {
        let widget = |id: &str, state: Value| Widget { comm_id: id.into(), execution: Some(1), state, closed: false };
        let box_of = |child: &str, parent: &str| {
            [
                widget(parent, json!({"children": [format!("IPY_MODEL_{child}")], "_view_count": 1})),
                widget(child, json!({"value": 3, "parent": format!("IPY_MODEL_{parent}")})),
            ]
        };
        let (a, b) = (box_of("c1", "p1"), box_of("c2", "p2"));
        assert_eq!(seen(&a, "p1"), Some(json!({"children": [{"value": 3, "parent": "(shown above)"}]})));
        assert_eq!(seen(&a, "p1"), seen(&b, "p2"));
        assert_eq!(seen(&a, "p2"), None);
    }
}
