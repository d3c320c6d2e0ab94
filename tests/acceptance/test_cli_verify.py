"""``holdfast verify``: a report that a run wrote, checked by another process against its data."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.acceptance.cli_process import Cli
from tests.unit.fakes_market import market_csv, write


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    folder = tmp_path_factory.mktemp("verify")
    write(folder / "units.csv", market_csv())
    cli = Cli(folder)
    run = cli("run", "Market research report on test units", "--data", "units.csv", "--out", "out", "--yes")
    assert run.returncode == 0, run.stderr
    return cli


@pytest.fixture(scope="module")
def page(cli: Cli) -> str:
    return (cli.folder / "out" / "report.html").read_text("utf-8")


def test_a_report_holds_with_nothing_but_itself_and_its_data(cli: Cli, page: str, tmp_path: Path):
    alone = write(tmp_path / "report.html", page)
    verdict = cli("verify", str(alone), "--data", "units.csv")
    assert (verdict.returncode, verdict.stderr) == (0, "")
    assert verdict.stdout.startswith("✓ report.html holds: all ")


def test_a_changed_number_is_named(cli: Cli, page: str):
    at = page.index("<td", page.index(">2022<", page.index("<table")))
    write(cli.folder / "changed.html", page[:at] + page[at:].replace("1,320", "1,321", 1))
    verdict = cli("verify", "changed.html", "--data", "units.csv")
    assert verdict.returncode == 1
    assert "Table 1, row 2022, Total: the report says “1,321”, the data give “1,320”" in verdict.stdout
    told = json.loads(cli("verify", "changed.html", "--data", "units.csv", "--json").stdout)
    assert told["holds"] is False
    assert told["differences"] == [{"place": "Table 1, row 2022, Total", "says": "“1,321”", "gives": "“1,320”"}]


def test_other_data_are_told(cli: Cli):
    write(cli.folder / "more" / "units.csv", market_csv("2022,12,Alpha,1\n"))
    verdict = cli("verify", "out/report.html", "--data", "more")
    assert verdict.returncode == 1
    assert "evidence, source units.csv, sha256" in verdict.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("none.html", "--data", "units.csv"), "the report none.html cannot be read: no such file or directory"),
        (("out/report.pdf", "--data", "units.csv"), "is not UTF-8 text"),
        (("out/report.html", "--data", "none.csv"), "there is no file none.csv"),
        (("out/report.html",), "--data"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(cli: Cli, words: tuple[str, ...], sentence: str):
    verdict = cli("verify", *words)
    assert verdict.returncode == 2
    assert sentence in verdict.stderr
    assert "Traceback" not in verdict.stderr


def test_a_second_run_differs_in_nothing_but_the_appendix_on_the_run(cli: Cli):
    run = cli("run", "Market research report on test units", "--data", "units.csv", "--out", "again", "--yes")
    assert run.returncode == 0, run.stderr
    first, again = cli.folder / "out", cli.folder / "again"
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(again)) for path in again.rglob("*") if path.is_file())
    for name in names:
        if name not in ("report.md", "report.html", "report.pdf"):
            assert (first / name).read_bytes() == (again / name).read_bytes(), name
    texts = [(folder / "report.md").read_text("utf-8") for folder in (first, again)]
    parts = [text.partition("\n## Appendix: timeline of the run\n") for text in texts]
    assert parts[0][0] == parts[1][0]
    assert "| Executive summary | 0:" in parts[0][2]
    assert "| Compile report | 0:" in parts[0][2]
    pages = [(folder / "report.html").read_text("utf-8") for folder in (first, again)]
    cut = [re.sub(r'<section id="timeline".*?</section>', "", page, flags=re.DOTALL) for page in pages]
    assert cut[0] == cut[1] != pages[0]


def test_answers_are_part_of_the_report_and_need_not_be_given_again(cli: Cli):
    rows = [f"{year}-{month:02d}-01,{shop},{product},{year + month + len(shop + product)}"
            for year in range(2019, 2023) for month in range(1, 13)
            for shop in ("North", "East") for product in ("Cup", "Plate", "Glass")]  # fmt: skip
    write(cli.folder / "shops.csv", "\n".join(["date,shop,product,amount", *rows]) + "\n")
    run = cli("run", "Market research report on shops", "--data", "shops.csv", "--out", "shops", "--yes")
    assert run.returncode == 0, run.stderr
    recipe = json.loads((cli.folder / "shops" / "evidence.json").read_text("utf-8"))["recipe"]
    assert recipe["answers"]["profile_data"]
    verdict = cli("verify", "shops/report.html", "--data", "shops.csv")
    assert verdict.returncode == 0, verdict.stdout


def test_a_page_that_is_no_report_does_not_hold(cli: Cli):
    write(cli.folder / "other.html", "<html><body><p>5 % more</p></body></html>")
    verdict = cli("verify", "other.html", "--data", "units.csv")
    assert verdict.returncode == 1
    assert "no evidence" in verdict.stdout
