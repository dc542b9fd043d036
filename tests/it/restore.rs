//! Promises of `restore` and the verbs around it, kept with real processes and real bundles.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use nbpack::{
    bundle::{
        self,
        config::{RUN_CONFIG, RunConfig, SESSION_NOTEBOOK},
        plan::SessionFile,
        write::{Output as To, WriteOptions},
    },
    files::Signature,
    inventory::model::{Class, Entry, EntryKind, Inventory, Source},
    store::Store,
};

use crate::{
    bundle::run_config,
    support::{TestEnv, program, skipped},
};

pub(crate) fn namespaces() -> bool {
    let works = Command::new("unshare").args(["-U", "true"]).output().is_ok_and(|output| output.status.success());
    if !works {
        skipped("no user namespaces");
    }
    works
}

fn entry(kind: EntryKind) -> Entry {
    Entry {
        kind,
        class: Class::Distribution,
        rule: "test",
        component: None,
        original: None,
        touched: true,
        apart: false,
    }
}

fn file(bytes: &[u8], executable: bool) -> EntryKind {
    EntryKind::File { source: Source::Bytes(Arc::from(bytes)), size: bytes.len() as u64, executable, mtime: None }
}

/// A root of links into a `/usr` that is given as a volume, this program, a notebook, and `size` bytes of noise.
pub(crate) fn inventory(size: usize) -> Inventory {
    let mut inventory = Inventory::default();
    let mut put = |path: &str, kind: EntryKind| inventory.entries.insert(path.as_bytes().to_vec(), entry(kind));
    for name in ["bin", "lib", "lib64"] {
        put(name, EntryKind::Symlink { target: format!("usr/{name}").into_bytes() });
    }
    for dir in ["usr", "tmp", "home", "home/ann", "home/ann/work", "opt", "opt/nbpack", "opt/nbpack/env"] {
        put(dir, EntryKind::Directory);
    }
    put("home/ann/venv", EntryKind::Symlink { target: b"/opt/nbpack/env/0".to_vec() });
    for dir in ["opt/nbpack/env/0", "opt/nbpack/env/0/bin"] {
        put(dir, EntryKind::Directory);
    }
    put("opt/nbpack/env/0/bin/tool", file(b"#!/bin/sh\necho \"$0\"; realpath \"$0\"\n", true));
    put("home/ann/work/analysis.ipynb", file(b"{\"cells\": []}", false));
    put("home/ann/work/in.csv", file(b"a,b\n1,2\n", false));
    let noise: Vec<u8> = (0..size as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    put("home/ann/work/noise", file(&noise, false));
    let signature = Signature::of(&std::fs::metadata(program()).unwrap());
    let source = Source::Host { path: program().to_owned(), signature };
    put("nbpack", EntryKind::File { source, size: signature.size, executable: true, mtime: None });
    inventory
}

pub(crate) fn write_bundle(env: &TestEnv, name: &str, inventory: &Inventory, run: &RunConfig) -> PathBuf {
    let files = BTreeMap::from([
        (RUN_CONFIG.as_bytes().to_vec(), SessionFile::Bytes(Arc::from(serde_json::to_vec(run).unwrap()))),
        (SESSION_NOTEBOOK.as_bytes().to_vec(), SessionFile::Bytes(Arc::from(&b"{\"cells\": [], \"ran\": 1}"[..]))),
    ]);
    let plan = bundle::plan(inventory, run, files).unwrap();
    let store = Store::open(&env.path().join("writer")).unwrap();
    let path = env.work().join(name);
    bundle::write(&plan, run, &store, WriteOptions::default(), &mut To::File(path.clone()), &()).unwrap();
    path
}

pub(crate) fn run() -> RunConfig {
    RunConfig { argv: vec!["/home/ann/venv/bin/tool".into(), "{connection_file}".into()], ..run_config() }
}

pub(crate) fn bundle_in(env: &TestEnv) -> PathBuf {
    write_bundle(env, "a.nbpack", &inventory(3_000_000), &run())
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Relative names of the store's directory `name`.
pub(crate) fn names(env: &TestEnv, name: &str) -> Vec<String> {
    let dir = env.path().join("data/nbpack/v1").join(name);
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_command_runs_in_the_bundle_with_its_own_programs_first() {
    if !namespaces() {
        return;
    }
    let env = TestEnv::new();
    bundle_in(&env);
    let script = "pwd; cat in.csv; tool; id -u; echo $HOME $USER $GIVEN; hostname; echo x >in.csv; exit 3";
    let args = ["run", "a.nbpack", "-v", "/usr:/usr:ro", "-e", "GIVEN=yes", "--", "/bin/sh", "-c", script];
    let started = env.nbpack(&args);
    let expected = "/home/ann/work\na,b\n1,2\n/home/ann/venv/bin/tool\n/home/ann/venv/bin/tool\n\
                    1000\n/home/ann ann yes\ndesk\n";
    assert_eq!(text(&started.stdout), expected, "{}", text(&started.stderr));
    assert_eq!(started.status.code(), Some(3));
    assert_eq!(names(&env, "run"), [""; 0], "nothing of the run is left");
    assert_eq!(names(&env, "tmp"), [""; 0], "nothing of the restore is left");
    // The change went with the run, and the second start reads no blob.
    let second = Instant::now();
    let again = env.nbpack(&["run", "analysis", "-v", "/usr:/usr:ro", "--", "cat", "in.csv"]);
    assert_eq!(ok(&again), "a,b\n1,2\n");
    assert!(second.elapsed() < Duration::from_secs(1), "{:?}", second.elapsed());
}

#[test]
fn restore_writes_the_notebook_once_and_registers_the_kernel() {
    let env = TestEnv::new();
    bundle_in(&env);
    let kernels = env.path().join("prefix/share/jupyter/kernels");
    let prefix = env.path().join("prefix");
    let args = ["restore", "a.nbpack", "--prefix", prefix.to_str().unwrap(), "--json"];
    let said: serde_json::Value = serde_json::from_str(&ok(&env.nbpack(&args))).unwrap();
    assert_eq!(said["name"], "analysis");
    assert_eq!(std::fs::read_to_string(env.work().join("analysis.ipynb")).unwrap(), "{\"cells\": []}");
    let spec: serde_json::Value =
        serde_json::from_slice(&std::fs::read(kernels.join("nbpack-analysis/kernel.json")).unwrap()).unwrap();
    assert_eq!(spec["argv"][1], "kernel");
    assert_eq!(spec["argv"][5], "analysis");
    let digest = said["manifest"].as_str().unwrap().strip_prefix("sha256:").unwrap().get(..12).unwrap().to_owned();
    assert_eq!(spec["display_name"], format!("Python 3 (nbpack {digest})"));

    // Again: the same. A different notebook is not overwritten.
    ok(&env.nbpack(&args));
    std::fs::write(env.work().join("analysis.ipynb"), "mine").unwrap();
    let refused = env.nbpack(&args);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--force"), "{}", text(&refused.stderr));
    assert_eq!(std::fs::read_to_string(env.work().join("analysis.ipynb")).unwrap(), "mine");
    let shown = env.nbpack(&["restore", "analysis", "--notebook", "-", "--no-kernel"]);
    assert_eq!(ok(&shown), "{\"cells\": []}");

    // Removed without a trace but the notebook.
    assert!(ok(&env.nbpack(&["ls"])).contains("analysis"));
    ok(&env.nbpack(&["rm", "analysis"]));
    assert!(!kernels.join("nbpack-analysis").exists());
    assert_eq!(names(&env, "layers/sha256"), [""; 0]);
    assert_eq!(names(&env, "refs"), [""; 0]);
    assert_eq!(ok(&env.nbpack(&["ls", "--json"])).trim(), "[]");
}

#[test]
fn two_bundles_share_layers_and_the_collector_keeps_what_one_needs() {
    let env = TestEnv::new();
    bundle_in(&env);
    let mut other = inventory(3_000_000);
    other.entries.insert(b"home/ann/work/in.csv".to_vec(), entry(file(b"c\n", false)));
    write_bundle(&env, "b.nbpack", &other, &run());
    ok(&env.nbpack(&["restore", "a.nbpack", "--no-kernel"]));
    let before = names(&env, "layers/sha256").len();
    ok(&env.nbpack(&["restore", "b.nbpack", "--no-kernel", "--notebook", "b.ipynb"]));
    let both = names(&env, "layers/sha256").len();
    assert!(both < 2 * before, "{before} layers, {both} with the second");
    assert_eq!(names(&env, "refs"), ["analysis-2.json", "analysis.json"]);
    assert!(ok(&env.nbpack(&["gc"])).contains("0 layers"));
    ok(&env.nbpack(&["rm", "analysis-2"]));
    assert_eq!(names(&env, "layers/sha256").len(), before);
    assert!(ok(&env.nbpack(&["du"])).contains("analysis"));
    let taken = env.nbpack(&["restore", "b.nbpack", "--name", "analysis", "--no-kernel"]);
    assert_eq!(taken.status.code(), Some(2));
    assert!(text(&taken.stderr).contains("belongs to another bundle"), "{}", text(&taken.stderr));
}

#[test]
fn concurrent_restores_agree() {
    let env = TestEnv::new();
    bundle_in(&env);
    let start = |number: usize| {
        let notebook = format!("{number}.ipynb");
        env.command(program())
            .args(["restore", "a.nbpack", "--no-kernel", "--notebook", &notebook])
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..4).map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(names(&env, "tmp"), [""; 0]);
    ok(&env.nbpack(&["restore", "analysis", "--no-kernel", "--notebook", "x.ipynb"]));
}

#[test]
fn a_killed_restore_leaves_nothing_but_whole_layers_and_the_next_one_goes_on() {
    let env = TestEnv::new();
    write_bundle(&env, "a.nbpack", &inventory(40_000_000), &run());
    for delay in [5, 20, 60, 150] {
        let args = ["restore", "a.nbpack", "--no-kernel"];
        let mut child = env.command(program()).args(args).stdout(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_millis(delay);
        while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for layer in names(&env, "layers/sha256") {
            let dir = env.path().join("data/nbpack/v1/layers/sha256").join(layer);
            assert!(dir.join("meta.json").is_file() && dir.join("root").is_dir(), "{}", dir.display());
        }
    }
    ok(&env.nbpack(&["restore", "a.nbpack", "--no-kernel"]));
    assert_eq!(names(&env, "tmp"), [""; 0], "what the killed ones left is gone");
}

#[test]
fn a_damaged_bundle_is_refused_and_the_store_stays_as_it_was() {
    let env = TestEnv::new();
    let path = bundle_in(&env);
    let whole = std::fs::read(&path).unwrap();
    for place in [whole.len() / 3, whole.len() / 2] {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        std::fs::write(env.work().join("bad.nbpack"), bytes).unwrap();
        let output = env.nbpack(&["restore", "bad.nbpack", "--no-kernel"]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("nbpack verify bad.nbpack"), "{}", text(&output.stderr));
        assert_eq!(names(&env, "refs"), [""; 0]);
        assert_eq!(names(&env, "tmp"), [""; 0]);
    }
    std::fs::write(env.work().join("short.nbpack"), &whole[..whole.len() / 2]).unwrap();
    assert_eq!(env.nbpack(&["restore", "short.nbpack"]).status.code(), Some(2));
}

#[test]
fn a_bundle_for_another_processor_is_refused_with_both_names() {
    let env = TestEnv::new();
    let other = if bundle::read::this_architecture() == "amd64" { "arm64" } else { "amd64" };
    write_bundle(&env, "a.nbpack", &inventory(10), &RunConfig { architecture: other.to_owned(), ..run() });
    let output = env.nbpack(&["run", "a.nbpack", "--", "true"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains(other) && said.contains(bundle::read::this_architecture()), "{said}");
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let env = TestEnv::new();
    let output = env.nbpack(&["run", "nothing", "--", "true"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("neither a bundle's file nor the name"), "{}", text(&output.stderr));
    let output = env.nbpack(&["run", "--", "true"]);
    assert!(text(&output.stderr).contains("no bundle was named"), "{}", text(&output.stderr));
}

#[test]
fn a_hostile_record_cannot_name_a_file_of_this_machine() {
    let env = TestEnv::new();
    let mut hostile = inventory(10);
    let secret = env.path().join("home/secret");
    std::fs::write(&secret, "mine").unwrap();
    hostile.entries.insert(
        b"home/ann/work/analysis.ipynb".to_vec(),
        entry(EntryKind::Symlink { target: secret.to_str().unwrap().as_bytes().to_vec() }),
    );
    write_bundle(&env, "a.nbpack", &hostile, &run());
    ok(&env.nbpack(&["restore", "a.nbpack", "--no-kernel"]));
    assert_eq!(std::fs::read_to_string(env.work().join("analysis.ipynb")).unwrap(), "{\"cells\": [], \"ran\": 1}");
}

#[test]
fn verify_names_every_file_that_changed_after_it_was_restored() {
    let env = TestEnv::new();
    bundle_in(&env);
    env.nbpack_ok(&["restore", "a.nbpack", "--no-kernel", "--name", "kept"]);
    let said = env.nbpack_ok(&["verify", "kept"]);
    assert!(said.starts_with("kept: sound\n"), "{said}");

    let layers = env.path().join("data/nbpack/v1/layers/sha256");
    let roots = std::fs::read_dir(layers).unwrap().map(|layer| layer.unwrap().path().join("root"));
    let root = roots.into_iter().find(|root| root.join("home/ann/work/in.csv").exists()).unwrap();
    let file = root.join("home/ann/work/in.csv");
    let before = std::fs::metadata(&file).unwrap();
    // The same size and time: only the bytes tell.
    std::fs::write(&file, "a,b\n1,3\n").unwrap();
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(before.modified().unwrap()).unwrap();
    let output = env.nbpack(&["verify", "kept"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("`/home/ann/work/in.csv` was changed after it was unpacked"), "{said}");
    assert_eq!(said.matches("was changed after").count(), 1, "{said}");
    assert!(said.contains("hint: nbpack rm kept"), "{said}");

    std::fs::write(&file, "a,b\n1,2\n").unwrap();
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(before.modified().unwrap()).unwrap();
    env.nbpack_ok(&["verify", "kept"]);
    std::fs::write(root.join("home/ann/work/more"), "").unwrap();
    let output = env.nbpack(&["verify", "kept"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("`/home/ann/work/more` was changed"), "{}", text(&output.stderr));
}
