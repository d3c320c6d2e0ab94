"""The task types that draw the charts and write the report; both may run again and give the same bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from holdfast.checkpoints.errors import BadInput
from holdfast.nodes.context import TaskContext
from holdfast.nodes.data import engine
from holdfast.nodes.registry import installed, task_type
from holdfast.nodes.report import charts
from holdfast.nodes.report.charts import PARTS, Drawing, draw
from holdfast.nodes.report.document import Document, Figure, Section
from holdfast.nodes.report.evidence import require_backing, to_evidence
from holdfast.nodes.report.html import to_html
from holdfast.nodes.report.markdown import to_markdown
from holdfast.nodes.report.pdf import to_pdf
from holdfast.nodes.report.recipe import Recipe, write_recipe
from holdfast.nodes.report.text import clean, plain, slug
from holdfast.nodes.report.timeline import write_timeline

ORDER = (
    "executive_summary",
    "market_overview",
    "competitor_analysis",
    "trends_analysis",
    "forecast",
    "recommendations",
    "data_quality",
    "method",
)


class ReportParams(BaseModel):
    """What stands at the head of the report; without a title the goal is the title."""

    model_config = ConfigDict(extra="forbid")

    title: str = ""
    subtitle: str = ""
    goal: str = ""


class ChartParams(BaseModel):
    """Which figures to draw: those of one section, or all there are."""

    model_config = ConfigDict(extra="forbid")

    section: str = ""


@dataclass
class Gathered:
    """What the inputs bring along: sections with the subtask that wrote each, and what describes the whole."""

    sections: dict[str, Section] = field(default_factory=dict)
    authors: dict[str, str] = field(default_factory=dict)
    figures: dict[str, dict[str, str]] = field(default_factory=dict)  # hashes of what the chart subtasks stored
    about: list[tuple[str, str]] = field(default_factory=list)
    banner: str = ""
    sources: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """A report before it is rendered; ``evidence`` is evidence.json."""

    document: Document
    found: Gathered
    evidence: bytes


@task_type("chart", pure=True, made_with=charts.MADE_WITH)
async def chart(params: ChartParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Draws the figures of the analyses among its dependencies as SVG and PNG, for compile_report."""
    sections = gather(inputs).sections
    figures = _figures(section for section in sections.values() if params.section in ("", section.id))
    drawn = []
    for number, figure in enumerate(figures):
        ctx.progress(number, len(figures))
        drawing = await asyncio.to_thread(draw, figure)
        parts = {part: await ctx.store(getattr(drawing, part)) for part in PARTS}
        drawn.append({"name": slug(figure.name), **parts})
    ctx.progress(len(figures), len(figures))
    return {"figures": drawn}


@task_type("compile_report")
async def compile_report(params: ReportParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Puts the sections of its dependencies together as report.md, report.html, report.pdf and evidence.json."""
    record = await ctx.record()
    report = put_together(params, inputs, write_recipe(record, params, inputs))
    drawings = await _drawings(report, ctx)
    run = write_timeline(record["plan"], record["events"])
    names = []
    async for name, data in _files(report, drawings, run):
        await ctx.artifact(name, data)
        names.append(name)
        ctx.progress(len(names), 4 + 3 * len(drawings))
    return {"artifacts": names, "title": report.document.title, "headline": headline(report.document)}


def put_together(params: ReportParams, inputs: dict[str, Any], recipe: Recipe) -> Report:
    """Document and evidence from the results of the dependencies; raises BadInput for a number without a source."""
    found = gather(inputs)
    document = _document(params, found, recipe)
    require_backing(document)
    more = {"recipe": recipe.to_json(), "versions": versions()}
    return Report(document, found, to_evidence(document, found.sources, found.authors, more))


async def page(report: Report) -> str:
    """report.html without the appendix on the run, its charts drawn now."""
    drawings = {slug(one.name): await asyncio.to_thread(draw, one) for one in _figures(report.document.sections)}
    return await asyncio.to_thread(to_html, report.document, drawings, report.evidence.decode())


def versions() -> Mapping[str, str]:
    """The installed versions of what wording, figures and drawings depend on."""
    return {name: installed(name) for name in dict.fromkeys((*engine.MADE_WITH, *charts.MADE_WITH))}


def gather(inputs: dict[str, Any]) -> Gathered:
    """Takes apart the results of the dependencies; what is neither section nor about the whole is left alone."""
    found = Gathered()
    for subtask, result in inputs.items():
        if not isinstance(result, dict):
            continue
        found.about += [(str(label), str(value)) for label, value in result.get("about", [])]
        found.banner = found.banner or result.get("banner", "")
        found.sources += [source for source in _sources(result) if source not in found.sources]
        for figure in result.get("figures", []):
            found.figures[figure["name"]] = figure
        for value in result.get("sections", []) + ([result] if "blocks" in result else []):
            _add(found, subtask, Section.model_validate(value))
    return found


def headline(document: Document) -> str:
    """The first bullet as plain text: what the report says if it may say one thing."""
    bullets = (block for section in document.sections for block in section.blocks if block.type == "bullets")
    return next((clean(plain(block.items[0].spans)) for block in bullets if block.items), "")


def _sources(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The files behind a result, as "sources" or as collect_data and profile_data keep them."""
    holders = [result.get(key) for key in ("collected", "profile")]
    files = [file for holder in holders if isinstance(holder, dict) for file in holder.get("files", [])]
    wanted = ("name", "sha256", "rows", "bytes")
    return [{key: source[key] for key in wanted if key in source} for source in result.get("sources", []) + files]


def _add(found: Gathered, subtask: str, section: Section) -> None:
    """A second section of the same id goes on where the first ended."""
    if known := found.sections.get(section.id):
        blocks = known.blocks + [block for block in section.blocks if block not in known.blocks]
        merged = {"blocks": blocks, "facts": known.facts + section.facts, "queries": known.queries + section.queries}
        section = known.model_copy(update=merged)
    else:
        found.authors[section.id] = subtask
    found.sections[section.id] = section


def _document(params: ReportParams, found: Gathered, recipe: Recipe) -> Document:
    if not found.sections:
        raise BadInput("compile_report has no section to write: none of its dependencies gave one")
    rank = {section_id: place for place, section_id in enumerate(ORDER)}
    ordered = sorted(found.sections.values(), key=lambda section: rank.get(section.id, len(rank)))  # stable
    document = Document(
        title=params.title or params.goal or "Report",
        subtitle=params.subtitle,
        about=list(dict.fromkeys(found.about)),
        banner=found.banner,
        sections=ordered,
    )
    if recipe.planned or recipe.written:
        by_rules, document.engine = document.engine, recipe.engine
        document.about = [(label, value.replace(by_rules, recipe.engine)) for label, value in document.about]
    return document


def _figures(sections: Iterable[Section]) -> list[Figure]:
    figures = [block for section in sections for block in section.blocks if isinstance(block, Figure)]
    names = [slug(figure.name) for figure in figures]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"two figures have the same name: {', '.join(twice)}")
    return figures


async def _drawings(report: Report, ctx: TaskContext) -> dict[str, Drawing]:
    """What the chart subtasks stored; a figure that none of them drew is drawn here."""
    drawings = {}
    for figure in _figures(report.document.sections):
        name = slug(figure.name)
        stored = report.found.figures.get(name, {})
        if set(PARTS) <= set(stored):
            paths = {part: ctx.stored(stored[part]) for part in PARTS}
            parts = {part: await asyncio.to_thread(path.read_bytes) for part, path in paths.items()}
            drawings[name] = Drawing(name=name, **parts)
        else:
            drawings[name] = await asyncio.to_thread(draw, figure)
    return drawings


async def _files(report: Report, drawings: dict[str, Drawing], run: Section | None) -> AsyncIterator[tuple[str, bytes]]:
    """Every file of the report; the appendix on the run stands last in the text and nowhere in the evidence."""
    sections = [*report.document.sections, *([run] if run else [])]
    document = report.document.model_copy(update={"sections": sections})
    for name, drawing in drawings.items():
        yield f"charts/{name}.svg", drawing.svg
        yield f"charts/{name}.png", drawing.png
        yield f"charts/{name}.vl.json", drawing.spec
    yield "evidence.json", report.evidence
    yield "report.md", to_markdown(document).encode()
    yield "report.html", (await asyncio.to_thread(to_html, document, drawings, report.evidence.decode())).encode()
    yield "report.pdf", await asyncio.to_thread(to_pdf, document, drawings)
