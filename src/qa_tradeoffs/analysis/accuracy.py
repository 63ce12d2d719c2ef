"""How well each model answers: scores, paired differences, spread over training runs, loss histories."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from qa_tradeoffs.analysis import money, serving
from qa_tradeoffs.analysis.collected import Collected, bounded, of_model
from qa_tradeoffs.core.words import listed
from qa_tradeoffs.metrics import intervals
from qa_tradeoffs.metrics.pareto import Gap

_VERDICTS = {
    "better": "{0} significantly higher", "worse": "{1} significantly higher", "equal": "equal on every question",
    "not significant": "not significant",
}  # fmt: skip


def models(collected: Collected) -> pd.DataFrame:
    """One row per model, in the study's order.

    EM and F1 are points, means over seeds, with 95 % bootstrap intervals over questions (of each question's mean over
    seeds) in ``*_low`` and ``*_high``, and ``f1_seed_low``/``f1_seed_high`` the lowest and highest seed;
    ``ceiling_exact_match`` and ``ceiling_f1`` are those of a perfect model within the study's limits.
    ``question`` is the seconds of a question in SingleStream, all models in turn, with its interval over passes, of
    which so many are ``contended``; ``million_usd`` what 10⁶ questions cost one by one, a pair. Columns ``train_*`` are
    those of ``money.training``. Costs are USD at the study's price, lowest and highest where that is a range.
    """
    served = serving.scenarios(collected, "study").to_dict("records")
    return pd.DataFrame([_model(collected, slug, row) for slug, row in zip(collected.slugs, served, strict=True)])


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


def _model(collected: Collected, slug: str, served: Mapping[str, Any]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    evaluations = of_model(slug, collected.evaluations)
    f1_by_seed = [file.find("f1").value for file in evaluations]
    return {
        "slug": slug,
        "model": collected.label(slug),
        "parameters": collected.measured(slug, "parameters")[0].value,
        "bytes": collected.measured(slug, "bytes_on_disk")[0].value,
        **{name: served[name] for name in ("question", "question_low", "question_high", "contended", "million_usd")},
        **estimated("exact_match", 100 * collected.scores(slug, "exact_match").mean(axis=0), rng),
        **estimated("f1", 100 * collected.scores(slug, "f1").mean(axis=0), rng),
        "seeds": len(f1_by_seed),
        "f1_seed_low": min(f1_by_seed),
        "f1_seed_high": max(f1_by_seed),
        # The same with every seed.
        **{metric: evaluations[0].find(metric).value for metric in ("ceiling_exact_match", "ceiling_f1")},
        **money.training(collected, slug),
    }


def estimated(name: str, values: npt.NDArray[np.float64], rng: np.random.Generator) -> dict[str, float]:
    """Columns of the mean of ``values`` (n,) and its bootstrap interval over them."""
    return bounded(name, values.mean(), intervals.bootstrap_mean(values, rng))
