//! Bytes that nobody of ours wrote, for the readers of journals and session databases.
//!
//! Both can be damaged by a disk, and a database comes from a bundle of somebody else. Errors are fine, panics are bugs.

use bytes::Bytes;
use proptest::prelude::*;

use super::{export, journal};
use crate::event::{Channel, Direction, Event, FileAccess, FileOp, MessageRecord};

/// A record as the journal has it, of any payload; its checksum fits.
fn record(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [&length.to_le_bytes(), &crc32fast::hash(payload).to_le_bytes(), payload].concat()
}

fn events() -> [Event; 2] {
    let message = MessageRecord {
        at: 1,
        channel: Channel::Shell,
        direction: Direction::ToKernel,
        client: Bytes::from_static(b"id"),
        frames: vec![Bytes::from_static(b"<IDS|MSG>"), Bytes::from_static(b"{}")],
    };
    let access = FileAccess {
        at: 5,
        pid: 1,
        tid: 2,
        op: FileOp::Open { flags: 0 },
        path: b"/a".to_vec(),
        other: None,
        signature: None,
        times: 6,
    };
    [Event::Message(message), Event::File(access)]
}

/// All that a reader says of these bytes.
fn read(bytes: &[u8]) -> Vec<Event> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(journal::segment_path(dir.path(), 1), bytes).unwrap();
    let mut reader = journal::Reader::new(dir.path(), journal::Position::default());
    let mut found = Vec::new();
    let mut at = reader.position();
    while let Some(event) = reader.next_event().unwrap() {
        assert!(reader.position() > at, "it goes on");
        at = reader.position();
        found.push(event);
    }
    assert!(reader.position().offset <= bytes.len() as u64);
    found
}

/// The segment that a writer makes of [`events`], and where its second record begins.
fn written() -> (Vec<u8>, usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = journal::Writer::create(dir.path()).unwrap();
    let [first, second] = events();
    writer.append(std::slice::from_ref(&first)).unwrap();
    let between = writer.end().offset as usize;
    writer.append(std::slice::from_ref(&second)).unwrap();
    (std::fs::read(journal::segment_path(dir.path(), 1)).unwrap(), between)
}

fn changes() -> impl Strategy<Value = Vec<(usize, u8)>> {
    proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6)
}

fn change(bytes: &mut [u8], changes: &[(usize, u8)]) {
    for (at, value) in changes {
        let at = at % bytes.len();
        bytes[at] = *value;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever follows a whole record, that record is read.
    #[test]
    fn no_bytes_in_a_journal_hide_what_was_written_before_them(
        tail: Vec<u8>,
        // An empty one is a hole that a power loss left: the end.
        payload in proptest::collection::vec(any::<u8>(), 1..60),
    ) {
        let (bytes, between) = written();
        let whole = &bytes[..between];
        let [first, _] = events();
        let found = read(&[whole, &tail].concat());
        prop_assert_eq!(found.first(), Some(&first));
        // A payload of another program under a checksum that fits is skipped or read, and the next one is there.
        let found = read(&[&record(&payload), whole].concat());
        prop_assert_eq!(found.last(), Some(&first));
    }

    /// A checksum says that these are the bytes that were written, not that they make sense.
    #[test]
    fn no_bytes_under_a_fitting_checksum_make_the_journal_panic(changes in changes(), cut in 0_usize..200) {
        let (bytes, between) = written();
        for span in [0..between, between..bytes.len()] {
            let mut payload = bytes[span][8..].to_vec();
            change(&mut payload, &changes);
            payload.truncate(cut.max(1));
            read(&record(&payload));
        }
    }
}

/// An exported session with one of everything.
fn database() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("session.sqlite");
    export(&super::export::tests::recording(), &path).unwrap();
    std::fs::read(path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// A database of somebody else: read or refused, whatever is in it.
    #[test]
    fn no_bytes_in_a_session_database_make_the_reader_panic(
        changes in changes(),
        cut in proptest::option::of(any::<usize>()),
    ) {
        static WHOLE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(database);
        let mut bytes = WHOLE.clone();
        change(&mut bytes, &changes);
        if let Some(cut) = cut {
            bytes.truncate(cut % bytes.len());
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.sqlite");
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(read) = super::read(&path) {
            // What could be read can be written again: a reader never takes what a writer could not say.
            drop(export(&read, &dir.path().join("again.sqlite")));
        }
        drop(super::read_info(&path));
        drop(super::read_code(&path));
        prop_assert_eq!(std::fs::read(&path).unwrap(), bytes, "reading changes nothing");
    }

    /// Every text and number of it is anything: types and meanings are checked, not only SQLite's own pages.
    #[test]
    fn no_values_in_a_session_database_make_the_reader_panic(
        (table, column, row) in any::<(usize, usize, usize)>(),
        value in prop_oneof![
            any::<i64>().prop_map(rusqlite::types::Value::Integer),
            any::<f64>().prop_map(rusqlite::types::Value::Real),
            "\\PC{0,12}|\\{.{0,9}|sha256:[0-9a-f]{64}".prop_map(rusqlite::types::Value::Text),
            any::<Vec<u8>>().prop_map(rusqlite::types::Value::Blob),
            Just(rusqlite::types::Value::Null),
        ],
    ) {
        static WHOLE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(database);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.sqlite");
        std::fs::write(&path, &*WHOLE).unwrap();
        let db = rusqlite::Connection::open(&path).unwrap();
        let names = |sql: &str| -> Vec<String> {
            let mut statement = db.prepare(sql).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let tables = names("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
        let table = &tables[table % tables.len()];
        let columns = names(&format!("SELECT name FROM pragma_table_info('{table}')"));
        let column = &columns[column % columns.len()];
        // A constraint may not let it in; then nothing is changed.
        let sql = format!("UPDATE \"{table}\" SET \"{column}\" = ?1 WHERE rowid % 3 = ?2");
        drop(db.execute(&sql, (value, (row % 3) as i64)));
        drop(db);
        if let Ok(read) = super::read(&path) {
            drop(export(&read, &dir.path().join("again.sqlite")));
        }
    }
}
