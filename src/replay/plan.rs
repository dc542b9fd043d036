//! What a replay sends to the kernel, in order: a pure function of the recording.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::{generators, is_judged, judge::died_in, lineage::Lineage};
use crate::{
    event::Shown,
    session::model::{CommMessage, Execution, Interruption, Output, Recording, Status, StdinExchange, Stop},
};

/// No execution is stopped before this.
const SHORTEST: Duration = Duration::from_secs(60);
/// How many times as long as in the recording an execution may take.
const PATIENCE: u32 = 10;

/// One answer to a question of the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// As recorded.
    Recorded(String),
    /// A password: the recording does not hold it, the person must be asked.
    Masked,
}

/// One request to send.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Request {
    /// `Execution::id` in the recording.
    pub(super) id: i64,
    /// Its number as a cell, where it is judged.
    pub(super) number: Option<usize>,
    /// The code's first line, for the progress line.
    pub(super) title: String,
    /// The content as it was sent.
    pub(super) content: Value,
    /// The metadata: which cell it is.
    pub(super) metadata: Value,
    /// The answers in order.
    pub(super) answers: Vec<Answer>,
    /// When to give up.
    pub(super) timeout: Duration,
    /// When it is interrupted, or the kernel told to end, in order.
    pub(super) interruptions: Vec<Interruption>,
    /// The last interruption ended it.
    pub(super) yields: bool,
    /// The kernel died in it.
    pub(super) dies: bool,
}

/// What is sent next.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Step<'a> {
    /// An execution.
    Execute(Request),
    /// A message of a frontend's widget.
    Comm(&'a CommMessage),
}

/// All steps. Left out are requests that never ran (aborted), that never were the kernel's (`%nbpack`), and what had
/// not ended when the recording was taken.
pub(super) fn plan(recording: &Recording, timeout: Option<Duration>) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut number = 0;
    let comms = |after: Option<i64>| recording.comms.iter().filter(move |comm| comm.after == after).map(Step::Comm);
    steps.extend(comms(None));
    for execution in &recording.executions {
        let judged = is_judged(recording, execution);
        number += usize::from(judged);
        let ended = execution.status.is_some_and(|status| status != Status::Aborted);
        if !execution.is_magic && (ended || judged) {
            let number = judged.then_some(number);
            steps.push(Step::Execute(request(recording, execution, number, timeout)));
        }
        steps.extend(comms(Some(execution.id)));
    }
    steps
}

fn request(recording: &Recording, execution: &Execution, number: Option<usize>, timeout: Option<Duration>) -> Request {
    let mut content = match &execution.request {
        Value::Object(request) => request.clone(),
        _ => serde_json::Map::new(),
    };
    content.insert("code".to_owned(), execution.code.clone().into());
    content.entry("silent").or_insert_with(|| execution.silent.into());
    generators::ask(recording, execution, &mut content);
    let lasted = super::judge::seconds(execution).map_or(Duration::ZERO, Duration::from_secs_f64);
    let interruptions = interruptions(recording, execution, lasted);
    let answer = |exchange: &StdinExchange| match &exchange.value {
        Some(value) if !exchange.masked => Answer::Recorded(value.clone()),
        _ => Answer::Masked,
    };
    // A question that an interrupt ended has no answer, and the interrupt comes again.
    let ended = |(at, exchange): &(usize, &StdinExchange)| {
        !interruptions.is_empty() && exchange.value.is_none() && (!exchange.masked || at + 1 == execution.stdin.len())
    };
    let answers: Vec<Answer> =
        execution.stdin.iter().enumerate().take_while(|one| !ended(one)).map(|(_, one)| answer(one)).collect();
    Request {
        id: execution.id,
        number,
        title: execution.code.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned(),
        content: Value::Object(content),
        metadata: execution.cell_id.as_ref().map_or_else(|| json!({}), |id| json!({"cellId": id})),
        answers,
        timeout: timeout.unwrap_or_else(|| SHORTEST.max(lasted.saturating_mul(PATIENCE))),
        interruptions,
        yields: execution.interrupted && execution.status == Some(Status::Error),
        dies: died_in(recording, execution),
    }
}

/// The recorded interruptions. One that nobody saw come, only its effect, is expected where the execution ended.
fn interruptions(recording: &Recording, execution: &Execution, lasted: Duration) -> Vec<Interruption> {
    let mut seen = recording.interruptions(execution.id);
    if execution.status.is_some() {
        // It came to its end all the same, as one does that a frontend interrupts before it ends the kernel.
        seen.retain(|one| one.how == Stop::Interrupt);
    }
    if seen.is_empty() && execution.interrupted {
        let mut shown = Shown::default();
        for output in &execution.outputs {
            match output {
                Output::Stream { text, .. } => shown.count("stream", &json!({"text": text})),
                Output::DisplayData { .. } => shown.count("display_data", &Value::Null),
                Output::ExecuteResult { .. } | Output::Error { .. } => false,
            };
        }
        let nanos = |time: Duration| time.as_nanos().try_into().unwrap_or(i64::MAX);
        let quiet = nanos(Duration::from_millis(300));
        seen.push(Interruption { how: Stop::Interrupt, after: nanos(lasted), quiet, shown });
    }
    seen
}

/// The executions that depend on one of these.
pub(super) fn dependents(recording: &Recording, of: &BTreeSet<i64>) -> BTreeSet<i64> {
    if of.is_empty() {
        return BTreeSet::new();
    }
    let lineage = Lineage::of(recording);
    let depends = |id: &i64| !lineage.ancestors(*id).is_disjoint(of);
    recording.executions.iter().map(|execution| execution.id).filter(depends).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        replay::truth::{execution, recording},
        session::model::StdinExchange,
    };

    fn sent(steps: &[Step]) -> Vec<i64> {
        steps
            .iter()
            .map(|step| match step {
                Step::Execute(request) => request.id,
                Step::Comm(comm) => -comm.at,
            })
            .collect()
    }

    #[test]
    fn what_ran_is_sent_in_order_with_comms_between() {
        let mut aborted = execution(2, 0, "b", vec![]);
        aborted.status = Some(Status::Aborted);
        let mut magic = execution(3, 0, "%nbpack status", vec![]);
        magic.is_magic = true;
        let mut silent = execution(4, 0, "d", vec![]);
        silent.silent = true;
        let mut running = execution(6, 0, "f", vec![]);
        running.status = None;
        let mut session = recording(
            0,
            vec![execution(1, 0, "a", vec![]), aborted, magic, silent, execution(5, 0, "e", vec![]), running],
        );
        session.info.exit_status = None;
        let comm = |at: i64, after| CommMessage {
            text: None,
            at,
            msg_type: "comm_msg".into(),
            comm_id: "c".into(),
            content: json!({}),
            buffers: Vec::new(),
            after,
        };
        session.comms = vec![comm(7, Some(4)), comm(8, Some(4))];
        assert_eq!(sent(&plan(&session, None)), [1, 4, -7, -8, 5]);
    }

    #[test]
    fn a_request_keeps_its_content_and_gets_ten_times_its_time() {
        let mut slow = execution(1, 0, "x", vec![]);
        slow.idle = Some(20_000_000_000);
        slow.request = json!({"silent": false, "store_history": true, "allow_stdin": true});
        let question = |masked: bool, value: Option<&str>| StdinExchange {
            prompt: "?".into(),
            masked,
            value: value.map(ToOwned::to_owned),
            asked: 0,
        };
        slow.stdin = vec![question(false, Some("yes")), question(true, None)];
        let session = recording(0, vec![slow]);
        let steps = plan(&session, None);
        let Some(Step::Execute(request)) = steps.first() else { panic!("one") };
        let mut content = request.content.clone();
        content.as_object_mut().unwrap().remove("user_expressions");
        assert_eq!(content, json!({"silent": false, "store_history": true, "allow_stdin": true, "code": "x"}));
        assert_eq!(request.timeout, Duration::from_secs(200));
        assert_eq!(request.answers, [Answer::Recorded("yes".into()), Answer::Masked]);
    }

    #[test]
    fn what_depends_on_a_cell_that_cannot_run_is_known() {
        let session = recording(
            0,
            vec![
                execution(1, 0, "key = getpass()", vec![]),
                execution(2, 0, "a = 1", vec![]),
                execution(3, 0, "b = call(key)", vec![]),
                execution(4, 0, "print(b)", vec![]),
            ],
        );
        assert_eq!(dependents(&session, &BTreeSet::from([1])), BTreeSet::from([3, 4]));
    }
}
