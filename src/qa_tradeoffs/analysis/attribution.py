"""Records of SqueezeBERT's anomaly → tables: variants, one change at a time, step by step to BERT, where time goes."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

Rows = Iterable[Mapping[str, Any]]

PUBLISHED, REWRITTEN, BERT = "as published", "rewritten", "BERT"
# The most that a ratio may be if the rewriting does what it is for: (work, variant, over, dropout).
AIMS = {
    ("training_step", REWRITTEN, PUBLISHED, 0.0): 0.6,
    ("training_step", REWRITTEN, PUBLISHED, 0.1): 0.7,
    ("training_step", REWRITTEN, BERT, 0.0): 0.55,
    ("training_step", REWRITTEN, BERT, 0.1): 0.55,
    ("forward", REWRITTEN, PUBLISHED, 0.0): 0.6,
}
_POINT = ["work", "precision", "batch_size", "length", "dropout"]


def summary(rows: Rows) -> pd.DataFrame:
    """Every variant's median seconds and its ratio to what is published; ``low`` and ``high`` are the ratio's.

    ``alone``: it differs from what is published in one thing only.
    """
    return _compared(rows)[[*_POINT, "variant", "alone", "seconds", "ratio", "low", "high"]]


def one_at_a_time(rows: Rows) -> pd.DataFrame:
    """The part of the summary in which one thing was changed of what is published."""
    found = summary(rows)
    return found[found["alone"]].drop(columns="alone").reset_index(drop=True)


def waterfall(rows: Rows) -> pd.DataFrame:
    """From what is published to BERT: each step's seconds, and its change and its ratio to the step before.

    At each point the changes add up to the difference between the last step and the first.
    """
    rows = list(rows)
    steps = _flat(rows, "seconds").dropna(subset="position").sort_values([*_POINT, "position"])
    before = steps.groupby(_POINT)
    steps["change"], steps["over"] = before["seconds"].diff(), before["variant"].shift()
    found = steps.drop(columns=["low", "high"]).merge(_ratios(rows), how="left", on=[*_POINT, "variant", "over"])
    return found[[*_POINT, "step", "seconds", "change", "ratio", "low", "high"]]


def aims(rows: Rows) -> pd.DataFrame:
    """The ratios that the rewriting is for, the most that they may be, and whether they are."""
    found = _ratios(rows)
    keys = zip(found["work"], found["variant"], found["over"], found["dropout"], strict=True)
    found["at most"] = [AIMS.get(key) for key in keys]
    found = found.dropna(subset="at most").reset_index(drop=True)
    return found.assign(reached=found["ratio"] <= found["at most"])


def operators(rows: Rows) -> pd.DataFrame:
    """Where the time goes: one row per model, work and class of operation, with its seconds, share and GFLOP."""
    at = ["work", "precision", "batch_size", "length", "dropout", "model", "operations"]
    found = [
        {**row["conditions"], "operations": row["conditions"]["operators"], "seconds": row["value"],
         "share": row["value"] / row["conditions"]["unprofiled_seconds"], "gflop": row["conditions"]["flops"] / 1e9}
        for row in rows
        if row["metric"] == "operator_seconds"
    ]  # fmt: skip
    return pd.DataFrame(found, columns=[*at, "seconds", "share", "gflop"])


def _compared(rows: Rows) -> pd.DataFrame:
    """Seconds of every variant beside its ratio to what is published."""
    rows = list(rows)
    ratios = _ratios(rows).query("over == @PUBLISHED").drop(columns="over")
    return _flat(rows, "seconds").drop(columns=["low", "high"]).merge(ratios, how="left", on=[*_POINT, "variant"])


def _ratios(rows: Rows) -> pd.DataFrame:
    return _flat(rows, "ratio")[[*_POINT, "variant", "over", "ratio", "low", "high"]]


def _flat(rows: Rows, kind: str) -> pd.DataFrame:
    """The rows whose metric ends in ``kind``: conditions, value and the interval's bounds as columns."""
    return pd.DataFrame(
        [
            {**row["conditions"], kind: row["value"], "low": row["interval"]["low"], "high": row["interval"]["high"]}
            for row in rows
            if row["metric"].startswith("variant_") and row["metric"].endswith(f"_{kind}")
        ]
    )
