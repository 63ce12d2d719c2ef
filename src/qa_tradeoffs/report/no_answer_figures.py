"""The charts of the no-answer trade-off, and the section of the report that they stand in."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qa_tradeoffs.analysis import tables
from qa_tradeoffs.metrics.no_answer import Curve
from qa_tradeoffs.report import display, no_answer_findings
from qa_tradeoffs.report.figures import WIDTH

Curves = dict[tuple[str, int], Curve]
# How the points of a curve are drawn, and what the legend says of them. Two may coincide: only the one used is filled.
_MARKS: dict[str, tuple[dict[str, Any], str]] = {
    "used": ({"marker": "o", "markersize": 6}, "the threshold used"),
    "at 0": ({"marker": "s", "markersize": 10, "markerfacecolor": "none"}, "threshold 0"),
    "best afterwards": (
        {"marker": "*", "markersize": 15, "markerfacecolor": "none"},
        "the best for these questions, not known beforehand",
    ),
}


def section(collected: tables.Collected, colours: dict[str, Any]) -> display.Html:
    """All that a report says of unanswerable questions; nothing for a study that has none."""
    if not collected.study.data.v2:
        return display.paragraphs([])
    if missing := no_answer_findings.one_kind(collected):
        return display.paragraphs(missing, "notice")
    curves = no_answer_findings.curves(collected)
    marks = no_answer_findings.marks(collected, curves)
    models = no_answer_findings.models(collected, marks)
    return display.together(
        display.sections([(no_answer_findings.TITLE, no_answer_findings.sentences(models))]),
        display.table(no_answer_findings.shown(models), no_answer_findings.caption(collected)),
        display.paragraphs([no_answer_findings.READ_TRADEOFF]),
        display.figure(
            tradeoff(curves, marks, colours), alt=no_answer_findings.describe_tradeoff(marks),
            caption="Answering the answerable against not answering the rest, as the threshold moves.",
        ),
        display.paragraphs([no_answer_findings.READ_F1]),
        display.figure(
            f1_against_threshold(curves, marks, colours), alt=no_answer_findings.describe_f1(marks),
            caption="F1 over all questions by no-answer threshold.",
        ),
    )  # fmt: skip


def tradeoff(curves: Curves, marks: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """F1 on the answerable questions (points) against the share of the others left unanswered (per cent)."""
    figure, axes = plt.subplots(figsize=(WIDTH, 4.4))
    _draw(axes, curves, marks, colours, "no_f1", "has_f1")
    axes.set(
        xlabel="unanswerable questions rightly left unanswered (%)",
        ylabel="F1 on answerable questions (points)",
        xlim=(0, 100),
        ylim=(0, None),
    )
    return figure


def f1_against_threshold(curves: Curves, marks: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """F1 over all questions (points) against the threshold (logits)."""
    figure, axes = plt.subplots(figsize=(WIDTH, 4.4))
    _draw(axes, curves, marks, colours, "thresholds", "f1")
    axes.set(xlabel="no-answer threshold (logits): more is answered to the right", ylabel="F1 (points)", ylim=(0, None))
    return figure


def _draw(axes: Axes, curves: Curves, marks: pd.DataFrame, colours: dict[str, Any], x: str, y: str) -> None:
    """A line per curve, thin for further seeds, and its marked points."""
    first = marks["seed"].min()
    for (slug, seed), curve in curves.items():
        model = marks.loc[marks["slug"] == slug, "model"].iloc[0]
        axes.plot(
            *_finite(getattr(curve, x), getattr(curve, y)),
            color=colours[model],
            linewidth=1.8 if seed == first else 0.8,
        )
    at = "threshold" if x == "thresholds" else x
    for row in marks.to_dict("records"):
        style, _ = _MARKS[row["mark"]]
        axes.plot(
            row[at], row[y], color=colours[row["model"]], markeredgecolor="black", clip_on=False, zorder=3, **style
        )
    drawn = [model for model in colours if model in set(marks["model"])]
    handles = [Line2D([], [], color=colours[model], label=model) for model in drawn]
    handles += [
        Line2D([], [], linestyle="", color="grey", markeredgecolor="black", label=text, **style)
        for style, text in _MARKS.values()
    ]
    axes.figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize="small")


def _finite(x: Any, y: Any) -> tuple[Any, Any]:
    """Without the points of questions that have no span, whose score is infinite."""
    kept = np.isfinite(x)
    return x[kept], y[kept]
