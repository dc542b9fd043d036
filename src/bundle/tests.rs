//! Whole bundles, good and bad, made in memory.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Value, json};

use super::{
    CHUNK, CLAMP, Compression,
    compress::Encoder,
    config::RunConfig,
    image, json,
    plan::{self, LayerKind, Plan, PlanError, SessionFile},
    read::{Bundle, ReadError},
    tar::{self, Body},
    unpack, verify,
    write::{self, Output, WriteError, WriteOptions, Written},
};
use crate::{
    digest::Digest,
    files::Signature,
    inventory::model::{Class, Component, Entry, EntryKind, EnvironmentRoot, Inventory, Source},
    store::Store,
};

fn run_config() -> RunConfig {
    RunConfig {
        name: "sales".to_owned(),
        architecture: super::read::this_architecture().to_owned(),
        argv: vec!["/opt/nbpack/env/0/bin/python".to_owned(), "{connection_file}".to_owned()],
        kernel: "python3".to_owned(),
        display_name: "Python 3".to_owned(),
        language: "python".to_owned(),
        interrupt_mode: "signal".to_owned(),
        debugger: true,
        env: BTreeMap::from([("LANG".to_owned(), "C.UTF-8".to_owned())]),
        cwd: PathBuf::from("/home/ann/work"),
        user: "ann".to_owned(),
        uid: 1000,
        gid: 1000,
        home: PathBuf::from("/home/ann"),
        host: "desk".to_owned(),
        notebook: None,
        roots: vec![EnvironmentRoot {
            role: 0,
            kind: "venv".to_owned(),
            prefix: PathBuf::from("/home/ann/venv"),
            canonical: PathBuf::from("/opt/nbpack/env/0"),
        }],
        coverage: "full".to_owned(),
        machine: BTreeMap::new(),
        session: "s1".to_owned(),
        parent: None,
        command: Vec::new(),
        has_jupyter: false,
    }
}

fn entry(kind: EntryKind, class: Class, component: Option<usize>) -> Entry {
    Entry { kind, class, rule: "test", component, original: None, touched: false }
}

fn file(bytes: &[u8], class: Class, component: Option<usize>) -> Entry {
    let size = bytes.len() as u64;
    let kind = EntryKind::File { source: Source::Bytes(Arc::from(bytes)), size, executable: false, mtime: None };
    entry(kind, class, component)
}

fn component(name: &str) -> Component {
    Component {
        kind: "pypi".to_owned(),
        name: name.to_owned(),
        version: "1.0".to_owned(),
        licence: None,
        installer: None,
        direct_url: None,
        loaded: true,
        dependency: false,
        modified: Vec::new(),
        arch: None,
    }
}

/// A small image with one of everything.
fn small() -> Inventory {
    let mut inventory = Inventory { components: vec![component("alpha")], ..Inventory::default() };
    let mut add = |path: &str, entry: Entry| inventory.entries.insert(path.as_bytes().to_vec(), entry);
    let site = "opt/nbpack/env/0/lib/python3.11/site-packages";
    add(&format!("{site}/alpha/__init__.py"), file(b"x = 1\n", Class::Distribution, Some(0)));
    add(&format!("{site}/alpha/gr\u{f6}\u{df}e.txt"), file(b"", Class::Distribution, Some(0)));
    let link = EntryKind::Symlink { target: b"/opt/nbpack/env/0".to_vec() };
    add("home/ann/venv", entry(link, Class::Environment, None));
    let mut data = file(b"a,b\n1,2\n", Class::Dataset, None);
    if let EntryKind::File { mtime, executable, .. } = &mut data.kind {
        (*mtime, *executable) = (Some(1_700_000_000), true);
    }
    add("data/sets/in.csv", data);
    add("home/ann/work/other.csv", entry(EntryKind::Placeholder, Class::Listing, None));
    add("tmp", entry(EntryKind::Directory, Class::SystemState, None));
    add("etc/hosts", file(b"127.0.0.1 localhost\n", Class::SystemState, None));
    inventory
}

fn plan_of(inventory: &Inventory) -> Plan {
    let note = SessionFile::Bytes(Arc::from(&b"note"[..]));
    plan::plan(inventory, &run_config(), BTreeMap::from([(b"/opt/nbpack/session/note".to_vec(), note)])).unwrap()
}

struct Place {
    dir: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { dir, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, plan: &Plan, name: &str, options: WriteOptions) -> Result<Written, WriteError> {
        write::write(plan, &run_config(), &self.store, options, &mut Output::File(self.path(name)), &())
    }
}

fn with_threads(threads: usize) -> WriteOptions {
    WriteOptions { threads, ..WriteOptions::default() }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// A change here is a change of the format: it makes every stored layer new.
#[test]
fn the_diff_ids_of_a_fixed_image_are_golden() {
    let place = Place::new();
    let run = RunConfig { architecture: "amd64".to_owned(), ..run_config() };
    let mut out = Output::File(place.path("a"));
    let written = write::write(&plan_of(&small()), &run, &place.store, with_threads(2), &mut out, &()).unwrap();
    let found: Vec<String> =
        written.layers.iter().map(|layer| format!("{} {}", layer.title, layer.diff_id.0.short())).collect();
    let golden = [
        "libraries 24 da76c155c5e2",
        "environment b62f895cc9e0",
        "system state c55e1728794b",
        "datasets 04 575a8c13f184",
        "local code 4bee70c9702d",
        "session d98682d73251",
    ];
    assert_eq!(found, golden);
    // Under the pinned encoder the blobs, and so the manifest, are fixed too.
    assert_eq!(written.manifest.short(), "db555ecfee87");
}

#[test]
fn modes_and_times_follow_from_path_class_and_x_bit() {
    let plan = plan_of(&small());
    let find = |path: &str| {
        let all = plan.layers.iter().flat_map(|layer| &layer.entries);
        let found: Vec<_> = all.filter(|planned| planned.entry.path == path.as_bytes()).collect();
        assert!(!found.is_empty(), "{path}");
        assert!(found.iter().all(|planned| planned.entry == found[0].entry), "{path} differs between layers");
        (found[0].entry.mode, found[0].entry.mtime)
    };
    assert_eq!(find("data"), (0o755, CLAMP));
    assert_eq!(find("data/sets"), (0o775, CLAMP));
    assert_eq!(find("data/sets/in.csv"), (0o775, 1_700_000_000));
    assert_eq!(find("etc/hosts"), (0o644, CLAMP));
    assert_eq!(find("home"), (0o755, CLAMP));
    assert_eq!(find("home/ann"), (0o775, CLAMP));
    assert_eq!(find("home/ann/work/other.csv"), (0, CLAMP));
    assert_eq!(find("home/ann/venv"), (0o777, CLAMP));
    assert_eq!(find("opt/nbpack/env"), (0o755, CLAMP));
    assert_eq!(find("opt/nbpack/env/0/lib"), (0o775, CLAMP));
    assert_eq!(find("opt/nbpack/session/note"), (0o644, CLAMP));
    assert_eq!(find("tmp"), (0o777, CLAMP));
}

#[test]
fn every_layer_has_all_parents_and_the_session_is_last() {
    let plan = plan_of(&small());
    for layer in &plan.layers {
        let names: Vec<Vec<u8>> = layer.entries.iter().map(|planned| planned.entry.name()).collect();
        assert!(names.is_sorted(), "{}", layer.title);
        for planned in &layer.entries {
            if let Some(at) = planned.entry.path.iter().rposition(|byte| *byte == b'/') {
                assert!(names.contains(&planned.entry.path[..=at].to_vec()), "{}", layer.title);
            }
        }
    }
    assert_eq!(plan.layers.last().unwrap().kind, LayerKind::Session);
}

#[test]
fn entries_below_a_link_and_private_ones_are_refused() {
    let mut inventory = small();
    inventory.entries.insert(b"home/ann/venv/x".to_vec(), file(b"", Class::Environment, None));
    let refused = plan::plan(&inventory, &run_config(), BTreeMap::new());
    assert!(matches!(refused, Err(PlanError::BelowNonDirectory { .. })), "{refused:?}");
    let mut inventory = small();
    inventory.entries.insert(b"home/ann/.netrc".to_vec(), file(b"", Class::Private, None));
    assert!(matches!(plan::plan(&inventory, &run_config(), BTreeMap::new()), Err(PlanError::Forbidden { .. })));
    for path in ["/abs", "a/../b", "a//b", ""] {
        let mut inventory = small();
        inventory.entries.insert(path.as_bytes().to_vec(), file(b"", Class::Dataset, None));
        assert!(
            matches!(plan::plan(&inventory, &run_config(), BTreeMap::new()), Err(PlanError::Path { .. })),
            "{path}"
        );
    }
    for path in ["/etc/x", "/opt/nbpack/sessionx", "/opt/nbpack/session/../x"] {
        let files = BTreeMap::from([(path.as_bytes().to_vec(), SessionFile::Bytes(Arc::from(&b""[..])))]);
        assert!(matches!(plan::plan(&small(), &run_config(), files), Err(PlanError::SessionFile { .. })), "{path}");
    }
}

#[test]
fn names_that_no_engine_would_keep_are_left_out_and_named() {
    let mut inventory = small();
    inventory.entries.insert(b"data/sets/.wh.x".to_vec(), file(b"", Class::Dataset, None));
    let strange = [&b"data/"[..], &[0xff; 120]].concat();
    inventory.entries.insert(strange.clone(), file(b"", Class::Dataset, None));
    let plan = plan_of(&inventory);
    let names: Vec<&[u8]> = plan.left_out.iter().map(|(path, _)| path.as_slice()).collect();
    assert_eq!(names, [b"data/sets/.wh.x".as_slice(), &strange]);
}

#[test]
fn large_owners_have_layers_of_their_own_and_there_are_never_too_many() {
    let zeros: Arc<[u8]> = vec![0; 5 << 20].into();
    let mut inventory = Inventory::default();
    for n in 0..300 {
        inventory.components.push(component(&format!("dist{n}")));
        let large = n % 2 == 0;
        let (source, size) = if large { (zeros.clone(), 5 << 20) } else { (Arc::from(&b"x"[..]), 1) };
        let kind = EntryKind::File { source: Source::Bytes(source), size, executable: false, mtime: None };
        inventory.entries.insert(format!("lib/dist{n}.py").into(), entry(kind, Class::Distribution, Some(n)));
    }
    for n in 0..60 {
        let kind =
            EntryKind::File { source: Source::Bytes(zeros.clone()), size: 5 << 20, executable: false, mtime: None };
        inventory.entries.insert(format!("data/{n}.bin").into(), entry(kind, Class::Dataset, None));
    }
    let plan = plan_of(&inventory);
    assert!(plan.layers.len() <= plan::MAX_LAYERS, "{}", plan.layers.len());
    let datasets = plan.layers.iter().filter(|layer| layer.kind == LayerKind::Dataset).count();
    assert_eq!(datasets, 24 + 8);
    // With few of them, each large one has its own.
    inventory.entries.retain(|path, _| path.starts_with(b"lib/dist1"));
    let plan = plan_of(&inventory);
    assert!(plan.layers.iter().any(|layer| layer.title == "dist10 1.0"));
    assert!(plan.layers.iter().any(|layer| layer.title.starts_with("libraries ")));
}

/// 20 MB that do not compress, so several frames.
fn large() -> Inventory {
    let mut state = 7_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u8
    })
    .take(20 << 20)
    .collect();
    let mut inventory = small();
    inventory.entries.insert(b"data/big.bin".to_vec(), file(&noise, Class::Dataset, None));
    inventory
}

#[test]
fn the_bytes_do_not_depend_on_threads_and_the_store() {
    let plan = plan_of(&large());
    let first = Place::new();
    let one = first.write(&plan, "one", with_threads(1)).unwrap();
    let other = Place::new();
    other.write(&plan, "five", with_threads(5)).unwrap();
    let again = other.write(&plan, "again", with_threads(2)).unwrap();
    assert_eq!(again.reused, plan.layers.len());
    assert_eq!(again.new_bytes, 0);
    assert_eq!(one.reused, 0);
    let bytes = std::fs::read(first.path("one")).unwrap();
    assert_eq!(bytes.len() as u64, one.bytes);
    assert!(bytes == std::fs::read(other.path("five")).unwrap());
    assert!(bytes == std::fs::read(other.path("again")).unwrap());
    let report = verify::file(&first.path("one"), &()).unwrap();
    assert!(report.is_sound() && !report.repacked, "{report:?}");
    let big = one.layers.iter().find(|layer| layer.title == "dataset big.bin").unwrap();
    assert!(big.size > 2 * CHUNK as u64);
}

#[test]
fn two_exports_at_once_make_each_layer_once() {
    let place = Place::new();
    let plan = plan_of(&large());
    let written: Vec<Written> = std::thread::scope(|scope| {
        let threads = ["a", "b"].map(|name| scope.spawn(|| place.write(&plan, name, with_threads(1)).unwrap()));
        threads.map(|thread| thread.join().unwrap()).into()
    });
    assert_eq!(written[0].manifest, written[1].manifest);
    assert_eq!(written[0].reused + written[1].reused, plan.layers.len());
    let left = std::fs::read_dir(place.store.layer_index()).unwrap();
    assert!(left.map(|name| name.unwrap().file_name()).all(|name| name.to_string_lossy().ends_with(".json")));
}

#[test]
fn a_run_configuration_that_no_reader_takes_is_not_written() {
    let place = Place::new();
    let run = RunConfig { cwd: PathBuf::from("somewhere"), ..run_config() };
    let mut out = Output::File(place.path("a"));
    let result = write::write(&plan_of(&small()), &run, &place.store, with_threads(1), &mut out, &());
    assert!(matches!(&result, Err(WriteError::Run { what }) if what == "the path `somewhere`"), "{result:?}");
    let run = RunConfig { user: "CORP\\ann".to_owned(), ..run_config() };
    write::write(&plan_of(&small()), &run, &place.store, with_threads(1), &mut out, &()).unwrap();
    Bundle::open(&place.path("a")).unwrap();
}

#[test]
fn gzip_has_the_same_diff_ids_and_the_same_config() {
    let place = Place::new();
    let plan = plan_of(&large());
    let zstd = place.write(&plan, "zstd", with_threads(2)).unwrap();
    let gzip = place.write(&plan, "gzip", WriteOptions { compression: Compression::Gzip, threads: 2 }).unwrap();
    let diff_ids = |written: &Written| written.layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>();
    assert_eq!(diff_ids(&zstd), diff_ids(&gzip));
    assert_ne!(zstd.manifest, gzip.manifest);
    let opened = [Bundle::open(&place.path("zstd")).unwrap(), Bundle::open(&place.path("gzip")).unwrap()];
    assert_eq!(opened[0].manifest.config, opened[1].manifest.config);
    let report = opened[1].verify(&());
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn a_directory_is_a_layout_and_is_replaced_in_one_step() {
    let place = Place::new();
    let plan = plan_of(&small());
    let to = place.path("layout");
    for _ in 0..2 {
        let mut out = Output::Dir(to.clone());
        write::write(&plan, &run_config(), &place.store, with_threads(1), &mut out, &()).unwrap();
        let report = verify::file(&to, &()).unwrap();
        assert!(report.is_sound() && !report.repacked, "{report:?}");
    }
    let written = place.write(&plan, "file", with_threads(1)).unwrap();
    assert_eq!(Bundle::open(&to).unwrap().manifest_digest(), written.manifest);
    // Damage in the documents that no digest covers.
    let docker = to.join("manifest.json");
    std::fs::write(&docker, std::fs::read_to_string(&docker).unwrap().replace("sales", "salts")).unwrap();
    let report = verify::file(&to, &()).unwrap();
    assert!(report.problems[0].to_string().contains("manifest.json"), "{report:?}");
    // A directory of something else is not touched.
    let mut out = Output::Dir(place.path("store"));
    let result = write::write(&plan, &run_config(), &place.store, with_threads(1), &mut out, &());
    assert!(matches!(result, Err(WriteError::Occupied { .. })));
}

#[test]
fn a_file_that_changes_while_it_is_packed_is_named_and_nothing_is_written() {
    let place = Place::new();
    let path = place.path("data.csv");
    std::fs::write(&path, "1,2,3").unwrap();
    let signature = Signature::of(&std::fs::metadata(&path).unwrap());
    let kind = EntryKind::File {
        source: Source::Host { path: path.clone(), signature },
        size: signature.size,
        executable: false,
        mtime: None,
    };
    let mut inventory = small();
    inventory.entries.insert(b"data/data.csv".to_vec(), entry(kind, Class::Dataset, None));
    let plan = plan_of(&inventory);
    std::fs::write(&path, "1,2,3,4").unwrap();
    let error = place.write(&plan, "out", with_threads(2)).unwrap_err();
    assert!(matches!(&error, WriteError::Changed { path: named } if *named == path), "{error:?}");
    assert!(!place.path("out").exists());
    let left: Vec<_> = std::fs::read_dir(place.store.tmp()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_blob_of_the_store_that_is_not_what_it_says_is_refused() {
    let place = Place::new();
    let digest = Digest::of(b"right");
    let path = place.store.blob_path(&digest);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut inventory = small();
    let kind = EntryKind::File { source: Source::Blob(digest), size: 5, executable: false, mtime: None };
    inventory.entries.insert(b"data/x".to_vec(), entry(kind, Class::Dataset, None));
    std::fs::write(&path, "wrong").unwrap();
    let error = place.write(&plan_of(&inventory), "out", with_threads(1)).unwrap_err();
    assert!(matches!(error, WriteError::DamagedBlob { .. }), "{error:?}");
    std::fs::write(&path, "right").unwrap();
    place.write(&plan_of(&inventory), "out", with_threads(1)).unwrap();
}

#[test]
fn an_unchanged_file_is_not_read_again_but_a_fresh_one_is_not_trusted() {
    let place = Place::new();
    let path = place.path("data.csv");
    std::fs::write(&path, "1,2,3").unwrap();
    let signature = Signature::of(&std::fs::metadata(&path).unwrap());
    let at = |signature| {
        let kind = EntryKind::File {
            source: Source::Host { path: path.clone(), signature },
            size: 5,
            executable: false,
            mtime: None,
        };
        let mut inventory = Inventory::default();
        inventory.entries.insert(b"data/data.csv".to_vec(), entry(kind, Class::Dataset, None));
        plan_of(&inventory)
    };
    place.write(&at(signature), "out", with_threads(1)).unwrap();
    let again = place.write(&at(signature), "out", with_threads(1)).unwrap();
    assert!(!again.layers[0].reused, "its ctime is too young to tell");
    assert!(again.layers[1].reused);
}

/// What stands where in the documents decides; every byte of the file is flipped once.
#[test]
fn every_single_byte_flip_is_found_and_damaged_blobs_are_named() {
    let place = Place::new();
    let mut inventory = Inventory::default();
    inventory.entries.insert(b"data/in.csv".to_vec(), file(b"1,2\n", Class::Dataset, None));
    place.write(&plan_of(&inventory), "whole", with_threads(1)).unwrap();
    let whole = std::fs::read(place.path("whole")).unwrap();
    assert!(verify::file(&place.path("whole"), &()).unwrap().is_sound());
    let layers: Vec<(Digest, usize, usize)> = Bundle::open(&place.path("whole"))
        .unwrap()
        .layers()
        .iter()
        .map(|layer| {
            let name = image::blob_name(&layer.descriptor.digest);
            let header = whole.windows(name.len()).rposition(|window| window == name.as_bytes()).unwrap();
            (layer.descriptor.digest, header + 512, header + 512 + layer.descriptor.size as usize)
        })
        .collect();
    let half = whole.len() / 2;
    std::thread::scope(|scope| {
        for (name, range) in [("a", 0..half), ("b", half..whole.len())] {
            let (path, whole, layers) = (place.path(name), &whole, &layers);
            scope.spawn(move || {
                std::fs::write(&path, whole).unwrap();
                let target = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                for at in range {
                    let put = |byte: u8| std::os::unix::fs::FileExt::write_all_at(&target, &[byte], at as u64).unwrap();
                    put(whole[at] ^ 1 << (at % 8));
                    let text = match verify::file(&path, &()) {
                        Ok(report) => {
                            assert!(!report.is_sound(), "a flip of byte {at} is not seen");
                            assert!(report.is_damaged(), "byte {at}: {report:?}");
                            report.problems.iter().map(|problem| chain(problem)).collect::<String>()
                        }
                        Err(error) => {
                            assert!(error.is_damage(), "byte {at}: {error:?}");
                            chain(&error)
                        }
                    };
                    if let Some((digest, ..)) = layers.iter().find(|(_, from, to)| (*from..*to).contains(&at)) {
                        assert!(text.contains(&format!("blob {digest} is damaged")), "byte {at}: {text}");
                    }
                    put(whole[at]);
                }
            });
        }
    });
    for cut in [0, 100, 511, 512, 2000, whole.len() - 1024, whole.len() - 512, whole.len() - 1] {
        std::fs::write(place.path("cut"), &whole[..cut]).unwrap();
        let result = verify::file(&place.path("cut"), &());
        assert!(result.is_err() || !result.unwrap().is_sound(), "cut at {cut}");
    }
    std::fs::write(place.path("longer"), [&whole[..], b"\0"].concat()).unwrap();
    assert!(!verify::file(&place.path("longer"), &()).unwrap().is_sound());
}

/// An image put together by hand, to be wrong in one thing.
struct Crafted {
    config: Value,
    manifest: Value,
    blobs: Vec<Vec<u8>>,
}

fn compress(tar: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    let mut encoder = Encoder::new(Compression::Zstd).unwrap();
    for chunk in tar.chunks(CHUNK) {
        let mut frame = Vec::new();
        encoder.frame(chunk, &mut frame).unwrap();
        blob.extend(frame);
    }
    blob
}

fn tar_of(entries: &[(&str, Body, &[u8])]) -> Vec<u8> {
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

fn note() -> Vec<u8> {
    tar_of(&[("note", Body::File { size: 4 }, b"note")])
}

impl Crafted {
    fn new(tars: &[Vec<u8>]) -> Self {
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
    fn blob(mut self, blob: Vec<u8>) -> Self {
        self.manifest["layers"][0]["digest"] = json!(Digest::of(&blob));
        self.manifest["layers"][0]["size"] = json!(blob.len());
        self.blobs[0] = blob;
        self
    }

    fn config(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    fn manifest(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.manifest);
        self
    }

    fn run(self, change: impl FnOnce(&mut Value)) -> Self {
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
    fn members(mut self, raw: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> Vec<(String, Vec<u8>)> {
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

    fn archive(self) -> Vec<u8> {
        archive(&self.members(|_| {}))
    }
}

fn archive(members: &[(String, Vec<u8>)]) -> Vec<u8> {
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
fn complaints(archive: &[u8]) -> String {
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
