"""Opens a report in headless Chromium as a desktop and a phone show it, light and dark, and prints what it saw as JSON.

    report.py PAGE.html SHOTS_DIRECTORY

Nothing may be asked of the network, no script may run, nothing may be wider than the screen.
"""

import json
import os
import pathlib
import sys

from playwright.sync_api import sync_playwright

page_file, shots = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
saw = {"requests": [], "dialogs": [], "scripts": 0, "wide": [], "frames": 0, "marks": [], "shots": []}
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(
        executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
        args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
              "--disable-component-update", "--disable-sync"])
    for width, scheme in [(1280, "light"), (375, "light"), (375, "dark")]:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page = context.new_page()
        # What the policy stops is told as a request that failed; the test's listener says that nothing went out.
        asked, stopped = [], []
        page.on("request", lambda request: asked.append(request.url[:120])
                if not request.url.startswith(("file:", "data:", "about:")) else None)
        page.on("requestfailed", lambda request: stopped.append((request.url[:120], request.failure)))
        page.on("dialog", lambda dialog: (saw["dialogs"].append(dialog.message), dialog.dismiss()))
        page.goto(page_file.as_uri())
        for frame in page.query_selector_all("iframe"):
            frame.scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            saw["wide"].append(f"{width} {scheme}")
        saw["scripts"] += page.evaluate("document.scripts.length")
        saw["frames"] = page.evaluate("document.querySelectorAll('iframe').length")
        saw["marks"].append(page.evaluate("document.title + ' ' + (window.acted || 'untouched')"))
        shot = shots / f"report-{width}-{scheme}.png"
        page.screenshot(path=shot, full_page=True)
        saw["shots"].append(shot.stat().st_size)
        context.close()
        blocked = [url for url, why in stopped if why in ("csp", "net::ERR_BLOCKED_BY_CSP")]
        saw["requests"] += [(url, [why for one, why in stopped if one == url]) for url in asked if url not in blocked]
    browser.close()
print(json.dumps(saw))
