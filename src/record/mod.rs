//! Joins what was said and what was touched into a session and its store.
//!
//! [`Recorder::record`](crate::event::EventSink::record) appends to the journal and returns; a thread turns the
//! journal into rows; a second one hashes files while nobody waits. Whatever goes wrong here, the user's notebook
//! goes on.

mod environment;
pub mod facts;
mod gate;
mod head;
mod importer;
mod keep;
pub mod kernel;
mod magics;
mod paths;
mod preserve;
mod recorder;
mod recover;
mod repeats;
mod said;
mod touched;
mod widgets;

pub use importer::ImportError;
pub use preserve::Limits;
pub use recorder::{Recorder, SessionSeed, StartError, Warn};
pub use recover::{RecoverError, complete, recover};
pub use said::SaidError;

/// In the session directory: content that was put aside before a change and is not in the store yet.
const PRESERVED: &str = "preserved";
/// In the session directory: a megabyte to be freed when the disk is full.
const RESERVE: &str = "reserve";
