"""Hand-made tables for charts, and what holds for every chart."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import matplotlib as mpl
import nbformat
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from nbformat.v4 import new_output

from qa_tradeoffs.report import charts, display


def output_of(made: display.Html) -> nbformat.NotebookNode:
    """The output of a cell that displays what display.py made."""
    data, metadata = made._repr_mimebundle_()
    return new_output("execute_result", data, metadata=metadata)


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
    """Use the style of the report's charts; close all charts afterwards."""
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


def luminance(colour: Any) -> float:
    """Relative, 0 to 1: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    rgb = np.array(mpl.colors.to_rgb(colour))
    return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def contrast(one: Any, other: Any) -> float:
    """Of two colours: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def texts(figure: Figure) -> list[str]:
    """What is written into the first panel."""
    return [text.get_text() for text in figure.axes[0].texts]
