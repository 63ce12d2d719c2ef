"""Times of forward passes and training steps: full-size networks side by side, and savings."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis import side_by_side
from qa_tradeoffs.analysis.collected import Collected, bounded
from qa_tradeoffs.metrics import pareto, timing
from qa_tradeoffs.metrics.passes import SideBySide
from qa_tradeoffs.metrics.records import Condition, Record
from qa_tradeoffs.metrics.timing import Estimate, Ratio


@dataclass(frozen=True)
class FullSize:
    """One full-size network at the smallest batch and its longest rows; None for what was not measured.

    ``at``: the conditions of ``forward``; ``share``: of the machine's peak in the same precision. ``eager`` is the
    forward pass with eager attention, ``step`` a training step of ``windows`` windows.
    """

    model: str
    parameters: float
    forward: Estimate | None
    at: dict[str, Condition]
    share: float | None
    eager: Estimate | None
    step: Estimate | None
    windows: int | None


def full_size(collected: Collected) -> list[FullSize]:
    """The full-size network of every model."""
    return [_full_size(collected, slug) for slug in collected.slugs]


def timings(collected: Collected) -> pd.DataFrame:
    """One row per timed point of each model's own grid: model, work, batch_size, length, seconds, low, high, repeats.

    Each model was measured alone, so rows of different models cannot be compared.
    """
    rows = [
        (collected.label(slug), work, at["batch_size"], at["length"], record.value, *record.bounds, record.n)
        for slug in collected.slugs
        for work in ("forward", "training_step")
        for record in collected.measured(slug, f"{work}_seconds")
        if (at := record.conditions)
    ]
    columns = ["model", "work", "batch_size", "length", "seconds", "low", "high", "repeats"]
    return pd.DataFrame(rows, columns=columns)


def full_rows(collected: Collected) -> pd.DataFrame:
    """Forward passes of the full-size networks side by side: model, batch_size, length, seconds, low, high."""
    rows = [
        (label, one.conditions["batch_size"], one.conditions["length"], *estimate)
        for one in collected.comparison.all("forward", collected.full_size)
        for label, estimate in side_by_side.times(collected, one).items()
    ]
    return pd.DataFrame(rows, columns=["model", "batch_size", "length", "seconds", "low", "high"])


def savings(collected: Collected, models: pd.DataFrame) -> pd.DataFrame:
    """Each model against the one with the most parameters, side by side; one row per other model.

    Columns: model, other (the largest), share of its parameters. Then both times, the speed-up with its interval, and a
    verdict ('faster', 'slower', 'not significant'): for a question (``question``, ``other_question``,
    ``question_times``, ``question_times_low``, ``question_times_high``, ``question_verdict``), for a question at full
    size (``full_size``, NaN if the study's networks have that size) and for a training (``training``, step × updates;
    NaN if one came fine-tuned).
    """
    large = models.loc[models["parameters"].idxmax(), "slug"]
    others = [slug for slug in models["slug"] if slug != large]
    size = models.set_index("slug")["parameters"]
    asked = {"question": side_by_side.question(collected, "study")}
    if collected.full_size != "study":
        asked["full_size"] = side_by_side.question(collected, collected.full_size)
    seconds: dict[str, dict[str, Any]] = {
        name: {slug: one.seconds(slug) for slug in collected.slugs} for name, one in asked.items()
    }
    trained = {slug: side_by_side.training_seconds(collected, slug) for slug in collected.slugs}
    seconds["training"] = {slug: passes for slug, passes in trained.items() if passes is not None}
    found = {name: timing.ratios(of_work) for name, of_work in seconds.items()}
    rows = []
    for slug in others:
        row: dict[str, Any] = {
            "model": collected.label(slug), "other": collected.label(large), "share": size[slug] / size[large]
        }  # fmt: skip
        for name in ("question", "full_size", "training"):
            row |= _against(name, slug, large, seconds.get(name, {}), found.get(name, {}))
        rows.append(row)
    return pd.DataFrame(rows)


def training(models: pd.DataFrame) -> pd.DataFrame:
    """For each model trained here: step × updates with its interval, the measured total, and their ratio."""
    rows = models[models["train_seconds"].notna()]
    columns = ["model", "train_by_step", "train_by_step_low", "train_by_step_high", "train_seconds"]
    return rows[columns].assign(ratio=rows["train_seconds"] / rows["train_by_step"]).reset_index(drop=True)


def invalid(collected: Collected) -> list[tuple[str, Record]]:
    """Every measurement that exceeds the machine's peak, with the model's label."""
    alone = [
        (collected.label(slug), record)
        for slug, profile in collected.profiles.items()
        for record in profile.records
        if record.conditions.get("valid") is False and record.metric.endswith("_seconds")
    ]
    in_turn = [
        (collected.label(slug), Record.of("forward_seconds", value, "s per call", conditions=at))
        for one in collected.comparison.all("forward", collected.full_size)
        for slug in collected.slugs
        if slug in one.models and (share := _share(one, slug)) is not None and share > 1
        if (value := timing.typical(one.seconds(slug)).value)
        if (at := {"network": one.network, "share_of_peak": share} | one.conditions | one.models[slug])
    ]
    return alone + in_turn


def _against(
    name: str, slug: str, large: str, seconds: dict[str, Any], found: dict[tuple[str, str], Ratio]
) -> dict[str, Any]:
    """Columns of one kind of work."""
    if slug not in seconds or large not in seconds:
        missing = dict.fromkeys((name, f"other_{name}"), np.nan)
        return missing | bounded(f"{name}_times", np.nan, (np.nan, np.nan)) | {f"{name}_verdict": ""}
    ratio = side_by_side.ratio(found, slug, large)
    times = ratio.inverted
    both = {key: timing.typical(seconds[other]).value for key, other in ((name, slug), (f"other_{name}", large))}
    verdict = {"better": "faster", "worse": "slower"}.get(pareto.pace(ratio), "not significant")
    return both | bounded(f"{name}_times", times.value, (times.low, times.high)) | {f"{name}_verdict": verdict}


def _full_size(collected: Collected, slug: str) -> FullSize:
    network = collected.full_size
    passes = [one for one in collected.comparison.all("forward", network) if slug in one.models]
    one = min(passes, key=_smallest, default=None)
    step = side_by_side.step(collected, network)
    step = step if step and slug in step.models else None
    eager = slug if one and one.models[slug]["attention"] == "eager" else f"{slug} eager"
    return FullSize(
        model=collected.label(slug),
        parameters=collected.measured(slug, "parameters", collected.full_size_of(slug))[0].value,
        forward=timing.typical(one.seconds(slug)) if one else None,
        at=one.conditions | one.models[slug] if one else {},
        share=_share(one, slug) if one else None,
        eager=timing.typical(one.seconds(eager)) if one and eager in one.models else None,
        step=timing.typical(step.seconds(slug)) if step else None,
        windows=int(step.models[slug]["windows"] or 0) if step else None,
    )


def _smallest(one: SideBySide) -> tuple[int, int]:
    """Sort key: smallest batch first, then longest rows."""
    return int(one.conditions["batch_size"] or 0), -int(one.conditions["length"] or 0)


def _share(one: SideBySide, slug: str) -> float | None:
    """Achieved FLOP/s over the fastest matrix product of any pass; None if operations were not counted."""
    flops = one.models[slug].get("flops")
    if flops is None:
        return None
    peak = max(attempt.surroundings.rate for attempt in one.attempts)
    return float(flops) / timing.typical(one.seconds(slug)).value / peak
