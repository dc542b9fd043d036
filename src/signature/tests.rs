use super::*;

fn manifest() -> Digest {
    Digest::of(b"a manifest")
}

fn pair() -> (cosign::PrivateKey, String) {
    let (key, public) = cosign::PrivateKey::generate(b"secret").unwrap();
    (cosign::PrivateKey::parse(&key, b"secret").unwrap(), public)
}

#[test]
fn a_pair_in_cosigns_layout_signs_and_only_its_password_opens_it() {
    let (text, public) = cosign::PrivateKey::generate(b"secret").unwrap();
    assert!(cosign::is_key(&text) && cosign::is_encrypted(&text));
    assert!(matches!(cosign::PrivateKey::parse(&text, b"other"), Err(cosign::KeyError::Password)));
    let key = cosign::PrivateKey::parse(&text, b"secret").unwrap();
    let signature = key.sign(&manifest(), "registry.example/demo").unwrap();
    let signer = signature.check(&manifest()).unwrap();
    assert_eq!(Trust::parse(&public).unwrap().knows(&signer), Some(""));
    let (_, stranger) = pair();
    assert_eq!(Trust::parse(&stranger).unwrap().knows(&signer), None);
}

#[test]
fn a_signature_of_another_manifest_is_refused() {
    let signature = pair().0.sign(&manifest(), "").unwrap();
    assert!(matches!(signature.check(&Digest::of(b"another")), Err(SignatureError::Elsewhere { .. })));
}

#[test]
fn every_changed_byte_of_a_signature_is_found() {
    let signature = pair().0.sign(&manifest(), "x").unwrap();
    let text = serde_json::to_vec(&signature).unwrap();
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] ^= 1;
        if let Ok(changed) = serde_json::from_slice::<Signature>(&changed) {
            assert!(changed.check(&manifest()).is_err(), "byte {at}");
        }
    }
}

#[test]
fn a_key_that_asks_for_too_much_work_is_refused() {
    let (text, _) = cosign::PrivateKey::generate(b"").unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let json = String::from_utf8(STANDARD.decode(body).unwrap()).unwrap().replace("65536", "4294967296");
    let label = "ENCRYPTED SIGSTORE PRIVATE KEY";
    let heavy = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(json));
    assert!(matches!(cosign::PrivateKey::parse(&heavy, b""), Err(cosign::KeyError::Malformed { .. })));
}

#[test]
fn lines_of_allowed_signers_are_read_as_openssh_does() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHKEChAMjuRJcUZcMl1G3lLg1z3MOxSvnzUTDBlbtnTA";
    let raw = |text: &str| {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        PublicKey::Ssh(STANDARD.decode(text.split(' ').nth(1).unwrap()).unwrap())
    };
    let name_in = |text: &str| Trust::parse(text).unwrap().knows(&raw(key)).map(str::to_owned);
    assert_eq!(name_in(&format!("{key} ann at work\n")).unwrap(), "ann at work");
    assert_eq!(name_in(&format!("# colleagues\n\nann@example.org {key}\n")).unwrap(), "ann@example.org");
    assert_eq!(name_in(&format!("ann namespaces=\"git,nbpack\" {key}\n")).unwrap(), "ann");
    assert!(matches!(Trust::parse(&format!("ann namespaces=\"git\" {key}\n")), Err(trust::TrustError::Empty)));
    for wrong in [format!("ann cert-authority {key}"), "ann".to_owned(), "ann ssh-ed25519 AAAA".to_owned()] {
        assert!(matches!(Trust::parse(&wrong), Err(trust::TrustError::Line { line: 1, .. })), "{wrong}");
    }
}

#[test]
fn malformed_ssh_signatures_are_errors() {
    for text in [
        "",
        "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----",
    ] {
        assert!(matches!(sshsig::check(text, sshsig::NAMESPACE, b""), Err(SignatureError::Malformed { .. })), "{text}");
    }
}

/// By an Ed25519 key that was thrown away, over [`message`] of [`manifest`] (`ssh-keygen -Y sign -n nbpack`).
const SSH: &str = include_str!("../../tests/fixtures/signature.sshsig");

#[test]
fn a_signature_of_openssh_holds() {
    assert!(matches!(Signature::Ssh { armored: SSH.to_owned() }.check(&manifest()), Ok(PublicKey::Ssh(_))));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 100, ..Default::default() })]

    /// Errors are fine, panics are bugs; and what still holds is of the same key.
    #[test]
    fn no_bytes_in_a_signature_make_it_panic_or_hold(
        changes in proptest::collection::vec((proptest::prelude::any::<usize>(), 0_u8..128), 1..5),
        cut in proptest::option::of(proptest::prelude::any::<usize>()),
        inside in proptest::prelude::any::<bool>(),
    ) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        static COSIGN: std::sync::LazyLock<Signature> =
            std::sync::LazyLock::new(|| pair().0.sign(&manifest(), "registry.example/x").unwrap());
        let spoil = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            for (at, value) in &changes {
                let at = at % bytes.len();
                bytes[at] = *value;
            }
            bytes.truncate(cut.map_or(bytes.len(), |cut| cut % bytes.len()));
            bytes
        };
        let before = Signature::Ssh { armored: SSH.to_owned() };
        // The text as it stands, or the bytes in it under an armour that fits again.
        let armored = if inside {
            let body: String = SSH.lines().filter(|line| !line.starts_with('-')).collect();
            let body = STANDARD.encode(spoil(&STANDARD.decode(body).unwrap()));
            format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n")
        } else {
            String::from_utf8(spoil(SSH.as_bytes())).unwrap()
        };
        if let Ok(key) = (Signature::Ssh { armored }).check(&manifest()) {
            proptest::prop_assert_eq!(key, before.check(&manifest()).unwrap());
        }
        let text = serde_json::to_vec(&*COSIGN).unwrap();
        if let Ok(changed) = serde_json::from_slice::<Signature>(&spoil(&text))
            && let Ok(key) = changed.check(&manifest())
        {
            proptest::prop_assert_eq!(key, COSIGN.check(&manifest()).unwrap());
        }
        let line = "ann namespaces=\"git,nbpack\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHKEChAMjuRJcUZcMl1G3lLg1z3MOxSvnzUTDBlbtnTA";
        drop(Trust::parse(&String::from_utf8(spoil(line.as_bytes())).unwrap()));
    }
}
