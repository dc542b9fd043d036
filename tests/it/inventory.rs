//! An inventory is complete when a root made of nothing else runs the session's interpreter.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
};

use nbpack::{
    digest::Digest,
    files::Signature,
    inventory::{
        self, Options,
        glob::Glob,
        model::{Class, EntryKind, Inventory, Source},
    },
    session::model::{Execution, FileUse, FileVersion, Recording, Role, SessionId, SessionInfo, Status, Use},
    store::Store,
};

use crate::support::{self, TestEnv, python, skipped};

/// A recording of a Python kernel that did nothing yet.
pub(crate) fn recording(python: &Path, cwd: &Path, home: &Path) -> Recording {
    let info = SessionInfo {
        id: SessionId("20260102-030405-00000000".into()),
        started: nbpack::event::now(),
        ended: None,
        kernel: "python3".into(),
        display_name: "Python 3".into(),
        language: "python".into(),
        argv: [python.to_str().unwrap(), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            .map(str::to_owned)
            .to_vec(),
        interrupt_mode: "signal".into(),
        kernel_env: BTreeMap::new(),
        cwd: cwd.to_owned(),
        notebook: None,
        notebook_source: None,
        user: "ada".into(),
        uid: 1000,
        gid: 1000,
        home: home.to_owned(),
        host: "box".into(),
        nbpack_version: "0".into(),
        coverage: "full".into(),
        exit_status: Some(0),
        parent: None,
        executions: 0,
        running: false,
    };
    let environment = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("HOME", home.to_str().unwrap())];
    Recording {
        info,
        executions: Vec::new(),
        files: Vec::new(),
        versions: Vec::new(),
        processes: Vec::new(),
        connections: Vec::new(),
        environment: environment.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).into(),
        facts: BTreeMap::new(),
        gaps: Vec::new(),
        comms: Vec::new(),
    }
}

fn used(recording: &mut Recording, path: &Path, usage: Use) {
    let signature =
        fs::metadata(path).ok().filter(|metadata| metadata.is_file()).map(|metadata| Signature::of(&metadata));
    recording.files.push(FileUse {
        path: path.as_os_str().as_bytes().to_vec(),
        execution: Some(1),
        pid: 1,
        usage,
        first: 0,
        last: 0,
        count: 1,
        signature,
        created_here: false,
    });
}

pub(crate) fn take(recording: &Recording, store: &Store, options: &Options) -> Inventory {
    inventory::take(recording, store, options, &mut |_| {}).unwrap()
}

/// Makes the root as plain files.
pub(crate) fn materialise(inventory: &Inventory, store: &Store, root: &Path) {
    for (path, entry) in &inventory.entries {
        let at = root.join(std::ffi::OsString::from_vec(path.clone()));
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        match &entry.kind {
            EntryKind::Directory => fs::create_dir_all(&at).unwrap(),
            EntryKind::Placeholder => fs::write(&at, "").unwrap(),
            EntryKind::Symlink { target } => symlink(std::ffi::OsString::from_vec(target.clone()), &at).unwrap(),
            EntryKind::File { source, size, executable, .. } => {
                match source {
                    Source::Host { path, signature } | Source::Bytecode { path, signature, .. } => {
                        let metadata = fs::metadata(path).unwrap();
                        assert_eq!(Signature::of(&metadata), *signature, "{}", path.display());
                        fs::copy(path, &at).unwrap();
                        // Bytecode is normalised elsewhere: here the sources keep the times it names.
                        let file = fs::File::options().append(true).open(&at).unwrap();
                        file.set_modified(metadata.modified().unwrap()).unwrap();
                    }
                    Source::Blob(digest) => {
                        fs::copy(store.blob_path(digest), &at).unwrap();
                    }
                    Source::Bytes(bytes) => fs::write(&at, bytes).unwrap(),
                }
                assert_eq!(fs::metadata(&at).unwrap().len(), *size, "{}", at.display());
                fs::set_permissions(&at, fs::Permissions::from_mode(if *executable { 0o755 } else { 0o644 })).unwrap();
            }
        }
    }
}

/// Runs a command in a root, or says why that cannot be tried here.
pub(crate) fn in_root(root: &Path, argv: &[&str]) -> Option<String> {
    let allowed = Command::new("unshare").args(["-r", "true"]).output().is_ok_and(|output| output.status.success());
    if !allowed {
        skipped("no user namespaces, and so no chroot");
        return None;
    }
    let output = Command::new("unshare")
        .args(["-r", "chroot"])
        .arg(root)
        .args(argv)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/tmp")
        .output()
        .unwrap();
    assert!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// No entry lies below a link or a file.
pub(crate) fn assert_sound(inventory: &Inventory) {
    for path in inventory.entries.keys() {
        assert!(!path.starts_with(b"/") && !path.ends_with(b"/"), "{}", String::from_utf8_lossy(path));
        let mut ancestor = path.as_slice();
        while let Some(at) = ancestor.iter().rposition(|&byte| byte == b'/') {
            ancestor = &ancestor[..at];
            let blocked =
                inventory.entries.get(ancestor).is_some_and(|entry| !matches!(entry.kind, EntryKind::Directory));
            assert!(!blocked, "{} lies below a link or file", String::from_utf8_lossy(path));
        }
    }
}

fn entry<'a>(inventory: &'a Inventory, path: &Path) -> Option<&'a nbpack::inventory::model::Entry> {
    inventory.entries.get(path.as_os_str().as_bytes().strip_prefix(b"/").unwrap())
}

fn left_out<'a>(inventory: &'a Inventory, path: &Path) -> Option<&'a str> {
    inventory.left_out.iter().find(|out| out.path == path.as_os_str().as_bytes()).map(|out| out.rule.as_str())
}

/// A virtual environment of the system's own interpreter, if there is one.
fn system_venv(prefix: &Path, options: &[&str]) -> Option<PathBuf> {
    let made = Command::new("/usr/bin/python3")
        .args(["-m", "venv", "--without-pip"])
        .args(options)
        .arg(prefix)
        .output()
        .is_ok_and(|output| output.status.success());
    if !made {
        skipped("no /usr/bin/python3 with venv");
    }
    made.then(|| prefix.join("bin/python"))
}

fn distribution(site: &Path, name: &str, requires: &str) {
    fs::write(site.join(format!("{name}.py")), "x = 1\n").unwrap();
    let info = site.join(format!("{name}-1.0.dist-info"));
    fs::create_dir_all(&info).unwrap();
    fs::write(info.join("METADATA"), format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")).unwrap();
    fs::write(
        info.join("RECORD"),
        format!("{name}.py,,\n{name}-1.0.dist-info/METADATA,,\n{name}-1.0.dist-info/RECORD,,\n"),
    )
    .unwrap();
}

fn site_of(prefix: &Path) -> PathBuf {
    let lib = prefix.join("lib");
    let version = fs::read_dir(&lib)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .find(|name| name.to_string_lossy().starts_with("python"))
        .unwrap();
    lib.join(version).join("site-packages")
}

#[test]
fn a_virtual_environment_in_the_notebooks_directory_moves_only_its_site_packages() {
    let env = TestEnv::new();
    let work = env.work();
    for (name, options) in [("linked", &["--symlinks"][..]), ("copied", &["--copies"])] {
        let cwd = work.join(name);
        fs::create_dir(&cwd).unwrap();
        let Some(python) = system_venv(&cwd, options) else { return };
        fs::write(cwd.join("data.csv"), "1\n").unwrap();
        fs::write(cwd.join("unread.csv"), "2\n").unwrap();
        distribution(&site_of(&cwd), "hello", "");
        let store = Store::open(&env.path().join("data")).unwrap();
        let mut recording = recording(&python, &cwd, &env.path().join("home"));
        used(&mut recording, &cwd.join("data.csv"), Use::Read);
        let inventory = take(&recording, &store, &Options::default());
        assert_sound(&inventory);
        assert_eq!(inventory.roots[0].kind, "site-packages");
        assert_eq!(inventory.roots[0].prefix, site_of(&cwd));
        assert_eq!(entry(&inventory, &cwd.join("data.csv")).unwrap().class, Class::Dataset);
        assert!(entry(&inventory, &cwd.join("unread.csv")).is_none());
        let root = env.path().join(format!("root-{name}"));
        materialise(&inventory, &store, &root);
        let code = "import hello, sqlite3, ssl, json, sys; print(sys.prefix, hello.__file__)";
        let Some(said) = in_root(&root, &[python.to_str().unwrap(), "-B", "-c", code]) else { return };
        assert_eq!(said.trim(), format!("{} {}", cwd.display(), site_of(&cwd).join("hello.py").display()));
    }
}

#[test]
fn the_systems_interpreter_brings_its_standard_library_with_bytecode() {
    let env = TestEnv::new();
    let Some(python) = system_venv(&env.work().join("v"), &[]) else { return };
    let store = Store::open(&env.path().join("data")).unwrap();
    let cwd = env.path().join("home");
    let inventory = take(&recording(&python, &cwd, &cwd), &store, &Options::default());
    let library: Vec<_> = inventory.entries.iter().filter(|(path, _)| path.starts_with(b"usr/lib/python3")).collect();
    assert!(library.len() > 500, "{}", library.len());
    if Path::new("/var/lib/dpkg/status").exists() {
        assert!(
            inventory
                .components
                .iter()
                .any(|one| one.kind == "deb" && one.name.contains("python3") && one.licence.is_some())
        );
    }
    let compiled = library
        .iter()
        .filter(|(_, entry)| matches!(&entry.kind, EntryKind::File { source: Source::Bytecode { .. }, .. }))
        .count();
    assert!(compiled > 100, "{compiled}");
    assert_eq!(inventory.roots.len(), 1);
    assert_eq!(inventory.roots[0].kind, "venv");
    let link = entry(&inventory, &fs::canonicalize(env.work()).unwrap().join("v")).unwrap();
    assert!(matches!(&link.kind, EntryKind::Symlink { target } if target == b"/opt/nbpack/env/0"));
}

#[test]
fn a_user_site_gives_what_was_loaded_and_what_that_needs() {
    let env = TestEnv::new();
    let home = fs::canonicalize(env.path().join("home")).unwrap();
    let site = home.join(".local/lib/python3.11/site-packages");
    fs::create_dir_all(&site).unwrap();
    distribution(&site, "alpha", "Requires-Dist: beta>=1\n");
    distribution(&site, "beta", "");
    distribution(&site, "gamma", "");
    let Some(python) = system_venv(&env.work().join("v"), &[]) else { return };
    let store = Store::open(&env.path().join("data")).unwrap();
    let mut recording = recording(&python, &env.work(), &home);
    // Of a module that is compiled already, Python opens the bytecode alone.
    fs::create_dir(site.join("__pycache__")).unwrap();
    let compiled = site.join("__pycache__/alpha.cpython-311.pyc");
    fs::write(&compiled, "stale").unwrap();
    used(&mut recording, &compiled, Use::Read);
    let names = |inventory: &Inventory| -> BTreeSet<String> {
        inventory
            .components
            .iter()
            .filter(|one| one.kind == "pypi")
            .map(|one| format!("{}{}", one.name, if one.loaded { "!" } else { "" }))
            .collect()
    };
    let inventory = take(&recording, &store, &Options::default());
    assert_eq!(names(&inventory), BTreeSet::from(["alpha!".to_owned(), "beta".to_owned()]));
    let root = inventory.roots.iter().find(|root| root.prefix == site).unwrap();
    assert_eq!(root.canonical, Path::new(&format!("/opt/nbpack/env/{}/lib/python3.11/site-packages", root.role)));
    assert_eq!(entry(&inventory, &root.canonical.join("beta.py")).unwrap().class, Class::Distribution);
    let all = take(&recording, &store, &Options { all_installed: true, ..Options::default() });
    assert!(names(&all).contains("gamma"));
}

#[test]
fn a_link_that_switches_system_configuration_on_goes_in_though_no_package_lists_it() {
    // Made by the script of Debian's package, and read by its resolved name: the directory was listed.
    let link = Path::new("/etc/fonts/conf.d/10-hinting-slight.conf");
    if !link.is_symlink() {
        skipped("no /etc/fonts/conf.d");
        return;
    }
    let env = TestEnv::new();
    let Some(python) = system_venv(&env.work().join("v"), &[]) else { return };
    let store = Store::open(&env.path().join("data")).unwrap();
    let mut recording = recording(&python, &env.work(), &env.path().join("home"));
    used(&mut recording, Path::new("/etc/fonts/conf.d"), Use::List);
    used(&mut recording, &fs::canonicalize(link).unwrap(), Use::Read);
    let inventory = take(&recording, &store, &Options::default());
    assert!(matches!(entry(&inventory, link).unwrap().kind, EntryKind::Symlink { .. }));
}

fn version(recording: &mut Recording, store: &Store, path: &Path, content: &[u8], kept: bool, role: Role) -> Digest {
    let digest = Digest::of(content);
    if kept {
        let at = store.blob_path(&digest);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, content).unwrap();
    }
    let mut signature = Signature::of(&fs::metadata(path).unwrap());
    signature.size = content.len() as u64;
    recording.versions.push(FileVersion {
        path: path.as_os_str().as_bytes().to_vec(),
        execution: Some(1),
        role,
        digest: Some(digest),
        signature,
        mode: 0o644,
        kept,
        unstable: false,
        seen: 0,
        note: None,
    });
    digest
}

#[test]
fn the_users_files_go_in_as_they_were_read_and_nothing_else_of_theirs() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    let (work, home) = (fs::canonicalize(env.work()).unwrap(), fs::canonicalize(env.path().join("home")).unwrap());
    let write = |path: &Path, text: &str| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        path.to_owned()
    };
    let overwritten = write(&work.join("in/overwritten.csv"), "new");
    let changed = write(&work.join("in/changed.csv"), "new content");
    let plain = write(&work.join("in/plain.csv"), "as it is");
    write(&work.join("in/unread.csv"), "nobody read me");
    write(&work.join("sub/name.txt"), "nobody read me");
    let module = write(&work.join("helper.py"), "x = 1");
    let named = write(&work.join("cfg.yml"), "a: 1");
    let in_part = write(&work.join("images/part/map.png"), "map");
    write(&work.join("results/old.csv"), "old");
    let key = write(&home.join(".ssh/id_ed25519"), "not a key");
    let history = write(&home.join(".ipython/profile_default/history.sqlite"), "h");
    let big = write(&work.join("big.bin"), &"x".repeat(5000));
    let real = write(&env.path().join("mnt/disk/far.csv"), "far");
    symlink(fs::canonicalize(env.path()).unwrap().join("mnt/disk"), work.join("link")).unwrap();
    let dotenv = write(&work.join(".env"), "A=1");
    fs::create_dir(work.join("renamed-before")).unwrap();
    let store = Store::open(&env.path().join("data")).unwrap();
    let mut recording = recording(&python, &work, &home);
    recording.info.started = nbpack::event::now();
    for path in [&overwritten, &changed, &plain, &module, &key, &history, &big, &work.join("link/far.csv"), &dotenv] {
        used(&mut recording, path, Use::Read);
    }
    for listed in ["in", "", "sub", "never"] {
        used(&mut recording, &work.join(listed), Use::List);
    }
    used(&mut recording, &work.join("emptied/deep"), Use::RemoveDirectory);
    used(&mut recording, &work.join("renamed-before"), Use::RenameDirectory);
    let before = version(&mut recording, &store, &overwritten, b"before", true, Role::Read);
    version(&mut recording, &store, &changed, b"old", false, Role::Read);
    let made = write(&work.join("results/made.csv"), "made");
    used(&mut recording, &made, Use::Write);
    recording.files.last_mut().unwrap().created_here = true;
    version(&mut recording, &store, &made, b"made", true, Role::Written);
    recording.files.push(FileUse { path: b"/proc/self/status".to_vec(), ..recording.files[0].clone() });
    recording.executions.push(execution("if os.path.exists('cfg.yml'): open(\"missing.csv\")"));
    recording.executions.push(execution("if not (IMAGES / 'part/map.png').is_file(): download()"));
    let options =
        Options { size_limit: Some(4000), excludes: vec![Glob::new("**/nothing").unwrap()], ..Options::default() };
    let inventory = take(&recording, &store, &options);
    assert_sound(&inventory);
    let blob = |path: &Path| match &entry(&inventory, path).unwrap().kind {
        EntryKind::File { source: Source::Blob(digest), mtime: Some(_), .. } => *digest,
        other => panic!("{other:?}"),
    };
    assert_eq!(blob(&overwritten), before);
    assert_eq!(left_out(&inventory, &changed), Some("changed"));
    assert!(inventory.warnings.iter().any(|warning| warning.contains("changed.csv")));
    assert_eq!(entry(&inventory, &plain).unwrap().class, Class::Dataset);
    assert_eq!(entry(&inventory, &module).unwrap().class, Class::LocalModule);
    assert_eq!(entry(&inventory, &named).unwrap().rule, "named-in-code");
    assert!(matches!(entry(&inventory, &in_part).unwrap().kind, EntryKind::Placeholder));
    assert!(matches!(entry(&inventory, &work.join("in/unread.csv")).unwrap().kind, EntryKind::Placeholder));
    assert!(matches!(entry(&inventory, &work.join("sub/name.txt")).unwrap().kind, EntryKind::Placeholder));
    assert!(left_out(&inventory, &work.join("never")).is_none());
    assert!(matches!(entry(&inventory, &work.join("results")).unwrap().kind, EntryKind::Directory));
    assert!(entry(&inventory, &work.join("results/old.csv")).is_none());
    assert!(matches!(entry(&inventory, &work.join("emptied/deep")).unwrap().kind, EntryKind::Directory));
    assert_eq!(left_out(&inventory, &made), Some("result"));
    assert_eq!(left_out(&inventory, &key), Some("private-key"));
    assert_eq!(left_out(&inventory, &history), Some("private-history"));
    assert_eq!(left_out(&inventory, &dotenv), Some("private-credential"));
    assert_eq!(left_out(&inventory, &big), Some("size-limit"));
    assert!(matches!(&entry(&inventory, &work.join("link")).unwrap().kind, EntryKind::Symlink { .. }));
    assert_eq!(entry(&inventory, &fs::canonicalize(real).unwrap()).unwrap().class, Class::Dataset);
    assert!(!inventory.entries.keys().any(|path| path.starts_with(b"proc/")));
    assert_eq!(inventory::explain(&inventory, key.as_os_str().as_bytes()).unwrap().rule, "private-key");

    let with_results = take(&recording, &store, &Options { with_results: true, ..options });
    assert_eq!(entry(&with_results, &made).unwrap().class, Class::Result);
    let config = inventory::run_config(&recording, &inventory);
    assert_eq!(config.renamed, [work.join("renamed-before")]);
    assert_eq!((config.cwd, config.uid, config.has_jupyter), (work, 1000, true));
}

#[test]
fn what_lies_on_a_file_system_that_does_not_answer_is_left_out_and_named() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    let Some(served) = support::Served::mount(&env) else { return };
    let work = fs::canonicalize(env.work()).unwrap();
    let (far, near) = (served.front().join("data"), work.join("near.csv"));
    fs::write(&near, "near").unwrap();
    let mut recording = recording(&python, &work, env.path());
    for path in [&far, &near] {
        used(&mut recording, path, Use::Read);
    }
    let store = Store::open(&env.path().join("data")).unwrap();
    served.stop();
    let inventory = take(&recording, &store, &Options::default());
    assert_eq!(entry(&inventory, &near).unwrap().class, Class::Dataset);
    assert_eq!(left_out(&inventory, &far), Some("changed"));
    let said = inventory.warnings.join("\n");
    assert!(said.contains("front/data") && said.contains("does not answer"), "{said}");
}

fn execution(code: &str) -> Execution {
    Execution {
        id: 1,
        msg_id: "m".into(),
        cell_id: None,
        code: code.into(),
        request: serde_json::json!({}),
        silent: false,
        is_magic: false,
        execution_count: Some(1),
        sent: 0,
        busy: None,
        reply: None,
        idle: None,
        status: Some(Status::Ok),
        ename: None,
        evalue: None,
        interrupted: false,
        client: String::new(),
        username: String::new(),
        user_expressions: serde_json::json!({}),
        outputs: Vec::new(),
        stdin: Vec::new(),
    }
}

#[test]
fn two_users_of_one_environment_get_the_same_paths_in_it() {
    let env = TestEnv::new();
    let take_at = |name: &str| -> Option<Vec<Vec<u8>>> {
        let prefix = env.work().join(name);
        let python = system_venv(&prefix, &[])?;
        distribution(&site_of(&prefix), "hello", "");
        let store = Store::open(&env.path().join("data")).unwrap();
        let home = env.path().join("home");
        let inventory = take(&recording(&python, &home, &home), &store, &Options::default());
        Some(inventory.entries.keys().filter(|path| path.starts_with(b"opt/nbpack/env/")).cloned().collect())
    };
    let (Some(one), Some(other)) = (take_at("here"), take_at("a/b/c/there")) else { return };
    assert_eq!(one, other);
    assert!(one.iter().any(|path| path.ends_with(b"site-packages/hello.py")));
}

#[test]
fn a_conda_environment_moves_whole_without_its_package_cache() {
    let env = TestEnv::new();
    let prefix = fs::canonicalize(env.path()).unwrap().join("conda");
    let write = |name: &str, text: &str| {
        let path = prefix.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let python = write("bin/python", "#!/bin/sh\n");
    write("lib/libz.so", "z");
    write("bin/z-config", prefix.to_str().unwrap());
    write("lib/stray.txt", "nobody's");
    write("pkgs/cache.conda", "cache");
    write("envs/other/conda-meta/history", "");
    let meta = serde_json::json!({
        "name": "zlib", "version": "1.3", "files": ["lib/libz.so", "bin/z-config"],
        "paths_data": {"paths": [{"_path": "bin/z-config", "prefix_placeholder": "/opt/x"}]},
    });
    write("conda-meta/zlib-1.3-0.json", &meta.to_string());
    let store = Store::open(&env.path().join("data")).unwrap();
    let inventory = take(&recording(&python, &env.work(), &env.path().join("home")), &store, &Options::default());
    assert_sound(&inventory);
    assert_eq!((inventory.roots[0].kind.as_str(), &inventory.roots[0].prefix), ("conda", &prefix));
    let class = |name: &str| entry(&inventory, &Path::new("/opt/nbpack/env/0").join(name)).map(|entry| entry.class);
    assert_eq!(class("lib/libz.so"), Some(Class::Distribution));
    assert_eq!(class("bin/z-config"), Some(Class::Environment));
    assert!(class("lib/stray.txt").is_some());
    assert_eq!((class("pkgs/cache.conda"), class("envs/other/conda-meta/history")), (None, None));
    let sorted: Vec<_> = inventory.components.iter().map(|one| (&one.kind, &one.name)).collect();
    assert!(sorted.is_sorted());
    let owner = entry(&inventory, Path::new("/opt/nbpack/env/0/lib/libz.so")).unwrap().component.unwrap();
    assert_eq!(inventory.components[owner].purl(), "pkg:conda/zlib@1.3");
}

#[test]
fn a_kernel_whose_interpreter_is_gone_cannot_be_packed() {
    let env = TestEnv::new();
    let store = Store::open(&env.path().join("data")).unwrap();
    let gone = env.path().join("gone/bin/python");
    let error = inventory::take(&recording(&gone, &env.work(), env.path()), &store, &Options::default(), &mut |_| {});
    assert!(error.unwrap_err().to_string().contains("gone/bin/python"));
}

#[test]
fn a_root_of_the_systems_r_fits_a_model() {
    let env = TestEnv::new();
    let r = Path::new("/usr/bin/R");
    if !r.exists() {
        skipped("no R");
        return;
    }
    let store = Store::open(&env.path().join("data")).unwrap();
    let mut recording = recording(r, &env.work(), &env.path().join("home"));
    recording.info.argv = ["R", "--slave", "-e", "1"].map(str::to_owned).to_vec();
    let inventory = take(&recording, &store, &Options::default());
    assert_sound(&inventory);
    assert_eq!(inventory::run_config(&recording, &inventory).argv[0], "/usr/bin/R");
    let root = env.path().join("root");
    materialise(&inventory, &store, &root);
    let code = "x <- data.frame(a = 1:3, b = c(2, 4, 6)); cat(round(coef(lm(b ~ a, x))[['a']]))";
    let Some(said) = in_root(&root, &["R", "--slave", "-e", code]) else { return };
    assert_eq!(said.trim(), "2");
}
