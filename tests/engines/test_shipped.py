"""A shipped folder gives the answers of its original engine, even if torch cannot be imported."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.engines import asking, shipped
from qa_tradeoffs.evaluation import answers
from qa_tradeoffs.evaluation.answers import Reading
from qa_tradeoffs.models import inputs

pytestmark = pytest.mark.xdist_group("exported")
READING = Reading(max_length=48, stride=8, max_question_tokens=16)


@pytest.fixture
def folder(exported, tokenizer, tmp_path) -> Path:
    of_network, engines = exported["bert"]
    tokenizer.save_pretrained(tmp_path)
    shutil.copy(engines["onnxruntime-int8"].file, tmp_path / shipped.NETWORK)
    shipped.write(tmp_path, "onnxruntime-int8", inputs.of(of_network.network), 0, READING, {"precision": "int8"})
    return tmp_path


def test_it_gives_the_answers_of_the_engine_that_it_was_made_from(folder, exported, tokenizer, examples):
    _, engines = exported["bert"]
    expected = answers.answer(engines["onnxruntime-int8"], tokenizer, examples, READING)
    found = asking.ask(folder, examples[0].context, [example.question for example in examples])
    assert [answer.text for answer in found] == expected.text.tolist()
    assert [answer.probability for answer in found] == pytest.approx(expected.probability.tolist(), rel=1e-5)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from qa_tradeoffs.engines import asking
asking.main(sys.argv[1:])
"""


def test_it_answers_even_if_torch_cannot_be_imported(folder, examples, tmp_path):
    (tmp_path / "text").write_text(examples[0].context)
    command = [sys.executable, "-c", WITHOUT_TORCH, "--checkpoint", str(folder), "--context", str(tmp_path / "text")]
    ended = subprocess.run([*command, examples[0].question], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    (expected,) = asking.ask(folder, examples[0].context, [examples[0].question])
    assert json.loads(ended.stdout)["text"] == expected.text


def changed(file: str, content: bytes) -> Any:
    return lambda folder: (folder / file).write_bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("network.onnx", b"other"), "network.onnx: .*serving.json"),
        (changed("serving.json", b"{}"), "serving.json: engine: is missing"),
        (changed("tokenizer.json", b"{"), "its tokenizer cannot be loaded"),
        (lambda folder: (folder / "network.onnx").unlink(), "network.onnx: no such file"),
    ],
)
def test_missing_or_changed_files_are_refused(folder, change, message):
    change(folder)
    with pytest.raises(StudyError, match=message):
        asking.ask(folder, "Rome", ["Where?"])


def test_it_runs_on_the_cpu_only(folder):
    with pytest.raises(StudyError, match="choose cpu or auto, not cuda"):
        asking.ask(folder, "Rome", ["Where?"], device="cuda")
