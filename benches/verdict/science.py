"""An earlier hold-out, second half: measurements, models, charts, processes.

Written by someone who had seen neither the rules nor the other cases. Every truth was decided from what the cell does, then
checked in a plain kernel: twice as it stands, once with the change. README has its figures at first sight. Rules were mended
by some of these since.
"""

import random as _random

from truth import BYTE, CSV, Case, differs, same, varies

_r = _random.Random(17)

# ---------------------------------------------------------------------------------------------------------------- files

_SEQ = {
    name: "ATG" + "".join(_r.choice(["GCT", "AAA", "GAT", "TGG", "CCG", "TTC", "GGA", "CTG", "ACC", "CAT"]) for _ in range(28)) + "TAA"
    for name in ("opsA", "brx3", "kinB", "lacY", "rpoD")
}
_SEQ["brx3"] = _SEQ["brx3"][:30] + "GAT" + _SEQ["brx3"][33:]
FASTA = "".join(f">{n} len={len(s)}\n{s[:45]}\n{s[45:]}\n" for n, s in _SEQ.items())
_MUTANT = dict(_SEQ, brx3=_SEQ["brx3"][:31] + "T" + _SEQ["brx3"][32:])  # GAT -> GTT, Asp -> Val
FASTA_MUTANT = "".join(f">{n} len={len(s)}\n{s[:45]}\n{s[45:]}\n" for n, s in _MUTANT.items())

STAYS = """patient,arm,admitted,discharged,dose_mg
P-0412,A,2023-02-27,2023-03-04,12.5
P-0413,B,2023-02-28,2023-03-02,20.0
P-0417,A,2023-03-01,2023-03-11,12.5
P-0420,B,2023-03-03,2023-03-08,20.0
P-0421,A,2023-03-03,2023-03-06,10.0
P-0433,B,2023-03-09,2023-03-21,25.0
P-0440,A,2023-03-12,2023-03-13,12.5
P-0441,B,2023-03-15,2023-03-19,20.0
"""
STAYS_LATER = STAYS.replace("2023-03-08,20.0", "2023-03-09,20.0")

_rows = []
for _i in range(40):
    _x, _z = round(_r.uniform(0, 10), 2), round(_r.gauss(5, 2), 2)
    _rows.append((f"{_x}", f"{_z}", f"{1.5 + 0.8 * _x - 0.3 * _z + _r.gauss(0, .4):.2f}", f"{2 - 0.5 * _z + _r.gauss(0, .3):.2f}"))
TRIAL = "exposure,age,response,control\n" + "".join(",".join(r) + "\n" for r in _rows)
_rows2 = list(_rows)
_rows2[23] = (_rows[23][0], _rows[23][1], f"{float(_rows[23][2]) + 0.9:.2f}", _rows[23][3])
TRIAL_ONE = "exposure,age,response,control\n" + "".join(",".join(r) + "\n" for r in _rows2)

_climate = []
for _s, _base in (("Tromso", 3.1), ("Dakar", 25.2), ("Quito", 13.9)):
    for _y in range(2001, 2007):
        for _m in range(1, 13):
            _climate.append([_s, f"{_y}-{_m:02d}-01", f"{_base + 6 * ((_m - 6.5) ** 2 / -30 + .5) + 0.03 * (_y - 2001) + _r.gauss(0, .5):.2f}"])
CLIMATE = "station,month,tas\n" + "".join(",".join(r) + "\n" for r in _climate)
_hot = [list(r) for r in _climate]
for _row in _hot:
    if _row[0] == "Dakar" and _row[1] == "2004-08-01":
        _row[2] = f"{float(_row[2]) + 0.6:.2f}"
CLIMATE_HOT = "station,month,tas\n" + "".join(",".join(r) + "\n" for r in _hot)

_img = [[20 + (i * 7 + j * 3) % 23 for j in range(32)] for i in range(24)]
for _ci, _cj in ((5, 6), (8, 22), (17, 12)):
    for _i in range(-2, 3):
        for _j in range(-2, 3):
            if _i * _i + _j * _j <= 5:
                _img[_ci + _i][_cj + _j] = 180 + 5 * (_i + _j)
_img2 = [list(r) for r in _img]
_img2[21][27] = 199  # one hot pixel: a fourth object
PGM = "P2\n32 24\n255\n" + "".join(" ".join(map(str, r)) + "\n" for r in _img)
PGM_HOT = "P2\n32 24\n255\n" + "".join(" ".join(map(str, r)) + "\n" for r in _img2)

BED = """chr1	100	350	peak_01	12
chr1	900	1250	peak_02	31
chr2	40	90	peak_03	7
chr2	410	800	peak_04	22
chr7	5000	5600	peak_05	18
chrX	77	177	peak_06	9
"""
BED_WIDER = BED.replace("410\t800", "410\t810")

SPENDING = """quarter,region,units,price
2024Q1,north,120,9.50
2024Q1,south,95,9.20
2024Q2,north,131,9.50
2024Q2,south,99,9.35
2024Q3,north,128,9.80
2024Q3,south,104,9.35
2024Q4,north,150,9.80
2024Q4,south,111,9.60
"""
SPENDING_ONE = SPENDING.replace("south,104", "south,140")

SCIENCE = []

# ---------------------------------------------------------------------------------------- 1 genes: one base is another

SCIENCE.append(Case("genes", [
    same('''import logging, sys
logging.basicConfig(stream=sys.stdout, level=logging.INFO, force=True,
                    format="%(asctime)s.%(msecs)03d [%(process)d] %(name)s: %(message)s", datefmt="%d.%m.%Y %H:%M:%S")
log = logging.getLogger("genes")
log.info("reading genes.fasta")
genes = {}
for line in open("genes.fasta"):
    if line[0] == ">":
        name = line[1:].split()[0]
        genes[name] = ""
    else:
        genes[name] += line.strip()
log.info("%d records", len(genes))'''),
    same('''from tabulate import tabulate
print(tabulate([(n, len(s), s[:3], s[-3:]) for n, s in genes.items()], headers=["gene", "length", "start", "stop"], tablefmt="rounded_outline"))'''),
    differs('''for n, s in genes.items():
    print(f"{n:6s} A {s.count('A'):3d}   purines {100 * sum(b in 'AG' for b in s) / len(s):.2f} %")''', "data"),
    same('''codons = {genes["opsA"][i:i + 3] for i in range(0, len(genes["opsA"]), 3)}
print(codons)'''),
    differs('''code = dict(GCT="A", AAA="K", GAT="D", TGG="W", CCG="P", TTC="F", GGA="G", CTG="L", ACC="T", CAT="H", ATG="M", TAA="*", GTT="V")
def translate(s):
    return "".join(code[s[i:i + 3]] for i in range(0, len(s), 3))
for n, s in genes.items():
    print(f">{n}", translate(s), sep="\\n")''', "data"),
    same('''import os, tempfile
out = tempfile.NamedTemporaryFile("w", suffix=".names", delete=False)
out.write("\\n".join(genes)); out.close()
log.info("names written to %s (%d bytes)", out.name, os.path.getsize(out.name))
os.remove(out.name)'''),
    differs('''import hashlib
pd_rows = [(n, hashlib.md5(s.encode()).hexdigest()) for n, s in genes.items()]
print(tabulate(pd_rows, headers=["gene", "md5"]))''', "data"),
    same('''class Gene:
    def __init__(self, name, sequence):
        self.name, self.sequence = name, sequence
records = [Gene(n, s) for n, s in genes.items()]
print(len(records), "records,", sum(len(g.sequence) for g in records), "bases")
records'''),
    same('''%matplotlib inline
import matplotlib.pyplot as plt
a, b = genes["opsA"], genes["kinB"]
fig, ax = plt.subplots(figsize=(3, 3))
pts = [(i, j) for i in range(len(a) - 3) for j in range(len(b) - 3) if a[i:i + 4] == b[j:j + 4]]
ax.scatter(*zip(*pts), s=2)
ax.set(xlabel="opsA", ylabel="kinB", title=f"{len(pts)} words")'''),
    differs('''import numpy as np, pandas as pd
names = list(genes)
pd.DataFrame([[sum(x != y for x, y in zip(genes[p], genes[q])) for q in names] for p in names], names, names)''', "data"),
], files={"genes.fasta": FASTA}, data={"genes.fasta": FASTA_MUTANT}))

# ------------------------------------------------------------------- 2 hospital stays: one patient leaves one day later

SCIENCE.append(Case("stays", [
    same('''import uuid, datetime, pandas as pd
RUN = uuid.uuid4()
print("Run", RUN, "started on", datetime.datetime.now().strftime("%A %d %B %Y, %I:%M %p"))'''),
    same('''stays = pd.read_csv("stays.csv", parse_dates=["admitted", "discharged"])
print(stays.dtypes)
stays.head(3)'''),
    differs('''stays["stay"] = stays.discharged - stays.admitted
stays.set_index("patient").stay''', "data"),
    same('''stays.pivot_table(index="arm", values="dose_mg", aggfunc=["count", "mean", "max"]).style.format(precision=2).set_caption("Doses")'''),
    differs('''stays.groupby("arm").stay.agg(["mean", "max", "sum"]).style.set_caption("Length of stay")''', "data", "downstream"),
    differs('''import sqlite3, time
t0 = time.perf_counter()
db = sqlite3.connect(":memory:")
stays.drop(columns="stay").assign(admitted=stays.admitted.dt.date.astype(str), discharged=stays.discharged.dt.date.astype(str)).to_sql("stays", db, index=False)
rows = db.execute("select arm, sum(julianday(discharged) - julianday(admitted)) from stays group by arm order by arm").fetchall()
print(rows, f"({1e3 * (time.perf_counter() - t0):.2f} ms)")''', "data"),
    differs('''print("occupied beds in all:", stays.stay.sum())
print("median:", stays.stay.median(), "| last discharge of an arm B patient before the equinox:", stays[(stays.arm == "B") & (stays.discharged < "2023-03-20")].discharged.max().date())''', "data", "downstream"),
    same('''start = datetime.datetime.now()
db.execute("create index by_arm on stays (arm)")
print("index built in", datetime.datetime.now() - start)
db'''),
    same('''stays.groupby("ward").size()'''),
], files={"stays.csv": STAYS}, data={"stays.csv": STAYS_LATER}))

# ------------------------------------------------------------------------- 3 pendulum: other damping in the second session

SCIENCE.append(Case("pendulum", [
    same('''import time, numpy as np, sympy as sp, matplotlib.pyplot as plt
from scipy.integrate import solve_ivp
from scipy.signal import find_peaks
BEGIN = time.time()
print(f"{BEGIN:.3f}", time.ctime())'''),
    same('''t, g, L, c = sp.symbols("t g L c", positive=True)
theta = sp.Function("theta")
equation = sp.Eq(theta(t).diff(t, 2) + c * theta(t).diff(t) + g / L * sp.sin(theta(t)), 0)
equation'''),
    differs('''damping, length = 0.12, 1.5
print(f"c = {damping} 1/s, L = {length} m")''', "code"),
    differs('''solution = solve_ivp(lambda t, y: (y[1], -damping * y[1] - 9.81 / length * np.sin(y[0])), (0, 20), (0.5, 0), rtol=1e-6, t_eval=np.linspace(0, 20, 400))
print(solution.status, solution.nfev, "evaluations; at the end", solution.y[:, -1].round(4))''', "code", "downstream"),
    same('''small = 2 * np.pi * np.sqrt(length / 9.81)
print(f"period of the undamped pendulum at small angles: {small:.4f} s; computed {time.time() - BEGIN:.2f} s after the start")'''),
    differs('''fig, ax = plt.subplots(figsize=(4, 2.5))
ax.plot(solution.t, solution.y[0])
ax.set_xlabel("t [s]"); ax.set_ylabel(r"$\\theta$")''', "code", "downstream"),
    same('''from scipy.special import ellipk
%timeit -n 200 -r 3 ellipk(0.3)
print(f"{4 * np.sqrt(length / 9.81) * ellipk(np.sin(0.25) ** 2):.5f}")'''),
    differs('''peaks, _ = find_peaks(solution.y[0])
for k, p in enumerate(peaks[:4]):
    print(f"swing {k + 1}: t = {solution.t[p]:.2f} s, amplitude {np.degrees(solution.y[0][p]):.1f} deg")''', "code", "downstream"),
    same('''frequency = lambda l: np.sqrt(9.81 / l) / 2 / np.pi
print(frequency, [round(frequency(l), 3) for l in (.5, 1, 2)])'''),
], edited={2: '''damping, length = 0.13, 1.5
print(f"c = {damping} 1/s, L = {length} m")'''}))

# ---------------------------------------------------------------------- 4 spectra: a coefficient of Blackman's window

SCIENCE.append(Case("spectra", [
    same('''import os, socket, platform, numpy as np, matplotlib.pyplot as plt
from scipy import signal
from scipy.signal import windows
rng = np.random.default_rng(31)
fs = 500
t = np.arange(1000) / fs
x = np.sin(2 * np.pi * 50 * t) + 0.4 * np.sin(2 * np.pi * 63 * t) + 0.1 * rng.standard_normal(t.size)
print("pid", os.getpid(), "parent", os.getppid())
print("rms", round(float(np.sqrt(np.mean(x ** 2))), 4))'''),
    same('''for name in ("hann", "hamming", "bartlett"):
    w = windows.get_window(name, 64)
    print(f"{name:10s} sum {w.sum():.4f}  enbw {64 * (w ** 2).sum() / w.sum() ** 2:.4f}")'''),
    differs('''w = windows.get_window("blackman", 64)
print(f"{'blackman':10s} sum {w.sum():.4f}  enbw {64 * (w ** 2).sum() / w.sum() ** 2:.4f}")''', "library"),
    same('''f, p = signal.welch(x, fs, window="hann", nperseg=256)
plt.figure(figsize=(4, 2.5))
plt.semilogy(f, p)
plt.title("Welch, Hann")'''),
    differs('''f, p = signal.welch(x, fs, window="blackman", nperseg=256)
k = p.argmax()
print(f"peak at {f[k]:.2f} Hz, {p[k]:.5f} V^2/Hz")''', "library"),
    differs('''np.set_printoptions(precision=5, suppress=True)
taps = signal.firwin(15, 40, fs=fs, window="blackman")
taps''', "library"),
    differs('''y = signal.lfilter(taps, 1, x)
print(f"{y.std():.6f}")
print(type(y), hex(id(y)))''', "library", "downstream"),
    same('''b, a = signal.butter(3, 40, fs=fs)
print(np.round(b, 5), np.round(a, 5))
%time z = signal.filtfilt(b, a, x)
print(f"{z.std():.5f}")'''),
    same('''import psutil
print(f"resident {psutil.Process().memory_info().rss / 2 ** 20:.1f} MiB, up since {psutil.Process().create_time():.2f}")'''),
], patch=("scipy/signal/windows/_windows.py", "[0.42, 0.50, 0.08]", "[0.43, 0.50, 0.08]")))

# -------------------------------------------------------------------- 5 neighbours: an environment variable sets k

SCIENCE.append(Case("neighbours", [
    same('''import os, time, warnings, numpy as np, pandas as pd
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = load_iris(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X.iloc[:, :2], y, test_size=0.4, random_state=5, stratify=y)
print(X_train.shape, X_test.shape, "loaded at", time.strftime("%H:%M:%S"))'''),
    differs('''K = int(os.environ.get("NEIGHBOURS", "5"))
model = make_pipeline(StandardScaler(), KNeighborsClassifier(n_neighbors=K))
model''', "environment"),
    differs('''t0 = time.process_time()
model.fit(X_train, y_train)
print(f"accuracy {model.score(X_test, y_test):.4f} [cpu {time.process_time() - t0:.5f}s]")''', "environment", "downstream"),
    differs('''from sklearn.metrics import confusion_matrix
pd.DataFrame(confusion_matrix(y_test, model.predict(X_test)))''', "environment", "downstream"),
    same('''from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
scores = cross_validate(LogisticRegression(max_iter=500), X, y, cv=4)
pd.DataFrame(scores)'''),
    same('''import joblib, tempfile, pathlib
target = pathlib.Path(tempfile.mkdtemp(prefix="scaler-")) / "scaler.joblib"
print(joblib.dump(model[0], target))
print(joblib.load(target).mean_.round(4))'''),
    differs('''for d, i in zip(*(a[0] for a in model[-1].kneighbors(model[0].transform(X_test.iloc[[0]])))):
    print(f"sample {i:3d} at distance {d:.4f}")''', "environment", "downstream"),
    same('''with warnings.catch_warnings():
    warnings.simplefilter("always")
    LogisticRegression(max_iter=3).fit(X, y)
print("variance per feature")
X.var().round(3)'''),
], environment={"NEIGHBOURS": "7"}, given={"NEIGHBOURS": "9"}))

# ------------------------------------------------------------------ 6 forest: one line of a table has another value

SCIENCE.append(Case("forest", [
    same('''import time, numpy as np, pandas as pd
from tqdm.auto import tqdm
table = pd.read_csv("trial.csv")
print(table.shape, "read on", time.strftime("%a, %d %b %Y %H:%M:%S %z"))'''),
    differs('''table.describe().round(3)''', "data"),
    same('''from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_validate
pd.DataFrame(cross_validate(Ridge(), table[["exposure", "age"]], table.control, cv=3, return_train_score=True)).T'''),
    differs('''pd.DataFrame(cross_validate(Ridge(), table[["exposure", "age"]], table.response, cv=3, return_train_score=True)).T''', "data"),
    differs('''from sklearn.ensemble import RandomForestRegressor
forest = RandomForestRegressor(n_estimators=30, random_state=8).fit(table[["exposure", "age"]], table.response)
dict(zip(["exposure", "age"], forest.feature_importances_.round(5).tolist()))''', "data"),
    same('''depths = []
for seed in tqdm(range(12), desc="control trees"):
    depths.append(RandomForestRegressor(n_estimators=3, random_state=seed, max_depth=4).fit(table[["age"]], table.control).estimators_[0].get_n_leaves())
depths'''),
    differs('''import seaborn as sns
ax = sns.scatterplot(table, x="exposure", y="response", size="age", legend=False)
ax.figure.set_size_inches(4, 3)''', "data"),
    same('''ax = sns.regplot(table, x="age", y="control", seed=3, n_boot=50)
ax.figure.set_size_inches(4, 3)'''),
    differs('''t0 = time.monotonic()
error = (table.response - forest.predict(table[["exposure", "age"]])).abs()
print(f"mean absolute error {error.mean():.4f}, found in {time.monotonic() - t0:.4f} s")''', "data", "downstream"),
], files={"trial.csv": TRIAL}, data={"trial.csv": TRIAL_ONE}))

# ----------------------------------------------------------- 7 regression: one response is another (same file as above)

SCIENCE.append(Case("regression", [
    same('''import datetime, numpy as np, pandas as pd, statsmodels.api as sm, statsmodels.formula.api as smf
trial = pd.read_csv("trial.csv")
print(f"statsmodels {sm.__version__}; {len(trial)} subjects; analysed {datetime.datetime.now(datetime.timezone.utc):%Y%m%dT%H%M%SZ}")'''),
    differs('''effect = smf.ols("response ~ exposure + age", trial).fit()
effect.summary()''', "data"),
    same('''null = smf.ols("control ~ age", trial).fit()
print(null.summary())'''),
    differs('''effect.conf_int().round(4)''', "data", "downstream"),
    same('''t0 = datetime.datetime.now()
rng = np.random.default_rng(12)
slopes = []
for _ in range(60):
    part = trial.iloc[rng.integers(0, len(trial), len(trial))]
    slopes.append(np.polyfit(part.age, part.control, 1)[0])
print(f"bootstrap: slope {np.mean(slopes):.4f} +- {np.std(slopes):.4f}")
print("elapsed:", str(datetime.datetime.now() - t0))'''),
    differs('''sm.stats.anova_lm(effect).round(4)''', "data", "downstream"),
    same('''[null, null.model, null.params.index]'''),
    differs('''influence = effect.get_influence()
d = pd.Series(influence.cooks_distance[0]).nlargest(3)
print(d.round(4).to_string())''', "data", "downstream"),
], files={"trial.csv": TRIAL}, data={"trial.csv": TRIAL_ONE}))

# ------------------------------------------------------------- 8 serial correlation: Durbin and Watson's line is patched

SCIENCE.append(Case("serial", [
    same('''import sys, warnings, numpy as np, statsmodels.api as sm
from statsmodels.stats.stattools import durbin_watson, jarque_bera
rng = np.random.default_rng(77)
e = np.zeros(120)
for i in range(1, 120):
    e[i] = 0.6 * e[i - 1] + rng.normal()
x = np.linspace(0, 4, 120)
y = 1 + 2 * x + e
print(repr(rng), y[:4].round(3))'''),
    differs('''fit = sm.OLS(y, sm.add_constant(x)).fit()
print(f"Durbin-Watson {durbin_watson(fit.resid):.3f}")''', "library"),
    differs('''fit.summary()''', "library"),
    same('''counts = rng.poisson(np.exp(0.3 * x))
glm = sm.GLM(counts, sm.add_constant(x), family=sm.families.Poisson()).fit()
glm.summary()'''),
    same('''%%time
from statsmodels.tsa.stattools import acf, adfuller
print(acf(fit.resid, nlags=4).round(4))
print(f"ADF {adfuller(fit.resid)[0]:.4f}")'''),
    differs('''print(fit.summary2().tables[2].to_string(header=False, index=False))''', "library"),
    same('''jb = jarque_bera(fit.resid)
print(f"JB {jb[0]:.3f}, p {jb[1]:.3f}", file=sys.stderr)
print(fit)'''),
], patch=("statsmodels/stats/stattools.py", "np.diff(resids, 1, axis=axis)", "np.diff(resids, 2, axis=axis)")))

# ---------------------------------------------------------------------------- 9 club: two cells run in the other order

SCIENCE.append(Case("club", [
    same('''import random, time, networkx as nx, matplotlib.pyplot as plt
random.seed(4)
CLOCK = time.perf_counter_ns()
G = nx.karate_club_graph()
print(G, "object", id(G), "clock", CLOCK)'''),
    same('''H = nx.petersen_graph()
print(nx.diameter(H), nx.is_planar(H), nx.node_connectivity(H))
print({f"{a}-{b}" for a, b in H.edges if a < 2})'''),
    differs('''left = random.sample(sorted(G), 3)
G.remove_nodes_from(left)
print("left the club:", left)''', "order"),
    differs('''walk = [2]
while len(walk) < 12:
    walk.append(random.choice(sorted(G[walk[-1]]) or [2]))
print("walk:", " > ".join(map(str, walk)))''', "order"),
    same('''plt.figure(figsize=(3, 3))
nx.draw_shell(H, nlist=[range(5, 10), range(5)], with_labels=True, node_size=120)'''),
    differs('''print("visited", len(set(walk)), "members:", sorted(set(walk)))
print(f"({(time.perf_counter_ns() - CLOCK) / 1e9:.3f} s since the start)")''', "order", "downstream"),
    differs('''print(G.number_of_edges(), "edges,", f"clustering {nx.average_clustering(G):.4f}")
sorted(dict(G.degree).items(), key=lambda p: (-p[1], p[0]))[:5]''', "order", "downstream"),
    same('''nx.shortest_path(H, 0, "Zachary")'''),
    same('''class Stopwatch:
    def __enter__(self):
        self.t = time.perf_counter(); return self
    def __exit__(self, *_):
        print(f"\\u23f1 {1e6 * (time.perf_counter() - self.t):,.0f} \\u00b5s")
with Stopwatch() as w:
    print(nx.chromatic_polynomial(nx.cycle_graph(5)))
w'''),
], order=[0, 1, 3, 2, 4, 5, 6, 7, 8]))

# ----------------------------------------------------------------- 10 proteins: Jaccard's denominator is patched

SCIENCE.append(Case("proteins", [
    same('''import datetime, json, networkx as nx, numpy as np, pandas as pd
edges = "TP53-MDM2 TP53-ATM TP53-CHEK2 ATM-CHEK2 ATM-BRCA1 BRCA1-BARD1 BRCA1-CHEK2 MDM2-MDM4 TP53-MDM4 BARD1-RAD51 BRCA1-RAD51 RAD51-ATM".split()
P = nx.Graph(e.split("-") for e in edges)
print(json.dumps({"nodes": len(P), "edges": P.size(), "created": datetime.datetime.now().isoformat(), "node": "%x" % id(P)}, indent=1))'''),
    differs('''pairs = [("TP53", "BRCA1"), ("MDM2", "ATM"), ("CHEK2", "RAD51"), ("MDM4", "BARD1")]
scores = pd.DataFrame([(u, v, s) for u, v, s in nx.jaccard_coefficient(P, pairs)], columns=["a", "b", "jaccard"])
scores.round(3)''', "library"),
    same('''pd.DataFrame([(u, v, s) for u, v, s in nx.adamic_adar_index(P, pairs)], columns=["a", "b", "adamic_adar"]).round(3).style.hide(axis="index")'''),
    differs('''chosen = scores[scores.jaccard > 0.3]
print(len(chosen), "proposed interactions")''', "library", "downstream"),
    same('''print("\\n".join(list(nx.generate_gexf(P))[:9]))'''),
    same('''hubs = {n for n, d in P.degree if d >= 3}
print("hubs:", hubs)'''),
    same('''pr = nx.pagerank(P)
print(*(f"{n:6s}{v:.4f}" for n, v in sorted(pr.items(), key=lambda p: -round(p[1], 6))), sep="\\n")
%time _ = nx.betweenness_centrality(P)'''),
    differs('''import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(3.5, 2))
ax.barh([f"{a}/{b}" for a, b in zip(scores.a, scores.b)], scores.jaccard)
fig.tight_layout()''', "library", "downstream"),
], patch=("networkx/algorithms/link_prediction.py", "len(nx.common_neighbors(G, u, v)) / union_size", "len(nx.common_neighbors(G, u, v)) / (union_size + 1)")))

# -------------------------------------------------------------------------- 11 nuclei: one pixel of an image is bright

SCIENCE.append(Case("nuclei", [
    same('''import os, time, hashlib, numpy as np
from PIL import Image
from scipy import ndimage as ndi
image = Image.open("nuclei.pgm")
a = np.array(image)
print(image)
print(a.shape, a.dtype, a.flags.c_contiguous, "at", hex(a.__array_interface__["data"][0]))'''),
    differs('''image.resize((128, 96), Image.NEAREST)''', "data"),
    differs('''labels, n = ndi.label(a > 120)
print(n, "objects; areas", np.bincount(labels.ravel())[1:])''', "data"),
    same('''for k in (1, 2, 3):
    cy, cx = ndi.center_of_mass(a, labels, k)
    print(f"nucleus {k}: ({cy:.2f}, {cx:.2f})")'''),
    same('''import matplotlib.pyplot as plt
top = a[:16]
fig, (l, r) = plt.subplots(1, 2, figsize=(5, 2))
l.imshow(top, cmap="magma"); h = r.hist(top.ravel(), bins=20)
r'''),
    same('''name = f"crop_{os.getpid()}_{int(time.time())}.png"
Image.fromarray(top).save(name)
print("saved", name, os.path.getsize(name), "bytes")
os.remove(name)'''),
    differs('''print(f"mean intensity {a.mean():.3f}, max outside the nuclei {a[19:].max()}")
print("sha1", hashlib.sha1(a.tobytes()).hexdigest()[:12])''', "data"),
    same('''import tracemalloc
tracemalloc.start()
smooth = ndi.gaussian_filter(top.astype(float), 2)
now, peak = tracemalloc.get_traced_memory()
tracemalloc.stop()
print(f"smoothed: {smooth.min():.2f} to {smooth.max():.2f}; memory {now / 1024:.1f} KiB, peak {peak / 1024:.1f} KiB")'''),
    differs('''rows, cols = np.nonzero(a[18:] > 120)
list(zip((rows + 18).tolist(), cols.tolist()))[-3:]''', "data"),
], files={"nuclei.pgm": PGM}, data={"nuclei.pgm": PGM_HOT}))

# ------------------------------------------------------------------------- 12 climate: one month of one station is hotter

SCIENCE.append(Case("climate", [
    same('''import datetime, os, numpy as np, pandas as pd, xarray as xr
frame = pd.read_csv("tas.csv", parse_dates=["month"])
ds = frame.set_index(["station", "month"]).to_xarray()
ds.tas.attrs.update(units="degC", long_name="air temperature")
ds.attrs["history"] = f"{datetime.datetime.now():%a %b %d %H:%M:%S %Y}: tas.csv converted by process {os.getpid()}"
ds.attrs'''),
    same('''ds.tas.sel(station="Tromso").isel(month=slice(0, 6))'''),
    differs('''ds.tas.mean("month").round(3)''', "data"),
    differs('''annual = ds.tas.sel(station="Dakar").groupby("month.year").mean()
annual.to_series().round(2)''', "data"),
    same('''import tempfile
path = os.path.join(tempfile.gettempdir(), next(tempfile._get_candidate_names()) + ".nc")
ds[["tas"]].sel(station=["Quito"]).to_netcdf(path, engine="scipy")
back = xr.open_dataset(path, engine="scipy")
print(back.encoding["source"], back.sizes, back.nbytes)
back.close(); os.remove(path)'''),
    differs('''august = ds.tas.sel(station="Dakar", month=ds.month.dt.month == 8)
print("warmest August in Dakar:", pd.Timestamp(august.idxmax("month").item()).year, f"({august.max().item():.1f} degC)")''', "data"),
    same('''import matplotlib.pyplot as plt
ds.tas.sel(station="Quito").plot(figsize=(5, 2))'''),
    differs('''trend = annual.polyfit("year", 1).polyfit_coefficients.sel(degree=1).item()
print(f"Dakar: {10 * trend:+.3f} K per decade")''', "data", "downstream"),
], files={"tas.csv": CLIMATE}, data={"tas.csv": CLIMATE_HOT}))

# ---------------------------------------------------------------------------------- 13 epidemic: another seed in one cell

SCIENCE.append(Case("epidemic", [
    same('''import time, uuid, numpy as np, pandas as pd
from IPython.display import HTML, Markdown, display
from scipy.optimize import brentq
job = f"sir-{uuid.uuid4().hex[:8]}"
display(Markdown(f"## Job `{job}`\\nsubmitted {time.strftime('%d/%m/%y %H:%M')}"))'''),
    same('''beta, gamma, N = 0.4, 0.15, 500
R0 = beta / gamma
final = brentq(lambda z: 1 - z - np.exp(-R0 * z), 1e-3, 1)
print(f"R0 = {R0:.3f}; final size {100 * final:.1f} %")'''),
    differs('''rng = np.random.default_rng(2020)
first = rng.choice(N, 3, replace=False)
print("first cases:", sorted(first.tolist()))''', "code"),
    differs('''S, I, R, days = N - 3, 3, 0, []
while I and len(days) < 200:
    new, gone = rng.binomial(S, 1 - np.exp(-beta * I / N)), rng.binomial(I, 1 - np.exp(-gamma))
    S, I, R = S - new, I + new - gone, R + gone
    days.append((S, I, R))
curve = pd.DataFrame(days, columns=list("SIR"))
print(f"{len(days)} days, {R} recovered, peak {curve.I.max()} on day {curve.I.idxmax()}")''', "code", "downstream"),
    same('''euler = [(N - 3.0, 3.0)]
t0 = time.perf_counter()
for _ in range(60):
    s, i = euler[-1]
    euler.append((s - beta * s * i / N, i + beta * s * i / N - gamma * i))
display(HTML(f"<div id='{uuid.uuid4()}'>deterministic peak: <b>{max(i for _, i in euler):.1f}</b> <small>({1e6 * (time.perf_counter() - t0):.0f} &micro;s)</small></div>"))'''),
    differs('''curve.plot(figsize=(4, 2.5))''', "code", "downstream"),
    differs('''curve.iloc[10:13]''', "code", "downstream"),
    same('''other = np.random.default_rng(1)
waiting = other.exponential(1 / gamma, 1000)
print(f"{job}: mean infectious period {waiting.mean():.3f} d")'''),
], edited={2: '''rng = np.random.default_rng(2021)
first = rng.choice(N, 3, replace=False)
print("first cases:", sorted(first.tolist()))'''}))

# ------------------------------------------------------------------------------------------- 14 charts: nothing changed

SCIENCE.append(Case("charts_bokeh", [
    same('''import numpy as np, pandas as pd, plotly.express as px, plotly.io as pio
from IPython.display import HTML, display
pio.renderers.default = "plotly_mimetype"
d = pd.DataFrame({"t": range(8), "v": [3, 1, 4, 1, 5, 9, 2, 6], "kind": list("aabbaabb")})
HTML(px.line(d, x="t", y="v", color="kind").to_html(full_html=False, include_plotlyjs="cdn"))'''),
    same('''px.scatter(d, x="t", y="v", size="v", title="pi")'''),
    same('''import altair as alt
alt.Chart(d).mark_bar(tooltip=True).encode(x="t:O", y="v", color="kind").properties(width=150, height=100)'''),
    same('''from bokeh.embed import components, file_html
from bokeh.plotting import figure
from bokeh.resources import CDN
p = figure(width=200, height=150)
p.scatter(d.t, d.v, size=8)
script, div = components(p)
print(script); print(div)
p'''),
    same('''import ipywidgets as w
slider = w.IntSlider(value=4, min=0, max=10, description="years")
box = w.VBox([slider, w.Label("of observations")])
display(box)
slider.model_id'''),
    same('''%config InlineBackend.figure_formats = ["svg"]
import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(3, 2))
ax.fill_between(d.t, d.v, alpha=.3, hatch="//")
ax.plot(d.t, d.v, "o-")'''),
    same('''import time
from rich.console import Console
from rich.progress import track
from rich.table import Table
console = Console(width=70)
t = Table(title="kinds")
for c in ("kind", "n", "mean"):
    t.add_column(c)
for k, g in d.groupby("kind"):
    t.add_row(k, str(len(g)), f"{g.v.mean():.2f}")
console.print(t)
console.log("drawn", {"kinds": 2})
for _ in track(range(5), console=console, description="rendering"):
    time.sleep(.01)'''),
]))

# -------------------------------------------------------------------------- 15 quarters: two digits of a number swapped

SCIENCE.append(Case("quarters", [
    same('''import json, uuid, pandas as pd, plotly.graph_objects as go, altair as alt
from IPython.display import HTML
sales = pd.read_csv("sales.csv")
north, south = (sales[sales.region == r].reset_index(drop=True) for r in ("north", "south"))
sales.head(2)'''),
    differs('''fig = go.Figure([go.Scatter(x=g.quarter.tolist(), y=g.units.tolist(), name=n) for n, g in sales.groupby("region")])
HTML(fig.to_html(full_html=False, include_plotlyjs=False))''', "data"),
    same('''HTML(go.Figure(go.Bar(x=south.quarter.tolist(), y=south.price.tolist())).to_html(full_html=False, include_plotlyjs=False))'''),
    same('''alt.Chart(north).mark_line(point=True).encode(x="quarter", y=alt.Y("units").scale(zero=False))'''),
    differs('''alt.Chart(south).mark_area(opacity=.5).encode(x="quarter", y="units")''', "data"),
    differs('''from bokeh.embed import components
from bokeh.plotting import figure
p = figure(x_range=south.quarter.tolist(), height=150)
p.vbar(x=south.quarter.tolist(), top=south.units.to_numpy(), width=.6)
print(*components(p), sep="\\n")''', "data"),
    same('''q = figure(x_range=north.quarter.tolist(), height=150)
q.line(north.quarter.tolist(), north.units.to_numpy())
print(*components(q), sep="\\n")'''),
    differs('''%config InlineBackend.figure_formats = ["svg"]
import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(3, 2))
ax.bar(south.quarter, south.units)
plt.show()''', "data"),
    same('''print(json.dumps({"report": str(uuid.uuid4()), "rows": len(sales), "quarters": sorted(set(sales.quarter))}))'''),
], files={"sales.csv": SPENDING}, data={"sales.csv": SPENDING_ONE}))

# ------------------------------------------------------------------------------------------- 16 bench: nothing changed

SCIENCE.append(Case("bench", [
    same('''import cProfile, io, os, pstats, sys, threading, time, timeit, numpy as np, pandas as pd
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
r = %timeit -o -q -n 50 -r 3 fib(10)
r'''),
    same('''profile = cProfile.Profile()
profile.runcall(fib, 18)
buffer = io.StringIO()
pstats.Stats(profile, stream=buffer).strip_dirs().sort_stats("cumulative").print_stats(3)
print(buffer.getvalue())'''),
    same('''rows = []
for n in (10, 100, 1000):
    a = list(range(n, 0, -1))
    for f in (sorted, np.sort):
        rows.append((f.__name__, n, min(timeit.repeat(lambda: f(a), number=20, repeat=2)) / 20 * 1e6))
pd.DataFrame(rows, columns=["function", "n", "microseconds"]).pivot(index="n", columns="function", values="microseconds")'''),
    same('''from tqdm import tqdm
total = 0
for i in tqdm(range(60), desc="steps", ncols=70):
    total += i * i
    time.sleep(.002)
print(total)'''),
    same('''data = np.arange(200_000.)
t0 = time.perf_counter(); s1 = sum(data.tolist()); t1 = time.perf_counter(); s2 = data.sum(); t2 = time.perf_counter()
print(f"python {(t1 - t0) * 1e3:8.3f} ms | numpy {(t2 - t1) * 1e3:8.3f} ms | {(t1 - t0) / (t2 - t1):.0f}x faster | {data.nbytes / (t2 - t1) / 1e9:.2f} GB/s")
print(s1 == s2, s2)'''),
    same('''import resource, psutil
usage = resource.getrusage(resource.RUSAGE_SELF)
print("max RSS", usage.ru_maxrss, "kB; page faults", usage.ru_minflt, "; switches", usage.ru_nvcsw, usage.ru_nivcsw)
print("load", os.getloadavg(), "free", psutil.virtual_memory().available)'''),
    same('''print(threading.current_thread(), threading.get_native_id())
started = threading.Thread(target=time.sleep, args=(.01,), name="sleeper")
started.start()
print(started); started.join(); print(started.is_alive())'''),
    same('''def wait_for(condition, limit):
    begin = time.monotonic()
    while not condition():
        time.sleep(.01)
        if time.monotonic() - begin > limit:
            raise TimeoutError(f"gave up after {time.monotonic() - begin:.4f} s (limit {limit} s)")
wait_for(lambda: False, .05)'''),
]))

# ----------------------------------------------------------------------------------------- 17 workers: one processor only

SCIENCE.append(Case("workers", [
    same('''import os, sys, time, threading, multiprocessing as mp, numpy as np, joblib
from concurrent.futures import ThreadPoolExecutor
def task(k):
    return os.getpid(), k * k
with mp.Pool(2) as pool:
    done = pool.map(task, range(6))
print("parent", os.getpid())
for pid, value in done:
    print(f"[worker {pid}] {value}")'''),
    differs('''n = joblib.cpu_count()
print(n, "workers")''', "machine"),
    differs('''def hits(seed, m=20000):
    p = np.random.default_rng(seed).random((m, 2))
    return int(((p ** 2).sum(1) < 1).sum())
t0 = time.time()
with mp.Pool(n) as pool:
    counts = pool.map(hits, np.random.SeedSequence(5).spawn(n))
print(counts, f"pi = {4 * sum(counts) / (20000 * n):.5f}", f"after {time.time() - t0:.2f} s")''', "machine", "downstream"),
    same('''def named(k):
    time.sleep(.01)
    return f"{k}:{threading.get_ident()}"
with ThreadPoolExecutor(3, thread_name_prefix="io") as ex:
    futures = [ex.submit(named, k) for k in range(4)]
    print([f.result() for f in futures])
futures[0]'''),
    same('''child = mp.Process(target=sys.exit, args=(3,))
print(child)
child.start(); child.join()
child'''),
    differs('''for rank, part in enumerate(np.array_split(np.arange(10), n)):
    print(f"rank {rank}: {part.tolist()}")''', "machine", "downstream"),
    same('''from multiprocessing import shared_memory
block = shared_memory.SharedMemory(create=True, size=128)
view = np.ndarray(16, buffer=block.buf); view[:] = np.arange(16) / 4
print(block.name, view.sum())
del view; block.close(); block.unlink()'''),
    same('''results = joblib.Parallel(n_jobs=2, verbose=5, backend="threading")(joblib.delayed(pow)(k, 3) for k in range(4))
print(results)'''),
], cpus=1))

# ------------------------------------------------------------------------------------ 18 pipes: in another directory

SCIENCE.append(Case("pipes", [
    same('''import os, pathlib, shutil, subprocess, sys
here = pathlib.Path.cwd()
print("working in", here)
print(pathlib.Path("notes.txt").resolve(), pathlib.Path("notes.txt").stat().st_size)'''),
    same('''r = subprocess.run([sys.executable, "-c", "import os; print(os.getpid() > 1); print(open('notes.txt').read().upper()); raise SystemExit(os.getcwd())"], capture_output=True, text=True)
r'''),
    same('''!stat --printf='%n: %s bytes, inode %i, modified %y\\n' notes.txt
!wc -w "$PWD/notes.txt"'''),
    same('''import hashlib
copy = shutil.copy("notes.txt", here / "notes.bak")
print(copy, hashlib.sha256(copy.read_bytes()).hexdigest())
copy.unlink()'''),
    same('''p = subprocess.Popen(["sort", "-r", str(here / "notes.txt")], stdout=subprocess.PIPE, text=True)
print(p.pid, p.communicate()[0])
p'''),
    same('''%%bash
scratch=$(mktemp -d)
echo "shell $$ in $scratch"
(cd "$scratch" && tr a-z A-Z < "$OLDPWD/notes.txt" > loud.txt && wc -c loud.txt && date +%s.%N)
rm -r "$scratch"'''),
    same('''pathlib.Path("helper_cells.py").write_text("def half(x):\\n    return x / 0 if x < 0 else x / 2\\n")
sys.path.insert(0, str(here))
import helper_cells
print(helper_cells.half(9))
helper_cells'''),
    same('''open(here / "measurements" / "run-01.csv")'''),
], files={"notes.txt": "calcium\nsodium\npotassium channel\n"}, moved=True))

# ---------------------------------------------------------------------------- 19 peaks: bash, one interval is wider

SCIENCE.append(Case("peaks", [
    same('''echo "shell $$ started $(date '+%F %T.%N')"; wc -l < peaks.bed'''),
    differs('''awk -v OFS='\\t' '{ print $4, $3 - $2 }' peaks.bed | tee widths.tsv''', "data"),
    same('''cut -f1 peaks.bed | sort | uniq -c'''),
    same('''f=$(mktemp /tmp/names.XXXXXX); cut -f4 peaks.bed > $f; echo "$f: $(md5sum < $f)"; rm $f'''),
    differs('''md5sum peaks.bed''', "data"),
    differs('''awk '{ s += $2 } END { printf "mean width %.2f of %d\\n", s / NR, NR }' widths.tsv''', "data", "downstream"),
    same('''time awk '{ s += $5 } END { print "score", s }' peaks.bed'''),
    same('''bedtools intersect -a peaks.bed -b peaks.bed'''),
], kernel="bash", files={"peaks.bed": BED}, data={"peaks.bed": BED_WIDER}))

# ---------------------------------------------------------------------------------- 20 arms: random without a seed

SCIENCE.append(Case("arms", [
    varies('''import random, secrets, time, numpy as np, pandas as pd
patients = [f"P{k:03d}" for k in range(40)]
treated = sorted(random.sample(patients, 8))
print(treated)'''),
    same('''print(len(treated), "of", len(patients), "treated; token", secrets.token_urlsafe(12))'''),
    varies('''u = np.random.default_rng().random((5000, 2))
print(f"pi = {4 * ((u ** 2).sum(1) < 1).mean():.4f}")'''),
    same('''rng = np.random.default_rng(6)
t0 = time.perf_counter()
x = rng.normal(size=(200, 3)); y = x[:, 0] + rng.normal(size=200)
print(f"r = {np.corrcoef(x[:, 0], y)[0, 1]:.4f} [{(time.perf_counter() - t0) * 1e3:.3f} ms]")'''),
    varies('''from sklearn.ensemble import RandomForestRegressor
RandomForestRegressor(n_estimators=10).fit(x, y).feature_importances_.round(5)'''),
    same('''RandomForestRegressor(n_estimators=10, random_state=1).fit(x, y).feature_importances_.round(5)'''),
], twice=True))

# ------------------------------------------------------------------------------ 21 observations: in another time zone

SCIENCE.append(Case("observations", [
    same('''import datetime as dt, logging, sqlite3, subprocess, sys, time, pandas as pd
logging.Formatter.converter = time.gmtime
logging.basicConfig(stream=sys.stderr, level="INFO", format="%(asctime)s %(levelname)-8s %(message)s", force=True)
exposures = [1718000000, 1718031600, 1718064000, 1718071200, 1718100000]
logging.info("%d exposures", len(exposures))'''),
    differs('''for e in exposures:
    print(dt.datetime.fromtimestamp(e).isoformat(sep=" "))''', "environment"),
    same('''for e in exposures:
    print(dt.datetime.fromtimestamp(e, dt.timezone.utc).isoformat(sep=" "))'''),
    differs('''nights = pd.Series([dt.date.fromtimestamp(e) for e in exposures]).value_counts().sort_index()
nights''', "environment"),
    differs('''sqlite3.connect(":memory:").execute("select time(1718000000, 'unixepoch', 'localtime')").fetchone()''', "environment"),
    same('''t0 = time.time_ns()
total = sum(exposures)
logging.warning("summed in %d ns: %d", time.time_ns() - t0, total)'''),
    differs('''print(subprocess.check_output(["date", "-d", "@1718100000", "+%d.%m. %Hh%M"], text=True))''', "environment"),
], environment={"TZ": "UTC0"}, given={"TZ": "JST-9"}))
