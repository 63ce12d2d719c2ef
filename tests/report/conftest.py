"""Hand-made tables for charts, and what holds for every chart."""

from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import combinations
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from qa_tradeoffs.report import charts


class Reader(HTMLParser):
    """Markup read back: its tags with their attributes and, apart, its text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]


NAMES = ["BERT", "DistilBERT", "SqueezeBERT (grouped)", "TinyBERT", "MobileBERT"]
COLOURS = dict(zip(NAMES, "rgbcm", strict=True))


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    """The look of the report's charts; those that are drawn are closed afterwards."""
    with mpl.rc_context():
        charts.use_style()
        yield
    plt.close("all")


def scored(f1: list[float], x: list[float], dearer: float = 1.0, standing: Any = "front") -> pd.DataFrame:
    """What scatters need of the table of models; ``x`` is seconds of a question, seconds and USD of a training."""
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
            "standing": standing,
            "train_seconds": value,
            "train_usd_low": value,
            "train_usd_high": dearer * value,
        }
    )


CROWDED = [
    scored([88, 86, 86.3], [0.1, 0.05, 0.052]),
    scored([100, 99, 98, 0, 50], [0.1, 0.099, 0.05, 0.01, 0.1]),
    scored([0, 0.5], [0.1, 0.1]),
    scored([80, 80, 80, 80, 80], [0.1, 0.1, 0.1, 0.1, 0.1]),
    scored([90], [0.2]),
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


def texts(figure: Figure) -> list[str]:
    """What is written into the first panel."""
    return [text.get_text() for text in figure.axes[0].texts]
