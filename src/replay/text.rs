//! Compares two texts as a person reads them: line by line, token by token.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    noise::{Pair, Side, numbers, settle, shaped},
    outputs::Tally,
    timings, torn,
    verdict::{Difference, Place},
};
use crate::secrets::MARK;

/// Of more differences than this in one part only the place is kept.
const KEPT: usize = 20;
/// A shown difference has at most this many characters.
const SHOWN: usize = 160;

static ANSI: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])").ok());
static BLANKS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[ \t\u{a0}]+|-{3,}|={3,}|─{3,}").ok());

/// Text without colours.
pub(super) fn without_ansi(text: &str) -> String {
    ANSI.as_ref().map_or_else(|| text.to_owned(), |regex| regex.replace_all(text, "").into_owned())
}

/// What a terminal shows after carriage returns and backspaces.
pub(crate) fn on_screen(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let mut shown: Vec<char> = Vec::new();
        let mut at = 0_usize;
        for c in line.strip_suffix('\r').unwrap_or(line).chars() {
            match c {
                '\r' => at = 0,
                '\u{8}' => at = at.saturating_sub(1),
                c => {
                    match shown.get_mut(at) {
                        Some(cell) => *cell = c,
                        None => shown.push(c),
                    }
                    at += 1;
                }
            }
        }
        lines.push(shown.into_iter().collect::<String>());
    }
    lines.join("\n")
}

/// Compares two texts and writes what it finds into the tally, under the place `part`.
pub(super) fn compare(pair: &Pair, part: &str, recorded: &str, replayed: &str, tally: &mut Tally) {
    if recorded == replayed {
        return;
    }
    let Some((recorded, replayed)) = simplify(pair, recorded, replayed, tally) else { return };
    let mut attempt = Tally::default();
    compare_lines(pair, part, &recorded, &replayed, &mut attempt);
    if !attempt.differences.is_empty() && pair.rules.on("set_order") {
        let (sorted_a, sorted_b) = (with_sorted_sets(&recorded), with_sorted_sets(&replayed));
        if (&sorted_a, &sorted_b) != (&recorded, &replayed) {
            let mut again = Tally::default();
            compare_lines(pair, part, &sorted_a, &sorted_b, &mut again);
            if again.differences.len() < attempt.differences.len() {
                again.count("set_order");
                attempt = again;
            }
        }
    }
    if !attempt.differences.is_empty() && pair.rules.on("completion_order") && pair.runs_side_by_side() {
        let in_any_order = |[a, b]: [Vec<&str>; 2]| {
            let mut again = Tally::default();
            again.count("completion_order");
            lines_agree_in_any_order(pair, &a, b, &mut again).then_some(again)
        };
        let lines = [&recorded, &replayed].map(|text| text.split('\n').collect());
        let agreed = in_any_order(lines).or_else(|| in_any_order(torn::whole_lines(&recorded, &replayed)));
        attempt = agreed.unwrap_or(attempt);
    }
    tally.add(attempt);
}

/// Whether each line of one text agrees with one of the other, each with its own.
fn lines_agree_in_any_order(pair: &Pair, lines: &[&str], mut left: Vec<&str>, tally: &mut Tally) -> bool {
    lines.len() == left.len()
        && lines.len() <= torn::MOST_LINES
        && lines.iter().all(|line| {
            // The very same one first: another may only look like it.
            let same = left.iter().position(|other| other == line);
            let partner = same.or_else(|| left.iter().position(|other| line_agrees(pair, line, other, tally)));
            partner.map(|at| left.remove(at)).is_some()
        })
}

/// The steps that work on whole texts; `None` when they made the two equal.
fn simplify(pair: &Pair, recorded: &str, replayed: &str, tally: &mut Tally) -> Option<(String, String)> {
    let (mut a, mut b) = (recorded.to_owned(), replayed.to_owned());
    let mut step = |name: &str, f: &dyn Fn(&str, bool) -> String, a: &mut String, b: &mut String| {
        let (new_a, new_b) = (f(a, false), f(b, true));
        // Counted only where it brought the two nearer: what both have and lose alike is no difference.
        let helped =
            new_a == new_b || (new_a.len() != a.len() || new_b.len() != b.len()) && differ(a, b, &new_a, &new_b);
        if helped {
            tally.count(name);
        }
        (*a, *b) = (new_a, new_b);
        *a == *b
    };
    if pair.rules.on("ansi") && step("ansi", &|text, _| without_ansi(text), &mut a, &mut b) {
        return None;
    }
    if pair.rules.on("carriage_return") && step("carriage_return", &|text, _| on_screen(text), &mut a, &mut b) {
        return None;
    }
    for own in &pair.rules.own {
        let replace = |text: &str, _| own.pattern.replace_all(text, own.replace.as_str()).into_owned();
        if pair.rules.on(&own.name) && step(&own.name, &replace, &mut a, &mut b) {
            return None;
        }
    }
    if pair.rules.on("working_directory") {
        let places = |text: &str, second: bool| without(text, if second { &pair.replayed } else { &pair.recorded });
        let other = pair.recorded.cwd != pair.replayed.cwd || pair.recorded.home != pair.replayed.home;
        if other && step("working_directory", &places, &mut a, &mut b) {
            return None;
        }
    }
    for find in [timings::with_common_arrays, timings::with_common_columns] {
        if let Some((alike_a, alike_b, count)) = find(pair, &a, &b) {
            (0..count).for_each(|_| tally.count("duration"));
            if alike_a == alike_b {
                return None;
            }
            (a, b) = (alike_a, alike_b);
        }
    }
    Some((without_slow_run_notes(&a), without_slow_run_notes(&b)))
}

/// Whether a step removed something on which the two texts disagreed: the removed lengths are not the same.
fn differ(a: &str, b: &str, new_a: &str, new_b: &str) -> bool {
    a.len().abs_diff(new_a.len()) != b.len().abs_diff(new_b.len())
}

/// Text with words for the working directory and home.
pub(super) fn without(text: &str, side: &Side) -> String {
    let mut text = text.to_owned();
    for (place, name) in [(&side.cwd, "<cwd>"), (&side.home, "<home>")] {
        if place.len() > 1 {
            text = text.replace(place, name);
        }
    }
    text
}

/// `%timeit` adds a line when one run was slow: whether it is there depends on the machine's load.
fn without_slow_run_notes(text: &str) -> String {
    if !text.contains("The slowest run took ") {
        return text.to_owned();
    }
    let kept: Vec<&str> = text
        .split('\n')
        .filter(|line| {
            !line.starts_with("The slowest run took ") && !line.contains("intermediate result is being cached")
        })
        .collect();
    kept.join("\n")
}

fn compare_lines(pair: &Pair, part: &str, recorded: &str, replayed: &str, tally: &mut Tally) {
    let mut a: Vec<&str> = recorded.split('\n').collect();
    let mut b: Vec<&str> = replayed.split('\n').collect();
    if a.len() != b.len() && pair.rules.on("whitespace") {
        let before = a.len().abs_diff(b.len());
        for lines in [&mut a, &mut b] {
            while lines.last().is_some_and(|line| line.trim().is_empty()) {
                lines.pop();
            }
        }
        if a.len().abs_diff(b.len()) < before {
            tally.count("whitespace");
        }
    }
    if a.len() == b.len() {
        let mut found = 0_usize;
        let mut head = "";
        for (number, (a, b)) in a.iter().zip(&b).enumerate() {
            let above = std::mem::replace(&mut head, if a.contains(|c: char| c.is_ascii_digit()) { "" } else { a });
            if !line_agrees_below(pair, above, a, b, tally) {
                found += 1;
                let at = (recorded.contains('\n') || replayed.contains('\n')).then(|| format!("line {}", number + 1));
                tally.differ(Difference {
                    place: Place { part: part.to_owned(), at },
                    recorded: if found > KEPT { String::new() } else { shown(a, a, b) },
                    replayed: if found > KEPT { String::new() } else { shown(b, a, b) },
                });
            }
        }
        return;
    }
    if part.ends_with("text/plain") && pair.rules.on("whitespace") && wrapped_otherwise(pair, part, &a, &b, tally) {
        return;
    }
    let mut first = 0;
    for (a, b) in a.iter().zip(&b) {
        let mut scratch = Tally::default();
        if !line_agrees(pair, a, b, &mut scratch) {
            break;
        }
        tally.add(scratch);
        first += 1;
    }
    let excerpt = |lines: &[&str]| {
        let text = lines.get(first).map_or_else(|| "(end)".to_owned(), |line| clip(line.trim_end()));
        format!("{} lines; line {}: {text}", lines.len(), first + 1)
    };
    tally.differ(Difference {
        place: Place { part: part.to_owned(), at: None },
        recorded: excerpt(&a),
        replayed: excerpt(&b),
    });
}

/// Of a longer value nobody breaks the lines by hand.
const MOST_WRAPPED: usize = 60;

/// Whether two values are one but for numbers and for where the pretty printer broke the line: a longer number moves that. Says
/// what differs then.
fn wrapped_otherwise(pair: &Pair, part: &str, a: &[&str], b: &[&str], tally: &mut Tally) -> bool {
    if a.len().max(b.len()) > MOST_WRAPPED {
        return false;
    }
    // NumPy fills its columns with blanks.
    let joined = |lines: &[&str]| {
        let text = without_blanks(&lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" "));
        text.replace(" ,", ",").replace(" ]", "]").replace("[ ", "[")
    };
    let (a, b) = (joined(a), joined(b));
    if shaped(&a).skeleton != shaped(&b).skeleton {
        return false;
    }
    if line_agrees(pair, &a, &b, tally) {
        tally.count("whitespace");
    } else {
        let place = Place { part: part.to_owned(), at: None };
        tally.differ(Difference { place, recorded: shown(&a, &a, &b), replayed: shown(&b, &a, &b) });
    }
    true
}

/// Whether two lines agree; what made them agree goes into the tally, and nothing when they do not.
pub(super) fn line_agrees(pair: &Pair, a: &str, b: &str, tally: &mut Tally) -> bool {
    line_agrees_below(pair, "", a, b, tally)
}

/// [`line_agrees`] for a line that stands below `head`: in a table of times, the words are in the head.
fn line_agrees_below(pair: &Pair, head: &str, a: &str, b: &str, tally: &mut Tally) -> bool {
    if a == b {
        return true;
    }
    if pair.rules.on("redacted") && pair.was_redacted() && hides(a, b) {
        tally.count("redacted");
        return true;
    }
    let mut attempt = Tally::default();
    let agrees = tokens_agree(pair, head, a, b, &mut attempt)
        || pair.rules.on("whitespace") && {
            attempt = Tally::default();
            let (a, b) = (without_blanks(a), without_blanks(b));
            attempt.count("whitespace");
            a == b || tokens_agree(pair, head, &a, &b, &mut attempt)
        }
        || pair.rules.on("uuid")
            && pair.with_common_ids(a, b).is_some_and(|(a, b)| {
                attempt = Tally::default();
                attempt.count("uuid");
                a == b || tokens_agree(pair, head, &a, &b, &mut attempt)
            });
    if agrees {
        tally.add(attempt);
    }
    agrees
}

/// Whether a line is another one but for what was taken out of it.
fn hides(line: &str, other: &str) -> bool {
    let Some((first, rest)) = line.split_once(MARK) else { return false };
    let Some(mut other) = other.strip_prefix(first) else { return false };
    let (between, last) = rest.rsplit_once(MARK).unwrap_or(("", rest));
    for part in between.split(MARK).filter(|part| !part.is_empty()) {
        let Some(at) = other.find(part) else { return false };
        other = other.get(at + part.len()..).unwrap_or_default();
    }
    other.ends_with(last)
}

fn tokens_agree(pair: &Pair, head: &str, a: &str, b: &str, tally: &mut Tally) -> bool {
    let around = if head.is_empty() { a.to_owned() } else { format!("{head} {a}") };
    let all = |x: super::noise::Shaped, y: super::noise::Shaped, tally: &mut Tally| {
        x.skeleton == y.skeleton
            && x.tokens.len() == y.tokens.len()
            && x.tokens.iter().zip(&y.tokens).all(|(x, y)| x.shape == y.shape && settle(pair, &around, *x, *y, tally))
    };
    if all(shaped(a), shaped(b), tally) {
        return true;
    }
    // The shapes can mislead: `12 s` beside `12 sheep`. As numbers only the two may still agree.
    *tally = Tally::default();
    all(numbers(a), numbers(b), tally)
}

fn without_blanks(line: &str) -> String {
    let Some(regex) = BLANKS.as_ref() else { return line.to_owned() };
    let replaced = regex.replace_all(line.trim(), |found: &regex::Captures| {
        match found.get(0).and_then(|m| m.as_str().chars().next()) {
            Some(rule @ ('-' | '=' | '─')) => rule.to_string(),
            _ => " ".to_owned(),
        }
    });
    replaced.into_owned()
}

/// A line for a person, starting shortly before the place where the two differ.
fn shown(line: &str, a: &str, b: &str) -> String {
    let same = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count();
    if same <= SHOWN / 2 {
        return clip(line);
    }
    let tail: String = line.chars().skip(same - SHOWN / 4).collect();
    format!("…{}", clip(&tail))
}

/// At most [`SHOWN`] characters of a text.
pub(super) fn clip(text: &str) -> String {
    if text.chars().nth(SHOWN).is_none() {
        return text.to_owned();
    }
    text.chars().take(SHOWN).chain(['…']).collect()
}

/// The text with the items of every set (`{…}` without a colon at its top level) in alphabetical order.
fn with_sorted_sets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let Some(inside) = balanced(from) else {
            out.push_str(from);
            return out;
        };
        let body = inside.get(1..inside.len() - 1).unwrap_or_default();
        let body = with_sorted_sets(body);
        let mut items = top_level_items(&body);
        out.push('{');
        if items.len() > 1 && !items.iter().any(|item| has_top_level_colon(item)) {
            items.sort_unstable();
            out.push_str(&items.join(", "));
        } else {
            out.push_str(&body);
        }
        out.push('}');
        rest = from.get(inside.len()..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The characters of a text with the depth of brackets before each, quoted text marked as depth `i32::MAX`.
fn depths(text: &str) -> impl Iterator<Item = (usize, char, i32)> + '_ {
    let (mut depth, mut quote, mut escaped) = (0, None, false);
    text.char_indices().map(move |(at, c)| {
        if let Some(q) = quote {
            if c == q && !escaped {
                quote = None;
            }
            escaped = c == '\\' && !escaped;
            return (at, c, i32::MAX);
        }
        let here = depth;
        match c {
            '\'' | '"' => quote = Some(c),
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            _ => {}
        }
        (at, c, here)
    })
}

/// The beginning of a text up to the bracket that closes its first one.
fn balanced(text: &str) -> Option<&str> {
    let end = depths(text).skip(1).find(|(_, c, depth)| *depth == 1 && matches!(c, '}' | ']' | ')'))?;
    text.get(..end.0 + end.1.len_utf8())
}

fn top_level_items(body: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let mut start = 0;
    for (at, c, depth) in depths(body) {
        if c == ',' && depth == 0 {
            items.push(body.get(start..at).unwrap_or_default().trim());
            start = at + 1;
        }
    }
    items.push(body.get(start..).unwrap_or_default().trim());
    items
}

fn has_top_level_colon(item: &str) -> bool {
    depths(item).any(|(_, c, depth)| c == ':' && depth == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_taken_out_may_be_anything() {
        assert!(hides("using [redacted]", "using hunter2") && hides("[redacted] for ada", "None for ada"));
        assert!(hides("a=[redacted] b=[redacted] c", "a=1 b=2 c"));
        assert!(!hides("using [redacted] of ada", "using x of bob") && !hides("a=[redacted] b=[redacted]", "a=1 c=2"));
        assert!(!hides("plain", "plain text"));
    }

    #[test]
    fn the_screen_keeps_what_was_written_last() {
        assert_eq!(on_screen("10%\r 50%\r100%\nabc\u{8}d\r\n"), "100%\nabd\n");
    }

    #[test]
    fn sets_are_sorted_and_dictionaries_are_not() {
        assert_eq!(with_sorted_sets("{'b', 'a, x'} {'z': 1, 'a': 2} {3}"), "{'a, x', 'b'} {'z': 1, 'a': 2} {3}");
        assert_eq!(with_sorted_sets("frozenset({(2, 1), (1, 2)}) {unclosed"), "frozenset({(1, 2), (2, 1)}) {unclosed");
    }
}
