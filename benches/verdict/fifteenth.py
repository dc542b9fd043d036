"""The fifteenth blind set: signals, surveys, reports, figures.

Written by someone who had seen neither the rules nor the other cases, asked for notebooks as people write them, with dates, ids and durations that are data. Every truth was
decided from what the cell does, then checked in a plain kernel before and after its change. README has its figures at first sight. Rules were mended by some of
these since.
"""

from truth import Case, Cell, differs, same, varies  # noqa: F401

BLIND = []

# ---------------------------------------------------------------- noise only

BLIND.append(Case("i-edges-noise", [
    same(r'''
import time, logging, sys, os, uuid, datetime as dt
import numpy as np
import matplotlib.pyplot as plt
from scipy import ndimage as ndi
logging.basicConfig(stream=sys.stdout, level=logging.INFO, force=True,
                    format="%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
log = logging.getLogger("edges")
RUN = uuid.uuid4()
log.info("run %s on %s", RUN, dt.date.today().isoformat())
'''),
    same(r'''
%%time
rng = np.random.default_rng(42)
yy, xx = np.mgrid[:96, :128]
img = np.zeros((96, 128))
for cy, cx, r in [(25, 30, 12), (60, 90, 18), (70, 35, 9)]:
    img += (np.hypot(yy - cy, xx - cx) < r) * 1.0
img += rng.normal(0, 0.08, img.shape)
print("image", img.shape, img.dtype, "mean %.4f" % img.mean())
'''),
    same(r'''
t0 = time.perf_counter()
smooth = ndi.gaussian_filter(img, 1.5)
gx, gy = ndi.sobel(smooth, 1), ndi.sobel(smooth, 0)
mag = np.hypot(gx, gy)
log.info("sobel done in %.2f ms, 99th percentile %.3f", 1e3 * (time.perf_counter() - t0), np.percentile(mag, 99))
'''),
    same(r'''
class Region:
    def __init__(self, label, area, centre):
        self.label, self.area, self.centre = label, area, centre
labels, n = ndi.label(smooth > 0.5)
regions = [Region(i, int((labels == i).sum()), ndi.center_of_mass(labels == i)) for i in range(1, n + 1)]
for r in regions:
    print(r, r.area, "centre (%.1f, %.1f)" % r.centre)
regions
'''),
    same(r'''
fig, axes = plt.subplots(1, 3, figsize=(9, 2.6))
for ax, a, title in zip(axes, (img, smooth, mag), ("raw", "smoothed", "gradient")):
    im = ax.imshow(a, cmap="magma"); ax.set_title(title); ax.axis("off")
fig.colorbar(im, ax=axes)
print(fig.canvas, id(fig))
axes[0].annotate("disc 1", (30, 25), color="cyan")
'''),
    same(r'''
from tqdm.auto import tqdm
thresholds = np.linspace(0.2, 0.8, 7)
counts = []
for t in tqdm(thresholds, desc="thresholds"):
    counts.append(ndi.label(smooth > t)[1]); time.sleep(0.01)
print(dict(zip(thresholds.round(1).tolist(), counts)), "by pid", os.getpid(), "took", time.process_time(), "s cpu")
'''),
    same(r'''
%timeit -n 5 -r 3 ndi.median_filter(img, 3)
'''),
    same(r'''
import tempfile, warnings
out = tempfile.NamedTemporaryFile(prefix="mask_", suffix=".npy", delete=False)
np.save(out.name, labels)
warnings.warn(f"mask saved to {out.name}")
print("saved", os.path.getsize(out.name), "bytes at", dt.datetime.fromtimestamp(os.path.getmtime(out.name)))
{"image", "smooth", "gradient", "mask"}
'''),
]))

BLIND.append(Case("i-bootstrap-varies", [
    same(r'''
import numpy as np, pandas as pd, random, time, threading
from scipy import stats
import matplotlib.pyplot as plt
obs = np.array([4.1, 5.3, 3.8, 6.0, 5.5, 4.9, 5.1, 4.4, 6.2, 5.0, 4.7, 5.8])
pd.Series(obs, name="reaction").describe().round(3)
'''),
    varies(r'''
t0 = time.time()
boot = np.array([np.random.choice(obs, obs.size).mean() for _ in range(400)])
lo, hi = np.percentile(boot, [2.5, 97.5])
print(f"bootstrap mean {boot.mean():.6f}  CI [{lo:.5f}, {hi:.5f}]  ({time.time() - t0:.3f} s)")
'''),
    varies(r'''
fig, ax = plt.subplots(figsize=(5, 3))
ax.hist(boot, bins=30, color="slategray")
ax.axvline(obs.mean(), color="r", ls="--", label="observed"); ax.legend()
'''),
    same(r'''
t0 = time.time()
res = stats.ttest_1samp(obs, 5.0)
print(f"t = {res.statistic:.4f}, p = {res.pvalue:.4f}   [{(time.time() - t0) * 1e6:.0f} us]")
'''),
    varies(r'''
order = list("ABCDEFGHIJKLMNOPQRST")
random.shuffle(order)
print("presentation order:", "-".join(order))
'''),
    same(r'''
done = []
def work(k):
    time.sleep(random.random() / 50)
    print(f"worker {k} finished in thread {threading.get_ident()}\n", end="")
    done.append(k)
ts = [threading.Thread(target=work, args=(k,)) for k in range(4)]
[t.start() for t in ts]; [t.join() for t in ts]
print("all done:", sorted(done))
'''),
    same(r'''
rng = np.random.default_rng(2024)
perm = np.array([rng.permutation(obs)[:6].mean() - obs.mean() for _ in range(500)])
print("seeded permutation sd %.5f" % perm.std(), rng)
'''),
]))

BLIND.append(Case("i-shell-noise", [
    same(r'''RUN_ID=$(cat /proc/sys/kernel/random/uuid); echo "run $RUN_ID started $(date '+%F %T') by pid $$"'''),
    same(r'''cat > words.txt <<'END'
the quick brown fox
jumps over the lazy dog
the dog sleeps
END
wc words.txt; sha256sum words.txt'''),
    same(r'''tr -s ' ' '\n' < words.txt | sort | uniq -c | sort -k1,1nr -k2 | head -5'''),
    same(r'''T=$(mktemp -d); cp words.txt $T/; echo "copied to $T"; ls $T'''),
    same(r'''S=$(date +%s%N); for i in 1 2 3; do echo "$(date +%T.%N) step $i of 3"; sleep 0.05; done; E=$(date +%s%N); echo "elapsed $(( (E-S)/1000000 )) ms"'''),
    same(r'''( sleep 0.1; exit 3 ) & 
P=$!; echo "job $P"; wait $P; echo "exit code $?"'''),
    same(r'''ls -l --time-style=full-iso words.txt | awk '{print $5, $6, $7, $9}'
awk '{n+=NF} END {printf "%d words, %.2f per line\n", n, n/NR}' words.txt; rm words.txt'''),
], kernel="bash"))

BLIND.append(Case("i-moved-report", [
    same(r'''
import os, sys, pathlib, hashlib, sqlite3, datetime as dt, subprocess
HERE = pathlib.Path.cwd()
print("working in", HERE)
print("python", sys.version.split()[0], "started", dt.datetime.now().strftime("%d.%m.%Y %H:%M"))
'''),
    same(r'''
import pandas as pd
src = HERE / "wells.csv"
df = pd.read_csv(src, parse_dates=["sampled"])
print(f"{src}: {len(df)} rows, md5 {hashlib.md5(src.read_bytes()).hexdigest()}")
df
'''),
    same(r'''
con = sqlite3.connect(HERE / "wells.db")
df.to_sql("wells", con, index=False, if_exists="replace")
print(con, con.execute("select well, max(nitrate), sampled from wells").fetchone())
pd.read_sql("select strftime('%Y-%m', sampled) month, round(avg(nitrate), 3) nitrate from wells group by 1", con)
'''),
    same(r'''
out = HERE / "out"; out.mkdir(exist_ok=True)
import matplotlib.pyplot as plt
ax = df.plot.scatter("depth", "nitrate", c="depth", cmap="viridis", figsize=(5, 3))
ax.figure.savefig(out / "scatter.png")
print("figure:", (out / "scatter.png").resolve(), ax)
'''),
    same(r'''
p = subprocess.run([sys.executable, "-c", "import os; print('child', os.getpid(), 'in', os.getcwd())"], capture_output=True, text=True)
print(p)
'''),
    same(r'''
try:
    open(HERE / "missing.cfg")
except FileNotFoundError as e:
    print("no config, defaults are used:", e)
print(sorted(str(q) for q in HERE.glob("w*.*")))
'''),
    same(r'''
df.style.background_gradient(subset=["nitrate"], cmap="Oranges").format({"nitrate": "{:.2f}", "sampled": "{:%d %b %Y}"})
'''),
], files={"wells.csv": "well,sampled,depth,nitrate\nW1,2023-04-02,12,3.41\nW2,2023-04-02,31,1.20\nW3,2023-05-11,8,7.96\nW1,2023-05-12,12,3.77\nW2,2023-06-30,31,1.18\n"},
    moved=True))

# ---------------------------------------------------------------- data

SURVEY = """id,submitted,age_group,region,satisfaction,nps
R-1001,2024-03-11 09:14:02,18-29,North,4,9
R-1002,2024-03-11 17:40:55,30-44,South,3,7
R-1003,2024-03-12 08:03:19,45-59,North,5,10
R-1004,2024-03-12 21:47:33,18-29,East,2,4
R-1005,2024-03-13 12:20:10,60+,South,4,8
R-1006,2024-03-13 12:58:41,30-44,East,5,9
R-1007,2024-03-14 23:59:48,45-59,South,3,6
R-1008,2024-03-15 07:31:27,60+,North,4,10
R-1009,2024-03-15 10:05:00,18-29,East,1,2
R-1010,2024-03-16 19:22:16,30-44,North,4,9
"""
BLIND.append(Case("i-survey-dates", [
    same(r'''
import pandas as pd, numpy as np, datetime as dt, time, uuid
import matplotlib.pyplot as plt
T0 = time.time()
print("Survey report", dt.datetime.now().strftime("%Y-%m-%d %H:%M:%S"), "job", uuid.uuid4().hex)
'''),
    same(r'''
df = pd.read_csv("survey.csv", parse_dates=["submitted"])
order = ["18-29", "30-44", "45-59", "60+"]
df["age_group"] = pd.Categorical(df["age_group"], order, ordered=True)
print(f"loaded {len(df)} answers in {time.time() - T0:.4f} s; memory {df.memory_usage(deep=True).sum() / 1024:.1f} kB")
df.dtypes
'''),
    differs(r'''
print(f"[{dt.datetime.now():%Y-%m-%d %H:%M:%S}] latest answers before the reminder:")
for r in df[df.submitted < "2024-03-15 12:00"].tail(3).itertuples():
    print(f"  [{r.submitted:%Y-%m-%d %H:%M:%S}] {r.id} {r.region:<6} nps={r.nps}")
''', "data", "downstream"),
    differs(r'''
per_day = df.groupby(df.submitted.dt.date).size()
print("computed at", time.strftime("%H:%M:%S"), "by", object())
per_day
''', "data", "downstream"),
    same(r'''
seg = np.select([df.nps >= 9, df.nps <= 6], ["promoter", "detractor"], "passive")
vc = pd.Series(seg).value_counts()
print("NPS = %+d" % round(100 * (vc["promoter"] - vc["detractor"]) / len(df)), "at", dt.datetime.now().isoformat())
vc
'''),
    same(r'''
t = time.perf_counter()
tab = pd.crosstab(df.age_group, df.region)
print("crosstab %.3f ms" % (1e3 * (time.perf_counter() - t)))
tab.style.highlight_max(axis=1, color="palegreen")
'''),
    differs(r'''
fig, ax = plt.subplots(figsize=(6, 2.2))
ax.eventplot(df.submitted.dt.hour + df.submitted.dt.dayofyear * 24 , colors="navy", linewidths=2)
ax.set_yticks([]); ax.set_title("arrival of answers (hour of the year)")
print(ax, f"drawn after {time.time() - T0:.2f} s")
''', "data", "downstream"),
    differs(r'''
gaps = df.submitted.sort_values().diff().dropna()
print("longest gap between answers:", gaps.max(), "| mean:", gaps.mean().round("s"))
print("run time:", dt.timedelta(seconds=time.time() - T0))
''', "data", "downstream"),
], files={"survey.csv": SURVEY}, data={"survey.csv": SURVEY.replace("2024-03-14 23:59:48", "2024-03-15 00:00:11")}))

RACE = """bib,name,club,finish
17,Anders,KBK,00:41:32
4,Berit,NOR,00:39:58
23,Chinwe,KBK,00:44:07
8,Dagny,STO,00:40:21
31,Emre,NOR,00:52:46
12,Farid,STO,00:43:15
40,Greta,KBK,00:47:02
"""
BLIND.append(Case("i-race-durations", [
    same(r'''
import pandas as pd, numpy as np, time, logging, sys
import matplotlib.pyplot as plt
start = time.time()
logging.basicConfig(stream=sys.stderr, level="INFO", force=True, format="%(relativeCreated)7.1f ms [%(levelname)s] %(message)s")
log = logging.getLogger()
log.info("starting, pandas %s", pd.__version__)
'''),
    differs(r'''
race = pd.read_csv("race.csv", converters={"finish": pd.Timedelta})
log.info("read %d runners in %.1f ms", len(race), 1e3 * (time.time() - start))
for r in race.head(3).itertuples():
    log.info("%s finished in %s", r.name, str(r.finish).split()[-1])
''', "data"),
    same(r'''
podium = race.sort_values("finish").name.head(3).tolist()
print("podium:", podium, f"(sorted in {time.time() - start:.3f} s)")
'''),
    differs(r'''
print(f"winner took     {race.finish.min().total_seconds():.1f} s")
print(f"mean finish     {race.finish.dt.total_seconds().mean():.1f} s")
print(f"this cell after {time.time() - start:.1f} s")
''', "data", "downstream"),
    differs(r'''
race["behind"] = race.finish - race.finish.min()
race[["bib", "name", "behind"]].sort_values("behind").reset_index(drop=True)
''', "data", "downstream"),
    differs(r'''
club = race.groupby("club").finish.agg(["min", "count"])
print("best of each club, elapsed", round(time.time() - start, 2), "s")
club
''', "data", "downstream"),
    differs(r'''
fig, ax = plt.subplots(figsize=(5, 2.5))
m = race.sort_values("bib").finish.dt.total_seconds() / 60
ax.barh(race.sort_values("bib").name, m, color="teal")
for i, v in enumerate(m):
    ax.text(1, i, f"{int(v)}:{round(v % 1 * 60):02d}", color="w", va="center")
log.info("figure in %.0f ms", 1e3 * (time.time() - start))
''', "data", "downstream"),
    same(r'''
bins = pd.cut(race.finish.dt.total_seconds() / 60, [35, 40, 45, 50, 55]).value_counts(sort=False)
%time print(bins.to_string())
'''),
], files={"race.csv": RACE}, data={"race.csv": RACE.replace("00:41:32", "00:41:37")}))

DOC = """Call me Ishmael. Some years ago, never mind how long precisely, having little
or no money in my purse, and nothing particular to interest me on shore,
I thought I would sail about a little and see the watery part of the world.
It is a way I have of driving off the spleen and regulating the circulation.
"""
BLIND.append(Case("i-corpus-hashes", [
    same(r'''
import re, math, uuid, hashlib, time, collections, zlib
session = uuid.uuid4()
text = open("moby.txt").read()
print("session", session, "read", len(text.split()), "words at", time.ctime())
'''),
    differs(r'''
digest = hashlib.sha256(text.encode()).hexdigest()
print("session ", hashlib.sha256(session.bytes).hexdigest()[:16])
print("document", digest[:16])
''', "data", "downstream"),
    same(r'''
tokens = re.findall(r"[a-z]+", text.lower())
freq = collections.Counter(tokens)
print(len(tokens), "tokens,", len(freq), "types; object", iter(tokens))
freq.most_common(6)
'''),
    differs(r'''
for i, line in enumerate(text.splitlines()):
    t = time.perf_counter_ns()
    c = zlib.crc32(line.encode())
    print(f"line {i} crc {c:08x} ({time.perf_counter_ns() - t} ns)")
''', "data", "downstream"),
    differs(r'''
sents = [s.strip() for s in re.split(r"(?<=[.!?])\s+", text) if s.strip()]
lens = [len(s) for s in sents]
print("sentences", len(sents), "lengths", lens, "| uid", uuid.uuid4().hex[:8])
''', "data", "downstream"),
    same(r'''
def entropy(counter):
    n = sum(counter.values())
    return -sum(v / n * math.log2(v / n) for v in counter.values())
t = time.time()
print(f"entropy {entropy(freq):.6f} bits per word [{time.time() - t:.6f}s]", entropy)
'''),
    differs(r'''
from IPython.display import HTML
doc_id = uuid.uuid5(uuid.NAMESPACE_URL, digest)
HTML(f"<div id='{uuid.uuid4()}'><b>document</b> <code>{doc_id}</code></div>")
''', "data", "downstream"),
    same(r'''
stop = {"the", "a", "of", "and", "i", "or", "is", "it", "in", "to", "on"}
content = {w for w in freq if w not in stop and freq[w] > 1}
print(content)
'''),
], files={"moby.txt": DOC}, data={"moby.txt": DOC.replace("precisely, having", "precisely... having")}))

_sig = "t,v\n" + "".join("%.2f,%.4f\n" % (k / 50, __import__("math").sin(k / 5) + 0.3 * __import__("math").cos(k * 1.3)) for k in range(120))
_old = _sig.splitlines()[71]
_new = _old.split(",")[0] + ",%.4f" % (float(_old.split(",")[1]) + 0.0213)
BLIND.append(Case("i-signal-sample", [
    same(r'''
import numpy as np, time, sys
from scipy import signal, fft
import matplotlib.pyplot as plt
t, v = np.loadtxt("sensor.csv", delimiter=",", skiprows=1, unpack=True)
print("samples:", v.size, "buffer at", hex(v.ctypes.data), "|", time.strftime("%A %d %B %Y"))
'''),
    differs(r'''
%%time
rms = np.sqrt(np.mean(v ** 2))
print(f"rms {rms:.5f} V, crest {np.abs(v).max() / rms:.4f}")
''', "data", "downstream"),
    same(r'''
peaks, props = signal.find_peaks(v, prominence=0.9)
print(len(peaks), "peaks at", t[peaks], "found at", time.time())
'''),
    differs(r'''
t0 = time.perf_counter()
f, p = signal.welch(v, fs=50, nperseg=64)
k = p.argmax()
print("welch: peak at %.3f Hz, density %.6f, %.2f ms" % (f[k], p[k], 1e3 * (time.perf_counter() - t0)))
''', "data", "downstream"),
    same(r'''
print(f"median {np.median(v):.2f}  span {v.max() - v.min():.2f}  took {time.perf_counter() - t0:.3f}")
signal.butter(3, 0.2, output="sos").round(5)
'''),
    differs(r'''
fig, axs = plt.subplots(2, 1, figsize=(6, 4), sharex=True)
axs[0].plot(t, v, lw=1); axs[0].plot(t[peaks], v[peaks], "rx")
axs[1].plot(t, np.gradient(v, t), "g-", lw=0.8); axs[1].set_xlabel("s")
print(axs)
''', "data", "downstream"),
    differs(r'''
sm = signal.savgol_filter(v, 11, 3)
res = v - sm
print("residual sd %.5f; worst at t=%.2f (%+.4f); cell %d bytes" % (res.std(), t[np.abs(res).argmax()], res[np.abs(res).argmax()], sys.getsizeof(globals())))
''', "data", "downstream"),
    same(r'''
fig, ax = plt.subplots(figsize=(3, 3), subplot_kw={"projection": "polar"})
w, h = signal.freqz(signal.firwin(15, 0.3))
ax.plot(w, np.abs(h)); ax.set_title("filter")
'''),
], files={"sensor.csv": _sig}, data={"sensor.csv": _sig.replace(_old + "\n", _new + "\n")}))

_ab = ["user,variant,visits,bought,amount"]
for _k in range(40):
    _b = 1 if (_k * 7) % 11 < (4 if _k % 2 else 3) else 0
    _ab.append(f"u{1000 + _k * 13:x},{'B' if _k % 2 else 'A'},{1 + _k % 5},{_b},{_b * (20 + _k % 7 * 5)}")
_ab = "\n".join(_ab) + "\n"
_row = _ab.splitlines()[23]
_row2 = ",".join(_row.split(",")[:2] + [""] + _row.split(",")[3:])
BLIND.append(Case("i-ab-missing", [
    same(r'''
import pandas as pd, numpy as np, time, warnings, datetime as dt
import matplotlib.pyplot as plt
from statsmodels.stats.proportion import proportions_ztest
ab = pd.read_csv("ab.csv")
print(f"{dt.datetime.now()}: {len(ab)} users, {ab.variant.nunique()} variants")
'''),
    differs(r'''
ab.info()
print("checked in", time.process_time(), "s")
''', "data", "downstream"),
    differs(r'''
print(f"{'user':<8}{'visits':>8}   seen")
for u, vis in ab.loc[20:23, ["user", "visits"]].itertuples(index=False):
    print(f"{u:<8}{vis:>8}   {dt.datetime.now():%H:%M:%S.%f}")
''', "data", "downstream"),
    same(r'''
conv = ab.groupby("variant").bought.agg(["sum", "count", "mean"])
t0 = time.time()
z, p = proportions_ztest(conv["sum"], conv["count"])
print(f"z = {z:.4f}, p = {p:.5f}; test took {time.time() - t0:.5f} s")
conv
'''),
    same(r'''
fig, ax = plt.subplots(1, 2, figsize=(6, 3))
for a, (v, g) in zip(ax, ab.groupby("variant")):
    a.pie(g.bought.value_counts().sort_index(), labels=["no", "yes"], autopct="%.0f%%"); a.set_title(v)
print(fig, "%x" % id(ax))
'''),
    differs(r'''
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    r = np.log(ab.visits.to_numpy()).mean()
    if np.isnan(r):
        warnings.warn("missing visits, falling back to the nan-mean")
        r = np.nanmean(np.log(ab.visits.to_numpy()))
print("geometric mean of visits %.3f (%d warnings) %s" % (np.exp(r), len(caught), caught.__class__))
''', "data", "downstream"),
    same(r'''
rev = ab[ab.bought == 1].pivot_table(index="variant", values="amount", aggfunc=["median", "count"])
print(rev.to_markdown()); print("id", id(rev))
'''),
    differs(r'''
s = ab.visits.groupby(ab.variant).sum()
print("visits per variant", s.to_dict(), "at", time.strftime("%H:%M:%S"))
''', "data", "downstream"),
], files={"ab.csv": _ab}, data={"ab.csv": _ab.replace(_row + "\n", _row2 + "\n")}))

# ---------------------------------------------------------------- patch

BLIND.append(Case("i-patch-gaussian", [
    same(r'''
import numpy as np, time, os
from scipy import ndimage as ndi
import matplotlib.pyplot as plt
rng = np.random.default_rng(11)
scene = rng.poisson(20, (64, 64)).astype(float)
scene[20:40, 25:45] += 30
print("scene", scene.shape, scene.sum(), "pid", os.getpid())
'''),
    differs(r'''
t0 = time.perf_counter()
g = ndi.gaussian_filter(scene, 1.2)
print("gaussian sigma=1.2: min %.3f max %.3f  (%.3f ms)" % (g.min(), g.max(), 1e3 * (time.perf_counter() - t0)))
''', "library"),
    same(r'''
t0 = time.perf_counter()
m = ndi.median_filter(scene, 5)
u = ndi.uniform_filter(scene, 3)
print("median: min %.3f max %.3f uniform %.3f  (%.3f ms)" % (m.min(), m.max(), u.std(), 1e3 * (time.perf_counter() - t0)))
'''),
    same(r'''
lab, n = ndi.label(m > 35)
sizes = ndi.sum_labels(np.ones_like(m), lab, range(1, n + 1))
print(n, "objects", sizes, "found", time.strftime("%c"))
'''),
    differs(r'''
impulse = np.zeros(15); impulse[7] = 1
k = ndi.gaussian_filter1d(impulse, 1.2)
print("support of the kernel:", np.count_nonzero(k), "taps", k[7:].round(4), "buffer", hex(k.ctypes.data))
''', "library"),
    same(r'''
print("rounded mean of the smoothed scene: %.0f" % g.mean(), "| float:", g.dtype, "|", time.time_ns())
'''),
    differs(r'''
fig, axs = plt.subplots(1, 2, figsize=(6, 3))
axs[0].imshow(scene, cmap="gray")
d = np.zeros(15); d[7] = 1
axs[1].bar(range(15), ndi.gaussian_filter1d(d, 1.2) > 0, color="firebrick")
axs[1].set_title("kernel support")
print(fig.canvas)
''', "library"),
    same(r'''
fig, ax = plt.subplots(figsize=(4, 2.5))
ax.hist(m.ravel(), bins=20, histtype="stepfilled", color="0.6")
ax.annotate("object", (52, 150), (40, 600), arrowprops={"arrowstyle": "->"})
'''),
], patch=("scipy/ndimage/_filters.py", "    lw = int(truncate * sd + 0.5)", "    lw = int(truncate * sd)")))

BLIND.append(Case("i-patch-wilson", [
    same(r'''
import pandas as pd, numpy as np, uuid, time
from statsmodels.stats.proportion import proportion_confint, proportions_ztest, proportion_effectsize
exp = pd.DataFrame({"arm": ["control", "blue button", "short form"], "n": [1840, 1822, 1855], "k": [201, 224, 262]})
exp["experiment"] = [str(uuid.uuid4())[:8] for _ in range(3)]
exp
'''),
    differs(r'''
t = time.time()
for r in exp.itertuples():
    lo, hi = proportion_confint(r.k, r.n, method="wilson")
    print(f"{r.arm:<12} {r.k / r.n:.4f}  [{lo:.5f}, {hi:.5f}]  id={r.experiment}")
print(f"{time.time() - t:.4f} s")
''', "library"),
    same(r'''
for r in exp.itertuples():
    lo, hi = proportion_confint(r.k, r.n, method="beta")
    print(f"{r.arm:<12} {r.k / r.n:.4f}  [{lo:.5f}, {hi:.5f}]  id={r.experiment}")
'''),
    same(r'''
z, p = proportions_ztest(exp.k[[0, 2]], exp.n[[0, 2]])
print(f"control vs short form: z={z:.4f} p={p:.6f}, h={proportion_effectsize(exp.k[0] / exp.n[0], exp.k[2] / exp.n[2]):.4f}")
print("tested", pd.Timestamp.now())
'''),
    differs(r'''
import matplotlib.pyplot as plt
lo, hi = proportion_confint(np.array([1, 3, 9]), np.array([10, 10, 10]), method="wilson")
fig, ax = plt.subplots(figsize=(4, 2.5))
ax.vlines([1, 3, 9], lo, hi, lw=4, colors="darkorange")
ax.set_ylim(0, 1); ax.set_title("small samples")
print(ax.collections[0], "%.1f ms" % (1e3 * time.thread_time()))
''', "library"),
    differs(r'''
table = exp.assign(upper=[round(proportion_confint(k, n, method="wilson")[1], 5) for k, n in zip(exp.k, exp.n)])
table[["experiment", "arm", "upper"]]
''', "library"),
    same(r'''
lo, hi = proportion_confint(exp.k, exp.n, method="wilson")
verdict = exp.arm[lo > exp.k[0] / exp.n[0]].tolist()
print("better than control:", verdict, "| decided", time.strftime("%H:%M:%S"), "| run", uuid.uuid1())
'''),
], patch=("statsmodels/stats/proportion.py", "dist = crit * np.sqrt(q_ * (1.0 - q_) / nobs_a + crit2 / (4.0 * nobs_a**2))", "dist = crit * np.sqrt(q_ * (1.0 - q_) / nobs_a + crit2 / (2.0 * nobs_a**2))")))

BLIND.append(Case("i-patch-styler", [
    same(r'''
import pandas as pd, numpy as np, datetime as dt
stock = pd.DataFrame({"sku": ["A-17", "B-02", "C-44", "D-08"], "on_hand": [120, 35, 0, 64], "change": [5, -12, -35, 8],
                      "counted": pd.to_datetime(["2024-01-30", "2024-01-31", "2024-02-01", "2024-02-01"])})
print("stock list printed", dt.datetime.now())
stock
'''),
    differs(r'''
stock.style.bar(subset=["on_hand"], vmin=0).format({"counted": "{:%d.%m.%Y}"})
''', "library"),
    same(r'''
stock.style.highlight_min(subset=["on_hand"], color="salmon").format({"counted": "{:%d.%m.%Y}"}).hide(axis="index")
'''),
    same(r'''
stock.style.bar(subset=["change"], align="mid", color=["#c0392b", "#27ae60"]).set_caption("changes")
'''),
    differs(r'''
html = stock.style.bar(subset=["change"], align="zero").to_html()
import re
print(re.search(r"T_\w{5}", html).group(), len(re.findall("<td", html)), "cells,", sorted(set(re.findall(r"#[0-9a-f]{6}", html))))
''', "library"),
    same(r'''
st = stock.style.apply(lambda s: ["font-weight: bold" if v < 0 else "" for v in s], subset=["change"])
print(st)
st
'''),
    differs(r'''
from IPython.display import display
import time
t = time.time()
for col in ("on_hand", "change"):
    display(stock.set_index("sku")[[col]].style.bar())
print("two tables in %.3f s" % (time.time() - t))
''', "library"),
    same(r'''
print(stock.groupby(stock.counted.dt.to_period("M")).on_hand.sum().to_string()); print(dt.date.today())
'''),
], patch=("pandas/io/formats/style.py", "            color = \"#d65f5f\"", "            color = \"#d66f5f\"")))

BLIND.append(Case("i-patch-heatmap", [
    same(r'''
import numpy as np, pandas as pd, seaborn as sns, matplotlib.pyplot as plt, time, psutil
rng = np.random.default_rng(3)
base = rng.normal(size=(80, 1))
items = pd.DataFrame(base + rng.normal(size=(80, 5)), columns=["trust", "price", "service", "speed", "design"])
print("answers", items.shape, "memory", psutil.Process().memory_info().rss // 2**20, "MiB")
'''),
    same(r'''
corr = items.corr()
k = items.shape[1]
alpha = k / (k - 1) * (1 - items.var().sum() / items.sum(axis=1).var())
print(f"Cronbach alpha = {alpha:.4f}  computed {time.strftime('%X')}")
corr.round(3)
'''),
    differs(r'''
fig, ax = plt.subplots(figsize=(5, 4))
sns.heatmap(corr, annot=True, cmap="vlag", center=0, ax=ax)
print(fig.canvas, time.perf_counter())
''', "library"),
    same(r'''
fig, ax = plt.subplots(figsize=(5, 4))
sns.heatmap(corr, annot=True, fmt=".1f", cmap="vlag", center=0, ax=ax, cbar=False)
'''),
    same(r'''
mask = np.triu(np.ones_like(corr, bool))
ax = sns.heatmap(corr, mask=mask, cmap="rocket", square=True, linewidths=.5)
ax
'''),
    differs(r'''
counts = pd.crosstab(pd.cut(items.trust, 3, labels=["low", "mid", "high"]), pd.cut(items.price, 3, labels=["low", "mid", "high"]))
share = counts / counts.to_numpy().sum()
ax = sns.heatmap(share * 1000, annot=True, cbar=False, cmap="Blues")
txt = [t.get_text() for t in ax.texts]
plt.close()
print("labels:", txt[:6], "object", hex(id(ax)))
''', "library"),
    same(r'''
g = sns.pairplot(items[["trust", "price", "design"]], height=1.4, diag_kind="hist")
print(g)
'''),
    differs(r'''
for col in items.columns[:2]:
    t = time.time()
    ax = sns.heatmap(items[[col]].describe().iloc[1:], annot=True)
    print(f"{col}: {' '.join(x.get_text() for x in ax.texts)}  [{time.time() - t:.3f} s]")
    plt.close()
''', "library"),
], patch=("seaborn/matrix.py", "annot=None, fmt=\".2g\", annot_kws=None,", "annot=None, fmt=\".3g\", annot_kws=None,")))

# ---------------------------------------------------------------- environment

BLIND.append(Case("i-env-timezone", [
    same(r'''
import time, datetime as dt, os, numpy as np, pandas as pd
import matplotlib.pyplot as plt
time.tzset()
stamps = np.array([1700010000, 1700030000, 1700063000, 1700091500, 1700130000])
load = np.array([3.2, 4.8, 2.1, 5.5, 1.9])
print("now", int(time.time()), "stamps", stamps[0], "to", stamps[-1])
'''),
    differs(r'''
print("generated", time.strftime("%Y-%m-%d"), "after", round(time.process_time(), 3), "s of cpu")
for s, v in zip(stamps, load):
    print(dt.datetime.fromtimestamp(int(s)).strftime("%Y-%m-%d %H:%M:%S"), f"load {v:.1f}")
''', "environment"),
    same(r'''
utc = pd.to_datetime(stamps, unit="s", utc=True)
ts = pd.Series(load, index=utc)
print(ts.resample("12h").mean().round(2).to_string())
print(f"resampled at {dt.datetime.now():%H:%M:%S.%f}")
'''),
    differs(r'''
days = [dt.date.fromtimestamp(int(s)) for s in stamps]
per_day = pd.Series(load).groupby(days).agg(["count", "sum"])
print("daily totals", object.__repr__(per_day))
per_day
''', "environment"),
    same(r'''
print("span", dt.timedelta(seconds=int(stamps[-1] - stamps[0])), "and this cell ran for", dt.timedelta(microseconds=time.perf_counter_ns() % 1000))
'''),
    differs(r'''
hours = [time.localtime(int(s)).tm_hour for s in stamps]
fig, ax = plt.subplots(subplot_kw={"projection": "polar"}, figsize=(3.5, 3.5))
ax.bar(np.array(hours) / 24 * 2 * np.pi, load, width=0.3, color="indigo")
ax.set_title("load by hour of the day")
print(ax, time.strftime("%s"))
''', "environment"),
    same(r'''
from scipy import stats
r = stats.linregress(stamps - stamps[0], load)
print(f"slope {r.slope:.3e} intercept {r.intercept:.4f} ({time.time():.2f})")
'''),
], environment={"TZ": "UTC"}, given={"TZ": "America/New_York"}))

BLIND.append(Case("i-env-stopwords", [
    same(r'''
import os, re, math, time, tempfile, collections
import pandas as pd
docs = ["The cat sat on the mat and it was not amused.", "A dog and a cat are in the garden, but not in the house.",
        "The garden of the house was full of roses.", "It is said that the dog was never in the garden."]
cache = tempfile.mkdtemp(prefix="nlp_")
print(len(docs), "documents, cache", cache)
'''),
    same(r'''
BASE = {"the", "a", "on", "and", "it", "was", "are", "in", "but", "of", "is", "that"}
extra = os.environ.get("NLP_EXTRA_STOPWORDS", "").split(",")
STOP = BASE | set(filter(None, extra))
print("stop words loaded at", time.strftime("%T"))
'''),
    differs(r'''
t = time.perf_counter()
toks = [[w for w in re.findall(r"[a-z]+", d.lower()) if w not in STOP] for d in docs]
print("tokens", sum(map(len, toks)), "in", f"{1e6 * (time.perf_counter() - t):.0f} us")
''', "environment", "downstream"),
    differs(r'''
df = collections.Counter(w for d in toks for w in set(d))
idf = {w: math.log(len(docs) / n) for w, n in df.items()}
print({w for w in idf if idf[w] < 1.3})
''', "environment", "downstream"),
    same(r'''
def cosine(a, b):
    ca, cb = collections.Counter(a), collections.Counter(b)
    return sum(ca[w] * cb[w] for w in ("cat", "dog", "garden", "house"))
m = pd.DataFrame([[cosine(a, b) for b in toks] for a in toks])
print(cosine); m
'''),
    differs(r'''
tfidf = pd.DataFrame([{w: d.count(w) * idf[w] for w in idf} for d in toks]).round(3)
top = tfidf.sum().sort_index().sort_values(ascending=False, kind="stable").head(4)
print("written to", os.path.join(cache, "tfidf.csv")); print(top.to_string()); print("vocabulary", tfidf.shape[1])
''', "environment", "downstream"),
    same(r'''
lengths = [len(d.split()) for d in docs]
print("raw lengths", lengths, "pid", os.getpid(), "longest word:", max(re.findall(r"\w+", " ".join(docs)), key=len))
'''),
    same(r'''
from collections import defaultdict
index = defaultdict(set)
for i, d in enumerate(toks):
    for w in d:
        index[w].add(i)
print({k: index[k] for k in ("cat", "roses", "house")}, "after", time.monotonic())
'''),
], environment={"NLP_EXTRA_STOPWORDS": "full,said"}, given={"NLP_EXTRA_STOPWORDS": "full,said,not"}))

BLIND.append(Case("i-env-theme", [
    same(r'''
import os, time, uuid, numpy as np, pandas as pd
import matplotlib.pyplot as plt
months = pd.period_range("2023-01", periods=12, freq="M")
rng = np.random.default_rng(8)
sales = pd.Series((100 + 10 * np.sin(np.arange(12)) + rng.normal(0, 3, 12)).round(1), index=months)
print(sales.head(3).to_string()); print(uuid.uuid4())
'''),
    same(r'''
ACCENT = os.getenv("REPORT_ACCENT", "tab:blue")
UNIT = os.getenv("REPORT_UNIT", "kEUR")
print("settings read", time.strftime("%d/%m/%Y %H:%M"))
'''),
    differs(r'''
fig, ax = plt.subplots(figsize=(6, 2.8))
ax.plot(range(12), sales, color="0.4")
ax.plot(sales.argmax(), sales.max(), "o", ms=5, color=ACCENT)
ax.set_xticks(range(12), [str(m)[5:] for m in months])
print(fig, "render", f"{time.time():.3f}")
''', "environment", "downstream"),
    differs(r'''
rid = uuid.uuid4().hex[:6]
print(f"report {rid}: total {sales.sum():.1f} {UNIT}, best month {sales.idxmax()}")
''', "environment", "downstream"),
    same(r'''
fig, ax = plt.subplots(figsize=(3, 3))
q = sales.groupby(sales.index.quarter).sum()
ax.pie(q, labels=[f"Q{i}" for i in q.index], autopct="%.1f%%", colors=plt.cm.Pastel1.colors)
print(id(ax))
'''),
    same(r'''
roll = sales.rolling(3).mean().dropna().round(2)
print(roll.to_dict()); print("rolled in", time.perf_counter())
'''),
    differs(r'''
import subprocess, sys
code = "import os, datetime; print(datetime.datetime.now().time(), os.getpid(), 'unit=' + os.environ.get('REPORT_UNIT', '?'))"
print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
''', "environment"),
    same(r'''
from IPython.display import Markdown
Markdown(f"**Trend** {np.polyfit(range(12), sales, 1)[0]:+.3f} per month, <small>{time.ctime()}</small>")
'''),
], environment={"REPORT_ACCENT": "tab:red", "REPORT_UNIT": "kEUR"}, given={"REPORT_ACCENT": "tab:orange", "REPORT_UNIT": "kUSD"}))

# ---------------------------------------------------------------- edited

BLIND.append(Case("i-edit-optimiser", [
    same(r'''
import numpy as np, time, logging, sys
from scipy.optimize import minimize, linprog, brentq
logging.basicConfig(stream=sys.stdout, level="INFO", force=True, format="%(asctime)s %(thread)d %(message)s")
log = logging.getLogger("opt"); log.info("optimiser ready")
'''),
    same(r'''
def rosen(x):
    return sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
step, limit = 0.002, 200
print(rosen, f"{time.time():.1f}")
'''),
    differs(r'''
x = np.array([-0.5, 0.8]); t = time.time()
for i in range(limit):
    g = np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)])
    x = x - step * g
    if i % 50 == 49:
        log.info("iteration %3d  f=%.5f  |g|=%.4f  %.4f s", i + 1, rosen(x), np.linalg.norm(g), time.time() - t)
''', "code", "downstream"),
    same(r'''
res = minimize(rosen, [-0.5, 0.8], method="BFGS", options={"gtol": 1e-6})
log.info("BFGS: %s, x = %s, f = %.6f", res.message, res.x.round(3), res.fun)
'''),
    same(r'''
lp = linprog([-3, -5], A_ub=[[1, 0], [0, 2], [3, 2]], b_ub=[4, 12, 18])
print(f"LP optimum {-lp.fun:.2f} at {lp.x}  ({time.process_time():.3f} s)")
'''),
    differs(r'''
root, info = brentq(lambda z: np.cos(z) - z, 0, 1, full_output=True, xtol=1e-6)
print(f"root {root:.6f} after {info.iterations} iterations, {info.function_calls} calls, {time.perf_counter():.6f}")
''', "code"),
    differs(r'''
print("distance of the descent from the optimum: %.4f" % np.linalg.norm(x - 1), "| now", time.strftime("%H:%M:%S"))
''', "code", "downstream"),
    same(r'''
A = np.array([[4., 1], [1, 3]])
print("condition %.4f" % np.linalg.cond(A), np.linalg.eigvalsh(A).round(4), hex(id(A)))
'''),
], edited={
    1: r'''
def rosen(x):
    return sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
step, limit = 0.0021, 200
print(rosen, f"{time.time():.1f}")
''',
    5: r'''
root, info = brentq(lambda z: np.cos(z) - z, 0, 1, full_output=True, xtol=1e-12)
print(f"root {root:.6f} after {info.iterations} iterations, {info.function_calls} calls, {time.perf_counter():.6f}")
'''}))

BLIND.append(Case("i-edit-tokens", [
    same(r'''
import re, time, uuid, collections, sqlite3
import pandas as pd
reviews = {"p1": "Great phone, well-built. Don't like the camera though...", "p2": "Camera is OK; battery life: 10/10!",
           "p3": "It's a well-built, long-lasting device. Great battery."}
print("batch", uuid.uuid4(), "with", len(reviews), "reviews")
'''),
    same(r'''
TOKEN = re.compile(r"[a-z]+", re.I)
db = sqlite3.connect(":memory:")
print(db, time.strftime("%Y-%m-%dT%H:%M:%S"))
'''),
    differs(r'''
t = time.perf_counter()
tok = {k: [w.lower() for w in TOKEN.findall(v)] for k, v in reviews.items()}
for k, ws in tok.items():
    print(f"{k} [{time.perf_counter() - t:.6f}] {len(ws):3d} tokens")
''', "code", "downstream"),
    differs(r'''
db.execute("create table if not exists tok (review text, word text)")
db.executemany("insert into tok values (?, ?)", [(k, w) for k, ws in tok.items() for w in ws])
pd.read_sql("select review, count(distinct word) types, max(length(word)) longest from tok group by review", db)
''', "code", "downstream"),
    same(r'''
LEX = {"great": 2, "like": 1, "ok": 0.5}
score = {k: sum(LEX.get(w, 0) for w in ws) for k, ws in tok.items()}
print("sentiment", score, "model object", object())
'''),
    same(r'''
def sentences(s):
    return [x for x in re.split(r"[.!?;]+\s*", s) if x]
print(sum(len(sentences(v)) for v in reviews.values()), "sentences", sentences, time.time())
'''),
    differs(r'''
vocab = set().union(*tok.values())
print("vocabulary", len(vocab), {w for w in vocab if w[0] in "lw"})
''', "code", "downstream"),
    same(r'''
pairs = [(a, b) for a in reviews for b in reviews if a < b]
for a, b in pairs:
    print(a, b, sorted(set(tok[a]) & set(tok[b]) & {"great", "camera", "battery"}), f"{time.perf_counter_ns()} ns")
'''),
], edited={1: r'''
TOKEN = re.compile(r"[a-z]+(?:['-][a-z]+)*", re.I)
db = sqlite3.connect(":memory:")
print(db, time.strftime("%Y-%m-%dT%H:%M:%S"))
'''}))

BLIND.append(Case("i-edit-figures", [
    same(r'''
import numpy as np, pandas as pd, time
import matplotlib.pyplot as plt
idx = pd.date_range("2022-01-03", periods=60, freq="W-MON")
rng = np.random.default_rng(77)
y = pd.Series(50 + np.cumsum(rng.normal(0.2, 1, 60)), index=idx)
print("series", y.index[0].date(), "to", y.index[-1].date(), "| printed", pd.Timestamp.today())
'''),
    same(r'''
# smoothing of the series
alpha = 0.3
ew = y.ewm(alpha=alpha).mean()
print(f"last level {ew.iloc[-1]:.3f}, t={time.time():.2f}")
'''),
    differs(r'''
fig, ax = plt.subplots(figsize=(6, 3))
ax.plot(y.to_numpy(), color="silver", label="weekly")
ax.plot(ew.to_numpy(), color="C0", lw=1.5, label="level")
ax.legend(loc="upper left")
''', "code"),
    same(r'''
fig, ax = plt.subplots(2, 2, figsize=(5, 4))
for a, lag in zip(ax.flat, (1, 2, 4, 8)):
    a.scatter(y[:-lag], y[lag:], s=6); a.set_title(f"lag {lag}", fontsize=8)
fig.tight_layout(); print(fig)
'''),
    differs(r'''
d = y.diff().dropna()
fig, ax = plt.subplots(figsize=(5, 2.5))
ax.hist(d, bins=15, color="olive", ec="w")
ax.annotate(f"sd = {d.std():.2f}", (0.05, 0.85), xycoords="axes fraction")
print("drawn", time.ctime(), ax.patches[0])
''', "code"),
    same(r'''
print(f"acf(1) = {d.autocorr(1):.4f}; process time {time.process_time():.3f}")
y.resample("QE").last().round(2)
'''),
    differs(r'''
t0 = time.time()
band = ew.iloc[-1] + np.array([-1, 1]) * 1.96 * d.std()
print(f"forecast band [{band[0]:.2f}, {band[1]:.2f}]  ({time.time() - t0:.5f} s)")
''', "code"),
], edited={
    1: r'''
# exponentially weighted smoothing of the series (renamed variable, same result)
smoothing = alpha = 0.3
ew = y.ewm(alpha=smoothing).mean()
print(f"last level {ew.iloc[-1]:.3f}, t={time.time():.2f}")
''',
    2: r'''
fig, ax = plt.subplots(figsize=(6, 3))
ax.plot(y.to_numpy(), color="silver", label="weekly")
ax.plot(ew.to_numpy(), color="C0", lw=1.7, label="level")
ax.legend(loc="upper left")
''',
    4: r'''
d = y.diff().dropna()
fig, ax = plt.subplots(figsize=(5, 2.5))
ax.hist(d, bins=15, color="olive", ec="w")
ax.annotate(f"sd = {d.std():.3f}", (0.05, 0.85), xycoords="axes fraction")
print("drawn", time.ctime(), ax.patches[0])
''',
    6: r'''
t0 = time.time()
band = ew.iloc[-1] + np.array([-1, 1]) * 1.96 * d.std(ddof=0)
print(f"forecast band [{band[0]:.2f}, {band[1]:.2f}]  ({time.time() - t0:.5f} s)")
'''}))

# ---------------------------------------------------------------- order

BLIND.append(Case("i-order-queue", [
    same(r'''
import numpy as np, pandas as pd, time, uuid, datetime as dt
import matplotlib.pyplot as plt
rng = np.random.default_rng(5)
SIM = uuid.uuid4()
print("simulation", SIM, "started", dt.datetime.now())
'''),
    differs(r'''
t = time.time()
arr = np.cumsum(rng.exponential(2.0, 200))
print(f"last customer arrives at {arr[-1]:.2f} min  [cell {time.time() - t:.4f} s]")
''', "order", "downstream"),
    differs(r'''
t = time.time()
svc = rng.gamma(2.0, 0.8, 200)
print(f"mean service {svc.mean():.4f} min  [cell {time.time() - t:.4f} s]")
''', "order", "downstream"),
    same(r'''
theory = 1 / (1 / 1.6 - 1 / 2.0)
print(f"M/M/1 sojourn {theory:.3f} min, asked at {time.strftime('%X')}")
'''),
    differs(r'''
end = 0; wait = []
for a, s in zip(arr, svc):
    begin = max(a, end); wait.append(begin - a); end = begin + s
print("mean wait %.4f min; simulated in run %s" % (np.mean(wait), str(SIM)[:8]))
''', "order", "downstream"),
    differs(r'''
fig, ax = plt.subplots(figsize=(6, 2.5))
ax.step(range(200), wait, lw=0.8); ax.fill_between(range(200), wait, step="pre", alpha=0.2)
ax.set_xlabel("customer")
''', "order", "downstream"),
    same(r'''
rng2 = np.random.default_rng(99)
pi = 4 * np.mean(np.hypot(*rng2.random((2, 5000))) < 1)
print(f"pi ~ {pi:.4f}", rng2, f"{time.perf_counter():.3f} s")
'''),
    same(r'''
print(pd.DataFrame({"wait": wait}).dtypes.to_string(), "| rows", len(wait), "| at", hex(id(wait)))
'''),
], order=[0, 2, 1, 3, 4, 5, 6, 7]))

BLIND.append(Case("i-order-ledger", [
    same(r'''
import time, logging, sys, collections
import pandas as pd
logging.basicConfig(stream=sys.stdout, level="INFO", force=True, format="%(asctime)s %(message)s")
log = logging.getLogger("ledger")
balance, steps = 1000.0, []
log.info("opened with %.2f", balance)
'''),
    differs(r'''
t = time.perf_counter()
balance *= 1.02; steps.append("interest")
log.info("interest booked, balance %.2f (%.6f s)", balance, time.perf_counter() - t)
''', "order", "downstream"),
    differs(r'''
t = time.perf_counter()
balance -= 150.0; steps.append("fee")
log.info("fee booked, balance %.2f (%.6f s)", balance, time.perf_counter() - t)
''', "order", "downstream"),
    same(r'''
log.info("%d steps so far: %s", len(steps), set(steps))
'''),
    differs(r'''
hist = pd.Series(pd.Categorical(steps, categories=list(dict.fromkeys(steps)), ordered=True))
print("first", hist.min(), "last", hist.max(), "made", time.ctime())
''', "order", "downstream"),
    same(r'''
counts = collections.Counter(sorted(steps))
print(counts, counts.items().__class__, id(counts))
'''),
    differs(r'''
print(f"closing balance {balance:10.2f}   {time.strftime('%d %b %Y %H:%M:%S')}")
''', "order", "downstream"),
    same(r'''
rates = pd.Series([1.02, 1.021, 1.019], index=pd.to_datetime(["2021-12-31", "2022-12-31", "2023-12-31"]))
%time print(rates.cumprod().round(4).to_string())
'''),
], order=[0, 2, 1, 3, 4, 5, 6, 7]))

# ---------------------------------------------------------------- upgrade

BLIND.append(Case("i-upgrade-seaborn", [
    same(r'''
import warnings, time, datetime as dt
import numpy as np, pandas as pd, matplotlib.pyplot as plt
import seaborn as sns
rng = np.random.default_rng(21)
diet = pd.DataFrame({"diet": pd.Categorical(np.repeat(["low", "mid", "high"], 20), ["low", "mid", "high"], ordered=True),
                     "gain": np.concatenate([rng.normal(m, 1, 20) for m in (2, 3, 3.5)])})
print("feeding trial", diet.shape, dt.datetime.now())
'''),
    same(r'''
print(diet.groupby("diet", observed=True).gain.agg(["mean", "std"]).round(3)); print(f"{time.time():.3f}")
'''),
    differs(r'''
fig, ax = plt.subplots(figsize=(4, 3))
sns.boxplot(data=diet, x="diet", y="gain", ax=ax)
print(ax, time.perf_counter())
''', "library"),
    differs(r'''
fig, ax = plt.subplots(figsize=(4, 3))
t = time.time()
sns.countplot(data=diet[diet.gain > 2.5], x="diet", ax=ax)
colours = [tuple(round(c, 2) for c in p.get_facecolor()[:3]) for p in ax.patches]
plt.close(fig)
print("bars", [int(p.get_height()) for p in ax.patches], "colours", len(set(colours)), f"in {time.time() - t:.3f} s")
''', "library"),
    same(r'''
fig, ax = plt.subplots(figsize=(4, 3))
ax.boxplot([g.gain for _, g in diet.groupby("diet", observed=True)], tick_labels=["low", "mid", "high"])
ax.set_title("plain matplotlib"); print(fig)
'''),
    differs(r'''
wide = diet.assign(n=np.tile(range(20), 3)).pivot(index="n", columns="diet", values="gain")
ax = sns.heatmap(wide.corr().to_numpy().round(2), annot=True, cbar=False)
print("labels", [t.get_text() for t in ax.texts], id(ax)); plt.close()
''', "library"),
    differs(r'''
print("histogram at", dt.datetime.now())
ax = sns.histplot(np.asarray(diet.gain), bins=8)
print([int(p.get_height()) for p in ax.patches]); plt.close()
''', "library"),
    same(r'''
from scipy import stats
f, p = stats.f_oneway(*[g.gain for _, g in diet.groupby("diet", observed=True)])
print(f"F = {f:.3f}, p = {p:.5f} | {time.process_time():.2f} s of cpu")
'''),
], upgrade=("seaborn==0.13.2", "seaborn==0.12.2")))

BLIND.append(Case("i-upgrade-sklearn", [
    same(r'''
import time, os, numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression, LinearRegression
from sklearn.metrics import classification_report, roc_auc_score, confusion_matrix
rng = np.random.default_rng(13)
X = rng.normal(size=(150, 4)); y = (X[:, 0] - 0.5 * X[:, 2] + rng.normal(size=150) > 0).astype(int)
print("churn data", X.shape, "positive", int(y.sum()), "pid", os.getpid())
'''),
    differs(r'''
t = time.time()
clf = LogisticRegression(penalty="l2", C=0.5)
clf.fit(X[:100], y[:100])
print(clf, f"trained in {time.time() - t:.4f} s")
''', "library"),
    same(r'''
t = time.time()
p = clf.predict_proba(X[100:])[:, 1]
print(f"AUC {roc_auc_score(y[100:], p):.3f}  ({time.time() - t:.4f} s)")
print(classification_report(y[100:], p > 0.5))
'''),
    same(r'''
import matplotlib.pyplot as plt
cm = confusion_matrix(y[100:], p > 0.5)
fig, ax = plt.subplots(figsize=(2.5, 2.5)); ax.imshow(cm, cmap="Greens")
for (i, j), v in np.ndenumerate(cm):
    ax.text(j, i, v, ha="center")
print(fig.canvas)
'''),
    differs(r'''
par = pd.Series(clf.get_params(), dtype=object).drop(["C", "tol"])
print("parameters noted", time.strftime("%Y-%m-%d %H:%M"))
print(par.to_string())
''', "library", "downstream"),
    same(r'''
lin = LinearRegression().fit(X, X @ [1, 2, 0, -1])
print(lin, lin.coef_.round(6), hex(id(lin)))
'''),
    differs(r'''
import warnings
with warnings.catch_warnings(record=True) as got:
    warnings.simplefilter("always")
    t = time.perf_counter()
    m = LogisticRegression(n_jobs=1, max_iter=400).fit(X, y)
print(f"{len(got)} warnings, accuracy {m.score(X, y):.3f}, {1e3 * (time.perf_counter() - t):.2f} ms")
''', "library"),
    same(r'''
pd.DataFrame({"odds": np.exp(clf.coef_[0]).round(3)}, index=["tenure", "calls", "price", "age"])
'''),
], upgrade=("scikit-learn==1.9.1", "scikit-learn==1.7.2")))

# ---------------------------------------------------------------- cpus

BLIND.append(Case("i-cpus-chunks", [
    same(r'''
import os, time, threading, numpy as np
from concurrent.futures import ThreadPoolExecutor
import matplotlib.pyplot as plt
t0 = time.time()
print("monte carlo pricing, started", time.strftime("%c"), "thread", threading.get_ident())
'''),
    differs(r'''
WORKERS = len(os.sched_getaffinity(0))
print(f"pool of {WORKERS} ready after {time.time() - t0:.1f} s, pid {os.getpid()}")
''', "machine"),
    differs(r'''
def paths(seed, n):
    z = np.random.default_rng(seed).normal(size=n)
    return np.maximum(100 * np.exp(-0.02 + 0.2 * z) - 100, 0)
with ThreadPoolExecutor(WORKERS) as ex:
    parts = list(ex.map(paths, range(WORKERS), [20000 // WORKERS] * WORKERS))
pay = np.concatenate(parts)
print(f"price {pay.mean():.4f} +- {pay.std() / np.sqrt(pay.size):.4f}, {time.time() - t0:.3f} s", paths)
''', "machine", "downstream"),
    same(r'''
from statistics import NormalDist
N = NormalDist().cdf
d1 = 0.1
print(f"closed form {100 * (N(d1) - N(d1 - 0.2)):.4f}   {time.perf_counter():.4f}")
'''),
    differs(r'''
fig, ax = plt.subplots(figsize=(5, 2.5))
ax.hist(pay[pay > 0], bins=40, color="peru"); ax.set_title("pay-off in the money")
print(fig, "%.2f s" % (time.time() - t0))
''', "machine", "downstream"),
    same(r'''
print("paths:", pay.size, "| dtype", pay.dtype, "| close to the formula:", bool(abs(pay.mean() - 7.9656) < 0.4), "|", time.time())
'''),
    same(r'''
ref = paths(1234, 5000)
print(f"reference block {ref.mean():.5f} in {time.process_time():.3f} s cpu")
'''),
    same(r'''
lock = threading.Lock(); seen = []
def job(k):
    time.sleep(0.002 * (k % 3))
    with lock: seen.append(k)
with ThreadPoolExecutor(2) as ex:
    list(ex.map(job, range(8)))
print(sorted(seen), lock)
'''),
], cpus=1))
