"""Roles while they are being decided: which column has which, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from holdfast.nodes.data import names
from holdfast.nodes.data.columns import Column
from holdfast.nodes.data.kinds import Kind, kind_of
from holdfast.nodes.data.models import ColumnRole
from holdfast.nodes.data.questions import Inquiry


@dataclass(slots=True)
class Draft:
    """The columns of a table, what is asked, and the roles so far."""

    columns: list[Column]
    asked: Inquiry
    about: Sequence[str] = ()  # names of the files, and the goal
    stock: str = ""  # what the names of the files or the goal speak of
    roles: dict[str, ColumnRole] = field(default_factory=dict)

    def give(self, column: Column, role: str, why: str) -> None:
        """Settles a column's role; the first reason stands."""
        self.roles.setdefault(
            column.name, ColumnRole(column=column.name, role=role, why=why, example=column.example[:40])
        )

    def role_of(self, column: Column) -> str:
        """The role given so far; empty if none."""
        return self.roles[column.name].role if column.name in self.roles else ""

    def kind(self, column: Column) -> Kind:
        """Whether its numbers may be summed."""
        return kind_of(column, self.stock)

    def spoken_of(self, column: Column) -> bool:
        """Whether the goal or a file's name speaks of it."""
        return names.spoken_of(column.name, self.about)

    def free(self) -> list[Column]:
        """Columns without a role."""
        return [column for column in self.columns if column.name not in self.roles]


def listed(best: Column, rivals: list[Column]) -> str:
    """A few of several that could be, for a question."""
    return " or ".join(f"“{column.name}”" for column in [best, *rivals][:4])
