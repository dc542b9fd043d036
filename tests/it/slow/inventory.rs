//! A root made of nothing but the inventory of a large environment.

use std::path::Path;

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
