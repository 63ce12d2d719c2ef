"""The phases from text to score, with a clock that only the network and the reading of its logits advance."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from qa_tradeoffs.profiling import clock, phases, tables
from tests.profiling.conftest import PROFILE, SETTING, subject

FORWARD, POST = 10.0, 2.0  # seconds of a batch


class Clock:
    """A clock for several threads in step: it advances when the last of them arrives."""

    def __init__(self, threads):
        self.now = 0.0
        self._steps = {
            seconds: threading.Barrier(threads, action=lambda seconds=seconds: self._move(seconds), timeout=30)
            for seconds in (FORWARD, POST)
        }

    def perf_counter(self):
        return self.now

    def step(self, seconds):
        self._steps[seconds].wait()

    def _move(self, seconds):
        self.now += seconds


class Network(torch.nn.Module):
    """A forward pass takes FORWARD seconds, and what follows it POST; ``dtypes``: of a product in each pass."""

    config = SimpleNamespace(_attn_implementation="eager")

    def __init__(self, ours):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.clock, self.dtypes = ours, []

    def forward(self, input_ids):
        logits = input_ids * self.weight
        self.dtypes.append((logits @ logits.T).dtype)
        self.clock.step(FORWARD)
        return Output(self.clock, logits)


class Output:
    def __init__(self, ours, logits):
        self._clock, self.end_logits = ours, logits

    @property
    def start_logits(self):
        self._clock.step(POST)
        return self.end_logits


@pytest.fixture
def study(study_of):
    """Its batches have a single window each."""
    training, evaluation = {"max_length": 48, "stride": 8}, {"batch_tokens": 1}
    return study_of(profile=PROFILE | {"questions": 4}, training=training, evaluation=evaluation)


@pytest.fixture
def measured(study, examples, tokenizer, monkeypatch):
    """A function that measures four questions with so many threads: the network and the seconds by phase."""

    def measure(threads, precision="fp32"):
        ours = Clock(threads)
        monkeypatch.setattr(clock, "time", ours)
        network = Network(ours)
        torch.set_num_threads(threads)
        setting = replace(SETTING, formats=(precision,))
        timings = phases.measure(subject(network), study, examples, tokenizer, setting)
        return network, timings, ours.now

    before = torch.get_num_threads()
    yield measure
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2])
def test_phases_add_up_to_the_time_that_passed_however_many_threads_answer(threads, measured):
    network, timings, passed = measured(threads)
    assert len(network.dtypes) == 4 * (1 + 3)  # one batch a question, in one pass to warm up and three that count
    seconds = {timing.conditions["phase"]: (4 * timing.seconds).ravel().tolist() for timing in timings}
    # With two threads, two batches are answered in the time of one.
    assert seconds == {
        "tokenise": [0.0] * 3,
        "forward": [4 * FORWARD / threads] * 3,
        "post-process": [4 * POST / threads] * 3,
        "score": [0.0] * 3,
    }
    assert sum(map(sum, seconds.values())) == passed * 3 / 4  # the first quarter was to warm up
    shown = tables.phases(timings)
    assert shown["ms per question"].tolist() == [0, 1000 * FORWARD / threads, 1000 * POST / threads, 0]
    assert shown["share"].tolist() == ["0 %", "83 %", "17 %", "0 %"]


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_phases_are_in_the_recipes_precision_as_notebook_2_is(measured, precision, kind):
    network, timings, _ = measured(threads=1, precision=precision)
    assert set(network.dtypes) == {kind}
    assert {timing.conditions["precision"] for timing in timings} == {precision}


def test_the_networks_hooks_are_gone_after_the_phases(measured):
    network, _, _ = measured(threads=1)
    assert not network._forward_hooks
    assert not network._forward_pre_hooks


@pytest.mark.parametrize(
    ("passes", "expected"),
    [
        ({1: [(0, 4), (6, 10)]}, 8),
        ({1: [(0, 10)], 2: [(0, 10)]}, 10),  # side by side: not 20
        # From 4 to 6 the first thread is between its passes: half of that time is the network's.
        ({1: [(0, 4), (6, 10)], 2: [(0, 10)]}, 9),
        # The second thread has finished: all of the remaining time is the first one's.
        ({1: [(0, 10)], 2: [(0, 4)]}, 10),
        # Three at work, of which two are in a pass from 4 to 6
        ({1: [(0, 4), (6, 10)], 2: [(0, 10)], 3: [(0, 10)]}, 8 + 2 * 2 / 3),
        # Nobody is in a pass from 4 to 6.
        ({1: [(0, 4), (6, 8)], 2: [(0, 4), (6, 8)]}, 6),
    ],
)
def test_threads_at_work_share_each_moment(passes, expected):
    assert phases.forward_seconds(passes, in_turn=False) == pytest.approx(expected)


def test_if_passes_run_in_turn_the_network_gets_all_of_their_time():
    assert phases.forward_seconds({1: [(0, 4), (7, 10)], 2: [(5, 7)]}, in_turn=True) == 4 + 2 + 3


def test_forward_seconds_never_exceed_the_time_from_the_first_to_the_last_pass():
    rng = np.random.default_rng(0)
    for _ in range(50):
        times = rng.uniform(size=(4, 20)).cumsum(axis=1)  # four threads of ten passes each
        seconds = phases.forward_seconds(dict(enumerate(times.reshape(4, 10, 2))), in_turn=False)
        assert 0 < seconds < times.max() - times.min()
