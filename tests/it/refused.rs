//! Where Linux, a container or an administrator refuses what the container needs: each step tried by doing, the step that
//! failed and its remedy named, and what is not isolated said.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
};

use nbpack::container::spec::{Bind, OWN_DIR, Spec};

use crate::support::{
    place::{Place, places, stdout, text},
    program, skipped,
};

/// A shell script in a user namespace in which it is root, as the first argument of a wrapper.
fn as_namespace_root(script: &str) -> [&str; 6] {
    ["unshare", "-Urm", "--propagation=private", "/bin/sh", "-ec", script]
}

#[test]
fn where_the_writable_part_cannot_be_on_disk_it_is_in_memory_and_that_is_said() {
    for place in places() {
        let base = place.directory("base");
        let [upper, work] = ["b-upper", "b-work"].map(|name| place.directory(name));
        let data = place.path("data");
        // The run's directory on an overlay, as inside Docker.
        let script = format!(
            "PATH=/usr/sbin:/sbin:$PATH; cp -r {data}/. {base}; \
             mount -t overlay o -o userxattr,lowerdir={base},upperdir={upper},workdir={work} {data}; shift 0; \"$@\"",
            data = data.display(),
            base = base.display(),
            upper = upper.display(),
            work = work.display()
        );
        let mut wrapper = as_namespace_root(&script).to_vec();
        wrapper.push("sh");
        let spec = place.spec("echo x >/tmp/x && cat /tmp/x");
        let mut command = place.container(&spec, &wrapper);
        let output = command.env("PATH", "/usr/bin:/bin").output().unwrap();
        assert_eq!(stdout(&output), "x\n", "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("kept in memory"), "{}", text(&output.stderr));
    }
}

/// What a process may still do where something is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// As an administrator may.
    All,
    /// Not to mount, as root in Docker's default profile.
    NoMounts,
    /// As a plain user. What stays lets root of the test's namespace be mapped again.
    None,
}

impl Rights {
    fn drop(self) -> &'static str {
        match self {
            Self::All => "",
            Self::NoMounts => "setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin",
            Self::None => "setpriv --bounding-set=-all,+setfcap --inh-caps=-all",
        }
    }
}

/// No more user namespaces from here on: the way of an administrator who forbids them.
const TURNED_OFF: &str = "echo 0 >/proc/sys/user/max_user_namespaces";

/// `words` as the place's user after `refuse` was done, with `rights`; the programs in `hidden` are not there.
fn refused(place: &Place, refuse: &str, rights: Rights, hidden: &[&str], words: &[&str]) -> Command {
    let hide: Vec<String> =
        hidden.iter().map(|name| format!("test ! -e {name} || mount --bind /dev/null {name}; ")).collect();
    let script = format!("{}{refuse}; exec {} \"$@\"", hide.concat(), rights.drop());
    let mut wrapped = as_namespace_root(&script).to_vec();
    wrapped.push("sh");
    wrapped.extend(words);
    let mut command = place.command(wrapped[0], &wrapped[1..]);
    command.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", place.path("home"));
    command.env("XDG_DATA_HOME", place.path("data")).env("XDG_RUNTIME_DIR", place.path("run"));
    command
}

/// The container of `spec` likewise, below `wrapper` when that is not empty.
fn container(place: &Place, refuse: &str, rights: Rights, hidden: &[&str], wrapper: &[&str], spec: &Spec) -> Command {
    let words = place.container_words(spec);
    let words: Vec<&str> = wrapper.iter().copied().chain(words.iter().map(String::as_str)).collect();
    refused(place, refuse, rights, hidden, &words)
}

/// No more user namespaces from here on.
fn without_namespaces(place: &Place, spec: &Spec, rights: Rights, hidden: &[&str]) -> Command {
    container(place, TURNED_OFF, rights, hidden, &[], spec)
}

/// What `nbpack doctor` says about the container there.
fn doctor(place: &Place, refuse: &str, rights: Rights, wrapper: &[&str]) -> String {
    let nbpack = place.path("nbpack");
    let words: Vec<&str> = wrapper.iter().copied().chain([nbpack.to_str().unwrap(), "doctor"]).collect();
    let output = refused(place, refuse, rights, &HELPERS, &words).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}{}", text(&output.stdout), text(&output.stderr));
    let said = text(&output.stdout);
    let start = said.find("FAIL  container: ").unwrap_or_else(|| panic!("{said}"));
    said.get(start..).unwrap_or_default().lines().take(2).collect::<Vec<_>>().join("\n")
}

/// A program that is started where Linux refuses something by a filter.
fn forbidding(way: &str) -> [String; 3] {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forbid.py");
    ["/usr/bin/python3".to_owned(), script.to_str().unwrap().to_owned(), way.to_owned()]
}

/// It did not run, and `words` say why and what helps.
fn assert_refused(place: &Place, output: &Output, words: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not said: {said}");
    }
    assert!(!place.path("data/run-1").exists(), "the run's directory stayed");
}

const HELPERS: [&str; 2] = ["/usr/bin/proot", "/usr/bin/bwrap"];

#[test]
fn where_user_namespaces_are_forbidden_the_step_and_the_remedy_are_named() {
    for place in places() {
        let output = without_namespaces(&place, &place.spec("true"), Rights::None, &HELPERS).output().unwrap();
        let words =
            ["cannot make namespaces: No space left on device", "max_user_namespaces is 0", "nbpack doctor --admin"];
        assert_refused(&place, &output, &words);
        let said = doctor(&place, TURNED_OFF, Rights::None, &[]);
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
}

#[test]
fn an_administrator_without_user_namespaces_gets_all_the_others() {
    for place in places() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let secret = place.file("home/secret", "mine");
        let script = format!(
            "id -u; pwd; test -e {} && echo home; bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo net; \
             test $(ls /proc | grep -c '^[0-9]') -gt 8 && echo processes; mount -t tmpfs x /tmp 2>/dev/null && echo mount; \
             grep -E '^Cap(Prm|Eff|Bnd|Amb)' /proc/self/status | grep -v 0000000000000000; echo x >/tmp/x && cat /tmp/x",
            secret.display()
        );
        let output = without_namespaces(&place, &place.spec(&script), Rights::All, &HELPERS).output().unwrap();
        assert_eq!(stdout(&output), "0\n/home/ann/work\nx\n", "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("as user root, without rights"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_root_without_user_namespaces_gets_a_chroot_and_is_told_what_it_is_not() {
    for place in places() {
        // A chroot shows nothing of this machine, so the program is in the layer itself.
        std::fs::copy(program(), place.path("layer/nbpack")).unwrap();
        place.own(&place.path("layer/nbpack"));
        let mut spec = place.spec("");
        spec.argv = ["/nbpack", "--version"].map(String::from).to_vec();
        spec.binds.clear();
        let output = without_namespaces(&place, &spec, Rights::NoMounts, &HELPERS).output().unwrap();
        assert!(stdout(&output).starts_with("nbpack "), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("NOT isolated"), "{}", text(&output.stderr));
    }
}

#[test]
fn with_proot_the_paths_are_exact_and_an_interrupt_arrives() {
    if !Path::new("/usr/bin/proot").exists() {
        return skipped("no proot");
    }
    for place in places() {
        let given = place.directory("work/given");
        let script =
            "pwd; trap 'echo int; exit 3' INT; echo made >/given/file; echo ready; while :; do sleep 0.05; done";
        let mut spec = place.spec(script);
        spec.binds.push(Bind { host: given.clone(), target: "/given".into(), read_only: false });
        let mut command = without_namespaces(&place, &spec, Rights::None, &["/usr/bin/bwrap"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.ends_with("ready\n") && out.read_line(&mut said).unwrap() > 0 {}
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
        out.read_to_string(&mut said).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(said, "/home/ann/work\nready\nint\n", "{}", text(&output.stderr));
        assert_eq!(output.status.code(), Some(3));
        assert!(text(&output.stderr).contains("proot") && text(&output.stderr).contains("NOT isolated"));
        assert_eq!(std::fs::read_to_string(given.join("file")).unwrap(), "made\n");
    }
}

#[test]
fn only_who_asks_for_it_gets_a_run_below_another_path_and_is_told_what_it_is_not() {
    for place in places() {
        place.file("layer/home/ann/work/own", "kept\n");
        std::os::unix::fs::symlink("/home/ann/work/own", place.path("layer/home/ann/work/link")).unwrap();
        // As what was listed and never read stands in a bundle.
        let listed = place.file("layer/home/ann/work/listed", "");
        std::fs::set_permissions(listed, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        let given = place.directory("work/given");
        let mut spec = place.spec("pwd; cat link given/file; ls; echo made >given/made; exit 4");
        spec.binds.push(Bind { host: given.clone(), target: "/home/ann/work/given".into(), read_only: false });
        place.file("work/given/file", "mine\n");
        let output = without_namespaces(&place, &spec, Rights::None, &HELPERS).output().unwrap();
        assert_refused(&place, &output, &["try `--inexact`"]);
        spec.inexact = true;
        let output = without_namespaces(&place, &spec, Rights::None, &HELPERS).output().unwrap();
        let said = text(&output.stderr);
        let out = text(&output.stdout);
        let (cwd, rest) = out.split_once('\n').unwrap();
        assert!(cwd.ends_with("/copy/home/ann/work"), "{cwd}: {said}");
        assert_eq!(rest, "kept\nmine\ngiven\nlink\nlisted\nown\n", "{said}");
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains("Running inexactly") && said.contains("NOT isolated"), "{said}");
        assert_eq!(std::fs::read_to_string(given.join("made")).unwrap(), "made\n");
    }
}

/// Ubuntu's AppArmor rule lets a user namespace be made and refuses what is done in it.
#[test]
fn where_namespaces_have_no_rights_the_step_and_the_rule_are_named_and_proot_runs_it() {
    for place in places() {
        let way = forbidding("mount");
        let way: Vec<&str> = way.iter().map(String::as_str).collect();
        let spec = place.spec("pwd; id -u");
        let words = ["cannot make the mounts private: ", "AppArmor", "nbpack doctor --admin"];
        let output = container(&place, ":", Rights::None, &HELPERS, &way, &spec).output().unwrap();
        assert_refused(&place, &output, &words);
        let said = doctor(&place, ":", Rights::None, &way);
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        // The map is refused before anything is mounted.
        let read_only = "mount --rbind /proc /proc; mount -o remount,bind,ro /proc";
        let output = container(&place, read_only, Rights::None, &HELPERS, &[], &spec).output().unwrap();
        assert_refused(&place, &output, &["cannot write /proc/self/setgroups", "AppArmor"]);
        if !Path::new("/usr/bin/proot").exists() {
            skipped("no proot");
            continue;
        }
        let output = container(&place, ":", Rights::None, &HELPERS[1..], &way, &spec).output().unwrap();
        assert_eq!(stdout(&output), "/home/ann/work\n1000\n");
        let said = text(&output.stderr);
        assert!(
            said.contains("cannot make the mounts private") && said.contains("NOT isolated from your home"),
            "{said}"
        );
    }
}

/// Docker's default profile refuses the call itself; in a chroot Linux does.
#[test]
fn where_a_filter_or_a_chroot_refuses_namespaces_each_is_told_from_the_other() {
    for place in places() {
        let way = forbidding("namespaces");
        let way: Vec<&str> = way.iter().map(String::as_str).collect();
        let spec = place.spec("true");
        let output = container(&place, ":", Rights::None, &HELPERS, &way, &spec).output().unwrap();
        let words = ["cannot make namespaces: Operation not permitted", "a system call filter", "seccomp=unconfined"];
        assert_refused(&place, &output, &words);
        let said = doctor(&place, ":", Rights::None, &way);
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        let root = place.directory("chroot");
        let enter = format!(
            "mount --rbind / {0}; exec chroot {0} setpriv --bounding-set=-all,+setfcap --inh-caps=-all \"$@\"",
            root.display()
        );
        let output = container(&place, &enter, Rights::None, &HELPERS, &[], &spec).output().unwrap();
        assert_refused(&place, &output, &["cannot make namespaces: Operation not permitted", "as in a chroot"]);
    }
}

/// As in a container whose engine hides parts of `/proc`.
#[test]
fn where_proc_is_refused_the_rest_is_as_isolated_as_ever_and_that_processes_are_seen_is_said() {
    for place in places() {
        let secret = place.file("home/secret", "mine");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = format!(
            "pwd; id -u; test -e {} && echo home; bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo net; \
             ls /proc/[0-9]*/root/ 2>/dev/null | grep -q nbp && echo root; echo 0 2>/dev/null >/proc/sys/kernel/panic && echo sysctl; \
             test -e /proc/self/status && grep -E '^Cap(Prm|Eff|Bnd)' /proc/self/status | grep -v 0000000000000000; echo x >/tmp/x && cat /tmp/x",
            secret.display()
        );
        let masked = "mount --bind /dev/null /proc/version";
        let output = container(&place, masked, Rights::None, &HELPERS, &[], &place.spec(&script)).output().unwrap();
        assert_eq!(stdout(&output), "/home/ann/work\n1000\nx\n", "{}", text(&output.stderr));
        let said = text(&output.stderr);
        assert!(said.contains("cannot mount /proc") && said.contains("processes of this machine visible"), "{said}");
        assert!(said.contains("systempaths=unconfined"), "{said}");
        let said = doctor(&place, masked, Rights::None, &[]);
        assert!(said.contains("cannot mount /proc") && said.contains("systempaths=unconfined"), "{said}");
    }
}

/// Linux lays at most two overlays over each other.
#[test]
fn where_an_overlay_is_refused_the_layers_are_copied_and_stay_as_they_were() {
    for place in places() {
        let layer = place.path("layer");
        let [one, two, empty] = ["one", "two", "empty"].map(|name| place.directory(name));
        let stacked = format!(
            "mount -t overlay o -o userxattr,lowerdir={layer}:{empty} {one}; mount -t overlay o -o userxattr,lowerdir={one}:{empty} {two}; mount --rbind {two} {layer}",
            layer = layer.display(),
            empty = empty.display(),
            one = one.display(),
            two = two.display(),
        );
        place.file("layer/etc/name", "one");
        let spec = place.spec(
            "echo two >/etc/name; cat /etc/name; test $(ls /proc | grep -c '^[0-9]') -gt 8 && echo processes; id -u",
        );
        let output = container(&place, &stacked, Rights::None, &HELPERS, &[], &spec).output().unwrap();
        assert_eq!(stdout(&output), "two\n1000\n", "{}", text(&output.stderr));
        let said = text(&output.stderr);
        assert!(
            said.contains("cannot mount an overlay of 1 layers")
                && said.contains("in a copy of the layers: as isolated as always"),
            "{said}"
        );
        assert_eq!(std::fs::read_to_string(place.path("layer/etc/name")).unwrap(), "one");
        assert!(!place.path("data/run-1").exists(), "the copy stayed");
    }
}

/// A kernel needs its own directory in the container: in a chroot nothing can be shown, so it moves there.
#[test]
fn the_directory_of_a_run_moves_into_a_chroot_and_is_reached_where_it_was() {
    for place in places() {
        std::fs::copy("/bin/busybox", place.path("layer/busybox")).unwrap_or_default();
        if !place.path("layer/busybox").exists() {
            return skipped("no static busybox");
        }
        place.own(&place.path("layer/busybox"));
        let own = place.directory("work/inner");
        place.file("work/inner/connection", "given\n");
        let mut spec = place.spec("");
        spec.argv = ["/busybox", "sh", "-c", "/busybox cat /run/nbpack/connection; echo made >/run/nbpack/made; echo ready; read line </run/nbpack/go; echo $line"]
            .map(String::from)
            .to_vec();
        spec.binds = vec![Bind { host: own.clone(), target: OWN_DIR.into(), read_only: false }];
        place.fifo("work/inner/go");
        let mut child = without_namespaces(&place, &spec, Rights::NoMounts, &HELPERS)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.ends_with("ready\n") && out.read_line(&mut said).unwrap() > 0 {}
        if said.ends_with("ready\n") {
            assert_eq!(std::fs::read_to_string(own.join("made")).unwrap(), "made\n");
            std::fs::write(own.join("go"), "go on\n").unwrap();
        }
        out.read_to_string(&mut said).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(said, "given\nready\ngo on\n", "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("in a chroot") && text(&output.stderr).contains("NOT isolated"));
        // Something of this machine's cannot be shown there.
        let mut spec = place.spec("true");
        spec.binds[0].target = "/given".into();
        let output = without_namespaces(&place, &spec, Rights::NoMounts, &HELPERS).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
}
