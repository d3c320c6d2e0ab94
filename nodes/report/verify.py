"""Whether a report still says what the data give: computes it again by its own recipe and compares the two.

Everything is compared that a reader could rely on: sentences, tables, the values and marks of charts, links, stored
queries, facts, hashes.  The report is untrusted: nothing in it is run but our own analyses, on the files given.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from holdfast.checkpoints.errors import BadInput, HoldfastError
from holdfast.nodes.context import Unanswered
from holdfast.nodes.data.sources import find_sources, fingerprint
from holdfast.nodes.report import timeline, types
from holdfast.nodes.report.pieces import NUMBER, Piece, evidence_in, parse, pieces
from holdfast.nodes.report.recipe import Recipe, can_run, follow

NOTHING = "nothing"
MOST_WORDS = 4  # places in one text that are told one by one
_ONE = {"facts": "fact", "queries": "query", "tables": "table", "sources": "source"}
_WORDS = re.compile(r"[^ \n]+")


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where the report says something else than the data give."""

    place: str
    says: str
    gives: str

    def __str__(self) -> str:
        return f"{self.place}: the report says {self.says}, the data give {self.gives}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``numbers`` is how many numbers the report's text and evidence hold; all of them were compared."""

    numbers: int
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what the reader should know beside it

    @property
    def holds(self) -> bool:
        """Whether the report says what the data give, everywhere."""
        return not self.differences


async def verify(html: str, data: Sequence[str | Path]) -> Verdict:
    """Compares the report with what ``data`` give.  Raises BadInput if ``data`` cannot be read at all."""
    files = [source.path for source in find_sources(data)]
    page = parse(html)
    found = pieces(page, timeline.SECTION)
    numbers = sum(len(NUMBER.findall(piece.text)) for piece in found if not piece.place.endswith((", style", ", SQL")))
    try:
        evidence = evidence_in(page)
        recipe = Recipe.model_validate(evidence.get("recipe", {}))
    except BadInput as error:
        return Verdict(numbers, [Difference("evidence", str(error), "evidence for every number")])
    except ValidationError as error:
        return Verdict(numbers, [Difference("evidence, recipe", _fault(error), "the steps behind every number")])
    numbers += sum(isinstance(fact.get("value"), int | float) for fact in _dicts(evidence.get("facts")))
    notes = _notes(recipe, evidence)
    try:
        expected_html, expected = await _computed(recipe, _in_order(files, evidence))
    except (HoldfastError, Unanswered, ValidationError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        failed = Difference("the whole report", "it can be computed again", f"an error: {error}")
        other = list(_other_files(files, evidence))
        told = other if other and isinstance(error, Unanswered) else [*other, failed]
        return Verdict(numbers, told, notes)
    others = [key for key in {**expected, **evidence} if key not in ("sources", "versions")]
    differences = [
        *_of_evidence(evidence, expected, ("sources",)),
        *_of_pieces(found, pieces(parse(expected_html), timeline.SECTION)),
        *_of_evidence(evidence, expected, others),
    ]
    return Verdict(numbers, differences, notes)


async def _computed(recipe: Recipe, files: Sequence[Path]) -> tuple[str, dict[str, Any]]:
    """The page and the evidence that these files give."""
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        results = await follow(recipe, files, Path(folder))
        params = types.ReportParams.model_validate(recipe.report)
        report = types.put_together(params, results, recipe)
        return await types.page(report), json.loads(report.evidence)


def _in_order(files: Sequence[Path], evidence: dict[str, Any]) -> list[Path]:
    """The files in the order in which the report read them, as far as their names tell."""
    names = [source.get("name") for source in _dicts(evidence.get("sources"))]
    return sorted(files, key=lambda path: names.index(path.name) if path.name in names else len(names))


def _other_files(files: Sequence[Path], evidence: dict[str, Any]) -> Iterator[Difference]:
    """The files that the report was not written from, by name and hash: why it cannot be computed again."""
    stated = [(str(source.get("name")), str(source.get("sha256"))) for source in _dicts(evidence.get("sources"))]
    given = [(source.name, fingerprint(source).sha256) for source in find_sources(files)]
    if {digest for _, digest in stated} != {digest for _, digest in given}:
        says, gives = (", ".join(f"{name} (sha256 {digest[:12]}…)" for name, digest in one) for one in (stated, given))
        yield Difference("the data", f"it was written from {says}", f"{gives}, another file")


def _notes(recipe: Recipe, evidence: dict[str, Any]) -> list[str]:
    notes = [
        f"what subtask {step.id} of type {step.type} wrote cannot be computed again: it is no built-in analysis"
        for step in recipe.steps
        if not can_run(step)
    ]
    notes += [
        f"the wording of subtask {name} is that of the model {one.model} and was not checked; each figure in it was"
        for name, one in recipe.written.items()
    ]
    stated, here = evidence.get("versions"), types.versions()
    if stated != here and isinstance(stated, dict):
        changed = [
            f"{name} {stated.get(name)} then, {now} now" for name, now in here.items() if now != stated.get(name)
        ]
        notes.append(f"written with other versions ({'; '.join(changed)}): wording and drawings may differ")
    return notes


def _of_evidence(stated: dict[str, Any], expected: dict[str, Any], keys: Iterable[str]) -> Iterator[Difference]:
    """Facts, queries, tables and sources, each named by its id."""
    for key in keys:
        ours, theirs = expected.get(key), stated.get(key)
        if not isinstance(ours, list) or not isinstance(theirs, list):
            if ours != theirs:
                yield Difference(f"evidence, {key}", _short(theirs), _short(ours))
            continue
        yield from _of_entries(key, _by_id(theirs), _by_id(ours))


def _of_entries(kind: str, stated: dict[str, Any], expected: dict[str, Any]) -> Iterator[Difference]:
    for name in {**expected, **stated}:
        place = f"evidence, {_ONE.get(kind, kind)} {name}"
        ours, theirs = expected.get(name), stated.get(name)
        if not isinstance(ours, dict) or not isinstance(theirs, dict):
            if ours != theirs:
                yield Difference(place, _short(theirs), _short(ours))
            continue
        for part in {**ours, **theirs}:
            if not _same(ours.get(part), theirs.get(part)):
                yield Difference(f"{place}, {part}", _short(theirs.get(part)), _short(ours.get(part)))


def _same(ours: Any, theirs: Any) -> bool:
    """Equal, and of one type; fractions to nine digits, since sums are made in the order in which threads finish."""
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12)
    return type(ours) is type(theirs) and bool(ours == theirs)


def _by_id(entries: list[Any]) -> dict[str, Any]:
    """Entries by id, name or place; a second one of the same gets a number."""
    found: dict[str, Any] = {}
    for entry in entries:
        values = entry if isinstance(entry, dict) else {}
        name = str(values.get("id") or values.get("name") or values.get("place") or "")
        found[name if name not in found else f"{name} ({len(found)})"] = entry
    return found


def _of_pieces(stated: list[Piece], expected: list[Piece]) -> Iterator[Difference]:
    """Texts and markup, place by place; what only one side has is told as well."""
    matcher = difflib.SequenceMatcher(None, stated, expected, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            continue
        theirs, ours = stated[a:b], expected[c:d]
        for mine, yours in _paired(theirs, ours):
            if mine is None or yours is None:
                one = mine or yours
                assert one
                text = _short(one.text or one.markup)
                yield Difference(one.name, text if mine else NOTHING, text if yours else NOTHING)
            elif mine.text != yours.text:
                yield from (Difference(mine.name, *pair) for pair in _changed(mine.text, yours.text))
            elif mine.markup != yours.markup:
                what = "marks" if mine.place.endswith("drawing") else "links or markup"
                yield Difference(mine.name, f"this with other {what}", f"other {what}")


def _paired(stated: list[Piece], expected: list[Piece]) -> Iterator[tuple[Piece | None, Piece | None]]:
    """Pieces of equal place beside each other; one by one if their number is equal."""
    if len(stated) == len(expected):
        yield from zip(stated, expected, strict=True)
        return
    left = list(expected)
    for piece in stated:
        match = next((other for other in left if other.place == piece.place), None)
        if match:
            left.remove(match)
        yield piece, match
    for other in left:
        yield None, other


def _changed(stated: str, expected: str) -> Iterator[tuple[str, str]]:
    """Pairs of words that differ, with what stands directly before them; both texts if they differ in many places."""
    theirs, ours = _WORDS.findall(stated), _WORDS.findall(expected)
    matcher = difflib.SequenceMatcher(None, theirs, ours, autojunk=False)
    changes = [code[1:] for code in matcher.get_opcodes() if code[0] != "equal"]
    if len(changes) > MOST_WORDS:
        yield _short(stated), _short(expected)
        return
    for a, b, c, d in changes:
        before = theirs[max(a - 2, 0) : a]
        yield _short(" ".join(before + theirs[a:b]) or None), _short(" ".join(before + ours[c:d]) or None)


def _short(value: Any) -> str:
    """A value as a person reads it in one line."""
    if value is None:
        return NOTHING
    text = " ".join(value.split()) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"“{text[:157]}…”" if len(text) > 160 else f"“{text}”"


def _dicts(value: Any) -> Iterable[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _fault(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"“{'.'.join(map(str, first['loc'])) or 'recipe'}: {first['msg'].lower()}”"
