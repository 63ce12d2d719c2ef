"""What the models cost to fine-tune and to serve, as tables and charts."""

import datetime
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qa_tradeoffs.analysis import money
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core import words
from qa_tradeoffs.report import charts, display
from qa_tradeoffs.report.serving import offline_usd
from qa_tradeoffs.study.prices import Price


def price(collected: Collected) -> display.Html:
    """The price that costs are computed with, as a notice."""
    return display.paragraphs(price_notice(collected.price), "notice")


def price_notice(price: Price) -> list[str]:
    """The price, its source, and a warning where it is out of date."""
    low, high = price.range_usd_per_hour
    rate = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    source = "; ".join(filter(None, [price.source, price.note]))
    warning = price.age_warning(datetime.date.today())
    return [
        f"Costs are at USD {rate} an hour: {price.machine}, {price.provider}, {price.date} ({source}).",
        *([warning] if warning else []),
    ]


def table(collected: Collected, models: pd.DataFrame) -> display.Html:
    """What each model of the study costs."""
    costs = money.costs_of(collected, models)
    return display.table(cells(costs), "The study's networks at this price", data=costs)


def cells(costs: pd.DataFrame) -> pd.DataFrame:
    """Costs as a reader sees them: a range where the price is one."""

    def at_prices(column: str) -> list[tuple[float, float]]:
        return [(row[column] * row["cheapest"], row[column] * row["dearest"]) for _, row in costs.iterrows()]

    return pd.DataFrame(
        {
            "model": costs["model"],
            "F1": [f"{value:.1f}" for value in costs["f1"]],
            "fine-tuning, USD": [words.usd(*pair) for pair in at_prices("training_usd")],
            "million, SingleStream, USD": [words.usd(*pair) for pair in at_prices("single_usd")],
            "million, Offline, USD": [offline_usd(*pair) for pair in at_prices("offline_usd")],
            "USD per point of F1 over the smallest": [
                "none over it" if pd.isna(pair[0]) else "costs less" if pair[0] < 0 else words.usd(*pair)
                for pair in at_prices("usd_per_point")
            ],
        }
    )


def utilisation(collected: Collected) -> display.Html:
    """A million questions one by one, at full size, by the share of the paid time in which the machine answers."""
    shares = money.utilisation(collected, collected.full_size)
    caption = "A million questions one by one at full size, USD, by utilisation"
    return display.table(utilisation_cells(shares), caption, data=shares)


def utilisation_cells(shares: pd.DataFrame) -> pd.DataFrame:
    """A million questions at each utilisation as a reader sees it: a column per utilisation."""
    columns: dict[str, Any] = {"model": shares["model"].unique()}
    for share, rows in shares.groupby("utilisation", sort=False):
        pairs = zip(rows["usd_low"], rows["usd_high"], strict=True)
        columns[f"{words.percent(share)} of the time, USD"] = [words.usd(*pair) for pair in pairs]
    return pd.DataFrame(columns)


def break_even(collected: Collected, models: pd.DataFrame) -> display.Html:
    """After how many questions the model that is cheaper to serve has paid back its training."""
    even = money.break_even(money.costs_of(collected, models))
    return display.table(break_even_cells(even), "Questions until the cheaper to serve has paid back", data=even)


def break_even_cells(even: pd.DataFrame) -> pd.DataFrame:
    """Break-even as a reader sees it."""
    return even.assign(questions=[_questions(value) for value in even["questions"]])


def training_chart(models: pd.DataFrame) -> display.Html:
    """F1 against the cost of fine-tuning."""
    caption = "F1 against the cost of fine-tuning once."
    return display.figure(draw_training(models), alt=training_text(models), caption=caption)


def draw_training(models: pd.DataFrame) -> Figure:
    """F1 (points) against what fine-tuning cost (USD or cents; a bar where the price is a range)."""
    trained = models[models["train_seconds"].notna()]
    scale, unit = (100, "US cents") if models["train_usd_high"].max() < 0.1 else (1, "USD")
    low, high = trained["train_usd_low"] * scale, trained["train_usd_high"] * scale
    label = f"fine-tuning once ({unit})"
    return charts.tradeoff(trained, (low + high) / 2, low, high, label, charts.palette(models))


def training_text(models: pd.DataFrame) -> str:
    """The chart of F1 against the cost of fine-tuning in words."""
    trained = models[models["train_seconds"].notna()]
    if trained.empty:
        return "Empty chart of F1 against the cost of fine-tuning: no model was fine-tuned in this study."
    named = [f"{row.model} at USD {words.plain(row.train_usd_low)} and F1 {row.f1:.1f}" for row in trained.itertuples()]
    return f"Scatter chart of F1 against the cost of fine-tuning: {'; '.join(named)}."


def chart(collected: Collected, models: pd.DataFrame, colours: dict[str, Any]) -> display.Html:
    """What each model has cost in all, by the number of questions it has answered."""
    costs = money.costs_of(collected, models)
    caption = "What a model has cost in all, by the number of questions it has answered; lines cross at break-even."
    return display.figure(draw(costs, colours), alt=chart_text(costs), caption=caption)


def draw(costs: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """USD paid here, training included, against the number of questions answered; both axes logarithmic.

    The band is the 95 % interval of the time of a question.
    """
    figure, axes = plt.subplots(figsize=(charts.WIDTH, 4))
    questions = [10**power for power in range(2, 10)]
    ends = {}
    for _, row in costs.fillna({"training_usd": 0}).iterrows():
        low, total, high = (
            [row["training_usd"] + row[column] * n for n in questions]
            for column in ("question_low", "question_usd", "question_high")
        )
        label = charts.name(row["model"], colours)
        axes.plot(questions, total, color=colours[row["model"]], label=label)
        axes.fill_between(questions, low, high, color=colours[row["model"]], alpha=0.15, linewidth=0)
        ends[row["model"]] = (questions[-1], total[-1])
    axes.set(xscale="log", yscale="log", xlabel="questions answered", ylabel="USD in all, fine-tuning included")
    charts.name_lines([axes], ends, colours)
    return figure


def chart_text(costs: pd.DataFrame) -> str:
    """The chart of costs against questions in words."""
    named = [
        f"{row.model} starts at USD {words.plain(row.training_usd)} and rises by USD {words.plain(row.single_usd)} "
        "a million"
        for row in costs.fillna({"training_usd": 0}).itertuples()
    ]
    return f"Line chart of USD in all against questions answered: {'; '.join(named)}."


def _questions(number: float) -> str:
    if pd.isna(number):
        return "not significant"
    if number == 0:
        return "at once: costs no more to train"
    return "never" if number == float("inf") else f"{number:,.0f}"
