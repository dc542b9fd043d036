//! Every file, by every process, at no price: real kernels (small Python programs) under the real capture.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use nbpack::{
    capture::{self, Mode, Options},
    event::{BeforeChange, Event, EventSink, FileAccess, FileOp, KernelProcess, Launch},
};

use crate::support::{self, TestEnv, skipped};

/// Keeps all events.
#[derive(Default)]
pub(crate) struct Collected(Mutex<Vec<Event>>);

impl EventSink for Collected {
    fn record(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Collected {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn files(&self) -> Vec<FileAccess> {
        self.events()
            .into_iter()
            .filter_map(|event| if let Event::File(file) = event { Some(file) } else { None })
            .collect()
    }

    pub(crate) fn paths(&self) -> BTreeSet<Vec<u8>> {
        self.files().into_iter().map(|file| file.path).collect()
    }

    pub(crate) fn gaps(&self, reason: &str) -> Vec<nbpack::event::Gap> {
        let is = |event| if let Event::Gap(gap) = event { Some(gap) } else { None };
        self.events().into_iter().filter_map(is).filter(|gap| gap.reason == reason).collect()
    }

    pub(crate) fn mechanism(&self) -> String {
        let is = |event| if let Event::Coverage { mechanism, .. } = event { Some(mechanism) } else { None };
        self.events().into_iter().find_map(is).unwrap()
    }
}

/// What a file held when it was about to be changed.
#[derive(Default)]
pub(crate) struct Snapshots(pub(crate) Mutex<Vec<(PathBuf, Vec<u8>)>>);

impl BeforeChange for Snapshots {
    fn before_change(&self, _access: &FileAccess, host_path: &Path) {
        self.0.lock().unwrap().push((host_path.to_owned(), std::fs::read(host_path).unwrap()));
    }
}

/// A kernel that was started, with what was seen of it.
pub(crate) struct Run {
    pub(crate) kernel: Arc<dyn KernelProcess>,
    pub(crate) seen: Arc<Collected>,
    pub(crate) snapshots: Arc<Snapshots>,
}

pub(crate) fn options() -> Options {
    Options::new(support::program().to_owned())
}

pub(crate) fn start(argv: &[&str], cwd: &Path, options: Options) -> Run {
    let seen = Arc::new(Collected::default());
    let snapshots = Arc::new(Snapshots::default());
    let launch = Launch {
        argv: argv.iter().map(OsString::from).collect(),
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into()), ("HOME".into(), cwd.into())],
        cwd: cwd.to_owned(),
    };
    let kernel = capture::launch(launch, options, seen.clone(), snapshots.clone()).unwrap();
    Run { kernel, seen, snapshots }
}

/// Runs a shell command or Python program to its end; gives the exit code and what was seen.
pub(crate) fn run(argv: &[&str], cwd: &Path) -> (i32, Run) {
    run_by(Mode::Auto, argv, cwd)
}

/// The ways that see everything.
pub(crate) const COMPLETE: [Mode; 2] = [Mode::Auto, Mode::Trace];

/// The same, watched in one of the ways of [`COMPLETE`].
pub(crate) fn run_by(mode: Mode, argv: &[&str], cwd: &Path) -> (i32, Run) {
    let run = start(argv, cwd, Options { mode, ..options() });
    let status = run.kernel.wait().unwrap();
    let expected = if mode == Mode::Trace { "ptrace" } else { "notify" };
    assert_eq!(run.seen.mechanism(), expected, "the tests of the capture need seccomp user notification and ptrace");
    (status, run)
}

pub(crate) const SH: &str = "/bin/sh";

#[test]
fn a_shell_and_its_children_are_seen_with_their_arguments() {
    let env = TestEnv::new();
    std::fs::write(env.work().join("in.txt"), "x").unwrap();
    let (status, run) = run(&[SH, "-c", "cat in.txt >out.txt; exit 7"], &env.work());
    assert_eq!(status, 7 << 8);
    let files = run.seen.files();
    let read = files.iter().find(|file| file.path.ends_with(b"/in.txt")).expect("the input was not seen");
    assert_eq!(read.path, env.work().join("in.txt").as_os_str().as_bytes());
    assert_eq!(read.signature.unwrap().size, 1);
    assert!(matches!(read.op, FileOp::Open { .. }));
    let exec = files.iter().find(|file| file.op == FileOp::Exec && file.path.ends_with(b"/cat"));
    assert!(exec.is_some());
    assert!(files.iter().any(|file| file.op == FileOp::Exec && file.path.starts_with(b"/lib64/ld-linux")));
    let processes: Vec<_> = run
        .seen
        .events()
        .into_iter()
        .filter_map(|event| if let Event::Process(p) = event { Some(p) } else { None })
        .collect();
    let cat = processes.iter().find(|process| process.exe.ends_with(b"/cat")).unwrap();
    assert_eq!(cat.argv, [b"cat".to_vec(), b"in.txt".to_vec()]);
    assert_eq!(cat.ppid, run.kernel.pid());
    assert_eq!(cat.pid, read.pid);
}

/// A Python for programs that need only the standard library: the system's, else the test environment's.
pub(crate) fn any_python() -> Option<String> {
    let python = Some(PathBuf::from("/usr/bin/python3")).filter(|path| path.exists()).or_else(support::python);
    python.map(|path| path.into_os_string().into_string().unwrap())
}

/// Not a test of its own: its standard streams are files, and so are its kernel's. It writes what was seen of them.
#[test]
fn a_capture_with_redirected_streams() {
    let Some(work) = std::env::var_os("NBPACK_TEST_REDIRECTED").map(PathBuf::from) else { return };
    // A kernel does not end in the moment in which its descriptors are looked at.
    let run = start(&[SH, "-c", "read word; sleep 1; test \"$word\" = content"], &work, options());
    let status = run.kernel.wait().unwrap();
    let files = run.seen.files();
    let of = |name: &str| files.iter().find(|file| file.path == work.join(name).as_os_str().as_bytes());
    let size = of("in").and_then(|file| file.signature).map(|signature| signature.size);
    std::fs::write(work.join("said"), format!("{status} {size:?} {}", of("out").is_some())).unwrap();
}

#[test]
fn a_file_that_the_kernel_inherited_open_is_an_input_and_a_log_of_its_starter_is_no_result() {
    let env = TestEnv::new();
    std::fs::write(env.work().join("in"), "content\n").unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "capture::a_capture_with_redirected_streams", "--nocapture"])
        .env("NBPACK_TEST_REDIRECTED", env.work())
        .stdin(nbpack::files::open(&env.work().join("in")).unwrap())
        .stdout(std::fs::File::create(env.work().join("out")).unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(std::fs::read_to_string(env.work().join("said")).unwrap(), "0 Some(8) false");
}

/// Runs a Python program to its end; it must end well.
pub(crate) fn run_python(code: &str, cwd: &Path) -> Option<Run> {
    run_python_by(Mode::Auto, code, cwd)
}

pub(crate) fn run_python_by(mode: Mode, code: &str, cwd: &Path) -> Option<Run> {
    Some(run_python_of(mode, &any_python()?, code, cwd))
}

fn run_python_of(mode: Mode, python: &str, code: &str, cwd: &Path) -> Run {
    std::fs::write(cwd.join("program.py"), code).unwrap();
    let (status, run) = run_by(mode, &[python, "program.py"], cwd);
    assert_eq!(status, 0, "the program failed");
    run
}

/// Waits for something that another process does.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

const ZOO: &str = r"
import ctypes, os, subprocess, sys, threading, multiprocessing as mp, time

def touch(name, *_):
    open(name, 'rb').close()

def in_child(name):
    touch(name)

def pipeline():
    subprocess.run(['cat', 'subprocess'], stdout=subprocess.DEVNULL, check=True)
    subprocess.run('cat pipe_a | cat - pipe_b | wc -c', shell=True, stdout=subprocess.DEVNULL, check=True)
    os.system('cat os_system >/dev/null')
    pid = os.posix_spawn('/bin/cat', ['cat', 'posix_spawn'], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)])
    os.waitpid(pid, 0)

def forks():
    pid = os.fork()
    if pid == 0:
        touch('fork'); os._exit(0)
    os.waitpid(pid, 0)
    for method in ('fork', 'spawn'):
        child = mp.get_context(method).Process(target=in_child, args=('mp_' + method,))
        child.start(); child.join()
        assert child.exitcode == 0
    global children
    children = [subprocess.Popen(['cat', 'forget_%d' % i], stdout=subprocess.DEVNULL) for i in range(10)]

def threads():
    workers = [threading.Thread(target=touch, args=('thread_%d' % i,)) for i in range(10)]
    [w.start() for w in workers]; [w.join() for w in workers]

def daemon():
    r, w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            touch('daemon'); os.write(w, b'x')
        os._exit(0)
    os.wait(); os.read(r, 1)

def places():
    fd = os.open('dir', os.O_RDONLY | os.O_DIRECTORY)
    os.close(os.open('at_fd', os.O_RDONLY, dir_fd=fd))
    os.fchdir(fd); touch('after_fchdir')
    os.chdir('..'); touch('after_chdir')
    p = os.open('o_path', os.O_PATH)
    os.close(os.open('/proc/self/fd/%d' % p, os.O_RDONLY))
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(24)
    got = libc.syscall(437, fd, b'openat2', buffer, ctypes.c_size_t(24))
    assert got >= 0, ctypes.get_errno()
    ctypes.CDLL(None).open(b'ctypes', 0)
    touch(b'not_utf8_\xff\xfe')
    assert libc.open(ctypes.c_void_p(8), 0) == -1 and ctypes.get_errno() == 14
    libc.open(b'x' * 5000, 0)

if __name__ == '__main__':
    for step in (pipeline, forks, threads, daemon, places):
        step()
    [child.wait() for child in children]
";

#[test]
fn no_way_to_start_or_to_open_goes_unseen() {
    COMPLETE.into_iter().for_each(no_way_goes_unseen);
}

fn no_way_goes_unseen(mode: Mode) {
    let env = TestEnv::new();
    let work = env.work();
    std::fs::create_dir(work.join("dir")).unwrap();
    let mut markers: Vec<Vec<u8>> = [
        "subprocess",
        "pipe_a",
        "pipe_b",
        "os_system",
        "posix_spawn",
        "fork",
        "mp_fork",
        "mp_spawn",
        "daemon",
        "dir/at_fd",
        "dir/after_fchdir",
        "after_chdir",
        "o_path",
        "dir/openat2",
        "ctypes",
    ]
    .map(|name| name.as_bytes().to_vec())
    .into();
    markers.push(b"not_utf8_\xff\xfe".to_vec());
    markers.extend((0..10).flat_map(|i| [format!("thread_{i}").into_bytes(), format!("forget_{i}").into_bytes()]));
    for marker in &markers {
        std::fs::write(work.join(std::ffi::OsStr::from_bytes(marker)), "x").unwrap();
    }
    let Some(run) = run_python_by(mode, ZOO, &work) else { return };
    let seen = run.seen.files();
    for marker in &markers {
        let path = work.join(std::ffi::OsStr::from_bytes(marker));
        let found = seen.iter().any(|file| {
            file.path == path.as_os_str().as_bytes() && file.signature.is_some_and(|signature| signature.size == 1)
        });
        assert!(found, "{} was not seen (with its signature)", path.display());
    }
    assert!(run.seen.gaps("unreadable").is_empty());
    // The thread's accesses belong to the process, with the thread's own number.
    let thread = seen.iter().find(|file| file.path.ends_with(b"/thread_3")).unwrap();
    assert_eq!(thread.pid, run.kernel.pid());
    assert_ne!(thread.tid, thread.pid);
}

#[test]
fn native_readers_are_seen() {
    let env = TestEnv::new();
    let Some(python) = support::python() else { return };
    let make = r"
import numpy as np, pandas as pd, sqlite3, h5py
df = pd.DataFrame({'a': range(10)})
for n in ('pandas', 'pyarrow', 'polars', 'duckdb'): df.to_parquet(n + '.parquet')
for n in ('pandas', 'polars', 'duckdb'): df.to_csv(n + '.csv', index=False)
np.save('mapped.npy', np.arange(10)); np.save('loaded.npy', np.arange(10))
h5py.File('data.h5', 'w').create_dataset('x', data=[1])
import netCDF4, rasterio
with netCDF4.Dataset('data.nc', 'w') as d: d.createDimension('x', 3); d.createVariable('v', 'f8', ('x',))[:] = [1, 2, 3]
with rasterio.open('grid.tif', 'w', driver='GTiff', width=4, height=4, count=1, dtype='uint8') as d: d.write(np.ones((1, 4, 4), 'uint8'))
c = sqlite3.connect('data.sqlite'); c.execute('create table t(a)'); c.commit()
";
    let made = Command::new(&python).args(["-c", make]).current_dir(env.work()).status().unwrap();
    assert!(made.success());
    let read = r"
import numpy as np, pandas as pd, sqlite3, h5py, pyarrow.parquet, polars, duckdb, mmap, ctypes
pd.read_parquet('pandas.parquet'); pd.read_csv('pandas.csv')
pyarrow.parquet.read_table('pyarrow.parquet')
polars.read_parquet('polars.parquet'); polars.read_csv('polars.csv')
duckdb.sql('select * from \'duckdb.parquet\'').fetchall(); duckdb.sql('select * from \'duckdb.csv\'').fetchall()
np.load('mapped.npy', mmap_mode='r')[3]; np.load('loaded.npy')
h5py.File('data.h5', 'r')['x'][:]
import netCDF4, rasterio
netCDF4.Dataset('data.nc')['v'][:]
rasterio.open('grid.tif').read()
sqlite3.connect('data.sqlite').execute('select * from t').fetchall()
";
    let run = run_python_of(Mode::Auto, python.to_str().unwrap(), read, &env.work());
    let seen = run.seen.paths();
    for name in [
        "pandas.parquet",
        "pandas.csv",
        "pyarrow.parquet",
        "polars.parquet",
        "polars.csv",
        "duckdb.parquet",
        "duckdb.csv",
        "mapped.npy",
        "loaded.npy",
        "data.h5",
        "data.nc",
        "grid.tif",
        "data.sqlite",
    ] {
        assert!(seen.contains(env.work().join(name).as_os_str().as_bytes()), "{name} was not seen");
    }
}

#[test]
fn the_old_content_is_there_when_a_change_is_announced() {
    COMPLETE.into_iter().for_each(the_old_content_is_there);
}

fn the_old_content_is_there(mode: Mode) {
    let env = TestEnv::new();
    let work = env.work();
    let names = [
        "truncated",
        "appended",
        "updated",
        "target",
        "source",
        "removed",
        "shortened",
        "swapped_a",
        "swapped_b",
        "creat",
    ];
    for name in names {
        std::fs::write(work.join(name), format!("old {name}")).unwrap();
    }
    let code = r"
import ctypes, os
open('truncated', 'w').write('new')
open('appended', 'a').write('new')
open('updated', 'r+').write('new')
os.rename('source', 'target')
os.unlink('removed')
os.truncate('shortened', 1)
libc = ctypes.CDLL(None)
assert libc.renameat2(-100, b'swapped_a', -100, b'swapped_b', 2) == 0
assert libc.creat(b'creat', 0o600) >= 0
open('fresh', 'w').write('new')
open('fresh_exclusive', 'x').write('new')
os.mkdir('d'); os.rmdir('d')
for call in (lambda: os.remove('never'), lambda: os.rename('nowhere', 'target')):
    try:
        call()
    except FileNotFoundError:
        pass
";
    let Some(run) = run_python_by(mode, code, &work) else { return };
    let kept = run.snapshots.0.lock().unwrap().clone();
    for name in names {
        let found =
            kept.iter().find(|(path, _)| *path == work.join(name)).unwrap_or_else(|| panic!("{name}: not announced"));
        assert_eq!(found.1, format!("old {name}").into_bytes(), "{name}");
    }
    assert!(!kept.iter().any(|(path, _)| path.ends_with("fresh") || path.ends_with("fresh_exclusive")));
    assert_eq!(std::fs::read(work.join("target")).unwrap(), b"old source");
    assert!(run.seen.gaps("preserve").is_empty());
    let files = run.seen.files();
    let op = |name: &str| files.iter().find(|file| file.path == work.join(name).as_os_str().as_bytes()).unwrap().op;
    assert_eq!(op("source"), FileOp::Rename { exchange: false });
    assert_eq!(op("swapped_a"), FileOp::Rename { exchange: true });
    assert_eq!(op("removed"), FileOp::Unlink { dir: false });
    assert_eq!(op("d"), FileOp::Unlink { dir: true });
    assert_eq!(op("shortened"), FileOp::Truncate);
    assert_eq!((op("never"), op("nowhere")), (FileOp::Missing, FileOp::Missing));
}

/// The tap of a kernel: its parent.
pub(crate) fn tap_of(kernel: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{kernel}/status")).ok()?;
    let parent: u32 = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
    (parent != std::process::id()).then_some(parent)
}

pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap_or_default();
}

pub(crate) fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// More trials than [`the_kernel_goes_on_when_the_tap_is_killed`] has, for `tests/run kills`.
#[test]
#[ignore = "takes minutes; `tests/run kills` runs it"]
fn the_kernel_goes_on_after_hundreds_of_kills() {
    let trials = std::env::var_os("NBPACK_TEST_KILLS").and_then(|trials| trials.to_str()?.parse().ok());
    kill_taps(trials.unwrap_or(200));
}

/// Kills the tap `trials` times while its kernel opens, renames and starts things; every kernel must come to its end.
fn kill_taps(trials: u32) {
    let Some(python) = any_python() else { return };
    let env = TestEnv::new();
    let code = r"
import os, subprocess, sys, threading, time
open('ready', 'w').close()
end = time.monotonic() + 0.4
def work(name):
    n = 0
    while time.monotonic() < end:
        open(name, 'w').close(); os.rename(name, name + '_'); open(name + '_').close(); os.unlink(name + '_')
        n += 1
    return n
threads = [threading.Thread(target=work, args=('t%d' % i,)) for i in range(2)]
[t.start() for t in threads]
while time.monotonic() < end:
    subprocess.run(['/bin/true'], check=True)
[t.join() for t in threads]
sys.exit(5)
";
    std::fs::write(env.work().join("program.py"), code).unwrap();
    for trial in 0..trials {
        std::fs::remove_file(env.work().join("ready")).unwrap_or_default();
        let run = start(&[&python, "program.py"], &env.work(), options());
        let tap = tap_of(run.kernel.pid()).unwrap();
        eventually("the program began", || env.work().join("ready").exists());
        // Spread over the program's life, not over round numbers.
        std::thread::park_timeout(Duration::from_micros(u64::from(trial) * 7919 % 350_000));
        // On a busy machine it may have come to its end before the kill.
        let in_time = is_running(run.kernel.pid());
        kill(tap);
        let (sender, status) = std::sync::mpsc::channel();
        let kernel = Arc::clone(&run.kernel);
        std::thread::spawn(move || sender.send(kernel.wait().unwrap()));
        let status = status.recv_timeout(Duration::from_secs(20)).expect("the kernel stands still");
        assert_eq!(status, 5 << 8, "trial {trial}");
        if in_time {
            eventually("the loss is in the record", || run.seen.gaps("tap_lost").len() == 1);
        }
        let last = run.seen.files().into_iter().rfind(|file| file.pid != run.kernel.pid());
        assert!(last.is_some(), "nothing was seen");
    }
}

#[test]
fn the_kernel_goes_on_when_the_tap_is_killed() {
    kill_taps(20);
}

#[test]
fn files_are_seen_also_after_the_tap_was_killed() {
    let env = TestEnv::new();
    std::fs::write(env.work().join("old"), "old").unwrap();
    let run = start(
        &[SH, "-c", "touch ready; until [ -e go ]; do :; done; cat after; echo new >old"],
        &env.work(),
        options(),
    );
    let tap = tap_of(run.kernel.pid()).unwrap();
    eventually("the program began", || env.work().join("ready").exists());
    kill(tap);
    eventually("the tap is gone", || !is_running(tap));
    std::fs::write(env.work().join("after"), "x").unwrap();
    std::fs::write(env.work().join("go"), "").unwrap();
    assert_eq!(run.kernel.wait().unwrap(), 0);
    assert!(run.seen.paths().contains(env.work().join("after").as_os_str().as_bytes()));
    assert!(run.snapshots.0.lock().unwrap().contains(&(env.work().join("old"), b"old".to_vec())));
}

/// Not a test of its own: the program that the next test kills. It prints the pids of kernel and tap.
#[test]
fn a_proxy_to_be_killed() {
    let Some(work) = std::env::var_os("NBPACK_TEST_PROXY") else { return };
    let mode = std::env::var_os("NBPACK_TEST_MODE").and_then(|word| Mode::from_word(word.to_str()?)).unwrap();
    let options = Options { mode, ..options() };
    let run = start(&[SH, "-c", "sleep 1000 & sleep 1001"], Path::new(&work), options);
    let tap = tap_of(run.kernel.pid()).unwrap();
    std::fs::write(Path::new(&work).join("pids"), format!("{} {tap}", run.kernel.pid())).unwrap();
    run.kernel.wait().unwrap();
}

#[test]
fn no_process_is_left_when_the_proxy_is_killed() {
    COMPLETE.into_iter().for_each(no_process_is_left);
}

fn no_process_is_left(mode: Mode) {
    use std::os::unix::process::CommandExt as _;
    let env = TestEnv::new();
    let mut proxy = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "capture::a_proxy_to_be_killed", "--nocapture"])
        .env("NBPACK_TEST_PROXY", env.work())
        .env("NBPACK_TEST_MODE", mode.word())
        .stdout(std::process::Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let pids = || -> Option<Vec<u32>> {
        let text = std::fs::read_to_string(env.work().join("pids")).ok()?;
        let pids: Vec<u32> = text.split(' ').map(|pid| pid.parse().unwrap_or(0)).collect();
        (pids.len() == 2).then_some(pids)
    };
    eventually("the kernel runs", || pids().is_some());
    let pids = pids().unwrap();
    assert!(pids.iter().all(|pid| is_running(*pid)));
    kill(proxy.id());
    proxy.wait().unwrap();
    eventually("the kernel ends", || !is_running(pids[0]));
    // What a frontend does to a kernel that will not end, and what ends its children.
    let group = rustix::process::Pid::from_raw(i32::try_from(proxy.id()).unwrap()).unwrap();
    let killed = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    // The group may have ended by itself meanwhile.
    assert!(matches!(killed, Ok(()) | Err(rustix::io::Errno::SRCH)), "{killed:?}");
    eventually("the tap ends", || !is_running(pids[1]));
}

#[test]
fn a_daemon_of_the_notebook_opens_files_after_its_kernel_and_proxy_are_gone() {
    let env = TestEnv::new();
    let code = "(setsid sh -c 'until [ -e go ]; do sleep 0.02; done; cat in >out; echo $? >result' &) </dev/null >/dev/null 2>&1";
    std::fs::write(env.work().join("in"), "x").unwrap();
    let (status, run) = run(&[SH, "-c", code], &env.work());
    assert_eq!(status, 0);
    drop(run);
    std::fs::write(env.work().join("go"), "").unwrap();
    eventually("the daemon's result", || {
        std::fs::read_to_string(env.work().join("result")).is_ok_and(|result| result == "0\n")
    });
}

#[test]
fn orphans_of_the_notebook_are_reaped() {
    let env = TestEnv::new();
    let code = "for i in 1 2 3; do (setsid true &); done; touch ready; until [ -e go ]; do sleep 0.02; done";
    let run = start(&[SH, "-c", code], &env.work(), options());
    let tap = tap_of(run.kernel.pid()).unwrap();
    eventually("the orphans exist", || env.work().join("ready").exists());
    let children = || {
        std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit(')').next().unwrap_or_default().split(' ').nth(2).map(str::to_owned);
            parent == Some(tap.to_string())
        })
    };
    eventually("only the kernel is left", || children().count() == 1);
    std::fs::write(env.work().join("go"), "").unwrap();
    assert_eq!(run.kernel.wait().unwrap(), 0);
    eventually("the tap has ended", || !is_running(tap));
}

#[test]
fn a_capture_in_a_capture_says_that_it_sees_nothing() {
    let env = TestEnv::new();
    let (status, _outer) = run(
        &[
            "/usr/bin/env",
            &format!("NBPACK_TEST_NESTED={}", env.work().display()),
            std::env::current_exe().unwrap().to_str().unwrap(),
            "--exact",
            "capture::a_nested_capture",
        ],
        &env.work(),
    );
    assert_eq!(status, 0);
    assert_eq!(std::fs::read_to_string(env.work().join("inner")).unwrap(), "none 1 3");
}

/// Not a test of its own: the program that the one above watches.
#[test]
fn a_nested_capture() {
    let Some(work) = std::env::var_os("NBPACK_TEST_NESTED") else { return };
    let run = start(&[SH, "-c", "exit 3"], Path::new(&work), options());
    let status = run.kernel.wait().unwrap();
    let said = format!("{} {} {}", run.seen.mechanism(), run.seen.gaps("unavailable").len(), status >> 8);
    std::fs::write(Path::new(&work).join("inner"), said).unwrap();
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let env = TestEnv::new();
    let launch = Launch { argv: vec!["/no/such/kernel".into()], env: Vec::new(), cwd: env.work() };
    let result = capture::launch(launch, options(), Arc::new(Collected::default()), Arc::new(Snapshots::default()));
    let result = result.map(|kernel| kernel.pid());
    let Err(capture::CaptureError::Kernel { program, source }) = result else { panic!("{result:?}") };
    assert_eq!((program, source.kind()), (PathBuf::from("/no/such/kernel"), std::io::ErrorKind::NotFound));
}

#[test]
fn without_capture_the_kernel_runs_all_the_same() {
    let env = TestEnv::new();
    let run = start(&[SH, "-c", "kill -9 $$"], &env.work(), Options { mode: Mode::None, ..options() });
    assert_eq!(run.kernel.wait().unwrap(), 9);
    assert_eq!(run.seen.mechanism(), "none");
    assert!(run.seen.gaps("unavailable").is_empty() && run.seen.files().is_empty());
}

#[test]
fn signals_reach_the_kernel_alone() {
    let env = TestEnv::new();
    let run =
        start(&[SH, "-c", "trap 'exit 4' INT; touch ready; while :; do sleep 0.01; done"], &env.work(), options());
    eventually("the trap is set", || env.work().join("ready").exists());
    run.kernel.signal(2).unwrap();
    assert_eq!(run.kernel.wait().unwrap(), 4 << 8);
}

#[test]
fn settling_hands_over_all_that_was_done_before() {
    let env = TestEnv::new();
    let mkfifo = |name: &str| {
        rustix::fs::mknodat(rustix::fs::CWD, env.work().join(name), rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
    };
    mkfifo("questions");
    mkfifo("answers");
    let run = start(
        &[SH, "-c", "while read name; do cat $name; echo done; done <questions >answers"],
        &env.work(),
        options(),
    );
    let mut questions = std::fs::OpenOptions::new().write(true).open(env.work().join("questions")).unwrap();
    let mut answers =
        std::io::BufReader::new(std::fs::OpenOptions::new().read(true).open(env.work().join("answers")).unwrap());
    for round in 0..50 {
        use std::io::{BufRead as _, Write as _};
        let name = format!("file_{round}");
        std::fs::write(env.work().join(&name), "").unwrap();
        writeln!(questions, "{name}").unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        run.kernel.settle();
        assert!(run.seen.paths().contains(env.work().join(&name).as_os_str().as_bytes()), "{name}");
    }
    drop(questions);
    assert_eq!(run.kernel.wait().unwrap(), 0);
}

/// The EINTR hole of Linux: not to be closed from here, but to be seen coming, and to be counted.
#[test]
fn a_timer_whose_handler_does_not_restart_calls_is_named() {
    let env = TestEnv::new();
    let code = r"
import signal, time
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
end = time.monotonic() + 0.5
while time.monotonic() < end:
    open('program.py').close()
while True:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0)
        break
    except InterruptedError:  # the very hole; `open` tries again by itself
        pass
    except signal.itimer_error as error:
        assert error.errno == 4
";
    let Some(run) = run_python(code, &env.work()) else { return };
    let gaps = run.seen.gaps("eintr_hazard");
    assert!(gaps.first().unwrap().detail.contains("SA_RESTART"), "{gaps:?}");
    // An alarm that fires once, or a handler that restarts, is nobody's hazard.
    let code = r"
import ctypes, signal
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 1000)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 1000, 1000)
";
    let Some(run) = run_python(code, &env.work()) else { return };
    assert!(run.seen.gaps("eintr_hazard").is_empty());
}

#[test]
fn io_uring_is_a_gap_or_refused() {
    let env = TestEnv::new();
    let code = r"
import ctypes, os
ring = ctypes.CDLL(None, use_errno=True).syscall(425, 1, ctypes.create_string_buffer(120))
open('result', 'w').write(str(ctypes.get_errno() if ring < 0 else 0))
";
    let Some(run) = run_python(code, &env.work()) else { return };
    assert_eq!(run.seen.gaps("io_uring").len(), 1);
    let python = any_python().unwrap();
    let refusing = Options { io_uring: capture::IoUring::Refuse, ..options() };
    let run = start(&[&python, "program.py"], &env.work(), refusing);
    assert_eq!(run.kernel.wait().unwrap(), 0);
    assert_eq!(std::fs::read_to_string(env.work().join("result")).unwrap(), "1");
    assert!(run.seen.gaps("io_uring").is_empty());
}

/// A static program that opens the file it is given, by the 64-bit or (`old`) the 32-bit system call.
fn static_program(dir: &Path, old: bool) -> Option<PathBuf> {
    let new_way = r"
#include <fcntl.h>
#include <unistd.h>
int main(int n, char **a) { return open(a[1], O_RDONLY) < 0; }";
    let old_way = r#"
#include <string.h>
#include <sys/mman.h>
int main(int n, char **a) {
    /* The 32-bit call takes a 32-bit address. */
    char *low = mmap((void *)0x10000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    long result;
    strcpy(low, a[1]);
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(5), "b"(low), "c"(0), "d"(0) : "memory");
    return result < 0;
}"#;
    let (source, program) = (dir.join("opener.c"), dir.join("opener"));
    std::fs::write(&source, if old { old_way } else { new_way }).unwrap();
    let built = Command::new("cc").arg("-static").arg("-o").arg(&program).arg(&source).output();
    match built {
        Ok(built) if built.status.success() => Some(program),
        _ => {
            skipped("no C compiler for static programs");
            None
        }
    }
}

#[test]
fn a_static_program_is_seen() {
    let env = TestEnv::new();
    let Some(program) = static_program(env.path(), false) else { return };
    std::fs::write(env.work().join("marker"), "x").unwrap();
    let (status, run) = run(&[program.to_str().unwrap(), "marker"], &env.work());
    assert_eq!(status, 0);
    assert!(run.seen.paths().contains(env.work().join("marker").as_os_str().as_bytes()));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_32_bit_call_is_no_way_around() {
    let env = TestEnv::new();
    let Some(program) = static_program(env.path(), true) else { return };
    std::fs::write(env.work().join("marker"), "x").unwrap();
    let (status, run) = run(&[program.to_str().unwrap(), "marker"], &env.work());
    if status != 0 {
        return skipped("this Linux runs no 32-bit calls");
    }
    assert!(run.seen.paths().contains(env.work().join("marker").as_os_str().as_bytes()));
}

/// Makes the test's directory and the program usable by everybody, and gives the words that run a program as nobody.
pub(crate) fn as_nobody(env: &TestEnv) -> Option<Vec<String>> {
    if !rustix::process::geteuid().is_root() {
        skipped("only root can become somebody else");
        return None;
    }
    for dir in [env.path(), &env.work()] {
        std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    Some(["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(String::from).into())
}

/// Not a test of its own: watches a shell and writes what was seen.
#[test]
fn a_capture_child() {
    let Some(work) = std::env::var_os("NBPACK_TEST_CHILD").map(PathBuf::from) else { return };
    let program = std::env::var_os("NBPACK_TEST_PROGRAM").map(PathBuf::from).unwrap();
    std::fs::write(work.join("in"), "x").unwrap();
    let privileged = "/usr/bin/chsh --help >/dev/null; exit 0";
    let run = start(&[SH, "-c", &format!("cat in >out; {privileged}")], &work, Options::new(program));
    let status = run.kernel.wait().unwrap();
    let seen = run.seen.paths().contains(work.join("in").as_os_str().as_bytes());
    let setuid = run.seen.gaps("setuid").len();
    std::fs::write(work.join("said"), format!("{} {status} {seen} {setuid}", run.seen.mechanism())).unwrap();
}

pub(crate) fn capture_as(prefix: &[String], env: &TestEnv) -> String {
    // Copies where everybody may run them.
    let (binary, program) = (env.path().join("tests"), env.path().join("nbpack"));
    std::fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    std::fs::copy(support::program(), &program).unwrap();
    let mut words = prefix.to_vec();
    words.push(binary.to_str().unwrap().into());
    let output = Command::new(&words[0])
        .args(&words[1..])
        .args(["--exact", "capture::a_capture_child", "--nocapture"])
        .env("NBPACK_TEST_CHILD", env.work())
        .env("NBPACK_TEST_PROGRAM", &program)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(env.work().join("said")).unwrap()
}

#[test]
fn an_ordinary_user_is_captured_and_told_of_setuid_programs() {
    let env = TestEnv::new();
    let Some(prefix) = as_nobody(&env) else { return };
    assert_eq!(capture_as(&prefix, &env), "notify 0 true 1");
}

#[test]
fn the_root_of_a_user_namespace_is_captured() {
    let env = TestEnv::new();
    let Some(mut prefix) = as_nobody(&env) else { return };
    prefix.extend(["/usr/bin/unshare".into(), "-Ur".into()]);
    if !Command::new(&prefix[0]).args(&prefix[1..]).arg("/bin/true").status().unwrap().success() {
        return skipped("no user namespaces");
    }
    assert_eq!(capture_as(&prefix, &env), "notify 0 true 0");
}

/// A container: another root, other mounts. Paths are the target's own; we reach them through its root.
#[test]
fn a_container_is_seen_from_outside() {
    let env = TestEnv::new();
    let script = "
mount -t tmpfs none $W/root && cd $W/root || exit 77
mkdir -p bin lib lib64 usr etc data proc old
for d in usr lib lib64 bin; do [ -d /$d ] && mount --rbind /$d $d; done
ln -s /data/real data/absolute; echo content >data/real; echo old >data/overwritten
pivot_root . old || exit 77
cd /data && exec /usr/bin/unshare -f /bin/sh -c 'cat absolute; cat ./real; echo new >overwritten'
";
    let script = script.replace("$W", env.work().to_str().unwrap());
    std::fs::create_dir(env.work().join("root")).unwrap();
    let run = start(&["/usr/bin/unshare", "-Urm", SH, "-c", &script], &env.work(), options());
    let status = run.kernel.wait().unwrap();
    if status == 77 << 8 || status == 1 << 8 {
        return skipped("no user or mount namespaces");
    }
    assert_eq!(status, 0);
    let files = run.seen.files();
    for path in ["/data/absolute", "/data/./real"] {
        let file = files.iter().find(|file| file.path == path.as_bytes()).unwrap_or_else(|| panic!("{path}: not seen"));
        assert_eq!(file.signature.unwrap().size, 8, "{path}");
    }
    let kept = run.snapshots.0.lock().unwrap().clone();
    assert!(kept.iter().any(|(path, old)| path.ends_with("data/overwritten") && old == b"old\n"), "{kept:?}");
}

#[test]
fn the_probe_says_what_works_and_what_to_do() {
    let results = capture::probe(support::program());
    assert!(results[0].works, "{results:?}");
    let results = capture::probe(Path::new("/bin/false"));
    assert!(!results[0].works && !results[0].remedy.is_empty(), "{results:?}");
}

/// Not judged, for a busy machine is no scale: what an open costs, beside the bare one.
#[test]
fn the_cost_of_an_open_is_printed() {
    let env = TestEnv::new();
    let code = r"
import os, time
times = []
for block in range(60):
    start = time.perf_counter()
    for _ in range(200):
        os.close(os.open('/etc/hostname', os.O_RDONLY))
    times.append((time.perf_counter() - start) / 200 * 1e6)
times.sort()
open('result', 'w').write('min %.2f  p25 %.2f  median %.2f us' % (times[0], times[15], times[30]))
";
    let Some(python) = any_python() else { return };
    std::fs::write(env.work().join("program.py"), code).unwrap();
    for mode in [Mode::None, Mode::Auto, Mode::None, Mode::Auto] {
        let run = start(&[&python, "program.py"], &env.work(), Options { mode, ..options() });
        assert_eq!(run.kernel.wait().unwrap(), 0);
        let said = std::fs::read_to_string(env.work().join("result")).unwrap();
        eprintln!("open+close, {}: {said}", run.seen.mechanism());
        let opens = run.seen.files().iter().filter(|file| file.path == b"/etc/hostname").count();
        assert_eq!(opens, if mode == Mode::None { 0 } else { 12_000 });
    }
}

/// Takes its time over a file.
struct Slow(Duration, Mutex<Option<bool>>);

impl BeforeChange for Slow {
    fn before_change(&self, _access: &FileAccess, host_path: &Path) {
        let end = Instant::now() + self.0;
        while Instant::now() < end {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        *self.1.lock().unwrap() = Some(std::fs::read(host_path).unwrap() == b"old");
    }
}

#[test]
fn a_long_copy_is_waited_for_but_not_for_ever() {
    let overwrite = |longest_hold: Duration| {
        let env = TestEnv::new();
        std::fs::write(env.work().join("file"), "old").unwrap();
        let seen = Arc::new(Collected::default());
        let slow = Arc::new(Slow(Duration::from_secs(4), Mutex::new(None)));
        let launch =
            Launch { argv: [SH, "-c", "echo new >file"].map(OsString::from).into(), env: Vec::new(), cwd: env.work() };
        let options = Options { longest_hold, ..options() };
        let kernel = capture::launch(launch, options, seen.clone(), slow.clone()).unwrap();
        assert_eq!(kernel.wait().unwrap(), 0);
        let old_was_there = slow.1.lock().unwrap().unwrap();
        (old_was_there, seen.gaps("preserve").len())
    };
    std::thread::scope(|scope| {
        let patient = scope.spawn(|| overwrite(Duration::from_secs(60)));
        assert_eq!(overwrite(Duration::ZERO), (false, 1));
        assert_eq!(patient.join().unwrap(), (true, 0));
    });
}
