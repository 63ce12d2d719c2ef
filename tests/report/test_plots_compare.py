"""What notebook 4 shows: a forest plot of ratios of times, each with its interval over passes."""

import numpy as np
import pytest
from conftest import in_turn

from qa_tradeoffs.profiling import outcomes
from qa_tradeoffs.report import charts, plots_compare

WORKS = [
    in_turn("single_stream", {"bert": 0.2, "bert onnxruntime": 0.1, "distilbert": [0.11, 0.10, 0.09]}),
    in_turn("offline", {"bert": 2.0, "bert onnxruntime": 1.5, "distilbert": 1.0}, batch_size=32),
    in_turn("single_stream", {"bert": 4.0}, network="full size"),
]


@pytest.fixture(autouse=True)
def as_measured(monkeypatch):
    """The works stand for what was measured."""
    monkeypatch.setattr(outcomes, "side_by_side", lambda one: one)


def test_every_model_is_a_row_and_every_engine_a_marker_in_a_panel_for_each_work(study_of):
    shown = plots_compare.ratios(WORKS, "study", study_of())
    first, second = shown.figure.axes
    assert [axes.get_title() for axes in (first, second)] == ["single stream", "offline, 32"]
    drawn = [(tuple(c[0].get_xydata()[0]), c[0].get_marker(), c[0].get_color()) for c in first.containers]
    (bert, *_), (onnx, *_), (distilbert, *_) = drawn
    assert bert == pytest.approx((1, -0.125))
    assert onnx == pytest.approx((0.5, 0.125))
    own = np.array([0.11, 0.10, 0.09]) / (0.2 * np.array([0.9, 1, 1 / 0.9]))
    assert distilbert == pytest.approx((np.exp(np.log(own).mean()), 1))
    assert [marker for _, marker, _ in drawn] == ["o", "s", "o"]
    assert drawn[0][2] == drawn[1][2] == charts.COLOURS[0] != drawn[2][2] == charts.COLOURS[1]
    assert [label.get_text() for label in second.get_yticklabels()] == ["BERT", "DistilBERT"]
    (bar,) = first.containers[2][2][0].get_segments()
    logs = np.log(own)
    half = 4.302653 * logs.std(ddof=1) / np.sqrt(3)  # Student's t at 2 degrees of freedom
    assert bar[:, 0] == pytest.approx(np.exp([logs.mean() - half, logs.mean() + half]))
    (line,) = first.lines[:1]
    assert set(line.get_xdata()) == {1}
    assert "offline, 32, BERT (ONNX Runtime) 0.75 (0.75 to 0.75)" in shown.alt
    (legend,) = shown.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["torch", "ONNX Runtime"]


def test_one_model_is_compared_with_none(study_of):
    assert "None:" in plots_compare.ratios(WORKS, "full size", study_of()).markup


def test_eager_attention_is_a_control_and_no_engine(study_of):
    works = [in_turn("forward", {"bert": 0.2, "bert eager": 0.3, "distilbert": 0.1}, batch_size=1, length=128)]
    axes = plots_compare.ratios(works, "study", study_of()).figure.axes[0]
    assert axes.get_title() == "forward, 1 × 128"
    assert [container[0].get_xdata()[0] for container in axes.containers] == pytest.approx([1, 0.5])


def test_ratios_over_threefold_are_on_a_logarithmic_axis(study_of):
    for seconds, scale in ((0.05, "log"), (0.15, "linear")):
        works = [in_turn("single_stream", {"bert": 0.2, "distilbert": seconds})]
        assert plots_compare.ratios(works, "study", study_of()).figure.axes[0].get_xscale() == scale


def test_the_panels_have_room_for_their_rows(study_of):
    one = plots_compare.ratios(WORKS[:1], "study", study_of()).figure
    both = plots_compare.ratios(WORKS[:2], "study", study_of()).figure
    assert both.get_figheight() > one.get_figheight()
