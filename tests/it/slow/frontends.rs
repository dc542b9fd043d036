//! Front ends other than the browser: each runs cells with the recording kernel, and its session is in the record.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{self, KERNEL, TestEnv};

/// Runs `tests/frontends.py HOW`; gives what it saw and the sessions, oldest first.
fn try_one(how: &str) -> Option<(Value, Vec<Value>)> {
    let python = support::python()?;
    let env = TestEnv::new();
    env.install_kernel(&python);
    let output = env
        .command(&python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frontends.py"))
        .args([how, KERNEL])
        .arg(env.work())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{how}: {stdout}{}", String::from_utf8_lossy(&output.stderr));
    let saw = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let mut sessions: Vec<Value> = serde_json::from_str(&env.nbpack_ok(&["sessions", "--json"])).unwrap();
    sessions.sort_by_key(|session| session["id"].as_str().unwrap().to_owned());
    for session in &mut sessions {
        let id = session["id"].as_str().unwrap();
        let shown: Value = serde_json::from_str(&env.nbpack_ok(&["show", "--cells", "--json", id])).unwrap();
        session["said"] = shown["executions"].to_string().contains("said 42").into();
        let notebook =
            session["notebook"].as_str().map(|path| path == env.work().join("tried.ipynb").to_str().unwrap());
        session["right_notebook"] = notebook.into();
    }
    Some((saw, sessions))
}

/// One session that holds what was printed; and, where the front end tells it, the notebook.
fn one_session(how: &str, saw: &Value, notebook: Option<&str>) {
    let Some((seen, sessions)) = try_one(how) else { return };
    assert_eq!(seen, *saw);
    let [session] = sessions.as_slice() else { panic!("{how}: {sessions:#?}") };
    assert_eq!(session["said"], true, "{session:#}");
    assert_eq!(
        (session["notebook_source"].as_str(), session["right_notebook"].as_bool()),
        (notebook, notebook.map(|_| true))
    );
}

#[test]
fn papermill() {
    one_session("papermill", &json!({"said": ["said 42\n"]}), Some("papermill"));
}

#[test]
fn nbconvert() {
    one_session("nbconvert", &json!({"said": ["said 42\n"]}), Some("nbconvert"));
}

#[test]
fn jupyter_console() {
    one_session("console", &json!({"said": ["said 42\n"]}), None);
}

#[test]
fn the_way_of_vs_code() {
    let saw = json!({"said": ["said 42\n", "sleeping\n", "after\n"], "errors": ["KeyboardInterrupt"]});
    one_session("vscode", &saw, Some("vscode"));
}

#[test]
fn jupyter_server_rest_and_websocket_with_a_restart() {
    let Some((saw, sessions)) = try_one("server") else { return };
    assert_eq!(saw, json!({"said": ["said 42\n", "False\n"]}));
    // A restarted kernel is a session of its own, of the same notebook.
    assert_eq!(sessions.len(), 2, "{sessions:#?}");
    assert_eq!((&sessions[0]["said"], &sessions[1]["said"]), (&json!(true), &json!(false)));
    for session in &sessions {
        assert_eq!(session["right_notebook"], true, "{session:#}");
    }
}
