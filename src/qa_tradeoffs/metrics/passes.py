"""Records of interleaved passes, in which several models do the same work in turn, and which attempts count.

A pass is contended if the machine was busy with something else at the time. It is repeated while there is time. One of
all attempts at a pass counts.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from qa_tradeoffs.core.documents import Strict
from qa_tradeoffs.metrics.intervals import Floats
from qa_tradeoffs.metrics.records import Condition


class Surroundings(Strict):
    """What else the machine did while a pass was timed.

    ``steal``, ``foreign``: CPU time taken by other virtual machines and by other processes, as shares of the time of
    the available cores. ``rate``: FLOP/s of a fixed matrix product, the lower of two values, before and after the pass.
    For a GPU: ``others``, other processes on it, its ``clock`` in MHz, and whether it was ``throttled`` for heat or
    power; None if unknown.
    """

    steal: float = Field(ge=0, le=1)
    foreign: float = Field(ge=0, le=1)
    rate: float = Field(gt=0)
    others: int | None = Field(default=None, ge=0)
    clock: float | None = Field(default=None, gt=0)
    throttled: bool | None = None


class Pass(Strict):
    """One attempt at a pass: the median ``seconds`` per call by model, and why it is contended, if it is."""

    number: int = Field(ge=0)
    attempt: int = Field(ge=0)
    seconds: dict[str, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    surroundings: Surroundings
    contended: tuple[str, ...] = ()


class SideBySide(Strict):
    """One kind of work on one kind of network, done by several models in interleaved passes.

    ``models``: the conditions that differ between models, by slug. ``calls``: per model and pass.
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
                timed, expected = ", ".join(one.seconds), ", ".join(self.models)
                raise ValueError(f"pass {one.number} of {self.work} times {timed}; expected {expected}")
        if self.attempts and {one.number for one in self.attempts} != set(range(len(self.passes))):
            raise ValueError(f"the passes of {self.work} must be numbered 0, 1, 2, ...")
        return self

    @property
    def passes(self) -> list[Pass]:
        """The attempt that counts for each pass."""
        return counting(self.attempts)

    @property
    def contended(self) -> int:
        """The number of counting passes that are contended."""
        return sum(bool(one.contended) for one in self.passes)

    def seconds(self, model: str) -> Floats:
        """The model's median seconds per call in each counting pass, (n_passes,)."""
        return np.array([one.seconds[model] for one in self.passes])


def counting(attempts: Sequence[Pass]) -> list[Pass]:
    """For each pass the first quiet attempt; if none was quiet, the one that lost least time to other work.

    Attempts are never chosen by their times, which are what is measured.
    """
    by_number: dict[int, list[Pass]] = {}
    for one in attempts:
        by_number.setdefault(one.number, []).append(one)
    return [min(by_number[number], key=_disturbed) for number in sorted(by_number)]


def _disturbed(one: Pass) -> tuple[bool, float, int]:
    taken = one.surroundings.steal + one.surroundings.foreign if one.contended else 0.0
    return bool(one.contended), taken, one.attempt
