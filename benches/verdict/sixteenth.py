"""The sixteenth blind set: accounts, inventories, parsing, configuration.

Written by someone who had seen neither the rules nor the other cases, asked for notebooks as people write them, with dates, ids and durations that are data. Every truth was
decided from what the cell does, then checked in a plain kernel before and after its change. README has its figures at first sight. Rules were mended by some of
these since.
"""

from truth import Case, Cell, differs, same, varies  # noqa: F401

BLIND = []


# ---------------------------------------------------------------- noise only

INVOICES = """number,customer,issued,due,net
2024-0117,Nordlys AS,2024-03-01,2024-03-31,12450.00
2024-0118,Fjellheim Bygg,2024-03-02,2024-04-01,3380.50
2024-0119,Havbris Catering,2024-03-05,2024-04-04,918.75
2024-0120,Nordlys AS,2024-03-11,2024-04-10,7705.20
2024-0121,Tindeland Sport,2024-03-14,2024-04-13,2264.00
"""

BLIND.append(Case("j-quiet-ledger", [
    same(r'''import csv, logging, os, random, sqlite3, sys, time, uuid
from dataclasses import dataclass, field
from datetime import date, datetime
import pandas as pd

log = logging.getLogger("ledger")
handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
log.addHandler(handler)
log.setLevel(logging.INFO)
log.info("session %s opened in %s", uuid.uuid4(), os.getcwd())'''),
    same(r'''t0 = time.perf_counter()
invoices = pd.read_csv("invoices.csv", parse_dates=["issued", "due"])
invoices["gross"] = (invoices.net * 1.25).round(2)
print(f"{len(invoices)} invoices read in {(time.perf_counter() - t0) * 1e3:.2f} ms, file of {datetime.fromtimestamp(os.path.getmtime('invoices.csv')):%Y-%m-%d %H:%M:%S.%f}")
invoices'''),
    same(r'''db = sqlite3.connect(":memory:")
invoices.to_sql("invoices", db, index=False)
db.execute("ALTER TABLE invoices ADD COLUMN booked TEXT DEFAULT NULL")
db.execute("UPDATE invoices SET booked = strftime('%Y-%m-%d %H:%M:%f', 'now')")
print(db)
for row in db.execute("SELECT customer, count(*), round(sum(gross), 2), max(booked) FROM invoices GROUP BY customer ORDER BY 3 DESC"):
    print(row)'''),
    same(r'''class Rate:
    def __init__(self, percent):
        self.percent = percent

@dataclass
class Posting:
    account: int
    amount: float
    rate: Rate
    ref: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    at: datetime = field(default_factory=datetime.now)

postings = [Posting(3000, -r.net, Rate(25)) for r in invoices.itertuples()][:3]
postings'''),
    same(r'''customers = set(invoices.customer)
print(customers)
print({c.lower().replace(" ", "_") + "@example.org" for c in customers})
print("customers:", len(customers), "hash of first", hash("Nordlys AS"))'''),
    same(r'''from tqdm import tqdm
total = 0
for r in tqdm(list(invoices.itertuples()), desc="booking", unit="inv"):
    time.sleep(random.uniform(0.02, 0.08))
    total += r.gross
log.info("booked %.2f in total", total)'''),
    varies(r'''audit = pd.DataFrame({"number": invoices.number, "lot": [random.random() for _ in range(len(invoices))]})
audit.sort_values("lot").head(3)'''),
    same(r'''import psutil
age = (date.today() - invoices.issued.min().date()).days
print(f"oldest invoice is {age} days old today ({date.today():%d.%m.%Y})")
print("resident memory: %.1f MiB, cpu time %.2f s" % (psutil.Process().memory_info().rss / 2**20, time.process_time()))
log.info("closed after %.1f s", time.perf_counter() - t0)'''),
], files={"invoices.csv": INVOICES}))


BLIND.append(Case("j-quiet-tools", [
    same(r'''import sys, os, subprocess, tempfile, textwrap, time, unittest, traceback
work = tempfile.mkdtemp(prefix="tools-")
print("python", sys.version.split()[0], "pid", os.getpid(), "ppid", os.getppid())
print("work", work)'''),
    same(r'''%%bash
echo "shell $$ started $(date '+%F %T.%N')"
t=$(mktemp -d)
cd $t
for i in 1 2 3; do seq $((i * 40)) > part$i.txt; done
wc -l part*.txt
ls -l | tail -n +2 | awk '{print $5, $6, $7, $8, $9}'
pwd
rm -r $t'''),
    same(r'''script = os.path.join(work, "convert.py")
with open(script, "w") as f:
    f.write(textwrap.dedent("""
        import argparse, time
        p = argparse.ArgumentParser(prog="convert", description="Convert amounts")
        p.add_argument("amount", type=float)
        p.add_argument("--rate", type=float, default=11.42, help="NOK for one EUR (default: %(default)s)")
        a = p.parse_args()
        t = time.time()
        print(f"[{t:.3f}] {a.amount:.2f} EUR = {a.amount * a.rate:.2f} NOK")
    """))
!{sys.executable} {script} 120.50
!{sys.executable} {script} 99 --rate 11.5
!{sys.executable} {script} --help'''),
    same(r'''class TestMoney(unittest.TestCase):
    def test_round(self):
        self.assertEqual(round(2.675, 2), 2.67)
    def test_split(self):
        time.sleep(0.03)
        self.assertEqual(divmod(1000, 3), (333, 1))
    @unittest.skip("needs the bank")
    def test_transfer(self):
        pass

res = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(TestMoney))
res'''),
    same(r'''def load(path):
    with open(path) as f:
        return f.read()

try:
    load(os.path.join(work, "missing.ini"))
except FileNotFoundError:
    traceback.print_exc()'''),
    same(r'''import warnings
def old_total(rows):
    warnings.warn("old_total is deprecated, use total", DeprecationWarning, stacklevel=2)
    return sum(rows)
warnings.simplefilter("always")
old_total([1, 2, 3])'''),
    same(r'''from concurrent.futures import ThreadPoolExecutor
import threading, random
def fetch(n):
    time.sleep(random.random() / 20)
    print(f"worker {threading.get_ident()} did job {n}")
    return n * n
with ThreadPoolExecutor(3) as pool:
    squares = list(pool.map(fetch, range(6)))
squares'''),
    same(r'''proc = subprocess.run(["bash", "-c", "echo pid $$; sleep 0.05; echo failed at $(date +%s) >&2; exit 3"], capture_output=True, text=True)
print(proc)
%timeit -n 20 -r 3 sum(range(1000))
raise subprocess.CalledProcessError(proc.returncode, f"{work}/job.sh")'''),
]))


BLIND.append(Case("j-quiet-charts", [
    same(r'''import altair as alt, networkx as nx, numpy as np, pandas as pd, plotly.express as px, plotly.io as pio, sympy as sp
import time, uuid
from bokeh.plotting import figure, show
from bokeh.io import output_notebook
from IPython.display import HTML, Markdown, SVG, display
pio.renderers.default = "plotly_mimetype+notebook_connected"
start = time.time()
stock = pd.DataFrame({"item": ["bolt", "nut", "washer", "screw"], "count": [1200, 950, 4100, 730], "min": [500, 1000, 2000, 800]})
stock.style.highlight_max(subset=["count"], color="gold")'''),
    same(r'''px.bar(stock, x="item", y=["count", "min"], barmode="group", title="Stock").show()'''),
    same(r'''alt.Chart(stock).mark_bar().encode(x="item", y="count", color=alt.condition("datum.count < datum.min", alt.value("red"), alt.value("steelblue")))'''),
    same(r'''output_notebook(hide_banner=True)
p = figure(x_range=list(stock["item"]), height=220, title="Below minimum?")
p.vbar(x="item", top="count", width=0.8, source=stock)
show(p)'''),
    same(r'''g = nx.Graph([("store", "dock"), ("dock", "office"), ("store", "office"), ("office", "gate")])
print(g, object.__repr__(g))
print(nx.shortest_path(g, "store", "gate"))
x = sp.symbols("x")
display(sp.integrate(sp.exp(-x**2), (x, -sp.oo, sp.oo)))
sp.Matrix([[1, x], [x, 1]]).det()'''),
    same(r'''from rich.console import Console
from rich.table import Table
t = Table(title=f"Stock {time.strftime('%Y-%m-%d')}")
for c in ("item", "count", "checked"):
    t.add_column(c, justify="right" if c == "count" else "left")
for r in stock.itertuples():
    t.add_row(r.item, str(r.count if not callable(r.count) else r[2]), time.strftime("%H:%M:%S"))
con = Console(width=60)
con.print(t)
con.log("done", log_locals=False)'''),
    varies(r'''noise = np.random.normal(size=6)
px.line(y=noise, title="Random walk").show()
print(noise.round(3))'''),
    same(r'''uid = "bar-" + uuid.uuid4().hex
display(HTML(f"<div id='{uid}'><b>Stock</b> {stock['count'].sum()} pieces</div><script>document.getElementById('{uid}').title='ready'</script>"))
display(Markdown(f"*{len(stock)} items*, printed {time.ctime()} after {time.time() - start:.1f} s"))'''),
]))


BLIND.append(Case("j-moved-archive", [
    same(r'''import os, pathlib, zipfile, json, logging, sqlite3, time, datetime, sys
root = pathlib.Path.cwd()
print("archive below", root)
print("started", datetime.datetime.now().isoformat())'''),
    same(r'''settings = json.loads((root / "settings.json").read_text())
settings["target"] = str(root / settings["target"])
print(json.dumps(settings, indent=2))'''),
    same(r'''papers = {f"letters/{d}.txt": f"Letter of {d}\n" * n for d, n in (("2019-04-02", 3), ("2020-11-30", 8), ("2023-01-09", 5))}
with zipfile.ZipFile("letters.zip", "w", zipfile.ZIP_DEFLATED) as z:
    for name, text in papers.items():
        z.writestr(name, text)
with zipfile.ZipFile("letters.zip") as z:
    z.printdir()
    for i in z.infolist():
        print(f"{i.filename:28} {i.file_size:5} {i.CRC:08x}")'''),
    same(r'''con = sqlite3.connect(root / "index.db")
con.execute("DROP TABLE IF EXISTS letters")
con.execute("CREATE TABLE letters (id INTEGER PRIMARY KEY, path TEXT, bytes INT, added TIMESTAMP DEFAULT CURRENT_TIMESTAMP)")
con.executemany("INSERT INTO letters (path, bytes) VALUES (?, ?)", [(str(root / n), len(t)) for n, t in papers.items()])
con.commit()
for row in con.execute("SELECT * FROM letters"):
    print(row)'''),
    same(r'''!pwd
!ls *.zip *.json
!{sys.executable} -c "import os, zipfile; print(os.getpid(), os.path.abspath('letters.zip'), len(zipfile.ZipFile('letters.zip').namelist()))"'''),
    same(r'''rel = [p.relative_to(root).as_posix() for p in sorted(root.glob("*.json"))]
print(rel, [p.resolve() for p in sorted(root.glob("*.zip"))])
import pandas as pd
pd.read_sql("SELECT id, bytes, added FROM letters ORDER BY bytes DESC", con)'''),
    same(r'''def open_letter(name):
    return open(root / "letters" / name)
try:
    open_letter("1999-12-31.txt")
except OSError as e:
    print(type(e).__name__, e)
con.close()
open_letter("1999-12-31.txt")'''),
], files={"settings.json": '{"owner": "registry", "target": "out/letters", "keep_days": 3650, "created": "2019-04-01T08:00:00"}\n'}, moved=True))


# ---------------------------------------------------------------- data

BANK = """date,ref,text,amount
2024-05-02,8f1c02aa,Rent May,-14500.00
2024-05-03,8f1c02ab,Invoice 2024-0119,1148.44
2024-05-06,8f1c02b0,Power,-2210.37
2024-05-07,8f1c02b4,Invoice 2024-0120,9631.50
2024-05-10,8f1c02b9,Phone,-499.00
2024-05-13,8f1c02c1,Invoice 2024-0121,2830.00
2024-05-21,8f1c02d7,Paper and toner,-1312.90
2024-05-28,8f1c02e0,Interest,3.17
"""

BLIND.append(Case("j-data-bank", [
    same(r'''import csv, logging, os, sqlite3, sys, time, uuid
from datetime import datetime
from decimal import Decimal
import pandas as pd
from tqdm import tqdm
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s [%(process)d] %(message)s", force=True)
run = uuid.uuid4()
logging.info("run %s", run)'''),
    differs(r'''t0 = time.perf_counter()
with open("bank.csv", newline="") as f:
    rows = [dict(r, amount=Decimal(r["amount"])) for r in csv.DictReader(f)]
total = sum(r["amount"] for r in rows)
logging.info("read %d rows, sum %s, in %.4f s", len(rows), total, time.perf_counter() - t0)''', "data"),
    same(r'''matched = [r for r in rows if r["text"].startswith("Invoice")]
print(f"{datetime.now():%H:%M:%S.%f} matched {len(matched)} payments of", sum(r["amount"] for r in matched))
for r in matched:
    print(r["date"], r["ref"], r["text"], f"{r['amount']:>10}")'''),
    differs(r'''db = sqlite3.connect(":memory:")
db.execute("CREATE TABLE bank (id TEXT, date TEXT, text TEXT, cents INT)")
db.executemany("INSERT INTO bank VALUES (?, ?, ?, ?)", [(uuid.uuid4().hex[:12], r["date"], r["text"], int(r["amount"] * 100)) for r in rows])
print(db)
pd.read_sql("SELECT * FROM bank WHERE cents < 0", db)''', "data", "downstream"),
    differs(r'''balance = Decimal("20000.00")
for r in tqdm(rows, desc="balance", file=sys.stdout):
    balance += r["amount"]
    time.sleep(0.01)
print("closing balance", balance, "at", datetime.now())''', "data", "downstream"),
    same(r'''by_week = pd.Series([1] * len(rows), index=pd.to_datetime([r["date"] for r in rows])).resample("W").sum()
by_week'''),
    same(r'''print("largest:", max(rows, key=lambda r: r["amount"])["text"])
print("refs:", {r["ref"] for r in rows})
print("memory of rows at", hex(id(rows)), "type", type(rows[0]))'''),
    differs(r'''checksum = sum(int(r["amount"] * 100) for r in rows) % 97
print(f"run {run}\nchecksum {checksum:02d}\nduration {time.perf_counter() - t0:.3f} s\nmean {float(sum(r['amount'] for r in rows)) / len(rows):.2f}")''', "data", "downstream"),
], files={"bank.csv": BANK}, data={"bank.csv": BANK.replace("-2210.37", "-2210.73")}))


DEVICES = """{
  "site": "Warehouse 3",
  "scanned": "2024-06-03T07:41:12",
  "items": [
    {"id": "3b9f1f0e-52a4-4c1a-9d0e-1d6a0f4e7c11", "name": "laptop", "room": "2.14", "mac": "00:1b:44:11:3a:b7", "ram": "16 GiB", "last_seen": "2024-06-02T16:20:05"},
    {"id": "c7a1d9b2-0f6e-4f93-8c55-70b1f1a2e0d4", "name": "printer", "room": "2.02", "mac": "00:1b:44:11:3a:c0", "ram": "512 MiB", "last_seen": "2024-06-03T07:02:44"},
    {"id": "e19b6a77-6a1d-4d8e-b0c3-5e2b9d8f4410", "name": "scanner", "room": "1.07", "mac": "00:1b:44:11:3b:02", "ram": "256 MiB", "last_seen": "2024-05-29T11:15:30"},
    {"id": "0d52c3f8-9b7e-4a60-a4f2-b8e6c7d90133", "name": "server", "room": "0.01", "mac": "00:1b:44:11:3b:10", "ram": "64 GiB", "last_seen": "2024-06-03T07:41:00"}
  ]
}
"""

BLIND.append(Case("j-data-devices", [
    differs(r'''import json, os, time, uuid, random
from dataclasses import dataclass
from datetime import datetime, timedelta
doc = json.load(open("devices.json"))
print("loaded", os.path.abspath("devices.json"), "at", datetime.now())
for i in doc["items"]:
    print(i["id"], i["name"])''', "data"),
    same(r'''print(doc["site"], "scanned", doc["scanned"], "with", len(doc["items"]), "devices")
print("session", uuid.uuid4())'''),
    differs(r'''scan = datetime.fromisoformat(doc["scanned"])
for i in doc["items"]:
    unseen = scan - datetime.fromisoformat(i["last_seen"])
    print(f"{i['name']:8} not seen for {unseen}  (looked up in {random.random() * 1e-3 + 1e-4:.6f} s)")''', "data", "downstream"),
    same(r'''rooms = {i["room"] for i in doc["items"]}
names = sorted(i["name"] for i in doc["items"])
print(rooms)
print(names)'''),
    differs(r'''units = {"MiB": 2**20, "GiB": 2**30}
def size(text):
    n, u = text.split()
    return int(n) * units[u]
import psutil
for i in doc["items"]:
    print(f"{i['name']:8} {size(i['ram']):>14,} bytes")
print(f"this process: {psutil.Process().memory_info().rss:,} bytes")''', "data", "downstream"),
    same(r'''class Device:
    def __init__(self, name, mac):
        self.name, self.mac = name, mac
fleet = [Device(i["name"], i["mac"]) for i in doc["items"]]
print(fleet[0])
print([d.mac[-5:] for d in fleet])'''),
    differs(r'''import pandas as pd
df = pd.DataFrame(doc["items"]).assign(checked=lambda d: [datetime.now().isoformat() for _ in range(len(d))], token=lambda d: [uuid.uuid4().hex for _ in range(len(d))])
df[["id", "name", "last_seen", "token", "checked"]]''', "data", "downstream"),
    same(r'''print(df.dtypes)
print(df.room.value_counts().sort_index())'''),
    differs(r'''from IPython.display import HTML
HTML("<ul id='list-%s'>%s</ul><p>made %s</p>" % (uuid.uuid4(), "".join(f"<li data-seen='{i['last_seen']}'>{i['name']}</li>" for i in doc["items"]), time.ctime()))''', "data", "downstream"),
], files={"devices.json": DEVICES}, data={"devices.json": DEVICES.replace("e19b6a77-6a1d-4d8e", "e19b6a77-6a1d-4e8d").replace("2024-05-29T11:15:30", "2024-05-29T11:51:30").replace('"256 MiB"', '"265 MiB"')}))


ORDERS_XML = """<?xml version="1.0"?>
<orders exported="2024-02-12T09:30:00">
  <order id="A-1009" customer="Holm"><line sku="P-11" qty="4" price="12.50"/><line sku="P-20" qty="1" price="249.00"/></order>
  <order id="A-1010" customer="Berg"><line sku="P-11" qty="10" price="11.90"/></order>
  <order id="A-1011" customer="Dahl"><line sku="P-31" qty="2" price="75.25"/><line sku="P-40" qty="6" price="3.10"/></order>
</orders>
"""
JOB_INI = """[export]
interval = 15m
timeout = 30s
retries = 3
directory = /srv/export/2024

[limits]
memory = 512M
rows = 10000

[mail]
to = stock@example.org
subject = Orders of the day
"""

BLIND.append(Case("j-data-job-ini", [
    same(r'''import configparser, os, re, time, uuid, shutil
import xml.etree.ElementTree as ET
from datetime import timedelta
tree = ET.parse("orders.xml")
print(tree, tree.getroot())
print("exported", tree.getroot().get("exported"), "now", time.strftime("%FT%T"))'''),
    same(r'''t = time.perf_counter()
totals = {}
for o in tree.iter("order"):
    totals[o.get("id")] = sum(int(l.get("qty")) * float(l.get("price")) for l in o)
    print(f"{o.get('id')} {o.get('customer'):6} {totals[o.get('id')]:9.2f}   ({(time.perf_counter() - t) * 1e6:.0f} us)")'''),
    differs(r'''ini = configparser.ConfigParser()
ini.read("job.ini")
for section in ini.sections():
    print(f"[{section}]", {k: v for k, v in ini[section].items()})''', "data"),
    differs(r'''def span(text):
    n, unit = re.fullmatch(r"(\d+)([smh])", text).groups()
    return timedelta(**{{"s": "seconds", "m": "minutes", "h": "hours"}[unit]: int(n)})
started = time.time()
time.sleep(0.02)
print(f"export: elapsed {time.time() - started:.2f}s, timeout {span(ini['export']['timeout']).total_seconds():.2f}s, interval {span(ini['export']['interval'])}")''', "data", "downstream"),
    same(r'''retries = ini.getint("export", "retries")
for attempt in range(1, retries + 1):
    print(f"attempt {attempt}/{retries} job {uuid.uuid4().hex[:6]} took {time.time() - started:.3f}s")'''),
    differs(r'''free = shutil.disk_usage(".").free
limit = int(ini["limits"]["memory"][:-1]) * 2**20
print(f"memory limit {limit / 2**20:.1f} MiB, free on disk {free / 2**30:.1f} GiB, at {hex(id(limit))}")''', "data", "downstream"),
    same(r'''rows = ini.getint("limits", "rows")
print("rows allowed:", rows, "| orders:", len(totals), "| mail to", ini["mail"]["to"])
sorted(totals.items(), key=lambda kv: -kv[1])'''),
    differs(r'''out = os.path.join(ini["export"]["directory"], "orders.csv")
here = os.path.abspath("orders.csv")
print("here:  ", here)
print("target:", out)''', "data", "downstream"),
    same(r'''import pandas as pd
pd.Series(totals, name="sum").to_frame().T.style.format("{:.2f}")'''),
], files={"orders.xml": ORDERS_XML, "job.ini": JOB_INI}, data={"job.ini": JOB_INI.replace("timeout = 30s", "timeout = 35s").replace("512M", "521M").replace("/srv/export/2024", "/srv/export/2025")}))


SERVER_LOG = """2024-01-15 10:00:01,120 INFO [pid 4211] GET /index.html 200 12.4ms 5120B
2024-01-15 10:00:02,007 INFO [pid 4211] GET /api/stock 200 48.9ms 20480B
2024-01-15 10:00:02,950 WARNING [pid 4212] GET /api/orders 429 1.2ms 88B
2024-01-15 10:00:05,310 INFO [pid 4211] POST /api/orders 201 132.5ms 640B
2024-01-15 10:00:09,441 ERROR [pid 4213] GET /api/report 500 2050.0ms 0B
2024-01-15 10:00:11,002 INFO [pid 4212] GET /index.html 200 11.8ms 5120B
2024-01-15 10:00:12,730 INFO [pid 4212] GET /api/stock 200 51.3ms 20480B
2024-01-15 10:00:15,099 ERROR [pid 4213] GET /api/report 500 2049.1ms 0B
"""

BLIND.append(Case("j-data-server-log", [
    same(r'''import re, os, time, collections, statistics, datetime as dt
from rich.console import Console
from rich.table import Table
console = Console(width=70)
LINE = re.compile(r"(?P<at>\S+ \S+) (?P<level>[A-Z]+) \[pid (?P<pid>\d+)\] (?P<method>\w+) (?P<path>\S+) (?P<status>\d+) (?P<ms>[\d.]+)ms (?P<size>\d+)B")
print("reader pid", os.getpid(), LINE.groups, "groups")'''),
    differs(r'''t0 = time.perf_counter()
hits = [LINE.match(l).groupdict() for l in open("server.log")]
ms = [float(h["ms"]) for h in hits]
print(f"parsed {len(hits)} lines in {(time.perf_counter() - t0) * 1000:.1f}ms; slowest request {max(ms):.1f}ms; median {statistics.median(ms):.1f}ms")''', "data"),
    same(r'''levels = collections.Counter(h["level"] for h in hits)
print(levels, "at", dt.datetime.now())
print({h["path"] for h in hits})'''),
    differs(r'''pids = collections.Counter(h["pid"] for h in hits)
print("my pid", os.getpid())
for pid, n in sorted(pids.items()):
    print("server pid", pid, "requests", n)''', "data", "downstream"),
    differs(r'''table = Table(title="Requests, " + time.strftime("%H:%M:%S"))
for c in ("path", "n", "mean ms"):
    table.add_column(c)
by = collections.defaultdict(list)
for h in hits:
    by[h["path"]].append(float(h["ms"]))
for path, v in sorted(by.items()):
    table.add_row(path, str(len(v)), f"{sum(v) / len(v):.1f}")
console.print(table)''', "data", "downstream"),
    same(r'''sent = sum(int(h["size"]) for h in hits)
print("bytes sent", sent)
print("statuses", sorted(collections.Counter(h["status"] for h in hits).items()))
print("generator", (h for h in hits))'''),
    differs(r'''first, last = (dt.datetime.strptime(h["at"], "%Y-%m-%d %H:%M:%S,%f") for h in (hits[0], hits[-1]))
print(f"log covers {last - first}, read {dt.datetime.now() - last} later")''', "data", "downstream"),
    same(r'''errors = [h for h in hits if h["level"] == "ERROR"]
assert len(errors) == 2, errors
print(f"{len(errors)} errors, all of {set(h['path'] for h in errors)}; report made in {time.perf_counter() - t0:.2f} s")'''),
], files={"server.log": SERVER_LOG}, data={"server.log": SERVER_LOG.replace("10:00:12,730 INFO [pid 4212]", "10:00:12,730 INFO [pid 4211]").replace("2050.0ms", "2150.0ms").replace("10:00:15,099", "10:00:15,909")}))


TIMES = """name;day;from;to;project
Kari;2024-09-02;08:00;15:30;P7
Ola;2024-09-02;09:15;17:00;P7
Kari;2024-09-03;08:10;12:00;P9
Per;2024-09-03;07:45;15:45;P9
Ola;2024-09-04;10:00;16:20;P7
"""

BLIND.append(Case("j-data-bash-hours", [
    same(r'''echo "shell pid $$, $(date)"
tmp=$(mktemp -d)
echo $tmp'''),
    differs(r'''start=$(date +%s%N)
tail -n +2 times.csv | awk -F';' '{split($3,a,":"); split($4,b,":"); m=(b[1]*60+b[2])-(a[1]*60+a[2]); print $1, m; t+=m} END {print "total minutes", t}'
echo "took $(( ($(date +%s%N) - start) / 1000 )) us"''', "data"),
    same(r'''cut -d';' -f1 times.csv | tail -n +2 | sort | uniq -c
wc -l < times.csv'''),
    same(r'''cp times.csv $tmp/copy.csv
ls -l --time-style=full-iso $tmp | tail -1
grep -c P7 $tmp/copy.csv'''),
    differs(r'''echo "report $(date +%T) by job $RANDOM-$$"
sed -n '/Ola/p' times.csv | tr ';' '\t' ''', "data"),
    differs(r'''md5sum $tmp/copy.csv
stat -c '%s bytes, changed %y' $tmp/copy.csv''', "data", "downstream"),
    same(r'''hours() { grep "^$1;" times.csv | grep -c .; }
for n in Kari Per; do echo "$n: $(hours $n) days"; done
sleep 0.1; echo "done at $SECONDS s"'''),
    same(r'''rm -r $tmp; ls $tmp 2>&1 | sed 's/.*: //' '''),
], kernel="bash", files={"times.csv": TIMES}, data={"times.csv": TIMES.replace("10:00;16:20", "10:00;16:30")}))


# ---------------------------------------------------------------- patch

BLIND.append(Case("j-patch-tabulate-quote", [
    same(r'''import time, uuid, datetime as dt
from tabulate import tabulate
from IPython.display import HTML, Markdown, display
t0 = time.perf_counter()
lines = [("desk", 14, 2489.95), ("chair", 42, 1199.5), ("lamp", 9, 349.0), ("shelf", 3, 1025.25)]
print("quote", uuid.uuid4(), "of", dt.date.today())'''),
    differs(r'''rows = [(n, q, p, q * p) for n, q, p in lines]
print(tabulate(rows, headers=["item", "qty", "price", "sum"], tablefmt="github"))
print(f"\nset in {(time.perf_counter() - t0) * 1000:.3f} ms")''', "library"),
    same(r'''print(tabulate([(n, q) for n, q, p in lines], headers=["item", "qty"], tablefmt="simple"))
print("printed", dt.datetime.now())'''),
    same(r'''total = sum(r[3] for r in rows)
print(f"total {total:.2f}, with VAT {total * 1.25:.2f}")
total'''),
    differs(r'''log = [(time.strftime("%H:%M:%S"), n, q * p * 1.25) for n, q, p in lines]
display(HTML(tabulate(log, headers=["at", "item", "gross"], tablefmt="html")))''', "library"),
    same(r'''print(tabulate(rows, headers=["item", "qty", "price", "sum"], floatfmt=".2f"))'''),
    same(r'''class Stamp:
    pass
print(tabulate([("run", uuid.uuid4().hex), ("object", str(Stamp())), ("took", f"{time.perf_counter() - t0:.4f} s")], tablefmt="plain"))'''),
    differs(r'''display(Markdown(tabulate([["net", total], ["share of chairs", 42 * 1199.5 / total], ["days valid", 30]], tablefmt="pipe") + f"\n\n_{time.ctime()}_"))''', "library"),
    same(r'''print(tabulate({"n": [1, 2, 3], "price": [9.5, 10.25, 120.0]}, headers="keys", tablefmt="psql"))'''),
], patch=("tabulate/__init__.py", '_DEFAULT_FLOATFMT = "g"\n', '_DEFAULT_FLOATFMT = ".5g"\n')))


BLIND.append(Case("j-patch-networkx-rank", [
    same(r'''import networkx as nx, numpy as np, time, uuid, logging, sys
import pandas as pd
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s", force=True)
g = nx.DiGraph([("home", "news"), ("home", "shop"), ("news", "shop"), ("shop", "cart"), ("cart", "home"), ("about", "home"), ("news", "about")])
print(g, hex(id(g)))'''),
    same(r'''t = time.perf_counter()
print("shortest", nx.shortest_path(g, "about", "cart"))
print("components", {frozenset(c) for c in nx.strongly_connected_components(g)})
print(f"{(time.perf_counter() - t) * 1e6:.1f} us")'''),
    differs(r'''t = time.perf_counter()
rank = nx.pagerank(g)
for page, r in sorted(rank.items(), key=lambda kv: -kv[1]):
    print(f"{page:6} {r:.4f}")
logging.info("rank %s took %.4f s", uuid.uuid4().hex[:8], time.perf_counter() - t)''', "library"),
    same(r'''order = sorted(rank, key=rank.get, reverse=True)
logging.info("sum of ranks %.3f", sum(rank.values()))
print("pages:", len(order), "edges:", g.number_of_edges())'''),
    differs(r'''frame = pd.DataFrame({"rank": rank, "in": dict(g.in_degree()), "out": dict(g.out_degree())})
frame["seen"] = pd.Timestamp.now()
frame''', "downstream", "library"),
    same(r'''bc = nx.betweenness_centrality(g)
print({k: round(v, 3) for k, v in bc.items()})
print(nx.density(g), "at", time.strftime("%X"))'''),
    differs(r'''import matplotlib.pyplot as plt
pos = nx.circular_layout(g)
nx.draw_networkx(g, pos, labels={n: f"{n}\n{rank[n]:.3f}" for n in g}, node_size=[9000 * rank[n] for n in g], node_color="lightblue")
plt.margins(0.2)
plt.title("site map");''', "downstream", "library"),
    same(r'''for i, cycle in enumerate(sorted(nx.simple_cycles(g), key=len), 1):
    logging.info("cycle %d of length %d", i, len(cycle))'''),
    differs(r'''print(f"{time.time():.2f} home has {rank['home']:.1%} of the visits, {sys.getsizeof(rank)} bytes of dict at {id(rank):#x}")''', "downstream", "library"),
], patch=("networkx/algorithms/link_analysis/pagerank_alg.py", "def pagerank(\n    G,\n    alpha=0.85,", "def pagerank(\n    G,\n    alpha=0.8,")))


BLIND.append(Case("j-patch-rich-files", [
    same(r'''import os, time, tempfile, uuid, random
from rich import filesize, print as rprint
from rich.console import Console
from rich.table import Table
from rich.tree import Tree
from rich.progress import track
console = Console(width=64)
sizes = {"report.pdf": 2_456_789, "data.csv": 48_213_004, "notes.md": 812, "backup.zip": 1_073_741_824}
console.print("scan", str(uuid.uuid4()), "by", os.getpid())'''),
    differs(r'''table = Table(title=f"Files at {time.strftime('%H:%M:%S')}")
table.add_column("name"); table.add_column("size", justify="right"); table.add_column("job")
for n, s in sizes.items():
    table.add_row(n, filesize.decimal(s), uuid.uuid4().hex[:6])
console.print(table)''', "library"),
    same(r'''for n, s in sizes.items():
    print(f"{n:12} {s:>15,} bytes {s / 2**20:10.2f} MiB")
print("total", sum(sizes.values()))'''),
    same(r'''done = 0
for n in track(sizes, description="checking", console=Console(width=64, force_jupyter=False, force_terminal=False)):
    time.sleep(random.random() / 30)
    done += 1
print(done, "files checked")'''),
    differs(r'''d = tempfile.mkdtemp()
tree = Tree(d)
for n, s in sizes.items():
    tree.add(f"{n} ({filesize.decimal(s, precision=2)})")
console.print(tree)''', "library"),
    same(r'''rprint({"small": filesize.decimal(sizes["notes.md"]), "time": time.time(), "names": sorted(sizes)})'''),
    same(r'''unit, suffix = filesize.pick_unit_and_suffix(sizes["data.csv"], ["bytes", "kB", "MB"], 1000)
print(unit, suffix, round(sizes["data.csv"] / unit, 3))
console.log("picked")'''),
    differs(r'''import psutil
mine = psutil.Process().memory_info().rss
print(f"quota {filesize.decimal(5_000_000_000)}, used {filesize.decimal(sum(sizes.values()))}; this kernel has {mine / 1e6:.1f} MB")''', "library"),
], patch=("rich/filesize.py", '        1000,\n        precision=precision,', '        1024,\n        precision=precision,')))


BLIND.append(Case("j-patch-dateutil-holidays", [
    same(r'''from dateutil.easter import easter
from dateutil.relativedelta import relativedelta, FR
from dateutil.rrule import rrule, MONTHLY
from dateutil import parser
import datetime as dt, time, uuid, calendar
today = dt.date.today()
print("calendar made on", today.strftime("%A %d %B %Y"), "as", uuid.uuid4())'''),
    differs(r'''def holidays(year):
    e = easter(year)
    return {"New Year": dt.date(year, 1, 1), "Good Friday": e - dt.timedelta(2), "Easter": e, "Ascension": e + dt.timedelta(39), "Christmas": dt.date(year, 12, 25)}
t = time.perf_counter()
for name, day in holidays(2025).items():
    print(f"{name:12} {day}")
print(f"computed {dt.datetime.now()} in {(time.perf_counter() - t) * 1e6:.1f} us")''', "library"),
    same(r'''terms = [d.date() for d in rrule(MONTHLY, dtstart=dt.datetime(2025, 1, 31), count=4, bymonthday=-1)]
print(terms)
print("first Friday:", dt.date(2025, 5, 1) + relativedelta(weekday=FR))
print("next month from now:", dt.datetime.now() + relativedelta(months=1))'''),
    same(r'''for text in ("3 Feb 2024 10:15", "2024-02-30", "12/11/10"):
    try:
        print(text, "->", parser.parse(text))
    except Exception as e:
        print(text, "->", type(e).__name__)'''),
    differs(r'''def due(issued, days):
    d = issued + dt.timedelta(days)
    while d.weekday() > 4 or d in holidays(d.year).values():
        d += dt.timedelta(1)
    return d
for ref, issued in (("F-201", dt.date(2025, 3, 19)), ("F-202", dt.date(2025, 3, 20)), ("F-203", dt.date(2025, 4, 1)), ("F-204", dt.date(2025, 12, 11))):
    print(uuid.uuid4().hex[:8], ref, issued, "due", due(issued, 30) if ref != "F-204" else due(issued, 14))''', "library", "downstream"),
    same(r'''print(calendar.month(2025, 4))
print(calendar.isleap(2024), sum(calendar.monthrange(2025, m)[1] for m in range(1, 13)))'''),
    differs(r'''days = (easter(2031) - dt.date(2031, 1, 1)).days
print(f"days to Easter 2031: {days}; seconds since 1970: {time.time():.0f}")''', "library"),
    same(r'''julian = easter(2025, 2)
print("orthodox", julian, "| object", object(), "| type", type(julian).__name__)
holidays'''),
], patch=("dateutil/easter.py", "j = (y + y//4 + i + 2 - c + c//4) % 7", "j = (y + y//4 + i + 3 - c + c//4) % 7")))


# ---------------------------------------------------------------- environment

BLIND.append(Case("j-env-invoice-config", [
    same(r'''import os, time, uuid, sys, json, datetime as dt
from dataclasses import dataclass, field, asdict
@dataclass(frozen=True)
class Config:
    vat: float = float(os.environ.get("SHOP_VAT", "25"))
    currency: str = os.environ.get("SHOP_CURRENCY", "NOK")
    timeout: str = os.environ.get("SHOP_TIMEOUT", "10s")
    spool: str = os.environ.get("SHOP_SPOOL", "/var/spool/shop")
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
cfg = Config()
print("configured", dt.datetime.now(), "in", os.getcwd())'''),
    differs(r'''cfg''', "environment", "downstream"),
    differs(r'''net = [199.0, 49.9, 1250.0]
t = time.perf_counter()
vat = round(sum(net) * cfg.vat / 100, 2)
print(f"invoice {uuid.uuid4()} net {sum(net):.2f} vat {vat:.2f} ({(time.perf_counter() - t) * 1e6:.1f} us)")''', "environment", "downstream"),
    same(r'''print(f"{sum(net):.2f} {cfg.currency}")
for n in net:
    print(f"{dt.datetime.now():%H:%M:%S.%f}  {n:8.2f}  {cfg.currency}")'''),
    differs(r'''start = time.time()
time.sleep(0.01)
print(f"waited {time.time() - start:.3f}s of {cfg.timeout}")''', "environment", "downstream"),
    same(r'''sorted(k for k in os.environ if k.startswith("SHOP_"))'''),
    differs(r'''path = f"{cfg.spool}/{dt.date(2024, 5, 17):%Y%m%d}.json"
print("would write", path, "from", os.path.abspath("out.json"), "pid", os.getpid())''', "environment", "downstream"),
    differs(r'''%%bash
echo "$(date +%T) shell $$: timeout $SHOP_TIMEOUT, currency $SHOP_CURRENCY"''', "environment"),
    same(r'''doc = {k: v for k, v in asdict(cfg).items() if k in ("currency", "run")}
print(json.dumps(doc, indent=1))
print(sys.getsizeof(doc), hex(id(doc)))'''),
], environment={"SHOP_VAT": "25", "SHOP_CURRENCY": "NOK", "SHOP_TIMEOUT": "10s", "SHOP_SPOOL": "/srv/spool/a1"},
   given={"SHOP_VAT": "25.5", "SHOP_CURRENCY": "NOK", "SHOP_TIMEOUT": "12s", "SHOP_SPOOL": "/srv/spool/a2"}))


BLIND.append(Case("j-env-zone-log", [
    same(r'''import logging, sys, time, os, datetime as dt, uuid, warnings
level = os.environ.get("LOG_LEVEL", "INFO")
log = logging.getLogger("shift")
log.handlers[:] = [logging.StreamHandler(sys.stdout)]
log.handlers[0].setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
log.propagate = False
log.setLevel(level)
log.error("start of %s", uuid.uuid4())'''),
    differs(r'''events = [1709272800, 1711846800, 1719820800]
for e in events:
    print(dt.datetime.fromtimestamp(e), "seen at", dt.datetime.now())''', "environment"),
    same(r'''for e in events:
    print(e, dt.datetime.fromtimestamp(e, dt.timezone.utc).isoformat())
print("ticks", time.monotonic_ns())'''),
    differs(r'''def step(n):
    log.debug("enter step %d", n)
    log.info("step %d took %.6f s", n, time.perf_counter() % 1)
    if n == 2:
        log.warning("step %d has no stock", n)
for n in range(4):
    step(n)''', "environment", "downstream"),
    same(r'''log.error("%d events in %s", len(events), os.getcwd())
log.critical("pid %d", os.getpid())'''),
    differs(r'''import pandas as pd
table = pd.DataFrame({"local": [time.strftime("%Y-%m-%d %H:%M", time.localtime(e)) for e in events], "id": [uuid.uuid4().hex[:10] for _ in events]})
table''', "environment"),
    same(r'''spans = [dt.timedelta(seconds=b - a) for a, b in zip(events, events[1:])]
print(spans)
print("youngest event", round((time.time() - max(events)) / 86400, 1), "days ago")'''),
    differs(r'''%%bash
echo "job $$"
date -d @1709272800 '+%F %H:%M'
ls -d /tmp''', "environment"),
    same(r'''warnings.warn(f"log of pid {os.getpid()} is not rotated", UserWarning)'''),
], environment={"TZ": "UTC", "LOG_LEVEL": "INFO"}, given={"TZ": "Europe/Oslo", "LOG_LEVEL": "WARNING"}))


BLIND.append(Case("j-env-batch-tool", [
    same(r'''import os, sys, textwrap, time, subprocess, unittest, itertools
open("tool.py", "w").write(textwrap.dedent("""
    import argparse, os, sys, time
    def main(argv=None):
        p = argparse.ArgumentParser(prog="tool")
        p.add_argument("numbers", nargs="*", type=int)
        p.add_argument("--batch", type=int, default=int(os.environ.get("BATCH_SIZE", "4")))
        p.add_argument("--strict", action="store_true", default=os.environ.get("STRICT") == "1")
        a = p.parse_args(argv)
        for i in range(0, len(a.numbers), a.batch):
            print(f"{time.time():.2f} batch {i // a.batch + 1}: sum {sum(a.numbers[i:i + a.batch])}")
        if a.strict and any(n < 0 for n in a.numbers):
            sys.exit("negative number")
    if __name__ == "__main__":
        main()
    """))
sys.path.insert(0, os.getcwd())
import tool
tool'''),
    differs(r'''!{sys.executable} tool.py 3 1 4 1 5 9 2 6 5 3 5 8''', "environment"),
    same(r'''!{sys.executable} tool.py 3 1 4 1 5 9 2 6 5 3 5 8 --batch 6'''),
    differs(r'''r = subprocess.run([sys.executable, "tool.py", "7", "-2"], capture_output=True, text=True)
print("pid", os.getpid(), "exit status", r.returncode)''', "environment"),
    same(r'''class ToolTest(unittest.TestCase):
    def test_empty(self):
        self.assertIsNone(tool.main([]))
    def test_help(self):
        with self.assertRaises(SystemExit):
            tool.main(["--help"])
unittest.TextTestRunner(stream=sys.stdout).run(unittest.defaultTestLoader.loadTestsFromTestCase(ToolTest))'''),
    differs(r'''def batches(it, n=int(os.environ["BATCH_SIZE"])):
    it = iter(it)
    while chunk := list(itertools.islice(it, n)):
        yield chunk
gen = batches("abcdefghijkl")
print(gen)
print(list(gen)[-1])
print(f"{time.perf_counter():.6f}")''', "environment"),
    same(r'''from tqdm import tqdm
seen = sum(len(b) for b in batches(range(100)))
for _ in tqdm(range(20), desc="warm up"):
    time.sleep(0.005)
print(seen, "numbers in batches")'''),
    differs(r'''class Worker:
    def __init__(self, size):
        self.size, self.born = size, time.time()
w = Worker(int(os.environ["BATCH_SIZE"]))
print(w, vars(w))''', "environment"),
], environment={"BATCH_SIZE": "4", "STRICT": "0"}, given={"BATCH_SIZE": "5", "STRICT": "1"}))


# ---------------------------------------------------------------- edited

BLIND.append(Case("j-edit-algorithms", [
    same(r'''import time, sys, functools, collections, datetime as dt
def stamp(*a):
    print(dt.datetime.now().strftime("%H:%M:%S.%f"), *a)
calls = collections.Counter()
stamp("python", sys.version_info[:3])'''),
    differs(r'''def quicksort(a, depth=0):
    calls["quicksort"] += 1
    if len(a) < 2:
        return a
    pivot = a[0]
    stamp("  " * depth, "pivot", pivot, "of", a)
    return quicksort([x for x in a if x < pivot], depth + 1) + [x for x in a if x == pivot] + quicksort([x for x in a if x > pivot], depth + 1)
data = [33, 12, 48, 7, 29, 64, 18, 5]
print(quicksort(data))''', "code"),
    same(r'''def hanoi(n, a="A", b="B", c="C"):
    if n:
        yield from hanoi(n - 1, a, c, b)
        yield a, c
        yield from hanoi(n - 1, b, a, c)
for i, move in enumerate(hanoi(3), 1):
    stamp("move", i, *move)'''),
    differs(r'''t = time.perf_counter()
calls.clear()
r = quicksort(list(range(6)))
print(f"sorted {len(r)} with {calls['quicksort']} calls in {(time.perf_counter() - t) * 1e6:.0f} us")''', "code", "downstream"),
    same(r'''@functools.cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
t = time.perf_counter()
print(fib(90), fib.cache_info())
print(f"{time.perf_counter() - t:.2e} s", fib)'''),
    same(r'''def bisect(a, x):
    lo, hi = 0, len(a)
    while lo < hi:
        mid = (lo + hi) // 2
        stamp(f"lo={lo} hi={hi} mid={mid} value={a[mid]}")
        lo, hi = (mid + 1, hi) if a[mid] < x else (lo, mid)
    return lo
bisect(sorted(data), 29)'''),
    same(r'''print(quicksort.__name__, quicksort([9]))
print("recursion limit", sys.getrecursionlimit(), "frame", sys._getframe())'''),
    differs(r'''stamp("knapsack")
def knapsack(items, room):
    best = [0] * (room + 1)
    for w, v in items:
        for r in range(room, w - 1, -1):
            best[r] = max(best[r], best[r - w] + v)
    return best
print(knapsack([(3, 40), (4, 50), (2, 15), (5, 60)], 10)[-3:], "elapsed", time.process_time())''', "code"),
    same(r'''gcd = lambda a, b: a if not b else gcd(b, a % b)
stamp("gcd", gcd(1071, 462), gcd)'''),
], edited={
    1: r'''def quicksort(a, depth=0):
    calls["quicksort"] += 1
    if len(a) < 2:
        return a
    pivot = a[len(a) // 2]
    stamp("  " * depth, "pivot", pivot, "of", a)
    return quicksort([x for x in a if x < pivot], depth + 1) + [x for x in a if x == pivot] + quicksort([x for x in a if x > pivot], depth + 1)
data = [33, 12, 48, 7, 29, 64, 18, 5]
print(quicksort(data))''',
    7: r'''stamp("knapsack")
def knapsack(items, room):
    best = [0] * (room + 1)
    for w, v in items:
        for r in range(w, room + 1):
            best[r] = max(best[r], best[r - w] + v)
    return best
print(knapsack([(3, 40), (4, 50), (2, 15), (5, 60)], 10)[-3:], "elapsed", time.process_time())''',
    8: r'''gcd = lambda a, b: gcd(b, a % b) if b else a  # Euclid
stamp("gcd", gcd(1071, 462), gcd)''',
}))


BLIND.append(Case("j-edit-payroll-tests", [
    same(r'''import unittest, sys, time, traceback, uuid, warnings
from decimal import Decimal, ROUND_HALF_UP, ROUND_HALF_EVEN
from dataclasses import dataclass
print("tests of", time.ctime(), "session", uuid.uuid4())'''),
    same(r'''@dataclass
class Slip:
    name: str
    hours: Decimal
    rate: Decimal
    def gross(self):
        return (self.hours * self.rate).quantize(Decimal("0.01"), ROUND_HALF_UP)
Slip'''),
    differs(r'''slips = [Slip("Kari", Decimal("37.5"), Decimal("251.37")), Slip("Ola", Decimal("22.25"), Decimal("198.58"))]
for s in slips:
    print(f"{time.time():.4f}", s.name, s.gross(), f"at {id(s):#x}")''', "code", "downstream"),
    differs(r'''class SlipTest(unittest.TestCase):
    def test_kari(self):
        self.assertEqual(slips[0].gross(), Decimal("9426.38"))
    def test_ola(self):
        time.sleep(0.01)
        self.assertEqual(slips[1].gross(), Decimal("4418.41"))
    def test_names(self):
        self.assertEqual({s.name for s in slips}, {"Ola", "Kari"})
res = unittest.TextTestRunner(stream=sys.stdout, verbosity=0).run(unittest.defaultTestLoader.loadTestsFromTestCase(SlipTest))
print(res.testsRun, "run")''', "code", "downstream"),
    same(r'''def hours(text):
    h, m = text.split(":")
    return Decimal(h) + Decimal(m) / 60
for t in ("7:30", "8:15", "x"):
    try:
        print(t, hours(t))
    except ValueError as e:
        traceback.print_exc(limit=1)'''),
    differs(r'''total = sum(s.gross() for s in slips)
print(f"payroll {uuid.uuid4().hex[:8]}: total {total} ({time.process_time():.2f} s cpu)")''', "code", "downstream"),
    differs(r'''warnings.simplefilter("always")
def check(s, limit=Decimal(9000)):
    if s.gross() > limit:
        warnings.warn(f"{s.name} is above {limit}")
for s in slips:
    check(s)''', "code"),
    same(r'''sorted((s.name, float(s.hours)) for s in slips)'''),
    same(r'''check(Slip("Per", Decimal(10), Decimal(100)))
print("checked at", time.strftime("%T"))
raise LookupError(f"no slip {uuid.uuid4()}")'''),
], edited={
    1: r'''@dataclass
class Slip:
    name: str
    hours: Decimal
    rate: Decimal
    def gross(self):
        return (self.hours * self.rate).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
Slip''',
    6: r'''warnings.simplefilter("always")
def check(s, limit=Decimal(9200)):
    if s.gross() > limit:
        warnings.warn(f"{s.name} is above {limit}")
for s in slips:
    check(s)''',
}))


BLIND.append(Case("j-edit-displays", [
    same(r'''import time, uuid, json, datetime as dt
import plotly.express as px, plotly.graph_objects as go, altair as alt, pandas as pd
from IPython.display import HTML, Markdown, SVG, JSON, display
import ipywidgets as widgets
sales = pd.DataFrame({"month": ["Jan", "Feb", "Mar", "Apr"], "north": [12, 15, 9, 17], "south": [8, 7, 11, 10]})
display(Markdown(f"# Sales\nas of **{dt.datetime.now():%Y-%m-%d %H:%M:%S}**"))'''),
    differs(r'''def bars(values, colour="#4c72b0"):
    body = "".join(f'<rect x="{i * 30}" y="{100 - v * 5}" width="24" height="{v * 5}" fill="{colour}"/>' for i, v in enumerate(values))
    return f'<svg xmlns="http://www.w3.org/2000/svg" id="s{uuid.uuid4().hex}" width="130" height="100">{body}</svg>'
SVG(bars(sales.north))''', "code"),
    differs(r'''HTML(f"<table id='t{uuid.uuid4()}'><tr><td>{bars(sales.south)}</td><td>{time.time():.3f}</td></tr></table>")''', "code", "downstream"),
    same(r'''fig = go.Figure(go.Bar(x=sales.month, y=sales.north, name="north"))
fig.update_layout(title="North", height=300)
fig.show(renderer="notebook_connected")'''),
    differs(r'''fig.add_hline(y=14, line_dash="dot")
fig.show(renderer="notebook_connected")''', "code"),
    same(r'''alt.Chart(sales).mark_line(point=True).encode(x=alt.X("month", sort=None), y="south")'''),
    differs(r'''alt.Chart(sales).mark_bar(color="teal").encode(x=alt.X("month", sort=None), y="north").properties(title="North")''', "code"),
    same(r'''w = widgets.IntSlider(value=int(sales.north.sum()), min=0, max=100, description="north")
print(w.value)
w'''),
    differs(r'''box = widgets.HTML("<b>limit</b>")
print("widget", box.model_id, "limit", 14, "above:", int((sales.north > 14).sum()))''', "code"),
    same(r'''display(HTML(f"<footer data-id='{uuid.uuid4()}'>{len(sales)} months, {sales.north.sum()} / {sales.south.sum()}</footer>"))
sales.describe().loc[["mean", "max"]]'''),
], edited={
    1: r'''def bars(values, colour="#4c72b1"):
    body = "".join(f'<rect x="{i * 30}" y="{100 - v * 5}" width="24" height="{v * 5}" fill="{colour}"/>' for i, v in enumerate(values))
    return f'<svg xmlns="http://www.w3.org/2000/svg" id="s{uuid.uuid4().hex}" width="130" height="100">{body}</svg>'
SVG(bars(sales.north))''',
    3: r'''bar = go.Bar(x=sales.month, y=sales.north, name="north")
fig = go.Figure(bar).update_layout(title="North", height=300)
fig.show(renderer="notebook_connected")''',
    4: r'''fig.add_hline(y=14, line_dash="dash")
fig.show(renderer="notebook_connected")''',
    6: r'''alt.Chart(sales).mark_bar(color="teal").encode(x=alt.X("month", sort=None), y="north").properties(title="Nord")''',
    8: r'''box = widgets.HTML("<b>limit</b>")
print("widget", box.model_id, "limit", 14, "above:", int((sales.north >= 12).sum()))''',
}))


# ---------------------------------------------------------------- order

BLIND.append(Case("j-order-numbering", [
    same(r'''import itertools, sqlite3, time, uuid, datetime as dt
numbers = itertools.count(4001)
db = sqlite3.connect(":memory:")
db.execute("CREATE TABLE inv (no INT, who TEXT, cents INT, token TEXT, at TEXT)")
def invoice(who, cents):
    no = next(numbers)
    db.execute("INSERT INTO inv VALUES (?, ?, ?, ?, ?)", (no, who, cents, uuid.uuid4().hex, dt.datetime.now().isoformat()))
    return no
print(db, "ready", time.ctime())'''),
    differs(r'''n = invoice("Nordlys", 1245000)
print(f"invoice {n} for Nordlys made {dt.datetime.now()} as {uuid.uuid4()}")''', "order", "downstream"),
    same(r'''print("currencies", {"NOK", "EUR", "SEK"}, "rates of", dt.date.today())
rates = {"EUR": 11.42, "SEK": 1.01}
rates'''),
    differs(r'''n = invoice("Fjellheim", 338050)
print(f"invoice {n} for Fjellheim made {dt.datetime.now()} as {uuid.uuid4()}")''', "order", "downstream"),
    differs(r'''import pandas as pd
pd.read_sql("SELECT no, who, token, at FROM inv ORDER BY no", db)''', "order", "downstream"),
    same(r'''total, count = db.execute("SELECT sum(cents), count(*) FROM inv").fetchone()
print(f"{count} invoices, {total / 100:.2f} in all, counted in {time.perf_counter() % 1:.6f} s")'''),
    differs(r'''before = db.execute("SELECT who FROM inv ORDER BY no DESC").fetchone()[0]
print(f"{time.time():.3f} Havbris got {invoice('Havbris', 91875)}, right after {before}")''', "order", "downstream"),
    same(r'''print("next", next(numbers) - 4000, "th;", "done", time.strftime("%H:%M:%S"))'''),
], order=[0, 2, 3, 1, 4, 5, 6, 7]))


BLIND.append(Case("j-order-decorators", [
    same(r'''import functools, time, datetime as dt, sys, threading
registry = []
def timed(f):
    registry.append(f.__name__)
    @functools.wraps(f)
    def wrapper(*a):
        t = time.perf_counter()
        r = f(*a)
        print(f"{f.__name__}{a} = {r} [{(time.perf_counter() - t) * 1e6:.1f} us]")
        return r
    return wrapper
rate = 0.25
print(timed, "thread", threading.get_ident())'''),
    same(r'''@timed
def net(x):
    return round(x / (1 + rate), 2)
print(net.__wrapped__)'''),
    same(r'''@timed
def gross(x):
    return round(x * (1 + rate), 2)
print(gross.__wrapped__)'''),
    differs(r'''print(dt.datetime.now().isoformat(), "registered", registry)''', "order", "downstream"),
    differs(r'''gross(80.0)
gross(1999.0);''', "order", "downstream"),
    same(r'''rate = 0.15
print("food rate from", dt.date(2024, 1, 1), "set", time.strftime("%T"))'''),
    same(r'''@functools.lru_cache(maxsize=2)
def lookup(sku):
    return sku[::-1]
print(lookup("ab12"), lookup)'''),
    same(r'''net(230.0);'''),
    differs(r'''lookup("xy77"); lookup("ab12")
print(lookup.cache_info(), f"{time.process_time():.3f} s", hex(id(lookup)))''', "order", "downstream"),
    differs(r'''for k in ("kk01", "xy77", "ab12"):
    lookup(k)
print(lookup.cache_info(), f"{time.process_time():.3f} s", hex(id(lookup)))''', "order", "downstream"),
], order=[0, 2, 1, 3, 5, 4, 6, 7, 9, 8]))


# ---------------------------------------------------------------- upgrade

BLIND.append(Case("j-upgrade-pytz-meetings", [
    same(r'''import datetime as dt, time, uuid, sys
import pytz
from IPython.display import HTML
utc = pytz.utc
now = dt.datetime.now(utc)
print("planned at", now, "by", uuid.uuid4())'''),
    differs(r'''offices = ["Europe/Oslo", "America/Mexico_City", "Asia/Tokyo", "America/New_York"]
call = utc.localize(dt.datetime(2024, 7, 3, 14, 0))
for o in offices:
    print(f"{o:22} {call.astimezone(pytz.timezone(o)):%H:%M}   now {now.timestamp():.0f}")''', "library"),
    same(r'''winter = utc.localize(dt.datetime(2024, 1, 17, 14, 0))
for o in offices:
    print(f"{o:22} {winter.astimezone(pytz.timezone(o)).isoformat()}")'''),
    same(r'''print({o.split("/")[0] for o in offices})
tokyo = pytz.timezone("Asia/Tokyo")
print(tokyo, object.__repr__(tokyo), tokyo.localize(dt.datetime(2024, 7, 3)).utcoffset())'''),
    differs(r'''t = time.perf_counter()
mx = pytz.timezone("America/Mexico_City")
starts = {m: mx.localize(dt.datetime(2023, m, 15, 9)).astimezone(utc).time() for m in (2, 5, 8, 11)}
print(*(f"month {m}: {s}" for m, s in starts.items()), f"({time.perf_counter() - t:.6f} s)", sep="\n")''', "library"),
    same(r'''oslo = pytz.timezone("Europe/Oslo")
for day in ("2024-03-31 01:59", "2024-10-27 02:30"):
    naive = dt.datetime.strptime(day, "%Y-%m-%d %H:%M")
    print(oslo.localize(naive, is_dst=False).strftime("%F %R %Z %z"), "| printed", dt.datetime.now().time())'''),
    differs(r'''HTML(f"<p id='{uuid.uuid4()}'>Monterrey opens at {pytz.timezone('America/Monterrey').localize(dt.datetime(2025, 6, 2, 8)).astimezone(utc):%H:%M} UTC ({time.ctime()})</p>")''', "library"),
    same(r'''try:
    oslo.localize(dt.datetime(2024, 3, 31, 2, 30), is_dst=None)
except pytz.NonExistentTimeError as e:
    print(type(e).__name__, e, "pid-free", sys.getsizeof(e) > 0)'''),
], upgrade=("pytz==2026.6", "pytz==2022.1")))


BLIND.append(Case("j-upgrade-sympy-checks", [
    same(r'''import sympy as sp, time, uuid
from sympy import Rational, Float, Integer, symbols
x, y = symbols("x y")
print("sheet", uuid.uuid4().hex, time.strftime("%F %T"))'''),
    same(r'''t = time.perf_counter()
print(sp.factor(x**3 - 6*x**2 + 11*x - 6), sp.solve(x**2 - 5*x + 6, x))
print(f"{time.perf_counter() - t:.4f} s")'''),
    differs(r'''checks = [("2.0 == 2", Float(2.0) == Integer(2)), ("0.5 == 1/2", Float(0.5) == Rational(1, 2)), ("3 == 6/2", Integer(3) == Rational(6, 2)), ("x == x", x == symbols("x"))]
for text, ok in checks:
    print(f"{time.time():.3f} {text:12} {ok}")''', "library"),
    same(r'''sp.integrate(sp.sin(x)**2, (x, 0, sp.pi))'''),
    differs(r'''print(f"passed {sum(ok for _, ok in checks)} of {len(checks)} in {time.perf_counter() - t:.3f} s, object at {id(checks):#x}")''', "library", "downstream"),
    same(r'''m = sp.Matrix([[2, 1], [1, 3]])
print(m.eigenvals(), m.det(), hash(uuid.uuid4()))
m.inv()'''),
    differs(r'''paid = [Integer(100), Integer(250), Rational(75, 2)]
print("booked:", Float(250.0) in paid, "| entries:", len(paid), "| made", time.ctime())''', "library"),
    same(r'''print(sp.series(sp.cos(x), x, 0, 6), sp.limit(sp.sin(x) / x, x, 0))
print({str(s) for s in (x + y).free_symbols})'''),
], upgrade=("sympy==1.14.0", "sympy==1.12")))


# ---------------------------------------------------------------- cpus

BLIND.append(Case("j-cpus-render-plan", [
    same(r'''import os, time, uuid, threading, concurrent.futures as cf, random
frames = list(range(1, 13))
print("plan", uuid.uuid4(), "pid", os.getpid())'''),
    differs(r'''workers = len(os.sched_getaffinity(0))
print(f"{time.strftime('%T')} render with {workers} worker(s), thread {threading.get_ident()}")''', "machine"),
    same(r'''def render(f):
    time.sleep(random.random() / 100)
    return f * f % 7
with cf.ThreadPoolExecutor(workers) as pool:
    t = time.perf_counter()
    result = list(pool.map(render, frames))
print(result, f"{time.perf_counter() - t:.3f} s")'''),
    differs(r'''chunk = -(-len(frames) // workers)
for i in range(0, len(frames), chunk):
    print(f"job {uuid.uuid4().hex[:8]} frames {frames[i]}-{frames[min(i + chunk, len(frames)) - 1]}")''', "machine", "downstream"),
    same(r'''print("total", sum(result), "checksum", sum(r * f for r, f in zip(result, frames)))
print(pool)'''),
    differs(r'''hours = len(frames) * 0.75 / workers
print(f"estimated {hours:.2f} h, planned in {time.perf_counter() - t:.2f} s")''', "machine", "downstream"),
    same(r'''!nproc
!echo "shell of $PPID at $(date +%s)"'''),
    same(r'''with cf.ThreadPoolExecutor(3) as pool:
    for fut in cf.as_completed([pool.submit(render, f) for f in frames[:5]]):
        assert fut.done()
print("rendered at", time.time(), threading.active_count() > 0)'''),
], cpus=1))
