"""Runs a session that idles until something lies in a directory; prints whether a cell that came then was answered.

    prepare.py NOTEBOOK.ipynb KERNEL DIRECTORY SECONDS CELL
"""

import os
import pathlib
import sys
import time

import nbformat
from jupyter_client.manager import run_kernel

path, kernel, directory, seconds, cell = sys.argv[1:]
os.environ["JPY_SESSION_NAME"] = path
nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)]), path)


def made():
    return sum(1 for _ in pathlib.Path(directory).glob("*.json"))


with run_kernel(kernel_name=kernel) as client:
    client.execute_interactive(cell, timeout=120, output_hook=lambda m: None)
    deadline, before, quiet = time.time() + float(seconds), -1, 0
    while time.time() < deadline and quiet < 12:
        time.sleep(0.25)
        now = made()
        quiet, before = (quiet + 1 if now and now == before else 0), now
    reply = client.execute_interactive("print(6 * 7)", timeout=60, output_hook=lambda m: None)
    print(reply["content"]["status"], made())
