"""Seconds and memory as the work grows, and loss as it falls, drawn from the records."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qa_tradeoffs.core.files import written_atomically
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.report import charts

_SIDES = {"plain": "plain recipe", "ours": "ours"}
_MEASURES = {"growth_seconds": ("seconds", 1.0), "growth_peak_memory": ("peak memory above the start (MiB)", 2.0**20)}


def growth(records: Sequence[Record]) -> Figure:
    """Four panels: time and memory, against the number of questions and against the length of their contexts."""
    charts.use_style()
    found = pd.DataFrame(
        [{**r.conditions, "metric": r.metric, "value": r.value} for r in records if r.metric in _MEASURES]
    )
    by_questions, by_context = found[found["passages"] == 1], found[found["questions"] == found["questions"].min()]
    drawn, panels = plt.subplots(2, 2, figsize=(1.4 * charts.WIDTH, charts.WIDTH), sharey="row")
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


def learning(records: Sequence[Record]) -> Figure:
    """Training loss of both recipes by update: a thin line per seed, a thick one for their mean."""
    charts.use_style()
    found = pd.DataFrame([{**r.conditions, "loss": r.value} for r in records if r.metric == "learning_loss"])
    drawn, axes = plt.subplots(figsize=(charts.WIDTH, 0.6 * charts.WIDTH))
    for colour, (side, name) in zip(("C0", "C1"), _SIDES.items(), strict=True):
        by_seed = found[found["side"] == side].pivot(index="step", columns="seed", values="loss")
        axes.plot(by_seed.index, by_seed, color=colour, linewidth=0.6, alpha=0.5)
        axes.plot(by_seed.index, by_seed.mean(axis=1), color=colour, linewidth=2, label=f"{name}, mean of seeds")
    axes.set(xlabel="updates of 16 windows", ylabel="training loss (nats)")
    axes.legend()
    return drawn


def write(drawn: Figure, path: Path) -> None:
    """The chart as SVG; equal records give equal bytes."""
    with written_atomically(path) as temporary:
        drawn.savefig(temporary, format="svg", metadata={"Date": None})
