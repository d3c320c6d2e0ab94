"""What the analyses say of small data, against figures worked out by hand; stored queries give them again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.unit.fakes_market import facts, market_csv, run_analyses, section, sections, text_of, write

# Alpha, Beta, Gamma: 600 300 100 in 2019 (1000), 480 480 360 in 2022 (1320)
SHARES_FIRST, SHARES_LAST = (60.0, 30.0, 10.0), (480 / 13.2, 480 / 13.2, 360 / 13.2)
PRICES = {"Old": [100, 120, 60, 90, 150, 180], "New": [None, None, 50, 40, 60, 100]}


def prices_csv() -> str:
    lines = ["symbol,date,price"]
    for name, values in PRICES.items():
        lines += [f"{name},{2001 + i}-06-30,{v}.5" for i, v in enumerate(values) if v is not None]
    return "\n".join(lines) + "\n"


@pytest.fixture
async def market(tmp_path: Path) -> dict[str, dict[str, Any]]:
    extra = "2023,1,Alpha,30\n2023,1,Beta,40\n2023,1,Gamma,35\n2022,6,NA,10\n"
    return await run_analyses(tmp_path, [write(tmp_path / "market.csv", market_csv(extra))])


async def test_sizes_growth_and_like_for_like_are_those_of_complete_years(market: dict[str, dict[str, Any]]) -> None:
    found = facts(market)
    assert found["market_overview.total_last"].value == 1330  # with the ten that name no make
    assert found["market_overview.cagr"].value == pytest.approx(((1330 / 1000) ** (1 / 3) - 1) * 100)
    assert found["market_overview.change_last"].value == pytest.approx((1330 / 1200 - 1) * 100)
    assert found["market_overview.total_all"].value == 1000 + 960 + 1200 + 1330 + 105
    assert found["market_overview.like_for_like"].value == pytest.approx((105 / (40 + 40 + 30) - 1) * 100)
    text = text_of(market, "market_overview")
    assert "2023 is incomplete: it holds January only, 1 of 12 months." in text
    assert "−92" not in text


async def test_shares_are_of_the_total_and_their_changes_in_points(market: dict[str, dict[str, Any]]) -> None:
    found = facts(market)
    assert found["competitor_analysis.share_last/Alpha"].value == pytest.approx(480 / 13.3)
    assert found["competitor_analysis.move/Gamma"].value == pytest.approx(360 / 13.3 - 10)
    assert found["competitor_analysis.hhi_first"].value == pytest.approx(3600 + 900 + 100)
    assert found["competitor_analysis.hhi_last"].value == pytest.approx(sum((v / 13.3) ** 2 for v in (480, 480, 360)))
    assert "competitor_analysis.cr4" not in found
    text = text_of(market, "competitor_analysis")
    assert "Gamma gained 17.1 points of share from 2019 to 2022, from 10.0\u00a0% to 27.1\u00a0%" in text
    assert "Alpha lost 23.9 points" in text


async def test_rows_without_a_name_are_kept_in_totals_and_out_of_rankings(market: dict[str, dict[str, Any]]) -> None:
    assert "“make” is “NA”: missing, not a make | 1 row, 10 in “units”" in text_of(market, "data_quality")
    figures = [block for block in section(market, "competitor_analysis").blocks if block.type == "figure"]
    assert not any("NA" in row for figure in figures for row in figure.data.rows)


async def test_the_summary_has_five_short_bold_findings_and_the_box(market: dict[str, dict[str, Any]]) -> None:
    bullets, note = section(market, "executive_summary").blocks
    assert bullets.type == "bullets"
    assert note.type == "note"
    assert note.title == "What these data cannot tell"
    assert len(bullets.items) == 5
    for item in bullets.items:
        assert item.spans[0].bold
        assert item.confidence in ("high", "medium", "low")
        assert len("".join(span.text for span in item.spans).split()) <= 45


async def test_each_number_in_a_sentence_is_a_fact_of_a_stored_query(market: dict[str, dict[str, Any]]) -> None:
    parts = sections(market)
    queries = {query.id for part in parts for query in part.queries}
    known = facts(market)
    stated = [span.fact for part in parts for block in part.blocks for span in getattr(block, "spans", []) if span.fact]
    assert len(stated) > 20
    assert {known[fact].query for fact in stated} <= queries


@pytest.mark.parametrize("kind", ["amounts", "levels"])
async def test_every_stored_query_runs_on_the_original_file_and_gives_its_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = write(tmp_path / "market.csv", market_csv() if kind == "amounts" else prices_csv())
    results = await run_analyses(tmp_path, [path])
    monkeypatch.chdir(tmp_path)
    connection = duckdb.connect()
    connection.execute(section(results, "executive_summary").queries[0].sql)
    cells: dict[str, set[str]] = {}
    for part in sections(results):
        for query in part.queries:
            if query.id != "data":
                rows = connection.execute(query.sql).fetchall()
                cells[query.id] = {str(cell) for row in rows for cell in row}
    told = [f for f in facts(results).values() if not f.note and f.kind not in ("text", "year") and f.query]
    assert len(told) > 5
    for fact in told:
        numbers = {round(float(cell), 6) for cell in cells[fact.query] if re.fullmatch(r"-?[\d.e+]+", cell)}
        assert not fact.value or round(float(fact.value or 0), 6) in numbers, fact


@pytest.fixture
async def levels(tmp_path: Path) -> dict[str, dict[str, Any]]:
    return await run_analyses(tmp_path, [write(tmp_path / "prices.csv", prices_csv())])


async def test_prices_are_never_summed_shared_or_concentrated(levels: dict[str, dict[str, Any]]) -> None:
    queries = " ".join(
        query.sql
        for query in [*section(levels, "market_overview").queries, *section(levels, "competitor_analysis").queries]
    )
    assert "sum(value)" not in queries
    assert "cannot be summed" in text_of(levels, "market_overview")
    names = " ".join(facts(levels))
    assert "share" not in names
    assert "hhi" not in names


async def test_changes_of_prices_are_told_from_each_start_and_the_common_one(levels: dict[str, dict[str, Any]]) -> None:
    found = facts(levels)
    assert found["competitor_analysis.change/Old"].value == pytest.approx((180.5 / 100.5 - 1) * 100)
    assert found["competitor_analysis.common/Old"].value == pytest.approx((180.5 / 60.5 - 1) * 100)
    assert found["competitor_analysis.common/New"].value == pytest.approx((100.5 / 50.5 - 1) * 100)
    assert found["trends_analysis.drawdown/Old"].value == pytest.approx((60.5 / 120.5 - 1) * 100)
    assert "New begins only in 2003" in text_of(levels, "market_overview")


async def test_sources_are_a_mix_and_never_companies(tmp_path: Path) -> None:
    path = write(tmp_path / "power.csv", market_csv().replace("make", "source"))
    results = await run_analyses(tmp_path, [path])
    text = "\n".join(text_of(results, part.id) for part in sections(results))
    assert section(results, "competitor_analysis").title == "Competitor analysis: the mix of sources"
    assert not re.search(r"(?i)\b(player|compan|owner|incumbent)", text)


async def test_yearly_data_have_no_season(tmp_path: Path) -> None:
    path = write(
        tmp_path / "y.csv",
        "year,make,units\n" + "".join(f"{y},{m},{y - 1990}\n" for y in range(2000, 2010) for m in "AB"),
    )
    assert "a season cannot be seen in them" in text_of(await run_analyses(tmp_path, [path]), "trends_analysis")


@pytest.mark.parametrize(
    "text",
    [
        "date,sales\n" + "".join(f"20{10 + i // 12}-{i % 12 + 1:02d}-01,{100 + i}\n" for i in range(40)),
        "year,make,units\n2001,A,1\n2001,B,2\n2001,C,4\n",
        "year,make,units\n" + "".join(f"{y},{m},0\n" for y in range(2000, 2005) for m in "AB"),
        "year,make,units\n" + "".join(f"{y},{m},-{y - 1990}\n" for y in range(2000, 2005) for m in "AB"),
        "date,station,temperature\n" + "".join(
            f"2010-{i % 12 + 1:02d}-{i // 12 + 1:02d},{s},{i % 9 - 4}.5\n" for i in range(240) for s in "AB"
        ),
        'year,"ma{k}e **b** <i>",units\n' + "".join(
            f'{y},"{m}",5\n' for y in range(2000, 2005) for m in ("{x}", "**b**", "<script>", "=1+1")
        ),
        "year,region,population\n" + "".join(f"{y},{r},{y * 7}\n" for y in range(2000, 2005) for r in "NESW"),
        "month,brand,units\n2020-01,A,5\n2020-02,A,6\n",
    ],
    ids=["one series", "one year", "all zero", "negative", "temperature", "names with signs", "a stock", "two months"],
)  # fmt: skip
async def test_odd_but_harmless_data_give_all_sections_and_no_raw_tokens(tmp_path: Path, text: str) -> None:
    results = await run_analyses(tmp_path, [write(tmp_path / "odd.csv", text)])
    written = {part.id: text_of(results, part.id) for part in sections(results)}
    assert len(written) == 8
    for part in written.values():
        assert not re.search(r"\b(nan|None|inf)\b|[^\d\w][-−]0\.0\b", part), part


async def test_the_same_file_gives_the_same_results(tmp_path: Path) -> None:
    path = write(tmp_path / "market.csv", market_csv())
    assert await run_analyses(tmp_path / "a", [path]) == await run_analyses(tmp_path / "b", [path])


async def test_a_note_at_the_top_of_the_file_becomes_the_banner(tmp_path: Path) -> None:
    path = write(tmp_path / "market.csv", "# Synthetic data\n" + market_csv())
    assert (await run_analyses(tmp_path, [path]))["profile_data"]["banner"] == "Synthetic data"


async def test_the_method_names_engine_sources_roles_and_the_unknown_unit(tmp_path: Path) -> None:
    path = write(tmp_path / "market.csv", market_csv().replace("units", "quantity"))
    text = text_of(await run_analyses(tmp_path, [path]), "method")
    for words in (
        "rules, no AI",
        "No outside source was read",
        "the unit of “quantity” is not stated in the file",
        "HHI",
    ):
        assert words in text


def tones(spec: dict[str, Any]) -> dict[str, set[int]]:
    """The tones that each name has anywhere in a chart's data."""
    found: dict[str, set[int]] = {}
    pending: list[Any] = [spec]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            if "name" in one and "tone" in one:
                found.setdefault(one["name"], set()).add(one["tone"])
            pending += one.values()
        elif isinstance(one, list):
            pending += one
    return found


async def test_each_entity_has_one_colour_in_all_charts_of_shares(market: dict[str, dict[str, Any]]) -> None:
    """Gamma gains 26 points and Alpha loses 28: accent and contrast in every chart, Beta grey."""
    charts = [
        block for part in sections(market) for block in part.blocks if block.type == "figure" and tones(block.spec)
    ]
    assert [chart.name for chart in charts] == ["ranking", "share-change", "contributions", "shares"]
    for chart in charts:
        assert tones(chart.spec) == {"Alpha": {-1}, "Beta": {0}, "Gamma": {1}}, chart.name


async def test_each_entity_has_one_colour_in_all_charts_of_levels(tmp_path: Path) -> None:
    months = [(y, m) for y in range(2000, 2006) for m in range(1, 13)]
    courses = (("X", 20, 1), ("Y", 30, 0.2), ("Z", 90, -0.5))
    rows = [(f"{y}-{m:02d}-01", n, p + s * (12 * y + m - 24000) + m % 3) for y, m in months for n, p, s in courses]
    text = "date,symbol,price\n" + "".join(f"{d},{n},{p:.2f}\n" for d, n, p in rows)
    results = await run_analyses(tmp_path, [write(tmp_path / "p.csv", text)])
    charts = [
        block for part in sections(results) for block in part.blocks if block.type == "figure" and tones(block.spec)
    ]
    assert len(charts) >= 4
    for chart in charts:
        assert tones(chart.spec) == {"X": {1}, "Y": {0}, "Z": {-1}}, chart.name


YEARLY = "year,make,units\n"
FILES = {
    "two years": YEARLY + "2019,A,10\n2019,B,20\n2020,A,12\n2020,B,19\n",
    "one year": YEARLY + "2001,A,1\n2001,B,2\n2001,C,4\n",
    "nothing moves": YEARLY + "".join(f"{y},{n},{v}\n" for y in range(2012, 2020) for n, v in (("A", 5), ("B", 3))),
    "nobody": "month,sales\n" + "".join(f"20{10 + i // 12}-{i % 12 + 1:02d},{100 + i}\n" for i in range(30)),
    "two months": "month,brand,units\n2020-01,A,5\n2020-02,A,6\n",
    "harm": "year,road_type,accidents\n" + "".join(f"{y},{n},{y - 1990}\n" for y in range(2015, 2018) for n in "AB"),
    "levels": "year,region,share_pct\n" + "".join(f"{y},{n},{y - 1990}.5\n" for y in range(2015, 2018) for n in "AB"),
    "weeks": "week,brand,units\n" + "".join(
        f"2021-W{w:02d},{n},{w * k}\n" for w in range(1, 9) for n, k in (("A", 3), ("B", 5))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
async def test_the_summary_has_five_bullets_of_at_most_45_words_with_a_number_each(tmp_path: Path, name: str) -> None:
    results = await run_analyses(tmp_path, [write(tmp_path / "data.csv", FILES[name])])
    bullets = next(block for block in section(results, "executive_summary").blocks if block.type == "bullets")
    texts = ["".join(span.text for span in item.spans) for item in bullets.items]
    assert len(texts) == 5, texts
    for text in texts:
        assert len(text.split()) <= 45, text
        assert re.search(r"\d", text), text


async def test_what_does_not_change_is_not_said_to_rise_or_fall(tmp_path: Path) -> None:
    results = await run_analyses(tmp_path, [write(tmp_path / "data.csv", FILES["nothing moves"])])
    text = "\n".join(text_of(results, part.id) for part in sections(results))
    assert "“units” was the same in 7 years, each against the one before." in text
    assert "as much as in 2018 (a change of 0.0\u00a0%)" in text
    assert not re.search(r"0\.0\s% (more|less|above|below)|the highest|the lowest|fallen|the most since", text)


async def test_advice_on_harm_and_on_people_is_not_that_on_goods(tmp_path: Path) -> None:
    harm = await run_analyses(tmp_path / "harm", [write(tmp_path / "harm.csv", FILES["harm"])])
    assert "get what is exposed next" in text_of(harm, "recommendations")
    people = "country,year,population\n" + "".join(
        f"{c},{y},{v + y}\n" for y in range(2000, 2010) for c, v in (("Chile", 900), ("Peru", 100), ("Cuba", 50))
    )
    told = text_of(await run_analyses(tmp_path / "p", [write(tmp_path / "people.csv", people)]), "recommendations")
    assert "what came and what went" in told
    assert "second source" not in told
    money = FILES["two years"].replace("units", "revenue_eur")
    told = text_of(await run_analyses(tmp_path / "m", [write(tmp_path / "money.csv", money)]), "recommendations")
    assert "get units sold per make next" in told


async def test_a_gain_against_a_shrinking_whole_is_told_with_both_signs(tmp_path: Path) -> None:
    """A goes from 20 of 100 to 30 of 80: 14 by share (0.175 × 80), less 4 with the whole (0.2 × −20)."""
    text = YEARLY + "2018,A,20\n2018,B,80\n2019,A,25\n2019,B,65\n2020,A,30\n2020,B,50\n"
    told = text_of(await run_analyses(tmp_path, [write(tmp_path / "data.csv", text)]), "recommendations")
    assert "Its amount rose by 10 from 2018 to 2020: 14 from a larger share, less 4 with the shrinking whole." in told
