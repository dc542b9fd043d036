//! A registry that answers anything.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;

use super::{Client, Reference, Settings};
use crate::{digest::Digest, store::Store};

/// What every request gets: status, header lines, body.
type Answer = (u16, String, Vec<u8>);

/// Answers each request of this process with what stands there; ends with the process.
fn registry() -> (u16, Arc<Mutex<Answer>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(Mutex::new((200, String::new(), Vec::new())));
    let given = answer.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut length = 0;
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            std::io::copy(&mut reader.take(length), &mut std::io::sink()).unwrap_or_default();
            let (status, headers, body) = given.lock().unwrap().clone();
            let head =
                format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).unwrap_or_default();
        }
    });
    (port, answer)
}

/// A manifest, an index, a list of referrers, a token, an error: what a registry could say.
fn document() -> impl Strategy<Value = Vec<u8>> {
    let digest = Digest::of(b"x");
    let layer = "application/vnd.oci.image.layer.v1.tar+zstd";
    let known = vec![
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":1}},"layers":[{{"mediaType":"{layer}","digest":"{digest}","size":1}}],"annotations":{{"dev.nbpack.format":"1"}}}}"#
        ),
        format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":1,"platform":{{"architecture":"amd64","os":"linux"}}}}]}}"#
        ),
        r#"{"token":"abc","expires_in":-1}"#.to_owned(),
        r#"{"errors":[{"code":"DENIED","message":"\u001b[31mno"}]}"#.to_owned(),
    ];
    let spoilt = (proptest::sample::select(known), proptest::collection::vec((any::<usize>(), any::<u8>()), 0..4));
    prop_oneof![
        4 => spoilt.prop_map(|(text, changes)| {
            let mut bytes = text.into_bytes();
            for (at, value) in changes {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            bytes
        }),
        1 => any::<Vec<u8>>(),
    ]
}

fn header() -> impl Strategy<Value = String> {
    let names = ["Content-Type", "WWW-Authenticate", "Location", "Docker-Content-Digest", "Range", "Link"];
    let values = prop_oneof![
        Just("application/vnd.oci.image.manifest.v1+json".to_owned()),
        Just("application/vnd.oci.image.index.v1+json".to_owned()),
        Just("Basic realm=\"x\"".to_owned()),
        // Without a slash of its own, so that no host is named: nobody else is to be asked.
        "(Bearer realm=\"|/v2/|\\?|0-)[!-.0-~]{0,30}",
    ];
    (proptest::sample::select(names.to_vec()), values).prop_map(|(name, value)| format!("{name}: {value}\r\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// It is refused, or what it gave is what its digest says; it is asked only here, and nothing stays in the store.
    #[test]
    fn no_bytes_from_a_registry_make_the_client_panic(
        status in proptest::sample::select(vec![200_u16, 200, 200, 201, 202, 206, 301, 307, 400, 401, 403, 404, 405, 416]),
        headers in proptest::collection::vec(header(), 0..3),
        body in document(),
        by_digest: bool,
    ) {
        static REGISTRY: std::sync::LazyLock<(u16, Arc<Mutex<Answer>>)> = std::sync::LazyLock::new(registry);
        let (port, answer) = &*REGISTRY;
        let expected = Digest::of(&body);
        *answer.lock().unwrap() = (status, headers.concat(), body);
        let version = if by_digest { format!("@{expected}") } else { ":v1".to_owned() };
        let reference: Reference = format!("127.0.0.1:{port}/a/b{version}").parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let Ok(client) = Client::connect(&reference, &Settings::default()) else { return Ok(()) };
        match super::open(&reference, &client, &store, &()) {
            // The config would have to be its own manifest.
            Ok(bundle) => prop_assert_eq!(bundle.manifest_digest(), expected),
            Err(error) => {
                let said = crate::bundle::tests::chain(&error);
                prop_assert!(!said.contains('\u{1b}'), "{said:?}");
            }
        }
        prop_assert!(std::fs::read_dir(store.blobs()).map_or(true, |mut names| names.next().is_none()));
    }
}
