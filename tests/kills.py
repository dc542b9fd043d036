"""Starts the nbpack kernel again and again, kills it, and looks for every finished execution in the record.

    kills.py PROGRAM ROUNDS

Who dies changes from round to round: proxy, kernel, or the whole tree. So does the moment: right after a reply, or after a
random time while cells run. Each execution whose reply or idle the client has seen must be in the record with the outputs
that it has seen, the database must be sound, and no process of the tree may be left.
"""

import contextlib
import json
import os
import queue
import random
import shutil
import signal
import sqlite3
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


def run_until_killed(client, moment, kill):
    """Runs cells and kills at the moment, if one is given; what was printed by each that was seen to be over."""
    over, said, asked = set(), {}, []
    deadline = None if moment is None else time.monotonic() + moment
    for _ in range(random.randint(1, 8) if moment is None else 200):
        value = str(random.random())
        code = f"import time\nprint('said', {value}, flush=True)\ntime.sleep({random.random() / 50})"
        asked.append(client.execute(code))
        idle = replied = False
        while not (idle and replied):
            if deadline is not None and time.monotonic() > deadline:
                kill()
                # What the sockets hold by now was seen by a frontend as well.
                grace = time.monotonic() + 0.3
                deadline = float("inf")
            for channel in ("iopub", "shell"):
                try:
                    message = getattr(client, f"get_{channel}_msg")(timeout=0.005)
                except queue.Empty:
                    continue
                parent, kind = message["parent_header"].get("msg_id"), message["msg_type"]
                if kind == "stream":
                    said.setdefault(parent, []).append(message["content"]["text"])
                is_idle = kind == "status" and message["content"]["execution_state"] == "idle"
                if parent == asked[-1]:
                    idle, replied = idle or is_idle, replied or kind == "execute_reply"
                if parent in asked and (is_idle or kind == "execute_reply"):
                    over.add(parent)
            if deadline == float("inf") and time.monotonic() > grace:
                return {parent: "".join(said.get(parent, [])) for parent in over}
    kill()
    return {parent: "".join(said.get(parent, [])) for parent in over}


seen = lost = 0
for number in range(rounds):
    data = tempfile.mkdtemp()
    environment = dict(os.environ, XDG_DATA_HOME=data)
    manager = KernelManager(kernel_name="python3-nbpack")
    manager.start_kernel(env=environment)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    tree = children(manager.provisioner.process.pid)
    victims = [tree[:1], tree[-1:], tree][number % 3]

    def kill():
        for pid in victims:
            # A child may have gone with its parent, which was killed just before.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    over = run_until_killed(client, random.uniform(0, 0.6) if number % 2 else None, kill)
    client.stop_channels()
    deadline = time.monotonic() + 15
    while any(map(alive, tree)) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in tree if alive(pid)]
    if left:
        sys.exit(f"round {number}: killed {victims} of {tree}, still there: {left}")
    # A process whose first thread is a zombie may hold its files, and so the session's lock, for a moment more.
    deadline = time.monotonic() + 15
    while True:
        done = subprocess.run([program, "sessions", "--json"], env=environment, capture_output=True, check=True)
        listed = json.loads(done.stdout)
        if not listed[0]["running"] or time.monotonic() > deadline:
            break
        print(f"round {number}: the session's lock is still held", flush=True)
    shown = subprocess.run([program, "show", "--cells", "--json", listed[0]["id"]], env=environment, capture_output=True, text=True)
    recorded = {one["msg_id"]: one for one in json.loads(shown.stdout)["executions"]}
    seen += len(over)
    for parent, text in over.items():
        outputs = recorded.get(parent, {}).get("outputs", [])
        kept = "".join("".join(output.get("text", "")) for output in outputs)
        if not kept.startswith(text):
            lost += 1
            print(f"round {number}: killed {victims} of {tree}; saw {text!r}, the record has {kept!r}")
            print(listed[0], done.stderr.decode(), shown.stderr, sorted(os.listdir(f"{data}/nbpack/v1/sessions/{listed[0]['id']}")))
    database = sqlite3.connect(f"{data}/nbpack/v1/sessions/{listed[0]['id']}/session.db")
    found = database.execute("PRAGMA integrity_check").fetchall()
    if found != [("ok",)]:
        sys.exit(f"round {number}: the database is not sound: {found}")
    database.close()
    shutil.rmtree(data, ignore_errors=True)
    if (number + 1) % 20 == 0:
        print(f"{number + 1} kills, {seen} executions seen, {lost} lost", flush=True)
print("lost", lost, "of", seen, "executions in", rounds, "kills")
sys.exit(1 if lost else 0)
