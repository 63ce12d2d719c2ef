"""Agreement: how often two models are right together, and the EM of an ideal choice between their answers."""

from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pandas as pd

from qa_tradeoffs.analysis.answers import Answers
from qa_tradeoffs.metrics import estimates
from qa_tradeoffs.metrics.squad import Normalize

Floats = npt.NDArray[np.float64]
SHARES = ["both", "first", "second", "neither", "either", "equal"]

# One model with one seed: whether each answer is right (n,), and its normalised answers (n,).
_Run = tuple[npt.NDArray[np.bool_], npt.NDArray[np.object_]]


def table(answers: Answers) -> pd.DataFrame:
    """One row per pair of models, and one per model with several seeds, compared with itself.

    Columns: model, other, and, in per cent of the questions, ``both`` right, only the ``first`` (model), only the
    ``second`` (other), ``neither``, ``either`` (the EM of an ideal choice between the answers), and ``equal``
    normalised answers; each with a 95 % interval over questions in ``*_low`` and ``*_high``; and ``better``, the EM of
    the better model alone. With several seeds a question counts with its mean over all pairs of seeds.
    """
    runs = {label: [_run(table, answers.rules) for table in tables] for label, tables in answers.tables.items()}
    pairs = [(a, b, list(product(runs[a], runs[b]))) for a, b in answers.pairs]
    pairs += [(label, label, list(combinations(several, 2))) for label, several in runs.items() if len(several) > 1]
    columns = ["model", "other", *(f"{name}{end}" for name in SHARES for end in ("", "_low", "_high")), "better"]
    shares = [100 * np.mean([_shares(*pairing) for pairing in pairings], axis=0) for *_, pairings in pairs]
    if not pairs:
        return pd.DataFrame(columns=columns)
    found = [estimates.mean(column, answers.clusters) for column in np.hstack(shares).T]
    figures = np.array([(one.value, *np.clip(one.interval(), 0, 100)) for one in found]).reshape(len(pairs), -1)
    better = [max(answers.score(label, "exact_match").mean() for label in pair[:2]) for pair in pairs]
    rows = [(*pair[:2], *row, best) for pair, row, best in zip(pairs, figures, better, strict=True)]
    return pd.DataFrame(rows, columns=columns)


def _run(table: pd.DataFrame, rules: Normalize) -> _Run:
    return table["exact_match"].to_numpy() == 1, np.array(list(map(rules, table["prediction"])), dtype=object)


def _shares(ours: _Run, theirs: _Run) -> Floats:
    """(n, 6): whether each question belongs to each of ``SHARES``."""
    (a, text), (b, other_text) = ours, theirs
    return np.column_stack([a & b, a & ~b, ~a & b, ~a & ~b, a | b, text == other_text]).astype(np.float64)
