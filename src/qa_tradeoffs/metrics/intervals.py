"""Student's interval of a mean, the correction for multiple comparisons, and bootstrap resampling.

Every interval is at 95 % and reflects the variation of the values passed in.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

# Values drawn at a time, so that memory (16 MiB) does not depend on the number of questions or resamples.
_CHUNK = 2**20


class Interval(NamedTuple):
    """``low`` to ``high`` in the unit of the values."""

    low: float
    high: float


def t_interval(values: npt.ArrayLike) -> Interval:
    """Student's (1908) interval of the mean of a few independent ``values`` (n,), n ≥ 2, such as training runs.

    A bootstrap of three values would be far too narrow; this one is valid if they are roughly normal.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2 or not np.isfinite(array).all():
        raise ValueError(f"values must be a list of at least two finite numbers, not {array.tolist()}")
    half = float(special.stdtrit(len(array) - 1, 0.975) * array.std(ddof=1) / np.sqrt(len(array)))
    return Interval(float(array.mean()) - half, float(array.mean()) + half)


def resample_counts(n: int, rng: np.random.Generator, resamples: int) -> Iterator[Floats]:
    """How often each of n values is in each bootstrap resample, in blocks of resamples: (rows, n) float64."""
    most = max(1, _CHUNK // n)
    for begin in range(0, resamples, most):
        rows = min(most, resamples - begin)
        drawn = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def holm(p_values: npt.ArrayLike) -> Floats:
    """Holm's (1979) adjusted p values (m,) of m simultaneous comparisons, in the order given.

    Rejecting adjusted values of at most alpha limits the chance of any false rejection to alpha.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
