"""Reading a study's result files: what is missing, stale or does not belong together is refused by name."""

import re
from typing import Any

import pytest

from qa_tradeoffs.analysis import collected as loading
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.runs import results
from qa_tradeoffs.study import config, prices
from tests.conftest import MODELS, comparison_of, usual_works


def collect(written_study: Any, price: prices.Price, study: config.Study | None = None) -> Collected:
    return loading.collect(study or written_study[0], price, written_study[1], ["bert", "distilbert"], [0])


def test_written_files_are_read_back(written_study, price_at):
    collected = collect(written_study, price_at(1))
    assert set(collected.predictions) == set(collected.trainings) == {("bert", 0), ("distilbert", 0)}
    assert collected.n_questions == 2
    assert collected.scores("bert", "f1").tolist() == [[1, 0]]


@pytest.mark.parametrize("name", ["training", "evaluation", "predictions", "history"])
@pytest.mark.parametrize("content", [None, b"something else"])
def test_a_file_that_is_missing_or_something_else_is_named(written_study, price_at, name, content):
    path = getattr(written_study[1], name)("distilbert", 0)
    path.unlink()
    if content:
        path.write_bytes(content)
    with pytest.raises(StudyError, match=rf"^{re.escape(str(path))}: (is missing|is not JSON|does not belong)"):
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
    with pytest.raises(StudyError, match=rf"{stale}: is stale"):
        collect(written_study, price_at(1), study_of(**change))


def test_a_new_title_label_or_price_makes_nothing_stale(written_study, price_at, study_of):
    models = MODELS | {"bert": MODELS["bert"] | {"label": "BERT base"}}
    collected = collect(written_study, price_at(2), study_of(title="Another", models=models, price="cpu"))
    assert collected.label("bert") == "BERT base"


def test_an_unknown_model_is_named(written_study, price_at):
    with pytest.raises(StudyError, match="'robert'"):
        loading.collect(written_study[0], price_at(1), written_study[1], ["robert"], [0])


@pytest.mark.parametrize("seeds", ["x", "-1", "1.5"])
def test_seeds_that_are_not_numbers_are_refused(seeds):
    with pytest.raises(StudyError, match=f"SEEDS: '{seeds}'"):
        loading.for_analysis("studies/demo.yaml", "", seeds)


def test_a_comparison_of_more_models_is_valid_for_a_subset_and_one_of_fewer_is_not(written_study, price_at):
    study, run = written_study
    some = loading.collect(study, price_at(1), run, ["distilbert"], [0])
    assert some.comparison.models == ("bert", "distilbert")
    results.write(run.comparison, comparison_of(study, ["bert"], *usual_works({"bert": 0.1})))
    with pytest.raises(StudyError, match=r"comparison\.json: does not compare distilbert; run make all"):
        loading.collect(study, price_at(1), run, ["bert", "distilbert"], [0])


def test_a_comparison_of_another_version_of_the_study_is_refused_by_name(written_study, price_at, study_of):
    with pytest.raises(StudyError, match=r"comparison\.json: is stale"):
        collect(written_study, price_at(1), study_of(compare={"passes": 4}))


def test_a_comparison_that_was_changed_is_refused(written_study, price_at):
    path = written_study[1].comparison
    path.write_text(path.read_text().replace("0.1", "0.2"))
    with pytest.raises(StudyError, match=r"comparison\.json: was changed after it was written"):
        collect(written_study, price_at(1))
