"""Predictions against references: one scored row per question, and the records that sum them up."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qa_tradeoffs.core.files import written_atomically
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.evaluation import baseline
from qa_tradeoffs.evaluation.answers import Predictions, Reading
from qa_tradeoffs.metrics import languages, squad
from qa_tradeoffs.metrics.estimates import Clusters
from qa_tradeoffs.metrics.languages import OFFICIAL
from qa_tradeoffs.metrics.no_answer import Threshold
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.study.config import Study

# What a reader sees of a score's metric, and of whose score it is.
_METRICS = {"exact_match": "EM", "f1": "F1"}
_OF = {
    "": "",
    "baseline_": " of lexical overlap",
    "HasAns_": " where there is an answer",
    "NoAns_": " where there is no answer",
}
_NAMES = {prefix + metric: name + of for prefix, of in _OF.items() for metric, name in _METRICS.items()}


def language(study: Study, examples: Sequence[Example]) -> str:
    """The language whose rules split words: the study's, or the one detected from the references' script."""
    return study.evaluation.language or languages.detect(text for example in examples for text in example.answers)


def rules(reading: Reading, language: str) -> dict[str, Any]:
    """How questions are read, answers chosen and scored, for a reader."""
    settings = {key: value for key, value in asdict(reading).items() if key != "v2"}
    return settings | {
        "batch_tokens": reading.batch_tokens or "chosen for the engine",
        "questions without an answer": "possible" if reading.v2 else "none",
        "EM and F1 by": languages.in_words(language),
    }


def score(
    predictions: Predictions, examples: Sequence[Example], *, v2: bool, threshold: float, language: str = OFFICIAL
) -> pd.DataFrame:
    """One row per question, in the order of ``examples``, scored by the rules of ``language``.

    Columns: id, prediction (for v2.0 '' if ``no_answer_score`` exceeds ``threshold``), exact_match (0 or 1), f1
    (0 to 1) and no_answer_score (logits). For the best span, even if it is not the prediction: score (logits),
    probability, char_start and char_end in the context, and for v2.0 span_exact_match and span_f1. For the question:
    has_answer (v2.0), references, its reference answers as JSON, article, its title, and passage, numbered from 0 in
    the order of the examples. The scores at any other threshold follow from these columns.
    """
    frame = pd.DataFrame(predictions._asdict()).rename(columns={"text": "prediction"})
    spans = scores = _scores(predictions.text, examples, v2, language)
    if v2:
        scores = squad.apply_threshold(spans, predictions.no_answer_score, threshold)
        frame["prediction"] = frame["prediction"].mask(frame["no_answer_score"] > threshold, "")
    frame = frame.assign(exact_match=scores.exact_match, f1=scores.f1, **_of_questions(examples))
    if v2:
        frame = frame.assign(span_exact_match=spans.exact_match, span_f1=spans.f1, has_answer=spans.has_answer)
    return frame


def _scores(texts: Iterable[str], examples: Sequence[Example], v2: bool, language: str) -> squad.QuestionScores:
    """Scores of one answer per example, regardless of no-answer scores."""
    references = {example.id: example.answers for example in examples}
    by_id = dict(zip(references, texts, strict=True))
    return squad.score_questions(by_id, references, v2, languages.normalizer(language))


def _of_questions(examples: Sequence[Example]) -> dict[str, Any]:
    """The columns references, article and passage of these examples."""
    passage, _ = pd.factorize(np.array([example.context for example in examples], dtype=object))
    return {
        "references": [json.dumps(example.answers, ensure_ascii=False) for example in examples],
        "article": [example.title for example in examples],
        "passage": passage,
    }


def threshold(
    given: float,
    held_out: Sequence[Example],
    answer: Callable[[Sequence[Example]], Predictions],
    language: str = OFFICIAL,
) -> Threshold:
    """The no-answer threshold with the best F1 on the ``held_out`` questions; the ``given`` one if there are none.

    ``answer`` returns the model's predictions for some questions.
    """
    if not held_out:
        return Threshold(given)
    predictions = answer(held_out)
    scores = _scores(predictions.text, held_out, True, language)
    f1, value = squad.best_threshold(scores.f1, predictions.no_answer_score, scores.has_answer)
    return Threshold(value, len(held_out), f1)


def threshold_records(threshold: Threshold, *, v2: bool) -> list[Record]:
    """The no-answer threshold and, if it was chosen, its F1 on the held-out questions; v2.0 only."""
    if not v2:
        return []
    if threshold.f1 is None:
        return [Record.of("no_answer_threshold", threshold.value, "logits", conditions={"chosen_on": None})]
    n, conditions = threshold.questions, {"chosen_on": "held-out training questions"}
    return [
        Record.of("no_answer_threshold", threshold.value, "logits", n, conditions=conditions),
        Record.of("threshold_f1", threshold.f1, "points", n, conditions=conditions),
    ]


def threshold_table(threshold: Threshold, *, v2: bool, fine_tuned: bool = False) -> pd.DataFrame:
    """The threshold and its origin, for a reader; no row for v1.1.

    ``fine_tuned``: the checkpoint came fine-tuned, and may have been trained on the held-out questions.
    """
    if not v2:
        return pd.DataFrame()
    row: dict[str, Any] = {"no answer above": f"{threshold.value:.2f} logits", "chosen": "by the study file"}
    if threshold.f1 is not None:
        row |= {"chosen": "for its F1 on held-out training questions", "questions": threshold.questions}
        row |= {"F1 there": f"{threshold.f1:.1f}", "model has seen them": "unknown" if fine_tuned else "no"}
    return pd.DataFrame([row])


def records(frame: pd.DataFrame, examples: Sequence[Example], *, v2: bool, language: str = OFFICIAL) -> list[Record]:
    """EM and F1 in points with 95 % intervals over questions, followed by the baseline's.

    For v2.0 also the official script's HasAns_* and NoAns_* figures.
    """
    scores = _scores(map(baseline.answer, examples), examples, v2, language)
    metrics = ("exact_match", "f1")
    clusters = Clusters.of(frame["article"], frame["passage"])
    values = {metric: 100 * frame[metric].to_numpy(dtype=np.float64) for metric in metrics}
    baselines = {"baseline_exact_match": 100 * scores.exact_match, "baseline_f1": 100 * scores.f1}
    found = [Record.score(metric, column, clusters) for metric, column in (values | baselines).items()]
    for prefix, chosen in (("HasAns", scores.has_answer), ("NoAns", ~scores.has_answer)):
        if v2 and chosen.any():
            part = clusters.part(chosen)
            found += [Record.score(f"{prefix}_{metric}", values[metric][chosen], part) for metric in metrics]
    return found


def summary(records: Sequence[Record]) -> pd.DataFrame:
    """Scores as a table for a reader."""
    return pd.DataFrame(
        [
            {
                "metric": _NAMES[record.metric],
                "points": f"{record.value:.2f}",
                "95 % interval over questions": "{:.2f} to {:.2f}".format(*record.bounds),
                "questions": record.n,
            }
            for record in records
        ]
    )


def write_predictions(frame: pd.DataFrame, path: Path) -> None:
    """One row per question, as parquet."""
    with written_atomically(path) as temporary:
        frame.to_parquet(temporary, write_page_checksum=True)
