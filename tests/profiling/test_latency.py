"""The grid, passes over it, their records, and shares above the peak as errors."""

from itertools import chain, repeat

import numpy as np
import pandas as pd
import pytest
import torch

from qa_tradeoffs.models import counting, networks
from qa_tradeoffs.profiling import latency, tables
from qa_tradeoffs.profiling.clock import Repeats
from qa_tradeoffs.profiling.latency import Timing
from qa_tradeoffs.study.config import Grid, Profile
from tests.families import config_of, tokenizer_of
from tests.profiling.conftest import PROFILE, SETTING, subject

TWO = Grid(batch_sizes=(1, 2), lengths=(8,))
PLAN = Profile.model_validate(PROFILE | {"forward": TWO.model_dump(), "training_step": TWO.model_dump()})


@pytest.fixture(autouse=True)
def known_peak(monkeypatch):
    """The first peak measured is 1 TFLOP/s, the third 2, all others 1.5."""
    found = chain([1e12, 1.5e12, 2e12], repeat(1.5e12))
    monkeypatch.setattr(latency, "peak_meter", lambda device, precision: lambda: next(found))


def measure(own, plan=PLAN):
    return latency.measure(latency.grid(own, plan, SETTING), plan, SETTING)


def test_every_point_of_the_grids_is_measured_and_the_highest_peak_counts(own):
    timings, peaks = measure(own)
    parts = ["training_step", "training_forward", "training_backward", "training_optimizer"]
    assert [(t.work, t.conditions["batch_size"], t.conditions["length"]) for t in timings] == [
        *[("forward", batch, 8) for batch in (1, 2)],
        *[(part, batch, 8) for batch in (1, 2) for part in parts],
    ]
    assert all(timing.seconds.shape == (3, 1) and (timing.seconds > 0).all() for timing in timings)
    assert peaks == {"fp32": 2e12}


def test_the_parts_of_a_training_step_add_up_in_time_and_in_operations(own):
    timings, _ = measure(own)
    step, forward, backward, optimizer = timings[2:6]
    assert step.seconds.ravel() == pytest.approx((forward.seconds + backward.seconds + optimizer.seconds).ravel())
    assert step.flops == forward.flops + backward.flops
    assert optimizer.flops is None
    assert timings[0].flops == forward.flops


def test_what_all_rows_of_a_batch_share_is_counted_once():
    """Funnel's table of relative positions goes through a layer once, however many rows there are."""
    network = networks.from_config(config_of("funnel", tokenizer_of("funnel")))
    one, two, *_ = latency.grid(subject(network), PLAN, SETTING)
    assert (one.flops, two.flops) == tuple(counting.flops(network, n, 8)[0] for n in (1, 2))
    assert two.flops < 2 * one.flops


def test_default_lengths_are_cut_to_what_the_network_supports(own):
    plan = Profile.model_validate({"forward": {"batch_sizes": [1], "lengths": [8]}})  # the network takes 64 tokens
    found = [(point.work, point.conditions["length"]) for point in latency.grid(own, plan, SETTING)]
    assert found == [("forward", 8), ("training_step", 64)]


class Calls:
    """Stands in for the clock: notes the work that each pass asks for, and takes ``seconds`` for each call."""

    def __init__(self, seconds=1.0, error=None, fails_at=(), joules=None):
        self.asked, self.seconds, self.error, self.fails_at, self.joules = [], seconds, error, fails_at, joules

    def __call__(self, phases, device, *, warmup, at_least, for_seconds, meter):
        repeats = max(at_least, round(for_seconds / self.seconds))
        self.asked.append((len(phases), warmup, repeats))
        if len(self.asked) in self.fails_at:
            raise self.error
        return Repeats(np.full((repeats, len(phases)), self.seconds), self.joules)


@pytest.fixture
def clocked(monkeypatch):
    def build(**settings):
        calls = Calls(**settings)
        monkeypatch.setattr(latency, "repeat", calls)
        return calls

    return build


def test_passes_go_over_all_points_and_share_a_points_repeats(own, clocked):
    calls = clocked()
    timings, _ = measure(own, plan=PLAN.model_copy(update={"min_repeats": 7}))
    # 7 repeats in 3 passes are 3 in each; forward passes at two batch sizes, then training steps of three phases.
    assert calls.asked == [(1, 1, 3), (1, 1, 3), (3, 1, 3), (3, 1, 3)] * 3
    assert timings[0].seconds.shape == (3, 3)
    assert timings[2].seconds.tolist() == [[3.0] * 3] * 3


def test_the_first_pass_finds_out_how_many_repeats_last_long_enough(own, clocked):
    calls = clocked(seconds=0.5)
    measure(own, plan=PLAN.model_copy(update={"min_seconds": 6.0}))  # 2 s in each pass
    assert [repeats for _, _, repeats in calls.asked] == [4] * 4 + [4, 4, 4, 4] * 2


OUT_OF_MEMORY = [torch.OutOfMemoryError("on a GPU"), RuntimeError("you tried: can't allocate memory"), MemoryError()]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_running_out_of_memory_is_a_result(error, own, clocked):
    clocked(error=error, fails_at=range(1, 99))
    timings, peaks = measure(own)
    found = latency.records(timings, peaks)
    assert [(r.conditions["work"], r.conditions["batch_size"]) for r in found if r.metric == "out_of_memory"] == [
        ("forward", 1), ("forward", 2), ("training_step", 1), ("training_step", 2)
    ]  # fmt: skip
    assert tables.grid(timings, peaks)["median"].tolist() == ["out of memory"] * 4
    assert tables.grid(timings, peaks)["share of peak"].tolist() == [""] * 4


def test_a_point_that_once_ran_out_of_memory_is_not_tried_again(own, clocked):
    calls = clocked(error=torch.OutOfMemoryError(), fails_at=[2])
    timings, _ = measure(own)
    assert [t.seconds.shape for t in timings[:2]] == [(3, 1), (0, 0)]
    assert len(calls.asked) == 4 + 3 + 3


def test_other_errors_are_not_treated_as_out_of_memory(own, clocked):
    clocked(error=RuntimeError("shapes do not match"), fails_at=[1])
    with pytest.raises(RuntimeError, match="shapes"):
        measure(own)


def test_energy_is_recorded_if_it_is_metered(own, clocked):
    clocked(joules=7.0)
    timings, peaks = measure(own)
    energies = {r.metric: r.value for r in latency.records(timings, peaks) if r.unit == "J per call"}
    assert energies == {"forward_joules": 7, "training_step_joules": 7}


def test_weights_on_disk_take_four_bytes_a_parameter(network_of):
    network = network_of()
    size, on_disk = latency.size_records([subject(network)])
    assert size.value == network.num_parameters()
    assert size.conditions == {"network": "study", "weights": "random"}
    assert 0 < on_disk.value - 4 * size.value < 4000  # the names of the tensors


AT = {"network": "study", "attention": "sdpa", "precision": "fp32", "batch_size": 4, "length": 8}
PEAKS = {"fp32": 100.0}


def test_a_record_is_a_median_with_its_interval_over_passes():
    timing = Timing("forward", np.array([[1.0, 1.0, 9.0], [2.0, 1.0, 9.0], [4.0, 1.0, 9.0]]), AT, flops=50)
    middle, peak = latency.records([timing], PEAKS)
    assert (middle.metric, middle.unit, middle.n) == ("forward_seconds", "s per call", 9)
    half = 4.302653 / 3**0.5  # medians 1, 2 and 4: of their logarithms to base 2, mean 1 and deviation 1
    assert (middle.value, *middle.bounds) == pytest.approx((2, 2 ** (1 - half), 2 ** (1 + half)))
    assert middle.interval.over == "passes"
    # 50 operations in 2 s of 100 a second
    assert middle.conditions == AT | {"flops": 50, "share_of_peak": 0.25, "valid": True}
    assert (peak.metric, peak.value, peak.conditions["precision"]) == ("peak_flops_per_second", 100, "fp32")


@pytest.mark.parametrize(("n", "percentiles"), [(48, []), (50, [90]), (498, [90]), (500, [90, 99])])
def test_only_percentiles_that_the_repeats_support_are_recorded(n, percentiles):
    seconds = np.linspace(1, 2, n)
    timing = Timing("forward", seconds.reshape(2, -1), AT)
    found = {r.metric: r.value for r in latency.records([timing], PEAKS) if r.metric.startswith("forward_seconds_p")}
    assert found == {f"forward_seconds_p{q}": pytest.approx(1 + q / 100) for q in percentiles}


def test_a_share_above_the_peak_is_flagged():
    right = Timing("forward", np.array([[0.5], [0.5]]), AT, flops=50)
    wrong = Timing("forward", np.array([[0.4], [0.4]]), AT, flops=50)
    assert right.share(PEAKS) == 1
    flagged = latency.records([right, wrong], PEAKS)
    assert [r.conditions["valid"] for r in flagged if r.metric == "forward_seconds"] == [True, False]
    assert tables.grid([right, wrong], PEAKS)["share of peak"].tolist() == ["100 %", "125 % INVALID"]


def test_the_table_of_the_grid_has_the_median_with_its_interval_and_the_longest_call():
    (row,) = tables.grid([Timing("forward", np.array([[1.0, 1.0, 9.0]] * 2), AT)], PEAKS).to_dict("records")
    assert (row["median"], row["longest call"], row["repeats"]) == ("1.00 s (1.00 s to 1.00 s)", "9.00 s", 6)


def test_without_counted_operations_there_is_no_share():
    timing = Timing("training_optimizer", np.array([[1.0], [1.0]]), AT)
    assert timing.share(PEAKS) is None
    assert latency.records([timing], PEAKS)[0].conditions == AT
    assert tables.grid([timing], PEAKS)["share of peak"].tolist() == [""]


def test_every_raw_value_is_kept_with_its_conditions(tmp_path):
    timings = [
        Timing("forward", np.array([[1.0, 2.0]]), AT),
        Timing("forward", np.empty((0, 0)), AT),
        Timing("offline", np.array([[5.0]]), {"network": "full size", "batch_size": 16}),
    ]
    latency.write(timings, tmp_path / "timings.parquet")
    frame = pd.read_parquet(tmp_path / "timings.parquet")
    columns = ["work", "pass", "repeat", "seconds", "network", "batch_size"]
    assert frame[columns].to_numpy().tolist() == [
        ["forward", 0, 0, 1, "study", 4], ["forward", 0, 1, 2, "study", 4], ["offline", 0, 0, 5, "full size", 16]
    ]  # fmt: skip
