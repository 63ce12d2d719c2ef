"""Confidence against correctness: a table with verdicts, the reliability diagram, and accuracy against coverage."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qa_tradeoffs.analysis.calibration import BINS, Calibration
from qa_tradeoffs.analysis.slices import FEWEST
from qa_tradeoffs.core.words import points, signed
from qa_tradeoffs.report import display
from qa_tradeoffs.report.charts import WIDTH, name, nothing

_TOO_FEW = f"fewer than {FEWEST} questions"


def table(calibration: Calibration) -> display.Html:
    """Calibration and selective answering of every model."""
    if calibration.models.empty:
        return display.paragraphs([f"None: {_TOO_FEW} say too little about confidence."])
    return display.table(cells(calibration), "Confidence, in points, 95 % intervals", data=calibration.models)


def cells(calibration: Calibration) -> pd.DataFrame:
    """The table as a reader sees it."""
    models, coverage = calibration.models, calibration.coverage
    columns = {
        "model": models["model"],
        "confidence, mean": [f"{value:.1f}" for value in models["confidence"]],
        "EM": [f"{value:.1f}" for value in models["accuracy"]],
        "verdict": [_verdict(row) for row in models.itertuples()],
        "ECE": [points(*row) for row in models[["ece", "ece_low", "ece_high"]].to_numpy()],
        "ECE by chance": [f"up to {value:.1f}" for value in models["ece_chance"]],
        "AURC": [points(*row) for row in models[["aurc", "aurc_low", "aurc_high"]].to_numpy()],
        "AURC, best to worthless": [f"{row.aurc_best:.1f} to {row.aurc_random:.1f}" for row in models.itertuples()],
    }
    for share in (80, 50):
        rows = coverage[coverage["coverage"].round() == share]
        columns[f"EM at {share} %"] = [points(*row) for row in rows[["em", "em_low", "em_high"]].to_numpy()]
        if share == 80:
            columns["gain at 80 %"] = [_gain(row) for row in rows.itertuples()]
    return pd.DataFrame(columns)


def reliability_chart(calibration: Calibration, colours: dict[str, Any]) -> display.Html:
    """How many answers are right, by confidence."""
    drawn = draw_reliability(calibration, colours)
    return display.figure(
        drawn, alt=reliability_text(calibration), caption="How many answers are right, by confidence."
    )


def coverage_chart(calibration: Calibration, colours: dict[str, Any]) -> display.Html:
    """EM of the answers given, by how many are given."""
    caption = "EM of the answers given, when the least sure ones are not given."
    return display.figure(draw_coverage(calibration, colours), alt=coverage_text(calibration), caption=caption)


def reliability_text(calibration: Calibration) -> str:
    """The reliability diagram in words: of each model its least and most confident tenth."""
    if calibration.models.empty:
        return "Empty chart of accuracy against confidence: too few questions."
    ends = []
    for model, rows in calibration.bins.groupby("model", sort=False):
        low, high = rows.iloc[0], rows.iloc[-1]
        ends.append(
            f"{model} at {low['bin_confidence']:.0f} % right {low['bin_accuracy']:.0f} %, "
            f"at {high['bin_confidence']:.0f} % right {high['bin_accuracy']:.0f} %"
        )
    return f"Reliability diagram, accuracy against confidence in {BINS} bins of equal size; {'; '.join(ends)}."


def coverage_text(calibration: Calibration) -> str:
    """The chart of accuracy against coverage in words."""
    if calibration.models.empty:
        return "Empty chart of EM against the share of questions answered: too few questions."
    named = [
        f"{model} from {rows.iloc[-1]['em']:.1f} with all to {rows.iloc[0]['em']:.1f} with the surest tenth"
        for model, rows in calibration.coverage.groupby("model", sort=False)
    ]
    return f"Line chart of EM against the share of questions answered, the most confident first; {'; '.join(named)}."


def draw_reliability(calibration: Calibration, colours: dict[str, Any]) -> Figure:
    """Share right against confidence, both in per cent, a panel per model; on the dotted line they are equal."""
    if calibration.models.empty:
        return nothing(*plt.subplots(figsize=(WIDTH, 2)), _TOO_FEW)
    n = len(calibration.models)
    columns = 2 if n == 4 else min(n, 3)
    lines = -(-n // columns)
    width = WIDTH * (1 if columns < 3 else 1.3)
    figure, panels = plt.subplots(
        lines, columns, figsize=(width, 0.6 + lines * width / columns), sharex=True, sharey=True, squeeze=False
    )
    for axes in panels.ravel()[n:]:
        axes.set_visible(False)
    for axes in panels.ravel()[n - columns : n]:  # also where there is none below
        axes.tick_params(labelbottom=True)
    for axes, (model, rows) in zip(panels.ravel(), calibration.bins.groupby("model", sort=False), strict=False):
        right = rows["bin_accuracy"]
        error = [right - rows["bin_accuracy_low"], rows["bin_accuracy_high"] - right]
        style = {"marker": "o", "markersize": 4, "capsize": 2, "color": colours[str(model)]}
        axes.plot([0, 100], [0, 100], ":", color="0.4")
        axes.errorbar(rows["bin_confidence"], right, yerr=error, **style)
        axes.set(title=name(model, colours), xlim=(0, 102), ylim=(0, 102), aspect="equal")
        axes.set_xticks(range(0, 101, 20))
        axes.set_yticks(range(0, 101, 20))
    figure.supxlabel("confidence (%, mean of a tenth of the questions)", fontsize="medium")
    figure.supylabel("right (%, 95 % interval)", fontsize="medium")
    return figure


def draw_coverage(calibration: Calibration, colours: dict[str, Any]) -> Figure:
    """EM (points) of the most confident answers against their share of the questions, a line and a band per model."""
    figure, axes = plt.subplots(figsize=(WIDTH, 4))
    if calibration.models.empty:
        return nothing(figure, axes, _TOO_FEW)
    for model, rows in calibration.coverage.groupby("model", sort=False):
        colour = colours[str(model)]
        label = name(model, colours)
        axes.plot(rows["coverage"], rows["em"], marker="o", markersize=4, color=colour, label=label)
        axes.fill_between(rows["coverage"], rows["em_low"], rows["em_high"], color=colour, alpha=0.15, linewidth=0)
    axes.set(
        xlabel="questions answered (%, the most confident first)",
        ylabel="EM of the answers (points, 95 % interval)",
        xlim=(0, 102),
    )
    axes.legend(title=None)
    return figure


def _verdict(row: Any) -> str:
    """'overconfident by 5.1 (2.0–8.3)', or the verdict alone where the gap is not significant."""
    if row.gap_low <= 0 <= row.gap_high:
        return str(row.verdict)
    low, high = sorted((abs(row.gap_low), abs(row.gap_high)))
    return f"{row.verdict} by {points(abs(row.gap), low, high)}"


def _gain(row: Any) -> str:
    """What leaving the least sure fifth unanswered gains in EM."""
    verdict = "" if row.gain_low > 0 else ", not significant"
    return f"{signed(row.gain)} ({signed(row.gain_low)} to {signed(row.gain_high)}){verdict}"
