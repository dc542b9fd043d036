"""Records, exports, changes one thing, replays, and counts what the verdicts got right.

    run.py PROGRAM [--part rules|kept|all] [--case NAME]... [--twice] [--jobs N] [--keep DIR]

With `--twice` each bundle is replayed by `nbpack replay --twice` too, and that is counted apart. Prints for the cases that rules were mended on and for those kept aside: false alarms (a known-same cell that does not
agree), missed changes (a known-different cell that does), and how often the first cause named is the one that was
seeded. Exit code 0 when all are within the limits (1 %, 1 %, 90 %), 1 when not, 2 when a case could not be run.
"""

import argparse
import concurrent.futures
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cases import CASES  # noqa: E402
from earlier import EARLIER  # noqa: E402
from eighteenth import BLIND as EIGHTEENTH  # noqa: E402
from eighth import BLIND as EIGHTH  # noqa: E402
from fieldwork import BLIND as FIELDWORK  # noqa: E402
from fifteenth import BLIND as FIFTEENTH  # noqa: E402
from fourteenth import BLIND as FOURTEENTH  # noqa: E402
from independent import INDEPENDENT  # noqa: E402
from kept_ordinary import BLIND as KEPT_ORDINARY  # noqa: E402
from later_changed import LATER  # noqa: E402
from looked_at import LOOKED_AT  # noqa: E402
from mended import MENDED  # noqa: E402
from ninth import BLIND as NINTH  # noqa: E402
from operations import OPERATIONS  # noqa: E402
from science import SCIENCE  # noqa: E402
from seventeenth import BLIND as SEVENTEENTH  # noqa: E402
from seventh import BLIND as SEVENTH  # noqa: E402
from sixteenth import BLIND as SIXTEENTH  # noqa: E402
from tenth import BLIND as TENTH  # noqa: E402
from thirteenth import BLIND as THIRTEENTH  # noqa: E402
from workshop import BLIND as WORKSHOP  # noqa: E402

AGREE = {"identical", "equivalent", "within-tolerance", "nondeterministic"}
parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("--part", choices=["rules", "kept", "all"], default="all")
parser.add_argument("--case", action="append", default=[])
parser.add_argument("--twice", action="store_true", help="count `replay --twice` too")
parser.add_argument("--jobs", type=int, default=2)
parser.add_argument("--keep", help="work here and keep what was made")
arguments = parser.parse_args()
program = os.path.abspath(arguments.program)
scratch = pathlib.Path(arguments.keep or tempfile.mkdtemp(prefix="nbpack-verdict-")).absolute()
base = {
    "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": str(scratch / "home"), "LANG": "C.UTF-8",
    "XDG_DATA_HOME": str(scratch / "data"), "XDG_RUNTIME_DIR": str(scratch / "run"), "VIRTUAL_ENV": sys.prefix,
    "JUPYTER_PREFER_ENV_PATH": "0",
}
for name in ("home", "data", "run"):
    (scratch / name).mkdir(parents=True, exist_ok=True)
(scratch / "run").chmod(0o700)
record = pathlib.Path(__file__).resolve().parents[2] / "tests/record.py"


class Failed(Exception):
    pass


def run(command, cwd, more=None, codes=(0,)):
    done = subprocess.run(command, cwd=cwd, env={**base, **(more or {})}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)
    if done.returncode not in codes:
        raise Failed(f"{' '.join(map(str, command))[:300]} ended with {done.returncode}: {done.stderr[-1500:]}")
    return done.stdout


def write(where, files):
    where.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def recorded(case, where, name, cells):
    run([sys.executable, record, where / name, f"{case.kernel}-nbpack", *cells], where, case.environment)


def export(where, name):
    target = where / name.replace(".ipynb", ".nbpack")
    # A token that a cell shows would stop it.
    run([program, "export", "--quiet", "--force", "--redact", name, "-o", target], where)
    return target


def served(case):
    """Starts the server of a case; gives its port and how to stop it."""
    if not case.server:
        return 0, lambda: None

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"answer\n")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port, lambda: (server.shutdown(), server.server_close())


upgrading = threading.Lock()
# By name of the case what `replay --twice` said.
again = {}


def judged(case):
    where = scratch / "work" / case.name.replace(" ", "-")
    shutil.rmtree(where, ignore_errors=True)
    write(where, case.files)
    port, stop = served(case)
    cells = [cell.code.replace("{port}", str(port)) for cell in case.cells]
    if case.upgrade:
        with upgrading:
            return upgraded(case, where, cells)
    first = where
    if case.moved:
        first = where / "a"
        write(first, case.files)
    recorded(case, first, "then.ipynb", cells)
    stop()
    if case.moved or case.order or case.edited:
        second = where / "elsewhere" / "b" if case.moved else where
        write(second, case.files)
        changed = [(case.edited or {}).get(at, cells[at]) for at in case.order or range(len(cells))]
        recorded(case, second, "now.ipynb", changed)
        return json.loads(run([program, "diff", "--json", first / "then.ipynb", second / "now.ipynb"], where, codes=(0, 1, 2)))["outputs"]
    bundle = export(where, "then.ipynb")
    command = [program, "replay", "--json", bundle]
    if case.twice:
        command.append("--twice")
    write(where / "new", case.data)
    for name in case.data:
        command += ["-v", f"{where}/new/{name}:{where}/{name}:ro"]
    if case.patch:
        command += ["-v", patched(case, where)]
    for name, value in case.given.items():
        command += ["-e", f"{name}={value}"]
    if case.cpus:
        command = ["taskset", "-c", ",".join(map(str, range(case.cpus))), *command]
    once = json.loads(run(command, where, codes=(0, 1, 2)))["executions"]
    if arguments.twice and not case.twice:
        again[case.name] = json.loads(run([*command, "--twice"], where, codes=(0, 1, 2)))["executions"]
    return once


def patched(case, where):
    """A copy of the library's directory with one thing changed in it, to be shown in the place of the original."""
    name, old, new = case.patch
    site = pathlib.Path(sys.prefix) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    top = name.split("/")[0]
    copy = where / "patched" / top
    shutil.copytree(site / top, copy, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / name.split("/", 1)[1]
    text = file.read_text()
    if old not in text:
        raise Failed(f"{name} holds no {old!r}")
    file.write_text(text.replace(old, new))
    return f"{copy}:{site / top}:ro"


def upgraded(case, where, cells):
    now, then = case.upgrade
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
    recorded(case, where, "then.ipynb", cells)
    first = export(where, "then.ipynb")
    run([*pip, then], where)
    try:
        recorded(case, where, "now.ipynb", cells)
        second = export(where, "now.ipynb")
    finally:
        run([*pip, now], where)
    return json.loads(run([program, "diff", "--json", first, second], where, codes=(0, 1, 2)))["outputs"]


def count(case, executions):
    """(known same, alarms, known different, missed, causes asked, causes right, lines to show)"""
    same = alarms = different = missed = right = found = 0
    lines = []
    for number, cell in enumerate(case.cells, 1):
        one = next((one for one in executions if one["number"] == number), None)
        verdict = one["verdict"] if one else "absent"
        causes = [cause["kind"] for cause in one["causes"]] if one else []
        say = lambda what: lines.append(f"  {what}: {case.name}, cell {number}: {verdict} {causes} {json.dumps(one.get('differences') if one else None)[:400]}")
        if cell.truth == "differs":
            different += 1
            if verdict not in ("changed", "error"):
                missed += 1
                say("MISSED")
                continue
            found += 1
            if causes and causes[0] in cell.cause:
                right += 1
            else:
                say(f"CAUSE (not {'/'.join(sorted(cell.cause))})")
        else:
            same += 1
            if verdict not in AGREE:
                alarms += 1
                say("ALARM")
    return same, alarms, different, missed, found, right, lines


def part(title, cases, results):
    totals, lines, unable = [0] * 6, [], 0
    for case in cases:
        result = results[case.name]
        if isinstance(result, str):
            unable += 1
            lines.append(f"  UNABLE: {case.name}: {result}")
            continue
        *numbers, more = count(case, result)
        totals = [a + b for a, b in zip(totals, numbers)]
        lines += more
    same, alarms, different, missed, found, right = totals
    print(f"\n{title}: {len(cases)} notebooks, {same + different} cells")
    rate = lambda part, whole: 100 * part / whole if whole else 0.0
    print(f"  false alarms   {alarms:3} of {same:3} known same       {rate(alarms, same):5.1f} %   (limit 1 %)")
    print(f"  missed changes {missed:3} of {different:3} known different  {rate(missed, different):5.1f} %   (limit 1 %)")
    print(f"  cause right    {right:3} of {found:3} found            {rate(right, found):5.1f} %   (at least 90 %)")
    print("\n".join(lines))
    good = rate(alarms, same) <= 1 and rate(missed, different) <= 1 and rate(right, found) >= 90
    return 2 if unable else 0 if good else 1


def main():
    earlier = [*CASES, *EARLIER, *INDEPENDENT, *MENDED, *LATER, *LOOKED_AT, *OPERATIONS, *SCIENCE]
    blind = [*SEVENTH, *EIGHTH, *NINTH, *TENTH, *FIELDWORK, *WORKSHOP, *THIRTEENTH, *FOURTEENTH]
    blind += [*FIFTEENTH, *SIXTEENTH, *SEVENTEENTH, *EIGHTEENTH]
    rules, kept = [*earlier, *blind], [*KEPT_ORDINARY]
    parts = {"rules": rules, "kept": kept, "all": [*rules, *kept]}
    wanted = [case for case in parts[arguments.part] if not arguments.case or case.name in arguments.case]
    run([sys.executable, "-m", "bash_kernel.install", "--sys-prefix"], scratch)
    for kernel in sorted({case.kernel for case in wanted}):
        run([program, "install", "--kernel", kernel, "--user"], scratch)
    assert len({case.name for case in wanted}) == len(wanted), "two cases have one name"
    results, done = {}, 0

    def attempt(case):
        try:
            return judged(case)
        except (Failed, subprocess.TimeoutExpired, OSError, ValueError) as error:
            return str(error)

    # What changes the environment itself runs alone.
    shared, alone = [c for c in wanted if not c.upgrade], [c for c in wanted if c.upgrade]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for case, result in zip(shared, pool.map(attempt, shared)):
            results[case.name] = result
            done += 1
            print(f"\r{done} of {len(wanted)}: {case.name:40}", end="", file=sys.stderr, flush=True)
    for case in alone:
        results[case.name] = attempt(case)
    print(file=sys.stderr)
    codes = []
    for title, of in [("cases that rules were mended on", rules), ("cases kept aside", kept)]:
        names = {case.name for case in of}
        cases = [case for case in wanted if case.name in names]
        if cases:
            codes.append(part(title, cases, results))
            if arguments.twice:
                codes.append(part(f"{title}, replayed twice", cases, {**results, **again}))
    if arguments.keep:
        (scratch / "results.json").write_text(json.dumps(results, indent=1))
    return max(codes, default=2)


try:
    code = main()
finally:
    if not arguments.keep:
        subprocess.run(["chmod", "-R", "u+w", str(scratch)], check=False)
        shutil.rmtree(scratch, ignore_errors=True)
sys.exit(code)
