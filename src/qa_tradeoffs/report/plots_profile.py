"""What notebook 3 shows: how the time of a call grows with the length of its rows, and its memory."""

from collections.abc import Sequence

import numpy as np

from qa_tradeoffs.core.words import seconds
from qa_tradeoffs.metrics import timing
from qa_tradeoffs.metrics.records import Record
from qa_tradeoffs.profiling.latency import Timing
from qa_tradeoffs.report import charts, display

_WORKS = {"forward": "forward pass", "training_step": "training step"}
_DASHES = ("-", "--", ":", "-.")
# The whole and the part that is drawn inside it: on a CPU, then on a GPU.
_MEASURES = (("resident_above_baseline", "resident_above_network"), ("reserved", "allocated"))


def latency(timings: Sequence[Timing]) -> display.Html:
    """Time of a call against tokens per row with 95 % intervals over passes, a panel per work, a line per batch size.

    Only the precision measured first. Points rather than bars: times differ too much for an axis from zero.
    """
    own = timings[0].conditions["precision"] if timings else ""
    drawn = [t for t in timings if t.work in _WORKS and t.seconds.size and t.conditions["precision"] == own]
    if not drawn:
        return display.none("no call of the grid had enough memory")
    works = list(dict.fromkeys(t.work for t in drawn))
    figure, panels = charts.subplots(3.4, columns=len(works))
    named = []
    for axes, work in zip(np.atleast_1d(panels), works, strict=True):
        chosen = [t for t in drawn if t.work == work]
        found = {(_number(t, "batch_size"), _number(t, "length")): _typical(t) for t in chosen}
        for i, batch in enumerate(dict.fromkeys(batch for batch, _ in found)):
            lengths = [length for of, length in found if of == batch]
            value, low, high = np.array([found[batch, length] for length in lengths]).T
            axes.errorbar(
                lengths, 1e3 * value, yerr=1e3 * np.stack([value - low, high - value]), marker="o", markersize=5,
                linestyle=_DASHES[i % len(_DASHES)], capsize=3, color=charts.COLOURS[0], label=f"batch {batch}",
            )  # fmt: skip
            named.append(f"{_WORKS[work]} {seconds(value[-1])} at {batch} × {lengths[-1]} tokens")
        ticks = sorted({length for _, length in found})
        charts.scale(axes, "x", ticks[0], ticks[-1])
        lowest, highest = min(time.low for time in found.values()), max(time.high for time in found.values())
        charts.scale(axes, "y", 1e3 * lowest, 1e3 * highest)
        axes.set_xticks(ticks, labels=ticks)
        axes.set(title=_WORKS[work], xlabel="tokens per row")
        charts.name_lines([axes])
    figure.axes[0].set_ylabel("time of a call (ms, 95 % interval)")
    caption = "Time of a call of the study's own network, by tokens per row and rows per batch."
    return display.figure(figure, "Line chart of the time of a call against tokens per row", named, caption)


def memory(records: Sequence[Record]) -> display.Html:
    """Peak memory (MiB) as bars, a panel per network, a row per batch and length; each was measured once."""
    measured = {record.conditions.get("measure") for record in records}
    names = next((pair for pair in _MEASURES if pair[0] in measured), None)
    if names is None:
        small = any(record.metric == "out_of_memory" for record in records)
        return display.none("memory ran out" if small else "this system does not say how much memory a process has")
    own = records[0].conditions["precision"]
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for record in records:
        at = record.conditions
        if at["precision"] == own:
            row = rows.setdefault(str(at["network"]), {}).setdefault(f"{at['batch_size']} × {at['length']}", {})
            row |= {str(at["measure"]): record.value / 2**20} if "measure" in at else {}
    figure, panels = charts.subplots(0.8 + 0.35 * sum(map(len, rows.values())) + 0.5 * len(rows), rows=len(rows))
    named = []
    for axes, (network, sizes) in zip(np.atleast_1d(panels), rows.items(), strict=True):
        whole, part = ([row.get(name, 0.0) for row in sizes.values()] for name in names)
        axes.barh(range(len(sizes)), whole, color="#c6d4e1", edgecolor=charts.COLOURS[0])
        axes.barh(range(len(sizes)), part, color=charts.COLOURS[0], height=0.4)
        for i, value in enumerate(whole):
            said = f"{value:,.0f} MiB" if value else "out of memory"
            axes.annotate(said, (value, i), xytext=(4, 0), textcoords="offset points", verticalalignment="center")
            named.append(f"{network} network, {list(sizes)[i]}: {said}")
        axes.set_yticks(range(len(sizes)), labels=sizes)
        widest = 1.3 * max(*whole, 1)
        axes.set(title=f"{network} network, batch × tokens", xlim=(0, widest), ylim=(len(sizes) - 0.4, -0.6))
        axes.grid(axis="y", visible=False)
    figure.axes[-1].set_xlabel("peak memory (MiB)")
    inner, outer = (name.replace("_", " ") for name in reversed(names))
    caption = f"Peak memory of a forward pass; each point was measured once. Light: {outer}; dark: {inner}."
    return display.figure(figure, "Bar chart of the peak memory of forward passes", named, caption)


def _number(of: Timing, condition: str) -> int:
    return int(of.conditions[condition] or 0)


def _typical(of: Timing) -> timing.Estimate:
    """Seconds of a call with their interval, as in its record."""
    return timing.typical(np.median(of.seconds, axis=1))
