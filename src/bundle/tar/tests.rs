//! Archives made to hurt: each is refused with a message that names the thing.

use std::io::Read as _;

use proptest::prelude::*;

use super::*;

/// A header block with any content; the checksum is right.
pub(in crate::bundle) struct Raw {
    block: [u8; BLOCK],
}

impl Raw {
    pub(in crate::bundle) fn new(name: &[u8], kind: u8) -> Self {
        let body = if kind == b'5' { Body::Directory } else { Body::File { size: 0 } };
        let mode = if kind == b'5' { 0o755 } else { 0o644 };
        let bytes = encode(&Entry { path: b"x".to_vec(), body, mode, mtime: 0 }).unwrap();
        let mut raw = Self { block: bytes.try_into().unwrap() };
        raw.put(0, 100, name).put(156, 1, &[kind]);
        if kind == b'2' {
            raw.put(100, 8, b"0000777");
        }
        raw
    }

    pub(in crate::bundle) fn put(&mut self, at: usize, length: usize, value: &[u8]) -> &mut Self {
        self.block[at..at + length].fill(0);
        self.block[at..at + value.len()].copy_from_slice(value);
        self
    }

    pub(in crate::bundle) fn mode(&mut self, mode: u32) -> &mut Self {
        self.put(100, 8, format!("{mode:07o}").as_bytes())
    }

    pub(in crate::bundle) fn size(&mut self, size: u64) -> &mut Self {
        self.put(124, 12, format!("{size:011o}").as_bytes())
    }

    pub(in crate::bundle) fn link(&mut self, link: &[u8]) -> &mut Self {
        self.put(157, 100, link)
    }

    pub(in crate::bundle) fn bytes(&mut self) -> Vec<u8> {
        self.block[148..156].fill(b' ');
        let sum: u32 = self.block.iter().map(|byte| u32::from(*byte)).sum();
        self.put(148, 8, format!("{sum:06o}\0 ").as_bytes());
        self.block.to_vec()
    }
}

pub(in crate::bundle) fn file(name: &str) -> Vec<u8> {
    Raw::new(name.as_bytes(), b'0').bytes()
}

pub(in crate::bundle) fn dir(name: &str) -> Vec<u8> {
    Raw::new(name.as_bytes(), b'5').bytes()
}

pub(in crate::bundle) fn symlink(name: &str, target: &str) -> Vec<u8> {
    Raw::new(name.as_bytes(), b'2').link(target.as_bytes()).bytes()
}

pub(in crate::bundle) fn special(name: &str, kind: u8) -> Vec<u8> {
    Raw::new(name.as_bytes(), kind).bytes()
}

/// A pax header with these records, then the header it is for.
pub(in crate::bundle) fn pax(records: &[u8], next: &[u8]) -> Vec<u8> {
    let mut bytes = Raw::new(b"././@PaxHeader", b'x').size(records.len() as u64).bytes();
    bytes.extend_from_slice(records);
    bytes.resize(bytes.len() + padding(records.len() as u64), 0);
    bytes.extend_from_slice(next);
    bytes
}

pub(in crate::bundle) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest..rest + 8).find(|length| *length == rest + length.to_string().len()).unwrap();
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

pub(in crate::bundle) fn whole(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), END.to_vec()].concat()
}

const LIMITS: Limits = Limits { entries: 1000, bytes: 1 << 24 };

fn read_all(bytes: &[u8], limits: Limits) -> Result<Vec<(Entry, Vec<u8>)>, ReadError> {
    let mut reader = Reader::new(bytes, limits);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut data = Vec::new();
        let mut buffer = [0; 1000];
        loop {
            let n = reader.read_data(&mut buffer)?;
            if n == 0 {
                break;
            }
            data.extend_from_slice(&buffer[..n]);
        }
        entries.push((entry, data));
    }
    Ok(entries)
}

fn refusal(bytes: &[u8]) -> String {
    read_all(bytes, LIMITS).expect_err("accepted").to_string()
}

#[track_caller]
fn refused(parts: &[Vec<u8>], expected: &str) {
    let found = refusal(&whole(parts));
    assert!(found.contains(expected), "expected `{expected}`, found `{found}`");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    refused(&[file("/etc/passwd")], "entry `/etc/passwd` has an absolute path");
    refused(&[file("../x")], "entry `../x` has `..` in its path");
    refused(&[dir("a/"), file("a/../../x")], "entry `a/../../x` has `..`");
    refused(&[file("./x")], "empty component or `.`");
    refused(&[file("a//x")], "empty component or `.`");
    refused(&[file("")], "has an empty name");
    refused(&[dir("/")], "entry `/` has an empty name");
    refused(&[pax(&record("path", b"/abs"), &file("abs"))], "entry `/abs` has an absolute path");
    refused(&[pax(&record("path", b"a/../../x"), &file("x"))], "has `..` in its path");
    refused(&[pax(&record("path", b"a\0b"), &file("a"))], "entry `a\\u{0}b` has a NUL byte");
    let long = vec![b'n'; 256];
    refused(&[pax(&record("path", &long), &file("n"))], "has a component of more than 255 bytes");
    let long = [&b"d/".repeat(2050)[..], b"f"].concat();
    refused(&[pax(&record("path", &long), &file("n"))], "has a path or link text of more than 4096 bytes");
    let deep = [&b"d/".repeat(128)[..], b"f"].concat();
    refused(&[pax(&record("path", &deep), &file("n"))], "has more than 128 components");
}

#[test]
fn links_cannot_be_walked_through() {
    refused(&[symlink("a", "/etc"), file("a/x")], "entry `a/x` comes before its directory");
    for target in ["/etc/passwd", "../x", "a", "missing"] {
        let link = Raw::new(b"h", b'1').link(target.as_bytes()).bytes();
        refused(&[file("a"), link], "entry `h` is a hard link");
    }
    refused(&[symlink("a", "")], "is a symlink without a text");
    refused(&[pax(&record("linkpath", b"x\0y"), &symlink("a", "x"))], "has a NUL byte");
    let long = vec![b'x'; 5000];
    refused(&[pax(&record("linkpath", &long), &symlink("a", "x"))], "more than 4096 bytes");
    refused(&[Raw::new(b"f", b'0').link(b"x").bytes()], "entry `f` has a link text but is no link");
}

#[test]
fn only_files_directories_and_symlinks_are_taken() {
    refused(&[special("tty", b'3')], "entry `tty` is a device");
    refused(&[special("sda", b'4')], "entry `sda` is a device");
    refused(&[special("pipe", b'6')], "entry `pipe` is a fifo");
    refused(&[special("odd", b'9')], "entry `odd` has an unknown type");
    refused(&[special("odd", 0)], "entry `odd` has an unknown type");
    refused(&[special("big", b'S')], "entry `big` is a sparse file");
    refused(&[special("name", b'L')], "entry `name` has a GNU long-name header");
    refused(&[special("g", b'g')], "entry `g` is a global pax header");
    refused(&[pax(&record("GNU.sparse.major", b"1"), &file("s"))], "is a sparse file");
    for mode in [0o4755, 0o2755, 0o1777] {
        let name = if mode == 0o1777 { "t/" } else { "su" };
        let kind = if mode == 0o1777 { b'5' } else { b'0' };
        refused(&[Raw::new(name.as_bytes(), kind).mode(mode).bytes()], "set-user-id, set-group-id or sticky");
    }
    refused(&[Raw::new(b"f", b'0').mode(0o666).bytes()], "has a mode that nbpack does not write");
    for key in ["SCHILY.xattr.security.capability", "SCHILY.xattr.user.overlay.opaque", "SCHILY.xattr.trusted.x"] {
        refused(&[pax(&record(key, b"y"), &file("f"))], "has a pax key other than");
    }
    refused(&[file(".wh.gone")], "entry `.wh.gone` is a whiteout marker");
    refused(&[dir("d/"), file("d/.wh..wh..opq")], "is a whiteout marker");
}

#[test]
fn a_structure_with_two_readings_is_refused() {
    refused(&[file("a"), file("a")], "entry `a` is there twice");
    refused(&[file("a"), dir("a/")], "entry `a` is there twice");
    refused(&[file("a"), file("a-b"), dir("a/")], "entry `a` is there twice");
    refused(&[file("b"), file("a")], "entry `a` is out of order");
    refused(&[file("d/f")], "entry `d/f` comes before its directory");
    let sized = Raw::new(b"f", b'0').size(5).bytes();
    refused(&[pax(&record("size", b"6"), &sized)], "entry `f` has two sizes that differ");
    refused(&[pax(&record("size", b"6"), &special("l", b'L'))], "has a GNU long-name header");
    refused(&[Raw::new(b"d/", b'5').size(5).bytes()], "has a size but is no file");
    refused(&[Raw::new(b"l", b'2').link(b"x").size(5).bytes()], "has a size but is no file");
    for bad in [&b"x"[..], b"99 path=a\n", b"9 path=a", b"8 path=a\n", b"6 =ab\n", b"-9 path=a\n", b"9 size=ab\n"] {
        refused(&[pax(bad, &file("f"))], "has a malformed pax header");
    }
    let twice = [record("path", b"\xc3\xa4"), record("path", b"\xc3\xa4")].concat();
    refused(&[pax(&twice, &file("f"))], "has a pax key twice");
    refused(&[pax(&record("path", b"\xc3\xa4"), &pax(b"", &file("f")))], "has two pax headers");
    // Says what ustar could have said: not as we write it.
    refused(&[pax(&record("path", b"plain"), &file("plain"))], "has a header that nbpack would not have written");
    refused(&[Raw::new(b"f", b'0').put(108, 8, b"0001750").bytes()], "would not have written");
    refused(&[Raw::new(b"f", b'0').put(265, 32, b"ann").bytes()], "would not have written");
    refused(&[Raw::new(b"d", b'5').bytes()], "would not have written");
    refused(&[pax(&record("size", b"-1"), &file("f"))], "has a malformed pax header");
}

#[test]
fn caps_hold_before_anything_is_read() {
    let huge = Raw::new(b"././@PaxHeader", b'x').size(4 << 30).bytes();
    refused(&[huge], "has a pax header of more than 64 KiB");
    let huge = Raw::new(b"f", b'0').size((1 << 33) - 1).bytes();
    refused(&[huge], "more than 16777216 bytes");
    refused(&[pax(&record("size", u64::MAX.to_string().as_bytes()), &file("f"))], "more than 16777216 bytes");
    let many = whole(&(100..110).map(|n| file(&format!("f{n}"))).collect::<Vec<_>>());
    let error = read_all(&many, Limits { entries: 9, bytes: 1 << 20 }).unwrap_err();
    assert_eq!(error.to_string(), "the layer's archive has more than 9 entries");
    assert_eq!(read_all(&many, Limits { entries: 10, bytes: 1 << 20 }).unwrap().len(), 10);
}

#[test]
fn damage_is_told_with_its_place() {
    let mut bad = whole(&[file("f")]);
    bad[3] ^= 1;
    assert!(refusal(&bad).contains("header at byte 0 of the layer's archive has a wrong checksum"));
    let mut sized = Raw::new(b"f", b'0').size(600).bytes();
    assert!(refusal(&sized[..300]).contains("ends at byte 300, in the middle of a header"));
    sized.extend_from_slice(&[1; 600]);
    assert!(refusal(&sized).contains("ends at byte 1112, in the middle of padding"));
    assert!(refusal(&sized[..1000]).contains("ends at byte 1000, in the middle of the data of `f`"));
    sized.extend_from_slice(&[1; 424]);
    sized.extend_from_slice(&END);
    assert!(refusal(&sized).contains("would not have written"), "padding that is not zero");
    assert!(refusal(&file("f")).contains("in the middle of a header"), "no end");
    assert!(refusal(&[file("f"), vec![0; BLOCK]].concat()).contains("in the middle of its end"));
    let after = [file("f"), vec![0; BLOCK], file("g"), END.to_vec()].concat();
    assert!(refusal(&after).contains("goes on after its end at byte 512"));
    let after = [whole(&[file("f")]), vec![0; BLOCK]].concat();
    assert!(refusal(&after).contains("goes on after its end at byte 1536"));
}

#[test]
fn what_the_tar_crate_reads_is_what_we_wrote() {
    let mut archive = Vec::new();
    let entries = [
        Entry { path: b"d".to_vec(), body: Body::Directory, mode: 0o755, mtime: 7 },
        Entry { path: "d/\u{fc}".into(), body: Body::Symlink { target: "\u{fc}".into() }, mode: 0o777, mtime: 0 },
        Entry { path: [&b"e"[..], &[b'x'; 150], b"yz"].concat(), body: Body::File { size: 3 }, mode: 0o644, mtime: -5 },
    ];
    for entry in &entries {
        archive.extend(encode(entry).unwrap());
        if let Body::File { .. } = entry.body {
            archive.extend(b"abc");
            archive.resize(archive.len() + padding(3), 0);
        }
    }
    archive.extend(END);
    let found: Vec<Entry> = read_all(&archive, LIMITS).unwrap().into_iter().map(|(entry, _)| entry).collect();
    assert_eq!(found, entries);
    let mut theirs = ::tar::Archive::new(archive.as_slice());
    let mut count = 0;
    for (entry, ours) in theirs.entries().unwrap().zip(&entries) {
        let mut entry = entry.unwrap();
        assert_eq!(entry.path_bytes().to_vec(), ours.name());
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        assert_eq!(data.as_slice(), if matches!(ours.body, Body::File { .. }) { &b"abc"[..] } else { b"" });
        count += 1;
    }
    assert_eq!(count, entries.len());
}

fn component() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-c.-]{1,6}".prop_map(String::into_bytes),
        "[a-z]{90,120}".prop_map(String::into_bytes),
        "\\PC{1,20}".prop_map(|text| text.replace(['/', '\0'], "_").into_bytes()),
        proptest::collection::vec(1_u8.., 1..10).prop_map(|mut bytes| {
            for byte in &mut bytes {
                if *byte == b'/' {
                    *byte = b'_';
                }
            }
            bytes
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever the writer can say, the reader takes, and gives back as it was.
    #[test]
    fn entries_come_back(
        paths in proptest::collection::btree_set(proptest::collection::vec(component(), 1..4), 1..12),
        mtime in -1_000_000_000_000_i64..1_000_000_000_000,
        data in proptest::collection::vec(any::<u8>(), 0..1500),
    ) {
        let mut entries = std::collections::BTreeMap::new();
        for parts in paths {
            let path = parts.join(&b'/');
            if refuse_path(&path).is_some() {
                continue;
            }
            for depth in 1..parts.len() {
                let dir = parts[..depth].join(&b'/');
                entries.insert([&dir[..], b"/"].concat(),
                    Entry { path: dir, body: Body::Directory, mode: 0o755, mtime });
            }
            let body = Body::File { size: data.len() as u64 };
            entries.insert(path.clone(), Entry { path, body, mode: 0o664, mtime });
        }
        // A directory and a file of one name, or a name that tar cannot say: the plan refuses or leaves them out.
        let names: Vec<Vec<u8>> = entries.keys().cloned().collect();
        entries.retain(|name, _| !names.contains(&[name, &b"/"[..]].concat()));
        if entries.values().any(|entry| encode(entry).is_none()) {
            return Ok(());
        }
        let mut archive = Vec::new();
        for entry in entries.values() {
            archive.extend(encode(entry).unwrap());
            if let Body::File { size } = entry.body {
                archive.extend(&data);
                archive.resize(archive.len() + padding(size), 0);
            }
        }
        archive.extend(END);
        let found = read_all(&archive, LIMITS).unwrap();
        prop_assert_eq!(found.len(), entries.len());
        for ((found, bytes), expected) in found.iter().zip(entries.values()) {
            prop_assert_eq!(found, expected);
            if found.body != Body::Directory {
                prop_assert_eq!(bytes, &data);
            }
        }
    }

    /// Errors are fine, panics are bugs; and what is taken is exactly what would be written.
    #[test]
    fn no_bytes_make_the_reader_panic(
        flips in proptest::collection::vec((0_usize..4000, any::<u8>()), 0..6),
        cut in 0_usize..5000,
    ) {
        let mut bytes = whole(&[
            dir("a/"),
            file("a/b"),
            pax(&record("path", "a/\u{fc}".as_bytes()), &file("a/__")),
            symlink("l", "a"),
        ]);
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(cut);
        drop(read_all(&bytes, LIMITS));
    }
}
