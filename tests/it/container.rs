//! Promises of `container`, kept with real processes: in real namespaces, as root and as a plain user.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt as _, symlink},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use nbpack::container::spec::Bind;

use crate::support::{
    place::{places, stdout, text},
    skipped,
};

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

/// A link of an image may name what this process has open; followed by Linux it would lead out of the root.
#[test]
fn no_path_of_a_bundle_leads_out_through_what_is_open() {
    for place in places() {
        let host = place.file("host/dir/secret.txt", "mine").parent().unwrap().to_owned();
        let before = std::fs::metadata(&host).unwrap().ino();
        let mut spec = place.spec("cat /home/ann/link*/dir/secret.txt /opt/env/*/secret.txt 2>/dev/null; echo done");
        place.directory("layer/opt/env");
        for fd in 0..40 {
            let outside = format!("/proc/self/fd/{fd}{}", host.display());
            symlink(&outside, place.path(&format!("layer/opt/env/{fd}"))).unwrap();
            symlink(format!("/opt/env/{fd}"), place.path(&format!("layer/home/ann/env{fd}"))).unwrap();
            let above = format!("/proc/self/fd/{fd}{}", host.parent().unwrap().display());
            symlink(above, place.path(&format!("layer/home/ann/link{fd}"))).unwrap();
            spec.exact_roots.push((format!("/home/ann/env{fd}").into(), format!("/opt/env/{fd}").into()));
            spec.movable.extend([PathBuf::from(outside), format!("/home/ann/link{fd}/dir").into()]);
        }
        assert_eq!(stdout(&place.run(&spec)), "done\n");
        assert_eq!(std::fs::metadata(&host).unwrap().ino(), before, "it was made anew");
    }
}

/// An overlay answers `EXDEV` to the renaming of a directory of its lower layers.
#[test]
fn a_directory_that_the_session_renamed_may_be_renamed_again() {
    if !Path::new("/usr/bin/python3").exists() {
        return skipped("no Python of the system's");
    }
    for place in places() {
        place.file("layer/home/ann/old/deep/in.txt", "content");
        symlink("deep/in.txt", place.path("layer/home/ann/old/link")).unwrap();
        let script = "cd /home/ann; python3 -c 'import os; os.rename(\"old\", \"new\")' 2>&1 | tail -n 1; \
                      cat new/link old/link 2>/dev/null; ls -A /home/ann";
        let mut spec = place.spec(script);
        spec.cwd = "/home/ann".into();
        assert!(stdout(&place.run(&spec)).contains("Errno 18"), "nothing is to be done then");
        spec.movable = vec!["/home/ann/old".into(), "/nowhere".into()];
        assert_eq!(stdout(&place.run(&spec)), "contentnew\n");
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

/// What the code of a bundle tries, each way by its name and what came of it; only those named, where some are.
#[cfg(target_arch = "x86_64")]
const ATTEMPTS: &str = r#"
import ctypes, fcntl, os, pty, signal, socket, sys, termios
libc = ctypes.CDLL(None, use_errno=True)
name, pid, segment, shared = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
def call(*words):
    if libc.syscall(*words) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def tried(what, attempt):
    if sys.argv[5:] and what not in sys.argv[5:]:
        return
    try:
        attempt()
        print(what, "WORKS")
    except OSError as error:
        print(what, error.strerror)
def present(path):
    os.stat(path)
master, slave = pty.openpty()
tried("typing", lambda: fcntl.ioctl(slave, termios.TIOCSTI, b"x"))
tried("console", lambda: fcntl.ioctl(slave, 0x541C, b"\0" * 8))
tried("abstract", lambda: socket.socket(socket.AF_UNIX).connect("\0" + name))
tried("keyring", lambda: call(250, 6, ctypes.c_long(-4), 0, 0))
tried("request_key", lambda: call(249, b"user", b"x", None, 0))
tried("vsock", lambda: socket.socket(40, socket.SOCK_STREAM))
tried("packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
tried("setns", lambda: libc.setns(os.open("/proc/self/ns/mnt", 0), 0) and call(308, 3, 0))
tried("unshare", lambda: call(272, 0x10000000))
tried("mount", lambda: call(165, b"x", b"/tmp", b"tmpfs", 0, None))
tried("fsopen", lambda: call(430, b"tmpfs", 0))
tried("chroot", lambda: os.chroot("/"))
tried("device", lambda: os.mknod("/tmp/disk", 0o600 | 0o060000, os.makedev(8, 0)))
tried("bpf", lambda: call(321, 0, None, 0))
tried("io_uring", lambda: call(425, 1, None))
tried("perf", lambda: call(298, None, 0, -1, -1, 0))
tried("handle", lambda: call(304, -1, None, 0))
tried("trace 1", lambda: call(101, 16, 1, 0, 0))
tried("signal", lambda: os.kill(pid, 0))
tried("memory of 1", lambda: os.open("/proc/1/mem", os.O_RDONLY))
tried("root of 1", lambda: os.listdir("/proc/1/root"))
tried("segment", lambda: call(29, segment, 0, 0))
tried("shared memory", lambda: present("/dev/shm/" + shared))
tried("groups", lambda: os.listdir("/sys/fs/cgroup"))
tried("displays", lambda: present("/tmp/.X11-unix"))
tried("services", lambda: os.listdir("/run/user"))
tried("clock", lambda: call(227, 0, (ctypes.c_long * 2)(0, 0)))
tried("name", lambda: call(170, b"evil", 4))
print(sorted(os.listdir("/dev")))
"#;

/// What was refused, or is not there.
#[cfg(target_arch = "x86_64")]
const REFUSED: [&str; 5] = [
    "Operation not permitted",
    "Permission denied",
    "No such file or directory",
    "No such process",
    "Invalid argument",
];

#[cfg(target_arch = "x86_64")]
#[test]
fn a_bundle_that_tries_each_way_out_finds_none_also_with_the_network() {
    use std::os::linux::net::SocketAddrExt as _;
    if !Path::new("/usr/bin/python3").exists() {
        return skipped("no /usr/bin/python3 to ask with");
    }
    for place in places() {
        let name = format!("nbpack-test-{}-{:?}", std::process::id(), place.user);
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
        // A System V segment, a file in /dev/shm and a process of the same user on this machine.
        let key = 0x006e_6270 + i64::from(std::process::id() % 1000) + i64::from(place.user.unwrap_or(0));
        let shared = format!("nbpack-test-{}-{}", std::process::id(), place.user.unwrap_or(0));
        let script = format!(
            "import ctypes, os, sys; libc = ctypes.CDLL(None); assert libc.shmget({key}, 4096, 0o1666) >= 0; \
             open('/dev/shm/{shared}', 'w').close(); print('ready', flush=True); sys.stdin.read(); \
             libc.shmctl(libc.shmget({key}, 0, 0), 0, None); os.unlink('/dev/shm/{shared}')"
        );
        let mut outside = place
            .command("/usr/bin/python3", &["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(outside.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        let words = [name.clone(), outside.id().to_string(), key.to_string(), shared];
        for network in [false, true] {
            let mut spec = place.spec("");
            spec.network = network;
            spec.argv =
                ["/usr/bin/python3", "-c", ATTEMPTS].into_iter().map(String::from).chain(words.clone()).collect();
            let output = place.run(&spec);
            let said = stdout(&output);
            let confined = !text(&output.stderr).contains("Linux before 6.12");
            for line in said.lines().filter(|line| !line.starts_with('[')) {
                let refused = REFUSED.iter().any(|word| line.ends_with(word))
                    || (line == "abstract Connection refused" && !network)
                    || (line == "abstract WORKS" && network && !confined);
                assert!(refused, "as {:?}, network {network}: {line}\n{said}", place.user);
            }
            assert!(said.lines().count() > 25, "{said}");
            let devices = "['core', 'fd', 'full', 'null', 'ptmx', 'pts', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'tty', 'urandom', 'zero']";
            assert_eq!(said.lines().last(), Some(devices), "{said}");
        }
        // The control: outside of a container they are there.
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.splice(0..0, ["-c", ATTEMPTS]);
        let harmless = ["abstract", "signal", "segment", "shared memory"];
        words.extend(harmless);
        let control = stdout(&place.command("/usr/bin/python3", &words).output().unwrap());
        for what in harmless {
            assert!(control.contains(&format!("{what} WORKS\n")), "{what}: {control}");
        }
        drop(outside.stdin.take());
        outside.wait().unwrap();
    }
}

/// A link that is given inside leads to what lies there inside, never to this machine's.
#[test]
fn a_link_in_a_volume_leads_nowhere_else_and_what_is_read_only_stays_so_below_it() {
    for place in places() {
        let secret = place.file("home/secret", "mine");
        let data = place.directory("work/data");
        place.file("work/data/deep/in", "given");
        symlink(&secret, data.join("link")).unwrap();
        symlink(secret.parent().unwrap(), data.join("dir")).unwrap();
        let script = "cat /data/link 2>/dev/null; ls /data/dir/secret 2>/dev/null; cat /data/deep/in; \
                      for try in 'rm /data/deep/in' 'mv /data/deep /data/other' 'chmod 777 /data' 'touch /data/new' 'ln -s / /data/up' \
                          'mount -o remount,rw /data' 'umount /data' 'mkdir /data/dir/made'; do $try 2>/dev/null && echo $try; done; true";
        let mut spec = place.spec(script);
        spec.binds.push(Bind { host: data.clone(), target: "/data".into(), read_only: true });
        assert_eq!(stdout(&place.run(&spec)), "given", "as {:?}", place.user);
        spec.network = true;
        assert_eq!(stdout(&place.run(&spec)), "given", "with the network, as {:?}", place.user);
    }
}
