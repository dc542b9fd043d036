//! The layers that an export would write: what is in each, and whether the store has it already.

use std::{io::Write as _, process::ExitCode};

use super::progress::bytes;
use crate::{
    bundle::{Compression, plan::Plan, write},
    store::Store,
};

/// The layers as JSON.
pub(super) fn rows(plan: &Plan, store: &Store, compression: Compression) -> Vec<serde_json::Value> {
    let rows = plan.layers.iter().zip(write::reusable(plan, store, compression));
    rows.map(|(layer, reused)| {
        serde_json::json!({"title": layer.title, "bytes": layer.bytes, "entries": layer.entries.len(), "reused": reused})
    })
    .collect()
}

/// Prints them: for `nbpack export --dry-run`.
pub(super) fn show(plan: &Plan, store: &Store, compression: Compression, json: bool) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &rows(plan, store, compression))?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let reusable = write::reusable(plan, store, compression);
    let rows = plan.layers.iter().zip(reusable);
    let (mut total, mut new) = (0, 0);
    for (layer, reused) in rows {
        total += layer.bytes;
        new += if reused { 0 } else { layer.bytes };
        let state = if reused { "have" } else { "new" };
        writeln!(out, "{state:>4}  {:>10}  {:>6} entries  {}", bytes(layer.bytes), layer.entries.len(), layer.title)?;
    }
    writeln!(out, "{} layers, {} before compression, {} of them new", plan.layers.len(), bytes(total), bytes(new))?;
    Ok(ExitCode::SUCCESS)
}
