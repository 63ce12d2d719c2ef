"""Seconds and peak memory of an evaluation with growing work: more questions, and longer contexts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from benchmarks import tasks
from benchmarks.tasks import SIDES, Task
from qa_tradeoffs.core.files import written_atomically
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.report import charts

_QUESTIONS, _FEW = (480, 960, 1920, 3840), 64
_CONTEXTS = (1, 2, 5, 10, 20)
POINTS = [*((n, 1) for n in _QUESTIONS), *((_FEW, times) for times in _CONTEXTS)]  # questions, contexts joined into one
_NAMES = {"padded": "Trainer, padded to 384", "dynamic": "Trainer, padded to the longest of a batch", "ours": "ours"}
_MEASURES = {"growth_seconds": ("seconds", 1.0), "growth_peak_memory": ("peak memory above the start (MiB)", 2.0**20)}


def measure(like: Task, points: Sequence[tuple[int, int]] = POINTS) -> list[Record]:
    """Every side at every point, once; ``like`` gives the data, encoder and device."""
    records = []
    for questions, times in points:
        for side in SIDES:
            found = tasks.run(replace(like, work="evaluation", side=side, questions=questions, times=times))
            at = {"row": "growth", "side": side, "questions": questions, "times": times}
            records.append(Record.of("growth_seconds", found["seconds"], "s", conditions=at))
            records.append(Record.of("growth_peak_memory", found["bytes"], "bytes", conditions=at))
    return records


def chart(records: Sequence[Record]) -> Figure:
    """Four panels: time and memory, against the number of questions and against the length of their contexts."""
    charts.use_style()
    found = pd.DataFrame(
        [{**r.conditions, "metric": r.metric, "value": r.value} for r in records if r.metric in _MEASURES]
    )
    more, longer = found[found["questions"] != _FEW], found[found["questions"] == _FEW]
    drawn, panels = plt.subplots(2, 2, figsize=(1.4 * charts.WIDTH, charts.WIDTH), sharey="row")
    for row, (metric, (label, unit)) in zip(panels, _MEASURES.items(), strict=True):
        row[0].set_ylabel(label)
        for axes, rows, column in zip(row, (more, longer), ("questions", "times"), strict=True):
            for side, name in _NAMES.items():
                points = rows[(rows["metric"] == metric) & (rows["side"] == side)].sort_values(column)
                axes.plot(points[column], points["value"] / unit, marker="o", label=name)
            axes.set(xscale="log", yscale="log")
    panels[1][0].set_xlabel("questions")
    panels[1][1].set_xlabel(f"contexts joined to one, {_FEW} questions")
    panels[0][0].legend()
    return drawn


def write(drawn: Figure, path: Path) -> None:
    """The chart as SVG; equal records give equal bytes."""
    with written_atomically(path) as temporary:
        drawn.savefig(temporary, format="svg", metadata={"Date": None})
