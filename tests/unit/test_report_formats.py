"""Markdown, HTML, PDF and evidence of one document: nothing escapes, nothing is lost, nothing changes by itself."""

from __future__ import annotations

import io
import itertools
import json
import re
import unicodedata
from html.parser import HTMLParser
from typing import Any

import pypdf
import pytest

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.report.charts import Drawing, draw
from holdfast.nodes.report.document import Document, Figure, Paragraph, Span
from holdfast.nodes.report.evidence import to_evidence
from holdfast.nodes.report.html import to_html
from holdfast.nodes.report.markdown import escape, to_markdown
from holdfast.nodes.report.pdf import to_pdf
from holdfast.nodes.report.text import clean, plain
from tests.unit.fakes_report import HOSTILE, sections

SHOWN = clean(HOSTILE)
SOURCES = [{"name": "units.csv", "sha256": "ab" * 32, "rows": 10, "bytes": 99}]


def report(maker: str = "Maker A", **more: Any) -> Document:
    about = [("Source", f"units.csv\nread as {maker}"), ("Written by", "built-in rules, no AI")]
    return Document(title="Units by maker", subtitle="What they say", about=about, sections=sections(maker), **more)


def drawings(document: Document) -> dict[str, Drawing]:
    figures = [block for section in document.sections for block in section.blocks if isinstance(block, Figure)]
    return {figure.name: draw(figure) for figure in figures}


@pytest.fixture(scope="module")
def hostile() -> Document:
    return report(HOSTILE, banner=f"Synthetic: {HOSTILE}")


@pytest.fixture(scope="module")
def hostile_drawings(hostile: Document) -> dict[str, Drawing]:
    return drawings(hostile)


@pytest.fixture(scope="module")
def page(hostile: Document, hostile_drawings: dict[str, Drawing]) -> str:
    return to_html(hostile, hostile_drawings, to_evidence(hostile, SOURCES, {}).decode())


@pytest.fixture(scope="module")
def pdf(hostile: Document, hostile_drawings: dict[str, Drawing]) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(to_pdf(hostile, hostile_drawings)))


class Reader(HTMLParser):
    """What a browser would see: tags with attributes, and the text outside style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self._in_style = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if not self._in_style:
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_html_shows_a_hostile_name_and_makes_no_tag_of_it(page: str):
    reader = Reader(page)
    assert reader.all("script") == [{"type": "application/json", "id": "evidence"}]  # data: nothing in it is run
    assert "".join(reader.text).count(SHOWN) >= 6
    assert not any(key.startswith("on") for _, attributes in reader.tags for key in attributes)


def test_markdown_shows_a_hostile_name_as_it_is(hostile: Document):
    text = to_markdown(hostile)
    assert "<script" not in text
    row = next(line for line in text.splitlines() if "26,574" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 6  # five cells
    assert r"\*b\* \_i\_ \\ \| \`c\` \[l\](u)" in row


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("norway_new_car", "norway_new_car"),
        ("_x_", r"\_x\_"),
        ("a<b & c", "a&lt;b & c"),
        ("&lt;", "&amp;lt;"),
        ("$5 to $6", r"\$5 to \$6"),
        ("~~no~~", r"\~\~no\~\~"),
    ],
)
def test_markdown_escapes_only_what_would_be_read_as_a_sign(name: str, written: str):
    assert escape(name) == written


@pytest.mark.parametrize("start", ["# x", "> x", "- x", "+ x", "=x", "1. x", "12) x"])
def test_a_paragraph_that_begins_with_a_sign_stays_a_paragraph(start: str):
    document = report()
    document.sections[1].blocks = [Paragraph(spans=[Span(text=start)])]
    line = to_markdown(document).split("## Market overview\n\n")[1].splitlines()[0]
    assert line.replace("\\", "") == start
    assert line.index("\\") < 3


def test_bold_runs_next_to_each_other_are_one_run():
    document = report()
    spans = [Span(text="A ", bold=True), Span(text="B", bold=True), Span(text=" c")]
    document.sections[1].blocks = [Paragraph(spans=spans)]
    assert "\n**A B** c\n" in to_markdown(document)


def test_pdf_shows_a_hostile_name_as_it_is(pdf: pypdf.PdfReader):
    text = re.sub(r"\s+", " ", " ".join(page.extract_text() for page in pdf.pages))
    assert text.count("#set @me *b* _i_ \\") >= 5
    assert "<script>alert('x')</script>" in text


def test_no_format_lets_a_name_turn_the_reading_direction(page: str, hostile: Document, pdf: pypdf.PdfReader):
    text = page + to_markdown(hostile) + "".join(page.extract_text() for page in pdf.pages)
    assert not re.search("[\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)


def test_control_and_half_characters_do_not_get_through():
    assert clean("a\x00b\x1bc\nd\ud800e\u202ef g") == "abc d\ufffdef g"
    for c in map(chr, range(0x110000)):
        bad = unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\u061c\u200e\u200f\ufeff"
        bad = bad or "\u202a" <= c <= "\u202e" or "\u2066" <= c <= "\u2069"
        assert (clean(c) != c) == bad, hex(ord(c))


def test_html_fetches_nothing(page: str):
    addresses = re.findall(r"(?:src|href|xlink:href)=\"([^\"]*)\"|url\(([^)]{0,30})", page)
    assert addresses
    assert all((a or b).startswith(("#", "data:", "#")) for a, b in addresses)
    assert "@import" not in page
    assert "http://" not in page.replace("http://www.w3.org/", "")


def test_html_carries_its_evidence_whatever_names_are_in_it(page: str, hostile: Document):
    inside = page[page.index('id="evidence">') + len('id="evidence">') : page.rindex("</script>")]
    assert "<" not in inside
    assert json.loads(inside) == json.loads(to_evidence(hostile, SOURCES, {}))
    assert HOSTILE in [fact["value"] for fact in json.loads(inside)["facts"]]


def test_html_lets_a_browser_run_and_fetch_nothing(page: str):
    (policy,) = [one["content"] for one in Reader(page).all("meta") if "http-equiv" in one]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; font-src data:; img-src data:"


def test_html_can_be_read_by_machine_and_keyboard(page: str):
    reader = Reader(page)
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert reader.all("html") == [{"lang": "en"}]
    assert len(reader.all("h1")) == 1
    assert reader.all("a")[0] == {"class": "skip", "href": "#report"}
    assert {a["href"][1:] for a in reader.all("a")} <= set(ids)
    assert all(th.get("scope") in ("col", "row") for th in reader.all("th"))
    assert len(reader.all("caption")) == len(reader.all("table"))
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_each_chart_has_an_alternative_text_with_figures_and_a_table_of_its_values(page: str, hostile: Document):
    images = [attributes for attributes in Reader(page).all("svg") if attributes.get("role") == "img"]
    assert len(images) == 4  # each for a wide and for a narrow screen; one of them is shown
    for image in images:
        assert len(image["aria-label"].split()) >= 8
        assert re.search(r"\d", image["aria-label"])
    assert page.count("Values behind figure") == 2
    assert len(re.findall(r"!\[[^\]]*\d[^\]]*\]\(charts/\w+\.png\)", to_markdown(hostile).replace(r"\]", ""))) == 2


def test_html_changes_chart_colours_in_the_dark_and_not_in_print(page: str):
    dark = page[page.rindex("@media screen and (prefers-color-scheme: dark)") :]
    assert '.chart [fill="#0072b2"]{fill:#56b4e9}' in dark
    assert "@page" in page


def test_the_banner_is_the_first_thing_to_read(hostile: Document, page: str, pdf: pypdf.PdfReader):
    assert to_markdown(hostile).startswith("> **Synthetic: ")
    assert page.index("Synthetic: ") < page.index("<h1>")
    assert pdf.pages[0].extract_text().startswith("Synthetic: ")


def test_the_pdf_is_tagged_and_has_title_language_outline_and_page_numbers(pdf: pypdf.PdfReader):
    root = pdf.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/StructTreeRoot"]
    assert b"pdfuaid:part>1<" in root["/Metadata"].get_data().replace(b" ", b"")
    assert root["/Lang"].startswith("en")
    assert pdf.metadata is not None
    assert pdf.metadata.title == "Units by maker"
    titles = [item["/Title"] for item in pdf.outline[1] if not isinstance(item, list)]
    assert titles == [section.title for section in sections()]
    for number, sheet in enumerate(pdf.pages, 1):
        text = sheet.extract_text()
        assert f"{number} / {len(pdf.pages)}" in text
        assert "built-in rules, no AI" in text


def test_the_pdf_embeds_its_fonts(pdf: pypdf.PdfReader):
    fonts = pdf.pages[0]["/Resources"]["/Font"]
    assert fonts
    for font in fonts.values():
        below = font.get_object()["/DescendantFonts"][0].get_object()
        assert "HoldfastSans" in below["/BaseFont"]
        assert {"/FontFile2", "/FontFile3"} & set(below["/FontDescriptor"].get_object())


def test_a_long_table_repeats_its_head_on_each_page():
    document = report()
    table = document.sections[2].blocks[-1]
    assert table.type == "table"
    table.rows = [table.rows[0] for _ in range(90)]
    reader = pypdf.PdfReader(io.BytesIO(to_pdf(document, drawings(document))))
    assert sum("Change since 2011" in sheet.extract_text() for sheet in reader.pages) >= 3


def test_a_hash_in_a_table_stays_on_the_page():
    document = report()
    table = document.sections[4].blocks[0]
    assert table.type == "table"
    table.rows[0][1] = "0123456789abcdef" * 4
    sheets = pypdf.PdfReader(io.BytesIO(to_pdf(document, drawings(document)))).pages
    lines = [line for sheet in sheets for line in sheet.extract_text().splitlines()]
    assert not any(table.rows[0][1] in line.replace("\u200b", "") for line in lines)
    assert '<td class="long">0123456789abcdef' in to_html(document, drawings(document))


def test_every_fact_in_the_text_leads_to_subtask_query_and_file():
    document = report()
    evidence = json.loads(to_evidence(document, SOURCES, {"market_overview": "analyse_market"}))
    facts = {fact["id"]: fact for fact in evidence["facts"]}
    queries = {query["id"]: query for query in evidence["queries"]}
    hashes = {source["sha256"] for source in evidence["sources"]}
    stated = {span.fact for section in document.sections for span in _spans(section) if span.fact}
    assert stated
    for name in stated:
        assert facts[name]["subtask"]
        assert set(queries[facts[name]["query"]]["files"]) <= hashes
        assert "select" in queries[facts[name]["query"]]["sql"]


def test_numbers_in_tables_and_charts_are_in_the_evidence():
    evidence = to_evidence(report(), SOURCES, {}).decode()
    for number in ("26,574", "−1.2", "104.0", "10 rows, 17 units"):
        assert number in evidence


def test_a_title_is_not_its_own_evidence():
    document = report()
    table = document.sections[2].blocks[-1]
    assert table.type == "table"
    table.caption = "Exactly 987,654 makers"
    assert "987,654" not in to_evidence(document, SOURCES, {}).decode()


def test_a_fact_that_nobody_gave_stops_the_report():
    document = report()
    document.sections[1].blocks.append(Paragraph(spans=[Span(text="7", fact="invented")]))
    with pytest.raises(BadInput, match="invented"):
        to_evidence(document, SOURCES, {})


def test_one_fact_has_one_value_in_the_whole_report():
    document = report()
    document.sections[1].facts = [document.sections[0].facts[0].model_copy(update={"value": 138_999})]
    with pytest.raises(BadInput, match=r"another fact .* total_2018"):
        to_evidence(document, SOURCES, {})


def test_one_query_id_has_one_query():
    document = report()
    query = document.sections[0].queries[0]
    document.sections[1].queries = [query.model_copy(update={"sql": f"{query.sql} limit 1"})]
    with pytest.raises(BadInput, match=r"another query .* q01_yearly"):
        to_evidence(document, SOURCES, {})


def test_a_query_that_nobody_gave_stops_the_report():
    document = report()
    for section in document.sections:
        for fact in section.facts:
            fact.query = "q99"
    with pytest.raises(BadInput, match="q99"):
        to_evidence(document, SOURCES, {})


def test_each_format_is_the_same_from_run_to_run(hostile: Document, hostile_drawings: dict[str, Drawing], page: str):
    assert to_html(hostile, hostile_drawings, to_evidence(hostile, SOURCES, {}).decode()) == page
    assert to_markdown(hostile) == to_markdown(hostile)
    assert to_evidence(hostile, SOURCES, {}) == to_evidence(hostile, SOURCES, {})
    assert to_pdf(hostile, hostile_drawings) == to_pdf(hostile, hostile_drawings)


def test_rendering_does_not_change_the_document():
    document = report(HOSTILE)
    before = document.model_dump_json()
    to_markdown(document)
    to_html(document, drawings(document))
    assert document.model_dump_json() == before


def test_a_document_without_figures_or_queries_can_be_written():
    document = Document(title="Bare", subtitle="", about=[], sections=[sections()[-1]])
    assert to_markdown(document).startswith("# Bare\n\n## Method\n")
    assert "<h1>Bare</h1>" in to_html(document, {})
    assert to_pdf(document, {}).startswith(b"%PDF")


def _spans(section: Any) -> list[Span]:
    spans: list[Span] = []
    for block in section.blocks:
        if block.type in ("paragraph", "note"):
            spans += block.spans
        elif block.type == "bullets":
            spans += [span for item in block.items for span in item.spans]
    assert plain(spans) is not None
    return spans


@pytest.mark.parametrize("name", ["东风汽车", "ქართული", "\U0001f697 Cars"])
def test_a_name_in_a_script_that_no_font_here_has_does_not_cost_the_pdf(name: str):
    document = Document(title=name, subtitle="", about=[], sections=[sections()[-1]])
    assert to_pdf(document, {}).startswith(b"%PDF")
