//! `kill -9` of everything at a random moment loses no execution that a frontend saw finished.

use crate::support::{self, TestEnv};

#[test]
fn every_execution_whose_reply_was_seen_survives_kill_9() {
    let Some(python) = support::python() else { return };
    let env = TestEnv::new();
    env.install_kernel(&python);
    let output = env
        .command(&python)
        .arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kills.py"))
        .arg(support::program())
        .arg("20")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("lost 0 of "), "{stdout}");
}
