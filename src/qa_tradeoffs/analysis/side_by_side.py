"""Interleaved times from the comparison: of each model, and ratios of all pairs."""

from collections.abc import Mapping, Sequence

import pandas as pd

from qa_tradeoffs.analysis.collected import Collected, of_model
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics import timing
from qa_tradeoffs.metrics.intervals import Floats
from qa_tradeoffs.metrics.passes import SideBySide
from qa_tradeoffs.metrics.timing import Estimate, Ratio


def question(collected: Collected, network: str) -> SideBySide:
    """SingleStream. Raises StudyError if it does not have all models."""
    return _of_all(collected, "single_stream", network)


def step(collected: Collected, network: str) -> SideBySide | None:
    """The training step; None if the study has no training data."""
    found = collected.comparison.all("training_step", network)
    return found[0] if found else None


def subjects(collected: Collected, one: SideBySide) -> list[str]:
    """The report's models that took part, by the comparison's keys."""
    return [slug for slug in collected.slugs if slug in one.models]


def times(collected: Collected, one: SideBySide) -> dict[str, Estimate]:
    """Seconds per call of each model that took part, by label."""
    return {collected.label(slug): timing.typical(one.seconds(slug)) for slug in subjects(collected, one)}


def ratios(collected: Collected, one: SideBySide, points: Sequence[str] = ()) -> dict[tuple[str, str], Ratio]:
    """The ratio of times of all pairs of models or ``points``, by labels, with corrected p values."""
    return timing.ratios({collected.label(p): one.seconds(p) for p in points or subjects(collected, one)})


def ratio(found: Mapping[tuple[str, str], Ratio], model: str, other: str) -> Ratio:
    """The time of ``model`` over the time of ``other``, in whichever order ``found`` has the pair."""
    return found[model, other] if (model, other) in found else found[other, model].inverted


def contended(collected: Collected) -> pd.DataFrame:
    """One row per kind of work with a contended counting pass: work, network, passes, contended, why."""
    rows = [
        (
            one.work,
            one.network,
            len(one.passes),
            one.contended,
            sorted({why for p in one.passes for why in p.contended}),
        )
        for one in collected.comparison.works
        if one.contended
    ]
    return pd.DataFrame(rows, columns=["work", "network", "passes", "contended", "why"])


def training_seconds(collected: Collected, slug: str) -> Floats | None:
    """Seconds of a whole training as step × updates, one value per pass.

    None if the model was not trained here, or was trained by several devices, whose steps differ.
    """
    one = step(collected, "study")
    updates = [file.find("train_steps") for file in of_model(slug, collected.trainings)]
    shared = any(float(record.conditions.get("devices") or 1) > 1 for record in updates)
    if one is None or slug not in one.models or not updates or shared:
        return None
    return one.seconds(slug) * (sum(record.value for record in updates) / len(updates))


def _of_all(collected: Collected, work: str, network: str) -> SideBySide:
    found = collected.comparison.all(work, network)
    for slug in collected.slugs:
        if not found or slug not in found[0].models:
            raise StudyError(
                f"the comparison has no time of {slug} in {work} on the {network} network; run make all; if memory ran "
                "out, use a machine with more"
            )
    return found[0]
