"""What the models cost to train and to serve, as tables and charts."""

import datetime
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from qa_tradeoffs.core.words import counted, percent, plain, usd
from qa_tradeoffs.report import charts, display
from qa_tradeoffs.study.prices import Price


def price(price: Price, device: Mapping[str, Any]) -> display.Html:
    """The price that costs are computed with, its source, and the ``device`` of the times, as a notice.

    With a warning if the price is out of date.
    """
    low, high = price.range_usd_per_hour
    rate = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    source = "; ".join(filter(None, [price.source, price.note]))
    costs = f"Costs are at USD {rate} an hour: {price.machine}, {price.provider}, {price.date} ({source})."
    times = (
        f"The times were measured on {device['name']}, {counted(device['threads'], 'thread')}. On the machine of this "
        "price they can be longer or shorter, and the costs with them."
    )
    return display.paragraphs(list(filter(None, [costs, times, price.age_warning(datetime.date.today())])), "notice")


def table(costs: pd.DataFrame) -> display.Table:
    """The costs of each model of the study: ranges if the price is a range."""

    def at_prices(column: str, words: Callable[[float, float], str] = usd) -> list[str]:
        return list(map(words, costs[column] * costs["cheapest"], costs[column] * costs["dearest"]))

    columns = {
        "model": costs["model"],
        "F1": costs["f1"].map("{:.1f}".format),
        "training, USD": at_prices("training_usd"),
        "a million questions, USD": at_prices("million_usd"),
        "USD per point of F1 above the smallest model": [
            "the smallest model" if smallest else cell
            for smallest, cell in zip(costs["smallest"], at_prices("usd_per_point", _per_point), strict=True)
        ],
    }
    return display.table(columns, "The study's networks at this price", data=costs)


def utilisation(shares: pd.DataFrame) -> display.Table:
    """A million questions one by one, at full size, by the share of the paid time in which the machine answers."""
    columns: dict[str, Any] = {"model": shares["model"].unique()}
    for share, rows in shares.groupby("utilisation", sort=False):
        columns[f"{percent(share)} busy, USD"] = map(usd, rows["usd_low"], rows["usd_high"])
    return display.table(columns, "Cost of a million questions at full size, one by one, by utilisation", data=shares)


def break_even(even: pd.DataFrame) -> display.Table:
    """The number of questions after which the model that is cheaper to serve has paid back its training.

    If any of the models has a teacher, another column includes the training of teachers.
    """
    columns: dict[str, Any] = {name: even[name] for name in ("cheaper to serve", "than")}
    own = list(map(_questions, even["questions_low"], even["questions_high"]))
    if even["taught"].any():
        columns["questions, if teachers exist anyway"] = own
        taught = map(_questions, even["all_questions_low"], even["all_questions_high"])
        columns["questions, training of teachers included"] = list(taught)
    else:
        columns["questions"] = own
    caption = "Questions until the model that is cheaper to serve has paid back; ranges from 95 % intervals over passes"
    return display.table(columns, caption, data=even)


def training_chart(models: pd.DataFrame) -> display.Html:
    """F1 (points) against what training cost (USD or cents; a bar if the price is a range)."""
    trained = models[models["train_seconds"].notna()]
    if trained.empty:
        return display.none("no model was trained in this study")
    scale, unit = (100, "US cents") if models["train_usd_high"].max() < 0.1 else (1, "USD")
    low, high = trained["train_usd_low"] * scale, trained["train_usd_high"] * scale
    drawn = trained.assign(x=(low + high) / 2, x_low=low, x_high=high)
    figure = charts.tradeoff(drawn, f"one training ({unit})", charts.palette(models))
    named = [f"{row.model} at USD {plain(row.train_usd_low)} and F1 {row.f1:.1f}" for row in trained.itertuples()]
    what = "Scatter chart of F1 against the cost of training"
    return display.figure(figure, what, named, "F1 against the cost of one training.")


def chart(costs: pd.DataFrame, colours: dict[str, Any]) -> display.Picture:
    """USD paid here, training included, against the number of questions answered; both axes logarithmic.

    The band is the 95 % interval of the time of a question.
    """
    figure, axes = plt.subplots(figsize=(charts.WIDTH, 4))
    questions = np.logspace(2, 9, 8)
    named = []
    for row in costs.fillna({"training_usd": 0}).itertuples():
        low, total, high = (
            row.training_usd + each * questions for each in (row.question_low, row.question_usd, row.question_high)
        )
        axes.plot(questions, total, color=colours[row.model], label=charts.name(row.model, colours))
        axes.fill_between(questions, low, high, color=colours[row.model], alpha=0.15, linewidth=0)
        named.append(
            f"{row.model} starts at USD {plain(row.training_usd)} and rises by USD {plain(row.million_usd)} a million"
        )
    axes.set(xscale="log", yscale="log", xlabel="questions answered", ylabel="USD in all, training included")
    charts.name_lines([axes])
    caption = "What a model has cost in all, by the number of questions answered. Two lines cross at break-even."
    return display.figure(figure, "Line chart of USD in all against questions answered", named, caption)


def _per_point(low: float, high: float) -> str:
    return "F1 not significantly higher" if pd.isna(low) else "costs less" if low < 0 else usd(low, high)


def _questions(low: float, high: float) -> str:
    """A range in words: one figure if both ends read the same."""
    if pd.isna(low):
        return "neither is significantly faster"
    if high == 0:
        return "at once: costs no more to train"
    if low == math.inf:
        return "never"
    lowest, highest = (float(f"{value:.2g}") for value in (low, high))
    upper = "or more" if highest == math.inf else f"to {highest:,.0f}"
    return f"{lowest:,.0f}" if lowest == highest else f"{'0' if low == 0 else format(lowest, ',.0f')} {upper}"
