"""Timing with a clock of our own, and what the timed calls really do."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from qa_tradeoffs import profiling
from qa_tradeoffs.config import Profile
from qa_tradeoffs.errors import StudyError
from qa_tradeoffs.models import parameters
from qa_tradeoffs.results import records

CPU = torch.device("cpu")


class Clock:
    """A clock that only calls move: the k-th call takes ``durations[k]`` seconds, later ones the last of them."""

    def __init__(self, *durations: float) -> None:
        self.now, self.calls, self.durations = 100.0, 0, durations

    def perf_counter(self) -> float:
        return self.now

    def call(self) -> None:
        self.now += self.durations[min(self.calls, len(self.durations) - 1)]
        self.calls += 1


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    def replace(clock: Clock) -> Clock:
        monkeypatch.setattr(profiling, "time", SimpleNamespace(perf_counter=clock.perf_counter))
        return clock

    return replace


def test_warm_up_calls_are_not_counted(use):
    clock = use(Clock(64, 32, 1, 2, 4))
    seconds = profiling.repeat(clock.call, CPU, warmup=2, at_least=3, for_seconds=0.5)
    assert seconds.tolist() == [1, 2, 4]
    assert clock.calls == 5


def test_calls_are_repeated_until_they_are_many_enough(use):
    clock = use(Clock(8))
    assert profiling.repeat(clock.call, CPU, warmup=1, at_least=4, for_seconds=1).tolist() == [8, 8, 8, 8]


def test_calls_are_repeated_until_they_lasted_long_enough(use):
    clock = use(Clock(0.25))
    assert len(profiling.repeat(clock.call, CPU, warmup=1, at_least=3, for_seconds=2)) == 8


def test_questions_per_second_are_the_batch_over_the_median():
    assert profiling.Timing("forward", 8, 128, np.array([1.0, 2.0, 9.0])).questions_per_second == 4


def test_a_random_batch_has_its_shape_and_is_the_seeds(network_of):
    network = network_of()
    batch = profiling.random_batch(network, 3, 7, CPU, seed=0)
    assert {name: tuple(values.shape) for name, values in batch.items()} == {
        "input_ids": (3, 7),
        "attention_mask": (3, 7),
        "start_positions": (3,),
        "end_positions": (3,),
    }
    assert batch["attention_mask"].all()
    assert 0 <= batch["input_ids"].min() <= batch["input_ids"].max() < network.config.vocab_size
    assert (batch["start_positions"] <= batch["end_positions"]).all()
    assert (batch["end_positions"] < 7).all()
    assert torch.equal(batch["input_ids"], profiling.random_batch(network, 3, 7, CPU, seed=0)["input_ids"])
    assert not torch.equal(batch["input_ids"], profiling.random_batch(network, 3, 7, CPU, seed=1)["input_ids"])


def weights(network: Any) -> torch.Tensor:
    return torch.cat([parameter.detach().clone().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "squeezebert"])
def test_a_training_step_moves_the_weights_and_a_forward_pass_does_not(architecture, network_of):
    network = network_of(architecture)
    batch = profiling.random_batch(network, 2, 16, CPU, seed=0)
    before = weights(network)
    logits = profiling.forward(network, batch, "fp32")()
    assert logits.shape == (2, 16)
    assert not network.training
    assert torch.equal(weights(network), before)
    profiling.training_step(network, batch, "fp32")()
    assert network.training
    assert not torch.equal(weights(network), before)


def test_bf16_is_used_where_it_is_asked_for(network_of):
    network = network_of()
    batch = profiling.random_batch(network, 1, 8, CPU, seed=0)
    assert profiling.forward(network, batch, "bf16")().dtype == torch.bfloat16
    assert profiling.forward(network, batch, "fp32")().dtype == torch.float32


def plan(length: int = 8) -> Profile:
    grid = {"batch_sizes": [1, 2], "lengths": [length]}
    return Profile(forward=grid, training_step=grid, warmup=1, min_repeats=3, min_seconds=1e-9)


def test_every_point_of_the_grids_is_measured(network_of):
    timings = list(profiling.measure(network_of(), plan(), device=CPU, precision="fp32", seed=0))
    assert [(timing.work, timing.batch_size, timing.length) for timing in timings] == [
        ("forward", 1, 8),
        ("forward", 2, 8),
        ("training_step", 1, 8),
        ("training_step", 2, 8),
    ]
    assert all(len(timing.seconds) == 3 and (timing.seconds > 0).all() for timing in timings)


def test_a_length_that_the_network_does_not_take_is_refused(network_of):
    with pytest.raises(StudyError, match=r"profile.forward.lengths: 65 tokens, but the network takes 64"):
        list(profiling.measure(network_of(), plan(65), device=CPU, precision="fp32", seed=0))


def test_weights_on_disk_take_four_bytes_a_parameter(network_of):
    network = network_of()
    size = profiling.size_rows(network)
    assert [row["value"] for row in size] == [parameters(network), profiling.bytes_on_disk(network)]
    overhead = size[1]["value"] - 4 * parameters(network)
    assert 0 < overhead < 4000  # the names of the tensors


TIMINGS = [
    profiling.Timing("forward", 1, 8, np.array([1.0, 2.0, 3.0])),
    profiling.Timing("training_step", 4, 8, np.array([5.0, 5.0, 8.0, 8.0])),
]


def test_the_record_is_a_median_with_its_interval_and_conditions(network_of):
    network = network_of(hidden_dropout_prob=0.2)
    rows = profiling.timing_rows(TIMINGS, network, "fp32", seed=0)
    forward, step = records(rows)
    assert (forward.metric, forward.value, forward.unit, forward.n) == ("forward_seconds", 2, "s per call", 3)
    assert (step.metric, step.value, step.n) == ("training_step_seconds", 6.5, 4)
    for record in (forward, step):
        assert record.interval.low <= record.value <= record.interval.high
        assert record.interval.over == "repeats"
    assert step.conditions == {
        "batch_size": 4,
        "length": 8,
        "precision": "fp32",
        "attention": "sdpa",
        "dropout": 0.2,
        "inputs": "random tokens, no padding",
        "weights": "untrained",
    }
    assert forward.conditions["dropout"] == 0


def test_the_summary_has_percentiles_by_hand():
    row = profiling.summary(TIMINGS[:1]).iloc[0].to_dict()
    assert (row["p50 (s)"], row["p90 (s)"], row["repeats"]) == (2, pytest.approx(2.8), 3)
    assert row["questions/s"] == 0.5


def test_every_raw_value_is_kept(tmp_path):
    profiling.write_timings(TIMINGS, tmp_path / "timings.parquet")
    frame = pd.read_parquet(tmp_path / "timings.parquet")
    assert frame["seconds"].tolist() == [1, 2, 3, 5, 5, 8, 8]
    assert frame["repeat"].tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert frame["work"].unique().tolist() == ["forward", "training_step"]
