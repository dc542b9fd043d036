//! Did the same thing happen again, and if not, why: runs a recorded session once more, compares by meaning, and
//! looks for causes. Judging is pure: two recordings in, verdicts out. It prints nothing.

mod align;
pub mod batch;
pub mod cause;
mod clock;
pub mod compare;
mod drive;
mod figure;
pub mod file;
mod judge;
pub mod lineage;
mod markup;
mod noise;
mod outputs;
mod plan;
mod rules;
mod run;
mod spread;
mod text;
#[cfg(test)]
pub(crate) mod truth;
mod value;
pub mod verdict;

pub mod why;

pub(crate) use compare::belongs_to_system;
pub use drive::{Ask, Progress};
pub use judge::{is_judged, judge};
pub use noise::NORMALISERS;
pub use rules::{Rules, RulesError};
pub use run::{Options, Place, Replay, RunError, run};
pub(crate) use text::on_screen;
pub use verdict::{Judged, Verdict, Verdicts};
