"""Times nbpack against the bare thing or a named peer, in alternated pairs, and prints medians of pairwise ratios.

    compare.py PROGRAM [capture] [kernel] [hashing] [memory] [bundle] [peers] [engines] [idle] [restore] [replay] [reuse] [--rounds N]

CPU is user + system seconds of the whole process tree; it is the steadier figure on a shared machine. A pair is not
started while the load exceeds the number of cores (at most a minute is waited).
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("parts", nargs="*", default=[])
parser.add_argument("--rounds", type=int, default=5)
arguments = parser.parse_args()
program, prefix = os.path.abspath(arguments.program), sys.prefix
scratch = pathlib.Path(tempfile.mkdtemp(prefix="nbpack-bench-"))
environment = dict(
    os.environ, XDG_DATA_HOME=str(scratch / "data"), JUPYTER_DATA_DIR=str(scratch / "jupyter"), PATH=f"{prefix}/bin:{os.environ['PATH']}")
os.environ.update(environment)


def cost(work):
    """(CPU seconds of all children, wall seconds, result) of calling work."""
    deadline = time.monotonic() + 60
    while os.getloadavg()[0] > os.cpu_count() and time.monotonic() < deadline:
        time.sleep(1)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    result = work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - began, result


def compare(title, baseline, contenders, measure=None, before=None):
    """Alternates and prints; measure(result) replaces CPU seconds where it is given."""
    names = [baseline[0]] + [name for name, _ in contenders]
    samples = {name: [] for name in names}
    for number in range(arguments.rounds):
        order = [baseline, *contenders]
        for name, work in order if number % 2 == 0 else order[::-1]:
            if before:
                before(name)
            cpu, wall, result = cost(work)
            samples[name].append((measure(result) if measure else cpu, wall))
    print(f"\n{title}  ({arguments.rounds} alternated rounds, medians)")
    for name in names:
        pairs = list(zip(samples[name], samples[baseline[0]]))
        ratio = statistics.median(mine[0] / base[0] for mine, base in pairs)
        wall = statistics.median(mine[1] / base[1] for mine, base in pairs)
        value = statistics.median(mine[0] for mine in samples[name])
        print(f"  {name:34} {value:10.4f}   ratio {ratio:6.2f}   wall ratio {wall:6.2f}")


def run(*command, **more):
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more)
    if done.returncode:
        sys.exit(f"{command} ended with {done.returncode}: {done.stderr[-2000:]}")


def shell(text, **more):
    run("bash", "-o", "pipefail", "-c", text, **more)


IMPORTS = "import pandas, sklearn.ensemble, matplotlib.pyplot, pyarrow.parquet"
LOOP = """
import os
for i in range(2000): open(f'f{i}', 'w').close()
for _ in range(10):
    for i in range(2000): os.close(os.open(f'f{i}', os.O_RDONLY))
for _ in range(100):
    for i in range(2000): os.stat(f'f{i}')
"""


def session(kernel, cells, cwd=None):
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name=kernel)
    began = time.monotonic()
    manager.start_kernel(cwd=str(cwd or scratch))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    ready = time.monotonic() - began
    results = []
    for cell in cells:
        results.append(cell(client) if callable(cell) else client.execute_interactive(cell, timeout=600, output_hook=lambda _: None))
    client.stop_channels()
    used = cpu_of_tree(manager.provisioner.process.pid)
    manager.shutdown_kernel()
    return ready, results, used


def cpu_of_tree(root):
    """CPU seconds of a process, all below it, and all of their children that have ended.

    Not from `getrusage`: what outlives its parent is waited for by somebody else, and would be missing.
    """
    stats = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{name}/stat").read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        stats[int(name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    tree, total = [root], 0
    while tree:
        pid = tree.pop()
        total += stats.get(pid, (0, 0))[1]
        tree += [child for child, (parent, _) in stats.items() if parent == pid]
    return total / os.sysconf("SC_CLK_TCK")


def demo_notebook():
    """The code of the demonstration's notebook, in a directory with its data."""
    fixtures = pathlib.Path(__file__).resolve().parent.parent / "fixtures/demo"
    target = scratch / "notebook"
    if not target.exists():
        shutil.copytree(fixtures, target)
        run(sys.executable, "make_data.py", "data", cwd=target)
    cells = json.loads((target / "analysis.ipynb").read_text())["cells"]
    return target, ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def capture():
    where, cells = demo_notebook()
    for title, code, cwd in [("imports", [IMPORTS], scratch), ("200k stat + 20k open", [LOOP], scratch), ("notebook", cells, where)]:
        compare(f"capture, {title}: CPU seconds of kernel, proxy and tap", ("bare", lambda: session("python3", code, cwd)),
                [("nbpack", lambda: session("python3-nbpack", code, cwd))], measure=lambda result: result[2])
    if shutil.which("strace"):
        for title, code in [("imports", IMPORTS), ("200k stat + 20k open", LOOP)]:
            plain = [sys.executable, "-c", code]
            compare(f"peer for scale, {title}: CPU seconds", ("bare python", lambda: run(*plain, cwd=scratch)),
                    [("strace -f --seccomp-bpf %file",
                      lambda: run("strace", "-f", "--seccomp-bpf", "-e", "trace=%file", "-o", "/dev/null", *plain, cwd=scratch))])


def kernel():
    import kernel as beside  # benches/kernel.py

    beside.measure(scratch, arguments.rounds)


def hashing():
    import kernel as beside  # benches/kernel.py

    beside.hashing(scratch, arguments.rounds)


def memory():
    import kernel as beside  # benches/kernel.py

    beside.many_files(scratch)


def exported():
    """A session that imports from this environment, and the export's own words about it."""
    os.environ["JPY_SESSION_NAME"] = str(scratch / "bench.ipynb")
    session("python3-nbpack", [IMPORTS, "print(pandas.__version__)"])
    (scratch / "tar").mkdir(exist_ok=True)
    sessions = json.loads(subprocess.check_output([program, "sessions", "--json"]))
    return sessions[0]["id"]


def empty_store(_name=None):
    """Forgets what was packed and restored. What the recording itself put aside stays: the index names what was made."""
    store = scratch / "data/nbpack/v1"
    for known in (store / "index").glob("*.json"):
        hexadecimal = json.loads(known.read_text())["blob"].removeprefix("sha256:")
        (store / "blobs/sha256" / hexadecimal[:2] / hexadecimal).unlink(missing_ok=True)
    for part in ("index", "layers", "refs"):
        shutil.rmtree(store / part, ignore_errors=True)


def bundle():
    ident = exported()
    export = lambda: run(program, "export", "--quiet", "--force", ident, "-o", str(scratch / "a.nbpack"))
    export()
    # The peer packs the same files: the root that this bundle restores.
    unpacked = scratch / "root"
    layers = unpack(unpacked)
    peer = lambda: shell(f"tar -C {unpacked} -c . | zstd -q -3 -T0 -f -o {scratch}/peer.tar.zst")
    first = lambda: (empty_store(), (scratch / "a.nbpack").unlink(missing_ok=True), export())
    compare(f"export with an empty store, {layers} layers: CPU seconds", ("tar | zstd -3 -T0", peer), [("nbpack export", first)])
    print(f"  size: nbpack {os.path.getsize(scratch / 'a.nbpack') / 1e6:.1f} MB, peer {os.path.getsize(scratch / 'peer.tar.zst') / 1e6:.1f} MB")
    export()
    compare("second export: CPU seconds", ("tar | zstd -3 -T0", peer), [("nbpack export again", export)])
    changed_cell()


def changed_cell():
    """What a session with one changed cell adds to the store, and how long its export takes."""
    took, grown = [], []
    for number in range(arguments.rounds):
        before = bytes_of(scratch / "data/nbpack/v1/blobs")
        session("python3-nbpack", [IMPORTS, f"print(pandas.__version__, {number})"])
        ident = json.loads(subprocess.check_output([program, "sessions", "--json"]))[0]["id"]
        began = time.monotonic()
        run(program, "export", "--quiet", "--force", ident, "-o", str(scratch / "changed.nbpack"))
        took.append(time.monotonic() - began)
        grown.append(bytes_of(scratch / "data/nbpack/v1/blobs") - before)
    share = statistics.median(grown) / os.path.getsize(scratch / "changed.nbpack")
    print(f"\nexport after one changed cell: {statistics.median(took):.2f} s (wall, median of {arguments.rounds}; goal 2 s), "
          f"{statistics.median(grown) / 1e6:.2f} MB new in the store, {share:.2%} of the bundle (goal 1 %)")


def bytes_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def peers():
    """What buildah, umoci, reprozip and Docker take for one file of the same environment."""
    import peers as beside  # benches/peers.py

    ident = exported()
    export = lambda: (empty_store(), run(program, "export", "--quiet", "--force", ident, "-o", str(scratch / "a.nbpack")))
    export()
    unpack(scratch / "root")
    ours = ("nbpack export", scratch / "a.nbpack", export)
    beside.measure(scratch, scratch / "root", IMPORTS, ours, shell, cpu_of_tree, arguments.rounds)


def engines():
    """What docker, podman, umoci and tar take from a file of the same environment to a first output."""
    import engines as beside  # benches/engines.py

    ident = exported()
    bundle, gzip, peer = (scratch / name for name in ("a.nbpack", "gzip.nbpack", "peer.tar.zst"))
    for path, codec in ((gzip, "gzip"), (bundle, "zstd")):
        run(program, "export", "--quiet", "--force", "--compression", codec, ident, "-o", str(path))
    unpack(scratch / "root")
    shell(f"tar -C {scratch}/root -c . | zstd -q -3 -T0 -f -o {peer}")
    find = [program, "run", str(bundle), "--", "python", "-c", "import sys; print(sys.executable)"]
    python = subprocess.check_output(find, text=True).strip()
    beside.measure(scratch, program, (bundle, gzip, peer), python, empty_store, shell, cpu_of_tree, arguments.rounds)


def idle():
    """The first export of a session whose kernel idled, against the first export of the same session without that."""
    from jupyter_client.manager import KernelManager

    os.environ["JPY_SESSION_NAME"] = str(scratch / "idle.ipynb")
    os.environ["NBPACK_PREPARE"] = "1"
    manager = KernelManager(kernel_name="python3-nbpack")
    manager.start_kernel(cwd=str(scratch))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    index = scratch / "data/nbpack/v1/index"

    def idled():
        """Runs a cell that loads something new, and waits until what is started then has ended."""
        name = f"fresh{time.monotonic_ns()}"
        (scratch / f"{name}.py").write_text("")
        client.execute_interactive(f"import {name}", timeout=600, output_hook=lambda _: None)
        deadline, quiet, seen = time.monotonic() + 600, time.monotonic(), None
        while time.monotonic() < deadline and time.monotonic() - quiet < 5:
            time.sleep(0.2)
            now = preparing(manager.provisioner.process.pid), len(list(index.glob("*.json")))
            if now != seen or now[0]:
                quiet, seen = time.monotonic(), now

    client.execute_interactive(IMPORTS, timeout=600, output_hook=lambda _: None)
    ident = json.loads(subprocess.check_output([program, "sessions", "--json"]))[0]["id"]
    samples = []
    for _ in range(arguments.rounds):
        pair = []
        for prepared in (False, True):
            empty_store()
            if prepared:
                idled()
            pair.append(cost(lambda: run(program, "export", "--quiet", "--force", ident, "-o", str(scratch / "idle.nbpack"))))
        samples.append(pair)
    client.stop_channels()
    manager.shutdown_kernel()
    cpu, wall = (statistics.median(after[at] / before[at] for before, after in samples) for at in (0, 1))
    print(f"\nfirst export of a session that idled, against a cold one  ({arguments.rounds} rounds, medians)")
    print(f"  ratio {cpu:6.2f}   wall ratio {wall:6.2f}   cold {statistics.median(before[0] for before, _ in samples):.2f} CPU s")


def preparing(proxy):
    """Whether a recording kernel has layers made right now."""
    for task in pathlib.Path(f"/proc/{proxy}/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                if b"prepare" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[1:2]:
                    return True
            except OSError:
                pass
    return False


def unpack(target):
    """Makes the bundle's root as plain files; returns the number of layers."""
    run(program, "restore", "--quiet", "--no-kernel", "--notebook", str(scratch / "out.ipynb"), "--force", str(scratch / "a.nbpack"))
    layers = sorted((scratch / "data/nbpack/v1/layers/sha256").iterdir())
    target.mkdir(exist_ok=True)
    for layer in layers:
        shell(f"tar -C {layer}/root -c . | tar -C {target} -x")
    return len(layers)


def restore():
    if not (scratch / "a.nbpack").exists():
        bundle()
    shell(f"[ -e {scratch}/peer.tar.zst ] || tar -C {scratch}/root -c . | zstd -q -3 -T0 -f -o {scratch}/peer.tar.zst")
    use = "import pandas; print(pandas.__version__)"
    python = subprocess.check_output([program, "run", str(scratch / "a.nbpack"), "--", "python", "-c", "import sys; print(sys.executable)"], text=True).strip()

    def clear(_name):
        shutil.rmtree(scratch / "plain", ignore_errors=True)
        (scratch / "plain").mkdir()
        empty_store()

    def plain():
        shell(f"tar --zstd -C {scratch}/plain -xf {scratch}/peer.tar.zst")
        run(python, "-c", use)

    def ours():
        run(program, "run", str(scratch / "a.nbpack"), "--", "python", "-c", use)
    compare("restore and first `import pandas`: CPU seconds", ("tar --zstd -x, then python", plain), [("nbpack run", ours)], before=clear)
    print(f"  memory of a restore at its most: {peak_of_restore():.0f} MB   goal 150 MB")
    again = lambda: run(program, "run", str(scratch / "a.nbpack"), "--", "python", "-c", "1")
    compare("second start: CPU seconds", ("bare python", lambda: run(python, "-c", "1")), [("nbpack run", again)])
    again_restored()


def peak_of_restore():
    """MB of the largest process of a restore into an empty store."""
    empty_store()
    command = [program, "restore", "--quiet", "--no-kernel", "--force", "--notebook", str(scratch / "out.ipynb"), str(scratch / "a.nbpack")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} ended with {status}")
    return used.ru_maxrss / 1024


def again_restored():
    """Wall time of a restore whose layers are there, and of a restored kernel's start beside the bare one's."""
    import kernel as beside  # benches/kernel.py

    command = [program, "restore", "--force", "--json", "--notebook", str(scratch / "out.ipynb"), str(scratch / "a.nbpack")]
    times = []
    for _ in range(arguments.rounds + 1):
        began = time.monotonic()
        said = subprocess.check_output(command, text=True)
        times.append(time.monotonic() - began)
    print(f"\nrestore whose layers are there: {statistics.median(times[1:]):.2f} s (wall, median of {arguments.rounds})   goal 1 s")
    restored = pathlib.Path(json.loads(said)["kernelspec"]).name
    starts = ([], [])
    for number in range(2 * arguments.rounds + 1):
        for index in (0, 1) if number % 2 == 0 else (1, 0):
            kernel = beside.Kernel((beside.BARE, restored)[index], scratch)
            kernel.end()
            if number:  # the first warms the disk's cache
                starts[index].append(kernel.start)
    beside.say("restored kernel, start to the first reply", *starts, "+100 ms", lambda _, more: more <= 100)


WORK = """
import numpy, pandas
frame = pandas.DataFrame(numpy.random.default_rng(1).random((200_000, 8)))
for _ in range(60):
    result = frame.groupby(frame[0].round(2)).agg(["mean", "std"])
print(result.shape)
"""


def replay():
    """A notebook that computes for some seconds: run again with the bare kernel, and replayed from its restored bundle."""
    cells = [WORK, "print(round(float(result.iloc[0, 0]), 12))", WORK]
    os.environ["JPY_SESSION_NAME"] = str(scratch / "work.ipynb")
    session("python3-nbpack", cells)
    ident = json.loads(subprocess.check_output([program, "sessions", "--json"]))[0]["id"]
    run(program, "export", "--quiet", "--force", ident, "-o", str(scratch / "work.nbpack"))
    again = lambda: run(program, "replay", "--quiet", str(scratch / "work.nbpack"))
    again()
    compare("replay of a restored bundle, start to verdict: CPU seconds", ("bare kernel", lambda: session("python3", cells)),
            [("nbpack replay", again)])


def reuse():
    import reuse as beside  # benches/reuse.py

    beside.measure(program, scratch, environment)


run(program, "install", "--kernel", "python3", "--user", env=dict(environment, VIRTUAL_ENV=prefix))
try:
    for part in arguments.parts or ["capture", "kernel", "bundle", "idle", "restore", "replay"]:
        {"capture": capture, "kernel": kernel, "hashing": hashing, "memory": memory, "bundle": bundle, "peers": peers, "engines": engines, "idle": idle, "restore": restore, "replay": replay, "reuse": reuse}[part]()
finally:
    subprocess.run(["chmod", "-R", "u+w", str(scratch)], check=False)
    shutil.rmtree(scratch, ignore_errors=True)
