//! Outputs as HTML that cannot act: text is escaped, pictures are `data:` addresses, HTML lies in frames without rights.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::Value;

use super::{ansi, escape, html::POLICY};
use crate::session::model::{Execution, Output};

/// Longer texts are cut: a page must open on a phone.
const MOST_TEXT: usize = 20_000;
/// Larger HTML outputs and figures are named only.
const MOST_BYTES: usize = 8 << 20;

/// Where two figures of one place differ.
pub(super) fn figures(then: &Execution, now: &Execution) -> String {
    let sources = |execution: &Execution| -> Vec<String> {
        execution.outputs.iter().filter_map(mimes).filter_map(figure_source).collect()
    };
    let (a, b) = (sources(then), sources(now));
    let mut html = String::new();
    for (a, b) in a.iter().zip(&b).filter(|(a, b)| a != b) {
        let body = |source: &str| source.split_once(";base64,").map(|(_, body)| body.to_owned()).unwrap_or_default();
        let png = crate::replay::figure_difference(&body(a), &body(b));
        let view = match png {
            Some(png) => {
                let png = base64::engine::general_purpose::STANDARD.encode(png);
                format!("<img alt=\"where the two differ, in red\" src=\"data:image/png;base64,{png}\">")
            }
            // What cannot be decoded here (SVG) is laid over each other, so that only differences shine.
            None => format!(
                "<div class=\"overlay\"><img alt=\"recorded\" src=\"{a}\"><img alt=\"replayed\" src=\"{b}\"></div>"
            ),
        };
        html.push_str(&format!(
            "<details class=\"figure\" open><summary>where the two figures differ</summary>{view}</details>\n"
        ));
    }
    html
}

type Mimes = BTreeMap<String, Value>;

fn mimes(output: &Output) -> Option<&Mimes> {
    match output {
        Output::DisplayData { data, .. } | Output::ExecuteResult { data, .. } => Some(data),
        Output::Stream { .. } | Output::Error { .. } => None,
    }
}

/// A picture as a `data:` address. SVG too: as an image it cannot run anything.
fn figure_source(data: &Mimes) -> Option<String> {
    for mime in ["image/png", "image/jpeg", "image/gif", "image/webp"] {
        if let Some(base64) = data.get(mime).and_then(joined) {
            let compact: String = base64.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            let clean = compact.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'='));
            return (clean && compact.len() <= MOST_BYTES).then(|| format!("data:{mime};base64,{compact}"));
        }
    }
    let svg = data.get("image/svg+xml").and_then(joined)?;
    let encoded = base64::engine::general_purpose::STANDARD.encode(svg);
    (encoded.len() <= MOST_BYTES).then(|| format!("data:image/svg+xml;base64,{encoded}"))
}

fn joined(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(lines) => lines.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

pub(super) fn cut(text: &str) -> String {
    if text.chars().nth(MOST_TEXT).is_none() {
        return text.to_owned();
    }
    let head: String = text.chars().take(MOST_TEXT).collect();
    format!("{head}\n… cut; {} characters in all", text.chars().count())
}

pub(super) fn output(output: &Output) -> String {
    match output {
        Output::Stream { name, text } => {
            let class = if name == "stderr" { " class=\"err\"" } else { "" };
            format!("<pre{class}>{}</pre>\n", ansi::to_html(&cut(&crate::replay::on_screen(text))))
        }
        Output::Error { ename, evalue, traceback } => {
            let text = if traceback.is_empty() { format!("{ename}: {evalue}") } else { traceback.join("\n") };
            format!("<pre class=\"err\">{}</pre>\n", ansi::to_html(&cut(&text)))
        }
        Output::DisplayData { data, .. } | Output::ExecuteResult { data, .. } => display(data),
    }
}

fn display(data: &Mimes) -> String {
    if let Some(source) = figure_source(data) {
        return format!("<img alt=\"figure\" src=\"{source}\">\n");
    }
    if let Some(html) = data.get("text/html").and_then(joined).filter(|html| html.len() <= MOST_BYTES) {
        return frame(&html);
    }
    for mime in ["text/latex", "text/markdown", "text/plain"] {
        if let Some(text) = data.get(mime).and_then(joined) {
            return format!("<pre>{}</pre>\n", ansi::to_html(&cut(&text)));
        }
    }
    let kinds: Vec<&str> = data.keys().map(String::as_str).collect();
    format!("<p class=\"soft\">not shown here: {}</p>\n", escape(&kinds.join(", ")))
}

/// Makes addresses of elsewhere no addresses, and leaves them readable: an invisible character (U+2060) before each.
///
/// A second line behind the page's policy: on a busy machine Chromium was seen to ask for a background picture that the
/// policy forbids.
fn without_addresses(html: &str) -> String {
    let mut html = html.replace("://", "\u{2060}://");
    for mark in ["\"", "'", "(", "="] {
        html = html.replace(&format!("{mark}//"), &format!("{mark}\u{2060}//"));
    }
    html
}

/// HTML of the notebook in a frame without any right: no scripts, no forms, no way to the page around it.
fn frame(html: &str) -> String {
    let html = without_addresses(html);
    let rows = html.matches("<tr").count();
    let height = (60 + rows * 27).clamp(90, 460);
    let document = format!(
        "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\
         <style>body{{font:13px system-ui,sans-serif;margin:8px;color:#1d2227;background:#fff}}table{{border-collapse:collapse}}\
         td,th{{padding:2px 8px;text-align:right;border:none}}tr:nth-child(even){{background:#f4f4f4}}</style>{html}"
    );
    format!(
        "<iframe sandbox=\"\" loading=\"lazy\" style=\"height:{height}px\" srcdoc=\"{}\"></iframe>\n",
        escape(&document)
    )
}
