"""Runs a session while the disk of its record is full; prints as JSON what the client saw.

    full_disk.py KERNEL DATA_DIR FILL_FILE
"""

import json
import os
import sys

from jupyter_client.manager import run_kernel

kernel, fill = sys.argv[1], sys.argv[2]
seen = {}


def run(client, name, code):
    said = []
    reply = client.execute_interactive(
        code, timeout=60, output_hook=lambda m: said.append(m["content"].get("text", "")), allow_stdin=False
    )
    seen[name] = [reply["content"]["status"], len("".join(said)), "".join(said)[-400:]]


with run_kernel(kernel_name=kernel) as client:
    open("input.bin", "wb").write(b"i" * (20 << 20))
    run(client, "before", "print('before'); n = len(open('input.bin', 'rb').read())")
    descriptor = os.open(fill, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        while True:
            os.write(descriptor, b"\0" * 4096)
    except OSError:
        pass
    os.close(descriptor)
    for n in range(12):
        run(client, f"full {n}", f"import os\nprint('{n} ' * 500_000)")
    run(client, "overwritten", "f = open('input.bin', 'w'); f.write('new'); f.close(); print(open('input.bin').read())")
    run(client, "status", "%nbpack status")
    os.unlink(fill)
    run(client, "after", "import time; time.sleep(6); print('after')")
    run(client, "last", "print('last')")
print(json.dumps(seen))
