"""The report in a browser: it says nothing wrong, sorts its tables, and fits a narrow window."""

import base64
import hashlib
import json
import re
import subprocess

import numpy as np
import pytest
from conftest import BROWSER
from html_pages import Page
from pages import kept, load_pixels, some_answers

from mixmo_tf.experiments import EvaluationSettings, kept_predictions, page

PROBE = """
const table = document.querySelector("table.sortable");
const titles = table.tHead.rows[0].cells;
const column = (i) => Array.from(table.tBodies[0].rows, (row) => row.cells[i].textContent);
const button = titles[2].querySelector("button");
const before = column(2);
button.click();
const [rising, said] = [column(2), titles[2].getAttribute("aria-sort")];
button.click();
const found = {
  before, rising, said,
  falling: column(2),
  then: titles[2].getAttribute("aria-sort"),
  width: document.documentElement.scrollWidth,
  window: window.innerWidth,
  pictures: Array.from(document.images, (image) => image.naturalWidth),
  outside: Array.from(document.querySelectorAll("main *"))
    .filter((each) => !each.closest(".scroll") && each.getBoundingClientRect().right > innerWidth)
    .map((each) => each.outerHTML.slice(0, 80)),
};
document.body.dataset.found = JSON.stringify(found);
"""


@pytest.mark.browser
def test_in_a_browser(tmp_path):
    logits, labels = some_answers()
    about = {"dataset": "toy", "split": "test"}
    about["class_names"] = [f"a class with a name that is long, {i}" for i in range(4)]
    settings = EvaluationSettings(
        predictions=kept(tmp_path / "a", logits, labels, about), report=tmp_path
    )
    text = page.html(kept_predictions.read(settings), settings, load_pixels((8, 8)))
    allowed = base64.b64encode(hashlib.sha256(PROBE.encode()).digest()).decode()
    text = text.replace("script-src ", f"script-src 'sha256-{allowed}' ")
    (tmp_path / "probed.html").write_text(
        text.replace("</body>", f"<script>{PROBE}</script></body>"), encoding="utf-8"
    )
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'user'}", "--window-size=400,900",
        "--dump-dom", f"{(tmp_path / 'probed.html').as_uri()}",
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert not re.findall(r"CONSOLE.*", result.stderr)
    seen = Page(result.stdout)
    found = json.loads(seen.all("body")[0]["data-found"])
    rising = sorted(found["before"], key=float)
    assert found["before"] != rising or len(set(rising)) == 1
    assert found["rising"] == rising and found["said"] == "ascending"
    assert found["falling"] == sorted(rising, key=float, reverse=True)
    assert found["then"] == "descending"
    assert found["width"] <= found["window"] <= 500 and found["outside"] == []
    assert np.all(np.array(found["pictures"]) > 0)
