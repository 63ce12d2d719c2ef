"""What answering questions takes, as tables."""

import pandas as pd

from qa_tradeoffs.core.words import plain, seconds, usd
from qa_tradeoffs.report import display
from qa_tradeoffs.report.speed import timed

_OUT_OF_MEMORY = "out of memory"


def scenarios(served: pd.DataFrame) -> display.Table:
    """SingleStream and Offline of the full-size networks; energy only where it was metered."""
    columns = {
        "model": served["model"],
        "SingleStream p50": map(timed, served["p50"], served["p50_low"], served["p50_high"]),
        "SingleStream p90": served["p90"].map(seconds),
        "SingleStream p99": served["p99"].map(seconds),
        "answers timed": served["repeats"],
        "Offline": [
            _OUT_OF_MEMORY if pd.isna(row.questions_per_second)
            else f"{plain(row.questions_per_second)} questions/s at batch {row.offline_batch:.0f}"
            for row in served.itertuples()
        ],
        "million, SingleStream, USD": [usd(*pair) for pair in served["single_usd"]],
        "million, Offline, USD": [offline_usd(*pair) for pair in served["offline_usd"]],
    }  # fmt: skip
    if served["joules"].notna().any():
        columns["J per question, SingleStream"] = display.known(served["joules"], plain, "not metered")
    return display.table(columns, "Full-size networks, random weights, real lengths", data=served)


def phases(phases: pd.DataFrame) -> display.Table:
    """The time of a question by phase, from its text to its score."""
    cells = phases.set_index("model").map(plain).reset_index()
    return display.table(cells, "The study's networks: time per question by phase, medians", data=phases)


def offline_usd(low: float, high: float) -> str:
    """USD of Offline, which may have run out of memory at every batch size."""
    return _OUT_OF_MEMORY if pd.isna(low) else usd(low, high)
