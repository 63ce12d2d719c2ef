"""Response times of questions that queue for one worker, simulated from measured service times.

Arrivals are a Poisson process; the worker answers one question at a time, first in, first out. With s[i] the service
time of question i and a[i] the time between its arrival and the previous one, waits are
w[i + 1] = max(0, w[i] + s[i] - a[i + 1]) (Lindley, 1952, doi 10.1017/S0305004100027638).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qa_tradeoffs.metrics.intervals import Floats

_QUESTIONS, _WARM_UP = 200_000, 20_000  # simulated, and dropped at the start, when queues are still short
_HALVINGS = 24  # of the interval of rates: to 2^-24 of the saturation rate


def times_in_system(service: Floats, gaps: Floats) -> Floats:
    """(n,): each question's waiting plus service time, from (n,) ``service`` and (n,) ``gaps`` before arrivals.

    Lindley's recursion unrolled: a wait is the running sum of s[i] - a[i + 1] minus its minimum so far.
    """
    walk = np.concatenate([[0.0], np.cumsum(service[:-1] - gaps[1:])])
    times: Floats = walk - np.minimum.accumulate(walk) + service
    return times


@dataclass(frozen=True, eq=False)
class Worker:
    """One worker and its questions: (n,) seconds of ``service``, (n,) ``gaps`` at one arrival per second.

    At other rates the same questions arrive in the same order, so no question waits less at a higher rate.
    """

    service: Floats
    gaps: Floats

    @classmethod
    def of(cls, measured: npt.ArrayLike, seed: int = 0, questions: int = _QUESTIONS) -> "Worker":
        """Service times drawn independently with replacement from ``measured`` (m,).

        Workers with the same number of measurements draw the same indices.
        """
        rng, seconds = np.random.default_rng(seed), np.asarray(measured, dtype=np.float64)
        gaps, drawn = rng.standard_exponential(questions), rng.integers(len(seconds), size=questions)
        return cls(seconds[drawn], gaps)

    @property
    def saturation(self) -> float:
        """Questions per second above which the queue grows without bound: 1 / mean service time."""
        return float(1 / self.service.mean())

    def p99(self, rate: float) -> float:
        """Seconds within which 99 % are answered at ``rate`` questions per second; at rate 0 no question waits."""
        times = times_in_system(self.service, self.gaps / rate) if rate else self.service
        return float(np.percentile(times[_WARM_UP:], 99))

    def rate(self, p99: float) -> float:
        """The highest rate (questions per second) with 99 % answered within ``p99`` seconds; 0 if there is none."""
        low, high = 0.0, self.saturation
        if self.p99(low) > p99:
            return 0.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.p99(middle) <= p99 else (low, middle)
        return low
