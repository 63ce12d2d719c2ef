"""Confidence against correctness: a table with verdicts, the reliability diagram, and accuracy against coverage."""

from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from qa_tradeoffs.analysis.calibration import BINS, Calibration
from qa_tradeoffs.analysis.slices import FEWEST
from qa_tradeoffs.report import charts, display

_TOO_FEW = f"fewer than {FEWEST} questions"


def table(calibration: Calibration) -> display.Html:
    """Calibration and selective answering of every model."""
    models = calibration.models
    if models.empty:
        return display.none(f"{_TOO_FEW} say too little about confidence")
    at_80, at_50 = (calibration.coverage.loc[lambda rows, at=at: rows["coverage"].round() == at] for at in (80, 50))
    columns = {
        "model": models["model"],
        "mean confidence": models["confidence"].map("{:.1f}".format),
        "EM": models["accuracy"].map("{:.1f}".format),
        "confidence minus EM": display.signed_interval(models["gap"], models["gap_low"], models["gap_high"]),
        "verdict": models["verdict"],
        "ECE": models["ece"].map("{:.1f}".format),
        "ECE by chance": models["ece_chance"].map("up to {:.1f}".format),
        "AURC": display.with_interval(models, "aurc"),
        "AURC, ideal to random": map("{:.1f} to {:.1f}".format, models["aurc_best"], models["aurc_random"]),
        "EM if 80 % are answered": display.with_interval(at_80, "em"),
        "gain if 80 % are answered": display.signed_interval(at_80["gain"], at_80["gain_low"], at_80["gain_high"]),
        "verdict on the gain": np.where(at_80["gain_low"] > 0, "significant", "not significant"),
        "EM if 50 % are answered": display.with_interval(at_50, "em"),
    }
    caption = (
        "Confidence, in points, with 95 % intervals. Those of confidence minus EM and of the gain are wider: they are "
        "corrected for the number of models and tests."
    )
    return display.table(columns, caption, data=models)


def reliability_chart(calibration: Calibration, colours: dict[str, Any]) -> display.Html:
    """Share right against confidence, both in per cent, a panel per model; on the dotted line they are equal."""
    if calibration.models.empty:
        return display.none(_TOO_FEW)
    n = len(calibration.models)
    columns = min(n, 2)
    lines = -(-n // columns)
    size = (charts.WIDTH, 0.6 + lines * charts.WIDTH / columns)
    figure, panels = plt.subplots(lines, columns, figsize=size, squeeze=False)
    for axes in panels.ravel()[n:]:
        axes.set_visible(False)
    ends = []
    for axes, (model, rows) in zip(panels.ravel(), calibration.bins.groupby("model", sort=False), strict=False):
        axes.plot([0, 100], [0, 100], ":", color="0.4")
        axes.errorbar(
            rows["bin_confidence"], rows["bin_accuracy"], yerr=charts.errors(rows, "bin_accuracy"), marker="o",
            markersize=4, capsize=2, color=colours[str(model)],
        )  # fmt: skip
        ticks = range(0, 101, 20)
        axes.set(
            title=charts.name(model, colours), xlim=(0, 102), ylim=(0, 102), aspect="equal", xticks=ticks, yticks=ticks
        )
        tenths = [f"at {row.bin_confidence:.0f} % right {row.bin_accuracy:.0f} %" for row in rows.itertuples()]
        ends.append(f"{model} {tenths[0]}, {tenths[-1]}")
    figure.supxlabel("confidence (%, mean of a tenth of the questions)", fontsize="medium")
    figure.supylabel("right (%, 95 % interval)", fontsize="medium")
    what = f"Reliability diagram, accuracy against confidence in {BINS} bins of equal size"
    return display.figure(figure, what, ends, "Share of right answers by confidence, with 95 % intervals.")


def coverage_chart(calibration: Calibration, colours: dict[str, Any]) -> display.Html:
    """EM (points) of the most confident answers against their share of the questions, a line and a band per model."""
    if calibration.models.empty:
        return display.none(_TOO_FEW)
    figure, axes = plt.subplots(figsize=(charts.WIDTH, 4))
    ends = []
    for model, rows in calibration.coverage.groupby("model", sort=False):
        colour, em = colours[str(model)], rows["em"]
        label = charts.name(model, colours)
        axes.plot(rows["coverage"], em, marker="o", markersize=4, color=colour, label=label)
        axes.fill_between(rows["coverage"], rows["em_low"], rows["em_high"], color=colour, alpha=0.15, linewidth=0)
        ends.append(f"{model} from {em.iloc[-1]:.1f} with all to {em.iloc[0]:.1f} with the most confident tenth")
    axes.set(
        xlabel="questions answered (%, the most confident first)",
        ylabel="EM of the answers (points, 95 % interval)",
        xlim=(0, 102),
    )
    axes.legend(title=None)
    what = "Line chart of EM against the share of questions answered, the most confident first"
    caption = "EM of the answers given if the least confident ones are withheld; bands are 95 % intervals."
    return display.figure(figure, what, ends, caption)
