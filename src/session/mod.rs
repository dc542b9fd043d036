//! One life of one kernel process, as it is kept: a directory with a journal and one `SQLite` database.
//!
//! This module keeps rows and gives them back; it does not interpret messages (that is `record`).

pub mod model;
