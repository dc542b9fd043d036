"""An earlier hold-out, first half: money, logs, text, shells, lessons.

Written by someone who had seen neither the rules nor the other cases. Every truth was decided from what the cell does, then
checked in a plain kernel: twice as it stands, once with the change. README has its figures at first sight. Rules were mended
by some of these since.
"""

from truth import Case, differs, same, varies

OPERATIONS = []

# ---------------------------------------------------------------- finance: one fill's quantity is another (data)
TRADES = """fill_id,ts,desk,symbol,side,qty,price
7f3a91c0,2024-03-04T14:30:00.113Z,equities,ACME,BUY,100,41.20
7f3a91c1,2024-03-04T14:30:00.518Z,equities,ACME,BUY,250,41.25
7f3a91c2,2024-03-04T14:31:12.007Z,equities,GLOB,SELL,80,112.90
7f3a91c3,2024-03-04T14:33:45.902Z,rates,TBND,BUY,1200,99.031
7f3a91c4,2024-03-04T14:35:01.440Z,equities,ACME,SELL,120,41.90
7f3a91c5,2024-03-04T14:36:59.999Z,rates,TBND,SELL,700,99.062
7f3a91c6,2024-03-04T14:40:10.250Z,equities,GLOB,BUY,200,112.40
7f3a91c7,2024-03-04T14:41:00.001Z,equities,INIT,BUY,55,18.07
"""
OPERATIONS.append(Case("a_trade_blotter", [
    same('''import logging, sys, time, uuid, os
import pandas as pd
logging.basicConfig(stream=sys.stdout, level=logging.INFO, force=True,
    format="%(asctime)s.%(msecs)03d [%(process)d/%(threadName)s] %(levelname)-7s %(name)s - %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
log = logging.getLogger("blotter")
run_id = uuid.uuid4()
log.info("start of run %s", run_id)
log.info("pandas %s", pd.__version__)'''),
    differs('''t0 = time.perf_counter()
fills = pd.read_csv("fills.csv", parse_dates=["ts"])
log.info("read %d fills, total quantity %d, in %.2f ms", len(fills), fills.qty.sum(), 1e3 * (time.perf_counter() - t0))''', "data"),
    differs('fills', "data", "downstream"),
    differs('''fills["signed"] = fills.qty.where(fills.side == "BUY", -fills.qty)
pos = fills.groupby("symbol").signed.sum()
for s, q in pos.items():
    log.info("position %s %+d (ticket %s)", s, q, uuid.uuid4().hex[:12])''', "data", "downstream"),
    differs('''cash = -(fills.signed * fills.price).groupby(fills.desk).sum()
print(cash.round(2).to_string())''', "data", "downstream"),
    same('''rates = fills[fills.desk == "rates"]
vwap = (rates.qty * rates.price).sum() / rates.qty.sum()
print(f"rates desk VWAP {vwap:.5f}  [{time.strftime('%d/%b/%Y:%H:%M:%S %z')}] pid={os.getpid()}")'''),
    same('''try:
    limits = {"ACME": 1000}
    assert (pos.index == "ZZZZ").any(), f"no position in ZZZZ, run {run_id}"
except AssertionError as e:
    log.exception("limit check failed")'''),
    differs('''import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(4, 2.5))
ax.bar(pos.index, pos.values); ax.set_title("net position"); ax.set_ylabel("shares")
plt.show()''', "data", "downstream"),
    same('''log.info("end of run %s after %.3f s", run_id, time.perf_counter() - t0)
logging.shutdown()'''),
], files={"fills.csv": TRADES}, data={"fills.csv": TRADES.replace("SELL,120,41.90", "SELL,130,41.90")}))

# ---------------------------------------------------------------- operations: an access log, one duration (that is data) is another
import random as _random
_r = _random.Random(20240517)
_paths = ["/", "/api/v1/items", "/api/v1/items/42", "/login", "/static/app.9f8e7d.js", "/healthz"]
ACCESS = "".join(
    f'10.0.{_r.randrange(4)}.{_r.randrange(1, 255)} - - [17/May/2024:06:{i // 2:02d}:{_r.randrange(60):02d} +0000] "GET {_r.choice(_paths)} HTTP/1.1" '
    f'{_r.choice([200, 200, 200, 200, 304, 404, 502])} {_r.randrange(200, 9000)} rid={_r.getrandbits(48):012x} rt={_r.randrange(3, 900)}ms\n' for i in range(60))
_line = ACCESS.splitlines()[37]
_rt = _line.rsplit("rt=", 1)[1]
ACCESS_2 = ACCESS.replace(_line, _line.replace("rt=" + _rt, "rt=" + str(int(_rt[:-2]) + 611) + "ms"))
OPERATIONS.append(Case("a_access_log", [
    same('''import re, os, time, datetime as dt, collections, tempfile, threading
LINE = re.compile(r'(\\S+) \\S+ \\S+ \\[(.*?)\\] "(\\S+) (\\S+) [^"]*" (\\d+) (\\d+) rid=(\\w+) rt=(\\d+)ms')
print(LINE)
print("started", dt.datetime.now(dt.timezone.utc).isoformat(), "thread", threading.get_ident())'''),
    same('''rows = [LINE.match(l).groups() for l in open("access.log")]
print(len(rows), "requests")
rows[0]'''),
    same('''codes = collections.Counter(r[4] for r in rows)
for code, n in sorted(codes.items()):
    print(f"{code} {'#' * n} {n}")'''),
    differs('''rt = sorted(int(r[7]) for r in rows)
def pct(p): return rt[int(p / 100 * (len(rt) - 1))]
print(f"p50={pct(50)}ms p90={pct(90)}ms p99={pct(99)}ms max={rt[-1]}ms")''', "data"),
    differs('''worst = max(rows, key=lambda r: int(r[7]))
print(f"[{dt.datetime.now():%H:%M:%S}] slowest request took {worst[7]}ms (rid {worst[6]}, at {worst[1]})")''', "data"),
    same('''print(f"[{dt.datetime.now():%H:%M:%S}] largest response {max(int(r[5]) for r in rows)} bytes, analysis took {1000 * time.process_time():.0f}ms of cpu")'''),
    same('''with tempfile.NamedTemporaryFile("w", suffix=".tsv", prefix="codes-", delete=False) as f:
    for c, n in sorted(codes.items()): f.write(f"{c}\\t{n}\\n")
st = os.stat(f.name)
print("wrote", f.name, st.st_size, "bytes, inode", st.st_ino, "mtime", st.st_mtime_ns)
print(open(f.name).read())
os.unlink(f.name)'''),
    differs('''import hashlib
print(hashlib.sha256(open("access.log", "rb").read()).hexdigest()[:16], os.path.getsize("access.log") > 100)''', "data"),
    same('''hosts = {r[0] for r in rows if r[4] == "502"}
print(len(hosts), "hosts with a bad gateway:", hosts)'''),
    same('rows[0][8]'),
], files={"access.log": ACCESS}, data={"access.log": ACCESS_2}))

# ---------------------------------------------------------------- web: a WSGI API called in process (offline); one value of the catalogue is another
CATALOG = '''{
  "items": [
    {"id": "b7e6f0d2-3a41-4c8e-9d55-0c1f2e3d4a5b", "name": "stapler", "stock": 14, "updated": "2024-01-09T08:15:30Z"},
    {"id": "0d9c8b7a-6f5e-4d3c-8b1a-a0b1c2d3e4f5", "name": "notebook", "stock": 230, "updated": "2024-01-09T08:15:31Z"},
    {"id": "5e4d3c2b-1a09-48f7-b6e5-d4c3b2a19087", "name": "pencil", "stock": 1999, "updated": "2024-01-10T17:02:11Z"}
  ],
  "page": 1
}
'''
OPERATIONS.append(Case("a_json_api", [
    same('''import io, json, uuid, time, secrets, base64, hmac, hashlib, os
from wsgiref.simple_server import demo_app
from wsgiref.handlers import SimpleHandler
catalog = json.load(open("catalog.json"))
def app(environ, start_response):
    path = environ["PATH_INFO"]
    found = [i for i in catalog["items"] if path == "/items" or path == "/items/" + i["name"]]
    body = json.dumps(found, indent=1).encode() if found else b'{"error": "not found"}'
    start_response("200 OK" if found else "404 Not Found", [("Content-Type", "application/json"), ("X-Request-Id", str(uuid.uuid4())),
        ("Set-Cookie", "session=" + secrets.token_urlsafe(18) + "; HttpOnly")])
    return [body]
def get(path):
    out = io.BytesIO()
    h = SimpleHandler(io.BytesIO(), out, io.StringIO(), {"PATH_INFO": path, "REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1"})
    h.http_version = "1.1"; h.origin_server = True
    h.run(app)
    return out.getvalue().decode()
app'''),
    same('print(get("/items/stapler").replace("\\r", ""))'),
    differs('print(get("/items/notebook").replace("\\r", ""))', "data"),
    same('print(get("/items/unicorn").replace("\\r", ""))'),
    differs('''t = time.time()
body = json.loads(get("/items").split("\\r\\n\\r\\n", 1)[1])
for i in body:
    print(i["id"], i["name"].ljust(10), i["updated"])
print("fetched in", round(time.time() - t, 6), "s")''', "data"),
    same('''print({"total_stock": sum(i["stock"] for i in body), "names": [i["name"] for i in body], "fetched_at": int(time.time() * 1000)})'''),
    same('''def b64(b): return base64.urlsafe_b64encode(b).rstrip(b"=").decode()
now = int(time.time())
head, claims = {"alg": "HS256", "typ": "JWT"}, {"sub": "clerk", "iat": now, "exp": now + 3600, "jti": secrets.token_hex(8)}
part = b64(json.dumps(head).encode()) + "." + b64(json.dumps(claims).encode())
print("Authorization: Bearer " + part + "." + b64(hmac.new(b"k", part.encode(), hashlib.sha256).digest()))'''),
    same('''from IPython.display import JSON, display
display(JSON({"request": str(uuid.uuid4()), "status": "ok", "count": len(body)}))'''),
    differs('''from IPython.display import JSON, display
display(JSON({"request": str(uuid.uuid4()), "newest": [i["id"] for i in body if i["name"] == "notebook"]}))''', "data", "downstream"),
    differs('''item = min(body, key=lambda i: i["id"])
raise LookupError(f"no price for item {item['id']} (request {uuid.uuid4()})")''', "data", "downstream"),
    same('''json.loads('{"items": [1, 2,, 3]}')'''),
], files={"catalog.json": CATALOG}, data={"catalog.json": CATALOG.replace("0d9c8b7a-6f5e-4d3c", "0d9c8b7a-6f5e-4d4c")}))

# ---------------------------------------------------------------- bash: operations on a journal; one pid in the journal (data) is another
JOURNAL = """Feb 11 03:00:01 edge1 cron[2211]: (root) CMD (/usr/local/bin/rotate)
Feb 11 03:00:04 edge1 rotate[2213]: rotated 14 files in 2.91s
Feb 11 03:14:15 edge1 kernel: worker invoked oom-killer: gfp_mask=0x140cca
Feb 11 03:14:15 edge1 kernel: Out of memory: Killed process 8812 (worker) total-vm:3981244kB
Feb 11 03:14:16 edge1 systemd[1]: worker.service: Main process exited, code=killed
Feb 11 03:14:18 edge1 systemd[1]: Started worker.service.
Feb 11 03:20:41 edge1 sshd[9120]: Accepted publickey for deploy from 192.0.2.17 port 50412
Feb 11 04:02:09 edge1 sshd[9377]: Failed password for root from 203.0.113.9 port 41022
Feb 11 04:02:12 edge1 sshd[9377]: Failed password for root from 203.0.113.9 port 41022
"""
OPERATIONS.append(Case("a_bash_journal", [
    same('''echo "shell $$ started at $(date '+%F %T.%N')"
wc -l < journal.txt'''),
    same('''cut -d' ' -f5 journal.txt | sed 's/\\[.*//; s/:$//' | sort | uniq -c | sort -k1,1nr -k2'''),
    differs('''grep -o 'Killed process [0-9]*' journal.txt''', "data"),
    same('''tmp=$(mktemp -d)
grep sshd journal.txt > "$tmp/sshd.log"
ls -l --time-style=full-iso "$tmp"
echo "in $tmp"'''),
    same('''time (for i in 1 2 3; do grep -c systemd journal.txt; done)'''),
    differs('''while read -r m d t host rest; do
  case "$rest" in *oom*|*memory*) echo "$(date +%s) alert[$$]: $rest" ;; esac
done < journal.txt''', "data"),
    same('''sleep 0.05 & wait $!
echo "background job $! ended with $?"'''),
    same('''cat "$tmp/missing.log"'''),
    same('''rm -r "$tmp"; echo "$RANDOM" > /dev/null; echo "cleaned up after ${SECONDS}s"'''),
], kernel="bash", files={"journal.txt": JOURNAL}, data={"journal.txt": JOURNAL.replace("process 8812", "process 8817")}))

# ---------------------------------------------------------------- dates: a library's holiday rule is another
OPERATIONS.append(Case("a_holidays", [
    same('''import datetime as dt, calendar, os, time
import pandas as pd
from pandas.tseries.holiday import USFederalHolidayCalendar
from pandas.tseries.offsets import CustomBusinessDay
print("today is", dt.date.today().strftime("%A, %d %B %Y"), "- week", dt.date.today().isocalendar().week)'''),
    differs('''cal = USFederalHolidayCalendar()
h = cal.holidays("2024-01-01", "2024-12-31", return_name=True)
h''', "library"),
    differs('''bday = CustomBusinessDay(calendar=USFederalHolidayCalendar())
print("settlement", pd.Timestamp("2024-11-19") + 5 * bday)''', "library"),
    same('''print("settlement", pd.Timestamp("2024-07-02") + 5 * bday)
print("computed on", pd.Timestamp.now(tz="UTC"))'''),
    differs('''us = CustomBusinessDay(calendar=USFederalHolidayCalendar())
days = pd.bdate_range("2024-11-18", "2024-11-29", freq=us)
print(list(days.strftime("%d")), "as of", int(time.time()))''', "library"),
    same('''easter = pd.tseries.holiday.EasterMonday.dates("2023-01-01", "2026-12-31")
print(*easter.date, sep="\\n")'''),
    same('''from email.utils import format_datetime, make_msgid
uid = make_msgid(domain="calendar.invalid")
print(f"""BEGIN:VEVENT
UID:{uid}
DTSTAMP:{dt.datetime.now(dt.timezone.utc):%Y%m%dT%H%M%SZ}
DTSTART;VALUE=DATE:20240704
SUMMARY:Independence Day
END:VEVENT""")'''),
    differs('''thanks = h[h.str.startswith("Thanks")].index[0]
print(f"""BEGIN:VEVENT
UID:{make_msgid(domain="calendar.invalid")}
DTSTAMP:{dt.datetime.now(dt.timezone.utc):%Y%m%dT%H%M%SZ}
DTSTART;VALUE=DATE:{thanks:%Y%m%d}
SUMMARY:Thanksgiving
END:VEVENT""")''', "library", "downstream"),
    same('''dt.date(2023, 2, 29)'''),
], patch=("pandas/tseries/holiday.py", '"Thanksgiving Day", month=11, day=1, offset=DateOffset(weekday=TH(4))',
                     '"Thanksgiving Day", month=11, day=1, offset=DateOffset(weekday=TH(3))')))

# ---------------------------------------------------------------- simulation: the seed of one cell is edited
OPERATIONS.append(Case("a_queue_simulation", [
    same('''import heapq, time, itertools, sys
import numpy as np
from tqdm import tqdm
started = time.monotonic()
lam, mu = 0.8, 1.0
print(f"offered load {lam / mu:.2f}; monotonic clock {started:.2f}")'''),
    differs('''rng = np.random.default_rng(1999)
inter = rng.exponential(1 / lam, 400); service = rng.exponential(1 / mu, 400)
print("mean gap", inter.mean().round(4), "mean service", service.mean().round(4))''', "code"),
    differs('''arrive = inter.cumsum(); leave = np.zeros_like(arrive)
for i in tqdm(range(len(arrive)), desc="customers"):
    leave[i] = max(arrive[i], leave[i - 1] if i else 0) + service[i]
    time.sleep(0.0002)
wait = leave - arrive
print(f"mean time in system {wait.mean():.3f}")''', "code", "downstream"),
    same('''other = np.random.default_rng(77)
dice = other.integers(1, 7, 10)
print("dice", dice, "rolled at", time.ctime())'''),
    differs('''import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(4, 2)); ax.step(arrive, np.arange(len(arrive)), lw=.7); ax.step(leave, np.arange(len(leave)), lw=.7)
fig''', "code", "downstream"),
    same('''events = [(3.0, "b"), (1.0, "a"), (2.0, "c")]
heapq.heapify(events)
gen = (heapq.heappop(events) for _ in range(len(events)))
print(gen); print(list(gen))'''),
    same('''%timeit -n 20 -r 3 sum(range(1000))'''),
    differs('''print(f"longest wait {wait.max():.1f} s (customer {wait.argmax()}), simulated in {time.monotonic() - started:.1f} s")''', "code", "downstream"),
], edited={1: '''rng = np.random.default_rng(1998)
inter = rng.exponential(1 / lam, 400); service = rng.exponential(1 / mu, 400)
print("mean gap", inter.mean().round(4), "mean service", service.mean().round(4))'''}))

# ---------------------------------------------------------------- text: a template library counts words another way (library)
OPERATIONS.append(Case("a_style_report", [
    same('''import jinja2, re, collections, textwrap, unicodedata, time, gc, sys
POEM = """So much depends upon a red wheel-barrow
glazed with rain-water beside the white chickens.
It's the chickens' turn: naive cafe, re-entry, o'clock."""
env = jinja2.Environment(autoescape=False)
env'''),
    same('''words = re.findall(r"\\w+", POEM.lower())
print(len(words), len(set(words)), "tokens; rare ones:", {w for w in words if len(w) > 7})'''),
    differs('''print(env.from_string("{{ poem|wordcount }} words according to the template").render(poem=POEM))''', "library"),
    differs('''page = env.from_string("""<h4 id="s-{{ id }}">Reading time</h4><p>{{ (poem|wordcount / 3)|round(1) }} seconds</p>""")
from IPython.display import HTML
HTML(page.render(poem=POEM, id=id(page)))''', "library"),
    same('''page2 = env.from_string("""<h4 id="s-{{ id }}">Shape</h4><ul>{% for l in poem.splitlines() %}<li>{{ l|length }}: {{ l|truncate(18) }}</li>{% endfor %}</ul>""")
HTML(page2.render(poem=POEM, id=id(page2)))'''),
    same('''import difflib
table = difflib.HtmlDiff(wrapcolumn=30).make_table(["red wheel", "rain"], ["red wheel", "rain water"], "a", "b")
print(difflib.SequenceMatcher(None, "wheelbarrow", "wheel barrow"))
HTML(table)'''),
    differs('''scores = {}
for line in POEM.splitlines():
    scores[line[:10]] = int(env.from_string("{{ l|wordcount }}").render(l=line))
print(scores, "collected", gc.get_count(), "at", time.strftime("%X"))''', "library"),
    differs('''print(f"mean sentence length {sum(scores.values()) / len(scores):.2f}")''', "library", "downstream"),
    same('''env.from_string("{{ poem|wordcuont }}")'''),
], patch=("jinja2/filters.py", "return len(_word_re.findall(soft_str(s)))", "return len(soft_str(s).split())")))

# ---------------------------------------------------------------- sqlite: one order is dated one day later (data)
ORDERS = """order_id,customer,placed,amount
1001,ada,2023-12-30,40.00
1002,bob,2023-12-31,12.50
1003,ada,2023-12-31,99.99
1004,cyd,2024-01-01,20.00
1005,bob,2024-01-02,7.25
1006,cyd,2024-01-05,61.10
"""
OPERATIONS.append(Case("a_sqlite_orders", [
    same('''import sqlite3, csv, time, uuid, datetime as dt, json
db = sqlite3.connect(":memory:")
db.row_factory = sqlite3.Row
print(db, sqlite3.sqlite_version_info > (3, 8))'''),
    same('''db.execute("create table orders (order_id integer primary key, customer text, placed text, amount real, batch text, loaded timestamp default current_timestamp)")
batch = uuid.uuid4().hex
t = time.perf_counter_ns()
with db, open("orders.csv") as f:
    n = db.executemany("insert into orders (order_id, customer, placed, amount, batch) values (:order_id, :customer, :placed, :amount, '" + batch + "')", csv.DictReader(f)).rowcount
print(n, "rows loaded as batch", batch, "in", time.perf_counter_ns() - t, "ns")'''),
    same('''for r in db.execute("select customer, round(sum(amount), 2) s, count(*) n from orders group by 1 order by 1"):
    print(*r, sep="\\t")'''),
    differs('''for r in db.execute("select substr(placed, 1, 4) y, count(*) n, round(sum(amount), 2) s from orders group by 1"):
    print(dict(r))''', "data"),
    differs('''import pandas as pd
pd.read_sql("select order_id, customer, placed, loaded from orders where customer = 'ada' order by order_id desc", db)''', "data"),
    same('''pd.read_sql("select order_id, customer, placed, batch, loaded from orders where customer = 'bob'", db)'''),
    same('''print("now", db.execute("select datetime('now'), julianday('now'), strftime('%s', 'now')").fetchone()[:])
print("token", db.execute("select hex(randomblob(8))").fetchone()[0])'''),
    differs('''print("days to the next order:", [tuple(r) for r in db.execute("select order_id, cast(julianday(lead(placed) over (order by order_id)) - julianday(placed) as int) from orders")])''', "data"),
    same('''db.execute("insert into orders (order_id) values (1003)")'''),
    same('''db.rollback()
with sqlite3.connect("report.db") as out:
    db.backup(out)
import os
print("report.db has", os.path.getsize("report.db"), "bytes; saved", dt.datetime.fromtimestamp(os.path.getmtime("report.db")))'''),
], files={"orders.csv": ORDERS}, data={"orders.csv": ORDERS.replace("1003,ada,2023-12-31", "1003,ada,2024-01-01")}))

# ---------------------------------------------------------------- dates: the local time zone is another (environment)
OPERATIONS.append(Case("a_local_times", [
    same('''import datetime as dt, time, os, zoneinfo, sys
UTC = dt.timezone.utc
print("run at", dt.datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "unix", time.time())'''),
    differs('print(time.tzname, time.timezone)', "environment"),
    same('''stamps = [1700000000, 1710000000, 1720000000]
for s in stamps:
    print(dt.datetime.fromtimestamp(s, UTC))'''),
    differs('''for s in stamps:
    print(time.strftime("%a %d %b %H:%M", time.localtime(s)))''', "environment"),
    differs('''local = dt.datetime(2024, 7, 1, 12).astimezone()
print(local.isoformat(), "is", int(local.timestamp()))''', "environment"),
    differs('''print("hours until 2024-07-02T00:00Z:", (dt.datetime(2024, 7, 2, tzinfo=UTC) - local) / dt.timedelta(hours=1), f"(asked at {time.monotonic_ns()} ns)")''', "environment", "downstream"),
    same('''a = dt.datetime(2024, 2, 28, tzinfo=UTC)
print([(a + dt.timedelta(days=i)).strftime("%j/%U") for i in range(3)], "object", object())'''),
    same('''import pandas as pd
df = pd.DataFrame({"utc": pd.to_datetime(stamps, unit="s", utc=True)})
df["read_at"] = pd.Timestamp.now(tz="UTC").floor("ms")
df'''),
    same('''dt.datetime(2024, 7, 1, tzinfo=UTC) - dt.datetime(2024, 7, 1)'''),
], environment={"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}, given={"TZ": "EST5EDT,M3.2.0,M11.1.0"}))

# ---------------------------------------------------------------- simulation: one generator is shared and two cells change places (order)
OPERATIONS.append(Case("a_shared_generator", [
    same('''import numpy as np, random, time, os
rng = np.random.default_rng(424242)
print(rng, "in process", os.getpid())'''),
    differs('''drift = rng.integers(0, 100, 6)
print(f"{time.strftime('%H:%M:%S')} drift  {drift}")''', "order"),
    differs('''shock = rng.integers(0, 100, 6)
print(f"{time.strftime('%H:%M:%S')} shock  {shock}")''', "order"),
    differs('''path = np.cumsum(drift - shock)
print("path", path)''', "order", "downstream"),
    same('''own = np.random.default_rng(7)
print("own", own.normal(size=4).round(3), "state at", hex(id(own)))'''),
    same('''random.seed(3)
print([random.choice("HT") for _ in range(12)], f"took {time.perf_counter() % 1e-3:.2e}s")'''),
    differs('''import pandas as pd
pd.DataFrame({"drift": drift, "shock": shock}).describe().round(2)''', "order", "downstream"),
], order=[0, 2, 1, 3, 4, 5, 6]))

# ---------------------------------------------------------------- geometry: one vertex of a parcel is another (data)
PARCELS = '''{"type": "FeatureCollection", "features": [
 {"type": "Feature", "id": "parcel-0x5a3f", "properties": {"owner": "Nils"}, "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [4.0, 0.2], [4.4, 3.1], [1.9, 4.6], [-0.3, 2.8], [0, 0]]]}},
 {"type": "Feature", "id": "parcel-0x5a40", "properties": {"owner": "Siri"}, "geometry": {"type": "Polygon", "coordinates": [[[4.4, 3.1], [7.0, 2.9], [7.2, 5.5], [4.1, 5.9], [4.4, 3.1]]]}}
]}
'''
OPERATIONS.append(Case("a_parcels", [
    same('''import json, math, uuid, time, secrets
import numpy as np
fc = json.load(open("parcels.geojson"))
rings = {f["properties"]["owner"]: np.array(f["geometry"]["coordinates"][0], float) for f in fc["features"]}
print({k: v.shape for k, v in rings.items()}, "loaded", time.strftime("%c"))'''),
    differs('''def area(r): x, y = r[:-1].T; X, Y = r[1:].T; return float(abs((x * Y - X * y).sum()) / 2)
for owner in rings: print(f"{owner}: {area(rings[owner]):.3f}  ({uuid.uuid1()})")''', "data"),
    same('''print("together about", round(sum(area(r) for r in rings.values())), "units of land;", area)'''),
    differs('''from IPython.display import SVG
def svg(r):
    g = "grad" + secrets.token_hex(4)
    pts = " ".join(f"{20 * x + 10:g},{140 - 20 * y:g}" for x, y in r)
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="180" height="150"><defs><linearGradient id="{g}"><stop stop-color="teal"/></linearGradient></defs><polygon points="{pts}" fill="url(#{g})"/></svg>'
SVG(svg(rings["Siri"]))''', "data"),
    same('''SVG(svg(rings["Nils"]))'''),
    same('''from scipy.spatial import ConvexHull, Delaunay
h = ConvexHull(rings["Nils"][:-1])
print(h, round(h.volume, 3))'''),
    differs('''import plotly.graph_objects as go
fig = go.Figure([go.Scatter(x=v[:, 0], y=v[:, 1], fill="toself", name=k) for k, v in rings.items()])
fig.update_layout(width=400, height=300)
from IPython.display import HTML
HTML(fig.to_html(include_plotlyjs=False, full_html=False))''', "data"),
    same('''from sympy import Point, Polygon, Triangle, pi, sqrt
t = Triangle(Point(0, 0), Point(4, 0), Point(0, 3))
display(t.incircle, t.circumcircle.area)
print({t.area, t.perimeter} == {6, 12}, hash(t) != 0, "at", hex(id(t)))'''),
    differs('''centre = rings["Siri"][:-1].mean(axis=0)
print("centre", centre, "| distance to Nils", round(float(np.hypot(*(centre - rings["Nils"][:-1].mean(axis=0)))), 4))''', "data"),
], files={"parcels.geojson": PARCELS}, data={"parcels.geojson": PARCELS.replace("[7.2, 5.5]", "[7.2, 5.6]")}))

# ---------------------------------------------------------------- teaching with widgets: nothing changed
OPERATIONS.append(Case("a_widgets_lesson", [
    same('''import ipywidgets as w, time, uuid, random
from IPython.display import display, HTML, Markdown, clear_output
w.IntSlider(value=3, max=10, description="n")'''),
    same('''def parabola(a=1.0, b=2):
    print("y at 3:", a * 9 + b, "- evaluated", time.strftime("%H:%M:%S"))
w.interact(parabola, a=(0.0, 2.0), b=(0, 5))'''),
    same('''out = w.Output(layout={"border": "1px solid"})
with out:
    print("inside the box", uuid.uuid4())
out'''),
    same('''bar = w.FloatProgress(max=5, description="loading")
display(bar)
for i in range(5):
    bar.value += 1; time.sleep(0.01)
print("widget", bar.model_id, "done", bar.value)'''),
    same('''h = display(Markdown("working ..."), display_id=True)
h.update(Markdown("**done**"))
h'''),
    same('''key = "quiz-" + "".join(random.choices("abcdefghjkmnpqrstuvwxyz23456789", k=9))
HTML(f"""<div id="{key}"><label for="{key}-in">Your answer:</label> <input id="{key}-in"></div>
<script>document.getElementById("{key}-in").onchange = e => console.log("{key}", e.target.value)</script>""")'''),
    same('''clicks = []
button = w.Button(description="check", tooltip="press")
button.on_click(lambda b: clicks.append(time.time()))
button.click(); button.click()
print(len(clicks), "clicks, last at", clicks[-1], "by", button._click_handlers)'''),
    same('''from tqdm.auto import tqdm
total = 0
for i in tqdm(range(30), desc="summing", leave=True):
    total += i; time.sleep(0.003)
total'''),
    same('''def f(x):
    return 1 / x if x < 1 else f(x - 1) / x
try:
    f(2)
except ZeroDivisionError as e:
    err = e
print(repr(err), err.__traceback__, f)'''),
]))

# ---------------------------------------------------------------- simulation without a seed (run twice)
OPERATIONS.append(Case("a_unseeded_pi", [
    same('''import numpy as np, random, time, uuid, secrets
print("exact", np.pi, "| run", uuid.uuid4(), "|", time.strftime("%A %H:%M"))'''),
    varies('''rng = np.random.default_rng()
xy = rng.random((5000, 2))
est = 4 * np.mean((xy ** 2).sum(axis=1) < 1)
print(f"estimate {est:.4f} after {len(xy)} points; first point {xy[0].round(5)}")'''),
    same('''print("plausible:", 2.5 < est < 3.8, "- checked by", object.__repr__(rng))'''),
    varies('''import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(2.5, 2.5)); ax.scatter(*xy[:300].T, s=3)
plt.show()'''),
    same('''import pandas as pd
fixed = pd.DataFrame(np.random.default_rng(11).normal(size=(3, 2)).round(3), columns=["a", "b"])
fixed.style.set_caption("fixed sample").format("{:.3f}")'''),
    varies('''from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
X, y = load_iris(return_X_y=True)
a, b, ya, yb = train_test_split(X, y, test_size=.3)
print("test means", b.mean(axis=0).round(4))'''),
    varies('''pd.DataFrame(xy[:4].round(6), columns=["x", "y"]).assign(inside=lambda d: d.x ** 2 + d.y ** 2 < 1)'''),
], twice=True))

# ---------------------------------------------------------------- the notebook has moved to another directory
HELPER = '''import logging, warnings
log = logging.getLogger(__name__)
def load(path):
    warnings.warn("load() will go away", DeprecationWarning, stacklevel=1)
    with open(path) as f:
        return [line.strip() for line in f]
def parse(line):
    return {"key": line.split("=")[0], "value": int(line.split("=")[1])}
'''
OPERATIONS.append(Case("a_moved_project", [
    same('''import os, sys, pathlib, subprocess, logging, warnings
here = pathlib.Path.cwd()
print("working in", here, "with", sorted(p.name for p in here.glob("*.conf")))'''),
    same('''sys.path.insert(0, ""); warnings.simplefilter("always")
import confhelper
confhelper'''),
    same('''lines = confhelper.load(here / "app.conf")
lines'''),
    same('''logging.basicConfig(stream=sys.stdout, force=True, format="%(asctime)s %(pathname)s:%(lineno)d %(message)s")
logging.warning("parsed %s from file://%s", [confhelper.parse(l) for l in lines[:2]], here / "app.conf")'''),
    same('''confhelper.parse(lines[2])'''),
    same('''out = here / "build" / "index.html"; out.parent.mkdir(exist_ok=True)
out.write_text("<h1>" + lines[0] + "</h1>")
from IPython.display import HTML, FileLink, display
display(HTML(f'<a href="file://{out}">{out.name}</a> <code>{os.path.relpath(out)}</code>'))
out, out.stat().st_size'''),
    same('''print(subprocess.run([sys.executable, "-c", "import os; print(os.getcwd()); print(1/0)"], capture_output=True, text=True).stderr)
print(subprocess.run("pwd; echo $$; wc -l app.conf", shell=True, capture_output=True, text=True).stdout)'''),
], files={"confhelper.py": HELPER, "app.conf": "retries=3\nport=8080\nmode=fast\n"}, moved=True))

# ---------------------------------------------------------------- simulation split over the processors: one processor at the replay
OPERATIONS.append(Case("a_workers", [
    same('''import os, time, threading, joblib
import numpy as np
from concurrent.futures import ThreadPoolExecutor
print("main thread", threading.main_thread(), "native id", threading.get_native_id())'''),
    differs('''workers = min(joblib.cpu_count(), len(os.sched_getaffinity(0)))
print(f"using {workers} worker(s)")''', "machine"),
    differs('''def walk(seed): return np.random.default_rng(seed).choice([-1, 1], 1000).sum()
t = time.perf_counter()
with ThreadPoolExecutor(workers, thread_name_prefix="walker") as pool:
    ends = list(pool.map(walk, np.random.SeedSequence(8).spawn(workers)))
print("walks ended at", [int(e) for e in ends], f"in {1e3 * (time.perf_counter() - t):.1f} ms")''', "machine", "downstream"),
    same('''with ThreadPoolExecutor(workers) as pool:
    total = sum(pool.map(sum, np.array_split(np.arange(10001), workers)))
print("sum of 0..10000 is", total, "-", pool)'''),
    differs('''import pandas as pd
jobs = [f"job-{i:02d}" for i in range(7)]
n = min(joblib.cpu_count(), len(os.sched_getaffinity(0)))
pd.DataFrame({"worker": [i % n for i in range(7)], "job": jobs}).groupby("worker").job.agg(["count", "last"])''', "machine"),
    same('''from joblib import Parallel, delayed
r = Parallel(n_jobs=workers, backend="threading")(delayed(pow)(i, 3) for i in range(6))
print(r, "loadavg", os.getloadavg(), "cpu time", os.times())'''),
], cpus=1))

# ---------------------------------------------------------------- finance: one statistic of a library is computed another way
OPERATIONS.append(Case("a_market_model", [
    same('''import numpy as np, pandas as pd, time, datetime as dt
from statsmodels.regression.linear_model import OLS
from statsmodels.tools import add_constant
from statsmodels.stats.stattools import durbin_watson, jarque_bera
rng = np.random.default_rng(2718)
idx = pd.bdate_range("2021-01-04", periods=240)
mkt = pd.Series(rng.normal(0, .01, 240), idx, name="mkt")
e = np.zeros(240)
for i, u in enumerate(rng.normal(0, .008, 240)): e[i] = .3 * e[i - 1] + u
fund = (.0002 + 1.1 * mkt + e).rename("fund")
print(f"{fund.index[-1]:%d %b %Y}: {fund.sum():+.4%} (priced {dt.datetime.now():%d %b %Y %I:%M:%S %p})")'''),
    same('''res = OLS(fund, add_constant(mkt)).fit()
print(res); print(res.params.round(5).to_dict())'''),
    differs('res.summary()', "library"),
    differs('''print(time.strftime("%y%m%d-%H%M%S"), "DW", round(durbin_watson(res.resid), 3))''', "library"),
    same('''jb, p, skew, kurt = jarque_bera(res.resid)
print(f"{time.strftime('%y%m%d-%H%M%S')} JB {jb:.3f} skew {skew:.3f} kurtosis {kurt:.3f}")'''),
    differs('''rows = []
for q, r in res.resid.groupby(res.resid.index.to_period("Q")):
    t = time.perf_counter_ns(); d = durbin_watson(r)
    rows.append((str(q), len(r), round(float(d), 3), time.perf_counter_ns() - t))
quarters = pd.DataFrame(rows, columns=["quarter", "days", "dw", "elapsed_ns"])
quarters''', "library"),
    same('''import altair as alt
alt.renderers.enable("html")
alt.Chart(pd.DataFrame({"mkt": mkt[:25].round(4), "fund": fund[:25].round(4)})).mark_point().encode(x="mkt", y="fund").properties(width=200, height=150)'''),
    differs('''import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(3.5, 2.5)); quarters.plot.bar(x="quarter", y="dw", ax=ax)''', "library", "downstream"),
    same('''res.predict(np.ones((4, 3)))'''),
], patch=("statsmodels/stats/stattools.py", "diff_resids = np.diff(resids, 1, axis=axis)", "diff_resids = np.diff(resids, 2, axis=axis)")))

# ---------------------------------------------------------------- bash: a deployment, the release is another (environment)
OPERATIONS.append(Case("a_bash_deploy", [
    same('''run=$(cat /proc/sys/kernel/random/uuid)
echo "deployment $run by shell $BASHPID"'''),
    differs('''echo "[$(date -u +%Y%m%dT%H%M%SZ)] release $RELEASE"''', "environment"),
    differs('''cat > app.conf <<END
# generated $(date -R)
tag = v$RELEASE
replicas = 3
END
cat app.conf''', "environment"),
    same('''grep -c = app.conf; ls -li app.conf; sed -n 's/^replicas = //p' app.conf'''),
    differs('''major=${RELEASE%%.*}; patch=${RELEASE##*.}
printf 'major %d, next patch %d (lock /run/app.%d.lock)\\n' "$major" $((patch + 1)) $$''', "environment"),
    differs('''sed -n 's/^tag = /image registry.invalid\\/app:/p' app.conf''', "environment", "downstream"),
    same('''for h in edge1 edge2; do
  t0=$(date +%s%N); sleep 0.02; echo "$h healthy after $(( ($(date +%s%N) - t0) / 1000 )) us"
done'''),
    same('''./rollback.sh --to "$major"'''),
], kernel="bash", environment={"RELEASE": "2024.10.3"}, given={"RELEASE": "2024.10.4"}))

# ---------------------------------------------------------------- finance: an invoice is issued before the rate changes instead of after (order)
OPERATIONS.append(Case("a_invoices", [
    same('''import itertools, uuid, datetime as dt, decimal, json
D = decimal.Decimal
number = itertools.count(501); issued = []; vat = D("0.20")
print(number, issued, vat)'''),
    same('''def issue(customer, net):
    inv = {"no": next(number), "customer": customer, "gross": str((D(net) * (1 + vat)).quantize(D("0.01"))), "ref": str(uuid.uuid4()), "at": dt.datetime.now().isoformat(timespec="milliseconds")}
    issued.append(inv); return inv
issue'''),
    same('print(json.dumps(issue("ada", "40.00"), indent=2))'),
    same('''vat = D("0.25")
print(f"{dt.datetime.now():%d.%m.%Y %H:%M} VAT raised to {vat:.0%}")'''),
    differs('print(json.dumps(issue("bob", "12.40"), indent=2))', "order"),
    same('''{i["no"]: (i["customer"], i["ref"]) for i in issued}'''),
    differs('''print("gross total", sum(D(i["gross"]) for i in issued), "in", len(issued), "invoices, list at", hex(id(issued)))''', "order", "downstream"),
], order=[0, 1, 2, 4, 3, 5, 6]))

# ---------------------------------------------------------------- finance lesson: a parameter is edited
OPERATIONS.append(Case("a_loan_lesson", [
    same('''import numpy as np, pandas as pd, xarray as xr, datetime as dt, uuid, time
import ipywidgets as w
from IPython.display import HTML, display
display(w.BoundedFloatText(value=3.0, max=12, description="rate %"))
print("lesson opened", dt.datetime.now().astimezone().isoformat())'''),
    differs('''principal, rate, months = 180_000, 0.0425, 240
m = principal * (rate / 12) / (1 - (1 + rate / 12) ** -months)
print(f"monthly payment {m:,.2f}")''', "code"),
    differs('''k = np.arange(1, 6)
left = principal * (1 + rate / 12) ** k - m * ((1 + rate / 12) ** k - 1) / (rate / 12)
pd.DataFrame({"month": k, "left": left.round(2)}).style.hide(axis="index").format({"left": "{:,.2f}"})''', "code", "downstream"),
    same('''d1, d2 = dt.date(2024, 1, 31), dt.date(2024, 7, 31)
print("act/365", round((d2 - d1).days / 365, 6), "30/360", ((d2.month - d1.month) * 30) / 360, "computed", time.asctime())'''),
    differs('''from bokeh.plotting import figure
from bokeh.embed import components
p = figure(width=250, height=150); p.line(k, left)
script, div = components(p)
HTML(script + div)''', "code", "downstream"),
    same('''q = figure(width=250, height=150); q.line([1, 2, 3], [181, 182, 184])
script, div = components(q)
HTML(script + div)'''),
    differs('''xr.DataArray([round(float(m * n - principal), 2) for n in (months,)], dims="term", coords={"term": [months]}, name="interest")''', "code", "downstream"),
    same('''xr.DataArray([31, 29, 31], dims="month", coords={"month": ["jan", "feb", "mar"]}, name="days")'''),
    same('''from rich.table import Table
from rich.console import Console
t = Table("basis", "days", "request"); t.add_row("30/360", "180", uuid.uuid4().hex[:8]); t.add_row("act/365", "182", uuid.uuid4().hex[:8])
Console(width=60).print(t)'''),
], edited={1: '''principal, rate, months = 180_000, 0.0426, 240
m = principal * (rate / 12) / (1 - (1 + rate / 12) ** -months)
print(f"monthly payment {m:,.2f}")'''}))

# ---------------------------------------------------------------- operations: nothing changed
OPERATIONS.append(Case("a_oncall", [
    same('''import asyncio, cProfile, email.message, email.utils, io, os, pstats, psutil, resource, subprocess, sys, tempfile, threading, time, tracemalloc, warnings, weakref
print(f"boot {psutil.Process().create_time()} rss {psutil.Process().memory_info().rss / 2**20:.1f} MiB, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss} kB")'''),
    same('''async def probe(host, delay):
    await asyncio.sleep(delay); return host.upper()
tasks = [asyncio.create_task(probe(h, .01 * i)) for i, h in enumerate(["db", "cache"])]
await asyncio.gather(*tasks)
tasks'''),
    same('''pr = cProfile.Profile(); pr.enable()
sorted(str(i) for i in range(20000)); pr.disable()
s = io.StringIO(); pstats.Stats(pr, stream=s).sort_stats("tottime").print_stats("sorted|genexpr"); print(s.getvalue())'''),
    same('''m = email.message.EmailMessage()
m["From"], m["To"], m["Subject"] = "oncall@site.invalid", "ops@site.invalid", "pager test"
m["Date"], m["Message-ID"] = email.utils.localtime(), email.utils.make_msgid(domain="site.invalid")
m.set_content("disk 81% full on db3"); m.add_alternative("<b>disk 81% full</b>", subtype="html")
print(m.as_string())'''),
    same('''warnings.warn(f"certificate expires soon (checked {time.time():.0f})", ResourceWarning)
warnings.warn("legacy pager", UserWarning)'''),
    same('''import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(4, 2)); ax.plot([3, 2, 4, 1]); ax.set_title("pages per week")
fig.text(.99, .01, "generated " + time.strftime("%Y-%m-%d %H:%M:%S"), ha="right", fontsize=6)
plt.show()'''),
    same('''with tempfile.TemporaryDirectory(prefix="oncall_") as d:
    lock = os.path.join(d, f"pager-{os.getpid()}.lock"); open(lock, "w").write("x")
    print(subprocess.run(["ls", "-la", "--full-time", d], capture_output=True, text=True).stdout.splitlines()[-1])
open(lock)'''),
    same('''severities = frozenset({"critical", "warning", "info", "debug"})
print(severities, hash("critical"), weakref.ref(m))'''),
    same('''tracemalloc.start(); blob = [bytes(1000) for _ in range(500)]; cur, peak = tracemalloc.get_traced_memory(); tracemalloc.stop()
print(f"{len(blob)} blobs, {cur:,} bytes traced, peak {peak:,}")
%time sum(map(len, blob))'''),
]))
