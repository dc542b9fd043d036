//! An image of ours where there is no nbpack: its ports are published by a real engine and answer over HTTP.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    process::Output,
    time::{Duration, Instant},
};

use crate::support::{self, TestEnv, docker::Docker};

/// Listens on 127.0.0.1 only, as Dash and Voilà do when they are not told otherwise.
const APP: &str = "import http.server, os, sys\nif os.path.isdir('/app/data'): os.chdir('/app/data')\n\
    http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()\n";

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn ask(address: Ipv4Addr, port: u16, request: &str) -> String {
    let mut answer = Vec::new();
    if let Ok(mut stream) = TcpStream::connect((address, port)) {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        if write!(stream, "{request} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").is_ok() {
            stream.read_to_end(&mut answer).unwrap_or_default();
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// An engine, seen from its own network.
struct Engine {
    docker: Docker,
}

impl Engine {
    fn ok(&self, args: &[&str]) -> String {
        let output = self.docker.docker(args);
        assert!(output.status.success(), "docker {args:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Asks a published port until somebody answers.
    fn answer(&self, port: u16, request: &str) -> String {
        self.docker.within(|| {
            let deadline = Instant::now() + Duration::from_secs(120);
            loop {
                let answer = ask(Ipv4Addr::LOCALHOST, port, request);
                if answer.starts_with("HTTP/") || Instant::now() > deadline {
                    return answer;
                }
                std::thread::yield_now();
            }
        })
    }

    /// Serves with `args`, asks, and ends it.
    fn serve(&self, args: &[&str], port: u16, look: impl FnOnce(&str)) {
        let id = self.ok(&[&["run", "-d"], args].concat());
        look(&id);
        let logs = text(&self.docker.docker(&["logs", &id]));
        let started = Instant::now();
        self.ok(&["stop", "-t", "20", &id]);
        assert!(started.elapsed() < Duration::from_secs(15), "it did not end when it was told to: {logs}");
        self.ok(&["rm", "-f", &id]);
        assert_eq!(self.docker.within(|| ask(Ipv4Addr::LOCALHOST, port, "GET /")), "");
    }
}

fn bundle(env: &TestEnv) -> Option<()> {
    let python = support::python()?;
    env.small_environment(&python, &["ipykernel", "jupyterlab"]);
    std::fs::write(env.work().join("a.csv"), "a,b\n1,2\n").unwrap();
    std::fs::write(env.work().join("app.py"), APP).unwrap();
    let cells = ["import http.server, jupyterlab\nopen('app.py').close()", "print(open('a.csv').read(), 6 * 7)"];
    env.record(&python, "nb.ipynb", &cells);
    env.nbpack_ok(&["export", "nb.ipynb", "-o", "nb.nbpack"]);
    let words = ["nb.ipynb", "-o", "dash.nbpack", "--dockerfile", "--compose", "--app", "python", "app.py", "8050"];
    env.nbpack_ok(&[&["export"], &words[..]].concat());
    std::fs::create_dir(env.work().join("data")).unwrap();
    std::fs::write(env.work().join("data/live.csv"), "n\n7\n").unwrap();
    Some(())
}

#[test]
fn jupyter_and_apps_answer_on_published_ports() {
    let env = TestEnv::new();
    let Some(root) = support::other_root() else { return };
    if bundle(&env).is_none() {
        return;
    }
    let Some(docker) = Docker::start_with_network(&env, Some(&root)) else { return };
    let engine = Engine { docker };
    engine.ok(&["load", "-i", env.work().join("nb.nbpack").to_str().unwrap()]);

    // `docker run -p 8888:8888 IMAGE`: JupyterLab, which starts kernels for who has the token.
    engine.serve(&["-p", "8888:8888", "nb"], 8888, |id| {
        let refused = engine.answer(8888, "POST /api/kernels");
        let logs = text(&engine.docker.docker(&["logs", id]));
        assert!(refused.contains(" 403 "), "{refused}\n{logs}");
        let token = logs.lines().find_map(|line| line.strip_prefix("JupyterLab: ")?.split("token=").nth(1)).unwrap();
        let page = engine.answer(8888, &format!("GET /lab?token={token}"));
        assert!(page.contains("<title>JupyterLab</title>"), "{page}");
        let started = engine.answer(8888, &format!("POST /api/kernels?token={token}"));
        assert!(started.contains(" 201 "), "{started}");
    });

    // A dashboard with live data, that listens on 127.0.0.1; then as any user, in a root that cannot be written.
    let volume = format!("{}:/app/data", env.work().join("data").display());
    let app = ["-p", "8050:8050", "-v", &volume, "nb", "app", "--", "python", "app.py", "8050"];
    let anybody = ["-u", "12345", "--read-only", "--cap-drop=ALL"];
    for args in [app.to_vec(), [&anybody[..], &app[..]].concat()] {
        engine.serve(&args, 8050, |_| {
            let answer = engine.answer(8050, "GET /live.csv");
            assert!(answer.ends_with("n\n7\n"), "{answer}");
        });
    }

    // What anybody's code writes in its working directory.
    let script = "id -u; cp a.csv mine; echo 3 >>a.csv; wc -l <a.csv; echo x >$HOME/y && cat $HOME/y";
    let wrote = engine.ok(&["run", "--rm", "-u", "12345", "--network", "none", "nb", "run", "--", "sh", "-ec", script]);
    assert_eq!(wrote, "12345\n3\nx");

    // In the machine's own network an app that chose 127.0.0.1 stays there.
    let words = ["--network", "host", "nb", "app", "--port", "8050", "--", "python", "app.py", "8050"];
    engine.serve(&words, 8050, |_| {
        assert!(engine.answer(8050, "GET /a.csv").contains(" 200 "));
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            let outside = engine.docker.within(|| ask(Ipv4Addr::new(172, 17, 0, 1), 8050, "GET /a.csv"));
            assert_eq!(outside, "", "it was made public");
        }
    });

    // `export --app`: what the image does by itself; and the files written beside it.
    engine.ok(&["load", "-i", env.work().join("dash.nbpack").to_str().unwrap()]);
    engine.serve(&["-p", "8050:8050", "nb"], 8050, |_| {
        assert!(engine.answer(8050, "GET /a.csv").ends_with("a,b\n1,2\n"));
    });
    serves_what_the_written_files_say(&env, &engine);
    runs_a_pipeline(&env, &engine);
}

/// The daemon's root sees the test's directory at its place, and has `docker compose`.
fn has_compose(engine: &Engine) -> bool {
    let has = engine.docker.beside("docker compose version").status.success();
    if !has {
        support::skipped("no `docker compose` in the other root");
    }
    has
}

fn serves_what_the_written_files_say(env: &TestEnv, engine: &Engine) {
    if !has_compose(engine) {
        return;
    }
    // What lies in the volume is served.
    let work = env.work();
    let run = |script: &str| {
        let output = engine.docker.beside(&format!("cd {}; {script}", work.display()));
        assert!(output.status.success(), "{script}: {}", text(&output));
    };
    run("docker compose up -d --quiet-pull");
    run("docker compose cp data/live.csv nb:/app/data/ 2>&1");
    let answer = engine.answer(8050, "GET /live.csv");
    run("docker compose down -v");
    assert!(answer.ends_with("n\n7\n"), "{answer}");
    run("docker build -q -t nb-service - <Dockerfile");
    engine.serve(&["-p", "8050:8050", "nb-service"], 8050, |_| {
        assert!(engine.answer(8050, "GET /a.csv").ends_with("a,b\n1,2\n"));
    });
}

/// Three steps on one volume: obtain, model, show. Each is a job that ends, and the last one a service.
fn runs_a_pipeline(env: &TestEnv, engine: &Engine) {
    let python = support::python().unwrap();
    if !has_compose(engine) {
        return;
    }
    let work = env.work();
    let steps = [
        (
            "obtain",
            "import os\nif os.path.isdir('/app/data'): open('/app/data/clean.csv', 'w').write('n\\n20\\n22\\n')",
        ),
        (
            "model",
            "scale = globals().get('scale', 1)\nimport os\nif os.path.isdir('/app/data'):\n    \
             total = sum(int(line) for line in open('/app/data/clean.csv').read().split()[1:])\n    \
             open('/app/data/model.txt', 'w').write(str(total * scale))",
        ),
    ];
    for (name, cell) in steps {
        env.record(&python, &format!("{name}.ipynb"), &[cell]);
        env.nbpack_ok(&["export", &format!("{name}.ipynb")]);
        engine.ok(&["load", "-i", work.join(format!("{name}.nbpack")).to_str().unwrap()]);
    }
    let compose = "services:
  obtain: {image: obtain, command: [batch, -o, /app/data/obtain.ipynb], volumes: ['data:/app/data']}
  model:
    image: model
    command: [batch, -p, scale=2, -o, /app/data/model.ipynb]
    volumes: ['data:/app/data']
    depends_on: {obtain: {condition: service_completed_successfully}}
  dashboard:
    image: nb
    ports: ['127.0.0.1:8050:8050']
    volumes: ['data:/app/data:ro']
    depends_on: {model: {condition: service_completed_successfully}}
volumes: {data: {}}
";
    std::fs::create_dir(work.join("pipeline")).unwrap();
    std::fs::write(work.join("pipeline/compose.yaml"), compose).unwrap();
    let up = engine.docker.beside(&format!("cd {}/pipeline; docker compose up -d", work.display()));
    let answer = engine.answer(8050, "GET /model.txt");
    let ran = engine.answer(8050, "GET /model.ipynb");
    let down = engine.docker.beside(&format!("cd {}/pipeline; docker compose down -v", work.display()));
    assert!(up.status.success() && down.status.success(), "{}{}", text(&up), text(&down));
    assert!(ran.contains("scale = 2"), "{ran}");
    assert!(answer.ends_with("84"), "{answer}");
}
