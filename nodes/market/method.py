"""The task type ``method``: by whom, from what, with which roles, assumptions, formulas and thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.nodes.context import TaskContext
from holdfast.nodes.data.engine import MADE_WITH
from holdfast.nodes.data.models import Profile
from holdfast.nodes.market import backtest, confidence, scope_words, words
from holdfast.nodes.market import formulas as formulas_of
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
            " classical decomposition; from 0.64 strong, from 0.3 moderate†; stock is timed from 10 points of"
            " the index between highest and lowest on†; at least three full years;"
            " with values of zero or below differences take the place of logarithms"
        ),
    ),
    (
        "Entry and exit",
        (
            "none in the first complete period and at least 0.1 % in the last†, and the reverse; last seen: none for"
            " three of its usual periods†, in the summary from 1 % of one of the last two complete periods on†"
        ),
    ),
    (
        "Order of the advice",
        (
            "what is at stake in percent of the whole (points of share, the share of the leader) times the confidence"
            " (1, ⅔ or ⅓)†; advice on the file itself last, on a panel that has to be mended first"
        ),
    ),
    (
        "Limits of our own†",
        (
            "no concentration is told if more than 20 % of the amount names nobody; growth is told like for like too if"
            " a tenth more sites report; a year below a tenth of the usual rows is thin; a period below half of the"
            " rows or of the amount before it is doubted"
        ),
    ),
    (
        "Change of level",
        (
            "median of the next 12 months less median of the last 12 (8 quarters, 5 years), of seasonally adjusted"
            " logarithms, less the drift of the median slope (Theil 1950, Sen 1968); told from 4 robust standard"
            f" deviations and 10{words.NBSP}% on†, three at the most; its size is that of the medians as the file"
            " has them"
        ),
    ),
    (
        "Far from trend and season",
        "modified z-score (R − median) / (1.483 × median absolute deviation), beyond 3.5 (Iglewicz and Hoaglin 1993)",
    ),
    (
        "Forecast",
        (
            "seven methods from the last value to exponential smoothing (Hyndman and Athanasopoulos 2021), tested from"
            f" {backtest.MIN_ORIGINS} to {backtest.MOST_ORIGINS} points in the past†, each knowing only what came"
            f" before it, of the latest {backtest.MOST_VALUES} periods†; up to 12 months or 2 years and a quarter of"
            f" the history ahead; the simplest within 5{words.NBSP}% of the smallest error is taken†;"
            " where a method carries growth on, it carries half of the last year’s†"
        ),
    ),
    (
        "Error and band",
        (
            "wMAPE = sum of absolute errors / sum of absolute values; MASE = mean absolute error / mean absolute change"
            f" on the year before (Hyndman and Koehler 2006); the 80{words.NBSP}% band runs from the 10{words.NBSP}% to"
            f" the 90{words.NBSP}% quantile of past errors, of sums for a sum; where both lie on one side of no error,"
            " the forecast is shifted by the median of the past errors†, while wMAPE and MASE stay those of the method"
            " itself; written with three significant digits, or as many as tell the forecast from the ends of its"
            " band and from the past†"
        ),
    ),
    (
        "No forecast",
        (
            f"below 24 months or 8 years, above 30{words.NBSP}% of wMAPE, with a change of level in the last year (of"
            f" yearly figures the last three), with more than 10{words.NBSP}% of the periods missing†"
        ),
    ),
    (
        "Watch date",
        (
            "two neighbours among the six largest whose shares, on straight lines through the last five years (median"
            " slopes), change places within three years†"
        ),
    ),
]
FORMULAS_OF_LEVELS = [
    (
        "Change",
        (
            "last value / first value − 1, over each one’s own history and from the latest common start; of"
            " percentages, temperatures and scores the difference"
        ),
    ),
    (
        "Season of levels",
        (
            "as the difference (or ratio) of each value and the centred 2×12 mean, median per month, with its strength"
            " F = max(0, 1 − var(R) / var(S + R)) after Wang, Smith and Hyndman (2006); where the median strength is"
            f" {formulas_of.STRONG} or more, changes compare means of 12 months"
        ),
    ),
    (
        "Mean over parts",
        (
            "where a level is a mean (over the cities of a province), it is unweighted and over the parts that have a"
            " value in every period; where these are fewer than half†, over all, and no finding counts as complete"
        ),
    ),
    ("A year", "(last / first)^(12 / months) − 1"),
    ("Deepest fall", "lowest value against the highest before it (maximum drawdown)"),
    (
        "Limits of our own†",
        (
            "a fall is told from 20 % on, a difference in swings from one and a half times on; of more than 15 that go"
            " on those with the highest last values are compared, first those with half of the longest history"
        ),
    ),
    ("Volatility", "standard deviation of the changes from period to period × √(periods per year)"),
    (
        "Band",
        (
            f"the last value with the 10{words.NBSP}% and 90{words.NBSP}% quantiles of how values changed over the same"
            " time in at least eight past tests"
        ),
    ),
]


@task_type("method", pure=True, made_with=MADE_WITH)
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
        *_tests(inputs),
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


def _tests(inputs: Mapping[str, Any]) -> list[Block]:
    """What was tested of each finding, as the analyses tell it."""
    found = confidence.tests_in([value for value in inputs.values() if isinstance(value, dict)])
    if not found:
        return []
    rule = (
        f"A finding is of high confidence if the data are complete, cover more than {words.spelled(confidence.CYCLES)}"
        " cycles (years) and it holds when the start moves by one period; of medium confidence if one of these fails;"
        " of low confidence if more do or if it rests on an assumed role. What one period shows alone is compared with"
        f" the period before. A band that held less than {backtest.LEAST_COVERAGE:.0f}{words.NBSP}% of past values"
        f" counts as one more failure†, below {backtest.MOST_DOUBTED:.0f}{words.NBSP}% the confidence is low†. Two"
        " trends carried on are of medium confidence at the most†. Advice is no surer than the least sure finding it"
        " rests on."
    )
    rows = sorted(grounds.words for grounds in found.values())
    table = Table(
        caption="What was tested of each finding",
        columns=list(confidence.COLUMNS),
        numeric=[False, False, True, False, False, False],
        rows=rows,
    )
    return [Heading(text="Confidence"), Paragraph(spans=say("{rule}", rule=rule)), table]


def _formulas(profile: Profile) -> Bullets:
    formulas = FORMULAS_OF_LEVELS if profile.roles.measure.kind == "intensive" else FORMULAS_OF_AMOUNTS
    return Bullets(
        items=[Bullet(spans=say("**{name}:** {text}", name=name, text=f"{text}.")) for name, text in formulas]
    )
