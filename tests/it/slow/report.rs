//! A report of a hostile notebook in a real browser: it asks nothing of the network, runs nothing, fits a phone.

use std::path::Path;

use crate::support::{TestEnv, python, skipped};

#[test]
fn a_report_of_a_hostile_notebook_acts_on_nothing_and_fits_a_phone() {
    let Some(python) = python() else { return };
    if !Path::new("/usr/bin/chromium").exists() {
        return skipped("no /usr/bin/chromium");
    }
    let env = TestEnv::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let outside = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    let evil = "<script>window.acted = parent.acted = top.acted = 'acted'; top.document.title = 'mine'; alert(1)</script>\
                <img src='http://127.0.0.1:9/x.png' onerror='alert(2)'><meta http-equiv='refresh' content='0;url=http://127.0.0.1:9/'>\
                <form action='http://127.0.0.1:9/'><input type='submit'></form><link rel='stylesheet' href='http://127.0.0.1:9/a.css'>\
                <style>@import url(http://127.0.0.1:9/b.css); body { background: url(http://127.0.0.1:9/c.png) }</style>\
                <iframe src='http://127.0.0.1:9/'></iframe></iframe></pre><table><tr><td>1</td></tr></table>"
        .replace("127.0.0.1:9", &outside);
    let evil = evil.as_str();
    let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='10' height='10' onload='alert(3)'><script>alert(4)</script></svg>";
    let shown = |mime: &str, value: &str| serde_json::json!({"output_type": "display_data", "data": {mime: value}, "metadata": {}});
    let outputs = serde_json::json!([
        shown("text/html", evil),
        shown("text/plain", evil),
        shown("image/svg+xml", svg),
        shown("text/markdown", evil),
        shown("application/javascript", "alert(5)"),
        {"output_type": "stream", "name": "stdout", "text": format!("{evil}\n{}", "wide".repeat(400))},
        {"output_type": "error", "ename": evil, "evalue": evil, "traceback": [evil]},
    ]);
    let cell = serde_json::json!({"cell_type": "code", "id": "a", "source": evil, "metadata": {}, "execution_count": 1,
        "outputs": outputs});
    let notebook = serde_json::json!({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]});
    std::fs::write(env.work().join("evil.ipynb"), notebook.to_string()).unwrap();
    env.nbpack_ok(&["report", "evil.ipynb", "-o", "evil.html"]);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/report.py");
    let page = env.work().join("evil.html");
    let output = env.command(&python).arg(script).arg(&page).arg(env.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let reached = listener.accept().map(|(_, from)| from).map_err(|error| error.kind());
    assert_eq!(reached, Err(std::io::ErrorKind::WouldBlock), "the page asked for something: {said}");
    let saw: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    for nothing in ["requests", "dialogs", "wide"] {
        assert_eq!(saw[nothing], serde_json::json!([]), "{nothing}: {saw}");
    }
    assert_eq!((&saw["scripts"], &saw["frames"]), (&serde_json::json!(0), &serde_json::json!(1)), "{saw}");
    let marks = saw["marks"].as_array().unwrap();
    assert!(marks.iter().all(|mark| mark == "evil untouched"), "{saw}");
}
