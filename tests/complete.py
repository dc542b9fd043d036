"""Runs a session with everything that a record must hold, through real clients, and prints what they saw as JSON.

    complete.py NOTEBOOK.ipynb KERNEL
"""

import json
import os
import pathlib
import sys
import time

import nbformat
from jupyter_client import BlockingKernelClient, KernelManager

path, kernel = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
os.environ["JPY_SESSION_NAME"] = str(path)
nbformat.write(nbformat.v4.new_notebook(), path)
manager = KernelManager(kernel_name=kernel)
manager.start_kernel(cwd=str(path.parent))
ann = manager.client()
ann.start_channels()
ann.wait_for_ready(timeout=60)
ann.session.username = "ann"
bob = BlockingKernelClient(connection_file=manager.connection_file)
bob.load_connection_file()
bob.session.username = "bob"
bob.start_channels()
bob.wait_for_ready(timeout=60)
seen = {"ann": ann.session.session, "bob": bob.session.session}


def send(client, code, metadata=None, **content):
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True, "stop_on_error": True} | content
    message = client.session.msg("execute_request", content, metadata=metadata or {})
    client.shell_channel.send(message)
    return message["header"]["msg_id"]


def wait(client, msg_id, answers=()):
    answers = list(answers)
    deadline = time.time() + 60
    while time.time() < deadline:
        if client.stdin_channel.msg_ready():
            client.get_stdin_msg(timeout=1)
            client.input(answers.pop(0))
        try:
            message = client.get_shell_msg(timeout=0.05)
        except Exception:
            continue
        if message["parent_header"].get("msg_id") == msg_id:
            break
    while True:  # its idle, which may come after the reply
        message = client.get_iopub_msg(timeout=60)
        if message["msg_type"] == "comm_open":
            seen["comm"] = message["content"]["comm_id"]
        idle = message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"
        if idle and message["parent_header"].get("msg_id") == msg_id:
            return


def run(client, code, cell=None, answers=(), deleted=None, **content):
    metadata = {}
    if cell:
        metadata["cellId"] = cell
    if deleted:
        metadata["deletedCells"] = deleted
    wait(client, send(client, code, metadata, **content), answers)


run(ann, "x = 1\nx", "first")
run(ann, "x += 1\nprint(x)", "second")
run(ann, "x += 1\nprint(x)", "second")
run(ann, "x = 10\nx", "first")
run(ann, "print('quiet')", silent=True, store_history=False)
run(ann, "y = x * 2", "expressions", user_expressions={"twice": "y", "wrong": "nothing"})
run(ann, "name = input('who? ')\nimport getpass\nword = getpass.getpass('word: ')\nlen(word)", "asked", ["Zoë", "Quark-Zwieback-7"])
run(ann, "import sys; print('to stderr', file=sys.stderr)\n1/0", "broken")
failing = send(ann, "import time; time.sleep(1); raise ValueError('stop')", {"cellId": "fails"})
queued = send(ann, "print('never')", {"cellId": "queued"})
wait(ann, failing)
wait(ann, queued)
run(
    ann,
    "from IPython.display import display, clear_output, HTML, JSON, Image, SVG, Markdown\n"
    "h = display('before', display_id='d')\nprint('gone'); clear_output(); print('kept'); clear_output(wait=True); print('last')\n"
    "display(HTML('<b>bold</b>')); display(JSON({'a': [1]})); display(Markdown('*em*'))\n"
    "display(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\" height=\"1\"/>'))\n"
    "display('shown', display_id='e')",
    "rich",
)
run(ann, "from IPython.display import update_display\nupdate_display('after', display_id='e')", "updates")
run(
    ann,
    "from ipykernel.comm import Comm\nheard = []\nc = Comm(target_name='t', data={'a': 1})\nc.on_msg(lambda m: heard.append(m['content']['data']))",
    "comm",
)
for n in range(3):
    message = ann.session.msg("comm_msg", {"comm_id": seen["comm"], "data": {"n": n}})
    message["buffers"] = [b"\x00\xff" * 10]
    ann.session.send(ann.shell_channel.socket, message, buffers=message["buffers"])
time.sleep(0.5)
run(bob, "heard", "bob")
run(ann, "'after deletion'", "final", deleted=["second"])
run(ann, "%nbpack note nota bene\n%nbpack tag thesis")
ann.stop_channels()
bob.stop_channels()
manager.shutdown_kernel()
print(json.dumps(seen))
