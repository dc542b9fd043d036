"""Clicks through nbpack's panel in headless Chromium, and prints one JSON line of what it saw.

    panel.py APPLICATION LANGUAGE KERNEL WORK_DIR SCREENSHOT_DIR STEP...

APPLICATION is `jupyterlab` or `notebook`, LANGUAGE `python` or `R`; the STEPs `export`, `open` and `browse` come last. Every
step waits for what the page shows, with a deadline; nothing sleeps.
"""

import json
import os
import pathlib
import re
import sys

import nbformat
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright
from server import Server, browser

application, language, kernel = sys.argv[1:4]
work, shots, steps = pathlib.Path(sys.argv[4]), pathlib.Path(sys.argv[5]), sys.argv[6:]
shots.mkdir(parents=True, exist_ok=True)
CELLS = {
    "python": [
        "import json\nrows = open('data.csv').read().split()",
        "total = len(rows)\nprint('total', total)",
        "with open('out.txt', 'w') as out:\n    print(total, file=out)",
        "print('AKIA' 'Q3EGRZ5XWV2LMN7P')",
        "import time\nprint('running')\nwhile True:\n    time.sleep(0.05)",
    ],
    "R": [
        "rows <- readLines('data.csv')",
        "total <- length(rows)\ncat('total', total)",
        "writeLines(as.character(total), 'out.txt')",
        "cat(paste0('AKIA', 'Q3EGRZ5XWV2LMN7P'))",
        "cat('running'); flush.console()\nwhile (TRUE) Sys.sleep(0.05)",
    ],
}[language]
(work / "data.csv").write_text("1\n2\n3\n")
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
notebook.metadata.kernelspec = {"name": kernel, "display_name": kernel, "language": language}
nbformat.write(notebook, work / "walked.ipynb")


def cell(page, index):
    return page.locator(".jp-Notebook .jp-CodeCell").nth(index)


def run(page, index, says=None):
    """Runs a cell; `says` is what comes out, else its number is waited for."""
    cell(page, index).locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+Enter")
    if says:
        expect(cell(page, index).locator(".jp-OutputArea-output").first).to_contain_text(says)
    else:
        expect(cell(page, index).locator(".jp-InputArea-prompt")).to_contain_text(re.compile(r"\[\d+\]"))


def badge(page, index):
    return cell(page, index).locator(".nbp-Badge")


def section(page, key):
    return page.locator(f"#nbpack-panel details[data-key={key}]")


def fact(page, name):
    return page.locator("#nbpack-panel dt", has_text=name).locator("xpath=following-sibling::dd[1]")


def panel_button(page, label):
    return page.locator("#nbpack-panel").get_by_role("button", name=label)


def check_access(page, *ours):
    """What axe-core finds in these parts of the page that are there, and what a screen reader would be told of the panel."""
    there = [[selector] for selector in ours if page.locator(selector).count()]
    found = Axe().run(page, {"include": there}).response["violations"]
    saw["access"] += [f"{theme}: {one['id']}: {node['target']}" for one in found for node in one["nodes"]]
    told = page.locator("#nbpack-panel").aria_snapshot()
    for part in ('region "nbpack"', "status:", 'button "Export…"', 'button "Open bundle…"', "heading"):
        if part not in told:
            saw["access"].append(f"{theme}: a screen reader is told of no {part}: {told[:500]}")


def look(page, url):
    where = "lab/tree" if application == "jupyterlab" else "notebooks"
    page.goto(f"{url}{where}/walked.ipynb?token={server.token}")
    cell(page, len(CELLS) - 1).wait_for()
    status = page.locator(".nbp-Status:visible")
    expect(status).to_contain_text("nbpack: recording")
    expect(status).to_have_attribute("aria-label", re.compile("Show the nbpack panel"))
    saw["status"] = True
    run(page, 0)
    run(page, 1, "total 3")
    run(page, 2)
    # By keyboard, as somebody without a mouse does.
    status.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#nbpack-panel")).to_be_visible()
    read = section(page, "read")
    expect(read).to_contain_text("data.csv")
    expect(read.locator("li", has_text="data.csv").locator("code")).to_have_text(re.compile("^[0-9a-f]{12}$"))
    expect(section(page, "written")).to_contain_text("out.txt")
    expect(section(page, "libraries").locator("li").first).to_be_visible()
    expect(section(page, "partly")).to_be_visible()
    saw["inputs"] = True
    expect(badge(page, 0)).to_have_count(0)
    page.screenshot(path=shots / "1-recorded.png")

    # A click on a cell's number goes there.
    read.locator("li", has_text="data.csv").get_by_role("button").first.click()
    expect(cell(page, 0)).to_have_class(re.compile("jp-mod-active"))

    (work / "data.csv").write_text("1\n2\n3\n4\n")
    panel_button(page, "Refresh").click()
    expect(badge(page, 0)).to_have_attribute("aria-label", re.compile("`data.csv` was changed since"))
    expect(badge(page, 1)).to_be_visible()
    expect(badge(page, 3)).to_have_count(0)
    saw["changed file"] = True
    check_access(page, "#nbpack-panel", ".nbp-Status", ".nbp-Badge")
    page.screenshot(path=shots / "2-outdated.png")
    badge(page, 1).click()
    expect(section(page, "outdated").locator("summary")).to_be_focused()
    run(page, 0)
    expect(badge(page, 0)).to_have_count(0)
    expect(badge(page, 1)).to_have_attribute("aria-label", re.compile("was run again since"))
    run(page, 1, "total 4")
    expect(badge(page, 1)).to_have_count(0)
    saw["run again"] = True
    run(page, 3, "AKIA")
    expect(fact(page, "Secrets found")).to_have_text("1")
    expect(page.locator(".nbp-Status:visible")).to_contain_text("1 secret")
    saw["secret"] = True

    # It answers while a cell runs.
    before = int(fact(page, "Executions").inner_text())
    run(page, 4, "running")
    panel_button(page, "Refresh").click()
    expect(fact(page, "Executions")).to_have_text(str(before + 1))
    expect(cell(page, 4).locator(".jp-InputArea-prompt")).to_contain_text("[*]")
    saw["busy"] = True
    page.keyboard.press("Escape")
    cell(page, 4).locator(".jp-InputArea-prompt").click()
    page.keyboard.press("i")
    page.keyboard.press("i")
    expect(cell(page, 4).locator(".jp-InputArea-prompt")).not_to_contain_text("[*]")


def export(page):
    panel_button(page, "Export").focus()
    page.keyboard.press("Enter")
    dialog = page.locator(".jp-Dialog")
    finding = dialog.locator(".nbp-Findings li")
    finding.wait_for()
    expect(finding).to_contain_text("aws-access-key in the output of execution")
    expect(finding).not_to_contain_text("Q3EGRZ5XWV2LMN7P")
    page.screenshot(path=shots / f"3-plan-{theme}.png")
    dialog.locator("summary", has_text="Layers").click()
    dialog.locator("tbody tr").first.wait_for()
    check_access(page, ".nbp-Dialog")
    if "export" not in steps:
        page.keyboard.press("Escape")
        dialog.wait_for(state="detached")
        saw["plan"] = True
        return
    dialog.locator(".nbp-Output").fill("packed.nbpack")
    dialog.locator(".nbp-Choice").select_option("redact")
    dialog.get_by_role("button", name="Export").click()
    page.locator(".nbp-Waiting progress").wait_for()
    page.screenshot(path=shots / "4-progress.png")
    expect(page.locator(".jp-Dialog")).to_contain_text("Wrote packed.nbpack")
    refer = page.locator(".jp-Dialog").get_by_role("checkbox", name="Write this digest into the notebook")
    expect(refer).not_to_be_checked()
    if "refer" in steps:
        refer.check()
        saw["refer"] = page.locator(".jp-Dialog code").inner_text()
    check_access(page, ".nbp-Dialog")
    page.screenshot(path=shots / "5-exported.png")
    page.locator(".jp-Dialog").get_by_role("button", name="Close").click()
    saw["export"] = (work / "packed.nbpack").is_file()


def reopen(page):
    panel_button(page, "Open bundle").click()
    dialog = page.locator(".jp-Dialog")
    dialog.locator(".nbp-Bundle").fill("nothing.nbpack")
    dialog.get_by_role("button", name="Restore and open").click()
    expect(page.locator(".jp-Dialog .nbp-Error")).to_contain_text("nothing.nbpack")
    page.screenshot(path=shots / "6-refused.png")
    page.locator(".jp-Dialog").get_by_role("button", name="Close").click()
    panel_button(page, "Open bundle").click()
    dialog.locator(".nbp-Bundle").fill("packed.nbpack")
    dialog.locator("#nbp-notebook").fill("opened.ipynb")
    dialog.get_by_role("button", name="Restore and open").click()
    if application == "notebook":
        with page.context.expect_page() as fresh:
            pass
        page = fresh.value
    opened = page.locator(".jp-NotebookPanel:visible")
    expect(page.get_by_role("tab", name="opened.ipynb") if application == "jupyterlab" else opened).to_be_visible()
    expect(opened.locator(".jp-Toolbar-kernelName")).to_contain_text(re.compile(r"\(nbpack [0-9a-f]{12}\)"))
    first = opened.locator(".jp-CodeCell").nth(0)
    first.locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+Enter")
    expect(first.locator(".jp-InputArea-prompt")).to_contain_text("[1]")
    expect(page.locator(".nbp-Status:visible")).to_contain_text("nbpack: recording")
    page.screenshot(path=shots / "7-opened.png")
    saw["open"] = True


def browse(page):
    """From the list of files, beside a restored kernel: a recording one is started for it."""
    page.locator(".jp-DirListing-item", has_text="packed.nbpack").click(button="right")
    page.locator(".lm-Menu-item", has_text="Restore and Open with nbpack").click()
    dialog = page.locator(".jp-Dialog")
    expect(dialog.locator(".nbp-Bundle")).to_have_value("packed.nbpack")
    dialog.locator("#nbp-notebook").fill("browsed.ipynb")
    dialog.get_by_role("button", name="Restore and open").click()
    expect(page.get_by_role("tab", name="browsed.ipynb")).to_be_visible()
    opened = page.locator(".jp-NotebookPanel:visible")
    expect(opened.locator(".jp-Toolbar-kernelName")).to_contain_text(re.compile(r"\(nbpack [0-9a-f]{12}\)"))
    page.screenshot(path=shots / "8-browsed.png")
    saw["browse"] = True


def use_dark_theme(page):
    page.locator("#jp-MainMenu, .lm-MenuBar").get_by_text("Settings", exact=True).first.click()
    page.locator(".lm-Menu-item", has_text="Theme").first.hover()
    page.locator(".lm-Menu-item", has_text=re.compile("^JupyterLab Dark$")).click()
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", "false")


def is_clean():
    """The notebook on disk holds nothing of what the panel knows, but the digest where it was asked for."""
    text = (work / "walked.ipynb").read_text()
    data = json.loads(text)
    if "refer" in saw:
        saw["refer"] = data["metadata"].pop("nbpack") == {"manifest": saw["refer"]}
    return str(work) not in text and not [key for key in data["metadata"] if "nbpack" in key] \
        and all("nbpack" not in json.dumps(c["metadata"]) for c in data["cells"])


saw, theme = {"access": []}, "light"
server = Server(work, shots, application)
try:
    with sync_playwright() as playwright:
        chromium = browser(playwright)
        page = chromium.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(int(os.environ.get("WAIT", "60000")))
        expect.set_options(timeout=int(os.environ.get("WAIT", "60000")))
        errors = []

        def thrown(error):
            # The frontends have errors of their own; ours name our files, or nothing where nothing was said.
            text = error.stack or str(error)
            if "labextensions/nbpack" in text or text == "undefined":
                errors.append(text)

        page.on("pageerror", thrown)
        try:
            look(page, server.url())
            use_dark_theme(page)
            theme = "dark"
            (work / "data.csv").write_text("1\n")
            panel_button(page, "Refresh").click()
            badge(page, 1).wait_for()
            check_access(page, "#nbpack-panel", ".nbp-Status", ".nbp-Badge")
            page.screenshot(path=shots / "2-outdated-dark.png")
            export(page)
            page.keyboard.press("Control+s")
            if "open" in steps:
                reopen(page)
            if "browse" in steps:
                browse(page)
            saw["clean"] = is_clean()
            saw["errors"] = errors
        except BaseException:
            page.screenshot(path=shots / "failed.png")
            raise
        chromium.close()
finally:
    server.stop()
    print(json.dumps(saw))
