"""How much memory a forward pass takes."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qa_tradeoffs.report import charts


def memory_against_batch(peaks: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """Peak memory (MiB) against batch size, a panel per number of tokens per row; a cross where it did not suffice."""
    if peaks.empty:
        return charts.nothing(*plt.subplots(figsize=(charts.WIDTH, 2)), "no memory was measured")
    lengths = sorted(peaks["length"].unique())
    width = max(charts.WIDTH, 3.4 * len(lengths))
    figure, panels = plt.subplots(1, len(lengths), figsize=(width, 3.6), sharey=True, squeeze=False)
    for axes, length in zip(panels[0], lengths, strict=True):
        chosen = peaks[peaks["length"] == length].sort_values("batch_size", kind="stable")
        ends = {}
        for model, rows in chosen.groupby("model", sort=False):
            axes.plot(rows["batch_size"], rows["mib"], marker="o", color=colours[str(model)], label=model)
            ends[str(model)] = (rows["batch_size"].iloc[-1], rows["mib"].iloc[-1])
            short = rows[rows["mib"].isna()]
            if not short.empty:
                axes.plot(short["batch_size"], [0] * len(short), "x", color=colours[str(model)], clip_on=False)
        crosses = " (×: out of memory)" if chosen["mib"].isna().any() else ""
        axes.set(title=f"{length} tokens per row", xlabel=f"batch size{crosses}")
        axes.set_xticks(chosen["batch_size"].unique())
    panels[0][0].set(ylabel="peak memory (MiB)", ylim=(0, None))  # last, as it ends the scaling that panels share
    charts.name_lines(panels[0], ends, colours)
    return figure
