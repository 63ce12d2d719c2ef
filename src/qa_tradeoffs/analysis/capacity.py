"""How many machines the study's traffic needs: what one of them holds, from a queue simulated on measured times.

The service times are those of SingleStream side by side: the forward passes of one question of real length, on the
study's own networks, each call of the passes that count. Texts becoming tokens and logits becoming answers are no part
of them. Machines share the questions at random, so that each has arrivals of the same kind.
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

CHEAPEST = "cheapest"
_CALLS = ["work", "network", "counts", "model", "call", "seconds"]
_LOADS = np.linspace(0.05, 0.95, 19)  # of the chart, shares of the rate at which the queue grows without end


@dataclass(frozen=True)
class Capacity:
    """What carries ``traffic``, from times of so many different ``questions``.

    ``machines``: one row per model and engine. Columns: model, engine, f1; alone, its p99 in seconds without waits;
    rate, questions per second that one machine holds, and utilisation, the share of the time in which it then answers;
    machines that the traffic needs, infinite where no number suffices; month_usd_low and month_usd_high, at the lowest
    and the highest price; verdict, CHEAPEST for at most one. Intervals of rate and machines follow from that of the
    time of a question, over passes.
    ``loads``: p99 in seconds by model, engine and rate.
    """

    traffic: Traffic
    questions: int
    machines: pd.DataFrame
    loads: pd.DataFrame


def of(collected: Collected, run: RunPaths, models: pd.DataFrame, contest: Contest) -> Capacity | None:
    """What carries the study's traffic; None where it names none. Raises StudyError where calls are not the run's."""
    if (traffic := collected.study.traffic) is None:
        return None
    single = side_by_side.question(collected, "study")
    calls = read_table(run.calls, _CALLS, run.comparison, collected.comparison)
    calls = calls[(calls["work"] == single.work) & (calls["network"] == single.network) & calls["counts"]]
    f1, rows, loads = models.set_index("model")["f1"], list[dict[str, Any]](), list[pd.DataFrame]()
    for point in collected.points:
        model, engine = collected.label(point), engines.LABELS[engines.engine(point)]
        worker = Worker.of(calls.loc[calls["model"] == point, "seconds"])
        held = _held(worker, timing.typical(single.seconds(point)), traffic)
        paid = costs.usd_range(held["machines"] * costs.SECONDS_PER_MONTH, collected.price.range_usd_per_hour)
        usd = dict(zip(("month_usd_low", "month_usd_high"), paid, strict=True))
        found = {"alone": worker.p99(0), "utilisation": held["rate"] / worker.saturation}
        rows.append({"model": model, "engine": engine, "f1": f1[model]} | found | held | usd)
        rates = _LOADS * worker.saturation
        p99 = [worker.p99(rate) for rate in rates]
        loads.append(pd.DataFrame({"model": model, "engine": engine, "rate": rates, "p99": p99}))
    machines = pd.DataFrame(rows)
    machines["verdict"] = _verdicts(machines, contest)
    return Capacity(traffic, calls["call"].nunique(), machines, pd.concat(loads, ignore_index=True))


def _held(worker: Worker, question: timing.Estimate, traffic: Traffic) -> dict[str, float]:
    """Columns of the rate that one machine holds and of the machines needed, with intervals.

    Where every service takes k times as long, so does every answer, at a rate that is k times lower.
    """
    longer = (1.0, question.high / question.value, question.low / question.value)
    rate, *bounds = (worker.rate(traffic.p99_ms / 1e3 / times) / times for times in longer)
    needed = [traffic.questions_per_second / each if each else math.inf for each in (rate, *reversed(bounds))]
    machines, *range_ = (float(np.ceil(each)) for each in needed)
    return bounded("rate", rate, bounds) | bounded("machines", machines, range_)


def _verdicts(machines: pd.DataFrame, contest: Contest) -> list[str]:
    """The cheapest has learned the task and needs the fewest machines, of several the one with the highest F1."""
    meeting = machines[np.isfinite(machines["machines"]) & machines["model"].isin(contest.models)]
    cheapest = meeting.sort_values(["machines", "f1"], ascending=[True, False]).head(1)
    verdicts = []
    for row in machines.itertuples():
        if math.isinf(row.machines):
            verdicts.append("does not meet it")
        elif row.model not in contest.models:
            verdicts.append("has not learned the task")
        elif row.Index in cheapest.index:
            verdicts.append(CHEAPEST)
        elif row.machines == cheapest["machines"].iloc[0]:
            verdicts.append("as many machines, lower F1")
        else:
            slower = contest.speed(row.model, cheapest["model"].iloc[0]) == "worse"
            verdicts.append("dearer" if slower else "not significantly slower")
    return verdicts
