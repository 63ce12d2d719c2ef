"""Scores by kind of question: by its question word, the length of its answer, its context, and where the answer is."""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis.answers import Answers
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.metrics import intervals, pareto
from qa_tradeoffs.metrics.squad import normalize

# At 50 questions an interval of a score can still be 28 points wide (2 × 1.96 × 50 / √50), and below that the bootstrap
# is known to draw it too narrow.
FEWEST = 50

_ORDER = ["what", "who", "when", "where", "why", "which", "how", "how many", "other"]
_WORDS = {word: word for word in _ORDER[:7]} | {"whom": "who", "whose": "who"}
_LENGTHS = ["1 word", "2 words", "3–4 words", "5 words or more", "no answer"]
_THIRDS = ["first third", "middle third", "last third"]


def assign(examples: Sequence[Example]) -> dict[str, pd.Categorical]:
    """Slicing → the slice of each question, in an order for a reader; missing where a question belongs to none."""
    return {
        "question word": pd.Categorical([question_word(example.question) for example in examples], _ORDER),
        "answer length": pd.Categorical([answer_length(example) for example in examples], _LENGTHS),
        "context length": _thirds_of([len(example.context.split()) for example in examples]),
        "answer position": pd.Categorical([answer_position(example) for example in examples], _THIRDS),
    }


def question_word(question: str) -> str:
    """The first question word anywhere in the question, 'how many' also for 'how much'; 'other' where there is none."""
    words = re.findall(r"[^\W\d_]+", question.lower())
    for word, following in pairwise([*words, ""]):
        if word == "how" and following in ("many", "much"):
            return "how many"
        if word in _WORDS:
            return _WORDS[word]
    return "other"


def answer_length(example: Example) -> str:
    """Words of the shortest reference as F1 counts them: without articles and punctuation, but at least one."""
    if not example.answers:
        return "no answer"
    words = min(len(normalize(answer).split()) for answer in example.answers)
    return "1 word" if words < 2 else "2 words" if words == 2 else "3–4 words" if words < 5 else "5 words or more"


def answer_position(example: Example) -> str | None:
    """The third of the context's characters in which the middle of the first reference is; None where there is none."""
    if not example.answers:
        return None
    middle = example.answer_starts[0] + len(example.answers[0]) / 2
    return _THIRDS[min(int(3 * middle / len(example.context)), 2)]


def scores(answers: Answers) -> pd.DataFrame:
    """One row per slice and model: slicing, slice, n, model; EM and F1 in points, 95 % intervals over questions.

    A question's score is its mean over seeds. Scores and ``*_low``, ``*_high`` are NaN where n is below ``FEWEST``.
    """
    rng = np.random.default_rng(0)
    table = np.column_stack([answers.score(label, m) for label in answers.labels for m in ("exact_match", "f1")])
    rows = []
    for slicing, name, chosen in _slices(answers):
        figures = np.full((3, table.shape[1]), np.nan)
        if len(chosen) >= FEWEST:
            figures = np.stack([table[chosen].mean(axis=0), *intervals.bootstrap_means(table[chosen], rng)])
        for i, label in enumerate(answers.labels):
            rows.append((slicing, name, len(chosen), label, *figures[:, 2 * i], *figures[:, 2 * i + 1]))
    bounds = [f"{metric}{end}" for metric in ("exact_match", "f1") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["slicing", "slice", "n", "model", *bounds])


def differences(answers: Answers) -> pd.DataFrame:
    """F1 of every two models in every slice that is not too small, paired by question, in points.

    Columns: slicing, slice, n, model, other, f1_difference, low, high (95 %, for this slice alone); runs_overlap,
    whether the F1 of several seeds of each overlap in this slice; p_holm, adjusted after Holm for all rows together;
    and ``verdict``, that of metrics.pareto.Gap.
    """
    rng = np.random.default_rng(0)
    gaps = np.array([answers.score(a, "f1") - answers.score(b, "f1") for a, b in answers.pairs]).T
    rows, p_values = [], []
    for slicing, name, chosen in _slices(answers):
        if len(chosen) < FEWEST or not answers.pairs:
            continue
        low, high = intervals.bootstrap_means(gaps[chosen], rng)
        # Of so many comparisons that the smallest p value must be far below 0.05 to remain so once it is adjusted.
        p_values += intervals.swap_p_values(gaps[chosen], rng, resamples=10_000).tolist()
        for pair, *figures in zip(answers.pairs, gaps[chosen].mean(axis=0), low, high, strict=True):
            rows.append((slicing, name, len(chosen), *pair, *figures, _runs_overlap(answers, *pair, chosen)))
    columns = ["slicing", "slice", "n", "model", "other", "f1_difference", "low", "high", "runs_overlap"]
    table = pd.DataFrame(rows, columns=columns).assign(p_holm=intervals.holm(p_values))
    tested = table[["f1_difference", "low", "high", "p_holm", "runs_overlap"]].itertuples(index=False)
    return table.assign(verdict=[pareto.Gap(*gap).verdict for gap in tested])


def _runs_overlap(answers: Answers, a: str, b: str, chosen: np.ndarray) -> bool:
    """Whether the ranges of two models' F1 over seeds overlap in a slice; never where one has a single seed."""
    first, second = ([frame["f1"].to_numpy()[chosen].mean() for frame in answers.tables[label]] for label in (a, b))
    return min(len(first), len(second)) > 1 and max(min(first), min(second)) <= min(max(first), max(second))


def _slices(answers: Answers) -> list[tuple[str, str, np.ndarray]]:
    """(slicing, slice, rows of its questions) of every slice that has a question."""
    return [
        (slicing, str(name), np.flatnonzero(assigned.codes == code))
        for slicing, assigned in assign(answers.examples).items()
        for code, name in enumerate(assigned.categories)
        if (assigned.codes == code).any()
    ]


def _thirds_of(lengths: Sequence[int]) -> pd.Categorical:
    """Three slices with about a third of the questions each, named by their range; fewer where lengths are equal."""
    words = pd.Series(lengths)
    edges = np.unique(np.quantile(words, [1 / 3, 2 / 3], method="higher"))
    thirds = pd.cut(words, [-np.inf, *edges, np.inf]).cat.remove_unused_categories()
    ranges = words.groupby(thirds, observed=True).agg(["min", "max"])
    names = [f"{low} words" if low == high else f"{low}–{high} words" for low, high in ranges.itertuples(index=False)]
    return pd.Categorical(thirds.cat.rename_categories(names))
