//! Drives a kernel through the steps of a plan, as the frontend did.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};

use super::plan::{Answer, Request, Step, dependents};
use crate::{
    jupyter::connection::Connection,
    kernel::client::{Client, ClientError, ExecuteOutcome},
    session::model::{CommMessage, Output, Recording},
};

/// How long a kernel may take to start.
const START: Duration = Duration::from_secs(120);
/// How long a kernel that was interrupted may take to obey.
const OBEY: Duration = Duration::from_secs(10);

/// Asks the person for a password; the argument is the prompt. `None`: nobody is there.
pub type Ask<'a> = dyn FnMut(&str) -> Option<String> + 'a;

/// What happens, for a progress line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress<'a> {
    /// The kernel is being started.
    Starting,
    /// A cell runs.
    Cell {
        /// Its number.
        number: usize,
        /// Of how many.
        of: usize,
        /// Its first line.
        code: &'a str,
    },
    /// All cells ran.
    Ending,
}

/// What driving came to.
#[derive(Debug, Default)]
pub(super) struct Driven {
    /// Why not everything was sent, or what was stopped.
    pub(super) notes: Vec<String>,
    /// The kernel ended by itself.
    pub(super) ended: bool,
}

/// Where the ids of widgets in the replay are looked up: (`msg_id` of a request, its outputs so far).
pub(super) type OutputsOf<'a> = dyn Fn(&str) -> Vec<Output> + 'a;

/// How to drive.
pub(super) struct How<'a> {
    /// Send nothing more after an execution that ended in an error.
    pub(super) stop_at_error: bool,
    pub(super) outputs_of: &'a OutputsOf<'a>,
}

/// Sends all steps; the kernel is asked to end at the end.
pub(super) async fn drive(
    front: &Connection,
    recording: &Recording,
    steps: &[Step<'_>],
    how: &How<'_>,
    ask: &mut Ask<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Driven, ClientError> {
    progress(Progress::Starting);
    let mut client = Client::connect(front).await?;
    client.wait_ready(START).await?;
    // Interrupts must not wait for the client that waits for a reply.
    let mut second = Client::connect(front).await?;
    let of = steps.iter().filter(|step| matches!(step, Step::Execute(Request { number: Some(_), .. }))).count();
    let mut driven = Driven::default();
    let mut without: BTreeSet<i64> = BTreeSet::new();
    let mut comm_ids: BTreeMap<String, String> = BTreeMap::new();
    for step in steps {
        let request = match step {
            Step::Comm(comm) => {
                send_comm(&mut client, comm, &comm_ids, &mut driven).await?;
                continue;
            }
            Step::Execute(request) => request,
        };
        if without.contains(&request.id) {
            continue;
        }
        let Some(answers) = answers(request, ask) else {
            without.insert(request.id);
            without.extend(dependents(recording, &BTreeSet::from([request.id])));
            let number = request.number.unwrap_or_default();
            driven.notes.push(format!(
                "cell {number} asks for a password, which no recording holds; it and what depends on it was not run"
            ));
            continue;
        };
        if let Some(number) = request.number {
            progress(Progress::Cell { number, of, code: &request.title });
        }
        match execute(&mut client, &mut second, request, answers).await {
            Ok(outcome) if outcome.timed_out => {
                let number = request.number.unwrap_or_default();
                driven.notes.push(format!("cell {number} was stopped after {:.0} s", request.timeout.as_secs_f64()));
                if !obeys(&mut client, &mut second).await {
                    driven.notes.push("the kernel did not obey; the cells after it were not run".to_owned());
                    break;
                }
            }
            Ok(outcome) => {
                if !recording.comms.is_empty() {
                    learn_ids(recording, request.id, &(how.outputs_of)(&outcome.msg_id), &mut comm_ids);
                }
                let ok = outcome.reply.as_ref().and_then(|reply| reply.get("status")).is_some_and(|s| s == "ok");
                if how.stop_at_error && !ok {
                    break;
                }
            }
            Err(ClientError::Ended) => {
                driven.ended = true;
                if !request.dies {
                    driven.notes.push(format!("the kernel died in cell {}", request.number.unwrap_or_default()));
                }
                break;
            }
            Err(other) => return Err(other),
        }
    }
    progress(Progress::Ending);
    if !driven.ended {
        // A kernel that ends before it answers has done what was asked.
        match second.shutdown(false).await {
            Ok(()) | Err(ClientError::Silent { .. } | ClientError::Ended | ClientError::Receive { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(driven)
}

/// The answers to the questions of a request; `None` when one is a secret and nobody is there to tell it.
fn answers(request: &Request, ask: &mut Ask<'_>) -> Option<Vec<String>> {
    let answers = request.answers.iter().map(|answer| match answer {
        Answer::Recorded(text) => Some(text.clone()),
        Answer::Masked => ask(&format!("cell {}: password: ", request.number.unwrap_or_default())),
    });
    answers.collect()
}

/// Sends one request and waits for its end, with the recorded interrupt in between.
async fn execute(
    client: &mut Client,
    second: &mut Client,
    request: &Request,
    answers: Vec<String>,
) -> Result<ExecuteOutcome, ClientError> {
    // A kernel that has just failed may still be throwing away its queue.
    for _ in 0..3 {
        let mut answers = answers.clone().into_iter();
        let stdin = move |_: &str, _: bool| answers.next();
        let run = client.execute(request.content.clone(), request.metadata.clone(), stdin, request.timeout);
        let outcome = match request.interrupt {
            None => run.await?,
            Some(delay) => {
                let interrupt = async {
                    tokio::time::sleep(delay).await;
                    // Without an answer the execution's own timeout decides.
                    second.interrupt().await.unwrap_or_default();
                    std::future::pending::<Result<ExecuteOutcome, ClientError>>().await
                };
                tokio::select! {
                    outcome = run => outcome?,
                    outcome = interrupt => outcome?,
                }
            }
        };
        let aborted = outcome.reply.as_ref().and_then(|reply| reply.get("status")).is_some_and(|s| s == "aborted");
        if !aborted {
            return Ok(outcome);
        }
    }
    Ok(ExecuteOutcome::default())
}

/// Interrupts the kernel; whether it listens again.
async fn obeys(client: &mut Client, second: &mut Client) -> bool {
    if second.interrupt().await.is_err() {
        return false;
    }
    let content =
        json!({"code": "", "silent": true, "store_history": false, "user_expressions": {}, "allow_stdin": false});
    let nothing = client.execute(content, json!({}), |_, _| None, OBEY).await;
    nothing.is_ok_and(|outcome| !outcome.timed_out)
}

/// Pairs the widgets that both runs showed at the same place.
fn learn_ids(recording: &Recording, id: i64, replayed: &[Output], ids: &mut BTreeMap<String, String>) {
    let models = |outputs: &[Output]| -> Vec<String> {
        let shown = outputs.iter().filter_map(|output| match output {
            Output::DisplayData { data, .. } | Output::ExecuteResult { data, .. } => {
                data.get("application/vnd.jupyter.widget-view+json")
            }
            Output::Stream { .. } | Output::Error { .. } => None,
        });
        shown.filter_map(|view| view.get("model_id").and_then(Value::as_str)).map(ToOwned::to_owned).collect()
    };
    if let Some(execution) = recording.executions.iter().find(|execution| execution.id == id) {
        ids.extend(models(&execution.outputs).into_iter().zip(models(replayed)));
    }
}

/// Sends what the frontend's widget said, to the widget that stands in its place now.
async fn send_comm(
    client: &mut Client,
    comm: &CommMessage,
    ids: &BTreeMap<String, String>,
    driven: &mut Driven,
) -> Result<(), ClientError> {
    // A comm that the frontend opened keeps its id.
    let own = comm.msg_type == "comm_open";
    let Some(id) = ids.get(&comm.comm_id).cloned().or_else(|| own.then(|| comm.comm_id.clone())) else {
        let note = "a widget that is not shown by itself was used; that was not repeated".to_owned();
        if !driven.notes.contains(&note) {
            driven.notes.push(note);
        }
        return Ok(());
    };
    let mut content = comm.content.clone();
    if let Some(object) = content.as_object_mut() {
        object.insert("comm_id".to_owned(), id.into());
    }
    let buffers = comm.buffers.iter().map(|buffer| bytes::Bytes::copy_from_slice(buffer)).collect();
    client.send_comm(&comm.msg_type, content, buffers).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::truth::{execution, recording};

    #[test]
    fn widgets_are_paired_by_their_place() {
        let view = |id: &str| Output::DisplayData {
            data: BTreeMap::from([("application/vnd.jupyter.widget-view+json".to_owned(), json!({"model_id": id}))]),
            metadata: json!({}),
            display_id: None,
        };
        let session = recording(0, vec![execution(1, 0, "w", vec![view("a"), view("b")])]);
        let mut ids = BTreeMap::new();
        learn_ids(&session, 1, &[view("x"), view("y")], &mut ids);
        assert_eq!(ids, BTreeMap::from([("a".into(), "x".into()), ("b".into(), "y".into())]));
    }
}
