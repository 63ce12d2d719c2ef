"""Times and ratios from hand-made passes."""

import pytest

from qa_tradeoffs.analysis import side_by_side
from tests.analysis.conftest import BERT, compared, sized
from tests.conftest import in_turn

BOTH = {"bert": sized(BERT), "distilbert": sized(BERT)}


def test_ratios_are_of_labels_in_both_orders(profiled):
    collected = profiled(BOTH)
    found = side_by_side.ratios(collected, side_by_side.question(collected, "study"))
    assert side_by_side.ratio(found, "BERT", "DistilBERT").value == pytest.approx(2)
    assert side_by_side.ratio(found, "DistilBERT", "BERT").value == pytest.approx(0.5)


def test_only_work_with_contended_passes_is_listed(profiled):
    works = [in_turn("single_stream", {"bert": 0.2, "distilbert": 0.1}, contended=2), in_turn("offline", {"bert": 1.0})]
    found = side_by_side.contended(compared(profiled(BOTH), *works))
    assert found.to_numpy().tolist() == [["single_stream", "study", 3, 2, ["other programs"]]]


def test_a_training_is_a_step_times_its_updates_in_each_pass(profiled):
    collected = compared(profiled(BOTH), in_turn("training_step", {"bert": [0.1, 0.2], "distilbert": [0.1, 0.1]}))
    assert side_by_side.training_seconds(collected, "bert").tolist() == pytest.approx([450, 900])
    nothing = compared(profiled(BOTH), in_turn("single_stream", {"bert": 0.1, "distilbert": 0.1}))
    assert side_by_side.training_seconds(nothing, "bert") is None
