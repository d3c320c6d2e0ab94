"""Figures in a text that a model wrote: each is matched by value and unit with a fact that was computed, or refused.

A figure matches when the fact rounds to it as it is written ("4.2%" states 4.187 percent, "1.36 million" 1,358,201),
has its unit and, where a sign is written, its sign.  A sentence that names somebody may not state another's figure.
What is said *about* a figure is not checked, nor are ranks in words ("the second largest").
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from holdfast.nodes.market import words
from holdfast.nodes.report.document import Fact, Span
from holdfast.nodes.report.text import clean

SCALES = {"thousand": 1e3, "k": 1e3, "million": 1e6, "mn": 1e6, "m": 1e6, "billion": 1e9, "bn": 1e9, "trillion": 1e12}
CARDINALS = {
    **{word: 2 + i for i, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
         "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
    )},
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
    "zero": 0, "dozen": 12, "hundred": 100, "thousand": 1000,
}  # fmt: skip
NONE = range(0)
ZEROS = 0.005  # how far, relatively, a whole number that ends in zeros may be rounded
MONTHS = [month.casefold() for month in words.MONTHS]
BEFORE_YEAR = {
    "in", "since", "from", "to", "until", "till", "by", "during", "through", "between", "and", "of", "after", "before",
    "for", "early", "late", "mid", "year", "the", "full", *MONTHS, *(month[:3] for month in MONTHS),
}  # fmt: skip
_GROUPED = "\\d{1,3}(?:[,\u00a0\u202f]\\d{3})+(?:\\.\\d+)?|\\d*\\.\\d+|\\d+"
_UNIT = "%|percentage\\s+points?\\b|per\\s?cent\\b|pp\\b|points?\\b|×|times\\b|x\\b|-?fold\\b"
_FIGURE = re.compile(
    f"(?P<money>[$€£¥]\\s?)?(?P<many>×\\s?)?(?P<digits>{_GROUPED})(?P<power>[eE][+-]?\\d+)?"
    f"(?:[\\s\u00a0]?(?P<scale>{'|'.join(SCALES)})\\b)?(?:[\\s\u00a0]?(?P<unit>{_UNIT}))?",
    re.IGNORECASE,
)
_WORD = re.compile(rf"\b(?:{'|'.join(CARDINALS)})\b", re.IGNORECASE)
_FRACTION = re.compile(
    r"\b(?:double[sd]?|doubling|triple[sd]?|tripling|quadruple[sd]?|twice|thrice|halve[sd]?|halving|\w+fold"
    r"|(?<!first )(?<!second )half|(?:an?|one|two|three)[ -](?:third|quarter|fifth|tenth)s?"
    r"|millions|billions|thousands|hundreds|dozens)\b",
    re.IGNORECASE,
)
_PART = re.compile(r"\b(?:Q[1-4]|H[12])\b")  # of a year
_DAY = re.compile(r"\b(\d{4})-\d{2}(?:-\d{2})?\b")
_ANOTHER = re.compile(r"\s?[–-]\s?\d{4}\b")  # year, up to which a span goes
_ADDRESS = re.compile(r"\w+://|\bwww\.")
_SENTENCE = re.compile(r"(?<=[.!?…])[\"”’)*]*\s+(?=[\"“‘(*]*[A-ZÀ-ÞĀ-Ž0-9])")
_MARKER = re.compile(r"^\s*(?:#+\s+|[-*•]\s+|\d{1,2}[.)]\s+)")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure where it stands in a text; ``within`` is how far off a fact may be that it states."""

    start: int
    end: int
    value: float
    within: float = 0.0
    unit: str = ""  # percent, points, times, or none
    signed: bool = False
    money: str = ""
    known: bool = True  # whether it could be read at all
    year: bool = False  # whether it stands where a year does


@dataclass(frozen=True, slots=True)
class Ground:
    """What a text may state: facts, and the names and years that are no figures.  ``owners`` are those compared."""

    facts: Sequence[Fact]
    names: Collection[str] = ()
    years: range = NONE
    owners: Collection[str] = field(default_factory=frozenset)


class Unbacked(Exception):
    """A sentence states a figure that was not computed; the sentence says which and why."""


def sentences(text: str) -> list[list[str]]:
    """The sentences of each paragraph, without headings' and lists' marks."""
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*•]|\d{1,2}[.)])\s)", text.replace("\r\n", "\n"))
    cleaned = [clean(_MARKER.sub("", block)).replace("`", "").strip() for block in blocks]
    return [[one.strip() for one in _SENTENCE.split(block) if one.strip()] for block in cleaned if block]


def spans_of(sentence: str, ground: Ground) -> list[Span]:
    """The sentence with each figure linked to its fact, ``**…**`` bold; raises Unbacked."""
    bare = sentence.replace("**", "")
    marks = _bold(sentence)
    if _ADDRESS.search(bare):
        raise Unbacked("it has an address in it")
    stated = [(figure, _fact(figure, bare, ground)) for figure in figures(bare, ground.names, ground.years)]
    pieces: list[tuple[int, int, str]] = []
    at = 0
    for figure, fact in stated:
        pieces += [(at, figure.start, ""), (figure.start, figure.end, fact.id if fact else "")]
        at = figure.end
    pieces.append((at, len(bare), ""))
    return [
        Span(text=bare[start:end], bold=bold, fact=fact)
        for first, last, fact in pieces
        for start, end, bold in _cut(first, last, marks)
        if start < end
    ]


def figures(text: str, names: Iterable[str] = (), years: range = NONE) -> Iterator[Figure]:
    """Every figure in a text, in digits or words, outside the names and the days in it."""
    masked = _masked(text, names, years)
    found = [*map(_read, _FIGURE.finditer(masked)), *_in_words(masked)]
    at = 0
    for figure in sorted(found, key=lambda one: (one.start, -one.end)):
        if figure.start >= at:
            yield figure
            at = figure.end


def _read(match: re.Match[str]) -> Figure:
    text, digits = match.string, re.sub("[,\u00a0\u202f]", "", match["digits"])
    before, after = text[: match.start()], text[match.end() : match.end() + 1]
    sign = before[-1:] if re.search(r"(?:^|[\s(])[+\-−–]$", before) else ""
    scale = SCALES[match["scale"].lower()] if match["scale"] else 1.0
    value = float(digits) * scale * (-1 if sign in ("-", "−", "–") else 1)
    glued = before[-1:].isalpha() or (after.isalnum() and not match["unit"]) or match["power"]
    return Figure(
        match.start() - len(sign),
        match.end(),
        value,
        _within(digits, scale, value) * (1 + 1e-9),
        "times" if match["many"] else _unit(match["unit"] or ""),
        bool(sign),
        (match["money"] or "").strip(),
        not glued and math.isfinite(value),
        not sign and _is_year(match, before),
    )


def _within(digits: str, scale: float, value: float) -> float:
    """Half of the last digit that is written; of a number that ends in zeros, of the last that is none."""
    places = len(digits.partition(".")[2])
    within = 0.5 * 10.0**-places * scale
    if not places and scale == 1.0 and (zeros := len(digits) - len(digits.rstrip("0"))):
        return max(within, min(0.5 * 10.0**zeros, ZEROS * abs(value)))
    return within


def _is_year(match: re.Match[str], before: str) -> bool:
    """Whether four digits alone stand where a year does."""
    if not re.fullmatch(r"\d{4}", match["digits"]) or any(match[one] for one in ("unit", "many", "scale", "money")):
        return False
    word = (re.findall(r"[\w–(-]+$", before.rstrip()) or [""])[-1].casefold()
    return word in BEFORE_YEAR or word[-1:] in ("–", "-", "(", "") or bool(_ANOTHER.match(match.string, match.end()))


def _unit(text: str) -> str:
    text = text.casefold()
    if text == "%" or (text.startswith("per") and "point" not in text):
        return "percent"
    if "point" in text or text == "pp":
        return "points"
    return "times" if text else ""


def _in_words(text: str) -> Iterator[Figure]:
    for match in _FRACTION.finditer(text):
        yield Figure(match.start(), match.end(), math.nan, known=False)
    for match in _WORD.finditer(text):
        yield Figure(match.start(), match.end(), float(CARDINALS[match[0].lower()]))


def _masked(text: str, names: Iterable[str], years: range) -> str:
    """The text with the names in it, and with days and parts of the years, blotted out."""
    for name in sorted({one for one in names if any(map(str.isalpha, one))}, key=len, reverse=True):
        pattern = rf"(?<!\w){re.escape(name)}(?!\w)"
        text = re.sub(pattern, lambda match: "_" * len(match[0]), text, flags=re.IGNORECASE)
    text = _DAY.sub(lambda match: "_" * len(match[0]) if int(match[1]) in years else match[0], text)
    return _PART.sub("in", text)  # as long, and what follows "in" may be a year as well


def _fact(figure: Figure, sentence: str, ground: Ground) -> Fact | None:
    """The fact that a figure states, None for a year of the data; raises Unbacked."""
    written = sentence[figure.start : figure.end]
    fitting = [fact for fact in ground.facts if _states(figure, fact)]
    named = {name for name in ground.owners if name and _mentions(sentence, name)}
    own = [fact for fact in fitting if not named or not _owner(fact, ground) or _owner(fact, ground) in named]
    if own:
        return min(
            own, key=lambda fact: (written not in fact.text, _owner(fact, ground) not in named, _off(figure, fact))
        )
    if figure.year and int(figure.value) in ground.years and not _counts(sentence[figure.end :], ground):
        return None
    if fitting:
        raise Unbacked(f"{written!r} is a figure of {_owner(fitting[0], ground)}, whom it does not name")
    raise Unbacked(f"{written!r} is no figure that was computed")


def _counts(after: str, ground: Ground) -> bool:
    """Whether what follows a number is what is counted: then it is no year."""
    word = (re.findall(r"^\s*([^\W\d_]+)", after) or [""])[0].casefold()
    return bool(word) and any(word in fact.unit.casefold().split() for fact in ground.facts)


def _states(figure: Figure, fact: Fact) -> bool:
    if not figure.known or (figure.money and figure.money not in fact.text + fact.unit):
        return False
    return any(unit == figure.unit and _near(figure, value) for value, unit in _values(fact))


def _near(figure: Figure, value: float) -> bool:
    if figure.signed:
        return abs(value - figure.value) <= figure.within
    return abs(abs(value) - abs(figure.value)) <= figure.within


def _values(fact: Fact) -> Iterator[tuple[float, str]]:
    """What a fact says as (value, unit): its value, and the figures in how it is written."""
    units = {"percent": ("percent",), "points": ("points",), "index": ("", "points"), "text": ()}
    if isinstance(fact.value, int | float):
        yield from ((float(fact.value), unit) for unit in units.get(fact.kind, ("",)))
    sign = fact.value if isinstance(fact.value, int | float) else None
    for figure in figures(fact.text):
        if figure.known:  # a sentence whose verb says the direction has the figure without its sign
            yield (figure.value if sign is None else math.copysign(figure.value, sign)), figure.unit


def _off(figure: Figure, fact: Fact) -> float:
    return min((abs(abs(value) - abs(figure.value)) for value, _ in _values(fact)), default=math.inf)


def _owner(fact: Fact, ground: Ground) -> str:
    """Whose figure it is, by the id: ``competitor_analysis.share_last/Alpha``."""
    owner = fact.id.partition("/")[2]
    return owner if owner in ground.owners else ""


def _mentions(sentence: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sentence, re.IGNORECASE) is not None


def _bold(sentence: str) -> list[int]:
    """Where bold begins and ends in the sentence without its marks."""
    parts = sentence.split("**")
    marks, at = [], 0
    for part in parts[:-1]:
        at += len(part)
        marks.append(at)
    return marks


def _cut(start: int, end: int, marks: Sequence[int]) -> Iterator[tuple[int, int, bool]]:
    """A stretch of text cut where bold begins or ends."""
    inner = [mark for mark in marks if start < mark < end]
    for first, last in zip([start, *inner], [*inner, end], strict=True):
        yield first, last, sum(mark <= first for mark in marks) % 2 == 1
