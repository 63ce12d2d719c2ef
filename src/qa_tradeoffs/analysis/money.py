"""What models cost to fine-tune and to serve at the study's price, and when the cheaper one has paid back.

A million questions are 10⁶ times the time of one question in SingleStream, one after the other, on a machine that is
paid for no longer than it answers. Fine-tuning is the time of a training step, all models in turn, times the updates:
a total that was measured once would hold what else the machine did meanwhile.
"""

from itertools import permutations

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis import serving, side_by_side
from qa_tradeoffs.analysis.collected import Collected, of_model
from qa_tradeoffs.metrics import costs, intervals, timing
from qa_tradeoffs.metrics.intervals import Floats
from qa_tradeoffs.metrics.pareto import Contest
from qa_tradeoffs.metrics.records import Record

UTILISATIONS = (1.0, 0.5, 0.1)  # shares of the paid time in which the machine answers


def costs_of(collected: Collected, models: pd.DataFrame, contest: Contest) -> pd.DataFrame:
    """One row per model of the study's own network: what it costs to fine-tune, per question, per point of F1.

    Columns, in USD at the middle of the price: model, f1; training_usd (NaN where a model came fine-tuned: what that
    cost is not known, and nothing was paid here); question_usd, with question_low and question_high by the interval of
    its time; million_usd; usd_per_point, what each point of F1 over the smallest model cost more to fine-tune here
    (NaN: its F1 is not significantly higher). cheapest and dearest: what to multiply USD by for the lowest and the
    highest price.
    """
    low, high = collected.price.range_usd_per_hour
    price = (low + high) / 2
    models = models.reset_index(drop=True)
    table = models[["model", "f1"]].assign(training_usd=costs.usd(models["train_paid_seconds"], price))
    paid, smallest = table["training_usd"].fillna(0.0), int(models["parameters"].argmin())
    extra, gained = (column - column.iloc[smallest] for column in (paid, table["f1"]))
    other = table["model"].iloc[smallest]
    better = pd.Series([model != other and contest.accuracy(model, other) == "better" for model in table["model"]])
    return table.assign(
        question_usd=costs.usd(models["question"], price),
        question_low=costs.usd(models["question_low"], price),
        question_high=costs.usd(models["question_high"], price),
        million_usd=costs.usd(models["question"] * costs.MILLION, price),
        usd_per_point=(extra / gained).where(better),
        cheapest=low / price if price else 1.0,
        dearest=high / price if price else 1.0,
    )


def utilisation(collected: Collected, network: str) -> pd.DataFrame:
    """USD of a million questions one by one when the machine is idle for part of the time that is paid.

    One row per model and utilisation, a share of the paid time: model, utilisation, usd_low, usd_high.
    """
    rows = [
        (row.model, share, *costs.usd_per_million(row.question, collected.price.range_usd_per_hour, share))
        for row in serving.scenarios(collected, network).itertuples()
        for share in UTILISATIONS
    ]
    return pd.DataFrame(rows, columns=["model", "utilisation", "usd_low", "usd_high"])


def break_even(collected: Collected, contest: Contest) -> pd.DataFrame:
    """For each two models of which one is significantly faster: the questions after which it has paid for its training.

    Columns: cheaper to serve, than; questions_low and questions_high, a range by the 95 % intervals, over passes, of
    both the time saved per question and what its training takes longer; 0 is at once, infinity never. NaN where neither
    is significantly faster, which is a row as well. A model that came fine-tuned has no training to pay for. The price
    is the same on both sides, and plays no part.
    """
    single = side_by_side.question(collected, "study")
    seconds = {collected.label(slug): single.seconds(slug) for slug in collected.slugs}
    trained = {collected.label(slug): side_by_side.training_seconds(collected, slug) for slug in collected.slugs}
    rows = []
    for one, other in permutations(seconds, 2):
        pace = contest.speed(one, other)
        if pace == "better":
            saved = intervals.t_interval(seconds[other] - seconds[one])
            rows.append((one, other, *_questions(saved, _extra(trained[one], trained[other]))))
        elif pace == "not significant" and (one, other) in contest.ratios:
            rows.append((one, other, np.nan, np.nan))
    return pd.DataFrame(rows, columns=["cheaper to serve", "than", "questions_low", "questions_high"])


def training(collected: Collected, slug: str) -> dict[str, float]:
    """Seconds to fine-tune a model, and their cost; NaN where it came fine-tuned.

    ``train_seconds``: the mean over seeds of the measured total; ``train_by_step``: a step × updates, with its interval
    over passes; ``train_paid_seconds``: the latter, or the total times the devices that shared it where no step was
    timed.
    """
    records = [file.find("train_seconds") for file in of_model(slug, collected.trainings)]
    spent, paid = (
        float(np.mean(seconds)) if seconds else np.nan
        for seconds in ([record.value for record in records], [paid_seconds(record) for record in records])
    )
    passes = side_by_side.training_seconds(collected, slug)
    by_step, low, high = timing.typical(passes) if passes is not None else (np.nan,) * 3
    paid = paid if passes is None else by_step
    usd_low, usd_high = costs.usd_range(paid, collected.price.range_usd_per_hour)
    return {
        "train_seconds": spent,
        "train_by_step": by_step,
        "train_by_step_low": low,
        "train_by_step_high": high,
        "train_paid_seconds": paid,
        "train_usd_low": usd_low,
        "train_usd_high": usd_high,
    }


def paid_seconds(training: Record) -> float:
    """Seconds of one device for a training whose record of seconds this is; several devices have as many in each."""
    return float(training.conditions.get("devices") or 1) * training.value


def _extra(one: Floats | None, other: Floats | None) -> tuple[float, float]:
    """By how many seconds the training of the first is longer, an interval; one that came trained takes none."""
    if one is None and other is None:
        return 0.0, 0.0
    difference = (0.0 if one is None else one) - (0.0 if other is None else other)
    return intervals.t_interval(difference)


def _questions(saved: tuple[float, float], extra: tuple[float, float]) -> tuple[float, float]:
    """The fewest and the most questions that these intervals of seconds allow."""
    fewest, most = costs.break_even(extra[0], saved[1]), costs.break_even(extra[1], max(saved[0], 0.0))
    return fewest, most
