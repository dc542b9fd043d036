//! The seventy ways to hurt whoever opens a bundle, one after the other: each is refused with words that name the thing.
//!
//! The table counts them, so that none is lost. What our own layers need is an exception, and is said there: a layer of
//! more than 8 MiB has several frames, so cases 48 and 50 are about what comes after a frame that is not full.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::hostile::{Crafted, archive, complaints, compress, note, tar_of};
use crate::bundle::{
    CHUNK, Compression, image, json,
    tar::{
        Body, END,
        tests::{Raw, dir, file, pax, record, special, symlink, whole},
    },
};
use crate::digest::Digest;

/// Number, what is tried, what is said to it, the file.
type Case = (u32, &'static str, String, Vec<u8>);

struct Table(Vec<Case>);

impl Table {
    fn case(&mut self, number: u32, what: &'static str, expected: impl Into<String>, file: Vec<u8>) {
        self.0.push((number, what, expected.into(), file));
    }

    /// A bundle whose layers are these archives.
    fn layers(&mut self, number: u32, what: &'static str, expected: &str, layers: &[Vec<u8>]) {
        self.case(number, what, expected, Crafted::new(layers).archive());
    }

    /// A bundle whose one layer has these entries.
    fn tar(&mut self, number: u32, what: &'static str, expected: &str, entries: &[Vec<u8>]) {
        self.layers(number, what, expected, &[whole(entries)]);
    }

    /// A bundle whose one layer is this, and says that it is longer.
    fn cut(&mut self, number: u32, what: &'static str, expected: &str, layer: &[u8]) {
        let crafted = Crafted::new(&[layer.to_vec()])
            .manifest(|manifest| manifest["layers"][0]["annotations"][image::LAYER_SIZE] = json!("100000"));
        self.case(number, what, expected, crafted.archive());
    }

    fn path(&mut self, number: u32, what: &'static str, expected: &str, path: &[u8]) {
        self.tar(number, what, expected, &[pax(&record("path", path), &file("x"))]);
    }

    /// A bundle whose layer's blob is this.
    fn blob(&mut self, number: u32, what: &'static str, expected: &str, blob: Vec<u8>) {
        self.case(number, what, expected, Crafted::new(&[note()]).blob(blob).archive());
    }

    fn frame(&mut self, number: u32, what: &'static str, expected: &str, header: &[u8]) {
        self.blob(number, what, expected, [&[0x28, 0xb5, 0x2f, 0xfd], header, &[0; 20]].concat());
    }

    fn manifest(&mut self, number: u32, what: &'static str, expected: &str, change: impl FnOnce(&mut Value)) {
        self.case(number, what, expected, Crafted::new(&[note()]).manifest(change).archive());
    }

    fn run(&mut self, number: u32, what: &'static str, expected: &str, key: &str, value: Value) {
        self.case(number, what, expected, Crafted::new(&[note()]).run(|run| run[key] = value).archive());
    }

    /// A bundle one of whose documents is this.
    fn document(&mut self, number: u32, what: &'static str, expected: &str, name: &str, bytes: Vec<u8>) {
        let members = Crafted::new(&[note()]).members(|members| {
            members.insert(name.to_owned(), bytes);
        });
        self.case(number, what, expected, archive(&members));
    }
}

fn names(table: &mut Table) {
    table.tar(1, "an absolute path", "entry `/etc/passwd` has an absolute path", &[file("/etc/passwd")]);
    table.tar(2, "`..` in front", "entry `../x` has `..` in its path", &[file("../x")]);
    table.tar(3, "`..` in the middle", "entry `a/../../x` has `..`", &[dir("a/"), file("a/../../x")]);
    table.tar(4, "`.` as a component", "empty component or `.`", &[file("./x")]);
    table.tar(4, "an empty component", "empty component or `.`", &[file("a//x")]);
    table.tar(5, "an empty name", "has an empty name", &[file("")]);
    table.tar(6, "the root", "entry `/` has an empty name", &[dir("/")]);
    table.path(7, "pax: an absolute path", "entry `/abs` has an absolute path", b"/abs");
    table.path(8, "pax: `..`", "has `..` in its path", b"a/../../x");
    table.path(9, "a NUL byte", "has a NUL byte", b"a\0b");
    table.path(10, "a long component", "has a component of more than 255 bytes", &[b'n'; 256]);
    table.path(11, "a long path", "more than 4096 bytes", &[&b"d/".repeat(2050)[..], b"f"].concat());
    table.path(12, "a deep path", "has more than 128 components", &[&b"d/".repeat(128)[..], b"f"].concat());
}

fn links(table: &mut Table) {
    let body = |size| Body::File { size };
    let link = tar_of(&[("a", Body::Symlink { target: b"/etc".to_vec() }, b"")]);
    let below = tar_of(&[("a", Body::Directory, b""), ("a/x", body(1), b"y")]);
    let over = tar_of(&[("a", body(1), b"z")]);
    let through = "entry `a/x` comes before its directory";
    table.tar(13, "a file through a link of its layer", through, &[symlink("a", "/etc"), file("a/x")]);
    let clash = "`a` of layer 1 (`crafted`) is a directory, and something else in a lower layer";
    table.layers(14, "a file through a link of a lower layer", clash, &[link.clone(), below.clone()]);
    table.layers(14, "the same, the directory left out", through, &[link.clone(), whole(&[file("a/x")])]);
    let replaces = "`a` of layer 1 (`crafted`) replaces a directory";
    table.layers(15, "a link over a directory", replaces, &[below.clone(), link]);
    table.layers(15, "a file over a directory", replaces, &[below, over]);
    let hard = |target: &str| Raw::new(b"h", b'1').link(target.as_bytes()).bytes();
    let is_hard = "entry `h` is a hard link";
    table.tar(16, "a hard link to an absolute path", is_hard, &[hard("/etc/passwd")]);
    table.tar(17, "a hard link with `..`", is_hard, &[hard("../x")]);
    table.tar(18, "a hard link to a symlink", is_hard, &[symlink("a", "/etc/passwd"), hard("a")]);
    table.tar(19, "a hard link to what comes later", is_hard, &[hard("z"), file("z")]);
    table.layers(20, "a hard link into another layer", is_hard, &[whole(&[file("a")]), whole(&[hard("a")])]);
}

fn types(table: &mut Table) {
    table.tar(21, "a character device", "entry `tty` is a device", &[special("tty", b'3')]);
    table.tar(21, "a block device", "entry `sda` is a device", &[special("sda", b'4')]);
    table.tar(22, "a fifo", "entry `pipe` is a fifo", &[special("pipe", b'6')]);
    table.tar(23, "an unknown type", "entry `odd` has an unknown type", &[special("odd", b'9')]);
    let xattr = |key: &str| [pax(&record(key, b"y"), &file("f"))];
    let bits = "set-user-id, set-group-id or sticky";
    table.tar(24, "set-user-id", bits, &[Raw::new(b"su", b'0').mode(0o4755).bytes()]);
    table.tar(24, "set-group-id", bits, &[Raw::new(b"sg", b'0').mode(0o2755).bytes()]);
    let key = "has a pax key other than";
    table.tar(24, "a capability", key, &xattr("SCHILY.xattr.security.capability"));
    for name in ["user.overlay.opaque", "trusted.overlay.redirect", "security.selinux"] {
        table.tar(25, "an attribute that means something to overlay", key, &xattr(&format!("SCHILY.xattr.{name}")));
    }
    table.tar(26, "a sparse file of GNU", "entry `big` is a sparse file", &[special("big", b'S')]);
    let sparse = [record("GNU.sparse.major", b"1"), record("GNU.sparse.realsize", b"1099511627776")].concat();
    table.tar(27, "a sparse file in pax", "is a sparse file", &[pax(&sparse, &file("s"))]);
    table.tar(28, "a whiteout", "entry `.wh.gone` is a whiteout marker", &[file(".wh.gone")]);
    table.tar(28, "an opaque directory", "is a whiteout marker", &[dir("d/"), file("d/.wh..wh..opq")]);
}

fn structure(table: &mut Table) {
    table.tar(29, "a name twice", "entry `a` is there twice", &[file("a"), file("a")]);
    table.tar(30, "names that differ in a slash", "entry `a` is there twice", &[file("a"), dir("a/")]);
    let sized = Raw::new(b"f", b'0').size(5).bytes();
    table.tar(31, "two sizes", "entry `f` has two sizes that differ", &[pax(&record("size", b"6"), &sized)]);
    let long_name = [pax(&record("size", b"6"), &special("l", b'L'))];
    table.tar(32, "a pax size before a GNU long name", "has a GNU long-name header", &long_name);
    let no_file = "has a size but is no file";
    table.tar(33, "a directory with a size", no_file, &[Raw::new(b"d/", b'5').size(5).bytes()]);
    table.tar(33, "a link with a size", no_file, &[Raw::new(b"l", b'2').link(b"x").size(5).bytes()]);
    table.tar(34, "a malformed pax record", "has a malformed pax header", &[pax(b"99 path=a\n", &file("f"))]);
    let twice = [record("path", b"\xc3\xa4"), record("path", b"\xc3\xa4")].concat();
    table.tar(34, "a pax key twice", "has a pax key twice", &[pax(&twice, &file("f"))]);
    table.tar(35, "a global pax header", "is a global pax header", &[special("g", b'g')]);
    let huge = Raw::new(b"././@PaxHeader", b'x').size(4 << 30).bytes();
    table.tar(36, "a pax header of 4 GiB", "has a pax header of more than 64 KiB", &[huge]);
    let most = u64::MAX.to_string();
    let endless = [pax(&record("size", most.as_bytes()), &file("f"))];
    table.tar(37, "a size of 2^64 - 1", "the layer's archive has more than 2560 bytes", &endless);
    let mut bad = whole(&[file("f")]);
    bad[3] ^= 1;
    table.layers(38, "a wrong checksum", "header at byte 0 of the layer's archive has a wrong checksum", &[bad]);
    let data = [Raw::new(b"f", b'0').size(600).bytes(), vec![1; 600]].concat();
    table.cut(39, "a cut header", "holds 300 bytes; the manifest says 100000", &data[..300]);
    table.cut(39, "cut data", "holds 1000 bytes; the manifest says 100000", &data[..1000]);
    let after = [file("f"), vec![0; 512], file("g"), END.to_vec()].concat();
    table.layers(40, "entries after an end", "goes on after its end at byte 512", &[after]);
    let after = [whole(&[file("f")]), b"#!/bin/sh".to_vec()].concat();
    table.layers(40, "data after the end", "goes on after its end", &[after]);
    table.cut(41, "no end", "holds 512 bytes; the manifest says 100000", &file("f"));
    let annotate = |key: &'static str, value: &'static str| {
        move |manifest: &mut Value| manifest["layers"][0]["annotations"][key] = json!(value)
    };
    table.manifest(42, "two million entries", "2000001 entries", annotate(image::LAYER_ENTRIES, "2000001"));
    table.manifest(42, "more entries than said", "has more than 0 entries", annotate(image::LAYER_ENTRIES, "0"));
}

fn blobs(table: &mut Table) {
    let mut spoiled = Crafted::new(&[note()]);
    let name = Digest::of(&spoiled.blobs[0]);
    let last = spoiled.blobs[0].len() - 1;
    spoiled.blobs[0][last] ^= 1;
    let wrong = spoiled.blobs[0].clone();
    let members = spoiled.members(|members| {
        members.remove(&image::blob_name(&Digest::of(&wrong)));
        members.insert(image::blob_name(&name), wrong);
    });
    let damaged = format!("blob {name} is damaged: its bytes hash to");
    table.case(43, "a blob with another digest", damaged.clone(), archive(&members));
    table.case(66, "a blob whose name is not its content's", damaged, archive(&members));
    let other = Digest::of(b"other");
    let config = Crafted::new(&[note()]).config(|config| config["rootfs"]["diff_ids"][0] = json!(other));
    table.case(44, "another diff_id", format!("the config says {other}"), config.archive());
    let right = compress(&note()).len();
    let longer = format!("is {right} bytes long instead of {}", right + 1);
    table.manifest(45, "another size than the blob's", &longer, |m| m["layers"][0]["size"] = json!(right + 1));
}

fn frames(table: &mut Table) {
    let good = compress(&note());
    table.frame(46, "a window of 256 MiB", "needs a window of more than 128 MiB", &[0b0000_0000, 18 << 3]);
    table.blob(47, "a bomb", "bytes; the manifest says 2048", compress(&vec![0; 40 * CHUNK]));
    table.frame(47, "a frame of 2 GiB", "holds more than 8 MiB", &[0b1010_0000, 0, 0, 0, 0x80]);
    let goes_on = format!("goes on at byte {}", good.len());
    table.blob(48, "bytes after the last frame", &goes_on, [&good[..], b"x"].concat());
    table.frame(49, "an empty frame", "is empty", &[0b0010_0000, 0]);
    table.blob(50, "a second frame", &goes_on, [&good[..], &good].concat());
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0], &good[..]].concat();
    table.blob(51, "a skippable frame", "has a skippable frame at byte 0", skippable);
    table.frame(52, "a dictionary", "needs a dictionary", &[0b0010_0001, 9, 9]);
    table.frame(52, "a frame checksum", "has a checksum", &[0b0010_0100, 9]);
    let gzip = Compression::Gzip.media_type();
    table.manifest(53, "zstd that says it is gzip", "at byte 0 that is no gzip frame", |manifest| {
        manifest["layers"][0]["mediaType"] = json!(gzip);
    });
}

fn documents(table: &mut Table) {
    table.document(54, "an index of 4 MiB", "are too many", "index.json", vec![b' '; (4 << 20) + 1]);
    table.document(54, "deep nesting", "nested deeper than 64", "index.json", "[".repeat(100).into_bytes());
    let twice = b"{\"schemaVersion\":2,\"schemaVersion\":2,\"manifests\":[]}".to_vec();
    table.document(54, "a key twice", "is there twice", "index.json", twice);
    table.document(54, "not UTF-8", "index.json", "index.json", b"\"\xff\"".to_vec());
    let members = Crafted::new(&[note()]).members(|members| {
        let name = members.iter().find(|(_, bytes)| bytes.starts_with(b"{\"annotations\"")).unwrap().0.clone();
        members.get_mut(&name).unwrap()[20] ^= 1;
    });
    table.case(55, "a manifest of another digest", "(the manifest) is damaged", archive(&members));
    let repeat = |count| move |m: &mut Value| m["layers"] = vec![m["layers"][0].clone(); count].into();
    table.manifest(56, "more layers than diff_ids", "1 diff_ids for 2 layers", repeat(2));
    table.manifest(57, "10,000 layers", "has 10000 layers", repeat(10_000));
    let index = |digest: &str, media_type: &str| {
        json::encode(&json!({"schemaVersion": 2, "manifests": [
            {"mediaType": media_type, "digest": digest, "size": 7}]}))
    };
    let digests =
        ["sha256:../../x", &format!("sha256:{}", "A".repeat(64)), "sha256:00", &format!("sha512:{}", "0".repeat(128))];
    for digest in digests {
        let document = index(digest, image::MANIFEST_TYPE);
        table.document(58, "a digest that is none", "is not a digest of the form", "index.json", document);
    }
    let urls = |manifest: &mut Value| manifest["layers"][0]["urls"] = json!(["http://127.0.0.1:1/x"]);
    table.manifest(59, "a layer from elsewhere", "fetched from elsewhere", urls);
    let sizes = [
        (json!(-1), "invalid value: integer `-1`"),
        (json!(1.5), "invalid type: floating point `1.5`"),
        (json!((1_u64 << 53) + 1), "a size of 9007199254740993 bytes"),
    ];
    for (size, expected) in sizes {
        table.manifest(60, "a size that is none", expected, |manifest| manifest["layers"][0]["size"] = size);
    }
    // An index in the index is refused whatever it holds, so no depth and no circle comes to be looked at.
    let zeros = format!("sha256:{}", "0".repeat(64));
    let nested = index(&zeros, image::INDEX_TYPE);
    table.document(61, "an index in the index", "instead of an image manifest", "index.json", nested.clone());
    let itself = index(&Digest::of(&nested).to_string(), image::INDEX_TYPE);
    table.document(62, "an index that names itself", "instead of an image manifest", "index.json", itself);
    let other = Crafted::new(&[note()])
        .config(|config| config["architecture"] = json!("s390x"))
        .run(|run| run["architecture"] = json!("s390x"));
    table.case(63, "another architecture", "the bundle is for s390x, this machine is", other.archive());
}

fn outside(table: &mut Table) {
    let mut members = Crafted::new(&[note()]).members(|_| {});
    let blob = members.iter().position(|(_, bytes)| bytes.starts_with(&[0x28, 0xb5])).unwrap();
    let layer = members[blob].clone();
    members.push(layer.clone());
    table.case(65, "a blob twice", format!("`{}` is there twice", layer.0), archive(&members));
    members.retain(|(name, _)| *name != layer.0);
    table.case(64, "a blob that is missing", "(crafted) is missing", archive(&members));
    table.run(67, "a NUL byte in the environment", "a NUL byte", "env", json!({"A": "x\u{0}y"}));
    table.run(67, "a working directory elsewhere", "the path `../..`", "cwd", json!("../.."));
    table.run(67, "a user that a shell would run", "the user `$(x)`", "user", json!("$(x)"));
    table.run(69, "a bundle's name with a slash", "the name `a/b`", "name", json!("a/b"));
    table.run(69, "a name that colours the terminal", "the name `x\\u{1b}[0m`", "name", json!("x\u{1b}[0m"));
    table.run(69, "a kernel's name with a slash", "a slash in `../python3`", "kernel", json!("../python3"));
}

/// Cases that no file alone makes: what is true instead, and where it is held.
const ELSEWHERE: &[(u32, &str)] = &[
    (68, "a dataset lies in a layer and is never bound over a path of this machine: see below"),
    (70, "tests/it/bad_input.rs: a_full_disk_leaves_no_half_bundle_and_no_half_layer"),
];

#[test]
fn each_of_seventy_hostile_bundles_is_refused_by_name() {
    let mut table = Table(Vec::new());
    for part in [names, links, types, structure, blobs, frames, documents, outside] {
        part(&mut table);
    }
    let mut faults = Vec::new();
    for (number, what, expected, file) in &table.0 {
        // It also looks whether anything came to lie beside the target.
        let found = complaints(file);
        if !found.contains(expected.as_str()) {
            faults.push(format!("{number}, {what}: expected `{expected}`, found `{found}`"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let numbers: BTreeSet<u32> =
        table.0.iter().map(|case| case.0).chain(ELSEWHERE.iter().map(|(number, _)| *number)).collect();
    assert!(numbers.into_iter().eq(1..=70), "a case is missing");
}

#[test]
fn layers_of_several_frames_and_paths_of_the_host_are_taken() {
    // The exceptions to cases 48 and 50: every full frame may be followed by another.
    let big = tar_of(&[("big", Body::File { size: 3 * CHUNK as u64 }, &vec![7; 3 * CHUNK])]);
    assert_eq!(complaints(&Crafted::new(&[big]).archive()), "");
    // Case 68: such a path is one inside; `complaints` sees that nothing lies beside the target.
    let inside = tar_of(&[
        ("dev", Body::Directory, b""),
        ("dev/mem", Body::File { size: 1 }, b"x"),
        ("proc", Body::Directory, b""),
        ("proc/x", Body::File { size: 1 }, b"x"),
        ("root", Body::Directory, b""),
        ("root/.bashrc", Body::File { size: 1 }, b"x"),
    ]);
    assert_eq!(complaints(&Crafted::new(&[inside]).archive()), "");
}
