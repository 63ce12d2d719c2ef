"""The metric for the evaluate library: SQuAD's official rules by default, or those of a given language."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.evaluation.squad_metric import SquadMetric

SOURCE = Path(__file__).parents[2] / "src"

# evaluate reads where its caches are when it is imported, hence a process of its own.
OFFLINE = """
import json, socket, sys
import evaluate

def refuse(*args, **kwargs):
    raise OSError("this test allows no connection")

socket.socket.connect = socket.create_connection = refuse
rows = json.loads(sys.argv[2])
metric = evaluate.load(sys.argv[1])
print(json.dumps([metric.compute(**rows), metric.compute(**rows, language="de")]))
"""


def rows(predicted: dict[str, str], texts: dict[str, list[str]]) -> dict[str, list[Any]]:
    """Predictions and references by question id in the metric's input format."""
    return {
        "predictions": [{"id": i, "prediction_text": text} for i, text in predicted.items()],
        "references": [{"id": i, "answers": {"text": t, "answer_start": [0] * len(t)}} for i, t in texts.items()],
    }


def test_evaluate_loads_the_metric_by_path_offline_and_writes_only_to_its_cache(tmp_path: Path) -> None:
    home, cache = tmp_path / "home", tmp_path / "cache"
    home.mkdir()
    environment = os.environ | {
        "HOME": str(home),
        "HF_HOME": str(cache),
        "HF_MODULES_CACHE": str(cache / "modules"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")]),
    }
    script = SOURCE / "qa_tradeoffs" / "evaluation" / "squad_metric.py"
    questions = rows({"q1": "The cat!", "q2": "big Hund"}, {"q1": ["bird", "cat"], "q2": ["der Hund"]})
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(script), json.dumps(questions)],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    # big hund against der hund: F1 1/2; against hund, without the German article, 2/3; but then the counts as a word.
    official, german = json.loads(done.stdout)
    assert official == pytest.approx({"exact_match": 50.0, "f1": 100 * (1 + 1 / 2) / 2})
    assert german == pytest.approx({"exact_match": 0.0, "f1": 100 * (2 / 3 + 2 / 3) / 2})
    assert list(home.iterdir()) == []


@pytest.fixture
def metric(tmp_path: Path) -> SquadMetric:
    return SquadMetric(cache_dir=str(tmp_path))


def test_rows_added_in_batches_are_scored_together(metric):
    metric.add_batch(**rows({"q1": "The cat!"}, {"q1": ["bird", "cat"]}))
    metric.add_batch(**rows({"q2": "big dog"}, {"q2": ["dog"]}))
    assert metric.compute() == pytest.approx({"exact_match": 50.0, "f1": 250 / 3})


def test_a_question_without_a_prediction_scores_zero_and_is_logged(metric, caplog):
    with caplog.at_level(logging.WARNING):
        summary = metric.compute(**rows({"q1": "cat", "stray": "dog"}, {"q1": ["cat"], "q2": ["dog"]}))
    assert summary == {"exact_match": 50.0, "f1": 50.0}
    assert "questions without a prediction, scored 0: 1" in caplog.text


def test_a_repeated_id_is_refused(metric):
    questions = {name: twice * 2 for name, twice in rows({"q1": "cat"}, {"q1": ["cat"]}).items()}
    with pytest.raises(StudyError, match="predictions have the id 'q1' 2 times"):
        metric.compute(**questions)


# Predicted, expected: by the official rules, then by those of the language: EM and F1 in points.
CASES = {
    "zh": [
        ("三百户人", "三百户", (0.0, 0.0), (0.0, 600 / 7)),  # 3 of 4 characters, 3 of 3
        ("李木匠。", "李木匠", (0.0, 0.0), (100.0, 100.0)),  # the full stop is none of ASCII
        ("1791年", "1791年", (100.0, 100.0), (100.0, 100.0)),
    ],
    "de": [
        ("die Mauer", "der Mauer", (0.0, 50.0), (100.0, 100.0)),
        ("die Berliner Mauer", "Mauer", (0.0, 50.0), (0.0, 200 / 3)),  # 1 of 3 and 1 of 1; 1 of 2 and 1 of 1
        ("a Mauer", "Mauer", (100.0, 100.0), (0.0, 200 / 3)),  # the article of English only
    ],
    "en": [("The cat!", "a cat", (100.0, 100.0), (100.0, 100.0)), ("big dog", "dog", (0.0, 200 / 3), (0.0, 200 / 3))],
}


@pytest.mark.parametrize(
    ("language", "case"), [(language, case) for language, cases in CASES.items() for case in cases]
)
def test_the_official_rules_apply_unless_a_language_is_given(metric, language, case):
    predicted, expected, official, own = case
    questions = rows({"q": predicted}, {"q": [expected]})
    assert tuple(metric.compute(**questions).values()) == pytest.approx(official)
    assert tuple(metric.compute(**questions, language=language).values()) == pytest.approx(own)


def test_without_a_language_all_cases_score_as_in_another_implementation_of_the_official_rules(metric):
    squad = pytest.importorskip("torchmetrics.functional.text.squad").squad
    pairs = {f"{n}": case for n, case in enumerate(case for cases in CASES.values() for case in cases)}
    questions = rows({i: case[0] for i, case in pairs.items()}, {i: [case[1]] for i, case in pairs.items()})
    theirs = squad(questions["predictions"], questions["references"])
    assert metric.compute(**questions) == pytest.approx({key: float(value) for key, value in theirs.items()})


def test_a_language_without_rules_is_refused(metric):
    with pytest.raises(StudyError, match=r"^language: 'zh-cn' .*; choose one of ar, bn, "):
        metric.compute(**rows({"q": "cat"}, {"q": ["cat"]}), language="zh-cn")
