"""What decides between models: accuracy and the time of a question side by side, and every two of them compared."""

import pandas as pd

from qa_tradeoffs.analysis import accuracy, serving
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.metrics.pareto import Contest, Gap, Time


def choices(collected: Collected, models: pd.DataFrame, differences: pd.DataFrame) -> tuple[pd.DataFrame, Contest]:
    """The table of ``models`` with what one question takes of each, and every two that have learned the task compared.

    ``learned``: the F1 of a model is significantly above that of lexical overlap, the two intervals do not meet.
    ``question`` is the median seconds of SingleStream by the network that was scored, its interval in
    ``question_low`` and ``question_high``; ``question_usd`` is USD per million questions at the (lowest, highest)
    price; ``standing``, whether the model is on the Pareto front, or 'not learned'. ``differences`` are those in F1.
    """
    served = serving.scenarios(collected, "study").set_index("model").loc[models["model"]]
    columns = {"p50": "question", "p50_low": "question_low", "p50_high": "question_high", "single_usd": "question_usd"}
    table = models.join(served[list(columns)].rename(columns=columns), on="model")
    table["learned"] = table["f1_low"] > accuracy.baseline(collected)["f1_high"]
    gaps = {
        (row.model, row.other): Gap(
            row.f1_difference, row.low, row.high, row.p_holm, _runs_overlap(models, row.model, row.other)
        )
        for row in differences.itertuples()
    }
    contest = Contest(
        models=tuple(table["model"][table["learned"]]),
        gaps=gaps,
        times={row.model: Time(row.question, row.question_low, row.question_high) for row in table.itertuples()},
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
