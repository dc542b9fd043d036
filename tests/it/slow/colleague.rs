//! The colleague's machine: another account in the root of another distribution, without Python, Docker or network.

use std::process::{Command, Output};

use crate::support::{self, TestEnv};

/// Runs `command` as another account in the trixie root that `tests/run` prepared; `/in` is `env.work()`.
///
/// A mount namespace with a new root: in a plain chroot Linux refuses user namespaces.
fn foreign(env: &TestEnv, command: &str) -> Option<Output> {
    let root = support::other_root()?;
    let script = r#"set -e
        mkdir -p "$1/in" "$1/.old"
        chroot "$1" id colleague >/dev/null 2>&1 || chroot "$1" useradd -m colleague
        mount --rbind "$1" "$1"; mount --bind "$2" "$1/in"; mount -t proc proc "$1/proc"
        mount --rbind /dev "$1/dev"; mount --rbind /sys "$1/sys"
        cd "$1"; pivot_root . .old; cd /; umount -l /.old
        exec su - colleague -c "$3""#;
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "bash", "-c", script, "-"])
        .arg(&root)
        .arg(env.work())
        .arg(command)
        .output()
        .unwrap();
    Some(output)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Makes a bundle in `env.work()` with the program beside it, and removes everything it was made from.
fn pack(env: &TestEnv, cells: &[&str]) -> Option<()> {
    let python = support::python()?;
    env.small_environment(&python, &["ipykernel", "pandas", "scikit-learn"]);
    std::fs::write(env.work().join("a.csv"), "a,b\n1,2\n3,4\n").unwrap();
    env.record(&python, "nb.ipynb", cells);
    env.nbpack_ok(&["export", "nb.ipynb", "-o", "b.nbpack"]);
    std::fs::copy(support::program(), env.work().join("nbpack")).unwrap();
    std::fs::remove_file(env.work().join("a.csv")).unwrap();
    std::fs::remove_file(env.work().join("nb.ipynb")).unwrap();
    for (name, mode) in [(".", 0o755), ("nbpack", 0o755), ("b.nbpack", 0o644)] {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(env.work().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(env.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    Some(())
}

#[test]
fn another_account_in_another_distribution_gets_the_same_results_offline() {
    let env = TestEnv::new();
    let cells = [
        "import pandas as pd\nframe = pd.read_csv('a.csv')\nprint(frame.to_string())",
        "frame.sum()",
        "!head -n 1 a.csv",
        "1/0",
    ];
    if pack(&env, &cells).is_none() {
        return;
    }
    let fresh = "rm -rf ~/.local/share/nbpack; ";
    let Some(replayed) = foreign(&env, &format!("{fresh}/in/nbpack replay /in/b.nbpack")) else { return };
    assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed));

    // What the colleague adds works too: a late import, and the home and network are not the colleague's.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let code = format!(
        "import sklearn.linear_model, os, socket\n\
         s = socket.socket(); s.settimeout(2)\n\
         print('home', os.path.exists('/home/colleague/secret'), 'net', s.connect_ex(('127.0.0.1', {port})) == 0)"
    );
    let run = format!("touch ~/secret; /in/nbpack run /in/b.nbpack -- python -c \"{code}\"");
    let output = foreign(&env, &run).unwrap();
    assert!(text(&output).contains("home False net False"), "{}", text(&output));
    let control = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached");
    let output = foreign(&env, &format!("bash -c '{control}'")).unwrap();
    assert!(text(&output).contains("reached"), "the control failed: {}", text(&output));
}

#[test]
fn a_changed_dataset_is_a_changed_verdict() {
    let env = TestEnv::new();
    if pack(&env, &["print(open('a.csv').read())", "print('untouched')"]).is_none() {
        return;
    }
    // The colleague's own copy of the data lies over the recorded one.
    std::fs::write(env.work().join("other.csv"), "a,b\n1,2\n3,5\n").unwrap();
    let target = env.work().join("a.csv");
    let command = format!("/in/nbpack replay --volume /in/other.csv:{}:ro /in/b.nbpack", target.display());
    let Some(output) = foreign(&env, &command) else { return };
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("a.csv"), "the cause is not named: {}", text(&output));
}

#[test]
fn a_session_of_a_restored_kernel_is_a_bundle_on_top_of_its_parent() {
    use nbpack::bundle::read::Bundle;
    let env = TestEnv::new();
    let Some(python) = support::python() else { return };
    let venv = env.small_environment(&python, &["ipykernel", "pandas"]);
    let work = env.work();
    std::fs::write(work.join("a.csv"), "a,b\n1,2\n3,4\n").unwrap();
    std::fs::write(work.join("mine.py"), "def f(): return 41\n").unwrap();
    env.record(&python, "nb.ipynb", &["import pandas as pd, mine", "print(pd.read_csv('a.csv').sum().to_dict())"]);
    env.nbpack_ok(&["export", "nb.ipynb", "-o", "parent.nbpack"]);
    // From here on only the bundle has them.
    std::fs::remove_dir_all(&venv).unwrap();
    for name in ["a.csv", "mine.py", "nb.ipynb"] {
        std::fs::remove_file(work.join(name)).unwrap();
    }
    let given = work.join("given");
    std::fs::create_dir(&given).unwrap();
    std::fs::write(given.join("new.csv"), "x\n7\n").unwrap();
    std::os::unix::fs::symlink("new.csv", given.join("latest.csv")).unwrap();
    std::fs::write(given.join("large.bin"), vec![7; 17 << 20]).unwrap();
    std::fs::write(given.join("added.py"), "def g(): return 43\n").unwrap();
    std::fs::write(given.join("id_rsa"), "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
    let volume = format!("--volume={}:/data", given.display());
    env.nbpack_ok(&["restore", "parent.nbpack", "--user", "--name", "first", &volume]);
    let cells = [
        format!("import pandas as pd, sys; print(pd.read_csv('{}/a.csv').sum().to_dict())", work.display()),
        "sys.path.insert(0, '/data'); import added, mine; print(added.g() + mine.f())".to_owned(),
        "print(pd.read_csv('/data/new.csv').x.sum(), len(open('/data/large.bin', 'rb').read()))".to_owned(),
        "open('/data/id_rsa').close(); open('made.txt', 'w').write('x')".to_owned(),
        // Gone before anybody looks where the link leads.
        "!cat /data/latest.csv".to_owned(),
    ];
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    env.record_with(&python, "child.ipynb", "nbpack-first", &cells);
    let shown: serde_json::Value = serde_json::from_str(&env.nbpack_ok(&["show", "--json", "child.ipynb"])).unwrap();
    let data: Vec<&str> =
        shown["datasets"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert!(data.contains(&"/data/new.csv") && !data.contains(&"/data/latest.csv"), "{data:?}");
    env.nbpack_ok(&["export", "child.ipynb", "-o", "child.nbpack"]);
    let open = |name: &str| Bundle::open(&work.join(name)).unwrap();
    let (parent, child) = (open("parent.nbpack"), open("child.nbpack"));
    assert_eq!(child.run_config().parent, Some(parent.manifest_digest()));
    let ids = |bundle: &Bundle| bundle.layers().iter().map(|layer| layer.diff_id).collect::<Vec<_>>();
    let (below, above) = (ids(&parent), ids(&child));
    // All but the parent's record.
    assert_eq!(above[..below.len() - 1], below[..below.len() - 1]);
    assert!(above.len() > below.len());

    // Nothing of it but the file is needed for a replay, and then for a third generation.
    std::fs::remove_dir_all(env.path().join("data")).unwrap();
    std::fs::rename(&given, work.join("away")).unwrap();
    std::fs::remove_file(work.join("parent.nbpack")).unwrap();
    let replayed = env.nbpack(&["replay", "child.nbpack"]);
    // The key stayed at home, so its cell cannot do the same.
    assert_eq!(replayed.status.code(), Some(1), "{}", text(&replayed));
    assert!(text(&replayed).contains("4 identical"), "{}", text(&replayed));
    env.nbpack_ok(&["restore", "child.nbpack", "--user", "--name", "second"]);
    env.record_with(&python, "third.ipynb", "nbpack-second", &["print(open('/data/new.csv').read())"]);
    env.nbpack_ok(&["export", "third.ipynb", "-o", "third.nbpack"]);
    env.nbpack_ok(&["replay", "third.nbpack"]);

    // Without the parent, under whichever name, there is nothing to build on.
    let known: serde_json::Value = serde_json::from_str(&env.nbpack_ok(&["ls", "--json"])).unwrap();
    for one in known.as_array().unwrap() {
        env.nbpack_ok(&["rm", one["name"].as_str().unwrap()]);
    }
    let refused = env.nbpack(&["export", "third.ipynb", "-o", "again.nbpack"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused).contains("restore that bundle again"), "{}", text(&refused));
}
