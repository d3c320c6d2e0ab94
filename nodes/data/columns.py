"""Each column measured once: how full, how numeric, how many values, what a sample of its cells looks like."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.nodes.data import values
from holdfast.nodes.data.engine import Engine, literal

SAMPLE_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Column:
    """What is known of a column from its values alone; ``form`` is set if they are numbers."""

    name: str
    rows: int
    filled: int
    distinct: int
    sample: tuple[str, ...]  # non-missing cells, in file order
    missing: tuple[str, ...]  # codes that mean "not stated" here
    form: str | None = None
    numbers: int = 0
    whole: bool = False
    low: float = 0.0
    high: float = 0.0
    low_tenth: float = 0.0
    high_tenth: float = 0.0
    negatives: int = 0
    zeros: int = 0
    adds_up: bool = False  # its parts were seen to add up to a total, so it may be summed

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers, apart from missing codes and few exceptions."""
        return self.form is not None and self.numbers > 0

    @property
    def text(self) -> str:
        """SQL of the cell's text, NULL where missing."""
        return values.text_sql(self.name, self.missing)

    @property
    def number(self) -> str:
        """SQL of the cell's number."""
        return values.number_sql(self.name, self.form or "plain")

    @property
    def example(self) -> str:
        """A cell to show."""
        return self.sample[0] if self.sample else ""

    @property
    def places(self) -> int:
        """Decimals that its cells have, two at the most; three where all values are small."""
        return min(
            values.decimals(self.sample, self.form or "plain"), 3 if max(abs(self.low), abs(self.high)) < 10 else 2
        )

    @property
    def coded(self) -> bool:
        """Digits that are a code, such as ``00123``."""
        return any(len(cell) > 1 and cell[0] == "0" and cell.isdigit() for cell in self.sample)


def measure_columns(engine: Engine, names: list[str], rows: int, stated: str = "") -> list[Column]:
    """Every column of the table ``data``, in its order; in ``stated`` no cell is missing, whatever it says."""
    step = max(rows // SAMPLE_ROWS, 1)
    sampled = engine.rows(
        f"SELECT * EXCLUDE (row_id) FROM (SELECT *, row_number() OVER () AS row_id FROM data) WHERE row_id % {step} = 1"
        if step > 1
        else "SELECT * FROM data"
    )
    return [
        _measured(engine, name, rows, [row[name] for row in sampled[: 2 * SAMPLE_ROWS]], coded=name != stated)
        for name in names
    ]


def _measured(engine: Engine, name: str, rows: int, cells: list[str | None], *, coded: bool) -> Column:
    stated = [cell.strip() for cell in cells if cell is not None]
    codes = _occurring(engine, name, values.missing_codes(stated)) if coded else ()
    sample = tuple(cell for cell in stated if cell and cell.lower() not in codes)
    form = values.number_form(sample)
    found = engine.row(_statistics(name, codes, form))
    if not form or not found["numbers"]:
        return Column(name, rows, found["filled"], found["distinct_values"], sample, codes)
    return Column(
        name,
        rows,
        found["filled"],
        found["distinct_values"],
        sample,
        codes,
        form,
        numbers=found["numbers"],
        whole=found["wholes"] == found["numbers"],
        low=found["low"],
        high=found["high"],
        low_tenth=found["low_tenth"],
        high_tenth=found["high_tenth"],
        negatives=found["negatives"],
        zeros=found["zeros"],
    )


def _occurring(engine: Engine, name: str, codes: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the codes that the column holds, so that its SQL names no others."""
    text = f"lower({values.text_sql(name)})"
    listed = ", ".join(literal(code) for code in codes)
    return tuple(
        row["code"]
        for row in engine.rows(f"SELECT DISTINCT {text} AS code FROM data WHERE {text} IN ({listed}) ORDER BY 1")
    )


def _statistics(name: str, codes: tuple[str, ...], form: str | None) -> str:
    text = values.text_sql(name, codes)
    if not form:
        return (
            f"SELECT count(t) AS filled, approx_count_distinct(t) AS distinct_values, 0 AS numbers FROM (SELECT {text}"
            " AS t FROM data)"
        )
    number = values.number_sql(name, form)
    return (
        "SELECT count(t) AS filled, approx_count_distinct(t) AS distinct_values, count(v) AS numbers, "
        "count_if(v = floor(v)) AS wholes, min(v) AS low, max(v) AS high, approx_quantile(v, 0.1) AS low_tenth, "
        "approx_quantile(v, 0.9) AS high_tenth, count_if(v < 0) AS negatives, count_if(v = 0) AS zeros FROM "
        f"(SELECT t, CASE WHEN isfinite(n) THEN n END AS v FROM (SELECT {text} AS t, {number} AS n FROM data))"
    )


def exact_distinct(engine: Engine, column: Column) -> int:
    """Number of different values, missing codes apart."""
    return int(engine.value(f"SELECT count(DISTINCT {column.text}) FROM data"))
