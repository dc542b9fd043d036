//! What takes the place of the best way to watch where Linux forbids it: real notebooks, and what the user is told.

use std::path::Path;

use serde_json::Value;

use crate::support::{KERNEL, TestEnv, program, python};

fn script() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forbid.py")
}

/// The recording kernel, started where these ways to watch are forbidden; `env` goes into its kernelspec.
fn forbidding(ways: &str, python: &Path, kernel_env: &Value) -> TestEnv {
    let env = TestEnv::new();
    env.install_kernel(python);
    let spec = env.path().join("data/jupyter/kernels").join(KERNEL).join("kernel.json");
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(&spec).unwrap()).unwrap();
    let argv = json["argv"].as_array_mut().unwrap();
    let before = [python.to_str().unwrap(), script().to_str().unwrap(), ways].map(Value::from);
    *argv = before.into_iter().chain(argv.clone()).collect();
    json["env"] = kernel_env.clone();
    std::fs::write(&spec, json.to_string()).unwrap();
    for (name, content) in INPUTS {
        std::fs::write(env.work().join(name), content).unwrap();
    }
    env
}

const INPUTS: [(&str, &str); 7] = [
    ("a.csv", "a,b\n1,2\n"),
    ("child.txt", "child"),
    ("over.txt", "old"),
    ("gone.txt", "gone"),
    ("local_module.py", "K = 7\n"),
    ("native.txt", "native"),
    ("closed.txt", "closed"),
];

const CELLS: [&str; 8] = [
    "print(open('a.csv').read())",
    "import subprocess, sys; subprocess.run([sys.executable, '-c', \"open('child.txt').read()\"], check=True).returncode",
    "s = open('over.txt').read(); f = open('over.txt', 'w'); f.write('new'); f.close()",
    "import os, pathlib; pathlib.Path('gone.txt').read_text(); os.remove('gone.txt')",
    "import local_module; local_module.K",
    "import ctypes; libc = ctypes.CDLL(None); libc.open(b'native.txt', 0) > 0, libc.close(libc.open(b'closed.txt', 0))",
    "print([path for path in sys.path if 'audit' in path], getattr(sys.modules.get('sitecustomize'), 'MARK', 'none'))",
    "%nbpack status",
];

/// Name, execution and digest of what was read, without the environment's own files.
fn read(shown: &Value) -> Vec<(String, i64, String)> {
    let row = |file: &Value| {
        let name = file["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        (name, file["execution"].as_i64().unwrap_or(0), file["digest"].as_str().unwrap_or("-").to_owned())
    };
    ["datasets", "other_inputs"].iter().flat_map(|list| shown[*list].as_array().unwrap()).map(row).collect()
}

fn has(found: &[(String, i64, String)], name: &str, execution: i64) -> bool {
    let content = INPUTS.iter().find(|(other, _)| *other == name).unwrap().1;
    let digest = nbpack::digest::Digest::of(content.as_bytes()).to_string();
    found.contains(&(name.to_owned(), execution, digest))
}

fn shown(env: &TestEnv) -> Value {
    serde_json::from_str(&env.nbpack_ok(&["show", "--json", "nb.ipynb"])).unwrap()
}

fn printed(env: &TestEnv) -> String {
    String::from_utf8(std::fs::read(env.work().join("nb.ipynb")).unwrap()).unwrap()
}

#[test]
fn a_tracer_takes_over_where_notifications_are_forbidden() {
    let Some(python) = python() else { return };
    let env = forbidding("notify", &python, &serde_json::json!({}));
    env.record(&python, "nb.ipynb", &CELLS);
    let shown = shown(&env);
    assert_eq!(
        (&shown["session"]["coverage"], &shown["facts"]["capture.mechanism"]),
        (&"full".into(), &"ptrace".into())
    );
    let found = read(&shown);
    let expected = ["a.csv", "child.txt", "over.txt", "gone.txt", "local_module.py", "native.txt"];
    for (name, execution) in expected.into_iter().zip(1..) {
        assert!(has(&found, name, execution), "{name} of {execution} is not in {found:?}");
    }
    assert!(has(&found, "closed.txt", 6), "{found:?}");
    assert!(env.nbpack_ok(&["show", "nb.ipynb"]).contains("full (by ptrace)"));
    let doctor = env.command(&python).arg(script()).arg("notify").arg(program()).arg("doctor").output().unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("note  recording of file access: ptrace sees"), "{said}");
}

#[test]
fn python_says_what_it_opens_where_nothing_else_may_watch() {
    let Some(python) = python() else { return };
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("sitecustomize.py"), "MARK = 'the user\\'s own'\n").unwrap();
    let env = forbidding("notify,ptrace", &python, &serde_json::json!({"PYTHONPATH": site.path()}));
    env.record(&python, "nb.ipynb", &CELLS);
    let shown = shown(&env);
    assert_eq!(
        (&shown["session"]["coverage"], &shown["facts"]["capture.mechanism"]),
        (&"python-only".into(), &"audit".into())
    );
    let found = read(&shown);
    let expected = ["a.csv", "child.txt", "over.txt", "gone.txt", "local_module.py", "native.txt"];
    for (name, execution) in expected.into_iter().zip(1..) {
        assert!(has(&found, name, execution), "{name} of {execution} is not in {found:?}");
    }
    // What native code opens and closes within a cell is what cannot be seen: it must not be hidden that it cannot.
    assert!(!has(&found, "closed.txt", 6), "{found:?}");
    assert!(shown["gaps"].to_string().contains("native readers"), "{}", shown["gaps"]);
    let printed = printed(&env);
    assert!(printed.contains("[] the user's own"), "{printed}");
    assert!(printed.contains("python-only (by audit)") && printed.contains("python_only:"), "{printed}");
    let export = env.nbpack(&["export", "nb.ipynb", "--dry-run"]);
    let said = String::from_utf8_lossy(&export.stderr).into_owned();
    assert!(
        export.status.success() && said.contains("coverage: python-only") && said.contains("native readers"),
        "{said}"
    );
    let doctor = env.command(&python).arg(script()).arg("notify,ptrace").arg(program()).arg("doctor").output().unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("FAIL  recording of file access") && said.contains("what Python code opens"), "{said}");
}

#[test]
fn a_python_that_takes_no_orders_from_its_environment_is_seen_all_the_same_but_by_no_hook() {
    let Some(python) = python() else { return };
    let python = &python;
    let run = |flag: &str, ways: &str| {
        let env = TestEnv::new();
        let (wrapped, spec) = (env.path().join("wrapped"), env.path().join("data/jupyter/kernels/isolated"));
        let interpreter = python.to_str().unwrap();
        let write = |dir: &Path, argv: &[&str]| {
            std::fs::create_dir_all(dir).unwrap();
            let json = serde_json::json!({"argv": argv, "display_name": "isolated", "language": "python"});
            std::fs::write(dir.join("kernel.json"), json.to_string()).unwrap();
        };
        write(&wrapped, &[interpreter, flag, "-m", "ipykernel_launcher", "-f", "{connection_file}"]);
        let (script, program) = (script(), program().to_str().unwrap());
        let forbid = [interpreter, script.to_str().unwrap(), ways];
        let kernel = [
            program,
            "kernel",
            "-f",
            "{connection_file}",
            "--wrap",
            "isolated",
            "--wrap-dir",
            wrapped.to_str().unwrap(),
        ];
        write(&spec, &forbid.iter().filter(|_| !ways.is_empty()).chain(&kernel).copied().collect::<Vec<_>>());
        std::fs::write(env.work().join("a.csv"), INPUTS[0].1).unwrap();
        env.record_with(python, "nb.ipynb", "isolated", &["import sys; print(sys.flags)", "open('a.csv').read()"]);
        assert!(printed(&env).contains("ignore_environment=1"), "{}", printed(&env));
        let shown = shown(&env);
        (shown["session"]["coverage"].as_str().unwrap().to_owned(), has(&read(&shown), "a.csv", 2))
    };
    std::thread::scope(|scope| {
        let seen = ["-I", "-E"].map(|flag| scope.spawn(move || run(flag, "")));
        // The hook has not spoken: it must not be said that Python is watched.
        assert_eq!(run("-I", "notify,ptrace").0, "none");
        for seen in seen {
            assert_eq!(seen.join().unwrap(), ("full".to_owned(), true));
        }
    });
}

/// Outputs of every kind, of this process and others, through pipes and terminals; nothing in them may vary.
const SPEAKING: [&str; 7] = [
    "print('plain'); import sys; print('to stderr', file=sys.stderr); 6 * 7",
    "import subprocess; print(subprocess.run(['sh', '-c', 'echo out; echo err >&2; exit 3'], capture_output=True))",
    "!ls / | head -3; echo $0; umask; ulimit -n",
    "open('nothing-here')",
    "from IPython.display import HTML, display; display(HTML('<b>x</b>')); {'b': 1, 'a': {3, 1, 2}}",
    "import os, signal; print(os.path.exists('/proc/self/ns/mnt'), signal.getsignal(signal.SIGPIPE), signal.pthread_sigmask(signal.SIG_BLOCK, []), sorted(os.environ.get('PATH', '').split(':')))",
    "import numpy; print(numpy.arange(3) / 7); sorted(os.listdir('/proc/self/fd')) != []",
];

/// The outputs of a cell as text. Where a stream is cut in two is the kernel's clock's doing: its pieces are put together.
fn said(outputs: &Value) -> String {
    let mut all: Vec<Value> = Vec::new();
    for output in outputs.as_array().unwrap() {
        match all.last_mut() {
            Some(last) if output["output_type"] == "stream" && last["name"] == output["name"] => {
                let more = text(output);
                last["text"] = (text(last) + &more).into();
            }
            _ => {
                let mut output = output.clone();
                if output["output_type"] == "stream" {
                    output["text"] = text(&output).into();
                }
                all.push(output);
            }
        }
    }
    Value::from(all).to_string()
}

fn text(stream: &Value) -> String {
    match &stream["text"] {
        Value::Array(lines) => lines.iter().map(|line| line.as_str().unwrap()).collect(),
        text => text.as_str().unwrap().to_owned(),
    }
}

#[test]
fn a_notebook_says_the_same_bytes_whoever_watches() {
    let Some(python) = python() else { return };
    let python = &python;
    let run = |kernel: &str, ways: Option<&str>| {
        let env = ways.map_or_else(TestEnv::new, |ways| forbidding(ways, python, &serde_json::json!({})));
        if ways.is_none() {
            env.install_kernel(python);
        }
        let notebook = env.record_with(python, "nb.ipynb", kernel, &SPEAKING);
        let json: Value = serde_json::from_slice(&std::fs::read(notebook).unwrap()).unwrap();
        json["cells"].as_array().unwrap().iter().map(|cell| said(&cell["outputs"])).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let watched =
            [None, Some("notify"), Some("notify,ptrace")].map(|ways| (ways, scope.spawn(move || run(KERNEL, ways))));
        let bare = run("python3", None);
        assert!(bare[3].contains("FileNotFoundError"), "{bare:?}");
        for (ways, watched) in watched {
            assert_eq!(watched.join().unwrap(), bare, "{ways:?}");
        }
    });
}
