"""Ask a fine-tuned checkpoint: the answer, where it stands in the text, and how probable the model holds it."""

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
    """``text`` is ``context[start:end]``; ``probability`` its share among all spans the model could have chosen."""

    question: str
    text: str
    start: int
    end: int
    probability: float


def ask(
    checkpoint: Path, context: str, questions: Sequence[str], *, device: str = "auto", reading: Reading | None = None
) -> list[Answer]:
    """Answer each question from ``context``, of any length: it is read in windows of ``reading.max_length`` tokens, or
    as many as the network takes. The answer is the best span there is, even where the context holds none.

    ``checkpoint``: a folder with one, or that of an exported model, which needs no torch, runs on the processor, and
    brings the reading of its study. Raises StudyError for an empty context or question, a folder that cannot be used,
    an unknown ``device``.
    """
    _check_text("context", context, "a passage of text")
    for number, question in enumerate(questions, 1):
        _check_text(f"question {number}", question, "a text")
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
        raise StudyError("context: has no word that this model can read; expected a passage of text")
    columns = (column.tolist() for column in (best.text, best.char_start, best.char_end, best.probability))
    return [Answer(*row) for row in zip(questions, *columns, strict=True)]


def _in_torch(checkpoint: Path, device: str) -> tuple[Engine, Any, int | None, Reading]:
    """The network of a checkpoint, its tokenizer, the longest row that it takes, and the default reading."""
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
        raise StudyError(f"{name}: holds half a surrogate pair; expected valid Unicode")


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
        # Bytes, since reading as text would turn the ends of lines into single characters and move every offset.
        context = read_bytes(options.context).decode("utf-8")
    except UnicodeDecodeError as error:
        raise StudyError(f"{options.context}: is not UTF-8 text (byte {error.start})") from None
    for answer in ask(options.checkpoint, context, options.questions, device=options.device):
        print(json.dumps(asdict(answer), ensure_ascii=False))
