"""Bootstrap intervals, paired differences and the correction for several comparisons.

Every interval is at 95 %. The uncertainty is that of the values passed in: of the questions for scores per question, of
the repeats for timings. Every function that draws takes a numpy Generator, so the same seed gives the same result.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

_ENDS = [(1 - 0.95) / 2, (1 + 0.95) / 2]  # of an interval, as quantiles
# Values drawn at a time, so that memory (16 MiB) depends on neither the questions nor the resamples.
_CHUNK = 2**20


class Interval(NamedTuple):
    """``low`` to ``high`` in the unit of the values."""

    low: float
    high: float


class Difference(NamedTuple):
    """Mean of a - b over n pairs, its interval, and the two-sided p value of no difference."""

    estimate: float
    low: float
    high: float
    p_value: float


def bootstrap_mean(values: npt.ArrayLike, rng: np.random.Generator, resamples: int = 2000) -> Interval:
    """Percentile bootstrap interval of the mean of ``values`` (n,) (Efron and Tibshirani, 1993, chapter 13)."""
    return _bootstrap(_checked(values, "values"), np.mean, rng, resamples)


def bootstrap_median(values: npt.ArrayLike, rng: np.random.Generator, resamples: int = 2000) -> Interval:
    """Percentile bootstrap interval of the median of ``values`` (n,) or (clusters, n).

    Values of one cluster, such as the repeats of a timing within one pass, are alike; clusters are drawn whole, so that
    the interval holds how they differ (Davison and Hinkley, 1997, section 3.8).
    """
    return _bootstrap(_checked(values, "values", dimensions=2), np.median, rng, resamples)


def t_interval(values: npt.ArrayLike) -> Interval:
    """Student's (1908) interval of the mean of a few independent ``values`` (n,), n at least 2, such as training runs.

    A bootstrap of three values would be far too narrow; this one holds if they are about normal.
    """
    array = _checked(values, "values")
    mean = float(array.mean())
    half = float(special.stdtrit(len(array) - 1, _ENDS[1]) * array.std(ddof=1) / np.sqrt(len(array)))
    return Interval(mean - half, mean + half)


def paired_difference(
    a: npt.ArrayLike, b: npt.ArrayLike, rng: np.random.Generator, resamples: int = 2000
) -> Difference:
    """Mean difference of ``a`` (n,) from ``b`` (n,), row i of both being the same question.

    The interval is a percentile bootstrap over pairs. The p value comes from the randomisation test that swaps
    the two scores of each question at random (Fisher, 1935; for language processing Dror et al., 2018,
    doi 10.18653/v1/P18-1128); it counts the observed difference as one of the draws, so that it is never 0 and
    at least 1 / (resamples + 1) (Phipson and Smyth, 2010, doi 10.2202/1544-6115.1585).
    """
    first, second = _checked(a, "a"), _checked(b, "b")
    if len(first) != len(second):
        raise ValueError(f"b must have as many values as a, one per question: {len(second)} instead of {len(first)}")
    differences = first - second
    interval = _bootstrap(differences, np.mean, rng, resamples)
    nonzero = differences[differences != 0]  # swapping equal scores changes nothing
    # Sums that are equal but for rounding count as equal.
    reached = abs(nonzero.sum()) - 1e-9 * np.abs(nonzero).sum()
    count = 0
    for rows in _chunks(resamples, len(nonzero)):
        swapped = rng.integers(2, size=(rows, len(nonzero)), dtype=np.int8)
        count += int(np.count_nonzero(np.abs(nonzero.sum() - 2 * (swapped @ nonzero)) >= reached))
    return Difference(float(differences.mean()), *interval, (1 + count) / (1 + resamples))


def bootstrap_means(values: Floats, rng: np.random.Generator, resamples: int = 2000) -> tuple[Floats, Floats]:
    """``bootstrap_mean`` of every column of ``values`` (n, k): lower and upper bounds (k,) each.

    Every resample draws whole rows, for all columns at once.
    """
    means = np.concatenate([counts @ values for counts in resample_counts(len(values), rng, resamples)]) / len(values)
    low, high = np.quantile(means, _ENDS, axis=0)
    return low, high


def swap_p_values(differences: npt.ArrayLike, rng: np.random.Generator, resamples: int) -> Floats:
    """The p value of ``paired_difference`` for every column of ``differences`` (n, k): (k,).

    A draw swaps the same questions in all columns.
    """
    table = np.asarray(differences, dtype=np.float32)
    table = table[table.any(axis=1)]  # swapping equal scores changes nothing
    observed = table.sum(axis=0, dtype=np.float64)
    # Sums that are equal but for rounding count as equal; the other way round chance would look smaller than it is.
    reached = np.abs(observed) - 1e-5 * np.abs(table).sum(axis=0, dtype=np.float64)
    count = np.zeros(table.shape[1])
    for rows in _chunks(resamples, len(table)):
        bits = np.frombuffer(rng.bytes(-(-rows * len(table) // 8)), np.uint8)
        swapped = np.unpackbits(bits, count=rows * len(table)).reshape(rows, len(table)).astype(np.float32)
        count += np.count_nonzero(np.abs(observed - 2 * (swapped @ table)) >= reached, axis=0)
    p_values: Floats = (1 + count) / (1 + resamples)
    return p_values


def resample_counts(n: int, rng: np.random.Generator, resamples: int) -> Iterator[Floats]:
    """How often each of n values is in each bootstrap resample, some resamples at a time: (rows, n) float64."""
    for rows in _chunks(resamples, n):
        drawn = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def holm(p_values: npt.ArrayLike) -> Floats:
    """Holm's (1979) adjusted p values (m,) of m comparisons made together, in the order given.

    Rejecting where the adjusted value is at most alpha keeps the chance of any false rejection at alpha.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _bootstrap(values: Floats, statistic: Callable[..., Floats], rng: np.random.Generator, resamples: int) -> Interval:
    n = len(values)
    estimates = np.concatenate(
        [
            statistic(values[rng.integers(n, size=(rows, n))].reshape(rows, -1), axis=1)
            for rows in _chunks(resamples, values.size)
        ]
    )
    low, high = np.quantile(estimates, _ENDS)
    return Interval(float(low), float(high))


def _chunks(resamples: int, n: int) -> Iterator[int]:
    most = max(1, _CHUNK // max(1, n))
    while resamples > 0:
        yield min(most, resamples)
        resamples -= most


def _checked(values: npt.ArrayLike, name: str, dimensions: int = 1) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if not 1 <= array.ndim <= dimensions or array.size == 0:
        raise ValueError(f"{name} must be an array of at least one value, not of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, but has NaN or infinity at {int(np.argmin(np.isfinite(array)))}")
    return array
