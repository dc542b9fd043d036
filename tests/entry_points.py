"""Completes an environment that `small_venv.py` made: commands, data files, and records that name only what is there.

    ENVIRONMENT/bin/python entry_points.py PREFIX_OF_THE_ENVIRONMENT_IT_WAS_COPIED_FROM
"""

import csv
import importlib.metadata as metadata
import pathlib
import shutil
import sys

prefix, source = pathlib.Path(sys.prefix), pathlib.Path(sys.argv[1])
for distribution in metadata.distributions():
    record = distribution.locate_file(f"{distribution._path.name}/RECORD")
    kept = []
    for row in csv.reader(record.read_text().splitlines()):
        place = pathlib.Path(distribution.locate_file(row[0])).resolve()
        if ".." in pathlib.PurePath(row[0]).parts:
            inside = place.relative_to(prefix)
            if inside.parts[0] == "bin":
                continue  # its first line names the other environment
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / inside, place)
        kept.append(row)
    with record.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(kept)
for entry in metadata.entry_points(group="console_scripts"):
    script = prefix / "bin" / entry.name
    if not script.exists():
        script.write_text(
            f"#!{prefix}/bin/python\nimport sys\nfrom {entry.module} import {entry.attr.split('.')[0]}\nsys.exit({entry.attr}())\n"
        )
        script.chmod(0o755)
