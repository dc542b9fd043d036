//! A notebook as a job: parameters are put into it as papermill does, its cells become a plan, and what came out is
//! written back into it. Pure: no kernel and no disk.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::file::NotANotebook;
use crate::{
    digest::Digest,
    session::{
        self,
        model::{Recording, Status},
    },
};

/// Papermill's tag of the cell with the default values.
const DEFAULTS: &str = "parameters";
/// Papermill's tag of the cell with the given ones.
const INJECTED: &str = "injected-parameters";

/// Parameters cannot be put into a notebook.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// Not a name in any of the languages.
    #[error("`{name}` cannot be the name of a variable")]
    Name {
        /// As it was given.
        name: String,
    },
    /// No rule how to write a value down.
    #[error("how to write a parameter in `{language}` is not known; known are python, R, julia and bash")]
    Language {
        /// The notebook's.
        language: String,
    },
}

/// How the job ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// Cells that ran to their end.
    pub ok: usize,
    /// Code cells in all.
    pub of: usize,
    /// The first cell that did not end well, counted from 1, and why.
    pub failed: Option<(usize, String)>,
}

/// Puts a cell that assigns `parameters` after the one tagged `parameters`, else before all others; one that an
/// earlier run put there is replaced. Values are read as papermill's `-p` reads them: numbers, truth values and
/// nothing are those, all else is text.
pub fn inject(
    notebook: &mut Value,
    language: &str,
    parameters: &BTreeMap<String, String>,
) -> Result<(), ParameterError> {
    if parameters.is_empty() {
        return Ok(());
    }
    let language = Language::of(language)?;
    let mut source = "# Parameters\n".to_owned();
    for (name, value) in parameters {
        if !is_name(name, language) {
            return Err(ParameterError::Name { name: name.clone() });
        }
        let value = language.literal(value);
        source.push_str(&match language {
            Language::Bash => format!("{name}={value}\n"),
            _ => format!("{name} = {value}\n"),
        });
    }
    let with_ids = has_ids(notebook);
    let Some(cells) = notebook.get_mut("cells").and_then(Value::as_array_mut) else { return Ok(()) };
    cells.retain(|cell| !is_tagged(cell, INJECTED));
    let mut cell = json!({
        "cell_type": "code",
        "execution_count": null,
        "metadata": {"tags": [INJECTED]},
        "outputs": [],
        "source": source,
    });
    if let (true, Some(fields)) = (with_ids, cell.as_object_mut()) {
        fields.insert("id".to_owned(), Digest::of(source.as_bytes()).short().into());
    }
    let at = cells.iter().position(|cell| is_tagged(cell, DEFAULTS)).map_or(0, |defaults| defaults + 1);
    cells.insert(at, cell);
    Ok(())
}

/// The code cells of `notebook` in their order as executions to be sent, all of them; each has an id of its own.
pub fn plan(path: &std::path::Path, notebook: &Value) -> Result<Recording, NotANotebook> {
    let mut recording = super::file::recording_of_all(path, notebook)?;
    let mut taken = BTreeSet::new();
    for (index, execution) in recording.executions.iter_mut().enumerate() {
        let id = execution.cell_id.take().filter(|id| !taken.contains(id)).unwrap_or_else(|| format!("cell-{index}"));
        taken.insert(id.clone());
        execution.cell_id = Some(id);
        execution.outputs.clear();
        execution.status = Some(Status::Ok);
        // Nobody is there to be asked.
        execution.request = json!({
            "silent": false, "store_history": true, "user_expressions": {}, "allow_stdin": false, "stop_on_error": true,
        });
    }
    Ok(recording)
}

/// Writes what `ran` showed into the cells that `planned` came from. Cells that did not run have no output.
pub fn fill(notebook: &mut Value, planned: &Recording, ran: &Recording) -> Outcome {
    let results: BTreeMap<&str, _> =
        ran.executions.iter().filter_map(|execution| Some((execution.cell_id.as_deref()?, execution))).collect();
    let mut outcome = Outcome::default();
    let mut planned = planned.executions.iter();
    let cells = notebook.get_mut("cells").and_then(Value::as_array_mut);
    for cell in cells.into_iter().flatten().filter(|cell| super::file::is_code(cell)) {
        let runs = super::file::has_code(cell);
        let Some(fields) = cell.as_object_mut() else { continue };
        fields.insert("outputs".to_owned(), json!([]));
        fields.insert("execution_count".to_owned(), Value::Null);
        if !runs {
            continue;
        }
        outcome.of += 1;
        let id = planned.next().and_then(|execution| execution.cell_id.as_deref()).unwrap_or_default();
        let Some(execution) = results.get(id) else {
            outcome.failed.get_or_insert_with(|| (outcome.of, "it was not run".to_owned()));
            continue;
        };
        let outputs: Vec<Value> = execution.outputs.iter().map(session::notebook_output).collect();
        fields.insert("outputs".to_owned(), outputs.into());
        fields.insert("execution_count".to_owned(), execution.execution_count.into());
        if execution.status == Some(Status::Ok) {
            outcome.ok += 1;
        } else {
            let why = match (&execution.ename, &execution.evalue, execution.status) {
                (Some(name), Some(text), _) => format!("{name}: {text}"),
                (_, _, None) => "the kernel ended in it".to_owned(),
                _ => "it was stopped".to_owned(),
            };
            outcome.failed.get_or_insert((outcome.of, why));
        }
    }
    outcome
}

/// Cells have ids since nbformat 4.5.
fn has_ids(notebook: &Value) -> bool {
    notebook.get("nbformat_minor").and_then(Value::as_i64).is_some_and(|minor| minor >= 5)
}

fn is_tagged(cell: &Value, tag: &str) -> bool {
    let tags = cell.pointer("/metadata/tags").and_then(Value::as_array);
    tags.into_iter().flatten().any(|one| one.as_str() == Some(tag))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Language {
    Python,
    R,
    Julia,
    Bash,
}

impl Language {
    fn of(name: &str) -> Result<Self, ParameterError> {
        match name.to_lowercase().as_str() {
            "python" => Ok(Self::Python),
            "r" => Ok(Self::R),
            "julia" => Ok(Self::Julia),
            "bash" => Ok(Self::Bash),
            _ => Err(ParameterError::Language { language: name.to_owned() }),
        }
    }

    /// The value as the language writes it.
    fn literal(self, value: &str) -> String {
        let [yes, no, nothing] = match self {
            Self::Python => ["True", "False", "None"],
            Self::R => ["TRUE", "FALSE", "NULL"],
            Self::Julia => ["true", "false", "nothing"],
            Self::Bash => ["true", "false", "''"],
        };
        match value {
            "True" | "true" => yes.to_owned(),
            "False" | "false" => no.to_owned(),
            "None" => nothing.to_owned(),
            _ if is_number(value) => value.to_owned(),
            _ if self == Self::Bash => format!("'{}'", value.replace('\'', r"'\''")),
            _ => self.text(value),
        }
    }

    fn text(self, value: &str) -> String {
        let mut text = "\"".to_owned();
        for c in value.chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                // Julia puts values in.
                '$' if self == Self::Julia => text.push_str("\\$"),
                _ => text.push(c),
            }
        }
        text + "\""
    }
}

/// Digits with sign, point and exponent: a number in all of the languages. `007` is not one in Python.
fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    let padded = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    plain && !padded && digits.starts_with(|c: char| c.is_ascii_digit()) && value.parse::<f64>().is_ok()
}

fn is_name(name: &str, language: Language) -> bool {
    let dot = language == Language::R;
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_' || dot && c == '.')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::session::model::Output;

    fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn notebook() -> Value {
        json!({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
            {"cell_type": "markdown", "id": "m", "metadata": {}, "source": "text"},
            {"cell_type": "code", "id": "d", "metadata": {"tags": ["parameters"]}, "source": "n = 1", "outputs": [1], "execution_count": 9},
            {"cell_type": "code", "id": "e", "metadata": {}, "source": " \n", "outputs": [1], "execution_count": 9},
            {"cell_type": "code", "id": "u", "metadata": {}, "source": "print(n)", "outputs": [1], "execution_count": 9},
        ]})
    }

    #[test]
    fn given_values_follow_the_default_ones_and_replace_those_of_an_earlier_run() {
        let mut notebook = notebook();
        inject(&mut notebook, "python", &parameters(&[("n", "2")])).unwrap();
        inject(&mut notebook, "python", &parameters(&[("n", "3"), ("path", "a \"b\"\\c\n")])).unwrap();
        let sources: Vec<&str> =
            notebook["cells"].as_array().unwrap().iter().map(|cell| cell["source"].as_str().unwrap()).collect();
        let injected = "# Parameters\nn = 3\npath = \"a \\\"b\\\"\\\\c\\n\"\n";
        assert_eq!(sources, ["text", "n = 1", injected, " \n", "print(n)"]);
    }

    #[test]
    fn without_a_tagged_cell_they_come_first() {
        let mut notebook = json!({"cells": [{"cell_type": "code", "source": "x"}]});
        inject(&mut notebook, "R", &parameters(&[("a.b", "True")])).unwrap();
        assert_eq!(notebook["cells"][0]["source"], "# Parameters\na.b = TRUE\n");
        assert_eq!(notebook["cells"][0].get("id"), None, "a notebook before 4.5 has no ids");
    }

    #[test]
    fn values_are_read_as_papermill_reads_them() {
        let python = |value| Language::Python.literal(value);
        for (given, written) in [
            ("1", "1"),
            ("-2.5e3", "-2.5e3"),
            ("True", "True"),
            ("None", "None"),
            ("007", "\"007\""),
            ("1.2.3", "\"1.2.3\""),
        ] {
            assert_eq!(python(given), written);
        }
        assert_eq!(python("inf"), "\"inf\"");
        assert_eq!(Language::Bash.literal("a'b $x"), r"'a'\''b $x'");
        assert_eq!(Language::Julia.literal("$x"), "\"\\$x\"");
        let bad = inject(&mut notebook(), "python", &parameters(&[("a; import os", "1")]));
        assert_eq!(bad, Err(ParameterError::Name { name: "a; import os".into() }));
        assert!(inject(&mut notebook(), "cobol", &parameters(&[("a", "1")])).is_err());
    }

    #[test]
    fn cells_that_did_not_run_have_no_outputs_and_the_first_failure_is_told() {
        let mut notebook = notebook();
        let planned = plan(Path::new("/w/a.ipynb"), &notebook).unwrap();
        assert_eq!(planned.executions.len(), 2, "an empty cell is not sent");
        let mut ran = planned.clone();
        ran.executions[0].status = Some(Status::Error);
        ran.executions[0].ename = Some("E".into());
        ran.executions[0].evalue = Some("v".into());
        ran.executions[0].outputs = vec![Output::Stream { name: "stdout".into(), text: "out".into() }];
        ran.executions.truncate(1);
        let outcome = fill(&mut notebook, &planned, &ran);
        assert_eq!(outcome, Outcome { ok: 0, of: 2, failed: Some((1, "E: v".into())) });
        assert_eq!(notebook["cells"][1]["outputs"][0]["text"], json!(["out"]));
        assert_eq!((&notebook["cells"][2]["outputs"], &notebook["cells"][3]["outputs"]), (&json!([]), &json!([])));
    }
}
