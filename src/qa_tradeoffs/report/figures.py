"""Finished tables → axes; computes nothing. One colour per model everywhere, safe for the colour-blind."""

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
from matplotlib.ticker import FuncFormatter, LogLocator
from matplotlib.transforms import Bbox

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


def palette(models: pd.DataFrame) -> dict[str, Any]:
    """Model label → colour, by the order of the study."""
    return dict(zip(models["model"], sns.color_palette("colorblind", len(models)), strict=True))


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
    figure = _tradeoff(choices, x, low, high, "one question (ms, median, 95 % interval over passes)", palette(choices))
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


def f1_against_training_cost(models: pd.DataFrame) -> Figure:
    """F1 (points) against what fine-tuning cost (USD or cents; a bar where the price is a range)."""
    trained = models[models["train_seconds"].notna()]
    scale, unit = (100, "US cents") if models["train_usd_high"].max() < 0.1 else (1, "USD")
    low, high = trained["train_usd_low"] * scale, trained["train_usd_high"] * scale
    return _tradeoff(trained, (low + high) / 2, low, high, f"fine-tuning once ({unit})", palette(models))


def seconds_against_length(timings: pd.DataFrame, work: str, colours: dict[str, Any]) -> Figure:
    """Time of a call against tokens per row, one panel per batch size, both axes logarithmic."""
    chosen = timings[timings["work"] == work]
    sizes, lengths = sorted(chosen["batch_size"].unique()), sorted(chosen["length"].unique())
    width = max(WIDTH, 3.4 * len(sizes))
    figure, panels = plt.subplots(1, len(sizes), figsize=(width, 3.6), sharey=True, squeeze=False)
    for axes, size in zip(panels[0], sizes, strict=True):
        ends = {}
        axes.set(title=f"batch {size}", xlabel="tokens per row", xscale="log", yscale="log")
        for model, rows in chosen[chosen["batch_size"] == size].groupby("model", sort=False):
            error = [rows["seconds"] - rows["low"], rows["high"] - rows["seconds"]]
            colour = colours[str(model)]
            axes.errorbar(rows["length"], rows["seconds"], yerr=error, marker="o", capsize=3, color=colour, label=model)
            ends[str(model)] = (rows["length"].iloc[-1], rows["seconds"].iloc[-1])
        axes.set_xticks(lengths, labels=lengths)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(_in_units))
        axes.minorticks_off()
    panels[0][0].set_ylabel("time per call (median, 95 % interval)")
    _name_lines(panels[0], ends, colours)
    return figure


def loss(losses: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """Training loss against epoch, a line per model, thin lines for further seeds."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.6))
    axes.set(xlabel="epoch", ylabel="training loss (nats, mean since the point before)")
    if losses.empty:
        return nothing(figure, axes)
    ends = {}
    for (model, seed), rows in losses.groupby(["model", "seed"], sort=False):
        first = seed == losses["seed"].min()
        if first:
            ends[str(model)] = (rows["epoch"].iloc[-1], rows["loss"].iloc[-1])
        axes.plot(
            rows["epoch"],
            rows["loss"],
            color=colours[str(model)],
            linewidth=1.8 if first else 0.8,
            label=model if first else None,
        )
    axes.set_ylim(0, None)
    _name_lines([axes], ends, colours)
    return figure


def memory_against_batch(peaks: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """Peak memory (MiB) against batch size, a panel per number of tokens per row; a cross where it did not suffice."""
    if peaks.empty:
        return nothing(*plt.subplots(figsize=(WIDTH, 2)), "no memory was measured")
    lengths = sorted(peaks["length"].unique())
    width = max(WIDTH, 3.4 * len(lengths))
    figure, panels = plt.subplots(1, len(lengths), figsize=(width, 3.6), sharey=True, squeeze=False)
    for axes, length in zip(panels[0], lengths, strict=True):
        chosen = peaks[peaks["length"] == length].sort_values("batch_size", kind="stable")
        ends = {}
        for model, rows in chosen.groupby("model", sort=False):
            axes.plot(rows["batch_size"], rows["mib"], marker="o", color=colours[str(model)], label=model)
            ends[str(model)] = (rows["batch_size"].iloc[-1], rows["mib"].iloc[-1])
            short = rows[rows["mib"].isna()]
            if not short.empty:
                axes.plot(short["batch_size"], [0] * len(short), "x", color=colours[str(model)], clip_on=False)
        crosses = " (×: out of memory)" if chosen["mib"].isna().any() else ""
        axes.set(title=f"{length} tokens per row", xlabel=f"batch size{crosses}")
        axes.set_xticks(chosen["batch_size"].unique())
    panels[0][0].set(ylabel="peak memory (MiB)", ylim=(0, None))  # last, as it ends the scaling that panels share
    _name_lines(panels[0], ends, colours)
    return figure


def published_f1_against_cost(tradeoff: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """The original study's F1 (points) against our measured cost of a million questions (USD; a bar for a range)."""
    figure, axes = plt.subplots(figsize=(WIDTH, 4))
    if tradeoff.empty:
        return nothing(figure, axes, "no model of this study has published figures")
    for row in tradeoff.itertuples():
        bar = [[row.usd - row.usd_low], [row.usd_high - row.usd]]
        axes.errorbar(row.usd, row.f1, xerr=bar, marker="o", markersize=8, capsize=4, color=colours[str(row.model)])
    axes.set(
        xlabel="a million questions, one by one, on this machine (USD)",
        ylabel="F1 on SQuAD as published in 2021 (points)",
        xlim=(0, float(tradeoff["usd_high"].max()) * 1.15 or 1),
        ylim=(tradeoff["f1"].min() - 1, min(tradeoff["f1"].max() + 1, 100)),
    )
    _label(axes, tradeoff["model"].tolist(), list(zip(tradeoff["usd"], tradeoff["f1"], strict=True)), colours)
    return figure


def break_even(money: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """USD paid here, training included, against the number of questions answered; both axes logarithmic.

    The band is the 95 % interval of the time of a question.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 4))
    questions = [10**power for power in range(2, 10)]
    ends = {}
    for _, row in money.fillna({"training_usd": 0}).iterrows():
        low, total, high = (
            [row["training_usd"] + row[column] * n for n in questions]
            for column in ("question_low", "question_usd", "question_high")
        )
        axes.plot(questions, total, color=colours[row["model"]], label=row["model"])
        axes.fill_between(questions, low, high, color=colours[row["model"]], alpha=0.15, linewidth=0)
        ends[row["model"]] = (questions[-1], total[-1])
    axes.set(xscale="log", yscale="log", xlabel="questions answered", ylabel="USD in all, fine-tuning included")
    _name_lines([axes], ends, colours)
    return figure


def _tradeoff(
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
    _label(axes, models["model"].tolist(), list(zip(x, models["f1"], strict=True)), colours, bars)
    return figure


def _label(
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
    for name, point in zip(names, points, strict=True):
        text = axes.annotate(
            name, point, xytext=(0, 0), textcoords="offset points", color=legible(colours[name]), zorder=4,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip
        places = []
        for place in _PLACES:
            box = _put(text, place)
            free = not any(box.overlaps(other) for other in taken)
            if free and inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1):
                places.append((sum(box.overlaps(line) for line in lines), place))
        taken.append(_put(text, min(places, key=lambda place: place[0])[1] if places else _PLACES[-2]))


def _name_lines(panels: Sequence[Axes], ends: dict[str, tuple[float, float]], colours: dict[str, Any]) -> None:
    """Write each name at the end of its line in the last panel; where they would collide, a legend in the first."""
    last = panels[-1]
    last.figure.draw_without_rendering()  # type: ignore[union-attr]
    heights = sorted(last.transData.transform(end)[1] for end in ends.values())
    apart = all(above - below > _LINE for below, above in pairwise(heights))
    if not apart or any(pd.isna(y) for _, y in ends.values()):  # one that ran out of memory has no end
        panels[0].legend(title=None)
        return
    for name, end in ends.items():
        place: dict[str, Any] = {
            "xytext": (8, 0),
            "textcoords": "offset points",
            "va": "center",
            "annotation_clip": False,
        }
        last.annotate(name, end, color=legible(colours[name]), **place)


def _luminance(rgb: tuple[float, float, float]) -> float:
    """Relative luminance of sRGB in [0, 1]."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _put(text: Annotation, place: tuple[tuple[int, int], str, str]) -> Bbox:
    """Move the text to this place beside its point; where it then is, in pixels."""
    offset, horizontal, vertical = place
    text.set(position=offset, horizontalalignment=horizontal, verticalalignment=vertical)
    return text.get_window_extent()


def _in_units(value: float, _: int | None) -> str:
    return f"{value * 1e3:g} ms" if value < 1 else f"{value:g} s"


def nothing(figure: Figure, axes: Axes, why: str = "no model was fine-tuned in this study") -> Figure:
    """In place of a chart a line that says why there is none."""
    figure.set_figheight(0.8)
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, ha="center", transform=axes.transAxes)
    return figure
