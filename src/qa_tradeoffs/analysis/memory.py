"""Peak memory of forward passes."""

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis.collected import Collected


def peaks(collected: Collected) -> pd.DataFrame:
    """One row per point, model and measure: network, precision, batch_size, length, mib; NaN if memory ran out.

    A point at which memory ran out has a row for each measure that exists at other points. ``of_full_size``: whether
    the network is the model's full-size one.
    """
    records = [
        (slug, record)
        for slug in collected.slugs
        for record in collected.profiles[slug].records
        # Timings that ran out of memory have the condition "inputs".
        if record.metric == "peak_memory_bytes"
        or (record.metric == "out_of_memory" and "inputs" not in record.conditions)
    ]
    measures = list(dict.fromkeys(str(r.conditions["measure"]) for _, r in records if "measure" in r.conditions))
    rows, full = [], {slug: collected.full_size_of(slug) for slug in collected.slugs}
    for slug, record in records:
        at = record.conditions
        peaks = (
            {str(at["measure"]): record.value / 2**20}
            if "measure" in at
            else dict.fromkeys(measures or ["any"], np.nan)
        )
        for measure, mib in peaks.items():
            point = at["network"], at["precision"], at["batch_size"], at["length"]
            rows.append((collected.label(slug), *point, measure.replace("_", " "), mib, at["network"] == full[slug]))
    columns = ["model", "network", "precision", "batch_size", "length", "measure", "mib", "of_full_size"]
    return pd.DataFrame(rows, columns=columns)


def of_full_size(peaks: pd.DataFrame) -> pd.DataFrame:
    """The peaks shown in the chart: full-size networks, the first measure and the first precision."""
    chosen = peaks[peaks["of_full_size"].astype(bool)]
    for column in ("measure", "precision"):
        chosen = chosen[chosen[column].isin(chosen[column].head(1))]
    return chosen
