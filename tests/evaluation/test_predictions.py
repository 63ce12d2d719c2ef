"""Answers equal those of slow loops over every admissible span, however the windows are batched."""

import math
import threading
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qa_tradeoffs.evaluation.predictions import best_spans, predict
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    PreTrainedTokenizerFast,
)

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows, build, pad
from qa_tradeoffs.evaluation import predictions

MINUS_INFINITY = float("-inf")


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


@st.composite
def logits(draw: st.DrawFn):
    """A batch (b, L) of start and end logits and masks true on one stretch, possibly empty, of each row."""
    b, length = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    few_values = st.integers(-2, 2).map(float)  # so that spans tie
    value = draw(st.sampled_from([few_values, st.floats(-30, 30, width=32)]))
    rows = st.lists(st.lists(value, min_size=length, max_size=length), min_size=b, max_size=b)
    edges = [sorted(draw(st.tuples(st.integers(0, length), st.integers(0, length)))) for _ in range(b)]
    mask = [[begin <= position < end for position in range(length)] for begin, end in edges]
    return draw(rows), draw(rows), mask


@settings(max_examples=100, deadline=None)
@given(batch=logits(), longest=st.integers(1, 15))
def test_best_spans_are_those_of_a_double_loop(batch, longest):
    found = best_spans(np.array(batch[0]), np.array(batch[1]), np.array(batch[2]), longest)
    for i, (start, end, mask) in enumerate(zip(*batch, strict=True)):
        spans = all_spans(start, end, mask, longest)
        if not spans:
            assert found.score[i] == found.log_normaliser[i] == MINUS_INFINITY
            continue
        best = max(spans, key=lambda span: span[0])  # the first of equals
        assert (found.score[i].item(), found.start[i].item(), found.end[i].item()) == best
        assert found.log_normaliser[i].item() == pytest.approx(log_sum_exp([span[0] for span in spans]), abs=1e-9)


def test_the_best_span_may_lie_beyond_the_best_starts_and_ends():
    """30 good starts all come after the 30 good ends: no pair of the 20 best of each is a span."""
    start, end = np.zeros((2, 1, 60), np.float32)
    start[0, 30:], end[0, :30] = 5.0, 5.0
    start[0, 7] = 1.0
    found = best_spans(start, end, np.ones((1, 60), dtype=bool))
    assert (found.score.item(), found.start.item(), found.end.item()) == (6.0, 7, 7)


def test_probabilities_stand_where_the_best_start_and_the_best_end_form_no_span():
    """The best start comes after the best end; either with its own token scores 100, both together would score 200."""
    start, end = np.array([[0.0, 100.0]], np.float32), np.array([[100.0, 0.0]], np.float32)
    found = best_spans(start, end, np.ones((1, 2), dtype=bool))
    assert (found.score.item(), found.start.item(), found.end.item()) == (100.0, 0, 0)
    assert found.log_normaliser.item() == pytest.approx(100 + math.log(2))
    assert best_spans(20 * start, 20 * end, np.ones((1, 2), dtype=bool)).log_normaliser.item() >= 2000


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_numbers_are_refused(bad):
    good, mask = np.zeros((1, 3)), np.array([[False, True, True]])
    with pytest.raises(StudyError, match="not all finite numbers"):
        best_spans(good, np.array([[0.0, bad, 0.0]]), mask)
    assert best_spans(good, np.array([[bad, 0.0, 0.0]]), mask).score.item() == 0.0


WORDS = [f"w{i}" for i in range(20)]


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


def tiny_bert(seed: int = 0) -> BertForQuestionAnswering:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=24,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    return BertForQuestionAnswering(config)


@torch.no_grad()
def slow_answer(model: BertForQuestionAnswering, windows: Windows, row: int, example: Example, longest: int):
    """One question, a window at a time, unpadded: spans (score, char_start, char_end), and the no-answer score."""
    spans, no_answer = [], []
    for i in np.flatnonzero(windows.example == row):
        part = slice(windows.splits[i], windows.splits[i + 1])
        ids, types = (
            torch.tensor(column[part][None], dtype=torch.long) for column in (windows.input_ids, windows.token_type_ids)
        )
        output = model.eval()(input_ids=ids, token_type_ids=types)
        start, end = output.start_logits[0].tolist(), output.end_logits[0].tolist()
        offsets = windows.offsets[part].tolist()
        in_context = [begin >= 0 for begin, _ in offsets]
        spans += [
            (score, offsets[first][0], offsets[last][1])
            for score, first, last in all_spans(start, end, in_context, longest)
        ]
        no_answer.append(start[0] + end[0])
    return spans, min(no_answer)


@pytest.mark.parametrize("v2", [False, True])
def test_predictions_are_those_of_a_loop_over_windows_one_at_a_time(v2):
    examples, model = questions(12), tiny_bert()
    windows = build(examples, tokenizer(), max_length=24, stride=6)
    assert np.bincount(windows.example).max() > 3
    found = predict(model, windows, examples, device="cpu", pad_token_id=0, max_tokens=200, max_answer_tokens=4, v2=v2)
    for row, example in enumerate(examples):
        spans, no_answer = slow_answer(model, windows, row, example, 4)
        if not spans:
            assert (found.text[row], found.char_start[row], found.char_end[row]) == ("", -1, -1)
            assert (found.score[row], found.probability[row]) == (MINUS_INFINITY, 0.0)
            assert found.no_answer_score[row] == math.inf
            continue
        score, begin, end = max(spans, key=lambda span: span[0])
        options = [span[0] for span in spans] + ([no_answer] if v2 else [])
        assert (found.id[row], found.char_start[row], found.char_end[row]) == (example.id, begin, end)
        assert found.text[row] == example.context[begin:end]
        assert found.score[row] == pytest.approx(score, abs=1e-5)
        assert found.probability[row] == pytest.approx(math.exp(score - log_sum_exp(options)), abs=1e-5)
        assert found.no_answer_score[row] == pytest.approx(no_answer - score, abs=1e-5)


def test_answers_do_not_depend_on_the_batches():
    examples, model = questions(12, seed=1), tiny_bert(seed=1)
    windows = build(examples, tokenizer(), max_length=24, stride=6)
    one_by_one, together = (
        predict(model, windows, examples, device="cpu", pad_token_id=0, max_tokens=budget) for budget in (1, 100_000)
    )
    assert one_by_one.text == together.text
    np.testing.assert_array_equal(one_by_one.char_start, together.char_start)
    for column in ("score", "probability", "no_answer_score"):
        np.testing.assert_allclose(getattr(one_by_one, column), getattr(together, column), atol=1e-5)


class Scripted(torch.nn.Module):
    """A stand-in whose logits are looked up by token id, to be worked out by hand."""

    def __init__(self, start: dict[int, float], end: dict[int, float]):
        super().__init__()
        for name, values in (("start", start), ("end", end)):
            self.register_buffer(name, torch.tensor([values.get(token, 0.0) for token in range(24)]))

    def forward(self, input_ids, attention_mask):
        return SimpleNamespace(start_logits=self.start[input_ids], end_logits=self.end[input_ids])


CLS, W0, W1, W2 = 2, 4, 5, 6


def asked(context: str, question: str = "w9") -> Example:
    return Example("id", "title", context, question, (), ())


def answer(model: torch.nn.Module, examples: list[Example], **options):
    windows = build(examples, tokenizer(), max_length=8, stride=1)
    return predict(model, windows, examples, device="cpu", pad_token_id=0, max_tokens=64, **options)


def test_a_context_with_one_span_is_answered_with_certainty():
    found = answer(Scripted({W0: 2.0}, {W0: 1.0}), [asked("w0")])
    assert (found.text, found.score.tolist(), found.probability.tolist()) == (["w0"], [3.0], [1.0])


def test_half_precision_logits_are_added_in_single_precision():
    """256 + 1 is 257, in bfloat16 256."""
    model = Scripted({W0: 256.0, CLS: 256.0}, {W0: 1.0, CLS: 3.0}).bfloat16()
    found = answer(model, [asked("w0")])
    assert (found.score.tolist(), found.no_answer_score.tolist()) == ([257.0], [2.0])


def test_probabilities_are_shares_of_all_spans_and_of_no_answer():
    """Spans of "w0 w1": w0 scores log 2, w0 w1 log 2, w1 0; no answer log 5: shares 2/5, or 2/10 against it."""
    model = Scripted({W0: math.log(2), CLS: math.log(5)}, {})
    assert answer(model, [asked("w0 w1")]).probability == pytest.approx(2 / 5)
    found = answer(model, [asked("w0 w1")], v2=True)
    assert found.probability == pytest.approx(2 / 10)
    assert found.no_answer_score == pytest.approx(math.log(5) - math.log(2))


def test_the_first_of_equal_windows_answers():
    """Windows of 4 context tokens, one shared: w1 scores 2 in the first, and twice in the last."""
    found = answer(Scripted({W1: 1.0}, {W1: 1.0}), [asked("w1 w0 w0 w0 w0 w0 w0 w1 w1")], max_answer_tokens=1)
    assert (found.char_start.tolist(), found.char_end.tolist()) == ([0], [2])


def test_no_answer_is_given_above_the_threshold_only():
    """No answer scores 1; the best answers score 3, 1 and 0."""
    model = Scripted({CLS: 1.0, W0: 3.0, W1: 1.0}, {})
    found = answer(model, [asked("w0"), asked("w1"), asked("w2"), asked("")], v2=True)
    assert found.no_answer_score.tolist() == [-2.0, 0.0, 1.0, math.inf]
    assert found.text == ["w0", "w1", "w2", ""]
    assert found.with_threshold(0.0) == ["w0", "w1", "", ""]
    assert found.with_threshold(-1.0) == ["w0", "", "", ""]


def test_text_is_cut_from_the_context_as_written():
    example = asked("w0  \n w1 w2")
    found = answer(Scripted({W0: 5.0}, {W1: 5.0}), [example])
    assert found.text == ["w0  \n w1"]


def test_a_model_that_does_not_know_token_types_is_not_given_them():
    examples = questions(5)
    torch.manual_seed(0)
    config = DistilBertConfig(vocab_size=24, dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=64)
    windows = build(examples, tokenizer(), max_length=64, stride=6)
    found = predict(
        DistilBertForQuestionAnswering(config), windows, examples, device="cpu", pad_token_id=0, max_tokens=200
    )
    assert found.probability[:-1].min() > 0


def test_a_model_left_in_training_mode_predicts_without_dropout():
    examples, model = questions(5), tiny_bert()
    windows = build(examples, tokenizer(), max_length=64, stride=6)
    first, again = (
        predict(model.train(), windows, examples, device="cpu", pad_token_id=0, max_tokens=200).score for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("token", [CLS, W0])
def test_a_diverged_model_is_refused(token):
    with pytest.raises(StudyError, match="not all finite numbers"):
        answer(Scripted({token: math.nan}, {}), [asked("w0")])


def test_progress_counts_windows():
    calls = []
    answer(Scripted({}, {}), [asked("w0 w1 w2 w3 w4 w5 w6 w7 w8")] * 9, progress=lambda *call: calls.append(call))
    done, total = zip(*calls, strict=True)
    assert set(total) == {done[-1]} and len(done) > 1
    assert all(before < after for before, after in pairwise(done))


def test_answers_of_chunks_are_those_of_all_questions_at_once(monkeypatch):
    asked_for = [asked(context) for context in ("w0", "w2 w0", "w1 w0 w2", "w1 w2 w0 w1", "w2")]
    model, told = Scripted({W0: 2.0, W1: 1.0}, {W0: 1.0}), []
    whole = answer(model, asked_for)
    monkeypatch.setattr(predictions, "_CHUNK", 2)
    options = {"max_length": 8, "stride": 1, "device": "cpu", "max_tokens": 8}
    parts = predictions.answer(
        model, tokenizer(), asked_for, progress=lambda done, of: told.append((done, of)), **options
    )
    assert (parts.id, parts.text) == (whole.id, whole.text)
    for name in ("char_start", "char_end", "score", "probability", "no_answer_score"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name))
    assert told == sorted(told)
    assert told[-1] == (5, 5)


def test_threads_side_by_side_give_what_one_gives_and_leave_torch_its_number_of_threads():
    examples, model = questions(12, seed=1), tiny_bert(seed=1)
    windows = build(examples, tokenizer(), max_length=24, stride=6)
    names, before = set(), torch.get_num_threads()

    def logits(rows):
        names.add(threading.current_thread().name)
        assert threads == 1 or torch.get_num_threads() == 1
        inputs = pad(windows, rows, pad_token_id=0)
        with torch.inference_mode():
            output = model.eval()(**{name: torch.from_numpy(values) for name, values in inputs.items()})
        return output.start_logits.numpy(), output.end_logits.numpy()

    found = {}
    for threads in (1, 3):
        found[threads] = predictions.from_logits(logits, windows, examples, max_tokens=48, threads=threads)
    assert found[1].text == found[3].text
    np.testing.assert_allclose(found[1].score, found[3].score, atol=1e-5)
    assert threading.current_thread().name in names and len(names) > 1
    assert torch.get_num_threads() == before


def test_an_error_in_a_thread_ends_the_prediction_with_it():
    with pytest.raises(ZeroDivisionError):
        predictions.from_logits(
            lambda rows: 1 / 0,  # type: ignore[arg-type]
            build(questions(3), tokenizer(), max_length=24, stride=6), questions(3), max_tokens=24, threads=2,
        )  # fmt: skip
