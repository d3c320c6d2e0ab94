"""Charts: drawn without a network, readable on their own, the same from run to run."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.report import charts
from tests.unit.fakes_report import HOSTILE, bar_figure, line_figure

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: bytes) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_chart_s_files_carry_title_and_subtitle_and_the_page_s_variant_does_not():
    figure = bar_figure()
    drawing = charts.draw(figure)
    assert figure.title in texts(drawing.svg)
    assert figure.title not in texts(drawing.page)
    assert "2014" in texts(drawing.page)


def test_title_and_subtitle_stand_above_the_chart_and_inside_the_picture():
    figure = bar_figure()
    figure.title, figure.subtitle = "A title that needs two lines " * 4, "and a subtitle that needs three " * 9
    drawing = charts.draw(figure)
    root, page = (ElementTree.fromstring(svg) for svg in (drawing.svg, drawing.page))
    heads = [float(text.attrib["y"]) for text in root.findall(f"{SVG}text")]
    assert len(heads) == 5
    assert all(b - a >= 16 for a, b in itertools.pairwise(heads))
    (chart,) = root.findall(f"{SVG}g")
    top = float(chart.attrib["transform"].split(",")[1].rstrip(")"))
    assert top >= heads[-1] + 5
    assert float(root.attrib["height"]) == top + float(page.attrib["height"]) + charts.MARGIN
    assert list(ElementTree.fromstring(drawing.page).itertext()) == list(chart.itertext())


def test_the_spec_can_be_drawn_by_anyone_and_says_what_it_shows():
    spec = json.loads(charts.draw(bar_figure()).spec)
    assert "vega-lite" in spec["$schema"]
    assert spec["title"]["text"] == ["Maker A led in each of eight years"]
    assert spec["description"] == bar_figure().alt
    assert len(spec["data"]["values"]) == 8


def test_a_chart_and_its_labels_fill_the_column():
    for figure in (bar_figure(), line_figure()):
        width = float(ElementTree.fromstring(charts.draw(figure).page).attrib["width"])
        assert abs(width - charts.WIDTH) <= 2


def test_panels_side_by_side_fill_the_column_together():
    figure = line_figure()
    panel = {"mark": "line", "encoding": figure.spec["encoding"]}
    values = [{**row, "name": name} for row in figure.spec["data"]["values"][:24] for name in "ABCDEF"]
    figure.spec = {"data": {"values": values}, "facet": {"field": "name"}, "columns": 3, "spec": panel}
    width = float(ElementTree.fromstring(charts.draw(figure).page).attrib["width"])
    assert abs(width - charts.WIDTH) <= 3


def test_a_chart_for_a_phone_is_as_wide_as_that_and_has_the_same_labels():
    for figure in (bar_figure(), line_figure()):
        drawing = charts.draw(figure)
        assert abs(float(ElementTree.fromstring(drawing.phone).attrib["width"]) - charts.PHONE) <= 2
        page, phone = (set(ElementTree.fromstring(svg).itertext()) for svg in (drawing.page, drawing.phone))
        assert phone <= page
        assert {"104", "139"} <= phone or figure.name == "monthly"


def test_panels_stand_two_and_two_on_a_phone():
    figure = line_figure()
    rows = [{**row, "maker": f"M{i}"} for row in figure.spec["data"]["values"][:24] for i in range(4)]
    figure.spec = {
        "data": {"values": rows},
        "facet": {"field": "maker", "type": "nominal"},
        "columns": 4,
        "spec": {"mark": "line", "encoding": figure.spec["encoding"]},
    }
    drawing = charts.draw(figure)
    wide, narrow = (ElementTree.fromstring(svg).attrib for svg in (drawing.page, drawing.phone))
    assert abs(float(narrow["width"]) - charts.PHONE) <= 3
    assert float(narrow["height"]) > 1.6 * float(wide["height"])


def test_a_chart_with_a_width_of_its_own_has_none_for_a_phone():
    figure = bar_figure()
    figure.spec = {**figure.spec, "width": 300}
    assert charts.draw(figure).phone == b""


def test_the_png_is_twice_as_large_as_the_svg_and_shows_text():
    drawing = charts.draw(bar_figure())
    silent = bar_figure()
    silent.title = silent.subtitle = ""
    assert drawing.png.startswith(b"\x89PNG")
    width = float(ElementTree.fromstring(drawing.svg).attrib["width"])
    assert abs(int.from_bytes(drawing.png[16:20], "big") - 2 * width) <= 2
    # a font name that does not parse once left every label out of the PNG and of nothing else
    assert len(drawing.png) > len(charts.draw(silent).png) + 3000


def test_a_font_stack_has_no_name_that_would_need_quotes():
    for name in charts.STACK.split(", "):
        assert all(word.replace("-", "").isalpha() for word in name.split())


def test_a_hostile_name_is_text_in_a_chart():
    figure = bar_figure(maker=HOSTILE)
    figure.spec["data"]["values"][0]["year"] = HOSTILE
    drawing = charts.draw(figure)
    root = ElementTree.fromstring(drawing.svg)
    assert {element.tag for element in root.iter()}.isdisjoint({f"{SVG}script", f"{SVG}a", f"{SVG}image"})
    assert any("<script>" in text for text in texts(drawing.svg))
    assert "\u202e" not in drawing.svg.decode()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.csv", "file:///etc/passwd"])
def test_a_spec_that_reads_from_outside_is_refused(address: str):
    figure = bar_figure()
    figure.spec["data"] = {"url": address}
    with pytest.raises(BadInput, match="inline"):
        charts.draw(figure)


def test_a_spec_that_makes_no_sense_is_the_caller_s_fault():
    figure = bar_figure()
    figure.spec = {
        "mark": "bar",
        "encoding": {"x": {"field": "a", "type": "quantitative", "axis": {"labelExpr": "((("}}},
    }
    with pytest.raises(BadInput, match="yearly"):
        charts.draw(figure)


def test_the_same_figure_gives_the_same_bytes_again_and_in_another_time_zone():
    here = charts.draw(line_figure())
    charts.draw(bar_figure())  # the engine counts ids through the process
    assert charts.draw(line_figure()) == here
    code = (
        "import sys; from tests.unit.fakes_report import line_figure; from holdfast.nodes.report import charts;"
        "sys.stdout.buffer.write(charts.draw(line_figure()).page)"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment = {**os.environ, "TZ": "America/Los_Angeles", "PYTHONPATH": root}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert run.stdout == here.page


def test_without_the_extra_a_person_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch):
    charts._engine.cache_clear()
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(BadInput, match=r"pip install 'holdfast\[report\]'"):
        charts.draw(bar_figure())
    charts._engine.cache_clear()
