"""Text that a model writes from facts: every figure in it is one of them, and linked to it; what is not is left out.

A sentence with another figure goes back once, then it is dropped, and a note says so.  What the model said is kept with
the result, so that ``holdfast verify`` can check the figures again without a model.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.nodes.context import TaskContext
from holdfast.nodes.data.models import Profile
from holdfast.nodes.market import words
from holdfast.nodes.market.findings import joined
from holdfast.nodes.market.stated import Ground, Unbacked, sentences, spans_of
from holdfast.nodes.models.prompting import Prompt, fenced
from holdfast.nodes.models.types import Fault, Request
from holdfast.nodes.report.document import Block, Bullets, Fact, Note, Paragraph, Section, Span
from holdfast.nodes.report.text import plain

STEPS = ("write", "write again")
NOTHING = "NONE"  # says a model that has nothing to add: an empty answer is a fault
MOST_FACTS = 300  # that a model is told
MOST_SENTENCES = 40
SHOWN = 20_000  # characters of a text that goes back


@dataclass(frozen=True, slots=True)
class Prose:
    """What is left of a text: paragraphs of spans, the facts that they state, how many sentences were dropped.

    ``said`` is what the model said, by step.
    """

    model: str
    paragraphs: Sequence[list[Span]] = ()
    facts: Sequence[Fact] = ()
    dropped: int = 0
    said: Mapping[str, str] = field(default_factory=dict)

    @property
    def blocks(self) -> list[Block]:
        """The paragraphs, and the note on who wrote them."""
        told = f"Nothing of what {self.model} wrote could be used."
        if self.paragraphs:
            told = f"Written by {self.model}. Each figure in it is one that was computed; its wording was not checked."
        if self.dropped:
            were = "sentence was" if self.dropped == 1 else "sentences were"
            told += f" {words.spelled(self.dropped).capitalize()} {were} left out for a figure that was not computed."
        note = Note(title="By a model", spans=[Span(text=told)])
        return [*(Paragraph(spans=spans) for spans in self.paragraphs), note]

    @property
    def written(self) -> dict[str, Any]:
        """Who said what, as a result and a report's recipe keep it."""
        return {"model": self.model, "said": dict(self.said)}


def sections_in(inputs: Mapping[str, Any]) -> list[Section]:
    """The sections among a subtask's inputs."""
    return [Section.model_validate(value) for value in inputs.values() if isinstance(value, dict) and "blocks" in value]


def ground_of(sections: Sequence[Section], profile: Profile | None) -> Ground:
    """What a text about these sections may state."""
    facts = {fact.id: fact for section in sections for fact in section.facts}
    owners = {tail for id_ in facts if any(map(str.isalpha, tail := id_.partition("/")[2]))}
    cells = {row[0] for one in sections for block in one.blocks if block.type == "table" for row in block.rows if row}
    texts = {fact.text for fact in facts.values() if fact.kind == "text"}
    columns = {column.column for column in profile.roles.columns} if profile else set()
    files = {file.name for file in profile.files} if profile else set()
    years = range(0)
    if profile:
        first, last = (dt.date.fromisoformat(day).year for day in (profile.first, profile.last))
        years = range(first, last + 1)
    return Ground(list(facts.values()), owners | cells | texts | columns | files, years, frozenset(owners))


async def compose(ctx: TaskContext, prompt: Prompt, told: Mapping[str, str], ground: Ground) -> Prose:
    """The model's text on what it is ``told``, with what it may not say taken out; the context has to have a model."""
    assert ctx.model
    parts = [fenced(name, text) for name, text in {**told, "FACTS": facts_told(ground)}.items()]
    messages = [prompt.message, {"role": "user", "content": "\n\n".join(parts)}]
    said, found, wrong = dict[str, str](), list[list[list[Span]]](), list[str]()
    for step in STEPS:
        try:
            reply = await ctx.model.complete(step, Request(messages, prompt=prompt.name))
        except Fault as why:
            ctx.log.info("no text: %s", why)
            break
        said[step] = reply.text
        found, wrong = checked(reply.text, ground)
        if not wrong:
            break
        messages += [
            {"role": "assistant", "content": reply.text[:SHOWN]},
            {"role": "user", "content": _sent_back(wrong)},
        ]
    stated = {span.fact for paragraph in found for spans in paragraph for span in spans if span.fact}
    return Prose(
        ctx.model.name,
        [joined(paragraph) for paragraph in found],
        [fact for fact in ground.facts if fact.id in stated],
        len(wrong),
        said,
    )


def checked(text: str, ground: Ground) -> tuple[list[list[list[Span]]], list[str]]:
    """The sentences that may stand, by paragraph, and "sentence: fault" for each that may not."""
    if text.strip(" \n.*").upper() == NOTHING:
        return [], []
    found, wrong, left = list[list[list[Span]]](), list[str](), MOST_SENTENCES
    for paragraph in sentences(text):
        kept = []
        for sentence in paragraph[:left]:
            try:
                kept.append(spans_of(sentence, ground))
            except Unbacked as why:
                wrong.append(f"{sentence}: {why}")
        left -= len(paragraph[:left])
        found += [kept] if kept else []
    return found, wrong


def facts_told(ground: Ground) -> str:
    """One line for each fact: how it is written, what it is, how it was made."""
    lines = [f"{fact.text} ({fact.id}{', ' + fact.note if fact.note else ''})" for fact in ground.facts[:MOST_FACTS]]
    return "\n".join(lines)


def text_of(sections: Sequence[Section]) -> str:
    """What the sections say, as plain text."""
    lines = list[str]()
    for section in sections:
        lines.append(section.title.upper())
        for block in section.blocks:
            if isinstance(block, Paragraph | Note):
                lines.append(plain(block.spans))
            elif isinstance(block, Bullets):
                lines += [f"- {plain(item.spans)}" for item in block.items]
    return "\n".join(lines)


def _sent_back(wrong: Sequence[str]) -> str:
    listed = fenced("FAULTS", "\n".join(f"- {one}" for one in wrong))
    return f"These sentences state what was not computed:\n\n{listed}\n\nWrite the whole text again without that."
