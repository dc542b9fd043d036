//! Cells that the user deleted, as the frontend tells.
//!
//! JupyterLab and Notebook put `deletedCells`, the ids of cells that went since the last request, into the metadata of
//! `execute_request`. No frontend tells of a deletion after the last execution.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::session::{DbError, db::Db, model::DELETED_CELLS};

/// By cell id the execution before which it was gone.
pub(super) struct DeletedCells {
    before: BTreeMap<String, i64>,
    changed: bool,
}

impl DeletedCells {
    pub(super) fn load(db: &Db) -> Result<Self, DbError> {
        let before = db.fact(DELETED_CELLS)?.and_then(|all| serde_json::from_value(all).ok()).unwrap_or_default();
        Ok(Self { before, changed: false })
    }

    /// Takes the metadata of the request of `execution`.
    pub(super) fn take(&mut self, metadata: &Value, execution: i64) {
        let ids = metadata.get("deletedCells").and_then(Value::as_array);
        for id in ids.into_iter().flatten().filter_map(Value::as_str) {
            self.before.entry(id.to_owned()).or_insert(execution);
            self.changed = true;
        }
    }

    pub(super) fn flush(&mut self, db: &Db) -> Result<(), DbError> {
        if std::mem::take(&mut self.changed) { db.put_fact(DELETED_CELLS, &json!(self.before)) } else { Ok(()) }
    }
}
