"""Charts stay within their scales, and their labels can be read."""

from itertools import combinations
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from qa_tradeoffs.report import accuracy, charts, memory, money, published, speed

NAMES = ["BERT", "DistilBERT", "SqueezeBERT (grouped)", "TinyBERT", "MobileBERT"]


@pytest.fixture(autouse=True)
def style() -> Any:
    with mpl.rc_context():
        charts.use_style()
        yield
    plt.close("all")


def models(f1: list[float], x: list[float], dearer: float = 1.0, standing: Any = None) -> pd.DataFrame:
    score, value = np.array(f1), np.array(x)
    return pd.DataFrame(
        {
            "model": NAMES[: len(f1)],
            "f1": score,
            "f1_low": np.maximum(score - 3, 0),
            "f1_high": np.minimum(score + 3, 100),
            "question": value,
            "question_low": 0.95 * value,
            "question_high": 1.05 * value,
            "standing": standing or "front",
            "train_seconds": value,
            "train_usd_low": value,
            "train_usd_high": dearer * value,
        }
    )


def test_names_are_dark_enough_to_be_read_and_keep_their_hue():
    for colour in sns.color_palette("colorblind"):
        rgb = np.array(charts.legible(colour))
        assert rgb.max() <= max(colour)
        assert rgb.argmax() == np.argmax(colour)
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 4.5  # contrast on white, WCAG 2.2
    assert charts.legible("black") == (0, 0, 0)


CASES = [
    models([88, 86, 86.3], [0.1, 0.05, 0.052]),
    models([100, 99, 98, 0, 50], [0.1, 0.099, 0.05, 0.01, 0.1]),
    models([0, 0.5], [0.1, 0.1]),
    models([80, 80, 80, 80, 80], [0.1, 0.1, 0.1, 0.1, 0.1]),
    models([90], [0.2]),
    # One interval far wider than all others: the points crowd at the left.
    models([77.8, 77.1, 78.7, 77.5], [0.0113, 0.0010, 0.0035, 0.0023]).assign(
        question_high=[0.324, 0.0011, 0.004, 0.0025]
    ),
]


def labels(figure: Figure) -> list[Annotation]:
    figure.draw_without_rendering()
    return [child for child in figure.axes[0].get_children() if isinstance(child, Annotation)]


@pytest.mark.parametrize("table", CASES)
@pytest.mark.parametrize("draw", [charts.f1_against_question, money.f1_against_training_cost])
def test_labels_neither_leave_the_axes_nor_collide(table, draw):
    figure = draw(table)
    inside = figure.axes[0].get_window_extent()
    boxes = [label.get_window_extent() for label in labels(figure)]
    assert [label.get_text() for label in labels(figure)] == table["model"].tolist()
    assert all(inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1) for box in boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


@pytest.mark.parametrize("table", CASES)
def test_f1_is_shown_with_room_but_never_beyond_its_scale(table):
    axes = charts.f1_against_question(table).axes[0]
    low, high = axes.get_ylim()
    assert 0 <= low <= table["f1_low"].min()
    assert table["f1_high"].max() <= high <= 100
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlim()[1] > 1e3 * table["question_high"].max()


def test_axes_name_their_units():
    assert charts.f1_against_question(CASES[0]).axes[0].get_xlabel() == (
        "one question (ms, median, 95 % interval over passes)"
    )
    assert money.f1_against_training_cost(CASES[0]).axes[0].get_xlabel() == "fine-tuning once (USD)"


def test_small_costs_are_in_cents():
    axes = money.f1_against_training_cost(models([80, 70], [0.002, 0.001])).axes[0]
    assert axes.get_xlabel() == "fine-tuning once (US cents)"
    assert 0.2 < axes.get_xlim()[1] < 0.3


def test_a_price_range_reaches_the_chart():
    axes = money.f1_against_training_cost(models([80], [2.0], dearer=2)).axes[0]
    assert axes.get_xlim()[1] > 4
    assert axes.lines[0].get_xdata() == [3]


def test_without_any_training_the_charts_say_so():
    table = models([80], [1.0]).assign(train_seconds=np.nan, train_usd_low=np.nan, train_usd_high=np.nan)
    for figure in (
        money.f1_against_training_cost(table),
        accuracy.loss(pd.DataFrame(columns=["model", "seed", "step", "epoch", "loss"]), {}),
    ):
        assert [text.get_text() for text in figure.axes[0].texts] == ["no model was fine-tuned in this study"]


def test_a_model_has_one_colour_in_all_charts():
    table = models([80, 70], [1.0, 2.0])
    colours = charts.palette(table)
    assert list(colours) == NAMES[:2]
    losses = pd.DataFrame({"model": NAMES[1], "seed": 0, "step": [1, 2], "epoch": [0.5, 1], "loss": [2.0, 1.0]})
    assert accuracy.loss(losses, colours).axes[0].lines[0].get_color() == colours["DistilBERT"]
    assert charts.f1_against_question(table).axes[0].lines[0].get_color() == colours["BERT"]


def test_times_have_a_panel_a_batch_size_with_readable_ticks():
    timings = pd.DataFrame(
        [
            {"model": model, "work": "forward", "batch_size": batch, "length": length, "seconds": value,
             "low": 0.9 * value, "high": 1.1 * value}
            for model, factor in (("BERT", 2), ("DistilBERT", 1))
            for batch in (1, 32)
            for length in (32, 128)
            if (value := factor * batch * length * 1e-4)
        ]
    )  # fmt: skip
    figure = speed.seconds_against_length(timings, "forward", charts.palette(models([1, 2], [1, 2])))
    figure.draw_without_rendering()
    assert [axes.get_title() for axes in figure.axes] == ["batch 1", "batch 32"]
    ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert {"5 ms", "10 ms", "200 ms"} <= set(ticks)
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["32", "128"]


def peaks(rows: list[tuple[str, int, int, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["model", "batch_size", "length", "mib"])


COLOURS = dict(zip(NAMES, "rgbcm", strict=True))


def test_memory_has_a_panel_a_length_and_a_cross_where_it_ran_out():
    rows = [("BERT", 8, 128, 900.0), ("BERT", 1, 128, 500.0), ("BERT", 8, 512, np.nan), ("DistilBERT", 8, 512, 700.0)]
    figure = memory.memory_against_batch(peaks(rows), COLOURS)
    assert [axes.get_title() for axes in figure.axes] == ["128 tokens per row", "512 tokens per row"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["batch size", "batch size (×: out of memory)"]
    assert [list(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "o"] == [[1, 8]]
    ((cross,),) = [
        line.get_xydata() for line in figure.axes[1].lines if line.get_marker() == "x" and len(line.get_xdata())
    ]
    assert cross.tolist() == [8, 0]
    assert all(axes.get_ylim()[0] == 0 for axes in figure.axes)


def test_memory_panels_share_a_scale_that_holds_the_highest_point_of_each():
    for rows in (
        [("BERT", 1, 128, 500.0), ("BERT", 1, 512, 9000.0)],
        [("BERT", 1, 128, 9000.0), ("BERT", 1, 512, 5.0)],
    ):
        figure = memory.memory_against_batch(peaks(rows), COLOURS)
        assert all(axes.get_ylim()[1] > 9000 for axes in figure.axes)


def test_charts_without_anything_to_show_say_so():
    columns = ["model", "f1", "usd", "usd_low", "usd_high"]
    for figure, why in (
        (memory.memory_against_batch(peaks([]), {}), "no memory was measured"),
        (published.published_f1_against_cost(pd.DataFrame(columns=columns), {}),
         "no model of this study has published figures"),
    ):  # fmt: skip
        assert [text.get_text() for text in figure.axes[0].texts] == [why]


@pytest.mark.parametrize("usd", [[100.0, 51.0, 50.0], [50.0, 50.0, 50.0], [0.0, 0.0, 0.0]])
def test_published_labels_neither_leave_the_axes_nor_collide(usd):
    cost = np.array(usd)
    table = pd.DataFrame(
        {"model": NAMES[:3], "f1": [88.13, 85.57, 85.57], "usd": cost, "usd_low": cost / 2, "usd_high": 1.5 * cost}
    )
    figure = published.published_f1_against_cost(table, COLOURS)
    boxes = [label.get_window_extent() for label in labels(figure)]
    inside = figure.axes[0].get_window_extent()
    assert [label.get_text() for label in labels(figure)] == NAMES[:3]
    assert all(inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1) for box in boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert figure.axes[0].get_xlim()[1] > 1.5 * cost.max()


def test_costs_in_all_begin_with_the_training_and_cross_at_break_even():
    table = pd.DataFrame(
        {"model": NAMES[:3], "training_usd": [1.0, 2.0, np.nan], "question_usd": [0.0002, 0.0001, 0.0001],
         "question_low": [0.0001, 0.0001, 0.0001], "question_high": [0.0003, 0.0001, 0.0001]}
    )  # fmt: skip
    bert, distilbert, fine_tuned = (line.get_xydata() for line in money.break_even(table, COLOURS).axes[0].lines)
    assert bert[0].tolist() == pytest.approx([100, 1.02])
    assert fine_tuned[0].tolist() == pytest.approx([100, 0.01])  # nothing was paid for its training here
    assert bert[2].tolist() == distilbert[2].tolist() == pytest.approx([10_000, 3])


def test_lines_are_named_at_their_ends_and_by_a_legend_where_names_would_collide():
    def drawn(ends: list[float]) -> Any:
        rows = [(name, batch, 128, y) for name, y in zip(NAMES, ends, strict=False) for batch in (1, 8)]
        return memory.memory_against_batch(peaks(rows), COLOURS).axes[0]

    apart = drawn([900.0, 500.0])
    assert [(text.get_text(), text.xy) for text in apart.texts] == [("BERT", (8, 900)), ("DistilBERT", (8, 500))]
    assert apart.get_legend() is None
    close = drawn([900.0, 899.0])
    assert [text.get_text() for text in close.get_legend().get_texts()] == ["BERT", "DistilBERT"]
    assert not close.texts


def test_the_front_is_drawn_as_stairs_through_its_models_alone():
    standing = ["front", "front", "unclear", "dominated"]
    figure = charts.f1_against_question(models([80, 70, 69, 60], [0.2, 0.1, 0.11, 0.3], standing=standing))
    axes = figure.axes[0]
    (front,) = [line for line in axes.lines if line.get_label() == "Pareto front"]
    bottom, right = axes.get_ylim()[0], axes.get_xlim()[1]
    assert front.get_xydata().tolist() == pytest.approx(np.array([[100, bottom], [100, 70], [200, 80], [right, 80]]))
    markers = [line for line in axes.lines if len(line.get_xdata()) == 1 and line.get_marker() in ("o", "X")]
    assert [(line.get_marker(), line.get_markerfacecolor() == "white") for line in markers] == [
        ("o", False), ("o", False), ("o", True), ("X", False)
    ]  # fmt: skip


def test_no_front_is_drawn_where_no_model_is_shown_to_be_on_it():
    axes = charts.f1_against_question(models([80, 79], [0.1, 0.1], standing=["unclear", "unclear"])).axes[0]
    assert "Pareto front" not in [line.get_label() for line in axes.lines]
