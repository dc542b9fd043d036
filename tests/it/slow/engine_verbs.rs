//! `--engine`: a bundle is restored and run by the container engine that a person prefers.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::support::{self, TestEnv, docker::Docker, program};

const APP: &str = "import http.server, sys\n\
    http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()\n";

/// The plain user of the tests that run as root.
const NOBODY: u32 = 65534;

/// Where an engine is used from.
struct Desk {
    env: TestEnv,
    engine: &'static str,
    /// Goes before the program: what makes this process the user of a rootless engine.
    below: Vec<String>,
    python: PathBuf,
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Desk {
    /// A recorded notebook with data and an app, exported as `b.nbpack`.
    fn new(engine: &'static str, distributions: &[&str]) -> Option<Self> {
        let python = support::python()?;
        let env = TestEnv::new();
        env.small_environment(&python, &[&["ipykernel", "pandas"], distributions].concat());
        std::fs::write(env.work().join("a.csv"), "a,b\n1,2\n").unwrap();
        std::fs::write(env.work().join("app.py"), APP).unwrap();
        let cells = ["import http.server\nopen('app.py').close()\nyear = 2000", "print(open('a.csv').read(), 6 * 7)"];
        env.record(&python, "nb.ipynb", &cells);
        env.nbpack_ok(&["export", "nb.ipynb", "-o", "b.nbpack"]);
        std::fs::create_dir(env.work().join("given")).unwrap();
        std::fs::write(env.work().join("given/in"), "given").unwrap();
        Some(Self { env, engine, below: Vec::new(), python })
    }

    fn bin(&self) -> PathBuf {
        self.env.path().join("bin")
    }

    /// An engine's client of this test.
    fn put(&self, script: &str) {
        std::fs::create_dir_all(self.bin()).unwrap();
        let path = self.bin().join(self.engine);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The program, copied to where an engine's daemon sees it.
    fn nbpack(&self) -> PathBuf {
        let own = self.env.path().join("nbpack");
        if !own.exists() {
            std::fs::copy(program(), &own).unwrap();
        }
        own
    }

    fn command(&self, program: &Path) -> Command {
        let mut words = self.below.clone();
        words.push(program.to_str().unwrap().to_owned());
        let mut command = self.env.command(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", self.bin().display()));
        command
    }

    /// `nbpack VERB --engine ENGINE …`.
    fn verb(&self, verb: &str, args: &[&str]) -> Command {
        let mut command = self.command(&self.nbpack());
        command.args([verb, "--engine", self.engine]).args(args);
        command
    }

    fn said(&self, verb: &str, args: &[&str]) -> String {
        let output = self.verb(verb, args).output().unwrap();
        assert!(output.status.success(), "{verb} {args:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn ask(&self, args: &[&str]) -> String {
        let output = self.command(&self.bin().join(self.engine)).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Waits until the engine runs nothing any more.
    fn assert_nothing_runs(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.ask(&["ps", "-q"]).trim().is_empty() {
            assert!(Instant::now() < deadline, "a container stayed: {}", self.ask(&["ps"]));
            std::thread::yield_now();
        }
    }

    fn runs_commands(&self) {
        let script = "import os, pandas\nprint(pandas.read_csv('a.csv').sum().sum(), os.listdir('/sys/class/net'), os.listdir('/given'))\n\
            open('/given/out', 'w').write('made')\nopen('mine', 'w').write('x')\n\
            print(os.statvfs('/dev/shm').f_blocks * os.statvfs('/dev/shm').f_frsize > 64 << 20)";
        let volume = format!("{}:/given", self.env.work().join("given").display());
        let said = self.said("run", &["b.nbpack", "-v", &volume, "--", "python", "-c", script]);
        assert_eq!(said, "3 ['lo'] ['in']\nTrue\n");
        let made = self.env.work().join("given/out");
        assert_eq!(std::fs::read_to_string(&made).unwrap(), "made");
        let mode = "import os; print(oct(os.stat('/given/in').st_mode)); open('/given/in', 'w')";
        let read_only = self.verb("run", &["b.nbpack", "-v", &format!("{volume}:ro"), "--", "python", "-c", mode]);
        let output = { read_only }.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains("Read-only file system"), "{}", text(&output));
        let output = self.verb("run", &["b.nbpack", "--", "sh", "-c", "exit 7"]).output().unwrap();
        assert_eq!(output.status.code(), Some(7), "{}", text(&output));
    }

    /// The image is there: what is in the file does not matter any more.
    fn loads_once(&self) {
        let file = self.env.work().join("b.nbpack");
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        let whole = bytes[middle];
        bytes[middle] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(self.said("run", &["b.nbpack", "--", "python", "-c", "print(1)"]), "1\n");
        let images = self.ask(&["images", "-q", "--no-trunc"]);
        self.ask(&["image", "rm", images.lines().next().unwrap()]);
        let refused = self.verb("run", &["b.nbpack", "--", "true"]).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
        assert!(text(&refused).contains("is damaged"), "{}", text(&refused));
        assert_eq!(self.ask(&["images", "-q"]).trim(), "", "a damaged bundle came in");
        bytes[middle] = whole;
        std::fs::write(&file, &bytes).unwrap();
    }

    fn runs_a_job(&self) {
        let said = self.said("batch", &["b.nbpack", "-p", "year=2026", "-o", "done.ipynb"]);
        assert!(said.contains("done.ipynb"), "{said}");
        let done = std::fs::read_to_string(self.env.work().join("done.ipynb")).unwrap();
        assert!(done.contains("year = 2026") && done.contains("1,2\\n"), "{done}");
        let output = self.verb("batch", &["b.nbpack", "-p", "year=1/0", "-o", "failed.ipynb"]).output().unwrap();
        assert!(output.status.success(), "text is no code: {}", text(&output));
    }

    /// An app that listens on 127.0.0.1 inside answers on a port of this machine, without a network.
    fn serves_an_app(&self) {
        let port = free_port();
        let word = port.to_string();
        let args = ["b.nbpack", "--port", &word, "--", "python", "app.py", &word];
        let mut child = self.verb("app", &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let answer = wait_for_answer(port, "/a.csv");
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap();
        assert!(answer.ends_with("a,b\n1,2\n"), "{answer}");
        self.assert_nothing_runs();
    }

    fn serves_jupyter(&self) {
        let port = free_port();
        let log = self.env.path().join("lab.log");
        let mut command = self.verb("lab", &["b.nbpack", "--no-browser", "--port", &port.to_string()]);
        command.env("JUPYTER_TOKEN", "t0ken").stdout(std::fs::File::create(&log).unwrap());
        let mut child = command.stderr(std::fs::File::options().append(true).open(&log).unwrap()).spawn().unwrap();
        let refused = wait_for_answer(port, "/api/kernels");
        let page = get(port, "/lab?token=t0ken");
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap();
        let said = std::fs::read_to_string(&log).unwrap();
        assert!(refused.contains(" 403 "), "{refused}\n{said}");
        assert!(page.contains("JupyterLab"), "{page}\n{said}");
        self.assert_nothing_runs();
    }

    /// Its kernel in the person's own Jupyter: results, an interrupt, a restart that kills, and nothing left.
    fn restores_a_kernel(&self) {
        let volume = format!("{}:/given", self.env.work().join("given").display());
        let said = self.said("restore", &["b.nbpack", "--user", "--name", "mine", "--force", "-v", &volume]);
        assert!(said.contains(&format!(", {})", self.engine)), "the engine is in the kernel's name: {said}");
        assert!(said.contains(&format!("{} holds its own copy (", self.engine)), "it takes the disk twice: {said}");
        let used = self.command(&self.nbpack()).args(["du"]).output().unwrap();
        assert!(text(&used).contains(&format!("mine in {}\n", self.engine)), "{}", text(&used));
        let mut drive = self.command(&self.python);
        drive.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine_kernel.py"));
        drive.args(["nbpack-mine", "import os; print(open('a.csv').read(), os.listdir('/sys/class/net'))"]);
        let output = drive.arg("print(open('/given/in').read())").output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let saw: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let first = "a,b\n1,2\n ['lo']\n";
        assert_eq!(
            saw["results"],
            serde_json::json!([first, "given\n", "KeyboardInterrupt", first]),
            "{}",
            text(&output)
        );
        assert!(saw["interrupted"].as_f64().unwrap() < 5.0, "{saw}");
        self.assert_nothing_runs();
        // What could not be seen is said in the record.
        let sessions = self.command(&self.nbpack()).args(["sessions", "--json"]).output().unwrap();
        let sessions: serde_json::Value = serde_json::from_slice(&sessions.stdout).unwrap();
        let id = sessions[0]["id"].as_str().unwrap();
        let shown = self.command(&self.nbpack()).args(["show", id]).output().unwrap();
        assert!(text(&shown).contains("the kernel runs in a container engine"), "{}", text(&shown));
        // By its name too, and when it is removed the engine has nothing of it.
        assert_eq!(self.said("run", &["mine", "--", "python", "-c", "print(2)"]), "2\n");
        let removed = self.command(&self.nbpack()).args(["rm", "mine"]).output().unwrap();
        assert!(removed.status.success(), "{}", text(&removed));
        assert_eq!(self.ask(&["images", "-q"]).trim(), "");
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Without root podman keeps a process that holds its namespaces.
        let pause = self.env.path().join("run/libpod/tmp/pause.pid");
        let pid = std::fs::read_to_string(pause).ok().and_then(|text| text.trim().parse().ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap_or_default();
        }
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn get(port: u16, path: &str) -> String {
    let mut answer = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        if write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").is_ok() {
            stream.read_to_end(&mut answer).unwrap_or_default();
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn wait_for_answer(port: u16, path: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(150);
    loop {
        let answer = get(port, path);
        if answer.starts_with("HTTP/") || Instant::now() > deadline {
            return answer;
        }
        std::thread::yield_now();
    }
}

#[test]
fn docker_runs_what_it_is_given_and_keeps_nothing() {
    let Some(root) = support::other_root() else { return };
    let Some(desk) = Desk::new("docker", &["jupyterlab"]) else { return };
    let Some(docker) = Docker::start(&desk.env, Some(&root)) else { return };
    docker.put_client(&desk.bin());
    desk.runs_commands();
    desk.loads_once();
    desk.runs_a_job();
    desk.serves_an_app();
    desk.serves_jupyter();
    desk.restores_a_kernel();
}

/// A podman with its own storage. Its usual runtime refuses machines with both kinds of control groups, and without
/// CAP_SYS_RESOURCE no limit can be raised.
fn podman(desk: &Desk, storage: &Path) -> bool {
    if !Path::new("/usr/bin/podman").exists() || !Path::new("/usr/sbin/runc").exists() {
        support::skipped("no podman with runc");
        return false;
    }
    let conf = desk.env.path().join("containers.conf");
    let limits =
        "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n[engine]\nruntime = \"runc\"\n";
    std::fs::write(&conf, format!("{limits}cgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n")).unwrap();
    desk.put(&format!(
        "#!/bin/sh\nexport CONTAINERS_CONF={}\nexec /usr/bin/podman --storage-driver overlay --root {1}/storage --runroot {1}/run \"$@\"\n",
        conf.display(),
        storage.display()
    ));
    true
}

#[test]
fn podman_as_root_runs_what_it_is_given() {
    if !rustix::process::geteuid().is_root() {
        return support::skipped("not root");
    }
    let Some(desk) = Desk::new("podman", &[]) else { return };
    if !podman(&desk, &desk.env.path().join("podman")) {
        return;
    }
    desk.runs_commands();
    desk.runs_a_job();
    desk.serves_an_app();
    desk.restores_a_kernel();
}

#[test]
fn podman_without_root_runs_it_as_the_recorded_user_and_writes_as_this_one() {
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/bin/newuidmap").exists() {
        return support::skipped("not root, or no newuidmap: no account with subordinate ids can be made");
    }
    let Some(mut desk) = Desk::new("podman", &[]) else { return };
    let storage = desk.env.path().join("podman");
    if !podman(&desk, &storage) {
        return;
    }
    std::fs::write(desk.env.path().join("subids"), "nobody:200000:65536\n").unwrap();
    std::fs::create_dir(&storage).unwrap();
    desk.nbpack();
    let mut own = Command::new("chown");
    own.args(["-R", &format!("{NOBODY}:{NOBODY}")]).arg(desk.env.path());
    assert!(own.status().unwrap().success());
    std::fs::set_permissions(desk.env.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!(
        "mount --bind {0} /etc/subuid; mount --bind {0} /etc/subgid; \
         exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups \"$@\"",
        desk.env.path().join("subids").display()
    );
    let below = ["unshare", "--mount", "--propagation=private", "sh", "-ec", &script, "sh"];
    desk.below = below.map(str::to_owned).to_vec();
    desk.runs_commands();
    let made = std::fs::metadata(desk.env.work().join("given/out")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), NOBODY);
    let script = "import os; print(os.getuid(), os.getgid(), os.environ['HOME'])";
    let run = desk.said("run", &["b.nbpack", "--", "python", "-c", script]);
    assert_eq!(run, format!("0 0 {}\n", desk.env.path().join("home").display()), "the recorded user was root");
    desk.serves_an_app();
    desk.restores_a_kernel();
}
