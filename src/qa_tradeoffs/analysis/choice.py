"""What decides between models: every two of them compared in accuracy and in the time of a question."""

from itertools import combinations

import pandas as pd

from qa_tradeoffs.analysis import accuracy, side_by_side
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.metrics.pareto import Contest, Gap


def choices(collected: Collected, models: pd.DataFrame, differences: pd.DataFrame) -> tuple[pd.DataFrame, Contest]:
    """The table of ``models`` with how each stands, and every two that have learned the task compared.

    In F1 by their ``differences``, in time by what a question takes, both of the networks that were scored.
    ``learned``: the F1 of a model is significantly above that of lexical overlap, the two intervals do not meet.
    ``standing``: whether the model is on the Pareto front, or 'not learned'.
    """
    table = models.assign(learned=models["f1_low"] > accuracy.baseline(collected)["f1_high"])
    contest = Contest(
        models=tuple(table["model"][table["learned"]]),
        gaps=_gaps(collected, differences),
        ratios=side_by_side.ratios(collected, side_by_side.question(collected, "study")),
    )
    standing = [
        contest.standing(model) if learned else "not learned"
        for model, learned in zip(table["model"], table["learned"], strict=True)
    ]
    return table.assign(standing=standing), contest


def _gaps(collected: Collected, differences: pd.DataFrame) -> dict[tuple[str, str], Gap]:
    """Of every two models; what is one model computed in two ways stands to others as its first entry does."""
    columns = ["f1_difference", "low", "high", "p_holm", "over"]
    first = {(row.model, row.other): Gap(*row[columns]) for _, row in differences.iterrows()}
    first |= {(other, model): gap.reversed() for (model, other), gap in first.items()}
    same = {collected.label(slug): collected.label(other) for slug, other in collected.same.items()}
    gaps = {(a, b): first[same[a], same[b]] for a, b in combinations(same, 2) if same[a] != same[b]}
    for a, b in combinations(collected.slugs, 2):
        if collected.same[a] == collected.same[b]:
            gaps[collected.label(a), collected.label(b)] = accuracy.gap(accuracy.compared(collected, a, b))
    return gaps
