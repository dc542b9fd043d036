//! What may go wrong with a capture, and what a watched program must not notice of it.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use nbpack::capture::{Mode, Options};
use rustix::process::{Pid, Signal};

use crate::{
    capture::{
        COMPLETE, SH, any_python, as_nobody, capture_as, eventually, is_running, kill, options, run_by, run_python_by,
        start, tap_of,
    },
    support::{TestEnv, python, skipped},
};

fn signal(pid: u32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// Calls that a signal interrupts, each with and without `SA_RESTART`, and what comes of them.
const INTERRUPTED: &str = r"
import ctypes, fcntl, os, signal, socket, threading, time
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(1 << 16)
said = []

def attempt(name, restart, block, release):
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, not restart)
    later = threading.Timer(0.4, release)
    later.start()
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    result = block()
    said.append((name, restart, ctypes.get_errno() if result < 0 else 'done'))
    later.join()

for restart in (True, False):
    r, w = os.pipe()
    attempt('read', restart, lambda: libc.read(r, buffer, 1), lambda: os.write(w, b'x'))
    r, w = os.pipe()
    os.set_blocking(w, False)
    try:
        while True: os.write(w, bytes(4096))
    except BlockingIOError: pass
    os.set_blocking(w, True)
    attempt('write', restart, lambda: libc.write(w, buffer, 4096), lambda: os.read(r, 1 << 16))
    server = socket.socket(socket.AF_UNIX)
    place = 'socket_%d' % restart
    server.bind(place); server.listen()
    attempt('accept', restart, lambda: libc.accept(server.fileno(), None, None), lambda: socket.socket(socket.AF_UNIX).connect(place))
    one, two = open('lock', 'w'), open('lock', 'w')
    fcntl.flock(one, fcntl.LOCK_EX)
    attempt('flock', restart, lambda: libc.flock(two.fileno(), 2), lambda: fcntl.flock(one, fcntl.LOCK_UN))
    attempt('sleep', restart, lambda: libc.usleep(400_000), lambda: None)
    attempt('poll', restart, lambda: libc.poll(None, 0, 400), lambda: None)
    os.mkfifo('fifo_%d' % restart)
    name = b'fifo_%d' % restart
    attempt('open', restart, lambda: libc.open(name, 0), lambda: os.close(os.open(name, os.O_RDWR)))
    child = os.fork()
    if child == 0:
        time.sleep(0.4); os._exit(0)
    attempt('wait', restart, lambda: libc.waitpid(child, None, 0), lambda: None)
open('said', 'w').write(repr(said))
";

#[test]
fn interrupted_calls_end_as_they_do_when_nobody_watches() {
    let Some(python) = any_python() else { return };
    let said = |mode| {
        let env = TestEnv::new();
        std::fs::write(env.work().join("program.py"), INTERRUPTED).unwrap();
        let run = start(&[&python, "program.py"], &env.work(), Options { mode, ..options() });
        assert_eq!(run.kernel.wait().unwrap(), 0);
        std::fs::read_to_string(env.work().join("said")).unwrap()
    };
    std::thread::scope(|scope| {
        let bare = scope.spawn(|| said(Mode::None));
        let watched = COMPLETE.map(|mode| scope.spawn(move || said(mode)));
        let bare = bare.join().unwrap();
        assert!(bare.contains("('read', False, 4)") && bare.contains("('read', True, 'done')"), "{bare}");
        for watched in watched {
            assert_eq!(watched.join().unwrap(), bare);
        }
    });
}

/// A timer that fires all the time, with a handler that does not restart calls, and calls that are watched.
const HAZARD: &str = r"
import ctypes, os, signal, time
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGALRM, lambda *_: None)
libc.setitimer(0, (ctypes.c_long * 4)(0, 1000, 0, 1000), None)
failed, end = 0, time.monotonic() + 1.5
while time.monotonic() < end:
    fd = libc.open(b'program.py', 0)
    failed += fd < 0 and ctypes.get_errno() == 4
    if fd >= 0: libc.close(fd)
    failed += libc.rename(b'none', b'nothing') < 0 and ctypes.get_errno() == 4
for _ in range(100): libc.setitimer(0, (ctypes.c_long * 4)(0, 0, 0, 0), None)
open('failed', 'w').write(str(failed))
";

#[test]
fn a_traced_program_has_no_call_that_fails_by_a_signal() {
    let env = TestEnv::new();
    let failed = |mode| {
        let run = run_python_by(mode, HAZARD, &env.work())?;
        let seen = std::sync::Arc::clone(&run.seen);
        // What was counted last is told at the end.
        drop(run);
        let failed: u32 = std::fs::read_to_string(env.work().join("failed")).unwrap().parse().unwrap();
        Some((failed, seen.gaps("eintr_hazard").iter().map(|gap| gap.count).sum::<u64>()))
    };
    let Some(traced) = failed(Mode::Trace) else { return };
    assert_eq!(traced, (0, 0));
    // The same by notifications: some fail, which is Linux's, and the record says that they do. Not every one is counted.
    let (failed, counted) = failed(Mode::Notify).unwrap();
    eprintln!("by notifications {failed} calls failed, {counted} were counted");
    assert!(counted > 0);
}

#[test]
fn a_tap_that_was_stopped_is_continued() {
    for mode in COMPLETE {
        let env = TestEnv::new();
        let code = "touch ready; until [ -e go ]; do :; done; cat after; exit 3";
        let run = start(&[SH, "-c", code], &env.work(), Options { mode, ..options() });
        let tap = tap_of(run.kernel.pid()).unwrap();
        eventually("the program began", || env.work().join("ready").exists());
        std::fs::write(env.work().join("after"), "x").unwrap();
        signal(tap, Signal::STOP);
        std::fs::write(env.work().join("go"), "").unwrap();
        let (sender, status) = std::sync::mpsc::channel();
        let kernel = std::sync::Arc::clone(&run.kernel);
        std::thread::spawn(move || sender.send(kernel.wait().unwrap()));
        let status = status
            .recv_timeout(Duration::from_secs(20))
            .unwrap_or_else(|_| panic!("{mode:?}: the kernel stands still"));
        assert_eq!(status, 3 << 8);
        assert!(run.seen.paths().contains(env.work().join("after").as_os_str().as_bytes()));
    }
}

#[test]
fn a_traced_kernel_ends_with_its_tap() {
    let env = TestEnv::new();
    let code = "setsid sleep 1000 & echo $! >daemon; touch ready; while :; do cat ready; done >/dev/null";
    let run = start(&[SH, "-c", code], &env.work(), Options { mode: Mode::Trace, ..options() });
    let tap = tap_of(run.kernel.pid()).unwrap();
    eventually("the program began", || env.work().join("ready").exists());
    let daemon = std::fs::read_to_string(env.work().join("daemon")).unwrap().trim().parse().unwrap();
    kill(tap);
    assert_eq!(run.kernel.wait().unwrap(), 9);
    eventually("what it started ends", || !is_running(daemon));
    assert!(run.seen.gaps("tap_lost")[0].detail.contains("ends with it"));
}

#[test]
fn paths_are_read_where_process_vm_readv_is_forbidden() {
    let (env, Some(python)) = (TestEnv::new(), any_python()) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forbid.py");
    let prefix = [&python, script.to_str().unwrap(), "memory"].map(str::to_owned);
    // The forbidding filter took the gaining of privileges away, which is said.
    assert_eq!(capture_as(&prefix, &env), "notify 0 true 1");
}

#[test]
fn an_ordinary_user_is_traced() {
    let env = TestEnv::new();
    let Some(mut prefix) = as_nobody(&env) else { return };
    // What it reads must be readable by everybody.
    let script = env.path().join("forbid.py");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forbid.py"), &script).unwrap();
    prefix.extend(["/usr/bin/python3", script.to_str().unwrap(), "notify"].map(str::to_owned));
    if !Path::new("/usr/bin/python3").exists() {
        return skipped("no Python that everybody may run");
    }
    assert_eq!(capture_as(&prefix, &env), "ptrace 0 true 1");
}

#[test]
fn job_control_and_children_that_stop_work_under_a_tracer() {
    for mode in COMPLETE {
        let env = TestEnv::new();
        let code = r"
sleep 1000 & pid=$!
kill -STOP $pid; until grep -q '^State:.*[Tt] (' /proc/$pid/status; do :; done
kill -CONT $pid; until grep -q '^State:.*S' /proc/$pid/status; do :; done
kill $pid; wait $pid; echo $? >result
kill -STOP $$
cat after
";
        let run = start(&[SH, "-c", code], &env.work(), Options { mode, ..options() });
        eventually("the shell stops itself", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", run.kernel.pid())).unwrap_or_default();
            status.lines().any(|line| line.starts_with("State:") && line.to_lowercase().contains("t ("))
                && env.work().join("result").exists()
        });
        std::fs::write(env.work().join("after"), "x").unwrap();
        run.kernel.signal(18).unwrap();
        assert_eq!(run.kernel.wait().unwrap(), 0, "{mode:?}");
        assert_eq!(std::fs::read_to_string(env.work().join("result")).unwrap(), "143\n");
        assert!(run.seen.paths().contains(env.work().join("after").as_os_str().as_bytes()));
    }
}

#[test]
fn a_descriptor_from_outside_is_not_seen_and_one_from_inside_is() {
    let Some(python) = any_python() else { return };
    let env = TestEnv::new();
    std::fs::write(env.work().join("outside"), "x").unwrap();
    std::fs::write(env.work().join("inside"), "x").unwrap();
    let giver = r"
import array, os, socket, sys
def give(name, place):
    s = socket.socket(socket.AF_UNIX); s.connect(place)
    s.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [os.open(name, os.O_RDONLY)]))])
give(sys.argv[1], sys.argv[2])
";
    let taker = r"
import array, os, socket, subprocess, sys
server = socket.socket(socket.AF_UNIX); server.bind('place'); server.listen()
def take():
    one, _ = server.accept()
    _, [(_, _, data)], _, _ = one.recvmsg(1, socket.CMSG_SPACE(4))
    assert os.read(array.array('i', data[:4])[0], 1) == b'x'
child = subprocess.Popen([sys.executable, 'giver.py', 'inside', 'place']); take(); assert child.wait() == 0
open('ready', 'w').close(); take()
";
    std::fs::write(env.work().join("giver.py"), giver).unwrap();
    std::fs::write(env.work().join("taker.py"), taker).unwrap();
    let run = start(&[&python, "taker.py"], &env.work(), options());
    eventually("the program waits", || env.work().join("ready").exists());
    let given = Command::new(&python).args(["giver.py", "outside", "place"]).current_dir(env.work()).status().unwrap();
    assert!(given.success());
    assert_eq!(run.kernel.wait().unwrap(), 0);
    let paths = run.seen.paths();
    assert!(paths.contains(env.work().join("inside").as_os_str().as_bytes()));
    // docs/NOT-CAPTURED.md says so; if this is ever seen, that is to be mended.
    assert!(!paths.contains(env.work().join("outside").as_os_str().as_bytes()));
}

#[test]
fn links_names_in_memory_and_processes_that_are_gone_at_once_are_seen() {
    for mode in COMPLETE {
        let env = TestEnv::new();
        let shm = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::write(env.work().join("real"), "x").unwrap();
        std::os::unix::fs::symlink("real", env.work().join("first")).unwrap();
        std::os::unix::fs::symlink("first", env.work().join("second")).unwrap();
        std::fs::write(shm.path().join("input"), "shared").unwrap();
        let code = r"
import os, sys, tempfile
shm = sys.argv[1] if len(sys.argv) > 1 else open('shm').read()
open('second').close()
open(shm + '/input', 'a').write('more')
with tempfile.NamedTemporaryFile(dir='.', prefix='brief') as brief: open(brief.name).close()
fd = os.open('.', os.O_TMPFILE | os.O_RDWR); os.write(fd, b'x'); os.close(fd)
for n in range(200):
    if os.fork() == 0:
        try: os.open('quick_%d' % n, os.O_RDONLY)
        except OSError: pass
        os.kill(os.getpid(), 9)
while True:
    try: os.wait()
    except ChildProcessError: break
";
        std::fs::write(env.work().join("shm"), shm.path().to_str().unwrap()).unwrap();
        let Some(run) = run_python_by(mode, code, &env.work()) else { return };
        let files = run.seen.files();
        let of = |path: PathBuf| files.iter().find(|file| file.path == path.as_os_str().as_bytes());
        assert_eq!(of(env.work().join("second")).unwrap().signature.unwrap().size, 1, "{mode:?}");
        assert!(files.iter().any(|file| file.path.starts_with(env.work().join("brief").as_os_str().as_bytes())));
        let kept = run.snapshots.0.lock().unwrap().clone();
        assert!(kept.contains(&(shm.path().join("input"), b"shared".to_vec())), "{mode:?}: {kept:?}");
        let quick = files.iter().filter(|file| file.path.windows(6).any(|part| part == b"quick_")).count();
        assert_eq!(quick, 200, "{mode:?}");
    }
}

#[test]
fn a_kernel_whose_tap_and_proxy_are_killed_ends() {
    let Some(python) = python() else { return };
    let env = TestEnv::new();
    env.install_kernel(&python);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kill_both.py");
    let output = env.command(&python).arg(script).arg(crate::support::KERNEL).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let pids: Vec<u32> = said.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    let deadline = Instant::now() + Duration::from_secs(15);
    while pids.iter().any(|pid| is_running(*pid)) && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let left: Vec<u32> = pids.into_iter().filter(|pid| is_running(*pid)).collect();
    for pid in &left {
        kill(*pid);
    }
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn a_program_that_serves_files_of_its_own_does_not_stop_the_others() {
    // A file system whose server is a child of the kernel: its open waits in the kernel for the server, whose own opens are
    // watched too. And one whose server stands still: others must go on.
    if !Path::new("/usr/bin/bindfs").exists() || !Path::new("/dev/fuse").exists() {
        return skipped("no bindfs, or no /dev/fuse");
    }
    for mode in COMPLETE {
        let env = TestEnv::new();
        for name in ["behind", "front"] {
            std::fs::create_dir(env.work().join(name)).unwrap();
        }
        std::fs::write(env.work().join("behind/data"), "served").unwrap();
        let code = r"
bindfs -f behind front & server=$!
trap 'kill -CONT $server; umount front; wait $server' EXIT
until [ -e front/data ]; do :; done
cat front/data >first; echo more >>front/data
kill -STOP $server
cat front/data >second & waiting=$!
cat behind/data >third
kill -CONT $server
wait $waiting
";
        let (status, run) = run_by(mode, &[SH, "-c", code], &env.work());
        assert_eq!(status, 0, "{mode:?}");
        let content = |name: &str| std::fs::read_to_string(env.work().join(name)).unwrap();
        assert_eq!(
            ["first", "second", "third"].map(content),
            ["served", "servedmore\n", "servedmore\n"].map(str::to_owned)
        );
        assert!(run.seen.paths().contains(env.work().join("front/data").as_os_str().as_bytes()));
    }
}
