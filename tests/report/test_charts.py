"""Charts stay within their scales, and their labels can be read."""

from itertools import combinations

import numpy as np
import pytest
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from qa_tradeoffs.report import charts, choice
from tests.report.conftest import contrast, scored, texts

CROWDED = [
    scored([88, 86, 86.3], [0.1, 0.05, 0.052]),
    scored([100, 99, 98, 0, 50], [0.1, 0.099, 0.05, 0.01, 0.1]),
    scored([0, 0.5], [0.1, 0.1]),
    scored([80, 80, 80, 80, 80], [0.1, 0.1, 0.1, 0.1, 0.1]),
    scored([90], [0.2]),
    scored([88, 86, 86], [0, 0, 0]),
    # One interval far wider than all others: the points crowd at the left.
    scored([77.8, 77.1, 78.7, 77.5], [0.0113, 0.0010, 0.0035, 0.0023]).assign(
        question_high=[0.324, 0.0011, 0.004, 0.0025]
    ),
]


def check_labels(figure: Figure, names: list[str]) -> None:
    """Each name is there, within the axes, and covers no other."""
    figure.draw_without_rendering()
    labels = [child for child in figure.axes[0].get_children() if isinstance(child, Annotation)]
    inside, boxes = figure.axes[0].get_window_extent(), [label.get_window_extent() for label in labels]
    assert [label.get_text() for label in labels] == names
    assert all(inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1) for box in boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_names_are_dark_enough_to_be_read_and_keep_their_hue():
    for colour in sns.color_palette("colorblind"):
        rgb = np.array(charts.legible(colour))
        assert rgb.max() <= max(colour)
        assert rgb.argmax() == np.argmax(colour)
        assert contrast(rgb, "white") >= 4.5  # WCAG 2.2


@pytest.mark.parametrize("table", CROWDED)
def test_labels_and_intervals_stay_within_the_scale(table):
    figure = choice.chart(table).figure
    check_labels(figure, table["model"].tolist())
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    assert 0 <= low <= table["f1_low"].min()
    assert table["f1_high"].max() <= high <= 100
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlim()[1] > 1e3 * table["question_high"].max()


def test_a_model_has_the_colour_of_its_place_in_the_study():
    table = scored([80, 70], [1.0, 2.0])
    colours = charts.palette(table)
    assert list(colours) == table["model"].tolist()
    axes = choice.chart(table).figure.axes[0]
    assert axes.lines[0].get_color() == colours["BERT"]
    assert axes.get_xlabel() == "one question (ms, 95 % interval over passes)"


def test_the_front_is_drawn_as_stairs_through_its_models_alone():
    standing = ["front", "front", "unclear", "dominated"]
    figure = choice.chart(scored([80, 70, 69, 60], [0.2, 0.1, 0.11, 0.3], standing=standing)).figure
    axes = figure.axes[0]
    (front,) = [line for line in axes.lines if line.get_label() == "Pareto front"]
    bottom, right = axes.get_ylim()[0], axes.get_xlim()[1]
    assert front.get_xydata().tolist() == pytest.approx(np.array([[100, bottom], [100, 70], [200, 80], [right, 80]]))
    markers = [line for line in axes.lines if len(line.get_xdata()) == 1 and line.get_marker() in ("o", "X")]
    assert [(line.get_marker(), line.get_markerfacecolor() == "white") for line in markers] == [
        ("o", False), ("o", False), ("o", True), ("X", False)
    ]  # fmt: skip


def test_no_front_is_drawn_where_no_model_is_certainly_on_it():
    axes = choice.chart(scored([80, 79], [0.1, 0.1], standing="unclear")).figure.axes[0]
    assert "Pareto front" not in [line.get_label() for line in axes.lines]


def test_lines_are_named_at_their_ends_and_by_a_legend_where_names_would_collide():
    def named(bert: float, distilbert: float) -> plt.Figure:
        figure, axes = plt.subplots()
        for name, end in (("BERT", bert), ("DistilBERT", distilbert)):
            axes.plot([1, 8], [end, end], label=name)
        axes.set_ylim(0, 1000)
        charts.name_lines([axes])
        return figure

    assert texts(named(900, 500)) == ["BERT", "DistilBERT"]
    close = named(900, 899)
    assert texts(close) == []
    assert [text.get_text() for text in close.axes[0].get_legend().get_texts()] == ["BERT", "DistilBERT"]
