"""Ask a fine-tuned checkpoint: the answer, its place in the text, and the model's probability for it."""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.core.files import read_bytes
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.evaluation import answers
from qa_tradeoffs.evaluation.answers import Engine, Reading
from qa_tradeoffs.study.config import Model


@dataclass(frozen=True)
class Answer:
    """``text`` is ``context[start:end]``; ``probability`` is its share of exp(score) over all possible spans."""

    question: str
    text: str
    start: int
    end: int
    probability: float


def ask(
    checkpoint: Path, context: str, questions: Sequence[str], *, device: str = "auto", reading: Reading | None = None
) -> list[Answer]:
    """Answer each question from ``context``, which may be of any length, by its best span, even if it has no answer.

    ``checkpoint``: the folder of a checkpoint or of an exported model. An exported model needs no torch, runs on the
    CPU, and brings its study's reading. ``reading``: None for that reading, or the default; windows have its
    ``max_length`` tokens, or fewer if the network supports fewer. Raises StudyError for an empty context or question,
    invalid Unicode, an unusable folder and an unknown ``device``.
    """
    _check_text("context", context, "a passage of text")
    for number, question in enumerate(questions, 1):
        _check_text(f"question {number}", question, "a question")
    if not questions:
        return []
    from qa_tradeoffs.engines import shipped

    load = shipped.load if shipped.is_shipped(checkpoint) else _in_torch
    engine, tokenizer, longest, own = load(checkpoint, device)
    examples = [Example(str(row), "", context, question, (), ()) for row, question in enumerate(questions)]
    asked = reading or own
    room = asked.max_length if longest is None else min(asked.max_length, longest)
    fitting = replace(asked, max_length=room, stride=min(asked.stride, room // 3))
    best = answers.answer(engine, tokenizer, examples, fitting)
    if (best.char_start < 0).any():
        raise StudyError("context: has no tokens for this model; expected a passage of text")
    columns = (column.tolist() for column in (best.text, best.char_start, best.char_end, best.probability))
    return [Answer(*row) for row in zip(questions, *columns, strict=True)]


def _in_torch(checkpoint: Path, device: str) -> tuple[Engine, Any, int | None, Reading]:
    """The network of a checkpoint, its tokenizer, the longest row that it supports, and the default reading."""
    from qa_tradeoffs.engines import pytorch
    from qa_tradeoffs.models import checkpoints, devices, inputs, tokenizers

    network = checkpoints.load(checkpoint)
    tokenizer = tokenizers.load(Model(label="asked", path=checkpoint), checkpoint, [])
    checkpoints.check_vocabulary(network, len(tokenizer), checkpoint)
    engine = pytorch.Engine(network, tokenizer.pad_token_id, devices.choose(device))
    return engine, tokenizer, inputs.of(network).longest, Reading()


def _check_text(name: str, text: str, expected: str) -> None:
    if not text.strip():
        raise StudyError(f"{name}: is empty; expected {expected}")
    if re.search("[\ud800-\udfff]", text):
        raise StudyError(f"{name}: has an unpaired surrogate; expected valid Unicode")


def main(arguments: list[str] | None = None) -> None:
    """Command line of ``python -m qa_tradeoffs.answer``: one line of JSON per question."""
    parser = argparse.ArgumentParser(description="Answer questions from a text with a fine-tuned checkpoint.")
    folder = "folder with weights, config and tokenizer, or with an exported model"
    parser.add_argument("--checkpoint", type=Path, required=True, help=folder)
    parser.add_argument("--context", type=Path, required=True, help="text file (UTF-8) to answer from")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("questions", nargs="+")
    options = parser.parse_args(arguments)
    try:
        # Read as bytes: text mode would convert line endings and shift every offset.
        context = read_bytes(options.context).decode("utf-8")
    except UnicodeDecodeError as error:
        raise StudyError(f"{options.context}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    for answer in ask(options.checkpoint, context, options.questions, device=options.device):
        print(json.dumps(asdict(answer), ensure_ascii=False))
