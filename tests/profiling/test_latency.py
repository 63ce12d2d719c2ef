"""The grid, what is recorded of it, and that a share above the peak is called an error."""

from itertools import chain, repeat

import numpy as np
import pytest
import torch

from qa_tradeoffs.models.networks import parameters
from qa_tradeoffs.profiling import durations, latency
from qa_tradeoffs.profiling.clock import Repeats
from qa_tradeoffs.profiling.workloads import Setting, Subject
from qa_tradeoffs.study.config import Grid, Profile

SETTING = Setting(torch.device("cpu"), ("fp32",), seed=0)
PLAN = Profile(forward=Grid(batch_sizes=(1,), lengths=(8,)), training_step=Grid(batch_sizes=(1,), lengths=(8,)),
               passes=3, warmup=1, min_repeats=3, min_seconds=1e-9)  # fmt: skip


@pytest.fixture(autouse=True)
def known_peak(monkeypatch):
    """The first peak measured is 1 TFLOP/s, the third 2, all others 1.5."""
    found = chain([1e12, 1.5e12, 2e12], repeat(1.5e12))
    monkeypatch.setattr(latency, "peak_meter", lambda device, precision: lambda: next(found))


def subject(network, length=8, **changes):
    grid = Grid(batch_sizes=(1, 2), lengths=(length,))
    return Subject(**({"name": "study", "network": network, "weights": "random", "forward": grid,
                       "training_step": grid, "min_repeats": 3} | changes))  # fmt: skip


def measure(*subjects, plan=PLAN):
    return latency.measure(latency.grid(subjects, plan, SETTING), plan, SETTING)


def test_every_point_of_the_grids_is_measured_and_the_highest_peak_counts(network_of):
    timings, peaks = measure(subject(network_of()))
    parts = ["training_step", "training_forward", "training_backward", "training_optimizer"]
    assert [(t.work, t.conditions["batch_size"], t.conditions["length"]) for t in timings] == [
        *[("forward", batch, 8) for batch in (1, 2)],
        *[(part, batch, 8) for batch in (1, 2) for part in parts],
    ]
    assert all(timing.seconds.shape == (3, 1) and (timing.seconds > 0).all() for timing in timings)
    assert peaks == {"fp32": 2e12}


def test_the_parts_of_a_training_step_add_up_in_time_and_in_operations(network_of):
    timings, _ = measure(subject(network_of()))
    step, forward, backward, optimizer = timings[2:6]
    assert step.seconds.ravel() == pytest.approx((forward.seconds + backward.seconds + optimizer.seconds).ravel())
    assert step.flops == forward.flops + backward.flops
    assert optimizer.flops is None
    assert timings[0].flops == forward.flops


def test_a_control_has_no_training_step(network_of):
    timings, _ = measure(subject(network_of(), training_step=None, eager_control=True))
    assert [timing.work for timing in timings] == ["forward", "forward"]
    assert {timing.conditions["attention"] for timing in timings} == {"eager"}


class Calls:
    """Stands in for the clock: notes the work that each pass asks for, and takes ``seconds`` for each call."""

    def __init__(self, seconds=1.0):
        self.asked, self.seconds = [], seconds

    def __call__(self, phases, device, *, warmup, at_least, for_seconds, meter):
        repeats = max(at_least, round(for_seconds / self.seconds))
        self.asked.append((len(phases), warmup, repeats))
        return Repeats(np.full((repeats, len(phases)), self.seconds))


def test_passes_go_over_all_points_and_share_a_points_repeats(network_of, monkeypatch):
    calls = Calls()
    monkeypatch.setattr(latency, "repeat", calls)
    timings, _ = measure(subject(network_of(), min_repeats=7))
    # 7 repeats in 3 passes are 3 in each; forward passes at two batch sizes, then training steps of three phases.
    assert calls.asked == [(1, 1, 3), (1, 1, 3), (3, 1, 3), (3, 1, 3)] * 3
    assert timings[0].seconds.shape == (3, 3)
    assert timings[2].seconds.tolist() == [[3.0] * 3] * 3


def test_the_first_pass_finds_out_how_many_repeats_last_long_enough(network_of, monkeypatch):
    calls = Calls(seconds=0.5)
    monkeypatch.setattr(latency, "repeat", calls)
    plan = PLAN.model_copy(update={"min_seconds": 6.0})  # 2 s in each pass
    measure(subject(network_of(), training_step=None), plan=plan)
    assert calls.asked == [(1, 1, 4)] * 2 * 3


def test_running_out_of_memory_is_a_result(network_of, monkeypatch):
    def fail(*arguments, **settings):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(latency, "repeat", fail)
    timings, peaks = measure(subject(network_of()))
    found = durations.records(timings, peaks, seed=0)
    assert [(r.conditions["work"], r.conditions["batch_size"]) for r in found if r.metric == "out_of_memory"] == [
        ("forward", 1), ("forward", 2), ("training_step", 1), ("training_step", 2)
    ]  # fmt: skip
    assert durations.grid_summary(timings, peaks)["p50 (s)"].tolist() == ["out of memory"] * 4
    assert durations.invalid(timings, peaks) == []


def test_a_point_that_once_ran_out_of_memory_is_not_tried_again(network_of, monkeypatch):
    calls = Calls()

    def fail_second(phases, device, **settings):
        found = calls(phases, device, **settings)
        if len(calls.asked) == 2:
            raise torch.OutOfMemoryError
        return found

    monkeypatch.setattr(latency, "repeat", fail_second)
    timings, _ = measure(subject(network_of(), training_step=None))
    assert [t.seconds.shape for t in timings] == [(3, 1), (0, 0)]
    assert len(calls.asked) == 4


def test_energy_is_recorded_where_it_is_metered(network_of, monkeypatch):
    monkeypatch.setattr(latency, "repeat", lambda phases, device, **settings: Repeats(np.ones((3, len(phases))), 7.0))
    timings, peaks = measure(subject(network_of()))
    found = durations.records(timings, peaks, seed=0)
    energies = {r.metric: r.value for r in found if r.unit == "J per call"}
    assert energies == {"forward_joules": 7, "training_step_joules": 7}


def test_weights_on_disk_take_four_bytes_a_parameter(network_of):
    network = network_of()
    size, on_disk = latency.size_records([subject(network), subject(network, eager_control=True)])
    assert (size.value, on_disk.value) == (parameters(network), latency.bytes_on_disk(network))
    assert size.conditions == {"network": "study", "weights": "random"}
    overhead = on_disk.value - 4 * parameters(network)
    assert 0 < overhead < 4000  # the names of the tensors
