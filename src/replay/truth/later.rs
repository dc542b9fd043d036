//! Cases that came later, some of each kind.

use serde_json::json;

use super::{Case, different, err, out, png, same, shown, value};

pub(super) fn later() -> Vec<Case> {
    let vega = |x: f64| json!({"$schema": "v5", "data": {"name": "data-1"}, "datasets": {"data-1": [{"x": x}]}});
    let grid = |time: &str, score: &str| {
        format!(
            "   param_C  mean_fit_time  mean_test_score  \\\n0      0.1       {time}         {score}   \n\n   rank_test_score  \n0                1  "
        )
    };
    vec![
        same(
            "a column of measured times",
            "cv[columns]",
            value(&grid("0.005954", "0.403213")),
            value(&grid("0.008968", "0.403213")),
        ),
        different(
            "a score beside it",
            "cv[columns]",
            value(&grid("0.005954", "0.403213")),
            value(&grid("0.008968", "0.403214")),
        ),
        same(
            "a time in the middle of a name",
            "print(path)",
            out("run_20261122-181255_a.csv, loan-20261122-181255.csv, day-2026-11-22.log, d_20261122.txt\n"),
            out("run_20261129-093011_a.csv, loan-20261129-093011.csv, day-2026-11-29.log, d_20261129.txt\n"),
        ),
        different(
            "a day in a name that was not the session's",
            "print(path)",
            out("day-2026-10-22.log, d_20261022.txt\n"),
            out("day-2026-10-29.log, d_20261029.txt\n"),
        ),
        same(
            "a time counted from now",
            "os.utime(f, (time.time() - 40 * 86400,) * 2)\nprint(time.ctime(f.stat().st_mtime))",
            out("Tue Oct 13 18:12:55 2026\n"),
            out("Tue Oct 20 09:30:11 2026\n"),
        ),
        different(
            "another number of days from now",
            "os.utime(f, (time.time() - DAYS * 86400,) * 2)\nprint(time.ctime(f.stat().st_mtime))",
            out("Tue Oct 13 18:12:55 2026\n"),
            out("Mon Oct 19 09:30:11 2026\n"),
        ),
        same(
            "a time in milliseconds",
            "t = time.time()\nwork()\nprint({'n': 3, 'ms': round(1000 * (time.time() - t), 3)})",
            out("{'n': 3, 'ms': 1520.733}\n"),
            out("{'n': 3, 'ms': 1702.557}\n"),
        ),
        different(
            "a result beside a time in milliseconds",
            "t = time.perf_counter()\nprint(f'VaR {var:.4f} (in {1e3 * (time.perf_counter() - t):.3f} ms)')",
            out("VaR 12.3456 (in 0.733 ms)\n"),
            out("VaR 12.9456 (in 0.812 ms)\n"),
        ),
        same(
            "a time since a function of its own name",
            "t = time()\nwork()\nprint('elapsed:', time() - t)",
            out("elapsed: 0.0024476051330566406\n"),
            out("elapsed: 0.0018603801727294922\n"),
        ),
        same(
            "two drawn uuids",
            "uuid.uuid4()",
            value("UUID('b7f1c2d0-5a1e-4c8e-9a55-0c1d2e3f4a5b')"),
            value("UUID('3e4f5a6b-7c8d-4e9f-a0b1-c2d3e4f5a6b7')"),
        ),
        different(
            "an edited uuid",
            "print(uuid.uuid4(), file=log); row.order_id",
            value("'5a5b5c5d-6e6f-4071-8283-94a5b6c7d8e9'"),
            value("'5a5b5c5d-6e6f-4071-8283-94a5b6c7d8e1'"),
        ),
        same(
            "threads that end in another order",
            "for f in as_completed(jobs): print(*f.result())",
            out("Islands 2.992 139626413647552\nNorth 2.975 139626405254848\n"),
            out("North 2.975 139923514410688\nIslands 2.992 139923514410688\n"),
        ),
        different(
            "another result among them",
            "for f in as_completed(jobs): print(*f.result())",
            out("Islands 2.992 139626413647552\nNorth 2.975 139626405254848\n"),
            out("North 2.976 139923514410688\nIslands 2.992 139923514410688\n"),
        ),
        different(
            "lines in another order without threads",
            "for name in names: print(name)",
            out("Islands\nNorth\n"),
            out("North\nIslands\n"),
        ),
        same(
            "a file's time without its fraction",
            "print(datetime.fromtimestamp(os.path.getmtime('a.csv')), os.stat('a.csv').st_mtime)",
            out("2026-11-20 10:32:21.916179 1795170741.916179\n"),
            out("2026-11-20 10:32:21 1795170741.0\n"),
        ),
        different(
            "a file of another second",
            "print(datetime.fromtimestamp(os.path.getmtime('a.csv')))",
            out("2026-11-20 10:32:21.916179\n"),
            out("2026-11-20 10:32:22\n"),
        ),
        same(
            "ports that Linux chose",
            "print(url, server.server_address)",
            out("http://127.0.0.1:36011 ('127.0.0.1', 36011)\n"),
            out("http://127.0.0.1:38613 ('127.0.0.1', 38613)\n"),
        ),
        different(
            "a port that a program named",
            "print(url)",
            out("http://127.0.0.1:18080\n"),
            out("http://127.0.0.1:18081\n"),
        ),
        same("a runner of tests", "unittest.main()", err("Ran 3 tests in 0.004s\n"), err("Ran 3 tests in 0.005s\n")),
        same(
            "the date of an answer",
            "print(answer.status, dict(answer.headers))",
            out("200 {'Server': 'BaseHTTP/0.6 Python/3.11.7', 'Date': 'Sun, 22 Nov 2026 18:12:55 GMT'}\n"),
            out("200 {'Server': 'BaseHTTP/0.6 Python/3.11.7', 'Date': 'Sun, 29 Nov 2026 09:30:11 GMT'}\n"),
        ),
        same(
            "a line of a server's log",
            "urlopen(base)",
            err(
                "127.0.0.1 - - [22/Nov/2026 18:12:55] \"GET / HTTP/1.1\" 200 -\n10.0.0.9 - - [22/Nov/2026:18:12:55 +0000] 1\n",
            ),
            err(
                "127.0.0.1 - - [29/Nov/2026 09:30:11] \"GET / HTTP/1.1\" 200 -\n10.0.0.9 - - [29/Nov/2026:09:30:11 +0000] 1\n",
            ),
        ),
        same(
            "a socket",
            "s = socket.create_connection(address)\nprint(s)",
            out("<socket.socket fd=65, family=2, type=1, laddr=('127.0.0.1', 48584), raddr=('127.0.0.1', 42855)>\n"),
            out("<socket.socket fd=66, family=2, type=1, laddr=('127.0.0.1', 47176), raddr=('127.0.0.1', 42767)>\n"),
        ),
        same(
            "a template of jinja2",
            "t",
            value("<Template memory:7f7402b31d50>"),
            value("<Template memory:7f52f86eeb50>"),
        ),
        same(
            "a row of a series",
            "cv.loc[0]",
            value("param_C          0.1\nmean_fit_time  0.0059"),
            value("param_C          0.1\nmean_fit_time  0.0081"),
        ),
        same(
            "a display's handle",
            "handle",
            value("<DisplayHandle display_id=6bf20001a3da7ca6a2278bd5a9cb9360>"),
            value("<DisplayHandle display_id=05262be2032942e21738b36398df02f9>"),
        ),
        same(
            "bash's time",
            "time f",
            err("\nreal\t0m0.070s\nuser\t0m0.004s\n"),
            err("\nreal\t0m0.068s\nuser\t0m0.003s\n"),
        ),
        same("a job", "sleep 5 & echo $!", out("[1] 17128\n17128\n"), out("[1] 32\n32\n")),
        different("two job numbers", "sleep 5 & echo", out("[1] 17128\n"), out("[2] 32\n")),
        same("mktemp", "mktemp /tmp/stage.XXXXXX", out("/tmp/stage.cR6wRH\n"), out("/tmp/stage.doBCBM\n")),
        different("a word with a number", "path", out("/tmp/out_alpha1\n"), out("/tmp/out_gamma2\n")),
        different("a duration in a table", "show(t)", out("real estate  3.5 h\n"), out("real estate  3.6 h\n")),
        different("two names in /tmp", "ls /tmp", out("/tmp/stage.Second\n"), out("/tmp/stage.Sector\n")),
        same(
            "resident memory",
            "print(psutil.Process().memory_info().rss / 2**20)",
            out("resident 68.1 MiB\n"),
            out("resident 71.3 MiB\n"),
        ),
        same(
            "a name with the process in it",
            "dump(f, p)",
            value("['/tmp/clf-48213.joblib']"),
            value("['/tmp/clf-2.joblib']"),
        ),
        same("a file's mode", "oct(os.stat(f).st_mode)", value("'0o100644'"), value("'0o100664'")),
        different("another mode", "oct(os.stat(f).st_mode)", value("'0o100644'"), value("'0o100600'")),
        same(
            "a value that was wrapped otherwise",
            "a, t",
            value("(array([1.5  , 2.125]), datetime.datetime(2026, 11, 22, 18, 12, 55, 7))"),
            value("(array([ 1.5  , 2.125]),\n datetime.datetime(2026, 11, 29, 9, 30, 11, 123456))"),
        ),
        different("a number in it", "a, b", value("(array([1.5, 2.5]), 3.25)"), value("(array([1.5, 2.5]),\n 3.2501)")),
        different("other sizes", "print(frame.memory_usage().sum())", out("68.1 MiB\n"), out("71.3 MiB\n")),
        same(
            "a logger's process",
            "log.info('x')",
            out("2026-11-22 18:12:55,325 [48213] INFO x\n"),
            out("2026-11-29 09:30:11,236 [2] INFO x\n"),
        ),
        different("a constant time in another zone", "print(t)", out("25.12.1999 00:00\n"), out("25.12.1999 09:00\n")),
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
        same(
            "rates of what a cell counts",
            "t0 = time.time(); work(); print(n / (time.time() - t0))",
            out("36 correlations in 1.07 ms (33,653/s); 1,288,334 rows/s; 12.5 queries per second\n"),
            out("36 correlations in 0.91 ms (39,586/s); 990,453 rows/s; 14 queries per second\n"),
        ),
        same(
            "lines that two threads tore",
            "with ThreadPoolExecutor() as pool:\n    pool.map(load, zones)",
            out("NO1: peak 1185.8 MWNO2: peak 1202.9 MW\n\nSE1: peak 7.0 MW\n"),
            out("NO2: peak 1202.9 MW\nSE1: peak 7.0 MWNO1: peak 1185.8 MW\n\n"),
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
        same(
            "a temporary directory with a prefix of its own",
            "d",
            out("wrote /tmp/run_87ia2uki/table.csv\n"),
            out("wrote /tmp/run__3aos06e/table.csv\n"),
        ),
        different("another part in /tmp", "p", out("/tmp/part_00000001\n"), out("/tmp/part_00000002\n")),
        different("another batch in /tmp", "p", out("/tmp/batch_a1\n"), out("/tmp/batch_b2\n")),
        different("another word in /tmp", "p", out("/tmp/training\n"), out("/tmp/baseline\n")),
        different("another run in /tmp", "p", out("/tmp/run-2024/a.csv\n"), out("/tmp/run-2025/a.csv\n")),
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
            "a directory and the notebook in ls -la",
            "!ls -la",
            out("drwxr-xr-x 2 ada ada 4096 Nov 22 18:12 .\ndrwxr-xr-x 19 ada ada 4096 Jul  3  2025 ..\n\
                 -rw-r--r-- 1 ada ada  884 Nov 22 18:12 nb.ipynb\n"),
            out("drwxrwxr-x 2 ada ada 4096 Jan  2  1980 .\ndrwxr-xr-x 3 ada ada 4096 Jan  2  1980 ..\n\
                 -rw-rw-r-- 1 ada ada 3747 Nov 22 18:13 nb.ipynb\n"),
        ),
        same(
            "a time as a tuple",
            "print(time.localtime())",
            out(
                "time.struct_time(tm_year=2026, tm_mon=11, tm_mday=22, tm_hour=18, tm_min=12, tm_sec=55, tm_wday=6, tm_yday=326, tm_isdst=0)\n",
            ),
            out(
                "time.struct_time(tm_year=2026, tm_mon=11, tm_mday=29, tm_hour=9, tm_min=30, tm_sec=11, tm_wday=6, tm_yday=333, tm_isdst=0)\n",
            ),
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
            "another directory in ls",
            "!ls -l",
            out("drwxr-xr-x 2 ada ada 4096 Nov 22 18:12 raw\n"),
            out("drwxr-xr-x 2 ada ada 4096 Nov 22 18:12 new\n"),
        ),
        different(
            "a file's owner in ls",
            "!ls -l",
            out("-rw-r--r-- 1 ada ada 9 Nov 22 18:12 out.csv\n"),
            out("-rw-r--r-- 1 root ada 9 Nov 29 09:30 out.csv\n"),
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
        // Found by the ground truth with real kernels.
        same(
            "sklearn's times",
            "cross_validate(Ridge(), X, y)",
            value("{'fit_time': array([0.062, 0.0016]),\n 'test_score': array([0.5])}"),
            value("{'fit_time': array([0.745, 0.0021]),\n 'test_score': array([0.5])}"),
        ),
        same(
            "a pid in a log line",
            "logging.basicConfig(format='%(process)d %(message)s')",
            err("26467 INFO x\n"),
            err("2 INFO x\n"),
        ),
        same("mktemp", "mktemp", out("/tmp/tmp.6LmWyAmfoE\n"), out("/tmp/tmp.W7UscjI0GJ\n")),
        same(
            "bash's time",
            "time sleep 0.01",
            err("real\t0m0.013s\nsys\t0m0.001s\n"),
            err("real\t0m0.012s\nsys\t0m0.000s\n"),
        ),
        same(
            "the mode of a file in a bundle",
            "ls -l",
            out("-rw-r--r-- 1 ada a.csv\n"),
            out("-rw-rw-r-- 1 ada a.csv\n"),
        ),
        same(
            "a clock that an earlier cell started",
            "print(f'{(time.time() - t0) * 1000:.1f} ms')",
            out("2577.7 ms\n"),
            out("2475.1 ms\n"),
        ),
        different(
            "a mode that others may write",
            "ls -l",
            out("-rw-r--r-- 1 ada a.csv\n"),
            out("-rw-r--rw- 1 ada a.csv\n"),
        ),
        same(
            "an e-mail's id and boundary",
            "print(msg)",
            out(
                "ID: <179574193618.238.13636634722449140555@a.b>\n boundary=\"===============3998110596289045816==\"\n",
            ),
            out("ID: <179574195294.2.7475364715679499832@a.b>\n boundary=\"===============4472279479946470148==\"\n"),
        ),
        same(
            "an inode",
            "st = os.stat(p); print(st.st_size, 'bytes, inode', st.st_ino)",
            out("26 bytes, inode 10010833\n"),
            out("26 bytes, inode 6097864\n"),
        ),
        different(
            "a size beside an inode",
            "st = os.stat(p); print(st.st_size, 'bytes, inode', st.st_ino)",
            out("26 bytes, inode 10010833\n"),
            out("27 bytes, inode 6097864\n"),
        ),
        same(
            "ls -i",
            "ls -li",
            out("6382324 -rw-r--r-- 1 root root 74 a.conf\n"),
            out("64486 -rw-r--r-- 1 root root 74 a.conf\n"),
        ),
        same(
            "asyncio's numbers",
            "task",
            value("<Task name='Task-19' result=1>"),
            value("<Task name='Task-28' result=1>"),
        ),
        different(
            "a task's result",
            "task",
            value("<Task name='Task-19' result=1>"),
            value("<Task name='Task-19' result=2>"),
        ),
        same("shared memory", "shm.name", value("'psm_76668f7f'"), value("'psm_b4a4d739'")),
        same(
            "an id that the code cuts",
            "job = 'sir-' + uuid.uuid4().hex[:8]; job",
            value("'sir-26a3ac06'"),
            value("'sir-072ab677'"),
        ),
        different("an id that no code cuts", "commit", value("'sir-26a3ac06'"), value("'sir-072ab677'")),
    ]
}
