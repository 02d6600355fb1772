"""The page in a real browser: nothing sticks out, on a phone or on a desktop."""

import html
import json
import re
import shutil
import subprocess

import pytest
from evaluated_run import make_evaluated
from example_run import make_run

from acc import report

BROWSER = next((b for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), None)
MEASURE = """
<script>
addEventListener("load", () => {
  document.querySelectorAll("details").forEach((d) => { d.open = true; });
  const width = document.documentElement.clientWidth;
  const out = [...document.querySelectorAll("body *")]
    .filter((e) => !e.closest(".scroll") && !e.closest("svg") && e.getBoundingClientRect().right > width + 0.5)
    .map((e) => e.tagName + "." + e.className);
  const cut = [...document.querySelectorAll("svg text")]
    .filter((e) => e.getBoundingClientRect().right > width || e.getBoundingClientRect().left < 0).map((e) => e.textContent);
  const small = [...document.querySelectorAll("figure > svg text")]
    .filter((e) => e.getBoundingClientRect().height < 9).map((e) => e.textContent);
  parent.document.body.dataset.found = JSON.stringify({ width, scroll: document.documentElement.scrollWidth, out, cut, small });
});
</script>
"""


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("make", [make_run, make_evaluated])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_of_the_page(tmp_path, width, make):
    text = report.run(make(tmp_path)).read_text(encoding="utf-8")
    # The page's own policy forbids scripts, so the measuring copy goes without it.
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', MEASURE, text)
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<body><iframe width="{width}" height="800" frameborder="0" srcdoc="{html.escape(text)}"></iframe></body>'
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--virtual-time-budget=3000"]
    command = [BROWSER, *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", frame.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    measured = re.search(r'data-found="([^"]*)"', dom)
    assert measured, "the browser did not measure the page"
    found = json.loads(html.unescape(measured[1]))
    assert found["out"] == []
    assert found["cut"] == []
    assert found["small"] == []
    assert found["scroll"] <= found["width"] <= width
