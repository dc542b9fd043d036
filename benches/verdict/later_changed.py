"""The cases of `later` in which something changes."""

from later import *  # noqa: F403
from later import LATER, case, differs, same  # noqa: F401

# ---------------------------------------------------------------- data changed

case(
    "fresh-penguin-eda",
    same(r'''import pandas as pd, matplotlib.pyplot as plt, datetime
df = pd.read_csv("penguins.csv", index_col="id")
print(df.shape, "loaded at", datetime.datetime.now().strftime("%H:%M:%S.%f"))'''),
    differs(r'''df.head(9)''', *DD),
    same(r'''df.dtypes'''),
    differs(r'''df.groupby("species").mass_g.agg(["mean", "min", "max"]).round(1)''', *DD),
    same(r'''df.groupby("species")[["bill_mm", "flipper_mm"]].median()'''),
    differs(r'''ax = df.plot.scatter("flipper_mm", "mass_g", figsize=(5, 3))
ax.set_title("body mass")''', *DD),
    same(r'''pd.crosstab(df.island, df.sex, margins=True)'''),
    differs(r'''heavy = df.query("mass_g > 5500")
print(f"{len(heavy)} heavy penguins, frame at {id(heavy):#x}")
heavy.index.tolist()''', *DD),
    files={"penguins.csv": PENGUINS},
    data={"penguins.csv": PENGUINS.replace("230,5700", "230,5300")},
)

case(
    "fresh-order-sql",
    same(r'''import sqlite3, csv
con = sqlite3.connect(":memory:")
con.execute("create table orders (order_id int primary key, placed text, customer text, sku text, qty int, unit_price real)")
con'''),
    same(r'''with open("orders.csv", newline="") as fh:
    rows = [tuple(r.values()) for r in csv.DictReader(fh)]
cur = con.executemany("insert into orders values (?,?,?,?,?,?)", rows)
print(cur.rowcount, "rows inserted")'''),
    differs(r'''for row in con.execute("select customer, round(sum(qty * unit_price), 2) from orders group by 1 order by 2 desc"):
    print("%-10s %10.2f" % row)''', *DD),
    same(r'''con.execute("select sku, count(*) from orders group by sku order by sku").fetchall()'''),
    differs(r'''con.execute("select max(placed) from orders where customer = 'initech'").fetchone()''', *DD),
    same(r'''con.execute("insert into orders values (1001, '2024-04-01', 'acme', 'KB-1', 1, 49.9)")'''),
    differs(r'''import pandas as pd
pd.read_sql("select substr(placed, 1, 7) as month, sum(qty) as pieces, sum(qty*unit_price) as revenue from orders group by month", con)''', *DD),
    same(r'''con.execute("select * from order_lines")'''),
    files={"orders.csv": ORDERS},
    data={"orders.csv": ORDERS.replace("1008,2024-03-21", "1008,2024-04-02")
          .replace("1004,2024-02-02,initech,KB-1,5", "1004,2024-02-02,initech,KB-1,6")},
)

case(
    "fresh-batch-jobs",
    same(r'''import pandas as pd
jobs = pd.read_csv("jobs.csv", parse_dates=["started"])
jobs.info()'''),
    differs(r'''jobs''', *DD),
    differs(r'''jobs.groupby("host")["duration_s"].mean().round(2)''', *DD),
    same(r'''jobs.status.value_counts()'''),
    differs(r'''jobs.loc[jobs.started.idxmax(), ["run_id", "started"]]''', *DD),
    same(r'''import time
t0 = time.perf_counter()
n_failed = int((jobs.status != "ok").sum())
print(f"{n_failed} failed run(s); counted in {time.perf_counter() - t0:.6f} s")'''),
    differs(r'''last = jobs.iloc[-1]
print(f"last run {last.run_id} took {last.duration_s} s, checked {pd.Timestamp.now()}")''', *DD),
    same(r'''jobs.started.dt.normalize().nunique(), jobs.run_id.is_unique'''),
    files={"jobs.csv": JOBS},
    data={"jobs.csv": JOBS.replace("43.31", "43.36").replace("65544332ff55", "65544332ff56")},
)

case(
    "fresh-access-log",
    same(r'''import re, collections, pathlib
pattern = re.compile(r'(\S+) - - \[(.+?)\] "(\w+) (\S+) [^"]+" (\d{3}) (\d+)')
lines = pathlib.Path("access.log").read_text().splitlines()
print(f"{len(lines)} requests parsed by {pattern.pattern[:6]}...")'''),
    same(r'''hits = [pattern.match(l).groups() for l in lines]
collections.Counter(h[0] for h in hits).most_common(3)'''),
    differs(r'''status = collections.Counter(h[4] for h in hits)
status''', *DD),
    differs(r'''for ip, when, verb, path, code, size in hits:
    if code[0] in "45":
        print(f"{when}  {code}  {path}")''', *DD),
    differs(r'''from datetime import datetime
times = [datetime.strptime(h[1], "%d/%b/%Y:%H:%M:%S %z") for h in hits]
print("span", times[-1] - times[0], "| slowest gap", max(b - a for a, b in zip(times, times[1:])))''', *DD),
    same(r'''!wc -l access.log && date'''),
    differs(r'''!grep -c " 500 " access.log''', *DD),
    differs(r'''import hashlib
hashlib.md5("\n".join(lines).encode()).hexdigest()''', *DD),
    files={"access.log": ACCESS},
    data={"access.log": ACCESS.replace("06:30:59", "06:31:02").replace('items HTTP/1.1" 500', 'items HTTP/1.1" 503')},
)

case(
    "fresh-survey-missing",
    same(r'''import pandas as pd, numpy as np, warnings
s = pd.read_csv("survey.csv")
s.columns.tolist(), len(s)'''),
    differs(r'''s.isna().sum()''', *DD),
    differs(r'''s["age"].dtype, s["score"].dtype''', *DD),
    same(r'''s.groupby("group").size().to_frame("n")'''),
    differs(r'''for name, g in s.groupby("group"):
    if g.age.isna().any():
        warnings.warn(f"{name}: {g.age.isna().sum()} age missing")
    print(name, g.age.mean().round(2))''', *DD),
    same(r'''s.pivot_table(values="score", index="group", aggfunc=["mean", "count"])'''),
    differs(r'''s.age.astype(int).tolist()''', *DD),
    same(r'''s[["respondent", "score"]].style.highlight_max(subset="score")'''),
    same(r'''from scipy import stats
res = stats.ttest_ind(s.score[s.group == "treated"], s.score[s.group == "control"].dropna(), equal_var=False)
print("t = %.3f, p = %.4f" % (res.statistic, res.pvalue))'''),
    files={"survey.csv": SURVEY},
    data={"survey.csv": SURVEY.replace("r07,45", "r07,")},
)

case(
    "fresh-yaml-config",
    same(r'''import yaml, dataclasses, pprint
with open("config.yaml") as fh:
    cfg = yaml.safe_load(fh)
print(sorted(cfg), type(fh), fh.closed)'''),
    same(r'''cfg["model"]["features"]'''),
    differs(r'''@dataclasses.dataclass(frozen=True)
class Train:
    seed: int
    epochs: int
opts = Train(**cfg["train"])
opts''', *DD),
    differs(r'''import numpy as np
rng = np.random.default_rng(opts.seed)
A = rng.normal(size=(30, 3)); b = A @ [1., -2., .5] + rng.normal(scale=.1, size=30)
alpha = cfg["model"]["alpha"]
w = np.linalg.solve(A.T @ A + alpha * np.eye(3), A.T @ b)
w.round(4)''', *DD),
    same(r'''from tqdm import tqdm
import time
for epoch in tqdm(range(opts.epochs)):
    time.sleep(.01)'''),
    differs(r'''print(yaml.safe_dump(cfg, sort_keys=True))''', *DD),
    same(r'''pprint.pprint({k: type(v).__name__ for k, v in cfg["model"].items()})'''),
    files={"config.yaml": CONFIG},
    data={"config.yaml": CONFIG.replace("seed: 13", "seed: 17")},
)

case(
    "fresh-price-series",
    same(r'''import pandas as pd, matplotlib.pyplot as plt
px = pd.read_csv("prices.csv", parse_dates=["date"]).set_index("date")["close"]
px.index'''),
    differs(r'''px.tail(3)''', *DD),
    same(r'''px.iloc[:5].pct_change().mul(100).round(2)'''),
    differs(r'''fig, ax = plt.subplots(figsize=(6, 2.5))
px.plot(ax=ax, lw=1.2)
ax.axhline(px.iloc[0], ls=":", c="gray")
ax.set_title(f"close, {px.index[0]:%b %Y}");''', *DD),
    differs(r'''print(f"return {px.iloc[-1] / px.iloc[0] - 1:+.2%}, vol {px.pct_change().std():.4f}")''', *DD),
    same(r'''plt.figure(figsize=(4, 2))
px.head(6).plot(kind="bar", color="#4477aa");'''),
    same(r'''f"{px.idxmin():%Y-%m-%d}", px.is_monotonic_increasing, pd.Timestamp.today().normalize() > px.index[-1]'''),
    differs(r'''print(f"{px.diff().iloc[-1]:+.2f} since the day before (computed {pd.Timestamp.now():%H:%M:%S})")''', *DD),
    files={"prices.csv": PRICES},
    data={"prices.csv": PRICES.replace("106.15", "105.15")},
)

case(
    "fresh-word-counts",
    same(r'''import re, textwrap
from collections import Counter
text = open("article.txt").read()
tokens = re.findall(r"[a-z]+", text.lower())
len(tokens)'''),
    differs(r'''counts = Counter(tokens)
counts.most_common(4)''', *DD),
    differs(r'''print(textwrap.fill(text.replace("\n", " "), 38))''', *DD),
    differs(r'''from sklearn.feature_extraction.text import CountVectorizer
vec = CountVectorizer(stop_words="english")
M = vec.fit_transform(text.splitlines())
M.shape''', *DD),
    same(r'''vec.get_params(), type(M)'''),
    differs(r'''import pandas as pd
pd.Series(M.toarray().sum(0), index=vec.get_feature_names_out()).sort_values(ascending=False, kind="stable").head(4)''', *DD),
    same(r'''from tqdm import tqdm
longest = ""
for w in tqdm(tokens, ncols=70):
    if len(w) > len(longest):
        longest = w
print(longest)'''),
    files={"article.txt": ARTICLE},
    data={"article.txt": ARTICLE.replace("far from the coast", "far from the shore")},
)

case(
    "fresh-helper-module",
    same(r'''import sys, os
sys.path.insert(0, os.getcwd())
import cleaning
cleaning'''),
    same(r'''cleaning.slug("Gross Sales (EUR)")'''),
    differs(r'''cleaning.winsorize([1, 2, 3, 4, 250])''', "data", "downstream", "library"),
    differs(r'''import inspect
print(inspect.getsource(cleaning.winsorize))''', "data", "downstream", "library"),
    differs(r'''cleaning.winsorize''', "data", "downstream", "library"),
    same(r'''[cleaning.slug(c) for c in ("Net", "VAT %", "Unit price")]'''),
    differs(r'''import statistics
print("mean after clipping:", statistics.mean(cleaning.winsorize([10, 12, 180, 11])))''', "data", "downstream", "library"),
    same(r'''cleaning.slug(None)'''),
    files={"cleaning.py": 'import re\n\nLIMIT = 100\n\n\ndef slug(text):\n    return re.sub(r"\\W+", "_", text.lower()).strip("_")\n\n\ndef winsorize(values, limit=100):\n    if not values:\n        raise ValueError("nothing to clip")\n    return [min(v, limit) for v in values]\n'},
    data={"cleaning.py": 'import re\n\nLIMIT = 100\n\n\ndef slug(text):\n    return re.sub(r"\\W+", "_", text.lower()).strip("_")\n\n\ndef winsorize(values, limit=1000):\n    if not values:\n        raise ValueError("nothing to clip")\n    return [min(v, limit) for v in values]\n'},
)

case(
    "fresh-shell-genes",
    same(r'''head -1 genes.tsv; wc -l < genes.tsv; date +%s'''),
    differs(r'''awk -F'\t' 'NR > 1 { t += $3 } END { print "total counts", t }' genes.tsv''', *DD),
    same(r'''cut -f2 genes.tsv | tail -n +2 | sort -n | uniq -c'''),
    differs(r'''tail -n +2 genes.tsv | sort -t$'\t' -k3,3nr | head -2 | column -t''', *DD),
    differs(r'''sha256sum genes.tsv | cut -c1-16; stat -c '%y' genes.tsv''', *DD),
    same(r'''awk -F'\t' 'NR > 1 && $4 > 9000 { print $1 }' genes.tsv'''),
    differs(r'''awk -F'\t' 'NR > 1 && $3 > 1400 { found = 1 } END { exit !found }' genes.tsv && echo "highly expressed gene found by $$" || echo "none above 1400 (shell $$)"''', *DD),
    kernel="bash", files={"genes.tsv": GENES},
    data={"genes.tsv": GENES.replace("MYC\t8\t1430", "MYC\t8\t1190")},
)

case(
    "fresh-r-survey",
    same(r'''d <- read.csv("survey.csv", stringsAsFactors = TRUE)
dim(d)'''),
    differs(r'''aggregate(score ~ group, data = d, FUN = mean)''', *DD),
    same(r'''table(d$group, d$age > 35)'''),
    differs(r'''summary(d$score)''', *DD),
    same(r'''cat(format(Sys.Date(), "%d %B %Y"), ":", sum(is.na(d$score)), "score missing\n")'''),
    differs(r'''boxplot(score ~ group, data = d, col = c("grey80", "tomato"), main = "score by group")''', *DD),
    same(r'''hist(d$age, col = "steelblue", main = "age")'''),
    kernel="ir", files={"survey.csv": SURVEY},
    data={"survey.csv": SURVEY.replace("treated,90", "treated,94")},
)

# ---------------------------------------------------------------- library changed

case(
    "fresh-knn-default",
    same(r'''from sklearn.datasets import make_moons
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
X, y = make_moons(n_samples=240, noise=.32, random_state=5)
X[:3].round(3)'''),
    differs(r'''clf = KNeighborsClassifier()
clf.fit(X[:160], y[:160])''', "library"),
    differs(r'''clf.get_params()''', "library", "downstream"),
    differs(r'''from sklearn.metrics import log_loss
proba = clf.predict_proba(X[160:])[:, 1]
print(f"log loss {log_loss(y[160:], proba.clip(.01, .99)):.4f}")''', "library", "downstream"),
    same(r'''KNeighborsClassifier(n_neighbors=3).fit(X[:160], y[:160]).score(X[160:], y[160:])'''),
    differs(r'''import numpy as np, matplotlib.pyplot as plt
xx, yy = np.meshgrid(np.linspace(-2, 3, 60), np.linspace(-1.5, 2, 60))
Z = clf.predict_proba(np.c_[xx.ravel(), yy.ravel()])[:, 1].reshape(xx.shape)
plt.contourf(xx, yy, Z, levels=8, cmap="RdBu")
plt.scatter(*X.T, c=y, s=8, edgecolor="k", lw=.3);''', "library", "downstream"),
    same(r'''KNeighborsRegressor().fit(X, y).predict([[0.5, 0.25]])'''),
    same(r'''%timeit -n 3 -r 2 clf.predict(X)'''),
    patch=("sklearn/neighbors/_classification.py", "n_neighbors=5,", "n_neighbors=7,"),
)

case(
    "fresh-seaborn-colours",
    same(r'''import seaborn as sns, pandas as pd, matplotlib.pyplot as plt
tips = pd.DataFrame({"day": ["Thu", "Fri", "Sat", "Sun"] * 6, "tip": [2, 3, 3.5, 4, 1.5, 2.5, 5, 3, 2, 2, 4, 6] * 2,
                     "smoker": ["no", "yes", "no"] * 8})
tips.groupby("day", sort=False).tip.mean()'''),
    differs(r'''sns.barplot(tips, x="day", y="tip", hue="smoker", palette="deep", errorbar=None);''', "library", "downstream"),
    same(r'''sns.barplot(tips, x="day", y="tip", color="#999999", errorbar=None);'''),
    differs(r'''sns.color_palette("deep").as_hex()[:4]''', "library", "downstream"),
    same(r'''g = sns.catplot(tips, x="smoker", y="tip", kind="box", palette="Greys", hue="smoker", legend=False, height=2.5)
g'''),
    differs(r'''sns.set_theme(style="whitegrid")
fig, ax = plt.subplots(figsize=(5, 2.5))
for s, sub in tips.groupby("smoker"):
    ax.plot(sub.tip.reset_index(drop=True), label=s)
ax.legend();''', "library", "downstream"),
    patch=("seaborn/palettes.py", 'deep=["#4C72B0", "#DD8452"', 'deep=["#4C72B0", "#DD8462"'),
)

case(
    "fresh-describe-quantiles",
    same(r'''import pandas as pd, numpy as np
temps = pd.DataFrame(np.random.RandomState(3).normal([12, 18], [4, 6], (200, 2)).round(1), columns=["night", "day"])
temps.corr().round(4)'''),
    differs(r'''temps.describe()''', "library", "downstream"),
    same(r'''temps.quantile([.25, .5, .75])'''),
    differs(r'''temps.day.describe().index.tolist()''', "library", "downstream"),
    same(r'''pd.Series(["a", "b", "a"]).describe()'''),
    differs(r'''iqr = temps.night.describe()
print("night IQR:", iqr["75%"] - iqr["25%"])''', "library", "downstream"),
    same(r'''print(f"{pd.Timestamp.utcnow():%FT%TZ} done, {temps.size} values")'''),
    patch=("pandas/core/methods/describe.py", "np.array([0.25, 0.5, 0.75])", "np.array([0.1, 0.5, 0.9])"),
)

case(
    "fresh-durbin-watson",
    same(r'''import numpy as np, statsmodels.api as sm
rng = np.random.default_rng(8)
x = np.linspace(0, 10, 80)
e = np.zeros(80)
for i in range(1, 80):
    e[i] = .6 * e[i - 1] + rng.normal(scale=.5)
y = 1.5 * x + 4 + e
y[-3:]'''),
    same(r'''model = sm.OLS(y, sm.add_constant(x)).fit()
model.params.round(4), round(model.rsquared, 5)'''),
    differs(r'''print(model.summary())''', "library", "downstream"),
    differs(r'''from statsmodels.stats.stattools import durbin_watson
print("DW = {:.3f}".format(durbin_watson(model.resid)))''', "library", "downstream"),
    same(r'''from statsmodels.tsa.stattools import acf
acf(model.resid, nlags=4).round(3)'''),
    same(r'''model.summary().tables[1]'''),
    same(r'''from statsmodels.stats.diagnostic import acorr_ljungbox
acorr_ljungbox(model.resid, lags=[5])'''),
    patch=("statsmodels/stats/stattools.py", "diff_resids = np.diff(resids, 1, axis=axis)", "diff_resids = np.diff(resids, 2, axis=axis)"),
)

case(
    "fresh-pagerank-damping",
    same(r'''import networkx as nx
web = nx.DiGraph([("home", "about"), ("home", "shop"), ("shop", "cart"), ("cart", "home"), ("about", "home"), ("blog", "shop")])
list(web.in_degree)'''),
    differs(r'''pr = nx.pagerank(web)
for page, score in sorted(pr.items(), key=lambda kv: -kv[1]):
    print(f"{page:<6} {score:.4f}")''', "library", "downstream"),
    same(r'''max(pr, key=pr.get), round(sum(pr.values()), 6)'''),
    differs(r'''import json
print(json.dumps({k: round(v, 3) for k, v in pr.items()}, indent=2))''', "library", "downstream"),
    differs(r'''import inspect
inspect.signature(nx.pagerank.orig_func)''', "library", "downstream"),
    same(r'''hubs, auth = nx.hits(web)
{k: round(v, 3) + 0 for k, v in auth.items()}'''),
    same(r'''web.nodes, nx.hits'''),
    patch=("networkx/algorithms/link_analysis/pagerank_alg.py", "def pagerank(\n    G,\n    alpha=0.85,", "def pagerank(\n    G,\n    alpha=0.9,"),
)

# ---------------------------------------------------------------- environment changed

case(
    "fresh-stage-setting",
    same(r'''import os, logging, sys
logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"), stream=sys.stdout, format="%(levelname)s:%(name)s:%(message)s", force=True)
log = logging.getLogger("etl")
print("configured in process", os.getpid())'''),
    differs(r'''log.debug("cache lookup: miss")
log.info("42 rows read")''', "environment", "downstream"),
    differs(r'''stage = os.getenv("STAGE", "dev")
print("stage =", stage)''', "environment"),
    differs(r'''limits = {"dev": 10, "prod": 1000}
rows = list(range(250))[: limits[stage]]
len(rows)''', "environment", "downstream"),
    same(r'''rows[:5]'''),
    same(r'''log.warning("disk usage at %d %%", 91)'''),
    differs(r'''!echo "running as $STAGE"''', "environment"),
    differs(r'''logging.getLevelName(log.getEffectiveLevel()), log''', "environment", "downstream"),
    same(r'''from uuid import uuid1
log.error("batch %s rejected", uuid1())'''),
    environment={"STAGE": "dev", "LOG_LEVEL": "DEBUG"}, given={"STAGE": "prod", "LOG_LEVEL": "INFO"},
)

case(
    "fresh-timezone",
    same(r'''import time, datetime as dt, pandas as pd
print("now:", dt.datetime.now())'''),
    differs(r'''time.tzname, time.timezone''', "environment"),
    differs(r'''print(dt.datetime.fromtimestamp(1_700_000_000))''', "environment"),
    same(r'''dt.datetime.fromtimestamp(1_700_000_000, dt.timezone.utc).isoformat()'''),
    same(r'''pd.date_range("2024-03-30", periods=3, freq="D", tz="Europe/Oslo")'''),
    differs(r'''time.strftime("%H:%M %Z", time.localtime(1.7e9))''', "environment"),
    same(r'''pd.Timestamp(1_700_000_000, unit="s")'''),
    differs(r'''!date -d @1700000000 "+%F %R"''', "environment"),
    environment={"TZ": "UTC"}, given={"TZ": "Asia/Tokyo"},
)

case(
    "fresh-warnings-off",
    same(r'''import warnings, numpy as np
a = np.array([1., 0., -4.])
np.nansum(a)'''),
    differs(r'''np.sqrt(a)''', "environment"),
    differs(r'''1 / a''', "environment"),
    same(r'''def legacy(v):
    print("legacy called with", v)
    return v * 2
legacy(21)'''),
    differs(r'''for k in range(3):
    warnings.warn(f"column {k} has low variance", UserWarning)
print("3 columns checked")''', "environment"),
    same(r'''with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    warnings.warn("kept")
print(len(caught), caught[0].category.__name__)'''),
    differs(r'''from sklearn.linear_model import LogisticRegression
X = np.arange(12.).reshape(6, 2) * [1, 500]
LogisticRegression(max_iter=2).fit(X, [0, 0, 1, 0, 1, 1]).classes_''', "environment"),
    same(r'''import sys
print("to stderr, not a warning", file=sys.stderr)'''),
    given={"PYTHONWARNINGS": "ignore"},
)

case(
    "fresh-shell-environment",
    same(r'''echo "job started $(date) on shell $BASHPID"'''),
    differs(r'''echo "region: ${REGION:-unset}"''', "environment"),
    differs(r'''[ "$REGION" = eu-west-1 ]; echo "exit code $?"''', "environment"),
    same(r'''case "$REGION" in eu-*) echo european;; *) echo other;; esac'''),
    differs(r'''printf '%s\n' bucket-{a,b}-$REGION | tr a-z A-Z''', "environment"),
    same(r'''mktemp /tmp/stage.XXXXXX'''),
    same(r'''for f in one two; do echo "$f -> $(echo $f | md5sum | cut -c1-8)"; done'''),
    differs(r'''env | grep -c '^RE[GT]' ''', "environment"),
    kernel="bash",
    environment={"REGION": "eu-west-1"}, given={"REGION": "eu-west-2", "RETRIES": "3"},
)

# ---------------------------------------------------------------- machine changed

case(
    "fresh-affinity",
    same(r'''import os, platform
platform.machine(), os.sysconf("SC_PAGE_SIZE"), os.name'''),
    differs(r'''n_jobs = len(os.sched_getaffinity(0))
print("using", n_jobs, "worker(s)")''', "machine", "environment"),
    differs(r'''chunks = [list(range(12))[i::n_jobs] for i in range(n_jobs)]
chunks''', "machine", "environment", "downstream"),
    same(r'''sum(map(sum, chunks))'''),
    same(r'''!nproc'''),  # it obeys OMP_NUM_THREADS, which a replay sets as it was
    same(r'''from concurrent.futures import ThreadPoolExecutor
import time
tic = time.time()
with ThreadPoolExecutor(n_jobs) as pool:
    done = list(pool.map(lambda c: sum(v * v for v in c), chunks))
print(f"sum of squares {sum(done)}, {time.time() - tic:.3f}s")'''),
    differs(r'''import joblib
joblib.effective_n_jobs(-1)''', "machine", "environment"),
    cpus=1,
)

case(
    "fresh-joblib-batches",
    same(r'''import numpy as np
from joblib import Parallel, delayed, cpu_count
def area(n, seed):
    p = np.random.default_rng(seed).random((n, 2))
    return 4 * float(((p ** 2).sum(1) < 1).mean())
area(2000, 1)'''),
    differs(r'''workers = cpu_count()
workers''', "machine", "environment"),
    same(r'''est = Parallel(n_jobs=workers, prefer="threads")(delayed(area)(5000, s) for s in range(8))
print(np.round(est, 3), "mean", round(np.mean(est), 4))'''),
    differs(r'''print(f"batch plan: {8 // workers} task(s) for each of {workers} worker(s)")''', "machine", "environment", "downstream"),
    same(r'''import subprocess
out = subprocess.run(["nproc"], capture_output=True, text=True)
print(out.stdout.strip(), "cpu(s) reported, exit", out.returncode)'''),
    same(r'''import psutil
print("resident", round(psutil.Process().memory_info().rss / 2**20, 1), "MiB")'''),
    same(r'''est[0] == area(5000, 0), min(est) < np.pi < max(est)'''),
    cpus=1,
)

# ---------------------------------------------------------------- another order

case(
    "fresh-order-scaling",
    same(r'''import numpy as np
x = np.array([4., 8., 15., 16., 23., 42.])
print(x.sum())'''),
    same(r'''y = np.log(2 * np.array([1., 2.]))
y.round(4)'''),
    differs(r'''print("mean", x.mean().round(3))''', "order", "downstream"),
    differs(r'''x = (x - x.min()) / (x.max() - x.min())
print("scaled to", x.min(), "..", x.max(), "| peak", peak if "peak" in globals() else "not known yet")''', "order", "downstream"),
    differs(r'''peak = x.max()
peak''', "order", "downstream"),
    same(r'''import time
print("checked", time.ctime(), "n =", x.size)'''),
    same(r'''x.argmax()'''),
    order=[0, 1, 4, 3, 2, 5, 6],
)

case(
    "fresh-order-counter",
    same(r'''import itertools, random
ids = itertools.count(100)
random.seed(12)
ids'''),
    differs(r'''first = next(ids)
print("job", first)''', "order", "downstream"),
    differs(r'''draw = [random.randint(1, 6) for _ in range(5)]
draw''', "order", "downstream"),
    differs(r'''second = next(ids); coin = random.random()
print("job", second, "coin", round(coin, 4))''', "order", "downstream"),
    differs(r'''print(f"{coin:.2f} tossed by {id(ids):x}")''', "order", "downstream"),
    same(r'''first + second'''),
    same(r'''sorted({"b": 2, "a": 1}.items())'''),
    same(r'''next(iter([]))'''),
    order=[0, 3, 6, 1, 2, 5, 4, 7],
)

case(
    "fresh-order-missing-import",
    same(r'''rows = [("a", 3), ("b", 5), ("c", 2)]
rows'''),
    differs(r'''import pandas as pd
tab = pd.DataFrame(rows, columns=["key", "n"])
tab''', "order", "downstream"),
    differs(r'''rows.append(("d", 7))
print(len(rows), "rows,", len(tab) if "tab" in globals() else "no", "in the table")''', "order", "downstream"),
    differs(r'''tab.n.sum()''', "order", "downstream"),
    same(r'''dict(rows)["b"]'''),
    same(r'''%%time
checksum = sum(ord(k) * n for k, n in rows)
print(checksum)'''),
    same(r'''object()'''),
    differs(r'''tab.set_index("key").n.plot.bar(color="peru", figsize=(3, 2))''', "order", "downstream"),
    order=[0, 2, 1, 3, 5, 4, 6, 7],
)

# ---------------------------------------------------------------- edited code

case(
    "fresh-edit-threshold",
    same(r'''import numpy as np, pandas as pd
scores = pd.Series(np.random.default_rng(77).beta(2, 3, 60).round(3))
scores.head()'''),
    differs(r'''threshold = 0.5
print("cut at", threshold)''', "code"),
    differs(r'''passed = scores[scores > threshold]
print(len(passed), "of", len(scores), "passed")''', "code", "downstream"),
    same(r'''scores.rank(pct=True).tail(4).round(4)'''),
    differs(r'''import matplotlib.pyplot as plt
scores.plot.hist(bins=15, color="lightgray", ec="k", figsize=(4, 2.5))
plt.axvline(threshold, c="crimson");''', "code", "downstream"),
    same(r'''passed.max(), passed.dtype'''),
    same(r'''import os, uuid
print("report written by", os.getpid(), "as", uuid.uuid4().hex)'''),
    differs(r'''plt.figure(figsize=(3, 2)); plt.boxplot(scores); plt.title("Scores");''', "code"),
    edited={1: 'threshold = 0.55\nprint("cut at", threshold)',
            7: 'plt.figure(figsize=(3, 2)); plt.boxplot(scores); plt.title("Score");'},
)

case(
    "fresh-edit-units",
    same(r'''from dataclasses import dataclass
from datetime import date
import statistics as st
print("today", date.today())'''),
    differs(r'''@dataclass
class Leg:
    name: str
    km: float
    def __str__(self): return f"{self.name}: {self.km:.1f} km"
legs = [Leg("ferry", 12.4), Leg("train", 230.0), Leg("walk", 1.75)]
for leg in legs: print(leg)''', "code"),
    same(r'''sum(l.km for l in legs), st.median(l.km for l in legs)'''),
    differs(r'''print(" | ".join(map(str, legs)), "|", hex(id(legs[0])))''', "code", "downstream"),
    same(r'''legs[1]'''),
    differs(r'''int("12,4")''', "code"),
    same(r'''Leg("bus")'''),
    differs(r'''from IPython.display import Markdown
Markdown("| leg | km |\n|---|---:|\n" + "\n".join(f"| {l.name} | {l.km} |" for l in legs))''', "code"),
    edited={1: '@dataclass\nclass Leg:\n    name: str\n    km: float\n    def __str__(self): return f"{self.name}: {self.km:.1f} mi"\nlegs = [Leg("ferry", 12.4), Leg("train", 230.0), Leg("walk", 1.75)]\nfor leg in legs: print(leg)',
            5: 'int("12.4")',
            7: 'from IPython.display import Markdown\nMarkdown("| leg | dist |\\n|---|---:|\\n" + "\\n".join(f"| {l.name} | {l.km} |" for l in legs))'},
)

case(
    "fresh-edit-dtype",
    same(r'''import numpy as np, uuid
grid = np.arange(12).reshape(3, 4)
grid'''),
    differs(r'''img = (grid / grid.max()).astype("float32")
img.dtype, img.nbytes''', "code"),
    same(r'''img.shape, float(img.max())'''),
    differs(r'''f"{img.sum(dtype='float64'):.9f}", str(uuid.uuid4())''', "code", "downstream"),
    differs(r'''from tqdm import tqdm
done = 0
for row in tqdm(range(30), desc="rows", ncols=60):
    done += 1''', "code"),
    differs(r'''done''', "code", "downstream"),
    same(r'''import matplotlib.pyplot as plt
plt.imshow(grid, cmap="viridis"); plt.colorbar();'''),
    differs(r'''!sh -c 'exit 3'
_exit_code''', "code"),
    edited={1: 'img = (grid / grid.max()).astype("float64")\nimg.dtype, img.nbytes',
            4: 'from tqdm import tqdm\ndone = 0\nfor row in tqdm(range(31), desc="rows", ncols=60):\n    done += 1',
            7: "!sh -c 'exit 4'\n_exit_code"},
)

# ---------------------------------------------------------------- elsewhere

case(
    "fresh-moved-project",
    same(r'''from pathlib import Path
import os
root = Path.cwd()
print("project root:", root)'''),
    same(r'''!pwd && ls *.csv'''),
    same(r'''data = root / "rain.csv"
data'''),
    same(r'''import pandas as pd
rain = pd.read_csv(data)
rain.groupby("city", sort=False).rain.sum()'''),
    same(r'''pd.read_csv(root / "raw" / "missing.csv")'''),
    same(r'''out = root / "figures"
out.mkdir(exist_ok=True)
import matplotlib; matplotlib.use("agg"); import matplotlib.pyplot as plt
plt.plot(rain.rain); plt.savefig(out / "rain.png")
print("saved", os.path.abspath("figures/rain.png"), (out / "rain.png").exists())'''),
    differs(r'''import numpy as np
print("noise floor %.5f" % np.random.rand())''', "random"),
    same(r'''%pwd'''),
    files={"rain.csv": CSV}, moved=True,
)

case(
    "fresh-rain-byte",
    same(r'''import os, csv, io
from tabulate import tabulate
raw = open("rain.csv", "rb").read()
len(raw), os.path.getsize("rain.csv")'''),
    differs(r'''table = list(csv.reader(io.StringIO(raw.decode())))
print(tabulate(table[1:], headers=table[0], floatfmt=".1f"))''', *DD),
    same(r'''sorted({r[0] for r in table[1:]})'''),
    differs(r'''total = sum(float(r[2]) for r in table[1:])
print(f"total {total:.1f} mm")''', *DD),
    differs(r'''import zlib
hex(zlib.crc32(raw))''', *DD),
    same(r'''print(f"total about {total / 1000:.0f} m, table object at {hex(id(table))}")'''),
    differs(r'''if total > 6783:
    raise ValueError(f"rain gauge overflow: {total}")''', *DD),
    same(r'''max(table[1:], key=lambda r: float(r[2]))'''),
    files={"rain.csv": CSV}, data={"rain.csv": BYTE},
)
