"""Roles are decided by values first, names second; years and months that are not complete are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.data.models import Profile
from holdfast.nodes.data.profile import opened, understand
from holdfast.nodes.data.reading import collect
from holdfast.nodes.data.window import Window
from tests.unit.fakes_market import market_csv, write


def understood(folder: Path, text: str, name: str = "data.csv") -> tuple[Profile, Window]:
    parquet = folder / "data.parquet"
    collected = collect([write(folder / name, text)], parquet)
    with opened(parquet, write=[folder]) as engine:
        return understand(engine, collected, folder / "cells.parquet")


def series(dates: list[str], header: str = "date,brand,units") -> str:
    return header + "\n" + "".join(f"{date},{brand},{i + 1}\n" for i, date in enumerate(dates) for brand in "AB")


FORMS = {
    "ISO months": ([f"2010-{m:02d}-01" for m in range(1, 13)], "month", "2010-01-01"),
    "Jan 1 2000": (["Jan 1 2000", "Feb 1 2000", "Mar 1 2000"], "month", "2000-01-01"),
    "Jan 2000": (["Jan 2000", "Feb 2000", "May 2000"], "month", "2000-01-01"),
    "March-2011": (["March-2011", "April-2011", "May-2011"], "month", "2011-03-01"),
    "2011Q1": (["2011Q1", "2011Q2", "2011Q3"], "quarter", "2011-01-01"),
    "Q3 2011": (["Q3 2011", "Q4 2011", "Q1 2012"], "quarter", "2011-07-01"),
    "YYYYMM": (["201001", "201002", "201112"], "month", "2010-01-01"),
    "YYYY-MM": (["2010-01", "2010-02"], "month", "2010-01-01"),
    "years": (["2001", "2002", "2003"], "year", "2001-01-01"),
    "all the first of January": (["2001-01-01", "2002-01-01", "2003-01-01"], "year", "2001-01-01"),
    "day first, since 25 is no month": (["25/01/2010", "01/02/2010", "03/03/2010"], "month", "2010-01-01"),
    "month first, since 25 is no month": (["01/25/2010", "02/01/2010"], "month", "2010-01-01"),
    "2000M01": (["2000M01", "2000M12"], "month", "2000-01-01"),
}


@pytest.mark.parametrize("case", FORMS)
def test_a_way_to_write_dates_is_read(tmp_path: Path, case: str) -> None:
    dates, grain, first = FORMS[case]
    profile, _ = understood(tmp_path, series(dates))
    assert (profile.roles.time.grain, profile.first) == (grain, first)


@pytest.mark.parametrize("months", ["1,2,3", "jan,FEB,Mar", "January,February,March"])
def test_year_and_month_columns_are_read_together(tmp_path: Path, months: str) -> None:
    text = "year,month,make,units\n" + "".join(f"2001,{m},{b},5\n" for m in months.split(",") for b in "AB")
    profile, _ = understood(tmp_path, text)
    assert profile.roles.time.columns == ["year", "month"]
    assert (profile.first, profile.last) == ("2001-01-01", "2001-03-01")


def test_an_ambiguous_date_is_read_month_first_and_said(tmp_path: Path) -> None:
    profile, _ = understood(tmp_path, series(["01/02/2010", "03/04/2010", "05/06/2010"]))
    assert "“date” is read as month/day/year: no value tells which" in profile.roles.assumptions


KINDS = {
    "units": "flow", "sales_usd": "flow", "net_generation": "flow", "price": "intensive", "sale_price": "intensive",
    "unemployment_rate": "intensive", "population": "stock", "score": "intensive", "temperature": "intensive",
    "thing": "intensive",
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_what_may_be_summed_is_told_by_the_measure(tmp_path: Path, name: str) -> None:
    profile, _ = understood(tmp_path, series([f"200{i}" for i in range(8)], f"year,brand,{name}"))
    assert profile.roles.measure.kind == KINDS[name]


UNITS = {"sales_usd": "USD", "output (t)": "t", "Volume [hl]": "hl", "north_kt": "kt", "units": "units", "amount": ""}


@pytest.mark.parametrize(("header", "unit"), UNITS.items())
def test_the_unit_is_taken_from_the_header_or_not_at_all(tmp_path: Path, header: str, unit: str) -> None:
    profile, _ = understood(tmp_path, series(["2001", "2002"], f"year,brand,{header}"))
    assert profile.roles.measure.unit == unit


def test_missing_codes_are_missing_in_text_and_number_columns(tmp_path: Path) -> None:
    text = "year,make,units\n" + "".join(
        f"{y},{m},{v}\n" for y in range(2001, 2010) for m, v in [("A", 1), ("NA", 2), ("B", "N/A")]
    )
    profile, _ = understood(tmp_path, text)
    assert profile.roles.entity is not None
    with opened(tmp_path / "data.parquet") as engine:
        rows = engine.rows(f"{profile.cells_sql} SELECT DISTINCT entity, value FROM cells ORDER BY ALL")
    assert rows == [{"entity": "A", "value": 1.0}, {"entity": None, "value": 2.0}]


def test_na_beside_other_country_codes_is_namibia(tmp_path: Path) -> None:
    text = "year,country,exports\n" + "".join(
        f"{y},{c},5\n" for y in (2001, 2002) for c in ("NO", "SE", "DK", "FI", "IS", "NA")
    )
    profile, _ = understood(tmp_path, text)
    with opened(tmp_path / "data.parquet") as engine:
        assert engine.value(f"{profile.cells_sql} SELECT count(DISTINCT entity) FROM cells") == 6


def test_a_total_among_the_parts_is_found_by_its_values(tmp_path: Path) -> None:
    rows = [
        (y, n, v) for y in range(2001, 2006) for n, v in [("oil", y), ("gas", 7), ("wind", 1), ("Everything", y + 8)]
    ]
    profile, _ = understood(tmp_path, "year,fuel,production\n" + "".join(f"{y},{n},{v}\n" for y, n, v in rows))
    assert profile.roles.entity is not None
    assert profile.roles.entity.totals == ["Everything"]


def test_a_given_share_is_known_by_its_sum_and_not_measured(tmp_path: Path) -> None:
    rows = "".join(f"{y},A,30,60.0\n{y},B,20,40.0\n" for y in range(2001, 2006))
    profile, _ = understood(tmp_path, "year,make,units,portion\n" + rows)
    assert profile.roles.share == "portion"
    assert profile.roles.measure.column == "units"


def test_ids_are_neither_measured_nor_grouped(tmp_path: Path) -> None:
    rows = "".join(f"{1000 + i},{2001 + i // 10},{'AB'[i % 2]},{i},0{4000 + i}\n" for i in range(60))
    profile, _ = understood(tmp_path, "order_id,year,make,units,zip\n" + rows)
    assert {c.column: c.role for c in profile.roles.columns} == {
        "order_id": "id", "year": "time", "make": "competitor", "units": "measure (flow)", "zip": "id",
    }  # fmt: skip


def test_a_last_year_with_fewer_months_is_not_complete(tmp_path: Path) -> None:
    young = "".join(f"2023,{month},{make},50\n" for month in (1, 2) for make in ("Alpha", "Beta", "Gamma"))
    profile, _ = understood(tmp_path, market_csv(young))
    assert profile.frames == ["2019-01-01", "2020-01-01", "2021-01-01", "2022-01-01"]
    assert profile.partial_last is not None
    assert (profile.partial_last.year, profile.partial_last.periods, profile.partial_last.usual) == (2023, 2, 12)


def test_a_year_that_begins_late_is_not_complete(tmp_path: Path) -> None:
    profile, _ = understood(tmp_path, market_csv("2018,11,Alpha,50\n2018,12,Alpha,50\n"))
    assert profile.partial_first is not None
    assert profile.partial_first.year == 2018
    assert profile.frames[0] == "2019-01-01"


def test_eighteen_months_are_compared_by_month_not_as_two_years(tmp_path: Path) -> None:
    dates = [f"{2020 + i // 12}-{i % 12 + 1:02d}" for i in range(3, 21)]
    profile, _ = understood(tmp_path, series(dates))
    assert (profile.frame, len(profile.frames)) == ("month", 18)


def test_dates_in_the_wrong_century_are_set_aside_and_counted(tmp_path: Path) -> None:
    profile, window = understood(tmp_path, market_csv("2068,1,Alpha,50\n2069,1,Alpha,50\n"))
    assert window.aside == {"dates in 2068 to 2069": 2}
    assert profile.last == "2022-12-01"


def test_a_thin_last_year_without_months_is_doubtful(tmp_path: Path) -> None:
    rows = "".join(f"{y},{b},50\n" for y in range(2001, 2010) for b in "ABCDE") + "2010,A,50\n"
    profile, _ = understood(tmp_path, "year,brand,units\n" + rows)
    assert profile.partial_last is not None
    assert profile.partial_last.year == 2010


def test_columns_side_by_side_are_made_rows_and_their_total_is_found(tmp_path: Path) -> None:
    rows = "".join(f"{y},{100 + y % 7},{50 + y % 3},{150 + y % 7 + y % 3}\n" for y in range(2001, 2011))
    profile, _ = understood(tmp_path, "year,north_kt,south_kt,total_kt\n" + rows)
    assert profile.roles.fold == ["north_kt", "south_kt", "total_kt"]
    assert profile.roles.entity is not None
    assert profile.roles.entity.totals == ["total"]
    assert profile.roles.measure.unit == "kt"


def test_years_in_the_headers_become_the_time(tmp_path: Path) -> None:
    text = "country,2001,2002,2003\nNorway,10,20,30\nSweden,1,2,3\n"
    profile, _ = understood(tmp_path, text, "exports.csv")
    assert (profile.roles.time.columns, profile.roles.measure.column) == (["year"], "exports")
    assert (profile.first, profile.last, profile.roles.measure.kind) == ("2001-01-01", "2003-01-01", "flow")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "make,units\nA,1\nB,2\n",
            "data.csv has no time column among make, units; add one with dates, months, quarters or years",
        ),
        (
            "year,make\n2001,A\n2002,B\n",
            "data.csv has no numeric column to measure among year, make; add one such as units or sales",
        ),
    ],
)
def test_without_time_or_number_the_sentence_names_the_columns(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadInput) as raised:
        understood(tmp_path, text)
    assert str(raised.value) == sentence


def test_names_that_look_like_sql_or_markup_are_only_names(tmp_path: Path) -> None:
    header = '"ye""ar; --","<b>make</b>{x}","units\'s"'
    profile, _ = understood(tmp_path, series(["2001", "2002", "2003"], header))
    assert profile.roles.entity is not None
    assert profile.roles.entity.column == "<b>make</b>{x}"


def test_years_are_never_measured(tmp_path: Path) -> None:
    rows = [(2000 + i, 2001 + i + j, (i - j) * 1.5) for i in range(12) for j in range(3)]
    text = "budgetYear,forecastYear,value\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows)
    profile, _ = understood(tmp_path, text)
    assert profile.roles.measure.column == "value"
    assert {one.column: one.role for one in profile.roles.columns}["forecastYear"] == "other time"
    with pytest.raises(BadInput, match="no numeric column to measure"):
        understood(
            tmp_path, "name,start,end\n" + "".join(f"n{i % 3},{1600 + i},{1610 + i}\n" for i in range(30)), "b.csv"
        )


@pytest.mark.parametrize(
    ("columns", "measured", "unit"),
    [
        ("Cost Other,Cost Repair,Cost Total $", "Cost Total $", "dollars"),
        ("open,high,low,close", "close", ""),
        ("units,total", "units", "units"),
        ("pop,fertility", "pop", ""),
    ],
)
def test_of_several_measures_the_main_one_is_taken(tmp_path: Path, columns: str, measured: str, unit: str) -> None:
    rows = [
        (y, b, [y * k % 17 + 0.5 for k in range(3, 4 + columns.count(","))]) for y in range(2010, 2022) for b in "ABC"
    ]
    lines = (f"{y}-01-01,{b},{','.join(map(str, values))}\n" for y, b, values in rows)
    text = f"date,maker,{columns}\n" + "".join(lines)
    measure = understood(tmp_path, text)[0].roles.measure
    assert (measure.column, measure.unit) == (measured, unit)


def test_a_code_that_names_something_is_shown_with_what_it_names(tmp_path: Path) -> None:
    text = "year,sex,people\n" + "".join(f"{y},{s},{1000 + y + s}\n" for y in range(2000, 2012) for s in (1, 2))
    profile, _ = understood(tmp_path, text)
    assert profile.roles.entity
    with opened(tmp_path / "data.parquet") as engine:
        found = engine.rows(f"SELECT DISTINCT {profile.roles.entity.sql} AS name FROM data ORDER BY 1")
    assert [row["name"] for row in found] == ["sex 1", "sex 2"]


@pytest.mark.parametrize("measure", ["units", "price"])
def test_the_order_of_rows_changes_no_bit_of_a_sum_or_a_mean(tmp_path: Path, measure: str) -> None:
    rows = [f"2024-{1 + i % 9:02d}-01,{'AB'[i % 2]},{(i * 7919) % 1000 / 7 + 0.01:.3f}\n" for i in range(5000)]
    found = []
    for name, ordered in (("there", rows), ("back", rows[::-1])):
        (tmp_path / name).mkdir()
        understood(tmp_path / name, f"date,brand,{measure}\n" + "".join(ordered))
        with opened(tmp_path / name / "cells.parquet") as engine:
            found.append(engine.rows("SELECT * FROM data ORDER BY period, entity"))
    assert len(found[0]) == 18
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("goal", "columns", "measured"),
    [
        ("Market research report on the S&P 500", "SP500,Dividend,Earnings", "SP500"),
        ("Report on our SaaS subscribers", "subscribers,new,churned,mrr_usd", "subscribers"),
        ("Market research report on new cars", "market,units", "units"),
        ("Prices of milk", "units,price", "units"),
    ],
)
def test_a_column_that_the_goal_names_is_measured(tmp_path: Path, goal: str, columns: str, measured: str) -> None:
    cells = [f"{y * k % 17 + 0.5}" for y in range(2010, 2022) for k in range(3, 4 + columns.count(","))]
    many = 1 + columns.count(",")
    rows = (f"{2010 + i}-01-01,{','.join(cells[i * many : (i + 1) * many])}\n" for i in range(12))
    parquet = tmp_path / "data.parquet"
    collected = collect([write(tmp_path / "file.csv", f"date,{columns}\n" + "".join(rows))], parquet)
    with opened(parquet, write=[tmp_path]) as engine:
        profile, _ = understand(engine, collected, tmp_path / "cells.parquet", goal=goal)
    assert profile.roles.measure.column == measured


def test_a_region_is_one_in_other_languages(tmp_path: Path) -> None:
    text = "Trimestre;Région;Ventes (EUR)\n" + "".join(
        f"{y}-Q{q};{r};{1000 + y + q},50\n"
        for y in range(2020, 2024)
        for q in range(1, 5)
        for r in ("Bretagne", "Corse")
    )
    profile, _ = understood(tmp_path, text)
    assert profile.roles.entity
    assert (profile.roles.entity.noun, profile.roles.entity.plural) == ("region", "regions")
