"""The results of interleaved measurements, as records and as tables for notebook 4."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qa_tradeoffs.core import words
from qa_tradeoffs.core.files import written_atomically
from qa_tradeoffs.metrics.passes import SideBySide
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.metrics.timing import supports_percentile, typical
from qa_tradeoffs.profiling.side_by_side import Measured


def side_by_side(measured: Measured) -> SideBySide:
    """One kind of work with its passes."""
    work = measured.work
    return SideBySide(
        work=work.work,
        network=work.network,
        conditions=work.conditions,
        models={name: one.conditions for name, one in work.contestants.items()},
        calls=max((len(work.calls(name, 0)) for name in work.contestants), default=1),
        attempts=tuple(attempt.outcome for attempt in measured.attempts),
    )


def records(measured: Measured) -> list[Record]:
    """Percentiles of SingleStream that the number of questions supports, energy, and models that ran out of memory."""
    work, found, counting = measured.work, list[Record](), measured.counting
    at = work.conditions | {"work": work.work, "network": work.network}
    for name in work.contestants:
        each = np.stack([attempt.seconds[name] for attempt in counting])  # (passes, calls)
        of_model = at | {"model": name}
        for q in (90, 99) if work.work == "single_stream" else ():
            if supports_percentile(q, each.shape[1]):  # every pass has the same questions
                found.append(Record.of(f"p{q}_seconds", np.percentile(each, q), "s", each.size, conditions=of_model))
        if joules := [attempt.joules[name] for attempt in counting if name in attempt.joules]:
            found.append(Record.of("joules", float(np.mean(joules)), "J per call", each.size, conditions=of_model))
    return found + [
        Record.of("out_of_memory", 1, "1", conditions=at | {"model": name}) for name in measured.out_of_memory
    ]


def write_calls(measured: Sequence[Measured], path: Path) -> None:
    """Write every call's seconds as parquet, with its work, pass and attempt, and whether the attempt counts."""
    frames = []
    for one in measured:
        at = {"work": one.work.work, "network": one.work.network} | one.work.conditions
        for attempt in one.attempts:
            tried = {"pass": attempt.outcome.number, "attempt": attempt.outcome.attempt}
            tried["counts"] = any(attempt is other for other in one.counting)
            frames += [
                pd.DataFrame({**at, **tried, "model": name, "call": range(len(seconds)), "seconds": seconds})
                for name, seconds in attempt.seconds.items()
            ]
    with written_atomically(path) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary, write_page_checksum=True)


def table(measured: Sequence[Measured], network: str) -> pd.DataFrame:
    """Each model's time per call in each kind of work on this kind of network, with its interval over passes."""
    rows: list[dict[str, Any]] = []
    for one in map(side_by_side, measured):
        if one.network == network:
            at = one.conditions
            size = " × ".join(str(at[key]) for key in ("batch_size", "length") if key in at)
            what = {"work": one.work.replace("_", " "), "batch × tokens": size}
            for name in one.models:
                seconds, low, high = typical(one.seconds(name))
                shown = f"{words.seconds(seconds)} ({words.seconds(low)} to {words.seconds(high)})"
                rows.append(what | {"model": name, "time of a call": shown, "passes": len(one.passes)})
    return pd.DataFrame(rows)


def surroundings(measured: Sequence[Measured]) -> pd.DataFrame:
    """What else the machine did: attempts, contended passes and mean shares, for each kind of work."""
    rows = []
    for one in map(side_by_side, measured):
        found = [attempt.surroundings for attempt in one.attempts]
        reasons = dict.fromkeys(chain.from_iterable(attempt.contended for attempt in one.passes))
        rows.append(
            {
                "work": f"{one.work.replace('_', ' ')}, {one.network}",
                "passes": len(one.passes),
                "repeated": len(one.attempts) - len(one.passes),
                "still contended": one.contended,
                "why": ", ".join(reasons),
                "other programs": words.percent(float(np.mean([s.foreign for s in found] or [0]))),
                "other virtual machines": words.percent(float(np.mean([s.steal for s in found] or [0]))),
            }
        )
    return pd.DataFrame(rows)
