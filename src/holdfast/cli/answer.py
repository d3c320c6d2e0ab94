"""``answer``: gives a question its answer from outside; it does not run the task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.common import Target, emit, shared
from holdfast.cli.control import goes_on
from holdfast.cli.work import TYPES

if TYPE_CHECKING:
    from holdfast.checkpoints.questions import Question
    from holdfast.cli.store import Store
    from holdfast.graphs.task import Task


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("task")
@click.argument("value")
@click.option("--question", metavar="ID", help="Which question; needed when several are open.")
@TYPES
@shared
def answer(to: Target, task: str, value: str, question: str | None, types: tuple[str, ...]) -> None:
    """Answer a question of a task.

    VALUE is JSON or text; @FILE takes it from a file, such as an edited plan. An approval takes: approve, reject
    REASON, or @FILE. The task is not run here: its runner carries on, or else `holdfast resume`.
    """
    from holdfast.cli.asking import edits_plan, read
    from holdfast.cli.store import Store

    with to.reading() as store:
        known = store.get(task)
        asked = store.question(known.id, question) if question else _only(known)
        given = read(value, asked)
        if isinstance(store, Store) and edits_plan(asked, given) and not asked.answered:
            _edit(store, known.id, asked, given, types)
        else:
            from holdfast.checkpoints import control

            store.change(known.id, control.answer, question_id=asked.id, value=given)
        answered = store.get(known.id)
    if to.json:
        emit(answered.to_json())
    else:
        print(f"question {asked.id} is answered; {goes_on(to, answered, types)}")


def _only(task: Task) -> Question:
    """The one open question; raises BadInput if there is none or it is not the only one."""
    from holdfast.checkpoints.errors import BadInput

    if len(task.questions) == 1:
        return task.questions[0]
    if not task.questions:
        raise BadInput(f"task {task.id} is {task.state}: it has no open question")
    several = ", ".join(f"{one.id} ({one.prompt})" for one in task.questions)
    raise BadInput(f"task {task.id} has {len(task.questions)} open questions; choose with --question: {several}")


def _edit(store: Store, task: str, asked: Question, given: Any, types: tuple[str, ...]) -> None:
    """Hands in an edited plan, which the registered task types check."""
    import asyncio

    from holdfast.cli.preflight import prepare_types

    prepare_types(types)
    from holdfast.graphs.orchestrator import make_services
    from holdfast.nodes.orchestration import answer as give

    asyncio.run(give(make_services(store.database), task, {asked.id: given}))
