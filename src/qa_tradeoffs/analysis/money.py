"""What models cost to fine-tune and to serve at the study's price, and when the cheaper one has paid back."""

from itertools import permutations

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis import serving
from qa_tradeoffs.analysis.collected import Collected
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
    training = models["train_paid_seconds"].map(lambda seconds: costs.usd(seconds, price))
    smallest = models["parameters"].argmin()
    paid, f1 = training.fillna(0.0), models["f1"]
    question = {
        name: [costs.usd(seconds, price) for seconds in served[name]] for name in ("p50", "p50_low", "p50_high")
    }
    return pd.DataFrame(
        {
            "model": list(models["model"]),
            "f1": list(models["f1"]),
            "training_usd": list(training),
            "question_usd": question["p50"],
            "question_low": question["p50_low"],
            "question_high": question["p50_high"],
            "single_usd": [costs.usd_per_million_questions(seconds, price) for seconds in served["p50"]],
            "offline_usd": [costs.usd_per_million_offline(n, price) for n in served["questions_per_second"]],
            "usd_per_point": pd.Series(
                map(costs.usd_per_point, paid - paid.iloc[smallest], f1 - f1.iloc[smallest]), dtype=float
            ),
            "cheapest": low / price if price else 1.0,
            "dearest": high / price if price else 1.0,
        }
    )


def utilisation(collected: Collected, network: str) -> pd.DataFrame:
    """USD of a million questions one by one when the machine is idle for part of the time that is paid.

    One row per model and utilisation, a share of the paid time: model, utilisation, usd_low, usd_high.
    """
    prices = collected.price.range_usd_per_hour
    rows = [
        (row.model, share, *(costs.usd_per_million_questions(row.p50, price, share) for price in prices))
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
    for (_, one), (_, other) in permutations(money.fillna({"training_usd": 0.0}).iterrows(), 2):
        if one["question_usd"] < other["question_usd"]:
            a, b = (costs.Costs(row["training_usd"], row["question_usd"]) for row in (one, other))
            significant = one["question_high"] < other["question_low"]
            rows.append((one["model"], other["model"], costs.break_even(a, b) if significant else float("nan")))
    return pd.DataFrame(rows, columns=["cheaper to serve", "than", "questions"])


def training(collected: Collected, slug: str) -> dict[str, float]:
    """Seconds to fine-tune, mean over seeds, their cost, and windows per second; NaN where it came fine-tuned."""
    files = [file for (s, _), file in collected.trainings.items() if s == slug]
    if not files:
        names = ("train_seconds", "train_paid_seconds", "train_usd_low", "train_usd_high", "train_windows_per_second")
        return dict.fromkeys(names, np.nan)
    paid = float(np.mean([paid_seconds(file.find("train_seconds")) for file in files]))
    spent = float(np.mean([file.find("train_seconds").value for file in files]))
    windows = float(np.mean([file.find("train_windows").value for file in files]))
    low, high = costs.usd_range(paid, collected.price.range_usd_per_hour)
    return {
        "train_seconds": spent,
        "train_paid_seconds": paid,
        "train_usd_low": low,
        "train_usd_high": high,
        "train_windows_per_second": windows / spent,
    }


def paid_seconds(training: Record) -> float:
    """Seconds of one device for a training whose record of seconds this is; several devices have as many in each."""
    return float(training.conditions.get("devices") or 1) * training.value
