"""Predicting seconds from FLOP and bytes, with two parameters fitted to timings of one machine.

t = FLOP / c + bytes / b. The roofline model (Williams et al. 2009, doi 10.1145/1498765.1498785) takes the larger of the
two terms; here they are added, since a network's matrix products and element-wise operations run one after the other.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

Floats = npt.NDArray[np.float64]
AT_LEAST = 3  # timings, for two parameters and their error


@dataclass(frozen=True)
class Roofline:
    """Seconds per FLOP and per byte; ``error``: the largest relative error on a timing left out of the fit."""

    per_flop: float
    per_byte: float
    error: float

    def seconds(self, flop: float, n_bytes: float) -> float:
        """Seconds of a call with this many FLOP and bytes."""
        return self.per_flop * flop + self.per_byte * n_bytes


def fit(flop: npt.ArrayLike, n_bytes: npt.ArrayLike, seconds: npt.ArrayLike) -> Roofline:
    """The two non-negative parameters with the smallest squared relative error over calls (n,), n ≥ 3.

    The error is the largest over calls, each predicted by a fit to the others.
    """
    work = np.stack([np.asarray(flop, float), np.asarray(n_bytes, float)], axis=1)
    taken = np.asarray(seconds, float)
    if len(taken) < AT_LEAST:
        raise ValueError(f"{len(taken)} timings; two parameters and their error need at least {AT_LEAST}")
    left_out = [work[i] @ _solve(np.delete(work, i, 0), np.delete(taken, i)) / taken[i] for i in range(len(taken))]
    per_flop, per_byte = _solve(work, taken)
    return Roofline(float(per_flop), float(per_byte), float(np.abs(np.array(left_out) - 1).max()))


def _solve(work: Floats, seconds: Floats) -> Floats:
    """Non-negative least squares of relative errors, with columns scaled: FLOP and bytes differ in magnitude."""
    rows = work / seconds[:, None]
    size = rows.max(axis=0)
    return np.asarray(nnls(rows / size, np.ones(len(seconds)))[0] / size)
