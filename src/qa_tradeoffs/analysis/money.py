"""What models cost to fine-tune and to serve at the study's price, and when the cheaper one has paid back."""

from itertools import permutations

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis import serving
from qa_tradeoffs.analysis.collected import Collected, of_model
from qa_tradeoffs.metrics import costs
from qa_tradeoffs.metrics.records import Record

UTILISATIONS = (1.0, 0.5, 0.1)  # shares of the paid time in which the machine answers


def costs_of(collected: Collected, models: pd.DataFrame) -> pd.DataFrame:
    """One row per model of the study's own network: what it costs to fine-tune, per question, per point of F1.

    Columns, in USD at the middle of the price: model, f1; training_usd (NaN where a model came fine-tuned: what that
    cost is not known, and nothing was paid here); question_usd, with question_low and question_high by the interval of
    its time; single_usd and offline_usd per million questions; usd_per_point, what each point of F1 over the smallest
    model cost more to fine-tune here (NaN: it has none over it). cheapest and dearest: what to multiply USD by for the
    lowest and the highest price.
    """
    low, high = collected.price.range_usd_per_hour
    price = (low + high) / 2
    served = serving.scenarios(collected, "study").set_index("model").loc[models["model"]].reset_index()
    models = models.reset_index(drop=True)
    table = models[["model", "f1"]].assign(training_usd=costs.usd(models["train_paid_seconds"], price))
    paid, smallest = table["training_usd"].fillna(0.0), models["parameters"].argmin()
    extra, gained = (column - column.iloc[smallest] for column in (paid, table["f1"]))
    return table.assign(
        question_usd=costs.usd(served["p50"], price),
        question_low=costs.usd(served["p50_low"], price),
        question_high=costs.usd(served["p50_high"], price),
        single_usd=costs.usd(served["p50"] * costs.MILLION, price),
        offline_usd=costs.usd(1 / served["questions_per_second"] * costs.MILLION, price),
        usd_per_point=extra / gained.where(gained > 0),
        cheapest=low / price if price else 1.0,
        dearest=high / price if price else 1.0,
    )


def utilisation(collected: Collected, network: str) -> pd.DataFrame:
    """USD of a million questions one by one when the machine is idle for part of the time that is paid.

    One row per model and utilisation, a share of the paid time: model, utilisation, usd_low, usd_high.
    """
    rows = [
        (row.model, share, *costs.usd_per_million(row.p50, collected.price.range_usd_per_hour, share))
        for row in serving.scenarios(collected, network).itertuples()
        for share in UTILISATIONS
    ]
    return pd.DataFrame(rows, columns=["model", "utilisation", "usd_low", "usd_high"])


def break_even(money: pd.DataFrame) -> pd.DataFrame:
    """For each two models of which one is cheaper to serve: the questions after which it has paid for its training.

    0: at once; NaN: the intervals of their times overlap, so that neither is significantly cheaper. A model that came
    fine-tuned has no training to pay for.
    """
    rows = []
    for one, other in permutations(money.fillna({"training_usd": 0.0}).itertuples(), 2):
        if (saved := other.question_usd - one.question_usd) > 0:
            questions = costs.break_even(one.training_usd - other.training_usd, saved)
            rows.append((one.model, other.model, questions if one.question_high < other.question_low else np.nan))
    return pd.DataFrame(rows, columns=["cheaper to serve", "than", "questions"])


def training(collected: Collected, slug: str) -> dict[str, float]:
    """Seconds to fine-tune and seconds to pay for, means over seeds, and their cost; NaN where it came fine-tuned."""
    records = [file.find("train_seconds") for file in of_model(slug, collected.trainings)]
    spent, paid = (
        float(np.mean(seconds)) if seconds else np.nan
        for seconds in ([record.value for record in records], [paid_seconds(record) for record in records])
    )
    low, high = costs.usd_range(paid, collected.price.range_usd_per_hour)
    return {"train_seconds": spent, "train_paid_seconds": paid, "train_usd_low": low, "train_usd_high": high}


def paid_seconds(training: Record) -> float:
    """Seconds of one device for a training whose record of seconds this is; several devices have as many in each."""
    return float(training.conditions.get("devices") or 1) * training.value
