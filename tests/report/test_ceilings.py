"""A ceiling has a notice if it matters, with its causes, and once for the models that share it."""

import pytest

from qa_tradeoffs.evaluation.ceiling import CAUSES, LONG, QUESTION
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.report import ceilings


def limits(exact: float, f1: float, cut: int = 0, n: int = 1000, **causes: int) -> list[Record]:
    counts = dict.fromkeys(CAUSES, 0) | causes
    return [
        Record.of("ceiling_exact_match", exact, "points", n),
        Record.of("ceiling_f1", f1, "points", n),
        *(Record.of("out_of_reach", count, "questions", n, conditions={"cause": cause, "limit": 30})
          for cause, count in counts.items()),
        Record.of("questions_cut", cut, "questions", n, conditions={"limit": 64, "longest": 99}),
    ]  # fmt: skip


def test_there_is_no_notice_if_a_perfect_model_misses_next_to_nothing():
    assert ceilings.sentences(limits(99.5, 99.9, cut=5)) == []


@pytest.mark.parametrize("scores", [(99.4, 100), (99.6, 99.4)])
def test_below_99_and_a_half_the_causes_are_counted(scores):
    (sentence,) = ceilings.sentences(limits(*scores, **{LONG: 4, QUESTION: 2}))
    assert f"EM {scores[0]:.1f} and F1 {scores[1]:.1f}" in sentence
    assert "1,000 questions" in sentence
    assert "4 whose answer has more than 30 tokens (evaluation.max_answer_tokens)" in sentence
    assert "2 that equal another question once cut to 30 tokens" in sentence
    assert "window" not in sentence


def test_truncated_questions_have_a_notice_even_if_all_stay_in_reach():
    (sentence,) = ceilings.sentences(limits(100, 100, cut=6))
    assert "6 of 1,000 questions" in sentence
    assert "64 tokens (training.max_question_tokens); the longest has 99" in sentence


def test_models_that_share_a_ceiling_share_a_notice(collected_of):
    collected = collected_of({"bert": [[1], [0]], "distilbert": [[1]]})
    assert ceilings.notices(collected) == []
    low = {key: file.model_copy(update={"records": tuple(limits(60, 80, **{LONG: 400}))})
           for key, file in collected.evaluations.items()}  # fmt: skip
    collected.evaluations.update(low)
    (notice,) = ceilings.notices(collected)
    assert notice.startswith("BERT and DistilBERT: ")
