"""Writes examples/sample/market.csv: synthetic sales of twelve invented makers, the same bytes in every run.

Standard library only.  The data have what a report should find: slow growth, a season, one dip, one maker that enters,
one that leaves, one that gains share, one that loses it, and a last year that has only just begun.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

SEED = 20240229
FIRST_YEAR, LAST_YEAR, LAST_MONTH = 2008, 2025, 2
NOTE = (
    "# Synthetic data, made by examples/make_sample.py: the makers do not exist and nothing follows for any real"
    " market."
)
HEADER = "month,maker,region,units"
SEASON = (0.86, 0.88, 1.14, 1.05, 1.06, 1.04, 0.92, 0.90, 1.08, 1.05, 1.00, 1.02)
REGIONS = (("North", 0.42), ("South", 0.58))
DIP = {2009: 0.84, 2010: 0.90, 2011: 0.96, 2020: 0.91}
# base units a month, growth a year
MAKERS = {
    "Maker A": (2400, 0.004), "Maker B": (2100, -0.028), "Maker C": (1500, 0.052), "Maker D": (1250, 0.012),
    "Maker E": (1000, 0.006), "Maker F": (820, -0.010), "Maker G": (640, 0.018), "Maker H": (520, 0.030),
    "Maker I": (400, -0.035), "Maker J": (310, 0.010), "Maker K": (260, -0.060), "Maker L": (120, 0.210),
}  # fmt: skip
ENTERS = {"Maker L": (2016, 4)}
LEAVES = {"Maker K": (2019, 9)}


def rows(seed: int = SEED) -> Iterator[str]:
    """The lines of the file, without line ends."""
    source = random.Random(seed)  # noqa: S311  not a secret
    yield NOTE
    yield HEADER
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        for month in range(1, (LAST_MONTH if year == LAST_YEAR else 12) + 1):
            for maker, (base, growth) in MAKERS.items():
                if (year, month) < ENTERS.get(maker, (0, 0)) or (year, month) > LEAVES.get(maker, (9999, 0)):
                    continue
                age = year - ENTERS.get(maker, (FIRST_YEAR, 1))[0] + (month - 1) / 12
                level = base * (1 + growth) ** age * SEASON[month - 1] * DIP.get(year, 1.0)
                for region, part in REGIONS:
                    noise = 0.93 + 0.14 * source.random()
                    yield f"{year}-{month:02d},{maker},{region},{round(level * part * noise)}"


def write(path: Path) -> None:
    """Writes the file with line feeds on every system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(("\n".join(rows()) + "\n").encode())


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "sample" / "market.csv"
    write(target)
    print(f"{target}: {target.stat().st_size:,} bytes")
