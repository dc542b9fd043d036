//! One self-contained page about a session: no network, no script, and nothing of the notebook's own HTML can act on
//! it (sandboxed frames without rights, a policy that forbids scripts and every outside source).

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    escape, graph,
    outputs::{cut, figures, output},
    text,
};
use crate::{
    files::display_bytes,
    inventory::model::Component,
    replay::{
        is_judged,
        verdict::{Judged, Verdict, Verdicts},
    },
    session::model::{Execution, Recording, Role},
};

/// Nothing may be loaded and nothing may run.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; media-src data:; \
                      frame-src 'self'; base-uri 'none'; form-action 'none'";

/// More cells than this are not listed above the cells themselves.
const MOST_FINDINGS: usize = 60;

/// What a page is made of.
#[derive(Debug)]
pub struct Page<'a> {
    /// The bundle's or notebook's name.
    pub name: &'a str,
    /// The recording.
    pub recording: &'a Recording,
    /// A replay of it and what was said about that.
    pub replay: Option<(&'a Recording, &'a Verdicts)>,
    /// Its software.
    pub components: &'a [Component],
}

/// The page.
pub fn page(page: &Page) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"referrer\" content=\"no-referrer\">\
         <title>{}</title><style>{}</style></head><body><main>\n",
        escape(page.name),
        include_str!("page.css")
    );
    html.push_str(&head(page));
    let executions: Vec<&Execution> =
        page.recording.executions.iter().filter(|execution| is_judged(page.recording, execution)).collect();
    let judged: BTreeMap<i64, &Judged> = page
        .replay
        .map(|(_, verdicts)| verdicts.executions.iter().map(|judged| (judged.recorded, judged)).collect())
        .unwrap_or_default();
    let class_of = |id: i64| judged.get(&id).map_or("none", |judged| tone(judged.verdict));
    html.push_str(&timeline(&executions, &class_of));
    html.push_str("<div class=\"bar\"><h2>Cells</h2>");
    if judged.values().any(|judged| tone(judged.verdict) == "good")
        && judged.values().any(|judged| tone(judged.verdict) != "good")
    {
        html.push_str("<label><input type=\"checkbox\" id=\"only\"> only those that differ</label>");
    }
    html.push_str("</div>\n");
    for (index, execution) in executions.iter().enumerate() {
        html.push_str(&cell(page, index + 1, execution, judged.get(&execution.id).copied()));
    }
    let graph = graph::svg(page.recording, &executions, &class_of);
    if !graph.is_empty() {
        html.push_str("<h2>What follows from what</h2>\n<div class=\"panel scroll\">");
        html.push_str(&graph);
        html.push_str("</div>\n");
    }
    html.push_str(&data(page.recording));
    html.push_str(&software(page));
    html.push_str(&machine(page));
    html.push_str("</main></body></html>\n");
    html
}

fn tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Identical | Verdict::Equivalent | Verdict::WithinTolerance => "good",
        Verdict::Nondeterministic => "mid",
        Verdict::Changed | Verdict::Error => "bad",
        Verdict::NotRun => "none",
    }
}

fn head(page: &Page) -> String {
    let info = &page.recording.info;
    let mut words = vec![info.display_name.clone(), format!("recorded {}", time(info.started))];
    if !info.user.is_empty() {
        words.push(format!("by {} on {}", info.user, info.host));
    }
    words.push(format!("capture {}", info.coverage));
    let mut html =
        format!("<header><h1>{}</h1>\n<p class=\"soft\">{}</p>\n", escape(page.name), escape(&words.join(" · ")));
    if let Some(notebook) = &info.notebook {
        html.push_str(&format!("<p class=\"soft path\">{}</p>\n", escape(&notebook.display().to_string())));
    }
    let Some((_, verdicts)) = page.replay else { return html + "</header>\n" };
    let (class, answer) = match verdicts.exit_code() {
        0 => ("good", "The recorded results came out again"),
        1 => ("bad", "Not the recorded results"),
        _ => ("mid", "Could not tell"),
    };
    html.push_str(&format!("<div class=\"answer {class}\">{answer}</div>\n"));
    let all = [
        Verdict::Identical,
        Verdict::Equivalent,
        Verdict::WithinTolerance,
        Verdict::Nondeterministic,
        Verdict::Changed,
        Verdict::Error,
        Verdict::NotRun,
    ];
    let shown: Vec<(Verdict, usize)> =
        all.into_iter().map(|verdict| (verdict, verdicts.count(verdict))).filter(|(_, count)| *count > 0).collect();
    html.push_str("<div class=\"share\" aria-hidden=\"true\">");
    for (verdict, count) in &shown {
        html.push_str(&format!("<i class=\"{}\" style=\"flex:{count}\"></i>", tone(*verdict)));
    }
    html.push_str("</div>\n<ul class=\"counts\">");
    for (verdict, count) in &shown {
        html.push_str(&format!("<li class=\"{}\"><b>{count}</b> {verdict}</li>", tone(*verdict)));
    }
    html.push_str("</ul>\n</header>\n");
    html.push_str(&findings(verdicts));
    html
}

/// What differs and why, one line for each cell, the first that diverged marked; and what a person should know.
fn findings(verdicts: &Verdicts) -> String {
    let first = verdicts.first_divergence().map(|judged| judged.number);
    let differing = verdicts.executions.iter().filter(|judged| {
        !matches!(judged.verdict, Verdict::Identical | Verdict::Equivalent | Verdict::WithinTolerance)
    });
    let mut rows = String::new();
    for judged in differing.take(MOST_FINDINGS) {
        let mark = if first == Some(judged.number) { "<em>first to diverge</em>" } else { "" };
        let cause = judged.causes.first().map_or_else(|| "no cause was found".to_owned(), |cause| cause.to_string());
        let what = judged.differences.first().map_or_else(String::new, |difference| {
            format!(
                "<span class=\"place\">{}</span><span class=\"pair\"><del>{}</del><ins>{}</ins></span>",
                escape(&difference.place.to_string()),
                escape(&difference.recorded),
                escape(&difference.replayed)
            )
        });
        rows.push_str(&format!(
            "<li class=\"{}\"><a href=\"#cell-{2}\">cell {2}</a> <span class=\"verdict\">{1}</span> {mark}\
             <span class=\"cause\">{3}</span>{what}</li>\n",
            tone(judged.verdict),
            judged.verdict,
            judged.number,
            escape(&cause)
        ));
    }
    let mut html = String::new();
    if !rows.is_empty() {
        html.push_str(&format!("<h2>What differs, and why</h2>\n<ol class=\"findings\">\n{rows}</ol>\n"));
    }
    let new = verdicts.extra.len();
    if new > 0 {
        html.push_str(&format!("<p class=\"note\">{new} executions are new</p>\n"));
    }
    for note in &verdicts.notes {
        html.push_str(&format!("<p class=\"note\">{}</p>\n", escape(note)));
    }
    html
}

/// A bar for each execution; idle time between them is shortened, or a night would hide the work.
fn timeline(executions: &[&Execution], class_of: &dyn Fn(i64) -> &'static str) -> String {
    let span = |execution: &Execution| {
        let start = execution.busy.unwrap_or(execution.sent);
        (start, execution.idle.or(execution.reply).unwrap_or(start).max(start))
    };
    let busy: i64 = executions.iter().map(|execution| span(execution).1 - span(execution).0).sum();
    let longest_gap = (busy / 20).max(50_000_000);
    let (mut at, mut last, mut bars) = (0_i64, None, Vec::new());
    for (index, execution) in executions.iter().enumerate() {
        let (start, end) = span(execution);
        at += last.map_or(0, |last: i64| (start - last).clamp(0, longest_gap));
        bars.push((index + 1, execution.id, at, end - start));
        at += end - start;
        last = Some(end);
    }
    let total = at.max(1) as f64 / 100.0;
    let mut html = String::from("<h2>Time</h2>\n<div class=\"timeline\">");
    for (number, id, start, length) in bars {
        html.push_str(&format!(
            "<a class=\"{}\" href=\"#cell-{number}\" title=\"cell {number}: {:.2} s\" style=\"left:{:.3}%;width:{:.3}%\"></a>",
            class_of(id),
            length as f64 / 1e9,
            start as f64 / total,
            length as f64 / total
        ));
    }
    html.push_str(&format!(
        "</div>\n<p class=\"soft\">{:.1} s of work in {} cells</p>\n",
        busy as f64 / 1e9,
        executions.len()
    ));
    html
}

fn cell(page: &Page, number: usize, execution: &Execution, judged: Option<&Judged>) -> String {
    let mut html = format!(
        "<section class=\"cell {}\" id=\"cell-{number}\"><div class=\"head\"><b>Cell {number}</b>",
        judged.map_or("none", |judged| tone(judged.verdict))
    );
    if let Some(count) = execution.execution_count {
        html.push_str(&format!("<span class=\"soft\">In [{count}]</span>"));
    }
    if let Some(judged) = judged {
        html.push_str(&format!("<span class=\"badge\">{}</span>", judged.verdict));
    }
    let then =
        execution.idle.or(execution.reply).map(|end| (end - execution.busy.unwrap_or(execution.sent)) as f64 / 1e9);
    let seconds = match (then, judged.and_then(|judged| judged.seconds_replayed)) {
        (Some(then), Some(now)) => format!("{then:.2} s then, {now:.2} s now"),
        (Some(then), None) => format!("{then:.2} s"),
        _ => String::new(),
    };
    html.push_str(&format!(
        "<span class=\"soft\">{seconds}</span></div>\n<pre>{}</pre>\n",
        escape(&cut(&execution.code))
    ));
    if let Some(judged) = judged {
        html.push_str(&reasons(judged));
    }
    let now = judged.and_then(|judged| judged.replayed).and_then(|id| {
        let (replay, _) = page.replay?;
        replay.executions.iter().find(|other| other.id == id)
    });
    let differs = judged.is_some_and(|judged| judged.verdict != Verdict::Identical);
    match now.filter(|_| differs) {
        Some(now) => {
            let (a, b): (String, String) =
                (execution.outputs.iter().map(output).collect(), now.outputs.iter().map(output).collect());
            if !a.is_empty() || !b.is_empty() {
                html.push_str(&format!(
                    "<div class=\"sides\"><div><h4>recorded</h4>{a}</div><div><h4>replayed</h4>{b}</div></div>\n"
                ));
            }
            html.push_str(&figures(execution, now));
        }
        None => html.extend(execution.outputs.iter().map(output)),
    }
    html.push_str("</section>\n");
    html
}

fn reasons(judged: &Judged) -> String {
    let mut html = String::new();
    let shown = judged.differences.iter().filter(|d| !d.recorded.is_empty() || !d.replayed.is_empty());
    for difference in shown.take(10) {
        html.push_str(&format!(
            "<li><span class=\"place\">{}</span><span class=\"pair\"><del>{}</del><ins>{}</ins></span></li>",
            escape(&difference.place.to_string()),
            escape(&difference.recorded),
            escape(&difference.replayed)
        ));
    }
    let more = judged.differences.len().saturating_sub(10);
    if more > 0 {
        html.push_str(&format!("<li class=\"soft\">and {more} more</li>"));
    }
    for cause in &judged.causes {
        html.push_str(&format!("<li><span class=\"cause\">{}</span></li>", escape(&cause.to_string())));
    }
    if judged.differences.is_empty() {
        let reason = text::reason(judged);
        if !reason.is_empty() {
            html.push_str(&format!("<li class=\"soft\">{}</li>", escape(&reason)));
        }
    }
    if html.is_empty() { html } else { format!("<ul class=\"why\">{html}</ul>\n") }
}

fn rows(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut html = String::from("<div class=\"panel scroll\"><table class=\"list\"><tr>");
    for name in head {
        html.push_str(&format!("<th>{}</th>", escape(name)));
    }
    for row in rows {
        html.push_str("</tr><tr>");
        for cell in row {
            html.push_str(&format!("<td>{}</td>", escape(cell)));
        }
    }
    html.push_str("</tr></table></div>\n");
    html
}

fn data(recording: &Recording) -> String {
    let mut seen = std::collections::BTreeSet::new();
    let list: Vec<Vec<String>> = recording
        .versions
        .iter()
        .filter(|version| version.role == Role::Read && !crate::replay::belongs_to_system(&version.path))
        .filter(|version| seen.insert((&version.path, version.digest)))
        .map(|version| {
            let digest = version.digest.map_or_else(|| "not hashed".to_owned(), |digest| digest.short());
            vec![display_bytes(&version.path).to_string(), version.signature.size.to_string(), digest]
        })
        .collect();
    if list.is_empty() {
        return String::new();
    }
    format!("<h2>Data and local code</h2>\n{}", rows(&["file", "bytes", "sha256"], &list))
}

fn software(page: &Page) -> String {
    let list: Vec<Vec<String>> = if page.components.is_empty() {
        crate::replay::cause::observed_libraries(page.recording)
            .into_iter()
            .map(|(name, version)| vec![name, version, String::new(), "loaded".to_owned()])
            .collect()
    } else {
        let mut components: Vec<&Component> = page.components.iter().collect();
        components.sort_by_key(|component| (!component.loaded, &component.kind, &component.name));
        let row = |c: &&Component| {
            let used = if c.loaded { "loaded" } else { "installed" };
            let licence: String = c.licence.as_deref().unwrap_or_default().chars().take(60).collect();
            vec![c.name.clone(), c.version.clone(), licence, format!("{used}, {}", c.kind)]
        };
        components.iter().map(row).collect()
    };
    if list.is_empty() {
        return String::new();
    }
    let table = rows(&["name", "version", "licence", ""], &list);
    format!("<h2>Software</h2>\n<details><summary>{} components</summary>{table}</details>\n", list.len())
}

fn machine(page: &Page) -> String {
    let facts = |recording: &Recording| -> BTreeMap<String, String> {
        let short = |value: &Value| {
            let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            if text.chars().count() > 300 { text.chars().take(300).chain(['…']).collect() } else { text }
        };
        recording.facts.iter().map(|(name, value)| (name.clone(), short(value))).collect()
    };
    let then = facts(page.recording);
    if then.is_empty() {
        return String::new();
    }
    let now = page.replay.map(|(replay, _)| facts(replay));
    let list: Vec<Vec<String>> = then
        .iter()
        .map(|(name, value)| {
            let mut row = vec![name.clone(), value.clone()];
            if let Some(now) = &now {
                let other = now.get(name).cloned().unwrap_or_default();
                row.push(if other == *value { "the same".to_owned() } else { other });
            }
            row
        })
        .collect();
    let head: &[&str] = if now.is_some() { &["", "then", "now"] } else { &["", ""] };
    format!("<h2>Machine</h2>\n<details><summary>hardware and system</summary>{}</details>\n", rows(head, &list))
}

/// A time as UTC, to the second.
fn time(at: crate::event::Nanos) -> String {
    jiff::Timestamp::from_second(at / 1_000_000_000).map_or_else(|_| String::new(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::replay::{
        Rules, judge,
        truth::{execution, out, recording},
    };
    use crate::session::model::Output;

    #[test]
    fn nothing_of_a_notebook_can_act_on_the_page() {
        let evil = "</iframe></pre><script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
        let shown = |mime: &str| Output::DisplayData {
            data: BTreeMap::from([(mime.to_owned(), json!(evil))]),
            metadata: json!({}),
            display_id: None,
        };
        let outputs = vec![
            out(evil),
            shown("text/html"),
            shown("text/plain"),
            shown("image/png"),
            shown("image/svg+xml"),
            shown(evil),
            Output::Error { ename: evil.into(), evalue: evil.into(), traceback: vec![evil.into()] },
        ];
        let mut then = recording(0, vec![execution(1, 0, evil, outputs), execution(2, 0, evil, vec![])]);
        then.info.notebook = Some(evil.into());
        then.info.user = evil.into();
        then.facts.insert(evil.into(), json!(evil));
        let now = recording(0, vec![execution(1, 0, evil, vec![])]);
        let verdicts = judge(&then, &now, None, &Rules::default());
        let html = page(&Page { name: evil, recording: &then, replay: Some((&now, &verdicts)), components: &[] });
        // Every `<` of the notebook is escaped at least once, so none of its tags is one of the page's.
        assert!(!html.contains("<script") && !html.contains("<img src=x") && !html.contains("onerror=alert(1)>\n"));
        assert!(html.contains("sandbox=\"\"") && html.contains("default-src 'none'"));
        assert_eq!(html.matches("</iframe>").count(), html.matches("<iframe ").count());
        assert!(!html.contains("http://") && !html.contains("https://"), "the page names no other host");
    }
}
