//! What ended a cell when it was recorded ends it in the replay: an interrupt, a death of the kernel, a restart. And a
//! slider that was moved is moved again.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{KERNEL, TestEnv, python};

/// A small environment, so that an export is quick.
fn prepared() -> Option<(TestEnv, PathBuf)> {
    let (env, python) = (TestEnv::new(), python()?);
    env.small_environment(&python, &["ipykernel", "ipywidgets"]);
    Some((env, python))
}

/// Records the steps (see `tests/stops.py`), exports and replays them; gives exit code and verdicts.
fn replayed(env: &TestEnv, python: &Path, kernel: &str, steps: &Value) -> (Option<i32>, Value) {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stops.py");
    let notebook = env.work().join("nb.ipynb");
    let ran = env.command(python).arg(driver).arg(&notebook).arg(kernel).arg(steps.to_string()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let runs = || {
        let sessions: Value = serde_json::from_str(&env.nbpack_ok(&["sessions", "--json"])).unwrap();
        sessions.as_array().unwrap().iter().any(|session| session["running"] == true)
    };
    while runs() {
        assert!(std::time::Instant::now() < deadline, "the recording does not end");
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    env.nbpack_ok(&["export", "nb.ipynb", "-o", "b.nbpack", "--force"]);
    let output = env.nbpack(&["replay", "--json", "b.nbpack"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let json =
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), json)
}

fn verdicts(json: &Value) -> Vec<&str> {
    json["executions"].as_array().unwrap().iter().map(|one| one["verdict"].as_str().unwrap()).collect()
}

#[test]
fn an_interrupt_comes_again_where_it_came() {
    let Some((env, python)) = prepared() else { return };
    let counting = "import time\nfor n in range(600):\n    print(n, flush=True); time.sleep(0.5)";
    let caught = "try:\n    print('waiting'); time.sleep(60)\nexcept KeyboardInterrupt:\n    print('stopped by hand')";
    let steps = json!([
        {"run": counting, "interrupt": "3\n"},
        {"run": "print('reached', n)"},
        {"run": caught, "interrupt": "waiting"},
        {"run": "!echo started; sleep 60; echo never", "interrupt": "started"},
        {"run": "print('asked'); input('name? ')", "interrupt": "asked"},
        {"run": "1 + 1"},
    ]);
    let (code, json) = replayed(&env, &python, KERNEL, &steps);
    assert_eq!(code, Some(0), "{json}");
    assert!(json["executions"][0]["seconds_replayed"].as_f64().unwrap() < 20.0, "{json}");
    assert_eq!(json["executions"][0]["expected_error"], "KeyboardInterrupt");
    assert!(verdicts(&json).iter().all(|verdict| ["identical", "equivalent"].contains(verdict)), "{json}");
}

#[test]
fn an_interrupt_that_is_caught_this_time_comes_again() {
    let Some((env, python)) = prepared() else { return };
    std::fs::write(env.work().join("how.txt"), "raise").unwrap();
    let steps = json!([{"run": "import time\ncaught = open('how.txt').read() == 'catch'\nprint('waiting', flush=True)\n\
        while True:\n    try: time.sleep(0.1)\n    except KeyboardInterrupt:\n        if not caught: raise\n        caught = False",
        "interrupt": "waiting"}]);
    let (code, json) = replayed(&env, &python, KERNEL, &steps);
    assert_eq!(code, Some(0), "{json}");
    std::fs::write(env.work().join("other.txt"), "catch").unwrap();
    let volume = format!("other.txt:{}:ro", env.work().join("how.txt").display());
    let output = env.nbpack(&["replay", "--json", "-v", &volume, "b.nbpack"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{json}");
    assert_eq!(json["executions"][0]["expected_error"], "KeyboardInterrupt", "{json}");
}

#[test]
fn a_kernel_dies_again_as_it_died() {
    let Some((env, python)) = prepared() else { return };
    for code in [
        "import os; print('going', flush=True); os._exit(3)",
        "import os; os.kill(os.getpid(), 9)",
        "import ctypes; ctypes.string_at(0)",
    ] {
        let steps = json!([{"run": "x = 1; print(x)"}, {"run": code, "dies": true}]);
        let (exit, json) = replayed(&env, &python, KERNEL, &steps);
        assert_eq!(exit, Some(0), "{code}: {json}");
    }
    // The same code that ends otherwise is another result.
    std::fs::write(env.work().join("how.txt"), "3").unwrap();
    let steps = json!([{"run": "import os; os._exit(int(open('how.txt').read()))", "dies": true}]);
    let (exit, json) = replayed(&env, &python, KERNEL, &steps);
    assert_eq!(exit, Some(0), "{json}");
    std::fs::write(env.work().join("other.txt"), "4").unwrap();
    let volume = format!("other.txt:{}:ro", env.work().join("how.txt").display());
    let output = env.nbpack(&["replay", "--json", "-v", &volume, "b.nbpack"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), verdicts(&json)), (Some(1), vec!["error"]), "{json}");
    assert_eq!(json["executions"][0]["differences"][0]["replayed"], "the kernel died with exit code 4");
}

#[test]
fn a_kernel_that_was_told_to_end_in_the_middle_is_told_again() {
    let Some((env, python)) = prepared() else { return };
    let steps = json!([
        {"run": "print('begin')"},
        {"run": "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n\
                 print('endless', flush=True)\nwhile True: time.sleep(0.1)", "end": "endless"},
    ]);
    let (code, json) = replayed(&env, &python, KERNEL, &steps);
    assert_eq!((code, verdicts(&json)), (Some(0), vec!["identical", "identical"]), "{json}");
    assert!(json["notes"].as_array().unwrap().is_empty(), "{json}");
}

#[test]
fn a_kernel_whose_client_was_gone_in_the_middle_is_ended_there_again() {
    let Some((env, python)) = prepared() else { return };
    let steps = json!([
        {"run": "print('begin')"},
        {"run": "import time\nfor n in range(600): print(n, flush=True); time.sleep(0.2)", "lost": "3\n"},
    ]);
    let (code, json) = replayed(&env, &python, KERNEL, &steps);
    assert_eq!(code, Some(0), "{json}");
    assert!(json["executions"][1]["seconds_replayed"].as_f64().unwrap_or_default() < 30.0, "{json}");
    assert!(json["notes"].as_array().unwrap().is_empty(), "{json}");
}

#[test]
fn a_slider_that_was_moved_is_moved_again_and_widgets_are_compared_by_their_state() {
    let Some((env, python)) = prepared() else { return };
    std::fs::write(env.work().join("factor.txt"), "2").unwrap();
    let make = "import ipywidgets as w\nfactor = int(open('factor.txt').read())\n\
                s = w.IntSlider(description='s'); label = w.Label(description='l')\n\
                s.observe(lambda change: setattr(label, 'value', f'is {change.new * factor}'), 'value')\n\
                w.VBox([s, label])";
    let steps = json!([{"run": make}, {"slide": "s", "to": 21}, {"run": "print(label.value)"}]);
    let (code, json) = replayed(&env, &python, KERNEL, &steps);
    assert_eq!((code, verdicts(&json)), (Some(0), vec!["equivalent", "identical"]), "{json}");
    assert!(json["notes"].as_array().unwrap().is_empty(), "{json}");

    std::fs::write(env.work().join("other.txt"), "3").unwrap();
    let volume = format!("other.txt:{}:ro", env.work().join("factor.txt").display());
    let output = env.nbpack(&["replay", "--json", "-v", &volume, "b.nbpack"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), verdicts(&json)), (Some(1), vec!["changed", "changed"]), "{json}");
    let first = &json["executions"][0]["differences"][0];
    assert_eq!((&first["recorded"], &first["replayed"]), (&json!("is 42"), &json!("is 63")), "{json}");
}

#[test]
fn a_password_typed_into_a_widget_is_in_no_record() {
    let Some((env, python)) = prepared() else { return };
    let make = "import ipywidgets as w\np = w.Password(description='p')\np";
    let steps = json!([{"run": make}, {"slide": "p", "to": "hunter-zwei-22"}, {"run": "print(len(p.value))"}]);
    let (code, json) = replayed(&env, &python, KERNEL, &steps);
    assert_eq!(code, Some(1), "{json}");
    assert!(json["notes"].to_string().contains("a password was typed into a widget"), "{json}");
    let mut places = vec![env.path().join("data")];
    while let Some(place) = places.pop() {
        if place.is_dir() {
            places.extend(std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()));
        } else if place.metadata().is_ok_and(|found| found.is_file() && found.len() < 50_000_000) {
            let bytes = std::fs::read(&place).unwrap_or_default();
            assert!(memchr::memmem::find(&bytes, b"hunter-zwei").is_none(), "{}", place.display());
        }
    }
}
