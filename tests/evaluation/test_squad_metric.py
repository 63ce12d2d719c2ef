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
print(json.dumps(evaluate.load(sys.argv[1]).compute(**rows)))
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
    questions = rows({"q1": "The cat!", "q2": "big dog"}, {"q1": ["bird", "cat"], "q2": ["dog"]})
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(script), json.dumps(questions)],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == pytest.approx({"exact_match": 50.0, "f1": 250 / 3})
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
