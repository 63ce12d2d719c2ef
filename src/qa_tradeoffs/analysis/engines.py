"""The effect of each engine on each model: the same weights, run by another program or with fewer bits."""

from dataclasses import replace
from typing import Any

import pandas as pd

from qa_tradeoffs.analysis import accuracy
from qa_tradeoffs.analysis.collected import Collected, bounded
from qa_tradeoffs.metrics import pareto, timing
from qa_tradeoffs.metrics.estimates import Estimate, contrast
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.study import engines


def table(collected: Collected) -> pd.DataFrame:
    """One row per model and engine, torch first; empty if torch is the only engine.

    Columns: model, engine; reason, why it could not be used, or ''; exact_match and f1 in points; bytes on disk;
    memory, bytes for one row of the longest windows. Relative to the same model in torch: answers, differing,
    f1_difference, low, high and over as in ``accuracy.variants``; kept, whether at least the study's share of the F1 is
    kept ('yes', 'no', 'inconclusive'); times, the speed-up for a single question, with its interval in times_low and
    times_high, and ``pace``; full_size_times, the same for the full-size network if the study's is smaller. NaN for
    what was not measured.
    """
    if not collected.study.other_engines:
        return pd.DataFrame()
    of = {slug: collected.study.of(slug).engines for slug in collected.slugs}
    return pd.DataFrame([row(collected, slug, name) for slug, names in of.items() for name in names])


def row(collected: Collected, slug: str, name: str) -> dict[str, Any]:
    """One model in one engine, as a row of the ``table``."""
    point = engines.point(slug, name)
    found: dict[str, Any] = {"model": collected.label(slug), "engine": engines.LABELS[name], "reason": ""}
    if point not in collected.points:
        return found | {"reason": _reason(collected, slug, name)}
    found |= {metric: 100 * collected.scores(point, metric).mean() for metric in ("exact_match", "f1")}
    found |= {"bytes": accuracy.bytes_on_disk(collected, point), "memory": _memory(collected, slug, name)}
    return found if name == engines.REFERENCE else found | _against_torch(collected, point, slug)


def _against_torch(collected: Collected, point: str, slug: str) -> dict[str, Any]:
    (variant,) = accuracy.variants_of(collected, [(point, slug)]).to_dict("records")
    low, high = _share(collected, point, slug).interval()
    asked = collected.study.analysis.keeps
    large = collected.full_size_of(slug)
    return {
        **{key: variant[key] for key in ("answers", "differing", "f1_difference", "low", "high", "over")},
        "kept": "yes" if low >= asked else "no" if high < asked else "inconclusive",
        **_times(collected, point, slug, "study", "times"),
        **(_times(collected, point, slug, large, "full_size_times") if large != "study" else {}),
    }


def _share(collected: Collected, point: str, slug: str) -> Estimate:
    """The F1 of a point over its model's F1 in torch, run by run, by the delta method."""
    ours, theirs = collected.scores(point, "f1"), collected.scores(slug, "f1")
    base = float(theirs.mean()) or float("nan")
    value = float(ours.mean()) / base
    return replace(contrast([(1 / base, ours - value * theirs)], collected.clusters), value=value)


def _times(collected: Collected, point: str, slug: str, network: str, column: str) -> dict[str, Any]:
    """The speed-up over torch for a question on this kind of network; empty if not measured."""
    timed = collected.comparison.all("single_stream", network)
    if not timed or not {point, slug} <= timed[0].models.keys():
        return {}
    ratio = timing.ratio(timed[0].seconds(point), timed[0].seconds(slug))
    pace = {"better": "faster", "worse": "slower"}.get(pareto.pace(ratio), "not significant")
    times = ratio.inverted
    return bounded(column, times.value, (times.low, times.high)) | {f"{column}_pace": pace}


def _memory(collected: Collected, slug: str, name: str) -> float:
    """The first kind of memory that was measured, which is the network's total."""
    at = {"model": slug, "engine": name}
    found = (r.value for r in _records(collected, "engine_memory_bytes") if at.items() <= r.conditions.items())
    return next(found, float("nan"))


def _reason(collected: Collected, slug: str, name: str) -> str:
    """Why an engine could not be used in evaluation or timing."""
    missing = [r for (s, _), file in collected.evaluations.items() if s == slug for r in file.all("engine_missing")]
    missing += [r for r in _records(collected, "engine_missing") if r.conditions["model"] == slug]
    reasons = (str(r.conditions["reason"]) for r in missing if r.conditions["engine"] == name)
    return next(reasons, "memory ran out when it was timed")


def _records(collected: Collected, metric: str) -> list[Record]:
    return [record for record in collected.comparison.records if record.metric == metric]
