"""Value derived from a price and the units beside it, row by row: marked as derived, and never a sum of prices."""

from __future__ import annotations

from typing import Any

from holdfast.nodes.market import formulas, words
from holdfast.nodes.market.findings import Findings, Row
from holdfast.nodes.report.document import Fact

LEAST_PRICED = 0.95  # of the units; below that the value of the rest would be guessed
MOST_ROWS = 20
QUERY = (
    "SELECT CAST(date_trunc('{frame}', period) AS DATE) AS frame, sum(worth) AS worth, sum(priced) AS priced,"
    " sum(value) AS units FROM cells GROUP BY 1 ORDER BY 1"
)


def write(found: Findings) -> None:
    """Heading, sentences and table; nothing where the file has no price beside its units."""
    profile, price = found.profile, found.profile.roles.price
    if price is None or profile.roles.measure.kind != "flow":
        return
    complete = set(profile.frames)
    rows = [row for row in found.rows("worth", frame=profile.frame) if row["frame"] in complete]
    if not rows:
        return
    units, name = words.quoted(profile.roles.measure.column), words.quoted(price.column)
    found.heading(f"Derived: {units} × {name}")
    least = min(row["priced"] / row["units"] if row["units"] else 0.0 for row in rows)
    if least < LEAST_PRICED:
        share = found.percent("priced", 100 * least, "worth", "the least of the periods")
        found.say(
            f"In one {profile.frame} only {{share}} of {units} have a price, so no value is derived.", share=share
        )
        return
    _sentences(found, rows, price.unit)
    _table(found, rows)


def _worth(found: Findings, row: Row, unit: str, *, exactly: bool = False) -> Fact:
    text = words.exact(row["worth"], False) if exactly else words.amount(row["worth"], False)
    key = f"worth_exact_{row['frame']}" if exactly else f"worth_{row['frame']}"
    return found.fact(key, row["worth"], "number", _with_unit(text, "" if exactly else unit), "worth", "derived", unit)


def _price(found: Findings, row: Row, unit: str = "") -> Fact:
    mean = row["worth"] / row["priced"]
    text = _with_unit(words.number(mean, 2), unit)
    key = f"mean_price_{row['frame']}" + ("_unit" if unit else "")
    return found.fact(key, mean, "number", text, "worth", "sum of units × price / units that have a price", unit)


def _with_unit(text: str, unit: str) -> str:
    return f"{text}{words.NBSP}{unit}" if unit else text


def _sentences(found: Findings, rows: list[Row], unit: str) -> None:
    profile, last = found.profile, rows[-1]
    units, price = words.quoted(profile.roles.measure.column), words.quoted(profile.roles.price.column)  # type: ignore[union-attr]
    when = words.period(last["frame"], profile.frame)
    facts: dict[str, Any] = {"worth": _worth(found, last, unit), "price": _price(found, last, unit)}
    first = f"{units} times {price}, row by row, came to {{worth}} in {when}"
    second = f"The mean of {price}, weighted by {units}, was {{price}}"
    if len(rows) > 1:
        before = rows[-2]
        year = words.period(before["frame"], profile.frame)
        for key, new, old in (
            ("worth", last["worth"], before["worth"]),
            ("price", last["worth"] / last["priced"], before["worth"] / before["priced"]),
        ):
            change = formulas.change_percent(new, old)
            if change is None:
                continue
            facts[f"{key}_change"] = found.percent(f"{key}_change", abs(change), "worth", "without its sign")
            than = words.than(change, f"in {year}").replace("{change}", f"{{{key}_change}}")
            if key == "worth":
                first += f", {than}"
            else:
                second += f", {than}"
    found.say(f"{first}. {second}. Both are derived; the file does not hold them.", **facts)


def _table(found: Findings, rows: list[Row]) -> None:
    frame = found.profile.frame
    lines: list[list[str]] = []
    before: Row | None = None
    for row in rows:
        change = formulas.change_percent(row["worth"], before["worth"]) if before else None
        key = f"worth_change_{row['frame']}"
        on = "n/a" if change is None else found.percent(key, change, "worth", plus=True).text
        when = words.period(row["frame"], frame)
        lines.append([when, _worth(found, row, "", exactly=True).text, on, _price(found, row).text])
        before = row
    columns = [
        frame.capitalize(),
        "Value, derived",
        f"On {words.before(frame, found.profile.step)}",
        "Mean price, weighted",
    ]
    found.table(f"Derived value and mean price per complete {frame}", columns, lines[-MOST_ROWS:], "worth")
