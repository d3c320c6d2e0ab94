"""Levels that are means over parts (cities of a province): unweighted, and over the same parts in every period.

``profile_data`` finds the parts and leaves those out that lack a value in some period of what they belong to.  Where
fewer than half would be left, all are kept, and nothing that rests on them counts as complete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.nodes.data import names
from holdfast.nodes.data.engine import Engine, literal, quoted
from holdfast.nodes.data.models import Profile
from holdfast.nodes.market import words
from holdfast.nodes.market.findings import Findings, say
from holdfast.nodes.report.document import Fact, Section, Span

CONSTANT, CHANGING = "parts of a mean", "parts of a mean that change"  # roles of the columns that name the parts
ROLES = (CONSTANT, CHANGING)
LEAST_KEPT = 0.5  # of the parts of one mean, below which all are kept; our own convention
_RECURRING = 0.5  # of the periods that the median part has; else the column names no parts; our own convention
_NAMED = 3
_FROM = " FROM data)"


@dataclass(frozen=True, slots=True)
class Parts:
    """Who makes up the means: how many there are, who was left out, and in how many means all had to be kept."""

    one: str
    many: str
    of: int
    left_out: list[str]
    changing: int

    @property
    def role(self) -> str:
        """What the table of roles says."""
        return CHANGING if self.changing else CONSTANT


def settle(engine: Engine, profile: Profile, target: Path, after: str, through: str) -> Parts | None:
    """Writes the cells to ``target`` again over parts that are there throughout; None if no level is a mean."""
    if profile.roles.measure.kind != "intensive" or profile.periods < 2:
        return None
    columns = _columns(engine, profile, after, through)
    if not columns:
        return None
    found = engine.rows(f"{_panel(profile, columns, after, through)} SELECT * FROM panel WHERE k < n ORDER BY who")
    left_out = [row for row in found if row["whole"] >= LEAST_KEPT * row["parts"]]
    changing = {row["entity"] for row in found} - {row["entity"] for row in left_out}
    if left_out:
        gone = (
            f"{_panel(profile, columns, after, through)} SELECT who FROM panel WHERE k < n AND whole >="
            f" {LEAST_KEPT} * parts"
        )
        kept = f" FROM (SELECT * FROM data WHERE {_who(profile, columns)} NOT IN ({gone})))"
        profile.cells_sql = profile.cells_sql.replace(_FROM, kept, 1)
        sql = f"{profile.cells_sql} SELECT * FROM cells ORDER BY period, entity"
        engine.run(f"COPY ({sql}) TO {literal(str(target))} (FORMAT parquet)")
    noun = names.noun_for(columns[0])
    one, many = (noun.one, noun.many) if len(columns) == 1 else ("part", "parts")
    of = engine.value(f"{_panel(profile, columns, after, through)} SELECT count(*) FROM panel")
    parts = Parts(one, many, of, [row["part"] for row in left_out], len(changing))
    for column in profile.roles.columns:
        if column.column in columns:
            column.role = parts.role
            column.why += "; a mean is over all of them" if not left_out else "; a mean is over those always there"
    return parts


def _columns(engine: Engine, profile: Profile, after: str, through: str) -> list[str]:
    """The columns that name the parts: together if these recur, else the one with the most values; or none."""
    entity = profile.roles.entity.column if profile.roles.entity else ""
    free = [
        column.column
        for column in profile.roles.columns
        if column.role in ("other category", "category", "competitor", "text", "id") and column.column != entity
    ]
    good = [(made[0], name) for name in free if (made := _recurs(engine, profile, [name], after, through))]
    every = [name for _, name in good]
    if len(every) > 1 and _recurs(engine, profile, every, after, through):
        return every
    return [max(good)[1]] if good else []


def _recurs(engine: Engine, profile: Profile, columns: Sequence[str], after: str, through: str) -> tuple[int] | None:
    row = engine.row(
        f"{_panel(profile, columns, after, through)} SELECT count(*) AS many, median(k / n) AS usual, sum(k) / (SELECT"
        " count(*) FROM (SELECT DISTINCT entity, period FROM seen)) AS beside FROM panel"
    )
    if not row["many"] or row["usual"] < _RECURRING or row["beside"] < 2:
        return None
    return (int(row["many"]),)


def _who(profile: Profile, columns: Sequence[str]) -> str:
    parts = [_entity(profile), *(f"coalesce({quoted(name)}::VARCHAR, '')" for name in columns)]
    return f"concat_ws(chr(31), {', '.join(parts)})"


def _entity(profile: Profile) -> str:
    entity = profile.roles.entity
    return f"coalesce(({entity.sql})::VARCHAR, '')" if entity else "''"


def _panel(profile: Profile, columns: Sequence[str], after: str, through: str) -> str:
    """``panel``: each part with its periods ``k``, those of what it belongs to ``n``, how many are there throughout."""
    roles = profile.roles
    kept = [f"isfinite({roles.measure.sql})", f"({roles.time.sql}) IS NOT NULL"]
    kept += [f"({roles.time.sql}) >= DATE '{after}'"] * bool(after)
    kept += [f"({roles.time.sql}) <= DATE '{through}'"] * bool(through)
    name = ", ".join(f"coalesce({quoted(column)}::VARCHAR, '')" for column in columns)
    return (
        f"WITH seen AS (SELECT DISTINCT {roles.time.sql} AS period, {_entity(profile)} AS entity,"
        f" {_who(profile, columns)} AS who, concat_ws(', ', {name}) AS part FROM data WHERE {' AND '.join(kept)}),"
        " spans AS (SELECT entity, count(DISTINCT period) AS n FROM seen GROUP BY entity), panel AS (SELECT entity,"
        " who, any_value(part) AS part, count(*) AS k, any_value(n) AS n, count_if(count(*) = any_value(n)) OVER"
        " (PARTITION BY entity) AS whole, count(*) OVER (PARTITION BY entity) AS parts FROM seen JOIN spans USING"
        " (entity) GROUP BY entity, who)"
    )


def query(profile: Profile) -> str:
    """How many rows of the parts that were found go into the cells, and how many have a number."""
    measured = f"isfinite({profile.roles.measure.sql}) AND ({profile.roles.time.sql}) IS NOT NULL"
    return f"SELECT count(*) AS rows, (SELECT sum(n)::BIGINT FROM cells) AS used FROM data WHERE {measured}"


def over(profile: Profile) -> str:
    """What the values are means over, in the plural; empty if they are none."""
    columns = [column.column for column in profile.roles.columns if column.role in ROLES]
    return names.noun_for(columns[0]).many if len(columns) == 1 else "parts" if columns else ""


def changes(profile: Profile) -> bool:
    """Whether some means are over parts that are not the same in every period."""
    return any(column.role == CHANGING for column in profile.roles.columns)


def state(found: Findings, parts: Parts) -> tuple[str, str, str, str]:
    """Says in the section on data quality what the means are over; returns the row of its table."""
    row = found.rows("parts")[0]
    found.count("parts_of", parts.of, "parts", f"{parts.many} with a value")
    found.count("parts_kept", parts.of - len(parts.left_out), "parts", f"{parts.many} in the means")
    found.count("parts_out", len(parts.left_out), "parts", f"{parts.many} left out of the means")
    rows = found.count("parts_rows", row["rows"] - row["used"], "parts", "rows left out of the means")
    grain = found.profile.roles.time.grain
    if not parts.left_out and not parts.changing:
        return (
            f"Values are means over {parts.many}",
            f"{words.counted(parts.of, parts.one, parts.many)}, the same in every {grain}",
            "averaged without weights",
            f"a small {parts.one} counts as much as a large one",
        )
    some = words.listed(parts.left_out[:_NAMED])
    if len(parts.left_out) > _NAMED:
        some = f"{', '.join(parts.left_out[:_NAMED])} and {len(parts.left_out) - _NAMED} more"
    if not parts.left_out:
        many = found.profile.roles.entity.plural if found.profile.roles.entity else "series"
        return (
            f"{parts.many.capitalize()} without a value in some {grain}s",
            f"more than half of the {parts.many} in {words.counted(parts.changing, 'mean')}",
            "kept: too few are there throughout",
            f"a change of {many} may come from who reports; no finding counts as complete",
        )
    effect = "means are over the same in every period"
    if parts.changing:
        effect += f", but for {words.counted(parts.changing, 'mean')}, where fewer than half would be left"
    return (
        f"{parts.many.capitalize()} without a value in some {grain}s: {some}",
        f"{words.counted(len(parts.left_out), parts.one, parts.many)}, {rows.text} rows",
        "left out of every mean",
        effect,
    )


@dataclass(frozen=True, slots=True)
class Told:
    """The parts as later subtasks see them: what was found, and its facts by ``of``, ``kept`` and ``out``."""

    parts: Parts
    facts: dict[str, Fact]


def told_in(inputs: Mapping[str, Any]) -> Told | None:
    """What ``profile_data`` said of the parts, from a subtask's inputs; None if nothing had to be said."""
    result = next((v for v in inputs.values() if isinstance(v, dict) and v.get("parts")), None)
    if result is None:
        return None
    facts = {fact.id: fact for fact in Section.model_validate(result).facts}
    return Told(Parts(**result["parts"]), {key: facts[f"data_quality.parts_{key}"] for key in ("of", "kept", "out")})


def sentence(found: Findings, told: Told) -> list[Span]:
    """What a mean is over, for the overview; the facts are borrowed."""
    parts, facts, grain = told.parts, told.facts, found.profile.roles.time.grain
    found.borrow(list(facts.values()))
    if not parts.left_out and not parts.changing:
        return say(
            f"Each value is an unweighted mean over {parts.many}, the same in every {grain}; there are {{of}} in all.",
            of=facts["of"],
        )
    if not parts.left_out:
        return say(
            f"Each value is an unweighted mean over whichever of {{of}} {parts.many} report: fewer than half do so in"
            f" every {grain}, so that a change may come from who reports.",
            of=facts["of"],
        )
    text = (
        f"Each value is the unweighted mean over the same {parts.many} in every {grain}: {{kept}} of {{of}}; {{out}}"
        f" without a value in some {grain} {'is' if len(parts.left_out) == 1 else 'are'} left out"
    )
    names_of = words.listed(parts.left_out) if len(parts.left_out) <= _NAMED else ""
    text += " ({names})." if names_of else "."
    more = {"names": names_of} if names_of else {}
    if parts.changing:
        text += " Where fewer than half would be left, all are kept, and a change may come from who reports."
    return say(text, kept=facts["kept"], of=facts["of"], out=facts["out"], **more)
