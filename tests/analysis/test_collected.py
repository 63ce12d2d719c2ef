"""Reading a study's result files: what is missing, stale or does not belong together is refused by name."""

import re
from typing import Any

import pytest

from qa_tradeoffs.analysis import collected as loading
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.runs import results
from qa_tradeoffs.study import config, prices
from tests.conftest import MODELS, predictions_of, results_of, training_results


def collect(written_study: Any, price: prices.Price, study: config.Study | None = None) -> Collected:
    return loading.collect(study or written_study[0], price, written_study[1], ["bert", "distilbert"], [0])


def test_written_files_are_read_back(written_study, price_at):
    collected = collect(written_study, price_at(1))
    assert set(collected.predictions) == set(collected.trainings) == {("bert", 0), ("distilbert", 0)}
    assert collected.n_questions == 2
    assert collected.scores("bert", 0, "f1").tolist() == [1, 0]


FILES = ["training", "evaluation", "predictions", "history"]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(written_study, price_at, name):
    path = getattr(written_study[1], name)("distilbert", 0)
    path.unlink()
    with pytest.raises(StudyError, match=rf"^{re.escape(str(path))}: is missing"):
        collect(written_study, price_at(1))


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_something_else_is_named(written_study, price_at, name):
    path = getattr(written_study[1], name)("bert", 0)
    path.write_bytes(b"something else")
    with pytest.raises(StudyError, match=rf"^{re.escape(str(path))}: is not (JSON|a table of this program) "):
        collect(written_study, price_at(1))


def test_a_table_without_a_column_it_needs_is_named(written_study, price_at):
    predictions_of([1, 0]).drop(columns="f1").to_parquet(written_study[1].predictions("bert", 0))
    with pytest.raises(StudyError, match=r"predictions.parquet: is not a table of this program"):
        collect(written_study, price_at(1))


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({"training": {"learning_rate": 1e-3}}, "bert/seed-0/training.json"),
        ({"evaluation": {"max_answer_tokens": 5}}, "bert/seed-0/evaluation.json"),
        ({"profile": {"forward": {"batch_sizes": [2], "lengths": [8]},
                      "training_step": {"batch_sizes": [2], "lengths": [8]}}}, "bert/profile.json"),
        ({"models": MODELS | {"distilbert": MODELS["distilbert"] | {"revision": "0" * 40}}},
         "distilbert/seed-0/training.json"),
    ],
)  # fmt: skip
def test_results_of_another_version_of_the_study_are_refused_by_name(written_study, price_at, study_of, change, stale):
    with pytest.raises(StudyError, match=rf"{stale}: was made from other settings, data, code or library versions"):
        collect(written_study, price_at(1), study_of(**change))


def test_a_new_title_label_or_price_makes_nothing_stale(written_study, price_at, study_of):
    models = MODELS | {"bert": MODELS["bert"] | {"label": "BERT base"}}
    collected = collect(written_study, price_at(2), study_of(title="Another", models=models, price="cpu"))
    assert collected.label("bert") == "BERT base"


def test_predictions_of_other_questions_are_refused(written_study, price_at):
    path = written_study[1].predictions("distilbert", 0)
    predictions_of([1, 0]).replace("q1", "q7").to_parquet(path)
    with pytest.raises(
        StudyError, match=rf"^{re.escape(str(path))}: its questions are not those of .* \(q1 is only in"
    ):
        collect(written_study, price_at(1))


def test_predictions_with_a_question_twice_are_refused(written_study, price_at):
    predictions_of([1, 0]).replace("q1", "q0").to_parquet(written_study[1].predictions("bert", 0))
    with pytest.raises(StudyError, match="has question q0 twice"):
        collect(written_study, price_at(1))


def test_results_of_other_data_are_refused(written_study, price_at):
    study, run = written_study
    rows = training_results(study, "distilbert", 0, 60).records
    results.write(run.training("distilbert", 0), results_of(study, "train", "distilbert", 0, rows, data="0" * 64))
    with pytest.raises(StudyError, match=r"distilbert/seed-0/training.json: was made from other data than"):
        collect(written_study, price_at(1))


def test_an_unknown_model_is_named(written_study, price_at):
    with pytest.raises(StudyError, match="there is no model 'robert'"):
        loading.collect(written_study[0], price_at(1), written_study[1], ["robert"], [0])


@pytest.mark.parametrize("seeds", ["x", "-1", "1.5"])
def test_seeds_that_are_no_numbers_are_refused(seeds):
    with pytest.raises(StudyError, match=f"SEEDS: '{seeds}' is no seed"):
        loading.for_analysis("studies/demo.yaml", "", seeds)


def test_a_run_that_has_not_begun_is_a_missing_file(tmp_path):
    with pytest.raises(StudyError, match=r"training.json: is missing"):
        loading.for_analysis("studies/demo.yaml", "bert", "0", run=str(tmp_path))
