"""How long a forward pass, a training step and an answer take, as tables and a chart."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator

from qa_tradeoffs.analysis import speed
from qa_tradeoffs.core.words import counted, parameters, percent, plain, seconds, size, usd
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.report import charts, display

_OUT_OF_MEMORY, _TOO_FEW = "out of memory", "too few questions"
_DECADE = 10  # highest over lowest, from which an axis is logarithmic


def table(models: pd.DataFrame, savings: pd.DataFrame) -> display.Table:
    """Size and times of every model, and its speed-up over the largest model if that is significant.

    ``savings``: a row for each model but the largest.
    """
    columns: dict[str, Any] = {
        "model": models["model"],
        "parameters": models["parameters"].map(parameters),
        "on disk": models["bytes"].map(size),
    }
    if savings.empty:
        columns |= {"one question": display.timed(models), "training": models["train_paid_seconds"].map(seconds)}
        return display.table(columns, "Times of the model", data=models)
    largest = savings["other"].iloc[0]
    by_model = savings.set_index("model")
    named = {"question": "one question", "full_size": "one question at full size", "training": "training"}
    for name, title in named.items():
        if name == "full_size" and savings[name].isna().all():
            continue
        times = [by_model[f"other_{name}"].iloc[0] if m == largest else by_model.at[m, name] for m in models["model"]]
        columns[title] = display.known(times, seconds, "not trained")
        columns[f"{title}, times as fast"] = [
            "" if model == largest else _times(by_model.loc[model], name) for model in models["model"]
        ]
    if models["contended"].any():
        columns["one question"] = display.timed(models)
    caption = (
        f"Against the largest model, {largest}: times measured in turn; 95 % intervals of the ratios, over passes. "
        "Training is the time of a step times the number of updates."
    )
    return display.table(columns, caption, data=savings)


def questions_chart(networks: Mapping[str, pd.DataFrame], colours: dict[str, Any]) -> display.Picture:
    """The time of one question of each model with its interval, a panel for each kind of network."""
    n = len(next(iter(networks.values())))
    size = (charts.WIDTH + 1.6 * (len(networks) - 1), 1.1 + 0.36 * n)
    figure, panels = plt.subplots(1, len(networks), figsize=size, sharey=True, squeeze=False)
    hover: list[display.Point] = []
    for axes, (title, rows) in zip(panels[0], networks.items(), strict=True):
        for i, row in enumerate(rows.itertuples()):
            colour = colours[row.model]
            axes.plot([row.question_low, row.question_high], [i, i], color=colour)
            axes.plot(row.question, i, "o", color=colour, markersize=8)
            exact = _timed(row.question, row.question_low, row.question_high)
            hover.append(display.Point(axes, row.question, i, f"{row.model}: {exact}"))
            axes.annotate(
                seconds(row.question), (row.question_high, i), xytext=(8, 0), textcoords="offset points", va="center",
                color=charts.legible(colour), fontsize="small",
            )  # fmt: skip
        low, high = rows["question_low"].min(), rows["question_high"].max()
        decade = high > _DECADE * low
        axes.set(title=title, xlabel="time of one question", xscale="log" if decade else "linear", ylim=(n - 0.5, -0.5))
        axes.set_xlim(low / 1.5 if decade else 0, high * (2.5 if decade else 1.35))
        axes.xaxis.set_major_locator(LogLocator() if decade else MaxNLocator(4))
        axes.xaxis.set_major_formatter(EngFormatter("s"))
        axes.grid(axis="y", visible=False)
    names = [charts.name(model, colours) for model in next(iter(networks.values()))["model"]]
    panels[0, 0].set_yticks(range(n), labels=names)
    named = [
        f"{title}, {', '.join(f'{row.model} {seconds(row.question)}' for row in rows.itertuples())}"
        for title, rows in networks.items()
    ]
    caption = "Time of one question, answered alone. Bars are 95 % intervals over passes."
    return display.figure(figure, "Dot chart of the time of one question", named, caption, hover)


def training(trained: pd.DataFrame) -> display.Html:
    """Training by a step × its updates, beside the total that was measured once."""
    if trained.empty:
        return display.none("no model was trained in this study")
    columns = {
        "model": trained["model"],
        "a step × updates": map(
            _timed, trained["train_by_step"], trained["train_by_step_low"], trained["train_by_step_high"]
        ),
        "measured, mean of the runs": trained["train_seconds"].map(seconds),
        "measured, relative to a step × updates": trained["ratio"].map("{:.2f}".format),
    }
    return display.table(columns, "Time of training, with 95 % intervals over passes", data=trained)


def invalid(measured: Sequence[tuple[str, Record]]) -> list[str]:
    """A sentence for each measurement above the machine's peak, with its model."""
    return [
        f"Invalid measurement: {label}, {at['network']} network, {work}, {at['batch_size']} × {at['length']} tokens in "
        f"{at['precision']}: would need {at['share_of_peak']:.2f} of the machine's peak."
        for label, record in measured
        if (at := record.conditions) and (work := record.metric.removesuffix("_seconds").replace("_", " "))
    ]


def full_size(networks: Sequence[speed.FullSize]) -> display.Table:
    """The full-size networks: a forward pass, its share of the peak, with eager attention, a training step."""
    cells = pd.DataFrame([_row(network) for network in networks]).fillna("not measured")
    return display.table(
        cells, "Full-size networks, timed in turn, with random weights or a checkpoint's; 95 % intervals over passes"
    )


def timings(timings: pd.DataFrame) -> display.Html:
    """Every point of the grids, a column per model, folded: each model was measured by itself."""
    times = map(_timed, timings["seconds"], timings["low"], timings["high"])
    cells = display.column_per_model(timings, ["work", "batch_size", "length"], times)
    cells["work"] = cells["work"].str.replace("_", " ")
    caption = "Each model's own network, timed by itself: not for comparing models; 95 % intervals over passes"
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
    for axes, batch_size, chosen in panels:
        axes.set(title=f"batch {batch_size}", xlabel="tokens per row", xscale="log", yscale="log")
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
        figure, what, named, "One forward pass of the full-size networks, with random weights or those of a checkpoint."
    )


def scenarios(served: pd.DataFrame, network: str) -> display.Table:
    """SingleStream and Offline of one kind of network, named in words; energy only if it was metered."""
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
    caption = f"{network}, on questions of real length, timed in turn; 95 % intervals over passes"
    return display.table(columns, caption, data=served)


def phases(phases: pd.DataFrame) -> display.Table:
    """The time of a question by phase, from its text to its score."""
    cells = phases.set_index("model").map(plain).reset_index()
    return display.table(
        cells,
        "Median time per question by phase, in batches; each model was timed by itself: not for comparing models",
        data=phases,
    )


def passes(n: int, contended: int) -> str:
    """'10', '10, 3 contended'."""
    return f"{n}, {contended} contended" if contended else str(n)


def _times(row: Any, name: str) -> str:
    """'1.80 (1.72 to 1.88)', 'not significant', or '' without a training."""
    if row[f"{name}_verdict"] in ("", "not significant"):
        return str(row[f"{name}_verdict"])
    value, low, high = (plain(row[f"{name}_times{end}"]) for end in ("", "_low", "_high"))
    return f"{value} ({low} to {high})"


def _timed(value: float, low: float, high: float) -> str:
    """'200 ms (180 ms–220 ms)'."""
    return f"{seconds(value)} ({seconds(low)}–{seconds(high)})"


def _row(network: speed.FullSize) -> dict[str, str]:
    """A full-size network as a row, whose columns name the point at which they were measured."""
    row, at = {"model": network.model, "parameters": parameters(network.parameters)}, network.at
    if network.forward:
        row["precision"] = str(at["precision"])
        row[f"forward pass, {at['batch_size']} × {at['length']} tokens"] = _timed(*network.forward)
        row["GFLOP"] = f"{float(at['flops'] or 0) / 1e9:.1f}" if "flops" in at else str(at["flops_missing"])
        row["share of peak"] = "not known" if network.share is None else percent(network.share)
        if network.eager:
            row["with eager attention"] = "always eager" if at["attention"] == "eager" else _timed(*network.eager)
    if network.step:
        row[f"training step, {counted(network.windows or 0, 'window')}"] = _timed(*network.step)
    return row
