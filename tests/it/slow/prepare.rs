//! Layers that are made while the kernel idles.

use std::path::Path;

use crate::support::{KERNEL, TestEnv, python};

/// Runs a session that idles for at most so many seconds; gives how many layers were made meanwhile.
fn idled(env: &TestEnv, python: &Path, prepare: &str, seconds: &str) -> usize {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prepare.py");
    let output = env
        .command(python)
        .env("NBPACK_PREPARE", prepare)
        .args([&script, &env.work().join("nb.ipynb")])
        .arg(KERNEL)
        .arg(env.path().join("data/nbpack/v1/index"))
        .args([seconds, "import jedi, psutil"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.trim().strip_prefix("ok ").unwrap_or_else(|| panic!("{said}")).parse().unwrap()
}

#[test]
fn an_idle_kernel_has_the_layers_of_its_libraries_made() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    env.small_environment(&python, &["ipykernel"]);
    assert_eq!(idled(&env, &python, "off", "3"), 0);
    // A machine that is busy with other work makes a process of the lowest priority wait.
    let made = idled(&env, &python, "0.5", "100");
    assert!(made > 0, "no layer was made");
    let plan = env.nbpack_ok(&["export", "nb.ipynb", "--dry-run", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let reused = plan.as_array().unwrap().iter().filter(|layer| layer["reused"] == true).count();
    assert!(reused >= made, "{reused} of {made} layers were used: {plan}");
    let said = env.nbpack_ok(&["export", "nb.ipynb", "-o", "prepared.nbpack", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    // What was made beforehand is what an export makes.
    for part in ["index", "blobs"] {
        std::fs::rename(env.path().join("data/nbpack/v1").join(part), env.path().join(part)).unwrap();
    }
    let again = env.nbpack_ok(&["export", "nb.ipynb", "-o", "fresh.nbpack", "--json"]);
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!(said["manifest"], again["manifest"]);
}
