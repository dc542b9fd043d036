//! What a comparison says, as values.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::digest::Digest;

/// The answer for one execution, best first: the order is the order of badness.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The same bytes.
    Identical,
    /// The same after named normalisers.
    Equivalent,
    /// Numbers or pixels differ by less than the tolerance.
    WithinTolerance,
    /// It differs between two replays in the same bundle, too.
    Nondeterministic,
    /// It was not run, so nothing can be said.
    NotRun,
    /// Something else came out.
    Changed,
    /// A new, another or a missing error.
    Error,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identical => "identical",
            Self::Equivalent => "equivalent",
            Self::WithinTolerance => "within tolerance",
            Self::Nondeterministic => "nondeterministic",
            Self::NotRun => "not run",
            Self::Changed => "changed",
            Self::Error => "error",
        })
    }
}

impl Verdict {
    /// Whether the execution agrees with its recording.
    pub fn agrees(self) -> bool {
        self <= Self::Nondeterministic
    }
}

/// Where two outputs differ: the part of the execution's outputs, and the line or cell in it where that is known.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct Place {
    /// `stdout`, `stderr`, `output 2 text/html`, `error`, `outputs`.
    pub part: String,
    /// `line 3`, `row 2 column 1`; `None` is the whole part.
    pub at: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Some(at) => write!(f, "{}, {at}", self.part),
            None => f.write_str(&self.part),
        }
    }
}

impl Place {
    /// Whether noise at `self` also accounts for a difference at `other`.
    pub fn covers(&self, other: &Self) -> bool {
        self.part == other.part && (self.at.is_none() || self.at == other.at)
    }
}

/// One difference that no normaliser and no tolerance accounts for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Difference {
    /// Where.
    pub place: Place,
    /// What the recording has there, shortened.
    pub recorded: String,
    /// What came out now, shortened.
    pub replayed: String,
}

/// How far numbers were apart that count as equal.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct NumberError {
    /// How many numbers were not the same text.
    pub count: usize,
    /// Median relative error.
    pub median: f64,
    /// Largest relative error.
    pub largest: f64,
}

/// Why an execution differs, as far as the two recordings show it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Cause {
    /// An input has other bytes.
    Data {
        /// The file.
        path: String,
        /// The number of the execution that read it.
        read_in: Option<usize>,
        /// Digest in the recording.
        recorded: Option<Digest>,
        /// Digest now.
        replayed: Option<Digest>,
    },
    /// An input was read then and is not there now.
    Missing {
        /// The file.
        path: String,
    },
    /// A library has another version.
    Library {
        /// Its name.
        name: String,
        /// Version in the recording.
        recorded: Option<String>,
        /// Version now.
        replayed: Option<String>,
    },
    /// A variable of the kernel's environment differs.
    Environment {
        /// Its name.
        name: String,
        /// Value in the recording, where it was kept.
        recorded: Option<String>,
        /// Value now.
        replayed: Option<String>,
    },
    /// A fact about the machine differs (`cpu.flags`, number of processors).
    Machine {
        /// The fact's name.
        fact: String,
        /// For a person: from what to what.
        detail: String,
    },
    /// The execution asked for a network connection.
    Network {
        /// The addresses.
        addresses: Vec<String>,
    },
    /// Its inputs come from an execution that differs.
    Downstream {
        /// The number of the first one that differs among those it depends on.
        of: usize,
        /// The names and files that lead there.
        through: Vec<String>,
    },
    /// The code is another one.
    Code,
    /// The code before it ran in another order.
    Order,
    /// It reads a clock.
    Clock {
        /// What in the code or the recorded accesses says so.
        evidence: String,
    },
    /// It reads a source of random numbers without a seed.
    Random {
        /// What in the code or the recorded accesses says so.
        evidence: String,
    },
    /// The order of sets of strings, which Python chooses anew for each process.
    HashSeed,
    /// A set whose items are hashed by where they lie in memory (functions, objects), which no seed makes the same.
    SetOrder,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |v: &Option<String>| v.clone().unwrap_or_else(|| "absent".to_owned());
        match self {
            Self::Data { path, read_in, .. } => {
                write!(f, "data differs: {path}")?;
                read_in.map_or(Ok(()), |cell| write!(f, " (read in cell {cell})"))
            }
            Self::Missing { path } => write!(f, "not there any more: {path}"),
            Self::Library { name, recorded, replayed } => {
                write!(f, "library {name} {} -> {}", version(recorded), version(replayed))
            }
            Self::Environment { name, recorded, replayed } => {
                write!(f, "environment variable {name}: {} -> {}", version(recorded), version(replayed))
            }
            Self::Machine { fact, detail } => write!(f, "machine: {fact} {detail}"),
            Self::Network { addresses } => write!(f, "asked the network for {}", addresses.join(", ")),
            Self::Downstream { of, through } if through.is_empty() => write!(f, "downstream of cell {of}"),
            Self::Downstream { of, through } => write!(f, "downstream of cell {of} through {}", through.join(", ")),
            Self::Code => f.write_str("the code differs"),
            Self::Order => f.write_str("other cells ran before it"),
            Self::Clock { evidence } => write!(f, "reads a clock ({evidence})"),
            Self::Random { evidence } => write!(f, "random without a seed ({evidence})"),
            Self::HashSeed => f.write_str("order of a set (hash seed)"),
            Self::SetOrder => f.write_str("order of a set of objects that are hashed by their address"),
        }
    }
}

/// One execution of the recording and its verdict.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Judged {
    /// From 1, in the order of the recording, silent and aborted ones not counted: the "cell" of every message.
    pub number: usize,
    /// `Execution::id` in the recording.
    pub recorded: i64,
    /// `Execution::id` in the replay.
    pub replayed: Option<i64>,
    /// The notebook cell, where it is known.
    pub cell_id: Option<String>,
    /// `In [n]` in the recording.
    pub execution_count: Option<i64>,
    /// The first line of its code that is not empty.
    pub code: String,
    /// The answer.
    pub verdict: Verdict,
    /// How often each normaliser made two different texts equal.
    pub equal_after: BTreeMap<String, u64>,
    /// Numbers that differ within the tolerance.
    pub numbers: Option<NumberError>,
    /// The largest distance of two figures (0 is equal, 1 is black against white), where pixels differ.
    pub figure_distance: Option<f64>,
    /// All figures have the same pixels; `None` where there is no figure.
    pub pixel_exact: Option<bool>,
    /// What differs.
    pub differences: Vec<Difference>,
    /// Why, as far as it can be told.
    pub causes: Vec<Cause>,
    /// The recording ends in an error here, and so does the replay.
    pub expected_error: Option<String>,
    /// Seconds then.
    pub seconds_recorded: Option<f64>,
    /// Seconds now.
    pub seconds_replayed: Option<f64>,
}

/// The verdicts of a whole session.
#[derive(Clone, PartialEq, Debug, Serialize, Default)]
pub struct Verdicts {
    /// In the order of the recording.
    pub executions: Vec<Judged>,
    /// Executions of the replay that the recording does not have.
    pub extra: Vec<i64>,
    /// The relative tolerance for numbers that was used.
    pub tolerance: f64,
    /// A second replay was there to learn noise from.
    pub twice: bool,
    /// Executions that differ, draw random numbers, and are not reached by anything that was changed: one more replay may
    /// show them to vary.
    #[serde(skip)]
    pub left_to_chance: usize,
    /// What a person should know about the replay: what was not repeated or was stopped.
    pub notes: Vec<String>,
}

impl Verdicts {
    /// How many executions have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.executions.iter().filter(|judged| judged.verdict == verdict).count()
    }

    /// 0 all agree, 1 something changed, 2 something was not run (and nothing changed).
    pub fn exit_code(&self) -> u8 {
        let worst = self.executions.iter().map(|judged| judged.verdict).max();
        match worst {
            Some(Verdict::Changed | Verdict::Error) => 1,
            _ if !self.extra.is_empty() => 1,
            Some(Verdict::NotRun) | None => 2,
            Some(_) => 0,
        }
    }

    /// The first execution that does not agree.
    pub fn first_divergence(&self) -> Option<&Judged> {
        self.executions.iter().find(|judged| matches!(judged.verdict, Verdict::Changed | Verdict::Error))
    }
}
