"""What answering questions takes: MLPerf's scenarios, and the phases of a question from its text to its score."""

from typing import Any

import pandas as pd

from qa_tradeoffs.analysis.collected import FULL_SIZE, Collected
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics import costs


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
    network = collected.full_size_of(slug) if network == FULL_SIZE else network
    single = collected.measured(slug, "single_stream_seconds", network)
    if not single:
        raise StudyError(f"profile of {slug}: has no SingleStream time of the {network} network; profile it again")
    p90, p99 = (collected.measured(slug, f"single_stream_seconds_{p}", network)[0].value for p in ("p90", "p99"))
    low, high = single[0].bounds
    offline = collected.measured(slug, "offline_questions_per_second", network)
    best = max(offline, key=lambda record: record.value, default=None)
    per_second = best.value if best else float("nan")
    energy = collected.measured(slug, "single_stream_joules", network)
    prices = collected.price.range_usd_per_hour
    return {
        "model": collected.label(slug),
        "p50": single[0].value,
        "p50_low": low,
        "p50_high": high,
        "p90": p90,
        "p99": p99,
        "repeats": single[0].n,
        "questions_per_second": per_second,
        "offline_batch": best.conditions["batch_size"] if best else None,
        "single_usd": tuple(costs.usd_per_million_questions(single[0].value, price) for price in prices),
        "offline_usd": tuple(costs.usd_per_million_offline(per_second, price) for price in prices),
        "joules": energy[0].value if energy else float("nan"),
    }
