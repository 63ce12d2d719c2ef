"""Answers of a torch network equal those of slow loops over its windows, however they are batched."""

import math
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForQuestionAnswering, DistilBertConfig, DistilBertForQuestionAnswering

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows, build
from qa_tradeoffs.engines import pytorch
from qa_tradeoffs.evaluation import answers
from qa_tradeoffs.evaluation.answers import Predictions, Reading
from qa_tradeoffs.models import inputs
from tests.slow_answers import all_spans, log_sum_exp, questions, tokenizer


def tiny_bert(seed: int = 0) -> BertForQuestionAnswering:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return BertForQuestionAnswering(
        BertConfig(vocab_size=24, max_position_embeddings=64, initializer_range=0.5, **sizes)
    )


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


def answered(network: torch.nn.Module, examples: list[Example], max_length: int = 24, **settings: Any) -> Predictions:
    engine = pytorch.Engine(network, pad_token_id=0, device="cpu")
    reading = Reading(max_length=max_length, stride=6, **{"batch_tokens": 200, **settings})
    return answers.answer(engine, tokenizer(), examples, reading)


@pytest.mark.parametrize("v2", [False, True])
def test_predictions_are_those_of_a_loop_over_windows_one_at_a_time(v2):
    examples, network = questions(12), tiny_bert()
    windows = build(examples, tokenizer(), max_length=24, stride=6)
    assert np.bincount(windows.example).max() > 3
    best = answered(network, examples, max_answer_tokens=4, v2=v2)
    for row, example in enumerate(examples):
        spans, no_answer = slow_answer(network, windows, row, example, 4)
        if not spans:
            assert (best.text[row], best.char_start[row], best.char_end[row]) == ("", -1, -1)
            assert (best.score[row], best.probability[row]) == (-math.inf, 0.0)
            assert best.no_answer_score[row] == math.inf
            continue
        score, begin, end = max(spans, key=lambda span: span[0])
        options = [span[0] for span in spans] + ([no_answer] if v2 else [])
        assert (best.id[row], best.char_start[row], best.char_end[row]) == (example.id, begin, end)
        assert best.text[row] == example.context[begin:end]
        assert best.score[row] == pytest.approx(score, abs=1e-5)
        assert best.probability[row] == pytest.approx(math.exp(score - log_sum_exp(options)), abs=1e-5)
        assert best.no_answer_score[row] == pytest.approx(no_answer - score, abs=1e-5)


def test_answers_do_not_depend_on_the_batches():
    examples, network = questions(12, seed=1), tiny_bert(seed=1)
    one_by_one, together = (answered(network, examples, batch_tokens=budget) for budget in (1, 100_000))
    assert one_by_one.text.tolist() == together.text.tolist()
    np.testing.assert_array_equal(one_by_one.char_start, together.char_start)
    for column in ("score", "probability", "no_answer_score"):
        np.testing.assert_allclose(getattr(one_by_one, column), getattr(together, column), atol=1e-5)


def test_half_precision_logits_are_added_in_single_precision():
    class Half(torch.nn.Module):
        """Start logits of 256 and end logits of 1: 257 together, but 256 in bfloat16."""

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            ones = torch.ones(input_ids.shape, dtype=torch.bfloat16)
            return SimpleNamespace(start_logits=256 * ones, end_logits=ones)

    assert answered(Half(), [Example("id", "title", "w0", "w9", (), ())]).score.tolist() == [257.0]


def test_in_bf16_the_logits_are_those_of_autocast_whichever_thread_computes_them():
    examples, network = questions(12), tiny_bert()
    reading = Reading(max_length=64, stride=16, batch_tokens=64)  # a window a batch, as here
    windows = reading.windows(examples, tokenizer())
    engine = pytorch.Engine(network, 0, "cpu", "bf16")
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        rows = [np.array([row]) for row in range(len(windows.lengths))]
        batches = [inputs.of(network).batch(windows, row, 0) for row in rows]
        expected = [network(**batch).start_logits[0].float().numpy() for batch in batches]
    with pytorch.side_by_side(2) as each:
        found = [start[0] for start, _ in each(lambda row: engine.logits(windows, row), rows)]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_network_without_token_types_is_given_none():
    torch.manual_seed(0)
    config = DistilBertConfig(vocab_size=24, dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=64)
    best = answered(DistilBertForQuestionAnswering(config), questions(5), max_length=64)
    assert best.probability[:-1].min() > 0


def test_a_network_left_in_training_mode_answers_without_dropout():
    examples, network = questions(5), tiny_bert()
    first, again = (answered(network.train(), examples, max_length=64).score for _ in range(2))
    np.testing.assert_array_equal(first, again)


class Threaded(pytorch.Engine):
    """Answers a number of batches concurrently, and records in which threads."""

    def __init__(self, network: Any, threads: int) -> None:
        super().__init__(network, 0, "cpu")
        self.at_once, self.names = threads, set()

    def logits(self, windows: Windows, rows: Any) -> Any:
        self.names.add(threading.current_thread().name)
        assert self.at_once == 1 or torch.get_num_threads() == 1
        return super().logits(windows, rows)


def test_threads_side_by_side_give_what_one_gives_and_leave_torch_its_number_of_threads():
    examples, before = questions(12, seed=1), torch.get_num_threads()
    windows, reading = build(examples, tokenizer(), max_length=24, stride=6), Reading(batch_tokens=48)
    one, three = (Threaded(tiny_bert(seed=1), threads) for threads in (1, 3))
    alone, together = (answers.predict(engine, windows, examples, reading) for engine in (one, three))
    assert alone.text.tolist() == together.text.tolist()
    np.testing.assert_allclose(alone.score, together.score, atol=1e-5)
    assert one.names == {threading.current_thread().name}
    assert three.names and not one.names & three.names
    assert torch.get_num_threads() == before


def test_an_error_in_a_thread_ends_the_prediction_with_it():
    class Broken(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            raise ZeroDivisionError

    engine = Threaded(Broken(), threads=2)
    with pytest.raises(ZeroDivisionError):
        answers.answer(engine, tokenizer(), questions(3), Reading(max_length=24, stride=6, batch_tokens=24))


@pytest.mark.parametrize(("threads", "tokens"), [(1, 1024), (16, 1024), (64, 256)])
def test_concurrent_batches_share_a_memory_budget(threads, tokens, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    engine = pytorch.Engine(tiny_bert(), 0, "cpu")
    assert (engine.at_once, engine.batch_tokens) == (threads, tokens)
