"""Makes a virtual environment that holds only ipykernel and what it needs, copied from this one: no network.

    small_environment.py DIRECTORY
"""

import importlib.metadata
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

target = pathlib.Path(sys.argv[1])
subprocess.run([sys.executable, "-m", "venv", "--without-pip", target], check=True)
source = pathlib.Path(sysconfig.get_path("purelib"))
site = target / source.relative_to(sys.prefix)
open_names, taken = ["ipykernel"], set()
while open_names:
    name = open_names.pop()
    if name in taken:
        continue
    taken.add(name)
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:  # for another platform
        continue
    for file in distribution.files or []:
        if ".." not in file.parts and (source / file).is_file():
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / file, site / file)
    wanted = [line for line in distribution.requires or [] if "extra ==" not in line]
    open_names += [re.match(r"[\w.-]+", line).group().lower() for line in wanted]
print(site)
