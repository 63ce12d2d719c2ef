"""What answering questions takes, as tables."""

import pandas as pd

from qa_tradeoffs.analysis import serving
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core import words
from qa_tradeoffs.report import display
from qa_tradeoffs.report.speed import with_interval

OUT_OF_MEMORY = "out of memory"


def scenarios(collected: Collected) -> display.Html:
    """SingleStream and Offline of the full-size networks."""
    served = serving.scenarios(collected, collected.full_size)
    return display.table(scenarios_cells(served), "Full-size networks, random weights, real lengths", data=served)


def scenarios_cells(served: pd.DataFrame) -> pd.DataFrame:
    """The scenarios as a reader sees them; energy only where it was metered."""
    columns = {
        "model": served["model"],
        "SingleStream p50": [with_interval(row.p50, row.p50_low, row.p50_high) for row in served.itertuples()],
        **{f"SingleStream {p}": [words.seconds(value) for value in served[p]] for p in ("p90", "p99")},
        "answers timed": served["repeats"],
        "Offline": [
            OUT_OF_MEMORY if pd.isna(row.questions_per_second)
            else f"{words.plain(row.questions_per_second)} questions/s at batch {row.offline_batch:.0f}"
            for row in served.itertuples()
        ],
        "million, SingleStream, USD": [words.usd(*pair) for pair in served["single_usd"]],
        "million, Offline, USD": [offline_usd(*pair) for pair in served["offline_usd"]],
    }  # fmt: skip
    if served["joules"].notna().any():
        columns["J per question, SingleStream"] = [
            "not metered" if pd.isna(value) else words.plain(value) for value in served["joules"]
        ]
    return pd.DataFrame(columns)


def phases(collected: Collected) -> display.Html:
    """The time of a question by phase, from its text to its score."""
    table = serving.phases(collected)
    cells = table.set_index("model").map(words.plain).reset_index()
    return display.table(cells, "The study's networks: time per question by phase, medians", data=table)


def offline_usd(low: float, high: float) -> str:
    """USD of Offline, which may have run out of memory at every batch size."""
    return OUT_OF_MEMORY if pd.isna(low) else words.usd(low, high)
