//! What a cell's code asks the machine for, as its text shows: clocks, process ids, memory, inodes, random ids.
//!
//! Digits are noise only where the code asks for such things: the same number in another cell is data.

use std::sync::LazyLock;

use regex::Regex;

use super::{clock::Window, noise::Pair, stopwatch};

static CLOCK_READER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"\b(?:time\.|time\(\)|perf_counter|monotonic|timeit|process_time|default_timer|datetime|Sys\.time|system\.time|proc\.time|%time|%%time|fit_time|cross_validate|cv_results_|now\(|cProfile|%prun|%%prun|os\.times|getrusage|cpu_times|TextTestRunner|unittest\.main|EPOCHREALTIME|EPOCHSECONDS|\bdate \+%s)",
    )
    .ok()
});

static MEASURE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:time|perf_counter|monotonic|process_time|default_timer|now|time_ns)\(\) *-|Sys\.time\(\) *-|difftime|\btime \w").ok()
});
pub(super) static PID_READER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\bgetpid\b|\.pid\b|%\(process\)|\{process[:}]|\$\$|\$!|\bBASHPID\b|\bps\b|\bfork\(").ok()
});

static MEMORY_READER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"\bmemory_(?:full_)?info\b|\bru_maxrss\b|\bVmRSS\b|\bvirtual_memory\b|\bget_traced_memory\b|%memit|\bfree -|\bdisk_usage\b|\bstatvfs\b|\bdf -",
    )
    .ok()
});
static MEMORY_WORD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\d ?[kMGT]i?B?\b|\b(?:bytes|memory|mem|resident|rss|peak|free|used|avail(?:able)?)\b|^\s*\d+(?:\.\d+)?\s*$").ok()
});

/// What stands before an amount of memory that was measured, and not before one that somebody set.
static MEASURED_MEMORY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:rss|resident|process|kernel|python|interpreter|peak|free|used|usage|use|avail(?:able)?|current|now|mem(?:ory)?)\b|^[^a-z]*$").ok()
});
static SET_MEMORY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)\b(?:limit|quota|max(?:imum)?|cap|needs?|requires?|ordered|installed)\b").ok());
static LOAD_READER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\bgetloadavg\b|\bloadavg\b|\buptime\b").ok());
/// The counter of processor time of a whole process.
static USED_READER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\bos\.times\b|\bprocess_time|\bgetrusage\b|\bcpu_times\b").ok());
/// Clocks that count from the machine's start (`clock_gettime(2)`).
static UPTIME_READER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\b(?:monotonic|perf_counter)(?:_ns)?\(|\bos\.times\(|CLOCK_(?:MONOTONIC|BOOTTIME)|/proc/uptime").ok()
});
static VERBOSE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b(?:verbose|verbosity|progress_?bar) ?= ?(?:[1-9]|True|TRUE)").ok());
static PROFILE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\bcProfile\b|%prun\b|\bimport profile\b|\bpstats\b").ok());
static INODE_READER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\bst_ino\b|\bstat\b|\binode\b|\bls -\w*i").ok());
/// Code whose parts end when they end: threads, processes, tasks.
static SIDE_BY_SIDE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"\bas_completed\b|\bimap_unordered\b|\bThread\(|\bThreadPool|\bPool\(|\bProcess\(|\bProcessPool|\bcreate_task\b|\bTaskGroup\b|\bgather\(|\bxargs\b[^\n]*-P|\bparallel\b|(?m:&\s*$)",
    )
    .ok()
});
/// Code that asks when a file was changed.
static FILE_TIME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\bget[mca]time\b|\bst_[mac]time|\bstat\b|\bls\b|\bfile\.info\b|\bmtime\b").ok());
/// Code that cuts a random id to a length: from a uuid's digits, or by bytes.
static CUT_ID: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:\.hex|uuid[14]\(\)\))\[: ?(\d+)\]|\btoken_hex\((\d+)\)").ok());

/// The last word of a text, in small letters.
fn last_word(text: &str) -> String {
    let part = |c: char| !(c.is_alphanumeric() || c == '_');
    text.trim_end_matches(part).rsplit(part).next().unwrap_or_default().to_lowercase()
}

/// Whether words before an amount of memory say that it was measured.
fn is_measured(words: &str) -> bool {
    matches(&MEASURED_MEMORY, words) && !matches(&SET_MEMORY, words)
}

/// The words before a number, from the last sign that ends a thought.
fn clause_before<'a>(line: &'a str, text: &str) -> &'a str {
    let before = line.split_once(text).map_or(line, |(before, _)| before);
    before.trim_end_matches([' ', '(', ':', '=']).rsplit([',', ';', '(', '|']).next().unwrap_or_default()
}

fn matches(regex: &LazyLock<Option<Regex>>, text: &str) -> bool {
    regex.as_ref().is_some_and(|regex| regex.is_match(text))
}

impl Pair<'_> {
    /// Whether the code asks for process ids, as its text shows.
    pub(super) fn reads_pid(&self) -> bool {
        matches(&PID_READER, self.code)
    }

    /// Whether the code asks how much memory a process has, and a line speaks of it; where something that was changed reaches
    /// the execution, the words beside the number must say so.
    pub(super) fn reads_memory(&self, line: &str, text: &str) -> bool {
        matches(&MEMORY_READER, self.code)
            && matches(&MEMORY_WORD, line)
            && (!self.rules.doubtful || is_measured(clause_before(line, text)))
    }

    /// Whether two hexadecimal texts are what `id` gives, written without `0x` (`'%x' % id(x)`).
    pub(super) fn bare_address(&self, a: &str, b: &str) -> bool {
        let address =
            |text: &str| text.len() == 12 && ["7f", "7e", "55", "56"].iter().any(|begin| text.starts_with(begin));
        self.code.contains("id(") && address(a) && address(b)
    }

    /// Whether two texts are the beginnings of random ids, so long as code of the session cuts them.
    pub(super) fn cut_id(&self, a: &str, b: &str) -> bool {
        let bare = |text: &str| text.strip_prefix('-').unwrap_or(text).len();
        let (length, other) = (bare(a), bare(b));
        let differing = a.bytes().rev().zip(b.bytes().rev()).filter(|(x, y)| x != y).count();
        let codes = self.recordings.iter().flat_map(|(then, _)| &then.executions).map(|one| one.code.as_str());
        let cuts = |code: &str| {
            CUT_ID.as_ref().is_some_and(|regex| {
                regex.captures_iter(code).any(|found| {
                    let of = |at: usize| found.get(at).and_then(|it| it.as_str().parse::<usize>().ok());
                    of(1) == Some(length) || of(2).map(|bytes| bytes * 2) == Some(length)
                })
            })
        };
        length == other && length >= 6 && differing * 2 >= length && codes.chain([self.code]).any(cuts)
    }

    /// Whether a number of the line is the number of an inode on both sides.
    pub(super) fn is_inode(&self, line: &str, text: &str) -> bool {
        let reads = matches(&INODE_READER, self.code);
        let Some((before, after)) = line.split_once(text).filter(|_| reads) else { return false };
        let named = matches!(last_word(before).as_str(), "inode" | "ino" | "st_ino");
        let listed =
            before.trim().is_empty() && after.trim_start().starts_with(['-', 'd', 'l']) && self.code.contains("ls ");
        named || listed
    }

    /// Whether two numbers are readings of a clock that counts from the machine's start: as far apart as the executions, or
    /// in a line that says what it is.
    pub(super) fn is_uptime(&self, line: &str, text: &str, x: f64, y: f64) -> bool {
        if !matches(&UPTIME_READER, self.code) || x <= 0.0 || y <= 0.0 {
            return false;
        }
        // A count of seconds may be any whole number; one of smaller units is large.
        let least = if text.contains('.') { 60.0 } else { 1e9 };
        let apart = self.replayed.window.end - self.recorded.window.end;
        // Two amounts of money can lie a few seconds apart; they have no milliseconds.
        let decimals = text.split_once('.').map_or(9, |(_, decimals)| decimals.len());
        if apart < 60.0 && decimals < 3 {
            return false;
        }
        let slack = self.recorded.lasted + self.replayed.lasted + 2.0;
        let word = line.split_once(text).map(|(before, _)| last_word(before)).unwrap_or_default();
        x.min(y) >= least
            && ([1.0, 1e3, 1e6, 1e9].iter().any(|unit| ((y - x) / unit - apart).abs() <= slack && x / unit > 60.0)
                || matches!(word.as_str(), "monotonic" | "perf_counter" | "uptime" | "clock"))
    }

    /// Whether the word before a number says that it counts milliseconds (`'ms': 0.733`), and the code reads a clock.
    pub(super) fn names_milliseconds(&self, line: &str, text: &str) -> bool {
        let word = line.split_once(text).map(|(before, _)| last_word(before)).unwrap_or_default();
        self.reads_clock()
            && (matches!(word.as_str(), "ms" | "msec" | "millis" | "milliseconds") || word.ends_with("_ms"))
    }

    /// Both lines with the ids that the code cuts from random ones alike; `None` when they have none that differ. For
    /// lines in which such an id looks like a number on one side (eight digits in a row are one of forty).
    pub(super) fn with_common_ids(&self, a: &str, b: &str) -> Option<(String, String)> {
        static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b[0-9a-f]{6,32}\b").ok());
        let word = WORD.as_ref()?;
        let (x, y): (Vec<_>, Vec<_>) = (word.find_iter(a).collect(), word.find_iter(b).collect());
        let letters = |text: &str| text.bytes().any(|byte| byte.is_ascii_lowercase());
        let is_id = |(x, y): &(&regex::Match, &regex::Match)| {
            x.as_str() != y.as_str()
                && (letters(x.as_str()) || letters(y.as_str()))
                && self.cut_id(x.as_str(), y.as_str())
        };
        let ids: Vec<_> = x.iter().zip(&y).filter(|_| x.len() == y.len()).filter(is_id).collect();
        let replaced = |text: &str, places: Vec<std::ops::Range<usize>>| {
            let mut text = text.to_owned();
            for place in places.into_iter().rev() {
                text.replace_range(place, "<id>");
            }
            text
        };
        let first = replaced(a, ids.iter().map(|(x, _)| x.range()).collect());
        let second = replaced(b, ids.iter().map(|(_, y)| y.range()).collect());
        (!ids.is_empty()).then_some((first, second))
    }

    /// Whether the code lets a library say how it gets on, which shows for how long.
    pub(super) fn is_verbose(&self) -> bool {
        matches(&VERBOSE, self.code)
    }

    /// Whether the code takes the difference of two readings of a clock.
    pub(super) fn measures(&self) -> bool {
        matches(&MEASURE, self.code)
    }

    /// Whether the code reads a clock, as its text shows, or that of the session's functions that it calls.
    pub(super) fn reads_clock(&self) -> bool {
        let reads = |code: &str| matches(&CLOCK_READER, code);
        reads(self.code)
            || *self.clock.get_or_init(|| {
                let codes = self.recordings.iter().flat_map(|(then, _)| &then.executions).map(|one| one.code.as_str());
                stopwatch::names_one(self.code, &stopwatch::functions(codes, reads))
            })
    }

    /// Whether two dates are as far apart as the two executions.
    pub(super) fn both_moved(&self, a: &str, b: &str) -> bool {
        let (then, now) = (&self.recorded, &self.replayed);
        Window::both_moved((&then.window, then.lasted, a), (&now.window, now.lasted, b))
    }

    /// Whether secrets were taken out of the recording.
    pub(super) fn was_redacted(&self) -> bool {
        self.recordings.is_some_and(|(then, _)| then.gaps.iter().any(|gap| gap.reason == "redacted"))
    }

    /// Whether the code runs things beside each other, of which the one that ends first is shown first.
    pub(super) fn runs_side_by_side(&self) -> bool {
        matches(&SIDE_BY_SIDE, self.code)
    }

    /// Whether the code asks when files were changed.
    pub(super) fn reads_file_time(&self) -> bool {
        matches(&FILE_TIME, self.code)
    }

    /// Whether the code asks for the load of the machine, and a line speaks of it.
    pub(super) fn reads_load(&self, line: &str) -> bool {
        matches(&LOAD_READER, self.code) && line.to_ascii_lowercase().contains("load")
    }

    /// Whether the code asks how much processor time a whole process used.
    pub(super) fn reads_used_time(&self) -> bool {
        matches(&USED_READER, self.code)
    }

    /// Whether the code profiles something.
    pub(super) fn profiles(&self) -> bool {
        matches(&PROFILE, self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expression_compiles() {
        let all = [
            &CLOCK_READER,
            &MEASURE,
            &PID_READER,
            &MEMORY_READER,
            &MEMORY_WORD,
            &LOAD_READER,
            &USED_READER,
            &UPTIME_READER,
            &PROFILE,
            &INODE_READER,
            &CUT_ID,
            &VERBOSE,
            &MEASURED_MEMORY,
            &SET_MEMORY,
        ];
        assert!(all.iter().all(|regex| regex.is_some()));
        assert_eq!(last_word("12 bytes, inode="), "inode");
        let measured = |line: &str, text: &str| is_measured(clause_before(line, text));
        assert!(
            measured("limit 512.0 MiB, free on disk 70.1 GiB", "70.1") && measured("this process: 95,000", "95,000")
        );
        assert!(
            !measured("memory limit 512.0 MiB, free on disk 70.1 GiB", "512.0")
                && !measured("scanner 268,435", "268,435")
        );
        let lengths = |code: &str| CUT_ID.as_ref().unwrap().captures(code).map(|found| found[0].to_owned());
        for code in ["uuid.uuid4().hex[:8]", "str(uuid.uuid4())[:8]", "secrets.token_hex(8)"] {
            assert!(lengths(code).is_some(), "{code}");
        }
    }
}
