"""Notices of runs that failed, on hand-made results."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from qa_tradeoffs.analysis import health
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.runs.paths import RunPaths

FIFTY = [1.0] * 40 + [0.0] * 10  # F1 of 50 questions: 80 points
KEEP = "Its figures are in the tables all the same."


def with_losses(collected: Collected, key: tuple[str, int], *losses: float) -> Collected:
    steps = range(1, len(losses) + 1)
    collected.histories[key] = pd.DataFrame({"step": steps, "epoch": 1.0, "loss": losses})
    return collected


def with_answers(collected: Collected, key: tuple[str, int], answer: str) -> Collected:
    collected.predictions[key] = collected.predictions[key].assign(prediction=answer)
    return collected


def test_there_is_no_notice_where_all_is_well(collected_of):
    assert health.notices(collected_of({"bert": [FIFTY, FIFTY], "distilbert": [FIFTY]})) == []


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ((5.0, 4.0, 3.0, 2.0, 1.0), None),
        ((5.0, 6.0, 5.0, 5.0, 4.9), None),
        ((5.0, 3.0, 2.0, 4.0, 5.0), "its loss began at 5.00 nats and ended at 5.00"),
        ((5.0, 3.0, 2.0, 4.0, 3.0, 3.0, 3.0, 3.0, 1.0, 9.5), "its loss began at 5.00 nats and ended at 5.25"),
        ((5.0,), None),  # one row begins and ends at once
        ((5.0, 6.0), "its loss began at 5.00 nats and ended at 6.00"),
    ],
)
def test_a_loss_whose_last_fifth_is_not_below_its_beginning_is_reported(collected_of, losses, reason):
    collected = with_losses(collected_of({"bert": [FIFTY, FIFTY]}), ("bert", 1), *losses)
    assert health.notices(collected) == ([f"BERT, seed 1, did not learn: {reason}. {KEEP}"] if reason else [])


def test_answers_that_are_all_empty_are_reported(collected_of):
    collected = with_answers(collected_of({"bert": [FIFTY], "distilbert": [FIFTY]}), ("distilbert", 0), "")
    assert health.notices(collected) == [f"DistilBERT, seed 0, did not learn: all its 50 answers are empty. {KEEP}"]


def test_answers_of_which_none_is_right_are_reported(collected_of):
    assert health.notices(collected_of({"bert": [[0.0] * 1200]})) == [
        f"BERT, seed 0, did not learn: none of its 1,200 answers shares a word with a reference. {KEEP}"
    ]


@pytest.mark.parametrize(
    ("right", "notice"),
    [
        (40, []),  # as the others
        (35, []),  # exactly ten points below
        (20, [f"BERT, seed 2, did not learn: its F1 of 40.0 is far below the 80.0 of seed 0. {KEEP}"]),
    ],
)
def test_a_seed_far_below_the_best_is_reported(collected_of, right, notice):
    rows = [1.0] * right + [0.0] * (50 - right)
    assert health.notices(collected_of({"bert": [FIFTY, FIFTY, rows]})) == notice


def test_a_wide_gap_on_few_questions_may_be_chance(collected_of):
    # 20 points, but on 5 questions; one of them makes the difference
    assert health.notices(collected_of({"bert": [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]})) == []


def test_all_reasons_are_one_sentence(collected_of):
    collected = with_losses(collected_of({"bert": [[0.0] * 50, FIFTY]}), ("bert", 0), 3.0, 8.0)
    assert health.notices(collected) == [
        "BERT, seed 0, did not learn: its loss began at 3.00 nats and ended at 8.00; none of its 50 answers shares a "
        f"word with a reference. {KEEP}"
    ]


def test_a_model_that_came_fine_tuned_has_no_seed(collected_of: Any, study_of: Any):
    model = {"label": "BERT", "hub": "some/bert", "revision": "a" * 40, "fine_tuned": True}
    collected = collected_of({"bert": [[0.0] * 50]}, models={"bert": model})
    assert health.notices(collected) == [f"BERT fails: none of its 50 answers shares a word with a reference. {KEEP}"]


def test_runs_that_were_stopped_are_reported_with_the_sentence_on_which_they_ended(collected_of, tmp_path):
    collected, run = collected_of({"bert": [FIFTY]}, seeds=[0, 1, 2]), RunPaths(tmp_path)
    error = {"output_type": "error", "ename": "StudyError", "evalue": "training.learning_rate: the training diverged"}
    write(run.seed_folder("bert", 1) / "partial-1-train.ipynb", {"cells": [{"outputs": []}, {"outputs": [error]}, {}]})
    write(run.seed_folder("bert", 2) / "partial-1-train.ipynb", {"cells": [{"outputs": []}]})  # killed, or at work
    write(run.seed_folder("distilbert", 0) / "partial-2-evaluate.ipynb", [])
    assert health.stopped(collected, run) == [
        "BERT, seed 1, was stopped and is not in this report: training.learning_rate: the training diverged."
    ]


def test_where_all_of_the_study_is_there_nothing_was_stopped(collected_of, tmp_path):
    collected = collected_of({"bert": [FIFTY], "distilbert": [FIFTY]})
    assert health.stopped(collected, RunPaths(tmp_path)) == []


def test_a_fine_tuned_model_has_one_run_whatever_its_seed(collected_of, tmp_path):
    model = {"label": "BERT", "hub": "some/bert", "revision": "a" * 40, "fine_tuned": True}
    collected = collected_of({"bert": [FIFTY]}, models={"bert": model}, seeds=[5, 6])
    assert health.stopped(collected, RunPaths(tmp_path)) == []


def write(notebook: Path, content: Any) -> None:
    notebook.parent.mkdir(parents=True)
    notebook.write_text(json.dumps(content))
