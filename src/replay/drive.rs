//! Drives a kernel through the steps of a plan, as the frontend did.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::{json, value::RawValue};

use super::plan::{Answer, Request, Step, dependents};
use crate::{
    event::Shown,
    jupyter::connection::Connection,
    kernel::client::{Client, ClientError, ExecuteOutcome, Progress as Shows},
    session::model::{CommMessage, Interruption, Recording, Stop, Widget},
};

/// How long a kernel may take to start.
const START: Duration = Duration::from_secs(120);
/// How long a kernel that was interrupted may take to obey.
const OBEY: Duration = Duration::from_secs(10);
/// How often, and after what pause, an execution that an interrupt ended when it was recorded is interrupted again.
const AGAIN: usize = 3;
const YIELD: Duration = Duration::from_secs(2);
/// How long what the kernel said may take to be in the replay's record.
const RECORDED: Duration = Duration::from_secs(3);

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
    /// It is told to end while it still runs something.
    pub(super) stopped: bool,
}

/// Where the ids of widgets in the replay are looked up: the models that the request with this `msg_id` made, in order.
pub(super) type ModelsOf<'a> = dyn Fn(&str) -> Vec<String> + 'a;

/// Waits, on a thread that may block, until what the kernel read is in the record with its digests.
pub(super) type Settle = Arc<dyn Fn() + Send + Sync>;

/// How to drive.
pub(super) struct How<'a> {
    /// Send nothing more after an execution that ended in an error.
    pub(super) stop_at_error: bool,
    pub(super) models_of: &'a ModelsOf<'a>,
    /// Sends SIGINT to the kernel, as a frontend does where the kernelspec asks for signals; `None`: by message.
    pub(super) interrupt: Option<&'a dyn Fn()>,
    /// Comes before the kernel is told to end, with which its files go.
    pub(super) settle: Settle,
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
        match execute(&mut client, &mut second, request, answers, how).await {
            Ok(End::Stopped) => {
                // As then, the kernel is told to end while it runs this.
                driven.stopped = true;
                break;
            }
            Ok(End::Answered(outcome)) if outcome.timed_out => {
                let number = request.number.unwrap_or_default();
                driven.notes.push(format!("cell {number} was stopped after {:.0} s", request.timeout.as_secs_f64()));
                if !obeys(&mut client, &mut second).await {
                    driven.notes.push("the kernel did not obey; the cells after it were not run".to_owned());
                    break;
                }
            }
            Ok(End::Answered(outcome)) => {
                if !recording.comms.is_empty() {
                    learn_ids(recording, request.id, &outcome.msg_id, how, &mut comm_ids).await;
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
        let settle = Arc::clone(&how.settle);
        // Without it causes are found less often, and nothing else.
        tokio::task::spawn_blocking(move || settle()).await.unwrap_or_default();
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

/// How a request ended.
enum End {
    /// The kernel answered, or did not in time.
    Answered(ExecuteOutcome),
    /// It is the moment at which the kernel was told to end.
    Stopped,
}

/// Sends one request and waits for its end, with the recorded interruptions in between.
async fn execute(
    client: &mut Client,
    second: &mut Client,
    request: &Request,
    answers: Vec<String>,
    how: &How<'_>,
) -> Result<End, ClientError> {
    client.leave_questions = !request.interruptions.is_empty();
    // A kernel that has just failed may still be throwing away its queue.
    for _ in 0..3 {
        let mut answers = answers.clone().into_iter();
        let stdin = move |_: &str, _: bool| answers.next();
        let progress = client.progress();
        let run = client.execute(request.content.clone(), request.metadata.clone(), stdin, request.timeout);
        let interruptions = async {
            for interruption in &request.interruptions {
                moment(&progress, interruption).await;
                if interruption.how == Stop::End {
                    return End::Stopped;
                }
                interrupt(second, how).await;
            }
            // The code may have been where it catches an interrupt, as it was not when it was recorded.
            for _ in 0..if request.yields && !request.interruptions.is_empty() { AGAIN } else { 0 } {
                tokio::time::sleep(YIELD).await;
                interrupt(second, how).await;
            }
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = run => outcome?,
            stopped = interruptions => return Ok(stopped),
        };
        let aborted = outcome.reply.as_ref().and_then(|reply| reply.get("status")).is_some_and(|s| s == "aborted");
        if !aborted {
            return Ok(End::Answered(outcome));
        }
    }
    Ok(End::Answered(ExecuteOutcome::default()))
}

async fn interrupt(second: &mut Client, how: &How<'_>) {
    match how.interrupt {
        Some(signal) => signal(),
        // Without an answer the execution's own timeout decides.
        None => second.interrupt().await.unwrap_or_default(),
    }
}

/// Waits until the execution has come as far as it had when it was interrupted: as much shown, then as long silent.
/// One that shows something else now is waited for three times as long.
async fn moment(progress: &Shows, then: &Interruption) {
    let nanos = |nanos: i64| Duration::from_nanos(nanos.max(0).cast_unsigned());
    // Nothing shown is no moment: then only the time tells.
    let quiet = if then.shown == Shown::default() { nanos(then.after) } else { nanos(then.quiet) };
    let quiet = quiet.max(Duration::from_millis(50));
    let give_up = tokio::time::Instant::now() + nanos(then.after) * 3 + Duration::from_secs(5);
    while tokio::time::Instant::now() < give_up {
        let (shown, silent) = progress.now();
        if shown.reaches(&then.shown) {
            // What is said meanwhile was said after it then, too.
            tokio::time::sleep(quiet.saturating_sub(silent)).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
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

/// Pairs the widgets that both runs made in this execution, by order.
async fn learn_ids(recording: &Recording, id: i64, msg_id: &str, how: &How<'_>, ids: &mut BTreeMap<String, String>) {
    let then = models(&recording.widgets(), id);
    let give_up = tokio::time::Instant::now() + RECORDED;
    while !then.is_empty() {
        let now = (how.models_of)(msg_id);
        if now.len() >= then.len() || tokio::time::Instant::now() >= give_up {
            ids.extend(then.into_iter().zip(now));
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The ids of the models that an execution made, in order.
pub(super) fn models(widgets: &[Widget], execution: i64) -> Vec<String> {
    widgets.iter().filter(|one| one.execution == Some(execution)).map(|one| one.comm_id.clone()).collect()
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
        let note = "a widget whose making was not recorded was used; that was not repeated".to_owned();
        if !driven.notes.contains(&note) {
            driven.notes.push(note);
        }
        return Ok(());
    };
    if comm.content.pointer("/data/masked").is_some() {
        let note = "a password was typed into a widget, which no recording holds; that was not repeated".to_owned();
        if !driven.notes.contains(&note) {
            driven.notes.push(note);
        }
        return Ok(());
    }
    let buffers = comm.buffers.iter().map(|buffer| bytes::Bytes::copy_from_slice(buffer)).collect();
    client.send_comm(&comm.msg_type, &with_id(comm, &id), buffers).await
}

/// The content of a comm message with another id; what is in its `data` stays as it was written.
fn with_id(comm: &CommMessage, id: &str) -> BTreeMap<String, Box<RawValue>> {
    let text = comm.text.clone().unwrap_or_else(|| comm.content.to_string());
    let mut content: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&text).unwrap_or_default();
    if let Ok(id) = serde_json::value::to_raw_value(id) {
        content.insert("comm_id".to_owned(), id);
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_widget_is_told_the_keys_in_the_order_in_which_the_frontend_wrote_them() {
        let text = r#"{"data":{"state":{"b":1,"a":2}},"comm_id":"then"}"#;
        let comm = CommMessage {
            at: 1,
            msg_type: "comm_msg".into(),
            comm_id: "then".into(),
            content: serde_json::from_str(text).unwrap(),
            text: Some(text.into()),
            buffers: Vec::new(),
            after: None,
        };
        let sent = serde_json::to_string(&with_id(&comm, "now")).unwrap();
        assert_eq!(sent, r#"{"comm_id":"now","data":{"state":{"b":1,"a":2}}}"#);
        let redacted = CommMessage { text: None, ..comm };
        let sent = serde_json::to_string(&with_id(&redacted, "now")).unwrap();
        assert_eq!(sent, r#"{"comm_id":"now","data":{"state":{"a":2,"b":1}}}"#);
    }
}
