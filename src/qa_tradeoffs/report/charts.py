"""What charts share: style, colours, labels that can be read, the scatter of a trade-off. Computes nothing.

One colour per model everywhere, safe for the colour-blind.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from qa_tradeoffs.report import lettering

WIDTH = 6.4  # inches: legible on a phone without zooming
_F1 = "F1 (points, 95 % interval over questions)"
_DOT = 6  # half the side of a point with some room, in pixels
_LINE = 16  # a line of text, in pixels
# Where a label may stand beside its point: offset in typographic points, and which of its corners is there.
_PLACES = [
    ((10 * side, height * up), "left" if side > 0 else "right", "bottom" if up > 0 else "top")
    for height in (6, 20, 34, 48)
    for up in (1, -1)
    for side in (1, -1)
]

# How a model stands to the Pareto front.
_MARKERS: dict[str, dict[str, Any]] = {
    "front": {"marker": "o", "markersize": 8},
    "unclear": {"marker": "o", "markersize": 8, "markerfacecolor": "white", "markeredgewidth": 2},
    "dominated": {"marker": "X", "markersize": 12, "markeredgecolor": "white"},
}


def use_style() -> None:
    """The look of every chart of the report. Fixed identifiers, so that equal charts are equal files."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=0.9)
    mpl.rcParams.update({"svg.hashsalt": "qa-tradeoffs", "figure.constrained_layout.use": True})


class Palette(dict[str, Any]):
    """Model label → colour; ``names`` are the labels as charts write them."""

    names: dict[str, str]


def palette(models: pd.DataFrame) -> Palette:
    """Model label → colour, by the order of the study; from here on charts use fonts that have the labels' letters."""
    colours = Palette(zip(models["model"], sns.color_palette("colorblind", len(models)), strict=True))
    slugs = models["slug"] if "slug" in models else models["model"]
    mpl.rcParams["font.family"], colours.names = lettering.of(dict(zip(slugs, models["model"], strict=True)))
    return colours


def name(model: object, colours: dict[str, Any]) -> str:
    """A model's label as charts write it."""
    return colours.names[str(model)] if isinstance(colours, Palette) else str(model)


def legible(colour: Any) -> tuple[float, float, float]:
    """The colour, darkened as far as a text on white needs: to a contrast of 4.5 (WCAG 2.2, 1.4.3)."""
    red, green, blue = mpl.colors.to_rgb(colour)
    while 1.05 / (_luminance((red, green, blue)) + 0.05) < 4.5:
        red, green, blue = 0.97 * red, 0.97 * green, 0.97 * blue
    return red, green, blue


def f1_against_question(choices: pd.DataFrame) -> Figure:
    """F1 (points) against the time of one question (milliseconds), with the Pareto front as stairs.

    A model on the front is a filled point, one that may be on it a hollow one, one that is not a cross.
    """
    x, low, high = (choices[column] * 1e3 for column in ("question", "question_low", "question_high"))
    figure = tradeoff(choices, x, low, high, "one question (ms, median, 95 % interval over passes)", palette(choices))
    axes = figure.axes[0]
    front = choices[choices["standing"] == "front"].sort_values("question")
    if len(choices) > 1 and not front.empty:
        right, bottom = axes.get_xlim()[1], axes.get_ylim()[0]
        times, scores = [*front["question"] * 1e3, right], [bottom, *front["f1"]]
        axes.step(
            [times[0], *times], [*scores, scores[-1]], where="post", color="0.6", linewidth=1.2, zorder=1,
            label="Pareto front",
        )  # fmt: skip
    return figure


def tradeoff(
    models: pd.DataFrame, x: "pd.Series[float]", low: "pd.Series[float]", high: "pd.Series[float]",
    xlabel: str, colours: dict[str, Any],
) -> Figure:  # fmt: skip
    """A labelled point per model with its intervals in both directions; the horizontal axis begins at zero."""
    figure, axes = plt.subplots(figsize=(WIDTH, 4))
    axes.set(xlabel=xlabel, ylabel=_F1)
    if models.empty:
        return nothing(figure, axes)
    bars = []
    for at, left, right, (_, row) in zip(x, low, high, models.iterrows(), strict=True):
        axes.errorbar(
            at,
            row["f1"],
            xerr=[[at - left], [right - at]],
            yerr=[[row["f1"] - row["f1_low"]], [row["f1_high"] - row["f1"]]],
            capsize=4,
            color=colours[row["model"]],
            clip_on=False,
            zorder=3,
            **_MARKERS[row.get("standing", "front")],
        )
        bars += [((left, row["f1"]), (right, row["f1"])), ((at, row["f1_low"]), (at, row["f1_high"]))]
    axes.set_xlim(0, float(high.max()) * 1.15)
    room = max(2.0, 0.15 * (models["f1_high"].max() - models["f1_low"].min()))
    axes.set_ylim(max(0.0, models["f1_low"].min() - room), min(100.0, models["f1_high"].max() + room))
    label(axes, models["model"].tolist(), list(zip(x, models["f1"], strict=True)), colours, bars)
    return figure


def label(
    axes: Axes, names: list[str], points: list[tuple[float, float]], colours: dict[str, Any],
    bars: Sequence[tuple[tuple[float, float], tuple[float, float]]] = (),
) -> None:  # fmt: skip
    """Write each name beside its point, where it leaves neither the axes nor covers a point or another name.

    Nor a bar, given by its two ends, where there is such a place.
    """
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    inside = axes.get_window_extent()
    dots = [axes.transData.transform(point) for point in points]
    taken = [Bbox.from_bounds(x, y, 0, 0).padded(_DOT) for x, y in dots]
    lines = [Bbox(axes.transData.transform(bar)).padded(1) for bar in bars]
    for model, point in zip(names, points, strict=True):
        text = axes.annotate(
            name(model, colours), point, xytext=(0, 0), textcoords="offset points", color=legible(colours[model]),
            zorder=4,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip
        places = []
        for place in _PLACES:
            box = _put(text, place)
            free = not any(box.overlaps(other) for other in taken)
            if free and inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1):
                places.append((sum(box.overlaps(line) for line in lines), place))
        taken.append(_put(text, min(places, key=lambda place: place[0])[1] if places else _PLACES[-2]))


def panels(table: pd.DataFrame, by: str) -> tuple[Figure, list[tuple[Axes, Any, pd.DataFrame]]]:
    """A figure with a panel for each value of a column, side by side on one scale: its axes, the value, its rows."""
    values = sorted(table[by].unique())
    size = (max(WIDTH, 3.4 * len(values)), 3.6)
    figure, axes = plt.subplots(1, len(values), figsize=size, sharey=True, squeeze=False)
    return figure, [(axes, v, table[table[by] == v]) for axes, v in zip(axes[0], values, strict=True)]


def name_lines(panels: Sequence[Axes], ends: dict[str, tuple[float, float]], colours: dict[str, Any]) -> None:
    """Write each name at the end of its line in the last panel; where they would collide, a legend in the first."""
    last = panels[-1]
    last.figure.draw_without_rendering()  # type: ignore[union-attr]
    heights = sorted(last.transData.transform(end)[1] for end in ends.values())
    apart = all(above - below > _LINE for below, above in pairwise(heights))
    if not apart or any(pd.isna(y) for _, y in ends.values()):  # one that ran out of memory has no end
        panels[0].legend(title=None)
        return
    for model, end in ends.items():
        last.annotate(
            name(model, colours), end, xytext=(8, 0), textcoords="offset points", va="center", annotation_clip=False,
            color=legible(colours[model]),
        )  # fmt: skip


def nothing(figure: Figure, axes: Axes, why: str = "no model was fine-tuned in this study") -> Figure:
    """In place of a chart a line that says why there is none."""
    figure.set_figheight(0.8)
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, ha="center", transform=axes.transAxes)
    return figure


def _luminance(rgb: tuple[float, float, float]) -> float:
    """Relative luminance of sRGB in [0, 1]."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _put(text: Annotation, place: tuple[tuple[int, int], str, str]) -> Bbox:
    """Move the text to this place beside its point; where it then is, in pixels."""
    offset, horizontal, vertical = place
    text.set(position=offset, horizontalalignment=horizontal, verticalalignment=vertical)
    return text.get_window_extent()
