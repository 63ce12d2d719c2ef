"""Times of answering questions: SingleStream and Offline from the comparison, and the phases of each model."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from qa_tradeoffs.analysis import side_by_side
from qa_tradeoffs.analysis.collected import Collected, bounded
from qa_tradeoffs.metrics import costs, timing
from qa_tradeoffs.metrics.passes import SideBySide


def scenarios(collected: Collected, network: str, points: Sequence[str] = ()) -> pd.DataFrame:
    """One row per model or point; 'full size' means a model's own network if it has no full-size twin.

    Columns: model; question, seconds per question in SingleStream, with its interval in question_low and question_high;
    p90 and p99 (NaN with too few questions); passes, and the number of contended ones; questions_per_second, the best
    Offline throughput, with its interval, and offline_batch, its batch size (NaN and None if all ran out of memory);
    million_usd, USD per million questions one by one at the (lowest, highest) price; joules per question in
    SingleStream (NaN without a meter). Raises StudyError if SingleStream was not measured.
    """
    single = side_by_side.question(collected, network)
    offline = collected.comparison.all("offline", network)
    return pd.DataFrame([_scenario(collected, point, single, offline) for point in points or collected.slugs])


def networks(collected: Collected) -> dict[str, pd.DataFrame]:
    """The rows of ``scenarios`` by kind of network: the study's own, and 'full size' if these are smaller."""
    own = {"the study's own networks": scenarios(collected, "study")}
    full = collected.full_size
    return own if full == "study" else own | {full: scenarios(collected, full)}


def phases(collected: Collected) -> pd.DataFrame:
    """One row per model: milliseconds per question of each phase from text to score, for the study's own network."""
    return pd.DataFrame(
        [
            {"model": collected.label(slug)}
            | {f"{r.conditions['phase']} (ms)": 1000 * r.value for r in collected.measured(slug, "phase_seconds")}
            for slug in collected.slugs
        ]
    )


def _scenario(collected: Collected, slug: str, single: SideBySide, offline: list[SideBySide]) -> dict[str, Any]:
    question, *bounds = timing.typical(single.seconds(slug))
    named = {name: collected.comparison.record(name, slug, single) for name in ("p90_seconds", "p99_seconds", "joules")}
    p90, p99, joules = (record.value if record else float("nan") for record in named.values())
    batches = [(timing.typical(one.seconds(slug)), one) for one in offline if slug in one.models]
    fastest = min(batches, key=lambda pair: pair[0].value, default=None)
    throughput: dict[str, Any] = bounded("questions_per_second", float("nan"), [float("nan")] * 2)
    batch = None
    if fastest:
        (seconds, low, high), one = fastest
        n = int(one.conditions["questions"] or 0)
        throughput = bounded("questions_per_second", n / seconds, (n / high, n / low))
        batch = min(int(one.conditions["batch_size"] or n), n)  # there may be fewer questions than a batch holds
    return {
        "model": collected.label(slug),
        **bounded("question", question, bounds),
        "p90": p90,
        "p99": p99,
        "passes": len(single.passes),
        "contended": single.contended,
        **throughput,
        "offline_batch": batch,
        "million_usd": costs.usd_per_million(question, collected.price.range_usd_per_hour),
        "joules": joules,
    }
