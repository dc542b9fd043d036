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
