"""The traps of files: each a small table made here, and what the report must say of it.

The figures are worked out by hand or by plain arithmetic beside the test, never taken from a report.
"""

from __future__ import annotations

import calendar
import datetime as dt
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast.nodes.data.models import Profile
from tests.unit.fakes_market import facts, run_analyses, text_of, write

YEARS = range(2010, 2020)
PARTS = {"A": 600, "B": 300, "C": 100}  # shares 60, 30 and 10 %: HHI 3,600 + 900 + 100 = 4,600
HHI = 4600
AMOUNTS = ("market_overview", "competitor_analysis")
Cells = Iterable[Sequence[object]]


@dataclass(frozen=True)
class Read:
    """What a report says of a file."""

    results: dict[str, dict[str, Any]]

    @property
    def profile(self) -> Profile:
        return Profile.model_validate(self.results["profile_data"]["profile"])

    @property
    def roles(self) -> dict[str, str]:
        return {column.column: column.role for column in self.profile.roles.columns}

    @property
    def why(self) -> dict[str, str]:
        return {column.column: column.why for column in self.profile.roles.columns}

    @property
    def totals(self) -> list[str]:
        return self.profile.roles.entity.totals if self.profile.roles.entity else []

    @property
    def asked(self) -> list[str]:
        return [question.key for question in self.profile.questions]

    @property
    def quality(self) -> str:
        return text_of(self.results, "data_quality")

    @property
    def shares(self) -> str:
        return text_of(self.results, "competitor_analysis")

    @property
    def names(self) -> dict[str, Any]:
        return dict(self.results["competitor_analysis"].get("competition", {}))

    def value(self, fact: str) -> Any:
        return facts(self.results)[fact].value

    def total(self, frame: str) -> float:
        return float(self.value(f"market_overview.exact_{frame}"))

    def share(self, name: str) -> float:
        return float(self.value(f"competitor_analysis.share_last/{name}"))

    def hhi(self) -> float:
        return float(self.value("competitor_analysis.hhi_last"))


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Reads a table, with answers to what is asked, if any."""

    async def reader(
        header: str,
        rows: Cells,
        *,
        name: str = "data.csv",
        only: Sequence[str] = AMOUNTS,
        goal: str = "Market report on x",
        **answers: str,
    ) -> Read:
        text = header + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
        answered = {key.replace("_", " "): value for key, value in answers.items()}
        data = [write(tmp_path / name, text)]
        return Read(await run_analyses(tmp_path, data, goal, answers=answered, only=only))

    return reader


def yearly(parts: dict[str, float], years: Iterable[int] = YEARS) -> list[tuple[object, ...]]:
    return [(year, name, value) for year in years for name, value in parts.items()]


def monthly(parts: dict[str, float], years: Iterable[int], form: str = "{y}-{m:02d}-01") -> list[tuple[object, ...]]:
    return [(form.format(y=y, m=m), name, value) for y in years for m in range(1, 13) for name, value in parts.items()]


# --- time ---------------------------------------------------------------------------------------------------------


async def test_two_digit_years_of_the_wrong_century_are_set_aside_and_counted(read: Any) -> None:
    rows = [(f"{m}/15/{y:02d}", n, v) for y in range(1, 11) for m in range(1, 13) for n, v in PARTS.items()]
    found = await read("date,make,units", [*rows, ("6/15/67", "A", 5), ("7/15/68", "A", 7)])
    assert "Rows with dates in 2067 to 2068 | 2 rows | set aside" in found.quality
    assert (found.profile.first, found.profile.last) == ("2001-01-01", "2010-12-01")
    assert found.value("market_overview.total_last") == 12 * 1000
    assert found.value("market_overview.total_all") == 10 * 12 * 1000


async def test_half_a_year_at_the_end_is_compared_with_the_same_half(read: Any) -> None:
    rows = monthly({"A": 60, "B": 40}, range(2010, 2015)) + [(f"2015-{m:02d}-01", "A", 70) for m in range(1, 7)]
    found = await read("date,make,units", [*rows, *((f"2015-{m:02d}-01", "B", 40) for m in range(1, 7))])
    assert found.value("market_overview.frame_last") == "2014"
    assert found.value("market_overview.total_last") == 1200
    assert found.value("market_overview.like_for_like") == pytest.approx(10)  # 6 × 110 on 6 × 100
    assert "2015 is incomplete: January to June only | 6 of 12 months" in found.quality


async def test_a_last_month_with_one_week_is_no_month(read: Any) -> None:
    days = [dt.date(2010, 1, 1) + dt.timedelta(i) for i in range((dt.date(2013, 6, 8) - dt.date(2010, 1, 1)).days)]
    found = await read("date,make,units", [(day, "AB"[i % 2], 5) for i, day in enumerate(days)])
    assert "Rows with June 2013, which the file covers only to day 7 | 7 rows | set aside" in found.quality
    assert found.value("market_overview.total_last") == 5 * 366 - 5 * (calendar.isleap(2012) is False)
    assert found.profile.last == "2013-05-01"


async def test_a_last_month_without_days_is_doubted_by_its_amount_and_asked(read: Any) -> None:
    rows = [*monthly(PARTS, (2010, 2011, 2012)), *yearly({"A": 60, "B": 30, "C": 10}, ["2013-01-01"])]
    found = await read("month,make,units", rows)
    assert found.asked == ["last period"]
    assert "January 2013 or later, which looks incomplete | 3 rows" in found.quality
    told = await read("month,make,units", rows, last_period="yes")
    assert told.profile.last == "2013-01-01"
    assert told.profile.roles.answered == ["to “is January 2013 complete?” the answer is yes"]


async def test_a_young_last_year_is_left_out_unless_somebody_says_it_is_whole(read: Any) -> None:
    rows = [*yearly(PARTS), *yearly({"A": 30, "B": 15, "C": 5}, [2020])]
    found = await read("year,make,units", rows)
    assert found.value("market_overview.total_last") == 1000
    assert "2020 looks incomplete | far less than in the years beside it" in found.quality
    assert found.profile.roles.assumptions == ["to “is 2020 complete?” the answer is no"]
    told = await read("year,make,units", rows, last_period="yes")
    assert told.value("market_overview.total_last") == 50
    assert told.profile.roles.assumptions == []


async def test_years_far_before_the_dense_range_do_not_start_the_growth(read: Any) -> None:
    growing = [(year, name, value * (year - 2000)) for year, name, value in yearly(PARTS)]
    found = await read("year,make,units", [(1950, "A", 1), (1951, "A", 2), *growing])
    assert found.value("market_overview.frame_first") == "2010"
    assert found.value("market_overview.cagr") == pytest.approx(((19_000 / 10_000) ** (1 / 9) - 1) * 100)
    assert "Rows with dates in 1950 to 1951, too few to compare | 2 rows" in found.quality


async def test_a_missing_year_ends_the_window_of_growth(read: Any) -> None:
    rows = [(year, name, value + year) for year, name, value in yearly(PARTS) if year != 2014]
    found = await read("year,make,units", rows)
    assert found.value("market_overview.frame_first") == "2015"
    assert "Periods without rows | 1 year | left empty | such as 2014" in found.quality
    assert found.value("market_overview.total_all") == sum(row[2] for row in rows)


async def test_missing_months_are_gaps_and_their_year_is_not_complete(read: Any) -> None:
    rows = [row for row in monthly(PARTS, range(2010, 2014)) if row[0] not in ("2011-05-01", "2011-06-01")]
    found = await read("month,make,units", rows)
    assert "Periods without rows | 2 months | left empty | such as May 2011, Jun 2011" in found.quality
    assert found.profile.frames == ["2012-01-01", "2013-01-01"]
    assert found.value("market_overview.change_last") == 0


async def test_two_years_have_a_change_and_no_growth_rate(read: Any) -> None:
    found = await read("year,make,units", [*yearly(PARTS, [2010]), *yearly({"A": 660, "B": 330, "C": 110}, [2011])])
    assert found.value("market_overview.change_last") == pytest.approx(10)
    assert "market_overview.cagr" not in facts(found.results)


async def test_twelve_weeks_are_weeks_and_not_three_months(read: Any) -> None:
    rows = [(f"2020W{week:02d}", name, value + week) for week in range(1, 13) for name, value in PARTS.items()]
    found = await read("week,make,units", rows)
    assert (found.profile.roles.time.grain, found.profile.frame, len(found.profile.frames)) == ("week", "week", 12)
    assert found.value("market_overview.frame_last") == "Week 12 of 2020"
    assert found.value("market_overview.total_last") == 1000 + 3 * 12
    assert "market_overview.cagr" not in facts(found.results)


async def test_years_of_weeks_become_months_by_their_days(read: Any) -> None:
    mondays = [dt.date(2010, 1, 4) + dt.timedelta(7 * i) for i in range(52 * 3)]
    rows = [(f"{day.isocalendar().year}-W{day.isocalendar().week:02d}", n, 70) for day in mondays for n in "AB"]
    found = await read("week,make,units", rows)
    days = [day + dt.timedelta(i) for day in mondays for i in range(7)]  # 10 a day and make
    assert found.total("2011-01-01") == pytest.approx(20 * sum(day.year == 2011 for day in days))
    assert found.value("market_overview.total_all") == pytest.approx(2 * 70 * len(mondays))
    assert found.why["week"].endswith("a week in two months is divided by its days†")


async def test_whole_numbers_of_weeks_shared_between_months_have_no_decimals(read: Any) -> None:
    mondays = [dt.date(2010, 1, 4) + dt.timedelta(7 * i) for i in range(52 * 3)]
    found = await read("date,make,units", [(day, n, 31 + i) for day in mondays for i, n in enumerate("AB")], only=())
    days = [day + dt.timedelta(i) for day in mondays for i in range(7)]
    assert found.total("2011-01-01") == pytest.approx((31 + 32) / 7 * sum(day.year == 2011 for day in days))  # 3,285
    assert found.total("2012-01-01") == pytest.approx(63 / 7 * 365)  # to 30 December, a Sunday
    amounts = [
        fact for name, fact in facts(found.results).items() if re.search(r"\.(total|exact|last|added)[_/]", name)
    ]
    assert len(amounts) > 5
    assert not any("." in fact.text for fact in amounts)
    assert "A week in two months is shared out by its days" in text_of(found.results, "market_overview")


@pytest.mark.parametrize("step", [1, 7], ids=["days", "weeks"])
async def test_a_stock_by_days_or_weeks_is_averaged_within_its_months(read: Any, step: int) -> None:
    dates = [dt.date(2018, 1, 1) + dt.timedelta(i) for i in range(0, 3 * 365, step)]  # 2018 begins on a Monday
    other = [(day + dt.timedelta(1), "C", 8) for day in dates if day.day < 8]  # reports on other days than the others
    beds = [(day, ward, 40 + day.year - 2018 if ward == "A" else 60) for day in dates for ward in "AB"]
    found = await read("date,ward,beds", beds + other)
    assert found.profile.roles.measure.kind == "stock"
    assert [found.total(f"{year}-01-01") for year in (2018, 2019, 2020)] == pytest.approx([108, 109, 110])
    assert found.share("A") == pytest.approx(100 * 42 / 110)
    assert facts(found.results)["market_overview.exact_2018-01-01"].text == "108"  # and not 108.0


async def test_all_first_of_january_are_years(read: Any) -> None:
    found = await read("date,make,units", yearly(PARTS, [f"{year}-01-01" for year in YEARS]))
    assert (found.profile.roles.time.grain, found.profile.periods) == ("year", 10)


async def test_month_first_is_proven_by_a_part_above_twelve(read: Any) -> None:
    rows = [(f"{m}/{d}/{y}", n, m) for y in (2010, 2011) for m in range(1, 13) for d in (1, 28) for n in "AB"]
    found = await read("date,make,units", rows)
    assert (found.profile.roles.time.form, found.asked) == ("month/day/year", [])
    assert found.total("2011-01-01") == 4 * sum(range(1, 13))


async def test_day_first_is_proven_by_a_part_above_twelve(read: Any) -> None:
    rows = [(f"{d}/{m}/{y}", n, m) for y in (2010, 2011) for m in range(1, 13) for d in (1, 28) for n in "AB"]
    found = await read("date,make,units", rows)
    assert (found.profile.roles.time.form, found.asked) == ("day/month/year", [])
    assert found.profile.last == "2011-12-01"


async def test_a_first_of_each_month_proves_that_the_day_comes_first(read: Any) -> None:
    found = await read("date,make,units", monthly(PARTS, (2010, 2011), "01/{m:02d}/{y}"))
    assert (found.profile.roles.time.form, found.asked, found.profile.periods) == ("day/month/year", [], 24)


async def test_dates_that_can_be_read_in_two_ways_are_asked(read: Any) -> None:
    rows = [(f"{a:02d}/{b:02d}/2010", n, 1) for a in (1, 2, 3) for b in (4, 5, 6, 7) for n in "AB"]
    found = await read("date,make,units", rows)
    assert (found.asked, found.profile.first, found.profile.last) == (["dates"], "2010-01-01", "2010-03-01")
    assert found.profile.roles.assumptions == ["“date” is read as month/day/year: no value tells which"]
    told = await read("date,make,units", rows, dates="day/month/year")
    assert (told.profile.first, told.profile.last) == ("2010-04-01", "2010-07-01")
    assert told.profile.roles.assumptions == []


@pytest.mark.parametrize("factor", [1, 1000])
async def test_seconds_and_milliseconds_since_1970_are_dates(read: Any, factor: int) -> None:
    stamps = {month: factor * int(dt.datetime(2010, month, 15, tzinfo=dt.UTC).timestamp()) for month in range(1, 13)}
    found = await read("created,make,units", [(stamp, n, m) for m, stamp in stamps.items() for n in "AB"])
    assert (found.profile.first, found.profile.last) == ("2010-01-01", "2010-12-01")
    assert found.value("market_overview.total_last") == 24


async def test_year_and_month_digits_are_months_and_above_twelve_weeks(read: Any) -> None:
    found = await read("period,make,units", monthly(PARTS, (2010, 2011, 2012), "{y}{m:02d}"))
    assert (found.profile.roles.time.form, found.profile.periods, found.asked) == ("months such as 200001", 36, [])
    weeks = [(f"2010{week:02d}", n, v) for week in range(1, 31) for n, v in PARTS.items()]
    assert (await read("period,make,units", weeks)).profile.roles.time.grain == "week"


async def test_digits_up_to_twelve_in_one_year_are_months_or_weeks_and_asked(read: Any) -> None:
    rows = [(f"2010{number:02d}", n, v) for number in range(1, 13) for n, v in PARTS.items()]
    found = await read("period,make,units", rows)
    assert (found.asked, found.profile.roles.time.grain) == (["dates"], "month")
    told = await read("period,make,units", rows, dates="weeks such as 200007")
    assert told.profile.roles.time.grain == "week"


async def test_quarters_are_compared_by_year(read: Any) -> None:
    rows = [(f"{y}Q{q}", n, v + q) for y in range(2010, 2015) for q in range(1, 5) for n, v in PARTS.items()]
    found = await read("quarter,make,units", rows)
    assert (found.profile.roles.time.grain, found.profile.per_frame) == ("quarter", 4)
    assert found.value("market_overview.total_last") == 4 * 1000 + 3 * (1 + 2 + 3 + 4)


async def test_year_and_month_names_in_any_case_are_read_together(read: Any) -> None:
    def name(month: int) -> str:
        return calendar.month_name[month].upper() if month % 2 else calendar.month_abbr[month].lower()

    rows = [(y, name(m), n, v) for y in (2010, 2011) for m in range(1, 13) for n, v in PARTS.items()]
    found = await read("Year,Month,make,units", rows)
    assert (found.profile.roles.time.columns, found.profile.periods) == (["Year", "Month"], 24)


# --- who is compared ----------------------------------------------------------------------------------------------


async def test_na_is_no_make_but_stays_in_the_total(read: Any) -> None:
    found = await read("year,make,units", yearly({"A": 60, "B": 30, "NA": 10}))
    assert (found.value("market_overview.total_last"), found.share("A")) == (100, 60)
    assert found.hhi() == pytest.approx(60**2 + 30**2)
    assert found.value("competitor_analysis.active") == 2
    assert "“make” is “NA”: missing, not a make | 10 rows, 100 in “units”" in found.quality


async def test_na_in_a_header_is_a_name(read: Any) -> None:
    rows = [(year, year - 2000, 20, 30 - year % 7) for year in YEARS]
    found = await read("year,NA,EU,AS", rows, name="sales.csv")
    assert found.share("NA") == pytest.approx(19 / (19 + 20 + 30 - 2019 % 7) * 100)


async def test_na_in_a_number_column_is_no_number_and_no_text(read: Any) -> None:
    rows = [(y, n, "NA" if (y, n) == (2012, "B") else v) for y, n, v in yearly(PARTS)]
    found = await read("year,make,units", rows)
    assert found.profile.roles.measure.column == "units"
    assert found.total("2012-01-01") == 700
    assert "No number in “units” | 1 row | left out" in found.quality


async def test_unknown_never_leads_and_forbids_a_concentration(read: Any) -> None:
    found = await read("year,brand,sales", yearly({"Unknown": 900, "Acme": 60, "Bolt": 40}))
    assert (found.names["leader"], found.share("Acme")) == ("Acme", 6)
    assert "competitor_analysis.hhi_last" not in facts(found.results)
    assert "90.0\u00a0% of 2019 names no brand" in found.shares


async def test_one_competitor_gets_no_ranking(read: Any) -> None:
    found = await read("year,make,units", [(year, "A", year - 1910) for year in YEARS])
    assert found.roles["make"] == "constant"
    assert "no shares to compare" in found.shares
    assert found.value("market_overview.cagr") == pytest.approx(((109 / 100) ** (1 / 9) - 1) * 100)


async def test_two_competitor_columns_are_asked(read: Any) -> None:
    rows = [(y, n, s, v) for y in YEARS for n, s, v in [("A", "S1", 5), ("B", "S2", 3), ("B", "S1", 1), ("C", "S2", 1)]]
    found = await read("year,make,supplier,units", rows)
    assert (found.asked, found.share("A")) == (["compared"], 50)
    assert found.profile.roles.assumptions == ["what is compared is “make”, one of 2 columns that could be"]
    told = await read("year,make,supplier,units", rows, compared="supplier")
    assert told.share("S1") == pytest.approx(60)
    assert told.profile.roles.answered == ["what is compared is “supplier”, one of 2 columns that could be"]


async def test_what_nobody_answered_is_marked_assumed_in_the_report(read: Any) -> None:
    rows = [(y, n, s, v) for y in YEARS for n, s, v in [("A", "S1", 5), ("B", "S2", 3), ("B", "S1", 1), ("C", "S2", 1)]]
    found = await read("year,make,supplier,sales", rows, only=())
    told = text_of(found.results, "method")
    assert "assumed: what is compared is “make”, one of 2 columns that could be" in told
    assert "assumed: the unit of “sales” is not stated in the file" in told
    assert "Column | Role | Why | Example\nyear | time | years; one period is a year | 2010" in told


async def test_three_hundred_competitors_are_ten_in_the_table(read: Any) -> None:
    firms = {f"Firm {i:03d}": 1000 - 3 * i for i in range(300)}
    found = await read("year,company,sales_usd", yearly(firms, range(2010, 2014)))
    total = sum(firms.values())
    assert found.hhi() == pytest.approx(sum((100 * value / total) ** 2 for value in firms.values()))
    assert "The 10 largest companies" in str(found.results["competitor_analysis"]["blocks"])
    assert found.value("competitor_analysis.active") == 300


async def test_spelling_twins_are_one_competitor_and_told(read: Any) -> None:
    found = await read("year,make,units", [*yearly({"Volvo": 50, "volvo ": 20, "Saab": 30}), (2010, "Volvo", 0)])
    assert found.share("Volvo") == 70
    assert "1 spelling, 10 rows | counted as one: “volvo” as “Volvo”" in found.quality
    assert found.why["make"] == "2 values that recur over time; 1 other spelling is counted with them"


async def test_unicode_forms_of_one_name_are_one_competitor(read: Any) -> None:
    decomposed = unicodedata.normalize("NFD", "Citroën")
    found = await read("year,make,units", yearly({"Citroën": 50, decomposed: 20, "比亚迪": 30}))
    assert found.share("Citroën") == 70
    assert found.share("比亚迪") == 30
    assert "counted as one: “Citroën” in two Unicode forms" in found.quality


async def test_coded_whole_numbers_can_be_makes(read: Any) -> None:
    found = await read("year,make,units", yearly({"1": 600, "2": 300, "3": 100}))
    assert (found.roles["make"], found.share("make 1")) == ("competitor", 60)


@pytest.mark.parametrize("name", ["order_id", "postcode", "rank", "ref"])
async def test_numbers_that_name_something_are_neither_summed_nor_compared(read: Any, name: str) -> None:
    rows = [(90_000 + 7 * i, *row) for i, row in enumerate(yearly(PARTS))]
    found = await read(f"{name},year,make,units", rows)
    assert (found.roles[name], found.profile.roles.measure.column, found.asked) == ("id", "units", [])
    assert found.hhi() == pytest.approx(HHI)


async def test_latitude_is_a_position(read: Any) -> None:
    places = {"Oslo": 59.91, "Bergen": 60.39, "Bodo": 67.28}
    found = await read(
        "year,station,latitude,rainfall_mm", [(y, n, at, 800) for y in YEARS for n, at in places.items()]
    )
    assert (found.roles["latitude"], found.profile.roles.measure.column) == ("position", "rainfall_mm")


async def test_of_nested_categories_the_upper_one_is_the_mix(read: Any) -> None:
    cities = [("Austin", "Texas", 10), ("Dallas", "Texas", 30), ("Miami", "Florida", 40), ("Reno", "Nevada", 20)]
    found = await read("year,city,state,sales", [(y, *city) for y in YEARS for city in cities], unit="USD")
    assert [name for name, role in found.roles.items() if role == "category"] == ["state"]
    assert found.why["city"] == "each value belongs to one “state”, which is used for the mix"
    assert found.hhi() == pytest.approx(40**2 + 40**2 + 20**2)


async def test_energy_sources_are_a_mix_and_no_players(read: Any) -> None:
    rows = [(y, n, v) for y in YEARS for n, v in [("Fossil fuels", 2100 - y), ("Nuclear", 30), ("Wind", y - 1990)]]
    found = await read("year,source,net_generation", rows, only=(*AMOUNTS, "trends_analysis", "recommendations"))
    assert found.roles["source"] == "category"
    assert found.share("Wind") == pytest.approx(29 / (81 + 30 + 29) * 100)
    text = found.shares + text_of(found.results, "recommendations")
    assert not any(word in text.lower() for word in ("player", "competitor", "rival"))


async def test_harm_has_no_winners(read: Any) -> None:
    rows = [(y, n, v) for y in YEARS for n, v in [("North Air", 2110 - y), ("South Air", y - 1980), ("East Air", 20)]]
    found = Read((await read("year,operator,accidents", rows, only=())).results)
    assert found.profile.harm
    told = " ".join(text_of(found.results, name) for name in ("executive_summary", "recommendations")) + found.shares
    assert not any(word in told.lower() for word in ("winner", "opportunit", "grow faster", "measure yourself"))
    assert found.value("market_overview.total_last") == 91 + 39 + 20


# --- what is measured ---------------------------------------------------------------------------------------------


async def test_prices_are_never_summed(read: Any) -> None:
    found = await read("date,symbol,price", monthly({"X": 100, "Y": 20}, range(2010, 2014)))
    assert found.profile.roles.measure.kind == "intensive"
    assert not any("total" in name or "hhi" in name or "share_last" in name for name in facts(found.results))


async def test_a_percent_column_is_a_level(read: Any) -> None:
    found = await read("year,country,unemployment_pct", yearly({"Norway": 3.0, "Sweden": 6.0, "Spain": 15.0}))
    assert (found.profile.roles.measure.kind, found.profile.roles.measure.unit) == ("intensive", "%")
    cells = await read("year,country,result", yearly({"Norway": "3 %", "Sweden": "6 %", "Spain": "15 %"}))
    assert (cells.profile.roles.measure.kind, cells.profile.roles.measure.unit) == ("intensive", "%")


async def test_an_index_is_a_level(read: Any) -> None:
    found = await read("month,sector,index", monthly({"Food": 100, "Energy": 120}, (2010, 2011, 2012)))
    assert found.profile.roles.measure.kind == "intensive"


async def test_given_shares_are_checked_and_not_used(read: Any) -> None:
    rows = [(y, n, v, v / 10 + (0.4 if n == "A" else 0)) for y, n, v in yearly(PARTS)]
    found = await read("year,make,units,pct", rows)
    assert found.roles["pct"] == "given share"
    assert found.share("A") == 60
    assert found.value("data_quality.given_share_gap") == pytest.approx(0.4)


async def test_a_stock_is_averaged_over_time_and_summed_over_parts(read: Any) -> None:
    rows = [(f"{y}-{m:02d}", n, v + m) for y in (2010, 2011) for m in range(1, 13) for n, v in PARTS.items()]
    found = await read("month,region,population", rows)
    assert found.profile.roles.measure.kind == "stock"
    assert found.value("market_overview.total_last") == pytest.approx(1000 + 3 * 6.5)


async def test_what_nothing_shows_to_be_a_sum_is_a_level_and_asked(read: Any) -> None:
    found = await read("year,make,thing", yearly(PARTS))
    assert (found.profile.roles.measure.kind, "measure" in found.asked) == ("intensive", True)
    told = await read("year,make,thing", yearly(PARTS), measure="an amount that can be summed")
    assert told.profile.roles.measure.kind == "flow"
    assert told.hhi() == pytest.approx(HHI)


WIDE = [
    ("Aby", 120_000, 121_000, 122_500),
    ("Beby", 134_000, 133_000, 133_500),
]  # of one size: no guess that it adds up


async def test_a_stock_under_bare_years_is_known_by_the_name_of_the_file(read: Any) -> None:
    found = await read("city,2019,2020,2021", WIDE, name="inhabitants_2021.csv")
    assert found.profile.roles.measure.kind == "stock"
    assert (found.total("2019-01-01"), found.total("2021-01-01")) == (254_000, 256_000)
    assert "market_overview.total_all" not in facts(found.results)


async def test_a_stock_under_bare_years_is_known_by_the_goal_and_said_to_be_assumed(read: Any) -> None:
    found = await read("city,2019,2020,2021", WIDE, name="cities.csv", goal="Market report on the population of cities")
    assert (found.profile.roles.measure.kind, found.profile.roles.measure.column) == ("stock", "population")
    assert found.total("2021-01-01") == 256_000
    assert "the numbers under the years are named “population” after the goal" in found.profile.roles.assumptions


async def test_a_header_that_says_nothing_is_the_stock_that_the_file_is_named_after(read: Any) -> None:
    rows = [
        (year, city, value) for city, *values in WIDE for year, value in zip((2019, 2020, 2021), values, strict=True)
    ]
    found = await read("year,city,count", rows, name="headcount.csv")
    assert found.profile.roles.measure.kind == "stock"
    assert any("“headcount”" in text for text in found.profile.roles.assumptions)
    for name in ("visits_of_members.csv", "population_density.csv", "stations.csv"):
        other = await read("year,city,count", rows, name=name)  # visits, a density, who reports: no stock
        assert other.profile.roles.measure.kind == "flow", name
    customers = await read("year,customer,value", rows, name="customers.csv")
    assert customers.profile.roles.measure.kind == "intensive"


async def test_numbers_that_nothing_names_are_asked_and_never_added_over_time(read: Any) -> None:
    rows = [("Norland", 5_300_000, 5_350_000, 5_400_000), ("Vestia", 19_000, 18_500, 18_000)]
    found = await read("country,2019,2020,2021", rows, name="data.csv")
    assert (found.profile.roles.measure.column, found.asked[0]) == ("value", "measure")
    assert "they are not added over time, since nothing says" in text_of(found.results, "market_overview")
    assert "market_overview.total_all" not in facts(found.results)
    stock = "a stock, which is added over its parts and not over time"
    told = await read("country,2019,2020,2021", rows, name="data.csv", measure=stock)
    assert told.profile.roles.measure.kind == "stock"
    assert told.why["value"] == f"somebody has said: {stock}"


async def test_new_members_are_no_stock(read: Any) -> None:
    found = await read("year,club,new_members", yearly(PARTS))
    assert found.profile.roles.measure.kind == "flow"


async def test_two_measures_are_asked_and_never_added(read: Any) -> None:
    rows = [(y, n, v, v // 2) for y, n, v in yearly(PARTS)]
    found = await read("year,country,production,exports", rows)
    assert (found.asked[0], found.value("market_overview.total_last")) == ("measure", 1000)
    assert "Column “exports” | never above “production” in any row | never added" in found.quality
    told = await read("year,country,production,exports", rows, measure="exports", unit="kt")
    assert told.value("market_overview.total_last") == 500
    assert told.profile.roles.measure.unit == "kt"


async def test_exports_beside_production_are_no_parts_of_one_measure(read: Any) -> None:
    found = await read("year,production_kt,exports_kt", [(y, y - 1900, y - 1980) for y in YEARS])
    assert found.profile.roles.fold == []
    assert found.value("market_overview.total_last") == 119


async def test_identical_and_constant_columns_are_dropped(read: Any) -> None:
    found = await read("year,country,make,units,quantity", [(y, "Norway", n, v, v) for y, n, v in yearly(PARTS)])
    assert (found.roles["country"], found.roles["quantity"], found.asked) == ("constant", "copy", [])
    assert "Column “quantity” | the same as “units” in every row | dropped" in found.quality


async def test_the_unit_is_in_the_header_in_the_cells_or_asked(read: Any) -> None:
    rows = yearly(PARTS)
    assert (await read("year,make,Output (t)", rows)).profile.roles.measure.unit == "t"
    found = await read("year,make,sales", [(y, n, f"${v}.50") for y, n, v in rows])
    assert (found.profile.roles.measure.unit, found.asked) == ("dollars", [])
    assert found.value("market_overview.total_last") == 1001.5
    bare = await read("year,make,sales", rows)
    assert (bare.asked, bare.profile.roles.measure.unit) == (["unit"], "")
    assert "unit not stated in the file" in bare.quality


async def test_thousands_separators_are_read(read: Any) -> None:
    found = await read("year,make,units", [(y, n, f'"{v * 1000 + 1:,}"') for y, n, v in yearly(PARTS)])
    assert found.value("market_overview.total_last") == 1_000_003


async def test_a_decimal_comma_is_read(read: Any) -> None:
    rows = [(f"{y};{n};{v // 100}.{v % 100:03d},50",) for y, n, v in yearly(PARTS)]
    found = await read("year;make;sales_eur", rows)
    assert found.value("market_overview.total_last") == pytest.approx(6000.5 + 3000.5 + 1000.5)


# --- tables -------------------------------------------------------------------------------------------------------


async def test_a_row_of_totals_is_a_check_and_no_part(read: Any) -> None:
    rows = [(y, n, v) for y in YEARS for n, v in [("oil", y - 1960), ("gas", 30), ("wind", 20), ("Together", y - 1910)]]
    found = await read("year,fuel,production_kt", rows)
    assert (found.totals, found.value("market_overview.total_last")) == (["Together"], 59 + 30 + 20)
    assert "“Together” is a total of the others | 10 rows" in found.quality
    assert "sum check: holds in 10 of 10 years" in found.quality


async def test_a_total_whose_parts_are_not_all_listed_does_not_lead(read: Any) -> None:
    found = await read("year,country,exports_usd", yearly({"Norway": 60, "Sweden": 40, "World": 1000}))
    assert (found.totals, found.share("Norway")) == (["World"], 60)
    assert "holds in 0 of 10 years; the others make up 10.0\u00a0% of it" in found.quality


async def test_a_half_that_equals_the_rest_by_chance_is_no_total(read: Any) -> None:
    found = await read("year,make,units", yearly({"A": 60, "B": 30, "C": 30}))
    assert (found.totals, found.share("A")) == ([], 50)


async def test_a_column_of_totals_is_a_check_and_no_part(read: Any) -> None:
    rows = [(y, 100 + y % 7, 50 + y % 3, 150 + y % 7 + y % 3) for y in YEARS]
    found = await read("year,north_kt,south_kt,total_kt", rows)
    assert (found.totals, found.profile.roles.measure.unit) == (["total"], "kt")
    north, south = 100 + 2019 % 7, 50 + 2019 % 3
    assert found.share("north") == pytest.approx(100 * north / (north + south))


async def test_bare_columns_with_their_sum_are_parts(read: Any) -> None:
    rows = [(y, 2100 - y, 50, y - 1990, 160) for y in YEARS]
    found = await read("year,coal,gas,wind,all", rows)
    assert found.profile.roles.fold == ["coal", "gas", "wind", "all"]
    assert found.totals == ["all"]


async def test_years_in_the_headers_become_time(read: Any) -> None:
    rows = [("Norway", 10, 20, 30), ("Sweden", 5, 5, 5), ("Denmark", 1, 2, 5)]
    found = await read("country,2010,2011,2012", rows, name="exports.csv")
    assert (found.total("2010-01-01"), found.total("2012-01-01")) == (16, 40)
    assert found.share("Norway") == 75


async def test_measures_side_by_side_become_rows(read: Any) -> None:
    found = await read("month,north_kt,south_kt", [(f"{y}-{m:02d}", m, 10) for y in (2010, 2011) for m in range(1, 13)])
    assert found.profile.roles.fold == ["north_kt", "south_kt"]
    assert found.share("north") == pytest.approx(100 * 78 / (78 + 120))


async def test_whole_rows_that_repeat_are_counted_and_told(read: Any) -> None:
    found = await read("year,make,units", [*yearly(PARTS), (2015, "A", 600), (2015, "A", 600)])
    assert "Rows that repeat another in full | 2 rows | kept and added" in found.quality
    assert found.total("2015-01-01") == 2200


async def test_repeated_keys_are_added_and_told(read: Any) -> None:
    found = await read("year,make,units", [*yearly(PARTS), (2015, "A", 17)])
    assert "Repeated key: 2015, A | 1 key, 2 rows (600 and 17) | added" in found.quality
    assert found.total("2015-01-01") == 1017


async def test_growth_does_not_start_from_zero(read: Any) -> None:
    rows = [(y, n, 0 if y == 2010 else v + y - 2011) for y, n, v in yearly(PARTS)]
    found = await read("year,make,units", rows)
    assert found.value("market_overview.frame_first") == "2011"
    assert found.value("market_overview.cagr") == pytest.approx(((1024 / 1000) ** (1 / 8) - 1) * 100)
    assert "2010 looks incomplete | far less than in the years beside it" in found.quality


async def test_negative_amounts_are_counted_and_give_no_shares(read: Any) -> None:
    found = await read("year,make,units", yearly({"A": 100, "B": 50, "Returns": -20}))
    assert found.value("market_overview.total_last") == 130
    lowered = "lower the amount by 13.3\u00a0%; may be returns, losses or corrections"  # 20 of 150 a year
    assert f"Negative “units” | 10 rows | kept | {lowered}" in found.quality
    assert not any("share" in name or "hhi" in name for name in facts(found.results) if name.startswith("comp"))
    assert "without negative amounts, so there are no shares" in found.shares


async def test_rows_below_zero_within_a_name_lower_its_amount(read: Any) -> None:
    churn = [(y, name, -value // 10) for y, name, value in yearly(PARTS)]
    found = await read("year,make,units", [*yearly(PARTS), *churn, *((y, "Total", 900) for y in YEARS)])
    assert found.totals == ["Total"]
    assert found.why["make"] == "3 values that recur over time; 1 more is a total"
    assert found.value("data_quality.negative_share") == pytest.approx(10)  # 100 of 1,000 a year, the total apart
    assert found.value("market_overview.total_last") == 900


async def test_levels_below_zero_take_nothing_away(read: Any) -> None:
    found = await read("year,city,temperature", yearly({"A": -3, "B": 4, "C": 9}))
    assert "Negative “temperature” | 10 rows | kept | none: a level may be below zero" in found.quality


async def test_empty_cells_count_only_in_columns_on_which_a_figure_rests(read: Any) -> None:
    rows = [(y, n, v * (n != "C") or "", "" if y % 2 else "Ann", "" if n == "B" else y) for y, n, v in yearly(PARTS)]
    rows[0] = (2010, "A", 600, "Bo", "new")
    found = await read("year,make,units,buyer,remark", [*rows, ("", "A", "", "", "")], compared="make")
    assert "No readable date in “year” | 1 row | left out" in found.quality
    assert "No number in “units” | 10 rows | left out" in found.quality  # that of no date is counted there
    apart = "“buyer” (16) and “remark” (11) | left as they are | none"
    assert f"Empty cells in columns that no figure rests on | {apart}" in found.quality
    whole = await read("year,make,units", yearly(PARTS), name="whole.csv")
    assert "Empty cells" not in whole.quality


async def test_units_without_a_price_are_told_where_a_value_is_derived(read: Any) -> None:
    rows = [(y, n, v, "" if (y, n) == (2012, "C") else 2.5) for y, n, v in yearly(PARTS)]
    found = await read("year,make,units,unit_price_eur", rows)
    assert "No number in “unit_price_eur” | 1 row | kept in the amount | not in the derived value" in found.quality


async def test_a_changing_panel_is_seen_in_who_came_and_went(read: Any) -> None:
    rows = [
        (y, m, f"S{s}", 200 - 10 * (y - 2010))
        for y in (2010, 2011, 2012)
        for m in range(1, 13)
        for s in range(1, 11 if y < 2012 else 16)
    ]
    found = await read("year,month,station,visits", rows)
    assert found.value("market_overview.change_last") == pytest.approx((15 * 180 / (10 * 190) - 1) * 100)
    assert {entrant["name"] for entrant in found.names["entrants"]} <= {f"S{s}" for s in range(11, 16)}
    assert len(found.names["entrants"]) == 3


async def test_a_changing_panel_leads_with_growth_like_for_like(read: Any) -> None:
    """Ten stations with 190 visits a month in 2011, fifteen with 180 in 2012: the whole rose, each of them fell."""
    rows = [
        (y, m, f"S{s}", 200 - 10 * (y - 2010))
        for y in (2010, 2011, 2012)
        for m in range(1, 13)
        for s in range(1, 11 if y < 2012 else 16)
    ]
    found = await read("year,month,station,visits", rows, only=())
    assert found.value("data_quality.panel_last_change") == pytest.approx((1 - 180 / 190) * 100)
    assert found.value("data_quality.panel_last_whole") == pytest.approx((15 * 180 / (10 * 190) - 1) * 100)
    assert (found.value("data_quality.panel_last_steady"), found.value("data_quality.panel_last_now")) == (10, 15)
    summary = text_of(found.results, "executive_summary").splitlines()[0]
    assert summary.startswith("Like for like, “visits” fell by 5.3\u00a0% from 2011 to 2012.")
    assert text_of(found.results, "recommendations").startswith("Everyone: fix the panel of stations first")
    assert "Changing panel: 10 stations in 2011, 15 in 2012 | 10 stations in every month of both" in found.quality


async def test_a_panel_that_grows_the_same_way_is_told_and_does_not_lead(read: Any) -> None:
    rows = [(y, f"S{s}", 100 + y - 2010) for y in YEARS for s in range(1, 11 if y < 2019 else 13)]
    found = await read("year,site,visits", rows, only=())
    assert found.value("data_quality.panel_last_change") == pytest.approx((109 / 108 - 1) * 100)
    assert "Like for like" in text_of(found.results, "market_overview")
    assert not text_of(found.results, "executive_summary").startswith("Like for like")
    assert "fix the panel" not in text_of(found.results, "recommendations")


async def test_makes_that_come_in_are_no_panel(read: Any) -> None:
    rows = [(y, f"M{s}", 200 - 10 * (y - 2010)) for y in (2010, 2011, 2012) for s in range(1, 11 if y < 2012 else 16)]
    found = await read("year,make,units", rows)
    assert found.profile.roles.panel is None
    assert "panel" not in found.quality


async def test_a_panel_of_sites_beside_the_makes_is_found(read: Any) -> None:
    """Each outlet falls from 10 to 9 of each make; there are two, then three."""
    rows = [(y, m, o, 20 - y + 2000) for y in (2010, 2011) for m in "AB" for o in ("x", "y", "z")[: y - 2008]]
    found = await read("year,make,outlet,units", rows)
    assert found.profile.roles.panel.column == "outlet"
    assert found.value("data_quality.panel_last_change") == pytest.approx(10)
    assert found.value("data_quality.panel_last_whole") == pytest.approx((3 * 9 / (2 * 10) - 1) * 100)


async def test_a_month_is_known_by_its_values_in_any_language(read: Any) -> None:
    rows = [(y, m, n, v) for y in (2015, 2016, 2017) for m in range(1, 13) for n, v in PARTS.items()]
    found = await read("År,Månad,Märke,Sålda enheter", rows)
    assert found.profile.roles.time.columns == ["År", "Månad"]
    assert (found.roles["Märke"], found.value("market_overview.total_last")) == ("competitor", 12_000)
    assert found.profile.roles.entity.plural == "brands"


async def test_a_rating_from_one_to_twelve_is_no_month(read: Any) -> None:
    rows = [(y, m, n, v) for y in (2015, 2016, 2017) for m in range(1, 13) for n, v in PARTS.items()]
    found = await read("year,score,make,units", rows)
    assert found.profile.roles.time.columns == ["year"]


async def test_the_unit_of_a_price_names_both_sides(read: Any) -> None:
    found = await read("year,grade,price_usd_per_kg", yearly({"X": 2.25, "Y": 3.5}))
    assert found.profile.roles.measure.unit == "USD per kg"


async def test_no_more_decimals_are_written_than_the_file_has(read: Any) -> None:
    rows = [(y, n, v + (y - 2010) * 1.5) for y, n, v in yearly({"North": 40.1, "South": 52.5, "East": 45.2})]
    found = await read("year,region,broadband_pct", rows)
    assert "| 53.6 |" in text_of(found.results, "market_overview")  # 40.1 + 9 × 1.5
    assert "53.60" not in text_of(found.results, "market_overview")


async def test_a_change_of_a_level_has_no_more_decimals_than_the_level(read: Any) -> None:
    rows = [(y, n, v + (y - 2010) * 0.5) for y, n, v in yearly({"North": 40.1, "South": 52.5, "East": 45.2})]
    found = await read("year,region,broadband_pct", rows)
    assert "by 4.5\u00a0points from 2010 to 2019" in found.shares  # 9 × 0.5
    assert "4.50" not in found.shares


async def test_what_was_looked_for_and_not_found_is_said(read: Any) -> None:
    found = await read("year,make,units", yearly(PARTS))
    assert (
        "Looked for and not found: rows without date, number or name, dates out of range, gaps between the years, rows"
        " or keys that repeat, totals among the parts, zeros or negative values or two spellings of one name."
    ) in found.quality
    assert "What was found" not in found.quality  # no table without a row
    found = await read("year,make,units", [*yearly(PARTS), (2019, "a", 0)])
    assert "two spellings" not in found.quality
    assert "zeros" not in found.quality


async def test_a_wide_table_says_how_many_rows_the_file_has(read: Any) -> None:
    rows = [(c, *[v] * 5) for c, v in (("Chile", 100), ("Peru", 200), ("Cuba", 400))]
    found = await read("country," + ",".join(map(str, range(2015, 2020))), rows, name="sales.csv")
    assert "3 rows were read from 1 file; a row for each of five columns side by side makes 15." in found.quality


async def test_a_price_beside_units_gives_a_derived_value(read: Any) -> None:
    """2018: 10 × 2 + 20 × 3 = 80 for 30 units; 2019: 10 × 3 + 20 × 3 = 90 for 30, which is 12.5 % more."""
    rows = [(2018, "A", 10, 2), (2018, "B", 20, 3), (2019, "A", 10, 3), (2019, "B", 20, 3)]
    found = await read("year,brand,units,unit_price_eur", rows)
    assert found.value("market_overview.total_last") == 30
    assert found.value("market_overview.worth_2019-01-01") == 90
    assert found.value("market_overview.worth_change") == pytest.approx(12.5)
    assert found.value("market_overview.mean_price_2018-01-01") == pytest.approx(80 / 30)
    text = text_of(found.results, "market_overview")
    assert "Derived: “units” × “unit_price_eur”" in text
    assert "came to 90.00\u00a0EUR in 2019, 12.5\u00a0% more than in 2018." in text
    assert "the file does not hold them" in text


async def test_no_value_is_derived_where_the_columns_do_not_prove_it(read: Any) -> None:
    rows = [(y, n, 10, 2, 20) for y in (2018, 2019) for n in "AB"]
    assert (await read("year,brand,units,price,revenue_eur", rows)).profile.roles.price is None  # it is there
    two = [row[:5] for row in rows]
    assert (await read("year,brand,units,list_price,net_price", two)).profile.roles.price is None  # which one?
    close = [row[:4] for row in rows]
    assert (await read("year,symbol,volume,close_price", close)).profile.roles.price is None
    missing = [(y, n, 10, "" if n == "A" else 2) for y in (2018, 2019) for n in "AB"]
    found = await read("year,brand,units,price", missing)
    assert "only 50.0\u00a0% of “units” have a price, so no value is derived" in text_of(
        found.results, "market_overview"
    )


# --- the goal -----------------------------------------------------------------------------------------------------

COUNTRIES = {"Norway": 1, "Sweden": 2, "South Africa": 4}


def by_country(parts: dict[str, float] = PARTS) -> list[tuple[object, ...]]:
    return [(y, c, n, v * times) for y in YEARS for c, times in COUNTRIES.items() for n, v in parts.items()]


async def test_the_goal_names_a_country_and_only_its_rows_are_used(read: Any) -> None:
    found = await read(
        "year,country,make,units", by_country(), only=(), goal="Market research report on cars in Norway"
    )
    assert found.value("market_overview.total_last") == 1000  # and not 7,000
    assert found.value("data_quality.rows_read") == 30
    assert "The goal names “Norway” in “country” | 30 of 90 rows | only these are used" in found.quality
    assert "named in the goal: “Norway” of “country”; only rows with it are used" in text_of(found.results, "method")
    about = dict(found.results["profile_data"]["about"])
    assert (about["Rows"], about["Scope, as the goal names it"]) == ("30 of 90", "only “country” “Norway”")
    assert "WHERE" in found.profile.data_sql
    assert "'Norway'" in found.profile.data_sql


async def test_the_goal_names_one_of_those_compared_and_all_are(read: Any) -> None:
    found = await read("year,make,units", yearly(PARTS), only=(), goal="Competitor analysis of B's position")
    assert found.value("market_overview.total_last") == 1000
    assert found.profile.scope == []  # one letter is no name
    rows = yearly({"Alpha": 600, "Beta": 300, "Gamma": 100})
    found = await read("year,make,units", rows, only=(), goal="Market report on Beta's position")
    assert found.value("market_overview.total_last") == 1000
    assert "Beta, which the goal names, held 30.0\u00a0% of 2019 (place 2)." in found.shares
    assert "The goal names “Beta” in “make” | all rows | nothing is left out" in found.quality


@pytest.mark.parametrize(
    "goal",
    [
        "Market report on South Korea",  # a part of another name
        "Market report on used cars in the north",  # no value of the column
        "Report on norwayan cars",  # a part of a word
    ],
)
async def test_a_word_of_the_goal_that_may_be_something_else_leaves_nothing_out(read: Any, goal: str) -> None:
    rows = [(y, c.split()[0], n, v) for y, c, n, v in by_country()]  # South for South Africa
    found = await read("year,country,make,units", rows, goal=goal)
    assert found.value("market_overview.total_last") == 7000
    assert not any(one.filtered for one in found.profile.scope)


async def test_the_goal_may_name_two_values_or_two_columns(read: Any) -> None:
    goal = "Market report on Norway and South Africa"
    found = await read("year,country,make,units", by_country(), goal=goal)
    assert found.value("market_overview.total_last") == 5000
    rows = [(*row[:3], kind, row[3]) for row in by_country() for kind in ("Diesel", "Electric")]
    found = await read("year,country,make,fuel,units", rows, goal="Market report on electric cars in Sweden")
    assert found.value("market_overview.total_last") == 2000


async def test_a_country_that_is_compared_gives_way_to_another_category(read: Any) -> None:
    rows = [(y, c, f"{n} fuel", v) for y, c, n, v in by_country()]
    found = await read("year,country,fuel,units", rows, goal="Market report on fuel in Norway")
    assert (found.profile.roles.entity.column, found.value("market_overview.total_last")) == ("fuel", 1000)
    alone = await read("year,country,units", [(y, c, v) for y, c, n, v in by_country() if n == "A"], goal="Norway")
    assert alone.value("market_overview.total_last") == 4200  # nothing would be left to compare


async def test_a_wide_table_is_narrowed_before_it_is_made_long(read: Any) -> None:
    rows = [("Norway", "A", 1, 2, 3, 4), ("Norway", "B", 1, 1, 1, 1), ("Sweden", "A", 9, 9, 9, 9)]
    found = await read("country,make,2016,2017,2018,2019", rows, name="sales.csv", goal="Sales in Norway")
    assert (found.value("market_overview.total_last"), found.value("data_quality.rows_read")) == (5, 8)


async def test_two_runs_on_the_sample_give_the_same_text_and_figures(tmp_path: Path) -> None:
    sample = Path(__file__).parents[2] / "examples" / "sample" / "market.csv"
    first, second = [await run_analyses(tmp_path / run, [sample]) for run in ("one", "two")]
    assert json.dumps(first) == json.dumps(second)
