"""Choosing between models: all pairs compared in accuracy and in time per question."""

from dataclasses import replace
from itertools import combinations

import pandas as pd

from qa_tradeoffs.analysis import accuracy, side_by_side
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.metrics.intervals import holm
from qa_tradeoffs.metrics.pareto import Contest, Gap


def choices(collected: Collected, models: pd.DataFrame, differences: pd.DataFrame) -> tuple[pd.DataFrame, Contest]:
    """The table of ``models`` in every engine with their standing, and the contest of those that have learned.

    They are compared in F1 by ``differences`` and in time per question, both for the networks that were scored.
    ``learned``: whether a model's F1 interval lies above that of the untrained baseline. ``standing``: whether the
    model is on the Pareto front, or 'not learned'.
    """
    points = collected.points
    if served := [point for point in points if point not in collected.slugs]:
        both = pd.concat([models, accuracy.points(collected, served)]).set_index("slug", drop=False)
        models = both.loc[points].reset_index(drop=True)
    table = models.assign(learned=models["f1_low"] > accuracy.baseline(collected)["f1_high"])
    contest = Contest(
        models=tuple(table["model"][table["learned"]]),
        gaps=_gaps(collected, differences),
        ratios=side_by_side.ratios(collected, side_by_side.question(collected, "study"), points),
    )
    standing = [
        contest.standing(model) if learned else "not learned"
        for model, learned in zip(table["model"], table["learned"], strict=True)
    ]
    return table.assign(standing=standing), contest


def _gaps(collected: Collected, differences: pd.DataFrame) -> dict[tuple[str, str], Gap]:
    """The gap of every pair of points; entries that torch computes in two ways share the first entry's gaps.

    Other engines may give different answers and are compared separately, with p values corrected over all such pairs.
    """
    columns = ["f1_difference", "low", "high", "p_holm", "over"]
    first = {(row.model, row.other): Gap(*row[columns]) for _, row in differences.iterrows()}
    first |= {(other, model): gap.reversed() for (model, other), gap in first.items()}
    label, same, gaps = collected.label, collected.same, dict[tuple[str, str], Gap]()
    served = dict[tuple[str, str], Gap]()
    for a, b in combinations(collected.points, 2):
        of_torch = a in collected.slugs and b in collected.slugs
        if of_torch and same[a] != same[b]:
            gaps[label(a), label(b)] = first[label(same[a]), label(same[b])]
        else:
            (gaps if of_torch else served)[label(a), label(b)] = accuracy.gap(accuracy.compared(collected, a, b))
    adjusted = holm([gap.p_value for gap in served.values()])
    return gaps | {
        pair: replace(gap, p_value=float(p)) for (pair, gap), p in zip(served.items(), adjusted, strict=True)
    }
