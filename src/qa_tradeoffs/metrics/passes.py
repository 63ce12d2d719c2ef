"""Passes in which several models did the same work in turn, as they are kept, and which of them count.

A pass is contended where the machine was busy with something else meanwhile. It is then repeated, as far as there is
time; of the attempts at a pass one counts.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field, model_validator

from qa_tradeoffs.core.documents import Strict
from qa_tradeoffs.metrics.intervals import Floats
from qa_tradeoffs.metrics.records import Condition


class Surroundings(Strict):
    """What else the machine did while a pass was timed.

    ``steal``, ``foreign``: shares of the processor time of the cores that the process may use, taken by other virtual
    machines and by other processes. ``rate``: FLOP/s of a fixed product of matrices, the lower of before and after the
    pass. Of a GPU: ``others``, other processes on it, its ``clock`` in MHz, and whether it was ``throttled``, clocked
    down for heat or want of power; None where nothing says so.
    """

    steal: float = Field(ge=0, le=1)
    foreign: float = Field(ge=0, le=1)
    rate: float = Field(gt=0)
    others: int | None = Field(default=None, ge=0)
    clock: float | None = Field(default=None, gt=0)
    throttled: bool | None = None


class Pass(Strict):
    """One attempt at a pass: the median ``seconds`` of a call by model, and why it is contended, if it is."""

    number: int = Field(ge=0)
    attempt: int = Field(ge=0)
    seconds: dict[str, float] = Field(min_length=1)
    surroundings: Surroundings
    contended: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _took_time(self) -> "Pass":
        for model, seconds in self.seconds.items():
            if not 0 < seconds < float("inf"):
                raise ValueError(f"the seconds of {model} must be a positive number, not {seconds}")
        return self


class SideBySide(Strict):
    """One kind of work on one kind of network, done by several models in turn.

    ``models``: by slug, the conditions that differ between them. ``calls``: of each model in a pass.
    """

    work: str
    network: str
    conditions: dict[str, Condition]
    models: dict[str, dict[str, Condition]]
    calls: int = Field(ge=1)
    attempts: tuple[Pass, ...]

    @model_validator(mode="after")
    def _every_pass_has_all_models(self) -> "SideBySide":
        for one in self.attempts:
            if one.seconds.keys() != self.models.keys():
                raise ValueError(f"pass {one.number} of {self.work} times {', '.join(one.seconds)}, not all its models")
        if self.attempts and {one.number for one in self.attempts} != set(range(len(self.passes))):
            raise ValueError(f"the passes of {self.work} must be numbered 0, 1, 2, ...")
        return self

    @property
    def passes(self) -> list[Pass]:
        """The attempt that counts of each pass."""
        return counting(self.attempts)

    @property
    def contended(self) -> int:
        """How many of the passes that count are contended."""
        return sum(bool(one.contended) for one in self.passes)

    def seconds(self, model: str) -> Floats:
        """The model's median seconds of a call in each pass that counts, (n_passes,)."""
        return np.array([one.seconds[model] for one in self.passes])


def counting(attempts: Sequence[Pass]) -> list[Pass]:
    """Of the attempts at each pass the first quiet one; where none was, the one from which least time was taken.

    They are never chosen by their times, which are what is to be measured.
    """
    by_number: dict[int, list[Pass]] = {}
    for one in attempts:
        by_number.setdefault(one.number, []).append(one)
    return [min(by_number[number], key=_disturbed) for number in sorted(by_number)]


def _disturbed(one: Pass) -> tuple[bool, float, int]:
    taken = one.surroundings.steal + one.surroundings.foreign if one.contended else 0.0
    return bool(one.contended), taken, one.attempt
