"""Repeated timings as records: medians with intervals, percentiles, the share of the machine's peak."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from qa_tradeoffs.core.files import written_atomically
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.profiling.workloads import Conditions

_UNITS = {"single_stream": "s per question", "offline": "s per pass", "phase": "s per question"}


@dataclass(frozen=True)
class Timing:
    """One kind of call, timed again and again.

    ``seconds``: (n_passes, n_repeats) float64, one value a call; of size 0 where the memory did not suffice. ``flops``:
    of one call, None where they were not counted. ``joules``: mean of one call, None where nothing meters it.
    """

    work: str
    seconds: NDArray[np.float64]
    conditions: Conditions
    flops: int | None = None
    joules: float | None = None

    @property
    def median(self) -> float:
        """Median seconds of a call."""
        return float(np.median(self.seconds))

    def share(self, peaks: dict[str, float]) -> float | None:
        """Achieved FLOP/s over the machine's peak in the same precision; above 1, the measurement is wrong."""
        if self.flops is None or not self.seconds.size:
            return None
        return self.flops / self.median / peaks[str(self.conditions["precision"])]


def records(timings: Sequence[Timing], peaks: dict[str, float], seed: int) -> list[Record]:
    """Each timing's median with its interval, p90, p99, and energy if metered; and the peaks."""
    rng = np.random.default_rng(seed)
    inputs = "product of two square matrices, best of several"
    return [record for timing in timings for record in _records(timing, peaks, rng)] + [
        Record.of("peak_flops_per_second", peak, "FLOP/s", conditions={"precision": precision, "inputs": inputs})
        for precision, peak in peaks.items()
    ]


def write(timings: Sequence[Timing], path: Path) -> None:
    """Every raw value as parquet: work, pass, repeat, seconds, and the conditions as columns."""
    frames = []
    for timing in timings:
        if timing.seconds.size:
            number, repeat = np.indices(timing.seconds.shape).reshape(2, -1)
            columns = {"pass": number, "repeat": repeat, "seconds": timing.seconds.ravel()}
            frames.append(pd.DataFrame({"work": timing.work, **timing.conditions, **columns}))
    with written_atomically(path) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary, write_page_checksum=True)


def _records(timing: Timing, peaks: dict[str, float], rng: np.random.Generator) -> Iterator[Record]:
    if not timing.seconds.size:
        yield Record.of("out_of_memory", 1, "1", conditions=timing.conditions | {"work": timing.work})
        return
    share = timing.share(peaks)
    checked: Conditions = {} if share is None else {"flops": timing.flops, "share_of_peak": share, "valid": share <= 1}
    conditions = timing.conditions | checked
    metric, unit, n = f"{timing.work}_seconds", _UNITS.get(timing.work, "s per call"), timing.seconds.size
    yield Record.median(metric, timing.seconds, unit, rng, conditions=conditions)
    for q in (90, 99):
        yield Record.of(f"{metric}_p{q}", np.percentile(timing.seconds, q), unit, n, conditions=conditions)
    if timing.joules is not None:
        yield Record.of(f"{timing.work}_joules", timing.joules, "J per call", n, conditions=conditions)
