"""The tenth blind set: lessons, operations, images, calendars, puzzles.

Written by someone who had seen neither the rules nor the other cases, asked for notebooks as people write them. Every truth was
decided from what the cell does, then checked in a plain kernel before and after its change. README has its figures at first sight. Rules were mended by some of these since.
"""

import json
import random as _random

from truth import Case, Cell, differs, same, varies  # noqa: F401

BLIND = []


# ---------------------------------------------------------------- under noise alone

def _access_log():
    r = _random.Random(5)
    paths = ["/", "/index.html", "/api/items", "/api/items", "/static/app.js", "/login", "/", "/"]
    lines = []
    second = 0
    for _ in range(240):
        second += r.randint(20, 300)
        h, m, s = 6 + second // 3600, second // 60 % 60, second % 60
        status = r.choices([200, 304, 404, 500], [80, 12, 6, 3])[0]
        ip = "10.0.%d.%d" % (r.randint(0, 2), r.choice([4, 9, 17, 23, 42, 77]))
        lines.append('%s - - [14/Mar/2024:%02d:%02d:%02d +0000] "GET %s HTTP/1.1" %d %d' % (
            ip, h, m, s, r.choice(paths), status, r.randint(180, 9000)))
    lines.insert(100, "-- log rotated by logrotate --")
    return ("\n".join(lines) + "\n").encode()


BLIND.append(Case("d-log-triage", [
    same(r'''import re, time, logging, sys, tempfile, os
from collections import Counter, defaultdict
from datetime import datetime

t0 = time.perf_counter()
with open("access.log") as f:
    lines = f.read().splitlines()
print(f"{len(lines)} lines read in {time.perf_counter() - t0:.6f} s")'''),
    same(r'''LINE = re.compile(r'(?P<ip>\S+) - - \[(?P<when>[^\]]+)\] "(?P<method>\S+) (?P<path>\S+) [^"]+" (?P<status>\d+) (?P<size>\d+)')
rows, bad = [], []
for n, line in enumerate(lines, 1):
    m = LINE.match(line)
    if m:
        d = m.groupdict()
        d["status"], d["size"] = int(d["status"]), int(d["size"])
        d["when"] = datetime.strptime(d["when"], "%d/%b/%Y:%H:%M:%S %z")
        rows.append(d)
    else:
        bad.append((n, line))
print(len(rows), "parsed,", len(bad), "not")
LINE.match(lines[0]), rows[0]'''),
    same(r'''from tabulate import tabulate
by_status = Counter(r["status"] for r in rows)
print(tabulate(sorted(by_status.items()), headers=["status", "hits"], tablefmt="github"))'''),
    same(r'''noisy = {r["ip"] for r in rows if r["status"] >= 400}
print(len(noisy), "clients with errors:")
noisy'''),
    same(r'''log = logging.getLogger("triage")
log.handlers.clear()
h = logging.StreamHandler(sys.stdout)
h.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)-7s %(message)s"))
log.addHandler(h); log.setLevel(logging.INFO); log.propagate = False

log.info("starting the triage of %d requests", len(rows))
for n, line in bad:
    log.warning("line %d is not a request: %r", n, line)
big = max(rows, key=lambda r: r["size"])
log.info("largest answer %d bytes for %s", big["size"], big["path"])'''),
    same(r'''with tempfile.NamedTemporaryFile("w", suffix=".log", prefix="errors-", delete=False) as tmp:
    for r in rows:
        if r["status"] == 500:
            tmp.write(f'{r["when"]:%H:%M:%S} {r["path"]}\n')
print("wrote", tmp.name, os.path.getsize(tmp.name), "bytes")'''),
    same(r'''!grep -c '" 200 ' access.log
!awk '{print $7}' access.log | grep -c '^/api'
!ls -l access.log'''),
    same(r'''sizes = defaultdict(int)
for line in lines:
    parts = line.split()
    sizes[parts[6]] += int(parts[9])'''),
    same(r'''import matplotlib.pyplot as plt
hours = Counter(r["when"].hour for r in rows)
fig, ax = plt.subplots(figsize=(5, 2.5))
ax.bar(list(hours), list(hours.values()))
ax.set_xlabel("hour of day"); ax.set_title("requests per hour")
ax.bar_label(ax.containers[0])'''),
], files={"access.log": _access_log()}))


BLIND.append(Case("d-teaching-objects", [
    same(r'''class Point:
    """A point in the plane."""
    def __init__(self, x, y):
        self.x, self.y = x, y
    def norm(self):
        return (self.x ** 2 + self.y ** 2) ** 0.5

p = Point(3, 4)
p'''),
    same(r'''# names are labels on objects
a = [1, 2, 3]
b = a
c = list(a)
print("a:", id(a)); print("b:", id(b)); print("c:", id(c))
print(a is b, a is c, a == c)'''),
    same(r'''gen = (n * n for n in range(6))
print(gen)
print(next(gen), next(gen), list(gen))
iter([1, 2]), map(str, a), p.norm'''),
    same(r'''# What happens if we ask for something that is not there?
print(p.norm())
p.length()'''),
    same(r'''%timeit -n 200 -r 3 sum(range(100))'''),
    same(r'''%%time
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
print([fib(i) for i in range(18)])'''),
    same(r'''import time, functools
def timed(f):
    @functools.wraps(f)
    def inner(*args):
        start = time.perf_counter()
        result = f(*args)
        print(f"{f.__name__}{args} took {(time.perf_counter() - start) * 1e3:.3f} ms")
        return result
    return inner

fast = functools.lru_cache(None)(lambda n: n if n < 2 else fast(n - 1) + fast(n - 2))
timed(fib)(16), timed(sum)([1, 2, 3]), fast(80), fast'''),
    same(r'''help(Point)'''),
    same(r'''%who'''),
    same(r'''%whos Point list function'''),
    same(r'''import weakref, sys
w = weakref.ref(p)
print(w)
del p
print(w() is None, w)'''),
]))


BLIND.append(Case("d-dice-and-cards", [
    same(r'''import random, time
import numpy as np
import matplotlib.pyplot as plt
random.seed(42)
[random.randint(1, 6) for _ in range(20)]'''),
    varies(r'''SUITS, RANKS = "♠♥♦♣", "23456789TJQKA"
deck = [r + s for s in SUITS for r in RANKS]
shuffler = random.SystemRandom()
shuffler.shuffle(deck)
for player in ("North", "East", "South", "West"):
    hand = [deck.pop() for _ in range(13)]
    print(f"{player:6}", " ".join(hand))'''),
    same(r'''def craps(rng):
    roll = lambda: rng.randint(1, 6) + rng.randint(1, 6)
    first = roll()
    if first in (7, 11): return True
    if first in (2, 3, 12): return False
    while True:
        r = roll()
        if r == first: return True
        if r == 7: return False

t = time.time()
rng = random.Random(2024)
games = 20000
won = sum(craps(rng) for _ in range(games))
print(f"won {won} of {games} ({won / games:.2%}), simulated in {time.time() - t:.2f} seconds")'''),
    same(r'''from fractions import Fraction as F
ways = {s: F(6 - abs(7 - s), 36) for s in range(2, 13)}
exact = ways[7] + ways[11] + sum(ways[p] * ways[p] / (ways[p] + ways[7]) for p in (4, 5, 6, 8, 9, 10))
exact, float(exact)'''),
    same(r'''walk = np.random.default_rng(7).choice([-1, 1], size=400).cumsum()
plt.figure(figsize=(5, 2)); plt.plot(walk); plt.title("a walk (seed 7)")
print("ended at", walk[-1], "furthest", abs(walk).max())'''),
    varies(r'''steps = np.random.default_rng().normal(size=(5, 400)).cumsum(axis=1)
plt.figure(figsize=(5, 2.5))
plt.plot(steps.T)
plt.title("five more walks");'''),
    varies(r'''darts = np.random.default_rng().random((50_000, 2))
inside = (np.hypot(*darts.T) < 1)
print("first darts:", darts[:2].tolist())
print("pi is about", 4 * inside.mean(), "; mean distance", np.hypot(*darts.T).mean())'''),
    same(r'''# the same dealing, for the test: seeded
rng = random.Random(1)
sorted(rng.sample(range(1, 50), 6)), rng'''),
]))


BLIND.append(Case("d-localhost-api", [
    same(r'''import json, threading, time, uuid, urllib.request, urllib.error
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STATIONS = [{"id": 1, "name": "Harbour", "bikes": 7}, {"id": 2, "name": "Market", "bikes": 0}]
access = []

class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/stations":
            body = {"stations": STATIONS, "served_at": datetime.now(timezone.utc).isoformat(), "request_id": str(uuid.uuid4())}
            code = 200
        else:
            body, code = {"error": "no such thing"}, 404
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, fmt, *args):
        access.append(f"{self.client_address[0]}:{self.client_address[1]} [{self.log_date_time_string()}] {fmt % args}")

server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
thread = threading.Thread(target=server.serve_forever, daemon=True, name="api")
thread.start()
url = "http://127.0.0.1:%d" % server.server_address[1]
print("serving on", url)
thread'''),
    same(r'''with urllib.request.urlopen(url + "/stations") as r:
    answer = json.load(r)
print(json.dumps(answer, indent=2))'''),
    same(r'''with urllib.request.urlopen(url + "/stations") as r:
    print(r.status, r.reason)
    for k, v in r.headers.items():
        print(f"{k}: {v}")
server, r'''),
    same(r'''urllib.request.urlopen(url + "/nothing")'''),
    same(r'''from concurrent.futures import ThreadPoolExecutor
def ask(n):
    t = time.perf_counter()
    with urllib.request.urlopen(f"{url}/stations") as r:
        names = [s["name"] for s in json.load(r)["stations"]]
    return n, names, time.perf_counter() - t

with ThreadPoolExecutor(4) as pool:
    results = list(pool.map(ask, range(6)))
for n, names, dt in results:
    print(n, names, f"{1000 * dt:.1f} ms")'''),
    same(r'''print(len(access), "requests")
print("\n".join(access[:3]))'''),
    same(r'''server.shutdown(); server.server_close()
thread.join()
try:
    urllib.request.urlopen(url + "/stations", timeout=2)
except urllib.error.URLError as e:
    print(type(e).__name__, e.reason)
thread'''),
]))


BLIND.append(Case("d-backup-shell", [
    same(r'''echo "backup started $(date) by process $$"
echo "bash ${BASH_VERSINFO[0]}"'''),
    same(r'''rm -rf src && mkdir -p src/docs src/img
for i in 1 2 3 4 5; do
  printf 'note %d\n' $i > src/docs/note$i.txt
  seq $((i * 10)) > src/img/data$i.txt
done
find src -type f | sort'''),
    same(r'''work=$(mktemp -d)
tar czf $work/src.tar.gz src && echo "made $work/src.tar.gz"
tar tzf $work/src.tar.gz | grep -c txt'''),
    same(r'''(cd src/docs && sha256sum note?.txt)'''),
    same(r'''ls -l --time-style=full-iso src/docs/*.txt'''),
    same(r'''time (for f in src/img/*.txt; do gzip -9 < $f | wc -c; done)'''),
    varies(r'''# check five random blocks of a big file
shuf -i 1-100000000 -n 5'''),
    same(r'''mkdir -p $work/restored && tar xzf $work/src.tar.gz -C $work/restored
diff -r src $work/restored/src && echo "restored copy is identical"
tar tzf $work/missing.tar.gz || echo "exit status $?"'''),
    same(r'''cat src/img/*.txt | sort -n | uniq -c | sort -k1,1nr -k2,2n | head -3
rm -r $work src; echo "backup done at $(date +%H:%M:%S), took $SECONDS s"'''),
], kernel="bash"))


BLIND.append(Case("d-image-filters", [
    same(r'''import numpy as np, time, io, os, tempfile
from PIL import Image, ImageFilter, ImageDraw
import matplotlib.pyplot as plt
yy, xx = np.mgrid[0:96, 0:128]
scene = (128 + 60 * np.sin(xx / 9) + 50 * np.cos(yy / 13)).clip(0, 255).astype(np.uint8)
im = Image.fromarray(scene)
ImageDraw.Draw(im).ellipse((30, 20, 80, 70), fill=240)
print(im)
im'''),
    same(r'''def box(a, k):
    p = np.pad(a.astype(float), k // 2, mode="edge")
    return sum(p[i:i + a.shape[0], j:j + a.shape[1]] for i in range(k) for j in range(k)) / k ** 2

t = time.perf_counter()
soft = box(np.asarray(im), 5)
print("blurred", soft.shape, "in", round((time.perf_counter() - t) * 1000, 2), "ms; mean", soft.mean().round(3))
fig, axes = plt.subplots(1, 2, figsize=(6, 2.5))
for ax, a, name in zip(axes, (im, soft), ("scene", "box 5x5")):
    ax.imshow(a, cmap="gray"); ax.set_title(name); ax.axis("off")'''),
    varies(r'''grainy = soft + np.random.normal(0, 25, soft.shape)
plt.figure(figsize=(4, 3)); plt.imshow(grainy, cmap="gray"); plt.axis("off"); plt.title("with sensor noise");'''),
    same(r'''from tqdm import tqdm
areas = {}
for thr in tqdm(range(60, 240, 20), desc="thresholds"):
    areas[thr] = int((soft > thr).sum())
    time.sleep(0.01)
areas'''),
    same(r'''fs = 8000
t = np.arange(fs) / fs
chord = sum(np.sin(2 * np.pi * f * t) / k for k, f in enumerate((440, 554, 659), 1))
spec = np.abs(np.fft.rfft(chord))
peaks = np.argsort(spec)[-3:][::-1]
print("peaks at", peaks, "Hz; relative", (spec[peaks] / spec.max()).round(3))'''),
    same(r'''with tempfile.TemporaryDirectory() as d:
    for fmt in ("PNG", "BMP"):
        name = os.path.join(d, "scene." + fmt.lower())
        im.save(name)
        back = Image.open(name)
        print(name, back.size, back.mode, np.array_equal(np.asarray(back), np.asarray(im)))
back'''),
    same(r'''import wave
from IPython.display import Audio
buf = io.BytesIO()
with wave.open(buf, "wb") as w:
    w.setnchannels(1); w.setsampwidth(2); w.setframerate(fs)
    w.writeframes((chord[:1600] / 2 * 32767 * 0.8).astype("<i2").tobytes())
print(len(buf.getvalue()), "bytes", buf)
Audio(data=buf.getvalue())'''),
    same(r'''import ipywidgets as widgets
slider = widgets.IntSlider(value=5, min=1, max=15, step=2, description="kernel")
bar = widgets.IntProgress(value=7, max=10)
widgets.VBox([slider, bar])'''),
]))


BLIND.append(Case("d-calendar-tests", [
    same(r'''from datetime import date, datetime, timedelta
import calendar, unittest, doctest, asyncio, time, warnings, sched

def easter(y):
    """Sunday of Easter (Gauss, Meeus).

    >>> easter(2024)
    datetime.date(2024, 3, 31)
    >>> easter(2000).weekday()
    6
    """
    a, b, c = y % 19, y // 100, y % 100
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    l = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 19 * l) // 433
    month = (h + l - 7 * m + 90) // 25
    return date(y, month, (h + l - 7 * m + 33 * month + 19) % 32)

for y in range(2024, 2030):
    print(y, easter(y).strftime("%a %d %b"))'''),
    same(r'''class EasterTest(unittest.TestCase):
    def test_sunday(self):
        self.assertTrue(all(easter(y).weekday() == 6 for y in range(1900, 2100)))
    def test_known(self):
        self.assertEqual(easter(2019), date(2019, 4, 21))
    def test_range(self):
        for y in range(1900, 2100):
            self.assertTrue(date(y, 3, 22) <= easter(y) <= date(y, 4, 25))

unittest.main(argv=["nb", "-v"], exit=False)'''),
    same(r'''doctest.testmod(verbose=False)'''),
    same(r'''# a test that fails, to see what it looks like
class Wrong(unittest.TestCase):
    def test_early(self):
        self.assertEqual(easter(2025), date(2025, 4, 13))
suite = unittest.defaultTestLoader.loadTestsFromTestCase(Wrong)
unittest.TextTestRunner().run(suite)'''),
    same(r'''print(calendar.TextCalendar().formatmonth(2025, 4))
print("ISO week of Easter Monday:", (easter(2025) + timedelta(1)).isocalendar())
print("printed", datetime.now().strftime("%A %d %B %Y, %H:%M"))'''),
    same(r'''async def job(name, wait):
    await asyncio.sleep(wait)
    return name, wait

start = time.monotonic()
results = await asyncio.gather(job("mail", 0.15), job("print", 0.05), job("scan", 0.1))
print(results, f"all done after {time.monotonic() - start:.3f} s")
asyncio.ensure_future(job("late", 1))'''),
    same(r'''def week_of(d):
    warnings.warn("week_of is old, use isocalendar", DeprecationWarning, stacklevel=2)
    return d.isocalendar()[1]
week_of(date(2024, 12, 30))'''),
    same(r'''s = sched.scheduler(time.monotonic, time.sleep)
began = time.monotonic()
def ring(what):
    print(f"{time.monotonic() - began:.4f}  {what}")
s.enter(0.10, 1, ring, ("second bell",))
s.enter(0.02, 1, ring, ("first bell",))
print(s.queue[0])
s.run()'''),
]))


# ---------------------------------------------------------------- a value of a file

INVOICES = """no,customer,day,amount,paid
1001,C1,2024-01-05,320.00,yes
1002,C2,2024-01-11,75.50,yes
1003,C1,2024-01-19,1100.00,no
1004,C3,2024-02-02,560.25,yes
1005,C2,2024-02-14,89.90,no
1006,C3,2024-02-20,1249.50,yes
1007,C1,2024-03-03,42.00,yes
1008,C2,2024-03-09,640.00,yes
1009,C4,2024-03-21,18.75,no
"""
CUSTOMERS = "id,name,city\nC1,Adler & Sons,Graz\nC2,Bright Ltd,York\nC3,Costa SA,Porto\nC4,Dahl AS,Bergen\n"

BLIND.append(Case("d-invoices-sqlite", [
    same(r'''import csv, sqlite3, time, uuid, datetime as dt
import xml.etree.ElementTree as ET
from tabulate import tabulate
print("run", uuid.uuid4(), "started", dt.datetime.now().isoformat(timespec="seconds"))
with open("customers.csv", newline="") as f:
    customers = list(csv.DictReader(f))
print(tabulate(customers, headers="keys", tablefmt="psql"))'''),
    same(r'''with open("invoices.csv", newline="") as f:
    invoices = list(csv.DictReader(f))
for r in invoices:
    r["amount"] = float(r["amount"])
print(len(invoices), "invoices")
invoices[:4]'''),
    differs(r'''db = sqlite3.connect(":memory:")
db.execute("create table inv(no int, customer text, day text, amount real, paid text)")
db.executemany("insert into inv values(:no, :customer, :day, :amount, :paid)", invoices)
per_customer = db.execute("select customer, count(*), round(sum(amount), 2) from inv group by customer order by 3 desc").fetchall()
print(db)
print(tabulate(per_customer, headers=["customer", "n", "total"], floatfmt=".2f"))''', "data"),
    same(r'''t = time.perf_counter()
months = db.execute("select substr(day, 1, 7) m, count(*) from inv group by m").fetchall()
print(months, f"({(time.perf_counter() - t) * 1e6:.0f} µs)")'''),
    same(r'''# who still owes us?
for row in db.execute("select no, customer, amount from inv where paid = 'no' order by no"):
    print(row)'''),
    differs(r'''t = time.perf_counter()
net = sum(a for _, _, a in per_customer)
print(f"net {net:.2f}, VAT 20% {net * .2:.2f}, gross {net * 1.2:.2f}   [{time.strftime('%H:%M:%S')}, {time.perf_counter() - t:.6f} s]")''', "data", "downstream"),
    differs(r'''root = ET.Element("ledger", customer="C3")
for r in invoices:
    if r["customer"] == "C3":
        ET.SubElement(root, "invoice", no=r["no"], day=r["day"]).text = f'{r["amount"]:.2f}'
ET.indent(root)
print(root)
print(ET.tostring(root, encoding="unicode"))''', "data"),
    differs(r'''from jinja2 import Template
from IPython.display import HTML
T = Template("""<h3>Report {{ id }}</h3><p>printed {{ now }}</p>
<table>{% for c, n, total in rows %}<tr><td>{{ names[c]|e }}</td><td>{{ n }}</td><td>{{ '%.2f' % total }}</td></tr>{% endfor %}</table>""")
HTML(T.render(id=uuid.uuid4().hex[:12], now=dt.datetime.now(), rows=per_customer, names={c["id"]: c["name"] for c in customers}))''', "data", "downstream"),
    differs(r'''!md5sum customers.csv invoices.csv
!ls -l invoices.csv''', "data"),
    same(r'''!wc -l customers.csv invoices.csv
!cut -d, -f2 invoices.csv | sort | uniq -c'''),
    same(r'''db.execute("select amount from invoices").fetchone()'''),
], files={"invoices.csv": INVOICES.encode(), "customers.csv": CUSTOMERS.encode()},
    data={"invoices.csv": INVOICES.replace("1249.50", "1294.50").encode()}))


_RECIPES = {
    "bread": {"serves": 8, "minutes": 210, "ingredients": {"flour": [500, "g"], "water": [340, "g"], "salt": [10, "g"], "yeast": [7, "g"]}},
    "pancakes": {"serves": 4, "minutes": 25, "ingredients": {"flour": [220, "g"], "milk": [400, "ml"], "egg": [3, "pc"], "butter": [30, "g"]}},
    "leek soup": {"serves": 4, "minutes": 45, "ingredients": {"leek": [3, "pc"], "potato": [400, "g"], "butter": [40, "g"], "milk": [200, "ml"]}},
}
_R = json.dumps(_RECIPES, indent=1)

BLIND.append(Case("d-recipes", [
    same(r'''import json, datetime, pprint
from collections import defaultdict
with open("recipes.json") as f:
    recipes = json.load(f)
print("read", len(recipes), "recipes at", datetime.datetime.now())
{name: (r["serves"], r["minutes"]) for name, r in recipes.items()}'''),
    same(r'''def scale(recipe, people):
    k = people / recipe["serves"]
    return {i: (round(q * k, 1), u) for i, (q, u) in recipe["ingredients"].items()}
pprint.pprint(scale(recipes["pancakes"], 6))
scale'''),
    differs(r'''bread = scale(recipes["bread"], 12)
for i, (q, u) in bread.items():
    print(f"{i:8}{q:8} {u}")''', "data"),
    differs(r'''# baker's percentages
flour = bread["flour"][0]
print({i: f"{q / flour:.1%}" for i, (q, u) in bread.items()})''', "data", "downstream"),
    same(r'''everything = set()
for r in recipes.values():
    everything |= set(r["ingredients"])
print(len(everything))
everything'''),
    differs(r'''shopping = defaultdict(float)
for r in recipes.values():
    for i, (q, u) in r["ingredients"].items():
        shopping[i, u] += q
print("shopping list of", datetime.date.today())
for (i, u), q in sorted(shopping.items()):
    print(f"[ ] {q:6.0f} {u:3} {i}")''', "data"),
    same(r'''dinner = datetime.datetime(2025, 5, 17, 19, 0)
for name, r in sorted(recipes.items(), key=lambda x: -x[1]["minutes"]):
    print(f"{dinner - datetime.timedelta(minutes=r['minutes']):%H:%M} start the {name}")'''),
    differs(r'''%%bash
grep -n -A1 '"water"' recipes.json
echo "looked up at $(date +%s)"''', "data"),
    same(r'''import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(4, 1.8))
ax.barh(list(recipes), [r["minutes"] for r in recipes.values()], color="peru")
ax.set_xlabel("minutes")'''),
], files={"recipes.json": _R.encode()}, data={"recipes.json": _R.replace("340", "375").encode()}))


_ELEMENTS = [(1, "H", "Hydrogen", "1.008"), (6, "C", "Carbon", "12.011"), (7, "N", "Nitrogen", "14.007"), (8, "O", "Oxygen", "15.999"),
             (11, "Na", "Sodium", "22.990"), (17, "Cl", "Chlorine", "35.45"), (20, "Ca", "Calcium", "40.078")]
_PAGE = ("<html><head><title>Some elements</title></head><body>\n<h1>Elements</h1>\n<table id='el'>\n<tr><th>Z</th><th>Symbol</th><th>Name</th><th>Weight</th></tr>\n"
         + "".join("<tr><td>%d</td><td>%s</td><td><a href='/wiki/%s'>%s</a></td><td>%s</td></tr>\n" % (z, s, n, n, w) for z, s, n, w in _ELEMENTS)
         + "</table>\n<p>Source: our own notes</p></body></html>\n")

BLIND.append(Case("d-chemistry-page", [
    same(r'''from html.parser import HTMLParser
import re, time
from pathlib import Path

class Table(HTMLParser):
    def __init__(self):
        super().__init__(); self.rows, self.links, self.cell = [], [], None
    def handle_starttag(self, tag, attrs):
        if tag == "tr": self.rows.append([])
        elif tag in ("td", "th"): self.cell = ""
        elif tag == "a": self.links.append(dict(attrs)["href"])
    def handle_data(self, data):
        if self.cell is not None: self.cell += data
    def handle_endtag(self, tag):
        if tag in ("td", "th"): self.rows[-1].append(self.cell); self.cell = None

t = time.perf_counter()
parser = Table()
parser.feed(Path("elements.html").read_text())
print(parser, f"parsed {len(parser.rows)} rows in {time.perf_counter() - t:.5f} s")
parser.links'''),
    differs(r'''weights = {sym: float(w) for z, sym, name, w in parser.rows[1:]}
weights''', "data"),
    same(r'''def atoms(formula):
    out = {}
    for sym, n in re.findall(r"([A-Z][a-z]?)(\d*)", formula):
        out[sym] = out.get(sym, 0) + int(n or 1)
    return out
def mass(formula):
    return sum(weights[s] * n for s, n in atoms(formula).items())
atoms("C6H12O6"), atoms("CaCO3")'''),
    differs(r'''for f in ("H2O", "CO2", "NaCl", "CaCO3"):
    print(f"{f:8}{mass(f):10.3f} g/mol")''', "data", "downstream"),
    same(r'''print("NaCl ", round(mass("NaCl"), 3))
print("CH4  ", round(mass("CH4"), 3))
print("share of Na by mass:", f'{weights["Na"] / mass("NaCl"):.2%}')'''),
    differs(r'''# how much CO2 from 1 kg of limestone?  CaCO3 -> CaO + CO2
start = time.time()
kg = mass("CO2") / mass("CaCO3")
print(f"{kg * 1000:.1f} g; computed {time.ctime(start)} in {time.time() - start:.6f} s")''', "data", "downstream"),
    same(r'''mass("XeF2")'''),
    differs(r'''import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(4, 2.5))
ax.bar(list(weights), list(weights.values()))
ax.bar_label(ax.containers[0], fmt="%.3f", fontsize=6)
ax.set_ylabel("atomic weight");''', "data", "downstream"),
], files={"elements.html": _PAGE.encode()}, data={"elements.html": _PAGE.replace("15.999", "15.899").encode()}))


_SCORES = "Ann;2024-05-01;17\nBob;2024-05-01;21\nCem;2024-05-01;9\nAnn;2024-05-08;20\nBob;2024-05-08;14\nCem;2024-05-08;19\nAnn;2024-05-15;11\nBob;2024-05-15;16\nCem;2024-05-15;22\n"
BLIND.append(Case("d-shell-scores", [
    same(r'''echo "run $(date '+%F %T')"; wc -l < scores.txt; head -2 scores.txt'''),
    differs(r'''awk -F';' '{s[$1] += $3} END {for (n in s) print s[n], n}' scores.txt | sort -nr''', "data"),
    same(r'''cut -d';' -f1 scores.txt | sort -u | tr '\n' ' '; echo'''),
    differs(r'''best=$(sort -t';' -k3,3nr scores.txt | head -1)
echo "best evening: $best (found in process $$ at $(date +%N) ns)"''', "data"),
    differs(r'''IFS=';' read -r who day points <<< "$best"
echo "$who scored $points on $day, that is $((points * 4)) %"''', "data", "downstream"),
    same(r'''grep -c '^Ann' scores.txt
grep '2024-05-01' scores.txt | sort -t';' -k3n
ls -l scores.txt'''),
    same(r'''tmp=$(mktemp); sed 's/;/,/g' scores.txt > $tmp
echo "written to $tmp: $(wc -c < $tmp) bytes"; rm $tmp'''),
    same(r'''for d in $(cut -d';' -f2 scores.txt | sort -u); do date -d "$d" +'%a %d %b: week %V'; done'''),
], kernel="bash", files={"scores.txt": _SCORES.encode()}, data={"scores.txt": _SCORES.replace("05-15;22", "05-15;24").encode()}))


# ---------------------------------------------------------------- a library

BLIND.append(Case("d-disk-housekeeping", [
    same(r'''import os, tempfile, time, shutil, hashlib
from pathlib import Path
root = Path(tempfile.mkdtemp(prefix="house-"))
for name, size in {"a/video.bin": 2_500_000, "a/notes.txt": 870, "b/scan.tif": 74_000, "b/old/scan.tif": 74_000, "b/log.txt": 1}.items():
    p = root / name
    p.parent.mkdir(parents=True, exist_ok=True)
    p.write_bytes(bytes([size % 251]) * size)
print("playing in", root)'''),
    same(r'''files = sorted(p for p in root.rglob("*") if p.is_file())
for p in files:
    st = p.stat()
    print(f"{st.st_size:>9} {time.ctime(st.st_mtime)}  {p.relative_to(root)}")'''),
    differs(r'''from jinja2 import Environment
env = Environment()
T = env.from_string("""{% for p in files %}{{ p.name.ljust(12) }}{{ p.stat().st_size | filesizeformat }}
{% endfor %}{{ files | length }} files, {{ total | filesizeformat }}""")
total = sum(p.stat().st_size for p in files)
print(T.render(files=files, total=total))''', "library"),
    same(r'''print(env.from_string("{{ title | title }}: {{ names | join(', ') }} ({{ names | count }})").render(title="all the files", names=[p.name for p in files]))
env'''),
    same(r'''seen = {}
for p in files:
    h = hashlib.sha256(p.read_bytes()).hexdigest()[:16]
    if h in seen:
        print("duplicate:", p.relative_to(root), "==", seen[h].relative_to(root))
    seen.setdefault(h, p)'''),
    differs(r'''from IPython.display import HTML
HTML(env.from_string("<p>{{ root }} holds <b>{{ total | filesizeformat }}</b> ({{ now }})</p>").render(root=root, total=total, now=time.ctime()))''', "library"),
    same(r'''# small and binary sizes
print(env.from_string("{{ 1 | filesizeformat }}, {{ 870 | filesizeformat }}, {{ 2500000 | filesizeformat(true) }}").render())'''),
    same(r'''shutil.rmtree(root)
print(root.exists())
os.listdir(root)'''),
], patch=("jinja2/filters.py", "base = 1024 if binary else 1000", "base = 1024")))


BLIND.append(Case("d-metro-graph", [
    same(r'''import networkx as nx, time
lines = {"red": "Airport Docks Centre Park Zoo".split(), "blue": "Mill Centre Museum Stadium".split(), "green": "Docks Mill Zoo".split()}
G = nx.Graph()
for colour, stops in lines.items():
    for a, b in zip(stops, stops[1:]):
        G.add_edge(a, b, line=colour, minutes=2 + (len(a) + len(b)) % 4)
print(G, "built", time.strftime("%X"))
G'''),
    same(r'''t = time.perf_counter()
path = nx.shortest_path(G, "Airport", "Stadium", weight="minutes")
print(" > ".join(path), f"[{time.perf_counter() - t:.5f} s]")
print(nx.shortest_path_length(G, "Airport", "Stadium", weight="minutes"), "minutes")'''),
    differs(r'''d = nx.density(G)
print("density", round(d, 4))''', "library"),
    same(r'''print(dict(G.degree()))
print(nx.degree_histogram(G), nx.is_connected(G), nx.diameter(G))
set(G["Centre"])'''),
    differs(r'''if d > 0.35:
    print("well connected: changes are easy")
else:
    print("sparse: plan the changes")
print("missing edges about", round((1 - d) * 28))''', "library", "downstream"),
    same(r'''nx.shortest_path(G, "Airport", "Harbour")'''),
    differs(r'''from rich.console import Console
from rich.table import Table
table = Table(title="the network")
table.add_column("measure"); table.add_column("value", justify="right")
for name, value in (("stops", G.number_of_nodes()), ("tracks", G.number_of_edges()), ("density", nx.density(G))):
    table.add_row(name, f"{value:.3g}")
Console(width=60).print(table)''', "library"),
    same(r'''import matplotlib.pyplot as plt
plt.figure(figsize=(4, 3))
nx.draw(G, pos=nx.circular_layout(G), with_labels=True, node_color="lightblue", font_size=7, edge_color=[G[a][b]["line"] for a, b in G.edges])'''),
], patch=("networkx/classes/function.py", "        d *= 2\n", "        d *= 3\n")))


BLIND.append(Case("d-piano-tuning", [
    same(r'''from tabulate import tabulate
from fractions import Fraction
import math, time, random
NAMES = "C C# D D# E F F# G G# A A# B".split()
def freq(midi):
    return 440 * 2 ** ((midi - 69) / 12)
{n: 60 + i for i, n in enumerate(NAMES)}'''),
    differs(r'''rows = [(NAMES[m % 12] + str(m // 12 - 1), m, freq(m)) for m in range(57, 70, 3)]
print(tabulate(rows, headers=["note", "midi", "Hz"], tablefmt="github"))''', "library"),
    same(r'''just = {"fifth": Fraction(3, 2), "fourth": Fraction(4, 3), "major third": Fraction(5, 4)}
for name, f in just.items():
    print(f"{name:12} {str(f):>4} {1200 * math.log2(f):8.2f} cents")'''),
    varies(r'''# a tune by chance
tune = [random.choice(NAMES) for _ in range(32)]
print(" ".join(tune))'''),
    same(r'''print(tabulate([["drone", "A2", 110], ["bell", "E6", 1319]], headers=["sound", "note", "Hz"], tablefmt="simple"))
print("tuned on", time.strftime("%d.%m.%Y %H:%M:%S"))'''),
    differs(r'''t = time.perf_counter()
beats = [(n, abs(freq(69) * float(f) - freq(69 + s))) for (n, f), s in zip(just.items(), (7, 5, 4))]
print(tabulate(beats, headers=["interval", "beats/s"], floatfmt=".2f"))
print(f"({(time.perf_counter() - t) * 1000:.3f} ms)")''', "library"),
    same(r'''tabulate([[1, 2]], headers=["a", "b"], colalign=("middle",))'''),
    same(r'''major = [0, 2, 4, 5, 7, 9, 11]
for root in (0, 7, 2):
    print(f"{NAMES[root]:3}", [NAMES[(root + s) % 12] for s in major])
{NAMES[(7 * k) % 12] for k in range(5)}'''),
], patch=("tabulate/__init__.py", "                return format(float(val), floatfmt)\n", "                return format(round(float(val), 1), floatfmt)\n")))


BLIND.append(Case("d-quarter-table", [
    same(r'''import csv, io, time
from tabulate import tabulate
text = """region,q1,q2
North,"1,204.5","980"
South,"22.75","31.5"
West,"310","12,004.25"
"""
rows = list(csv.reader(io.StringIO(text)))
print(len(rows) - 1, "regions")
rows[1]'''),
    differs(r'''print(tabulate(rows[1:], headers=rows[0], tablefmt="github"))''', "library"),
    same(r'''num = lambda s: float(s.replace(",", ""))
totals = {r[0]: sum(map(num, r[1:])) for r in rows[1:]}
print(totals, "at", time.time())'''),
    same(r'''print(tabulate(sorted(totals.items()), headers=["region", "half year"], tablefmt="psql", floatfmt=",.2f"))'''),
    differs(r'''html = tabulate(rows[1:], headers=rows[0], tablefmt="html")
from IPython.display import HTML
HTML(str(html))''', "library"),
    differs(r'''print(len(html), "characters of HTML;", html.count("right"), "cells aligned right; made", time.strftime("%H:%M:%S"))''', "library", "downstream"),
    same(r'''print(tabulate([["North", True], ["West", False]], headers=["region", "audited"], tablefmt="pipe"))
print(time.ctime(), object())'''),
], upgrade=("tabulate==0.10.0", "tabulate==0.8.10")))


BLIND.append(Case("d-family-graph", [
    same(r'''import networkx as nx, json, time
from datetime import datetime
D = nx.DiGraph()
D.add_edges_from([("Ada", "Bo"), ("Ada", "Cleo"), ("Bo", "Dan"), ("Bo", "Eve"), ("Cleo", "Finn")])
nx.set_node_attributes(D, {"Ada": 1930, "Bo": 1955, "Cleo": 1958, "Dan": 1980, "Eve": 1984, "Finn": 1990}, "born")
print(D, datetime.now())
D, list(D.nodes(data=True))'''),
    same(r'''print(nx.descendants(D, "Bo"))
print(sorted(nx.ancestors(D, "Finn")), nx.lowest_common_ancestor(D, "Eve", "Finn"))'''),
    differs(r'''data = nx.node_link_data(D)
print(json.dumps(data, indent=1))''', "library"),
    differs(r'''from pathlib import Path
import tempfile
out = Path(tempfile.mkdtemp()) / "family.json"
n = out.write_text(json.dumps(data))
print(f"wrote {n} characters to {out}; keys {sorted(data)}")''', "library", "downstream"),
    same(r'''depth = nx.single_source_shortest_path_length(D, "Ada")
for person, k in depth.items():
    print("   " * k + person, D.nodes[person]["born"])'''),
    differs(r'''# what the web page asks for
[(l["source"], l["target"]) for l in data["links"]]''', "library", "downstream"),
    same(r'''t = time.perf_counter()
order = list(nx.lexicographical_topological_sort(D))
print(order, f"{time.perf_counter() - t:.6f} s", nx.is_tree(D), nx.dag_longest_path_length(D))'''),
], upgrade=("networkx==3.6.1", "networkx==3.2.1")))


# ---------------------------------------------------------------- a variable

BLIND.append(Case("d-daily-report", [
    same(r'''import os, json, time, subprocess, sys, logging
from datetime import datetime
SALES = {"north": [12, 30, 7], "south": [5, 44, 21]}
print(sys.version.split()[0], "report made", datetime.now().strftime("%c"))'''),
    differs(r'''region = os.environ.get("REPORT_REGION", "north")
print("Region:", region.title())
SALES[region]''', "environment"),
    differs(r'''t = time.perf_counter()
total = sum(SALES[region])
print(f"total {total}, mean {total / 3:.2f}  ({time.perf_counter() - t:.7f} s)")''', "environment", "downstream"),
    same(r'''print("all regions:", {k: sum(v) for k, v in SALES.items()})
print("run directory", os.getcwd())'''),
    differs(r'''!echo "report for $REPORT_REGION, $(date +%T)"''', "environment"),
    same(r'''out = subprocess.run([sys.executable, "-c", "import os; print(os.getpid() > 0, os.environ.get('REPORT_FORMAT'))"], capture_output=True, text=True)
out.stdout'''),
    differs(r'''import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(4, 2))
ax.plot(["Mon", "Tue", "Wed"], SALES[region], marker="o")
ax.set_title(region)
fig''', "environment", "downstream"),
    same(r'''class Report:
    def __init__(self, d): self.d = d
Report(SALES), logging.getLogger("report")'''),
    same(r'''SALES["east"]'''),
], environment={"REPORT_REGION": "north", "REPORT_FORMAT": "text"}, given={"REPORT_REGION": "south"}))


BLIND.append(Case("d-meeting-zones", [
    same(r'''import time, os
from datetime import datetime, timezone, timedelta
from zoneinfo import ZoneInfo
print("now", datetime.now(timezone.utc))
launch = 1_720_000_000          # from the ship's log
datetime.fromtimestamp(launch, timezone.utc)'''),
    differs(r'''local = datetime.fromtimestamp(launch)
print("local time of the launch:", local.isoformat())
print(time.tzname, time.timezone // 3600)''', "environment"),
    same(r'''for hours in (0, 2, 5.5, -7):
    z = timezone(timedelta(hours=hours))
    print(f"{datetime.fromtimestamp(launch, z):%a %H:%M}", z)'''),
    differs(r'''meeting = local + timedelta(days=1, hours=2)
print(meeting.strftime("%A %H:%M"), "office hours" if 8 <= meeting.hour < 17 else "outside office hours")''', "environment", "downstream"),
    differs(r'''%%bash
date -d @1720000000 '+%Y-%m-%d %H:%M %z'
echo "shell $$"''', "environment"),
    same(r'''a = datetime(2024, 3, 1, 9); b = datetime(2024, 7, 1, 9)
print(b - a, (b - a).total_seconds() / 3600, "h")
%timeit -n 100 -r 2 a.isoformat()'''),
    differs(r'''# 9 o'clock local time as a stamp
stamp = time.mktime((2024, 7, 1, 9, 0, 0, 0, 0, 0))
print(stamp, time.gmtime(stamp)[:5])''', "environment"),
    same(r'''datetime.strptime("2024-13-01", "%Y-%m-%d")'''),
], environment={"TZ": "CET-1"}, given={"TZ": "EST5"}))


BLIND.append(Case("d-hash-tables", [
    same(r'''# Lesson 9: how a dictionary finds its keys
print([hash(n) for n in (0, 1, 12, 2**61 - 1, 2.5, True)])
hash((1, 2)) == hash((1, 2))'''),
    differs(r'''words = "ant bee cow dog elk fox gnu hen".split()
for w in words:
    print(w, hash(w))''', "environment"),
    differs(r'''buckets = [[] for _ in range(8)]
for w in words:
    buckets[hash(w) % 8].append(w)
for i, b in enumerate(buckets):
    print(i, b)''', "environment"),
    same(r'''print(set(words))
print(sorted(set(words)), len(set(words)))'''),
    differs(r'''print("collisions:", [b for b in buckets if len(b) > 1])
print("longest chain", max(map(len, buckets)), "empty", sum(not b for b in buckets))''', "environment", "downstream"),
    same(r'''class Key:
    def __eq__(self, other): return True
    def __hash__(self): return 7
k = Key()
d = {k: "first"}
d[Key()] = "second"
d'''),
    same(r'''hash([1, 2, 3])'''),
    same(r'''import zlib, hashlib
print([zlib.crc32(w.encode()) % 8 for w in words])
print(hashlib.md5(b"ant").hexdigest())
%timeit -n 1000 -r 2 "cow" in words'''),
], environment={"PYTHONHASHSEED": "0"}, given={"PYTHONHASHSEED": "4711"}))


# ---------------------------------------------------------------- the code of one cell

_loan = r'''principal = 180_000
rate = %s / 12
months = 240'''
BLIND.append(Case("d-loan-plan", [
    same(r'''import time, datetime as dt, uuid
from decimal import Decimal
from tabulate import tabulate
print("plan", uuid.uuid4(), "drawn up", dt.datetime.now())'''),
    same(_loan % "0.036"),
    differs(r'''payment = principal * rate / (1 - (1 + rate) ** -months)
print(f"monthly payment {payment:,.2f}")''', "code", "downstream"),
    same(r'''print(f"principal {principal:,} over {months // 12} years, {months} payments")
print(Decimal("0.1") + Decimal("0.2"), 0.1 + 0.2)'''),
    differs(r'''left, table = principal, []
for m in range(1, months + 1):
    interest = left * rate
    left -= payment - interest
    if m % 48 == 0:
        table.append((m, interest, payment - interest, max(left, 0)))
print(tabulate(table, headers=["month", "interest", "repaid", "left"], floatfmt=",.2f"))''', "code", "downstream"),
    differs(r'''t = time.perf_counter()
total = payment * months
print(f"total interest {total - principal:,.0f} [computed in {time.perf_counter() - t:.7f} s, {time.strftime('%H:%M:%S')}]")''', "code", "downstream"),
    same(r'''first = dt.date(2024, 1, 31)
def add_month(d, n):
    y, m = divmod(d.month - 1 + n, 12)
    return dt.date(d.year + y, m + 1, 28)
[str(add_month(first, n)) for n in (1, 2, 12, months)]'''),
    same(r'''import logging, sys
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s", force=True)
logging.info("plan finished, file %s", object())'''),
], edited={1: _loan % "0.038"}))


_theme = r'''melody = "C4 E4 G4 %s G4 E4 C4".split()
print(len(melody), "notes:", *melody)'''
BLIND.append(Case("d-melody", [
    same(r'''import numpy as np, time
SEMI = dict(zip("C D E F G A B".split(), (0, 2, 4, 5, 7, 9, 11)))
def midi(n):
    return 12 * (int(n[-1]) + 1) + SEMI[n[0]] + (1 if "#" in n else 0)
midi("A4"), midi("C#5"), midi'''),
    differs(_theme % "C5", "code"),
    differs(r'''numbers = [midi(n) for n in melody]
steps = np.diff(numbers)
print(numbers, "\nsteps", steps)''', "code", "downstream"),
    same(r'''print("first", melody[0], "last", melody[-1], "distinct pitches", len(set(melody)))
print("begun at", time.strftime("%X"))'''),
    differs(r'''import matplotlib.pyplot as plt
plt.figure(figsize=(4, 2))
plt.step(range(len(numbers)), numbers, where="post")
plt.ylabel("midi");''', "code", "downstream"),
    same(r'''fs = 4000
t = np.arange(fs // 4) / fs
tone = np.sin(2 * np.pi * 440 * t)
%timeit -n 20 -r 2 np.fft.rfft(tone)
print(np.abs(np.fft.rfft(tone)).argmax() * 4, "Hz")'''),
    differs(r'''up = [n + 5 for n in numbers]
start = time.perf_counter()
print("transposed up a fourth:", up, "range", max(up) - min(up), f"{time.perf_counter() - start:.6f}s")''', "code", "downstream"),
    same(r'''midi("H4")'''),
], edited={1: _theme % "B4"}))


_maze = r'''rng = random.Random(%d)
W, H = 11, 7'''
BLIND.append(Case("d-maze", [
    same(r'''import random, time, collections
print("puzzle of", time.strftime("%A, %d %B %Y"))
DIRS = {"N": (0, -1), "S": (0, 1), "E": (1, 0), "W": (-1, 0)}
DIRS'''),
    same(_maze % 3),
    differs(r'''def carve(rng):
    grid = [["#"] * (2 * W + 1) for _ in range(2 * H + 1)]
    stack, seen = [(0, 0)], {(0, 0)}
    grid[1][1] = " "
    while stack:
        x, y = stack[-1]
        free = [(dx, dy) for dx, dy in DIRS.values() if 0 <= x + dx < W and 0 <= y + dy < H and (x + dx, y + dy) not in seen]
        if not free:
            stack.pop(); continue
        dx, dy = rng.choice(free)
        grid[2 * y + 1 + dy][2 * x + 1 + dx] = grid[2 * y + 1 + 2 * dy][2 * x + 1 + 2 * dx] = " "
        seen.add((x + dx, y + dy)); stack.append((x + dx, y + dy))
    return grid
t = time.perf_counter()
grid = carve(rng)
print("\n".join("".join(r) for r in grid))
print(f"carved in {time.perf_counter() - t:.4f} s")''', "code", "downstream"),
    same(r'''cells = sum(row.count(" ") for row in grid)
print("a perfect maze has", 2 * W * H - 1, "open squares; ours:", cells)'''),
    differs(r'''def solve(grid):
    goal = (2 * W - 1, 2 * H - 1)
    queue, prev = collections.deque([(1, 1)]), {(1, 1): None}
    while queue:
        p = queue.popleft()
        if p == goal: break
        for dx, dy in DIRS.values():
            q = p[0] + dx, p[1] + dy
            if grid[q[1]][q[0]] == " " and q not in prev:
                prev[q] = p; queue.append(q)
    path = []
    while p: path.append(p); p = prev[p]
    return path[::-1]
path = solve(grid)
print("way out:", len(path), "steps; corner squares", path[:12])''', "code", "downstream"),
    same(r'''# trivial maze: one corridor, whatever the generator
W, H = 4, 1
g = carve(random.Random(99))
print("\n".join("".join(r) for r in g)); print(len(solve(g)), solve)'''),
    same(r'''import sys
sys.setrecursionlimit(sys.getrecursionlimit())
solve([["#"]])'''),
], edited={1: _maze % 4}))


# ---------------------------------------------------------------- the order

BLIND.append(Case("d-bank-account", [
    same(r'''import time, datetime
class Account:
    def __init__(self, owner, balance=0):
        self.owner, self.balance, self.log = owner, balance, []
    def post(self, what, amount):
        self.balance = round(self.balance + amount, 2)
        self.log.append((datetime.datetime.now(), what, amount))
        return self.balance
acc = Account("Mira", 500)
acc'''),
    differs(r'''# salary
acc.post("salary", 1850.40)
print("balance", acc.balance)''', "order"),
    differs(r'''# interest: 2 % of what is there
acc.post("interest", round(acc.balance * 0.02, 2))
print(f"balance {acc.balance:.2f} at {datetime.datetime.now():%H:%M:%S.%f}")''', "order", "downstream"),
    same(r'''print(acc.owner, "has", len(acc.log), "bookings:", sorted(w for _, w, _ in acc.log))
acc.post'''),
    differs(r'''print(acc.balance)
acc.log[-1][1:]''', "order", "downstream"),
    differs(r'''# how long would it last at 150 a week?
weeks, rest = 0, acc.balance
while rest >= 150:
    rest -= 150; weeks += 1
print(weeks, "weeks,", f"{rest:.2f} left")''', "order", "downstream"),
    same(r'''acc.post("gift")'''),
    same(r'''print(time.strftime("closed %H:%M on day %j"))
%time sum(range(100000))'''),
], order=[0, 2, 1, 3, 4, 5, 6, 7]))


BLIND.append(Case("d-stack-lesson", [
    same(r'''stack = [3, 1, 2]
queue = ["a", "b"]
print(stack, id(stack))'''),
    differs(r'''stack.append(10)
print("after push:", stack)''', "order"),
    differs(r'''stack.sort()
stack.insert(0, len(stack))
print("sorted, length in front:", stack)''', "order", "downstream"),
    same(r'''import itertools
print(list(itertools.permutations("abc", 2)))
itertools.count(5), iter(queue)'''),
    differs(r'''while stack:
    print(stack.pop(), end=" ")''', "order", "downstream"),
    same(r'''try:
    stack.pop()
except IndexError as e:
    print("empty:", e)
stack'''),
    same(r'''%timeit -n 1000 -r 2 queue.append(queue.pop())'''),
    same(r'''queue.append("c")
print(queue.pop(0), queue)
queue[7]'''),
], order=[0, 2, 1, 3, 4, 5, 6, 7]))


# ---------------------------------------------------------------- processors

BLIND.append(Case("d-parallel-words", [
    same(r'''import os, time, threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
text = ("it was the best of times it was the worst of times it was the age of wisdom " * 40).split()
print(len(text), "words", time.ctime())'''),
    differs(r'''workers = len(os.sched_getaffinity(0))
print("using", workers, "workers")''', "machine"),
    differs(r'''size = -(-len(text) // workers)
chunks = [text[i:i + size] for i in range(0, len(text), size)]
print([len(c) for c in chunks])''', "machine", "downstream"),
    same(r'''t = time.perf_counter()
with ThreadPoolExecutor(workers) as pool:
    parts = list(pool.map(Counter, chunks))
total = sum(parts, Counter())
print(total.most_common(4), f"in {time.perf_counter() - t:.4f} s")'''),
    same(r'''with ThreadPoolExecutor(2) as pool:
    futures = [pool.submit(pow, 2, n) for n in (5, 10, 64)]
print([f.result() for f in futures])
futures[0]'''),
    differs(r'''for k, (c, p) in enumerate(zip(chunks, parts)):
    print(f"chunk {k}: {len(c)} words, 'it' {p['it']} times; first {c[0]}, last {c[-1]}")
print("thread", threading.get_ident())''', "machine", "downstream"),
    same(r'''!nproc
!echo "OMP_NUM_THREADS=$OMP_NUM_THREADS"'''),
    same(r'''{w for w in text if len(w) > 3}'''),
], cpus=1, environment={"OMP_NUM_THREADS": "2"}))


BLIND.append(Case("d-tile-render", [
    same(r'''import os, sys, time, logging, subprocess
import numpy as np
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s [%(threadName)s] %(message)s", force=True)
logging.info("rendering")
yy, xx = np.mgrid[-1.2:1.2:60j, -2:0.6:80j]
c = xx + 1j * yy
c.shape'''),
    differs(r'''# one band of rows for each processor that we may use
bands = np.array_split(np.arange(60), len(os.sched_getaffinity(0)))
for b in bands:
    logging.info("band of rows %d to %d", b[0], b[-1])''', "machine"),
    same(r'''def escape(c):
    z, n = np.zeros_like(c), np.zeros(c.shape, int)
    for _ in range(40):
        inside = abs(z) < 2
        z[inside] = z[inside] ** 2 + c[inside]
        n += inside
    return n
t = time.perf_counter()
picture = np.vstack([escape(c[b]) for b in bands])
print(picture.sum(), picture.max(), f"{time.perf_counter() - t:.3f} s")'''),
    same(r'''import matplotlib.pyplot as plt
plt.figure(figsize=(4, 3)); plt.imshow(picture, cmap="magma"); plt.axis("off");'''),
    differs(r'''child = subprocess.run([sys.executable, "-c", "import os; print('child may use', len(os.sched_getaffinity(0)), 'processor(s)')"], capture_output=True, text=True)
print(child.stdout, end="")
logging.info("child ended with %d", child.returncode)''', "machine"),
    differs(r'''print(f"{len(bands)} band(s) of", [len(b) for b in bands], "rows; finished", time.ctime())''', "machine", "downstream"),
    same(r'''escape(c[60])'''),
], cpus=1))


# ---------------------------------------------------------------- a seed in a file

_INI = "[game]\nseed = 17\nrounds = 12\nsides = 6\n\n[display]\nwidth = 40\ntitle = Snakes and ladders\n"
BLIND.append(Case("d-snakes-config", [
    same(r'''import configparser, random, time
from rich import print as rprint
cfg = configparser.ConfigParser()
cfg.read("game.ini")
print(cfg.sections(), dict(cfg["display"]), f"read {time.ctime()}")
cfg'''),
    differs(r'''game = {k: cfg.getint("game", k) for k in cfg["game"]}
game''', "data"),
    differs(r'''rng = random.Random(game["seed"])
rolls = [rng.randint(1, game["sides"]) for _ in range(game["rounds"])]
print("rolls", rolls)''', "data", "downstream"),
    same(r'''jumps = {4: 14, 9: 31, 17: 7, 20: 38, 28: 84, 40: 59, 51: 67, 54: 34, 62: 19, 64: 60}
rprint("[bold]" + cfg["display"]["title"] + "[/bold]", {a: b for a, b in jumps.items() if b < a})'''),
    differs(r'''pos, track = 0, []
for r in rolls:
    pos += r
    pos = jumps.get(pos, pos)
    track.append(pos)
print(track)
print(f"after {len(track)} rounds on square {pos}; run at {time.strftime('%H:%M:%S')}")''', "data", "downstream"),
    same(r'''print(len(rolls), "rounds;", "all rolls fair:", all(1 <= r <= 6 for r in rolls))
rng'''),
    varies(r'''# and without a seed
free = random.Random()
print([free.randint(1, 100) for _ in range(16)])'''),
    differs(r'''import matplotlib.pyplot as plt
plt.figure(figsize=(4, 2)); plt.plot(track, "o-"); plt.ylim(0, 100); plt.title(cfg["display"]["title"]);''', "data", "downstream"),
    same(r'''cfg.getint("display", "title")'''),
    same(r'''!grep -v seed game.ini | head -3; stat -c '%y %s bytes' game.ini'''),
], files={"game.ini": _INI.encode()}, data={"game.ini": _INI.replace("seed = 17", "seed = 19").encode()}))


# ---------------------------------------------------------------- the directory

BLIND.append(Case("d-photo-folders", [
    same(r'''import os, csv, json, shutil, logging, sys, time, sqlite3
from pathlib import Path
here = Path.cwd()
print("working in", here)
with open("photos.csv") as f:
    photos = list(csv.DictReader(f))
print(len(photos), "photos")
photos[0]'''),
    same(r'''out = here / "sorted"
shutil.rmtree(out, ignore_errors=True)
for p in photos:
    d = out / p["taken"][:4] / p["taken"][5:7]
    d.mkdir(parents=True, exist_ok=True)
    (d / p["name"]).write_text(p["camera"])
for root, dirs, names in os.walk(out):
    dirs.sort()
    print(root, sorted(names))'''),
    same(r'''made = sorted(out.rglob("*.jpg"))
made'''),
    same(r'''db = sqlite3.connect(out / "index.db")
db.execute("create table if not exists photo(path text, camera text)")
db.executemany("insert into photo values(?, ?)", [(str(p), p.read_text()) for p in made])
db.commit()
print(db.execute("select camera, count(*) from photo group by camera order by camera").fetchall())
db.execute("select path from photo limit 1").fetchone()'''),
    same(r'''!pwd
!find sorted -name '*.jpg' | wc -l
!ls -l sorted/2023/07/'''),
    same(r'''open(out / "2022" / "missing.jpg")'''),
    same(r'''logging.basicConfig(stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, force=True)
logging.info("index at %s", out / "index.db")
json.dumps({"root": str(out), "n": len(made), "t": time.time()})'''),
    same(r'''db.close()
cameras = {p["camera"] for p in photos}
print("cameras:", cameras)
shutil.rmtree(out); out.exists()'''),
], files={"photos.csv": b"name,taken,camera\nimg1.jpg,2023-07-02,Nikon\nimg2.jpg,2023-07-19,Pixel\nimg3.jpg,2023-12-24,Pixel\nimg4.jpg,2024-01-01,Nikon\nimg5.jpg,2024-05-05,Leica\n"},
    moved=True))


if __name__ == "__main__":
    from collections import Counter
    print(len(BLIND), "notebooks", sum(len(c.cells) for c in BLIND), "cells", Counter(x.truth for c in BLIND for x in c.cells))
