//! What the proxy answers a panel in the frontend: how the recording stands by itself, the rest by a child of the same
//! program, which gives way to kernel and frontend. Nothing here holds a message of the notebook's up.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use super::recorder::Recorder;
use crate::{
    kernel::Panel,
    session::{self, DbError, db::Db},
};

/// An answer of the child is not longer.
const LONGEST_ANSWER: u64 = 64 << 20;
/// What only the child can tell.
const BY_CHILD: [&str; 5] = ["inputs", "cells", "plan", "export", "open"];
/// More gaps are counted in the panel's list of inputs.
const MOST_GAPS: usize = 20;
/// Nobody has looked yet.
const NOT_LOOKED: u64 = u64::MAX;

/// Answers for one kernel.
pub(super) struct RecorderPanel {
    recorder: Option<Arc<Recorder>>,
    program: PathBuf,
    /// The kernel runs in a container. It knows the key that requests are signed with, and where it may use the network
    /// it can send some: nothing may come of that which it could not do itself.
    contained: bool,
    /// Secrets that were found when somebody last looked.
    secrets: AtomicU64,
}

impl RecorderPanel {
    pub(super) fn new(recorder: Option<&Arc<Recorder>>, program: PathBuf, contained: bool) -> Self {
        Self { recorder: recorder.map(Arc::clone), program, contained, secrets: AtomicU64::new(NOT_LOOKED) }
    }

    fn status(&self) -> Value {
        let Some(recorder) = &self.recorder else {
            return json!({"recording": false, "contained": self.contained});
        };
        recorder.catch_up();
        let mut status = json!({
            "recording": true,
            "contained": self.contained,
            "session": recorder.id(),
            "secrets": Some(self.secrets.load(Ordering::Relaxed)).filter(|count| *count != NOT_LOOKED),
        });
        let mut warnings = recorder.warnings();
        let known = match written(&session::db_path(recorder.store(), recorder.id())) {
            Ok(known) => known,
            Err(error) => {
                // It is all in the journal, and will be read from there.
                warnings.push(format!("the session cannot be read for now: {error}"));
                Value::Null
            }
        };
        if let Some(status) = status.as_object_mut() {
            status.extend(known.as_object().cloned().unwrap_or_default());
            status.insert("warnings".to_owned(), warnings.into());
        }
        status
    }

    /// Why a request is not passed on.
    fn refusal(&self, ask: &str, request: &Value) -> Option<Value> {
        let refuse = |message: &str, hint: &str| Some(json!({"message": message, "hint": hint}));
        if self.contained && (ask == "open" || !request["output"].is_null()) {
            return refuse(
                "a restored kernel writes nothing but its own bundle on this machine",
                "ask from a notebook with a recording kernel, or use `nbpack restore` in a terminal",
            );
        }
        if self.recorder.is_none() && ask != "open" {
            return refuse("this session is not recorded", "Jupyter's log says why; `nbpack doctor` looks for causes");
        }
        None
    }

    /// Has the child answer, and passes on what it says.
    fn ask_child(&self, request: &Value, say: &mut dyn FnMut(Value) -> bool) -> std::io::Result<()> {
        let mut command = Command::new(&self.program);
        command.arg("panel");
        if let Some(recorder) = &self.recorder {
            recorder.catch_up();
            command.arg(&recorder.id().0);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // An interrupt of the notebook is not meant for it, and it is stopped with all that it starts.
            .process_group(0)
            .spawn()?;
        let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(request.to_string().as_bytes()));
        let mut answered = false;
        for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out.take(LONGEST_ANSWER)).lines()) {
            let Ok(value) = line.map_err(|_| ()).and_then(|line| serde_json::from_str::<Value>(&line).map_err(|_| ()))
            else {
                break;
            };
            if let Some(count) = value.pointer("/result/secrets").and_then(Value::as_array) {
                self.secrets.store(count.len() as u64, Ordering::Relaxed);
            }
            answered |= value.get("progress").is_none();
            if !say(value) {
                stop(&child);
                break;
            }
        }
        if !answered {
            stop(&child);
        }
        let status = child.wait()?;
        written?;
        if !answered {
            say(json!({"error": {"message": format!("nbpack ended without an answer ({status})")}}));
        }
        Ok(())
    }
}

impl Panel for RecorderPanel {
    fn answer(&self, request: &Value, say: &mut dyn FnMut(Value) -> bool) {
        let ask = request["ask"].as_str().unwrap_or_default();
        let answer = match ask {
            "status" => json!({"result": self.status()}),
            _ if BY_CHILD.contains(&ask) => match self.refusal(ask, request) {
                Some(error) => json!({"error": error}),
                None => match self.ask_child(request, say) {
                    Ok(()) => return,
                    Err(error) => json!({"error": {"message": format!("nbpack could not be started: {error}")}}),
                },
            },
            _ => json!({"error": {"message": "this nbpack does not know what is asked"}}),
        };
        // Nobody listens any more: nobody misses it.
        say(answer);
    }
}

/// What the database says of a session so far.
fn written(path: &Path) -> Result<Value, DbError> {
    let db = Db::open_read(path)?;
    let info = db.info()?;
    let gaps = db.gaps()?;
    let kept: BTreeMap<_, u64> = db
        .versions()?
        .into_iter()
        .filter(|version| version.kept)
        .filter_map(|version| Some((version.digest?, version.signature.size)))
        .collect();
    let named = gaps.iter().take(MOST_GAPS).map(|gap| json!({"reason": gap.reason, "detail": gap.detail}));
    Ok(json!({
        "coverage": info.coverage,
        "executions": info.executions,
        "gaps": named.collect::<Value>(),
        "bytes": bytes_in(crate::files::parent(path)) + kept.values().sum::<u64>(),
        "inputs_kept": kept.len(),
        "version": info.nbpack_version,
    }))
}

/// Ends the child and what it started.
fn stop(child: &Child) {
    // It may have ended by itself.
    rustix::process::kill_process_group(Pid::from_child(child), Signal::KILL).unwrap_or_default();
}

/// The bytes of the files right in a session's directory.
fn bytes_in(dir: &Path) -> u64 {
    let listing = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let listing = listing.filter(|entry| entry.file_name() != super::RESERVE);
    listing.filter_map(|entry| entry.metadata().ok()).filter(|file| file.is_file()).map(|file| file.len()).sum()
}
