"""Seconds from FLOP and bytes: two numbers fitted on timings of one machine.

t = FLOP / c + bytes / b. The roofline model (Williams et al. 2009, doi 10.1145/1498765.1498785) takes the larger of the
two terms; here they add up, since a network's matrix products and its element-wise operations run one after the other.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

Floats = npt.NDArray[np.float64]
AT_LEAST = 3  # timings, for two numbers and their error


@dataclass(frozen=True)
class Roofline:
    """Seconds a FLOP and a byte; ``error``: how far off it is at most for a row that it was not fitted on, over 1."""

    per_flop: float
    per_byte: float
    error: float

    def seconds(self, flop: float, n_bytes: float) -> float:
        """Seconds of a call with so many FLOP and bytes."""
        return self.per_flop * flop + self.per_byte * n_bytes


def fit(flop: npt.ArrayLike, n_bytes: npt.ArrayLike, seconds: npt.ArrayLike) -> Roofline:
    """The two numbers, neither below 0, with the smallest squared relative error over calls (n,), n ≥ 3.

    The error is the largest over calls, each predicted from a fit on the others.
    """
    work = np.stack([np.asarray(flop, float), np.asarray(n_bytes, float)], axis=1)
    taken = np.asarray(seconds, float)
    if len(taken) < AT_LEAST:
        raise ValueError(f"{len(taken)} timings; two numbers and their error need at least {AT_LEAST}")
    left_out = [work[i] @ _solve(np.delete(work, i, 0), np.delete(taken, i)) / taken[i] for i in range(len(taken))]
    per_flop, per_byte = _solve(work, taken)
    return Roofline(float(per_flop), float(per_byte), float(np.abs(np.array(left_out) - 1).max()))


def _solve(work: Floats, seconds: Floats) -> Floats:
    """Non-negative least squares of relative errors; columns of like size, as 10¹² FLOP and 10⁶ bytes are not."""
    rows = work / seconds[:, None]
    size = rows.max(axis=0)
    return np.asarray(nnls(rows / size, np.ones(len(seconds)))[0] / size)
