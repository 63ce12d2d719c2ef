"""Pairwise significance, dominance and the Pareto front of several models. Arithmetic only.

A difference in accuracy is significant if its corrected p value is below 0.05. A difference in time is significant if
the interval of the ratio, over interleaved passes, excludes 1 and its corrected p value is below 0.05. "Not
significant" does not mean equal: the study may be too small.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from qa_tradeoffs.metrics.estimates import Over
from qa_tradeoffs.metrics.timing import Ratio

Verdict = Literal["better", "worse", "equal", "not significant"]
Standing = Literal["front", "dominated", "unclear"]
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Gap:
    """A paired difference in accuracy, in points, with its interval, corrected p value, and what these are over."""

    estimate: float
    low: float
    high: float
    p_value: float
    over: Over = "questions"

    @property
    def verdict(self) -> Verdict:
        """The verdict; 'equal' only if every question has the same score, so that the interval has no width."""
        if self.low == self.high == 0:
            return "equal"
        if self.p_value >= SIGNIFICANT:
            return "not significant"
        return "better" if self.estimate > 0 else "worse"

    def reversed(self) -> "Gap":
        """The difference from the other model's point of view."""
        return Gap(-self.estimate, -self.high, -self.low, self.p_value, self.over)


def pace(ratio: Ratio) -> Verdict:
    """The verdict on the first model of a ratio of times: 'better' means faster; never 'equal'."""
    if ratio.p_value >= SIGNIFICANT or ratio.low <= 1 <= ratio.high:
        return "not significant"
    return "better" if ratio.high < 1 else "worse"


@dataclass(frozen=True)
class Contest:
    """All ``models`` compared in pairs: ``gaps`` and ``ratios`` of times have each pair once, in either order."""

    models: tuple[str, ...]
    gaps: Mapping[tuple[str, str], Gap]
    ratios: Mapping[tuple[str, str], Ratio]

    def gap(self, model: str, other: str) -> Gap:
        """How far ``model`` is ahead of ``other`` in accuracy."""
        if (model, other) in self.gaps:
            return self.gaps[model, other]
        return self.gaps[other, model].reversed()

    def ratio(self, model: str, other: str) -> Ratio:
        """The time of ``model`` divided by the time of ``other``."""
        return self.ratios[model, other] if (model, other) in self.ratios else self.ratios[other, model].inverted

    def accuracy(self, model: str, other: str) -> Verdict:
        """Whether ``model`` is significantly more or less accurate than ``other``."""
        return self.gap(model, other).verdict

    def speed(self, model: str, other: str) -> Verdict:
        """Whether ``model`` is significantly faster or slower than ``other``."""
        return pace(self.ratio(model, other))

    def dominators(self, model: str) -> list[str]:
        """The models that dominate ``model``: significantly more accurate, or equal, and significantly faster."""
        return [
            other
            for other in self.others(model)
            if self.accuracy(other, model) in ("better", "equal") and self.speed(other, model) == "better"
        ]

    def rivals(self, model: str) -> list[str]:
        """The models significantly better than ``model`` in one respect, not significantly different in the other."""
        return [
            other
            for other in self.others(model)
            if {self.accuracy(other, model), self.speed(other, model)} == {"better", "not significant"}
        ]

    def standing(self, model: str) -> Standing:
        """'front' if ``model`` is significantly better than every other model in at least one respect.

        'dominated' if another model dominates it; otherwise 'unclear'.
        """
        if self.dominators(model):
            return "dominated"
        beats_all = all("better" in (self.accuracy(model, o), self.speed(model, o)) for o in self.others(model))
        return "front" if beats_all else "unclear"

    def most_accurate(self) -> list[str]:
        """The models that no other model significantly beats in accuracy."""
        return [m for m in self.models if all(self.accuracy(o, m) != "better" for o in self.others(m))]

    def fastest(self) -> list[str]:
        """The models that no other model significantly beats in time."""
        return [m for m in self.models if all(self.speed(o, m) != "better" for o in self.others(m))]

    def others(self, model: str) -> list[str]:
        """All models but this one."""
        return [other for other in self.models if other != model]
