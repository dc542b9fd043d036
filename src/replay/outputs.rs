//! Compares what two executions showed, mime type by mime type.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    drawing, figure, markup,
    noise::Pair,
    text, value,
    verdict::{Difference, NumberError, Place},
    widget,
};
use crate::session::model::Output;

/// What a comparison found so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How often each normaliser made two texts equal.
    pub(super) counts: BTreeMap<String, u64>,
    /// Relative errors of numbers that count as equal.
    pub(super) errors: Vec<f64>,
    /// The largest distance of two figures that are not the same pixels.
    pub(super) figure: Option<f64>,
    /// All figures have the same pixels.
    pub(super) pixel_exact: Option<bool>,
    /// What is left.
    pub(super) differences: Vec<Difference>,
}

impl Tally {
    /// A normaliser made two texts equal.
    pub(super) fn count(&mut self, name: &str) {
        *self.counts.entry(name.to_owned()).or_insert(0) += 1;
    }

    /// Something differs.
    pub(super) fn differ(&mut self, difference: Difference) {
        self.differences.push(difference);
    }

    /// Two figures were compared.
    pub(super) fn figures(&mut self, exact: bool, distance: f64) {
        self.pixel_exact = Some(self.pixel_exact.unwrap_or(true) && exact);
        if !exact {
            self.figure = Some(self.figure.map_or(distance, |most| most.max(distance)));
        }
    }

    /// Takes over what another tally found.
    pub(super) fn add(&mut self, other: Self) {
        for (name, count) in other.counts {
            *self.counts.entry(name).or_insert(0) += count;
        }
        self.errors.extend(other.errors);
        if let Some(exact) = other.pixel_exact {
            self.figures(exact, other.figure.unwrap_or(0.0));
        }
        self.differences.extend(other.differences);
    }

    /// The distribution of the numbers' errors.
    pub(super) fn numbers(&self) -> Option<NumberError> {
        let mut errors = self.errors.clone();
        errors.sort_by(f64::total_cmp);
        let (median, largest) = (errors.get(errors.len() / 2)?, errors.last()?);
        Some(NumberError { count: errors.len(), median: *median, largest: *largest })
    }
}

/// Compares all outputs of an execution.
pub(super) fn compare(pair: &Pair, recorded: &[Output], replayed: &[Output], tally: &mut Tally) {
    for name in ["stdout", "stderr"] {
        streams(pair, name, &stream(recorded, name), &stream(replayed, name), tally);
    }
    let displays =
        |outputs: &[Output]| outputs.iter().filter(|o| !matches!(o, Output::Stream { .. })).cloned().collect();
    let (a, b): (Vec<Output>, Vec<Output>) = (displays(recorded), displays(replayed));
    if a.len() != b.len() {
        let describe = |outputs: &[Output]| {
            let kinds: Vec<String> = outputs.iter().map(kind).collect();
            if kinds.is_empty() { "no output".to_owned() } else { text::clip(&kinds.join(", ")) }
        };
        let place = Place { part: "outputs".to_owned(), at: None };
        tally.differ(Difference { place, recorded: describe(&a), replayed: describe(&b) });
        return;
    }
    for (number, (a, b)) in a.iter().zip(&b).enumerate() {
        display(pair, &format!("output {}", number + 1), a, b, tally);
    }
    let order = |outputs: &[Output]| -> Vec<String> {
        outputs
            .iter()
            .map(|output| match output {
                Output::Stream { name, .. } => name.clone(),
                _ => "display".to_owned(),
            })
            .collect()
    };
    if order(recorded) != order(replayed) && tally.differences.is_empty() {
        if pair.rules.on("interleaving") {
            tally.count("interleaving");
        } else {
            let place = Place { part: "outputs".to_owned(), at: Some("order".to_owned()) };
            let (recorded, replayed) = (order(recorded).join(", "), order(replayed).join(", "));
            tally.differ(Difference { place, recorded, replayed });
        }
    }
}

/// One stream. Where an interrupt cut both short, one may have come further than the other.
fn streams(pair: &Pair, name: &str, recorded: &str, replayed: &str, tally: &mut Tally) {
    let mut whole = Tally::default();
    text::compare(pair, name, recorded, replayed, &mut whole);
    if pair.interrupted && !whole.differences.is_empty() && pair.rules.on("interrupt_point") {
        let count = recorded.matches('\n').count().min(replayed.matches('\n').count());
        let cut = |text: &str| text.split_inclusive('\n').take(count).collect::<String>();
        let mut common = Tally::default();
        text::compare(pair, name, &cut(recorded), &cut(replayed), &mut common);
        if common.differences.is_empty() {
            tally.add(common);
            return tally.count("interrupt_point");
        }
    }
    tally.add(whole);
}

/// All text of one stream.
pub(super) fn stream(outputs: &[Output], wanted: &str) -> String {
    let texts = outputs.iter().filter_map(|output| match output {
        Output::Stream { name, text } if name == wanted => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// What an output is, for a person.
fn kind(output: &Output) -> String {
    match output {
        Output::Stream { name, .. } => name.clone(),
        Output::Error { ename, .. } => ename.clone(),
        Output::DisplayData { data, .. } | Output::ExecuteResult { data, .. } => {
            data.keys().rfind(|mime| mime.as_str() != "text/plain").or(data.keys().next()).cloned().unwrap_or_default()
        }
    }
}

fn display(pair: &Pair, part: &str, recorded: &Output, replayed: &Output, tally: &mut Tally) {
    match (recorded, replayed) {
        (Output::DisplayData { data: a, metadata: m, .. }, Output::DisplayData { data: b, metadata: n, .. })
        | (Output::ExecuteResult { data: a, metadata: m, .. }, Output::ExecuteResult { data: b, metadata: n, .. }) => {
            bundle(pair, part, a, b, tally);
            value::compare(pair, &format!("{part} metadata"), m, n, tally);
        }
        (Output::Error { .. }, Output::Error { .. }) => error(pair, recorded, replayed, tally),
        (a, b) => tally.differ(Difference {
            place: Place { part: part.to_owned(), at: None },
            recorded: kind(a),
            replayed: kind(b),
        }),
    }
}

type Mimes = BTreeMap<String, Value>;

/// The mime types of one display.
fn bundle(pair: &Pair, part: &str, recorded: &Mimes, replayed: &Mimes, tally: &mut Tally) {
    let list = |mimes: &Mimes| mimes.keys().cloned().collect::<Vec<_>>().join(", ");
    if !recorded.keys().eq(replayed.keys()) {
        tally.differ(Difference {
            place: Place { part: part.to_owned(), at: None },
            recorded: list(recorded),
            replayed: list(replayed),
        });
    }
    for (mime, a) in recorded {
        let Some(b) = replayed.get(mime) else { continue };
        if a != b {
            typed(pair, &format!("{part} {mime}"), mime, a, b, tally);
        } else if matches!(mime.as_str(), "image/png" | "image/jpeg") {
            tally.figures(true, 0.0);
        }
    }
}

fn typed(pair: &Pair, part: &str, mime: &str, recorded: &Value, replayed: &Value, tally: &mut Tally) {
    let (a, b) = (joined(recorded), joined(replayed));
    let (Some(a), Some(b)) = (a, b) else {
        if mime == "application/vnd.jupyter.widget-view+json" {
            return widget::compare(pair, part, recorded, replayed, tally);
        }
        return value::compare(pair, part, recorded, replayed, tally);
    };
    match mime {
        "image/png" | "image/jpeg" => figure::compare(pair, part, &a, &b, tally),
        "image/svg+xml" => drawing::compare(pair, part, &a, &b, tally),
        "text/html" => markup::compare(pair, part, &a, &b, tally),
        _ => text::compare(pair, part, &a, &b, tally),
    }
}

/// Text, which nbformat also writes as a list of lines.
fn joined(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(lines) => lines.iter().map(|line| line.as_str()).collect(),
        _ => None,
    }
}

/// An exception by type, message and frames. What differs in type or message has the part `error`.
fn error(pair: &Pair, recorded: &Output, replayed: &Output, tally: &mut Tally) {
    let (
        Output::Error { ename, evalue, traceback },
        Output::Error { ename: other_name, evalue: other_value, traceback: other_traceback },
    ) = (recorded, replayed)
    else {
        return;
    };
    if ename != other_name {
        return tally.differ(Difference {
            place: Place { part: "error".to_owned(), at: None },
            recorded: text::clip(&format!("{ename}: {evalue}")),
            replayed: text::clip(&format!("{other_name}: {other_value}")),
        });
    }
    text::compare(pair, "error", evalue, other_value, tally);
    let mut frames = Tally::default();
    text::compare(pair, "traceback", &traceback.join("\n"), &other_traceback.join("\n"), &mut frames);
    if ename == "KeyboardInterrupt" && !frames.differences.is_empty() && pair.rules.on("interrupt_point") {
        return tally.count("interrupt_point");
    }
    tally.add(frames);
}
