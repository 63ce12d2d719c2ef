"""What charts share: style, colours, labels that can be read, the scatter of a trade-off. Computes nothing.

One colour per model everywhere, safe for the colour-blind.
"""

from collections.abc import Sequence
from itertools import cycle, pairwise
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from qa_tradeoffs.report import lettering
from qa_tradeoffs.study.engines import LABELS

WIDTH = 6.4  # inches: legible on a phone without zooming
_F1 = "F1 (points, 95 % interval)"
_DOT = 6  # half the side of a point with some room, in pixels
_LINE = 16  # a line of text, in pixels
_UNNAMED = "_"  # the label of a point without one; no model's label is written so
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
    "not learned": {"marker": "v", "markersize": 8, "markerfacecolor": "white"},
}
# Where a model is there in several engines: a shape for each, in the order of the study. What is dominated is small.
_SHAPES = "osD^P*"
_IN_ENGINES: dict[str, dict[str, Any]] = {
    "front": {"markersize": 8},
    "unclear": {"markersize": 8, "markerfacecolor": "white", "markeredgewidth": 2},
    "dominated": {"markersize": 5, "alpha": 0.5},
    "not learned": _MARKERS["not learned"],
}


def use_style() -> None:
    """The look of every chart of the report. Fixed identifiers, so that equal charts are equal files."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=0.9)
    mpl.rcParams.update({"svg.hashsalt": "qa-tradeoffs", "figure.constrained_layout.use": True})


class Palette(dict[str, Any]):
    """Model label → colour; ``names`` are the labels as charts write them."""

    names: dict[str, str]


def palette(models: pd.DataFrame) -> Palette:
    """Model label → colour, by the order of the study; from here on charts use fonts that have the labels' letters.

    Where rows are models in engines, those of one model, ``of``, have one colour.
    """
    of = models["of"] if "of" in models else models["model"]
    drawn = dict(zip(of.unique(), sns.color_palette("colorblind", of.nunique()), strict=True))
    colours = Palette(zip(models["model"], of.map(drawn), strict=True))
    slugs = models["slug"] if "slug" in models else models["model"]
    mpl.rcParams["font.family"], colours.names = lettering.of(dict(zip(slugs, models["model"], strict=True)))
    return colours


def name(model: object, colours: dict[str, Any]) -> str:
    """A model's label as charts write it; between two dollars matplotlib would read a formula."""
    written = colours.names[str(model)] if isinstance(colours, Palette) else str(model)
    return written.replace("$", r"\$")


def legible(colour: Any) -> Any:
    """The colour, so dark that a text on white can be read: a contrast of 4.5 (WCAG 2.2, 1.4.3)."""
    return sns.set_hls_values(colour, l=0.25)


def tradeoff(models: pd.DataFrame, xlabel: str, colours: dict[str, Any], ylabel: str = _F1) -> Figure:
    """A labelled point per model, F1 against x, with its intervals in both; the horizontal axis begins at zero.

    ``models`` has ``f1`` and ``x``, each with ``_low`` and ``_high``, and ``standing`` where some are dominated. Where
    it has several of ``engine``, a legend names them and the models, and dominated points have no label.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 4))
    shapes = _shapes(models)
    for _, row in models.iterrows():
        standing = row.get("standing", "front")
        marker = {"marker": shapes[row["engine"]]} | _IN_ENGINES[standing] if shapes else _MARKERS[standing]
        shown = not shapes or standing in ("front", "unclear")
        axes.errorbar(
            row["x"], row["f1"], xerr=errors(row, "x")[:, None], yerr=errors(row, "f1")[:, None], capsize=4,
            color=colours[row["model"]], label=name(row["model"], colours) if shown else _UNNAMED, clip_on=False,
            zorder=3, **marker,
        )  # fmt: skip
    if shapes:
        _legend(figure, models, shapes, colours)
    lowest, highest = models["f1_low"].min(), models["f1_high"].max()
    room = max(2.0, 0.15 * (highest - lowest))
    axes.set(
        xlabel=xlabel,
        ylabel=ylabel,
        xlim=(0, float(models["x_high"].max()) * 1.15 or 1),
        ylim=(max(0.0, lowest - room), min(100.0, highest + room)),
    )
    _name_points(axes)
    return figure


def _shapes(models: pd.DataFrame) -> dict[str, str]:
    """Engine → marker; none where there is one engine."""
    engines = models["engine"].unique() if "engine" in models else []
    return dict(zip(engines, cycle(_SHAPES), strict=False)) if len(engines) > 1 else {}


def _legend(figure: Figure, models: pd.DataFrame, shapes: dict[str, str], colours: dict[str, Any]) -> None:
    """Below the axes, the colour of each model and the shape of each engine."""
    own = models[models["model"] == models["of"]]
    handles = [Line2D([], [], color=colours[m], linewidth=4, label=name(m, colours)) for m in own["model"]]
    for engine, shape in shapes.items():
        handles.append(Line2D([], [], color="0.4", linestyle="", marker=shape, label=LABELS[engine]))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)


def panels(table: pd.DataFrame, by: str) -> tuple[Figure, list[tuple[Axes, Any, pd.DataFrame]]]:
    """A figure with a panel for each value of a column, side by side on one scale: its axes, the value, its rows."""
    values = sorted(table[by].unique())
    size = (max(WIDTH, 3.4 * len(values)), 3.6)
    figure, axes = plt.subplots(1, len(values), figsize=size, sharey=True, squeeze=False)
    return figure, [(axes, v, table[table[by] == v]) for axes, v in zip(axes[0], values, strict=True)]


def name_lines(panels: Sequence[Axes]) -> None:
    """Write each label at the end of its line in the last panel; where they would collide, a legend in the first."""
    last = panels[-1]
    last.figure.draw_without_rendering()  # type: ignore[union-attr]
    handles, names = last.get_legend_handles_labels()
    lines: list[Any] = [handle[0] if isinstance(handle, ErrorbarContainer) else handle for handle in handles]
    ends = [line.get_xydata()[-1] for line in lines]
    heights = sorted(last.transData.transform(end)[1] for end in ends)
    apart = all(above - below > _LINE for below, above in pairwise(heights))
    if not apart or np.isnan(ends).any():  # one that ran out of memory has no end
        panels[0].legend(title=None)
        return
    for line, name, end in zip(lines, names, ends, strict=True):
        last.annotate(
            name, end, xytext=(8, 0), textcoords="offset points", va="center", annotation_clip=False,
            color=legible(line.get_color()),
        )  # fmt: skip


def errors(rows: Any, column: str) -> Any:
    """(2, n): how far ``column`` is above ``column_low`` and below ``column_high``, as error bars take it."""
    return np.stack([rows[column] - rows[f"{column}_low"], rows[f"{column}_high"] - rows[column]])


def _name_points(axes: Axes) -> None:
    """Write each label beside its point, where it leaves neither the axes nor covers a point or another name.

    Nor an error bar, where there is such a place.
    """
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    inside, drawn = axes.get_window_extent(), cast(list[ErrorbarContainer], axes.containers)
    dots = [axes.transData.transform(point.get_xydata()[0]) for point, *_ in drawn]
    taken = [Bbox.from_bounds(x, y, 0, 0).padded(_DOT) for x, y in dots]
    bars = [bar for _, _, directions in drawn for lines in directions for bar in lines.get_segments()]
    lines = [Bbox(axes.transData.transform(bar)).padded(1) for bar in bars]
    for container in drawn:
        point = container[0]
        if str(container.get_label()) == _UNNAMED:
            continue
        text = axes.annotate(
            str(container.get_label()), point.get_xydata()[0], xytext=(0, 0), textcoords="offset points", zorder=4,
            color=legible(point.get_color()), path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip
        boxes = {place: _put(text, place) for place in _PLACES}
        over_bars = {
            place: box.count_overlaps(lines)
            for place, box in boxes.items()
            if inside.contains(*box.min) and inside.contains(*box.max) and not box.count_overlaps(taken)
        }
        taken.append(_put(text, min(over_bars, key=over_bars.__getitem__, default=_PLACES[-2])))


def _put(text: Annotation, place: tuple[tuple[int, int], str, str]) -> Bbox:
    """Move the text to this place beside its point; where it then is, in pixels."""
    offset, horizontal, vertical = place
    text.set(position=offset, horizontalalignment=horizontal, verticalalignment=vertical)
    return text.get_window_extent()
