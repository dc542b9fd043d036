//! Outputs that nobody of ours made: those of a bundle are a stranger's.
//!
//! Errors are fine, panics are bugs; and whatever an output is, it is the same as itself, and says nothing on the page.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::html::{Page, page};
use crate::{
    event::Nanos,
    replay::{
        Rules, Verdict, judge,
        truth::{execution, out, recording},
    },
    session::model::{Output, Recording},
};

const THEN: Nanos = 1_795_371_174_000_000_000;
const NOW: Nanos = 1_795_944_610_000_000_000;

/// A picture of 2 × 2.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFElEQVR4nGP4z8AARAwQBsN/EIMBADT/A/3J8X0vAAAAAElFTkSuQmCC";
const SVG: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30" viewBox="0 0 40 30"><defs><clipPath id="p0f"><rect width="9" height="9"/></clipPath></defs><g clip-path="url(#p0f)"><path d="M 1 2 L 30 20 z" style="fill: #1f77b4"/><text x="3" y="9">1.5</text></g></svg>"#;
const HTML: &str = r#"<style>#T_1ab2c_row0 { color: red; }</style><table id="T_1ab2c" border="1"><thead><tr><th></th><th>a</th></tr></thead><tbody><tr><th>0</th><td>1.5e-3</td></tr></tbody></table><script>alert("1")</script>"#;
const JSON: &str = r#"{"data": [{"x": [1, 2.5], "uid": "5c0f7a9e-3b1d-4e5f-8a7b-0c1d2e3f4a5b", "type": "bar"}], "layout": {"title": {"text": "t"}}, "elementid": "f0a1", "root_ids": ["p1001"]}"#;
const TEXT: &str = "2026-11-22 18:12:54,123 INFO [48213] run-7f3a took 1.25 s at 0x7f12ab34cd50 {'a', 'b'}\r 50%|\u{2588}\u{2588}   | 5/10 [00:01<00:01, 4.9it/s]\n\u{1b}[31m<function f at 0x7f12ab34cd50>\u{1b}[0m /tmp/tmpab12cd/x.csv 1.0000000001e+05 nan\u{8}\n";

/// Mime types with something of theirs to begin with.
const SEEDS: &[(&str, &str)] = &[
    ("text/plain", TEXT),
    ("text/html", HTML),
    ("image/svg+xml", SVG),
    ("image/png", PNG),
    ("image/jpeg", PNG),
    ("application/vnd.plotly.v1+json", JSON),
    ("application/vnd.bokehjs_exec.v0+json", JSON),
    ("text/latex", "$\\frac{1}{2}$"),
    (
        "application/vnd.jupyter.widget-view+json",
        r#"{"version_major": 2, "model_id": "0a1b2c3d4e5f60718293a4b5c6d7e8f9"}"#,
    ),
];

/// Bytes put over, put in and cut out, at places counted around.
fn spoilt(seed: &str, changes: &[(usize, usize, Vec<u8>)]) -> String {
    let mut bytes = seed.as_bytes().to_vec();
    for (at, gone, new) in changes {
        let at = at % (bytes.len() + 1);
        let end = (at + gone % 9).min(bytes.len());
        bytes.splice(at..end, new.iter().copied());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn changes() -> impl Strategy<Value = Vec<(usize, usize, Vec<u8>)>> {
    proptest::collection::vec((any::<usize>(), any::<usize>(), proptest::collection::vec(any::<u8>(), 0..6)), 0..5)
}

fn shown(mime: &str, text: String) -> Output {
    let value = serde_json::from_str::<Value>(&text).ok().filter(|_| mime.ends_with("json"));
    let data = BTreeMap::from([(mime.to_owned(), value.unwrap_or(Value::String(text)))]);
    Output::DisplayData { data, metadata: json!({}), display_id: None }
}

fn ran(at: Nanos, code: &str, outputs: &[Output]) -> Recording {
    recording(at, vec![execution(1, at + 1_000_000_000, code, outputs.to_vec())])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_in_an_output_make_the_judge_or_the_page_panic(
        kind in 0..SEEDS.len(),
        (first, second, code) in (changes(), changes(), changes()),
        is_error: bool,
    ) {
        let (mime, seed) = SEEDS[kind];
        let code = spoilt("import time, uuid\nfor name in {'a', 'b'}: print(name, time.time(), uuid.uuid4())", &code);
        let outputs = |changes: &[_]| {
            let text = spoilt(seed, changes);
            let other = if is_error {
                Output::Error { ename: "E".into(), evalue: text.clone(), traceback: vec![text.clone()] }
            } else {
                out(&text)
            };
            [shown(mime, text), other]
        };
        let (a, b) = (outputs(&first), outputs(&second));
        let (then, now) = (ran(THEN, &code, &a), ran(NOW, &code, &b));
        let same = judge(&then, &ran(NOW, &code, &a), None, &Rules::default());
        prop_assert_eq!(same.executions[0].verdict, Verdict::Identical);
        let verdicts = judge(&then, &now, Some(&ran(NOW, &code, &a)), &Rules::default());
        let html = page(&Page { name: "b.nbpack", recording: &then, replay: Some((&now, &verdicts)), components: &[] });
        prop_assert_eq!(html.matches("<script").count(), 0);
        prop_assert_eq!(html.matches("<iframe ").count(), html.matches("<iframe sandbox=\"\" ").count());
        prop_assert_eq!(html.matches("<iframe ").count(), html.matches("</iframe>").count());
    }
}
