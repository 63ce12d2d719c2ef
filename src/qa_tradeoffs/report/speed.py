"""How long a forward pass and a training step take, as tables and a chart."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from qa_tradeoffs.analysis import speed
from qa_tradeoffs.analysis.collected import Collected
from qa_tradeoffs.core import words
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.report import charts, display


def savings(models: pd.DataFrame) -> display.Html:
    """Each other model against the largest one."""
    against = speed.savings(models)
    at = models.iloc[0]
    caption = f"Against the largest model; a forward pass has {at['latency_batch']} × {at['latency_at']} tokens"
    return display.table(savings_cells(against), caption, data=against)


def savings_cells(savings: pd.DataFrame) -> pd.DataFrame:
    """The savings as a reader sees them: 'times as fast' beside both times, and only where it is significant."""
    rows = [
        {
            "model": row.model,
            "against": row.other,
            "share of its parameters": words.percent(row.share),
            "forward pass": f"{words.seconds(row.seconds)} against {words.seconds(row.other_seconds)}",
            "times as fast": words.plain(row.times_as_fast) if row.verdict != "not significant" else row.verdict,
            "fine-tuning": f"{words.seconds(row.train_seconds)} against {words.seconds(row.other_train_seconds)}",
            "fine-tuning, times as fast": _ratio(row.train_times_as_fast),
        }
        for row in savings.itertuples()
    ]
    return pd.DataFrame(rows)


def invalid(collected: Collected) -> display.Html:
    """A notice for each measurement that would need more than the machine's peak."""
    sentences = [
        f"Invalid measurement: {label}, {at['network']} network, {work}, {at['batch_size']} × {at['length']} tokens in "
        f"{at['precision']}: would need {at['share_of_peak']:.2f} of the machine's peak."
        for label, record in speed.invalid(collected)
        if (at := record.conditions) and (work := record.metric.removesuffix("_seconds").replace("_", " "))
    ]
    return display.paragraphs(sentences, "notice")


def full_size(collected: Collected) -> display.Html:
    """The full-size networks: a forward pass, its share of the peak, with eager attention, a training step."""
    caption = "Full-size networks, random weights: medians with 95 % intervals over passes"
    return display.table(full_size_cells(speed.full_size(collected)), caption)


def full_size_cells(networks: list[speed.FullSize]) -> pd.DataFrame:
    """The full-size networks as a reader sees them."""
    return pd.DataFrame([_row(network) for network in networks]).fillna("not measured")


def timings(collected: Collected) -> display.Html:
    """Every timed point of the study's own networks."""
    own = speed.timings(collected)
    return display.table(timings_cells(own), "The study's networks: medians, intervals over passes", data=own)


def timings_cells(timings: pd.DataFrame) -> pd.DataFrame:
    """The timings as a reader sees them: a column per model."""
    wide = timings.assign(cell=[with_interval(row.seconds, row.low, row.high) for row in timings.itertuples()])
    wide = wide.pivot(index=["work", "batch_size", "length"], columns="model", values="cell")
    wide = wide[list(dict.fromkeys(timings["model"]))].reset_index()
    return wide.replace({"work": {"training_step": "training step"}}).rename(
        columns={"batch_size": "batch", "length": "tokens per row"}
    )


def chart(collected: Collected, colours: dict[str, Any]) -> display.Html:
    """A forward pass of the full-size networks against tokens per row."""
    times = speed.timings(collected, collected.full_size)
    times = times[times["work"] == "forward"]
    caption = "One forward pass of the full-size networks, random weights."
    return display.figure(draw(times, colours), alt=chart_text(times), caption=caption)


def draw(timings: pd.DataFrame, colours: dict[str, Any]) -> Figure:
    """Time of a call against tokens per row, one panel per batch size, both axes logarithmic."""
    lengths = sorted(timings["length"].unique())
    figure, panels = charts.panels(timings, "batch_size")
    for axes, size, times in panels:
        ends = {}
        axes.set(title=f"batch {size}", xlabel="tokens per row", xscale="log", yscale="log")
        for model, rows in times.groupby("model", sort=False):
            error = [rows["seconds"] - rows["low"], rows["high"] - rows["seconds"]]
            style = {"marker": "o", "capsize": 3, "color": colours[str(model)], "label": charts.name(model, colours)}
            axes.errorbar(rows["length"], rows["seconds"], yerr=error, **style)
            ends[str(model)] = (rows["length"].iloc[-1], rows["seconds"].iloc[-1])
        axes.set_xticks(lengths, labels=lengths)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(_in_units))
        axes.minorticks_off()
    figure.axes[0].set_ylabel("time per call (median, 95 % interval)")
    charts.name_lines(figure.axes, ends, colours)
    return figure


def chart_text(timings: pd.DataFrame) -> str:
    """The chart in words: the times at the longest rows."""
    longest = timings[timings["length"] == timings["length"].max()]
    named = [f"{row.model} {words.seconds(row.seconds)} at batch {row.batch_size}" for row in longest.itertuples()]
    return (
        f"Line chart of the time of a forward pass against tokens per row; at {timings['length'].max()} tokens: "
        f"{'; '.join(named)}."
    )


def with_interval(value: float, low: float, high: float) -> str:
    """'200 ms (180 ms–220 ms)'."""
    return f"{words.seconds(value)} ({words.seconds(low)}–{words.seconds(high)})"


def _ratio(value: float) -> str:
    return "not trained" if pd.isna(value) else words.plain(value)


def _row(network: speed.FullSize) -> dict[str, str]:
    """A full-size network as a row; columns that name the point they were measured at."""
    row = {"model": network.model, "parameters": words.parameters(network.parameters)}
    if network.forward:
        at = network.forward.conditions
        row["precision"] = str(at["precision"])
        row[f"forward, {at['batch_size']} × {at['length']}"] = _timed(network.forward)
        row["GFLOP"] = f"{float(at['flops'] or 0) / 1e9:.1f}"
        row["share of peak"] = words.percent(float(at["share_of_peak"] or 0))
        eager = "is eager" if network.eager is network.forward else network.eager and _timed(network.eager)
        row["with eager attention"] = eager or "not measured"
    if network.step and network.parts:
        at = network.step.conditions
        row[f"training step, {at['batch_size']} × {at['length']}"] = _timed(network.step)
        row["of it forward, backward, update"] = " + ".join(map(words.percent, network.parts))
    return row


def _timed(record: Record) -> str:
    return with_interval(record.value, *record.bounds)


def _in_units(value: float, _: int | None) -> str:
    return f"{value * 1e3:g} ms" if value < 1 else f"{value:g} s"
