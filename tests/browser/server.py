"""Starts JupyterLab or Notebook for a walk in headless Chromium."""

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request


class Server:
    """A server of our own, in `work`; `application` is `jupyterlab` or `notebook`."""

    def __init__(self, work, shots, application="jupyterlab"):
        self.work, self.log = work, shots / "server.log"
        self.token = secrets.token_hex(8)
        self.runtime = work / ".runtime"
        environment = dict(os.environ, JUPYTER_RUNTIME_DIR=str(self.runtime), JUPYTER_CONFIG_DIR=str(work / ".config"))
        news = ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", application, "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0",
             f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={work}",
             *(news if application == "jupyterlab" else [])],
            env=environment, stdout=open(self.log, "w"), stderr=subprocess.STDOUT, cwd=work)

    def url(self):
        """Where it is served, as soon as it is."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            for path in self.runtime.glob("jpserver-*.json"):
                try:
                    url = json.loads(path.read_text())["url"]
                    # The file is there a moment before the port is served.
                    urllib.request.urlopen(url + "api", timeout=60).close()
                    return url
                except (ValueError, KeyError, urllib.error.URLError):
                    pass
            time.sleep(0.1)
        raise SystemExit("the server did not start: " + self.log.read_text()[-2000:])

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def browser(playwright):
    """Headless Chromium that asks nobody for anything."""
    return playwright.chromium.launch(
        executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
        args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
              "--disable-component-update", "--disable-sync"])
