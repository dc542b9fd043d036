//! A bundle in the roots of other distributions and ages, as root and as a plain user, with nothing but this program.

use std::{
    collections::BTreeMap,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use nbpack::container::spec::{Bind, Spec};

use crate::{
    restore::{bundle_in, namespaces, text},
    support::{self, TestEnv, program},
};

/// A root of one static program.
fn busybox(env: &TestEnv) -> Option<PathBuf> {
    if !Path::new("/bin/busybox").exists() {
        support::skipped("no static busybox");
        return None;
    }
    let root = env.path().join("busybox");
    for dir in ["bin", "tmp", "mnt", "etc"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    symlink("busybox", root.join("bin/sh")).unwrap();
    Some(root)
}

/// Restores and runs in `root`, as root and as another user of that machine.
fn restores_in(env: &TestEnv, name: &str, root: &Path) {
    let script = "set -e; cd /mnt/work; /mnt/nbpack restore a.nbpack --no-kernel --notebook /mnt/data/n.ipynb >/mnt/data/said; \
        /mnt/nbpack run analysis -- /nbpack --version; /mnt/nbpack verify analysis; /mnt/nbpack doctor | grep -E 'container:'; \
        /mnt/nbpack rm analysis >/mnt/data/said";
    for uid in [0, 1000] {
        let data = env.path().join("data");
        std::fs::remove_dir_all(&data).unwrap_or_default();
        std::fs::create_dir(&data).unwrap();
        let run_dir = env.path().join("machine");
        std::fs::create_dir(&run_dir).unwrap();
        let variables = [("PATH", "/usr/bin:/bin"), ("HOME", "/mnt/data"), ("XDG_DATA_HOME", "/mnt/data")];
        let variables: BTreeMap<_, _> = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let argv = ["/bin/sh", "-c", script].map(String::from).to_vec();
        let mut spec = Spec::machine(root.to_owned(), run_dir.clone(), uid, variables, argv);
        spec.binds.push(Bind { host: env.path().to_owned(), target: "/mnt".into(), read_only: false });
        std::fs::write(run_dir.join("spec.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
        let output = Command::new(program()).arg("container-init").arg(run_dir.join("spec.json")).output().unwrap();
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{name}, as {uid}: {said}{errors}");
        assert!(said.starts_with("nbpack ") && said.contains("\nanalysis: sound\n"), "{name}, as {uid}: {said}");
        assert!(said.contains("\nok    container: isolated: files, processes, network\n"), "{name}, as {uid}: {said}");
    }
}

#[test]
fn a_bundle_runs_in_roots_of_other_ages_and_of_nothing_as_root_and_as_a_user() {
    if !namespaces() {
        return;
    }
    let env = TestEnv::new();
    bundle_in(&env);
    std::fs::copy(program(), env.path().join("nbpack")).unwrap();
    let small = ["sid", "bullseye"].map(|name| (name, support::small_root(name)));
    let roots = [("busybox", busybox(&env)), ("trixie", support::other_root())].into_iter().chain(small);
    for (name, root) in roots.filter_map(|(name, root)| Some((name, root?))) {
        restores_in(&env, name, &root);
    }
}
