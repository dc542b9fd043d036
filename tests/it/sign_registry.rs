//! Signatures that travel through a registry, and what others make of them.

use std::{io::Write as _, path::Path};

use serde_json::{Value, json};

use crate::{
    registry::{at, get, json, make_bundle, ok},
    support::{
        TestEnv, program,
        registry::{Proxy, Registry},
        skipped,
    },
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Makes `NAME.key` and `NAME.pub` without a password.
fn key_pair(env: &TestEnv, name: &str) {
    let made = env.command(program()).env("COSIGN_PASSWORD", "").args(["sign", "--generate-key-pair", name]).output();
    ok(&made.unwrap());
}

fn sign(env: &TestEnv, bundle: &str, more: &[&str]) {
    let signed = env.command(program()).env("COSIGN_PASSWORD", "").args(["sign", bundle]).args(more).output().unwrap();
    ok(&signed);
}

/// The exit code of `verify --signed-by`, and all it said.
fn verify(env: &TestEnv, bundle: &str, keys: &str) -> (Option<i32>, String) {
    let output = at(env, "eve", &["verify", bundle, "--signed-by", keys]);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), text)
}

/// Puts a manifest as anybody who may push could; its digest.
fn put(port: u16, repository: &str, version: Option<&str>, kind: &str, manifest: &Value) -> String {
    let body = manifest.to_string();
    let digest = nbpack::digest::Digest::of(body.as_bytes()).to_string();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let version = version.unwrap_or(&digest);
    write!(
        stream,
        "PUT /v2/{repository}/manifests/{version} HTTP/1.0\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 201"), "{answer}");
    digest
}

fn document(port: u16, path: &str, kind: &str) -> Value {
    serde_json::from_slice(&get(port, path, kind)).unwrap()
}

#[test]
fn signatures_travel_through_a_registry_and_are_checked_there() {
    let env = TestEnv::new();
    let Some(registry) = Registry::start(&env, false, "") else { return };
    let image = format!("127.0.0.1:{}/team/nb:v1", registry.port);
    key_pair(&env, "ann");
    key_pair(&env, "bea");
    make_bundle(&env, "a.nbpack", 1 << 10, "one");
    sign(&env, "a.nbpack", &["--key", "ann.key"]);
    let pushed = json(&at(&env, "ann", &["push", "a.nbpack", &image, "--json"]));
    assert_eq!(pushed["signatures"], 1);
    // Once more: nothing is doubled.
    ok(&at(&env, "ann", &["push", "a.nbpack", &image]));

    let (code, said) = verify(&env, &image, "ann.pub");
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = verify(&env, &image, "bea.pub");
    assert!(code == Some(1) && said.contains("not signed as wanted"), "{said}");
    ok(&at(&env, "bob", &["pull", &image, "-o", "got.nbpack"]));
    let read = |name: &str| std::fs::read(env.work().join(name)).unwrap();
    assert!(read("a.nbpack") == read("got.nbpack"), "the pulled file is not the signed one");

    // Somebody else signs what is there; no layer moves.
    let proxy = Proxy::start(registry.port, Vec::new(), None);
    let through = format!("127.0.0.1:{}/team/nb:v1", proxy.port);
    sign(&env, &through, &["--key", "bea.key"]);
    assert!(
        proxy.seen().iter().all(|line| !line.contains("/blobs/") || !line.starts_with("PATCH")),
        "{:?}",
        proxy.seen()
    );
    assert_eq!(verify(&env, &image, "bea.pub").0, Some(0));
    proxy.have_referrers();
    assert_eq!(verify(&env, &through, "bea.pub").0, Some(0), "by the referrers API");
    assert!(proxy.seen().iter().any(|line| line.contains("/referrers/sha256:")));
    let restored = at(&env, "carl", &["restore", &image, "--no-kernel", "--signed-by", "bea.pub"]);
    ok(&restored);
    let refused = at(&env, "dora", &["restore", &image, "--no-kernel", "--signed-by", "eve.pub"]);
    assert_eq!(refused.status.code(), Some(2), "a file that is not there");
    key_pair(&env, "eve");
    let refused = at(&env, "dora", &["restore", &image, "--no-kernel", "--signed-by", "eve.pub"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(!env.path().join("dora/nbpack/v1/layers").exists() || at(&env, "dora", &["ls"]).stdout.is_empty());
}

#[test]
fn foreign_and_changed_signatures_in_a_registry_are_refused() {
    let env = TestEnv::new();
    let Some(registry) = Registry::start(&env, false, "") else { return };
    let image = |tag: &str| format!("127.0.0.1:{}/nb:{tag}", registry.port);
    key_pair(&env, "ann");
    make_bundle(&env, "a.nbpack", 1 << 10, "one");
    sign(&env, "a.nbpack", &["--key", "ann.key"]);
    make_bundle(&env, "b.nbpack", 1 << 10, "two");
    let manifest = |name: &str, tag: &str| {
        json(&at(&env, "ann", &["push", name, &image(tag), "--json"]))["manifest"].as_str().unwrap().to_owned()
    };
    let (a, b) = (manifest("a.nbpack", "a"), manifest("b.nbpack", "b"));
    let list = |of: &str| format!("/v2/nb/manifests/{}", of.replace(':', "-"));
    let index = document(registry.port, &list(&a), INDEX);
    let signature = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["artifactType"] == "application/vnd.nbpack.signature.v1+json");
    let signature = signature.unwrap().clone();
    assert!(verify(&env, &image("b"), "ann.pub").1.contains("nobody signed it"));

    // The list of another image names it: it is no referrer of that image.
    put(
        registry.port,
        "nb",
        Some(&b.replace(':', "-")),
        INDEX,
        &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [signature]}),
    );
    let (code, said) = verify(&env, &image("b"), "ann.pub");
    assert!(code == Some(1) && said.contains("nobody signed it"), "{said}");

    // It says that it is about the other image; what was signed says no.
    let artifact = signature["digest"].as_str().unwrap();
    let mut artifact = document(registry.port, &format!("/v2/nb/manifests/{artifact}"), MANIFEST);
    artifact["subject"]["digest"] = json!(b);
    let forged = put(registry.port, "nb", None, MANIFEST, &artifact);
    let mut entry = signature.clone();
    entry["digest"] = json!(forged);
    put(
        registry.port,
        "nb",
        Some(&b.replace(':', "-")),
        INDEX,
        &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}),
    );
    let (code, said) = verify(&env, &image("b"), "ann.pub");
    assert!(code == Some(1) && said.contains("signature"), "{code:?} {said}");
    let refused = at(&env, "bob", &["restore", &image("b"), "--no-kernel"]);
    assert_eq!(refused.status.code(), Some(1), "{}", String::from_utf8_lossy(&refused.stderr));
}

/// What cosign and the policies of registries look for; Debian's skopeo and podman are built without it, so OpenSSL checks.
#[test]
fn signatures_of_key_pairs_stand_where_cosign_looks_and_openssl_agrees() {
    let env = TestEnv::new();
    if !Path::new("/usr/bin/openssl").exists() {
        return skipped("no openssl");
    }
    let Some(registry) = Registry::start(&env, false, "") else { return };
    let name = format!("127.0.0.1:{}/team/nb", registry.port);
    key_pair(&env, "ann");
    key_pair(&env, "bea");
    make_bundle(&env, "a.nbpack", 1 << 10, "one");
    let pushed = json(&at(&env, "ann", &["push", "a.nbpack", &format!("{name}:v1"), "--json"]));
    let manifest = pushed["manifest"].as_str().unwrap();
    sign(&env, &format!("{name}:v1"), &["--key", "ann.key"]);
    // A second signer does not take the first one's place.
    sign(&env, &format!("{name}:v1"), &["--key", "bea.key"]);
    let found = document(registry.port, &format!("/v2/team/nb/manifests/{}.sig", manifest.replace(':', "-")), MANIFEST);
    let layers = found["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2, "{found:#}");
    for (layer, key) in layers.iter().zip(["ann.pub", "bea.pub"]) {
        assert_eq!(layer["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
        let payload = get(registry.port, &format!("/v2/team/nb/blobs/{}", layer["digest"].as_str().unwrap()), "*/*");
        let said: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(said["critical"]["image"]["docker-manifest-digest"], manifest);
        assert_eq!(said["critical"]["identity"]["docker-reference"], name);
        let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
        std::fs::write(env.work().join("payload"), &payload).unwrap();
        std::fs::write(env.work().join("signature.b64"), signature).unwrap();
        let script = format!(
            "base64 -d signature.b64 > signature && openssl dgst -sha256 -verify {key} -signature signature payload"
        );
        assert_eq!(ok(&env.command("sh").args(["-c", &script]).output().unwrap()).trim(), "Verified OK");
    }
}
