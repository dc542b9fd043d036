"""Makes a virtual environment with some distributions of this interpreter's own, and what they require.

    small_venv.py DIRECTORY DISTRIBUTION...
"""

import importlib.metadata as metadata
import os
import pathlib
import re
import shutil
import sys
import venv

target, wanted = pathlib.Path(sys.argv[1]), sys.argv[2:]
venv.create(target, symlinks=True)
site = next(target.glob("lib/python*/site-packages"))
done = set()
while wanted:
    name = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
    if name in done:
        continue
    done.add(name)
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        continue  # required on other systems only
    for file in distribution.files or ():
        source, place = pathlib.Path(distribution.locate_file(file)), site / file
        # Of what lies elsewhere in an environment only JupyterLab's own pages are needed.
        if ".." in file.parts and (name != "jupyterlab" or "lab" not in file.parts):
            continue
        place = pathlib.Path(os.path.normpath(place))
        if not source.is_file():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, place)
    wanted += [re.split(r"[^A-Za-z0-9._-]", one)[0] for one in distribution.requires or () if "extra ==" not in one]
kernel = target / "share/jupyter/kernels/python3/kernel.json"
kernel.parent.mkdir(parents=True)
kernel.write_text(
    '{"argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],'
    ' "display_name": "Python 3", "language": "python"}'
)
