//! Kernels of several languages: what a frontend sees of the recording kernel is what it sees of the bare one, and it is
//! in the record.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{self, TestEnv, program};

/// One kernel and what is run in it.
struct Tried {
    /// Of the kernelspec that is wrapped.
    name: &'static str,
    /// A cell with a result or a print, twice run; another that fails.
    cells: [&'static str; 3],
    /// What the first says.
    said: &'static str,
    /// Runs for half a minute; empty where the bare kernel does not survive an interrupt.
    long: &'static str,
    /// Its environment is small enough for `%nbpack export` to pack it in this test.
    export: bool,
}

/// All `%nbpack` verbs but `export`: which answer they give.
const MAGICS: [(&str, &str); 2] = [
    ("%nbpack status", "recording session"),
    ("%nbpack note a word\n%nbpack tag v1\n%nbpack exclude *.tmp", "note: a word\ntag: v1\nexclude: *.tmp\n"),
];

impl Tried {
    /// Runs it bare and recorded, in an environment of its own.
    fn compare(&self, python: &Path, jupyter_path: Option<PathBuf>) {
        let env = TestEnv::new();
        let bin = python.parent().unwrap();
        let with_jupyter = |mut command: std::process::Command| {
            command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()));
            command.env("VIRTUAL_ENV", bin.parent().unwrap());
            command.envs(jupyter_path.iter().map(|path| ("JUPYTER_PATH", path)));
            command
        };
        let installed =
            with_jupyter(env.command(program())).args(["install", "--user", "--kernel", self.name]).output();
        let installed = installed.unwrap();
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        let drive = |kernel: &str, cells: &[&str]| -> Value {
            let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels.py");
            let output = with_jupyter(env.command(python)).arg(driver).args([kernel, self.long]).args(cells).output();
            let output = output.unwrap();
            let stdout = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{kernel}: {stdout}{}", String::from_utf8_lossy(&output.stderr));
            serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
        };
        let bare = drive(self.name, &self.cells);
        assert!(bare["cells"][0]["said"].as_str().unwrap().contains(self.said), "{bare}");
        assert!(self.long.is_empty() || bare["interrupted"]["soon"] == true, "{bare}");

        let [first, second, third] = self.cells;
        let packed = env.work().join("packed.nbpack");
        let export = format!("%nbpack export {}", packed.display());
        let mut magics: Vec<(&str, &str)> = MAGICS.to_vec();
        magics.extend(self.export.then_some((export.as_str(), "packed.nbpack")));
        let asked: Vec<&str> = magics.iter().map(|(code, _)| *code).collect();
        let mut recorded = drive(&format!("{}-nbpack", self.name), &[&[first], &asked[..], &[second, third]].concat());
        for (code, answer) in &magics {
            let magic = recorded["cells"].as_array_mut().unwrap().remove(1);
            assert_eq!(
                (&magic["status"], &magic["count"]),
                (&"ok".into(), &bare["cells"][0]["count"]),
                "{code}: {magic}"
            );
            assert!(magic["said"].as_str().unwrap().contains(answer), "{code}: {magic}");
        }
        assert_eq!(recorded, bare, "recorded (left) and bare (right)");

        let shown: Value = serde_json::from_str(&env.nbpack_ok(&["show", "--cells", "--json"])).unwrap();
        let of = |field: &str| -> Vec<&str> {
            shown["executions"].as_array().unwrap().iter().filter_map(|one| one[field].as_str()).collect()
        };
        let long = (!self.long.is_empty()).then_some((self.long, false));
        let ran = [(first, true)].into_iter().chain(asked.iter().map(|code| (*code, true)));
        let ran: Vec<_> = ran.chain([(second, true), (third, false)]).chain(long).chain([(first, true)]).collect();
        let recorded: Vec<_> = of("code").into_iter().zip(of("status").iter().map(|status| *status == "ok")).collect();
        assert_eq!(recorded, ran, "{shown:#}");
        assert!(shown["executions"][0].to_string().contains(self.said), "{shown:#}");
        let whole: Value = serde_json::from_str(&env.nbpack_ok(&["show", "--json"])).unwrap();
        let kept = ["notes", "tags", "excludes"].map(|name| whole["facts"][name].clone());
        assert_eq!(kept, [["a word"], ["v1"], ["*.tmp"]].map(Value::from), "{whole:#}");
        if self.export {
            let verified = env.nbpack(&["verify", packed.to_str().unwrap()]);
            assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        }
    }
}

/// An environment that README's test command prepares.
fn prepared(name: &str) -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(name).join("bin/python");
    if !python.exists() {
        support::skipped(&format!("no {} (README's test command makes it)", python.display()));
        return None;
    }
    Some(python)
}

/// Whether Jupyter of this Python finds the kernelspec.
fn has(python: &Path, name: &str) -> bool {
    let script = "import sys; from jupyter_client.kernelspec import KernelSpecManager as M; sys.exit(sys.argv[1] not in M().find_kernel_specs())";
    std::process::Command::new(python).args(["-c", script, name]).status().unwrap().success()
}

#[test]
fn ipykernel() {
    let Some(python) = support::python() else { return };
    let cells = ["print(6 * 7)", "6 * 7", "1 / 0"];
    let long = "import time\ntime.sleep(30)";
    Tried { name: "python3", cells, said: "42", long, export: false }.compare(&python, None);
}

#[test]
fn irkernel() {
    let Some(python) = support::python() else { return };
    if !Path::new("/usr/share/jupyter/kernels/ir/kernel.json").exists() {
        return support::skipped("no IRkernel (Debian package r-cran-irkernel)");
    }
    let cells = ["cat(6 * 7)", "6 * 7", "stop('no')"];
    Tried { name: "ir", cells, said: "42", long: "Sys.sleep(30)", export: true }.compare(&python, None);
}

#[test]
fn bash_kernel() {
    let Some(python) = support::python() else { return };
    let prefix = tempfile::tempdir().unwrap();
    let mut install = std::process::Command::new(&python);
    let installed = install.args(["-m", "bash_kernel.install", "--prefix"]).arg(prefix.path()).output().unwrap();
    if !installed.status.success() {
        return support::skipped("no bash_kernel in the test environment");
    }
    let cells = ["echo $((6 * 7))", "pwd", "ls /not/there"];
    let path = prefix.path().join("share/jupyter");
    Tried { name: "bash", cells, said: "42", long: "sleep 30", export: false }.compare(&python, Some(path));
}

#[test]
fn xeus_python() {
    let Some(python) = support::python() else { return };
    if !has(&python, "xpython") {
        return support::skipped("no xeus-python in the test environment");
    }
    let cells = ["print(6 * 7)", "6 * 7", "raise ValueError('no')"];
    // Version 0.19 from PyPI answers nothing more after a SIGINT.
    Tried { name: "xpython", cells, said: "42", long: "", export: false }.compare(&python, None);
}

#[test]
fn ipykernel_6() {
    let Some(python) = prepared("test-ipykernel-6") else { return };
    let cells = ["print(6 * 7)", "6 * 7", "1 / 0"];
    let long = "import time\ntime.sleep(30)";
    Tried { name: "python3", cells, said: "42", long, export: true }.compare(&python, None);
}

#[test]
fn calysto_scheme() {
    let Some(python) = prepared("test-kernels") else { return };
    let cells = ["(print (* 6 7))", "(* 6 7)", "(car 1)"];
    let long = "(let loop ((i 0)) (loop (+ i 1)))";
    Tried { name: "calysto_scheme", cells, said: "42", long, export: false }.compare(&python, None);
}

#[test]
fn deno() {
    let Some(python) = prepared("test-kernels") else { return };
    // Its installer knows the user's directory only.
    let data = tempfile::tempdir().unwrap();
    let mut install = std::process::Command::new(python.with_file_name("deno"));
    let installed = install.args(["jupyter", "--install"]).env("XDG_DATA_HOME", data.path()).output().unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let cells = ["console.log(6 * 7)", "6 * 7", "throw new Error('no')"];
    // Version 2.9 does not end a waiting cell when it is interrupted.
    let path = data.path().join("jupyter");
    Tried { name: "deno", cells, said: "42", long: "", export: true }.compare(&python, Some(path));
}
