#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The page of a schedule in a real browser: what it shows, and that a click finds its step.

    page_test.py EXPLORER SCENARIO VERDICT [EXPLORER-OPTION...]
"""

import html.parser
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXPLORER, SCENARIO = (str(Path(name).resolve()) for name in sys.argv[1:3])
VERDICT, OPTIONS = sys.argv[3], sys.argv[4:]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Run by the browser behind the page's own script: what a reader does and sees.
PROBE = """
<script>
const seen = {};
const dots = [...document.querySelectorAll('circle.change')];
const dot = dots[dots.length - 1];
dot.dispatchEvent(new MouseEvent('click', {bubbles: true}));
seen.lit = document.querySelectorAll('tr.lit').length == 1 &&
           document.querySelector('tr.lit').id == dot.dataset.row;
seen.reads_hidden = getComputedStyle(document.querySelector('tr.read')).display;
document.getElementById('reads').click();
seen.reads_shown = getComputedStyle(document.querySelector('tr.read')).display;
seen.svg = document.querySelector('svg').getBoundingClientRect().width;
seen.wide = document.documentElement.scrollWidth <= innerWidth;
seen.lanes = new Set(dots.concat([...document.querySelectorAll('circle')])
                         .map(c => c.getAttribute('cy'))).size;
document.body.dataset.seen = JSON.stringify(seen);
</script>
"""


class Page(html.parser.HTMLParser):
    """What is in the document as the browser has it."""

    def __init__(self):
        super().__init__()
        self.tags, self.columns, self.verdict, self.seen = {}, [], None, None
        self.inside, self.text = None, ""

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.seen = attrs.get("data-seen", self.seen)
        if tag == "th" or attrs.get("id") == "verdict":
            self.inside, self.text = (tag, attrs.get("class")), ""

    def handle_data(self, data):
        self.text += data if self.inside else ""

    def handle_endtag(self, tag):
        if self.inside and tag == self.inside[0]:
            if tag == "th":
                self.columns.append(self.text)
            else:
                self.verdict = (self.inside[1], self.text)
            self.inside = None


def browse(browser, page, scratch):
    """The document after its scripts; a picture is taken on the way, the console is read."""
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={scratch}/profile", "--window-size=1400,1000", "--enable-logging=stderr",
         f"--screenshot={scratch}/page.png", "--dump-dom", f"file://{page}"],
        capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not console, console
    return done.stdout


def explore(page, scratch):
    return subprocess.run([EXPLORER, *OPTIONS, "--html", str(page), SCENARIO], capture_output=True,
                          text=True, timeout=100, check=False, cwd=scratch)


def check(text):
    page = Page()
    page.feed(text)
    seen = page.seen.replace("&quot;", '"')
    assert page.columns[0] == "step" and page.columns[-1] == "invalidation", page.columns
    assert page.columns[1:-1] == ["a", "host"], page.columns
    assert page.verdict[0] == VERDICT, page.verdict
    assert page.tags["circle"] == page.tags["tr"] - 1, page.tags  # a dot for each step
    assert page.tags["rect"] >= 2  # the lock, the invalidation
    for wanted in ('"lit":true', '"reads_hidden":"none"', '"reads_shown":"table-row"',
                   '"wide":true', '"lanes":2'):
        assert wanted in seen, (wanted, seen)
    assert float(re.search(r'"svg":([\d.]+)', seen).group(1)) > 300, seen
    assert not re.search(r"(src|href)=|https?:", text), "the page wants something from elsewhere"
    assert re.search(r"the entry of guest page 1: R\w\w \w\w page \d+ -&gt; nothing", text)


def main():
    browser = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if not browser:
        print("no browser here: Debian's package chromium is missing")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "page.html"
        done = explore(page, scratch)
        assert done.returncode == (1 if VERDICT == "bad" else 0), done.stdout + done.stderr
        text = page.read_text()
        page.write_text(text.replace("</html>", PROBE + "</html>"))
        check(browse(browser, page, scratch))
        assert (Path(scratch) / "page.png").stat().st_size > 20000
    print("page: shows what it should")


main()
