"""Why SqueezeBERT is slow to train: the answer, where a step's seconds go, and the changes that lead to BERT."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt

from qa_tradeoffs.analysis.anomaly import BERT, CONTROL, FAST_MASKS, PUBLISHED, REWRITTEN, Explanation
from qa_tradeoffs.analysis.quantised import Quantised
from qa_tradeoffs.core.words import percent, plain, seconds
from qa_tradeoffs.report import display
from qa_tradeoffs.report.charts import WIDTH
from qa_tradeoffs.study.published import Published

_STOCK = "SqueezeBERT as published"  # among the profiled models
# Paul Tol's light scheme and a grey (personal.sron.nl/~pault): colour-blind readers can tell them apart,
# dark text on them is legible, and no model has one of them elsewhere in the report.
_AREAS = "#77AADD #EE8866 #EEDD88 #FFAABB #99DDFF #44BB99 #BBCC33 #AAAA00 #DDDDDD #BBBBBB".split()
_WHOLE, _MORE, _LESS = "#BBBBBB", "#EE8866", "#44BB99"


def answer(explained: Explanation, engines: Quantised | None, published: Published) -> list[str]:
    """SqueezeBERT beside BERT, in 2021 and here; what saves time in training; what int8 adds, if measured."""
    variants = explained.variants.set_index("variant")
    (squeezebert, bert), spent = variants.loc[[PUBLISHED, BERT], "seconds"], published.original.fine_tuning.by_model
    over = variants.loc[BERT]
    sentences = [
        f"On the machine measured, a training step of SqueezeBERT takes {seconds(squeezebert)}, and one of BERT "
        f"{seconds(bert)}. So SqueezeBERT takes {1 / over['ratio']:.2f} times as long ({1 / over['high']:.2f} to "
        f"{1 / over['low']:.2f}). In 2021, its fine-tuning took {spent.squeezebert.hours / spent.bert.hours:.2f} times "
        "as long as BERT's.",
    ]
    masks = f" Faster dropout masks save {_saved(variants.loc[FAST_MASKS])}." if FAST_MASKS in variants.index else ""
    rewritten = "Rewriting SqueezeBERT's convolutions as matrix products, with fused attention, saves"
    sentences.append(f"{rewritten} {_saved(variants.loc[REWRITTEN])} of a step.{masks}")
    times = engines.times.set_index(["model", "engine"])["seconds"] if engines else pd.Series(dtype=float)
    keys = [(model, "int8") for model in ("SqueezeBERT rewritten", "SqueezeBERT")]
    if all(key in times.index for key in keys):
        fast, stock = times.loc[keys]
        sentences.append(
            f"In int8, a forward pass of the rewritten network takes {seconds(fast)}. As published it takes "
            f"{seconds(stock)}, {plain(stock / fast)} times as long."
        )
    return sentences


def measured(explained: Explanation) -> display.Table:
    """Machine and point of the measurement, and the classes of operations that take the time."""
    at, origin, rounds = explained.steps.iloc[0], explained.origin, explained.rounds
    contended = f"{(rounds['contended'] != '').sum()} of {len(rounds)} rounds contended"
    classes = dict(iter(explained.operators.groupby("model")))
    control = explained.variants.set_index("variant").loc[CONTROL]
    facts = {
        "measured": "on this machine" if explained.own else "on another machine; make anomaly repeats it here",
        "machine": f"{origin.device['name']}, {origin.device['threads']} threads, torch {origin.versions['torch']}",
        "training step": f"full size, random weights, batch {at['batch_size']} × {at['length']} tokens, "
        f"{at['precision']}, dropout {at['dropout']:g}",
        "other load": f"{contended}; other programs had at most {percent(rounds['taken'].max())} of the processor time",
        "control": f"as published, twice in every round: ratio {_ratio(control)}",
        **{model: _step(classes[model]) for model in (_STOCK, "BERT")},
    }
    return display.facts(facts, "SqueezeBERT's training step")


def operators_chart(operators: pd.DataFrame, work: str) -> display.Picture:
    """Seconds of each class of operation, stacked, and beside them the operations (GFLOP) of the same classes.

    ``operators``: the rows of analysis.anomaly.operators at one point; ``work``: such as 'training step'.
    """
    classes, models = list(operators["operations"].unique()), list(operators["model"].unique())
    figure, panels = plt.subplots(
        1, 2, figsize=(WIDTH * 1.5, 1.6 + 0.6 * len(models)), sharey=True, width_ratios=(2, 1)
    )
    # A segment below this share of the widest bar has no room for a number.
    for axes, column, narrow in zip(panels, ("seconds", "GFLOP"), (0.075, 0.15), strict=True):
        values = operators.pivot(index="model", columns="operations", values=column.lower()).loc[models, classes]
        values.plot.barh(stacked=True, ax=axes, width=0.8, color=sns.color_palette(_AREAS, len(classes)), legend=False)
        widest = values.sum(axis=1).max()
        for bars, name in zip(axes.containers, classes, strict=True):
            labels = [plain(value) if value > narrow * widest else "" for value in values[name]]
            axes.bar_label(bars, labels, label_type="center", fontsize="small")
        axes.set(xlabel=f"{column} of one call", ylabel="", xlim=(0, 1.05 * widest))
        axes.grid(axis="y", visible=False)
    panels[0].invert_yaxis()
    figure.legend(panels[0].containers, classes, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    parts = []
    for model, rows in operators.groupby("model", sort=False):
        top = rows.nlargest(3, "seconds")
        shares = ", ".join(f"{row.operations} {percent(row.share)}" for row in top.itertuples())
        parts.append(f"{model}: {rows['seconds'].sum():.2f} s, of it {shares}")
    caption = f"Seconds of a {work}, and its GFLOP, by class of operation; full size, random weights."
    return display.figure(figure, f"Seconds of a {work} by class of operation", parts, caption)


def steps_chart(steps: pd.DataFrame) -> display.Picture:
    """From the first step's seconds to the last step's: what each change saves, or costs, with its interval.

    ``steps``: the rows of analysis.anomaly.waterfall at one point: step, seconds, change, and the interval of the ratio
    to the previous step in low and high (NaN in the first row).
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 1 + 0.5 * len(steps)))
    last = len(steps) - 1
    after, before = steps["seconds"], steps["seconds"].shift()
    ends = before.to_numpy()[:, None] * steps[["low", "high"]].to_numpy(dtype=float)  # of each change's interval
    rows, changed = np.arange(1, len(steps)), (after - before)[1:]
    axes.barh(rows, changed, left=before[1:], color=[_LESS if change < 0 else _MORE for change in changed])
    axes.vlines(before[1:], rows - 1.4, rows + 0.4, color="0.4", linewidth=0.8)
    axes.plot(ends[1:].T, [rows, rows], color="0.2", linewidth=1.2, marker="|", markersize=7, zorder=3)
    axes.barh([0, last], after[[0, last]], color=_WHOLE, height=[0.8, 0.4])
    beside = np.nanmax(np.column_stack([after, before, ends]), axis=1)
    for i, (at, value) in enumerate(zip(beside, after, strict=True)):
        axes.text(at, i, f" {value:.2f} s", va="center", ha="left", fontsize="small")
    changes = [f"{row.step} ({row.change:+.2f} s)" for row in steps.itertuples()]
    axes.set_yticks(range(len(steps)), labels=[steps["step"][0], *changes[1:-1], steps["step"][last]])
    axes.set(
        xlabel="seconds of one training step (with the 95 % interval of each change)", xlim=(0, beside.max() * 1.25)
    )
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    what = f"From SqueezeBERT as published, {after[0]:.2f} s a training step, to BERT, {after[last]:.2f} s"
    caption = "From SqueezeBERT as published, step by step, to BERT: seconds of a training step."
    return display.figure(figure, what, changes[1:], caption)


def steps_table(steps: pd.DataFrame) -> display.Table:
    """The steps of the waterfall, each against the previous step."""
    return display.table(_timed(steps, "step", "ratio to the step before"), "Step by step to BERT", data=steps)


def variants_table(variants: pd.DataFrame) -> display.Table:
    """Each variant against SqueezeBERT as published, and whether it is a single change."""
    columns = _timed(variants, "variant", "ratio to SqueezeBERT as published")
    columns["a single change"] = np.where(variants["alone"], "yes", "no")
    return display.table(columns, "Every variant, compared with SqueezeBERT as published", data=variants)


def aims_table(aims: pd.DataFrame) -> display.Table:
    """The ratios that the rewriting aimed for and reached, at every point measured."""
    columns = {
        "work": aims["work"].str.replace("_", " "),
        "batch × tokens": map("{} × {}".format, aims["batch_size"], aims["length"]),
        "precision": aims["precision"],
        "dropout": aims["dropout"].map("{:g}".format),
        "compared with": aims["over"],
        "ratio": aims.apply(_ratio, axis=1),
        "target": aims["at most"].map("at most {:g}".format),
        "met": np.where(aims["reached"], "yes", "no"),
    }
    return display.table(columns, "The rewritten network at every point measured", data=aims)


def quantised_table(found: Quantised | None) -> display.Html:
    """Each network's time in each engine, and its speed-up over itself and over BERT in torch."""
    if found is None:
        return display.none("no benchmark of engines is committed with this version")
    rows, device = found.times, found.origin.device
    columns = {
        "network": rows["model"],
        "engine": rows["engine"],
        "forward pass": rows["seconds"].map(seconds),
        "times as fast as in torch": [_times(row, "torch") for _, row in rows.iterrows()],
        "times as fast as BERT in torch": [_times(row, "bert") for _, row in rows.iterrows()],
    }
    caption = (
        f"Networks of published size with random weights, in every engine: {found.point}, timed in turn on "
        f"{device['name']} ({device['software']}); torch in fp32"
    )
    return display.table(columns, caption, data=rows)


def beside_original(explained: Explanation, published: Published) -> display.Html:
    """SqueezeBERT's time relative to BERT's in the original study and here, and the original's hours and USD."""
    spent, times = published.original.fine_tuning.by_model, explained.steps["seconds"]
    hours, usd = spent.squeezebert.hours, spent.squeezebert.usd
    figures = {
        "SqueezeBERT's time relative to BERT's, fine-tuning in 2021": f"{hours / spent.bert.hours:.2f}",
        "SqueezeBERT's time relative to BERT's, measured training step": f"{times.iloc[0] / times.iloc[-1]:.2f}",
        "fine-tuning of SqueezeBERT in 2021": f"{hours:g} h, USD {usd:.2f}",
    }
    return display.facts(figures, "Beside the original study")


def _timed(rows: pd.DataFrame, name: str, over: str) -> dict[str, Any]:
    """Columns of times and ratios; ``name``: the column that names what was timed; ``over``: the title of the ratios.

    The verdict is 'faster' or 'slower' if the ratio's interval excludes 1.
    """
    verdicts = [rows["ratio"].isna(), rows["high"] < 1, rows["low"] > 1]
    return {
        name: rows[name],
        "training step": rows["seconds"].map(seconds),
        over: rows.apply(_ratio, axis=1),
        "verdict": np.select(verdicts, ["", "faster", "slower"], "not significant"),
    }


def _step(operations: pd.DataFrame) -> str:
    """A step's seconds, and the classes of operations that take at least 5 % of them, each with its share."""
    found = []
    for row in operations[operations["share"] >= 0.05].sort_values("share", ascending=False).itertuples():
        rate = f" at {row.gflop / row.seconds:.0f} GFLOP/s" if row.gflop else ""
        found.append(f"{row.operations} {100 * row.share:.0f} % ({100 * row.low:.0f} to {100 * row.high:.0f}){rate}")
    return f"{seconds(operations['seconds'].sum())}: {', '.join(found)}"


def _times(row: Any, over: str) -> str:
    low, high = row[f"{over}_low"], row[f"{over}_high"]
    return "" if pd.isna(row[over]) else f"{plain(row[over])} ({plain(low)} to {plain(high)})"


def _saved(row: Any) -> str:
    """'6 % (4 to 9 %)': by how much a ratio is below 1."""
    return f"{percent(1 - row['ratio'])} ({100 * (1 - row['high']):.0f} to {100 * (1 - row['low']):.0f} %)"


def _ratio(row: Any) -> str:
    return "" if pd.isna(row["ratio"]) else f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
