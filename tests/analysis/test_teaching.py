"""The gain and cost of distillation, from hand-made scores and times."""

import math

import pytest

from qa_tradeoffs.analysis import teaching
from qa_tradeoffs.metrics.records import Record
from tests.conftest import MODELS, results_of

TAUGHT = MODELS["distilbert"] | {"label": "Taught", "teacher": "bert", "distillation": {"weight": 0.7}}
SCORES = {"bert": [[1, 1, 1, 1]], "distilbert": [[0, 0, 1, 0]], "taught": [[1, 0, 1, 1]]}


def collect(collected_of, scores=None, teacher_came_trained=False, **keys):
    """DistilBERT with and without BERT as its teacher; at USD 1.80 an hour, a second costs 0.0005."""
    models = MODELS | {"taught": TAUGHT}
    found = collected_of(scores or SCORES, usd_per_hour=1.8, models=models, **keys)
    rows = [
        Record.of("train_seconds", 1000, "s", 10),
        Record.of("teacher_logits_seconds", 200, "s", 10),
        Record.of("teacher_dropped", 0.1, "1", 10),
    ]
    if not teacher_came_trained:
        rows.append(Record.of("teacher_train_seconds", 4000, "s"))
    for seed in range(len((scores or SCORES)["taught"])):
        found.trainings["taught", seed] = results_of(found.study, "train", "taught", seed, rows)
    return found


def test_a_teachers_training_is_counted_once_and_its_logits_always(collected_of):
    (row,) = teaching.students(collect(collected_of)).to_dict("records")
    assert (row["model"], row["teacher"], row["alone"], row["dropped"]) == ("Taught", "BERT", "DistilBERT", 0.1)
    assert (row["there_seconds"], row["once_seconds"]) == (1200, 5200)
    assert (row["there_usd_low"], row["once_usd_high"]) == (pytest.approx(0.6), pytest.approx(2.6))


def test_a_teacher_that_came_fine_tuned_has_no_training_to_pay_for(collected_of):
    (row,) = teaching.students(collect(collected_of, teacher_came_trained=True)).to_dict("records")
    assert row["there_seconds"] == 1200
    assert math.isnan(row["once_usd_low"])


def test_the_gain_is_paired_by_question(collected_of):
    (row,) = teaching.students(collect(collected_of)).to_dict("records")
    assert row["f1_difference"] == pytest.approx(50)  # 1, 0, 0, 1 of four questions
    assert row["low"] < 50 < row["high"]
    assert (row["over"], row["verdict"]) == ("questions", "not significant")


def test_with_several_runs_of_each_the_gain_is_over_them_as_well(collected_of):
    scores = {slug: rows * 2 for slug, rows in SCORES.items()}
    (row,) = teaching.students(collect(collected_of, scores, seeds=[0, 1])).to_dict("records")
    assert row["over"] == "questions and training runs"


def test_without_the_untaught_model_there_is_no_gain(collected_of):
    scores = {slug: SCORES[slug] for slug in ("bert", "taught")}
    (row,) = teaching.students(collect(collected_of, scores)).to_dict("records")
    assert (row["alone"], row["over"], row["verdict"]) == ("", "", "")
    assert math.isnan(row["f1_difference"])


def test_without_students_there_is_no_row(collected_of):
    assert teaching.students(collected_of({"bert": [[1, 0]]})).empty
