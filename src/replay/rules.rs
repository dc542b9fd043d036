//! What counts as equal: tolerances, the normalisers that are switched off, and the user's own.

use std::collections::BTreeSet;

use regex::Regex;
use serde::Deserialize;

/// A normaliser of the user's own (`[[normalise]]` in `nbpack.toml`): matches are replaced on both sides.
#[derive(Clone, Debug)]
pub struct UserNormaliser {
    /// Its name in the report.
    pub name: String,
    /// What is replaced.
    pub pattern: Regex,
    /// By what (`$1` is the first group).
    pub replace: String,
}

/// What counts as equal.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Relative tolerance for numbers on machines of the same CPU class.
    pub same_cpu: f64,
    /// The same across CPU classes.
    pub other_cpu: f64,
    /// Numbers must be written alike, digit by digit.
    pub(super) exact: bool,
    /// Something that was changed reaches the execution: a duration or an amount of memory must be one that was measured in it.
    pub(super) doubtful: bool,
    /// Largest distance of two figures, see `Judged::figure_distance`.
    pub figure: f64,
    /// Normalisers that are not to be used, by name.
    pub off: BTreeSet<String>,
    /// The user's own.
    pub own: Vec<UserNormaliser>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            same_cpu: 1e-9,
            other_cpu: 1e-6,
            figure: 0.01,
            exact: false,
            doubtful: false,
            off: BTreeSet::new(),
            own: Vec::new(),
        }
    }
}

/// `nbpack.toml` cannot be used for judging.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Not TOML, or a key of another type.
    #[error("nbpack.toml is not what replay expects")]
    Toml(#[source] toml::de::Error),
    /// A pattern does not compile.
    #[error("the pattern of normaliser `{name}` is not a regular expression")]
    Pattern {
        /// The normaliser.
        name: String,
        /// What is wrong with it.
        source: Box<regex::Error>,
    },
}

#[derive(Deserialize, Default)]
struct File {
    #[serde(default)]
    replay: Section,
    #[serde(default)]
    normalise: Vec<Own>,
}

#[derive(Deserialize, Default)]
struct Section {
    tolerance: Option<f64>,
    figure_tolerance: Option<f64>,
    #[serde(default)]
    off: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Own {
    name: String,
    pattern: String,
    #[serde(default)]
    replace: String,
}

impl Rules {
    /// Reads the parts of `nbpack.toml` that are about judging: `[replay]` with `tolerance`, `figure_tolerance` and
    /// `off`, and any number of `[[normalise]]`. Other sections belong to others.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let file: File = toml::from_str(text).map_err(RulesError::Toml)?;
        let mut rules = Self { off: file.replay.off, ..Self::default() };
        if let Some(tolerance) = file.replay.tolerance {
            (rules.same_cpu, rules.other_cpu) = (tolerance, tolerance);
        }
        rules.figure = file.replay.figure_tolerance.unwrap_or(rules.figure);
        for own in file.normalise {
            let pattern = Regex::new(&own.pattern)
                .map_err(|source| RulesError::Pattern { name: own.name.clone(), source: Box::new(source) })?;
            rules.own.push(UserNormaliser { name: own.name, pattern, replace: own.replace });
        }
        Ok(rules)
    }

    /// Whether this normaliser may be used.
    pub(super) fn on(&self, name: &str) -> bool {
        !self.off.contains(name)
    }
}
