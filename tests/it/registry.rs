//! Push and pull against a real registry, through a proxy that breaks what it can.

use std::{
    collections::BTreeMap,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
    sync::Arc,
};

use nbpack::{
    bundle::{
        self,
        plan::SessionFile,
        write::{self, WriteOptions},
    },
    store::Store,
};

use crate::{
    bundle::{inventory_of, run_config},
    support::{
        TestEnv,
        forward::Forward,
        registry::{Fault, Proxy, Registry},
    },
};

/// Bytes that no compressor makes smaller.
fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(count)
    .collect()
}

/// Writes a bundle with a small layer, one of `big` bytes, and a session layer that says `note`.
pub(crate) fn make_bundle(env: &TestEnv, name: &str, big: usize, note: &str) -> PathBuf {
    let tree = env.work().join("tree");
    if !tree.exists() {
        std::fs::create_dir_all(tree.join("alpha")).unwrap();
        std::fs::create_dir_all(tree.join("big")).unwrap();
        std::fs::write(tree.join("alpha/__init__.py"), "x = 1\n").unwrap();
        std::fs::write(tree.join("big/data.bin"), noise(big, 7)).unwrap();
    }
    let run = run_config();
    let files = BTreeMap::from([
        (
            bundle::config::RUN_CONFIG.as_bytes().to_vec(),
            SessionFile::Bytes(Arc::from(serde_json::to_vec(&run).unwrap())),
        ),
        (b"/opt/nbpack/session/note".to_vec(), SessionFile::Bytes(Arc::from(note.as_bytes()))),
    ]);
    let plan = bundle::plan(&inventory_of(&tree, "opt/nbpack/env/0/lib"), &run, files).unwrap();
    let store = Store::open(&env.path().join("maker")).unwrap();
    let file = env.work().join(name);
    let mut out = write::Output::File(file.clone());
    bundle::write(&plan, &run, &store, WriteOptions::default(), &mut out, &()).unwrap();
    file
}

#[track_caller]
pub(crate) fn ok(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    text
}

#[track_caller]
pub(crate) fn json(output: &Output) -> serde_json::Value {
    serde_json::from_str(&ok(output)).unwrap()
}

/// Runs nbpack with a store of its own, as another person would.
pub(crate) fn at(env: &TestEnv, who: &str, args: &[&str]) -> Output {
    env.command(crate::support::program()).env("XDG_DATA_HOME", env.path().join(who)).args(args).output().unwrap()
}

fn left_in_store(env: &TestEnv, who: &str) -> Vec<String> {
    let tmp = env.path().join(who).join("nbpack/v1/tmp");
    std::fs::read_dir(tmp).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_was_pushed_is_pulled_byte_for_byte_and_only_new_layers_move() {
    let env = TestEnv::new();
    let Some(registry) = Registry::start(&env, false, "") else { return };
    let host = format!("127.0.0.1:{}", registry.port);
    let first = make_bundle(&env, "a.nbpack", 6 << 20, "one");
    let pushed = json(&at(&env, "ann", &["push", "a.nbpack", &format!("{host}/team/nb:v1"), "--json"]));
    assert_eq!((&pushed["there"], &pushed["mounted"], &pushed["uploaded"]), (&0.into(), &0.into(), &4.into()));
    assert_eq!(pushed["without_referrer"], serde_json::Value::Null);

    // The same again: nothing moves. One changed cell: the session layer and the config.
    let pushed = json(&at(&env, "ann", &["push", "a.nbpack", &format!("{host}/team/nb:v1"), "--json"]));
    assert_eq!((&pushed["uploaded"], &pushed["there"]), (&0.into(), &4.into()));
    make_bundle(&env, "b.nbpack", 6 << 20, "two");
    let pushed = json(&at(&env, "ann", &["push", "b.nbpack", &format!("{host}/team/nb:v2"), "--json"]));
    assert_eq!((&pushed["uploaded"], &pushed["there"]), (&2.into(), &2.into()));
    assert!(pushed["uploaded_bytes"].as_u64().unwrap() < 20_000, "{pushed}");

    // Another repository of the same registry mounts what the first one has.
    let pushed = json(&at(&env, "ann", &["push", "b.nbpack", &format!("oci://{host}/other:x"), "--json"]));
    assert_eq!((&pushed["uploaded"], &pushed["mounted"]), (&0.into(), &4.into()));

    // Somebody else.
    ok(&at(&env, "bob", &["pull", &format!("{host}/team/nb:v1"), "-o", "got.nbpack"]));
    assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(env.work().join("got.nbpack")).unwrap());
    let pulled = json(&at(&env, "bob", &["pull", &format!("{host}/team/nb:v2"), "-o", "got2.nbpack", "--json"]));
    assert_eq!((&pulled["pulled"], &pulled["there"]), (&1.into(), &2.into()));
    assert_eq!(
        std::fs::read(env.work().join("b.nbpack")).unwrap(),
        std::fs::read(env.work().join("got2.nbpack")).unwrap()
    );
    let manifest = pulled["manifest"].as_str().unwrap();
    ok(&at(&env, "eve", &["verify", &format!("{host}/team/nb@{manifest}")]));

    // Restoring moves only what is not unpacked yet, and leaves no compressed copy behind.
    let restored = ["restore", "--no-kernel", "--notebook", "-"];
    let restore = |image: &str| at(&env, "carl", &[&restored[..2], &[image, "--json"]].concat());
    let found = json(&restore(&format!("{host}/team/nb:v1")));
    assert_eq!(found["layers"], 3);
    let proxy = Proxy::start(registry.port, Vec::new(), None);
    ok(&restore(&format!("127.0.0.1:{}/team/nb:v2", proxy.port)));
    let blobs: Vec<String> = proxy.seen().into_iter().filter(|line| line.contains("/blobs/")).collect();
    assert_eq!(blobs.len(), 2, "config and session layer: {blobs:?}");
    assert_eq!(left_in_store(&env, "carl"), Vec::<String>::new());
    let blob_files =
        std::process::Command::new("find").arg(env.path().join("carl/nbpack/v1/blobs")).args(["-type", "f"]).output();
    assert_eq!(String::from_utf8_lossy(&blob_files.unwrap().stdout), "");

    // The record is a referrer of the image, found under the tag that stands for the API.
    let tag = manifest.replace(':', "-");
    let index = get(registry.port, &format!("/v2/team/nb/manifests/{tag}"), "application/vnd.oci.image.index.v1+json");
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["manifests"][0]["artifactType"], "application/vnd.nbpack.session.v1");
    let artifact = index["manifests"][0]["digest"].as_str().unwrap();
    let artifact =
        get(registry.port, &format!("/v2/team/nb/manifests/{artifact}"), "application/vnd.oci.image.manifest.v1+json");
    let artifact: serde_json::Value = serde_json::from_slice(&artifact).unwrap();
    assert_eq!(artifact["subject"]["digest"], manifest);

    // Tools that are not ours.
    if Path::new("/usr/bin/skopeo").exists() {
        let image = format!("docker://{host}/team/nb:v2");
        let seen = env.command("skopeo").args(["inspect", "--tls-verify=false", &image]).output().unwrap();
        assert_eq!(json(&seen)["Digest"], manifest);
    }
}

/// The body of a GET.
pub(crate) fn get(port: u16, path: &str, accept: &str) -> Vec<u8> {
    use std::io::Read as _;
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nAccept: {accept}\r\n\r\n").unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let body = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    all.split_off(body)
}

#[test]
fn a_push_survives_busy_servers_and_lost_connections() {
    let env = TestEnv::new();
    let Some(registry) = Registry::start(&env, false, "") else { return };
    // Three chunks: 20 MB go up in parts.
    make_bundle(&env, "a.nbpack", 36 << 20, "one");
    let faults = vec![
        ("GET /v2/ ", Fault::Status(503)),
        ("HEAD /v2/nb/blobs", Fault::Status(429)),
        ("HEAD /v2/nb/blobs", Fault::CutAnswer(10)),
        ("POST /v2/nb/blobs/uploads", Fault::Status(502)),
        ("POST /v2/nb/blobs/uploads", Fault::CutAnswer(0)),
        ("PATCH ", Fault::CutRequest(3 << 20)),
        ("PATCH ", Fault::Status(500)),
        ("PUT /v2/nb/blobs/uploads", Fault::CutRequest(100)),
        ("PUT /v2/nb/blobs/uploads", Fault::Status(503)),
        ("PUT /v2/nb/manifests/v1", Fault::Status(429)),
        ("PUT /v2/nb/manifests/v1", Fault::CutAnswer(0)),
    ];
    let proxy = Proxy::start(registry.port, faults, None);
    let image = format!("localhost:{}/nb:v1", proxy.port);
    ok(&at(&env, "ann", &["push", "a.nbpack", &image]));
    assert_eq!(proxy.left(), 0, "every fault struck");
    ok(&at(&env, "bob", &["pull", &image, "-o", "got.nbpack"]));
    assert_eq!(
        std::fs::read(env.work().join("a.nbpack")).unwrap(),
        std::fs::read(env.work().join("got.nbpack")).unwrap()
    );
}

#[test]
fn a_pull_goes_on_where_the_connection_was_lost() {
    let env = TestEnv::new();
    let Some(registry) = Registry::start(&env, false, "") else { return };
    make_bundle(&env, "a.nbpack", 6 << 20, "one");
    let proxy = Proxy::start(registry.port, Vec::new(), None);
    let image = format!("127.0.0.1:{}/nb:v1", proxy.port);
    ok(&at(&env, "ann", &["push", "a.nbpack", &image]));
    let layers = layers_of(&env);
    let big = format!("GET /v2/nb/blobs/{}", layers.iter().max_by_key(|(size, _)| *size).unwrap().1);
    for (place, fault) in [
        ("GET /v2/nb/manifests", Fault::Status(503)),
        ("GET /v2/nb/manifests", Fault::CutAnswer(400)),
        (big.as_str(), Fault::Status(500)),
        (big.as_str(), Fault::CutAnswer(2_000_000)),
        (big.as_str(), Fault::CutAnswer(1_000_000)),
        (big.as_str(), Fault::Slow(200_000)),
    ] {
        proxy.plan(place, fault);
    }
    proxy.forget();
    ok(&at(&env, "bob", &["pull", &image, "-o", "got.nbpack"]));
    assert_eq!(proxy.left(), 0);
    assert_eq!(
        std::fs::read(env.work().join("a.nbpack")).unwrap(),
        std::fs::read(env.work().join("got.nbpack")).unwrap()
    );
    let ranges: Vec<String> = proxy.seen().into_iter().filter(|line| line.contains("range: bytes=")).collect();
    assert_eq!(ranges.len(), 2, "{ranges:?}");
    assert_eq!(left_in_store(&env, "bob"), Vec::<String>::new());
}

/// Size and digest of the layers of `a.nbpack`.
fn layers_of(env: &TestEnv) -> Vec<(u64, String)> {
    let bundle = bundle::read::Bundle::open(&env.work().join("a.nbpack")).unwrap();
    bundle.layers().iter().map(|layer| (layer.descriptor.size, layer.descriptor.digest.to_string())).collect()
}

#[test]
fn a_killed_pull_leaves_no_file_and_the_next_one_goes_on() {
    let env = TestEnv::new();
    let Some(registry) = Registry::start(&env, false, "") else { return };
    make_bundle(&env, "a.nbpack", 6 << 20, "one");
    let proxy = Proxy::start(registry.port, Vec::new(), None);
    let image = format!("127.0.0.1:{}/nb:v1", proxy.port);
    ok(&at(&env, "ann", &["push", "a.nbpack", &image]));
    let big = layers_of(&env).into_iter().max().unwrap().1;
    for signal in ["KILL", "INT"] {
        proxy.plan(&format!("GET /v2/nb/blobs/{big}"), Fault::Slow(20_000));
        proxy.forget();
        let mut child = env
            .command(crate::support::program())
            .env("XDG_DATA_HOME", env.path().join(signal))
            .args(["pull", &image, "-o", "got.nbpack"])
            .spawn()
            .unwrap();
        let part =
            env.path().join(signal).join("nbpack/v1/tmp").join(format!("pull-{}", big.trim_start_matches("sha256:")));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while std::fs::metadata(&part).map_or(0, |metadata| metadata.len()) < 500_000 {
            assert!(std::time::Instant::now() < deadline, "the download does not begin");
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
        env.command("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(!env.work().join("got.nbpack").exists());
        proxy.forget();
        ok(&at(&env, signal, &["pull", &image, "-o", "got.nbpack"]));
        assert!(
            proxy.seen().iter().any(|line| line.contains(&big) && line.contains("range: bytes=")),
            "{:?}",
            proxy.seen()
        );
        assert_eq!(
            std::fs::read(env.work().join("a.nbpack")).unwrap(),
            std::fs::read(env.work().join("got.nbpack")).unwrap()
        );
        std::fs::remove_file(env.work().join("got.nbpack")).unwrap();
        assert_eq!(left_in_store(&env, signal), Vec::<String>::new());
        // They stay for the next pull, and go when nobody wants them: none is lost sight of.
        let blob = Store::open(&env.path().join(signal).join("nbpack/v1")).unwrap().blob_path(&big.parse().unwrap());
        ok(&at(&env, signal, &["gc"]));
        assert!(blob.exists());
        let would = ok(&at(&env, signal, &["gc", "--unused-for", "0", "--dry-run"]));
        assert!(would.contains(blob.to_str().unwrap()) && blob.exists(), "{would}");
        let said = ok(&at(&env, signal, &["gc", "--unused-for", "0"]));
        assert!(said.contains(&format!("{} pulled layers", layers_of(&env).len())), "{said}");
        let left = env
            .command("find")
            .arg(env.path().join(signal))
            .args(["-type", "f", "-not", "-name", "lock"])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(left.stdout).unwrap(), "", "the store is empty again, but for its lock");
    }
}

#[test]
fn a_registry_that_sends_other_bytes_is_named_and_nothing_is_kept() {
    let env = TestEnv::new();
    let Some(registry) = Registry::start(&env, false, "") else { return };
    make_bundle(&env, "a.nbpack", 100, "one");
    let proxy = Proxy::start(registry.port, Vec::new(), None);
    let image = format!("127.0.0.1:{}/nb:v1", proxy.port);
    ok(&at(&env, "ann", &["push", "a.nbpack", &image]));
    let digest = &layers_of(&env)[0].1;
    // Once can happen on the way; twice is a refusal.
    proxy.plan(&format!("GET /v2/nb/blobs/{digest}"), Fault::Flip(9));
    ok(&at(&env, "bob", &["pull", &image, "-o", "got.nbpack"]));
    for _ in 0..2 {
        proxy.plan(&format!("GET /v2/nb/blobs/{digest}"), Fault::Flip(9));
    }
    let output = at(&env, "carl", &["pull", &image, "-o", "bad.nbpack"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(digest), "{said}");
    assert!(!env.work().join("bad.nbpack").exists());
    // A manifest that is asked for by digest.
    let manifest = bundle::read::Bundle::open(&env.work().join("a.nbpack")).unwrap().manifest_digest();
    proxy.plan("GET /v2/nb/manifests", Fault::Flip(20));
    let output = at(&env, "carl", &["verify", &format!("127.0.0.1:{}/nb@{manifest}", proxy.port)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains(&manifest.to_string()), "{said}");
}

#[test]
fn credentials_come_from_dockers_file_podmans_file_or_a_helper_and_are_never_shown() {
    let env = TestEnv::new();
    let Some(registry) = Registry::start(&env, true, "") else { return };
    make_bundle(&env, "a.nbpack", 100, "one");
    let host = format!("127.0.0.1:{}", registry.port);
    let image = format!("{host}/nb:v1");
    let output = at(&env, "ann", &["push", "a.nbpack", &image]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no credentials found") && said.contains("podman login"), "{said}");

    let docker = env.path().join("home/.docker");
    std::fs::create_dir_all(&docker).unwrap();
    // ann:wrong, then ann:hush
    for (auth, code) in [("YW5uOndyb25n", 2), ("YW5uOmh1c2g=", 0)] {
        std::fs::write(docker.join("config.json"), format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#)).unwrap();
        let output = at(&env, "ann", &["push", "a.nbpack", &image]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(!said.contains("wrong") && !said.contains(auth) && !said.contains("hush"), "{said}");
        assert!(code == 0 || said.contains("the user ann"), "{said}");
    }
    std::fs::remove_file(docker.join("config.json")).unwrap();

    let podman = env.path().join("run/containers");
    std::fs::create_dir_all(&podman).unwrap();
    std::fs::write(podman.join("auth.json"), format!(r#"{{"auths":{{"{host}/nb":{{"auth":"YW5uOmh1c2g="}}}}}}"#))
        .unwrap();
    ok(&at(&env, "bob", &["verify", &image]));
    std::fs::remove_file(podman.join("auth.json")).unwrap();

    let helper = env.path().join("home/docker-credential-test");
    let script = format!(
        "#!/bin/sh\nread server\n[ \"$1 $server\" = 'get {host}' ] || exit 1\necho '{{\"Username\":\"ann\",\"Secret\":\"hush\"}}'\n"
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(docker.join("config.json"), format!(r#"{{"credHelpers":{{"{host}":"test"}}}}"#)).unwrap();
    let path = format!("{}:/usr/bin:/bin", env.path().join("home").display());
    let output = env.command(crate::support::program()).env("PATH", path).args(["verify", &image]).output().unwrap();
    ok(&output);
    // Where it is not to be had, that is said.
    let output = at(&env, "carl", &["verify", &image]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("docker-credential-test"), "{said}");
}

#[test]
fn a_token_server_is_asked_with_the_credentials() {
    let env = TestEnv::new();
    let Some(registry) = Registry::start(&env, false, "") else { return };
    make_bundle(&env, "a.nbpack", 100, "one");
    let proxy = Proxy::start(registry.port, Vec::new(), Some("sesame"));
    let host = format!("127.0.0.1:{}", proxy.port);
    let docker = env.path().join("home/.docker");
    std::fs::create_dir_all(&docker).unwrap();
    std::fs::write(docker.join("config.json"), format!(r#"{{"auths":{{"{host}":{{"auth":"YW5uOmh1c2g="}}}}}}"#))
        .unwrap();
    ok(&at(&env, "ann", &["push", "a.nbpack", &format!("{host}/one/nb:v1")]));
    // Mounting needs a token for both repositories.
    let pushed = json(&at(&env, "ann", &["push", "a.nbpack", &format!("{host}/two/nb:v1"), "--json"]));
    assert_eq!(pushed["uploaded"], 0, "{pushed}");
    let both = "scope=repository%3Atwo%2Fnb%3Apull%2Cpush&scope=repository%3Aone%2Fnb%3Apull";
    assert!(proxy.seen().iter().any(|line| line.contains(both)), "{:?}", proxy.seen());
    std::fs::write(docker.join("config.json"), "{}").unwrap();
    let output = at(&env, "bob", &["pull", &format!("{host}/one/nb:v1")]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn tls_is_believed_only_with_a_known_authority_and_plain_http_only_here() {
    let env = TestEnv::new();
    if !Path::new("/usr/bin/openssl").exists() {
        return crate::support::skipped("no openssl on this machine");
    }
    let made = env
        .command("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .output()
        .unwrap();
    ok(&made);
    let tls = format!("  tls:\n    certificate: {0}/cert.pem\n    key: {0}/key.pem\n", env.work().display());
    let Some(registry) = Registry::start(&env, false, &tls) else { return };
    make_bundle(&env, "a.nbpack", 100, "one");
    let image = format!("localhost:{}/nb:v1", registry.port);
    let push = |certificate: Option<&str>| {
        let mut command = env.command(crate::support::program());
        command.args(["push", "a.nbpack", &image]);
        certificate.map(|file| command.env("SSL_CERT_FILE", env.work().join(file)));
        command.output().unwrap()
    };
    let output = push(None);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.to_lowercase().contains("issuer"), "{said}");
    ok(&push(Some("cert.pem")));

    // A plain registry under a name that is not this machine's.
    let Some(plain) = Registry::start(&env, false, "") else { return };
    let hosts = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let image = format!("{}.invalid:{}/nb:v1", hosts.trim().to_lowercase(), plain.port);
    let output = at(&env, "ann", &["push", "a.nbpack", &image]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn a_proxy_is_the_way_to_a_registry_and_is_told_its_credentials() {
    let env = TestEnv::new();
    let Some(registry) = Registry::start(&env, false, "") else { return };
    make_bundle(&env, "a.nbpack", 3 << 20, "one");
    // Nobody resolves this name but the proxy; plain HTTP to another machine has to be asked for.
    let image = "registry.invalid:5000/one/nb:v1";
    let proxy = Forward::start(registry.port, Some("Basic YW5uOmh1c2g="));
    let run = |who: &str, address: String, not_for: &str, args: &[&str]| {
        let mut command = env.command(crate::support::program());
        command.env("XDG_DATA_HOME", env.path().join(who)).env("HTTP_PROXY", address).env("NO_PROXY", not_for);
        command.args(args).output().unwrap()
    };
    let address = || format!("http://ann:hush@127.0.0.1:{}", proxy.port);
    let push = ["push", "a.nbpack", image, "--insecure"];
    ok(&run("ann", address(), "", &push));
    ok(&run("bob", address(), "localhost,.example", &["pull", image, "--insecure", "-o", "b.nbpack"]));
    let read = |name: &str| std::fs::read(env.work().join(name)).unwrap();
    assert!(read("a.nbpack") == read("b.nbpack"));
    let seen = proxy.seen();
    assert!(seen.iter().all(|line| line.contains("registry.invalid:5000")) && !seen.is_empty(), "{seen:?}");

    let said = |output: Output| {
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    // Not let through: it says so, and does not show what it was told.
    let before = proxy.seen().len();
    let refused = said(run("eve", format!("http://ann:guessed@127.0.0.1:{}", proxy.port), "", &push));
    assert!(refused.to_lowercase().contains("proxy") && !refused.contains("guessed"), "{refused}");
    assert!(proxy.seen().len() > before);
    // Without being asked for, nothing goes over plain HTTP, through a proxy either.
    said(run("eve", address(), "", &["push", "a.nbpack", image]));
}

#[test]
fn tls_goes_through_a_tunnel_of_the_proxy_and_around_it_where_that_is_said() {
    let env = TestEnv::new();
    let there = |program: &str| Path::new(program).exists();
    if !rustix::process::geteuid().is_root() || !there("/usr/bin/openssl") || !there("/usr/bin/docker-registry") {
        return crate::support::skipped("needs root, openssl and docker-registry");
    }
    let bundle = make_bundle(&env, "a.nbpack", 3 << 20, "one");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/connect_proxy.py");
    let mut command = env.command("unshare");
    command.args(["--net", "python3"]).arg(script).arg(crate::support::program()).arg(&bundle).arg(env.work());
    let output = command.output().unwrap();
    let said = json(&output);
    let of = |name: &str| {
        let one = &said[name];
        let tunnels: Vec<String> = serde_json::from_value(one["tunnels"].clone()).unwrap();
        (one["code"].as_i64().unwrap(), tunnels, one["said"].as_str().unwrap().to_owned())
    };
    let is_there = |tunnels: &[String]| {
        !tunnels.is_empty() && tunnels.iter().all(|line| line == "CONNECT 192.0.2.1:5443 HTTP/1.1")
    };
    for name in ["push", "pull", "other excluded"] {
        let (code, tunnels, said) = of(name);
        assert!(code == 0 && is_there(&tunnels), "{name}: {tunnels:?} {said}");
    }
    let (code, tunnels, text) = of("excluded");
    assert!(code == 0 && tunnels.is_empty(), "{tunnels:?} {text}");
    let read = |name: &str| std::fs::read(env.work().join(name)).unwrap();
    for name in ["out.nbpack", "around.nbpack", "through.nbpack"] {
        assert!(read("a.nbpack") == read(name), "{name}");
    }
    // Not let through, or nobody there: it says so, shows no password, and leaves no file.
    let (code, tunnels, text) = of("wrong password");
    assert!(code == 2 && is_there(&tunnels) && text.contains("proxy") && !text.contains("loud"), "{text}");
    let (code, _, text) = of("no proxy there");
    assert!(code == 2 && text.contains("127.0.0.1:9"), "{text}");
    assert!(!env.work().join("none.nbpack").exists());
}
