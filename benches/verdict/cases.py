"""Ground truth: notebooks of which we know, cell by cell, what a verdict must be.

A case is recorded with a real kernel, exported, and replayed; what is changed in between is seeded here. `kept` cases
(a third) were written before any result was seen and are not used to mend rules.
"""

from dataclasses import dataclass, field


@dataclass
class Cell:
    code: str
    truth: str  # "same", "varies" (by itself, so `--twice` shows it) or "differs"
    cause: frozenset = frozenset()


@dataclass
class Case:
    name: str
    cells: list
    kept: bool = False
    kernel: str = "python3"
    files: dict = field(default_factory=dict)
    environment: dict = field(default_factory=dict)  # while recording
    data: dict = field(default_factory=dict)  # file of the notebook -> its new bytes at the replay
    patch: tuple = ()  # (module file in site-packages, old text, new text) at the replay
    given: dict = field(default_factory=dict)  # environment at the replay
    cpus: int = 0  # the replay may use only so many
    order: list = None  # a second session runs the cells in this order
    edited: dict = None  # a second session has this code instead in some cells
    moved: bool = False  # a second session runs in another directory
    upgrade: tuple = ()  # a second session has this distribution in another version: (now, then)
    twice: bool = False
    server: bool = False  # while recording, a server answers on the port that {port} names


def same(code):
    return Cell(code, "same")


def varies(code):
    return Cell(code, "varies", frozenset({"random"}))


def differs(code, *cause):
    return Cell(code, "differs", frozenset(cause))


CSV = "city,year,rain\nOslo,2019,763.2\nOslo,2020,814.9\nBergen,2019,2250.4\nBergen,2020,2391.7\nVardo,2019,563.0\n"
BYTE = CSV.replace("814.9", "815.9")

CASES = [
    # Known same: noise of every kind.
    Case("plain", [
        same("x = list(range(10)); print(x)\nsum(x)"),
        same("class Thing: pass\nt = Thing(); t"),
        same("[Thing(), print, t.__init__, lambda v: v, (i for i in x)]"),
        same("id(t), hash(object()) % 1 == 0"),
        same("import os, threading\nprint('pid', os.getpid()); os.getpid()"),
        same("import warnings; warnings.warn('careful', DeprecationWarning)\nwarnings.warn('again')"),
        same("import tempfile; d = tempfile.mkdtemp(); print('made', d); d"),
        same("import uuid; print(uuid.uuid4()); uuid.uuid4().hex"),
        same("open(os.path.join(d, 'a.txt'), 'w')"),
        same("threading.Thread(target=print)"),
        same("import sys; print('to out'); print('to err', file=sys.stderr); print('out again')"),
        same("{}['missing']"),
        same("def f(n):\n    if n == 0:\n        raise ValueError(f'bad {Thing()}')\n    f(n - 1)\nf(3)"),
        same("import logging; logging.basicConfig(format='%(asctime)s %(process)d %(levelname)s %(message)s', level='INFO', force=True)\nlogging.info('started')"),
        same("import weakref; weakref.ref(t)"),
        same("!echo from a shell; ls"),
    ]),
    Case("clocks", [
        same("import time, datetime\nprint(time.ctime()); time.time()"),
        same("datetime.datetime.now(), datetime.date.today()"),
        same("print(datetime.datetime.now().isoformat(timespec='seconds'), datetime.datetime.now().strftime('%d.%m.%Y %H:%M:%S'))"),
        same("t = time.perf_counter(); s = sum(i * i for i in range(200000)); print(f'took {time.perf_counter() - t:.4f} s, sum {s}')"),
        same("%time sum(range(1000000))"),
        same("%%time\nz = sum(range(1000000))\nprint(z)"),
        same("%timeit -n 10 -r 3 sum(range(1000))"),
        same("start = datetime.datetime.now(); time.sleep(0.02); print('elapsed', datetime.datetime.now() - start)"),
        same("print('time_ns', time.time_ns()); print('today is', time.strftime('%A, %d %B %Y'))"),
        same("import pandas as pd; pd.Timestamp.now(), pd.Timestamp('2021-03-04 05:06:07')"),
        same("t0 = time.time(); time.sleep(0.05)\nprint('Elapsed time: %.3f seconds' % (time.time() - t0))"),
        same("print(f'{(time.time() - t0) * 1000:.1f} ms')"),
        same("import timeit; print('best of 3:', min(timeit.repeat('sum(range(100))', number=1000, repeat=3)))"),
    ]),
    Case("bars", [
        same("from tqdm import tqdm; import time\nfor i in tqdm(range(20)): time.sleep(0.003)"),
        same("for i in tqdm(range(30), desc='fit', ncols=60): time.sleep(0.004)\nprint('done')"),
        same("from tqdm.notebook import tqdm as ntqdm\nfor i in ntqdm(range(5)): pass"),
        same("import sys\nfor i in range(5):\n    sys.stdout.write(f'\\r{i * 25}% '); sys.stdout.flush(); time.sleep(0.01)\nprint()"),
        same("from IPython.display import clear_output, display, HTML\nfor i in range(4):\n    clear_output(wait=True); print('step', i); time.sleep(0.01)"),
        same("h = display('first', display_id=True)\nfor i in range(3): h.update(f'now {i}')"),
        same("print('a', end=''); sys.stdout.flush(); time.sleep(0.05); print('b'); sys.stdout.flush(); display(1); print('c')"),
        same("with tqdm(total=100, file=sys.stdout) as bar:\n    for _ in range(4): bar.update(25)"),
    ]),
    Case("tables", [
        same("import pandas as pd, numpy as np\ndf = pd.DataFrame({'a': np.arange(5) / 3, 'b': list('vwxyz')}); df"),
        same("df.style.background_gradient(subset=['a']).format({'a': '{:.2f}'})"),
        same("df.style.bar(subset=['a'], color='#d65f5f').set_caption('t')"),
        same("df.describe()"),
        same("df.info()"),
        same("import xarray as xr; xr.Dataset({'t': (('x', 'y'), np.arange(6.).reshape(2, 3))}, coords={'x': [1, 2]})"),
        same("from sklearn.pipeline import make_pipeline; from sklearn.preprocessing import StandardScaler; from sklearn.linear_model import Ridge\nmake_pipeline(StandardScaler(), Ridge(alpha=2.0))"),
        same("make_pipeline(StandardScaler(), Ridge()).fit(np.arange(12.).reshape(4, 3), [1, 2, 3, 4.])"),
        same("df.groupby('b')"),
        same("set(df.b), frozenset(df.b)"),
        same("{c: set(df.b) for c in 'pq'}"),
        same("print(set('reproducible'))"),
    ], environment={"PYTHONHASHSEED": "random"}),
    Case("charts", [
        same("import numpy as np, matplotlib.pyplot as plt\nplt.plot(np.sin(np.arange(50) / 5)); plt.title('sine')"),
        same("fig, ax = plt.subplots(); ax.hist(np.arange(100) % 7, bins=7); plt.show()"),
        same("%config InlineBackend.figure_formats = ['svg']\nfig, ax = plt.subplots(figsize=(3, 2)); ax.scatter([1, 2, 3], [3, 1, 2]); ax.grid(True); plt.show()"),
        same("%config InlineBackend.figure_formats = ['jpeg']\nplt.figure(figsize=(3, 2)); plt.bar([1, 2], [3, 4]); plt.show()\n%config InlineBackend.figure_formats = ['png']"),
        same("import plotly.express as px, plotly.io as pio\npio.renderers.default = 'notebook'\npx.line(x=[1, 2, 3], y=[2, 1, 3])"),
        same("pio.renderers.default = 'plotly_mimetype'\npx.scatter(x=[1, 2, 3], y=[2, 1, 3], color=['a', 'b', 'a']).show()"),
        same("import altair as alt, pandas as pd\nd = pd.DataFrame({'x': [1, 2, 3], 'y': [3.5, 1.25, 2]})\nalt.Chart(d).mark_line().encode(x='x', y='y')"),
        same("from bokeh.plotting import figure, show; from bokeh.io import output_notebook\noutput_notebook()"),
        same("p = figure(width=300, height=200); p.line([1, 2, 3], [2, 1, 3]); show(p)"),
        same("import seaborn as sns; sns.heatmap(np.arange(9).reshape(3, 3), annot=True)"),
        same("ax.figure.canvas"),
    ]),
    Case("widgets", [
        same("import ipywidgets as w\ns = w.IntSlider(value=3, min=0, max=9, description='n'); s"),
        same("w.VBox([w.Label('a'), w.Button(description='b'), w.HBox([w.FloatText(1.5)])])"),
        same("@w.interact(n=(1, 5))\ndef show(n=2): print(n * n)"),
        same("s.value = 7; s"),
        same("out = w.Output()\nwith out: print('captured')\nout"),
    ]),
    Case("mathematics", [
        same("import sympy as sp; from IPython.display import Latex, Math, Markdown, display\nx, y = sp.symbols('x y'); sp.integrate(sp.exp(-x**2), x)"),
        same("sp.Matrix([[1, x], [y, x * y]])"),
        same("display(Latex(r'$\\frac{a}{b}$'), Math(r'x^2'), Markdown('**bold**'))"),
        same("sp.solve(x**2 - 2, x)"),
        same("sp.expand((x + y)**5)"),
    ], kept=True),
    Case("models", [
        same("import numpy as np, statsmodels.api as sm\nX = np.c_[np.ones(30), np.arange(30.)]; y = X @ [1, 2] + np.sin(np.arange(30))\nfit = sm.OLS(y, X).fit(); print(fit.summary())"),
        same("fit.summary()"),
        same("from sklearn.model_selection import cross_validate; from sklearn.linear_model import Ridge\ncross_validate(Ridge(), X, y, cv=3)"),
        same("from sklearn.ensemble import RandomForestRegressor\nRandomForestRegressor(20, random_state=1, verbose=1).fit(X, y).score(X, y)"),
        same("from sklearn.model_selection import GridSearchCV\nGridSearchCV(Ridge(), {'alpha': [1., 10.]}, cv=3, verbose=3).fit(X, y).best_params_"),
        same("import networkx as nx; g = nx.path_graph(4); print(g, list(g.edges)); g"),
        same("from rich.table import Table; from rich.console import Console\nt = Table(title='r'); t.add_column('n'); t.add_row('1'); Console().print(t)"),
    ], kept=True),
    Case("blas threads", [
        same("import numpy as np\nr = np.random.default_rng(5); a = r.standard_normal((400, 400)); b = a @ a.T\nb[:2, :3]"),
        same("np.linalg.eigvalsh(b)[-3:]"),
        same("float(b.sum()), float(np.linalg.norm(b))"),
        same("print(np.linalg.solve(b + 400 * np.eye(400), np.ones(400))[:4])"),
    ], environment={"OPENBLAS_NUM_THREADS": "2"}, given={"OPENBLAS_NUM_THREADS": "1"}),
    Case("another processor", [
        same("import numpy as np\nr = np.random.default_rng(6); a = r.standard_normal((300, 300)); b = a @ a.T\nb[0, :4].tolist()"),
        same("float(b.trace()), np.linalg.cond(b) > 1"),
        same("import pandas as pd; pd.DataFrame(b[:3, :3])"),
    ], environment={"OPENBLAS_CORETYPE": "Haswell"}, given={"OPENBLAS_CORETYPE": "Nehalem"}, kept=True),
    Case("another directory", [
        same("import os; os.getcwd()"),
        same("open('missing.csv')"),
        same("import helper; helper.__file__"),
        same("helper.fail()"),
        same("import pathlib; print(sorted(p.name for p in pathlib.Path.cwd().glob('*.py')), pathlib.Path('a.csv').resolve())"),
    ], files={"helper.py": "def fail():\n    raise RuntimeError('from a module')\n"}, moved=True, kept=True),
    Case("statistics in R", [
        same("x <- c(1.5, 2.25, 3); mean(x)"),
        same("data.frame(a = x, b = letters[1:3])"),
        same("environment()"),
        same("Sys.time()"),
        same("plot(x); print(summary(x))"),
        same("set.seed(4); rnorm(3)"),
        same("stop('no')"),
        same("tempfile(); system.time(sum(1:1e5))"),
    ], kernel="ir", kept=True),
    Case("shell", [
        same("echo hello; date"),
        same("for i in 1 2 3; do echo $i; done"),
        same("echo pid $$; mktemp"),
        same("ls -l a.csv; wc a.csv"),
        same("time sleep 0.01"),
        same("cat missing"),
    ], kernel="bash", files={"a.csv": CSV}),
    Case("chance", [
        varies("import random; print(random.random())"),
        varies("import numpy as np; np.random.normal(size=3)"),
        varies("import matplotlib.pyplot as plt; plt.plot(np.random.rand(20)); plt.show()"),
        varies("import pandas as pd; pd.DataFrame(np.random.rand(3, 2))"),
        same("np.random.seed(3); print(np.random.rand(2))"),
        varies("import os; os.urandom(4)"),
        same("print(len(os.urandom(4)))"),
    ], twice=True),
    Case("chance in a function", [
        same("import random\ndef toss(n): return sum(random.random() < .5 for _ in range(n))"),
        varies("toss(10000)"),
        varies("[toss(1000) for _ in range(3)]"),
        same("random.seed(1); toss(100)"),
        varies("import secrets; print('token', secrets.token_hex(4))"),
    ], twice=True, kept=True),
    # Known different: one thing is changed.
    Case("one byte of a table", [
        same("import pandas as pd, matplotlib.pyplot as plt"),
        differs("df = pd.read_csv('rain.csv'); df", "data"),
        differs("print(df.rain.sum())", "data", "downstream"),
        differs("df.groupby('city').rain.mean()", "data", "downstream"),
        differs("m = df.rain.max() - df.rain.median(); m", "data", "downstream"),
        same("len(df), list(df.columns)"),
        same("print(6 * 7)"),
        differs("df[df.year == 2020].style.format(precision=1)", "data", "downstream"),
        differs("df.rain.plot(); plt.show()", "data", "downstream"),
    ], files={"rain.csv": CSV}, data={"rain.csv": BYTE}),
    Case("one byte of an array", [
        same("import numpy as np"),
        differs("a = np.fromfile('a.bin', dtype='u1'); print(a.sum(), a[:5])", "data"),
        differs("import plotly.graph_objects as go\ngo.Figure(go.Scatter(y=a)).show(renderer='plotly_mimetype')", "data", "downstream"),
        same("a.shape"),
        differs("import matplotlib.pyplot as plt; plt.imshow(a.reshape(8, 8), cmap='gray'); plt.show()", "data", "downstream"),
        differs("import hashlib; hashlib.md5(a.tobytes()).hexdigest()", "data", "downstream"),
    ], files={"a.bin": bytes(range(64))}, data={"a.bin": bytes([0, 1, 2, 9]) + bytes(range(4, 64))}),
    Case("one byte of a text", [
        differs("words = open('w.txt').read().split(); set(words)", "data"),
        differs("import collections; collections.Counter(words).most_common(2)", "data", "downstream"),
        same("len(words)"),
        differs("import altair as alt, pandas as pd\nalt.Chart(pd.DataFrame({'w': words, 'n': range(len(words))})).mark_bar().encode(x='n', y='w')", "data", "downstream"),
        same("'unrelated'"),
    ], files={"w.txt": "to be or not to be that is the question\n"}, data={"w.txt": "to be or not to bee that is the question\n"}, kept=True),
    Case("a missing column", [
        same("import pandas as pd; df = pd.read_csv('rain.csv')"),
        differs("df.rain.mean()", "data", "downstream"),
        same("len(df)"),
    ], files={"rain.csv": CSV}, data={"rain.csv": CSV.replace("rain", "Rain")}),
    Case("one byte for R", [
        differs("d <- read.csv('rain.csv'); sum(d$rain)", "data"),
        same("nrow(d)"),
        differs("print(d[2, ])", "data", "downstream"),
    ], kernel="ir", files={"rain.csv": CSV}, data={"rain.csv": BYTE}),
    Case("one byte for the shell", [
        differs("grep 2020 rain.csv", "data"),
        same("wc -l < rain.csv"),
        same("echo unrelated"),
    ], kernel="bash", files={"rain.csv": CSV}, data={"rain.csv": BYTE}, kept=True),
    Case("a seed in a file", [
        same("import json, numpy as np"),
        differs("r = np.random.default_rng(json.load(open('conf.json'))['seed']); r.integers(0, 100, 5)", "data"),
        differs("r.normal(size=2).round(3)", "data", "downstream"),
        same("np.arange(3)"),
    ], files={"conf.json": '{"seed": 41}'}, data={"conf.json": '{"seed": 42}'}, kept=True),
    Case("a local module", [
        same("import numpy as np\nimport lib"),
        differs("lib.scale(np.arange(3.))", "data", "library", "downstream"),
        differs("print(f'{lib.scale(1.0):.3f}')", "data", "library", "downstream"),
        same("lib.name"),
        same("np.arange(3.)"),
    ], files={"lib.py": "name = 'lib'\ndef scale(x):\n    return x * 2.5\n"}, data={"lib.py": "name = 'lib'\ndef scale(x):\n    return x * 3.5\n"}),
    Case("one library patched", [
        same("from tabulate import tabulate; import numpy as np"),
        differs("print(tabulate([[1, 2.5], [3, 4]], headers=['a', 'b'], tablefmt='github'))", "library"),
        same("np.arange(4).reshape(2, 2)"),
        differs("tabulate([[1]], tablefmt='github')", "library"),
        same("print('nothing of it')"),
    ], patch=(
        "tabulate/__init__.py",
        '"github": TableFormat(\n        lineabove=Line("|", "-", "|", "|"),\n        linebelowheader=Line("|", "-", "|", "|")',
        '"github": TableFormat(\n        lineabove=Line("|", "=", "|", "|"),\n        linebelowheader=Line("|", "=", "|", "|")')),
    Case("a numeric library patched", [
        same("import numpy as np; from scipy import constants"),
        differs("constants.zero_Celsius", "library"),
        differs("print(np.array([10., 20.]) + constants.convert_temperature(0., 'C', 'K'))", "library"),
        same("np.array([10., 20.]).sum()"),
    ], patch=("scipy/constants/_constants.py", "zero_Celsius = 273.15", "zero_Celsius = 273.16"), kept=True),
    Case("one library upgraded", [
        same("import tabulate as t"),
        differs("t.__version__", "library"),
        same("print(t.tabulate([[1, 2]]))"),
        same("sum(range(5))"),
    ], upgrade=("tabulate==0.10.0", "tabulate==0.9.0")),
    Case("another library upgraded", [
        same("import networkx as nx, numpy as np"),
        differs("print('networkx', nx.__version__)", "library"),
        same("sorted(nx.path_graph(4).degree)"),
        same("np.eye(2)"),
    ], upgrade=("networkx==3.6.1", "networkx==3.4.2"), kept=True),
    Case("a variable", [
        same("import os; import math"),
        differs("print('mode', os.environ['MODE_OF_RUN'])", "environment"),
        differs("n = len(os.environ['MODE_OF_RUN']); n", "environment", "downstream"),
        same("math.sqrt(2)"),
    ], environment={"MODE_OF_RUN": "fast"}, given={"MODE_OF_RUN": "careful"}),
    Case("a time zone", [
        same("import time, datetime"),
        differs("datetime.datetime.fromtimestamp(86400)", "environment"),
        differs("time.tzname", "environment"),
        same("datetime.datetime(2020, 1, 1)"),
    ], environment={"TZ": "UTC"}, given={"TZ": "Asia/Tokyo"}, kept=True),
    Case("a seed in a variable", [
        same("import os, random"),
        differs("random.seed(int(os.environ['RUN_SEED'])); print(random.random())", "environment"),
        differs("[random.randint(1, 6) for _ in range(8)]", "environment", "downstream"),
        same("'end'"),
    ], environment={"RUN_SEED": "1"}, given={"RUN_SEED": "2"}),
    Case("hash seed", [
        same("words = 'the quick brown fox jumps over the lazy dog'.split()"),
        differs("list(set(words))", "environment", "hash-seed"),
        differs("hash('fox') % 1000", "environment", "hash-seed"),
        same("set(words)"),
        same("sorted(set(words))"),
    ], environment={"PYTHONHASHSEED": "1"}, given={"PYTHONHASHSEED": "2"}),
    Case("thread count", [
        same("import os, numpy as np"),
        differs("n = int(os.environ['OMP_NUM_THREADS']); n", "environment", "machine"),
        differs("[len(c) for c in np.array_split(np.arange(10), n)]", "environment", "machine", "downstream"),
        same("np.arange(10).sum()"),
    ], environment={"OMP_NUM_THREADS": "4"}, given={"OMP_NUM_THREADS": "3"}),
    Case("fewer processors", [
        same("import os, numpy as np"),
        differs("len(os.sched_getaffinity(0))", "machine"),
        differs("from joblib import cpu_count; print('workers', cpu_count())", "machine"),
        same("np.arange(10).mean()"),
    ], cpus=1, kept=True),
    Case("a seed in the code", [
        same("import numpy as np, matplotlib.pyplot as plt"),
        differs("r = np.random.default_rng(7)\nr.random(3)", "code"),
        differs("plt.plot(r.random(30)); plt.show()", "downstream", "code"),
        same("np.arange(3)"),
    ], edited={1: "r = np.random.default_rng(8)\nr.random(3)"}),
    Case("a number in the code", [
        same("import pandas as pd\nbase = pd.Series([1., 2., 4.])"),
        differs("factor = 3\nfactor", "code"),
        differs("(base * factor).to_frame('v')", "downstream", "code"),
        same("base.sum()"),
        differs("print('total', (base * factor).sum())", "downstream", "code"),
    ], edited={1: "factor = 4\nfactor"}, kept=True),
    Case("another order", [
        same("x = 1"),
        same("x = x + 1"),
        same("x = x * 10"),
        differs("print(x)", "order", "downstream"),
        same("'end'"),
    ], order=[0, 2, 1, 3, 4]),
    Case("one cell run once more", [
        same("items = []"),
        same("items.append(len(items))"),
        differs("items", "order", "downstream"),
        same("'fixed'"),
    ], order=[0, 1, 1, 2, 3], kept=True),
    Case("a clock as data", [
        same("import time"),
        differs("int(time.time()) % 9973", "clock"),
        differs("stamp = int(time.time() * 1000) % 100003; stamp * 3", "clock"),
        same("1 + 1"),
    ]),
    Case("random numbers", [
        same("import random, numpy as np"),
        differs("[random.randint(0, 10**6) for _ in range(4)]", "random"),
        differs("v = np.random.rand(); v", "random"),
        differs("print(v * 2)", "downstream", "random"),
        same("np.random.seed(1); np.random.rand()"),
        differs("from sklearn.cluster import KMeans; KMeans(2, n_init=1).fit(np.random.rand(40, 2)).inertia_", "random"),
    ]),
    Case("a random file", [
        same("import os"),
        differs("int.from_bytes(open('/dev/urandom', 'rb').read(4), 'big')", "random"),
        differs("key = os.urandom(8).hex(); print('key', key)", "random"),
        same("len(key)"),
    ], kept=True),
    Case("a server", [
        same("import urllib.request"),
        differs("text = urllib.request.urlopen('http://127.0.0.1:{port}/').read(); text", "network"),
        differs("len(text)", "downstream", "network"),
        same("'offline'"),
    ], server=True),
    Case("a service for R", [
        differs("readLines(url('http://127.0.0.1:{port}/'))", "network"),
        same("1:3"),
    ], kernel="ir", server=True, kept=True),
]
