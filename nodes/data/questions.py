"""What a file cannot prove is asked: at most one question each of five kinds, and every one has a best guess.

Deciding and asking are one act: ``choose`` takes the answer if there is one; else it takes the best guess, notes the
question and says what was assumed.  So the same code finds the questions and later uses their answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from holdfast.nodes.data.models import Question

BEST_GUESS = "best guess"  # the default answer: nobody has decided, so the report says "assumed"
NOT_STATED = "not stated"
LONGEST_UNIT = 24
ROLE_OF = {"measure": "measure", "compared": "entity", "dates": "time"}  # the role that an answer decides
DEPENDENT = ("unit", "last period")  # what these ask follows from the answers to the others


@dataclass(slots=True)
class Inquiry:
    """Answers that are known, by key, and what came of the decisions that needed one."""

    answers: Mapping[str, str] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    assumed: set[str] = field(default_factory=set)  # roles that nobody has decided and no value proves

    def choose(self, key: str, prompt: str, options: Sequence[str], said: str) -> str:
        """One of the ``options``, the first of which is the best guess; ``said`` tells of the choice at its ``{}``."""
        self.questions.append(Question(key=key, prompt=prompt, options=list(options)))
        answer = self.answers.get(key, BEST_GUESS)
        chosen = answer if answer in options else options[0]
        if answer in options:
            self.answered.append(said.format(chosen))
        else:
            self.assume(said.format(chosen), ROLE_OF.get(key, ""))
        return chosen

    def assume(self, text: str, role: str = "") -> None:
        """Notes what is taken for granted, and the role that rests on it, if one does."""
        self.assumptions.append(text)
        self.assumed |= {role} - {""}

    def has(self, key: str) -> bool:
        """Whether that is among the questions."""
        return any(question.key == key for question in self.questions)

    def unit(self, column: str) -> str:
        """The unit that somebody states for ``column``; empty if nobody does."""
        self.questions.append(
            Question(key="unit", prompt=f"In which unit is “{column}”? The file does not say.", options=[])
        )
        unit = " ".join(self.answers.get("unit", NOT_STATED).split())[:LONGEST_UNIT]
        if unit in ("", NOT_STATED, BEST_GUESS):
            return ""
        self.answered.append(f"the unit of “{column}” is {unit}")
        return unit
