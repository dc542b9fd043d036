"""The hold-out: cases written by someone who had seen neither the rules nor the other cases.

Every truth was decided from what the cell does, then checked in a plain kernel: twice as it stands, once with the change.
The first figures are in README. Whoever mends a rule by one of these calls the file another name and writes a new one.
"""

from truth import CSV, BYTE, Case, differs, same, varies

# What the causes are called.
LIBRARY = ("library",)
ENVIRONMENT = ("environment",)
HASHSEED = ("hash-seed", *ENVIRONMENT)
ORDER = ("order",)
CODE = ("code",)
THREADS = ("machine",)
CLOCK = ("clock",)
NETWORK = ("network",)

LAPS = "driver,lap,seconds\nanna,1,84.120\nanna,2,83.905\nanna,3,84.377\nbo,1,85.018\nbo,2,83.412\nbo,3,84.650\n"
VISITS = "at,page\n2023-03-06 09:12:51,home\n2023-03-06 09:14:07,prices\n2023-03-06 09:21:40,home\n2023-03-07 11:02:13,contact\n2023-03-07 11:03:59,home\n"
LOG = (
    "2024-05-01 10:00:01 INFO  worker pid=4211 queue at 0x7f3a10c2d4f0 opened\n"
    "2024-05-01 10:00:02 INFO  worker pid=4211 copied 1840 rows in 12.4 ms\n"
    "2024-05-01 10:00:02 WARN  worker pid=4212 retry 1 of 3\n"
    "2024-05-01 10:00:05 INFO  worker pid=4212 copied 977 rows in 9.8 ms\n"
)
ORDERS = """[{"id": "0c4f8a52-5d0e-4c55-9a5e-1f2d6f1b7a01", "amount": 120},
 {"id": "7be1d9c3-2f64-4e0b-8d11-93a0c8e4f502", "amount": 80},
 {"id": "e95a0b17-8c3d-4b7f-b6f2-5d4c3b2a1903", "amount": 45}]
"""
SENSOR = "21.4\n22.0\n40.3\n19.8\n20.6\n"
WEIGHTS = "0.50\n0.25\n0.75\n0.10\n"
NAMES = "ada\nbela\ncarl\ndora\nemil\nfay\ngus\nhal\nida\njon\nkim\nlea\n"
PENGUINS = (
    "species,bill,flipper,mass\nAdelie,39.1,181,3750\nAdelie,39.5,186,3800\nAdelie,40.3,195,3250\nAdelie,36.7,193,3450\n"
    "Chinstrap,46.5,192,3500\nChinstrap,50.0,196,3900\nChinstrap,51.3,193,3650\nChinstrap,45.4,188,3525\n"
    "Gentoo,46.1,211,4500\nGentoo,50.0,230,5700\nGentoo,48.7,210,4450\nGentoo,50.0,218,5700\n"
)
STATIONS = '{"Bergen": {"lat": 60.39, "lon": 5.32}, "Oslo": {"lat": 59.91, "lon": 10.75}}\n'
EDGES = "a b 3\na c 1\nb c 2\nc d 5\nd e 1\ne f 4\nf d 2\n"
GRID = "1.5 2.5 3.5\n4.5 5.5 6.5\n7.5 8.5 9.5\n"
STOCK = "item,shelf,count\nnuts,A,120\nbolts,A,75\nwashers,B,300\nscrews,C,42\n"
TEAMS = "ann red\nben blue\ncid red\n"

KEPT = [
    Case("threads and processes", [
        same("import threading, multiprocessing, os, time\nfrom concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(3) as pool:\n    print(list(pool.map(lambda n: n ** 2, range(6))))"),
        same("t = threading.Thread(target=time.sleep, args=(0.01,), name='loader'); t.start(); t.join(); t"),
        same("def square(n): return n * n\nwith multiprocessing.get_context('fork').Pool(2) as pool: answer = pool.map(square, range(8))\nanswer"),
        same("p = multiprocessing.get_context('fork').Process(target=square, args=(3,), name='job'); p.start(); p.join(); p"),
        same("from joblib import Parallel, delayed\nParallel(n_jobs=2)(delayed(square)(i) for i in range(5))"),
        same("Parallel(n_jobs=1, verbose=1)(delayed(square)(i) for i in range(4))"),
        same("threading.main_thread()"),
        same("pool.submit(square, 3)"),
    ], kept=True),
    Case("pictures that stay", [
        same("import numpy as np, matplotlib.pyplot as plt, seaborn as sns, pandas as pd\nrng = np.random.default_rng(4)\nd = pd.DataFrame({'x': rng.normal(size=60), 'y': rng.normal(size=60), 'g': list('abc') * 20})\nplt.hist(d.x, bins=8)"),
        same("sns.boxplot(d, x='g', y='y')"),
        same("%config InlineBackend.figure_formats = ['svg']\nfig, ax = plt.subplots(figsize=(3, 2)); ax.plot(d.x.cumsum()); ax.set_title('walk')"),
        same("%config InlineBackend.figure_formats = ['png']\nsns.heatmap(d[['x', 'y']].corr(), annot=True)"),
        same("import plotly.graph_objects as go\ngo.Figure(go.Scatter(x=[1, 2, 3], y=[4, 1, 2]))"),
        same("d.groupby('g').mean().style.format('{:.2f}').background_gradient()"),
        same("from IPython.display import HTML\nimport uuid\nHTML(f'<div id=\"chart-{uuid.uuid4()}\"><b>3 charts</b></div>')"),
    ], kept=True),
    Case("models that stay", [
        same("import numpy as np\nfrom sklearn.cluster import KMeans\nfrom sklearn.ensemble import RandomForestClassifier\nfrom sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler\nrng = np.random.RandomState(3); X = rng.rand(80, 3); y = (X[:, 0] + X[:, 1] > 1).astype(int)\nmake_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=10, random_state=0)).fit(X, y)"),
        same("from sklearn.model_selection import cross_val_score\ncross_val_score(RandomForestClassifier(n_estimators=10, random_state=0), X, y, cv=4)"),
        same("KMeans(3, random_state=0, n_init=2).fit(X).cluster_centers_.round(3)"),
        same("from sklearn.linear_model import LogisticRegression\nLogisticRegression(max_iter=2, C=1e6).fit(X, y)"),
        same("import statsmodels.api as sm\nfit = sm.OLS(X[:, 2] + y, sm.add_constant(X[:, :2])).fit(); fit.summary()"),
        same("from sympy import symbols, integrate, solve, exp, Matrix\nx, a = symbols('x a', positive=True); integrate(x * exp(-a * x), x)"),
        same("solve(x**2 - 5*x + 6, x), Matrix([[1, a], [0, 1]]) ** 3"),
        same("import xarray as xr\nxr.Dataset({'t': (('y', 'x'), np.arange(6.0).reshape(2, 3))}, coords={'x': [10, 20, 30]})"),
    ], kept=True),
    Case("a number that is no number", [
        same("from pathlib import Path\ntext = Path('weights.txt').read_text(); len(text)"),
        differs("weights = [float(w) for w in text.split()]; weights", "data", "downstream"),
        differs("print('total', sum(weights))", "data", "downstream"),
        same("text.count('.')"),
    ], files={"weights.txt": WEIGHTS}, data={"weights.txt": WEIGHTS.replace("0.75", "0.7S")}, kept=True),
    Case("one name more", [
        same("import time\nfrom tqdm import tqdm\nfrom rich.progress import track\nnames = open('names.txt').read().split(); names[:4]"),
        differs("for name in tqdm(names): time.sleep(0.005)", "data", "downstream"),
        differs("began = time.perf_counter()\nletters = sum(map(len, names))\nprint(f'{len(names)} names, {letters} letters in {1e3 * (time.perf_counter() - began):.3f} ms')", "data", "downstream"),
        same("print(max(names, key=len))"),
        differs("import ipywidgets as w\nw.IntProgress(value=len(names), max=20, description='names')", "data", "downstream"),
        differs("!wc -l names.txt", "data"),
    ], files={"names.txt": NAMES}, data={"names.txt": NAMES + "mia\n"}, kept=True),
    Case("controls over the stock", [
        same("import csv\nimport ipywidgets as w\nrows = list(csv.DictReader(open('stock.csv'))); [r['item'] for r in rows]"),
        differs("w.Dropdown(options=[(r['item'], int(r['count'])) for r in rows], value=300 if rows[1]['count'] == '75' else 42, description='item')", "data", "downstream"),
        differs("w.HTML(f\"<b>{sum(int(r['count']) for r in rows)}</b> pieces\")", "data", "downstream"),
        same("w.ToggleButtons(options=[r['shelf'] for r in rows if r['shelf'] != 'A'])"),
        same("w.Accordion([w.Label(rows[0]['item']), w.Checkbox(True, description='order more')])"),
        differs("from rich.table import Table\nfrom rich.console import Console\nt = Table(title='stock'); t.add_column('item'); t.add_column('count', justify='right')\nfor r in rows: t.add_row(r['item'], r['count'])\nConsole(width=60).print(t)", "data", "downstream"),
    ], files={"stock.csv": STOCK}, data={"stock.csv": STOCK.replace(",75", ",76")}, kept=True),
    Case("teams", [
        same("members = {}\nfor line in open('teams.txt'):\n    who, team = line.split(); members.setdefault(team, set()).add(who)\nsorted(members)"),
        differs("members", "data", "downstream"),
        differs("print('red plays with', members['red'], 'at', hex(id(members)))", "data", "downstream"),
        same("set().union(*members.values())"),
        same("print(sum(len(m) for m in members.values()), 'players')"),
        differs("{frozenset(m) for m in members.values()}", "data", "downstream"),
    ], files={"teams.txt": TEAMS}, data={"teams.txt": "ann red\nben red\ncid blue\n"}, kept=True),
    Case("a weighted graph", [
        same("import networkx as nx\ng = nx.read_weighted_edgelist('edges.txt'); print(g)"),
        differs("nx.dijkstra_path_length(g, 'a', 'f')", "data", "downstream"),
        differs("print('lightest tree', nx.minimum_spanning_tree(g).size(weight='weight'), nx.minimum_spanning_tree(g))", "data", "downstream"),
        same("list(nx.connected_components(g))"),
        same("nx.degree_centrality(g)"),
        same("import matplotlib.pyplot as plt\nnx.draw(g, pos=nx.circular_layout(g), with_labels=True)"),
        differs("nx.draw(g, nx.circular_layout(g)); nx.draw_networkx_edge_labels(g, nx.circular_layout(g), edge_labels=nx.get_edge_attributes(g, 'weight')); plt.show()", "data", "downstream"),
    ], files={"edges.txt": EDGES}, data={"edges.txt": EDGES.replace("c d 5", "c d 8")}, kept=True),
    Case("a grid and a database", [
        same("import sqlite3, time\nimport numpy as np, xarray as xr\ngrid = np.loadtxt('grid.txt'); grid.shape"),
        differs("xr.DataArray(grid, dims=('y', 'x'), name='depth')", "data", "downstream"),
        same("xr.DataArray(grid[0], dims='x', name='depth')"),
        same("db = sqlite3.connect(':memory:'); db.execute('create table cells (y int, x int, depth real)')"),
        differs("db.executemany('insert into cells values (?, ?, ?)', [(y, x, v) for (y, x), v in np.ndenumerate(grid)])\ndb.execute(\"select strftime('%H:%M', 'now'), count(*), sum(depth) from cells\").fetchone()", "data", "downstream"),
        same("db.execute(\"select datetime('now'), count(*), min(depth) from cells\").fetchone()"),
        differs("print(np.linalg.norm(grid), 'norm,', f'{time.perf_counter():.1f} s since boot')", "data", "downstream"),
        same("np.sign(grid)"),
    ], files={"grid.txt": GRID}, data={"grid.txt": GRID.replace("5.5", "5.6")}, kept=True),
    Case("rain told twice", [
        same("import pandas as pd\nfrom IPython.display import display, Markdown\nrain = pd.read_csv('rain.csv')\nslot = display(Markdown('counting...'), display_id='slot')"),
        differs("_ = display(Markdown(f'Oslo: **{rain[rain.city == \"Oslo\"].rain.mean():.2f}** mm'), display_id='oslo')", "data", "downstream"),
        same("print(rain.city.nunique(), 'cities,', rain.year.nunique(), 'years')"),
        differs("print(rain.pivot(index='city', columns='year', values='rain').to_html())", "data", "downstream"),
        same("rain[rain.city == 'Bergen'].describe()"),
        differs("from IPython.display import update_display\nshown = display('draft', display_id=True)\nupdate_display(f'final: {rain.rain.sum():.1f}', display_id=shown.display_id)", "data", "downstream"),
        differs("rain.rain.rank().to_dict(), round(rain.rain.std(), 3)", "data", "downstream"),
    ], files={"rain.csv": CSV}, data={"rain.csv": BYTE}, kept=True),
    Case("a summary of residuals", [
        same("import numpy as np, statsmodels.api as sm\nx = np.arange(20.0); y = 2 * x + np.cos(x)\nfit = sm.OLS(y, sm.add_constant(x)).fit(); fit.params.round(6)"),
        differs("fit.summary()", *LIBRARY, "downstream"),
        same("fit.conf_int().round(4)"),
        differs("from statsmodels.stats.stattools import durbin_watson\nprint('DW =', durbin_watson(fit.resid).round(3))", *LIBRARY, "downstream"),
        same("print(f'R2 {fit.rsquared:.6f}')"),
    ], patch=("statsmodels/stats/stattools.py", "dw = np.sum(", "dw = 1.05 * np.sum("), kept=True),
    Case("quartiles", [
        same("import pandas as pd\ns = pd.Series([1, 2, 3, 4, 10, 20, 40], name='size'); s.quantile([0.25, 0.75])"),
        differs("s.describe()", *LIBRARY, "downstream"),
        same("s.to_frame().agg(['mean', 'std'])"),
        differs("pd.DataFrame({'size': s, 'half': s / 2}).describe()", *LIBRARY, "downstream"),
        same("s.plot.box()"),
    ], patch=("pandas/core/methods/describe.py", "np.array([0.25, 0.5, 0.75])", "np.array([0.25, 0.5, 0.8])"), kept=True),
    Case("midnight elsewhere", [
        same("import datetime, time\nlaunch = datetime.datetime.fromtimestamp(1_700_000_000, datetime.timezone.utc); print(launch)"),
        differs("print('local launch:', datetime.datetime.fromtimestamp(1_700_000_000))", *ENVIRONMENT),
        differs("time.strftime('%d.%m.%Y %H:%M', time.localtime(86_400 * 365 * 30))", *ENVIRONMENT),
        same("import pandas as pd; pd.to_datetime(1_700_000_000, unit='s')"),
        same("print('now', datetime.datetime.now(datetime.timezone.utc))"),
        differs("time.timezone // 3600", *ENVIRONMENT),
    ], environment={"TZ": "UTC0"}, given={"TZ": "JST-9"}, kept=True),
    Case("a seed from outside", [
        same("import os\nimport numpy as np\nfrom sklearn.model_selection import train_test_split\nX = np.arange(40).reshape(20, 2); X.sum()"),
        differs("seed = int(os.environ['SPLIT_SEED'])\na, b = train_test_split(X, test_size=0.3, random_state=seed)\nb[:, 0]", *ENVIRONMENT, "seed"),
        same("a.shape, b.shape"),
        differs("print('held out sum', b.sum(), 'by', type(b), hex(id(b)))", *ENVIRONMENT, "seed", "downstream"),
        same("np.random.default_rng(5).integers(0, 10, 4)"),
    ], environment={"SPLIT_SEED": "1"}, given={"SPLIT_SEED": "2"}, kept=True),
    Case("a generator shared by cells", [
        same("import numpy as np, time\nrng = np.random.default_rng(2024); print('ready at', time.strftime('%H:%M:%S'))"),
        differs("heights = rng.normal(170, 8, 5).round(2); heights", *ORDER),
        differs("ages = rng.integers(18, 90, 5); ages", *ORDER),
        same("rng2 = np.random.default_rng(9); rng2.random(2).round(5)"),
        differs("print(f'mean height {heights.mean():.3f}, oldest {ages.max()}')", *ORDER, "downstream"),
        same("heights.shape == ages.shape"),
    ], order=[0, 2, 1, 3, 4, 5], kept=True),
    Case("a threshold changed", [
        same("scores = [0.2, 0.45, 0.55, 0.61, 0.9]; len(scores)"),
        differs("threshold = 0.5; print('threshold', threshold)", *CODE),
        differs("[s > threshold for s in scores]", *CODE, "downstream"),
        same("max(scores)"),
        differs("print(f'{sum(s > threshold for s in scores)} of {len(scores)} kept by {(lambda: 0)}')", *CODE, "downstream"),
        same("sum(s > 0.4 for s in scores)"),
    ], edited={1: "threshold = 0.6; print('threshold', threshold)"}, kept=True),
]
