"""How well each model answers: scores, paired differences, spread over training runs, loss histories."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from qa_tradeoffs.analysis import money
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.analysis.speed import smallest_batch
from qa_tradeoffs.core.words import listed
from qa_tradeoffs.metrics import costs, intervals
from qa_tradeoffs.metrics.pareto import Gap


def models(collected: Collected) -> pd.DataFrame:
    """One row per model, in the study's order.

    EM and F1 are points, means over seeds, with 95 % bootstrap intervals over questions (of each question's mean over
    seeds) in ``*_low`` and ``*_high``, and ``f1_seed_low``/``f1_seed_high`` the lowest and highest seed;
    ``ceiling_exact_match`` and ``ceiling_f1`` those of a perfect model within the study's limits.
    ``latency`` is the median seconds of one forward pass of ``latency_batch`` rows, 1 or the smallest measured, at
    ``latency_at`` tokens, with its interval over passes; ``million_usd_low``/``_high`` is the cost of 10⁶ such passes
    one after the other. ``train_seconds`` is the mean over seeds, ``train_paid_seconds`` the same times the devices
    that shared it, ``train_usd_low``/``_high`` what those cost; NaN where a model came fine-tuned. Costs are USD at the
    study's price, lowest and highest where that is a range.
    """
    return pd.DataFrame([_model(collected, slug) for slug in collected.slugs])


def baseline(collected: Collected) -> dict[str, float]:
    """EM and F1, in points, of lexical overlap without training, on the same questions; F1 from f1_low to f1_high."""
    first = next(iter(collected.evaluations.values()))
    exact_match, f1 = first.find("baseline_exact_match"), first.find("baseline_f1")
    return {"exact_match": exact_match.value, "f1": f1.value, "f1_low": f1.bounds[0], "f1_high": f1.bounds[1]}


def differences(collected: Collected, metric: str = "f1") -> pd.DataFrame:
    """Every two models compared question by question, in points: estimate, interval, p adjusted after Holm, verdict.

    ``metric`` is f1 or exact_match; the estimate is in f1_difference or exact_match_difference. With several seeds, a
    question's score is its mean over them; interval and verdict are over questions only. Holm's family is the pairs of
    a metric.
    """
    rng = np.random.default_rng(0)
    scores = {slug: _per_question(collected, slug, metric) for slug in collected.slugs}
    pairs = list(combinations(collected.slugs, 2))
    compared = [intervals.paired_difference(scores[a], scores[b], rng, resamples=10_000) for a, b in pairs]
    adjusted = intervals.holm([difference.p_value for difference in compared]).tolist() if compared else []
    rows = [
        (*map(collected.label, pair), difference.estimate, difference.interval.low, difference.interval.high, p)
        for pair, difference, p in zip(pairs, compared, adjusted, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["model", "other", f"{metric}_difference", "low", "high", "p_holm"])
    return table.assign(verdict=[_verdict(a, b, Gap(*gap)) for a, b, *gap in rows])


def runs(collected: Collected) -> pd.DataFrame:
    """How far training runs of a model, which differ in their seed alone, lie apart; one row per model and metric.

    Of the models that have several. Columns: model, metric (f1 or exact_match), runs; in points the mean, sd (n - 1 in
    the denominator), low and high of the 95 % t interval of the mean over runs, cut to the scale, and the lowest and
    highest run; overlaps, the models whose range from lowest to highest overlaps with this one.
    """
    rows = []
    for metric in ("f1", "exact_match"):
        scores = {collected.label(slug): _of_runs(collected, slug, metric) for slug in collected.slugs}
        rows += [_spread(model, metric, scores) for model, several in scores.items() if len(several) > 1]
    columns = ["model", "metric", "runs", "mean", "sd", "low", "high", "lowest", "highest", "overlaps"]
    return pd.DataFrame(rows, columns=columns)


def losses(collected: Collected) -> pd.DataFrame:
    """The loss histories one below the other: model, seed, step, epoch, loss."""
    frames = [
        history.assign(model=collected.label(slug), seed=seed) for (slug, seed), history in collected.histories.items()
    ]
    columns = ["model", "seed", "step", "epoch", "loss"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _model(collected: Collected, slug: str) -> dict[str, Any]:
    """One model's row in the table of models."""
    rng = np.random.default_rng(0)
    latency = smallest_batch(collected.measured(slug, "forward_seconds"))
    million_low, million_high = (
        costs.usd_per_million_questions(latency.value, price) for price in collected.price.range_usd_per_hour
    )
    row: dict[str, Any] = {
        "slug": slug,
        "model": collected.label(slug),
        "parameters": collected.measured(slug, "parameters")[0].value,
        "bytes": collected.measured(slug, "bytes_on_disk")[0].value,
        "latency": latency.value,
        "latency_low": latency.bounds[0],
        "latency_high": latency.bounds[1],
        "latency_batch": latency.conditions["batch_size"],
        "latency_at": latency.conditions["length"],
        "million_usd_low": million_low,
        "million_usd_high": million_high,
    }
    for metric in ("exact_match", "f1"):
        scores = _per_question(collected, slug, metric)
        interval = intervals.bootstrap_mean(scores, rng)
        row |= {metric: scores.mean(), f"{metric}_low": interval.low, f"{metric}_high": interval.high}
    by_seed = [file.find("f1").value for (s, _), file in collected.evaluations.items() if s == slug]
    row |= {"seeds": len(by_seed), "f1_seed_low": min(by_seed), "f1_seed_high": max(by_seed)}
    first = next(file for (s, _), file in collected.evaluations.items() if s == slug)  # the same with every seed
    row |= {metric: first.find(metric).value for metric in ("ceiling_exact_match", "ceiling_f1")}
    return row | money.training(collected, slug)


def _verdict(model: str, other: str, gap: Gap) -> str:
    """Which of two models scores higher, if the difference is significant over questions."""
    return {
        "better": f"{model} significantly higher",
        "worse": f"{other} significantly higher",
        "equal": "equal on every question",
    }.get(gap.verdict, "not significant")


def _of_runs(collected: Collected, slug: str, metric: str) -> npt.NDArray[np.float64]:
    """(n_runs,): the score of each training run of a model, in points."""
    frames = [frame for (s, _), frame in collected.predictions.items() if s == slug]
    return 100 * np.array([frame[metric].mean() for frame in frames], dtype=np.float64)


def _spread(model: str, metric: str, scores: Mapping[str, npt.NDArray[np.float64]]) -> tuple[Any, ...]:
    """A row of ``runs``; ``scores`` are those of every model's runs."""
    ours = scores[model]
    lowest, highest, interval = ours.min(), ours.max(), intervals.t_interval(ours)
    overlaps = [m for m, other in scores.items() if m != model and other.min() <= highest and lowest <= other.max()]
    cut = max(0.0, interval.low), min(100.0, interval.high)
    names = listed(overlaps) if overlaps else "none"
    return model, metric, len(ours), ours.mean(), ours.std(ddof=1), *cut, lowest, highest, names


def _per_question(collected: Collected, slug: str, metric: str) -> npt.NDArray[np.float64]:
    """(n_questions,): each question's score in points, mean over seeds, questions in the order of their ids."""
    seeds = [seed for s, seed in collected.predictions if s == slug]
    mean: npt.NDArray[np.float64] = np.mean([collected.scores(slug, seed, metric) for seed in seeds], axis=0)
    return 100 * mean
