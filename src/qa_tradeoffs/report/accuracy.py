"""How well the models answer, and how their training went, as tables and a chart."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from qa_tradeoffs.analysis import accuracy as analysis
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core.words import points, usd
from qa_tradeoffs.metrics import languages
from qa_tradeoffs.report import charts, display


def table(collected: Collected, models: pd.DataFrame, baseline: dict[str, float]) -> display.Table:
    """Scores of all models, against the best one, lexical overlap (``baseline``) and a perfect model."""
    over = display.covered(display.questions(collected.clusters), models["seeds"])
    caption = (
        f"Models of the study: EM and F1 in points, with 95 % intervals over {over}. "
        f"Scored by {languages.in_words(collected.language)}."
    )
    beyond = [models["f1_low"] > baseline["f1_high"], models["f1_high"] < baseline["f1_low"]]
    compared = np.select(beyond, ["higher", "lower"], "not significant")
    columns = {
        "model": models["model"],
        "EM": display.with_interval(models, "exact_match"),
        "F1": display.with_interval(models, "f1"),
        "F1, lowest and highest seed": [
            f"{row.f1_seed_low:.1f}–{row.f1_seed_high:.1f} ({row.seeds})" if row.seeds > 1 else "one seed"
            for row in models.itertuples()
        ],
        f"keeps {100 * collected.study.analysis.keeps:g} % of the best F1": _kept(collected, models),
        f"F1 compared with lexical overlap's {baseline['f1']:.1f}": compared,
        "EM and F1 of a perfect model": map(
            "{:.1f} and {:.1f}".format, models["ceiling_exact_match"], models["ceiling_f1"]
        ),
    }
    if models["seeds"].max() == 1:
        del columns["F1, lowest and highest seed"]
    return display.table(columns, caption, data=models)


def _kept(collected: Collected, models: pd.DataFrame) -> list[str]:
    """'yes', 'no' or 'inconclusive' per model; 'the best' for the best; 'as X' if it is X, computed in another way."""
    kept = analysis.kept(collected).set_index("model")["verdict"].to_dict()
    same = {collected.label(slug): collected.label(first) for slug, first in collected.same.items()}
    return [kept.get(model, "the best" if same[model] == model else f"see {same[model]}") for model in models["model"]]


def chart(models: pd.DataFrame, baseline: dict[str, float], colours: dict[str, Any]) -> display.Picture:
    """F1 (filled) and EM (hollow) of every model with their intervals, and F1 of lexical overlap as a line."""
    n, hover = len(models), list[display.Point]()
    figure, axes = plt.subplots(figsize=(charts.WIDTH, 1.2 + 0.4 * n))
    for metric, name, y, hollow in (("f1", "F1", -0.13, False), ("exact_match", "EM", 0.13, True)):
        for i, row in enumerate(models.to_dict("records")):
            colour, value = colours[row["model"]], [row[f"{metric}{end}"] for end in ("", "_low", "_high")]
            axes.plot(value[1:], [i + y] * 2, color=colour)
            axes.plot(value[0], i + y, "o", color=colour, markersize=7, markerfacecolor="white" if hollow else colour)
            hover.append(display.Point(axes, value[0], i + y, f"{row['model']}: {name} {points(*value)}"))
    axes.axvline(baseline["f1"], color="0.4", linestyle="--", linewidth=1)
    axes.annotate(
        "lexical overlap", (baseline["f1"], 0), xytext=(5, 0), textcoords="offset points", va="center", color="0.3",
        fontsize="small",
    )  # fmt: skip
    axes.set_yticks(range(n), labels=[charts.name(model, colours) for model in models["model"]])
    axes.set(xlabel="points (95 % interval)", xlim=(0, 100), ylim=(n - 0.5, -0.5))
    axes.grid(axis="y", visible=False)
    named = [f"{row.model} F1 {row.f1:.1f}, EM {row.exact_match:.1f}" for row in models.itertuples()]
    named.append(f"lexical overlap F1 {baseline['f1']:.1f}")
    caption = "F1 (filled) and EM (hollow). The dashed line is the F1 of lexical overlap."
    return display.figure(figure, "Dot chart of F1 and EM", named, caption, hover)


def differences(f1: pd.DataFrame, exact_match: pd.DataFrame) -> display.Table:
    """All pairs of models compared question by question, in both metrics, with the smallest detectable difference."""
    columns = {"model": f1["model"], "compared with": f1["other"]}
    for name, metric, gaps in (("F1", "f1", f1), ("EM", "exact_match", exact_match)):
        gap = gaps[f"{metric}_difference"]
        columns[f"{name} difference"] = display.signed_interval(gap, gaps["low"], gaps["high"])
        columns[f"{name}, p (Holm)"] = gaps["p_holm"].map("{:.2g}".format)
        columns[f"{name}, verdict"] = gaps["verdict"]
        columns[f"{name}, detectable"] = gaps["detectable"].map("{:.1f}".format)
    both = f1.merge(exact_match, on=["model", "other"], suffixes=("_f1", "_exact_match"))
    return display.table(columns | _over(f1), "Differences in points, paired by question, with 95 % intervals", both)


def kept(kept: pd.DataFrame, keeps: float) -> display.Html:
    """Whether each model keeps the share ``keeps`` of the best model's F1."""
    if kept.empty:
        return display.none("there is no model to compare with the best one")
    best = kept["best"].iloc[0]
    columns = {
        "model": kept["model"],
        f"F1, per cent of {best}'s": [f"{row.share:.1f} ({row.low:.1f}–{row.high:.1f})" for row in kept.itertuples()],
        f"keeps at least {100 * keeps:g} %": kept["verdict"],
    }
    caption = f"Share of the F1 of {best}; the intervals hold at 95 % for all rows together"
    return display.table(columns | _over(kept), caption, kept)


def variants(variants: pd.DataFrame) -> display.Html:
    """Whether models that differ only in how they are computed give the same answers."""
    if variants.empty:
        return display.none("no two models of this study are the same one")
    columns = {
        "model": variants["model"],
        "same model as": variants["of"],
        "answers compared": variants["answers"],
        "verdict": variants["verdict"],
        "F1 difference": display.signed_interval(variants["f1_difference"], variants["low"], variants["high"]),
    }
    caption = "One model, computed in two ways; F1 in points, with 95 % intervals"
    return display.table(columns | _over(variants), caption, variants)


def students(students: pd.DataFrame) -> display.Html:
    """What each student gained from its teacher, and what that cost."""
    if students.empty:
        return display.none("no model of this study has a teacher")
    gains = display.signed_interval(students["f1_difference"], students["low"], students["high"])
    missing = "the same model without a teacher is not in this study"
    columns = {
        "model": students["model"],
        "teacher": students["teacher"],
        "training, USD, if the teacher exists anyway": map(usd, students["there_usd_low"], students["there_usd_high"]),
        "training, USD, the teacher's included": [
            "the teacher came fine-tuned" if pd.isna(row.once_usd_low) else usd(row.once_usd_low, row.once_usd_high)
            for row in students.itertuples()
        ],
        "F1 minus F1 without a teacher": [
            gain if alone else missing for gain, alone in zip(gains, students["alone"], strict=True)
        ],
        "verdict": students["verdict"],
    }
    caption = "Models with a teacher: F1 in points, paired by question, with 95 % intervals; verdicts corrected (Holm)"
    return display.table(columns | _over(students), caption, students)


def runs(runs: pd.DataFrame) -> display.Html:
    """The spread between the training runs of each model."""
    if runs.empty:
        return display.none("each model was trained once")
    columns = {
        "model": runs["model"],
        "metric": runs["metric"].replace({"f1": "F1", "exact_match": "EM"}),
        "training runs": runs["runs"],
        "mean": runs["mean"].map("{:.1f}".format),
        "standard deviation": runs["sd"].map("{:.2f}".format),
        "95 % t interval": map("{:.1f} to {:.1f}".format, runs["low"], runs["high"]),
        "lowest and highest": map("{:.1f} to {:.1f}".format, runs["lowest"], runs["highest"]),
    }
    return display.table(columns, "Spread between training runs, in points, on these questions", data=runs)


def _over(rows: pd.DataFrame) -> dict[str, Any]:
    """The column that names the uncertainty that intervals and verdicts cover."""
    return {"uncertainty over": rows["over"]}


def loss_chart(losses: pd.DataFrame, colours: dict[str, Any]) -> display.Html:
    """Training loss against epoch, a line per model, thin lines for further seeds."""
    if losses.empty:
        return display.none("no model was trained in this study")
    figure, axes = plt.subplots(figsize=(charts.WIDTH, 3.6))
    for (model, seed), rows in losses.groupby(["model", "seed"], sort=False):
        style = (
            {"linewidth": 1.8, "label": charts.name(model, colours)}
            if seed == losses["seed"].min()
            else {"linewidth": 0.8}
        )
        axes.plot(rows["epoch"], rows["loss"], color=colours[str(model)], **style)
    axes.set(xlabel="epoch", ylabel="training loss (nats, mean since the point before)", ylim=(0, None))
    charts.name_lines([axes])
    means = losses.groupby(["model", "seed"], sort=False)["loss"].agg(["first", "last"])
    means = means.groupby("model", sort=False).mean()
    named = [f"{model} from {row['first']:.2f} to {row['last']:.2f}" for model, row in means.iterrows()]
    caption = "Training loss. Each line is one training run."
    return display.figure(figure, "Line chart of training losses", named, caption)
