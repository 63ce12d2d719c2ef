"""Charts of where the models differ: scores by slice, confidence against accuracy, accuracy against coverage."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qa_tradeoffs.analysis.confidence import Calibration
from qa_tradeoffs.analysis.slices import FEWEST
from qa_tradeoffs.report.figures import WIDTH, nothing

_TOO_FEW = f"fewer than {FEWEST} questions"


def f1_by_slice(scores: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """F1 (points) with intervals, a panel per slicing, a row per slice and in it a dot per model.

    Slices with too few questions are named and left empty.
    """
    if scores["f1"].isna().all():
        return nothing(*plt.subplots(figsize=(WIDTH, 2)), f"no slice has {FEWEST} questions")
    slicings = list(dict.fromkeys(scores["slicing"]))
    heights = [scores.loc[scores["slicing"] == slicing, "slice"].nunique() for slicing in slicings]
    row = 0.2 + 0.08 * len(colours)  # inches
    figure, panels = plt.subplots(
        len(slicings), 1, figsize=(WIDTH, 1.2 + 0.3 * len(slicings) + row * sum(heights)), sharex=True,
        height_ratios=[height + 0.4 for height in heights], squeeze=False,
    )  # fmt: skip
    shifts = np.linspace(-0.26, 0.26, len(colours)) if len(colours) > 1 else [0.0]
    for axes, slicing in zip(panels[:, 0], slicings, strict=True):
        chosen = scores[scores["slicing"] == slicing]
        places = {name: i for i, name in enumerate(dict.fromkeys(chosen["slice"]))}
        for (model, colour), shift in zip(colours.items(), shifts, strict=True):
            rows = chosen[chosen["model"] == model]
            y = rows["slice"].map(places) + shift
            error = [rows["f1"] - rows["f1_low"], rows["f1_high"] - rows["f1"]]
            axes.errorbar(rows["f1"], y, xerr=error, fmt="o", markersize=4, capsize=2, color=colour, label=model)
        for name in chosen.loc[chosen["f1"].isna(), "slice"].unique():
            axes.text(0.01, places[name], "too few", color="0.4", va="center", transform=axes.get_yaxis_transform())
        sizes = chosen.drop_duplicates("slice")["n"]
        axes.set_yticks(
            list(places.values()), labels=[f"{name} ({n:,})" for name, n in zip(places, sizes, strict=True)]
        )
        axes.set_ylim(len(places) - 0.5, -0.5)
        axes.set_title(f"by {slicing} (questions)", loc="left", fontsize="medium")
        axes.grid(axis="y", visible=False)
    panels[-1, 0].set_xlabel("F1 (points, 95 % interval over questions)")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(colours), frameon=False, fontsize="small")
    return figure


def reliability(found: Calibration, colours: dict[str, Any]) -> Figure:
    """Share right against confidence, both in per cent, a panel per model; on the dotted line they are equal."""
    if found.models.empty:
        return nothing(*plt.subplots(figsize=(WIDTH, 2)), _TOO_FEW)
    n = len(found.models)
    columns = 2 if n == 4 else min(n, 3)
    lines = -(-n // columns)
    width = WIDTH * (1 if columns < 3 else 1.3)
    figure, panels = plt.subplots(
        lines, columns, figsize=(width, 0.6 + lines * width / columns), sharex=True, sharey=True, squeeze=False
    )
    for axes in panels.ravel()[n:]:
        axes.set_visible(False)
    for axes in panels.ravel()[n - columns : n]:  # also where there is none below
        axes.tick_params(labelbottom=True)
    for axes, (model, rows) in zip(panels.ravel(), found.bins.groupby("model", sort=False), strict=False):
        right = rows["bin_accuracy"]
        error = [right - rows["bin_accuracy_low"], rows["bin_accuracy_high"] - right]
        axes.plot([0, 100], [0, 100], ":", color="0.4")
        axes.errorbar(
            rows["bin_confidence"], right, yerr=error, marker="o", markersize=4, capsize=2, color=colours[str(model)]
        )
        axes.set(title=model, xlim=(0, 102), ylim=(0, 102), aspect="equal")
        axes.set_xticks(range(0, 101, 20))
        axes.set_yticks(range(0, 101, 20))
    figure.supxlabel("confidence (%, mean of a tenth of the questions)", fontsize="medium")
    figure.supylabel("right (%, 95 % interval)", fontsize="medium")
    return figure


def em_against_coverage(found: Calibration, colours: dict[str, Any]) -> Figure:
    """EM (points) of the most confident answers against their share of the questions, a line and a band per model."""
    figure, axes = plt.subplots(figsize=(WIDTH, 4))
    if found.models.empty:
        return nothing(figure, axes, _TOO_FEW)
    for model, rows in found.coverage.groupby("model", sort=False):
        colour = colours[str(model)]
        axes.plot(rows["coverage"], rows["em"], marker="o", markersize=4, color=colour, label=model)
        axes.fill_between(rows["coverage"], rows["em_low"], rows["em_high"], color=colour, alpha=0.15, linewidth=0)
    axes.set(
        xlabel="questions answered (%, the most confident first)",
        ylabel="EM of the answers (points, 95 % interval)",
        xlim=(0, 102),
    )
    axes.legend(title=None)
    return figure
