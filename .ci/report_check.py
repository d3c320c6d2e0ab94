"""report_check.py DATA REFERENCE MIN: makes a report for each file in DATA that REFERENCE knows, and has it scored.

REFERENCE is a folder with check_report.py, which reads a report's folder and the name of a case, and with
REFERENCE.json, which has the file that belongs to each case.  Ends with 1 if a report fails or scores below MIN.
"""

# ruff: noqa: S603, T201  a command: it prints, and runs what its caller names
from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

USAGE = "usage: make report-check DATA=folder REFERENCE=folder [MIN=60]"
WORK = Path(".holdfast/report-check")


def main(data: str, reference: str, least: str) -> int:
    """Scores every known file; the exit status."""
    if not data or not reference:
        print(USAGE, file=sys.stderr)
        return 2
    known = json.loads((Path(reference) / "REFERENCE.json").read_text("utf-8"))
    files = {path.name: path for path in Path(data).glob("*.csv")}
    cases = {name: files[case["file"]] for name, case in known.items() if case["file"] in files}
    if not cases:
        print(f"no file in {data} belongs to a case of {reference}", file=sys.stderr)
        return 1
    scores = {name: score(Path(reference), name, path) for name, path in cases.items()}
    for name, points in scores.items():
        print(f"{name}: {'no report' if points is None else f'{points:g}'}")
    return int(any(points is None or points < float(least) for points in scores.values()))


def score(reference: Path, case: str, data: Path) -> float | None:
    """The points of a new report on ``data``; None if there is none."""
    out = WORK / case
    shutil.rmtree(out, ignore_errors=True)
    subject = data.stem.replace("_", " ").replace("-", " ")
    holdfast = str(Path(sys.executable).with_name("holdfast"))
    database = ["--db", str(WORK / "holdfast.db")]
    run = [holdfast, "run", f"Market research report on {subject}", "--data", str(data), "--out", str(out), "--yes"]
    if subprocess.run([*run, *database], check=False).returncode != 0:
        return None
    check = [sys.executable, str(reference / "check_report.py"), str(out), case]
    subprocess.run(check, check=False)
    marked = subprocess.run([*check, "--json"], check=False, capture_output=True, text=True)
    try:
        return float(json.loads(marked.stdout)["score"])
    except (ValueError, KeyError):
        return None  # the checker has said above why


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
