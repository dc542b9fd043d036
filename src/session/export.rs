//! A recording as a database that is the same bytes for the same recording.
//!
//! Never the live file: that one depends on the order of commits and keeps deleted values in free pages.

use std::{collections::BTreeMap, path::Path};

use super::{
    DbError,
    db::{Body, Db, OutputRow},
    model::{CommMessage, Execution, Output, Recording},
};
use crate::{
    digest::Digest,
    files::{self, FileError, Signature},
};

/// Outputs and comm buffers longer than this lie in files of their own.
pub const LARGEST_INLINE: usize = 64 << 10;

/// Writes the recording to a new database at `to`; gives the large outputs, each once, by digest.
///
/// Who packs it puts each of them into `blobs/<64 hex digits>` beside the database, where [`super::read()`] looks.
/// What only means something on this machine is made neutral: device and inode numbers and ctimes are 0, processes
/// are numbered from 1 in the order of their start.
pub fn export(recording: &Recording, to: &Path) -> Result<Vec<(Digest, Vec<u8>)>, DbError> {
    let temporary = to.with_extension("writing");
    match std::fs::remove_file(&temporary) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(FileError { action: "replace", path: temporary, source }.into());
        }
        _ => {}
    }
    let mut blobs = BTreeMap::new();
    {
        let db = Db::create_still(&temporary)?;
        db.begin()?;
        write(recording, &db, &mut blobs)?;
        db.commit(false)?;
    }
    files::open(&temporary)?.sync_all().map_err(FileError::new("write", &temporary))?;
    std::fs::rename(&temporary, to).map_err(FileError::new("write", to))?;
    Ok(blobs.into_iter().collect())
}

fn write(recording: &Recording, db: &Db, blobs: &mut BTreeMap<Digest, Vec<u8>>) -> Result<(), DbError> {
    db.put_info(&recording.info)?;
    let mut executions: Vec<&Execution> = recording.executions.iter().collect();
    executions.sort_by_key(|execution| execution.id);
    let mut question = 0;
    for execution in &executions {
        db.put_execution(execution, false)?;
    }
    for execution in &executions {
        for (ord, output) in execution.outputs.iter().enumerate() {
            db.put_output(&output_row(execution.id, ord as i64 + 1, output, |bytes| keep(blobs, bytes)))?;
        }
    }
    for execution in &executions {
        for exchange in &execution.stdin {
            question += 1;
            db.put_stdin(question, execution.id, exchange, true)?;
        }
    }
    for (index, comm) in recording.comms.iter().enumerate() {
        put_comm(db, index as i64 + 1, comm, blobs)?;
    }
    for (index, process) in recording.processes.iter().enumerate() {
        db.put_process(index as i64 + 1, process)?;
    }
    put_files(recording, db)?;
    for connection in &recording.connections {
        db.put_connection(connection)?;
    }
    for (name, value) in &recording.environment {
        db.put_variable(name, value.as_deref())?;
    }
    for (key, value) in &recording.facts {
        db.put_fact(key, value)?;
    }
    recording.gaps.iter().try_for_each(|gap| db.put_gap(gap))
}

fn put_comm(db: &Db, id: i64, comm: &CommMessage, blobs: &mut BTreeMap<Digest, Vec<u8>>) -> Result<(), DbError> {
    let large: Vec<Option<Digest>> = comm
        .buffers
        .iter()
        .map(|buffer| (buffer.len() > LARGEST_INLINE).then(|| keep(blobs, buffer.clone())))
        .collect();
    db.put_comm(id, comm, &large)
}

fn put_files(recording: &Recording, db: &Db) -> Result<(), DbError> {
    let mut numbers: BTreeMap<&[u8], i64> = BTreeMap::new();
    let used = recording.files.iter().map(|file| file.path.as_slice());
    for path in used.chain(recording.versions.iter().map(|version| version.path.as_slice())) {
        numbers.insert(path, 0);
    }
    for (index, (path, number)) in numbers.iter_mut().enumerate() {
        *number = index as i64 + 1;
        db.put_path(*number, path)?;
    }
    let number = |path: &[u8]| numbers.get(path).copied().unwrap_or_default();
    for file in &recording.files {
        let neutral = super::model::FileUse { signature: file.signature.map(neutral), ..file.clone() };
        db.put_file_use(number(&file.path), &neutral)?;
    }
    for version in &recording.versions {
        let neutral = super::model::FileVersion { signature: neutral(version.signature), ..version.clone() };
        db.put_version(number(&version.path), &neutral)?;
    }
    Ok(())
}

/// Size and modification time mean something elsewhere; the rest does not.
fn neutral(signature: Signature) -> Signature {
    Signature { dev: 0, ino: 0, ctime_ns: 0, ..signature }
}

fn keep(blobs: &mut BTreeMap<Digest, Vec<u8>>, bytes: Vec<u8>) -> Digest {
    let digest = Digest::of(&bytes);
    blobs.entry(digest).or_insert(bytes);
    digest
}

/// The row that holds an output; a body over [`LARGEST_INLINE`] goes to `keep`.
pub fn output_row(execution: i64, ord: i64, output: &Output, keep: impl FnOnce(Vec<u8>) -> Digest) -> OutputRow {
    let json = || serde_json::to_string(output).unwrap_or_default();
    let (kind, name, display_id, body) = match output {
        Output::Stream { name, text } => ("stream", Some(name.clone()), None, text.clone()),
        Output::DisplayData { display_id, .. } => ("display_data", None, display_id.clone(), json()),
        Output::ExecuteResult { .. } => ("execute_result", None, None, json()),
        Output::Error { .. } => ("error", None, None, json()),
    };
    let body = if body.len() > LARGEST_INLINE {
        let bytes = body.len() as u64;
        Body::Blob(keep(body.into_bytes()), bytes)
    } else {
        Body::Inline(body)
    };
    OutputRow { execution, ord, kind: kind.to_owned(), name, display_id, body }
}

#[cfg(test)]
#[path = "export_tests.rs"]
pub(super) mod tests;
