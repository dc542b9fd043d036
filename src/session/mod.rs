//! One life of one kernel process, as it is kept: a directory with a journal and one `SQLite` database.
//!
//! This module keeps rows and gives them back; it does not interpret messages (that is `record`).

pub mod db;
mod error;
mod export;
mod find;
#[cfg(test)]
mod hostile_tests;
pub mod journal;
pub mod model;
mod notebook;
pub mod place;
mod read;

pub use error::DbError;
pub use export::{LARGEST_INLINE, export, output_row};
pub use find::{FindError, Found, Selector, db_path, dir, find, find_telling, ids, list, list_telling, lock, read_id};
pub use notebook::{Form, notebook, output as notebook_output};
pub use read::{read, read_code, read_info, read_without_outputs};

/// How much was seen, and how, where that was not the usual way.
pub fn files_seen(coverage: &str, mechanism: Option<&serde_json::Value>) -> String {
    match mechanism.and_then(serde_json::Value::as_str) {
        Some(by) if !matches!(by, "notify" | "none") => format!("{coverage} (by {by})"),
        _ => coverage.to_owned(),
    }
}
