"""Charts stay within their scales, and their labels can be read."""

import numpy as np
import pytest
import seaborn as sns
from matplotlib import pyplot as plt

from qa_tradeoffs.report import charts, choice
from tests.report.conftest import CROWDED, check_labels, scored, texts


def test_names_are_dark_enough_to_be_read_and_keep_their_hue():
    for colour in sns.color_palette("colorblind"):
        rgb = np.array(charts.legible(colour))
        assert rgb.max() <= max(colour)
        assert rgb.argmax() == np.argmax(colour)
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 4.5  # contrast on white, WCAG 2.2


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
    assert axes.get_xlabel() == "one question (ms, median, 95 % interval over passes)"


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
