//! Promises of `kernel`, kept with real kernels and Jupyter's own client.
//!
//! The proxy runs in a process of its own: this test binary, started as a kernel by `jupyter_client` with
//! [`stand_in`] as the only test to run.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use nbpack::{
    event::{Event, EventSink},
    jupyter::{connection, kernelspec::InterruptMode, wire},
    kernel::{self, Config, MagicAnswer, Magics, Panel, SignalMode},
};

use super::support;

/// Writes one line for each event: what a recording would be made of.
struct Lines(Mutex<fs::File>);

impl EventSink for Lines {
    fn record(&self, event: Event) {
        let line = match event {
            Event::Message(message) => {
                let header =
                    message.frames.first().and_then(|header| wire::parse_header(header).ok()).unwrap_or_default();
                let bytes: usize = message.frames.iter().map(|frame| frame.len()).sum();
                format!("{:?} {:?} {} {bytes}", message.channel, message.direction, header.msg_type)
            }
            Event::KernelStarted { pid, .. } => format!("started {pid}"),
            Event::KernelEnded { status, .. } => format!("ended {status}"),
            other => format!("{other:?}"),
        };
        writeln!(self.0.lock().unwrap(), "{line}").unwrap();
    }
}

struct Echo;

impl Magics for Echo {
    fn answer(&self, lines: &str) -> MagicAnswer {
        MagicAnswer { text: format!("magic: {lines}") }
    }
}

impl Panel for Echo {
    fn answer(&self, request: &serde_json::Value, say: &mut dyn FnMut(serde_json::Value) -> bool) {
        for word in ["first", "last"] {
            say(serde_json::json!({"asked": request, "word": word}));
        }
    }
}

/// Not a test by itself: the proxy kernel of the other tests.
#[test]
#[expect(clippy::exit, reason = "the status of the kernel is this process's status")]
fn stand_in() {
    let Some(front) = std::env::var_os("NBPACK_TEST_FRONT") else { return };
    let work = PathBuf::from(std::env::var_os("NBPACK_TEST_WORK").unwrap());
    let argv: Vec<String> = serde_json::from_slice(&fs::read(work.join("argv.json")).unwrap()).unwrap();
    let record = fs::OpenOptions::new().create(true).append(true).open(work.join("record.txt")).unwrap();
    let inner =
        tempfile::Builder::new().prefix("in").permissions(fs::Permissions::from_mode(0o700)).tempdir_in(&work).unwrap();
    fs::write(work.join("proxy.pid"), std::process::id().to_string()).unwrap();
    let container = work.join("container").exists();
    let config = Config {
        front: connection::read(Path::new(&front)).unwrap(),
        kernel_name: "python3".to_owned(),
        argv: argv.into_iter().map(Into::into).collect(),
        env: std::env::vars_os().collect(),
        cwd: work.clone(),
        inner_dir: inner.path().to_owned(),
        inner_dir_inside: inner.path().to_owned(),
        inner_transport: work.join("tcp").exists().then_some(connection::Transport::Tcp),
        signal_mode: if container { SignalMode::Container } else { SignalMode::Host },
        interrupt_mode: InterruptMode::Signal,
        magics: Some(Arc::new(Echo)),
        before_end: work.join("before").exists().then(|| {
            let work = work.clone();
            Arc::new(move || look_at_the_kernel(&work)) as kernel::BeforeEnd
        }),
        panel: Some(Arc::new(Echo)),
    };
    let status = kernel::proxy::run(config, Box::new(kernel::launch::bare), Arc::new(Lines(Mutex::new(record))));
    drop(inner);
    std::process::exit(i32::from(kernel::die_as(status.unwrap())));
}

/// What is done before the kernel's end: says whether it still lives after half a second.
fn look_at_the_kernel(work: &Path) {
    std::thread::park_timeout(std::time::Duration::from_millis(500));
    let pid = fs::read_to_string(work.join("kernel.pid")).unwrap();
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let lives = state.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']));
    fs::write(work.join("looked"), if lives { "lives" } else { "gone" }).unwrap();
}

const PRELUDE: &str = r#"
import os, queue, signal, sys, time, json
from jupyter_client.manager import KernelManager
WORK = os.environ["NBPACK_TEST_WORK"]
def record(): return open(WORK + "/record.txt").read().splitlines()
def start(kernel_name="proxied", **more):
    km = KernelManager(kernel_name=kernel_name, **more)
    km.start_kernel()
    kc = km.client()
    kc.start_channels()
    kc.wait_for_ready(timeout=60)
    return km, kc
def run(kc, code, timeout=60, **more):
    "All iopub messages of an execution, and its reply."
    outputs = []
    reply = kc.execute_interactive(code, timeout=timeout, output_hook=outputs.append, **more)
    return outputs, reply
def text(outputs):
    return "".join(o["content"]["text"] for o in outputs if o["msg_type"] == "stream" and o["content"]["name"] == "stdout")
def gone(pid):
    try: return open(f"/proc/{pid}/stat").read().split(")")[1].split()[0] in "ZX"
    except OSError: return True
def until(what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what(): return
        time.sleep(0.01)
    raise AssertionError("did not happen in time")
"#;

/// Runs a Python script with Jupyter's client; kernel `proxied` is ours before a real ipykernel.
fn drive(prepare: impl FnOnce(&Path), script: &str) {
    let Some(python) = support::python() else { return };
    let env = support::TestEnv::new();
    let work = env.work();
    let argv = serde_json::json!([python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]);
    fs::write(work.join("argv.json"), argv.to_string()).unwrap();
    let kernels = work.join("kernels/proxied");
    fs::create_dir_all(&kernels).unwrap();
    let start = "NBPACK_TEST_FRONT=\"$1\" exec \"$2\" kernel::stand_in --exact --nocapture --test-threads=1 >/dev/null";
    let spec = serde_json::json!({
        "argv": ["/bin/sh", "-c", start, "sh", "{connection_file}", std::env::current_exe().unwrap()],
        "display_name": "Proxied", "language": "python",
    });
    fs::write(kernels.join("kernel.json"), spec.to_string()).unwrap();
    prepare(&work);
    let output = env
        .command(&python)
        .args(["-c", &format!("{PRELUDE}\n{script}\nprint('WENT WELL')")])
        .env("JUPYTER_PATH", &work)
        .env("NBPACK_TEST_WORK", &work)
        .env("IPYTHONDIR", work.join("ipython"))
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        out.contains("WENT WELL"),
        "{out}\n{err}\n{}",
        fs::read_to_string(work.join("record.txt")).unwrap_or_default()
    );
}

#[test]
fn a_cell_runs_and_everything_said_is_recorded() {
    drive(
        |_| {},
        r#"
km, kc = start()
outputs, reply = run(kc, "print('é', 1+1)\n3*4")
assert text(outputs) == "é 2\n", outputs
assert reply["content"]["execution_count"] == 1
assert [o["msg_type"] for o in outputs] == ["status", "execute_input", "stream", "execute_result", "status"]
# It knows that it has a manager, and does not look for it.
assert text(run(kc, "import os; print(os.environ['JPY_PARENT_PID'])")[0]) == "1\n"
assert kc.is_alive()
kc.shutdown()
until(lambda: not km.is_alive())
lines = record()
for line in ["Shell ToKernel kernel_info_request", "Shell ToFrontend execute_reply", "Iopub ToFrontend execute_result",
             "Control ToKernel shutdown_request", "Control ToFrontend shutdown_reply"]:
    assert any(l.startswith(line + " ") for l in lines), line
assert lines[0].startswith("started ") and lines[-1] == "ended 0", lines
assert not [f for f in os.listdir(WORK) if f.startswith("in")], "inner directory left"
"#,
    );
}

/// Counts how often an interrupt arrives: one `KeyboardInterrupt`, and none in the second after it.
const INTERRUPT: &str = r#"
km, kc = start()
code = """
import time
seen = 0
for _ in range(2):
    try:
        if not seen: print("waiting", flush=True)
        time.sleep(30 if not seen else 1)
    except KeyboardInterrupt:
        seen += 1
print("seen", seen)
"""
done = []
def hook(o):
    done.append(o)
    if text([o]) == "waiting\n": km.interrupt_kernel()
kc.execute_interactive(code, timeout=60, output_hook=hook)
assert text(done) == "waiting\nseen 1\n", text(done)
"#;

#[test]
fn an_interrupt_arrives_once_on_the_host() {
    drive(|_| {}, &format!("{INTERRUPT}\nkm.shutdown_kernel(now=True)"));
}

#[test]
fn an_interrupt_arrives_once_in_a_session_of_its_own() {
    drive(
        |work| {
            let argv: Vec<String> = serde_json::from_slice(&fs::read(work.join("argv.json")).unwrap()).unwrap();
            let argv: Vec<String> = ["/usr/bin/setsid".to_owned()].into_iter().chain(argv).collect();
            fs::write(work.join("argv.json"), serde_json::to_vec(&argv).unwrap()).unwrap();
            fs::write(work.join("container"), "").unwrap();
        },
        &format!("{INTERRUPT}\nkm.shutdown_kernel(now=True)"),
    );
}

#[test]
fn an_interrupt_by_message_arrives_once() {
    drive(
        |work| {
            let path = work.join("kernels/proxied/kernel.json");
            let mut spec: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            spec["interrupt_mode"] = "message".into();
            fs::write(path, spec.to_string()).unwrap();
        },
        &format!("{INTERRUPT}\nkm.shutdown_kernel(now=True)"),
    );
}

#[test]
fn questions_comms_and_two_clients_come_through() {
    drive(
        |_| {},
        r#"
km, kc = start()
outputs = []
reply = kc.execute_interactive("import getpass\nx = input('name? ')\ny = getpass.getpass('pass? ')\nprint(x, len(y))",
    allow_stdin=True, timeout=60, output_hook=outputs.append,
    stdin_hook=lambda m: kc.input("secret" if m["content"]["password"] else "Ada"))
assert text(outputs) == "Ada 6\n", outputs

run(kc, """
def target(comm, message):
    comm.on_msg(lambda m: comm.send({"got": [bytes(b).hex() for b in m["buffers"]]}, buffers=[b"\\xff\\x00back"]))
get_ipython().kernel.comm_manager.register_target("t", target)
""")
kc.shell_channel.send(kc.session.msg("comm_open", {"comm_id": "c1", "target_name": "t", "data": {}}))
kc.session.send(kc.shell_channel.socket, "comm_msg", {"comm_id": "c1", "data": {}}, buffers=[b"\xfe\x00", b""])
def comm_message():
    while True:
        message = kc.get_iopub_msg(timeout=20)
        if message["msg_type"] == "comm_msg": return message
back = comm_message()
assert back["content"]["data"] == {"got": ["fe00", ""]}, back
assert bytes(back["buffers"][0]) == b"\xff\x00back"

other = km.client()
other.start_channels()
other.wait_for_ready(timeout=30)
outputs, _ = run(other, "print(x)")
assert text(outputs) == "Ada\n"
seen = []
while True:
    message = kc.get_iopub_msg(timeout=20)
    if message["parent_header"].get("session") != other.session.session: continue
    seen.append(message["msg_type"])
    if seen[-2:] == ["stream", "status"]: break
# Replies go to who asked.
def leftovers(client):
    found = []
    while True:
        try: found.append(client.get_shell_msg(timeout=0.3))
        except queue.Empty: return found
assert all(m["parent_header"]["session"] == kc.session.session for m in leftovers(kc))
assert all(m["parent_header"]["session"] == other.session.session for m in leftovers(other))
km.shutdown_kernel()
"#,
    );
}

#[test]
fn the_panel_is_answered_by_the_proxy_while_a_cell_runs() {
    drive(
        |_| {},
        r#"
km, kc = start()
run(kc, "import time, threading")
busy = kc.execute("print('running', flush=True)\nfor _ in range(600): time.sleep(0.05)")
while kc.get_iopub_msg(timeout=20)["msg_type"] != "stream": pass
def send(kind, **content):
    message = kc.session.msg(kind, {"comm_id": "p", **content})
    kc.shell_channel.send(message)
    return message["header"]["msg_id"]
begin = time.monotonic()
send("comm_open", target_name="nbpack", data={})
asked = send("comm_msg", data={"ask": "status"})
answers = [kc.get_iopub_msg(timeout=20) for _ in range(2)]
assert time.monotonic() - begin < 2, "not while the cell runs"
assert [a["msg_type"] for a in answers] == ["comm_msg", "comm_msg"], answers
assert [a["content"] for a in answers] == [
    {"comm_id": "p", "data": {"asked": {"ask": "status"}, "word": word}} for word in ("first", "last")], answers
assert all(a["parent_header"]["msg_id"] == asked for a in answers)
# A frontend takes another session for a restart.
kernels_own = {a["header"]["session"] for a in answers}
send("comm_close", data={})
time.sleep(0.2)
km.interrupt_kernel()
while True:
    message = kc.get_iopub_msg(timeout=20)
    assert not message["msg_type"].startswith("comm_"), message
    kernels_own.add(message["header"]["session"])
    if message["msg_type"] == "error": break
assert len(kernels_own) == 1, kernels_own
# After it is closed, and with another target, it is the kernel's: it closes what it does not know.
send("comm_open", target_name="unknown", data={})
while kc.get_iopub_msg(timeout=20)["msg_type"] != "comm_close": pass
lines = record()
assert [l.split(" ")[2] for l in lines if "comm_" in l] == ["comm_open", "comm_close"], [l for l in lines if "comm_" in l]
km.shutdown_kernel(now=True)
"#,
    );
}

#[test]
fn every_subscriber_is_welcomed() {
    drive(
        |_| {},
        r#"
import zmq
km, kc = start()
def subscriber(*topics):
    socket = zmq.Context.instance().socket(zmq.SUB)
    for topic in topics: socket.subscribe(topic)
    socket.connect(f"tcp://127.0.0.1:{km.iopub_port}")
    return socket
def first(socket):
    assert socket.poll(10000), "nothing came"
    topic, message = kc.session.feed_identities(socket.recv_multipart())
    return kc.session.deserialize(message)
for _ in range(3):
    message = first(subscriber(b""))
    assert message["msg_type"] == "iopub_welcome" and message["content"] == {"subscription": ""}, message
for _ in range(2):
    message = first(subscriber(b"kernel."))
    assert message["content"] == {"subscription": "kernel."}, message
narrow = subscriber(b"nothing begins so")
assert first(narrow)["msg_type"] == "iopub_welcome"
run(kc, "print(1)")
assert not narrow.poll(300)
km.shutdown_kernel()
"#,
    );
}

#[test]
fn magics_answer_in_their_turn_and_do_not_count() {
    drive(
        |_| {},
        r#"
km, kc = start()
assert run(kc, "1")[1]["content"]["execution_count"] == 1
outputs, reply = run(kc, "%nbpack status\n\n%nbpack note hello")
assert text(outputs) == "magic: %nbpack status\n\n%nbpack note hello\n", outputs
assert [o["msg_type"] for o in outputs] == ["status", "stream", "status"], outputs
assert reply["content"]["status"] == "ok" and reply["content"]["execution_count"] == 1, reply
assert run(kc, "In[1:]")[1]["content"]["execution_count"] == 2
outputs, _ = run(kc, "print(In[1:])")
assert "nbpack" not in text(outputs), outputs
ids = [kc.execute(code) for code in ("import time; time.sleep(0.5); 1/0", "%nbpack status")]
said, idle = [], set()
while set(ids) - idle:
    message = kc.get_iopub_msg(timeout=20)
    said.append((message["parent_header"]["msg_id"], message["msg_type"]))
    if message["content"].get("execution_state") == "idle": idle.add(message["parent_header"]["msg_id"])
assert (ids[0], "error") in said and (ids[1], "stream") not in said, said
km.shutdown_kernel()
"#,
    );
}

#[test]
fn a_restart_uses_the_same_ports_and_the_kernels_end_is_seen_as_it_was() {
    drive(
        |_| {},
        r#"
km, kc = start()
run(kc, "x = 1")
first = open(WORK + "/proxy.pid").read()
km.restart_kernel()
kc.wait_for_ready(timeout=60)
assert open(WORK + "/proxy.pid").read() != first
_, reply = run(kc, "x")
assert reply["content"]["ename"] == "NameError", reply
for code, status in (("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
                     ("import os; os._exit(7)", 7), ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -11)):
    kc.execute(code)
    until(lambda: km.provisioner.process.poll() is not None)
    assert km.provisioner.process.returncode == status, (km.provisioner.process.returncode, status)
    km.restart_kernel(now=True)
    kc.wait_for_ready(timeout=60)
pid = int(text(run(kc, "import os; print(os.getpid())")[0]))
os.kill(int(open(WORK + "/proxy.pid").read()), signal.SIGKILL)
until(lambda: gone(pid))
km.restart_kernel(now=True)
kc.wait_for_ready(timeout=60)
os.kill(int(open(WORK + "/proxy.pid").read()), signal.SIGTERM)
until(lambda: km.provisioner.process.poll() is not None)
"#,
    );
}

#[test]
fn a_kernel_waits_with_its_end_for_what_must_be_done_before() {
    let script = r#"
for end in (lambda km: km.shutdown_kernel(), lambda km: os.kill(km.provisioner.process.pid, signal.SIGTERM)):
    km, kc = start()
    run(kc, f"import os; open('{WORK}/kernel.pid', 'w').write(str(os.getpid()))")
    pid = int(open(WORK + "/kernel.pid").read())
    end(km)
    until(lambda: os.path.exists(WORK + "/looked") and open(WORK + "/looked").read())
    assert open(WORK + "/looked").read() == "lives"
    until(lambda: gone(pid))
    os.remove(WORK + "/looked")
"#;
    drive(|work| fs::write(work.join("before"), "").unwrap(), script);
}

#[test]
fn a_kernel_whose_manager_was_killed_ends() {
    drive(
        |_| {},
        r#"
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import sys; exec(sys.argv[1])", '''
from jupyter_client.manager import KernelManager
import time
km = KernelManager(kernel_name="proxied"); km.start_kernel()
kc = km.client(); kc.start_channels(); kc.wait_for_ready(timeout=60)
kc.execute_interactive("import os; print(os.getpid())", output_hook=lambda m: m["msg_type"] == "stream" and print(m["content"]["text"], flush=True))
time.sleep(100)
'''], stdout=subprocess.PIPE, text=True)
kernel = int(child.stdout.readline())
proxy = int(open(WORK + "/proxy.pid").read())
child.kill(); child.wait()
until(lambda: gone(kernel) and gone(proxy), 10)
"#,
    );
}

#[test]
fn a_kernel_that_dies_at_start_is_said_at_once_with_its_status() {
    drive(
        |work| {
            fs::write(
                work.join("argv.json"),
                r#"["/bin/sh", "-c", "echo the reason >&2; exit 3", "{connection_file}"]"#,
            )
            .unwrap();
        },
        r#"
import subprocess
from jupyter_client.connect import write_connection_file
path, _ = write_connection_file(WORK + "/c.json")
argv = json.load(open(WORK + "/kernels/proxied/kernel.json"))["argv"]
begin = time.monotonic()
end = subprocess.run([a.replace("{connection_file}", path) for a in argv], capture_output=True, text=True, timeout=20)
assert end.returncode == 3, end
assert "the reason" in end.stderr and "nbpack: kernel `python3` ended at its start (exit status: 3): /bin/sh -c" in end.stderr, end
assert time.monotonic() - begin < 2
"#,
    );
}

#[test]
fn other_transports_work_in_front_and_inside() {
    drive(
        |work| fs::write(work.join("tcp"), "").unwrap(),
        r#"
km, kc = start(transport="ipc", ip=WORK + "/front socket")
assert text(run(kc, "print(1)")[0]) == "1\n"
inner = [f for f in os.listdir(WORK) if f.startswith("in")][0]
assert json.load(open(f"{WORK}/{inner}/connection.json"))["transport"] == "tcp"
assert kc.is_alive()
km.shutdown_kernel()
# Unsigned messages, as `key = ""` says.
from traitlets.config import Config
km, kc = start(config=Config({"Session": {"key": b""}}))
assert km.session.key == b"" and text(run(kc, "print(2)")[0]) == "2\n"
assert text(run(kc, "%nbpack")[0]) == "magic: %nbpack\n"
km.shutdown_kernel()
"#,
    );
}

#[test]
fn broken_messages_and_peers_harm_nobody_else() {
    drive(
        |_| {},
        r#"
import socket, zmq
km, kc = start()
dealer = zmq.Context.instance().socket(zmq.DEALER)
dealer.connect(f"tcp://127.0.0.1:{km.shell_port}")
for frames in ([b""], [b"<IDS|MSG>"], [b"<IDS|MSG>", b"x", b"{}"], [b"a"] * 300,
               [b"<IDS|MSG>", b"bad signature", b'{"msg_type":"execute_request","msg_id":"f"}', b"{}", b"{}", b'{"code":"x=1"}'],
               [b"<IDS|MSG>", b"", b"\xff\xfe", b"", b"[]", b"\x00%nbpack"], [b"x" * 3000000]):
    dealer.send_multipart(frames)
for port in (km.shell_port, km.iopub_port, km.control_port, km.stdin_port, km.hb_port):
    for hello in (b"GET / HTTP/1.0\r\n\r\n", b"\xff" + b"\0" * 8 + b"\x7f\x03\0NULL" + b"\0" * 48 + b"\x02" + b"\xff" * 8):
        with socket.create_connection(("127.0.0.1", port)) as raw: raw.sendall(hello)
hanging = socket.create_connection(("127.0.0.1", km.shell_port))
assert text(run(kc, "print('alive')")[0]) == "alive\n"
_, reply = run(kc, "x")
assert reply["content"]["status"] == "error", "an unsigned request was run"
km.shutdown_kernel()
"#,
    );
}

#[test]
fn large_buffers_come_through_and_memory_is_given_back() {
    drive(
        |_| {},
        r#"
km, kc = start()
kc.iopub_channel.socket.rcvhwm = 0
def status(key):
    text = open(f"/proc/{open(WORK + '/proxy.pid').read()}/status").read()
    return int(text.split(key + ":")[1].split()[0]) >> 10
run(kc, "from comm import create_comm\nc = create_comm(target_name='x')\nbig = bytes(200_000_000)")
bytes_seen = 0
def hook(message):
    global bytes_seen
    bytes_seen += sum(len(b) for b in message["buffers"])
kc.execute_interactive("c.send({}, buffers=[big])", timeout=120, output_hook=hook)
assert bytes_seen == 200_000_000
until(lambda: status("VmRSS") < 40)
assert status("VmHWM") < 260, status("VmHWM")
print("rss", status("VmRSS"), "peak", status("VmHWM"))
km.shutdown_kernel()
"#,
    );
}

#[test]
fn a_client_that_does_not_read_costs_bounded_memory_and_the_others_nothing() {
    drive(
        |_| {},
        r#"
import zmq
km, kc = start()
def rss():
    text = open(f"/proc/{open(WORK + '/proxy.pid').read()}/status").read()
    return int(text.split("VmHWM:")[1].split()[0]) >> 10
deaf = zmq.Context.instance().socket(zmq.SUB)
deaf.rcvhwm = 1
deaf.subscribe(b"")
deaf.connect(f"tcp://127.0.0.1:{km.iopub_port}")
run(kc, "from IPython.display import display\nd = {'text/plain': 'x' * 100_000}")
count = 0
def hook(message):
    global count
    count += message["msg_type"] == "display_data"
kc.iopub_channel.socket.rcvhwm = 0
for _ in range(7):  # a client that is slow for a moment is never further behind than the bound
    kc.execute_interactive("for _ in range(1000): display(d, raw=True)", timeout=120, output_hook=hook)
assert count == 7000, count
# 700 MB went by: at most 256 MB wait for each of the two clients.
assert rss() < 600, rss()
km.shutdown_kernel()
"#,
    );
}

/// Is killed when the test ends, however it ends.
struct Proxy(std::process::Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        // Where the test went well it has ended already.
        self.0.kill().unwrap_or_default();
        self.0.wait().unwrap();
    }
}

/// Starts the stand-in as a child, with the sockets of its front in `work`.
fn proxy_in(work: &Path, python: &Path) -> (Proxy, connection::Connection) {
    let argv = serde_json::json!([python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]);
    fs::write(work.join("argv.json"), argv.to_string()).unwrap();
    let key = wire::SigningKey::new("a key", "hmac-sha256").unwrap();
    let front = connection::Connection::ipc(work, "front", key, "hmac-sha256");
    front.write(&work.join("front.json")).unwrap();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["kernel::stand_in", "--exact", "--nocapture", "--test-threads=1"])
        .env("NBPACK_TEST_FRONT", work.join("front.json"))
        .env("NBPACK_TEST_WORK", work)
        .env("IPYTHONDIR", work.join("ipython"))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    (Proxy(child), front)
}

#[test]
fn our_own_client_runs_cells_answers_questions_and_sees_the_kernels_end() {
    use nbpack::kernel::client::{Client, ClientError};
    use serde_json::json;
    use std::time::Duration;
    let Some(python) = support::python() else { return };
    let env = support::TestEnv::new();
    let (mut child, front) = proxy_in(&env.work(), &python);
    let code = |code: &str| json!({"code": code, "silent": false, "store_history": true, "allow_stdin": true});
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(60));
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        // The front is bound before the kernel starts, but the process has to come so far.
        let begin = std::time::Instant::now();
        while !front.endpoint(connection::Socket::Heartbeat).is_some_and(|place| match place {
            connection::Endpoint::Ipc(path) => path.exists(),
            connection::Endpoint::Tcp(_) => true,
        }) {
            assert!(begin.elapsed() < long, "the front was not bound");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut client = Client::connect(&front).await.unwrap();
        client.wait_ready(long).await.unwrap();
        let silent = |_: &str, _: bool| None;
        let ok = client.execute(code("6*7"), json!({"cellId": "c"}), silent, long).await.unwrap();
        assert_eq!(ok.reply.unwrap()["execution_count"], 1);
        let asked = "import getpass\nassert (input('a?'), getpass.getpass('b?')) == ('yes', 'pw')";
        let mut questions = Vec::new();
        let answer = |prompt: &str, password: bool| {
            questions.push((prompt.to_owned(), password));
            Some(if password { "pw" } else { "yes" }.to_owned())
        };
        let answered = client.execute(code(asked), json!({}), answer, long).await.unwrap();
        assert_eq!(answered.reply.unwrap()["status"], "ok");
        assert_eq!(questions, [("a?".to_owned(), false), ("b?".to_owned(), true)]);
        let unanswered = client.execute(code("input()"), json!({}), silent, long).await.unwrap();
        assert!(unanswered.unanswered && !unanswered.timed_out);
        assert_eq!(unanswered.reply.unwrap()["ename"], "KeyboardInterrupt");
        let late = client.execute(code("import time; time.sleep(30)"), json!({}), silent, short).await.unwrap();
        assert!(late.timed_out && late.reply.is_none());
        client.interrupt().await.unwrap();
        // What is sent while the kernel still drops its queue is aborted.
        client.wait_ready(long).await.unwrap();
        let dead = client.execute(code("import os; os._exit(3)"), json!({}), silent, long).await;
        assert!(matches!(dead, Err(ClientError::Ended)), "{dead:?}");
    });
    assert_eq!(child.0.wait().unwrap().code(), Some(3));
}

/// A prefix with a space in its name, a `python3` kernelspec and an interpreter that is never run.
fn prefix_with_kernel(env: &support::TestEnv) -> PathBuf {
    let prefix = env.path().join("an environment");
    let spec = prefix.join("share/jupyter/kernels/python3");
    fs::create_dir_all(&spec).unwrap();
    fs::create_dir_all(prefix.join("bin")).unwrap();
    fs::write(prefix.join("bin/python"), "").unwrap();
    let json = serde_json::json!({
        "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3 (ipykernel)", "language": "python", "interrupt_mode": "signal",
        "env": {"A": "${HOME}"},
        "metadata": {"debugger": true, "supported_encryption": ["curve"]}, "kernel_protocol_version": "5.5",
    });
    fs::write(spec.join("kernel.json"), json.to_string()).unwrap();
    fs::write(spec.join("kernel.js"), "// js").unwrap();
    fs::write(spec.join("logo-64x64.png"), "theirs").unwrap();
    prefix
}

#[test]
fn install_puts_a_kernel_beside_the_wrapped_one_and_uninstall_takes_only_ours() {
    let env = support::TestEnv::new();
    let prefix = prefix_with_kernel(&env);
    let place = prefix.to_str().unwrap();
    let installed = env.nbpack(&["install", "--prefix", place, "--capture", "none", "--json"]);
    assert!(installed.status.success(), "{installed:?}");
    let told: serde_json::Value = serde_json::from_slice(&installed.stdout).unwrap();
    let kernels = prefix.join("share/jupyter/kernels");
    let ours = kernels.join("python3-nbpack");
    assert_eq!(told["path"], ours.to_str().unwrap());
    let spec: serde_json::Value = serde_json::from_slice(&fs::read(ours.join("kernel.json")).unwrap()).unwrap();
    let python = prefix.join("bin/python");
    assert_eq!(
        spec,
        serde_json::json!({
            "argv": [
                fs::canonicalize(support::program()).unwrap(), "kernel", "-f", "{connection_file}", "--wrap", "python3",
                "--wrap-dir", kernels.join("python3"), "--python", python, "--capture", "none",
            ],
            "display_name": "Python 3 (nbpack)", "language": "python", "interrupt_mode": "signal",
            "env": {"A": "${HOME}"}, "metadata": {"debugger": true}, "kernel_protocol_version": "5.5",
        })
    );
    assert!(fs::read(ours.join("kernel.js")).is_ok() && fs::read(ours.join("logo-64x64.png")).unwrap() != b"theirs");
    assert_eq!(fs::metadata(&ours).unwrap().permissions().mode() & 0o777, 0o755);

    // Again is fine; over somebody else's is not; a recording kernel is not recorded.
    assert!(env.nbpack(&["install", "--prefix", place]).status.success());
    let say = |args: &[&str]| {
        let output = env.nbpack(args);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = say(&["install", "--prefix", place, "--name", "python3"]);
    assert!(code == 2 && said.contains("is no recording kernel") && said.contains("hint: "), "{said}");
    let (code, said) = say(&["install", "--prefix", place, "--kernel", "python3-nbpack"]);
    assert!(code == 2 && said.contains("is a recording kernel already"), "{said}");
    let (code, said) = say(&["install", "--prefix", place, "--kernel", "julia"]);
    assert!(code == 2 && said.contains("no kernelspec `julia`; there are: ") && said.contains("python3"), "{said}");

    assert_eq!(say(&["uninstall", "--prefix", place]).0, 0);
    let left: Vec<_> = fs::read_dir(&kernels).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["python3"]);
    let (code, said) = say(&["uninstall", "--prefix", place]);
    assert!(code == 1 && said.contains("no recording kernel is installed"), "{said}");
}

#[test]
fn install_without_an_environment_says_what_is_missing() {
    let env = support::TestEnv::new();
    let run = |args: &[&str]| {
        let output = env.command(support::program()).args(args).env("PATH", "/nowhere").output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&["install", "--sys-prefix"]);
    assert!(code == 2 && said.contains("no environment is active, and there is no `jupyter` on PATH"), "{said}");
    let (code, said) = run(&["install", "--kernel", "../x"]);
    assert!(code == 2 && said.contains("`../x` is not a kernelspec name"), "{said}");
    let prefix = env.path().join("empty");
    fs::create_dir_all(prefix.join("lib/python3.12/site-packages/ipykernel/resources")).unwrap();
    fs::create_dir_all(prefix.join("bin")).unwrap();
    fs::write(prefix.join("bin/python3"), "").unwrap();
    // ipykernel without a kernelspec of its own, as Jupyter fills it in.
    assert_eq!(run(&["install", "--prefix", prefix.to_str().unwrap()]).0, 0);
    let wrapped = prefix.join("share/jupyter/kernels/python3-nbpack/wrapped/python3/kernel.json");
    assert!(fs::read_to_string(wrapped).unwrap().contains("ipykernel_launcher"));
}

#[test]
fn a_server_that_asks_for_encryption_gets_a_clear_refusal() {
    let env = support::TestEnv::new();
    let file = env.work().join("c.json");
    let json = serde_json::json!({
        "transport": "tcp", "ip": "127.0.0.1", "shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4,
        "hb_port": 5, "key": "k", "signature_scheme": "hmac-sha256", "curve_publickey": "p", "curve_secretkey": "s",
    });
    fs::write(&file, json.to_string()).unwrap();
    let output = env.nbpack(&["kernel", "-f", file.to_str().unwrap(), "--wrap", "python3"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("asks for encrypted transport"), "{said}");
}
