"""What is recorded of timings, and that a share above the peak is called an error."""

import numpy as np
import pandas as pd
import pytest

from qa_tradeoffs.profiling import durations, tables
from qa_tradeoffs.profiling.durations import Timing

AT = {"network": "study", "attention": "sdpa", "precision": "fp32", "batch_size": 4, "length": 8}
PEAKS = {"fp32": 100.0}


def test_a_record_is_a_median_with_its_interval_and_percentiles_beside_it():
    timing = Timing("forward", np.array([[1.0, 2.0, 3.0]]), AT, flops=50)
    middle, p90, p99, peak = durations.records([timing], PEAKS, seed=0)
    assert (middle.metric, middle.value, middle.unit, middle.n) == ("forward_seconds", 2, "s per call", 3)
    assert middle.interval.low <= 2 <= middle.interval.high
    assert middle.interval.over == "passes"
    # 50 operations in 2 s of 100 a second
    assert middle.conditions == AT | {"flops": 50, "share_of_peak": 0.25, "valid": True}
    assert (p90.metric, p90.value) == ("forward_seconds_p90", pytest.approx(2.8))
    assert (p99.metric, p99.value) == ("forward_seconds_p99", pytest.approx(2.98))
    assert (peak.metric, peak.value, peak.conditions["precision"]) == ("peak_flops_per_second", 100, "fp32")


@pytest.mark.parametrize(("passes", "bounds"), [([1.0, 1.0, 1.0], (1, 1)), ([1.0, 2.0, 3.0], (1, 3))])
def test_an_interval_draws_passes_whole(passes, bounds):
    timing = Timing("forward", np.array([passes, passes]).T, AT)
    assert durations.records([timing], PEAKS, seed=0)[0].bounds == bounds


def test_a_share_above_the_peak_is_flagged():
    right = Timing("forward", np.array([[0.5, 0.5]]), AT, flops=50)
    wrong = Timing("forward", np.array([[0.4, 0.4]]), AT, flops=50)
    assert right.share(PEAKS) == 1
    flagged = durations.records([right, wrong], PEAKS, seed=0)
    assert [r.conditions["valid"] for r in flagged if r.metric == "forward_seconds"] == [True, False]
    assert tables.grid([right, wrong], PEAKS)["share of peak"].tolist() == ["100 %", "125 % INVALID"]


def test_what_has_no_counted_operations_has_no_share():
    timing = Timing("training_optimizer", np.array([[1.0, 1.0]]), AT)
    assert timing.share(PEAKS) is None
    assert durations.records([timing], PEAKS, seed=0)[0].conditions == AT
    assert tables.grid([timing], PEAKS)["share of peak"].tolist() == [""]


def test_every_raw_value_is_kept_with_its_conditions(tmp_path):
    timings = [
        Timing("forward", np.array([[1.0, 2.0]]), AT),
        Timing("forward", np.empty((0, 0)), AT),
        Timing("offline", np.array([[5.0]]), {"network": "full size", "batch_size": 16}),
    ]
    durations.write(timings, tmp_path / "timings.parquet")
    frame = pd.read_parquet(tmp_path / "timings.parquet")
    columns = ["work", "pass", "repeat", "seconds", "network", "batch_size"]
    assert frame[columns].to_numpy().tolist() == [
        ["forward", 0, 0, 1, "study", 4], ["forward", 0, 1, 2, "study", 4], ["offline", 0, 0, 5, "full size", 16]
    ]  # fmt: skip
