//! Bad input ends in a clear error (or, while recording, in a recorded warning), and nothing is lost.
//!
//! Other rows of the same table lie with their parts: a kernel that dies at its start and an environment without
//! Jupyter in `kernel.rs`, damaged bundles and other processors in `restore.rs` and `bundle.rs`, forbidden namespaces
//! in `container.rs`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::{KERNEL, TestEnv, program, python, skipped};

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Exit code 2, one `error:`, no panic.
fn assert_refused(output: &Output, word: &str) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: ") && !said.contains("panicked"), "{said}");
    assert!(said.contains(word), "`{word}` is missing in: {said}");
}

const CONNECTION: &str = r#"{"transport": "ipc", "ip": "IP", "shell_port": 1, "iopub_port": 2, "stdin_port": 3,
    "control_port": 4, "hb_port": 5, "key": "k", "signature_scheme": "hmac-sha256", "kernel_name": "x"}"#;

#[test]
fn a_broken_connection_file_is_named() {
    let env = TestEnv::new();
    let whole = CONNECTION.replace("IP", &env.path().join("run/c").display().to_string());
    let broken = [
        ("missing.json", None, "missing.json"),
        ("empty.json", Some(String::new()), "empty.json"),
        ("cut.json", whole.split_once("control_port").map(|(begin, _)| begin.to_owned()), "cut.json"),
        ("list.json", Some("[1, 2]".to_owned()), "list.json"),
        ("port.json", Some(whole.replace("\"hb_port\": 5", "\"hb_port\": 70000")), "port.json"),
        ("scheme.json", Some(whole.replace("hmac-sha256", "rot13")), "rot13"),
    ];
    for (name, text, word) in broken {
        if let Some(text) = text {
            std::fs::write(env.work().join(name), text).unwrap();
        }
        assert_refused(&env.nbpack(&["kernel", "-f", name, "--wrap", "python3"]), word);
    }
    assert!(!env.path().join("data/nbpack/v1/sessions").exists(), "a session was begun");
}

#[test]
fn a_wrapped_kernel_that_is_gone_is_named_with_the_remedy() {
    let env = TestEnv::new();
    let whole = CONNECTION.replace("IP", &env.path().join("run/c").display().to_string());
    std::fs::write(env.work().join("c.json"), whole).unwrap();
    let output = env.nbpack(&["kernel", "-f", "c.json", "--wrap", "nosuch"]);
    assert_refused(&output, "nosuch");
    assert!(said(&output).contains("hint: run `nbpack install` again"), "{}", said(&output));
    assert_refused(&env.nbpack(&["install", "--kernel", "nosuch", "--user"]), "nosuch");
}

/// Runs `command` where `dir` is a file system of `size` in memory, and gives what lies in it at the end on stdout.
fn on_small_disk(env: &TestEnv, command: Command, dir: &Path, size: &str) -> Option<(Output, Vec<PathBuf>)> {
    let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let can = Command::new("unshare").args(user).args(["--mount", "true"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        skipped("no mount namespace");
        return None;
    }
    std::fs::create_dir_all(dir).unwrap();
    let list = env.path().join("list");
    let script = "mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" || exit 99; list=$3; dir=$2; shift 3; \"$@\"; code=$?; \
                  find \"$dir\" >\"$list\"; exit $code";
    let mut around = env.command("unshare");
    around.args(user).args(["--mount", "--propagation", "private", "sh", "-c", script, "-", size]).arg(dir).arg(&list);
    around.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        around.env(name, value.unwrap());
    }
    let output = around.output().unwrap();
    assert_ne!(output.status.code(), Some(99), "{}", said(&output));
    let listed = std::fs::read_to_string(list).unwrap();
    Some((output, listed.lines().map(PathBuf::from).filter(|path| path != dir).collect()))
}

#[test]
fn the_notebook_runs_on_when_the_disk_of_its_record_is_full() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    env.install_kernel(&python);
    let notebook = env.work().join("nb.ipynb");
    let mut command = env.command(&python);
    command.env("JUPYTER_PREFER_ENV_PATH", "0");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/record.py")).arg(&notebook).arg(KERNEL);
    // More than the disk holds, then what must still work.
    command.args(["import os\nprint(os.urandom(1500000).hex())", "open('out.txt', 'w').write('x')", "print(6 * 7)"]);
    let store = env.path().join("data/nbpack");
    let Some((output, _)) = on_small_disk(&env, command, &store, "1m") else { return };
    let words = said(&output);
    assert!(output.status.success(), "{words}");
    let run: serde_json::Value = serde_json::from_slice(&std::fs::read(&notebook).unwrap()).unwrap();
    let printed = |cell: usize| -> String {
        let text = &run["cells"][cell]["outputs"][0]["text"];
        text.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
    };
    assert_eq!(printed(2), "42\n", "{words}");
    assert_eq!(printed(0).len(), 3_000_001);
    let warnings: Vec<&str> = words.lines().filter(|line| line.starts_with("nbpack: ")).collect();
    assert_eq!(warnings.len(), 1, "{words}");
    assert!(warnings[0].contains("No space left on device") && !words.contains("panicked"), "{words}");
}

#[test]
fn a_full_disk_leaves_no_half_bundle_and_no_half_layer() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    env.small_environment(&python, &["ipykernel"]);
    env.record(&python, "nb.ipynb", &["print(1)"]);
    let nbpack = |args: &[&str]| {
        let mut command = env.command(program());
        command.args(args);
        command
    };
    let small = env.work().join("small");
    let target = small.join("b.nbpack");
    let export = nbpack(&["export", "nb.ipynb", "-o", target.to_str().unwrap()]);
    let Some((output, left)) = on_small_disk(&env, export, &small, "3m") else { return };
    assert_refused(&output, "No space left on device");
    assert!(left.is_empty(), "the export left {left:?}");

    env.nbpack_ok(&["export", "nb.ipynb", "-o", "b.nbpack"]);
    let data = env.path().join("data");
    let restore = nbpack(&["restore", "b.nbpack", "--no-kernel", "--notebook", "-"]);
    let (output, left) = on_small_disk(&env, restore, &data, "16m").unwrap();
    assert_refused(&output, "No space left on device");
    assert!(said(&output).contains("hint: free some space"), "{}", said(&output));
    let store = data.join("nbpack/v1");
    let below = |name: &str| left.iter().filter(|path| path.parent() == Some(&store.join(name))).count();
    assert_eq!((below("tmp"), below("refs")), (0, 0), "{left:?}");
    for layer in left.iter().filter(|path| path.parent() == Some(&store.join("layers/sha256"))) {
        assert!(left.contains(&layer.join("meta.json")), "half a layer: {}", layer.display());
    }
}

#[test]
fn input_too_large_to_be_kept_that_changed_is_named_at_export() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    env.install_kernel(&python);
    // Holes take no room; what the recorder would have to copy while the notebook waits is over its limit.
    let large = std::fs::File::create(env.work().join("large.bin")).unwrap();
    large.set_len((1 << 30) + 4096).unwrap();
    let read = "with open('large.bin', 'rb') as f: print(len(f.read(10)))";
    let change = "with open('large.bin', 'r+b') as f: print(f.write(b'changed'))";
    env.record(&python, "nb.ipynb", &[read, change]);
    let output = env.nbpack(&["export", "nb.ipynb", "-o", "b.nbpack", "--dry-run"]);
    assert!(output.status.success(), "{}", said(&output));
    let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), said(&output));
    assert!(all.lines().any(|line| line.contains("large.bin") && line.contains("changed")), "{all}");
    assert!(!all.contains("panicked"));
}

#[test]
fn a_dataset_that_cannot_be_read_any_more_keeps_its_digest_or_is_named() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    env.install_kernel(&python);
    std::fs::write(env.work().join("a.csv"), "a\n1\n").unwrap();
    let cell = "import os\nprint(open('a.csv').read())\nos.chmod('a.csv', 0)";
    env.record(&python, "nb.ipynb", &[cell, "print(2)"]);
    let shown: serde_json::Value = serde_json::from_str(&env.nbpack_ok(&["show", "nb.ipynb", "--json"])).unwrap();
    let datasets = shown["datasets"].as_array().unwrap();
    let kept =
        datasets.iter().any(|one| one["path"].as_str().unwrap().ends_with("/a.csv") && one["digest"].is_string());
    let output = env.nbpack(&["export", "nb.ipynb", "-o", "b.nbpack", "--dry-run"]);
    let words = said(&output);
    assert!(output.status.success() && !words.contains("panicked"), "{words}");
    assert!(kept || words.contains("a.csv"), "neither kept nor named: {shown:#}\n{words}");
}
