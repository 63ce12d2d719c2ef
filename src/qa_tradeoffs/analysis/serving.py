"""What answering questions takes: MLPerf's scenarios, and the phases of a question from its text to its score."""

from typing import Any

import pandas as pd

from qa_tradeoffs.analysis.collected import Collected, bounded
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics import costs
from qa_tradeoffs.metrics.records import Record


def scenarios(collected: Collected, network: str) -> pd.DataFrame:
    """One row per model, 'full size' being a model's own network where that has no full-size twin.

    Columns: model; p50 with its interval in p50_low and p50_high, p90, p99 of SingleStream, seconds per question;
    repeats, the answers timed for these; questions_per_second, the best of Offline, and offline_batch, its batch
    size (NaN and None where memory sufficed for none); single_usd and offline_usd, USD per million questions as
    (lowest, highest) price; joules per question of SingleStream (NaN where nothing metered them). Raises StudyError
    where SingleStream was not measured.
    """
    return pd.DataFrame([_scenario(collected, slug, network) for slug in collected.slugs])


def phases(collected: Collected) -> pd.DataFrame:
    """One row per model: milliseconds per question of each phase, from text to score, of the study's own network."""
    return pd.DataFrame(
        [
            {"model": collected.label(slug)}
            | {f"{r.conditions['phase']} (ms)": 1000 * r.value for r in collected.measured(slug, "phase_seconds")}
            for slug in collected.slugs
        ]
    )


def _scenario(collected: Collected, slug: str, network: str) -> dict[str, Any]:
    network = collected.network_of(slug, network)

    def measured(metric: str) -> list[Record]:
        return collected.measured(slug, metric, network)

    if not (single := measured("single_stream_seconds")):
        raise StudyError(f"profile of {slug}: has no SingleStream time of the {network} network; profile it again")
    best = max(measured("offline_questions_per_second"), key=lambda record: record.value, default=None)
    per_second = best.value if best else float("nan")
    energy = measured("single_stream_joules")
    return {
        "model": collected.label(slug),
        **bounded("p50", single[0].value, single[0].bounds),
        "p90": measured("single_stream_seconds_p90")[0].value,
        "p99": measured("single_stream_seconds_p99")[0].value,
        "repeats": single[0].n,
        "questions_per_second": per_second,
        "offline_batch": best.conditions["batch_size"] if best else None,
        "single_usd": costs.usd_per_million(single[0].value, collected.price.range_usd_per_hour),
        "offline_usd": costs.usd_per_million(1 / per_second, collected.price.range_usd_per_hour),
        "joules": energy[0].value if energy else float("nan"),
    }
