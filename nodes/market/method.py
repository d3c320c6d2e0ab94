"""The task type ``method``: by whom, from what, with which roles, assumptions, formulas and thresholds."""

from __future__ import annotations

from typing import Any

from holdfast.nodes.context import TaskContext
from holdfast.nodes.data.models import Profile
from holdfast.nodes.market import scope_words, words
from holdfast.nodes.market.findings import profile_in, say
from holdfast.nodes.registry import NoParams, task_type
from holdfast.nodes.report.document import Block, Bullet, Bullets, Heading, Paragraph, Section, Table

FORMULAS_OF_AMOUNTS = [
    ("Growth", "new / old − 1; none from a base of zero or below"),
    (
        "CAGR",
        (
            "(last / first)^(1 / years) − 1 over complete periods; none from zero or below, or with fewer than three"
            " periods"
        ),
    ),
    ("Share change", "last share less first share, in percentage points"),
    (
        "HHI",
        (
            "sum of squared shares in percent, 0 to 10,000; words of the US Merger Guidelines 2023 (above 1,800 highly"
            " concentrated; the Department of Justice calls 1,000 to 1,800 moderately so)"
        ),
    ),
    ("CR4", "share of the four largest; none with fewer than five"),
    (
        "Season",
        (
            "logarithm of each value less that of the centred 2×12 mean; median per month, centred; index = 100·e^S;"
            " strength = max(0, 1 − var(R) / var(S + R)), in the form of Wang, Smith and Hyndman (2006), with a"
            " classical decomposition; from 0.64 strong, from 0.3 moderate†"
        ),
    ),
    ("Entry and exit", "none in the first complete period and at least 0.1 % in the last†, and the reverse"),
    (
        "Confidence",
        (
            "high if the data are complete, cover more than three periods and the finding holds when the start moves by"
            " one; medium if one of these fails, low if two do†"
        ),
    ),
]
FORMULAS_OF_LEVELS = [
    ("Change", "last value / first value − 1, over each one’s own history and from the latest common start"),
    ("A year", "(last / first)^(12 / months) − 1"),
    ("Deepest fall", "lowest value against the highest before it (maximum drawdown)"),
    ("Volatility", "standard deviation of the changes from period to period × √(periods per year)"),
]


@task_type("method")
async def method(params: NoParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """How the figures were made: engine, sources, roles of columns, assumptions, formulas."""
    profile = profile_in(inputs)
    blocks: list[Block] = [
        Paragraph(
            spans=say(
                "This report was written by the built-in engine: rules, no AI. No outside source was read; everything"
                " comes from the files named here. Every figure has its query in evidence.json, which returns it when"
                " run on the file."
            )
        ),
        _files(profile),
        Heading(text="Roles of the columns"),
        _roles(profile),
        *_assumptions(profile),
        Heading(text="Formulas"),
        _formulas(profile),
        Paragraph(spans=say("† Our own convention. Rounded parts need not add up to their total.")),
    ]
    return Section(id="method", title="Method", blocks=blocks).model_dump(mode="json")


def _files(profile: Profile) -> Table:
    rows = [
        [file.name, words.number(file.rows), str(len(file.columns)), words.number(file.bytes), file.sha256]
        for file in profile.files
    ]
    return Table(
        caption="Files read",
        columns=["File", "Rows", "Columns", "Bytes", "sha256"],
        numeric=[False, True, True, True, False],
        rows=rows,
    )


def _roles(profile: Profile) -> Table:
    rows = [[column.column, column.role, column.why, column.example] for column in profile.roles.columns]
    return Table(
        caption="What each column was taken for, and why",
        columns=["Column", "Role", "Why", "Example"],
        numeric=[False] * 4,
        rows=rows,
    )


def _assumptions(profile: Profile) -> list[Block]:
    texts = [f"assumed: {text}" for text in profile.roles.assumptions]
    texts += [f"answered when asked: {text}" for text in profile.roles.answered]
    texts += scope_words.in_method(profile)
    if not profile.roles.measure.unit:
        texts.append(
            f"assumed: the unit of {words.quoted(profile.roles.measure.column)} is not stated in the file; its name is"
            " used as it is"
        )
    if not texts:
        return []
    items = [Bullet(spans=say("{text}", text=text)) for text in texts]
    return [Heading(text="Assumptions and answers"), Bullets(items=items)]


def _formulas(profile: Profile) -> Bullets:
    formulas = FORMULAS_OF_LEVELS if profile.roles.measure.kind == "intensive" else FORMULAS_OF_AMOUNTS
    return Bullets(
        items=[Bullet(spans=say("**{name}:** {text}", name=name, text=f"{text}.")) for name, text in formulas]
    )
