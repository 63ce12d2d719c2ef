"""How long a forward pass, a training step and an answer take, as tables and a chart."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.ticker import EngFormatter, LogLocator

from qa_tradeoffs.analysis import speed
from qa_tradeoffs.core.words import counted, parameters, percent, plain, seconds, usd
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.report import charts, display

_OUT_OF_MEMORY, _TOO_FEW = "out of memory", "too few questions"


def savings(savings: pd.DataFrame) -> display.Html:
    """Each other model against the largest one: both times, and how many times as fast where that is significant."""
    if savings.empty:
        return display.none("there is one model in this report")
    columns: dict[str, Any] = {
        "model": savings["model"],
        "against": savings["other"],
        "share of its parameters": savings["share"].map(percent),
    }
    named = {"question": "one question", "full_size": "one question, full size", "training": "fine-tuning"}
    for name, title in named.items():
        if name == "full_size" and savings[name].isna().all():
            continue
        both = zip(savings[name], savings[f"other_{name}"], strict=True)
        columns[title] = [
            "not trained" if pd.isna(ours) or pd.isna(other) else f"{seconds(ours)} against {seconds(other)}"
            for ours, other in both
        ]
        columns[f"{title}, times as fast"] = [
            row[f"{name}_verdict"] if row[f"{name}_verdict"] in ("", "not significant") else _times(row, name)
            for _, row in savings.iterrows()
        ]
    caption = "Against the largest model, side by side; 95 % intervals over passes, fine-tuning by a step × its updates"
    return display.table(columns, caption, data=savings)


def training(trained: pd.DataFrame) -> display.Html:
    """Fine-tuning by a step × its updates, beside the total that was measured once."""
    columns = {
        "model": trained["model"],
        "a step × updates": map(
            _timed, trained["train_by_step"], trained["train_by_step_low"], trained["train_by_step_high"]
        ),
        "measured, mean of the runs": trained["train_seconds"].map(seconds),
        "measured over a step × updates": trained["ratio"].map("{:.2f}".format),
    }
    return display.table(columns, "Time of fine-tuning", data=trained)


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
        cells, "Full-size networks side by side, of random weights or a checkpoint's own; 95 % intervals over passes"
    )


def timings(timings: pd.DataFrame) -> display.Html:
    """Every point of the grids, a column per model, folded: each model was measured by itself."""
    times = map(_timed, timings["seconds"], timings["low"], timings["high"])
    cells = display.column_per_model(timings, ["work", "batch_size", "length"], times)
    cells["work"] = cells["work"].str.replace("_", " ")
    caption = "Each model by itself, at another time: not for comparing models; intervals over passes"
    return display.fold("The grid of each model", display.table(cells, caption, data=timings))


def chart(full_rows: pd.DataFrame, colours: dict[str, Any]) -> display.Html:
    """Time of a forward pass against tokens per row, one panel per batch size, both axes logarithmic.

    ``full_rows`` are those of the full-size networks, timed side by side.
    """
    if full_rows.empty:
        return display.none("no network takes the lengths of compare.forward")
    times = full_rows.rename(columns={"low": "seconds_low", "high": "seconds_high"})
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
    figure.axes[0].set_ylabel("time per call (95 % interval)")
    charts.name_lines(figure.axes)
    longest = times[times["length"] == lengths[-1]]
    named = [f"{row.model} {seconds(row.seconds)} at batch {row.batch_size}" for row in longest.itertuples()]
    what = f"Line chart of the time of a forward pass against tokens per row; at {lengths[-1]} tokens"
    return display.figure(
        figure, what, named, "One forward pass of the full-size networks, of random weights or a checkpoint's own."
    )


def scenarios(served: pd.DataFrame, network: str) -> display.Table:
    """SingleStream and Offline of one kind of networks, named in words; energy only where it was metered."""
    columns = {
        "model": served["model"],
        "SingleStream": map(_timed, served["question"], served["question_low"], served["question_high"]),
        "p90": display.known(served["p90"], seconds, _TOO_FEW),
        "p99": display.known(served["p99"], seconds, _TOO_FEW),
        "passes": map(passes, served["passes"], served["contended"]),
        "Offline": [
            _OUT_OF_MEMORY if pd.isna(row.questions_per_second)
            else f"{plain(row.questions_per_second)} questions/s at batch {row.offline_batch:.0f}"
            for row in served.itertuples()
        ],
        "a million questions, USD": [usd(*pair) for pair in served["million_usd"]],
    }  # fmt: skip
    if served["p99"].isna().all():
        del columns["p99"]
    if served["joules"].notna().any():
        columns["J per question, SingleStream"] = display.known(served["joules"], plain, "not metered")
    return display.table(columns, f"{network}, real lengths, side by side; 95 % intervals over passes", data=served)


def phases(phases: pd.DataFrame) -> display.Table:
    """The time of a question by phase, from its text to its score."""
    cells = phases.set_index("model").map(plain).reset_index()
    return display.table(cells, "The study's networks: time per question by phase, medians", data=phases)


def passes(n: int, contended: int) -> str:
    """'10', '10, 3 contended'."""
    return f"{n}, {contended} contended" if contended else str(n)


def _times(row: Any, name: str) -> str:
    """'1.80 (1.72 to 1.88)'."""
    value, low, high = (plain(row[f"{name}_times{end}"]) for end in ("", "_low", "_high"))
    return f"{value} ({low} to {high})"


def _timed(value: float, low: float, high: float) -> str:
    """'200 ms (180 ms–220 ms)'."""
    return f"{seconds(value)} ({seconds(low)}–{seconds(high)})"


def _row(network: speed.FullSize) -> dict[str, str]:
    """A full-size network as a row; columns that name the point they were measured at."""
    row, at = {"model": network.model, "parameters": parameters(network.parameters)}, network.at
    if network.forward:
        row["precision"] = str(at["precision"])
        row[f"forward, {at['batch_size']} × {at['length']}"] = _timed(*network.forward)
        row["GFLOP"] = f"{float(at['flops'] or 0) / 1e9:.1f}" if "flops" in at else str(at["flops_missing"])
        row["share of peak"] = "not known" if network.share is None else percent(network.share)
        if network.eager:
            row["with eager attention"] = "is eager" if at["attention"] == "eager" else _timed(*network.eager)
    if network.step:
        row[f"training step, {counted(network.windows or 0, 'window')}"] = _timed(*network.step)
    return row
