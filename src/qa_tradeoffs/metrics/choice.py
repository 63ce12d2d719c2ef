"""Which of several models are worth choosing: what is known of each two, and what follows for each. Arithmetic only.

A difference counts where it is shown. In accuracy that takes an interval of the paired difference without zero and a
corrected p value below 0.05, both over questions; and where models were trained several times, runs that do not
overlap. The two uncertainties are asked one after the other, never pooled. In speed it takes two 95 % intervals that
do not meet. What is not shown is not taken for equal: there may be a difference too small to be seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["better", "worse", "equal", "unclear"]
Standing = Literal["front", "dominated", "unclear"]
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Gap:
    """A paired difference in accuracy, in points, with its interval and its corrected p value over questions.

    ``runs_overlap``: several training runs were scored, and those of the two models overlap.
    """

    estimate: float
    low: float
    high: float
    p_value: float
    runs_overlap: bool = False

    @property
    def verdict(self) -> Verdict:
        """What it shows. 'equal' only where every question is scored alike, so that the interval has no width."""
        if self.low == self.high == 0:
            return "equal"
        if self.runs_overlap or not self.told_over_questions:
            return "unclear"
        return "better" if self.low > 0 else "worse"

    @property
    def told_over_questions(self) -> bool:
        """Whether other questions of the kind would hardly bring about the difference by chance."""
        return self.p_value < SIGNIFICANT and (self.low > 0 or self.high < 0)

    def turned(self) -> "Gap":
        """The same difference, seen from the other model."""
        return Gap(-self.estimate, -self.high, -self.low, self.p_value, self.runs_overlap)


@dataclass(frozen=True)
class Time:
    """Seconds with their interval."""

    seconds: float
    low: float
    high: float

    def against(self, other: "Time") -> Verdict:
        """What the two times show; never 'equal'."""
        if self.high < other.low:
            return "better"
        return "worse" if other.high < self.low else "unclear"


@dataclass(frozen=True)
class Contest:
    """What is known of every two of the ``models``: ``gaps`` has each pair once, in either order."""

    models: tuple[str, ...]
    gaps: Mapping[tuple[str, str], Gap]
    times: Mapping[str, Time]

    def gap(self, model: str, other: str) -> Gap:
        """How far ``model`` is ahead of ``other`` in accuracy."""
        found = self.gaps.get((model, other))
        return found if found is not None else self.gaps[other, model].turned()

    def accuracy(self, model: str, other: str) -> Verdict:
        """Whether ``model`` is shown to answer better than ``other``."""
        return self.gap(model, other).verdict

    def speed(self, model: str, other: str) -> Verdict:
        """Whether ``model`` is shown to be faster than ``other``."""
        return self.times[model].against(self.times[other])

    def dominators(self, model: str) -> list[str]:
        """The models shown to be at least as accurate as ``model`` and faster."""
        return [other for other in self.others(model) if self._dominates(other, model)]

    def rivals(self, model: str) -> list[str]:
        """The models shown to be better than ``model`` in one of the two, where nothing is shown in the other."""
        return [
            other
            for other in self.others(model)
            if {self.accuracy(other, model), self.speed(other, model)} == {"better", "unclear"}
        ]

    def standing(self, model: str) -> Standing:
        """'front' where ``model`` is shown to beat every other one in accuracy or in speed; else where it may be."""
        if self.dominators(model):
            return "dominated"
        beats_all = all("better" in (self.accuracy(model, o), self.speed(model, o)) for o in self.others(model))
        return "front" if beats_all else "unclear"

    def most_accurate(self) -> list[str]:
        """The models that no other is shown to beat in accuracy."""
        return [m for m in self.models if all(self.accuracy(o, m) != "better" for o in self.others(m))]

    def fastest(self) -> list[str]:
        """The models that no other is shown to beat in speed."""
        return [m for m in self.models if all(self.speed(o, m) != "better" for o in self.others(m))]

    def others(self, model: str) -> Sequence[str]:
        """All models but this one."""
        return [other for other in self.models if other != model]

    def _dominates(self, model: str, other: str) -> bool:
        return self.accuracy(model, other) in ("better", "equal") and self.speed(model, other) == "better"
