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
