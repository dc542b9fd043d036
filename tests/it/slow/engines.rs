//! Container engines that are not ours take the bundle and run it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::support::{self, TestEnv, docker::Docker};

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn ok(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}:\n{}", text(&output));
    text(&output)
}

/// The notebook with pandas, recorded in an environment that holds a whole JupyterLab.
fn recorded(env: &TestEnv) -> Option<()> {
    let python = support::python()?;
    env.small_environment(&python, &["ipykernel", "pandas", "jupyterlab"]);
    std::fs::write(env.work().join("a.csv"), "a,b\n1,2\n").unwrap();
    env.record(&python, "nb.ipynb", &["import pandas as pd\nprint(pd.read_csv('a.csv').to_string())"]);
    Some(())
}

/// `b.nbpack` of that notebook. Engines differ, what they are given does not: the first test of a run makes it for all.
fn bundle(env: &TestEnv, compression: &str) -> Option<PathBuf> {
    let mine = env.work().join("b.nbpack");
    #[expect(clippy::disallowed_methods, reason = "the runner's own variable; without it the bundle is made each time")]
    let run = std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| format!("process-{}", std::process::id()));
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-bundles").join(compression);
    std::fs::create_dir_all(&shared).unwrap();
    let lock = std::fs::File::create(shared.join("lock")).unwrap();
    lock.lock().unwrap();
    let of_run = shared.join(run);
    if !of_run.exists() {
        recorded(env)?;
        env.nbpack_ok(&["export", "nb.ipynb", "--compression", compression, "-o", "b.nbpack"]);
        for old in std::fs::read_dir(&shared).unwrap().flatten().filter(|entry| entry.file_name() != "lock") {
            std::fs::remove_file(old.path()).unwrap();
        }
        let making = shared.join("making");
        std::fs::copy(&mine, &making).unwrap();
        std::fs::rename(&making, &of_run).unwrap();
    } else {
        std::fs::copy(&of_run, &mine).unwrap();
    }
    Some(mine)
}

const RUN: [&str; 5] = ["run", "--", "python", "-c", "import pandas as pd; print(pd.read_csv('a.csv').sum().sum())"];

fn load_and_run(docker: &Docker, bundle: &Path) {
    let loaded = docker.docker(&["load", "-i", bundle.to_str().unwrap()]);
    assert!(loaded.status.success(), "{}", text(&loaded));
    let loaded = text(&loaded);
    let image = loaded.trim().rsplit("image: ").next().unwrap().rsplit("image ID: ").next().unwrap().trim();
    let mut args = vec!["run", "--rm", "--network", "none", image];
    args.extend(RUN);
    let ran = docker.docker(&args);
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "3", "{}", text(&ran));
    // As an arbitrary user, as OpenShift starts it.
    let mut args = vec!["run", "--rm", "--network", "none", "-u", "12345:0", image];
    args.extend(RUN);
    let ran = docker.docker(&args);
    assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "3", "{}", text(&ran));
    let replayed = docker.docker(&["run", "--rm", "--network", "none", image, "replay"]);
    assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed));
    says_how_it_runs(docker, image);
    serves_an_app(docker, image);
    runs_a_job(docker, image);
}

fn says_how_it_runs(docker: &Docker, image: &str) {
    let output = docker.docker(&["image", "inspect", image]);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let config = &said[0]["Config"];
    assert_eq!(config["Entrypoint"], serde_json::json!(["/opt/nbpack/bin/nbpack"]));
    assert_eq!(config["Cmd"], serde_json::json!(["lab"]));
    assert_eq!(config["ExposedPorts"], serde_json::json!({"8050/tcp": {}, "8888/tcp": {}}));
}

/// As any user, in a root that cannot be written: an app answers over HTTP, and ends when it is told to.
fn serves_an_app(docker: &Docker, image: &str) {
    use std::io::{Read as _, Write as _};
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    // No tmpfs on /tmp: the test's own working directory lies there.
    let mut args = vec!["run", "-d", "--network", "host", "-u", "12345:0", "--read-only", image, "app", "--"];
    args.extend(["python", "-m", "http.server", &port, "--bind", "127.0.0.1"]);
    let started = docker.docker(&args);
    assert!(started.status.success(), "{}", text(&started));
    let id = String::from_utf8_lossy(&started.stdout).trim().to_owned();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut answer = String::new();
    while answer.is_empty() && Instant::now() < deadline {
        if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port.parse().unwrap())) {
            stream.write_all(b"GET /a.csv HTTP/1.0\r\n\r\n").unwrap();
            stream.read_to_string(&mut answer).unwrap();
        }
        std::thread::yield_now();
    }
    let logs = docker.docker(&["logs", &id]);
    assert!(answer.contains("200 OK") && answer.ends_with("a,b\n1,2\n"), "{answer}\n{}", text(&logs));
    let stopped = Instant::now();
    assert!(docker.docker(&["stop", "-t", "20", &id]).status.success());
    assert!(stopped.elapsed() < Duration::from_secs(15), "it did not end when it was told to");
    docker.docker(&["rm", "-f", &id]);
}

/// A job writes the executed notebook into a volume.
fn runs_a_job(docker: &Docker, image: &str) {
    let volume = format!("nbpack-test-{}", std::process::id());
    let at = format!("{volume}:/out");
    let ran = docker.docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        &at,
        image,
        "batch",
        "-p",
        "year=2026",
        "-o",
        "/out/done.ipynb",
    ]);
    assert!(ran.status.success(), "{}", text(&ran));
    let script = "import json; cells = json.load(open('/out/done.ipynb'))['cells']; \
                  print(sum('year = 2026' in ''.join(cell['source']) for cell in cells), len(cells))";
    let read =
        docker.docker(&["run", "--rm", "--network", "none", "-v", &at, image, "run", "--", "python", "-c", script]);
    assert_eq!(String::from_utf8_lossy(&read.stdout).trim(), "1 2", "{}", text(&read));
    docker.docker(&["volume", "rm", "-f", &volume]);
}

#[test]
fn a_current_docker_loads_and_runs_the_bundle() {
    let env = TestEnv::new();
    let Some(root) = support::other_root() else { return };
    let Some(bundle) = bundle(&env, "zstd") else { return };
    let Some(docker) = Docker::start(&env, Some(&root)) else { return };
    load_and_run(&docker, &bundle);
    restores_inside(&env, &docker);
}

/// nbpack itself in a container of Docker's, with what its default profile refuses and less.
fn restores_inside(env: &TestEnv, docker: &Docker) {
    // A distribution without Python: this program and the bundle are all there is.
    let Some(root) = support::small_root("sid") else { return };
    let script = "tar -C \"$1\" -c . | docker -H \"unix://$2\" import - debian-sid";
    ok(Command::new("bash").args(["-o", "pipefail", "-c", script, "-"]).arg(&root).arg(&docker.socket));
    std::fs::copy(support::program(), env.work().join("nbpack")).unwrap();
    let volume = format!("{}:/in:ro", env.work().display());
    // What a user unpacks stays for the next container.
    let home = env.work().join("home");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(1000), Some(1000)).unwrap();
    let home = format!("{}:/home/user", home.display());
    let inside = |options: &[&str], words: &[&str]| {
        let mut args = vec!["run", "--rm", "--network", "none", "-v", &volume, "-v", &home, "-w", "/tmp"];
        args.extend(options);
        args.push("debian-sid");
        args.extend(words);
        docker.docker(&args)
    };
    let user = ["-u", "1000:1000", "-e", "HOME=/home/user"];
    let script = "/in/nbpack restore /in/b.nbpack --no-kernel --notebook /tmp/n.ipynb && /in/nbpack replay /in/b.nbpack; \
        code=$?; /in/nbpack run /in/b.nbpack -- python -c 'import os, pandas; print(6 * 7, os.getuid())' || code=9; exit $code";
    // As root: what Docker forbids and a chroot does not.
    let output = inside(&["-e", "HOME=/tmp"], &["sh", "-c", script]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("42 0\n") && said.contains("in a chroot") && said.contains("a system call filter"), "{said}");
    // As a user: refused, with the step and what helps; `doctor` finds the same.
    for words in [&["/in/nbpack", "run", "/in/b.nbpack", "--", "true"][..], &["/in/nbpack", "doctor"]] {
        let output = inside(&user, words);
        let said = text(&output);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("cannot make namespaces: Operation not permitted"), "{said}");
        assert!(said.contains("seccomp=unconfined") && said.contains("install `proot`"), "{said}");
    }
    // Without the filter, with parts of /proc hidden; then with nothing in the way.
    let run =
        ["/in/nbpack", "run", "/in/b.nbpack", "--", "python", "-c", "import os, pandas; print(6 * 7, os.getpid())"];
    let open = [&user[..2], &["--security-opt", "seccomp=unconfined"]].concat();
    // Everything on the container's own overlay, which takes no other on top.
    let output = inside(&[&open[..], &["-e", "HOME=/tmp"]].concat(), &run);
    let said = text(&output);
    assert!(said.contains("42 ") && said.contains("cannot mount /proc") && said.contains("kept in memory"), "{said}");
    let open = [&open[..], &user[2..], &["--security-opt", "systempaths=unconfined"]].concat();
    let output = inside(&open, &run);
    let said = text(&output);
    assert!(said.contains("42 2\n") && !said.contains("cannot"), "as on a machine of its own: {said}");
}

#[test]
fn docker_20_10_loads_and_runs_a_gzip_bundle() {
    let env = TestEnv::new();
    if !Path::new("/usr/sbin/dockerd").exists() || !rustix::process::geteuid().is_root() {
        return support::skipped("no dockerd, or not root");
    }
    let Some(bundle) = bundle(&env, "gzip") else { return };
    let Some(docker) = Docker::start(&env, None) else { return };
    load_and_run(&docker, &bundle);
}

#[test]
fn skopeo_copies_both_ways_and_the_copy_still_verifies() {
    let env = TestEnv::new();
    let Some(bundle) = bundle(&env, "zstd") else { return };
    if !Path::new("/usr/bin/skopeo").exists() {
        return support::skipped("no skopeo");
    }
    let work = env.work();
    let archive = format!("oci-archive:{}", bundle.display());
    let layout = format!("oci:{}:latest", work.join("layout").display());
    let again = format!("oci-archive:{}", work.join("again.nbpack").display());
    ok(Command::new("skopeo").args(["--insecure-policy", "copy", "-q", &archive, &layout]));
    ok(Command::new("skopeo").args(["--insecure-policy", "copy", "-q", &layout, &again]));
    let before: serde_json::Value = serde_json::from_str(&env.nbpack_ok(&["verify", "--json", "b.nbpack"])).unwrap();
    let after: serde_json::Value = serde_json::from_str(&env.nbpack_ok(&["verify", "--json", "again.nbpack"])).unwrap();
    assert_eq!(before["manifest"], after["manifest"]);
}

#[test]
fn umoci_unpacks_a_gzip_bundle() {
    let env = TestEnv::new();
    let Some(bundle) = bundle(&env, "gzip") else { return };
    if !Path::new("/usr/bin/umoci").exists() || !Path::new("/usr/bin/skopeo").exists() {
        return support::skipped("no umoci or no skopeo");
    }
    let layout = env.work().join("layout");
    let archive = format!("oci-archive:{}", bundle.display());
    ok(Command::new("skopeo").args([
        "--insecure-policy",
        "copy",
        "-q",
        &archive,
        &format!("oci:{}:latest", layout.display()),
    ]));
    let target = env.work().join("unpacked");
    ok(Command::new("umoci")
        .args(["unpack", "--rootless", "--image", &format!("{}:latest", layout.display())])
        .arg(&target));
    assert!(target.join("rootfs/opt/nbpack/session/run.json").is_file());
    assert!(target.join("rootfs/opt/nbpack/bin/nbpack").is_file());
}

/// In a mount namespace of its own, so that no mount of an engine outlives the test; the words after it are `$1` and on.
fn apart(env: &TestEnv, script: &str, arguments: &[&Path]) -> String {
    let mut command = env.command("unshare");
    ok(command.args(["--mount", "--propagation", "private", "bash", "-euc", script, "-"]).args(arguments))
}

const SUM: &str = "python -c \"import pandas as pd; print(pd.read_csv('a.csv').sum().sum())\"";

#[test]
fn podman_loads_and_runs_the_bundle_as_any_user_and_replays_it() {
    let env = TestEnv::new();
    let there = ["/usr/bin/podman", "/usr/sbin/runc"].iter().all(|program| Path::new(program).exists());
    if !there || !rustix::process::geteuid().is_root() {
        return support::skipped("no podman or no runc, or not root");
    }
    let Some(bundle) = bundle(&env, "zstd") else { return };
    // Limits as they are: the machine may not let them be raised.
    let script = format!(
        r#"podman() {{ command podman --root "$1/root" --runroot "$1/run" --storage-driver overlay \
             --cgroup-manager cgroupfs --runtime runc "${{@:2}}"; }}
           open=$(ulimit -Hn)
           run() {{ podman "$at" run --rm --network none --ulimit "nofile=$open:$open" --ulimit nproc=4096:4096 "$@"; }}
           at=$1
           podman "$at" load -q -i "$2" >&2
           image=$(podman "$at" images -q --no-trunc)
           run "$image" run -- {SUM}
           run -u 12345:0 "$image" run -- {SUM}
           run "$image" replay >&2"#
    );
    let said = apart(&env, &script, &[&env.path().join("podman"), &bundle]);
    assert!(said.starts_with("3\n3\n"), "{said}");
    assert!(said.contains("identical"), "{said}");
}

/// What `containerd` is told: a place of its own, and nothing for Kubernetes.
const CONTAINERD: &str = r#"
    unset XDG_RUNTIME_DIR TMPDIR
    mkdir -p "$1"
    printf 'version = 2\nroot = "%s/root"\nstate = "%s/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n' "$1" "$1" >"$1/config.toml"
    printf '[grpc]\n  address = "%s/sock"\n[ttrpc]\n  address = "%s/sock.ttrpc"\n' "$1" "$1" >>"$1/config.toml"
    containerd -c "$1/config.toml" --log-level error >"$1/log" 2>&1 &
    daemon=$!
    trap 'code=$?; [ $code = 0 ] || cat "$1/log" >&2; kill $daemon; wait $daemon || true; exit $code' EXIT
    ctr() { command ctr -a "$at/sock" "$@"; }
    at=$1
    until ctr version >/dev/null 2>&1; do kill -0 $daemon || { cat "$1/log" >&2; exit 1; }; read -t 0.1 <> <(:) || true; done
    ctr image import "$2" >&2
    image=$(ctr image ls -q)
"#;

fn containerd_takes_it(env: &TestEnv, before: &str, arguments: &[&Path]) {
    let script = format!(
        r#"{before}
           {CONTAINERD}
           ctr run --rm "$image" one /opt/nbpack/bin/nbpack run -- {SUM} 2>>"$1/log"
           ctr run --rm "$image" two /opt/nbpack/bin/nbpack replay >&2 2>>"$1/log""#
    );
    let said = apart(env, &script, arguments);
    assert!(said.starts_with("3\n"), "{said}");
    assert!(said.contains("identical"), "{said}");
}

#[test]
fn containerd_imports_and_runs_the_bundle() {
    let env = TestEnv::new();
    if !Path::new("/usr/bin/containerd").exists() || !rustix::process::geteuid().is_root() {
        return support::skipped("no containerd, or not root");
    }
    let Some(bundle) = bundle(&env, "zstd") else { return };
    containerd_takes_it(&env, "mount -t tmpfs tmpfs /run", &[&env.path().join("containerd"), &bundle]);
}

#[test]
fn a_current_containerd_imports_and_runs_the_bundle() {
    let env = TestEnv::new();
    let Some(root) = support::other_root() else { return };
    let Some(bundle) = bundle(&env, "zstd") else { return };
    let share = env.path().join("share");
    std::fs::create_dir(&share).unwrap();
    std::fs::rename(&bundle, share.join("b.nbpack")).unwrap();
    let enter = r#"mkdir -p "$3/.old" "$3/share"
        mount --rbind "$3" "$3"; mount -t proc proc "$3/proc"; mount --rbind /dev "$3/dev"; mount --rbind /sys "$3/sys"
        mount -t tmpfs tmpfs "$3/run"; mount --bind "$4" "$3/share"
        cd "$3"; pivot_root . .old; cd /; umount -l /.old"#;
    let inside = [Path::new("/share/containerd"), Path::new("/share/b.nbpack"), &root, &share];
    containerd_takes_it(&env, enter, &inside);
}

#[test]
fn every_document_holds_against_the_schemas_of_the_image_spec() {
    let env = TestEnv::new();
    let validators = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-validators/bin/python");
    let schemas = Path::new("/usr/share/gocode/src/github.com/opencontainers/image-spec/schema");
    if !validators.exists() || !schemas.exists() {
        return support::skipped("no image-spec schemas or no validators (README's test command brings both)");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/validate_image.py");
    let Some(()) = recorded(&env) else { return };
    for compression in ["zstd", "gzip"] {
        let at = format!("dir:{}", env.work().join(compression).display());
        env.nbpack_ok(&["export", "nb.ipynb", "--compression", compression, "-o", &at]);
        let said = ok(env.command(&validators).arg(&script).arg(env.work().join(compression)));
        assert_eq!(said, "no fault found\n");
    }
}
