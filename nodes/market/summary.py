"""The task type ``summary``: five findings with their confidence, and the box of what the data cannot tell.

Takes every number from the analyses; candidates stand in order of interest and the first five that can be said are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.nodes.context import TaskContext
from holdfast.nodes.data import names
from holdfast.nodes.data.models import Profile
from holdfast.nodes.market import gaps, panel, words
from holdfast.nodes.market.findings import say
from holdfast.nodes.market.known import Known
from holdfast.nodes.market.panel_findings import headline
from holdfast.nodes.market.summary_amounts import AMOUNTS, Finding, Writer
from holdfast.nodes.market.summary_levels import LEVELS
from holdfast.nodes.market.summary_rest import REST
from holdfast.nodes.registry import NoParams, task_type
from holdfast.nodes.report.document import Bullet, Bullets, Note, Query, Section

BULLETS = 5


@task_type("summary")
async def summary(params: NoParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """The executive summary: five findings, each with what it means and how sure it is."""
    known = Known(inputs)
    writers = LEVELS if known.profile.roles.measure.kind == "intensive" else [headline, *AMOUNTS]
    writers = [*writers, *REST]
    found = list(_first(known, writers, BULLETS))
    blocks = [
        Bullets(items=[Bullet(spans=spans, confidence=level) for spans, level in found], numbered=True),
        Note(
            title="What these data cannot tell",
            spans=say("{missing}.", missing=words.listed(cannot_tell(known.profile))),
        ),
    ]
    data = Query(id="data", sql=known.profile.data_sql, files=[file.sha256 for file in known.profile.files])
    section = Section(
        id="executive_summary",
        title="Executive summary",
        blocks=blocks,
        facts=list(known.used.values()),
        queries=[data],
    )
    return section.model_dump(mode="json")


def _first(known: Known, writers: list[Writer], most: int) -> Iterator[Finding]:
    written = 0
    for writer in writers:
        if written < most and (finding := writer(known)):
            written += 1
            yield finding


def cannot_tell(profile: Profile) -> list[str]:
    """What no column speaks of."""
    columns = [column.column for column in profile.roles.columns]
    found = [column for column in columns if column not in profile.roles.time.columns]
    tokens = {names.in_english(word) for column in found for word in names.words(column)}
    missing = [gap.missing] if (gap := gaps.key_gap(profile)) else []
    if panel.is_sample(profile):
        missing.append(f"{profile.roles.panel.many if profile.roles.panel else 'places'} that are not in the file")
    if not tokens & {"region", "country", "state", "county", "city", "area", "province", "municipality"}:
        missing.append("regions")
    people = names.counts_people(profile.roles.measure.column)
    if not profile.harm and profile.roles.measure.kind != "stock":
        missing.append("who came" if people else "who buys")
    if profile.roles.entity and profile.roles.entity.company and profile.roles.measure.kind != "intensive":
        missing.append(f"who owns the {profile.roles.entity.plural}")
    if profile.roles.measure.kind == "intensive":
        missing.append("amounts sold or held")
    if others := [unit for one in profile.scope for unit in one.others]:
        missing.append(f"what the rows in {words.listed(others[:4])} come to")
    if not profile.roles.measure.unit:
        missing.append(f"the unit of {words.quoted(profile.roles.measure.column)}")
    return [*missing, "why any of this happened"]
