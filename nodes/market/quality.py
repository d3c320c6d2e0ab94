"""The section "Data quality": each finding with its extent, what was done and what it does to the figures."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict
from typing import Any

from holdfast.nodes.data.cells import splits_weeks
from holdfast.nodes.data.engine import Engine
from holdfast.nodes.data.models import Grain, Profile
from holdfast.nodes.data.window import Window
from holdfast.nodes.market import constant_parts, panel, quality_queries, scope_words, words
from holdfast.nodes.market.findings import Findings, Row
from holdfast.nodes.report.document import Fact

Line = tuple[str, str, str, str]


def write_section(
    profile: Profile, window: Window, engine: Engine, parts: constant_parts.Parts | None = None
) -> dict[str, Any]:
    """The section as JSON; ``engine`` has the tables ``data`` and ``cells``."""
    return Quality(profile, window, engine, parts).write()


class Quality:
    """Runs the checks, each of which gives the lines of what it found."""

    def __init__(
        self, profile: Profile, window: Window, engine: Engine, parts: constant_parts.Parts | None = None
    ) -> None:
        self.profile, self.window, self.roles, self.parts = profile, window, profile.roles, parts
        queries = {
            key: sql.replace("{", "{{").replace("}", "}}")
            for key, sql in quality_queries.queries(profile, window).items()
        }
        self.found = Findings(profile, "data_quality", "Data quality", queries, engine)

    def write(self) -> dict[str, Any]:
        """One paragraph with the counts, then the table of findings."""
        row = self.found.rows("rows")[0]
        used = self.found.count("rows_read", row["rows"], "rows")
        self.found.say(self._read(), rows=used)
        panels = [
            seen
            for which, start in panel.pairs(self.profile).items()
            if (seen := panel.compare(self.found, which, start))
        ]
        checks = {
            "rows without date, number or name": self._missing(row),
            "dates out of range": self._aside(),
            f"gaps between the {self.roles.time.grain}s": [*self._gaps(), *self._holes()],
            "rows or keys that repeat": self._repeated(),
            "totals among the parts": self._totals(),
            "zeros or negative values": self._signs(row),
            "two spellings of one name": self._twins(),
        }
        lines = [
            *scope_words.quality_lines(self.profile),
            *(line for found in checks.values() for line in found),
            *self._holes(missing=False),
            *self._overhang(),
            *self._partial(),
            *self._share(),
            *([constant_parts.state(self.found, self.parts)] if self.parts else []),
            *[panel.quality_line(self.profile, one) for one in panels],
            *self._columns(),
            *self._unused(),
        ]
        if not self.roles.measure.unit:
            lines.append(
                (
                    f"No unit for {words.quoted(self.roles.measure.column)}",
                    "the measure",
                    "the column’s name is used as it is",
                    "unit not stated in the file",
                )
            )
        if absent := [name for name, found in checks.items() if not found]:
            self.found.say(f"Looked for and not found: {words.listed(absent, 'or')}.")
        beside = {"panel": panel.beside(panels), "parts": asdict(self.parts) if self.parts else {}}
        if not lines:
            return self.found.result(**beside)
        self.found.table(
            "What was found and done",
            ["Finding", "Extent", "What was done", "Effect on the figures"],
            lines,
            text_columns=4,
        )
        return self.found.result(**beside)

    def _read(self) -> str:
        files, sources = words.counted(len(self.profile.files), "file"), self.profile.files
        if not self.roles.fold:
            return f"{{rows}} rows were read from {files}, with {len(self.roles.columns)} columns each."
        wide = words.number(sum(file.rows for file in sources))
        parts = words.spelled(len(self.roles.fold))
        return f"{wide} rows were read from {files}; a row for each of {parts} columns side by side makes {{rows}}."

    def _missing(self, row: Row) -> list[Line]:
        lines: list[Line] = []
        if undated := row["rows"] - row["dated"]:
            rows = _rows(self.found.count("undated", undated, "rows"))
            lines.append(
                (
                    f"No readable date in {words.quoted(self.roles.time.columns[0])}",
                    rows,
                    "left out",
                    "not in any figure",
                )
            )
        if empty := row["dated"] - row["measured"]:
            rows = _rows(self.found.count("unmeasured", empty, "rows"))
            lines.append(
                (
                    f"No number in {words.quoted(self.roles.measure.column)}",
                    rows,
                    "left out",
                    "not in any figure",
                )
            )
        if self.roles.entity and row["measured"] > row["named"]:
            lines.append(self._not_stated())
        if self.roles.price and (bare := row["measured"] - row["priced"]):
            rows = _rows(self.found.count("unpriced", bare, "rows"))
            price = words.quoted(self.roles.price.column)
            lines.append((f"No number in {price}", rows, "kept in the amount", "not in the derived value"))
        return lines

    def _unused(self) -> list[Line]:
        """Empty cells of columns on which no figure rests: named apart, since they change nothing."""
        columns = quality_queries.unused(self.roles)
        if not columns:
            return []
        row = self.found.rows("unused")[0]
        empty = [(name, row[f"c{at}"]) for at, name in enumerate(columns) if row[f"c{at}"]]
        if not empty:
            return []
        told = [
            f"{words.quoted(name)} ({self.found.count(f'unused/{name}', rows, 'unused', 'empty cells').text})"
            for name, rows in empty[:3]
        ]
        if len(empty) > 3:
            told.append(words.counted(len(empty) - 3, "more column"))
        what = words.listed(told)
        return [("Empty cells in columns that no figure rests on", what, "left as they are", "none")]

    def _not_stated(self) -> Line:
        assert self.roles.entity
        row = self.found.rows("not_stated")[0]
        rows = _rows(self.found.count("not_stated_rows", row["rows"], "not_stated"))
        what = (
            f"{words.quoted(self.roles.entity.column)} is"
            f" {words.quoted(row['code']) if (row['code'] or '').strip() else 'empty'}: missing, not a"
            f" {self.roles.entity.noun}"
        )
        if self.roles.measure.kind != "flow" or not row["total"]:
            return what, rows, "shown as “not stated”, in no ranking", "not in any comparison"
        amount = self.found.amount("not_stated_amount", row["amount"] or 0, "not_stated", exactly=True).text
        part = (row["amount"] or 0) / row["total"] * 100
        share = self.found.fact("not_stated_share", part, "percent", _small_percent(part), "not_stated").text
        return (
            what,
            f"{rows}, {amount} in {words.quoted(self.roles.measure.column)}",
            "kept in totals, shown as “not stated”, in no ranking",
            f"{share} of the total",
        )

    def _aside(self) -> list[Line]:
        return [
            (f"Rows with {why}", words.counted(rows, "row"), "set aside, not plotted", "not in any figure")
            for why, rows in self.window.aside.items()
        ]

    def _overhang(self) -> list[Line]:
        """Days of the last week in a month of which the file has no more."""
        if not self.profile.overhang:
            return []
        row, name = self.found.rows("overhang")[0], words.quoted(self.roles.measure.column)
        rows = _rows(self.found.count("overhang_rows", row["rows"], "overhang"))
        amount = self.found.amount("overhang", row["amount"], "overhang", "of the days after it", exactly=True).text
        last = words.period(self.profile.last, "month")
        return [
            (
                f"Days after {last} in weeks that begin in it",
                f"{rows}, {amount} of their {name}",
                "left out",
                f"not in any figure: of the month after {last} there is no more",
            )
        ]

    def _partial(self) -> list[Line]:
        lines: list[Line] = []
        grain = self.roles.time.grain
        for part in (self.window.partial_first, self.window.partial_last):
            if part and grain == "year":
                lines.append(
                    (
                        f"{part.year} looks incomplete",
                        f"far {'fewer rows' if part.why == 'rows' else 'less'} than in the years beside it",
                        "left out of yearly figures",
                        "would read as a jump that is none",
                    )
                )
            elif part:
                held = words.held(part, grain)
                effect = "no yearly figure is given"
                if self.roles.measure.kind != "intensive":
                    late = part is self.window.partial_last
                    begin = words.period(self.profile.frames[0], self.profile.frame)
                    effect = "compared with the same part of the year before" if late else f"these begin in {begin}"
                lines.append(
                    (
                        f"{part.year} is incomplete: {held}",
                        f"{part.periods} of {part.usual} {grain}s",
                        "left out of yearly figures",
                        effect,
                    )
                )
        return lines

    def _gaps(self) -> list[Line]:
        if not self.window.gaps:
            return []
        grain = self.roles.time.grain
        some = ", ".join(words.period(day, grain, brief=True) for day in self.window.gaps[:3])
        return [("Periods without rows", words.counted(len(self.window.gaps), grain), "left empty", f"such as {some}")]

    def _holes(self, *, missing: bool = True) -> list[Line]:
        """Periods that single names lack inside what the file has of them; not ``missing`` where they have little."""
        entity, grain = self.roles.entity, "week" if splits_weeks(self.roles) else self.roles.time.grain
        rows = [row for row in self.found.rows("holes") if row["missing"] == missing] if entity else []
        if not rows or entity is None:
            return []
        key, summed = "holes" if missing else "pauses", self.roles.measure.kind != "intensive"
        n = self.found.count(key, sum(row["periods"] for row in rows), "holes", f"{grain}s × {entity.plural}")
        which = [f"{row['entity']} in {_days(row['days'].split(), grain)}" for row in rows[:3]] if missing else []
        if len(rows) > len(which):
            more = len(rows) - len(which)
            which.append(f"{'more of ' if which else ''}{words.counted(more, entity.noun, entity.plural)}")
        low = "totals and their shares are too low there" if summed else "not in any figure"
        return [
            (
                f"No rows for single {entity.plural} between others of theirs",
                f"{n.text} {grain if n.value == 1 else f'{grain}s'}: {'; '.join(which)}",
                "left empty, not taken for zero" if missing else "taken as none: they have little or rarely any",
                low if missing else "none",
            )
        ]

    def _repeated(self) -> list[Line]:
        lines: list[Line] = []
        summed = "added" if self.roles.measure.kind != "intensive" else "averaged"
        if extra := self.found.rows("same_rows")[0]["extra"]:
            rows = _rows(self.found.count("same_rows", extra, "same_rows"))
            lines.append(("Rows that repeat another in full", rows, f"kept and {summed}", "may be counted twice"))
        counts = self.found.rows("same_keys_count")[0]
        if not counts["keys"] or counts["rows"] > 0.2 * self.profile.rows:
            return lines
        example = self.found.rows("same_keys")[0]
        names = [str(value) for key, value in example.items() if key not in ("k", "low", "high")]
        keys = self.found.count("same_keys", counts["keys"], "same_keys_count").text
        which = (
            f"Repeated key: {', '.join(names)}"
            if counts["keys"] == 1
            else f"{keys} repeated keys, such as {', '.join(names)}"
        )
        measure = self.roles.measure
        low, high = (words.exact(float(example[key] or 0), measure.whole, measure.places) for key in ("high", "low"))
        self.found.fact("same_keys_high", float(example["high"] or 0), "number", low, "same_keys")
        lines.append(
            (
                which,
                (
                    f"{keys} key, {words.number(counts['rows'])} rows ({low} and {high})"
                    if counts["keys"] == 1
                    else f"{words.number(counts['rows'])} rows"
                ),
                summed,
                "none else",
            )
        )
        return lines

    def _share(self) -> list[Line]:
        if not self.roles.share or not self.roles.entity:
            return []
        row = self.found.rows("given_share")[0]
        gap = self.found.fact("given_share_gap", row["gap"], "points", words.number(row["gap"], 2), "given_share").text
        meaning = "rounding" if row["gap"] <= 0.06 else "larger than rounding: see which is right"
        rows = self.found.count("given_share_rows", row["rows"], "given_share").text
        return [
            (
                f"{words.quoted(self.roles.share)} gives shares already",
                f"{rows} rows",
                "checked, not used; shares computed anew",
                f"largest difference {gap} points, {meaning}",
            )
        ]

    def _totals(self) -> list[Line]:
        if not self.roles.entity or not self.roles.entity.totals:
            return []
        return [self._total(row) for row in self.found.rows("totals")]

    def _total(self, row: Row) -> Line:
        name, grain = row["name"], self.roles.time.grain
        rows = self.found.count(f"total_rows/{name}", row["rows"], "totals").text
        hits = self.found.count(f"total_hits/{name}", row["hits"], "totals", "periods in which the sum holds").text
        check = f"sum check: holds in {hits} of {words.counted(row['periods'], grain)}"
        if row["hits"] < 0.95 * row["periods"] and row["part"] is not None:
            part = self.found.percent(f"total_part/{name}", row["part"], "totals", "of the total").text
            check += f"; the others make up {part} of it"
        return (
            f"{words.quoted(name)} is a total of the others",
            f"{rows} {'row' if row['rows'] == 1 else 'rows'}",
            "left out of sums and rankings",
            check,
        )

    def _signs(self, row: Row) -> list[Line]:
        lines: list[Line] = []
        negative = self.found.rows("negative")[0]
        if negative["rows"]:
            rows = _rows(self.found.count("negative", negative["rows"], "negative"))
            name = words.quoted(self.roles.measure.column)
            lines.append((f"Negative {name}", rows, "kept", self._effect_of_negatives(negative)))
        if row["zero"]:
            rows = _rows(self.found.count("zero", row["zero"], "rows"))
            lines.append((f"{words.quoted(self.roles.measure.column)} is zero", rows, "kept", "counted as no amount"))
        return lines

    def _effect_of_negatives(self, row: Row) -> str:
        """By how much they lower what the rows above zero come to."""
        if self.roles.measure.kind == "intensive":
            return "none: a level may be below zero"
        if not row["above"]:
            return "nothing is above zero"
        part = 100 * row["below"] / row["above"]
        share = self.found.fact("negative_share", part, "percent", _small_percent(part), "negative").text
        return f"lower the amount by {share}; may be returns, losses or corrections"

    def _twins(self) -> list[Line]:
        entity = self.roles.entity
        if not entity or not entity.spellings:
            return []
        rows = self.found.count("twins", self.found.rows("twins")[0]["rows"], "twins")
        some = [_twin(old, new) for old, new in list(entity.spellings.items())[:3]]
        more = f" and {len(entity.spellings) - 3} more" if len(entity.spellings) > 3 else ""
        return [
            (
                "Spellings that differ only in case, spaces or Unicode form",
                f"{words.counted(len(entity.spellings), 'spelling')}, {_rows(rows)}",
                f"counted as one: {', '.join(some)}{more}",
                f"shares of one {entity.noun} are not split",
            )
        ]

    def _columns(self) -> list[Line]:
        """Columns that say nothing of their own, and measures that are part of the measure."""
        lines: list[Line] = []
        for column in self.roles.columns:
            if column.role in ("constant", "copy", "empty"):
                lines.append((f"Column {words.quoted(column.column)}", column.why.split(";")[0], "dropped", "none"))
            elif column.role.startswith("other measure") and column.why.startswith("never above"):
                lines.append((f"Column {words.quoted(column.column)}", column.why.split(",")[0], "never added", "none"))
        return lines


def _rows(fact: Fact) -> str:
    return f"{fact.text} {'row' if fact.value == 1 else 'rows'}"


def _small_percent(value: float) -> str:
    return (
        words.percent(value)
        if value >= 0.05
        else f"{words.number(value, 3)}{words.NBSP}%"
        if value >= 0.0005
        else f"below 0.001{words.NBSP}%"
    )


def _twin(old: str, new: str) -> str:
    """Two spellings of one name, in words; two that look alike differ in their Unicode form."""
    if unicodedata.normalize("NFC", old) == unicodedata.normalize("NFC", new):
        return f"{words.quoted(new)} in two Unicode forms"
    return f"{words.quoted(old)} as {words.quoted(new)}"


def _days(days: list[str], grain: Grain) -> str:
    some = [words.period(day, grain, brief=True) for day in days[:3]]
    return ", ".join(some) + " …" if len(days) > 3 else words.listed(some)
