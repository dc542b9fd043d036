"""The seventeenth blind set: sales, weather, health, transport, surveys, energy.

Written by someone who had seen neither the rules nor the other cases, asked for notebooks as people write them, without traps, with noise of every kind that
the goal names and one change of each kind that it names. Every truth was decided from what the cell does, then checked in a plain kernel before and after its
change. README has its figures at first sight. Rules were mended by some of these since.
"""

import math
import random

from truth import Case, Cell, differs, same, varies  # noqa: F401

BLIND = []


def rows(header, lines):
    return header + "\n" + "\n".join(",".join(str(one) for one in line) for line in lines) + "\n"


def once(text, old, new):
    assert text.count(old) == 1, (old, text.count(old))
    return text.replace(old, new)


def days(start_month, count):
    lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    month, day = start_month, 1
    for _ in range(count):
        yield f"2023-{month:02d}-{day:02d}"
        day += 1
        if day > lengths[month - 1]:
            month, day = month + 1, 1


# ---------------------------------------------------------------------------------------------------- noise only

_r = random.Random(11)
SALES = rows("date,store,product,units,price", [
    (day, store, product, _r.randint(1, 40), round(_r.uniform(3, 60), 2))
    for day in days(1, 60) for store in ("Leeds", "York", "Hull") for product in ("kettle", "toaster", "lamp")])

BLIND.append(Case("k-retail-daily-report", [
    same(r"""import datetime as dt
import os
import pandas as pd
import psutil
import seaborn as sns
import matplotlib.pyplot as plt
print("pandas", pd.__version__)
print("Report generated", dt.datetime.now().strftime("%A %d %B %Y, %H:%M:%S"))"""),
    same(r"""sales = pd.read_csv("sales.csv", parse_dates=["date"])
sales["revenue"] = sales["units"] * sales["price"]
sales.info()
sales.head()"""),
    same(r"""%%time
weekly = (sales.set_index("date").groupby("store")["revenue"].resample("W").sum().unstack("store"))
print(weekly.round(1).to_string())"""),
    same(r"""by_store = sales.groupby("store")
by_store"""),
    same(r"""(by_store["revenue"].agg(["sum", "mean", "count"])
    .style.format({"sum": "£{:,.0f}", "mean": "£{:.2f}"})
    .background_gradient(subset=["sum"], cmap="Greens")
    .set_caption("Revenue by store"))"""),
    same(r"""rss = psutil.Process(os.getpid()).memory_info().rss
print(f"resident memory: {rss / 2**20:.1f} MiB, frame: {sales.memory_usage(index=True).sum() / 1024:.1f} KiB")"""),
    same(r"""top = set(sales.loc[sales.units > 35, "product"]) | {"mixer", "blender", "iron"}
print("products in the campaign:", top)
len(top)"""),
    same(r"""fig, ax = plt.subplots(figsize=(6, 3))
sns.barplot(data=sales, x="product", y="revenue", hue="store", errorbar=None, ax=ax)
ax.set_title("Mean revenue per day")
plt.show()"""),
    same(r"""# the column was renamed in the autumn export; keep this here as a reminder
sales["turnover"].sum()"""),
], files={"sales.csv": SALES}))

BLIND.append(Case("k-weather-station-dashboard", [
    same(r"""import numpy as np
import pandas as pd
import plotly.express as px
import altair as alt
from bokeh.plotting import figure, show
from bokeh.io import output_notebook
output_notebook()"""),
    same(r"""rng = np.random.default_rng(1963)
hours = pd.date_range("2024-01-15", periods=96, freq="h")
obs = pd.DataFrame({
    "time": hours,
    "temp": 4 + 6 * np.sin(np.arange(96) / 24 * 2 * np.pi) + rng.normal(0, 0.8, 96),
    "wind": rng.gamma(2.0, 2.5, 96),
    "station": rng.choice(["Tromsø", "Bodø", "Røros"], 96),
})
obs.describe().round(2)"""),
    same(r"""fig = px.line(obs, x="time", y="temp", title="Temperature, °C")
fig.update_layout(height=320)
fig.show()"""),
    same(r"""alt.Chart(obs).mark_circle(size=40).encode(
    x="time:T", y="wind:Q", color="station:N", tooltip=["station", "wind"]).properties(width=420, height=180)"""),
    same(r"""p = figure(width=420, height=220, x_axis_type="datetime", title="Wind")
p.line(obs["time"], obs["wind"], line_width=2)
show(p)"""),
    same(r"""p"""),
    varies(r"""# nowcast: an ensemble of perturbed persistence forecasts
ensemble = obs["temp"].iloc[-1] + np.random.normal(0, 0.6, size=(50, 12)).cumsum(axis=1)
print("spread after 12 h: %.4f" % ensemble[:, -1].std())
pd.DataFrame(ensemble).iloc[:3, :6]"""),
    same(r"""from IPython.display import HTML, display
from datetime import datetime, timezone
display(HTML(f"<p>Last refreshed <b>{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC</b> for {obs.station.nunique()} stations</p>"))"""),
]))

_r = random.Random(5)
SURVEY = rows("respondent,age,region,satisfaction,channel", [
    (f"R{i:03d}", _r.randint(18, 80), _r.choice(["north", "south", "east", "west"]), _r.choice([1, 2, 3, 3, 4, 4, 5]),
     _r.choice(["web", "phone", "paper"])) for i in range(180)])

BLIND.append(Case("k-survey-satisfaction", [
    same(r"""import uuid, warnings, sys
import numpy as np
import pandas as pd
from tabulate import tabulate
run_id = uuid.uuid4()
print("run", run_id)"""),
    same(r"""survey = pd.read_csv("survey.csv")
regions = set(survey.region)
channels = frozenset(survey.channel)
print(regions)
channels"""),
    same(r"""def flag_small(frame, column, minimum=30):
    counts = frame[column].value_counts()
    for name, n in counts[counts < minimum].items():
        warnings.warn(f"{column}={name}: only {n} respondents")
    return counts.sort_index()

survey["age_group"] = pd.cut(survey.age, [17, 24, 34, 49, 64, 80], labels=["18-24", "25-34", "35-49", "50-64", "65+"])
flag_small(survey, "age_group")"""),
    same(r"""table = survey.pivot_table(index="region", columns="channel", values="satisfaction", aggfunc="mean", observed=True)
print(tabulate(table.round(2), headers="keys", tablefmt="github"))"""),
    same(r"""from scipy import stats
crosstab = pd.crosstab(survey.region, survey.satisfaction)
chi2, p, dof, _ = stats.chi2_contingency(crosstab)
print(f"chi2 = {chi2:.3f}, dof = {dof}, p = {p:.4f}")
print("(cells below 5: %d)" % (crosstab < 5).sum().sum(), file=sys.stderr)"""),
    varies(r"""boot = [survey.satisfaction.sample(frac=1, replace=True).mean() for _ in range(300)]
lo, hi = np.percentile(boot, [2.5, 97.5])
print(f"bootstrap mean {np.mean(boot):.5f}  [{lo:.5f}, {hi:.5f}]")"""),
    same(r"""panel = pd.DataFrame({"respondent": ["R001", "R002", "R002"], "weight": [1.0, 0.5, 0.7]})
survey.merge(panel, on="respondent", validate="one_to_one")"""),
    same(r"""export = survey.head(3)[["age", "region"]].copy()
export.insert(0, "id", [str(uuid.uuid4()) for _ in range(3)])
export"""),
    same(r"""class Question:
    def __init__(self, text, scale):
        self.text, self.scale = text, scale

questions = {"q1": Question("How satisfied are you?", 5), "q2": Question("Would you recommend us?", 10)}
questions"""),
], files={"survey.csv": SURVEY}))

BLIND.append(Case("k-energy-zone-collector", [
    same(r"""import logging, os, random, sys, time, threading
from concurrent.futures import ThreadPoolExecutor, ProcessPoolExecutor, as_completed
import numpy as np
import pandas as pd
from tqdm import tqdm
logging.basicConfig(level=logging.INFO, force=True, stream=sys.stderr,
                    format="%(asctime)s [%(process)d] %(levelname)s %(name)s: %(message)s")
log = logging.getLogger("collector")
log.info("started with pandas %s", pd.__version__)"""),
    same(r"""ZONES = ["NO1", "NO2", "NO3", "SE1", "SE3", "DK1"]

def load_zone(zone):
    time.sleep(random.random() * 0.1)  # the real one asks the exchange
    rng = np.random.default_rng(sum(map(ord, zone)))
    series = pd.Series(rng.normal(900, 120, 48).round(1), name=zone)
    print(f"{zone}: {len(series)} hours, peak {series.max()} MW")
    return series

with ThreadPoolExecutor(max_workers=4) as pool:
    loaded = {f.result().name: f.result() for f in as_completed([pool.submit(load_zone, z) for z in ZONES])}"""),
    same(r"""load = pd.DataFrame(loaded)[ZONES]
load.agg(["mean", "max", "min"]).round(1).T"""),
    same(r"""daily = []
for zone in tqdm(ZONES, desc="daily totals"):
    time.sleep(0.02)
    daily.append(load[zone].groupby(load.index // 24).sum().rename(zone))
pd.concat(daily, axis=1)"""),
    same(r"""def peak_hour(item):
    name, values = item
    print(f"worker {os.getpid()} takes {name}", flush=True)
    return name, int(np.argmax(values))

with ProcessPoolExecutor(max_workers=2) as pool:
    peaks = dict(pool.map(peak_hour, [(z, load[z].to_numpy()) for z in ZONES]))
peaks"""),
    same(r"""for zone in ZONES:
    share = (load[zone] > 1100).mean()
    if share > 0.04:
        log.warning("zone %s above 1100 MW in %.1f %% of the hours", zone, 100 * share)
    else:
        print(f"zone {zone} fine")"""),
    same(r"""t0 = time.perf_counter()
corr = load.corr()
elapsed = time.perf_counter() - t0
print(f"{corr.size} correlations in {elapsed * 1e3:.2f} ms ({corr.size / elapsed:,.0f}/s)")
print("strongest pair:", corr.where(np.triu(np.ones(corr.shape, bool), 1)).stack().abs().idxmax())"""),
    same(r"""def broken(zone):
    raise RuntimeError(f"pid {os.getpid()}: no licence for zone {zone}")

with ProcessPoolExecutor(max_workers=1) as pool:
    pool.submit(broken, "FI").result()"""),
    same(r"""threading.current_thread(), threading.Lock()"""),
]))

_r = random.Random(8)
PATIENTS = rows("patient,ward,admitted,days,bmi", [
    (1000 + i, _r.choice(["A", "B", "C"]), day, _r.randint(1, 14), round(_r.gauss(26, 4), 1))
    for i, day in enumerate(days(3, 120))])

BLIND.append(Case("k-health-admissions-etl", [
    same(r"""import os, sqlite3, subprocess, sys, tempfile
from pathlib import Path
import pandas as pd
import matplotlib.pyplot as plt
root = Path.cwd()
print("working in", root)
print("started by process", os.getpid())"""),
    same(r"""!wc -l admissions.csv
!head -n 3 admissions.csv"""),
    same(r"""!pwd
!date"""),
    same(r"""staging = Path(tempfile.mkdtemp(prefix="admissions_"))
frame = pd.read_csv(root / "admissions.csv", parse_dates=["admitted"])
for ward, part in frame.groupby("ward"):
    target = staging / f"ward_{ward}.csv"
    part.to_csv(target, index=False)
    print(f"{len(part):4d} rows -> {target}")"""),
    same(r"""con = sqlite3.connect(staging / "hospital.db")
frame.to_sql("admissions", con, index=False)
con"""),
    same(r"""pd.read_sql("select ward, count(*) n, round(avg(days), 2) stay, round(avg(bmi), 1) bmi from admissions group by ward", con)"""),
    same(r"""pd.read_csv(staging / "ward_D.csv")"""),
    same(r"""done = subprocess.run([sys.executable, "-c", "import os; print('child', os.getpid(), 'of', os.getppid(), 'in', os.getcwd())"],
                      capture_output=True, text=True)
print(done.stdout.strip(), "| return code", done.returncode)"""),
    same(r"""monthly = frame.groupby(frame.admitted.dt.to_period("M"))["days"].agg(["size", "mean"])
monthly["mean"].plot.bar(color="steelblue", ylabel="mean stay (days)", figsize=(5, 3))
plt.tight_layout()
monthly.round(2)"""),
    same(r"""import shutil
con.close()
shutil.rmtree(staging)
staging.exists()"""),
], files={"admissions.csv": PATIENTS}, moved=True))

BLIND.append(Case("k-bikeshare-widgets", [
    same(r"""import sys, time
import numpy as np
import pandas as pd
import ipywidgets as widgets
import matplotlib.pyplot as plt
from IPython.display import display, clear_output
from tqdm.auto import tqdm
%matplotlib inline"""),
    same(r"""rng = np.random.default_rng(77)
trips = pd.DataFrame({
    "start": pd.Timestamp("2024-06-03") + pd.to_timedelta(np.sort(rng.integers(0, 7 * 24 * 60, 1500)), unit="m"),
    "minutes": rng.lognormal(2.4, 0.6, 1500).round(1),
    "dock": rng.choice(["Harbour", "Station", "Campus", "Market"], 1500, p=[0.3, 0.35, 0.2, 0.15]),
})
trips.groupby("dock")["minutes"].describe().round(2)"""),
    same(r"""dock = widgets.Dropdown(options=sorted(trips.dock.unique()), description="Dock")
limit = widgets.IntSlider(value=30, min=5, max=90, description="Minutes")
widgets.VBox([dock, limit])"""),
    same(r"""out = widgets.Output()
display(out)
with out:
    print("long trips:", (trips.minutes > limit.value).sum())"""),
    same(r"""days = sorted(trips.start.dt.date.unique())
for i, day in enumerate(days, 1):
    n = (trips.start.dt.date == day).sum()
    sys.stdout.write(f"\rday {i}/{len(days)}: {n} trips   ")
    sys.stdout.flush()
    time.sleep(0.03)
print()"""),
    same(r"""matrix = np.zeros((7, 24), int)
for _, trip in tqdm(trips.iterrows(), total=len(trips), desc="binning"):
    matrix[trip.start.dayofweek, trip.start.hour] += 1
matrix.sum(axis=1)"""),
    same(r"""fig, ax = plt.subplots(figsize=(7, 2.4))
im = ax.imshow(matrix, aspect="auto", cmap="viridis")
fig.colorbar(im, ax=ax, label="trips")
ax.set(xlabel="hour", ylabel="weekday");"""),
    same(r"""@widgets.interact(hour=widgets.IntSlider(value=8, min=0, max=23))
def busiest(hour):
    print("weekday", matrix[:, hour].argmax(), "with", matrix[:, hour].max(), "trips at", hour)"""),
    same(r"""busiest"""),
    same(r"""limit, hex(id(limit))"""),
]))

BLIND.append(Case("k-sea-surface-xarray", [
    same(r"""import numpy as np
import pandas as pd
import xarray as xr
import matplotlib.pyplot as plt
rng = np.random.default_rng(40)
time = pd.date_range("2000-01-01", periods=120, freq="MS")
lat, lon = np.arange(50, 60, 2.5), np.arange(-10, 5, 2.5)
season = 3 * np.cos((time.month.to_numpy() - 8) / 12 * 2 * np.pi)
sst = 11 + season[:, None, None] - 0.3 * (lat - 55)[None, :, None] + rng.normal(0, 0.4, (120, len(lat), len(lon)))
sst.shape"""),
    same(r"""ds = xr.Dataset({"sst": (("time", "lat", "lon"), sst, {"units": "degC"})}, coords={"time": time, "lat": lat, "lon": lon},
                attrs={"title": "synthetic SST", "history": f"{pd.Timestamp.now():%Y-%m-%dT%H:%M:%S} created by notebook"})
ds"""),
    same(r"""clim = ds.sst.groupby("time.month").mean()
anomaly = ds.sst.groupby("time.month") - clim
anomaly.mean(("lat", "lon")).to_series().resample("YE").mean().round(4)"""),
    same(r"""clim.mean("lon")"""),
    same(r"""%timeit -n 5 -r 3 ds.sst.mean("time")"""),
    same(r"""%%time
trend = anomaly.polyfit("time", deg=1).polyfit_coefficients.sel(degree=1) * 1e9 * 86400 * 3652.5
print(f"warming per decade: {float(trend.mean()):.3f} K")"""),
    same(r"""clim.sel(lat=55).plot.line(x="month", figsize=(6, 3), add_legend=False)
plt.title("Climatology at 55°N")
plt.show()"""),
    same(r"""ds.sst.sel(time="2011-05")"""),
    varies(r"""noisy = ds.sst.isel(time=0) + np.random.standard_normal((len(lat), len(lon))) * 0.2
noisy.mean()"""),
]))

BLIND.append(Case("k-churn-pipeline", [
    same(r"""import warnings
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
rng = np.random.RandomState(3)
n = 600
customers = pd.DataFrame({"tenure": rng.exponential(24, n).round(0), "bill": rng.normal(55, 15, n).round(2),
                          "plan": rng.choice(["basic", "family", "business"], n)})
logit = 0.4 - 0.06 * customers.tenure + 0.02 * (customers.bill - 55) + (customers.plan == "basic") * 0.8
customers["churn"] = rng.uniform(size=n) < 1 / (1 + np.exp(-logit))
customers.churn.value_counts(normalize=True).round(3)"""),
    same(r"""prep = ColumnTransformer([("num", StandardScaler(), ["tenure", "bill"]), ("cat", OneHotEncoder(), ["plan"])])
model = make_pipeline(prep, LogisticRegression())
model"""),
    same(r"""%%time
scores = cross_val_score(model, customers.drop(columns="churn"), customers.churn, cv=5, scoring="roc_auc")
print("AUC per fold", scores.round(3), "mean", scores.mean().round(3))"""),
    varies(r"""X_train, X_test, y_train, y_test = train_test_split(customers.drop(columns="churn"), customers.churn, test_size=0.25)
model.fit(X_train, y_train)
print("hold-out AUC: %.6f" % roc_auc_score(y_test, model.predict_proba(X_test)[:, 1]))
X_test.head(4)"""),
    varies(r"""forest = make_pipeline(prep, RandomForestClassifier(n_estimators=40))
forest.fit(customers.drop(columns="churn"), customers.churn)
pd.Series(forest[-1].feature_importances_, forest[0].get_feature_names_out())"""),
    same(r"""from rich.console import Console
from rich.table import Table
table = Table(title="Churn by plan")
for column in ("plan", "customers", "churned"):
    table.add_column(column)
for plan, part in customers.groupby("plan"):
    table.add_row(plan, str(len(part)), f"{part.churn.mean():.1%}")
Console(width=60).print(table)"""),
    same(r"""tiny = LogisticRegression(max_iter=3)
tiny.fit(customers[["tenure", "bill"]], customers.churn)
print("iterations:", tiny.n_iter_)"""),
    same(r"""LogisticRegression().fit(customers[["tenure", "plan"]], customers.churn)"""),
    same(r"""scorer = lambda est, X, y: est.score(X, y)
print(scorer)
customers.groupby("plan").tenure"""),
]))

# ---------------------------------------------------------------------------------------------------- data

_r = random.Random(21)
AIR = rows("date,station,pm25,no2", [
    (day, station, round(base + _r.gauss(0, 3), 1), round(_r.uniform(10, 50), 1))
    for day in days(1, 59) for station, base in (("Kirkeveien", 14.0), ("Manglerud", 17.0), ("Sofienberg", 11.0))])
_line = next(one for one in AIR.splitlines() if one.startswith("2023-02-09,Manglerud"))
_new = _line.split(",")
_new[2] = "61.3"  # instead of about 17
AIR2 = once(AIR, _line, ",".join(_new))

BLIND.append(Case("k-air-quality-exceedance", [
    same(r"""import pandas as pd
import seaborn as sns
import matplotlib.pyplot as plt
from datetime import date
air = pd.read_csv("air.csv", parse_dates=["date"])
print(f"{len(air)} measurements read on {date.today()}")
air.head()"""),
    same(r"""stations = {name for name in air.station}
print("stations:", stations)
air.dtypes"""),
    differs(r"""air.groupby("station")["pm25"].agg(["mean", "max"]).round(3)""", "data"),
    same(r"""air.groupby("station")["no2"].mean().round(2).to_dict()"""),
    differs(r"""%%time
daily = air.pivot(index="date", columns="station", values="pm25")
exceeded = daily[daily > 20].stack()
print(len(exceeded), "exceedances of the daily limit")
print(exceeded)""", "data"),
    differs(r"""worst = exceeded.idxmax()
print("worst day and station:", worst[0].date(), worst[1])""", "downstream"),
    same(r"""monthly_median = air.groupby([air.date.dt.month, "station"])["pm25"].median().unstack()
monthly_median.loc[1].round(1)"""),
    differs(r"""fig, ax = plt.subplots(figsize=(7, 3))
sns.lineplot(data=air, x="date", y="pm25", hue="station", ax=ax)
ax.axhline(20, color="red", lw=0.8)
plt.show()""", "data"),
    same(r"""air[["Kirkeveien"]]"""),
], files={"air.csv": AIR}, data={"air.csv": AIR2}))

_r = random.Random(34)
ORDERS = rows("order_id,customer,country,amount,returned", [
    (5000 + i, f"C{_r.randint(1, 40):02d}", _r.choice(["DE", "FR", "NL", "PL"]), round(_r.uniform(15, 320), 2), _r.choice([0, 0, 0, 0, 1]))
    for i in range(160)])
_gone = ORDERS.splitlines()[98]
assert _gone.split(",")[2] != "PL"
ORDERS2 = once(ORDERS, _gone + "\n", "")

BLIND.append(Case("k-webshop-orders-rfm", [
    same(r"""import logging
import sys
import numpy as np
import pandas as pd
import plotly.graph_objects as go
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True)
pd.set_option("display.width", 120)
print(pd.__version__)"""),
    differs(r"""orders = pd.read_csv("orders.csv")
logging.info("read %d orders", len(orders))
orders.tail(3)""", "data"),
    same(r"""orders[orders.country == "PL"].amount.describe().round(2)"""),
    differs(r"""per_country = orders.groupby("country").agg(n=("order_id", "size"), revenue=("amount", "sum"), returns=("returned", "mean"))
per_country.style.format({"revenue": "{:,.2f} €", "returns": "{:.2%}"}).bar(subset=["n"], color="#9ecae1")""", "downstream"),
    same(r"""print("countries shipped to:", set(orders.country))
orders.columns.tolist()"""),
    differs(r"""fig = go.Figure(go.Bar(x=per_country.index.tolist(), y=per_country.revenue.round(2).tolist()))
fig.update_layout(title="Revenue by country", height=300)
fig.show()""", "downstream"),
    same(r"""assert orders.order_id.is_unique and (orders.amount > 0).all()
logging.info("checks passed")"""),
    differs(r"""per_customer = orders.groupby("customer").amount.agg(["count", "sum"])
per_customer["segment"] = pd.cut(per_customer["sum"], [0, 300, 700, np.inf], labels=["bronze", "silver", "gold"])
print(per_customer["count"].mean(), per_customer["sum"].mean())""", "downstream"),
], files={"orders.csv": ORDERS}, data={"orders.csv": ORDERS2}))

_r = random.Random(55)
WAITS = rows("referral,clinic,referred,seen", [
    (f"W{i:04d}", _r.choice(["cardiology", "orthopaedics", "dermatology"]), f"2023-0{_r.randint(1, 3)}-{_r.randint(10, 28)}",
     f"2023-0{_r.randint(4, 6)}-{_r.randint(10, 28)}") for i in range(90)])
_line = next(one for one in WAITS.splitlines()[20:] if ",cardiology," in one and one.split(",")[3][5:7] == "05")
WAITS2 = once(WAITS, _line, ",".join(_line.split(",")[:3] + [_line.split(",")[3].replace("-05-", "-08-")]))

BLIND.append(Case("k-clinic-waiting-times", [
    same(r"""import io, os
import pandas as pd
import numpy as np
import altair as alt
import statsmodels.formula.api as smf
waits = pd.read_csv("waits.csv", parse_dates=["referred", "seen"])
waits.sample(4, random_state=2)[["referral", "clinic"]]"""),
    same(r"""print(os.path.abspath("waits.csv"))
waits.isna().sum()"""),
    same(r"""waits.groupby("clinic").size()"""),
    differs(r"""waits["days"] = (waits.seen - waits.referred).dt.days
print(f"mean wait {waits.days.mean():.2f} days, longest {waits.days.max()}")
waits.nlargest(3, "days")""", "data"),
    same(r"""waits.loc[waits.clinic == "dermatology", "days"].quantile([0.5, 0.9])"""),
    differs(r"""fit = smf.ols("days ~ C(clinic)", data=waits).fit()
fit.summary()""", "downstream"),
    same(r"""by_month = waits.groupby(waits.referred.dt.strftime("%b"), sort=False).referral.count()
print(by_month.sort_index().to_markdown())"""),
    differs(r"""alt.Chart(waits[["clinic", "days"]]).mark_boxplot().encode(x="clinic:N", y="days:Q").properties(width=240)""", "downstream"),
    same(r"""target = 126
late_derma = waits.query("clinic == 'dermatology' and days > @target")
late_derma.referral.tolist()"""),
], files={"waits.csv": WAITS}, data={"waits.csv": WAITS2}))

# ---------------------------------------------------------------------------------------------------- patch

BLIND.append(Case("k-bus-network-hubs", [
    same(r"""import networkx as nx
import pandas as pd
import matplotlib.pyplot as plt
lines = {
    "1": ["Harbour", "Square", "Station", "Hospital", "Airport"],
    "2": ["Campus", "Square", "Museum", "Station", "Stadium"],
    "3": ["Zoo", "Museum", "Harbour"],
    "4": ["Airport", "Mall", "Station", "Campus"],
}
G = nx.DiGraph()
for line, stops in lines.items():
    nx.add_path(G, stops, line=line)
print(G)
G"""),
    same(r"""stops = {stop for stops in lines.values() for stop in stops}
stops"""),
    same(r"""dict(sorted(nx.degree_centrality(G).items(), key=lambda kv: (-kv[1], kv[0])))"""),
    differs(r"""%%time
rank = pd.Series(nx.pagerank(G)).sort_values(ascending=False)
print(rank.round(4).to_string())""", "library"),
    same(r"""nx.shortest_path(G, "Campus", "Airport")"""),
    differs(r"""fig, ax = plt.subplots(figsize=(6, 3))
rank.sort_index().plot.barh(ax=ax, color="teal")
ax.set_xlabel("PageRank")
plt.tight_layout()""", "downstream"),
    differs(r"""share = rank.head(3).sum() / rank.sum()
print(f"the three biggest hubs hold {share:.1%} of the rank")""", "downstream"),
    same(r"""nx.shortest_path(G, "Stadium", "Zoo")"""),
    same(r"""pos = nx.circular_layout(G)
nx.draw(G, pos, with_labels=True, node_color="lightgrey", font_size=8)"""),
], patch=("networkx/algorithms/link_analysis/pagerank_alg.py", "def pagerank(\n    G,\n    alpha=0.85,", "def pagerank(\n    G,\n    alpha=0.65,")))

PATCH2 = ("pandas/core/methods/describe.py", "return np.array([0.25, 0.5, 0.75])", "return np.array([0.2, 0.5, 0.8])")
_r = random.Random(90)
METERS = rows("meter,month,kwh", [(f"M{m:02d}", month, round(_r.gauss(300 + 60 * math.cos(month / 12 * 6.28), 40), 1))
                                  for m in range(12) for month in range(1, 13)])
BLIND.append(Case("k-household-meter-summary", [
    same(r"""import time
import pandas as pd
import seaborn as sns
from rich import print as rprint
meters = pd.read_csv("meters.csv")
started = time.time()
rprint({"rows": len(meters), "meters": meters.meter.nunique()})"""),
    differs(r"""meters["kwh"].describe().round(2)""", "library"),
    same(r"""meters.groupby("month")["kwh"].quantile([0.25, 0.75]).unstack().round(1).head(4)"""),
    differs(r"""summary = meters[meters.month.isin([1, 7])].groupby("month")["kwh"].describe()
summary.style.format("{:.1f}").set_caption("January and July")""", "library"),
    differs(r"""spread = summary.iloc[:, 6] - summary.iloc[:, 4]
print("interquartile range:", spread.round(2).to_dict())""", "downstream"),
    same(r"""ax = sns.boxplot(data=meters, x="month", y="kwh", color="lightblue")
ax.set_title("Consumption");"""),
    same(r"""print(f"{time.time() - started:.1f} s since loading")
meters.meter.describe()"""),
    same(r"""meters.pivot(index="meter", columns="month", values="kwh").sum(axis=1).nlargest(3).round(1)"""),
], files={"meters.csv": METERS}, patch=PATCH2))

PATCH3 = ("sklearn/metrics/_regression.py", "mape = xp.abs(y_pred - y_true) / xp.maximum(y_true_abs, epsilon)",
          "mape = xp.abs(y_pred - y_true) / xp.maximum((y_true_abs + xp.abs(y_pred)) / 2, epsilon)")
BLIND.append(Case("k-demand-forecast-metrics", [
    same(r"""import logging, sys
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import mean_absolute_error, mean_absolute_percentage_error, r2_score
from sklearn.model_selection import TimeSeriesSplit
logging.basicConfig(level=logging.INFO, format="%(process)d %(message)s", force=True)
rng = np.random.default_rng(12)
index = pd.date_range("2022-01-03", periods=400, freq="D")
demand = pd.Series(500 + 80 * np.sin(np.arange(400) / 58) - 90 * (index.dayofweek >= 5) + rng.normal(0, 20, 400), index, name="MWh")
demand.head(3).round(2)"""),
    same(r"""features = pd.DataFrame({"lag1": demand.shift(1), "lag7": demand.shift(7), "weekend": (demand.index.dayofweek >= 5).astype(int)}).dropna()
target = demand[features.index]
features.shape"""),
    same(r"""%%time
ridge = Ridge().fit(features[:300], target[:300])
forecast = pd.Series(ridge.predict(features[300:]), features.index[300:])
print("R2 %.3f" % r2_score(target[300:], forecast))"""),
    differs(r"""print("MAE  %.3f" % mean_absolute_error(target[300:], forecast))
print("MAPE %.4f" % mean_absolute_percentage_error(target[300:], forecast))""", "library"),
    same(r"""ridge"""),
    differs(r"""scores = []
for fold, (fit, test) in enumerate(TimeSeriesSplit(4).split(features)):
    model = Ridge().fit(features.iloc[fit], target.iloc[fit])
    scores.append(mean_absolute_percentage_error(target.iloc[test], model.predict(features.iloc[test])))
    logging.info("fold %d MAPE %.4f", fold, scores[-1])""", "library"),
    differs(r"""print("decision:", "deploy" if np.mean(scores) < 0.055 else "keep the old model", np.round(np.mean(scores), 5))""", "downstream"),
    same(r"""residuals = target[300:] - forecast
residuals.plot(figsize=(6, 2.4), title="Residuals");"""),
    same(r"""boost = GradientBoostingRegressor(random_state=0, n_estimators=60).fit(features[:300], target[:300])
pd.Series(boost.feature_importances_, features.columns).round(3)"""),
], patch=PATCH3))

# ---------------------------------------------------------------------------------------------------- upgrade

BLIND.append(Case("k-branch-ledger-tables", [
    same(r"""import pandas as pd
import tabulate as tabulate_module
from tabulate import tabulate
from datetime import datetime
ledger = pd.DataFrame({"branch": ["Ghent", "Bruges", "Liège", "Namur"], "income": [120500.5, 98111.25, 143020.0, 60213.75],
                       "cost": [100010.0, 99000.5, 120000.0, 58213.0], "code": ["0012", "0470", "1e3", "77"]})
print("books opened", datetime.now())
ledger"""),
    differs(r"""print("tabulate", tabulate_module.__version__)""", "library"),
    same(r"""ledger["profit"] = ledger.income - ledger.cost
ledger.sort_values("profit", ascending=False).reset_index(drop=True)"""),
    same(r"""print(tabulate(ledger[["branch", "profit"]], headers="keys", tablefmt="psql", floatfmt=".2f", showindex=False))"""),
    differs(r"""print(tabulate(ledger[["branch", "cost", "code"]], headers="keys", tablefmt="outline", disable_numparse=[3]))""", "library"),
    same(r"""print(tabulate([["Ghent", 3], ["Namur", 12]], headers=["branch", "staff"], tablefmt="pipe"))
print("table object", hex(id(tabulate)))"""),
    differs(r"""for start in range(0, len(ledger), 2):
    part = ledger.iloc[start:start + 2]
    print(tabulate(list(zip(part.branch, part.income.astype(int))), headers=["branch", "income"], intfmt=",", tablefmt="rst"))""", "library"),
    same(r"""ledger.plot.scatter(x="income", y="cost", figsize=(4, 3), title="Branches");"""),
    same(r"""margin = (ledger.profit / ledger.income).rename(ledger.branch)
print({branch: f"{value:.1%}" for branch, value in margin.items()})"""),
], upgrade=("tabulate==0.10.0", "tabulate==0.8.10")))

_r = random.Random(70)
PENGUIN = rows("product,region,channel,revenue", [(p, g, c, round(_r.gammavariate(4, 30), 2)) for p in ("tea", "coffee", "cocoa")
                                                  for g in ("north", "south") for c in ("shop", "web") for _ in range(12)])
BLIND.append(Case("k-beverage-sales-seaborn", [
    same(r"""import os
import pandas as pd
import seaborn as sns
import matplotlib.pyplot as plt
sales = pd.read_csv("beverages.csv")
print("directory", os.getcwd())
sales.groupby(["product", "region"]).revenue.mean().unstack().round(2)"""),
    same(r"""sales.revenue.plot.hist(bins=20, figsize=(4, 2.5), color="olive");"""),
    differs(r"""ax = sns.barplot(data=sales, x="product", y="revenue", errorbar=None)
print("bar colours:", len({bar.get_facecolor() for bar in ax.patches}))""", "library"),
    same(r"""%%time
table = sales.pivot_table(index="product", columns="channel", values="revenue", aggfunc=["mean", "count"])
print(table.round(1))"""),
    differs(r"""fig, ax = plt.subplots(figsize=(5, 3))
sns.boxplot(data=sales, x="region", y="revenue", ax=ax)
ax.set_title("Revenue by region")
plt.show()""", "library"),
    same(r"""regions = set(sales.region) | set(sales.channel)
regions"""),
    differs(r"""print("made with seaborn", sns.__version__, "in process", os.getpid())""", "library"),
    same(r"""top = sales.nlargest(5, "revenue")
top.style.hide(axis="index").format({"revenue": "{:.0f}"})"""),
], files={"beverages.csv": PENGUIN}, upgrade=("seaborn==0.13.2", "seaborn==0.12.2")))

BLIND.append(Case("k-solar-park-plotly", [
    same(r"""import numpy as np
import pandas as pd
import plotly
import plotly.express as px
import plotly.graph_objects as go
rng = np.random.default_rng(31)
solar = pd.DataFrame({"hour": np.tile(np.arange(6, 20), 3), "park": np.repeat(["Alba", "Borja", "Cadiz"], 14)})
solar["mw"] = (40 * np.sin((solar.hour - 6) / 13 * np.pi) * rng.uniform(0.7, 1.0, len(solar))).round(2)
solar.groupby("park").mw.agg(["max", "sum"])"""),
    differs(r"""print("plotly", plotly.__version__)""", "library"),
    differs(r"""fig = px.area(solar, x="hour", y="mw", color="park", title="Production")
fig.show()""", "library"),
    same(r"""import time
t = time.time()
capacity = solar.mw.mean() / 40
print(f"capacity factor {capacity:.2%}  ({time.time() - t:.5f} s)")"""),
    differs(r"""trace = fig.to_dict()["data"][0]
type(trace["y"])""", "library", "downstream"),
    same(r"""solar.pivot(index="hour", columns="park", values="mw").loc[[9, 12, 15]]"""),
    same(r"""len(fig.data), [trace.name for trace in fig.data]"""),
    same(r"""solar.query("park == 'Borja'").mw.values.reshape(2, 8)"""),
], upgrade=("plotly==5.24.1", "plotly==6.0.1")))

# ---------------------------------------------------------------------------------------------------- environment

BLIND.append(Case("k-departures-local-time", [
    same(r"""import os, time
from datetime import datetime, timezone
import pandas as pd
events = pd.DataFrame({"train": ["R10", "R11", "L2", "R14"],
                       "epoch": [1711846800, 1711850400, 1711868700, 1711920600],
                       "delay": [2, 0, 11, 5]})
print("notebook started at", datetime.now(timezone.utc).isoformat())
events"""),
    same(r"""events["utc"] = pd.to_datetime(events.epoch, unit="s", utc=True)
events"""),
    differs(r"""events["local"] = [datetime.fromtimestamp(e).strftime("%Y-%m-%d %H:%M") for e in events.epoch]
events[["train", "local"]]""", "environment"),
    differs(r"""print("zone:", time.tzname)
print("clock now:", datetime.now().strftime("%H:%M"))""", "environment"),
    differs(r"""per_hour = events.groupby(events.local.str.slice(11, 13)).delay.mean()
per_hour""", "downstream"),
    same(r"""events.groupby(events.utc.dt.hour).delay.mean()"""),
    differs(r"""import matplotlib.pyplot as plt
per_hour.plot.bar(ylabel="mean delay (min)", xlabel="local hour", figsize=(4, 2.5), rot=0);""", "downstream"),
    same(r"""print("mean delay", events.delay.mean(), "| process", os.getpid())
round(events.delay.std(), 3)"""),
    differs(r"""print(time.strftime("first departure %a %d %b %H:%M %Z", time.localtime(int(events.epoch.iloc[0]))))""", "environment"),
], environment={"TZ": "Europe/Oslo"}, given={"TZ": "America/New_York"}))

_r = random.Random(101)
STORES = rows("store,month,net,currency", [(s, m, round(_r.uniform(800, 9000), 2), "EUR") for s in ("Lyon", "Lille", "Nice", "Brest") for m in range(1, 13)])
BLIND.append(Case("k-turnover-vat-setting", [
    same(r"""import os
import pandas as pd
import plotly.express as px
from tqdm import tqdm
turnover = pd.read_csv("turnover.csv")
turnover.head(3)"""),
    differs(r"""VAT = float(os.environ.get("REPORT_VAT", "0.20"))
print(f"VAT rate {VAT:.1%}; user home {os.path.expanduser('~')}")""", "environment"),
    same(r"""stores = set(turnover.store)
print(len(stores), stores)"""),
    differs(r"""turnover["gross"] = (turnover.net * (1 + VAT)).round(2)
turnover.groupby("store").gross.sum().round(2)""", "downstream"),
    same(r"""totals = {}
for store in tqdm(sorted(stores)):
    totals[store] = turnover.loc[turnover.store == store, "net"].sum().round(2)
totals"""),
    differs(r"""px.bar(turnover, x="month", y="gross", color="store", height=320)""", "downstream"),
    same(r"""ranking = turnover.groupby("store").gross.sum().rank(ascending=False).astype(int)
ranking"""),
    same(r"""turnover.pivot(index="month", columns="store", values="net").corr().round(2)"""),
    same(r"""turnover.loc[turnover.gross.idxmax(), ["store", "month"]]"""),
], files={"turnover.csv": STORES}, environment={"REPORT_VAT": "0.20"}, given={"REPORT_VAT": "0.21"}))

BLIND.append(Case("k-load-matrix-threads", [
    same(r"""import os
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_info
rng = np.random.default_rng(8)
profiles = rng.gamma(3, 100, size=(365, 96))
profiles.mean().round(3)"""),
    differs(r"""pools = pd.DataFrame(threadpool_info())[["user_api", "num_threads"]].drop_duplicates()
pools""", "environment"),
    same(r"""%%time
u, s, vt = np.linalg.svd(profiles - profiles.mean(axis=0), full_matrices=False)
print("explained by 5 components: %.4f" % ((s[:5] ** 2).sum() / (s ** 2).sum()))"""),
    differs(r"""workers = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))
parts = np.array_split(profiles, workers)
print([part.shape for part in parts])""", "environment"),
    differs(r"""for i, part in enumerate(parts):
    print(f"part {i}: peak quarter-hour {part.mean(axis=0).argmax()}, mean {part.mean():.3f} kW")""", "downstream"),
    same(r"""from sklearn.cluster import KMeans
labels = KMeans(4, n_init=3, random_state=1).fit_predict(profiles)
np.sort(np.bincount(labels))"""),
    same(r"""day = pd.Series(profiles.mean(axis=0), pd.timedelta_range(0, periods=96, freq="15min"))
day.index = day.index.total_seconds() / 3600
day.plot(figsize=(6, 2.5), xlabel="hour", ylabel="kW");"""),
    same(r"""profiles.reshape(12160 // 4, 9)"""),
], environment={"OMP_NUM_THREADS": "2"}, given={"OMP_NUM_THREADS": "1"}))

# ---------------------------------------------------------------------------------------------------- processors

_r = random.Random(64)
TAXI = rows("trip,zone,km,fare", [(i, _r.choice(["centre", "north", "airport"]), round(_r.uniform(0.6, 24), 2), round(_r.uniform(4, 70), 2)) for i in range(240)])
BLIND.append(Case("k-taxi-trips-chunked", [
    same(r"""import os, time
import numpy as np
import pandas as pd
from concurrent.futures import ThreadPoolExecutor
taxi = pd.read_csv("taxi.csv")
taxi.describe().round(2)"""),
    differs(r"""usable = len(os.sched_getaffinity(0))
print(f"pid {os.getpid()} may use {usable} processors")""", "machine"),
    differs(r"""chunks = np.array_split(np.arange(len(taxi)), usable)
[f"rows {c[0]}-{c[-1]}" for c in chunks]""", "downstream"),
    differs(r"""def median_fare(rows):
    time.sleep(0.01)
    return taxi.iloc[rows].fare.median()

with ThreadPoolExecutor(usable) as pool:
    medians = list(pool.map(median_fare, chunks))
print("median of medians: %.3f" % np.mean(medians), len(medians))""", "downstream"),
    same(r"""t0 = time.perf_counter()
exact = taxi.fare.median()
print(f"exact median {exact:.3f} ({(time.perf_counter() - t0) * 1e6:.0f} µs)")"""),
    same(r"""def total(rows):
    return taxi.iloc[rows].km.sum()
print("km in all: %.2f" % sum(map(total, chunks)))"""),
    same(r"""taxi.groupby("zone").apply(lambda g: (g.fare.sum() / g.km.sum()).round(3), include_groups=False)"""),
    same(r"""taxi.plot.hexbin(x="km", y="fare", gridsize=15, figsize=(5, 3), cmap="Blues");"""),
], files={"taxi.csv": TAXI}, cpus=1))

BLIND.append(Case("k-clinical-bootstrap-parallel", [
    same(r"""import logging, os
import numpy as np
import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(threadName)s %(message)s", force=True)
rng = np.random.default_rng(2020)
trial = pd.DataFrame({"arm": np.repeat(["placebo", "drug"], 80), "change": np.r_[rng.normal(-1.0, 4, 80), rng.normal(-3.1, 4, 80)].round(2)})
trial.groupby("arm").change.agg(["mean", "std"]).round(3)"""),
    same(r"""from scipy import stats
a, b = (trial.loc[trial.arm == arm, "change"] for arm in ("drug", "placebo"))
stats.ttest_ind(a, b, equal_var=False)"""),
    differs(r"""n_workers = len(os.sched_getaffinity(0))
logging.info("bootstrapping with %d workers", n_workers)""", "machine"),
    differs(r"""def replicate(seed, n):
    r = np.random.default_rng(seed)
    return [r.choice(a, len(a)).mean() - r.choice(b, len(b)).mean() for _ in range(n)]

draws = np.concatenate(Parallel(n_jobs=n_workers, prefer="machine")(
    delayed(replicate)(seed, 1000 // n_workers) for seed in range(n_workers)))
print("difference %.4f, 95%% interval [%.4f, %.4f]" % (draws.mean(), *np.percentile(draws, [2.5, 97.5])))""", "downstream"),
    differs(r"""import matplotlib.pyplot as plt
plt.figure(figsize=(5, 2.5))
plt.hist(draws, bins=40, color="grey")
plt.axvline(0, color="k")
plt.show()""", "downstream"),
    same(r"""print("replicates:", draws.size, "| significant:", bool(np.percentile(draws, 97.5) < 0))"""),
    differs(r"""print("joblib would start", effective_n_jobs(-1), "workers at", id(draws))""", "machine"),
    same(r"""trial.assign(better=trial.change < -2).pivot_table(index="arm", values="better", aggfunc="mean").round(3)"""),
], cpus=1))

# ---------------------------------------------------------------------------------------------------- order

BLIND.append(Case("k-price-list-adjustments", [
    same(r"""import pandas as pd
import numpy as np
from datetime import datetime
prices = pd.DataFrame({"sku": ["A1", "A2", "B1", "B7", "C3"], "price": [19.9, 45.0, 7.5, 120.0, 64.0], "stock": [14, 0, 220, 3, 41]})
prices"""),
    differs(r"""# inflation adjustment
prices["price"] = (prices.price * 1.06).round(2)
print("adjusted", datetime.now().isoformat(timespec="seconds"))
prices""", "order", "downstream"),
    differs(r"""# flat energy surcharge
prices["price"] = prices.price + 1.5
prices""", "order"),
    same(r"""prices.stock.sum(), set(prices.sku)"""),
    differs(r"""print(f"stock value: {(prices.price * prices.stock).sum():,.2f}")
prices.price.describe().round(3)""", "order", "downstream"),
    same(r"""prices.loc[prices.stock < 5, "sku"].tolist()"""),
    differs(r"""prices.plot.bar(x="sku", y="price", legend=False, figsize=(4, 2.5), color="salmon");""", "order", "downstream"),
    same(r"""prices.style.hide(axis="index").hide(["price"], axis="columns")"""),
], order=[0, 2, 1, 3, 4, 5, 6, 7]))

_r = random.Random(47)
RAIN = rows("day,mm,temp", [(day, "" if i in (7, 23, 24) else (48.5 if i == 15 else round(max(0, _r.gauss(3, 3)), 1)), round(_r.gauss(6, 3), 1)) for i, day in enumerate(days(4, 61))])
BLIND.append(Case("k-rainfall-cleaning", [
    same(r"""import warnings
import pandas as pd
import statsmodels.api as sm
import matplotlib.pyplot as plt
rain = pd.read_csv("rain.csv", parse_dates=["day"], index_col="day")
rain.shape"""),
    same(r"""%%time
print("temperature by month")
print(rain.temp.groupby(rain.index.month).mean().round(2))"""),
    differs(r"""print("missing:", rain.mm.isna().sum())
rain["mm"] = rain.mm.fillna(rain.mm.mean())
print(f"mean after filling {rain.mm.mean():.4f}")""", "order", "downstream"),
    same(r"""warnings.warn("rain gauge was moved on 12 May")
rain.temp.idxmin()"""),
    differs(r"""limit = rain.mm.mean() + 3 * rain.mm.std()
outliers = rain.index[rain.mm > limit]
rain = rain.drop(outliers)
print(f"limit {limit:.4f} mm, dropped {len(outliers)}")""", "order"),
    differs(r"""rain.mm.resample("W").sum().round(3).head()""", "order", "downstream"),
    differs(r"""fit = sm.OLS(rain.mm, sm.add_constant(rain.temp)).fit()
print(fit.params.round(5))""", "order", "downstream"),
    same(r"""print(len(rain), "days kept; index is", type(rain.index).__name__)"""),
    same(r"""rain.temp.rolling(7).mean().plot(figsize=(6, 2.5), ylabel="°C", title="Temperature, 7-day mean");"""),
], files={"rain.csv": RAIN}, order=[0, 1, 4, 3, 2, 5, 6, 7, 8]))

# ---------------------------------------------------------------------------------------------------- edited

BLIND.append(Case("k-turbine-fault-classifier", [
    same(r"""import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from sklearn.model_selection import train_test_split
X, y = make_classification(n_samples=400, n_features=6, n_informative=4, flip_y=0.12, random_state=17)
sensors = pd.DataFrame(X, columns=["vibration", "temp_gen", "temp_oil", "rpm", "pitch", "power"]).assign(fault=y)
sensors.head(3).round(3)"""),
    differs(r"""SEED = 42
train, test = train_test_split(sensors, test_size=0.3, random_state=SEED)
print(train.shape, test.shape)
test.index[:8].tolist()""", "code", "seed"),
    same(r"""sensors.corr().round(2)"""),
    differs(r"""%%time
forest = RandomForestClassifier(n_estimators=60, random_state=SEED).fit(train.drop(columns="fault"), train.fault)
print("accuracy %.4f" % forest.score(test.drop(columns="fault"), test.fault))""", "downstream", "seed"),
    same(r"""forest.get_params()["n_estimators"], len(forest.estimators_), sensors.fault.value_counts().to_dict()"""),
    differs(r"""print(classification_report(test.fault, forest.predict(test.drop(columns="fault")), digits=4))""", "downstream"),
    differs(r"""ConfusionMatrixDisplay.from_estimator(forest, test.drop(columns="fault"), test.fault, cmap="Blues");""", "downstream"),
    same(r"""forest.predict(test)"""),
    differs(r"""importance = pd.Series(forest.feature_importances_, train.columns[:-1]).sort_values(ascending=False)
importance.round(4).to_frame("importance").style.bar(color="#fdae6b")""", "downstream"),
], edited={1: r"""SEED = 43
train, test = train_test_split(sensors, test_size=0.3, random_state=SEED)
print(train.shape, test.shape)
test.index[:8].tolist()"""}))

_r = random.Random(29)
BUSES = rows("line,stop,delay_s", [(_r.choice([12, 17, 21, 30]), _r.choice(["Opera", "Zoo", "Dock", "Mill"]), int(_r.expovariate(1 / 150))) for _ in range(300)])
BLIND.append(Case("k-bus-punctuality-threshold", [
    same(r"""import sys
import pandas as pd
import altair as alt
import seaborn as sns
buses = pd.read_csv("buses.csv")
print(buses.head(3).to_string(), file=sys.stderr)
print("loaded", len(buses))"""),
    same(r"""buses.groupby("line").delay_s.agg(["count", "median", "max"])"""),
    same(r"""LATE_AFTER = 180  # seconds"""),
    differs(r"""buses["late"] = buses.delay_s > LATE_AFTER
print(f"late: {buses.late.mean():.2%}")
by_line = buses.groupby("line").late.mean().sort_values()
by_line""", "downstream"),
    same(r"""seen = set(buses.stop)
print(seen)
buses.delay_s.sum() // 60"""),
    differs(r"""alt.Chart(by_line.reset_index()).mark_bar().encode(x="line:O", y="late:Q").properties(height=150)""", "downstream"),
    differs(r"""heat = buses.pivot_table(index="stop", columns="line", values="late", aggfunc="mean")
sns.heatmap(heat, annot=True, fmt=".2f");""", "downstream"),
    same(r"""sns.histplot(buses, x="delay_s", bins=30).set_title(f"{len(buses)} stops");"""),
    same(r"""%timeit -n 3 -r 2 buses.groupby("stop").delay_s.mean()"""),
], files={"buses.csv": BUSES}, edited={2: r"""LATE_AFTER = 240  # seconds"""}))

BLIND.append(Case("k-gas-price-smoothing", [
    same(r"""import warnings
import numpy as np
import pandas as pd
import statsmodels.api as sm
from statsmodels.tsa.holtwinters import SimpleExpSmoothing
from IPython.display import Markdown, display
gas = pd.Series(30 + np.cumsum(np.random.default_rng(6).normal(0, 1.2, 80)), pd.date_range("2023-01-01", periods=80, freq="W"), name="EUR/MWh")
display(Markdown(f"**{len(gas)} weeks**, updated {pd.Timestamp.now():%d.%m.%Y %H:%M}"))"""),
    same(r"""gas.agg(["min", "max", "mean"]).round(2)"""),
    differs(r"""level = 0.3
fit = SimpleExpSmoothing(gas, initialization_method="estimated").fit(smoothing_level=level, optimized=False)
print("next week: %.3f" % fit.forecast(1).iloc[0])""", "code"),
    differs(r"""smooth = fit.fittedvalues
pd.DataFrame({"price": gas, "smooth": smooth}).tail(4).round(2)""", "downstream"),
    same(r"""fit"""),
    differs(r"""ax = gas.plot(figsize=(6, 2.6), alpha=0.5)
smooth.plot(ax=ax, label=f"smoothed ({level})")
ax.legend();""", "downstream"),
    same(r"""sm.tsa.acf(gas, nlags=5).round(3)"""),
    differs(r"""print(f"in-sample RMSE {np.sqrt(((gas - smooth) ** 2).mean()):.4f}")""", "downstream"),
    varies(r"""paths = gas.iloc[-1] + np.random.normal(0, gas.diff().std(), (200, 8)).cumsum(axis=1)
print("simulated 90 % band after 8 weeks:", np.percentile(paths[:, -1], [5, 95]))"""),
    same(r"""gas.to_frame().query("price > 30")"""),
], edited={2: r"""level = 0.6
fit = SimpleExpSmoothing(gas, initialization_method="estimated").fit(smoothing_level=level, optimized=False)
print("next week: %.3f" % fit.forecast(1).iloc[0])"""}))
