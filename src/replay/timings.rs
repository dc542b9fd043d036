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
