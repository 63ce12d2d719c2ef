"""When not to answer: the report's section on the unanswerable questions of SQuAD v2.0; nothing for a study of v1.1."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qa_tradeoffs.analysis import no_answer as analysis
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.analysis.no_answer import Curves
from qa_tradeoffs.core.words import points
from qa_tradeoffs.report import display
from qa_tradeoffs.report.charts import WIDTH, name

# How the points of a curve are drawn, and their entries in the legend. Two may coincide: only the one used is filled.
_MARKS: dict[str, tuple[dict[str, Any], str]] = {
    "used": ({"marker": "o", "markersize": 6}, "the threshold used"),
    "at 0": ({"marker": "s", "markersize": 10, "markerfacecolor": "none"}, "threshold 0"),
    "best afterwards": (
        {"marker": "*", "markersize": 15, "markerfacecolor": "none"},
        "the best for these questions, not known beforehand",
    ),
}
_AXES = {
    "no_f1": "unanswerable questions rightly left unanswered (%)",
    "has_f1": "F1 on answerable questions (points)",
    "threshold": "no-answer threshold (logits): more is answered to the right",
    "f1": "F1 (points)",
}


def section(collected: Collected, colours: dict[str, Any]) -> display.Html:
    """The table and the two charts of the no-answer trade-off; nothing for a study without unanswerable questions."""
    if not collected.study.data.v2:
        return display.paragraphs([])
    has_answer = analysis.has_answer(collected)
    if has_answer.nunique() == 1:
        which = "All" if has_answer.iloc[0] else "None"
        sentence = (
            f"{which} of the {len(has_answer):,} validation questions have an answer in their passage: they do not "
            "show when not to answer."
        )
        return display.paragraphs([sentence], "notice")
    curves = analysis.curves(collected)
    marks = analysis.marks(collected, curves)
    models = analysis.models(collected, marks)
    return display.together(
        display.table(cells(models), _caption(has_answer), data=models),
        display.figure(
            draw(curves, marks, colours, "no_f1", "has_f1"), alt=tradeoff_text(marks),
            caption="Answering the answerable against not answering the rest, a line through all thresholds; up and to "
            "the right is better.",
        ),
        display.figure(
            draw(curves, marks, colours, "threshold", "f1"), alt=f1_text(marks),
            caption="F1 over all questions by no-answer threshold: a flat top forgives a threshold that is not quite "
            "right. Logits of different models are on different scales: compare the heights of their lines only.",
        ),
    )  # fmt: skip


def cells(models: pd.DataFrame) -> pd.DataFrame:
    """The table of models as a reader sees it."""

    def with_interval(column: str) -> list[str]:
        return [points(*row) for row in models[[column, f"{column}_low", f"{column}_high"]].to_numpy()]

    return pd.DataFrame(
        {
            "model": models["model"],
            "threshold": [_thresholds(values) for values in models["thresholds"]],
            "chosen on": [f"{n:,} training questions" if n else "given" for n in models["chosen_on"]],
            "rightly unanswered": with_interval("no_f1"),
            "EM where there is an answer": with_interval("has_exact_match"),
            "F1 where there is an answer": with_interval("has_f1"),
            "F1 of all": with_interval("f1"),
            "F1 of all at threshold 0": [f"{value:.1f}" for value in models["f1_at_0"]],
            "with the best threshold": [f"{value:.1f}" for value in models["f1_best"]],
            "verdict": [f"{value:.1f} points below the best threshold" for value in models["lost"]],
        }
    )


def tradeoff_text(marks: pd.DataFrame) -> str:
    """The chart of the trade-off in words."""
    used = marks[marks["mark"] == "used"].groupby("model", sort=False)[["no_f1", "has_f1"]].mean()
    named = [f"{model} {row['no_f1']:.1f} % and {row['has_f1']:.1f}" for model, row in used.iterrows()]
    return (
        "Line chart of F1 on answerable questions against the share of unanswerable ones rightly left unanswered, as "
        f"the threshold moves; with the threshold used: {'; '.join(named)}."
    )


def f1_text(marks: pd.DataFrame) -> str:
    """The chart of F1 against the threshold in words."""
    means = marks.groupby(["model", "mark"], sort=False)["f1"].mean().unstack()
    named = [
        f"{model} {row['used']:.1f} as used, {row['at 0']:.1f} at 0, {row['best afterwards']:.1f} at best"
        for model, row in means.iterrows()
    ]
    return f"Line chart of F1 over all questions against the no-answer threshold: {'; '.join(named)}."


def draw(curves: Curves, marks: pd.DataFrame, colours: dict[str, Any], x: str, y: str) -> Figure:
    """A line per curve, thin for further seeds, and its marked points; ``x`` and ``y`` are columns of ``marks``."""
    figure, axes = plt.subplots(figsize=(WIDTH, 4.4))
    first = marks["seed"].min()
    labels = dict(zip(marks["slug"], marks["model"], strict=True))
    for (slug, seed), curve in curves.items():
        across = curve.thresholds if x == "threshold" else getattr(curve, x)
        finite = np.isfinite(across)  # a question that has no span has an infinite score
        width = 1.8 if seed == first else 0.8
        axes.plot(across[finite], getattr(curve, y)[finite], color=colours[labels[slug]], linewidth=width)
    marked: dict[str, Any] = {"markeredgecolor": "black", "clip_on": False, "zorder": 3}
    for row in marks.to_dict("records"):
        axes.plot(row[x], row[y], color=colours[row["model"]], **marked, **_MARKS[row["mark"]][0])
    drawn = [model for model in colours if model in set(labels.values())]
    handles = [Line2D([], [], color=colours[model], label=name(model, colours)) for model in drawn]
    handles += [
        Line2D([], [], linestyle="", color="grey", markeredgecolor="black", label=text, **style)
        for style, text in _MARKS.values()
    ]
    axes.set(xlabel=_AXES[x], ylabel=_AXES[y], ylim=(0, None))
    if x == "no_f1":
        axes.set_xlim(0, 100)
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize="small")
    return figure


def _caption(has_answer: "pd.Series[bool]") -> str:
    share = 100 * (~has_answer).mean()
    return (
        "No-answer thresholds (logits) and what they give, in points with 95 % intervals over questions; "
        f"{(~has_answer).sum():,} of the {len(has_answer):,} validation questions have no answer in their passage, so "
        f"never answering would reach F1 {share:.1f}."
    )


def _thresholds(values: tuple[float, ...]) -> str:
    """'1.23', or '1.02 to 1.31, by seed'."""
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}, by seed"
