"""What is said of a goal that names values of the file: on the first page, among the findings, in the method."""

from __future__ import annotations

from holdfast.nodes.data.models import Profile, Scope
from holdfast.nodes.market import words


def _values(one: Scope) -> str:
    return words.listed([words.quoted(value) for value in one.values])


def rows(profile: Profile) -> str:
    """Of how many rows those in use are."""
    chosen = next((one for one in profile.scope if one.filtered), None)
    return f" of {words.number(chosen.of)}" if chosen else ""


def title_block(profile: Profile) -> list[tuple[str, str]]:
    """A line of the title block; none if the goal names nothing."""
    if not profile.scope:
        return []
    lines = [f"only {words.quoted(one.column)} {_values(one)}" for one in profile.scope if one.filtered]
    lines += [
        f"all of {words.quoted(one.column)}, not only {_values(one)}" for one in profile.scope if not one.filtered
    ]
    return [("Scope, as the goal names it", "\n".join(lines))]


def quality_lines(profile: Profile) -> list[tuple[str, str, str, str]]:
    """Rows of the data quality table."""
    lines = []
    for one in profile.scope:
        named = f"The goal names {_values(one)} in {words.quoted(one.column)}"
        if one.filtered:
            extent = f"{words.number(one.rows)} of {words.number(one.of)} rows"
            lines.append((named, extent, "only these are used", "all other rows are in no figure"))
        else:
            lines.append(
                (named, "all rows", "nothing is left out", f"the figures cover all of {words.quoted(one.column)}")
            )
    return lines


def in_method(profile: Profile) -> list[str]:
    """Sentences beside the assumptions."""
    return [
        f"named in the goal: {_values(one)} of {words.quoted(one.column)}; "
        + ("only rows with it are used" if one.filtered else "the report covers all, so that it can compare")
        for one in profile.scope
    ]
