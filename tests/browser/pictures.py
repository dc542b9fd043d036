"""Makes the documentation's pictures: a notebook with the panel beside it in JupyterLab, and a report of a replay.

    pictures.py notebook KERNEL WORK_DIR OUT.png
    pictures.py report PAGE.html OUT.png

Waits for what is to be in the picture; a picture in which it is not is an error.
"""

import pathlib
import sys

import nbformat
from playwright.sync_api import expect, sync_playwright
from server import Server, browser

CELLS = [
    "import pandas\nimport matplotlib.pyplot as plt",
    "sales = pandas.read_csv('sales.csv')\nsales.groupby('region').amount.mean()",
    "sales.groupby('day').amount.sum().plot(figsize=(6, 2.2), xlabel='day', ylabel='amount')\nplt.show()",
]


def notebook(kernel, work, out):
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    made.metadata.kernelspec = {"name": kernel, "display_name": "Python 3 (nbpack)", "language": "python"}
    nbformat.write(made, work / "analysis.ipynb")
    server = Server(work, out.parent, "jupyterlab")
    try:
        url = server.url()
        with sync_playwright() as playwright:
            chromium = browser(playwright)
            page = chromium.new_page(viewport={"width": 1300, "height": 760})
            page.set_default_timeout(60_000)
            expect.set_options(timeout=60_000)
            page.goto(f"{url}lab/tree/analysis.ipynb?token={server.token}")
            cells = page.locator(".jp-Notebook .jp-CodeCell")
            cells.nth(len(CELLS) - 1).wait_for()
            status = page.locator(".nbp-Status:visible")
            expect(status).to_contain_text("nbpack: recording")
            for index in range(len(CELLS)):
                cells.nth(index).locator(".jp-InputArea-editor").click()
                page.keyboard.press("Control+Enter")
                expect(cells.nth(index).locator(".jp-InputArea-prompt")).to_contain_text(f"[{index + 1}]")
            cells.nth(2).locator(".jp-OutputArea-output img").wait_for()
            # Jupyter's own question about news, and its list of files, are not what is shown.
            page.add_style_tag(content=".Toastify { display: none }")
            page.keyboard.press("Control+s")
            page.keyboard.press("Control+b")
            status.click()
            panel = page.locator("#nbpack-panel")
            expect(panel.locator("details[data-key=read]")).to_contain_text("sales.csv")
            with open(work / "sales.csv", "a") as data:
                data.write("31,north,12.5\n")
            panel.get_by_role("button", name="Refresh").click()
            expect(cells.nth(1).locator(".nbp-Badge")).to_be_visible()
            page.screenshot(path=out)
            chromium.close()
    finally:
        server.stop()


def report(page_file, out):
    with sync_playwright() as playwright:
        chromium = browser(playwright)
        page = chromium.new_page(viewport={"width": 1100, "height": 900})
        page.goto(page_file.resolve().as_uri())
        expect(page.locator("body")).to_contain_text("sales.csv")
        page.locator("h2", has_text="What differs").evaluate("heading => heading.scrollIntoView()")
        page.screenshot(path=out)
        chromium.close()


if sys.argv[1] == "notebook":
    notebook(sys.argv[2], pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4]))
else:
    report(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
