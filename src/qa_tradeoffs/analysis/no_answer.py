"""The no-answer trade-off of a SQuAD v2.0 study: results at every threshold, and at the one used."""

from typing import Any

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis.accuracy import estimated
from qa_tradeoffs.analysis.collected import Collected, of_model
from qa_tradeoffs.metrics import no_answer

Curves = dict[tuple[str, int], no_answer.Curve]
_VALUES = ["answered", "f1", "has_exact_match", "has_f1", "no_f1"]  # of a curve


def has_answer(collected: Collected) -> "pd.Series[bool]":
    """Whether each validation question of a v2.0 study has an answer."""
    return next(iter(collected.predictions.values()))["has_answer"]


def curves(collected: Collected) -> Curves:
    """(model slug, seed) → the results at every threshold on the validation questions of a v2.0 study."""
    columns = ["span_exact_match", "span_f1", "no_answer_score", "has_answer"]
    return {
        key: no_answer.curve(*(frame[column].to_numpy() for column in columns))
        for key, frame in collected.predictions.items()
    }


def marks(collected: Collected, curves: Curves) -> pd.DataFrame:
    """Three rows per curve: slug, model, seed, mark ('used', 'at 0', 'best afterwards'), and the curve's values there.

    ``threshold`` is the mark's, in logits; the other columns are those of no_answer.Curve, in points.
    """
    rows = []
    for (slug, seed), curve in curves.items():
        used = collected.evaluations[slug, seed].find("no_answer_threshold").value
        best = float(curve.thresholds[curve.best])
        for mark, threshold in (("used", used), ("at 0", 0.0), ("best afterwards", best)):
            at = curve.at(threshold)
            values = [getattr(curve, name)[at] for name in _VALUES]
            rows.append((slug, collected.label(slug), seed, mark, threshold, *values))
    return pd.DataFrame(rows, columns=["slug", "model", "seed", "mark", "threshold", *_VALUES])


def models(collected: Collected, marks: pd.DataFrame) -> pd.DataFrame:
    """One row per model: F1 of all, answerable and unanswerable questions at the threshold used.

    In points, means over seeds, with 95 % intervals as in ``accuracy.models`` in ``*_low`` and ``*_high``; ``f1_at_0``
    and ``f1_best`` are the overall F1 at threshold 0 and at the best one for these questions, which cannot be known in
    advance; ``lost`` is the gap between the threshold used and the best. ``thresholds`` are those used, a tuple by
    seed; ``chosen_on`` is the number of training questions they were chosen on, 0 if the threshold was given.
    """
    return pd.DataFrame([_model(collected, marks, slug) for slug in collected.slugs])


def _model(collected: Collected, marks: pd.DataFrame, slug: str) -> dict[str, Any]:
    """The row of one model."""
    mine = marks[marks["slug"] == slug]
    f1, exact_match = (collected.scores(slug, metric) for metric in ("f1", "exact_match"))
    has = collected.scores(slug, "has_answer")[0] == 1
    clusters, every = collected.clusters, np.full(len(has), True)
    scores = {"f1": (f1, every), "has_f1": (f1, has), "has_exact_match": (exact_match, has), "no_f1": (f1, ~has)}
    by_mark = mine.groupby("mark")["f1"].mean()
    first = of_model(slug, collected.evaluations)[0].find("no_answer_threshold")
    row: dict[str, Any] = {"slug": slug, "model": collected.label(slug)}
    for name, (by_seed, chosen) in scores.items():
        row |= estimated(name, by_seed[:, chosen], clusters.part(chosen))
    return row | {
        "thresholds": tuple(mine.loc[mine["mark"] == "used", "threshold"]),
        "chosen_on": first.n if first.conditions["chosen_on"] else 0,
        "f1_at_0": by_mark["at 0"],
        "f1_best": by_mark["best afterwards"],
        "lost": by_mark["best afterwards"] - row["f1"],
    }
