//! The verdict for every execution of a recording. Pure: two or three recordings in, verdicts out.

use std::{collections::BTreeSet, os::unix::process::ExitStatusExt as _, rc::Rc};

use super::{
    Rules,
    align::align,
    cause::{self, Known},
    clock::Window,
    noise::{Pair, Side},
    outputs::{self, Tally},
    spread::{self, Spread},
    suspect, text, varying,
    verdict::{Difference, Judged, Place, Verdict, Verdicts},
};
use crate::session::model::{Execution, Recording, Status, Stop};

/// Whether an execution of this recording is one that a replay must repeat: it ran, and a person saw it run.
///
/// Silent ones (a frontend asks for completions with them) are sent again but not judged. One that never ended counts
/// only when the kernel died in it.
pub fn is_judged(recording: &Recording, execution: &Execution) -> bool {
    let ended = execution.status.is_some_and(|status| status != Status::Aborted);
    !execution.silent && !execution.is_magic && (ended || died_in(recording, execution))
}

/// Whether the kernel died while it ran this.
pub(super) fn died_in(recording: &Recording, execution: &Execution) -> bool {
    execution.status.is_none()
        && recording.info.exit_status.is_some()
        && recording.executions.iter().rfind(|other| !other.is_magic).is_some_and(|last| last.id == execution.id)
}

/// Judges every execution of `recorded` by what `replayed` has in its place.
///
/// With a `second` replay, what differs between the two replays is noise: a difference at such a place is
/// nondeterministic. Also compares two sessions that were not made from each other; executions are matched by code in
/// order, then by cell id.
pub fn judge(recorded: &Recording, replayed: &Recording, second: Option<&Recording>, rules: &Rules) -> Verdicts {
    judge_knowing(recorded, replayed, second.as_slice(), rules, &Known::default())
}

/// [`judge`], with what is known of the two sessions beside their recordings.
///
/// Replays after the second only excuse executions that draw random numbers and that nothing reaches which was changed: of
/// few values the first two may have drawn the same.
pub fn judge_knowing(
    recorded: &Recording,
    replayed: &Recording,
    again: &[&Recording],
    rules: &Rules,
    known: &Known,
) -> Verdicts {
    let (then, now) = (judged_of(recorded), judged_of(replayed));
    let pairs = align(&then, &now);
    let again: Vec<Again<'_>> = again.iter().map(|recording| Again::of(recording, &now)).collect();
    let tolerance = if same_cpu(recorded, replayed) { rules.same_cpu } else { rules.other_cpu };
    let mut verdicts = Verdicts { tolerance, twice: !again.is_empty(), ..Verdicts::default() };
    for (index, (execution, pair)) in then.iter().zip(&pairs).enumerate() {
        let other = pair.and_then(|j| now.get(j).copied());
        let judged =
            judge_one(index + 1, (recorded, execution), other.map(|other| (replayed, other)), rules, tolerance);
        verdicts.executions.push(judged);
    }
    let stable = |judged: &Judged| {
        let Some(at) = judged.replayed.and_then(|id| now.iter().position(|one| one.id == id)) else { return false };
        let Some(other) = now.get(at).map(|other| (replayed, *other)) else { return false };
        let mut others = again.iter().filter_map(|again| again.in_place_of(at)).peekable();
        others.peek().is_some() && others.all(|third| tally(other, third, rules, tolerance).pixel_exact != Some(false))
    };
    let strict = suspect::stricter(recorded, replayed, &verdicts.executions, rules, known, &stable);
    // For each further replay and each execution, what differs between it and the first replay.
    let noises: Vec<Vec<Vec<Difference>>> = again
        .iter()
        .map(|again| {
            let noise = |(execution, pair): (&&Execution, &Option<usize>)| {
                let other = pair.and_then(|j| Some((*now.get(j)?, again.in_place_of(j)?)));
                // By the rules of the verdict: what they do not let pass must be seen to vary.
                let rules = strict.get(&execution.id).unwrap_or(rules);
                other.map(|(other, third)| differences((replayed, other), third, rules, tolerance)).unwrap_or_default()
            };
            then.iter().zip(&pairs).map(noise).collect()
        })
        .collect();
    for (id, strict) in strict {
        let at = verdicts.executions.iter().position(|judged| judged.recorded == id);
        let Some((at, judged)) = at.and_then(|at| Some((at, verdicts.executions.get_mut(at)?))) else { continue };
        let other = pairs.get(at).copied().flatten().and_then(|j| now.get(j).copied());
        if let Some(execution) = then.get(at) {
            *judged = judge_one(at + 1, (recorded, execution), other.map(|it| (replayed, it)), &strict, tolerance);
        }
    }
    if let Some((second, more)) = noises.split_first() {
        let chance = suspect::left_to_chance(recorded, replayed, &verdicts.executions, known);
        excuse_all(&mut verdicts, second, &then, &chance, false);
        for third in more {
            excuse_all(&mut verdicts, third, &then, &chance, true);
        }
        let by_chance = |one: &&Judged| one.verdict == Verdict::Changed && chance.contains(&one.recorded);
        verdicts.left_to_chance = verdicts.executions.iter().filter(by_chance).count();
    }
    let order = others_before(&pairs, now.len());
    let used: BTreeSet<usize> = pairs.into_iter().flatten().collect();
    verdicts.extra = now.iter().enumerate().filter(|(j, _)| !used.contains(j)).map(|(_, e)| e.id).collect();
    cause::explain(recorded, replayed, &order, known, &mut verdicts);
    verdicts
}

/// A further replay, beside the first one.
struct Again<'a> {
    recording: &'a Recording,
    executions: Vec<&'a Execution>,
    /// For each execution of the first replay the one in its place here.
    pairs: Vec<Option<usize>>,
}

impl<'a> Again<'a> {
    fn of(recording: &'a Recording, first: &[&Execution]) -> Self {
        let executions = judged_of(recording);
        let pairs = align(first, &executions);
        Self { recording, executions, pairs }
    }

    /// What ran here in the place of an execution of the first replay.
    fn in_place_of(&self, at: usize) -> Option<Ran<'a>> {
        let there = self.pairs.get(at).copied().flatten()?;
        Some((self.recording, *self.executions.get(there)?))
    }
}

/// The numbers of the executions before which other ones ran in the replay, or the same in another order.
fn others_before(pairs: &[Option<usize>], replayed: usize) -> BTreeSet<usize> {
    let mut from: Vec<Option<usize>> = vec![None; replayed];
    for (i, j) in pairs.iter().enumerate().filter_map(|(i, j)| Some((i, (*j)?))) {
        if let Some(place) = from.get_mut(j) {
            *place = Some(i);
        }
    }
    let moved = |(i, j): (usize, Option<usize>)| {
        let before = from.get(..j?).unwrap_or_default();
        let same = before.len() == i && before.iter().enumerate().all(|(at, one)| *one == Some(at));
        (!same).then_some(i + 1)
    };
    pairs.iter().copied().enumerate().filter_map(moved).collect()
}

/// The executions that are judged, in order.
pub(super) fn judged_of(recording: &Recording) -> Vec<&Execution> {
    recording.executions.iter().filter(|execution| is_judged(recording, execution)).collect()
}

/// Whether both machines have the same vector instructions, as far as the recordings know.
fn same_cpu(a: &Recording, b: &Recording) -> bool {
    match (a.facts.get("cpu.flags"), b.facts.get("cpu.flags")) {
        (Some(a), Some(b)) => cause::flags(a) == cause::flags(b),
        _ => true,
    }
}

type Ran<'a> = (&'a Recording, &'a Execution);

fn judge_one(number: usize, recorded: Ran, replayed: Option<Ran>, rules: &Rules, tolerance: f64) -> Judged {
    let (_, execution) = recorded;
    let mut judged = Judged {
        number,
        recorded: execution.id,
        replayed: replayed.map(|(_, other)| other.id),
        cell_id: execution.cell_id.clone(),
        execution_count: execution.execution_count,
        code: text::clip(execution.code.lines().find(|line| !line.trim().is_empty()).unwrap_or_default()),
        verdict: Verdict::NotRun,
        equal_after: std::collections::BTreeMap::new(),
        numbers: None,
        figure_distance: None,
        pixel_exact: None,
        differences: Vec::new(),
        causes: Vec::new(),
        expected_error: None,
        seconds_recorded: seconds(execution),
        seconds_replayed: replayed.and_then(|(_, other)| seconds(other)),
    };
    let Some(replayed) = replayed else { return judged };
    let tally = tally(recorded, replayed, rules, tolerance);
    judged.numbers = tally.numbers();
    judged.figure_distance = tally.figure;
    judged.pixel_exact = tally.pixel_exact;
    judged.verdict = if tally.differences.iter().any(|difference| is_error(&difference.place)) {
        Verdict::Error
    } else if !tally.differences.is_empty() {
        Verdict::Changed
    } else if judged.numbers.is_some() || judged.pixel_exact == Some(false) {
        Verdict::WithinTolerance
    } else if !tally.counts.is_empty() {
        Verdict::Equivalent
    } else {
        Verdict::Identical
    };
    if execution.status == Some(Status::Error) && judged.verdict != Verdict::Error {
        judged.expected_error.clone_from(&execution.ename);
    }
    judged.equal_after = tally.counts;
    judged.differences = tally.differences;
    judged
}

/// Whether a difference is about the error itself and not about what was shown.
fn is_error(place: &Place) -> bool {
    matches!(place.part.as_str(), "status" | "error")
}

fn differences(recorded: Ran, replayed: Ran, rules: &Rules, tolerance: f64) -> Vec<Difference> {
    tally(recorded, replayed, rules, tolerance).differences
}

/// Excuses every execution by its own noise, and by what is learnt from those that call the same functions; with
/// `only_chance` those alone that `chance` names.
fn excuse_all(
    verdicts: &mut Verdicts,
    noises: &[Vec<Difference>],
    then: &[&Execution],
    chance: &BTreeSet<i64>,
    only_chance: bool,
) {
    let functions = spread::functions(then.iter().map(|execution| execution.code.as_str()));
    for (at, judged) in verdicts.executions.iter_mut().enumerate() {
        let mut spread = Spread::default();
        let own = functions.get(at);
        for (other, noise) in noises.iter().enumerate() {
            let called = own.zip(functions.get(other)).is_some_and(|(own, other)| !own.is_disjoint(other));
            if called || other == at {
                spread.learn(noise);
            }
        }
        let is_chance = chance.contains(&judged.recorded);
        if only_chance && !is_chance {
            continue;
        }
        excuse(judged, noises.get(at).map_or(&[], Vec::as_slice), &spread, is_chance);
    }
}

/// In fewer places nothing is left to chance.
const MANY_PLACES: usize = 4;

/// A difference where the two replays differ as well is noise, and so is a number of a kind that varies as far. A replay that fails where the recording does not is
/// never excused: it may fail every second time, and the person must know.
fn excuse(judged: &mut Judged, noise: &[Difference], spread: &Spread, is_chance: bool) {
    // Of rows that are drawn anew some cells are the same twice; most are not.
    let mostly_varies = |part: &str| {
        let of_part = || judged.differences.iter().filter(|difference| difference.place.part == part);
        let varying = of_part().filter(|difference| noise.iter().any(|noise| noise.place.covers(&difference.place)));
        let (varying, all) = (varying.count(), of_part().count());
        all >= MANY_PLACES && varying * 2 >= all
    };
    let columns = varying::Columns::learnt(noise);
    let excused = |difference: &Difference| {
        let mut there = noise.iter().filter(|noise| noise.place.covers(&difference.place)).peekable();
        let part = difference.place.part.as_str();
        if !is_error(&difference.place) {
            let by_chance = is_chance && (there.peek().is_some() || mostly_varies(part));
            if spread.holds(difference) || by_chance {
                return true;
            }
        }
        part != "status"
            && there.peek().is_some()
            && !there.any(|noise| noise.place == difference.place && varying::changed(difference, noise, &columns))
    };
    let differs = matches!(judged.verdict, Verdict::Changed | Verdict::Error);
    if differs && judged.differences.iter().all(excused) {
        judged.verdict = Verdict::Nondeterministic;
    }
}

fn tally((recording, then): Ran, (replay, now): Ran, rules: &Rules, tolerance: f64) -> Tally {
    let pair = Pair {
        rules,
        tolerance,
        recorded: side(recording, then),
        replayed: side(replay, now),
        code: &then.code,
        interrupted: was_stopped(recording, then) && was_stopped(replay, now),
        recordings: Some((recording, replay)),
        clock: std::cell::OnceCell::new(),
    };
    let mut tally = Tally::default();
    let how = |recording: &Recording, execution: &Execution| match execution.status {
        Some(Status::Ok) => "no error".to_owned(),
        Some(Status::Error) => execution.ename.clone().unwrap_or_else(|| "an error".to_owned()),
        Some(Status::Aborted) => "aborted".to_owned(),
        None if died_in(recording, execution) => died(recording, execution),
        None => "it did not end".to_owned(),
    };
    let (end, other_end) = (how(recording, then), how(replay, now));
    if then.status != now.status || then.status.is_none() && end != other_end {
        let message = |execution: &Execution, text: String| match &execution.evalue {
            Some(evalue) if execution.status == Some(Status::Error) => text::clip(&format!("{text}: {evalue}")),
            _ => text,
        };
        tally.differ(Difference {
            place: Place { part: "status".to_owned(), at: None },
            recorded: message(then, end),
            replayed: message(now, other_end),
        });
    } else if then.status == Some(Status::Error) {
        error_agrees(&pair, then, now, &mut tally);
    }
    // A kernel that dies may take the number with it.
    let numbered = then.status.is_some() || now.status.is_some();
    if numbered && then.execution_count != now.execution_count && rules.on("execution_count") {
        tally.count("execution_count");
    }
    outputs::compare(&pair, &then.outputs, &now.outputs, &mut tally);
    tally
}

/// Whether it was cut short: somebody interrupted it, or the kernel ended in it, whose last words may be lost.
fn was_stopped(recording: &Recording, execution: &Execution) -> bool {
    execution.interrupted || was_ended(recording, execution) || died_in(recording, execution)
}

fn was_ended(recording: &Recording, execution: &Execution) -> bool {
    recording.interruptions(execution.id).iter().any(|one| one.how == Stop::End)
}

/// How the kernel ended in the middle of an execution, from its wait status (`waitpid(2)`).
fn died(recording: &Recording, execution: &Execution) -> String {
    if was_ended(recording, execution) {
        return "the kernel was ended".to_owned();
    }
    let status = std::process::ExitStatus::from_raw(recording.info.exit_status.unwrap_or_default());
    // The first process of a container has no other way to say that its child was killed (`sh(1)`).
    let signal = status.signal().or_else(|| status.code().filter(|code| (129..=192).contains(code)).map(|c| c - 128));
    match signal {
        Some(signal) => format!("the kernel died of signal {signal}"),
        None => format!("the kernel died with exit code {}", status.code().unwrap_or_default()),
    }
}

/// An error without an output (`silent`, or a frontend that hides it) is compared by what the reply says.
fn error_agrees(pair: &Pair, then: &Execution, now: &Execution, tally: &mut Tally) {
    let shown = then.outputs.iter().any(|output| matches!(output, crate::session::model::Output::Error { .. }));
    if shown {
        return;
    }
    let line = |execution: &Execution| {
        format!(
            "{}: {}",
            execution.ename.as_deref().unwrap_or_default(),
            execution.evalue.as_deref().unwrap_or_default()
        )
    };
    text::compare(pair, "error", &line(then), &line(now), tally);
}

fn side(recording: &Recording, execution: &Execution) -> Side {
    let end = execution.idle.or(execution.reply).or(recording.info.ended).unwrap_or(execution.sent);
    Side {
        window: Window::new(recording.info.started, end),
        lasted: seconds(execution).unwrap_or(0.0),
        cwd: recording.info.cwd.to_string_lossy().into_owned(),
        home: recording.info.home.to_string_lossy().into_owned(),
        // The kernel's parent starts nothing and is known as a parent only.
        pids: Rc::new(recording.processes.iter().flat_map(|process| [process.pid, process.ppid]).collect()),
    }
}

/// How long the kernel was busy with it.
pub(super) fn seconds(execution: &Execution) -> Option<f64> {
    let end = execution.idle.or(execution.reply)?;
    Some((end - execution.busy.unwrap_or(execution.sent)).max(0) as f64 / 1e9)
}
