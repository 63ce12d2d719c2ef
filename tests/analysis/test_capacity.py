"""Machines from hand-made calls of equal times, so that every rate follows from a service time of one second."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from qa_tradeoffs.analysis import capacity
from qa_tradeoffs.core.errors import StudyError
from qa_tradeoffs.metrics.pareto import Contest
from qa_tradeoffs.metrics.queueing import Worker
from qa_tradeoffs.metrics.timing import Ratio
from qa_tradeoffs.runs import results
from qa_tradeoffs.runs.paths import RunPaths
from tests.analysis.conftest import compared, models, sized
from tests.conftest import in_turn

BOTH = {"bert": 0.2, "distilbert": 0.1}
LABELS = ("BERT", "DistilBERT")
TWICE = {LABELS: Ratio(2.0, 1.9, 2.1, 0.001)}
CONTEST = Contest(LABELS, {}, TWICE)


def calls_of(seconds: Mapping[str, float], **columns: Any) -> pd.DataFrame:
    """Three questions in a pass that counts, each in the time of its model."""
    at = {"work": "single_stream", "network": "study", "counts": True} | columns
    rows = [{"model": model, "call": call, "seconds": s} for model, s in seconds.items() for call in range(3)]
    return pd.DataFrame([at | row for row in rows])


@pytest.fixture
def carried(profiled, tmp_path) -> Callable[..., capacity.Capacity | None]:
    """A function from traffic to what carries it, by models of these times and of F1 80 and 76."""

    def build(traffic: Any, contest: Contest = CONTEST, calls: Any = None, **keys: Any) -> capacity.Capacity | None:
        run = RunPaths(tmp_path)
        (calls_of(BOTH) if calls is None else calls).to_parquet(run.calls)
        limits = {"traffic": dict(zip(("questions_per_second", "p99_ms"), traffic, strict=True))} if traffic else {}
        found = compared(profiled(dict.fromkeys(BOTH, sized(1)), **limits, **keys), in_turn("single_stream", BOTH))
        beside = results.fingerprints(run.folder, run.calls)
        found = replace(found, comparison=found.comparison.model_copy(update={"beside": beside}))
        return capacity.of(found, run, models(), contest)

    return build


def verdicts(found: capacity.Capacity) -> list[str]:
    return found.machines["verdict"].tolist()


def test_a_machine_holds_the_rate_that_its_queue_allows_and_the_traffic_needs_as_many(carried):
    found = carried((50, 800), usd_per_hour=(1.0, 2.0))
    # A limit of 0.8 s is 4 services of BERT and 8 of DistilBERT.
    bert, distilbert = (Worker.of([1.0] * 3).rate(0.8 / s) / s for s in BOTH.values())
    assert found.machines["rate"].tolist() == pytest.approx([bert, distilbert])
    assert found.machines["utilisation"].tolist() == pytest.approx([0.2 * bert, 0.1 * distilbert])
    assert found.machines["machines"].tolist() == [math.ceil(50 / bert), math.ceil(50 / distilbert)]
    assert found.machines["month_usd_low"].tolist() == (730 * found.machines["machines"]).tolist()
    assert found.machines["month_usd_high"].tolist() == (1460 * found.machines["machines"]).tolist()
    assert found.machines["alone"].tolist() == pytest.approx([0.2, 0.1])
    assert (verdicts(found), found.questions) == (["more expensive", "cheapest"], 3)


def test_the_interval_is_that_of_the_rates_at_both_ends_of_a_question_s_time(carried):
    row = carried((50, 800)).machines.iloc[0]
    times = math.exp(4.3027 * math.log(1 / 0.9) / math.sqrt(3))  # t at two degrees of freedom
    low, high = (Worker.of([0.2 * by] * 3).rate(0.8) for by in (times, 1 / times))
    assert (row["rate_low"], row["rate_high"]) == pytest.approx((low, high), rel=1e-4)
    assert (row["machines_low"], row["machines_high"]) == (math.ceil(50 / high), math.ceil(50 / low))


def test_of_equally_many_machines_the_model_with_the_higher_f1_is_the_cheapest(carried):
    found = carried((1, 800))
    assert found.machines["machines"].tolist() == [1, 1]
    assert verdicts(found) == ["cheapest", "as many machines, F1 not higher"]


def test_what_is_not_significantly_slower_is_not_called_dearer(carried):
    near = Contest(LABELS, {}, {LABELS: Ratio(2.0, 0.9, 4.0, 0.2)})
    assert verdicts(carried((50, 800), near)) == ["more machines, but not significantly slower", "cheapest"]


def test_what_has_not_learned_the_task_is_never_the_cheapest(carried):
    assert verdicts(carried((50, 800), Contest(("BERT",), {}, TWICE))) == ["cheapest", "has not learned the task"]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(150, ["does not meet the limit", "cheapest"]), (50, ["does not meet the limit"] * 2)],
)
def test_a_service_that_takes_longer_than_the_limit_never_meets_it(carried, limit, expected):
    found = carried((50, limit))
    assert verdicts(found) == expected
    assert found.machines.loc[0, ["rate", "machines"]].tolist() == [0, math.inf]


def test_only_calls_of_single_stream_on_the_study_s_networks_in_passes_that_count_are_services(carried):
    slow = dict.fromkeys(BOTH, 9.0)
    other = [calls_of(slow, **but) for but in ({"work": "offline"}, {"network": "full size"}, {"counts": False})]
    expected = carried((50, 800)).machines
    pd.testing.assert_frame_equal(carried((50, 800), calls=pd.concat([calls_of(BOTH), *other])).machines, expected)


def test_loads_of_the_chart_end_before_the_queue_grows_without_bound(carried):
    loads = carried((50, 800)).loads.groupby("model")
    assert loads["rate"].max().tolist() == pytest.approx([0.95 / 0.2, 0.95 / 0.1])
    assert loads["p99"].is_monotonic_increasing.all()


def test_a_study_without_traffic_has_no_capacity(carried):
    assert carried(None) is None


def test_calls_of_another_run_are_refused(profiled, tmp_path):
    calls_of(BOTH).to_parquet(tmp_path / "calls.parquet")
    limits = {"questions_per_second": 1, "p99_ms": 1}
    found = compared(profiled(dict.fromkeys(BOTH, sized(1)), traffic=limits), in_turn("single_stream", BOTH))
    with pytest.raises(StudyError, match=r"calls.parquet: .*comparison.json"):
        capacity.of(found, RunPaths(tmp_path), models(), CONTEST)
