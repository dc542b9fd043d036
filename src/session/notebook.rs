//! A recording as an `.ipynb` (nbformat 4.5).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::model::{Execution, Output, Recording};
use crate::digest::Digest;

/// Which executions become cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One cell for each execution, in the order in which the kernel ran them: re-runs and deleted cells too.
    AsRun,
    /// One cell for each cell of the notebook file as far as ids tell: its last execution, where it first ran; no deleted ones.
    AsFile,
}

/// Writes the recording as a notebook. Cell ids are the frontend's where they are unique and allowed, else derived
/// from position and code, so that the same recording gives the same bytes.
pub fn notebook(recording: &Recording, form: Form) -> Value {
    let shown: Vec<&Execution> =
        recording.executions.iter().filter(|execution| !execution.silent && !execution.is_magic).collect();
    let chosen = match form {
        Form::AsRun => shown,
        Form::AsFile => last_of_each_cell(&shown, &recording.deleted_cells()),
    };
    let mut taken = std::collections::BTreeSet::new();
    let cells: Vec<Value> =
        chosen.iter().enumerate().map(|(index, execution)| cell(index, execution, &mut taken)).collect();
    json!({
        "cells": cells,
        "metadata": {
            "kernelspec": {
                "display_name": recording.info.display_name,
                "language": recording.info.language,
                "name": recording.info.kernel,
            },
            "language_info": { "name": recording.info.language },
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    })
}

fn last_of_each_cell<'a>(executions: &[&'a Execution], deleted: &BTreeMap<String, i64>) -> Vec<&'a Execution> {
    let mut cells: Vec<&Execution> = Vec::new();
    for execution in executions {
        let same = cells.iter_mut().find(|cell| execution.cell_id.is_some() && cell.cell_id == execution.cell_id);
        match same {
            Some(cell) => *cell = execution,
            None => cells.push(execution),
        }
    }
    let gone = |cell: &Execution| cell.cell_id.as_ref().and_then(|id| deleted.get(id)).is_some_and(|at| *at > cell.id);
    cells.retain(|cell| !gone(cell));
    cells
}

fn cell(index: usize, execution: &Execution, taken: &mut std::collections::BTreeSet<String>) -> Value {
    let allowed = |id: &&String| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let wanted = execution.cell_id.as_ref().filter(allowed).filter(|id| !taken.contains(*id)).cloned();
    let id = wanted.unwrap_or_else(|| Digest::of(format!("{index}\n{}", execution.code).as_bytes()).short());
    taken.insert(id.clone());
    let outputs: Vec<Value> = execution.outputs.iter().map(output).collect();
    json!({
        "cell_type": "code",
        "execution_count": execution.execution_count,
        "id": id,
        "metadata": {},
        "outputs": outputs,
        "source": lines(&execution.code),
    })
}

/// One output as nbformat keeps it.
pub fn output(output: &Output) -> Value {
    match output {
        Output::Stream { name, text } => json!({"output_type": "stream", "name": name, "text": lines(text)}),
        Output::DisplayData { data, metadata, .. } => {
            json!({"output_type": "display_data", "data": bundle(data), "metadata": object(metadata)})
        }
        Output::ExecuteResult { data, metadata, execution_count } => json!({
            "output_type": "execute_result",
            "data": bundle(data),
            "metadata": object(metadata),
            "execution_count": execution_count,
        }),
        Output::Error { ename, evalue, traceback } => {
            json!({"output_type": "error", "ename": ename, "evalue": evalue, "traceback": traceback})
        }
    }
}

fn object(value: &Value) -> Value {
    if value.is_object() { value.clone() } else { json!({}) }
}

/// Text becomes a list of lines; JSON mime types and base64 stay as sent.
fn bundle(data: &BTreeMap<String, Value>) -> Value {
    let map: Map<String, Value> = data
        .iter()
        .map(|(mime, value)| {
            let text = mime.starts_with("text/") || mime == "image/svg+xml" || mime == "application/javascript";
            let value = match value {
                Value::String(content) if text => lines(content),
                other => other.clone(),
            };
            (mime.clone(), value)
        })
        .collect();
    Value::Object(map)
}

fn lines(text: &str) -> Value {
    Value::Array(text.split_inclusive('\n').map(|line| Value::String(line.to_owned())).collect())
}
