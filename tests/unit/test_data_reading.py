"""Files become one table: stacked, joined, or refused; provenance is told exactly."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.data.engine import QueryFailed, connect, literal, quoted
from holdfast.nodes.data.reading import collect
from tests.unit.fakes_market import write


def rows(path: Path) -> list[tuple[object, ...]]:
    with connect(read=[path]) as engine:
        return [tuple(row.values()) for row in engine.rows(f"SELECT * FROM read_parquet({literal(str(path))})")]


def test_files_with_the_same_columns_are_stacked_whatever_their_order(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "year,make,units\n2001,A,3\n")
    second = write(tmp_path / "b.csv", "units,Year,make\n5,2002,B\n")
    collected = collect([first, second], tmp_path / "out.parquet")
    assert rows(tmp_path / "out.parquet") == [("2001", "A", "3"), ("2002", "B", "5")]
    assert collected.how == "2 files stacked"


def test_a_file_with_a_unique_shared_key_is_joined_and_unmatched_rows_stay(tmp_path: Path) -> None:
    facts = write(tmp_path / "facts.csv", "year,make,units\n2001,A,3\n2001,C,4\n2002,A,5\n")
    makes = write(tmp_path / "makes.csv", "make,country\nA,Norway\nB,Sweden\n")
    collected = collect([makes, facts], tmp_path / "out.parquet")
    assert sorted(rows(tmp_path / "out.parquet"), key=str) == [
        ("2001", "A", "3", "Norway"),
        ("2001", "C", "4", None),
        ("2002", "A", "5", "Norway"),
    ]
    assert collected.how == "one file; joined with makes.csv on make"


@pytest.mark.parametrize(
    ("second", "why"),
    [("c,d\n1,2\n", "they share no column"), ("b,c\n1,2\n1,3\n", "b repeats in s.csv, so rows would multiply")],
)
def test_files_that_can_be_neither_are_named_with_their_columns(tmp_path: Path, second: str, why: str) -> None:
    paths = [write(tmp_path / "f.csv", "a,b\n1,1\n2,1\n3,1\n"), write(tmp_path / "s.csv", second)]
    with pytest.raises(BadInput) as raised:
        collect(paths, tmp_path / "out.parquet")
    assert str(raised.value).startswith("f.csv (columns a, b) and s.csv (columns ")
    assert why in str(raised.value)


def test_provenance_is_name_hash_size_rows_and_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,b\n1,2\n3,4\n")
    [info] = collect([path], tmp_path / "out.parquet").files
    content = path.read_bytes()
    assert (info.name, info.sha256, info.bytes) == ("a.csv", hashlib.sha256(content).hexdigest(), len(content))
    assert (info.rows, info.columns, info.path) == (2, ["a", "b"], str(path))


@pytest.mark.parametrize("content", ['[{"a":1,"b":"x"},{"a":2.5,"b":null}]', '{"a":1,"b":"x"}\n{"a":2.5,"b":null}\n'])
def test_json_arrays_and_lines_are_read(tmp_path: Path, content: str) -> None:
    collect([write(tmp_path / "a.json", content)], tmp_path / "out.parquet")
    assert [row[1] for row in rows(tmp_path / "out.parquet")] == ["x", None]


def test_json_that_is_no_table_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"a\.json holds no table; give a JSON array of objects"):
        collect([write(tmp_path / "a.json", "[1, 2]")], tmp_path / "out.parquet")
    with pytest.raises(BadInput, match=r"b\.json cannot be read as json"):
        collect([write(tmp_path / "b.json", '{"a": 1')], tmp_path / "out.parquet")


def test_parquet_is_read(tmp_path: Path) -> None:
    with connect(write=[tmp_path]) as engine:
        target = literal(str(tmp_path / "a.parquet"))
        engine.run(f"COPY (SELECT 2001 AS year, 1.5 AS price) TO {target} (FORMAT parquet)")
    collect([tmp_path / "a.parquet"], tmp_path / "out.parquet")
    assert rows(tmp_path / "out.parquet") == [("2001", "1.5")]


def test_more_cells_than_the_limit_are_refused_with_both_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,b\n" + "1,2\n" * 100)
    with pytest.raises(BadInput, match=r"a\.csv has about 20\d cells, more than the limit of 150"):
        collect([path], tmp_path / "out.parquet", max_cells=150)


def test_hostile_cells_are_carried_through_as_text(tmp_path: Path) -> None:
    cells = ["=1+1", "<script>alert(1)</script>", 'say ""hi""', "\u202eright to left", "x'; DROP TABLE data; --"]
    path = write(tmp_path / "a.csv", '"na""me; --",n\n' + "".join(f'"{cell}",1\n' for cell in cells))
    collected = collect([path], tmp_path / "out.parquet")
    assert collected.columns == ['na"me; --', "n"]
    assert [row[0] for row in rows(tmp_path / "out.parquet")] == [cell.replace('""', '"') for cell in cells]


def test_the_engine_reads_and_writes_only_what_it_was_given(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.csv", "a\n1\n")
    with connect(read=[tmp_path / "other.csv"]) as engine:
        for sql in [
            f"SELECT * FROM read_csv({literal(str(secret))})",
            f"COPY (SELECT 1) TO {literal(str(tmp_path / 'out.csv'))}",
            "INSTALL httpfs",
            "SET enable_external_access = true",
        ]:
            with pytest.raises(QueryFailed):
                engine.run(sql)


def test_identifiers_and_literals_are_quoted() -> None:
    assert quoted('a"b') == '"a""b"'
    assert literal("it's") == "'it''s'"
