//! What the proxy answers a panel in the frontend, of real kernels, and the panel's built files.

use std::path::Path;

use nbpack::digest::Digest;
use serde_json::{Value, json};

use crate::support::{KERNEL, TestEnv, python, skipped};

/// Runs the steps (`tests/panel.py`) and gives the answers in order.
pub(crate) fn drive(env: &TestEnv, python: &Path, notebook: &str, kernel: &str, steps: &[Value]) -> Vec<Value> {
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/panel.py");
    let steps = steps.iter().map(Value::to_string);
    let output = env
        .command(python)
        .arg(driver)
        .args([env.work().join(notebook).to_str().unwrap(), kernel])
        .args(steps)
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The kinds of reasons why a cell's output is out of date.
pub(crate) fn kinds(standing: &Value) -> Vec<&str> {
    standing["reasons"].as_array().unwrap().iter().map(|reason| reason["kind"].as_str().unwrap()).collect()
}

#[test]
fn the_panel_sees_what_was_recorded_and_leaves_no_trace_in_it() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    env.install_kernel(&python);
    std::fs::write(env.work().join("data.csv"), "1,2\n").unwrap();
    let cells = json!([["a", "x = open('data.csv').read()"], ["b", "y = x + '!'\nprint(y)"], ["c", "z = 1"]]);
    let steps = [
        json!({"run": "x = open('data.csv').read()", "cell": "a"}),
        json!({"run": "y = x + '!'\nprint(y)", "cell": "b"}),
        json!({"run": "z = 1\nopen('out.txt', 'w').write('done')", "cell": "c"}),
        json!({"ask": "status"}),
        json!({"ask": "cells", "cells": cells, "secrets": true}),
        json!({"ask": "inputs"}),
        json!({"write": env.work().join("data.csv"), "text": "1,2,3\n"}),
        json!({"ask": "cells", "cells": cells}),
        json!({"run": "x = open('data.csv').read()", "cell": "a"}),
        json!({"ask": "cells", "cells": cells}),
        json!({"start": "print('runs', flush=True)\nimport time\ntime.sleep(600)"}),
        json!({"ask": "status"}),
        json!({"ask": "cells"}),
        json!({"ask": "nothing of the kind"}),
    ];
    let answers = drive(&env, &python, "nb.ipynb", KERNEL, &steps);
    let [status, fresh, inputs, changed, again, busy, running, unknown] = answers.as_slice() else {
        panic!("{answers:?}")
    };
    let status = &status["result"];
    assert_eq!(
        (&status["recording"], &status["executions"], &status["coverage"]),
        (&true.into(), &3.into(), &"full".into()),
        "{status}"
    );
    assert_eq!((&status["warnings"], &status["gaps"]), (&json!([]), &json!([])), "{status}");
    assert!(status["bytes"].as_u64().unwrap() > 1000, "{status}");

    let standings = |answer: &Value| answer["result"]["cells"].as_array().unwrap().clone();
    assert_eq!(fresh["result"]["secrets"], json!([]), "{fresh}");
    for standing in standings(fresh) {
        assert_eq!(kinds(&standing), [""; 0], "{standing}");
    }
    let inputs = &inputs["result"];
    let file = |name: &str| inputs["files"].as_array().unwrap().iter().find(|file| file["shown"] == name).cloned();
    let data = file("data.csv").unwrap();
    assert_eq!((&data["role"], &data["size"]), (&"read".into(), &4.into()), "{data}");
    assert_eq!(data["digest"], Digest::of(b"1,2\n").to_string());
    assert_eq!(data["read_by"], json!([{"cell": "a", "count": 1}]), "{data}");
    assert_eq!(file("out.txt").unwrap()["written_by"], json!([{"cell": "c", "count": 3}]), "{inputs}");
    let libraries = inputs["libraries"].as_array().unwrap();
    assert!(libraries.iter().any(|library| library["name"] == "ipykernel"), "{libraries:?}");

    let changed = standings(changed);
    assert_eq!((kinds(&changed[0]), kinds(&changed[1])), (vec!["file"], vec!["upstream"]), "{changed:?}");
    let again = standings(again);
    let of = |cell: &str| again.iter().find(|standing| standing["cell"] == cell).unwrap();
    assert_eq!((kinds(of("a")), kinds(of("b"))), (vec![], vec!["rerun"]), "{again:?}");

    assert!(busy["seconds"].as_f64().unwrap() < 5.0 && busy["result"]["inputs_kept"].as_u64().unwrap() >= 1, "{busy}");
    let running = standings(running);
    assert!(running.iter().any(|standing| standing["cell"] == "started" && standing["running"] == true), "{running:?}");
    assert!(unknown["error"]["message"].as_str().unwrap().contains("does not know"), "{unknown}");

    // Neither the record nor the notebook holds anything of it.
    let shown = env.nbpack_ok(&["show", "nb.ipynb", "--json", "--cells", "--lineage"]);
    assert!(!shown.contains("\"ask\"") && !shown.contains("comm_"), "{shown}");
    let notebook = std::fs::read_to_string(env.work().join("nb.ipynb")).unwrap();
    assert!(!notebook.contains("nbpack") && !notebook.contains(env.work().to_str().unwrap()), "{notebook}");
}

#[test]
fn the_panel_answers_before_a_kernel_that_knows_no_comms() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    let bin = python.parent().unwrap();
    if !bin.parent().unwrap().join("share/jupyter/kernels/bash").is_dir()
        && !env
            .command(&python)
            .args(["-m", "bash_kernel.install", "--user"])
            .status()
            .is_ok_and(|status| status.success())
    {
        return skipped("no bash kernel");
    }
    let installed = env
        .command(crate::support::program())
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()))
        .env("VIRTUAL_ENV", bin.parent().unwrap())
        .args(["install", "--kernel", "bash", "--user"])
        .output()
        .unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let steps = [
        json!({"run": "x=1; echo $x", "cell": "a"}),
        json!({"start": "echo runs; sleep 100"}),
        json!({"ask": "status"}),
        json!({"ask": "cells"}),
    ];
    let answers = drive(&env, &python, "nb.ipynb", "bash-nbpack", &steps);
    assert!(answers[0]["seconds"].as_f64().unwrap() < 5.0, "{answers:?}");
    assert_eq!((&answers[0]["result"]["recording"], &answers[0]["result"]["executions"]), (&true.into(), &2.into()));
    assert_eq!(answers[1]["result"]["cells"][0]["cell"], "a", "{answers:?}");
}

#[test]
fn the_built_extension_belongs_to_its_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = root.join("labextension");
    let mut names: Vec<String> = ["build", "package.json", "package-lock.json", "tsconfig.json", "core/package.json"]
        .map(str::to_owned)
        .to_vec();
    for dir in ["src", "style"] {
        let listing = std::fs::read_dir(sources.join(dir)).unwrap();
        names.extend(listing.map(|entry| format!("{dir}/{}", entry.unwrap().file_name().to_str().unwrap())));
    }
    names.sort();
    let line = |name: &String| format!("{name} {}\n", Digest::of(&std::fs::read(sources.join(name)).unwrap()).hex());
    let list: String = names.iter().map(line).collect();
    let built = root.join("kernelspec/data/share/jupyter/labextensions/nbpack");
    let package: Value = serde_json::from_slice(&std::fs::read(built.join("package.json")).unwrap()).unwrap();
    assert_eq!(
        package["sources"],
        Digest::of(list.as_bytes()).hex(),
        "run labextension/build and commit what it writes"
    );
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    assert!(built.join(package["jupyterlab"]["_build"]["load"].as_str().unwrap()).is_file());

    // Nothing of the machine that built it, and no registry: dependencies are named, not located.
    let foreign = ["http://", "https://", "/work/", "/home/", "/root/"];
    let lock = std::fs::read_to_string(sources.join("package-lock.json")).unwrap();
    assert!(!lock.contains("\"resolved\""));
    let mut all = vec![built];
    while let Some(path) = all.pop() {
        if path.is_dir() {
            all.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        assert_ne!(path.extension().unwrap(), "map");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for word in foreign {
            assert!(!text.contains(word), "`{word}` in {}", path.display());
        }
    }
}

#[test]
fn install_brings_the_extension_and_uninstall_takes_it_with_the_last_kernel() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    env.install_kernel(&python);
    let extension = env.path().join("data/jupyter/labextensions/nbpack");
    let package: Value = serde_json::from_slice(&std::fs::read(extension.join("package.json")).unwrap()).unwrap();
    assert!(extension.join(package["jupyterlab"]["_build"]["load"].as_str().unwrap()).is_file());
    let listed = env.command(&python).args(["-m", "jupyterlab.labextensions", "list"]).output().unwrap();
    let listed = String::from_utf8_lossy(&[listed.stdout, listed.stderr].concat()).into_owned();
    assert!(listed.lines().any(|line| line.contains("nbpack v") && line.contains("OK")), "{listed}");

    // Another version of it is replaced, file by file.
    std::fs::write(extension.join("static/old.js"), "").unwrap();
    std::fs::write(extension.join("package.json"), "{}").unwrap();
    let second = env
        .command(crate::support::program())
        .env("PATH", format!("{}:/usr/bin:/bin", python.parent().unwrap().display()))
        .args(["install", "--name", "second", "--user", "--json"])
        .output()
        .unwrap();
    let second: Value = serde_json::from_slice(&second.stdout).unwrap();
    assert_eq!(second["labextension"], extension.to_str().unwrap());
    assert!(!extension.join("static/old.js").exists());
    let left = std::fs::read_dir(extension.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "only the extension itself");

    env.nbpack_ok(&["uninstall", "--user", "--name", "second"]);
    assert!(extension.is_dir(), "a kernel is left");
    env.nbpack_ok(&["uninstall", "--user"]);
    assert!(!extension.exists());
}
