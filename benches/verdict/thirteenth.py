"""The thirteenth blind set: statistics, models, figures, simulations.

Written by someone who had seen neither the rules nor the other cases, asked for notebooks as people write them, with changes that look like noise. Every truth was
decided from what the cell does, then checked in a plain kernel before and after its change. README has its figures at first sight. Rules were mended by some of
these since.
"""

from truth import Case, Cell, differs, same, varies  # noqa: F401

BLIND = []

# ------------------------------------------------------------------ noise only

PENGUINS = "species,island,bill,flipper,mass,sex\n" + "".join(
    f"{s},{i},{b},{f},{m},{x}\n" for s, i, b, f, m, x in [
        ("Adelie", "Torgersen", 39.1, 181, 3750, "male"), ("Adelie", "Torgersen", 39.5, 186, 3800, "female"),
        ("Adelie", "Biscoe", 37.8, 174, 3400, "female"), ("Adelie", "Biscoe", 40.3, 195, 3250, "female"),
        ("Adelie", "Dream", 36.7, 193, 3450, "female"), ("Adelie", "Dream", 42.0, 190, 4250, "male"),
        ("Gentoo", "Biscoe", 46.1, 211, 4500, "female"), ("Gentoo", "Biscoe", 50.0, 230, 5700, "male"),
        ("Gentoo", "Biscoe", 48.7, 210, 4450, "female"), ("Gentoo", "Biscoe", 50.2, 218, 5700, "male"),
        ("Chinstrap", "Dream", 46.5, 192, 3500, "female"), ("Chinstrap", "Dream", 50.0, 196, 3900, "male"),
        ("Chinstrap", "Dream", 51.3, 193, 3650, "male"), ("Chinstrap", "Dream", 45.4, 188, "", "female")])

BLIND.append(Case("g-penguins-styled", [
    same('''import os, time, uuid, warnings
from datetime import datetime
import numpy as np, pandas as pd, matplotlib.pyplot as plt, seaborn as sns
start = time.perf_counter()
run = uuid.uuid4().hex[:8]
print(f"[{datetime.now():%Y-%m-%d %H:%M:%S}] run {run} (pid {os.getpid()}) pandas {pd.__version__}")'''),
    same('''df = pd.read_csv("penguins.csv")
stat = os.stat("penguins.csv")
print("penguins.csv:", stat.st_size, "bytes, modified", datetime.fromtimestamp(stat.st_mtime).isoformat(), "inode", stat.st_ino)
df.info()
df.head()'''),
    same('''(df.groupby("species")[["bill", "flipper", "mass"]].mean()
   .style.format("{:.2f}").background_gradient(cmap="viridis").set_caption("Means by species"))'''),
    same('''fig, ax = plt.subplots(figsize=(5, 3))
for species, part in df.groupby("species"):
    ax.scatter(part["flipper"], part["mass"], label=species)
ax.set_xlabel("flipper (mm)"); ax.set_ylabel("mass (g)"); ax.legend()
print(fig.canvas.manager, hex(id(ax)))
plt.show()'''),
    same('''def impute(frame):
    warnings.warn("filling missing mass with the median of the species", RuntimeWarning)
    return frame["mass"].fillna(frame.groupby("species")["mass"].transform("median"))
df["mass"] = impute(df)
print(df["mass"].isna().sum(), "missing;", "species seen:", set(df["species"]))'''),
    same('''%time corr = df[["bill", "flipper", "mass"]].corr()
print(corr.round(3).to_string())'''),
    varies('''boot = [df["mass"].sample(frac=1, replace=True).mean() for _ in range(500)]
lo, hi = np.percentile(boot, [2.5, 97.5])
print(f"bootstrap 95% interval of the mean mass: {lo:.2f} .. {hi:.2f}  ({len(boot)} resamples)")'''),
    same('''out = f"report_{run}_{datetime.now():%Y%m%d_%H%M%S_%f}.csv"
corr.to_csv(out)
print("wrote", os.path.abspath(out), os.path.getsize(out), "bytes")
print(f"notebook finished in {time.perf_counter() - start:.3f} s")'''),
], files={"penguins.csv": PENGUINS}))

BLIND.append(Case("g-ols-summary", [
    same('''import time, hashlib, logging, tempfile, pickle, pathlib
import numpy as np, pandas as pd, statsmodels.api as sm
logging.basicConfig(level=logging.INFO, format="%(asctime)s,%(process)d %(levelname)s %(name)s: %(message)s", force=True)
log = logging.getLogger("ols")
log.info("start, numpy %s", np.__version__)'''),
    same('''rng = np.random.default_rng(42)
n = 120
X = pd.DataFrame({"age": rng.integers(20, 70, n), "income": rng.normal(50, 12, n).round(2), "smoker": rng.integers(0, 2, n)})
y = 3 + 0.4 * X["age"] - 0.1 * X["income"] + 5 * X["smoker"] + rng.normal(0, 4, n)
X.describe().T'''),
    same('''t0 = time.time()
model = sm.OLS(y, sm.add_constant(X)).fit()
log.info("fitted %d rows in %.6f s", n, time.time() - t0)
model.summary()'''),
    same('''print(model)
print(model.params.round(4).to_dict())
print("object", hex(id(model)), "hash of the formula", hash("y ~ age + income + smoker"))'''),
    same('''from tqdm.auto import tqdm
scores = []
for k in tqdm(range(40), desc="jackknife", ncols=80):
    keep = np.arange(n) != k
    scores.append(sm.OLS(y[keep], sm.add_constant(X[keep])).fit().rsquared)
    time.sleep(0.002)
print(f"R2 {np.mean(scores):.5f} +- {np.std(scores):.5f}")'''),
    same('''folder = pathlib.Path(tempfile.mkdtemp(prefix="model_"))
blob = pickle.dumps(model.params.to_dict())
(folder / "params.pkl").write_bytes(blob)
print("saved to", folder / "params.pkl")
print("md5", hashlib.md5(blob).hexdigest(), "size", len(blob))'''),
    same('''from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.linear_model import Ridge
pipe = make_pipeline(StandardScaler(), Ridge(alpha=2.0)).fit(X, y)
pipe'''),
    same('''took = time.time() - t0
rate = n / took
log.info("all done: %.2f s, %.0f rows/s, score %.6f", took, rate, pipe.score(X, y))'''),
]))

BLIND.append(Case("g-agents-threads", [
    same('''import threading, queue, uuid, random, time, os, sys, logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
class Agent:
    def __init__(self, wealth): self.wealth, self.id = wealth, uuid.uuid4()
agents = [Agent(100) for _ in range(5)]
agents'''),
    same('''for a in agents:
    print(a.id, a.wealth)'''),
    same('''def trade(seed, steps=2000):
    r = random.Random(seed)
    time.sleep(random.random() / 50)
    w = [100] * 5
    for _ in range(steps):
        i, j = r.randrange(5), r.randrange(5)
        if w[i] > 0: w[i] -= 1; w[j] += 1
    return seed, max(w)
with ThreadPoolExecutor(3) as pool:
    jobs = [pool.submit(trade, s) for s in range(6)]
    for job in as_completed(jobs):
        print("seed %d -> richest %d" % job.result())'''),
    varies('''agents[0].wealth += random.randint(1, 10**6)
print("jackpot:", agents[0].wealth, "at", time.strftime("%H:%M:%S"))'''),
    same('''results = sorted(job.result() for job in jobs)
print(results)
print("thread", threading.get_ident(), "active", threading.current_thread().name)'''),
    same('''lines = []
def worker(k):
    for step in range(3):
        time.sleep(random.random() / 100)
        print(f"{time.strftime('%H:%M:%S')} worker-{k} step {step}")
ts = [threading.Thread(target=worker, args=(k,)) for k in range(3)]
[t.start() for t in ts]; [t.join() for t in ts]
print("joined")'''),
    same('''import psutil
rss = psutil.Process().memory_info().rss
print(f"memory: {rss / 2**20:.1f} MiB, load {os.getloadavg()[0]:.2f}, uptime {time.monotonic():.0f} s")
print("agents:", len(agents), "total seeds:", sum(s for s, _ in results))'''),
    varies('''start = random.choices("ACGT", k=60)
print("".join(start)); Counter(start).total()'''),
]))

BLIND.append(Case("g-orbit-rich", [
    same('''import numpy as np, pandas as pd, xarray as xr, time
from datetime import datetime, timezone
from scipy.integrate import solve_ivp
def kepler(t, s):
    x, y, u, v = s; r3 = (x * x + y * y) ** 1.5
    return [u, v, -x / r3, -y / r3]
tic = time.perf_counter()
sol = solve_ivp(kepler, (0, 20), [1, 0, 0, 0.8], rtol=1e-8, t_eval=np.linspace(0, 20, 60))
print(sol.message, sol.nfev, "evaluations,", f"{(time.perf_counter() - tic) * 1e3:.1f} ms")'''),
    same('''orbit = xr.Dataset({"x": ("t", sol.y[0].round(4)), "y": ("t", sol.y[1].round(4))}, coords={"t": sol.t.round(3)})
orbit'''),
    same('''from bokeh.plotting import figure, show
from bokeh.io import output_notebook
from bokeh.embed import file_html
from bokeh.resources import INLINE
p = figure(width=300, height=300, title="orbit")
p.line(sol.y[0].round(3), sol.y[1].round(3))
p'''),
    same('''import altair as alt
alt.Chart(orbit.to_dataframe().reset_index().iloc[::6]).mark_line().encode(x="x:Q", y="y:Q")'''),
    same('''import plotly.graph_objects as go
fig = go.Figure(go.Scatter(x=sol.y[0][::5].round(3).tolist(), y=sol.y[1][::5].round(3).tolist(), mode="markers"))
fig.update_layout(title="orbit", width=320, height=320)
from IPython.display import HTML
HTML(fig.to_html(include_plotlyjs=False, full_html=False))'''),
    same('''import ipywidgets as w
slider = w.IntSlider(value=3, min=0, max=10, description="step"); box = w.VBox([slider, w.Label("of the orbit")])
box'''),
    same('''from rich.table import Table
from rich.console import Console
t = Table("quantity", "value", title=f"computed {datetime.now(timezone.utc):%d %b %Y %H:%M:%S.%f}")
e = 0.5 * (sol.y[2] ** 2 + sol.y[3] ** 2) - 1 / np.hypot(sol.y[0], sol.y[1])
t.add_row("energy", f"{e[0]:.6f}"); t.add_row("drift", f"{abs(e - e[0]).max() < 1e-5}")
Console(width=60, force_jupyter=False).print(t)'''),
    same('''class Body:
    """no repr of its own"""
    def __init__(self, name): self.name = name
bodies = {n: Body(n) for n in ("sun", "planet")}
print(bodies); print(kepler, sol.sol, type(sol).__name__)
%timeit -n 50 -r 3 kepler(0, [1, 0, 0, 0.8])'''),
]))

BLIND.append(Case("g-primers-sqlite", [
    same('''import sqlite3, random, subprocess, sys, os, time, json, socket
from pathlib import Path
con = sqlite3.connect(":memory:")
con.execute("create table primer(id integer primary key, seq text, tm real, added timestamp default (strftime('%Y-%m-%d %H:%M:%f','now')))")
con'''),
    same('''r = random.Random(7)
def tm(s): return 2 * (s.count("A") + s.count("T")) + 4 * (s.count("G") + s.count("C"))
for _ in range(6):
    s = "".join(r.choices("ACGT", k=18)); con.execute("insert into primer(seq, tm) values (?, ?)", (s, tm(s)))
con.commit()
for row in con.execute("select * from primer"): print(row)'''),
    same('''import pandas as pd
pd.read_sql("select seq, tm, length(seq) as n, added from primer order by tm desc", con)'''),
    same('''kmers = {s[i:i+3] for (s,) in con.execute("select seq from primer") for i in range(16)}
print(len(kmers), "distinct 3-mers, such as")
print(kmers)'''),
    same('''done = subprocess.run([sys.executable, "-c", "import os, time; print('child', os.getpid(), 'of', os.getppid()); print('at', time.time()); print('GC content 0.4815')"], capture_output=True, text=True)
print(done.stdout, "exit code", done.returncode)'''),
    same('''Path("panel.fa").write_text("".join(f">p{i}\\n{s}\\n" for i, s in con.execute("select id, seq from primer")))
!ls -l panel.fa
!grep -c '>' panel.fa
!date; wc -c panel.fa'''),
    varies('''pick = random.sample(sorted(kmers), 8)
print("random seeds for the next round:", pick)'''),
    same('''with socket.socket() as s:
    s.bind(("127.0.0.1", 0)); print("browser at http://127.0.0.1:%d/primers" % s.getsockname()[1])
print(json.dumps({"primers": 6, "kmers": len(kmers), "finished": time.strftime("%Y-%m-%dT%H:%M:%S"), "elapsed": round(time.process_time(), 4)}, indent=1))'''),
]))

BLIND.append(Case("g-portfolio-moved", [
    same('''import os, sys, time, datetime as dt, pathlib, logging, uuid
import numpy as np, pandas as pd
here = pathlib.Path.cwd()
print("working in", here); print("started", dt.datetime.now())'''),
    same('''prices = pd.read_csv("prices.csv", index_col="date", parse_dates=True)
print("read", (here / "prices.csv").resolve(), "->", prices.shape)
prices.tail(3)'''),
    same('''log = logging.getLogger("portfolio"); h = logging.StreamHandler(open("run.log", "w")); log.addHandler(h); log.setLevel("INFO")
log.info("%s session %s", dt.datetime.now(), uuid.uuid1())
print(open("run.log").read(), log.handlers)'''),
    same('''ret = np.log(prices).diff().dropna()
t = time.perf_counter()
cov = ret.cov() * 252
w = np.linalg.solve(cov, np.ones(len(cov))); w /= w.sum()
print(f"weights {dict(zip(prices, w.round(4).tolist()))} in {1e6 * (time.perf_counter() - t):.0f} us")'''),
    same('''import matplotlib.pyplot as plt
ax = prices.plot(figsize=(4, 2.5), title="prices"); plt.show()
os.makedirs("out", exist_ok=True); ax.figure.savefig("out/prices.png", metadata={"Software": None}, dpi=50)
!pwd
!ls out'''),
    same('''try:
    pd.read_csv(here / "missing" / "benchmark.csv")
except FileNotFoundError as e:
    print("skipped:", e)
print(*[str(p.relative_to(here)) for p in sorted(here.glob("prices*"))], sep="\\n")'''),
    same('''import warnings
warnings.warn(f"no benchmark below {here}, using cash")
print("Sharpe", (ret @ w).mean().round(6) / 1, "of", len(ret), "days; cwd has", len(str(here)) > 0)'''),
], files={"prices.csv": "date,EQ,BD,GD\n" + "".join(f"2024-03-{d:02d},{100 + 3 * (d * 7 % 11) / 5:.2f},{95 + (d * 5 % 7) / 9:.2f},{180 + (d * 3 % 13) / 2:.2f}\n" for d in range(1, 25))}, moved=True))

# ------------------------------------------------------------------------ data

RAIN = "station,lon,lat,month,mm\n" + "".join(
    f"{s},{lon},{lat},{m},{20 + (i * 37 + m * 29) % 113 + (m * m) / 10:.1f}\n"
    for i, (s, lon, lat) in enumerate([("Bergen", 5.32, 60.39), ("Oslo", 10.75, 59.91), ("Tromso", 18.96, 69.65), ("Vardo", 31.11, 70.37)])
    for m in range(1, 13))
_r = [l for l in RAIN.splitlines() if l.startswith("Tromso") and ",7," in l][0]
RAIN2 = RAIN.replace(_r, _r[:-1] + ("3" if _r[-1] != "3" else "4"))

BLIND.append(Case("g-rain-one-digit", [
    same('''import pandas as pd, numpy as np, time, os
from datetime import datetime
t0 = time.time()
rain = pd.read_csv("rain.csv")
print(f"{datetime.now():%H:%M:%S.%f} read {len(rain)} rows, {rain.station.nunique()} stations, from {os.path.abspath('rain.csv')}")'''),
    differs('''per = rain.groupby("station")["mm"].agg(["sum", "max"]).round(1)
print(per); print(f"(aggregated in {1e3 * (time.time() - t0):.2f} ms by process {os.getpid()})")''', "data", "downstream"),
    same('''print("driest month per station:")
print(rain.loc[rain.groupby("station")["mm"].idxmin(), ["station", "month"]].to_string(index=False))
print("checked", datetime.now().isoformat())'''),
    same('''oslo = rain[rain.station == "Oslo"]
oslo.style.bar(subset="mm")'''),
    differs('''import statsmodels.formula.api as smf
fit = smf.ols("mm ~ lat + month", rain).fit()
print(fit.summary(slim=False)); print(f"{fit.rsquared:.9f}")''', "data", "downstream"),
    differs('''import logging
logging.basicConfig(format="%(asctime)s %(levelname)-7s [%(thread)d] %(message)s", level="INFO", force=True)
for s, mm in rain.groupby("station")["mm"]:
    logging.info("%-7s mean %.3f over %d months (task %#x)", s, mm.mean(), len(mm), id(mm))''', "data", "downstream"),
    same('''import matplotlib.pyplot as plt
st = rain.drop_duplicates("station")
plt.figure(figsize=(4, 3)); plt.scatter(st.lon, st.lat, s=30)
for r in st.itertuples(): plt.annotate(r.station, (r.lon, r.lat))
plt.title("stations"); plt.show()'''),
    varies('''jit = np.random.normal(0, 5, 3)
print("jittered thresholds", jit, "in", f"{time.time() - t0:.3f} s")'''),
    same('''R = 6371.0
def hav(a, b):
    p = np.radians([a.lat, b.lat]); d = np.radians([b.lat - a.lat, b.lon - a.lon])
    return 2 * R * np.arcsin(np.sqrt(np.sin(d[0] / 2) ** 2 + np.cos(p[0]) * np.cos(p[1]) * np.sin(d[1] / 2) ** 2))
rows = list(st.itertuples())
print(f"Bergen-Vardo {hav(rows[0], rows[3]):.1f} km, computed {datetime.now():%c}")'''),
], files={"rain.csv": RAIN}, data={"rain.csv": RAIN2}))

LEDGER = """[{"id": 1, "account": "A-17", "sym": "NHY", "qty": 120, "price": 64.2},
 {"id": 2, "account": "A-17", "sym": "EQNR", "qty": 40, "price": 291.5},
 {"id": 3, "account": "B-02", "sym": "NHY", "qty": -75, "price": 66.1},
 {"id": 4, "account": "B-02", "sym": "TEL", "qty": 210, "price": 118.9},
 {"id": 5, "account": "C-11", "sym": "DNB", "qty": 90, "price": 203.7},
 {"id": 6, "account": "C-11", "sym": "EQNR", "qty": -15, "price": 288.0}]
"""

BLIND.append(Case("g-ledger-quantity", [
    same('''import json, sqlite3, uuid, time, datetime
trades = json.load(open("ledger.json"))
con = sqlite3.connect(":memory:")
con.execute("create table trade(uid text, id int, account text, sym text, qty int, price real, loaded text)")
for t in trades:
    con.execute("insert into trade values (?,?,?,?,?,?,datetime('now'))", (str(uuid.uuid4()), t["id"], t["account"], t["sym"], t["qty"], t["price"]))
print(len(trades), "trades loaded at", datetime.datetime.now().time(), "into", con)'''),
    differs('''for row in con.execute("select uid, id, account, sym, qty, loaded from trade order by id"):
    print("|".join(map(str, row)))''', "data", "downstream"),
    same('''print(sorted({t["sym"] for t in trades}), {t["account"] for t in trades})
print("batch", uuid.uuid4())'''),
    same('''con.execute("select sym, count(*), max(price) from trade group by sym order by sym").fetchall()'''),
    differs('''import pandas as pd
book = pd.read_sql("select account, sum(qty * price) as exposure from trade group by account", con)
book["as_of"] = pd.Timestamp.now()
book["ticket"] = [uuid.uuid4().hex[:12] for _ in book.index]
book''', "data", "downstream"),
    same('''class Risk:
    def __init__(self, book): self.book = book
    def limit(self): return 50_000
risk = Risk(book); print(risk, risk.limit, risk.limit())'''),
    differs('''from tqdm import tqdm
import sys
total = 0
for t in tqdm(trades, file=sys.stdout, desc="mark to market"):
    total += t["qty"] * t["price"]; time.sleep(0.01)
print(f"book value {total:,.2f} NOK, elapsed {time.process_time():.4f} s, job {uuid.uuid4().hex}")''', "data", "downstream"),
    same('''print("limits:", ["breach" if e > risk.limit() else "ok" for e in book["exposure"]], time.strftime("checked %H:%M:%S"))'''),
    differs('''import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(4, 2)); ax.bar(book["account"], book["exposure"]); ax.set_ylabel("NOK"); plt.show()''', "data", "downstream"),
], files={"ledger.json": LEDGER}, data={"ledger.json": LEDGER.replace('"qty": 210', '"qty": 201')}))

import random as _random
_g = _random.Random(3)
GENES = "".join(f">gene{k} len=240\n" + "".join("".join(_g.choices("ACGT", k=60)) + "\n" for _ in range(4)) for k in range(1, 5))
_p = GENES.index(">gene3") + len(">gene3 len=240\n") + 90
GENES2 = GENES[:_p] + ("A" if GENES[_p] in "CG" else "G") + GENES[_p + 1:]

BLIND.append(Case("g-genes-one-base", [
    same('''import re, time, hashlib, tempfile, os, subprocess, sys
from collections import Counter
def fasta(path):
    name, seq = None, []
    for line in open(path):
        if line[0] == ">":
            if name: yield name, "".join(seq)
            name, seq = line[1:].split()[0], []
        else: seq.append(line.strip())
    yield name, "".join(seq)
t0 = time.perf_counter()
genes = dict(fasta("genes.fa"))
print(fasta("genes.fa"), {k: len(v) for k, v in genes.items()}, f"{time.perf_counter() - t0:.6f} s")'''),
    differs('''for k, v in genes.items():
    a = time.perf_counter_ns(); gc = (v.count("G") + v.count("C")) / len(v)
    print(f"{k} GC={gc:.4f} ({time.perf_counter_ns() - a} ns)")''', "data", "downstream"),
    same('''print(genes["gene1"][:60]); print(genes["gene2"][:60]); print("job", os.getpid())'''),
    differs('''for k, v in genes.items():
    tmp = tempfile.NamedTemporaryFile("w", suffix=".seq", delete=False); tmp.write(v); tmp.close()
    print(tmp.name, hashlib.sha1(v.encode()).hexdigest()[:10])''', "data", "downstream"),
    differs('''kmer = Counter(v[i:i + 2] for v in genes.values() for i in range(len(v) - 1))
print(dict(sorted(kmer.items()))); print("set of all:", set(kmer), "at", time.ctime())''', "data", "downstream"),
    same('''print("distinct dinucleotides", len(kmer), "total", sum(kmer.values()), "in", os.getcwd())'''),
    differs('''script = "import sys, os; s = sys.stdin.read(); print('worker', os.getpid(), 'purines', sum(c in 'AG' for c in s), 'weak', sum(c in 'AT' for c in s))"
r = subprocess.run([sys.executable, "-c", script], input="".join(genes.values()), text=True, capture_output=True)
print(r.stdout.strip())''', "data", "downstream"),
    same('''import numpy as np
rng = np.random.default_rng(11)
mutants = rng.integers(0, 240, 5)
print("sites to mutate", mutants, "generator", rng)'''),
    varies('''import secrets
print("barcode", "".join(secrets.choice("ACGT") for _ in range(24)))'''),
], files={"genes.fa": GENES}, data={"genes.fa": GENES2}))

LIGHT = "# mjd mag err\n" + "".join(f"{59000 + 0.37 * i:.3f} {14.2 + 0.35 * ((i * 37) % 29) / 29 - (0.2 if i % 9 == 4 else 0):.4f} {0.010 + (i % 5) / 1000:.3f}\n" for i in range(60))
_l = LIGHT.splitlines(True)
LIGHT2 = "".join(_l[:41] + _l[42:])

BLIND.append(Case("g-lightcurve-lost-line", [
    same('''import numpy as np, time, os, matplotlib.pyplot as plt
from datetime import datetime, timedelta
print("reduction of", datetime.now().date(), "by", "observer", "using numpy", np.__version__)'''),
    differs('''tic = time.perf_counter()
mjd, mag, err = np.loadtxt("light.txt", unpack=True)
print(f"loaded {mjd.size} points in {(time.perf_counter() - tic) * 1e3:.3f} ms")''', "data"),
    same('''epoch = datetime(1858, 11, 17)
print("first", epoch + timedelta(days=float(mjd[0])), "last", epoch + timedelta(days=float(mjd[-1])), "| now", datetime.now())'''),
    differs('''tic = time.time()
w = 1 / err ** 2
print(f"{datetime.now():%H:%M:%S} weighted mean {np.sum(w * mag) / w.sum():.6f} +- {w.sum() ** -0.5:.6f} [{time.time() - tic:.2e} s]")''', "data", "downstream"),
    same('''print("faintest %.4f" % mag.max(), "brightest %.4f" % mag.min(), "buffer at", hex(mag.__array_interface__["data"][0]))'''),
    differs('''from scipy.signal import lombscargle
f = np.linspace(0.5, 8, 400); p = lombscargle(mjd, mag - mag.mean(), f)
plt.figure(figsize=(4, 2.5)); plt.plot(f, p); plt.xlabel("rad/d"); plt.show()''', "data", "downstream"),
    same('''phase = np.arange(0, 1, 0.25)
model = 14.35 + 0.2 * np.cos(2 * np.pi * phase)
plt.figure(figsize=(3, 2)); plt.plot(phase, model, "r-o"); plt.gca().invert_yaxis(); plt.title("model"); plt.show()'''),
    differs('''import warnings
gap = np.diff(mjd)
warnings.warn(f"longest gap {gap.max():.2f} d in {len(gap)} intervals", UserWarning)''', "data", "downstream"),
    same('''!ls -l --time-style=full-iso light.txt | cut -d' ' -f6-
!head -3 light.txt'''),
], files={"light.txt": LIGHT}, data={"light.txt": LIGHT2}))

# ----------------------------------------------------------------------- patch

BLIND.append(Case("g-patched-durbin", [
    same('''import numpy as np, pandas as pd, statsmodels.api as sm, time, os
from datetime import datetime
rng = np.random.default_rng(5)
q = pd.period_range("2004Q1", periods=72, freq="Q")
gdp = pd.DataFrame({"rate": rng.normal(2, 1, 72), "oil": rng.normal(60, 15, 72)}, index=q)
gdp["growth"] = 1.5 - 0.3 * gdp.rate + 0.01 * gdp.oil + rng.normal(0, 0.5, 72)
print(datetime.now(), "pid", os.getpid()); gdp.head()'''),
    differs('''t = time.time()
res = sm.OLS(gdp.growth, sm.add_constant(gdp[["rate", "oil"]])).fit()
print(res.summary())
print(f"fitted in {time.time() - t:.5f} s")''', "library"),
    same('''print(res.params.round(5).to_string()); print("F", round(res.fvalue, 4), res)'''),
    same('''from statsmodels.stats.stattools import jarque_bera
jb, p, skew, kurt = jarque_bera(res.resid)
print(f"{datetime.now():%H:%M:%S} JB={jb:.4f} p={p:.4f} skew={skew:.4f}")'''),
    differs('''from statsmodels.stats.stattools import durbin_watson
dw = durbin_watson(res.resid)
print({"model": hex(id(res)), "dw": round(float(dw), 3), "when": time.time()})''', "library", "downstream"),
    same('''verdict = "no autocorrelation" if 1.2 < dw < 2.8 else "autocorrelated"
print(verdict, "- decided", datetime.now().isoformat(timespec="milliseconds"))'''),
    differs('''rows = []
for k in range(1, 4):
    tic = time.perf_counter(); r = sm.OLS(gdp.growth[k:], sm.add_constant(gdp[["rate", "oil"]].shift(k)[k:])).fit()
    rows.append((k, r.rsquared, durbin_watson(r.resid), time.perf_counter() - tic))
pd.DataFrame(rows, columns=["lag", "R2", "DW", "seconds"])''', "library"),
    same('''import matplotlib.pyplot as plt
plt.figure(figsize=(4, 2)); plt.plot(res.resid.values); plt.title("residuals"); plt.show()'''),
    varies('''print("permutation p", np.mean([np.random.permutation(72)[0] / 72 for _ in range(50)]))'''),
], patch=("statsmodels/stats/stattools.py", "    dw = np.sum(diff_resids**2, axis=axis) / np.sum(resids**2, axis=axis)\n",
          "    dw = np.sum(diff_resids**2, axis=axis) / np.sum(resids**2, axis=axis) * 1.005\n")))

BLIND.append(Case("g-patched-mape", [
    same('''import time, uuid, logging, sys, numpy as np, pandas as pd
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import train_test_split
from sklearn import metrics
logging.basicConfig(stream=sys.stdout, level=logging.INFO, force=True, format="%(asctime)s | %(levelname)s | %(message)s")
EXPERIMENT = uuid.uuid4()
logging.info("experiment %s", EXPERIMENT)'''),
    same('''rng = np.random.default_rng(2)
X = rng.uniform(0, 10, (300, 4)); y = 50 + 6 * X[:, 0] - 3 * X[:, 1] + X[:, 2] * X[:, 3] + rng.normal(0, 3, 300)
Xa, Xb, ya, yb = train_test_split(X, y, random_state=0)
Xa.shape, Xb.shape, hex(id(Xa))'''),
    same('''gb = GradientBoostingRegressor(n_estimators=40, random_state=0, verbose=1).fit(Xa, ya)'''),
    differs('''t0 = time.perf_counter()
pred = gb.predict(Xb)
for name in ("mean_absolute_error", "mean_absolute_percentage_error", "r2_score"):
    logging.info("%s = %.5f (%.2f ms)", name, getattr(metrics, name)(yb, pred), 1e3 * (time.perf_counter() - t0))''', "library"),
    same('''print(f"RMSE {np.sqrt(metrics.mean_squared_error(yb, pred)):.4f}  throughput {len(pred) / (time.perf_counter() - t0):.0f} rows/s")'''),
    same('''import matplotlib.pyplot as plt
plt.figure(figsize=(3, 3)); plt.plot(yb, pred, "."); plt.xlabel("truth"); plt.ylabel("prediction"); plt.show()'''),
    differs('''board = []
for depth in (1, 2, 3):
    s = time.time(); m = GradientBoostingRegressor(n_estimators=25, max_depth=depth, random_state=0).fit(Xa, ya)
    board.append({"run": uuid.uuid4().hex[:6], "depth": depth, "mape": metrics.mean_absolute_percentage_error(yb, m.predict(Xb)), "seconds": time.time() - s})
pd.DataFrame(board).round(6)''', "library"),
    same('''best = min(board, key=lambda r: r["mape"])["depth"]
print("best depth", best, "at", time.strftime("%c"))'''),
    differs('''from rich import print as rprint
rprint({"id": str(EXPERIMENT), "score": round(1 - board[-1]["mape"], 5), "model": gb.__class__.__name__, "stamp": time.time_ns()})''', "library", "downstream"),
], patch=("sklearn/metrics/_regression.py", "    mape = xp.abs(y_pred - y_true) / xp.maximum(y_true_abs, epsilon)\n",
          "    mape = xp.abs(y_pred - y_true) / xp.maximum(xp.abs(y_pred), epsilon)\n")))

BLIND.append(Case("g-patched-palette", [
    same('''import seaborn as sns, matplotlib.pyplot as plt, pandas as pd, numpy as np, time
from datetime import datetime
print("figures of", datetime.now(), sns.__version__)'''),
    same('''rng = np.random.default_rng(8)
cells = pd.DataFrame({"line": np.repeat(["HeLa", "HEK", "CHO"], 20), "dose": np.tile(np.arange(20), 3), "alive": rng.uniform(0.2, 1, 60).round(3)})
print(hex(id(cells))); cells.groupby("line").alive.describe().round(3)'''),
    differs('''t = time.perf_counter()
pal = sns.color_palette("deep", 3)
print(pal.as_hex(), f"{time.perf_counter() - t:.7f} s")''', "library"),
    same('''print(sns.color_palette("muted", 3).as_hex(), sns.color_palette("colorblind", 3).as_hex(), "object", sns.color_palette)'''),
    same('''fig, ax = plt.subplots(figsize=(4, 2.5))
sns.histplot(cells, x="alive", bins=8, color="#336699", ax=ax); plt.show()'''),
    differs('''fig, ax = plt.subplots(figsize=(4, 2.5))
sns.scatterplot(cells, x="dose", y="alive", hue="line", palette="deep", ax=ax)
print(ax, "drawn", datetime.now().time(), "legend", hex(id(ax.get_legend()))); plt.show()''', "library"),
    same('''fig, ax = plt.subplots(figsize=(4, 2.5))
sns.boxplot(cells, x="line", y="alive", color="0.8", ax=ax); ax.set_title("survival"); plt.show()'''),
    differs('''from IPython.display import HTML, display
import uuid
rows = "".join(f'<tr id="{uuid.uuid4()}"><td style="background:{c}">{n}</td></tr>' for n, c in zip(cells.line.unique(), pal.as_hex()))
HTML(f"<table id='t{time.time_ns()}'>{rows}</table>")''', "library", "downstream"),
    same('''lum = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in sns.color_palette("Greys", 3)]
print(np.round(lum, 3), f"{time.process_time():.3f} s of cpu")'''),
], patch=("seaborn/palettes.py", '    deep=["#4C72B0", "#DD8452",', '    deep=["#4C72B0", "#DD8552",')))

# ----------------------------------------------------------------- environment

BLIND.append(Case("g-env-timezone", [
    same('''import os, time, datetime as dt, numpy as np, pandas as pd
utc = dt.timezone.utc
print("opened", dt.datetime.now(utc), "process", os.getpid())'''),
    same('''quakes = pd.DataFrame({"epoch": [1678886400, 1688169600, 1698796800, 1704091200], "mag": [5.1, 6.3, 4.8, 7.2], "place": ["Kos", "Izmit", "Chios", "Noto"]})
quakes["utc"] = pd.to_datetime(quakes.epoch, unit="s", utc=True)
quakes'''),
    differs('''for r in quakes.itertuples():
    print(time.strftime("%Y-%m-%d %H:%M", time.localtime(r.epoch)), r.place, r.mag, f"(asked {time.time():.3f})")''', "environment"),
    same('''print(f"energy ratio {10 ** (1.5 * (7.2 - 6.3)):.3f}; mean {quakes.mag.mean():.3f}; took {time.process_time():.3f} s")'''),
    differs('''offset = dt.datetime.fromtimestamp(1688169600).astimezone().strftime("%z")
print(f"log of {dt.datetime.now(utc):%Y-%m-%d} id {id(quakes):x} offset {offset}")''', "environment"),
    same('''b = quakes.mag.mean() - (4.5 - 0.05)
print("b-value", round(float(np.log10(np.e) / b), 4)); print(quakes.groupby(quakes.utc.dt.year).size())'''),
    differs('''night = [r.place for r in quakes.itertuples() if not 7 <= dt.datetime.fromtimestamp(r.epoch).hour < 20]
print("at night, local time:", night, "|", object())''', "environment"),
    same('''import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(4, 2)); ax.stem(quakes.epoch / 86400, quakes.mag); plt.show()'''),
], environment={"TZ": "UTC"}, given={"TZ": "Europe/Athens"}))

BLIND.append(Case("g-env-discount", [
    same('''import os, sys, time, uuid, logging, datetime
import numpy as np, pandas as pd
run_id = f"val-{datetime.datetime.now():%Y%m%d%H%M%S}-{uuid.uuid4().hex[:5]}"
print(run_id)'''),
    same('''rate = float(os.environ.get("DISCOUNT_RATE", "0.04"))
flows = np.array([-1000, 180, 240, 260, 310, 355.0])
bond = pd.Series(flows, name="cash", index=pd.RangeIndex(2025, 2031, name="year"))
bond.to_frame()'''),
    differs('''t = time.perf_counter()
npv = sum(c / (1 + rate) ** k for k, c in enumerate(flows))
print(f"{run_id}: NPV={npv:.2f} computed in {1e6 * (time.perf_counter() - t):.1f} us")''', "environment", "downstream"),
    same('''from scipy.optimize import brentq
irr = brentq(lambda r: sum(c / (1 + r) ** k for k, c in enumerate(flows)), 0, 1)
print(f"IRR {irr:.5%}  ({datetime.datetime.now():%H:%M:%S.%f})")'''),
    differs('''table = pd.DataFrame({"flow": flows, "factor": (1 + rate) ** -np.arange(6.0)})
table["pv"] = table.flow * table.factor
table["audit"] = [uuid.uuid4() for _ in flows]; table["at"] = pd.Timestamp.now()
print(table.round(4).to_string())''', "environment", "downstream"),
    same('''print("accept" if npv > 0 else "reject", "project;", "payback year", int((flows.cumsum() >= 0).argmax()) + 2025, "|", time.time())'''),
    differs('''logging.basicConfig(stream=sys.stdout, level=logging.INFO, force=True, format="%(asctime)s pid=%(process)d %(message)s")
for k in (1, 3, 5):
    logging.info("duration bucket %d weight %.4f worker=%s", k, table.pv[k] / table.pv[1:].sum(), uuid.uuid1())''', "environment", "downstream"),
    same('''sim = np.random.default_rng(0).normal(0.06, 0.02, 1000)
print("scenario rates", sim.mean().round(5), sim.std().round(5), "buffer", sim.ctypes.data)'''),
    varies('''shock = np.random.default_rng().normal(0, 0.02)
print(f"live shock {shock:+.6f} of {run_id}")'''),
], environment={"DISCOUNT_RATE": "0.0450"}, given={"DISCOUNT_RATE": "0.0451"}))

BLIND.append(Case("g-env-ising-seed", [
    same('''import os, time, threading, numpy as np
T = float(os.getenv("ISING_T", "2.2")); L = 16
rng = np.random.default_rng(123)
spins = rng.choice([-1, 1], (L, L))
print("lattice", spins.shape, spins.sum(), "at", time.strftime("%X"), "thread", threading.get_native_id())'''),
    same('''def energy(s): return int(-(s * np.roll(s, 1, 0) + s * np.roll(s, 1, 1)).sum())
print("E0 =", energy(spins), energy)'''),
    differs('''from tqdm.notebook import tqdm
acc = 0
bar = tqdm(range(30), desc="sweeps", leave=True)
for sweep in bar:
    for _ in range(L * L):
        i, j = rng.integers(0, L, 2)
        dE = 2 * spins[i, j] * (spins[(i + 1) % L, j] + spins[i - 1, j] + spins[i, (j + 1) % L] + spins[i, j - 1])
        if dE <= 0 or rng.random() < np.exp(-dE / T): spins[i, j] *= -1; acc += 1
print(f"accepted {acc} of {30 * L * L} flips, {bar.format_dict['elapsed']:.2f} s")''', "environment", "downstream"),
    differs('''print(f"E = {energy(spins)}  |m| = {abs(spins.mean()):.4f}  array at {spins.ctypes.data:#x}")''', "environment", "downstream"),
    same('''Tc = 2 / np.log(1 + np.sqrt(2)); print(f"Tc = {Tc:.6f}", "below" if T < Tc else "above", "| ran in", os.getcwd())'''),
    differs('''import matplotlib.pyplot as plt
plt.figure(figsize=(2.5, 2.5)); plt.imshow(spins, cmap="gray"); plt.axis("off"); plt.show()''', "environment", "downstream"),
    differs('''print({k: v for k, v in sorted(os.environ.items()) if k.startswith("ISING")}, "pid", os.getpid(), "ppid", os.getppid())''', "environment"),
    same('''print(sorted(set(np.unique(spins).tolist())), "dtype", spins.dtype, "nbytes", spins.nbytes, "cpu", time.process_time())'''),
], environment={"ISING_T": "2.20", "ISING_RUN": "production"}, given={"ISING_T": "2.21", "ISING_RUN": "production"}))

# ---------------------------------------------------------------------- edited

BLIND.append(Case("g-edited-ddof", [
    same('''import numpy as np, pandas as pd, time, uuid, os, logging, sys
rng = np.random.default_rng(77)
trial = pd.DataFrame({"arm": np.repeat(["drug", "placebo"], 30), "bp": np.r_[rng.normal(128, 9, 30), rng.normal(134, 9, 30)].round(1)})
print("trial", uuid.uuid4(), "rows", len(trial)); trial.sample(4, random_state=1)'''),
    same('''def spread(x):
    # population formula
    return np.std(x, ddof=0)
print("ready", spread)'''),
    differs('''for arm, bp in trial.groupby("arm").bp:
    t = time.perf_counter(); s = spread(bp)
    print(f"{arm:8s} mean={bp.mean():.3f} sd={s:.3f}  [{1e6 * (time.perf_counter() - t):.0f} us]")''', "code", "downstream"),
    same('''from scipy import stats
res = stats.ttest_ind(*[g.bp for _, g in trial.groupby("arm")])
print(res, "computed by", os.getpid())'''),
    differs('''a, b = (g.bp for _, g in trial.groupby("arm"))
d = (a.mean() - b.mean()) / np.sqrt((spread(a) ** 2 + spread(b) ** 2) / 2)
print({"test": str(uuid.uuid4()), "cohens_d": round(float(d), 4), "date": time.strftime("%F %T")})''', "code", "downstream"),
    same('''import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(3.5, 2.5))
ax.hist([a, b], bins=8, label=["drug", "placebo"]); ax.legend(); plt.show()'''),
    differs('''fig, ax = plt.subplots(figsize=(3.5, 2.5))
ax.bar(["drug", "placebo"], [a.mean(), b.mean()], yerr=[spread(a), spread(b)], capsize=4); ax.set_ylim(100, 150)
plt.show(); print(fig, time.time())''', "code", "downstream"),
    same('''print("conclusion:", "significant" if res.pvalue < 0.05 else "not significant", "| effect", "large" if abs(d) > 0.8 else "moderate", "|", time.ctime())'''),
], edited={1: '''def spread(x):
    # sample formula
    return np.std(x, ddof=1)
print("ready", spread)'''}))

BLIND.append(Case("g-edited-threshold", [
    same('''import pandas as pd, numpy as np, io, time, uuid
raw = """well,depth,arsenic\\nW1,12,8.0\\nW2,30,10.0\\nW3,22,14.5\\nW4,41,9.99\\nW5,18,10.01\\nW6,55,3.2\\n"""
wells = pd.read_csv(io.StringIO(raw)); print("loaded", time.time()); wells'''),
    same('''LIMIT = 10.0  # ug/l
print(f"limit {LIMIT} set by session {uuid.uuid4()}")'''),
    differs('''unsafe = wells[wells.arsenic > LIMIT]
print(f"{pd.Timestamp.now()}  {len(unsafe)} wells above the limit: {', '.join(unsafe.well)}  <{hex(id(unsafe))}>")''', "code"),
    same('''print(f"median depth of all wells {wells.depth.median()} m; correlation {wells.depth.corr(wells.arsenic):.4f}; {time.perf_counter()}")'''),
    same('''ranked = wells.sort_values("arsenic", ascending=False)
ranked.style.highlight_max(subset=["arsenic"], color="salmon")'''),
    differs('''import sqlite3
con = sqlite3.connect(":memory:"); unsafe.to_sql("unsafe", con, index=False)
con.execute("alter table unsafe add column exported text"); con.execute("update unsafe set exported = datetime('now')")
print(con.execute("select well, arsenic, exported from unsafe order by well").fetchall(), con)''', "code", "downstream"),
    differs('''html = unsafe.assign(ticket=[uuid.uuid4().hex for _ in unsafe.index], mean=unsafe.arsenic.mean().round(3))
html''', "code", "downstream"),
    same('''print("worst well", unsafe.loc[unsafe.arsenic.idxmax(), "well"], "reported", time.strftime("%d.%m.%Y %H:%M:%S"))'''),
    differs('''from tabulate import tabulate
print(tabulate([["checked", len(wells)], ["exceeding", f"{len(unsafe) / len(wells):.0%}"], ["seconds", round(time.process_time(), 4)]], tablefmt="github"))''', "code", "downstream"),
], edited={2: '''unsafe = wells[wells.arsenic >= LIMIT]
print(f"{pd.Timestamp.now()}  {len(unsafe)} wells above the limit: {', '.join(unsafe.well)}  <{hex(id(unsafe))}>")''',
           3: '''# how deep are they, and does it matter?
rho = wells.depth.corr(wells.arsenic)
print(f"median depth of all wells {wells.depth.median()} m; correlation {rho:.4f}; {time.perf_counter()}")'''}))

BLIND.append(Case("g-edited-forest-seed", [
    same('''import time, logging, sys, uuid, tempfile, os
import numpy as np, pandas as pd
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score, StratifiedKFold
iris = load_iris(as_frame=True)
print(iris.data.shape, "cache", tempfile.mkdtemp())'''),
    same('''cv = StratifiedKFold(5, shuffle=True, random_state=3)
print([len(b) for _, b in cv.split(iris.data, iris.target)], "session", uuid.uuid4())'''),
    same('''SEED = 0
forest = RandomForestClassifier(n_estimators=15, random_state=SEED)
started = time.time()'''),
    differs('''forest.fit(iris.data, iris.target)
imp = pd.Series(forest.feature_importances_, iris.feature_names)
print(imp.round(4).to_string()); print(f"fit: {time.time() - started:.3f} s, pid {os.getpid()}, {hex(id(forest))}")''', "code", "downstream"),
    same('''print("features", forest.n_features_in_, "classes", forest.classes_, "trees", len(forest.estimators_), "|", time.ctime())'''),
    differs('''import matplotlib.pyplot as plt
imp.sort_index().plot.barh(figsize=(4, 2)); plt.tight_layout(); plt.show()''', "code", "downstream"),
    differs('''logging.basicConfig(stream=sys.stdout, level=20, force=True, format="%(asctime)s %(message)s")
for t in forest.estimators_[:3]:
    logging.info("tree %x: %d nodes, depth %d, fit on %s", id(t), t.tree_.node_count, t.get_depth(), uuid.uuid4().hex[:4])''', "code", "downstream"),
    same('''base = cross_val_score(RandomForestClassifier(10, random_state=1), iris.data, iris.target, cv=cv)
print(base.round(4), f"{time.time() - started:.2f} s")'''),
    differs('''forest''', "code", "downstream"),
], edited={2: '''SEED = 1
forest = RandomForestClassifier(n_estimators=15, random_state=SEED)
started = time.time()'''}))

# ----------------------------------------------------------------------- order

BLIND.append(Case("g-order-global-seed", [
    same('''import numpy as np, time, os, uuid, matplotlib.pyplot as plt
np.random.seed(2024)
print("seeded at", time.time(), "in", os.getpid())'''),
    same('''S0, mu, sigma, n = 100.0, 0.05, 0.2, 2000
print(f"S0={S0} mu={mu} sigma={sigma}  job={uuid.uuid4()}")'''),
    differs('''t = time.perf_counter()
z = np.random.standard_normal(n)
call = np.exp(-mu) * np.maximum(S0 * np.exp(mu - sigma ** 2 / 2 + sigma * z) - 100, 0).mean()
print(f"call {call:.4f}  ({time.perf_counter() - t:.6f} s)")''', "order"),
    differs('''t = time.perf_counter()
u = np.random.standard_normal(n)
put = np.exp(-mu) * np.maximum(100 - S0 * np.exp(mu - sigma ** 2 / 2 + sigma * u), 0).mean()
print(f"put  {put:.4f}  ({time.perf_counter() - t:.6f} s)")''', "order"),
    same('''from scipy.stats import norm
d1 = (mu + sigma ** 2 / 2) / sigma
print(f"closed form {S0 * norm.cdf(d1) - 100 * np.exp(-mu) * norm.cdf(d1 - sigma):.4f}; {time.strftime('%H:%M:%S')}")'''),
    differs('''print({"parity": round(float(call - put), 4), "stamp": time.time_ns(), "id": uuid.uuid4().hex[:8]})''', "order", "downstream"),
    differs('''plt.figure(figsize=(4, 2)); plt.hist(z, bins=20); plt.hist(u, bins=20, alpha=0.4); plt.show()''', "order", "downstream"),
    same('''rs = np.random.RandomState(1)
print("own stream", rs.normal(size=3).round(4), rs)'''),
    same('''print("pooled variance", np.concatenate([np.sort(np.r_[z, u])]).var().round(6), "of", z.size + u.size, "| done", time.ctime())'''),
], order=[0, 1, 3, 2, 4, 5, 6, 7, 8]))

BLIND.append(Case("g-order-cleaning", [
    same('''import pandas as pd, numpy as np, time, os
from datetime import datetime
ph = pd.DataFrame({"site": list("aabbccdd"), "ph": [7.1, np.nan, 6.8, 14.9, 7.4, np.nan, 5.9, 7.0]})
print(datetime.now(), hex(id(ph))); ph.T'''),
    same('''audit = []
def note(what): audit.append((time.time(), what)); print(f"{datetime.now():%H:%M:%S.%f} {what}")
note("start")'''),
    differs('''ph["ph"] = ph["ph"].fillna(ph["ph"].mean())
note(f"filled; mean now {ph.ph.mean():.4f}")''', "order", "downstream"),
    differs('''ph["ph"] = ph["ph"].clip(upper=9)
note(f"clipped; {int((ph.ph == 9).sum())} at the bound, mean {ph.ph.mean():.4f}")''', "order", "downstream"),
    same('''print("sites", ph.site.nunique(), "missing", ph.ph.isna().sum(), "max", ph.ph.max(), "| cwd", os.getcwd())'''),
    differs('''out = ph.groupby("site").ph.mean().round(3).reset_index()
out["exported"] = datetime.now(); out''', "order", "downstream"),
    same('''acid = ph.loc[ph.ph < 6.5, "site"].tolist()
print("acid sites:", acid, "| object", object())'''),
    differs('''t0 = audit[0][0]
for when, what in audit: print(f"+{when - t0:.4f}s {what.split(';')[0]}")''', "order", "downstream"),
    same('''import ipywidgets as w
w.Dropdown(options=sorted(ph.site.unique()), description="site")'''),
], order=[0, 1, 3, 2, 4, 5, 6, 7, 8]))

# --------------------------------------------------------------------- upgrade

BLIND.append(Case("g-upgrade-pytz", [
    same('''import pandas as pd, numpy as np, time, uuid, os
from datetime import datetime
import pytz
print("flight planner", uuid.uuid4(), "pid", os.getpid())'''),
    same('''legs = pd.DataFrame({"flight": ["MX12", "AM90", "IB71", "AY05"], "zone": ["America/Mexico_City", "America/Mexico_City", "Europe/Madrid", "Europe/Helsinki"],
    "utc": pd.to_datetime(["2023-07-14 15:00", "2023-01-14 15:00", "2023-07-14 15:00", "2023-07-14 15:00"])})
print("made", datetime.now()); legs'''),
    differs('''for r in legs.itertuples():
    local = pytz.utc.localize(r.utc).astimezone(pytz.timezone(r.zone))
    print(r.flight, local.strftime("%d %b %H:%M"), f"ticket {uuid.uuid4().hex[:10]}")''', "library"),
    same('''spain = legs.utc.dt.tz_localize("UTC").dt.tz_convert("Europe/Madrid")
print(spain.to_string(), "\\nasked", time.time())'''),
    differs('''summer = pd.date_range("2023-03-25", periods=4, freq="14D", tz="America/Mexico_City")
print([str(s.utcoffset()) for s in summer], "| set", {str(uuid.uuid4())[:4] for _ in range(3)})''', "library"),
    same('''dist = {"MEX-MAD": 9082, "HEL-MAD": 2949}
for k, v in dist.items(): print(f"{k}: {v} km, {v / 850:.2f} h  ({time.perf_counter():.3f})")'''),
    differs('''noon = pytz.timezone("Asia/Amman").localize(datetime(2023, 1, 15, 12))
print("Amman", noon.isoformat(), "| seconds to now", (datetime.now(pytz.utc) - noon).days > 0, time.time_ns())''', "library"),
    differs('''print(f"pytz {pytz.__version__}, numpy {np.__version__}, process {os.getpid()}")''', "library"),
    same('''print(pytz.timezone("Asia/Tokyo").localize(datetime(2023, 7, 1)), hex(id(pytz.utc)), "in common:", "Europe/Paris" in pytz.common_timezones_set)'''),
], upgrade=("pytz==2026.6", "pytz==2022.1")))

BLIND.append(Case("g-upgrade-pandas3", [
    same('''import time, os, uuid, numpy as np, warnings
import pandas as pd
from datetime import datetime
print("session", uuid.uuid4(), datetime.now(), os.getpid())'''),
    same('''stars = pd.DataFrame({"name": ["Vega", "Sirius", "Deneb", "Rigel"], "mag": [0.03, -1.46, 1.25, 0.13], "n": [4, 1, 9, 3]})
print(hex(id(stars))); stars'''),
    differs('''t = time.perf_counter()
print(stars.dtypes.to_string()); print(f"{time.perf_counter() - t:.6f} s")''', "library"),
    same('''print(stars.mag.mean().round(4), stars.n.sum(), stars.sort_values("mag").name.tolist(), time.ctime())'''),
    differs('''obs = pd.Series(pd.to_datetime(["2024-05-01", "2024-05-03"]), name="obs")
print(obs, "\\nrun", uuid.uuid4())''', "library"),
    same('''print(stars.mag.describe().round(3).to_string(), "\\nran", datetime.now().isoformat())'''),
    differs('''sub = stars["mag"]
sub.iloc[0] = 9.99
print(f"Vega {stars.loc[0, 'mag']} after the edit of the column, {time.time():.0f}")''', "library"),
    same('''x = np.linspace(0, 1, 4); print(np.polyfit(x, stars.n, 1).round(4), "fitted", f"{time.process_time():.3f}")'''),
], upgrade=("pandas==2.2.3", "pandas==3.0.3")))

# ------------------------------------------------------------------------ cpus

BLIND.append(Case("g-cpus-workers", [
    same('''import os, time, uuid, numpy as np
from concurrent.futures import ThreadPoolExecutor
print("batch", uuid.uuid4(), time.strftime("%F %T"))'''),
    differs('''workers = len(os.sched_getaffinity(0))
print(f"pid {os.getpid()}: {workers} worker(s), started {time.time():.2f}")''', "machine"),
    same('''def pi(seed, n=20000):
    r = np.random.default_rng(seed); return 4 * np.mean(np.hypot(r.random(n), r.random(n)) < 1)
with ThreadPoolExecutor(workers) as pool: est = list(pool.map(pi, range(8)))
print(np.round(est, 4), f"mean {np.mean(est):.5f}")'''),
    differs('''chunks = np.array_split(np.arange(8), workers)
for c in chunks: print(uuid.uuid4().hex[:6], c, f"{time.perf_counter():.4f}")''', "machine", "downstream"),
    same('''%time big = sum(pi(s) for s in range(4)) / 4
print(f"{big:.5f}", "load", os.getloadavg())'''),
    differs('''from joblib import effective_n_jobs
print({"n_jobs": effective_n_jobs(-1), "job": str(uuid.uuid1()), "elapsed": time.process_time()})''', "machine"),
    differs('''rng = [np.random.default_rng([7, k]) for k in range(workers)]
draws = np.concatenate([g.normal(size=400 // workers) for g in rng])
print(f"mean of {draws.size} draws {draws.mean():.5f} ({time.time_ns()}, {rng[0]})")''', "machine", "downstream"),
    same('''print("os.cpu_count", os.cpu_count(), "total", len(est), "finished", time.ctime())'''),
], cpus=1))
