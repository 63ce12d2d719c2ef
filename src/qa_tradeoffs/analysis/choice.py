"""What decides between models: every two of them compared in accuracy and in the time of a question."""

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
    gaps = {
        (row.model, row.other): Gap(
            row.f1_difference, row.low, row.high, row.p_holm, _runs_overlap(models, row.model, row.other)
        )
        for row in differences.itertuples()
    }
    contest = Contest(
        models=tuple(table["model"][table["learned"]]),
        gaps=gaps,
        ratios=side_by_side.ratios(collected, side_by_side.question(collected, "study")),
    )
    standing = [
        contest.standing(model) if learned else "not learned"
        for model, learned in zip(table["model"], table["learned"], strict=True)
    ]
    return table.assign(standing=standing), contest


def _runs_overlap(models: pd.DataFrame, model: str, other: str) -> bool:
    """Whether two models were trained several times and the F1 of their runs overlap."""
    pair = models[models["model"].isin([model, other])]
    return bool(pair["seeds"].max() > 1 and pair["f1_seed_low"].max() <= pair["f1_seed_high"].min())
