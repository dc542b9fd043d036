//! Promises of `sign` and of those who check, kept with real keys of OpenSSH and of our own making.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use nbpack::{bundle, store::Store};

use crate::{
    bundle::{inventory_of, plan_of, run_config},
    support::{TestEnv, program, skipped},
};

/// A small bundle, `work/demo.nbpack`.
fn small_bundle(env: &TestEnv) -> PathBuf {
    let tree = env.path().join("tree/one");
    std::fs::create_dir_all(&tree).unwrap();
    std::fs::write(tree.join("__init__.py"), "x = 1\n").unwrap();
    let run = run_config();
    let plan = plan_of(&inventory_of(tree.parent().unwrap(), "lib"), &run);
    let store = Store::open(&env.path().join("writer")).unwrap();
    let path = env.work().join("demo.nbpack");
    let mut out = bundle::write::Output::File(path.clone());
    bundle::write(&plan, &run, &store, bundle::write::WriteOptions::default(), &mut out, &()).unwrap();
    path
}

fn ssh_keygen(env: &TestEnv) -> bool {
    let there = env.command("ssh-keygen").arg("-?").output().is_ok();
    if !there {
        skipped("no ssh-keygen");
    }
    there
}

/// A new key of this type; its private half's path.
fn ssh_key(env: &TestEnv, kind: &str) -> PathBuf {
    let path = env.path().join(format!("key_{kind}"));
    let made =
        env.command("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-C", "ann", "-f"]).arg(&path).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    path
}

fn public(key: &Path) -> PathBuf {
    key.with_extension("pub")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn verify(env: &TestEnv, bundle: &Path, keys: &Path) -> Output {
    env.command(program()).arg("verify").arg(bundle).arg("--signed-by").arg(keys).output().unwrap()
}

#[test]
fn keys_of_ssh_sign_and_openssh_agrees() {
    let env = TestEnv::new();
    if !ssh_keygen(&env) {
        return;
    }
    let bundle = small_bundle(&env);
    let unsigned = std::fs::read(&bundle).unwrap();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = ssh_key(&env, kind);
        env.nbpack_ok(&["sign", bundle.to_str().unwrap(), "--key", key.to_str().unwrap()]);
        let checked = verify(&env, &bundle, &public(&key));
        assert!(checked.status.success(), "{kind}: {}", text(&checked));
    }
    // Three signatures now; each is one that OpenSSH takes too.
    let opened = bundle::read::Bundle::open(&bundle).unwrap();
    assert_eq!(opened.signatures().len(), 3);
    let allowed = env.path().join("allowed");
    let keys: String = ["ed25519", "ecdsa", "rsa"]
        .map(|kind| format!("ann {}", std::fs::read_to_string(env.path().join(format!("key_{kind}.pub"))).unwrap()))
        .concat();
    std::fs::write(&allowed, keys).unwrap();
    for signature in opened.signatures() {
        let nbpack::signature::Signature::Ssh { armored } = signature else { panic!("{signature:?}") };
        let file = env.path().join("one.sig");
        std::fs::write(&file, armored).unwrap();
        let mut child = env
            .command("ssh-keygen")
            .args(["-Y", "verify", "-n", "nbpack", "-I", "ann", "-f"])
            .arg(&allowed)
            .arg("-s")
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{}", opened.manifest_digest()).unwrap();
        assert!(child.wait().unwrap().success());
    }
    let checked = verify(&env, &bundle, &allowed);
    assert!(text(&checked).contains("signed by ann ("), "{}", text(&checked));
    // Signing again with a key replaces its signature; taking them away gives the old file, byte for byte.
    env.nbpack_ok(&["sign", bundle.to_str().unwrap(), "--key", env.path().join("key_rsa").to_str().unwrap()]);
    assert_eq!(bundle::read::Bundle::open(&bundle).unwrap().signatures().len(), 3);
    env.nbpack_ok(&["sign", bundle.to_str().unwrap(), "--remove"]);
    assert!(std::fs::read(&bundle).unwrap() == unsigned);
}

#[test]
fn a_removed_or_foreign_signature_is_refused_with_a_reason_and_nothing_is_restored() {
    let env = TestEnv::new();
    if !ssh_keygen(&env) {
        return;
    }
    let bundle = small_bundle(&env);
    let (mine, other) = (ssh_key(&env, "ed25519"), ssh_key(&env, "ecdsa"));
    for (signs, expected) in [(None, "nobody signed it"), (Some(&other), "only ecdsa-sha2-nistp256 key SHA256:")] {
        if let Some(key) = signs {
            env.nbpack_ok(&["sign", bundle.to_str().unwrap(), "--key", key.to_str().unwrap()]);
        }
        for verb in ["verify", "restore"] {
            let output =
                env.command(program()).arg(verb).arg(&bundle).arg("--signed-by").arg(public(&mine)).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{}", text(&output));
            assert!(text(&output).contains(expected), "{}", text(&output));
        }
        assert_eq!(env.nbpack_ok(&["ls", "--json"]).trim(), "[]");
    }
    env.nbpack_ok(&["sign", bundle.to_str().unwrap(), "--key", mine.to_str().unwrap()]);
    assert!(verify(&env, &bundle, &public(&mine)).status.success());
    let restored = env
        .command(program())
        .args(["restore", "--no-kernel", "--signed-by"])
        .arg(public(&mine))
        .arg(&bundle)
        .output()
        .unwrap();
    assert!(restored.status.success() && text(&restored).contains("signed by ann ("), "{}", text(&restored));
}

#[test]
fn every_byte_of_a_signed_bundle_is_proved() {
    let env = TestEnv::new();
    if !ssh_keygen(&env) {
        return;
    }
    let bundle = small_bundle(&env);
    let unsigned = std::fs::metadata(&bundle).unwrap().len();
    let key = ssh_key(&env, "ed25519");
    env.nbpack_ok(&["sign", bundle.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    let sound = std::fs::read(&bundle).unwrap();
    // The bytes before are tried by the bundle's own tests: here those that signing added.
    for at in (unsigned as usize - 1024)..sound.len() {
        let mut changed = sound.clone();
        changed[at] ^= 1;
        std::fs::write(&bundle, &changed).unwrap();
        let report = bundle::verify::file(&bundle, &());
        assert!(report.is_err() || !report.unwrap().is_sound(), "byte {at} of {}", sound.len());
    }
}

#[test]
fn a_pair_in_cosigns_layout_is_made_signs_and_is_believed() {
    let env = TestEnv::new();
    let bundle = small_bundle(&env);
    let run = |args: &[&str], password: &str| {
        env.command(program()).args(args).env("COSIGN_PASSWORD", password).stdin(Stdio::null()).output().unwrap()
    };
    let made = run(&["sign", "--generate-key-pair", "cosign"], "secret");
    assert!(made.status.success(), "{}", text(&made));
    let wrong = run(&["sign", "demo.nbpack", "--key", "cosign.key"], "other");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong).contains("the password does not open this key"), "{}", text(&wrong));
    let signed = run(&["sign", "demo.nbpack", "--key", "cosign.key", "--identity", "registry.example/demo"], "secret");
    assert!(signed.status.success(), "{}", text(&signed));
    let checked = verify(&env, &bundle, &env.work().join("cosign.pub"));
    assert!(checked.status.success(), "{}", text(&checked));
    // The pair is not written over.
    assert_eq!(run(&["sign", "--generate-key-pair", "cosign"], "x").status.code(), Some(2));
}
