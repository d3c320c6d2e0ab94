"""What earlier subtasks found, by the id of the fact; what is not there is None, and its clause is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.nodes.data.models import Profile
from holdfast.nodes.market import confidence
from holdfast.nodes.market.findings import profile_in
from holdfast.nodes.report.document import Fact, Level, Section

_BESIDE = ("competition", "season", "forecast", "breaks", "panel")


class Known:
    """Facts of all sections among a subtask's inputs, and what the analyses said beside their sections."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self.profile: Profile = profile_in(inputs)
        results = [value for value in inputs.values() if isinstance(value, dict)]
        sections = [Section.model_validate(value) for value in results if "blocks" in value]
        self._facts = {fact.id: fact for section in sections for fact in section.facts}
        self._beside: dict[str, Any] = {"levels": {}}
        for value in results:
            self._beside |= {key: value[key] for key in _BESIDE if key in value}
            self._beside["levels"] |= value.get("levels") or {}
        self._tests = confidence.tests_in(results)
        self.used: dict[str, Fact] = {}

    def fact(self, name: str) -> Fact | None:
        """A fact by its id; noted as used."""
        found = self._facts.get(name)
        if found:
            self.used[found.id] = found
        return found

    def facts(self, **names: str) -> dict[str, Fact | str] | None:
        """Several facts under the names of a sentence's places; None if one is missing."""
        found = {place: self._facts.get(name) for place, name in names.items()}
        known = {place: fact for place, fact in found.items() if fact is not None}
        if len(known) < len(names):
            return None
        self.used.update({fact.id: fact for fact in known.values()})
        return dict(known)

    def number(self, name: str) -> float | None:
        """A fact's value as a number, for rules."""
        fact = self._facts.get(name)
        return float(fact.value) if fact and isinstance(fact.value, int | float) else None

    def beside(self, key: str) -> dict[str, Any]:
        """``competition``, ``season``, ``forecast``, ``breaks``, ``panel`` or ``levels``; empty if none gave it."""
        value = self._beside.get(key) or {}
        return value if isinstance(value, dict) else {}

    def level_name(self, key: str) -> str:
        """A name or date that the analyses of levels speak of; empty if they speak of none."""
        return str(self.beside("levels").get(key, ""))

    @property
    def flips(self) -> bool:
        """Whether growth of the whole and growth like for like point in opposite directions."""
        return any(told["flips"] for told in self.beside("panel").values())

    def confidence(self, *findings: str) -> Level:
        """The level that tests of these findings gave, the lowest of several; what nobody tested is low."""
        return confidence.least_sure(self._tests[key].level if key in self._tests else "low" for key in findings)
