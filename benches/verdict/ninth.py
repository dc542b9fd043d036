"""The ninth blind set: statistics, sensors, biology, geography.

Written by someone who had seen neither the rules nor the other cases, asked for notebooks as people write them. Every truth was
decided from what the cell does, then checked in a plain kernel before and after its change. README has its figures at first sight. Rules were mended by some of these since.
"""

import datetime as _dt
import json as _json
import math as _math
import random as _random

from truth import Case, Cell, differs, same, varies  # noqa: F401

BLIND = []


# ---------------------------------------------------------------- data

def _greenhouse():
    r = _random.Random(11)
    rows = ["time,bench,temp,hum,co2"]
    t0 = _dt.datetime(2024, 5, 13)
    for h in range(96):
        t = t0 + _dt.timedelta(hours=h)
        for bench in ("A", "B"):
            temp = 19 + 6 * _math.sin((h - 8) / 24 * 2 * _math.pi) + r.gauss(0, 0.5) + (bench == "B")
            hum = 70 - 1.5 * (temp - 19) + r.gauss(0, 2)
            co2 = "" if r.random() < 0.04 else f"{420 + 60 * r.random():.0f}"
            rows.append(f"{t:%Y-%m-%d %H:%M},{bench},{temp:.2f},{hum:.1f},{co2}")
    return "\n".join(rows) + "\n"


def _birds():
    r = _random.Random(5)
    rows = ["ring,species,sex,wing_mm,mass_g"]
    for i in range(240):
        sp, w, m = r.choice([("Parus major", 75, 18.0), ("Cyanistes caeruleus", 66, 11.0), ("Sitta europaea", 86, 22.5)])
        sex = "F" if r.random() < 0.5 else "M"
        rows.append(f"K{40210 + i},{sp},{sex},{r.gauss(w + (sex == 'M'), 1.6):.1f},{r.gauss(m + 0.4 * (sex == 'M'), 0.9):.2f}")
    return "\n".join(rows) + "\n"


def _survey():
    r = _random.Random(8)
    rows = ["respondent,region,age,q1,q2,q3"]
    for i in range(180):
        region = ["North", "South", "East", "West", "Islands"][int(r.random() * 5)]
        qs = [str(1 + int(r.random() * 5)) if r.random() > 0.03 else "" for _ in range(3)]
        rows.append(f"R{i:04d},{region},{18 + int(r.random() * 60)}," + ",".join(qs))
    return "\n".join(rows) + "\n"


def _rain():
    r = _random.Random(3)
    rows = ["date,station,mm"]
    for d in range(120):
        day = _dt.date(2023, 1, 1) + _dt.timedelta(days=d)
        for st in ("Bergen", "Oslo", "Tromso"):
            mm = 0.0 if r.random() < 0.45 else r.random() ** 2 * {"Bergen": 40, "Oslo": 15, "Tromso": 22}[st]
            rows.append(f"{day},{st},{mm:.1f}")
    return "\n".join(rows) + "\n"


def _river():
    r = _random.Random(21)
    rows = ["date,level_cm,flow_m3s,turbidity"]
    for d in range(150):
        day = _dt.date(2022, 3, 1) + _dt.timedelta(days=d)
        flow = 80 + 45 * _math.sin(d / 23) + r.gauss(0, 6)
        if d in (17, 64, 101):
            flow = 990 + d
        fl = "" if d in (16, 30, 31, 32, 65, 77, 78, 120) else f"{flow:.1f}"
        rows.append(f"{day},{120 + 25 * _math.sin(d / 23) + r.gauss(0, 2):.0f},{fl},{4 + 3 * r.random():.2f}")
    return "\n".join(rows) + "\n"


def _wages():
    r = _random.Random(14)
    rows = ["id,educ,exper,female,region,wage"]
    for i in range(300):
        educ = 8 + int(r.random() * 11)
        exper = int(r.random() * 35)
        fem = int(r.random() < 0.5)
        reg = ["urban", "rural"][int(r.random() < 0.35)]
        w = _math.exp(1.1 + 0.075 * educ + 0.018 * exper - 0.0002 * exper ** 2 - 0.11 * fem - 0.06 * (reg == "rural") + r.gauss(0, 0.25))
        rows.append(f"{i + 1},{educ},{exper},{fem},{reg},{w:.2f}")
    return "\n".join(rows) + "\n"


def _orders():
    r = _random.Random(77)
    rows = ["order_id,date,region,product,units,price"]
    for i in range(220):
        day = _dt.date(2025, 1, 1) + _dt.timedelta(days=int(r.random() * 90))
        reg = ["north", "south", "west"][int(r.random() * 3)]
        prod, price = [("kettle", 24.9), ("toaster", 31.5), ("blender", 49.0), ("grill", 88.0)][int(r.random() * 4)]
        rows.append(f"{10001 + i},{day},{reg},{prod},{1 + int(r.random() * 6)},{price}")
    return "\n".join(rows) + "\n"


def _demand():
    r = _random.Random(31)
    rows = ["month,MWh"]
    for m in range(72):
        y, mo = divmod(m, 12)
        v = 410 + 1.7 * m + 55 * _math.cos(mo / 12 * 2 * _math.pi) + r.gauss(0, 9)
        rows.append(f"{2018 + y}-{mo + 1:02d},{v:.1f}")
    return "\n".join(rows) + "\n"


def _housing():
    r = _random.Random(41)
    rows = ["listing,rooms,area,year,price"]
    for i in range(160):
        area = 35 + r.random() * 110
        rooms = max(1, int(area / 28))
        year = 1930 + int(r.random() * 93)
        price = 2100 * area + 300 * (year - 1930) + r.gauss(0, 12000)
        if i in (12, 57, 103, 140):
            price *= 6
        a = "" if i % 23 == 5 else f"{area:.0f}"
        rows.append(f"L{i:03d},{rooms},{a},{year},{price:.0f}")
    return "\n".join(rows) + "\n"


def _glacier():
    r = _random.Random(9)
    rows = ["year,glacier,balance_m"]
    for y in range(1990, 2021):
        for g, b in (("Storbreen", -0.3), ("Nigardsbreen", 0.1), ("Hellstugubreen", -0.5)):
            rows.append(f"{y},{g},{b - 0.015 * (y - 1990) + r.gauss(0, 0.4):.2f}")
    return "\n".join(rows) + "\n"


# ================================================================ noise alone

BLIND.append(Case("c-noise-greenhouse", [
    same('''import logging, os, sys, tempfile, time
from datetime import datetime
import pandas as pd
import matplotlib.pyplot as plt
%matplotlib inline

t0 = time.time()
logging.basicConfig(stream=sys.stdout, level=logging.INFO, force=True,
                    format="%(asctime)s %(levelname)s %(name)s: %(message)s")
log = logging.getLogger("greenhouse")
log.info("pandas %s", pd.__version__)'''),
    same('''%%time
df = pd.read_csv("greenhouse.csv", parse_dates=["time"])
df.head()'''),
    same('''df.info()
print()
print("file last touched:", datetime.fromtimestamp(os.path.getmtime("greenhouse.csv")))
print("today            :", datetime.now().strftime("%A %d %B %Y, %H:%M"))'''),
    same('''daily = (df.set_index("time").groupby("bench")[["temp", "hum", "co2"]]
           .resample("D").mean().round(2))
daily.style.background_gradient(cmap="RdYlGn_r", subset=["temp"]).format(precision=1)'''),
    same('''fig, axes = plt.subplots(2, 1, figsize=(7, 4), sharex=True)
for b, g in df.groupby("bench"):
    axes[0].plot(g.time, g.temp, label=f"bench {b}")
    axes[1].plot(g.time, g.hum)
axes[0].legend(); axes[0].set_ylabel("°C"); axes[1].set_ylabel("% RH")
fig.autofmt_xdate()'''),
    same('''out = tempfile.mkdtemp(prefix="gh_")
for b, g in daily.groupby(level=0):
    p = os.path.join(out, f"daily_{b}.csv")
    g.to_csv(p)
    log.info("wrote %s", p)
!ls -l {out}'''),
    same('''log.info("finished in %.2f s", time.time() - t0)'''),
], files={"greenhouse.csv": _greenhouse()}))


BLIND.append(Case("c-noise-wine-svm", [
    same('''import warnings, sklearn, datetime
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split, GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
import pandas as pd
print("scikit-learn", sklearn.__version__, "| run on", datetime.datetime.now().isoformat(timespec="seconds"))'''),
    same('''X, y = load_wine(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=42)
X_train.shape, X_test.shape, y_train.value_counts().to_dict()'''),
    same('''pipe = make_pipeline(StandardScaler(), SVC())
pipe'''),
    same('''gs = GridSearchCV(pipe, {"svc__C": [0.1, 1, 10], "svc__gamma": [0.01, 0.1]}, cv=3, verbose=3)
gs.fit(X_train, y_train);'''),
    same('''cols = ["param_svc__C", "param_svc__gamma", "mean_fit_time", "std_fit_time", "mean_score_time", "mean_test_score", "rank_test_score"]
pd.DataFrame(gs.cv_results_)[cols].sort_values("rank_test_score")'''),
    same('''from sklearn.metrics import classification_report, ConfusionMatrixDisplay
print(gs.best_params_)
print(classification_report(y_test, gs.predict(X_test)))
ConfusionMatrixDisplay.from_estimator(gs, X_test, y_test)'''),
    same('''import joblib, tempfile, os
with tempfile.NamedTemporaryFile(suffix=".joblib", delete=False) as f:
    joblib.dump(gs.best_estimator_, f)
print("saved", f.name)
m2 = joblib.load(f.name)
assert (m2.predict(X_test) == gs.predict(X_test)).all()
os.remove(f.name)'''),
    same('''class Thresholder:
    """keeps a model and a cut-off"""
    def __init__(self, model, cut=0.5):
        self.model, self.cut = model, cut

t = Thresholder(gs.best_estimator_)
t'''),
]))


BLIND.append(Case("c-noise-birds-bootstrap", [
    same('''import numpy as np, pandas as pd
import matplotlib.pyplot as plt
from scipy import stats
birds = pd.read_csv("birds.csv")
birds.groupby(["species", "sex"]).agg(n=("ring", "size"), wing=("wing_mm", "mean"), mass=("mass_g", "mean")).round(3)'''),
    same('''gt = birds[birds.species == "Parus major"]
m = gt.loc[gt.sex == "M", "mass_g"].to_numpy()
f = gt.loc[gt.sex == "F", "mass_g"].to_numpy()
print(len(m), len(f))
stats.ttest_ind(m, f, equal_var=False)'''),
    same('''rng = np.random.default_rng()
rng'''),
    varies('''boot = np.array([rng.choice(m, len(m)).mean() - rng.choice(f, len(f)).mean() for _ in range(3000)])
lo, hi = np.percentile(boot, [2.5, 97.5])
print(f"difference {m.mean() - f.mean():.4f}, 95% CI from bootstrap: {lo} .. {hi}")'''),
    varies('''plt.hist(boot, bins=60, color="steelblue")
plt.axvline(m.mean() - f.mean(), color="k"); plt.xlabel("male - female (g)")
plt.show()'''),
    varies('''# have a look at some rows
birds.sample(6)'''),
    same('''%timeit -n 50 -r 3 np.random.default_rng(0).choice(m, (100, len(m))).mean(axis=1)'''),
    same('''res = stats.bootstrap((m,), np.mean, n_resamples=1500, random_state=np.random.default_rng(0))
res.confidence_interval'''),
], files={"birds.csv": _birds()}, twice=True))


BLIND.append(Case("c-noise-club-network", [
    same('''import networkx as nx, pandas as pd, sympy as sp
import matplotlib.pyplot as plt
G = nx.karate_club_graph()
print(G)
nx.connected_components(G)'''),
    same('''clubs = {d["club"] for _, d in G.nodes(data=True)}
sizes = {c: sum(d["club"] == c for _, d in G.nodes(data=True)) for c in sorted(clubs)}
print(clubs)
sizes'''),
    same('''%timeit -n 5 -r 3 nx.betweenness_centrality(G)'''),
    same('''cent = pd.DataFrame({"degree": nx.degree_centrality(G), "between": nx.betweenness_centrality(G), "close": nx.closeness_centrality(G)})
cent.nlargest(6, "between").round(4)'''),
    same('''from collections import defaultdict
by_club = defaultdict(lambda: [])
for n, d in G.nodes(data=True):
    by_club[d["club"]].append(n)
print(by_club)
print("graph object", hex(id(G)), type(G))'''),
    same('''pos = nx.spring_layout(G, seed=4)
nx.draw_networkx(G, pos, node_size=160, font_size=7, node_color=[1 if d["club"] == "Officer" else 0 for _, d in G.nodes(data=True)])
plt.axis("off"); plt.show()'''),
    varies('''# another layout
nx.draw(G, nx.spring_layout(G), node_size=40)'''),
    same('''L = sp.Matrix(nx.laplacian_matrix(nx.cycle_graph(5)).toarray())
L.eigenvals()'''),
], twice=True))


BLIND.append(Case("c-noise-interactive", [
    same('''import pandas as pd, numpy as np
import plotly.express as px, plotly.io as pio
pio.renderers.default = "notebook_connected"
gap = pd.DataFrame({"country": ["Chad", "Peru", "Laos", "Italy", "Japan", "Kenya"],
                    "gdp": [1591, 6700, 2535, 33200, 39300, 1870],
                    "life": [54.2, 76.7, 67.9, 83.2, 84.4, 66.7],
                    "pop": [16.4, 33.0, 7.2, 60.4, 125.8, 53.8]})
gap'''),
    same('''fig = px.scatter(gap, x="gdp", y="life", size="pop", text="country", log_x=True, height=320)
fig.show()'''),
    same('''import altair as alt
alt.Chart(gap).mark_bar().encode(x=alt.X("country", sort="-y"), y="life", tooltip=["country", "life"]).properties(width=280)'''),
    same('''from bokeh.plotting import figure, show
from bokeh.io import output_notebook
output_notebook(hide_banner=True)
p = figure(width=350, height=250, x_axis_type="log", title="GDP and life expectancy")
p.scatter(gap.gdp, gap.life, size=10)
show(p)'''),
    same('''import ipywidgets as w
slider = w.IntSlider(value=3, min=1, max=6, description="top n")
label = w.HTML("<b>countries by GDP</b>")
w.VBox([label, slider])'''),
    same('''def top(n=3):
    display(gap.nlargest(n, "gdp")[["country", "gdp"]])
w.interact(top, n=(1, 6))'''),
    same('''from tqdm.auto import tqdm
import time
tot = 0
for c in tqdm(gap.country, desc="countries"):
    time.sleep(0.05)
    tot += len(c)
tot'''),
]))


BLIND.append(Case("c-noise-survey-db", [
    same('''import sqlite3, uuid, json, os, tempfile, time, subprocess
from datetime import datetime, timezone
import pandas as pd
run_id = uuid.uuid4()
started = datetime.now(timezone.utc)
print("run", run_id)'''),
    same('''tmp = tempfile.TemporaryDirectory()
con = sqlite3.connect(os.path.join(tmp.name, "survey.db"))
n = pd.read_csv("responses.csv").to_sql("resp", con, index=False)
print(n, "rows ->", tmp.name)
con'''),
    same('''pd.read_sql("""select region, count(*) n, round(avg(age), 2) age, round(avg(q1), 3) q1, sum(q2 is null) q2_missing
from resp group by region order by n desc""", con)'''),
    same('''meta = {"run": str(run_id), "created": started.isoformat(), "rows": n,
        "columns": [r[1] for r in con.execute("pragma table_info(resp)")]}
print(json.dumps(meta, indent=2))'''),
    same('''regions = set(pd.read_sql("select distinct region from resp", con).region)
regions, len(regions)'''),
    same('''p = subprocess.Popen(["wc", "-l", "responses.csv"], stdout=subprocess.PIPE, text=True)
print("child", p.pid)
print(p.communicate()[0])
subprocess.run(["head", "-n", "2", "responses.csv"], capture_output=True, text=True)'''),
    same('''from concurrent.futures import ThreadPoolExecutor, as_completed
import threading
df = pd.read_csv("responses.csv")
def mean_score(region):
    sub = df[df.region == region]
    return region, round(float(sub[["q1", "q2", "q3"]].stack().mean()), 3), threading.get_ident()
with ThreadPoolExecutor(3) as ex:
    for fut in as_completed([ex.submit(mean_score, r) for r in sorted(regions)]):
        print(*fut.result())'''),
    same('''pd.read_sql("select * from answers limit 3", con)'''),
    same('''%whos'''),
], files={"responses.csv": _survey()}))


BLIND.append(Case("c-noise-pendulum", [
    same('''import numpy as np, xarray as xr, time, resource
from scipy.integrate import solve_ivp
from scipy.optimize import curve_fit
import matplotlib.pyplot as plt
tic = time.perf_counter()
def rhs(t, y, b=0.15, g=9.81, L=1.2):
    return [y[1], -b * y[1] - g / L * np.sin(y[0])]
sol = solve_ivp(rhs, (0, 20), [1.0, 0.0], t_eval=np.linspace(0, 20, 400), rtol=1e-8)
print(sol.message, sol.nfev)
rhs'''),
    same('''ds = xr.Dataset({"theta": ("t", sol.y[0].round(6)), "omega": ("t", sol.y[1].round(6))}, coords={"t": sol.t}, attrs={"length": "1.2 m"})
ds'''),
    same('''def damped(t, A, tau, w, phi):
    return A * np.exp(-t / tau) * np.cos(w * t + phi)
popt, pcov = curve_fit(damped, sol.t, sol.y[0], p0=[1, 10, 2.8, 0])
for name, v, e in zip(["A", "tau", "omega", "phi"], popt, np.sqrt(np.diag(pcov))):
    print(f"{name:6s} {v:9.4f} ± {e:.4f}")'''),
    same('''import statsmodels.api as sm
peaks = (np.diff(np.sign(np.diff(sol.y[0]))) < 0).nonzero()[0] + 1
model = sm.OLS(np.log(sol.y[0][peaks]), sm.add_constant(sol.t[peaks])).fit()
model.summary()'''),
    same('''r = np.log(sol.y[0][:80])      # angle goes negative: expected
print(np.isnan(r).sum(), "of", len(r))'''),
    varies('''noisy = sol.y[0] + np.random.normal(0, 0.05, sol.t.size)
plt.plot(sol.t, noisy, ".", ms=3); plt.plot(sol.t, sol.y[0], "k-", lw=1)
plt.xlabel("t (s)"); plt.ylabel("angle (rad)");'''),
    varies('''# Monte Carlo error of the period with timing jitter
L = np.random.normal(1.2, 0.01, 10000); g = np.random.normal(9.81, 0.005, 10000)
T = 2 * np.pi * np.sqrt(L / g)
T.mean(), T.std()'''),
    same('''print(f"elapsed {time.perf_counter() - tic:.2f} s, peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f} MB")'''),
], twice=True))


# ================================================================ data

_R = _rain()
_OLD = [l for l in _R.splitlines() if l.startswith("2023-03") and ",Bergen," in l and 10 <= float(l.split(",")[2]) < 20][0]
_NEW = _OLD.rsplit(",", 1)[0] + ",9" + _OLD.rsplit(",", 1)[1][1:]  # 1x.x -> 9x.x
BLIND.append(Case("c-data-rainfall", [
    same('''import time, datetime as dt
import pandas as pd, matplotlib.pyplot as plt
rain = pd.read_csv("stations.csv", parse_dates=["date"])
print(rain.shape)
rain.head(8)'''),
    same('''rain.station.value_counts(), rain.date.min(), rain.date.max()'''),
    differs('''%%time
monthly = rain.pivot_table(index=rain.date.dt.to_period("M"), columns="station", values="mm", aggfunc="sum")
monthly.round(1)''', "data", "downstream"),
    same('''oslo = rain[rain.station == "Oslo"].set_index("date").mm
ax = oslo.rolling(7).sum().plot(figsize=(7, 2.5), title="Oslo, 7-day sum")'''),
    differs('''print("generated", dt.datetime.now().strftime("%Y-%m-%d %H:%M:%S"))
print("days with more than 35 mm:")
for row in rain[rain.mm > 35].itertuples():
    print(f"  {row.date:%d %b}  {row.station:8s} {row.mm:5.1f}")''', "data", "downstream"),
    same('''dry = rain.assign(dry=rain.mm == 0).groupby("station").dry.sum()
dry'''),
    differs('''fig, ax = plt.subplots(figsize=(7, 3))
for s, g in rain.groupby("station"):
    ax.plot(g.date, g.mm.cumsum(), label=s)
ax.legend(); ax.set_ylabel("accumulated mm")
plt.show()''', "data", "downstream"),
    same('''!ls -l stations.csv && wc -l stations.csv'''),
], files={"stations.csv": _R}, data={"stations.csv": _R.replace(_OLD, _NEW)}))


_CFG = {"experiment": "checkout-button", "alpha": 0.05, "power": 0.8, "mde": 0.01, "owner": "growth"}
BLIND.append(Case("c-data-abtest-config", [
    same('''import json, logging, sys
import numpy as np, pandas as pd
from scipy import stats
logging.basicConfig(format="[%(asctime)s] %(message)s", level=logging.INFO, stream=sys.stdout, force=True)
cfg = json.load(open("experiment.json"))
logging.info("experiment %s (owner: %s)", cfg["experiment"], cfg["owner"])
sorted(cfg)'''),
    same('''ab = pd.DataFrame({"arm": ["A", "B"], "users": [18240, 18311], "conv": [1532, 1648]}).set_index("arm")
ab["rate"] = ab.conv / ab.users
ab'''),
    same('''p = ab.conv.sum() / ab.users.sum()
se = np.sqrt(p * (1 - p) * (1 / ab.users).sum())
diff = ab.rate["B"] - ab.rate["A"]
z = diff / se
pval = 2 * stats.norm.sf(abs(z))
print(f"z = {z:.3f}, p = {pval:.4f}")'''),
    differs('''verdict = "ship it" if pval < cfg["alpha"] else "not significant"
logging.info("verdict at alpha=%s: %s", cfg["alpha"], verdict)''', "data", "downstream"),
    differs('''q = stats.norm.ppf(1 - cfg["alpha"] / 2)
se_u = np.sqrt((ab.rate * (1 - ab.rate) / ab.users).sum())
ci = (diff - q * se_u, diff + q * se_u)
print("lift  %.5f  CI [%.5f, %.5f]" % (diff, *ci))''', "data", "downstream"),
    differs('''%%time
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize
es = proportion_effectsize(ab.rate["A"] + cfg["mde"], ab.rate["A"])
need = NormalIndPower().solve_power(es, alpha=cfg["alpha"], power=cfg["power"])
print(f"needed per arm: {need:,.0f}")''', "data", "downstream"),
    varies('''# A/A sanity check: how often does a test without effect come out "significant"?
r = np.random.default_rng()
a0, b0 = r.binomial(18000, p, (2, 2000)) / 18000
z0 = (a0 - b0) / np.sqrt(2 * p * (1 - p) / 18000)
print("sd of z", z0.std(), "largest", abs(z0).max())'''),
    same('''ab.loc["C"]'''),
    same('''import matplotlib.pyplot as plt
ab.rate.plot.bar(color=["grey", "seagreen"], figsize=(3, 2.5), ylim=(0.07, 0.1))
plt.show()'''),
], files={"experiment.json": _json.dumps(_CFG, indent=1)},
   data={"experiment.json": _json.dumps({**_CFG, "alpha": 0.01}, indent=1)}, twice=True))


_FA = """>seq1 sample=soil depth=5
ATGGCGTACGTTAGCCTAGGATCCGATTACAGGCATCGA
GGCTAACGTTAGC
>seq2 sample=soil depth=20
TTGACCGGATCCTAGGCTAAACGTCGATCGATTTAGGCA
>seq3 sample=water depth=1
CCGTAGCTAGGATCCATCGGGATCCTTTACGCGCGTAAC
AGCTAGC
>seq4 sample=water depth=3
ATATATTTAGGCGATCATTAGCATTATAGCAAATCGATC
"""
BLIND.append(Case("c-data-fasta-shell", [
    same('''head -n 4 reads.fa; echo; grep -c '>' reads.fa'''),
    same('''date; uname -s; echo "shell pid $$"'''),
    differs('''# GC content
awk '/^>/ {if (n) printf "%s\\t%d\\t%.3f\\n", n, t, g/t; n=substr($1,2); g=t=0; next}
     {t+=length($0); g+=gsub(/[GC]/,"")} END {printf "%s\\t%d\\t%.3f\\n", n, t, g/t}' reads.fa''', "data"),
    same('''# lengths
awk '/^>/ {n=$1; next} {l[n]+=length($0)} END {for (k in l) print k, l[k]}' reads.fa | sort'''),
    differs('''# BamHI sites
tmp=$(mktemp); tr -d '\\n' < reads.fa | sed 's/>/\\n>/g' > "$tmp"
echo "joined in $tmp"
grep -o GGATCC "$tmp" | wc -l''', "data"),
    differs('''md5sum reads.fa; stat -c '%n %s bytes, modified %y' reads.fa''', "data"),
    same('''grep '>' reads.fa | sed 's/.*sample=\\([a-z]*\\).*/\\1/' | sort | uniq -c'''),
], kernel="bash", files={"reads.fa": _FA}, data={"reads.fa": _FA.replace("TCGGGATCCTTT", "TCGGGATACTTT")}))


_W = _wages()
_WOLD = [l for l in _W.splitlines() if l.startswith("118,")][0]
_WNEW = ",".join(_WOLD.split(",")[:-1] + ["%.2f" % (float(_WOLD.split(",")[-1]) * 10)])  # a decimal point slipped
BLIND.append(Case("c-data-wage-regression", [
    same('''import pandas as pd, numpy as np, statsmodels.formula.api as smf
wages = pd.read_csv("wages.csv", index_col="id")
wages.info()'''),
    same('''pd.crosstab(wages.region, wages.female, margins=True)'''),
    differs('''wages.describe().T.round(3)''', "data", "downstream"),
    differs('''fit = smf.ols("np.log(wage) ~ educ + exper + I(exper**2) + female + C(region)", data=wages).fit()
print(fit.summary())''', "data", "downstream"),
    same('''wages[["educ", "exper"]].corr().style.format("{:.3f}").background_gradient(cmap="Blues")'''),
    differs('''infl = fit.get_influence()
cook = pd.Series(infl.cooks_distance[0], index=wages.index).nlargest(3)
cook''', "data", "downstream"),
    differs('''fit.conf_int().loc["educ"]''', "data", "downstream"),
    same('''wages.groupby("educ").size().plot.bar(figsize=(6, 2), title="years of education");'''),
], files={"wages.csv": _W}, data={"wages.csv": _W.replace(_WOLD, _WNEW)}))


# ================================================================ library

_CITES = """citing,cited
P02,P01
P03,P01
P03,P02
P04,P01
P05,P02
P05,P04
P06,P03
P06,P01
P07,P05
P07,P06
P08,P01
P08,P07
P09,P04
P09,P08
P10,P06
P10,P02
P11,P10
P11,P01
P12,P09
P12,P10
"""
BLIND.append(Case("c-lib-citations", [
    same('''import csv, networkx as nx, pandas as pd, matplotlib.pyplot as plt
with open("cites.csv") as fh:
    rows = list(csv.DictReader(fh))
D = nx.DiGraph((r["citing"], r["cited"]) for r in rows)
print(nx.__version__, D)'''),
    same('''print("acyclic:", nx.is_directed_acyclic_graph(D))
print(" -> ".join(nx.dag_longest_path(D)))
pd.Series(dict(D.in_degree()), name="citations").sort_values(ascending=False, kind="stable").head(5)'''),
    differs('''pr = nx.pagerank(D)
rank = pd.Series(pr).sort_values(ascending=False)
rank.head(6).round(4)''', "library"),
    same('''%timeit -n 10 -r 2 nx.hits(D)'''),
    differs('''fig, ax = plt.subplots(figsize=(6, 4))
nx.draw_networkx(D, nx.circular_layout(D), node_size=[v * 6000 for v in pr.values()], node_color="khaki", font_size=8, ax=ax)
ax.set_axis_off()''', "library", "downstream"),
    same('''U = D.to_undirected()
print("clustering", round(nx.average_clustering(U), 4), "diameter", nx.diameter(U))
nx.community.greedy_modularity_communities(U)'''),
    differs('''import io, datetime
buf = io.StringIO()
rank.round(3).to_csv(buf, header=False)
print("# made", datetime.datetime.now())
print(buf.getvalue())''', "library", "downstream"),
], files={"cites.csv": _CITES},
   patch=("networkx/algorithms/link_analysis/pagerank_alg.py",
          "        x = alpha * (x @ A + sum(x[is_dangling]) * dangling_weights) + (1 - alpha) * p",
          "        x = alpha * (x @ A) + (1 - alpha) * p + alpha * sum(x[is_dangling]) * dangling_weights * 0.5")))


BLIND.append(Case("c-lib-density", [
    same('''import numpy as np, pandas as pd, seaborn as sns, matplotlib.pyplot as plt
sns.set_theme(style="whitegrid")
birds = pd.read_csv("birds.csv")
birds.describe(include="all").loc[["count", "unique", "top"], ["species", "sex"]]'''),
    same('''ax = sns.boxplot(data=birds, x="wing_mm", y="species", hue="sex")'''),
    differs('''g = sns.displot(data=birds, x="mass_g", hue="species", kind="kde", height=3, aspect=1.6)''', "library"),
    differs('''ax = sns.kdeplot(data=birds[birds.sex == "F"], x="wing_mm")
top = ax.lines[0].get_ydata().max()
plt.close()
print(f"peak density {top:.4f} at {ax.lines[0].get_xdata()[ax.lines[0].get_ydata().argmax()]:.2f} mm")''', "library"),
    same('''sns.histplot(data=birds, x="mass_g", bins=20)'''),
    differs('''g = sns.pairplot(birds, hue="sex", height=1.8)
g'''  , "library"),
    same('''pd.__version__, sns.__version__, sns.kdeplot'''),
], files={"birds.csv": _birds()},
   patch=("seaborn/_statistics.py", "kde.set_bandwidth(kde.factor * self.bw_adjust)", "kde.set_bandwidth(kde.factor * self.bw_adjust * 0.6)")))


BLIND.append(Case("c-lib-tabulate-elements", [
    same('''from tabulate import tabulate
import pandas as pd, time
metals = [("Fe", 7.874, "1,538"), ("Cu", 8.96, "1,085"), ("W", 19.25, "3,422"), ("Pb", 11.34, "327")]
len(metals)'''),
    differs('''print(tabulate(metals, headers=["metal", "density", "melting (°C)"]))''', "library"),
    same('''print(tabulate([(m, d) for m, d, _ in metals], headers=["metal", "density"], tablefmt="grid"))'''),
    differs('''from IPython.display import HTML
HTML(tabulate(metals, headers=["", "g/cm³", "°C"], tablefmt="html"))''', "library"),
    same('''df = pd.DataFrame(metals, columns=["metal", "density", "mp"])
df["mp"] = df.mp.str.replace(",", "").astype(int)
t = time.time()
print(df.sort_values("mp").to_markdown(index=False))
print(f"{(time.time() - t) * 1e3:.1f} ms")'''),
    same('''df.plot.scatter("density", "mp", figsize=(4, 3))'''),
    same('''import numpy as np
np.polyfit(df.density, df.mp, 1).round(3)'''),
], upgrade=("tabulate==0.10.0", "tabulate==0.9.0")))


BLIND.append(Case("c-lib-altair-weather", [
    same('''import pandas as pd, json
w = pd.DataFrame({"day": pd.date_range("2024-07-01", periods=10), "tmax": [24.1, 25.3, 27.8, 30.2, 31.0, 29.4, 22.5, 21.9, 23.3, 26.0],
                  "rain": [0, 0, 0, 0, 2.4, 11.0, 6.2, 0.4, 0, 0]})
w.set_index("day").T'''),
    differs('''import altair as alt
alt.__version__''', "library"),
    differs('''base = alt.Chart(w).encode(x="day:T")
chart = base.mark_line(color="firebrick").encode(y="tmax") + base.mark_bar(opacity=.4).encode(y="rain")
chart''', "library"),
    same('''spec = chart.to_dict()
print(json.dumps(spec["layer"], indent=1))'''),
    differs('''print(spec["$schema"])''', "library", "downstream"),
    same('''w.assign(wet=w.rain > 0).groupby("wet").tmax.agg(["mean", "count"]).round(2)'''),
    same('''import time; time.strftime("last run %c")'''),
], upgrade=("altair==6.3.0", "altair==5.5.0")))


# ================================================================ environment

BLIND.append(Case("c-env-region-report", [
    same('''import os, pandas as pd
from datetime import date
orders = pd.read_csv("orders.csv", parse_dates=["date"])
orders["revenue"] = orders.units * orders.price
print(f"{len(orders)} orders, report of {date.today()}")'''),
    same('''orders.groupby("product").revenue.sum().sort_values().plot.barh(figsize=(5, 2))'''),
    differs('''REGION = os.environ.get("REPORT_REGION", "north")
sub = orders[orders.region == REGION]
print("region:", REGION, "->", len(sub), "orders")''', "environment"),
    differs('''(sub.assign(month=sub.date.dt.strftime("%Y-%m"))
    .pivot_table(index="product", columns="month", values="revenue", aggfunc="sum", margins=True).round(2))''', "environment", "downstream"),
    same('''!head -n 3 orders.csv'''),
    differs('''%%time
best = sub.loc[sub.revenue.idxmax()]
print(best.to_json(date_format="iso", indent=2))''', "environment", "downstream"),
    differs('''import tempfile
path = tempfile.mktemp(suffix=f"_{REGION}.html")
html = sub.nlargest(3, "revenue").to_html(index=False)
open(path, "w").write(html)
print("written to", path)
print(html[-420:])''', "environment", "downstream"),
    varies('''orders.sample(4)'''),
    same('''orders.date.min(), orders.date.max(), orders.revenue.sum().round(2)'''),
], files={"orders.csv": _orders()}, environment={"REPORT_REGION": "north"}, given={"REPORT_REGION": "west"}, twice=True))


BLIND.append(Case("c-env-sim-seed", [
    same('''import os, time
import numpy as np, matplotlib.pyplot as plt
seed = int(os.environ["SIM_SEED"])
rng = np.random.default_rng(seed)
beta, gamma, N = 0.32, 0.1, 1000
print("R0 =", beta / gamma)'''),
    same('''def sir(rng, days=120, i0=3):
    """stochastic SIR, one step a day"""
    s, i, r = N - i0, i0, 0
    out = []
    for _ in range(days):
        new = rng.binomial(s, 1 - np.exp(-beta * i / N)); rec = rng.binomial(i, 1 - np.exp(-gamma))
        s, i, r = s - new, i + new - rec, r + rec
        out.append((s, i, r))
    return np.array(out)
sir'''),
    differs('''t = time.perf_counter()
runs = np.stack([sir(rng) for _ in range(30)])
print(runs.shape, f"{time.perf_counter() - t:.3f} s")
print("peak infected per run:", runs[:, :, 1].max(axis=1))''', "environment", "downstream"),
    differs('''plt.figure(figsize=(6, 3))
plt.plot(runs[:, :, 1].T, color="grey", alpha=.4); plt.plot(runs[:, :, 1].mean(axis=0), "r")
plt.xlabel("day"); plt.ylabel("infected"); plt.show()''', "environment", "downstream"),
    differs('''final = runs[:, -1, 2]
f"final size {final.mean():.2f} (sd {final.std(ddof=1):.2f}), extinct early: {(final < 50).sum()}"''', "environment", "downstream"),
    same('''from scipy.optimize import brentq
print("deterministic final size: %.1f" % (N * brentq(lambda z: z - 1 + np.exp(-beta / gamma * z), 0.1, 1)))'''),
    same('''%timeit -n 3 -r 2 sir(np.random.default_rng(1))'''),
], environment={"SIM_SEED": "20"}, given={"SIM_SEED": "21"}))


BLIND.append(Case("c-env-loglevel-sensor", [
    same('''import os, sys, logging, random, statistics
import numpy as np
log = logging.getLogger("probe")
h = logging.StreamHandler(sys.stdout)
h.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
log.addHandler(h); log.propagate = False
log.setLevel(os.getenv("PROBE_LOG", "INFO"))'''),
    differs('''raw = [20.1, 20.3, 20.2, 85.0, 20.4, 20.6, -127.0, 20.5, 20.7]
clean = []
for i, v in enumerate(raw):
    if not -40 < v < 60:
        log.debug("reading %d dropped: %s", i, v)
        continue
    clean.append(v)
log.info("%d of %d readings kept", len(clean), len(raw))''', "environment", "downstream"),
    same('''print(statistics.fmean(clean), statistics.pstdev(clean))'''),
    same('''log.warning("battery %.2f V", 3.41)'''),
    differs('''def calibrate(x, gain=1.02, offset=-0.3):
    log.debug("gain %s offset %s", gain, offset)
    return gain * np.asarray(x) + offset
calibrate(clean).round(3)''', "environment", "downstream"),
    same('''import matplotlib.pyplot as plt
plt.plot(clean, "o-"); plt.ylabel("°C")'''),
], environment={"PROBE_LOG": "DEBUG"}, given={"PROBE_LOG": "WARNING"}))


# ================================================================ seed in a file

_P = {"seed": 1234, "k": 3, "n_points": 150, "plot": True}
BLIND.append(Case("c-seed-kmeans", [
    same('''import json, time
import numpy as np, pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
import matplotlib.pyplot as plt
params = json.load(open("params.json"))
k = params["k"]
k, params["n_points"]'''),
    differs('''rng = np.random.default_rng(params["seed"])
centres = np.array([[0, 0], [4, 1], [1, 5]])
lab = rng.integers(0, 3, params["n_points"])
X = centres[lab] + rng.normal(0, 0.9, (params["n_points"], 2))
pd.DataFrame(X, columns=["x", "y"]).head(4)''', "data", "downstream"),
    same('''km = KMeans(n_clusters=k, n_init=5, random_state=0)
km'''),
    differs('''t0 = time.time()
km.fit(X)
print(f"inertia {km.inertia_:.3f}, silhouette {silhouette_score(X, km.labels_):.4f}  [{time.time() - t0:.2f}s]")''', "data", "downstream"),
    differs('''if params["plot"]:
    plt.scatter(*X.T, c=km.labels_, s=12, cmap="viridis"); plt.scatter(*km.cluster_centers_.T, c="r", marker="x")''', "data", "downstream"),
    differs('''from tqdm import tqdm
elbow = {}
for kk in tqdm(range(2, 6), desc="k"):
    elbow[kk] = round(KMeans(kk, n_init=3, random_state=0).fit(X).inertia_, 2)
elbow''', "data", "downstream"),
    same('''print(X.shape, X.dtype, km.n_features_in_, sorted(set(km.labels_.tolist())))'''),
    same('''pd.DataFrame(centres, index=["a", "b", "c"], columns=["x", "y"])'''),
], files={"params.json": _json.dumps(_P)}, data={"params.json": _json.dumps({**_P, "seed": 1235})}))


# ================================================================ code

BLIND.append(Case("c-edit-housing-outliers", [
    same('''import pandas as pd, numpy as np
import matplotlib.pyplot as plt
h = pd.read_csv("housing.csv", index_col="listing")
h.isna().sum()'''),
    same('''h["year"].plot.hist(bins=15, figsize=(4, 2.5), title="year built");'''),
    differs('''# cleaning
before = len(h)
c = h.dropna()
c = c[c.price < c.price.quantile(0.99)]
print(f"{before} -> {len(c)} listings")''', "code"),
    differs('''c["ppm"] = c.price / c.area
c.groupby("rooms").ppm.agg(["mean", "max", "count"]).round(1)''', "code", "downstream"),
    differs('''from sklearn.linear_model import LinearRegression
%time lr = LinearRegression().fit(c[["area", "year"]], c.price)
print(lr.coef_.round(2), round(lr.score(c[["area", "year"]], c.price), 4))''', "code", "downstream"),
    same('''h.loc["L057"]'''),
    differs('''lr''', "code", "downstream"),
    differs('''from rich.console import Console
from rich.table import Table
t = Table(title="median price by rooms")
t.add_column("rooms"); t.add_column("median", justify="right"); t.add_column("max", justify="right")
for r, g in c.groupby("rooms").price:
    t.add_row(str(r), f"{g.median():,.0f}", f"{g.max():,.0f}")
Console(width=60).print(t)''', "code", "downstream"),
], files={"housing.csv": _housing()}, edited={2: '''# cleaning
before = len(h)
c = h.dropna()
c = c[c.price < c.price.quantile(0.95)]
print(f"{before} -> {len(c)} listings")'''}))


BLIND.append(Case("c-edit-demand-forecast", [
    same('''import pandas as pd, numpy as np, warnings, time
from statsmodels.tsa.holtwinters import ExponentialSmoothing
y = pd.read_csv("demand.csv", index_col="month", parse_dates=True)["MWh"].asfreq("MS")
y.tail(3)'''),
    same('''train, test = y[:-12], y[-12:]
def mape(a, f):
    return float((abs(a - f) / a).mean() * 100)
naive = train[-12:].to_numpy()
print("seasonal naive MAPE %.2f" % mape(test, naive))'''),
    same('''cfg = dict(trend="add", seasonal="add", seasonal_periods=12)'''),
    differs('''t0 = time.time()
hw = ExponentialSmoothing(train, **cfg, initialization_method="estimated").fit()
fc = hw.forecast(12)
print("fit in %.3f s; MAPE %.3f" % (time.time() - t0, mape(test, fc)))''', "code", "downstream"),
    differs('''pd.DataFrame({"actual": test, "forecast": fc.round(1), "error": (test - fc).round(1)})''', "code", "downstream"),
    differs('''import matplotlib.pyplot as plt
y[-36:].plot(label="actual", figsize=(7, 3)); fc.plot(label="forecast", style="--"); plt.legend(); plt.show()''', "code", "downstream"),
    same('''import statsmodels
print(statsmodels.__version__, type(hw), len(fc))
y.groupby(y.index.year).sum().round(0)'''),
], files={"demand.csv": _demand()}, edited={2: '''cfg = dict(trend="add", seasonal=None)'''}))


BLIND.append(Case("c-edit-seed-iris", [
    same('''import numpy as np, pandas as pd, time, platform
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
print("Python", platform.python_version(), "numpy", np.__version__, time.ctime())'''),
    same('''SEED = 42
iris = load_iris(as_frame=True)'''),
    same('''iris.data.describe().round(2)'''),
    differs('''Xtr, Xte, ytr, yte = train_test_split(iris.data, iris.target, test_size=0.3, random_state=SEED)
yte.value_counts().sort_index().to_dict(), Xte.index[:10].tolist()''', "code", "downstream"),
    differs('''%%time
rf = RandomForestClassifier(60, max_depth=3, random_state=SEED).fit(Xtr, ytr)
pd.Series(rf.feature_importances_, iris.feature_names).round(4)''', "code", "downstream"),
    same('''iris.target_names, iris.data.shape'''),
    same('''%who DataFrame Series'''),
    same('''def noise(n, rng=np.random.default_rng(0)):
    return rng.normal(size=n)
print(noise, noise(3))'''),
], edited={1: '''SEED = 7
iris = load_iris(as_frame=True)'''}))


# ================================================================ order

BLIND.append(Case("c-order-river-gaps", [
    same('''import pandas as pd, numpy as np, matplotlib.pyplot as plt
river = pd.read_csv("river.csv", parse_dates=["date"], index_col="date")
river.head(3)'''),
    same('''river[["level_cm", "turbidity"]].describe().round(2)'''),
    same('''# sensor spikes
river.loc[river.flow_m3s > 500, "flow_m3s"] = np.nan'''),
    differs('''print("mean flow %.2f m3/s, missing %d" % (river.flow_m3s.mean(), river.flow_m3s.isna().sum()))''', "order", "downstream"),
    differs('''gaps = river.flow_m3s.isna().sum()
river["flow_m3s"] = river.flow_m3s.interpolate()
print("filled", gaps, "gaps")''', "order", "downstream"),
    differs('''%time q = river.flow_m3s.resample("MS").mean().round(2)
q''', "order", "downstream"),
    same('''river.level_cm.plot(figsize=(6, 2)); plt.ylabel("cm"); plt.show()'''),
    same('''print(type(river.index), len(river), f"{pd.Timestamp.now():%Y-%m-%d %H:%M}")'''),
], files={"river.csv": _river()}, order=[0, 1, 4, 2, 3, 5, 7, 6]))


BLIND.append(Case("c-order-shared-rng", [
    same('''import numpy as np, matplotlib.pyplot as plt, time
from scipy import stats
rng = np.random.default_rng(2024)
n = 200'''),
    differs('''heights = rng.normal(171, 8, n)
print("heights: mean %.3f sd %.3f" % (heights.mean(), heights.std(ddof=1)))''', "order"),
    differs('''age = rng.uniform(18, 70, n)
print("age: %.2f to %.2f" % (age.min(), age.max()))''', "order"),
    same('''# power of the t test for d = 0.5, from the formula
from statsmodels.stats.power import tt_ind_solve_power
print(round(tt_ind_solve_power(effect_size=0.5, nobs1=64, alpha=0.05), 4), "|", time.strftime("%H:%M:%S"))'''),
    differs('''stats.pearsonr(heights, age)''', "order", "downstream"),
    differs('''plt.scatter(age, heights, s=8); plt.xlabel("age"); plt.ylabel("height")
plt.show()''', "order", "downstream"),
    same('''heights.shape, age.dtype, rng'''),
], order=[0, 2, 1, 3, 6, 5, 4]))


# ================================================================ machine

BLIND.append(Case("c-cpus-forest", [
    same('''import time, joblib, numpy as np, pandas as pd
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
X, y = make_classification(600, 8, n_informative=4, random_state=3)
print("joblib", joblib.__version__, X.shape)'''),
    differs('''n_workers = joblib.cpu_count()
print(f"using {n_workers} worker(s), started {time.strftime('%X')}")''', "machine"),
    differs('''chunks = np.array_split(np.arange(len(X)), n_workers)
[(int(c[0]), int(c[-1]), len(c)) for c in chunks]''', "machine", "downstream"),
    same('''tic = time.time()
rf = RandomForestClassifier(80, n_jobs=-1, random_state=1, oob_score=True).fit(X, y)
print("OOB score %.4f" % rf.oob_score_)
print("took %.1f s" % (time.time() - tic))'''),
    same('''pd.Series(rf.feature_importances_.round(4)).plot.bar(figsize=(5, 2))'''),
    same('''def col_stats(j):
    return j, round(float(X[:, j].mean()), 4), round(float(X[:, j].std()), 4)
joblib.Parallel(n_jobs=-1, prefer="threads")(joblib.delayed(col_stats)(j) for j in range(4))'''),
    differs('''res = joblib.Parallel(n_jobs=-1, prefer="threads", verbose=1)(joblib.delayed(col_stats)(j) for j in range(8))
pd.DataFrame(res, columns=["col", "mean", "sd"]).set_index("col").T''', "machine"),
    varies('''# a few rows to look at
X[np.random.permutation(len(X))[:3]].round(5)'''),
    same('''from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(n_workers) as ex:
    acc = sum(ex.map(lambda c: int((rf.predict(X[c]) == y[c]).sum()), chunks))
acc, ex'''),
], cpus=1, twice=True))


# ================================================================ moved

BLIND.append(Case("c-moved-glaciers", [
    same('''from pathlib import Path
import os, sqlite3, pandas as pd, matplotlib.pyplot as plt
here = Path.cwd()
print("working in", here)'''),
    same('''src = (here / "glaciers.csv").resolve()
bal = pd.read_csv(src)
print(src, "->", bal.shape)
bal.tail(3)'''),
    same('''%%bash
pwd
ls *.csv
awk -F, 'NR>1 {s[$2]+=$3} END {for (g in s) printf "%s %.2f\\n", g, s[g]}' glaciers.csv | sort'''),
    same('''cum = bal.pivot(index="year", columns="glacier", values="balance_m").cumsum()
fig = cum.plot(figsize=(6, 3), ylabel="m w.e.").figure
out = here / "figs"; out.mkdir(exist_ok=True)
fig.savefig(out / "cumulative.png")
print(os.path.abspath("figs/cumulative.png"))'''),
    same('''pd.read_csv(here / "raw" / "stakes_2020.csv")'''),
    same('''con = sqlite3.connect(here / "glaciers.db")
bal.to_sql("balance", con, if_exists="replace", index=False)
print(con.execute("pragma database_list").fetchall())
pd.read_sql("select glacier, min(balance_m) worst, round(avg(balance_m), 3) mean from balance group by 1", con)'''),
    same('''!ls -lh figs
%pwd'''),
], files={"glaciers.csv": _glacier()}, moved=True))
