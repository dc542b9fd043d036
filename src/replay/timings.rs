//! Fields that a library fills with durations it measured: `mean_fit_time` of scikit-learn's searches, whatever the cell
//! says about clocks. Beside them stand scores, which are results: so a field is known by its name and not by its line.

use std::sync::LazyLock;

use regex::Regex;

use super::noise::{Pair, number, took};

/// Whole names; `me...me` is one that reprlib cut in an estimator's table.
static FIELD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?:(?:mean_|std_)?(?:fit|score)_time|refit_time_?|me\.\.\.me|st\.\.\.me)$").ok());
/// An entry of a dictionary whose value is an array or a list; quotes may be escaped as in HTML.
static ENTRY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?:'|"|&#x27;|&#39;|&quot;)([\w.]+)(?:'|"|&#x27;|&#39;|&quot;)\s*:\s*(?:\w+\()?\[([^\[\]]*)\]"#).ok()
});
static NUMBERS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\d+(?:\.\d*)?(?:e[+-]?\d+)?").ok());

/// Whether this is the name of such a field.
pub(super) fn is_field(label: &str) -> bool {
    FIELD.as_ref().is_some_and(|regex| regex.is_match(label.trim()))
}

/// Whether two values of such a field are durations that fit into the executions that show them.
pub(super) fn are_durations(pair: &Pair, a: &str, b: &str) -> bool {
    let fits = |side, text: &str| number(text.trim()).is_some_and(|seconds| took(side, seconds));
    pair.rules.on("duration") && fits(&pair.recorded, a) && fits(&pair.replayed, b)
}

/// Both texts with the arrays of such fields alike, and how many differed; `None` when none did.
pub(super) fn with_common_arrays(pair: &Pair, a: &str, b: &str) -> Option<(String, String, usize)> {
    let (entry, numbers) = (ENTRY.as_ref()?, NUMBERS.as_ref()?);
    let of = |text: &str| -> Vec<(usize, usize)> {
        let found = entry.captures_iter(text).filter(|entry| entry.get(1).is_some_and(|name| is_field(name.as_str())));
        found.filter_map(|entry| entry.get(2).map(|value| (value.start(), value.end()))).collect()
    };
    let (x, y) = (of(a), of(b));
    if !pair.rules.on("duration") || x.len() != y.len() {
        return None;
    }
    let mut common: Vec<bool> = Vec::new();
    for ((from_a, to_a), (from_b, to_b)) in x.iter().zip(&y) {
        let (then, now) = (a.get(*from_a..*to_a)?, b.get(*from_b..*to_b)?);
        let values = |text: &str| numbers.find_iter(text).map(|value| value.as_str().to_owned()).collect::<Vec<_>>();
        let (then_values, now_values) = (values(then), values(now));
        let fits = then_values.len() == now_values.len()
            && then_values.iter().zip(&now_values).all(|(then, now)| are_durations(pair, then, now));
        common.push(then != now && fits);
    }
    let count = common.iter().filter(|common| **common).count();
    let replaced = |text: &str, places: &[(usize, usize)]| {
        let mut text = text.to_owned();
        for ((from, to), _) in places.iter().zip(&common).filter(|(_, common)| **common).rev() {
            text.replace_range(*from..*to, "durations");
        }
        text
    };
    (count > 0).then(|| (replaced(a, &x), replaced(b, &y), count))
}

/// Both texts with the columns of such fields alike, and how many values differed; `None` when none did.
///
/// pandas writes a table with each column's values under the end of its name, and a row of one as `name  value`.
pub(super) fn with_common_columns(pair: &Pair, a: &str, b: &str) -> Option<(String, String, usize)> {
    if !pair.rules.on("duration") || a.matches('\n').count() != b.matches('\n').count() {
        return None;
    }
    let (mut x, mut y, mut count) = (Vec::new(), Vec::new(), 0);
    let (mut then, mut now) = (Vec::new(), Vec::new());
    for (line_a, line_b) in a.split('\n').zip(b.split('\n')) {
        let (words_a, words_b) = (words(line_a), words(line_b));
        let named = |words: &[Word]| words.iter().filter(|word| is_field(word.text)).map(|word| word.end).collect();
        let heads: Vec<usize> = named(&words_a);
        let (mut line_a, mut line_b) = (line_a.to_owned(), line_b.to_owned());
        if let ([label, a], [_, b]) = (words_a.as_slice(), words_b.as_slice())
            && is_field(label.text)
            && number(a.text).is_some()
        {
            count += usize::from(alike(pair, (&mut line_a, a.end), (&mut line_b, b.end)));
        } else if !heads.is_empty() {
            (then, now) = (heads, named(&words_b));
        } else if words_a.is_empty() {
            then.clear();
        } else if then.len() == now.len() {
            // From the right: what is replaced moves what stands behind it.
            for (a, b) in then.iter().zip(&now).rev() {
                count += usize::from(alike(pair, (&mut line_a, *a), (&mut line_b, *b)));
            }
        }
        x.push(line_a);
        y.push(line_b);
    }
    (count > 0).then(|| (x.join("\n"), y.join("\n"), count))
}

/// A word of a line, and the character after it.
struct Word<'a> {
    text: &'a str,
    end: usize,
}

fn words(line: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    let mut rest = 0;
    for text in line.split_whitespace() {
        let at = line.get(rest..).and_then(|after| after.find(text)).map_or(rest, |at| rest + at);
        rest = at + text.len();
        found.push(Word { text, end: line.get(..rest).map_or(0, |before| before.chars().count()) });
    }
    found
}

/// Writes the same word in the place of two durations that end at a column each; whether it did and they differed.
fn alike(pair: &Pair, (a, end_a): (&mut String, usize), (b, end_b): (&mut String, usize)) -> bool {
    let range = |line: &str, end: usize| {
        let word = words(line).into_iter().find(|word| word.end == end)?;
        let to = line.char_indices().nth(end).map_or(line.len(), |(at, _)| at);
        Some((to - word.text.len(), to))
    };
    let (Some(x), Some(y)) = (range(a, end_a), range(b, end_b)) else { return false };
    let (Some(then), Some(now)) = (a.get(x.0..x.1), b.get(y.0..y.1)) else { return false };
    if then == now || !are_durations(pair, then, now) {
        return false;
    }
    a.replace_range(x.0..x.1, "duration");
    b.replace_range(y.0..y.1, "duration");
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_known_by_their_whole_name() {
        for name in ["mean_fit_time", "std_score_time", "refit_time_", "score_time", " me...me "] {
            assert!(is_field(name), "{name}");
        }
        for name in ["mean_test_score", "lead_time", "time", "me...re", "mean_fit_time_2"] {
            assert!(!is_field(name), "{name}");
        }
    }
}
