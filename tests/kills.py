"""Starts the nbpack kernel again and again, kills it, and looks for every finished execution in the record.

    kills.py PROGRAM ROUNDS

Who dies changes from round to round: proxy, kernel, or the whole tree; the moment is right after a random reply.
Afterwards no process of the tree may be left.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from jupyter_client.manager import KernelManager

program, rounds = sys.argv[1], int(sys.argv[2])


def children(pid):
    """All processes below this one, and itself."""
    found, parents = [], {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = open(f"/proc/{name}/stat").read()
            except OSError:
                continue
            parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(name))
    queue = [pid]
    while queue:
        one = queue.pop()
        found.append(one)
        queue += parents.get(one, [])
    return found


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


seen = lost = 0
for number in range(rounds):
    data = tempfile.mkdtemp()
    environment = dict(os.environ, XDG_DATA_HOME=data)
    manager = KernelManager(kernel_name="python3-nbpack")
    manager.start_kernel(env=environment)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    values = [str(random.random()) for _ in range(random.randint(1, 8))]
    for value in values:
        client.execute_interactive(f"print('said', {value})", timeout=60, output_hook=lambda _: None)
    tree = children(manager.provisioner.process.pid)
    victims = [tree[:1], tree[-1:], tree][number % 3]
    for pid in victims:
        # A child may have gone with its parent, which was killed just before.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    client.stop_channels()
    deadline = time.monotonic() + 15
    while any(map(alive, tree)) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in tree if alive(pid)]
    if left:
        sys.exit(f"round {number}: killed {victims} of {tree}, still there: {left}")
    listed = json.loads(subprocess.run([program, "sessions", "--json"], env=environment, capture_output=True, check=True).stdout)
    shown = subprocess.run([program, "show", "--cells", "--json", listed[0]["id"]], env=environment, capture_output=True, text=True)
    seen += len(values)
    lost += sum(f"said {value}" not in shown.stdout for value in values)
    shutil.rmtree(data, ignore_errors=True)
print("lost", lost, "of", seen, "executions in", rounds, "kills")
