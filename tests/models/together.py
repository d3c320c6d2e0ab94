"""A script for the scripted server: a model that answers merged requests as it would answer each alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_ITEMS = re.compile(r"--- begin REQUESTS (\w+)\n(.*)\n--- end REQUESTS \1", re.DOTALL)
Json = dict[str, Any]


def items(body: Json) -> list[Json]:
    """The merged requests of a call; none if it is not merged."""
    found = _ITEMS.search(body["messages"][-1]["content"])
    return json.loads(found[2]) if found else []


def together(each: Callable[[str], Any], spoil: Callable[[list[Json]], Any] = lambda results: results) -> Any:
    """Answers each request by ``each`` of its text; ``spoil`` changes the results of a merged call."""

    def script(body: Json) -> Json:
        merged = items(body)
        if not merged:
            answer = each(body["messages"][-1]["content"])
            return {"text": answer} if isinstance(answer, str) else {"json": answer}
        return {"json": {"results": spoil([{"id": one["id"], "answer": each(one["request"])} for one in merged])}}

    return script
