//! Dashboards of other people's frameworks, out of one bundle, reached over HTTP on a port of this machine.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use crate::support::{self, TestEnv, program};

/// An environment with the three frameworks, made by `tests/run`.
fn environment() -> Option<PathBuf> {
    let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-apps/bin");
    if ["python", "streamlit", "voila"].iter().all(|name| bin.join(name).exists()) {
        return std::fs::canonicalize(bin.parent()?).ok();
    }
    support::skipped("no environment with Dash, Streamlit and Voilà (target/test-apps; tests/run makes it)");
    None
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn get(port: u16, path: &str) -> String {
    let mut answer = Vec::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let asked = write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        if asked.is_ok() {
            stream.read_to_end(&mut answer).unwrap_or_default();
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Runs the app until it answers with `expected`; then `more` may look at it, and it is ended.
fn serve(env: &TestEnv, port: u16, command: &[&str], path: &str, expected: &str, more: impl FnOnce()) {
    let port_text = port.to_string();
    let log = env.path().join("app.log");
    let volume = format!("{}:/app/data", env.work().join("live").display());
    let mut child = env
        .command(program())
        .args(["app", "apps", "--port", &port_text, "--volume", &volume, "--"])
        .args(command)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&log).unwrap())
        .stderr(std::fs::File::options().append(true).open(&log).unwrap())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(150);
    let mut answer = String::new();
    while !answer.contains(expected) && Instant::now() < deadline && child.try_wait().unwrap().is_none() {
        answer = get(port, path);
        std::thread::yield_now();
    }
    let good = answer.contains(expected);
    if good {
        more();
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    child.wait().unwrap();
    assert!(good, "{command:?} answered:\n{answer}\n{}", std::fs::read_to_string(&log).unwrap_or_default());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "something still listens");
}

#[test]
fn dash_streamlit_and_voila_show_live_data_out_of_one_bundle() {
    let (Some(python), Some(apps)) = (support::python(), environment()) else { return };
    let env = TestEnv::new();
    env.install_kernel(&apps.join("bin/python"));
    let work = env.work();
    let dash = "import sys\nimport pandas as pd\nfrom dash import Dash, html\napp = Dash(__name__)\n\
        app.layout = lambda: html.Div(f\"total {pd.read_csv('/app/data/sales.csv').n.sum()}\")\n\
        app.run(host='127.0.0.1', port=int(sys.argv[1]))\n";
    std::fs::write(work.join("dash_app.py"), dash).unwrap();
    std::fs::write(work.join("streamlit_app.py"), "import streamlit as st\nst.write('hello')\n").unwrap();
    std::fs::create_dir(work.join("live")).unwrap();
    std::fs::write(work.join("live/sales.csv"), "day,n\n1,3\n2,4\n").unwrap();
    let cells = [
        "import pandas, dash, streamlit, voila\nopen('dash_app.py').read(), open('streamlit_app.py').read()\nprint('seen')",
        "print('shown by', 6 * 7)",
    ];
    env.record(&python, "apps.ipynb", &cells);
    env.nbpack_ok(&["export", "apps.ipynb", "-o", "apps.nbpack"]);
    for name in ["dash_app.py", "streamlit_app.py"] {
        std::fs::remove_file(work.join(name)).unwrap();
    }
    env.nbpack_ok(&["restore", "apps.nbpack", "--no-kernel", "--name", "apps", "--force"]);

    let port = free_port();
    serve(&env, port, &["python", "dash_app.py", &port.to_string()], "/_dash-layout", "total 7", || {
        // The volume is the colleague's own directory: what changes there is seen at once.
        std::fs::write(work.join("live/sales.csv"), "day,n\n1,30\n2,4\n").unwrap();
        assert!(get(port, "/_dash-layout").contains("total 34"));
    });
    let port = free_port();
    let text = port.to_string();
    let streamlit = [
        "streamlit",
        "run",
        "streamlit_app.py",
        "--server.address=127.0.0.1",
        "--server.headless=true",
        "--server.port",
        &text,
    ];
    serve(&env, port, &streamlit, "/_stcore/health", "ok", || {
        assert!(get(port, "/").contains("Streamlit"), "its page");
    });
    let port = free_port();
    let voila = format!("--port={port}");
    serve(&env, port, &["voila", "apps.ipynb", "--no-browser", &voila], "/", "shown by 42", || {});
}
