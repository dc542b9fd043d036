"""A blind set that was kept aside: reports, models, courses, measurements.

Written by someone who had seen neither the rules nor the other cases, asked for notebooks as people write them. Every truth was
decided from what the cell does, then checked in a plain kernel before and after its change. README has its figures at first sight. Rules were mended by some of these since.
"""

from truth import Case, Cell, differs, same, varies  # noqa: F401

BLIND = []
add = BLIND.append

# ---------------------------------------------------------------- noise alone

add(Case("e-iris-baseline", [
    same("""import time, logging, warnings
import numpy as np, pandas as pd
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score, train_test_split
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s", force=True)
log = logging.getLogger("baseline")
log.info("imports done")"""),
    same("""iris = load_iris(as_frame=True)
df = iris.frame
df.sample(5, random_state=3)"""),
    same("""pipe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
pipe"""),
    same("""%%time
scores = cross_val_score(pipe, iris.data, iris.target, cv=5)
print("CV accuracy: %.3f +/- %.3f" % (scores.mean(), scores.std()))"""),
    same("""X_tr, X_te, y_tr, y_te = train_test_split(iris.data, iris.target, test_size=0.3, random_state=0)
t0 = time.perf_counter()
pipe.fit(X_tr, y_tr)
log.info("fitted %d rows in %.4f s", len(X_tr), time.perf_counter() - t0)
print("test accuracy", round(pipe.score(X_te, y_te), 4))"""),
    same("""%timeit -n 50 -r 3 pipe.predict(X_te)"""),
    same("""import matplotlib.pyplot as plt
from datetime import datetime
fig, ax = plt.subplots(figsize=(4, 3))
ax.scatter(df.iloc[:, 2], df.iloc[:, 3], c=df.target, s=10)
fig.text(.99, .01, f"created {datetime.now():%Y-%m-%d %H:%M:%S}", ha="right", fontsize=6)
plt.show()"""),
    same("""def by_confidence(row):
    return max(row)
print(by_confidence, pipe.predict_proba, iter(scores))"""),
    same("""pipe.fit(X_tr.drop(columns="petal width (cm)"), y_tr).predict(X_te)"""),
]))

add(Case("e-ab-test-bootstrap", [
    same("""import datetime, uuid
import numpy as np, pandas as pd
import statsmodels.api as sm
from scipy import stats
run_id = uuid.uuid4()
print("run", run_id, "started", datetime.datetime.now().isoformat(timespec="seconds"))"""),
    same("""ab = pd.DataFrame({"variant": ["A", "B"], "visitors": [4120, 4087], "orders": [402, 455]})
ab["rate"] = ab.orders / ab.visitors
ab"""),
    same("""from statsmodels.stats.proportion import proportions_ztest
z, p = proportions_ztest(ab.orders, ab.visitors)
print(f"z = {z:.3f}, p = {p:.4f}")"""),
    varies("""# bootstrap of the uplift
a = np.repeat([1, 0], [402, 4120 - 402]); b = np.repeat([1, 0], [455, 4087 - 455])
boot = np.array([np.random.choice(b, b.size).mean() - np.random.choice(a, a.size).mean() for _ in range(500)])
print("uplift %.6f, 95%% interval %.6f .. %.6f" % (boot.mean(), *np.percentile(boot, [2.5, 97.5])))"""),
    varies("""import matplotlib.pyplot as plt
plt.hist(boot, bins=30); plt.axvline(0, color="k"); plt.xlabel("uplift");"""),
    same("""long = pd.DataFrame({"y": np.r_[a, b], "is_b": np.r_[np.zeros(a.size), np.ones(b.size)]})
fit = sm.Logit(long.y, sm.add_constant(long.is_b)).fit()
print(fit.summary())"""),
    same("""relative_step = np.diff([402, 455]) / np.array([0])
relative_step"""),
    same("""print("uplift is positive in more than half of the samples:", bool((boot > 0).mean() > .5))
print("end of run", run_id)"""),
]))

TEMPS = "time,station,temp\n" + "".join(f"2021-{m:02d}-01,{s},{round(b + 9 * [-.9,-.8,-.4,0,.5,.9,1,.9,.5,.1,-.4,-.8][m-1], 1)}\n" for s, b in (("Zurich", 9.4), ("Davos", 3.5)) for m in range(1, 13))

add(Case("e-climate-xarray", [
    same("""import os, tempfile, time
import numpy as np, pandas as pd, xarray as xr
t_start = time.time()
df = pd.read_csv("stations.csv", parse_dates=["time"])
df.info()"""),
    same("""!ls -l stations.csv
!wc -l stations.csv
!date"""),
    same("""da = df.set_index(["time", "station"])["temp"].to_xarray()
da.attrs["units"] = "degC"
da"""),
    same("""clim = da.groupby("time.season").mean("time").round(2)
print(clim.to_pandas())"""),
    same("""tmp = tempfile.NamedTemporaryFile(suffix=".nc", delete=False)
da.to_dataset(name="temp").to_netcdf(tmp.name, engine="scipy")
print("written to", tmp.name, os.path.getsize(tmp.name), "bytes")"""),
    same("""import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(6, 3))
da.plot.line(x="time", ax=ax)
ax.set_title("Monthly mean temperature")"""),
    same("""with xr.open_dataset(tmp.name, engine="scipy") as ds:
    back = ds.load()
print(back)
os.remove(tmp.name)
print(f"total {time.time() - t_start:.2f} s")"""),
    same("""xr.open_dataset(tmp.name, engine="scipy")"""),
], files={"stations.csv": TEMPS}))

add(Case("e-dashboard", [
    same("""import pandas as pd, numpy as np
import altair as alt
from bokeh.plotting import figure, show
from bokeh.io import output_notebook
output_notebook()"""),
    same("""kpi = pd.DataFrame({"month": pd.date_range("2024-01-01", periods=6, freq="MS"), "revenue": [120, 132, 101, 134, 190, 230], "cost": [80, 82, 91, 84, 120, 140]})
kpi["margin"] = kpi.revenue - kpi.cost
kpi.style.background_gradient(subset=["margin"]).format({"month": "{:%b %Y}"})"""),
    same("""p = figure(height=250, width=500, x_axis_type="datetime", title="Revenue")
p.line(kpi.month, kpi.revenue, line_width=2)
p.scatter(kpi.month, kpi.revenue, size=7)
show(p)"""),
    same("""alt.Chart(kpi).mark_bar().encode(x="month:T", y="margin:Q", tooltip=["margin"])"""),
    same("""import plotly.express as px, plotly.io as pio
fig = px.scatter(kpi, x="cost", y="revenue", size="margin")
from IPython.display import HTML
HTML(fig.to_html(include_plotlyjs="cdn", full_html=False))"""),
    same("""import ipywidgets as W
w = W.IntSlider(value=3, min=1, max=6, description="months")
out = W.Output()
W.VBox([w, out])"""),
    same("""from datetime import datetime
HTML(f"<h3>Monthly KPI</h3><p>Total margin <b>{kpi.margin.sum()}</b></p><footer>generated {datetime.now():%d.%m.%Y %H:%M:%S}</footer>")"""),
    same("""from tqdm.notebook import tqdm
import time
total = 0
for v in tqdm(kpi.revenue, desc="months"):
    total += int(v); time.sleep(.02)
print("total", total)"""),
    same("""p, w, fig.layout.title"""),
]))

add(Case("e-physics-montecarlo", [
    same("""import time, math
import numpy as np
import matplotlib.pyplot as plt
from scipy.optimize import curve_fit
from tqdm.auto import tqdm
np.set_printoptions(precision=4, suppress=True)"""),
    varies("""# quick estimate of pi by throwing darts
n = 200_000
x, y = np.random.rand(2, n)
print("pi ~", 4 * np.mean(x**2 + y**2 < 1), " after", n, "darts;", "mean x", x.mean())"""),
    same("""t = np.linspace(0, 2, 21)
rng = np.random.default_rng(11)
h = 10 - .5 * 9.81 * t**2 + rng.normal(0, .05, t.size)
popt, pcov = curve_fit(lambda t, h0, g: h0 - .5 * g * t**2, t, h, p0=(9, 9))
print("h0 = %.3f +- %.3f m" % (popt[0], pcov[0, 0]**.5))
print("g  = %.3f +- %.3f m/s2" % (popt[1], pcov[1, 1]**.5))"""),
    same("""plt.errorbar(t, h, yerr=.05, fmt="o", ms=3)
plt.plot(t, popt[0] - .5 * popt[1] * t**2)
plt.xlabel("t [s]"); plt.ylabel("h [m]")
plt.show()"""),
    same("""from tqdm import tqdm as bar
pos = 0
for step in bar(range(40), desc="walk"):
    pos += rng.integers(0, 2) * 2 - 1
    time.sleep(.005)
print("final position", pos)"""),
    varies("""rng2 = np.random.default_rng()
decays = rng2.exponential(scale=2.2, size=8)
decays"""),
    varies("""fig, ax = plt.subplots(figsize=(4, 3))
ax.scatter(rng2.normal(size=100), rng2.normal(size=100), s=8)
ax.set_title("beam spot");"""),
    same("""# timing of a python loop against numpy
import timeit
for name, f in [("loop", lambda: sum(i * i for i in range(20000))), ("numpy", lambda: (np.arange(20000)**2).sum())]:
    print(f"{name:6s} {timeit.timeit(f, number=10) / 10 * 1e3:8.3f} ms  -> {f()}")"""),
]))

LOGS = "ts,user,event\n" + "".join(f"2024-03-{1 + i // 6:02d}T{(7 * i) % 24:02d}:{(13 * i) % 60:02d}:00,u{(i * 7) % 5},{['login', 'view', 'buy', 'view'][i % 4]}\n" for i in range(40))

add(Case("e-events-etl", [
    same("""import sqlite3, csv, os, json, logging, sys, tempfile, threading, subprocess
from pathlib import Path
work = Path(tempfile.mkdtemp(prefix="etl_"))
logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(asctime)s,%(msecs)d %(threadName)s %(message)s", force=True)
logging.info("working in %s", work)"""),
    same("""con = sqlite3.connect(work / "events.db")
con.execute("create table events (ts text, user text, event text)")
with open("events.csv") as f:
    rows = [tuple(r.values()) for r in csv.DictReader(f)]
con.executemany("insert into events values (?, ?, ?)", rows)
con.commit()
con"""),
    same("""con.execute("select event, count(*) n, count(distinct user) users from events group by event order by n desc").fetchall()"""),
    same("""users = {r[1] for r in rows}
print(users, "buyers:", {r[1] for r in rows if r[2] == "buy"})"""),
    same("""results = {}
def load(part):
    results[part] = sum(1 for r in rows if r[0].startswith(part))
    logging.debug("day %s has %d events", part, results[part])
for d in ("2024-03-01", "2024-03-02", "2024-03-07"):
    th = threading.Thread(target=load, args=(d,), name="loader"); th.start(); th.join()
results, th"""),
    same("""r = subprocess.run([sys.executable, "-c", "import os, time; print('child', os.getpid(), 'at', time.ctime())"], capture_output=True, text=True)
print(r.returncode, r.stdout)"""),
    same("""con.execute("select * from event_types")"""),
    same("""%who"""),
    same("""import shutil, time
con.close(); shutil.rmtree(work)
summary = {"rows": len(rows), "finished": time.strftime("%Y-%m-%dT%H:%M:%S"), "tmp": str(work), "by_day": results}
print(json.dumps(summary, indent=2))"""),
], files={"events.csv": LOGS}))

add(Case("e-social-graph", [
    same("""import networkx as nx, numpy as np, random, time
import matplotlib.pyplot as plt
G = nx.karate_club_graph()
print(G)
G"""),
    same("""t = time.time()
bc = nx.betweenness_centrality(G)
print("took", time.time() - t)
sorted(((round(v, 4), n) for n, v in bc.items()), reverse=True)[:5]"""),
    same("""comm = nx.community.louvain_communities(G, seed=7)
for i, c in enumerate(comm): print(i, len(c), sorted(c))"""),
    same("""pos = nx.spring_layout(G, seed=1)
nx.draw(G, pos, node_size=60, width=.5, node_color=[G.degree(n) for n in G])"""),
    varies("""walk = [0]
for _ in range(25): walk.append(random.choice(list(G[walk[-1]])))
print(" ".join(map(str, walk)))"""),
    varies("""R = nx.gnp_random_graph(60, .1)
print(R, "first edges", list(R.edges)[:6])"""),
    same("""G.nodes(), G.adj[33], nx.shortest_path(G, 16, 26)"""),
    same("""try:
    nx.shortest_path(G, 0, 99)
except nx.NodeNotFound as e:
    print(type(e).__name__, e)
nx.find_cycle(nx.path_graph(4))"""),
]))

# ---------------------------------------------------------------- data

SALES = "order_id,date,region,product,units,price\n" + "".join(
    f"{1000 + i},2024-{1 + i // 5:02d}-{3 + (i * 5) % 24:02d},{['North', 'South', 'East', 'West'][i % 4]},{['lamp', 'chair', 'desk'][i % 3]},{2 + (i * 7) % 11},{[19.9, 49.5, 129.0][i % 3]}\n" for i in range(30))
assert SALES.count("1013,2024-03-20,South,chair,5,49.5") == 1, SALES
add(Case("e-sales-report", [
    same("""import pandas as pd, matplotlib.pyplot as plt
from datetime import datetime
print("Sales report", datetime.now())
pd.set_option("display.width", 120)"""),
    same("""df = pd.read_csv("sales.csv", parse_dates=["date"])
print(df.shape)
df.head()"""),
    same("""df.isna().sum()"""),
    differs("""df["revenue"] = df.units * df.price
df.groupby("region").revenue.agg(["count", "sum", "mean"]).round(2)""", "data", "downstream"),
    same("""df[df.region != "South"].pivot_table(index="product", columns="region", values="revenue", aggfunc="sum")"""),
    differs("""monthly = df.set_index("date").revenue.resample("MS").sum()
ax = monthly.plot.bar(rot=30, figsize=(7, 3), title="Revenue by month")""", "data", "downstream"),
    differs("""print(f"[{datetime.now():%H:%M:%S}] best month {monthly.idxmax():%B}, total {monthly.sum():,.2f} EUR, object {id(monthly):#x}")""", "data", "downstream"),
    same("""print("orders:", len(df), "regions:", set(df.region), f"written {datetime.now():%F %T}")"""),
], files={"sales.csv": SALES}, data={"sales.csv": SALES.replace("1013,2024-03-20,South,chair,5,49.5", "1013,2024-03-20,South,chair,9,49.5")}))

FASTA = ">seqA Homo sapiens\nATGGCCATTGTAATGGGCCGCTGAAAGGGTGCCCGATAG\n>seqB Mus musculus\nATGGCCATTGTTATGGGACGCTGAAAGGATGCCCGATAA\n>seqC Danio rerio\nATGACTATCGTGATGGGTCGTTGACAAGGTGCTAGATAG\n"
add(Case("e-fasta-gc", [
    same("""import time, collections, itertools, tempfile, os
from pathlib import Path
start = time.time()
!grep '>' genes.fasta
!wc -c genes.fasta"""),
    same("""def read_fasta(path):
    name, seqs = None, {}
    for line in Path(path).read_text().splitlines():
        if line.startswith(">"): name = line[1:].split()[0]; seqs[name] = ""
        else: seqs[name] += line
    return seqs
seqs = read_fasta("genes.fasta")
{k: len(v) for k, v in seqs.items()}"""),
    differs("""for k, s in seqs.items():
    print(k, f"GC {100 * (s.count('G') + s.count('C')) / len(s):.2f} %")""", "data", "downstream"),
    same("""print("seqA", collections.Counter(seqs["seqA"]).most_common())
read_fasta"""),
    differs("""def hamming(a, b): return sum(x != y for x, y in zip(a, b))
import pandas as pd
D = pd.DataFrame({a: {b: hamming(seqs[a], seqs[b]) for b in seqs} for a in seqs})
D""", "data", "downstream"),
    differs("""%%bash
grep -v '>' genes.fasta | tr -d '\\n' | fold -w1 | sort | uniq -c
echo "done at $(date +%T) in shell $$\"""", "data"),
    same("""from scipy.cluster.hierarchy import linkage, leaves_list
from scipy.spatial.distance import squareform
Z = linkage(squareform(D.values), "average")
print("closest pair:", sorted(D.index[[int(Z[0, 0]), int(Z[0, 1])]]), "| %.3f s" % (time.time() - start))"""),
    same("""kmers = {s[i:i+3] for s in seqs.values() for i in range(0, 12, 3)}
with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
    f.write("\\n".join(sorted(kmers))); f.flush()
    print(f.name, os.path.getsize(f.name)); print(kmers)"""),
], files={"genes.fasta": FASTA}, data={"genes.fasta": FASTA.replace("GGTGCTAGATAG", "GGTGCTAAATAG")}))

QUAKES = "id,lat,lon,depth_km,mag\n" + "".join(f"q{i:02d},{round(35 + (i * 37 % 50) / 10, 1)},{round(20 + (i * 23 % 70) / 10, 1)},{5 + i * 17 % 90},{round(2.5 + (i * 13 % 31) / 10, 1)}\n" for i in range(36))
assert QUAKES.count("q20,39.0,24.0,75,3.7\n") == 1, QUAKES
add(Case("e-quake-catalogue", [
    same("""import numpy as np, pandas as pd, sqlite3, time, json
import matplotlib.pyplot as plt
con = sqlite3.connect(":memory:")
quakes = pd.read_csv("catalogue/quakes.csv")
quakes.to_sql("quakes", con, index=False)"""),
    same("""%%time
near = pd.read_sql("select id, mag, depth_km from quakes where lat < 37 order by mag desc limit 6", con)
near"""),
    differs("""strong = pd.read_sql("select id, lat, lon, mag from quakes where mag >= 4.9 order by id", con)
print(len(strong), "strong events")
strong""", "data", "downstream"),
    same("""plt.figure(figsize=(5, 4))
plt.scatter(quakes.lon, quakes.lat, c=quakes.depth_km, s=20)
plt.colorbar(label="depth [km]"); plt.title("Epicentres");"""),
    differs("""mc = 3.0
m = quakes.mag[quakes.mag >= mc]
b = np.log10(np.e) / (m.mean() - (mc - .05))
print(f"b-value {b:.4f} from {len(m)} events ({time.strftime('%c')})")""", "data", "downstream"),
    same("""quakes.depth_km.describe().round(2)"""),
    differs("""with open("catalogue/summary.json", "w") as f:
    json.dump({"max_mag": quakes.mag.max(), "mean_mag": round(quakes.mag.mean(), 4), "created": time.time()}, f)
!cat catalogue/summary.json""", "data", "downstream"),
    same("""con, sorted(p for p in con.execute("select name from sqlite_master").fetchall())"""),
], files={"catalogue/quakes.csv": QUAKES}, data={"catalogue/quakes.csv": QUAKES.replace("q20,39.0,24.0,75,3.7\n", "q20,39.0,24.0,75,5.7\n")}))

# ---------------------------------------------------------------- a seed, in a file and in a variable

add(Case("e-simulation-config", [
    differs("""import json, numpy as np, pandas as pd, time, uuid
cfg = json.load(open("config.json"))
print("run", uuid.uuid4().hex[:8]); print(cfg)""", "data", "random"),
    same("""rng = np.random.default_rng(cfg["seed"])
print(rng)
print("paths:", cfg["paths"], "steps:", cfg["steps"])"""),
    differs("""ret = rng.normal(cfg["mu"] / 252, cfg["sigma"] / 252**.5, size=(cfg["paths"], cfg["steps"]))
price = 100 * np.exp(ret.cumsum(axis=1))
pd.DataFrame(price[:4, ::50].round(2))""", "data", "random", "downstream"),
    differs("""import matplotlib.pyplot as plt
plt.plot(price[:20].T, lw=.6); plt.title("simulated prices"); plt.show()""", "data", "random", "downstream"),
    differs("""t = time.perf_counter()
loss = 100 - price[:, -1]
var95 = np.percentile(loss, 95)
print(f"VaR(95%) = {var95:.4f}   (computed in {1e3 * (time.perf_counter() - t):.3f} ms)")""", "data", "random", "downstream"),
    same("""# analytic value for comparison
from scipy.stats import norm
print("analytic VaR %.4f" % (100 * (1 - np.exp(cfg["mu"] - .5 * 0 + cfg["sigma"] * norm.ppf(.05)))))
price.shape"""),
    varies("""# antithetic check, fresh generator
z = np.random.default_rng().normal(size=10000)
print("sanity: mean of a fresh sample", z.mean())"""),
], files={"config.json": '{"seed": 20240, "paths": 300, "steps": 252, "mu": 0.05, "sigma": 0.2}\n'},
   data={"config.json": '{"seed": 20241, "paths": 300, "steps": 252, "mu": 0.05, "sigma": 0.2}\n'}))

add(Case("e-kmeans-seed-variable", [
    same("""import os, random, time
import numpy as np, pandas as pd
from sklearn.datasets import load_wine
from sklearn.preprocessing import scale
SEED = int(os.environ.get("SEED", "0"))
np.random.seed(SEED); random.seed(SEED)
wine = load_wine(as_frame=True)
wine.frame.iloc[:3, :5]"""),
    differs("""idx = np.random.permutation(len(wine.data))[:60]
print("subsample", np.sort(idx)[:15])""", "environment", "random", "downstream"),
    differs("""sub = wine.data.iloc[idx]
sub.describe().loc[["mean", "std"], ["alcohol", "malic_acid", "ash"]]""", "environment", "random", "downstream"),
    same("""from sklearn.decomposition import PCA
pca = PCA(2).fit(scale(wine.data))
pca.explained_variance_ratio_.round(4)"""),
    same("""t0 = time.time()
from sklearn.cluster import KMeans
km = KMeans(3, n_init=4, random_state=0).fit(scale(wine.data))
print("inertia %.2f, fitted in %.3fs" % (km.inertia_, time.time() - t0))
km"""),
    differs("""import matplotlib.pyplot as plt
xy = pca.transform(scale(wine.data))[idx]
plt.scatter(*xy.T, c=km.labels_[idx]); plt.title("subsample, PCA")""", "environment", "random", "downstream"),
    differs("""print("seed", SEED, "pid", os.getpid(), "draw", random.randint(0, 10**9))""", "environment", "random", "downstream"),
    same("""wine.target.value_counts()"""),
], environment={"SEED": "7"}, given={"SEED": "8"}))

# ---------------------------------------------------------------- environment

HOTELS = "country,city,nights,rating\nCH,Basel,120,7.9\nCH,Bern,88,8.1\nCH,Chur,45,8.4\nAT,Linz,97,7.5\nAT,Graz,130,8.0\nAT,Wien,410,8.6\n"
add(Case("e-country-report", [
    same("""import os, logging
import pandas as pd
from rich.console import Console
from rich.table import Table
logging.basicConfig(format="%(asctime)s %(message)s", level="INFO", force=True)
hotels = pd.read_csv("hotels.csv")
logging.info("read %d rows", len(hotels))
hotels"""),
    differs("""country = os.getenv("REPORT_COUNTRY", "CH")
sel = hotels.query("country == @country")
sel""", "environment"),
    differs("""t = Table(title=f"Hotels in {country}")
for c in sel.columns[1:]: t.add_column(c)
for r in sel.itertuples(index=False): t.add_row(*map(str, r[1:]))
Console(width=60).print(t)""", "environment", "downstream"),
    same("""hotels.groupby("country").nights.sum()"""),
    differs("""!echo "country: $REPORT_COUNTRY, shell $$, $(date +%H:%M:%S.%N)\"""", "environment"),
    differs("""import matplotlib.pyplot as plt, time
plt.bar(sel.city, sel.nights, color="teal")
plt.xlabel(time.strftime("printed %d %b %Y %H:%M:%S"));""", "environment", "downstream"),
    same("""logging.warning("%d rows kept, %s", len(sel), object())
print(sel.shape)"""),
    same("""sel.city.str.upper.__name__, hotels.rating.max()"""),
], files={"hotels.csv": HOTELS}, environment={"REPORT_COUNTRY": "CH", "TEAM": "bi"}, given={"REPORT_COUNTRY": "AT"}))

add(Case("e-course-ttest", [
    same("""import os, time
import numpy as np, pandas as pd
from scipy import stats
g = pd.read_csv("groups.csv")
g.groupby("group").score.describe().round(3)"""),
    same("""t, p = stats.ttest_ind(g[g.group == "x"].score, g[g.group == "y"].score)
print(f"t = {t:.4f}  p = {p:.5f}   [{time.ctime()}]")"""),
    differs("""ALPHA = float(os.environ["ALPHA"])
print("we reject H0" if p < ALPHA else "we cannot reject H0", "at the level", ALPHA)""", "environment"),
    same("""stats.shapiro(g.score), stats.levene(g[g.group == "x"].score, g[g.group == "y"].score)"""),
    differs("""x = g[g.group == "x"].score
lo, hi = stats.t.interval(1 - ALPHA, len(x) - 1, x.mean(), stats.sem(x))
print(f"{100 * (1 - ALPHA):g} % interval of the mean of x: {lo:.3f} .. {hi:.3f}")""", "environment", "downstream"),
    same("""import seaborn as sns
ax = sns.boxplot(data=g, x="group", y="score")"""),
    differs("""from statsmodels.stats.power import TTestIndPower
power = TTestIndPower().power(effect_size=.8, nobs1=len(x), alpha=ALPHA)
print("power %.4f, object %r" % (power, TTestIndPower()))""", "environment", "downstream"),
    same("""{k: v for k, v in os.environ.items() if k in ("LECTURE", "TERM")}"""),
], files={"groups.csv": "group,score\n" + "".join(f"{'xy'[i % 2]},{[52, 58, 61, 66, 49, 60, 57, 63, 55, 64, 60, 59, 50, 65, 58, 62][i]}\n" for i in range(16))},
   environment={"ALPHA": "0.05", "LECTURE": "stat-101", "TERM": "HS24"}, given={"ALPHA": "0.001"}))

# ---------------------------------------------------------------- library

add(Case("e-pagerank-patched", [
    differs("""import networkx as nx, pandas as pd, time
nx.__version__, nx.pagerank""", "library"),
    same("""D = nx.DiGraph([("a", "b"), ("b", "c"), ("c", "a"), ("d", "c"), ("e", "a"), ("e", "d"), ("f", "e"), ("a", "f")])
print(D); D"""),
    same("""pd.DataFrame({"in": dict(D.in_degree()), "out": dict(D.out_degree())})"""),
    differs("""t = time.perf_counter()
pr = nx.pagerank(D)
print("pagerank took", time.perf_counter() - t, "s")
pd.Series(pr).round(4).sort_values(ascending=False)""", "library"),
    same("""print("nodes by name:", sorted(pr), "sum %.3f" % sum(pr.values()))
hubs, auth = nx.hits(D)
{k: abs(round(v, 3)) for k, v in auth.items()}"""),
    differs("""import matplotlib.pyplot as plt
nx.draw_circular(D, node_size=[6000 * pr[n] for n in D], with_labels=True)
plt.title("size: pagerank"); plt.show()""", "library", "downstream"),
    same("""{n: round(c, 4) for n, c in nx.closeness_centrality(D).items()}"""),
], patch=("networkx/algorithms/link_analysis/pagerank_alg.py", "def pagerank(\n    G,\n    alpha=0.85,", "def pagerank(\n    G,\n    alpha=0.5,")))

add(Case("e-markdown-table-patched", [
    same("""import pandas as pd, numpy as np, datetime
from tabulate import tabulate
res = pd.DataFrame({"model": ["ridge", "lasso", "forest"], "rmse": [3.14159265, 2.7182818, 1.41421356], "n": [100, 100, 80]})
res"""),
    differs("""print(tabulate(res, headers="keys", showindex=False))""", "library"),
    differs("""print(res.to_markdown(index=False))
print("\\n_table made", datetime.datetime.now(), "_")""", "library"),
    same("""print(tabulate(res[["model", "n"]], headers="keys", tablefmt="rst", showindex=False))"""),
    same("""res.rmse.round(3).tolist(), tabulate.__module__, iter(res)"""),
    differs("""from IPython.display import HTML
HTML(tabulate(res.values.tolist(), tablefmt="html"))""", "library"),
    same("""print(tabulate(res, headers="keys", floatfmt=".2f", tablefmt="grid"))"""),
], patch=("tabulate/__init__.py", '_DEFAULT_FLOATFMT = "g"', '_DEFAULT_FLOATFMT = ".3f"')))

add(Case("e-seaborn-palette-patched", [
    same("""import time, numpy as np, pandas as pd, seaborn as sns, matplotlib.pyplot as plt
rng = np.random.default_rng(5)
tips = pd.DataFrame({"day": rng.choice(["Thu", "Fri", "Sat"], 60), "bill": rng.gamma(4, 5, 60).round(2), "smoker": rng.choice(["yes", "no"], 60)})
tips.head(4)"""),
    same("""tips.groupby(["day", "smoker"]).bill.agg(["size", "mean"]).round(2)"""),
    differs("""sns.stripplot(data=tips, x="day", y="bill", hue="smoker", palette="deep", jitter=False)""", "library"),
    same("""plt.hist(tips.bill, bins=12, color="grey"); plt.title("bills");"""),
    differs("""sns.color_palette("deep").as_hex()[:3]""", "library"),
    differs("""t = time.time()
g = sns.catplot(data=tips, x="day", y="bill", kind="box", hue="smoker", palette=sns.color_palette("deep", 2), height=3)
print(f"drawn in {time.time() - t:.2f} s", g)""", "library"),
    same("""sns.heatmap(tips.pivot_table(index="day", columns="smoker", values="bill"), annot=True, cmap="viridis")
sns.color_palette("colorblind").as_hex()[0]"""),
], patch=("seaborn/palettes.py", 'deep=["#4C72B0", ', 'deep=["#B0724C", ')))

add(Case("e-graph-export-upgraded", [
    differs("""import networkx as nx, json, tempfile, os
print("networkx", nx.__version__)""", "library"),
    same("""G = nx.Graph()
G.add_edge("Bern", "Basel", km=95); G.add_edge("Bern", "Chur", km=240); G.add_edge("Basel", "Chur", km=204)
print(G)
dict(G.degree())"""),
    differs("""data = nx.node_link_data(G)
print(list(data)); print(json.dumps(data)[-150:])""", "library"),
    same("""nx.shortest_path_length(G, "Basel", "Chur", weight="km"), nx.minimum_spanning_tree(G, weight="km").edges(data="km")"""),
    differs("""# spanning tree for the exercise sheet
T = nx.random_tree(8, seed=3)
sorted(T.edges)""", "library"),
    same("""path = tempfile.mktemp(suffix=".graphml")
nx.write_edgelist(G, path); print(path); print(open(path).read())"""),
    same("""nx.density(G), nx.average_clustering(G), G"""),
    differs("""print("keys with edges:", [k for k in data if data[k] and k not in ("nodes", "graph")], "| file", os.path.basename(path))""", "library", "downstream"),
], upgrade=("networkx==3.6.1", "networkx==3.2.1")))

add(Case("e-summary-table-upgraded", [
    differs("""import tabulate, pandas as pd, time
from statsmodels.stats.descriptivestats import describe
print("pandas", pd.__version__, "tabulate", tabulate.__version__, time.strftime("%F %T"))""", "library"),
    same("""lab = pd.DataFrame({"sample": ["s1", "s2", "s3"], "ph": [7.02, 6.8, 7.41], "ok": [True, False, True]})
lab.describe().round(3)"""),
    same("""print(tabulate.tabulate(lab.values.tolist(), headers=list(lab.columns), tablefmt="github"))"""),
    differs("""len(tabulate.tabulate_formats), [f for f in tabulate.tabulate_formats if "grid" in f]""", "library"),
    differs("""print(tabulate.tabulate([["pH", 7.02], ["T", 21.5]], headers=["quantity", "value"], tablefmt="outline"))""", "library"),
    same("""%timeit -n 20 -r 2 tabulate.tabulate(lab.values.tolist())"""),
    same("""lab.groupby("ok").ph.mean()"""),
], upgrade=("tabulate==0.10.0", "tabulate==0.8.10")))

# ---------------------------------------------------------------- code

add(Case("e-diabetes-edited", [
    same("""import numpy as np, pandas as pd, time, warnings
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
data = load_diabetes(as_frame=True)
X, y = data.data, data.target
X.iloc[:3, :4]"""),
    differs("""X_tr, X_te, y_tr, y_te = train_test_split(X, y, test_size=0.25, random_state=1)
print("train", X_tr.shape, "test", X_te.shape)""", "code"),
    differs("""%%time
model = Ridge(alpha=.5).fit(X_tr, y_tr)
print("R2 on the test set: %.4f" % model.score(X_te, y_te))""", "downstream", "code"),
    differs("""model""", "downstream", "code"),
    differs("""coef = pd.Series(model.coef_, X.columns).round(1)
coef.sort_values()""", "downstream", "code"),
    same("""y.describe()"""),
    differs("""import matplotlib.pyplot as plt
plt.scatter(y_te, model.predict(X_te), s=8)
plt.title(f"residual sd {np.std(y_te - model.predict(X_te)):.1f}")""", "downstream", "code"),
    same("""np.corrcoef(X.bmi, y).round(4), time.time()"""),
    same("""pd.read_csv("diabetes_extra.csv")"""),
], edited={1: """X_tr, X_te, y_tr, y_te = train_test_split(X, y, test_size=0.3, random_state=1)
print("train", X_tr.shape, "test", X_te.shape)"""}))

add(Case("e-econometrics-edited", [
    same("""import numpy as np, pandas as pd, statsmodels.formula.api as smf
rng = np.random.default_rng(99)
n = 120
educ = rng.integers(8, 20, n); exper = rng.integers(0, 30, n)
wage = np.exp(.6 + .08 * educ + .02 * exper + rng.normal(0, .3, n))
w = pd.DataFrame(dict(wage=wage, educ=educ, exper=exper))
w.head(3).round(3)"""),
    differs("""ols = smf.ols("np.log(wage) ~ educ", w).fit()
print(ols.summary())""", "code"),
    same("""# robustness: median regression
lad = smf.quantreg("np.log(wage) ~ educ + exper", w).fit(q=.5)
lad.params.round(3)"""),
    differs("""print(f"R2 = {ols.rsquared:.4f}, AIC = {ols.aic:.2f}, model at {id(ols)}")""", "downstream", "code"),
    same("""w.corr().round(3)"""),
    same("""boot_seed = 12
res = [w.sample(60, random_state=boot_seed + i).wage.mean() for i in range(5)]
np.round(res, 3)"""),
    differs("""import matplotlib.pyplot as plt
plt.hist(ols.resid, bins=20); plt.xlabel("residual"); plt.show()""", "downstream", "code"),
], edited={1: """ols = smf.ols("np.log(wage) ~ educ + exper", w).fit()
print(ols.summary())"""}))

add(Case("e-permutation-seed-edited", [
    same("""import numpy as np, time
from tqdm import tqdm
np.set_printoptions(precision=3)
before = np.array([12.1, 14.3, 11.8, 13.0, 15.2, 12.9]); after = np.array([13.0, 14.9, 12.5, 12.8, 16.1, 14.0])
obs = (after - before).mean()
print("observed difference %.3f" % obs)"""),
    same("""rng = np.random.default_rng(1)"""),
    differs("""d = after - before
perm = np.array([(d * rng.choice([-1, 1], d.size)).mean() for _ in tqdm(range(400))])
print("mean of permutations %.5f, sd %.5f" % (perm.mean(), perm.std()))""", "downstream", "code", "random"),
    differs("""import matplotlib.pyplot as plt
plt.hist(perm, bins=25); plt.axvline(obs, c="r");""", "downstream", "code", "random"),
    same("""from scipy import stats
stats.ttest_rel(after, before)"""),
    differs("""print(rng.integers(0, 100, 8), time.strftime("%X"))""", "downstream", "code", "random"),
    same("""perm.shape, d, rng"""),
], edited={1: """rng = np.random.default_rng(2)"""}))

# ---------------------------------------------------------------- order

add(Case("e-cleaning-order", [
    same("""import pandas as pd, numpy as np, time
raw = pd.DataFrame({"id": [1, 2, 2, 3, 4, 5], "income": [3200., np.nan, np.nan, 4100., 99999., 2800.], "age": [31, 45, 45, 28, 39, 52]})
raw"""),
    same("""df = raw.drop_duplicates().copy()
print(len(df), "rows", time.strftime("%H:%M:%S"))"""),
    differs("""df.loc[df.income > 50000, "income"] = np.nan
print("missing now:", int(df.income.isna().sum()))""", "order"),
    differs("""df["income"] = df.income.fillna(df.income.median())
print("filled with", df.income.iloc[1])""", "order"),
    differs("""df.income.describe().round(2)""", "order", "downstream"),
    same("""df.age.describe().round(2)"""),
    same("""df.columns, df.shape, [id(df)]"""),
], order=[0, 1, 3, 2, 4, 5, 6]))

add(Case("e-sympy-order", [
    same("""import sympy as sp, time
sp.init_printing()
x, a, t = sp.symbols("x a t", positive=True)
f = x**2 * sp.exp(-a * x)
f"""),
    same("""sp.integrate(f, (x, 0, sp.oo))"""),
    differs("""sol = sp.solve(sp.diff(f, x), x)
sol""", "order"),
    same("""start = time.time()
print(sp.series(sp.sin(t), t, 0, 8), "  %.3f s" % (time.time() - start))"""),
    same("""f = f + a * x"""),
    same("""M = sp.Matrix([[2, 1], [1, 3]])
M.eigenvals(), M.det()"""),
    same("""print(sp.latex(sp.Integral(sp.cos(x)**2, x)), sp.simplify)"""),
    differs("""print("f is now", f)""", "order", "downstream"),
    same("""f = x**2 * sp.exp(-a * x) + 1
sp.limit(f, x, sp.oo)"""),
], order=[0, 1, 4, 2, 3, 5, 6, 8, 7]))

# ---------------------------------------------------------------- machine

add(Case("e-parallel-workers", [
    same("""import os, time, threading
from concurrent.futures import ThreadPoolExecutor
from joblib import Parallel, delayed
import numpy as np
print("started", time.ctime(), "in", threading.current_thread())"""),
    differs("""n_workers = len(os.sched_getaffinity(0))
print("using", n_workers, "worker(s)")""", "machine"),
    differs("""chunks = np.array_split(np.arange(1, 21), n_workers)
[c.tolist() for c in chunks]""", "machine", "downstream"),
    same("""with ThreadPoolExecutor(n_workers) as ex:
    parts = list(ex.map(lambda c: int((c**2).sum()), chunks))
print("sum of squares", sum(parts), ex)"""),
    differs("""!echo "cpus: $(nproc)  $(date +%s)\"""", "machine"),
    same("""t = time.perf_counter()
res = Parallel(n_jobs=2, prefer="threads")(delayed(lambda k: k**3)(k) for k in range(6))
print(res, f"{time.perf_counter() - t:.3f} s")"""),
    differs("""print("partial sums", parts)""", "machine", "downstream"),
    same("""sum(parts) == int((np.arange(1, 21)**2).sum())"""),
], cpus=1))

# ---------------------------------------------------------------- moved

add(Case("e-wine-moved", [
    same("""import os, sys, pathlib, time
import pandas as pd
here = pathlib.Path.cwd()
print("project:", here)"""),
    same("""!pwd
!ls"""),
    same("""df = pd.read_csv(here / "input" / "wine.csv")
df"""),
    same("""out = here / "result"; out.mkdir(exist_ok=True)
target = out / "mean.csv"
df.groupby("colour").mean(numeric_only=True).to_csv(target)
print("saved", target, target.stat().st_size, "bytes"); print(target.read_text())"""),
    same("""pd.read_csv(here / "input" / "beer.csv")"""),
    same("""import matplotlib.pyplot as plt
df.plot.scatter("alcohol", "quality", title="wine");"""),
    same("""os.environ.get("PROJECT", str(here / "default")), [p.relative_to(here).as_posix() for p in sorted(here.rglob("*.csv"))]"""),
    same("""print(f"{time.time():.0f}", df.quality.mean(), __name__)"""),
], files={"input/wine.csv": "colour,alcohol,quality\nred,12.5,5\nred,13.1,6\nwhite,11.2,6\nwhite,12.0,7\nwhite,10.9,5\n"}, moved=True))

# ---------------------------------------------------------------- bash

VCF = "#CHROM\tPOS\tREF\tALT\tQUAL\n" + "".join(f"chr{1 + i % 3}\t{1000 + 137 * i}\t{'ACGT'[i % 4]}\t{'GTAC'[i % 4]}\t{20 + i * 7 % 40}\n" for i in range(14))
assert VCF.count("chr2\t2370\tG\tA\t50") == 1, VCF
add(Case("e-variants-shell", [
    same("""head -3 variants.vcf
wc -l < variants.vcf"""),
    same("""grep -v '^#' variants.vcf | cut -f1 | sort | uniq -c"""),
    differs("""awk -F'\\t' '!/^#/ && $5 >= 45' variants.vcf""", "data"),
    same("""tmp=$(mktemp)
grep -v '^#' variants.vcf | cut -f3,4 | sort | uniq -c > $tmp
echo "counts in $tmp"; cat $tmp; rm $tmp"""),
    differs("""awk -F'\\t' '!/^#/ {s += $5; n++} END {printf "mean quality %.3f of %d\\n", s / n, n}' variants.vcf
date""", "data"),
    same("""cut -f2 variants.vcf | tail -n +2 | sort -n | tail -1
echo "shell $$ finished $(date +%T)\""""),
    same("""cat missing.vcf"""),
    differs("""md5sum variants.vcf""", "data"),
], kernel="bash", files={"variants.vcf": VCF}, data={"variants.vcf": VCF.replace("chr2\t2370\tG\tA\t50", "chr2\t2370\tG\tA\t40")}))
