//! Verdicts as JUnit XML: one test case for each cell, as CI servers read it.

use super::{escape, text};
use crate::replay::verdict::{Verdict, Verdicts};

/// The document.
pub fn junit(name: &str, verdicts: &Verdicts) -> String {
    let seconds: f64 = verdicts.executions.iter().filter_map(|judged| judged.seconds_replayed).sum();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" \
         errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\">\n",
        escape(name),
        verdicts.executions.len(),
        verdicts.count(Verdict::Changed),
        verdicts.count(Verdict::Error),
        verdicts.count(Verdict::NotRun),
    );
    for judged in &verdicts.executions {
        xml.push_str(&format!(
            "<testcase classname=\"{}\" name=\"cell {}: {}\" time=\"{:.3}\">",
            escape(name),
            judged.number,
            escape(&judged.code),
            judged.seconds_replayed.unwrap_or(0.0)
        ));
        let reason = escape(&text::reason(judged));
        match judged.verdict {
            Verdict::Changed => xml.push_str(&format!("<failure message=\"{reason}\"/>")),
            Verdict::Error => xml.push_str(&format!("<error message=\"{reason}\"/>")),
            Verdict::NotRun => xml.push_str("<skipped/>"),
            other => xml.push_str(&format!("<system-out>{other} {reason}</system-out>")),
        }
        xml.push_str("</testcase>\n");
    }
    xml.push_str("</testsuite>\n</testsuites>\n");
    xml
}
