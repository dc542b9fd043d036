//! A person's walk through JupyterLab and Notebook 7 with the recording kernel, in headless Chromium.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{self, KERNEL, TestEnv};

/// Clicks through `application` with this kernel; what was seen. `None` without a browser.
fn walk_through(env: &TestEnv, python: &Path, kernel: &str, display_name: &str, application: &str) -> Option<Value> {
    if !Path::new("/usr/bin/chromium").exists() {
        support::skipped("no Chromium (/usr/bin/chromium)");
        return None;
    }
    let output = env
        .command(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/lab.py"))
        .args([kernel, display_name])
        .arg(env.work())
        .arg(env.path().join("screenshots"))
        .arg(application)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_str(stdout.lines().last().unwrap()).unwrap())
}

/// What was clicked is what was recorded: the answer that was typed, and the cell that was interrupted.
fn assert_recorded(env: &TestEnv) {
    let sessions: Value = serde_json::from_str(&env.nbpack_ok(&["sessions", "--json"])).unwrap();
    let cells: Vec<String> = sessions
        .as_array()
        .unwrap()
        .iter()
        .map(|session| env.nbpack_ok(&["show", "--cells", "--json", session["id"].as_str().unwrap()]))
        .collect();
    let all = cells.concat();
    for mark in ["hello Ada 5", "KeyboardInterrupt", "after 42"] {
        assert!(all.contains(mark), "`{mark}` is not in the record");
    }
}

fn everything() -> Value {
    json!({"launcher": true, "figure": true, "slider": true, "stdin": true, "interrupt": 1, "breakpoint": true,
        "restart": true})
}

#[test]
fn jupyterlab_cannot_tell_the_recording_kernel_from_the_bare_one() {
    let Some(python) = support::python() else { return };
    let env = TestEnv::new();
    env.install_kernel(&python);
    let Some(saw) = walk_through(&env, &python, KERNEL, "Python 3 (nbpack)", "jupyterlab") else { return };
    assert_eq!(saw, everything());
    assert_recorded(&env);
}

#[test]
fn notebook_7_cannot_tell_the_recording_kernel_from_the_bare_one() {
    let Some(python) = support::python() else { return };
    let env = TestEnv::new();
    env.install_kernel(&python);
    let Some(saw) = walk_through(&env, &python, KERNEL, "Python 3 (nbpack)", "notebook") else { return };
    let mut wanted = everything();
    // The walk does not open its debugger.
    wanted.as_object_mut().unwrap().remove("breakpoint");
    assert_eq!(saw, wanted);
    assert_recorded(&env);
}

#[test]
fn a_restored_kernel_feels_native_in_jupyterlab() {
    let Some(python) = support::python() else { return };
    let env = TestEnv::new();
    let venv = env.small_environment(&python, &["ipykernel", "matplotlib", "ipywidgets"]);
    env.record(&python, "nb.ipynb", &["import matplotlib.pyplot, ipywidgets", "print(6 * 7)"]);
    env.nbpack_ok(&["export", "nb.ipynb", "-o", "b.nbpack"]);
    std::fs::remove_dir_all(venv).unwrap();
    let done = env.nbpack_ok(&["restore", "b.nbpack", "--user", "--name", "walk", "--json", "--force"]);
    let done: Value = serde_json::from_str(&done).unwrap();
    let spec = Path::new(done["kernelspec"].as_str().unwrap()).join("kernel.json");
    let spec: Value = serde_json::from_str(&std::fs::read_to_string(spec).unwrap()).unwrap();
    let name = spec["display_name"].as_str().unwrap();
    let Some(saw) = walk_through(&env, &python, "nbpack-walk", name, "jupyterlab") else { return };
    assert_eq!(saw, everything());
}

/// Walks through the panel in `application` with this kernel; what was not to be seen is missing in the answer.
fn walk_through_panel(env: &TestEnv, python: &Path, application: &str, language: &str, kernel: &str, steps: &[&str]) {
    if !Path::new("/usr/bin/chromium").exists() {
        return support::skipped("no Chromium (/usr/bin/chromium)");
    }
    let output = env
        .command(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/panel.py"))
        .args([application, language, kernel])
        .arg(env.work())
        .arg(env.path().join("screenshots"))
        .args(steps)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let saw: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let mut wanted = json!({"status": true, "inputs": true, "changed file": true, "run again": true,
        "secret": true, "busy": true, "clean": true, "errors": [], "access": []});
    let last: &[&str] = if steps.is_empty() { &["plan"] } else { steps };
    for step in last {
        wanted[step] = true.into();
    }
    assert_eq!(saw, wanted);
}

#[test]
fn the_panel_in_jupyterlab_shows_exports_and_opens() {
    let Some(python) = support::python() else { return };
    let env = TestEnv::new();
    env.small_environment(&python, &["ipykernel"]);
    walk_through_panel(&env, &python, "jupyterlab", "python", KERNEL, &["export", "open", "browse"]);
    env.nbpack_ok(&["verify", "packed.nbpack"]);
    let shown = env.nbpack_ok(&["show", "packed.nbpack", "--cells"]);
    assert!(!shown.contains("AKIAQ3EGRZ5XWV2LMN7P"), "it was to be replaced: {shown}");
}

#[test]
fn the_panel_in_notebook_7_shows_exports_and_opens() {
    let Some(python) = support::python() else { return };
    let env = TestEnv::new();
    env.small_environment(&python, &["ipykernel"]);
    walk_through_panel(&env, &python, "notebook", "python", KERNEL, &["export", "refer", "open"]);
    // The notebook names its bundle, which lies beside it under any name.
    std::fs::rename(env.work().join("packed.nbpack"), env.work().join("other.nbpack")).unwrap();
    env.nbpack_ok(&["rm", "walked"]);
    let restored = env.nbpack_ok(&["restore", "walked.ipynb", "--no-kernel", "--json"]);
    let restored: Value = serde_json::from_str(&restored).unwrap();
    let notebook = std::fs::read_to_string(env.work().join("walked.ipynb")).unwrap();
    assert!(notebook.contains(restored["manifest"].as_str().unwrap()), "{restored} {notebook}");
}

#[test]
fn the_panel_in_jupyterlab_shows_what_an_r_notebook_is_made_of() {
    let Some(python) = support::python() else { return };
    let env = TestEnv::new();
    if !Path::new("/usr/share/jupyter/kernels/ir").is_dir() {
        return support::skipped("no R kernel (r-cran-irkernel)");
    }
    env.nbpack_ok(&["install", "--kernel", "ir", "--user"]);
    walk_through_panel(&env, &python, "jupyterlab", "R", "ir-nbpack", &[]);
}
