//! The exported database: equal recordings, equal bytes; nothing of this machine; nothing lost.

use serde_json::json;

use super::*;
use crate::{
    event::Gap,
    session::{
        self, Form,
        model::{
            ConnectionUse, FileUse, FileVersion, Process, Role, SessionId, SessionInfo, Status, StdinExchange, Use,
        },
    },
};

fn info() -> SessionInfo {
    SessionInfo {
        id: SessionId("20261122-175040-0a1b2c3d".into()),
        started: 1,
        ended: Some(9),
        kernel: "python3".into(),
        display_name: "Python 3".into(),
        language: "python".into(),
        argv: vec!["/usr/bin/python3".into(), "{connection_file}".into()],
        interrupt_mode: "signal".into(),
        kernel_env: BTreeMap::from([("A".into(), "1".into())]),
        cwd: "/home/u".into(),
        notebook: Some("/home/u/nb.ipynb".into()),
        notebook_source: Some("cells".into()),
        user: "u".into(),
        uid: 1000,
        gid: 1000,
        home: "/home/u".into(),
        host: "h".into(),
        nbpack_version: "0.1.0".into(),
        coverage: "full".into(),
        exit_status: Some(0),
        parent: Some(Digest::of(b"parent")),
        executions: 2,
        running: false,
    }
}

fn execution(id: i64, code: &str, outputs: Vec<Output>) -> Execution {
    Execution {
        id,
        msg_id: format!("m{id}"),
        cell_id: Some("cell-1".into()),
        code: code.into(),
        request: json!({"silent": false, "allow_stdin": true}),
        silent: false,
        is_magic: false,
        execution_count: Some(id),
        sent: id * 10,
        busy: Some(id * 10 + 1),
        reply: Some(id * 10 + 3),
        idle: Some(id * 10 + 2),
        status: Some(Status::Ok),
        ename: None,
        evalue: None,
        interrupted: false,
        client: "s".into(),
        username: "u".into(),
        user_expressions: json!({}),
        outputs,
        stdin: vec![StdinExchange { prompt: "? ".into(), masked: false, value: Some("a".into()), asked: 5 }],
    }
}

fn signature(ino: u64) -> Signature {
    Signature { dev: 7, ino, size: 3, mtime_ns: -4, ctime_ns: 5 }
}

pub(in crate::session) fn recording() -> Recording {
    let data = BTreeMap::from([("text/html".to_owned(), json!("x".repeat(LARGEST_INLINE)))]);
    let outputs = vec![
        Output::Stream { name: "stdout".into(), text: "a\nb\0c\r\u{1F600}".into() },
        Output::DisplayData { data, metadata: json!({}), display_id: Some("d".into()) },
        Output::Error { ename: "E".into(), evalue: "v".into(), traceback: vec!["t".into()] },
    ];
    let file = |path: &[u8], pid| FileUse {
        path: path.to_vec(),
        execution: Some(1),
        pid,
        usage: Use::Read,
        first: 11,
        last: 12,
        count: 2,
        signature: Some(signature(1)),
        created_here: false,
    };
    Recording {
        info: info(),
        executions: vec![execution(1, "print()", outputs), execution(2, "again", Vec::new())],
        files: vec![file(b"/a", 4711), file(b"/b\xff", 4712)],
        versions: vec![FileVersion {
            path: b"/a".to_vec(),
            execution: Some(1),
            role: Role::Read,
            digest: Some(Digest::of(b"abc")),
            signature: signature(1),
            mode: 0o644,
            kept: true,
            unstable: false,
            seen: 13,
            note: Some("n".into()),
        }],
        processes: [(4712, 4711), (4711, 1)]
            .map(|(pid, ppid)| Process {
                pid,
                ppid,
                started: 1,
                exe: b"/bin/\xfe".to_vec(),
                argv: vec![b"a\xff".to_vec(), "\u{f7ff}é".into()],
                execution: None,
            })
            .to_vec(),
        connections: vec![ConnectionUse { address: "tcp:1.2.3.4:5".into(), execution: Some(2), first: 1, count: 3 }],
        environment: BTreeMap::from([("A".into(), None), ("B".into(), Some("c".into()))]),
        facts: BTreeMap::from([("limits".into(), json!({"a": [1, 2]}))]),
        gaps: vec![Gap { at: 1, reason: "io_uring".into(), detail: "d".into(), count: 1 }],
        comms: vec![CommMessage {
            text: Some("{\"data\":1}".into()),
            at: 2,
            msg_type: "comm_msg".into(),
            comm_id: "c".into(),
            content: json!({"data": 1}),
            buffers: vec![vec![1, 2], vec![3; LARGEST_INLINE + 1]],
            after: Some(1),
        }],
    }
}

fn write_blobs(dir: &Path, blobs: &[(Digest, Vec<u8>)]) {
    std::fs::create_dir_all(dir.join("blobs")).unwrap();
    for (digest, bytes) in blobs {
        std::fs::write(dir.join("blobs").join(digest.hex()), bytes).unwrap();
    }
}

#[test]
fn equal_recordings_give_equal_bytes_and_read_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first.db"), dir.path().join("second.db"));
    let blobs = export(&recording(), &first).unwrap();
    assert_eq!(blobs.len(), 2, "a large output and a large buffer");
    write_blobs(dir.path(), &blobs);
    let read = session::read(&first).unwrap();
    let mut expected = recording();
    for file in &mut expected.files {
        file.signature = file.signature.map(neutral);
    }
    expected.versions[0].signature = neutral(signature(1));
    // A private use character that looks like an escaped byte becomes one: the only thing that does not survive.
    expected.processes.iter_mut().for_each(|process| process.argv[1] = b"\xff\xc3\xa9".to_vec());
    assert_eq!(read, expected);
    export(&read, &second).unwrap();
    assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
}

#[test]
fn the_bytes_of_an_export_are_these() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("session.db");
    export(&recording(), &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len() % 4096, 0);
    insta::assert_snapshot!(Digest::of(&bytes).to_string(), @"sha256:3fecaba97468e8a1c5382cb643b03432c37d656bcbbac5511a0deea70a851838");
}

#[test]
fn nothing_of_this_machine_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("session.db");
    let mut other = recording();
    other.files.iter_mut().for_each(|file| {
        file.signature = file.signature.map(|s| Signature { dev: 99, ino: 98, ctime_ns: 97, ..s });
    });
    export(&recording(), &path).unwrap();
    let first = std::fs::read(&path).unwrap();
    export(&other, &path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), first);
}

#[test]
fn a_database_that_is_not_ours_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("session.db");
    std::fs::write(&path, "no database").unwrap();
    assert!(session::read(&path).is_err());
    export(&recording(), &path).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TRIGGER t AFTER INSERT ON gap BEGIN DELETE FROM output; END").unwrap();
    drop(connection);
    assert!(matches!(session::read(&path), Err(DbError::NotOurs { .. })));
    std::fs::remove_file(&path).unwrap();
    export(&recording(), &path).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA user_version = 2").unwrap();
    drop(connection);
    assert!(matches!(session::read(&path), Err(DbError::Newer { found: 2, .. })));
}

#[test]
fn every_flipped_byte_of_a_foreign_database_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("session.db");
    let blobs = export(&recording(), &path).unwrap();
    write_blobs(dir.path(), &blobs);
    let good = std::fs::read(&path).unwrap();
    for index in (0..good.len()).step_by(509) {
        let mut bad = good.clone();
        bad[index] ^= 0x55;
        std::fs::write(&path, &bad).unwrap();
        // An error or another content; never a panic.
        drop(session::read(&path));
    }
}

#[test]
fn a_missing_or_altered_blob_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("session.db");
    let blobs = export(&recording(), &path).unwrap();
    assert!(matches!(session::read(&path), Err(DbError::Blob { .. })));
    write_blobs(dir.path(), &blobs);
    std::fs::write(dir.path().join("blobs").join(blobs[0].0.hex()), "other").unwrap();
    assert!(matches!(session::read(&path), Err(DbError::Row { .. })));
}

#[test]
fn the_notebook_as_run_has_every_execution_and_as_file_the_last_of_each_cell() {
    let as_run = session::notebook(&recording(), Form::AsRun);
    let ids: Vec<&str> = as_run["cells"].as_array().unwrap().iter().map(|cell| cell["id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), ids[0]), (2, "cell-1"));
    assert_ne!(ids[0], ids[1], "nbformat wants each id once");
    let first = &as_run["cells"][0];
    assert_eq!(first["outputs"][0]["text"], json!(["a\n", "b\0c\r\u{1F600}"]));
    assert_eq!(first["outputs"][2]["output_type"], "error");
    let as_file = session::notebook(&recording(), Form::AsFile);
    assert_eq!(as_file["cells"].as_array().unwrap().len(), 1);
    assert_eq!(as_file["cells"][0]["source"], json!(["again"]));
    assert_eq!((&as_file["nbformat"], &as_file["nbformat_minor"]), (&json!(4), &json!(5)));
}
