"""Asking a checkpoint: the answer is at its offsets, and invalid input gives an error of one sentence."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.engines import asking
from qa_tradeoffs.evaluation.answers import Reading
from qa_tradeoffs.models import checkpoints


@pytest.fixture(scope="module")
def checkpoint(network_of: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    checkpoints.save(network_of(), tokenizer, folder)
    return folder


CONTEXT = "Ada lives in Rome.\r\nBob lives in Paris, and Carla in Lima."
QUESTIONS = ["Where does Ada live?", "Who lives in Paris?"]


def ask(checkpoint: Path, context: str = CONTEXT, questions: Any = QUESTIONS, **settings: Any) -> list[asking.Answer]:
    return asking.ask(checkpoint, context, questions, device="cpu", **settings)


def test_an_answer_is_the_text_at_its_place_with_a_probability(checkpoint):
    answers = ask(checkpoint)
    assert [answer.question for answer in answers] == QUESTIONS
    for answer in answers:
        assert answer.text == CONTEXT[answer.start : answer.end] != ""
        assert 0 < answer.probability <= 1
    assert ask(checkpoint, questions=[]) == []


def test_probabilities_of_a_one_word_context_are_one(checkpoint):
    (answer,) = ask(checkpoint, "Rome", QUESTIONS[:1])
    assert (answer.text, answer.start, answer.end) == ("Rome", 0, 4)
    assert answer.probability == pytest.approx(1)


def test_an_answer_has_at_most_the_tokens_allowed(checkpoint):
    assert all(len(answer.text.split()) == 1 for answer in ask(checkpoint, reading=Reading(max_answer_tokens=1)))


class Finder(torch.nn.Module):
    """A network of 64 positions for which one token, and nothing else, is the answer."""

    config = SimpleNamespace(max_position_embeddings=64, vocab_size=1000)

    def __init__(self, token: int) -> None:
        super().__init__()
        self.token = token

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        logits = 20.0 * (input_ids == self.token)
        return SimpleNamespace(start_logits=logits, end_logits=logits)


def test_a_long_context_is_read_to_its_end(checkpoint, tokenizer, monkeypatch):
    monkeypatch.setattr(checkpoints, "load", lambda _: Finder(tokenizer.convert_tokens_to_ids("rome")))
    filler = "Bob lives in Paris. " * 500  # 2,500 tokens on either side
    (answer,) = ask(checkpoint, filler + "Rome " + filler, QUESTIONS[:1])
    assert (answer.text, answer.start) == ("Rome", 10_000)
    # The overlap of two windows may show it twice, sharing the probability.
    assert answer.probability > 0.49


def test_a_context_without_a_word_is_refused(checkpoint):
    with pytest.raises(StudyError, match="context: has no tokens"):
        ask(checkpoint, "\u200b\u0001")


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(StudyError, match="is not a checkpoint"):
        ask(tmp_path)


def run_main(checkpoint: Path, context: Path, *questions: str) -> None:
    asking.main(["--checkpoint", str(checkpoint), "--context", str(context), "--device", "cpu", *questions])


def test_the_command_prints_one_json_object_a_question_with_offsets_in_the_file(checkpoint, tmp_path, capsys):
    (tmp_path / "text").write_bytes(CONTEXT.encode())
    run_main(checkpoint, tmp_path / "text", *QUESTIONS)
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [set(row) for row in printed] == [{"question", "text", "start", "end", "probability"}] * 2
    for row in printed:
        assert row["text"] == (tmp_path / "text").read_bytes().decode()[row["start"] : row["end"]]


@pytest.mark.parametrize(("content", "message"), [(None, "no such file"), (b"\xff", "is not UTF-8 text (byte 0)")])
def test_a_text_that_cannot_be_read_is_named(checkpoint, tmp_path, content, message):
    text = tmp_path / "text"
    if content is not None:
        text.write_bytes(content)
    with pytest.raises(StudyError) as error:
        run_main(checkpoint, text, "Who?")
    assert str(error.value).startswith(f"{text}: {message}")


def test_wrong_input_ends_in_one_line_and_exit_code_2(tmp_path):
    (tmp_path / "text").write_text(" ")
    command = [sys.executable, "-m", "qa_tradeoffs.answer", "--checkpoint", "nowhere", "--context"]
    ended = subprocess.run([*command, str(tmp_path / "text"), "Who?"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: context: is empty; expected a passage of text\n"
