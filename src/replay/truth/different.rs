//! Known different.

use serde_json::json;

use super::{Case, STYLED, TABLE, Truth, case, different, err, out, png, raised, same::search, shown, svg, value};

pub(super) fn known_different() -> Vec<Case> {
    let long = (0..200).fold(String::new(), |text, i| text + &format!("row {i}\n"));
    let paint = |p: &mut image::RgbImage| (0..6).for_each(|i| p.put_pixel(60 + i, 5, image::Rgb([200, 0, 0])));
    vec![
        different(
            "a score beside measured times",
            "search.fit(X, y).cv_results_",
            value("{'mean_fit_time': array([0.0012, 0.0013]), 'mean_test_score': array([0.026, 0.025])}"),
            value("{'mean_fit_time': array([0.0021, 0.0008]), 'mean_test_score': array([0.026, 0.024])}"),
        ),
        different(
            "a score in the table of a fitted search",
            "search.fit(X, y)",
            shown("text/html", search("0.0005593", "0.0020", "0.96")),
            shown("text/html", search("0.000632", "0.0008", "0.93")),
        ),
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
        different(
            "a rate in the data",
            "print(limit)",
            out("limit 1,200 requests/s\n"),
            out("limit 1,300 requests/s\n"),
        ),
        different("a speed", "t0 = time.time(); print(v)", out("v = 12.5 m/s\n"), out("v = 13.5 m/s\n")),
        different(
            "torn lines with another number",
            "with ThreadPoolExecutor() as pool:\n    pool.map(load, zones)",
            out("NO1: peak 1185.8 MWNO2: peak 1202.9 MW\n\n"),
            out("NO2: peak 1202.9 MW\nNO1: peak 1185.9 MW\n"),
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
            shown("image/svg+xml", svg("<path d=\"M 0 15 L 90 15\" stroke=\"#00f\"/>")),
            shown("image/svg+xml", svg("<path d=\"M 0 15 L 90 18\" stroke=\"#00f\"/>")),
        ),
        different(
            "an SVG's colour",
            "plt.show()",
            shown("image/svg+xml", svg("<circle r=\"20\" cx=\"50\" cy=\"50\" fill=\"#1f77b4\"/>")),
            shown("image/svg+xml", svg("<circle r=\"20\" cx=\"50\" cy=\"50\" fill=\"#ff7f0e\"/>")),
        ),
        different(
            "a label in an SVG",
            "dot",
            shown(
                "image/svg+xml",
                svg("<path d=\"M 0 15 L 90 15.001\" stroke=\"#00f\"/><text x=\"9\" y=\"9\">depth 3</text>"),
            ),
            shown(
                "image/svg+xml",
                svg("<path d=\"M 0 15 L 90 15.002\" stroke=\"#00f\"/><text x=\"9\" y=\"9\">depth 4</text>"),
            ),
        ),
        different(
            "where a label stands in an SVG",
            "dot",
            shown(
                "image/svg+xml",
                svg("<path d=\"M 0 15 L 90 15.001\" stroke=\"#00f\"/><g transform=\"translate(5)\"><text>a</text></g>"),
            ),
            shown(
                "image/svg+xml",
                svg(
                    "<path d=\"M 0 15 L 90 15.002\" stroke=\"#00f\"/><g transform=\"translate(55)\"><text>a</text></g>",
                ),
            ),
        ),
        different(
            "an SVG beyond the renderer",
            "show()",
            shown("image/svg+xml", "<svg><animate to=\"5\"/></svg>"),
            shown("image/svg+xml", "<svg><animate to=\"6\"/></svg>"),
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
