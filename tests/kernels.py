"""Talks to one kernel as a frontend does and prints one JSON line of what it saw.

    kernels.py KERNEL LONG_CELL CELL...

Runs the cells (`%nbpack …` ones too), then LONG_CELL, which it interrupts once it is busy, and the first cell again.
An empty LONG_CELL is left out.
"""

import json
import queue
import sys
import time

from jupyter_client.manager import KernelManager

kernel, long, cells = sys.argv[1], sys.argv[2], sys.argv[3:]
manager = KernelManager(kernel_name=kernel)
manager.start_kernel()
client = manager.client()
client.start_channels()


def plain(message):
    """What an output says, without what differs in each run."""
    content, kind = message["content"], message["msg_type"]
    if kind == "stream":
        return content["text"]
    if kind in ("execute_result", "display_data"):
        return content["data"].get("text/plain", "")
    return content.get("ename", "") if kind == "error" else ""


def run(code):
    outputs = []
    answer = client.execute_interactive(code, timeout=60, output_hook=outputs.append)
    reply, asked = answer["content"], answer["parent_header"]["msg_id"]
    # Deno's kernel may say that it is idle before it says what the cell printed, the bare one too.
    while not "".join(map(plain, outputs)):
        try:
            message = client.get_iopub_msg(timeout=1)
        except queue.Empty:
            break
        if message["parent_header"].get("msg_id") == asked:
            outputs.append(message)
    return {"status": reply["status"], "count": reply.get("execution_count"), "said": "".join(map(plain, outputs))}


def ask(message_id, timeout=30):
    while True:
        message = client.get_shell_msg(timeout=timeout)
        if message["parent_header"].get("msg_id") == message_id:
            return message["content"]


def history():
    """What this session's inputs are in the kernel's own history; nothing where it keeps none."""
    asked = client.history(hist_access_type="tail", n=20, raw=True, output=False)
    try:
        return str(ask(asked, 5).get("history", ""))
    except queue.Empty:
        return ""


def interrupted(code):
    """Interrupts once the cell has said that it is running; tells how long it took to end."""
    asked = client.execute(code)
    said, sent = "", None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            message = client.get_iopub_msg(timeout=1)
        except queue.Empty:
            continue
        if message["parent_header"].get("msg_id") != asked:
            continue
        said += plain(message)
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
        if sent is None and message["msg_type"] == "execute_input":
            time.sleep(1)  # no kernel tells when it is inside the cell
            manager.interrupt_kernel()
            sent = time.monotonic()
    return {"status": ask(asked)["status"], "said": said, "soon": sent is not None and time.monotonic() - sent < 10}


try:
    client.wait_for_ready(timeout=90)
    info = ask(client.kernel_info())
    saw = {
        "language": info["language_info"]["name"],
        "cells": [run(cell) for cell in cells],
        "interrupted": interrupted(long) if long else None,
        "after": run(cells[0]),
        "complete": ask(client.is_complete("1"))["status"],
        "nbpack_in_history": "nbpack" in history(),
    }
finally:
    client.stop_channels()
    manager.shutdown_kernel()
print(json.dumps(saw))
