"""How often two models are right together, and what an ideal choice between them would reach."""

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pandas as pd

from qa_tradeoffs.analysis.compared import Compared
from qa_tradeoffs.metrics import intervals
from qa_tradeoffs.metrics.squad import normalize

Floats = npt.NDArray[np.float64]
SHARES = ["both", "first", "second", "neither", "either", "equal"]


def table(compared: Compared) -> pd.DataFrame:
    """One row per two models, and one per model that has several seeds, compared with itself.

    Columns: model, other, and in per cent of the questions ``both`` right, only the ``first`` (model), only the
    ``second`` (other), ``neither``, ``either`` (the EM of a choice that always picks a right answer where there is
    one), and ``equal`` normalised answers; each with a 95 % interval over questions in ``*_low`` and ``*_high``; and
    ``better``, the EM of the better of the two. With several seeds a question counts with its mean over all pairings
    of a seed of the one with a seed of the other.
    """
    pairs = [*compared.pairs, *((label, label) for label in compared.labels if len(compared.answers[label]) > 1)]
    columns = ["model", "other", *SHARES, *(f"{name}_{end}" for end in ("low", "high") for name in SHARES), "better"]
    if not pairs:
        return pd.DataFrame(columns=columns)
    named = _normalised(compared)
    shares = [
        100 * np.mean([_shares(compared, named, *p) for p in _pairings(compared, *pair)], axis=0) for pair in pairs
    ]
    low, high = intervals.bootstrap_means(np.hstack(shares), np.random.default_rng(0))
    figures = np.hstack([part.reshape(len(pairs), -1) for part in (np.mean(shares, axis=1), low, high)])
    better = [max(compared.score(label, "exact_match").mean() for label in pair) for pair in pairs]
    rows = [(*pair, *row, best) for pair, row, best in zip(pairs, figures, better, strict=True)]
    return pd.DataFrame(rows, columns=columns)


def _pairings(compared: Compared, a: str, b: str) -> Iterator[tuple[tuple[str, int], tuple[str, int]]]:
    """Every seed of the one with every seed of the other; of one model every two seeds."""
    runs = {label: [(label, row) for row in range(len(compared.answers[label]))] for label in (a, b)}
    return combinations(runs[a], 2) if a == b else product(runs[a], runs[b])


def _shares(
    compared: Compared, named: dict[tuple[str, int], npt.NDArray[np.intp]], a: tuple[str, int], b: tuple[str, int]
) -> Floats:
    """(n, 6): of each question whether it belongs to each of ``SHARES``."""
    first, second = (compared.answers[label][row]["exact_match"].to_numpy() == 1 for label, row in (a, b))
    columns = [first & second, first & ~second, ~first & second, ~first & ~second, first | second, named[a] == named[b]]
    return np.column_stack(columns).astype(np.float64)


def _normalised(compared: Compared) -> dict[tuple[str, int], npt.NDArray[np.intp]]:
    """A number for each answer of each table, equal where the answers are once they are normalised."""
    frames = {(label, row): f for label, frames in compared.answers.items() for row, f in enumerate(frames)}
    texts = [[normalize(text) for text in frame["prediction"]] for frame in frames.values()]
    codes, _ = pd.factorize(np.array([text for column in texts for text in column], dtype=object))
    return dict(zip(frames, np.split(codes, len(frames)), strict=True))
