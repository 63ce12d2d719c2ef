"""The no-answer trade-off of a study of SQuAD v2.0 as tables and sentences; nothing for one of v1.1."""

from typing import Any

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis import tables
from qa_tradeoffs.core.words import points
from qa_tradeoffs.metrics import intervals, no_answer

TITLE = "When not to answer"
READ_TRADEOFF = (
    "A model that answers less often leaves more of the unanswerable questions alone, and loses answers that it would "
    "have had right. Each line goes through all thresholds; up and to the right is better."
)
READ_F1 = (
    "A flat top forgives a threshold that is not quite right. Logits of different models are on different scales: "
    "compare the heights of their lines, not their places."
)


def one_kind(collected: tables.Collected) -> list[str]:
    """Why nothing can be said of a study of v2.0 whose validation questions all have an answer, or none has."""
    has_answer = next(iter(collected.predictions.values()))["has_answer"]
    if has_answer.nunique() > 1:
        return []
    all_have = "All" if has_answer.iloc[0] else "None"
    return [
        f"{all_have} of the {len(has_answer):,} validation questions have an answer in their passage: when not to "
        "answer cannot be seen from them."
    ]


def curves(collected: tables.Collected) -> dict[tuple[str, int], no_answer.Curve]:
    """(model slug, seed) → what every threshold would give on the validation questions of a study of v2.0."""
    columns = ["span_exact_match", "span_f1", "no_answer_score", "has_answer"]
    return {
        key: no_answer.curve(*(frame[column].to_numpy() for column in columns))
        for key, frame in collected.predictions.items()
    }


def marks(collected: tables.Collected, curves: dict[tuple[str, int], no_answer.Curve]) -> pd.DataFrame:
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


def models(collected: tables.Collected, marks: pd.DataFrame) -> pd.DataFrame:
    """One row per model: F1 of all, of the answerable and of the unanswerable questions with the threshold used.

    In points, means over seeds, with 95 % bootstrap intervals over questions (of each question's mean over seeds) in
    ``*_low`` and ``*_high``; ``f1_at_0`` and ``f1_best`` are the overall F1 with threshold 0 and with the best one for
    these questions. ``thresholds`` are those used, a tuple by seed, ``chosen_on`` the questions they were chosen on, 0
    where the threshold was given.
    """
    return pd.DataFrame([_model(collected, marks, slug) for slug in collected.slugs])


def sentences(models: pd.DataFrame) -> dict[str, str]:
    """Model → what its threshold gives, and how far that is from the best one possible."""
    return {row["model"]: _sentence(row) for _, row in models.iterrows()}


def shown(models: pd.DataFrame) -> pd.DataFrame:
    """The table of models as a reader sees it."""

    def with_interval(column: str) -> list[str]:
        return [points(*row) for row in models[[column, f"{column}_low", f"{column}_high"]].to_numpy()]

    return pd.DataFrame(
        {
            "model": models["model"],
            "threshold": [_thresholds(found) for found in models["thresholds"]],
            "rightly unanswered": with_interval("no_f1"),
            "EM where there is an answer": with_interval("has_exact_match"),
            "F1 where there is an answer": with_interval("has_f1"),
            "F1 of all": with_interval("f1"),
            "F1 of all at threshold 0": [f"{value:.1f}" for value in models["f1_at_0"]],
            "with the best threshold": [f"{value:.1f}" for value in models["f1_best"]],
        }
    )


def caption(collected: tables.Collected) -> str:
    """What the table of models shows."""
    has_answer = next(iter(collected.predictions.values()))["has_answer"]
    return (
        f"No-answer thresholds (logits) and what they give, in points with 95 % intervals over questions; "
        f"{(~has_answer).sum():,} of the {len(has_answer):,} validation questions have no answer in their passage, so "
        f"never answering would reach F1 {100 * (~has_answer).mean():.1f}."
    )


def describe_tradeoff(marks: pd.DataFrame) -> str:
    """The chart of the trade-off in words."""
    used = marks[marks["mark"] == "used"].groupby("model", sort=False)[["no_f1", "has_f1"]].mean()
    named = [f"{model} {row['no_f1']:.1f} % and {row['has_f1']:.1f}" for model, row in used.iterrows()]
    return (
        "Line chart of F1 on answerable questions against the share of unanswerable ones rightly left unanswered, as "
        f"the threshold moves; with the threshold used: {'; '.join(named)}."
    )


def describe_f1(marks: pd.DataFrame) -> str:
    """The chart of F1 against the threshold in words."""
    means = marks.groupby(["model", "mark"], sort=False)["f1"].mean().unstack()
    named = [
        f"{model} {row['used']:.1f} as used, {row['at 0']:.1f} at 0, {row['best afterwards']:.1f} at best"
        for model, row in means.iterrows()
    ]
    return f"Line chart of F1 over all questions against the no-answer threshold: {'; '.join(named)}."


def _model(collected: tables.Collected, marks: pd.DataFrame, slug: str) -> dict[str, Any]:
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
    return row | {"f1_at_0": by_mark["at 0"], "f1_best": by_mark["best afterwards"], "chosen_on": chosen_on}


def _sentence(row: Any) -> str:
    """One model's threshold in words."""
    chosen = f"chosen on {row['chosen_on']:,} training questions that were held out" if row["chosen_on"] else "given"
    reached = points(row["has_f1"], row["has_f1_low"], row["has_f1_high"])
    left = points(row["no_f1"], row["no_f1_low"], row["no_f1_high"])
    return (
        f"With a threshold of {_thresholds(row['thresholds'], ' logits')}, {chosen}, it rightly leaves {left} % of the "
        f"unanswerable questions unanswered, and reaches F1 {reached} on the answerable ones. Over all questions it "
        f"reaches {row['f1']:.1f}; with threshold 0 it would have been {row['f1_at_0']:.1f}, and at most "
        f"{row['f1_best']:.1f} with the best threshold for these very questions, which cannot be known beforehand."
    )


def _thresholds(found: tuple[float, ...], unit: str = "") -> str:
    """'1.23', or '1.02 to 1.31, by seed'."""
    low, high = f"{min(found):.2f}", f"{max(found):.2f}"
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}, by seed"
