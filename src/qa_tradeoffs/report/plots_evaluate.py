"""What notebook 2 shows: the model's scores between a baseline's and a perfect model's, and its confidence."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis.calibration import confidence_of
from qa_tradeoffs.core.words import counted, percent, points
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.report import charts, display

_ROWS = {"exact_match": "EM", "f1": "F1"}
_KINDS = {  # by the prefix of a metric: whose score it is, its colour and marker
    "baseline_": ("lexical overlap", "#57606a", "s"),
    "": ("this model", charts.COLOURS[0], "o"),
    "ceiling_": ("a perfect model", "#1c2128", "D"),
}
_BINS = 10
_NO_ANSWER = "(no answer)"


def scores(records: Sequence[Record]) -> display.Picture:
    """EM and F1 (points, 95 % intervals) of the model, of lexical overlap and of a perfect model."""
    by_metric = {record.metric: record for record in records}
    figure, panels = charts.subplots(2.9, rows=2, sharex=True)
    values = []
    for axes, (metric, label) in zip(panels, _ROWS.items(), strict=True):
        for height, (kind, (of, colour, marker)) in enumerate(_KINDS.items()):
            found = by_metric[kind + metric]
            low, high = found.bounds
            axes.errorbar(
                found.value, height, xerr=[[found.value - low], [high - found.value]], fmt=marker, color=colour,
                markersize=8, markerfacecolor="white" if kind else colour, markeredgewidth=2, capsize=3, clip_on=False,
            )  # fmt: skip
            values.append(f"{label} of {of} {points(found.value, low, high) if high > low else f'{found.value:.1f}'}")
        axes.set_yticks(range(len(_KINDS)), labels=[of for of, *_ in _KINDS.values()])
        axes.set(title=label, xlim=(0, 101), ylim=(-0.6, len(_KINDS) - 0.4))
        axes.grid(axis="y", visible=False)
    panels[-1].set_xlabel("points (95 % interval over questions)")
    caption = "Scores of the model, of a baseline without training, and of a perfect model within the study's limits."
    return display.figure(figure, "Dot chart of scores in points", values, caption)


def confidence(scored: pd.DataFrame) -> display.Picture:
    """How many answers were right and how many wrong (EM), by the probability that the model gave them."""
    sure, right = confidence_of(scored), scored["exact_match"].to_numpy() == 1
    edges = np.linspace(0, 1, _BINS + 1)
    counts = [np.histogram(sure[chosen], edges)[0] for chosen in (right, ~right)]
    figure, axes = charts.subplots(3)
    at = {"x": 100 * edges[:-1], "width": 100 / _BINS, "align": "edge", "edgecolor": "white"}
    axes.bar(height=counts[0], color=charts.COLOURS[0], label="right", **at)
    hatched = {"color": "#f6d9c9", "hatch": "////", "edgecolor": charts.COLOURS[3]}
    axes.bar(height=counts[1], bottom=counts[0], label="wrong", **at | hatched)
    axes.set(xlabel="confidence (%)", ylabel="answers", xlim=(0, 100))
    figure.legend(loc="outside upper center", ncols=2)
    surely_wrong = int((sure[~right] >= 0.9).sum())
    values = [
        *(f"{name} {n:,}, at {percent(float(sure[of].mean()))} on average" for name, n, of in
          (("right", right.sum(), right), ("wrong", (~right).sum(), ~right)) if n),
        f"{counted(surely_wrong, 'wrong answer')} at 90 % or more",
    ]  # fmt: skip
    caption = "Confidence of right and wrong answers. Wrong answers far to the right give no warning."
    return display.figure(figure, f"Histogram of the confidence of {counted(len(sure), 'answer')}", values, caption)


def least_sure(scored: pd.DataFrame, examples: Sequence[Example], n: int = 10) -> display.Html:
    """The ``n`` answers of the lowest confidence, the lowest first."""
    return display.of_data(display.table(_by_confidence(scored, examples).head(n), f"The {n} least confident answers"))


def most_sure(scored: pd.DataFrame, examples: Sequence[Example], n: int = 10) -> display.Html:
    """The ``n`` answers of the highest confidence, the highest first."""
    return display.of_data(
        display.table(_by_confidence(scored, examples).iloc[::-1].head(n), f"The {n} most confident answers")
    )


def _by_confidence(scored: pd.DataFrame, examples: Sequence[Example]) -> pd.DataFrame:
    """Questions, answers and references, the least confident answer first."""
    columns = {
        "question": [example.question for example in examples],
        "answer": scored["prediction"].replace("", _NO_ANSWER).to_list(),
        "reference": [example.answers[0] if example.answers else _NO_ANSWER for example in examples],
        "right": np.where(scored["exact_match"] == 1, "yes", "no"),
        "confidence": confidence_of(scored),
    }
    table = pd.DataFrame(columns).sort_values("confidence", kind="stable", ignore_index=True)
    return table.assign(confidence=[percent(share) for share in table["confidence"]])
