"""A small synthetic market for demonstrations: no data file has to be installed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

NOTE = "# Synthetic data, made by holdfast demo: the makers do not exist and nothing follows for any real market."
SEED = 7
YEARS = range(2019, 2025)
SEASON = (0.86, 0.88, 1.14, 1.05, 1.06, 1.04, 0.92, 0.90, 1.08, 1.05, 1.00, 1.02)
MAKERS = {  # units a month, growth a year
    "Maker A": (2400, 0.00), "Maker B": (2100, -0.04), "Maker C": (1500, 0.06),
    "Maker D": (900, 0.01), "Maker E": (400, -0.02), "Maker F": (150, 0.25),
}  # fmt: skip


def rows() -> Iterator[str]:
    """The file's lines, the same in every run."""
    chance = random.Random(SEED)  # noqa: S311  not a secret
    yield NOTE
    yield "month,maker,units"
    for year in YEARS:
        for month, season in enumerate(SEASON, 1):
            for maker, (base, growth) in MAKERS.items():
                age = year - YEARS[0] + (month - 1) / 12
                units = base * (1 + growth) ** age * season * chance.uniform(0.95, 1.05)
                yield f"{year}-{month:02d},{maker},{round(units)}"


def write(path: Path) -> None:
    """Writes the file."""
    path.write_bytes(("\n".join(rows()) + "\n").encode())
