"""The charts that explain SqueezeBERT's time: where a step's seconds go, and step by step from it to BERT."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qa_tradeoffs.display import plain
from qa_tradeoffs.figures import WIDTH

_LABELLED = 0.06  # share of the longest bar from which on a segment has room for its number


def operators(shares: pd.DataFrame) -> Figure:
    """Seconds of each class of operation, stacked, and beside them the operations (GFLOP) of the same classes.

    ``shares``: one row per model and class: model, operations, seconds, gflop.
    """
    classes = list(shares["operations"].unique())
    colours = dict(zip(classes, sns.color_palette("colorblind", len(classes)), strict=True))
    models = list(shares["model"].unique())
    figure, (seconds, flops) = plt.subplots(
        1, 2, figsize=(WIDTH * 1.5, 1.6 + 0.6 * len(models)), sharey=True, width_ratios=(2, 1)
    )
    for axes, column, label in ((seconds, "seconds", "seconds of one call"), (flops, "gflop", "GFLOP of one call")):
        _stacked(axes, shares.pivot(index="model", columns="operations", values=column).loc[models, classes], colours)
        axes.set_xlabel(label)
    seconds.invert_yaxis()
    handles, _ = seconds.get_legend_handles_labels()
    figure.legend(handles, classes, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    return figure


def waterfall(steps: pd.DataFrame) -> Figure:
    """From the first step's seconds to the last one's: what each change saves, or costs.

    ``steps``: attribution.waterfall's rows at one point: step, seconds, change (NaN in the first row).
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 1 + 0.5 * len(steps)))
    blue, red, green = (sns.color_palette("colorblind")[i] for i in (0, 3, 2))
    last = len(steps) - 1
    names = []
    for i, row in enumerate(steps.itertuples()):
        whole = i in (0, last)
        names.append(str(row.step) if whole else f"{row.step} ({row.change:+.2f} s)")
        if i:
            axes.barh(i, row.change, left=row.seconds - row.change, color=green if row.change < 0 else red)
        if whole:
            axes.barh(i, row.seconds, color=blue, height=0.8 if i == 0 else 0.4)
        beside = row.seconds if i == 0 else max(row.seconds, row.seconds - row.change)
        axes.text(beside, i, f" {row.seconds:.2f} s", va="center", ha="left", fontsize="small")
        if i < last:
            axes.plot([row.seconds] * 2, [i - 0.4, i + 1.4], color="0.4", linewidth=0.8)
    axes.set_yticks(range(len(steps)), labels=names)
    axes.set(xlabel="seconds of one training step (median)", xlim=(0, steps["seconds"].max() * 1.15))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    return figure


def _stacked(axes: Axes, values: pd.DataFrame, colours: dict[str, tuple[float, float, float]]) -> None:
    """A horizontal bar per row of ``values``, a segment per column; the number in it where there is room."""
    begin = pd.Series(0.0, index=values.index)
    room = _LABELLED * values.sum(axis=1).max()
    for name in values:
        axes.barh(values.index, values[name], left=begin, color=colours[str(name)], label=name)
        for model, value in values[name].items():
            if value > room:
                axes.text(begin[model] + value / 2, model, plain(value), ha="center", va="center", fontsize="small")
        begin += values[name]
    axes.grid(axis="y", visible=False)
