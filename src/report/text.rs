//! Verdicts, differences and origins as lines for a terminal.

use crate::{
    files::display_bytes,
    replay::{
        compare::Comparison,
        verdict::{Cause, Judged, Verdict, Verdicts},
        why::Origin,
    },
};

/// The width of the column with the code.
const CODE: usize = 34;
/// At most this many lines of one kind in a comparison; the rest is counted.
const MOST: usize = 20;

/// What a terminal may show: control characters are escaped, the length is bounded.
fn line(text: &str, most: usize) -> String {
    let clean = display_bytes(text.replace('\n', " ").as_bytes()).to_string();
    if clean.chars().count() <= most {
        return clean;
    }
    clean.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Why an execution has its verdict, in one line.
pub fn reason(judged: &Judged) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(difference) = judged.differences.first() {
        let (then, now) = (line(&difference.recorded, 60), line(&difference.replayed, 60));
        let more = judged.differences.len() - 1;
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        parts.push(format!("{}: {then} -> {now}{more}", difference.place));
    }
    if judged.verdict.agrees() && judged.verdict != Verdict::Nondeterministic {
        if !judged.equal_after.is_empty() {
            let names: Vec<String> = judged
                .equal_after
                .iter()
                .map(|(name, count)| if *count > 1 { format!("{name} ×{count}") } else { name.clone() })
                .collect();
            parts.push(format!("equal after: {}", names.join(", ")));
        }
        if let Some(numbers) = judged.numbers {
            parts.push(format!("{} numbers, largest relative error {:.1e}", numbers.count, numbers.largest));
        }
        if let Some(distance) = judged.figure_distance {
            parts.push(format!("figure distance {distance:.4}"));
        }
        if let Some(ename) = &judged.expected_error {
            parts.push(format!("{} as recorded", line(ename, 40)));
        }
    } else if let Some(cause) = judged.causes.first() {
        parts.push(format!("because: {}", line(&cause.to_string(), 120)));
    }
    parts.join("; ")
}

/// One execution in one line: number, verdict, code, why.
pub fn execution(judged: &Judged) -> String {
    let code = line(&judged.code, CODE);
    let text =
        format!("cell {:>3}  {:<17}{code:<CODE$}  {}", judged.number, judged.verdict.to_string(), reason(judged));
    text.trim_end().to_owned()
}

/// All executions and a summary.
pub fn verdicts(verdicts: &Verdicts) -> String {
    let mut text: String = verdicts.executions.iter().map(|judged| execution(judged) + "\n").collect();
    text.push_str(&summary(verdicts));
    text.push('\n');
    text
}

/// One or two lines: how many of which verdict, and the first that diverged.
pub fn summary(verdicts: &Verdicts) -> String {
    let all = [
        Verdict::Identical,
        Verdict::Equivalent,
        Verdict::WithinTolerance,
        Verdict::Nondeterministic,
        Verdict::Changed,
        Verdict::Error,
        Verdict::NotRun,
    ];
    let counts: Vec<String> = all
        .into_iter()
        .filter(|verdict| verdicts.count(*verdict) > 0)
        .map(|verdict| format!("{} {verdict}", verdicts.count(verdict)))
        .collect();
    let answer = match verdicts.exit_code() {
        0 => "the recorded results came out again",
        1 => "not the recorded results",
        _ => "could not tell",
    };
    let cells = verdicts.executions.len();
    let mut text = format!("{cells} cell{}: {}: {answer}", if cells == 1 { "" } else { "s" }, counts.join(", "));
    if let Some(first) = verdicts.first_divergence() {
        text.push_str(&format!("\nfirst to diverge: cell {}", first.number));
        if let Some(cause) = first.causes.first() {
            text.push_str(&format!(", {}", line(&cause.to_string(), 200)));
        }
        if !verdicts.twice && first.verdict == Verdict::Changed {
            text.push_str("\nif that may be chance, `--twice` replays twice and learns what varies by itself");
        }
    }
    if !verdicts.extra.is_empty() {
        text.push_str(&format!("\n{} executions are new", verdicts.extra.len()));
    }
    for note in &verdicts.notes {
        text.push_str(&format!("\nnote: {}", line(note, 300)));
    }
    text
}

/// Two sessions side by side, one block for each kind of difference.
pub fn comparison(first: &str, second: &str, comparison: &Comparison) -> String {
    let mut blocks: Vec<(String, Vec<String>)> = Vec::new();
    let code = comparison.code.iter().flat_map(|change| {
        let head = match (change.first, change.second) {
            (Some(a), Some(b)) if a == b => format!("cell {a}"),
            (Some(a), Some(b)) => format!("cell {a} -> cell {b}"),
            (Some(a), None) => format!("cell {a} only in {first}"),
            (_, Some(b)) => format!("cell {b} only in {second}"),
            (None, None) => "cell".to_owned(),
        };
        let removed = change.removed.iter().map(|code| format!("  - {}", line(code, 100)));
        let added = change.added.iter().map(|code| format!("  + {}", line(code, 100)));
        std::iter::once(head).chain(removed.chain(added).take(6)).collect::<Vec<_>>()
    });
    blocks.push(("code".to_owned(), code.collect()));
    let causes = |causes: &[Cause]| causes.iter().map(|cause| line(&cause.to_string(), 160)).collect::<Vec<_>>();
    blocks.push(("libraries".to_owned(), causes(&comparison.libraries)));
    blocks.push(("environment".to_owned(), causes(&comparison.environment)));
    let short = |digest: Option<crate::digest::Digest>| digest.map_or_else(|| "absent".to_owned(), |d| d.short());
    let data = comparison
        .data
        .iter()
        .map(|change| format!("{}  {} -> {}", line(&change.path, 100), short(change.first), short(change.second)));
    blocks.push(("data".to_owned(), data.collect()));
    let outputs = comparison.outputs.executions.iter().filter(|judged| !judged.verdict.agrees()).map(execution);
    blocks.push(("outputs".to_owned(), outputs.collect()));
    blocks.push(("machine (for information)".to_owned(), causes(&comparison.machine)));
    let mut text = String::new();
    for (name, lines) in blocks.iter().filter(|(_, lines)| !lines.is_empty()) {
        text.push_str(&format!("{name}:\n"));
        for line in lines.iter().take(MOST) {
            text.push_str(&format!("  {line}\n"));
        }
        if lines.len() > MOST {
            text.push_str(&format!("  … and {} more (--json has all)\n", lines.len() - MOST));
        }
    }
    let same: Vec<&str> = blocks
        .iter()
        .filter(|(name, lines)| lines.is_empty() && !name.starts_with("machine"))
        .map(|(name, _)| name.as_str())
        .collect();
    if !same.is_empty() {
        text.push_str(&format!("same: {}\n", same.join(", ")));
    }
    let (a, b) = comparison.seconds;
    text.push_str(&format!("time: {a:.1} s -> {b:.1} s\n"));
    text
}

/// Where a cell's outputs come from.
pub fn origin(origin: &Origin, output: Option<&str>) -> String {
    let mut text = format!("cell {}", origin.cell);
    if let Some(output) = output {
        text.push_str(&format!(", {output}"));
    }
    text.push('\n');
    text.extend(origin.code.lines().take(8).map(|code| format!("  | {}\n", line(code, 120))));
    let mut block = |name: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("{name}:\n"));
            text.extend(lines.into_iter().map(|line| format!("  {line}\n")));
        }
    };
    let cells = origin.cells.iter().map(|cell| {
        let gives = if cell.gives.is_empty() { String::new() } else { format!("gives {}", cell.gives.join(", ")) };
        format!("cell {:>3}  {:<CODE$}  {}", cell.number, line(&cell.code, CODE), line(&gives, 100))
            .trim_end()
            .to_owned()
    });
    block("from the cells", cells.collect());
    let files = origin.files.iter().map(|file| {
        let digest = file.digest.map_or_else(|| "not hashed".to_owned(), |digest| digest.short());
        let made = if file.made_here { ", made by the session" } else { "" };
        format!("{}  {digest}  (read in cell {}{made})", line(&file.path, 100), file.read_in)
    });
    block("from the files", files.collect());
    block("with the libraries", origin.libraries.clone());
    block("with the programs", origin.programs.iter().map(|program| line(program, 100)).collect());
    block("from the network", origin.hosts.iter().map(|host| line(host, 100)).collect());
    text
}
