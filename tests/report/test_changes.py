"""The command that compares two runs: what it prints, and how it ends."""

import json
from typing import Any

import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.report import changes
from tests.conftest import in_turn, write_run

GOOD, WORSE = [1.0] * 40, [0.0] * 10 + [1.0] * 30


@pytest.fixture
def folder(study_of, tmp_path):
    """A function that writes a run in which BERT has these scores, and returns its folder as a text."""

    def write(name: str, scores: Any = GOOD, **keys: Any) -> str:
        return str(write_run(tmp_path / name, study_of(), {"bert": [scores], "distilbert": [GOOD]}, **keys))

    return write


def test_equal_runs_exit_with_0_and_print_only_their_tables(folder, capsys):
    assert changes.main([folder("x"), folder("y")]) == 0
    head, scores, speed = capsys.readouterr().out.strip().split("\n\n")
    assert head.endswith("y")
    assert scores.count("equal") == 4
    assert speed.count("not significant") == speed.count("distilbert / bert") == 4


def test_a_worse_model_is_named_and_the_exit_status_is_1(folder, capsys):
    assert changes.main([folder("x"), folder("y", WORSE)]) == 1
    last = capsys.readouterr().out.strip().split("\n\n")[-1]
    assert last.startswith("worse: F1 of bert fell from 100.0 to 75.0, significantly (-25.0 points, -39.")


def test_a_model_that_became_slower_beside_the_first_is_named_and_the_exit_status_is_1(folder, capsys):
    slower = [in_turn("single_stream", {"bert": 0.1, "distilbert": 0.12})]  # both took 0.1 s before
    assert changes.main([folder("x"), folder("y", works=slower)]) == 1
    last = capsys.readouterr().out.strip().split("\n\n")[-1]
    assert last == (
        "worse: relative to bert, distilbert takes 1.20 (1.20 to 1.20) times as long as it did in single stream, study"
    )
    assert changes.main([folder("x"), folder("y", works=slower), "--slower", "1.3"]) == 0


def test_json_has_all_figures_and_the_same_exit_status(folder, capsys):
    assert changes.main([folder("x"), folder("y", WORSE), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["scores"][0] | {"low": 0, "high": 0, "p_holm": 0} == {
        "metric": "f1", "model": "bert", "before": 100, "after": 75, "change": -25, "low": 0, "high": 0, "p_holm": 0,
        "over": "questions", "verdict": "worse", "failed": True,
    }  # fmt: skip
    assert [(row["work"], row["batch_size"], row["change"]) for row in found["speed"]][:2] == [
        ("single_stream", None, 1), ("offline", 32, 1)
    ]  # fmt: skip
    assert (found["notices"], len(found["failures"])) == ([], 1)


def test_other_models_questions_and_missing_times_have_a_notice(folder, capsys, study_of, tmp_path):
    other = write_run(tmp_path / "other", study_of(), {"bert": [[*GOOD, 1.0]]}, works=None)
    assert changes.main([folder("x"), str(other)]) == 0
    out = capsys.readouterr().out
    assert f"Only in {tmp_path / 'x'}: distilbert." in out
    assert "bert was asked 40, then 41 questions, 40 of them the same: compared unpaired." in out
    assert "No speed is compared" in out


def test_another_machine_has_a_notice(folder, capsys):
    changes.main([folder("x"), folder("y", device={"name": "another processor"})])
    assert "machines that differ: name some processor, then another processor." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["", "y"], "compare: needs the folders of two runs, as in make compare A=runs/demo B=runs/another"),
        (["x", "y", "--drop", "two"], "drop: 'two' is not a number of at least 0"),
        (["x", "y", "--drop", "-1"], "drop: '-1' is not a number of at least 0"),
        (["x", "y", "--slower", "nan"], "slower: 'nan' is not a number of at least 1"),
        (["x", "z"], "z: is not a run's folder with evaluated models, such as runs/demo"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(folder, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    folder("x"), folder("y")
    with pytest.raises(StudyError) as error:
        changes.main(arguments)
    assert str(error.value) == message
