"""A model decomposes a goal: what it is told, what it may ask, and what becomes of a plan that cannot run.

The model hears the goal, an outline of the data and the registered types.  What it answers is untrusted: a plan is
checked like any other, may name only registered types and the task's own files, and goes back once with all its
faults.  Each call is a durable step.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.checkpoints.errors import BadInput, InvalidPlan, Rejected
from holdfast.nodes.context import TaskContext
from holdfast.nodes.data.outline import outline
from holdfast.nodes.market.planner import make_plan
from holdfast.nodes.models import structured
from holdfast.nodes.models.prompting import fenced, prompt
from holdfast.nodes.models.structured import Answer
from holdfast.nodes.models.types import Fault, Kind
from holdfast.nodes.plan import Plan, Subtask
from holdfast.nodes.registry import Registry, TaskType, require_json
from holdfast.nodes.shelf import Shelf, Unlisted

OWN = frozenset({"plan", "replan"})  # types that Holdfast starts itself
TRIES = 2  # plans that a model may give before the rules make one
MOST_QUESTIONS = 3
MOST_OPTIONS = 10
LONGEST = 500  # characters of a question, and of an option
DECIDE = "decide yourself"
MOST_FAULTS = 50  # that are sent back
Message = Mapping[str, Any]

SUBTASKS: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "name": {"type": "string"},
            "description": {"type": "string"},
            "type": {"type": "string"},
            "params": {"type": "object"},
            "dependencies": {"type": "array", "items": {"type": "string"}},
            "estimated_time": {"type": "number", "description": "minutes"},
        },
        "required": ["id", "name", "description", "type", "params", "dependencies", "estimated_time"],
    },
}
QUESTIONS: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"prompt": {"type": "string"}, "options": {"type": "array", "items": {"type": "string"}}},
        "required": ["prompt", "options"],
    },
}


@dataclass(frozen=True, slots=True)
class Brief:
    """What a plan is for, and what it may use."""

    goal: str
    shelf: Shelf
    types: Sequence[TaskType]
    registry: Registry

    @classmethod
    def of(cls, goal: str, data: Sequence[str], registry: Registry) -> Brief:
        """The brief of a task; looks at the disk for the names of its files."""
        return cls(goal, Shelf.of(data), [kind for kind in registry if kind.name not in OWN], registry)


async def decompose(goal: str, data: Sequence[str], feedback: Sequence[str], ctx: TaskContext) -> dict[str, Any]:
    """``{"subtasks", "by"}`` for the goal, made by the model, or by the rules where the model gave none that can run.

    Raises BadInput if the rules have none either, Unanswered for a question of the model.
    """
    assert ctx.model
    assert ctx.registry
    brief = await asyncio.to_thread(Brief.of, goal, data, ctx.registry)
    told: list[Message] = [await _told(brief, data, feedback, ctx)]
    schema = schema_of(brief, questions=QUESTIONS, subtasks=SUBTASKS)
    asked, faults = False, list[str]()
    while len(faults) < TRIES:
        number = len(told)
        try:
            answer = await structured.ask(ctx.model, f"plan {number}", prompt("plan"), told, schema)
        except Fault as fault:
            faults.append(str(fault))
            if fault.kind is not Kind.TRUNCATED:
                break
            told.append(user(f"{fault}. Give a plan of fewer subtasks, with shorter descriptions."))
            continue
        if not asked and (questions := _questions(answer)):
            asked = True
            told += [answer.message, user(fenced("ANSWERS", await _ask(questions, ctx)) + "\n\nNow give the plan.")]
            continue
        try:
            plan = judged(answer, brief)
        except InvalidPlan as why:
            faults.append("; ".join(why.faults[:3]) + (" …" if len(why.faults) > 3 else ""))
            told += [answer.message, user(sent_back(why.faults))]
        else:
            return {"subtasks": plan, "by": {"by": "model", "model": ctx.model.name}}
    return await asyncio.to_thread(_by_rules, brief, data, ctx.model.name, faults[-1])


def _by_rules(brief: Brief, data: Sequence[str], model: str, fault: str) -> dict[str, Any]:
    """The built-in plan, and why it is not the model's; raises BadInput if there is none."""
    why = f"{model} gave no plan that can run: {fault}"
    try:
        plan = make_plan(brief.goal, data)
    except Rejected as none:
        raise BadInput(f"{why}; and the built-in rules have none: {none}") from None
    return {"subtasks": plan, "by": {"by": "rules", "model": model, "why": why}}


def judged(
    answer: Answer, brief: Brief, kept: Sequence[Subtask] = (), spent: Collection[str] = ()
) -> list[dict[str, Any]]:
    """The subtasks of an answer, files by their full paths, in an order in which they can run.

    They may depend on those ``kept``, and not use the ids ``spent``.  Raises InvalidPlan with every fault.
    """
    if answer.object is None:
        raise InvalidPlan([answer.fault])
    given = answer.object.get("subtasks")
    if not isinstance(given, list) or not given:
        raise InvalidPlan(["it has no subtasks; give at least one"])
    specs = [_tidy(spec) for spec in given]
    faults = [fault for spec in specs for fault in _own_faults(spec, spent)]
    resolved = []
    for spec in specs:
        try:
            resolved.append(_resolved(spec, brief))
        except Unlisted as why:
            resolved.append(spec)
            faults.append(f"subtask {_id(spec)!r} {why}")
    kept_ids = {one.id for one in kept}
    try:
        plan = _parsed(resolved, faults)
        plan.subtasks[:0] = kept
        checked = plan.checked(brief.registry)
        require_json([one.params for one in checked.subtasks], "each parameter")
    except InvalidPlan as why:
        raise InvalidPlan([*faults, *why.faults]) from None
    except BadInput as why:
        raise InvalidPlan([*faults, str(why)]) from None
    if faults:
        raise InvalidPlan(faults)
    return [one.compact() for one in checked.subtasks if one.id not in kept_ids]


def _parsed(specs: Sequence[Any], faults: list[str]) -> Plan:
    """The plan; what is malformed in optional fields is noted and left out, so that its other faults are found too."""
    try:
        return Plan.parse({"subtasks": specs})
    except InvalidPlan as why:
        bare = [{key: spec[key] for key in BARE if key in spec} for spec in specs if isinstance(spec, dict)]
        try:
            plan = Plan.parse({"subtasks": bare})
        except InvalidPlan:
            raise why from None
        faults += why.faults
        return plan


BARE = ("id", "type", "params", "dependencies")


def _tidy(spec: Any) -> Any:
    """A subtask as a model writes it: without what is null, its parameters perhaps as a text of JSON."""
    if not isinstance(spec, dict):
        return spec
    tidy = {key: value for key, value in spec.items() if value is not None}
    if isinstance(params := tidy.get("params"), str):
        try:
            tidy["params"] = json.loads(params) if params.strip() else {}
        except ValueError:
            return tidy
    return tidy


def _own_faults(spec: Any, spent: Collection[str]) -> Iterable[str]:
    if _id(spec) in spent:
        yield f"the id {_id(spec)!r} is that of a subtask which has ended; a new one needs an id of its own"
    if isinstance(spec, dict) and spec.get("type") in OWN:
        yield f"subtask {_id(spec)!r} has the type {spec['type']!r}, which a plan cannot use"


def _resolved(spec: Any, brief: Brief) -> Any:
    """A subtask whose files have their full paths; raises Unlisted."""
    params = spec.get("params") if isinstance(spec, dict) else None
    if not isinstance(params, dict) or not isinstance(spec.get("type"), str) or spec["type"] not in brief.registry:
        return spec
    return {**spec, "params": brief.shelf.resolved(brief.registry.get(spec["type"]), params)}


def _id(spec: Any) -> str:
    return str(spec.get("id", ""))[:100] if isinstance(spec, dict) else ""


def sent_back(faults: Sequence[str]) -> str:
    """What a model is told of a plan that cannot run."""
    listed = "\n".join(f"- {fault}" for fault in faults[:MOST_FAULTS])
    more = f"\n- and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
    return f"That cannot run. Its faults:\n\n{fenced('FAULTS', listed + more)}\n\nAnswer again, with all of them gone."


def schema_of(brief: Brief, **properties: Any) -> dict[str, Any]:
    """The JSON schema of an answer that may have those properties; a subtask's type is one of the registered."""
    names = sorted(kind.name for kind in brief.types)
    items = SUBTASKS["items"]
    typed = {**items, "properties": {**items["properties"], "type": {"type": "string", "enum": names}}}
    properties["subtasks"] = {**SUBTASKS, "items": typed}
    return {"title": "plan", "type": "object", "properties": properties, "required": list(properties)}


async def _told(brief: Brief, data: Sequence[str], feedback: Sequence[str], ctx: TaskContext) -> Message:
    """The first message: the goal, the data, the types, the built-in plan, and what people have said since."""

    async def look() -> dict[str, Any]:
        files = {name: brief.shelf.paths[name] for name in brief.shelf.files}
        return await asyncio.to_thread(outline, files, brief.goal)

    parts = [fenced("GOAL", brief.goal)]
    parts.append(fenced("DATA", await ctx.step("look at the data", look)) if data else "There are no data files.")
    parts.append(fenced("TYPES", types_told(brief)))
    try:
        rules = {"subtasks": brief.shelf.named(await asyncio.to_thread(make_plan, brief.goal, data))}
        parts.append(fenced("PLAN BY THE BUILT-IN RULES", json.dumps(rules, ensure_ascii=False)))
    except Rejected:
        pass
    if said := await ctx.messages():
        parts.append(fenced("WHAT ITS AUTHOR SAID SINCE", "\n\n".join(said)))
    if feedback:
        parts.append(fenced("WHY EARLIER PLANS WERE REJECTED", "\n\n".join(feedback)))
    return user("\n\n".join(parts))


def types_told(brief: Brief) -> str:
    """The registered types, one line of JSON each: name, what it does, schema of its parameters."""
    told = [{"type": kind.name, "does": kind.description, "params": kind.schema()} for kind in brief.types]
    return "\n".join(json.dumps(one, ensure_ascii=False) for one in told)


def user(text: str) -> Message:
    """A message to the model."""
    return {"role": "user", "content": text}


def _questions(answer: Answer) -> list[tuple[str, list[str]]]:
    """(prompt, options) of each question in an answer, at most so many; what is malformed is left out."""
    given = (answer.object or {}).get("questions")
    found = []
    for one in given if isinstance(given, list) else []:
        asked = one if isinstance(one, dict) else {"prompt": one}
        text, options = asked.get("prompt"), asked.get("options")
        if isinstance(text, str) and text.strip():
            choices = [str(option)[:LONGEST] for option in options] if isinstance(options, list) else []
            found.append((text.strip()[:LONGEST], list(dict.fromkeys(choices))[:MOST_OPTIONS]))
    return found[:MOST_QUESTIONS]


async def _ask(questions: Sequence[tuple[str, list[str]]], ctx: TaskContext) -> str:
    """Questions and answers as text; whoever does not care takes the default, which leaves it to the model."""
    lines = []
    for text, options in questions:
        schema = {"enum": [DECIDE, *options]} if options else {"type": "string", "maxLength": 10_000}
        answer = await ctx.ask(text, schema, default=DECIDE)
        lines.append(f"{text}\n→ {answer}")
    return "\n\n".join(lines)
