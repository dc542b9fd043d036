"""Writes the cells given as arguments into a notebook and runs it with a kernel, as papermill and nbconvert do.

    record.py NOTEBOOK.ipynb KERNEL CELL...
"""

import os
import pathlib
import sys

import nbformat
from nbclient import NotebookClient

path, kernel, cells = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3:]
os.environ["JPY_SESSION_NAME"] = str(path)  # as jupyter_server sets it
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
nbformat.write(notebook, path)
client = NotebookClient(
    notebook, kernel_name=kernel, timeout=300, allow_errors=True, resources={"metadata": {"path": str(path.parent)}}
)
client.execute()
nbformat.write(notebook, path)
