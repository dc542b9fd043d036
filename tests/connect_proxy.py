"""A registry behind an HTTP proxy: pushes and pulls through `CONNECT`, and around it where `NO_PROXY` says so.

    unshare --net python3 connect_proxy.py NBPACK BUNDLE WORK

Everything is in the network namespace that this was started in: the registry speaks TLS on an address that is not
loopback (loopback is never behind a proxy). Prints, as JSON, for each command its exit code, what it said, and what the
proxy and the registry saw of it.
"""

import base64
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

REGISTRY, PROXY = ("192.0.2.1", 5443), ("127.0.0.1", 3128)
program, bundle, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])


class Proxy:
    """Answers `CONNECT` only, and only who knows the password; counts tunnels."""

    def __init__(self):
        self.seen = []
        listener = socket.create_server(PROXY)
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(4096)
            if not more:
                return
            head += more
        first, *headers = head.decode().split("\r\n")
        self.seen.append(first)
        expected = "basic " + base64.b64encode(b"ann:hush").decode()
        given = [line.split(":", 1)[1].strip() for line in headers if line.lower().startswith("proxy-authorization:")]
        if not any(one.split()[0].lower() == "basic" and one.split()[1] == expected.split()[1] for one in given):
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=test\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        host, port = first.split()[1].rsplit(":", 1)
        try:
            server = socket.create_connection((host, int(port)))
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=pass_on, args=(client, server), daemon=True).start()
        pass_on(server, client)


def pass_on(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def call(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def registry():
    call("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", work / "key.pem", "-out", work / "cert.pem", "-subj", "/CN=registry",
         "-addext", f"subjectAltName=IP:{REGISTRY[0]}", "-addext", "basicConstraints=critical,CA:FALSE")
    config = work / "registry.yml"
    config.write_text(f"""version: 0.1
storage:
  filesystem:
    rootdirectory: {work}/storage
http:
  addr: {REGISTRY[0]}:{REGISTRY[1]}
  tls:
    certificate: {work}/cert.pem
    key: {work}/key.pem
""")
    server = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env=dict(os.environ, OTEL_TRACES_EXPORTER="none"))
    for _ in range(200):
        try:
            socket.create_connection(REGISTRY).close()
            return server
        except OSError:
            time.sleep(0.05)
    sys.exit("docker-registry does not listen")


call("ip", "link", "set", "lo", "up")
call("ip", "address", "add", f"{REGISTRY[0]}/32", "dev", "lo")
proxy, server = Proxy(), registry()
image = "{}:{}/team/nb".format(*REGISTRY)
through, wrong = (f"http://{who}@{PROXY[0]}:{PROXY[1]}" for who in ("ann:hush", "ann:loud"))
results = {}
try:
    for name, verb, settings in [
        ("push", ["push", bundle, f"{image}:v1"], {"HTTPS_PROXY": through}),
        ("pull", ["pull", f"{image}:v1", "-o", "out.nbpack"], {"https_proxy": through}),
        ("wrong password", ["pull", f"{image}:v1", "-o", "none.nbpack"], {"HTTPS_PROXY": wrong}),
        ("excluded", ["pull", f"{image}:v1", "-o", "around.nbpack"], {"HTTPS_PROXY": through, "NO_PROXY": f"example.org,{REGISTRY[0]}"}),
        ("other excluded", ["pull", f"{image}:v1", "-o", "through.nbpack"], {"HTTPS_PROXY": through, "NO_PROXY": "example.org,.example"}),
        ("no proxy there", ["pull", f"{image}:v1", "-o", "none.nbpack"], {"HTTPS_PROXY": "http://127.0.0.1:9"}),
    ]:
        proxy.seen.clear()
        data = work / name.replace(" ", "-")
        data.mkdir()
        done = subprocess.run([program, *verb], cwd=work, capture_output=True, text=True,
                              env={"PATH": os.environ["PATH"], "HOME": str(work), "XDG_DATA_HOME": str(data), "SSL_CERT_FILE": str(work / "cert.pem"), **settings})
        results[name] = {"code": done.returncode, "said": done.stderr, "tunnels": list(proxy.seen)}
finally:
    server.terminate()
    server.wait()
print(json.dumps(results))
