"""How long questions take when they queue for one worker: a simulation on measured service times.

Questions arrive at random, independently of each other (a Poisson process); the worker answers one at a time, first in,
first out. With s[i] the seconds of service of question i and a[i] those between its arrival and the one before, waits
are w[i + 1] = max(0, w[i] + s[i] - a[i + 1]) (Lindley, 1952, doi 10.1017/S0305004100027638).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qa_tradeoffs.metrics.intervals import Floats

_QUESTIONS, _WARM_UP = 200_000, 20_000  # simulated in all; the first of them, for which the queue was empty
_HALVINGS = 24  # of the rates in question: a rate is known to 2^-24 of the highest


def times_in_system(service: Floats, gaps: Floats) -> Floats:
    """(n,): each question's wait and service, from (n,) seconds of ``service`` and (n,) ``gaps`` before arrivals.

    Lindley's recursion unrolled: a wait is how far the sum of all s[i] - a[i + 1] so far is above its least value.
    """
    walk = np.concatenate([[0.0], np.cumsum(service[:-1] - gaps[1:])])
    times: Floats = walk - np.minimum.accumulate(walk) + service
    return times


@dataclass(frozen=True, eq=False)
class Worker:
    """One worker and the questions it is asked: (n,) seconds of ``service``, (n,) ``gaps`` for one arrival a second.

    At another rate the same questions arrive in the same order, so no question ever waits less at a higher rate.
    """

    service: Floats
    gaps: Floats

    @classmethod
    def of(cls, measured: npt.ArrayLike, seed: int = 0, questions: int = _QUESTIONS) -> "Worker":
        """Service times drawn with replacement from those ``measured`` (m,), independently of each other.

        Workers of equally many measurements get the same draws: number i of one's is number i of the other's.
        """
        rng, seconds = np.random.default_rng(seed), np.asarray(measured, dtype=np.float64)
        gaps, drawn = rng.standard_exponential(questions), rng.integers(len(seconds), size=questions)
        return cls(seconds[drawn], gaps)

    @property
    def saturation(self) -> float:
        """Questions per second above which the queue grows without end: one over the mean service time."""
        return float(1 / self.service.mean())

    def p99(self, rate: float) -> float:
        """Seconds within which 99 % are answered at ``rate`` questions per second; at 0 no question waits."""
        times = times_in_system(self.service, self.gaps / rate) if rate else self.service
        return float(np.percentile(times[_WARM_UP:], 99))

    def rate(self, p99: float) -> float:
        """The highest rate, in questions per second, at which ``p99`` holds; 0 where it does not even without waits."""
        low, high = 0.0, self.saturation
        if self.p99(low) > p99:
            return 0.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.p99(middle) <= p99 else (low, middle)
        return low
