"""Published figures beside those of this machine, as tables and a chart."""

from typing import Any

import pandas as pd

from qa_tradeoffs.core.words import plain, usd
from qa_tradeoffs.report import charts, display


def scores(beside: pd.DataFrame) -> display.Table:
    """Each model's F1 beside every published one."""
    columns = {
        "model": beside["model"],
        "F1 here": display.with_interval(beside, "f1"),
        "F1 published": beside["published"].map("{:g}".format),
        "source": beside["source"],
        "verdict": beside["verdict"] + " the interval",
    }
    return display.table(columns, "F1 here and as published; intervals over questions", data=beside)


def table(tradeoff: pd.DataFrame) -> display.Table:
    """The original study's scores and times over BERT's beside this machine's."""
    number = "{:.2f}".format
    columns = {
        "model": tradeoff["model"],
        "F1 published in 2021": tradeoff["f1"].map(number),
        "time over BERT's, P100 2021": display.known(tradeoff["p100"], number, "not there then"),
        "time over BERT's, K80 2021": display.known(tradeoff["k80"], number, "not there then"),
        "time over BERT's, here, measured": display.known(tradeoff["relative"], number, "no BERT measured"),
        "million questions here, USD": map(usd, tradeoff["usd_low"], tradeoff["usd_high"]),
    }
    return display.table(columns, "The original's figures beside this machine's", data=tradeoff)


def chart(tradeoff: pd.DataFrame, colours: dict[str, Any]) -> display.Html:
    """The original study's F1 (points) against our measured cost of a million questions (USD; a bar for a range)."""
    if tradeoff.empty:
        return display.none("no model of this study has published figures")
    x = {f"x{end}": tradeoff[f"usd{end}"] for end in ("", "_low", "_high")}
    figure = charts.tradeoff(
        tradeoff.assign(f1_low=tradeoff["f1"], f1_high=tradeoff["f1"], **x),
        "a million questions, one by one, on this machine (USD)",
        colours,
        "F1 on SQuAD as published in 2021 (points)",
    )
    named = [f"{row.model} at USD {plain(row.usd)} and F1 {row.f1:.2f}" for row in tradeoff.itertuples()]
    return display.figure(
        figure,
        alt=f"Scatter chart of published F1 against measured cost: {'; '.join(named)}.",
        caption="Published F1 (SQuAD, 2021) against measured cost (this machine, random weights).",
    )
