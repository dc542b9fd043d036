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
struct Collected(Mutex<Vec<Event>>);

impl EventSink for Collected {
    fn record(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Collected {
    fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    fn files(&self) -> Vec<FileAccess> {
        self.events().into_iter().filter_map(|event| if let Event::File(file) = event { Some(file) } else { None }).collect()
    }

    fn paths(&self) -> BTreeSet<Vec<u8>> {
        self.files().into_iter().map(|file| file.path).collect()
    }

    fn gaps(&self, reason: &str) -> Vec<nbpack::event::Gap> {
        let is = |event| if let Event::Gap(gap) = event { Some(gap) } else { None };
        self.events().into_iter().filter_map(is).filter(|gap| gap.reason == reason).collect()
    }

    fn mechanism(&self) -> String {
        let is = |event| if let Event::Coverage { mechanism, .. } = event { Some(mechanism) } else { None };
        self.events().into_iter().find_map(is).unwrap()
    }
}

/// What a file held when it was about to be changed.
#[derive(Default)]
struct Snapshots(Mutex<Vec<(PathBuf, Vec<u8>)>>);

impl BeforeChange for Snapshots {
    fn before_change(&self, _access: &FileAccess, host_path: &Path) {
        self.0.lock().unwrap().push((host_path.to_owned(), std::fs::read(host_path).unwrap()));
    }
}

/// A kernel that was started, with what was seen of it.
struct Run {
    kernel: Arc<dyn KernelProcess>,
    seen: Arc<Collected>,
    snapshots: Arc<Snapshots>,
}

fn options() -> Options {
    Options::new(support::program().to_owned())
}

fn start(argv: &[&str], cwd: &Path, options: Options) -> Run {
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
fn run(argv: &[&str], cwd: &Path) -> (i32, Run) {
    let run = start(argv, cwd, options());
    let status = run.kernel.wait().unwrap();
    assert_eq!(run.seen.mechanism(), "notify", "the tests of the capture need seccomp user notification");
    (status, run)
}

const SH: &str = "/bin/sh";

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
    let processes: Vec<_> = run.seen.events().into_iter().filter_map(|event| if let Event::Process(p) = event { Some(p) } else { None }).collect();
    let cat = processes.iter().find(|process| process.exe.ends_with(b"/cat")).unwrap();
    assert_eq!(cat.argv, [b"cat".to_vec(), b"in.txt".to_vec()]);
    assert_eq!(cat.ppid, run.kernel.pid());
    assert_eq!(cat.pid, read.pid);
}
