"""Runs cells through one front end, as a person or a program would, and prints one JSON line of what it saw.

    frontends.py papermill|nbconvert|console|server|vscode KERNEL WORK_DIR
"""

import json
import os
import pathlib
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid

import nbformat

how, kernel, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
notebook = work / "tried.ipynb"
CELLS = ["x = 6 * 7", "print('said', x)"]


def write_notebook():
    cells = [nbformat.v4.new_code_cell(code) for code in CELLS]
    made = nbformat.v4.new_notebook(cells=cells)
    made.metadata.kernelspec = {"name": kernel, "display_name": kernel, "language": "python"}
    nbformat.write(made, notebook)


def outputs_of(path):
    return [output.get("text", "") for cell in nbformat.read(path, 4).cells for output in cell.outputs]


def run(*args, **more):
    return subprocess.run([sys.executable, "-m", *args], cwd=work, check=True, capture_output=True, text=True, **more)


def papermill():
    write_notebook()
    run("papermill", "-k", kernel, "tried.ipynb", "done.ipynb")
    return {"said": outputs_of(work / "done.ipynb")}


def nbconvert():
    write_notebook()
    run("nbconvert", "--to", "notebook", "--execute", "--output", "done.ipynb", "tried.ipynb")
    return {"said": outputs_of(work / "done.ipynb")}


def console():
    done = run("jupyter_console", "--kernel", kernel, "--simple-prompt", input="\n".join([*CELLS, "exit", ""]))
    return {"said": re.findall(r"said \d+\n", done.stdout)}


def server():
    """jupyter_server's REST to start and restart, and its websocket to run."""
    import asyncio

    from tornado.websocket import websocket_connect

    write_notebook()
    token = secrets.token_hex(8)
    runtime = work / ".runtime"
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter_server", "--allow-root", "--ip=127.0.0.1", "--port=0",
         f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={work}"],
        env=dict(os.environ, JUPYTER_RUNTIME_DIR=str(runtime)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def url():
        while process.poll() is None:
            for path in runtime.glob("jpserver-*.json"):
                try:
                    return json.loads(path.read_text())["url"]
                except ValueError:
                    pass
            time.sleep(0.1)
        raise SystemExit("jupyter server did not start")

    def ask(method, path, body=None):
        request = urllib.request.Request(base + path, method=method, data=body and json.dumps(body).encode())
        request.add_header("Authorization", "token " + token)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    async def execute(kernel_id, cells):
        address = f"{base.replace('http', 'ws', 1)}api/kernels/{kernel_id}/channels?token={token}"
        socket = await websocket_connect(address)
        said = []
        for number, code in enumerate(cells):
            header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "s", "username": "u",
                      "date": "2026-01-01T00:00:00Z", "version": "5.3"}
            content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False,
                       "stop_on_error": True}
            await socket.write_message(json.dumps({
                "header": header, "parent_header": {}, "metadata": {"cellId": f"cell-{number}"}, "content": content,
                "channel": "shell", "buffers": []}))
            while True:
                message = json.loads(await asyncio.wait_for(socket.read_message(), 60))
                if message["parent_header"].get("msg_id") != header["msg_id"]:
                    continue
                if message["msg_type"] == "stream":
                    said.append(message["content"]["text"])
                if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                    break
        socket.close()
        return said

    try:
        base = url()
        session = ask("POST", "api/sessions", {"path": "tried.ipynb", "name": "tried.ipynb", "type": "notebook", "kernel": {"name": kernel}})
        kernel_id = session["kernel"]["id"]
        said = asyncio.run(execute(kernel_id, CELLS))
        ask("POST", f"api/kernels/{kernel_id}/restart")
        said += asyncio.run(execute(kernel_id, ["print('x' in dir())"]))
        ask("DELETE", f"api/sessions/{session['id']}")
        return {"said": said}
    finally:
        process.terminate()
        process.wait(30)


def vscode():
    """The Jupyter extension's own client: its way with files, sockets, identities, interrupts and the end."""
    import zmq
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.session import Session

    names = ["shell", "iopub", "stdin", "control", "hb"]
    held = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {f"{name}_port": one.getsockname()[1] for name, one in zip(names, held)}
    for one in held:
        one.close()
    key = str(uuid.uuid4())
    file = work / "a connection file.json"
    file.write_text(json.dumps({"transport": "tcp", "ip": "127.0.0.1", "key": key, "signature_scheme": "hmac-sha256",
                                "kernel_name": kernel, **ports}))
    spec = KernelSpecManager().get_kernel_spec(kernel)
    holders = [number for number, arg in enumerate(spec.argv) if "{connection_file}" in arg]
    argv = list(spec.argv)
    argv[holders[0]] = argv[holders[0]].replace("{connection_file}", str(file))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JPY_")}
    environment["PYDEVD_IPYTHON_COMPATIBLE_DEBUGGING"] = "1"
    process = subprocess.Popen(argv, cwd=work, env=environment)
    deadline = time.monotonic() + 60

    def in_use(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    while not (in_use(ports["shell_port"]) and in_use(ports["iopub_port"])):
        assert process.poll() is None and time.monotonic() < deadline, "the ports are not served"
        time.sleep(0.1)
    context, identity = zmq.Context(), str(uuid.uuid4()).encode()
    session = Session(key=key.encode())

    def connect(kind, name):
        made = context.socket(kind)
        made.linger = 0
        if kind == zmq.DEALER:
            made.identity = identity
        else:
            made.subscribe(b"")
        made.connect(f"tcp://127.0.0.1:{ports[name + '_port']}")
        return made

    shell, control, stdin = (connect(zmq.DEALER, name) for name in ("shell", "control", "stdin"))
    iopub = connect(zmq.SUB, "iopub")

    def descendants(pid):
        below = []
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                below += descendants(int(child)) + [int(child)]
        return below

    def get(socket, seconds=60):
        assert socket.poll(seconds * 1000), "no message"
        return session.deserialize(session.feed_identities(socket.recv_multipart())[1])

    def until_idle(asked, seen=lambda message: None):
        while True:
            message = get(iopub)
            if message["parent_header"].get("msg_id") != asked["header"]["msg_id"]:
                continue
            seen(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return

    session.send(shell, "kernel_info_request", {})
    assert get(shell)["msg_type"] == "kernel_info_reply"
    said, errors = [], []

    def execute(code, number, seen=lambda message: None):
        metadata = {"cellId": f"vscode-notebook-cell:{notebook}#W{number}sZmlsZQ%3D%3D"}
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True,
                   "stop_on_error": False}
        asked = session.send(shell, "execute_request", content, metadata=metadata)

        def watch(message):
            seen(message)
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                said.append(message["content"]["text"])
            if message["msg_type"] == "error":
                errors.append(message["content"]["ename"])
            if message["msg_type"] == "input_request":
                raise AssertionError("on iopub")

        until_idle(asked, watch)
        while get(shell)["parent_header"].get("msg_id") != asked["header"]["msg_id"]:
            pass

    for number, code in enumerate(CELLS):
        execute(code, number)

    def interrupt(message):
        if message["msg_type"] == "stream" and "sleeping" in message["content"]["text"]:
            for pid in descendants(process.pid) + [process.pid]:
                os.kill(pid, signal.SIGINT)

    execute("import time\nprint('sleeping', flush=True)\ntime.sleep(30)", 2, interrupt)
    execute("print('after')", 3)
    session.send(control, "shutdown_request", {"restart": False})
    tree = descendants(process.pid) + [process.pid]
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        for pid in tree:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait(10)
    context.destroy(0)
    return {"said": said, "errors": errors}


print(json.dumps({"papermill": papermill, "nbconvert": nbconvert, "console": console, "server": server, "vscode": vscode}[how]()))
