"""Small questions with one token per word, and slow loops over every span, with which answers must agree."""

import math

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from qa_tradeoffs.data.example import Example

WORDS = [f"w{i}" for i in range(20)]
CLS, W0, W1, W2 = 2, 4, 5, 6  # token ids


def all_spans(start: list[float], end: list[float], mask: list[bool], longest: int) -> list[tuple[float, int, int]]:
    """Every admissible (score, first token, last token), by first token, then last."""
    return [
        (start[first] + end[last], first, last)
        for first in range(len(start))
        for last in range(first, len(start))
        if last - first + 1 <= longest and mask[first] and mask[last]
    ]


def log_sum_exp(scores: list[float]) -> float:
    return max(scores) + math.log(sum(math.exp(score - max(scores)) for score in scores))


def tokenizer() -> PreTrainedTokenizerFast:
    """One token per word."""
    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]")


def questions(n: int, seed: int = 0) -> list[Example]:
    """Contexts of 1 to 60 words, the last one empty, and questions of 1 to 5."""
    generator = np.random.default_rng(seed)
    return [
        Example(
            id=f"q{i}",
            title="title",
            context=" ".join(generator.choice(WORDS, generator.integers(1, 60) if i < n - 1 else 0)),
            question=" ".join(generator.choice(WORDS, generator.integers(1, 6))),
            answers=(),
            answer_starts=(),
        )
        for i in range(n)
    ]
