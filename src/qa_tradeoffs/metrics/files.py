"""The input files of the official SQuAD scripts: references in SQuAD's nesting, answers and no-answer scores by id."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from qa_tradeoffs.core.documents import read_json
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.squad_json import Answers, File, Id, Part
from qa_tradeoffs.metrics.squad import Floats, QuestionScores


class _Answer(Part):
    text: str


class _Question(Part):
    id: Id
    answers: Answers[_Answer]


class _Paragraph(Part):
    qas: list[_Question]


def read_references(path: Path) -> dict[str, list[str]]:
    """Reference texts by question id from a file in the official nesting; StudyError names file and key."""
    references: dict[str, list[str]] = {}
    for place, _, paragraph in File[_Paragraph].read(path):
        for i, question in enumerate(paragraph.qas):
            if question.id in references:
                where = f"{place}.qas[{i}].id"
                raise StudyError(f"{where} repeats {question.id!r}; ids must be unique")
            references[question.id] = [answer.text for answer in question.answers]
    if not references:
        raise StudyError(f"{path}: has no question under data[].paragraphs[].qas[]")
    return references


def read_predictions(path: Path) -> dict[str, str]:
    """Answer text by question id from a JSON object of strings; StudyError for anything else."""
    predictions = _read_json_object(path)
    for question_id, text in predictions.items():
        if not isinstance(text, str):
            raise StudyError(f"{path}: the prediction for {question_id!r} must be a string")
    return predictions


def read_no_answer_scores(path: Path, scores: QuestionScores) -> Floats:
    """No-answer scores (n,) for the rows of ``scores`` from a JSON object of numbers; 0 without a prediction."""
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
        raise StudyError(f"{path}: must be one JSON object with question ids as keys")
    return content
