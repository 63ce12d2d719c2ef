"""How well the models answer, and how their training went, as tables and a chart."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core.words import parameters, seconds, size, usd
from qa_tradeoffs.metrics import languages
from qa_tradeoffs.report import charts, display


def table(collected: Collected, models: pd.DataFrame, baseline: dict[str, float]) -> display.Table:
    """All models in numbers, with a verdict on F1 against that of lexical overlap, ``baseline``."""
    caption = (
        f"Models of the study '{collected.study.title}'. EM and F1 in points with 95 % intervals over "
        f"{display.questions(collected.clusters)}; one question and fine-tuning (a step × its updates) as timed "
        f"on this machine, side by side, at the price of {collected.price.machine}. Words are counted by "
        f"{languages.in_words(collected.language)}."
    )
    beyond = [models["f1_low"] > baseline["f1_high"], models["f1_high"] < baseline["f1_low"]]
    columns = {
        "model": models["model"],
        "EM": display.with_interval(models, "exact_match"),
        "F1": display.with_interval(models, "f1"),
        "a perfect model, EM and F1": map(
            "{:.1f} and {:.1f}".format, models["ceiling_exact_match"], models["ceiling_f1"]
        ),
        "F1, lowest and highest seed": [
            f"{row.f1_seed_low:.1f}–{row.f1_seed_high:.1f} ({row.seeds})" if row.seeds > 1 else "one seed"
            for row in models.itertuples()
        ],
        f"against lexical overlap, F1 {baseline['f1']:.1f}": np.select(beyond, ["higher", "lower"], "not significant"),
        "parameters": models["parameters"].map(parameters),
        "on disk": models["bytes"].map(size),
        "one question": display.timed(models),
        "fine-tuning": models["train_paid_seconds"].map(seconds),
        "fine-tuning, USD": map(usd, models["train_usd_low"], models["train_usd_high"]),
        "a million questions, USD": [usd(*pair) for pair in models["million_usd"]],
    }
    if models["seeds"].max() == 1:
        del columns["F1, lowest and highest seed"]
    return display.table(columns, caption, data=models)


def differences(f1: pd.DataFrame, exact_match: pd.DataFrame) -> display.Table:
    """Every two models compared question by question, in both metrics, with what the study could have detected."""
    columns = {"model": f1["model"], "against": f1["other"]}
    for name, metric, gaps in (("F1", "f1", f1), ("EM", "exact_match", exact_match)):
        gap = gaps[f"{metric}_difference"]
        columns[f"{name} difference"] = display.signed_interval(gap, gaps["low"], gaps["high"])
        columns[f"{name}, p (Holm)"] = gaps["p_holm"].map("{:.2g}".format)
        columns[f"{name}, verdict"] = gaps["verdict"]
        columns[f"{name}, detectable"] = gaps["detectable"].map("{:.1f}".format)
    both = f1.merge(exact_match, on=["model", "other"], suffixes=("_f1", "_exact_match"))
    return display.table(columns | _over(f1), "Paired by question, in points; 95 % intervals", both)


def kept(kept: pd.DataFrame, keeps: float) -> display.Html:
    """Whether each model keeps the share ``keeps`` of the best one's F1."""
    if kept.empty:
        return display.none("there is no model to compare with the best one")
    best = kept["best"].iloc[0]
    columns = {
        "model": kept["model"],
        f"F1, per cent of {best}'s": [f"{row.share:.1f} ({row.low:.1f}–{row.high:.1f})" for row in kept.itertuples()],
        f"keeps at least {100 * keeps:g} %": kept["verdict"],
    }
    caption = f"Share of the F1 of {best}, with intervals at 95 % for all rows together"
    return display.table(columns | _over(kept), caption, kept)


def variants(variants: pd.DataFrame) -> display.Html:
    """Whether a model that is another one, computed in another way, gives the same answers."""
    if variants.empty:
        return display.none("every model of this study is one of its own")
    columns = {
        "model": variants["model"],
        "is": variants["of"],
        "answers of each": variants["answers"],
        "verdict": variants["verdict"],
        "F1 difference": display.signed_interval(variants["f1_difference"], variants["low"], variants["high"]),
    }
    return display.table(columns | _over(variants), "One model, computed in two ways; F1 in points", variants)


def students(students: pd.DataFrame) -> display.Html:
    """What a teacher brought each of its students, and what it cost."""
    if students.empty:
        return display.none("no model of this study learnt from a teacher")
    gains = display.signed_interval(students["f1_difference"], students["low"], students["high"])
    missing = "the same model without a teacher is not in this study"
    columns = {
        "model": students["model"],
        "teacher": students["teacher"],
        "fine-tuning, USD, if the teacher is there": map(usd, students["there_usd_low"], students["there_usd_high"]),
        "with the teacher's training": [
            "the teacher came fine-tuned" if pd.isna(row.once_usd_low) else usd(row.once_usd_low, row.once_usd_high)
            for row in students.itertuples()
        ],
        "F1 over it without a teacher": [
            gain if alone else missing for gain, alone in zip(gains, students["alone"], strict=True)
        ],
        "verdict": students["verdict"],
    }
    caption = "Models with a teacher: F1 paired by question, in points, 95 % intervals, p values after Holm"
    return display.table(columns | _over(students), caption, students)


def runs(runs: pd.DataFrame) -> display.Table:
    """How far training runs of a model lie apart."""
    columns = {
        "model": runs["model"],
        "metric": runs["metric"].replace({"f1": "F1", "exact_match": "EM"}),
        "training runs": runs["runs"],
        "mean": runs["mean"].map("{:.1f}".format),
        "standard deviation": runs["sd"].map("{:.2f}".format),
        "95 % t interval": map("{:.1f} to {:.1f}".format, runs["low"], runs["high"]),
        "lowest and highest": map("{:.1f} to {:.1f}".format, runs["lowest"], runs["highest"]),
    }
    return display.table(columns, "Spread over training runs, in points; over these questions only", data=runs)


def _over(rows: pd.DataFrame) -> dict[str, Any]:
    """The column that says which uncertainty intervals and verdicts hold."""
    return {"uncertainty over": rows["over"]}


def loss_chart(losses: pd.DataFrame, colours: dict[str, Any]) -> display.Html:
    """Training loss against epoch, a line per model, thin lines for further seeds."""
    if losses.empty:
        return display.none("no model was fine-tuned in this study")
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
    return display.figure(figure, "Line chart of training losses", named, "Training loss; every seed is a line.")
