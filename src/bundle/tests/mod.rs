//! Whole bundles made in memory; the bad ones are in [`hostile`], and counted in [`seventy`].

mod hostile;
mod seventy;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::{
    CHUNK, CLAMP, Compression, Unused, collect_unused,
    config::RunConfig,
    image,
    plan::{self, LayerKind, Plan, PlanError, SessionFile},
    read::Bundle,
    verify,
    write::{self, Output, WriteError, WriteOptions, Written},
};
use crate::digest::Digest;
use crate::files::Signature;
use crate::inventory::model::{Class, Component, Entry, EntryKind, EnvironmentRoot, Inventory, Source};
use crate::store::Store;

pub(crate) fn run_config() -> RunConfig {
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
        renamed: Vec::new(),
    }
}

fn entry(kind: EntryKind, class: Class, component: Option<usize>) -> Entry {
    Entry { kind, class, rule: "test", component, original: None, touched: false, apart: false }
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
        ..Component::default()
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
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
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

#[test]
fn a_large_file_with_its_own_prefix_does_not_share_a_layer_with_what_installers_write() {
    let titles = |record: &[u8]| {
        let mut inventory = small();
        let large = file(&vec![0; 5 << 20], Class::Environment, None);
        inventory.entries.insert(b"opt/nbpack/env/1/lib/libpython3.11.so.1.0".to_vec(), large);
        inventory.entries.insert(b"opt/nbpack/env/0/RECORD".to_vec(), file(record, Class::Environment, None));
        let place = Place::new();
        let written = place.write(&plan_of(&inventory), "a", with_threads(1)).unwrap();
        let of = |title: &str| written.layers.iter().find(|layer| layer.title == title).unwrap().diff_id;
        (of("environment libpython3.11.so.1.0"), of("environment"))
    };
    let (one, other) = (titles(b"by pip"), titles(b"by uv"));
    assert_eq!(one.0, other.0);
    assert_ne!(one.1, other.1);
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
    let inventory = with_dataset(&path);
    let plan = plan_of(&inventory);
    std::fs::write(&path, "1,2,3,4").unwrap();
    let error = place.write(&plan, "out", with_threads(2)).unwrap_err();
    assert!(matches!(&error, WriteError::Changed { path: named } if *named == path), "{error:?}");
    assert!(!place.path("out").exists());
    let left: Vec<_> = std::fs::read_dir(place.store.tmp()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    // Another name for it is no other content, but changes its ctime.
    std::fs::write(&path, "1,2,3").unwrap();
    let inventory = with_dataset(&path);
    let plan = plan_of(&inventory);
    let before = Signature::of(&std::fs::metadata(&path).unwrap());
    while Signature::of(&std::fs::metadata(&path).unwrap()).ctime_ns == before.ctime_ns {
        std::fs::remove_file(place.path("linked.csv")).unwrap_or_default();
        std::fs::hard_link(&path, place.path("linked.csv")).unwrap();
    }
    place.write(&plan, "out", with_threads(2)).unwrap();
}

/// A bundle's inventory with one file of this machine.
fn with_dataset(path: &std::path::Path) -> Inventory {
    let signature = Signature::of(&std::fs::metadata(path).unwrap());
    let kind = EntryKind::File {
        source: Source::Host { path: path.to_owned(), signature },
        size: signature.size,
        executable: false,
        mtime: None,
    };
    let mut inventory = small();
    inventory.entries.insert(b"data/data.csv".to_vec(), entry(kind, Class::Dataset, None));
    inventory
}

#[test]
fn packed_layers_that_no_export_uses_go_and_are_made_again() {
    let place = Place::new();
    let plan = plan_of(&small());
    let first = place.write(&plan, "first", with_threads(2)).unwrap();
    let day = std::time::Duration::from_secs(24 * 3600);
    let entries = || -> Vec<_> {
        let all = std::fs::read_dir(place.store.layer_index()).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
    };
    let age = |days: u32| {
        let now = std::time::Duration::from_nanos(crate::event::now().cast_unsigned());
        let then = std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + now - day * days);
        for path in entries() {
            std::fs::File::options().append(true).open(path).unwrap().set_times(then).unwrap();
        }
    };
    assert!(!entries().is_empty());
    assert_eq!(collect_unused(&place.store, 30 * day, true).unwrap(), Unused::default());
    // An export uses them.
    age(31);
    place.write(&plan, "again", with_threads(2)).unwrap();
    assert_eq!(collect_unused(&place.store, 30 * day, true).unwrap(), Unused::default());
    age(31);
    let would = collect_unused(&place.store, 30 * day, false).unwrap();
    assert!(would.bytes > 0 && would.blobs.iter().all(|blob| blob.is_file()), "{would:?}");
    assert_eq!(collect_unused(&place.store, 30 * day, true).unwrap(), would);
    assert!(entries().is_empty() && would.blobs.iter().all(|blob| !blob.exists()), "{would:?}");
    assert_eq!(place.write(&plan, "third", with_threads(2)).unwrap().manifest, first.manifest);
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
