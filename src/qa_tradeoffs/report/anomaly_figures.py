"""The charts that explain SqueezeBERT's time: where a step's seconds go, and step by step from it to BERT."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qa_tradeoffs.core.words import plain
from qa_tradeoffs.report.charts import WIDTH

# Paul Tol's light scheme and a grey (personal.sron.nl/~pault): safe for the colour-blind, dark text on them can be
# read, and none is the colour of a model elsewhere in the report.
_AREAS = "#77AADD #EE8866 #EEDD88 #FFAABB #99DDFF #44BB99 #BBCC33 #AAAA00 #DDDDDD #BBBBBB".split()
_WHOLE, _MORE, _LESS = "#BBBBBB", "#EE8866", "#44BB99"


def operators(shares: pd.DataFrame) -> Figure:
    """Seconds of each class of operation, stacked, and beside them the operations (GFLOP) of the same classes.

    ``shares``: one row per model and class: model, operations, seconds, gflop.
    """
    classes = list(shares["operations"].unique())
    colours = dict(zip(classes, sns.color_palette(_AREAS, len(classes)), strict=True))
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
    """From the first step's seconds to the last one's: what each change saves, or costs, with its interval.

    ``steps``: anomaly.waterfall's rows at one point: step, seconds, change, and the interval of the ratio to the
    step before in low and high (NaN in the first row).
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 1 + 0.5 * len(steps)))
    last = len(steps) - 1
    names: list[str] = []
    ends = steps["seconds"].shift().to_numpy()[:, None] * steps[["low", "high"]].to_numpy(dtype=float)
    for i, row in enumerate(steps.itertuples()):
        whole = i in (0, last)
        names.append(str(row.step) if whole else f"{row.step} ({row.change:+.2f} s)")
        if i:
            axes.barh(i, row.change, left=row.seconds - row.change, color=_LESS if row.change < 0 else _MORE)
        if whole:
            axes.barh(i, row.seconds, color=_WHOLE, height=0.8 if i == 0 else 0.4)
        if i:
            axes.plot(ends[i], [i, i], color="0.2", linewidth=1.2, marker="|", markersize=7, zorder=3)
        beside = row.seconds if i == 0 else max(row.seconds, row.seconds - row.change, *ends[i])
        axes.text(beside, i, f" {row.seconds:.2f} s", va="center", ha="left", fontsize="small")
        if i < last:
            axes.plot([row.seconds] * 2, [i - 0.4, i + 1.4], color="0.4", linewidth=0.8)
    axes.set_yticks(range(len(steps)), labels=names)
    furthest = max(steps["seconds"].max(), np.nanmax(ends))
    axes.set(xlabel="seconds of one training step (median; 95 % interval of each change)", xlim=(0, furthest * 1.25))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    return figure


def _stacked(axes: Axes, values: pd.DataFrame, colours: dict[str, tuple[float, float, float]]) -> None:
    """A horizontal bar per row of ``values``, a segment per column; the number in it where there is room."""
    begin = pd.Series(0.0, index=values.index)
    texts = []
    for name in values:
        axes.barh(values.index, values[name], left=begin, color=colours[str(name)], label=name)
        for model, value in values[name].items():
            at = (begin[model] + value / 2, model)
            texts.append((axes.text(*at, plain(value), ha="center", va="center", fontsize="small"), value))
        begin += values[name]
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, float(begin.max()) * 1.05)
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    for text, value in texts:
        (left, _), (right, _) = axes.transData.transform([(0, 0), (value, 0)])
        if text.get_window_extent().width > right - left:
            text.remove()
