"""The task type ``ask_model``: one question to the model, answered in text, by a choice, or as a JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from holdfast.checkpoints.errors import BadInput, HoldfastError
from holdfast.nodes.context import TaskContext
from holdfast.nodes.models import structured
from holdfast.nodes.models.model import Model
from holdfast.nodes.models.prompting import fenced, prompt
from holdfast.nodes.models.types import Request
from holdfast.nodes.registry import task_type

TRIES = 2  # answers of a wrong form, after which the subtask fails
Messages = Sequence[Mapping[str, Any]]


class AskParams(BaseModel):
    """The question; the results of the subtasks that it depends on go with it."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(min_length=1, max_length=100_000)
    choices: list[str] = Field(default=[], description="If given, the answer is one of these.")
    answer: dict[str, Any] | None = Field(
        default=None, description="If given, a JSON schema of type object with properties, which the answer fits."
    )
    max_tokens: int = Field(default=500, ge=1, le=16_000)

    @field_validator("answer")
    @classmethod
    def _sound(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        import jsonschema_rs  # noqa: PLC0415  only who asks for an object needs it

        if schema is not None and not (
            isinstance(schema.get("properties"), dict) and jsonschema_rs.meta.is_valid(schema)
        ):
            raise ValueError("it has to be a JSON schema of type object with properties")
        return schema


class NoAnswer(HoldfastError):
    """The model did not answer in the form that was asked for."""


@task_type("ask_model")
async def ask_model(params: AskParams, inputs: dict[str, Any], ctx: TaskContext) -> Any:
    """Ask the language model one question about the results of the subtasks that this one depends on.

    To classify, extract, translate or summarise; the result is text, one of ``choices``, or an object that fits the
    schema ``answer``.
    """
    if ctx.model is None:
        raise BadInput("ask_model needs a model; set HOLDFAST_MODEL and OPENAI_API_KEY or OPENAI_BASE_URL")
    asked = _asked(params, inputs)
    if params.answer is not None:
        return await _object(ctx.model, asked, params, params.answer)
    if params.choices:
        return await _choice(ctx.model, asked, params)
    request = Request([prompt("ask").message, asked], prompt=prompt("ask").name, most=params.max_tokens, batch="text")
    return (await ctx.model.complete("ask", request)).text


def _asked(params: AskParams, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    parts = [params.question]
    if params.answer is not None:
        parts.append(f"Answer with one JSON object that fits this schema:\n{fenced('SCHEMA', params.answer)}")
    if inputs:
        parts.append(fenced("INPUTS", dict(inputs)))
    return {"role": "user", "content": "\n\n".join(parts)}


async def _choice(model: Model, asked: Mapping[str, Any], params: AskParams) -> str:
    """One of the choices, asked once more for if it was none."""
    choices = f"Answer with one of these, word for word:\n{fenced('CHOICES', params.choices)}"
    messages = [{"role": "system", "content": f"{prompt('ask').text}\n{choices}"}, asked]
    known = {_plain(one): one for one in params.choices}
    for number in range(1, TRIES + 1):
        batch = "choice" if number == 1 else ""
        request = Request(messages, prompt=prompt("ask").name, most=params.max_tokens, batch=batch)
        said = (await model.complete(f"ask {number}", request)).text
        if (chosen := known.get(_plain(said))) is not None:
            return chosen
        fault = {"role": "user", "content": "That is none of the choices. Answer with one of them, word for word."}
        messages = [*messages, {"role": "assistant", "content": said}, fault]
    raise NoAnswer(f"the model's answer is none of the choices: {said[:100]!r}")


async def _object(
    model: Model, asked: Mapping[str, Any], params: AskParams, schema: Mapping[str, Any]
) -> Mapping[str, Any]:
    """An object that fits the schema, asked once more for if it was none."""
    import jsonschema_rs  # noqa: PLC0415  only who asks for an object needs it

    messages: Messages = [asked]
    titled, fault = {"title": "answer", "type": "object", **schema}, ""
    for number in range(1, TRIES + 1):
        batch = "object" if number == 1 else ""
        given = await structured.ask(
            model, f"ask {number}", prompt("ask"), messages, titled, batch=batch, most=params.max_tokens
        )
        error = given.object is not None and next(
            jsonschema_rs.validator_for(dict(titled)).iter_errors(dict(given.object)), None
        )
        if given.object is not None and not error:
            return given.object
        fault = error.message if error else given.fault
        told = f"That does not fit the schema: {fault[:500]}\nAnswer again with one JSON object that does."
        messages = [*messages, given.message, {"role": "user", "content": told}]
    raise NoAnswer(f"the model's answer does not fit the schema: {fault[:200]}")


def _plain(text: str) -> str:
    return text.strip().strip("\"'`.").casefold()
