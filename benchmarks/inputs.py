"""The inputs of all sides: questions, and a folder with an encoder and its tokenizer.

SQuAD's development set and a pretrained encoder if the command names them; otherwise generated questions with SQuAD's
distribution of lengths, and an encoder of MiniLM's shape with random weights.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BertConfig, BertForQuestionAnswering

from qa_tradeoffs.data import generated as synthetic
from qa_tradeoffs.data import sources
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows, context_mask
from qa_tradeoffs.models import checkpoints, tokenizers

N_QUESTIONS = 10_570  # as in SQuAD v1.1's development set
VOCABULARY = 30_522
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
_QUESTIONS_PER_PASSAGE = 5
# Tokens of SQuAD's questions with contexts: median 164, 95th percentile 304, mean 176, as in this log-normal.
_MEDIAN_TOKENS, _SPREAD = 164, 0.375
_POOL = 2**17

Float32 = NDArray[np.float32]


def questions(file: str) -> tuple[str, list[Example]]:
    """A name for the questions, and the questions: those of a ``file`` in SQuAD's format, or generated ones."""
    if file:
        return Path(file).name, sources.read_files(Path(file))[0]
    return "generated questions of SQuAD's lengths", generated(N_QUESTIONS)


def generated(n: int, seed: int = 0) -> list[Example]:
    """``n`` generated questions; each context is extended to a random length by sentences of other contexts."""
    passages = -(-n // _QUESTIONS_PER_PASSAGE)
    examples = synthetic.generate(passages, _QUESTIONS_PER_PASSAGE, "validation", seed)
    rng = np.random.default_rng([seed, 1])
    lengths = rng.lognormal(np.log(_MEDIAN_TOKENS), _SPREAD, passages)
    sentences = [one for example in examples[::_QUESTIONS_PER_PASSAGE] for one in _sentences(example.context)]
    found = []
    for passage, length in enumerate(lengths):
        asked = examples[passage * _QUESTIONS_PER_PASSAGE :][:_QUESTIONS_PER_PASSAGE]
        context, room = asked[0].context, length - _tokens(asked[0].question + asked[0].context)
        while (room := room - _tokens(sentence := sentences[rng.integers(len(sentences))])) > 0:
            context += f" {sentence}"
        found += [replace(example, context=context) for example in asked]
    return found[:n]


def lengthened(examples: Sequence[Example], times: int) -> list[Example]:
    """The questions with ``times`` contexts each: the example's own in the middle, the next ones' around it."""
    texts = list(dict.fromkeys(example.context for example in examples))
    row = {text: i for i, text in enumerate(texts)}
    found = []
    for example in examples:
        around = [texts[(row[example.context] + shift) % len(texts)] for shift in range(times)]
        around.insert(times // 2, around.pop(0))
        before = sum(len(text) + 1 for text in around[: times // 2])
        starts = tuple(before + start for start in example.answer_starts)
        found.append(replace(example, context=" ".join(around), answer_starts=starts))
    return found


def write_encoder(examples: Sequence[Example], folder: Path) -> None:
    """Write an encoder of MiniLM's shape with random weights, and a tokenizer with these examples' vocabulary."""
    contexts = dict.fromkeys(example.context for example in examples)
    tokenizer = tokenizers.train_wordpiece([*contexts, *(example.question for example in examples)], VOCABULARY)
    torch.manual_seed(0)
    network = BertForQuestionAnswering(BertConfig(vocab_size=len(tokenizer), **MINILM))
    checkpoints.save(network, tokenizer, folder)


@dataclass(frozen=True)
class Logits:
    """Logits like a trained model's, as a function of the row alone.

    They are low outside the context, noise inside, with a narrow peak within two tokens of the answer.
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
        begins = (rows * 7919) % (_POOL - width)
        noise = np.lib.stride_tricks.sliding_window_view(_noise(side), width)[begins]
        in_context = noise - 3 + 10 * np.maximum(0, 1 - np.abs(np.arange(width) - peak[:, None]) / 2)
        return np.where(context_mask(self.windows, rows, width), in_context, noise / 3 - 8).astype(np.float32)


@cache
def _noise(side: int) -> Float32:
    return np.random.default_rng(side).normal(0, 1.5, _POOL).astype(np.float32)


def _sentences(text: str) -> list[str]:
    return re.findall(r"[^.]+\.", text)


def _tokens(text: str) -> int:
    """Words and punctuation marks: the tokens under a vocabulary with every word of the text."""
    return len(re.findall(r"\w+|[^\w\s]", text))
