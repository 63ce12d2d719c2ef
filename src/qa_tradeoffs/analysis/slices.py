"""Scores by slice: question word, answer length, context length and answer position."""

import re
from collections.abc import Sequence
from dataclasses import astuple
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis.accuracy import gap
from qa_tradeoffs.analysis.answers import Answers
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.metrics import intervals, pareto
from qa_tradeoffs.metrics.estimates import contrast
from qa_tradeoffs.metrics.squad import Normalize, normalize

# At 50 questions an interval of a score can already be 28 points wide (2 × 1.96 × 50 / √50), and with fewer
# calibration's bootstrap intervals are known to be too narrow.
FEWEST = 50

_ORDER = ["what", "who", "when", "where", "why", "which", "how", "how many", "other"]
_WORDS = {word: word for word in _ORDER[:7]} | {"whom": "who", "whose": "who"}
_LENGTHS = ["1 word", "2 words", "3–4 words", "5 words or more", "no answer"]
_THIRDS = ["first third", "middle third", "last third"]


def assign(examples: Sequence[Example], rules: Normalize = normalize) -> dict[str, pd.Categorical]:
    """Slicing → the slice of each question, in reading order; missing if a question belongs to none.

    Words are split by ``rules``, as in F1; but in an English context at white space.
    """
    # Many questions share a context.
    words = cache(lambda context: len((context if rules is normalize else rules(context)).split()))
    return {
        "question word": pd.Categorical([question_word(example.question) for example in examples], _ORDER),
        "answer length": pd.Categorical([answer_length(example, rules) for example in examples], _LENGTHS),
        "context length": _thirds_of([words(example.context) for example in examples]),
        "answer position": pd.Categorical([answer_position(example) for example in examples], _THIRDS),
    }


def question_word(question: str) -> str:
    """The first question word in the question, 'how many' also for 'how much'; 'other' if there is none."""
    words = re.findall(r"[^\W\d_]+", question.lower())
    for word, following in pairwise([*words, ""]):
        if word == "how" and following in ("many", "much"):
            return "how many"
        if word in _WORDS:
            return _WORDS[word]
    return "other"


def answer_length(example: Example, rules: Normalize = normalize) -> str:
    """Words of the shortest reference as in F1: without articles and punctuation, but at least one."""
    if not example.answers:
        return "no answer"
    words = min(len(rules(answer).split()) for answer in example.answers)
    return "1 word" if words < 2 else "2 words" if words == 2 else "3–4 words" if words < 5 else "5 words or more"


def answer_position(example: Example) -> str | None:
    """The third of the context that holds the middle of the first reference; None without a reference."""
    if not example.answers:
        return None
    middle = example.answer_starts[0] + len(example.answers[0]) / 2
    return _THIRDS[min(int(3 * middle / len(example.context)), 2)]


def scores(answers: Answers) -> pd.DataFrame:
    """One row per slice and model: slicing, slice, n, model; EM and F1 in points, means over seeds, 95 % intervals.

    Intervals are over questions and, with several seeds, training runs. Scores and ``*_low``, ``*_high`` are NaN if n
    is below ``FEWEST``.
    """
    runs = {label: [answers.scores(label, metric) for metric in ("exact_match", "f1")] for label in answers.labels}
    rows = []
    for slicing, name, chosen in _slices(answers):
        clusters = answers.clusters.part(chosen)
        for label, of_metrics in runs.items():
            figures = np.full((2, 3), np.nan)
            if len(chosen) >= FEWEST:
                found = [contrast([(1, scores[:, chosen])], clusters) for scores in of_metrics]
                figures = np.array([(one.value, *np.clip(one.interval(), 0, 100)) for one in found])
            rows.append((slicing, name, len(chosen), label, *figures.ravel()))
    bounds = [f"{metric}{end}" for metric in ("exact_match", "f1") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["slicing", "slice", "n", "model", *bounds])


def differences(answers: Answers) -> pd.DataFrame:
    """F1 differences of all pairs of models in every slice of sufficient size, paired by question, in points.

    Columns: slicing, slice, n, model, other; f1_difference, low, high (95 %, for this slice alone), p_holm, adjusted by
    Holm's method for all rows, and what these are ``over``; and ``verdict``, from metrics.pareto.Gap.
    """
    runs, rows = {label: answers.scores(label, "f1") for label in answers.distinct}, []
    for slicing, name, chosen in _slices(answers):
        clusters = answers.clusters.part(chosen)
        for a, b in answers.pairs if len(chosen) >= FEWEST else ():
            measured = gap(contrast([(1, runs[a][:, chosen]), (-1, runs[b][:, chosen])], clusters))
            rows.append((slicing, name, len(chosen), a, b, *astuple(measured)))
    columns = ["slicing", "slice", "n", "model", "other", "f1_difference", "low", "high", "p_holm", "over"]
    table = pd.DataFrame(rows, columns=columns)
    table["p_holm"] = intervals.holm(table["p_holm"])
    return table.assign(verdict=[pareto.Gap(*row[5:]).verdict for row in table.itertuples(index=False)])


def _slices(answers: Answers) -> list[tuple[str, str, np.ndarray]]:
    """(slicing, slice, rows of its questions) for every slice with at least one question."""
    return [
        (slicing, str(name), np.flatnonzero(assigned.codes == code))
        for slicing, assigned in assign(answers.examples, answers.rules).items()
        for code, name in enumerate(assigned.categories)
        if (assigned.codes == code).any()
    ]


def _thirds_of(lengths: Sequence[int]) -> pd.Categorical:
    """Three slices with about a third of the questions each, named by their range; fewer if lengths are equal."""
    words = pd.Series(lengths)
    edges = np.unique(np.quantile(words, [1 / 3, 2 / 3], method="higher"))
    thirds = pd.cut(words, [-np.inf, *edges, np.inf]).cat.remove_unused_categories()
    ranges = words.groupby(thirds, observed=True).agg(["min", "max"])
    names = [f"{low} words" if low == high else f"{low}–{high} words" for low, high in ranges.itertuples(index=False)]
    return pd.Categorical(thirds.cat.rename_categories(names))
