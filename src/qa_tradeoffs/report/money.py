"""What the models cost to fine-tune and to serve."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qa_tradeoffs.report import charts


def f1_against_training_cost(models: pd.DataFrame) -> Figure:
    """F1 (points) against what fine-tuning cost (USD or cents; a bar where the price is a range)."""
    trained = models[models["train_seconds"].notna()]
    scale, unit = (100, "US cents") if models["train_usd_high"].max() < 0.1 else (1, "USD")
    low, high = trained["train_usd_low"] * scale, trained["train_usd_high"] * scale
    return charts.tradeoff(trained, (low + high) / 2, low, high, f"fine-tuning once ({unit})", charts.palette(models))


def break_even(money: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """USD paid here, training included, against the number of questions answered; both axes logarithmic.

    The band is the 95 % interval of the time of a question.
    """
    figure, axes = plt.subplots(figsize=(charts.WIDTH, 4))
    questions = [10**power for power in range(2, 10)]
    ends = {}
    for _, row in money.fillna({"training_usd": 0}).iterrows():
        low, total, high = (
            [row["training_usd"] + row[column] * n for n in questions]
            for column in ("question_low", "question_usd", "question_high")
        )
        axes.plot(questions, total, color=colours[row["model"]], label=row["model"])
        axes.fill_between(questions, low, high, color=colours[row["model"]], alpha=0.15, linewidth=0)
        ends[row["model"]] = (questions[-1], total[-1])
    axes.set(xscale="log", yscale="log", xlabel="questions answered", ylabel="USD in all, fine-tuning included")
    charts.name_lines([axes], ends, colours)
    return figure
