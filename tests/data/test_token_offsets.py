"""Tokens have the offsets of their characters, however the tokenizer treats spaces."""

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import build
from qa_tradeoffs.data.token_offsets import corrected

TEXT = "go to  Rome, now"


def fixed(offsets: list[tuple[int, int]], surfaces: list[str], texts: list[str] | None = None, splits=None):
    """The spans after correction; ``surfaces`` are those of all tokens."""
    texts = texts or [TEXT]
    found = corrected(
        np.array(offsets, np.int32),
        np.array(splits or [0, len(offsets)]),
        texts,
        lambda rows: [surfaces[r] for r in rows],
    )
    return [tuple(span) for span in found.tolist()]


RIGHT, WORDS = [(0, 2), (3, 5), (7, 11), (11, 12), (13, 16)], ["go", " to", " Rome", ",", " now"]


@pytest.mark.parametrize(
    "given",
    [
        RIGHT,
        [(0, 2), (2, 5), (5, 11), (11, 12), (12, 16)],  # the blank before a word counted in
        [(0, 3), (3, 6), (7, 11), (11, 13), (13, 16)],  # or the one after it
        [(0, 2), (4, 5), (8, 11), (11, 12), (14, 16)],  # one character late
    ],
)
def test_words_begin_and_end_with_their_characters(given):
    assert fixed(given, WORDS) == RIGHT


def test_characters_that_the_tokenizer_left_out_are_not_given_to_the_next_word():
    assert fixed([(0, 2), (5, 9)], ["go", " Rome"], ["go t\u0301Rome"]) == [(0, 2), (5, 9)]
    assert fixed([(0, 2), (4, 8)], ["go", " Rome"], ["go —Rome"[:3] + "—Rome"]) == [(0, 2), (4, 8)]


def test_a_token_of_blanks_alone_stays_where_it_is():
    assert fixed([(0, 2), (2, 3), (3, 5)], ["go", " ", "to"]) == [(0, 2), (2, 3), (3, 5)]
    assert fixed([(0, 2), (3, 3), (3, 5)], ["go", "", "to"]) == [(0, 2), (3, 3), (3, 5)]


def test_starts_and_ends_never_go_back():
    # The token of a blank that was put before the comma, cut off twice: it stands behind the comma.
    assert fixed([(7, 11), (12, 12), (11, 12)], ["Rome", "", ","]) == [(7, 11), (11, 12), (11, 12)]


def test_each_text_is_corrected_separately():
    assert fixed([(0, 2), (0, 1), (3, 4)], ["go", "x", " yz"], ["go", "x yz"], [0, 1, 3]) == [(0, 2), (0, 1), (2, 4)]
    assert fixed([(1, 2)], [" yz"], ["go", "yz"], [0, 0, 1]) == [(0, 2)]
    assert fixed([], [], ["", ""], [0, 0, 0]) == []


def late() -> PreTrainedTokenizerFast:
    """A tokenizer like RobBERT's: words are cut out without their blank, get one, and lose two characters for it."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=True), pre_tokenizers.Punctuation()]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>", "</s>", "<pad>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    inner.train_from_iterator(["She lives in Amsterdam"] * 3, trainer)
    inner.decoder = decoders.ByteLevel()
    ids = [(token, inner.token_to_id(token)) for token in ("</s>", "<s>")]
    inner.post_processor = processors.RobertaProcessing(*ids, trim_offsets=True, add_prefix_space=True)
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>")


def test_the_label_of_a_late_tokenizer_reads_as_the_answer():
    tokenizer, context = late(), "She (1 of 5) lives in Amsterdam, é she says."
    whole = tokenizer(context, return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
    assert "Amsterdam" not in {context[begin:end] for begin, end in whole}
    for answer in ("Amsterdam", "5", "lives in Amsterdam", "She", "says", "(1 of 5)"):
        windows = build([Example("1", "", context, "Where?", (answer,), (context.index(answer),))], tokenizer, 60, 8)
        first, last = windows.start_labels[0], windows.end_labels[0]
        assert context[windows.offsets[first, 0] : windows.offsets[last, 1]] == answer
