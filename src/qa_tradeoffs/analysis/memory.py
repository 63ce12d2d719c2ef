"""How much memory forward passes take."""

import pandas as pd

from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.metrics.records import Record


def peaks(collected: Collected) -> pd.DataFrame:
    """One row per point, model and measure: network, precision, batch_size, length, mib; NaN where it ran out.

    A point at which the memory did not suffice has a row for each measure that there is at others.
    """
    records = [
        (slug, record) for slug in collected.slugs for record in collected.profiles[slug].records if _of_memory(record)
    ]
    measures = dict.fromkeys(str(r.conditions["measure"]) for _, r in records if "measure" in r.conditions)
    rows = []
    for slug, record in records:
        at = {key: record.conditions[key] for key in ("network", "precision", "batch_size", "length")}
        ran_out = record.metric == "out_of_memory"
        for measure in (measures or ["any"]) if ran_out else [str(record.conditions["measure"])]:
            mib = float("nan") if ran_out else record.value / 2**20
            rows.append({"model": collected.label(slug), **at, "measure": measure.replace("_", " "), "mib": mib})
    columns = ["model", "network", "precision", "batch_size", "length", "measure", "mib"]
    return pd.DataFrame(rows, columns=columns)


def of_network(peaks: pd.DataFrame, network: str) -> pd.DataFrame:
    """The peaks of one network that a chart has room for: those of the first measure and the first precision."""
    chosen = peaks[peaks["network"] == network]
    first = [chosen[column].isin(chosen[column].head(1)) for column in ("measure", "precision")]
    return chosen[first[0] & first[1]]


def _of_memory(record: Record) -> bool:
    """Whether a record is of a measurement of memory; one of time that ran out of memory has inputs as well."""
    ran_out = record.metric == "out_of_memory" and "inputs" not in record.conditions
    return ran_out or record.metric == "peak_memory_bytes"
