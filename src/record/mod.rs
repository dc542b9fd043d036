//! Joins what was said and what was touched into a session and its store.
//!
//! [`Recorder::record`](crate::event::EventSink::record) appends to the journal and returns; a thread turns the
//! journal into rows; a second one hashes files while nobody waits. Whatever goes wrong here, the user's notebook
//! goes on.

mod attribution;
mod back;
mod cell_uri;
mod cells;
mod environment;
pub mod facts;
mod gate;
mod head;
mod idle;
mod importer;
mod keep;
pub mod kernel;
mod links;
mod magics;
mod open_files;
mod panel;
mod paths;
mod preserve;
mod questions;
mod recorder;
mod recover;
mod repeats;
mod said;
#[expect(unsafe_code, reason = "the scheduler's calls have no safe wrapper; one for each function")]
mod sys;
mod touched;
mod widgets;

pub use idle::step_back;
pub use importer::ImportError;
pub use preserve::Limits;
pub use recorder::{Recorder, SessionSeed, StartError, Warn};
pub use recover::{RecoverError, complete, recover};
pub use said::SaidError;

/// In the session directory: content that was put aside before a change and is not in the store yet.
const PRESERVED: &str = "preserved";
/// In the session directory: a megabyte to be freed when the disk is full.
const RESERVE: &str = "reserve";
