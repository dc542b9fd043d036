"""The seventh blind set: analysts and people who train models.

Written by someone who had seen neither the rules nor the other cases, asked for notebooks as people write them. Every truth was
decided from what the cell does, then checked in a plain kernel before and after its change. README has its figures at first sight. Rules were mended by some of these since.
"""

import json
import random
import sys
from pathlib import Path

from truth import Case, Cell, differs, same, varies  # noqa: F401


def penguins(n=150, seed=11):
    r = random.Random(seed)
    out = ["species,island,bill_mm,flipper_mm,mass_g,sex"]
    for _ in range(n):
        s = r.choice(["Adelie", "Gentoo", "Chinstrap"])
        base = {"Adelie": (38.8, 190, 3700), "Gentoo": (47.5, 217, 5080), "Chinstrap": (48.8, 196, 3730)}[s]
        isl = r.choice(["Biscoe", "Dream", "Torgersen"])
        mass = "" if r.random() < 0.04 else str(round(r.gauss(base[2], 350) / 25) * 25)
        out.append(f"{s},{isl},{r.gauss(base[0], 2.7):.1f},{r.gauss(base[1], 6.5):.0f},{mass},{r.choice(['male', 'female'])}")
    return "\n".join(out) + "\n"


def churn(n=300, seed=5):
    r = random.Random(seed)
    out = ["customer_id,tenure,monthly,contract,support_calls,churn"]
    for i in range(n):
        t, m, s = r.randint(1, 72), round(r.uniform(18, 118), 2), r.randint(0, 6)
        c = r.choice(["month", "year", "two-year"])
        z = 0.03 * m - 0.05 * t + 0.4 * s + {"month": 0.8, "year": -0.3, "two-year": -1.0}[c] - 1.2 + r.gauss(0, 1.2)
        out.append(f"C{i:04d},{t},{m},{c},{s},{int(z > 0)}")
    return "\n".join(out) + "\n"


def houses(n=200, seed=3):
    r = random.Random(seed)
    out = ["area,rooms,age,garden,price"]
    for _ in range(n):
        a, k, g, y = r.randint(35, 220), r.randint(1, 7), r.randint(0, 1), r.randint(0, 90)
        out.append(f"{a},{k},{y},{g},{round(2100 * a + 9000 * k - 600 * y + 15000 * g + r.gauss(0, 22000))}")
    return "\n".join(out) + "\n"


SALES = """date,store,product,units,unit_price
2024-01-03,North,coffee,12,7.50
2024-01-03,South,tea,30,3.20
2024-01-09,North,tea,18,3.20
2024-01-15,West,coffee,25,7.40
2024-01-22,South,coffee,9,7.50
2024-02-02,West,cocoa,14,5.10
2024-02-05,North,coffee,21,7.60
2024-02-11,South,tea,26,3.30
2024-02-19,West,tea,31,3.30
2024-02-27,North,cocoa,8,5.20
2024-03-04,South,cocoa,17,5.20
2024-03-08,West,coffee,28,7.60
2024-03-15,North,tea,22,3.40
2024-03-21,South,coffee,13,7.70
2024-03-29,West,cocoa,11,5.30
"""

TRIPS = """trip_id,bike,started_at,ended_at,member
5d1f0c3a,B-104,2023-06-01 07:58:12,2023-06-01 08:14:40,1
9a7be210,B-231,2023-06-01 08:03:05,2023-06-01 08:21:55,1
c04e77d1,B-104,2023-06-01 12:30:00,2023-06-01 12:41:31,0
1b29fa66,B-077,2023-06-01 17:05:44,2023-06-01 17:52:10,0
e8830b5c,B-231,2023-06-02 07:55:20,2023-06-02 08:12:02,1
77ac12f9,B-310,2023-06-02 09:10:11,2023-06-02 09:18:59,1
3fd9e0b4,B-077,2023-06-02 18:20:30,2023-06-02 19:01:15,0
ab5510e7,B-310,2023-06-03 10:00:00,2023-06-03 11:33:20,0
60c1d2ee,B-104,2023-06-03 14:45:09,2023-06-03 15:02:47,1
f27b9a08,B-231,2023-06-03 16:11:00,2023-06-03 16:24:30,0
"""

ACCESS = "".join(
    f"10.0.{i % 5}.{(i * 7) % 40} - - [12/Mar/2024:{6 + i // 8:02d}:{(i * 11) % 60:02d}:{(i * 17) % 60:02d} +0000] "
    f"\"GET {['/', '/api/items', '/api/users', '/static/app.js', '/login'][(i * 3) % 5]} HTTP/1.1\" "
    f"{[200, 200, 200, 304, 404, 200, 500][(i * 5) % 7]} {200 + (i * 137) % 4000}\n"
    for i in range(60)
)

ORDERS = """order_id,customer,email,amount,status
b7f1c2d0-5a1e-4c8e-9a55-0c1d2e3f4a5b,Ada,ada@example.org,120.50,paid
0d9a8b7c-1f2e-4d3c-8b4a-5f6e7d8c9b0a,Grace,grace@example.org,75.00,paid
3e4f5a6b-7c8d-4e9f-a0b1-c2d3e4f5a6b7,Alan,alan@example.org,310.25,open
c1c2c3c4-d5d6-4e7e-8f8f-0a0b0c0d0e0f,Edsger,edsger@example.org,42.00,paid
9f8e7d6c-5b4a-4392-8170-6f5e4d3c2b1a,Ada,ada@example.org,18.75,refunded
5a5b5c5d-6e6f-4071-8283-94a5b6c7d8e9,Barbara,barbara@example.org,64.90,open
"""

SENSORS = "time,station,temp,hum\n" + "".join(
    f"2024-05-{1 + i // 8:02d}T{(i % 8) * 3:02d}:00,{s},{12 + 6 * ((i % 8) in (3, 4, 5)) + (i * 7 % 10) / 10 + (2 if s == 'B' else 0):.1f},{55 + (i * 13) % 30}\n"
    for i in range(56) for s in "AB"
)

FEATURES = """name,height,weight,team
Ana,171,64,red
Bo,182,81,blue
Cy,168,59,red
Di,175,70,green
Eli,190,93,blue
Fay,160,52,green
Gus,178,77,red
Hal,185,88,blue
Ivy,166,58,green
Jon,180,79,red
Kim,173,66,blue
Leo,188,90,green
"""

BLIND = []

# ---------------------------------------------------------------- noise alone

BLIND.append(Case("a-penguin-eda", [
    same("import time, warnings\nimport numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt\nimport seaborn as sns\nsns.set_theme()\nprint('pandas', pd.__version__, '| seaborn', sns.__version__)"),
    same("%%time\ndf = pd.read_csv('penguins.csv')\ndf.head()"),
    same("df.info()"),
    same("df.groupby('species')[['bill_mm', 'flipper_mm', 'mass_g']].mean().style.format('{:.1f}').background_gradient(cmap='Blues')"),
    same("t0 = time.perf_counter()\nfig, ax = plt.subplots(figsize=(5, 3))\nsns.scatterplot(data=df, x='bill_mm', y='flipper_mm', hue='species', ax=ax)\nplt.show()\nprint(f'drawn in {time.perf_counter() - t0:.2f} s')"),
    varies("# have a look at a few rows\ndf.sample(8)"),
    same("heavy = df[df.mass_g > 5000]\nheavy['mass_kg'] = heavy.mass_g / 1000   # yes, I know\nheavy.describe().round(2)"),
    same("g = df.groupby(['island', 'sex'])\ng"),
    same("g.size().unstack()"),
], files={"penguins.csv": penguins()}))

BLIND.append(Case("a-kaggle-baseline", [
    same("import logging, time, os, tempfile\nimport numpy as np, pandas as pd\nfrom sklearn.model_selection import cross_val_score, StratifiedKFold, train_test_split\nfrom sklearn.linear_model import LogisticRegression\nfrom sklearn.ensemble import RandomForestClassifier\nfrom sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler\nfrom tqdm.auto import tqdm\n\nlogging.basicConfig(level=logging.INFO, format='%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s', force=True)\nlog = logging.getLogger('baseline')\nlog.info('start')"),
    same("train = pd.read_csv('churn.csv')\nX = pd.get_dummies(train.drop(columns=['customer_id', 'churn']))\ny = train['churn']\nlog.info('train shape %s, positives %.3f', X.shape, y.mean())\nX.shape"),
    same("%%time\npipe = make_pipeline(StandardScaler(), LogisticRegression())\ncv = StratifiedKFold(5, shuffle=True, random_state=0)\nscores = cross_val_score(pipe, X, y, cv=cv, scoring='roc_auc')\nprint('AUC %.3f +- %.3f' % (scores.mean(), scores.std()))"),
    same("pipe.fit(X, y)"),
    same("res = []\nfor C in tqdm([0.01, 0.1, 1, 10], desc='C'):\n    res.append((C, round(cross_val_score(make_pipeline(StandardScaler(), LogisticRegression(C=C)), X, y, cv=cv).mean(), 4)))\nres"),
    varies("rf = RandomForestClassifier(n_estimators=60)   # TODO seed\nrf.fit(X, y)\npd.Series(rf.feature_importances_, X.columns).sort_values(ascending=False)"),
    varies("Xa, Xb, ya, yb = train_test_split(X, y, test_size=.3)\nm = make_pipeline(StandardScaler(), LogisticRegression()).fit(Xa, ya)\nfrom sklearn.metrics import log_loss\nprint('holdout logloss:', log_loss(yb, m.predict_proba(Xb)))"),
    same("out = os.path.join(tempfile.mkdtemp(prefix='sub_'), 'submission.csv')\npd.DataFrame({'customer_id': train.customer_id, 'churn': pipe.predict(X)}).to_csv(out, index=False)\nlog.info('written %s (%d bytes)', out, os.path.getsize(out))\n!head -n 4 {out}"),
], files={"churn.csv": churn()}))

BLIND.append(Case("a-interactive-charts", [
    same("import uuid, json\nimport numpy as np, pandas as pd\nimport altair as alt\nimport plotly.express as px\nfrom bokeh.plotting import figure, show\nfrom bokeh.io import output_notebook\nimport ipywidgets as w\nfrom IPython.display import display, HTML, Markdown\ndf = pd.read_csv('sales.csv', parse_dates=['date'])\ndf['revenue'] = df.units * df.unit_price\ndf.tail(3)"),
    same("alt.Chart(df).mark_bar().encode(x='store', y='sum(revenue)', color='product').properties(width=250)"),
    same("fig = px.line(df, x='date', y='revenue', color='store', title='Revenue by store')\nprint(fig)"),
    same("from bokeh.embed import file_html, components\np = figure(width=300, height=200, title='units')\np.scatter(df.units, df.revenue, size=8)\nscript, div = components(p)\nprint(div.strip())\np"),
    same("slider = w.IntSlider(value=10, min=0, max=40, description='units >=')\nout = w.Output()\ndisplay(slider, out)\nslider"),
    same("card_id = f'card-{uuid.uuid4().hex[:8]}'\nHTML(f'''<div id=\"{card_id}\" class=\"card\"><h3>Total</h3><b>{df.revenue.sum():,.2f}</b></div>\n<script>document.getElementById(\"{card_id}\").classList.add(\"ready\")</script>''')"),
    same("print('products:', set(df['product']))\nprint('stores  :', frozenset(df.store))\n{s: set(g['product']) for s, g in df.groupby('store')}"),
    same("Markdown(f\"**Report** – generated {pd.Timestamp.now():%d %B %Y, %H:%M:%S}, {len(df)} rows, best store: *{df.groupby('store').revenue.sum().idxmax()}*\")"),
    same("fig.add_hline(y=df.revenue.mean())\nfig"),
], files={"sales.csv": SALES}))

BLIND.append(Case("a-monte-carlo", [
    same("import numpy as np\nimport matplotlib.pyplot as plt\nfrom scipy import stats\nimport sympy as sp\nfrom time import time\n%matplotlib inline"),
    varies("N = 200_000\npts = np.random.rand(N, 2)\nprint('pi ~', 4 * (np.hypot(*pts.T) < 1).sum() / N, 'error', 4 * np.mean(np.hypot(*pts.T) < 1) - np.pi, pts[0])"),
    same("rng = np.random.default_rng(2024)\nwalk = rng.normal(0, 1, (5, 400)).cumsum(axis=1)\nplt.plot(walk.T, lw=.8)\nplt.title('five seeded walks');"),
    varies("walk = np.random.normal(0, 1, (5, 400)).cumsum(axis=1)\nplt.plot(walk.T, lw=.8)\nplt.title('five walks');"),
    same("x, mu, s = sp.symbols('x mu sigma', positive=True)\npdf = sp.exp(-(x - mu)**2 / (2*s**2)) / (s*sp.sqrt(2*sp.pi))\ndisplay(pdf)\nsp.integrate(pdf.subs({mu: 0, s: 1}), (x, -sp.oo, sp.oo))"),
    varies("data = [3.1, 2.7, 4.4, 3.9, 5.2, 2.2, 3.3, 4.8, 4.1, 3.6]\nboot = stats.bootstrap((data,), np.mean, n_resamples=2000, confidence_level=.9)\nboot.confidence_interval, boot.standard_error"),
    same("t = time()\nboot = stats.bootstrap((data,), np.mean, n_resamples=2000, rng=np.random.default_rng(1))\nprint(boot.confidence_interval)\nprint('elapsed:', time() - t)"),
    same("perm = np.random.permutation(10)\nnp.sort(perm), perm.sum()"),
    same("plt.figure(figsize=(4, 2.5))\nplt.hist(rng.gamma(2., size=500), bins=20)\nfrom datetime import datetime\nplt.title('run of ' + datetime.now().strftime('%Y-%m-%d %H:%M:%S'), fontsize=9)\nplt.show()"),
]))

BLIND.append(Case("a-sqlite-etl", [
    same("import sqlite3, os, json, uuid, time, tempfile, subprocess, sys, threading\nfrom concurrent.futures import ThreadPoolExecutor\nfrom datetime import datetime, timezone\nfrom pathlib import Path\nimport pandas as pd\nRUN = uuid.uuid4()\nprint(f'run {RUN} started {datetime.now(timezone.utc).isoformat()} in pid {os.getpid()}')"),
    same("!ls -l orders.csv\n!wc -lc orders.csv"),
    same("tmp = tempfile.NamedTemporaryFile(suffix='.db', delete=False)\ncon = sqlite3.connect(tmp.name)\npd.read_csv('orders.csv').to_sql('orders', con, index=False)\nprint('database at', tmp.name)\ncon"),
    same("con.execute('create table runs (id text, at timestamp default current_timestamp, n int)')\ncon.execute('insert into runs (id, n) select ?, count(*) from orders', (str(RUN),))\ncon.commit()\npd.read_sql('select * from runs', con)"),
    same("pd.read_sql('select customer, count(*) n, round(sum(amount), 2) total from orders group by customer order by total desc', con)"),
    same("def work(status):\n    t = time.time()\n    c = sqlite3.connect(tmp.name)\n    n, = c.execute('select count(*) from orders where status = ?', (status,)).fetchone()\n    return {'status': status, 'n': n, 'thread': threading.get_ident(), 'ms': round(1000 * (time.time() - t), 3)}\n\nwith ThreadPoolExecutor(3) as ex:\n    for r in ex.map(work, ['paid', 'open', 'refunded']):\n        print(r)"),
    same("r = subprocess.run([sys.executable, '-c', 'import os; print(\"child\", os.getpid(), \"says hi\")'], capture_output=True, text=True)\nprint(r.stdout)\nr.returncode"),
    same("manifest = {'run_id': str(RUN), 'finished': time.time(), 'db': tmp.name, 'tables': ['orders', 'runs'], 'rows': 6}\nPath('manifest.json').write_text(json.dumps(manifest))\nprint(json.dumps(manifest, indent=2))"),
], files={"orders.csv": ORDERS}))

BLIND.append(Case("a-regression-report", [
    same("import warnings\nimport numpy as np, pandas as pd, xarray as xr\nimport statsmodels.api as sm\nimport statsmodels.formula.api as smf\nhouses = pd.read_csv('houses.csv')\nhouses.describe().T.round(1)"),
    same("fit = smf.ols('price ~ area + rooms + age + C(garden)', houses).fit()\nprint(fit.summary())"),
    same("fit.summary2()"),
    same("ds = xr.Dataset({'price': ('house', houses.price.values[:12])}, coords={'house': np.arange(12)},\n                attrs={'title': 'prices', 'history': f'created {pd.Timestamp.now()}'})\nds"),
    same("print(fit)\nprint(sm.stats.anova_lm(fit).round(3))"),
    varies("noise = np.random.randn(len(houses))\nsm.OLS(houses.price, sm.add_constant(noise)).fit().params"),
    same("%timeit -n 5 -r 3 smf.ols('price ~ area', houses).fit()"),
    same("with warnings.catch_warnings():\n    warnings.simplefilter('always')\n    warnings.warn('condition number is large, there may be multicollinearity')\nfit.condition_number.round(1)"),
], files={"houses.csv": houses()}))

BLIND.append(Case("a-scratch-debugging", [
    same("import numpy as np, pandas as pd, networkx as nx\nfrom tqdm import tqdm\nimport time, sys, gc\n\nclass Scaler:\n    def __init__(self, mean): self.mean = mean\n    def transform(self, X): return X - self.mean\n\nScaler(3)"),
    same("df = pd.DataFrame({'a': [1, 2, 3], 'b': ['x', 'y', 'z']})\ndf['c']"),
    same("def ratio(a, b):\n    return a / b\n\nprint('before')\n[ratio(x, x - 2) for x in df.a]"),
    same("scalers = {k: Scaler(k) for k in ('raw', 'log')}\nfor k, v in scalers.items():\n    print(f'{k:>5} -> {v}  id={id(v)}')\nratio, scalers['raw'].transform"),
    same("total = 0\nfor i in tqdm(range(200), desc='epochs'):\n    time.sleep(0.002)\n    total += i\nprint(total)"),
    same("%who"),
    same("%whos DataFrame function"),
    same("%%bash\necho \"now: $(date)\"\nt=$(mktemp)\nseq 1 5 > \"$t\"\necho \"sum in $t:\"\nawk '{s+=$1} END {print s}' \"$t\""),
    same("G = nx.karate_club_graph()\nprint(G)\ncomm = nx.community.louvain_communities(G, seed=1)\nsorted(comm, key=len), iter(comm), (d for d in comm)"),
    same("%timeit -n 2000 -r 5 sum(range(1000))"),
]))

# ---------------------------------------------------------------- data

BLIND.append(Case("a-sales-report", [
    same("import pandas as pd, matplotlib.pyplot as plt, time, logging, sys\nlogging.basicConfig(stream=sys.stdout, level=logging.INFO, format='[%(asctime)s] %(message)s', force=True)\nstart = time.time()"),
    same("sales = pd.read_csv('sales.csv', parse_dates=['date'])\nlogging.info('loaded %d rows, %d columns', *sales.shape)\nsales.head()"),
    differs("!md5sum sales.csv", "data"),
    same("!ls -l sales.csv && head -3 sales.csv"),
    differs("sales['revenue'] = sales.units * sales.unit_price\nby_store = sales.groupby('store').revenue.agg(['sum', 'mean']).round(2)\nby_store", "data", "downstream"),
    same("sales.groupby('product').size()"),
    differs("ax = by_store['sum'].plot.bar(figsize=(4, 3), title='Revenue', rot=0)\nfor c in ax.containers: ax.bar_label(c)\nplt.show()", "data", "downstream"),
    differs("monthly = sales.resample('MS', on='date').units.sum()\nlogging.info('months: %s', monthly.tolist())\nprint(f'took {time.time() - start:.3f}s')", "data", "downstream"),
    same("sales.query('store == \"North\"')[['date', 'product', 'units']]"),
], files={"sales.csv": SALES}, data={"sales.csv": SALES.replace("2024-03-08,West,coffee,28", "2024-03-08,West,coffee,26")}))

BLIND.append(Case("a-bike-trips", [
    same("import pandas as pd, numpy as np\nfrom IPython.display import HTML, display\nimport time\ntrips = pd.read_csv('trips.csv', parse_dates=['started_at', 'ended_at'])\nprint(pd.Timestamp.now(), 'read', len(trips), 'trips')"),
    differs("trips['duration'] = trips.ended_at - trips.started_at\ntrips[['trip_id', 'duration']].tail(4)", "data", "downstream"),
    differs("trips.duration.describe()", "data", "downstream"),
    same("trips.groupby('bike').trip_id.count()"),
    differs("longest = trips.loc[trips.duration.idxmax()]\nprint(f'longest trip: {longest.trip_id} ended {longest.ended_at}, took {longest.duration}')\nprint(f'(report made at {pd.Timestamp.now()})')", "data", "downstream"),
    same("trips.loc[trips.member == 1, 'duration'].mean()"),
    same("HTML(f\"<p>First trip: {trips.started_at.min()}; page built {time.strftime('%H:%M:%S')}</p>\")"),
], files={"trips.csv": TRIPS}, data={"trips.csv": TRIPS.replace("2023-06-03 11:33:20", "2023-06-03 11:36:20")}))

CONFIG = json.dumps({"model": "ridge", "test_size": 0.25, "seed": 42, "alpha": 1.0}, indent=2) + "\n"
BLIND.append(Case("a-config-seed", [
    differs("import json, time\nimport numpy as np, pandas as pd\nfrom sklearn.linear_model import Ridge\nfrom sklearn.model_selection import train_test_split\nfrom sklearn.metrics import mean_absolute_error\ncfg = json.load(open('config.json'))\ncfg", "data"),
    same("df = pd.read_csv('houses.csv')\ndf.shape, df.price.mean().round()"),
    differs("X_tr, X_te, y_tr, y_te = train_test_split(df.drop(columns='price'), df.price, test_size=cfg['test_size'], random_state=cfg['seed'])\nX_te.head()", "data", "downstream"),
    same("print(len(X_tr), 'train /', len(X_te), 'test')\nX_tr.dtypes"),
    differs("t0 = time.perf_counter()\nmodel = Ridge(alpha=cfg['alpha']).fit(X_tr, y_tr)\nmae = mean_absolute_error(y_te, model.predict(X_te))\nprint(f'MAE {mae:,.0f}   fit in {1e3 * (time.perf_counter() - t0):.1f} ms')", "data", "downstream"),
    differs("model", "data", "downstream"),
    differs("pd.Series(model.coef_, X_tr.columns, name='coef').round(1)", "data", "downstream"),
    same("Ridge(alpha=cfg['alpha']).fit(df[['area']], df.price).coef_.round(2)"),
], files={"config.json": CONFIG, "houses.csv": houses()}, data={"config.json": CONFIG.replace("42", "43")}))

BLIND.append(Case("a-access-log", [
    same("set -u\nLOG=access.log\necho \"started $(date '+%F %T')\"\nwc -l < $LOG"),
    same("head -n 3 $LOG"),
    differs("awk '{print $9}' $LOG | sort | uniq -c | sort -k1,1nr -k2,2n", "data"),
    same("work=$(mktemp -d)\nawk '{print $7}' $LOG | sort | uniq -c > $work/paths.txt\necho \"wrote $work/paths.txt\"\ncat $work/paths.txt"),
    differs("time grep -c ' 500 ' $LOG", "data"),
    same("cut -d' ' -f1 $LOG | sort -u | wc -l"),
    differs("sha256sum $LOG | cut -c1-16\nrm -r $work", "data"),
], kernel="bash", files={"access.log": ACCESS},
    data={"access.log": (lambda L: "".join(L[:29] + [L[29].replace('" 500 ', '" 200 ') if '" 500 ' in L[29] else L[29].replace('" 200 ', '" 500 ').replace('" 304 ', '" 500 ').replace('" 404 ', '" 500 ')] + L[30:]))(ACCESS.splitlines(True))}))

BLIND.append(Case("a-orders-ids", [
    same("import sqlite3, uuid, json\nimport pandas as pd\nfrom tabulate import tabulate\ncon = sqlite3.connect(':memory:')\npd.read_csv('orders.csv').to_sql('orders', con, index=False)"),
    differs("for row in con.execute(\"select order_id, customer from orders where status = 'open'\"):\n    print(row)", "data", "downstream"),
    same("print(tabulate(con.execute('select status, count(*), sum(amount) from orders group by status').fetchall(), headers=['status', 'n', 'sum']))"),
    differs("event = {'event_id': str(uuid.uuid4()), 'order': con.execute('select order_id from orders where customer = \"Barbara\"').fetchone()[0]}\nprint(json.dumps(event, indent=1))", "data", "downstream"),
    same("str(uuid.uuid5(uuid.NAMESPACE_URL, 'https://example.org/orders')), uuid.uuid4()"),
    differs("import hashlib\nrows = con.execute('select * from orders order by order_id').fetchall()\nprint('snapshot', hashlib.sha1(repr(rows).encode()).hexdigest())", "data", "downstream"),
    same("pd.read_sql('select customer, email, amount from orders', con)"),
    same("con.cursor(), con.total_changes"),
], files={"orders.csv": ORDERS}, data={"orders.csv": ORDERS.replace("5a5b5c5d-6e6f-4071-8283-94a5b6c7d8e9", "5a5b5c5d-6e6f-4071-8283-94a5b6c7d8e1")}))

BLIND.append(Case("a-bad-reading", [
    differs("import pandas as pd, numpy as np, matplotlib.pyplot as plt\nimport tempfile, os, time\nobs = pd.read_csv('sensors.csv', parse_dates=['time'])\nobs.dtypes", "data"),
    same("obs.head()"),
    differs("tic = time.time()\nprint('mean temp', obs.temp.mean().round(3))\nprint('toc', time.time() - tic)", "data", "downstream"),
    same("obs.groupby('station').hum.agg(['min', 'max', 'count'])"),
    differs("obs['temp'] = pd.to_numeric(obs.temp, errors='coerce')\nobs.isna().sum()", "data", "downstream"),
    same("obs.groupby(obs.time.dt.date).hum.median()"),
    same("obs.query('station == \"A\"').plot(x='time', y='temp', figsize=(5, 2), legend=False)\nplt.show()"),
    differs("f = tempfile.mktemp('.csv')\nobs.to_csv(f, index=False)\nprint(f)\n!grep -c ',,' {f}", "data", "downstream"),
], files={"sensors.csv": SENSORS}, data={"sensors.csv": SENSORS.replace("2024-05-04T12:00,B,", "2024-05-04T12:00,B,?")}))

# ---------------------------------------------------------------- library

BLIND.append(Case("a-citation-graph", [
    same("import networkx as nx, numpy as np, time\nimport matplotlib.pyplot as plt\nG = nx.DiGraph()\nG.add_edges_from([('A','B'),('A','C'),('B','C'),('C','A'),('D','C'),('E','C'),('E','D'),('F','E'),('F','A'),('G','F'),('B','G')])\nprint(G)\nG"),
    same("nx.density(G), nx.is_weakly_connected(G), dict(G.in_degree())"),
    differs("t = time.time()\npr = nx.pagerank(G)\nfor k, v in sorted(pr.items(), key=lambda kv: -kv[1]):\n    print(f'{k}  {v:.4f}')\nprint(f'-- {time.time() - t:.4f} s')", "library"),
    same("hubs, auth = nx.hits(G)\nmax(auth, key=auth.get), round(max(auth.values()), 4)"),
    differs("pos = nx.circular_layout(G)\nnx.draw(G, pos, with_labels=True, node_size=[6000 * v for v in pr.values()], node_color='lightsteelblue')\nplt.show()", "library", "downstream"),
    differs("max(pr, key=pr.get), round(sum(pr.values()), 6)", "library", "downstream"),
    same("pr2 = nx.pagerank(G, alpha=0.85)\nprint({k: round(v, 3) for k, v in sorted(pr2.items())})"),
    same("list(nx.strongly_connected_components(G)), nx.topological_generations(G)"),
], patch=("networkx/algorithms/link_analysis/pagerank_alg.py", "def pagerank(\n    G,\n    alpha=0.85,", "def pagerank(\n    G,\n    alpha=0.6,")))

BLIND.append(Case("a-theme-tables", [
    same("import seaborn as sns, pandas as pd, matplotlib.pyplot as plt\nfrom tabulate import tabulate\nteam = pd.read_csv('team.csv')\nteam.head()"),
    differs("sns.set_theme(style='whitegrid')\n{k: v for k, v in sns.axes_style().items() if k.startswith(('grid', 'axes.edge'))}", "library"),
    differs("sns.barplot(data=team, x='team', y='height', errorbar=None)\nplt.title('mean height');", "library", "downstream"),
    same("sns.set_theme(style='ticks')\nsns.histplot(team.weight, bins=5)\nplt.show()"),
    same("print(tabulate(team.groupby('team').mean(numeric_only=True).round(1), headers='keys', tablefmt='github'))"),
    differs("with sns.axes_style('whitegrid'):\n    fig, ax = plt.subplots(figsize=(3, 2))\nax.plot(team.height)\nfig", "library"),
    same("sns.color_palette('deep', 3).as_hex()"),
    same("print(ax, fig, sep='\\n')"),
], files={"team.csv": FEATURES}, patch=("seaborn/rcmod.py", '"axes.edgecolor": light_gray,', '"axes.edgecolor": dark_gray,')))

BLIND.append(Case("a-gridded-weather", [
    same("import numpy as np, xarray as xr, pandas as pd\nfrom datetime import datetime\nrng = np.random.default_rng(0)\nlat, lon = np.linspace(-60, 60, 5), np.arange(0, 360, 60)\nda = xr.DataArray(15 + 10 * np.cos(np.deg2rad(lat))[:, None] + rng.normal(0, 1, (5, 6)), dims=('lat', 'lon'), coords={'lat': lat, 'lon': lon}, name='t2m')\nda.attrs['created'] = datetime.now().isoformat()\nda"),
    same("w = np.cos(np.deg2rad(da.lat))\nww = da.weighted(w)\nww"),
    same("float(da.mean()), float(ww.mean())"),
    differs("print('weighted std:', ww.std().round(4).item())\nprint('plain std   :', da.std().round(4).item())", "library"),
    differs("zonal = ww.std('lat')\nzonal.to_series().round(3)", "library"),
    same("import warnings\nwarnings.simplefilter('always')\nda.where(da > 1000).mean('lon').values, np.nanmean([np.nan])"),
    differs("import matplotlib.pyplot as plt\nzonal.plot(figsize=(5, 2.5), marker='o', ylim=(0, 8))\nplt.show()", "library", "downstream"),
    same("%time da.interp(lat=[-15, 15], lon=[90]).round(3).to_dataframe()"),
], patch=("xarray/computation/weighted.py", "return sum_of_squares / sum_of_weights", "return sum_of_squares / (sum_of_weights - 1)")))

BLIND.append(Case("a-node-link-export", [
    differs("import json, importlib.metadata as md\nimport networkx as nx\nimport tempfile, os\nprint('networkx', md.version('networkx'))", "library"),
    same("G = nx.path_graph(4)\nG.add_edge(0, 3, weight=2.5)\nprint(G)\nG.edges(data=True)"),
    differs("d = nx.node_link_data(G)\nprint(json.dumps(d, indent=1))", "library"),
    same("sorted(nx.connected_components(G), key=len), nx.shortest_path_length(G, 1, 3)"),
    differs("sorted(d)", "library", "downstream"),
    same("p = os.path.join(tempfile.mkdtemp(), 'graph.graphml')\nnx.write_graphml(G, p)\nprint(p)\n!grep -c '<edge' {p}"),
    same("T = nx.minimum_spanning_tree(G)\nnx.to_dict_of_lists(T)"),
], upgrade=("networkx==3.6.1", "networkx==3.2.1")))

BLIND.append(Case("a-tabulated-results", [
    same("import time, random\nfrom tabulate import tabulate\nimport tabulate as T\nimport pandas as pd\nresults = [['ridge', 0.8123, 12], ['lasso', 0.7981, 9], ['forest', 0.8544, None]]\npd.DataFrame(results, columns=['model', 'r2', 'n'])"),
    same("print(tabulate(results, headers=['model', 'r2', 'n']))"),
    differs("T.__version__", "library"),
    differs("print(len(T.tabulate_formats), 'formats:', ', '.join(T.tabulate_formats))", "library"),
    differs("try:\n    print(tabulate(results, headers=['model', 'r2', 'n'], tablefmt='rounded_outline'))\nexcept Exception as e:\n    print(type(e), e)\nprint('at', time.ctime())", "library"),
    same("tabulate(results, headers=['model', 'r2', 'n'], tablefmt='html')"),
    differs("T.tabulate", "library"),
    same("print(tabulate(results, tablefmt='latex'))\nobject(), T.simple_separated_format"),
    differs("print(tabulate(results, headers=['model', 'r2', 'n'], tablefmt='outline'))", "library"),
], upgrade=("tabulate==0.10.0", "tabulate==0.8.10")))

# ---------------------------------------------------------------- environment

BLIND.append(Case("a-region-dashboard", [
    same("import os, time\nimport pandas as pd\nimport matplotlib.pyplot as plt\nfrom rich.console import Console\nfrom rich.table import Table\nSTORE = os.environ.get('REPORT_STORE', 'North')\nTOP = int(os.getenv('REPORT_TOP', 3))"),
    same("sales = pd.read_csv('sales.csv')\nsales['revenue'] = sales.units * sales.unit_price\nsales.revenue.sum().round(2)"),
    differs("%env REPORT_STORE", "environment"),
    differs("mine = sales[sales.store == STORE]\nmine", "environment", "downstream"),
    differs("table = Table(title=f'Store {STORE}')\nfor c in ('date', 'product', 'revenue'): table.add_column(c)\nfor r in mine.nlargest(TOP, 'revenue').itertuples(): table.add_row(r.date, r.product, f'{r.revenue:.2f}')\nConsole(width=60).print(table)\nprint('printed', time.strftime('%X'))", "environment", "downstream"),
    same("sales.nlargest(TOP, 'revenue')[['store', 'product', 'revenue']]"),
    same("print('PATH is set:', 'PATH' in os.environ, '| top', TOP, '|', time.time())"),
    differs("!echo \"store: $REPORT_STORE\"; grep -c \",$REPORT_STORE,\" sales.csv", "environment"),
], files={"sales.csv": SALES}, environment={"REPORT_STORE": "West", "REPORT_TOP": "2"}, given={"REPORT_STORE": "South", "REPORT_TOP": "2"}))

BLIND.append(Case("a-local-times", [
    same("from datetime import datetime, timezone\nimport time, pandas as pd, numpy as np\nevents = pd.DataFrame({'epoch': [1710000000, 1717243200, 1730000000], 'kind': ['deploy', 'alert', 'deploy']})\nevents"),
    differs("events['local'] = [datetime.fromtimestamp(t).strftime('%Y-%m-%d %H:%M') for t in events.epoch]\nevents", "environment"),
    same("pd.to_datetime(events.epoch, unit='s', utc=True)"),
    differs("time.tzname, time.timezone", "environment"),
    differs("events.local.str[11:13].astype(int).rename('hour').describe()[['mean', 'min', 'max']]", "environment", "downstream"),
    same("print('utc now', datetime.now(timezone.utc).isoformat(timespec='seconds'))\nprint('oldest event', datetime.fromtimestamp(1710000000, timezone.utc))"),
    same("events.kind.value_counts()"),
], environment={"TZ": "UTC0"}, given={"TZ": "JST-9"}))

BLIND.append(Case("a-hash-folds", [
    same("import pandas as pd, numpy as np, time\nteam = pd.read_csv('team.csv')\nprint(len(team), 'people')\nteam.describe().round(1)"),
    same("print('teams:', set(team.team))\nprint('names:', {n.upper() for n in team.name if n < 'F'})"),
    differs("team['fold'] = [hash(n) % 3 for n in team.name]   # quick and dirty split\nteam[['name', 'fold']]", "environment"),
    same("team.groupby('team').height.max()"),
    differs("t = time.time()\nfor k, g in team.groupby('fold'):\n    print(k, list(g.name), 'mean weight', g.weight.mean().round(2))\nprint('%.4f seconds' % (time.time() - t))", "environment", "downstream"),
    same("hash(3.5), hash((1, 2)), pd.util.hash_pandas_object(team.name).iloc[0]"),
    same("team.fold.isin([0, 1, 2]).all(), object()"),
], files={"team.csv": FEATURES}, environment={"PYTHONHASHSEED": "1"}, given={"PYTHONHASHSEED": "22"}))

# ---------------------------------------------------------------- code

BLIND.append(Case("a-outlier-filter", [
    same("import pandas as pd, numpy as np, altair as alt, warnings, logging\ndf = pd.read_csv('houses.csv')\ndf.sample(3, random_state=0)"),
    same("THRESH = 1.5\nz = ((df.price - df.price.mean()) / df.price.std()).abs()"),
    differs("clean = df[z < THRESH]\nprint(f'kept {len(clean)} of {len(df)} rows')", "code", "downstream"),
    same("df.corr().round(3)"),
    differs("clean.groupby('rooms').price.agg(['count', 'median'])", "code", "downstream"),
    same("logging.warning('using threshold from the notebook')\nclean.columns.tolist()"),
    differs("alt.Chart(clean).mark_point().encode(x='area', y='price')", "code", "downstream"),
    same("bins = pd.cut(df.age, [0, 20, 50, 100], include_lowest=True)\nbins.value_counts(sort=False)"),
    same("%time _ = df.groupby('rooms').price.median()"),
], files={"houses.csv": houses()}, edited={1: "THRESH = 1.2\nz = ((df.price - df.price.mean()) / df.price.std()).abs()"}))

SPLIT = "rng = np.random.default_rng({})\nidx = rng.permutation(len(X))\ntr, te = idx[:220], idx[220:]\nprint('test rows:', te[:8], '...')"
BLIND.append(Case("a-reseeded-training", [
    same("import numpy as np, pandas as pd, time\nfrom sklearn.linear_model import SGDClassifier\nfrom sklearn.preprocessing import StandardScaler\nfrom sklearn.metrics import confusion_matrix\nfrom tqdm import trange\nraw = pd.read_csv('churn.csv')\nX = StandardScaler().fit_transform(raw[['tenure', 'monthly', 'support_calls']]); y = raw.churn.values\nX.shape, y.sum()"),
    differs(SPLIT.format(7), "code"),
    same("len(tr), len(te), np.array_equal(np.sort(idx), np.arange(300))"),
    differs("clf = SGDClassifier(loss='log_loss', random_state=0)\nbar = trange(5, desc='epoch')\nfor ep in bar:\n    clf.partial_fit(X[tr], y[tr], classes=[0, 1])\n    bar.set_postfix(w=f'{clf.coef_[0, 0]:.4f}')\nbar.close()", "code", "downstream"),
    differs("pd.DataFrame(confusion_matrix(y[te], clf.predict(X[te])), index=['stay', 'churn'], columns=['pred stay', 'pred churn'])", "code", "downstream"),
    differs("clf", "code", "downstream"),
    same("raw.groupby('contract').churn.mean().round(3)"),
    same("print(time.strftime('finished %Y-%m-%d %H:%M'), clf.classes_)"),
], files={"churn.csv": churn()}, edited={1: SPLIT.format(8)}))

CLEAN = "def clean_amount(s):\n    \"\"\"Amounts arrive as text, some with a currency sign.\"\"\"\n    s = s.str.strip().str.lstrip('$')\n    return {}\n\nclean_amount"
BLIND.append(Case("a-bugfix-cleaning", [
    same("import pandas as pd, json, io\nimport seaborn as sns, matplotlib.pyplot as plt\nfrom rich import print as rprint\nraw = pd.DataFrame({'who': ['ann', 'bob', 'cem', 'dee', 'eva'], 'amount': ['$12.5', ' 7', '1,250', '$ 30', '88.1'], 'at': pd.Timestamp.now()})\nraw"),
    same(CLEAN.format("pd.to_numeric(s, errors='coerce')")),
    differs("raw['value'] = clean_amount(raw.amount)\nraw[['who', 'value']]", "code", "downstream"),
    differs("print(f\"{raw.value.isna().sum()} of {len(raw)} not understood ({pd.Timestamp.now():%H:%M:%S.%f})\")", "code", "downstream"),
    same("raw.amount.str.len().tolist()"),
    differs("rprint(json.loads(raw[['who', 'value']].to_json(orient='records')))", "code", "downstream"),
    differs("sns.barplot(x=raw.who, y=raw.value.fillna(0))\nplt.tight_layout()", "code", "downstream"),
    same("raw.who.str.title().to_frame().T"),
    same("buf = io.StringIO()\nraw[['who', 'amount']].to_csv(buf)\nprint(buf, len(buf.getvalue()))"),
], edited={1: CLEAN.format("pd.to_numeric(s.str.replace(',', ''), errors='coerce')")}))

# ---------------------------------------------------------------- order

BLIND.append(Case("a-price-cleaning", [
    same("import pandas as pd\ndf = pd.read_csv('sales.csv')\nlog = []\ndf.shape"),
    same("# prices went up\ndf['unit_price'] = df['unit_price'] * 1.1\nlog.append('raised')"),
    differs("df['unit_price'].describe().round(3)", "order"),
    same("df['units'].sum(), df['product'].nunique()"),
    differs("print('steps so far:', log)", "order"),
    same("df.groupby('store').size().to_frame('n')"),
    same("df.loc[0, 'nope']"),
    same("import datetime\nprint('done', datetime.datetime.now())"),
], files={"sales.csv": SALES}, order=[0, 2, 4, 1, 3, 5, 6, 7]))

BLIND.append(Case("a-shared-generator", [
    same("import numpy as np, scipy.stats as st\nimport time\nrng = np.random.default_rng(99)\nmemo = {}"),
    differs("a = rng.normal(10, 2, 30)\nprint('group a: mean %.3f sd %.3f' % (a.mean(), a.std(ddof=1)))", "order"),
    differs("b = rng.normal(11, 2, 30)\nprint('group b: mean %.3f sd %.3f' % (b.mean(), b.std(ddof=1)))", "order"),
    same("a.shape == b.shape, rng"),
    differs("t0 = time.time()\nr = st.ttest_ind(a, b)\nprint(r)\nprint('ms:', 1000 * (time.time() - t0))", "order", "downstream"),
    same("st.norm.ppf([.025, .5, .975]).round(3)"),
    same("np.linspace(0, 1, 5)"),
], order=[0, 2, 1, 3, 4, 5, 6]))

BLIND.append(Case("a-redefined-name", [
    same("import pandas as pd, numpy as np\nfrom sklearn.linear_model import LinearRegression\nhouses = pd.read_csv('houses.csv')\ntarget = 'price'\nhouses.head(4)"),
    same("features = ['area', 'rooms']"),
    differs("m = LinearRegression().fit(houses[features], houses[target])\nprint('R2 = %.4f' % m.score(houses[features], houses[target]))", "order"),
    same("houses[target].quantile([.25, .5, .75])"),
    differs("print(dict(zip(m.feature_names_in_, m.coef_.round(1))))", "order", "downstream"),
    same("features = ['area', 'rooms', 'age', 'garden']"),
    same("m, len(houses)"),
    same("features"),
], files={"houses.csv": houses()}, order=[0, 1, 5, 2, 3, 4, 6, 7]))

# ---------------------------------------------------------------- processors

BLIND.append(Case("a-parallel-features", [
    same("import os, time\nimport numpy as np, pandas as pd\nfrom joblib import Parallel, delayed, cpu_count\nfrom concurrent.futures import ThreadPoolExecutor\nN_JOBS = cpu_count()"),
    differs("print(f'using {N_JOBS} job(s), pid {os.getpid()}')", "machine", "downstream"),
    same("df = pd.read_csv('houses.csv')\ndf.mean().round(2)"),
    differs("chunks = np.array_split(np.arange(len(df)), N_JOBS)\n[len(c) for c in chunks]", "machine", "downstream"),
    same("t = time.time()\nparts = Parallel(n_jobs=N_JOBS, prefer='threads')(delayed(lambda ix: df.price.values[ix].sum())(c) for c in chunks)\nprint('total', sum(parts), 'in', round(time.time() - t, 3), 's')"),
    differs("pd.DataFrame({'chunk': range(len(parts)), 'sum': parts, 'seconds': time.time() - t})", "machine", "downstream"),
    same("with ThreadPoolExecutor(2) as ex:\n    print(list(ex.map(lambda x: x ** 2, range(6))), ex)"),
    differs("!nproc", "machine"),
], files={"houses.csv": houses()}, cpus=1))

# ---------------------------------------------------------------- another directory

BLIND.append(Case("a-project-moved", [
    same("import os, sys, warnings\nfrom pathlib import Path\nimport pandas as pd, xarray as xr\nROOT = Path.cwd()\nprint('project root:', ROOT)"),
    same("src = ROOT / 'sensors.csv'\nprint(src.resolve(), src.stat().st_size)\nobs = pd.read_csv(src, parse_dates=['time'])\nobs.head()"),
    same("ds = obs.set_index(['time', 'station']).to_xarray()\nds"),
    same("daily = ds.temp.resample(time='1D').mean()\ndaily.to_pandas().round(2)"),
    same("try:\n    pd.read_csv(ROOT / 'missing.csv')\nexcept FileNotFoundError as e:\n    print('oops:', e)"),
    same("open(ROOT / 'raw' / 'stations.json')"),
    same("%%bash\npwd\nls sensors.csv\ncut -d, -f2 sensors.csv | sort | uniq -c"),
    same("out = ROOT / 'daily.parquet.csv'\ndaily.to_pandas().to_csv(out)\nout, os.path.relpath(out)"),
    varies("obs.sample(frac=1).head(12).index.tolist()"),
], files={"sensors.csv": SENSORS}, moved=True))
