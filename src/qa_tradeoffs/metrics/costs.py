"""Measured seconds × a dated price: arithmetic only, so that a new price never needs a new measurement.

Of models that run on one machine, the price changes every cost by the same factor: neither who is cheapest nor after
how many questions one pays back depends on it. The price decides between machines; the utilisation, between models
that differ in what they cost to train.

Utilisation is the share of the paid time in which the machine answers, in (0, 1]; the rest is paid for waiting.
"""

import math
from dataclasses import dataclass

SECONDS_PER_HOUR = 3600.0
MILLION = 1e6


@dataclass(frozen=True)
class Costs:
    """What one model costs: once, to fine-tune, and for each question it answers. USD."""

    training: float
    per_question: float

    def after(self, questions: float) -> float:
        """USD in all, once it has answered this many questions."""
        return self.training + questions * self.per_question


def usd(seconds: float, usd_per_hour: float) -> float:
    """USD for ``seconds`` of a machine at ``usd_per_hour``."""
    return seconds / SECONDS_PER_HOUR * usd_per_hour


def usd_range(seconds: float, usd_per_hour: tuple[float, float]) -> tuple[float, float]:
    """(lowest, highest) USD for ``seconds`` at a price known as a range."""
    low, high = usd_per_hour
    return usd(seconds, low), usd(seconds, high)


def usd_per_million_questions(seconds_per_question: float, usd_per_hour: float, utilisation: float = 1.0) -> float:
    """USD to answer 10⁶ questions one after the other, which is MLPerf's SingleStream scenario."""
    return usd(seconds_per_question * MILLION, usd_per_hour) / utilisation


def usd_per_million_offline(questions_per_second: float, usd_per_hour: float, utilisation: float = 1.0) -> float:
    """USD to answer 10⁶ questions that are all there at the start, which is MLPerf's Offline scenario."""
    return usd_per_million_questions(1 / questions_per_second, usd_per_hour, utilisation)


def usd_per_point(extra_usd: float, points_gained: float) -> float | None:
    """USD for each point that a model has over the smallest one; None where it has none over it.

    ``extra_usd`` is what it costs more than the smallest one. Below 0: it is better and cheaper.
    """
    return extra_usd / points_gained if points_gained > 0 else None


def break_even(model: Costs, other: Costs) -> float:
    """Questions after which ``model`` has cost no more in all than ``other``, and never will again.

    0: at once, it costs no more to train nor to serve. ``math.inf``: never; it costs more to serve, or as much to serve
    and more to train. On one machine this does not depend on the price; half the utilisation halves it.
    """
    extra_to_train = model.training - other.training
    saved_per_question = other.per_question - model.per_question
    if saved_per_question < 0 or (saved_per_question == 0 and extra_to_train > 0):
        return math.inf
    return max(0.0, extra_to_train / saved_per_question) if saved_per_question > 0 else 0.0
