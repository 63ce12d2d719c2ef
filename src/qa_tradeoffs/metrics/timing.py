"""Times and ratios of times from interleaved passes, and which percentiles n answers support.

In each pass every model is timed briefly, one after the other in random order; the median of its repeats represents a
model in a pass. Intervals are at 95 %, over passes, Student's (1908) on logarithms: disturbances multiply times, and
one that slows a whole pass cancels in the ratio of two times of that pass.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from qa_tradeoffs.metrics import estimates
from qa_tradeoffs.metrics.intervals import holm, t_interval

_BEYOND = 5  # answers that must lie beyond a percentile


class Estimate(NamedTuple):
    """Seconds, and their interval over passes."""

    value: float
    low: float
    high: float


class Ratio(NamedTuple):
    """The first's time over the second's, below 1 if the first is faster; ``p_value`` is two-sided, for ratio 1."""

    value: float
    low: float
    high: float
    p_value: float

    @property
    def inverted(self) -> "Ratio":
        """The second's time over the first's."""
        return Ratio(1 / self.value, 1 / self.high, 1 / self.low, self.p_value)


def typical(passes: npt.ArrayLike) -> Estimate:
    """The geometric mean of ``passes`` (n,), the median seconds of each pass; n ≥ 2."""
    logs = np.log(_checked(passes, "passes"))
    return Estimate(*map(float, np.exp([logs.mean(), *t_interval(logs)])))


def ratio(a: npt.ArrayLike, b: npt.ArrayLike) -> Ratio:
    """Seconds ``a`` (n,) over seconds ``b`` (n,), entry i of both from pass i; n ≥ 2.

    The estimate is the geometric mean of the passes' ratios, the p value comes from the paired t test of their
    logarithms. Raises ValueError for different numbers of passes, and for times that are not positive.
    """
    first, second = _checked(a, "a"), _checked(b, "b")
    if len(first) != len(second):
        raise ValueError(f"b must have as many values as a, one per pass: {len(second)} instead of {len(first)}")
    logs = np.log(first / second)
    value, low, high = map(float, np.exp([logs.mean(), *t_interval(logs)]))
    return Ratio(value, low, high, _t_test(logs))


def ratios(passes: Mapping[str, npt.ArrayLike]) -> dict[tuple[str, str], Ratio]:
    """The ``ratio`` of every pair of models of ``passes``, with p values corrected over all pairs by Holm's method.

    ``pareto.pace`` says whether a ratio is significant.
    """
    found = {(a, b): ratio(passes[a], passes[b]) for a, b in combinations(passes, 2)}
    adjusted = holm([pair.p_value for pair in found.values()])
    return {key: pair._replace(p_value=float(p)) for (key, pair), p in zip(found.items(), adjusted, strict=True)}


def change(before: npt.ArrayLike, after: npt.ArrayLike) -> Ratio:
    """The change of a ratio of times: ``after`` (m,) over ``before`` (n,), one ratio per pass; n, m ≥ 2.

    The two come from different passes, so interval and p value are those of Welch's (1947) t test on logarithms.
    """
    logs = [np.log(_checked(ratios, name)) for ratios, name in ((after, "after"), (before, "before"))]
    found = estimates.difference(
        *(estimates.Estimate(float(of.mean()), float(of.std(ddof=1) / np.sqrt(len(of))), len(of) - 1) for of in logs)
    )
    value, low, high = map(float, np.exp([found.value, *found.interval()]))
    return Ratio(value, low, high, found.p_value)


def supports_percentile(percentile: int, n: int) -> bool:
    """Whether 5 or more of ``n`` answers lie beyond this percentile of their times: p90 needs 50 answers, p99 500.

    With fewer it would be the time of one or two answers, which another run would not reproduce.
    """
    return n * (100 - percentile) >= 100 * _BEYOND


def _t_test(values: npt.NDArray[np.float64]) -> float:
    """Two-sided p value of Student's t test that the mean of ``values`` (n,) is 0."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    if error == 0:
        return float(values.mean() == 0)
    return float(2 * special.stdtr(len(values) - 1, -abs(values.mean()) / error))


def _checked(values: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2 or not (np.isfinite(array).all() and (array > 0).all()):
        raise ValueError(f"{name} must be positive values of at least 2 passes, not {array.tolist()}")
    return array
