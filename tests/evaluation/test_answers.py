"""Windows compete for their question's answer: logits looked up by token id, everything worked out by hand."""

import math
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows, build, pad
from qa_tradeoffs.evaluation import answers
from qa_tradeoffs.evaluation.answers import Predictions, Reading
from tests.slow_answers import CLS, W0, W1, tokenizer

READING = Reading(max_length=8, stride=1, batch_tokens=64)


class Scripted:
    """An engine whose start and end logits are looked up by token id, 0 where there is none."""

    at_once, batch_tokens = 1, 64

    def __init__(self, start: dict[int, float], end: dict[int, float]) -> None:
        self._tables = [np.array([values.get(token, 0.0) for token in range(24)]) for values in (start, end)]

    def logits(self, windows: Windows, rows: Any) -> Any:
        ids = pad(windows, rows, 0)["input_ids"]
        return tuple(table[ids] for table in self._tables)

    def side_by_side(self) -> Any:
        return nullcontext(map)


def asked(context: str, question: str = "w9") -> Example:
    return Example("id", "title", context, question, (), ())


def answer(engine: Scripted, examples: list[Example], reading: Reading = READING, **settings: Any) -> Predictions:
    windows = build(examples, tokenizer(), reading.max_length, reading.stride)
    return answers.predict(engine, windows, examples, reading, **settings)


V2 = Reading(max_length=8, stride=1, batch_tokens=64, v2=True)


def test_a_context_with_one_span_is_answered_with_certainty():
    best = answer(Scripted({W0: 2.0}, {W0: 1.0}), [asked("w0")])
    assert (best.text.item(), best.score.item(), best.probability.item()) == ("w0", 3.0, 1.0)


def test_probabilities_are_shares_of_all_spans_and_of_no_answer():
    """Spans of "w0 w1": w0 scores log 2, w0 w1 log 2, w1 0; no answer log 5: shares 2/5, or 2/10 against it."""
    engine = Scripted({W0: math.log(2), CLS: math.log(5)}, {})
    assert answer(engine, [asked("w0 w1")]).probability == pytest.approx(2 / 5)
    best = answer(engine, [asked("w0 w1")], V2)
    assert best.probability == pytest.approx(2 / 10)
    assert best.no_answer_score == pytest.approx(math.log(5) - math.log(2))


def test_the_first_of_equal_windows_answers():
    """Windows of 4 context tokens, one shared: w1 scores 2 in the first, and twice in the last."""
    reading = Reading(max_length=8, stride=1, batch_tokens=64, max_answer_tokens=1)
    best = answer(Scripted({W1: 1.0}, {W1: 1.0}), [asked("w1 w0 w0 w0 w0 w0 w0 w1 w1")], reading)
    assert (best.char_start.tolist(), best.char_end.tolist()) == ([0], [2])


def test_the_no_answer_score_is_its_lead_over_the_best_span():
    """No answer scores 1; the best answers score 3, 1 and 0."""
    engine = Scripted({CLS: 1.0, W0: 3.0, W1: 1.0}, {})
    best = answer(engine, [asked("w0"), asked("w1"), asked("w2"), asked("")], V2)
    assert best.no_answer_score.tolist() == [-2.0, 0.0, 1.0, math.inf]
    assert best.text.tolist() == ["w0", "w1", "w2", ""]


def test_text_is_cut_from_the_context_as_written():
    assert answer(Scripted({W0: 5.0}, {W1: 5.0}), [asked("w0  \n w1 w2")]).text.item() == "w0  \n w1"


@pytest.mark.parametrize("token", [CLS, W0])
def test_logits_of_a_diverged_model_are_refused(token):
    with pytest.raises(StudyError, match="not all finite numbers"):
        answer(Scripted({token: math.nan}, {}), [asked("w0")])


def test_chunks_give_the_answers_of_all_questions_at_once(monkeypatch):
    examples = [asked(context) for context in ("w0", "w2 w0", "w1 w0 w2", "w1 w2 w0 w1", "w2")]
    engine, calls = Scripted({W0: 2.0, W1: 1.0}, {W0: 1.0}), []
    whole = answer(engine, examples)
    monkeypatch.setattr(answers, "_CHUNK", 2)
    reading = Reading(max_length=8, stride=1, batch_tokens=8)
    parts = answers.answer(engine, tokenizer(), examples, reading, lambda *call: calls.append(call))
    pd.testing.assert_frame_equal(pd.DataFrame(parts._asdict()), pd.DataFrame(whole._asdict()))
    assert calls == sorted(calls) and calls[0] == (1, 5) and calls[-1] == (5, 5)


def test_a_study_says_how_its_questions_are_read(study_of):
    study = study_of(training={"max_length": 64, "stride": 16}, evaluation={"max_answer_tokens": 9, "batch_tokens": 99})
    assert Reading.of(study) == Reading(64, 16, 64, 9, 99, v2=False)


class Counting(Scripted):
    """Computes three batches at a time; remembers their rows, and whether they were side by side."""

    at_once = 3

    def __init__(self) -> None:
        super().__init__({}, {})
        self.batches: list[list[int]] = []
        self.together = False

    def logits(self, windows: Windows, rows: Any) -> Any:
        self.batches.append(rows.tolist())
        return super().logits(windows, rows)

    def side_by_side(self) -> Any:
        self.together = True
        return super().side_by_side()


def batches_of(n: int) -> Counting:
    """What an engine is given of n windows of 5 tokens: three special ones, question and context."""
    engine = Counting()
    answer(engine, [asked("w0")] * n, Reading(max_length=8, stride=1))
    return engine


@pytest.mark.parametrize(
    ("windows", "sizes"),
    [
        (400, [12] * 33 + [4]),  # 64 tokens hold 12 windows
        (60, [5] * 12),  # four batches for each of the three: 300 tokens over 12
        (10, [1] * 10),
        (3, [1] * 3),
    ],
)
def test_batches_have_the_engines_size_but_there_are_at_least_four_per_worker(windows, sizes):
    engine = batches_of(windows)
    assert [len(rows) for rows in engine.batches] == sizes
    assert engine.together


def test_fewer_batches_than_workers_run_one_after_the_other():
    engine = batches_of(2)
    assert engine.batches == [[0], [1]]
    assert not engine.together
