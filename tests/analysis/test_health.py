"""Notices of runs that failed, on hand-made results."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from qa_tradeoffs.analysis import health
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.runs.paths import RunPaths
from tests.conftest import MODELS

FIFTY = [1.0] * 40 + [0.0] * 10  # F1 of 50 questions: 80 points
CAME_FINE_TUNED = MODELS["bert"] | {"fine_tuned": True}


def with_losses(collected: Collected, key: tuple[str, int], *losses: float) -> Collected:
    steps = range(1, len(losses) + 1)
    collected.histories[key] = pd.DataFrame({"step": steps, "epoch": 1.0, "loss": losses})
    return collected


def reasons(collected: Collected) -> dict[str, list[str]]:
    """Run → why it failed."""
    split = [notice.removesuffix(". Its figures are still in the tables.") for notice in health.notices(collected)]
    return {run: why.split("; ") for run, why in (sentence.split(": ") for sentence in split)}


def test_there_is_no_notice_if_all_runs_learned(collected_of):
    assert health.notices(collected_of({"bert": [FIFTY, FIFTY], "distilbert": [FIFTY]})) == []


@pytest.mark.parametrize(
    ("losses", "ends"),
    [
        ((5.0, 4.0, 3.0, 2.0, 1.0), None),
        ((5.0, 6.0, 5.0, 5.0, 4.9), None),
        ((5.0, 3.0, 2.0, 4.0, 5.0), ("5.00", "5.00")),
        ((5.0, 3.0, 2.0, 4.0, 3.0, 3.0, 3.0, 3.0, 1.0, 9.5), ("5.00", "5.25")),
        ((5.0,), None),  # one row begins and ends at once
        ((5.0, 6.0), ("5.00", "6.00")),
    ],
)
def test_a_loss_whose_last_fifth_is_not_below_its_beginning_is_reported(collected_of, losses, ends):
    found = reasons(with_losses(collected_of({"bert": [FIFTY, FIFTY]}), ("bert", 1), *losses))
    why = ["its loss began at {} nats and ended at {}".format(*ends)] if ends else []
    assert found == ({"BERT, seed 1, did not learn": why} if ends else {})


def test_answers_that_are_all_empty_or_wrong_are_reported_with_all_other_reasons(collected_of):
    collected = with_losses(collected_of({"bert": [[0.0] * 1200], "distilbert": [FIFTY]}), ("bert", 0), 3.0, 8.0)
    collected.predictions["distilbert", 0] = collected.predictions["distilbert", 0].assign(prediction="")
    loss, wrong = (
        "its loss began at 3.00 nats and ended at 8.00",
        "none of its 1,200 answers shares a word with a reference",
    )
    assert reasons(collected) == {
        "BERT, seed 0, did not learn": [loss, wrong],
        "DistilBERT, seed 0, did not learn": ["all its 50 answers are empty"],
    }


@pytest.mark.parametrize(
    ("right", "why"),
    [
        (40, None),  # as the others
        (35, None),  # exactly ten points below
        (20, "its F1 of 40.0 is far below the 80.0 of seed 0"),
    ],
)
def test_a_seed_far_below_the_best_is_reported(collected_of, right, why):
    rows = [1.0] * right + [0.0] * (50 - right)
    found = reasons(collected_of({"bert": [FIFTY, FIFTY, rows]}))
    assert found == ({"BERT, seed 2, did not learn": [why]} if why else {})


def test_a_wide_gap_on_few_questions_may_be_chance(collected_of):
    # 20 points, but on 5 questions; one of them makes the difference
    assert health.notices(collected_of({"bert": [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]})) == []


def test_a_model_that_came_fine_tuned_has_no_seed(collected_of):
    collected = collected_of({"bert": [[0.0] * 50]}, models={"bert": CAME_FINE_TUNED})
    assert list(reasons(collected)) == ["BERT fails"]


def test_stopped_runs_are_reported_with_their_error(collected_of, tmp_path):
    collected, run = collected_of({"bert": [FIFTY]}, seeds=[0, 1, 2]), RunPaths(tmp_path)
    error = {"output_type": "error", "ename": "StudyError", "evalue": "training.learning_rate: the training diverged"}
    write(run.seed_folder("bert", 1) / "partial-1-train.ipynb", {"cells": [{"outputs": []}, {"outputs": [error]}, {}]})
    write(run.seed_folder("bert", 2) / "partial-1-train.ipynb", {"cells": [{"outputs": []}]})  # killed, or at work
    write(run.seed_folder("distilbert", 0) / "partial-2-evaluate.ipynb", [])
    assert health.stopped(collected, run) == [
        "BERT, seed 1, was stopped and is not in this report: training.learning_rate: the training diverged."
    ]


def test_a_complete_study_has_no_stopped_runs(collected_of, tmp_path):
    collected = collected_of({"bert": [FIFTY], "distilbert": [FIFTY]})
    assert health.stopped(collected, RunPaths(tmp_path)) == []


def test_a_fine_tuned_model_has_one_run_whatever_its_seed(collected_of, tmp_path):
    collected = collected_of({"bert": [FIFTY]}, models={"bert": CAME_FINE_TUNED}, seeds=[5, 6])
    assert health.stopped(collected, RunPaths(tmp_path)) == []


def write(notebook: Path, content: Any) -> None:
    notebook.parent.mkdir(parents=True)
    notebook.write_text(json.dumps(content))
