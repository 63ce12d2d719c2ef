"""Seconds and memory as the work grows, drawn from the records."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qa_tradeoffs import figures
from qa_tradeoffs.paths import written_atomically
from qa_tradeoffs.results import Record

_SIDES = {"plain": "plain recipe", "ours": "ours"}
_MEASURES = {"growth_seconds": ("seconds", 1.0), "growth_peak_memory": ("peak memory above the start (MiB)", 2.0**20)}


def growth(records: Sequence[Record]) -> Figure:
    """Four panels: time and memory, against the number of questions and against the length of their contexts."""
    found = pd.DataFrame(
        [{**r.conditions, "metric": r.metric, "value": r.value} for r in records if r.metric in _MEASURES]
    )
    by_questions, by_context = found[found["passages"] == 1], found[found["questions"] == found["questions"].min()]
    drawn, panels = plt.subplots(2, 2, figsize=(1.4 * figures.WIDTH, figures.WIDTH), sharey="row")
    for row, (metric, (label, unit)) in zip(panels, _MEASURES.items(), strict=True):
        row[0].set_ylabel(label)
        for axes, rows, column in zip(row, (by_questions, by_context), ("questions", "passages"), strict=True):
            for side, name in _SIDES.items():
                points = rows[(rows["metric"] == metric) & (rows["side"] == side)].sort_values(column)
                axes.plot(points[column], points["value"] / unit, marker="o", label=name)
            axes.set(xscale="log", yscale="log")
    panels[1][0].set_xlabel("questions, a passage each")
    panels[1][1].set_xlabel(f"passages per context, {found['questions'].min():,} questions")
    panels[0][0].legend()
    return drawn


def write(records: Sequence[Record], path: Path) -> None:
    """The chart as SVG; equal records give equal bytes."""
    figures.use_style()
    with written_atomically(path) as temporary:
        growth(records).savefig(temporary, format="svg", metadata={"Date": None})
