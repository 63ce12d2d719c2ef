"""How well each model answers: scores, paired differences, spread over training runs, loss histories."""

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from qa_tradeoffs.analysis import money
from qa_tradeoffs.analysis.collected import Collected, bounded, of_model
from qa_tradeoffs.analysis.speed import smallest_batch
from qa_tradeoffs.core.words import listed
from qa_tradeoffs.metrics import costs, intervals
from qa_tradeoffs.metrics.pareto import Gap

_VERDICTS = {
    "better": "{0} significantly higher", "worse": "{1} significantly higher", "equal": "equal on every question",
    "not significant": "not significant",
}  # fmt: skip


def models(collected: Collected) -> pd.DataFrame:
    """One row per model, in the study's order.

    EM and F1 are points, means over seeds, with 95 % bootstrap intervals over questions (of each question's mean over
    seeds) in ``*_low`` and ``*_high``, and ``f1_seed_low``/``f1_seed_high`` the lowest and highest seed.
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
    scores = {collected.label(slug): 100 * collected.scores(slug, metric).mean(axis=0) for slug in collected.slugs}
    rows = [
        (a, b, *intervals.paired_difference(scores[a], scores[b], rng, resamples=10_000))
        for a, b in combinations(scores, 2)
    ]
    table = pd.DataFrame(rows, columns=["model", "other", f"{metric}_difference", "low", "high", "p_holm"])
    table["p_holm"] = intervals.holm(table["p_holm"])
    verdicts = [_VERDICTS[Gap(*gap).verdict].format(a, b) for a, b, *gap in table.itertuples(index=False)]
    return table.assign(verdict=verdicts)


def runs(collected: Collected) -> pd.DataFrame:
    """How far training runs of a model, which differ in their seed alone, lie apart; one row per model and metric.

    Of the models that have several. Columns: model, metric (f1 or exact_match), runs; in points the mean, sd (n - 1 in
    the denominator), low and high of the 95 % t interval of the mean over runs, cut to the scale, and the lowest and
    highest run; overlaps, the models whose range from lowest to highest overlaps with this one.
    """
    rows = []
    for metric in ("f1", "exact_match"):
        scores = {
            collected.label(slug): [100 * frame[metric].mean() for frame in of_model(slug, collected.predictions)]
            for slug in collected.slugs
        }
        for model, ours in scores.items():
            if len(ours) > 1:
                others = {other: values for other, values in scores.items() if other != model}
                overlaps = [o for o, theirs in others.items() if min(theirs) <= max(ours) and min(ours) <= max(theirs)]
                interval = np.clip(intervals.t_interval(ours), 0, 100)
                spread = np.mean(ours), np.std(ours, ddof=1), *interval, min(ours), max(ours)
                rows.append((model, metric, len(ours), *spread, listed(overlaps) if overlaps else "none"))
    columns = ["model", "metric", "runs", "mean", "sd", "low", "high", "lowest", "highest", "overlaps"]
    return pd.DataFrame(rows, columns=columns)


def losses(collected: Collected) -> pd.DataFrame:
    """The loss histories one below the other: model, seed, step, epoch, loss."""
    columns = ["model", "seed", "step", "epoch", "loss"]
    frames = [
        frame.assign(model=collected.label(slug), seed=seed) for (slug, seed), frame in collected.histories.items()
    ]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _model(collected: Collected, slug: str) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    latency = smallest_batch(collected.measured(slug, "forward_seconds"))
    f1_by_seed = [file.find("f1").value for file in of_model(slug, collected.evaluations)]
    million = costs.usd_per_million(latency.value, collected.price.range_usd_per_hour)
    return {
        "slug": slug,
        "model": collected.label(slug),
        "parameters": collected.measured(slug, "parameters")[0].value,
        "bytes": collected.measured(slug, "bytes_on_disk")[0].value,
        **bounded("latency", latency.value, latency.bounds),
        "latency_batch": latency.conditions["batch_size"],
        "latency_at": latency.conditions["length"],
        "million_usd_low": million[0],
        "million_usd_high": million[1],
        **estimated("exact_match", 100 * collected.scores(slug, "exact_match").mean(axis=0), rng),
        **estimated("f1", 100 * collected.scores(slug, "f1").mean(axis=0), rng),
        "seeds": len(f1_by_seed),
        "f1_seed_low": min(f1_by_seed),
        "f1_seed_high": max(f1_by_seed),
        **money.training(collected, slug),
    }


def estimated(name: str, values: npt.NDArray[np.float64], rng: np.random.Generator) -> dict[str, float]:
    """Columns of the mean of ``values`` (n,) and its bootstrap interval over them."""
    return bounded(name, values.mean(), intervals.bootstrap_mean(values, rng))
