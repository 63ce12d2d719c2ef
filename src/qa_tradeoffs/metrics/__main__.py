"""Score a file of predictions, as the official SQuAD scripts do.

python -m qa_tradeoffs.metrics DATASET.json PREDICTIONS.json [--v2] [--language zh] [--na-prob-file FILE]
"""

import argparse
import json
import math
import sys
from pathlib import Path

from qa_tradeoffs.core.errors import StudyError, exit_cleanly
from qa_tradeoffs.core.languages import LANGUAGES
from qa_tradeoffs.metrics import files, languages, squad
from qa_tradeoffs.metrics.squad import QuestionScores


def main() -> None:
    """Print the summary of a prediction file as JSON, as the official scripts do."""
    parser = argparse.ArgumentParser(prog="python -m qa_tradeoffs.metrics", description=main.__doc__)
    parser.add_argument("dataset", type=Path, help="SQuAD file with the references")
    parser.add_argument("predictions", type=Path, help="JSON object: answer text by question id")
    parser.add_argument("--v2", action="store_true", help="rules and summary of SQuAD v2.0")
    parser.add_argument(
        "--language",
        choices=LANGUAGES,
        help="how words are split: en by the official rules, others by MLQA's (default: detected from the answers)",
    )
    parser.add_argument("--na-prob-file", type=Path, help="with --v2, JSON object: no-answer score by question id")
    parser.add_argument("--na-prob-thresh", type=float, default=1.0, help="predict '' above this score (1.0)")
    args = parser.parse_args()
    if args.na_prob_file and not args.v2:
        raise StudyError("--na-prob-file: no-answer scores need the rules of SQuAD v2.0; add --v2")
    if math.isnan(args.na_prob_thresh):
        raise StudyError("--na-prob-thresh: is not a number; give the score above which the answer is ''")

    predictions = files.read_predictions(args.predictions)
    references = files.read_references(args.dataset)
    language = args.language or languages.detect(text for texts in references.values() for text in texts)
    if language != languages.OFFICIAL:
        print(f"EM and F1 by {languages.in_words(language)}", file=sys.stderr)
    scores = squad.score_questions(predictions, references, args.v2, languages.normalizer(language))
    summary = _summary_v2(scores, args.na_prob_file, args.na_prob_thresh) if args.v2 else squad.aggregate(scores)
    _warn(scores.missing, "questions without a prediction, scored 0")
    _warn(scores.unknown, "predictions for unknown questions, ignored")
    print(json.dumps(summary, indent=2 if args.v2 else None))


def _summary_v2(scores: QuestionScores, na_prob_file: Path | None, threshold: float) -> dict[str, float]:
    """The means of v2.0; with no-answer scores, the means under ``threshold`` and the best thresholds."""
    if na_prob_file is None:
        return squad.aggregate_v2(scores)
    no_answer = files.read_no_answer_scores(na_prob_file, scores)
    summary = squad.aggregate_v2(squad.apply_threshold(scores, no_answer, threshold))
    # Without a prediction the score is 0 at any threshold, as for a wrong answer to an answerable question.
    answerable = scores.has_answer | ~scores.predicted
    for name, values in (("exact", scores.exact_match), ("f1", scores.f1)):
        best, at = squad.best_threshold(values, no_answer, answerable)
        summary |= {f"best_{name}": best, f"best_{name}_thresh": at}
    return summary


def _warn(ids: tuple[str, ...], what: str) -> None:
    """How many questions, and the first of them, on stderr."""
    if ids:
        first = ", ".join(map(repr, ids[:3])) + (", ..." if len(ids) > 3 else "")
        print(f"{what}: {len(ids)} ({first})", file=sys.stderr)


if __name__ == "__main__":
    exit_cleanly(main)
