//! A real kernel under the recorder, driven by Jupyter's own client; then what `nbpack show` says of it.

use std::path::{Path, PathBuf};

use nbpack::session::model::Use;
use serde_json::Value;

use crate::support::{TestEnv, program, python};

/// Runs each argument as a cell; with `--kill` it ends the whole process tree with SIGKILL instead of shutting down.
const DRIVER: &str = r#"
import os, signal, subprocess, sys
from jupyter_client.manager import KernelManager

def tree(pid):
    kids = open(f"/proc/{pid}/task/{pid}/children").read().split()
    return [p for k in kids for p in tree(int(k))] + [pid]

kill = sys.argv[1] == "--kill"
km = KernelManager(kernel_name="recorded")
km.start_kernel()
kc = km.client()
kc.start_channels()
kc.wait_for_ready(timeout=60)
for code in sys.argv[2:]:
    kc.execute_interactive(code, timeout=60, output_hook=lambda _: None, stdin_hook=lambda _: kc.input("hunter22"), allow_stdin=True)
if kill:
    pids = tree(km.provisioner.process.pid)
    # The recorder first: it must not see the kernel's end.
    for pid in reversed(pids):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    km.provisioner.process.wait()
    kc.stop_channels()
else:
    if sys.argv[1] == "--wait":
        import time
        time.sleep(3)
    kc.stop_channels()
    km.shutdown_kernel()
"#;

struct Recorded {
    env: TestEnv,
}

impl Recorded {
    /// A kernel and these files, and no session yet.
    fn prepared(python: &Path, files: &[(&str, &str)]) -> Self {
        let env = TestEnv::new();
        let spec = env.path().join("jupyter/kernels/recorded");
        std::fs::create_dir_all(&spec).unwrap();
        let wrapped = python.parent().unwrap().parent().unwrap().join("share/jupyter/kernels/python3");
        let json = serde_json::json!({
            "argv": [program(), "kernel", "-f", "{connection_file}", "--wrap", "python3", "--wrap-dir", wrapped,
                     "--python", python],
            "display_name": "recorded", "language": "python",
        });
        std::fs::write(spec.join("kernel.json"), json.to_string()).unwrap();
        for (name, content) in files {
            std::fs::write(env.work().join(name), content).unwrap();
        }
        Self { env }
    }

    /// Runs the cells in the working directory, where `files` lie.
    fn run(python: &Path, files: &[(&str, &str)], how: &str, cells: &[&str]) -> Self {
        let recorded = Self::prepared(python, files);
        recorded.again(python, how, cells);
        recorded
    }

    /// Another session of the same notebook.
    fn again(&self, python: &Path, how: &str, cells: &[&str]) {
        let mut command = self.env.command(python);
        command
            .env("JUPYTER_PATH", self.env.path().join("jupyter"))
            .env("JPY_SESSION_NAME", self.notebook())
            .args(["-c", DRIVER, how])
            .args(cells);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn notebook(&self) -> PathBuf {
        self.env.work().join("nb.ipynb")
    }

    /// The only session, as it is kept.
    fn recording(&self) -> nbpack::session::model::Recording {
        let sessions = std::fs::read_dir(self.env.path().join("data/nbpack/v1/sessions")).unwrap();
        let mut databases = sessions.map(|entry| entry.unwrap().path().join("session.db"));
        nbpack::session::read(&databases.next().unwrap()).unwrap()
    }

    fn show(&self, args: &[&str]) -> String {
        let output = self.env.nbpack(&[&["show"], args].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.show(&[&["--json"], args].concat())).unwrap()
    }
}

/// (file name, execution, first 12 digits of the digest) of all in this list.
fn files(list: &Value) -> Vec<(String, Option<i64>, String)> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|file| {
            let name = file["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            let digest: nbpack::digest::Digest = file["digest"].as_str().unwrap().parse().unwrap();
            (name, file["execution"].as_i64(), digest.short())
        })
        .collect()
}

#[test]
fn inputs_are_recorded_as_first_read_and_belong_to_their_cells() {
    let Some(python) = python() else { return };
    let inputs = [("a.csv", "a,b\n1,2\n"), ("child.txt", "child"), ("over.txt", "old"), ("local_module.py", "K = 7\n")];
    let recorded = Recorded::prepared(&python, &inputs);
    let home = recorded.env.path().join("home");
    for (dir, name, content) in [("fontconfig", "f.cache", "fonts"), ("huggingface", "model.bin", "weights")] {
        std::fs::create_dir_all(home.join(".cache").join(dir)).unwrap();
        std::fs::write(home.join(".cache").join(dir).join(name), content).unwrap();
    }
    recorded.again(
        &python,
        "--end",
        &[
            "print(open('a.csv').read())",
            "!cat child.txt; rm child.txt",
            "import local_module; local_module.K",
            "s = open('over.txt').read(); f = open('over.txt', 'w'); f.write('new'); f.close()",
            "open('made.txt', 'w').write('made'); open('made.txt').read()",
            "import pathlib; [open(path).read() for path in pathlib.Path.home().glob('.cache/*/*')]",
        ],
    );
    let shown = recorded.json(&[recorded.notebook().to_str().unwrap()]);
    assert_eq!(shown["session"]["coverage"], "full", "{shown:#}");
    let expect = |list: &[(&str, i64, &str)]| -> Vec<(String, Option<i64>, String)> {
        let digest = |content: &str| nbpack::digest::Digest::of(content.as_bytes()).short();
        list.iter().map(|(name, at, content)| ((*name).to_owned(), Some(*at), digest(content))).collect()
    };
    assert_eq!(
        files(&shown["datasets"]),
        expect(&[
            ("model.bin", 6, "weights"),
            ("a.csv", 1, "a,b\n1,2\n"),
            ("child.txt", 2, "child"),
            ("over.txt", 4, "old"),
        ])
    );
    // What a program keeps for itself is no data of the user's, and neither is code.
    let others = files(&shown["other_inputs"]);
    for other in expect(&[("f.cache", 6, "fonts"), ("local_module.py", 3, "K = 7\n")]) {
        assert!(others.contains(&other), "{shown:#}");
    }
    let datasets = recorded.show(&["--datasets"]);
    assert!(datasets.contains("model.bin") && !datasets.contains("f.cache"), "{datasets}");
    assert!(datasets.contains("1 configuration") && datasets.contains("1 local-module"), "{datasets}");
    assert_eq!(files(&shown["results"]), expect(&[("made.txt", 5, "made"), ("over.txt", 4, "new")]));
    assert!(shown["datasets"].as_array().unwrap().iter().all(|file| file["kept"] == true), "{shown:#}");
    let why = recorded.show(&["--why", "a.csv"]);
    assert!(why.contains("class  dataset") && why.contains("#1"), "{why}");
}

#[test]
fn a_module_that_an_earlier_session_compiled_is_recorded_as_source() {
    let Some(python) = python() else { return };
    let recorded = Recorded::run(&python, &[("local_module.py", "K = 7\n")], "--end", &["import local_module"]);
    assert!(recorded.env.work().join("__pycache__").is_dir());
    recorded.again(&python, "--end", &["import local_module; local_module.K"]);
    let shown = recorded.json(&[recorded.notebook().to_str().unwrap()]);
    let digest = nbpack::digest::Digest::of(b"K = 7\n").short();
    assert_eq!(files(&shown["other_inputs"]), [("local_module.py".to_owned(), Some(1), digest)], "{shown:#}");
}

#[test]
fn what_a_cell_started_belongs_to_it_when_it_is_over() {
    let Some(python) = python() else { return };
    let inputs = [("in_cell.txt", "a"), ("later.txt", "b"), ("daemon.txt", "c")];
    let started = "import subprocess, threading, time
def later():
    time.sleep(1.5); open('later.txt').read()
threading.Thread(target=later).start()
subprocess.Popen('(sleep 1.5; cat daemon.txt) &', shell=True, stdout=subprocess.DEVNULL, start_new_session=True)
print(open('in_cell.txt').read())";
    let recorded = Recorded::run(&python, &inputs, "--wait", &[started, "1 + 1"]);
    let shown = recorded.json(&[recorded.notebook().to_str().unwrap()]);
    let mut found: Vec<(String, Option<i64>)> =
        files(&shown["datasets"]).into_iter().map(|(name, execution, _)| (name, execution)).collect();
    found.sort();
    let expected = [("daemon.txt", Some(1)), ("in_cell.txt", Some(1)), ("later.txt", Some(1))];
    assert_eq!(found, expected.map(|(name, execution)| (name.to_owned(), execution)), "{shown:#}");
}

/// The executions to which the uses of a file in the working directory belong.
fn executions_of(recorded: &Recorded, name: &str) -> Vec<(Option<i64>, Use)> {
    let path = recorded.env.work().join(name);
    let files = recorded.recording().files.into_iter();
    let of_it = files.filter(|file| file.path == std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()));
    of_it.map(|file| (file.execution, file.usage)).collect()
}

#[test]
fn a_thread_works_for_the_cell_that_started_it_and_a_pool_for_the_one_that_runs() {
    let Some(python) = python() else { return };
    let names = ["ticker", "pool_1", "procs_1", "own_2", "to_thread_2", "pool_3", "procs_3", "to_thread_3", "late"];
    let inputs = names.map(|name| (name, "x"));
    let cells = [
        "import asyncio, concurrent.futures, multiprocessing, threading, time
def look(name): open(name).close()
pool = concurrent.futures.ThreadPoolExecutor(1); pool.submit(look, 'pool_1').result()
procs = multiprocessing.get_context('fork').Pool(1); procs.apply(look, ('procs_1',))
stop = threading.Event()
def tick():
    while not stop.wait(0.02): look('ticker')
threading.Thread(target=tick).start()
threading.Timer(1.5, look, ('late',)).start()",
        "time.sleep(0.3); look('own_2'); await asyncio.to_thread(look, 'to_thread_2')",
        "time.sleep(0.1); pool.submit(look, 'pool_3').result(); procs.apply(look, ('procs_3',)); await asyncio.to_thread(look, 'to_thread_3')",
        "time.sleep(1.5); stop.set(); procs.terminate()",
    ];
    let recorded = Recorded::run(&python, &inputs, "--end", &cells);
    let expected = [
        ("ticker", 1),
        ("late", 1),
        ("pool_1", 1),
        ("procs_1", 1),
        ("own_2", 2),
        ("to_thread_2", 2),
        ("pool_3", 3),
        ("procs_3", 3),
        ("to_thread_3", 3),
    ];
    let found = expected.map(|(name, _)| (name, executions_of(&recorded, name)));
    assert_eq!(found, expected.map(|(name, execution)| (name, vec![(Some(execution), Use::Read)])));
}

#[test]
fn a_database_that_is_only_read_is_not_written_and_one_that_stays_open_belongs_to_who_writes() {
    let Some(python) = python() else { return };
    let cells = [
        "import sqlite3, time; kept = sqlite3.connect('kept.db'); print(kept.execute('select * from t').fetchall())",
        "time.sleep(1.5); kept.execute('insert into t values (2)'); kept.commit()",
        "other = sqlite3.connect('other.db'); print(other.execute('select * from t').fetchall()); other.close()",
        "open('touched', 'r+').close(); open('changed', 'r+').write('new'); time.sleep(0.3)",
    ];
    let recorded = Recorded::prepared(&python, &[("touched", "old"), ("changed", "old")]);
    let make = "import sqlite3, sys
for name in ('kept.db', 'other.db'):
    c = sqlite3.connect(name); c.execute('create table t (a)'); c.execute('insert into t values (1)'); c.commit()";
    let made = std::process::Command::new(&python).args(["-c", make]).current_dir(recorded.env.work()).status();
    assert!(made.unwrap().success());
    recorded.again(&python, "--end", &cells);
    let shown = recorded.json(&[recorded.notebook().to_str().unwrap()]);
    let short = |list: &Value| -> Vec<(String, Option<i64>)> {
        files(list).into_iter().map(|(name, execution, _)| (name, execution)).collect()
    };
    let expect = |list: &[(&str, i64)]| -> Vec<(String, Option<i64>)> {
        list.iter().map(|(name, at)| ((*name).to_owned(), Some(*at))).collect()
    };
    assert_eq!(
        short(&shown["datasets"]),
        expect(&[("changed", 4), ("kept.db", 1), ("other.db", 3), ("touched", 4)]),
        "{shown:#}"
    );
    assert_eq!(short(&shown["results"]), expect(&[("changed", 4), ("kept.db", 2)]), "{shown:#}");
    assert!(executions_of(&recorded, "kept.db").contains(&(Some(2), Use::Update)));
    assert_eq!(executions_of(&recorded, "other.db"), [(Some(3), Use::Read)]);
    assert_eq!(executions_of(&recorded, "touched"), [(Some(4), Use::Read)]);
}

#[test]
fn what_was_looked_for_and_then_made_is_no_input() {
    let Some(python) = python() else { return };
    // As a library that warns once a day leaves its stamp.
    let cells = [
        "import os\ntry:\n    open('stamp').read()\nexcept FileNotFoundError:\n    print('first')\n\
         open('stamp.tmp', 'w').write('today'); os.replace('stamp.tmp', 'stamp')",
        "print(open('stamp').read())",
    ];
    let recorded = Recorded::prepared(&python, &[]);
    recorded.again(&python, "--end", &cells);
    let uses = executions_of(&recorded, "stamp");
    let expected = [(Some(1), Use::Absent), (Some(1), Use::RenameTo), (Some(2), Use::Read)];
    assert!(uses.len() == 3 && expected.iter().all(|one| uses.contains(one)), "{uses:?}");
    let shown = recorded.json(&[recorded.notebook().to_str().unwrap()]);
    assert_eq!(files(&shown["datasets"]), [], "{shown:#}");
}

#[test]
fn what_a_kernel_prints_when_it_is_told_to_end_is_no_output_of_a_cell() {
    let Some(python) = python() else { return };
    // ipykernel stops its children then; who watches over them says so (a worker of dask's that is started again).
    let cell = "import subprocess, threading\nchild = subprocess.Popen(['sleep', '60'])\n\
                def watch():\n    child.wait()\n    print('gone', flush=True)\n\
                threading.Thread(target=watch).start()\nprint('started')";
    let recorded = Recorded::prepared(&python, &[]);
    recorded.again(&python, "--end", &[cell]);
    let outputs = &recorded.recording().executions[0].outputs;
    let nbpack::session::model::Output::Stream { text, .. } = &outputs[0] else { panic!("{outputs:?}") };
    assert_eq!((outputs.len(), text.as_str()), (1, "started\n"), "{outputs:?}");
}

#[test]
fn a_sparse_file_of_three_gigabytes_is_hashed_and_not_copied() {
    let Some(python) = python() else { return };
    let cells = [
        "import os\nf = open('sparse', 'rb'); f.seek(-4, 2); print(f.read()); f.close()",
        "open('sparse', 'r+b').close(); print('went on')",
    ];
    let recorded = Recorded::prepared(&python, &[]);
    let sparse = std::fs::File::create(recorded.env.work().join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"last", (3 << 30) - 4).unwrap();
    drop(sparse);
    recorded.again(&python, "--end", &cells);
    let shown = recorded.json(&[recorded.notebook().to_str().unwrap()]);
    let [input] = &shown["datasets"].as_array().unwrap()[..] else { panic!("{shown:#}") };
    assert_eq!(input["size"], 3_u64 << 30, "{shown:#}");
    let shared = input["kept"] == true;
    if !shared {
        // No reflinks here: what would have to be copied is past the limit, and that is said.
        assert!(shown["gaps"].to_string().contains("more than the limit"), "{shown:#}");
    }
}

#[test]
fn directories_that_come_and_go_are_no_files_that_were_there() {
    let Some(python) = python() else { return };
    let cells = [
        "import os, shutil; os.mkdir('empty'); os.rmdir('empty')",
        "os.makedirs('full/in'); open('full/in/f', 'w').close(); shutil.rmtree('full')",
        "os.mkdir('partial'); open('partial/f', 'w').write('made'); os.rename('partial', 'whole'); print(open('whole/f').read())",
        "os.rename('whole', 'again'); shutil.rmtree('again')",
        "os.rmdir('was_empty'); os.rename('was_there', 'there'); os.rename('there', 'elsewhere')",
    ];
    let recorded = Recorded::prepared(&python, &[]);
    for name in ["was_empty", "was_there"] {
        std::fs::create_dir(recorded.env.work().join(name)).unwrap();
    }
    recorded.again(&python, "--end", &cells);
    // What was there must be there again for a replay.
    assert_eq!(executions_of(&recorded, "was_empty"), [(Some(5), Use::RemoveDirectory)]);
    assert_eq!(executions_of(&recorded, "was_there"), [(Some(5), Use::RenameDirectory); 1]);
    let found = recorded.recording().files;
    for name in ["empty", "full", "full/in", "partial", "whole", "again"] {
        let path = recorded.env.work().join(name);
        let of_it = found.iter().filter(|file| file.path == std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()));
        let uses: Vec<nbpack::session::model::Use> = of_it.map(|file| file.usage).collect();
        let harmless = [nbpack::session::model::Use::List, nbpack::session::model::Use::Absent];
        assert!(uses.iter().all(|usage| harmless.contains(usage)), "{name}: {uses:?}");
    }
    let shown = recorded.json(&[recorded.notebook().to_str().unwrap()]);
    assert_eq!(files(&shown["datasets"]), [], "{shown:#}");
    let export = recorded.env.nbpack(&["export", "--dry-run", recorded.notebook().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&export.stderr).into_owned();
    assert!(!said.contains("is not in"), "{said}");
}

#[test]
fn what_was_looked_for_and_not_there_is_known() {
    let Some(python) = python() else { return };
    let cells = [
        "import configparser; print(configparser.ConfigParser().read('settings.ini'))",
        "try:\n    import no_such_module\nexcept ImportError as error: print(error)",
    ];
    let recorded = Recorded::run(&python, &[], "--end", &cells);
    let found: Vec<nbpack::session::model::FileUse> = recorded.recording().files;
    let absent = found.iter().find(|file| file.path.ends_with(b"/settings.ini")).expect("the probe is not known");
    assert_eq!((absent.usage, absent.execution), (nbpack::session::model::Use::Absent, Some(1)));
    // An import looks into its directories: these are known, by which its absence is.
    let work = recorded.env.work();
    assert!(found.iter().any(|file| {
        file.usage == nbpack::session::model::Use::List
            && file.path == std::os::unix::ffi::OsStrExt::as_bytes(work.as_os_str())
    }));
}

#[test]
fn what_a_killed_kernel_had_finished_is_all_there() {
    let Some(python) = python() else { return };
    for round in 0..3 {
        let cells: Vec<String> = (0..=round).map(|n| format!("print('said', {round}{n} * 3)")).collect();
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        let recorded = Recorded::run(&python, &[], "--kill", &cells);
        let list: Value = serde_json::from_slice(&recorded.env.nbpack(&["sessions", "--json"]).stdout).unwrap();
        assert_eq!((&list[0]["running"], &list[0]["ended"]), (&Value::Bool(false), &Value::Null));
        let shown = recorded.json(&["--cells", list[0]["id"].as_str().unwrap()]);
        let said: Vec<&str> = shown["executions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|execution| execution["outputs"][0]["text"][0].as_str().unwrap())
            .collect();
        let expected: Vec<String> = (0..=round).map(|n| format!("said {}\n", (round * 10 + n) * 3)).collect();
        assert_eq!(said, expected, "{shown:#}");
    }
}

#[test]
fn passwords_and_secrets_of_the_environment_are_nowhere_in_the_store() {
    let Some(python) = python() else { return };
    let cells = ["import getpass; p = getpass.getpass('key: '); print(p)", "input('name: ')"];
    let recorded = Recorded::run(&python, &[], "--end", &cells);
    let shown = recorded.json(&["--cells"]);
    let [secret, open] = [0, 1].map(|n| &shown["executions"][n]["stdin"][0]);
    assert_eq!((&secret["masked"], &secret["value"]), (&Value::Bool(true), &Value::Null));
    // The same word, answered in the open afterwards, is the user's own decision.
    assert_eq!((&open["masked"], &open["value"]), (&Value::Bool(false), &Value::from("hunter22")));
    let printed = shown["executions"][0]["outputs"].to_string();
    assert!(printed.contains("masked by nbpack") && !printed.contains("hunter22"), "{printed}");
}

#[test]
fn the_session_as_it_ran_is_a_notebook_that_jupyter_accepts() {
    let Some(python) = python() else { return };
    let recorded = Recorded::run(&python, &[], "--end", &["1 + 1", "print('x')", "1 / 0", "%nbpack note ran"]);
    let path = recorded.env.work().join("ran.ipynb");
    std::fs::write(&path, recorded.show(&["--notebook"])).unwrap();
    let check = "import nbformat, sys; nb = nbformat.read(sys.argv[1], 4); nbformat.validate(nb); print(len(nb.cells))";
    let output = recorded.env.command(&python).args(["-c", check]).arg(&path).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "3", "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(recorded.json(&[])["facts"]["notes"], serde_json::json!(["ran"]));
}

#[test]
fn an_unknown_session_is_an_error_with_a_hint() {
    let env = TestEnv::new();
    let output = env.nbpack(&["show", "20990101"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("20990101") && stderr.contains("hint: `nbpack sessions`"), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&env.nbpack(&["sessions", "--json"]).stdout).trim(), "[]");
}

/// The record of a session in which everything happened that a record must hold.
#[test]
fn a_notebook_that_was_opened_but_not_run_is_told_from_an_unknown_one() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    env.install_kernel(&python);
    env.record(&python, "opened.ipynb", &[]);
    let output = env.nbpack(&["export", "opened.ipynb"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("no cell of") && stderr.contains("run its cells"), "{stderr}");
    std::fs::write(
        env.work().join("other.ipynb"),
        r#"{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"#,
    )
    .unwrap();
    let output = env.nbpack(&["export", "other.ipynb"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("no recorded session ran") && stderr.contains("(nbpack)"), "{stderr}");
}

#[test]
fn the_record_is_complete() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    env.install_kernel(&python);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/complete.py");
    let notebook = env.work().join("nb.ipynb");
    let ran = env.command(&python).arg(script).arg(&notebook).arg(crate::support::KERNEL).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let seen: Value =
        serde_json::from_slice(ran.stdout.split(|b| *b == b'\n').rfind(|line| !line.is_empty()).unwrap()).unwrap();

    let json: Value = serde_json::from_str(&env.nbpack_ok(&["show", "nb.ipynb", "--cells", "--json"])).unwrap();
    let all: Vec<&Value> = json["executions"].as_array().unwrap().iter().collect();
    // What the clients send to find out whether the kernel is there are executions of nobody's.
    let of_cells: Vec<&Value> = all.iter().copied().filter(|one| one["code"] != "").collect();
    let cells: Vec<&str> = of_cells.iter().map(|one| one["cell_id"].as_str().unwrap_or("-")).collect();
    let expected = [
        "first",
        "second",
        "second",
        "first",
        "-",
        "expressions",
        "asked",
        "broken",
        "fails",
        "queued",
        "rich",
        "updates",
        "comm",
        "bob",
        "final",
        "-",
    ];
    assert_eq!(cells, expected);
    let statuses: Vec<&str> = of_cells.iter().map(|one| one["status"].as_str().unwrap_or("-")).collect();
    let mut oks = vec!["ok"; 16];
    (oks[7], oks[8], oks[9]) = ("error", "error", "aborted");
    assert_eq!(statuses, oks);
    let code: Vec<&str> = of_cells.iter().take(4).map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!(code, ["x = 1\nx", "x += 1\nprint(x)", "x += 1\nprint(x)", "x = 10\nx"]);
    let counts: Vec<i64> = of_cells.iter().take(4).map(|one| one["execution_count"].as_i64().unwrap()).collect();
    assert_eq!(counts, [1, 2, 3, 4]);
    for execution in &of_cells {
        let by = if execution["cell_id"] == "bob" { "bob" } else { "ann" };
        assert_eq!((&execution["username"], &execution["client"]), (&by.into(), &seen[by]), "{execution}");
        for time in ["sent", "busy", "reply", "idle"] {
            assert!(execution[time].as_str().is_some_and(|time| time.starts_with("20")), "{time}: {execution}");
        }
    }
    assert_eq!(of_cells[4]["silent"], true);
    assert_eq!(of_cells[5]["user_expressions"]["twice"]["data"]["text/plain"], "20");
    assert_eq!(of_cells[5]["user_expressions"]["wrong"]["ename"], "NameError");
    let stdin = of_cells[6]["stdin"].as_array().unwrap();
    assert_eq!((&stdin[0]["prompt"], &stdin[0]["value"]), (&"who? ".into(), &"Zoë".into()));
    assert_eq!(
        (&stdin[1]["prompt"], &stdin[1]["masked"], &stdin[1]["value"]),
        (&"word: ".into(), &true.into(), &Value::Null)
    );
    let kinds = |execution: &Value| -> Vec<String> {
        let outputs = execution["outputs"].as_array().unwrap().iter();
        outputs
            .map(|output| output["name"].as_str().unwrap_or(output["output_type"].as_str().unwrap()).to_owned())
            .collect()
    };
    assert_eq!(kinds(of_cells[7]), ["stderr", "error"]);
    let error = &of_cells[7]["outputs"][1];
    assert_eq!((&error["ename"], &error["evalue"]), (&"ZeroDivisionError".into(), &"division by zero".into()));
    assert!(error["traceback"].as_array().unwrap().len() > 2);
    let rich = of_cells[10]["outputs"].to_string();
    for wanted in ["last", "text/html", "<b>bold</b>", "application/json", "text/markdown", "image/svg+xml", "after"] {
        assert!(rich.contains(wanted), "{wanted}: {rich}");
    }
    for cleared in ["gone", "kept", "before", "shown"] {
        assert!(!rich.contains(cleared), "{cleared}: {rich}");
    }
    let comms = json["comms"].as_array().unwrap();
    assert_eq!(comms.len(), 3);
    assert!(comms.iter().all(|comm| comm["comm_id"] == seen["comm"] && comm["msg_type"] == "comm_msg"), "{comms:?}");
    assert!(of_cells[13]["outputs"].to_string().contains("{'n': 0}, {'n': 1}, {'n': 2}"));
    assert_eq!(json["deleted_cells"]["second"], of_cells[14]["id"]);

    let text = env.nbpack_ok(&["show", "nb.ipynb", "--cells"]);
    let bob = format!("from bob/{}", seen["bob"].as_str().unwrap().get(..8).unwrap());
    for wanted in [
        &bob,
        "? word: (masked)",
        "comm_msg ×3",
        "(deleted before #",
        "twice = 20",
        "aborted",
        "silent",
        "error ZeroDivisionError",
    ] {
        assert!(text.contains(wanted), "{wanted}:\n{text}");
    }
    let summary = env.nbpack_ok(&["show", "nb.ipynb"]);
    assert!(summary.contains("nota bene") && summary.contains("thesis"), "{summary}");
    assert!(
        env.nbpack_ok(&["sessions", "--tag", "thesis", "--kernel", "python3", "--notebook", "nb.ipynb"])
            .contains("nb.ipynb")
    );
    assert!(!env.nbpack_ok(&["sessions", "--tag", "other"]).contains("nb.ipynb"));
    assert!(!env.nbpack_ok(&["sessions", "--until", "2020-01-01"]).contains("nb.ipynb"));
    assert!(env.nbpack_ok(&["sessions", "--since", "2020-01-01", "--until", "2100-01-01"]).contains("nb.ipynb"));
    let as_run: Value = serde_json::from_str(&env.nbpack_ok(&["show", "nb.ipynb", "--notebook"])).unwrap();
    let sources: Vec<String> = as_run["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell["source"][0].as_str().unwrap_or_default().trim().to_owned())
        .collect();
    assert_eq!(sources.iter().filter(|source| *source == "x += 1").count(), 2, "{sources:?}");
}
