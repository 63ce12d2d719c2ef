"""Changes between runs made by hand, beside scipy's tests of the same values."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from qa_tradeoffs.analysis import changes
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.runs import results
from qa_tradeoffs.runs.paths import RunPaths
from tests.conftest import in_turn, write_run

RIGHT = [1.0] * 40
TEN_WRONG = [0.0] * 10 + [1.0] * 30


@pytest.fixture
def run_of(study_of, tmp_path):
    """A function that writes a run of these F1 scores and reads it back; keywords as in ``write_run``."""

    def build(name: str, scores: Any, **keys: Any) -> changes.Run:
        return changes.read(write_run(tmp_path / name, study_of(), scores, **keys))

    return build


def f1(before: changes.Run, after: changes.Run, drop: float = 1) -> Any:
    """The row of the first model's F1."""
    return changes.scores(before, after, drop).iloc[0]


def test_a_run_and_itself_are_equal(run_of):
    run = run_of("x", {"bert": [TEN_WRONG], "distilbert": [RIGHT]})
    scores, speed = changes.scores(run, run, 0), changes.speed(run, run, 1)
    assert scores[["metric", "model"]].to_numpy().tolist() == [
        [metric, model] for metric in ("f1", "exact_match") for model in ("bert", "distilbert")
    ]
    assert (scores["verdict"] == "equal").all() and not scores["failed"].any()
    assert (speed[["change", "low", "high"]] == 1).all(axis=None)
    assert (speed["verdict"] == "not significant").all() and not speed["failed"].any()


def test_the_same_questions_are_compared_one_by_one(run_of):
    row = f1(run_of("x", {"bert": [RIGHT]}), run_of("y", {"bert": [TEN_WRONG]}))
    interval = stats.ttest_1samp(100 * (np.array(TEN_WRONG) - RIGHT), 0).confidence_interval()
    assert (row["before"], row["after"], row["change"]) == (100, 75, -25)
    assert (row["low"], row["high"]) == pytest.approx(tuple(interval))
    assert (row["verdict"], row["over"], row["failed"]) == ("worse", "questions", True)


def test_other_questions_are_compared_as_independent_samples(run_of):
    before, after = run_of("x", {"bert": [RIGHT + TEN_WRONG]}), run_of("y", {"bert": [TEN_WRONG]})
    theirs = stats.ttest_ind(100 * np.array(TEN_WRONG), 100 * np.array(RIGHT + TEN_WRONG), equal_var=False)
    row = f1(before, after)
    assert (row["low"], row["high"]) == pytest.approx(tuple(theirs.confidence_interval()))
    assert row["p_holm"] == pytest.approx(theirs.pvalue)
    assert changes.same_questions(before, after, "bert") == 40


def test_a_question_with_another_reference_is_another_question(run_of):
    before, after = run_of("x", {"bert": [RIGHT]}), run_of("y", {"bert": [RIGHT]}, references={"q3": '["left"]'})
    assert changes.same_questions(before, before, "bert") is None
    assert changes.same_questions(before, after, "bert") == 39


@pytest.mark.parametrize(("drop", "failed"), [(1, True), (2, False)])
def test_a_drop_that_is_not_significant_fails_beyond_the_bound_only(run_of, drop, failed):
    row = f1(run_of("x", {"bert": [RIGHT]}), run_of("y", {"bert": [[0.5, *RIGHT[1:]]]}), drop)
    assert (row["change"], row["verdict"], row["failed"]) == (-1.25, "not significant", failed)


def test_better_scores_never_fail(run_of):
    row = f1(run_of("x", {"bert": [TEN_WRONG]}), run_of("y", {"bert": [RIGHT]}), 0)
    assert (row["verdict"], row["failed"]) == ("better", False)


def test_several_seeds_of_both_add_the_variance_of_training(run_of):
    before, after = run_of("x", {"bert": [RIGHT, TEN_WRONG]}), run_of("y", {"bert": [TEN_WRONG, RIGHT]})
    row = f1(before, after)
    assert (row["change"], row["over"], row["verdict"]) == (0, "questions and training runs", "not significant")


def test_p_values_of_all_models_are_corrected_together(run_of):
    worse = [0.0] * 3 + [1.0] * 37
    alone = f1(run_of("x", {"bert": [RIGHT]}), run_of("y", {"bert": [worse]}))["p_holm"]
    both = [run_of(name, {"bert": [row], "distilbert": [RIGHT]}) for name, row in (("a", RIGHT), ("b", worse))]
    assert f1(*both)["p_holm"] == pytest.approx(2 * alone)


def test_ratios_of_speed_are_compared_between_the_runs(run_of):
    scores = {"bert": [RIGHT], "distilbert": [RIGHT]}
    before, after, slowed = np.array([0.5, 0.52, 0.48]), np.array([0.70, 0.74, 0.69]), np.array([3.0, 1, 2])
    runs = [
        run_of(name, scores, works=[in_turn("single_stream", {"bert": slowed, "distilbert": ratios * slowed})])
        for name, ratios in (("x", before), ("y", after))
    ]
    (row,) = changes.speed(*runs, slower=1.1).to_dict("records")
    interval = stats.ttest_ind(np.log(after), np.log(before), equal_var=False).confidence_interval()
    assert (row["model"], row["other"], row["work"], row["network"]) == (
        "distilbert", "bert", "single_stream", "study"
    )  # fmt: skip
    assert (row["low"], row["high"]) == pytest.approx((np.exp(interval.low), np.exp(interval.high)))
    assert (row["verdict"], row["failed"]) == ("slower", True)
    assert row["change"] == pytest.approx(row["after"] / row["before"])
    assert not changes.speed(*runs, slower=1.5)["failed"].any()
    (again,) = changes.speed(*reversed(runs), slower=1).to_dict("records")
    assert (again["verdict"], again["failed"]) == ("faster", False)


def test_only_work_under_the_same_conditions_is_compared(run_of):
    scores, seconds = {"bert": [RIGHT], "distilbert": [RIGHT]}, {"bert": 0.2, "distilbert": 0.1}
    before, after = (
        run_of(name, scores, works=[in_turn("single_stream", seconds, questions=n, calls_a_turn=n),
                                    in_turn("offline", seconds, batch_size=32, calls_a_turn=n)])
        for name, n in (("x", 60), ("y", 100))
    )  # fmt: skip
    assert changes.speed(before, after, 1.1)["work"].tolist() == ["offline"]


@pytest.mark.parametrize("works", [None, [in_turn("single_stream", {"bert": 0.1})]])
def test_without_two_models_timed_in_both_there_is_no_ratio(run_of, works):
    run = run_of("x", {"bert": [RIGHT]}, works=works)
    assert changes.speed(run, run, 1.1).empty


def test_runs_without_a_model_in_common_do_not_compare(run_of):
    with pytest.raises(StudyError, match=r"y: .*x \(bert\)"):
        changes.scores(run_of("x", {"bert": [RIGHT]}), run_of("y", {"distilbert": [RIGHT]}), 1)


def test_a_folder_without_evaluations_is_not_a_run(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path, tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(StudyError, match=rf"^{folder}: "):
            changes.read(folder)


def test_seeds_that_were_asked_other_questions_are_refused(run_of):
    with pytest.raises(StudyError, match=r"seed-1/evaluation.json: .*bert"):
        run_of("x", {"bert": [RIGHT, RIGHT[1:]]})


def test_answers_without_references_and_answers_of_another_evaluation_are_refused(run_of, tmp_path):
    run_of("x", {"bert": [RIGHT]})
    paths = RunPaths(tmp_path / "x")
    table, found = pd.read_parquet(paths.predictions("bert", 0)), results.read(paths.evaluation("bert", 0))
    table.drop(columns="references").to_parquet(paths.predictions("bert", 0))
    with pytest.raises(StudyError, match=r"predictions.parquet: .*evaluation.json"):
        changes.read(paths.folder)
    beside = results.fingerprints(paths.seed_folder("bert", 0), paths.predictions("bert", 0))
    results.write(paths.evaluation("bert", 0), found.model_copy(update={"beside": beside}))
    with pytest.raises(StudyError, match=r"evaluation.json: .*version.*references"):
        changes.read(Path(paths.folder))
