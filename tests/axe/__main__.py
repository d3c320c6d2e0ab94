"""Has axe-core judge reports in headless Chromium: python -m tests.axe AXE.JS REPORT.HTML…

Each report is opened as it is on a wide and on a narrow screen, in the light and in the dark, with all tables unfolded.
Ends with 1 if axe finds anything serious or critical.  Without a report the sample's is made first.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from holdfast.checkpoints.errors import BadInput
from holdfast.cli import sample

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SCREENS = {"wide": "1100,900", "narrow": "500,900"}  # headless Chromium has no window below 500
COLOURS = {"light": "1", "dark": "0"}
SERIOUS = ("serious", "critical")
RUN = """
document.querySelectorAll('details').forEach(one => one.open = true);
axe.run(document, {resultTypes: ['violations']}).then(found => {
  const result = found.violations.map(one => ({id: one.id, impact: one.impact, help: one.help,
    at: one.nodes.slice(0, 3).map(node => node.target.join(' ') + ': ' + (node.any[0]?.message ?? ''))}));
  document.body.innerHTML = '<pre id="axe-result"></pre>';
  document.getElementById('axe-result').textContent = JSON.stringify(result);
});
"""


def main(axe: str, *reports: str) -> int:
    """Prints what axe found, screen by screen."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("there is no Chromium here; install it", file=sys.stderr)
        return 2
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for report in reports or [_sample_report(Path(folder))]:
            for screen, size in SCREENS.items():
                for colour, scheme in COLOURS.items():
                    found = judged(browser, Path(axe).read_text("utf-8"), Path(report), size, scheme)
                    worst = [one for one in found if one["impact"] in SERIOUS]
                    bad += len(worst)
                    print(f"{report}, {screen}, {colour}: {len(found)} findings, {len(worst)} serious")
                    for one in found:
                        print(f"  {one['impact']} {one['id']}: {one['help']}", *one["at"], sep="\n    ")
    return int(bad > 0)


def judged(browser: str, axe: str, report: Path, size: str, scheme: str) -> list[dict[str, Any]]:
    """The violations that axe finds; raises BadInput if it did not come to an end."""
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "report.html"
        copy.write_text(page.replace("</body>", f"<script>{axe}</script><script>{RUN}</script></body>"), "utf-8")
        command = [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={size}"),
            *(f"--blink-settings=preferredColorScheme={scheme}", "--virtual-time-budget=60000", "--dump-dom"),
            f"--user-data-dir={folder}/profile",
            copy.as_uri(),
        ]
        done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", timeout=180)
    found = re.search(r'<pre id="axe-result">(.*?)</pre>', done.stdout, re.DOTALL)
    if not found or not found[1]:
        raise BadInput(f"axe did not come to an end on {report}: {done.stderr[-300:]}")
    return list(json.loads(html.unescape(found[1])))


def _sample_report(folder: Path) -> str:
    sample.write(folder / "sample.csv")
    words = ["run", "Market research report on a synthetic market", "--data", "sample.csv", "--out", "out", "--yes"]
    subprocess.run([sys.executable, "-m", "holdfast", *words], cwd=folder, check=True, capture_output=True)
    return str(folder / "out" / "report.html")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
