"""The measurements as tables for notebook 3."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from qa_tradeoffs.core import words
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.metrics.timing import typical
from qa_tradeoffs.models import networks
from qa_tradeoffs.profiling.latency import Timing
from qa_tradeoffs.profiling.workloads import Subject

_NAMES = {"batch_size": "batch", "length": "tokens per row"}
_OUT_OF_MEMORY = "out of memory"  # in place of a number


def sizes(subjects: Sequence[Subject]) -> pd.DataFrame:
    """The networks' sizes."""
    return pd.DataFrame(
        {"network": subject.name, "weights": subject.weights, **networks.summary(subject.network)}
        for subject in subjects
    )


def memory(records: Sequence[Record]) -> pd.DataFrame:
    """Peak memory of forward passes."""
    rows = []
    for record in records:
        mib = f"{record.value / 2**20:,.0f}" if record.unit == "bytes" else _OUT_OF_MEMORY
        measure = str(record.conditions.get("measure", "")).replace("_", " ")
        rows.append(record.conditions | {"measure": measure, "MiB": mib})
    return _table(rows, "network", "precision", "batch_size", "length", "measure", "MiB")


def grid(timings: Sequence[Timing], peaks: dict[str, float]) -> pd.DataFrame:
    """Median and longest call of each timing on the grid, and its share of the peak."""
    rows = []
    for timing in timings:
        if "length" in timing.conditions:
            share = timing.share(peaks)
            of_peak = "" if share is None else words.percent(share)
            flagged = f"{of_peak} INVALID" if share is not None and share > 1 else of_peak
            peak = round(peaks[str(timing.conditions["precision"])] / 1e9)
            columns = {"work": timing.work.replace("_", " "), "repeats": timing.seconds.size, "share of peak": flagged}
            rows.append(timing.conditions | _times(timing) | columns | {"peak (GFLOP/s)": peak})
    columns_of_time = ("median", "longest call", "repeats", "share of peak", "peak (GFLOP/s)")
    return _table(rows, "network", "precision", "work", "batch_size", "length", *columns_of_time)


def phases(timings: Sequence[Timing]) -> pd.DataFrame:
    """Median of each phase, and its share of the time from text to score."""
    medians = np.array([timing.median for timing in timings])
    return pd.DataFrame(
        {
            "phase": [timing.conditions["phase"] for timing in timings],
            "ms per question": 1000 * medians,
            "share": [words.percent(share) for share in medians / medians.sum()],
            "passes": [timing.seconds.size for timing in timings],
        }
    )


def _table(rows: Iterable[dict[str, Any]], *columns: str) -> pd.DataFrame:
    """These columns, under names for a reader; a network is named with its attention."""
    named = [row | {"network": f"{row['network']}, {row['attention']}"} for row in rows]
    return pd.DataFrame(named, columns=columns).rename(columns=_NAMES)


def _times(timing: Timing) -> dict[str, str]:
    """Columns for the median of a call, with its interval over passes, and for the longest call."""
    if not timing.seconds.size:
        return dict.fromkeys(("median", "longest call"), _OUT_OF_MEMORY)
    value, low, high = map(words.seconds, typical(np.median(timing.seconds, axis=1)))
    return {"median": f"{value} ({low} to {high})", "longest call": words.seconds(float(timing.seconds.max()))}
