"""What both sides are given: questions, a tokenizer, logits, and an encoder of MiniLM's shape with random weights."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BertConfig, BertForQuestionAnswering

from qa_tradeoffs.core.files import ROOT
from qa_tradeoffs.data import generated as synthetic
from qa_tradeoffs.data import sources
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows, context_mask
from qa_tradeoffs.models import tokenizers

N_QUESTIONS = 10_570  # of SQuAD v1.1's development set, and as many where it is not there
VOCABULARY = 30_522
_QUESTIONS_PER_PASSAGE = 5
_POOL = 2**17

Float32 = NDArray[np.float32]


def squad_file() -> Path:
    """SQuAD's development set: QA_TRADEOFFS_SQUAD, or beside the repository."""
    return Path(os.environ.get("QA_TRADEOFFS_SQUAD", ROOT.parent / "shared" / "squad" / "dev-v1.1.json"))


def questions() -> tuple[str, list[Example]]:
    """The questions and a name for them: SQuAD's where the file is, else as many generated ones."""
    if squad_file().is_file():
        return "SQuAD v1.1, development set", sources.read_squad(squad_file())[0]
    return "generated", generated(N_QUESTIONS)


def generated(n: int, passages_per_context: int = 1, seed: int = 0) -> list[Example]:
    """``n`` generated questions; each context is so many passages, the one that is asked about in the middle."""
    passages = -(-n // _QUESTIONS_PER_PASSAGE)
    examples = synthetic.generate(passages, _QUESTIONS_PER_PASSAGE, "validation", seed)
    own = [examples[first].context for first in range(0, len(examples), _QUESTIONS_PER_PASSAGE)]
    middle = passages_per_context // 2
    around = [
        [own[(i + shift) % passages] for shift in range(-middle, passages_per_context - middle)]
        for i in range(passages)
    ]
    before = [len(" ".join([*texts[:middle], ""])) for texts in around]
    return [
        replace(example, context=" ".join(around[i]), answer_starts=(before[i] + example.answer_starts[0],))
        for i, example in ((row // _QUESTIONS_PER_PASSAGE, example) for row, example in enumerate(examples[:n]))
    ]


def tokenizer(examples: Sequence[Example]) -> Any:
    """A fast WordPiece tokenizer with a vocabulary of the examples' contexts and questions."""
    contexts = dict.fromkeys(example.context for example in examples)
    return tokenizers.train_wordpiece([*contexts, *(example.question for example in examples)], VOCABULARY)


MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}


def encoder(vocabulary: int, seed: int = 0, shape: dict[str, int] = MINILM) -> Any:
    """A BERT of this shape with random weights; its answers are in the context, as a trained model's are."""
    torch.manual_seed(seed)
    network = BertForQuestionAnswering(BertConfig(vocab_size=vocabulary, **shape))
    with torch.no_grad():  # the answer head looks for what marks the tokens of the context
        mark = torch.randn(shape["hidden_size"])
        network.bert.embeddings.token_type_embeddings.weight[1] += 0.05 * mark
        network.qa_outputs.weight += 0.02 * mark
    return network


@dataclass(frozen=True)
class Logits:
    """Logits like those of a trained model, a function of the row alone.

    Low outside the context, noise in it, and a narrow peak that is at the answer or within two tokens of it.
    """

    windows: Windows
    seed: int = 0

    def padded(self, width: int, chunk: int = 1000) -> tuple[Float32, Float32]:
        """Start and end logits (n_windows, width) of all windows."""
        rows = np.array_split(np.arange(len(self.windows.lengths)), max(1, len(self.windows.lengths) // chunk))
        start, end = (np.concatenate([self._of(part, width, side) for part in rows]) for side in (0, 1))
        return start, end

    def _of(self, rows: NDArray[np.int64], width: int, side: int) -> Float32:
        label = (self.windows.start_labels, self.windows.end_labels)[side][rows]
        off = np.random.default_rng([self.seed, side]).choice([-2, -1, 0, 1, 2], _POOL, p=[0.05, 0.05, 0.8, 0.05, 0.05])
        peak = np.where(label > 0, label + off[rows % _POOL], -width)
        from_noise, away = noise(rows, width, side), np.abs(np.arange(width) - peak[:, None])
        in_context = from_noise - 3 + 10 * np.maximum(0, 1 - away / 2)
        return np.where(context_mask(self.windows, rows, width), in_context, from_noise / 3 - 8).astype(np.float32)


def noise(rows: NDArray[np.int64], width: int, side: int) -> Float32:
    """Normal deviates (b, width), a function of the rows and the side alone: 0 starts, 1 ends."""
    begins = (rows * 7919) % (_POOL - width)
    return np.lib.stride_tricks.sliding_window_view(_pool(side), width)[begins]


@cache
def _pool(side: int) -> Float32:
    return np.random.default_rng(side).normal(0, 1.5, _POOL).astype(np.float32)
