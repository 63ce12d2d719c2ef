"""Bootstrap intervals, paired differences and the correction for several comparisons.

The uncertainty is that of the values passed in: of the questions for scores per question, of the repeats for
timings. Every function that draws takes a numpy Generator, so the same seed gives the same result.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

# Values drawn at a time, so that memory (16 MiB) depends on neither the questions nor the resamples.
_CHUNK = 2**20


@dataclass(frozen=True)
class Interval:
    """``low`` to ``high`` in the unit of the values, at confidence ``level`` in (0, 1)."""

    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Difference:
    """Mean of a - b over n pairs, its interval, and the two-sided p value of no difference."""

    estimate: float
    interval: Interval
    p_value: float


def bootstrap_mean(
    values: npt.ArrayLike, rng: np.random.Generator, resamples: int = 2000, level: float = 0.95
) -> Interval:
    """Percentile bootstrap interval of the mean of ``values`` (n,) (Efron and Tibshirani, 1993, chapter 13)."""
    return _bootstrap(_checked(values, "values"), np.mean, rng, resamples, level)


def bootstrap_median(
    values: npt.ArrayLike, rng: np.random.Generator, resamples: int = 2000, level: float = 0.95
) -> Interval:
    """Percentile bootstrap interval of the median of ``values`` (n,) or (clusters, n).

    Values of one cluster, such as the repeats of a timing within one pass, are alike; clusters are drawn whole, so that
    the interval holds how they differ (Davison and Hinkley, 1997, section 3.8).
    """
    clustered = np.ndim(values) == 2
    flat = _checked(np.ravel(values) if clustered else values, "values")
    return _bootstrap(flat.reshape(np.shape(values)), np.median, rng, resamples, level)


def t_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Student's (1908) interval of the mean of a few independent ``values`` (n,), n at least 2, such as training runs.

    A bootstrap of three values would be far too narrow; this one holds if they are about normal.
    """
    array = _checked(values, "values")
    if len(array) < 2:
        raise ValueError("values must be at least two: one does not show how far others may lie from it")
    half = float(special.stdtrit(len(array) - 1, (1 + level) / 2) * array.std(ddof=1) / np.sqrt(len(array)))
    return Interval(float(array.mean()) - half, float(array.mean()) + half, level)


def paired_difference(
    a: npt.ArrayLike, b: npt.ArrayLike, rng: np.random.Generator, resamples: int = 2000, level: float = 0.95
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
    interval = _bootstrap(differences, np.mean, rng, resamples, level)
    return Difference(float(differences.mean()), interval, _swap_p_value(differences, rng, resamples))


def bootstrap_means(
    values: npt.ArrayLike, rng: np.random.Generator, resamples: int = 2000, level: float = 0.95
) -> tuple[Floats, Floats]:
    """``bootstrap_mean`` of every column of ``values`` (n, k): lower and upper bounds (k,) each.

    Every resample draws whole rows, for all columns at once.
    """
    table = np.asarray(values, dtype=np.float64)
    means = np.concatenate([counts @ table for counts in resample_counts(len(table), rng, resamples)]) / len(table)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def swap_p_values(differences: npt.ArrayLike, rng: np.random.Generator, resamples: int = 2000) -> Floats:
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


def resample_counts(n: int, rng: np.random.Generator, resamples: int = 2000) -> Iterator[Floats]:
    """How often each of n values is in each bootstrap resample, some resamples at a time: (rows, n) float64."""
    for rows in _chunks(resamples, n):
        drawn = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def holm(p_values: Sequence[float] | npt.ArrayLike) -> Floats:
    """Holm's (1979) adjusted p values (m,) of m comparisons made together, in the order given.

    Rejecting where the adjusted value is at most alpha keeps the chance of any false rejection at alpha.
    """
    p = _checked(p_values, "p_values")
    if p.min() < 0 or p.max() > 1:
        raise ValueError("p_values must lie in [0, 1]")
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _bootstrap(
    values: Floats, statistic: Callable[..., Floats], rng: np.random.Generator, resamples: int, level: float
) -> Interval:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    n = len(values)
    estimates = np.concatenate(
        [
            statistic(values[rng.integers(n, size=(rows, n))].reshape(rows, -1), axis=1)
            for rows in _chunks(resamples, values.size)
        ]
    )
    low, high = np.quantile(estimates, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level)


def _swap_p_value(differences: Floats, rng: np.random.Generator, resamples: int) -> float:
    nonzero = differences[differences != 0]  # swapping equal scores changes nothing
    observed = abs(nonzero.sum())
    # Sums that are equal but for rounding count as equal.
    reached = observed - 1e-9 * np.abs(nonzero).sum()
    count = 0
    for rows in _chunks(resamples, len(nonzero)):
        swapped = rng.integers(2, size=(rows, len(nonzero)), dtype=np.int8)
        sums = nonzero.sum() - 2 * (swapped @ nonzero)
        count += int(np.count_nonzero(np.abs(sums) >= reached))
    return (1 + count) / (1 + resamples)


def _chunks(resamples: int, n: int) -> Iterator[int]:
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}")
    most = max(1, _CHUNK // max(1, n))
    while resamples > 0:
        yield min(most, resamples)
        resamples -= most


def _checked(values: npt.ArrayLike, name: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be a one-dimensional array of at least one value, not of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, but has NaN or infinity at {int(np.argmin(np.isfinite(array)))}")
    return array
