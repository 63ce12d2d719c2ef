"""Charts stay within their scales, and their labels can be read."""

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from qa_tradeoffs.report import charts, choice, labels
from qa_tradeoffs.study.engines import LABELS
from tests.report.conftest import COLOURS, contrast, luminance, scored, texts

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
    """Each name is there, within the axes, and covers no other and no point."""
    figure.draw_without_rendering()
    axes = figure.axes[0]
    found = [child for child in axes.get_children() if isinstance(child, Annotation)]
    inside, boxes = axes.get_window_extent(), [Text.get_window_extent(label) for label in found]
    assert [label.get_text() for label in found] == names
    assert all(inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1) for box in boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    dots = [axes.transData.transform(point.get_xydata()[0]) for point, *_ in axes.containers]
    assert not [dot for dot in dots for box in boxes if box.contains(*dot)]


def test_names_are_dark_enough_to_be_read_and_keep_their_hue():
    for colour in charts.COLOURS:
        rgb, own = np.array(charts.legible(colour)), np.array(mpl.colors.to_rgb(colour))
        assert rgb.max() <= own.max()
        assert rgb.argmax() == own.argmax()
        assert contrast(rgb, "white") >= 4.5  # WCAG 2.2


def test_the_first_five_models_differ_in_black_and_white():
    """CIE lightness, of which 2.3 can just be seen: https://en.wikipedia.org/wiki/Color_difference"""
    lightness = sorted(116 * luminance(colour) ** (1 / 3) - 16 for colour in charts.COLOURS[:5])
    assert np.diff(lightness).min() > 6
    assert len(set(charts.COLOURS)) == len(charts.COLOURS)


def test_every_engine_has_a_marker_of_its_own():
    assert charts.MARKERS.keys() == LABELS.keys()
    assert len(set(charts.MARKERS.values())) == len(LABELS)


@pytest.mark.parametrize("table", CROWDED)
def test_labels_and_intervals_stay_within_the_scale(table):
    figure = choice.chart(table).figure
    check_labels(figure, table["model"].tolist())
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    assert 0 <= low <= table["f1_low"].min()
    assert table["f1_high"].max() <= high <= 100
    left, right = axes.get_xlim()
    shortest, longest = 1e3 * table["question_low"].min(), 1e3 * table["question_high"].max()
    assert right > longest
    if shortest and longest / shortest >= 8:
        assert axes.get_xscale() == "log"
        assert 0 < left < shortest
    else:
        assert axes.get_xscale() == "linear"
        assert left == 0


# Five models in up to three engines, as the demo came out: F1, milliseconds, and whether others dominate the point.
IN_ENGINES = {
    "BERT": [(76.9, 1.74, True), (76.9, 0.860, False), (77.1, 0.792, False)],
    "DistilBERT": [(69.7, 0.976, True), (69.7, 0.464, False), (69.4, 0.433, False)],
    "DistilBERT taught": [(76.3, 0.964, True), (76.3, 0.483, False), (76.7, 0.449, False)],
    "SqueezeBERT": [(73.7, 3.82, True), (73.7, 0.896, False), (73.3, 0.865, False)],
    "SqueezeBERT rewritten": [(73.6, 1.56, False)],
}


def in_engines() -> pd.DataFrame:
    names = ("torch", "onnxruntime", "onnxruntime-int8")
    rows = [
        {"of": model, "engine": engine, "model": model if engine == "torch" else f"{model} ({engine})", "f1": f1,
         "question": ms / 1e3, "standing": "dominated" if dominated else "unclear"}
        for model, points in IN_ENGINES.items()
        for engine, (f1, ms, dominated) in zip(names, points, strict=False)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    bounds = {"f1_low": table["f1"] - 3.6, "f1_high": table["f1"] + 3.6}
    bounds |= {"question_low": 0.9 * table["question"], "question_high": 1.1 * table["question"]}
    return table.assign(slug=table["model"], **bounds)


def test_models_in_many_engines_have_one_label_each_on_an_axis_that_keeps_them_apart():
    figure = choice.chart(in_engines()).figure
    check_labels(figure, list(IN_ENGINES))
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    points = [container[0] for container in axes.containers]
    at = np.array([point.get_xydata()[0] for point in points])
    assert at == pytest.approx(np.array([(ms, f1) for of in IN_ENGINES.values() for f1, ms, _ in of]))
    assert [point.get_marker() for point in points] == list("osD") * 4 + ["o"]
    assert len({point.get_color() for point in points}) == 5
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["torch", "ONNX Runtime", "int8"]


def test_a_name_without_a_place_beside_its_points_stands_in_the_legend_of_engines():
    wide = "BERT " + 60 * "m"
    table = in_engines().replace({"of": {"BERT": wide}, "model": {"BERT": wide}})
    x = {f"x{end}": table[f"question{end}"] for end in ("", "_low", "_high")}
    figure = charts.tradeoff(table.assign(**x), "x", dict.fromkeys(table["model"], "k"))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["torch", "ONNX Runtime", "int8", wide]
    check_labels(figure, list(IN_ENGINES)[1:])


def test_published_scores_are_hollow():
    table = scored([80, 70], [1, 1], standing=["published", "front"]).assign(x=[1, 2], x_low=[1, 2], x_high=[1, 2])
    points = [container[0] for container in charts.tradeoff(table, "x", COLOURS).axes[0].containers]
    assert [point.get_markerfacecolor() for point in points] == ["white", COLOURS["DistilBERT"]]


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


def test_no_front_is_drawn_if_no_model_is_certainly_on_it():
    axes = choice.chart(scored([80, 79], [0.1, 0.1], standing="unclear")).figure.axes[0]
    assert "Pareto front" not in [line.get_label() for line in axes.lines]


def named_lines(*ends: float) -> Figure:
    figure, axes = plt.subplots(figsize=(5, 3))
    for name, end in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", ends, strict=False):
        axes.plot([1, 8], [end, end], label=name)
    axes.set_ylim(0, 1000)
    charts.name_lines([axes])
    return figure


@pytest.mark.parametrize("ends", [(900, 500), (900, 899), (0, 1, 2, 3), (1000, 1000, 1000), (500, 501, 10, 502)])
def test_lines_are_named_at_their_ends_apart_and_in_their_order(ends):
    figure = named_lines(*ends)
    figure.draw_without_rendering()
    written = figure.axes[0].texts
    assert [label.get_text() for label in written] == list("ABCD"[: len(ends)])
    boxes = [Text.get_window_extent(label) for label in written]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    heights = np.array([(box.y0 + box.y1) / 2 for box in boxes])
    assert np.array_equal(np.argsort(heights), np.argsort(ends, kind="stable"))
    assert figure.axes[0].get_legend() is None


@pytest.mark.parametrize("ends", [tuple(range(26)), (1, np.nan)])
def test_lines_that_are_too_many_or_have_no_end_are_named_by_a_legend(ends):
    figure = named_lines(*ends)
    assert texts(figure) == []
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(ends)])


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ([10, 50], [10, 50]),
        ([50, 50], [45, 55]),
        ([50, 10, 52], [46, 10, 56]),
        ([1, 2, 3], [0, 10, 20]),  # about 2 they would begin below the bounds
        ([99, 100], [90, 100]),
    ],
)
def test_labels_are_moved_as_little_as_it_takes(heights, expected):
    assert labels.spread(heights, 10, 0, 100) == pytest.approx(expected)
