//! Noise that is none: where an input has changed, what a cell shows may have come from it.
//!
//! A uuid, a duration or a date may be made anew in every run, or stand in the data. Where the same data was read, it is
//! noise whatever it looks like. Where it was not, a normaliser counts only if the code of the cell, or of those it builds
//! on, makes such things at all.

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;

use super::{Rules, cause::changed_inputs, lineage::Lineage, verdict::Judged};
use crate::session::model::{Execution, Output, Recording};

static MAKES_UUIDS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\b(?:uuid[1-7]\(|UUID\(|uuid\.uuid|token_\w+\(|secrets\.|display_id|\.style\b|UUIDgenerate)").ok()
});
static READS_CLOCK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:time|clock|perf_counter|monotonic|datetime|date|timeit|process_time|default_timer)\.|\b(?:now|today|time|perf_counter|monotonic|default_timer|elapsed|timer?|tictoc)\(|%time|%prun|cProfile|tqdm|trange|progress|verbose|logging|\bfit|epochs|Sys\.time|system\.time|(?m:(?:^|[;&|(`])\s*date\b)|^!|%%bash|%%sh|subprocess|\bls\b|stat\(|[\x22']now[\x22']|current_(?:timestamp|date|time)|sysdate|getdate",
    )
    .ok()
});

/// For each execution that an input reaches which has changed, by its id, the rules for judging it: without the
/// normalisers for things that nothing in its code makes.
pub(super) fn stricter(
    recorded: &Recording,
    replayed: &Recording,
    judged: &[Judged],
    rules: &Rules,
) -> BTreeMap<i64, Rules> {
    let inputs = changed_inputs(recorded, replayed, judged);
    if inputs.is_empty() {
        return BTreeMap::new();
    }
    let lineage = Lineage::of(recorded);
    let by_id: BTreeMap<i64, &Execution> = recorded.executions.iter().map(|one| (one.id, one)).collect();
    let mut found = BTreeMap::new();
    for one in judged.iter().filter(|one| one.verdict.agrees() && !one.equal_after.is_empty()) {
        let ancestors = lineage.ancestors(one.recorded);
        let behind = || std::iter::once(&one.recorded).chain(&ancestors);
        if !behind().any(|id| inputs.contains_key(id)) {
            continue;
        }
        let makes = |regex: &LazyLock<Option<Regex>>| {
            let in_code =
                |id: &i64| by_id.get(id).is_some_and(|it| regex.as_ref().is_none_or(|r| r.is_match(&it.code)));
            behind().any(in_code)
        };
        let mut off = Vec::new();
        if !makes(&MAKES_UUIDS) && by_id.get(&one.recorded).is_some_and(|it| it.outputs.iter().all(is_plain)) {
            off.push("uuid");
        }
        if !makes(&READS_CLOCK) {
            off.extend(["duration", "clock"]);
        }
        if off.iter().any(|name| one.equal_after.contains_key(*name)) {
            let mut strict = rules.clone();
            strict.off.extend(off.into_iter().map(str::to_owned));
            found.insert(one.recorded, strict);
        }
    }
    found
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
