//! Promises of `bundle`, kept with real processes.

use std::{
    collections::BTreeMap,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use nbpack::{
    bundle::{
        self, Compression,
        config::RunConfig,
        plan::{Plan, SessionFile},
        read::Bundle,
        write::{Output, WriteOptions, Written},
    },
    files::Signature,
    inventory::model::{Class, Component, Entry, EntryKind, EnvironmentRoot, Inventory, Source},
    store::Store,
};

use crate::support::{KERNEL, TestEnv, python, skipped};

pub(crate) fn run_config() -> RunConfig {
    RunConfig {
        name: "analysis".to_owned(),
        architecture: bundle::read::this_architecture().to_owned(),
        argv: vec!["python3".to_owned(), "-f".to_owned(), "{connection_file}".to_owned()],
        kernel: "python3".to_owned(),
        display_name: "Python 3".to_owned(),
        language: "python".to_owned(),
        interrupt_mode: "signal".to_owned(),
        debugger: true,
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        cwd: PathBuf::from("/home/ann/work"),
        user: "ann".to_owned(),
        uid: 1000,
        gid: 1000,
        home: PathBuf::from("/home/ann"),
        host: "desk".to_owned(),
        notebook: Some(PathBuf::from("/home/ann/work/analysis.ipynb")),
        roots: vec![EnvironmentRoot {
            role: 0,
            kind: "venv".to_owned(),
            prefix: PathBuf::from("/home/ann/venv"),
            canonical: PathBuf::from("/opt/nbpack/env/0"),
        }],
        coverage: "full".to_owned(),
        machine: BTreeMap::new(),
        session: "s1".to_owned(),
        parent: None,
        command: vec![],
        has_jupyter: false,
        renamed: Vec::new(),
    }
}

/// The inventory of a directory: each top directory of it is a distribution, `.pyc` is bytecode.
pub(crate) fn inventory_of(tree: &Path, below: &str) -> Inventory {
    let mut inventory = Inventory::default();
    let mut components = BTreeMap::new();
    let mut todo = vec![tree.to_owned()];
    while let Some(dir) = todo.pop() {
        for item in std::fs::read_dir(&dir).unwrap() {
            let path = item.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let inside = path.strip_prefix(tree).unwrap();
            let name = format!("{below}/{}", inside.to_str().unwrap());
            let top = inside.components().next().unwrap().as_os_str().to_str().unwrap().to_owned();
            let count = components.len();
            let component = *components.entry(top.clone()).or_insert(count);
            if component == inventory.components.len() {
                inventory.components.push(Component {
                    kind: "pypi".to_owned(),
                    name: top,
                    version: "1.0".to_owned(),
                    licence: None,
                    installer: None,
                    direct_url: None,
                    loaded: true,
                    dependency: false,
                    modified: vec![],
                    arch: None,
                    ..Component::default()
                });
            }
            let signature = Signature::of(&metadata);
            let kind = if metadata.is_symlink() {
                let target = std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes();
                EntryKind::Symlink { target }
            } else if metadata.is_dir() {
                todo.push(path.clone());
                EntryKind::Directory
            } else {
                let source = match inside.to_str().unwrap().strip_suffix(".pyc") {
                    Some(stem) if stem.contains("__pycache__/") => {
                        let (dir, base) = stem.rsplit_once("__pycache__/").unwrap();
                        let module = base.split('.').next().unwrap();
                        let filename = format!("/{below}/{dir}{module}.py").into_bytes();
                        Source::Bytecode { path: path.clone(), signature, filename }
                    }
                    _ => Source::Host { path: path.clone(), signature },
                };
                let executable = metadata.permissions().mode() & 0o100 != 0;
                EntryKind::File { source, size: metadata.size(), executable, mtime: None }
            };
            let entry = Entry {
                kind,
                class: Class::Distribution,
                rule: "test",
                component: Some(component),
                original: None,
                touched: false,
                apart: false,
            };
            inventory.entries.insert(name.into_bytes(), entry);
        }
    }
    inventory
}

pub(crate) fn plan_of(inventory: &Inventory, run: &RunConfig) -> Plan {
    let run_json = serde_json::to_vec(run).unwrap();
    let files = BTreeMap::from([
        (bundle::config::RUN_CONFIG.as_bytes().to_vec(), SessionFile::Bytes(Arc::from(run_json))),
        (b"/opt/nbpack/session/note".to_vec(), SessionFile::Bytes(Arc::from(&b"a note"[..]))),
    ]);
    bundle::plan(inventory, run, files).unwrap()
}

fn write(plan: &Plan, run: &RunConfig, store: &Store, options: WriteOptions, to: &Path) -> Written {
    bundle::write(plan, run, store, options, &mut Output::File(to.to_owned()), &()).unwrap()
}

/// A tree of some size at a place of its own.
fn make_tree(at: &Path) {
    let put = |name: &str, bytes: &[u8]| {
        let path = at.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    put("alpha/__init__.py", b"x = 1\n");
    put("alpha/deep/er/module.py", b"print('deep')\n");
    put(&format!("alpha/{}/{}.txt", "long".repeat(40), "name".repeat(30)), b"long");
    put("alpha/\u{fc}ml\u{e4}ut.txt", "größe".as_bytes());
    put("alpha-data/a", b"");
    put("alpha.txt", b"beside");
    let noise: Vec<u8> = (0..20_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    put("big/data.bin", &noise);
    put("tool/run", b"#!/bin/sh\n");
    std::fs::set_permissions(at.join("tool/run"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("../alpha/__init__.py", at.join("tool/link")).unwrap();
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let env = TestEnv::new();
    let tree = env.work().join("tree");
    make_tree(&tree);
    let run = run_config();
    let inventory = inventory_of(&tree, "opt/nbpack/env/0/lib");
    let plan = plan_of(&inventory, &run);
    let store = Store::open(&env.path().join("data/store")).unwrap();
    let file = env.work().join("a.nbpack");
    let written = write(&plan, &run, &store, WriteOptions::default(), &file);
    let opened = Bundle::open(&file).unwrap();
    assert_eq!(opened.manifest_digest(), written.manifest);
    assert_eq!(opened.run_config(), &run);
    let report = opened.verify(&());
    assert!(report.is_sound(), "{report:?}");
    assert!(!report.repacked);
    assert_eq!(opened.read_session_file("/opt/nbpack/session/note").unwrap(), b"a note");

    let out = env.work().join("out");
    std::fs::create_dir(&out).unwrap();
    let mut seen = 0;
    for index in 0..opened.layers().len() {
        let target = out.join(index.to_string());
        opened.unpack_layer(index, &target).unwrap();
        for (name, entry) in &inventory.entries {
            let path = target.join(std::str::from_utf8(name).unwrap());
            let Ok(metadata) = path.symlink_metadata() else { continue };
            match &entry.kind {
                EntryKind::File { source: Source::Host { path: from, .. }, executable, .. } => {
                    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(from).unwrap());
                    assert_eq!(metadata.mode() & 0o7777, if *executable { 0o775 } else { 0o664 });
                    assert_eq!(metadata.mtime(), bundle::CLAMP);
                    seen += 1;
                }
                EntryKind::Symlink { target } => {
                    assert_eq!(path.read_link().unwrap().into_os_string().into_encoded_bytes(), *target);
                    assert_eq!(metadata.mtime(), bundle::CLAMP);
                    seen += 1;
                }
                _ => {
                    assert!(metadata.is_dir());
                    assert_eq!(metadata.mtime(), bundle::CLAMP);
                }
            }
        }
    }
    assert_eq!(seen, inventory.entries.values().filter(|entry| !matches!(entry.kind, EntryKind::Directory)).count());
    let output = env.nbpack(&["verify", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// A program of the machine, or the test is skipped.
fn found(name: &str) -> bool {
    let there = ["/usr/local/bin", "/usr/bin", "/bin"].iter().any(|dir| Path::new(dir).join(name).exists());
    if !there {
        skipped(&format!("no `{name}` on this machine"));
    }
    there
}

#[track_caller]
fn succeeds(command: &mut std::process::Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// A bundle of the small tree, and where its tree lies.
fn bundle_of_tree(env: &TestEnv, compression: Compression, out: &mut Output) -> (PathBuf, Written) {
    let tree = env.work().join("tree");
    if !tree.exists() {
        make_tree(&tree);
    }
    let plan = plan_of(&inventory_of(&tree, "opt/nbpack/env/0/lib"), &run_config());
    let store = Store::open(&env.path().join("data/store")).unwrap();
    let options = WriteOptions { compression, threads: 2 };
    let written = bundle::write(&plan, &run_config(), &store, options, out, &()).unwrap();
    (tree, written)
}

#[test]
fn skopeo_copies_both_ways_and_the_copies_verify() {
    if !found("skopeo") {
        return;
    }
    let env = TestEnv::new();
    let file = env.work().join("a.nbpack");
    let (_, written) = bundle_of_tree(&env, Compression::Zstd, &mut Output::File(file.clone()));
    let skopeo = |args: &[&str]| succeeds(env.command("skopeo").arg("--insecure-policy").args(args));
    let inspected = skopeo(&["inspect", "oci-archive:a.nbpack"]);
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["Digest"], written.manifest.to_string());
    assert_eq!(inspected["Layers"].as_array().unwrap().len(), written.layers.len());
    skopeo(&["copy", "oci-archive:a.nbpack", "oci:layout:latest"]);
    skopeo(&["copy", "oci:layout:latest", "oci-archive:b.nbpack:latest"]);
    skopeo(&["copy", "oci-archive:a.nbpack", "dir:plain"]);
    for copy in ["layout", "b.nbpack"] {
        let copy = env.work().join(copy);
        let opened = Bundle::open(&copy).unwrap();
        assert_eq!(opened.manifest_digest(), written.manifest);
        let report = opened.verify(&());
        assert!(report.is_sound() && report.repacked, "{report:?}");
        opened.unpack_layer(0, &env.work().join("unpacked")).unwrap();
        std::fs::remove_dir_all(env.work().join("unpacked")).unwrap();
        let output = env.nbpack(&["verify", copy.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    // The archive of Docker's own kind, beside the layout in the same file.
    skopeo(&["inspect", "docker-archive:a.nbpack"]);
}

#[test]
fn umoci_unpacks_gzip_layers_to_the_same_tree() {
    if !found("umoci") {
        return;
    }
    let env = TestEnv::new();
    let layout = env.work().join("layout");
    let (tree, _) = bundle_of_tree(&env, Compression::Gzip, &mut Output::Dir(layout));
    succeeds(env.command("umoci").args(["unpack", "--rootless", "--image", "layout:latest", "image"]));
    let lib = env.work().join("image/rootfs/opt/nbpack/env/0/lib");
    succeeds(env.command("diff").arg("-r").arg(&tree).arg(&lib));
    let metadata = lib.join("tool/run").metadata().unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o775, bundle::CLAMP));
    let link = std::fs::read_link(lib.join("tool/link")).unwrap();
    assert_eq!(link, Path::new("../alpha/__init__.py"));
}

#[test]
fn a_second_program_reads_what_the_format_describes() {
    if !found("python3") || !found("zstd") {
        return;
    }
    let env = TestEnv::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_bundle.py");
    for (name, compression) in [("z.nbpack", Compression::Zstd), ("g.nbpack", Compression::Gzip)] {
        let file = env.work().join(name);
        let (_, written) = bundle_of_tree(&env, compression, &mut Output::File(file.clone()));
        let listed = succeeds(env.command("python3").arg(&script).arg(&file));
        assert!(listed.contains(&format!("sound: {}", written.manifest)), "{listed}");
        assert!(listed.contains(" l 0777 0 315619200 \"opt/nbpack/env/0/lib/tool/link\""), "{listed}");
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let output = env.command("python3").arg(&script).arg(&file).output().unwrap();
        assert!(!output.status.success());
        let output = env.nbpack(&["verify", "--json", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["sound"], false);
        assert!(report["problems"][0].as_str().unwrap().contains("is damaged"), "{report}");
    }
}

#[test]
fn verify_tells_damaged_from_unknown() {
    let env = TestEnv::new();
    let file = env.work().join("a.nbpack");
    bundle_of_tree(&env, Compression::Zstd, &mut Output::File(file.clone()));
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 3]).unwrap();
    let output = env.nbpack(&["verify", "a.nbpack"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error: `a.nbpack` is damaged") && text.contains("the file ends inside"), "{text}");
    std::fs::write(&file, "a notebook").unwrap();
    for name in ["a.nbpack", "missing.nbpack"] {
        let output = env.nbpack(&["verify", name]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}

/// Not a test of its own: the next one runs it in processes with other surroundings.
#[test]
fn writes_a_bundle_for_another_test() {
    let Some(work) = std::env::var_os("NBPACK_TEST_WORK").map(PathBuf::from) else { return };
    let run = run_config();
    let plan = plan_of(&inventory_of(&work.join("tree"), "opt/nbpack/env/0/lib"), &run);
    let store = Store::open(&work.join("store")).unwrap();
    write(&plan, &run, &store, WriteOptions::default(), &work.join("out.nbpack"));
}

#[test]
fn umask_time_zone_locale_user_and_place_do_not_matter() {
    let env = TestEnv::new();
    let mut bundles = Vec::new();
    for (place, umask, zone, locale) in [("one", "022", "UTC", "C"), ("two", "077", "Asia/Tokyo", "de_DE.UTF-8")] {
        let work = env.work().join(place).join("x".repeat(bundles.len() * 50 + 1));
        std::fs::create_dir_all(&work).unwrap();
        make_tree(&work.join("tree"));
        succeeds(
            env.command("sh")
                .args(["-c", r#"umask "$1"; shift; exec "$@""#, "sh", umask])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "bundle::writes_a_bundle_for_another_test"])
                .env("NBPACK_TEST_WORK", &work)
                .env("TZ", zone)
                .env("LC_ALL", locale)
                .env("HOME", &work)
                .env("USER", place)
                .current_dir(&work),
        );
        bundles.push(std::fs::read(work.join("out.nbpack")).unwrap());
    }
    assert!(bundles[0] == bundles[1]);
}

#[test]
fn bytecode_of_two_installations_is_one_layer_and_stays_valid() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    let run = run_config();
    let mut written = Vec::new();
    for (place, time) in [("a", "2021-03-04"), ("another/place", "2023-05-06")] {
        let site = env.work().join(place).join("site");
        std::fs::create_dir_all(site.join("alpha")).unwrap();
        std::fs::write(
            site.join("alpha/__init__.py"),
            "def f(x):\n    class C:\n        def g(self): return [y for y in (x, 'alpha', 1.5, 2j, None)]\n    return C().g()\n",
        )
        .unwrap();
        std::fs::write(site.join("alpha/stale.py"), "x = 1\n").unwrap();
        succeeds(env.command("touch").args(["-d", time]).arg(site.join("alpha/__init__.py")));
        succeeds(env.command(&python).args(["-m", "compileall", "-q"]).arg(&site));
        std::fs::write(site.join("alpha/stale.py"), "x = 2, 3\n").unwrap();
        let plan = plan_of(&inventory_of(&site, "opt/nbpack/env/0/site"), &run);
        let store = Store::open(&env.path().join("data/store")).unwrap();
        let file = env.work().join("a.nbpack");
        let done = write(&plan, &run, &store, WriteOptions::default(), &file);
        assert_eq!(done.bytecode_left_out, 1, "the stale one");
        written.push(done);
    }
    assert_eq!(written[0].manifest, written[1].manifest);
    let opened = Bundle::open(&env.work().join("a.nbpack")).unwrap();
    for (index, layer) in opened.layers().iter().enumerate() {
        if layer.title.starts_with("libraries") || layer.title.starts_with("bytecode") {
            let target = env.work().join(format!("layer{index}"));
            opened.unpack_layer(index, &target).unwrap();
            succeeds(env.command("cp").args(["-a", "--no-target-directory"]).arg(&target).arg(env.work().join("root")));
        }
    }
    let site = env.work().join("root/opt/nbpack/env/0/site");
    let script = "import sys, alpha; assert alpha.f(3) == [3, 'alpha', 1.5, 2j, None]";
    let told = succeeds(env.command(&python).args(["-B", "-v", "-c", script]).env("PYTHONPATH", &site));
    let line = told.lines().find(|line| line.contains("alpha") && line.contains(" matches ")).unwrap_or_default();
    assert!(line.contains("__init__"), "the bytecode was not used: {told}");
    let script = "import glob, marshal, sys
def names(code):
    yield code.co_filename
    for const in code.co_consts:
        if hasattr(const, 'co_filename'):
            yield from names(const)
[path] = glob.glob(sys.argv[1] + '/alpha/__pycache__/*.pyc')
print(sorted(set(names(marshal.loads(open(path, 'rb').read()[16:])))))";
    let told = succeeds(env.command(&python).args(["-c", script]).arg(&site));
    assert_eq!(told.trim(), "['/opt/nbpack/env/0/site/alpha/__init__.py']");
}

#[test]
fn ctrl_c_in_the_middle_leaves_nothing_half_written() {
    struct Stop(std::sync::atomic::AtomicU64);
    impl bundle::Progress for Stop {
        fn bytes(&self, count: u64) {
            self.0.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
        }
        fn cancelled(&self) -> bool {
            self.0.load(std::sync::atomic::Ordering::Relaxed) > 10 << 20
        }
    }
    let env = TestEnv::new();
    let tree = env.work().join("tree");
    make_tree(&tree);
    let plan = plan_of(&inventory_of(&tree, "opt/nbpack/env/0/lib"), &run_config());
    let store = Store::open(&env.path().join("data/store")).unwrap();
    let stop = Stop(std::sync::atomic::AtomicU64::new(0));
    let mut out = Output::File(env.work().join("a.nbpack"));
    let result = bundle::write(&plan, &run_config(), &store, WriteOptions::default(), &mut out, &stop);
    assert!(matches!(result, Err(bundle::write::WriteError::Cancelled)), "{result:?}");
    let names: Vec<_> = std::fs::read_dir(env.work()).unwrap().map(|name| name.unwrap().file_name()).collect();
    assert_eq!(names, ["tree"]);
    assert_eq!(std::fs::read_dir(store.tmp()).unwrap().count(), 0);
    // And the next one finishes what was begun.
    bundle::write(&plan, &run_config(), &store, WriteOptions::default(), &mut out, &()).unwrap();
    assert!(Bundle::open(&env.work().join("a.nbpack")).unwrap().verify(&()).is_sound());
}

#[test]
fn a_redacted_bundle_holds_the_secret_nowhere_and_replays() {
    let Some(python) = crate::support::python() else { return };
    let env = TestEnv::new();
    env.small_environment(&python, &["ipykernel"]);
    let token = ["gh", "p_", &"a1B2c3D4e5".repeat(4)].concat();
    std::fs::write(env.work().join("client.py"), format!("TOKEN = \"{token}\"\n")).unwrap();
    std::fs::write(env.work().join("hosts.json"), format!("{{\"token\": \"{token}\"}}\n")).unwrap();
    // In code, in outputs, in the saved notebook, in a module and in a file of data.
    let cells = [
        "import client, json\nprint('as', client.TOKEN)",
        "json.load(open('hosts.json'))",
        &format!("headers = {{'X-Token': '{token}'}}\nheaders"),
    ];
    env.record(&python, "nb.ipynb", &cells);
    let refused = env.nbpack(&["export", "nb.ipynb", "-o", "b.nbpack"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && !env.work().join("b.nbpack").exists());
    for place in ["cell:3", "output:1", "nb.ipynb", "client.py", "hosts.json"] {
        assert!(said.contains(place), "{place}: {said}");
    }
    assert!(!said.contains(&token), "{said}");

    env.nbpack_ok(&["export", "nb.ipynb", "-o", "b.nbpack", "--redact"]);
    let bundle = Bundle::open(&env.work().join("b.nbpack")).unwrap();
    for layer in bundle.layers() {
        let tar = zstd::decode_all(bundle.blob(layer).unwrap()).unwrap();
        assert!(memchr::memmem::find(&tar, token.as_bytes()).is_none(), "{}", layer.title);
        if layer.title.starts_with("session") {
            assert!(memchr::memmem::find(&tar, b"[redacted]").is_some());
        }
    }
    env.nbpack_ok(&["verify", "b.nbpack"]);
    let said = env.nbpack_ok(&["replay", "b.nbpack"]);
    assert!(said.contains("3 identical"), "{said}");
}

#[test]
fn a_notebook_that_its_frontend_did_not_name_is_in_the_bundle() {
    let Some(python) = crate::support::python() else { return };
    let env = TestEnv::new();
    env.small_environment(&python, &["ipykernel"]);
    let make = format!(
        "import nbformat; cell = nbformat.v4.new_code_cell('print(6 * 7)'); meta = {{'kernelspec': {{'name': '{KERNEL}', \
         'display_name': 'x'}}}}; nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=meta), 'sums.ipynb')"
    );
    let run = "from nbclient.cli import main; main()";
    for (script, arguments) in [(make.as_str(), &[][..]), (run, &["--inplace", "sums.ipynb"])] {
        let mut command = env.command(&python);
        command.env_remove("JPY_SESSION_NAME").env("JUPYTER_PREFER_ENV_PATH", "0").current_dir(env.work());
        let ran = command.args(["-c", script]).args(arguments).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
    env.nbpack_ok(&["export", "sums.ipynb", "-o", "b.nbpack"]);
    let bundle = Bundle::open(&env.work().join("b.nbpack")).unwrap();
    assert_eq!(bundle.run_config().name, "sums");
    let seen = env.nbpack_ok(&["run", "b.nbpack", "--", "cat", "sums.ipynb"]);
    assert_eq!(seen, std::fs::read_to_string(env.work().join("sums.ipynb")).unwrap());
}
