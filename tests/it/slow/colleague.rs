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
    env.install_kernel(&python);
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
