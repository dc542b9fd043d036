//! What may go wrong under a record: a full disk, a home that lies elsewhere, a power loss.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::support::{KERNEL, TestEnv, program, python, skipped};

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

#[test]
fn a_full_disk_costs_the_record_and_not_the_notebook() {
    let Some(python) = python() else { return };
    if !rustix::process::getuid().is_root() {
        return skipped("a small disk of its own needs root (mount)");
    }
    let env = TestEnv::new();
    env.install_kernel(&python);
    let data = env.path().join("data");
    let steps = format!(
        "mount -t tmpfs -o size=10m,mode=700 none {data} && {python} {script} {KERNEL} {data}/fill && \
         {nbpack} show --json --quiet && {nbpack} show --cells --quiet",
        data = data.join("nbpack").display(),
        python = python.display(),
        script = script("full_disk.py").display(),
        nbpack = program().display(),
    );
    std::fs::create_dir_all(data.join("nbpack")).unwrap();
    let output = env.command("unshare").args(["--mount", "sh", "-ec", &steps]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    let (seen, shown) = stdout.split_once('\n').unwrap();
    let seen: Value = serde_json::from_str(seen).unwrap();
    for (name, saw) in seen.as_object().unwrap() {
        assert_eq!(saw[0], "ok", "{name}: {saw}");
        if name.starts_with("full") {
            assert!(saw[1].as_u64().unwrap() >= 1_000_000, "{name}: {}", saw[1]);
        }
    }
    assert!(stderr.contains("No space left on device"), "the user was not told: {stderr}");
    assert!(seen["status"][2].as_str().unwrap().contains("attention"), "{}", seen["status"]);
    let (json, text) = shown.split_once("\n}\n").unwrap();
    let json: Value = serde_json::from_str(&format!("{json}\n}}")).unwrap();
    let gaps: Vec<&str> = json["gaps"].as_array().unwrap().iter().map(|gap| gap["reason"].as_str().unwrap()).collect();
    assert!(gaps.contains(&"disk_full") && gaps.contains(&"preserve"), "{gaps:?}");
    assert_eq!(seen["overwritten"][2], "new\n");
    for said in ["> before", "> after", "> last", "gap: disk_full"] {
        assert!(text.contains(said), "{said} is not in the record: {text}");
    }
}

/// A directory served by a program, as a home on another machine is.
struct Served<'a>(&'a Path);

impl Drop for Served<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0).status().unwrap();
    }
}

#[test]
fn a_home_that_lies_elsewhere_keeps_the_living_database_here() {
    let Some(python) = python() else { return };
    if !Path::new("/usr/bin/bindfs").exists() || !Path::new("/dev/fuse").exists() {
        return skipped("no bindfs, or no /dev/fuse");
    }
    let env = TestEnv::new();
    let (behind, data) = (env.path().join("behind"), env.path().join("data"));
    std::fs::create_dir(&behind).unwrap();
    let mounted = env.command("bindfs").args([&behind, &data]).status().unwrap();
    if !mounted.success() {
        return skipped("bindfs cannot mount here");
    }
    let served = Served(&data);
    env.install_kernel(&python);
    let look = "import os\nhome = os.environ['XDG_DATA_HOME'] + '/nbpack/v1/sessions'\n\
                for name in sorted(os.listdir(home)): print(name[-3:], os.path.islink(f'{home}/{name}'), os.path.realpath(f'{home}/{name}'))";
    std::fs::write(env.work().join("data.csv"), "1,2").unwrap();
    env.record(&python, "nb.ipynb", &[look, "print(open('data.csv').read())"]);
    let shown = env.nbpack_ok(&["show", "nb.ipynb", "--cells"]);
    let lived = shown.lines().find(|line| line.contains(" True ")).unwrap_or_else(|| panic!("no link: {shown}"));
    assert!(lived.contains(" True /var/tmp/nbpack-"), "{lived}");
    assert!(shown.contains("> 1,2"), "{shown}");
    let sessions = behind.join("nbpack/v1/sessions");
    let left: Vec<_> = std::fs::read_dir(&sessions).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].file_type().unwrap().is_dir() && left[0].path().join("session.db").is_file(), "{left:?}");
    let place = lived.rsplit(' ').next().unwrap();
    assert!(!Path::new(place).exists(), "{place} was left behind");
    env.nbpack_ok(&["export", "nb.ipynb", "-o", "b.nbpack"]);
    env.nbpack_ok(&["verify", "b.nbpack"]);
    drop(served);
}

/// What is not on the disk when the power fails is lost: so the journal is brought there each second, while there is
/// anything new.
#[test]
fn what_is_said_is_on_the_disk_within_seconds() {
    let Some(python) = python() else { return };
    if !Path::new("/usr/bin/strace").exists() {
        return skipped("no strace");
    }
    let env = TestEnv::new();
    env.install_kernel(&python);
    let trace = env.path().join("trace");
    let spec = env.path().join("data/jupyter/kernels").join(KERNEL).join("kernel.json");
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(&spec).unwrap()).unwrap();
    let argv = json["argv"].as_array_mut().unwrap();
    let strace = [
        "strace",
        "-f",
        "-ttt",
        "-y",
        "-e",
        "trace=fdatasync,fsync,write,writev,pwrite64,pwritev",
        "-s",
        "0",
        "-e",
        "signal=none",
        "-o",
    ];
    let before = strace.iter().map(|word| Value::from(*word)).chain([Value::from(trace.to_str().unwrap())]);
    *argv = before.chain(argv.clone()).collect();
    std::fs::write(&spec, json.to_string()).unwrap();
    env.record(&python, "nb.ipynb", &["import time\nfor n in range(60): print(n, flush=True); time.sleep(0.1)"]);
    let text = std::fs::read_to_string(&trace).unwrap();
    let at = |line: &str| line.split_whitespace().nth(1).and_then(|time| time.parse::<f64>().ok()).unwrap();
    let of_journal = |line: &&str| line.contains("journal");
    let written: Vec<f64> = text.lines().filter(of_journal).filter(|line| line.contains("write")).map(at).collect();
    let synced: Vec<f64> = text.lines().filter(of_journal).filter(|line| line.contains("sync(")).map(at).collect();
    assert!(written.len() > 20 && synced.len() > 3, "{} written, {} synced", written.len(), synced.len());
    // Two seconds more than promised, for a machine that has other things to do.
    for time in written {
        let next = synced.iter().find(|sync| **sync >= time);
        assert!(next.is_some_and(|sync| sync - time < 3.0), "written at {time}, brought to the disk at {next:?}");
    }
}
