//! Known same: noise of every kind.

use serde_json::json;

use super::{Case, STYLED, Truth, case, err, out, png, raised, same, shown, svg, value};

pub(super) fn known_same() -> Vec<Case> {
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
        same(
            "a process object",
            "p = Process(target=f, name='job'); p.start(); p.join(); p",
            value("<ForkProcess name='job' pid=48302 parent=48213 stopped exitcode=0>"),
            value("<ForkProcess name='job' pid=25 parent=2 stopped exitcode=0>"),
        ),
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
            "an SVG's line, moved by less than can be seen",
            "plt.show()",
            shown(
                "image/svg+xml",
                svg("<path d=\"M 0 15 L 90 15.001\" stroke=\"#00f\"/><text x=\"9\" y=\"9\">depth 3</text>"),
            ),
            shown(
                "image/svg+xml",
                svg("<path d=\"M 0 15 L 90 15.004\" stroke=\"#00f\"/><text x=\"9\" y=\"9\">depth 3</text>"),
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
        same(
            "a search's measured times beside its scores",
            "search.fit(X, y).cv_results_",
            value(
                "{'mean_fit_time': array([0.0012, 0.0013,\n       0.0011]), 'mean_test_score': array([0.96, 0.95, 0.9 ])}",
            ),
            value(
                "{'mean_fit_time': array([0.0021, 0.0008,\n       0.0019]), 'mean_test_score': array([0.96, 0.95, 0.9 ])}",
            ),
        ),
        same(
            "the table of a fitted search",
            "search.fit(X, y)",
            shown("text/html", search("0.0005593", "0.0020", "0.96")),
            shown("text/html", search("0.000632", "0.0008", "0.96")),
        ),
    ]
}

/// As scikit-learn shows what a search has found.
pub(super) fn search(refit: &str, fit: &str, score: &str) -> String {
    format!(
        "<table><tr><td>cv_results_<span>a dict</span></td><td>dict</td><td>{{&#x27;me...me&#x27;: array([{fit}..., 0.0010]), \
         &#x27;me...re&#x27;: array([{score}  ..., 0.95])}}</td></tr>\
         <tr><td><a>refit_time_<span>refit_time_: float, Seconds</span></a></td><td>float</td><td>{refit}</td></tr></table>"
    )
}
