"""What charts share: style, colours and markers, scales, the scatter chart of a trade-off. Computes nothing.

A model has one colour and an engine one marker in all charts.
"""

from collections.abc import Iterable, Mapping
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib import rcsetup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from qa_tradeoffs.report import lettering
from qa_tradeoffs.report.labels import Named, legible, name_lines, name_points
from qa_tradeoffs.study.engines import LABELS

__all__ = [
    "COLOURS", "MARKERS", "WIDTH", "Palette", "engine_legend", "errors", "legible", "logarithmic", "name", "name_lines",
    "palette", "panels", "scale", "subplots", "tradeoff", "use_style",
]  # fmt: skip

WIDTH = 5.2  # inches; in a phone's column of 340 CSS pixels, 10-point text is then 9 pixels high
# In the order of the study. Hues as in Okabe and Ito (2008), which colour-blind people tell apart. The first five
# differ so much in lightness that they can be told apart in black and white, too.
COLOURS = (
    "#004b78", "#e09600", "#008560", "#a63c06", "#c56fa0", "#56b4e9", "#6b6b6b", "#8c6d31", "#5e4fa2", "#94a63a",
)  # fmt: skip
MARKERS = dict(zip(LABELS, ("o", "^", "s", "D", "v", "P", "X"), strict=False))  # by engine
_F1 = "F1 (points, 95 % interval)"
_LOGARITHMIC = 8  # the ratio of highest to lowest from which an axis is logarithmic: about a decade

# The marker of each standing relative to the Pareto front, and of published scores.
_STANDINGS: dict[str, dict[str, Any]] = {
    "front": {"marker": "o", "markersize": 8},
    "unclear": {"marker": "o", "markersize": 8, "markerfacecolor": "white", "markeredgewidth": 2},
    "published": {"marker": "o", "markersize": 8, "markerfacecolor": "white", "markeredgewidth": 2},
    "dominated": {"marker": "X", "markersize": 11, "markeredgecolor": "white"},
    "not learned": {"marker": "v", "markersize": 8, "markerfacecolor": "white"},
}
# With several engines the shape of a marker names the engine, and dominated points are small.
_IN_ENGINES: dict[str, dict[str, Any]] = {
    "front": {"markersize": 8},
    "unclear": {"markersize": 8, "markerfacecolor": "white", "markeredgewidth": 2},
    "dominated": {"markersize": 5, "alpha": 0.5},
    "not learned": {"markersize": 5, "markerfacecolor": "white"},
}
_INK, _SOFT, _RULE = "#1c2128", "#57606a", "#d8dee4"
_STYLE: dict[Any, Any] = {
    "font.size": 10, "axes.labelsize": 10, "axes.titlesize": 10.5, "xtick.labelsize": 9.5, "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5, "legend.frameon": False, "text.color": _INK, "axes.labelcolor": _INK,
    "axes.edgecolor": _SOFT, "xtick.color": _SOFT, "ytick.color": _SOFT, "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "axes.axisbelow": True, "grid.color": _RULE, "grid.linewidth": 0.8, "lines.linewidth": 1.8,
    "axes.prop_cycle": rcsetup.cycler(color=COLOURS), "figure.constrained_layout.use": True,
    "svg.hashsalt": "qa-tradeoffs",  # fixes identifiers, so that equal charts are equal files
}  # fmt: skip


def use_style() -> None:
    """Set the style of all charts."""
    mpl.rcParams.update(_STYLE)


class Palette(dict[str, Any]):
    """Model label → colour; ``names`` are the labels as charts write them."""

    names: dict[str, str]


def palette(models: pd.DataFrame) -> Palette:
    """Model label → colour, in the order of the study; also makes charts use fonts that have the labels' characters.

    If rows are models in engines, all rows of one model, ``of``, have one colour.
    """
    of = models["of"] if "of" in models else models["model"]
    drawn = dict(zip(of.unique(), cycle(COLOURS), strict=False))
    colours = Palette(zip(models["model"], of.map(drawn), strict=True))
    slugs = models["slug"] if "slug" in models else models["model"]
    mpl.rcParams["font.family"], colours.names = lettering.of(dict(zip(slugs, models["model"], strict=True)))
    return colours


def name(model: object, colours: dict[str, Any]) -> str:
    """A model's label as charts write it; dollars are escaped, or matplotlib would read a formula between them."""
    written = colours.names.get(str(model), str(model)) if isinstance(colours, Palette) else str(model)
    return written.replace("$", r"\$")


def tradeoff(models: pd.DataFrame, xlabel: str, colours: dict[str, Any], ylabel: str = _F1) -> Figure:
    """F1 against x: a labelled point per model, with intervals in both; x from zero, or logarithmic (``scale``).

    Columns of ``models``: ``f1`` and ``x``, each with ``_low`` and ``_high``, and optionally ``standing``, a key of
    _STANDINGS. With several values of ``engine``, each engine has its marker, a thin line joins the points of a model,
    which has one label, and a legend names the engines.
    """
    figure, axes = subplots(3.8)
    several = "engine" in models and models["engine"].nunique() > 1
    for _, row in models.iterrows():
        standing = row.get("standing", "front")
        marker = {"marker": MARKERS[row["engine"]]} | _IN_ENGINES[standing] if several else _STANDINGS[standing]
        axes.errorbar(
            row["x"], row["f1"], xerr=errors(row, "x")[:, None], yerr=errors(row, "f1")[:, None], capsize=3,
            elinewidth=1.3, color=colours[row["model"]], clip_on=False, zorder=3, **marker,
        )  # fmt: skip
    lowest, highest = models["f1_low"].min(), models["f1_high"].max()
    room = max(2.0, 0.15 * (highest - lowest))
    axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(max(0.0, lowest - room), min(100.0, highest + room)))
    scale(axes, "x", models["x_low"].min(), models["x_high"].max())
    if several:
        _join_engines(axes, models, colours)
    of = models["of"] if several else models["model"]
    named = [
        Named(name(model, colours), colours[rows["model"].iloc[0]], rows[["x", "f1"]].to_numpy(dtype=float))
        for model, rows in models.groupby(of, sort=False)
    ]
    name_points(axes, named)
    return figure


def _join_engines(axes: Axes, models: pd.DataFrame, colours: dict[str, Any]) -> None:
    """A thin line through the points of each model, and the legend of engines."""
    for _, rows in models.sort_values("x").groupby("of", sort=False):
        colour = colours[rows["model"].iloc[0]]
        axes.plot(rows["x"], rows["f1"], color=colour, linewidth=1, alpha=0.5, zorder=2)
    engine_legend(axes.figure, models["engine"].unique())


def engine_legend(figure: Any, engines: Iterable[str], colours: Mapping[str, Any] | None = None) -> None:
    """A legend below the axes: the line of each model of ``colours``, by its name, and the marker of each engine."""
    handles = [Line2D([], [], color=colour, label=label) for label, colour in (colours or {}).items()]
    handles += [
        Line2D([], [], color=_SOFT, linestyle="", marker=MARKERS[engine], label=LABELS[engine]) for engine in engines
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4))


def scale(axes: Axes, axis: str, low: float, high: float) -> None:
    """Scale the ``axis``, 'x' or 'y', to hold the values from ``low`` to ``high``.

    It is logarithmic if ``high`` is at least 8 times ``low``, and otherwise begins at zero.
    """
    if low > 0 and high >= _LOGARITHMIC * low:
        logarithmic(axes, axis, low, high)
    else:
        axes.set(**{f"{axis}lim": (0, high * 1.15 or 1)})


def logarithmic(axes: Axes, axis: str, low: float, high: float) -> None:
    """Make the ``axis`` logarithmic, from below ``low`` to above ``high``; with ticks at 1, 2 and 5 if they fit."""
    axes.set(**{f"{axis}scale": "log", f"{axis}lim": (low / 1.3, high * 1.3)})
    of_axis: Any = axes.xaxis if axis == "x" else axes.yaxis
    of_axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    of_axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    of_axis.set_minor_locator(NullLocator())


def subplots(height: float, rows: int = 1, columns: int = 1, **settings: Any) -> tuple[Figure, Any]:
    """A figure in the charts' style, ``height`` in inches, and its axes as ``pyplot.subplots`` gives them."""
    use_style()
    return plt.subplots(rows, columns, figsize=(max(WIDTH, 3.2 * columns), height), **settings)


def panels(table: pd.DataFrame, by: str) -> tuple[Figure, list[tuple[Axes, Any, pd.DataFrame]]]:
    """A figure with a panel for each value of a column, side by side on one scale, and its axes, value and rows."""
    values = sorted(table[by].unique())
    figure, axes = subplots(3.4, columns=len(values), sharey=True, squeeze=False)
    return figure, [(axes, v, table[table[by] == v]) for axes, v in zip(axes[0], values, strict=True)]


def errors(rows: Any, column: str) -> Any:
    """(2, n): how far ``column`` is above ``column_low`` and below ``column_high``, as error bars take it."""
    return np.stack([rows[column] - rows[f"{column}_low"], rows[f"{column}_high"] - rows[column]])
