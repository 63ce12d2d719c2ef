"""Why SqueezeBERT is slow to train: the answer, where a step's seconds go, and step by step from it to BERT."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qa_tradeoffs.analysis.anomaly import BERT, PUBLISHED, Explanation
from qa_tradeoffs.core.words import percent, plain, seconds
from qa_tradeoffs.report import display
from qa_tradeoffs.report.charts import WIDTH
from qa_tradeoffs.study.published import Published

_STOCK = "SqueezeBERT as published"  # among the profiled models
_FAST = "rewritten, fast dropout masks"  # among the variants
_DROPOUT = "dropout and random numbers"
# Paul Tol's light scheme and a grey (personal.sron.nl/~pault): safe for the colour-blind, dark text on them can be
# read, and none is the colour of a model elsewhere in the report.
_AREAS = "#77AADD #EE8866 #EEDD88 #FFAABB #99DDFF #44BB99 #BBCC33 #AAAA00 #DDDDDD #BBBBBB".split()
_WHOLE, _MORE, _LESS = "#BBBBBB", "#EE8866", "#44BB99"


def answer(explained: Explanation) -> display.Html:
    """What was measured, where the time goes, and what the rewriting brings."""
    return display.paragraphs([measured(explained), *sentences(explained)], "notice")


def measured(explained: Explanation) -> str:
    """Where and how it was measured."""
    at, origin = explained.steps.iloc[0], explained.origin
    where = "on this machine by make anomaly" if explained.own else "apart from this run; make anomaly repeats it here"
    return (
        f"Measured {where}: {origin.device['name']}, {origin.device['threads']} threads, torch "
        f"{origin.versions['torch']}; full-size networks, random weights, batch {at['batch_size']} × {at['length']} "
        f"tokens, {at['precision']}, dropout {at['dropout']:g}. Times are medians; ratios are medians within "
        "rounds, in each of which all variants ran in turn, with 95 % intervals over rounds."
    )


def sentences(explained: Explanation) -> list[str]:
    """Where a training step's time goes, and what the rewriting brings, both times beside every ratio."""
    stock, bert = (
        explained.operators[explained.operators["model"] == model].set_index("operations") for model in (_STOCK, "BERT")
    )
    convolutions = stock.loc[["convolution forward", "convolution backward"], ["seconds", "share", "gflop"]].sum()
    times = explained.steps.set_index("step")["seconds"]
    fast = explained.variants[explained.variants["variant"] == _FAST]
    return [
        f"Convolutions take {percent(convolutions['share'])} of a training step of SqueezeBERT as published, at "
        f"{_rate(convolutions):.0f} GFLOP/s; BERT's matrix products reach {_rate(bert.loc['matrix product']):.0f}. "
        f"Dropout takes {percent(stock.loc[_DROPOUT, 'share'])}, in BERT {percent(bert.loc[_DROPOUT, 'share'])}.",
        f"Rewritten, a step takes {seconds(times['attention fused'])} instead of {seconds(times.iloc[0])}: "
        f"{_ratio(explained.rewritten_over(PUBLISHED))} times as long, and "
        f"{_ratio(explained.rewritten_over(BERT))} times as long as BERT's {seconds(times.iloc[-1])}.",
        *(
            f"With 'fast_dropout: true' too (CPU only) it takes {seconds(row['seconds'])}, {_ratio(row)} times as long "
            "as published."
            for _, row in fast.iterrows()
        ),
    ]


def operators_chart(operators: pd.DataFrame, work: str) -> display.Html:
    """Where the seconds of a piece of work go, such as 'training step'."""
    caption = f"Where a {work}'s seconds go, and the operations computed in them; full size, random weights."
    return display.figure(draw_operators(operators), alt=operators_text(operators, work), caption=caption)


def steps_chart(explained: Explanation) -> display.Html:
    """The waterfall from SqueezeBERT as published to BERT."""
    caption = "From SqueezeBERT as published, step by step, to BERT: seconds of a training step."
    return display.figure(draw_steps(explained.steps), alt=steps_text(explained.steps), caption=caption)


def steps_table(explained: Explanation) -> display.Html:
    """The steps of the waterfall, each against the one before."""
    cells = timed_cells(explained.steps, "step", "over the step before")
    return display.table(cells, "Step by step to BERT", data=explained.steps)


def alone_table(explained: Explanation) -> display.Html:
    """Each change of SqueezeBERT as published alone."""
    alone = explained.variants[explained.variants["alone"]]
    cells = timed_cells(alone, "variant", "over as published")
    return display.table(cells, "One change of SqueezeBERT as published at a time", data=alone)


def timed_cells(rows: pd.DataFrame, name: str, over: str) -> pd.DataFrame:
    """Times and ratios as a reader sees them; ``name`` is the column of what was timed, ``over`` what the ratio is to.

    The verdict is 'faster' or 'slower' where the ratio's interval excludes 1.
    """
    verdicts = np.select(
        [rows["ratio"].isna(), rows["high"] < 1, rows["low"] > 1], ["", "faster", "slower"], "not significant"
    )
    return pd.DataFrame(
        {
            name: rows[name],
            "training step": [seconds(value) for value in rows["seconds"]],
            over: ["" if pd.isna(row["ratio"]) else _ratio(row) for _, row in rows.iterrows()],
            "verdict": verdicts,
        }
    )


def aims_table(explained: Explanation) -> display.Html:
    """What the rewriting was to reach and what it reached, at every point measured."""
    caption = "The rewritten network at every point measured"
    return display.table(aims_cells(explained.aims), caption, data=explained.aims)


def aims_cells(aims: pd.DataFrame) -> pd.DataFrame:
    """The rewritten network's ratios as a reader sees them."""
    return pd.DataFrame(
        {
            "work": aims["work"].str.replace("_", " "),
            "batch × tokens": [f"{row.batch_size} × {row.length}" for row in aims.itertuples()],
            "precision": aims["precision"],
            "dropout": [f"{value:g}" for value in aims["dropout"]],
            "rewritten over": aims["over"],
            "ratio": [_ratio(row) for _, row in aims.iterrows()],
            "aim": [f"at most {value:g}" for value in aims["at most"]],
            "reached": ["yes" if reached else "no" for reached in aims["reached"]],
        }
    )


def beside_original(explained: Explanation, published: Published) -> display.Html:
    """SqueezeBERT's time over BERT's there and here, and the original's cost at the ratio of the rewriting here."""
    spent, times = published.original.fine_tuning.by_model, explained.steps["seconds"]
    hours, usd, saved = spent.squeezebert.hours, spent.squeezebert.usd, explained.rewritten_over(PUBLISHED)["ratio"]
    figures = {
        "SqueezeBERT's time over BERT's, original, fine-tuning": f"{hours / spent.bert.hours:.2f}",
        "SqueezeBERT's time over BERT's, here, a training step": f"{times.iloc[0] / times.iloc[-1]:.2f}",
        "original, fine-tuning of SqueezeBERT": f"{hours:g} h, USD {usd:.2f}",
        "the same at the rewriting's ratio here": f"{hours * saved:.1f} h, USD {usd * saved:.2f}",
    }
    return display.facts(figures, "Beside the original study")


def operators_text(operators: pd.DataFrame, work: str) -> str:
    """The chart of classes in words: the largest of each model."""
    parts = []
    for model, rows in operators.groupby("model", sort=False):
        top = rows.nlargest(3, "seconds")
        shares = ", ".join(f"{row.operations} {percent(row.share)}" for row in top.itertuples())
        parts.append(f"{model}: {rows['seconds'].sum():.2f} s, of it {shares}")
    return f"Seconds of a {work} by class of operation. {'; '.join(parts)}."


def steps_text(steps: pd.DataFrame) -> str:
    """The waterfall in words."""
    first, *others = steps.itertuples()
    changes = ", ".join(f"{row.step} {row.change:+.2f} s" for row in others)
    return (
        f"From SqueezeBERT as published, {first.seconds:.2f} s a training step, to BERT, {others[-1].seconds:.2f} s: "
        f"{changes}."
    )


def draw_operators(operators: pd.DataFrame) -> Figure:
    """Seconds of each class of operation, stacked, and beside them the operations (GFLOP) of the same classes.

    ``operators``: one row per model and class: model, operations, seconds, gflop.
    """
    classes = list(operators["operations"].unique())
    colours = dict(zip(classes, sns.color_palette(_AREAS, len(classes)), strict=True))
    models = list(operators["model"].unique())
    figure, (times, flops) = plt.subplots(
        1, 2, figsize=(WIDTH * 1.5, 1.6 + 0.6 * len(models)), sharey=True, width_ratios=(2, 1)
    )
    for axes, column, label in ((times, "seconds", "seconds of one call"), (flops, "gflop", "GFLOP of one call")):
        values = operators.pivot(index="model", columns="operations", values=column).loc[models, classes]
        _stack(axes, values, colours)
        axes.set_xlabel(label)
    times.invert_yaxis()
    handles, _ = times.get_legend_handles_labels()
    figure.legend(handles, classes, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    return figure


def draw_steps(steps: pd.DataFrame) -> Figure:
    """From the first step's seconds to the last one's: what each change saves, or costs, with its interval.

    ``steps``: anomaly.waterfall's rows at one point: step, seconds, change, and the interval of the ratio to the
    step before in low and high (NaN in the first row).
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 1 + 0.5 * len(steps)))
    last = len(steps) - 1
    after, before = steps["seconds"], steps["seconds"].shift()
    ends = before.to_numpy()[:, None] * steps[["low", "high"]].to_numpy(dtype=float)  # of each change's interval
    for i in range(1, len(steps)):
        change = after[i] - before[i]
        axes.barh(i, change, left=before[i], color=_LESS if change < 0 else _MORE)
        axes.plot([before[i]] * 2, [i - 1.4, i + 0.4], color="0.4", linewidth=0.8)
        axes.plot(ends[i], [i, i], color="0.2", linewidth=1.2, marker="|", markersize=7, zorder=3)
    axes.barh([0, last], after[[0, last]], color=_WHOLE, height=[0.8, 0.4])
    beside = np.nanmax(np.column_stack([after, before, ends]), axis=1)
    for i, (at, value) in enumerate(zip(beside, after, strict=True)):
        axes.text(at, i, f" {value:.2f} s", va="center", ha="left", fontsize="small")
    names = [
        row.step if i in (0, last) else f"{row.step} ({row.change:+.2f} s)" for i, row in enumerate(steps.itertuples())
    ]
    axes.set_yticks(range(len(steps)), labels=names)
    axes.set(
        xlabel="seconds of one training step (median; 95 % interval of each change)", xlim=(0, beside.max() * 1.25)
    )
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    return figure


def _stack(axes: Axes, values: pd.DataFrame, colours: dict[str, tuple[float, float, float]]) -> None:
    """A horizontal bar per row of ``values``, a segment per column; the number in it where there is room."""
    begin = pd.Series(0.0, index=values.index)
    texts = []
    for name in values:
        axes.barh(values.index, values[name], left=begin, color=colours[str(name)], label=name)
        for model, value in values[name].items():
            at = (begin[model] + value / 2, model)
            texts.append((axes.text(*at, plain(value), ha="center", va="center", fontsize="small"), value))
        begin += values[name]
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, float(begin.max()) * 1.05)
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    for text, value in texts:
        (left, _), (right, _) = axes.transData.transform([(0, 0), (value, 0)])
        if text.get_window_extent().width > right - left:
            text.remove()


def _rate(operations: Any) -> float:
    """GFLOP/s of a class of operations."""
    return float(operations["gflop"] / operations["seconds"])


def _ratio(row: Any) -> str:
    return f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
