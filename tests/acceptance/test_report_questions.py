"""What a file cannot prove is asked in the terminal, and the answer is what the report goes by."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.cli_process import Cli

TABLE = "year,make,supplier,sales\n" + "".join(
    f"{year},{make},{supplier},{amount}\n"
    for year in range(2010, 2020)
    for make, supplier, amount in [("A", "S1", 50), ("B", "S2", 30), ("B", "S1", 10), ("C", "S2", 10)]
)


def test_a_report_asks_for_the_competitor_and_the_unit_and_goes_by_the_answers(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    (tmp_path / "market.csv").write_text(TABLE)
    code, received = cli.talk(
        *("run", "Market research report on makes", "--data", "market.csv", "--out", "report"),
        say=[
            ("Whom or what should the report compare?", ""),
            ("[best guess] > ", "nobody\n"),
            ("[best guess] > ", "supplier\n"),
            ("In which unit is “sales”?", ""),
            ("[not stated] > ", "NOK\n"),
        ],
    )
    assert code == 0, received
    report = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert "answered when asked: what is compared is “supplier”" in report
    assert "answered when asked: the unit of “sales” is NOK" in report
    assert "assumed:" not in report
    assert "S1 led 2019 with a share of 60.0\u00a0%" in report
