"""A column that says in which unit each row's measure is: a currency (EUR, SEK, €) or a unit (kg, t) beside the number.

With one value it is the unit.  With several the numbers are not of one kind and are never added: only rows of one are
used, of the most frequent one unless somebody says otherwise.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.nodes.data import names
from holdfast.nodes.data.columns import Column
from holdfast.nodes.data.engine import Engine, literal
from holdfast.nodes.data.models import Scope
from holdfast.nodes.data.questions import Inquiry

MOST_UNITS = 40
_CURRENCIES = set(
    re.findall(
        r"\w+",
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD "
        "CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ "
        "GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP "
        "LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB "
        "PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP "
        "SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW "
        "ZWL ",
    )
)
_WORDS = {"ALL", "TOP", "TRY", "COP", "MOP", "SOS", "MAD", "BAM", "GIP", "NAD", "LAK"}  # codes that may be words
_SIGNS = {"€": "EUR", "£": "GBP", "$": "dollars", "¥": "¥", "us$": "USD", "kr": "kr", "zł": "PLN", "₹": "INR"}
_MEASURED = {
    "kg": "kg", "g": "g", "t": "t", "mt": "Mt", "kt": "kt", "lb": "lb", "lbs": "lb", "oz": "oz", "tonne": "tonnes",
    "tonnes": "tonnes", "ton": "tons", "tons": "tons", "l": "l", "litre": "litres", "litres": "litres",
    "liter": "liters", "liters": "liters", "ml": "ml", "hl": "hl", "m3": "m³", "m³": "m³", "gal": "gallons",
    "gallon": "gallons", "gallons": "gallons", "kwh": "kWh", "mwh": "MWh", "gwh": "GWh", "twh": "TWh", "km": "km",
    "kilogram": "kg", "kilograms": "kg",
}  # fmt: skip
_PIECES = {"pcs": "pieces", "pc": "pieces", "pieces": "pieces", "piece": "pieces", "units": "units",
           "unit": "units", "stk": "pieces", "st": "pieces", "each": "pieces", "ea": "pieces", "box": "boxes",
           "boxes": "boxes"}  # fmt: skip
_CURRENCY_HEADERS = {"currency", "curr", "ccy", "cur", "valuta", "währung", "devise", "moneda", "monnaie", "waluta"}
_UNIT_HEADERS = {"unit", "units", "uom", "einheit", "enhet", "enhed", "unité", "unidad"}


@dataclass(frozen=True, slots=True)
class UnitColumn:
    """``units`` maps each unit, the most frequent first, to how the cells write it."""

    column: Column
    units: dict[str, list[str]]
    money: bool

    @property
    def kind(self) -> str:
        """What its values are called."""
        return "currency" if self.money else "unit"

    @property
    def one(self) -> str:
        """The unit of all rows; empty if there are several."""
        return next(iter(self.units)) if len(self.units) == 1 else ""


def find_unit(engine: Engine, columns: Sequence[Column]) -> UnitColumn | None:
    """The column all of whose values are currencies or units, if there is one; its header counts, its values decide."""
    for column in columns:
        if column.numeric or not 1 <= column.distinct <= MOST_UNITS or not _canonical(column.example, column.name):
            continue
        rows = engine.rows(
            f"SELECT {column.text} AS v, count(*) AS n FROM data WHERE {column.text} IS NOT NULL GROUP BY 1 ORDER BY 1"
        )
        counts: Counter[str] = Counter()
        cells: dict[str, list[str]] = {}
        for row in rows:
            unit = _canonical(row["v"], column.name)
            counts[unit] += row["n"]
            cells.setdefault(unit, []).append(row["v"])
        if "" in counts:
            continue
        ordered = sorted(counts, key=lambda unit: (-counts[unit], unit))
        money = all(unit in _CURRENCIES or unit in _SIGNS.values() for unit in ordered)
        return UnitColumn(column, {unit: cells[unit] for unit in ordered}, money)
    return None


def _canonical(cell: str, header: str) -> str:
    """The unit that a cell names; empty if it names none."""
    said = set(names.words(header))
    if said & _CURRENCY_HEADERS and cell.upper() in _CURRENCIES:
        return cell.upper()
    if cell in _CURRENCIES - _WORDS:
        return cell
    known = _SIGNS | _MEASURED | (_PIECES if said & _UNIT_HEADERS else {})
    return known.get(cell.casefold(), "")


def measured_in(found: UnitColumn, measure: str) -> bool:
    """Whether the column speaks of this measure: its header states no unit of its own, and pieces are no money."""
    return not names.unit_of(measure) and not (found.money and names.counts_pieces(measure))


def choose(found: UnitColumn, asked: Inquiry) -> str:
    """Which of several units the report is in."""
    units = list(found.units)
    prompt = (
        f"“{found.column.name}” holds {' and '.join(units[:4])}{' and others' if len(units) > 4 else ''}, which cannot"
        f" be added. Which {found.kind} is the report to be in?"
    )
    return asked.choose(
        "currency", prompt, units, f"the report is in {{}}, one of {len(units)} in “{found.column.name}”"
    )


def where(found: UnitColumn, unit: str) -> str:
    """SQL of the condition."""
    return f"{found.column.text} IN ({', '.join(map(literal, found.units[unit]))})"


def scope_of(found: UnitColumn, unit: str, rows: int, of: int) -> Scope:
    """What is told of the choice."""
    others = [other for other in found.units if other != unit]
    return Scope(column=found.column.name, values=[unit], filtered=True, rows=rows, of=of, others=others)
