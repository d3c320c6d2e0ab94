"""The task type ``agent``: a model calls tools until it has an answer, and every call is a step of its own.

Nothing of the conversation is kept but what the steps and the questions recorded; it is made anew from them when the
body starts again, so a resume asks neither the model nor a tool again for what is on disk.  The steps are ``call 3``
for the third call of the model and ``tool 3.1 query`` for the first tool that it wanted then.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from holdfast.checkpoints.errors import BadInput, HoldfastError
from holdfast.checkpoints.questions import Asked, misfit, require_sound
from holdfast.nodes.agent import files as given_files
from holdfast.nodes.agent import talk
from holdfast.nodes.agent.talk import Talk
from holdfast.nodes.agent.tools import ANSWER, Desk, Tool, ToolRefused, chosen, clipped
from holdfast.nodes.context import TaskContext, Unanswered, WorkStopped
from holdfast.nodes.models.model import Model
from holdfast.nodes.models.prompting import fenced, prompt
from holdfast.nodes.models.types import Fault, Kind, Reply, Request, ToolCall
from holdfast.nodes.registry import task_type

DEFAULT_TOOLS = ("query", "read", "ask")
EQUAL_CALLS = 3  # the third equal call is not made, and one more ends the work
MISTAKES = 3  # in a row that are told back; one more ends the agent
MENDED = 4  # forms in which one call is tried
CALLS_AT_ONCE = 20  # that one reply may want
INPUT, INPUTS = 8_000, 24_000  # characters of one dependency's result, and of all
NOW_ANSWER = "No more tools can be called. Answer now with what you have, and say what is missing."
UNFINISHED = "The budget was used up before there was an answer. This is what was found until then."
Ended = Literal["answer", "step limit", "loop", "budget"]


class AgentParams(BaseModel):
    """What the agent is to find out, and with what."""

    model_config = ConfigDict(extra="forbid")

    goal: str = Field(min_length=1, max_length=100_000, description="what is to be found out or written")
    instructions: str = Field("", max_length=100_000, description="how, if that matters")
    files: list[str] = Field(
        [], description="tables (CSV, JSON, Parquet), documents (text, Markdown, HTML, PDF), folders"
    )
    tools: list[str] = Field(list(DEFAULT_TOOLS), description="query, read, ask; fetch only where pages are needed")
    max_steps: int = Field(20, ge=1, le=200, description="calls of the model at most")
    result_schema: dict[str, Any] | None = Field(None, description="a JSON schema of the answer; text without one")
    save_as: str = Field("", max_length=200, description="the name of an artifact with the answer, such as answer.md")

    @field_validator("result_schema")
    @classmethod
    def _sound(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            _require_schema(schema)
        return schema

    @field_validator("tools")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        try:
            return list(chosen(names))
        except BadInput as why:
            raise ValueError(str(why)) from None


def _require_schema(schema: dict[str, Any]) -> None:
    try:
        require_sound(Asked("", "", schema))
    except BadInput:
        raise ValueError("it is not a JSON schema, or refers to something outside itself") from None


def _reads(params: AgentParams) -> list[Path]:
    return given_files.paths(params.files)


@task_type("agent", reads=_reads, files="files", keeps=0)
async def agent(params: AgentParams, inputs: dict[str, Any], ctx: TaskContext) -> dict[str, Any]:
    """Let a model work on a goal with tools: query tables, read documents, fetch pages where allowed, ask the user."""
    if ctx.model is None:
        raise BadInput("an agent needs a model: set HOLDFAST_MODEL, and OPENAI_API_KEY or OPENAI_BASE_URL")
    files = given_files.given(params.files)
    work = Work(params, ctx, ctx.model, chosen(params.tools), files)
    work.begin(inputs)
    return await work.run()


class _OutOfBudget(Exception):
    """The task is to finish without the model."""


class _Faulty(Exception):
    """A model's answer cannot be taken; the sentence is for the model."""


@dataclass(slots=True)
class Work:
    """One agent from its first call to its answer."""

    params: AgentParams
    ctx: TaskContext
    model: Model
    tools: dict[str, Tool]
    files: given_files.Files
    talk: Talk = field(default_factory=Talk)
    made: dict[str, dict[str, Any]] = field(default_factory=dict)  # calls of tools by their marks
    gave: dict[str, str] = field(default_factory=dict)  # what they gave
    equal: Counter[str] = field(default_factory=Counter)
    ended: Ended = "answer"
    mistakes: int = 0
    heard: int = 0
    given_up: int = 0
    as_text: bool = False  # tools are called by JSON in the text

    def begin(self, inputs: dict[str, Any]) -> None:
        """The first messages: what is to be done and what there is."""
        self.talk.tell(prompt("agent").text, "system")
        parts = [f"The goal:\n{self.params.goal}"]
        if self.params.instructions:
            parts.append(f"How to go about it:\n{self.params.instructions}")
        if self.params.files:
            parts.append(f"Files:\n{self.files}")
        left = INPUTS
        for name, value in inputs.items():
            text = clipped(json.dumps(value, ensure_ascii=False), max(0, min(INPUT, left)))
            left -= len(text)
            parts.append(f"The result of {name}, which was done before:\n{fenced(f'result of {name}', text)}")
        if self.params.result_schema:
            schema = json.dumps(self.params.result_schema, ensure_ascii=False)
            parts.append(f"Your answer has to be one JSON value, and nothing else, that fits this schema:\n{schema}")
        self.talk.tell("\n\n".join(parts))

    async def run(self) -> dict[str, Any]:
        """The result; raises BadInput where there is none to be had."""
        self.as_text = not await self._takes_tools()
        turn = 0
        while True:
            turn += 1
            self.ctx.progress(turn - 1, max(turn, self.params.max_steps))
            if turn % self.params.max_steps == 0 and self.ended == "answer":
                self.ended = "step limit"
                self.talk.tell(f"This is the last of {self.params.max_steps} steps. {NOW_ANSWER}")
            await self._hear(turn)
            try:
                reply = await self._reply(turn)
            except _OutOfBudget:
                return await self._as_far_as_it_came(turn - 1)
            self.talk.heard(reply)
            try:
                if calls := talk.wanted(reply, self.tools):
                    await self._act(turn, calls)
                else:
                    return await self._finish(turn, self._answer(reply))
            except _Faulty as why:
                await self._mistake(str(why))
            if turn % self.params.max_steps == 0:
                await self._give_up(f"it ended at its limit of {self.params.max_steps} steps without an answer")

    async def _takes_tools(self) -> bool:
        return not self.tools or (await self.model.abilities()).tools

    async def _hear(self, turn: int) -> None:
        """What the user has said since the last call; noted as a step only if there is something."""
        said = await self.ctx.messages()
        step = f"heard {turn}"
        if self.ctx.is_done(step) or (len(said) > self.heard and not self.ctx.is_done(f"call {turn}")):
            upto = await self.ctx.step(step, lambda: len(said))
            for text in said[self.heard : upto]:
                self.talk.tell(f"The user says:\n{clipped(text, talk.SAID)}")
            self.heard = upto

    async def _reply(self, turn: int) -> Reply:
        """The model's reply, asked for in another form where the first one is refused; each refusal is recorded."""
        name = f"call {turn}"
        for form in range(MENDED):
            step = name if form == 0 else f"{name} again {form}"
            got = await self._attempt(step)
            if isinstance(got, Reply):
                return got
            self._mend(got, form)
        raise BadInput(f"the model takes {name} in no form")

    async def _attempt(self, step: str) -> Reply | Kind:
        refused = f"{step} refused"
        if not self.ctx.is_done(refused):
            request = self._request()
            try:
                return await self.model.complete(step, request)
            except Fault as fault:
                if fault.kind is Kind.OVER_BUDGET:
                    raise _OutOfBudget from None
                if fault.kind not in _MENDABLE:
                    raise BadInput(f"the model gave no answer: {fault}") from None
                kind = fault.kind
                if kind is Kind.BAD_REQUEST and request.tools:
                    await self.model.lacks(request)
                return Kind(await self.ctx.step(refused, lambda: kind.value))
        return Kind(await self.ctx.step(refused, lambda: None))

    def _mend(self, kind: Kind, form: int) -> None:
        """What is changed in the next form."""
        if kind is Kind.CONTEXT_FULL:
            self.talk.room = max(talk.LEAST, min(self.talk.room, sum(note.size for note in self.talk.notes)) // 2)
        elif kind is Kind.TRUNCATED:
            self.talk.tell("Your last reply was too long and was cut off. Give a much shorter one.")
        elif form or not self.tools:
            raise BadInput("the model's endpoint refuses the request")
        else:
            self.as_text = True

    def _request(self) -> Request:
        messages = self.talk.messages()
        offered = [] if self.ended != "answer" else [one.about() for one in self.tools.values()]
        if offered and self.as_text:
            messages[0] = {**messages[0], "content": f"{messages[0]['content']}\n{_in_text(offered)}"}
            offered = []
        return Request(messages, tools=offered, prompt=prompt("agent").name)

    async def _act(self, turn: int, calls: Any) -> None:
        """Makes the calls of one reply, one after the other, and tells what came of each."""
        if self.ended != "answer":
            for call in calls:
                self.talk.answered(call, f"{turn}.0", NOW_ANSWER, "")
            raise _Faulty(NOW_ANSWER)
        wrong = ""
        for number, call in enumerate(calls, 1):
            mark = f"{turn}.{number}"
            try:
                if number > CALLS_AT_ONCE:
                    raise ToolRefused(f"one reply may have {CALLS_AT_ONCE} calls")
                await self._call(mark, call)
            except ToolRefused as why:
                wrong = str(why)
                self.talk.answered(call, mark, wrong, "")
        if wrong:
            await self._mistake("")
        else:
            self.mistakes = 0

    async def _call(self, mark: str, call: ToolCall) -> None:
        """One call: refused before anything is done, or made once and recorded."""
        if call.name not in self.tools:
            raise ToolRefused(f"there is no tool {call.name[:100]!r}; there are {', '.join(self.tools)}")
        tool = self.tools[call.name]
        arguments = tool.read(call.arguments)
        self.equal[same := talk.same(call)] += 1
        if self.equal[same] >= EQUAL_CALLS:
            again = self.equal[same] > EQUAL_CALLS
            self.ended = "loop" if again else self.ended
            told = (
                f"You have called this {self.equal[same]} times with the same arguments, and it was not called again."
            )
            self.talk.answered(call, mark, f"{told} {NOW_ANSWER}" if again else f"{told} Do something else.", "")
            return
        said = await self._used(mark, tool, arguments)
        self.gave[mark] = said["text"]
        self.made[mark] = {"tool": tool.name, "arguments": json.loads(call.arguments or "{}", strict=False)}
        label = f"answer of {tool.name}" if tool.outside and said["ok"] else ""
        self.talk.answered(call, mark, said["text"], label)

    async def _used(self, mark: str, tool: Tool, arguments: BaseModel) -> dict[str, Any]:
        """What a tool gave or why not: ``{"ok", "text"}``, recorded."""

        async def ask(prompt: str, schema: dict[str, Any] | None, default: Any) -> Any:
            return await self.ctx.ask(prompt, schema, default, key=f"ask {mark}")

        desk = Desk(self.files, self.ctx.reach, ask)

        async def use() -> dict[str, Any]:
            try:
                return {"ok": True, "text": clipped(await tool.use(arguments, desk), ANSWER)}
            except (BadInput, OSError) as why:
                return {"ok": False, "text": clipped(f"It was refused: {why}", ANSWER)}
            except (HoldfastError, Unanswered, WorkStopped):
                raise
            except Exception as error:  # whatever a tool stumbled over, the model may do something else
                self.ctx.log.warning("the tool %s broke off", tool.name, exc_info=error)
                return {"ok": False, "text": f"It broke off: {type(error).__name__}"}

        return await use() if tool.asks else await self.ctx.step(f"tool {mark} {tool.name}", use)

    def _answer(self, reply: Reply) -> Any:
        """The answer in a reply; raises _Faulty if it does not fit the schema, or names calls that were not made."""
        answer: Any = reply.text.strip()
        if self.params.result_schema is not None:
            answer = talk.value_of(answer)
            reason = "it is not one JSON value" if answer is None else misfit(self.params.result_schema, answer)
            if reason:
                raise _Faulty(f"Your answer does not fit its schema: {reason[:500]}. Give the whole answer again.")
        unknown = [mark for mark in talk.marks(answer) if mark not in self.made]
        if unknown and self.mistakes < MISTAKES and self.ended != "step limit":
            raise _Faulty(
                f"There were no calls {', '.join(unknown)}. Give the whole answer again with marks that exist."
            )
        return talk.without(answer, set(unknown))

    async def _mistake(self, told: str) -> None:
        self.mistakes += 1
        if told:
            self.talk.tell(told)
        if self.mistakes > MISTAKES:
            await self._give_up(f"the model made {self.mistakes} mistakes in a row in its calls or its answer")

    async def _give_up(self, sentence: str) -> None:
        """Fails, once: whoever lets the subtask run again after that lets the agent go on from there."""
        self.given_up += 1
        step = f"gave up {self.given_up}"
        before = self.ctx.is_done(step)
        await self.ctx.step(step, lambda: sentence)
        if not before:
            raise BadInput(sentence)
        self.mistakes, self.ended = 0, "answer"
        self.equal.clear()
        self.talk.tell("You may go on.")

    async def _as_far_as_it_came(self, turns: int) -> dict[str, Any]:
        """What the tools have given, in the place of an answer; raises BadInput where the answer has to have a form."""
        if self.params.result_schema is not None:
            raise BadInput("the budget was used up before there was an answer")
        self.ended = "budget"
        found = [f"[{mark}] {one['tool']}: {clipped(self.gave[mark], INPUT)}" for mark, one in self.made.items()]
        return await self._finish(turns, "\n\n".join([UNFINISHED, *found]))

    async def _finish(self, turn: int, answer: Any) -> dict[str, Any]:
        cited = [{"call": mark, **self.made[mark]} for mark in talk.marks(answer)]
        if self.params.save_as:
            text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, indent=1)
            await self.ctx.artifact(self.params.save_as, text + "\n" + _sources(cited, self.params.save_as))
        calls = {"model": turn, "tools": len(self.made)}
        return {"answer": answer, "citations": cited, "calls": calls, "ended": self.ended}


_MENDABLE = frozenset({Kind.CONTEXT_FULL, Kind.TRUNCATED, Kind.BAD_REQUEST})


def _in_text(offered: list[dict[str, Any]]) -> str:
    """How to call tools where the endpoint has no way for it."""
    tools = json.dumps([one["function"] for one in offered], ensure_ascii=False, indent=1)
    return (
        "To call a tool, reply with one JSON object and nothing else:\n"
        '{"tool": "its name", "arguments": {}}\n'
        f"The tools, with the JSON schemas of their arguments:\n{tools}"
    )


def _sources(cited: list[dict[str, Any]], name: str) -> str:
    """A list of what an answer in Markdown or text rests on."""
    if not cited or PurePosixPath(name).suffix not in (".md", ".txt"):
        return ""
    lines = (f"- [{one['call']}] {one['tool']} {json.dumps(one['arguments'], ensure_ascii=False)}" for one in cited)
    return "\n".join(["", "## Sources", "", *lines, ""])
