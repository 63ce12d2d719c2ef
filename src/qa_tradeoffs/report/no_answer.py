"""When not to answer: the report's page on the unanswerable questions of SQuAD v2.0."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qa_tradeoffs.analysis import no_answer as analysis
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.report import display
from qa_tradeoffs.report.charts import WIDTH, name

# The marks on a curve and their entries in the legend. Marks may coincide, so only the threshold used is filled.
_MARKS: dict[str, dict[str, Any]] = {
    "used": {"marker": "o", "markersize": 6, "label": "the threshold used"},
    "at 0": {"marker": "s", "markersize": 10, "markerfacecolor": "none", "label": "threshold 0"},
    "best afterwards": {
        "marker": "*", "markersize": 15, "markerfacecolor": "none",
        "label": "the best for these questions, not known beforehand",
    },
}  # fmt: skip


def section(collected: Collected, colours: dict[str, Any]) -> display.Html:
    """The table and the two charts of the no-answer trade-off; a sentence if all questions, or none, have an answer."""
    if not collected.study.data.v2:
        return display.none("every question of this study has an answer in its passage")
    has_answer = analysis.has_answer(collected)
    if has_answer.nunique() == 1:
        which = "all" if has_answer.iloc[0] else "none"
        return display.none(f"{which} of the {len(has_answer):,} validation questions have an answer in their passage")
    curves = analysis.curves(collected)
    marks = analysis.marks(collected, curves)
    return display.together(
        table(analysis.models(collected, marks), has_answer),
        tradeoff_chart(curves, marks, colours),
        f1_chart(curves, marks, colours),
    )


def table(models: pd.DataFrame, has_answer: "pd.Series[bool]") -> display.Table:
    """The thresholds of each model and their results; ``has_answer``: whether each question has an answer."""
    columns = {
        "model": models["model"],
        "threshold, range over seeds": [display.span(values, 2) for values in models["thresholds"]],
        "chosen on": [f"{n:,} training questions" if n else "given" for n in models["chosen_on"]],
        "rightly unanswered": display.with_interval(models, "no_f1"),
        "EM where there is an answer": display.with_interval(models, "has_exact_match"),
        "F1 where there is an answer": display.with_interval(models, "has_f1"),
        "F1 of all questions": display.with_interval(models, "f1"),
        "F1 of all questions at threshold 0": models["f1_at_0"].map("{:.1f}".format),
        "F1 of all questions at the best threshold": models["f1_best"].map("{:.1f}".format),
        "verdict": models["lost"].map("{:.1f} points below the best threshold".format),
    }
    caption = (
        "No-answer thresholds (logits) and what they give, in points with 95 % intervals; "
        f"{(~has_answer).sum():,} of the {len(has_answer):,} validation questions have no answer in their passage, so "
        f"never answering would reach F1 {100 * (~has_answer).mean():.1f}."
    )
    return display.table(columns, caption, data=models)


def tradeoff_chart(curves: analysis.Curves, marks: pd.DataFrame, colours: dict[str, Any]) -> display.Picture:
    """F1 on answerable questions against the share of the others left unanswered, as the threshold moves."""
    axes = {
        "no_f1": "unanswerable questions rightly left unanswered (%)",
        "has_f1": "F1 on answerable questions (points)",
    }
    used = marks[marks["mark"] == "used"].groupby("model", sort=False)[["no_f1", "has_f1"]].mean()
    named = [f"{model} {row['no_f1']:.1f} % and {row['has_f1']:.1f}" for model, row in used.iterrows()]
    return display.figure(
        _draw(curves, marks, colours, axes),
        "Line chart of F1 on answerable questions against the share of unanswerable ones rightly left unanswered, "
        "as the threshold moves; with the threshold used",
        named,
        "F1 on answerable questions against the share of the others that is left unanswered. Each line runs through "
        "all thresholds; up and to the right is better.",
    )


def f1_chart(curves: analysis.Curves, marks: pd.DataFrame, colours: dict[str, Any]) -> display.Picture:
    """F1 over all questions against the threshold."""
    axes = {"threshold": "no-answer threshold (logits): more is answered to the right", "f1": "F1 (points)"}
    means = marks.groupby(["model", "mark"], sort=False)["f1"].mean().unstack()
    named = [
        f"{model} {row['used']:.1f} as used, {row['at 0']:.1f} at 0, {row['best afterwards']:.1f} at best"
        for model, row in means.iterrows()
    ]
    return display.figure(
        _draw(curves, marks, colours, axes),
        "Line chart of F1 over all questions against the no-answer threshold",
        named,
        "F1 over all questions by no-answer threshold. If the top is flat, a threshold that is not quite right costs "
        "little. Logits of different models are on different scales: compare the heights of their lines only.",
    )


def _draw(curves: analysis.Curves, marks: pd.DataFrame, colours: dict[str, Any], labels: dict[str, str]) -> Figure:
    """A line per curve, thin for further seeds, and its marked points; ``labels``: column → label, x then y."""
    x, y = labels
    figure, axes = plt.subplots(figsize=(WIDTH, 4.4))
    models = dict(zip(marks["slug"], marks["model"], strict=True))
    for (slug, seed), curve in curves.items():
        across = curve.thresholds if x == "threshold" else curve.no_f1
        finite = np.isfinite(across)  # a question without a span has an infinite score
        width = 1.8 if seed == marks["seed"].min() else 0.8
        axes.plot(across[finite], getattr(curve, y)[finite], color=colours[models[slug]], linewidth=width)
    for row in marks.to_dict("records"):
        style = {"color": colours[row["model"]], "markeredgecolor": "black"} | _MARKS[row["mark"]]
        axes.plot(row[x], row[y], clip_on=False, zorder=3, **style)
    handles = [Line2D([], [], color=colours[model], label=name(model, colours)) for model in models.values()]
    handles += [
        Line2D([], [], linestyle="", color="grey", markeredgecolor="black", **style) for style in _MARKS.values()
    ]
    axes.set(xlabel=labels[x], ylabel=labels[y], ylim=(0, None))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize="small")
    return figure
