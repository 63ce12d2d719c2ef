"""What notebook 1 shows: questions with their answers marked, the lengths of windows, the training loss."""

from collections.abc import Sequence

import numpy as np

from qa_tradeoffs.analysis.cases import excerpt
from qa_tradeoffs.core.words import counted
from qa_tradeoffs.data.example import Example
from qa_tradeoffs.data.features import Windows
from qa_tradeoffs.report import charts, display
from qa_tradeoffs.training.setup import Fitted
from qa_tradeoffs.training.untrained import Untrained

_BINS = 30


def questions(examples: Sequence[Example], n: int = 3) -> display.Html:
    """``n`` questions spread over the data, each with its passage, in which the reference answers are marked."""
    rows = np.linspace(0, len(examples) - 1, min(n, len(examples))).round().astype(int)
    return display.of_data(*(_question(examples[row]) for row in rows))


def lengths(windows: Windows, longest: int) -> display.Picture:
    """A histogram of the lengths of windows in tokens, at most ``longest``."""
    figure, axes = charts.subplots(2.8)
    axes.hist(windows.lengths, bins=_BINS, range=(0, longest), color=charts.COLOURS[0])
    axes.axvline(longest, color="0.4", linestyle="--", linewidth=1)
    axes.annotate(
        f"training.max_length, {longest}", (longest, 1), xycoords=("data", "axes fraction"), xytext=(-4, -4),
        textcoords="offset points", horizontalalignment="right", verticalalignment="top",
    )  # fmt: skip
    axes.set(xlabel="tokens per window", ylabel="windows", xlim=(0, longest * 1.02))
    median, most = np.percentile(windows.lengths, [50, 95])
    values = [f"median {median:.0f}", f"95 % have at most {most:.0f}", f"the longest {windows.lengths.max()} tokens"]
    what = f"Histogram of the lengths of {counted(len(windows.lengths), 'window')}"
    return display.figure(
        figure, what, values, "Lengths of the windows. Padding fills the windows of a batch up to the longest."
    )


def losses(fitted: Fitted, before: Untrained) -> display.Picture:
    """Training loss (nats) against updates, beginning with the untrained network, and the loss of a uniform guess."""
    steps = [0, *(int(row["step"]) for row in fitted.history)]
    values = [before.loss, *(row["loss"] for row in fitted.history)]
    figure, axes = charts.subplots(3.2)
    axes.plot(steps, values, color=charts.COLOURS[0])
    axes.plot(0, before.loss, "o", color=charts.COLOURS[0], markerfacecolor="white", clip_on=False, zorder=3)
    axes.axhline(before.guess, color="0.4", linestyle="--", linewidth=1)
    axes.annotate(
        f"a uniform guess, {before.guess:.2f}", (1, before.guess), xycoords=("axes fraction", "data"), xytext=(0, 3),
        textcoords="offset points", horizontalalignment="right", verticalalignment="bottom",
    )  # fmt: skip
    highest = max(*values, before.guess)
    axes.set(xlabel="updates", ylabel="training loss (nats)", xlim=(0, None), ylim=(0, 1.1 * highest))
    named = [f"untrained {values[0]:.2f}", f"at the end {values[-1]:.2f}", f"a uniform guess {before.guess:.2f}"]
    caption = "Training loss; each point is the mean since the point before. Hollow: the untrained network."
    what = f"Line chart of the training loss over {counted(steps[-1], 'update')}"
    return display.figure(figure, what, named, caption)


def _question(example: Example) -> display.Html:
    spans = [(at, at + len(text)) for text, at in zip(example.answers, example.answer_starts, strict=True)]
    answers = " | ".join(dict.fromkeys(example.answers)) or "none: the passage does not answer it"
    pieces = excerpt(example.context, {"reference": spans})
    return display.passage(example.question, pieces, [("reference", "Answer", answers)])
