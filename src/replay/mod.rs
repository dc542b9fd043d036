//! Did the same thing happen again, and if not, why: runs a recorded session once more, compares by meaning, and
//! looks for causes. Judging is pure: two recordings in, verdicts out. It prints nothing.

mod align;
pub mod batch;
pub mod bisect;
pub mod cause;
mod clock;
pub mod compare;
mod drawing;
mod drawn;
mod drive;
mod figure;
pub mod file;
mod generators;
mod inputs;
mod judge;
mod library;
pub mod lineage;
mod markup;
mod noise;
pub mod outdated;
mod outputs;
mod plan;
mod readers;
mod rules;
mod run;
mod source;
mod spread;
mod stopwatch;
mod suspect;
mod text;
mod timings;
mod torn;
#[cfg(test)]
pub(crate) mod truth;
pub mod units;
mod value;
mod varying;
pub mod verdict;
mod widget;

pub mod why;

pub use cause::Known;
pub(crate) use compare::belongs_to_system;
pub use drive::{Ask, Progress};
pub use figure::difference as figure_difference;
pub use judge::{is_judged, judge, judge_knowing};
pub use noise::NORMALISERS;
pub use rules::{Rules, RulesError};
pub use run::{Options, Place, Replay, RunError, other_pid, run};
pub(crate) use text::on_screen;
pub use verdict::{Judged, Verdict, Verdicts};
