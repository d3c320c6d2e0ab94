"""What a model said before, said again: for computing a report again without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.nodes.models.abilities import Abilities
from holdfast.nodes.models.model import Model
from holdfast.nodes.models.types import Fault, Kind, Reply, Request


class Recital(Model):
    """A model that gives the texts ``said`` under their steps, and has no other."""

    def __init__(self, name: str, said: Mapping[str, str]) -> None:
        self._name, self._said = name, said

    @property
    def name(self) -> str:
        """The name of the model that said it."""
        return self._name

    async def abilities(self) -> Abilities:
        """Text is all there is."""
        return Abilities()

    async def complete(self, step: str, request: Request) -> Reply:
        """What was said; raises Fault where nothing was."""
        if step not in self._said:
            raise Fault(Kind.DECLINED, "nothing was said there")
        return Reply(self._said[step], model=self._name)
