"""Exact match and F1 per question, by the rules of the official SQuAD scripts, and their aggregation.

The rules are those of ``evaluate-v1.1.py`` (Rajpurkar et al., 2016, arXiv 1606.05250) and, with ``v2=True``,
of ``evaluate-v2.0.py`` (Rajpurkar et al., 2018, arXiv 1806.03822). They differ for texts that normalise to nothing: in
v1.1 their F1 is 0 even against each other; in v2.0 it is 1, such references are dropped, and answers to unanswerable
questions are compared with the empty string.

For other languages, ``rules`` is a function that replaces ``normalize``: see ``languages.normalizer``.
"""

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import filterfalse

import numpy as np
import numpy.typing as npt

from qa_tradeoffs.core.errors import StudyError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Normalize = Callable[[str], str]

_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation)}]+")
_ARTICLES = frozenset(("a", "an", "the"))
_ARTICLE = re.compile(rf"\b(?:{'|'.join(sorted(_ARTICLES))})\b")
_LONG_WORD = re.compile(r"[^\W_]{4}")  # not an article, so it survives normalisation


@dataclass(frozen=True)
class QuestionScores:
    """Scores of n questions; row i belongs to ``ids[i]``.

    ``exact_match`` (n,) in {0, 1} and ``f1`` (n,) in [0, 1], both float64. ``has_answer`` (n,) is false for an
    unanswerable question of v2.0; ``predicted`` (n,) is false without a prediction, which scores 0.
    ``unknown`` are predicted ids that are not among the questions; they do not count.
    """

    ids: tuple[str, ...]
    exact_match: Floats
    f1: Floats
    has_answer: Bools
    predicted: Bools
    unknown: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """The ids without a prediction."""
        return tuple(self.ids[row] for row in np.flatnonzero(~self.predicted))


def normalize(text: str) -> str:
    """Lower-case ``text``, then remove ASCII punctuation, then articles, then superfluous white space."""
    lowered = text.lower()
    words = lowered.split()
    if "".join(words).isalnum():  # fast path for most texts: nothing but words and white space
        return " ".join(words if _ARTICLES.isdisjoint(words) else [word for word in words if word not in _ARTICLES])
    return " ".join(_ARTICLE.sub(" ", _PUNCTUATION.sub("", lowered)).split())


def score(
    prediction: str, references: Sequence[str], v2: bool = False, rules: Normalize = normalize
) -> tuple[float, float]:
    """The best exact match (0 or 1) and the best F1 (0 to 1) of a prediction over its references.

    v1.1 needs at least one reference. F1 compares bags of tokens.
    """
    if rules is normalize and prediction in references and _LONG_WORD.search(prediction):
        return 1.0, 1.0  # fast path for most questions
    predicted = rules(prediction)
    expected = set(map(rules, set(references)))  # annotators often agree
    if v2:
        expected = expected - {""} or {""}
    if predicted in expected:
        return 1.0, float(v2 or predicted != "")
    tokens = predicted.split()
    return 0.0, max([_token_f1(tokens, reference.split()) for reference in expected])


def _token_f1(predicted: list[str], reference: list[str]) -> float:
    """F1 of two bags of tokens, 0 if they share none."""
    distinct = set(predicted)
    common = distinct.intersection(reference)
    if not common:
        return 0.0
    shared = len(common)  # each counts once
    if len(distinct) < len(predicted):
        shared = sum(min(predicted.count(token), reference.count(token)) for token in common)
    precision, recall = shared / len(predicted), shared / len(reference)
    return 2 * precision * recall / (precision + recall)


def score_questions(
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    v2: bool = False,
    rules: Normalize = normalize,
) -> QuestionScores:
    """Score one prediction per question id against that question's references, in the order of ``references``.

    Raises StudyError for a question without references unless ``v2``.
    """
    n = len(references)
    has_answer = np.fromiter(map(bool, references.values()), dtype=bool, count=n)
    if not v2 and not has_answer.all():
        question_id = list(references)[int(has_answer.argmin())]
        raise StudyError(f"question {question_id!r} has no reference answer, which only SQuAD v2.0 (v2) allows")
    exact, f1_scores = np.zeros(n), np.zeros(n)
    for row, (question_id, texts) in enumerate(references.items()):
        if question_id in predictions:
            exact[row], f1_scores[row] = score(predictions[question_id], texts, v2, rules)
    return QuestionScores(
        ids=tuple(references),
        exact_match=exact,
        f1=f1_scores,
        has_answer=has_answer,
        predicted=np.fromiter(map(predictions.__contains__, references), dtype=bool, count=n),
        unknown=tuple(filterfalse(references.__contains__, predictions)),
    )


def aggregate(scores: QuestionScores) -> dict[str, float]:
    """Means in points, 0 to 100, under the keys and in the order of the official v1.1 script."""
    return {"exact_match": _points(scores.exact_match), "f1": _points(scores.f1)}


def aggregate_v2(scores: QuestionScores) -> dict[str, float]:
    """Means in points and counts under the keys and in the order of the official v2.0 script.

    ``exact``, ``f1`` and ``total`` are over all questions; with the prefix ``HasAns_`` over the answerable ones and
    with ``NoAns_`` over the unanswerable ones, if there are any.
    """
    summary: dict[str, float] = {}
    everything = np.ones(len(scores.ids), dtype=bool)
    for prefix, rows in (("", everything), ("HasAns_", scores.has_answer), ("NoAns_", ~scores.has_answer)):
        if rows.any():
            summary[f"{prefix}exact"] = _points(scores.exact_match[rows])
            summary[f"{prefix}f1"] = _points(scores.f1[rows])
            summary[f"{prefix}total"] = int(rows.sum())
    return summary


def _points(values: Floats) -> float:
    # Added one after the other, as in the official scripts, so that the last digit agrees.
    return 100.0 * float(np.cumsum(values)[-1]) / len(values)


def apply_threshold(scores: QuestionScores, no_answer_scores: Floats, threshold: float) -> QuestionScores:
    """``scores`` as if '' had been predicted for every no-answer score (n,) above ``threshold``."""
    empty = scores.predicted & (no_answer_scores > threshold)
    return replace(
        scores,
        exact_match=np.where(empty, ~scores.has_answer, scores.exact_match),
        f1=np.where(empty, ~scores.has_answer, scores.f1),
    )


def best_threshold(scores: Floats, no_answer_scores: Floats, has_answer: Bools) -> tuple[float, float]:
    """The best mean score, in points, that ``apply_threshold`` can reach, and the threshold that reaches it.

    ``scores`` (n,) is the EM or F1 in [0, 1] of the answers; ``no_answer_scores`` (n,) is higher the more likely there
    is no answer; ``has_answer`` (n,). As in the official v2.0 script, the smallest of equally good thresholds wins, and
    0 means always predicting ''. Unlike in that script, questions with equal no-answer scores switch together and
    scores of 0 or less are supported, so the returned mean is always reached.
    """
    order = np.argsort(no_answer_scores, kind="stable")
    ascending = no_answer_scores[order]
    below_all = min(0.0, np.nextafter(ascending[0], -np.inf))
    thresholds = np.concatenate(([below_all], ascending))
    gains = np.where(has_answer, scores, scores - 1.0)[order]
    totals = np.cumsum(np.concatenate(([np.count_nonzero(~has_answer)], gains)))
    last_of_equals = np.append(thresholds[1:] != thresholds[:-1], True)
    best = np.argmax(np.where(last_of_equals, totals, -np.inf))
    return 100.0 * float(totals[best]) / len(scores), float(thresholds[best])
