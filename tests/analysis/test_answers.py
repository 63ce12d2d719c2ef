"""Answers stand beside their own questions, and how alike the questions of a passage are can be worked out on paper."""

import dataclasses

import numpy as np
import pytest
from conftest import answers_of, question, results_of

from qa_tradeoffs.analysis import answers
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import sources

GENERATED = {"data": {"source": "generated", "train_passages": 1, "validation_passages": 1, "questions_per_passage": 2}}
TWO_PASSAGES = [question(row, context=f"passage {row // 2}") for row in range(4)]


@pytest.fixture
def collected(collected_of):
    """Two models' answers to the two questions of a generated study, as it is read now."""
    found = collected_of({"bert": [[1, 0], [0, 0]], "distilbert": [[1, 0.5]]}, **GENERATED)
    splits = sources.load(found.study.data)
    ids = {f"q{i}": example.id for i, example in enumerate(splits.validation)}
    for key, frame in found.predictions.items():
        found.predictions[key] = frame.replace({"id": ids})
    for (slug, seed), file in found.evaluations.items():
        rows = [record.model_dump() for record in file.records]
        found.evaluations[slug, seed] = results_of(found.study, "evaluate", slug, seed, rows, data=splits.fingerprint)
    return found


def test_answers_are_in_the_order_of_the_questions_whatever_theirs(collected):
    found = answers.load(collected)
    ids = [example.id for example in sources.load(collected.study.data).validation]
    assert [example.id for example in found.examples] == ids
    assert (found.labels, found.pairs) == (["BERT", "DistilBERT"], [("BERT", "DistilBERT")])
    assert [[table["id"].tolist() for table in tables] for tables in found.tables.values()] == [[ids, ids], [ids]]
    assert found.score("BERT", "f1").tolist() == [50, 0]
    assert found.score("DistilBERT", "f1").tolist() == [100, 50]


def test_other_questions_than_those_evaluated_are_refused(collected):
    other = collected.study.model_copy(update={"data": collected.study.data.model_copy(update={"seed": 7})})
    with pytest.raises(StudyError, match=r"^data: the study's questions are not those that bert with seed 0 was"):
        answers.load(dataclasses.replace(collected, study=other))


def test_an_answer_to_no_question_is_named(collected):
    for key, frame in collected.predictions.items():
        collected.predictions[key] = frame.assign(id=["strange", *frame["id"][1:]])
    with pytest.raises(StudyError, match="the question 'strange' was answered but is not in the study's data"):
        answers.load(collected)


@pytest.mark.parametrize(
    ("scores", "passages", "factor"),
    [
        ([1, 0, 0.5, 1], [0, 1, 2, 3], 1),  # each question has a passage of its own
        # Deviations are ±1/2: of four questions 4 · 1/4 · 4/3 = 4/3, of two passages 2 · 1 · 2/1 = 4; √(4 ÷ 4/3) = √3.
        ([1, 1, 0, 0], [0, 0, 1, 1], np.sqrt(3)),
        ([1, 0, 0, 1], [0, 0, 1, 1], 0),  # the passages have equal means
        ([1, 1, 1, 1], [0, 0, 1, 1], np.nan),
    ],
)
def test_the_design_factor_on_paper(scores, passages, factor):
    found = answers.design_factor(np.array(scores, dtype=float), np.array(passages))
    assert found == pytest.approx(factor, nan_ok=True)


def test_the_design_factor_agrees_with_a_bootstrap_of_whole_passages():
    rng = np.random.default_rng(0)
    scores = (rng.random((200, 1)) + rng.random((200, 3))) / 2  # three questions to a passage, alike by half
    drawn = scores[rng.integers(200, size=(4000, 200))].mean(axis=(1, 2))
    expected = drawn.std() / (scores.std(ddof=1) / np.sqrt(600))
    assert expected > 1.2
    assert answers.design_factor(scores.ravel(), np.repeat(np.arange(200), 3)) == pytest.approx(expected, rel=0.04)


def test_scores_and_differences_have_a_width_and_a_verdict_each():
    table = answers.by_passage(answers_of(TWO_PASSAGES, {"A": [[1, 1, 0, 0]], "B": [[1, 0, 0, 0]]}))
    assert table[["model", "other"]].to_numpy().tolist() == [["A", ""], ["B", ""], ["A", "B"]]
    assert table[["questions", "passages"]].to_numpy().tolist() == [[4, 2]] * 3
    # B: 3/4 and thrice -1/4; by passage 1/2 and -1/2: √((1/2 · 2) ÷ (3/4 · 4/3)) = 1. A - B is the same, moved.
    assert table["width"].tolist() == pytest.approx([np.sqrt(3), 1, 1])
    assert table["verdict"].tolist() == ["intervals too narrow", "intervals wide enough", "intervals wide enough"]
