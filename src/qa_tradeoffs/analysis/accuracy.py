"""Accuracy of the models: scores, paired differences, spread over training runs, loss histories."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from qa_tradeoffs.analysis import money, serving
from qa_tradeoffs.analysis.collected import Collected, bounded, of_model
from qa_tradeoffs.metrics import intervals
from qa_tradeoffs.metrics.estimates import Clusters, Estimate, contrast, ratio
from qa_tradeoffs.metrics.pareto import Gap
from qa_tradeoffs.study import engines


def models(collected: Collected) -> pd.DataFrame:
    """One row per model, in the study's order.

    EM and F1 are in points, means over seeds, with 95 % intervals in ``*_low`` and ``*_high``, over questions and, with
    several seeds, training runs; ``f1_seed_low``/``f1_seed_high`` are the lowest and highest seed;
    ``ceiling_exact_match`` and ``ceiling_f1`` are a perfect model's scores within the study's limits.
    ``question`` is the seconds of a question in SingleStream, from interleaved passes, with its interval over passes;
    ``contended`` is the number of contended passes; ``million_usd`` is the cost of 10⁶ questions one by one, a pair.
    Columns ``train_*`` are those of ``money.training``. Costs are in USD, at the lowest and highest price.
    """
    return points(collected, collected.slugs)


def points(collected: Collected, chosen: Sequence[str]) -> pd.DataFrame:
    """The columns of ``models``, one row per point; ``of``: its model's label, ``engine``: the engine's name.

    ``bytes`` is the size of the file that the engine runs.
    """
    served = serving.scenarios(collected, "study", chosen).to_dict("records")
    return pd.DataFrame([_point(collected, point, row) for point, row in zip(chosen, served, strict=True)])


def baseline(collected: Collected) -> dict[str, float]:
    """EM and F1, in points, of the untrained baseline on the same questions; F1 with f1_low and f1_high."""
    first = next(iter(collected.evaluations.values()))
    exact_match, f1 = first.find("baseline_exact_match"), first.find("baseline_f1")
    return {"exact_match": exact_match.value, "f1": f1.value, "f1_low": f1.bounds[0], "f1_high": f1.bounds[1]}


def differences(collected: Collected, metric: str = "f1") -> pd.DataFrame:
    """All pairs of distinct models compared question by question, in points.

    ``metric`` is f1 or exact_match. Columns: model, other; {metric}_difference with its 95 % interval in low and high;
    p_holm, adjusted by Holm's method for all pairs of this metric; ``over``, 'questions' or, if both models have
    several seeds, 'questions and training runs'; ``detectable``, the smallest difference that this study detects with a
    power of 80 % at the level of Holm's first step; ``verdict``.
    """
    pairs = list(combinations(collected.distinct, 2))
    found = [compared(collected, *pair, metric) for pair in pairs]
    rows = []
    for pair, one, p_value in zip(pairs, found, intervals.holm([one.p_value for one in found]), strict=True):
        measured, (model, other) = replace(gap(one), p_value=float(p_value)), map(collected.label, pair)
        rows.append(
            (model, other, *astuple(measured), one.detectable(0.05 / len(pairs)), _verdict(model, other, measured))
        )
    columns = ["model", "other", f"{metric}_difference", "low", "high", "p_holm", "over", "detectable", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def compared(collected: Collected, point: str, other: str, metric: str = "f1") -> Estimate:
    """The score of ``point`` minus the score of ``other``, paired by question, and by run if both are one model."""
    ours, theirs = (100 * collected.scores(one, metric) for one in (point, other))
    one_model = collected.same[point] == collected.same[other]
    return contrast([(1, ours - theirs)] if one_model else [(1, ours), (-1, theirs)], collected.clusters)


def gap(difference: Estimate) -> Gap:
    """A difference in points with its interval; the p value is not corrected for other pairs."""
    low, high = np.clip(difference.interval(), -100, 100)
    return Gap(difference.value, float(low), float(high), difference.p_value, difference.over)


def kept(collected: Collected) -> pd.DataFrame:
    """Non-inferiority: whether each distinct model keeps the required share of the best model's F1.

    One row per model except the one with the highest F1, ``best``: model, best; share, in per cent of its F1, with low
    and high at 95 % for all rows together (Bonferroni); over, as in ``differences``; verdict: 'yes' if the whole
    interval is at or above the required share, 'no' if it is below, else 'inconclusive'. MLPerf requires 99 % or
    99.9 % of a reference in this way (Reddi et al., 2020, arXiv 1911.02549).
    """
    scores = {collected.label(slug): collected.scores(slug, "f1") for slug in collected.distinct}
    best = max(scores, key=lambda label: float(scores[label].mean()))
    asked, rows = 100 * collected.study.analysis.keeps, []
    for model in (label for label in scores if label != best):
        share = ratio(scores[model], scores[best], collected.clusters)
        low, high = np.maximum(0, 100 * np.array(share.interval(1 - 0.05 / (len(scores) - 1))))
        verdict = "yes" if low >= asked else "no" if high < asked else "inconclusive"
        rows.append((model, best, 100 * share.value, low, high, share.over, verdict))
    return pd.DataFrame(rows, columns=["model", "best", "share", "low", "high", "over", "verdict"])


def variants(collected: Collected) -> pd.DataFrame:
    """Models that differ from another, ``of``, only in how they are computed; one row each, as in ``variants_of``."""
    same = collected.same
    return variants_of(collected, [(slug, same[slug]) for slug in collected.slugs if slug != same[slug]])


def variants_of(collected: Collected, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Pairs of points that are one model computed in two ways; one row each.

    Columns: model, of; answers, the number of answers compared, and differing, the number of different texts;
    f1_difference with its interval in low and high, p_value, and over; verdict.
    """
    rows = []
    for point, first in pairs:
        ours, theirs = (pd.concat(collected.answers(key))["prediction"] for key in (point, first))
        differing = int((ours.to_numpy() != theirs.to_numpy()).sum())
        measured = gap(compared(collected, point, first))
        verdict = f"{differing:,} of {len(ours):,} answers differ" if differing else "same answers"
        names = collected.label(point), collected.label(first)
        rows.append((*names, len(ours), differing, *astuple(measured), verdict))
    columns = ["model", "of", "answers", "differing", "f1_difference", "low", "high", "p_value", "over", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def runs(collected: Collected) -> pd.DataFrame:
    """The spread of a model's training runs, which differ only in their seed; one row per model and metric.

    For models with several seeds. Columns: model, metric (f1 or exact_match), runs; in points, the mean, sd (n - 1 in
    the denominator), low and high of the 95 % t interval of the mean over runs, clipped to the scale, and the lowest
    and highest run.
    """
    rows = []
    for metric, slug in product(("f1", "exact_match"), collected.slugs):
        scores = 100 * collected.scores(slug, metric).mean(axis=1)
        if len(scores) > 1:
            spread = scores.mean(), scores.std(ddof=1), *np.clip(intervals.t_interval(scores), 0, 100)
            rows.append((collected.label(slug), metric, len(scores), *spread, scores.min(), scores.max()))
    return pd.DataFrame(rows, columns=["model", "metric", "runs", "mean", "sd", "low", "high", "lowest", "highest"])


def losses(collected: Collected) -> pd.DataFrame:
    """All loss histories: model, seed, step, epoch, loss."""
    columns = ["model", "seed", "step", "epoch", "loss"]
    frames = [
        frame.assign(model=collected.label(slug), seed=seed) for (slug, seed), frame in collected.histories.items()
    ]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _point(collected: Collected, point: str, served: Mapping[str, Any]) -> dict[str, Any]:
    slug, clusters = engines.model(point), collected.clusters
    evaluations = of_model(slug, collected.evaluations)
    f1_by_seed = [file.find("f1").value for file in collected.scored(point)]
    return {
        "slug": point,
        "model": collected.label(point),
        "of": collected.label(slug),
        "engine": engines.engine(point),
        "parameters": collected.measured(slug, "parameters")[0].value,
        "bytes": bytes_on_disk(collected, point),
        **{name: served[name] for name in ("question", "question_low", "question_high", "contended", "million_usd")},
        **estimated("exact_match", collected.scores(point, "exact_match"), clusters),
        **estimated("f1", collected.scores(point, "f1"), clusters),
        "seeds": len(f1_by_seed),
        "f1_seed_low": min(f1_by_seed),
        "f1_seed_high": max(f1_by_seed),
        # The same for every seed and engine.
        **{metric: evaluations[0].find(metric).value for metric in ("ceiling_exact_match", "ceiling_f1")},
        **money.training(collected, slug),
    }


def bytes_on_disk(collected: Collected, point: str) -> float:
    """Bytes of the file with weights that a point's engine runs."""
    own = collected.scored(point)[0].all("bytes_on_disk")
    return (own or collected.measured(engines.model(point), "bytes_on_disk"))[0].value


def estimated(name: str, runs: npt.NDArray[np.float64], clusters: Clusters) -> dict[str, float]:
    """Columns for the mean of scores ``runs`` (n_seeds, n) in [0, 1], in points, and its interval."""
    estimate = contrast([(100, runs)], clusters)
    return bounded(name, estimate.value, np.clip(estimate.interval(), 0, 100).tolist())


def _verdict(model: str, other: str, gap: Gap) -> str:
    """Which of the two is higher; more cautious wording without several training runs."""
    higher = {"better": model, "worse": other}.get(gap.verdict)
    if higher is None:
        return "equal on every question" if gap.verdict == "equal" else "not significant"
    return f"{higher} higher, over questions only" if gap.over == "questions" else f"{higher} significantly higher"
