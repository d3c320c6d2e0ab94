"""What an agent reads: the files given, by their names, as text, in parts; hostile ones are refused with a sentence."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.agent import confined, documents, fetch, files, query
from holdfast.nodes.agent.asking import Question, ask
from holdfast.nodes.agent.documents import PART, Part, from_html, read
from holdfast.nodes.agent.page import plain
from holdfast.nodes.agent.reach import Reach
from holdfast.nodes.agent.tools import TOOLS, Desk, ToolRefused, clipped, tool


def pdf(*texts: str) -> bytes:
    """A PDF with a page for each text."""
    font = 3 + 2 * len(texts)
    kids = " ".join(f"{3 + 2 * at} 0 R" for at in range(len(texts)))
    objects = ["<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Kids[{kids}]/Count {len(texts)}>>"]
    for at, text in enumerate(texts):
        page = f"/MediaBox[0 0 300 200]/Contents {4 + 2 * at} 0 R/Resources<</Font<</F {font} 0 R>>>>"
        drawn = f"BT /F 12 Tf 20 100 Td ({text}) Tj ET"
        objects.append(f"<</Type/Page/Parent 2 0 R{page}>>")
        objects.append(f"<</Length {len(drawn)}>> stream\n{drawn}\nendstream")
    objects.append("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
    body, places = "%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj {one} endobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    return (
        f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}trailer <</Root 1 0 R/Size {size}>>\n"
        f"startxref\n{len(body)}\n%%EOF\n"
    ).encode()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "given"
    made.mkdir()
    (made / "notes.md").write_text("# Notes\n\n" + "é" * 25_000)
    (made / "page.html").write_text(
        "<title>T</title><p>One <b>two</b><script>alert(1)</script><style>p{}</style><!-- no -->"
        "<table><tr><td>a<td>b</table><a href='https://example.org/x'>link</a><ul><li>x</ul>"
    )
    (made / "two.pdf").write_bytes(pdf("First page", "Second page"))
    (made / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of it")
    (made / "zero.txt").write_bytes(b"a\0b")
    (made / "wide.txt").write_bytes("Füße".encode("utf-16"))
    (made / "latin.txt").write_bytes("Füße".encode("latin-1"))
    (made / "sales.csv").write_text("a,b\n1,2\n")
    (made / "Sales 2024.csv").write_text("a,b\n1,2\n")
    (made / "secret.key").write_text("not readable")
    (tmp_path / "outside.md").write_text("planted-secret")
    return made


@pytest.fixture
def desk(folder):
    async def asked(prompt, schema, default):
        raise AssertionError

    return Desk(files.given([str(folder)]), Reach(), asked)


def test_a_folder_is_what_can_be_read_in_it_and_names_have_no_paths(folder):
    given = files.given([str(folder), str(folder / "notes.md")])
    names = {one.name: one.table for one in given.files}
    assert names["sales.csv"] == "sales"
    assert names["Sales 2024.csv"] == "sales_2024"
    assert names["notes.md"] is None
    assert "secret.key" not in names
    assert len(names) == 9
    assert str(folder) not in str(given)
    assert "- sales.csv, 8 bytes, in SQL the table sales" in str(given)


def test_two_files_of_one_name_are_told_apart(folder, tmp_path):
    (tmp_path / "sales.csv").write_text("a\n1\n")
    given = files.given([str(folder / "sales.csv"), str(tmp_path / "sales.csv")])
    assert [(one.name, one.table) for one in given.files] == [("sales.csv", "sales"), ("sales.csv 2", "sales_2")]


def test_a_file_that_is_not_there_is_said_in_a_sentence(tmp_path):
    with pytest.raises(BadInput, match="there is no file"):
        files.given([str(tmp_path / "nothing.csv")])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"file": "notes.md", "offset": 25_000}, "éééé"),
        ({"file": "page.html"}, "T\nOne two\n| a | b\nlink (https://example.org/x)\nx"),
        ({"file": "two.pdf"}, "Page 1 of 2.\nFirst page"),
        ({"file": "two.pdf", "page": 2}, "Page 2 of 2.\nSecond page"),
        ({"file": "wide.txt"}, "Füße"),
        ({"file": "latin.txt"}, "F\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}e"),
        ({"file": "sales.csv"}, "a,b\n1,2\n"),
    ],
)
async def test_a_document_is_read_as_text(desk, arguments, text):
    assert text in await read(Part(**arguments), desk)


async def test_a_long_document_comes_in_parts_that_say_where_the_next_begins(desk):
    first = await read(Part(file="notes.md"), desk)
    assert first.startswith("# Notes")
    assert first.endswith(f"the next part has offset {PART}]")
    last = await read(Part(file="notes.md", offset=2 * PART), desk)
    assert "next part" not in last
    with pytest.raises(ToolRefused, match="there is nothing at 90,000"):
        await read(Part(file="notes.md", offset=90_000), desk)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"file": "note.md"}, "did you mean 'notes.md'"),
        ({"file": "../outside.md"}, "there is no file"),
        ({"file": "/etc/passwd"}, "there is no file"),
        ({"file": "secret.key"}, "there is no file"),
        ({"file": "zero.txt"}, "binary file"),
        ({"file": "broken.pdf"}, "cannot be read"),
        ({"file": "two.pdf", "page": 3}, "the file has 2 pages"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_a_sentence(desk, arguments, told):
    with pytest.raises(BadInput, match=told):
        await read(Part(**arguments), desk)


async def test_a_file_that_is_too_large_is_refused(desk, monkeypatch):
    monkeypatch.setattr(documents, "LARGEST", 10)
    with pytest.raises(ToolRefused, match="can be read"):
        await read(Part(file="notes.md"), desk)


async def test_a_query_that_takes_too_long_or_too_much_is_ended_with_a_sentence(desk, monkeypatch):
    monkeypatch.setattr(query, "SECONDS", 1.0)
    began = time.monotonic()
    with pytest.raises(BadInput, match=r"it took longer than 1 s; ask for less"):
        await query.query(query.Query(sql="SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a<b"), desk)
    assert time.monotonic() - began < 5
    monkeypatch.setattr(query, "SECONDS", 30.0)
    with pytest.raises(BadInput, match=r"(?i)memory"):
        await query.query(query.Query(sql="SELECT list(repeat('x', 1000000)) AS x FROM range(100000)"), desk)


async def test_the_process_of_a_query_has_no_environment(desk, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "planted-secret")
    told = await confined.confined("tests.unit.confined_probe", {})
    assert set(told["environment"]) <= {"PYTHONPATH", "HOME", "TMPDIR", "LC_CTYPE", "LANGGRAPH_STRICT_MSGPACK"}
    assert told["folder"] == []


async def test_a_question_is_asked_with_its_options_as_a_schema():
    asked = []

    async def person(prompt, schema, default):
        asked.append((prompt, schema, default))
        return {"a": 1}

    desk = Desk(files.Files(), Reach(), person)
    assert await ask(Question(question="Which?", options=["a", "b", "a"], default="a"), desk) == '{"a": 1}'
    await ask(Question(question="How many?", answer_schema={"type": "integer"}), desk)
    await ask(Question(question="Why?"), desk)
    assert asked == [
        ("Which?", {"enum": ["a", "b"]}, "a"),
        ("How many?", {"type": "integer"}, None),
        ("Why?", {"type": "string"}, None),
    ]


def test_a_page_that_is_nested_oddly_is_still_read():
    assert plain("<div>" * 5000 + "x" + "</script></p>" * 10) == "x"
    assert plain("<style><script>a</style>b</script>c") in ("c", "", "bc")
    assert plain("<a href='javascript:x'>y</a></a>") == "y"


@pytest.mark.parametrize("page", ["<a href='" * 8000, "<!--" * 20_000])
async def test_a_page_that_takes_for_ever_is_ended_and_holds_up_nobody(monkeypatch, page):
    monkeypatch.setattr("holdfast.nodes.agent.documents.PAGE_SECONDS", 1.0)
    longest, last = 0.0, time.monotonic()

    async def beat() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

    beating = asyncio.create_task(beat())
    began = time.monotonic()
    with suppress(BadInput):
        await from_html(page)
    beating.cancel()
    assert time.monotonic() - began < 10
    assert longest < 1


async def test_a_page_that_the_parser_fails_on_is_refused():
    with pytest.raises(BadInput, match="cannot be read"):
        await from_html("<![foo[ x ]]>")


def test_each_tool_says_what_it_is_for_with_a_schema_of_its_arguments():
    assert TOOLS["fetch"].use is fetch.fetch
    for name in ("query", "read", "ask", "fetch"):
        about = TOOLS[name].about()["function"]
        assert about["name"] == name
        assert len(about["description"]) > 20
        assert about["parameters"]["type"] == "object"
        assert "title" not in str(about["parameters"])


def test_a_tool_needs_a_name_and_typed_arguments():
    with pytest.raises(BadInput, match="pydantic model"):

        @tool("untyped", tools={})
        async def untyped(arguments: dict, desk: Desk) -> str:
            return ""

    with pytest.raises(BadInput, match="already taken"):

        @tool("query")
        async def other(arguments: Part, desk: Desk) -> str:
            return ""


def test_what_is_too_long_is_clipped_and_what_cannot_be_stored_is_replaced():
    assert clipped("x" * 20, 10) == "xxxxxxxxxx\n[10 more characters are left out]"
    assert clipped("a\0\ud800b") == "a\N{REPLACEMENT CHARACTER}?b"
