//! The openings that a kernel writes down itself: seen like all others, without anybody being woken for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use nbpack::{
    capture::Options,
    event::{Event, FileOp, Launch},
};

use crate::{
    capture::{Run, any_python, options, start},
    support::TestEnv,
};

/// Modules with their bytecode, and a program that runs `code`.
fn prepare(code: &str, modules: usize) -> TestEnv {
    let env = TestEnv::new();
    let package = env.work().join("pack");
    std::fs::create_dir_all(&package).unwrap();
    std::fs::write(package.join("__init__.py"), "").unwrap();
    for number in 0..modules {
        std::fs::write(package.join(format!("m{number}.py")), format!("value = {number}\n")).unwrap();
    }
    std::fs::write(env.work().join("program.py"), code).unwrap();
    let python = any_python().unwrap();
    let made =
        std::process::Command::new(python).args(["-m", "compileall", "-q", "pack"]).current_dir(env.work()).status();
    assert!(made.unwrap().success());
    env
}

fn run(env: &TestEnv, preload: bool) -> Run {
    let run = start(&[&any_python().unwrap(), "program.py"], &env.work(), Options { preload, ..options() });
    assert_eq!(run.kernel.wait().unwrap(), 0, "the program failed");
    run
}

/// What was opened below `work`: path, flags, whether by the kernel itself, whether it was there.
fn opened(run: &Run, work: &Path) -> BTreeMap<(Vec<u8>, i32, bool), Option<u64>> {
    let kernel = run.kernel.pid();
    run.seen
        .files()
        .into_iter()
        .filter_map(|file| {
            let FileOp::Open { flags } = file.op else { return None };
            let path = file.path.strip_prefix(work.as_os_str().as_bytes())?.to_vec();
            Some(((path, flags & !libc::O_LARGEFILE, file.pid == kernel), file.signature.map(|found| found.size)))
        })
        .collect()
}

const EVERYTHING: &str = r"
import ctypes, importlib, os, subprocess, sys, threading
sys.dont_write_bytecode = True
here = os.getcwd()
sys.path.insert(0, here)
def load(number): importlib.import_module(f'pack.m{number}')
load(0)
worker = threading.Thread(target=load, args=(1,)); worker.start(); worker.join()
child = os.fork()
if child == 0:
    load(2); os.listdir(here + '/pack'); os._exit(0)
assert os.waitpid(child, 0)[1] == 0
cache = here + '/pack/__pycache__'
def names(): return sorted(os.listdir(cache))
one = f'{cache}/{names()[1]}'
with open(one, 'rb') as file: file.read()                      # by an absolute path
with open(os.path.relpath(one), 'rb') as file: file.read()     # by a relative one
with open(one, 'r+b') as file: pass                            # to write
os.close(os.open(one, os.O_RDONLY | os.O_NOFOLLOW))
for wrong in (here + '/none.pyc', here + '/pack/none/x.pyc', one + '/x.pyc'):
    try: open(wrong, 'rb')
    except OSError as error: print(type(error).__name__, error.errno)
for wrong in (here + '/none', one):
    try: os.listdir(wrong)
    except OSError as error: print(type(error).__name__, error.errno)
deep = here
while len(deep) < 600: deep += '/' + 'd' * 60
os.makedirs(deep)
open(deep + '/long.pyc', 'wb').close()
open(deep + '/long.pyc', 'rb').close()
os.mkfifo(here + '/fifo.pyc')
os.close(os.open(here + '/fifo.pyc', os.O_RDONLY | os.O_NONBLOCK))
print(sorted(os.listdir(here + '/pack')) == sorted(set(os.listdir(here + '/pack'))), len(os.listdir(here + '/pack')))
print([name for name in os.environ if name.startswith('LD_')])
print(sorted(fd for fd in map(int, os.listdir('/proc/self/fd')) if fd > 2 and os.path.exists(f'/proc/self/fd/{fd}')))
print(subprocess.run([sys.executable, '-c', 'import os; print(dict(os.environ))'], capture_output=True, text=True))
libc = ctypes.CDLL(None, use_errno=True)
print(libc.open(b'/none.pyc', 0), ctypes.get_errno())
made = libc.open((here + '/made').encode(), os.O_CREAT | os.O_WRONLY, 0o640)
print(oct(os.fstat(made).st_mode), os.get_inheritable(made))
os.umask(0)
";

#[test]
fn what_the_kernel_writes_down_is_what_is_seen_without() {
    let ways = [true, false].map(|preload| {
        let env = prepare(&format!("import sys; sys.stdout = open('said', 'w')\n{EVERYTHING}"), 3);
        let run = run(&env, preload);
        let said = std::fs::read_to_string(env.work().join("said")).unwrap();
        let work = env.work().to_str().unwrap().to_owned();
        (opened(&run, &env.work()), said.replace(&work, "WORK"), env)
    });
    let [(with, said_with, _), (without, said_without, _)] = &ways;
    assert_eq!(said_with, said_without);
    assert_eq!(with, without);
    assert!(said_with.contains("FileNotFoundError 2") && said_with.contains("NotADirectoryError 20"), "{said_with}");
    for name in ["m0", "m1", "m2"] {
        let is_it =
            |path: &[u8]| path.windows(name.len()).any(|part| part == name.as_bytes()) && path.ends_with(b".pyc");
        assert!(with.iter().any(|((path, ..), size)| is_it(path) && size.is_some()), "{name}: {with:?}");
    }
}

/// Stops whoever answers, imports, and lets it go on: who waits for an answer has none before it is continued.
const UNANSWERED: &str = r"
import importlib, os, signal, sys, time
sys.path.insert(0, os.getcwd())
import pack
os.kill(os.getppid(), signal.SIGSTOP)
began = time.monotonic()
for number in range(COUNT): importlib.import_module(f'pack.m{number}')
took = time.monotonic() - began
os.kill(os.getppid(), signal.SIGCONT)
open('took', 'w').write(str(took))
";

/// Imports while nobody answers; seconds that they took, and the modules whose bytecode was seen.
fn unanswered(preload: bool, count: usize) -> (f64, usize) {
    let env = prepare(&UNANSWERED.replace("COUNT", &count.to_string()), count);
    let run = run(&env, preload);
    let seen: BTreeSet<_> = opened(&run, &env.work())
        .into_keys()
        .filter(|(path, ..)| path.starts_with(b"/pack/__pycache__/m") && path.ends_with(b".pyc"))
        .collect();
    (std::fs::read_to_string(env.work().join("took")).unwrap().parse().unwrap(), seen.len())
}

#[test]
fn an_import_waits_for_nobody() {
    let (took, seen) = unanswered(true, 100);
    assert_eq!(seen, 100);
    // The proxy looks after a tap that does not answer every two seconds.
    assert!(took < 1.5, "{took} s");
    let (took, seen) = unanswered(false, 1);
    assert_eq!(seen, 1);
    assert!(took > 1.5, "{took} s");
}

#[test]
fn more_imports_than_there_is_room_for_are_all_seen() {
    let env = prepare(&UNANSWERED.replace("COUNT", "1500"), 1500);
    let run = run(&env, true);
    let of_modules = |(path, ..): &(Vec<u8>, i32, bool)| path.starts_with(b"/pack/__pycache__/m");
    assert_eq!(opened(&run, &env.work()).into_keys().filter(of_modules).count(), 1500);
}

#[test]
fn openings_come_in_the_order_in_which_they_happened() {
    let code = "import os\nhere = os.getcwd()\nfor number in range(200):\n    name = f'{here}/x{number}.pyc'\n    open(name, 'wb').close()\n    open(name, 'rb').close()\n    os.unlink(name)\n";
    let env = prepare(code, 0);
    let run = run(&env, true);
    let files = run.seen.files();
    let own = files
        .iter()
        .filter(|file| file.path.ends_with(b".pyc") && file.path.starts_with(env.work().as_os_str().as_bytes()));
    let steps: Vec<_> = own.filter(|file| !file.path.windows(7).any(|part| part == b"pycache")).collect();
    assert_eq!(steps.len(), 600);
    for (number, three) in steps.chunks(3).enumerate() {
        let reads = |flags: i32| flags & libc::O_ACCMODE == libc::O_RDONLY;
        let ops = [three[0].op, three[1].op, three[2].op];
        assert!(
            matches!(ops, [FileOp::Open { flags }, FileOp::Open { flags: second }, FileOp::Unlink { dir: false }]
                if !reads(flags) && reads(second)),
            "{number}: {ops:?}"
        );
        assert!(three[1].signature.is_some(), "{number}");
    }
    assert!(run.seen.events().iter().all(|event| !matches!(event, Event::Gap(_))));
}

#[test]
fn who_has_the_loader_put_something_before_the_c_library_keeps_it() {
    let code = "import os\nopen('said', 'w').write(repr(os.environ.get('LD_PRELOAD')) + str('nbpack-preload' in open('/proc/self/maps').read()))\n";
    for (variable, expected) in [(None, "NoneTrue"), (Some(""), "''False"), (Some("libm.so.6"), "'libm.so.6'False")] {
        let env = prepare(code, 0);
        let mut variables = vec![("PATH".into(), "/usr/bin:/bin".into()), ("HOME".into(), env.work().into())];
        variables.extend(variable.map(|value| ("LD_PRELOAD".into(), value.into())));
        let argv = vec![any_python().unwrap().into(), "program.py".into()];
        let launch = Launch { argv, env: variables, cwd: env.work() };
        let sink = std::sync::Arc::new(crate::capture::Collected::default());
        let before = std::sync::Arc::new(crate::capture::Snapshots::default());
        let kernel = nbpack::capture::launch(launch, options(), sink, before).unwrap();
        assert_eq!(kernel.wait().unwrap(), 0);
        assert_eq!(std::fs::read_to_string(env.work().join("said")).unwrap(), expected);
    }
}
