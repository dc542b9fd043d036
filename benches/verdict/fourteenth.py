"""The fourteenth blind set: lessons, logs, files, tests, displays.

Written by someone who had seen neither the rules nor the other cases, asked for notebooks as people write them, with changes that look like noise. Every truth was
decided from what the cell does, then checked in a plain kernel before and after its change. README has its figures at first sight. Rules were mended by some of
these since.
"""

from truth import Case, Cell, differs, same, varies  # noqa: F401

BLIND = []

# ---------------------------------------------------------------- noise only

BLIND.append(Case("h-lesson-objects", [
    same('''# Lesson 4: objects, identity and repr
import time, uuid, os, random
from datetime import datetime
started = time.perf_counter()
print("Lesson opened", datetime.now().strftime("%A %d %B %Y, %H:%M:%S"), "by process", os.getpid())'''),
    same('''class Point:
    """A point without a repr."""
    def __init__(self, x, y):
        self.x, self.y = x, y

    def norm(self):
        return (self.x ** 2 + self.y ** 2) ** 0.5

p, q = Point(3, 4), Point(6, 8)
print("p is", p)
print("q is", q)
print("norms:", p.norm(), q.norm())
p'''),
    same('''points = [Point(i, i * i) for i in range(3)]
print(points)
print({hash(pt) == hash(pt) for pt in points}, "ids:", [id(pt) for pt in points])
{"first": points[0], "method": points[0].norm, "cls": Point}'''),
    same('''words = "the quick brown fox jumps over the lazy dog and the cat".split()
unique = set(words)
print(unique)
print(len(words), "words,", len(unique), "unique")
unique'''),
    same('''class Order:
    def __init__(self, item):
        self.id = uuid.uuid4()
        self.item = item
    def __repr__(self):
        return f"<Order {self.id} item={self.item!r} at {hex(id(self))}>"

for item in ("tea", "rice", "salt"):
    print(Order(item))'''),
    varies('''hand = list(range(1, 53))
random.shuffle(hand)
print("Your hand:", hand[:10])'''),
    same('''try:
    points[0] + points[1]
except TypeError as error:
    print("TypeError:", error)
print(getattr(points[0], "z", object()))'''),
    same('''elapsed = time.perf_counter() - started
print(f"lesson took {elapsed * 1000:.2f} ms, 3 exercises done")'''),
]))

BLIND.append(Case("h-async-crawl", [
    same('''import asyncio, random, time, logging, threading
logging.basicConfig(level=logging.INFO, format="%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s: %(message)s", force=True)
log = logging.getLogger("crawl")
SITES = {"alpha": 120, "beta": 75, "gamma": 310, "delta": 42, "epsilon": 8, "zeta": 199}'''),
    same('''async def fetch(name):
    t0 = time.perf_counter()
    await asyncio.sleep(random.uniform(0.01, 0.08))
    log.info("fetched %s: %d bytes in %.1f ms", name, SITES[name], (time.perf_counter() - t0) * 1000)
    return SITES[name]

results = await asyncio.gather(*(fetch(n) for n in SITES))
print(dict(zip(SITES, results)))'''),
    same('''task = asyncio.create_task(fetch("alpha"))
print(task)
size = await task
print("done:", task.done(), "result:", size)'''),
    same('''queue = asyncio.Queue()
for n in SITES:
    queue.put_nowait(n)
seen = []

async def worker(i):
    while not queue.empty():
        name = queue.get_nowait()
        await asyncio.sleep(random.uniform(0.005, 0.05))
        print(f"worker finished {name}")
        seen.append(name)

await asyncio.gather(*(worker(i) for i in range(3)))
print("total", sum(SITES[n] for n in seen), "bytes from", len(seen), "sites")'''),
    same('''async def slow():
    await asyncio.sleep(30)

try:
    await asyncio.wait_for(slow(), timeout=0.05)
except asyncio.TimeoutError as error:
    print("timed out:", repr(error))
print(asyncio.get_running_loop())'''),
    same('''def in_thread(n):
    time.sleep(random.uniform(0.01, 0.04))
    print(f"[{threading.get_ident()}] square of {n}\\n", end="")
    return n * n

squares = await asyncio.gather(*(asyncio.to_thread(in_thread, n) for n in range(5)))
squares'''),
    same('''%time total = sum(i * i for i in range(200_000))
total'''),
]))

LOG = "".join(
    f"2024-03-{1 + i % 28:02d} {i % 24:02d}:{(i * 7) % 60:02d}:00 {('INFO', 'INFO', 'WARN', 'INFO', 'ERROR')[i % 5]} "
    f"{('auth', 'db', 'web')[i % 3]} request={i} took={20 + (i * 37) % 180}ms\n" for i in range(60))

BLIND.append(Case("h-log-report", [
    same('''import re, os, sys, time, tempfile, logging, shutil
from pathlib import Path
from collections import Counter
import pandas as pd
from tqdm.auto import tqdm
logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, force=True,
                    format="[%(asctime)s] [pid %(process)d] [%(threadName)s] %(message)s")
logging.getLogger("matplotlib").setLevel(logging.WARNING)
work = Path(tempfile.mkdtemp(prefix="logs-"))
print("working in", work)'''),
    same('''PATTERN = re.compile(r"(?P<day>\\S+) (?P<time>\\S+) (?P<level>\\w+) (?P<part>\\w+) request=(?P<id>\\d+) took=(?P<ms>\\d+)ms")
rows = []
for line in tqdm(Path("app.log").read_text().splitlines(), desc="parsing"):
    rows.append(PATTERN.match(line).groupdict())
df = pd.DataFrame(rows).astype({"ms": int, "id": int})
df.head()'''),
    same('''logging.info("parsed %d lines", len(df))
logging.warning("%d errors found", (df.level == "ERROR").sum())
logging.debug("file is %s", (work / "app.parquet"))'''),
    same('''summary = df.groupby(["part", "level"]).ms.agg(["count", "mean", "max"]).round(1)
summary'''),
    same('''summary.style.background_gradient(axis=0).format(precision=1)'''),
    same('''target = work / "errors.csv"
df[df.level == "ERROR"].to_csv(target, index=False)
print(f"wrote {target} ({target.stat().st_size} bytes) at {time.ctime(target.stat().st_mtime)}")
!ls -l {target}'''),
    same('''print(open(target))
print({p for p in df.part})
print(Counter(df.level))'''),
    varies('''df.sample(6)[["id", "part", "ms"]]'''),
    same('''shutil.rmtree(work)
print("removed", work, "-", len(df), "rows stay in memory,", os.times().user, "s of cpu used")'''),
], files={"app.log": LOG}))

BLIND.append(Case("h-testing-noise", [
    same('''import unittest, doctest, warnings, sys, time, tempfile, traceback, inspect
print(sys.version.split()[0], sys.executable)'''),
    same('''def slugify(text):
    """Make a slug.

    >>> slugify("Hello World")
    'hello-world'
    >>> slugify("  two  spaces ")
    'two-spaces'
    """
    return "-".join(text.lower().split())

doctest.run_docstring_examples(slugify, globals(), verbose=True)'''),
    same('''class TestSlug(unittest.TestCase):
    def setUp(self):
        self.started = time.perf_counter()
    def tearDown(self):
        print(f"  {self._testMethodName} took {(time.perf_counter() - self.started) * 1e6:.0f} us")
    def test_simple(self):
        self.assertEqual(slugify("A B"), "a-b")
    def test_empty(self):
        self.assertEqual(slugify(""), "")
    def test_umlaut(self):
        time.sleep(0.02)
        self.assertEqual(slugify("Ä Ö"), "ä-ö")

suite = unittest.defaultTestLoader.loadTestsFromTestCase(TestSlug)
unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)'''),
    same('''class TestObjects(unittest.TestCase):
    def test_identity(self):
        a, b = object(), object()
        self.assertIs(a, b, "two objects are two")
    def test_tmp(self):
        with tempfile.NamedTemporaryFile() as f:
            self.assertTrue(f.name.endswith(".txt"), f.name)

result = unittest.main(argv=["x", "TestObjects"], exit=False)
print(len(result.result.failures), "failures of", result.result.testsRun)'''),
    same('''warnings.simplefilter("always")
def old(x):
    warnings.warn(f"old() is deprecated, called with {x!r}", DeprecationWarning, stacklevel=2)
old(3)
old(object)'''),
    same('''import contextlib
@contextlib.contextmanager
def timer(name):
    t = time.monotonic()
    yield
    print(f"{name}: {time.monotonic() - t:.5f}s")

with timer("sorting"):
    ordered = sorted(range(100_000), key=lambda i: -i)
with timer("summing"):
    total = sum(ordered)
total'''),
    same('''def lookup(registry, key):
    return registry[key]

lookup({"a": 1}, object())'''),
    same('''%timeit -n 50 -r 3 slugify("The quick brown fox")'''),
    same('''try:
    with open(tempfile.mkdtemp() + "/missing.txt") as f:
        f.read()
except FileNotFoundError:
    traceback.print_exc()'''),
]))

BLIND.append(Case("h-charts-and-widgets-noise", [
    same('''import plotly.graph_objects as go, plotly.express as px
import altair as alt, pandas as pd, numpy as np
import ipywidgets as widgets
from bokeh.plotting import figure, show
from bokeh.io import output_notebook
from IPython.display import display, HTML, JSON, Markdown
import uuid, datetime, time
sales = pd.DataFrame({"month": ["Jan", "Feb", "Mar", "Apr"], "north": [12, 15, 11, 19], "south": [9, 8, 14, 13]})'''),
    same('''fig = go.Figure([go.Bar(x=sales.month, y=sales.north, name="north"), go.Bar(x=sales.month, y=sales.south, name="south")])
fig.update_layout(title="Sales by month", barmode="group")
fig'''),
    same('''output_notebook()'''),
    same('''p = figure(title="north", x_range=list(sales.month), height=240)
p.vbar(x=list(sales.month), top=list(sales.north), width=0.8)
show(p)
print(p)'''),
    same('''alt.Chart(sales).mark_line(point=True).encode(x=alt.X("month", sort=None), y="south")'''),
    same('''slider = widgets.IntSlider(value=7, min=0, max=10, description="Top n")
label = widgets.HTML(f"<b>created {datetime.datetime.now():%H:%M:%S}</b>")
box = widgets.VBox([slider, label])
display(box)
print(slider.model_id, slider.value)'''),
    same('''out = widgets.Output()
with out:
    print("inside the output widget", datetime.datetime.now())
out'''),
    same('''div = uuid.uuid4().hex
HTML(f"<div id='chart-{div}'><p>Report of {datetime.date.today()}</p></div>"
     f"<script>document.getElementById('chart-{div}').style.color = 'teal';</script>")'''),
    varies('''noise = np.random.default_rng().normal(size=5)
px.scatter(x=range(5), y=noise)'''),
    same('''display(Markdown(f"**{len(sales)} months**, total `{sales.north.sum() + sales.south.sum()}`"))
display(JSON({"rows": len(sales), "generated": time.time(), "request": str(uuid.uuid1())}))'''),
]))

BLIND.append(Case("h-moved-folder", [
    same('''import os, sys, sqlite3, json, subprocess, time, glob
from pathlib import Path
here = Path.cwd()
print("project folder:", here)'''),
    same('''(here / "out").mkdir(exist_ok=True)
for name in ("a.txt", "b.txt", "c.md"):
    (here / "out" / name).write_text(name * 3)
for path in sorted((here / "out").iterdir()):
    print(path, path.stat().st_size)'''),
    same('''!pwd
!ls out'''),
    same('''db = sqlite3.connect(here / "shop.db")
db.execute("create table if not exists item(id integer primary key, name text, price real)")
db.executemany("insert into item(name, price) values(?, ?)", [("tea", 3.5), ("rice", 2.25), ("salt", 0.8)])
db.commit()
print(db.execute("pragma database_list").fetchall())
db.execute("select count(*), sum(price) from item").fetchall()'''),
    same('''config = json.loads(Path("config.json").read_text())
config["root"] = str(here)
print(json.dumps(config, indent=2))'''),
    same('''done = subprocess.run([sys.executable, "-c", "import os; print(os.getcwd()); print(sum(range(10)))"], capture_output=True, text=True)
print(done.stdout)'''),
    same('''%cd out
!wc -c *.txt
%cd ..'''),
    same('''Path("out/missing.txt").resolve().read_text()'''),
    same('''print(sorted(glob.glob(str(here / "out" / "*"))), time.strftime("%c"))'''),
], files={"config.json": '{"name": "shop", "currency": "EUR", "version": 3}'}, moved=True))

# ---------------------------------------------------------------- data

ACCESS = "".join(
    f'10.0.{i % 4}.{i % 9} - - [12/May/2024:10:{i:02d}:{(i * 13) % 60:02d} +0000] "GET {("/", "/cart", "/about", "/api/items")[(i * i + i // 3) % 4]} HTTP/1.1" '
    f'{(200, 200, 304, 200, 404, 200, 500)[i % 7]} {1200 + (i * 733) % 5000}\n' for i in range(50))
_old = ACCESS.splitlines(keepends=True)
_number = _old[33].split()[-1]
_new = list(_old)
_new[33] = _old[33].replace(_number, str(int(_number) + 27))
ACCESS_NOW = "".join(_new)

BLIND.append(Case("h-access-log-bytes", [
    same('''import re, os, time, sys, logging
from pathlib import Path
import pandas as pd, matplotlib.pyplot as plt
logging.basicConfig(format="%(asctime)s %(name)s[%(process)d] %(message)s", level=logging.INFO, force=True, stream=sys.stderr)
log = logging.getLogger("traffic")
print("pandas", pd.__version__)'''),
    same('''t0 = time.perf_counter()
lines = Path("access.log").read_text().splitlines()
print(f"read {len(lines)} lines from {Path('access.log').resolve()} in {(time.perf_counter() - t0) * 1e3:.3f} ms")'''),
    same('''LINE = re.compile(r'(\\S+) - - \\[(.*?)\\] "GET (\\S+) HTTP/1.1" (\\d+) (\\d+)')
hits = pd.DataFrame([LINE.match(l).groups() for l in lines], columns=["ip", "when", "path", "status", "bytes"])
hits["bytes"] = hits.bytes.astype(int)
hits.head(8)'''),
    same('''hits.status.value_counts().sort_index()'''),
    differs('''t0 = time.time()
by_ip = hits.groupby("ip").bytes.sum()
log.info("grouped %d addresses in %.4f s, %d bytes in all", len(by_ip), time.time() - t0, by_ip.sum())''', "data", "downstream"),
    same('''errors = hits[hits.status >= "500"]
print(f"[{time.strftime('%H:%M:%S')}] {len(errors)} server errors on {sorted(set(errors.path))}")'''),
    differs('''fig, ax = plt.subplots(figsize=(5, 3))
totals = hits.groupby("path").bytes.sum()
bars = ax.barh(totals.index, totals.values)
ax.bar_label(bars)
ax.set_xlim(0, totals.max() * 1.25)
plt.show()''', "data", "downstream"),
    varies('''print("spot check of rows", [int(i) for i in hits.sample(8).index])'''),
    differs('''print(f"report {id(hits):x} | pid {os.getpid()} | mean size {hits.bytes.mean():.2f} | made {time.ctime()}")''', "data", "downstream"),
], files={"access.log": ACCESS}, data={"access.log": ACCESS_NOW}))

SQL = """create table product(id integer primary key, name text, price real, stock integer);
create table sale(id integer primary key, product integer references product(id), qty integer, day text);
insert into product(name, price, stock) values('kettle', 24.90, 12), ('mug', 6.50, 80), ('teapot', 31.00, 5), ('spoon', 1.20, 200);
insert into sale(product, qty, day) values(1, 2, '2024-01-03'), (2, 10, '2024-01-03'), (3, 1, '2024-01-05'), (2, 4, '2024-01-09'), (4, 25, '2024-02-01'), (1, 1, '2024-02-02');
"""

BLIND.append(Case("h-sqlite-shop", [
    same('''import sqlite3, time, uuid
from pathlib import Path
import pandas as pd
from IPython.display import HTML
con = sqlite3.connect(":memory:")
con.executescript(Path("shop.sql").read_text())
print(con, "opened", time.strftime("%H:%M:%S"))'''),
    same('''for (name,) in con.execute("select name from sqlite_master where type = 'table' order by 1"):
    n = con.execute(f"select count(*) from {name}").fetchone()[0]
    print(f"{name:10} {n} rows")'''),
    same('''con.row_factory = sqlite3.Row
row = con.execute("select * from product where name = 'mug'").fetchone()
print(row, dict(row))'''),
    same('''con.execute("create index by_product on sale(product)")
pd.read_sql("explain query plan select * from sale where product = 2", con)[["detail"]]'''),
    differs('''started = time.perf_counter()
revenue = pd.read_sql("""select substr(day, 1, 7) as month, sum(qty * price) as revenue
                         from sale join product on product.id = sale.product group by 1""", con)
print(f"query {uuid.uuid4()} took {time.perf_counter() - started:.4f} s")
revenue''', "data", "downstream"),
    differs('''class Report:
    def __init__(self, frame):
        self.frame = frame
    def __repr__(self):
        return f"<Report at {hex(id(self))}: {len(self.frame)} months, best {self.frame.revenue.max():.2f}>"
Report(revenue)''', "data", "downstream"),
    same('''sold = pd.read_sql("select name, sum(qty) as sold from sale join product on product.id = product group by name order by name", con)
sold'''),
    differs('''key = uuid.uuid4().hex
rows = "".join(f"<tr><td>{r['name']}</td><td>{r['price']:.2f}</td></tr>" for r in con.execute("select * from product order by id"))
HTML(f"<table id='t{key}'>{rows}</table><!-- {time.time()} -->")''', "data", "downstream"),
    differs('''import warnings
for month, value in revenue.itertuples(index=False):
    if value < 100:
        warnings.warn(f"revenue of {month} is only {value:.2f}")''', "data", "downstream"),
    same('''try:
    con.execute("insert into product(id, name) values(1, 'cup')")
except sqlite3.IntegrityError as error:
    print(type(error), error)'''),
], files={"shop.sql": SQL}, data={"shop.sql": SQL.replace("24.90", "24.09")}))

EDGES = """source,target,minutes
Alba,Brig,12
Brig,Chur,25
Chur,Dorf,9
Alba,Egg,31
Egg,Dorf,14
Brig,Egg,18
Dorf,Fels,7
Gais,Hof,11
"""

BLIND.append(Case("h-rail-network", [
    same('''import csv, time, logging, random
import networkx as nx
from dataclasses import dataclass, field
print("networkx", nx.__version__, "-", time.strftime("%d.%m.%Y"))'''),
    same('''@dataclass
class Station:
    name: str
    links: dict = field(default_factory=dict, repr=False)
    def connect(self, other, minutes):
        self.links[other.name] = minutes
        other.links[self.name] = minutes

class Network:
    def __init__(self):
        self.stations = {}
    def station(self, name):
        return self.stations.setdefault(name, Station(name))

net = Network()
with open("edges.csv", newline="") as f:
    for r in csv.DictReader(f):
        net.station(r["source"]).connect(net.station(r["target"]), int(r["minutes"]))
print(net, len(net.stations), "stations")'''),
    same('''sorted(net.stations.values(), key=lambda s: (-len(s.links), s.name))'''),
    same('''G = nx.Graph()
for s in net.stations.values():
    for other, minutes in s.links.items():
        G.add_edge(s.name, other, minutes=minutes)
print(G, "at", hex(id(G)))
print([sorted(c) for c in nx.connected_components(G)])'''),
    same('''print("fewest changes:", nx.shortest_path(G, "Alba", "Fels"))
{n for n in G if G.degree(n) == 3}'''),
    differs('''t0 = time.perf_counter()
path = nx.shortest_path(G, "Alba", "Fels", weight="minutes")
length = nx.shortest_path_length(G, "Alba", "Fels", weight="minutes")
print(f"{' > '.join(path)}: {length} min (searched {(time.perf_counter() - t0) * 1e6:.0f} us)")''', "data", "downstream"),
    differs('''import sys
from tqdm import tqdm
for minute in tqdm(range(length), desc="travelling", file=sys.stdout):
    time.sleep(0.002)''', "data", "downstream"),
    differs('''tree = nx.minimum_spanning_tree(G, weight="minutes")
print(tree, tree.size(weight="minutes"))''', "data", "downstream"),
    varies('''walk = ["Alba"]
for _ in range(20):
    walk.append(random.choice(sorted(G[walk[-1]])))
print("random walk:", " ".join(walk))'''),
    differs('''matrix = nx.to_pandas_adjacency(G, nodelist=sorted(G), weight="minutes").astype(int)
matrix''', "data", "downstream"),
], files={"edges.csv": EDGES}, data={"edges.csv": EDGES.replace("Chur,Dorf,9", "Chur,Dorf,6")}))

NOTES = """# Recipe book

Bread needs flour, water, salt and time. Mix the flour and the water and wait an hour.

Soup comes from the garden: leek, carrot, celery. Simmer for 40 minutes.

Price of the flour: 1.85 per kilo. See https://example.org/bread?lang=en for more.

Written 2024-06-30 by Ada.
"""

BLIND.append(Case("h-notes-markdown", [
    same('''import re, json, string, textwrap, datetime, uuid
from pathlib import Path
from collections import Counter
from IPython.display import Markdown, HTML, JSON, Latex, display
text = Path("notes.md").read_text()
print(f"{len(text)} characters, {len(text.splitlines())} lines, loaded {datetime.datetime.now().isoformat()}")'''),
    same('''paragraphs = [p for p in text.split("\\n\\n") if p.strip()]
print(len(paragraphs), "paragraphs of", [len(p.split()) for p in paragraphs], "words")'''),
    same('''words = re.findall(r"[a-z]+", text.lower())
print(set(w for w in words if len(w) > 6))
Counter(words).most_common(4)'''),
    differs('''display(Markdown(f"*Rendered {datetime.datetime.now():%H:%M:%S.%f}*"))
display(Markdown(text))''', "data", "downstream"),
    same('''anchor = uuid.uuid4()
items = "".join(f"<li>{textwrap.shorten(p, 60)}</li>" for p in paragraphs)
HTML(f"<section data-id='{anchor}'><ol>{items}</ol></section>")'''),
    differs('''minutes = sum(int(m) for m in re.findall(r"(\\d+) minutes", text))
JSON({"minutes": minutes, "links": re.findall(r"https?://\\S+", text), "made": datetime.datetime.now().timestamp()})''', "data", "downstream"),
    same('''price = float(re.search(r"flour: ([\\d.]+)", text).group(1))
Latex(rf"$$ c(x) = {price} \\cdot x $$")'''),
    same('''written = datetime.date.fromisoformat(re.search(r"\\d{4}-\\d\\d-\\d\\d", text).group())
print(f"written on a {written:%A}, {(datetime.date.today() - written).days} days ago")'''),
    differs('''import hashlib
print(hashlib.sha1(text.encode()).hexdigest()[:12], "checksum of the notes")''', "data", "downstream"),
], files={"notes.md": NOTES}, data={"notes.md": NOTES.replace("40 minutes", "45 minutes")}))

# ---------------------------------------------------------------- patch

BLIND.append(Case("h-friends-closeness", [
    same('''import time, uuid
import networkx as nx
import matplotlib.pyplot as plt
print("started", time.strftime("%Y-%m-%d %H:%M:%S"), "networkx", nx.__version__)'''),
    same('''class Person:
    def __init__(self, name):
        self.name, self.key = name, uuid.uuid4().hex[:8]
    def __str__(self):
        return self.name

people = {n: Person(n) for n in ("Ann", "Ben", "Cat", "Dan", "Eve", "Fay", "Gus")}
print({n: p.key for n, p in people.items()})
list(people.values())[:2]'''),
    same('''club = nx.Graph([("Ann", "Ben"), ("Ben", "Cat"), ("Cat", "Ann"), ("Cat", "Dan")])
town = nx.Graph(club)
town.add_edges_from([("Eve", "Fay"), ("Fay", "Gus")])
print(club, "and", town)
print(f"density {nx.density(town):.4f}, diameter of the club {nx.diameter(club)}")'''),
    same('''t0 = time.perf_counter()
scores = nx.closeness_centrality(club)
print({n: round(s, 3) for n, s in scores.items()}, f"{(time.perf_counter() - t0) * 1e3:.2f} ms")'''),
    differs('''t0 = time.perf_counter()
scores = nx.closeness_centrality(town)
print({n: round(s, 3) for n, s in scores.items()}, f"{(time.perf_counter() - t0) * 1e3:.2f} ms")''', "library"),
    same('''order = sorted(scores, key=lambda n: (-scores[n], n))
print("ranking by closeness:", order[:1], "of", set(people))'''),
    differs('''class Ranking:
    def __init__(self, scores):
        self.mean = sum(scores.values()) / len(scores)
    def __repr__(self):
        return f"<{self.__class__.__module__}.Ranking object at {id(self):#x} mean={self.mean:.4f}>"
Ranking(scores)''', "library", "downstream"),
    same('''nx.betweenness_centrality(town, normalized=False)'''),
    differs('''fig, ax = plt.subplots(figsize=(4, 3))
ax.bar(list(scores), list(scores.values()), color="slategray")
ax.set_title("closeness")
plt.show()''', "library", "downstream"),
], patch=("networkx/algorithms/centrality/closeness.py",
          "_closeness_centrality *= s\n        closeness_dict[n]", "_closeness_centrality *= s ** 0.9\n        closeness_dict[n]")))

BLIND.append(Case("h-feast-days", [
    same('''import calendar, time
from datetime import date, datetime, timedelta
from dateutil.easter import easter, EASTER_ORTHODOX, EASTER_JULIAN
from dateutil.relativedelta import relativedelta
from dateutil.rrule import rrule, MONTHLY, FR
print("calendar printed on", date.today(), "at", datetime.now().time())'''),
    same('''for year in range(2024, 2028):
    print(year, easter(year).strftime("%a %d %b"))'''),
    differs('''t = time.perf_counter()
dates = {year: easter(year, EASTER_ORTHODOX).isoformat() for year in range(2024, 2028)}
print(dates, "computed in", time.perf_counter() - t, "s")''', "library"),
    same('''calendar.setfirstweekday(calendar.MONDAY)
print(calendar.month(2024, 5))'''),
    differs('''gaps = [(easter(y, EASTER_ORTHODOX) - easter(y)).days for y in range(2000, 2030)]
print(f"mean gap {sum(gaps) / len(gaps):.2f} days, {gaps.count(0)} years together  (checked {datetime.now():%H:%M:%S})")''', "library"),
    same('''pentecost = easter(2025) + timedelta(days=49)
print(pentecost, "and a year later", pentecost + relativedelta(years=1))
print(f"{(date.today() - pentecost).days} days since Pentecost 2025")'''),
    same('''list(rrule(MONTHLY, byweekday=FR, bymonthday=13, count=3, dtstart=datetime(2024, 1, 1)))'''),
    differs('''from IPython.display import Markdown
Markdown("\\n".join(f"- {y}: **{easter(y, EASTER_ORTHODOX):%d %B}**" for y in (2030, 2031)) + f"\\n\\n*generated {datetime.now():%c}*")''', "library"),
], patch=("dateutil/easter.py", "e = 10", "e = 11")))

BLIND.append(Case("h-bokeh-palette", [
    same('''import json, time, uuid
import pandas as pd
from bokeh.plotting import figure, show
from bokeh.io import output_notebook
from bokeh.embed import json_item
from bokeh.models import ColumnDataSource
from bokeh.palettes import Spectral4, Viridis5
import altair as alt
output_notebook(hide_banner=True)'''),
    same('''fruit = pd.DataFrame({"name": ["apple", "pear", "plum", "fig"], "kilo": [31, 17, 24, 6]})
print(fruit.to_string(index=False))
print("source made", time.time())'''),
    same('''src = ColumnDataSource(fruit)
print(src)
p = figure(x_range=list(fruit.name), height=200, title="stock")
p.vbar("name", top="kilo", width=0.7, source=src, color=Viridis5[2])
show(p)'''),
    differs('''src = ColumnDataSource(fruit.assign(color=list(Spectral4)))
p = figure(x_range=list(fruit.name), height=200, title="stock in colours")
p.vbar("name", top="kilo", width=0.7, source=src, color="color")
show(p)''', "library"),
    same('''item = json_item(p, "plot-" + uuid.uuid4().hex)
print(sorted(item), len(item["doc"]["roots"]), item["target_id"])'''),
    same('''alt.Chart(fruit).mark_arc().encode(theta="kilo", color="name")'''),
    differs('''print(f"[{time.strftime('%X')}] palette {list(Spectral4)} kept in list {id(Spectral4):#x}")''', "library"),
    same('''print(src.to_df().shape, set(src.column_names))'''),
    differs('''from IPython.display import HTML
HTML(f"<div id='{uuid.uuid4()}'>" + "".join(f"<span style='background:{c}'>{n}</span>" for n, c in zip(fruit.name, Spectral4)) + "</div>")''', "library"),
], patch=("bokeh/palettes.py", 'Spectral4 = ("#2b83ba", "#abdda4", "#fdae61", "#d7191c")', 'Spectral4 = ("#2b83ba", "#abdda4", "#fdbe61", "#d7191c")')))

# ---------------------------------------------------------------- environment

BLIND.append(Case("h-time-zones", [
    same('''import time, os, datetime as dt, calendar
from zoneinfo import ZoneInfo
t0 = time.time()
print("now", dt.datetime.now(), "seconds", t0)'''),
    same('''utc = dt.datetime(2024, 1, 15, 22, 30, tzinfo=dt.timezone.utc)
stamp = utc.timestamp()
print(utc, stamp, calendar.timegm(utc.timetuple()))'''),
    differs('''print(f"[{os.getpid()}] event 17 at {dt.datetime.fromtimestamp(stamp):%d.%m.%Y %H:%M} ({time.time() - t0:.3f}s after start)")''', "environment"),
    same('''print(f"[{os.getpid()}] event 17 at {dt.datetime.fromtimestamp(stamp, dt.timezone.utc):%d.%m.%Y %H:%M} ({time.time() - t0:.3f}s after start)")'''),
    differs('''print(time.tzname, "offset", -time.timezone // 3600, "h; today is", dt.date.today())''', "environment"),
    same('''start = dt.datetime(2024, 2, 28, 23, 0)
[str(start + dt.timedelta(hours=h)) for h in (1, 25, 49)]'''),
    differs('''events = {"login": stamp, "logout": stamp + 3600 * 2.5}
for name, s in events.items():
    print(f"{name:8} {time.strftime('%a %H:%M', time.localtime(s))}")''', "environment"),
    same('''!date -u -d @1705357800 +%Y-%m-%dT%H:%MZ'''),
    differs('''!date -d @1705357800 "+%Y-%m-%d %H:%M"; date +%s''', "environment"),
], environment={"TZ": "CET-1"}, given={"TZ": "EET-2"}))

BLIND.append(Case("h-log-level", [
    same('''import logging, os, sys, time, random, uuid
print(f"run {uuid.uuid4()} started {time.ctime()}")'''),
    same('''level = os.environ.get("APP_LOG", "INFO")
logging.basicConfig(level=level, stream=sys.stdout, force=True, format="%(asctime)s %(levelname)-7s [%(process)d] %(message)s")
log = logging.getLogger("app")'''),
    differs('''def process(batch):
    t0 = time.perf_counter()
    log.info("batch of %d", len(batch))
    odd = [b for b in batch if b % 2]
    if odd:
        log.warning("%d odd numbers in the batch (%.2f ms)", len(odd), (time.perf_counter() - t0) * 1e3)
    return sum(batch)

process([1, 2, 3, 4])''', "environment", "downstream"),
    same('''log.error("disk almost full: %s", hex(id(log)))
log.warning("retry %d of 3", 2)'''),
    differs('''print(log, log.handlers, logging.getLogger().handlers)
print("effective level:", logging.getLevelName(log.getEffectiveLevel()))''', "environment", "downstream"),
    same('''records = []
class Keep(logging.Handler):
    def emit(self, record):
        records.append((record.levelname, record.getMessage()))
log.addHandler(Keep())
log.warning("kept")
print(records, Keep)'''),
    differs('''records.clear()
for i in range(4):
    log.log(20 if i < 3 else 30, "step %d", i)
print(f"{len(records)} records kept at {time.time():.1f}")''', "environment", "downstream"),
    varies('''print("queue sizes", [random.randint(0, 999) for _ in range(6)])'''),
    same('''try:
    1 / 0
except ZeroDivisionError:
    log.exception("computation %s failed", object())'''),
], environment={"APP_LOG": "INFO"}, given={"APP_LOG": "WARNING"}))

BLIND.append(Case("h-bash-deploy", [
    same('''echo "shell $$ started $(date)"'''),
    same('''work=$(mktemp -d)
for n in one two three; do printf '%s\\n' "$n" > "$work/$n.txt"; done
ls "$work"
echo "$work"'''),
    differs('''echo "[$(date +%T)] deploying to ${STAGE:-nowhere} from $work"''', "environment"),
    same('''wc -l "$work"/*.txt | tail -n 1
cat "$work"/*.txt | sort | tr a-z A-Z'''),
    differs('''sed "s/@host@/${STAGE}.example.org/" <<'END' > "$work/app.conf"
# made by deploy
server = @host@
port = 8080
END
stat -c '%n %s bytes' "$work/app.conf"
cat "$work/app.conf"''', "environment"),
    same('''grep -c port "$work/app.conf"; echo "processors: $(nproc)"'''),
    differs('''cksum < "$work/app.conf"''', "environment"),
    same('''( sleep 0.1; echo "subshell $BASHPID done" )
date +%s.%N'''),
    same('''rm -r "$work"; test -e "$work" || echo "removed $work"'''),
], kernel="bash", environment={"STAGE": "test2"}, given={"STAGE": "test3"}))

# ---------------------------------------------------------------- edited

BLIND.append(Case("h-async-limit", [
    same('''import asyncio, time, uuid
t0 = time.perf_counter()
print("session", uuid.uuid4())'''),
    same('''LIMIT = 3
DELAY = 0.02'''),
    same('''class Gate:
    def __init__(self, limit):
        self.sem = asyncio.Semaphore(limit)
        self.now = self.peak = 0
    async def run(self, n):
        async with self.sem:
            self.now += 1
            self.peak = max(self.peak, self.now)
            await asyncio.sleep(DELAY)
            self.now -= 1
            return n * n'''),
    differs('''gate = Gate(LIMIT)
print(gate.sem)
squares = await asyncio.gather(*(gate.run(n) for n in range(8)))
print(f"peak {gate.peak}, finished after {time.perf_counter() - t0:.3f} s")''', "code", "downstream"),
    same('''print(squares, "sum", sum(squares))'''),
    same('''async def ticker(k):
    for i in range(k):
        yield i
        await asyncio.sleep(0.001)

print([i async for i in ticker(5)], f"{time.perf_counter() - t0:.4f} s", ticker(1))'''),
    differs('''import math
waves = math.ceil(8 / gate.peak)
print(f"{time.strftime('%H:%M:%S')} {waves} waves for 8 jobs, gate {gate}")''', "code", "downstream"),
    same('''tasks = [asyncio.create_task(gate.run(n), name=f"job-{n}") for n in range(3)]
print(await asyncio.gather(*tasks))
print(tasks[0])'''),
], edited={1: '''LIMIT = 4
DELAY = 0.02'''}))

BLIND.append(Case("h-unit-tests-edited", [
    same('''import unittest, doctest, sys, time, warnings
print("tests of", time.strftime("%d %b %Y %H:%M"))'''),
    same('''def leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)

def days(year):
    return 366 if leap(year) else 365'''),
    same('''print([y for y in range(1996, 2030) if leap(y)])
print(days(2023), days(2024), leap)'''),
    differs('''class TestLeap(unittest.TestCase):
    def test_usual(self):
        self.assertTrue(leap(2024))
    def test_century(self):
        self.assertFalse(leap(1900))
    def test_four_centuries(self):
        self.assertTrue(leap(2000))

def run(case):
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    return unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(suite)

outcome = run(TestLeap)''', "code", "downstream"),
    differs('''print(outcome, "in", __name__)
print("green" if outcome.wasSuccessful() else "red", time.time())''', "code", "downstream"),
    differs('''assert not leap(2100), "2100 is no leap year"
print("all asserts hold", object())''', "code", "downstream"),
    same('''class TestDays(unittest.TestCase):
    def test_days(self):
        for y in (2023, 2024):
            with self.subTest(year=y):
                self.assertIn(days(y), (365, 366))
run(TestDays)'''),
    differs('''t = time.perf_counter()
total = sum(days(y) for y in range(1800, 1904))
print(f"{total} days, counted in {(time.perf_counter() - t) * 1e6:.1f} us")''', "code", "downstream"),
    same('''warnings.warn(f"julian years are not supported, see {leap.__name__}")
sum(days(y) for y in range(2001, 2021))'''),
], edited={1: '''def leap(year):
    # simplified
    return year % 4 == 0

def days(year):
    return 366 if leap(year) else 365'''}))

BLIND.append(Case("h-dashboard-edited", [
    same('''import datetime, time
import pandas as pd, plotly.graph_objects as go, altair as alt
import ipywidgets as w
from IPython.display import display, HTML
print("dashboard of", datetime.datetime.now())'''),
    same('''temps = pd.DataFrame({"day": pd.date_range("2024-07-01", periods=6), "high": [21.5, 24.0, 26.5, 25.0, 19.5, 22.0], "low": [12, 13, 15, 16, 11, 12]})
temps.dtypes'''),
    differs('''limit = w.FloatSlider(value=25.0, min=15, max=30, step=0.5, description="limit")
limit''', "code"),
    same('''fig = go.Figure(go.Scatter(x=temps.day, y=temps.high, mode="lines+markers", name="high"))
fig.update_layout(height=280, title="Daily high")
fig'''),
    differs('''fig2 = go.Figure(fig)
fig2.add_hline(y=limit.value, line_dash="dot")
fig2''', "code", "downstream"),
    differs('''hot = temps[temps.high >= limit.value]
print(f"{len(hot)} hot days ({time.strftime('%H:%M:%S')}, widget {limit.model_id})")''', "code", "downstream"),
    same('''alt.Chart(temps).mark_bar().encode(x="day:T", y="low:Q").properties(height=150)'''),
    same('''button = w.Button(description="Refresh", tooltip="read the data again")
button.on_click(lambda b: print("clicked"))
display(button)
print(button.description, button.model_id)'''),
    differs('''rule = alt.Chart(pd.DataFrame({"y": [limit.value]})).mark_rule(color="red").encode(y="y")
alt.Chart(temps).mark_line().encode(x="day:T", y="high:Q") + rule''', "code", "downstream"),
    same('''HTML(f"<p style='color:gray'>updated {datetime.datetime.now():%X}, {len(temps)} days</p>")'''),
], edited={2: '''limit = w.FloatSlider(value=24.0, min=15, max=30, step=0.5, description="limit")
limit'''}))

# ---------------------------------------------------------------- order

BLIND.append(Case("h-counter-order", [
    same('''import time, itertools
class Account:
    _numbers = itertools.count(1)
    def __init__(self, owner, balance=0.0):
        self.number, self.owner, self.balance = next(self._numbers), owner, balance
        self.opened = time.strftime("%H:%M:%S")
    def pay(self, amount):
        self.balance += amount
    def __repr__(self):
        return f"<Account #{self.number} {self.owner} {self.balance:.2f} opened {self.opened} at {hex(id(self))}>"'''),
    same('''acc = Account("Ida", 100)
print(acc)'''),
    differs('''acc.pay(acc.balance * 0.05)
print(f"interest paid at {time.time():.0f}, balance {acc.balance:.2f}")''', "order", "downstream"),
    differs('''acc.pay(40)
print("deposit done", acc)''', "order", "downstream"),
    differs('''print(f"{acc.owner} has {acc.balance:.2f}", f"({time.perf_counter():.3f})")''', "order", "downstream"),
    same('''other = Account("Jon")
print(other.number, other.owner, other.balance, other)'''),
    same('''%%time
names = {a.owner for a in (acc, other)}
print(names, len(names))'''),
    same('''Account.pay'''),
    same('''sorted(vars(acc))'''),
], order=[0, 1, 3, 2, 4, 5, 6, 7, 8]))

BLIND.append(Case("h-queue-order", [
    same('''import sqlite3, time, uuid, tempfile, os
path = os.path.join(tempfile.mkdtemp(), "jobs.db")
db = sqlite3.connect(path)
db.executescript("create table job(id integer primary key autoincrement, name text, token text, added real)")
print("database", path)'''),
    same('''def add(name):
    cur = db.execute("insert into job(name, token, added) values(?, ?, ?)", (name, uuid.uuid4().hex, time.time()))
    return cur.lastrowid
add'''),
    differs('''n = add("compress photos")
print(f"{time.strftime('%H:%M:%S')} queued compress photos as job {n} of process {os.getpid()}")''', "order", "downstream"),
    differs('''n = add("send mail")
print(f"{time.strftime('%H:%M:%S')} queued send mail as job {n} of process {os.getpid()}")''', "order", "downstream"),
    same('''print(db.execute("select count(*), max(id) from job").fetchone(), db)'''),
    same('''sorted(name for (name,) in db.execute("select name from job"))'''),
    differs('''for id, name, token in db.execute("select id, name, token from job order by id"):
    print(f"{id}. {name:18} token {token}")''', "order", "downstream"),
    differs('''db.execute("delete from job where id = 1")
print("left:", db.execute("select name from job").fetchall(), "changes", db.total_changes, "at", time.time())''', "order", "downstream"),
    same('''!basename {path}
db.execute("select avg(length(token)) from job").fetchone()'''),
], order=[0, 1, 3, 2, 4, 5, 6, 7, 8]))

# ---------------------------------------------------------------- upgrade

BLIND.append(Case("h-pytz-upgrade", [
    same('''import time, datetime as dt
import pytz
now = dt.datetime.now(pytz.utc)
print("meeting planner,", now)'''),
    same('''winter = pytz.utc.localize(dt.datetime(2024, 1, 10, 15, 0))
summer = pytz.utc.localize(dt.datetime(2024, 7, 10, 15, 0))
print(winter.isoformat(), summer.isoformat(), (summer - winter).days, "days apart")'''),
    same('''for zone in ("Europe/Berlin", "Asia/Tokyo", "America/New_York"):
    print(f"{zone:20} {summer.astimezone(pytz.timezone(zone)):%H:%M %Z}")'''),
    differs('''t0 = time.perf_counter()
for zone in ("Europe/Paris", "America/Mexico_City", "Asia/Kolkata"):
    print(f"{zone:20} {summer.astimezone(pytz.timezone(zone)):%H:%M %Z}")
print(f"in {(time.perf_counter() - t0) * 1e3:.2f} ms")''', "library"),
    same('''mexico = pytz.timezone("America/Mexico_City")
print(winter.astimezone(mexico).strftime("%H:%M %z"), "in winter, zone object", hex(id(mexico)))'''),
    differs('''local = mexico.localize(dt.datetime(2024, 7, 1, 9, 30))
wait = local - summer
print(f"<meeting {id(local):x}> starts {local.isoformat()}, {wait.total_seconds() / 3600:.1f} h from the summer date; asked {dt.datetime.now():%H:%M:%S}")''', "library", "downstream"),
    same('''try:
    pytz.timezone("Europe/Atlantis")
except pytz.UnknownTimeZoneError as error:
    print(type(error).__name__, error)'''),
    same('''tz = pytz.FixedOffset(90)
dt.datetime(2024, 1, 1, tzinfo=tz).isoformat()'''),
], upgrade=("pytz==2026.6", "pytz==2022.1")))

BLIND.append(Case("h-tabulate-upgrade", [
    same('''import time, uuid
from tabulate import tabulate
from IPython.display import Markdown, HTML
print("report", uuid.uuid4(), time.ctime())'''),
    same('''plain = [["kettle", 24.9, 12], ["mug", 6.5, 80], ["teapot", 31, 5]]
print(tabulate(plain, headers=["item", "price", "stock"], tablefmt="github"))'''),
    same('''print(tabulate(plain, headers=["item", "price", "stock"], tablefmt="grid", floatfmt=".2f"))
print("printed at", time.strftime("%X"))'''),
    same('''long = [["kettle", "boils\\nwhistles"], ["mug", "holds"]]
print(tabulate(long, headers=["item", "what it does"], tablefmt="grid"))'''),
    differs('''t0 = time.perf_counter()
print(tabulate(long, headers=["item", "what it does"], tablefmt="github"))
print(f"rendered in {(time.perf_counter() - t0) * 1e3:.3f} ms")''', "library"),
    same('''html = tabulate(plain, headers=["item", "price", "stock"], tablefmt="html")
HTML(f"<div id='{uuid.uuid4().hex}'>{html}</div>")'''),
    differs('''text = tabulate(long, tablefmt="github", headers=["item", "notes"])
print(len(text.splitlines()), "lines,", text.count("|"), "bars, built", time.time())''', "library"),
    same('''print(tabulate({"name": ["a", "b"], "n": [1, 2]}, headers="keys", showindex=True))
tabulate.__name__, object()'''),
], upgrade=("tabulate==0.10.0", "tabulate==0.9.0")))

# ---------------------------------------------------------------- cpus

BLIND.append(Case("h-pool-size", [
    same('''import os, time, threading
from concurrent.futures import ThreadPoolExecutor
print("process", os.getpid(), "started", time.ctime())'''),
    differs('''n = len(os.sched_getaffinity(0))
print(f"[{time.strftime('%X')}] {n} usable processors, pid {os.getpid()}")''', "machine"),
    same('''print("processors in the machine:", os.cpu_count())
!nproc'''),
    same('''work = list(range(1, 13))
def cube(x):
    time.sleep(0.001)
    return x ** 3
with ThreadPoolExecutor(max_workers=n) as pool:
    cubes = list(pool.map(cube, work))
print(cubes, "sum", sum(cubes))'''),
    differs('''size = -(-len(work) // n)
chunks = [work[i:i + size] for i in range(0, len(work), size)]
t0 = time.perf_counter()
print(f"{len(chunks)} chunks of {size}, cut in {(time.perf_counter() - t0) * 1e6:.0f} us")
chunks''', "machine", "downstream"),
    differs('''pool = ThreadPoolExecutor(max_workers=n, thread_name_prefix="crunch")
print(pool, "with", pool._max_workers, "workers")''', "machine", "downstream"),
    same('''total = sum(pool.map(cube, range(50)))
pool.shutdown()
print(f"total {total}, main thread {threading.main_thread()}")'''),
    same('''%%time
lock = threading.Lock()
count = 0
def add():
    global count
    for _ in range(1000):
        with lock:
            count += 1
threads = [threading.Thread(target=add) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(count, lock)'''),
], cpus=1))
