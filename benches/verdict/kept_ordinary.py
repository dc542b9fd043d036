"""The last hold-out: operations, finance, logs, parsing, databases, small models.

Written by someone who had seen neither the rules nor the other cases, asked for notebooks as people write them, without traps, with noise of every kind that
the goal names and one change of each kind that it names. Every truth was decided from what the cell does, then checked in a plain kernel before and after its
change. README has its figures at first sight. A rule was mended by one of these
since (a rate in `folds/s`, which shows without `--twice` only).
"""
from truth import Case, Cell, differs, same, varies  # noqa: F401

BLIND = []

# ---------------------------------------------------------------- no change

BLIND.append(Case("m-warehouse-picks", [
    same("""import sqlite3, uuid, time, random
from concurrent.futures import ThreadPoolExecutor, as_completed
import pandas as pd
from tqdm.auto import tqdm

con = sqlite3.connect(":memory:")
con"""),
    same("""con.executescript('''
create table bins(bin text primary key, zone text, qty int);
create table picks(id text, bin text, n int);
''')
rng = random.Random(11)
bins = [(f"{z}{i:02d}", z, rng.randrange(5, 80)) for z in "ABC" for i in range(12)]
con.executemany("insert into bins values (?,?,?)", bins)
con.commit()
pd.read_sql("select zone, count(*) bins, sum(qty) qty from bins group by zone", con)"""),
    same("""rows = []
for b, z, q in tqdm(bins, desc="picking"):
    time.sleep(0.002)
    rows.append((str(uuid.uuid4()), b, rng.randrange(0, 4)))
con.executemany("insert into picks values (?,?,?)", rows)
print(con.execute("select count(*), sum(n) from picks").fetchone())"""),
    same("""pd.read_sql("select * from picks order by bin limit 5", con)"""),
    same("""def walk(zone):
    t = time.perf_counter()
    time.sleep(random.random() / 20)
    return zone, time.perf_counter() - t

with ThreadPoolExecutor(3) as ex:
    for f in as_completed([ex.submit(walk, z) for z in "ABC"]):
        zone, s = f.result()
        print(f"zone {zone}: walked in {1000 * s:.1f} ms")"""),
    same("""empty = {b for b, n in con.execute("select b.bin, b.qty - p.n from bins b join picks p using(bin)") if n < 15}
print(len(empty), "bins below the reorder point")
empty"""),
    same("""%%time
total = 0
for i in range(200):
    total += con.execute("select sum(n*n) from picks").fetchone()[0]
print(total)"""),
    same("""con.execute("insert into bins values ('A00', 'A', 3)")"""),
]))

BLIND.append(Case("m-access-log", [
    same("""import logging, os, re, sys, tempfile, datetime as dt
from collections import Counter
from pathlib import Path

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(message)s", force=True)
log = logging.getLogger("access")
log.info("python %s, working in %s", sys.version.split()[0], os.getcwd())"""),
    same("""LINE = re.compile(r'(?P<ip>\\S+) \\S+ \\S+ \\[(?P<ts>[^]]+)\\] "(?P<verb>\\w+) (?P<path>\\S+) [^"]*" (?P<status>\\d+) (?P<size>\\d+|-)')
hits = []
for n, line in enumerate(Path("access.log").read_text().splitlines(), 1):
    m = LINE.match(line)
    if m is None:
        log.warning("line %d does not parse: %r", n, line[:30])
        continue
    hits.append(m.groupdict())
log.info("%d hits", len(hits))
hits[0]"""),
    same("""for status, n in Counter(h["status"] for h in hits).most_common():
    print(f"{status}  {n:4d}  {'#' * n}")"""),
    same("""visitors = {h["ip"] for h in hits}
print("unique:", visitors)
print("report of", dt.datetime.now().strftime("%A %d %B %Y, %H:%M:%S"))"""),
    same("""out = Path(tempfile.mkdtemp(prefix="weblog-")) / "status.tsv"
out.write_text("\\n".join(f"{h['ip']}\\t{h['status']}" for h in hits) + "\\n")
print("written", out.stat().st_size, "bytes to", out)
!wc -l {out}"""),
    same("""!cut -f2 {out} | sort | uniq -c | sort -rn"""),
    same("""sizes = [int(h["size"]) for h in hits]
max(sizes)"""),
    same("""class Session:
    def __init__(self, ip): self.ip, self.hits = ip, 0

sessions = {}
for h in hits:
    sessions.setdefault(h["ip"], Session(h["ip"])).hits += 1
sessions"""),
    same("""print({s.ip: s.hits for s in sessions.values()})
print(hits[0], file=sys.stderr)
print("done")
!pwd"""),
], files={"access.log": """10.0.0.4 - - [03/Mar/2024:08:01:11 +0000] "GET / HTTP/1.1" 200 5120
10.0.0.9 - - [03/Mar/2024:08:01:14 +0000] "GET /style.css HTTP/1.1" 304 -
192.168.7.2 - - [03/Mar/2024:08:02:40 +0000] "POST /login HTTP/1.1" 302 188
10.0.0.4 - - [03/Mar/2024:08:02:41 +0000] "GET /cart HTTP/1.1" 200 7233
garbage line from the load balancer, ignore
172.16.3.77 - - [03/Mar/2024:08:05:02 +0000] "GET /wp-admin HTTP/1.1" 404 312
172.16.3.77 - - [03/Mar/2024:08:05:03 +0000] "GET /.env HTTP/1.1" 404 312
10.0.0.12 - - [03/Mar/2024:08:07:59 +0000] "GET /cart HTTP/1.1" 500 91
10.0.0.4 - - [03/Mar/2024:08:09:30 +0000] "GET / HTTP/1.1" 200 5120
"""}))

BLIND.append(Case("m-portfolio-charts", [
    same("""import numpy as np, pandas as pd
import altair as alt, plotly.express as px, plotly.io as pio
from bokeh.plotting import figure
from bokeh.io import output_notebook, show
pio.renderers.default = "plotly_mimetype"
output_notebook()"""),
    same("""rng = np.random.default_rng(2024)
days = pd.bdate_range("2024-01-01", periods=60)
ret = pd.DataFrame(rng.normal(0.0004, 0.012, (60, 3)), index=days, columns=["NORD", "FJEL", "HAVN"])
price = (1 + ret).cumprod() * 100
price.tail()"""),
    same("""stats = pd.DataFrame({"ann. return": ret.mean() * 252, "ann. vol": ret.std() * 252 ** .5})
stats["sharpe"] = stats["ann. return"] / stats["ann. vol"]
stats.style.format("{:.2%}", subset=["ann. return", "ann. vol"]).format("{:.2f}", subset="sharpe").background_gradient(cmap="RdYlGn", axis=0)"""),
    same("""long = price.reset_index(names="day").melt("day", var_name="ticker", value_name="price")
alt.Chart(long).mark_line().encode(x="day:T", y=alt.Y("price:Q").scale(zero=False), color="ticker:N").properties(width=400, height=200)"""),
    same("""fig = px.line(long, x="day", y="price", color="ticker", title="Price, start = 100")
fig.show()"""),
    same("""p = figure(width=420, height=240, x_axis_type="datetime", title="NORD drawdown")
dd = price["NORD"] / price["NORD"].cummax() - 1
p.line(dd.index, dd.values)
show(p)"""),
    same("""w = np.array([0.5, 0.3, 0.2])
cov = ret.cov().to_numpy() * 252
print("portfolio vol: %.4f" % np.sqrt(w @ cov @ w))
print("max drawdown:  %.4f" % (price @ w / (price @ w).cummax() - 1).min())"""),
    same("""%timeit -n 20 -r 3 np.sqrt(w @ cov @ w)"""),
    same("""html = fig.to_html(full_html=False, include_plotlyjs="cdn")
print(len(html) > 1000)
print(html[:140])"""),
]))

BLIND.append(Case("m-call-centre-sim", [
    same("""import random, heapq, statistics as st, uuid
import numpy as np, pandas as pd, matplotlib.pyplot as plt
AGENTS, LAM, MU = 4, 1.0, 0.3
print(f"offered load {LAM / MU:.2f} Erlang on {AGENTS} agents")"""),
    same("""from math import factorial
a = LAM / MU
pw = (a ** AGENTS / factorial(AGENTS) * AGENTS / (AGENTS - a))
pw = pw / (sum(a ** k / factorial(k) for k in range(AGENTS)) + pw)
print("Erlang C: P(wait) = %.4f, mean wait %.3f min" % (pw, pw / (AGENTS * MU - LAM)))"""),
    same("""def simulate(n=2000):
    free = [0.0] * AGENTS
    t, waits = 0.0, []
    for _ in range(n):
        t += random.expovariate(LAM)
        f = heapq.heappop(free)
        start = max(t, f)
        waits.append(start - t)
        heapq.heappush(free, start + random.expovariate(MU))
    return waits
simulate"""),
    varies("""waits = simulate()
print(f"mean wait {st.mean(waits):.4f}, P(wait) {sum(w > 0 for w in waits) / len(waits):.4f}")"""),
    varies("""fig, ax = plt.subplots(figsize=(5, 3))
ax.hist(waits, bins=40)
ax.set(xlabel="wait [min]", ylabel="calls", title="simulated waits")
plt.show()"""),
    same("""calls = pd.DataFrame({"call": [uuid.uuid4().hex[:12] for _ in range(4)], "queue": list("ABAB")})
calls"""),
    varies("""boot = [np.mean(np.random.choice(waits, len(waits))) for _ in range(200)]
pd.Series(boot).describe()"""),
    same("""random.seed(5)
w2 = simulate(500)
print("seeded run:", round(st.mean(w2), 5), len(w2))"""),
    varies("""sample = pd.DataFrame({"wait": waits}).sample(5)
sample.round(3)"""),
]))

BLIND.append(Case("m-nightly-job", [
    same("""import subprocess, sys, os, time, psutil, warnings
from multiprocessing import get_context
JOBS = ["extract", "clean", "load"]
print("job runner pid", os.getpid(), "started", time.strftime("%Y-%m-%d %H:%M:%S"))"""),
    same("""script = '''
import sys, os, time, random
name = sys.argv[1]
print(f"[{os.getpid()}] {name}: start", flush=True)
time.sleep(random.random() / 10)
print(f"[{os.getpid()}] {name}: warning: 2 rows skipped", file=sys.stderr, flush=True)
print(f"[{os.getpid()}] {name}: done", flush=True)
'''
with open("job.py", "w") as f:
    f.write(script)
!ls -l job.py"""),
    same("""procs = [subprocess.Popen([sys.executable, "job.py", j], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for j in JOBS]
for p in procs:
    out, _ = p.communicate()
    print(out, end="")
    print("-> pid", p.pid, "exit", p.returncode)"""),
    same("""def crunch(n):
    time.sleep(0.01 * (n % 3))
    return n, sum(i * i for i in range(n * 1000))

with get_context("fork").Pool(2) as pool:
    for n, s in pool.imap_unordered(crunch, range(1, 7)):
        print(f"chunk {n}: {s}")"""),
    same("""for i in range(0, 101, 5):
    time.sleep(0.004)
    sys.stdout.write(f"\\rloading {i:3d}% ({psutil.Process().memory_info().rss / 2**20:.1f} MiB)")
    sys.stdout.flush()
print("\\nfinished")"""),
    same("""for k in range(3):
    print("batch", k)
    print("batch", k, "took longer than planned", file=sys.stderr)
warnings.warn("3 batches without checksum")"""),
    same("""r = subprocess.run([sys.executable, "-c", "import json; json.loads('{broken')"], capture_output=True, text=True)
print(r.returncode)
print(r.stderr)"""),
    same("""subprocess.run([sys.executable, "-c", "raise SystemExit(3)"], check=True)"""),
    same("""du = psutil.virtual_memory()
print(f"memory {du.percent}% used, {du.available / 2**30:.2f} GiB free")
print(subprocess.Popen([sys.executable, "-V"], stdout=subprocess.DEVNULL))"""),
]))

BLIND.append(Case("m-demand-forecast", [
    same("""import numpy as np, pandas as pd, statsmodels.api as sm, statsmodels.formula.api as smf
import matplotlib.pyplot as plt, ipywidgets as W, time
from IPython.display import display
from rich.console import Console
from rich.table import Table
plt.rcParams["figure.figsize"] = (5, 2.5)"""),
    same("""rng = np.random.default_rng(8)
t = np.arange(96)
df = pd.DataFrame({"t": t, "month": t % 12, "promo": rng.integers(0, 2, 96)})
df["units"] = (200 + 1.7 * t + 30 * np.sin(t / 12 * 2 * np.pi) + 25 * df.promo + rng.normal(0, 9, 96)).round(1)
df.info()"""),
    same("""fit = smf.ols("units ~ t + promo + C(month)", df).fit()
fit.summary()"""),
    same("""plt.plot(df.t, df.units, ".", df.t, fit.fittedvalues, "-")"""),
    same("""slider = W.IntSlider(value=12, min=1, max=24, description="horizon")
promo = W.Checkbox(value=False, description="promotion")
W.VBox([slider, promo])"""),
    same("""def forecast(horizon, promo=0):
    nt = np.arange(96, 96 + horizon)
    return fit.predict(pd.DataFrame({"t": nt, "month": nt % 12, "promo": int(promo)}))

table = Table("step", "forecast")
for i, v in enumerate(forecast(slider.value, promo.value)[:6], 1):
    table.add_row(str(i), f"{v:.1f}")
Console(width=50).print(table)"""),
    same("""bar = W.IntProgress(max=10)
label = W.Label()
display(W.HBox([bar, label]))
t0 = time.time()
err = []
for k in range(10):
    tr = df.iloc[: 60 + 3 * k]
    m = smf.ols("units ~ t + promo", tr).fit()
    nxt = df.iloc[60 + 3 * k : 63 + 3 * k]
    err.append(float((m.predict(nxt) - nxt.units).abs().mean()))
    bar.value += 1
    label.value = f"{(k + 1) / (time.time() - t0):.1f} folds/s"
print("rolling MAE %.3f" % np.mean(err))"""),
    same("""print(fit)
fit.forecast(12)"""),
    same("""out = W.Output()
with out:
    print("p-values below 5%:", int((fit.pvalues < 0.05).sum()))
out"""),
]))

# ---------------------------------------------------------------- data

CAMPAIGN = """channel,variant,shown,clicked,bought,spend
search,A,5200,412,61,830.50
search,B,5150,455,74,822.00
social,A,8800,301,22,410.00
social,B,8900,322,25,415.25
email,A,2100,189,40,60.00
email,B,2080,176,31,60.00
"""

BLIND.append(Case("m-campaign-ab", [
    same("""import pandas as pd, numpy as np, seaborn as sns, matplotlib.pyplot as plt
from scipy import stats
from statsmodels.stats.proportion import proportions_ztest
pd.options.display.float_format = "{:.4f}".format"""),
    same("""camp = pd.read_csv("campaign.csv")
print(camp.shape, "loaded", pd.Timestamp.now().round("s"))
camp.dtypes"""),
    differs("""camp["ctr"] = camp.clicked / camp.shown
camp["cr"] = camp.bought / camp.clicked
camp"""
, "data"),
    same("""camp.groupby("channel")[["shown", "clicked", "spend"]].sum()"""),
    differs("""for ch, g in camp.groupby("channel"):
    g = g.set_index("variant")
    z, p = proportions_ztest(g.bought, g.clicked)
    print(f"{ch:8s} z={z:+.3f} p={p:.4f}")""", "downstream", "data"),
    differs("""ax = sns.barplot(camp, x="channel", y="cr", hue="variant")
ax.set_title("conversion rate")
ax""", "downstream", "data"),
    same("""ctr = camp.pivot(index="channel", columns="variant", values="ctr")
ctr.assign(lift=ctr.B / ctr.A - 1).style.format("{:.2%}")"""),
    differs("""%%time
res = stats.fisher_exact([[camp.bought[2], camp.clicked[2] - camp.bought[2]], [camp.bought[3], camp.clicked[3] - camp.bought[3]]])
print("social A/B, exact p = %.5f" % res.pvalue)""", "downstream", "data"),
    same("""print("best channel by CTR:", camp.loc[camp.ctr.idxmax(), "channel"])
print({c for c in camp.channel})"""),
], files={"campaign.csv": CAMPAIGN}, data={"campaign.csv": CAMPAIGN.replace("8900,322,25,", "8900,322,29,")}))

EVENTS = "\n".join(
    '{"host": "%s", "minute": %d, "cpu": %s, "status": "%s"}' % (h, m, c, s)
    for h, m, c, s in [("web1", 0, 21.5, "ok"), ("web2", 0, 33.1, "ok"), ("db1", 0, 61.0, "ok"), ("web1", 1, 22.8, "ok"), ("web2", 1, 35.9, "ok"),
                       ("db1", 1, 64.2, "ok"), ("web1", 2, 25.0, "ok"), ("web2", 2, 91.7, "hot"), ("db1", 2, 66.6, "ok"), ("web1", 3, 24.1, "ok"),
                       ("web2", 3, 88.0, "hot"), ("db1", 3, 65.3, "ok")]) + "\n"

BLIND.append(Case("m-server-metrics", [
    same("""import json, sqlite3, logging, sys
from collections import defaultdict
import pandas as pd, plotly.graph_objects as go, plotly.io as pio
from tabulate import tabulate
pio.renderers.default = "notebook_connected"
logging.basicConfig(stream=sys.stderr, level="INFO", format="%(asctime)s [%(process)d] %(message)s", force=True)"""),
    differs("""events = [json.loads(l) for l in open("metrics.jsonl")]
logging.info("read %d events", len(events))
events[-1]""", "data"),
    differs("""db = sqlite3.connect("metrics.db")
db.execute("drop table if exists m")
db.execute("create table m(host, minute, cpu, status)")
db.executemany("insert into m values (:host, :minute, :cpu, :status)", events)
db.commit()
print(tabulate(db.execute("select host, count(*), round(avg(cpu), 2), max(cpu) from m group by host"), headers=["host", "n", "avg", "max"]))""", "downstream", "data"),
    same("""print(db)
hot = db.execute("select host, minute from m where status = 'hot' order by minute").fetchall()
hot"""),
    same("""pd.read_sql("select * from m where host = 'web1'", db)"""),
    differs("""wide = pd.read_sql("select * from m", db).pivot(index="minute", columns="host", values="cpu")
fig = go.Figure([go.Scatter(x=wide.index, y=wide[h], name=h) for h in wide])
fig.update_layout(width=500, height=300)
fig.show()""", "downstream", "data"),
    same("""wide["web1"].mean()"""),
    same("""alerts = defaultdict(list)
for host, minute in hot:
    alerts[host].append(minute)
logging.warning("%d alert(s)", len(hot))
dict(alerts)"""),
    differs("""for r in wide.round(1).itertuples():
    print(r)""", "downstream", "data"),
    same("""db.execute("select disk from m")"""),
], files={"metrics.jsonl": EVENTS}, data={"metrics.jsonl": EVENTS + '{"host": "db1", "minute": 4, "cpu": 71.9, "status": "ok"}\n'}))

# ---------------------------------------------------------------- patch

BLIND.append(Case("m-ticket-triage", [
    same("""import numpy as np, pandas as pd
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
import matplotlib.pyplot as plt

tickets = pd.DataFrame([
    ("cannot log in after password reset", "account"), ("invoice shows wrong vat amount", "billing"),
    ("password reset mail never arrives", "account"), ("refund for double charged invoice", "billing"),
    ("app crashes when opening the report", "bug"), ("report export crashes with error", "bug"),
    ("change the mail address of my account", "account"), ("vat number missing on the invoice", "billing"),
    ("error when saving the report", "bug"), ("charged twice this month", "billing"),
], columns=["text", "team"])
tickets.team.value_counts()"""),
    same("""counts = CountVectorizer(stop_words="english")
X = counts.fit_transform(tickets.text)
print(X.shape, X.nnz)
print(sorted(counts.vocabulary_)[:8])
counts"""),
    differs("""tfidf = TfidfVectorizer(stop_words="english")
T = tfidf.fit_transform(tickets.text)
pd.Series(tfidf.idf_, tfidf.get_feature_names_out()).sort_values().round(4).head(8)""", "library"),
    differs("""row = T[1].toarray().ravel()
top = row.argsort()[::-1][:4]
for i in top:
    print(f"{tfidf.get_feature_names_out()[i]:10s} {row[i]:.4f}")""", "downstream", "library"),
    same("""print(tickets.text.str.split().str.len().describe())
print(set(tickets.team))"""),
    differs("""%%time
model = make_pipeline(TfidfVectorizer(stop_words="english"), LogisticRegression(C=10))
model.fit(tickets.text, tickets.team)
print(model.predict_proba(["the invoice report crashes"]).round(4))""", "library", "downstream"),
    same("""model.predict(["password problem", "wrong invoice"])"""),
    differs("""sim = (T @ T.T).toarray()
plt.imshow(sim)
plt.colorbar()
plt.title("cosine similarity of tickets")""", "downstream", "library"),
    same("""base = make_pipeline(CountVectorizer(), LogisticRegression())
base.fit(tickets.text, tickets.team)
print("count baseline", base.score(tickets.text, tickets.team))"""),
], patch=("sklearn/feature_extraction/text.py", "self.idf_ += 1.0", "self.idf_ += 0.5")))

LEASES = """lease;unit;start;end;rent
L1;Kaigata 4;01.03.19;28.02.24;1250,00
L2;Torget 1;15.06.08;14.06.38;8400,00
L3;Strandv. 9;01.01.92;31.12.41;3120,50
L4;Havna 2;01.10.21;30.09.26;990,00
"""

BLIND.append(Case("m-lease-dates", [
    same("""import csv, os, logging
from dateutil import parser as dp
from dateutil.relativedelta import relativedelta
from decimal import Decimal
import datetime as dt
log = logging.getLogger("leases")
logging.basicConfig(format="%(asctime)s %(levelname)s pid=%(process)d %(message)s", level=logging.INFO, force=True)"""),
    same("""rows = list(csv.DictReader(open("leases.csv"), delimiter=";"))
log.info("%s: %d leases", os.path.abspath("leases.csv"), len(rows))
rows[2]"""),
    same("""total = sum(Decimal(r["rent"].replace(",", ".")) for r in rows)
print("monthly rent roll:", total)"""),
    same("""for r in rows:
    r["start_d"] = dp.parse(r["start"], dayfirst=True).date()
    print(r["lease"], r["start_d"].isoformat())"""),
    differs("""for r in rows:
    r["end_d"] = dp.parse(r["end"], dayfirst=True).date()
    print(r["lease"], r["end_d"].isoformat())""", "library"),
    differs("""def months(a, b):
    d = relativedelta(b, a)
    return 12 * d.years + d.months

for r in rows:
    n = months(r["start_d"], r["end_d"] + dt.timedelta(1))
    print(f"{r['lease']} {n:5d} months {Decimal(r['rent'].replace(',', '.')) * n:>14}")""", "downstream", "library"),
    same("""dp.parse("32.13.20", dayfirst=True)"""),
    differs("""ref = dt.date(2024, 1, 1)
log.info("checking expiry at %s", ref)
expired = [r["lease"] for r in rows if r["end_d"] < ref]
print("expired:", expired)""", "downstream", "library"),
    same("""[dp.parse(x).date() for x in ("2041-12-31", "March 3, 2038", "1992-01-01T00:00")]"""),
], files={"leases.csv": LEASES}, patch=("dateutil/parser/_parser.py", "if year >= self._year + 50:", "if year >= self._year + 10:")))

# ---------------------------------------------------------------- upgrade

ORDERS = """order_id,customer,country,placed,amount
1001,Berg AS,NO,2024-02-01 09:12:00,420.50
1002,Lund & Co,SE,2024-02-01 10:40:00,99.00
1003,Berg AS,NO,2024-02-03 16:05:00,1310.00
1004,Holm,,2024-02-04 08:00:00,75.25
1005,Lund & Co,SE,2024-02-09 12:30:00,240.00
1006,Dahl,DK,2024-02-11 19:45:00,18.90
"""

BLIND.append(Case("m-orders-report", [
    same("""import sqlite3, time
import pandas as pd
con = sqlite3.connect("orders.db")
t0 = time.time()
print("started", time.ctime())"""),
    differs("""orders = pd.read_csv("orders.csv", parse_dates=["placed"])
orders.info()""", "library"),
    same("""orders.to_sql("orders", con, if_exists="replace", index=False)"""),
    differs("""pd.read_sql("select country, count(*) n, sum(amount) total from orders group by country order by total desc", con)""", "library"),
    differs("""orders.dtypes""", "library", "downstream"),
    differs("""first = orders["customer"].unique()
print(type(first).__name__)
first""", "library", "downstream"),
    same("""orders.groupby(orders.placed.dt.isocalendar().week).amount.agg(["count", "sum"])"""),
    differs("""big = orders.copy()
big["amount"][big["customer"] == "Holm"] = 0
print("revenue after write-off:", big.amount.sum())""", "library"),
    same("""print(orders.to_string(index=False, columns=["order_id", "customer", "amount"]))
print(f"{time.time() - t0:.2f} s in total")"""),
    differs("""print(orders.select_dtypes("object").columns.tolist())
con""", "library", "downstream"),
], files={"orders.csv": ORDERS}, upgrade=("pandas==2.2.3", "pandas==3.0.0")))

BLIND.append(Case("m-budget-tables", [
    same("""import numpy as np, pandas as pd
from tabulate import tabulate
import uuid
budget = pd.DataFrame({"dept": ["ops", "it", "sales", "hr"], "plan": [1250000, 840000, 2100000, 310500], "actual": [1198340, 913275, 2044010, 305120]})
budget["diff"] = budget.actual - budget.plan
budget"""),
    same("""print("run", uuid.uuid4())
print(tabulate([["ops", 1.5], ["it", 22.25]], headers=["dept", "share"], tablefmt="simple"))"""),
    differs("""rows = [[d, p, a] for d, p, a in zip(budget.dept, np.array(budget.plan), np.array(budget.actual))]
print(tabulate(rows, headers=["dept", "plan", "actual"], intfmt=","))""", "library"),
    same("""print(tabulate([list(r) for r in budget[["dept", "plan"]].itertuples(index=False)], tablefmt="plain"))"""),
    differs("""print(tabulate(budget, headers="keys", tablefmt="colon_grid", showindex=False))""", "library"),
    same("""print(tabulate(budget[["dept", "diff"]], headers="keys", tablefmt="moinmoin", showindex=False))"""),
    same("""%time over = budget.query("diff > 0")
print(tabulate([[d, f"{x:+,d}"] for d, x in zip(over.dept, over["diff"])], headers=["over budget", "by"], tablefmt="psql", disable_numparse=True))"""),
    differs("""from importlib.metadata import version
print("tables by tabulate", version("tabulate"))""", "library"),
    same("""(budget["diff"] / budget.plan).round(4).to_dict()"""),
], upgrade=("tabulate==0.10.0", "tabulate==0.9.0")))

# ---------------------------------------------------------------- environment

BLIND.append(Case("m-shift-log", [
    same("""import time, datetime as dt, re, os, tempfile
import pandas as pd
from rich import print as rprint

RAW = '''1709280000 pump1 START
1709283600 pump2 START
1709301600 pump1 STOP
1709307000 pump2 FAULT code=17
1709310000 pump2 START
1709330400 pump2 STOP'''
len(RAW.splitlines())"""),
    same("""ev = pd.DataFrame([(int(t), u, a) for t, u, a in re.findall(r"(\\d+) (\\w+) (\\w+)", RAW)], columns=["ts", "unit", "action"])
ev["utc"] = pd.to_datetime(ev.ts, unit="s", utc=True)
ev"""),
    differs("""ev["local"] = [dt.datetime.fromtimestamp(t) for t in ev.ts]
ev[["unit", "action", "local"]]""", "environment"),
    differs("""def shift(h):
    return "night" if h < 6 or h >= 22 else "early" if h < 14 else "late"
ev["shift"] = ev.local.dt.hour.map(shift)
ev.groupby("shift").size()""", "downstream", "environment"),
    same("""run = ev.ts.diff().iloc[1:]
print("gaps (min):", (run / 60).tolist())
print("now is", dt.datetime.now(dt.timezone.utc).isoformat())"""),
    differs("""for t in ev.ts[:3]:
    print(time.strftime("%d.%m. %H:%M %z", time.localtime(t)))""", "environment"),
    same("""with tempfile.NamedTemporaryFile("w", suffix=".csv", delete=False) as f:
    ev[["ts", "unit", "action"]].to_csv(f, index=False)
print(f.name, os.path.getsize(f.name))"""),
    differs("""rprint({"zone": time.tzname[0], "offset_h": -time.timezone / 3600})""", "environment"),
    differs("""!date -d @1709280000 +"%F %H:%M" """, "environment"),
    same("""faults = re.findall(r"(\\w+) FAULT code=(\\d+)", RAW)
rprint(faults)"""),
], environment={"TZ": "Europe/Oslo"}, given={"TZ": "America/New_York"}))

BLIND.append(Case("m-margin-report", [
    same("""import os, sys, logging, math
import numpy as np, pandas as pd, altair as alt
logging.basicConfig(level=os.environ.get("LOGLEVEL", "INFO"), format="%(asctime)s %(message)s", force=True, stream=sys.stdout)
rng = np.random.RandomState(3)"""),
    same("""sales = pd.DataFrame({"sku": [f"S{i:03d}" for i in range(40)], "cost": rng.uniform(2, 60, 40).round(2)})
sales["price"] = (sales.cost * rng.uniform(1.1, 1.9, 40)).round(2)
sales["units"] = rng.poisson(30, 40)
logging.info("%d products, frame %s", len(sales), hex(id(sales)))
sales.head()"""),
    differs("""VAT = float(os.environ.get("REPORT_VAT", "0.25"))
print("VAT rate:", VAT)""", "environment"),
    differs("""sales["net"] = sales.price / (1 + VAT)
sales["margin"] = (sales.net - sales.cost) * sales.units
print(f"total margin {sales.margin.sum():,.2f}")""", "downstream", "environment"),
    same("""print(f"turnover incl. VAT {(sales.price * sales.units).sum():,.2f}")
sales.units.describe()"""),
    differs("""alt.Chart(sales).mark_circle().encode(x="cost", y="margin", size="units").properties(width=300, height=200)""", "downstream", "environment"),
    differs("""logging.info("products sold at a loss")
sales.loc[sales.margin < 0, ["sku", "cost", "price"]]""", "downstream", "environment"),
    same("""def elasticity(p, q):
    return np.polyfit(np.log(p), np.log(q), 1)[0]
%timeit -n 5 -r 2 elasticity(sales.price, sales.units)
round(float(elasticity(sales.price, sales.units)), 5)"""),
    same("""sales.groupby(pd.cut(sales.cost, [0, 20, 40, 60]), observed=True).price.mean()"""),
], environment={"REPORT_VAT": "0.25"}, given={"REPORT_VAT": "0.15"}))

# ---------------------------------------------------------------- fewer processors

BLIND.append(Case("m-invoice-parse", [
    same("""import os, re, time, random
from concurrent.futures import ThreadPoolExecutor, as_completed
from joblib import Parallel, delayed
import pandas as pd

rng = random.Random(77)
docs = [f"INVOICE {4000 + i}\\nDate: 2024-0{1 + i % 6}-1{i % 9}\\nTotal: {rng.uniform(10, 900):.2f} EUR" for i in range(30)]
print(docs[0])"""),
    differs("""N = len(os.sched_getaffinity(0))
print(f"{N} worker(s) usable, pid {os.getpid()}")""", "machine"),
    differs("""size = -(-len(docs) // N)
chunks = [docs[i:i + size] for i in range(0, len(docs), size)]
[len(c) for c in chunks]""", "downstream", "machine"),
    same("""PAT = re.compile(r"INVOICE (\\d+)\\nDate: (\\S+)\\nTotal: ([\\d.]+)")
def parse(chunk):
    return [PAT.search(d).groups() for d in chunk]
%time table = pd.DataFrame([r for c in chunks for r in parse(c)], columns=["no", "date", "total"]).astype({"total": float})
table.head(4)"""),
    differs("""t0 = time.perf_counter()
with ThreadPoolExecutor(N) as ex:
    futs = {ex.submit(parse, c): k for k, c in enumerate(chunks)}
    for f in as_completed(futs):
        print(f"chunk {futs[f]}: {len(f.result())} invoices after {time.perf_counter() - t0:.4f} s")""", "downstream", "machine"),
    same("""table.groupby(table.date.str[:7]).total.agg(["count", "sum"])"""),
    same("""found = Parallel(n_jobs=-1, prefer="machine")(delayed(len)(d) for d in docs)
sum(found)"""),
    differs("""from sklearn.linear_model import LinearRegression
from joblib import cpu_count
print("joblib sees", cpu_count(), "cpu(s)")
LinearRegression(n_jobs=N)""", "machine", "downstream"),
    same("""parse(["INVOICE without number"])"""),
], cpus=1))

# ---------------------------------------------------------------- order

BLIND.append(Case("m-ledger-cleanup", [
    same("""import pandas as pd, datetime as dt
ledger = pd.DataFrame({"acct": [3000, 3000, 4000, 4000, 6500, 6500, 7100], "amt": [-900.0, -410.0, 300.0, 125.5, 89.0, None, 40.0],
                       "cur": ["NOK", "EUR", "NOK", "NOK", "USD", "NOK", "EUR"]})
RATES = {"NOK": 1.0, "EUR": 11.5, "USD": 10.6}
ledger"""),
    same("""acct_names = {3000: "sales", 4000: "goods", 6500: "tools", 7100: "travel"}
print(len(acct_names), "accounts,", dt.date.today())"""),
    differs("""print(f"unconverted sum: {ledger.amt.sum():.2f}")
print(object())""", "order"),
    differs("""ledger["amt"] = ledger.amt * ledger.cur.map(RATES)
ledger.amt.tolist()""", "order"),
    differs("""ledger["amt"] = ledger.amt.fillna(ledger.amt.median())
ledger.amt.isna().sum(), ledger.amt.iloc[5]""", "order"),
    same("""ledger.groupby("acct").cur.agg(["size", "first"])"""),
    differs("""print(ledger.groupby(ledger.acct.map(acct_names)).amt.sum().to_string())""", "order", "downstream"),
    same("""%%time
print({c for c in ledger.cur})
print(sum(RATES.values()))"""),
], order=[0, 1, 4, 3, 2, 5, 6, 7]))

BLIND.append(Case("m-mail-parser", [
    same("""from email import message_from_string
from email.utils import parsedate_to_datetime
from collections import Counter
import re, numpy as np

BOX = ['''From: Ann <ann@shop.example>
Date: Mon, 04 Mar 2024 10:15:00 +0100
Subject: Spring offer

Save 20 percent today. Offer ends today.''', '''From: Bob <bob@shop.example>
Date: Tue, 05 Mar 2024 08:00:00 +0100
Subject: Re: delivery

Your parcel arrives today or tomorrow.''']
mails = [message_from_string(m) for m in BOX]
mails"""),
    same("""for m in mails:
    print(parsedate_to_datetime(m["Date"]).isoformat(), m["From"], "|", m["Subject"])"""),
    same("""rng = np.random.default_rng(1)
stop = {"or", "your", "the"}
words = Counter()
sorted(stop)"""),
    differs("""for m in mails:
    words.update(w for w in re.findall("[a-z]+", m.get_payload().lower()) if w not in stop)
print(words.most_common(3), id(words))""", "order"),
    differs("""picked = rng.choice(100, 3)
print("audit sample", picked)""", "order", "seed"),
    differs("""noise = rng.normal(size=2).round(4)
noise""", "order", "seed"),
    differs("""stop |= {"today", "tomorrow"}
print(len([w for w in words if w in stop]), "stop words counted so far")""", "order"),
    same("""addr = [re.search("<(.+)>", m["From"]).group(1) for m in mails]
!echo {len(addr)} addresses in $(pwd)"""),
    same("""mails[0]["Received"].split(";")"""),
], order=[0, 1, 2, 6, 5, 4, 3, 7, 8]))

# ---------------------------------------------------------------- edited

BLIND.append(Case("m-churn-model", [
    same("""import numpy as np, pandas as pd, matplotlib.pyplot as plt, time
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split, cross_val_score
from sklearn.metrics import classification_report, roc_auc_score, RocCurveDisplay
print("sklearn ready", time.strftime("%X"))"""),
    same("""g = np.random.default_rng(99)
n = 400
X = pd.DataFrame({"tenure": g.exponential(24, n), "calls": g.poisson(1.5, n), "fee": g.normal(40, 12, n)})
y = (g.random(n) < 1 / (1 + np.exp(0.06 * X.tenure - 0.7 * X.calls))).astype(int)
X.describe().round(2)"""),
    same("""print("churn rate %.3f" % y.mean())
X.corrwith(y).round(3)"""),
    same("""SEED = 0
Xtr, Xte, ytr, yte = train_test_split(X, y, test_size=0.25, random_state=SEED, stratify=y)
Xtr.shape, Xte.shape"""),
    differs("""%%time
rf = RandomForestClassifier(60, min_samples_leaf=5, random_state=SEED).fit(Xtr, ytr)
print("AUC %.4f" % roc_auc_score(yte, rf.predict_proba(Xte)[:, 1]))""", "downstream", "seed"),
    differs("""print(classification_report(yte, rf.predict(Xte), digits=4))""", "downstream", "seed"),
    differs("""RocCurveDisplay.from_estimator(rf, Xte, yte)""", "downstream", "seed"),
    same("""cv = cross_val_score(RandomForestClassifier(20, random_state=1), X, y, cv=3)
cv.round(4)"""),
    differs("""pd.DataFrame({"importance": rf.feature_importances_}, index=X.columns).style.bar().format("{:.4f}")""", "downstream", "seed"),
    same("""rf.predict(X[["fee"]])"""),
], edited={3: """SEED = 7
Xtr, Xte, ytr, yte = train_test_split(X, y, test_size=0.25, random_state=SEED, stratify=y)
Xtr.shape, Xte.shape"""}))

BLIND.append(Case("m-delivery-routes", [
    same("""import networkx as nx, itertools, math, random, uuid
import matplotlib.pyplot as plt
from tqdm import tqdm
from scipy.optimize import linprog
rnd = random.Random(4)
stops = {f"s{i}": (rnd.uniform(0, 10), rnd.uniform(0, 10)) for i in range(9)}
print(nx.Graph())
{k: (round(x, 2), round(y, 2)) for k, (x, y) in stops.items()}"""),
    same("""def dist(a, b):
    return math.dist(stops[a], stops[b])

full = nx.Graph()
full.add_weighted_edges_from((a, b, dist(a, b)) for a, b in itertools.combinations(stops, 2))
print(full, "route id", uuid.uuid1())"""),
    differs("""LIMIT = 6.5
G = nx.Graph((u, v, d) for u, v, d in full.edges(data=True) if d["weight"] <= LIMIT)
print(G.number_of_edges(), "roads within reach")""", "code"),
    differs("""%%time
deg = dict(sorted(G.degree, key=lambda t: (-t[1], t[0])))
deg""", "downstream"),
    same("""tree = nx.minimum_spanning_tree(full)
round(tree.size("weight"), 3)"""),
    differs("""nx.draw(G, pos=stops, with_labels=True, node_color="lightblue", node_size=300)
plt.title("reachable pairs")
plt.show()""", "downstream"),
    same("""best = None
for perm in tqdm(list(itertools.permutations(list(stops)[1:7]))):
    tour = ["s0", *perm, "s0"]
    length = sum(dist(a, b) for a, b in zip(tour, tour[1:]))
    if best is None or length < best[0]:
        best = (length, tour)
print(f"{best[0]:.4f}", "-".join(best[1]))"""),
    same("""res = linprog([4, 3], A_ub=[[-1, -2], [-3, -1]], b_ub=[-8, -9])
res.x.round(4), round(res.fun, 4)"""),
    differs("""print("diameter", nx.diameter(G), "clustering %.4f" % nx.average_clustering(G))
G.nodes(data=False).__class__, object()""", "downstream"),
    same("""nx.shortest_path(full, "s0", "depot")"""),
], edited={2: """LIMIT = 8.0
G = nx.Graph((u, v, d) for u, v, d in full.edges(data=True) if d["weight"] <= LIMIT)
print(G.number_of_edges(), "roads within reach")"""}))
