"""Figures in a model's text: what counts as computed, and what does not."""

from __future__ import annotations

import pytest

from holdfast.nodes.market.stated import Ground, Unbacked, sentences, spans_of
from holdfast.nodes.report.document import Fact


def fact(id_: str, value: float | str, kind: str, text: str, unit: str = "") -> Fact:
    return Fact(id=id_, value=value, kind=kind, text=text, unit=unit)


GROUND = Ground(
    facts=[
        fact("m.total", 1_358_201, "number", "1.36 million cars", "cars"),
        fact("m.cagr", -4.187, "percent", "4.2 %"),
        fact("c.share/Alpha", 41.26, "percent", "41.3 %"),
        fact("c.share/Beta 3", 12.04, "percent", "12.0 %"),
        fact("c.move/Alpha", 2.51, "points", "2.5"),
        fact("c.names", 7, "count", "7"),
        fact("t.multiple", 1210.0, "percent", "×13.1"),
        fact("q.rows", 156_830, "count", "156,830"),
    ],
    names=["Alpha", "Beta 3", "CO2"],
    years=range(2015, 2025),
    owners=frozenset({"Alpha", "Beta 3"}),
)


@pytest.mark.parametrize(
    ("sentence", "facts"),
    [
        ("The total was 1.36 million cars in 2024.", ["m.total"]),
        ("It was 1,358,201 cars, about 1.4 million.", ["m.total", "m.total"]),
        ("It fell by 4.2% a year, or \u22124.19 percent.", ["m.cagr", "m.cagr"]),
        ("**Alpha** holds 41.3 % and moved by 2.5 percentage points.", ["c.share/Alpha", "c.move/Alpha"]),
        ("Beta 3 holds 12%; CO2 is not in the file.", ["c.share/Beta 3"]),
        ("There are seven names, and 7 of them are listed.", ["c.names", "c.names"]),
        ("It grew ×13.1 over 2015–2024, from Q1 2015 to 2024-03-01.", ["t.multiple"]),
        ("The file has 157,000 rows.", ["q.rows"]),
        ("Nothing in it is a figure, and one of them is first.", []),
    ],
)
def test_a_computed_figure_is_linked_to_its_fact_however_it_is_rounded(sentence, facts):
    spans = spans_of(sentence, GROUND)
    assert [span.fact for span in spans if span.fact] == facts
    assert "".join(span.text for span in spans) == sentence.replace("**", "")


@pytest.mark.parametrize(
    "sentence",
    [
        "The total was 1.37 million cars.",
        "It fell by 4.3%.",
        "It rose by +4.2%.",
        "It moved by 4.2 points.",
        "It was 42% of it.",
        "Alpha holds 12.0%.",
        "Beta 3 holds 41.3%.",
        "The total was $1.36 million.",
        "In 2031 it was less.",
        "Some 2019 cars were sold.",
        "It had doubled by 2024.",
        "About half of it is new.",
        "Two thirds are new.",
        "There are twelve names.",
        "It grew tenfold.",
        "It was EUR45 and 3e5.",
        "It is the 2nd.",
        "About 1,400 cars.",
        "It was 4.2.",
        "More at https://example.org/.",
    ],
)
def test_any_other_figure_is_refused(sentence):
    with pytest.raises(Unbacked):
        spans_of(sentence, GROUND)


def test_bold_and_facts_may_overlap():
    spans = spans_of("So **7 names, 4.2% less** now.", GROUND)
    assert [(span.text, span.bold, span.fact) for span in spans] == [
        ("So ", False, ""),
        ("7", True, "c.names"),
        (" names, ", True, ""),
        ("4.2%", True, "m.cagr"),
        (" less", True, ""),
        (" now.", False, ""),
    ]


def test_a_text_is_cut_into_sentences_and_not_at_decimals():
    text = "# Title\n\nIt fell by 4.2%. Then **it** rose.\nStill.\n\n- one 1.5\n- two\n1. three"
    assert sentences(text) == [
        ["Title"],
        ["It fell by 4.2%.", "Then **it** rose.", "Still."],
        ["one 1.5"],
        ["two"],
        ["three"],
    ]
