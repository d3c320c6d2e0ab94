"""The pure decisions about spellings and about periods that look incomplete."""

from __future__ import annotations

import unicodedata

import pytest

from holdfast.nodes.data.questions import BEST_GUESS, Inquiry
from holdfast.nodes.data.relations import common_spellings
from holdfast.nodes.data.window import doubtful


@pytest.mark.parametrize(
    ("rows", "values", "count", "why"),
    [
        ([5, 5, 5, 5], [10, 11, 10, 11], 0, "periods"),
        ([5, 5, 5, 2], [10, 11, 10, 11], 1, "rows"),  # 2 is less than half of 5
        ([4, 4, 4, 2], [10, 11, 10, 11], 0, "periods"),  # 2 is half of 4, not less
        ([5, 5, 5, 5, 2, 1], [], 2, "rows"),  # both are less than half of the median of the three before: 5, 5
        ([5, 5, 2], [], 0, "periods"),  # three before it are needed
        ([5] * 5, [100, 101, 99, 100, 40], 1, "value"),
        ([5] * 5, [100, 101, 99, 100, 51], 0, "periods"),  # more than half
        ([5] * 7, [100, 40, 100, 40, 100, 100, 40], 0, "periods"),  # such falls are usual here
        ([5] * 5, [], 0, "periods"),  # a level may fall
        ([5] * 5, [100, 101, 99, 100, 0], 1, "value"),
    ],
)
def test_a_period_at_the_end_looks_incomplete_by_rows_or_by_a_fall(
    rows: list[int], values: list[float], count: int, why: str
) -> None:
    assert doubtful(rows, values) == (count, why)


def test_the_commonest_spelling_stands_for_the_others() -> None:
    assert common_spellings({"VW": 3, "vw": 5, "Vw ": 1, "Saab": 9}) == {"VW": "vw", "Vw ": "vw"}


def test_of_equally_common_spellings_the_composed_one_in_mixed_case_stands() -> None:
    decomposed = unicodedata.normalize("NFD", "Citroën")
    assert common_spellings({"Citroën": 2, decomposed: 2, "CITROËN": 2}) == {
        decomposed: "Citroën",
        "CITROËN": "Citroën",
    }


def test_many_spellings_are_left_alone() -> None:
    assert common_spellings({name: 1 for i in range(101) for name in (f"name {i}", f"NAME {i}")}) == {}


@pytest.mark.parametrize("answers", [{}, {"measure": BEST_GUESS}, {"measure": "no option"}])
def test_without_an_answer_the_first_option_is_assumed(answers: dict[str, str]) -> None:
    asked = Inquiry(answers)
    assert asked.choose("measure", "Which?", ["units", "sales"], "it is {}") == "units"
    assert (asked.assumptions, asked.answered, [one.key for one in asked.questions]) == (
        ["it is units"],
        [],
        ["measure"],
    )


def test_an_answer_is_no_assumption() -> None:
    asked = Inquiry({"measure": "units", "unit": " NOK "})
    assert asked.choose("measure", "Which?", ["units", "sales"], "it is {}") == "units"
    assert asked.unit("units") == "NOK"
    assert (asked.assumptions, asked.answered) == ([], ["it is units", "the unit of “units” is NOK"])
