//! Compares JSON (Vega, Plotly, Bokeh, GeoJSON): numbers as numbers, generated ids renamed consistently.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    noise::Pair,
    outputs::Tally,
    text::{clip, line_agrees},
    verdict::{Difference, Place},
};

/// Keys whose values are names that a library makes up.
const ID_KEYS: &[&str] =
    &["id", "uid", "uuid", "_id", "docid", "root_id", "roots", "root_ids", "elementid", "model_id", "target"];
/// Deeper than any chart; foreign JSON may not exhaust the stack.
const DEEPEST: usize = 100;

#[derive(Default)]
struct Renaming {
    forth: BTreeMap<String, String>,
    back: BTreeMap<String, String>,
}

impl Renaming {
    /// Whether `a` may be called `b` everywhere.
    fn allows(&mut self, a: &str, b: &str) -> bool {
        self.forth.entry(a.to_owned()).or_insert_with(|| b.to_owned()) == b
            && self.back.entry(b.to_owned()).or_insert_with(|| a.to_owned()) == a
    }
}

pub(super) fn compare(pair: &Pair, part: &str, recorded: &Value, replayed: &Value, tally: &mut Tally) {
    if recorded != replayed {
        walk(pair, part, "", recorded, replayed, (&mut Renaming::default(), 0), tally);
    }
}

fn walk(
    pair: &Pair,
    part: &str,
    path: &str,
    a: &Value,
    b: &Value,
    (names, depth): (&mut Renaming, usize),
    tally: &mut Tally,
) {
    if a == b {
        return;
    }
    match (a, b) {
        (Value::Object(x), Value::Object(y)) if depth < DEEPEST && x.len() == y.len() => {
            let only = |these: &serde_json::Map<String, Value>, those: &serde_json::Map<String, Value>| {
                these.keys().filter(|key| !those.contains_key(*key)).cloned().collect::<Vec<_>>()
            };
            for (key, a) in x {
                if let Some(b) = y.get(key) {
                    walk(pair, part, &format!("{path}.{key}"), a, b, (names, depth + 1), tally);
                }
            }
            for (left, right) in only(x, y).iter().zip(only(y, x)) {
                if !is_renamed(pair, "", left, &right, names) {
                    return differ(part, path, &format!("key {left}"), &format!("key {right}"), tally);
                }
                tally.count("html_id");
                if let (Some(a), Some(b)) = (x.get(left), y.get(&right)) {
                    walk(pair, part, &format!("{path}.{left}"), a, b, (names, depth + 1), tally);
                }
            }
        }
        (Value::Array(x), Value::Array(y)) if depth < DEEPEST && x.len() == y.len() => {
            for (number, (a, b)) in x.iter().zip(y).enumerate() {
                walk(pair, part, &format!("{path}[{number}]"), a, b, (names, depth + 1), tally);
            }
        }
        (Value::Number(x), Value::Number(y)) => {
            if !line_agrees(pair, &x.to_string(), &y.to_string(), tally) {
                differ(part, path, &x.to_string(), &y.to_string(), tally);
            }
        }
        (Value::String(x), Value::String(y)) => {
            let key = path.rsplit('.').next().unwrap_or_default().split('[').next().unwrap_or_default();
            if is_renamed(pair, key, x, y, names) {
                tally.count("html_id");
            } else if !line_agrees(pair, x, y, tally) {
                differ(part, path, x, y, tally);
            }
        }
        _ => differ(part, path, &brief(a), &brief(b), tally),
    }
}

/// Whether two strings are generated names that stand for each other all over the document.
fn is_renamed(pair: &Pair, key: &str, a: &str, b: &str, names: &mut Renaming) -> bool {
    let known = names.forth.get(a).is_some_and(|name| name == b);
    let generated = ID_KEYS.contains(&key) || looks_generated(a) && looks_generated(b);
    pair.rules.on("html_id") && (known || generated) && names.allows(a, b)
}

/// A uuid or a long hex word, perhaps with a prefix (`altair-viz-…`, `p1001`).
fn looks_generated(text: &str) -> bool {
    let tail = text.rsplit('-').next().unwrap_or(text);
    let hex = |word: &str| word.len() >= 12 && word.bytes().all(|c| c.is_ascii_hexdigit());
    text.len() <= 64 && (hex(tail) || hex(text))
}

fn differ(part: &str, path: &str, recorded: &str, replayed: &str, tally: &mut Tally) {
    let at = (!path.is_empty()).then(|| path.trim_start_matches('.').to_owned());
    let place = Place { part: part.to_owned(), at };
    tally.differ(Difference { place, recorded: clip(recorded), replayed: clip(replayed) });
}

fn brief(value: &Value) -> String {
    match value {
        Value::Object(map) => format!("an object with {} keys", map.len()),
        Value::Array(items) => format!("a list of {}", items.len()),
        other => other.to_string(),
    }
}
