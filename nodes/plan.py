"""A plan: the subtasks of a task, what each depends on, and the check that names every fault at once."""

from __future__ import annotations

import heapq
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from holdfast.checkpoints.errors import OWN_TYPES, BadInput, InvalidPlan
from holdfast.nodes.registry import Registry

MAX_SUBTASKS = 10_000
MAX_ID = 100
SEPARATORS = frozenset("|:/\\")
NAMED = 20  # how many faults of one kind are spelled out


class Resources(BaseModel):
    """What a subtask needs while it runs."""

    model_config = ConfigDict(extra="forbid")

    cpu: float = Field(1, ge=0)
    memory_mb: int = Field(256, ge=0)
    gpu: int = Field(0, ge=0)


class Subtask(BaseModel):
    """One unit of a plan.

    ``estimated_time`` is in minutes.  ``timeout_s`` limits one attempt, in seconds, ``idle_timeout_s`` the time without
    a step or progress.  ``cache`` says whether answers of the model may be used again, and kept; None: as the type has
    it.  ``fallback`` names a subtask that runs only if this one fails for good; its result then stands
    for this one's.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    name: str = ""
    description: str = ""
    type: str
    params: dict[str, Any] = {}
    dependencies: list[str] = []
    estimated_time: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    resources: Resources = Resources()
    priority: int = 0
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    idle_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    retries: int = Field(2, ge=0, le=100)
    fallback: str | None = None
    on_failure: Literal["continue", "fail_fast", "rollback", "ask"] | None = None
    cache: bool | None = None

    def compact(self) -> dict[str, Any]:
        """The JSON form without what was left at its default."""
        return self.model_dump(exclude_defaults=True)


class Plan(BaseModel):
    """Subtasks in any order; ``ordered`` puts each after its dependencies."""

    model_config = ConfigDict(extra="forbid")

    subtasks: list[Subtask]

    @classmethod
    def parse(cls, data: Any) -> Self:
        """A plan from JSON data; raises InvalidPlan with every malformed field."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InvalidPlan(_malformed(error, data)) from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """A plan from a JSON file; raises BadInput or InvalidPlan."""
        try:
            return cls.parse(json.loads(path.read_text("utf-8")))
        except OSError as error:
            raise BadInput(f"the plan {path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise BadInput(f"the plan {path} is not UTF-8 text; save it as UTF-8") from None
        except json.JSONDecodeError as error:
            raise BadInput(
                f"the plan {path} is not JSON, line {error.lineno} column {error.colno}: {error.msg}"
            ) from None

    def checked(self, registry: Registry) -> Self:
        """This plan in running order; raises InvalidPlan with one sentence for every fault."""
        if faults := self.faults(registry):
            raise InvalidPlan(faults)
        return type(self)(subtasks=self.ordered())

    def faults(self, registry: Registry) -> list[str]:
        """One sentence for every fault, in the order of the plan; empty if it can run.  Linear in its size."""
        if not self.subtasks:
            return ["it has no subtasks; give at least one"]
        if len(self.subtasks) > MAX_SUBTASKS:
            return [f"it has {len(self.subtasks):,} subtasks; at most {MAX_SUBTASKS:,} are allowed"]
        structural = [*self._id_faults(), *self._dependency_faults(), *self._fallback_faults()]
        cycles = [] if _duplicated(self.subtasks) else self._cycle_faults()
        return [*structural, *cycles, *self._type_faults(registry)]

    def _id_faults(self) -> Iterable[str]:
        for position, subtask in enumerate(self.subtasks, 1):
            yield from _id_faults(position, subtask.id)
        for ids in _duplicated(self.subtasks):
            if len(set(ids)) == 1:
                yield f"the id {ids[0]!r} is used {len(ids)} times; every subtask needs its own"
            else:
                names = ", ".join(map(repr, sorted(set(ids))))
                yield f"the ids {names} differ only in case or form; make them distinct"

    def _dependency_faults(self) -> Iterable[str]:
        known = {subtask.id for subtask in self.subtasks}
        for subtask in self.subtasks:
            for dependency, times in Counter(subtask.dependencies).items():
                if dependency == subtask.id:
                    yield f"subtask {subtask.id!r} depends on itself"
                elif dependency not in known:
                    yield f"subtask {subtask.id!r} depends on {dependency!r}, which is not in the plan"
                elif times > 1:
                    yield f"subtask {subtask.id!r} lists {dependency!r} {times} times"

    def _fallback_faults(self) -> Iterable[str]:
        by_id = {subtask.id: subtask for subtask in self.subtasks}
        stands_in = Counter(subtask.fallback for subtask in self.subtasks if subtask.fallback)
        for subtask in self.subtasks:
            other = by_id.get(subtask.fallback or "")
            if subtask.fallback and (other is None or other is subtask):
                name = subtask.fallback
                yield f"subtask {subtask.id!r} has the fallback {name!r}, which is no other subtask of the plan"
            elif other and (stands_in[other.id] > 1 or other.fallback):
                yield f"the fallback {other.id!r} has to stand in for one subtask and have no fallback itself"
            elif other and any(other.id in one.dependencies for one in self.subtasks):
                yield f"the fallback {other.id!r} cannot be depended on; depend on {subtask.id!r}"
            elif other and not set(other.dependencies) <= set(subtask.dependencies):
                yield f"the fallback {other.id!r} may depend only on what {subtask.id!r} depends on"

    def _cycle_faults(self) -> Iterable[str]:
        for cycle in _cycles({s.id: [d for d in s.dependencies if d != s.id] for s in self.subtasks}):
            shown = [*cycle[:NAMED], "…"] if len(cycle) > NAMED else [*cycle, cycle[0]]
            yield f"these subtasks depend on each other in a circle: {' → '.join(shown)}"

    def _type_faults(self, registry: Registry) -> Iterable[str]:
        unknown = Counter(subtask.type for subtask in self.subtasks if subtask.type not in registry)
        for subtask in self.subtasks:
            if subtask.type in unknown:
                nearest = registry.nearest(subtask.type)
                hint = f"did you mean {' or '.join(nearest)}? Types" if nearest else "types"
                yield f"subtask {subtask.id!r} has the unknown type {subtask.type!r}; {hint} {OWN_TYPES}"
                continue
            for fault in registry.get(subtask.type).faults(subtask.params):
                yield f"subtask {subtask.id!r} has a bad parameter {fault}"

    def ordered(self) -> list[Subtask]:
        """Each after its dependencies and their fallbacks, and else as the plan has them (Kahn, with a heap)."""
        position = {subtask.id: i for i, subtask in enumerate(self.subtasks)}
        stands_in = {subtask.id: subtask.fallback for subtask in self.subtasks if subtask.fallback}
        missing = dict.fromkeys(position, 0)
        users: dict[str, list[str]] = {subtask.id: [] for subtask in self.subtasks}
        for subtask in self.subtasks:
            for dependency in subtask.dependencies:
                for before in filter(None, (dependency, stands_in.get(dependency))):
                    users[before].append(subtask.id)
                    missing[subtask.id] += 1
        free = [position[subtask.id] for subtask in self.subtasks if not missing[subtask.id]]
        order: list[Subtask] = []
        while free:
            order.append(self.subtasks[heapq.heappop(free)])
            for user in users[order[-1].id]:
                missing[user] -= 1
                if not missing[user]:
                    heapq.heappush(free, position[user])
        return order


def _id_faults(position: int, id_: str) -> Iterable[str]:
    if not id_.strip():
        yield f"subtask number {position} has an empty id"
    elif len(id_) > MAX_ID:
        yield f"the id {id_[:20] + '…'!r} has {len(id_)} characters; at most {MAX_ID} are allowed"
    elif bad := sorted({c for c in id_ if c in SEPARATORS or not c.isprintable() or c.isspace()}):
        yield f"the id {id_!r} contains {', '.join(map(repr, bad))}; use letters, digits, '-', '_' and '.'"
    elif id_.startswith("@"):
        yield f"the id {id_!r} begins with '@', which is kept for built-in subtasks"


def _duplicated(subtasks: Sequence[Subtask]) -> list[list[str]]:
    """Groups of ids that are one id after Unicode normalisation (NFC) and case folding."""
    groups: dict[str, list[str]] = {}
    for subtask in subtasks:
        groups.setdefault(unicodedata.normalize("NFC", subtask.id).casefold(), []).append(subtask.id)
    return [ids for ids in groups.values() if len(ids) > 1]


def _cycles(dependencies: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """One circle from each knot of mutual dependency, in the direction of the work: a before b that needs a."""
    state: dict[str, int] = {}  # 1: on the path, 2: done
    found: list[list[str]] = []
    for root in dependencies:
        path: list[str] = []
        walk = [(root, iter(dependencies[root]))] if root not in state else []
        while walk:
            node, rest = walk[-1]
            if state.get(node) is None:
                state[node] = 1
                path.append(node)
            following = next((d for d in rest if d in dependencies and state.get(d) != 2), None)
            if following is None:
                state[path.pop()] = 2
                walk.pop()
            elif state.get(following) == 1:
                found.append(path[path.index(following) :][::-1])
            else:
                walk.append((following, iter(dependencies[following])))
    return found


def _malformed(error: ValidationError, data: Any) -> list[str]:
    """One sentence for each field that pydantic refused, naming the subtask by its id where it has one."""
    subtasks = data.get("subtasks") if isinstance(data, dict) else None
    faults = []
    for one in error.errors():
        where = list(one["loc"])
        label = "the plan"
        if len(where) > 1 and where[0] == "subtasks" and isinstance(where[1], int) and isinstance(subtasks, list):
            entry = subtasks[where[1]]
            id_ = entry.get("id") if isinstance(entry, dict) else None
            label = f"subtask {id_!r}" if id_ else f"subtask number {where[1] + 1}"
            where = where[2:]
        field = ".".join(map(str, where))
        faults.append(f"{label}: {field + ': ' if field else ''}{one['msg'][:1].lower()}{one['msg'][1:]}")
    return faults
