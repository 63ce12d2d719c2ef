"""Published figures beside those of this machine, as tables and a chart."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qa_tradeoffs.analysis import published
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core import words
from qa_tradeoffs.report import charts, display
from qa_tradeoffs.study.published import Published


def scores(collected: Collected, models: pd.DataFrame, original: Published) -> display.Html:
    """Each model's F1 beside every published one."""
    beside = published.scores(collected, models, original)
    return display.table(scores_cells(beside), "F1 here and as published; intervals over questions", data=beside)


def scores_cells(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores as a reader sees them."""
    return pd.DataFrame(
        {
            "model": scores["model"],
            "F1 here": [words.points(*row) for row in scores[["f1", "f1_low", "f1_high"]].to_numpy(dtype=float)],
            "F1 published": [f"{value:g}" for value in scores["published"]],
            "source": scores["source"],
            "verdict": [f"{place} the interval" for place in scores["verdict"]],
        }
    )


def table(collected: Collected, original: Published) -> display.Html:
    """The original study's figures beside this machine's."""
    tradeoff = published.tradeoff(collected, original)
    return display.table(cells(tradeoff), "The original's figures beside this machine's", data=tradeoff)


def cells(tradeoff: pd.DataFrame) -> pd.DataFrame:
    """Published scores and times over BERT's beside ours, as a reader sees them."""
    return pd.DataFrame(
        {
            "model": tradeoff["model"],
            "F1 published in 2021": [f"{value:.2f}" for value in tradeoff["f1"]],
            "time over BERT's, P100 2021": [_ratio(value, "not there then") for value in tradeoff["p100"]],
            "time over BERT's, K80 2021": [_ratio(value, "not there then") for value in tradeoff["k80"]],
            "time over BERT's, here, measured": [_ratio(value, "no BERT measured") for value in tradeoff["relative"]],
            "million questions here, USD": [
                words.usd(*pair) for pair in zip(tradeoff["usd_low"], tradeoff["usd_high"], strict=True)
            ],
        }
    )


def chart(collected: Collected, original: Published, colours: dict[str, Any]) -> display.Html:
    """Published F1 against measured cost."""
    tradeoff = published.tradeoff(collected, original)
    caption = "Published F1 (SQuAD, 2021) against measured cost (this machine, random weights)."
    return display.figure(draw(tradeoff, colours), alt=chart_text(tradeoff), caption=caption)


def draw(tradeoff: pd.DataFrame, colours: dict[str, Any]) -> Figure:
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


def chart_text(tradeoff: pd.DataFrame) -> str:
    """The chart in words."""
    if tradeoff.empty:
        return "Empty chart of published F1 against measured cost: no model of this study has published figures."
    named = [f"{row.model} at USD {words.plain(row.usd)} and F1 {row.f1:.2f}" for row in tradeoff.itertuples()]
    return f"Scatter chart of published F1 against measured cost: {'; '.join(named)}."


def _ratio(value: float, missing: str) -> str:
    return missing if pd.isna(value) else f"{value:.2f}"
