"""Drives a kernel through what a person does to it, and prints a JSON line of what came back.

    engine_kernel.py KERNEL CELL...

The cells, an interrupt of a cell that sleeps, a restart that kills, the first cell again; then its first process is
killed and nothing is tidied up.
"""

import json
import sys
import time

from jupyter_client.manager import KernelManager

kernel, cells = sys.argv[1], sys.argv[2:]
manager = KernelManager(kernel_name=kernel)
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=120)


def run(code, **more):
    said = []

    def hook(message):
        content = message["content"]
        said.append(content.get("text") or content.get("ename") or content.get("data", {}).get("text/plain") or "")

    client.execute_interactive(code, timeout=120, output_hook=hook, **more)
    return "".join(said)


results = [run(cell) for cell in cells]
asked = client.execute("import time; print('sleeping'); time.sleep(60)")
while client.get_iopub_msg(timeout=60)["content"].get("text") != "sleeping\n":
    pass
started = time.monotonic()
manager.interrupt_kernel()
while True:
    message = client.get_shell_msg(timeout=30)
    if message["parent_header"].get("msg_id") == asked:
        results.append(message["content"].get("ename"))
        break
interrupted = time.monotonic() - started
manager.restart_kernel(now=True)
client.wait_for_ready(timeout=120)
results.append(run(cells[0]))
manager.provisioner.process.kill()
print(json.dumps({"results": results, "interrupted": interrupted}))
