"""Two runs are equal if everything but times is equal byte for byte."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import evaluation_results, results_of

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.runs import compare, results

FILES = ("predictions.parquet", "history.parquet", "checkpoint/model.safetensors")


def training(study: Any, seconds: float, loss: float = 2.5) -> results.Results:
    rows = [
        {"metric": "train_seconds", "value": seconds, "unit": "s", "n": 10},
        {"metric": "train_tokens_per_second", "value": 100 / seconds, "unit": "tokens/s", "n": 10},
        {"metric": "train_final_loss", "value": loss, "unit": "nats", "n": 10},
    ]
    return results_of(study, "train", "bert", 0, rows)


@pytest.fixture
def runs(tmp_path: Path, study_of: Any) -> tuple[Path, Path]:
    """Two runs that differ in times and in files that need not be equal."""
    one, other = tmp_path / "one", tmp_path / "other"
    folder = one / "bert" / "seed-0"
    results.write(folder / "training.json", training(study_of(), 5.0))
    results.write(folder / "evaluation.json", evaluation_results(study_of(), "bert", 0, 80.0, 10))
    for name in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"0123")
    shutil.copytree(one, other)
    results.write(other / "bert/seed-0/training.json", training(study_of(), 7.0))
    (other / "bert/seed-0/1-train.ipynb").write_text("{}")
    return one, other


def test_times_and_notebooks_may_differ(runs):
    assert compare.differences(*runs) == []
    compare.check(*runs)


def test_an_unrelated_commit_makes_no_difference_but_changed_code_does(runs, study_of):
    path = runs[1] / "bert/seed-0/evaluation.json"
    found = results.read(path)
    for name, differing in (("git_commit", []), ("inputs_sha256", ["bert/seed-0/evaluation.json"])):
        results.write(
            path, found.model_copy(update={"provenance": found.provenance.model_copy(update={name: "0" * 40})})
        )
        assert compare.differences(*runs) == differing


@pytest.mark.parametrize("name", FILES)
def test_one_other_byte_is_named(runs, name):
    (runs[1] / "bert/seed-0" / name).write_bytes(b"0124")
    assert compare.differences(*runs) == [f"bert/seed-0/{name}"]
    with pytest.raises(StudyError, match=rf"are not equal: bert/seed-0/{name} differ"):
        compare.check(*runs)


def test_another_loss_is_a_difference(runs, study_of):
    results.write(runs[1] / "bert/seed-0/training.json", training(study_of(), 7.0, loss=2.5000001))
    assert compare.differences(*runs) == ["bert/seed-0/training.json"]


@pytest.mark.parametrize("where", [0, 1])
def test_a_file_that_only_one_run_has_is_a_difference(runs, where):
    (runs[where] / "bert/seed-0/evaluation.json").unlink()
    assert compare.differences(*runs) == ["bert/seed-0/evaluation.json"]


def test_comparing_runs_without_results_is_an_error(tmp_path):
    with pytest.raises(StudyError, match="there are no results in either; run make all first"):
        compare.differences(tmp_path, tmp_path / "other")
