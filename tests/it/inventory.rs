//! An inventory is complete when a root made of nothing else runs the session's interpreter.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
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

use crate::support::{TestEnv, python, skipped};

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

fn take(recording: &Recording, store: &Store, options: &Options) -> Inventory {
    inventory::take(recording, store, options, &mut |_| {}).unwrap()
}

/// Makes the root as plain files.
fn materialise(inventory: &Inventory, store: &Store, root: &Path) {
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
                        assert_eq!(Signature::of(&fs::metadata(path).unwrap()), *signature);
                        fs::copy(path, &at).unwrap();
                        // Bytecode is normalised elsewhere: here the sources keep the times it names.
                        let metadata = fs::metadata(path).unwrap();
                        fs::File::options()
                            .write(true)
                            .open(&at)
                            .unwrap()
                            .set_modified(metadata.modified().unwrap())
                            .unwrap();
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
fn in_root(root: &Path, argv: &[&str]) -> Option<String> {
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

/// No entry lies below a link or a file, and every link leads somewhere inside.
fn assert_sound(inventory: &Inventory) {
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

#[test]
fn a_root_of_a_virtual_environment_imports_and_has_a_shell() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    let store = Store::open(&env.path().join("data")).unwrap();
    let recording = recording(&python, &env.work(), &env.path().join("home"));
    let begun = std::time::Instant::now();
    let inventory = take(&recording, &store, &Options::default());
    eprintln!("{} entries in {:?}; {:?}", inventory.entries.len(), begun.elapsed(), inventory.roots);
    eprintln!("warnings: {:#?}", inventory.warnings);
    assert_sound(&inventory);
    let root = env.path().join("root");
    materialise(&inventory, &store, &root);
    let code = "import pandas, sklearn, matplotlib.pyplot, pyarrow, sys, ssl, sqlite3, ctypes; print(sys.prefix)";
    let Some(prefix) = in_root(&root, &[python.to_str().unwrap(), "-c", code]) else { return };
    let expected = python.parent().unwrap().parent().unwrap();
    assert_eq!(prefix.trim(), expected.to_str().unwrap());
    let listed = in_root(&root, &["bash", "-c", "ls / | head -3 | sort; grep -c root /etc/passwd; locale -a"]).unwrap();
    assert!(listed.contains("bin"), "{listed}");
}
