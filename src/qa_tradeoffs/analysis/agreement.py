"""How often two models are right together, and what an ideal choice between them would reach."""

from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pandas as pd

from qa_tradeoffs.analysis.answers import Answers
from qa_tradeoffs.metrics import intervals

Floats = npt.NDArray[np.float64]
SHARES = ["both", "first", "second", "neither", "either", "equal"]

# One model with one seed: which questions it answers right (n,), and a number for each answer (n,), equal where the
# normalised answers are.
_Run = tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]


def table(answers: Answers) -> pd.DataFrame:
    """One row per two models, and one per model that has several seeds, compared with itself.

    Columns: model, other, and in per cent of the questions ``both`` right, only the ``first`` (model), only the
    ``second`` (other), ``neither``, ``either`` (the EM of a choice that always picks a right answer where there is
    one), and ``equal`` normalised answers; each with a 95 % interval over questions in ``*_low`` and ``*_high``; and
    ``better``, the EM of the better of the two alone. With several seeds a question counts with its mean over all
    pairings of a seed of the one with a seed of the other.
    """
    runs = _runs(answers)
    pairs = [*answers.pairs, *((label, label) for label in answers.labels if len(runs[label]) > 1)]
    columns = ["model", "other", *SHARES, *(f"{name}_{end}" for end in ("low", "high") for name in SHARES), "better"]
    if not pairs:
        return pd.DataFrame(columns=columns)
    shares = [100 * _shares(runs[a], runs[b], same=a == b) for a, b in pairs]
    low, high = intervals.bootstrap_means(np.hstack(shares), np.random.default_rng(0))
    figures = np.hstack([part.reshape(len(pairs), -1) for part in (np.mean(shares, axis=1), low, high)])
    better = [max(answers.score(label, "exact_match").mean() for label in pair) for pair in pairs]
    rows = [(*pair, *row, best) for pair, row, best in zip(pairs, figures, better, strict=True)]
    return pd.DataFrame(rows, columns=columns)


def _runs(answers: Answers) -> dict[str, list[_Run]]:
    """By a model's label its runs."""
    tables = [table for several in answers.tables.values() for table in several]
    texts = [answers.rules(text) for table in tables for text in table["prediction"]]
    codes, _ = pd.factorize(np.array(texts, dtype=object))
    named = iter(np.split(codes, len(tables)))
    return {
        label: [(table["exact_match"].to_numpy() == 1, next(named)) for table in several]
        for label, several in answers.tables.items()
    }


def _shares(ours: list[_Run], theirs: list[_Run], *, same: bool) -> Floats:
    """(n, 6): how far each question belongs to each of ``SHARES``, mean over pairings; of one model every two seeds."""
    pairings = combinations(ours, 2) if same else product(ours, theirs)
    shares = [
        np.column_stack([a & b, a & ~b, ~a & b, ~a & ~b, a | b, text == other_text]).astype(np.float64)
        for (a, text), (b, other_text) in pairings
    ]
    mean: Floats = np.mean(shares, axis=0)
    return mean
