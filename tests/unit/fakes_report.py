"""A context whose effects are a folder, and a report of neutral makers with hostile names."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

from holdfast.nodes.context import Artifact, Record, TaskContext
from holdfast.nodes.report.document import (
    Bullet,
    Bullets,
    Fact,
    Figure,
    Heading,
    Note,
    Paragraph,
    Query,
    Section,
    Span,
    Table,
    say,
)

HOSTILE = "<script>alert('x')</script> \"q\" $1 #set @me *b* _i_ \\ | `c` [l](u) \u202eevil =1+1"


class FolderEffects:
    """Effects that keep everything in one folder and in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recorded: dict[str, Any] = {}
        self.handed_out: dict[str, Artifact] = {}
        self.history: list[dict[str, Any]] = []

    async def begin_step(self, name: str) -> None:
        pass

    async def end_step(self, name: str, value: Any) -> Any:
        self.recorded[name] = value
        return value

    async def store(self, data: bytes | Path) -> str:
        content = data if isinstance(data, bytes) else data.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        self.stored(sha256).write_bytes(content)
        return sha256

    def stored(self, sha256: str) -> Path:
        return self.folder / sha256

    async def artifact(self, name: str, data: bytes | Path, media_type: str | None) -> Artifact:
        sha256 = await self.store(data)
        path = self.folder / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.stored(sha256).read_bytes())
        size = path.stat().st_size
        self.handed_out[name] = Artifact(
            name=name, media_type=media_type or "", path=str(path), sha256=sha256, bytes=size
        )
        return self.handed_out[name]

    def progress(self, done: float, total: float) -> None:
        assert 0 <= done <= total

    async def messages(self) -> list[str]:
        return []

    async def record(self) -> Record:
        plan = [{"id": name, "name": name.title(), "type": "x", "state": "completed"} for name in ("read", "count")]
        return Record(plan=plan, answers={}, events=self.history)


def context(folder: Path, subtask: str = "compile") -> tuple[TaskContext, FolderEffects]:
    folder.mkdir(parents=True, exist_ok=True)
    effects = FolderEffects(folder)
    return TaskContext("task", subtask, 1, effects), effects


def bar_figure(name: str = "yearly", maker: str = "Maker A") -> Figure:
    rows = [[str(2011 + i), f"{90 + 7 * i - (20 if i == 3 else 0):.1f}"] for i in range(8)]
    values = [{"year": year, "units": float(units)} for year, units in rows]
    bar = {"mark": {"type": "bar", "width": {"band": 0.62}}, "encoding": {"y": {"field": "units", "axis": None}}}
    label = {"mark": {"type": "text", "dy": -8, "fontWeight": 600}, "encoding": {"text": {"field": "units"}}}
    label["encoding"]["y"] = {"field": "units"}  # type: ignore[index]
    for layer in (bar, label):
        layer["encoding"]["y"] = {"type": "quantitative", **layer["encoding"]["y"]}  # type: ignore[index]
    return Figure(
        name=name,
        title=f"{maker} led in each of eight years",
        subtitle="Units in thousands per year, complete years only, 2011 to 2018.",
        alt=f"Bars of units per year from 2011 to 2018: {maker} began at 90.0 and ended at 139.0 thousand.",
        spec={
            "data": {"values": values},
            "encoding": {"x": {"field": "year", "type": "ordinal", "axis": {"labelAngle": 0, "title": None}}},
            "layer": [bar, label],
        },
        data=Table(caption="Units per year", columns=["Year", "Units, thousands"], numeric=[False, True], rows=rows),
        query="q01_yearly",
    )


def line_figure(name: str = "monthly") -> Figure:
    months = [f"{2011 + i // 12}-{i % 12 + 1:02d}-01" for i in range(96)]
    numbers = [round(9000 + 900 * math.sin(i / 2) + 30 * i) for i in range(96)]
    rows = [[month[:7], f"{n:,}"] for month, n in zip(months, numbers, strict=True)]
    return Figure(
        name=name,
        title="The level rose slowly through all eight years, with a swing of a tenth to either side of the trend",
        subtitle="Units per month, January 2011 to December 2018. The axis does not start at zero.",
        alt="Line of units per month from January 2011 to December 2018, rising from 9,000 to 11,850.",
        spec={
            "data": {"values": [{"month": m, "units": n} for m, n in zip(months, numbers, strict=True)]},
            "mark": {"type": "line", "strokeWidth": 1.5, "clip": True},
            "encoding": {
                "x": {"field": "month", "type": "temporal", "axis": {"title": None, "format": "%Y"}},
                "y": {
                    "field": "units",
                    "type": "quantitative",
                    "scale": {"zero": False},
                    "axis": {"title": None, "tickCount": 4},
                },
            },
        },
        data=Table(caption="Units per month", columns=["Month", "Units"], numeric=[False, True], rows=rows),
        query="q02_monthly",
    )


def sections(maker: str = "Maker A") -> list[Section]:
    """A small report with every kind of block; ``maker`` is the name that a data file would bring."""
    total = Fact(id="total_2018", value=139000, kind="count", text="139,000", unit="units", query="q01_yearly")
    growth = Fact(id="growth", value=6.4, kind="percent", text="6.4 %", query="q01_yearly", note="CAGR 2011–2018")
    share = Fact(id="share", value=17.2, kind="percent", text="17.2 %", query="q03_share")
    name = Fact(id="leader", value=maker, kind="text", text=maker, query="q03_share")
    levels: list[Any] = ["high", "high", "medium", "medium", "low"]
    lead = say(
        "**{total} units in 2018, the highest of the eight complete years.** That is {growth} a year since 2011. "
        "Plan on single-digit growth; the total hides larger moves between makers.",
        total=total,
        growth=growth,
    )
    second = say(
        "**{leader} led with {share}.** Compare yourself with the gainers, not the market.", leader=name, share=share
    )
    bullets = [Bullet(spans=lead if i % 2 == 0 else second, confidence=level) for i, level in enumerate(levels)]
    queries = [
        Query(id="q01_yearly", sql="select year, sum(units)\nfrom data\ngroup by 1\norder by 1", files=["ab" * 32]),
        Query(id="q02_monthly", sql="select month, sum(units) from data group by 1 order by 1", files=["ab" * 32]),
        Query(
            id="q03_share", sql="select maker, sum(units) / 139000 from data where a < b group by 1", files=["ab" * 32]
        ),
    ]
    shares = Table(
        caption="The largest makers of 2018",
        columns=["Maker", "Units 2018", "Share, %", "Change since 2011, points", "On 2017, %"],
        numeric=[False, True, True, True, True],
        rows=[
            [maker if i == 0 else f"Maker {chr(65 + i)}", f"{26574 - 1800 * i:,}", f"{17.2 - i:.1f}", "−1.2", "0.9"]
            for i in range(10)
        ],
        query="q03_share",
    )
    quality = Table(
        caption="What was found in the data",
        columns=["Finding", "Extent", "What was done", "Effect"],
        numeric=[False] * 4,
        rows=[
            ["Maker is “NA”", "10 rows, 17 units", "kept in totals, shown as “not stated”", "0.001 % of units"],
            [
                "2019 has January only",
                "1 of 12 months",
                "left out of yearly figures",
                "without this, 2019 would read as a fall of nine tenths",
            ],
            ["=1+1 as a name", "1 row", "kept as text", "none"],
        ],
    )
    overview = say("Sales fell {growth} from 2013 to 2014. By 2018 they stood at {total}.", growth=growth, total=total)
    return [
        Section(
            id="executive_summary",
            title="Executive summary",
            blocks=[
                Bullets(items=bullets, numbered=True),
                Note(
                    title="What these data cannot tell",
                    spans=[Span(text="prices, revenue, owners, and why any of this happened.")],
                ),
            ],
            facts=[total, growth, share, name],
            queries=queries,
        ),
        Section(
            id="market_overview",
            title="Market overview",
            blocks=[Paragraph(spans=overview), bar_figure(maker=maker), line_figure()],
            facts=[total, growth],
            queries=queries,
        ),
        Section(
            id="competitor_analysis",
            title="Competitor analysis",
            blocks=[Paragraph(spans=second), Heading(text=f"How {maker} got there"), Paragraph(spans=overview), shares],
            facts=[total, growth, share, name],
            queries=queries,
        ),
        Section(
            id="recommendations",
            title="Recommendations",
            blocks=[
                Heading(text="Set targets on share, not on market growth"),
                Paragraph(spans=overview),
                Bullets(items=[Bullet(spans=second, confidence="high")]),
                Heading(text="Do not plan capacity around the season"),
                Paragraph(spans=overview),
            ],
            facts=[total, growth, share, name],
            queries=queries,
        ),
        Section(id="data_quality", title="Data quality", blocks=[quality]),
        Section(
            id="method",
            title="Method",
            blocks=[
                Paragraph(spans=[Span(text="Every figure has a query in evidence.json. No outside source was read.")])
            ],
        ),
    ]


def inputs(maker: str = "Maker A") -> dict[str, Any]:
    """Results as the dependencies of compile_report give them."""
    named = sections(maker)
    profile = {
        "sections": [section.model_dump(mode="json") for section in named if section.id in ("data_quality", "method")],
        "about": [
            ["Source", "units_by_maker.csv\n4,377 rows · sha256 abababababab…"],
            ["Unit", "“Units”, read as units\nassumed: the file names no unit"],
            ["Written by", "built-in rules, no AI\nno outside source was read"],
        ],
        "banner": "Synthetic data: made up to show the form of the report",
        "sources": [{"name": "units_by_maker.csv", "sha256": "ab" * 32, "rows": 4377, "bytes": 100_000}],
    }
    rest = {s.id: s.model_dump(mode="json") for s in named if s.id not in ("data_quality", "method")}
    return {"profile": profile, **rest}
