"""A further hold-out that is used up, by someone who had seen neither the rules nor the other cases: rules were mended by some of
these since. Here are those in which nothing changes; `later_changed` has the others."""

from truth import BYTE, CSV, Case, differs, same, varies

DD = ("data", "downstream")

PENGUINS = """id,species,island,bill_mm,flipper_mm,mass_g,sex
1,Adelie,Torgersen,39.1,181,3750,male
2,Adelie,Torgersen,39.5,186,3800,female
3,Adelie,Biscoe,37.8,174,3400,female
4,Adelie,Dream,42.3,191,4150,male
5,Chinstrap,Dream,46.5,192,3500,female
6,Chinstrap,Dream,50.0,196,3900,male
7,Chinstrap,Dream,51.3,193,3650,male
8,Gentoo,Biscoe,46.1,211,4500,female
9,Gentoo,Biscoe,50.0,230,5700,male
10,Gentoo,Biscoe,48.7,210,4450,female
11,Gentoo,Biscoe,47.6,215,5400,male
12,Gentoo,Biscoe,45.5,220,5000,female
"""

ORDERS = """order_id,placed,customer,sku,qty,unit_price
1001,2024-01-03,acme,KB-1,2,49.90
1002,2024-01-05,globex,MS-2,1,19.50
1003,2024-01-19,acme,MN-4,1,229.00
1004,2024-02-02,initech,KB-1,5,49.90
1005,2024-02-14,globex,MN-4,2,229.00
1006,2024-02-27,acme,MS-2,10,18.75
1007,2024-03-08,hooli,KB-1,1,49.90
1008,2024-03-21,initech,MS-2,4,19.50
"""

JOBS = """run_id,started,duration_s,host,status
5b0c3a1e-9f0d-4a55-8d3c-0b7f6a2f1c11,2024-05-01 02:00:04,41.27,node-a,ok
77d9e6a4-2c1b-4f0e-9b0e-3f0f4e5c6d22,2024-05-01 03:00:02,39.88,node-b,ok
c2f1d0b9-8a7e-4c6d-b5a4-93827160fe33,2024-05-02 02:00:05,44.10,node-a,failed
e9a8b7c6-d5e4-4321-9876-5a4b3c2d1e44,2024-05-02 03:00:03,40.02,node-b,ok
0f1e2d3c-4b5a-4968-8776-65544332ff55,2024-05-03 02:00:04,43.31,node-a,ok
"""

ACCESS = """10.0.0.7 - - [12/Mar/2024:06:25:24 +0000] "GET /index.html HTTP/1.1" 200 5120
10.0.0.9 - - [12/Mar/2024:06:25:31 +0000] "GET /style.css HTTP/1.1" 200 840
10.0.0.7 - - [12/Mar/2024:06:26:02 +0000] "POST /login HTTP/1.1" 302 0
10.0.0.3 - - [12/Mar/2024:06:27:45 +0000] "GET /report.pdf HTTP/1.1" 404 162
10.0.0.9 - - [12/Mar/2024:06:28:10 +0000] "GET /index.html HTTP/1.1" 200 5120
10.0.0.5 - - [12/Mar/2024:06:30:59 +0000] "GET /api/v1/items HTTP/1.1" 500 87
"""

SURVEY = """respondent,age,group,score,comment
r01,34,control,71,fine
r02,29,treated,78,
r03,41,control,69,too long
r04,52,treated,83,good
r05,38,control,,n/a
r06,27,treated,90,loved it
r07,45,control,66,
r08,33,treated,81,ok
"""

CONFIG = """model:
  kind: ridge
  alpha: 0.5
  features: [lag1, lag7, holiday]
train:
  seed: 13
  epochs: 4
"""

PRICES = """date,close
2024-03-01,101.20
2024-03-04,102.75
2024-03-05,102.10
2024-03-06,103.90
2024-03-07,104.35
2024-03-08,103.05
2024-03-11,105.60
2024-03-12,106.15
"""

ARTICLE = """The harbour seal rests on skerries along the coast.
Seals feed on fish, squid and the occasional crab.
In summer the seal moults; in winter it feeds far from the coast.
Numbers along the coast have grown since 1990.
"""

GENES = """gene\tchrom\tcounts\tlength
BRCA1\t17\t523\t7088
TP53\t17\t1204\t2512
EGFR\t7\t891\t9905
MYC\t8\t1430\t2366
KRAS\t12\t310\t5765
PTEN\t10\t442\t8515
"""

LATER = []


def case(name, *cells, **how):
    LATER.append(Case(name, list(cells), **how))


# ---------------------------------------------------------------- nothing changed

case(
    "fresh-svm-grid",
    same(r'''from sklearn import datasets
from sklearn.model_selection import train_test_split, GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
X, y = datasets.load_wine(return_X_y=True, as_frame=True)
X.shape, y.value_counts().to_dict()'''),
    same(r'''X_tr, X_te, y_tr, y_te = train_test_split(X, y, test_size=.3, random_state=4, stratify=y)
pipe = make_pipeline(StandardScaler(), SVC())
pipe'''),
    same(r'''%%time
grid = GridSearchCV(pipe, {"svc__C": [.1, 1, 10], "svc__gamma": [.01, .1]}, cv=3)
grid.fit(X_tr, y_tr)
print(grid.best_params_, round(grid.best_score_, 4))'''),
    same(r'''import pandas as pd
cv = pd.DataFrame(grid.cv_results_)
cv[["param_svc__C", "param_svc__gamma", "mean_fit_time", "mean_test_score", "rank_test_score"]]'''),
    same(r'''from sklearn.metrics import classification_report, confusion_matrix
print(classification_report(y_te, grid.predict(X_te), digits=3))'''),
    same(r'''import matplotlib.pyplot as plt
from sklearn.metrics import ConfusionMatrixDisplay
ConfusionMatrixDisplay(confusion_matrix(y_te, grid.predict(X_te))).plot(cmap="Blues")
plt.title("wine, held out 30 %");'''),
    same(r'''%timeit grid.best_estimator_.predict(X_te)'''),
    same(r'''grid.best_estimator_.named_steps["svc"].decision_function'''),
)

case(
    "fresh-ols-report",
    same(r'''import numpy as np, pandas as pd
import statsmodels.formula.api as smf
rng = np.random.RandomState(7)
adv = pd.DataFrame({"tv": rng.uniform(0, 300, 120), "radio": rng.uniform(0, 50, 120)})
adv["sales"] = 3 + .045 * adv.tv + .19 * adv.radio + rng.normal(0, 1.5, 120)
adv.head()'''),
    same(r'''fit = smf.ols("sales ~ tv + radio", data=adv).fit()
fit.summary()'''),
    same(r'''fit'''),
    same(r'''import seaborn as sns
ax = sns.residplot(x=fit.fittedvalues, y=fit.resid, color="slategray")
ax.set(xlabel="fitted", ylabel="residual")'''),
    same(r'''from statsmodels.stats.anova import anova_lm
anova_lm(fit, smf.ols("sales ~ tv * radio", adv).fit()).style.format("{:.4g}")'''),
    same(r'''print(fit.get_robustcov_results("HC3").summary(title="robust"))'''),
)

case(
    "fresh-xarray-temperature",
    same(r'''import numpy as np, pandas as pd, xarray as xr
np.random.seed(0)
t = pd.date_range("2021-01-01", periods=48, freq="MS")
temp = xr.DataArray(
    10 + 8 * np.sin(2 * np.pi * (t.month.values[:, None, None] - 4) / 12) + np.random.randn(48, 3, 4),
    dims=("time", "lat", "lon"),
    coords={"time": t, "lat": [58., 60., 62.], "lon": [5., 7.5, 10., 12.5]}, name="t2m")
temp'''),
    same(r'''ds = temp.to_dataset()
ds["t2m"].attrs.update(units="degC", created=pd.Timestamp.now().isoformat())
print(ds)'''),
    same(r'''clim = ds.t2m.groupby("time.month").mean("time")
clim.mean(("lat", "lon")).round(2).to_series()'''),
    same(r'''anom = ds.t2m.groupby("time.month") - clim
anom.isel(lat=0, lon=0).plot(figsize=(7, 2.2))'''),
    same(r'''ds'''),
    same(r'''ds.sel(lat=61)'''),
    same(r'''ds.t2m.attrs["units"], float(ds.t2m.max()), hex(id(ds.t2m.values))'''),
)

case(
    "fresh-async-fetchers",
    same(r'''import asyncio, time, logging, sys
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s [%(process)d] %(levelname)s %(message)s", force=True)
log = logging.getLogger("fetch")
log.info("fetcher ready")'''),
    same(r'''async def fetch(name, delay):
    await asyncio.sleep(delay)
    log.info("%s answered", name)
    return name.upper()
await asyncio.gather(fetch("alpha", .15), fetch("beta", .02), fetch("gamma", .08))'''),
    same(r'''task = asyncio.create_task(fetch("delta", 5))
task'''),
    same(r'''task.cancel()
try:
    await task
except asyncio.CancelledError:
    print("cancelled", task.cancelled())'''),
    same(r'''try:
    await asyncio.wait_for(asyncio.sleep(3), timeout=.05)
except asyncio.TimeoutError as exc:
    print(type(exc).__name__, "after 0.05 s")'''),
    same(r'''import urllib.request
try:
    urllib.request.urlopen("http://127.0.0.1:9/health", timeout=2)
except Exception as exc:
    log.error("health check: %s", exc)'''),
    same(r'''async def ticker(n):
    for i in range(n):
        yield i
        await asyncio.sleep(0.001)
start = time.time()
total = 0
async for i in ticker(20):
    total += i
print(total, "in", round((time.time() - start) * 1000, 1), "ms")'''),
    same(r'''asyncio.get_running_loop(), asyncio.Queue(maxsize=3)'''),
)

case(
    "fresh-widget-panel",
    same(r'''import ipywidgets as widgets
from IPython.display import display, clear_output, HTML, Markdown, JSON
gain = widgets.FloatSlider(value=2.5, min=0, max=10, step=.1, description="gain")
gain'''),
    same(r'''@widgets.interact(n=(1, 10, 1), shape=["sin", "cos"])
def show(n=4, shape="sin"):
    print(shape, n ** 2)'''),
    same(r'''from tqdm.auto import tqdm
import time
acc = 0
for k in tqdm(range(40), desc="epochs"):
    acc += k
    time.sleep(.002)
acc'''),
    same(r'''handle = display(Markdown("**training** ..."), display_id=True)
for step in (1, 2, 3):
    handle.update(Markdown(f"**training** step {step} of 3"))'''),
    same(r'''for i in range(5):
    clear_output(wait=True)
    print("iteration", i, "loss", round(1 / (i + 1), 3))
    time.sleep(.01)'''),
    same(r'''out = widgets.Output()
with out:
    print("hidden until shown")
print(out.model_id == out.comm.comm_id)
out'''),
    same(r'''display(JSON({"gain": gain.value, "kind": "demo"}), HTML("<em>done</em>"))'''),
    same(r'''handle'''),
)

case(
    "fresh-chart-zoo",
    same(r'''import pandas as pd, numpy as np
gap = pd.DataFrame({"year": np.arange(1960, 2010, 10), "life": [52.1, 57.4, 61.0, 63.7, 66.2], "pop": [3.0, 3.7, 4.4, 5.3, 6.1]})
gap.T'''),
    same(r'''import altair as alt
alt.Chart(gap).mark_line(point=True).encode(x="year:O", y="life")'''),
    same(r'''import plotly.graph_objects as go
fig = go.Figure(go.Scatter(x=gap.year, y=gap.life, mode="lines+markers"))
html = fig.to_html(include_plotlyjs=False, full_html=False)
print(html[:400])'''),
    same(r'''from bokeh.plotting import figure
from bokeh.embed import components
p = figure(width=300, height=200, title="population")
p.line(gap.year, gap["pop"])
script, div = components(p)
print(div)'''),
    same(r'''%config InlineBackend.figure_formats = ["svg"]
import matplotlib.pyplot as plt
plt.plot(gap.year, gap.life, marker="s", color="teal")
plt.fill_between(gap.year, 50, gap.life, alpha=.2)
plt.show()'''),
    same(r'''%config InlineBackend.figure_formats = ["png"]
fig, (a, b) = plt.subplots(1, 2, figsize=(6, 2.4), sharex=True)
a.bar(gap.year, gap["pop"], width=6); b.step(gap.year, gap.life, where="mid")
fig.tight_layout()
fig'''),
    differs(r'''jitter = gap["pop"] + np.random.normal(0, .1, len(gap))
plt.scatter(gap.year, jitter, c="k", s=14);''', "random"),
)

case(
    "fresh-traceback-clinic",
    same(r'''import warnings, traceback, inspect, dis
def ratio(a, b):
    """Share of a in b."""
    if b < 0:
        warnings.warn("negative denominator", RuntimeWarning)
    return a / b
ratio(3, -4)'''),
    same(r'''ratio(1, 0)'''),
    same(r'''try:
    ratio("a", 2)
except TypeError:
    traceback.print_exc()'''),
    same(r'''dis.dis(ratio)'''),
    same(r'''help(ratio)
print(inspect.signature(ratio), inspect.getsource(ratio).count("\n"))'''),
    same(r'''class Sensor:
    def __init__(self, name): self.name = name
s = Sensor("thermo-1")
print(s)
s.reading'''),
    same(r'''adders = [lambda v, k=k: v + k for k in range(3)]
print(adders)
[f(10) for f in adders]'''),
    same(r'''def count(n):
    return count(n + 1)
try:
    count(0)
except RecursionError as e:
    print("RecursionError:", str(e)[:60])'''),
    same(r'''assert sum(f(0) for f in adders) == 4, f"unexpected sum from {adders[0]}"'''),
)

case(
    "fresh-shell-tour",
    same(r'''echo "shell $0 pid $$ started $(date '+%F %T')"'''),
    same(r'''cat > rain.awk <<'END'
BEGIN { FS="," } NR > 1 { s[$1] += $3; n[$1]++ }
END { for (c in s) printf "%-8s %8.1f\n", c, s[c] / n[c] }
END
awk -f rain.awk rain.csv | sort'''),
    same(r'''tmp=$(mktemp -d); cp rain.csv "$tmp"/copy.csv; echo "working in $tmp"; ls "$tmp"'''),
    same(r'''ls -l rain.csv rain.awk'''),
    same(r'''time (for i in 1 2 3; do sleep 0.02; done)'''),
    same(r'''seq 1 20 | paste -sd+ | tee sum.txt; echo $(( $(cat sum.txt) ))'''),
    same(r'''sleep 5 & echo "background job $!"; kill $!; wait 2>/dev/null; echo done'''),
    kernel="bash", files={"rain.csv": CSV},
)

case(
    "fresh-r-cars",
    same(r'''head(mtcars[order(-mtcars$mpg), c("mpg", "wt", "cyl")], 6)'''),
    same(r'''fit <- lm(mpg ~ wt + factor(cyl), data = mtcars)
summary(fit)'''),
    same(r'''cat("Report generated", format(Sys.time(), "%Y-%m-%d %H:%M:%S"), "by process", Sys.getpid(), "\n")
round(coef(fit), 3)'''),
    same(r'''tf <- tempfile(fileext = ".csv")
write.csv(mtcars, tf)
cat("written to", tf, "\n")
nrow(read.csv(tf))'''),
    same(r'''set.seed(99)
x <- rnorm(8)
print(x, digits = 4)
t.test(x)'''),
    differs(r'''set.seed(NULL)
round(runif(4), 5)''', "random"),
    same(r'''system.time(for (i in 1:20000) sqrt(i))'''),
    kernel="ir",
)

# ---------------------------------------------------------------- twice

case(
    "fresh-bootstrap-twice",
    same(r'''import numpy as np, pandas as pd
iq = pd.Series([98, 104, 110, 93, 121, 87, 101, 115, 99, 108], name="iq")
iq.mean(), iq.std()'''),
    varies(r'''gen = np.random.default_rng()
boot = np.array([gen.choice(iq, len(iq)).mean() for _ in range(800)])
np.percentile(boot, [2.5, 97.5]).round(3)'''),
    varies(r'''import matplotlib.pyplot as plt
plt.hist(boot, bins=25)
plt.title("bootstrap of the mean");'''),
    same(r'''fixed = np.random.default_rng(31)
seeded = np.array([fixed.choice(iq, len(iq)).mean() for _ in range(800)])
print(f"95 % CI {np.percentile(seeded, 2.5):.2f} .. {np.percentile(seeded, 97.5):.2f}")'''),
    same(r'''import time
print("finished", time.strftime("%A %d %B %Y, %H:%M:%S"), "n =", len(boot))'''),
    varies(r'''import random
deck = list("ABCDEFGHJK")
random.shuffle(deck)
print("order of presentation:", " ".join(deck))'''),
    same(r'''sorted(deck)'''),
    same(r'''gen.bit_generator'''),
    twice=True,
)
