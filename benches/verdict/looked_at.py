"""An earlier hold-out: cases written by someone who had seen neither the rules nor the other cases.

Every truth was decided from what the cell does, then checked in a plain kernel: twice as it stands, once with the change.
README has its figures at first sight. Rules were mended by some of these since.
"""

from truth import BYTE, CSV, Case, differs, same, varies

D = ("data", "downstream")
E = ("environment", "downstream")
O = ("order", "downstream")
C = ("code", "downstream")

PRICES = """date,close,volume
2023-01-02,101.20,1200\n2023-01-03,102.10,1350\n2023-01-04,100.85,1100\n2023-01-05,103.40,1820\n2023-01-06,104.75,1640
2023-01-09,106.10,2015\n2023-01-10,105.30,1490\n2023-01-11,107.95,1730\n2023-01-12,108.20,1555\n2023-01-13,107.60,1280
"""

FASTA = """>seq1 mouse\nATGGCATTTGGACCATAA\n>seq2 rat\nATGGCTTTTGGTCCGTAA\n>seq3 human\nATGTCTTTCGGTCCGTGA\n"""

PGM = "P2\n# scan\n8 6\n255\n" + "\n".join(" ".join(str((x * 31 + y * 17) % 256) for x in range(8)) for y in range(6)) + "\n"

ORDERS = """id,customer,amount,region
1,Brandt,120.5,north\n2,Okafor,80.0,south\n3,Brandt,42.25,north\n4,Silva,310.0,east\n5,Okafor,95.75,south\n6,Meyer,12.0,west
"""

LOG = """10.0.0.7 - - [03/Mar/2024:09:12:01 +0000] "GET /index.html HTTP/1.1" 200 5120
10.0.0.9 - - [03/Mar/2024:09:12:44 +0000] "GET /api/items HTTP/1.1" 200 734
10.0.0.7 - - [03/Mar/2024:10:03:10 +0000] "POST /api/items HTTP/1.1" 201 88
172.16.4.2 - - [03/Mar/2024:10:41:59 +0000] "GET /missing HTTP/1.1" 404 153
10.0.0.9 - - [03/Mar/2024:11:00:00 +0000] "GET /api/items HTTP/1.1" 200 734
10.0.0.7 - - [03/Mar/2024:11:07:31 +0000] "GET /style.css HTTP/1.1" 304 0
"""

SURVEY = """resp,age,sex,height_cm,smoker\n1,34,F,168,no\n2,41,M,181,yes\n3,29,F,172,no\n4,57,M,176,no\n5,38,F,165,yes\n"""

SHIP = """[
 {"id": "6f1c7a52-08d3-4b6e-9a53-2f0f6c1e7b11", "left": "2024-02-27T08:15:00", "arrived": "2024-03-01T17:45:00", "kg": 12.5},
 {"id": "0b9e44d8-77aa-4c1e-8d90-5a6e3f2b9c22", "left": "2024-02-28T06:00:00", "arrived": "2024-02-29T21:30:00", "kg": 3.75},
 {"id": "c2d8f3b1-5e6f-4a7b-b8c9-d0e1f2a3b433", "left": "2024-03-02T11:20:00", "arrived": "2024-03-05T09:00:00", "kg": 40.0}
]
"""

MANIFEST = "etc/hosts 221\netc/fstab 805\nhome/ada/notes.md 13022\nhome/ada/thesis.tex 88410\nvar/log/syslog 440121\n"

TREES = "tree,age,girth\n1,118,30\n1,484,58\n1,664,87\n1,1004,115\n2,118,33\n2,484,69\n2,664,111\n2,1004,156\n"

CLIMATE = "year,station,temp,co2\n" + "".join(
    f"{1990 + i},{'north' if i % 2 else 'south'},{9.1 + 0.03 * i + (0.2 if i % 3 else -0.15):.2f},{354 + 1.8 * i:.1f}\n" for i in range(16))

LOOKED_AT = [
    # ---------------------------------------------------------------- data changes
    Case("second-stock-returns", [
        same("""import hashlib, time
from datetime import datetime
import numpy as np, pandas as pd
px = pd.read_csv("prices.csv", parse_dates=["date"], index_col="date")
print("loaded", len(px), "rows at", datetime.now().strftime("%Y-%m-%d %H:%M:%S.%f"))"""),
        same("px['volume'].describe()"),
        differs("returns = np.log(px.close).diff().dropna()\nreturns.round(5)", *D),
        differs("print(f'annualised volatility: {returns.std() * np.sqrt(252):.4%}')", *D),
        same("peak = px.close.idxmax()\nprint('highest close', px.close.max(), 'on', peak.date())\n%time px.volume.rolling(3).mean().iloc[-1]"),
        differs("""import matplotlib.pyplot as plt
fig, ax = plt.subplots(figsize=(5, 3))
px.close.rolling(3).mean().plot(ax=ax, title="3-day mean"); plt.show()""", *D),
        same("px.volume.plot.bar(figsize=(4, 2))"),
        differs("""digest = hashlib.sha256(open("prices.csv", "rb").read()).hexdigest()
print(f"[{time.strftime('%H:%M:%S')}] prices.csv sha256={digest[:16]}")""", "data"),
    ], files={"prices.csv": PRICES}, data={"prices.csv": PRICES.replace("104.75", "104.85")}),

    Case("second-fasta-mutation", [
        same("""def read_fasta(path):
    name, out = None, {}
    for line in open(path):
        if line.startswith(">"):
            name = line[1:].split()[0]; out[name] = ""
        else:
            out[name] += line.strip()
    return out
seqs = read_fasta("genes.fa")
{k: len(v) for k, v in seqs.items()}"""),
        same("gc = {k: round(100 * sum(c in 'GC' for c in s) / len(s), 2) for k, s in seqs.items()}\ngc"),
        differs("from collections import Counter\nfor k, s in seqs.items(): print(k, sorted(Counter(s).items()))", *D),
        same("""bases = "TCAG"
codons = [a + b + c for a in bases for b in bases for c in bases]
table = dict(zip(codons, "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"))
for k, s in seqs.items():
    print(k.ljust(6), "".join(table[s[i:i + 3]] for i in range(0, len(s), 3)))"""),
        differs("hamming = lambda a, b: sum(x != y for x, y in zip(a, b))\nprint('seq1/seq2:', hamming(seqs['seq1'], seqs['seq2']))", *D),
        same("print('seq2/seq3:', hamming(seqs['seq2'], seqs['seq3']), hamming)"),
        differs("!grep -c GCA genes.fa; grep -v '>' genes.fa | fold -w3 | sort | uniq -c | sort -k1,1nr -k2 | head -4", "data"),
        same("import re\n[m.start() for m in re.finditer('GG[AT]CC', seqs['seq1'])], (c for c in codons)"),
    ], files={"genes.fa": FASTA}, data={"genes.fa": FASTA.replace("ATGGCATTT", "ATGGCTTTT")}),

    Case("second-scan-filter", [
        same("""import numpy as np, matplotlib.pyplot as plt
from scipy import ndimage
rows = [l for l in open("scan.pgm").read().splitlines() if not l.startswith("#")]
w, h = map(int, rows[1].split())
img = np.array(" ".join(rows[3:]).split(), dtype=np.uint8).reshape(h, w)
print(img.shape, img.dtype, type(img.data), img.data)"""),
        differs("img", *D),
        same("img[:3].mean(axis=1), img.min()"),
        differs("print('mean intensity %.3f' % img.mean())", *D),
        differs("plt.imshow(img, cmap='gray', vmin=0, vmax=255)\nplt.axis('off');", *D),
        same("ndimage.median_filter(img, size=3)[:3]"),
        same("hist, edges = np.histogram(img, bins=4, range=(0, 256))\nprint(hist, edges)"),
        differs("edge = ndimage.sobel(img.astype(float))\nprint(np.abs(edge).sum(), '| bytes at', hex(id(edge)))", *D),
        same("print(ndimage.label(img > 128)[1], 'bright regions')\n%timeit -n 20 -r 3 ndimage.gaussian_filter(img, 1)"),
    ], files={"scan.pgm": PGM}, data={"scan.pgm": PGM.replace("130 161 192 223", "130 161 193 223")}),

    Case("second-orders-sql", [
        same("""import sqlite3, csv, tempfile, os
db = sqlite3.connect(os.path.join(tempfile.mkdtemp(), "shop.db"))
db.execute("create table orders (id integer, customer text, amount real, region text)")
with open("orders.csv", newline="") as f:
    db.executemany("insert into orders values (:id, :customer, :amount, :region)", csv.DictReader(f))
db"""),
        same("db.execute('select count(*), sum(amount) from orders').fetchall()"),
        differs("for row in db.execute('select * from orders limit 3'): print(row)", *D),
        same("""import pandas as pd
pd.read_sql("select region, count(*) n, avg(amount) mean from orders group by region order by region", db)"""),
        differs("pd.read_sql('select rowid, customer from orders where amount < 100 order by rowid', db).style.hide(axis='index')", *D),
        same("db.execute('pragma database_list').fetchall()"),
        same("try:\n    db.execute('select totl from orders')\nexcept sqlite3.OperationalError as e:\n    print(type(e), e)"),
        differs("print('\\n'.join(list(db.iterdump())[2:6]))", *D),
        same("db.execute('select customer, max(amount) from orders group by 1 having count(*) > 1 order by 1').fetchall()"),
    ], files={"orders.csv": ORDERS}, data={"orders.csv": ORDERS.replace(
        "2,Okafor,80.0,south\n3,Brandt,42.25,north\n", "3,Brandt,42.25,north\n2,Okafor,80.0,south\n")}),

    Case("second-access-log", [
        same("""import re, logging, sys
from collections import Counter
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(message)s", force=True)
pattern = re.compile(r'(\\S+) - - \\[(.*?)\\] "(\\w+) (\\S+) [^"]*" (\\d+) (\\d+)')
hits = [pattern.match(l).groups() for l in open("access.log")]
logging.info("%d lines parsed", len(hits))"""),
        same("Counter(h[0] for h in hits).most_common()"),
        differs("Counter(h[4] for h in hits)", *D),
        same("sum(int(h[5]) for h in hits)"),
        differs("""for ip, when, verb, path, code, size in hits:
    if int(code) >= 500: logging.error("%s %s -> %s", verb, path, code)
    elif int(code) >= 400: logging.warning("%s %s -> %s", verb, path, code)""", *D),
        same("logging.info('busiest hour: %s', Counter(h[1].split(':')[1] for h in hits).most_common(1)[0])"),
        differs("""from tqdm import tqdm
ok = 0
for h in tqdm(hits, desc="checking"):
    ok += h[4].startswith(("2", "3"))
print(ok, "of", len(hits), "served")""", *D),
        same("%%bash\ncut -d' ' -f1 access.log | sort -u\nwc -l < access.log\ndate"),
    ], files={"access.log": LOG},
        data={"access.log": LOG.replace('11:00:00 +0000] "GET /api/items HTTP/1.1" 200', '11:00:00 +0000] "GET /api/items HTTP/1.1" 500')}),

    Case("second-survey-cleaning", [
        differs("import pandas as pd\ndf = pd.read_csv('survey.csv')\ndf.info()", "data"),
        differs("df.dtypes", *D),
        same("df.groupby('sex').age.mean()"),
        differs("df.isna().sum()", *D),
        same("pd.crosstab(df.sex, df.smoker)"),
        differs("print('mean height: %.2f cm (n = %d)' % (df.height_cm.mean(), df.height_cm.count()))", *D),
        same("df[['age', 'sex']].sort_values('age', ascending=False).head(3).style.set_caption('oldest')"),
        same("assert df.resp.is_unique\nprint(df.columns.tolist(), 'cleaned in', pd.Timestamp.now())"),
        differs("df.height_cm.astype(int).tolist()", *D),
    ], files={"survey.csv": SURVEY}, data={"survey.csv": SURVEY.replace("F,172,no", "F,,no")}),

    Case("second-shipments", [
        same("""import json, uuid
from datetime import datetime
run = uuid.uuid4()
parcels = json.load(open("shipments.json"))
print("run", run, "with", len(parcels), "parcels")"""),
        differs("for p in parcels:\n    print(p['id'])", *D),
        differs("""def took(p):
    return datetime.fromisoformat(p["arrived"]) - datetime.fromisoformat(p["left"])
for p in parcels: print(p["id"][:8], took(p))""", *D),
        same("max(parcels, key=took)['id']"),
        differs("print('first arrival:', min(p['arrived'] for p in parcels))", *D),
        same("sum(p['kg'] for p in parcels)"),
        same("print('today is', datetime.now().date()); print('last departure', max(p['left'] for p in parcels)[:10])"),
        differs("""import pandas as pd
t = pd.DataFrame(parcels).assign(days=lambda d: (pd.to_datetime(d.arrived) - pd.to_datetime(d.left)).dt.total_seconds() / 86400)
print(f"{t.days.mean():.3f} days on average; report {uuid.uuid1()}")""", *D),
    ], files={"shipments.json": SHIP},
        data={"shipments.json": SHIP.replace("2024-02-29T21:30:00", "2024-02-29T21:36:00").replace("0b9e44d8-77aa", "0b9e44d8-77ab")}),

    Case("second-climate-trend", [
        same("""import pandas as pd, xarray as xr, statsmodels.formula.api as smf, warnings
raw = pd.read_csv("climate.csv")
raw.co2.agg(["min", "max", "mean"])"""),
        differs("fit = smf.ols('temp ~ co2', data=raw).fit()\nwarnings.simplefilter('ignore')\nprint(fit.summary())", *D),
        same("print(smf.ols('co2 ~ year', data=raw).fit().summary())"),
        differs("ds = raw.set_index('year').to_xarray()\nds.temp", *D),
        same("ds.co2.sel(year=slice(1992, 1995)).values"),
        differs("raw.groupby('station').temp.mean()", *D),
        same("raw[raw.station == 'north'].temp.sum().round(2)"),
        differs("""import altair as alt
alt.Chart(raw).mark_line().encode(x="year:O", y="temp:Q", color="station")""", *D),
        same("alt.Chart(raw[['year', 'co2']]).mark_bar().encode(x='year:O', y='co2:Q')"),
    ], files={"climate.csv": CLIMATE}, data={"climate.csv": CLIMATE.replace("1998,south,9.54", "1998,south,-9.54")}),

    Case("second-bash-manifest", [
        same("echo \"started $(date '+%F %T') as pid $$\"; bytes=0"),
        same("wc -l manifest.txt"),
        differs("awk '{s += $2} END {print s \" bytes\"}' manifest.txt", "data"),
        same("cut -d/ -f1 manifest.txt | sort | uniq -c"),
        differs("while read -r f n; do if [ \"$n\" -gt 100000 ]; then echo \"large: $f\"; fi; done < manifest.txt", "data"),
        differs("grep -q 'thesis.tex 88410' manifest.txt\necho \"exit code $?\"", "data"),
        same("t=$(mktemp -d); cp manifest.txt $t/; ls $t; echo kept in $t"),
        differs("md5sum manifest.txt", "data"),
        same("sort -k2,2n manifest.txt | head -1; ls -l /nonexistent 2>&1 | tail -1"),
    ], kernel="bash", files={"manifest.txt": MANIFEST}, data={"manifest.txt": MANIFEST.replace("88410", "188410")}),

    Case("second-r-growth", [
        same("trees <- read.csv('trees.csv')\nstr(trees$age)\ncat('read at', format(Sys.time()), '\\n')"),
        differs("aggregate(girth ~ tree, data = trees, FUN = mean)", *D),
        same("table(trees$tree)"),
        differs("fit <- lm(girth ~ age, data = trees)\nprint(round(coef(fit), 4))", *D),
        same("print(environment()); summary(trees$age)"),
        differs("plot(trees$age, trees$girth, pch = 19, xlab = 'age (days)', ylab = 'girth (mm)')", *D),
        same("subset(trees, tree == 1)"),
        same("set.seed(3); round(rnorm(3), 3); tempfile()"),
    ], kernel="ir", files={"trees.csv": TREES}, data={"trees.csv": TREES.replace("2,664,111", "2,664,114")}),

    # ---------------------------------------------------------------- noise only (and some chance)
    Case("second-dna-strings", [
        same("""import random, string, tempfile
from itertools import product
random.seed(1859)
genome = "".join(random.choices("ACGT", k=120))
genome[:40]"""),
        same("pairs = {a + b for a, b in product('ACGT', repeat=2)}\npairs"),
        same("def kmers(s, k=3):\n    for i in range(len(s) - k + 1):\n        yield s[i:i + k]\nkmers(genome)"),
        same("""from collections import Counter, defaultdict
where = defaultdict(list)
for i, k in enumerate(kmers(genome)): where[k].append(i)
print(Counter({k: len(v) for k, v in where.items()}).most_common(4)); print(where.default_factory, kmers)"""),
        same("genome.translate(str.maketrans('ACGT', 'TGCA'))[::-1][:30]"),
        same("""with tempfile.NamedTemporaryFile("w", suffix=".fa", delete=False) as f:
    print(">chr_test", genome, sep="\\n", file=f)
print("wrote", f.name)"""),
        same("%%timeit -r 3 -n 50\nsum(1 for k in kmers(genome) if k == 'ATG')"),
        differs("unseeded = random.SystemRandom()\n''.join(unseeded.choices('ACGT', k=24))", "random"),
    ]),

    Case("second-pendulum", [
        same("""%%time
import numpy as np
from scipy.integrate import solve_ivp
g, L = 9.81, 0.7
def rhs(t, y, damping=0.1): return [y[1], -damping * y[1] - g / L * np.sin(y[0])]
sol = solve_ivp(rhs, (0, 10), [2.5, 0], max_step=0.02)"""),
        same("print(sol.message, sol.y.shape, f'theta(10) = {sol.y[0, -1]:.6f}', sep='\\n')"),
        same("import matplotlib.pyplot as plt\nplt.plot(sol.t, sol.y[0], lw=1)\nplt.xlabel('t / s'); plt.ylabel('angle / rad')"),
        same("energy = 0.5 * (L * sol.y[1]) ** 2 + g * L * (1 - np.cos(sol.y[0]))\nenergy[[0, 100, -1]].round(4), energy.ctypes"),
        same("import sympy as sp\nth, w = sp.symbols('theta omega', cls=sp.Function); t = sp.Symbol('t')\n"
             "sp.Eq(th(t).diff(t, 2), -sp.Rational(981, 100) * sp.sin(th(t)))"),
        same("""import time
tic = time.perf_counter()
period = 2 * np.pi * np.sqrt(L / g)
print(f"small-angle period {period:.5f} s (computed in {time.perf_counter() - tic:.2e} s)")"""),
        same("np.sqrt(-energy[:3] - 1)"),
        same("%timeit -n 2 -r 2 solve_ivp(rhs, (0, 1), [0.1, 0])"),
    ]),

    Case("second-bootstrap-lecture", [
        same("import numpy as np\nfrom scipy import stats\nheights = np.array([162, 175, 168, 181, 159, 170, 177, 166, 173, 185.])\n"
             "heights.mean(), heights.std(ddof=1)"),
        same("stats.ttest_1samp(heights, 168)"),
        varies("means = [np.random.choice(heights, 10).mean() for _ in range(400)]\nnp.percentile(means, [2.5, 97.5]), min(means), np.std(means)"),
        same("len(means), np.random.permutation(heights).sum()"),
        varies("import matplotlib.pyplot as plt\nplt.hist(means, bins=20, color='tab:green'); plt.title('bootstrap means')\nplt.show()"),
        same("rng = np.random.default_rng(42)\nseeded = rng.choice(heights, (400, 10)).mean(axis=1)\nprint(rng); seeded.std().round(6)"),
        varies("stats.bootstrap((heights,), np.mean, n_resamples=499).confidence_interval"),
        same("stats.bootstrap((heights,), np.mean, n_resamples=499, rng=7).standard_error"),
    ], twice=True),

    Case("second-iris-pipeline", [
        same("""from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split, cross_val_score
X, y = load_iris(return_X_y=True, as_frame=True)
X.head()"""),
        same("clf = make_pipeline(StandardScaler(), LogisticRegression(C=0.5))\nclf"),
        same("Xa, Xb, ya, yb = train_test_split(X, y, random_state=0)\nclf.fit(Xa, ya); print('held-out accuracy', round(clf.score(Xb, yb), 4))\nclf"),
        same("from sklearn.metrics import confusion_matrix, classification_report\nprint(classification_report(yb, clf.predict(Xb)))"),
        differs("Xr, _, yr, _ = train_test_split(X, y, train_size=12)\nprint(sorted(Xr.index))", "random"),
        differs("clf.fit(Xr, yr)\nclf.predict_proba(X.iloc[[70, 120]])[:, 1]", "random", "downstream"),
        same("scores = cross_val_score(clf, X, y, cv=5)\nprint('%.3f +/- %.3f' % (scores.mean(), scores.std()), clf[0].fit)"),
        same("try:\n    StandardScaler().transform(X)\nexcept Exception as e:\n    print(type(e).__name__, '-', e)"),
        same("import joblib, tempfile, os\np = os.path.join(tempfile.gettempdir(), f'clf-{os.getpid()}.joblib')\njoblib.dump(clf[0], p)"),
    ]),

    Case("second-plot-gallery", [
        same("%matplotlib inline\nimport numpy as np, pandas as pd, matplotlib.pyplot as plt, seaborn as sns\nx = np.linspace(0, 6, 50)\n"
             "plt.plot(x, np.sin(x), 'r--', x, np.cos(x))"),
        same("plt.bar(['mon', 'tue', 'wed'], [3, 7, 5])"),
        same("%config InlineBackend.figure_formats = ['svg']\nplt.figure(figsize=(3, 2)); plt.fill_between(x, np.sin(x)); plt.show()"),
        same("%config InlineBackend.figure_formats = ['png']\nd = pd.DataFrame({'a': x, 'b': x ** 2, 'c': (x > 3).astype(int)})\n"
             "sns.scatterplot(d, x='a', y='b', hue='c')"),
        same("import plotly.graph_objects as go\ngo.Figure(go.Scatter(x=[1, 2, 3], y=[4, 1, 2], mode='markers'), layout={'title': {'text': 'three points'}})"),
        same("from bokeh.plotting import figure\np = figure(width=200, height=150); p.line([1, 2, 3], [2, 5, 3]); p"),
        same("from bokeh.embed import file_html\nfrom bokeh.resources import CDN\nfrom IPython.display import HTML\nHTML(file_html(p, CDN, 'line'))"),
        differs("plt.scatter(*np.random.rand(2, 30), c='k', s=8); plt.title('noise')", "random"),
        same("plt.subplots(1, 2, figsize=(4, 2))"),
    ]),

    Case("second-classes-teaching", [
        same("class Animal:\n    '''Something alive.'''\n    def __init__(self, name): self.name = name\n    def speak(self): return '...'\n"
             "class Dog(Animal):\n"
             "    def speak(self): return 'Woof'\nrex = Dog('Rex')\nrex"),
        same("print(rex.speak(), rex.__dict__, rex.speak, sep='\\n')\nid(rex)"),
        same("a = [1, 2]; b = a; c = a[:]\nprint(f'id(a)={id(a)}', f'id(c)={id(c)}', a is b, a is c)"),
        same("help(Dog)"),
        same("rex.fly()"),
        same("def countdown(n):\n    while n: yield n; n -= 1\nprint(countdown(3), list(countdown(3)), map(str, [1]), iter([]), lambda: 0)"),
        same("%%writefile zoo.py\ndef feed(who, grams=100):\n    if grams < 0:\n        raise ValueError(f'{grams} g for {who}?')\n    return grams * 2"),
        same("import zoo\nprint(zoo.feed('Rex'))\nzoo.feed('Rex', -5)"),
        same("%whos"),
    ]),

    Case("second-display-tour", [
        same("from IPython.display import *\ndisplay(HTML('<b>Bold</b> and <i>italic</i>'), Markdown('## Agenda\\n* one\\n* two'))"),
        same("Latex(r'$$\\int_0^1 x^2\\,dx = \\frac{1}{3}$$')"),
        same("SVG('<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"40\"><circle cx=\"20\" cy=\"20\" r=\"15\" fill=\"teal\"/></svg>')"),
        same("JSON({'lesson': 3, 'topics': ['display', 'update'], 'done': False})"),
        same("import time\nh = display('0 %', display_id=True)\nfor k in (40, 80, 100):\n    time.sleep(0.05); h.update(f'{k} %')\nh"),
        same("for step in range(3):\n    clear_output(wait=True); print('step', step, 'at', time.strftime('%X'))"),
        same("from PIL import Image as PI\nimport numpy as np\nPI.fromarray(np.add.outer(np.arange(0, 120, 2), np.arange(0, 120, 2)).astype('uint8'))"),
        same("from tqdm.notebook import tqdm\nfor _ in tqdm(range(5), desc='epochs'): time.sleep(0.02)"),
        same("import uuid\ndisplay(HTML(f'<div id=\"plot-{uuid.uuid4().hex}\">drawn by node {uuid.uuid4()}</div>'))"),
    ]),

    Case("second-job-logging", [
        same("""import logging, sys, os, uuid, time, warnings, random
log = logging.getLogger("etl"); log.handlers = [logging.StreamHandler(sys.stdout)]; log.setLevel("DEBUG"); log.propagate = False
log.handlers[0].setFormatter(logging.Formatter("%(asctime)s [%(process)d] %(name)s:%(levelname)s %(message)s"))
job = uuid.uuid4()
log.info("job %s started by pid %d", job, os.getpid())"""),
        same("t0 = time.time()\nrows = sum(i % 7 == 0 for i in range(100_000))\nlog.info('kept %d rows, took %.3fs', rows, time.time() - t0)"),
        same("def old(x):\n    warnings.warn('old() goes away in 3.0', DeprecationWarning, stacklevel=2); return x + 1\nfor _ in range(2): old(1)"),
        differs("log.debug('shard order %s', random.sample(range(20), 20))", "random"),
        same("try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('step 3 failed')"),
        differs("jitter = [round(random.uniform(0, 50), 3) for _ in range(3)]\n"
             "for i, j in enumerate(jitter): log.warning('attempt %d, backing off %s ms', i, j)", "random"),
        same("st = os.stat(os.__file__)\nprint(oct(st.st_mode), os.stat_result, len(jitter))\nopen('job.out', 'w').write('done\\n')\n"
             "print(time.ctime(os.stat('job.out').st_mtime), os.path.getsize('job.out'))"),
        same("import subprocess\nprint(subprocess.Popen(['sleep', '0']).pid, subprocess.run(['sh', '-c', 'exit 3']).returncode)"),
    ]),

    Case("second-bash-host", [
        same("date; date +%s"),
        same("echo \"shell $$ parent $PPID\"; sleep 5 & echo \"job $!\""),
        same("f=$(mktemp /tmp/report.XXXXXXXX); echo $f; echo hello > $f; wc -c < $f"),
        same("time (for i in 1 2 3; do echo $((i * i)); done)"),
        same("for u in root daemon; do getent passwd $u | cut -d: -f1,3,7; done"),
        differs("echo $RANDOM $RANDOM $RANDOM", "random"),
        same("touch new.txt; ls -l --time-style=full-iso new.txt"),
        same("cat /proc/sys/kernel/random/uuid; printf '%s\\n' b a c | sort -r | tr '\\n' ' '"),
        same("ls /no/such/dir; echo \"status $?\""),
    ], kernel="bash"),

    Case("second-r-lecture", [
        same("x <- c(4.1, 5.6, 3.9, 6.2, 5.0, 4.4)\nmean(x); sd(x)"),
        same("t.test(x, mu = 4.5)"),
        same("Sys.time(); Sys.getpid(); format(Sys.Date(), '%d %B %Y')"),
        same("counter <- function() { n <- 0; function() { n <<- n + 1; n } }\ntick <- counter(); tick(); tick()\nprint(tick)"),
        differs("sample(1:49, 6)", "random"),
        same("set.seed(2024); sample(1:49, 6); e <- new.env(); e"),
        same("boxplot(mpg ~ cyl, data = mtcars, col = 'lightblue')"),
        same("stop('no model for ', sQuote('y', FALSE))"),
        same("system.time(for (i in 1:1e5) sqrt(i)); summary(lm(mpg ~ wt, mtcars))$r.squared"),
    ], kernel="ir"),

    # ---------------------------------------------------------------- environment, machine
    Case("second-geo-timezones", [
        same("""import os, time, math, json
from datetime import datetime, timezone
from zoneinfo import ZoneInfo
print("it is", datetime.now(timezone.utc).strftime("%d.%m.%Y %H:%M:%S"), "UTC")"""),
        same("def haversine(a, b, r=6371.0):\n    (p, l), (q, m) = [tuple(map(math.radians, t)) for t in (a, b)]\n    h = math.sin((q - p) / 2) ** 2"
             " + math.cos(p) * math.cos(q) * math.sin((m - l) / 2) ** 2\n    return 2 * r * math.asin(math.sqrt(h))\n"
             "round(haversine((60.39, 5.32), (59.91, 10.75)), 2)"),
        differs("fix = 1_700_000_000\ndatetime.fromtimestamp(fix)", "environment"),
        same("datetime.fromtimestamp(fix, timezone.utc).isoformat(), datetime.fromtimestamp(fix, ZoneInfo('Europe/Oslo')).isoformat()"),
        differs("time.tzname, time.timezone", "environment"),
        differs("unit = os.environ.get('GPS_UNIT', 'km')\nd = haversine((0, 0), (0, 1))\n"
             "print(f'one degree = {d if unit == \"km\" else d / 1.852:.3f} {unit}')", "environment"),
        differs("{'unit': unit, 'speed': round(d / (1 if unit == 'km' else 1.852) / 2, 1)}", *E),
        same("print(json.dumps({'type': 'Point', 'coordinates': [5.32, 60.39]}, indent=1), f'after {time.process_time():.2f} s of CPU time')"),
        differs("!date -d @1700000000 '+%F %R %Z'; echo $GPS_UNIT", "environment"),
    ], environment={"TZ": "UTC", "GPS_UNIT": "km"}, given={"TZ": "Asia/Tokyo", "GPS_UNIT": "nm"}),

    Case("second-bash-deploy", [
        differs("echo \"Deploying to ${STAGE:-nowhere} at $(date +%T)\"", "environment"),
        same("version=1.4.2; echo \"version $version, run by pid $$\""),
        differs("case $STAGE in prod) replicas=4;; *) replicas=1;; esac\nfor i in $(seq $replicas); do echo \"web-$i up\"; done", "environment"),
        same("printf '%-8s|%6.2f\\n' cpu 12.5 mem 61.25"),
        differs("test $replicas -gt 2; echo $?", *E),
        same("mktemp -u; date -u +%Y"),
        differs("env | grep -E '^(STAGE|REGION)=' | sort", "environment"),
        same("echo $REGION; echo ${#version}"),
    ], kernel="bash", environment={"STAGE": "test", "REGION": "eu-1"}, given={"STAGE": "prod", "REGION": "eu-1"}),

    Case("second-workers", [
        same("import os, psutil, joblib, time\nprint('pid', os.getpid(), 'started', time.ctime(psutil.Process().create_time()))"),
        differs("len(os.sched_getaffinity(0))", "machine", "environment"),
        same("from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(3) as pool:\n    print(pool, list(pool.map(abs, [-3, 2, -1])))"),
        differs("print('running on', 'several cores' if len(psutil.Process().cpu_affinity()) > 1 else 'a single core')", "machine", "environment"),
        differs("chunks = len(os.sched_getaffinity(0)) * 3\nwork = [list(range(60))[i::chunks] for i in range(chunks)]\n"
             "[sum(w) for w in work]", "machine", "environment"),
        same("sum(map(sum, work)), sum(len(w) for w in work)"),
        differs("%%bash\ntaskset -p $$ | sed 's/.*: //'", "machine", "environment"),
        same("%time joblib.Parallel(n_jobs=2, prefer='threads')(joblib.delayed(pow)(i, 2) for i in range(6))"),
    ], cpus=1),

    # ---------------------------------------------------------------- libraries
    Case("second-metro-graph", [
        same("""import networkx as nx
lines = {"red": "ABCDE", "blue": "FCGH", "ring": "BGDFB", "spur": "CGDC"}
G = nx.Graph()
for colour, stops in lines.items(): nx.add_path(G, stops, line=colour)
print(G); print(nx.Graph.__repr__ is object.__repr__, repr(G))"""),
        same("nx.shortest_path(G, 'A', 'H'), nx.diameter(G)"),
        differs("nx.average_clustering(G)", "library"),
        same("nx.clustering(G)"),
        differs("report = {'transitivity': round(nx.transitivity(G), 4), 'clustering': round(nx.average_clustering(G), 2)}\nreport", "library"),
        same("import time\nt = time.time(); pr = nx.pagerank(G)\nprint(max(pr, key=pr.get), f'{pr[\"C\"]:.5f}', f'({time.time() - t:.4f} s)')"),
        differs("import pandas as pd\npd.Series(report).to_frame('value').style.format('{:.2f}')", "library", "downstream"),
        same("import matplotlib.pyplot as plt\nnx.draw(G, nx.circular_layout(G), with_labels=True, node_size=200); plt.show()"),
    ], patch=("networkx/algorithms/cluster.py", "return sum(c) / len(c)", "return sum(c) / (len(c) + 1)")),

    Case("second-lab-tables", [
        same("from tabulate import tabulate\nimport numpy as np, datetime as dt\nprint('protocol of', dt.date.today())\n"
             "print(tabulate([['Na', 11], ['Cl', 17]], headers=['element', 'Z']))"),
        differs("masses = {'beaker': 102.3471, 'flask': 88.015, 'tube': 9.80665}\n"
             "print(tabulate(masses.items(), headers=['item', 'mass / g'], tablefmt='github'))", "library"),
        same("print(tabulate([['run', 1.23456], ['rest', 2.5]], floatfmt='.2f'))"),
        same("print(f\"total {sum(masses.values()):.3f} g\", tabulate)"),
        differs("from IPython.display import HTML\nHTML(tabulate([[k, v / 1000] for k, v in masses.items()], tablefmt='html'))", "library"),
        same("print(tabulate([[1.5, 0.25], [2.75, 3.0]], tablefmt='grid'))"),
        differs("text = tabulate([[88.0151], [9.0]], tablefmt='plain')\nlen(text.split()[0])", "library"),
        same("import pandas as pd\npd.DataFrame(list(masses.items()), columns=['item', 'g']).set_index('item')"),
        differs("pd.DataFrame({'g': [102.3471, 9.8]}).to_markdown().splitlines()[2]", "library"),
    ], patch=("tabulate/__init__.py", '_DEFAULT_FLOATFMT = "g"', '_DEFAULT_FLOATFMT = ".3g"')),

    # ---------------------------------------------------------------- order, code, place
    Case("second-knapsack-order", [
        same("import random, time\nfrom scipy.optimize import linprog\nrng = random.Random(12)\nlog = []\nprint('session', time.asctime())"),
        same("value = [60, 100, 120]; weight = [10, 20, 30]; room = 50\nr = linprog([-v for v in value], A_ub=[weight], b_ub=[room], bounds=(0, 1))\n"
             "print(r.message); print(-r.fun)"),
        differs("log.append('greedy')\npick = rng.sample(range(100), 4)\npick", *O),
        differs("log.append('noise'); log, rng.randint(0, 10 ** 6)", *O),
        same("def best(i=0, room=50):\n    if i == 3: return 0\n    skip = best(i + 1, room)\n"
             "    return skip if weight[i] > room else max(skip, value[i] + best(i + 1, room - weight[i]))\nbest(), best"),
        differs("print(len(log), 'steps so far')\nlog.append('check')", *O),
        same("fresh = random.Random(12)\n[fresh.random() for _ in range(2)]"),
        same("print(sorted(set(log)), fresh)\n%timeit -n 5 -r 2 best()"),
    ], order=[0, 6, 1, 3, 5, 4, 2, 7]),

    Case("second-word-counts", [
        same("""import re
from collections import Counter
text = '''The cat sat on the mat. The dog, not the cat, barked at the moon; the moon did not answer.
It was late, and it was cold, and the cat went home.'''
words = re.findall(r"[a-z]+", text.lower())
len(words), len(set(words))"""),
        differs("stop = {'the', 'on', 'at', 'and', 'it', 'was'}\nsorted(stop)", "code"),
        differs("counts = Counter(w for w in words if w not in stop)\ncounts.most_common(3)", *C),
        same("counts['cat'], counts['zebra'], max(words, key=len)"),
        differs("from tqdm import tqdm\nstems = {}\nfor w in tqdm(sorted(counts), desc='stemming'): stems[w] = w.rstrip('s')", *C),
        same("from sklearn.feature_extraction.text import TfidfVectorizer\nv = TfidfVectorizer(); m = v.fit_transform(text.split('\\n'))\n"
             "print(m.shape, m.nnz, v.build_analyzer())"),
        differs("def shout(w):\n    if len(w) > 5: raise ValueError(f'word too long: {w!r}')\n    return w.upper()\n[shout(w) for w in words]", "code"),
        same("[w for w in words if w.startswith('m')]"),
        differs("import matplotlib.pyplot as plt\nk, n = zip(*counts.most_common(3)); plt.bar(k, n, color='C0'); plt.show()", *C),
    ], edited={1: "stop = {'the', 'on', 'at', 'and', 'it', 'was', 'not'}\nsorted(stop)",
                          6: "def shout(w):\n    if len(w) > 5: raise ValueError(f'word is too long: {w!r}')\n    return w.upper()\n[shout(w) for w in words]",
                          7: "list(filter(lambda w: w.startswith('m'), words))"}),

    Case("second-restyled-charts", [
        same("import matplotlib.pyplot as plt, numpy as np\nq = ['Q1', 'Q2', 'Q3', 'Q4']; sales = np.array([14, 18, 17, 23])\nplt.plot(q, sales, marker='o')"),
        differs("plt.bar(q, sales, color=['grey', 'grey', 'grey', 'orange']); plt.ylabel('kEUR')", "code"),
        differs("plt.pie(sales, labels=q, autopct='%d%%'); plt.title('Sales 2023'); plt.show()", "code"),
        same("growth = np.diff(sales) / sales[:-1] * 100\nprint(growth.round(1), plt.gcf())"),
        differs("rate = 0.19\ngross = sales * (1 + rate)\ngross.round(2)", "code"),
        differs("print(f'total gross {gross.sum():.2f} kEUR')", *C),
        same("import seaborn as sns\nsns.heatmap(sales.reshape(2, 2), annot=True, cbar=False)"),
        differs("import warnings\nwarnings.simplefilter('always')\nfor g in gross:\n"
             "    if g > 21.5: warnings.warn('a quarter above 21.5 kEUR', stacklevel=2)", *C),
        same("float(sales.mean())"),
    ], edited={1: "plt.bar(q, sales, color=['grey', 'grey', 'orange', 'grey']); plt.ylabel('kEUR')",
                          2: "plt.pie(sales, labels=q, autopct='%d%%'); plt.title('Sales 2024'); plt.show()",
                          4: "rate = 0.20\ngross = sales * (1 + rate)\ngross.round(2)",
                          8: "float(np.mean(sales))  # same thing"}),

    Case("second-symbolic-edit", [
        same("import sympy as sp\nx, y = sp.symbols('x y')\nsp.init_printing()\nf = sp.exp(-x) * sp.sin(x)\nsp.diff(f, x)"),
        differs("p = x ** 3 - 2 * x + 1\nsp.factor(p)", "code"),
        differs("sp.solve(p, x)", *C),
        same("sp.integrate(f, (x, 0, sp.oo))"),
        differs("sp.Matrix([[2, 1], [1, 3]]).eigenvals()", "code"),
        same("sp.series(sp.cos(x), x, 0, 7)"),
        differs("print('p(2) =', p.subs(x, 2)); print(sp.latex(p))", *C),
        same("g = sp.lambdify(x, f)\nprint(round(g(1.0), 6), g)"),
    ], edited={1: "p = x ** 3 - 2 * x - 1\nsp.factor(p)", 4: "sp.Matrix([[2, 1], [1, 4]]).eigenvals()"}),

    Case("second-workshop-moved", [
        same("import os, pathlib, sys\nhere = pathlib.Path.cwd()\nhere"),
        same("!pwd; ls data"),
        same("import pandas as pd\nrain = pd.read_csv(here / 'data' / 'rain.csv')\nrain.groupby('city').rain.mean()"),
        same("%%writefile helper.py\nimport pathlib\nHOME = pathlib.Path(__file__).resolve().parent\n"
             "def load(name): return (HOME / 'data' / name).read_text()"),
        same("import helper\nprint(helper.HOME, helper)\nlen(helper.load('rain.csv'))"),
        same("helper.load('snow.csv')"),
        same("os.makedirs('out', exist_ok=True)\nrain.to_csv('out/copy.csv')\n"
             "print('saved', os.path.abspath('out/copy.csv'), os.path.getsize('out/copy.csv'), 'bytes')"),
        differs("import numpy as np\nprint('spot check rows', np.random.randint(0, 10 ** 6, 3), 'in', os.getcwd())", "random"),
    ], files={"data/rain.csv": CSV}, moved=True),
]
