"""The grid, what is recorded of it, and that a share above the peak is called an error."""

from itertools import chain, repeat

import numpy as np
import pandas as pd
import pytest
import torch

from qa_tradeoffs import device as devices
from qa_tradeoffs import profiling
from qa_tradeoffs.clock import Repeats
from qa_tradeoffs.config import Grid, Profile
from qa_tradeoffs.errors import StudyError
from qa_tradeoffs.models import parameters
from qa_tradeoffs.profiling import Timing
from qa_tradeoffs.results import records
from qa_tradeoffs.workloads import Subject

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
PLAN = Profile(forward=Grid(batch_sizes=(1,), lengths=(8,)), training_step=Grid(batch_sizes=(1,), lengths=(8,)),
               warmup=1, min_repeats=3, min_seconds=1e-9)  # fmt: skip


@pytest.fixture(autouse=True)
def known_peak(monkeypatch):
    """The first peak measured is 1 TFLOP/s, the third 2, all others 1.5."""
    found = chain([1e12, 1.5e12, 2e12], repeat(1.5e12))
    monkeypatch.setattr(profiling, "peak_flops", lambda device, precision: next(found))


def subject(network, length=8, **changes):
    grid = Grid(batch_sizes=(1, 2), lengths=(length,))
    return Subject(**({"name": "study", "network": network, "weights": "random", "forward": grid,
                       "training_step": grid, "min_repeats": 3} | changes))  # fmt: skip


def measure(*subjects):
    return profiling.measure(subjects, PLAN, device=CPU, formats=["fp32"], seed=0)


def test_every_point_of_the_grids_is_measured_and_the_highest_peak_counts(network_of):
    timings, peaks = measure(subject(network_of()))
    parts = ["training_step", "training_forward", "training_backward", "training_optimizer"]
    assert [(t.work, t.conditions["batch_size"], t.conditions["length"]) for t in timings] == [
        *[("forward", batch, 8) for batch in (1, 2)],
        *[(part, batch, 8) for batch in (1, 2) for part in parts],
    ]
    assert all(len(timing.seconds) == 3 and (timing.seconds > 0).all() for timing in timings)
    assert peaks == {"fp32": 2e12}


def test_the_parts_of_a_training_step_add_up_in_time_and_in_operations(network_of):
    timings, _ = measure(subject(network_of()))
    step, forward, backward, optimizer = timings[2:6]
    assert step.seconds.tolist() == pytest.approx((forward.seconds + backward.seconds + optimizer.seconds).tolist())
    assert step.flops == forward.flops + backward.flops
    assert optimizer.flops is None
    assert timings[0].flops == forward.flops


def test_a_control_has_no_training_step(network_of):
    timings, _ = measure(subject(network_of(), training_step=None, eager_control=True))
    assert [timing.work for timing in timings] == ["forward", "forward"]
    assert {timing.conditions["attention"] for timing in timings} == {"eager"}


@pytest.mark.parametrize(("name", "key"), [("study", "profile.forward"), ("full size", "profile.full_size_forward")])
def test_a_length_that_the_network_does_not_take_is_refused_before_anything_is_measured(name, key, network_of):
    with pytest.raises(StudyError, match=rf"^{key}.lengths: 65 tokens, but the network takes 64"):
        measure(subject(network_of(), 65, name=name))


def test_running_out_of_memory_is_a_result(network_of, monkeypatch):
    def fail(*arguments, **settings):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(profiling, "repeat", fail)
    timings, peaks = measure(subject(network_of()))
    found = records(profiling.timing_rows(timings, peaks, seed=0))
    assert [(r.conditions["work"], r.conditions["batch_size"]) for r in found if r.metric == "out_of_memory"] == [
        ("forward", 1), ("forward", 2), ("training_step", 1), ("training_step", 2)
    ]  # fmt: skip
    assert profiling.summary(timings, peaks)["p50 (s)"].tolist() == ["out of memory"] * 4
    assert profiling.invalid(timings, peaks) == []


def test_energy_is_recorded_where_it_is_metered(network_of, monkeypatch):
    monkeypatch.setattr(profiling, "repeat", lambda phases, device, **settings: Repeats(np.ones((3, len(phases))), 7.0))
    timings, peaks = measure(subject(network_of()))
    found = records(profiling.timing_rows(timings, peaks, seed=0))
    energies = {r.metric: r.value for r in found if r.unit == "J per call"}
    assert energies == {"forward_joules": 7, "training_step_joules": 7}


@pytest.mark.parametrize(
    ("own", "named", "has_bf16", "expected"),
    [
        ("auto", [], False, ["fp32"]),
        ("auto", ["fp32", "tf32", "bf16"], False, ["fp32"]),
        ("auto", ["fp32", "tf32", "bf16"], True, ["bf16", "fp32", "tf32"]),
        ("fp32", ["bf16"], True, ["fp32", "bf16"]),
    ],
)
def test_the_recipes_precision_comes_first_and_others_only_where_the_device_has_them(
    own, named, has_bf16, expected, study_of, monkeypatch
):
    monkeypatch.setattr(
        devices, "precision", lambda asked, device: ("bf16" if has_bf16 else "fp32") if asked == "auto" else asked
    )
    profile = {"forward": PLAN.forward.model_dump(), "training_step": PLAN.forward.model_dump(), "precisions": named}
    study = study_of(training={"precision": own}, profile=profile)
    assert profiling.precisions(study, CUDA) == expected


AT = {"network": "study", "attention": "sdpa", "precision": "fp32", "batch_size": 4, "length": 8}
PEAKS = {"fp32": 100.0}


def test_a_record_is_a_median_with_its_interval_and_percentiles_beside_it():
    timing = Timing("forward", np.array([1.0, 2.0, 3.0]), AT, flops=50)
    middle, p90, p99, peak = records(profiling.timing_rows([timing], PEAKS, seed=0))
    assert (middle.metric, middle.value, middle.unit, middle.n) == ("forward_seconds", 2, "s per call", 3)
    assert middle.interval.low <= 2 <= middle.interval.high
    assert middle.interval.over == "repeats"
    # 50 operations in 2 s of 100 a second
    assert middle.conditions == AT | {"flops": 50, "share_of_peak": 0.25, "valid": True}
    assert (p90.metric, p90.value) == ("forward_seconds_p90", pytest.approx(2.8))
    assert (p99.metric, p99.value) == ("forward_seconds_p99", pytest.approx(2.98))
    assert (peak.metric, peak.value, peak.conditions["precision"]) == ("peak_flops_per_second", 100, "fp32")


def test_a_share_above_the_peak_is_flagged_and_said():
    right = Timing("forward", np.array([0.5, 0.5]), AT, flops=50)
    wrong = Timing("forward", np.array([0.4, 0.4]), AT, flops=50)
    assert right.share(PEAKS) == 1
    assert profiling.invalid([right, wrong], PEAKS) == [
        "Invalid measurement: forward of the study network at batch 4 × 8 would be 1.25 of this machine's peak."
    ]
    flagged = records(profiling.timing_rows([right, wrong], PEAKS, seed=0))
    assert [r.conditions["valid"] for r in flagged if r.metric == "forward_seconds"] == [True, False]
    assert profiling.summary([right, wrong], PEAKS)["share of peak"].tolist() == ["100%", "125% INVALID"]


def test_what_has_no_counted_operations_has_no_share():
    timing = Timing("training_optimizer", np.array([1.0, 1.0]), AT)
    assert timing.share(PEAKS) is None
    assert records(profiling.timing_rows([timing], PEAKS, seed=0))[0].conditions == AT


def test_weights_on_disk_take_four_bytes_a_parameter(network_of):
    network = network_of()
    size = profiling.size_rows([subject(network), subject(network, eager_control=True)])
    assert [row["value"] for row in size] == [parameters(network), profiling.bytes_on_disk(network)]
    assert size[0]["conditions"] == {"network": "study", "weights": "random"}
    overhead = size[1]["value"] - 4 * parameters(network)
    assert 0 < overhead < 4000  # the names of the tensors


def test_every_raw_value_is_kept_with_its_conditions(tmp_path):
    timings = [
        Timing("forward", np.array([1.0, 2.0]), AT),
        Timing("forward", np.empty(0), AT),
        Timing("offline", np.array([5.0]), {"network": "full size", "batch_size": 16}),
    ]
    profiling.write_timings(timings, tmp_path / "timings.parquet")
    frame = pd.read_parquet(tmp_path / "timings.parquet")
    assert frame["seconds"].tolist() == [1, 2, 5]
    assert frame["repeat"].tolist() == [0, 1, 0]
    assert frame["work"].tolist() == ["forward", "forward", "offline"]
    assert frame["network"].tolist() == ["study", "study", "full size"]
    assert frame[frame["work"] == "forward"]["length"].tolist() == [8, 8]
