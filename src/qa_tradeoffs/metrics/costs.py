"""Measured seconds × a dated price: arithmetic only, so that a new price never needs a new measurement.

Of models that run on one machine, the price changes every cost by the same factor: neither who is cheapest nor after
how many questions one pays back depends on it. The price decides between machines; the utilisation, between models
that differ in what they cost to train.

Utilisation is the share of the paid time in which the machine answers, in (0, 1]; the rest is paid for waiting.
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
    """(lowest, highest) USD for 10⁶ questions, or passes, that take so many ``seconds`` each."""
    low, high = usd_range(seconds * MILLION, usd_per_hour)
    return low / utilisation, high / utilisation


def break_even(extra_to_train: float, saved_per_question: float) -> float:
    """Questions after which a model has cost no more in all than another one, and never will again.

    ``extra_to_train``: USD that it costs more than the other; ``saved_per_question``: USD that it costs less. 0: at
    once. ``math.inf``: never; it costs more to serve, or as much to serve and more to train. On one machine this does
    not depend on the price; half the utilisation halves it.
    """
    if saved_per_question < 0 or (saved_per_question == 0 and extra_to_train > 0):
        return math.inf
    return max(0.0, extra_to_train / saved_per_question) if saved_per_question > 0 else 0.0
