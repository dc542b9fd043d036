"""Clicks through JupyterLab or Notebook 7 in headless Chromium with one kernel, and prints one JSON line of what it saw.

    lab.py KERNEL DISPLAY_NAME WORK_DIR SCREENSHOT_DIR [jupyterlab|notebook]

Picks the kernel in the launcher, runs cells (a figure, a slider, an input box), interrupts, restarts, and stops at a
breakpoint. Every step waits for what the page shows, with a deadline; nothing sleeps.
"""

import json
import os
import pathlib
import re
import sys

import nbformat
from playwright.sync_api import expect, sync_playwright
from server import Server, browser

kernel, display_name, work, shots = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4])
interface = sys.argv[5] if len(sys.argv) > 5 else "jupyterlab"
shots.mkdir(parents=True, exist_ok=True)
CELLS = [
    "import matplotlib.pyplot as plt\nplt.plot([1, 4, 9]); plt.show()",
    "import ipywidgets\nslider = ipywidgets.IntSlider(value=3, max=10, description='level')\nslider",
    "name = input('Your name? ')",
    "print('hello', name, slider.value)",
    "import time\nprint('sleeping')\nwhile True:\n    time.sleep(0.05)",
    "print('after', 6 * 7)",
]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
notebook.metadata.kernelspec = {"name": kernel, "display_name": display_name, "language": "python"}
nbformat.write(notebook, work / "clicked.ipynb")

server = Server(work, shots, interface)
token = server.token


def cell(page, index):
    """The code cell at this place of the notebook."""
    return page.locator(".jp-Notebook .jp-CodeCell").nth(index)


def run(page, index):
    cell(page, index).locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+Enter")


def open_in_lab(page, url):
    page.goto(f"{url}lab?reset&token={token}")
    page.locator(".jp-LauncherCard", has_text=display_name).first.wait_for()
    saw["launcher"] = True
    page.screenshot(path=shots / "1-launcher.png")
    page.goto(f"{url}lab/tree/clicked.ipynb?token={token}")


def open_in_notebook(page, url):
    """Notebook 7: the kernel is in the menu *New* of the list of files."""
    page.goto(f"{url}tree?token={token}")
    page.get_by_text("New", exact=True).first.click()
    page.locator(".lm-Menu-itemLabel", has_text=display_name).first.wait_for()
    saw["launcher"] = True
    page.screenshot(path=shots / "1-launcher.png")
    page.goto(f"{url}notebooks/clicked.ipynb?token={token}")


def is_idle(page):
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for()


def walk(page, url):
    """What a person does, step by step."""
    (open_in_notebook if interface == "notebook" else open_in_lab)(page, url)
    page.locator(".jp-Notebook .jp-CodeCell").nth(len(CELLS) - 1).wait_for()
    expect(page.locator(".jp-Toolbar-kernelName").first).to_contain_text(display_name)
    is_idle(page)
    run(page, 0)
    cell(page, 0).locator(".jp-OutputArea-output img").wait_for()
    saw["figure"] = True
    run(page, 1)
    handle = cell(page, 1).locator(".noUi-handle")
    handle.wait_for()
    bar = cell(page, 1).locator(".noUi-base").bounding_box()
    handle.hover()
    page.mouse.down()
    page.mouse.move(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2, steps=5)
    page.mouse.up()
    expect(cell(page, 1).locator(".widget-readout")).to_have_text("5")
    saw["slider"] = True
    run(page, 2)
    box = cell(page, 2).locator("input.jp-Stdin-input")
    box.wait_for()
    box.fill("Ada")
    box.press("Enter")
    run(page, 3)
    expect(cell(page, 3).locator(".jp-OutputArea-output").first).to_have_text(re.compile(r"hello Ada 5"))
    saw["stdin"] = True
    run(page, 4)
    expect(cell(page, 4).locator(".jp-OutputArea-output").first).to_contain_text("sleeping")
    page.keyboard.press("Escape")
    page.keyboard.press("i")
    page.keyboard.press("i")
    error = cell(page, 4).locator(".jp-OutputArea-output", has_text="KeyboardInterrupt").last
    error.wait_for()
    saw["interrupt"] = page.locator(".jp-OutputArea-output", has_text="KeyboardInterrupt").count()
    run(page, 5)
    expect(cell(page, 5).locator(".jp-OutputArea-output").first).to_have_text(re.compile(r"after 42"))
    page.screenshot(path=shots / "2-run.png")

    if interface == "jupyterlab":
        debug(page)
    page.keyboard.press("Control+s")
    restart = "[data-command='kernelmenu:restart'], [data-command='notebook:restart-kernel']"
    page.locator(".jp-Toolbar").locator(restart).first.click()
    page.locator(".jp-Dialog button", has_text="Restart").last.click()
    page.locator(".jp-Dialog").wait_for(state="detached")
    is_idle(page)
    run(page, 0)
    cell(page, 0).locator(".jp-InputPrompt", has_text="[1]:").wait_for()
    saw["restart"] = True
    page.screenshot(path=shots / "4-restarted.png")


def debug(page):
    # The debugger: switched on by the bug in the toolbar, a breakpoint in the gutter of the last cell.
    page.locator(".jp-DebuggerBugButton").first.click()
    page.locator(".jp-DebuggerBugButton[aria-pressed=true]").first.wait_for()
    cell(page, 5).locator(".cm-breakpoint-gutter .cm-gutterElement").last.click(force=True)
    page.locator(".jp-DebuggerBreakpoint").first.wait_for()
    run(page, 5)
    page.locator(".jp-DebuggerCallstackFrame").first.wait_for()
    saw["breakpoint"] = True
    page.screenshot(path=shots / "3-breakpoint.png")
    page.locator(".jp-Debugger [data-command='debugger:continue'], [data-command='debugger:continue']").first.click()


saw = {}
try:
    url = server.url()
    with sync_playwright() as playwright:
        chromium = browser(playwright)
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(int(os.environ.get("WAIT", "60000")))
        expect.set_options(timeout=60_000)
        try:
            walk(page, url)
        except BaseException:
            page.screenshot(path=shots / "failed.png")
            raise
        chromium.close()
finally:
    server.stop()
    print(json.dumps(saw))
