"""Runs cells with a kernel and asks its proxy over the comm target `nbpack`, as the panel in the frontend does.

    panel.py NOTEBOOK.ipynb KERNEL STEP...

A STEP is JSON: `{"run": CODE, "cell": ID}`, `{"start": CODE}` (not waited for), `{"write": PATH, "text": TEXT}`, a
request `{"ask": …}`, or `{"cancel": REQUEST}`, which is given up at its first progress and ends when nothing runs for it. Prints a line of JSON for each request: how long the answer took, what came before it, and it.
The kernel's own words on comms are a failure.
"""

import json
import os
import pathlib
import sys
import time
import uuid

import nbformat
from jupyter_client.manager import KernelManager

path, kernel, steps = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], [json.loads(step) for step in sys.argv[3:]]
os.environ["JPY_SESSION_NAME"] = str(path)
cells = [nbformat.v4.new_code_cell(s["run"], id=s["cell"]) for s in steps if "run" in s]
nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
manager = KernelManager(kernel_name=kernel)
manager.start_kernel(cwd=path.parent)
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=120)


session = b""


def send(kind, content, **metadata):
    message = client.session.msg(kind, content, metadata=metadata)
    client.shell_channel.send(message)
    return message["header"]["msg_id"]


def ask(request):
    global session
    comm, begin, progress = uuid.uuid4().hex, time.monotonic(), []
    opened = send("comm_open", {"comm_id": comm, "target_name": "nbpack", "data": {}})
    asked = send("comm_msg", {"comm_id": comm, "data": request})
    while True:
        message = client.get_iopub_msg(timeout=120)
        if message["parent_header"].get("msg_id") not in (opened, asked):
            continue
        assert message["msg_type"] == "comm_msg" and message["content"]["comm_id"] == comm, message
        data = message["content"]["data"]
        if "progress" in data:
            progress.append(data["progress"])
            continue
        send("comm_close", {"comm_id": comm, "data": {}})
        if "session" in data.get("result", {}):
            session = data["result"]["session"].encode()
        print(json.dumps({"seconds": time.monotonic() - begin, "progress": progress, **data}), flush=True)
        return


def children():
    """The command lines of the processes that the proxy has started to answer, and of those that they have."""
    lines = [path.read_bytes().split(b"\0") for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if readable(path)]
    verbs = (b"panel", b"export", b"restore")
    return [line for line in lines if len(line) > 2 and line[0].endswith(b"nbpack") and line[1] in verbs and session in line]


def readable(path):
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


def cancel(request):
    comm, seen = uuid.uuid4().hex, 0
    send("comm_open", {"comm_id": comm, "target_name": "nbpack", "data": {}})
    send("comm_msg", {"comm_id": comm, "data": request})
    while True:
        message = client.get_iopub_msg(timeout=120)
        if message["msg_type"] == "comm_msg" and message["content"]["comm_id"] == comm:
            assert "progress" in message["content"]["data"], message
            break
    seen = len(children())
    send("comm_close", {"comm_id": comm, "data": {}})
    begin = time.monotonic()
    while children():
        assert time.monotonic() - begin < 30, children()
        time.sleep(0.05)
    print(json.dumps({"ran": seen, "seconds": time.monotonic() - begin}), flush=True)


def run(code, cell, wait=True):
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False,
               "stop_on_error": True}
    asked = send("execute_request", content, cellId=cell)
    if not wait:
        # It runs when the kernel has said so, and something of it was shown.
        kinds = set()
        while not {"execute_input", "stream"} <= kinds:
            message = client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") == asked:
                kinds.add(message["msg_type"])
        return
    while True:
        message = client.get_iopub_msg(timeout=120)
        if message["parent_header"].get("msg_id") == asked and message["content"].get("execution_state") == "idle":
            return


for step in steps:
    if "run" in step:
        run(step["run"], step["cell"])
    elif "start" in step:
        run(step["start"], "started", wait=False)
    elif "write" in step:
        pathlib.Path(step["write"]).write_text(step["text"])
    elif "cancel" in step:
        cancel(step["cancel"])
    else:
        ask(step)
client.stop_channels()
manager.shutdown_kernel(now=any("start" in step for step in steps))
