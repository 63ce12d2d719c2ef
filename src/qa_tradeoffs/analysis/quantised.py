"""Quantisation of SqueezeBERT as published and rewritten, from the full-size benchmark of engines."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from qa_tradeoffs.core.documents import read_json
from qa_tradeoffs.core.files import IN_ENGINES
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.runs.results import Origin
from qa_tradeoffs.study.engines import LABELS

_POINT = ["threads", "batch_size", "length"]


@dataclass(frozen=True)
class Quantised:
    """Forward passes of the networks in each engine at the largest point measured.

    ``times``: one row per network and engine. Columns: model, engine, seconds; torch and bert, the speed-up over the
    same network and over BERT, both in torch in fp32, with intervals in _low and _high, NaN for the reference itself.
    ``point``: such as '8 × 176 tokens, 2 threads'.
    """

    times: pd.DataFrame
    point: str
    origin: Origin


def quantised(stored: Path = IN_ENGINES) -> Quantised | None:
    """The committed benchmark; None if there is none."""
    if not stored.is_file():
        return None
    content = read_json(stored, "is missing; run make bench ROWS=engines")
    records = [Record.model_validate(record) for record in content["records"]]
    rows = pd.DataFrame(
        {**r.conditions, "metric": r.metric, "value": r.value, "low": r.bounds[0], "high": r.bounds[1]}
        for r in records
        if r.conditions.get("work") == "forward" and not r.conditions.get("limited_to") and "model" in r.conditions
    )
    largest = rows[_POINT].max()
    rows = rows[(rows[_POINT] == largest).all(axis=1)]
    key = ["model", "engine"]
    found = rows[rows["metric"] == "bench_engine_seconds"][[*key, "value"]].rename(columns={"value": "seconds"})
    for against, column in (("torch", "torch"), ("BERT", "bert")):
        ratios = rows[rows["against"] == against][[*key, "value", "low", "high"]]
        found = found.merge(
            ratios.rename(columns={"value": column, "low": f"{column}_low", "high": f"{column}_high"}), "left", key
        )
    threads, batch_size, length = largest
    found["engine"] = found["engine"].map(LABELS)
    return Quantised(found, f"{batch_size} × {length} tokens, {threads} threads", Origin(**content["origin"]))
