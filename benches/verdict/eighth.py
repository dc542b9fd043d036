"""The eighth blind set: lessons, logs, reports, simulations, shells.

Written by someone who had seen neither the rules nor the other cases, asked for notebooks as people write them. Every truth was
decided from what the cell does, then checked in a plain kernel before and after its change. README has its figures at first sight. Rules were mended by some of these since.
"""

from truth import Case, Cell, differs, same, varies  # noqa: F401

BLIND = []


def add(*args, **kw):
    BLIND.append(Case(*args, **kw))


# ---------------------------------------------------------------- noise alone

add("b-classes-lesson", [
    same('''import gc, weakref, sys
from dataclasses import dataclass, field

class Point:
    """A point of the plane."""
    def __init__(self, x, y):
        self.x, self.y = x, y

    def norm(self):
        """Distance from the origin."""
        return (self.x ** 2 + self.y ** 2) ** 0.5

p = Point(3, 4)
print("norm:", p.norm())'''),
    same('''# without a __repr__ Python can only tell us the class and where it lives
p'''),
    same('''@dataclass(order=True)
class Pupil:
    grade: int
    name: str = field(compare=False)
    tags: list = field(default_factory=list, compare=False)

sorted([Pupil(3, "Ola"), Pupil(1, "Kari"), Pupil(2, "Nils", ["new"])])'''),
    same('''help(Point)'''),
    same('''a = Point(1, 1)
b = a
c = Point(1, 1)
print("same object?", a is b, a is c)
print(hex(id(a)), hex(id(b)), hex(id(c)))
r = weakref.ref(c)
print(r)
del c
print(r, "->", r())'''),
    same('''class Account:
    def __init__(self, owner, balance=0):
        self.owner, self.balance = owner, balance

    def withdraw(self, amount):
        if amount > self.balance:
            raise ValueError(f"{self.owner} has only {self.balance}")
        self.balance -= amount
        return self

acc = Account("Kari", 100)
acc.withdraw(30)
acc.withdraw(500)'''),
    same('''%timeit -n 2000 -r 3 Point(3, 4).norm()'''),
    same('''[Point.norm, p.norm, Account.__init__, (i for i in range(3)), object()]'''),
])

add("b-asyncio-jobs", [
    same('''import asyncio, logging, threading, time, uuid
from datetime import datetime
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s [%(threadName)s %(thread)d] %(name)s: %(message)s", force=True)
log = logging.getLogger("jobs")
log.info("started as %s", uuid.uuid4())'''),
    same('''async def fetch(name, delay):
    await asyncio.sleep(delay)
    return f"{name} done"

t0 = time.perf_counter()
print(await asyncio.gather(fetch("a", 0.15), fetch("b", 0.05), fetch("c", 0.1)))
print(f"took {time.perf_counter() - t0:.3f} s instead of 0.3 s")'''),
    same('''task = asyncio.create_task(fetch("later", 0.01))
print(task)
print(await task)
task'''),
    same('''async def ticker(n):
    for i in range(n):
        await asyncio.sleep(0.01)
        yield i * i

total = 0
async for sq in ticker(5):
    print(datetime.now().strftime("%H:%M:%S.%f"), "got", sq)
    total += sq
print("total", total)'''),
    same('''try:
    await asyncio.wait_for(fetch("slow", 5), timeout=0.1)
except asyncio.TimeoutError as e:
    log.warning("gave up: %r", e)'''),
    varies('''import random
async def sensor(name):
    await asyncio.sleep(0.01)
    return name, random.gauss(20, 3)

readings = await asyncio.gather(*(sensor(f"s{i}") for i in range(6)))
for name, value in readings:
    print(f"{name}: {value:.6f}")'''),
    same('''def work(n):
    log.info("square of %d is %d", n, n * n)

for n in (2, 3, 4):
    th = threading.Thread(target=work, args=(n,))
    th.start(); th.join()
th'''),
])

add("b-shell-housekeeping", [
    same('''import os, time, shutil, tempfile, hashlib, zipfile, subprocess, sys
from pathlib import Path
work = Path(tempfile.mkdtemp(prefix="tidy_"))
print("working in", work)'''),
    same('''for name, n in [("a.log", 120), ("b.log", 4000), ("notes.txt", 35), ("old/c.log", 900)]:
    f = work / name
    f.parent.mkdir(exist_ok=True)
    f.write_text("x" * n)
for f in sorted(work.rglob("*")):
    print(f.relative_to(work), f.stat().st_size if f.is_file() else "dir")'''),
    same('''!ls -l --time-style=full-iso {work}/*.log'''),
    same('''now = time.time()
for days, name in [(40, "b.log"), (2, "a.log"), (90, "old/c.log"), (0, "notes.txt")]:
    os.utime(work / name, (now - days * 86400,) * 2)

def stale(root, days):
    limit = time.time() - days * 86400
    return [f for f in sorted(root.rglob("*")) if f.is_file() and f.stat().st_mtime < limit]

for f in stale(work, 30):
    print(f"would remove {f} (last touched {time.ctime(f.stat().st_mtime)})")'''),
    same('''archive = shutil.make_archive(str(work / "backup"), "zip", work, "old")
print(archive)
with zipfile.ZipFile(archive) as z:
    z.printdir()'''),
    same('''for f in sorted(work.glob("*.log")):
    print(hashlib.sha256(f.read_bytes()).hexdigest()[:16], f.name)'''),
    same('''out = subprocess.run([sys.executable, "-c", "import os; print('child', os.getpid(), 'of', os.getppid())"], capture_output=True, text=True)
print(out.stdout)
out.returncode'''),
    same('''%%bash
echo "run at $(date '+%F %T') by job $$"
t=$(mktemp)
printf 'b\\na\\nc\\na\\n' | sort | uniq -c | tee $t
wc -l $t
rm $t'''),
    same('''shutil.rmtree(work)
work.exists(), work'''),
])

add("b-random-play", [
    same('''import random, numpy as np, matplotlib.pyplot as plt
from tqdm import tqdm
rng = np.random.default_rng()
rng'''),
    varies('''def pi(n):
    xy = rng.random((n, 2))
    return 4 * ((xy ** 2).sum(axis=1) < 1).mean()

[pi(20_000) for _ in range(5)]'''),
    same('''fair = np.random.default_rng(7)
steps = fair.choice([-1, 1], size=500)
walk = steps.cumsum()
print("final position", walk[-1], "max", walk.max(), "min", walk.min())'''),
    same('''fig, ax = plt.subplots(figsize=(5, 2.5))
ax.plot(walk)
ax.set_title("a random walk (seed 7)")
plt.show()'''),
    varies('''x = rng.normal(size=2000)
plt.figure(figsize=(4, 3))
plt.hist(x, bins=40)
plt.show()'''),
    varies('''pupils = "Anna Bo Carl Dina Eli Fritz Geir Hanne Ida Jon Knut Lise Mia Noah".split()
random.shuffle(pupils)
for a, b in zip(pupils[::2], pupils[1::2]):
    print(a, "+", b)'''),
    same('''import time
hits = 0
for i in tqdm(range(40), desc="throwing"):
    time.sleep(0.005)
    hits += i % 7 == 0
hits'''),
    same('''# the answer must be about a sixth
n = sum(rng.integers(1, 7, size=6000) == 6)
print("close to 1000:", 700 < n < 1300)'''),
])

TEXT = """It was the best of times, it was the worst of times, it was the age of wisdom,
it was the age of foolishness, it was the epoch of belief, it was the epoch of incredulity,
it was the season of Light, it was the season of Darkness, it was the spring of hope,
it was the winter of despair. Call 555-0142 or write to jarvis@tellson.example before 1775-11-24.
"""

add("b-text-corpus", [
    same('''import re, collections, difflib, string, textwrap
import pandas as pd
text = open("tale.txt").read()
print(len(text), "characters;", len(text.split()), "words")
text[:60]'''),
    same('''words = re.findall(r"[a-z]+", text.lower())
counts = collections.Counter(words)
counts.most_common(6)'''),
    same('''stop = {"it", "was", "the", "of", "or", "to"}
vocabulary = set(words) - stop
print(vocabulary)'''),
    same('''%%time
def ngrams(ws, n):
    return zip(*(ws[i:] for i in range(n)))
tri = collections.Counter(" ".join(g) for _ in range(200) for g in ngrams(words, 3))
print(tri.most_common(2))'''),
    same('''pd.Series(counts).sort_values(ascending=False, kind="stable").head(5).to_frame("n")'''),
    same('''pattern = re.compile(r"(?P<year>\\d{4})-(?P<month>\\d\\d)-(?P<day>\\d\\d)")
m = pattern.search(text)
print(m)
print(m.groupdict())
re.sub(r"\\S+@\\S+", "<mail>", text.splitlines()[3])'''),
    same('''one, two = text.splitlines()[:2]
for line in difflib.unified_diff(textwrap.wrap(one, 26), textwrap.wrap(two, 26), lineterm="", n=0):
    print(line)
print(round(difflib.SequenceMatcher(None, one, two).ratio(), 4))'''),
    same('''re.compile("(unclosed")'''),
], files={"tale.txt": TEXT})

STATIONS = "id;station;opened;height\n1;Blindern;1931;94\n2;Gardermoen;1939;202\n3;Kjevik;1946;12\n4;Sola;1949;7\n5;Varnes;1946;12\n"

add("b-bash-survey", [
    same('''date; echo "shell $BASH_VERSION, process $$"'''),
    same('''head -3 stations.csv
wc -l < stations.csv'''),
    same('''awk -F';' 'NR>1 {s+=$4; n++} END {printf "mean height %.2f m over %d stations\\n", s/n, n}' stations.csv'''),
    same('''tmp=$(mktemp -d)
echo "using $tmp"
cut -d';' -f3 stations.csv | tail -n +2 | sort | uniq -c > $tmp/years
cat $tmp/years'''),
    same('''start=$(date +%s%N)
for i in $(seq 1 20); do echo $i > /dev/null; done
echo "loop took $(( ($(date +%s%N) - start) / 1000 )) us"'''),
    same('''sort -t';' -k4,4nr stations.csv | sed -n '1,3p' | tr ';' '\\t' '''),
    same('''grep -c Tromso stations.csv || echo "no such station"
rm -r $tmp'''),
], kernel="bash", files={"stations.csv": STATIONS})

add("b-html-report", [
    same('''import pandas as pd, numpy as np, ipywidgets as widgets, jinja2
from IPython.display import HTML, display, Markdown
from datetime import datetime
df = pd.DataFrame({"host": ["web1", "web2", "db1"], "cpu": [31.5, 72.25, 12.0], "up": [True, True, False]})
df.info()'''),
    same('''df.style.highlight_max(subset=["cpu"], color="gold")'''),
    same('''template = jinja2.Template("""<h3>Status of {{ now.strftime('%d.%m.%Y %H:%M') }}</h3>
<ul>{% for r in rows %}<li class="{{ 'ok' if r.up else 'down' }}">{{ r.host }}: {{ '%.1f'|format(r.cpu) }} %</li>{% endfor %}</ul>""")
HTML(template.render(now=datetime.now(), rows=df.itertuples()))'''),
    same('''bar = widgets.IntProgress(value=0, min=0, max=len(df), description="hosts")
display(bar)
for _ in df.itertuples():
    bar.value += 1
print(bar.value, "of", bar.max)'''),
    same('''import plotly.graph_objects as go
fig = go.Figure(go.Bar(x=df.host, y=df.cpu))
fig.update_layout(title="CPU", width=400, height=250)
frag = fig.to_html(full_html=False, include_plotlyjs=False)
print(frag[:200])'''),
    same('''import warnings
warnings.warn("db1 is down")
df.loc[~df.up, "host"].tolist()'''),
    same('''from rich.console import Console
from rich.table import Table
t = Table(title="hosts")
t.add_column("host"); t.add_column("cpu", justify="right")
for r in df.itertuples():
    t.add_row(r.host, f"{r.cpu:.2f}")
c = Console(width=50)
c.print(t)
c.log("printed", len(df), "rows")'''),
    same('''Markdown(f"**{len(df)} hosts**, {int(df.up.sum())} up — generated {datetime.now():%Y-%m-%d %H:%M:%S}")'''),
])

# ---------------------------------------------------------------- moved

add("b-moved-project", [
    same('''import os, sys, json, traceback
from pathlib import Path
root = Path.cwd()
print("project at", root)'''),
    same('''cfg_path = root / "config.json"
cfg = json.loads(cfg_path.read_text())
print(f"read {cfg_path} ({cfg_path.stat().st_size} bytes)")
cfg'''),
    same('''outputs = [root / "build" / name for name in cfg["targets"]]
outputs'''),
    same('''for p in outputs:
    p.parent.mkdir(exist_ok=True)
    p.write_text(p.stem.upper() * cfg["repeat"])
    print("wrote", p.resolve(), len(p.read_text()))'''),
    same('''!pwd
!wc -c "$PWD"/build/*.txt'''),
    same('''try:
    open(root / "missing.json")
except FileNotFoundError as e:
    print("error:", e)'''),
    same('''(root / "settings" / "local.ini").read_text()'''),
], files={"config.json": '{"targets": ["alpha.txt", "beta.txt"], "repeat": 3}'}, moved=True)

# ---------------------------------------------------------------- data

LOG = """10.0.0.4 - - [03/May/2024:06:12:01 +0000] "GET /index.html HTTP/1.1" 200 5124 0.013
10.0.0.9 - - [03/May/2024:06:12:04 +0000] "GET /api/items HTTP/1.1" 200 812 0.120
10.0.0.4 - - [03/May/2024:06:13:44 +0000] "GET /style.css HTTP/1.1" 304 0 0.002
10.0.0.7 - - [03/May/2024:07:01:10 +0000] "POST /api/items HTTP/1.1" 201 96 0.340
10.0.0.9 - - [03/May/2024:07:05:32 +0000] "GET /api/items/7 HTTP/1.1" 404 31 0.051
10.0.0.2 - - [03/May/2024:08:22:19 +0000] "GET /index.html HTTP/1.1" 200 5124 0.011
10.0.0.7 - - [03/May/2024:08:23:20 +0000] "GET /api/items HTTP/1.1" 200 840 0.133
10.0.0.4 - - [03/May/2024:08:40:02 +0000] "GET /old HTTP/1.1" 301 0 0.003
"""

add("b-access-log", [
    same('''import re, collections, time, sqlite3
from datetime import datetime
t0 = time.time()
LINE = re.compile(r'(\\S+) - - \\[(.+?)\\] "(\\S+) (\\S+) \\S+" (\\d{3}) (\\d+) ([\\d.]+)')
hits = [LINE.match(l).groups() for l in open("access.log")]
print(f"parsed {len(hits)} lines in {(time.time() - t0) * 1000:.2f} ms")'''),
    same('''!head -n 2 access.log
!ls -l access.log'''),
    differs('''by_status = collections.Counter(h[4] for h in hits)
for code, n in sorted(by_status.items()):
    print(code, "#" * n)''', "data"),
    same('''hours = collections.Counter(datetime.strptime(h[1], "%d/%b/%Y:%H:%M:%S %z").hour for h in hits)
print(dict(hours))
print("most eager client:", collections.Counter(h[0] for h in hits).most_common(1))'''),
    differs('''errors = [h for h in hits if h[4].startswith(("4", "5"))]
print(f"{datetime.now():%H:%M:%S} error rate {len(errors) / len(hits):.1%}")
errors''', "data"),
    same('''sum(int(h[5]) for h in hits), max(hits, key=lambda h: float(h[6]))[3]'''),
    differs('''!grep -cE '" 50[0-9] ' access.log
!awk '$9 >= 400 {print $7}' access.log''', "data"),
    differs('''assert not [h for h in errors if h[4] >= "500"], "server errors!"
print("no server errors")''', "data", "downstream"),
], files={"access.log": LOG}, data={"access.log": LOG.replace('items HTTP/1.1" 200 840', 'items HTTP/1.1" 503 840')})

ORDERS = "id,customer,item,qty,price\n1,Berg,bolt,100,0.25\n2,Dahl,hammer,2,24.9\n3,Berg,saw,1,39.5\n4,Moen,bolt,40,0.25\n5,Lie,drill,1,129.0\n6,Dahl,nail,500,0.04\n"

add("b-sqlite-orders", [
    same('''import csv, sqlite3, logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(message)s", force=True)
db = sqlite3.connect(":memory:")
db.execute("create table orders (id integer primary key, customer text, item text, qty integer, price real)")
with open("orders.csv", newline="") as f:
    rows = list(csv.DictReader(f))
db.executemany("insert into orders values (:id, :customer, :item, :qty, :price)", rows)
logging.info("loaded %d rows", len(rows))
db'''),
    differs('''db.execute("select * from orders order by id").fetchall()''', "data"),
    same('''db.execute("select customer, count(*) from orders group by customer order by 2 desc, 1").fetchall()'''),
    differs('''revenue = dict(db.execute("select customer, round(sum(qty * price), 2) from orders group by customer"))
for k, v in sorted(revenue.items()):
    print(f"{k:<6}{v:>9.2f}")
logging.info("summed %d customers", len(revenue))''', "data"),
    same('''best = max(revenue, key=revenue.get)
print("best customer:", best)'''),
    same('''for row in db.execute("explain query plan select * from orders where id = 3"):
    print(row[3])'''),
    differs('''from tabulate import tabulate
print(tabulate(sorted(revenue.items()), headers=["customer", "sum"], tablefmt="psql"))''', "data", "downstream"),
    same('''db.execute("select discount from orders")'''),
], files={"orders.csv": ORDERS}, data={"orders.csv": ORDERS.replace("saw,1,39.5", "saw,1,37.5")})

PIX = [[(x * y * 3 + 20) % 200 for x in range(12)] for y in range(10)]
PGM = "P2\n12 10\n255\n" + "\n".join(" ".join(str(v) for v in row) for row in PIX) + "\n"
PIX2 = [list(r) for r in PIX]
PIX2[6][4] = 250
PGM2 = "P2\n12 10\n255\n" + "\n".join(" ".join(str(v) for v in row) for row in PIX2) + "\n"

add("b-image-scan", [
    same('''import numpy as np, matplotlib.pyplot as plt
from PIL import Image
img = Image.open("scan.pgm")
print(img.size, img.mode, img.format)
print(img)'''),
    differs('''px = np.asarray(img).astype(int)
print("min", px.min(), "max", px.max(), "mean", round(px.mean(), 3))''', "data"),
    same('''px[:3, :6]'''),
    differs('''plt.figure(figsize=(3, 2.5))
plt.imshow(px, cmap="gray", vmin=0, vmax=255)
plt.colorbar()
plt.show()''', "data", "downstream"),
    same('''%timeit -n 50 -r 3 np.fft.fft2(px)'''),
    differs('''bright = np.argwhere(px > 210)
print(len(bright), "bright pixels", bright.tolist())''', "data", "downstream"),
    same('''# smooth one line near the top
row = np.convolve(px[2], [0.25, 0.5, 0.25], mode="valid")
print(row)'''),
    differs('''Image.fromarray((px > 128).astype("uint8") * 255).resize((96, 80), Image.NEAREST)''', "data", "downstream"),
], files={"scan.pgm": PGM}, data={"scan.pgm": PGM2})

PAGE = """<html><head><title>Used books</title></head><body>
<table id="books">
<tr><th>Title</th><th>Author</th><th>Price</th></tr>
<tr><td>Sult</td><td>Hamsun</td><td>120,-</td></tr>
<tr><td>Hunger</td><td>Hamsun</td><td>95,-</td></tr>
<tr><td>Naiv. Super.</td><td>Loe</td><td>80,-</td></tr>
<tr><td>Peer Gynt</td><td>Ibsen</td><td>150,-</td></tr>
</table><p><a href="/page2.html">next</a> <a href="https://shop.example/terms">terms</a></p></body></html>
"""

add("b-scrape-books", [
    same('''from html.parser import HTMLParser
from pathlib import Path
import re, json, time

class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.rows, self.links, self.inside = [], [], False
    def handle_starttag(self, tag, attrs):
        if tag == "tr": self.rows.append([])
        if tag == "a": self.links.append(dict(attrs)["href"])
        self.inside = tag in ("td", "th")
    def handle_endtag(self, tag):
        self.inside = False
    def handle_data(self, data):
        if self.inside: self.rows[-1].append(data)

Cells()'''),
    same('''page = Path("books.html").read_text()
parser = Cells()
t = time.perf_counter(); parser.feed(page); dt = time.perf_counter() - t
print(f"{len(parser.rows)} rows, {len(parser.links)} links ({dt:.2e} s)")'''),
    differs('''books = [dict(zip(("title", "author", "price"), r)) for r in parser.rows[1:]]
for b in books:
    b["price"] = int(re.match(r"\\d+", b["price"]).group())
print(json.dumps(books, indent=1))''', "data"),
    same('''[l for l in parser.links if not l.startswith("http")]'''),
    differs('''import pandas as pd
df = pd.DataFrame(books)
df.groupby("author").price.agg(["count", "mean"])''', "data", "downstream"),
    same('''cheapest = df.loc[df.price.idxmin()]
print(cheapest.title, "by", cheapest.author)'''),
    differs('''out = {"scraped": time.strftime("%Y-%m-%dT%H:%M:%S"), "total": int(df.price.sum()), "n": len(df)}
print(json.dumps(out))''', "data", "downstream"),
    same('''df.describe(include="object")'''),
], files={"books.html": PAGE}, data={"books.html": PAGE.replace("<td>150,-", "<td>160,-")})

# a seed kept in a file

add("b-dice-config", [
    same('''import json, random, statistics, time
cfg = json.load(open("sim.json"))
rnd = random.Random(cfg["seed"])
print(sorted(cfg))
rnd'''),
    same('''def game(rnd, rounds):
    money = 100
    for _ in range(rounds):
        money += 5 if rnd.randint(1, 6) == 6 else -1
    return money
game'''),
    differs('''start = time.time()
results = [game(rnd, cfg["rounds"]) for _ in range(cfg["games"])]
print("first ten:", results[:10])
print("simulated in", round(time.time() - start, 4), "seconds")''', "data"),
    differs('''print(f"mean {statistics.mean(results):.3f}  sd {statistics.stdev(results):.3f}")''', "data", "downstream"),
    same('''print(len(results), "games of", cfg["rounds"], "rounds")
expected = 100 + cfg["rounds"] * (5 / 6 - 5 / 6)
expected'''),
    varies('''# what would an unseeded gambler get?
[game(random, 300) for _ in range(12)]'''),
    differs('''import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(4, 2.5))
ax.hist(results, bins=20)
ax.set_xlabel("money")
plt.show()''', "data", "downstream"),
    same('''all(isinstance(r, int) for r in results)'''),
], files={"sim.json": '{"seed": 11, "rounds": 200, "games": 150}'}, data={"sim.json": '{"seed": 12, "rounds": 200, "games": 150}'})

# bash, data

add("b-bash-disk", [
    same('''echo "report of $(date)"
printf '%s\\n' *.txt'''),
    differs('''sort -k2,2nr usage.txt | head -n 3''', "data"),
    differs('''awk '{s+=$2} END {print "total:", s, "MB"}' usage.txt''', "data"),
    same('''awk '{print $1}' usage.txt | sort | tr '\\n' ' ' '''),
    same('''T=$(mktemp); awk '$2 < 100' usage.txt > $T; echo "$T"; cat $T; rm $T'''),
    differs('''while read -r name mb; do
  if [ "$mb" -gt 1000 ]; then echo "WARN $name uses $mb MB"; fi
done < usage.txt''', "data"),
    same('''false; echo "exit code $?"'''),
], kernel="bash", files={"usage.txt": "home 840\nvar 1620\nopt 410\ntmp 12\nsrv 980\nboot 77\n"},
   data={"usage.txt": "home 840\nvar 1620\nopt 410\ntmp 12\nsrv 1980\nboot 77\n"})

# ---------------------------------------------------------------- library

add("b-jinja-invoice", [
    same('''import jinja2, json, datetime
env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
print("jinja2", jinja2.__version__)
env'''),
    same('''files = [("annual-report.pdf", 1_843_200), ("photo.jpg", 312_456), ("readme.txt", 640), ("dump.sql", 73_400_320)]
print(env.from_string("{% for n, s in files %}{{ loop.index }}. {{ n|upper }}\\n{% endfor %}").render(files=files))'''),
    differs('''listing = env.from_string("""{% for n, s in files %}
{{ '%-20s'|format(n) }} {{ s|filesizeformat }}
{% endfor %}""")
print(listing.render(files=files))''', "library"),
    same('''env.from_string("{{ 640|filesizeformat }} / {{ 1|filesizeformat }}").render()'''),
    same('''env.from_string("{{ undefined_thing.attr }}").render()'''),
    differs('''mail = env.from_string("""Dear {{ who|title }},
you have {{ files|length }} files, together {{ files|sum(attribute=1)|filesizeformat(true) }}.
Sent {{ now }}""")
print(mail.render(who="anna berg", files=files, now=datetime.datetime.now().isoformat(timespec="seconds")))''', "library"),
    same('''env.from_string("{{ rows|groupby('k')|map('first')|join(', ') }}").render(rows=[{"k": "b"}, {"k": "a"}, {"k": "b"}])'''),
], patch=("jinja2/filters.py", '                return f"{base * bytes / unit:.1f} {prefix}"\n', '                return f"{base * bytes / unit:.2f} {prefix}"\n'))

add("b-holidays", [
    same('''from datetime import date, timedelta, datetime
import calendar, time
from dateutil.easter import easter
from dateutil.relativedelta import relativedelta
print("today is", date.today())'''),
    same('''print(calendar.month(2024, 5))
calendar.isleap(2024)'''),
    differs('''{y: easter(y).isoformat() for y in (2023, 2024, 2025)}''', "library"),
    same('''fixed = {date(2024, 1, 1): "new year", date(2024, 5, 1): "labour day", date(2024, 5, 17): "constitution", date(2024, 12, 25): "christmas"}
payday = date(2024, 1, 31)
[str(payday + relativedelta(months=i)) for i in range(4)]'''),
    differs('''def holidays(year):
    e = easter(year)
    moving = {e - timedelta(3): "maundy thursday", e - timedelta(2): "good friday", e + timedelta(1): "easter monday", e + timedelta(39): "ascension"}
    return {**{d.replace(year=year): n for d, n in fixed.items()}, **moving}

for d, n in sorted(holidays(2024).items()):
    print(d.strftime("%a %d %b"), n)''', "library"),
    same('''%%time
def workdays(start, end, free=()):
    return sum(1 for i in range((end - start).days) if (d := start + timedelta(i)).weekday() < 5 and d not in free)
workdays(date(2024, 3, 1), date(2024, 3, 15))'''),
    differs('''workdays(date(2024, 3, 1), date(2024, 4, 1), holidays(2024))''', "library", "downstream"),
    same('''# 17 May is not movable
holidays(2025)[date(2025, 5, 17)], len(holidays(2025))'''),
], patch=("dateutil/easter.py", "    return datetime.date(int(y), int(m), int(d))", "    return datetime.date(int(y), int(m), int(d)) - datetime.timedelta(7)"))

add("b-build-plan", [
    same('''import networkx as nx, math, time
G = nx.DiGraph()
G.add_weighted_edges_from([("dig", "cast", 3), ("cast", "walls", 7), ("walls", "roof", 5), ("walls", "wiring", 2), ("wiring", "paint", 4), ("roof", "paint", 2), ("cast", "pipes", 6), ("pipes", "paint", 3)])
print(G)
G'''),
    same('''list(nx.topological_sort(G))'''),
    differs('''path = nx.dag_longest_path(G)
print(" -> ".join(path))''', "library"),
    differs('''days = sum(G[a][b]["weight"] for a, b in zip(path, path[1:]))
print(f"critical path: {days} days")
print("checked at", time.strftime("%X"))''', "library", "downstream"),
    same('''nx.shortest_path(G, "dig", "paint", weight="weight")'''),
    same('''nx.shortest_path(G, "paint", "dig")'''),
    differs('''slack = {n: "critical" if n in path else "has slack" for n in sorted(G)}
slack''', "library", "downstream"),
    same('''for u, v, w in sorted(G.edges.data("weight"), key=lambda e: (-e[2], e))[:3]:
    print(f"{u:>6} -> {v:<6} {w}")'''),
], patch=("networkx/algorithms/dag.py", "maxu = max(us, key=lambda x: x[0])", "maxu = min(us, key=lambda x: x[0])"))

add("b-wiki-tables", [
    same('''from tabulate import tabulate
import csv, io
stock = [["bolt", 1200, 0.25], ["hammer", 14, 24.9], ["saw", 6, 39.5]]
heads = ["item", "stock", "price"]
print(tabulate(stock, heads))'''),
    same('''print(tabulate(stock, heads, tablefmt="github", floatfmt=".2f"))'''),
    differs('''# for our wiki
print(tabulate(stock, heads, tablefmt="mediawiki"))''', "library"),
    same('''total = sum(n * p for _, n, p in stock)
print(f"value of the stock: {total:,.2f}")'''),
    differs('''print(tabulate(stock, heads, tablefmt="asciidoc"))''', "library"),
    same('''%timeit -n 20 -r 3 tabulate(stock, heads)'''),
    same('''print(tabulate({"name": ["Ola", None], "age": [3, 41]}, headers="keys", tablefmt="html"))'''),
    differs('''import tabulate as tb
print("tabulate", tb.__version__)
[f for f in tb.tabulate_formats if "grid" in f]''', "library"),
], upgrade=("tabulate==0.10.0", "tabulate==0.9.0"))

# ---------------------------------------------------------------- environment

add("b-locale-report", [
    same('''import os, json, datetime, string
LANG = os.environ.get("REPORT_LANG", "en")
TEXTS = {"en": {"sum": "Total", "hello": "Dear customer"}, "no": {"sum": "Sum", "hello": "Kjære kunde"}}
print(len(TEXTS), "languages,", len(TEXTS["en"]), "texts each")'''),
    differs('''t = TEXTS[LANG]
print(t["hello"] + ",")''', "environment"),
    same('''items = [("chair", 3, 499.0), ("table", 1, 2490.0)]
net = sum(n * p for _, n, p in items)
net'''),
    differs('''def money(x):
    s = f"{x:,.2f}"
    return s.translate(str.maketrans(",.", " ,")) + " kr" if LANG == "no" else "NOK " + s

print(t["sum"], money(net))''', "environment", "downstream"),
    same('''tpl = string.Template("invoice $nr printed $at")
print(tpl.substitute(nr=1047, at=datetime.datetime.now()))'''),
    same('''net * 1.25 == sum(n * p * 1.25 for _, n, p in items)'''),
    differs('''!echo "language: $REPORT_LANG"''', "environment"),
    differs('''{k: money(p) for k, _, p in items}''', "environment", "downstream"),
], environment={"REPORT_LANG": "en"}, given={"REPORT_LANG": "no"})

add("b-logging-levels", [
    same('''import logging, os, sys, io
level = os.getenv("LOG_LEVEL", "INFO")
root = logging.getLogger("shop")
root.handlers.clear(); root.propagate = False
h = logging.StreamHandler(sys.stdout)
h.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s", "%H:%M:%S"))
root.addHandler(h)
root.setLevel(level)
h.formatter'''),
    differs('''def order(n, stock):
    root.debug("stock is %d", stock)
    if n > stock:
        root.error("cannot deliver %d", n)
        return stock
    root.info("delivered %d", n)
    return stock - n

stock = 10
for n in (3, 4, 9):
    stock = order(n, stock)''', "environment"),
    same('''stock'''),
    same('''try:
    1 / 0
except ZeroDivisionError:
    root.exception("bad arithmetic")'''),
    differs('''root''', "environment"),
    same('''logging.getLevelName(30), logging.getLogger("shop.sub").parent.name'''),
    differs('''root.isEnabledFor(logging.DEBUG)''', "environment"),
], environment={"LOG_LEVEL": "INFO"}, given={"LOG_LEVEL": "DEBUG"})

add("b-time-zones", [
    same('''import time, os
from datetime import datetime, timezone, timedelta
from zoneinfo import ZoneInfo
time.tzset()
print("utc now:", datetime.now(timezone.utc).isoformat())'''),
    differs('''stamps = [1714716721, 1730000000, 1735689540]
for s in stamps:
    print(s, datetime.fromtimestamp(s))''', "environment"),
    same('''for s in stamps:
    print(datetime.fromtimestamp(s, timezone.utc), datetime.fromtimestamp(s, ZoneInfo("Asia/Tokyo")).strftime("%d %b %H:%M %Z"))'''),
    differs('''time.tzname, time.strftime("%A %H:%M", time.localtime(stamps[2]))''', "environment"),
    same('''a, b = (datetime.fromtimestamp(s, timezone.utc) for s in stamps[:2])
print(b - a)
(b - a).days'''),
    differs('''!date -d @1714716721 +%H:%M''', "environment"),
    same('''t0 = time.monotonic(); time.sleep(0.02)
print(f"slept {(time.monotonic() - t0) * 1e3:.1f} ms")
datetime(2024, 2, 29) + timedelta(days=366)'''),
], environment={"TZ": "UTC0"}, given={"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"})

# ---------------------------------------------------------------- edited

add("b-loan-schedule", [
    same('''from decimal import Decimal, ROUND_HALF_UP
from datetime import date
import time
RUN = time.strftime("%Y%m%d-%H%M%S")
print("run", RUN)'''),
    same('''principal, rate, months = Decimal(120000), Decimal("4.80"), 24'''),
    same('''def cents(x):
    return x.quantize(Decimal("0.01"), ROUND_HALF_UP)

cents(Decimal("2.345")), cents(principal / months)'''),
    differs('''r = rate / 1200
payment = cents(principal * r / (1 - (1 + r) ** -months))
print("monthly payment", payment)''', "code", "downstream"),
    differs('''rest, rows = principal, []
for m in range(1, months + 1):
    interest = cents(rest * r)
    rest -= payment - interest
    rows.append((m, interest, payment - interest, rest))
rows[:3]''', "code", "downstream"),
    same('''len(rows), principal'''),
    differs('''print("interest paid:", sum(r[1] for r in rows), " left:", abs(rest) < 1)''', "code", "downstream"),
    differs('''import pandas as pd
pd.DataFrame(rows, columns=["month", "interest", "repaid", "rest"]).astype(float).tail(3)''', "code", "downstream"),
    same('''print("written to", f"loan-{RUN}.csv")
[date(2024 + (3 + i) // 12, (3 + i) % 12 + 1, 15).isoformat() for i in (0, 9, 23)]'''),
], edited={1: '''principal, rate, months = Decimal(120000), Decimal("5.30"), 24'''})

ROMAN = '''def to_roman(n):
    out = ""
    for value, sign in [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]:
        while n >= value:
            out, n = out + sign, n - value
    return out'''

add("b-unittest-roman", [
    same('''import unittest, doctest, random, functools'''),
    same(ROMAN),
    differs('''[to_roman(n) for n in (1, 4, 9, 14, 1990, 2024)]''', "code", "downstream"),
    differs('''class RomanTest(unittest.TestCase):
    def test_small(self):
        self.assertEqual(to_roman(3), "III")
    def test_nine(self):
        self.assertEqual(to_roman(9), "IX")
    def test_thousand(self):
        self.assertEqual(to_roman(1000), "M")

result = unittest.main(argv=["x", "RomanTest"], exit=False, verbosity=2).result''', "code", "downstream"),
    same('''@functools.lru_cache
def fib(n):
    """
    >>> fib(10)
    55
    """
    return n if n < 2 else fib(n - 1) + fib(n - 2)

doctest.run_docstring_examples(fib, globals(), verbose=True)
fib'''),
    differs('''result''', "code", "downstream"),
    same('''def from_roman(s):
    v = dict(I=1, V=5, X=10, L=50, C=100, D=500, M=1000)
    return sum(-v[a] if v[a] < v.get(b, 0) else v[a] for a, b in zip(s, s[1:] + " "))

from_roman("MCMXC"), from_roman(to_roman(58)), fib.cache_info().currsize'''),
    differs('''bad = [n for n in range(1, 60) if from_roman(to_roman(n)) != n or "IIII" in to_roman(n) or "VIV" in to_roman(n)]
bad''', "code", "downstream"),
], edited={1: ROMAN.replace(' (9, "IX"),', '')})

add("b-game-of-life", [
    same('''import numpy as np, matplotlib.pyplot as plt, time
size = 16
print(np.__version__)'''),
    differs('''rng = np.random.default_rng(2024)
board = (rng.random((size, size)) < 0.3).astype(int)
print("alive:", board.sum(), "of", board.size)
print("\\n".join("".join(".#"[c] for c in row) for row in board[:6]))''', "code"),
    same('''def step(b):
    n = sum(np.roll(b, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j)
    return ((n == 3) | ((b == 1) & (n == 2))).astype(int)

glider = np.zeros((6, 6), int)
glider[[0, 1, 2, 2, 2], [1, 2, 0, 1, 2]] = 1
print(step(glider))'''),
    differs('''t0 = time.perf_counter()
history = [board]
for _ in range(12):
    history.append(step(history[-1]))
print([int(b.sum()) for b in history])
print(f"{(time.perf_counter() - t0) / 12 * 1e6:.0f} µs per step")''', "code", "downstream"),
    same('''history[0].shape, len(history), step'''),
    differs('''fig, axes = plt.subplots(1, 3, figsize=(6, 2))
for ax, k in zip(axes, (0, 6, 12)):
    ax.imshow(history[k], cmap="Greys"); ax.set_title(f"t={k}"); ax.axis("off")
plt.show()''', "code", "downstream"),
    same('''%timeit -n 20 -r 2 step(glider)'''),
], edited={1: '''rng = np.random.default_rng(2025)
board = (rng.random((size, size)) < 0.3).astype(int)
print("alive:", board.sum(), "of", board.size)
print("\\n".join("".join(".#"[c] for c in row) for row in board[:6]))'''})

# ---------------------------------------------------------------- order

add("b-generators", [
    same('''import itertools, time
def countdown(n):
    while n:
        yield n
        n -= 1

def primes():
    found = []
    for k in itertools.count(2):
        if all(k % p for p in found):
            found.append(k)
            yield k

gen = primes()
print(type(gen).__name__, hex(id(gen)))'''),
    differs('''print("first batch", list(itertools.islice(gen, 5)))''', "order"),
    differs('''print("second batch", [next(gen) for _ in range(3)])''', "order", "downstream"),
    same('''list(countdown(4))'''),
    same('''squares = (n * n for n in range(5))
print(sum(squares), sum(squares))
squares'''),
    differs('''next(gen)''', "order", "downstream"),
    same('''%timeit -n 100 -r 3 list(countdown(20))'''),
], order=[0, 2, 5, 1, 3, 4, 6])

add("b-stock-globals", [
    same('''from datetime import datetime
stock = {"bolt": 100, "nut": 80}
journal = []
def book(item, n):
    stock[item] = stock.get(item, 0) + n
    journal.append((datetime.now().strftime("%T.%f"), item, n))
    return stock[item]
print("opened", datetime.now())'''),
    differs('''book("bolt", -30)''', "order"),
    same('''book("nut", 5)'''),
    differs('''stock["bolt"] *= 2   # second warehouse
print(stock["bolt"])''', "order", "downstream"),
    differs('''print({k: v for k, v in stock.items() if v > 90})''', "order", "downstream"),
    same('''sorted(stock)'''),
    same('''import csv, sys
w = csv.writer(sys.stdout)
w.writerow(["item", "unit"])
w.writerows([("bolt", "pcs"), ("nut", "pcs")])'''),
    differs('''for when, item, n in journal:
    print(when, f"{item:<5}{n:+d}")''', "order", "downstream"),
], order=[0, 2, 3, 1, 4, 5, 6, 7])

# ---------------------------------------------------------------- processors

add("b-parallel-chunks", [
    same('''import os, math, time
from concurrent.futures import ThreadPoolExecutor
numbers = list(range(1, 2001))
print("working as process", os.getpid())'''),
    differs('''workers = len(os.sched_getaffinity(0))
print(workers, "workers")''', "machine"),
    same('''def total(chunk):
    return sum(math.isqrt(n) for n in chunk)

t0 = time.perf_counter()
with ThreadPoolExecutor(workers) as pool:
    parts = list(pool.map(total, [numbers[i::workers] for i in range(workers)]))
print("sum of roots", sum(parts), f"({time.perf_counter() - t0:.4f} s)")'''),
    differs('''for i, p in enumerate(parts):
    print(f"part {i}: {p}")''', "machine", "downstream"),
    same('''%%time
sum(total([n]) for n in numbers)'''),
    differs('''!nproc''', "machine"),
    same('''size = -(-len(numbers) // 4)
[len(numbers[i:i + size]) for i in range(0, len(numbers), size)]'''),
    differs('''print(f"efficiency plan: {len(numbers) / workers:.0f} numbers per worker")''', "machine", "downstream"),
], cpus=1)
