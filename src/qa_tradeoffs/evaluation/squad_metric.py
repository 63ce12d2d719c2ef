"""SQuAD's exact match and F1 behind the interface of the ``evaluate`` library, without the network.

``evaluate.load`` takes the path of this file; inputs and outputs are as in its ``squad`` metric, plus ``language``,
which says how words are split.
"""

import logging
from collections import Counter
from typing import Any

# Not "from evaluate import Metric": evaluate.load takes the first metric class it finds in this file.
import evaluate
from datasets import Features, Sequence, Value

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.languages import LANGUAGES
from qa_tradeoffs.metrics import languages
from qa_tradeoffs.metrics.squad import aggregate, score_questions

_INPUTS = """
Args:
    predictions: list of {"id": str, "prediction_text": str}
    references: list of {"id": str, "answers": {"text": list of str, "answer_start": list of int}}
    language: two-letter code. "en" (default) means the official rules of SQuAD, others those of MLQA, by which each
        character of Chinese, for example, counts as a word.

Returns:
    {"exact_match": points from 0 to 100, "f1": points from 0 to 100}. A question without a prediction scores 0.
"""


class SquadMetric(evaluate.Metric):  # type: ignore[misc]
    """SQuAD v1.1 exact match and F1 in points, scored by ``qa_tradeoffs.metrics``."""

    def _info(self) -> evaluate.MetricInfo:
        text = Value("string")
        return evaluate.MetricInfo(
            description=self.__doc__,
            citation="Rajpurkar et al., 2016, arXiv 1606.05250",
            inputs_description=_INPUTS,
            features=Features(
                predictions={"id": text, "prediction_text": text},
                references={"id": text, "answers": Sequence({"text": text, "answer_start": Value("int32")})},
            ),
        )

    def _compute(
        self,
        predictions: list[dict[str, Any]],
        references: list[dict[str, Any]],
        language: str = languages.OFFICIAL,
    ) -> dict[str, float]:
        if language not in LANGUAGES:
            raise StudyError(f"language: {language!r} is not supported; choose one of {', '.join(LANGUAGES)}")
        scores = score_questions(
            {row["id"]: row["prediction_text"] for row in _without_repeats(predictions, "predictions")},
            {row["id"]: row["answers"]["text"] for row in _without_repeats(references, "references")},
            rules=languages.normalizer(language),
        )
        if scores.missing:
            logging.getLogger(__name__).warning("questions without a prediction, scored 0: %d", len(scores.missing))
        return aggregate(scores)


def _without_repeats(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    for question_id, count in Counter(row["id"] for row in rows).items():
        if count > 1:
            raise StudyError(f"{name} have the id {question_id!r} {count} times; ids must be unique")
    return rows
