//! Ground truth: pairs of outputs of which we know whether they are the same.
//! `cargo test --lib replay::truth -- --nocapture` prints the counts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Rules, judge,
    verdict::{Cause, Verdict, Verdicts},
};
use crate::{
    digest::Digest,
    event::Nanos,
    files::Signature,
    session::model::{
        Execution, FileUse, FileVersion, Output, Process, Recording, Role, SessionId, SessionInfo, Status, Use,
    },
};

/// 2026-11-22 18:12:54 UTC and, for the replay, 2026-11-29 09:30:10 UTC.
const THEN: Nanos = 1_795_371_174_000_000_000;
const NOW: Nanos = 1_795_944_610_000_000_000;
const SECOND: Nanos = 1_000_000_000;

pub(crate) fn recording(started: Nanos, executions: Vec<Execution>) -> Recording {
    Recording {
        info: SessionInfo {
            id: SessionId("20261122-181254-00000001".into()),
            started,
            ended: Some(started + 600 * SECOND),
            kernel: "python3".into(),
            display_name: "Python 3".into(),
            language: "python".into(),
            argv: Vec::new(),
            interrupt_mode: "signal".into(),
            kernel_env: BTreeMap::new(),
            cwd: "/home/ada/work".into(),
            notebook: None,
            notebook_source: None,
            user: "ada".into(),
            uid: 1000,
            gid: 1000,
            home: "/home/ada".into(),
            host: "desk".into(),
            nbpack_version: "0".into(),
            coverage: "full".into(),
            exit_status: Some(0),
            parent: None,
            executions: executions.len() as u64,
            running: false,
        },
        executions,
        files: Vec::new(),
        versions: Vec::new(),
        processes: vec![Process { pid: 48_213, ppid: 1, started, exe: Vec::new(), argv: Vec::new(), execution: None }],
        connections: Vec::new(),
        environment: BTreeMap::new(),
        facts: BTreeMap::new(),
        gaps: Vec::new(),
        comms: Vec::new(),
    }
}

/// An execution that took two seconds.
pub(crate) fn execution(id: i64, at: Nanos, code: &str, outputs: Vec<Output>) -> Execution {
    let error = outputs.iter().find_map(|output| match output {
        Output::Error { ename, evalue, .. } => Some((ename.clone(), evalue.clone())),
        _ => None,
    });
    Execution {
        id,
        msg_id: format!("m{id}"),
        cell_id: Some(format!("c{id}")),
        code: code.into(),
        request: json!({}),
        silent: false,
        is_magic: false,
        execution_count: Some(id),
        sent: at,
        busy: Some(at),
        reply: Some(at + 2 * SECOND),
        idle: Some(at + 2 * SECOND),
        status: Some(if error.is_some() { Status::Error } else { Status::Ok }),
        ename: error.as_ref().map(|(ename, _)| ename.clone()),
        evalue: error.map(|(_, evalue)| evalue),
        interrupted: false,
        client: "c".into(),
        username: "u".into(),
        user_expressions: json!({}),
        outputs,
        stdin: Vec::new(),
    }
}

pub(crate) fn out(text: &str) -> Output {
    Output::Stream { name: "stdout".into(), text: text.into() }
}

fn err(text: &str) -> Output {
    Output::Stream { name: "stderr".into(), text: text.into() }
}

fn shown(mime: &str, value: impl Into<Value>) -> Output {
    Output::DisplayData {
        data: BTreeMap::from([(mime.to_owned(), value.into())]),
        metadata: json!({}),
        display_id: None,
    }
}

fn value(text: &str) -> Output {
    Output::ExecuteResult {
        data: BTreeMap::from([("text/plain".to_owned(), text.into())]),
        metadata: json!({}),
        execution_count: Some(1),
    }
}

fn raised(ename: &str, evalue: &str, traceback: &str) -> Output {
    Output::Error { ename: ename.into(), evalue: evalue.into(), traceback: vec![traceback.into()] }
}

/// A white PNG of 80 × 60 with a grey line; `change` may paint on it.
fn png(compressed: bool, change: impl Fn(&mut image::RgbImage)) -> Output {
    use base64::Engine as _;
    use image::ImageEncoder as _;
    let mut pixels = image::RgbImage::from_pixel(80, 60, image::Rgb([255, 255, 255]));
    for x in 0..80 {
        pixels.put_pixel(x, x / 2 + 10, image::Rgb([70, 70, 70]));
    }
    change(&mut pixels);
    let mut bytes = Vec::new();
    let compression =
        if compressed { image::codecs::png::CompressionType::Best } else { image::codecs::png::CompressionType::Fast };
    image::codecs::png::PngEncoder::new_with_quality(&mut bytes, compression, image::codecs::png::FilterType::NoFilter)
        .write_image(pixels.as_raw(), 80, 60, image::ExtendedColorType::Rgb8)
        .unwrap();
    shown("image/png", base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// What a case should give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Truth {
    Same,
    Different,
    Error,
}

struct Case {
    name: &'static str,
    truth: Truth,
    code: &'static str,
    then: Vec<Output>,
    now: Vec<Output>,
}

fn case(name: &'static str, truth: Truth, code: &'static str, then: Vec<Output>, now: Vec<Output>) -> Case {
    Case { name, truth, code, then, now }
}

fn same(name: &'static str, code: &'static str, then: Output, now: Output) -> Case {
    case(name, Truth::Same, code, vec![then], vec![now])
}

fn different(name: &'static str, code: &'static str, then: Output, now: Output) -> Case {
    case(name, Truth::Different, code, vec![then], vec![now])
}

const TABLE: &str = "<table border=\"1\"><thead><tr><th></th><th>a</th></tr></thead><tbody><tr><th>0</th><td>1.5</td></tr>\
                     <tr><th>1</th><td>2.5</td></tr></tbody></table>";
const STYLED: &str = "<style>#T_1ab2c_row0_col0 { color: red; }</style><table id=\"T_1ab2c\"><tr>\
                      <td id=\"T_1ab2c_row0_col0\" class=\"data\">1.5</td></tr></table>";

fn known_same() -> Vec<Case> {
    let bokeh = |id: &str| json!({"roots": {"p1": id}, "doc": {"id": id, "x": [1, 2.5]}});
    vec![
        same("the same text", "print(1)", out("1\n"), out("1\n")),
        same(
            "an address",
            "object()",
            value("<object object at 0x7f3a1c0b5d30>"),
            value("<object object at 0x7fe211aa0130>"),
        ),
        same(
            "an address in a list",
            "f",
            value("[<function f at 0x7f3a1c0b5d30>, 3]"),
            value("[<function f at 0x7fe211aa0130>, 3]"),
        ),
        same(
            "an environment of R",
            "environment()",
            out("<environment: 0x55d0c8a1b2c8>"),
            out("<environment: 0x560f12345678>"),
        ),
        same(
            "a name looked up without a network",
            "get(host)",
            out("failed: [Errno -2] Name or service not known\n"),
            out("failed: [Errno -3] Temporary failure in name resolution\n"),
        ),
        same("what id() gives", "id(x)", value("140234567890384"), value("139901122334416")),
        same("ctime", "print(time.ctime())", out("Sun Nov 22 18:12:55 2026\n"), out("Sun Nov 29 09:30:11 2026\n")),
        same("time()", "time.time()", value("1795371175.1234567"), value("1795944611.9")),
        same("time_ns()", "time.time_ns()", value("1795371175123456789"), value("1795944611123456789")),
        same(
            "now()",
            "datetime.now()",
            value("datetime.datetime(2026, 11, 22, 18, 12, 55, 123)"),
            value("datetime.datetime(2026, 11, 29, 9, 30, 11, 99999)"),
        ),
        same(
            "now() in another zone",
            "print(datetime.now())",
            out("2026-11-22 19:12:55.123456\n"),
            out("2026-11-29 09:30:11.000001\n"),
        ),
        same("today()", "print(date.today())", out("2026-11-22\n"), out("2026-11-29\n")),
        same(
            "statsmodels' date and time",
            "print(model.summary())",
            out("Date:  Sun, 22 Nov 2026   R2: 0.97\nTime:         18:12:55   F: 4.02\n"),
            out("Date:  Sun, 29 Nov 2026   R2: 0.97\nTime:         09:30:11   F: 4.02\n"),
        ),
        same(
            "a kernel's pid in a warning",
            "warnings.warn('w')",
            err("/tmp/ipykernel_4821/3051.py:1: UserWarning: w\n"),
            err("/tmp/ipykernel_17/3051.py:1: UserWarning: w\n"),
        ),
        same("a pid by word", "print(f'pid {os.getpid()}')", out("pid 48213\n"), out("pid 2\n")),
        same("getpid()", "os.getpid()", value("48213"), value("2")),
        same(
            "uuid4()",
            "uuid.uuid4()",
            value("UUID('6ba7b810-9dad-41d1-80b4-00c04fd430c8')"),
            value("UUID('0f0e0d0c-0b0a-4908-8706-050403020100')"),
        ),
        same(
            "uuid4().hex",
            "uuid.uuid4().hex",
            value("'9f1c2b3a4d5e4f608a7b6c5d4e3f2a1b'"),
            value("'00112233445548778899aabbccddeeff'"),
        ),
        same("a temporary file", "f.name", value("'/tmp/tmpab12cd3_/x.csv'"), value("'/tmp/tmpzz99yy8x/x.csv'")),
        same(
            "R's temporary directory",
            "tempdir()",
            out("[1] \"/tmp/RtmpAb12Cd\"\n"),
            out("[1] \"/tmp/RtmpZz98Yx\"\n"),
        ),
        same(
            "%timeit",
            "%timeit f()",
            out("1.23 ms ± 45.6 µs per loop (mean ± std. dev. of 7 runs, 1,000 loops each)\n"),
            out("998 µs ± 12 µs per loop (mean ± std. dev. of 7 runs, 1,000 loops each)\n"),
        ),
        same(
            "%timeit with a slow run",
            "%timeit f()",
            out(
                "The slowest run took 6.10 times longer than the fastest. This could mean that an intermediate result is being cached.\n1.2 µs ± 2 µs per loop (mean ± std. dev. of 7 runs, 10,000 loops each)\n",
            ),
            out("1.1 µs ± 3 ns per loop (mean ± std. dev. of 7 runs, 1,000,000 loops each)\n"),
        ),
        same(
            "%%time",
            "%%time\nf()",
            out("CPU times: user 1.2 s, sys: 30 ms, total: 1.23 s\nWall time: 1.25 s\n"),
            out("CPU times: user 998 ms, sys: 12.3 ms, total: 1.01 s\nWall time: 1.02 s\n"),
        ),
        same("an elapsed time", "print('took', time.time()-t)", out("took 0.1234 s\n"), out("took 0.2 s\n")),
        same(
            "an elapsed time without unit",
            "print('elapsed:', time.perf_counter()-t)",
            out("elapsed: 0.123456\n"),
            out("elapsed: 0.654321\n"),
        ),
        same(
            "a timedelta",
            "print('duration', datetime.now()-t)",
            out("duration 0:00:01.123456\n"),
            out("duration 0:00:00.654321\n"),
        ),
        same(
            "tqdm",
            "for i in tqdm(range(3)): f(i)",
            err(
                "\r  0%|          | 0/3 [00:00<?, ?it/s]\r 33%|###3      | 1/3 [00:00<00:01,  1.5it/s]\r100%|##########| 3/3 [00:01<00:00,  2.90it/s]\n",
            ),
            err("\r  0%|          | 0/3 [00:00<?, ?it/s]\r100%|##########| 3/3 [00:00<00:00, 11.90it/s]\n"),
        ),
        same(
            "keras",
            "model.fit(x)",
            out("10/10 ━━━━━━━━━━━━━━━━━━━━ 1s 30ms/step - loss: 0.25\n"),
            out("10/10 ━━━━━━━━━━━━━━━━━━━━ 0s 8ms/step - loss: 0.25\n"),
        ),
        same(
            "a bar of another width",
            "f()",
            err("100%|####| 3/3 [00:01<00:00,  2.90it/s]\n"),
            err("100%|##########| 3/3 [00:00<00:00, 11.90it/s]\n"),
        ),
        same("carriage returns", "f()", out("10%\r50%\r100% done\n"), out("20%\r100% done\n")),
        same(
            "a set of strings",
            "set(words)",
            value("{'beta', 'alpha', 'gamma'}"),
            value("{'gamma', 'alpha', 'beta'}"),
        ),
        same(
            "a frozenset in a dictionary",
            "d",
            value("{'k': frozenset({'x', 'y'})}"),
            value("{'k': frozenset({'y', 'x'})}"),
        ),
        same("a wider column", "df", value("   a    b\n0  1  0x1"), value("   a   b\n0  1 0x1")),
        same("colours", "print(c)", out("\u{1b}[31mred\u{1b}[0m\n"), out("red\n")),
        same("a float's last bit", "x", value("0.30000000000000004"), value("0.30000000000000010")),
        same("nan", "x", value("[nan, 1.0]"), value("[nan, 1.00]")),
        same(
            "a styled table",
            "df.style",
            shown("text/html", STYLED),
            shown("text/html", STYLED.replace("1ab2c", "9f0e1")),
        ),
        same(
            "a generated id of xarray",
            "ds",
            shown(
                "text/html",
                "<input id='section-6ba7b810-9dad-41d1-80b4-00c04fd430c8'><label for='section-6ba7b810-9dad-41d1-80b4-00c04fd430c8'>d</label>",
            ),
            shown(
                "text/html",
                "<input id='section-0f0e0d0c-0b0a-4908-8706-050403020100'><label for='section-0f0e0d0c-0b0a-4908-8706-050403020100'>d</label>",
            ),
        ),
        same(
            "an SVG of matplotlib",
            "plt.show()",
            shown(
                "image/svg+xml",
                "<svg><dc:date>2026-11-22T18:12:55.1</dc:date><path id=\"m1a2b\" d=\"M 0 1.5\"/><use xlink:href=\"#m1a2b\"/></svg>",
            ),
            shown(
                "image/svg+xml",
                "<svg><dc:date>2026-11-29T09:30:11.2</dc:date><path id=\"m9f8e\" d=\"M 0 1.5\"/><use xlink:href=\"#m9f8e\"/></svg>",
            ),
        ),
        same(
            "ids of bokeh",
            "show(p)",
            shown("application/vnd.bokeh+json", bokeh("6ba7b810-9dad-41d1-80b4-00c04fd430c8")),
            shown("application/vnd.bokeh+json", bokeh("0f0e0d0c-0b0a-4908-8706-050403020100")),
        ),
        same(
            "a widget",
            "w",
            shown("application/vnd.jupyter.widget-view+json", json!({"model_id": "a", "version_major": 2})),
            shown("application/vnd.jupyter.widget-view+json", json!({"model_id": "b", "version_major": 2})),
        ),
        same("the same pixels in another file", "plt.show()", png(true, |_| ()), png(false, |_| ())),
        same(
            "a pixel of another shade",
            "plt.show()",
            png(true, |_| ()),
            png(true, |p| p.put_pixel(40, 30, image::Rgb([72, 70, 71]))),
        ),
        same(
            "an expected error",
            "1/0",
            raised("ZeroDivisionError", "division by zero", "Cell In[7], line 1\n----> 1 1/0\n"),
            raised("ZeroDivisionError", "division by zero", "\u{1b}[31mCell In[8]\u{1b}[0m, line 1\n----> 1 1/0\n"),
        ),
        same(
            "an address in an error",
            "f.x",
            raised("AttributeError", "<f at 0x7f3a1c0b5d30> has no x", "t"),
            raised("AttributeError", "<f at 0x7fe211aa0130> has no x", "t"),
        ),
        same(
            "an interrupt elsewhere",
            "loop()",
            raised("KeyboardInterrupt", "", "line 3"),
            raised("KeyboardInterrupt", "", "line 5"),
        ),
        case(
            "streams cut elsewhere",
            Truth::Same,
            "f()",
            vec![out("a"), err("w"), out("b")],
            vec![out("ab"), err("w")],
        ),
        case("a display a little earlier", Truth::Same, "f()", vec![out("a"), value("1")], vec![value("1"), out("a")]),
        same(
            "an altair view",
            "chart",
            shown(
                "text/html",
                "<div id=\"altair-viz-9f1c2b3a4d5e4f608a7b6c5d4e3f2a1b\"></div><script>embed(\"#altair-viz-9f1c2b3a4d5e4f608a7b6c5d4e3f2a1b\")</script>",
            ),
            shown(
                "text/html",
                "<div id=\"altair-viz-00112233445548778899aabbccddeeff\"></div><script>embed(\"#altair-viz-00112233445548778899aabbccddeeff\")</script>",
            ),
        ),
        same(
            "a log line",
            "log.info('x')",
            err("2026-11-22 18:12:55,123 INFO x\n"),
            err("2026-11-29 09:30:11,456 INFO x\n"),
        ),
    ]
}

fn known_different() -> Vec<Case> {
    let long = (0..200).fold(String::new(), |text, i| text + &format!("row {i}\n"));
    let paint = |p: &mut image::RgbImage| (0..6).for_each(|i| p.put_pixel(60 + i, 5, image::Rgb([200, 0, 0])));
    vec![
        different("one digit of a number", "x", value("0.8314"), value("0.8315")),
        different("one digit of an integer", "len(x)", value("1000003"), value("1000004")),
        different("another word", "x", value("'alpha'"), value("'alphb'")),
        different("a missing row", "df", value("0 1\n1 2\n2 3"), value("0 1\n1 2")),
        different("a sum of other data", "print(sum(v))", out("1275.0\n"), out("1276.0\n")),
        different(
            "one cell of a table",
            "df",
            shown("text/html", TABLE),
            shown("text/html", TABLE.replace("2.5", "2.6")),
        ),
        different(
            "a row of a table",
            "df",
            shown("text/html", TABLE),
            shown("text/html", TABLE.replace("<tr><th>1</th><td>2.5</td></tr>", "")),
        ),
        different(
            "a column name",
            "df",
            shown("text/html", TABLE),
            shown("text/html", TABLE.replace("<th>a</th>", "<th>b</th>")),
        ),
        different(
            "a value in a styled table",
            "df.style",
            shown("text/html", STYLED),
            shown("text/html", STYLED.replace("1ab2c", "9f0e1").replace("1.5", "1.6")),
        ),
        different(
            "a colour in a styled table",
            "df.style",
            shown("text/html", STYLED),
            shown("text/html", STYLED.replace("red", "blue")),
        ),
        different("a region of a figure", "plt.show()", png(true, |_| ()), png(true, paint)),
        different(
            "a line moved by a pixel",
            "plt.show()",
            png(true, |_| ()),
            png(true, |p| {
                for x in 0..80 {
                    p.put_pixel(x, x / 2 + 10, image::Rgb([255, 255, 255]));
                    p.put_pixel(x, x / 2 + 11, image::Rgb([70, 70, 70]));
                }
            }),
        ),
        different("a figure that is none", "plt.show()", png(true, |_| ()), shown("image/png", "AAAA")),
        case("a missing output", Truth::Different, "f()", vec![value("1")], vec![]),
        case("an extra output", Truth::Different, "f()", vec![value("1")], vec![shown("text/plain", "x"), value("1")]),
        case(
            "an extra warning",
            Truth::Different,
            "f()",
            vec![out("1\n")],
            vec![out("1\n"), err("/tmp/ipykernel_4/3.py:1: DeprecationWarning: old\n")],
        ),
        case("a missing warning", Truth::Different, "f()", vec![err("UserWarning: w\n")], vec![]),
        case("stdout instead of stderr", Truth::Different, "f()", vec![out("x\n")], vec![err("x\n")]),
        case("a new error", Truth::Error, "f()", vec![value("1")], vec![raised("KeyError", "'a'", "t")]),
        case("a missing error", Truth::Error, "f()", vec![raised("KeyError", "'a'", "t")], vec![value("1")]),
        case(
            "another exception",
            Truth::Error,
            "f()",
            vec![raised("KeyError", "'a'", "t")],
            vec![raised("ValueError", "'a'", "t")],
        ),
        case(
            "another message",
            Truth::Error,
            "f()",
            vec![raised("KeyError", "'a'", "t")],
            vec![raised("KeyError", "'b'", "t")],
        ),
        different(
            "other frames",
            "f()",
            raised("KeyError", "'a'", "File x.py:3, in f\n 3 g()"),
            raised("KeyError", "'a'", "File x.py:4, in f\n 4 g()"),
        ),
        different(
            "a date in the data",
            "df.date.max()",
            value("Timestamp('2026-03-01 00:00:00')"),
            value("Timestamp('2026-03-02 00:00:00')"),
        ),
        different("a time in the data", "df.time[0]", value("'07:25:00'"), value("'07:26:00'")),
        different("a year", "y", value("2019"), value("2020")),
        different("a physical time", "print(period)", out("period 2.34 s\n"), out("period 2.35 s\n")),
        different("metres", "print(h)", out("height 12 m\n"), out("height 13 m\n")),
        different("a colour as hex", "c", value("0xff8800"), value("0xff8801")),
        different(
            "an MD5",
            "h",
            value("'d41d8cd98f00b204e9800998ecf8427e'"),
            value("'0cc175b9c0f1b6a831c399e269772661'"),
        ),
        different(
            "a uuid made from a name",
            "uuid5(ns, n)",
            value("UUID('6ba7b810-9dad-51d1-80b4-00c04fd430c8')"),
            value("UUID('0f0e0d0c-0b0a-5908-8706-050403020100')"),
        ),
        different("the items of a set", "s", value("{'a', 'b'}"), value("{'a', 'c'}")),
        different("the order of a list", "l", value("['a', 'b']"), value("['b', 'a']")),
        different("the order of a dictionary", "d", value("{'a': 1, 'b': 2}"), value("{'b': 2, 'a': 1}")),
        different(
            "the count of a progress bar",
            "f()",
            err("100%|####| 3/3 [00:01<00:00,  2.90it/s]\n"),
            err("100%|####| 4/4 [00:01<00:00,  2.90it/s]\n"),
        ),
        different(
            "a loss beside a progress bar",
            "f()",
            out("10/10 ━━━━━━━━━━━━━━━━━━━━ 1s 30ms/step - loss: 0.25\n"),
            out("10/10 ━━━━━━━━━━━━━━━━━━━━ 1s 31ms/step - loss: 0.26\n"),
        ),
        different(
            "an SVG's path",
            "plt.show()",
            shown("image/svg+xml", "<svg><path d=\"M 0 1.5\"/></svg>"),
            shown("image/svg+xml", "<svg><path d=\"M 0 1.6\"/></svg>"),
        ),
        different(
            "a point of a chart",
            "show(p)",
            shown("application/vnd.plotly.v1+json", json!({"data": [{"y": [1, 2.5]}]})),
            shown("application/vnd.plotly.v1+json", json!({"data": [{"y": [1, 2.6]}]})),
        ),
        different(
            "the type of a chart",
            "show(p)",
            shown("application/vnd.plotly.v1+json", json!({"data": [{"type": "bar"}]})),
            shown("application/vnd.plotly.v1+json", json!({"data": [{"type": "scatter"}]})),
        ),
        different(
            "another widget",
            "w",
            shown("application/vnd.jupyter.widget-view+json", json!({"model_id": "a", "version_major": 2})),
            shown("application/vnd.jupyter.widget-view+json", json!({"model_id": "b", "version_major": 3})),
        ),
        different("one line of many", "f()", out(&long), out(&long.replace("row 117", "row 17"))),
        different(
            "a result among timings",
            "%%time\nf()",
            out("Wall time: 1.25 s\n0.91\n"),
            out("Wall time: 1.02 s\n0.92\n"),
        ),
        different("a sign", "x", value("-0.5"), value("0.5")),
        different("an exponent", "x", value("1.5e-08"), value("1.5e-07")),
        different("nan instead of a number", "x", value("nan"), value("1.0")),
        different("LaTeX", "eq", shown("text/latex", "$\\frac{1}{2}$"), shown("text/latex", "$\\frac{1}{3}$")),
        different("a version", "np.__version__", value("'1.26.4'"), value("'1.26.5'")),
        different("text instead of a table", "df", shown("text/html", TABLE), shown("text/plain", "1.5")),
    ]
}

/// Written after the rules stood, and judged once before any rule was changed for them.
fn later() -> Vec<Case> {
    let vega = |x: f64| json!({"$schema": "v5", "data": {"name": "data-1"}, "datasets": {"data-1": [{"x": x}]}});
    vec![
        same(
            "a generator",
            "g",
            value("<generator object f.<locals>.<genexpr> at 0x7f3a1c0b5d30>"),
            value("<generator object f.<locals>.<genexpr> at 0x7fe211aa0130>"),
        ),
        same(
            "an axes",
            "ax.plot(x)",
            value("[<matplotlib.lines.Line2D at 0x7f3a1c0b5d30>]"),
            value("[<matplotlib.lines.Line2D at 0x7fe211aa0130>]"),
        ),
        same(
            "a bound method",
            "m",
            value("<bound method A.f of <__main__.A object at 0x7f3a1c0b5d30>>"),
            value("<bound method A.f of <__main__.A object at 0x7fe211aa0130>>"),
        ),
        same(
            "a traceback's kernel file",
            "f()",
            err("  File \"/tmp/ipykernel_4821/3051.py\", line 3, in f\n"),
            err("  File \"/tmp/ipykernel_7/3051.py\", line 3, in f\n"),
        ),
        same(
            "a time stamp of pandas",
            "pd.Timestamp.now()",
            value("Timestamp('2026-11-22 18:12:55.123456')"),
            value("Timestamp('2026-11-29 09:30:11.654321')"),
        ),
        same("strftime", "print(time.strftime('%Y%m%d-%H%M%S'))", out("20261122-181255\n"), out("20261129-093011\n")),
        same("hours and minutes", "print(datetime.now().strftime('%H:%M'))", out("at 18:12\n"), out("at 09:30\n")),
        same(
            "isoformat with a zone",
            "print(now.isoformat())",
            out("2026-11-22T18:12:55.123456+00:00\n"),
            out("2026-11-29T09:30:11.5+00:00\n"),
        ),
        same(
            "sklearn's log",
            "fit()",
            out("[CV] END ...C=1; total time=   0.1s\n"),
            out("[CV] END ...C=1; total time=   0.0s\n"),
        ),
        same(
            "joblib's log",
            "fit()",
            err("[Parallel(n_jobs=1)]: Done  10 out of  10 | elapsed:    0.3s finished\n"),
            err("[Parallel(n_jobs=1)]: Done  10 out of  10 | elapsed:    1.1s finished\n"),
        ),
        same(
            "a rate",
            "copy()",
            err("100%|##########| 10.0M/10.0M [00:01<00:00, 9.2MB/s]\n"),
            err("100%|##########| 10.0M/10.0M [00:00<00:00, 31.2MB/s]\n"),
        ),
        same("a rate without total", "f()", err("120it [00:01, 98.22it/s]\n"), err("120it [00:00, 211.04it/s]\n")),
        same(
            "wall time in minutes",
            "%%time\nf()",
            out("CPU times: user 1min 3s, sys: 2.1 s, total: 1min 5s\nWall time: 1min 6s\n"),
            out("CPU times: user 59.8 s, sys: 1.9 s, total: 1min 1s\nWall time: 1min 2s\n"),
        ),
        same(
            "old %timeit",
            "%timeit f()",
            out("1000 loops, best of 3: 1.2 ms per loop\n"),
            out("100 loops, best of 3: 1.1 ms per loop\n"),
        ),
        same("a set of tuples", "s", value("{(2, 'b'), (1, 'a')}"), value("{(1, 'a'), (2, 'b')}")),
        same(
            "a set of long items over lines",
            "s",
            value("{'alpha alpha',\n 'beta beta',\n 'gamma gamma'}"),
            value("{'gamma gamma',\n 'alpha alpha',\n 'beta beta'}"),
        ),
        same(
            "R's duration",
            "system.time(f())",
            out("   user  system elapsed \n  0.123   0.004   0.130 \n"),
            out("   user  system elapsed \n  0.119   0.001   0.121 \n"),
        ),
        same(
            "a message of a temporary directory",
            "save()",
            out("saved to /tmp/tmpk3j_x9aa/model.bin\n"),
            out("saved to /tmp/tmp0q1w2e3r/model.bin\n"),
        ),
        same(
            "a vega chart",
            "chart",
            shown("application/vnd.vegalite.v5+json", vega(0.1 + 0.2)),
            shown("application/vnd.vegalite.v5+json", vega(0.3)),
        ),
        same(
            "plotly's div",
            "fig",
            shown(
                "text/html",
                "<div id=\"6ba7b810-9dad-41d1-80b4-00c04fd430c8\"></div><script>Plotly.newPlot(\"6ba7b810-9dad-41d1-80b4-00c04fd430c8\", [{\"y\":[1,2]}])</script>",
            ),
            shown(
                "text/html",
                "<div id=\"0f0e0d0c-0b0a-4908-8706-050403020100\"></div><script>Plotly.newPlot(\"0f0e0d0c-0b0a-4908-8706-050403020100\", [{\"y\":[1,2]}])</script>",
            ),
        ),
        same(
            "a file's time in ls",
            "!ls -l",
            out("-rw-r--r-- 1 ada ada 9 Nov 22 18:12 out.csv\n"),
            out("-rw-r--r-- 1 ada ada 9 Nov 29 09:30 out.csv\n"),
        ),
        same(
            "sizes of objects and nothing else",
            "x",
            value("array([1.0000000001, 2.])"),
            value("array([1.0000000002, 2.])"),
        ),
        different("one element of an array", "x", value("array([1.00001, 2.])"), value("array([1.00002, 2.])")),
        different("a figure's title", "ax", value("Text(0.5, 1.0, 'a')"), value("Text(0.5, 1.0, 'b')")),
        different(
            "a file's size in ls",
            "!ls -l",
            out("-rw-r--r-- 1 ada ada 9 Nov 22 18:12 out.csv\n"),
            out("-rw-r--r-- 1 ada ada 8 Nov 29 09:30 out.csv\n"),
        ),
        different(
            "an accuracy after a duration",
            "fit()",
            out("fitted in 1.2 s, accuracy 0.91\n"),
            out("fitted in 1.1 s, accuracy 0.92\n"),
        ),
        different(
            "a row count in a summary",
            "df.info()",
            out("RangeIndex: 100 entries, 0 to 99\n"),
            out("RangeIndex: 101 entries, 0 to 100\n"),
        ),
        different(
            "a column's type",
            "df.dtypes",
            value("a    int64\ndtype: object"),
            value("a    float64\ndtype: object"),
        ),
        different("a shape", "df.shape", value("(891, 12)"), value("(891, 11)")),
        different(
            "a chart's point",
            "chart",
            shown("application/vnd.vegalite.v5+json", vega(0.3)),
            shown("application/vnd.vegalite.v5+json", vega(0.31)),
        ),
        different(
            "a range of dates",
            "df.index",
            value("DatetimeIndex(['2024-01-01', '2024-01-02'])"),
            value("DatetimeIndex(['2024-01-01', '2024-01-03'])"),
        ),
        different("a string of hex digits", "x", value("'deadbeef'"), value("'deadbeee'")),
        different(
            "a SHA-256",
            "h",
            value("'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'"),
            value("'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb'"),
        ),
        different("a p-value", "print(p)", out("p = 0.0432\n"), out("p = 0.0532\n")),
        different("the time of a race", "print(best)", out("best lap 0:01:23.4\n"), out("best lap 0:01:23.5\n")),
        different("a count that looks like a percentage", "print(x)", out("12% of 40\n"), out("13% of 40\n")),
        different(
            "a warning's text",
            "f()",
            err("/tmp/ipykernel_4/3.py:1: FutureWarning: a is old\n"),
            err("/tmp/ipykernel_9/3.py:1: FutureWarning: b is old\n"),
        ),
        different("a truth value", "x", value("True"), value("False")),
        different("a missing value", "df", value("0  1.0\n1  2.0"), value("0  1.0\n1  NaN")),
        different("a long integer", "math.factorial(20)", value("2432902008176640000"), value("2432902008176640001")),
        different(
            "an image's colour",
            "plt.show()",
            png(true, |_| ()),
            png(true, |p| {
                for x in 0..80 {
                    p.put_pixel(x, x / 2 + 10, image::Rgb([70, 70, 200]));
                }
            }),
        ),
        different(
            "a small label",
            "plt.show()",
            png(true, |_| ()),
            png(true, |p| {
                for x in 0..3 {
                    p.put_pixel(70 + x, 50, image::Rgb([0, 0, 0]));
                    p.put_pixel(70 + x, 52, image::Rgb([0, 0, 0]));
                }
            }),
        ),
    ]
}

fn judged(case: &Case, rules: &Rules) -> Verdicts {
    let then = recording(THEN, vec![execution(1, THEN + SECOND, case.code, case.then.clone())]);
    let now = recording(NOW, vec![execution(1, NOW + SECOND, case.code, case.now.clone())]);
    judge(&then, &now, None, rules)
}

#[test]
fn noise_is_no_alarm_and_no_change_is_missed() {
    let (mut alarms, mut missed, mut wrong) = (0, 0, Vec::new());
    let cases: Vec<Case> = known_same().into_iter().chain(known_different()).chain(later()).collect();
    let (same, all) = (cases.iter().filter(|case| case.truth == Truth::Same).count(), cases.len());
    for case in &cases {
        let verdicts = judged(case, &Rules::default());
        let one = &verdicts.executions[0];
        let found = match one.verdict {
            Verdict::Error => Truth::Error,
            Verdict::Changed => Truth::Different,
            _ => Truth::Same,
        };
        if found != case.truth {
            alarms += usize::from(case.truth == Truth::Same);
            missed += usize::from(found == Truth::Same);
            wrong.push(format!("{}: {:?} {:?} {:?}", case.name, one.verdict, one.equal_after, one.differences));
        }
        // The same two in the other direction give the same answer.
        let (then, now) = (case.then.clone(), case.now.clone());
        let back = Case { then: now, now: then, ..*case };
        if case.truth == Truth::Different && back.then.len() == back.now.len() && found == case.truth {
            assert_eq!(judged(&back, &Rules::default()).executions[0].verdict, one.verdict, "{}", case.name);
        }
    }
    println!("{all} cases: {same} known same, {alarms} false alarms; {} known different, {missed} missed", all - same);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_normaliser_is_named_and_can_be_switched_off() {
    let mut used = std::collections::BTreeSet::new();
    for case in known_same() {
        let verdicts = judged(&case, &Rules::default());
        for name in verdicts.executions[0].equal_after.keys() {
            assert!(super::NORMALISERS.iter().any(|(known, _)| known == name), "{name} is not in the table");
            used.insert(name.clone());
            let mut rules = Rules::default();
            rules.off.insert(name.clone());
            let without = judged(&case, &rules);
            let one = &without.executions[0];
            assert!(!one.equal_after.contains_key(name), "{}: {name} is off", case.name);
        }
    }
    // Needs two sessions in two places, and counts that differ.
    let elsewhere = ["working_directory", "execution_count"];
    let unused: Vec<_> =
        super::NORMALISERS.iter().filter(|(name, _)| !used.contains(*name) && !elsewhere.contains(name)).collect();
    assert!(unused.is_empty(), "no case shows {unused:?}");
}

#[test]
fn what_differs_between_two_replays_is_noise_and_only_that() {
    let session = |at: Nanos, random: &str, data: &str| {
        let text = format!("random {random}\ndata {data}\n");
        recording(at, vec![execution(1, at + SECOND, "print(random(), data)", vec![out(&text)])])
    };
    let then = session(THEN, "0.123", "5");
    let verdict = |first: &Recording, second: &Recording| {
        judge(&then, first, Some(second), &Rules::default()).executions[0].verdict
    };
    assert_eq!(verdict(&session(NOW, "0.5", "5"), &session(NOW, "0.7", "5")), Verdict::Nondeterministic);
    assert_eq!(verdict(&session(NOW, "0.5", "6"), &session(NOW, "0.7", "6")), Verdict::Changed, "the data changed too");
    assert_eq!(verdict(&session(NOW, "0.5", "5"), &session(NOW, "0.5", "5")), Verdict::Changed, "the same twice");
}

#[test]
fn an_execution_that_did_not_run_is_no_agreement() {
    let then = recording(THEN, vec![execution(1, THEN, "a", vec![]), execution(2, THEN, "b", vec![])]);
    let now = recording(NOW, vec![execution(1, NOW, "a", vec![])]);
    let verdicts = judge(&then, &now, None, &Rules::default());
    assert_eq!((verdicts.executions[1].verdict, verdicts.exit_code()), (Verdict::NotRun, 2));
}

#[test]
fn silent_and_aborted_executions_are_not_judged() {
    let mut silent = execution(1, THEN, "names()", vec![]);
    silent.silent = true;
    let mut aborted = execution(2, THEN, "b", vec![]);
    aborted.status = Some(Status::Aborted);
    let then = recording(THEN, vec![silent, aborted, execution(3, THEN, "c", vec![])]);
    let now = recording(NOW, vec![execution(1, NOW, "c", vec![])]);
    let verdicts = judge(&then, &now, None, &Rules::default());
    assert_eq!(verdicts.executions.len(), 1);
    assert_eq!((verdicts.executions[0].verdict, verdicts.exit_code()), (Verdict::Equivalent, 0), "only the count");
}

#[test]
fn the_changed_file_is_named_and_the_rest_is_downstream() {
    let session = |at: Nanos, sum: &str, content: &[u8]| {
        let mut session = recording(
            at,
            vec![
                execution(1, at, "v = load('data.txt')", vec![]),
                execution(2, at, "total = sum(v)\nprint(total)", vec![out(sum)]),
                execution(3, at, "print(total + 1)", vec![out(&format!("{sum}+1"))]),
                execution(4, at, "print(7)", vec![out("7")]),
            ],
        );
        let signature = Signature { dev: 1, ino: 1, size: 9, mtime_ns: 0, ctime_ns: 0 };
        session.files.push(FileUse {
            path: b"/home/ada/work/data.txt".to_vec(),
            execution: Some(1),
            pid: 1,
            usage: Use::Read,
            first: at,
            last: at,
            count: 1,
            signature: Some(signature),
            created_here: false,
        });
        session.versions.push(FileVersion {
            path: b"/home/ada/work/data.txt".to_vec(),
            execution: Some(1),
            role: Role::Read,
            digest: Some(Digest::of(content)),
            signature,
            mode: 0o644,
            kept: true,
            unstable: false,
            seen: at,
            note: None,
        });
        session
    };
    let verdicts = judge(&session(THEN, "15", b"a"), &session(NOW, "16", b"b"), None, &Rules::default());
    let [first, second, third, fourth] = verdicts.executions.as_slice() else { panic!("four") };
    assert!(first.verdict.agrees() && fourth.verdict.agrees());
    assert_eq!((second.verdict, third.verdict), (Verdict::Changed, Verdict::Changed));
    assert!(
        matches!(&second.causes[0], Cause::Data { path, read_in: Some(1), .. } if path.ends_with("data.txt")),
        "{:?}",
        second.causes
    );
    assert!(
        third.causes.iter().any(|c| matches!(c, Cause::Downstream { of: 2, through } if through == &["total"])),
        "{:?}",
        third.causes
    );
    assert_eq!(verdicts.first_divergence().map(|judged| judged.number), Some(2));
}

#[test]
fn a_variable_that_only_the_recorders_machine_had_is_no_cause_before_random_numbers() {
    let session = |at: Nanos, number: &str, variable: bool| {
        let code = "def draw():\n    return random.gauss(0, 1)";
        let mut session =
            recording(at, vec![execution(1, at, code, vec![]), execution(2, at, "draw()", vec![value(number)])]);
        if variable {
            session.environment.insert("VENDOR_BUNDLE".to_owned(), Some("/etc/vendor".to_owned()));
        }
        session
    };
    let verdicts = judge(&session(THEN, "0.1234", true), &session(NOW, "0.4321", false), None, &Rules::default());
    let causes = &verdicts.executions[1].causes;
    assert!(matches!(causes.as_slice(), [Cause::Random { .. }]), "{causes:?}");
}

#[test]
fn a_users_own_normaliser_is_used_and_named() {
    let rules = Rules::parse("[[normalise]]\nname = \"job\"\npattern = \"job-\\\\d+\"\nreplace = \"job\"").unwrap();
    let one = same("own", "submit()", out("job-12 is queued\n"), out("job-977 is queued\n"));
    let verdicts = judged(&one, &rules);
    assert_eq!(verdicts.executions[0].verdict, Verdict::Equivalent);
    assert!(verdicts.executions[0].equal_after.contains_key("job"));
    assert!(Rules::parse("[[normalise]]\nname = \"x\"\npattern = \"(\"").is_err());
}

#[test]
fn numbers_are_compared_more_loosely_across_cpus() {
    let one = same("sum", "x", value("1.00000000"), value("1.00000005"));
    let then = |flags: &str| {
        let mut session = recording(THEN, vec![execution(1, THEN, one.code, one.then.clone())]);
        session.facts.insert("cpu.flags".into(), json!(flags));
        session
    };
    let mut now = recording(NOW, vec![execution(1, NOW, one.code, one.now.clone())]);
    now.facts.insert("cpu.flags".into(), json!("sse avx2"));
    let verdict = |flags: &str| judge(&then(flags), &now, None, &Rules::default()).executions[0].verdict;
    assert_eq!(verdict("avx2 sse"), Verdict::Changed);
    assert_eq!(verdict("sse avx512f"), Verdict::WithinTolerance);
}
