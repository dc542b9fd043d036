//! Promises of `container`, kept with real processes: in real namespaces, as root and as a plain user.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt as _, chown, symlink},
        process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use nbpack::container::spec::{Bind, Spec};

use crate::support::{TestEnv, program, skipped};

/// The account that plays the plain user where the tests run as root.
const NOBODY: u32 = 65534;

/// A place to run containers from, as this user or as `nobody`.
struct Place {
    env: TestEnv,
    user: Option<u32>,
}

/// As this user, and where that is root as a plain one too. Empty, and said so, where there are no user namespaces.
fn places() -> Vec<Place> {
    let works = Command::new("unshare").args(["-U", "true"]).output().is_ok_and(|output| output.status.success());
    if !works {
        skipped("no user namespaces");
        return Vec::new();
    }
    let mut users = vec![None];
    if rustix::process::geteuid().is_root() {
        users.push(Some(NOBODY));
    }
    users.into_iter().map(Place::new).collect()
}

impl Place {
    fn new(user: Option<u32>) -> Self {
        let place = Self { env: TestEnv::new(), user };
        std::fs::set_permissions(place.env.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::copy(program(), place.path("nbpack")).unwrap();
        for name in ["home", "data", "run", "work"] {
            place.own(&place.path(name));
        }
        // A root of links into the host's /usr, which is shown read-only.
        let layer = place.directory("layer");
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), layer.join(name)).unwrap();
        }
        for name in ["usr", "etc", "tmp", "home/ann"] {
            place.directory(&format!("layer/{name}"));
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.env.path().join(name)
    }

    fn own(&self, path: &Path) {
        if let Some(user) = self.user {
            chown(path, Some(user), Some(user)).unwrap();
        }
    }

    /// A directory of the user's, its parents too.
    fn directory(&self, name: &str) -> PathBuf {
        let mut path = self.env.path().to_owned();
        for part in Path::new(name) {
            path.push(part);
            if !path.exists() {
                std::fs::create_dir(&path).unwrap();
                self.own(&path);
            }
        }
        path
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        self.directory(Path::new(name).parent().unwrap().to_str().unwrap());
        std::fs::write(&path, text).unwrap();
        self.own(&path);
        path
    }

    fn spec(&self, script: &str) -> Spec {
        Spec {
            layers: vec![self.path("layer")],
            run_dir: self.path("data/run-1"),
            keep_upper: false,
            uid: 1000,
            gid: 1000,
            hostname: "box".into(),
            env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
            cwd: "/home/ann/work".into(),
            argv: ["/bin/sh", "-c", script].map(String::from).to_vec(),
            binds: vec![Bind { host: "/usr".into(), target: "/usr".into(), read_only: true }],
            network: false,
            exact_roots: vec![],
            machine: false,
        }
    }

    /// `program args…` as the place's user, with an empty environment.
    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env_clear().current_dir("/").stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// The command that runs `spec`, below `wrapper` when that is not empty.
    fn container(&self, spec: &Spec, wrapper: &[&str]) -> Command {
        let dir = self.directory(spec.run_dir.strip_prefix(self.env.path()).unwrap().to_str().unwrap());
        let file = dir.join("spec.json");
        std::fs::write(&file, serde_json::to_vec(spec).unwrap()).unwrap();
        self.own(&file);
        let nbpack = self.path("nbpack");
        let mut words = wrapper.to_vec();
        words.extend([nbpack.to_str().unwrap(), "container-init", file.to_str().unwrap()]);
        self.command(words[0], &words[1..])
    }

    fn run(&self, spec: &Spec) -> Output {
        self.run_below(spec, &[])
    }

    fn run_below(&self, spec: &Spec, wrapper: &[&str]) -> Output {
        let output = self.container(spec, wrapper).output().unwrap();
        assert!(spec.keep_upper || !spec.run_dir.exists(), "the run's directory stayed");
        output
    }

    fn start(&self, spec: &Spec) -> (Child, BufReader<std::process::ChildStdout>) {
        let mut child = self.container(spec, &[]).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        (child, out)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn the_code_sees_nothing_that_it_was_not_given() {
    for place in places() {
        let secret = place.file("home/secret", "mine");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = format!(
            "test -e {} && echo home; env | grep SECRET; \
             bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo net; \
             cat /proc/1/environ 2>/dev/null | grep -q . && echo environ; readlink /proc/1/fd/* /proc/1/cwd /proc/1/exe; \
             test $(ls /proc | grep -c '^[0-9]') -gt 8 && echo processes; \
             cat /proc/keys; unshare -U true 2>/dev/null && echo userns; mount -t tmpfs x /tmp 2>/dev/null && echo mount; \
             echo 0 2>/dev/null >/proc/sys/kernel/panic && echo sysctl; \
             grep -E '^Cap(Prm|Eff|Bnd|Amb)' /proc/self/status | grep -v 0000000000000000; \
             grep -q 'NoNewPrivs:.1' /proc/self/status || echo privileges; \
             test $(hostname) = box || hostname; id -u; pwd; true",
            secret.display()
        );
        let mut command = place.container(&place.spec(&script), &[]);
        let output = command.env("SECRET", "in the environment").output().unwrap();
        assert_eq!(stdout(&output), "1000\n/home/ann/work\n", "as {:?}", place.user);
        assert_eq!(text(&output.stderr), "");

        let control = format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' && echo net");
        let mut spec = place.spec(&control);
        spec.network = true;
        assert_eq!(stdout(&place.run(&spec)), "net\n", "the listener is reachable when the network is given");
    }
}

/// loky asks `lscpu`, and warns in the notebook when that cannot count; allocators ask for huge pages.
#[test]
fn programs_may_count_processors_and_see_no_more_of_the_machine() {
    let possible = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap();
    for place in places() {
        let script = "cat /sys/devices/system/cpu/possible; ls /sys /sys/devices /sys/devices/system | grep -vE '^(/sys.*:|devices|kernel|system|cpu|node)?$'; \
             echo 1 2>/dev/null >/sys/devices/system/cpu/x && echo written; \
             for file in /sys/kernel/mm/transparent_hugepage/*; do echo never 2>/dev/null >$file && echo set; done; true";
        assert_eq!(stdout(&place.run(&place.spec(script))), possible, "as {:?}", place.user);
    }
}

#[test]
fn the_outer_process_ends_as_the_command_did() {
    for place in places() {
        assert_eq!(place.run(&place.spec("exit 7")).status.code(), Some(7));
        assert_eq!(place.run(&place.spec("kill -9 $$")).status.signal(), Some(9));
        assert_eq!(place.run(&place.spec("kill -TERM $$")).status.signal(), Some(15));
        let mut spec = place.spec("");
        spec.argv = vec!["no-such-program".into()];
        let output = place.run(&spec);
        assert_eq!(output.status.code(), Some(127));
        assert!(text(&output.stderr).contains("no-such-program"), "{}", text(&output.stderr));
        place.file("layer/plain", "");
        spec.argv = vec!["/plain".into()];
        assert_eq!(place.run(&spec).status.code(), Some(126));
    }
}

#[test]
fn a_signal_reaches_the_command_once_and_nobody_else() {
    for place in places() {
        let script = "trap 'n=$((n+1)); echo int' INT; trap 'echo term $n; exit 5' TERM; \
                      (trap 'echo child' INT; while :; do sleep 0.05; done) & \
                      echo ready; while :; do sleep 0.05; done";
        let (mut child, mut out) = place.start(&place.spec(script));
        let pid = rustix::process::Pid::from_child(&child);
        for _ in 0..3 {
            rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            assert_eq!(line, "int\n");
        }
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "term 3\n");
        assert_eq!(child.wait().unwrap().code(), Some(5));
    }
}

/// Everything that holds the pipe is gone when its end is seen.
fn assert_all_gone(mut out: BufReader<std::process::ChildStdout>) {
    let started = Instant::now();
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn killing_the_outer_process_takes_everything_down() {
    for place in places() {
        let script = "setsid sleep 1000 & (sleep 1000 &) ; echo ready; sleep 1000";
        let (mut child, out) = place.start(&place.spec(script));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_all_gone(out);
    }
}

#[test]
fn it_ends_with_the_program_that_started_it() {
    for place in places() {
        let spec = place.spec("echo ready; sleep 1000");
        let mut command = place.container(&spec, &["/bin/sh", "-c", "\"$@\" & wait", "sh"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_all_gone(out);
    }
}

#[test]
fn orphans_are_reaped_and_end_with_the_command() {
    for place in places() {
        let script = "(sleep 0 & exec true); (sleep 1000 &); \
                      while grep -qs '^State:.Z' /proc/[0-9]*/status; do sleep 0.01; done; echo no zombies";
        let started = Instant::now();
        assert_eq!(stdout(&place.run(&place.spec(script))), "no zombies\n");
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn many_layers_lie_over_each_other_in_their_order() {
    for place in places() {
        let mut spec = place.spec("cat /same /each-* | tr -d '\\n'; echo x >/same; rm /each-0; ls / | grep -c each");
        for number in 0..120 {
            place.file(&format!("layers/{number}/each-{number}"), "");
            place.file(&format!("layers/{number}/same"), &number.to_string());
            spec.layers.push(place.path(&format!("layers/{number}")));
        }
        assert_eq!(stdout(&place.run(&spec)), "119119\n");
        assert_eq!(std::fs::read_to_string(place.path("layers/119/same")).unwrap(), "119");
        assert!(place.path("layers/0/each-0").exists());
    }
}

#[test]
fn an_exact_root_is_a_directory_with_the_canonical_content() {
    for place in places() {
        place.file("layer/opt/nbpack/env/0/bin/tool", "");
        place.file("layer/opt/nbpack/env/1/inner", "");
        place.directory("layer/opt/nbpack/env/0/envs");
        symlink("/opt/nbpack/env/0", place.path("layer/home/ann/venv")).unwrap();
        symlink("/opt/nbpack/env/1", place.path("layer/opt/nbpack/env/0/envs/x")).unwrap();
        let script = "realpath /home/ann/venv/bin/tool /home/ann/venv/envs/x/inner; \
                      echo new >/home/ann/venv/made; cat /opt/nbpack/env/0/made";
        let mut spec = place.spec(script);
        spec.exact_roots = vec![
            ("/home/ann/venv".into(), "/opt/nbpack/env/0".into()),
            ("/home/ann/venv/envs/x".into(), "/opt/nbpack/env/1".into()),
        ];
        let expected = "/home/ann/venv/bin/tool\n/home/ann/venv/envs/x/inner\nnew\n";
        assert_eq!(stdout(&place.run(&spec)), expected);
    }
}

#[test]
fn a_recorded_root_may_change_owners_and_little_else() {
    for place in places() {
        place.file("layer/etc/owned", "");
        let script = "id -u; chown 0:0 /etc/owned && chmod 000 /etc/owned && cat /etc/owned && \
                      grep CapEff /proc/self/status; mount -t tmpfs x /tmp 2>/dev/null || echo no mount";
        let mut spec = place.spec(script);
        (spec.uid, spec.gid) = (0, 0);
        assert_eq!(stdout(&place.run(&spec)), "0\nCapEff:\t00000000000000db\nno mount\n");
    }
}

#[test]
fn what_is_given_read_only_cannot_be_written() {
    for place in places() {
        let data = place.directory("work/data");
        place.file("work/data/in", "given");
        place.directory("work/out");
        let script = "cat /data/in; echo x 2>/dev/null >/data/in || echo refused; echo made >/deep/out/file; cat /one";
        let mut spec = place.spec(script);
        spec.binds.push(Bind { host: data, target: "/data".into(), read_only: true });
        spec.binds.push(Bind { host: place.path("work/out"), target: "/deep/out".into(), read_only: false });
        spec.binds.push(Bind { host: place.path("work/data/in"), target: "/one".into(), read_only: true });
        assert_eq!(stdout(&place.run(&spec)), "givenrefused\ngiven");
        assert_eq!(std::fs::read_to_string(place.path("work/out/file")).unwrap(), "made\n");
    }
}

#[test]
fn what_an_image_calls_a_directory_cannot_lead_onto_this_machine() {
    for place in places() {
        let outside = place.directory("work/outside");
        symlink(&outside, place.path("layer/data")).unwrap();
        symlink(outside.parent().unwrap(), place.path("layer/home/ann/work")).unwrap();
        symlink(&outside, place.path("layer/proc")).unwrap();
        let mut spec = place.spec("touch made; ls /proc/self/exe");
        spec.binds.push(Bind { host: place.directory("work/given"), target: "/data/given".into(), read_only: false });
        let output = place.run(&spec);
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "{}", text(&output.stderr));
        assert!(!place.path("work/made").exists());
    }
}

#[test]
fn devices_terminals_and_shared_memory_work() {
    for place in places() {
        let script = "echo x >/dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; \
                      echo s >/dev/shm/x && cat /dev/shm/x; test -c /dev/pts/ptmx && ls /dev/fd >/dev/null && \
                      echo x >/dev/full 2>/dev/null || echo full; echo t >/tmp/t && ls -d /tmp/t";
        assert_eq!(stdout(&place.run(&place.spec(script))), "4\n4\ns\nfull\n/tmp/t\n");
    }
}

#[test]
fn it_works_where_no_new_privileges_may_be_had() {
    for place in places() {
        let output = place.run_below(&place.spec("id -u"), &["setpriv", "--no-new-privs"]);
        assert_eq!(stdout(&output), "1000\n");
    }
}

#[test]
fn the_changes_of_a_run_are_kept_when_asked_for() {
    for place in places() {
        let mut spec = place.spec("echo kept >/tmp/file");
        spec.keep_upper = true;
        assert!(place.run(&spec).status.success());
        assert_eq!(std::fs::read_to_string(spec.run_dir.join("upper/tmp/file")).unwrap(), "kept\n");
        assert!(!spec.run_dir.join("work").exists());
    }
}

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

/// What a process may still do where user namespaces are forbidden.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// As an administrator may.
    All,
    /// Not to mount, as root in Docker's default profile.
    NoMounts,
    /// As a plain user.
    None,
}

/// No more user namespaces from here on; the programs in `hidden` are not there.
fn without_namespaces(place: &Place, spec: &Spec, rights: Rights, hidden: &[&str]) -> Command {
    let drop = match rights {
        Rights::All => "exec",
        Rights::NoMounts => "exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin",
        Rights::None => "exec setpriv --bounding-set=-all --inh-caps=-all",
    };
    let hide: Vec<String> =
        hidden.iter().map(|name| format!("test ! -e {name} || mount --bind /dev/null {name}; ")).collect();
    let hide = hide.concat();
    let script = format!("{hide}echo 0 >/proc/sys/user/max_user_namespaces; {drop} \"$@\"");
    let mut wrapper = as_namespace_root(&script).to_vec();
    wrapper.push("sh");
    let mut command = place.container(spec, &wrapper);
    command.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    command
}

const HELPERS: [&str; 2] = ["/usr/bin/proot", "/usr/bin/bwrap"];

#[test]
fn where_user_namespaces_are_forbidden_the_step_and_the_remedy_are_named() {
    for place in places() {
        let output = without_namespaces(&place, &place.spec("true"), Rights::None, &HELPERS).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("cannot make namespaces: No space left on device"), "{said}");
        assert!(said.contains("user.max_user_namespaces") && said.contains("nbpack doctor --admin"), "{said}");
        assert!(!place.path("data/run-1").exists(), "the run's directory stayed");
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
fn the_code_cannot_type_into_the_terminal_or_reach_sockets_without_a_file() {
    use std::os::linux::net::SocketAddrExt as _;
    if !Path::new("/usr/bin/python3").exists() {
        return skipped("no /usr/bin/python3 to ask with");
    }
    for place in places() {
        let name = format!("nbpack-test-{}-{:?}", std::process::id(), place.user);
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
        let script = format!(
            "import fcntl, pty, socket, termios\n\
             def tried(what, call):\n    \
                 try: call(); print(what, 'works')\n    \
                 except OSError as error: print(what, error.strerror)\n\
             master, slave = pty.openpty()\n\
             tried('typing', lambda: fcntl.ioctl(slave, termios.TIOCSTI, b'x'))\n\
             tried('console', lambda: fcntl.ioctl(slave, 0x541C, b'\\0' * 8))\n\
             tried('abstract', lambda: socket.socket(socket.AF_UNIX).connect('\\0{name}'))\n"
        );
        let mut spec = place.spec("");
        spec.argv = ["/usr/bin/python3", "-c", &script].map(String::from).to_vec();
        let said = stdout(&place.run(&spec));
        assert!(said.contains("typing Operation not permitted\nconsole Operation not permitted\n"), "{said}");
        assert!(said.contains("abstract Connection refused\n"), "{said}");
        spec.network = true;
        let said = stdout(&place.run(&spec));
        assert!(said.contains("abstract works\n"), "the control: it is there when the network is given: {said}");
    }
}
