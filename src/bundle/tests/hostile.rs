//! Bundles made to hurt: each is refused with a message that names the thing.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};

use super::{Place, chain, plan_of, run_config, small, with_threads};
use crate::bundle::{
    CHUNK, CLAMP, Compression,
    compress::Encoder,
    image, json,
    read::{Bundle, ReadError},
    tar::{self, Body},
    unpack,
};
use crate::digest::Digest;

/// An image put together by hand, to be wrong in one thing.
pub(super) struct Crafted {
    config: Value,
    manifest: Value,
    pub(super) blobs: Vec<Vec<u8>>,
}

pub(super) fn compress(tar: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    let mut encoder = Encoder::new(Compression::Zstd).unwrap();
    for chunk in tar.chunks(CHUNK) {
        let mut frame = Vec::new();
        encoder.frame(chunk, &mut frame).unwrap();
        blob.extend(frame);
    }
    blob
}

pub(super) fn tar_of(entries: &[(&str, Body, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (path, body, data) in entries {
        let mode = match body {
            Body::File { .. } => 0o644,
            Body::Directory => 0o755,
            Body::Symlink { .. } => 0o777,
        };
        let entry = tar::Entry { path: path.as_bytes().to_vec(), body: body.clone(), mode, mtime: CLAMP };
        out.extend(tar::encode(&entry).unwrap());
        out.extend(*data);
        out.resize(out.len() + tar::padding(data.len() as u64), 0);
    }
    out.extend(tar::END);
    out
}

pub(super) fn note() -> Vec<u8> {
    tar_of(&[("note", Body::File { size: 4 }, b"note")])
}

impl Crafted {
    pub(super) fn new(tars: &[Vec<u8>]) -> Self {
        let blobs: Vec<Vec<u8>> = tars.iter().map(|tar| compress(tar)).collect();
        let facts: Vec<image::LayerFacts> = tars
            .iter()
            .zip(&blobs)
            .map(|(tar, blob)| image::LayerFacts {
                title: "crafted".to_owned(),
                diff_id: crate::digest::DiffId(Digest::of(tar)),
                size: tar.len() as u64,
                entries: tar.windows(8).filter(|window| *window == b"ustar\x0000").count() as u64,
                blob: Digest::of(blob),
                blob_size: blob.len() as u64,
            })
            .collect();
        let config = image::config(&run_config(), &facts).unwrap();
        let manifest = image::manifest(&run_config(), &config, &facts, Compression::Zstd);
        Self {
            config: serde_json::from_slice(&config).unwrap(),
            manifest: serde_json::from_slice(&manifest).unwrap(),
            blobs,
        }
    }

    /// Replaces the blob of layer 0 and everything that says how long and what it is.
    pub(super) fn blob(mut self, blob: Vec<u8>) -> Self {
        self.manifest["layers"][0]["digest"] = json!(Digest::of(&blob));
        self.manifest["layers"][0]["size"] = json!(blob.len());
        self.blobs[0] = blob;
        self
    }

    pub(super) fn config(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    pub(super) fn manifest(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.manifest);
        self
    }

    pub(super) fn run(self, change: impl FnOnce(&mut Value)) -> Self {
        self.config(|config| {
            let labels = &mut config["config"]["Labels"];
            let mut run: Value = serde_json::from_str(labels[image::RUN_LABEL].as_str().unwrap()).unwrap();
            change(&mut run);
            let text = json::encode(&run);
            labels[image::RUN_DIGEST_LABEL] = json!(Digest::of(&text));
            labels[image::RUN_LABEL] = json!(String::from_utf8(text).unwrap());
        })
    }

    /// The documents with fitting digests, then `raw` may spoil their bytes.
    pub(super) fn members(mut self, raw: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> Vec<(String, Vec<u8>)> {
        let config = json::encode(&self.config);
        self.manifest["config"]["digest"] = json!(Digest::of(&config));
        self.manifest["config"]["size"] = json!(config.len());
        let manifest = json::encode(&self.manifest);
        let index = json!({"schemaVersion": 2, "manifests": [{
            "mediaType": image::MANIFEST_TYPE, "digest": Digest::of(&manifest), "size": manifest.len()}]});
        let mut members = BTreeMap::from([
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), json::encode(&index)),
            (image::blob_name(&Digest::of(&config)), config),
            (image::blob_name(&Digest::of(&manifest)), manifest),
        ]);
        for blob in self.blobs {
            members.insert(image::blob_name(&Digest::of(&blob)), blob);
        }
        raw(&mut members);
        members.into_iter().collect()
    }

    pub(super) fn archive(self) -> Vec<u8> {
        archive(&self.members(|_| {}))
    }
}

pub(super) fn archive(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in members {
        let entry = tar::Entry {
            path: name.as_bytes().to_vec(),
            body: Body::File { size: bytes.len() as u64 },
            mode: 0o600,
            mtime: 5,
        };
        out.extend(tar::encode(&entry).unwrap());
        out.extend(bytes);
        out.resize(out.len() + tar::padding(bytes.len() as u64), 0);
    }
    out.extend(tar::END);
    out
}

/// Opens, verifies, and unpacks; says all that is wrong. Checks that nothing came to lie beside the target.
pub(super) fn complaints(archive: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.nbpack");
    std::fs::write(&path, archive).unwrap();
    let bundle = match Bundle::open(&path) {
        Ok(bundle) => bundle,
        Err(error) => return chain(&error),
    };
    let report = bundle.verify(&());
    let mut text: String = report.problems.iter().map(|problem| chain(problem) + "\n").collect();
    for index in 0..bundle.layers().len() {
        let inside = dir.path().join("inside");
        std::fs::create_dir_all(&inside).unwrap();
        if let Err(error) = unpack::layer(&bundle, index, &inside.join(index.to_string())) {
            text.push_str(&chain(&error));
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "written outside of the target");
    }
    text
}

#[track_caller]
fn refused(archive: &[u8], expected: &str) {
    let found = complaints(archive);
    assert!(found.contains(expected), "expected `{expected}`, found `{found}`");
}

#[test]
fn a_crafted_bundle_without_fault_is_taken() {
    assert_eq!(complaints(&Crafted::new(&[note()]).archive()), "");
}

#[test]
fn blobs_that_are_not_what_the_documents_say_are_refused() {
    let mut spoiled = Crafted::new(&[note()]);
    let name = Digest::of(&spoiled.blobs[0]);
    let last = spoiled.blobs[0].len() - 1;
    spoiled.blobs[0][last] ^= 1;
    let wrong = spoiled.blobs[0].clone();
    let members = spoiled.members(|members| {
        members.remove(&image::blob_name(&Digest::of(&wrong)));
        members.insert(image::blob_name(&name), wrong);
    });
    refused(&archive(&members), &format!("blob {name} is damaged: its bytes hash to"));
    let other = Digest::of(b"other");
    refused(
        &Crafted::new(&[note()]).config(|config| config["rootfs"]["diff_ids"][0] = json!(other)).archive(),
        &format!("the config says {other}"),
    );
    let size =
        |size: Value| Crafted::new(&[note()]).manifest(|manifest| manifest["layers"][0]["size"] = size).archive();
    let right = compress(&note()).len();
    refused(&size(json!(right + 1)), &format!("is {right} bytes long instead of {}", right + 1));
    refused(&size(json!(0)), "a size of 0 bytes");
    refused(&size(json!(-1)), "invalid value: integer `-1`");
    refused(&size(json!(1.5)), "invalid type: floating point `1.5`");
    refused(&size(json!((1_u64 << 53) + 1)), "a size of 9007199254740993 bytes");
    let annotated = |key: &str, value: &str| {
        Crafted::new(&[note()]).manifest(|manifest| manifest["layers"][0]["annotations"][key] = json!(value)).archive()
    };
    refused(&annotated(image::LAYER_SIZE, "2000"), "holds 2048 bytes; the manifest says 2000");
    refused(&annotated(image::LAYER_SIZE, "3000"), "holds 2048 bytes; the manifest says 3000");
    refused(&annotated(image::LAYER_ENTRIES, "0"), "has more than 0 entries");
    refused(&annotated(image::LAYER_ENTRIES, "2"), "holds 1 entries; the manifest says 2");
    refused(&annotated(image::LAYER_ENTRIES, "2000001"), "2000001 entries");
    refused(&annotated(image::LAYER_TITLE, "a\u{1b}[31m"), "a control character in the title");
}

#[test]
fn frames_that_are_not_ours_are_refused() {
    let good = compress(&note());
    let spoil = |blob: Vec<u8>| Crafted::new(&[note()]).blob(blob).archive();
    let header = |bytes: &[u8]| spoil([&[0x28, 0xb5, 0x2f, 0xfd], bytes, &[0; 20]].concat());
    refused(&header(&[0b0000_0000, 0xff]), "needs a window of more than 128 MiB");
    refused(&header(&[0b0000_0000, 0x50]), "does not say its size");
    refused(&header(&[0b0010_0001, 9, 9]), "needs a dictionary");
    refused(&header(&[0b0010_0100, 9]), "has a checksum");
    refused(&header(&[0b0010_1000, 9]), "has a reserved bit set");
    refused(&header(&[0b0010_0000, 0]), "is empty");
    refused(&header(&[0b1010_0000, 1, 0, 0x80, 0]), "holds more than 8 MiB");
    refused(&header(&[0b0010_0000, 9, 6, 0, 0]), "has a block of a reserved type");
    refused(&spoil([&good[..], b"x"].concat()), &format!("goes on at byte {}", good.len()));
    refused(&spoil([&good[..], &good].concat()), &format!("goes on at byte {}", good.len()));
    refused(&spoil([&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0], &good[..]].concat()), "has a skippable frame at byte 0");
    refused(&spoil(good[..good.len() - 1].to_vec()), "ends in the middle of a frame");
    refused(&spoil(note()), "at byte 0 that is no zstd frame");
    // One last compressed block of three bytes that mean nothing.
    refused(&header(&[0b0010_0000, 9, 0x1d, 0, 0, 0xff, 0xff, 0xff]), "at byte 0 of the blob cannot be decompressed");
    let gzip = |media_type: &str| {
        Crafted::new(&[note()]).manifest(|manifest| manifest["layers"][0]["mediaType"] = json!(media_type)).archive()
    };
    refused(&gzip(Compression::Gzip.media_type()), "at byte 0 that is no gzip frame");
    refused(&gzip("application/vnd.oci.image.layer.v1.tar"), "has a layer of type");
    let named = flate2::GzBuilder::new().filename("x").write(Vec::new(), flate2::Compression::fast());
    let blob = {
        let mut named = named;
        std::io::Write::write_all(&mut named, &note()).unwrap();
        named.finish().unwrap()
    };
    let media_type = Compression::Gzip.media_type();
    let crafted =
        Crafted::new(&[note()]).blob(blob).manifest(|manifest| manifest["layers"][0]["mediaType"] = json!(media_type));
    refused(&crafted.archive(), "has a gzip header that nbpack does not write");
}

#[test]
fn a_bomb_stops_at_the_declared_size() {
    let bomb = compress(&vec![0; 40 * CHUNK]);
    refused(&Crafted::new(&[note()]).blob(bomb).archive(), "bytes; the manifest says 2048");
}

#[test]
fn hostile_documents_are_refused() {
    let spoil = |name: &str, bytes: Vec<u8>| {
        archive(&Crafted::new(&[note()]).members(|members| {
            members.insert(name.to_owned(), bytes);
        }))
    };
    refused(&spoil("index.json", vec![b' '; (4 << 20) + 1]), "are too many");
    refused(&spoil("index.json", "[".repeat(100).into_bytes()), "nested deeper than 64");
    refused(
        &spoil("index.json", b"{\"schemaVersion\":2,\"schemaVersion\":2,\"manifests\":[]}".to_vec()),
        "is there twice",
    );
    refused(&spoil("index.json", b"\"\xff\"".to_vec()), "index.json");
    refused(&spoil("index.json", br#"{"schemaVersion":2,"manifests":[]}"#.to_vec()), "names 0 manifests");
    refused(&spoil("oci-layout", br#"{"imageLayoutVersion":"2.0.0"}"#.to_vec()), "another version than 1.0.0");
    let index = |digest: &str, media_type: &str| {
        json::encode(&json!({"schemaVersion": 2, "manifests": [
            {"mediaType": media_type, "digest": digest, "size": 7}]}))
    };
    let zeros = format!("sha256:{}", "0".repeat(64));
    refused(&spoil("index.json", index(&zeros, image::INDEX_TYPE)), "instead of an image manifest");
    refused(&spoil("index.json", index(&zeros, image::MANIFEST_TYPE)), "(the manifest) is missing");
    let bad =
        ["sha256:../../x", &format!("sha256:{}", "A".repeat(64)), "sha256:00", &format!("sha512:{}", "0".repeat(128))];
    for digest in bad {
        refused(&spoil("index.json", index(digest, image::MANIFEST_TYPE)), "is not a digest of the form");
    }
    let change = |change: fn(&mut Value)| Crafted::new(&[note()]).manifest(change).archive();
    refused(&change(|manifest| manifest["layers"] = json!([])), "has 0 layers");
    refused(&change(|manifest| manifest["layers"] = vec![manifest["layers"][0].clone(); 10_000].into()), "layers");
    refused(
        &change(|manifest| manifest["layers"] = vec![manifest["layers"][0].clone(); 2].into()),
        "1 diff_ids for 2 layers",
    );
    refused(&change(|manifest| manifest["layers"][0]["urls"] = json!(["http://x"])), "fetched from elsewhere");
    refused(
        &change(|manifest| manifest["annotations"][image::FORMAT_KEY] = json!("2")),
        "has format 2; this nbpack reads up to 1",
    );
    refused(&change(|manifest| manifest["annotations"] = json!({})), "was not written by nbpack");
    refused(&change(|manifest| manifest["schemaVersion"] = json!(1)), "has schema version 1");
    refused(&change(|manifest| manifest["mediaType"] = json!("x")), "the manifest says it is");
    let members = Crafted::new(&[note()]).members(|members| {
        let name = members.iter().find(|(_, bytes)| bytes.starts_with(b"{\"annotations\"")).unwrap().0.clone();
        members.get_mut(&name).unwrap()[20] ^= 1;
    });
    refused(&archive(&members), "(the manifest) is damaged");
    let other = Crafted::new(&[note()])
        .config(|config| config["architecture"] = json!("s390x"))
        .run(|run| run["architecture"] = json!("s390x"));
    refused(&other.archive(), "the bundle is for s390x, this machine is");
}

#[test]
fn a_run_configuration_that_could_do_harm_is_refused() {
    let bad: &[(&str, Value, &str)] = &[
        ("name", json!("a/b"), "the name `a/b`"),
        ("name", json!("x\u{1b}[0m"), "the name `x\\u{1b}[0m`"),
        ("name", json!(".."), "the name `..`"),
        ("user", json!("$(x)"), "the user `$(x)`"),
        ("user", json!("a:b"), "the user `a:b`"),
        ("user", json!("../a"), "the user `../a`"),
        ("cwd", json!("../.."), "the path `../..`"),
        ("cwd", json!("/home/../../etc"), "the path `/home/../../etc`"),
        ("home", json!("home"), "the path `home`"),
        ("notebook", json!("/a\nb"), "the path `/a\\nb`"),
        ("kernel", json!("../python3"), "a slash in `../python3`"),
        ("host", json!("a/b"), "a slash in"),
        ("display_name", json!("\u{7}"), "a control character"),
        ("env", json!({"A": "x\u{0}y"}), "a NUL byte"),
        ("env", json!({"A=B": "x"}), "the variable `A=B`"),
        ("argv", json!(["a\u{0}"]), "a NUL byte"),
        ("uid", json!(-1), "invalid value"),
        (
            "roots",
            json!([{"role": 0, "kind": "venv", "prefix": "/x", "canonical": "/etc"}]),
            "an environment at `/etc`",
        ),
    ];
    for (key, value, expected) in bad {
        refused(&Crafted::new(&[note()]).run(|run| run[*key] = value.clone()).archive(), expected);
    }
    let label = Crafted::new(&[note()]).config(|config| config["config"]["Labels"][image::RUN_LABEL] = json!("{}"));
    refused(&label.archive(), "not as it says");
}

#[test]
fn layers_that_do_not_go_together_are_refused() {
    let link = tar_of(&[("a", Body::Symlink { target: b"/etc".to_vec() }, b"")]);
    let below = tar_of(&[("a", Body::Directory, b""), ("a/x", Body::File { size: 1 }, b"y")]);
    let over = tar_of(&[("a", Body::File { size: 1 }, b"z")]);
    refused(
        &Crafted::new(&[link.clone(), below.clone()]).archive(),
        "`a` of layer 1 (`crafted`) is a directory, and something else",
    );
    refused(&Crafted::new(&[below.clone(), link.clone()]).archive(), "`a` of layer 1 (`crafted`) replaces a directory");
    refused(&Crafted::new(&[below, over.clone()]).archive(), "replaces a directory");
    refused(&Crafted::new(&[over, link]).archive(), "is in a lower layer too");
}

#[test]
fn archives_with_two_readings_are_refused() {
    let mut members = Crafted::new(&[note()]).members(|_| {});
    let blob = members.iter().position(|(_, bytes)| bytes.starts_with(&[0x28, 0xb5])).unwrap();
    let twice = members[blob].clone();
    members.push(twice.clone());
    refused(&archive(&members), &format!("`{}` is there twice", twice.0));
    members.retain(|(name, _)| *name != twice.0);
    refused(&archive(&members), "(crafted) is missing");
    for gone in ["oci-layout", "index.json"] {
        let mut members = Crafted::new(&[note()]).members(|_| {});
        members.retain(|(name, _)| name != gone);
        refused(&archive(&members), &format!("it has no `{gone}`"));
    }
    let many: Vec<(String, Vec<u8>)> = (0..2001).map(|n| (format!("x{n}"), Vec::new())).collect();
    refused(&archive(&many), "more than 2000 members");
    let mut cut = Crafted::new(&[note()]).archive();
    cut.truncate(cut.len() - 2000);
    refused(&cut, "the file ends");
    refused(b"PK\x03\x04", "it has only 4 bytes");
    refused(&[b'x'; 4096], "it is no tar archive");
}

#[test]
fn a_hostile_layer_is_refused_by_verify_and_unpack_alike() {
    let outside = tar_of(&[("../evil", Body::File { size: 1 }, b"x")]);
    let text = complaints(&Crafted::new(&[outside]).archive());
    assert_eq!(text.matches("entry `../evil` has `..` in its path").count(), 2, "{text}");
}

#[test]
fn links_in_the_target_are_not_followed() {
    let place = Place::new();
    let tar = tar_of(&[("d", Body::Directory, b""), ("d/f", Body::File { size: 1 }, b"x")]);
    let path = place.path("x.nbpack");
    std::fs::write(&path, Crafted::new(&[tar]).archive()).unwrap();
    let bundle = Bundle::open(&path).unwrap();
    let target = place.path("target");
    std::fs::create_dir(&target).unwrap();
    std::os::unix::fs::symlink(place.dir.path(), target.join("d")).unwrap();
    assert!(bundle.unpack_layer(0, &target).is_err(), "the target is not empty");
    assert!(!place.path("f").exists());
    let link = place.path("link");
    std::os::unix::fs::symlink("/", &link).unwrap();
    assert!(bundle.unpack_layer(0, &link).is_err());
    assert!(matches!(bundle.unpack_layer(1, Path::new("/nowhere")), Err(unpack::UnpackError::NoSuchLayer { .. })));
}

#[test]
fn a_session_file_is_read_without_unpacking() {
    let place = Place::new();
    place.write(&plan_of(&small()), "x", with_threads(1)).unwrap();
    let bundle = Bundle::open(&place.path("x")).unwrap();
    assert_eq!(bundle.read_session_file("/opt/nbpack/session/note").unwrap(), b"note");
    assert!(matches!(bundle.read_session_file("/etc/hosts"), Err(ReadError::NoSuchFile { .. })));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 150, ..Default::default() })]

    /// Errors are fine, panics are bugs, and nothing is written beside the target.
    #[test]
    fn no_bytes_make_a_reader_panic(
        changes in proptest::collection::vec((proptest::prelude::any::<usize>(), proptest::prelude::any::<u8>()), 1..8),
        cut in proptest::option::of(proptest::prelude::any::<usize>()),
        inside in proptest::prelude::any::<bool>(),
    ) {
        let spoil = |bytes: &mut Vec<u8>| {
            for (at, value) in &changes {
                let at = at % bytes.len();
                bytes[at] = *value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut % bytes.len());
            }
        };
        // Either the archive is spoilt, or a layer's blob under a digest that fits again.
        let archive = if inside {
            let mut blob = compress(&note());
            spoil(&mut blob);
            Crafted::new(&[note()]).blob(blob).archive()
        } else {
            let mut archive = Crafted::new(&[note()]).archive();
            spoil(&mut archive);
            archive
        };
        drop(complaints(&archive));
    }
}
