//! A root made of nothing but the inventory of a large environment.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use nbpack::{
    inventory::{
        Options,
        model::{EntryKind, Source},
    },
    store::Store,
};

use crate::{
    inventory::{assert_sound, in_root, materialise, recording, take},
    support::{TestEnv, python},
};

#[test]
fn a_root_of_a_virtual_environment_imports_and_has_a_shell() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    let store = Store::open(&env.path().join("data")).unwrap();
    let recording = recording(&python, &env.work(), &env.path().join("home"));
    let inventory = take(&recording, &store, &Options::default());
    assert_sound(&inventory);
    assert!(inventory.warnings.is_empty(), "{:?}", inventory.warnings);
    assert_eq!(inventory.roots[0].role, 0);
    assert_eq!(inventory.roots[0].canonical, Path::new("/opt/nbpack/env/0"));
    let root = env.path().join("root");
    // What the imports below do not need would only cost time.
    let large = ["jupyterlab", "notebook", "polars", "polars-runtime-32", "duckdb", "debugpy", "statsmodels", "jedi"];
    let mut copied = inventory.clone();
    copied.entries.retain(|_, entry| {
        entry.component.is_none_or(|at| !large.contains(&inventory.components[at].name.as_str()))
            && !matches!(&entry.kind, EntryKind::File { source: Source::Bytecode { .. }, .. })
    });
    materialise(&copied, &store, &root);
    let code = "import pandas, sklearn, matplotlib.pyplot, pyarrow, sys, ssl, sqlite3, ctypes; print(sys.prefix)";
    let Some(prefix) = in_root(&root, &[python.to_str().unwrap(), "-B", "-c", code]) else { return };
    let expected = python.parent().unwrap().parent().unwrap();
    assert_eq!(prefix.trim(), expected.to_str().unwrap());
    let script = "ls / | head -40; grep -c root /etc/passwd; locale -a; echo x | gzip | gzip -d | sed s/x/y/; tar --version | head -1; \
        find /usr -maxdepth 1 | awk 'END{print NR}'; tput -T xterm cols; python3 -c 1 2>/dev/null; true";
    let listed = in_root(&root, &["bash", "-c", script]).unwrap();
    assert!(listed.contains("bin\n") && listed.contains("\ny\n"), "{listed}");
    let modules = "import ssl, json, sys, os, time\n\
        print(len(ssl.create_default_context().get_ca_certs()) > 50, os.path.expanduser('~ada'), time.tzname != ())\n\
        import numpy; print(numpy.__file__)";
    let said = in_root(&root, &[python.to_str().unwrap(), "-B", "-c", modules]).unwrap();
    assert!(said.starts_with("True "), "{said}");
    assert!(said.contains(expected.to_str().unwrap()), "{said}");
}

/// Exports a session while `disturb` is called for each file of its environment, from the first finished layer on.
fn export_while(env: &TestEnv, site: &Path, disturb: impl Fn(&Path, usize) + Sync) -> String {
    let index = env.path().join("data/nbpack/v1/index");
    let done = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            let begun = || std::fs::read_dir(&index).is_ok_and(|mut dir| dir.next().is_some());
            while !begun() && !done.load(Ordering::Relaxed) {
                std::thread::park_timeout(std::time::Duration::from_millis(1));
            }
            let mut places = vec![site.to_owned()];
            let mut count = 0;
            while let Some(place) = places.pop() {
                let listing = std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap()).collect::<Vec<_>>();
                for entry in listing {
                    match entry.file_type().unwrap() {
                        kind if kind.is_dir() => places.push(entry.path()),
                        _ => disturb(&entry.path(), count),
                    }
                    count += 1;
                }
            }
        });
        let output = env.nbpack(&["export", "nb.ipynb", "-o", "b.nbpack"]);
        done.store(true, Ordering::Relaxed);
        output
    });
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    env.nbpack_ok(&["verify", "b.nbpack"]);
    said
}

#[test]
fn an_export_starts_again_when_an_installer_puts_the_same_files_there_meanwhile() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    let venv = env.small_environment(&python, &["ipykernel"]);
    env.record(&python, "nb.ipynb", &["import jedi", "print(1)"]);
    let site = std::fs::read_dir(venv.join("lib")).unwrap().next().unwrap().unwrap().path().join("site-packages");
    // As `uv` does from its cache: one more link, the same bytes, another time of the last change of status.
    let elsewhere = env.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let said =
        export_while(&env, &site, |path, count| std::fs::hard_link(path, elsewhere.join(count.to_string())).unwrap());
    assert!(!said.contains("starting again"), "{said}");
    assert!(std::fs::read_dir(&elsewhere).unwrap().count() > 100, "nothing was linked");
    std::fs::remove_dir_all(env.path().join("data/nbpack/v1/index")).unwrap();
    // As an installer does that writes them anew.
    let now = std::time::Instant::now();
    let said = export_while(&env, &site, |path, _| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000) + now.elapsed())
            .unwrap();
    });
    assert!(said.contains("changed while it was packed; starting again"), "{said}");
}
