"""Understands a collected file: roles, window, table of cells; what ``profile_data`` does without text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.nodes.data import names, scope, units
from holdfast.nodes.data.cells import cells_sql, overhang_sql, splits_weeks
from holdfast.nodes.data.columns import Column, measure_columns
from holdfast.nodes.data.engine import Engine, connect, literal
from holdfast.nodes.data.fold import find_fold
from holdfast.nodes.data.holes import find_holes
from holdfast.nodes.data.models import Collected, Profile, Roles
from holdfast.nodes.data.questions import Inquiry
from holdfast.nodes.data.roles import decide_roles
from holdfast.nodes.data.window import Window, find_window

VIEW = "CREATE VIEW data AS "


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose columns have their roles; ``sql`` selects its rows from the files."""

    wide: list[Column]  # as the files have them
    roles: Roles
    sql: str


@contextmanager
def opened(data: Path, write: list[Path] | None = None) -> Iterator[Engine]:
    """A connection with the collected file as the table ``data``."""
    with connect(read=[data], write=write or []) as engine:
        engine.run(f"CREATE VIEW collected AS SELECT * FROM read_parquet({literal(str(data))})")
        engine.run("CREATE VIEW data AS SELECT * FROM collected")
        yield engine


@contextmanager
def opened_cells(cells: Path) -> Iterator[Engine]:
    """A connection with the stored cells as the table ``cells``."""
    with connect(read=[cells]) as engine:
        engine.run(f"CREATE TABLE cells AS SELECT * FROM read_parquet({literal(str(cells))})")
        yield engine


def understand(
    engine: Engine, collected: Collected, target: Path, answers: Mapping[str, str] | None = None, goal: str = ""
) -> tuple[Profile, Window]:
    """Decides roles and window and writes the cells to ``target``; the profile's ``cells`` hash is left empty.

    ``answers`` are those known so far; what else would have to be asked is in the profile's ``questions``.  Rows that
    the ``goal`` does not mean are left out.  Raises BadInput if the table has no time, no number or no row with both.
    """
    where = " with ".join(file.name for file in collected.files[:3])
    asked = Inquiry(answers or {})
    table = _read(engine, collected, collected.sql.removeprefix(VIEW), collected.rows, asked, goal)
    named = scope.named_in(engine, table.wide, goal)
    chosen = scope.choose(engine, named, table.roles) if named else []
    rows, kept = collected.rows, [scope.where(chosen)] if chosen else []
    if kept:
        asked = Inquiry(answers or {})
        table, rows = _kept(engine, collected, kept, asked, goal)
    scopes = scope.scopes(named, chosen, rows, collected.rows)
    if unit := _mixed(engine, table):
        asked, before = Inquiry(answers or {}), rows
        stated = units.choose(unit, asked)
        table, rows = _kept(engine, collected, [*kept, units.where(unit, stated)], asked, goal)
        scopes.append(units.scope_of(unit, stated, rows, before))
    roles = table.roles
    window = find_window(engine, roles, where, asked)
    roles.assumptions, roles.answered, roles.assumed = asked.assumptions, asked.answered, sorted(asked.assumed)
    sql = cells_sql(roles, window.after, window.through)
    engine.run(f"COPY ({sql} SELECT * FROM cells ORDER BY period, entity) TO {literal(str(target))} (FORMAT parquet)")
    profile = Profile(
        data=collected.data,
        cells="",
        cells_sql=sql,
        data_sql=VIEW + table.sql,
        roles=roles,
        questions=asked.questions,
        rows=rows,
        files=collected.files,
        notes=collected.notes,
        periods=window.periods,
        first=window.first.isoformat(),
        last=window.last.isoformat(),
        frame=window.frame,
        frames=[day.isoformat() for day in window.frames],
        per_frame=window.per_frame,
        partial_first=window.partial_first,
        partial_last=window.partial_last,
        gaps=window.gaps,
        overhang=engine.row(overhang_sql(roles, window.last.isoformat()))["rows"] if splits_weeks(roles) else 0,
        holes=find_holes(engine, roles, sql, *window.dates) if roles.entity else [],
        scope=scopes,
        harm=names.suggests(roles.measure.column, "harm")
        or any(names.suggests(f.name, "harm") for f in collected.files),
    )
    return profile, window


def _mixed(engine: Engine, table: Table) -> units.UnitColumn | None:
    """The column that says in which unit a row is, if the rows are in several."""
    found = units.find_unit(engine, [column for column in table.wide if column.name == table.roles.unit_column])
    return found if found and not found.one else None


def _kept(engine: Engine, collected: Collected, conditions: list[str], asked: Inquiry, goal: str) -> tuple[Table, int]:
    """The table of the rows that meet the conditions, and how many of them the files have."""
    where = " AND ".join(conditions)
    engine.run(f"CREATE OR REPLACE VIEW data AS SELECT * FROM collected WHERE {where}")
    rows = engine.value("SELECT count(*) FROM data")
    sql = f"SELECT * FROM ({collected.sql.removeprefix(VIEW)}) WHERE {where}"
    return _read(engine, collected, sql, rows, asked, goal), rows


def _read(engine: Engine, collected: Collected, sql: str, rows: int, asked: Inquiry, goal: str) -> Table:
    """The roles of the rows of ``data``, which is made long if it is wide; ``sql`` selects the same from the files."""
    where = " with ".join(file.name for file in collected.files[:3])
    wide = columns = measure_columns(engine, collected.columns, rows)
    if fold := find_fold(engine, columns, collected.files[0].name, goal):
        engine.run(f"CREATE OR REPLACE TABLE long AS {fold.sql('SELECT * FROM data')}")
        engine.run("CREATE OR REPLACE VIEW data AS SELECT * FROM long")
        sql = fold.sql(sql)
        columns = measure_columns(engine, fold.columns, rows * len(fold.parts), fold.part)
        columns = [replace(column, adds_up=fold.summed and column.name == fold.value) for column in columns]
    about = [*(Path(file.name).stem for file in collected.files), goal]
    roles = decide_roles(engine, columns, where, asked, about)
    if fold:
        roles.fold = list(fold.parts)
        asked.assume(
            f"the columns {', '.join(list(fold.parts)[:4])}{' …' if len(fold.parts) > 4 else ''} hold one measure side"
            " by side"
        )
        if fold.after_goal:
            asked.assume(f"the numbers under the years are named “{fold.value}” after the goal")
    return Table(wide, roles, sql)
