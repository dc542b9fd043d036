//! Lines that several workers wrote at once: one may stand behind the other before its end of line comes.
//!
//! Python writes a text and its end of line one after the other, so two threads that print leave `AB`, and an empty line,
//! where `A` and `B` were meant. Each run tears other lines.

use std::collections::{BTreeMap, BTreeSet};

/// Of more lines than these nobody looks for a partner.
pub(super) const MOST_LINES: usize = 300;
/// Shorter pieces stand in other lines by chance.
const SHORTEST: usize = 4;

/// The lines of both texts as they were meant, without empty ones: cut where a line of either text begins or ends, or a word
/// that lines begin with. What stands in a line is never changed.
pub(super) fn whole_lines<'a>(recorded: &'a str, replayed: &'a str) -> [Vec<&'a str>; 2] {
    let [mut a, mut b] =
        [recorded, replayed].map(|text| text.split('\n').filter(|line| !line.trim().is_empty()).collect::<Vec<&str>>());
    if a.len().max(b.len()) > MOST_LINES {
        return [a, b];
    }
    let beginnings = beginnings(a.iter().chain(&b).copied());
    let mut known: BTreeSet<&str> = a.iter().chain(&b).copied().collect();
    // What one text is cut into may be a whole line in the other.
    for _ in 0..2 {
        a = cut_all(&a, &b, &known, &beginnings);
        known.extend(a.iter().copied());
        b = cut_all(&b, &a, &known, &beginnings);
        known.extend(b.iter().copied());
    }
    [a, b]
}

/// The words with which several lines begin.
fn beginnings<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines {
        let end = line.find(|c: char| !c.is_alphabetic()).unwrap_or_default();
        *counts.entry(line.get(..end).unwrap_or_default()).or_default() += 1;
    }
    counts.into_iter().filter(|(word, count)| *count > 1 && word.len() >= SHORTEST).map(|(word, _)| word).collect()
}

/// Lines that stand so in the other text, too, are whole.
fn cut_all<'a>(lines: &[&'a str], others: &[&'a str], known: &BTreeSet<&str>, words: &BTreeSet<&str>) -> Vec<&'a str> {
    let mut open: Vec<&str> = lines.iter().rev().copied().collect();
    let mut whole = Vec::new();
    while let Some(line) = open.pop() {
        match cut(line, known, words).filter(|_| !others.contains(&line)) {
            // More are no lines of workers.
            Some(_) if whole.len() + open.len() > MOST_LINES => whole.push(line),
            Some((first, rest)) => open.extend([rest, first]),
            None => whole.push(line),
        }
    }
    whole
}

/// Cuts a line in two: behind or before a known one, longest first, or before a word that lines begin with.
fn cut<'a>(line: &'a str, known: &BTreeSet<&str>, words: &BTreeSet<&str>) -> Option<(&'a str, &'a str)> {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let behind = |piece: &&str| line.strip_prefix(*piece).map(|_| piece.len());
    let before = |piece: &&str| line.strip_suffix(*piece).map(str::len);
    let pieces = known.iter().filter(|piece| piece.len() >= SHORTEST && piece.len() < line.len());
    let at_line = pieces.flat_map(|piece| [behind(piece), before(piece)]).flatten();
    let at_word = words.iter().flat_map(|word| line.match_indices(word).map(|(at, _)| at));
    let parts = |at: usize| {
        let (first, rest) = line.split_at_checked(at)?;
        // `step 1` is no beginning of `step 10`, and a blank stands between words of one line.
        let inside = digit(first.chars().next_back()) && digit(rest.chars().next());
        let torn = !first.trim().is_empty() && !rest.trim().is_empty() && !first.ends_with(char::is_whitespace);
        (torn && !inside).then_some((first, rest))
    };
    at_line.chain(at_word).filter_map(parts).max_by_key(|(first, rest)| first.len().max(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(recorded: &str, replayed: &str) -> [Vec<String>; 2] {
        whole_lines(recorded, replayed).map(|lines| {
            let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
            lines.sort();
            lines
        })
    }

    #[test]
    fn torn_lines_are_cut_where_whole_ones_begin() {
        let [a, b] = sorted(
            "NO1: peak 1185.8 MWNO2: peak 1202.9 MW\n\nSE1: 7 MW\n",
            "NO2: peak 1202.9 MW\nNO1: peak 1185.8 MWSE1: 7 MW\n\n",
        );
        assert_eq!(a, ["NO1: peak 1185.8 MW", "NO2: peak 1202.9 MW", "SE1: 7 MW"]);
        assert_eq!(a, b);
    }

    #[test]
    fn lines_with_other_numbers_are_cut_at_the_word_they_begin_with() {
        let [a, b] = sorted(
            "worker 9693 takes NO1\nworker 9694 takes NO2worker 9693 takes SE1\n\n",
            "worker 11 takes NO2worker 12 takes NO1\n\nworker 12 takes SE1\n",
        );
        assert_eq!((a.len(), b.len()), (3, 3));
        assert!(a.iter().chain(&b).all(|line| line.matches("worker").count() == 1), "{a:?} {b:?}");
    }

    #[test]
    fn what_differs_still_differs() {
        let [a, b] = sorted("alpha 1\nbeta 22beta 3", "alpha 1\nbeta 23\nbeta 3");
        assert_ne!(a, b);
        let [a, _] = sorted("step 1\nstep 10", "step 10\nstep 2");
        assert_eq!(a, ["step 1", "step 10"]);
    }
}
