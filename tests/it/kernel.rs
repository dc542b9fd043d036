//! Promises of `kernel`, kept with real kernels and Jupyter's own client.
//!
//! The proxy runs in a process of its own: this test binary, started as a kernel by `jupyter_client` with
//! [`stand_in`] as the only test to run.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use nbpack::{
    event::{Event, EventSink},
    jupyter::{connection, kernelspec::InterruptMode, wire},
    kernel::{self, Config, MagicAnswer, Magics, SignalMode},
};

use super::support;

/// Writes one line for each event: what a recording would be made of.
struct Lines(Mutex<fs::File>);

impl EventSink for Lines {
    fn record(&self, event: Event) {
        let line = match event {
            Event::Message(message) => {
                let header = wire::parse_header(&message.frames[0]).unwrap_or_default();
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

/// Not a test by itself: the proxy kernel of the other tests.
#[test]
fn stand_in() {
    let Some(front) = std::env::var_os("NBPACK_TEST_FRONT") else { return };
    let work = PathBuf::from(std::env::var_os("NBPACK_TEST_WORK").unwrap());
    let argv: Vec<String> = serde_json::from_slice(&fs::read(work.join("argv.json")).unwrap()).unwrap();
    let record = fs::OpenOptions::new().create(true).append(true).open(work.join("record.txt")).unwrap();
    let inner = tempfile::Builder::new()
        .prefix("in")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(&work)
        .unwrap();
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
    };
    let status = kernel::proxy::run(config, Box::new(kernel::launch::bare), Arc::new(Lines(Mutex::new(record))));
    drop(inner);
    std::process::exit(i32::from(kernel::die_as(status.unwrap())));
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
def text(outputs): return "".join(o["content"]["text"] for o in outputs if o["msg_type"] == "stream")
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
    assert!(out.contains("WENT WELL"), "{out}\n{err}\n{}", fs::read_to_string(work.join("record.txt")).unwrap_or_default());
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
