"""Windows equal the tokenizer's own for each pair, and labels those of the usual loop over offsets."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import batches, build, context_mask, pad, parts

WORDS = ["the", "Zürich", "naïve", "東京", "1,024", "don't", "re-run", "😀", "Ωmega", "observatory", "(a)", "Привет"]


def wordpiece() -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    inner.train_from_iterator(WORDS[:-3] * 3, trainers.WordPieceTrainer(vocab_size=60, special_tokens=special))
    ids = [(token, inner.token_to_id(token)) for token in ("[SEP]", "[CLS]")]
    inner.post_processor = processors.BertProcessing(*ids)
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=16, pad_token="[PAD]")


def byte_level() -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    inner.train_from_iterator(WORDS * 3, trainer)
    ids = [(token, inner.token_to_id(token)) for token in ("</s>", "<s>")]
    inner.post_processor = processors.RobertaProcessing(*ids, add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=16, pad_token="<pad>")


WORDPIECE, BYTE_LEVEL = wordpiece(), byte_level()


@st.composite
def examples(draw: st.DrawFn) -> Example:
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=40))
    gaps = draw(st.lists(st.sampled_from([" ", "  ", "\n"]), min_size=len(words), max_size=len(words)))
    starts = np.cumsum([0] + [len(word + gap) for word, gap in zip(words, gaps, strict=True)])[:-1]
    context = "".join(word + gap for word, gap in zip(words, gaps, strict=True))
    first = draw(st.integers(0, len(words) - 1))
    last = draw(st.integers(first, min(first + 4, len(words) - 1)))
    answer = context[starts[first] : starts[last] + len(words[last])]
    question = draw(st.sampled_from(["", " ", "\t"])) + " ".join(draw(st.lists(st.sampled_from(WORDS), max_size=3)))
    if draw(st.booleans()):
        return Example("id", "title", context, question, (answer, "another"), (int(starts[first]), 0))
    return Example("id", "title", context, question, (), ())


def pair_windows(example: Example, tokenizer: PreTrainedTokenizerFast, max_length: int, stride: int):
    """One question at a time through the tokenizer: per window ids, types, context offsets."""
    pair = tokenizer(
        example.question.lstrip(),
        example.context,
        truncation="only_second",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_token_type_ids=True,
    )
    for i, ids in enumerate(pair["input_ids"]):
        offsets = [
            span if part == 1 else (-1, -1)
            for span, part in zip(pair["offset_mapping"][i], pair.sequence_ids(i), strict=True)
        ]
        yield ids, pair["token_type_ids"][i], offsets


def loop_labels(offsets: list[tuple[int, int]], example: Example) -> tuple[int, int]:
    """The labels of one window, found by walking in from both ends of its context tokens."""
    context = [position for position, span in enumerate(offsets) if span != (-1, -1)]
    if not example.answers:
        return 0, 0
    begin, end = example.answer_starts[0], example.answer_starts[0] + len(example.answers[0])
    if not (context and offsets[context[0]][0] <= begin and offsets[context[-1]][1] >= end):
        return 0, 0
    return (
        max(position for position in context if offsets[position][0] <= begin),
        min(position for position in context if offsets[position][1] >= end),
    )


def rows_of(windows, column: np.ndarray) -> list[list]:
    return [part.tolist() for part in np.split(column, windows.splits[1:-1])]


def one(context: str, question: str, answers: dict[int, str] | None = None) -> Example:
    answers = answers or {}
    return Example("q1", "title", context, question, tuple(answers.values()), tuple(answers))


@pytest.mark.parametrize("tokenizer", [WORDPIECE, BYTE_LEVEL], ids=["wordpiece", "byte-level"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_windows_and_labels_are_those_of_the_tokenizer_called_on_each_pair_and_of_a_loop(tokenizer, data):
    asked = data.draw(st.lists(examples(), min_size=1, max_size=4))
    stride = data.draw(st.integers(0, 6))
    max_length = data.draw(st.integers(60, 90)) + stride
    windows = build(asked, tokenizer, max_length, stride)
    expected = [
        (row, *window)
        for row, example in enumerate(asked)
        for window in pair_windows(example, tokenizer, max_length, stride)
    ]
    of_example, ids, types, offsets = zip(*expected, strict=True)
    assert windows.example.tolist() == list(of_example)
    assert rows_of(windows, windows.input_ids) == list(ids)
    assert rows_of(windows, windows.token_type_ids) == list(types)
    assert [[tuple(span) for span in row] for row in rows_of(windows, windows.offsets)] == list(offsets)
    if tokenizer is WORDPIECE:  # the loop labels one of several tokens of a byte-level character
        labels = [loop_labels(spans, asked[row]) for row, spans in zip(of_example, offsets, strict=True)]
        assert list(zip(windows.start_labels.tolist(), windows.end_labels.tolist(), strict=True)) == labels


@settings(max_examples=60, deadline=None)
@given(asked=st.lists(examples(), min_size=1, max_size=4))
def test_byte_level_labels_give_back_the_answer_text(asked):
    """Several byte tokens can share one character: all tokens of the answer are labelled."""
    windows = build(asked, BYTE_LEVEL, 1000, 0)
    assert len(windows.lengths) == len(asked)
    for i, example in enumerate(asked):
        start, end = windows.splits[i] + windows.start_labels[i], windows.splits[i] + windows.end_labels[i]
        if not example.answers:
            assert (start, end) == (windows.splits[i], windows.splits[i])
            continue
        begin, stop = windows.offsets[start, 0], windows.offsets[end, 1]
        assert (begin, example.context[begin:stop]) == (example.answer_starts[0], example.answers[0])
        before, after = windows.offsets[start - 1], windows.offsets[end + 1]
        assert before[1] <= begin and (after[0] >= stop or after[0] == -1)


def letters() -> PreTrainedTokenizerFast:
    """One token per letter, for windows that can be read off by hand."""
    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghij?"])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]")


def test_an_answer_cut_by_a_window_is_labelled_only_where_it_is_whole():
    windows = build([one("a b c d e f", "? ?", {4: "c d"})], letters(), max_length=8, stride=1)
    tokens = [" ".join(letters().convert_ids_to_tokens(row)) for row in rows_of(windows, windows.input_ids)]
    assert tokens == [
        "[CLS] ? ? [SEP] a b c [SEP]",
        "[CLS] ? ? [SEP] c d e [SEP]",
        "[CLS] ? ? [SEP] e f [SEP]",
    ]
    assert windows.start_labels.tolist() == [0, 4, 0]
    assert windows.end_labels.tolist() == [0, 5, 0]


def test_an_answer_in_the_middle_of_a_token_is_labelled_with_that_token():
    windows = build([one("a bbb c", "?", {3: "b"})], letters())
    assert (windows.start_labels.tolist(), windows.end_labels.tolist()) == ([4], [4])


def test_an_answer_without_tokens_is_not_labelled():
    windows = build([one("a   b", "?", {2: " "}), one("b", "?", {0: "b"})], letters())
    assert windows.start_labels.tolist() == [0, 3]


def test_questions_are_cut_to_their_first_tokens():
    windows = build([one("a b", "c d e ?", {2: "b"})], letters(), max_question_tokens=2)
    assert letters().convert_ids_to_tokens(windows.input_ids) == ["[CLS]", "c", "d", "[SEP]", "a", "b", "[SEP]"]
    assert windows.start_labels.tolist() == [5]


@pytest.mark.parametrize("context", ["", "  "])
def test_a_context_without_tokens_still_has_one_window(context):
    windows = build([one("a", "?"), one(context, "?"), one("b", "?")], letters())
    assert windows.lengths.tolist() == [5, 4, 5]
    assert windows.example.tolist() == [0, 1, 2]


def test_long_contexts_are_cut_without_a_warning(caplog):
    logger = logging.getLogger("transformers")  # it does not propagate to the root, where caplog listens
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.WARNING, "transformers")
    try:
        build([one("the " * 200, "the")], wordpiece(), 60, 10)
    finally:
        logger.removeHandler(caplog.handler)
    assert not caplog.messages


def test_each_distinct_context_is_tokenised_once():
    seen = []

    class Counting(PreTrainedTokenizerFast):
        @property
        def backend_tokenizer(self):
            return SimpleNamespace(no_truncation=lambda: None, no_padding=lambda: None, encode_batch=self.counted)

        def counted(self, texts, **options):
            seen.extend(texts)
            return self._tokenizer.encode_batch(texts, **options)

    tokenizer = Counting(tokenizer_object=letters().backend_tokenizer)
    build([one("a b", "?"), one("c", "? ?"), one("a b", "? ? ?")], tokenizer)
    assert sorted(seen) == ["?", "? ?", "? ? ?", "a b", "c"]


def test_truncation_and_padding_in_a_tokenizer_file_are_ignored():
    as_a_file_asks = letters()
    as_a_file_asks.backend_tokenizer.enable_truncation(3)
    as_a_file_asks.backend_tokenizer.enable_padding(length=12)
    windows = build([one("a b c d e f", "? ?")], as_a_file_asks)
    assert windows.lengths.tolist() == [11]


def test_a_max_length_without_room_is_refused_with_one_that_suffices():
    example = one("a b c d e f", "? ?")
    with pytest.raises(StudyError, match=r"question q1.*at least 9"):
        build([example], letters(), max_length=8, stride=3)
    assert len(build([example], letters(), max_length=9, stride=3).lengths) == 3


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(StudyError, match="fast tokenizer"):
        build([one("a", "?")], SimpleNamespace(is_fast=False))


def test_a_tokenizer_without_leading_special_token_is_refused():
    bare = letters()
    bare.backend_tokenizer.post_processor = processors.TemplateProcessing("$A", "$A [SEP] $B:1", [("[SEP]", 3)])
    with pytest.raises(StudyError, match="leading special token"):
        build([one("a", "?")], bare)


def test_padding_fills_rows_on_the_right():
    windows = build([one("a b", "?"), one("a", "?"), one("a b c d", "?")], letters())
    inputs = pad(windows, np.array([1, 0]), pad_token_id=9)
    assert inputs["input_ids"].tolist() == [[2, 14, 3, 4, 3, 9], [2, 14, 3, 4, 5, 3]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]]
    assert inputs["token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 1, 1]]
    assert {array.dtype for array in inputs.values()} == {np.dtype(np.int64)}
    assert pad(windows, np.array([1, 0]), 9, multiple_of=4)["input_ids"].shape == (2, 8)
    assert context_mask(windows, np.array([1, 0]), 7).astype(int).tolist() == [
        [0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 0, 0],
    ]


def test_batches_have_rows_of_similar_length_within_the_token_budget():
    cut = batches(np.array([3, 9, 3, 4, 20, 3]), max_tokens=10)
    assert [rows.tolist() for rows in cut] == [[4], [1], [3, 0], [2, 5]]


def test_rows_of_equal_length_keep_their_order():
    (rows,) = batches(np.tile([5, 7], 50), max_tokens=700)
    assert rows.tolist() == [*range(1, 100, 2), *range(0, 100, 2)]


@given(lengths=st.lists(st.integers(1, 50), max_size=40), max_tokens=st.integers(1, 200))
def test_every_row_is_in_one_batch_and_no_batch_exceeds_the_budget(lengths, max_tokens):
    cut = batches(np.array(lengths, np.int64), max_tokens)
    assert sorted(row for rows in cut for row in rows.tolist()) == list(range(len(lengths)))
    for rows in cut:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= max_tokens


def test_an_update_is_split_if_padding_costs_more_than_another_part():
    # 20 stands alone where a part costs less than the 2 · (20 - 9) tokens that padding both others to it takes.
    lengths = np.array([9, 20, 8])
    assert [part.tolist() for part in parts(lengths, own_cost=21)] == [[1], [0, 2]]
    assert [part.tolist() for part in parts(lengths, own_cost=24)] == [[1, 0, 2]]
    assert [part.tolist() for part in parts(lengths, own_cost=0.5)] == [[1], [0], [2]]
    # In multiples of 8 the two shorter ones are padded to 16 and 8, and the longest to 24.
    assert [part.tolist() for part in parts(lengths, own_cost=7, multiple_of=8)] == [[1], [0], [2]]
    assert [part.tolist() for part in parts(lengths, own_cost=9, multiple_of=8)] == [[1], [0, 2]]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(0, 20))
def test_no_other_split_of_an_update_is_cheaper(lengths, own_cost):
    cut = parts(np.array(lengths), own_cost)
    assert sorted(row for part in cut for row in part) == list(range(len(lengths)))
    cost = sum(len(part) * max(lengths[row] for row in part) + own_cost for part in cut)
    assert cost == min(cost_of(way, own_cost) for way in partitions(lengths))


def cost_of(way: list[list[int]], own_cost: int) -> int:
    return sum(len(part) * max(part) + own_cost for part in way)


def partitions(lengths: list[int]) -> list[list[list[int]]]:
    """Every way to divide some lengths into groups."""
    if not lengths:
        return [[]]
    first, *rest = lengths
    smaller = partitions(rest)
    return [
        changed
        for way in smaller
        for changed in ([[first], *way], *([*way[:i], [first, *way[i]], *way[i + 1 :]] for i in range(len(way))))
    ]
