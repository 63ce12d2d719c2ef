"""The best span and the sum over all spans equal those of slow loops over every admissible span."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.evaluation.spans import best_spans
from tests.slow_answers import all_spans, log_sum_exp

MINUS_INFINITY = float("-inf")


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
    chosen = best_spans(np.array(batch[0]), np.array(batch[1]), np.array(batch[2]), longest)
    for i, (start, end, mask) in enumerate(zip(*batch, strict=True)):
        spans = all_spans(start, end, mask, longest)
        if not spans:
            assert chosen.score[i] == chosen.log_normaliser[i] == MINUS_INFINITY
            continue
        best = max(spans, key=lambda span: span[0])  # the first of equals
        assert (chosen.score[i].item(), chosen.start[i].item(), chosen.end[i].item()) == best
        assert chosen.log_normaliser[i].item() == pytest.approx(log_sum_exp([span[0] for span in spans]), abs=1e-9)


def test_the_best_span_may_lie_beyond_the_best_starts_and_ends():
    """30 good starts all come after the 30 good ends: no pair of the 20 best of each is a span."""
    start, end = np.zeros((2, 1, 60), np.float32)
    start[0, 30:], end[0, :30] = 5.0, 5.0
    start[0, 7] = 1.0
    chosen = best_spans(start, end, np.ones((1, 60), dtype=bool))
    assert (chosen.score.item(), chosen.start.item(), chosen.end.item()) == (6.0, 7, 7)


def test_probabilities_are_correct_if_the_best_start_and_end_form_no_span():
    """The best start comes after the best end; either with its own token scores 100, both together would score 200."""
    start, end = np.array([[0.0, 100.0]], np.float32), np.array([[100.0, 0.0]], np.float32)
    chosen = best_spans(start, end, np.ones((1, 2), dtype=bool))
    assert (chosen.score.item(), chosen.start.item(), chosen.end.item()) == (100.0, 0, 0)
    assert chosen.log_normaliser.item() == pytest.approx(100 + math.log(2))
    assert best_spans(20 * start, 20 * end, np.ones((1, 2), dtype=bool)).log_normaliser.item() >= 2000


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_numbers_are_refused(bad):
    good, mask = np.zeros((1, 3)), np.array([[False, True, True]])
    with pytest.raises(StudyError, match="not all finite numbers"):
        best_spans(good, np.array([[0.0, bad, 0.0]]), mask)
    assert best_spans(good, np.array([[bad, 0.0, 0.0]]), mask).score.item() == 0.0
