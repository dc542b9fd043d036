//! Noise that is none: where an input or a library has changed, what a cell shows may have come from it.
//!
//! A uuid, a duration or a date may be made anew in every run, or stand in the data. Where the same data was read, it is
//! noise whatever it looks like. Where it was not, a normaliser counts only if the code of the cell, or of those it builds
//! on, makes such things at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex::Regex;

use super::{
    Rules,
    cause::{self, Known, environment, machine},
    generators,
    inputs::changed_inputs,
    library,
    lineage::{self, Lineage},
    readers::PID_READER,
    verdict::{Judged, Verdict},
};
use crate::session::model::{Execution, Output, Recording};

static MAKES_UUIDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\b(?:uuid[1-7]\(|UUID\(|uuid\.uuid|token_\w+\(|secrets\.|display_id|\.style\b|UUIDgenerate|\bcomponents\(|file_html|make_msgid|MIME)").ok()
});
/// What starts processes or names its own, beside what asks for their ids.
static STARTS_PROCESSES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"multiprocessing|subprocess|Popen|psutil|joblib|logging|warn|concurrent|(?m:&\s*$)").ok()
});
static READS_CLOCK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:time|clock|perf_counter|monotonic|datetime|date|timeit|process_time|default_timer)\.|\b(?:now|today|time|perf_counter|monotonic|default_timer|elapsed|timer?|tictoc)\(|%time|%prun|cProfile|tqdm|trange|progress|verbose|logging|\bfit|cross_val|SearchCV|epochs|TextTestRunner|unittest\.main|Sys\.time|system\.time|(?m:(?:^|[;&|(`{])\s*(?:date|time)\b)|(?m:^\s*!)|%%bash|%%sh|subprocess|\bls\b|stat\(|[\x22']now[\x22']|current_(?:timestamp|date|time)|sysdate|getdate",
    )
    .ok()
});

/// For each execution that an input or a library reaches which has changed, by its id, the rules for judging it: without the
/// normalisers for things that nothing in its code makes. `stable`: two replays drew the same figures, to the pixel.
pub(super) fn stricter(
    recorded: &Recording,
    replayed: &Recording,
    judged: &[Judged],
    rules: &Rules,
    known: &Known,
    stable: &dyn Fn(&Judged) -> bool,
) -> BTreeMap<i64, Rules> {
    let inputs = changed_inputs(recorded, replayed, judged);
    let libraries = library::changed(recorded, replayed, known);
    let edited = other_code(recorded, replayed, judged);
    if inputs.is_empty() && libraries.is_empty() && edited.is_empty() {
        return BTreeMap::new();
    }
    let lineage = Lineage::of(recorded);
    // Who allows for more means it.
    let exactly = machine(recorded, replayed).is_empty() && rules.same_cpu <= Rules::default().same_cpu;
    let by_id: BTreeMap<i64, &Execution> = recorded.executions.iter().map(|one| (one.id, one)).collect();
    let mut found = BTreeMap::new();
    let near = |one: &&Judged| !one.equal_after.is_empty() || one.verdict == Verdict::WithinTolerance;
    for one in judged.iter().filter(|one| one.verdict.agrees()).filter(near) {
        let ancestors = lineage.ancestors(one.recorded);
        let behind: Vec<i64> = std::iter::once(one.recorded).chain(ancestors).collect();
        let codes = behind.iter().filter_map(|id| by_id.get(id)).map(|one| one.code.as_str());
        let text = codes.fold(String::new(), |all, code| all + code + "\n");
        let reached = behind.iter().any(|id| inputs.contains_key(id))
            || !library::behind(recorded, &behind, &text, &libraries).is_empty();
        let by_code = behind.iter().any(|id| edited.contains(id));
        if !reached && !by_code {
            continue;
        }
        let mut code = String::new();
        let mut seen = BTreeSet::new();
        code_behind(&lineage, &by_id, one.recorded, None, &mut seen, &mut code);
        let makes = |regex: &LazyLock<Option<Regex>>| regex.as_ref().is_none_or(|regex| regex.is_match(&code));
        let mut off = Vec::new();
        // Pictures and charts say themselves when they were made, and name their parts.
        if by_id.get(&one.recorded).is_some_and(|it| it.outputs.iter().all(is_plain)) {
            off.extend((!makes(&MAKES_UUIDS)).then_some("uuid"));
            off.extend((!makes(&PID_READER) && !makes(&STARTS_PROCESSES)).then_some("pid"));
            off.extend((!makes(&READS_CLOCK)).then_some(["duration", "clock"]).into_iter().flatten());
            // Columns are as wide as what is in them: alone they never differ.
            let alone = one.equal_after.keys().all(|name| name == "whitespace");
            off.extend(alone.then_some("whitespace"));
            // Another order may be that of other data.
            off.push("completion_order");
        }
        // A figure that is the same but for a little shows other data, unless it shows the time.
        let exact = one.verdict == Verdict::WithinTolerance && (!makes(&READS_CLOCK) || stable(one));
        // On one machine nothing else makes numbers differ a little, or writes `812.30` for `812.3`.
        let exact_numbers = one.numbers.is_some() && exactly && reached;
        let doubtful = ["duration", "memory"].iter().any(|name| one.equal_after.contains_key(*name));
        if exact || exact_numbers || doubtful || off.iter().any(|name| one.equal_after.contains_key(*name)) {
            let mut strict = rules.clone();
            if exact {
                strict.figure = 0.0;
            }
            strict.exact = exact_numbers;
            strict.doubtful = true;
            strict.off.extend(off.into_iter().map(str::to_owned));
            found.insert(one.recorded, strict);
        }
    }
    found
}

/// The executions, by id, in which words that two replays have alike, and the recording otherwise, may be alike by chance:
/// they draw random numbers, and nothing that was changed for the replay reaches them.
pub(super) fn left_to_chance(
    recorded: &Recording,
    replayed: &Recording,
    judged: &[Judged],
    known: &Known,
) -> BTreeSet<i64> {
    let inputs = changed_inputs(recorded, replayed, judged);
    let libraries = library::changed(recorded, replayed, known);
    let variables = environment(recorded, replayed);
    let drawn = generators::drawn(recorded, replayed, judged);
    let lineage = Lineage::of(recorded);
    let by_id: BTreeMap<i64, &Execution> = recorded.executions.iter().map(|one| (one.id, one)).collect();
    let own = |one: &Judged| by_id.get(&one.recorded).map(|execution| execution.code.as_str());
    let other_code = other_code(recorded, replayed, judged);
    let mut found = BTreeSet::new();
    for one in judged.iter().filter(|one| !one.verdict.agrees()) {
        let behind: Vec<i64> = std::iter::once(one.recorded).chain(lineage.ancestors(one.recorded)).collect();
        // Not all that an earlier cell says: the lines that gave what this one uses.
        let mut text = String::new();
        code_behind(&lineage, &by_id, one.recorded, None, &mut BTreeSet::new(), &mut text);
        let reached = behind.iter().any(|id| inputs.contains_key(id) || other_code.contains(id))
            || !library::behind(recorded, &behind, &text, &libraries).is_empty()
            || !cause::reaching(&text, &variables).is_empty();
        // What builds on a drawn sample varies with it.
        let draws = behind.iter().any(|id| drawn.contains_key(id));
        if !reached && (draws || own(one).is_some_and(cause::names_random) || cause::names_random(&text)) {
            found.insert(one.recorded);
        }
    }
    found
}

/// The executions, by id, in whose place other code ran, or nothing.
fn other_code(recorded: &Recording, replayed: &Recording, judged: &[Judged]) -> BTreeSet<i64> {
    let codes = |recording: &Recording| -> BTreeMap<i64, String> {
        recording.executions.iter().map(|one| (one.id, one.code.clone())).collect()
    };
    let (then, now) = (codes(recorded), codes(replayed));
    let differs = |one: &&Judged| one.replayed.is_none_or(|id| now.get(&id) != then.get(&one.recorded));
    judged.iter().filter(differs).map(|one| one.recorded).collect()
}

/// The code of an execution, and of those it builds on what gave the names through which it does: a cell that draws a uuid
/// for its log and reads the data has not made the ids in the data.
fn code_behind(
    lineage: &Lineage,
    by_id: &BTreeMap<i64, &Execution>,
    id: i64,
    wanted: Option<&BTreeSet<String>>,
    seen: &mut BTreeSet<(i64, Vec<String>)>,
    code: &mut String,
) {
    let names_of = wanted.map(|names| names.iter().cloned().collect()).unwrap_or_default();
    let Some(execution) = by_id.get(&id).filter(|_| seen.insert((id, names_of))) else { return };
    let needed = wanted.map(|names| giving(&execution.code, names));
    match &needed {
        Some((lines, _)) => code.push_str(lines),
        None => code.push_str(&execution.code),
    }
    code.push('\n');
    for link in lineage.links.get(&id).into_iter().flatten() {
        let through: BTreeSet<String> = link.through.iter().cloned().collect();
        let counts =
            |name: &&String| needed.as_ref().is_none_or(|(_, names)| names.contains(*name) || name.contains('/'));
        let through: BTreeSet<String> = through.iter().filter(counts).cloned().collect();
        if through.iter().any(|name| name.contains('/')) {
            code_behind(lineage, by_id, link.from, None, seen, code);
        } else if !through.is_empty() {
            code_behind(lineage, by_id, link.from, Some(&through), seen, code);
        }
    }
}

/// The lines of code that bind or change `names`, or what those lines use, with the blocks they begin; and all those names.
fn giving(code: &str, names: &BTreeSet<String>) -> (String, BTreeSet<String>) {
    let lines: Vec<&str> = code.lines().collect();
    let depth = |line: &str| line.len() - line.trim_start().len();
    let (mut wanted, mut taken) = (names.clone(), vec![false; lines.len()]);
    let mut grows = true;
    while grows {
        grows = false;
        for (at, line) in lines.iter().enumerate() {
            let (defines, uses) = lineage::names(line);
            if taken.get(at) != Some(&false) || defines.is_disjoint(&wanted) {
                continue;
            }
            wanted.extend(uses);
            grows = true;
            let mut block = lines.iter().enumerate().skip(at);
            let first = block.next().map(|(at, _)| at);
            let inside = block.take_while(|(_, below)| below.trim().is_empty() || depth(below) > depth(line));
            for at in first.into_iter().chain(inside.map(|(at, _)| at)) {
                wanted.extend(lines.get(at).map(|line| lineage::names(line).1).unwrap_or_default());
                if let Some(taken) = taken.get_mut(at) {
                    *taken = true;
                }
            }
        }
    }
    let lines = lines.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(line, _)| *line);
    (lines.collect::<Vec<_>>().join("\n"), wanted)
}

/// Whether an output has nothing in it that a library gives ids to: no scripts, no widgets, no charts.
fn is_plain(output: &Output) -> bool {
    match output {
        Output::Stream { .. } | Output::Error { .. } => true,
        Output::DisplayData { data, .. } | Output::ExecuteResult { data, .. } => data.iter().all(|(mime, value)| {
            let acts = value.as_str().is_none_or(|text| text.contains("<script") || text.contains(" id="));
            matches!(mime.as_str(), "text/plain" | "text/html" | "text/latex" | "text/markdown") && !acts
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lines_that_give_a_name_count() {
        let code = "run = uuid.uuid4()\nparcels = load(path)\ndef load(path):\n    return json.load(open(path))\nprint(run, parcels)";
        let names = BTreeSet::from(["parcels".to_owned()]);
        let lines = giving(code, &names).0;
        assert_eq!(lines, "parcels = load(path)\ndef load(path):\n    return json.load(open(path))");
        let made =
            giving("ids = [make() for _ in x]\nmake = lambda: uuid.uuid4()", &BTreeSet::from(["ids".to_owned()])).0;
        assert!(made.contains("uuid4"), "{made}");
    }
}
