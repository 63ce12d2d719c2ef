"""How long a forward pass and a training step take."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from qa_tradeoffs.report import charts


def seconds_against_length(timings: pd.DataFrame, work: str, colours: dict[str, Any]) -> Figure:
    """Time of a call against tokens per row, one panel per batch size, both axes logarithmic."""
    chosen = timings[timings["work"] == work]
    sizes, lengths = sorted(chosen["batch_size"].unique()), sorted(chosen["length"].unique())
    width = max(charts.WIDTH, 3.4 * len(sizes))
    figure, panels = plt.subplots(1, len(sizes), figsize=(width, 3.6), sharey=True, squeeze=False)
    for axes, size in zip(panels[0], sizes, strict=True):
        ends = {}
        axes.set(title=f"batch {size}", xlabel="tokens per row", xscale="log", yscale="log")
        for model, rows in chosen[chosen["batch_size"] == size].groupby("model", sort=False):
            error = [rows["seconds"] - rows["low"], rows["high"] - rows["seconds"]]
            colour = colours[str(model)]
            axes.errorbar(rows["length"], rows["seconds"], yerr=error, marker="o", capsize=3, color=colour, label=model)
            ends[str(model)] = (rows["length"].iloc[-1], rows["seconds"].iloc[-1])
        axes.set_xticks(lengths, labels=lengths)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(_in_units))
        axes.minorticks_off()
    panels[0][0].set_ylabel("time per call (median, 95 % interval)")
    charts.name_lines(panels[0], ends, colours)
    return figure


def _in_units(value: float, _: int | None) -> str:
    return f"{value * 1e3:g} ms" if value < 1 else f"{value:g} s"
