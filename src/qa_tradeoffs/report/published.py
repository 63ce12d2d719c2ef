"""Published figures beside those of this machine, as tables and charts."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt

from qa_tradeoffs.core.words import plain, usd
from qa_tradeoffs.report import charts, display
from qa_tradeoffs.report.display import span
from qa_tradeoffs.study.published import MACHINES

_NO_FIGURES = "no model of this study was in the study of 2021"


def scores(beside: pd.DataFrame) -> display.Html:
    """Each model's F1 beside every published one."""
    if beside.empty:
        return display.none("this study has no such model")
    columns = {
        "model": beside["model"],
        "F1 here": display.with_interval(beside, "f1"),
        "F1 published": beside["published"].map("{:g}".format),
        "source": beside["source"],
        "verdict": beside["verdict"] + " the interval",
    }
    return display.table(columns, "F1 here and as published; 95 % intervals", data=beside)


def scores_chart(points: pd.DataFrame, colours: dict[str, Any]) -> display.Html:
    """Every F1 on SQuAD v1.1's development set on a line, the highest on top: ours filled, published ones hollow."""
    if points.empty:
        return display.none("this study was not scored on all questions of SQuAD v1.1's development set")
    rows = points.sort_values("f1").reset_index(drop=True)
    figure, axes = plt.subplots(figsize=(charts.WIDTH, 1 + 0.28 * len(rows)))
    for i, row in rows.iterrows():
        if row["ours"]:
            colour = colours[row["name"]]
            axes.plot([row["f1_low"], row["f1_high"]], [i, i], color=colour)
            axes.plot(row["f1"], i, "o", color=colour, markersize=8)
        else:
            axes.plot(row["f1"], i, "o", color="0.4", markersize=8, markerfacecolor="white")
    names = [
        f"{charts.name(row.name, colours)}, here" if row.ours else row.name for row in rows.itertuples(index=False)
    ]
    axes.set_yticks(range(len(rows)), labels=names)
    axes.set(xlabel="F1 on SQuAD v1.1's development set (points)")
    axes.grid(axis="y", visible=False)
    told = [f"{row.name} {row.f1:.1f}{' here' if row.ours else ''}" for row in rows[::-1].itertuples(index=False)]
    caption = (
        "F1 on SQuAD v1.1's development set. Filled: measured here, with 95 % intervals over questions and, with "
        "several seeds, training runs. Hollow: as published, each of one training run or the best of several, with a "
        "recipe of its own."
    )
    return display.figure(figure, "Dot chart of F1 here and as published", told, caption)


def sources(points: pd.DataFrame) -> display.Html:
    """Where each published F1 of the chart is from."""
    if points.empty:
        return display.none("there is no chart")
    others = points[~points["ours"].astype(bool)]
    columns = {"name": others["name"], "F1": others["f1"].map("{:.2f}".format), "source": others["source"]}
    return display.table(columns, "Sources of the published F1")


def table(tradeoff: pd.DataFrame) -> display.Html:
    """The original study's scores and times relative to BERT's beside this machine's."""
    if tradeoff.empty:
        return display.none(_NO_FIGURES)
    number = "{:.2f}".format
    published = {
        f"time relative to BERT's, {machine.upper()}, as published": [
            _flagged(*row) for row in tradeoff[[machine, f"{machine}_impossible"]].itertuples(index=False)
        ]
        for machine in MACHINES
    }
    columns = {
        "model": tradeoff["model"],
        "F1 published in 2021": tradeoff["f1"].map(number),
        **published,
        "both GPUs, corrected": [
            span(bounds, 2) for bounds in zip(tradeoff["corrected_low"], tradeoff["corrected_high"], strict=True)
        ],
        "measured here": display.known(tradeoff["relative"], number, "BERT was not measured"),
        "a million questions here, USD": map(usd, tradeoff["usd_low"], tradeoff["usd_high"]),
    }
    return display.table(columns, "The study of 2021 beside this machine; times relative to BERT's", data=tradeoff)


def chart(tradeoff: pd.DataFrame, colours: dict[str, Any]) -> display.Html:
    """The original study's F1 (points) against our measured cost of a million questions (USD; a bar for a range)."""
    if tradeoff.empty:
        return display.none(_NO_FIGURES)
    x = {f"x{end}": tradeoff[f"usd{end}"] for end in ("", "_low", "_high")}
    figure = charts.tradeoff(
        tradeoff.assign(f1_low=tradeoff["f1"], f1_high=tradeoff["f1"], standing="published", **x),
        "a million questions, one by one, on this machine (USD)",
        colours,
        "F1 on SQuAD as published in 2021 (points)",
    )
    named = [f"{row.model} at USD {plain(row.usd)} and F1 {row.f1:.2f}" for row in tradeoff.itertuples()]
    caption = "Published F1 (SQuAD, 2021) against measured cost (this machine, random weights)."
    return display.figure(figure, "Scatter chart of published F1 against measured cost", named, caption)


def _flagged(over_bert: float, impossible: bool) -> str:
    """A published time relative to BERT's, always with what is wrong with it."""
    return f"{over_bert:.2f}: {'impossible' if impossible else 'too short'}"
