"""Costs: measured seconds × a dated price; arithmetic only, so that a new price needs no new measurement.

For models on one machine, the price scales every cost by the same factor: it affects neither which model is cheapest
nor the break-even point. It matters for the choice of machine; the utilisation matters for the choice between models
with different training costs.

Utilisation is the share of paid time in which the machine answers, in (0, 1]; it is idle for the rest.
"""

import math

SECONDS_PER_HOUR = 3600.0
SECONDS_PER_MONTH = 730 * SECONDS_PER_HOUR  # a twelfth of a year, as cloud providers bill it
MILLION = 1e6


def usd(seconds: float, usd_per_hour: float) -> float:
    """USD for ``seconds`` of a machine at ``usd_per_hour``."""
    return seconds / SECONDS_PER_HOUR * usd_per_hour


def usd_range(seconds: float, usd_per_hour: tuple[float, float]) -> tuple[float, float]:
    """(lowest, highest) USD for ``seconds`` at a price known as a range."""
    low, high = usd_per_hour
    return usd(seconds, low), usd(seconds, high)


def usd_per_million(seconds: float, usd_per_hour: tuple[float, float], utilisation: float = 1.0) -> tuple[float, float]:
    """(lowest, highest) USD for 10⁶ questions, or passes, of ``seconds`` each."""
    low, high = usd_range(seconds * MILLION, usd_per_hour)
    return low / utilisation, high / utilisation


def break_even(extra_to_train: float, saved_per_question: float) -> float:
    """Number of questions from which a model's total cost never exceeds another model's.

    ``extra_to_train``: additional USD for training; ``saved_per_question``: USD saved in service. 0: from the start.
    ``math.inf``: never, since it costs more to serve, or the same to serve and more to train. On one machine this does
    not depend on the price; half the utilisation halves it.
    """
    if saved_per_question < 0 or (saved_per_question == 0 and extra_to_train > 0):
        return math.inf
    return max(0.0, extra_to_train / saved_per_question) if saved_per_question > 0 else 0.0
