//! Which functions of a session read a clock: a cell that calls one shows durations, though its own text asks for none.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;

use super::source::{without_strings, words};

/// The line in which a function begins, in Python and in R.
static FUNCTION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(?P<indent>\s*)(?:(?:async\s+)?def\s+(?P<python>\w+)|(?P<r>\w[\w.]*)\s*(?:<-|=)\s*function\b)").ok()
});

/// The functions that these executions define and that read a clock themselves, or call or are decorated by one that was
/// defined before and does. `reads` says whether a piece of code asks for the time.
pub(super) fn functions<'a>(codes: impl Iterator<Item = &'a str>, reads: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for code in codes {
        let lines: Vec<&str> = code.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(begin) = FUNCTION.as_ref().and_then(|function| function.captures(line)) else { continue };
            let Some(name) = begin.name("python").or_else(|| begin.name("r")) else { continue };
            let indent = begin.name("indent").map_or(0, |indent| indent.len());
            let (before, after) = (lines.get(..at).unwrap_or_default(), lines.get(at + 1..).unwrap_or_default());
            let decorators = before.iter().rev().take_while(|line| line.trim_start().starts_with('@'));
            let is_inside = |line: &&&str| line.trim().is_empty() || line.len() - line.trim_start().len() > indent;
            let text: Vec<&str> = decorators.chain([line]).chain(after.iter().take_while(is_inside)).copied().collect();
            let text = text.join("\n");
            if reads(&text) || words(&text).any(|word| found.contains(word)) {
                found.insert(name.as_str().to_owned());
            }
        }
    }
    found
}

/// Whether code names one of these functions.
pub(super) fn names_one(code: &str, functions: &BTreeSet<String>) -> bool {
    !functions.is_empty() && words(&without_strings(code)).any(|word| functions.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_decorated_by_a_stopwatch_or_calls_one_reads_the_clock() {
        let codes = [
            "start = time.time()\ndef plain(x):\n    return x\n",
            "def timed(f):\n    def wrapper(*a):\n        t = time.time()\n\n        print(t)\n    return wrapper\nplain(1)",
            "@other\n@timed\ndef net(x):\n    return plain(x)\n\nasync def report():\n    net(2)",
            "lap <- function(x) {\n  time.time()\n}\nsum <- function(x) {\n  x\n}",
        ];
        let found = functions(codes.into_iter(), |code| code.contains("time.time"));
        assert_eq!(found.iter().collect::<Vec<_>>(), ["lap", "net", "report", "timed", "wrapper"]);
        assert!(names_one("print(net(3))", &found) && !names_one("print(plain(3), network, 'net')", &found));
    }
}
