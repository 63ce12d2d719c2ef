"""How many machines the study's traffic needs, from a simulated queue with measured service times.

The service times are those of SingleStream in the comparison: forward passes for one question of real length on the
study's own networks, from all counting passes. They exclude tokenisation and the search for answers. Questions are
distributed over machines at random, so that the arrivals at each are again a Poisson process.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from qa_tradeoffs.analysis import side_by_side
from qa_tradeoffs.analysis.collected import Collected, bounded, read_table
from qa_tradeoffs.metrics import costs, timing
from qa_tradeoffs.metrics.pareto import Contest
from qa_tradeoffs.metrics.queueing import Worker
from qa_tradeoffs.runs.paths import RunPaths
from qa_tradeoffs.study import engines
from qa_tradeoffs.study.config import Traffic

CHEAPEST, AS_CHEAP, NOT_LEARNED = "cheapest", "as many machines, F1 not higher", "has not learned the task"
_CALLS = ["work", "network", "counts", "model", "call", "seconds"]
_LOADS = np.linspace(0.05, 0.95, 19)  # of the chart, as shares of the saturation rate


@dataclass(frozen=True)
class Capacity:
    """The machines needed for ``traffic``, from times of this number of different ``questions``.

    ``machines``: one row per model and engine. Columns: model, engine, f1; alone, its p99 in seconds without waiting;
    rate, the questions per second that one machine sustains, and utilisation, its share of busy time at that rate;
    machines needed, infinite if no number suffices; month_usd_low and month_usd_high, at the lowest and the highest
    price; verdict, CHEAPEST for at most one. Intervals of rate and machines follow from the interval over passes of the
    time per question.
    ``loads``: p99 in seconds by model, engine and rate; ``of``, the model's label without its engine.
    """

    traffic: Traffic
    questions: int
    machines: pd.DataFrame
    loads: pd.DataFrame


def of(collected: Collected, run: RunPaths, models: pd.DataFrame, contest: Contest) -> Capacity | None:
    """The capacity for the study's traffic; None if it names none. Raises StudyError for calls of another run."""
    if (traffic := collected.study.traffic) is None:
        return None
    single = side_by_side.question(collected, "study")
    calls = read_table(run.calls, _CALLS, run.comparison, collected.comparison)
    calls = calls[(calls["work"] == single.work) & (calls["network"] == single.network) & calls["counts"]]
    f1, rows, loads = models.set_index("model")["f1"], list[dict[str, Any]](), list[pd.DataFrame]()
    for point in collected.points:
        model, engine, of_model = collected.label(point), engines.engine(point), collected.label(engines.model(point))
        worker = Worker.of(calls.loc[calls["model"] == point, "seconds"])
        held = _held(worker, timing.typical(single.seconds(point)), traffic)
        paid = costs.usd_range(held["machines"] * costs.SECONDS_PER_MONTH, collected.price.range_usd_per_hour)
        usd = dict(zip(("month_usd_low", "month_usd_high"), paid, strict=True))
        found = {"alone": worker.p99(0), "utilisation": held["rate"] / worker.saturation}
        rows.append({"model": model, "engine": engine, "f1": f1[model]} | found | held | usd)
        rates = _LOADS * worker.saturation
        p99 = [worker.p99(rate) for rate in rates]
        loads.append(pd.DataFrame({"model": model, "of": of_model, "engine": engine, "rate": rates, "p99": p99}))
    machines = pd.DataFrame(rows)
    machines["verdict"] = _verdicts(machines, contest)
    return Capacity(traffic, calls["call"].nunique(), machines, pd.concat(loads, ignore_index=True))


def _held(worker: Worker, question: timing.Estimate, traffic: Traffic) -> dict[str, float]:
    """Columns for the rate that one machine sustains and the machines needed, with intervals.

    If all service times are k times as long, so are all response times at a rate k times lower.
    """
    longer = (1.0, question.high / question.value, question.low / question.value)
    rate, *bounds = (worker.rate(traffic.p99_ms / 1e3 / times) / times for times in longer)
    needed = [traffic.questions_per_second / each if each else math.inf for each in (rate, *reversed(bounds))]
    machines, *range_ = (float(np.ceil(each)) for each in needed)
    return bounded("rate", rate, bounds) | bounded("machines", machines, range_)


def _verdicts(machines: pd.DataFrame, contest: Contest) -> list[str]:
    """The cheapest has learned the task and needs the fewest machines; the highest F1 wins ties."""
    meeting = machines[np.isfinite(machines["machines"]) & machines["model"].isin(contest.models)]
    cheapest = meeting.sort_values(["machines", "f1"], ascending=[True, False]).head(1)
    verdicts = []
    for row in machines.itertuples():
        if math.isinf(row.machines):
            verdicts.append("does not meet the limit")
        elif row.model not in contest.models:
            verdicts.append(NOT_LEARNED)
        elif row.Index in cheapest.index:
            verdicts.append(CHEAPEST)
        elif row.machines == cheapest["machines"].iloc[0]:
            verdicts.append(AS_CHEAP)
        else:
            slower = contest.speed(row.model, cheapest["model"].iloc[0]) == "worse"
            verdicts.append("more expensive" if slower else "more machines, but not significantly slower")
    return verdicts
