//! The whole way of an event: journal, rows, recording. No real kernel: messages and file events are made up.

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::recover;
use super::*;
use crate::{
    event::{Channel, Direction, MessageRecord, Preserved},
    files::Signature,
    session::model::{Output, Recording, Role, Status, Use},
};

/// Plays kernel and frontend.
pub(in crate::record) struct Play {
    pub(in crate::record) dir: tempfile::TempDir,
    pub(in crate::record) store: Store,
    pub(in crate::record) recorder: Arc<Recorder>,
}

fn seed(dir: &Path) -> SessionSeed {
    SessionSeed {
        started: now(),
        kernel: "python3".into(),
        display_name: "Python 3".into(),
        language: "python".into(),
        argv: vec!["/usr/bin/python3".into()],
        interrupt_mode: "signal".into(),
        kernel_env: BTreeMap::new(),
        cwd: dir.to_owned(),
        notebook: Some(dir.join("nb.ipynb")),
        notebook_source: Some("JPY_SESSION_NAME".into()),
        user: "user".into(),
        uid: 1000,
        gid: 1000,
        home: dir.to_owned(),
        host: "host".into(),
        parent: None,
        environment: BTreeMap::from([("HIDDEN_SIZE".into(), "7".into()), ("LANG".into(), "C".into())]),
        facts: BTreeMap::new(),
        own_dirs: Vec::new(),
        foreign_root: false,
        limits: Limits::default(),
    }
}

impl Play {
    pub(in crate::record) fn new() -> Self {
        Self::told(Box::new(|text| panic!("warned: {text}")))
    }

    fn told(warn: super::Warn) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let recorder = Recorder::start(&store, seed(dir.path()), warn).unwrap();
        Self { dir, store, recorder }
    }

    fn send(&self, channel: Channel, direction: Direction, kind: &str, parent: &str, content: &Value) {
        self.send_at(now(), channel, direction, kind, parent, content);
    }

    fn send_at(&self, at: Nanos, channel: Channel, direction: Direction, kind: &str, parent: &str, content: &Value) {
        let id = if direction == Direction::ToKernel { parent } else { "from-kernel" };
        let header = json!({"msg_id": id, "msg_type": kind, "session": "s", "username": "u"});
        let parent = json!({"msg_id": parent});
        let metadata = json!({"cellId": format!("cell-{id}")});
        let frames = [&header, &parent, &metadata, content].map(|value| Bytes::from(value.to_string()));
        let client = Bytes::from_static(b"client");
        self.recorder.record(Event::Message(MessageRecord { at, channel, direction, client, frames: frames.to_vec() }));
    }

    fn iopub(&self, kind: &str, parent: &str, content: &Value) {
        self.send(Channel::Iopub, Direction::ToFrontend, kind, parent, content);
    }

    fn begin(&self, id: &str, code: &str) {
        let content = json!({"code": code, "silent": false, "store_history": true});
        self.send(Channel::Shell, Direction::ToKernel, "execute_request", id, &content);
        self.iopub("status", id, &json!({"execution_state": "busy"}));
    }

    fn end(&self, id: &str, reply: &Value) {
        self.send(Channel::Shell, Direction::ToFrontend, "execute_reply", id, reply);
        self.iopub("status", id, &json!({"execution_state": "idle"}));
    }

    fn execute(&self, id: &str, code: &str, outputs: &[(&str, Value)]) {
        self.begin(id, code);
        for (kind, content) in outputs {
            self.iopub(kind, id, content);
        }
        self.end(id, &json!({"status": "ok", "execution_count": 1}));
    }

    fn open(&self, path: &Path, flags: i32) {
        use std::os::unix::ffi::OsStrExt as _;
        let signature = std::fs::metadata(path).ok().map(|metadata| Signature::of(&metadata));
        let access = FileAccess {
            at: now(),
            pid: 7,
            tid: 7,
            op: FileOp::Open { flags },
            path: path.as_os_str().as_bytes().to_vec(),
            other: None,
            signature: signature.filter(|_| flags & libc::O_ACCMODE == libc::O_RDONLY),
            times: 1,
        };
        if flags & libc::O_ACCMODE != libc::O_RDONLY {
            self.recorder.before_change(&access, path);
        }
        self.recorder.record(Event::File(access));
    }

    fn finish(self) -> (tempfile::TempDir, Recording) {
        self.recorder.finish(0);
        let recording = session::read_id(&self.store, self.recorder.id()).unwrap();
        (self.dir, recording)
    }
}

fn stream(text: &str) -> (&'static str, Value) {
    ("stream", json!({"name": "stdout", "text": text}))
}

fn display(text: &str, id: &str) -> (&'static str, Value) {
    ("display_data", json!({"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": id}}))
}

fn texts(outputs: &[Output]) -> Vec<String> {
    outputs
        .iter()
        .map(|output| match output {
            Output::Stream { name, text } => format!("{name}:{text}"),
            Output::DisplayData { data, .. } | Output::ExecuteResult { data, .. } => data["text/plain"].to_string(),
            Output::Error { ename, .. } => ename.clone(),
        })
        .collect()
}

#[test]
fn a_session_is_read_back_as_a_frontend_shows_it() {
    let play = Play::new();
    play.execute("a", "print(1)", &[stream("1\n"), stream("2\n"), display("old", "d"), stream("3\n")]);
    play.execute("b", "update", &[("update_display_data", display("new", "d").1)]);
    play.execute("c", "clear", &[stream("x"), ("clear_output", json!({"wait": true})), stream("y")]);
    play.execute("d", "clear now", &[stream("x"), ("clear_output", json!({"wait": false}))]);
    play.execute("e", "%nbpack status", &[]);
    let (_dir, recording) = play.finish();
    let shown: Vec<Vec<String>> = recording.executions.iter().map(|execution| texts(&execution.outputs)).collect();
    assert_eq!(
        shown,
        [vec!["stdout:1\n2\n", "\"new\"", "stdout:3\n"], vec![], vec!["stdout:y"], vec![], vec![]]
            .map(|list| list.into_iter().map(str::to_owned).collect::<Vec<_>>())
    );
    assert_eq!(recording.executions[0].cell_id.as_deref(), Some("cell-a"));
    assert_eq!(recording.executions[0].status, Some(Status::Ok));
    assert!(recording.executions[4].is_magic && !recording.executions[0].is_magic);
    assert_eq!((recording.info.exit_status, recording.info.running, recording.info.executions), (Some(0), false, 5));
    assert!(recording.info.ended.is_some());
}

#[test]
fn an_output_of_any_length_comes_back_whole() {
    let play = Play::new();
    let long = "é".repeat(100_000);
    play.execute("a", "long", &[stream(&long), stream(&long), display(&long, "d")]);
    let (_dir, recording) = play.finish();
    let [Output::Stream { text, .. }, Output::DisplayData { data, .. }] = &recording.executions[0].outputs[..] else {
        panic!("{:?}", texts(&recording.executions[0].outputs));
    };
    assert!(*text == long.repeat(2) && data["text/plain"] == json!(long));
}

#[test]
fn an_error_on_iopub_outweighs_the_reply() {
    let play = Play::new();
    let error = json!({"ename": "ValueError", "evalue": "no", "traceback": ["a", "b"]});
    play.execute("a", "1/0", &[("error", error)]);
    play.begin("b", "never ran");
    play.end("b", &json!({"status": "aborted", "execution_count": 1}));
    play.begin("c", "while True: pass");
    play.send(Channel::Control, Direction::ToKernel, "interrupt_request", "i", &json!({}));
    play.end("c", &json!({"status": "error", "ename": "KeyboardInterrupt", "evalue": ""}));
    play.begin("d", "os._exit(1)");
    let (_dir, recording) = play.finish();
    let [a, b, c, d] = &recording.executions[..] else { panic!() };
    assert_eq!((a.status, a.ename.as_deref()), (Some(Status::Error), Some("ValueError")));
    assert_eq!((b.status, b.execution_count), (Some(Status::Aborted), None));
    assert_eq!((c.status, c.interrupted), (Some(Status::Error), true));
    assert_eq!((d.status, d.idle), (None, None), "the kernel died in it");
}

#[test]
fn answers_are_kept_and_passwords_are_not() {
    let play = Play::new();
    play.begin("a", "input()");
    let ask = |prompt: &str, password: bool| {
        let content = json!({"prompt": prompt, "password": password});
        play.send(Channel::Stdin, Direction::ToFrontend, "input_request", "a", &content);
    };
    let answer = |value: &str| {
        play.send(Channel::Stdin, Direction::ToKernel, "input_reply", "r", &json!({"value": value}));
    };
    ask("name? ", false);
    answer("somebody");
    ask("key? ", true);
    answer("hunter22");
    play.iopub("stream", "a", &stream("hunter22 is it").1);
    play.end("a", &json!({"status": "ok"}));
    play.begin("b", "int(os.environ['HIDDEN_SIZE'])");
    let (dir, recording) = play.finish();
    let [first, second] = &recording.executions[0].stdin[..] else { panic!() };
    assert_eq!((first.value.as_deref(), first.masked), (Some("somebody"), false));
    assert_eq!((second.value.as_deref(), second.masked), (None, true));
    assert_eq!(recording.environment["HIDDEN_SIZE"].as_deref(), Some("7"), "code names it");
    for entry in walk(dir.path()) {
        let bytes = std::fs::read(&entry).unwrap();
        assert!(memchr::memmem::find(&bytes, b"hunter22").is_none(), "{}", entry.display());
    }
}

fn walk(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir)
        .unwrap()
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path) } else { vec![path] }
        })
        .collect()
}

#[test]
fn files_belong_to_the_execution_in_whose_time_they_were_opened() {
    let play = Play::new();
    let file = |name: &str| {
        let path = play.dir.path().join(name);
        std::fs::write(&path, name).unwrap();
        path
    };
    let (before, inside, late) = (file("before"), file("inside"), file("late"));
    play.open(&before, libc::O_RDONLY);
    play.begin("a", "open");
    play.open(&inside, libc::O_RDONLY);
    play.open(&play.dir.path().join("absent"), libc::O_RDONLY);
    play.open(play.dir.path(), libc::O_RDONLY | libc::O_DIRECTORY);
    play.end("a", &json!({"status": "ok"}));
    play.open(&late, libc::O_RDONLY);
    play.begin("b", "again");
    play.open(&inside, libc::O_RDONLY);
    play.end("b", &json!({"status": "ok"}));
    let (dir, recording) = play.finish();
    let used: Vec<(String, Option<i64>, Use)> = recording
        .files
        .iter()
        .map(|file| {
            let path = paths::as_path(&file.path).strip_prefix(dir.path()).unwrap();
            (path.display().to_string(), file.execution, file.usage)
        })
        .collect();
    let expected = [
        ("", Some(1), Use::List),
        ("absent", Some(1), Use::Absent),
        ("before", None, Use::Read),
        ("inside", Some(1), Use::Read),
        ("inside", Some(2), Use::Read),
        ("late", None, Use::Read),
    ];
    assert_eq!(used, expected.map(|(path, execution, usage)| (path.to_owned(), execution, usage)));
    let versions: Vec<(Option<i64>, Option<Digest>)> =
        recording.versions.iter().map(|version| (version.execution, version.digest)).collect();
    let digest = |text: &str| Some(Digest::of(text.as_bytes()));
    // The test made the files in the session, with nothing to tell who: read first, they count as inputs.
    assert_eq!(versions, [(None, digest("before")), (Some(1), digest("inside")), (None, digest("late"))]);
    assert!(recording.versions.iter().all(|version| version.kept && version.role == Role::Read));
}

#[test]
fn an_input_that_its_own_cell_overwrites_is_recorded_as_it_was_read() {
    let play = Play::new();
    let path = play.dir.path().join("over.csv");
    std::fs::write(&path, "old").unwrap();
    play.begin("a", "overwrite");
    play.open(&path, libc::O_RDONLY);
    play.open(&path, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC);
    std::fs::write(&path, "new").unwrap();
    play.end("a", &json!({"status": "ok"}));
    let store = play.store.clone();
    let (_dir, recording) = play.finish();
    let versions: Vec<(Role, Option<Digest>, Option<i64>)> =
        recording.versions.iter().map(|version| (version.role, version.digest, version.execution)).collect();
    let digest = |text: &str| Some(Digest::of(text.as_bytes()));
    assert_eq!(versions, [(Role::Read, digest("old"), Some(1)), (Role::Written, digest("new"), Some(1))]);
    assert_eq!(store.read_blob(&Digest::of(b"old"), 10).unwrap(), b"old");
    assert!(recording.gaps.is_empty(), "{:?}", recording.gaps);
}

#[test]
fn what_a_killed_recorder_left_is_imported_once_and_whole() {
    // The journal of one session, replayed into the database by another process at every possible cut.
    let play = Play::new();
    let path = play.dir.path().join("in.csv");
    std::fs::write(&path, "rows").unwrap();
    for n in 0..5 {
        play.begin(&format!("m{n}"), "code");
        play.open(&path, libc::O_RDONLY);
        play.iopub("stream", &format!("m{n}"), &stream(&format!("said {n}")).1);
        play.end(&format!("m{n}"), &json!({"status": "ok"}));
    }
    let source = session::dir(&play.store, play.recorder.id());
    let killed = play.dir.path().join("store/sessions/20200101-000000-00000000");
    let mut copied = 0;
    while copied < 40 {
        // A live session is copied as `kill -9` would leave it: journal first, for the database is never ahead of it.
        std::fs::create_dir(&killed).unwrap();
        let journal = std::fs::read(journal::segment_path(&source, 1)).unwrap();
        std::fs::write(journal::segment_path(&killed, 1), journal).unwrap();
        rusqlite::Connection::open(source.join("session.db"))
            .unwrap()
            .execute("VACUUM INTO ?1", [killed.join("session.db").to_str().unwrap()])
            .unwrap();
        let id = SessionId("20200101-000000-00000000".into());
        assert_eq!(recover::recover(&play.store).unwrap(), std::slice::from_ref(&id));
        let recording = session::read_id(&play.store, &id).unwrap();
        let said: Vec<Vec<String>> = recording.executions.iter().map(|execution| texts(&execution.outputs)).collect();
        assert_eq!(said, (0..5).map(|n| vec![format!("stdout:said {n}")]).collect::<Vec<_>>());
        assert_eq!(recording.files.iter().map(|file| file.count).sum::<u64>(), 5);
        assert_eq!(recording.versions.len(), 1);
        assert!(recording.info.ended.is_none() && !recording.info.running);
        assert_eq!(recover::recover(&play.store).unwrap(), [], "nothing is left to do");
        std::fs::remove_dir_all(&killed).unwrap();
        copied += 1;
    }
    play.recorder.finish(9);
}

#[test]
fn a_preserved_file_survives_the_recorder() {
    let play = Play::new();
    let dir = session::dir(&play.store, play.recorder.id());
    std::fs::create_dir_all(dir.join(PRESERVED)).unwrap();
    std::fs::write(dir.join(PRESERVED).join("000001"), "old").unwrap();
    let signature = Signature { dev: 1, ino: 1, size: 3, mtime_ns: 1, ctime_ns: 1 };
    let outcome = Ok(dir.join(PRESERVED).join("000001"));
    let (pid, tid) = (1, 1);
    let preserved = Preserved { at: now(), path: b"/data/x".to_vec(), signature, outcome, pid, tid };
    play.recorder.record(Event::Preserved(preserved));
    let (_dir, recording) = play.finish();
    let version = &recording.versions[0];
    assert_eq!((version.digest, version.kept), (Some(Digest::of(b"old")), true));
    assert!(!dir.join(PRESERVED).exists());
}

#[test]
fn the_journal_and_its_traces_are_gone_after_an_ordinary_end() {
    let play = Play::new();
    play.execute("a", "1", &[]);
    let dir = session::dir(&play.store, play.recorder.id());
    let (_dir, _) = play.finish();
    let names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| name.starts_with("session.db") || name == "lock"), "{names:?}");
}

/// What ran in a session whose database was broken, and the reasons of its gaps.
fn said_and_gaps(recording: &Recording) -> (Vec<Vec<String>>, Vec<&str>) {
    let said = recording.executions.iter().map(|execution| texts(&execution.outputs)).collect();
    (said, recording.gaps.iter().map(|gap| gap.reason.as_str()).collect())
}

#[test]
fn a_killed_session_without_a_sound_database_is_made_again_from_its_journal() {
    let play = Play::new();
    for n in 0..3 {
        play.execute(&format!("m{n}"), "code", &[stream(&format!("said {n}"))]);
    }
    let source = session::dir(&play.store, play.recorder.id());
    play.recorder.catch_up();
    let id = SessionId("20200101-000000-00000000".into());
    let killed = session::dir(&play.store, &id);
    type Break = fn(&Path);
    let breaks: [(&str, Break); 5] = [
        ("removed", |db| std::fs::remove_file(db).unwrap()),
        ("empty", |db| std::fs::write(db, "").unwrap()),
        ("cut", |db| std::fs::OpenOptions::new().write(true).open(db).unwrap().set_len(5000).unwrap()),
        ("zeros", |db| std::fs::write(db, vec![0; 40_000]).unwrap()),
        ("a torn page", |db| {
            let mut bytes = std::fs::read(db).unwrap();
            bytes[4096..].iter_mut().step_by(7).for_each(|byte| *byte ^= 0x55);
            std::fs::write(db, bytes).unwrap();
        }),
    ];
    for (how, break_it) in breaks {
        std::fs::create_dir(&killed).unwrap();
        std::fs::copy(journal::segment_path(&source, 1), journal::segment_path(&killed, 1)).unwrap();
        std::fs::copy(source.join("head.json"), killed.join("head.json")).unwrap();
        let db = killed.join("session.db");
        rusqlite::Connection::open(source.join("session.db"))
            .unwrap()
            .execute("VACUUM INTO ?1", [db.to_str().unwrap()])
            .unwrap();
        break_it(&db);
        assert_eq!(recover::recover(&play.store).unwrap(), std::slice::from_ref(&id), "{how}");
        let recording = session::read_id(&play.store, &id).unwrap();
        let expected = (0..3).map(|n| vec![format!("stdout:said {n}")]).collect();
        assert_eq!(said_and_gaps(&recording), (expected, vec!["database"]), "{how}");
        assert_eq!(recording.environment["HIDDEN_SIZE"], None);
        assert_eq!(recover::recover(&play.store).unwrap(), [], "{how}: nothing is left to do");
        std::fs::remove_dir_all(&killed).unwrap();
    }
    play.recorder.finish(9);
}

#[test]
fn a_database_that_is_removed_or_overwritten_while_the_notebook_runs_is_made_again() {
    type Break = fn(&Path);
    let remove: Break = |db| std::fs::remove_file(db).unwrap();
    let replace: Break = |db| {
        std::fs::write(db.with_extension("other"), "no database").unwrap();
        std::fs::rename(db.with_extension("other"), db).unwrap();
    };
    for break_it in [remove, replace] {
        let (told, warnings) = std::sync::mpsc::channel();
        let told = std::sync::Mutex::new(told);
        let play = Play::told(Box::new(move |text| told.lock().unwrap().send(text.to_owned()).unwrap()));
        play.execute("a", "1", &[stream("before")]);
        play.recorder.catch_up();
        break_it(&session::dir(&play.store, play.recorder.id()).join("session.db"));
        play.execute("b", "2", &[stream("after")]);
        let first = warnings.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        assert!(first.contains("waits in its journal") && first.contains("removed while it was written"), "{first}");
        let second = warnings.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        assert!(second.contains("is made again"), "{second}");
        play.execute("c", "3", &[stream("at the end")]);
        let (_dir, recording) = play.finish();
        let expected = ["before", "after", "at the end"].map(|text| vec![format!("stdout:{text}")]).to_vec();
        assert_eq!(said_and_gaps(&recording), (expected, vec!["database"]));
    }
}

#[test]
fn a_database_that_goes_in_the_last_moment_is_made_again_by_the_next_process() {
    let play = Play::told(Box::new(|_| {}));
    play.execute("a", "1", &[stream("kept")]);
    play.recorder.catch_up();
    let dir = session::dir(&play.store, play.recorder.id());
    std::fs::remove_file(dir.join("session.db")).unwrap();
    play.recorder.finish(0);
    assert_eq!(recover::recover(&play.store).unwrap(), std::slice::from_ref(play.recorder.id()));
    let recording = session::read_id(&play.store, play.recorder.id()).unwrap();
    assert_eq!(said_and_gaps(&recording), (vec![vec!["stdout:kept".to_owned()]], vec!["database"]));
    assert!(!dir.join("head.json").exists());
}
