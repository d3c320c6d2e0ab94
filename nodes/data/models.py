"""What reading and understanding produce, typed: they travel between subtasks as JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

Grain = Literal["year", "quarter", "month", "week"]
MeasureKind = Literal["flow", "stock", "intensive"]


class FileInfo(BaseModel):
    """Where rows came from."""

    name: str
    path: str
    sha256: str
    bytes: int
    rows: int
    columns: list[str]


class Collected(BaseModel):
    """All rows in one Parquet file, kept by its hash; every cell is text, exactly as the source had it."""

    data: str
    rows: int
    columns: list[str]
    files: list[FileInfo]
    notes: list[str]  # comment lines at the top of the files
    how: str  # "one file", "3 files stacked", "a.csv joined with b.csv on id"
    sql: str  # makes the table ``data`` from the files themselves


class Time(BaseModel):
    """Where the periods come from; ``sql`` is the first day of a row's period, or NULL."""

    columns: list[str]
    form: str
    sql: str
    grain: Grain
    finer: bool = False  # rows have dates finer than the grain
    week: str = ""  # SQL of a week's first day, where weeks are shown by month
    day: str = ""  # SQL of a row's own date, where it is finer than the period


class Measure(BaseModel):
    """What is measured; ``kind`` decides what may be computed from it."""

    column: str
    kind: MeasureKind
    why: str
    guessed: bool = False  # neither values nor names tell the kind, and nobody has
    unit: str = ""  # empty: not stated in the file
    sql: str
    whole: bool = True  # all values are whole numbers
    shared: bool = False  # whole numbers of weeks that are divided between two months, and written without decimals
    places: int = 2  # decimals worth writing
    exact: bool = False  # small enough to be added as decimals, whose sum is the same in any order


class Entity(BaseModel):
    """Who or what is compared: competitors, sources, symbols; ``sql`` is the name, NULL if not stated."""

    column: str
    noun: str
    plural: str
    company: bool
    sql: str
    totals: list[str] = []  # values that are sums of the others
    spellings: dict[str, str] = {}  # variants of one name, each with the spelling that is used
    text: str = ""  # SQL of the name as the file spells it


class Panel(BaseModel):
    """Who reports: sites, stations, countries.  If more do, growth may only be better coverage."""

    column: str
    one: str
    many: str
    sql: str


class Price(BaseModel):
    """The price of one of what is measured; times the measure, row by row, it gives a value."""

    column: str
    unit: str
    sql: str
    exact: bool = False  # as ``Measure.exact``


class ColumnRole(BaseModel):
    """One line of the table of roles."""

    column: str
    role: str
    why: str
    example: str


class Partial(BaseModel):
    """A year at either end that is not complete; ``like_for_like`` of the last one is computed by the analyses."""

    year: int
    periods: int
    usual: int
    first: str
    last: str
    why: Literal["periods", "rows", "value"] = "periods"  # what is too few or too low


class Hole(BaseModel):
    """Periods without a row for an entity that has rows in ``life`` periods from its first to its last."""

    entity: str
    life: int
    days: list[str]


class Finding(BaseModel):
    """One line of the data quality table."""

    finding: str
    extent: str
    done: str
    effect: str


class Scope(BaseModel):
    """Values of a column that the goal names; ``filtered`` if only the rows that have them are used."""

    column: str
    values: list[str]
    filtered: bool
    rows: int  # in use
    of: int  # read
    others: list[str] = []  # units that are left out, since they cannot be added to ``values``; not named in the goal


class Question(BaseModel):
    """What the values cannot prove; without ``options`` any short text answers it."""

    key: str
    prompt: str
    options: list[str]


class Roles(BaseModel):
    """What each column is for, and the SQL that follows from it."""

    time: Time
    measure: Measure
    entity: Entity | None
    share: str = ""  # a column that gives shares already
    share_scale: float = 100.0
    panel: Panel | None = None
    price: Price | None = None
    unit_column: str = ""  # says in which unit or currency each row's measure is
    fold: list[str] = []  # columns folded into (entity, value)
    columns: list[ColumnRole]
    assumptions: list[str] = []
    answered: list[str] = []  # what somebody has decided when asked
    assumed: list[str] = []  # roles ("measure", "entity", "time") that nobody has decided and no value proves


class Profile(BaseModel):
    """The understood file: roles, one row per period and entity kept by hash, and the window to compute in."""

    data: str
    cells: str
    cells_sql: str  # "WITH cells AS (…)", to stand before every stored query
    data_sql: str  # makes the table ``data`` from the files
    roles: Roles
    questions: list[Question] = []  # what the values could not prove, answered or not
    rows: int
    files: list[FileInfo]
    notes: list[str]
    periods: int
    first: str  # ISO date of the first period in use
    last: str
    frame: Grain  # the unit in which size and shares are compared
    frames: list[str]  # complete ones, consecutive, as ISO dates of their first days
    per_frame: int  # periods in a complete frame
    partial_first: Partial | None = None
    partial_last: Partial | None = None
    gaps: list[str] = []
    overhang: int = 0  # rows of weeks that reach beyond the last month, whose days after it are left out
    holes: list[Hole] = []  # of single entities, inside what the file has of them
    scope: list[Scope] = []  # what the goal names
    harm: bool = False  # the measure counts harm: no winners, no opportunities

    @property
    def step(self) -> int:
        """Frames of the calendar from one of ``frames`` to the next: 1, or 10 for a census."""
        years = [int(frame[:4]) for frame in self.frames[:2]]
        return years[1] - years[0] if self.frame == "year" and len(years) == 2 else 1
