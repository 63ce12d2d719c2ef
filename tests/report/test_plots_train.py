"""What notebook 1 shows: marked answers as escaped text, lengths counted, and a loss that begins untrained."""

from types import SimpleNamespace

import numpy as np
import pytest

from qa_tradeoffs.data.example import Example
from qa_tradeoffs.report import plots_train
from qa_tradeoffs.training.untrained import Untrained
from tests.report.conftest import Reader

CONTEXT = "Ada lives in Rome, Italy."


def asked(number: int, context: str = CONTEXT, *answers: str) -> Example:
    return Example(f"q{number}", "", context, f"Question {number}?", answers, tuple(map(context.index, answers)))


def test_three_questions_from_all_over_the_data_have_their_answers_marked():
    markup = plots_train.questions([asked(i, CONTEXT, "Rome") for i in range(101)]).markup
    read = Reader(markup)
    assert [f"Question {i}?" in read.text for i in (0, 50, 100)] == [True] * 3
    assert read.text.count("Question") == 3
    assert markup.count('<mark class="reference">Rome</mark>, Italy.') == 3


def test_overlapping_answers_and_questions_without_one_are_shown_too():
    markup = plots_train.questions([asked(0, CONTEXT, "Rome", "Rome, Italy"), asked(1)]).markup
    assert '<mark class="reference">Rome</mark><mark class="reference">, Italy</mark>.' in markup
    assert "Rome | Rome, Italy" in markup
    assert "none: the passage does not answer it" in markup


def test_a_text_of_the_data_is_no_markup():
    hostile = "<img src=x onerror=alert(1)>"
    read = Reader(plots_train.questions([asked(0, f"{hostile} Rome", hostile)]).markup)
    assert not read.all("img")
    assert read.text.count(hostile) == 2  # in the passage, and as the answer


def test_the_lengths_of_windows_are_counted_up_to_the_longest_that_is_allowed():
    shown = plots_train.lengths(SimpleNamespace(lengths=np.array([3, 10, 10, 59])), 60)
    axes = shown.figure.axes[0]
    counts = {round(bar.get_x()): bar.get_height() for bar in axes.patches if bar.get_height()}
    assert counts == {2: 1, 10: 2, 58: 1}  # bins of two tokens
    assert axes.lines[0].get_xdata()[0] == 60
    assert "median 10" in shown.alt
    assert "the longest 59 tokens" in shown.alt


@pytest.mark.parametrize("guess", [4.0, 9.0])
def test_the_loss_begins_untrained_beside_a_blind_guess(guess):
    history = [{"step": 5, "loss": 3.0, "epoch": 0.5}, {"step": 10, "loss": 1.5, "epoch": 1.0}]
    before = Untrained(loss=4.2, guess=guess, windows=8, seconds=1.0, updates=10)
    axes = plots_train.losses(SimpleNamespace(history=history), before).figure.axes[0]
    line, untrained, blind = axes.lines
    assert line.get_xydata().tolist() == [[0, 4.2], [5, 3.0], [10, 1.5]]
    assert untrained.get_xydata().tolist() == [[0, 4.2]]
    assert untrained.get_markerfacecolor() == "white"
    assert set(blind.get_ydata()) == {guess}
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] > max(guess, 4.2)
