"""How long a forward pass, a training step and an answer take, as tables and a chart."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.ticker import EngFormatter, LogLocator

from qa_tradeoffs.analysis import speed
from qa_tradeoffs.core.words import parameters, percent, plain, seconds, usd
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.report import charts, display

_OUT_OF_MEMORY = "out of memory"


def savings(models: pd.DataFrame) -> display.Table:
    """Each other model against the largest one: 'times as fast' beside both times, and only where it is significant."""
    savings = speed.savings(models)

    def beside(column: str) -> list[str]:
        return list(map("{} against {}".format, savings[column].map(seconds), savings[f"other_{column}"].map(seconds)))

    columns = {
        "model": savings["model"],
        "against": savings["other"],
        "share of its parameters": savings["share"].map(percent),
        "forward pass": beside("seconds"),
        "times as fast": [
            row.verdict if row.verdict == "not significant" else plain(row.times_as_fast)
            for row in savings.itertuples()
        ],
        "fine-tuning": beside("train_seconds"),
        "fine-tuning, times as fast": display.known(savings["train_times_as_fast"], plain, "not trained"),
    }
    at = models.iloc[0]
    caption = f"Against the largest model; a forward pass has {at['latency_batch']} × {at['latency_at']} tokens"
    return display.table(columns, caption, data=savings)


def invalid(measured: Sequence[tuple[str, Record]]) -> display.Html:
    """A notice for each measurement, with its model, that would need more than the machine's peak."""
    sentences = [
        f"Invalid measurement: {label}, {at['network']} network, {work}, {at['batch_size']} × {at['length']} tokens in "
        f"{at['precision']}: would need {at['share_of_peak']:.2f} of the machine's peak."
        for label, record in measured
        if (at := record.conditions) and (work := record.metric.removesuffix("_seconds").replace("_", " "))
    ]
    return display.paragraphs(sentences, "notice")


def full_size(networks: Sequence[speed.FullSize]) -> display.Table:
    """The full-size networks: a forward pass, its share of the peak, with eager attention, a training step."""
    cells = pd.DataFrame([_row(network) for network in networks]).fillna("not measured")
    return display.table(
        cells, "Full-size networks, of random weights or a checkpoint's own: medians with 95 % intervals over passes"
    )


def timings(timings: pd.DataFrame) -> display.Table:
    """Every timed point of the study's own networks: a column per model."""
    times = map(_timed, timings["seconds"], timings["low"], timings["high"])
    cells = display.column_per_model(timings, ["work", "batch_size", "length"], times)
    cells["work"] = cells["work"].str.replace("_", " ")
    return display.table(cells, "The study's networks: medians, intervals over passes", data=timings)


def chart(timings: pd.DataFrame, colours: dict[str, Any]) -> display.Picture:
    """Time of a forward pass against tokens per row, one panel per batch size, both axes logarithmic.

    ``timings`` are those of the full-size networks.
    """
    times = timings[timings["work"] == "forward"].rename(columns={"low": "seconds_low", "high": "seconds_high"})
    lengths = sorted(times["length"].unique())
    figure, panels = charts.panels(times, "batch_size")
    for axes, size, chosen in panels:
        axes.set(title=f"batch {size}", xlabel="tokens per row", xscale="log", yscale="log")
        for model, rows in chosen.groupby("model", sort=False):
            axes.errorbar(
                rows["length"], rows["seconds"], yerr=charts.errors(rows, "seconds"), marker="o", capsize=3,
                color=colours[str(model)], label=charts.name(model, colours),
            )  # fmt: skip
        axes.set_xticks(lengths, labels=lengths)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(EngFormatter("s"))
        axes.minorticks_off()
    figure.axes[0].set_ylabel("time per call (median, 95 % interval)")
    charts.name_lines(figure.axes)
    longest = times[times["length"] == lengths[-1]]
    named = [f"{row.model} {seconds(row.seconds)} at batch {row.batch_size}" for row in longest.itertuples()]
    what = f"Line chart of the time of a forward pass against tokens per row; at {lengths[-1]} tokens"
    return display.figure(
        figure, what, named, "One forward pass of the full-size networks, of random weights or a checkpoint's own."
    )


def scenarios(served: pd.DataFrame) -> display.Table:
    """SingleStream and Offline of the full-size networks; energy only where it was metered."""
    columns = {
        "model": served["model"],
        "SingleStream p50": map(_timed, served["p50"], served["p50_low"], served["p50_high"]),
        "SingleStream p90": served["p90"].map(seconds),
        "SingleStream p99": served["p99"].map(seconds),
        "answers timed": served["repeats"],
        "Offline": [
            _OUT_OF_MEMORY if pd.isna(row.questions_per_second)
            else f"{plain(row.questions_per_second)} questions/s at batch {row.offline_batch:.0f}"
            for row in served.itertuples()
        ],
        "million, SingleStream, USD": [usd(*pair) for pair in served["single_usd"]],
        "million, Offline, USD": [offline_usd(*pair) for pair in served["offline_usd"]],
    }  # fmt: skip
    if served["joules"].notna().any():
        columns["J per question, SingleStream"] = display.known(served["joules"], plain, "not metered")
    return display.table(
        columns, "Full-size networks, of random weights or a checkpoint's own, real lengths", data=served
    )


def phases(phases: pd.DataFrame) -> display.Table:
    """The time of a question by phase, from its text to its score."""
    cells = phases.set_index("model").map(plain).reset_index()
    return display.table(cells, "The study's networks: time per question by phase, medians", data=phases)


def offline_usd(low: float, high: float) -> str:
    """USD of Offline, which may have run out of memory at every batch size."""
    return _OUT_OF_MEMORY if pd.isna(low) else usd(low, high)


def _timed(value: float, low: float, high: float) -> str:
    """'200 ms (180 ms–220 ms)'."""
    return f"{seconds(value)} ({seconds(low)}–{seconds(high)})"


def _row(network: speed.FullSize) -> dict[str, str]:
    """A full-size network as a row; columns that name the point they were measured at."""
    row = {"model": network.model, "parameters": parameters(network.parameters)}
    if network.forward:
        at = network.forward.conditions
        row["precision"] = str(at["precision"])
        row[f"forward, {at['batch_size']} × {at['length']}"] = _timed(network.forward.value, *network.forward.bounds)
        if "flops_missing" in at:
            row["GFLOP"], row["share of peak"] = str(at["flops_missing"]), "not known"
        else:
            row["GFLOP"] = f"{float(at['flops'] or 0) / 1e9:.1f}"
            row["share of peak"] = percent(float(at["share_of_peak"] or 0))
        if network.eager:
            eager = _timed(network.eager.value, *network.eager.bounds)
            row["with eager attention"] = "is eager" if network.eager is network.forward else eager
    if network.step and network.parts:
        at = network.step.conditions
        row[f"training step, {at['batch_size']} × {at['length']}"] = _timed(network.step.value, *network.step.bounds)
        row["of it forward, backward, update"] = " + ".join(map(percent, network.parts))
    return row
