"""Published figures beside those of this machine."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qa_tradeoffs.report import charts


def published_f1_against_cost(tradeoff: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """The original study's F1 (points) against our measured cost of a million questions (USD; a bar for a range)."""
    figure, axes = plt.subplots(figsize=(charts.WIDTH, 4))
    if tradeoff.empty:
        return charts.nothing(figure, axes, "no model of this study has published figures")
    for row in tradeoff.itertuples():
        bar = [[row.usd - row.usd_low], [row.usd_high - row.usd]]
        axes.errorbar(row.usd, row.f1, xerr=bar, marker="o", markersize=8, capsize=4, color=colours[str(row.model)])
    axes.set(
        xlabel="a million questions, one by one, on this machine (USD)",
        ylabel="F1 on SQuAD as published in 2021 (points)",
        xlim=(0, float(tradeoff["usd_high"].max()) * 1.15 or 1),
        ylim=(tradeoff["f1"].min() - 1, min(tradeoff["f1"].max() + 1, 100)),
    )
    charts.label(axes, tradeoff["model"].tolist(), list(zip(tradeoff["usd"], tradeoff["f1"], strict=True)), colours)
    return figure
