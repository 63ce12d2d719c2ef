"""How well the models answer, and how their training went, as tables and a chart."""

from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qa_tradeoffs.analysis import accuracy
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core.words import counted, parameters, points, seconds, signed, size, usd
from qa_tradeoffs.metrics import languages
from qa_tradeoffs.report import charts, display


def table(collected: Collected, models: pd.DataFrame) -> display.Html:
    """All models in numbers."""
    caption = (
        f"Models of the study '{collected.study.title}'. EM and F1 in points with 95 % intervals over "
        f"{counted(collected.n_questions, 'question')}; forward pass and fine-tuning as measured on this machine, "
        f"at the price of {collected.price.machine}. Words are counted by {languages.in_words(collected.language)}."
    )
    return display.table(cells(models, accuracy.baseline(collected)), caption, data=models)


def cells(models: pd.DataFrame, baseline: dict[str, float]) -> pd.DataFrame:
    """The table of models as a reader sees it, with a verdict on F1 against that of lexical overlap."""
    columns = {
        "model": models["model"],
        "EM": [points(*row) for row in models[["exact_match", "exact_match_low", "exact_match_high"]].to_numpy()],
        "F1": [points(*row) for row in models[["f1", "f1_low", "f1_high"]].to_numpy()],
        "a perfect model, EM and F1": [
            f"{row.ceiling_exact_match:.1f} and {row.ceiling_f1:.1f}" for row in models.itertuples()
        ],
        "F1, lowest and highest seed": [
            f"{row.f1_seed_low:.1f}–{row.f1_seed_high:.1f} ({row.seeds})" if row.seeds > 1 else "one seed"
            for row in models.itertuples()
        ],
        f"against lexical overlap, F1 {baseline['f1']:.1f}": [
            "higher"
            if row.f1_low > baseline["f1_high"]
            else "lower"
            if row.f1_high < baseline["f1_low"]
            else "not significant"
            for row in models.itertuples()
        ],
        "parameters": [parameters(value) for value in models["parameters"]],
        "on disk": [size(value) for value in models["bytes"]],
        "forward pass": [seconds(value) for value in models["latency"]],
        "fine-tuning": [seconds(value) for value in models["train_seconds"]],
        "fine-tuning, USD": [usd(*row) for row in models[["train_usd_low", "train_usd_high"]].to_numpy()],
        "million passes, USD": [usd(*row) for row in models[["million_usd_low", "million_usd_high"]].to_numpy()],
    }
    if models["seeds"].max() == 1:
        del columns["F1, lowest and highest seed"]
    return pd.DataFrame(columns)


def differences(f1: pd.DataFrame, exact_match: pd.DataFrame) -> display.Html:
    """Every two models compared question by question, in both metrics."""
    both = f1.merge(exact_match, on=["model", "other"], suffixes=("_f1", "_exact_match"))
    caption = "Paired by question, in points; 95 % intervals over questions"
    return display.table(differences_cells(f1, exact_match), caption, data=both)


def differences_cells(f1: pd.DataFrame, exact_match: pd.DataFrame) -> pd.DataFrame:
    """The paired differences in both metrics as a reader sees them."""
    columns = {"model": f1["model"], "against": f1["other"]}
    for name, metric, gaps in (("F1", "f1", f1), ("EM", "exact_match", exact_match)):
        bounds = gaps[[f"{metric}_difference", "low", "high"]].to_numpy(dtype=float)
        columns[f"{name} difference"] = [
            f"{signed(gap)} ({signed(low)} to {signed(high)})" for gap, low, high in bounds
        ]
        columns[f"{name}, p (Holm)"] = [f"{p:.2g}" for p in gaps["p_holm"]]
        columns[f"{name}, verdict"] = list(gaps["verdict"])
    return pd.DataFrame(columns)


def runs(collected: Collected) -> display.Html:
    """How far training runs of a model lie apart."""
    table = accuracy.runs(collected)
    return display.table(
        runs_cells(table), "Spread over training runs, in points; not pooled with that over questions", data=table
    )


def runs_cells(runs: pd.DataFrame) -> pd.DataFrame:
    """The spread over training runs as a reader sees it."""
    return pd.DataFrame(
        {
            "model": runs["model"],
            "metric": runs["metric"].replace({"f1": "F1", "exact_match": "EM"}),
            "training runs": runs["runs"],
            "mean": [f"{value:.1f}" for value in runs["mean"]],
            "standard deviation": [f"{value:.2f}" for value in runs["sd"]],
            "95 % t interval": [f"{row.low:.1f} to {row.high:.1f}" for row in runs.itertuples()],
            "lowest and highest": [f"{row.lowest:.1f} to {row.highest:.1f}" for row in runs.itertuples()],
            "runs overlap with": runs["overlaps"],
        }
    )


def loss_chart(collected: Collected, colours: dict[str, Any]) -> display.Html:
    """The learning curves of all training runs."""
    losses = accuracy.losses(collected)
    caption = "Training loss; every seed is a line."
    return display.figure(draw_losses(losses, colours), alt=loss_text(losses), caption=caption)


def draw_losses(losses: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """Training loss against epoch, a line per model, thin lines for further seeds."""
    figure, axes = plt.subplots(figsize=(charts.WIDTH, 3.6))
    axes.set(xlabel="epoch", ylabel="training loss (nats, mean since the point before)")
    if losses.empty:
        return charts.nothing(figure, axes)
    ends = {}
    for (model, seed), rows in losses.groupby(["model", "seed"], sort=False):
        first, colour = seed == losses["seed"].min(), colours[str(model)]
        if first:
            axes.plot(rows["epoch"], rows["loss"], color=colour, linewidth=1.8, label=charts.name(model, colours))
            ends[str(model)] = (rows["epoch"].iloc[-1], rows["loss"].iloc[-1])
        else:
            axes.plot(rows["epoch"], rows["loss"], color=colour, linewidth=0.8)
    axes.set_ylim(0, None)
    charts.name_lines([axes], ends, colours)
    return figure


def loss_text(losses: pd.DataFrame) -> str:
    """The chart of losses in words: where each model's loss begins and ends, mean over seeds."""
    if losses.empty:
        return "Empty chart of training losses: no model was fine-tuned in this study."
    ends = losses.groupby(["model", "seed"], sort=False)["loss"].agg(["first", "last"])
    means = ends.groupby("model", sort=False).mean()
    named = [f"{model} from {row['first']:.2f} to {row['last']:.2f}" for model, row in means.iterrows()]
    return f"Line chart of training losses: {'; '.join(named)}."
