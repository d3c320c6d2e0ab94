"""Each bad input gets one sentence that names file, line or column; nothing is read before."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.data.files import check_inputs
from holdfast.nodes.data.reading import collect
from holdfast.nodes.data.sources import find_sources
from holdfast.nodes.registry import REGISTRY
from tests.unit.fakes_market import write

GOOD = "year,make,units\n2001,A,3\n2002,A,4\n"
BAD = {
    "an empty file": ("e.csv", "", "e.csv is empty; give a file with a header and rows"),
    "only comments": ("c.csv", "# a\n# b\n", "c.csv has no header and no rows; give a file with both"),
    "a header only": ("h.csv", "a,b\n", "h.csv has a header but no rows; give a file with data below line 1"),
    "a binary file": (
        "b.csv",
        b"a,b\n\x00\x01,2\n",
        "b.csv is a binary file (a zero byte at offset 4); give a CSV, TSV, JSON or Parquet file",
    ),
    "an Excel workbook": (
        "x.xlsx",
        b"PK\x03\x04rest",
        "x.xlsx is an Excel workbook or zip archive; save its table as CSV and give that file",
    ),
    "not UTF-8": (
        "l.csv",
        "a,b\n1,2\ncafé,3\n".encode("latin-1"),
        "l.csv is not UTF-8: byte 0xe9 at offset 11 (line 3); save it as UTF-8 and try again",
    ),
    "the same name twice but for case": (
        "d.csv",
        "Make,units,MAKE\nx,1,y\n",
        "columns 1 and 3 of d.csv are both named 'MAKE'; rename one of them",
    ),
    "a column without a name": ("n.csv", "a, ,c\n1,2,3\n", "column 2 of n.csv has no name; name it in the header"),
    "a row too long": (
        "r.csv",
        "a,b\n1,2\n3,4,5\n6\n",
        "line 3 of r.csv has 3 cells where the header has 2; correct that line",
    ),
    "a row too short": (
        "s.csv",
        "a,b\n1,2\n3\n",
        "line 3 of s.csv has 1 cell where the header has 2; correct that line",
    ),
    "a ragged row after a cell of two lines": (
        "q.csv",
        'a,b\n1,"two\nlines"\n3\n',
        "line 4 of q.csv has 1 cell where the header has 2; correct that line",
    ),
    "a false Parquet file": (
        "p.parquet",
        "a,b\n1,2\n",
        "p.parquet is named like a Parquet file and is none; save it again or rename it",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_named_in_one_sentence_before_anything_starts(tmp_path: Path, case: str) -> None:
    name, content, sentence = BAD[case]
    path = write(tmp_path / name, content)
    with pytest.raises(BadInput) as raised:
        check_inputs([path])
    assert str(raised.value) == sentence


def test_a_missing_file_a_folder_without_data_and_a_pattern_without_match_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, words in [("gone.csv", "there is no file"), ("empty", "has no data files"), ("*.csv", "no file fits")]:
        with pytest.raises(BadInput, match=words):
            check_inputs([tmp_path / path])


def test_no_path_at_all_says_how_to_give_one() -> None:
    with pytest.raises(BadInput, match="give a file or folder with --data"):
        check_inputs([])


def test_what_lies_beyond_the_first_megabyte_is_found_when_it_is_read(tmp_path: Path) -> None:
    long = "a,b\n" + "1,2\n" * 1_200_000
    for tail, sentence in [
        (b"3\n", "line 1200002 of t.csv has 1 cell where the header has 2; correct that line"),
        (b"\xff,3\n", "t.csv is not UTF-8: byte 0xff at offset 4800004 (line 1200002); save it as UTF-8 and try again"),
    ]:
        path = write(tmp_path / "t.csv", long.encode() + tail)
        check_inputs([path])
        with pytest.raises(BadInput) as raised:
            collect([path], tmp_path / "out.parquet")
        assert str(raised.value) == sentence


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_byte_order_marks_and_utf_16_are_read(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "u.csv", "jahr,größe\n2001,ä\n2002,ö\n".encode(encoding))
    collected = collect([path], tmp_path / "out.parquet")
    assert (collected.rows, collected.columns) == (2, ["jahr", "größe"])


@pytest.mark.parametrize(("name", "sign"), [("a.csv", ";"), ("a.csv", "|"), ("a.tsv", "\t"), ("a.txt", "\t")])
def test_the_delimiter_is_found(tmp_path: Path, name: str, sign: str) -> None:
    path = write(tmp_path / name, GOOD.replace(",", sign))
    assert collect([path], tmp_path / "out.parquet").columns == ["year", "make", "units"]


def test_leading_comments_are_notes_and_later_ones_are_data(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "# Synthetic data\n#second\n" + GOOD + "2003,# C,5\n")
    collected = collect([path], tmp_path / "out.parquet")
    assert collected.notes == ["Synthetic data", "second"]
    assert collected.rows == 3


def test_a_folder_gives_its_data_files_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.md", ".hidden.csv"):
        write(tmp_path / name, GOOD)
    assert [source.name for source in find_sources([tmp_path, tmp_path / "a.csv", str(tmp_path / "*.csv")])] == [
        "a.csv",
        "b.csv",
    ]


def test_the_files_of_a_subtask_are_named_without_opening_them(tmp_path: Path) -> None:
    paths = [str(write(tmp_path / name, text)) for name, text in (("a.csv", GOOD), ("broken.csv", "a,b\n1\n"))]
    assert REGISTRY.get("collect_data").paths({"params": {"paths": [str(tmp_path)]}}) == {str(tmp_path), *paths}


def test_small_files_are_read_on_trial_so_that_a_missing_time_column_is_told_before_anything_starts(
    tmp_path: Path,
) -> None:
    check_inputs([write(tmp_path / "good.csv", GOOD)])
    with pytest.raises(BadInput, match="no time column among make, units"):
        check_inputs([write(tmp_path / "bad.csv", "make,units\nA,1\nB,2\n")])
    check_inputs([tmp_path / "bad.csv"], for_report=False)
    with pytest.raises(BadInput, match="cannot be put together"):
        check_inputs([tmp_path / "good.csv", write(tmp_path / "other.csv", "c,d\n1,2\n")])
