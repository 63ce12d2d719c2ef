"""How much memory a forward pass takes, as a table and a chart."""

from typing import Any

import pandas as pd

from qa_tradeoffs.report import charts, display


def table(peaks: pd.DataFrame) -> display.Table:
    """Every peak that was measured: a column per model."""
    index = ["network", "precision", "batch_size", "length", "measure"]
    cells = display.column_per_model(peaks, index, peaks["mib"].map(_mib)).fillna("not measured")
    return display.table(cells, "Peak memory of a forward pass", data=peaks)


def chart(peaks: pd.DataFrame, colours: dict[str, Any]) -> display.Html:
    """Peak memory (MiB) against batch size, a panel per number of tokens per row; a cross if memory ran out.

    ``peaks`` are those of the full-size networks.
    """
    if peaks.empty:
        return display.none("no memory was measured")
    figure, panels = charts.panels(peaks.sort_values("batch_size", kind="stable"), "length")
    for axes, length, chosen in panels:
        for model, rows in chosen.groupby("model", sort=False):
            colour, label = colours[str(model)], charts.name(model, colours)
            axes.plot(rows["batch_size"], rows["mib"], marker="o", color=colour, label=label)
            short = rows.loc[rows["mib"].isna(), "batch_size"]
            if not short.empty:
                axes.plot(short, [0] * len(short), "x", color=colour, clip_on=False)
        crosses = " (×: out of memory)" if chosen["mib"].isna().any() else ""
        axes.set(title=f"{length} tokens per row", xlabel=f"batch size{crosses}")
        axes.set_xticks(chosen["batch_size"].unique())
    figure.axes[0].set(ylabel="peak memory (MiB)", ylim=(0, None))  # last, since it fixes the scale that panels share
    charts.name_lines(figure.axes)
    largest = peaks["batch_size"].max()
    named = [
        f"{row.model} {_mib(row.mib)} at {row.length} tokens"
        for row in peaks[peaks["batch_size"] == largest].itertuples()
    ]
    what = f"Line chart of peak memory against batch size; at batch {largest}"
    return display.figure(
        figure, what, named, "Peak memory of the full-size networks, with random weights or those of a checkpoint."
    )


def _mib(value: float) -> str:
    return "out of memory" if pd.isna(value) else f"{value:,.0f} MiB"
