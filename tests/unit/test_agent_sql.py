"""SQL of an agent reads the tables given and nothing else, whatever it says."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.agent import sql

SECRET = "planted-secret-of-another-file"
OTHER = "{other}"  # a file that was not given
ESCAPES = [  # none of which may read, write or reach anything
    "SELECT * FROM read_csv('{other}')",
    "SELECT * FROM read_csv_auto('{other}', header = false)",
    "SELECT * FROM read_text('{other}')",
    "SELECT * FROM read_blob('{other}')",
    "SELECT * FROM '{other}'",
    'SELECT * FROM "{other}"',
    "SELECT * FROM read_json('{other}')",
    "SELECT * FROM read_ndjson_objects('{other}')",
    "SELECT * FROM read_parquet('{other}')",
    "SELECT * FROM parquet_metadata('{other}')",
    "SELECT * FROM sniff_csv('{other}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM read_text('{folder}/*')",
    "SELECT * FROM read_text('{folder}/inside/../other.txt')",
    "SELECT * FROM read_text('{link}')",
    "SELECT * FROM read_text('file://{other}')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_csv('/dev/stdin')",
    "SELECT * FROM read_csv('http://127.0.0.1:{port}/x.csv')",
    "SELECT * FROM 'https://127.0.0.1:{port}/x.parquet'",
    "SELECT * FROM read_csv('s3://bucket/x.csv')",
    "SELECT * FROM read_text((SELECT '{other}'))",
    "SELECT content FROM query('SELECT * FROM read_text(''{other}'')')",
    "SELECT * FROM query_table('{other}')",
    "SELECT * FROM sqlite_scan('{other}', 't')",
    "COPY sales TO '{out}'",
    "COPY (SELECT * FROM sales) TO '{out}' (FORMAT parquet)",
    "COPY sales FROM '{other}'",
    "EXPORT DATABASE '{out}'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{other}' AS other",
    "ATTACH '{out}' AS other (TYPE sqlite)",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL httpfs FROM 'http://127.0.0.1:{port}'",
    "SET enable_external_access = true",
    "RESET enable_external_access",
    "SET allowed_directories = ['/']",
    "PRAGMA enable_external_access = true",
    "PRAGMA database_list",
    "SET lock_configuration = false",
    "CREATE TABLE t AS SELECT 1",
    "CREATE SECRET s (TYPE s3, KEY_ID 'x', SECRET 'y')",
    "CREATE MACRO f(p) AS TABLE SELECT * FROM read_text(p)",
    "DROP VIEW sales",
    "UPDATE sales SET amount = 0",
    "DELETE FROM sales",
    "INSERT INTO sales VALUES ('west', 1)",
    "CALL pragma_version()",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "PREPARE p AS SELECT 1",
    "SELECT 1; COPY sales TO '{out}'",
    "SELECT 1; SELECT * FROM read_text('{other}')",
    "SELECT 1) TO '{out}' --",
    "SELECT 1) LIMIT 1; COPY sales TO '{out}'; SELECT * FROM (SELECT 1",
    "SELECT * FROM sales) AS x, (SELECT * FROM read_text('{other}')",
    "EXPLAIN ANALYZE COPY sales TO '{out}'",
    "SELECT getenv('HOLDFAST_PLANTED')",
    "SELECT * FROM planted_frame",
    "SELECT * FROM duckdb_secrets()",
    "SELECT write_log('x')",
    "SELECT * FROM read_text('{folder}/nothing-there')",
    "",
    "-- nothing",
]


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """A table that was given beside a file that was not, and a server that must not be asked."""
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "inside").mkdir()
    (folder / "other.txt").write_text(f"{SECRET}\n{SECRET}\n")
    (tmp_path / "sales.csv").write_text("region,amount\nnorth,10\nsouth,32\n")
    link = tmp_path / "link.txt"
    link.symlink_to(folder / "other.txt")
    monkeypatch.setenv("HOLDFAST_PLANTED", SECRET)
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked: list[object] = []
        server.settimeout(0.05)
        done = threading.Event()

        def listen() -> None:
            while not done.is_set():
                try:
                    asked.append(server.accept())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        names = {"other": folder / "other.txt", "folder": folder, "link": link, "out": tmp_path / "out"}
        yield {**names, "port": server.getsockname()[1], "table": tmp_path / "sales.csv"}
        done.set()
        thread.join()
    assert not asked


def run(scene, text: str) -> dict:
    planted_frame = [SECRET]  # which DuckDB would find as a variable of its caller
    assert planted_frame
    return sql.work({"sql": text, "tables": {"sales": str(scene["table"])}})


def test_no_escape_reads_writes_or_reaches_anything(scene, tmp_path):
    before = sorted(map(str, tmp_path.rglob("*")))
    got, said = [], list[str]()
    for escape in ESCAPES:
        text = escape
        for name, value in scene.items():
            text = text.replace("{" + name + "}", str(value))
        try:
            told = run(scene, text)
        except BadInput as why:
            said.append(str(why))
            continue
        got.append((escape, told["rows"]))
    assert not [one for one in said if SECRET in one]
    assert [escape for escape, rows in got if any(cell is not None for row in rows for cell in row)] == []
    assert {escape for escape, _ in got} <= {"SELECT * FROM duckdb_secrets()", "SELECT write_log('x')"}
    assert len(ESCAPES) > 50
    assert sorted(map(str, tmp_path.rglob("*"))) == before
    assert scene["table"].read_text().endswith("south,32\n")


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ("SELECT sum(amount) AS total FROM sales", ["total"], [["42"]]),
        ("FROM sales ORDER BY amount DESC;", ["region", "amount"], [["south", "32"], ["north", "10"]]),
        ("WITH a AS (SELECT 1 AS x) SELECT * FROM a -- done", ["x"], [["1"]]),
        ("SELECT NULL AS x, DATE '2024-01-31' AS d, 1.50 AS n", ["x", "d", "n"], [[None, "2024-01-31", "1.50"]]),
        ("SELECT TIMESTAMPTZ '2024-01-31 00:00:00+00' AS t", ["t"], None),
        ("SELECT {'a': 1} AS s, [1, 2] AS l", ["s", "l"], [["{'a': 1}", "[1, 2]"]]),
        ("SELECT 1 AS a, 2 AS a", ["a", "a_1"], [["1", "2"]]),
    ],
)
def test_a_select_gives_its_rows_as_text(scene, text, columns, rows):
    told = run(scene, text)
    assert told["columns"] == columns
    assert rows is None or told["rows"] == rows


def test_describe_tells_the_columns(scene):
    assert [row[:2] for row in run(scene, "DESCRIBE sales")["rows"]] == [["region", "VARCHAR"], ["amount", "BIGINT"]]


def test_rows_and_cells_are_limited(scene):
    told = run(scene, "SELECT repeat('x', 5000) AS x FROM range(5000)")
    assert (len(told["rows"]), told["more"]) == (sql.ROWS, True)
    assert len(told["rows"][0][0]) == sql.CELL + 1


def test_no_folder_of_this_machine_is_told(scene, tmp_path):
    for text in ("SELECT sql FROM duckdb_views()", "SELECT current_setting('allowed_paths')", "SELECT * FROM nowhere"):
        try:
            told = str(run(scene, text))
        except BadInput as why:
            told = str(why)
        assert str(tmp_path) not in told
    assert os.path.exists(scene["table"])


def test_what_is_wrong_is_said_in_a_sentence(scene):
    with pytest.raises(BadInput, match="one SELECT is allowed, and this is SELECT and SELECT"):
        run(scene, "SELECT 1; SELECT 2")
    with pytest.raises(BadInput, match="one SELECT is allowed, and this is COPY"):
        run(scene, "COPY sales TO 'x'")
    with pytest.raises(BadInput, match="amuont"):
        run(scene, "SELECT amuont FROM sales")
