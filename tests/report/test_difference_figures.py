"""Charts of where models differ are drawn from any table there can be, within their scales."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from conftest import compared_of, question
from matplotlib import pyplot as plt

from qa_tradeoffs.analysis import confidence, slices
from qa_tradeoffs.report import difference_figures, display, figures

COLOURS = {"A": "C0", "B": "C1"}


@pytest.fixture(autouse=True)
def style() -> Any:
    with mpl.rc_context():
        figures.use_style()
        yield
    plt.close("all")


def compared(n: int, share: float):
    examples = [question(i, asked="What?" if i < 60 else "Who?") for i in range(n)]
    right = [1.0] * int(share * n) + [0.0] * (n - int(share * n))
    return compared_of(examples, {"A": [right], "B": [right[::-1]]})


def test_a_chart_of_slices_has_a_panel_a_slicing_and_names_what_is_too_small():
    drawn = difference_figures.f1_by_slice(slices.scores(compared(100, 0.5)), COLOURS)
    titles = [axes.get_title(loc="left") for axes in drawn.axes]
    assert titles == [f"by {kind} (questions)" for kind in
                      ("question word", "answer length", "context length", "answer position")]  # fmt: skip
    assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == ["what (60)", "who (40)"]
    assert [text.get_text() for text in drawn.axes[0].texts] == ["too few"]
    assert drawn.axes[-1].get_xlabel() == "F1 (points, 95 % interval over questions)"


@pytest.mark.parametrize(("n", "share"), [(24, 0.5), (120, 0.0), (120, 1.0)])
def test_every_chart_can_be_drawn_and_is_small(n, share):
    answers = compared(n, share)
    found = confidence.table(answers)
    for drawn in (
        difference_figures.f1_by_slice(slices.scores(answers), COLOURS),
        difference_figures.reliability(found, COLOURS),
        difference_figures.em_against_coverage(found, COLOURS),
    ):
        assert len(display.figure(drawn, alt="a", caption="b").markup) < 200_000


@pytest.mark.parametrize("models", [1, 4])
def test_reliability_has_a_square_panel_for_every_model(models):
    labels = [f"M{i}" for i in range(models)]
    answers = compared_of([question(i) for i in range(60)], {label: [[1.0, 0.0] * 30] for label in labels})
    drawn = difference_figures.reliability(confidence.table(answers), dict.fromkeys(labels, "C0"))
    assert [axes.get_title() for axes in drawn.axes if axes.get_visible()] == labels
    drawn.draw_without_rendering()
    box = drawn.axes[0].get_window_extent()
    assert np.isclose(box.width, box.height, rtol=0.02)
