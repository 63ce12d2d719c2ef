"""The no-answer trade-off of a study of SQuAD v2.0: what every threshold would give, and what the one used gave."""

from typing import Any

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.metrics import intervals, no_answer

Curves = dict[tuple[str, int], no_answer.Curve]


def has_answer(collected: Collected) -> "pd.Series[bool]":
    """Whether each validation question of a study of v2.0 has an answer in its passage."""
    return next(iter(collected.predictions.values()))["has_answer"]


def curves(collected: Collected) -> Curves:
    """(model slug, seed) → what every threshold would give on the validation questions of a study of v2.0."""
    columns = ["span_exact_match", "span_f1", "no_answer_score", "has_answer"]
    return {
        key: no_answer.curve(*(frame[column].to_numpy() for column in columns))
        for key, frame in collected.predictions.items()
    }


def marks(collected: Collected, curves: Curves) -> pd.DataFrame:
    """Three rows per curve: slug, model, seed, mark ('used', 'at 0', 'best afterwards'), and the curve's values there.

    ``threshold`` is the one asked for, in logits; the other columns are those of no_answer.Curve, in points.
    """
    rows = []
    for (slug, seed), curve in curves.items():
        used = collected.evaluations[slug, seed].find("no_answer_threshold").value
        best = float(curve.thresholds[curve.best])
        for mark, threshold in (("used", used), ("at 0", 0.0), ("best afterwards", best)):
            at = curve.at(threshold)
            names = ("answered", "f1", "has_exact_match", "has_f1", "no_f1")
            values = {name: float(getattr(curve, name)[at]) for name in names}
            named = {"slug": slug, "model": collected.label(slug), "seed": seed, "mark": mark}
            rows.append(named | {"threshold": threshold} | values)
    return pd.DataFrame(rows)


def models(collected: Collected, marks: pd.DataFrame) -> pd.DataFrame:
    """One row per model: F1 of all, of the answerable and of the unanswerable questions with the threshold used.

    In points, means over seeds, with 95 % bootstrap intervals over questions (of each question's mean over seeds) in
    ``*_low`` and ``*_high``; ``f1_at_0`` and ``f1_best`` are the overall F1 with threshold 0 and with the best one for
    these questions, which cannot be known beforehand, and ``lost`` is what the threshold used falls short of the best.
    ``thresholds`` are those used, a tuple by seed, ``chosen_on`` the training questions that they were chosen on, 0
    where the threshold was given.
    """
    return pd.DataFrame([_model(collected, marks, slug) for slug in collected.slugs])


def _model(collected: Collected, marks: pd.DataFrame, slug: str) -> dict[str, Any]:
    """The row of one model."""
    rng = np.random.default_rng(0)
    mine = marks[marks["slug"] == slug]
    used = mine[mine["mark"] == "used"]
    frames = [frame.set_index("id").sort_index() for (s, _), frame in collected.predictions.items() if s == slug]
    has = frames[0]["has_answer"].to_numpy()
    everything = np.ones(len(has), dtype=bool)
    row: dict[str, Any] = {"slug": slug, "model": collected.label(slug), "thresholds": tuple(used["threshold"])}
    for name, column, rows in (
        ("f1", "f1", everything), ("has_f1", "f1", has), ("has_exact_match", "exact_match", has), ("no_f1", "f1", ~has)
    ):  # fmt: skip
        scores = 100 * np.mean([frame[column].to_numpy(dtype=float)[rows] for frame in frames], axis=0)
        interval = intervals.bootstrap_mean(scores, rng)
        row |= {name: scores.mean(), f"{name}_low": interval.low, f"{name}_high": interval.high}
    by_mark = mine.groupby("mark")["f1"].mean()
    first = collected.evaluations[slug, int(used["seed"].iloc[0])].find("no_answer_threshold")
    chosen_on = first.n if first.conditions["chosen_on"] else 0
    best = by_mark["best afterwards"]
    return row | {"f1_at_0": by_mark["at 0"], "f1_best": best, "lost": best - row["f1"], "chosen_on": chosen_on}
