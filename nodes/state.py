"""What LangGraph's checkpoints hold of a task: its goal, where it stands, and references; never a result."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict  # pydantic makes no schema of typing's before Python 3.12


class Budget(BaseModel):
    """Limits of what a task spends; those that are left out do not hold."""

    model_config = ConfigDict(extra="forbid")

    cost: float | None = Field(default=None, ge=0, description="Dollars.")
    tokens: int | None = Field(default=None, ge=0, description="Tokens in and out.")
    seconds: float | None = Field(default=None, ge=0, description="Time at work, pauses not counted.")


class Input(BaseModel):
    """What a run is started with: Studio's form, ``invoke`` and the API."""

    goal: str = Field(
        description="What you want, in a sentence.",
        examples=["Market research report on Norway's new car market"],
    )
    data: list[str] = Field(
        default=[],
        description="Data files, folders or patterns that the work may read (CSV, TSV, JSON, Parquet).",
        examples=[["examples/sample/market.csv"]],
    )
    out: str | None = Field(
        default=None, description="Folder that gets the report's files; none: they stay beside the database."
    )
    workers: int | None = Field(default=None, ge=0, description="How many subtasks run at once; 0: no limit.")
    on_question: Literal["pause", "continue"] | None = Field(
        default=None, description="Whether a question stops the whole task (pause) or only who asked (continue)."
    )
    on_failure: Literal["continue", "fail_fast", "rollback", "ask"] | None = Field(
        default=None, description="What a subtask's failure does to the task, unless the subtask says otherwise."
    )
    budget: Budget | None = Field(
        default=None, description="What the task may spend on a model: it pauses and asks before it would spend more."
    )
    approve: bool = Field(default=False, description="Ask for approval of the plan before it runs.")
    yes: bool = Field(default=False, description="Take the default answer of every question that has one.")
    reuse: str | None = Field(
        default=None, description="Id of a task whose results are taken where type, parameters and inputs are equal."
    )
    plan: dict[str, Any] | None = Field(
        default=None, description="A plan to run as it is, as in a plan file; none: one is made from goal and data."
    )


class State(TypedDict, total=False):
    """The channels of the orchestrator graph; small and JSON-like."""

    goal: str
    data: list[str]
    out: str | None
    workers: int | None
    on_question: str | None
    on_failure: str | None
    approve: bool
    yes: bool
    reuse: str | None
    plan: dict[str, Any] | None
    task: str
    revision: int
    status: str
    subtasks: dict[str, int]  # how many are in each state
    artifacts: list[dict[str, Any]]
    error: str | None
    goto: str | None  # the node that the last one hands on to; None: where gate was entered from
    back: str  # the node that gate returns to


class Output(TypedDict):
    """What a run ends with; every field has a value."""

    task: str
    status: str
    subtasks: dict[str, int]
    artifacts: list[dict[str, Any]]
    error: str | None
