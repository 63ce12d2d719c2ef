"""Answers belong to their questions, and questions about one passage form a cluster."""

import dataclasses

import pytest
from conftest import answers_of, question, results_of

from qa_tradeoffs.analysis import answers
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data import sources

GENERATED = {"data": {"source": "generated", "train_passages": 1, "validation_passages": 1, "questions_per_passage": 2}}


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


def test_questions_that_were_not_evaluated_are_refused(collected):
    other = collected.study.model_copy(update={"data": collected.study.data.model_copy(update={"seed": 7})})
    with pytest.raises(StudyError, match=r"^data: the study's questions are not those that bert with seed 0 was"):
        answers.load(dataclasses.replace(collected, study=other))


def test_an_answer_to_no_question_is_named(collected):
    for key, frame in collected.predictions.items():
        collected.predictions[key] = frame.assign(id=["strange", *frame["id"][1:]])
    with pytest.raises(StudyError, match="the question 'strange' was answered but is not in the study's data"):
        answers.load(collected)


def test_questions_about_one_passage_are_alike():
    examples = [question(row, context=f"passage {row // 2}") for row in range(20)]
    clusters = answers_of(examples, {"A": [[1.0] * 20]}).clusters
    assert (clusters.unit, clusters.sizes.tolist()) == ("passages", [2] * 10)
