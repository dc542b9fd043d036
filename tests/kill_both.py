"""Kills a recorded kernel's proxy and tap at once, and prints the numbers of the processes that should end: the kernel and
what it started.

    kill_both.py KERNEL
"""

import os
import signal
import sys
import time

from jupyter_client import KernelManager


def children(pid):
    try:
        return [int(child) for task in os.listdir(f"/proc/{pid}/task") for child in open(f"/proc/{pid}/task/{task}/children").read().split()]
    except FileNotFoundError:
        return []


manager = KernelManager(kernel_name=sys.argv[1])
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=60)
client.execute_interactive("import subprocess; child = subprocess.Popen(['sleep', '1000'])", timeout=60)
proxy = manager.provisioner.process.pid
[tap] = children(proxy)
[kernel] = children(tap)
print(kernel, *children(kernel), flush=True)
for pid in (tap, proxy):
    os.kill(pid, signal.SIGKILL)
# What a front end does when its kernel is dead: it ends the rest of its group.
deadline = time.time() + 10
while manager.is_alive() and time.time() < deadline:
    time.sleep(0.05)
client.stop_channels()
manager.shutdown_kernel(now=True)
