"""A blind set that was kept aside: programming, files, servers, dates, shells.

Written by someone who had seen neither the rules nor the other cases, asked for notebooks as people write them. Every truth was
decided from what the cell does, then checked in a plain kernel before and after its change. README has its figures at first sight. Rules were mended by some of these since.
"""

from truth import Case, Cell, differs, same, varies  # noqa: F401

BLIND = []


def case(name, *cells, **more):
    BLIND.append(Case("f-" + name, list(cells), **more))


# ---------------------------------------------------------------- noise alone

case("threads-asyncio",
same(r'''import threading, time, asyncio, queue, logging
from concurrent.futures import ThreadPoolExecutor
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(threadName)s %(thread)d %(message)s", force=True)
threading.current_thread()'''),
same(r'''def worker(n, wait):
    time.sleep(wait)
    logging.info("job %d finished", n)
    return n * n

threads = [threading.Thread(target=worker, args=(k, 0.15 * k)) for k in range(4)]
for t in threads: t.start()
for t in threads: t.join()
threads'''),
same(r'''%%time
with ThreadPoolExecutor(max_workers=3) as pool:
    squares = list(pool.map(lambda n: worker(n, 0.02), [5]))
    futures = [pool.submit(pow, 2, n) for n in range(6)]
print(squares, [f.result() for f in futures])
print(futures[3])'''),
same(r'''lock = threading.Lock()
counter = 0
def add(times):
    global counter
    for _ in range(times):
        with lock:
            counter += 1
ts = [threading.Thread(target=add, args=(2000,)) for _ in range(5)]
[t.start() for t in ts]; [t.join() for t in ts]
print("counter:", counter, "lock:", lock)'''),
same(r'''async def fetch(name, delay):
    start = time.perf_counter()
    await asyncio.sleep(delay)
    return name, round(time.perf_counter() - start, 4)

results = await asyncio.gather(fetch("a", .2), fetch("b", .05), fetch("c", .1))
for name, took in results:
    print(f"{name}: {took}s")
fetch'''),
same(r'''import multiprocessing as mp
def cube(n):
    return n ** 3
ctx = mp.get_context("fork")
with ctx.Pool(2) as p:
    print(p)
    print(p.map(cube, range(8)))'''),
same(r'''q = queue.Queue(maxsize=2)
def producer():
    for item in ["bread", "milk", "eggs"]:
        q.put(item)
    q.put(None)
threading.Thread(target=producer, daemon=True).start()
got = []
while (item := q.get()) is not None:
    got.append(item)
print(got)
q'''),
)

case("crypto-lesson",
same(r'''import hashlib, hmac, secrets, base64, zlib, binascii
for algo in ("md5", "sha1", "sha256"):
    print(f"{algo:7}", hashlib.new(algo, b"attack at dawn").hexdigest())'''),
varies(r'''# a password must be salted: run this cell again and see another hash
salt = secrets.token_bytes(16)
stored = hashlib.pbkdf2_hmac("sha256", b"correct horse", salt, 20_000)
print("salt  ", salt.hex())
print("stored", stored.hex())'''),
same(r'''def check(password):
    return hmac.compare_digest(stored, hashlib.pbkdf2_hmac("sha256", password, salt, 20_000))
check(b"correct horse"), check(b"Tr0ub4dor&3")'''),
same(r'''def caesar(text, k):
    return "".join(chr((ord(c) - 97 + k) % 26 + 97) if c.islower() else c for c in text)
secret = caesar("the quick brown fox", 7)
for k in range(1, 26):
    if "the" in caesar(secret, -k):
        print("key", k, "->", caesar(secret, -k))
base64.b64encode(secret.encode())'''),
same(r'''%timeit -n 20 -r 3 hashlib.sha256(b"x" * 4096).digest()'''),
varies(r'''token = secrets.token_urlsafe(24)
print("your session token:", token)
print("length", len(token))'''),
same(r'''# RSA with toy numbers
p, q, e = 61, 53, 17
n, phi = p * q, (p - 1) * (q - 1)
d = pow(e, -1, phi)
m = 65
c = pow(m, e, n)
print(f"n={n} d={d} cipher={c} plain={pow(c, d, n)}")
h = hashlib.sha256()
h'''),
same(r'''# diffie-hellman: everyone draws a secret exponent
P, G = 0xFFFFFFFB, 5
a, b = secrets.randbelow(P), secrets.randbelow(P)
A, B = pow(G, a, P), pow(G, b, P)
assert pow(B, a, P) == pow(A, b, P)
"shared secret is equal on both sides"'''),
)

case("housekeeping",
same(r'''import os, shutil, tempfile, zipfile, pathlib, time, datetime as dt
work = pathlib.Path(tempfile.mkdtemp(prefix="tidy_"))
print("working in", work)
for i, ext in enumerate(["txt", "log", "csv", "log", "tmp"]):
    (work / f"file{i}.{ext}").write_text("line\n" * (i + 1) * 10)
sorted(p.name for p in work.iterdir())'''),
same(r'''for p in sorted(work.glob("*")):
    s = p.stat()
    print(f"{p.name:12} {s.st_size:5d}  {dt.datetime.fromtimestamp(s.st_mtime):%Y-%m-%d %H:%M:%S}  inode {s.st_ino}")'''),
same(r'''archive = work / "backup.zip"
with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as z:
    for p in sorted(work.glob("file*")):
        z.write(p, p.name)
    z.printdir()
archive'''),
same(r'''!ls -l notes.txt
!wc -l notes.txt && sort notes.txt | uniq -c'''),
same(r'''by_ext = {}
for p in work.rglob("*.*"):
    if p.suffix != ".zip":
        by_ext.setdefault(p.suffix, set()).add(p.name)
{k: len(v) for k, v in sorted(by_ext.items())}, by_ext[".log"]'''),
same(r'''for p in sorted(work.glob("*.tmp")):
    print("removing", p)
    p.unlink()
try:
    (work / "file4.tmp").read_text()
except FileNotFoundError as err:
    print("gone:", err)'''),
same(r'''%%bash
d=$(mktemp -d)
cp notes.txt $d/
echo "copied to $d on $(date)"
md5sum < $d/notes.txt
rm -r $d'''),
same(r'''shutil.rmtree(work)
open(work / "file0.txt")'''),
files={"notes.txt": "buy milk\ncall Ann\nbuy milk\nfix bike\n"},
)

case("local-server",
same(r'''import http.server, threading, json, urllib.request, urllib.error
class Handler(http.server.BaseHTTPRequestHandler):
    hits = 0
    def do_GET(self):
        Handler.hits += 1
        known = {"/": {"hello": "world"}, "/stock": {"nails": 120, "screws": 75}}
        self.send_response(200 if self.path in known else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(known.get(self.path, {"error": "no such page"})).encode())
Handler'''),
same(r'''server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
thread = threading.Thread(target=server.serve_forever, daemon=True)
thread.start()
base = "http://127.0.0.1:%d" % server.server_address[1]
print("listening on", base)
server'''),
same(r'''with urllib.request.urlopen(base + "/stock") as answer:
    print(answer.status, dict(answer.headers))
    stock = json.load(answer)
stock'''),
same(r'''try:
    urllib.request.urlopen(base + "/nothing")
except urllib.error.HTTPError as err:
    print("HTTP", err.code, err.read().decode())'''),
same(r'''import time
times = []
for _ in range(10):
    t = time.perf_counter()
    urllib.request.urlopen(base + "/").read()
    times.append(time.perf_counter() - t)
print(f"10 requests, mean {1000 * sum(times) / 10:.2f} ms, worst {1000 * max(times):.2f} ms")
Handler.hits'''),
same(r'''import socket
s = socket.create_connection(server.server_address)
s.sendall(b"GET /stock HTTP/1.0\r\n\r\n")
raw = b""
while chunk := s.recv(1000):
    raw += chunk
print(s)
print(raw.decode().replace("\r\n", "\n"))
s.close()'''),
same(r'''server.shutdown(); server.server_close()
print("stopped", threading.active_count() > 0)
urllib.request.urlopen(base + "/", timeout=2)'''),
)

case("unit-tests",
same(r'''def roman(n):
    """Roman numeral of n.

    >>> roman(1994)
    'MCMXCIV'
    >>> roman(4)
    'IV'
    """
    out = ""
    for value, sign in [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]:
        while n >= value:
            out += sign
            n -= value
    return out
[roman(k) for k in (3, 49, 2024)]'''),
same(r'''import unittest, time
class TestRoman(unittest.TestCase):
    def test_small(self):
        self.assertEqual([roman(i) for i in (1, 2, 3)], ["I", "II", "III"])
    def test_nine(self):
        self.assertEqual(roman(9), "IX")
    def test_slow(self):
        time.sleep(0.03)
        self.assertTrue(roman(3999).startswith("MMM"))
    def test_zero(self):
        self.assertEqual(roman(0), "N")   # the Romans had no zero; known to fail
suite = unittest.main(argv=["nb"], verbosity=2, exit=False)
suite'''),
same(r'''import doctest
doctest.testmod(verbose=False)'''),
same(r'''from unittest import mock
m = mock.Mock(return_value=42)
print(m(1, 2), m.call_args)
m'''),
same(r'''assert roman(40) == "XXXX", f"old style expected, got {roman(40)}"'''),
same(r'''import sys, subprocess
open("test_tmp.py", "w").write("import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(sum(range(5)), 10)\n    def test_b(self): self.assertIn('x', 'xyz')\nunittest.main()\n")
r = subprocess.run([sys.executable, "test_tmp.py"], capture_output=True, text=True)
print(r.returncode)
print(r.stderr)'''),
same(r'''%who'''),
)

case("dice-night",
same(r'''import random, collections, time
import matplotlib.pyplot as plt
%matplotlib inline
t0 = time.time()
def roll(rng, n=2): return sum(rng.randint(1, 6) for _ in range(n))
print("started", time.ctime(t0))'''),
varies(r'''# this evening's throws
throws = [roll(random) for _ in range(30)]
print(throws)'''),
varies(r'''plt.plot([sum(throws[:k]) / k for k in range(1, 31)])
plt.axhline(7, ls=":")
plt.title("running mean of our throws")
plt.show()'''),
same(r'''rng = random.Random(1234)
practice = collections.Counter(roll(rng) for _ in range(500))
for k in sorted(practice):
    print(f"{k:2d} {'#' * (practice[k] // 3)}")'''),
same(r'''plt.bar(*zip(*sorted(practice.items())))
plt.xlabel("pips"); plt.show()
print(f"took {time.time() - t0:.2f} s so far")'''),
varies(r'''deck = [r + s for s in "SHDC" for r in "A23456789TJQK"]
random.shuffle(deck)
hands = {p: deck[i::4] for i, p in enumerate(["Ann", "Ben", "Cleo", "Dan"])}
for p, h in hands.items(): print(p, " ".join(sorted(h)))'''),
same(r'''print({p: len(h) for p, h in hands.items()}, "cards in all:", len(set(deck)))
from fractions import Fraction
ways = collections.Counter(a + b for a in range(1, 7) for b in range(1, 7))
{s: str(Fraction(n, 36)) for s, n in ways.items()}'''),
varies(r'''def monty(switch):
    car, pick = random.randrange(3), random.randrange(3)
    return (car == pick) != switch
wins = [monty(True) for _ in range(200_000)]
stay = [monty(False) for _ in range(200_000)]
print(f"switching wins {sum(wins)} of {len(wins)}, staying {sum(stay)} of {len(stay)}")'''),
)

case("night-report",
same(r'''import sqlite3, logging, sys, json, time, uuid, datetime as dt
from tqdm import tqdm
from rich.console import Console
from rich.table import Table
logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s [%(levelname)s] pid=%(process)d %(message)s", force=True)
log = logging.getLogger("night")
log.info("report starts, python %s", sys.version.split()[0])'''),
same(r'''db = sqlite3.connect(":memory:")
db.execute("create table job(id integer primary key, name text, minutes real, at text default current_timestamp)")
db.executemany("insert into job(name, minutes) values (?, ?)", [("backup", 31.5), ("index", 12.25), ("mail", 3.0), ("backup", 29.0)])
db'''),
same(r'''for row in db.execute("select * from job"): print(row)
print(db.execute("select name, sum(minutes) from job group by name order by 1").fetchall())'''),
same(r'''total = 0
for m, in tqdm(db.execute("select minutes from job").fetchall(), desc="adding"):
    time.sleep(0.05)
    total += m
log.info("total %.2f minutes", total)'''),
same(r'''table = Table(title="Jobs", caption=f"printed {dt.datetime.now():%d.%m.%Y %H:%M:%S}")
for c in ("id", "name", "minutes"): table.add_column(c, justify="right")
for r in db.execute("select id, name, minutes from job"): table.add_row(*map(str, r))
Console(width=60).print(table)'''),
same(r'''report = {"run": str(uuid.uuid4()), "generated": dt.datetime.now(dt.timezone.utc).isoformat(), "jobs": 4, "minutes": total}
print(json.dumps(report, indent=2))'''),
same(r'''from IPython.display import HTML
HTML(f"<h3>Night report</h3><p id='r{uuid.uuid4().hex[:8]}'>{report['jobs']} jobs, <b>{report['minutes']}</b> minutes<br><small>{report['generated']}</small></p>")'''),
same(r'''try:
    db.execute("insert into jobs values (1)")
except sqlite3.OperationalError:
    log.exception("cannot write")'''),
)

# ---------------------------------------------------------------- data

LOG = """10.0.0.5 - - [03/Mar/2024:08:01:11 +0000] "GET / HTTP/1.1" 200 5120
10.0.0.9 - - [03/Mar/2024:08:01:15 +0000] "GET /cart HTTP/1.1" 200 2211
10.0.0.5 - - [03/Mar/2024:08:02:40 +0000] "POST /login HTTP/1.1" 302 0
10.0.0.7 - - [03/Mar/2024:08:03:02 +0000] "GET /img/a.png HTTP/1.1" 200 40960
10.0.0.9 - - [03/Mar/2024:08:03:30 +0000] "GET /old HTTP/1.1" 404 312
10.0.0.5 - - [03/Mar/2024:08:04:01 +0000] "GET / HTTP/1.1" 200 5120
10.0.0.8 - - [03/Mar/2024:08:04:44 +0000] "GET /cart HTTP/1.1" 500 98
10.0.0.7 - - [03/Mar/2024:08:05:12 +0000] "GET /cart HTTP/1.1" 200 2330
10.0.0.8 - - [03/Mar/2024:08:06:59 +0000] "GET /img/b.png HTTP/1.1" 200 20480
10.0.0.5 - - [03/Mar/2024:08:07:20 +0000] "GET /logout HTTP/1.1" 302 0
"""
case("access-log",
same(r'''import re, collections, time, logging
import pandas as pd, matplotlib.pyplot as plt
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
pat = re.compile(r'(\S+) - - \[(.*?)\] "(\w+) (\S+) [^"]*" (\d+) (\d+)')
pat'''),
same(r'''!head -2 access.log
!wc -l access.log'''),
same(r'''start = time.time()
rows = [pat.match(line).groups() for line in open("access.log")]
df = pd.DataFrame(rows, columns="ip when verb path status bytes".split())
df["bytes"] = df.bytes.astype(int)
logging.info("parsed %d lines in %.4f s", len(df), time.time() - start)
df.head(3)'''),
differs(r'''df.status.value_counts().sort_index()''', "data"),
same(r'''df.groupby("ip").bytes.agg(["size", "sum"])'''),
differs(r'''share = (df.status.str[0] == "5").mean()
logging.warning("share of server errors: %.1f %%", 100 * share)''', "data"),
differs(r'''df.status.value_counts().sort_index().plot.bar(title="answers"); plt.show()''', "data"),
differs(r'''!grep -c ' 500 ' access.log
!date''', "data"),
same(r'''hosts = {ip for ip in df.ip}
print(hosts, len(hosts))'''),
files={"access.log": LOG}, data={"access.log": LOG.replace("HTTP/1.1\" 200 2330", "HTTP/1.1\" 500 2330")},
)

PGM = "P2\n12 8\n255\n" + "\n".join(" ".join(str((20 * x + 9 * y) % 120 + 30) for x in range(12)) for y in range(8)) + "\n"
_r = PGM.split("\n"); _l = _r[7].split(); _l[5] = "250"; PGM2 = "\n".join(_r[:7] + [" ".join(_l)] + _r[8:])
case("scan-pixels",
same(r'''from PIL import Image, ImageOps
import numpy as np, matplotlib.pyplot as plt, tempfile, os
im = Image.open("scan.pgm")
print(im.format, im.mode, im.size)
str(im)'''),
differs(r'''a = np.asarray(im).astype(int)
print("min", a.min(), "max", a.max(), "mean", a.mean().round(3))''', "data"),
differs(r'''plt.imshow(a, cmap="gray"); plt.colorbar(); plt.show()''', "data", "downstream"),
same(r'''print("left edge ", a[:, 0])
print("right edge", a[:, -1])
np.rot90(a).shape'''),
differs(r'''bright = np.argwhere(a > 200)
print(len(bright), "bright pixels", bright.tolist())''', "data", "downstream"),
same(r'''with tempfile.NamedTemporaryFile(suffix=".png", delete=False) as f:
    ImageOps.flip(im.convert("L").resize((24, 16))).save(f, "PNG")
print("saved", f.name)
print(Image.open(f.name).size)
os.unlink(f.name)'''),
same(r'''t = np.linspace(0, 1, 200, endpoint=False)
signal = np.sin(2 * np.pi * 7 * t) + .5 * np.sin(2 * np.pi * 20 * t)
spec = np.abs(np.fft.rfft(signal))
print("peaks at", np.argsort(spec)[-2:][::-1], "Hz")
plt.plot(spec[:40]); plt.show()'''),
differs(r'''import hashlib
print("fingerprint", hashlib.sha1(open("scan.pgm", "rb").read()).hexdigest())''', "data"),
files={"scan.pgm": PGM}, data={"scan.pgm": PGM2},
)

INV = "item,shelf,count,price\nbolt,A1,120,0.15\nnut,A2,300,0.08\nhammer,C4,7,14.90\nsaw,C5,3,22.00\ndrill,D1,2,89.00\nglue,B3,18,4.25\n"
case("bash-inventory",
same(r'''ls *.csv
head -n 3 inventory.csv'''),
same(r'''echo "shell $BASH_VERSION started, pid $$"
date +"%F %T"
cut -d, -f2 inventory.csv | tail -n +2 | cut -c1 | sort | uniq -c'''),
differs(r'''awk -F, 'NR > 1 { total += $3 * $4 } END { printf "stock value %.2f\n", total }' inventory.csv''', "data"),
differs(r'''awk -F, 'NR > 1 && $3 < 5 { print $1, "only", $3, "left" }' inventory.csv | sort''', "data"),
same(r'''sort -t, -k4 -g -r inventory.csv | head -n 2 | cut -d, -f1,4'''),
same(r'''time sleep 0.1
T=$(mktemp); grep -c . inventory.csv > $T; echo "$T: $(cat $T)"; rm $T'''),
differs(r'''sha256sum inventory.csv; wc -c inventory.csv''', "data"),
kernel="bash", files={"inventory.csv": INV}, data={"inventory.csv": INV.replace("saw,C5,3", "saw,C5,9")},
)

YML = "name: Cave of Echoes\nseed: 4711\nwidth: 24\nheight: 8\nmonsters: [goblin, bat, ooze]\n"
case("dungeon-seed",
same(r'''import yaml, random, time, collections
cfg = yaml.safe_load(open("settings.yaml"))
print("generating", cfg["name"], cfg["width"], "x", cfg["height"], "at", time.strftime("%X"))
cfg["monsters"]'''),
differs(r'''rng = random.Random(cfg["seed"])
grid = [["#" if rng.random() < .3 else "." for _ in range(cfg["width"])] for _ in range(cfg["height"])]
print("\n".join("".join(r) for r in grid))''', "data"),
differs(r'''def flood(x, y, seen):
    todo = [(x, y)]
    while todo:
        x, y = todo.pop()
        if (x, y) in seen or not (0 <= x < cfg["width"] and 0 <= y < cfg["height"]) or grid[y][x] == "#": continue
        seen.add((x, y))
        todo += [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
    return seen
start = next((x, y) for y, r in enumerate(grid) for x, c in enumerate(r) if c == ".")
cave = flood(*start, set())
print("start", start, "reachable fields:", len(cave))''', "data", "downstream"),
same(r'''Monster = collections.namedtuple("Monster", "kind hp")
zoo = [Monster(k, 5 * len(k)) for k in cfg["monsters"]]
print(zoo)
flood'''),
differs(r'''placed = [(m, rng.randrange(cfg["width"]), rng.randrange(cfg["height"])) for m in cfg["monsters"] for _ in range(3)]
for m, x, y in placed: print(f"{m:7} at {x:2},{y}")''', "data", "downstream"),
same(r'''%%time
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
print("warm-up:", fib(18))'''),
varies(r'''hero = random.choices(range(3, 19), k=40)
print("dice of the real player:", hero)'''),
files={"settings.yaml": YML}, data={"settings.yaml": YML.replace("4711", "4712")},
)

# ---------------------------------------------------------------- a library

case("disk-mail",
same(r'''import jinja2, datetime as dt
from jinja2 import Template, Environment
env = Environment(trim_blocks=True, autoescape=True)
env'''),
same(r'''print(Template("Dear {{ name|title }},\n{% for n in range(3) %}- point {{ n }}\n{% endfor %}").render(name="ada lovelace"))'''),
differs(r'''usage = [("ann", 812_345_678), ("ben", 4_096), ("cleo", 77_000_000_000)]
t = env.from_string("{% for who, n in usage %}\n{{ who.ljust(6) }} {{ n|filesizeformat }}\n{% endfor %}")
print(t.render(usage=usage))''', "library"),
differs(r'''from IPython.display import HTML
page = env.from_string("<table>{% for w, n in usage %}<tr><td>{{ w }}</td><td>{{ n|filesizeformat }}</td></tr>{% endfor %}</table><small>{{ now }}</small>")
HTML(page.render(usage=usage, now=dt.datetime.now().strftime("%c")))''', "library"),
same(r'''print(env.from_string("{{ total|int }} bytes by {{ usage|length }} users; biggest: {{ (usage|sort(attribute=1)|last)[0] }}").render(usage=usage, total=sum(n for _, n in usage)))'''),
same(r'''try:
    env.from_string("{% if x %}open").render(x=1)
except jinja2.TemplateSyntaxError as e:
    print(type(e).__name__, e)
t'''),
differs(r'''lines = [env.from_string("{{ n|filesizeformat }}").render(n=10 ** k) for k in (3, 6, 7, 11)]
open("sizes.txt", "w").write("\n".join(lines) + "\n")
!cat sizes.txt''', "library"),
same(r'''print(env.from_string("{{ 1|filesizeformat }}, {{ 512|filesizeformat }}, {{ names|join(' & ') }}").render(names=["a", "b"]))'''),
patch=("jinja2/filters.py", 'return f"{base * bytes / unit:.1f} {prefix}"\n\n        return', 'return f"{base * bytes / unit:.2f} {prefix}"\n\n        return'),
)

case("feast-days",
same(r'''import calendar, datetime as dt
from dateutil.easter import easter
from dateutil.relativedelta import relativedelta
from dateutil.rrule import rrule, WEEKLY, MONTHLY, FR
print("today is", dt.date.today().isoformat())'''),
differs(r'''for y in range(2023, 2028):
    print(y, easter(y).strftime("%d %B"))''', "library"),
differs(r'''def holidays(y):
    e = easter(y)
    return {"Good Friday": e - dt.timedelta(2), "Easter Monday": e + dt.timedelta(1), "Whit Monday": e + dt.timedelta(50), "Labour Day": dt.date(y, 5, 1), "Christmas": dt.date(y, 12, 25)}
holidays(2025)''', "library"),
same(r'''print(calendar.month(2025, 4))
[d.date().isoformat() for d in rrule(MONTHLY, count=4, byweekday=FR(-1), dtstart=dt.datetime(2025, 1, 1))]'''),
same(r'''born = dt.date(1990, 2, 28)
age = relativedelta(dt.date(2024, 7, 1), born)
print(age.years, "years", age.months, "months")
age'''),
differs(r'''def workdays(y, m):
    free = set(holidays(y).values())
    return sum(1 for d in range(1, calendar.monthrange(y, m)[1] + 1) if (x := dt.date(y, m, d)).weekday() < 5 and x not in free)
{m: workdays(2027, m) for m in (3, 4, 5, 6)}''', "library", "downstream"),
same(r'''t = dt.datetime.now()
fixed = {n: d for n, d in holidays(2026).items() if n in ("Labour Day", "Christmas")}
print(fixed, "in", dt.datetime.now() - t)'''),
patch=("dateutil/easter.py", "j = (y + y//4 + i + 2 - c + c//4) % 7", "j = (y + y//4 + i + 1 - c + c//4) % 7"),
)

case("web-ranking",
same(r'''import networkx as nx, matplotlib.pyplot as plt, time
links = [("home", "shop"), ("home", "blog"), ("shop", "home"), ("blog", "shop"), ("blog", "about"), ("about", "home"), ("press", "home"), ("press", "blog")]
G = nx.DiGraph(links)
print(G)
G'''),
same(r'''print("in:", dict(G.in_degree()))
print("reachable from press:", nx.descendants(G, "press"))
nx.shortest_path(G, "press", "about")'''),
differs(r'''t = time.perf_counter()
rank = nx.pagerank(G)
for page, r in sorted(rank.items(), key=lambda p: -p[1]): print(f"{page:6} {r:.4f}")
print(f"({1000 * (time.perf_counter() - t):.1f} ms)")''', "library"),
differs(r'''plt.barh(list(rank), list(rank.values())); plt.title("pagerank"); plt.show()''', "library", "downstream"),
same(r'''[sorted(c) for c in nx.strongly_connected_components(G) if len(c) > 1], nx.is_weakly_connected(G)'''),
same(r'''pos = nx.circular_layout(G)
nx.draw(G, pos, with_labels=True, node_color="lightblue"); plt.show()'''),
differs(r'''import pandas as pd
pd.DataFrame({"rank": pd.Series(rank).round(4), "out": pd.Series(dict(G.out_degree()))}).sort_index()''', "library", "downstream"),
patch=("networkx/algorithms/link_analysis/pagerank_alg.py", "@nx._dispatchable(edge_attrs=\"weight\")\ndef pagerank(\n    G,\n    alpha=0.85,", "@nx._dispatchable(edge_attrs=\"weight\")\ndef pagerank(\n    G,\n    alpha=0.75,"),
)

case("team-calls",
same(r'''import pytz, datetime as dt, time
utc = pytz.utc
print("page made", dt.datetime.now(utc).strftime("%Y-%m-%d %H:%M:%S %Z"))
team = {"Lucia": "America/Mexico_City", "Dana": "Asia/Almaty", "Kenji": "Asia/Tokyo", "Marta": "Europe/Madrid"}'''),
differs(r'''call = utc.localize(dt.datetime(2024, 7, 10, 15, 0))
for who, zone in team.items():
    print(f"{who:6} {call.astimezone(pytz.timezone(zone)):%a %d %b %H:%M %z}")''', "library"),
same(r'''winter = utc.localize(dt.datetime(2021, 1, 13, 15, 0))
for who, zone in team.items():
    print(f"{who:6} {winter.astimezone(pytz.timezone(zone)):%a %d %b %H:%M %z}")'''),
differs(r'''def awake(zone, t):
    return 8 <= t.astimezone(pytz.timezone(zone)).hour < 21
best = [h for h in range(24) if all(awake(z, utc.localize(dt.datetime(2024, 7, 10, h))) for w, z in team.items() if w != "Kenji")]
print("hours (UTC) when all but Kenji are awake:", best)''', "library"),
same(r'''naive = dt.datetime(2024, 3, 31, 2, 30)
try:
    pytz.timezone("Europe/Madrid").localize(naive, is_dst=None)
except pytz.NonExistentTimeError as e:
    print("no such time:", e)'''),
differs(r'''from importlib.metadata import version
print("zone data", pytz.OLSON_VERSION, "package", version("pytz"), "at", time.strftime("%X"))''', "library"),
same(r'''print(pytz.country_timezones("jp"), utc)
tz = pytz.timezone("Asia/Tokyo")
tz.utcoffset(dt.datetime(2024, 7, 10))'''),
upgrade=("pytz==2026.6", "pytz==2022.1"),
)

case("price-list",
same(r'''from tabulate import tabulate
import csv, io, time
src = "article,weight,price\napples,1.5,3.2\npears,,2.85\ncherries,0.25,\n"
rows = list(csv.reader(io.StringIO(src)))
rows'''),
differs(r'''print(tabulate(rows[1:], headers=rows[0], floatfmt=".2f"))
print("printed at", time.strftime("%H:%M:%S"))''', "library"),
same(r'''print(tabulate([["Oslo", 3], ["Rome", 12]], headers=["town", "shops"], tablefmt="grid"))'''),
differs(r'''print(tabulate([["Oslo", 3], ["Rome", 12]], headers=["town", "shops"], tablefmt="mediawiki"))''', "library"),
same(r'''total = sum(float(r[2]) for r in rows[1:] if r[2])
print(tabulate([["total", total]], floatfmt=".2f", tablefmt="plain"))
iter(rows)'''),
same(r'''print(tabulate({"name": ["x", "y"], "n": [1, 2]}, headers="keys", tablefmt="html"))'''),
differs(r'''import tabulate as tb
print("tabulate", tb.__version__, "knows", len(tb.tabulate_formats), "formats")''', "library"),
upgrade=("tabulate==0.10.0", "tabulate==0.9.0"),
)

# ---------------------------------------------------------------- environment

case("shift-times",
same(r'''import time, os, datetime as dt, email.utils
stamp = 1718000000          # the alarm as the machine sent it
print("UTC  ", dt.datetime.fromtimestamp(stamp, dt.timezone.utc).isoformat())'''),
differs(r'''print("local", time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(stamp)))''', "environment"),
differs(r'''alarms = [1718000000, 1718030000, 1718060000, 1705000000]
def shift(ts):
    h = dt.datetime.fromtimestamp(ts).hour
    return "early" if 6 <= h < 14 else "late" if 14 <= h < 22 else "night"
[(dt.datetime.fromtimestamp(a).strftime("%d.%m. %H:%M"), shift(a)) for a in alarms]''', "environment"),
same(r'''print(dt.timedelta(seconds=alarms[2] - alarms[0]), dt.date(2024, 6, 10).isocalendar())
print("checked", dt.datetime.now(dt.timezone.utc))'''),
differs(r'''!date -d @1718000000 "+%F %H:%M %z"''', "environment"),
same(r'''%%bash
echo "run by process $$ at $(date -u)"
date -u -d @1718000000 +%FT%TZ'''),
differs(r'''print("zone names", time.tzname, "offset hours", -time.timezone / 3600)
email.utils.localtime(dt.datetime(2024, 6, 10, 12, 0)).isoformat()''', "environment"),
environment={"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}, given={"TZ": "EST5EDT,M3.2.0,M11.1.0"},
)

case("hash-tables",
same(r'''words = "ash beech birch cedar elm fir larch maple oak pine".split()
print(len(words), "trees,", "longest:", max(words, key=len))'''),
differs(r'''buckets = [[] for _ in range(8)]
for w in words:
    buckets[hash(w) % 8].append(w)
for i, b in enumerate(buckets):
    print(i, b)''', "environment"),
differs(r'''print("fullest bucket holds", max(map(len, buckets)), "- fill", [len(b) for b in buckets])''', "environment", "downstream"),
same(r'''print([hash(n) % 8 for n in (1, 8, 1000, 2 ** 61)], hash(0.5))'''),
same(r'''set(words) - {"oak", "elm"}'''),
same(r'''def stable(w):
    h = 5381
    for c in w: h = (h * 33 + ord(c)) & 0xffffffff
    return h
print({w: stable(w) % 8 for w in words})
stable'''),
differs(r'''def probe(table, w):
    i = hash(w) % len(table); steps = 1
    while table[i] is not None: i = (i + 1) % len(table); steps += 1
    table[i] = w
    return steps
table = [None] * 13
print([probe(table, w) for w in words])
print(table)''', "environment"),
same(r'''class Tree: pass
print({Tree(): 1})
%timeit -n 1000 -r 3 "oak" in set(words)'''),
environment={"PYTHONHASHSEED": "11"}, given={"PYTHONHASHSEED": "12"},
)

CFG = "[default]\nhost = localhost\nport = 8000\nworkers = 2\n\n[staging]\nhost = stage.example.org\nport = 8443\n\n[live]\nhost = www.example.org\nport = 443\nworkers = 16\n"
case("deploy-settings",
same(r'''import os, configparser, logging, sys, time, textwrap
cp = configparser.ConfigParser(default_section="default")
cp.read("app.ini")
cp.sections()'''),
differs(r'''stage = os.environ.get("APP_STAGE", "default")
cfg = cp[stage]
print("stage:", stage)
cfg''', "environment"),
differs(r'''url = f"https://{cfg['host']}:{cfg.getint('port')}/health"
print(url, "workers:", cfg["workers"])''', "environment", "downstream"),
same(r'''for s in cp.sections(): print(f"{s:8} {dict(cp[s])}")'''),
differs(r'''!echo "deploying to $APP_STAGE"; date''', "environment"),
same(r'''import subprocess
out = subprocess.run("uname -s; echo $((6*7))", shell=True, capture_output=True, text=True)
out'''),
same(r'''logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level="INFO", force=True)
logging.info("settings file has %d bytes, kernel %d", os.path.getsize("app.ini"), os.getpid())'''),
differs(r'''print(textwrap.indent("\n".join(f"{k} = {v}" for k, v in cfg.items()), "    "))''', "environment", "downstream"),
files={"app.ini": CFG}, environment={"APP_STAGE": "staging"}, given={"APP_STAGE": "live"},
)

# ---------------------------------------------------------------- edited

case("loan-plan",
same(r'''from decimal import Decimal, ROUND_HALF_UP
import datetime as dt, time
import matplotlib.pyplot as plt
cent = Decimal("0.01")
print("plan of", dt.date.today())'''),
differs(r'''principal, rate, months = Decimal(12000), Decimal("0.049"), 12
print(f"{principal} at {rate:%} over {months} months")''', "code"),
differs(r'''r = rate / 12
payment = (principal * r / (1 - (1 + r) ** -months)).quantize(cent, ROUND_HALF_UP)
print("monthly payment", payment)''', "code", "downstream"),
differs(r'''rest, plan = principal, []
for k in range(1, months + 1):
    interest = (rest * r).quantize(cent)
    rest = rest + interest - payment
    plan.append((k, interest, rest))
for p in plan[::4]: print("%3d %8s %10s" % p)''', "code", "downstream"),
same(r'''print(len(plan), "instalments; first due", dt.date(2025, 1, 31) + dt.timedelta(1))
plan.append'''),
differs(r'''plt.bar([p[0] for p in plan], [float(p[1]) for p in plan]); plt.ylabel("interest"); plt.show()''', "code", "downstream"),
same(r'''def npv(rate, flows): return sum(f / (1 + rate) ** i for i, f in enumerate(flows))
t = time.perf_counter()
print("npv of the old machine", round(npv(.08, [-1000, 400, 400, 400]), 2), f"[{time.perf_counter() - t:.6f} s]")'''),
edited={1: r'''principal, rate, months = Decimal(12000), Decimal("0.052"), 12
print(f"{principal} at {rate:%} over {months} months")'''},
)

case("life-board",
same(r'''import numpy as np, time
import matplotlib.pyplot as plt
def step(b):
    n = sum(np.roll(np.roll(b, i, 0), j, 1) for i in (-1, 0, 1) for j in (-1, 0, 1)) - b
    return ((n == 3) | ((n == 2) & (b == 1))).astype(int)
step'''),
same(r'''glider = np.zeros((8, 8), int)
glider[[0, 1, 2, 2, 2], [1, 2, 0, 1, 2]] = 1
for _ in range(4): glider = step(glider)
print("\n".join("".join(".#"[c] for c in r) for r in glider))'''),
same(r'''rng = np.random.default_rng(2024)
print("generator ready", rng)'''),
differs(r'''board = (rng.random((16, 32)) < .35).astype(int)
print("alive:", board.sum())''', "code", "downstream"),
differs(r'''t = time.time(); pop = [int(board.sum())]
for _ in range(25):
    board = step(board); pop.append(int(board.sum()))
print(pop)
print(f"{time.time() - t:.4f} s")''', "code", "downstream"),
differs(r'''plt.imshow(board, cmap="binary"); plt.axis("off"); plt.show()''', "code", "downstream"),
same(r'''print(board.shape, board.dtype, sorted(set(board.ravel().tolist())))'''),
edited={2: r'''rng = np.random.default_rng(2025)
print("generator ready", rng)'''},
)

# ---------------------------------------------------------------- order

case("stock-ledger",
same(r'''import logging, datetime as dt
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
stock = {"tea": 40, "coffee": 25}
cash = 100.0
stock'''),
same(r'''prices = {"tea": 2.5, "coffee": 4.0}
logging.info("prices loaded: %s", prices)'''),
differs(r'''stock["tea"] -= 10
cash += 10 * prices["tea"]
print("sold 10 tea, cash", cash, stock)''', "order", "downstream"),
differs(r'''prices = {k: round(v * 1.1, 2) for k, v in prices.items()}
stock["tea"] += 4
print("new price list", prices, "tea now", stock["tea"])''', "order", "downstream"),
differs(r'''print(f"cash {cash:.2f}")
print(f"worth of all {cash + sum(stock[k] * prices[k] for k in stock):.2f}")''', "order", "downstream"),
same(r'''print("articles:", set(stock), "at", dt.datetime.now())
print("coffee left:", stock["coffee"])'''),
same(r'''print("tea left:", stock["tea"])
object()'''),
order=[0, 1, 3, 2, 4, 5, 6],
)

case("text-steps",
same(r'''import re, textwrap, unicodedata, collections, time
text = "It was the best of times, it was the worst of times - it was the age of café wisdom; it was the age of foolishness."
print(textwrap.fill(text, 50))'''),
differs(r'''print(len(text), "characters,", len(text.split()), "tokens")
print(text.encode("utf-8")[:60])''', "order", "downstream"),
same(r'''stop = {"it", "was", "the", "of"}
stop'''),
differs(r'''text = re.sub(r"[^\w\s]", "", unicodedata.normalize("NFKD", text)).lower()
print(f"cleaned to {len(text)} characters at {time.time():.0f}")''', "order", "downstream"),
differs(r'''text = " ".join(w for w in re.split(r"\s+", text) if w not in stop)
print(text)''', "order", "downstream"),
same(r'''print("caf\u00e9".encode("latin-1"), "caf\u00e9".encode("utf-16-le").hex(), "naïve".encode("ascii", "replace"))'''),
differs(r'''c = collections.Counter(text.split())
c.most_common(4)''', "order", "downstream"),
same(r'''t0 = time.perf_counter()
print("times in text:", "times" in text, f"({time.perf_counter() - t0:.2e} s)")'''),
order=[0, 2, 4, 1, 3, 5, 6, 7],
)

# ---------------------------------------------------------------- processors

case("pool-sizes",
same(r'''import os, time, joblib
from concurrent.futures import ThreadPoolExecutor
def work(n):
    return sum(i * i for i in range(n))
work(1000)'''),
differs(r'''n = joblib.cpu_count()
print("we may use", n, "processors")''', "machine"),
differs(r'''chunks = [list(range(12))[i::n] for i in range(n)]
for i, c in enumerate(chunks): print("worker", i, "gets", c)''', "machine", "downstream"),
same(r'''t = time.perf_counter()
with ThreadPoolExecutor(n) as pool:
    totals = list(pool.map(lambda c: sum(map(work, c)), chunks))
print("grand total", sum(totals), f"in {time.perf_counter() - t:.4f} s")'''),
same(r'''%%time
from multiprocessing import get_context
with get_context("fork").Pool(n) as p:
    print(p.map(work, [10, 100, 1000, 10000]))'''),
differs(r'''print("allowed on", sorted(os.sched_getaffinity(0)))
!grep Cpus_allowed_list /proc/self/status | cut -f2 | tr '-' ',' | awk -F, '{print NF, "cpu(s) in the list"}' ''', "machine"),
same(r'''r = joblib.Parallel(n_jobs=2, prefer="threads")(joblib.delayed(work)(k) for k in range(5))
print(r)
pool'''),
cpus=1,
)

# ---------------------------------------------------------------- another directory

case("travel-folder",
same(r'''import os, pathlib, csv, json
here = pathlib.Path.cwd()
print("notebook in", here)
sorted(p.name for p in here.glob("*.csv"))'''),
same(r'''!pwd
!ls *.csv'''),
same(r'''path = os.path.abspath("trips.csv")
trips = list(csv.DictReader(open(path)))
print("read", path)
trips[0]'''),
same(r'''total = sum(float(t["km"]) for t in trips)
(here / "out").mkdir(exist_ok=True)
target = here / "out" / "summary.json"
target.write_text(json.dumps({"trips": len(trips), "km": total}))
print(target, target.read_text())'''),
same(r'''import runpy
(here / "helper.py").write_text("def far(t): return float(t['km']) > 300\n")
import sys; sys.path.insert(0, str(here))
import helper
print(helper)
[t["to"] for t in trips if helper.far(t)]'''),
same(r'''open("hotels.csv")'''),
same(r'''try:
    (here / "out" / "missing.json").read_text()
except OSError as e:
    print(e)
import sqlite3
con = sqlite3.connect(here / "out" / "trips.db")
con.execute("drop table if exists t"); con.execute("create table t(a, b)")
con.executemany("insert into t values (:to, :km)", trips)
print(con.execute("pragma database_list").fetchall(), con.execute("select count(*), max(b + 0) from t").fetchone())'''),
files={"trips.csv": "to,km\nLyon,465\nLille,225\nNantes,385\n"}, moved=True,
)
