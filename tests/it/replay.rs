//! Promises of `diff`, `why` and `report`, on notebook files. What needs a recorded kernel is in `slow/replay.rs`.

use crate::support::TestEnv;

/// A notebook with one executed cell for each (code, text on stdout).
fn notebook(env: &TestEnv, name: &str, cells: &[(&str, &str)]) {
    let cells: Vec<serde_json::Value> = cells
        .iter()
        .enumerate()
        .map(|(number, (code, text))| {
            serde_json::json!({"cell_type": "code", "id": format!("c{number}"), "source": code, "metadata": {},
                "execution_count": number + 1,
                "outputs": [{"output_type": "stream", "name": "stdout", "text": text}]})
        })
        .collect();
    let notebook = serde_json::json!({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells});
    std::fs::write(env.work().join(name), notebook.to_string()).unwrap();
}

#[test]
fn the_exit_code_of_diff_tells_same_different_and_cannot_tell() {
    let env = TestEnv::new();
    notebook(&env, "a.ipynb", &[("print(x)", "1.5\n"), ("print(o)", "<object object at 0x7f3a1c0b5d30>\n")]);
    notebook(&env, "b.ipynb", &[("print(x)", "1.5\n"), ("print(o)", "<object object at 0x7fe211aa0130>\n")]);
    notebook(&env, "c.ipynb", &[("print(x)", "1.6\n"), ("print(o)", "<object object at 0x7f3a1c0b5d30>\n")]);
    assert_eq!(env.nbpack(&["diff", "a.ipynb", "b.ipynb"]).status.code(), Some(0));
    let different = env.nbpack(&["diff", "a.ipynb", "c.ipynb"]);
    let text = String::from_utf8_lossy(&different.stdout).into_owned();
    assert_eq!(different.status.code(), Some(1), "{text}");
    assert!(text.contains("cell   1") && text.contains("1.5 -> 1.6") && !text.contains("cell   2"), "{text}");
    let missing = env.nbpack(&["diff", "a.ipynb", "nowhere"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("hint: "));
}

#[test]
fn a_users_own_normaliser_is_taken_from_nbpack_toml() {
    let env = TestEnv::new();
    notebook(&env, "a.ipynb", &[("submit()", "job-17 queued\n")]);
    notebook(&env, "b.ipynb", &[("submit()", "job-988 queued\n")]);
    assert_eq!(env.nbpack(&["diff", "a.ipynb", "b.ipynb"]).status.code(), Some(1));
    let rule = "[[normalise]]\nname = \"job\"\npattern = \"job-[0-9]+\"\nreplace = \"job\"\n";
    std::fs::write(env.work().join("nbpack.toml"), rule).unwrap();
    let output = env.nbpack(&["diff", "--json", "a.ipynb", "b.ipynb"]);
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["outputs"][0]["equal_after"]["job"], 1);
}

#[test]
fn why_names_the_cells_behind_an_output_and_report_writes_one_page() {
    let env = TestEnv::new();
    notebook(&env, "a.ipynb", &[("x = 2", ""), ("y = 3", ""), ("z = x + 1", ""), ("print(z)", "3\n")]);
    let text = env.nbpack_ok(&["why", "a.ipynb", "4:1"]);
    assert!(text.contains("cell   1") && text.contains("cell   3") && !text.contains("cell   2"), "{text}");
    assert_eq!(env.nbpack(&["why", "a.ipynb", "9"]).status.code(), Some(2));
    env.nbpack_ok(&["report", "a.ipynb", "-o", "r.html"]);
    let page = std::fs::read_to_string(env.work().join("r.html")).unwrap();
    assert!(page.contains("Content-Security-Policy") && !page.contains("<script") && !page.contains("://"), "one page");
}

/// `(source, what it printed)` of every code cell.
fn printed(path: &std::path::Path) -> Vec<(String, String)> {
    let notebook: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let text = |value: &serde_json::Value| match value.as_array() {
        Some(lines) => lines.iter().map(|line| line.as_str().unwrap()).collect(),
        None => value.as_str().unwrap_or_default().to_owned(),
    };
    let cells = notebook["cells"].as_array().unwrap().iter().filter(|cell| cell["cell_type"] == "code");
    cells.map(|cell| (text(&cell["source"]), text(&cell["outputs"][0]["text"]))).collect()
}

#[test]
fn a_batch_runs_the_notebook_with_parameters_and_stops_at_the_first_failure() {
    let Some(python) = crate::support::python() else { return };
    let env = TestEnv::new();
    env.small_environment(&python, &["ipykernel"]);
    std::fs::write(env.work().join("a.csv"), "a\n1\n2\n").unwrap();
    let path = env.record(&python, "job.ipynb", &["n = 1", "print(open('a.csv').read().split()[n])", "1 / (n - 2)"]);
    // The tag is put into the file, as a person does it.
    let mut notebook: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    notebook["cells"][0]["metadata"]["tags"] = serde_json::json!(["parameters"]);
    std::fs::write(&path, notebook.to_string()).unwrap();
    env.nbpack_ok(&["export", "job.ipynb", "-o", "b.nbpack"]);
    std::fs::remove_file(env.work().join("a.csv")).unwrap();

    env.nbpack_ok(&["batch", "b.nbpack", "-o", "plain.ipynb"]);
    assert_eq!(printed(&env.work().join("plain.ipynb"))[1].1, "1\n");

    let failed = env.nbpack(&["batch", "b.nbpack", "-p", "n=2", "-o", "two.ipynb"]);
    let said = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(said.contains("cell 4 of 4 failed: ZeroDivisionError") && said.contains("two.ipynb"), "{said}");
    let cells = printed(&env.work().join("two.ipynb"));
    assert_eq!((cells[1].0.as_str(), cells[2].1.as_str()), ("# Parameters\nn = 2\n", "2\n"), "{cells:?}");

    // Newer data in the place of the recorded; then a cell that fails keeps the ones after it from running.
    std::fs::write(env.work().join("new.csv"), "a\n7\n").unwrap();
    let volume = format!("new.csv:{}:ro", env.work().join("a.csv").display());
    env.nbpack_ok(&["batch", "b.nbpack", "-v", &volume, "-o", "new.ipynb"]);
    assert_eq!(printed(&env.work().join("new.ipynb"))[1].1, "7\n");
    let failed = env.nbpack(&["batch", "b.nbpack", "-v", &volume, "-p", "n=2", "-o", "short.ipynb"]);
    let said = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(said.contains("cell 3 of 4 failed: IndexError"), "{said}");
    assert_eq!(printed(&env.work().join("short.ipynb"))[3].1, "", "what comes after a failure was run");
    assert_eq!(env.nbpack(&["batch", "b.nbpack", "-p", "n"]).status.code(), Some(2));
}
