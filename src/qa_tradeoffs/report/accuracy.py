"""How well the models answer, and how their training went."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qa_tradeoffs.report import charts


def loss(losses: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """Training loss against epoch, a line per model, thin lines for further seeds."""
    figure, axes = plt.subplots(figsize=(charts.WIDTH, 3.6))
    axes.set(xlabel="epoch", ylabel="training loss (nats, mean since the point before)")
    if losses.empty:
        return charts.nothing(figure, axes)
    ends = {}
    for (model, seed), rows in losses.groupby(["model", "seed"], sort=False):
        first = seed == losses["seed"].min()
        if first:
            ends[str(model)] = (rows["epoch"].iloc[-1], rows["loss"].iloc[-1])
        axes.plot(
            rows["epoch"],
            rows["loss"],
            color=colours[str(model)],
            linewidth=1.8 if first else 0.8,
            label=model if first else None,
        )
    axes.set_ylim(0, None)
    charts.name_lines([axes], ends, colours)
    return figure
