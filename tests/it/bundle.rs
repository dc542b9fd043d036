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

use crate::support::{TestEnv, skipped};

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
            };
            inventory.entries.insert(name.into_bytes(), entry);
        }
    }
    inventory
}

fn plan_of(inventory: &Inventory, run: &RunConfig) -> Plan {
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
