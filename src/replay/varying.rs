//! What of a line varies by itself, and what is another value each time: learnt from three runs.
//!
//! Two replays that differ in a line show that something in it varies (an id, a time), not that all of it does. A word
//! that both replays have alike, and the recording otherwise, has changed, unless its like in the same line varies: of ten
//! random digits one is often the same twice.

use std::collections::BTreeMap;

use super::verdict::Difference;

/// What a word is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A number, also with a unit's sign (`61%`).
    Number,
    /// A duration or a time of day, to the second.
    Time,
    /// A colour, as web pages write it.
    Colour,
    /// Letters only.
    Letters,
    /// Anything else: times, ids, paths.
    Mixed,
}

/// A word of a line, and the last word of letters before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Word<'a> {
    text: &'a str,
    kind: Kind,
    before: &'a str,
}

fn words(line: &str) -> Vec<Word<'_>> {
    let mut before = "";
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')' | '[' | ']' | '{' | '}' | '=' | '|');
    let parts =
        line.split(ends).map(|part| part.trim_matches(|c: char| matches!(c, '\'' | '"' | ':' | '`' | '<' | '>')));
    let mut found = Vec::new();
    for text in parts.filter(|part| !part.is_empty()) {
        let bare = text.trim_end_matches(['%', '.', '!', '?', '°']);
        let kind = if bare.parse::<f64>().is_ok() {
            Kind::Number
        } else if is_time(text) {
            Kind::Time
        } else if is_colour(text) {
            Kind::Colour
        } else if text.chars().all(char::is_alphabetic) {
            Kind::Letters
        } else {
            Kind::Mixed
        };
        found.push(Word { text, kind, before });
        if kind == Kind::Letters {
            before = text;
        }
    }
    found
}

/// So many words below each other must have varied before their column is known to vary.
const ENOUGH: usize = 3;

/// Words below each other in lines of as many words: how many varied between two replays, of how many.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Columns(BTreeMap<(String, usize, usize), (usize, usize)>);

impl Columns {
    /// Learns from what differs between two replays of one execution.
    pub(super) fn learnt(noise: &[Difference]) -> Self {
        let mut columns = BTreeMap::new();
        let lines = noise.iter().filter(|one| one.place.at.as_deref().is_some_and(|at| at.starts_with("line ")));
        for one in lines {
            let (now, again) = (words(&one.recorded), words(&one.replayed));
            if now.len() != again.len() {
                continue;
            }
            for (at, (a, b)) in now.iter().zip(&again).enumerate() {
                let known = columns.entry((one.place.part.clone(), now.len(), at)).or_insert((0, 0));
                *known = (known.0 + usize::from(a.text != b.text), known.1 + 1);
            }
        }
        Self(columns)
    }

    /// Whether most words of this column varied: then one that did not is alike by chance.
    fn varies(&self, part: &str, words: usize, at: usize) -> bool {
        let found = self.0.get(&(part.to_owned(), words, at));
        found.is_some_and(|(varied, all)| *varied >= ENOUGH && varied * 2 >= *all)
    }
}

/// Whether a line that differs from the recording's shows another value, though the two replays differ in it as well.
///
/// `difference` is between the recording and the first replay, `noise` between the two replays, in the same place. `false`
/// when the three have other words, or are not shown whole.
pub(super) fn changed(difference: &Difference, noise: &Difference, columns: &Columns) -> bool {
    if let (Some(changed), Some(varying)) = (pixels(difference), pixels(noise)) {
        return changed > MUCH_MORE * varying + A_FEW;
    }
    let lines = [&difference.recorded, &difference.replayed, &noise.replayed];
    if lines.iter().any(|line| line.contains('…')) || difference.replayed != noise.recorded {
        return false;
    }
    let [then, now, again] = lines.map(|line| words(line));
    if then.len() != now.len() || now.len() != again.len() {
        return false;
    }
    let varies = |word: &Word<'_>| {
        now.iter().zip(&again).any(|(a, b)| a.text != b.text && a.kind == word.kind && alike(a, word))
    };
    let words = then.iter().zip(&now).zip(&again).enumerate();
    let stays = words.filter(|(_, ((x, y), z))| x.text != y.text && y.text == z.text);
    // A word of no known make beside others that vary may be part of one of them.
    stays
        .filter(|(at, _)| !columns.varies(&difference.place.part, now.len(), *at))
        .any(|(_, ((_, word), _))| word.kind != Kind::Mixed && !varies(word))
}

/// A figure whose time or drawn points vary differs from another such one by a like number of pixels.
const MUCH_MORE: u64 = 4;
/// Of so few pixels nothing can be said.
const A_FEW: u64 = 500;

/// The pixels in which two figures differ, as the difference says it.
fn pixels(difference: &Difference) -> Option<u64> {
    let (_, said) = difference.replayed.strip_suffix(" pixels differ")?.rsplit_once(' ')?;
    said.parse().ok().filter(|_| difference.recorded == "figure")
}

/// `0:00:13.979`: hours, minutes and seconds.
fn is_time(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let digits = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    parts.len() == 3 && parts.iter().all(digits)
}

/// `#d65f5f`.
fn is_colour(text: &str) -> bool {
    text.strip_prefix('#')
        .is_some_and(|hex| matches!(hex.len(), 3 | 6 | 8) && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Whether two words stand for the same thing: numbers and times behind the same word, and any two of the other kinds.
fn alike(a: &Word<'_>, b: &Word<'_>) -> bool {
    !matches!(a.kind, Kind::Number | Kind::Time) || a.before == b.before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::verdict::Place;

    fn is_changed(then: &str, now: &str, again: &str) -> bool {
        let difference = |a: &str, b: &str| Difference {
            place: Place { part: "stdout".into(), at: Some("line 1".into()) },
            recorded: a.into(),
            replayed: b.into(),
        };
        changed(&difference(then, now), &difference(now, again), &Columns::default())
    }

    #[test]
    fn one_word_of_many_below_each_other_that_vary_is_alike_by_chance() {
        let line = |at: usize, a: &str, b: &str| Difference {
            place: Place { part: "stdout".into(), at: Some(format!("line {at}")) },
            recorded: a.into(),
            replayed: b.into(),
        };
        let drawn = line(1, "Yvonne,1024,0.32", "Quinn,1016,-0.69");
        let first = line(1, "Quinn,1016,-0.69", "Quinn,1020,0.12");
        let others = |names: [&str; 3]| {
            let [a, b, c] = names;
            vec![
                first.clone(),
                line(2, "Edith,972,-0.71", &format!("{a},1024,0.5")),
                line(3, "Alice,958,-0.22", &format!("{b},1003,0.25")),
                line(4, "Jerry,998,-0.99", &format!("{c},940,0.85")),
            ]
        };
        assert!(changed(&drawn, &first, &Columns::default()));
        assert!(!changed(&drawn, &first, &Columns::learnt(&others(["Ray", "Wendy", "Hannah"]))));
        let steady = others(["Edith", "Alice", "Jerry"]);
        assert!(changed(&drawn, &first, &Columns::learnt(&steady)), "the names are the same in all lines");
    }

    #[test]
    fn another_value_beside_something_that_varies_is_a_change() {
        assert!(is_changed("261127-011855 DW 1.403", "261127-011943 DW 3.935", "261127-011953 DW 3.935"));
        assert!(is_changed(
            "ACME +230 (ticket a3ad5afe)",
            "ACME +220 (ticket 5cb49a1a)",
            "ACME +220 (ticket 77b49a1a)"
        ));
        assert!(is_changed(
            "hours: 14.0 (at 34524205 ns)",
            "hours: 8.0 (at 34580442 ns)",
            "hours: 8.0 (at 34580999 ns)"
        ));
        assert!(is_changed("[01:02:03] state closed", "[01:03:04] state open", "[01:04:09] state open"));
        assert!(is_changed(
            "covers 0:00:13.9, read 6:12:34 later",
            "covers 0:00:14.7, read 6:12:41 later",
            "covers 0:00:14.7, read 6:12:49 later"
        ));
        assert!(is_changed("T_7ab69 ['#d65f5f']", "T_ae972 ['#d66f5f']", "T_b0177 ['#d66f5f']"));
    }

    #[test]
    fn what_is_alike_by_chance_is_none() {
        assert!(!is_changed("drift [48 47 97 10]", "drift [66 24 97 71]", "drift [66 25 90 71]"));
        assert!(!is_changed("['a', 'b', 'c']", "['b', 'a', 'c']", "['b', 'c', 'a']"));
        assert!(!is_changed("took 3.1 s", "took 3.2 s", "took 3.3 s"));
        assert!(!is_changed("id 12", "id 13", "id 13 and more"), "other words");
        assert!(!is_changed("x 12…", "x 13…", "y 13…"), "not shown whole");
    }
}
