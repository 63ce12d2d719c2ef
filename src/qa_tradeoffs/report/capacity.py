"""Which model carries the study's traffic on the fewest machines: a sentence, a table, a chart of p99 against load."""

import math
from typing import Any

import pandas as pd

from qa_tradeoffs.analysis.capacity import AS_CHEAP, CHEAPEST, NOT_LEARNED, Capacity
from qa_tradeoffs.core.words import counted, percent, plain, seconds, usd
from qa_tradeoffs.metrics.timing import supports_percentile
from qa_tradeoffs.report import charts, display


def section(capacity: Capacity | None, colours: dict[str, Any]) -> display.Html:
    """The answer, the table and the chart; a sentence if the study names no traffic."""
    if capacity is None:
        return display.none("the study names no traffic, as in `traffic: {questions_per_second: 20, p99_ms: 300}`")
    return display.together(display.paragraphs(answer(capacity)), table(capacity), chart(capacity, colours))


def answer(capacity: Capacity) -> list[str]:
    """The cheapest model for the traffic, if any; the rate up to which all cost the same; a note on few questions."""
    rows, load = capacity.machines, _load(capacity)
    nearest = rows.loc[rows["alone"].idxmin()]
    if (rows["verdict"] == CHEAPEST).any():
        best = rows[rows["verdict"] == CHEAPEST].iloc[0]
        cost = f"{_machines(best)}, USD {_usd(best)} a month, F1 {best['f1']:.1f}"
        sentence = f"For {load}, {best['model']} is the cheapest: {cost} (simulated).{_alike(rows)}"
    elif rows["rate"].any():
        sentence = f"No model that has learned the task is fast enough for {load} (simulated)."
    else:
        shortest = f"even without waiting, the best p99 is {seconds(nearest['alone'])} ({nearest['model']})"
        sentence = f"No model is fast enough for {load}: {shortest}."
    few = (
        f"The service times are those of {counted(capacity.questions, 'question')}, too few for a p99, which rests on "
        "the longest of them. To time enough questions, set `compare: {questions: 500}` in the study file."
    )
    return [sentence, *_any_will_do(rows), *([] if supports_percentile(99, capacity.questions) else [few])]


def _alike(rows: pd.DataFrame) -> str:
    """How many other models cost as much as the cheapest; nothing for none."""
    n = int((rows["verdict"] == AS_CHEAP).sum())
    need = "needs as many machines and has" if n == 1 else "need as many machines and have"
    return f" {counted(n, 'other model')} {need} no higher F1." if n else ""


def _any_will_do(rows: pd.DataFrame) -> list[str]:
    """The rate up to which one machine is enough for any model; nothing if a model sustains no rate."""
    learned = rows[rows["verdict"] != NOT_LEARNED]
    if learned.empty or not learned["rate"].all():
        return []
    slowest = learned.loc[learned["rate"].idxmin()]
    month = usd(*(slowest[f"month_usd_{end}"] / slowest["machines"] for end in ("low", "high")))
    return [
        f"Up to {plain(slowest['rate'])} questions a second, one machine is enough for any of the models, at USD "
        f"{month} a month: then choose by F1 and time."
    ]


def table(capacity: Capacity) -> display.Table:
    """The rate that one machine sustains, and the machines that the traffic needs, by model."""
    rows = capacity.machines
    columns = {
        "model": rows["model"],
        "F1": rows["f1"].map("{:.1f}".format),
        "p99 without waiting": rows["alone"].map(seconds),
        "questions/s that one machine carries": [
            f"{plain(r.rate)} ({plain(r.rate_low)} to {plain(r.rate_high)})" for r in rows.itertuples()
        ],
        "utilisation at that rate": rows["utilisation"].map(percent),
        "machines needed": [_machines(row) for row in rows.itertuples()],
        "USD a month": [_usd(row) for row in rows.itertuples()],
        "verdict": rows["verdict"],
    }
    ranges = "Ranges follow from the 95 % interval of a question's time, over passes"
    caption = f"Machines for {_load(capacity)}, simulated. {ranges}"
    return display.table(columns, caption, data=rows)


def chart(capacity: Capacity, colours: dict[str, Any]) -> display.Picture:
    """p99 against the load of one machine: a line per model and engine, with its colour and its marker."""
    figure, axes = charts.subplots(4.5)
    limit, loads = capacity.traffic.p99_ms, capacity.loads.assign(ms=1e3 * capacity.loads["p99"])
    for (model, engine), rows in loads.groupby(["model", "engine"], sort=False):
        axes.plot(rows["rate"], rows["ms"], color=colours[str(model)], marker=charts.MARKERS[engine], markersize=5)
    axes.axhline(limit, color="0.4", linewidth=3, alpha=0.5)
    axes.set(xlabel="questions a second on one machine", ylabel="p99 (ms, simulated)")
    for axis, column in (("x", "rate"), ("y", "ms")):
        charts.scale(axes, axis, loads[column].min(), loads[column].max())
    models = {charts.name(row.of, colours): colours[row.model] for row in loads.drop_duplicates("of").itertuples()}
    charts.engine_legend(figure, loads["engine"].unique(), models)
    named = [f"{row.model} carries {plain(row.rate)} questions a second" for row in capacity.machines.itertuples()]
    what = f"Line chart of p99 against load, simulated; within {_limit(capacity)}"
    caption = (
        "Simulated from measured service times: the time within which 99 % of the questions are answered, waiting "
        "included, by the load of one machine. The broad grey line is the study's limit."
    )
    return display.figure(figure, what, named, caption)


def _load(capacity: Capacity) -> str:
    return f"{capacity.traffic.questions_per_second:,.10g} questions a second, 99 % answered within {_limit(capacity)}"


def _limit(capacity: Capacity) -> str:
    return f"{capacity.traffic.p99_ms:,.10g} ms"


def _usd(row: Any) -> str:
    return "" if math.isinf(row.machines) else usd(row.month_usd_low, row.month_usd_high)


def _machines(row: Any) -> str:
    """'3 machines (3 to 4)', '3 machines' if both ends of the range are 3, '3 machines (at least 3)' if it has none."""
    if math.isinf(row.machines):
        return "no number suffices"
    low, high, needed = row.machines_low, row.machines_high, counted(int(row.machines), "machine")
    if low == high:
        return needed
    return f"{needed} (at least {low:,.0f})" if math.isinf(high) else f"{needed} ({low:,.0f} to {high:,.0f})"
