"""Runs a session in which things are ended, through a real client; writes it as a notebook.

    stops.py NOTEBOOK.ipynb KERNEL JSON

JSON is a list of steps: {"run": code}, with "interrupt": words after which the kernel is interrupted, "end": words after
which it is told to end, "lost": words after which this client is gone without a word, "dies": true where the kernel ends by itself; {"slide": text} sends a new value to the widget
model whose state has this description.
"""

import json
import os
import pathlib
import sys
import time

import nbformat
from jupyter_client import KernelManager

path, kernel, steps = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], json.loads(sys.argv[3])
os.environ["JPY_SESSION_NAME"] = str(path)
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s["run"]) for s in steps if "run" in s])
nbformat.write(notebook, path)
manager = KernelManager(kernel_name=kernel)
manager.start_kernel(cwd=str(path.parent))
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=60)
models = {}


def until_idle(msg_id, step, deadline):
    said = ""
    done = False
    while time.time() < deadline:
        if step.get("dies") and not manager.is_alive():
            return said
        try:
            message = client.get_iopub_msg(timeout=0.2)
        except Exception:
            continue
        content = message["content"]
        if message["msg_type"] == "comm_open":
            models[content["data"]["state"].get("description")] = content["comm_id"]
        if message["parent_header"].get("msg_id") != msg_id:
            continue
        said += content.get("text", "")
        if message["msg_type"] == "status" and content["execution_state"] == "idle":
            return said
        if step.get("interrupt") and step["interrupt"] in said and not done:
            done = True
            time.sleep(0.3)
            manager.interrupt_kernel()
        if step.get("lost") and step["lost"] in said:
            os._exit(0)
        if step.get("end") and step["end"] in said:
            manager.shutdown_kernel(now=False)
            return said
    raise SystemExit(f"did not end: {step}: {said}")


for step in steps:
    if "slide" in step:
        message = client.session.msg("comm_msg", {"comm_id": models[step["slide"]], "data": {"method": "update", "state": {"value": step["to"]}, "buffer_paths": []}})
        client.shell_channel.send(message)
        time.sleep(0.5)
        continue
    print(repr(until_idle(client.execute(step["run"]), step, time.time() + 60)))
client.stop_channels()
if manager.is_alive():
    manager.shutdown_kernel()
