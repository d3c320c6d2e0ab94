"""``verify``: a report that was changed in any place is caught, and the place is named."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.context import Record
from holdfast.nodes.market import types as market_types  # noqa: F401  registers the task types
from holdfast.nodes.market.planner import make_plan
from holdfast.nodes.report import types
from holdfast.nodes.report import verify as verifying
from holdfast.nodes.report.charts import Drawing
from holdfast.nodes.report.document import Figure, Paragraph, Section, Span
from holdfast.nodes.report.html import to_html
from holdfast.nodes.report.recipe import Recipe, follow, write_recipe
from holdfast.nodes.report.verify import Verdict, verify
from tests.unit.fakes_market import market_csv, write

TOTAL = "1,320"  # of 2022: 480 + 480 + 360, see fakes_market.MARKET


def planned(data: Path) -> tuple[types.ReportParams, Recipe]:
    """The recipe of the report that the built-in plan makes of a file."""
    plan = make_plan("Market research report on test units", [data])
    params = types.ReportParams.model_validate(plan[-1]["params"])
    record = Record(plan=[{**spec, "state": "completed"} for spec in plan], answers={}, events=[])
    return params, write_recipe(record, params, dict.fromkeys(plan[-1]["dependencies"]))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "units.csv", market_csv())


@pytest.fixture(scope="module")
def page(data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    params, recipe = planned(data)

    async def write_page() -> str:
        results = await follow(recipe, [data], tmp_path_factory.mktemp("work"))
        return await types.page(types.put_together(params, results, recipe))

    return asyncio.run(write_page())


@pytest.fixture(scope="module")
def computed() -> dict[str, Any]:
    return {}


@pytest.fixture(autouse=True)
def computed_once(monkeypatch: pytest.MonkeyPatch, computed: dict[str, Any]) -> None:
    """Equal recipes on equal files are computed once and equal charts drawn once: that takes most of the time."""
    real, drawn = verifying._computed, types.draw

    def drawn_once(figure: Figure) -> Drawing:
        key = figure.model_dump_json()
        if key not in computed:
            computed[key] = drawn(figure)
        found: Drawing = computed[key]
        return found

    async def once(recipe: Recipe, files: Sequence[Path]) -> Any:
        key = recipe.model_dump_json() + "".join(path.name + path.read_text() for path in files)
        if key not in computed:
            computed[key] = await real(recipe, files)
        return computed[key]

    monkeypatch.setattr(verifying, "_computed", once)
    monkeypatch.setattr(types, "draw", drawn_once)


def evidence_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="evidence">(.*?)</script>', page, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def in_evidence(change: Callable[[dict[str, Any]], None]) -> Callable[[str], str]:
    """A tampering that changes the evidence inside the page."""

    def tamper(page: str) -> str:
        start = page.index('id="evidence">') + len('id="evidence">')
        value = evidence_of(page)
        change(value)
        return page[:start] + json.dumps(value).replace("<", "\\u003c") + page[page.index("</script>", start) :]

    return tamper


def swap(old: str, new: str, within: str = "", nth: int = 0) -> Callable[[str], str]:
    """A tampering that replaces one text; ``within`` is a text after which it has to stand."""

    def tamper(page: str) -> str:
        at = page.index(within) if within else 0
        for _ in range(nth + 1):
            at = page.index(old, at + 1)
        return page[:at] + new + page[at + len(old) :]

    return tamper


def cut(pattern: str, new: str = "") -> Callable[[str], str]:
    """A tampering that replaces the first match of a pattern."""

    def tamper(page: str) -> str:
        changed, times = re.subn(pattern, new, page, count=1, flags=re.DOTALL)
        assert times == 1
        return changed

    return tamper


def fact(part: str, value: Any) -> Callable[[str], str]:
    """A tampering with the fact of the last total."""

    def change(evidence: dict[str, Any]) -> None:
        next(one for one in evidence["facts"] if one["id"] == "market_overview.total_last")[part] = value

    return in_evidence(change)


def at_rows(page: str) -> str:
    """Two rows of the first table change places."""
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    rows = re.findall(r"<tr>.*?</tr>", body)
    return page.replace(rows[0] + "\n" + rows[1], rows[1] + "\n" + rows[0], 1)


def higher_bar(page: str) -> str:
    """The first bar of the first chart grows."""
    return re.sub(
        r'(<g class="mark-rect[^>]*>.*?d="M[^"]*?v)(\d+\.?\d*)', lambda m: f"{m[1]}{float(m[2]) / 2}", page, count=1,
        flags=re.DOTALL,
    )  # fmt: skip


TAMPERINGS: dict[str, tuple[Callable[[str], str], str]] = {
    "a number in the summary": (swap(TOTAL, "1,330", '<section id="executive_summary"'), "Executive summary, item"),
    "a number in a paragraph": (swap(TOTAL, "1,330", '<section id="market_overview"'), "Market overview, paragraph"),
    "a digit behind the point": (swap("36.4", "36.5", '<section id="competitor_analysis"'), "Competitor analysis"),
    "more made less": (swap(" more than", " less than", '<section id="market_overview"'), "Market overview"),
    "points made percent": (swap("points", "percent", '<section id="competitor_analysis"'), "Competitor analysis"),
    "an end of the band": (swap("1,450", "1,550", '<section id="forecast"'), "Outlook, paragraph"),
    "an error of a method": (swap("6.6", "6.5", '<section id="forecast"'), "row The last value, wMAPE"),
    "a year in the text": (swap("2022", "2023", '<section id="market_overview"'), "Market overview"),
    "a name in the text": (swap("Beta", "Gamma", '<section id="competitor_analysis"'), "Competitor analysis"),
    "another confidence": (cut(">(Medium|High) confidence<", ">Low confidence<"), "Executive summary, item"),
    "a sentence more": (swap("</p>", "</p><p>Sales will double by 2030.</p>", '<section id="method"'), "Method"),
    "a paragraph less": (cut(r'(?<=id="competitor_analysis-title">Competitor analysis</h2>)\s*<p>.*?</p>'), "paragr"),
    "text outside paragraphs": (swap("</nav>", "</nav>Growth: 40 %"), "text on its own"),
    "a number in a table": (swap(f">{TOTAL}<", ">1,321<", "<table"), "Table 1, row 2022, Total"),
    "a sign in a table": (swap("−", "+", "<tbody>"), "Table 1, row 2020, On the year before"),
    "two rows exchanged": (at_rows, "Table 1, row"),
    "a row less": (cut(r"<tr><th scope=\"row\">2020</th>.*?</tr>"), "Table 1, row"),
    "a column's head": (swap(">Total<", ">Total, thousands<"), "Table 1, head of column 2"),
    "a caption": (swap("per complete year", "per complete quarter", "<caption"), "Table 1, caption"),
    "a value behind a chart": (swap(f">{TOTAL}<", ">1,230<", "Values behind figure 1"), "Figure 1, values"),
    "a chart's title": (cut('(?<=<p class="finding">)[^<]*', "Alpha grew every year"), "Figure 1, title"),
    "a chart's unit": (swap("“units”", "“tonnes”", 'class="measure"'), "Figure 1, subtitle"),
    "a chart's alternative text": (swap(TOTAL, "9,999", 'aria-label="Bar chart'), "Figure 1, drawing"),
    "a label in a chart": (swap(f">{TOTAL}</text>", ">1,520</text>"), "Figure 1, drawing"),
    "a bar's height": (higher_bar, "Figure 1, drawing"),
    "a colour in a chart": (swap('fill="#0072b2"', 'fill="#d55e00"', "<svg"), "Figure 1, drawing"),
    "a fact's value": (fact("value", 1330.0), "evidence, fact market_overview.total_last, value"),
    "a fact's text": (fact("text", "1,330"), "evidence, fact market_overview.total_last, text"),
    "a fact's unit": (fact("unit", "tonnes"), "evidence, fact market_overview.total_last, unit"),
    "a fact's kind": (fact("kind", "percent"), "evidence, fact market_overview.total_last, kind"),
    "a fact's query": (
        fact("query", "market_overview.course"),
        "evidence, fact market_overview.total_last, query",
    ),
    "a fact less": (
        in_evidence(lambda e: e["facts"].remove(next(f for f in e["facts"] if f["id"].endswith("total_last")))),
        "evidence, fact market_overview.total_last",
    ),
    "a fact more": (
        in_evidence(lambda e: e["facts"].append({**e["facts"][0], "id": "market_overview.invented"})),
        "evidence, fact market_overview.invented",
    ),
    "a query": (
        in_evidence(lambda e: e["queries"][0].update(sql="SELECT 1330 AS total")),
        "evidence, query ",
    ),
    "a query on the page": (swap("ORDER BY", "OFFSET 1 ORDER BY", '<details class="query"'), ", SQL"),
    "a table in the evidence": (
        in_evidence(lambda e: e["tables"][0]["rows"][0].__setitem__(1, "1")),
        "evidence, table Table 1, rows",
    ),
    "the hash in the evidence": (
        in_evidence(lambda e: e["sources"][0].update(sha256="0" * 64)),
        "evidence, source units.csv, sha256",
    ),
    "the number of rows read": (
        in_evidence(lambda e: e["sources"][0].update(rows=145)),
        "evidence, source units.csv, rows",
    ),
    "the hash on the page": (cut(r"(?<=<td class=\"long\">)[0-9a-f]{64}", "f" * 64), "row units.csv, sha256"),
    "no evidence": (cut(r'<script type="application/json" id="evidence">.*?</script>'), "evidence"),
    "broken evidence": (swap("{", "", 'id="evidence"'), "evidence"),
    "evidence twice": (swap("</body>", '<script id="evidence">{}</script></body>'), "evidence"),
    "no recipe": (in_evidence(lambda e: e.pop("recipe")), "evidence, recipe"),
    "an analysis less in the recipe": (in_evidence(lambda e: e["recipe"]["inputs"].remove("method")), "Method"),
    "a link to another query": (
        cut('(?<=<a class="fact" href=")#query-market_overview-size', "#query-market_overview-everything"),
        "item 1",
    ),
    "a script": (swap("</body>", "<script>document.title = 7</script></body>"), "script"),
    "a style that hides a box": (swap("</style>", ".note{display:none}</style>"), "style"),
    "an element that is hidden": (swap("<aside", "<aside hidden"), "structure"),
    "a banner": (swap('<main id="report">', '<p class="banner">Audited 2024</p><main id="report">'), "banner"),
    "the title": (swap("<h1>Test units", "<h1>Test units worldwide"), "title block, h1"),
}


def named(verdict: Verdict, place: str) -> bool:
    return any(place in difference.place for difference in verdict.differences)


async def test_a_report_as_it_was_written_holds(page: str, data: Path):
    verdict = await verify(page, [data])
    assert verdict.differences == []
    assert verdict.notes == []
    assert verdict.numbers > 300


@pytest.mark.parametrize("what", TAMPERINGS)
async def test_a_report_with_another(what: str, page: str, data: Path):
    tamper, place = TAMPERINGS[what]
    changed = tamper(page)
    assert changed != page
    verdict = await verify(changed, [data])
    assert not verdict.holds
    assert named(verdict, place), [str(difference) for difference in verdict.differences]
    assert len(verdict.differences) <= 6 or what == "an analysis less in the recipe"


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("2022,12,Alpha,40", "2022,12,Alpha,41", "Table 1, row 2022, Total"),
        ("2019,1,Gamma,9\n", "", "Table 1, row 2019, Total"),
        ("2022,12,Alpha,40", "2022,12,Delta,40", "Competitor analysis, paragraph"),
    ],
)
async def test_another_data_file_is_told_by_hash_and_by_the_numbers_that_no_longer_hold(
    page: str, tmp_path: Path, old: str, new: str, place: str
):
    assert market_csv().count(old) == 1
    other = write(tmp_path / "units.csv", market_csv().replace(old, new))
    verdict = await verify(page, [other])
    assert named(verdict, "evidence, source units.csv, sha256")
    assert named(verdict, place)


async def test_the_same_rows_under_another_name_are_another_file(page: str, data: Path, tmp_path: Path):
    verdict = await verify(page, [write(tmp_path / "other.csv", data.read_bytes())])
    assert named(verdict, "evidence, source units.csv")


async def test_what_was_said_and_what_the_data_give_stand_side_by_side(page: str, data: Path):
    verdict = await verify(swap(f">{TOTAL}<", ">1,321<", "<table")(page), [data])
    (difference,) = verdict.differences
    assert str(difference) == "Table 1, row 2022, Total: the report says “1,321”, the data give “1,320”"


async def test_a_file_that_no_analysis_can_use_is_a_difference_and_one_that_cannot_be_read_is_a_fault(
    page: str, tmp_path: Path
):
    verdict = await verify(page, [write(tmp_path / "units.csv", "a,b\nx,y\nz,w\n")])
    assert named(verdict, "the whole report")
    with pytest.raises(BadInput, match="there is no file"):
        await verify(page, [tmp_path / "none.csv"])


async def test_a_wholly_different_file_is_told_as_such_and_not_as_an_error(page: str, tmp_path: Path):
    rows = "".join(f"{year},{name},{value}\n" for year in (2018, 2019, 2020) for name, value in (("A", 3), ("B", 4)))
    other = write(tmp_path / "other.csv", f"year,shop,amount\n{rows}")
    verdict = await verify(page, [other])
    assert [one.place for one in verdict.differences] == ["the data"]
    assert "it was written from units.csv (sha256 " in verdict.differences[0].says
    assert verdict.differences[0].gives.startswith("other.csv (sha256 ")


async def test_a_report_cannot_make_verify_run_other_types_or_read_other_files(page: str, data: Path, tmp_path: Path):
    secret = write(tmp_path / "secret.csv", market_csv().replace("Alpha", "Secret"))

    def reach(evidence: dict[str, Any]) -> None:
        steps = evidence["recipe"]["steps"]
        steps[0]["params"]["paths"] = [str(secret)]
        steps.append({"id": "sleep", "type": "sleep", "params": {"seconds": 3600}, "dependencies": []})
        evidence["recipe"]["inputs"].append("sleep")

    verdict = await verify(in_evidence(reach)(page), [data])
    assert "Secret" not in "".join(map(str, verdict.differences))
    assert [note for note in verdict.notes if "sleep" in note]


async def test_the_appendix_on_the_run_is_not_compared(data: Path, tmp_path: Path):
    params, recipe = planned(data)
    report = types.put_together(params, await follow(recipe, [data], tmp_path), recipe)
    run = Section(id="timeline", title="Appendix: timeline of the run", blocks=[Paragraph(spans=[Span(text="7 s")])])
    document = report.document.model_copy(update={"sections": [*report.document.sections, run]})
    drawn = {one.name: types.draw(one) for one in types._figures(report.document.sections)}
    changed = to_html(document, drawn, report.evidence.decode())
    assert "7 s" in html.unescape(changed)
    assert (await verify(changed, [data])).differences == []


def test_each_query_of_the_page_runs_in_plain_duckdb_and_has_the_facts_that_name_it(
    page: str, data: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(data.parent)  # the query "data" names the file and no folder
    evidence = evidence_of(page)
    queries = {query["id"]: html.unescape(query["sql"]) for query in evidence["queries"]}
    database = duckdb.connect()
    database.execute(queries.pop("data"))
    rows = {name: database.execute(sql).fetchall() for name, sql in queries.items()}
    cells = [one for one in evidence["facts"] if not one["note"] and one["kind"] in ("number", "count")]
    assert len(cells) >= 10
    for one in cells:
        values = [float(cell) for row in rows[one["query"]] for cell in row if isinstance(cell, int | float)]
        assert any(abs(value - one["value"]) <= 1e-9 * abs(value) for value in values), one["id"]


def test_a_recipe_names_no_folders_and_follows_a_fallback(tmp_path: Path):
    specs: list[dict[str, Any]] = [
        {
            "id": "first",
            "type": "collect_data",
            "params": {"paths": [str(tmp_path / "a.csv")]},
            "state": "failed",
            "fallback": "second",
        },
        {"id": "second", "type": "collect_data", "params": {"paths": [str(tmp_path / "b.csv")]}, "state": "completed"},
        {"id": "unused", "type": "profile_data", "dependencies": ["first"], "state": "completed"},
        {"id": "chart", "type": "chart", "dependencies": ["first"], "state": "completed"},
    ]
    record = Record(plan=specs, answers={"first": {"k": 1}, "unused": {"k": 2}}, events=[])
    recipe = write_recipe(record, types.ReportParams(title="T"), {"chart": {}, "first": {}})
    assert [(step.id, step.params) for step in recipe.steps] == [("first", {"paths": ["b.csv"]})]
    assert recipe.inputs == ["first"]
    assert recipe.answers == {"first": {"k": 1}}
    assert str(tmp_path) not in recipe.model_dump_json()
