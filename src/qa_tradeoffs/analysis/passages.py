"""Whether questions about one passage stand or fall together, in which case intervals over questions are too narrow."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from qa_tradeoffs.analysis.compared import Compared

Floats = npt.NDArray[np.float64]


def widths(compared: Compared) -> pd.DataFrame:
    """How many times as wide an interval would be had passages been drawn instead of questions.

    One row per model's F1 (``other`` is '') and one per difference in F1 of two models: model, other, ratio, and the
    number of passages. A ratio is that of the standard error of the mean with passages as clusters (Liang and Zeger,
    1986) to the usual one; it is 1 where every question has a passage of its own, NaN where all scores are equal.
    """
    passage, _ = pd.factorize(np.array([example.context for example in compared.examples], dtype=object))
    scores = {label: compared.score(label, "f1") for label in compared.labels}
    values = {(label, ""): f1 for label, f1 in scores.items()}
    values |= {(a, b): scores[a] - scores[b] for a, b in compared.pairs}
    rows = [(*names, ratio(f1, passage), int(passage.max()) + 1) for names, f1 in values.items()]
    return pd.DataFrame(rows, columns=["model", "other", "ratio", "passages"])


def ratio(values: Floats, cluster: npt.NDArray[np.intp]) -> float:
    """Standard error of the mean of ``values`` (n,) in clusters, counted from 0, over that of independent values."""
    apart = values - values.mean()
    sums = np.bincount(cluster, weights=apart)
    n, clusters = len(values), len(sums)
    independent = (apart**2).sum() * n / max(n - 1, 1)
    together = (sums**2).sum() * clusters / max(clusters - 1, 1)
    return float(np.sqrt(together / independent)) if independent > 0 else float("nan")
