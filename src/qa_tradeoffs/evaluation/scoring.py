"""Predictions against references: one scored row per question, and the records that sum them up."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qa_tradeoffs.core.files import written_atomically
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.evaluation import baseline
from qa_tradeoffs.evaluation.predictions import Predictions
from qa_tradeoffs.metrics import intervals, no_answer, squad
from qa_tradeoffs.metrics.no_answer import Threshold

_NO_ANSWER = "(no answer)"


def score(predictions: Predictions, examples: Sequence[Example], *, v2: bool, threshold: float) -> pd.DataFrame:
    """One row per question, in the order of ``examples``.

    Columns: id, prediction (for v2.0 '' where ``no_answer_score`` exceeds ``threshold``), exact_match (0 or 1), f1
    (0 to 1), no_answer_score (logits), and of the best span, even where it is not the prediction: score (logits),
    probability, char_start and char_end in the context; for v2.0 also span_exact_match and span_f1, and has_answer,
    which is of the question: from these and no_answer_score every other threshold's scores follow.
    """
    spans = _score_spans(predictions, examples, v2=v2)
    scores = squad.apply_threshold(spans, predictions.no_answer_score, threshold) if v2 else spans
    frame = pd.DataFrame(
        {
            "id": predictions.id,
            "prediction": predictions.with_threshold(threshold) if v2 else predictions.text,
            "score": predictions.score,
            "probability": predictions.probability,
            "no_answer_score": predictions.no_answer_score,
            "char_start": predictions.char_start,
            "char_end": predictions.char_end,
            "exact_match": scores.exact_match,
            "f1": scores.f1,
        }
    )
    if v2:
        frame = frame.assign(span_exact_match=spans.exact_match, span_f1=spans.f1, has_answer=spans.has_answer)
    return frame


def threshold(
    given: float, held_out: Sequence[Example], answer: Callable[[Sequence[Example]], Predictions]
) -> Threshold:
    """The no-answer threshold with the best F1 on the ``held_out`` questions; the ``given`` one where there are none.

    ``answer`` gives the predictions of the model for some questions.
    """
    if not held_out:
        return Threshold(given)
    predictions = answer(held_out)
    scores = _score_spans(predictions, held_out, v2=True)
    return no_answer.choose(scores.f1, predictions.no_answer_score, scores.has_answer)


def threshold_rows(threshold: Threshold, *, v2: bool) -> list[dict[str, Any]]:
    """Record rows of the no-answer threshold and, where it was chosen, of the F1 that it reached there; v2.0 only."""
    if not v2:
        return []
    chosen = threshold.f1 is not None
    conditions = {"chosen_on": "held-out training questions" if chosen else None}
    n = max(threshold.questions, 1)  # one number where it was given
    found = {"metric": "no_answer_threshold", "value": threshold.value, "unit": "logits", "n": n}
    reached = {"metric": "threshold_f1", "value": threshold.f1, "unit": "points", "n": n}
    return [row | {"conditions": conditions} for row in (found, reached)[: 1 + chosen]]


def threshold_sentences(threshold: Threshold, *, v2: bool, fine_tuned: bool = False) -> list[str]:
    """The threshold and where it comes from; nothing for v1.1."""
    if not v2:
        return []
    left = f"A question is left unanswered where its no-answer score exceeds {threshold.value:.2f} logits"
    if threshold.f1 is None:
        return [f"{left}, the threshold of the study file."]
    seen = " Whether this checkpoint, which came fine-tuned, was trained on them is not known." if fine_tuned else ""
    return [
        f"{left}: of all thresholds the one with the best F1, {threshold.f1:.1f} points, on {threshold.questions:,} "
        f"questions held out of the training split in whole articles.{seen}"
    ]


def rows(frame: pd.DataFrame, examples: Sequence[Example], *, v2: bool, seed: int) -> list[dict[str, Any]]:
    """Record rows: EM and F1 in points with 95 % bootstrap intervals over questions, the baseline's, and counts.

    For v2.0 also the official script's HasAns_* and NoAns_* figures.
    """
    rng = np.random.default_rng(seed)
    untrained = baseline_scores(examples, v2=v2)
    summed = [
        _summary("exact_match", frame["exact_match"].to_numpy(), rng),
        _summary("f1", frame["f1"].to_numpy(), rng),
        _summary("baseline_exact_match", untrained.exact_match, rng),
        _summary("baseline_f1", untrained.f1, rng),
    ]
    if v2:
        summed += _by_answerability(frame, np.array([len(example.answers) > 0 for example in examples]), rng)
    return summed


def summary(record_rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Record rows as a table for a reader."""
    return pd.DataFrame(
        [
            {
                "metric": row["metric"],
                "points": f"{row['value']:.2f}",
                "95 % interval over questions": f"{row['interval']['low']:.2f} to {row['interval']['high']:.2f}",
                "questions": row["n"],
            }
            for row in record_rows
        ]
    )


def sample(frame: pd.DataFrame, examples: Sequence[Example], n: int = 4) -> pd.DataFrame:
    """The ``n`` least and ``n`` most probable answers with their questions and references, for a reader."""
    joined = frame.assign(
        question=[example.question for example in examples],
        reference=[example.answers[0] if example.answers else _NO_ANSWER for example in examples],
        prediction=frame["prediction"].replace("", _NO_ANSWER),
    ).sort_values("probability", kind="stable")
    chosen = pd.concat([joined.head(n), joined.tail(n)]).drop_duplicates("id")
    chosen["right"] = chosen["exact_match"].map({1.0: "yes", 0.0: "no"})
    return chosen[["question", "prediction", "reference", "right", "probability"]]


def write_predictions(frame: pd.DataFrame, path: Path) -> None:
    """One row per question, as parquet."""
    with written_atomically(path) as temporary:
        frame.to_parquet(temporary, write_page_checksum=True)


def baseline_scores(examples: Sequence[Example], *, v2: bool) -> squad.QuestionScores:
    """What lexical overlap alone reaches on these questions, without any training."""
    return _score_texts(baseline.answer_all(examples), examples, v2=v2)


def _score_spans(predictions: Predictions, examples: Sequence[Example], *, v2: bool) -> squad.QuestionScores:
    """Scores of the best spans, whatever their no-answer score."""
    return _score_texts(dict(zip(predictions.id, predictions.text, strict=True)), examples, v2=v2)


def _score_texts(texts: dict[str, str], examples: Sequence[Example], *, v2: bool) -> squad.QuestionScores:
    return squad.score_questions(texts, {example.id: example.answers for example in examples}, v2)


def _by_answerability(frame: pd.DataFrame, has_answer: Any, rng: np.random.Generator) -> list[dict[str, Any]]:
    """The figures of answerable and of unanswerable questions apart, where there are any."""
    return [
        _summary(f"{prefix}_{column}", frame.loc[chosen, column].to_numpy(), rng)
        for prefix, chosen in (("HasAns", has_answer), ("NoAns", ~has_answer))
        if chosen.any()
        for column in ("exact_match", "f1")
    ]


def _summary(metric: str, values: Any, rng: np.random.Generator) -> dict[str, Any]:
    """A record row of the mean of per-question ``values`` in [0, 1], in points from 0 to 100."""
    points = 100 * np.asarray(values, dtype=float)
    interval = intervals.bootstrap_mean(points, rng)
    bounds = {"low": interval.low, "high": interval.high, "level": interval.level, "over": "questions"}
    return {"metric": metric, "value": points.mean(), "unit": "points", "n": len(points), "interval": bounds}
