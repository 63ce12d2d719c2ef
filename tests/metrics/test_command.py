"""``python -m qa_tradeoffs.metrics``: the official scripts' output, and errors of one sentence."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


def dataset(*questions: Mapping[str, Any]) -> dict[str, Any]:
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "c", "qas": list(questions)}]}]}


def question(question_id: str, *texts: str) -> dict[str, Any]:
    return {"id": question_id, "question": "?", "answers": [{"text": t, "answer_start": 0} for t in texts]}


def run_cli(folder: Path, dataset_json: Any, predictions: Any, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command on contents given as bytes, as something to write as JSON, or as None for no file."""
    for name, content in (("dataset.json", dataset_json), ("predictions.json", predictions)):
        if content is not None:
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            (folder / name).write_bytes(raw)
    command = [sys.executable, "-m", "qa_tradeoffs.metrics", "dataset.json", "predictions.json", *options]
    path = os.pathsep.join([str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=60
    )


def test_the_command_prints_the_v1_summary_on_one_line(tmp_path: Path) -> None:
    done = run_cli(tmp_path, dataset(question("q1", "cat"), question("q2", "dog")), {"q1": "The cat", "q2": "big dog"})
    assert done.returncode == 0
    assert done.stdout == '{"exact_match": 50.0, "f1": 83.33333333333333}\n'
    assert done.stderr == ""


def test_the_command_accepts_a_byte_order_mark(tmp_path: Path) -> None:
    done = run_cli(tmp_path, dataset(question("q1", "cat")), b'\xef\xbb\xbf{"q1": "cat"}')
    assert json.loads(done.stdout) == {"exact_match": 100.0, "f1": 100.0}


def test_the_command_reports_missing_and_unknown_predictions_on_stderr(tmp_path: Path) -> None:
    questions = [question(f"q{i}", "cat") for i in range(5)]
    done = run_cli(tmp_path, dataset(*questions), {"q0": "cat", "stray": "dog"})
    assert json.loads(done.stdout) == {"exact_match": 20.0, "f1": 20.0}
    missing, unknown = done.stderr.splitlines()
    assert missing == "questions without a prediction, scored 0: 4 ('q1', 'q2', 'q3', ...)"
    assert unknown == "predictions for unknown questions, ignored: 1 ('stray')"
    assert done.returncode == 0


def run_v2(folder: Path, predictions: Any, no_answer: Any, *options: str) -> dict[str, float]:
    """The summary of an answerable question, q1, and an unanswerable one, q2."""
    (folder / "na.json").write_text(json.dumps(no_answer), encoding="utf-8")
    questions = dataset(question("q1", "cat"), question("q2"))
    done = run_cli(folder, questions, predictions, "--v2", "--na-prob-file", "na.json", *options)
    return json.loads(done.stdout)


def test_the_command_prints_the_v2_summary_with_the_best_thresholds(tmp_path: Path) -> None:
    summary = run_v2(tmp_path, {"q1": "cat", "q2": "x"}, {"q1": 0.2, "q2": 0.7})
    assert (summary["exact"], summary["NoAns_f1"]) == (50.0, 0.0)
    assert list(summary)[-4:] == ["best_exact", "best_exact_thresh", "best_f1", "best_f1_thresh"]
    assert list(summary.values())[-4:] == [100.0, 0.2, 100.0, 0.2]


def test_the_command_applies_a_given_threshold(tmp_path: Path) -> None:
    summary = run_v2(tmp_path, {"q1": "cat", "q2": "x"}, {"q1": 0.2, "q2": 0.7}, "--na-prob-thresh", "0.5")
    assert summary["exact"] == 100.0


def test_a_missing_prediction_counts_zero_at_every_threshold(tmp_path: Path) -> None:
    summary = run_v2(tmp_path, {"q1": "cat"}, {"q1": 0.2})
    assert (summary["exact"], summary["NoAns_exact"], summary["NoAns_total"]) == (50.0, 0.0, 1)
    assert (summary["best_exact"], summary["best_exact_thresh"]) == (50.0, 0.2)


GOOD = dataset(question("q1", "cat"))
NO_TEXT = {"id": "q2", "answers": [{"text": "x"}, {"answer_start": 0}]}


@pytest.mark.parametrize(
    ("dataset_json", "predictions", "message"),
    [
        (None, {}, "dataset.json: no such file"),
        (GOOD, None, "predictions.json: no such file"),
        (b"{", {}, "dataset.json: is not JSON"),
        (GOOD, b"q1,cat", "predictions.json: is not JSON"),
        (
            GOOD,
            b'{"q1": "caf\xe9"}',
            "predictions.json: is not JSON ('utf-8' codec can't decode byte 0xe9 in position 11",
        ),
        (GOOD, b"[" * 100_000, "predictions.json: is not JSON"),
        ("data", {}, "dataset.json: must be a mapping of keys"),
        ([], {}, "dataset.json: has no question"),
        ({"data": []}, {}, "dataset.json: has no question"),
        (dataset({"id": True, "answers": []}), {}, "data[0].paragraphs[0].qas[0].id: must be text"),
        (dataset(question("q1", "x"), {"id": "q2"}), {}, "data[0].paragraphs[0].qas[1].answers: is missing"),
        (dataset(question("q1", "x"), NO_TEXT), {}, "data[0].paragraphs[0].qas[1].answers[1].text: is missing"),
        (dataset(question("q1", "x"), question("q1", "y")), {}, "data[0].paragraphs[0].qas[1].id repeats 'q1'"),
        (dataset(question("q1")), {}, "question 'q1' has no reference answer"),
        (GOOD, ["cat"], "predictions.json: must be one JSON object"),
        (GOOD, {"q1": 3}, "predictions.json: the prediction for 'q1' must be a string"),
        (GOOD, {"q1": None}, "predictions.json: the prediction for 'q1' must be a string"),
        (GOOD, b'{"q1": "cat", "q1": "dog"}', "predictions.json: has the key 'q1' twice in one object"),
    ],
)
def test_the_command_names_what_is_wrong_with_its_input(
    tmp_path: Path, dataset_json: Any, predictions: Any, message: str
) -> None:
    assert_refused(run_cli(tmp_path, dataset_json, predictions), message)


@pytest.mark.parametrize(
    ("no_answer", "message"),
    [
        ({}, "na.json: must have a finite number for the predicted question 'q1'"),
        ({"q1": "0.5"}, "na.json: must have a finite number for the predicted question 'q1'"),
        ({"q1": True}, "na.json: must have a finite number for the predicted question 'q1'"),
        ({"q1": float("nan")}, "na.json: is not JSON (NaN is not a finite number)"),
        ({"q1": 10**400}, "na.json: must have a finite number for the predicted question 'q1'"),
        ([0.5], "na.json: must be one JSON object"),
    ],
)
def test_the_command_refuses_no_answer_scores_that_are_not_numbers(
    tmp_path: Path, no_answer: Any, message: str
) -> None:
    (tmp_path / "na.json").write_text(json.dumps(no_answer), encoding="utf-8")
    assert_refused(run_cli(tmp_path, GOOD, {"q1": "cat"}, "--v2", "--na-prob-file", "na.json"), message)


def test_the_command_refuses_no_answer_scores_under_v1_rules(tmp_path: Path) -> None:
    assert_refused(run_cli(tmp_path, GOOD, {"q1": "cat"}, "--na-prob-file", "na.json"), "add --v2")


def assert_refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def test_words_are_split_by_the_rules_of_the_answers_language(tmp_path: Path) -> None:
    asked, answered = dataset(question("q1", "三百户")), {"q1": "三百户人"}  # 3 of 4 characters, 3 of 3: F1 6/7
    detected, given, official = (
        run_cli(tmp_path, asked, answered, *option) for option in ((), ("--language", "zh"), ("--language", "en"))
    )
    assert json.loads(detected.stdout) == {"exact_match": 0.0, "f1": pytest.approx(600 / 7)}
    assert "MLQA's rules for Chinese" in detected.stderr
    assert given.stdout == detected.stdout
    assert json.loads(official.stdout)["f1"] == 0.0
    assert official.stderr == ""
