"""The eighteenth blind set: physics, biology, chemistry, signals, graphs, teaching.

Written by someone who had seen neither the rules nor the other cases, asked for notebooks as people write them, without traps, with noise of every kind that
the goal names and one change of each kind that it names. Every truth was decided from what the cell does, then checked in a plain kernel before and after its
change. README has its figures at first sight. Rules were mended by some of these since.
"""

from truth import Case, Cell, differs, same, varies  # noqa: F401

BLIND = []

# ------------------------------------------------------------------------------------------------ no change

BLIND.append(Case("l-pendulum-lab", [
    same('''%matplotlib inline
import numpy as np
import matplotlib.pyplot as plt
from scipy.integrate import solve_ivp
from ipywidgets import interact, FloatSlider

g, L = 9.81, 0.75
print(f"small-angle period: {2*np.pi*np.sqrt(L/g):.4f} s")'''),
    same('''def pendulum(t, y, gamma=0.0):
    theta, omega = y
    return [omega, -g/L*np.sin(theta) - gamma*omega]

sol = solve_ivp(pendulum, (0, 10), [np.radians(60), 0.0], rtol=1e-9, atol=1e-9, dense_output=True)
sol'''),
    same('''%%time
angles = np.radians(np.arange(5, 91, 5))
def period(theta0):
    ev = lambda t, y: y[0]
    ev.direction = -1
    s = solve_ivp(pendulum, (0, 5), [theta0, 0], events=ev, rtol=1e-9, atol=1e-9)
    return 4*s.t_events[0][0]
T = np.array([period(a) for a in angles])
print(np.c_[np.degrees(angles), T].round(4)[::4])'''),
    same('''fig, (a1, a2) = plt.subplots(1, 2, figsize=(9, 3.2))
t = np.linspace(0, 10, 500)
a1.plot(t, np.degrees(sol.sol(t)[0])); a1.set_xlabel("t [s]"); a1.set_ylabel(r"$\\theta$ [deg]")
a2.plot(np.degrees(angles), T, "o-"); a2.axhline(2*np.pi*np.sqrt(L/g), ls="--", c="k")
a2.set_xlabel("amplitude [deg]"); a2.set_ylabel("period [s]")
fig.tight_layout()
plt.show()'''),
    same('''fig2, ax = plt.subplots(figsize=(3.5, 3.5))
ax.plot(*sol.sol(t), lw=0.8)'''),
    same('''@interact(gamma=FloatSlider(min=0, max=2, step=0.1, value=0.3, description="damping"))
def show(gamma):
    s = solve_ivp(pendulum, (0, 10), [1.0, 0.0], args=(gamma,), rtol=1e-8)
    print(f"gamma={gamma:.1f}: theta(10 s) = {s.y[0, -1]:+.4f} rad")'''),
    same('''%timeit -n 20 -r 3 solve_ivp(pendulum, (0, 2), [0.5, 0.0])'''),
    same('''E = 0.5*(L*sol.y[1])**2 + g*L*(1 - np.cos(sol.y[0]))
print("max relative energy drift below 1e-6:", bool(np.ptp(E)/E[0] < 1e-6))
pendulum, sol.sol'''),
]))

BLIND.append(Case("l-kmer-catalogue", [
    same('''import uuid, datetime as dt
from collections import Counter
import pandas as pd

RUN = uuid.uuid4()
print("run", RUN, "started", dt.datetime.now().isoformat(timespec="seconds"))'''),
    same('''def read_fasta(path):
    name, seqs = None, {}
    for line in open(path):
        if line.startswith(">"):
            name = line[1:].split()[0]
            seqs[name] = ""
        else:
            seqs[name] += line.strip()
    return seqs

seqs = read_fasta("toy.fasta")
for k, s in seqs.items():
    print(f"{k:8s} {len(s):4d} bp  GC {100*sum(c in 'GC' for c in s)/len(s):.1f} %")'''),
    same('''def kmers(s, k=4):
    return {s[i:i+k] for i in range(len(s)-k+1)}

shared = set.intersection(*(kmers(s) for s in seqs.values()))
print(len(shared), "4-mers are in every sequence")
shared'''),
    same('''alphabet = set("".join(seqs.values()))
print("letters used:", alphabet)
for a in list(seqs)[:2]:
    for b in seqs:
        ka, kb = kmers(seqs[a]), kmers(seqs[b])
        print(a, b, f"Jaccard = {len(ka & kb)/len(ka | kb):.3f}")'''),
    same('''counts = pd.DataFrame({n: Counter(s[i:i+2] for i in range(len(s)-1)) for n, s in seqs.items()}).fillna(0).astype(int).sort_index()
counts.style.background_gradient(axis=0).set_caption("dinucleotides")'''),
    same('''CODON = {"ATG": "M", "GCT": "A", "GAA": "E", "AAA": "K", "TTT": "F", "GGC": "G", "CTG": "L", "TAA": "*"}

def translate(s):
    return "".join(CODON[s[i:i+3]] for i in range(0, len(s)-2, 3))

print(translate("ATGGCTGAAAAACTGTAA"))
translate("ATGNNNGAA")      # ambiguous bases are not handled yet'''),
    same('''class Aligner:
    def __init__(self, match=1, mismatch=-1, gap=-2):
        self.match, self.mismatch, self.gap = match, mismatch, gap
    def score(self, a, b):
        prev = [j*self.gap for j in range(len(b)+1)]
        for i, x in enumerate(a, 1):
            cur = [i*self.gap]
            for j, y in enumerate(b, 1):
                cur.append(max(prev[j-1] + (self.match if x == y else self.mismatch), prev[j]+self.gap, cur[-1]+self.gap))
            prev = cur
        return prev[-1]
al = Aligner()
print(al)
names = list(seqs)
pd.DataFrame([[al.score(seqs[a], seqs[b]) for b in names] for a in names], names, names)'''),
    same('''summary = counts.sum().rename("dinucleotides").to_frame()
summary["run"] = str(RUN)
summary'''),
], files={"toy.fasta": ">hbaA test\nATGGTGCTGTCTCCTGCCGACAAGACCAACGTCAAGGCCGCCTGGGGTAAGGTCGGCGCGCACGCTGGCGAGTATGG\n>hbaB\nATGGTGCACCTGACTCCTGAGGAGAAGTCTGCCGTTACTGCCCTGTGGGGCAAGGTGAACGTGGATGAAGTTGGTGG\n>mygl\nATGGGGCTCAGCGACGGGGAATGGCAGTTGGTGCTGAACGTCTGGGGGAAGGTGGAGGCTGACATCCCAGGCCATGG\n"}))

BLIND.append(Case("l-radiocarbon-mcmc", [
    same('''import logging, os, sys, time
import numpy as np, matplotlib.pyplot as plt
from tqdm.auto import tqdm
logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s [%(process)d] %(levelname)s %(message)s", force=True)
log = logging.getLogger("c14")
log.info("sampler ready")'''),
    same('''ages = np.array([3120, 3185, 3090, 3150, 3210, 3135])
errs = np.array([35, 40, 30, 35, 50, 30])
w = 1/errs**2
print(f"pooled: {np.sum(w*ages)/w.sum():.1f} +- {w.sum()**-0.5:.1f} BP, chi2 = {np.sum(w*(ages-np.sum(w*ages)/w.sum())**2):.2f}")'''),
    varies('''rng = np.random.default_rng()          # a fresh chain each time
def loglike(mu, s):
    v = errs**2 + s**2
    return -0.5*np.sum((ages-mu)**2/v + np.log(v))
chain, x = [], np.array([3100.0, 20.0])
acc = 0
for i in tqdm(range(4000), desc="burn+run"):
    prop = x + rng.normal(size=2)*[15, 10]
    if prop[1] > 0 and np.log(rng.random()) < loglike(*prop) - loglike(*x):
        x, acc = prop, acc+1
    chain.append(x)
chain = np.array(chain[1000:])
print("acceptance", acc/4000)
print("posterior mean", chain.mean(axis=0))'''),
    varies('''fig, ax = plt.subplots(figsize=(6, 2.5))
ax.plot(chain[::5, 0], lw=0.5)
ax.set_ylabel("mu [BP]")
plt.show()'''),
    same('''t0 = time.perf_counter()
grid = np.linspace(2950, 3350, 801)
post = np.exp([loglike(m, 10.0) + 33 for m in grid])
post /= np.trapezoid(post, grid)
log.info("grid of %d points in %.3f s", grid.size, time.perf_counter() - t0)
print("grid mode:", grid[post.argmax()])'''),
    varies('''boot = [np.random.choice(ages, ages.size).mean() for _ in range(500)]
print("bootstrap 95 %:", np.percentile(boot, [2.5, 97.5]))'''),
    same('''for step in tqdm(range(5), desc="checking", file=sys.stdout, ncols=70):
    time.sleep(0.05)
print("all prior bounds respected:", bool((chain[:, 1] > 0).all()))'''),
    same('''assert chain.shape == (3000, 2)
log.warning("process %s finished", os.getpid())
chain.dtype, chain.shape'''),
]))

BLIND.append(Case("l-ocean-grid", [
    same('''import os, tempfile, pathlib
import numpy as np, pandas as pd, xarray as xr
work = pathlib.Path(tempfile.mkdtemp(prefix="ocean_"))
print("scratch:", work)
print("notebook in", os.getcwd())'''),
    same('''rng = np.random.default_rng(42)
lat, lon = np.arange(-60, 61, 20.), np.arange(0, 360, 45.)
time = pd.date_range("2015-01-01", periods=24, freq="MS")
season = np.cos(2*np.pi*(time.month.values-1)/12)
sst = 28*np.cos(np.radians(lat))[None, :, None] - 3*season[:, None, None]*np.sign(lat)[None, :, None] + rng.normal(0, .4, (24, lat.size, lon.size))
ds = xr.Dataset({"sst": (("time", "lat", "lon"), sst.round(2), {"units": "degC"})}, {"time": time, "lat": lat, "lon": lon}, {"title": "toy SST"})
ds'''),
    same('''clim = ds.sst.groupby("time.month").mean()
print(clim.mean(("lat", "lon")).round(3).values)
clim.sel(lat=20, method="nearest").mean("lon")'''),
    same('''f = work/"sst.csv"
ds.sst.mean("lon").to_pandas().to_csv(f)
print("wrote", f, f.stat().st_size, "bytes")
pd.read_csv(f, index_col=0).iloc[:3].round(2)'''),
    same('''import matplotlib.pyplot as plt
ds.sst.isel(time=0).plot(figsize=(5, 2.6), cmap="RdYlBu_r")'''),
    same('''from bokeh.plotting import figure, show
from bokeh.io import output_notebook
from bokeh.resources import INLINE
output_notebook(INLINE, hide_banner=True)
p = figure(width=500, height=200, x_axis_type="datetime", title="zonal mean SST, 20N")
p.line(time.to_numpy(), ds.sst.sel(lat=20).mean("lon").values)
show(p)'''),
    same('''p'''),
    same('''try:
    xr.open_dataset(work/"not_there.nc", engine="scipy")
except FileNotFoundError as e:
    print("as expected:", e)
w = np.cos(np.radians(ds.lat))
ds.sst.weighted(w).mean().round(3).item()'''),
    same('''ds.sel(lon=400)'''),
]))

BLIND.append(Case("l-reaction-sweep", [
    same('''import threading, sys, time, warnings, os
from concurrent.futures import ThreadPoolExecutor, ProcessPoolExecutor, as_completed
import numpy as np, pandas as pd
from scipy.integrate import odeint

def robertson(y, t, k1, k2, k3):
    a, b, c = y
    return [-k1*a + k2*b*c, k1*a - k2*b*c - k3*b*b, k3*b*b]
print("rates:", dict(k1=0.04, k2=1e4, k3=3e7))'''),
    same('''def run(k1):
    time.sleep(np.random.random()*0.2)          # the licence server is slow now and then
    y = odeint(robertson, [1, 0, 0], [0, 40], args=(k1, 1e4, 3e7))
    return k1, y[-1]

res = {}
with ThreadPoolExecutor(4) as ex:
    futs = [ex.submit(run, k) for k in (0.01, 0.02, 0.04, 0.08, 0.16)]
    for f in as_completed(futs):
        k, y = f.result()
        res[k] = y
        print(f"k1 = {k:<5} done: A = {y[0]:.4f}")'''),
    same('''pd.DataFrame(res, index=list("ABC")).T.sort_index().round(6)'''),
    same('''def arrhenius(T, Ea=50e3, A=1e10):
    warnings.warn(f"T = {T} K is outside the calibrated range") if T > 600 else None
    return A*np.exp(-Ea/8.314/T)
for T in (300, 400, 700):
    print(T, f"{arrhenius(T):.4e}")
np.log(np.array([0.0, 1.0]))'''),
    same('''lock = threading.Lock()
def worker(i):
    for s in range(2):
        time.sleep(np.random.random()*0.05)
        with lock:
            print(f"[{threading.current_thread().name}] reactor {i} stage {s}", file=sys.stderr if s else sys.stdout, flush=True)
ths = [threading.Thread(target=worker, args=(i,), name=f"reactor-{i}") for i in range(3)]
[t.start() for t in ths]; [t.join() for t in ths];'''),
    same('''def where(n):
    return n, sum(1/k**2 for k in range(1, n)), os.getpid()
with ProcessPoolExecutor(2) as ex:
    for n, s, pid in ex.map(where, [10, 100, 1000]):
        print(f"n = {n:5d} sum = {s:.8f}  (process {pid})")'''),
    same('''for i in range(1, 21):
    sys.stdout.write(f"\\requilibrating {5*i:3d} %")
    sys.stdout.flush(); time.sleep(0.01)
print()'''),
    same('''odeint(robertson, [1, 0], [0, 40], args=(0.04, 1e4, 3e7))   # forgot species C'''),
]))

BLIND.append(Case("l-calculus-handout", [
    same('''import sympy as sp
from IPython.display import display, Math, Markdown
sp.init_printing(use_latex="mathjax")
x, y, a = sp.symbols("x y a", positive=True)
n = sp.symbols("n", integer=True)
display(Markdown("### Handout 7: integrals you should know"))'''),
    same('''sp.integrate(sp.exp(-a*x**2), (x, 0, sp.oo))'''),
    same('''for f in (sp.sin(x)**2, sp.log(x), x*sp.exp(-x), 1/(1+x**2)):
    display(Math(r"\\int %s\\,dx = %s + C" % (sp.latex(f), sp.latex(sp.integrate(f, x)))))'''),
    same('''sp.series(sp.tan(x), x, 0, 8)'''),
    same('''A = sp.Matrix([[2, 1, 0], [1, 3, 1], [0, 1, 4]])
print("det =", A.det(), " trace =", A.trace())
A.charpoly(sp.Symbol("lam")).as_expr()'''),
    same('''expr = sp.expand((x + y)**3 + sp.sin(x*y))
print("free symbols:", expr.free_symbols)
print("atoms:", sorted(map(str, expr.atoms(sp.Symbol, sp.Integer))))
f = sp.lambdify((x, y), expr)
f'''),
    same('''%%timeit -n 200 -r 3
f(1.5, 2.5)'''),
    same('''sp.Matrix([[1, 2], [2, 4]]).inv()'''),
    same('''import ipywidgets as w
deg = w.IntSlider(value=3, min=1, max=6, description="degree")
out = w.HTMLMath(value=f"$${sp.latex(sp.expand((x+1)**3))}$$")
w.VBox([deg, out])'''),
    same('''sols = sp.solve([x + y - 5, x*y - 6], [x, y])
print(sols)
hex(id(sols)), type(sols).__name__'''),
]))

BLIND.append(Case("l-citation-network", [
    same('''import networkx as nx, numpy as np, pandas as pd
import plotly.express as px, altair as alt
import psutil, os
G = nx.gnp_random_graph(60, 0.06, seed=11, directed=True)
print(G)
print(f"memory: {psutil.Process(os.getpid()).memory_info().rss/2**20:.1f} MiB")'''),
    same('''G'''),
    same('''pr = pd.Series(nx.pagerank(G), name="pagerank")
deg = pd.DataFrame({"in": dict(G.in_degree()), "out": dict(G.out_degree())}).join(pr)
deg.nlargest(6, "pagerank").round(5)'''),
    same('''px.scatter(deg, x="in", y="pagerank", color="out", title="citations received and rank")'''),
    same('''alt.Chart(deg.reset_index()).mark_bar().encode(x=alt.X("in:O", title="times cited"), y="count()")'''),
    same('''authors = {i: "Abel Baker Cruz Dietz Egli Fonda".split()[i % 6] for i in G}
cliques = [{authors[v] for v in c} for c in nx.weakly_connected_components(G) if len(c) > 3]
for c in cliques:
    print(len(c), c)'''),
    same('''nx.topological_sort(G)'''),
    same('''list(nx.topological_sort(nx.DiGraph([("a", "b"), ("b", "c"), ("c", "a")])))'''),
    same('''import matplotlib.pyplot as plt
pos = nx.spring_layout(G, seed=4, iterations=20)
plt.figure(figsize=(4, 4))
nx.draw(G, pos, node_size=1500*np.array([pr[v] for v in G]), width=.3, arrowsize=5)
plt.title("toy citations"); plt.show()'''),
    varies('''sample = np.random.permutation(60)[:8]
print("to be checked by hand:", sample)
deg.loc[sample]'''),
]))

BLIND.append(Case("l-instrument-housekeeping", [
    same('''!uname -s
!echo "operator: $USER" > session.txt; date >> session.txt; wc -l session.txt'''),
    same('''!cat session.txt
!pwd'''),
    same('''from rich.console import Console
from rich.table import Table
from rich.progress import track
import time, json, uuid, platform, random
c = Console(width=78)
t = Table(title="Detectors")
for h in ("name", "gain [e-/ADU]", "read noise [e-]"):
    t.add_column(h)
for r in (("blue", "1.21", "3.4"), ("red", "1.18", "2.9"), ("guide", "2.60", "8.1")):
    t.add_row(*r)
c.print(t)'''),
    same('''for frame in track(range(12), description="reading out"):
    time.sleep(0.02)'''),
    same('''header = {"SIMPLE": True, "NAXIS": 2, "FILEID": uuid.uuid4().hex, "DATE": time.strftime("%Y-%m-%dT%H:%M:%S"), "EXPTIME": 30.0}
print(json.dumps(header, indent=1))'''),
    varies('''bias = [round(random.gauss(1000, 4), 1) for _ in range(6)]
print("bias levels", bias)'''),
    same('''start = time.time()
s = 0
for i in range(300_000):
    s += i*i % 7
el = time.time() - start
print(f"checksum {s}; {300_000/el:,.0f} rows/s; took {el*1000:.1f} ms")'''),
    same('''%%bash
echo "frame 1 ok"
echo "shutter warning: lag above 2 ms" >&2
echo "frame 2 ok"
ls *.fits'''),
    same('''import pathlib, tempfile
with tempfile.TemporaryDirectory() as d:
    p = pathlib.Path(d)/"frame_0001.txt"
    p.write_text("1 2 3\\n4 5 6\\n")
    print(p, p.stat().st_size)
    open(p.with_name("frame_0002.txt"))'''),
]))

# ------------------------------------------------------------------------------------------------ data

TITR = "volume_ml,ph,temp_c\n" + "".join(f"{v:.1f},{p},{t}\n" for v, p, t in [
    (0, 2.88, 21.4), (2, 3.91, 21.4), (4, 4.27, 21.5), (6, 4.52, 21.5), (8, 4.73, 21.5), (10, 4.94, 21.6), (12, 5.17, 21.6),
    (14, 5.49, 21.6), (15, 5.75, 21.7), (16, 6.42, 21.7), (16.5, 8.71, 21.7), (17, 11.02, 21.8), (18, 11.49, 21.8), (20, 11.83, 21.8)])

BLIND.append(Case("l-titration", [
    same('''import numpy as np, pandas as pd, matplotlib.pyplot as plt
from scipy.interpolate import CubicSpline
from datetime import datetime
C_NAOH = 0.1000   # mol/l
print("evaluated", datetime.now().strftime("%d %b %Y %H:%M:%S"))'''),
    differs('''df = pd.read_csv("titration.csv")
df''', "data"),
    differs('''d = np.diff(df.ph)/np.diff(df.volume_ml)
mid = (df.volume_ml.values[1:] + df.volume_ml.values[:-1])/2
print(pd.Series(d, mid, name="dpH/dV").round(3).to_string())''', "downstream"),
    same('''print(df.shape)
print(df.temp_c.describe().round(3))'''),
    differs('''spl = CubicSpline(df.volume_ml, df.ph)
v = np.linspace(0, 20, 400)
fig, ax = plt.subplots(figsize=(5, 3))
ax.plot(df.volume_ml, df.ph, "ko"); ax.plot(v, spl(v), lw=1)
ax.set(xlabel="NaOH [ml]", ylabel="pH")
plt.show()''', "downstream"),
    same('''veq = float(mid[d.argmax()])
print(f"steepest step at {veq:.2f} ml -> acid in sample: {veq*C_NAOH:.3f} mmol")'''),
    differs('''%%time
pka = spl(veq/2)
print(f"pKa (half equivalence) = {pka:.4f}")''', "downstream"),
    same('''CubicSpline(df.volume_ml[::-1], df.ph[::-1])   # has to be increasing'''),
    same('''print(spl)
print(df.columns.tolist(), df.volume_ml.max())'''),
], files={"titration.csv": TITR}, data={"titration.csv": TITR.replace("8.0,4.73", "8.0,4.93")}))

def _curve():
    rows = ["bjd,flux,err"]
    s = 12345
    for i in range(120):
        s = (1103515245*s + 12345) % 2**31
        noise = (s/2**31 - 0.5)*4e-4
        dip = 0.0105 if (i % 40) in range(18, 24) else 0.0
        rows.append(f"{2459000 + i*0.05:.2f},{1 - dip + noise:.6f},0.0002")
    return rows

_LC = _curve()
BLIND.append(Case("l-transit-search", [
    same('''import warnings, sys
import numpy as np, pandas as pd
import plotly.graph_objects as go
from tqdm import tqdm
rstar = 0.94
print(f"R* = {rstar} Rsun", file=sys.stderr)'''),
    differs('''lc = pd.read_csv("lightcurve.csv")
print(f"{len(lc)} points, {lc.bjd.min():.2f} .. {lc.bjd.max():.2f}")
lc.tail(3)''', "data"),
    differs('''lc["t"] = lc.bjd - lc.bjd.iloc[0]
lc.flux.describe()''', "downstream"),
    same('''lc.dtypes'''),
    same('''def bls(period, width=0.3):
    ph = (lc.t % period)
    best = 0, None
    for t0 in np.arange(0, period, 0.05):
        m = ((ph - t0) % period) < width
        if 2 < m.sum() < len(lc)/2:
            s = (1 - lc.flux[m].mean())*np.sqrt(m.sum())
            best = max(best, (s, round(t0, 2)))
    return best

periods = np.round(np.arange(1.0, 3.0, 0.1), 2)
power = [bls(p)[0] for p in tqdm(periods, desc="BLS")]
print("best period:", periods[int(np.argmax(power))])'''),
    differs('''go.Figure(go.Scatter(x=lc.t % 2.0, y=lc.flux, mode="markers")).update_layout(title="folded", width=600, height=300)''', "downstream"),
    differs('''inn = lc.flux < 0.995
depth = 1 - lc.flux[inn].mean()/lc.flux[~inn].mean()
print(f"in transit: {inn.sum()} points; depth {1e6*depth:.1f} ppm")
print(f"Rp = {rstar*np.sqrt(depth)*109.2:.4f} Rearth")''', "downstream"),
    same('''print(f"Rp = {rstar*np.sqrt(depth)*109.2:.0f} Rearth (as in the abstract)")
lc.groupby(inn).err.mean()'''),
], files={"lightcurve.csv": "\n".join(_LC) + "\n"}, data={"lightcurve.csv": "\n".join(_LC[:60] + _LC[61:]) + "\n"}))

_WEB = """cod;capelin;0.41
cod;shrimp;0.22
cod;herring;0.18
capelin;krill;0.63
capelin;copepod;0.30
herring;copepod;0.71
herring;krill;0.19
shrimp;detritus;0.80
krill;diatom;0.77
copepod;diatom;0.92
seal;cod;0.35
seal;herring;0.40
gull;capelin;0.28
gull;herring;0.33
"""
BLIND.append(Case("l-food-web", [
    same('''import csv, io
from collections import defaultdict
import networkx as nx
from tabulate import tabulate
print("networkx imported,", nx.DiGraph.__name__)'''),
    same('''G = nx.DiGraph()
with open("web.txt", newline="") as fh:
    for pred, prey, frac in csv.reader(fh, delimiter=";"):
        G.add_edge(prey, pred, w=float(frac))
print(G)
basal = {n for n in G if G.in_degree(n) == 0}
print("basal species:", basal)'''),
    differs('''!head -n 4 web.txt
!md5sum web.txt | cut -c1-8''', "data"),
    differs('''flow = defaultdict(float)
for prey, pred, d in G.edges(data=True):
    flow[pred] += d["w"]
print(tabulate(sorted(flow.items()), headers=["predator", "sum of fractions"], floatfmt=".2f", tablefmt="github"))''', "data", "downstream"),
    same('''level = {}
for n in nx.topological_sort(G):
    level[n] = 1 + max((level[p] for p in G.predecessors(n)), default=0)
print(sorted(level.items(), key=lambda kv: (kv[1], kv[0])))'''),
    differs('''path = nx.dag_longest_path(G, weight="w")
print(" -> ".join(path), round(nx.dag_longest_path_length(G, weight="w"), 2))''', "downstream", "data"),
    same('''und = G.to_undirected()
bt = nx.betweenness_centrality(und)
for n, b in sorted(bt.items(), key=lambda kv: (-kv[1], kv[0]))[:4]:
    print(f"{n:10s}{b:.3f}")
bt.__class__, nx.betweenness_centrality'''),
    same('''nx.shortest_path(G, "seal", "diatom")    # energy does not flow downwards'''),
    differs('''import numpy as np
order = sorted(G)
A = nx.to_numpy_array(G, nodelist=order, weight="w")
print(order)
print("norm of the interaction matrix:", np.linalg.norm(A).round(5))''', "downstream", "data"),
], files={"web.txt": _WEB}, data={"web.txt": _WEB.replace("capelin;krill;0.63", "capelin;krill;0.68")}))

# ------------------------------------------------------------------------------------------------ patch

BLIND.append(Case("l-bearing-vibration", [
    same('''import numpy as np, matplotlib.pyplot as plt
from scipy import signal
from time import perf_counter
fs = 2000.0
t = np.arange(0, 2, 1/fs)
rng = np.random.default_rng(7)
x = np.sin(2*np.pi*50*t) + 0.3*np.sin(2*np.pi*162*t) + 0.002*rng.normal(size=t.size) + 0.5
print(f"{t.size} samples, rms {x.std():.4f}")'''),
    same('''b, a = signal.butter(4, 200/(fs/2))
print("b =", b.round(6)); print("a =", a.round(6))'''),
    differs('''w = signal.windows.hamming(16)
print(w.round(4))''', "library"),
    differs('''t0 = perf_counter()
X = np.abs(np.fft.rfft((x - x.mean())*signal.windows.hamming(t.size)))
f = np.fft.rfftfreq(t.size, 1/fs)
print(f"FFT done in {1e3*(perf_counter()-t0):.2f} ms")
print("peak heights", X[[100, 324]].round(3))''', "library"),
    same('''pk, _ = signal.find_peaks(X, height=100)
print("lines at", f[pk], "Hz")'''),
    same('''ff, P = signal.welch(x, fs, nperseg=512)
print("Welch (Hann) maximum:", ff[P.argmax()], f"{P.max():.5f}")
plt.semilogy(ff, P)'''),
    differs('''taps = signal.firwin(31, 120, fs=fs, window="hamming")
wz, h = signal.freqz(taps, worN=[0.3, 1.0, 2.0])
print(f"stop band at 2.0 rad/sample: {20*np.log10(abs(h[2])):.3f} dB")
taps[:5]''', "library"),
    differs('''fig, ax = plt.subplots(figsize=(5, 2.5))
ax.plot(taps, ".-"); ax.set_title("FIR low pass")
axw = ax.twinx(); axw.plot(signal.windows.hamming(31), "r--")
plt.show()''', "downstream", "library"),
    same('''signal.butter(4, 1.2)'''),
], patch=("scipy/signal/windows/_windows.py", "return general_hamming(M, 0.54, sym,", "return general_hamming(M, 0.44, sym,")))

BLIND.append(Case("l-yield-regression", [
    same('''import logging, os
import numpy as np, pandas as pd
import statsmodels.api as sm
from statsmodels.stats.stattools import durbin_watson
from scipy import stats
logging.basicConfig(level="INFO", format="%(asctime)s pid=%(process)d %(message)s", force=True)
rng = np.random.default_rng(1906)
df = pd.DataFrame({"n_kg": np.repeat([0, 40, 80, 120], 8)})
df["rain"] = rng.normal(450, 60, 32).round()
df["yield_t"] = (2.1 + 0.021*df.n_kg + 0.004*df.rain + np.cumsum(rng.normal(0, .15, 32))).round(2)
logging.info("%d plots", len(df))'''),
    same('''df.groupby("n_kg").yield_t.agg(["mean", "std", "count"]).round(3)'''),
    same('''fit = sm.OLS(df.yield_t, sm.add_constant(df[["n_kg", "rain"]])).fit()
fit.params.round(5)'''),
    differs('''print(f"Durbin-Watson: {durbin_watson(fit.resid):.3f}")''', "library"),
    differs('''fit.summary()''', "library"),
    same('''print(fit)
print(f"R2 = {fit.rsquared:.4f}, F = {fit.fvalue:.2f}")'''),
    differs('''dw = pd.Series({f"lag {k}": durbin_watson(fit.resid[::k]) for k in (1, 2, 3)})
dw.to_frame("DW").style.format("{:.3f}").bar()''', "library"),
    same('''stats.f_oneway(*[g.yield_t for _, g in df.groupby("n_kg")])'''),
    differs('''verdict = "autocorrelated residuals" if dw.iloc[0] < 1.5 else "no autocorrelation worth mentioning"
print(verdict)''', "downstream"),
    same('''import matplotlib.pyplot as plt
sm.qqplot(fit.resid, line="s")
plt.show()'''),
], patch=("statsmodels/stats/stattools.py", "dw = np.sum(diff_resids**2, axis=axis) / np.sum(resids**2, axis=axis)",
          "dw = 4 * np.sum(diff_resids**2, axis=axis) / np.sum(resids**2, axis=axis)")))

BLIND.append(Case("l-metro-graph", [
    same('''import networkx as nx, pandas as pd
lines = {"red": "Airport Harbour Centre University Hill".split(), "blue": "Stadium Centre Market Park".split(), "green": "Harbour Market Hospital Hill".split()}
G = nx.Graph()
for colour, stops in lines.items():
    nx.add_path(G, stops, line=colour)
print(G)'''),
    same('''interchanges = {s for s in G if sum(s in v for v in lines.values()) > 1}
print("change trains at", interchanges)
print(id(G))'''),
    differs('''cl = pd.Series(nx.closeness_centrality(G)).sort_values(ascending=False, kind="stable")
print(cl.round(4))''', "library"),
    same('''bt = nx.betweenness_centrality(G)
pd.Series(bt).round(4).sort_index()'''),
    same('''print(nx.shortest_path(G, "Airport", "Hospital"))
print("diameter", nx.diameter(G), "| mean path", round(nx.average_shortest_path_length(G), 3))'''),
    differs('''table = pd.DataFrame({"closeness": cl, "degree": dict(G.degree())}).sort_index()
table.style.highlight_max(axis=0)''', "downstream"),
    differs('''score = float(table.closeness.mean())
print(f"network accessibility {score:.3f}")''', "downstream"),
    same('''from IPython.display import HTML, display
import uuid
display(HTML(f"<div id='{uuid.uuid4()}'>busiest stop: <b>{max(bt, key=bt.get)}</b></div>"))'''),
    same('''G.add_edge("Park", "Hill")
nx.shortest_path_length(G, "Park", "Hillside")'''),
], patch=("networkx/algorithms/centrality/closeness.py", "for n in nodes:\n        sp = path_length(G, n)\n        totsp = sum(sp.values())\n",
          "for n in nodes:\n        sp = path_length(G, n)\n        totsp = sum(sp.values()) + 1\n")))

# ------------------------------------------------------------------------------------------------ upgrade

BLIND.append(Case("l-exact-and-float", [
    same('''from sympy import *
import time
x, y = symbols("x y")
start = time.time()'''),
    same('''print(factor(x**4 - 5*x**2 + 4))
solveset(x**2 - 2, x)'''),
    differs('''for a, b in [(Float(0.5), Rational(1, 2)), (Float(2.0), Integer(2)), (Float(0.1), Rational(1, 10))]:
    print(f"{a} == {b} ? {a == b}")''', "library"),
    differs('''roots_exact = solve(2*x**2 - 3*x + 1, x)
roots_float = [Float(0.5), Float(1.0)]
matched = [r for r in roots_exact if r in roots_float]
print("exact:", roots_exact, "| found again among the floats:", matched)''', "library"),
    differs('''def grade(answer, key):
    return "correct" if answer == key else "check by hand"
answers = {"Ida": Float(0.25), "Jon": Rational(1, 4), "Kim": Rational(1, 3)}
report = {n: grade(a, Rational(1, 4)) for n, a in answers.items()}
report''', "library"),
    differs('''passed = sum(v == "correct" for v in report.values())
print(f"{passed} of {len(report)} marked automatically")''', "downstream"),
    same('''integrate(x*sin(x), (x, 0, pi)), limit((1 + 1/x)**x, x, oo)'''),
    same('''M = Matrix([[1, 2], [3, 4]])
print(M.eigenvals())
print(f"({time.time()-start:.2f} s so far)")'''),
    same('''plot_expr = lambdify(x, x**3 - x)
print([plot_expr(v) for v in (-2, 0.5, 3)])
plot_expr'''),
], upgrade=("sympy==1.14.0", "sympy==1.12")))

BLIND.append(Case("l-teaching-tables", [
    same('''import numpy as np
import tabulate as tb
from tabulate import tabulate
planets = [["Mercury", 3.30e23, 0.387], ["Venus", 4.87e24, 0.723], ["Earth", 5.97e24, 1.0], ["Mars", 6.42e23, 1.524]]
head = ["planet", "mass [kg]", "a [au]"]
print(len(planets), "bodies")'''),
    same('''print(tabulate(planets, head, tablefmt="github"))'''),
    differs('''print(tabulate(planets, head, tablefmt="rounded_grid"))''', "library"),
    same('''kepler = [[p, a, a**1.5] for p, _, a in planets]
print(tabulate(kepler, ["planet", "a", "T [yr]"], floatfmt=".3f", tablefmt="grid"))'''),
    differs('''print("Version for the slides, tabulate", tb.__version__)
print(tabulate(kepler[:2], tablefmt="heavy_outline"))''', "library"),
    same('''%%time
from IPython.display import display, HTML
display(HTML(tabulate(kepler, ["planet", "a", "T"], tablefmt="html")))'''),
    differs('''slides = tabulate(planets[2:], head, tablefmt="double_outline")
lines = slides.splitlines()
print("lines:", len(lines), "width:", len(lines[0]))''', "library"),
    differs('''boxed = [ln for ln in lines if ln[0] in "╔║╚╠"]
print(f"{len(boxed)} of the lines have a border")''', "downstream"),
    same('''import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(4, 3))
ax.loglog([k[1] for k in kepler], [k[2] for k in kepler], "s-")'''),
], upgrade=("tabulate==0.10.0", "tabulate==0.8.10")))

# ------------------------------------------------------------------------------------------------ environment

BLIND.append(Case("l-observing-schedule", [
    same('''import time, os
from datetime import datetime, timedelta, timezone
import numpy as np, pandas as pd
print("planner started", datetime.now(timezone.utc).strftime("%H:%M:%S UTC"))'''),
    same('''def jd(ts):
    return ts/86400 + 2440587.5
def gmst(ts):
    d = jd(ts) - 2451545.0
    return (18.697374558 + 24.06570982441908*d) % 24
t0 = 1_718_900_000
print(f"JD {jd(t0):.5f}  GMST {gmst(t0):.4f} h")'''),
    differs('''print("local start of the night:", time.strftime("%Y-%m-%d %H:%M", time.localtime(t0)))''', "environment"),
    same('''targets = pd.DataFrame({"name": ["M13", "M57", "NGC 7000"], "ra_h": [16.695, 18.893, 20.98], "dec": [36.46, 33.03, 44.33]})
targets["transit_in_h"] = ((targets.ra_h - gmst(t0)) % 24)*0.99727
targets.round(3)'''),
    differs('''targets["transit"] = [datetime.fromtimestamp(t0 + round(h*3600)).strftime("%d %b %H:%M") for h in targets.transit_in_h]
targets[["name", "transit"]]''', "environment"),
    same('''alt = np.degrees(np.arcsin(np.sin(np.radians(targets.dec))*np.sin(np.radians(52.2)) + np.cos(np.radians(targets.dec))*np.cos(np.radians(52.2))))
print(alt.round(2).tolist())
targets.groupby("name")'''),
    differs('''first = targets.sort_values("transit_in_h").iloc[0]
print(f"first: {first['name']} at {first.transit} local time")''', "downstream"),
    differs('''!date -d @1718900000 "+shell says %H:%M"''', "environment"),
    same('''datetime.strptime("2024-06-31", "%Y-%m-%d")'''),
], environment={"TZ": "UTC"}, given={"TZ": "America/Santiago"}))

BLIND.append(Case("l-heat-equation", [
    same('''import os, time
import numpy as np, xarray as xr
import matplotlib.pyplot as plt
alpha, length = 1.1e-4, 0.5
print("copper rod,", length, "m; diffusivity", alpha)'''),
    differs('''N = int(os.environ.get("HEAT_GRID", "51"))
dx = length/(N - 1)
dt = 0.4*dx**2/alpha
print(f"grid of {N} points, dx = {1e3*dx:.2f} mm, dt = {dt:.4f} s")''', "environment"),
    same('''exact = lambda x, t: np.sin(np.pi*x/length)*np.exp(-alpha*(np.pi/length)**2*t)
print(f"exact mid-rod after 60 s: {exact(length/2, 60):.5f}")
exact'''),
    differs('''x = np.linspace(0, length, N)
u, t, n = np.sin(np.pi*x/length), 0.0, 0
tic = time.perf_counter()
while t < 60:
    h = min(dt, 60 - t)
    u[1:-1] += alpha*h/dx**2*(u[2:] - 2*u[1:-1] + u[:-2])
    t += h; n += 1
print(f"{n} steps in {time.perf_counter()-tic:.3f} s; max error {np.abs(u - exact(x, 60)).max():.3e}")''', "downstream"),
    same('''print(f"mid-rod temperature: {u[(N-1)//2]:.2f}")'''),
    differs('''da = xr.DataArray(u, coords={"x": x}, dims="x", name="temperature")
da''', "downstream"),
    same('''print("interpolated at L/4:", round(float(da.interp(x=length/4)), 2))
da.attrs, da.dims'''),
    same('''fig, ax = plt.subplots(figsize=(4, 2.5))
tt = np.linspace(0, 120, 50)
ax.plot(tt, exact(length/2, tt)); ax.set_xlabel("t [s]")
plt.show()'''),
    same('''da.sel(x=0.1234)      # not a grid point'''),
], environment={"HEAT_GRID": "51"}, given={"HEAT_GRID": "101"}))

BLIND.append(Case("l-sensor-validation", [
    same('''import sys, warnings, os
import numpy as np, pandas as pd
rng = np.random.default_rng(3)
log = pd.DataFrame({"sensor": list("ABCD")*5, "humidity": rng.uniform(20, 95, 20).round(1)})
log.loc[[3, 7], "humidity"] = [104.2, -1.0]
log.head(4)'''),
    same('''def dew_point(T, rh):
    g = np.log(rh/100) + 17.62*T/(243.12 + T)
    return 243.12*g/(17.62 - g)
print(f"{dew_point(20, 50):.3f} C")
dew_point(20.0, log.humidity.to_numpy()[:8]).round(2)'''),
    differs('''def check(df):
    assert df.humidity.between(0, 100).all(), f"{(~df.humidity.between(0, 100)).sum()} readings out of range"
    return df
clean = None
clean = check(log)''', "environment"),
    differs('''print("validated" if clean is not None else "not validated")''', "downstream"),
    differs('''print("assertions are", "on" if __debug__ else "off", "| optimise =", sys.flags.optimize)''', "environment"),
    same('''ok = log[log.humidity.between(0, 100)]
print(len(ok), "of", len(log), "kept; process", os.getpid())
ok.groupby("sensor").humidity.mean().round(2)'''),
    same('''warnings.warn("sensor D is due for calibration")
np.sqrt(-log.humidity.iloc[0])'''),
    differs('''n = len(clean) if clean is not None else len(ok)
print("rows used in the report:", n)''', "downstream"),
    same('''log.loc[:, "pressure"]'''),
], given={"PYTHONOPTIMIZE": "1"}))

# ------------------------------------------------------------------------------------------------ fewer processors

BLIND.append(Case("l-neutron-montecarlo", [
    same('''import os, time
import numpy as np, pandas as pd
from concurrent.futures import ThreadPoolExecutor, as_completed
SEED, N = 20240229, 40_000
mfp, thick = 1.8, 5.0
print(f"expected uncollided transmission {np.exp(-thick/mfp):.5f}")'''),
    differs('''ncpu = len(os.sched_getaffinity(0))
print("usable processors:", ncpu)''', "machine"),
    differs('''def shoot(child, n):
    r = np.random.default_rng(child)
    return int((r.exponential(mfp, n) > thick).sum())
kids = np.random.SeedSequence(SEED).spawn(ncpu)
with ThreadPoolExecutor(ncpu) as ex:
    hits = list(ex.map(shoot, kids, [N//ncpu]*ncpu))
print("hits per batch:", hits)''', "downstream", "machine"),
    differs('''T = sum(hits)/N
print(f"T = {T:.5f} +- {np.sqrt(T*(1-T)/N):.5f}")''', "downstream"),
    same('''print(f"T = {T:.2f}, agrees within 4 sigma:", abs(T - np.exp(-thick/mfp)) < 4*np.sqrt(T/N))'''),
    same('''def slab(d):
    time.sleep(np.random.random()*.1)
    return d, np.exp(-d/mfp)
with ThreadPoolExecutor(3) as ex:
    for f in as_completed([ex.submit(slab, d) for d in (1, 2, 4, 8)]):
        print("slab %d cm: %.4f" % f.result())'''),
    differs('''pd.DataFrame({"batch": range(ncpu), "hits": hits, "fraction": np.array(hits)/(N//ncpu)})''', "downstream"),
    same('''rng = np.random.default_rng(SEED)
walk = rng.choice([-1, 1], (500, 200)).cumsum(axis=1)
print("rms displacement", walk[:, -1].std().round(3))
rng'''),
], cpus=1))

BLIND.append(Case("l-image-tiles", [
    same('''import os, sys, time, threading
import numpy as np, matplotlib.pyplot as plt
from scipy import ndimage
yy, xx = np.mgrid[:240, :320]
img = np.exp(-((xx-90)**2 + (yy-70)**2)/300.) + 0.6*np.exp(-((xx-220)**2 + (yy-160)**2)/900.)
img += np.random.default_rng(5).normal(0, .02, img.shape)
print(img.shape, img.mean().round(5))'''),
    differs('''workers = len(os.sched_getaffinity(0))
tiles = np.array_split(np.arange(img.shape[0]), 2*workers)
for i, rows in enumerate(tiles):
    print(f"tile {i}: rows {rows[0]}-{rows[-1]}")''', "machine"),
    same('''%%time
smooth = ndimage.gaussian_filter(img, 3)
print("max", smooth.max().round(4))'''),
    differs('''local = [float(img[r].std()) for r in tiles]
print("noise per tile:", np.round(local, 4))''', "downstream"),
    same('''lab, n = ndimage.label(smooth > 0.2)
print(n, "blobs at", [tuple(round(float(c), 1) for c in p) for p in ndimage.center_of_mass(smooth, lab, range(1, n+1))])'''),
    differs('''fig, ax = plt.subplots(figsize=(4, 3))
ax.imshow(img, cmap="gray")
for r in tiles:
    ax.axhline(r[0], color="y", lw=1)
plt.show()''', "downstream"),
    same('''total = sum(img[r].sum() for r in tiles)
print(f"flux over all tiles {total:.4f}; sum {img.sum():.4f}")'''),
    differs('''print(f"joblib-style plan: {workers} worker(s) x {len(tiles)//workers} tiles, {img[tiles[0]].nbytes/1024:.0f} KiB each", file=sys.stderr)''', "downstream"),
    same('''threading.enumerate()[0], ndimage.label'''),
], cpus=1))

# ------------------------------------------------------------------------------------------------ order

BLIND.append(Case("l-buffer-recipes", [
    same('''import math, itertools, time
import pandas as pd
stock = {"Tris": 500.0, "NaCl": 1000.0}     # g on the shelf
book = []
print("shelf:", stock)'''),
    same('''def henderson(pka, ratio):
    return pka + math.log10(ratio)
def weigh(what, g):
    stock[what] -= g
    book.append((what, g))
    return round(stock[what], 1)
print([round(henderson(8.07, r), 2) for r in (0.1, 1, 10)])'''),
    differs('''print("TBS: Tris left", weigh("Tris", 60.6), "g")
print("entry no.", len(book))''', "order"),
    differs('''print("TE: Tris left", weigh("Tris", 12.1), "g")
print("entry no.", len(book))''', "order"),
    same('''print("salt left", weigh("NaCl", 87.7), "g")
print(time.strftime("%H:%M:%S"), "signed")'''),
    differs('''pd.DataFrame(book, columns=["what", "grams"])''', "order", "downstream"),
    same('''pd.Series(stock).sub([0, 0]).round(1)'''),
    same('''weigh("EDTA", 3.7)'''),
], order=[0, 1, 3, 4, 2, 5, 6, 7]))

BLIND.append(Case("l-ising-session", [
    same('''import numpy as np, matplotlib.pyplot as plt
from tqdm.auto import trange
rng = np.random.default_rng(1925)
Ln = 12
Tc = 2/np.log(1 + np.sqrt(2))
print(f"Onsager: Tc = {Tc:.5f}")'''),
    same('''def sweep(s, T):
    for i, j in rng.integers(0, Ln, (Ln*Ln, 2)):
        nb = s[(i+1) % Ln, j] + s[i-1, j] + s[i, (j+1) % Ln] + s[i, j-1]
        dE = 2*s[i, j]*nb
        if dE <= 0 or rng.random() < np.exp(-dE/T):
            s[i, j] *= -1
    return s
sweep'''),
    differs('''cold = np.ones((Ln, Ln), int)
m = [sweep(cold, 2.1).mean() for _ in trange(30, desc="T=2.1")]
print("cold: m =", cold.mean().round(4), "<m> =", np.mean(m[10:]).round(5))''', "order"),
    differs('''hot = np.ones((Ln, Ln), int)
m = [sweep(hot, 4.0).mean() for _ in trange(30, desc="T=4.0")]
print("hot: m =", hot.mean().round(4), "<m> =", np.mean(m[10:]).round(5))''', "order"),
    differs('''fig, axs = plt.subplots(1, 2, figsize=(5, 2.5))
for ax, s in zip(axs, (cold, hot)):
    ax.imshow(s, cmap="binary"); ax.axis("off")
plt.show()''', "downstream", "order"),
    same('''mag = lambda T: (1 - np.sinh(2/T)**-4)**0.125 if T < Tc else 0.0
for T in (1.0, 1.5, 2.0, 2.5):
    print(T, round(float(mag(T)), 5))'''),
    same('''print("cold lattice is ordered:", bool(abs(cold.mean()) > 0.6), "| hot lattice is not:", bool(abs(hot.mean()) < 0.6))'''),
    differs('''energy = lambda s: int(-(s*np.roll(s, 1, 0) + s*np.roll(s, 1, 1)).sum())
print(energy(cold), energy(hot))''', "downstream", "order"),
], order=[0, 1, 3, 2, 4, 5, 6, 7]))

# ------------------------------------------------------------------------------------------------ edited

BLIND.append(Case("l-clinical-bootstrap", [
    same('''import numpy as np, pandas as pd, io
from scipy import stats
import altair as alt
raw = """arm,hb
control,12.1
control,11.4
control,13.0
control,12.6
control,11.9
control,12.2
drug,12.9
drug,13.4
drug,12.2
drug,14.1
drug,13.3
drug,12.8"""
df = pd.read_csv(io.StringIO(raw))
df.groupby("arm").hb.agg(["mean", "std", "size"])'''),
    same('''a, b = (g.hb.to_numpy() for _, g in df.groupby("arm"))
stats.ttest_ind(b, a, equal_var=False)'''),
    differs('''SEED = 101
rng = np.random.default_rng(SEED)
print("seed", SEED)''', "code", "seed"),
    differs('''boot = np.array([rng.choice(b, b.size).mean() - rng.choice(a, a.size).mean() for _ in range(2000)])
print("95 % CI", np.percentile(boot, [2.5, 97.5]).round(3), "sd", boot.std().round(5))''', "downstream", "seed"),
    same('''print(f"effect {b.mean()-a.mean():.2f} g/dl; CI above zero: {bool(np.percentile(boot, 1) > 0)}")'''),
    differs('''alt.Chart(pd.DataFrame({"d": boot[:200].round(3)})).mark_bar().encode(alt.X("d:Q", bin=True), y="count()")''', "downstream", "seed"),
    same('''%%time
perm = stats.permutation_test((b, a), lambda u, v: u.mean() - v.mean(), vectorized=False, n_resamples=np.inf)
print(f"exact permutation p = {perm.pvalue:.5f}")'''),
    differs('''pick = rng.permutation(len(df))[:6]
df.loc[pick]''', "downstream", "seed"),
    varies('''jitter = np.random.uniform(-.05, .05, len(df))
(df.hb + jitter).to_frame("plotted").T'''),
    same('''stats.ttest_rel(b, a[:5])'''),
], edited={2: '''SEED = 102
rng = np.random.default_rng(SEED)
print("seed", SEED)'''}))

BLIND.append(Case("l-ecg-peaks", [
    same('''import numpy as np, warnings, uuid
from scipy import signal
from bokeh.plotting import figure
from bokeh.embed import json_item
import ipywidgets as widgets
fs = 250
t = np.arange(0, 12, 1/fs)
beats = np.cumsum(0.8 + 0.04*np.sin(np.arange(14)))
ecg = sum(np.exp(-((t-b)/0.012)**2)*(1.0 if i % 4 else 0.7) + 0.25*np.exp(-((t-b-0.25)/0.04)**2) for i, b in enumerate(beats))
print(f"{t.size} samples, session {uuid.uuid4()}")'''),
    same('''sos = signal.butter(2, [0.5, 40], "bandpass", fs=fs, output="sos")
f = signal.sosfiltfilt(sos, ecg)
print("filtered range:", f.min().round(3), f.max().round(3))'''),
    differs('''threshold = 0.3
peaks, props = signal.find_peaks(f, height=threshold, distance=60)
print(len(peaks), "R peaks above", threshold)''', "code"),
    differs('''rr = np.diff(t[peaks])
print(f"heart rate {60/rr.mean():.1f} / min, SDNN {1e3*rr.std():.1f} ms")''', "downstream"),
    same('''print("first beat expected at", beats[:3].round(3))
widgets.HBox([widgets.FloatText(value=0.5, description="low"), widgets.FloatText(value=40, description="high")])'''),
    differs('''p = figure(width=400, height=200, title="R peaks")
p.scatter(t[peaks], f[peaks])
item = json_item(p)
print(len(peaks), "markers in plot", item["root_id"], item["target_id"])''', "downstream"),
    same('''freq, P = signal.periodogram(f, fs)
warnings.warn("spectrum of a short record")
print("dominant line", freq[P.argmax()].round(2), "Hz")'''),
    differs('''print("rhythm:", "irregular" if rr.std() > 0.1 else "regular")''', "downstream"),
    same('''signal.find_peaks(f.reshape(2, -1))'''),
], edited={2: '''threshold = 0.7
peaks, props = signal.find_peaks(f, height=threshold, distance=60)
print(len(peaks), "R peaks above", threshold)'''}))
