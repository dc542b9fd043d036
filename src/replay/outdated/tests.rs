use serde_json::json;

use super::*;
use crate::session::model::{FileVersion, SessionInfo};

/// Files by path: their size, and what they hash to.
struct Files(BTreeMap<Vec<u8>, (Signature, Digest)>);

impl Disk for Files {
    fn look(&self, path: &[u8]) -> Now {
        self.0.get(path).map_or(Now::Gone, |(signature, _)| Now::File(*signature))
    }

    fn digest(&self, path: &[u8]) -> Option<Digest> {
        self.0.get(path).map(|(_, digest)| *digest)
    }
}

fn signature(ino: u64, size: u64) -> Signature {
    Signature { dev: 1, ino, size, mtime_ns: 1, ctime_ns: 1 }
}

fn files(list: &[(&str, u64, u64, &[u8])]) -> Files {
    let entry = |(path, ino, size, bytes): &(&str, u64, u64, &[u8])| {
        (path.as_bytes().to_vec(), (signature(*ino, *size), Digest::of(bytes)))
    };
    Files(list.iter().map(entry).collect())
}

/// A recording of these (cell, code), one after the other.
fn recording(cells: &[(&str, &str)]) -> Recording {
    let info: SessionInfo = serde_json::from_value(json!({
        "id": "s", "started": 0, "ended": null, "kernel": "python3", "display_name": "", "language": "python",
        "argv": [], "interrupt_mode": "signal", "kernel_env": {}, "cwd": "/w", "notebook": null, "notebook_source": null,
        "user": "u", "uid": 1, "gid": 1, "home": "/h", "host": "h", "nbpack_version": "0", "coverage": "full",
        "exit_status": null, "parent": null, "executions": 0, "running": true,
    }))
    .unwrap();
    let execution = |(at, (cell, code)): (usize, &(&str, &str))| -> Execution {
        let id = at as i64 + 1;
        serde_json::from_value(json!({
            "id": id, "msg_id": id.to_string(), "cell_id": cell, "code": code, "request": {}, "silent": false,
            "is_magic": false, "execution_count": id, "sent": id * 100, "busy": id * 100, "reply": id * 100 + 50,
            "idle": id * 100 + 50, "status": "ok", "ename": null, "evalue": null, "interrupted": false, "client": "",
            "username": "", "user_expressions": {}, "outputs": [], "stdin": [],
        }))
        .unwrap()
    };
    Recording {
        info,
        executions: cells.iter().enumerate().map(execution).collect(),
        files: Vec::new(),
        versions: Vec::new(),
        processes: Vec::new(),
        connections: Vec::new(),
        environment: BTreeMap::new(),
        facts: BTreeMap::new(),
        gaps: Vec::new(),
        comms: Vec::new(),
    }
}

fn touch(recording: &mut Recording, path: &str, execution: i64, usage: Use, ino: u64, size: u64) {
    let at = execution * 100 + 10;
    recording.files.push(FileUse {
        path: path.as_bytes().to_vec(),
        execution: Some(execution),
        pid: 1,
        usage,
        first: at,
        last: at,
        count: 1,
        signature: (usage == Use::Read).then(|| signature(ino, size)),
        created_here: false,
    });
}

/// Cell: kinds of its reasons.
fn said(standings: &[Standing]) -> Vec<String> {
    let words = |standing: &Standing| {
        let kinds: Vec<String> = standing.reasons.iter().map(|reason| format!("{:?}", reason.kind)).collect();
        format!("{}: {}", standing.cell, kinds.join(" "))
    };
    standings.iter().map(words).collect()
}

fn shown(cells: &[(&str, &str)]) -> Cells {
    cells.iter().map(|(cell, code)| ((*cell).to_owned(), (*code).to_owned())).collect()
}

#[test]
fn a_cell_that_ran_last_is_up_to_date() {
    let cells = [("a", "x = 1"), ("b", "y = x + 1"), ("c", "print(y)")];
    let recording = recording(&cells);
    assert_eq!(said(&standings(&recording, Some(&shown(&cells)), None)), ["a: ", "b: ", "c: "]);
}

#[test]
fn a_cell_above_that_was_run_again_makes_all_below_out_of_date() {
    let recording = recording(&[("a", "x = 1"), ("b", "y = x + 1"), ("c", "print(y)"), ("d", "z = 5"), ("a", "x = 2")]);
    let found = standings(&recording, None, None);
    assert_eq!(said(&found), ["b: Rerun", "c: Upstream", "d: ", "a: "]);
    assert_eq!(found[0].reasons[0].text, "the cell that made `x` was run again since, as [5]");
    assert_eq!(found[0].reasons[0].cell.as_deref(), Some("a"));
}

#[test]
fn running_the_whole_notebook_again_leaves_nothing_out_of_date() {
    let cells = [("a", "x = 1"), ("b", "x = x + 1"), ("c", "print(x)")];
    let recording = recording(&[cells, cells].concat());
    assert_eq!(said(&standings(&recording, Some(&shown(&cells)), None)), ["a: ", "b: ", "c: "]);
}

#[test]
fn a_cell_above_that_was_deleted_or_edited_is_told() {
    let recording = recording(&[("a", "x = 1"), ("b", "y = x"), ("c", "k = 2"), ("d", "print(k)")]);
    let now = shown(&[("b", "y = x"), ("c", "k = 3"), ("d", "print(k)")]);
    let found = standings(&recording, Some(&now), None);
    assert_eq!(said(&found), ["b: Deleted", "c: ", "d: Edited"]);
}

#[test]
fn a_cell_that_is_not_in_the_notebook_any_more_has_no_output_to_be_out_of_date() {
    let recording = recording(&[("a", "x = 1"), ("b", "y = x"), ("c", "x = 2"), ("d", "y = x")]);
    let now = shown(&[("c", "x = 2"), ("d", "y = x")]);
    assert_eq!(said(&standings(&recording, Some(&now), None)), ["c: ", "d: "]);
}

#[test]
fn a_cell_that_was_aborted_did_not_run_again() {
    let mut recording = recording(&[("a", "x = 1"), ("b", "y = x"), ("a", "x = 2")]);
    recording.executions[2].status = Some(Status::Aborted);
    assert_eq!(said(&standings(&recording, None, None)), ["a: ", "b: "]);
}

#[test]
fn a_file_that_changed_makes_who_read_it_out_of_date() {
    let mut recording = recording(&[("a", "x = load()"), ("b", "y = load2()"), ("c", "z = load3()")]);
    touch(&mut recording, "/d/same.csv", 1, Use::Read, 1, 10);
    touch(&mut recording, "/d/longer.csv", 2, Use::Read, 2, 10);
    touch(&mut recording, "/d/gone.csv", 3, Use::Read, 3, 10);
    let disk = files(&[("/d/same.csv", 1, 10, b"a"), ("/d/longer.csv", 2, 11, b"b")]);
    let found = standings(&recording, None, Some(&disk));
    assert_eq!(said(&found), ["a: ", "b: File", "c: File"]);
    assert_eq!(found[1].reasons[0].text, "`longer.csv` was changed since");
    assert_eq!(found[2].reasons[0].text, "`gone.csv` was removed since");
    assert_eq!(said(&standings(&recording, None, None)), ["a: ", "b: ", "c: "], "not this machine's files");
}

#[test]
fn the_same_bytes_written_again_are_no_change() {
    let mut recording = recording(&[("a", "x = load()")]);
    touch(&mut recording, "/d/x.csv", 1, Use::Read, 1, 10);
    let version = |digest| FileVersion {
        path: b"/d/x.csv".to_vec(),
        execution: Some(1),
        role: Role::Read,
        digest: Some(digest),
        signature: signature(1, 10),
        mode: 0o644,
        kept: true,
        unstable: false,
        seen: 1,
        note: None,
    };
    recording.versions.push(version(Digest::of(b"bytes")));
    assert_eq!(said(&standings(&recording, None, Some(&files(&[("/d/x.csv", 9, 10, b"bytes")])))), ["a: "]);
    assert_eq!(said(&standings(&recording, None, Some(&files(&[("/d/x.csv", 9, 10, b"BYTES")])))), ["a: File"]);
}

#[test]
fn a_file_that_a_later_cell_wrote_is_told_with_that_cell() {
    let mut recording = recording(&[("a", "load()"), ("b", "save()"), ("c", "both()")]);
    touch(&mut recording, "/d/x.csv", 1, Use::Read, 1, 10);
    touch(&mut recording, "/d/x.csv", 2, Use::Write, 1, 10);
    touch(&mut recording, "/d/own.csv", 3, Use::Read, 4, 10);
    touch(&mut recording, "/d/own.csv", 3, Use::Write, 4, 10);
    let disk = files(&[("/d/x.csv", 1, 10, b"a"), ("/d/own.csv", 5, 12, b"a")]);
    let found = standings(&recording, None, Some(&disk));
    assert_eq!(said(&found), ["a: File", "b: ", "c: "]);
    assert_eq!(found[0].reasons[0].text, "`x.csv` was written by [2] since");
}

#[test]
fn a_library_that_changed_is_told_by_its_name() {
    let mut recording = recording(&[("a", "import pandas")]);
    let path = "/v/lib/python3.11/site-packages/pandas/core/__pycache__/frame.cpython-311.pyc";
    touch(&mut recording, path, 1, Use::Read, 1, 10);
    touch(&mut recording, "/v/lib/python3.11/site-packages/pandas/_libs/lib.so", 1, Use::Read, 2, 10);
    let disk = files(&[(path, 7, 11, b""), ("/v/lib/python3.11/site-packages/pandas/_libs/lib.so", 8, 11, b"")]);
    let found = standings(&recording, None, Some(&disk));
    assert_eq!(said(&found), ["a: Library"]);
    assert_eq!(found[0].reasons[0].text, "the library `pandas` has changed since it was loaded");
}
