//! A notebook file as a recording, for comparing outputs that were never recorded: its cells in order, with the
//! outputs and, where the frontend wrote them (nbclient, JupyterLab with recorded timing), the times in it.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};

use crate::{
    event::Nanos,
    session::model::{Execution, Output, Recording, SessionId, SessionInfo, Status},
};

/// The file is no notebook of format 4.
#[derive(Debug, thiserror::Error)]
#[error("not a Jupyter notebook of format 4: {missing}")]
pub struct NotANotebook {
    missing: &'static str,
}

/// Reads the text of an `.ipynb` file. Cells that were not executed are left out.
pub fn recording_of(path: &Path, text: &str) -> Result<Recording, NotANotebook> {
    let json: Value = serde_json::from_str(text).map_err(|_| NotANotebook { missing: "no JSON" })?;
    read(path, &json, |count, outputs| count.is_some() || !outputs.is_empty())
}

/// The same with every code cell that holds something, executed or not.
pub(super) fn recording_of_all(path: &Path, notebook: &Value) -> Result<Recording, NotANotebook> {
    read(path, notebook, |_, _| true)
}

/// Whether a cell is a code cell.
pub(super) fn is_code(cell: &Value) -> bool {
    cell.get("cell_type").and_then(Value::as_str) == Some("code")
}

/// Whether a cell holds more than space.
pub(super) fn has_code(cell: &Value) -> bool {
    !joined(cell.get("source")).trim().is_empty()
}

fn read(path: &Path, json: &Value, keep: fn(Option<i64>, &[Output]) -> bool) -> Result<Recording, NotANotebook> {
    let cells = json.get("cells").and_then(Value::as_array).ok_or(NotANotebook { missing: "no `cells`" })?;
    let mut executions = Vec::new();
    for cell in cells.iter().filter(|cell| is_code(cell) && has_code(cell)) {
        let outputs: Vec<Output> =
            cell.get("outputs").and_then(Value::as_array).into_iter().flatten().filter_map(output).collect();
        let count = cell.get("execution_count").and_then(Value::as_i64);
        if keep(count, &outputs) {
            let id = executions.len() as i64 + 1;
            executions.push(execution(id, cell, joined(cell.get("source")), count, outputs));
        }
    }
    let times: Vec<Nanos> = executions.iter().map(|execution| execution.sent).filter(|at| *at > 0).collect();
    let spec = |name: &str| {
        let spec = json.pointer("/metadata/kernelspec").and_then(|spec| spec.get(name)).and_then(Value::as_str);
        spec.unwrap_or_default().to_owned()
    };
    let info = SessionInfo {
        id: SessionId(String::new()),
        started: times.iter().min().copied().unwrap_or_default(),
        ended: executions.iter().filter_map(|execution| execution.idle).max(),
        kernel: spec("name"),
        display_name: spec("display_name"),
        language: spec("language"),
        argv: Vec::new(),
        interrupt_mode: "signal".to_owned(),
        kernel_env: BTreeMap::new(),
        cwd: crate::files::parent(path).to_owned(),
        notebook: Some(path.to_owned()),
        notebook_source: Some("file".to_owned()),
        user: String::new(),
        uid: 0,
        gid: 0,
        home: std::path::PathBuf::new(),
        host: String::new(),
        nbpack_version: env!("CARGO_PKG_VERSION").to_owned(),
        coverage: "none".to_owned(),
        exit_status: None,
        parent: None,
        executions: executions.len() as u64,
        running: false,
    };
    Ok(Recording {
        info,
        executions,
        files: Vec::new(),
        versions: Vec::new(),
        processes: Vec::new(),
        connections: Vec::new(),
        environment: BTreeMap::new(),
        facts: BTreeMap::new(),
        gaps: Vec::new(),
        comms: Vec::new(),
    })
}

fn execution(id: i64, cell: &Value, code: String, count: Option<i64>, outputs: Vec<Output>) -> Execution {
    let time = |name: &str| -> Option<Nanos> {
        let text = cell.pointer("/metadata/execution")?.get(name)?.as_str()?;
        let at: jiff::Timestamp = text.parse().ok()?;
        Nanos::try_from(at.as_nanosecond()).ok()
    };
    let (busy, reply, idle) = (time("iopub.status.busy"), time("shell.execute_reply"), time("iopub.status.idle"));
    let error = outputs.iter().find_map(|output| match output {
        Output::Error { ename, evalue, .. } => Some((ename.clone(), evalue.clone())),
        _ => None,
    });
    Execution {
        id,
        msg_id: String::new(),
        cell_id: cell.get("id").and_then(Value::as_str).map(ToOwned::to_owned),
        code,
        request: json!({}),
        silent: false,
        is_magic: false,
        execution_count: count,
        sent: busy.unwrap_or_default(),
        busy,
        reply,
        idle,
        status: Some(if error.is_some() { Status::Error } else { Status::Ok }),
        ename: error.as_ref().map(|(ename, _)| ename.clone()),
        evalue: error.map(|(_, evalue)| evalue),
        interrupted: false,
        client: String::new(),
        username: String::new(),
        user_expressions: json!({}),
        outputs,
        stdin: Vec::new(),
    }
}

/// One output of nbformat 4; `None` for a kind that it does not have.
fn output(value: &Value) -> Option<Output> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let data = || -> BTreeMap<String, Value> {
        let data = value.get("data").and_then(Value::as_object).into_iter().flatten();
        data.map(|(mime, value)| {
            let is_json = mime.ends_with("json");
            (mime.clone(), if is_json { value.clone() } else { Value::String(joined(Some(value))) })
        })
        .collect()
    };
    let metadata = value.get("metadata").cloned().unwrap_or_else(|| json!({}));
    match value.get("output_type")?.as_str()? {
        "stream" => Some(Output::Stream { name: text("name"), text: joined(value.get("text")) }),
        "display_data" => Some(Output::DisplayData { data: data(), metadata, display_id: None }),
        "execute_result" => Some(Output::ExecuteResult {
            data: data(),
            metadata,
            execution_count: value.get("execution_count").and_then(Value::as_i64),
        }),
        "error" => {
            let lines = value.get("traceback").and_then(Value::as_array).into_iter().flatten();
            let traceback = lines.filter_map(Value::as_str).map(ToOwned::to_owned).collect();
            Some(Output::Error { ename: text("ename"), evalue: text("evalue"), traceback })
        }
        _ => None,
    }
}

/// A text, which nbformat writes as one string or as a list of lines.
fn joined(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(lines)) => lines.iter().filter_map(Value::as_str).collect(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notebook_file_is_read_with_its_outputs_and_times() {
        let text = r#"{"nbformat": 4, "cells": [
            {"cell_type": "markdown", "source": "x"},
            {"cell_type": "code", "id": "a", "source": ["x = 1\n", "x"], "execution_count": 3,
             "metadata": {"execution": {"iopub.status.busy": "2026-11-22T18:12:54.5Z", "iopub.status.idle": "2026-11-22T18:12:56.5Z"}},
             "outputs": [{"output_type": "execute_result", "data": {"text/plain": ["1"]}, "metadata": {}, "execution_count": 3}]},
            {"cell_type": "code", "id": "b", "source": "never", "execution_count": null, "outputs": []}]}"#;
        let recording = recording_of(Path::new("/w/a.ipynb"), text).unwrap();
        let [one] = recording.executions.as_slice() else { panic!("one") };
        assert_eq!((one.code.as_str(), one.idle.unwrap() - one.sent), ("x = 1\nx", 2_000_000_000));
        assert!(recording_of(Path::new("a"), "{}").is_err());
    }
}
