"""Charts stay within their scales, and their labels can be read."""

from itertools import combinations
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from qa_tradeoffs import figures

NAMES = ["BERT", "DistilBERT", "SqueezeBERT (grouped)", "TinyBERT", "MobileBERT"]


@pytest.fixture(autouse=True)
def style() -> Any:
    with mpl.rc_context():
        figures.use_style()
        yield
    plt.close("all")


def models(f1: list[float], x: list[float], dearer: float = 1.0) -> pd.DataFrame:
    score, value = np.array(f1), np.array(x)
    return pd.DataFrame(
        {
            "model": NAMES[: len(f1)],
            "f1": score,
            "f1_low": np.maximum(score - 3, 0),
            "f1_high": np.minimum(score + 3, 100),
            "latency": value,
            "latency_low": 0.95 * value,
            "latency_high": 1.05 * value,
            "latency_batch": 1,
            "latency_at": 384,
            "train_seconds": value,
            "train_usd_low": value,
            "train_usd_high": dearer * value,
        }
    )


CASES = [
    models([88, 86, 86.3], [0.1, 0.05, 0.052]),
    models([100, 99, 98, 0, 50], [0.1, 0.099, 0.05, 0.01, 0.1]),
    models([0, 0.5], [0.1, 0.1]),
    models([80, 80, 80, 80, 80], [0.1, 0.1, 0.1, 0.1, 0.1]),
    models([90], [0.2]),
]


def labels(figure: Figure) -> list[Annotation]:
    figure.draw_without_rendering()
    return [child for child in figure.axes[0].get_children() if isinstance(child, Annotation)]


@pytest.mark.parametrize("table", CASES)
@pytest.mark.parametrize("draw", [figures.f1_against_latency, figures.f1_against_training_cost])
def test_labels_neither_leave_the_axes_nor_collide(table, draw):
    figure = draw(table)
    inside = figure.axes[0].get_window_extent()
    boxes = [label.get_window_extent() for label in labels(figure)]
    assert [label.get_text() for label in labels(figure)] == table["model"].tolist()
    assert all(inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1) for box in boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


@pytest.mark.parametrize("table", CASES)
def test_f1_is_shown_with_room_but_never_beyond_its_scale(table):
    axes = figures.f1_against_latency(table).axes[0]
    low, high = axes.get_ylim()
    assert 0 <= low <= table["f1_low"].min()
    assert table["f1_high"].max() <= high <= 100
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlim()[1] > 1e3 * table["latency_high"].max()


def test_axes_name_their_units():
    assert figures.f1_against_latency(CASES[0]).axes[0].get_xlabel() == (
        "one forward pass (ms, median; batch 1 × 384 tokens)"
    )
    assert figures.f1_against_training_cost(CASES[0]).axes[0].get_xlabel() == "fine-tuning once (USD)"


def test_small_costs_are_in_cents():
    axes = figures.f1_against_training_cost(models([80, 70], [0.002, 0.001])).axes[0]
    assert axes.get_xlabel() == "fine-tuning once (US cents)"
    assert 0.2 < axes.get_xlim()[1] < 0.3


def test_a_price_range_reaches_the_chart():
    axes = figures.f1_against_training_cost(models([80], [2.0], dearer=2)).axes[0]
    assert axes.get_xlim()[1] > 4
    assert axes.lines[0].get_xdata() == [3]


def test_without_any_training_the_charts_say_so():
    table = models([80], [1.0]).assign(train_seconds=np.nan, train_usd_low=np.nan, train_usd_high=np.nan)
    for figure in (
        figures.f1_against_training_cost(table),
        figures.loss(pd.DataFrame(columns=["model", "seed", "step", "epoch", "loss"]), {}),
    ):
        assert [text.get_text() for text in figure.axes[0].texts] == ["no model was fine-tuned in this study"]


def test_a_model_has_one_colour_in_all_charts():
    table = models([80, 70], [1.0, 2.0])
    colours = figures.palette(table)
    assert list(colours) == NAMES[:2]
    losses = pd.DataFrame({"model": NAMES[1], "seed": 0, "step": [1, 2], "epoch": [0.5, 1], "loss": [2.0, 1.0]})
    assert figures.loss(losses, colours).axes[0].lines[0].get_color() == colours["DistilBERT"]
    assert figures.f1_against_latency(table).axes[0].lines[0].get_color() == colours["BERT"]


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
    figure = figures.seconds_against_length(timings, "forward", figures.palette(models([1, 2], [1, 2])))
    figure.draw_without_rendering()
    assert [axes.get_title() for axes in figure.axes] == ["batch 1", "batch 32"]
    ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert {"5 ms", "10 ms", "200 ms"} <= set(ticks)
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["32", "128"]
