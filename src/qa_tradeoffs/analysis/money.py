"""The cost of training and serving at the study's price, and break-even points.

A million questions cost 10⁶ times the time of one question in SingleStream, on a machine that is paid only while it
answers. Training costs the interleaved time of a training step times the number of updates, since a total that is
measured once includes whatever else the machine did.
"""

from itertools import permutations
from typing import Any

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
    """One row per model, for the study's own networks: costs of training, per question and per point of F1.

    Columns, in USD at the middle of the price range: model, f1; training_usd (NaN if a model came fine-tuned: its cost
    is unknown, and nothing was paid here); question_usd, with question_low and question_high from the interval of its
    time; million_usd; usd_per_point, the additional cost of training per point of F1 above the smallest model (NaN if
    its F1 is not significantly higher); smallest, whether it is that model. cheapest and dearest: factors for the
    lowest and the highest price.
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
        smallest=table["model"] == other,
        cheapest=low / price if price else 1.0,
        dearest=high / price if price else 1.0,
    )


def utilisation(collected: Collected, network: str) -> pd.DataFrame:
    """USD for a million questions one by one if the machine is idle for part of the paid time.

    One row per model and utilisation, a share of the paid time: model, utilisation, usd_low, usd_high.
    """
    rows = [
        (row.model, share, *costs.usd_per_million(row.question, collected.price.range_usd_per_hour, share))
        for row in serving.scenarios(collected, network).itertuples()
        for share in UTILISATIONS
    ]
    return pd.DataFrame(rows, columns=["model", "utilisation", "usd_low", "usd_high"])


def break_even(collected: Collected, contest: Contest) -> pd.DataFrame:
    """For each pair of models: the number of questions after which the faster one's training has paid off.

    Columns: cheaper to serve, than; questions_low and questions_high, from the 95 % intervals over passes of the time
    saved per question and of the additional training time; 0: immediately; infinity: never; NaN: neither is
    significantly faster. all_questions_low and all_questions_high: the same if the training of a teacher, and the time
    to compute its probabilities, are paid for its students; ``taught``: whether either model has a teacher. A model
    that came fine-tuned has no training to pay for. The price cancels out.
    """
    single = side_by_side.question(collected, "study")
    seconds = {collected.label(slug): single.seconds(slug) for slug in collected.slugs}
    trained = {collected.label(slug): side_by_side.training_seconds(collected, slug) for slug in collected.slugs}
    in_all = {collected.label(slug): _with_teacher(collected, slug) for slug in collected.slugs}
    students = {collected.label(slug) for slug in collected.slugs if collected.study.models[slug].teacher}
    rows: list[tuple[Any, ...]] = []
    for one, other in permutations(seconds, 2):
        pace, taught = contest.speed(one, other), bool(students & {one, other})
        if pace == "better":
            saved = intervals.t_interval(seconds[other] - seconds[one])
            own, every = (_questions(saved, _extra(spent[one], spent[other])) for spent in (trained, in_all))
            rows.append((one, other, *own, *every, taught))
        elif pace == "not significant" and (one, other) in contest.ratios:
            rows.append((one, other, *[np.nan] * 4, taught))
    bounds = [f"{kind}questions_{end}" for kind in ("", "all_") for end in ("low", "high")]
    return pd.DataFrame(rows, columns=["cheaper to serve", "than", *bounds, "taught"])


def training(collected: Collected, slug: str) -> dict[str, float]:
    """Seconds to train a model, and their cost; NaN if it came fine-tuned.

    ``train_seconds``: the mean over seeds of the measured total; ``train_by_step``: step × updates, with its interval
    over passes; ``train_paid_seconds``: step × updates, or, if no step was timed, the total × the number of devices.
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


def mean_of(collected: Collected, slug: str, metric: str) -> float:
    """The mean over seeds of a record of a model's trainings; NaN if they do not have it."""
    values = [record.value for file in of_model(slug, collected.trainings) for record in file.all(metric)]
    return float(np.mean(values)) if values else np.nan


def paid_seconds(training: Record) -> float:
    """Device seconds of a training, from its record of seconds: multiplied by the number of devices."""
    return float(training.conditions.get("devices") or 1) * training.value


def _with_teacher(collected: Collected, slug: str) -> Floats | None:
    """Seconds of a model's training with its teacher's, one value per pass; None if it was not trained here."""
    own, teacher = side_by_side.training_seconds(collected, slug), collected.study.models[slug].teacher
    if own is None or teacher is None:
        return own
    theirs = _with_teacher(collected, teacher) if teacher in collected.slugs else None
    if theirs is None:  # it is not a model of this analysis, or came fine-tuned
        theirs = np.nan_to_num(mean_of(collected, slug, "teacher_train_seconds"))
    taught: Floats = own + mean_of(collected, slug, "teacher_logits_seconds") + theirs
    return taught


def _extra(one: Floats | None, other: Floats | None) -> tuple[float, float]:
    """The interval of the first model's additional training time in seconds; fine-tuned models have none."""
    if one is None and other is None:
        return 0.0, 0.0
    difference = (0.0 if one is None else one) - (0.0 if other is None else other)
    return intervals.t_interval(difference)


def _questions(saved: tuple[float, float], extra: tuple[float, float]) -> tuple[float, float]:
    """The fewest and the most questions within these intervals of seconds."""
    fewest, most = costs.break_even(extra[0], saved[1]), costs.break_even(extra[1], max(saved[0], 0.0))
    return fewest, most
