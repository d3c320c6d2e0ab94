"""Changes of level and single values far from the rest, as the trends section tells them: dates and sizes, no cause."""

from __future__ import annotations

from holdfast.nodes.market import breaks, formulas, words
from holdfast.nodes.market.breaks import WINDOW, Break
from holdfast.nodes.market.findings import Findings, say
from holdfast.nodes.market.series import Series
from holdfast.nodes.report.document import Fact, Span

MOST_NAMED = 6
RECENT = 5  # years in which a change of level speaks against planning with one figure; our own convention


def write_breaks(found: Findings, series: Series, query: str) -> list[str]:
    """The paragraph on changes of level; returns the dates of those in the last years, as written."""
    shifts = breaks.find_breaks(series)
    sentences = [_shift(found, series, shift, query) for shift in shifts]
    if sentences:
        sentences.append(say("The data name no cause."))
    elif breaks.can_be_seen(series):
        beside = "the trend" if series.per_year == 1 else "trend and season"
        sentences.append(say(f"No lasting change of level stands out from {beside}."))
    found.paragraph(sentences)
    late = len(series.values) - RECENT * series.per_year
    return [words.period(series.days[shift.at], series.grain) for shift in shifts if shift.at >= late]


def _shift(found: Findings, series: Series, shift: Break, query: str) -> list[Span]:
    w, grain, at = WINDOW[series.per_year], series.grain, shift.at
    when, whole = words.period(series.days[at], grain), found.profile.roles.measure.whole
    note = f"median of {w} {grain}s"
    before, after = (round(level) if whole else level for level in (shift.before, shift.after))
    facts: dict[str, Fact | str] = {
        "change": found.percent(
            f"break_{series.days[at]}", shift.change, query, f"breaks.find_breaks, {note}", bare=True
        ),
        "before": found.amount(f"level_before_{series.days[at]}", before, query, f"{note} before"),
        "after": found.amount(f"level_after_{series.days[at]}", after, query, f"{note} from then on"),
    }
    direction = "higher" if shift.change > 0 else "lower"
    seen = words.spelled(min(w, len(series.values) - at))
    return say(
        f"From {when} on the level was {{change}} {direction}: the median {grain} was {{before}} in the"
        f" {words.spelled(w)} {grain}s before and {{after}} in the {seen} from then on.",
        **facts,
    )


def write_outliers(found: Findings, series: Series, season: formulas.Season, query: str) -> None:
    """Single periods that trend and season do not explain, the farthest first; ``season`` is that of ``series``."""
    far = sorted(breaks.outliers(season), key=lambda one: (-abs(one.score), one.at))
    if not far:
        return
    parts, facts = [], dict[str, Fact | str]()
    for i, one in enumerate(far[:MOST_NAMED]):
        day = series.days[one.at]
        text = words.number(one.score, 1, plus=True)
        facts[f"z{i}"] = found.fact(f"outlier_{day}", one.score, "number", text, query, "modified z-score")
        parts.append(f"{words.period(day, series.grain)} ({{z{i}}})")
    count = (
        f"{words.spelled(len(far)).capitalize()} {series.grain}s lie" if len(far) > 1 else f"One {series.grain} lies"
    )
    among = "" if len(far) <= MOST_NAMED else f", the farthest {words.spelled(MOST_NAMED)} being"
    found.paragraph(
        [
            say(
                f"{count} far from trend and season{among or ':'} {words.listed(parts)}; the figure in brackets is the"
                f" modified z-score, beyond {breaks.OUTLIER} either way. {'They stay' if len(far) > 1 else 'It stays'}"
                " in every total.",
                **facts,
            )
        ]
    )
