"""How much of a bundle another environment's bundle brings already, against what sharing single files would reach.

Five environments are made with real installers: A, then A with one package bumped (B), with five added (C), another
person's at another path (D, two packages of other versions), and the same as A by another installer at another path
(E). "New" is the tar of the layers that A's bundle does not have; the ideal is the bytes of the files that it does not
have at that path. Layers of the session itself are left aside.
"""

import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import venv

BASE = ["ipykernel==7.4.0", "numpy==2.3.3", "scipy==1.16.2", "scikit-learn==1.7.2", "matplotlib==3.10.6", "pyarrow==21.0.0",
        "statsmodels==0.14.5", "seaborn==0.13.2", "requests==2.32.5", "beautifulsoup4==4.13.5", "pillow==11.3.0"]
ENVIRONMENTS = {
    "A": ("pip", "a/venv", [*BASE, "pandas==2.3.3"]),
    "B": ("pip", "b/venv", [*BASE, "pandas==2.3.2"]),
    "C": ("pip", "c/venv", [*BASE, "pandas==2.3.3", "sympy==1.14.0", "networkx==3.5", "sqlalchemy==2.0.43", "plotly==6.3.0", "openpyxl==3.1.5"]),
    "D": ("pip", "home/somebody else/projects/env", [*(one for one in BASE if one.split("=")[0] not in ("requests", "pillow")), "pandas==2.3.3",
                                                     "requests==2.32.4", "pillow==11.2.1"]),
    "E": ("uv", "e/deeper/down/venv", [*BASE, "pandas==2.3.3"]),
}
WORDS = {"B": "one package bumped", "C": "five packages added", "D": "another person's", "E": "another installer"}
# What a distribution's layers are called; everything else is the session's own, or the machine's.
OURS = ("libraries ", "bytecode ", "environment")


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode:
        sys.exit(f"{command} ended with {done.returncode}: {done.stdout[-2000:]}")


def make(scratch, installer, place, packages):
    target = scratch / "reuse" / place
    venv.create(target, with_pip=installer == "pip")
    if installer == "pip":
        run(target / "bin/pip", "install", "-q", "--disable-pip-version-check", *packages)
    else:
        uv = pathlib.Path(__file__).resolve().parent.parent / "target/test-validators/bin/uv"
        run(uv, "pip", "install", "-q", "--python", target / "bin/python", *packages)
    return target


def bundle(program, scratch, name, target, environment):
    """Records a session in the environment and exports it; gives the layers: diff_id to (title, bytes, files)."""
    # Recorded and exported by a person of its own: nothing is in the store.
    home = scratch / "reuse" / f"person {name}"
    home.mkdir()
    own = dict(environment, XDG_DATA_HOME=str(home / "data"), JUPYTER_DATA_DIR=str(home / "jupyter"), VIRTUAL_ENV=str(target),
               JUPYTER_PREFER_ENV_PATH="0", PATH=f"{target}/bin:/usr/bin:/bin")
    own.pop("JPY_SESSION_NAME", None)
    run(program, "install", "--kernel", "python3", "--user", env=own)
    record = pathlib.Path(__file__).resolve().parent.parent / "tests/record.py"
    run(sys.executable, record, home / "nb.ipynb", "python3-nbpack", "import pandas, sklearn.ensemble, matplotlib.pyplot", env=own, cwd=home)
    run(program, "export", "nb.ipynb", "-o", "dir:layout", env=own, cwd=home)
    layout = home / "layout"
    read = lambda descriptor: layout / "blobs" / descriptor["digest"].replace(":", "/")
    manifest = json.loads(read(json.loads((layout / "index.json").read_text())["manifests"][0]).read_text())
    diff_ids = json.loads(read(manifest["config"]).read_text())["rootfs"]["diff_ids"]
    layers = {}
    for descriptor, diff_id in zip(manifest["layers"], diff_ids):
        title = descriptor["annotations"]["dev.nbpack.layer.title"]
        files = {}
        tar = subprocess.Popen(["zstd", "-dc", read(descriptor)], stdout=subprocess.PIPE)
        with tarfile.open(fileobj=tar.stdout, mode="r|") as entries:
            for entry in entries:
                if entry.isfile():
                    files[(entry.name, hashlib.sha256(entries.extractfile(entry).read()).digest())] = entry.size
            while tar.stdout.read(1 << 16):
                pass
        tar.wait()
        owned = title.startswith(OURS) or any(path.startswith("opt/nbpack/env/") for path, _ in files)
        if owned:
            layers[diff_id] = (title, int(descriptor["annotations"]["dev.nbpack.layer.size"]), files)
    shutil.rmtree(layout)
    shutil.rmtree(home / "data")
    return layers


def measure(program, scratch, environment):
    made = {}
    for name, (installer, place, packages) in ENVIRONMENTS.items():
        target = make(scratch, installer, place, packages)
        made[name] = bundle(program, scratch, name, target, environment)
        shutil.rmtree(target)
    of = lambda layers: {key: size for _, _, files in layers.values() for key, size in files.items()}
    known, base = of(made["A"]), made["A"]
    print(f"\nreuse: environment A has {sum(size for _, size, _ in base.values()) / 1e6:.0f} MB in {len(base)} layers")
    for name, words in WORDS.items():
        new = sum(size for diff_id, (_, size, _) in made[name].items() if diff_id not in base)
        total = sum(size for _, size, _ in made[name].values())
        ideal = sum(size for key, size in of(made[name]).items() if key not in known)
        print(f"  {name} {words:22} new {new / 1e6:7.1f} of {total / 1e6:7.1f} MB in {len(made[name]):3} layers   ideal {ideal / 1e6:7.1f} MB   ratio {new / max(ideal, 1):6.2f}")
        fresh = sorted(((size, title) for diff_id, (title, size, _) in made[name].items() if diff_id not in base), reverse=True)
        print("    " + ", ".join(f"{title} {size / 1e6:.1f}" for size, title in fresh[:8]))
