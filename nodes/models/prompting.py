"""Prompts, which are files with a version, and the fence round text that came from somewhere else."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

_HEAD = re.compile(r"<!-- (\w+/\d+) -->\n")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is told; ``name`` has the version, such as ``plan/1``, which rises with each change of the text."""

    name: str
    text: str

    @property
    def message(self) -> dict[str, str]:
        """The prompt as the first message of a conversation."""
        return {"role": "system", "content": self.text}


@cache
def prompt(name: str) -> Prompt:
    """The prompt in ``prompts/<name>.md``, whose first line says its name and version."""
    text = (resources.files(__package__) / "prompts" / f"{name}.md").read_text("utf-8")
    head = _HEAD.match(text)
    if head is None or head[1].partition("/")[0] != name:
        raise ValueError(f"the first line of prompts/{name}.md has to be <!-- {name}/VERSION -->")
    return Prompt(head[1], text[head.end() :])


def fenced(name: str, value: Any) -> str:
    """Text, or a JSON value, between two marks that it cannot contain, so that it cannot pretend to have ended."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    while mark in text:
        mark = hashlib.sha256(mark.encode()).hexdigest()[:12]
    clean = text.encode("utf-8", "replace").decode()
    return f"--- begin {name} {mark}\n{clean}\n--- end {name} {mark}"
