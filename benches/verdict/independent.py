"""A hold-out by someone who had seen neither the rules nor the other cases. It is used up: rules were mended by it."""

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

INDEPENDENT = [
    # Nothing changes: every cell is known to be the same, whatever the container, user, day or process.
    Case("an ordinary morning", [
        same("import logging, os, sys, warnings\nlogging.basicConfig(format='%(asctime)s %(process)d %(levelname)s %(message)s', level=logging.INFO, force=True)\nlogging.info('loading %d tables', 4)"),
        same("print(f'kernel runs as process {os.getpid()}, child of {os.getppid()}')"),
        same("import numpy as np\nnp.log(np.array([1.0, 0.0, -1.0]))"),
        same("def old_mean(x):\n    warnings.warn('old_mean is deprecated, use mean', DeprecationWarning, stacklevel=2)\n    return sum(x) / len(x)\nwarnings.simplefilter('always')\nold_mean([1, 2, 6])"),
        same("import pandas as pd\ndf = pd.DataFrame({'k': list('aabbc'), 'v': [1, 2, 3, 4, 5]})\nsub = df[df.v > 2]\nsub['w'] = sub.v * 2\nsub"),
        same("for step in range(3):\n    print('step', step)\n    print('note: slow disk', file=sys.stderr)\nprint('done')"),
        same("df.groupby('k')"),
        same("(df.rolling(2), zip('ab', 'cd'), (n for n in 'xyz'), np.random.default_rng(11))"),
        same("df.info()"),
    ]),
    Case("odd objects", [
        same("import ctypes, hashlib, io, re, sqlite3, types, weakref\nhashlib.sha256(b'abc')"),
        same("types.SimpleNamespace(model=object(), name='m1', score=0.75)"),
        same("class Layer:\n    pass\nlayer = Layer(); weakref.ref(layer)"),
        same("[re.finditer('a', 'banana'), iter([1, 2]), memoryview(b'abc'), io.BytesIO()]"),
        same("print('connected to', sqlite3.connect(':memory:'), 'and', layer)"),
        same("print('id of layer', id(layer))\nprint('parameters: 42')"),
        same("ctypes.pointer(ctypes.c_int(3))"),
        same("class Tag:\n    def __init__(self, name): self.name = name\n    def __repr__(self): return f'Tag({self.name})'\ntags = {Tag(n) for n in ['north', 'south', 'east', 'west', 'centre', 'edge']}\ntags"),
        same("print('tags in use:', tags, '- that is', len(tags), 'of them')"),
        same("{'wind': frozenset(tags), 'rain': frozenset()}"),
        same("lambda x: x + 1"),
    ]),
    Case("errors with noise in them", [
        same("class Sensor:\n    def read(self): raise RuntimeError(f'{self} does not answer')\ns = Sensor()"),
        same("s.read()"),
        same("import traceback\ntry:\n    [].pop()\nexcept IndexError:\n    traceback.print_exc()"),
        same("import os\nraise TimeoutError(f'worker {os.getpid()} gave up')"),
        same("import pandas as pd\npd.DataFrame({'a': [1]})['b']"),
        same("%%bash\necho before\nls /nowhere/at/all\nexit 3"),
        same("def f(n): return 1 / n if n == 0 else f(n - 1)\nf(4)"),
        same("x ="),
        same("print('still here')"),
    ]),
    Case("temporary places", [
        same("import os, shutil, tempfile, uuid\nfrom pathlib import Path\nwork = Path(tempfile.mkdtemp(prefix='run_')); print('working in', work)"),
        same("out = work / 'table.csv'\nout.write_text('a,b\\n1,2\\n')\nprint(f'wrote {out} ({out.stat().st_size} bytes)')"),
        same("with tempfile.NamedTemporaryFile(suffix='.json') as f:\n    print(f.name)"),
        same("keep = tempfile.TemporaryDirectory(); keep"),
        same("!ls {work}"),
        same("(work / 'missing.csv').read_text()"),
        same("run = uuid.uuid4(); print('run id', run)"),
        same("[uuid.uuid1(), uuid.uuid4()]"),
        same("uuid.uuid5(uuid.NAMESPACE_DNS, 'example.org')"),
        same("out.relative_to(work), keep.cleanup()"),
        same("shutil.rmtree(work); work.exists()"),
    ]),
    Case("timing things", [
        same("import time, datetime\ndef slow(n): return sum(i * i for i in range(n))\n%timeit slow(20000)"),
        same("%%time\ntime.sleep(0.02)\nslow(50000)"),
        same("%%timeit -n 3 -r 3\nsorted(range(30000), key=lambda i: -i)"),
        same("began = datetime.datetime.now()\ntotal = slow(30000)\nprint('took', datetime.datetime.now() - began, 'for', total)"),
        same("best = %timeit -o -q -n 2 -r 2 slow(5000)\nprint(f'best of {best.repeat}: {best.best * 1e3:.3f} ms')"),
        same("print(f'[{datetime.datetime.now():%Y-%m-%d %H:%M:%S}] epoch 1/2 loss 0.5000')\nprint(f'[{datetime.datetime.now():%Y-%m-%d %H:%M:%S}] epoch 2/2 loss 0.2500')"),
        same("!date -u"),
    ]),
    Case("magics about oneself", [
        same("import os, math\nalpha, names = 0.3, ['a', 'b']\ndef scale(x): return alpha * x\n%who"),
        same("%whos"),
        same("%pwd"),
        same("os.makedirs('made', exist_ok=True)\nfor n in ['one.txt', 'two.txt']: open(f'made/{n}', 'w').write(n)\n%ls made"),
        same("%%capture got\nprint('hidden', os.getpid())"),
        same("len(got.stdout.split())"),
        same("%%bash\nfor i in 1 2 3; do echo \"out $i\"; echo \"err $i\" >&2; done\necho \"shell pid $$\""),
        same("import subprocess\nsubprocess.run('echo some text; echo a problem >&2', shell=True, capture_output=True, text=True)"),
        same("!seq 3 | awk '{ s += $1 } END { print \"sum\", s }'"),
        same("lines = !printf 'x\\ny\\n'\nlines"),
    ]),
    Case("progress of every kind", [
        same("import time\nfrom tqdm import tqdm, trange\nfor epoch in trange(12, desc='epoch'):\n    time.sleep(0.01)"),
        same("with tqdm(total=90, unit='rows') as bar:\n    for part in range(3):\n        time.sleep(0.02); bar.update(30)\nprint('rows read: 90')"),
        same("from tqdm.auto import tqdm as auto\nfor batch in auto(range(7), desc='batches'): time.sleep(0.005)"),
        same("from rich.progress import track\nfor _ in track(range(8), description='reading'): time.sleep(0.01)"),
        same("from IPython.display import clear_output\nfor i in range(4):\n    clear_output(wait=True)\n    print(f'{i + 1} of 4 after {time.perf_counter():.2f} s')"),
        same("from IPython.display import display, Markdown\nh = display(Markdown('*waiting*'), display_id=True)\ntime.sleep(0.02)\nh.update(Markdown('**ready**'))"),
        same("import sys\nfor percent in range(0, 101, 20):\n    sys.stdout.write(f'\\r{percent:3d}% '); sys.stdout.flush(); time.sleep(0.01)\nprint()"),
    ]),
    Case("a notebook carried elsewhere", [
        same("import os\nfrom pathlib import Path\nhere = Path.cwd(); print('data is read from', here / 'stock.csv')"),
        same("%pwd"),
        same("import pandas as pd; stock = pd.read_csv(here / 'stock.csv'); stock"),
        same("open(here / 'prices.csv')"),
        same("!pwd"),
        same("import logging; logging.basicConfig(format='%(asctime)s %(message)s', level=20, force=True); logging.info('%d items from %s', len(stock), here)"),
        same("sorted(p.relative_to(here).as_posix() for p in here.glob('stock*.csv'))"),
    ], files={"stock.csv": STOCK}, moved=True),

    # One byte of the data, where digits of that kind are usually noise.
    Case("laps in seconds", [
        same("import time\nimport pandas as pd\nlaps = pd.read_csv('laps.csv'); laps.shape"),
        differs("print(f'fastest lap took {laps.seconds.min():.3f} s')", "data", "downstream"),
        differs("for name, g in laps.groupby('driver'):\n    print(f'{name}: finished in {g.seconds.sum():.2f} seconds')", "data", "downstream"),
        same("laps.driver.value_counts()"),
        differs("began = time.perf_counter()\nmean = laps.seconds.mean()\nprint(f'mean {mean:.3f} (computed in {time.perf_counter() - began:.6f} s)')", "data", "downstream"),
        same("began = time.perf_counter()\nmost = laps.lap.max()\nprint(f'laps {most} (computed in {time.perf_counter() - began:.6f} s)')"),
        differs("pd.to_timedelta(laps.seconds.sum(), unit='s')", "data", "downstream"),
        same("%time laps[laps.driver == 'anna'].seconds.max()"),
    ], files={"laps.csv": LAPS}, data={"laps.csv": LAPS.replace("83.412", "83.512")}),
    Case("visits by the minute", [
        same("import datetime\nimport pandas as pd\nvisits = pd.read_csv('visits.csv', parse_dates=['at']); visits.dtypes"),
        differs("visits.head(3)", "data", "downstream"),
        differs("print('second visit at', visits['at'].iloc[1])", "data", "downstream"),
        differs("visits.set_index('at').resample('5min').size().head(3)", "data", "downstream"),
        same("visits['at'].dt.date.unique()"),
        same("print('report made', datetime.datetime.now().isoformat(timespec='seconds'), 'from', len(visits), 'visits')"),
        same("visits.page.value_counts().plot.barh()"),
        differs("!tail -n +3 visits.csv | head -n 1", "data"),
    ], files={"visits.csv": VISITS}, data={"visits.csv": VISITS.replace("09:14:07", "09:15:07")}),
    Case("a log read back", [
        same("import os, re\nfrom pathlib import Path\nlines = Path('server.log').read_text().splitlines(); len(lines)"),
        differs("print(lines[1])", "data", "downstream"),
        differs("rows = [int(n) for n in re.findall(r'copied (\\d+) rows', Path('server.log').read_text())]\nprint(f'pid {os.getpid()} counted {sum(rows)} rows')", "data"),
        same("print(lines[0])"),
        same("[line.split()[2] for line in lines]"),
        differs("!grep -c 1841 server.log; true", "data"),
    ], files={"server.log": LOG}, data={"server.log": LOG.replace("1840 rows", "1841 rows")}),
    Case("orders by identity", [
        same("import json, uuid\norders = json.load(open('orders.json')); len(orders)"),
        differs("orders[1]['id']", "data", "downstream"),
        differs("import pandas as pd\npd.DataFrame(orders)", "data", "downstream"),
        same("sum(o['amount'] for o in orders)"),
        same("batch = uuid.uuid4(); print(f'batch {batch}: {len(orders)} orders')"),
        differs("[uuid.UUID(o['id']).int % 97 for o in orders]", "data", "downstream"),
        same("orders[2]"),
    ], files={"orders.json": ORDERS}, data={"orders.json": ORDERS.replace("7be1d9c3", "7be1d9c4")}),
    Case("a warm sensor", [
        same("readings = [float(line) for line in open('sensor.txt')]; len(readings)"),
        differs("raise ValueError(f'reading {max(readings)} is out of range for {object()}')", "data", "downstream"),
        differs("assert max(readings) < 40.2, 'too warm'", "data", "downstream"),
        same("readings[100]"),
        differs("import warnings, os\nwarnings.warn(f'peak of {max(readings)} degrees seen by process {os.getpid()}')", "data", "downstream"),
        same("print('coldest:', min(readings))"),
        same("raise LookupError(f'no calibration for {object()}')"),
        differs("%%bash\nsort -n sensor.txt | tail -n 1\necho \"shell $$\" >&2", "data"),
    ], files={"sensor.txt": SENSOR}, data={"sensor.txt": SENSOR.replace("40.3", "40.1")}),
    Case("loss on a bar", [
        same("import time\nfrom tqdm import tqdm\nweights = [float(w) for w in open('weights.txt')]\nfor _ in tqdm(range(len(weights)), desc='warm up'): time.sleep(0.01)"),
        differs("with tqdm(range(5), desc='fit') as bar:\n    loss = sum(weights)\n    for epoch in bar:\n        loss *= 0.8; bar.set_postfix(loss=f'{loss:.4f}'); time.sleep(0.01)", "data", "downstream"),
        differs("began = time.time()\nprint(f'weights {[round(w, 2) for w in weights]} after {time.time() - began:.4f} s')", "data", "downstream"),
        same("for _ in tqdm(weights, desc='check'): time.sleep(0.01)"),
        differs("from IPython.display import clear_output\nfor i in range(3):\n    clear_output(wait=True)\n    print(f'iteration {i}, {time.process_time():.3f} s, weight {max(weights) * (i + 1):.3f}')", "data", "downstream"),
    ], files={"weights.txt": WEIGHTS}, data={"weights.txt": WEIGHTS.replace("0.75", "0.76")}),

    # One byte of the data, in pictures, tables, widgets and charts.
    Case("penguins", [
        same("import pandas as pd, seaborn as sns, matplotlib.pyplot as plt\np = pd.read_csv('penguins.csv'); p.species.value_counts()"),
        differs("sns.scatterplot(p, x='flipper', y='mass', hue='species')", "data", "downstream"),
        differs("%config InlineBackend.figure_formats = ['svg']\nfig, ax = plt.subplots(figsize=(4, 3)); ax.scatter(p.flipper, p.mass, s=9); plt.show()", "data", "downstream"),
        same("plt.figure(figsize=(4, 3)); plt.plot(p.bill, '.'); plt.show()\n%config InlineBackend.figure_formats = ['png']"),
        differs("p.groupby('species').mass.agg(['mean', 'max']).style.format('{:.1f}')", "data", "downstream"),
        same("sns.histplot(p, x='bill', bins=5)"),
        differs("from tabulate import tabulate\nfrom IPython.display import HTML\nHTML(tabulate(p.tail(4), headers='keys', tablefmt='html'))", "data", "downstream"),
        differs("import statsmodels.api as sm\nsm.OLS(p.mass, sm.add_constant(p.flipper)).fit().summary()", "data", "downstream"),
        same("sm.OLS(p.bill, sm.add_constant(p.flipper)).fit().params"),
    ], files={"penguins.csv": PENGUINS}, data={"penguins.csv": PENGUINS.replace("4450", "4950")}),
    Case("charts for the browser", [
        same("import pandas as pd\nstock = pd.read_csv('stock.csv'); stock.dtypes"),
        differs("import plotly.express as px\npx.pie(stock, names='item', values='count')", "data", "downstream"),
        same("px.histogram(stock, x='shelf')"),
        differs("import altair as alt\nalt.Chart(stock).mark_circle().encode(x='item', size='count')", "data", "downstream"),
        same("alt.Chart(stock[['item', 'shelf']]).mark_tick().encode(x='item', y='shelf')"),
        differs("from bokeh.plotting import figure, show\nfrom bokeh.io import output_notebook\noutput_notebook(hide_banner=True)\nb = figure(width=250, height=200, x_range=list(stock['item'])); b.vbar(x=list(stock['item']), top=[int(n) for n in stock['count']], width=0.8)\nshow(b)", "data", "downstream"),
        same("c = figure(width=250, height=200); c.line([1, 2, 3], [1, 4, 9])\nshow(c)"),
    ], files={"stock.csv": STOCK}, data={"stock.csv": STOCK.replace(",75", ",76")}),
    Case("values that swap places", [
        same("import json\nplaces = json.load(open('stations.json')); sorted(places)"),
        differs("places['Oslo']", "data", "downstream"),
        differs("{(name, p['lat'] > p['lon']) for name, p in places.items()}", "data", "downstream"),
        same("places['Bergen']"),
        same("{frozenset(p.values()) for p in places.values()} == {frozenset({60.39, 5.32}), frozenset({59.91, 10.75})}"),
        same("print('coordinates seen:', sorted({c for p in places.values() for c in p.values()}))"),
    ], files={"stations.json": STATIONS}, data={"stations.json": STATIONS.replace('"lat": 59.91, "lon": 10.75', '"lat": 10.75, "lon": 59.91')}),

    # A library.
    Case("the rank of pages", [
        same("import networkx as nx; print(nx.__version__)"),
        same("g = nx.DiGraph([(1, 2), (2, 3), (3, 1), (3, 4)]); g.number_of_edges()"),
        differs("{n: round(v, 4) for n, v in nx.pagerank(g).items()}", *LIBRARY),
        same("list(nx.topological_sort(nx.DiGraph([(1, 2), (2, 3)])))"),
        differs("import time; t = time.time(); best = nx.pagerank(g)\nprint(f'best rank {max(best.values()):.5f} found in {time.time() - t:.5f} s')", *LIBRARY, "downstream"),
        same("nx.shortest_path(g, 1, 4)"),
    ], patch=("networkx/algorithms/link_analysis/pagerank_alg.py", "alpha=0.85", "alpha=0.80")),
    Case("another altair", [
        same("import pandas as pd\nyields = pd.DataFrame({'field': ['a', 'b', 'c'], 'tons': [4.5, 6.0, 2.5]}); yields.tons.sum()"),
        differs("import altair as alt\nbars = alt.Chart(yields).mark_bar().encode(x='field', y='tons'); bars.to_dict()['$schema']", *LIBRARY),
        same("yields.sort_values('tons').field.tolist()"),
        differs("print('drawn with altair', alt.__version__, 'from', hex(id(bars)))", *LIBRARY, "downstream"),
        differs("bars", *LIBRARY, "downstream"),
        same("bars.to_dict()['mark'], bars.to_dict()['encoding']['y']['field']"),
    ], upgrade=("altair==6.3.0", "altair==5.5.0")),

    # The environment, the seed, the processors, the clock, the network.
    Case("sales of a region", [
        same("import os\nsales = {'north': [3, 5, 8], 'south': [2, 9, 1]}; len(sales)"),
        differs("region = os.environ.get('REGION', 'north'); region", *ENVIRONMENT),
        differs("sum(sales[region])", *ENVIRONMENT, "downstream"),
        same("max(max(v) for v in sales.values())"),
        differs("!echo \"report for $REGION\"", *ENVIRONMENT),
        same("os.environ.get('COUNTRY', 'nowhere')"),
        differs("print(f'{os.getpid()}: best day sold {max(sales[region])} pieces')", *ENVIRONMENT, "downstream"),
    ], environment={"REGION": "north"}, given={"REGION": "south"}),
    Case("words in hash order", [
        same("words = 'the quick brown fox jumps over the lazy dog and runs away'.split()\nvocabulary = set(words); vocabulary"),
        differs("list(vocabulary)", *HASHSEED, "downstream"),
        differs("index = {word: i for i, word in enumerate(vocabulary)}; index['fox'], index['dog'], index['away'], index['lazy']", *HASHSEED, "downstream"),
        same("sorted(vocabulary)"),
        differs("hash('fox') % 1000", *HASHSEED),
        same("from collections import Counter; Counter(words).most_common(3)"),
        same("hash(12345), hash((1, 2.5))"),
        differs("print(' '.join(vocabulary))", *HASHSEED, "downstream"),
    ], environment={"PYTHONHASHSEED": "11"}, given={"PYTHONHASHSEED": "12"}),
    Case("as many workers as there are", [
        same("import os, time\nimport numpy as np\nfrom joblib import Parallel, delayed\ndata = np.arange(12); data.sum()"),
        differs("workers = len(os.sched_getaffinity(0)); print(workers, 'workers')", *THREADS),
        differs("chunks = np.array_split(data, workers); [c.tolist() for c in chunks]", *THREADS, "downstream"),
        same("sum(int(c.sum()) for c in chunks)"),
        same("Parallel(n_jobs=2, prefer='threads')(delayed(int)(n) for n in data[:4])"),
        differs("began = time.time(); parts = [int(c.max()) for c in chunks]\nprint(f'maxima {parts} in {time.time() - began:.4f} s')", *THREADS, "downstream"),
    ], cpus=1),
    Case("the clock as a seed", [
        same("import random, time, datetime\nimport numpy as np\nprint('started', time.ctime())"),
        differs("rng = np.random.default_rng(time.time_ns()); rng.integers(0, 10**9, 4)", *CLOCK),
        differs("rng.normal(size=3).round(6)", *CLOCK, "downstream"),
        same("np.random.default_rng(8).normal(size=3).round(6)"),
        differs("lottery = random.Random(time.time_ns()); lottery.sample(range(10_000), 5)", *CLOCK),
        same("print(f'{len(range(10_000))} tickets, drawn {datetime.datetime.now():%d %B %Y %H:%M:%S}')"),
    ]),
    Case("rates from the network", [
        same("import time\nfrom urllib.request import urlopen\namounts = [10, 20, 30]; amounts"),
        differs("try:\n    rate = len(urlopen('http://127.0.0.1:{port}/rate', timeout=5).read()) / 10\nexcept OSError:\n    rate = 1.0\nrate", *NETWORK),
        differs("[a * rate for a in amounts]", *NETWORK, "downstream"),
        same("sum(amounts)"),
        differs("body = urlopen('http://127.0.0.1:{port}/table', timeout=5).read(); body", *NETWORK),
        differs("print(len(body), 'bytes')", *NETWORK, "downstream"),
        same("began = time.time(); print(f'{len(amounts)} amounts in {time.time() - began:.3f} s')"),
    ], server=True),
    Case("dice without a seed", [
        same("import random\nimport numpy as np\nnp.random.default_rng(1).integers(1, 7, 5)"),
        differs("rolls = np.random.normal(size=200); rolls[:3]", "random"),
        differs("print('mean roll', rolls.mean())", "random", "downstream"),
        same("rolls.shape, rolls.dtype"),
        differs("random.random()", "random"),
        same("random.seed(3); random.randint(1, 100)"),
    ]),
    Case("dice twice without a seed", [
        varies("import numpy as np, pandas as pd\nthrows = pd.Series(np.random.rand(50)); throws.head(3)"),
        varies("print(f'mean {throws.mean():.6f}')"),
        same("len(throws), throws.between(0, 1).all()"),
        varies("from sklearn.ensemble import RandomForestRegressor\nX = np.arange(60.0).reshape(-1, 1)\nRandomForestRegressor(n_estimators=3).fit(X, np.sin(X[:, 0])).predict([[3.3], [20.2]])"),
        varies("import matplotlib.pyplot as plt; plt.plot(throws); plt.show()"),
        varies("import secrets; secrets.randbelow(10**9)"),
        same("np.sin(X[:3, 0]).round(3)"),
    ], twice=True),

    # The order and the code.
    Case("cells run out of order", [
        same("import pandas as pd\ncart = pd.DataFrame({'item': ['tea', 'cup'], 'price': [4.0, 9.0]}); cart"),
        differs("cart['price'] = cart.price * 1.25; cart.price.tolist()", *ORDER),
        differs("cart['price'] = cart.price + 2; cart.price.tolist()", *ORDER),
        differs("print(f'total {cart.price.sum()} of {object()}')", *ORDER, "downstream"),
        same("cart['item'].str.upper().tolist()"),
        same("print('columns:', list(cart.columns))"),
    ], order=[0, 2, 1, 3, 4, 5]),
    Case("a query changed", [
        same("import sqlite3\ndb = sqlite3.connect(':memory:')\ndb.executescript(\"create table t (k text, v int); insert into t values ('a', 1), ('a', 5), ('b', 7), ('c', 2);\")"),
        differs("rows = db.execute('select k, sum(v) from t group by k order by k').fetchall(); rows", *CODE),
        differs("import matplotlib.pyplot as plt\nplt.bar([k for k, _ in rows], [v for _, v in rows]); plt.show()", *CODE, "downstream"),
        same("db.execute('select count(*) from t').fetchone()"),
        same("[k for k, _ in rows]"),
        differs("dict(rows)['a'] / len(rows)", *CODE, "downstream"),
    ], edited={1: "rows = db.execute('select k, max(v) from t group by k order by k').fetchall(); rows"}),
]
