"""Names in a chart beside what they name: none covers another name or a point, and none leaves the axes."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike, NDArray

_DOT = 6  # half the side of a point with some room, in pixels
_LINE = 16  # a line of text, in pixels
# Distances of a name from its point, in typographic points; from _FAR on a line leads to the point.
_DISTANCES, _FAR = (7, 16, 28, 42, 58, 76, 96), 28
_ACROSS, _UP = {1: "left", 0: "center", -1: "right"}, {1: "bottom", 0: "center", -1: "top"}
_SIDES = [side for side in product((1, -1, 0), (1, -1, 0)) if any(side)]
_OVER_A_BAR = 20  # what lying over an error bar costs a name, as distance in typographic points


@dataclass(frozen=True, eq=False)
class Named:
    """A text, its colour, and the points (n, 2) in data coordinates, one of which gets the text."""

    text: str
    colour: Any
    points: ArrayLike


def legible(colour: Any) -> Any:
    """The colour, dark enough for legible text on white: a contrast of at least 4.5 (WCAG 2.2, 1.4.3)."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(colour))
    return colorsys.hls_to_rgb(hue, min(lightness, 0.25), saturation)


def name_points(axes: Axes, named: Sequence[Named]) -> None:
    """Write each name beside one of its points, covering no point drawn with error bars and, if possible, no bar.

    Names without such a place are in a legend below the axes.
    """
    figure: Any = axes.figure
    legends = list(figure.legends)
    others = [handle for legend in legends for handle in legend.legend_handles]
    without: list[Named] = []
    while missing := _place(axes, [one for one in named if one not in without]):
        without += missing
        for legend in legends:
            legend.remove()
        below = [Line2D([], [], color=one.colour, marker="o", linestyle="", label=one.text) for one in without]
        legends = [figure.legend(handles=[*others, *below], loc="outside lower center", ncols=2)]


def name_lines(panels: Sequence[Axes]) -> None:
    """Write each label at the end of its line in the last panel, apart from the others; a thin line leads back to it.

    If a line has no end, or if the labels do not fit, a legend in the first panel has them all.
    """
    last = panels[-1]
    last.figure.draw_without_rendering()  # type: ignore[union-attr]
    handles, names = last.get_legend_handles_labels()
    lines: list[Any] = [handle[0] if isinstance(handle, ErrorbarContainer) else handle for handle in handles]
    ends = np.array([line.get_xydata()[-1] for line in lines]).reshape(-1, 2)
    frame = last.get_window_extent()
    if np.isnan(ends).any() or len(ends) * _LINE > frame.height:  # a line that ran out of memory has no end
        panels[0].legend(title=None)
        return
    at = last.transData.transform(ends)
    heights = spread(at[:, 1], _LINE, frame.y0 + _LINE / 2, frame.y1 - _LINE / 2)
    in_points = 72 / last.figure.dpi
    for line, name, end, (_, own), height in zip(lines, names, ends, at, heights, strict=True):
        moved = (height - own) * in_points
        colour = line.get_color()
        last.annotate(
            name, tuple(end), xytext=(8 if abs(moved) < 1 else 14, moved), textcoords="offset points", va="center",
            annotation_clip=False, color=legible(colour),
            arrowprops=None if abs(moved) < 1 else {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 0},
        )  # fmt: skip


def spread(heights: ArrayLike, gap: float, low: float, high: float) -> NDArray[np.float64]:
    """The heights (n,), moved as little as it takes to lie ``gap`` apart, in their order and from ``low`` to ``high``.

    The sum of squared moves is minimal before heights beyond the bounds are pushed back: isotonic regression by pooling
    adjacent violators (Barlow et al. 1972).
    """
    heights = np.asarray(heights, dtype=np.float64)
    order, steps = np.argsort(heights, kind="stable"), gap * np.arange(len(heights))
    pools: list[list[float]] = []
    for target in heights[order] - steps:
        pools.append([target])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    pooled = np.repeat([np.mean(pool) for pool in pools], [len(pool) for pool in pools])
    found = np.empty_like(heights)
    found[order] = pooled.clip(low, max(low, high - gap * (len(heights) - 1))) + steps
    return found


@dataclass(frozen=True, eq=False)
class _Place:
    """A place for a name: its point, distance and side, these two as an ``offset``, and the name's box in pixels."""

    point: NDArray[np.float64]
    distance: int
    side: tuple[int, int]
    offset: NDArray[np.float64]
    box: Bbox


def _place(axes: Axes, named: Sequence[Named]) -> list[Named]:
    """Write the names; if some have no place, write none and return these."""
    figure: Any = axes.figure
    figure.draw_without_rendering()
    drawn: list[Any] = [one for one in axes.containers if isinstance(one, ErrorbarContainer)]
    dots = [axes.transData.transform(point.get_xydata()[0]) for point, *_ in drawn]
    taken = [Bbox.from_bounds(x, y, 0, 0).padded(_DOT) for x, y in dots]
    bars = [bar for _, _, directions in drawn for lines in directions for bar in lines.get_segments()]
    avoided = [Bbox(axes.transData.transform(bar)).padded(1) for bar in bars]
    free = [[place for place in _places(axes, one) if not place.box.count_overlaps(taken)] for one in named]
    chosen: dict[int, _Place] = {}
    # The name with the fewest places goes first, or others could take them all.
    for i in sorted(range(len(named)), key=lambda i: len(free[i])):
        left = [place for place in free[i] if not place.box.count_overlaps([other.box for other in chosen.values()])]
        if left:
            chosen[i] = min(left, key=lambda place: place.distance + _OVER_A_BAR * place.box.count_overlaps(avoided))
    if missing := [one for i, one in enumerate(named) if i not in chosen]:
        return missing
    for i, one in enumerate(named):
        _write(axes, one, chosen[i])
    return []


def _places(axes: Axes, one: Named) -> list[_Place]:
    """Every place around its points at which the name is within the axes."""
    inside, scale = axes.get_window_extent(), axes.figure.dpi / 72
    text = axes.text(0, 0, one.text)
    size = np.array(text.get_window_extent().size)
    text.remove()
    found = []
    for point, distance, side in product(np.atleast_2d(np.asarray(one.points, np.float64)), _DISTANCES, _SIDES):
        towards = np.array(side)
        offset = distance * towards / np.hypot(*side)
        # The lower left corner: a name on the left ends at the point, so it begins its width further left.
        corner = axes.transData.transform(point) + scale * offset + size * (towards - 1) / 2
        box = Bbox([corner, corner + size])
        if inside.contains(*box.min) and inside.contains(*box.max):
            found.append(_Place(point, distance, side, offset, box))
    return found


def _write(axes: Axes, one: Named, place: _Place) -> None:
    """Write the name at its place, with a line to its point if that is far."""
    arrow = {"arrowstyle": "-", "color": one.colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3}
    axes.annotate(
        one.text, tuple(place.point), xytext=tuple(place.offset), textcoords="offset points", zorder=5,
        color=legible(one.colour), path_effects=[withStroke(linewidth=3, foreground="white")],
        horizontalalignment=_ACROSS[place.side[0]], verticalalignment=_UP[place.side[1]],
        arrowprops=arrow if place.distance >= _FAR else None,
    )  # fmt: skip
