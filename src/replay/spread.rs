//! How far numbers of one kind lie apart between two replays.
//!
//! A random number that is printed rounded (`61 %`) is often the same in two replays and another one in the recording,
//! while its neighbours differ: looking at its own place only, it would count as changed. So what varies is learnt
//! for a *kind* of number, which is the words that stand around it, in the execution itself and in those that call
//! the same function of the session.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex::Regex;

use super::{
    lineage::names,
    noise::{number, numbers},
    source::without_strings,
    verdict::Difference,
};

/// Three draws: the recorded one may lie farther out than the two replays lie apart.
const MARGIN: f64 = 2.0;

static FUNCTION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?m)\bdef +(\w+)|^[ \t]*(\w+) *(?:=|<-) *(?:lambda\b|function *\()").ok());

/// The words before and after a number.
type Kind = (String, String);

/// Numbers below each other: the part, the column of its table (or that it is lines), the line's words, which number.
type Series = (String, String, String, usize);

/// So many numbers of a series must have varied before it is known to vary.
const ENOUGH: usize = 3;

/// The largest distance between two replays for each kind of number, and for each series how many varied.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Spread {
    kinds: BTreeMap<Kind, f64>,
    series: BTreeMap<Series, (usize, f64)>,
    /// The parts and columns of tables in which words vary.
    words: BTreeSet<(String, String)>,
}

impl Spread {
    /// Learns from what differs between two replays of one execution.
    pub(super) fn learn(&mut self, noise: &[Difference]) {
        for (kind, distance) in noise.iter().filter_map(distances).flatten() {
            let known = self.kinds.entry(kind).or_insert(0.0);
            *known = known.max(distance);
        }
        self.words.extend(noise.iter().filter_map(word_in_column));
        for (series, distance) in noise.iter().filter_map(in_series).flatten() {
            let known = self.series.entry(series).or_insert((0, 0.0));
            *known = (known.0 + 1, known.1.max(distance));
        }
    }

    /// Whether the numbers that differ stand in columns that vary as far: a random one of four is often the same twice.
    fn holds_series(&self, difference: &Difference) -> bool {
        in_series(difference).is_some_and(|found| {
            !found.is_empty()
                && found.iter().all(|(series, distance)| {
                    self.series
                        .get(series)
                        .is_some_and(|(count, known)| *count >= ENOUGH && *distance <= known * MARGIN)
                })
        })
    }

    /// Whether the two sides of a difference are the same line but for numbers that vary as far as that.
    pub(super) fn holds(&self, difference: &Difference) -> bool {
        self.holds_series(difference)
            || word_in_column(difference).is_some_and(|column| self.words.contains(&column))
            || distances(difference).is_some_and(|distances| {
                // The same number in other digits (`1.00` for `1.0`) is none that was drawn.
                distances.iter().any(|(_, distance)| *distance > 0.0)
                    && distances.iter().all(|(kind, distance)| {
                        *distance == 0.0 || self.kinds.get(kind).is_some_and(|known| *distance <= known * MARGIN)
                    })
            })
    }
}

/// The part and column of a table's cell that holds one word on both sides (`True`, a category).
fn word_in_column(difference: &Difference) -> Option<(String, String)> {
    let is_word = |text: &str| !text.is_empty() && text.chars().all(char::is_alphabetic);
    let (_, column) = difference.place.at.as_deref()?.split_once(" column ")?;
    let both = is_word(&difference.recorded) && is_word(&difference.replayed);
    both.then(|| (difference.place.part.clone(), column.to_owned()))
}

/// The numbers of a difference that differ, when nothing else does, each with the series it stands in.
fn in_series(difference: &Difference) -> Option<Vec<(Series, f64)>> {
    let (a, b) = (difference.recorded.as_str(), difference.replayed.as_str());
    if a.ends_with('…') || b.ends_with('…') {
        return None;
    }
    let at = difference.place.at.as_deref()?;
    let column =
        at.split_once(" column ").map(|(_, column)| column).or_else(|| at.strip_prefix("line ").map(|_| ""))?;
    let (x, y) = (numbers(a), numbers(b));
    let words = |skeleton: &str| skeleton.split_whitespace().collect::<Vec<_>>().join(" ");
    let skeleton = words(&x.skeleton);
    if skeleton != words(&y.skeleton) {
        return None;
    }
    let differing = x.tokens.iter().zip(&y.tokens).enumerate().filter(|(_, (x, y))| x.text != y.text);
    differing
        .map(|(which, (x, y))| {
            let distance = (number(x.text)? - number(y.text)?).abs();
            let series = (difference.place.part.clone(), column.to_owned(), skeleton.clone(), which);
            distance.is_finite().then_some((series, distance))
        })
        .collect()
}

/// The numbers of a difference that differ, when nothing else does; `None` also when the line is not shown whole.
fn distances(difference: &Difference) -> Option<Vec<(Kind, f64)>> {
    let (a, b) = (difference.recorded.as_str(), difference.replayed.as_str());
    if a.ends_with('…') || b.ends_with('…') {
        return None;
    }
    let (x, y) = (numbers(a), numbers(b));
    // A column moves with the width of its numbers.
    if !x.skeleton.split_whitespace().eq(y.skeleton.split_whitespace()) {
        return None;
    }
    let pieces: Vec<&str> = pieces(&x.skeleton);
    let mut found = Vec::new();
    for (at, (x, y)) in x.tokens.iter().zip(&y.tokens).enumerate() {
        if x.text == y.text {
            continue;
        }
        let before = pieces.get(at).and_then(|piece| piece.split_whitespace().last()).unwrap_or_default();
        let after: Vec<&str> =
            pieces.get(at + 1).map(|piece| piece.split_whitespace().take(2).collect()).unwrap_or_default();
        let kind = (before.to_owned(), after.join(" "));
        // A bare number is of no kind.
        let telling = kind.0.chars().chain(kind.1.chars()).any(char::is_alphabetic);
        let distance = (number(x.text)? - number(y.text)?).abs();
        if !telling || !distance.is_finite() {
            return None;
        }
        found.push((kind, distance));
    }
    Some(found)
}

/// What stands between the numbers of a skeleton: each is two characters, the first of them a control character.
fn pieces(skeleton: &str) -> Vec<&str> {
    let parts = skeleton.split('\u{1}').enumerate();
    parts.map(|(at, part)| if at == 0 { part } else { part.get(1..).unwrap_or_default() }).collect()
}

/// For each of these codes the functions that any of them defines and it uses.
pub(super) fn functions<'a>(codes: impl Iterator<Item = &'a str> + Clone) -> Vec<BTreeSet<String>> {
    let mut defined = BTreeSet::new();
    for code in codes.clone() {
        let code = without_strings(code);
        for found in FUNCTION.as_ref().into_iter().flat_map(|regex| regex.captures_iter(&code)) {
            defined.extend(found.get(1).or_else(|| found.get(2)).map(|name| name.as_str().to_owned()));
        }
    }
    codes.map(|code| names(code).1.intersection(&defined).cloned().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::verdict::Place;

    fn difference(recorded: &str, replayed: &str) -> Difference {
        Difference {
            place: Place { part: "stdout".into(), at: None },
            recorded: recorded.into(),
            replayed: replayed.into(),
        }
    }

    #[test]
    fn numbers_of_one_kind_vary_alike_and_others_do_not() {
        let mut spread = Spread::default();
        spread.learn(&[difference("A vs B | 60% game; 71% series", "A vs B | 61% game; 73% series")]);
        assert!(spread.holds(&difference("C vs D | 40% game; 30% series", "C vs D |  39% game; 30% series")));
        assert!(!spread.holds(&difference("C vs D | 40% game; 30% series", "C vs D | 45% game; 30% series")), "far");
        assert!(!spread.holds(&difference("C vs D | 40% game", "C vs E | 40% game")), "a word differs");
        assert!(!spread.holds(&difference("rows 40", "rows 41")), "another kind");
        assert!(!spread.holds(&difference("rows 1.0 kB", "rows 1.00 kB")), "other digits");
        assert!(!spread.holds(&difference("40% game…", "41% game…")), "not shown whole");
    }

    #[test]
    fn a_column_in_which_several_numbers_vary_varies() {
        let cell = |row: usize, column: usize, recorded: &str, replayed: &str| Difference {
            place: Place { part: "output 1 text/html".into(), at: Some(format!("row {row} column {column}")) },
            ..difference(recorded, replayed)
        };
        let mut spread = Spread::default();
        spread.learn(&[cell(1, 2, "1", "3"), cell(2, 2, "4", "2")]);
        assert!(!spread.holds(&cell(4, 2, "3", "1")), "two are not enough");
        spread.learn(&[cell(3, 2, "2", "1")]);
        assert!(spread.holds(&cell(4, 2, "3", "1")));
        assert!(!spread.holds(&cell(4, 3, "3", "1")), "another column");
        assert!(!spread.holds(&cell(4, 2, "3", "9")), "far");
    }

    #[test]
    fn a_column_in_which_a_word_varies_varies() {
        let cell = |at: &str, recorded: &str, replayed: &str| Difference {
            place: Place { part: "output 1 text/html".into(), at: Some(at.into()) },
            ..difference(recorded, replayed)
        };
        let mut spread = Spread::default();
        spread.learn(&[cell("row 1 column 4", "True", "False")]);
        assert!(spread.holds(&cell("row 3 column 4", "False", "True")));
        assert!(!spread.holds(&cell("row 3 column 5", "False", "True")), "another column");
        assert!(!spread.holds(&cell("row 3 column 4", "False", "7")), "no word");
    }

    #[test]
    fn bare_numbers_are_of_no_kind() {
        let mut spread = Spread::default();
        spread.learn(&[difference("0.5", "0.7")]);
        assert!(!spread.holds(&difference("0.5", "0.6")));
    }

    #[test]
    fn functions_of_the_session_are_found_where_they_are_called() {
        let codes = ["def play(a):\n    return a", "play(3); other(4)", "g = lambda x: x", "print('play', g(1))"];
        let found = functions(codes.iter().copied());
        let called: Vec<Vec<&str>> = found.iter().map(|set| set.iter().map(String::as_str).collect()).collect();
        assert_eq!(called, [vec!["play"], vec!["play"], vec![], vec!["g"]]);
    }
}
