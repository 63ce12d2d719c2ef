"""Exact match and F1 per question, by the rules of the official SQuAD scripts; aggregation apart.

The rules are those of ``evaluate-v1.1.py`` (Rajpurkar et al., 2016, arXiv 1606.05250) and, with ``v2=True``,
of ``evaluate-v2.0.py`` (Rajpurkar et al., 2018, arXiv 1806.03822). They differ where normalisation leaves no
tokens: v1.1 gives such a text F1 0 even against another one; v2.0 gives 1 to two of them, drops references
like that, and compares the answer to an unanswerable question with the empty string.

    python -m qa_tradeoffs.metrics DATASET.json PREDICTIONS.json [--v2] [--na-prob-file FILE]
"""

import argparse
import json
import math
import re
import string
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import filterfalse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qa_tradeoffs.core.documents import read_json
from qa_tradeoffs.core.errors import StudyError, exit_cleanly

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation)}]+")
_ARTICLES = frozenset(("a", "an", "the"))
_ARTICLE = re.compile(rf"\b(?:{'|'.join(sorted(_ARTICLES))})\b")
_LONG_WORD = re.compile(r"[^\W_]{4}")  # no article, so that normalising leaves something of it


@dataclass(frozen=True)
class QuestionScores:
    """Scores of n questions, row i belonging to ``ids[i]``.

    ``exact_match`` (n,) in {0, 1} and ``f1`` (n,) in [0, 1], both float64. ``has_answer`` (n,) is false for an
    unanswerable question of v2.0; ``predicted`` (n,) is false where there is no prediction, which scores 0.
    ``unknown`` are the ids predicted without being asked; they do not count.
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
    if "".join(words).isalnum():  # so it is for most texts: words end at white space only
        return " ".join(words if _ARTICLES.isdisjoint(words) else [word for word in words if word not in _ARTICLES])
    return " ".join(_ARTICLE.sub(" ", _PUNCTUATION.sub("", lowered)).split())


def exact_match(prediction: str, references: Sequence[str], v2: bool = False) -> float:
    """1.0 if the normalised prediction equals one of the normalised references, else 0.0."""
    return _score(prediction, references, v2)[0]


def f1(prediction: str, references: Sequence[str], v2: bool = False) -> float:
    """The best F1, in [0, 1], of the prediction's bag of tokens against that of any one reference."""
    return _score(prediction, references, v2)[1]


def _score(prediction: str, references: Sequence[str], v2: bool) -> tuple[float, float]:
    """Exact match and F1."""
    if prediction in references and _LONG_WORD.search(prediction):  # so it is for most questions
        return 1.0, 1.0
    predicted = normalize(prediction)
    expected = _distinct(references, v2)
    if predicted in expected:
        return 1.0, float(v2 or predicted != "")
    tokens = predicted.split()
    return 0.0, max([_token_f1(tokens, reference.split()) for reference in expected])


def _distinct(references: Sequence[str], v2: bool) -> set[str]:
    normalized = set(map(normalize, set(references)))  # annotators agree
    if v2:
        return normalized - {""} or {""}
    if not normalized:
        raise ValueError("references must not be empty under the rules of SQuAD v1.1")
    return normalized


def _token_f1(predicted: list[str], reference: list[str]) -> float:
    """F1 of two bags of tokens, 0 where they share none."""
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
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]], v2: bool = False
) -> QuestionScores:
    """Score one prediction per question id against that question's references, in the order of ``references``.

    Raises StudyError for a question without references unless ``v2``.
    """
    n = len(references)
    has_answer = np.fromiter(map(bool, references.values()), dtype=bool, count=n)
    if not v2 and not has_answer.all():
        question_id = list(references)[int(has_answer.argmin())]
        raise StudyError(
            f"question {question_id!r} has no reference answer, which only the rules of SQuAD v2.0 (v2) allow"
        )
    exact, f1_scores = np.zeros(n), np.zeros(n)
    for row, (question_id, texts) in enumerate(references.items()):
        if question_id in predictions:
            exact[row], f1_scores[row] = _score(predictions[question_id], texts, v2)
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

    ``exact``, ``f1`` and ``total`` over all questions; with ``HasAns_`` before them over the answerable and with
    ``NoAns_`` over the unanswerable ones, where there are any.
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
    # Added one after the other, as the official scripts do, so that the last printed digit is theirs too.
    return 100.0 * float(np.cumsum(values)[-1]) / len(values)


def apply_threshold(scores: QuestionScores, no_answer_scores: Floats, threshold: float) -> QuestionScores:
    """``scores`` as if '' had been predicted wherever the no-answer score (n,) exceeds ``threshold``."""
    empty = scores.predicted & (no_answer_scores > threshold)
    return replace(
        scores,
        exact_match=np.where(empty, ~scores.has_answer, scores.exact_match),
        f1=np.where(empty, ~scores.has_answer, scores.f1),
    )


def best_threshold(scores: Floats, no_answer_scores: Floats, has_answer: Bools) -> tuple[float, float]:
    """The best mean score, in points, that ``apply_threshold`` can reach, and the threshold that reaches it.

    ``scores`` (n,) is the EM or F1 in [0, 1] of the answers; ``no_answer_scores`` (n,) grows with the belief that
    there is none; ``has_answer`` (n,). The search of the official v2.0 script: the smallest among equally good
    thresholds, and 0 for always predicting ''. Unlike there, questions with equal no-answer scores change sides
    together and a score of 0 or less is allowed for, so that the returned mean is always reached.
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


def read_references(path: Path) -> dict[str, list[str]]:
    """Reference texts by question id from a file in the official nesting; StudyError names file and key."""
    references: dict[str, list[str]] = {}
    for where, question in _questions(path):
        question_id = _child(question, "id", str, where)
        answers = _child(question, "answers", list, where)
        if question_id in references:
            raise StudyError(f"{where}id repeats {question_id!r}, but each question needs an id of its own")
        references[question_id] = [
            _child(answer, "text", str, f"{where}answers[{i}].") for i, answer in enumerate(answers)
        ]
    if not references:
        raise StudyError(f"{path}: has no question under data[].paragraphs[].qas[]")
    return references


def _questions(path: Path) -> Iterator[tuple[str, Any]]:
    for i, article in enumerate(_child(read_json(path), "data", list, f"{path}: ")):
        for j, paragraph in enumerate(_child(article, "paragraphs", list, f"{path}: data[{i}].")):
            where = f"{path}: data[{i}].paragraphs[{j}]."
            for k, question in enumerate(_child(paragraph, "qas", list, where)):
                yield f"{where}qas[{k}].", question


def _child(node: Any, key: str, kind: type[Any], where: str) -> Any:
    child = node.get(key) if isinstance(node, dict) else None
    if not isinstance(child, kind):
        expected = "a list" if kind is list else "a string"
        raise StudyError(f"{where}{key} must be {expected}, as in the SQuAD format, but is missing or not one")
    return child


def read_predictions(path: Path) -> dict[str, str]:
    """Answer text by question id from a JSON object of strings; StudyError for anything else."""
    predictions = _read_json_object(path)
    for question_id, text in predictions.items():
        if not isinstance(text, str):
            raise StudyError(f"{path}: the prediction for {question_id!r} must be a string")
    return predictions


def read_no_answer_scores(path: Path, scores: QuestionScores) -> Floats:
    """No-answer scores (n,) for the rows of ``scores`` from a JSON object of numbers; 0 where not predicted."""
    by_id = _read_json_object(path)
    values = np.zeros(len(scores.ids))
    for row in np.flatnonzero(scores.predicted):
        value: Any = by_id.get(scores.ids[row])
        if type(value) not in (int, float) or not -sys.float_info.max <= value <= sys.float_info.max:
            raise StudyError(f"{path}: must have a finite number for the predicted question {scores.ids[row]!r}")
        values[row] = value
    return values


def _read_json_object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise StudyError(f"{path}: must be one JSON object with a question id before each value")
    return content


def _report(ids: tuple[str, ...], what: str) -> None:
    if ids:
        first = ", ".join(map(repr, ids[:3])) + (", ..." if len(ids) > 3 else "")
        print(f"{what}: {len(ids)} ({first})", file=sys.stderr)


def _summary_v2(scores: QuestionScores, na_prob_file: Path | None, threshold: float) -> dict[str, float]:
    if na_prob_file is None:
        return aggregate_v2(scores)
    no_answer = read_no_answer_scores(na_prob_file, scores)
    summary = aggregate_v2(apply_threshold(scores, no_answer, threshold))
    # Without a prediction the score is 0 at any threshold, as for a wrong answer to an answerable question.
    answerable = scores.has_answer | ~scores.predicted
    for name, values in (("exact", scores.exact_match), ("f1", scores.f1)):
        summary[f"best_{name}"], summary[f"best_{name}_thresh"] = best_threshold(values, no_answer, answerable)
    return summary


def main() -> None:
    """Print the summary of a prediction file as JSON, as the official scripts do."""
    parser = argparse.ArgumentParser(prog="python -m qa_tradeoffs.metrics", description=main.__doc__)
    parser.add_argument("dataset", type=Path, help="SQuAD file with the references")
    parser.add_argument("predictions", type=Path, help="JSON object: answer text by question id")
    parser.add_argument("--v2", action="store_true", help="rules and summary of SQuAD v2.0")
    parser.add_argument("--na-prob-file", type=Path, help="with --v2, JSON object: no-answer score by question id")
    parser.add_argument("--na-prob-thresh", type=float, default=1.0, help="predict '' above this score (1.0)")
    args = parser.parse_args()
    if args.na_prob_file and not args.v2:
        raise StudyError("--na-prob-file: no-answer scores need the rules of SQuAD v2.0; add --v2")

    if math.isnan(args.na_prob_thresh):
        raise StudyError("--na-prob-thresh: is not a number; give the score above which the answer is ''")

    predictions = read_predictions(args.predictions)
    scores = score_questions(predictions, read_references(args.dataset), args.v2)
    summary = _summary_v2(scores, args.na_prob_file, args.na_prob_thresh) if args.v2 else aggregate(scores)
    _report(scores.missing, "questions without a prediction, scored 0")
    _report(scores.unknown, "predictions for unknown questions, ignored")
    print(json.dumps(summary, indent=2 if args.v2 else None))


if __name__ == "__main__":
    exit_cleanly(main)
