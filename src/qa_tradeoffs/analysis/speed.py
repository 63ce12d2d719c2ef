"""How long forward passes and training steps take: every timed point, the full-size networks, the savings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.metrics.records import Record


@dataclass(frozen=True)
class FullSize:
    """One full-size network at its smallest batch and longest rows; None for what was not measured.

    ``eager`` is the forward pass at the same point without fused attention, ``parts`` the shares of a training step
    that its forward pass, its backward pass and the update take, which add up to 1.
    """

    model: str
    parameters: float
    forward: Record | None
    eager: Record | None
    step: Record | None
    parts: tuple[float, ...] | None


def full_size(collected: Collected) -> list[FullSize]:
    """The full-size network of every model."""
    return [_full_size(collected, slug) for slug in collected.slugs]


def timings(collected: Collected, network: str = "study") -> pd.DataFrame:
    """One row per timed point: model, work, batch_size, length, seconds (median), low, high, repeats.

    'full size' is a model's own network where that has no full-size twin.
    """
    rows = [
        (collected.label(slug), work, at["batch_size"], at["length"], record.value, *record.bounds, record.n)
        for slug in collected.slugs
        for work in ("forward", "training_step")
        for record in collected.measured(slug, f"{work}_seconds", collected.network_of(slug, network))
        if (at := record.conditions)
    ]
    columns = ["model", "work", "batch_size", "length", "seconds", "low", "high", "repeats"]
    return pd.DataFrame(rows, columns=columns)


def savings(models: pd.DataFrame) -> pd.DataFrame:
    """Each other model against the one with the most parameters, from the table of models; one row per other model.

    Columns: model, other (the largest); share of its parameters; seconds of a forward pass of both, times_as_fast and
    verdict ('faster', 'slower', or 'not significant' where the intervals overlap); train_seconds of both and
    train_times_as_fast, NaN where one of them came fine-tuned.
    """
    large = models.loc[models["parameters"].idxmax()]
    others = models[models["model"] != large["model"]].reset_index(drop=True)
    faster, slower = others["latency_high"] < large["latency_low"], others["latency_low"] > large["latency_high"]
    return pd.DataFrame(
        {
            "model": others["model"],
            "other": large["model"],
            "share": others["parameters"] / large["parameters"],
            "seconds": others["latency"],
            "other_seconds": large["latency"],
            "times_as_fast": large["latency"] / others["latency"],
            "verdict": np.select([faster, slower], ["faster", "slower"], "not significant"),
            "train_seconds": others["train_seconds"],
            "other_train_seconds": large["train_seconds"],
            "train_times_as_fast": large["train_seconds"] / others["train_seconds"],
        }
    )


def invalid(collected: Collected) -> list[tuple[str, Record]]:
    """Every measurement that would need more than the machine's peak, with the model's label."""
    return [
        (collected.label(slug), record)
        for slug, profile in collected.profiles.items()
        for record in profile.records
        if record.conditions.get("valid") is False and record.metric.endswith("_seconds")
    ]


def smallest_batch(records: Sequence[Record]) -> Record:
    """The point with the smallest batch, and of these the longest rows."""
    return min(records, key=lambda r: (int(r.conditions["batch_size"] or 0), -int(r.conditions["length"] or 0)))


def _full_size(collected: Collected, slug: str) -> FullSize:
    network = collected.full_size_of(slug)
    passes, steps = (collected.measured(slug, f"{work}_seconds", network) for work in ("forward", "training_step"))
    forward, step = (smallest_batch(records) if records else None for records in (passes, steps))
    return FullSize(
        model=collected.label(slug),
        parameters=collected.measured(slug, "parameters", network)[0].value,
        forward=forward,
        eager=_eager(collected, slug, forward) if forward else None,
        step=step,
        parts=_parts(collected, slug, network, step) if step else None,
    )


def _eager(collected: Collected, slug: str, forward: Record) -> Record | None:
    """The same forward pass without fused attention; itself where it has no other."""
    if forward.conditions["attention"] == "eager":
        return forward
    at = {key: forward.conditions[key] for key in ("network", "precision", "batch_size", "length")}
    at |= {"eager_control": True}
    passes = collected.profiles[slug].all("forward_seconds")
    return next((record for record in passes if at.items() <= record.conditions.items()), None)


def _parts(collected: Collected, slug: str, network: str, step: Record) -> tuple[float, ...]:
    """Shares of a training step's parts: of the sum of their medians, so that they add up."""
    at = {key: step.conditions[key] for key in ("batch_size", "length")}
    metrics = [f"training_{part}_seconds" for part in ("forward", "backward", "optimizer")]
    seconds = [collected.measured(slug, metric, network, **at)[0].value for metric in metrics]
    return tuple(value / sum(seconds) for value in seconds)
