"""How much memory a forward pass takes, as a table and a chart."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qa_tradeoffs.analysis import memory
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.report import charts, display


def table(collected: Collected) -> display.Html:
    """Every peak that was measured."""
    peaks = memory.peaks(collected)
    return display.table(cells(peaks), "Peak memory of a forward pass", data=peaks)


def cells(peaks: pd.DataFrame) -> pd.DataFrame:
    """The peaks as a reader sees them: a column per model."""
    index = ["network", "precision", "batch_size", "length", "measure"]
    wide = peaks.assign(cell=[_mib(mib) for mib in peaks["mib"]])
    wide = wide.pivot_table(index=index, columns="model", values="cell", aggfunc="first", sort=False)
    wide = wide[list(dict.fromkeys(peaks["model"]))].fillna("not measured").reset_index()
    return wide.rename(columns={"batch_size": "batch", "length": "tokens per row"})


def chart(collected: Collected, colours: dict[str, Any]) -> display.Html:
    """Peak memory of the full-size networks against batch size."""
    peaks = memory.of_network(memory.peaks(collected), collected.full_size)
    caption = "Peak memory of the full-size networks, random weights."
    return display.figure(draw(peaks, colours), alt=chart_text(peaks), caption=caption)


def draw(peaks: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """Peak memory (MiB) against batch size, a panel per number of tokens per row; a cross where it did not suffice."""
    if peaks.empty:
        return charts.nothing(*plt.subplots(figsize=(charts.WIDTH, 2)), "no memory was measured")
    figure, panels = charts.panels(peaks.sort_values("batch_size", kind="stable"), "length")
    for axes, length, chosen in panels:
        ends = {}
        for model, rows in chosen.groupby("model", sort=False):
            label = charts.name(model, colours)
            axes.plot(rows["batch_size"], rows["mib"], marker="o", color=colours[str(model)], label=label)
            ends[str(model)] = (rows["batch_size"].iloc[-1], rows["mib"].iloc[-1])
            short = rows[rows["mib"].isna()]
            if not short.empty:
                axes.plot(short["batch_size"], [0] * len(short), "x", color=colours[str(model)], clip_on=False)
        crosses = " (×: out of memory)" if chosen["mib"].isna().any() else ""
        axes.set(title=f"{length} tokens per row", xlabel=f"batch size{crosses}")
        axes.set_xticks(chosen["batch_size"].unique())
    figure.axes[0].set(ylabel="peak memory (MiB)", ylim=(0, None))  # last, as it ends the scaling that panels share
    charts.name_lines(figure.axes, ends, colours)
    return figure


def chart_text(peaks: pd.DataFrame) -> str:
    """The chart in words: the peaks at the largest batch."""
    if peaks.empty:
        return "Empty chart of peak memory against batch size: none was measured."
    largest = peaks[peaks["batch_size"] == peaks["batch_size"].max()]
    named = [f"{row.model} {_mib(row.mib)} at {row.length} tokens" for row in largest.itertuples()]
    batch = f"at batch {peaks['batch_size'].max()}"
    return f"Line chart of peak memory against batch size; {batch}: {'; '.join(named)}."


def _mib(value: float) -> str:
    return "out of memory" if pd.isna(value) else f"{value:,.0f} MiB"
