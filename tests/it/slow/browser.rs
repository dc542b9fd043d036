//! A person's walk through JupyterLab with the recording kernel, in headless Chromium.

use std::path::Path;

use crate::support::{self, KERNEL, TestEnv};

#[test]
fn jupyterlab_cannot_tell_the_recording_kernel_from_the_bare_one() {
    let Some(python) = support::python() else { return };
    if !Path::new("/usr/bin/chromium").exists() {
        return support::skipped("no Chromium (/usr/bin/chromium)");
    }
    let env = TestEnv::new();
    env.install_kernel(&python);
    let output = env
        .command(&python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/lab.py"))
        .args([KERNEL, "Python 3 (nbpack)"])
        .arg(env.work())
        .arg(env.path().join("screenshots"))
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let saw: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        saw,
        serde_json::json!({"launcher": true, "figure": true, "slider": true, "stdin": true, "interrupt": 1,
            "breakpoint": true, "restart": true})
    );
    // What was clicked is what was recorded: the answer that was typed, and the cell that was interrupted.
    let sessions: serde_json::Value = serde_json::from_str(&env.nbpack_ok(&["sessions", "--json"])).unwrap();
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

#[test]
fn notebook_7_cannot_tell_the_recording_kernel_from_the_bare_one() {
    let Some(python) = support::python() else { return };
    if !Path::new("/usr/bin/chromium").exists() {
        return support::skipped("no Chromium (/usr/bin/chromium)");
    }
    let env = TestEnv::new();
    env.install_kernel(&python);
    let output = env
        .command(&python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/lab.py"))
        .args([KERNEL, "Python 3 (nbpack)"])
        .arg(env.work())
        .arg(env.path().join("screenshots"))
        .arg("notebook")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let saw: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let all = ["launcher", "figure", "slider", "stdin", "restart"];
    assert!(all.iter().all(|step| saw[step] == true) && saw["interrupt"] == 1, "{saw}");
    let shown = env.nbpack_ok(&["show", "--cells", "clicked.ipynb"]);
    assert!(!shown.is_empty());
}

#[test]
fn a_restored_kernel_feels_native_in_jupyterlab() {
    let Some(python) = support::python() else { return };
    if !Path::new("/usr/bin/chromium").exists() {
        return support::skipped("no Chromium (/usr/bin/chromium)");
    }
    let env = TestEnv::new();
    let venv = env.small_environment(&python, &["ipykernel", "matplotlib", "ipywidgets"]);
    env.record(&python, "nb.ipynb", &["import matplotlib.pyplot, ipywidgets", "print(6 * 7)"]);
    env.nbpack_ok(&["export", "nb.ipynb", "-o", "b.nbpack"]);
    std::fs::remove_dir_all(venv).unwrap();
    let done = env.nbpack_ok(&["restore", "b.nbpack", "--user", "--name", "walk", "--json", "--force"]);
    let done: serde_json::Value = serde_json::from_str(&done).unwrap();
    let spec = Path::new(done["kernelspec"].as_str().unwrap()).join("kernel.json");
    let spec: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(spec).unwrap()).unwrap();
    let output = env
        .command(&python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/lab.py"))
        .args(["nbpack-walk", spec["display_name"].as_str().unwrap()])
        .arg(env.work())
        .arg(env.path().join("screenshots"))
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let saw: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        saw,
        serde_json::json!({"launcher": true, "figure": true, "slider": true, "stdin": true, "interrupt": 1,
            "breakpoint": true, "restart": true})
    );
}
