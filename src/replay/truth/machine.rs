//! What a cell says of the machine, and of the libraries that measure it.

use super::{Case, different, out, same, value};

pub(super) fn machine() -> Vec<Case> {
    vec![
        same(
            "a profile",
            "cProfile.run('f()')",
            out("    20001    0.018    0.000    0.018    0.000 cell.py:2(f)\n"),
            out("    20001    0.014    0.000    0.014    0.000 cell.py:2(f)\n"),
        ),
        different(
            "a profile's calls",
            "cProfile.run('f()')",
            out("    20001    0.018    0.000    0.018    0.000 cell.py:2(f)\n"),
            out("    20002    0.018    0.000    0.018    0.000 cell.py:2(f)\n"),
        ),
        same(
            "load",
            "print('load', os.getloadavg())",
            out("load (3.81, 5.72, 5.33)\n"),
            out("load (0.02, 0.11, 0.4)\n"),
        ),
        different("a load that is data", "print('load', truck.load)", out("load 3.81\n"), out("load 3.82\n")),
        same(
            "free space",
            "print('free', shutil.disk_usage('/').free)",
            out("free 24163266560\n"),
            out("free 24300740608\n"),
        ),
        same("uptime", "print('clock', time.monotonic())", out("clock 34411.56\n"), out("clock 219.57\n")),
        different(
            "a count beside a clock",
            "print(n, 'nodes, clock', time.monotonic())",
            out("34 nodes, clock 34411.56\n"),
            out("35 nodes, clock 34419.57\n"),
        ),
        same(
            "thousands of microseconds",
            "print(f'{t.elapsed():,} µs')  # perf_counter",
            out("2,496 µs\n"),
            out("886 µs\n"),
        ),
        different("a number beside no pid", "len(x)", value("26467"), value("2")),
        same(
            "processor time",
            "print(total, time.process_time(), 's of cpu')",
            out("60 1.971 s of cpu\n"),
            out("60 2.115 s of cpu\n"),
        ),
        same(
            "processor time without a unit",
            "print('cpu', time.process_time())",
            out("cpu 0.886144645\n"),
            out("cpu 0.950516553\n"),
        ),
        same(
            "a library's own table of times",
            "Boosting(verbose=1).fit(x, y)",
            out("         4         548.6449            0.03s\n"),
            out("         4         548.6449            0.02s\n"),
        ),
        different(
            "a loss beside it",
            "Boosting(verbose=1).fit(x, y)",
            out("         4         548.6449            0.03s\n"),
            out("         4         549.6449            0.02s\n"),
        ),
        same(
            "a file in a temporary directory, listed",
            "!ls -l {target}",
            out("-rw-r--r-- 1 ada ada 463 Nov 22 18:12 /tmp/logs-4bc7er6z/errors.csv\n"),
            out("-rw-r--r-- 1 ada ada 463 Nov 29 09:30 /tmp/logs-xlui94t5/errors.csv\n"),
        ),
        different(
            "its size",
            "!ls -l {target}",
            out("-rw-r--r-- 1 ada ada 463 Nov 22 18:12 /tmp/logs-4bc7er6z/errors.csv\n"),
            out("-rw-r--r-- 1 ada ada 464 Nov 29 09:30 /tmp/logs-xlui94t5/errors.csv\n"),
        ),
        same(
            "an id that happens to be a number",
            "uuid.uuid4().hex[:8]",
            out("{'Ann': 'ef6b6942', 'Fay': '03732500'}\n"),
            out("{'Ann': '5ae548cf', 'Fay': 'b6f4a5ad'}\n"),
        ),
        different(
            "a number of that length",
            "uuid.uuid4().hex[:8]",
            out("{'Ann': 'ef6b6942', 'born': '19991231'}\n"),
            out("{'Ann': '5ae548cf', 'born': '20021114'}\n"),
        ),
        same(
            "the time of a file, which a bundle cuts to seconds",
            "print(datetime.fromtimestamp(os.path.getmtime(name)))",
            out("file of 2024-11-27 16:10:50.793360\n"),
            out("file of 2024-11-27 16:10:50.000000\n"),
        ),
        different(
            "another second",
            "print(datetime.fromtimestamp(os.path.getmtime(name)))",
            out("file of 2024-11-27 16:10:50.793360\n"),
            out("file of 2024-11-27 16:10:51.000000\n"),
        ),
        same("an address without a mark", "print('%x' % id(ax))", out("7f39f9b34390\n"), out("7fec31494510\n")),
        different("a digest of that length", "print(short(digest))", out("7f39f9b34390\n"), out("7fec31494510\n")),
    ]
}
