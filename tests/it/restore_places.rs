//! A restore where the disk is full, the home cannot be written, or ids are mapped as other containers map them.

use std::{
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use crate::{
    restore::{bundle_in, inventory, names, namespaces, ok, run, text, write_bundle},
    support::{TestEnv, place::NOBODY, program, skipped},
};

/// A script as root of a user and mount namespace of its own, with `$NBPACK`, in `env.work()`.
fn apart(env: &TestEnv, script: &str) -> Output {
    let mut command = env.command("unshare");
    command.args(["-Urm", "--propagation=private", "/bin/sh", "-ec", script]);
    command.env("NBPACK", program()).env("DATA", env.path().join("data")).output().unwrap()
}

#[test]
fn a_full_disk_leaves_the_store_as_it_was_and_the_next_restore_goes_on() {
    if !namespaces() {
        return;
    }
    let env = TestEnv::new();
    write_bundle(&env, "small.nbpack", &inventory(10), &run());
    write_bundle(&env, "large.nbpack", &inventory(40_000_000), &run());
    let room = (std::fs::metadata(program()).unwrap().len() >> 20) + 20;
    let script = format!(
        r#"mount -t tmpfs -o size={room}m tmpfs "$DATA"; store=$DATA/nbpack/v1
        $NBPACK restore small.nbpack --no-kernel --name small >/dev/null
        list() {{ for layer in $store/layers/sha256/*; do stat -c '%i %n' $layer/meta.json; done | sort; }}
        list >before
        $NBPACK restore large.nbpack --no-kernel --name large --notebook large.ipynb && exit 9 || echo "ended with $?"
        list >after; comm -23 before after; ls $store/tmp $store/refs
        for layer in $store/layers/sha256/*; do test -d $layer/root; done
        $NBPACK verify small
        mount -o remount,size={more}m "$DATA"
        $NBPACK restore large.nbpack --no-kernel --name large --notebook large.ipynb >/dev/null
        list >last; comm -23 after last; $NBPACK verify large"#,
        more = room + 80
    );
    let output = apart(&env, &script);
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    let mut lines = said.lines().filter(|line| !line.is_empty());
    let store = env.path().join("data/nbpack/v1");
    let expected = [
        "ended with 2".to_owned(),
        format!("{}:", store.join("refs").display()),
        "small.json".to_owned(),
        format!("{}:", store.join("tmp").display()),
    ];
    for line in expected {
        assert_eq!(lines.next(), Some(line.as_str()), "{said}{errors}");
    }
    assert!(lines.next().is_some_and(|line| line.starts_with("small: sound")), "{said}{errors}");
    assert!(said.contains("large: sound"), "{said}{errors}");
    assert!(errors.contains("No space left on device") && errors.contains("goes on from the layers"), "{errors}");
}

#[test]
fn with_a_home_that_cannot_be_written_it_lies_elsewhere_and_how_to_choose_is_said() {
    if !namespaces() {
        return;
    }
    let env = TestEnv::new();
    bundle_in(&env);
    let script = r#"mount -t tmpfs tmpfs /var/tmp; mount --bind "$HOME" "$HOME"; mount -o remount,bind,ro "$HOME"
        unset XDG_DATA_HOME XDG_RUNTIME_DIR
        $NBPACK run a.nbpack -v /usr:/usr:ro -- cat in.csv; $NBPACK restore a.nbpack --no-kernel | head -n 1; ls -a /var/tmp "$HOME"
        XDG_DATA_HOME=$DATA $NBPACK run a.nbpack -v /usr:/usr:ro -- cat in.csv >&2"#;
    let output = apart(&env, script);
    let (said, errors) = (ok(&output), text(&output.stderr));
    assert!(said.starts_with("a,b\n1,2\nrestored analysis "), "{said}{errors}");
    assert!(said.contains("nbpack-0\n"), "{said}");
    let line = format!(
        "`{}/.local/share` cannot be written; `/var/tmp/nbpack-0/v1` is used (XDG_DATA_HOME=DIR",
        env.path().join("home").display()
    );
    assert_eq!(errors.matches(&line).count(), 2, "once for each command: {errors}");
    assert!(errors.ends_with("a,b\n1,2\n"), "{errors}");
    assert!(!names(&env, "layers/sha256").is_empty(), "the chosen place was used");
}

/// In a rootless container of another engine the user is root and has more ids; in `unshare -r` root is the only one.
#[test]
fn it_works_with_one_mapped_id_and_with_subordinate_ids() {
    if !namespaces() {
        return;
    }
    let env = TestEnv::new();
    bundle_in(&env);
    let inside =
        "$NBPACK run a.nbpack -v /usr:/usr:ro -- /bin/sh -c 'id -u; cat in.csv; echo x >in.csv; stat -c %u in.csv'";
    assert_eq!(ok(&apart(&env, inside)), "1000\na,b\n1,2\n1000\n");
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/bin/newuidmap").exists() {
        return skipped("not root, or no newuidmap: no account with subordinate ids can be made");
    }
    std::fs::write(env.path().join("subids"), "nobody:200000:65536\n").unwrap();
    std::fs::set_permissions(env.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::copy(program(), env.path().join("nbpack")).unwrap();
    for name in ["data", "run", "home", "work"] {
        let own = Command::new("chown").args(["-R", &format!("{NOBODY}:{NOBODY}")]).arg(env.path().join(name)).status();
        assert!(own.unwrap().success());
    }
    chown(env.path().join("nbpack"), Some(NOBODY), Some(NOBODY)).unwrap();
    let script = format!(
        "mount --bind {0} /etc/subuid; mount --bind {0} /etc/subgid; \
         exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups unshare -Um --map-root-user --map-auto \
         sh -ec 'test $(wc -l </proc/self/uid_map) -gt 1; {1}'",
        env.path().join("subids").display(),
        inside.replace('\'', "\"")
    );
    let mut command = env.command("unshare");
    command.args(["--mount", "--propagation=private", "sh", "-ec", &script]);
    let output = command.env("NBPACK", env.path().join("nbpack")).output().unwrap();
    assert_eq!(ok(&output), "1000\na,b\n1,2\n1000\n");
}

/// What runs does not wait for the disk; what is said to be restored is on it; and what a power failure took is had anew.
#[test]
fn layers_are_on_the_disk_soon_and_one_that_was_lost_with_the_power_is_unpacked_again() {
    if !namespaces() {
        return;
    }
    let env = TestEnv::new();
    bundle_in(&env);
    let layers = env.path().join("data/nbpack/v1/layers/sha256");
    let marks = || -> Vec<_> {
        let all = std::fs::read_dir(&layers).unwrap();
        all.map(|layer| layer.unwrap().path().join("unsettled")).filter(|mark| mark.exists()).collect()
    };
    let cat = ["run", "a.nbpack", "-v", "/usr:/usr:ro", "--", "cat", "in.csv"];
    assert_eq!(ok(&env.nbpack(&cat)), "a,b\n1,2\n");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !marks().is_empty() {
        assert!(Instant::now() < deadline, "never settled: {:?}", marks());
        std::thread::yield_now();
    }
    ok(&env.nbpack(&["rm", "analysis"]));
    ok(&env.nbpack(&["restore", "a.nbpack", "--no-kernel"]));
    assert!(marks().is_empty(), "restored means on the disk: {:?}", marks());
    // As after a power failure: a layer of another boot whose file is empty.
    let all = std::fs::read_dir(&layers).unwrap().map(|layer| layer.unwrap().path());
    for layer in all {
        std::fs::write(layer.join("unsettled"), "another boot").unwrap();
        if layer.join("root/home/ann/work/in.csv").exists() {
            std::fs::write(layer.join("root/home/ann/work/in.csv"), "").unwrap();
        }
    }
    let output = env.nbpack(&["run", "analysis", "-v", "/usr:/usr:ro", "--", "cat", "in.csv"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("restore it again from its file"), "{}", text(&output.stderr));
    assert_eq!(ok(&env.nbpack(&cat)), "a,b\n1,2\n");
    assert!(ok(&env.nbpack(&["verify", "analysis"])).starts_with("analysis: sound\n"));
}
