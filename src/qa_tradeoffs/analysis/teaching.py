"""The gain and the cost of distillation."""

import math
from dataclasses import astuple, replace
from functools import partial

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis import accuracy, money
from qa_tradeoffs.analysis.collected import Collected, of_model
from qa_tradeoffs.metrics import costs, intervals

_GAIN = ["f1_difference", "low", "high", "p_holm", "over", "verdict"]


def students(collected: Collected) -> pd.DataFrame:
    """One row per model with a teacher.

    Columns: model, teacher; ``there_seconds``, fine-tuning and the teacher's logits, if the teacher exists already, and
    ``once_seconds``, also with the teacher's training (NaN if it came fine-tuned): means over seeds, device seconds;
    both in USD as ``*_usd_low`` and ``*_usd_high``; ``dropped``, the share of the teacher's probability without a
    place among the student's tokens; ``alone``, the same model without a teacher, '' if the study has none; the F1
    difference from it in points with its 95 % interval, Holm's p for all rows, over, and verdict, as in
    ``accuracy.differences``.
    """
    taught = [slug for slug in collected.slugs if collected.study.models[slug].teacher]
    alone = {slug: _untaught(collected, slug) for slug in taught}
    gains = {slug: accuracy.compared(collected, slug, other) for slug, other in alone.items() if other}
    p_values = dict(zip(gains, intervals.holm([gain.p_value for gain in gains.values()]), strict=True))
    rows = []
    for slug in taught:
        names = {"model": slug, "teacher": collected.study.models[slug].teacher, "alone": alone[slug]}
        gap = replace(accuracy.gap(gains[slug]), p_value=float(p_values[slug])) if slug in gains else None
        gained = (*astuple(gap), gap.verdict) if gap else (*[math.nan] * 4, "", "")
        row = {column: collected.label(name) if name else "" for column, name in names.items()}
        rows.append({**row, **_cost(collected, slug), **dict(zip(_GAIN, gained, strict=True))})
    return pd.DataFrame(rows)


def _untaught(collected: Collected, slug: str) -> str | None:
    """The same model without a teacher."""
    models = collected.study.models
    alike = (s for s in collected.slugs if models[s].teacher is None and models[s].untaught == models[slug].untaught)
    return next(alike, None)


def _cost(collected: Collected, slug: str) -> dict[str, float]:
    """The columns of a student's cost."""
    mean = partial(money.mean_of, collected, slug)
    files = of_model(slug, collected.trainings)
    there = float(np.mean([money.paid_seconds(file.find("train_seconds")) for file in files]))
    there += mean("teacher_logits_seconds")
    found = {"there_seconds": there, "once_seconds": there + mean("teacher_train_seconds")}
    for name in ("there", "once"):
        usd = costs.usd_range(found[f"{name}_seconds"], collected.price.range_usd_per_hour)
        found |= dict(zip((f"{name}_usd_low", f"{name}_usd_high"), usd, strict=True))
    return found | {"dropped": mean("teacher_dropped")}
