//! Verdicts and differences for programs. Fields are only ever added.

use serde_json::{Value, json};

use crate::replay::{
    compare::Comparison,
    verdict::{Verdict, Verdicts},
};

/// The verdicts of a replay.
pub fn verdicts(name: &str, verdicts: &Verdicts) -> Value {
    let all = [
        ("identical", Verdict::Identical),
        ("equivalent", Verdict::Equivalent),
        ("within_tolerance", Verdict::WithinTolerance),
        ("nondeterministic", Verdict::Nondeterministic),
        ("changed", Verdict::Changed),
        ("error", Verdict::Error),
        ("not_run", Verdict::NotRun),
    ];
    let counts: serde_json::Map<String, Value> =
        all.into_iter().map(|(word, verdict)| (word.to_owned(), verdicts.count(verdict).into())).collect();
    json!({
        "bundle": name,
        "exit_code": verdicts.exit_code(),
        "cells": verdicts.executions.len(),
        "counts": counts,
        "first_divergence": verdicts.first_divergence().map(|judged| judged.number),
        "tolerance": verdicts.tolerance,
        "twice": verdicts.twice,
        "notes": verdicts.notes,
        "executions": verdicts.executions,
    })
}

/// Two sessions side by side.
pub fn comparison(first: &str, second: &str, comparison: &Comparison) -> Value {
    json!({
        "first": first,
        "second": second,
        "exit_code": comparison.exit_code(),
        "code": comparison.code,
        "libraries": comparison.libraries,
        "environment": comparison.environment,
        "machine": comparison.machine,
        "data": comparison.data,
        "outputs": comparison.outputs.executions,
        "seconds": [comparison.seconds.0, comparison.seconds.1],
    })
}
