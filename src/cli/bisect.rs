//! `nbpack bisect`.

use std::{collections::BTreeSet, io::Write as _, process::ExitCode, time::Duration};

use anyhow::Context as _;
use serde_json::json;

use super::{Context, failure::Failure, progress::Progress, replay as replaying, restored::resolve, subject};
use crate::{
    files,
    replay::{
        self, Place, Replay, Rules,
        bisect::{self, Found, Swapped},
        compare::Subject,
        units::{self, Differences, Side, Unit, UnitKind},
    },
    restore::{SpecOptions, model::Restored},
    session::model::Recording,
    store::Store,
};

/// Find which differences between two bundles change a result
///
/// The first bundle is replayed as it is, then with parts of the second in the place of its own (distributions, data,
/// local code, variables, the cells themselves), until the ones that change an output are named. Cells that vary by
/// themselves are left out. Exit code: 0 nothing changes a result, 1 something does and is named, 2 could not tell.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  nbpack bisect before.nbpack after.nbpack
  nbpack bisect --json before.nbpack after.nbpack | jq '.culprits[].names'")]
pub(super) struct Args {
    /// The bundle whose results count: a file, or the name of a restored one.
    #[arg(value_name = "A")]
    first: String,
    /// The bundle whose parts are tried.
    #[arg(value_name = "B")]
    second: String,
    /// What was found and tried, as JSON.
    #[arg(long)]
    json: bool,
    /// Seconds that one cell may take [default: ten times what it took, at least 60].
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// What every replay of the search has in common.
struct Bench<'a> {
    first: &'a Restored,
    recorded: &'a Subject,
    second: &'a Subject,
    other: &'a Restored,
    differences: &'a Differences,
    rules: &'a Rules,
    timeout: Option<Duration>,
    store: &'a Store,
    context: &'a Context,
}

pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let rules = subject::rules(context)?;
    let store = context.store()?;
    let (first, other) = (resolve(&args.first, context)?, resolve(&args.second, context)?);
    let (recorded, second) = (subject::of_restored(&store, &first)?, subject::of_restored(&store, &other)?);
    if first.run.language != other.run.language {
        let (one, two) = (&first.run.language, &other.run.language);
        return Err(Failure::unable(format!("`{}` is {one} and `{}` is {two}", args.first, args.second)).into());
    }
    let line = Progress::new(context.fancy);
    line.stage("comparing the two bundles");
    let sides = [Side { restored: &first, subject: &recorded }, Side { restored: &other, subject: &second }];
    let [one, two] = &sides;
    let differences = units::differences(&store, one, two)?;
    line.clear();
    let bench = Bench {
        first: &first,
        recorded: &recorded,
        second: &second,
        other: &other,
        differences: &differences,
        rules: &rules,
        timeout: args.timeout.map(Duration::from_secs),
        store: &store,
        context,
    };
    let (found, noise, whole) = bench.search()?;
    let names = (args.first.as_str(), args.second.as_str());
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &as_json(names, &differences.units, &found, &noise, whole))?;
        writeln!(out)?;
    } else {
        write!(out, "{}", as_text(names, &differences.units, &found, &noise, whole))?;
    }
    Ok(ExitCode::from(u8::from(!found.culprits.is_empty())))
}

impl Bench<'_> {
    /// What was found, the cells that vary by themselves, and whether the named differences account for everything.
    fn search(&self) -> anyhow::Result<(Found, BTreeSet<usize>, bool)> {
        let base = self.replay(&Swapped::new(), "as it is")?.recording;
        let again = self.replay(&Swapped::new(), "as it is, once more")?.recording;
        let noise: BTreeSet<usize> = differing(&base, &again, self.rules).into_iter().collect();
        let mut results: Vec<(Swapped, Recording)> = Vec::new();
        let mut number = 0;
        let all: Swapped = (0..self.differences.units.len()).collect();
        let found = bisect::search(all.len(), &mut |set| {
            number += 1;
            let title = format!("try {number}: {} of {} differences", set.len(), all.len());
            let replayed = self.replay(set, &title)?.recording;
            let mut cells = differing(&base, &replayed, self.rules);
            cells.retain(|cell| !noise.contains(cell));
            results.push((set.clone(), replayed));
            Ok::<_, anyhow::Error>(cells)
        })?;
        let named: Swapped = found.culprits.iter().flat_map(|(set, _)| set.iter().copied()).collect();
        let of = |set: &Swapped| results.iter().find(|(known, _)| known == set).map(|(_, recording)| recording.clone());
        let everything = of(&all);
        let whole = match (named == all || named.is_empty(), everything) {
            (false, Some(everything)) => {
                let only = match of(&named) {
                    Some(known) => known,
                    None => self.replay(&named, "only what was named")?.recording,
                };
                differing(&only, &everything, self.rules).iter().all(|cell| noise.contains(cell))
            }
            _ => true,
        };
        Ok((found, noise, whole))
    }

    /// Replays the first bundle with these differences swapped in.
    fn replay(&self, set: &Swapped, title: &str) -> anyhow::Result<Replay> {
        if !self.context.quiet && !self.context.fancy {
            // Nobody can be told when stderr is closed.
            writeln!(std::io::stderr(), "nbpack: {title}").unwrap_or_default();
        }
        let chosen = || set.iter().filter_map(|unit| self.differences.units.get(*unit));
        files::create_private_dir(&self.store.tmp())?;
        let scratch = tempfile::Builder::new().prefix("bisect-").tempdir_in(self.store.tmp());
        let scratch = scratch.context("cannot make a temporary directory")?;
        let _in_use = files::lock_dir(scratch.path(), rustix::fs::FlockOperation::LockShared)?;
        let mut over = Vec::new();
        if chosen().any(|unit| !unit.paths.is_empty()) {
            over.push(scratch.path().join("over"));
        }
        for target in &over {
            units::lay(self.differences, set, target)?;
        }
        let mut restored = self.first.clone();
        for unit in chosen().filter(|unit| unit.kind == UnitKind::Variable) {
            match self.other.run.env.get(&unit.name) {
                Some(value) => drop(restored.run.env.insert(unit.name.clone(), value.clone())),
                None => drop(restored.run.env.remove(&unit.name)),
            }
        }
        let cells = if chosen().any(|unit| unit.kind == UnitKind::Cells) { self.second } else { self.recorded };
        let place = Place::Container { restored: &restored, given: SpecOptions { over, ..SpecOptions::default() } };
        let replayed = replaying::once(&place, cells, self.timeout, self.store, self.context)?;
        if replayed.recording.executions.is_empty() {
            let failure = Failure::unable(format!("nothing ran in `{}`", self.recorded.name));
            return Err(anyhow::Error::from(failure));
        }
        Ok(replayed)
    }
}

/// Numbers of the cells that do not agree.
fn differing(base: &Recording, replayed: &Recording, rules: &Rules) -> Vec<usize> {
    let verdicts = replay::judge(base, replayed, None, rules);
    let cells = verdicts.executions.iter().filter(|judged| !judged.verdict.agrees());
    let mut cells: Vec<usize> = cells.map(|judged| judged.number).collect();
    if !verdicts.extra.is_empty() {
        cells.push(verdicts.executions.len() + 1);
    }
    cells
}

fn list(cells: &[usize]) -> String {
    let word = if cells.len() == 1 { "cell" } else { "cells" };
    let numbers: Vec<String> = cells.iter().take(12).map(ToString::to_string).collect();
    let more = if cells.len() > 12 { " …" } else { "" };
    format!("{word} {}{more}", numbers.join(", "))
}

fn named(set: &Swapped, units: &[Unit]) -> Vec<String> {
    let shown = |unit: &Unit| files::display_bytes(unit.to_string().as_bytes()).to_string();
    set.iter().filter_map(|unit| units.get(*unit)).map(shown).collect()
}

fn as_text(names: (&str, &str), units: &[Unit], found: &Found, noise: &BTreeSet<usize>, whole: bool) -> String {
    let (first, second) = names;
    let tries = format!("{} differences, {} tried with a replay each", units.len(), found.tried);
    let mut text = String::new();
    if found.culprits.is_empty() {
        let why = if units.is_empty() { "no file, variable or cell differs" } else { "no output changes with them" };
        text.push_str(&format!("nothing of `{second}` changes a result of `{first}`: {why} ({tries})\n"));
    } else {
        text.push_str(&format!(
            "with all of `{second}`, {} of `{first}` come out otherwise; because of\n",
            list(&found.changed)
        ));
    }
    for (set, cells) in &found.culprits {
        text.push_str(&format!("  {}: changes {}\n", named(set, units).join("  together with  "), list(cells)));
    }
    if !found.culprits.is_empty() {
        text.push_str(&format!("({tries})\n"));
    }
    if !whole {
        text.push_str("the named ones do not account for all of it: differences act on each other\n");
    }
    if !noise.is_empty() {
        let cells: Vec<usize> = noise.iter().copied().collect();
        text.push_str(&format!("left out, for they vary by themselves: {}\n", list(&cells)));
    }
    text
}

fn as_json(
    names: (&str, &str),
    units: &[Unit],
    found: &Found,
    noise: &BTreeSet<usize>,
    whole: bool,
) -> serde_json::Value {
    let culprits: Vec<serde_json::Value> = found
        .culprits
        .iter()
        .map(|(set, cells)| {
            let parts: Vec<&Unit> = set.iter().filter_map(|unit| units.get(*unit)).collect();
            json!({"names": parts.iter().map(|unit| &unit.name).collect::<Vec<_>>(), "differences": parts, "cells": cells})
        })
        .collect();
    json!({
        "first": names.0,
        "second": names.1,
        "exit_code": u8::from(!found.culprits.is_empty()),
        "differences": units,
        "changed_cells": found.changed,
        "culprits": culprits,
        "varying_cells": noise,
        "accounts_for_all": whole,
        "tried": found.tried,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_together_is_said_on_one_line() {
        let unit = |name: &str| Unit {
            kind: UnitKind::Library,
            name: name.to_owned(),
            first: Some("1".to_owned()),
            second: Some("2".to_owned()),
            paths: BTreeSet::new(),
        };
        let units = [unit("a"), unit("b")];
        let found = Found { culprits: vec![(BTreeSet::from([0, 1]), vec![3])], changed: vec![3], tried: 4 };
        let text = as_text(("x", "y"), &units, &found, &BTreeSet::new(), true);
        assert!(text.contains("library a: 1 -> 2  together with  library b: 1 -> 2: changes cell 3"), "{text}");
    }
}
