"""What is said of a goal that names values of the file, and of rows in another unit: on page 1 and further on."""

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
    """Lines of the title block; none if the goal names nothing and all rows are in one unit."""
    named = [one for one in profile.scope if not one.others]
    lines = [f"only {words.quoted(one.column)} {_values(one)}" for one in named if one.filtered]
    lines += [f"all of {words.quoted(one.column)}, not only {_values(one)}" for one in named if not one.filtered]
    block = [("Scope, as the goal names it", "\n".join(lines))] if lines else []
    for one in profile.scope:
        if one.others:
            left = words.counted(one.of - one.rows, "row")
            block.append(("Left out", f"{left} in {_others(one)}, which cannot be added to {one.values[0]}"))
    return block


def _others(one: Scope) -> str:
    more = f" and {len(one.others) - 3} more" if len(one.others) > 4 else ""
    return ", ".join(one.others[:3]) + more if more else words.listed(one.others)


def quality_lines(profile: Profile) -> list[tuple[str, str, str, str]]:
    """Rows of the data quality table."""
    lines = []
    for one in profile.scope:
        if one.others:
            extent = f"{words.number(one.of - one.rows)} of {words.number(one.of)} rows are not in {one.values[0]}"
            mixed = f"{words.quoted(one.column)} holds {words.listed(sorted([*one.values, *one.others][:6]))}"
            lines.append((mixed, extent, "left out: never added", f"all figures are in {one.values[0]} only"))
            continue
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
        if not one.others
    ]
